"""Administration: every operation once, and that none of the native half's is forgotten."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from conftest import eventually

import ferromq
from ferromq import (
    Admin,
    AdminError,
    AsyncAdmin,
    Client,
    ConfigError,
    Consumer,
    Message,
    MessageQueue,
    Producer,
    PullConsumer,
    RefusedError,
    SendReceipt,
    _ferromq,
    answers,
)
from ferromq._admin import Operations
from ferromq._operation import operation

SETTING = "fileReservedTime"
"""A broker's setting that may change while it runs."""


def of(shape: type, value: Mapping[str, Any]) -> None:
    """The answer has what its type says and nothing else; `heard` is only told of producers of all groups."""
    assert set(value) - {"heard"} == set(shape.__annotations__) - {"heard"}, shape


@pytest.fixture
def client(server: str) -> Iterator[Client]:
    with Client(server) as client:
        yield client


@pytest.fixture
def admin(client: Client) -> Admin:
    return Admin(client)


def produced(client: Client, admin: Admin, topic: str, *messages: Message) -> list[SendReceipt]:
    """Sends to one queue of a topic that has two, and waits until the messages are found."""
    admin.change_topic(topic, queues=2)
    with Producer(client, f"P-{topic}") as producer:
        queue = eventually(lambda: queues_of(admin, topic))[0]
        receipts = [producer.send(message, queue=queue) for message in messages]
    eventually(lambda: admin.messages_by_id(topic, receipts[-1].message_id))
    return receipts


def queues_of(admin: Admin, topic: str) -> list[MessageQueue]:
    """The queues of a topic, as soon as NameServers know it."""
    if topic not in admin.topics():
        return []
    queues = admin.topic_status(topic)["value"]["queues"]
    return [MessageQueue(topic, queue["broker"], queue["queue"]) for queue in queues]


def test_every_operation_is_a_method_that_passes_every_argument() -> None:
    asked = {}

    class Native:
        def call(self, bridge: None, operation: str, arguments: str) -> None:
            asked[operation] = sorted(json.loads(arguments))

    admin = Admin.__new__(Admin)
    admin._native = Native()  # type: ignore[assignment]
    special = {"queue": MessageQueue("T", "b", 0), "settings": {}, "changes": {}}
    for name, declared in vars(Operations).items():
        if isinstance(declared, operation):
            method = getattr(admin, name)
            needed = [
                parameter.name
                for parameter in inspect.signature(method).parameters.values()
                if parameter.default is parameter.empty and parameter.name != "self"
            ]
            method(**{parameter: special.get(parameter, "x") for parameter in needed})
            assert method.__doc__ and method.__doc__ == getattr(AsyncAdmin, name).__doc__
    assert asked == {name: sorted(arguments) for name, arguments in _ferromq.Admin.operations()}


def test_every_kind_of_fault_is_an_exception() -> None:
    for name in _ferromq.error_names():
        assert issubclass(getattr(ferromq, name), ferromq.FerroMQError)


def test_a_topic_is_made_changed_copied_and_deleted(admin: Admin, topic: str) -> None:
    assert admin.change_topic(topic, queues=2, write_queues=3) == []
    eventually(lambda: topic in admin.topics())
    [found] = admin.topic_settings(topic)["value"]
    of(answers.PerBroker, found)
    of(answers.TopicSettings, found["value"])
    assert (found["value"]["readQueueNums"], found["value"]["writeQueueNums"]) == (2, 3)
    [row] = eventually(lambda: [row for row in admin.topic_route(topic) if row["writeQueues"] == 3])
    of(answers.RouteRow, row)
    assert row["readQueues"] == 2 and row["addrs"]["0"] == found["broker"]["addr"]
    # What is not said stays as it is.
    assert admin.change_topic(topic, permission=4) == []
    [found] = admin.topic_settings(topic, scope={"broker": found["broker"]["name"]})["value"]
    assert (found["value"]["perm"], found["value"]["writeQueueNums"]) == (4, 3)
    copy = topic + "-copy"
    done = admin.put_topic({**found["value"], "topicName": copy})
    of(answers.Gathered, done)
    assert [node["name"] for node in done["value"]] == [found["broker"]["name"]]
    [everywhere] = admin.all_topic_settings()["value"]
    assert everywhere["value"][copy]["writeQueueNums"] == 3
    eventually(lambda: {topic, copy} <= set(admin.topics(cluster=found["broker"]["cluster"])))
    assert admin.order_of(topic) is None
    assert admin.set_order_of(topic, "broker-a:4")["failures"] == []
    assert admin.order_of(topic) == "broker-a:4"
    admin.set_order_of(topic)
    assert admin.order_of(topic) is None
    for name in (topic, copy):
        assert admin.delete_topic(name) == []
    eventually(lambda: not {topic, copy} & set(admin.topics()))


