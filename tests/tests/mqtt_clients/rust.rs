//! rumqttc: a client for 3.1.1 and one for 5.0, which have the same shape and no type in common.

use std::time::Instant;

use ferromq_tests::mqtt::Scene;
use ferromq_tests::mqtt::connection::PATIENCE;
use rumqttc::{mqttbytes, v5};

/// What all clients show, with the client and the packets of one version.
macro_rules! scenarios {
    ($version:ident, $client:path, $packets:path, $qos:path, $patient:expr, $persistent:expr, $will:expr) => {
        mod $version {
            use $client::{Client, Connection, Event, MqttOptions};
            use $packets::{ConnAck, Packet, Publish};
            use $qos as QoS;

            use super::*;

            /// A client that has connected. It works only while it is asked for something.
            struct Connected {
                client: Client,
                connection: Connection,
                connack: ConnAck,
            }

            impl Connected {
                fn open(scene: &Scene, name: &str, set: impl FnOnce(&mut MqttOptions)) -> Self {
                    let address = scene.server().address();
                    let id = scene.id(&format!("{}-{name}", stringify!($version)));
                    let mut options = MqttOptions::new(id, address.ip().to_string(), address.port());
                    set(&mut options);
                    let (client, mut connection) = Client::new(options, 16);
                    $patient(&mut connection);
                    let connack = until(&mut connection, |packet| match packet {
                        Packet::ConnAck(connack) => Some(connack),
                        _ => None,
                    });
                    Self { client, connection, connack }
                }

                fn until<T>(&mut self, find: impl FnMut(Packet) -> Option<T>) -> T {
                    until(&mut self.connection, find)
                }

                fn subscribe(&mut self, topic: &str, qos: QoS) {
                    self.client.subscribe(topic, qos).expect("it is taken");
                    self.until(|packet| matches!(packet, Packet::SubAck(_)).then_some(()));
                }

                /// Publishes, and returns once that is acknowledged.
                fn publish(&mut self, topic: &str, text: &str, qos: QoS, retain: bool) {
                    self.client.publish(topic, qos, retain, text.to_owned()).expect("it is taken");
                    self.until(|packet| {
                        matches!(packet, Packet::PubAck(_) | Packet::PubComp(_)).then_some(())
                    });
                }

                fn receive(&mut self) -> Publish {
                    self.until(|packet| match packet {
                        Packet::Publish(publish) => Some(publish),
                        _ => None,
                    })
                }

                fn close(mut self) {
                    self.client.disconnect().expect("it is taken");
                    // It says so, and then that the connection ended.
                    while self.connection.recv().is_ok_and(|event| event.is_ok()) {}
                }
            }

            /// Lets the connection work until what it gets is what is looked for.
            fn until<T>(connection: &mut Connection, mut find: impl FnMut(Packet) -> Option<T>) -> T {
                let deadline = Instant::now() + PATIENCE;
                loop {
                    let left = deadline.saturating_duration_since(Instant::now());
                    let event = connection.recv_timeout(left).expect("it comes in time");
                    if let Event::Incoming(packet) = event.expect("the connection holds")
                        && let Some(found) = find(packet)
                    {
                        return found;
                    }
                }
            }

            pub(super) fn run(scene: &Scene) {
                let topic = |name: &str| scene.topic(&format!("{}/{name}", stringify!($version)));
                publish(scene, &topic("a"));
                retained(scene, &topic("retained"));
                will(scene, &topic("will"));
                resumed(scene, &topic("resumed"));
            }

            fn publish(scene: &Scene, topic: &str) {
                let mut sender = Connected::open(scene, "s", |_| {});
                let mut receiver = Connected::open(scene, "r", |_| {});
                receiver.subscribe(topic, QoS::ExactlyOnce);
                for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
                    sender.publish(topic, "hello", qos, false);
                    let got = receiver.receive();
                    assert_eq!((&got.payload[..], got.qos), (&b"hello"[..], qos));
                }
                sender.close();
                receiver.close();
            }

            fn retained(scene: &Scene, topic: &str) {
                let mut client = Connected::open(scene, "c", |_| {});
                client.publish(topic, "kept", QoS::AtLeastOnce, true);
                let mut late = Connected::open(scene, "late", |_| {});
                late.client.subscribe(topic, QoS::AtLeastOnce).expect("it is taken");
                let got = late.receive();
                assert_eq!((&got.payload[..], got.retain), (&b"kept"[..], true));
                late.close();
                client.close();
            }

            fn will(scene: &Scene, topic: &str) {
                let mut watcher = Connected::open(scene, "w", |_| {});
                watcher.subscribe(topic, QoS::AtLeastOnce);
                // It is dropped, and says no goodbye.
                drop(Connected::open(scene, "testator", |options| $will(options, topic)));
                assert_eq!(&watcher.receive().payload[..], b"gone");
                watcher.close();
            }

            fn resumed(scene: &Scene, topic: &str) {
                let mut first = Connected::open(scene, "session", $persistent);
                assert!(!first.connack.session_present);
                first.subscribe(topic, QoS::ExactlyOnce);
                first.close();
                let mut sender = Connected::open(scene, "s", |_| {});
                sender.publish(topic, "waits", QoS::ExactlyOnce, false);
                sender.close();
                let mut again = Connected::open(scene, "session", $persistent);
                assert!(again.connack.session_present);
                assert_eq!(&again.receive().payload[..], b"waits");
                again.close();
            }
        }
    };
}

scenarios!(
    three,
    rumqttc,
    rumqttc::mqttbytes::v4,
    rumqttc::mqttbytes::QoS,
    |connection: &mut Connection| {
        connection.eventloop.network_options.set_connection_timeout(PATIENCE.as_secs());
    },
    |options: &mut MqttOptions| {
        options.set_clean_session(false);
    },
    |options: &mut MqttOptions, topic: &str| {
        options.set_last_will(mqttbytes::v4::LastWill::new(topic, "gone", QoS::AtLeastOnce, false));
    }
);

scenarios!(
    five,
    rumqttc::v5,
    rumqttc::v5::mqttbytes::v5,
    rumqttc::v5::mqttbytes::QoS,
    |connection: &mut Connection| {
        connection.eventloop.options.set_connection_timeout(PATIENCE.as_secs());
    },
    |options: &mut MqttOptions| {
        options.set_clean_start(false).set_session_expiry_interval(Some(3600));
    },
    |options: &mut MqttOptions, topic: &str| {
        let will = v5::mqttbytes::v5::LastWill::new(topic, "gone", QoS::AtLeastOnce, false, None);
        options.set_last_will(will);
    }
);

pub(super) fn run(scene: &Scene) {
    three::run(scene);
    five::run(scene);
}
