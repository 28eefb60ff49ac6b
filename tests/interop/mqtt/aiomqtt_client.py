"""aiomqtt: 3.1.1 and 5.0."""

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from scenarios import HOST, PATIENCE, PORT, equal, run


def client(version, name, clean=True, **options):
    if version == aiomqtt.ProtocolVersion.V5:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 0 if clean else 3600
        options.update(clean_start=clean, properties=properties)
    else:
        options.update(clean_session=clean)
    options.update(protocol=version, timeout=PATIENCE)
    return aiomqtt.Client(HOST, PORT, identifier=f"aiomqtt-{version.value}-{name}", **options)


async def receive(one):
    return await anext(aiter(one.messages))


def scenarios_of(version):
    prefix = f"aiomqtt{version.value}"

    async def publish():
        async with client(version, "c") as c:
            await c.subscribe(f"{prefix}/publish", qos=2)
            for qos in (0, 1, 2):
                await c.publish(f"{prefix}/publish", f"qos {qos}", qos=qos)
                got = await receive(c)
                equal((got.payload, got.qos), (f"qos {qos}".encode(), qos))

    async def retained():
        async with client(version, "c") as c:
            await c.publish(f"{prefix}/retained", "kept", qos=1, retain=True)
            await c.subscribe(f"{prefix}/retained", qos=1)
            got = await receive(c)
            equal((got.payload, got.retain), (b"kept", True))
            await c.publish(f"{prefix}/retained", b"", qos=1, retain=True)

    async def will():
        async with client(version, "watcher") as watcher:
            await watcher.subscribe(f"{prefix}/will", qos=1)
            left = aiomqtt.Will(f"{prefix}/will", "gone", 1)
            try:
                async with client(version, "testator", will=left):
                    # Another connection takes its place.
                    async with client(version, "testator"):
                        equal((await receive(watcher)).payload, b"gone")
            except aiomqtt.MqttError:
                # The first finds at its end that it was ended before.
                pass
            else:
                raise AssertionError("the connection goes on that another took the place of")

    async def resumed():
        async with client(version, "session", clean=False) as c:
            await c.subscribe(f"{prefix}/resumed", qos=2)
        async with client(version, "sender") as sender:
            await sender.publish(f"{prefix}/resumed", "waits", qos=2)
        async with client(version, "session", clean=False) as c:
            equal((await receive(c)).payload, b"waits")

    chosen = [publish, retained, will, resumed]
    name = "5" if version == aiomqtt.ProtocolVersion.V5 else "3"
    return [(f"{scenario.__name__}_{name}", scenario) for scenario in chosen]


run(scenarios_of(aiomqtt.ProtocolVersion.V311) + scenarios_of(aiomqtt.ProtocolVersion.V5))
