"""What others fell into: forks, ends, cancellation, signals, threads that block, loops, collection."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import LIMIT, OFFICIAL, WHOLE, eventually
from patience import PRELUDE

import ferromq
from ferromq import (
    AsyncConsumer,
    AsyncDelivery,
    AsyncProducer,
    AsyncTransactionProducer,
    Consumer,
    ForkedError,
    Message,
    MessageQueue,
    Producer,
    TransactionProducer,
    TransactionState,
)
from ferromq.testing import LocalBroker

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs forks and signals")


def python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a program in an interpreter of its own; one that hangs fails."""
    program = PRELUDE + textwrap.dedent(program)
    command = [sys.executable, "-W", "error", "-X", "faulthandler", "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=WHOLE, check=False)


def ends_well(program: str, *arguments: str) -> str:
    """What a program prints, which must end with 0 and complain of nothing."""
    ended = python(program, *arguments)
    assert (ended.returncode, ended.stderr) == (0, ""), ended
    return ended.stdout


@POSIX
def test_a_child_is_told_that_it_was_forked_and_can_begin_anew(server: str, topic: str, group: str) -> None:
    out = ends_well(
        """
        import os, sys, gc
        from ferromq import *
        server, topic, group = sys.argv[1:]
        producer = Producer(server)
        producer.send(Message(topic, "parent"))
        consumer = Consumer(server, group, topic, consume_from="first")
        consumer.start()
        message = consumer.receive()
        def child():
            for use in (lambda: producer.send(Message(topic, "x")), lambda: consumer.receive(), message.ack,
                        producer.close):
                try:
                    use()
                except ForkedError as error:
                    assert not error.retryable
                else:
                    raise AssertionError("not told")
            with Producer(server) as new:
                assert new.send(Message(topic, "child")).message_id
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                child()
                del producer, consumer, message
                gc.collect()
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        message.ack()
        assert producer.send(Message(topic, "parent again"))
        print("ok")
        """,
        server,
        topic,
        group,
    )
    assert out == "ok\n"


@POSIX
def test_workers_that_are_forked_send_for_themselves(server: str, topic: str) -> None:
    out = ends_well(
        """
        import multiprocessing, sys
        from ferromq import *
        server, topic = sys.argv[1:]
        parent = Producer(server)
        parent.send(Message(topic, "parent"))
        def work(n):
            with Producer(server) as producer:
                return producer.send(Message(topic, str(n))).message_id
        with multiprocessing.get_context("fork").Pool(3) as pool:
            ids = pool.map(work, range(9))
        assert len(set(ids)) == 9
        assert parent.send(Message(topic, "parent again"))
        parent.close()
        print("ok")
        """,
        server,
        topic,
    )
    assert out == "ok\n"


@POSIX
def test_a_child_goes_on_in_a_loop_of_its_own(server: str, topic: str) -> None:
    out = ends_well(
        """
        import asyncio, os, sys
        from ferromq import *
        server, topic = sys.argv[1:]
        async def main(text):
            async with AsyncProducer(server) as producer:
                await producer.send(Message(topic, text))
        asyncio.run(main("parent"))
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                asyncio.run(main("child"))
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        print("ok")
        """,
        server,
        topic,
    )
    assert out == "ok\n"


@pytest.mark.parametrize("how", ["pass", "raise SystemExit(0)", "os._exit(0)"])
def test_the_interpreter_ends_with_everything_open(server: str, topic: str, group: str, how: str) -> None:
    ends_well(
        f"""
        import os, sys, threading, time
        from ferromq import *
        server, topic, group = sys.argv[1:]
        producer = Producer(server)
        producer.send(Message(topic, "x"))
        consumer = Consumer(server, group, topic, consume_from="last")
        consumer.start()
        def wait():
            try:
                while True:
                    consumer.receive()
            except ClosedError:
                pass
        for _ in range(3):
            threading.Thread(target=wait, daemon=True).start()
        transactions = TransactionProducer(server, group + "-p", lambda message: None)
        pulling = PullConsumer(server, group + "-pull", topic)
        pulling.start()
        popping = PopConsumer(server, group + "-pop", topic)
        popping.start()
        time.sleep(0.2)
        {how}
        """,
        server,
        topic,
        group,
    )


def test_a_loop_ends_with_everything_open(server: str, topic: str, group: str) -> None:
    ends_well(
        """
        import asyncio, sys
        from ferromq import *
        server, topic, group = sys.argv[1:]
        async def main():
            global producer, consumer
            producer = AsyncProducer(server)
            sent = [producer.send(Message(topic, "x")) for _ in range(100)]
            await sent[0]
            consumer = AsyncConsumer(server, group, topic)
            await consumer.start()
            global waiting
            waiting = asyncio.ensure_future(consumer.receive())
            await asyncio.sleep(0.05)
        asyncio.run(main())
        asyncio.run(main.__globals__["asyncio"].sleep(0))
        """,
        server,
        topic,
        group,
    )


@POSIX
def test_ctrl_c_interrupts_a_wait(server: str, topic: str, group: str) -> None:
    out = ends_well(
        """
        import signal, sys, threading, os, time
        from ferromq import *
        server, topic, group = sys.argv[1:]
        with Consumer(server, group, topic) as consumer:
            # On a busy machine the wait may not have begun by then: interrupted is it all the same.
            for wait in (consumer.receive, lambda: consumer.run(lambda message: None)):
                try:
                    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
                    wait()
                except KeyboardInterrupt:
                    print("interrupted")
        """,
        server,
        topic,
        group,
    )
    assert out == "interrupted\n" * 2


@POSIX
def test_sigterm_ends_an_app_when_its_handlers_are_done(server: str, topic: str, group: str) -> None:
    out = ends_well(
        """
        import asyncio, os, signal, sys
        from ferromq import *
        server, topic, group = sys.argv[1:]
        with Producer(server) as producer:
            producer.send(Message(topic, "x", sharding_key="k"))
        app = App(server)
        @app.consumer(topic, group=group, consume_from="first")
        async def handle(message):
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.3)
            print("handled", flush=True)
        app.run()
        print("ended")
        """,
        server,
        topic,
        group,
    )
    assert out == "handled\nended\n"
    with Producer(server) as producer, Consumer(server, group, topic) as consumer:
        # In one queue, so that the first would come before the second.
        producer.send(Message(topic, "y", sharding_key="k"))
        message = consumer.receive()
        assert message is not None and message.text() == "y"
        message.ack()


async def test_a_receive_that_is_cancelled_loses_nothing(server: str, topic: str, group: str) -> None:
    async with AsyncProducer(server) as producer:
        async with AsyncConsumer(server, group, topic, consume_from="first") as consumer:
            seen: set[str] = set()
            sent = turn = 0
            while len(seen) < 200:
                turn += 1
                if sent < 200:
                    sent += 1
                    producer.send(Message(topic, str(sent)))
                waiting = asyncio.ensure_future(consumer.receive())
                for _ in range(turn % 4):
                    await asyncio.sleep(0)
                if turn % 3:
                    waiting.cancel()
                done = await asyncio.gather(waiting, return_exceptions=True)
                for message in done:
                    if isinstance(message, AsyncDelivery):
                        assert message.reconsume_times == 0
                        seen.add(message.text())
                        await message.ack()
            assert len(seen) == 200


async def test_sends_that_are_cancelled_leave_nothing_behind(server: str, topic: str) -> None:
    async with AsyncProducer(server, max_in_flight=8) as producer:
        await producer.send(Message(topic, "x"))
        for _ in range(20):
            sent = [producer.send(Message(topic, "x")) for _ in range(50)]
            for future in sent[::2]:
                future.cancel()
            ended = await asyncio.gather(*sent, return_exceptions=True)
            assert all(isinstance(receipt, ferromq.SendReceipt) for receipt in ended[1::2])
        await asyncio.wait_for(producer.send(Message(topic, "still")), LIMIT)


async def test_a_handler_that_is_cancelled_loses_nothing(server: str, topic: str, group: str) -> None:
    async with AsyncProducer(server) as producer:
        await producer.send(Message(topic, "x"))
    handled = asyncio.Event()

    async def handle(message: AsyncDelivery) -> None:
        if message.reconsume_times == 0:
            raise asyncio.CancelledError
        handled.set()

    async with AsyncConsumer(server, group, topic, consume_from="first") as consumer:
        running = asyncio.ensure_future(consumer.run(handle))
        await handled.wait()
        consumer.stop()
        await running


@pytest.mark.own_broker
def test_a_handler_that_blocks_delays_no_heartbeat(topic: str, group: str) -> None:
    with LocalBroker() as broker:
        with Producer(broker.address) as producer:
            producer.send(Message(topic, "x"))
        started, over = threading.Event(), threading.Event()

        async def block(message: AsyncDelivery) -> None:
            # The whole loop, and with it every Python task of this thread.
            started.set()
            over.wait(LIMIT)

        async def consume() -> None:
            client = ferromq.Client(broker.address, heartbeat=0.1, route_refresh=0.1)
            async with client, AsyncConsumer(client, group, topic, consume_from="first") as consumer:
                running = asyncio.ensure_future(consumer.run(block))
                while not over.is_set():
                    await asyncio.sleep(0.01)
                consumer.stop()
                await running

        blocked = threading.Thread(target=lambda: asyncio.run(consume()))
        blocked.start()
        assert started.wait(LIMIT)
        # The broker forgets everybody, and hears again of whoever sends heartbeats: another member gets no more than a share.
        broker.kill()
        broker.start()
        with Consumer(broker.address, group, topic) as other:
            eventually(lambda: 0 < len(other.queues) < 4)
        over.set()
        blocked.join(LIMIT)


async def test_what_is_forgotten_is_collected_and_stops(server: str, topic: str, group: str) -> None:
    client = ferromq.Client(server)
    producer = AsyncProducer(client, group)
    await producer.send(Message(topic, "x"))
    collected = weakref.ref(producer)
    del producer
    gc.collect()
    assert collected() is None
    # Its place in the group is free, or it would be refused.
    producer = AsyncProducer(client, group)
    await producer.send(Message(topic, "y"))
    consumer = AsyncConsumer(client, group, topic, consume_from="first")
    await consumer.start()
    message = await consumer.receive()
    assert message is not None
    gone = weakref.ref(consumer)
    del consumer, message
    gc.collect()
    assert gone() is None
    again = AsyncConsumer(client, group, topic, consume_from="first")
    while True:
        try:
            await again.start()
            break
        except ferromq.ConfigError:
            await asyncio.sleep(0.01)
    assert await again.receive(timeout=LIMIT) is not None
    await again.close()
    await producer.close()
    await client.aclose()


def test_a_forgotten_producer_in_transactions_is_collected_with_its_thread(server: str, group: str) -> None:
    client = ferromq.Client(server)
    producer = TransactionProducer(client, group, lambda message: TransactionState.UNKNOWN)
    collected, thread = weakref.ref(producer), producer._checking
    del producer
    gc.collect()
    assert collected() is None
    thread.join(LIMIT)
    assert not thread.is_alive()
    # The client is in each group once.
    TransactionProducer(client, group, lambda message: TransactionState.UNKNOWN).close()
    client.close()


async def test_a_forgotten_producer_in_transactions_is_collected_with_its_task(server: str, group: str) -> None:
    async with AsyncTransactionProducer(server, group, lambda message: TransactionState.UNKNOWN) as producer:
        await asyncio.sleep(0)
    producer = AsyncTransactionProducer(server, group, lambda message: TransactionState.UNKNOWN)
    await producer.start()
    await asyncio.sleep(0)
    collected, task = weakref.ref(producer), producer._checking
    assert task is not None
    del producer
    gc.collect()
    assert collected() is None
    await asyncio.wait_for(task, LIMIT)


def test_a_producer_is_shared_by_loops_and_threads(server: str, topic: str) -> None:
    shared = AsyncProducer(server)
    ids: list[str] = []

    async def send(count: int) -> None:
        for receipt in await asyncio.gather(*(shared.send(Message(topic, "x")) for _ in range(count))):
            ids.append(receipt.message_id)

    asyncio.run(send(50))
    threads = [threading.Thread(target=lambda: asyncio.run(send(50))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    one, other = asyncio.new_event_loop(), asyncio.new_event_loop()
    for _ in range(3):
        one.run_until_complete(send(10))
        other.run_until_complete(send(10))
    one.close()
    other.run_until_complete(shared.close())
    other.close()
    assert len(set(ids)) == len(ids) == 310


def test_threads_share_a_producer_and_a_consumer(server: str, topic: str, group: str) -> None:
    seen: list[str] = []
    places: list[tuple[MessageQueue, int]] = []
    lock = threading.Lock()
    with Producer(server) as producer, Consumer(server, group, topic, consume_from="first") as consumer:

        def work(n: int) -> None:
            for m in range(25):
                producer.send(Message(topic, f"{n}-{m}"))
            while True:
                with lock:
                    if len(set(seen)) == 100:
                        return
                message = consumer.receive(timeout=0.1)
                if message is not None:
                    message.ack()
                    with lock:
                        seen.append(message.text())
                        places.append((message.queue, message.queue_offset))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
    assert len(set(seen)) == 100
    # The official broker may deliver a message again that one thread had, if a queue is taken away and given back.
    if not OFFICIAL:
        assert len(set(places)) == len(places)


def test_waiting_lets_other_threads_run(server: str, topic: str, group: str) -> None:
    with Producer(server) as producer, Consumer(server, group, topic, consume_from="first") as consumer:
        begun = threading.Event()

        def wait() -> None:
            begun.set()
            message = consumer.receive(timeout=LIMIT)
            assert message is not None
            message.ack()

        waiting = threading.Thread(target=wait)
        waiting.start()
        assert begun.wait(LIMIT)
        for _ in range(100):
            time.sleep(0.001)
        assert waiting.is_alive(), "this thread ran while that one waited, and not afterwards"
        producer.send(Message(topic, "x"))
        waiting.join(LIMIT)
        assert not waiting.is_alive()


def test_memory_stays_flat(server: str, topic: str, group: str) -> None:
    # 60 turns handle 12 MB of bodies, twice; what is kept for each message would show.
    limit = 8 << 20
    out = ends_well(
        """
        import asyncio, resource, sys
        from ferromq import *
        server, topic, group, limit = sys.argv[1:]
        def resident():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * resource.getpagesize()
        async def main():
            async with AsyncProducer(server) as producer, \\
                       AsyncConsumer(server, group, topic, consume_from="first") as consumer:
                async def turn():
                    await producer.send_many([Message(topic, b"x" * 1024) for _ in range(100)])
                    await asyncio.gather(*(producer.send(Message(topic, b"x" * 1024)) for _ in range(100)))
                    left = 200
                    while left > 0:
                        for message in await consumer.receive_many(100):
                            await message.ack()
                            left -= 1
                    try:
                        await asyncio.wait_for(consumer.receive(), 0.001)
                    except asyncio.TimeoutError:
                        pass
                for _ in range(30):
                    await turn()
                # What stays of each message stays of each in every round; what a busy machine makes memory do, does not.
                for _ in range(3):
                    before = resident()
                    for _ in range(60):
                        await turn()
                    grown = resident() - before
                    if grown < int(limit):
                        break
                print(grown)
        asyncio.run(main())
        """,
        server,
        topic,
        group,
        str(limit),
    )
    assert int(out) < limit


def test_the_module_can_be_imported_anew(server: str, topic: str) -> None:
    ends_well(
        """
        import importlib, sys
        import ferromq
        server, topic = sys.argv[1:]
        old = ferromq.Producer(server)
        importlib.reload(ferromq)
        old.send(ferromq.Message(topic, "x"))
        with ferromq.Producer(server, "other") as new:
            new.send(ferromq.Message(topic, "y"))
        old.close()
        """,
        server,
        topic,
    )


def test_a_loop_without_readers_is_woken_too(server: str, topic: str) -> None:
    class Loop(asyncio.SelectorEventLoop):
        """As Windows' default."""

        def __init__(self) -> None:
            super().__init__()
            self.strict = True

        def add_reader(self, fd: object, callback: object, *args: object) -> None:
            raise NotImplementedError

    async def main() -> None:
        async with AsyncProducer(server) as producer:
            sent = [producer.send(Message(topic, "x")) for _ in range(100)]
            assert len({receipt.message_id for receipt in await asyncio.gather(*sent)}) == 100

    loop = Loop()
    try:
        loop.run_until_complete(asyncio.wait_for(main(), LIMIT))
    finally:
        loop.close()


def test_signals_are_the_applications_own() -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_forked_error_is_one_of_ours() -> None:
    assert issubclass(ForkedError, ferromq.FerroMQError)
