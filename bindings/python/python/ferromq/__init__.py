"""RocketMQ's messaging for Python: asyncio and threads, typed, without a JVM.

| to | asyncio | threads |
|---|---|---|
| send | `AsyncProducer` | `Producer` |
| send in transactions | `AsyncTransactionProducer` | `TransactionProducer` |
| be handed messages | `AsyncConsumer`, `App` | `Consumer` |
| ask for messages, queue by queue | `AsyncPullConsumer` | `PullConsumer` |
| lease messages | `AsyncPopConsumer` | `PopConsumer` |
| administer | `AsyncAdmin` | `Admin` |
"""

from __future__ import annotations

import atexit as _atexit

from . import answers, propagation
from ._admin import Admin, AsyncAdmin
from ._app import App
from ._client import Client, Instant, Seconds, Topics
from ._consumer import AsyncConsumer, Consumer, ConsumerOptions
from ._ferromq import (
    AsyncDelivery,
    AsyncLease,
    Credentials,
    Delivery,
    Filter,
    Lease,
    Message,
    MessageQueue,
    Pulled,
    ReceivedMessage,
    Reply,
    SendReceipt,
    Tls,
    __version__,
    leave as _leave,
)
from ._pop import AsyncPopConsumer, PopConsumer, PopOptions
from ._producer import AsyncProducer, Producer, ProducerOptions
from ._pull import AsyncPullConsumer, PullConsumer, PullOptions
from ._transaction import AsyncTransaction, AsyncTransactionProducer, Transaction, TransactionProducer
from .enums import Outcome, SendStatus, TransactionState
from .errors import (
    AdminError,
    BatchError,
    CallTimeoutError,
    ClosedError,
    ConfigError,
    FerroMQError,
    ForkedError,
    InvalidMessageError,
    NoReplyError,
    NotAssignedError,
    RefusedError,
    Remedy,
    RouteError,
    ServerError,
    SettledError,
    TopicNotFoundError,
    TransactionError,
    UnreachableError,
)
from .serializers import JSON, JsonSerializer, Serializer

# Threads that wait in the native half come back before the interpreter ends.
_atexit.register(_leave)

__all__ = [
    "JSON",
    "Admin",
    "AdminError",
    "App",
    "AsyncAdmin",
    "AsyncConsumer",
    "AsyncDelivery",
    "AsyncLease",
    "AsyncPopConsumer",
    "AsyncProducer",
    "AsyncPullConsumer",
    "AsyncTransaction",
    "AsyncTransactionProducer",
    "BatchError",
    "CallTimeoutError",
    "Client",
    "ClosedError",
    "ConfigError",
    "Consumer",
    "ConsumerOptions",
    "Credentials",
    "Delivery",
    "FerroMQError",
    "Filter",
    "ForkedError",
    "Instant",
    "InvalidMessageError",
    "JsonSerializer",
    "Lease",
    "Message",
    "MessageQueue",
    "NoReplyError",
    "NotAssignedError",
    "Outcome",
    "PopConsumer",
    "PopOptions",
    "Producer",
    "ProducerOptions",
    "PullConsumer",
    "PullOptions",
    "Pulled",
    "ReceivedMessage",
    "RefusedError",
    "Remedy",
    "Reply",
    "RouteError",
    "Seconds",
    "SendReceipt",
    "SendStatus",
    "Serializer",
    "ServerError",
    "SettledError",
    "Tls",
    "TopicNotFoundError",
    "Topics",
    "Transaction",
    "TransactionError",
    "TransactionProducer",
    "TransactionState",
    "UnreachableError",
    "__version__",
    "answers",
    "propagation",
]
