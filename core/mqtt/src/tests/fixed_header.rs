//! The first two to five bytes: type, flags, length; and what only one side may send.

use bytes::BytesMut;

use super::*;

/// The shortest legal packet of each type in a version, from a side that may send it.
fn shortest(version: Version) -> Vec<(PacketType, Side, Vec<u8>)> {
    let v5 = version == Version::V5;
    let no_properties: &[u8] = if v5 { &[0] } else { &[] };
    let id: &[u8] = &[0, 1];
    let mut all = vec![
        (PacketType::ConnAck, Side::Server, raw(0x20, &[&[0, 0], no_properties])),
        (PacketType::Publish, Side::Client, raw(0x30, &[&counted(b"t"), no_properties])),
        (PacketType::PubAck, Side::Client, raw(0x40, &[id])),
        (PacketType::PubRec, Side::Client, raw(0x50, &[id])),
        (PacketType::PubRel, Side::Client, raw(0x62, &[id])),
        (PacketType::PubComp, Side::Client, raw(0x70, &[id])),
        (PacketType::Subscribe, Side::Client, raw(0x82, &[id, no_properties, &counted(b"t"), &[0]])),
        (PacketType::SubAck, Side::Server, raw(0x90, &[id, no_properties, &[0]])),
        (PacketType::Unsubscribe, Side::Client, raw(0xA2, &[id, no_properties, &counted(b"t")])),
        (PacketType::UnsubAck, Side::Server, raw(0xB0, &[id, no_properties, if v5 { &[0] } else { &[] }])),
        (PacketType::PingReq, Side::Client, raw(0xC0, &[])),
        (PacketType::PingResp, Side::Server, raw(0xD0, &[])),
        (PacketType::Disconnect, Side::Client, raw(0xE0, &[])),
    ];
    if v5 {
        let method = [&[0x15][..], &counted(b"m")].concat();
        all.push((PacketType::Auth, Side::Client, raw(0xF0, &[&[0x18, 4], &method])));
    }
    all
}

#[test]
fn the_shortest_packet_of_each_type_is_read_and_written_as_it_was() {
    for version in BOTH {
        for (packet_type, from, bytes) in shortest(version) {
            let packet = one(version, from, &bytes).unwrap();
            assert_eq!(packet.packet_type(), packet_type);
            assert_eq!(written(&packet, version), bytes, "{packet_type:?} in {version}");
        }
    }
}

/// 3:2.2.2-1, 3:2.2.2-2, 5:2.1.3-1; 3:3.6.1-1, 5:3.6.1-1, 3:3.8.1-1, 5:3.8.1-1, 3:3.10.1-1, 5:3.10.1-1, 3:3.14.1-1,
/// 5:3.14.1-1, 5:3.15.1-1
#[test]
fn reserved_flags_have_their_value_or_the_packet_is_malformed() {
    for version in BOTH {
        for (packet_type, from, mut bytes) in shortest(version) {
            if packet_type == PacketType::Publish {
                continue;
            }
            let first = bytes[0];
            for flags in 0..16 {
                bytes[0] = first & 0xF0 | flags;
                if bytes[0] != first {
                    assert_eq!(
                        refusal(version, from, &bytes),
                        MALFORMED,
                        "{packet_type:?} with flags {flags:04b}"
                    );
                }
            }
        }
    }
}

#[test]
fn type_0_is_malformed_and_in_3_1_1_type_15_too() {
    for from in SIDES {
        assert_eq!(refusal(Version::V3, from, &[0x00, 0]), MALFORMED);
        assert_eq!(refusal(Version::V5, from, &[0x00, 0]), MALFORMED);
        assert_eq!(refusal(Version::V3, from, &[0xF0, 0]), MALFORMED);
    }
}

#[test]
fn a_packet_of_the_other_side_is_a_protocol_error() {
    for version in BOTH {
        for (packet_type, from, bytes) in shortest(version) {
            let other = if from == Side::Client { Side::Server } else { Side::Client };
            use PacketType::*;
            match packet_type {
                ConnAck | SubAck | UnsubAck | PingReq | PingResp | Subscribe | Unsubscribe => {
                    assert_eq!(refusal(version, other, &bytes), PROTOCOL, "{packet_type:?} in {version}");
                }
                Disconnect if version == Version::V3 => assert_eq!(refusal(version, other, &bytes), PROTOCOL),
                _ => assert_eq!(one(version, other, &bytes).unwrap().packet_type(), packet_type),
            }
        }
    }
}

/// 3:3.1.0-2, 5:3.1.0-2
#[test]
fn a_second_connect_is_a_protocol_error_whatever_is_in_it() {
    for version in BOTH {
        for from in SIDES {
            assert_eq!(refusal(version, from, &[0x10]), PROTOCOL);
        }
    }
}

