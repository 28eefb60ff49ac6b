//! Which property may be where, how often, with which values: 5.0's table, against the decoder.

use super::*;
use crate::properties::Property;

/// A place for properties, and the letter that stands for it in [`TABLE`].
const PLACES: [(char, Side); 16] = [
    ('C', Side::Client), // CONNECT
    ('W', Side::Client), // its will
    ('c', Side::Server), // CONNACK
    ('P', Side::Client), // PUBLISH
    ('p', Side::Server),
    ('A', Side::Client), // PUBACK
    ('R', Side::Client), // PUBREC
    ('L', Side::Client), // PUBREL
    ('M', Side::Client), // PUBCOMP
    ('S', Side::Client), // SUBSCRIBE
    ('s', Side::Server), // SUBACK
    ('U', Side::Client), // UNSUBSCRIBE
    ('u', Side::Server), // UNSUBACK
    ('D', Side::Client), // DISCONNECT
    ('d', Side::Server),
    ('X', Side::Client), // AUTH
];

/// Number, a legal value, where it may be.
const TABLE: [(u8, &[u8], &str); 27] = [
    (0x01, &[1], "PpW"),
    (0x02, &[0, 0, 0, 1], "PpW"),
    (0x03, &[0, 1, b'x'], "PpW"),
    (0x08, &[0, 1, b'x'], "PpW"),
    (0x09, &[0, 1, 0xFF], "PpW"),
    (0x0B, &[1], "Sp"),
    (0x11, &[0, 0, 0, 1], "CcD"),
    (0x12, &[0, 1, b'x'], "c"),
    (0x13, &[0, 1], "c"),
    (0x15, &[0, 1, b'm'], "CcX"),
    (0x16, &[0, 1, 0xFF], "CcX"),
    (0x17, &[1], "C"),
    (0x18, &[0, 0, 0, 1], "W"),
    (0x19, &[1], "C"),
    (0x1A, &[0, 1, b'x'], "c"),
    (0x1C, &[0, 1, b'x'], "cd"),
    (0x1F, &[0, 1, b'x'], "cARLMsuDdX"),
    (0x21, &[0, 1], "Cc"),
    (0x22, &[0, 1], "Cc"),
    (0x23, &[0, 1], "Pp"),
    (0x24, &[1], "c"),
    (0x25, &[1], "c"),
    (0x26, &[0, 1, b'n', 0, 1, b'v'], "CWcPpARLMSsUuDdX"),
    (0x27, &[0, 0, 0, 1], "Cc"),
    (0x28, &[1], "c"),
    (0x29, &[1], "c"),
    (0x2A, &[1], "c"),
];

/// A packet with these properties at this place, otherwise legal.
fn at(place: char, properties: &[u8]) -> Vec<u8> {
    let mut section = vec![properties.len() as u8];
    section.extend(properties);
    let (id, topic): (&[u8], &[u8]) = (&[0, 1], &[0, 1, b't']);
    let fixed = [&counted(b"MQTT")[..], &[5]].concat();
    let client: &[u8] = &[0, 1, b'c'];
    match place {
        'C' => raw(0x10, &[&fixed, &[0b10, 0, 0], &section, client]),
        'W' => raw(0x10, &[&fixed, &[0b110, 0, 0], &[0], client, &section, topic, &[0, 0]]),
        'c' => raw(0x20, &[&[0, 0], &section]),
        'P' | 'p' => raw(0x30, &[topic, &section]),
        'A' => raw(0x40, &[id, &[0], &section]),
        'R' => raw(0x50, &[id, &[0], &section]),
        'L' => raw(0x62, &[id, &[0], &section]),
        'M' => raw(0x70, &[id, &[0], &section]),
        'S' => raw(0x82, &[id, &section, topic, &[0]]),
        's' => raw(0x90, &[id, &section, &[0]]),
        'U' => raw(0xA2, &[id, &section, topic]),
        'u' => raw(0xB0, &[id, &section, &[0]]),
        'D' | 'd' => raw(0xE0, &[&[0], &section]),
        'X' => raw(0xF0, &[&[0x18], &section]),
        _ => unreachable!(),
    }
}

/// Decodes it as what it is, and says what was wrong.
fn read(place: char, from: Side, properties: &[u8]) -> Result<(), DecodeError> {
    // Data of an authentication need a method with them.
    let method: &[u8] = &[0x15, 0, 1, b'm'];
    let needs_method = place == 'X' || "Cc".contains(place) && properties.first() == Some(&0x16);
    let has_method = properties.first() == Some(&0x15);
    let properties =
        if needs_method && !has_method { [method, properties].concat() } else { properties.to_vec() };
    let bytes = at(place, &properties);
    if "CW".contains(place) {
        let mut buffer = BytesMut::from(&bytes[..]);
        return decode_connect(&mut buffer, &Limits::default()).map(drop).map_err(|error| error.cause);
    }
    one(Version::V5, from, &bytes).map(drop)
}

