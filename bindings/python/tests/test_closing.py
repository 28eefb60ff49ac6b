"""Closing what others still wait for, and giving up waiting: nobody hangs, and nothing is lost."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Callable

import pytest
from conftest import LIMIT, wait_for_end

from ferromq import (
    AsyncAdmin,
    AsyncPopConsumer,
    AsyncPullConsumer,
    Client,
    ClosedError,
    Message,
    PopConsumer,
    Producer,
    PullConsumer,
)


def closed_while_waiting(waits: Callable[[], object], close: Callable[[], None]) -> None:
    """Closes while another thread waits: that one is told at once, though it would have waited for longer than the test."""
    with ThreadPoolExecutor(1) as threads:
        begun = threading.Event()

        def wait() -> None:
            begun.set()
            with pytest.raises(ClosedError):
                waits()

        waiting = threads.submit(wait)
        begun.wait(LIMIT)
        close()
        waiting.result(LIMIT)


def test_closing_a_pull_consumer_ends_a_poll_of_another_thread_and_leaves_the_group(server: str, topic: str, group: str) -> None:
    with Client(server) as client, Producer(client) as producer:
        sent = producer.send(Message(topic, "polled"))
        consumer = PullConsumer(client, group, topic, consume_from="first")
        consumer.start()
        assert consumer.poll(LIMIT)[0].text() == "polled"
        closed_while_waiting(lambda: consumer.poll(10 * LIMIT), consumer.close)
        # The client is in each group once: this joins only if the other has left. What it polled is committed.
        with PullConsumer(client, group, topic) as again:
            assert again.committed(sent.queue) == sent.offset + 1


def test_closing_a_pull_consumer_ends_a_pull_that_the_broker_holds(server: str, topic: str, group: str) -> None:
    with Client(server) as client, Producer(client) as producer:
        sent = producer.send(Message(topic, "old"))
        consumer = PullConsumer(client, group)
        consumer.start()
        closed_while_waiting(lambda: consumer.pull(sent.queue, sent.offset + 1, wait=10 * LIMIT), consumer.close)


def test_closing_a_pop_consumer_ends_a_receive_of_another_thread_and_leaves_the_group(server: str, topic: str, group: str) -> None:
    with Client(server) as client, Producer(client) as producer:
        producer.send(Message(topic, "leased"))
        consumer = PopConsumer(client, group, topic, from_oldest=True)
        consumer.start()
        [lease] = consumer.receive_many(1, wait=LIMIT)
        closed_while_waiting(lambda: consumer.receive_many(1, wait=10 * LIMIT), consumer.close)
        lease.ack()
        with PopConsumer(client, group, topic, from_oldest=True) as again:
            assert again.receive_many(1, wait=0.0) == []


async def test_closing_ends_what_tasks_wait_for(server: str, topic: str, group: str) -> None:
    async with Client(server) as client:
        await AsyncAdmin(client).change_topic(topic)
        pulls = AsyncPullConsumer(client, group, topic)
        pops = AsyncPopConsumer(client, group + "-pop", topic)
        await pulls.start()
        await pops.start()
        polling = asyncio.ensure_future(pulls.poll())
        receiving = asyncio.ensure_future(pops.receive_many(32, wait=10 * LIMIT))
        await asyncio.sleep(0)
        await pulls.close()
        await pops.close()
        for waiting in (polling, receiving):
            with pytest.raises(ClosedError):
                await waiting


async def test_a_cancelled_poll_loses_nothing(server: str, topic: str, group: str) -> None:
    with Client(server) as client, Producer(client) as producer, PullConsumer(client, group + "-other") as other:
        queue = producer.send(Message(topic, "makes the topic")).queue
        wait_for_end(server, queue, 1)
        other.assign([queue])
        other.seek(queue, "last")
        async with AsyncPullConsumer(client, group) as consumer:
            await consumer.assign([queue])
            await consumer.seek(queue, "last")
            for n in range(20):
                polling = asyncio.ensure_future(consumer.poll())
                await asyncio.sleep(0)
                # The loop does not turn until the message is here, so that nobody has looked at it when it is cancelled.
                producer.send(Message(topic, str(n)), queue=queue)
                assert [message.text() for message in other.poll(LIMIT)] == [str(n)]
                polling.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await polling
                assert [message.text() for message in await consumer.poll(LIMIT)] == [str(n)]
