"""What administration answers: dictionaries with the names that `ferromq admin --output json` has.

Times are milliseconds since 1970. Settings have RocketMQ's names; those that have no type here differ between versions of
brokers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar

if TYPE_CHECKING:
    from typing_extensions import NotRequired

_T = TypeVar("_T")


class Failure(TypedDict):
    """A server that could not do its part."""

    server: str
    """Its name, or its address if it has none."""
    addr: str
    code: int | None
    """What it refused with, if it did."""
    error: str


if TYPE_CHECKING:

    class Gathered(TypedDict, Generic[_T]):
        """What several servers said."""

        value: _T
        failures: list[Failure]
        """Those that could not say; a call fails if nobody could."""

    class PerBroker(TypedDict, Generic[_T]):
        """What one of several brokers said."""

        broker: BrokerNode
        value: _T

else:  # Before Python 3.11 no such class can be made.

    class Gathered(TypedDict):
        """What several servers said."""

        value: Any
        failures: list[Failure]

    class PerBroker(TypedDict):
        """What one of several brokers said."""

        broker: BrokerNode
        value: Any


class BrokerNode(TypedDict):
    """One broker process: a master or a replica."""

    cluster: str
    name: str
    id: int
    """0 for the master."""
    addr: str


class Cluster(TypedDict):
    """A cluster."""

    name: str
    brokers: list[BrokerNode]


class BrokerState(TypedDict):
    """How a broker is."""

    version: str
    started: int | None
    putsPerSecond: float
    getsPerSecond: float
    putsToday: int
    getsToday: int
    diskUsed: float | None
    """From 0 to 1."""
    logBytes: int
    oldestMessage: int | None
    table: dict[str, str]
    """All that it says of itself, by RocketMQ's names."""


class Counted(TypedDict):
    """What was counted in a period."""

    sum: int
    tps: float
    avgpt: float


class Statistic(TypedDict):
    """What was counted."""

    statsMinute: Counted
    statsHour: Counted
    statsDay: Counted


class Finding(TypedDict):
    """What was looked at, and what was found."""

    severity: str
    """`ok`, `warning` or `error`."""
    check: str
    subject: str
    found: str
    advice: str


class RouteRow(TypedDict):
    """A broker that has a topic."""

    cluster: str
    broker: str
    addrs: dict[str, str]
    """By broker id: `"0"` is the master."""
    readQueues: int
    writeQueues: int


class TopicSettings(TypedDict):
    """How a topic is set on a broker."""

    topicName: str
    readQueueNums: int
    writeQueueNums: int
    perm: int
    """2 write, 4 read, 6 both."""
    order: bool
    topicFilterType: str
    topicSysFlag: int
    attributes: dict[str, str]


class QueueStatus(TypedDict):
    """What a queue holds."""

    topic: str
    broker: str
    queue: int
    min: int
    max: int
    """Behind the newest message."""
    lastStored: int | None


class TopicStatus(TypedDict):
    """What the queues of a topic hold."""

    putsPerSecond: float
    queues: list[QueueStatus]


class Traffic(TypedDict):
    """What goes through a topic, and through a group that reads it."""

    topic: str
    group: str | None
    putsPerSecond: float
    putsInDay: int
    getsPerSecond: float
    getsInDay: int
    lag: int


class QueueProgress(TypedDict):
    """How far a group is in a queue."""

    topic: str
    broker: str
    queue: int
    end: int
    """Behind the newest message."""
    position: int
    lag: int
    lastConsumed: int | None
    """When the last message that it consumed was stored."""


class Progress(TypedDict):
    """How far a group is."""

    getsPerSecond: float
    lag: int
    queues: list[QueueProgress]


class Connected(TypedDict):
    """A client that is connected."""

    clientId: str
    addr: str
    language: str
    version: int
    """As RocketMQ counts them."""
    heard: NotRequired[int]
    """When it was last heard, among all producers."""


class Subscribed(TypedDict):
    """What a group wants of a topic."""

    expression: str
    kind: str
    """`TAG` or `SQL92`."""


class ConsumerGroup(TypedDict):
    """A consumer group that is there."""

    group: str
    members: list[Connected]
    consumeType: str
    messageModel: str
    consumeFromWhere: str
    subscriptions: dict[str, Subscribed]
    """By topic."""


class RunningQueue(TypedDict):
    """A queue that a member has."""

    topic: str
    broker: str
    queue: int
    position: int
    waiting: int
    """Messages that it has and that are not done."""
    waitingMib: int
    locked: bool
    lastPulled: int
    lastConsumed: int


class Running(TypedDict):
    """What a member of a group is doing."""

    client: str
    properties: dict[str, str]
    queues: list[RunningQueue]
    rates: dict[str, Any]
    stack: str | None


class Moved(TypedDict):
    """A move of a group in a queue."""

    topic: str
    broker: str
    queue: int
    before: int | None
    """None if it had no position."""
    after: int


class Position(TypedDict):
    """Where a member is in a queue."""

    topic: str
    broker: str
    queue: int
    position: int


class Consumed(TypedDict):
    """How a client fared with a message that it was handed."""

    consumeResult: str | int
    """`CR_SUCCESS`, `CR_LATER`, …; a number from Go clients."""
    order: bool
    remark: str | None
    spentTimeMills: int


class Track(TypedDict):
    """What became of a message in a group."""

    group: str
    consumed: bool | None
    """Whether the group is behind the message; none if that cannot be told."""
    online: bool


class InCluster(TypedDict):
    """The brokers of a cluster."""

    cluster: str


class AtBroker(TypedDict):
    """One broker, by its name or its address."""

    broker: str