def test_a_group_is_made_changed_copied_and_deleted(admin: Admin, group: str) -> None:
    assert admin.change_group(group, retry_max=3) == []
    assert admin.change_group(group, consume=False) == []
    [found] = admin.group_settings(group)["value"]
    assert (found["value"]["retryMaxTimes"], found["value"]["consumeEnable"]) == (3, False)
    copy = group + "-copy"
    assert admin.put_group({**found["value"], "groupName": copy})["failures"] == []
    assert {group, copy} <= set(admin.groups())
    [everywhere] = admin.all_group_settings()["value"]
    assert everywhere["value"][copy]["retryMaxTimes"] == 3
    for name in (group, copy):
        done = admin.delete_group(name, offsets=True, messages=True)
        of(answers.BrokerNode, done["value"][0])
    assert not {group, copy} & set(admin.groups())
    with pytest.raises(AdminError, match="no broker knows group"):
        admin.group_settings(group)


def test_messages_are_found_read_and_copied(client: Client, admin: Admin, topic: str) -> None:
    first, second = produced(client, admin, topic, Message(topic, "a", keys="k", tag="red"), Message(topic, "b", keys="k"))
    assert first.place is not None
    assert admin.message_at(first.place).text() == "a"
    assert [message.text() for message in admin.messages_by_id(topic, second.message_id)] == ["b"]
    # The index has a message's id before its keys.
    eventually(lambda: [message.text() for message in admin.messages_by_key(topic, "k")] == ["b", "a"])
    assert admin.messages_by_key(topic, "k", end=1.0) == []
    assert len(admin.messages_by_key(topic, "k", begin=time.time() - 3600, most=1)) == 1
    assert [message.text() for message in admin.read_queue(first.queue, 0)] == ["a", "b"]
    assert [message.text() for message in admin.read_queue(first.queue, 1, most=1)] == ["b"]
    entries = admin.queue_entries(first.queue, 0)["queueData"]
    assert [entry["tagsCode"] != 0 for entry in entries] == [True, False]
    other = MessageQueue(topic, first.queue.broker, 1)
    at = admin.store_copy(first.place, other)
    [copy] = eventually(lambda: admin.read_queue(other, at))
    assert (copy.text(), copy.tag, copy.keys, copy.message_id) == ("a", "red", ["k"], first.message_id)
    status = eventually(lambda: held(admin, topic, 3))
    of(answers.TopicStatus, status)
    of(answers.QueueStatus, status["queues"][0])
    with pytest.raises(AdminError, match="has no queue"):
        admin.read_queue(MessageQueue(topic, first.queue.broker, 9), 0)


def held(admin: Admin, topic: str, count: int) -> answers.TopicStatus | None:
    status = admin.topic_status(topic)["value"]
    return status if sum(queue["max"] - queue["min"] for queue in status["queues"]) == count else None