#[test]
fn each_property_is_taken_where_the_table_has_it_and_a_protocol_error_elsewhere() {
    for (id, value, places) in TABLE {
        let property = [&[id][..], value].concat();
        for (place, from) in PLACES {
            let result = read(place, from, &property);
            if places.contains(place) {
                assert_eq!(result, Ok(()), "{id:02X} at {place}");
            } else {
                assert_eq!(result.unwrap_err().reason(), PROTOCOL, "{id:02X} at {place}");
            }
        }
    }
}

#[test]
fn an_unknown_property_is_malformed_everywhere() {
    for id in 0..=255 {
        if TABLE.iter().all(|(known, ..)| *known != id) {
            assert_eq!(Property::from_u8(id), None);
            for (place, from) in PLACES {
                let bytes = [id, 0, 1, 1];
                assert_eq!(read(place, from, &bytes).unwrap_err().reason(), MALFORMED, "{id:02X} at {place}");
            }
        }
    }
}

#[test]
fn a_property_may_come_once_user_properties_and_a_messages_subscription_identifiers_excepted() {
    for (id, value, places) in TABLE {
        let twice = [&[id][..], value, &[id], value].concat();
        for (place, from) in PLACES.into_iter().filter(|(place, _)| places.contains(*place)) {
            let result = read(place, from, &twice);
            if id == 0x26 || id == 0x0B && place == 'p' {
                assert_eq!(result, Ok(()));
            } else {
                assert_eq!(
                    result.unwrap_err(),
                    DecodeError::Repeated(Property::from_u8(id).unwrap()),
                    "at {place}"
                );
            }
        }
    }
}

#[test]
fn illegal_values_are_protocol_errors() {
    let flags = [0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A];
    for (id, value, places) in TABLE {
        let place = places.chars().next().unwrap();
        let (_, from) = PLACES.into_iter().find(|(known, _)| *known == place).unwrap();
        for bad in 0..=255 {
            if flags.contains(&id) {
                assert_eq!(read(place, from, &[id, bad]).is_ok(), bad <= 1, "{id:02X} of {bad}");
            }
        }
        let zero = vec![0; value.len()];
        let property = [&[id][..], &zero].concat();
        match id {
            0x0B | 0x21 | 0x27 => assert_eq!(read(place, from, &property).unwrap_err().reason(), PROTOCOL),
            0x23 => {
                assert_eq!(read(place, from, &property).unwrap_err().reason(), ReasonCode::TopicAliasInvalid);
            }
            0x02 | 0x11 | 0x13 | 0x18 | 0x22 => assert_eq!(read(place, from, &property), Ok(())),
            _ => {}
        }
    }
}

/// The section ends exactly where its length says, and lies within the packet.
#[test]
fn a_property_that_reaches_out_of_its_section_is_malformed() {
    for (id, value, places) in TABLE {
        for (place, from) in PLACES.into_iter().filter(|(place, _)| places.contains(*place)) {
            let property = [&[id][..], value].concat();
            for length in 1..property.len() {
                let result = read(place, from, &property[..length]);
                assert_eq!(result.unwrap_err().reason(), MALFORMED, "{length} bytes of {id:02X} at {place}");
            }
        }
    }
    let longer_than_the_packet = raw(0x30, &[&counted(b"t"), &[4], &[0x23, 0, 1]]);
    assert_eq!(refusal(Version::V5, Side::Client, &longer_than_the_packet), MALFORMED);
}

/// 5:2.2.2-1
#[test]
fn a_length_is_there_even_when_nothing_else_is() {
    for (first, body) in
        [(0x30, &b"\x00\x01t"[..]), (0x82, b"\x00\x01"), (0xA2, b"\x00\x01"), (0xF0, b"\x18")]
    {
        assert!(one(Version::V5, Side::Client, &raw(first, &[body])).is_err());
    }
    for (first, body) in [(0x20, &b"\x00\x00"[..]), (0x90, b"\x00\x01"), (0xB0, b"\x00\x01")] {
        assert_eq!(refusal(Version::V5, Side::Server, &raw(first, &[body])), MALFORMED);
    }
    let nothing = Packet::SubAck(SubAck::new(PacketId::FIRST, vec![ReasonCode::Success]));
    assert_eq!(written(&nothing, Version::V5)[..], [0x90, 4, 0, 1, 0, 0]);
}

#[test]
fn more_user_properties_than_the_limit_are_too_many() {
    let limits = Limits { user_properties: 3, ..Limits::default() };
    let decode = |count| {
        let bytes = at('P', &[0x26, 0, 0, 0, 0].repeat(count));
        decode(&mut BytesMut::from(&bytes[..]), Version::V5, &limits, Side::Client)
    };
    assert!(decode(3).is_ok());
    assert_eq!(decode(4).unwrap_err().reason(), ReasonCode::QuotaExceeded);
}

#[test]
fn the_table_and_the_enum_have_the_same_properties() {
    let ids: Vec<u8> = Property::ALL.iter().map(|property| *property as u8).collect();
    assert_eq!(ids, TABLE.map(|(id, ..)| id));
}
