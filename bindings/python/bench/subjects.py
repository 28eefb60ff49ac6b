"""What is compared: each client's own way to send and to receive, for so many seconds, in a process of its own.

`compare.py` starts it as `python bench/subjects.py SUBJECT ADDRESS TOPIC SECONDS`, once in every round. It prints a line of
JSON for each loop: what it was, how many messages, how long it took, and how much processor time of this process, in all its
threads.

Every loop runs for SECONDS, or until there is no message left to receive. Messages are received that were sent before, by
the same process.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

BODY = b"x" * 128
IN_FLIGHT = 256
BATCH = 1000
FETCH = 256
PATIENCE = 60.0
"""Seconds until a message that must be there is missing."""

ONE = "send, one after the other"
FLIGHT = f"send, {IN_FLIGHT} in flight"
MANY = "send many"
RECEIVE = "receive, acknowledge"
LEASE = "lease, acknowledge"
EACH = "`async for`, `await message.ack()`"
AWAIT = "an `await` of a future"


class Loop:
    """One measurement under way."""

    def __init__(self, seconds: float) -> None:
        self.count = 0
        self._until = time.perf_counter() + seconds

    def goes_on(self) -> bool:
        """Whether its time is not over yet."""
        return time.perf_counter() < self._until


@contextmanager
def measured(what: str, seconds: float) -> Iterator[Loop]:
    """Prints how many messages the loop has counted, and what they took."""
    wall, cpu = time.perf_counter(), time.process_time()
    loop = Loop(seconds)
    yield loop
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"what": what, "count": loop.count, "wall": wall, "cpu": cpu}), flush=True)


async def ferromq(address: str, topic: str, seconds: float) -> None:
    """This package, with asyncio."""
    from ferromq import AsyncConsumer, AsyncPopConsumer, AsyncProducer, Message

    async with AsyncProducer(address) as producer:
        await producer.send(Message(topic, BODY))
        with measured(ONE, seconds) as loop:
            while loop.goes_on():
                await producer.send(Message(topic, BODY))
                loop.count += 1
        with measured(FLIGHT, seconds) as loop:

            async def send() -> None:
                while loop.goes_on():
                    await producer.send(Message(topic, BODY))
                    loop.count += 1

            await asyncio.gather(*(send() for _ in range(IN_FLIGHT)))
        with measured(MANY, seconds) as loop:

            async def send_many() -> None:
                while loop.goes_on():
                    await producer.send_many([Message(topic, BODY) for _ in range(BATCH)])
                    loop.count += BATCH

            await asyncio.gather(*(send_many() for _ in range(4)))
        sent = loop.count
    async with AsyncConsumer(address, f"{topic}-consumer", topic, consume_from="first") as consumer:
        assert (first := await consumer.receive(timeout=PATIENCE)) is not None
        await first.ack()
        with measured(RECEIVE, seconds) as loop:
            while loop.goes_on() and loop.count < sent:
                for message in await consumer.receive_many(FETCH):
                    message.ack()
                    loop.count += 1
    async with AsyncConsumer(address, f"{topic}-each", topic, consume_from="first") as consumer:
        assert (first := await consumer.receive(timeout=PATIENCE)) is not None
        await first.ack()
        with measured(EACH, seconds) as loop:
            async for message in consumer:
                await message.ack()
                loop.count += 1
                if not (loop.goes_on() and loop.count < sent):
                    break
    async with AsyncPopConsumer(address, f"{topic}-leases", topic, from_oldest=True, invisible_time=60) as leasing:
        for lease in await leasing.receive_many(1, wait=PATIENCE):
            await lease.ack()
        with measured(LEASE, seconds) as loop:

            async def take() -> None:
                while loop.goes_on() and loop.count < sent:
                    leases = await leasing.receive_many(32, wait=0.1)
                    if leases:
                        await leasing.ack_many(leases)
                    loop.count += len(leases)

            await asyncio.gather(*(take() for _ in range(8)))
    with measured(AWAIT, seconds) as loop:
        running = asyncio.get_running_loop()
        while loop.count < 100_000:
            future = running.create_future()
            running.call_soon(future.set_result, None)
            await future
            loop.count += 1


def threads(address: str, topic: str, seconds: float) -> None:
    """This package, without asyncio, in one thread."""
    from ferromq import Consumer, Message, Producer

    with Producer(address) as producer:
        producer.send(Message(topic, BODY))
        with measured(ONE, seconds) as loop:
            while loop.goes_on():
                producer.send(Message(topic, BODY))
                loop.count += 1
        with measured(MANY, seconds) as loop:
            while loop.goes_on():
                producer.send_many([Message(topic, BODY) for _ in range(BATCH)])
                loop.count += BATCH
        sent = loop.count
    with Consumer(address, f"{topic}-consumer", topic, consume_from="first") as consumer:
        assert (first := consumer.receive(timeout=PATIENCE)) is not None
        first.ack()
        with measured(RECEIVE, seconds) as loop:
            while loop.goes_on() and loop.count < sent:
                for message in consumer.receive_many(FETCH):
                    message.ack()
                    loop.count += 1


def official(address: str, topic: str, seconds: float) -> None:
    """RocketMQ's own client for its version 5, through the proxy, which has no batches: it sends many as it sends any."""
    from rocketmq import ClientConfiguration, Credentials, FilterExpression, Producer, SimpleConsumer
    from rocketmq import Message as OfficialMessage
    from rocketmq.v5.exception import ClientException

    def message() -> OfficialMessage:
        made = OfficialMessage()
        made.topic = topic
        made.body = BODY
        return made

    configuration = ClientConfiguration(address, Credentials())
    consumer = SimpleConsumer(configuration, f"{topic}-leases", {topic: FilterExpression()}, await_duration=5)
    consumer.startup()
    # The proxy lets a new group begin at the end: it begins now. A client that is new to it may fail at first, as the proxy
    # has not heard of its settings yet.
    until = time.perf_counter() + PATIENCE
    while True:
        try:
            consumer.receive(32, 60)
            break
        except ClientException:
            if time.perf_counter() > until:
                raise
            time.sleep(0.1)
    producer = Producer(configuration, (topic,))
    producer.startup()
    producer.send(message())
    sent = 1
    with measured(ONE, seconds) as loop:
        while loop.goes_on():
            producer.send(message())
            loop.count += 1
    sent += loop.count
    for what in (FLIGHT, MANY):
        slots = threading.Semaphore(IN_FLIGHT)
        with measured(what, seconds) as loop:
            futures = []
            while loop.goes_on():
                slots.acquire()
                future = producer.send_async(message())
                future.add_done_callback(lambda _: slots.release())
                futures.append(future)
            for future in futures:
                future.result()
            loop.count = len(futures)
        sent += loop.count
    lock = threading.Lock()
    # As many threads as its consumer with handlers has; `ack_async` works in the main thread only, and tells nothing.
    for what in (RECEIVE, LEASE):
        with measured(what, seconds) as loop:

            def take() -> None:
                while loop.goes_on() and loop.count < sent:
                    leases = consumer.receive(32, 60) or ()
                    for lease in leases:
                        consumer.ack(lease)
                    with lock:
                        loop.count += len(leases)

            workers = [threading.Thread(target=take) for _ in range(20)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        sent -= loop.count
    producer.shutdown()
    consumer.shutdown()


async def aiokafka(address: str, topic: str, seconds: float) -> None:
    """Kafka, with asyncio. `send` puts messages into batches of the client's own: those are its `send_many`."""
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

    producer = AIOKafkaProducer(bootstrap_servers=address, acks=1)
    await producer.start()
    await producer.send_and_wait(topic, BODY)
    with measured(ONE, seconds) as loop:
        while loop.goes_on():
            await producer.send_and_wait(topic, BODY)
            loop.count += 1
    with measured(FLIGHT, seconds) as loop:

        async def send() -> None:
            while loop.goes_on():
                await producer.send_and_wait(topic, BODY)
                loop.count += 1

        await asyncio.gather(*(send() for _ in range(IN_FLIGHT)))
    with measured(MANY, seconds) as loop:

        async def send_many() -> None:
            while loop.goes_on():
                sending = [await producer.send(topic, BODY) for _ in range(BATCH)]
                await asyncio.gather(*sending)
                loop.count += BATCH

        await asyncio.gather(*(send_many() for _ in range(4)))
    sent = loop.count
    await producer.stop()
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=address,
        group_id=f"{topic}-consumer",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    await consumer.getone()
    with measured(RECEIVE, seconds) as loop:
        while loop.goes_on() and loop.count < sent:
            for messages in (await consumer.getmany(timeout_ms=1000, max_records=FETCH)).values():
                loop.count += len(messages)
            await consumer.commit()
    await consumer.stop()


def confluent(address: str, topic: str, seconds: float) -> None:
    """Kafka, by librdkafka, whose producer batches what is sent while a request is under way."""
    from confluent_kafka import Consumer, KafkaError, Message, Producer

    producer = Producer({"bootstrap.servers": address, "acks": 1, "linger.ms": 0})
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error)

    def produce() -> None:
        while True:
            try:
                producer.produce(topic, BODY, on_delivery=delivered)
                return
            except BufferError:
                producer.poll(0.1)

    produce()
    producer.flush()
    with measured(ONE, seconds) as loop:
        while loop.goes_on():
            produce()
            producer.flush()
            loop.count += 1
    with measured(FLIGHT, seconds) as loop:
        while loop.goes_on():
            while len(producer) >= IN_FLIGHT:
                producer.poll(0.1)
            produce()
            loop.count += 1
        producer.flush()
    producer = Producer({"bootstrap.servers": address, "acks": 1, "linger.ms": 5})
    with measured(MANY, seconds) as loop:
        while loop.goes_on():
            for _ in range(BATCH):
                produce()
            producer.poll(0)
            loop.count += BATCH
        producer.flush()
    sent = loop.count
    assert not failed, failed[0]
    settings = {"group.id": f"{topic}-consumer", "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer = Consumer({"bootstrap.servers": address, **settings})
    consumer.subscribe([topic])
    while not consumer.consume(1, timeout=PATIENCE):
        pass
    with measured(RECEIVE, seconds) as loop:
        while loop.goes_on() and loop.count < sent:
            messages = consumer.consume(FETCH, timeout=1)
            assert all(message.error() is None for message in messages)
            loop.count += len(messages)
            if messages:
                consumer.commit(asynchronous=True)
    consumer.close()


SUBJECTS = {
    "ferromq": ferromq,
    "threads": threads,
    "official": official,
    "aiokafka": aiokafka,
    "confluent": confluent,
}


def main() -> None:
    """Measures one of them."""
    subject, address, topic, seconds = sys.argv[1:]
    running = SUBJECTS[subject](address, topic, float(seconds))
    if running is not None:
        asyncio.run(running)


if __name__ == "__main__":
    main()