def test_groups_are_moved_and_their_positions_copied(client: Client, admin: Admin, topic: str, group: str) -> None:
    receipts = produced(client, admin, topic, *[Message(topic, str(n)) for n in range(4)])
    queue = receipts[0].queue
    admin.change_group(group)
    with PullConsumer(client, group) as consumer:
        consumer.commit(queue, 4)

        def position(of: str) -> int | None:
            known = admin.progress(of, topic)["value"]["queues"]
            return next((at["position"] for at in known if at["queue"] == queue.id), None)

        eventually(lambda: position(group) == 4)
        progress = admin.progress(group)["value"]
        of(answers.Progress, progress)
        of(answers.QueueProgress, progress["queues"][0])
        planned = admin.reset_offsets(group, topic, "first", dry_run=True)["value"]
        of(answers.Moved, planned[0])
        assert [(move["before"], move["after"]) for move in planned if move["queue"] == queue.id] == [(4, 0)]
        assert position(group) == 4
        admin.reset_queue(group, queue, 2)
        eventually(lambda: position(group) == 2)
        copied = group + "-copied"
        admin.change_group(copied)
        assert admin.clone_offsets(group, copied, topic)["failures"] == []
        eventually(lambda: position(copied) == 2)
        admin.reset_offsets(group, topic, "last")
        eventually(lambda: position(group) == 4)
        admin.reset_offsets(group, topic, 1.0)
        eventually(lambda: position(group) == 0)
        with pytest.raises(ConfigError, match="neither first nor last"):
            admin.reset_offsets(group, topic, "middle")
        assert topic in admin.topics_of_group(group)["value"]


def test_members_of_groups_are_seen_and_asked(client: Client, admin: Admin, topic: str, group: str) -> None:
    [receipt] = produced(client, admin, topic, Message(topic, "x"))
    assert receipt.place is not None
    assert admin.consumers(group)["value"] is None
    with Consumer(client, group, {topic: "red || blue"}, consume_from="first"), Producer(client, f"{group}-p") as producer:
        producer.send(Message(topic, "y", tag="red"))

        def subscribed() -> answers.ConsumerGroup | None:
            # A broker has a member a moment before what it subscribes to.
            there = admin.consumers(group)["value"]
            return there if there and topic in there["subscriptions"] else None

        there = eventually(subscribed)
        of(answers.ConsumerGroup, there)
        of(answers.Connected, there["members"][0])
        assert [member["clientId"] for member in there["members"]] == [client.id]
        assert there["subscriptions"][topic] == {"expression": "red || blue", "kind": "TAG"}
        wanted = admin.subscription(group, topic)["value"]
        assert wanted is not None and wanted["expression"] == "red || blue"
        sends = eventually(lambda: admin.producers(f"{group}-p")["value"])
        assert [member["clientId"] for member in sends] == [client.id]
        assert "heard" in admin.all_producers()["value"][f"{group}-p"][0]

        def running() -> answers.Running | None:
            info = admin.running_info(group, client.id, stack=True)
            return info if any(queue["topic"] == topic for queue in info["queues"]) else None

        info = eventually(running)
        of(answers.Running, info)
        of(answers.RunningQueue, info["queues"][0])
        positions = eventually(lambda: admin.member_positions(group, topic)["value"].get(client.id))
        of(answers.Position, positions[0])
        with pytest.raises(RefusedError, match="read as a stream"):
            admin.consume_directly(group, client.id, receipt.place)
        eventually(lambda: group in admin.groups_of_topic(topic)["value"])
        tracks = admin.track(receipt.place)
        of(answers.Track, tracks[0])
        assert (group, True) in [(track["group"], track["online"]) for track in tracks]
        rows = admin.traffic(topic)["value"]
        of(answers.Traffic, rows[0])
        assert group in [row["group"] for row in rows]
        assert topic in {row["topic"] for row in admin.traffic()["value"]}


def test_what_groups_may_do_with_a_topic_is_set(client: Client, admin: Admin, topic: str, group: str) -> None:
    produced(client, admin, topic, Message(topic, "x"))
    admin.change_group(group)
    [asked] = admin.readable(group, topic)["value"]
    assert asked["value"] is True
    for allowed in (False, True):
        [changed] = admin.readable(group, topic, allowed)["value"]
        assert changed["value"] is allowed
    [node] = admin.set_mode(group, topic, pop=True, shared=1)["value"]
    of(answers.BrokerNode, node)


