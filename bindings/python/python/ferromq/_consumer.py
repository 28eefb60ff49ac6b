"""Consumers that are handed messages: as a stream, in batches, or by a handler."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable, TypedDict, Union, cast

from . import _ferromq
from ._bridge import bridge
from ._client import Client, Instant, Owner, Seconds, Topics, filters
from ._context import AsyncStarting, Starting
from ._ferromq import AsyncDelivery, Delivery, MessageQueue
from .enums import Outcome
from .errors import ClosedError, ConfigError, SettledError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from typing_extensions import Unpack

AsyncHandler = Callable[[AsyncDelivery], Union[Awaitable[Union[Outcome, None]], Outcome, None]]
Handler = Callable[[Delivery], Union[Outcome, None]]

_logger = logging.getLogger("ferromq.consumer")

PREFETCH = 32
"""Messages that are taken from the client at once while they are handed out one by one."""


class ConsumerOptions(TypedDict, total=False):
    """How a consumer consumes. What is not set is as in official clients."""

    in_order: bool
    """Hands the messages of each queue out in their order, one at a time; by default concurrently."""
    broadcasting: Union[str, os.PathLike[str]]
    """Every member gets every message, and keeps its positions in this directory; nothing that failed comes again."""
    consume_from: Union[str, Instant]
    """Where the group starts in a queue for which it has no position: `last` (the default), `first`, or a time."""
    strategy: str
    """How members share queues, by the name that official clients have for it; `STICKY` by default."""
    fetch_batch: int
    """How many messages one pull may bring: 32 by default."""
    max_buffered: int
    """How many messages of one queue may be here without being done: 1,000 by default."""
    max_buffered_bytes: int
    """How many bytes of one queue may be here without being done: 100 MiB by default."""
    max_span: int
    """How far one slow message lets the others of its queue run ahead, in offsets: 2,000 by default."""
    max_reconsume_times: int
    """How often a message that failed is delivered again before it becomes a dead letter: 16 by default."""
    pause_after_failure: Seconds
    """In order: how long a queue pauses after a message that failed: 1 s by default."""


class AsyncConsumer(Owner, AsyncStarting):
    """A consumer for asyncio. Entering it (`async with`), or `start`, joins the group.

    A message has to be acknowledged: `await message.ack()`. One that is not, and is forgotten, counts as failed, and comes
    again. Handlers (`run`) acknowledge by returning.
    """

    def __init__(self, client: Client | str, group: str, topics: Topics, **options: Unpack[ConsumerOptions]) -> None:
        """`client` is one, or NameServers: `"host:port"`, several with `;` between. `topics` is one, several, or each with
        a filter. `options` are `ConsumerOptions`. Nothing begins before `start`, or `with`."""
        super().__init__(client)
        self._group, self._topics, self._options = group, filters(topics), options
        self._native: _ferromq.StreamConsumer | None = None
        self._stopping: asyncio.Event | None = None
        self._running: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Joins the group and begins to fetch."""
        if self._native is None:
            start = _ferromq.StreamConsumer.start
            self._native = await start(bridge(), self.client._native, self._group, self._topics, self._options)

    @property
    def queues(self) -> list[MessageQueue]:
        """The queues that are this member's now."""
        return self._started().queues

    async def receive_many(self, most: int = PREFETCH, *, timeout: Seconds | None = None) -> list[AsyncDelivery]:
        """Up to `most` messages, 1 at least, as soon as there are any; none if none come within `timeout`.

        Cancelling it loses nothing. Raises `ClosedError` once the consumer is closed.
        """
        native = self._started()
        while True:
            if messages := native.take(most, True):
                return cast("list[AsyncDelivery]", messages)
            filled = await native.fill(bridge(), most, timeout)
            if filled is None:
                return []
            if not filled:
                raise ClosedError("the consumer is closed")

    async def receive(self, *, timeout: Seconds | None = None) -> AsyncDelivery | None:
        """The next message; none if none comes within `timeout`."""
        messages = await self.receive_many(1, timeout=timeout)
        return messages[0] if messages else None

    async def __aiter__(self) -> AsyncIterator[AsyncDelivery]:
        native = self._started()
        while True:
            while (message := native.take_one(True)) is not None:
                yield cast("AsyncDelivery", message)
            if not await native.fill(bridge(), PREFETCH, None):
                return

    async def run(self, handler: AsyncHandler, *, concurrency: int = 20, executor: Executor | None = None) -> None:
        """Hands messages to `handler` until `stop` or `close`, so many at a time; then waits for those that are handled.

        A coroutine function runs on the loop, any other in a thread of `executor`, or of a pool of as many threads.
        A handler that returns is done with its message, unless it returns another `Outcome`; if it raises, the message
        comes again. It may also say so itself, by `ack` or `nack`: then what it returns or raises changes nothing.
        """
        _check_count("concurrency", concurrency)
        await self.start()
        native, stopping = self._started(), self._event()
        pool = None
        if not _is_async(handler) and executor is None:
            from concurrent.futures import ThreadPoolExecutor

            executor = pool = ThreadPoolExecutor(concurrency, thread_name_prefix=f"ferromq-{self._group}")
        room = asyncio.Semaphore(concurrency)
        stopped = asyncio.ensure_future(stopping.wait())
        try:
            while not stopping.is_set():
                await room.acquire()
                message = await self._next(native, stopped)
                if message is None:
                    room.release()
                    break
                task = asyncio.ensure_future(_handle(handler, message, executor))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
                task.add_done_callback(lambda _: room.release())
        finally:
            stopped.cancel()
            while self._running:
                await asyncio.wait(self._running)
            if pool is not None:
                pool.shutdown(wait=False)

    async def _next(
        self, native: _ferromq.StreamConsumer, stopped: asyncio.Future[Any]
    ) -> AsyncDelivery | None:
        while not stopped.done():
            message = native.take_one(True)
            if message is not None:
                return cast("AsyncDelivery", message)
            filled = native.fill(bridge(), PREFETCH, None)
            await asyncio.wait({filled, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not filled.done():
                filled.cancel()
            elif not filled.result():
                return None
        return None

    def stop(self) -> None:
        """Lets `run` end once what is handled now is done."""
        self._event().set()

    async def close(self) -> None:
        """Stops fetching, waits for handlers, stores positions and leaves the group. What is not acknowledged by then
        comes again."""
        self.stop()
        if self._running:
            await asyncio.wait(set(self._running))
        if self._native is not None:
            await self._native.close(bridge())
        await self._aclose_client()

    def _started(self) -> _ferromq.StreamConsumer:
        if self._native is None:
            raise ClosedError("the consumer is not started: use `async with`, or await `start()`")
        return self._native

    def _event(self) -> asyncio.Event:
        if self._stopping is None:
            self._stopping = asyncio.Event()
        return self._stopping


def _check_count(name: str, count: int) -> None:
    if count < 1:
        raise ConfigError(f"{name} is {count}, allowed is 1 and more")


def _is_async(handler: Any) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))


