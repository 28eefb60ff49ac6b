"""Messages in transactions, on both APIs."""

from __future__ import annotations

import asyncio

import pytest

import ferromq
from ferromq import (
    AsyncConsumer,
    AsyncTransactionProducer,
    Consumer,
    Message,
    ReceivedMessage,
    TransactionProducer,
    TransactionState,
)


async def test_consumers_get_what_is_committed_and_nothing_else(server: str, topic: str, group: str) -> None:
    async def check(message: ReceivedMessage) -> TransactionState:
        # On a busy machine the broker may ask before it is told.
        return TransactionState.UNKNOWN

    def message(body: str) -> Message:
        # In one queue, so that what is wrongly committed comes before what is sent last.
        return Message(topic, body, sharding_key="k")

    async with AsyncTransactionProducer(server, f"{group}-p", check) as producer:
        async with await producer.begin(message("committed")) as transaction:
            assert transaction.receipt.message_id
        with pytest.raises(RuntimeError):
            async with await producer.begin(message("raised")):
                raise RuntimeError
        transaction = await producer.begin(message("rolled back"))
        await transaction.rollback()
        with pytest.raises(ferromq.SettledError):
            await transaction.commit()
        with pytest.raises(ferromq.InvalidMessageError):
            await producer.begin(Message(topic, "x", delay_level=1))
        await producer.send(message("plain"))
        async with AsyncConsumer(server, group, topic, consume_from="first") as consumer:
            seen: set[str] = set()
            while not {"committed", "plain"} <= seen:
                for received in await consumer.receive_many():
                    seen.add(received.text())
                    await received.ack()
            assert seen == {"committed", "plain"}
            assert await consumer.receive(timeout=0.5) is None


async def test_a_transaction_of_which_the_broker_was_not_told_stays_open(server: str, topic: str, group: str) -> None:
    def check(message: ReceivedMessage) -> TransactionState:
        return TransactionState.ROLLBACK

    client = ferromq.Client(server)
    awaited = AsyncTransactionProducer(client, f"{group}-a", check)
    waiting = TransactionProducer(client, f"{group}-p", check)
    transactions = await awaited.begin(Message(topic, "x")), waiting.begin(Message(topic, "x"))
    await client.aclose()
    for _ in range(2):
        with pytest.raises(ferromq.TransactionError):
            await transactions[0].commit()
        with pytest.raises(ferromq.TransactionError):
            transactions[1].commit()
    await awaited.close()
    waiting.close()


async def test_a_broker_asks_what_became_of_a_transaction(server: str, topic: str, group: str) -> None:
    asked: list[str] = []

    async def check(message: ReceivedMessage) -> TransactionState:
        asked.append(message.text())
        if asked.count(message.text()) == 1:
            raise ValueError("unknown the first time")
        return TransactionState.COMMIT

    async with AsyncTransactionProducer(server, f"{group}-p", check) as producer:
        await producer.begin(Message(topic, "forgotten"))
        async with AsyncConsumer(server, group, topic, consume_from="first") as consumer:
            message = await consumer.receive()
            assert message is not None and message.text() == "forgotten"
            await message.ack()
    assert asked[:2] == ["forgotten", "forgotten"]


def test_a_broker_asks_without_a_loop_too(server: str, topic: str, group: str) -> None:
    def check(message: ReceivedMessage) -> TransactionState:
        return TransactionState.COMMIT

    with TransactionProducer(server, f"{group}-p", check) as producer:
        producer.begin(Message(topic, "forgotten"))
        with producer.begin(Message(topic, "committed")):
            pass
        with Consumer(server, group, topic, consume_from="first") as consumer:
            seen: set[str] = set()
            while len(seen) < 2:
                for message in consumer.receive_many():
                    seen.add(message.text())
                    message.ack()
    assert seen == {"forgotten", "committed"}


async def test_a_checker_may_be_a_function(server: str, topic: str, group: str) -> None:
    asked = asyncio.Event()

    def check(message: ReceivedMessage) -> TransactionState:
        asked.set()
        return TransactionState.ROLLBACK

    async with AsyncTransactionProducer(server, f"{group}-p", check) as producer:
        await producer.begin(Message(topic, "forgotten"))
        await asked.wait()
