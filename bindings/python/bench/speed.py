"""How fast the package is, against a broker of this machine: `python bench/speed.py [host:port]`.

Prints for each way of sending and receiving: messages a second, and microseconds of this process's processor time for each
message, in all its threads. Build the package and the broker for release first.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import contextmanager, nullcontext
from typing import Iterator

from ferromq import AsyncConsumer, AsyncProducer, Consumer, Message, Producer
from ferromq.testing import LocalBroker

BODY = b"x" * 128
IN_FLIGHT = 256


@contextmanager
def measured(what: str, count: int) -> Iterator[None]:
    """Prints how fast `count` messages were."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{what:44} {count / wall:>10,.0f} /s {cpu / count * 1e6:>8.2f} us", flush=True)


async def awaited(server: str, topic: str) -> None:
    """The asynchronous API."""
    async with AsyncProducer(server) as producer:
        await producer.send(Message(topic, BODY))
        for count in (10_000, 100_000):
            left = count

            async def send() -> None:
                nonlocal left
                while left > 0:
                    left -= 1
                    await producer.send(Message(topic, BODY))

            with measured(f"await send, {IN_FLIGHT} in flight, {count:,}", count):
                await asyncio.gather(*(send() for _ in range(IN_FLIGHT)))
        with measured("await send, 1 in flight", 5_000):
            for _ in range(5_000):
                await producer.send(Message(topic, BODY))
        for size in (100, 1000):
            rounds = 400_000 // size // 4

            async def send_many() -> None:
                for _ in range(rounds):
                    await producer.send_many([Message(topic, BODY) for _ in range(size)])

            with measured(f"await send_many of {size}, 4 at once", rounds * size * 4):
                await asyncio.gather(*(send_many() for _ in range(4)))
    async with AsyncConsumer(server, "bench-many", topic, consume_from="first") as consumer:
        count = 200_000
        with measured("await receive_many, ack", count):
            while count > 0:
                for message in await consumer.receive_many(256):
                    count -= 1
                    message.ack()
    async with AsyncConsumer(server, "bench-one", topic, consume_from="first") as consumer:
        count = 100_000
        with measured("async for, await ack", count):
            async for message in consumer:
                await message.ack()
                count -= 1
                if not count:
                    break


async def cost_of_an_await() -> None:
    """What asyncio itself takes for a future that is done by a callback: for comparison."""
    loop = asyncio.get_running_loop()
    count = 200_000
    with measured("asyncio alone: await a future", count):
        for _ in range(count):
            future = loop.create_future()
            loop.call_soon(future.set_result, None)
            await future


def waited(server: str, topic: str) -> None:
    """The synchronous API."""
    with Producer(server) as producer:
        producer.send(Message(topic, BODY))
        with measured("send, one thread", 5_000):
            for _ in range(5_000):
                producer.send(Message(topic, BODY))
        with measured("send_many of 1000, one thread", 200_000):
            for _ in range(200):
                producer.send_many([Message(topic, BODY) for _ in range(1000)])
    with Consumer(server, "bench-sync", topic, consume_from="first") as consumer:
        count = 200_000
        with measured("receive_many, ack", count):
            while count > 0:
                for message in consumer.receive_many(256):
                    count -= 1
                    message.ack()


def main() -> None:
    """Measures."""
    given = sys.argv[1] if len(sys.argv) > 1 else None
    with nullcontext() if given else LocalBroker(settings={"mappedFileSizeCommitLog": "134217728"}) as broker:
        server = given or (broker.address if broker else "")
        print(f"{os.cpu_count()} processors, bodies of {len(BODY)} bytes, Python {sys.version.split()[0]}")
        asyncio.run(cost_of_an_await())
        asyncio.run(awaited(server, "Bench"))
        waited(server, "BenchSync")


if __name__ == "__main__":
    main()
