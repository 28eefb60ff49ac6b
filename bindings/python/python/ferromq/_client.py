"""The client: one identity, its connections, and what its owner closes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Union

from . import _ferromq, _logging
from ._bridge import bridge
from ._ferromq import Credentials, Filter, Tls

if TYPE_CHECKING:
    from typing_extensions import Self

Seconds = Union[float, timedelta]
"""A time span: seconds, or a `timedelta`."""
Instant = Union[float, datetime]
"""A point in time: seconds since 1970, or a `datetime`."""
Topics = Union[str, Iterable[str], Mapping[str, Union[str, Filter]]]
"""Topics to subscribe to: one, several, or each with a filter. A filter that is a text is one of tags: `"a || b"`."""


class Client:
    """What producers, consumers and administration share: connections, routes, and the id by which brokers know it.

    Everything that takes a client takes NameServers' addresses instead, and then has a client of its own. Nothing is
    connected before there is something to ask. `close`, or `with`, ends the connections; so does garbage collection.
    """

    def __init__(
        self,
        name_servers: str,
        *,
        instance_name: str | None = None,
        unit_name: str | None = None,
        sticky: bool = True,
        tls: Tls | None = None,
        credentials: Credentials | None = None,
        trace_topic: str | None = None,
        call_timeout: Seconds | None = None,
        connect_timeout: Seconds | None = None,
        route_refresh: Seconds | None = None,
        heartbeat: Seconds | None = None,
    ) -> None:
        """A client of these NameServers: `host:port`, several with `;` between.

        `instance_name` is the part of the id behind the address, `unit_name` a further one. `sticky` lets its consumers
        share queues so that few change hands. `trace_topic` is told what is sent and handled (usually
        `RMQ_SYS_TRACE_TOPIC`). Calls and connecting take 3 s at most, routes are read and heartbeats sent every 30 s,
        unless set otherwise.
        """
        _logging.start()
        options = {
            "instance_name": instance_name,
            "unit_name": unit_name,
            "sticky": sticky,
            "tls": tls,
            "credentials": credentials,
            "trace_topic": trace_topic,
            "call_timeout": call_timeout,
            "connect_timeout": connect_timeout,
            "route_refresh": route_refresh,
            "heartbeat": heartbeat,
        }
        self._native = _ferromq.Client(name_servers, options)
        self._name_servers = name_servers

    @property
    def id(self) -> str:
        """What brokers know the client by."""
        return self._native.id

    def close(self) -> None:
        """Ends the connections. Close producers and consumers first."""
        self._native.close(None)

    def aclose(self) -> asyncio.Future[None]:
        """As `close`, awaited."""
        return self._native.close(bridge())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"Client({self._name_servers!r})"


class Owner:
    """Whoever was given a client, or addresses and so has one of its own, which it closes."""

    def __init__(self, client: Client | str) -> None:
        if not isinstance(client, (Client, str)):
            kind = type(client).__name__
            raise TypeError(f"a client is a Client or the address of a NameServer, as host:port, not {kind}")
        self._own = Client(client) if isinstance(client, str) else None
        self._client = client if isinstance(client, Client) else self._own

    @property
    def client(self) -> Client:
        """The client."""
        assert isinstance(self._client, Client)
        return self._client

    def _close_client(self) -> None:
        if self._own is not None:
            self._own.close()

    async def _aclose_client(self) -> None:
        if self._own is not None:
            await self._own.aclose()


def filters(topics: Topics) -> dict[str, Filter]:
    """Each topic with its filter."""
    if isinstance(topics, str):
        return {topics: Filter.all()}
    if isinstance(topics, Mapping):
        wanted = topics.items()
        return {topic: Filter.tags(of) if isinstance(of, str) else of for topic, of in wanted}
    return {topic: Filter.all() for topic in topics}
