"""What those are told who get something wrong. No server is needed to tell them."""

from __future__ import annotations

import logging
import math
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import eventually

from ferromq import (
    App,
    AsyncConsumer,
    AsyncProducer,
    ConfigError,
    Consumer,
    ConsumerOptions,
    Message,
    PopConsumer,
    PopOptions,
    Producer,
    ProducerOptions,
    PullConsumer,
    PullOptions,
    UnreachableError,
)

NOWHERE = "127.0.0.1:9"


@pytest.fixture
def silent() -> Iterator[str]:
    """An address where nobody listens, and nobody else begins to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("retry", 3, 'no option "retry": did you mean retries?'),
        ("acks", "all", 'no option "acks": there are send_timeout, '),
        ("retries", "3", "retries: 'str' object"),
        ("retries", -1, "retries: "),
        ("send_timeout", -3, "send_timeout: -3 s is no duration"),
        ("compression", "gzip", 'compression is "gzip", allowed is none, zlib, lz4 and zstd'),
    ],
)
def test_an_option_that_is_wrong_is_named(option: str, value: Any, told: str) -> None:
    wrong: dict[str, Any] = {option: value}
    with pytest.raises(Exception, match=f"(?s).*{told.replace('?', '[?]')}"):
        Producer(NOWHERE, **wrong)


@pytest.mark.parametrize("time", [math.nan, math.inf, -math.inf, 1e300])
def test_a_time_that_is_none_is_refused_by_name(time: float) -> None:
    with pytest.raises(ValueError, match="deliver_at: "):
        Message("T", "x", deliver_at=time)
    with pytest.raises(ValueError, match="deliver_after: "):
        Message("T", "x", deliver_after=time)
    with pytest.raises(ValueError, match="consume_from: "):
        Consumer(NOWHERE, "G", "T", consume_from=time).start()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Producer, ProducerOptions),
        (Consumer, ConsumerOptions),
        (PullConsumer, PullOptions),
        (PopConsumer, PopOptions),
    ],
)
def test_the_options_that_are_typed_are_those_that_there_are(kind: Any, options: Any) -> None:
    topics = () if kind is Producer else ("T",)
    with pytest.raises(TypeError, match=r'no option "\?": there are ') as error:
        kind(NOWHERE, "G", *topics, **{"?": 1}).start()
    assert str(error.value).partition("there are ")[2].split(", ") == list(options.__annotations__)


async def test_a_handler_runs_once_at_a_time_at_least() -> None:
    with pytest.raises(ConfigError, match="concurrency is 0, allowed is 1 and more"):
        await AsyncConsumer(NOWHERE, "G", "T").run(print, concurrency=0)
    with pytest.raises(ConfigError, match="threads is 0, allowed is 1 and more"):
        Consumer(NOWHERE, "G", "T").run(print, threads=0)


def test_a_client_is_one_or_an_address() -> None:
    number: Any = 9876
    with pytest.raises(TypeError, match="as host:port, not int"):
        AsyncProducer(number)


async def test_an_app_without_a_handler_does_not_run_for_nothing() -> None:
    with pytest.raises(ValueError, match="app.consumer"):
        await App(NOWHERE).serve()


def test_a_producer_says_where_it_reached_nobody(silent: str) -> None:
    with Producer(silent) as producer, pytest.raises(UnreachableError, match=f"cannot connect to {silent}") as error:
        producer.send(Message("T", "x"))
    assert error.value.retryable


@pytest.mark.parametrize("kind", [Consumer, PopConsumer, PullConsumer])
def test_a_consumer_that_reaches_nobody_says_so_and_goes_on(
    kind: type[Consumer] | type[PopConsumer] | type[PullConsumer], silent: str, caplog: pytest.LogCaptureFixture
) -> None:
    def warned() -> bool:
        return any(
            record.levelno == logging.WARNING and silent in record.getMessage() and record.name.startswith("ferromq.")
            for record in caplog.records
        )

    with kind(silent, "G", "T"):
        eventually(warned)
