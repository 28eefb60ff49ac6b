"""The native half: see `src/lib.rs`. Methods that may wait take a bridge for a future, or `None` to wait."""

import builtins
from asyncio import AbstractEventLoop, Future
from collections.abc import Mapping
from datetime import datetime, timedelta
from os import PathLike
from typing import Any, Sequence, TypeVar, Union, final, overload

from typing_extensions import disjoint_base

from .enums import SendStatus
from .serializers import Serializer

_T = TypeVar("_T")
_Seconds = Union[float, timedelta]
_Instant = Union[float, datetime]
_Path = Union[str, PathLike[str]]

__all__ = [
    "Admin",
    "Bridge",
    "Client",
    "Credentials",
    "Tls",
    "StreamConsumer",
    "next_log_records",
    "set_log_level",
    "Filter",
    "Message",
    "MessageQueue",
    "SendReceipt",
    "PopConsumer",
    "Producer",
    "Reply",
    "PullConsumer",
    "Pulled",
    "AsyncDelivery",
    "AsyncLease",
    "Delivery",
    "Lease",
    "ReceivedMessage",
    "error_names",
    "leave",
    "Check",
    "Checks",
    "Transaction",
    "TransactionProducer",
    "__version__",
]

__version__: str

def leave() -> None: ...
def error_names() -> list[str]: ...
def set_log_level(least: int) -> None: ...
def next_log_records() -> tuple[list[tuple[int, str, str]], int]: ...

@final
class Bridge:
    def __new__(cls, event_loop: AbstractEventLoop, by_pipe: bool) -> Bridge: ...
    def fileno(self) -> int: ...
    def woken(self) -> None: ...
    def drain(self) -> None: ...

@final
class Tls:
    """How connections are encrypted.

    `authorities` is a PEM file of those that are trusted; `certificate` and `key` are shown to servers; `server_name` is
    what certificates have to be for, rather than for the host. `trust_anyone` encrypts and takes any certificate.
    """

    def __new__(
        cls,
        authorities: _Path | None = None,
        *,
        certificate: _Path | None = None,
        key: _Path | None = None,
        server_name: str | None = None,
        trust_anyone: bool = False,
    ) -> Tls: ...

@final
class Credentials:
    """What requests are signed with, for servers with access control."""

    def __new__(cls, access_key: str, secret_key: str, security_token: str | None = None) -> Credentials: ...

@final
class Client:
    def __new__(cls, name_servers: str, options: Mapping[str, Any]) -> Client: ...
    @property
    def id(self) -> str: ...
    @overload
    def close(self, bridge: Bridge) -> Future[None]: ...
    @overload
    def close(self, bridge: None) -> None: ...

@final
class Message:
    """A message to be sent. Immutable; what is wrong with it shows when it is made.

    `body` is bytes, or a text that is sent as UTF-8, or whatever `serializer` takes. `keys` find the message, `tag` and
    `properties` are for filters. Messages with the same `sharding_key` go to the same queue, in order. `delay_level`
    (1 to 18), `deliver_at` or `deliver_after` deliver it later.
    """

    def __new__(
        cls,
        topic: str,
        body: Any,
        *,
        tag: str | None = None,
        keys: str | Sequence[str] | None = None,
        properties: Mapping[str, str] | None = None,
        sharding_key: str | None = None,
        delay_level: int | None = None,
        deliver_at: _Instant | None = None,
        deliver_after: _Seconds | None = None,
        flag: int = 0,
        wait_for_store: bool = True,
        serializer: Serializer[Any] | None = None,
    ) -> Message: ...
    @property
    def topic(self) -> str: ...
    @property
    def body(self) -> bytes: ...
    @property
    def tag(self) -> str | None: ...
    @property
    def keys(self) -> list[str]: ...
    @property
    def sharding_key(self) -> str | None: ...
    @property
    def flag(self) -> int: ...
    @property
    def properties(self) -> dict[str, str]: ...
    def with_properties(self, properties: Mapping[str, str]) -> Message:
        """The same message with further properties; those that it has stay as they are."""

    def __eq__(self, value: object, /) -> bool: ...
    def __ne__(self, value: object, /) -> bool: ...