#[test]
fn a_wrong_first_byte_is_refused_before_there_is_more() {
    for first in [0x00, 0x20, 0x41, 0x36, 0x38, 0x60, 0x80, 0xA0, 0xC1, 0xD0] {
        assert!(
            decode(&mut BytesMut::from(&[first][..]), Version::V5, &Limits::default(), Side::Client).is_err()
        );
    }
}

#[test]
fn a_packet_is_waited_for_byte_by_byte_and_the_next_one_stays() {
    let publish = raw(0x30, &[&counted(b"topic"), &[0], &[7; 200]]);
    let both = [&publish[..], &[0xC0, 0]].concat();
    let mut buffer = BytesMut::new();
    let decode =
        |buffer: &mut BytesMut| decode(buffer, Version::V5, &Limits::default(), Side::Client).unwrap();
    for (at, &byte) in both.iter().enumerate() {
        if at < publish.len() {
            assert_eq!(decode(&mut buffer), None);
            assert_eq!(buffer, both[..at], "nothing was taken yet");
        }
        buffer.extend_from_slice(&[byte]);
    }
    assert!(matches!(decode(&mut buffer), Some(Packet::Publish(_))));
    assert_eq!(decode(&mut buffer), Some(Packet::PingReq));
    assert_eq!(decode(&mut buffer), None);
}

#[test]
fn a_fifth_byte_of_length_is_malformed() {
    for version in BOTH {
        assert_eq!(refusal(version, Side::Client, &[0x30, 0xFF, 0xFF, 0xFF, 0xFF]), MALFORMED);
        assert_eq!(refusal(version, Side::Client, &[0x30, 0x80, 0x80, 0x80, 0x80, 0]), MALFORMED);
    }
}

/// 5:1.5.5-1. 3.1.1 has no such rule, and small devices write lengths of a fixed size.
#[test]
fn a_length_in_more_bytes_than_it_needs_is_malformed_in_5_0() {
    for bytes in
        [&[0xC0, 0x80, 0][..], &[0xC0, 0x80, 0x80, 0], &[0xC0, 0x80, 0x80, 0x80, 0], &[0x40, 0x82, 0, 0, 1]]
    {
        assert_eq!(refusal(Version::V5, Side::Client, bytes), MALFORMED);
        assert!(one(Version::V3, Side::Client, bytes).is_ok());
    }
}

#[test]
fn a_packet_above_the_limit_is_refused_by_its_length_alone() {
    let limits = Limits { packet: 100, ..Limits::default() };
    let decode = |bytes: &[u8]| decode(&mut BytesMut::from(bytes), Version::V5, &limits, Side::Client);
    assert_eq!(decode(&[0x30, 98]), Ok(None), "100 bytes with its header");
    let error = decode(&[0x30, 99]).unwrap_err();
    assert_eq!(error, DecodeError::TooLarge { size: 101, limit: 100 });
    assert_eq!(error.reason(), ReasonCode::PacketTooLarge);
}

#[test]
fn bytes_behind_the_last_field_are_malformed() {
    for version in BOTH {
        for (packet_type, from, bytes) in shortest(version) {
            use PacketType::*;
            // What may go on: a payload, further filters, codes, a reason.
            let body = &bytes[2..];
            let more: &[u8] = match packet_type {
                Publish => continue,
                Subscribe | Unsubscribe => &[0],
                SubAck | UnsubAck if version == Version::V5 => &[0xFF],
                SubAck => &[0x03],
                PubAck | PubRec | PubRel | PubComp if version == Version::V5 => &[0, 0, 0],
                Disconnect if version == Version::V5 => &[0, 0, 0],
                _ => &[0],
            };
            assert_eq!(
                refusal(version, from, &raw(bytes[0], &[body, more])),
                MALFORMED,
                "{packet_type:?} in {version}"
            );
        }
    }
}

/// A body that ends early is malformed: there is nothing to wait for.
#[test]
fn a_packet_that_ends_within_a_field_is_malformed() {
    for version in BOTH {
        for (packet_type, from, bytes) in shortest(version) {
            let body = &bytes[2..];
            for length in 0..body.len() {
                let cut = raw(bytes[0], &[&body[..length]]);
                match one(version, from, &cut) {
                    Err(error) => {
                        assert!([MALFORMED, PROTOCOL].contains(&error.reason()), "{packet_type:?}: {error}");
                    }
                    // A server's AUTH may be empty; a client's is not here.
                    Ok(packet) => panic!("{packet:?} from {length} bytes"),
                }
            }
        }
    }
}