def test_brokers_say_how_they_are_and_are_set(client: Client, admin: Admin, topic: str) -> None:
    produced(client, admin, topic, Message(topic, "x"))
    [cluster] = admin.clusters()
    of(answers.Cluster, cluster)
    [node] = admin.brokers()
    of(answers.BrokerNode, node)
    assert cluster["brokers"] == [node]
    for scope in ({"cluster": cluster["name"]}, {"broker": node["name"]}, {"broker": node["addr"]}):
        [state] = admin.broker_states(scope=scope)["value"]  # type: ignore[arg-type]
        of(answers.BrokerState, state["value"])
        assert state["broker"] == node and state["value"]["logBytes"] > 0
    with pytest.raises(AdminError, match="no broker is called"):
        admin.broker_states(scope={"broker": "nobody"})
    [before] = admin.broker_settings()["value"]
    assert [node["name"] for node in admin.change_broker_settings({SETTING: "71"})["value"]] == [node["name"]]
    [after] = admin.broker_settings()["value"]
    assert (after["value"][SETTING], before["value"][SETTING] != "71") == ("71", True)
    admin.change_broker_settings({SETTING: before["value"][SETTING]})
    assert not [key for key in after["value"] if "secret" in key.lower() or "password" in key.lower()]
    with pytest.raises(ConfigError, match="is a path"):
        admin.change_broker_settings({"storePathRootDir": "/tmp"})
    for what in ("expired_queues", "unused_topics", "expired_log"):
        assert admin.clean(what)["failures"] == []
    with pytest.raises(ConfigError, match="unknown variant"):
        admin.clean("everything")
    [replication] = admin.replication()["value"]
    assert replication["value"]["master"] is True
    for counted in admin.statistic("TOPIC_PUT_NUMS", topic)["value"]:
        of(answers.Statistic, counted["value"])
        of(answers.Counted, counted["value"]["statsDay"])
    of(answers.Finding, admin.examine()[0])


def test_name_servers_are_set_and_keep_values(admin: Admin, topic: str) -> None:
    [settings] = admin.name_server_settings()["value"]
    assert settings["value"]
    key = "scanNotActiveBrokerInterval"
    assert admin.change_name_server_settings({key: settings["value"].get(key, "5000")})["failures"] == []
    with pytest.raises(ConfigError, match="is a path"):
        admin.change_name_server_settings({"kvConfigPath": "/tmp/x"})
    assert (admin.value(topic, "k"), admin.values(topic)) == (None, {})
    assert admin.put_value(topic, "k", "v")["failures"] == []
    assert (admin.value(topic, "k"), admin.values(topic)) == ("v", {"k": "v"})
    assert admin.delete_value(topic, "k")["failures"] == []
    assert admin.value(topic, "k") is None


def test_producers_are_kept_away_from_a_broker(admin: Admin, topic: str) -> None:
    admin.change_topic(topic, queues=2)
    eventually(lambda: topic in admin.topics())
    [node] = admin.brokers()
    try:

        def kept_away() -> bool:
            # A broker that registers anew meanwhile, as it does from time to time, takes messages again.
            [changed] = admin.allow_writes(node["name"], False)["value"]
            assert changed["value"] > 0
            return [row["writeQueues"] for row in admin.topic_route(topic)] == [0]

        eventually(kept_away)
    finally:
        admin.allow_writes(node["name"], True)
    assert [row["writeQueues"] for row in admin.topic_route(topic)] == [2]


async def test_operations_are_awaited_too(server: str, topic: str) -> None:
    async with AsyncAdmin(server) as admin:
        assert await admin.change_topic(topic, queues=1, set={"message.type": "NORMAL"}) == []
        settings, brokers = admin.topic_settings(topic), admin.brokers()
        # Both are on their way.
        [found] = (await settings)["value"]
        assert [found["broker"]] == await brokers
        assert found["value"]["attributes"] == {"message.type": "NORMAL"}
        assert await admin.change_topic(topic, remove=["message.type"]) == []
        [found] = (await admin.topic_settings(topic))["value"]
        assert found["value"]["attributes"] == {}
        with pytest.raises(ConfigError, match="unknown variant"):
            await admin.groups(scope={"house": "x"})  # type: ignore[arg-type]
        await admin.delete_topic(topic)
