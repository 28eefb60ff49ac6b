"""Administration, encryption, signatures, logs, and the fixture."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import ssl
import subprocess
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import pytest
from conftest import LIMIT, eventually

import ferromq
from ferromq import (
    Admin,
    AsyncAdmin,
    AsyncProducer,
    Client,
    Consumer,
    Credentials,
    Message,
    Producer,
    Tls,
)
from ferromq.testing import LocalBroker


async def test_topics_and_groups_are_administered(server: str, topic: str, group: str) -> None:
    # NameServers, queues and the index follow what a broker has done, so each is waited for.
    async def until(true: Callable[[], Awaitable[bool]]) -> None:
        while True:
            try:
                if await true():
                    return
            except ferromq.FerroMQError as error:
                if not error.retryable:
                    raise
            await asyncio.sleep(0.02)

    async with AsyncAdmin(server) as admin, AsyncProducer(server) as producer:

        async def is_there() -> bool:
            return topic in await admin.topics()

        async def is_gone() -> bool:
            return not await is_there()

        async def holds_one() -> bool:
            status = (await admin.topic_status(topic))["value"]
            return bool(sum(queue["max"] - queue["min"] for queue in status["queues"]) == 1)

        async def is_found() -> bool:
            found = await admin.messages_by_id(topic, receipt.message_id)
            return [message.text() for message in found] == ["x"]

        async def has_group() -> bool:
            return group in await admin.groups()

        assert await admin.change_topic(topic, queues=2) == []
        await until(is_there)
        receipt = await producer.send(Message(topic, "x", keys="k"))
        await until(holds_one)
        await until(is_found)
        assert await admin.change_group(group) == []
        await until(has_group)
        assert receipt.place is not None and (await admin.message_at(receipt.place)).text() == "x"
        assert await admin.clusters()
        assert isinstance(await admin.examine(), list)
        await admin.delete_topic(topic)
        await until(is_gone)


def test_a_group_is_moved(server: str, topic: str, group: str) -> None:
    with Producer(server) as producer, Admin(server) as admin:
        receipt = producer.send(Message(topic, "x"))
        with Consumer(server, group, topic, consume_from="first") as consumer:
            message = consumer.receive()
            assert message is not None
            message.ack()

        def lag_is(lag: int) -> bool:
            return bool(admin.progress(group, topic)["value"]["lag"] == lag)

        eventually(lambda: lag_is(0))
        admin.reset_offsets(group, topic, "first")
        eventually(lambda: lag_is(1))
        admin.reset_queue(group, receipt.queue, 1)
        eventually(lambda: lag_is(0))
        with pytest.raises(ferromq.FerroMQError):
            admin.topic_status("no-such-topic")


def asked(client: Client, listening: socket.socket, accept: Callable[[socket.socket], socket.socket]) -> bytes:
    """What the client says first to a server that has nothing to say."""
    listening.settimeout(LIMIT)
    with ThreadPoolExecutor(1) as pool, Producer(client, send_timeout=LIMIT, retries=0) as producer:
        sent = pool.submit(producer.send, Message("T", "x"))
        with accept(listening.accept()[0]) as connection:
            heard = connection.recv(65536)
        client.close()
        with pytest.raises(ferromq.FerroMQError):
            sent.result(LIMIT)
    return heard


def test_requests_are_signed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        client = Client(address, credentials=Credentials("writer-key", "12345678", "token"))
        frame = asked(client, listening, lambda connection: connection)
    assert b"writer-key" in frame and b"Signature" in frame and b"12345678" not in frame


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_connections_are_encrypted(tmp_path: Path) -> None:
    certificate, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=broker.test"]
    make += ["-addext", "subjectAltName=DNS:broker.test", "-addext", "basicConstraints=critical,CA:FALSE"]
    make += ["-keyout", key, "-out", certificate]
    subprocess.run(make, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def accept(connection: socket.socket) -> socket.socket:
        return context.wrap_socket(connection, server_side=True)

    for tls in (Tls(trust_anyone=True), Tls(certificate, server_name="broker.test")):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            frame = asked(Client(f"127.0.0.1:{listening.getsockname()[1]}", tls=tls), listening, accept)
        assert len(frame) > 8, "what was encrypted is a frame"
    bad: list[dict[str, Any]] = [{"authorities": "/no/such/file.pem"}, {"certificate": certificate}, {}]
    for wrong in bad:
        with pytest.raises(ferromq.ConfigError):
            Tls(**wrong)


def test_what_the_client_logs_reaches_pythons_loggers(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="ferromq"):
        with Producer("127.0.0.1:1", send_timeout=0.2, retries=0) as producer:

            def logged() -> bool:
                with pytest.raises(ferromq.FerroMQError):
                    producer.send(Message("T", "x"))
                return any(record.name.startswith("ferromq.client") for record in caplog.records)

            eventually(logged)


@pytest.mark.own_broker
def test_the_fixture_is_a_broker(ferromq_broker: LocalBroker, topic: str, group: str) -> None:
    with Producer(ferromq_broker.address) as producer:
        producer.send(Message(topic, "x"))
    ferromq_broker.kill()
    ferromq_broker.start()
    with Consumer(ferromq_broker.address, group, topic, consume_from="first") as consumer:
        message = consumer.receive()
        assert message is not None and message.text() == "x"
        message.ack()


async def test_an_await_of_what_is_done_costs_no_turn_of_the_loop(server: str, topic: str, group: str) -> None:
    async with AsyncProducer(server) as producer:
        await producer.send_many([Message(topic, "x") for _ in range(2)])
    async with ferromq.AsyncConsumer(server, group, topic, consume_from="first") as consumer:
        message = await consumer.receive()
        assert message is not None
        done = message.ack()
        assert done.done() and isinstance(done, asyncio.Future)
        await done
