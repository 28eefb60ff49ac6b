"""Sending, on both APIs."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import ferromq
from ferromq import (
    JSON,
    AsyncConsumer,
    AsyncProducer,
    Consumer,
    Filter,
    JsonSerializer,
    Message,
    Producer,
    SendStatus,
)
from ferromq.errors import ClosedError, FerroMQError, InvalidMessageError, Remedy, UnreachableError


async def received(server: str, group: str, topic: str, count: int) -> list[ferromq.AsyncDelivery]:
    """The first messages of a topic, acknowledged."""
    messages: list[ferromq.AsyncDelivery] = []
    async with AsyncConsumer(server, group, topic, consume_from="first") as consumer:
        while len(messages) < count:
            messages += await consumer.receive_many()
        for message in messages:
            await message.ack()
    return messages


async def test_what_is_sent_arrives_with_all_that_it_carries(server: str, topic: str, group: str) -> None:
    async with AsyncProducer(server) as producer:
        properties = {"colour": "blue", "größe": "é"}
        sent = Message(topic, b"\x00body", tag="t", keys=["k1", "k2"], properties=properties, flag=7)
        receipt = await producer.send(sent)
    assert receipt.status is SendStatus.STORED
    [message] = await received(server, group, topic, 1)
    assert (message.body, message.tag, message.keys, message.flag) == (b"\x00body", "t", ["k1", "k2"], 7)
    assert (message.property("colour"), message.properties["größe"]) == ("blue", "é")
    assert (message.topic, message.message_id) == (topic, receipt.message_id)
    assert (message.queue, message.queue_offset) == (receipt.queue, receipt.offset)
    assert message.reconsume_times == 0 and message.place == receipt.place
    assert abs(message.born_at - datetime.now(timezone.utc)) < timedelta(hours=1)
    assert message.message_id in repr(message) and "4 bytes" not in repr(message)


def test_what_is_sent_arrives_without_a_loop_too(server: str, topic: str, group: str) -> None:
    with Producer(server) as producer:
        receipt = producer.send(Message(topic, "text"))
    with Consumer(server, group, topic, consume_from="first") as consumer:
        message = next(iter(consumer))
        message.ack()
    assert (message.text(), message.message_id) == ("text", receipt.message_id)


async def test_many_travel_together_and_in_order(server: str, topic: str, group: str) -> None:
    async with AsyncProducer(server) as producer:
        receipts = await producer.send_many(Message(topic, f"{n}", sharding_key="a") for n in range(1000))
    assert len({receipt.queue for receipt in receipts}) == 1
    assert len({receipt.message_id for receipt in receipts}) == 1000
    messages = await received(server, group, topic, 1000)
    assert sorted(int(message.text()) for message in messages) == list(range(1000))


def test_many_travel_together_without_a_loop_too(server: str, topic: str) -> None:
    with Producer(server) as producer:
        receipts = producer.send_many([Message(topic, bytes([n])) for n in range(100)])
        assert [receipt.offset for receipt in receipts] == list(range(receipts[0].offset, receipts[0].offset + 100))


async def test_a_sharding_key_or_a_queue_says_where(server: str, topic: str) -> None:
    async with AsyncProducer(server) as producer:
        sent = [producer.send(Message(topic, "x", sharding_key="order-17")) for _ in range(20)]
        queues = {receipt.queue for receipt in await asyncio.gather(*sent)}
        assert len(queues) == 1
        [queue] = queues
        assert (await producer.send(Message(topic, "x"), queue=queue)).queue == queue
        assert queue == ferromq.MessageQueue(topic, queue.broker, queue.id)


async def test_a_message_is_delivered_later(server: str, topic: str, group: str) -> None:
    async with AsyncProducer(server) as producer:
        start = datetime.now(timezone.utc)
        await producer.send(Message(topic, "level", delay_level=1))
        await producer.send(Message(topic, "after", deliver_after=timedelta(seconds=2)))
        await producer.send(Message(topic, "at", deliver_at=start + timedelta(seconds=2)))
        messages = await received(server, group, topic, 3)
        assert {message.text() for message in messages} == {"level", "after", "at"}
        assert datetime.now(timezone.utc) - start >= timedelta(seconds=1.5)


async def test_a_timed_message_is_taken_back(server: str, topic: str) -> None:
    async with AsyncProducer(server) as producer:
        receipt = await producer.send(Message(topic, "x", deliver_after=3600))
        assert receipt.recall_handle is not None
        assert await producer.recall(topic, receipt.recall_handle) == receipt.message_id
        with pytest.raises(InvalidMessageError):
            await producer.recall(topic, "no handle")


async def test_a_question_is_replied_to(server: str, topic: str, group: str) -> None:
    async with AsyncProducer(server) as asker, AsyncProducer(server, "repliers") as replier:
        await asker.send(Message(topic, "so that the topic is there"))
        async with AsyncConsumer(server, group, topic, consume_from="first") as consumer:

            async def serve() -> None:
                async for message in consumer:
                    if message.text().endswith("?"):
                        await replier.reply(message, message.text().upper())
                    await message.ack()

            serving = asyncio.ensure_future(serve())
            reply = await asker.request(Message(topic, "why?"), timeout=60)
            assert (reply.text(), reply.body) == ("WHY?", b"WHY?")
            reply = await asker.request(Message(topic, "for how long?"), timeout=sys.maxsize)
            assert reply.text() == "FOR HOW LONG?"
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


def test_a_question_that_nobody_answers_ends_in_time(server: str, topic: str) -> None:
    with Producer(server) as producer:
        producer.send(Message(topic, "makes the topic"))
        # Sending it counts, for which a busy machine may need all of the time.
        for timeout in (3, 15, 60):
            with pytest.raises(FerroMQError) as caught:
                producer.request(Message(topic, "why?"), timeout=timeout)
            if isinstance(caught.value, ferromq.NoReplyError):
                break
    assert isinstance(caught.value, ferromq.NoReplyError), caught.value
    assert caught.value.retryable and isinstance(caught.value, TimeoutError)


async def test_one_way_is_on_its_way(server: str, topic: str, group: str) -> None:
    async with AsyncProducer(server) as producer:
        await producer.send(Message(topic, "1"))
        await producer.send_oneway(Message(topic, "2"))
        assert {message.text() for message in await received(server, group, topic, 2)} == {"1", "2"}


def test_a_bad_message_is_refused_when_it_is_made() -> None:
    bad: list[dict[str, Any]] = [
        {"topic": ""},
        {"body": ""},
        {"delay_level": 19},
        {"delay_level": 1, "deliver_after": 1},
        {"properties": {"KEYS": "x"}},
    ]
    for fields in bad:
        with pytest.raises(InvalidMessageError) as caught:
            Message(**{"topic": "T", "body": "x", **fields})
        assert isinstance(caught.value, ValueError)
        assert (caught.value.remedy, caught.value.retryable) == (Remedy.FIX_CALL, False)
    with pytest.raises(TypeError, match="serializer"):
        Message("T", {"a": 1})
    with pytest.raises(TypeError, match="no option"):
        Producer("127.0.0.1:1", no_such_option=1)  # type: ignore[call-arg]
    with pytest.raises(ferromq.ConfigError):
        Producer("127.0.0.1:1", retries=1000)
    with pytest.raises(ferromq.ConfigError):
        Producer("no address")
    with pytest.raises(ferromq.ConfigError):
        Filter.sql("a >")


async def test_an_error_says_who_has_to_act() -> None:
    async with AsyncProducer("127.0.0.1:1", send_timeout=0.5, retries=0) as producer:
        with pytest.raises(FerroMQError) as caught:
            await producer.send(Message("T", "x"))
    assert caught.value.retryable
    assert isinstance(caught.value, (UnreachableError, ferromq.CallTimeoutError))


async def test_what_is_closed_says_so(server: str, topic: str) -> None:
    producer = AsyncProducer(server)
    await producer.close()
    await producer.close()
    with pytest.raises(ClosedError):
        await producer.send(Message(topic, "x"))


@dataclasses.dataclass
class Order:
    """For serializers."""

    id: int
    name: str


class Reversed:
    """A format of one's own."""

    def serialize(self, value: str) -> bytes:
        return value[::-1].encode()

    def deserialize(self, body: bytes) -> str:
        return body.decode()[::-1]


