"""Consumers that are asked for messages: which queues, from where and when."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, TypedDict, Union

from . import _ferromq
from ._bridge import bridge
from ._client import Client, Instant, Owner, Seconds, Topics, filters
from ._context import AsyncStarting, Starting
from ._ferromq import Filter, MessageQueue, Pulled, ReceivedMessage
from .errors import ClosedError

if TYPE_CHECKING:
    from typing_extensions import Unpack


class PullOptions(TypedDict, total=False):
    """How a consumer is asked."""

    offsets_in: Union[str, os.PathLike[str]]
    """Keeps positions in this directory; by default brokers keep them."""
    consume_from: Union[str, Instant]
    """Where the group starts in a queue for which it has no position: `last` (the default), `first`, or a time."""
    strategy: str
    """How members share queues, by the name that official clients have for it; `STICKY` by default."""
    auto_commit: Union[bool, Seconds]
    """How often positions are committed without being asked to: every 5 s by default; `False` for never."""
    fetch_batch: int
    """How many messages one request may bring: 32 by default."""
    max_buffered: int
    """How many messages of one queue may wait here: 1,000 by default."""
    max_buffered_bytes: int
    """How many bytes of one queue may wait here: 100 MiB by default."""
    max_polled: int
    """The most messages that one `poll` returns: 32 by default."""


class _Pulling(Owner):
    _native: _ferromq.PullConsumer | None = None

    def __init__(self, client: Client | str, group: str, topics: Topics = (), **options: Unpack[PullOptions]) -> None:
        """With topics, shares their queues with the other members of the group; without, `assign` says which. `options`
        are `PullOptions`. Nothing begins before `start`, or `with`."""
        super().__init__(client)
        self._group, self._topics, self._options = group, filters(topics), options

    @property
    def assigned(self) -> list[MessageQueue]:
        """The queues that are fetched from now."""
        return self._started().assigned

    def pause(self, queues: list[MessageQueue]) -> None:
        """Hands nothing of these queues out until they are resumed."""
        self._started().pause(queues)

    def resume(self, queues: list[MessageQueue]) -> None:
        """Goes on with these queues."""
        self._started().resume(queues)

    def position(self, queue: MessageQueue) -> int | None:
        """The offset of the next message that is polled; none as long as it is not known where the group is."""
        return self._started().position(queue)

    def _started(self) -> _ferromq.PullConsumer:
        if self._native is None:
            raise ClosedError("the consumer is not started: use `with`, or `start()`")
        return self._native


class AsyncPullConsumer(_Pulling, AsyncStarting):
    """A consumer that is asked for messages, for asyncio."""

    async def start(self) -> None:
        """Starts it."""
        if self._native is None:
            start = _ferromq.PullConsumer.start
            self._native = await start(bridge(), self.client._native, self._group, self._topics, self._options)

    def queues(self, topic: str) -> asyncio.Future[list[MessageQueue]]:
        """The queues of a topic that may be read."""
        return self._started().queues(bridge(), topic)

    def assign(self, queues: list[MessageQueue], filter: Filter | None = None) -> asyncio.Future[None]:
        """Fetches from these queues and no others, from where the group is on."""
        return self._started().assign(bridge(), queues, filter or Filter.all())

    async def poll(self, timeout: Seconds | None = None) -> list[ReceivedMessage]:
        """The next messages, as soon as there are any. What earlier polls returned counts as done from now on."""
        native = self._started()
        # Nothing is taken before this task goes on: whoever is cancelled while waiting loses nothing.
        while await native.wait(bridge(), timeout):
            if messages := native.take():
                return messages
        return []

    def pull(
        self, queue: MessageQueue, offset: int, most: int = 32, *, filter: Filter | None = None, wait: Seconds = 0.0
    ) -> asyncio.Future[Pulled]:
        """Asks for messages of any queue, from any offset on, once; changes no position."""
        return self._started().pull(bridge(), queue, offset, most, filter or Filter.all(), wait)

    def seek(self, queue: MessageQueue, to: int | str | Instant) -> asyncio.Future[None]:
        """Goes on at an offset (an `int`), at `first` or `last`, or at a time (a `datetime`)."""
        return self._started().seek(bridge(), queue, to)

    def committed(self, queue: MessageQueue) -> asyncio.Future[int | None]:
        """What is committed of a queue."""
        return self._started().committed(bridge(), queue)

    def commit(self, queue: MessageQueue | None = None, offset: int | None = None) -> asyncio.Future[None]:
        """Commits what was polled so far, or that messages of one queue below `offset` are done."""
        return self._started().commit(bridge(), queue, offset)

    def offset_of(self, queue: MessageQueue, place: str | Instant) -> asyncio.Future[int]:
        """The offset of a queue's oldest message (`first`), of its end (`last`), or of the first stored at a time."""
        return self._started().offset_of(bridge(), queue, place)

    async def close(self) -> None:
        """Stops, commits what was polled unless that is left to `commit`, and leaves the group."""
        if self._native is not None:
            await self._native.close(bridge())
        await self._aclose_client()


class PullConsumer(_Pulling, Starting):
    """A consumer that is asked for messages, for threads."""

    def start(self) -> None:
        """Starts it."""
        if self._native is None:
            start = _ferromq.PullConsumer.start
            self._native = start(None, self.client._native, self._group, self._topics, self._options)

    def queues(self, topic: str) -> list[MessageQueue]:
        """The queues of a topic that may be read."""
        return self._started().queues(None, topic)

    def assign(self, queues: list[MessageQueue], filter: Filter | None = None) -> None:
        """Fetches from these queues and no others, from where the group is on."""
        self._started().assign(None, queues, filter or Filter.all())

    def poll(self, timeout: Seconds | None = None) -> list[ReceivedMessage]:
        """The next messages, as soon as there are any. What earlier polls returned counts as done from now on."""
        native = self._started()
        while native.wait(None, timeout):
            if messages := native.take():
                return messages
        return []

    def pull(
        self, queue: MessageQueue, offset: int, most: int = 32, *, filter: Filter | None = None, wait: Seconds = 0.0
    ) -> Pulled:
        """Asks for messages of any queue, from any offset on, once; changes no position."""
        return self._started().pull(None, queue, offset, most, filter or Filter.all(), wait)

    def seek(self, queue: MessageQueue, to: int | str | Instant) -> None:
        """Goes on at an offset (an `int`), at `first` or `last`, or at a time (a `datetime`)."""
        self._started().seek(None, queue, to)

    def committed(self, queue: MessageQueue) -> int | None:
        """What is committed of a queue."""
        return self._started().committed(None, queue)

    def commit(self, queue: MessageQueue | None = None, offset: int | None = None) -> None:
        """Commits what was polled so far, or that messages of one queue below `offset` are done."""
        self._started().commit(None, queue, offset)

    def offset_of(self, queue: MessageQueue, place: str | Instant) -> int:
        """The offset of a queue's oldest message (`first`), of its end (`last`), or of the first stored at a time."""
        return self._started().offset_of(None, queue, place)

    def close(self) -> None:
        """Stops, commits what was polled unless that is left to `commit`, and leaves the group."""
        if self._native is not None:
            self._native.close(None)
        self._close_client()
