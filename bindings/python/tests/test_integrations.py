"""The package with the libraries it is made for and does not need: pydantic and OpenTelemetry, the real ones."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

import pytest
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel, ConfigDict, Field, ValidationError

import ferromq
from ferromq import AsyncConsumer, AsyncProducer, Consumer, JsonSerializer, Message, Producer


class Line(BaseModel):
    model_config = ConfigDict(frozen=True)

    article: str
    count: int = Field(ge=1)


class Order(BaseModel):
    number: int = Field(alias="orderNumber")
    placed: datetime
    lines: list[Line]


ORDERS = JsonSerializer(Order)


def an_order() -> Order:
    placed = datetime(2026, 7, 1, 12, tzinfo=timezone.utc)
    return Order(orderNumber=7, placed=placed, lines=[Line(article="Kürbis", count=2)])


async def test_a_pydantic_model_arrives_as_it_was_sent(server: str, topic: str, group: str) -> None:
    async with AsyncProducer(server) as producer:
        await producer.send(Message(topic, an_order(), serializer=ORDERS))
    async with AsyncConsumer(server, group, topic, consume_from="first") as consumer:
        message = await consumer.receive()
        assert message is not None
        assert message.value(ORDERS) == an_order()
        assert message.json()["orderNumber"] == 7, "it is written with the names that it is read with"
        await message.ack()


def test_what_is_no_such_model_is_told_apart_and_not_lost(server: str, topic: str, group: str) -> None:
    with Producer(server) as producer:
        producer.send(Message(topic, '{"orderNumber": 7, "lines": [{"article": "x", "count": 0}]}'))
    with Consumer(server, group, topic, consume_from="first") as consumer:
        message = consumer.receive()
        assert message is not None
        with pytest.raises(ValidationError) as wrong:
            message.value(ORDERS)
        assert {error["loc"][0] for error in wrong.value.errors()} == {"placed", "lines"}
        assert message.text().startswith('{"orderNumber"')
        message.ack()


@pytest.fixture
def tracer(spans: InMemorySpanExporter) -> trace.Tracer:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return provider.get_tracer("tests")


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def propagated() -> Iterator[None]:
    ferromq.propagation.use(propagate.inject)
    yield
    ferromq.propagation.use(None)


@pytest.mark.usefixtures("propagated")
async def test_a_span_continues_in_the_consumer(
    server: str, topic: str, group: str, tracer: trace.Tracer, spans: InMemorySpanExporter
) -> None:
    with tracer.start_as_current_span("order"):
        async with AsyncProducer(server) as producer:
            await producer.send(Message(topic, "one"))
            await producer.send_many([Message(topic, "two")])
    async with AsyncConsumer(server, group, topic, consume_from="first") as consumer:
        for _ in range(2):
            message = await consumer.receive()
            assert message is not None
            with tracer.start_as_current_span(message.text(), context=propagate.extract(message.properties)):
                await message.ack()
    order, *consumed = spans.get_finished_spans()
    assert {span.name for span in consumed} == {"one", "two"}
    for span in consumed:
        assert span.parent is not None and span.parent.is_remote
        assert (span.parent.trace_id, span.parent.span_id) == (order.context.trace_id, order.context.span_id)


@pytest.mark.usefixtures("propagated")
def test_without_a_span_nothing_is_written(server: str, topic: str, group: str) -> None:
    with Producer(server) as producer:
        producer.send(Message(topic, "x"))
    with Consumer(server, group, topic, consume_from="first") as consumer:
        message = consumer.receive()
        assert message is not None
        assert "traceparent" not in message.properties
        message.ack()
