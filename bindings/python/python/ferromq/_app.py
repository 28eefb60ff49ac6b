"""Handlers of several topics in one process.

    app = App("127.0.0.1:9876")

    @app.consumer("orders", group="billing")
    async def bill(message: AsyncDelivery) -> None: ...

    app.run()                            # until SIGTERM or Ctrl-C, then gracefully
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Callable, TypeVar

from ._client import Client, Topics
from ._consumer import AsyncConsumer, AsyncHandler, ConsumerOptions
from ._context import AsyncStarting

if TYPE_CHECKING:
    from typing_extensions import Unpack

H = TypeVar("H", bound=AsyncHandler)


class App(AsyncStarting):
    """Consumers with handlers, which start and stop together. Each group has one handler, which may be of several topics."""

    def __init__(self, client: Client | str) -> None:
        self._given = client
        self._handlers: list[tuple[Callable[[Client], AsyncConsumer], AsyncHandler, int]] = []
        self._consumers: list[AsyncConsumer] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._client: Client | None = None

    def consumer(
        self, topics: Topics, *, group: str, concurrency: int = 20, **options: Unpack[ConsumerOptions]
    ) -> Callable[[H], H]:
        """Makes a function the handler of topics, as `AsyncConsumer.run` says: coroutine functions run on the loop, others
        in at most `concurrency` threads. `options` are `ConsumerOptions`."""

        def register(handler: H) -> H:
            def make(client: Client) -> AsyncConsumer:
                return AsyncConsumer(client, group, topics, **options)

            self._handlers.append((make, handler, concurrency))
            return handler

        return register

    async def start(self) -> None:
        """Starts all consumers."""
        if not self._handlers:
            raise ValueError("there is nothing to run: no function has the decorator `@app.consumer(...)`")
        self._client = Client(self._given) if isinstance(self._given, str) else self._given
        try:
            for make, handler, concurrency in self._handlers:
                consumer = make(self._client)
                await consumer.start()
                self._consumers.append(consumer)
                running = consumer.run(handler, concurrency=concurrency)
                self._tasks.append(asyncio.get_running_loop().create_task(running))
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Stops fetching, waits for handlers, stores positions and leaves the groups."""
        consumers, self._consumers = self._consumers, []
        for consumer in consumers:
            consumer.stop()
        tasks, self._tasks = self._tasks, []
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for consumer in consumers:
            await consumer.close()
        client, self._client = self._client, None
        if client is not None and client is not self._given:
            await client.aclose()
        for error in ended:
            if isinstance(error, Exception):
                raise error

    async def serve(self) -> None:
        """Runs until SIGTERM or SIGINT, or until a consumer fails; then closes. For the main thread."""
        stop = asyncio.Event()
        with _on_signals(stop):
            await self.start()
            try:
                stopped = asyncio.ensure_future(stop.wait())
                await asyncio.wait({stopped, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
                stopped.cancel()
            finally:
                await self.close()

    def run(self) -> None:
        """`asyncio.run` of `serve`."""
        asyncio.run(self.serve())


@contextlib.contextmanager
def _on_signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    try:
        for number in signals:
            loop.add_signal_handler(number, stop.set)
    except NotImplementedError:  # Windows' loops: Ctrl-C cancels the task instead.
        yield
        return
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
