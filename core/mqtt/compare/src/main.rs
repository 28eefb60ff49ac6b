//! Our codec beside rumqttd's, in one run: what each makes of packets that clients send or must not, and what one packet
//! costs. `cargo run --release` prints both; `docs/mqtt-codec.md` keeps a run with what follows from it.
//!
//! Always true: both get the same bytes; a verdict is right when a legal packet is read and an illegal one refused, and
//! wrong when it is the other way round, when it panics, and when it waits for more of a packet that is complete.

mod cases;
#[path = "../../benches/rounds/mod.rs"]
mod rounds;

use std::hint::black_box;
use std::panic::catch_unwind;

use bytes::{Bytes, BytesMut};
use cases::{CASES, Case};
use ferromq_mqtt::topic::Name;
use ferromq_mqtt::{
    Ack, Delivery, Limits, Packet, PacketId, Publish, Side, Version, decode, decode_connect, encode,
    encode_publish_head,
};
use rounds::{reading, writing};
use rumqttd::protocol::{Error, Protocol, v4::V4, v5::V5};

const MAX: usize = 1 << 20;

/// What a codec made of one complete packet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Read,
    Refused,
    Waits,
    Panics,
}

impl Verdict {
    fn shown(self, legal: bool) -> String {
        let word = match self {
            Self::Read => "reads",
            Self::Refused => "refuses",
            Self::Waits => "waits for more",
            Self::Panics => "panics",
        };
        if self.is_right(legal) { word.to_owned() } else { format!("**{word}**") }
    }

    fn is_right(self, legal: bool) -> bool {
        self == if legal { Self::Read } else { Self::Refused }
    }
}

fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    println!("| version | packet | must be | ferromq-mqtt | rumqttd |\n|---|---|---|---|---|");
    let mut right = [0, 0];
    for case in CASES {
        let verdicts = [ours(case), theirs(case)];
        let [ours, theirs] = verdicts.map(|verdict| verdict.shown(case.legal));
        let must = if case.legal { "read" } else { "refused" };
        println!("| {} | {} | {must} | {ours} | {theirs} |", case.version, case.name);
        for (count, verdict) in right.iter_mut().zip(verdicts) {
            *count += usize::from(verdict.is_right(case.legal));
        }
    }
    println!("\nright: ferromq-mqtt {} of {}, rumqttd {}\n", right[0], CASES.len(), right[1]);
    speed(Version::V3, &mut V4, &V4);
    speed(Version::V5, &mut V5, &V5);
}

fn ours(case: &Case) -> Verdict {
    let verdict = catch_unwind(|| {
        let mut buffer = BytesMut::from(case.bytes);
        let read = if case.bytes[0] >> 4 == 1 {
            decode_connect(&mut buffer, &Limits::default()).map(|found| found.is_some()).map_err(drop)
        } else {
            decode(&mut buffer, case.version, &Limits::default(), Side::Client)
                .map(|found| found.is_some())
                .map_err(drop)
        };
        match read {
            Ok(true) => Verdict::Read,
            Ok(false) => Verdict::Waits,
            Err(()) => Verdict::Refused,
        }
    });
    verdict.unwrap_or(Verdict::Panics)
}

fn theirs(case: &Case) -> Verdict {
    let verdict = catch_unwind(|| {
        let mut buffer = BytesMut::from(case.bytes);
        let read = match case.version {
            Version::V3 => V4.read_mut(&mut buffer, MAX),
            Version::V5 => V5.read_mut(&mut buffer, MAX),
        };
        match read {
            Ok(_) => Verdict::Read,
            Err(Error::InsufficientBytes(_)) => Verdict::Waits,
            Err(_) => Verdict::Refused,
        }
    });
    verdict.unwrap_or(Verdict::Panics)
}

/// Both codecs on the packets that make up nearly all traffic.
fn speed(version: Version, reader: &mut impl Protocol, writer: &impl Protocol) {
    println!("MQTT {version}");
    let id = PacketId::new(4711).expect("not zero");
    let message = Publish {
        delivery: Delivery::AtLeastOnce { id, dup: false },
        ..Publish::new(Name::from_static("site/7/machine/42/temperature"), Bytes::from(vec![7; 256]))
    };
    writing("head of PUBLISH, ferromq-mqtt", |out| {
        encode_publish_head(black_box(&message), version, u32::MAX, out).is_ok()
    });
    for (name, packet) in
        [("PUBLISH 256 B", Packet::Publish(message)), ("PUBACK", Packet::PubAck(Ack::new(id)))]
    {
        let mut bytes = BytesMut::new();
        encode(&packet, version, u32::MAX, &mut bytes).expect("a legal packet");
        reading(&format!("{name}, ferromq-mqtt"), &bytes, |buffer| {
            let packet = decode(buffer, version, &Limits::default(), Side::Client);
            black_box(&packet).as_ref().is_ok_and(Option::is_some)
        });
        reading(&format!("{name}, rumqttd"), &bytes, |buffer| {
            black_box(reader.read_mut(buffer, MAX)).is_ok()
        });
        writing(&format!("{name}, ferromq-mqtt"), |out| {
            encode(black_box(&packet), version, u32::MAX, out).is_ok()
        });
        let theirs = reader.read_mut(&mut bytes, MAX).expect("a legal packet");
        // It takes the packet, so that one that is written more than once has to be cloned.
        writing(&format!("{name}, rumqttd"), |out| writer.write(black_box(&theirs).clone(), out).is_ok());
    }
}
