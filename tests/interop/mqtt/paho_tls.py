"""Eclipse paho for Python over TLS: by WebSocket at the HTTPS port, and at MQTT's own."""

import queue
import sys

import paho.mqtt.client as mqtt

WEB_PORT, PORT, AUTHORITY = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
PATIENCE = 60

for transport, port in (("websockets", WEB_PORT), ("tcp", PORT)):
    messages, connected, subscribed = queue.Queue(), queue.Queue(), queue.Queue()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, f"tls-{transport}", protocol=mqtt.MQTTv5, transport=transport)
    client.on_connect = lambda c, u, flags, reason, p, q=connected: q.put(reason)
    client.on_subscribe = lambda c, u, mid, reasons, p, q=subscribed: q.put(reasons)
    client.on_message = lambda c, u, message, q=messages: q.put(message.payload)
    client.connect_timeout = PATIENCE
    client.tls_set(ca_certs=AUTHORITY)
    if transport == "websockets":
        client.ws_set_options(path="/mqtt")
    client.connect("127.0.0.1", port)
    client.loop_start()
    reason = connected.get(timeout=PATIENCE)
    assert not reason.is_failure, reason
    topic = f"tls/{transport}"
    client.subscribe(topic, 1)
    subscribed.get(timeout=PATIENCE)
    # More than one record of TLS.
    payload = bytes(range(256)) * 400
    client.publish(topic, payload, 1).wait_for_publish(PATIENCE)
    assert messages.get(timeout=PATIENCE) == payload
    client.disconnect()
    client.loop_stop()
