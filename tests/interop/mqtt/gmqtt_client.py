"""gmqtt: 5.0, and 3.1.1."""

import asyncio

import gmqtt
from gmqtt.mqtt.constants import MQTTv50, MQTTv311

from scenarios import HOST, PORT, equal, run


class Client:
    """A client with its messages in a queue."""

    def __init__(self, version, name, clean=True, will=None):
        more = {"session_expiry_interval": 3600} if version == MQTTv50 and not clean else {}
        self.version = version
        self.messages = asyncio.Queue()
        self.subscribed = asyncio.Queue()
        self.client = gmqtt.Client(f"gmqtt-{version}-{name}", clean_session=clean, will_message=will, **more)
        self.client.on_message = self.on_message
        self.client.on_subscribe = lambda c, mid, qos, properties: self.subscribed.put_nowait(qos)

    def on_message(self, client, topic, payload, qos, properties):
        self.messages.put_nowait((topic, bytes(payload), qos, properties))
        return 0

    async def __aenter__(self):
        await self.client.connect(HOST, PORT, version=self.version)
        return self

    async def __aexit__(self, *_):
        await self.client.disconnect()

    async def subscribe(self, topic, qos):
        self.client.subscribe(topic, qos=qos)
        equal(list(await self.subscribed.get()), [qos])


def scenarios_of(version):
    prefix = f"gmqtt{version}"

    async def publish():
        async with Client(version, "c") as c:
            await c.subscribe(f"{prefix}/publish", 2)
            for qos in (0, 1, 2):
                c.client.publish(f"{prefix}/publish", f"qos {qos}", qos=qos)
                topic, payload, came, _ = await c.messages.get()
                equal((topic, payload, came), (f"{prefix}/publish", f"qos {qos}".encode(), qos))

    async def retained():
        async with Client(version, "c") as c:
            c.client.publish(f"{prefix}/retained", "kept", qos=1, retain=True)
            await c.subscribe(f"{prefix}/retained", 1)
            _, payload, _, properties = await c.messages.get()
            equal((payload, properties["retain"]), (b"kept", 1))
            c.client.publish(f"{prefix}/retained", "", qos=1, retain=True)
            equal((await c.messages.get())[1], b"")

    async def will():
        async with Client(version, "watcher") as watcher:
            await watcher.subscribe(f"{prefix}/will", 1)
            left = gmqtt.Message(f"{prefix}/will", "gone", qos=1)
            testator = Client(version, "testator", will=left)
            testator.client.set_config({"reconnect_retries": 0})
            await testator.client.connect(HOST, PORT, version=version)
            testator.client._connection._transport.abort()
            equal((await watcher.messages.get())[1], b"gone")

    async def resumed():
        async with Client(version, "session", clean=False) as c:
            await c.subscribe(f"{prefix}/resumed", 2)
        async with Client(version, "sender") as sender:
            await sender.subscribe(f"{prefix}/resumed", 1)
            sender.client.publish(f"{prefix}/resumed", "waits", qos=2)
            await sender.messages.get()
        async with Client(version, "session", clean=False) as c:
            equal((await c.messages.get())[1], b"waits")

    async def request():
        async with Client(version, "answerer") as answerer, Client(version, "asker") as asker:
            await answerer.subscribe(f"{prefix}/request", 1)
            await asker.subscribe(f"{prefix}/answer", 1)
            asker.client.publish(
                f"{prefix}/request",
                "ask",
                qos=1,
                response_topic=f"{prefix}/answer",
                correlation_data=b"number 1",
                user_property=[("b", "1"), ("a", "2")],
            )
            properties = (await answerer.messages.get())[3]
            equal(properties["user_property"], [("b", "1"), ("a", "2")])
            [to], [which] = properties["response_topic"], properties["correlation_data"]
            answerer.client.publish(to, "answer", qos=1, correlation_data=which)
            _, payload, _, properties = await asker.messages.get()
            equal((payload, properties["correlation_data"]), (b"answer", [b"number 1"]))

    chosen = [publish, retained, will, resumed] + ([request] if version == MQTTv50 else [])
    name = "5" if version == MQTTv50 else "3"
    return [(f"{scenario.__name__}_{name}", scenario) for scenario in chosen]


run(scenarios_of(MQTTv311) + scenarios_of(MQTTv50))
