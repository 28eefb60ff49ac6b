"""Eclipse paho for Python: 3.1.1 and 5.0, over TCP and WebSocket."""

import queue
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from scenarios import HOST, PATIENCE, PORT, WEB_PORT, equal, run


class Client:
    """A client that has connected, with its messages in a queue."""

    def __init__(self, version, name, clean=True, will=None, transport="tcp"):
        self.version = version
        self.messages = queue.Queue()
        self.connected = queue.Queue()
        self.subscribed = queue.Queue()
        self.gone = threading.Event()
        v5 = version == mqtt.MQTTv5
        options = {} if v5 else {"clean_session": clean}
        name = f"paho-{version}-{transport}-{name}"
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, name, protocol=version, transport=transport, **options
        )
        self.client.on_connect = lambda c, u, flags, reason, p: self.connected.put((flags, reason))
        self.client.on_message = lambda c, u, message: self.messages.put(message)
        self.client.on_subscribe = lambda c, u, mid, reasons, p: self.subscribed.put(reasons)
        self.client.on_disconnect = lambda *_: self.gone.set()
        # Of the handshakes of TCP and WebSocket: 5 s by default.
        self.client.connect_timeout = PATIENCE
        if will:
            self.client.will_set(*will)
        if transport == "websockets":
            self.client.ws_set_options(path="/mqtt")
        more = {}
        if v5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 0 if clean else 3600
            more = {"clean_start": clean, "properties": properties}
        self.client.connect(HOST, PORT if transport == "tcp" else WEB_PORT, keepalive=60, **more)
        self.client.loop_start()
        flags, reason = self.connected.get(timeout=PATIENCE)
        assert not reason.is_failure, reason
        self.session_present = flags.session_present

    def subscribe(self, topic, qos):
        self.client.subscribe(topic, qos)
        [reason] = self.subscribed.get(timeout=PATIENCE)
        equal(reason.value, qos)

    def publish(self, topic, payload, qos, retain=False, properties=None):
        info = self.client.publish(topic, payload, qos, retain, properties)
        info.wait_for_publish(PATIENCE)
        assert info.is_published()

    def receive(self):
        return self.messages.get(timeout=PATIENCE)

    def close(self):
        self.client.disconnect()
        assert self.gone.wait(PATIENCE)
        self.client.loop_stop()

    def break_off(self):
        self.client.loop_stop()
        self.client.socket().close()


def scenarios_of(version, transport="tcp"):
    def client(name, **options):
        return Client(version, name, transport=transport, **options)

    prefix = f"paho{version}{transport}"

    def publish():
        c = client("c")
        c.subscribe(f"{prefix}/publish", 2)
        for qos in (0, 1, 2):
            c.publish(f"{prefix}/publish", f"qos {qos}", qos)
            got = c.receive()
            equal((got.payload, got.qos, got.retain), (f"qos {qos}".encode(), qos, False))
        c.close()

    def retained():
        c = client("c")
        c.publish(f"{prefix}/retained", "kept", 1, retain=True)
        c.subscribe(f"{prefix}/retained", 1)
        got = c.receive()
        equal((got.payload, got.retain), (b"kept", True))
        c.publish(f"{prefix}/retained", None, 1, retain=True)
        equal(c.receive().payload, b"")
        c.close()

    def will():
        watcher = client("watcher")
        watcher.subscribe(f"{prefix}/will", 1)
        client("testator", will=(f"{prefix}/will", "gone", 1)).break_off()
        equal(watcher.receive().payload, b"gone")
        watcher.close()

    def resumed():
        c = client("session", clean=False)
        c.subscribe(f"{prefix}/resumed", 2)
        c.close()
        sender = client("sender")
        for qos in (1, 2):
            sender.publish(f"{prefix}/resumed", f"qos {qos}", qos)
        sender.close()
        c = client("session", clean=False)
        assert c.session_present
        equal({c.receive().payload for _ in (1, 2)}, {b"qos 1", b"qos 2"})
        c.close()

    def shared():
        members = [client(f"member{n}") for n in range(2)]
        for member in members:
            member.subscribe(f"$share/group/{prefix}/shared", 1)
        sender = client("sender")
        for n in range(20):
            sender.publish(f"{prefix}/shared", str(n), 1)
        got, expected = set(), {str(n).encode() for n in range(20)}
        while got != expected:
            for member in members:
                try:
                    payload = member.messages.get(timeout=0.01).payload
                    assert payload not in got, f"{payload} came twice"
                    got.add(payload)
                except queue.Empty:
                    pass
        for one in [*members, sender]:
            one.close()

    def request():
        answerer = client("answerer")
        answerer.subscribe(f"{prefix}/request", 1)
        asker = client("asker")
        asker.subscribe(f"{prefix}/answer", 1)
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = f"{prefix}/answer"
        properties.CorrelationData = b"\x00\xff"
        properties.ContentType = "text/plain"
        properties.UserProperty = [("b", "1"), ("a", "2"), ("b", "3")]
        asker.publish(f"{prefix}/request", "ask", 1, properties=properties)
        got = answerer.receive()
        equal(got.properties.UserProperty, [("b", "1"), ("a", "2"), ("b", "3")])
        equal(got.properties.ContentType, "text/plain")
        answer = Properties(PacketTypes.PUBLISH)
        answer.CorrelationData = got.properties.CorrelationData
        answerer.publish(got.properties.ResponseTopic, "answer", 1, properties=answer)
        got = asker.receive()
        equal((got.payload, got.properties.CorrelationData), (b"answer", b"\x00\xff"))
        answerer.close()
        asker.close()

    def no_local():
        c, other = client("c"), client("other")
        c.client.subscribe(f"{prefix}/local", options=SubscribeOptions(qos=1, noLocal=True))
        c.subscribed.get(timeout=PATIENCE)
        c.publish(f"{prefix}/local", "own", 1)
        other.publish(f"{prefix}/local", "other's", 1)
        equal(c.receive().payload, b"other's")
        c.close()
        other.close()

    all_versions = [publish, retained, will, resumed, shared]
    name = {mqtt.MQTTv311: "3", mqtt.MQTTv5: "5"}[version] + ("" if transport == "tcp" else "_web")
    chosen = all_versions + ([request, no_local] if version == mqtt.MQTTv5 else [])
    return [(f"{scenario.__name__}_{name}", scenario) for scenario in chosen]


run(
    scenarios_of(mqtt.MQTTv311)
    + scenarios_of(mqtt.MQTTv5)
    + scenarios_of(mqtt.MQTTv311, "websockets")
    + scenarios_of(mqtt.MQTTv5, "websockets")
)
