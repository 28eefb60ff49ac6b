//! What one packet costs to read and to write, in nanoseconds on one core.
//!
//! `cargo bench -p ferromq-mqtt` prints the best and the median of many short rounds, so that a busy machine shows.
//! Reading starts from a buffer with many packets, as a connection has it, and ends when the packet is dropped.
//! `core/mqtt/compare` does the same with codecs of others.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use ferromq_mqtt::properties::PublishProperties;
use ferromq_mqtt::topic::{Filter, Name};
use ferromq_mqtt::{
    Ack, Connect, Delivery, Limits, Packet, PacketId, Publish, QoS, Side, SubAck, Subscribe, Subscription,
    Text, Version, decode, decode_connect, encode, encode_publish_head,
};

mod rounds;

use rounds::{reading, writing};

fn main() {
    let id = PacketId::new(4711).expect("not zero");
    let message = Publish {
        delivery: Delivery::AtLeastOnce { id, dup: false },
        ..Publish::new(Name::from_static("site/7/machine/42/temperature"), Bytes::from(vec![7; 256]))
    };
    let rich = Publish {
        properties: PublishProperties {
            message_expiry: Some(60),
            content_type: Some(Text::from_static("application/json")),
            user: vec![
                (Text::from_static("trace"), Text::from_static("4bf92f3577b34da6")),
                (Text::from_static("tenant"), Text::from_static("blue")),
            ],
            ..PublishProperties::default()
        }
        .into(),
        ..message.clone()
    };
    let mut connect = Connect::new(Version::V5, Text::from_static("machine-42"));
    connect.keep_alive = 60;
    connect.user_name = Some(Text::from_static("machine"));
    let subscribe = Subscribe {
        id,
        filters: vec![Subscription::new(
            Filter::from_static("site/7/machine/+/temperature"),
            QoS::AtLeastOnce,
        )],
        properties: Default::default(),
    };
    for version in [Version::V3, Version::V5] {
        println!("MQTT {version}");
        let case = |name: &str, packet: &Packet, from: Side| {
            let mut bytes = BytesMut::new();
            encode(packet, version, u32::MAX, &mut bytes).expect("a legal packet");
            reading(name, &bytes, |buffer| {
                let packet = decode(buffer, version, &Limits::default(), from);
                black_box(&packet).as_ref().is_ok_and(Option::is_some)
            });
            writing(name, |out| encode(black_box(packet), version, u32::MAX, out).is_ok());
        };
        case("PUBLISH QoS 1, 256 B", &Packet::Publish(message.clone()), Side::Client);
        writing("head of PUBLISH QoS 1, 256 B", |out| {
            encode_publish_head(black_box(&message), version, u32::MAX, out).is_ok()
        });
        if version == Version::V5 {
            case("PUBLISH with 4 properties", &Packet::Publish(rich.clone()), Side::Client);
        }
        case("PUBACK", &Packet::PubAck(Ack::new(id)), Side::Client);
        case("SUBSCRIBE, 1 filter", &Packet::Subscribe(subscribe.clone()), Side::Client);
        let granted = SubAck::new(id, vec![ferromq_mqtt::ReasonCode::GrantedQoS1]);
        case("SUBACK", &Packet::SubAck(granted), Side::Server);
        case("PINGREQ", &Packet::PingReq, Side::Client);
        connect.version = version;
        let mut bytes = BytesMut::new();
        encode(&Packet::Connect(Box::new(connect.clone())), version, u32::MAX, &mut bytes)
            .expect("a legal packet");
        reading("CONNECT", &bytes, |buffer| {
            black_box(decode_connect(buffer, &Limits::default())).is_ok_and(|connect| connect.is_some())
        });
    }
}