@final
class MessageQueue:
    """One queue of a topic on a broker."""

    def __new__(cls, topic: str, broker: str, id: int) -> MessageQueue: ...
    @property
    def topic(self) -> str: ...
    @property
    def broker(self) -> str: ...
    @property
    def id(self) -> int: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __ne__(self, value: object, /) -> bool: ...
    def __lt__(self, value: MessageQueue, /) -> bool: ...
    def __le__(self, value: MessageQueue, /) -> bool: ...
    def __gt__(self, value: MessageQueue, /) -> bool: ...
    def __ge__(self, value: MessageQueue, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class SendReceipt:
    """A message is stored."""

    @property
    def status(self) -> SendStatus:
        """How safe it is."""

    @property
    def message_id(self) -> str:
        """The id that its producer gave it, which consumers see."""

    @property
    def queue(self) -> MessageQueue: ...
    @property
    def offset(self) -> int: ...
    @property
    def place(self) -> str | None:
        """Where the record lies, as administration names it."""

    @property
    def recall_handle(self) -> str | None:
        """What takes a timed message back."""

    def __eq__(self, value: object, /) -> bool: ...
    def __ne__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Filter:
    """Which messages of a topic are wanted."""

    @staticmethod
    def all() -> Filter: ...
    @staticmethod
    def tags(expression: str) -> Filter:
        """Messages with one of these tags: `a || b`."""

    @staticmethod
    def sql(expression: str) -> Filter:
        """Messages whose properties satisfy a SQL92 expression."""

    def __eq__(self, value: object, /) -> bool: ...
    def __ne__(self, value: object, /) -> bool: ...

@disjoint_base
class ReceivedMessage:
    """A message that came."""

    @builtins.property
    def topic(self) -> str:
        """The topic that it was sent to."""

    @builtins.property
    def body(self) -> bytes: ...
    def text(self) -> str:
        """The body as UTF-8."""

    def json(self) -> Any:
        """The body as JSON."""

    def value(self, serializer: Serializer[_T]) -> _T:
        """The body as a serializer reads it."""

    @builtins.property
    def tag(self) -> str | None: ...
    @builtins.property
    def keys(self) -> list[str]: ...
    @builtins.property
    def properties(self) -> dict[str, str]: ...
    def property(self, name: str) -> str | None:
        """The value of one property."""

    @builtins.property
    def message_id(self) -> str: ...
    @builtins.property
    def place(self) -> str: ...
    @builtins.property
    def queue(self) -> MessageQueue: ...
    @builtins.property
    def queue_offset(self) -> int: ...
    @builtins.property
    def reconsume_times(self) -> int:
        """How often it was delivered before."""

    @builtins.property
    def sharding_key(self) -> str | None: ...
    @builtins.property
    def born_at(self) -> datetime: ...
    @builtins.property
    def stored_at(self) -> datetime: ...
    @builtins.property
    def born_host(self) -> str: ...
    @builtins.property
    def flag(self) -> int: ...

@final
class Delivery(ReceivedMessage):
    """A message of a stream, of the synchronous API."""

    @property
    def is_open(self) -> bool:
        """Whether nobody has said yet what came of it."""

    def ack(self) -> None:
        """It is done."""

    def nack(self, *, delay_level: int | None = None, dead_letter: bool = False) -> None:
        """It failed: it comes again later, or becomes a dead letter at once."""

@final
class AsyncDelivery(ReceivedMessage):
    """A message of a stream, of the asynchronous API."""

    @property
    def is_open(self) -> bool:
        """Whether nobody has said yet what came of it."""

    def ack(self) -> Future[None]:
        """It is done."""

    def nack(self, *, delay_level: int | None = None, dead_letter: bool = False) -> Future[None]:
        """It failed: it comes again later, or becomes a dead letter at once."""

@final
class Lease(ReceivedMessage):
    """A leased message, of the synchronous API."""

    def ack(self) -> None:
        """It is done."""

    def nack(self) -> None:
        """It failed: it comes again after a wait that grows from 10 s to 2 h."""

    def extend(self, time: _Seconds) -> None:
        """Lets the lease end so much later than now: 1 s to 12 h."""

@final
class AsyncLease(ReceivedMessage):
    """A leased message, of the asynchronous API."""

    def ack(self) -> Future[None]:
        """It is done."""

    def nack(self) -> Future[None]:
        """It failed: it comes again after a wait that grows from 10 s to 2 h."""

    def extend(self, time: _Seconds) -> Future[None]:
        """Lets the lease end so much later than now: 1 s to 12 h."""

@final
class Reply:
    """What somebody replied."""

    @property
    def body(self) -> bytes: ...
    def text(self) -> str:
        """The body as UTF-8."""

    def json(self) -> Any:
        """The body as JSON."""

    @property
    def properties(self) -> dict[str, str]: ...
    @property
    def born_at(self) -> datetime: ...

@final
class Producer:
    def __new__(cls, client: Client, group: str, options: Mapping[str, Any]) -> Producer: ...
    @overload
    def send(self, bridge: Bridge, message: Message, queue: MessageQueue | None = None) -> Future[SendReceipt]: ...
    @overload
    def send(self, bridge: None, message: Message, queue: MessageQueue | None = None) -> SendReceipt: ...
    @overload
    def send_many(self, bridge: Bridge, messages: list[Message]) -> Future[list[SendReceipt]]: ...
    @overload
    def send_many(self, bridge: None, messages: list[Message]) -> list[SendReceipt]: ...
    @overload
    def send_oneway(self, bridge: Bridge, message: Message) -> Future[None]: ...
    @overload
    def send_oneway(self, bridge: None, message: Message) -> None: ...
    @overload
    def recall(self, bridge: Bridge, topic: str, handle: str) -> Future[str]: ...
    @overload
    def recall(self, bridge: None, topic: str, handle: str) -> str: ...
    @overload
    def request(self, bridge: Bridge, question: Message, timeout: _Seconds) -> Future[Reply]: ...
    @overload
    def request(self, bridge: None, question: Message, timeout: _Seconds) -> Reply: ...
    @overload
    def reply(self, bridge: Bridge, question: ReceivedMessage, body: bytes | str) -> Future[SendReceipt]: ...
    @overload
    def reply(self, bridge: None, question: ReceivedMessage, body: bytes | str) -> SendReceipt: ...
    @overload
    def close(self, bridge: Bridge) -> Future[None]: ...
    @overload
    def close(self, bridge: None) -> None: ...

@final
class TransactionProducer:
    def __new__(cls, client: Client, group: str, options: Mapping[str, Any]) -> TransactionProducer: ...
    @property
    def producer(self) -> Producer: ...
    @property
    def checks(self) -> Checks: ...
    @overload
    def begin(self, bridge: Bridge, message: Message) -> Future[Transaction]: ...
    @overload
    def begin(self, bridge: None, message: Message) -> Transaction: ...
    @overload
    def close(self, bridge: Bridge) -> Future[None]: ...
    @overload
    def close(self, bridge: None) -> None: ...

@final
class Checks:
    @overload
    def next(self, bridge: Bridge) -> Future[Check | None]: ...
    @overload
    def next(self, bridge: None) -> Check | None: ...

@final
class Transaction:
    @property
    def receipt(self) -> SendReceipt: ...
    @property
    def is_open(self) -> bool: ...
    @overload
    def end(self, bridge: Bridge, commit: bool) -> Future[None]: ...
    @overload
    def end(self, bridge: None, commit: bool) -> None: ...

@final
class Check:
    @property
    def message(self) -> ReceivedMessage: ...
    def answer(self, state: str) -> None: ...

@final
class StreamConsumer:
    @overload
    @staticmethod
    def start(bridge: Bridge, client: Client, group: str, topics: Mapping[str, Filter], options: Mapping[str, Any]) -> Future[StreamConsumer]: ...
    @overload
    @staticmethod
    def start(bridge: None, client: Client, group: str, topics: Mapping[str, Filter], options: Mapping[str, Any]) -> StreamConsumer: ...
    @overload
    def fill(self, bridge: Bridge, most: int, timeout: _Seconds | None) -> Future[bool | None]: ...
    @overload
    def fill(self, bridge: None, most: int, timeout: _Seconds | None) -> bool | None: ...
    def take(self, most: int, awaited: bool) -> list[ReceivedMessage]: ...
    def take_one(self, awaited: bool) -> ReceivedMessage | None: ...
    @property
    def queues(self) -> list[MessageQueue]: ...
    @overload
    def close(self, bridge: Bridge) -> Future[None]: ...
    @overload
    def close(self, bridge: None) -> None: ...

@final
class PullConsumer:
    @overload
    @staticmethod
    def start(bridge: Bridge, client: Client, group: str, topics: Mapping[str, Filter], options: Mapping[str, Any]) -> Future[PullConsumer]: ...
    @overload
    @staticmethod
    def start(bridge: None, client: Client, group: str, topics: Mapping[str, Filter], options: Mapping[str, Any]) -> PullConsumer: ...
    @overload
    def queues(self, bridge: Bridge, topic: str) -> Future[list[MessageQueue]]: ...
    @overload
    def queues(self, bridge: None, topic: str) -> list[MessageQueue]: ...
    @property
    def assigned(self) -> list[MessageQueue]: ...
    @overload
    def assign(self, bridge: Bridge, queues: list[MessageQueue], filter: Filter) -> Future[None]: ...
    @overload
    def assign(self, bridge: None, queues: list[MessageQueue], filter: Filter) -> None: ...
    @overload
    def wait(self, bridge: Bridge, timeout: _Seconds | None) -> Future[bool]: ...
    @overload
    def wait(self, bridge: None, timeout: _Seconds | None) -> bool: ...
    def take(self) -> list[ReceivedMessage]: ...
    @overload
    def pull(self, bridge: Bridge, queue: MessageQueue, offset: int, most: int, filter: Filter, wait: _Seconds) -> Future[Pulled]: ...
    @overload
    def pull(self, bridge: None, queue: MessageQueue, offset: int, most: int, filter: Filter, wait: _Seconds) -> Pulled: ...
    @overload
    def seek(self, bridge: Bridge, queue: MessageQueue, to: int | str | _Instant) -> Future[None]: ...
    @overload
    def seek(self, bridge: None, queue: MessageQueue, to: int | str | _Instant) -> None: ...
    def pause(self, queues: list[MessageQueue]) -> None: ...
    def resume(self, queues: list[MessageQueue]) -> None: ...
    def position(self, queue: MessageQueue) -> int | None: ...
    @overload
    def committed(self, bridge: Bridge, queue: MessageQueue) -> Future[int | None]: ...
    @overload
    def committed(self, bridge: None, queue: MessageQueue) -> int | None: ...
    @overload
    def commit(self, bridge: Bridge, queue: MessageQueue | None = None, offset: int | None = None) -> Future[None]: ...
    @overload
    def commit(self, bridge: None, queue: MessageQueue | None = None, offset: int | None = None) -> None: ...
    @overload
    def offset_of(self, bridge: Bridge, queue: MessageQueue, place: str | _Instant) -> Future[int]: ...
    @overload
    def offset_of(self, bridge: None, queue: MessageQueue, place: str | _Instant) -> int: ...
    @overload
    def close(self, bridge: Bridge) -> Future[None]: ...
    @overload
    def close(self, bridge: None) -> None: ...

@final
class Pulled:
    """What one pull brought."""

    @property
    def messages(self) -> list[ReceivedMessage]: ...
    @property
    def next_offset(self) -> int:
        """Where to go on."""

    @property
    def min_offset(self) -> int:
        """The oldest message of the queue."""

    @property
    def max_offset(self) -> int:
        """Behind its newest message."""

@final
class PopConsumer:
    @overload
    @staticmethod
    def start(bridge: Bridge, client: Client, group: str, topics: Mapping[str, Filter], options: Mapping[str, Any]) -> Future[PopConsumer]: ...
    @overload
    @staticmethod
    def start(bridge: None, client: Client, group: str, topics: Mapping[str, Filter], options: Mapping[str, Any]) -> PopConsumer: ...
    @overload
    def receive(self, bridge: Bridge, most: int, wait: _Seconds) -> Future[list[ReceivedMessage]]: ...
    @overload
    def receive(self, bridge: None, most: int, wait: _Seconds) -> list[ReceivedMessage]: ...
    @overload
    def ack_many(self, bridge: Bridge, leases: Sequence[ReceivedMessage]) -> Future[None]: ...
    @overload
    def ack_many(self, bridge: None, leases: Sequence[ReceivedMessage]) -> None: ...
    @overload
    def close(self, bridge: Bridge) -> Future[None]: ...
    @overload
    def close(self, bridge: None) -> None: ...

@final
class Admin:
    def __new__(cls, client: Client) -> Admin: ...
    @overload
    def call(self, bridge: Bridge, operation: str, arguments: str) -> Future[Any]: ...
    @overload
    def call(self, bridge: None, operation: str, arguments: str) -> Any: ...
    @staticmethod
    def operations() -> list[tuple[str, list[str]]]: ...
