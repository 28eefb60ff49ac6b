"""Consuming, on both APIs."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from conftest import LIMIT, eventually, wait_for_end

import ferromq
from ferromq import (
    App,
    AsyncConsumer,
    AsyncDelivery,
    AsyncPopConsumer,
    AsyncProducer,
    AsyncPullConsumer,
    Consumer,
    Delivery,
    Filter,
    Message,
    Outcome,
    PopConsumer,
    Producer,
    PullConsumer,
)


def send(server: str, *messages: Message) -> None:
    """Sends messages."""
    with Producer(server) as producer:
        for message in messages:
            producer.send(message)


async def test_a_stream_brings_what_is_sent_while_it_runs(server: str, topic: str, group: str) -> None:
    async with AsyncProducer(server) as producer:
        await producer.send(Message(topic, "0"))
        async with AsyncConsumer(server, group, topic, consume_from="first") as consumer:
            seen = []
            async for message in consumer:
                seen.append(int(message.text()))
                await message.ack()
                if len(seen) == 10:
                    break
                await producer.send(Message(topic, str(len(seen))))
            assert seen == list(range(10))
            assert consumer.queues


async def test_what_was_acknowledged_does_not_come_again(server: str, topic: str, group: str) -> None:
    send(server, *(Message(topic, str(n), sharding_key="k") for n in range(10)))
    async with AsyncConsumer(server, group, topic, consume_from="first", in_order=True) as consumer:
        for n in range(5):
            message = await consumer.receive()
            assert message is not None and message.text() == str(n)
            await message.ack()
            with pytest.raises(ferromq.SettledError):
                await message.ack()
    async with AsyncConsumer(server, group, topic, in_order=True) as consumer:
        rest = []
        async for message in consumer:
            rest.append(message.text())
            await message.ack()
            if len(rest) == 5:
                break
        assert rest == ["5", "6", "7", "8", "9"]
        assert await consumer.receive(timeout=0.2) is None


def test_many_come_at_once_without_a_loop(server: str, topic: str, group: str) -> None:
    with Producer(server) as producer:
        receipts = producer.send_many([Message(topic, str(n)) for n in range(100)])
    wait_for_end(server, receipts[-1].queue, 100)
    with Consumer(server, group, topic, consume_from="first") as consumer:
        seen: set[str] = set()
        largest = 0
        while len(seen) < 100:
            messages = consumer.receive_many(50)
            largest = max(largest, len(messages))
            for message in messages:
                seen.add(message.text())
                message.ack()
        assert largest > 1
        assert consumer.receive_many(timeout=0.1) == []


async def test_tags_and_sql_filter(server: str, topic: str, group: str) -> None:
    send(server, *(Message(topic, str(n), tag=f"t{n % 3}", properties={"n": str(n)}) for n in range(9)))
    cases: list[tuple[str | Filter, set[int]]] = [
        ("t0 || t2", {0, 2, 3, 5, 6, 8}),
        (Filter.sql("n > 4"), {5, 6, 7, 8}),
        (Filter.all(), set(range(9))),
    ]
    for place, (wanted, expected) in enumerate(cases):
        filters: dict[str, str | Filter] = {topic: wanted}
        async with AsyncConsumer(server, f"{group}-{place}", filters, consume_from="first") as consumer:
            seen: set[int] = set()
            while len(seen) < len(expected):
                for message in await consumer.receive_many():
                    seen.add(int(message.text()))
                    await message.ack()
            assert seen == expected


async def test_what_failed_comes_again_and_what_is_hopeless_does_not(server: str, topic: str, group: str) -> None:
    send(server, Message(topic, "again"), Message(topic, "hopeless"))
    async with AsyncConsumer(server, group, topic, consume_from="first") as consumer:
        times: dict[str, int] = {}
        # Each is on a queue of its own, so that either may come first.
        while times != {"again": 1, "hopeless": 0}:
            message = await consumer.receive()
            assert message is not None
            times[message.text()] = message.reconsume_times
            if message.reconsume_times:
                await message.ack()
            elif message.text() == "again":
                await message.nack(delay_level=1)
            else:
                await message.nack(dead_letter=True)
    async with AsyncConsumer(server, f"{group}-dead", f"%DLQ%{group}", consume_from="first") as consumer:
        dead = await consumer.receive()
        assert dead is not None and dead.text() == "hopeless"
        await dead.ack()


async def test_every_member_gets_everything_where_it_is_broadcast(
    server: str, topic: str, group: str, tmp_path: Path
) -> None:
    send(server, *(Message(topic, str(n)) for n in range(10)))

    async def member(name: str) -> set[str]:
        seen: set[str] = set()
        place = tmp_path / name
        client = ferromq.Client(server, instance_name=f"{group}-{name}")
        async with client, AsyncConsumer(client, group, topic, broadcasting=place, consume_from="first") as consumer:
            while len(seen) < 10:
                for message in await consumer.receive_many():
                    seen.add(message.text())
                    await message.ack()
        return seen

    one, other = await asyncio.gather(member("one"), member("other"))
    assert one == other == {str(n) for n in range(10)}


async def test_handlers_of_both_kinds_run_as_many_at_a_time_as_they_may(server: str, topic: str, group: str) -> None:
    app = App(server)
    running, most = 0, 0
    full = asyncio.Event()
    seen: list[str] = []
    threads: set[str] = set()

    @app.consumer(topic, group=group, concurrency=3, consume_from="first")
    async def handle(message: AsyncDelivery) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 3:
            full.set()
        await full.wait()
        await asyncio.sleep(0.02)
        running -= 1
        seen.append(message.text())

    @app.consumer(topic, group=f"{group}-threads", concurrency=3, consume_from="first")
    def handle_in_thread(message: AsyncDelivery) -> Outcome:
        threads.add(threading.current_thread().name)
        time.sleep(0.02)
        seen.append(message.text())
        return Outcome.DONE

    async with AsyncProducer(server) as producer:
        await producer.send_many([Message(topic, str(n)) for n in range(20)])
    async with app:
        while len(seen) < 40:
            await asyncio.sleep(0.01)
    assert most == 3
    assert 1 <= len(threads) <= 3 and "MainThread" not in threads


async def test_a_handler_that_raises_gets_its_message_again(
    server: str, topic: str, group: str, caplog: pytest.LogCaptureFixture
) -> None:
    send(server, Message(topic, "x"))
    done = asyncio.Event()

    async def handle(message: AsyncDelivery) -> None:
        if message.reconsume_times == 0:
            raise ValueError("the first time")
        done.set()

    async with AsyncConsumer(server, group, topic, consume_from="first") as consumer:
        running = asyncio.ensure_future(consumer.run(handle))
        await done.wait()
        consumer.stop()
        await running
    assert "comes again" in caplog.text


def test_handlers_run_in_threads_without_a_loop(server: str, topic: str, group: str) -> None:
    send(server, *(Message(topic, str(n)) for n in range(20)))
    seen: list[str] = []

    def handle(message: Delivery) -> None:
        seen.append(message.text())
        if len(seen) >= 20:
            consumer.stop()

    with Consumer(server, group, topic, consume_from="first") as consumer:
        consumer.run(handle, threads=4)
    assert sorted(map(int, seen)) == list(range(20))


async def test_a_handler_may_settle_its_message_itself(server: str, topic: str, group: str) -> None:
    send(server, *(Message(topic, how) for how in ("acks", "fails", "raises", "is cancelled")))
    unhandled: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: unhandled.append(context))
    seen: list[tuple[str, int]] = []
    ended = asyncio.Event()

    async def handle(message: AsyncDelivery) -> None:
        how = message.text()
        seen.append((how, message.reconsume_times))
        if ("fails", 1) in seen and len(seen) >= 5:
            ended.set()
        assert message.is_open
        if how == "fails" and message.reconsume_times == 0:
            await message.nack(delay_level=1)
        else:
            await message.ack()
        assert not message.is_open
        if how == "raises":
            raise ValueError
        if how == "is cancelled":
            raise asyncio.CancelledError

    async with AsyncConsumer(server, group, topic, consume_from="first") as consumer:
        running = asyncio.ensure_future(consumer.run(handle))
        await ended.wait()
        consumer.stop()
        await running
    gc.collect()
    await asyncio.sleep(0)
    assert sorted(seen) == [("acks", 0), ("fails", 0), ("fails", 1), ("is cancelled", 0), ("raises", 0)]
    assert unhandled == []


def test_a_handler_may_settle_its_message_itself_without_a_loop_too(server: str, topic: str, group: str) -> None:
    send(server, *(Message(topic, how) for how in ("acks", "fails", "raises")))
    seen: list[tuple[str, int]] = []

    def handle(message: Delivery) -> None:
        how = message.text()
        seen.append((how, message.reconsume_times))
        if ("fails", 1) in seen and len(seen) >= 4:
            consumer.stop()
        assert message.is_open
        if how == "fails" and message.reconsume_times == 0:
            message.nack(delay_level=1)
        else:
            message.ack()
        assert not message.is_open
        if how == "raises":
            raise ValueError

    with Consumer(server, group, topic, consume_from="first") as consumer:
        # One thread: if it ended by the first message, nobody would handle the others.
        consumer.run(handle, threads=1)
    assert sorted(seen) == [("acks", 0), ("fails", 0), ("fails", 1), ("raises", 0)]


async def test_closing_waits_for_handlers(server: str, topic: str, group: str) -> None:
    send(server, Message(topic, "x", sharding_key="k"))
    started, ended = asyncio.Event(), False

    async def handle(message: AsyncDelivery) -> None:
        nonlocal ended
        started.set()
        await asyncio.sleep(0.3)
        ended = True

    app = App(server)
    app.consumer(topic, group=group, consume_from="first")(handle)
    async with app:
        await started.wait()
    assert ended
    # In one queue, so that the first would come before the second.
    send(server, Message(topic, "y", sharding_key="k"))
    async with AsyncConsumer(server, group, topic) as consumer:
        message = await consumer.receive()
        assert message is not None and message.text() == "y"
        await message.ack()


async def test_queues_are_pulled_sought_and_committed(server: str, topic: str, group: str) -> None:
    async with AsyncProducer(server) as producer:
        receipts = await producer.send_many([Message(topic, str(n), tag=f"t{n % 2}") for n in range(10)])
    queue = receipts[0].queue
    wait_for_end(server, queue, 10)
    async with AsyncPullConsumer(server, group, auto_commit=False, consume_from="first") as consumer:
        assert queue in await consumer.queues(topic)
        assert (await consumer.offset_of(queue, "first"), await consumer.offset_of(queue, "last")) == (0, 10)
        pulled = await consumer.pull(queue, 3, 4)
        assert [message.text() for message in pulled.messages] == ["3", "4", "5", "6"]
        assert (pulled.next_offset, pulled.min_offset, pulled.max_offset) == (7, 0, 10)
        pulled = await consumer.pull(queue, 0, 10, filter=Filter.tags("t1"))
        assert [message.text() for message in pulled.messages] == ["1", "3", "5", "7", "9"]
        await consumer.assign([queue])
        assert consumer.assigned == [queue]
        seen: list[str] = []
        while len(seen) < 10:
            seen += [message.text() for message in await consumer.poll(60)]
        assert seen == [str(n) for n in range(10)]
        await consumer.seek(queue, 8)
        assert [message.text() for message in await consumer.poll(60)] == ["8", "9"]
        await consumer.commit()
        assert await consumer.committed(queue) == consumer.position(queue) == 10
        await consumer.commit(queue, 4)
        assert await consumer.committed(queue) == 4
        await consumer.seek(queue, "first")
        consumer.pause([queue])
        assert await consumer.poll(0.5) == []
        consumer.resume([queue])
        assert (await consumer.poll(60))[0].text() == "0"
        await consumer.seek(queue, datetime.now(timezone.utc) + timedelta(hours=1))
        assert consumer.position(queue) == 10
        other = ferromq.MessageQueue(topic, "nobody", 0)
        with pytest.raises(ferromq.NotAssignedError):
            consumer.position(other)


def test_queues_are_pulled_without_a_loop_too(server: str, topic: str, group: str) -> None:
    send(server, *(Message(topic, str(n)) for n in range(10)))
    with PullConsumer(server, group, topic, consume_from="first") as consumer:
        seen: list[str] = []
        while len(seen) < 10:
            seen += [message.text() for message in consumer.poll(60)]
    assert sorted(map(int, seen)) == list(range(10))


async def test_messages_are_leased_prolonged_and_given_back(server: str, topic: str, group: str) -> None:
    async with AsyncPopConsumer(server, group, topic, from_oldest=True, invisible_time=LIMIT) as consumer:
        send(server, *(Message(topic, str(n)) for n in range(5)))
        leases: list[ferromq.AsyncLease] = []
        while len(leases) < 5:
            leases += await consumer.receive_many(5, wait=60)
        await leases[0].ack()
        await leases[1].extend(2 * LIMIT)
        await leases[1].ack()
        await consumer.ack_many(leases[2:4])
        await leases[4].extend(1)
        again: list[ferromq.AsyncLease] = []
        while not again:
            again = await consumer.receive_many(5, wait=60)
        assert [message.text() for message in again] == [leases[4].text()]
        await again[0].ack()
        assert await consumer.receive_many(5, wait=0.1) == []


def test_messages_are_leased_without_a_loop_too(server: str, topic: str, group: str) -> None:
    send(server, Message(topic, "x"))
    with PopConsumer(server, group, topic, from_oldest=True) as consumer:
        [lease] = eventually(lambda: consumer.receive_many(wait=1))
        assert lease.text() == "x"
        lease.extend(30)
        lease.ack()


async def test_to_ask_for_no_message_is_refused(server: str, topic: str, group: str) -> None:
    queue = ferromq.MessageQueue(topic, "broker", 0)
    with Consumer(server, group, topic) as consumer, PopConsumer(server, f"{group}-pop", topic) as popping:
        with PullConsumer(server, f"{group}-pull") as pulling:
            for none in (0, -1):
                for ask in (
                    lambda: consumer.receive_many(none),
                    lambda: popping.receive_many(none),
                    lambda: pulling.pull(queue, 0, none),
                ):
                    with pytest.raises(ferromq.ConfigError, match=f"is {none}, allowed is 1 "):
                        ask()
    async with AsyncConsumer(server, group, topic) as waiting:
        with pytest.raises(ferromq.ConfigError, match="is 0, allowed is 1 "):
            await waiting.receive_many(0)


async def test_options_that_are_wrong_are_refused(server: str, topic: str, group: str) -> None:
    with pytest.raises(ferromq.ConfigError):
        await AsyncConsumer(server, group, topic, fetch_batch=100_000).start()
    with pytest.raises(ferromq.ConfigError):
        await AsyncConsumer(server, group, topic, strategy="no such").start()
    with pytest.raises(ferromq.ConfigError):
        await AsyncConsumer(server, group, []).start()
    with pytest.raises(ferromq.ClosedError):
        await AsyncConsumer(server, group, topic).receive()
