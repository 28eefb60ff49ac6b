"""What those are told who get something wrong. No server is needed to tell them."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import eventually

from ferromq import App, AsyncProducer, Consumer, Message, PopConsumer, Producer, PullConsumer, UnreachableError

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
