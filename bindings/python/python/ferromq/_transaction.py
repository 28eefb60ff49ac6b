"""Messages that consumers see only if something else, usually a database transaction, comes about."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Union

from . import _ferromq
from ._bridge import bridge
from ._client import Client
from ._context import AsyncStarting, Closing
from ._ferromq import Message, ReceivedMessage, SendReceipt
from ._producer import AsyncSending, ProducerOptions, Sending
from .enums import TransactionState
from .propagation import carrying

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

AsyncChecker = Callable[[ReceivedMessage], Union[TransactionState, Awaitable[TransactionState]]]
Checker = Callable[[ReceivedMessage], TransactionState]

_logger = logging.getLogger("ferromq.transaction")


class AsyncTransaction:
    """A half message is stored; what becomes of it is open.

    As a context, commits at its end, and rolls back if it is left by an exception. Forgotten, the broker asks the checker.
    If the broker cannot be told how it ended, that is a `TransactionError`, and it stays open: the call may be repeated.
    """

    def __init__(self, native: _ferromq.Transaction) -> None:
        self._native = native

    @property
    def receipt(self) -> SendReceipt:
        """The receipt of the half message."""
        return self._native.receipt

    def commit(self) -> asyncio.Future[None]:
        """Lets consumers have the message. If this gets lost, the broker asks the checker."""
        return self._native.end(bridge(), True)

    def rollback(self) -> asyncio.Future[None]:
        """Drops the message. If this gets lost, the broker asks the checker."""
        return self._native.end(bridge(), False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._native.is_open:
            await self._native.end(bridge(), kind is None)


class AsyncTransactionProducer(AsyncSending, AsyncStarting):
    """Sends messages in transactions, and others.

    `check` is asked what has become of the transaction of a message, which may have been sent by any producer of the
    group, also one that is gone. It may be a coroutine function; another one runs on the event loop, and should not block.
    Brokers are answered while the producer is entered (`async with`), or after `start`.
    """

    def __init__(
        self, client: Client | str, group: str, check: AsyncChecker, **options: Unpack[ProducerOptions]
    ) -> None:
        super().__init__(client)
        self._native = _ferromq.TransactionProducer(self.client._native, group, options)
        self._producer = self._native.producer
        self._check = check
        self._checking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to answer brokers."""
        if self._checking is None:
            answering = _answer_awaited(self._native.checks, self._check)
            self._checking = asyncio.get_running_loop().create_task(answering, name="ferromq-checks")

    async def begin(self, message: Message) -> AsyncTransaction:
        """Stores a half message, which nobody sees until it is committed."""
        return AsyncTransaction(await self._native.begin(bridge(), carrying(message)))

    async def close(self) -> None:
        """Waits until what is in flight has ended, and for checks that run, and leaves the group."""
        await self._native.close(bridge())
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.gather(self._checking, return_exceptions=True)
        await self._aclose_client()


# What answers brokers knows nothing of the producer, so that nothing keeps a forgotten one from being collected.


async def _answer_awaited(checks: _ferromq.Checks, checker: AsyncChecker) -> None:
    while (check := await checks.next(bridge())) is not None:
        try:
            said = checker(check.message)
            state = await said if inspect.isawaitable(said) else said
            check.answer(_state(state))
        except Exception:
            _logger.exception("a checker failed: the broker asks again")
            check.answer("unknown")


class Transaction:
    """A half message is stored; what becomes of it is open.

    As a context, commits at its end, and rolls back if it is left by an exception. Forgotten, the broker asks the checker.
    If the broker cannot be told how it ended, that is a `TransactionError`, and it stays open: the call may be repeated.
    """

    def __init__(self, native: _ferromq.Transaction) -> None:
        self._native = native

    @property
    def receipt(self) -> SendReceipt:
        """The receipt of the half message."""
        return self._native.receipt

    def commit(self) -> None:
        """Lets consumers have the message. If this gets lost, the broker asks the checker."""
        self._native.end(None, True)

    def rollback(self) -> None:
        """Drops the message. If this gets lost, the broker asks the checker."""
        self._native.end(None, False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._native.is_open:
            self._native.end(None, kind is None)


class TransactionProducer(Sending, Closing):
    """Sends messages in transactions, and others.

    `check` is asked what has become of the transaction of a message, which may have been sent by any producer of the
    group, also one that is gone. It runs in a thread of its own.
    """

    def __init__(self, client: Client | str, group: str, check: Checker, **options: Unpack[ProducerOptions]) -> None:
        super().__init__(client)
        self._native = _ferromq.TransactionProducer(self.client._native, group, options)
        self._producer = self._native.producer
        self._checking = threading.Thread(
            target=_answer, args=(self._native.checks, check), name="ferromq-checks", daemon=True
        )
        self._checking.start()

    def begin(self, message: Message) -> Transaction:
        """Stores a half message, which nobody sees until it is committed."""
        return Transaction(self._native.begin(None, carrying(message)))

    def close(self) -> None:
        """Waits until what is in flight has ended, and for checks that run, and leaves the group."""
        self._native.close(None)
        self._close_client()


def _answer(checks: _ferromq.Checks, checker: Checker) -> None:
    try:
        while (check := checks.next(None)) is not None:
            try:
                check.answer(_state(checker(check.message)))
            except Exception:
                _logger.exception("a checker failed: the broker asks again")
                check.answer("unknown")
    except Exception:  # The interpreter is ending.
        return


def _state(said: Any) -> str:
    return said.value if isinstance(said, TransactionState) else TransactionState(said).value
