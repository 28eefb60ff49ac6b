"""Administration. Answers of servers are dictionaries and lists, with the names that `ferromq admin --json` has."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _ferromq
from ._bridge import bridge
from ._client import Client, Instant, Owner
from ._ferromq import MessageQueue, ReceivedMessage

if TYPE_CHECKING:
    from typing_extensions import Self


class AsyncAdmin(Owner):
    """Administration of the servers that a client knows, for asyncio."""

    def __init__(self, client: Client | str) -> None:
        super().__init__(client)
        self._native = _ferromq.Admin(self.client._native)

    def topics(self) -> asyncio.Future[list[str]]:
        """The names of all topics, sorted: those of groups and of brokers included."""
        return self._native.topics(bridge())

    def clusters(self) -> asyncio.Future[list[dict[str, Any]]]:
        """The clusters, each with its brokers."""
        return self._native.clusters(bridge())

    def change_topic(self, topic: str, *, queues: int | None = None, ordered: bool | None = None) -> asyncio.Future[list[dict[str, Any]]]:
        """Creates a topic on all masters, or changes it there; 8 queues unless said otherwise. Returns who failed, and why."""
        return self._native.change_topic(bridge(), topic, queues, ordered)

    def delete_topic(self, topic: str) -> asyncio.Future[None]:
        """Deletes a topic everywhere."""
        return self._native.delete_topic(bridge(), topic)

    def topic_status(self, topic: str) -> asyncio.Future[dict[str, Any]]:
        """What the queues of a topic hold: `value` and who could not say (`failures`)."""
        return self._native.topic_status(bridge(), topic)

    def groups(self) -> asyncio.Future[list[str]]:
        """The names of all consumer groups, sorted."""
        return self._native.groups(bridge())

    def change_group(self, group: str, *, consume: bool | None = None) -> asyncio.Future[list[dict[str, Any]]]:
        """Creates a consumer group on all masters, or changes it there. Returns who failed, and why."""
        return self._native.change_group(bridge(), group, consume)

    def progress(self, group: str, topic: str | None = None) -> asyncio.Future[dict[str, Any]]:
        """How far a group is, and its lag: `value` and who could not say (`failures`)."""
        return self._native.progress(bridge(), group, topic)

    def reset_offsets(self, group: str, topic: str, to: str | Instant) -> asyncio.Future[dict[str, Any]]:
        """Moves a group in a topic to `first`, `last` or a time: `value` are the moves."""
        return self._native.reset_offsets(bridge(), group, topic, to)

    def reset_queue(self, group: str, queue: MessageQueue, offset: int) -> asyncio.Future[dict[str, Any]]:
        """Moves a group in one queue to an offset."""
        return self._native.reset_queue(bridge(), group, queue, offset)

    def messages_by_id(self, topic: str, message_id: str) -> asyncio.Future[list[ReceivedMessage]]:
        """The messages with the id that their producer gave them."""
        return self._native.messages_by_id(bridge(), topic, message_id)

    def message_at(self, place: str) -> asyncio.Future[ReceivedMessage]:
        """The message at a place (`SendReceipt.place`, `ReceivedMessage.place`)."""
        return self._native.message_at(bridge(), place)

    def examine(self) -> asyncio.Future[list[dict[str, Any]]]:
        """What is wrong with a cluster, and what to do about it."""
        return self._native.examine(bridge())

    async def close(self) -> None:
        """Ends the connections, if they are its own."""
        await self._aclose_client()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()


class Admin(Owner):
    """Administration of the servers that a client knows, for threads."""

    def __init__(self, client: Client | str) -> None:
        super().__init__(client)
        self._native = _ferromq.Admin(self.client._native)

    def topics(self) -> list[str]:
        """The names of all topics, sorted: those of groups and of brokers included."""
        return self._native.topics(None)

    def clusters(self) -> list[dict[str, Any]]:
        """The clusters, each with its brokers."""
        return self._native.clusters(None)

    def change_topic(self, topic: str, *, queues: int | None = None, ordered: bool | None = None) -> list[dict[str, Any]]:
        """Creates a topic on all masters, or changes it there; 8 queues unless said otherwise. Returns who failed, and why."""
        return self._native.change_topic(None, topic, queues, ordered)

    def delete_topic(self, topic: str) -> None:
        """Deletes a topic everywhere."""
        self._native.delete_topic(None, topic)

    def topic_status(self, topic: str) -> dict[str, Any]:
        """What the queues of a topic hold: `value` and who could not say (`failures`)."""
        return self._native.topic_status(None, topic)

    def groups(self) -> list[str]:
        """The names of all consumer groups, sorted."""
        return self._native.groups(None)

    def change_group(self, group: str, *, consume: bool | None = None) -> list[dict[str, Any]]:
        """Creates a consumer group on all masters, or changes it there. Returns who failed, and why."""
        return self._native.change_group(None, group, consume)

    def progress(self, group: str, topic: str | None = None) -> dict[str, Any]:
        """How far a group is, and its lag: `value` and who could not say (`failures`)."""
        return self._native.progress(None, group, topic)

    def reset_offsets(self, group: str, topic: str, to: str | Instant) -> dict[str, Any]:
        """Moves a group in a topic to `first`, `last` or a time: `value` are the moves."""
        return self._native.reset_offsets(None, group, topic, to)

    def reset_queue(self, group: str, queue: MessageQueue, offset: int) -> dict[str, Any]:
        """Moves a group in one queue to an offset."""
        return self._native.reset_queue(None, group, queue, offset)

    def messages_by_id(self, topic: str, message_id: str) -> list[ReceivedMessage]:
        """The messages with the id that their producer gave them."""
        return self._native.messages_by_id(None, topic, message_id)

    def message_at(self, place: str) -> ReceivedMessage:
        """The message at a place (`SendReceipt.place`, `ReceivedMessage.place`)."""
        return self._native.message_at(None, place)

    def examine(self) -> list[dict[str, Any]]:
        """What is wrong with a cluster, and what to do about it."""
        return self._native.examine(None)

    def close(self) -> None:
        """Ends the connections, if they are its own."""
        self._close_client()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