async def _handle(handler: AsyncHandler, message: AsyncDelivery, executor: Executor | None) -> None:
    try:
        if executor is None:
            said = handler(message)
            outcome = await said if inspect.isawaitable(said) else said
        else:
            outcome = await asyncio.get_running_loop().run_in_executor(executor, cast("Any", handler), message)
    except asyncio.CancelledError:
        _settle(message, Outcome.LATER)
        raise
    except Exception:
        _log_failure(message)
        outcome = Outcome.LATER
    settled = _settle(message, outcome)
    if settled is not None:
        await settled


def _settle(message: Any, outcome: Outcome | None) -> Any:
    """Says what came of a message, unless its handler has, perhaps in another thread."""
    with suppress(SettledError):
        if outcome is Outcome.LATER:
            return message.nack()
        if outcome is Outcome.DEAD_LETTER:
            return message.nack(dead_letter=True)
        return message.ack()
    return None


def _log_failure(message: AsyncDelivery | Delivery) -> None:
    what = "a handler failed: %r comes again" if message.is_open else "a handler failed when it had settled %r"
    _logger.exception(what, message)


class Consumer(Owner, Starting):
    """A consumer for threads. Entering it (`with`), or `start`, joins the group.

    A message has to be acknowledged: `message.ack()`. One that is not, and is forgotten, counts as failed, and comes again.
    Handlers (`run`) acknowledge by returning.
    """

    def __init__(self, client: Client | str, group: str, topics: Topics, **options: Unpack[ConsumerOptions]) -> None:
        """`client` is one, or NameServers: `"host:port"`, several with `;` between. `topics` is one, several, or each with
        a filter. `options` are `ConsumerOptions`. Nothing begins before `start`, or `with`."""
        super().__init__(client)
        self._group, self._topics, self._options = group, filters(topics), options
        self._native: _ferromq.StreamConsumer | None = None
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Joins the group and begins to fetch."""
        if self._native is None:
            start = _ferromq.StreamConsumer.start
            self._native = start(None, self.client._native, self._group, self._topics, self._options)

    @property
    def queues(self) -> list[MessageQueue]:
        """The queues that are this member's now."""
        return self._started().queues

    def receive_many(self, most: int = PREFETCH, *, timeout: Seconds | None = None) -> list[Delivery]:
        """Up to `most` messages, 1 at least, as soon as there are any; none if none come within `timeout`.

        Raises `ClosedError` once the consumer is closed.
        """
        native = self._started()
        while True:
            if messages := native.take(most, False):
                return cast("list[Delivery]", messages)
            filled = native.fill(None, most, timeout)
            if filled is None:
                return []
            if not filled:
                raise ClosedError("the consumer is closed")

    def receive(self, *, timeout: Seconds | None = None) -> Delivery | None:
        """The next message; none if none comes within `timeout`."""
        messages = self.receive_many(1, timeout=timeout)
        return messages[0] if messages else None

    def __iter__(self) -> Iterator[Delivery]:
        native = self._started()
        while True:
            while (message := native.take_one(False)) is not None:
                yield cast("Delivery", message)
            if not native.fill(None, PREFETCH, None):
                return

    def run(self, handler: Handler, *, threads: int = 8) -> None:
        """Hands messages to `handler` in so many threads until `stop` or `close`, or until an exception such as
        `KeyboardInterrupt` ends the wait; then waits for those that are handled.

        A handler that returns is done with its message, unless it returns another `Outcome`; if it raises, the message
        comes again. It may also say so itself, by `ack` or `nack`: then what it returns or raises changes nothing.
        """
        _check_count("threads", threads)
        self.start()
        self._threads = [
            threading.Thread(target=self._work, args=(handler,), name=f"ferromq-{self._group}-{n}", daemon=True)
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()
        try:
            while not self._stopping.wait(0.2) and any(thread.is_alive() for thread in self._threads):
                pass
        finally:
            self.stop()
            for thread in self._threads:
                thread.join()

    def _work(self, handler: Handler) -> None:
        native = self._started()
        while not self._stopping.is_set():
            taken = native.take_one(False)
            if taken is None:
                try:
                    if native.fill(None, PREFETCH, 0.2) is False:
                        return
                except ClosedError:
                    return
                continue
            message = cast("Delivery", taken)
            try:
                outcome = handler(message)
            except Exception:
                _log_failure(message)
                outcome = Outcome.LATER
            _settle(message, outcome)

    def stop(self) -> None:
        """Lets `run` end once what is handled now is done."""
        self._stopping.set()

    def close(self) -> None:
        """Stops fetching, waits for handlers, stores positions and leaves the group. What is not acknowledged by then
        comes again."""
        self.stop()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        if self._native is not None:
            self._native.close(None)
        self._close_client()

    def _started(self) -> _ferromq.StreamConsumer:
        if self._native is None:
            raise ClosedError("the consumer is not started: use `with`, or `start()`")
        return self._native
