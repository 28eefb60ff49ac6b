"""Consumers that lease messages: each comes again unless it is acknowledged before its lease ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypedDict, cast

from . import _ferromq
from ._bridge import bridge
from ._client import Client, Owner, Seconds, Topics, filters
from ._context import AsyncStarting, Starting
from ._ferromq import AsyncLease, Lease
from .errors import ClosedError

if TYPE_CHECKING:
    from typing_extensions import Unpack


class PopOptions(TypedDict, total=False):
    """How messages are leased."""

    invisible_time: Seconds
    """How long a message is leased: 60 s by default, 10 s to 5 min."""
    from_oldest: bool
    """A group that is new to a queue starts at its oldest message; by default at its newest."""
    in_order: bool
    """Leases the messages of each queue in their order; by default in any."""


class _Popping(Owner):
    _native: _ferromq.PopConsumer | None = None

    def __init__(self, client: Client | str, group: str, topics: Topics, **options: Unpack[PopOptions]) -> None:
        """`client` is one, or NameServers: `"host:port"`, several with `;` between. `topics` is one, several, or each with
        a filter. `options` are `PopOptions`. Nothing begins before `start`, or `with`."""
        super().__init__(client)
        self._group, self._topics, self._options = group, filters(topics), options

    def _started(self) -> _ferromq.PopConsumer:
        if self._native is None:
            raise ClosedError("the consumer is not started: use `with`, or `start()`")
        return self._native


class AsyncPopConsumer(_Popping, AsyncStarting):
    """A consumer that leases messages, for asyncio."""

    async def start(self) -> None:
        """Joins the group."""
        if self._native is None:
            start = _ferromq.PopConsumer.start
            self._native = await start(bridge(), self.client._native, self._group, self._topics, self._options)

    def receive_many(self, most: int = 32, *, wait: Seconds = 15.0) -> asyncio.Future[list[AsyncLease]]:
        """Leases up to `most` messages, 1 to 32, as soon as there are any; none if none come within `wait`.

        What is cancelled comes again when its leases end.
        """
        return cast("asyncio.Future[list[AsyncLease]]", self._started().receive(bridge(), most, wait))

    def ack_many(self, leases: list[AsyncLease]) -> asyncio.Future[None]:
        """Acknowledges many messages with few requests."""
        return self._started().ack_many(bridge(), leases)

    async def close(self) -> None:
        """Leaves the group. What is leased may still be acknowledged, as long as the client is not closed."""
        if self._native is not None:
            await self._native.close(bridge())
        await self._aclose_client()


class PopConsumer(_Popping, Starting):
    """A consumer that leases messages, for threads."""

    def start(self) -> None:
        """Joins the group."""
        if self._native is None:
            start = _ferromq.PopConsumer.start
            self._native = start(None, self.client._native, self._group, self._topics, self._options)

    def receive_many(self, most: int = 32, *, wait: Seconds = 15.0) -> list[Lease]:
        """Leases up to `most` messages, 1 to 32, as soon as there are any; none if none come within `wait`."""
        return cast("list[Lease]", self._started().receive(None, most, wait))

    def ack_many(self, leases: list[Lease]) -> None:
        """Acknowledges many messages with few requests."""
        self._started().ack_many(None, leases)

    def close(self) -> None:
        """Leaves the group. What is leased may still be acknowledged, as long as the client is not closed."""
        if self._native is not None:
            self._native.close(None)
        self._close_client()