async def test_values_are_serialized(server: str, topic: str, group: str) -> None:
    async with AsyncProducer(server) as producer:
        order = JsonSerializer(Order)
        await producer.send(Message(topic, {"a": [1, "ä"]}, serializer=JSON, sharding_key="k"))
        await producer.send(Message(topic, Order(1, "x"), serializer=order, sharding_key="k"))
        await producer.send(Message(topic, "abc", serializer=Reversed(), sharding_key="k"))
    first, second, third = sorted(await received(server, group, topic, 3), key=lambda m: m.queue_offset)
    assert first.json() == first.value(JSON) == {"a": [1, "ä"]}
    assert second.value(order) == Order(1, "x")
    assert (third.body, third.value(Reversed())) == (b"cba", "abc")


async def test_bodies_are_whatever_is_a_buffer(server: str, topic: str) -> None:
    for body in (b"abc", bytearray(b"abc"), memoryview(b"abc"), "abc"):
        assert Message(topic, body).body == b"abc"


async def test_trace_context_travels_with_a_message(server: str, topic: str, group: str) -> None:
    def inject(carrier: dict[str, str]) -> None:
        carrier["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    ferromq.propagation.use(inject)
    try:
        async with AsyncProducer(server) as producer:
            await producer.send(Message(topic, "x"))
            await producer.send_many([Message(topic, "y")])
            await producer.send_oneway(Message(topic, "z"))
    finally:
        ferromq.propagation.use(None)
    for message in await received(server, group, topic, 3):
        assert message.properties["traceparent"].startswith("00-0af7651916cd43dd8448eb211c80319c")


async def test_messages_are_values() -> None:
    message = Message("T", "x", tag="a", keys="k", properties={"p": "q"})
    assert message == Message("T", b"x", tag="a", keys=["k"], properties={"p": "q"})
    assert message != Message("T", "x")
    assert message.with_properties({"p": "other", "r": "s"}).properties == {"p": "q", "r": "s"}
    assert repr(message) == 'Message(topic="T", 1 bytes, tag="a", keys=["k"])'
