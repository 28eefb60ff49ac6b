"""What can go wrong. An exception's class says what failed, its `remedy` who has to act.

    FerroMQError
    ├── ConfigError              an option, a name, a certificate          (ValueError)
    ├── InvalidMessageError      a message that cannot be sent             (ValueError)
    ├── ClosedError              the client, producer or consumer is closed
    ├── SettledError             acknowledged, or ended, twice
    ├── ForkedError              made before this process was forked
    ├── RouteError               it is not known where to send or to read
    │   └── TopicNotFoundError
    ├── ServerError              a server's answer cannot be used
    │   ├── UnreachableError     no connection, or it ended                (ConnectionError)
    │   ├── CallTimeoutError     no answer in time                         (TimeoutError)
    │   └── RefusedError         the server said no: `code`
    ├── BatchError               some of a batch are stored: `receipts`
    ├── TransactionError         it is not known how a transaction ended
    ├── NoReplyError             nobody replied in time                    (TimeoutError)
    ├── NotAssignedError         the queue is none of this consumer's
    └── AdminError
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._ferromq import SendReceipt


class Remedy(enum.Enum):
    """Who has to act on an error, and so whether trying again may help."""

    RETRY = "retry"
    """Nobody, or time: the same call may succeed later. The client has tried that already, as often as it may."""
    FIX_CALL = "fix_call"
    """Whoever wrote the calling program: the same call fails again."""
    ASK_OPERATOR = "ask_operator"
    """Whoever runs the servers: a permission, a setting, a topic or a disk."""


class FerroMQError(Exception):
    """The base of all exceptions of this package."""

    remedy: Remedy = Remedy.FIX_CALL

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later."""
        return self.remedy is Remedy.RETRY


class ConfigError(FerroMQError, ValueError):
    """An option, a name or a certificate."""


class InvalidMessageError(FerroMQError, ValueError):
    """A message that cannot be sent."""


class ClosedError(FerroMQError):
    """The client, producer or consumer is closed."""


class SettledError(FerroMQError):
    """The message is acknowledged, or the transaction ended, already."""


class ForkedError(FerroMQError):
    """Made before this process was forked: make a new one in the child."""


class RouteError(FerroMQError):
    """It is not known where to send or to read."""


class TopicNotFoundError(RouteError):
    """No broker has the topic."""


class ServerError(FerroMQError):
    """A server's answer cannot be used."""


class UnreachableError(ServerError, ConnectionError):
    """No connection to the server, or it ended before the answer came."""


class CallTimeoutError(ServerError, TimeoutError):
    """No answer in time. The server may have done what it was asked for."""


class RefusedError(ServerError):
    """The server said no."""

    code: int = 0
    """The response code of the protocol."""


class BatchError(FerroMQError):
    """Some of the messages of a batch are stored, the rest are not known to be."""

    receipts: list[SendReceipt] = []
    """Of the messages that are stored: the first ones of the batch."""


class TransactionError(FerroMQError):
    """A transaction could not be begun safely or ended: the broker asks the checker."""


class NoReplyError(FerroMQError, TimeoutError):
    """Nobody replied in time."""


class NotAssignedError(FerroMQError):
    """The queue is none of this consumer's, or no longer."""


class AdminError(FerroMQError):
    """An operator's call failed."""


def _make(name: str, text: str, remedy: str, code: int | None, receipts: list[SendReceipt] | None) -> FerroMQError:
    """Called by the native half."""
    kind: type[FerroMQError] = globals()[name]
    error = kind(text)
    error.remedy = Remedy(remedy)
    if code is not None and isinstance(error, RefusedError):
        error.code = code
    if receipts is not None and isinstance(error, BatchError):
        error.receipts = receipts
    return error
