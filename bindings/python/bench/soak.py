"""Whether memory and descriptors stay as they are: `python bench/soak.py [--minutes 60] [host:port]`.

For as long as asked it sends, consumes, polls, leases, waits where nothing comes, asks administration, ends transactions,
opens and closes clients, forgets some, and cancels what waits; all at once, with asyncio and in a thread. It fails if the
floor of the resident memory or of open descriptors in the last fifth lies higher than in the fifth behind the warm-up, by more
than the limits allow. A floor, because what comes and goes is not what grows.

The server is a process of its own, so that what is measured is this package. It keeps what is sent: `--rate` times `--body`
bytes a second.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Callable

from ferromq import (
    AsyncAdmin,
    AsyncConsumer,
    AsyncPopConsumer,
    AsyncProducer,
    AsyncPullConsumer,
    AsyncTransactionProducer,
    Client,
    Consumer,
    FerroMQError,
    Message,
    Producer,
    TransactionState,
)
from ferromq.testing import LocalBroker

WARM_UP = 0.25
"""The share of the time in which buffers and arenas reach their size."""
WARM_ROUNDS = 5
"""Every kind of work is done so often before the warm-up is over."""
BATCH = 32
"""Messages that are sent together."""
GUESTS = 4
"""Clients that come together."""
LOOK_EVERY = 0.1
"""Seconds between two looks at the process."""


@dataclass
class Look:
    """How the process was."""

    at: float
    memory: float
    """MiB."""
    descriptors: int

    @staticmethod
    def now() -> Look:
        with open("/proc/self/statm", encoding="ascii") as statm:
            pages = int(statm.read().split()[1])
        return Look(time.monotonic(), pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20), len(os.listdir("/proc/self/fd")))


class Soak:
    """Kinds of work, each of which is done again and again until it is enough."""

    def __init__(self, server: str, rate: int, body: int) -> None:
        self.server, self.rate, self.body = server, rate, os.urandom(body)
        self.topic = f"soak-{os.getpid()}"
        self.done, self.failed = Counter[str](), Counter[str]()

    def message(self) -> Message:
        return Message(self.topic, self.body, keys="k", properties={"colour": "blue"})

    def group(self, name: str) -> str:
        return f"{self.topic}-{name}"

    async def send(self, producer: AsyncProducer) -> None:
        began = time.monotonic()
        await producer.send_many([self.message() for _ in range(BATCH)])
        await asyncio.gather(*(producer.send(self.message()) for _ in range(BATCH)))
        await asyncio.sleep(max(0.0, began + 2 * BATCH / self.rate - time.monotonic()))

    async def consume(self, consumer: AsyncConsumer) -> None:
        for message in await consumer.receive_many(1000, timeout=1.0):
            assert len(message.body) == len(self.body)
            await message.ack()

    async def poll(self, consumer: AsyncPullConsumer) -> None:
        for message in await consumer.poll(1.0):
            assert message.property("colour") == "blue"

    async def wait_in_vain(self, consumer: AsyncConsumer) -> None:
        assert await consumer.receive(timeout=0.005) is None

    async def lease(self, consumer: AsyncPopConsumer) -> None:
        await consumer.ack_many(await consumer.receive_many(BATCH, wait=1.0))

    async def cancel(self, producer: AsyncProducer, consumer: AsyncPullConsumer, leases: AsyncPopConsumer) -> None:
        waiting: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(producer.send(self.message())),
            asyncio.ensure_future(consumer.poll()),
            asyncio.ensure_future(leases.receive_many(1)),
        ]
        await asyncio.sleep(random.random() / 20)
        for each in waiting:
            each.cancel()
            with suppress(asyncio.CancelledError):
                await each

    async def end_transaction(self, producer: AsyncTransactionProducer) -> None:
        transaction = await producer.begin(self.message())
        await (transaction.commit() if random.random() < 0.5 else transaction.rollback())

    async def administer(self, admin: AsyncAdmin) -> None:
        await admin.topic_status(self.topic)
        await admin.all_topic_settings()
        await asyncio.sleep(0.02)

    async def come_and_go(self) -> None:
        await asyncio.gather(*(self.visit() for _ in range(GUESTS)))

    async def visit(self) -> None:
        async with Client(self.server) as client, AsyncProducer(client) as producer:
            await producer.send(self.message())
            async with AsyncConsumer(client, self.group("guest"), self.topic) as consumer:
                await consumer.receive_many(1, timeout=0.0)

    async def forget(self) -> None:
        producer = AsyncProducer(self.server)
        await producer.send(self.message())
        consumer = AsyncConsumer(self.server, self.group("forgotten"), self.topic)
        await consumer.start()
        del producer, consumer
        gc.collect()

    async def use_a_thread(self) -> None:
        await asyncio.to_thread(self.come_and_go_in_a_thread)

    def come_and_go_in_a_thread(self) -> None:
        with Client(self.server) as client, Producer(client) as producer:
            producer.send_many([self.message() for _ in range(BATCH)])
            with Consumer(client, self.group("thread"), self.topic) as consumer:
                consumer.receive(timeout=0.0)

    async def run(self, enough: Callable[[], bool]) -> None:
        """Does everything at once."""
        async with AsyncExitStack() as open:
            enter = open.enter_async_context
            client, other = await enter(Client(self.server)), await enter(Client(self.server))
            admin = AsyncAdmin(client)
            for topic in (self.topic, f"{self.topic}-quiet"):
                await admin.change_topic(topic, queues=4)
            producer = await enter(AsyncProducer(client))
            transactions = await enter(AsyncTransactionProducer(client, self.group("t"), lambda _: TransactionState.UNKNOWN))
            consumer = await enter(AsyncConsumer(client, self.group("consumed"), self.topic, max_buffered=BATCH))
            pulls = await enter(AsyncPullConsumer(client, self.group("polled"), self.topic, max_buffered=BATCH))
            leases = await enter(AsyncPopConsumer(client, self.group("leased"), self.topic))
            quiet = await enter(AsyncConsumer(client, self.group("quiet"), f"{self.topic}-quiet"))
            given_up = (
                await enter(AsyncProducer(other)),
                await enter(AsyncPullConsumer(other, self.group("cancelled"), self.topic, max_buffered=BATCH)),
                await enter(AsyncPopConsumer(other, self.group("given-up"), self.topic)),
            )

            async def again(work: Callable[..., Awaitable[None]], *arguments: object) -> None:
                while not enough():
                    try:
                        await work(*arguments)
                        self.done[work.__name__] += 1
                    except FerroMQError as error:
                        # A machine that is too busy for a moment is none of what is looked for.
                        if not error.retryable:
                            raise
                        self.failed[type(error).__name__] += 1

            await asyncio.gather(
                again(self.send, producer),
                again(self.consume, consumer),
                again(self.poll, pulls),
                again(self.lease, leases),
                again(self.wait_in_vain, quiet),
                again(self.cancel, *given_up),
                again(self.end_transaction, transactions),
                again(self.administer, admin),
                again(self.come_and_go),
                again(self.forget),
                again(self.use_a_thread),
            )


KINDS = 11
"""How many kinds of work there are."""


async def watched(soak: Soak, seconds: float) -> list[Look]:
    """Runs it for so long, and looks at the process from the end of the warm-up on."""
    looks: list[Look] = []
    begin = time.monotonic()

    def is_warm() -> bool:
        rounds = [soak.done[name] for name in soak.done]
        return time.monotonic() - begin > seconds * WARM_UP and len(rounds) == KINDS and min(rounds) >= WARM_ROUNDS

    def enough() -> bool:
        return bool(looks) and time.monotonic() - looks[0].at > seconds * (1 - WARM_UP)

    async def look() -> None:
        while not enough():
            await asyncio.sleep(max(LOOK_EVERY, seconds / 1000))
            if looks or is_warm():
                looks.append(Look.now())
                if len(looks) % 100 == 1:
                    print(f"{looks[-1].memory:8.1f} MiB {looks[-1].descriptors:5} descriptors", flush=True)

    await asyncio.gather(look(), soak.run(enough))
    return looks


def grown(looks: list[Look]) -> tuple[float, int]:
    """By how much the floors are higher at the end."""
    fifth = max(1, len(looks) // 5)
    first, last = looks[:fifth], looks[-fifth:]
    memory = min(look.memory for look in last) - min(look.memory for look in first)
    descriptors = min(look.descriptors for look in last) - min(look.descriptors for look in first)
    return memory, descriptors


def main() -> int:
    """Runs as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server", nargs="?", help="NameServers; by default a broker is started")
    parser.add_argument("--minutes", type=float, default=60.0, help="how long, the warm-up included: 60 by default")
    parser.add_argument("--rate", type=float, default=500.0, help="messages that are sent a second, at most: 500 by default")
    parser.add_argument("--body", type=int, default=1024, help="bytes of a message's body: 1024 by default")
    parser.add_argument("--memory", type=float, default=16.0, help="MiB that resident memory may grow: 16 by default")
    parser.add_argument("--descriptors", type=int, default=8, help="descriptors that may stay open: 8 by default")
    options = parser.parse_args()
    with ExitStack() as stack:
        server = options.server or stack.enter_context(LocalBroker()).address
        soak = Soak(server, options.rate, options.body)
        looks = asyncio.run(watched(soak, options.minutes * 60))
    memory, descriptors = grown(looks)
    print(", ".join(f"{name} {count}" for name, count in sorted((soak.done + soak.failed).items())))
    print(f"grown by {memory:.1f} MiB of {options.memory} and {descriptors} descriptors of {options.descriptors}")
    return 0 if memory <= options.memory and descriptors <= options.descriptors else 1


if __name__ == "__main__":
    sys.exit(main())
