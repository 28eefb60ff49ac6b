"""Producers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypedDict

from . import _ferromq, propagation
from ._bridge import bridge
from ._client import Client, Owner, Seconds
from ._context import AsyncClosing, Closing
from ._ferromq import Message, MessageQueue, ReceivedMessage, Reply, SendReceipt
from .propagation import carrying

if TYPE_CHECKING:
    from typing_extensions import Unpack


class ProducerOptions(TypedDict, total=False):
    """How a producer sends. What is not set is as in official clients."""

    send_timeout: Seconds
    """How long sending a message may take, in all tries together: 3 s by default."""
    try_timeout: Seconds
    """How long one try may take: as long as all together by default."""
    retries: int
    """How often a message is tried again after a failure: 2 by default. It may be stored twice by this."""
    retry_another_broker_when_not_stored: bool
    """Whether a message that is stored, but less safely than it should be, is sent again: not by default."""
    max_message_size: int
    """The most bytes of a body: 4 MiB by default."""
    compression: str
    """How large bodies are compressed: `none`, `zlib` (the default), `lz4` or `zstd`."""
    compress_over: int
    """Bodies of more bytes than this are compressed: 4096 by default."""
    compression_level: int
    """How much work is put into compressing: 5 by default."""
    avoid_slow_brokers: bool
    """Whether brokers that were slow or failed are left alone for a while: not by default."""
    topic_queues: int
    """How many queues a topic gets that brokers create by themselves: 4 by default."""
    linger: Seconds
    """How long a message may wait for others to travel with, 1 ms to 10 s: not at all by default."""
    linger_bytes: int
    """As many bytes travel at once without waiting any longer: 32 KiB by default."""
    max_in_flight: int
    """How many messages may be in flight, further ones wait: 10,000 by default."""
    max_in_flight_bytes: int
    """How many bytes of bodies may be in flight, further ones wait: 64 MiB by default."""


class AsyncSending(Owner):
    """What every producer of the asynchronous API does."""

    _producer: _ferromq.Producer

    def send(self, message: Message, *, queue: MessageQueue | None = None) -> asyncio.Future[SendReceipt]:
        """Sends a message, and is done when a broker has stored it. Waits while as much is in flight as may be.

        Messages take turns among the queues of their topic; those with a `sharding_key` go to the queue of that key,
        those with a `queue` to that one. It is on its way even if nobody awaits it; cancelling leaves open whether it
        is stored.
        """
        return self._producer.send(bridge(), carrying(message), queue)

    def send_many(self, messages: Iterable[Message]) -> asyncio.Future[list[SendReceipt]]:
        """Sends messages of one topic together, which is far faster than one by one. Each is stored on its own."""
        return self._producer.send_many(bridge(), _batch(messages))

    def send_oneway(self, message: Message) -> asyncio.Future[None]:
        """Sends a message and does not wait for an answer: it may be lost, and nobody is told."""
        return self._producer.send_oneway(bridge(), carrying(message))

    def recall(self, topic: str, handle: str) -> asyncio.Future[str]:
        """Takes back a timed message that is not due yet, by the `recall_handle` of its receipt. Returns its id."""
        return self._producer.recall(bridge(), topic, handle)

    def request(self, question: Message, *, timeout: Seconds = 3.0) -> asyncio.Future[Reply]:
        """Sends a question, and waits until a consumer of its topic replies, for `timeout` at most."""
        return self._producer.request(bridge(), carrying(question), timeout)

    def reply(self, question: ReceivedMessage, body: bytes | str) -> asyncio.Future[SendReceipt]:
        """Replies to a question that a consumer received."""
        return self._producer.reply(bridge(), question, body)


class AsyncProducer(AsyncSending, AsyncClosing):
    """Sends messages, from a running event loop. Any number of tasks and loops may share it."""

    def __init__(
        self, client: Client | str, group: str = "DEFAULT_PRODUCER", **options: Unpack[ProducerOptions]
    ) -> None:
        """`client` is one, or NameServers: `"host:port"`, several with `;` between. `options` are `ProducerOptions`."""
        super().__init__(client)
        self._producer = _ferromq.Producer(self.client._native, group, options)

    async def close(self) -> None:
        """Waits until what is in flight has ended, up to the send timeout, and leaves the group."""
        await self._producer.close(bridge())
        await self._aclose_client()


class Sending(Owner):
    """What every producer of the synchronous API does."""

    _producer: _ferromq.Producer

    def send(self, message: Message, *, queue: MessageQueue | None = None) -> SendReceipt:
        """Sends a message, and returns when a broker has stored it. Waits while as much is in flight as may be.

        Messages take turns among the queues of their topic; those with a `sharding_key` go to the queue of that key,
        those with a `queue` to that one.
        """
        return self._producer.send(None, carrying(message), queue)

    def send_many(self, messages: Iterable[Message]) -> list[SendReceipt]:
        """Sends messages of one topic together, which is far faster than one by one. Each is stored on its own."""
        return self._producer.send_many(None, _batch(messages))

    def send_oneway(self, message: Message) -> None:
        """Sends a message and does not wait for an answer: it may be lost, and nobody is told."""
        self._producer.send_oneway(None, carrying(message))

    def recall(self, topic: str, handle: str) -> str:
        """Takes back a timed message that is not due yet, by the `recall_handle` of its receipt. Returns its id."""
        return self._producer.recall(None, topic, handle)

    def request(self, question: Message, *, timeout: Seconds = 3.0) -> Reply:
        """Sends a question, and waits until a consumer of its topic replies, for `timeout` at most."""
        return self._producer.request(None, carrying(question), timeout)

    def reply(self, question: ReceivedMessage, body: bytes | str) -> SendReceipt:
        """Replies to a question that a consumer received."""
        return self._producer.reply(None, question, body)


class Producer(Sending, Closing):
    """Sends messages, from any thread. Any number of threads may share it."""

    def __init__(
        self, client: Client | str, group: str = "DEFAULT_PRODUCER", **options: Unpack[ProducerOptions]
    ) -> None:
        """`client` is one, or NameServers: `"host:port"`, several with `;` between. `options` are `ProducerOptions`."""
        super().__init__(client)
        self._producer = _ferromq.Producer(self.client._native, group, options)

    def close(self) -> None:
        """Waits until what is in flight has ended, up to the send timeout, and leaves the group."""
        self._producer.close(None)
        self._close_client()


def _batch(messages: Iterable[Message]) -> list[Message]:
    if propagation.active is not None:
        return [carrying(message) for message in messages]
    return messages if isinstance(messages, list) else list(messages)
