"""Administration of the servers that a client knows. What is answered is in `ferromq.answers`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Union

from ._client import Instant
from ._context import AsyncClosing, Closing
from ._ferromq import MessageQueue, ReceivedMessage
from ._operation import Asking, AsyncAsking, Call, operation
from .answers import (
    AtBroker,
    BrokerNode,
    BrokerState,
    Cluster,
    Connected,
    Consumed,
    ConsumerGroup,
    Failure,
    Finding,
    Gathered,
    InCluster,
    Moved,
    PerBroker,
    Position,
    Progress,
    RouteRow,
    Running,
    Statistic,
    Subscribed,
    TopicSettings,
    TopicStatus,
    Track,
    Traffic,
)

Scope = Union[InCluster, AtBroker]
"""Which brokers are meant: `{"cluster": name}` or `{"broker": name_or_address}`; without one, all that there are."""


class Operations:
    """What can be administered.

    What many brokers know is asked of all of them: the answer has what the others say (`value`) and who failed (`failures`).
    What is changed is changed on masters, and may be changed again if some failed. Calls raise `AdminError`, or what went
    wrong with the servers; `ConfigError` if an argument is no good.
    """

    # --- topics ---

    @operation
    def topics(self, *, cluster: str | None = None) -> Call[list[str]]:
        """The names of all topics, or of those of a cluster, sorted: those of groups and of brokers included."""
        return Call(cluster=cluster)

    @operation
    def topic_route(self, topic: str) -> Call[list[RouteRow]]:
        """Where a topic is: its brokers."""
        return Call(topic=topic)

    @operation
    def topic_status(self, topic: str) -> Call[Gathered[TopicStatus]]:
        """What the queues of a topic hold."""
        return Call(topic=topic)

    @operation
    def topic_settings(self, topic: str, *, scope: Scope | None = None) -> Call[Gathered[list[PerBroker[TopicSettings]]]]:
        """How a topic is set on each master that has it. That no broker has it is an error."""
        return Call(topic=topic, scope=scope)

    @operation
    def all_topic_settings(self, *, scope: Scope | None = None) -> Call[Gathered[list[PerBroker[dict[str, TopicSettings]]]]]:
        """How all topics are set on each master, by name."""
        return Call(scope=scope)

    @operation
    def change_topic(
        self,
        topic: str,
        *,
        queues: int | None = None,
        read_queues: int | None = None,
        write_queues: int | None = None,
        permission: int | None = None,
        ordered: bool | None = None,
        sys_flag: int | None = None,
        set: Mapping[str, str] | None = None,
        remove: Iterable[str] = (),
        scope: Scope | None = None,
    ) -> Call[list[Failure]]:
        """Creates a topic on masters, or changes it there; what is not given stays as it is. Returns who failed, and why.

        A new topic has 8 `queues` for reading and writing, unless `read_queues` or `write_queues` say otherwise. The
        `permission` is 2 for writing, 4 for reading, 6 for both. `set` and `remove` are attributes: `message.type`.
        """
        return Call(
            topic=topic,
            queues=queues,
            read_queues=read_queues,
            write_queues=write_queues,
            permission=permission,
            ordered=ordered,
            sys_flag=sys_flag,
            set=None if set is None else dict(set),
            remove=list(remove),
            scope=scope,
        )

    @operation
    def put_topic(self, settings: TopicSettings, *, scope: Scope | None = None) -> Call[Gathered[list[BrokerNode]]]:
        """Gives a topic these settings, all of them; makes it where it is not there. Returns who has."""
        return Call(settings=settings, scope=scope)

    @operation
    def delete_topic(self, topic: str, *, scope: Scope | None = None) -> Call[list[Failure]]:
        """Deletes a topic, everywhere unless said otherwise. Returns who failed, and why."""
        return Call(topic=topic, scope=scope)

    @operation
    def groups_of_topic(self, topic: str) -> Call[Gathered[list[str]]]:
        """The groups that read a topic, or have read it."""
        return Call(topic=topic)

    @operation
    def traffic(self, topic: str | None = None) -> Call[Gathered[list[Traffic]]]:
        """What goes through a topic and each group that reads it; through all that applications made by default."""
        return Call(topic=topic)

    @operation
    def order_of(self, topic: str) -> Call[Union[str, None]]:
        """How many queues an ordered topic has on each broker, as NameServers tell clients: `broker-a:4;broker-b:4`."""
        return Call(topic=topic)

    @operation
    def set_order_of(self, topic: str, order: str | None = None) -> Call[Gathered[list[BrokerNode]]]:
        """Sets that; removes it by default. Returns which NameServers have."""
        return Call(topic=topic, order=order)

    # --- groups ---

    @operation
    def groups(self, *, scope: Scope | None = None) -> Call[list[str]]:
        """The names of all consumer groups, sorted."""
        return Call(scope=scope)

    @operation
    def group_settings(self, group: str, *, scope: Scope | None = None) -> Call[Gathered[list[PerBroker[dict[str, Any]]]]]:
        """How a group is set on each master that knows it. That no broker does is an error."""
        return Call(group=group, scope=scope)

    @operation
    def all_group_settings(self, *, scope: Scope | None = None) -> Call[Gathered[list[PerBroker[dict[str, dict[str, Any]]]]]]:
        """How all groups are set on each master, by name."""
        return Call(scope=scope)

    @operation
    def change_group(
        self,
        group: str,
        *,
        consume: bool | None = None,
        broadcast: bool | None = None,
        from_min: bool | None = None,
        orderly: bool | None = None,
        retry_queues: int | None = None,
        retry_max: int | None = None,
        broker_id: int | None = None,
        slow_broker_id: int | None = None,
        notify: bool | None = None,
        set: Mapping[str, str] | None = None,
        scope: Scope | None = None,
    ) -> Call[list[Failure]]:
        """Creates a consumer group on masters, or changes it there; what is not given stays as it is. Returns who failed.

        Whether members may `consume` at all, and in `broadcast` mode (yes); may start at the oldest message (`from_min`,
        yes); consume `orderly`, for consumers that leave that to brokers (no); `retry_queues` of its retry topic (1);
        redeliveries before a message becomes a dead letter (`retry_max`, 16); the broker that serves it (0, the master)
        and the one for slow readers (1); whether members are told of joins and leaves (`notify`, yes); attributes to
        `set`. In parentheses: of a new group.
        """
        return Call(
            group=group,
            consume=consume,
            broadcast=broadcast,
            from_min=from_min,
            orderly=orderly,
            retry_queues=retry_queues,
            retry_max=retry_max,
            broker_id=broker_id,
            slow_broker_id=slow_broker_id,
            notify=notify,
            set=None if set is None else dict(set),
            scope=scope,
        )

    @operation
    def put_group(self, settings: Mapping[str, Any], *, scope: Scope | None = None) -> Call[Gathered[list[BrokerNode]]]:
        """Gives a group these settings, all of them; makes it where it is not there. Returns who has."""
        return Call(settings=dict(settings), scope=scope)

    @operation
    def delete_group(
        self, group: str, *, offsets: bool = False, messages: bool = False, scope: Scope | None = None
    ) -> Call[Gathered[list[BrokerNode]]]:
        """Deletes a group's settings; its positions (`offsets`), its retries and dead letters (`messages`), too. Returns
        who has."""
        return Call(group=group, offsets=offsets, messages=messages, scope=scope)

    @operation
    def progress(self, group: str, topic: str | None = None, *, scope: Scope | None = None) -> Call[Gathered[Progress]]:
        """How far a group is, and its lag, in all of its topics or in one."""
        return Call(group=group, topic=topic, scope=scope)

    @operation
    def topics_of_group(self, group: str) -> Call[Gathered[list[str]]]:
        """The topics that a group has positions in."""
        return Call(group=group)

    @operation
    def subscription(self, group: str, topic: str) -> Call[Gathered[Union[Subscribed, None]]]:
        """What a group that is there wants of a topic; nothing if it does not read it."""
        return Call(group=group, topic=topic)

    @operation
    def set_mode(
        self, group: str, topic: str, *, pop: bool, shared: int = 0, scope: Scope | None = None
    ) -> Call[Gathered[list[BrokerNode]]]:
        """Sets whether a group pulls or pops a topic, for consumers that leave that to brokers. Returns who has.

        `shared` is with how many further members each shares its queues while popping; 0 for all.
        """
        return Call(group=group, topic=topic, pop=pop, shared=shared, scope=scope)

    @operation
    def readable(self, group: str, topic: str, change: bool | None = None) -> Call[Gathered[list[PerBroker[bool]]]]:
        """Whether a group may read a topic on each master of it; changes it first, if asked to."""
        return Call(group=group, topic=topic, change=change)

    @operation
    def consumers(self, group: str, *, scope: Scope | None = None) -> Call[Gathered[Union[ConsumerGroup, None]]]:
        """The members of a consumer group and what they want; nothing if nobody is there."""
        return Call(group=group, scope=scope)

    @operation
    def producers(self, group: str, *, scope: Scope | None = None) -> Call[Gathered[list[Connected]]]:
        """The members of a producer group."""
        return Call(group=group, scope=scope)

    @operation
    def all_producers(self, *, scope: Scope | None = None) -> Call[Gathered[dict[str, list[Connected]]]]:
        """All producers, by group."""
        return Call(scope=scope)

    @operation
    def running_info(self, group: str, client: str, *, stack: bool = False) -> Call[Running]:
        """What a member of a group is doing, by its client id; with `stack`, what its threads do, too, if it can tell."""
        return Call(group=group, client=client, stack=stack)

    # --- positions ---

    @operation
    def reset_offsets(self, group: str, topic: str, to: str | Instant, *, dry_run: bool = False) -> Call[Gathered[list[Moved]]]:
        """Moves a group in a topic to `first`, `last` or a time: the first message stored then or later. Returns the moves."""
        return Call(group=group, topic=topic, to=to if isinstance(to, str) else _milliseconds(to), dry_run=dry_run)

    @operation
    def reset_queue(self, group: str, queue: MessageQueue, offset: int, *, dry_run: bool = False) -> Call[Gathered[list[Moved]]]:
        """Moves a group in one queue to an offset. Returns the move."""
        return Call(group=group, queue=_named(queue), offset=offset, dry_run=dry_run)

    @operation
    def clone_offsets(self, from_group: str, to_group: str, topic: str) -> Call[Gathered[list[BrokerNode]]]:
        """Gives a group the positions of another one in a topic; nobody of it should be there. Returns who has."""
        return Call(from_group=from_group, to_group=to_group, topic=topic)

    @operation
    def member_positions(self, group: str, topic: str) -> Call[Gathered[dict[str, list[Position]]]]:
        """Where the members of a group are in a topic, by their own account: by client id."""
        return Call(group=group, topic=topic)

    # --- messages ---

    @operation
    def message_at(self, place: str) -> Call[ReceivedMessage]:
        """The message at a place (`SendReceipt.place`, `ReceivedMessage.place`)."""
        return Call(place=place)

    @operation
    def messages_by_id(self, topic: str, message_id: str) -> Call[list[ReceivedMessage]]:
        """The messages with the id that their producer gave them: several if one was stored again."""
        return Call(topic=topic, id=message_id)

    @operation
    def messages_by_key(
        self, topic: str, key: str, *, begin: Instant | None = None, end: Instant | None = None, most: int = 32
    ) -> Call[list[ReceivedMessage]]:
        """The messages with a key that were stored in a span of time, the newest first: at most so many of each broker."""
        span = {name: None if at is None else _milliseconds(at) for name, at in (("begin", begin), ("end", end))}
        return Call(topic=topic, key=key, most=most, **span)

    @operation
    def read_queue(self, queue: MessageQueue, offset: int, most: int = 32) -> Call[list[ReceivedMessage]]:
        """Messages of a queue from an offset on, 32 at most. Changes nobody's position."""
        return Call(queue=_named(queue), offset=offset, most=most)

    @operation
    def queue_entries(self, queue: MessageQueue, offset: int, most: int = 32) -> Call[dict[str, Any]]:
        """Entries of a queue as its broker keeps them (`queueData`): where records lie, and what filters go by."""
        return Call(queue=_named(queue), offset=offset, most=most)

    @operation
    def store_copy(self, place: str, queue: MessageQueue) -> Call[int]:
        """Stores a copy of the message at a place in a queue: of a dead letter in its topic, say. Returns its offset."""
        return Call(place=place, queue=_named(queue))

    @operation
    def consume_directly(self, group: str, client: str, place: str) -> Call[Consumed]:
        """Has a member of a group, by its client id, consume the message at a place, now. Returns how it fared."""
        return Call(group=group, client=client, place=place)

    @operation
    def track(self, place: str) -> Call[list[Track]]:
        """What became of the message at a place in each group that reads its topic."""
        return Call(place=place)

    # --- servers ---

    @operation
    def clusters(self) -> Call[list[Cluster]]:
        """The clusters, each with its brokers."""
        return Call()

    @operation
    def brokers(self, *, scope: Scope | None = None) -> Call[list[BrokerNode]]:
        """The brokers, masters and replicas."""
        return Call(scope=scope)

    @operation
    def broker_states(self, *, scope: Scope | None = None) -> Call[Gathered[list[PerBroker[BrokerState]]]]:
        """How brokers are, replicas included."""
        return Call(scope=scope)

    @operation
    def broker_settings(self, *, scope: Scope | None = None) -> Call[Gathered[list[PerBroker[dict[str, str]]]]]:
        """How brokers are set, replicas included: by key, without secrets."""
        return Call(scope=scope)

    @operation
    def change_broker_settings(
        self, changes: Mapping[str, str], *, scope: Scope | None = None
    ) -> Call[Gathered[list[BrokerNode]]]:
        """Changes settings of running brokers, replicas included; none that is a path. Returns who has."""
        return Call(changes=dict(changes), scope=scope)

    @operation
    def clean(self, what: str, *, scope: Scope | None = None) -> Call[Gathered[list[BrokerNode]]]:
        """Has brokers clear away `expired_queues`, `unused_topics` or `expired_log`. Returns who has."""
        return Call(what=what, scope=scope)

    @operation
    def replication(self, *, scope: Scope | None = None) -> Call[Gathered[list[PerBroker[dict[str, Any]]]]]:
        """How replication goes, as masters see it."""
        return Call(scope=scope)

    @operation
    def statistic(self, name: str, key: str, *, scope: Scope | None = None) -> Call[Gathered[list[PerBroker[Statistic]]]]:
        """One statistic, such as `TOPIC_PUT_NUMS` of a topic or `GROUP_GET_NUMS` of `topic@group`, of each master that has it."""
        return Call(name=name, key=key, scope=scope)

    @operation
    def name_server_settings(self) -> Call[Gathered[list[PerBroker[dict[str, str]]]]]:
        """How NameServers are set: by key, without secrets."""
        return Call()

    @operation
    def change_name_server_settings(self, changes: Mapping[str, str]) -> Call[Gathered[list[BrokerNode]]]:
        """Changes settings of running NameServers; none that is a path. Returns who has."""
        return Call(changes=dict(changes))

    @operation
    def value(self, namespace: str, key: str) -> Call[Union[str, None]]:
        """A value of the NameServers' key-value table; nothing if it has none."""
        return Call(namespace=namespace, key=key)

    @operation
    def values(self, namespace: str) -> Call[dict[str, str]]:
        """A namespace of the NameServers' key-value table."""
        return Call(namespace=namespace)

    @operation
    def put_value(self, namespace: str, key: str, value: str) -> Call[Gathered[list[BrokerNode]]]:
        """Stores a value in the NameServers' key-value table. Returns which of them have."""
        return Call(namespace=namespace, key=key, value=value)

    @operation
    def delete_value(self, namespace: str, key: str) -> Call[Gathered[list[BrokerNode]]]:
        """Removes a value from the NameServers' key-value table. Returns which of them have."""
        return Call(namespace=namespace, key=key)

    @operation
    def allow_writes(self, broker: str, allow: bool) -> Call[Gathered[list[PerBroker[int]]]]:
        """Keeps producers away from a broker before it is stopped, or lets them come again. Returns how many of its topics
        each NameServer has changed."""
        return Call(broker=broker, allow=allow)

    @operation
    def examine(self) -> Call[list[Finding]]:
        """What is wrong with the servers, and what to do about it; the worst first."""
        return Call()


class AsyncAdmin(Operations, AsyncAsking, AsyncClosing):
    """Administration of the servers that a client knows, for asyncio: each operation returns a future."""

    async def close(self) -> None:
        """Ends the connections, if they are its own."""
        await self._aclose_client()


class Admin(Operations, Asking, Closing):
    """Administration of the servers that a client knows, for threads."""

    def close(self) -> None:
        """Ends the connections, if they are its own."""
        self._close_client()


def _milliseconds(at: Instant) -> int:
    seconds = at if isinstance(at, (int, float)) else at.timestamp()
    return round(seconds * 1000)


def _named(queue: MessageQueue) -> dict[str, str | int]:
    return {"topic": queue.topic, "broker": queue.broker, "queue": queue.id}
