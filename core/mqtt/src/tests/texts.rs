//! Texts, binary data, identifiers: the types that fields are made of.

use super::*;
use crate::text::{Seen, TextError, scan};
use crate::topic::NameError;

fn publish_to(topic: &[u8]) -> Vec<u8> {
    raw(0x30, &[&counted(topic), &[0], b"payload"])
}

fn subscribe_to(filter: &[u8]) -> Vec<u8> {
    raw(0x82, &[&[0, 1], &[0], &counted(filter), &[0]])
}

/// 3:1.5.3-1, 5:1.5.4-1
#[test]
fn ill_formed_utf_8_is_malformed_surrogates_included() {
    for bad in [
        &b"\xC3"[..],
        b"a\xFFb",
        b"\x80",
        b"over-long \xC0\xAF",
        b"surrogate \xED\xA0\x80",
        b"surrogate \xED\xBF\xBF",
        b"above \xF4\x90\x80\x80",
    ] {
        assert_eq!(refusal(Version::V5, Side::Client, &publish_to(bad)), MALFORMED);
        assert_eq!(refusal(Version::V5, Side::Client, &subscribe_to(bad)), MALFORMED);
        assert_eq!(Text::new(bad.to_vec().into()), Err(TextError::NotUtf8));
    }
}

/// 3:1.5.3-2, 5:1.5.4-2, 3:4.7.3-2, 5:4.7.3-2
#[test]
fn a_null_character_is_malformed() {
    for bad in [&b"\0"[..], b"a\0b", b"12345678\0", b"\xC3\xA4\0", b"0123456789abcde\0"] {
        assert_eq!(refusal(Version::V5, Side::Client, &publish_to(bad)), MALFORMED);
        assert_eq!(refusal(Version::V5, Side::Client, &subscribe_to(bad)), MALFORMED);
        assert_eq!(Text::new(bad.to_vec().into()), Err(TextError::Null));
    }
}

/// 3:1.5.3-3, 5:1.5.4-3
#[test]
fn a_byte_order_mark_is_kept() {
    let Ok(Packet::Publish(publish)) = one(Version::V5, Side::Client, &publish_to("\u{FEFF}a".as_bytes()))
    else {
        panic!("not a PUBLISH");
    };
    assert_eq!(publish.topic.name().unwrap().as_bytes(), b"\xEF\xBB\xBFa");
}

/// Control characters and non-characters may be refused; nobody gains by it.
#[test]
fn control_characters_and_non_characters_are_taken() {
    for text in ["\u{1}", "\u{7F}", "\u{9F}", "\u{FFFF}", "\u{10FFFF}"] {
        assert!(one(Version::V5, Side::Client, &publish_to(text.as_bytes())).is_ok());
    }
}

/// 3:4.7.3-3, 5:4.7.3-3
#[test]
fn a_text_has_at_most_65535_bytes() {
    let longest = "x".repeat(65_535);
    assert!(one(Version::V5, Side::Client, &publish_to(longest.as_bytes())).is_ok());
    assert!(Text::try_from(longest.as_str()).is_ok());
    let too_long = longest + "x";
    assert_eq!(Text::try_from(too_long.as_str()), Err(TextError::TooLong));
    assert_eq!(topic::Name::try_from(too_long.as_str()), Err(NameError::Text(TextError::TooLong)));
    assert_eq!(Binary::new(too_long.into()), None);
}

/// 5:1.5.7-1
#[test]
fn both_halves_of_a_pair_are_texts() {
    let publish = |name: &[u8], value: &[u8]| {
        let pair = [&[0x26][..], &counted(name), &counted(value)].concat();
        raw(0x30, &[&counted(b"t"), &[pair.len() as u8], &pair])
    };
    assert!(one(Version::V5, Side::Client, &publish(b"name", b"")).is_ok());
    for bad in [&b"\xFF"[..], b"\0"] {
        assert_eq!(refusal(Version::V5, Side::Client, &publish(bad, b"value")), MALFORMED);
        assert_eq!(refusal(Version::V5, Side::Client, &publish(b"name", bad)), MALFORMED);
    }
}

/// 3:2.3.1-1, 5:2.2.1-3 and, for answers, 3:2.3.1-6, 3:2.3.1-7, 5:2.2.1-5, 5:2.2.1-6
#[test]
fn an_identifier_of_zero_is_a_protocol_error_wherever_one_is() {
    let zero: &[u8] = &[0, 0];
    for version in BOTH {
        let no_properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
        for from in SIDES {
            for first in [0x40, 0x50, 0x62, 0x70] {
                assert_eq!(refusal(version, from, &raw(first, &[zero])), PROTOCOL);
            }
            for first in [0x32, 0x34] {
                assert_eq!(
                    refusal(version, from, &raw(first, &[&counted(b"t"), zero, no_properties])),
                    PROTOCOL
                );
            }
        }
        let subscribe = raw(0x82, &[zero, no_properties, &counted(b"t"), &[0]]);
        assert_eq!(refusal(version, Side::Client, &subscribe), PROTOCOL);
        let unsubscribe = raw(0xA2, &[zero, no_properties, &counted(b"t")]);
        assert_eq!(refusal(version, Side::Client, &unsubscribe), PROTOCOL);
        assert_eq!(refusal(version, Side::Server, &raw(0x90, &[zero, no_properties, &[0]])), PROTOCOL);
        assert_eq!(refusal(version, Side::Server, &raw(0xB0, &[zero, no_properties])), PROTOCOL);
    }
    assert_eq!(refusal(Version::V5, Side::Client, &raw(0x40, &[zero, &[0x10]])), PROTOCOL);
}

/// 3:2.3.1-4, 5:2.2.1-4: what a sender counts by never gives zero.
#[test]
fn identifiers_go_round_without_zero() {
    assert_eq!(PacketId::new(0), None);
    assert_eq!(PacketId::FIRST.value(), 1);
    assert_eq!(PacketId::new(65_535).unwrap().next(), PacketId::FIRST);
    assert_eq!(PacketId::FIRST.next().value(), 2);
}

/// The eight bytes at once see what one look at each byte would.
#[test]
fn a_scan_finds_a_byte_at_any_place_of_any_length() {
    for length in 0..40_usize {
        let plain = vec![b'a'; length];
        assert_eq!(scan(&plain), Seen { null: false, beyond_ascii: false, wildcard: false });
        for at in 0..length {
            for byte in 0..=255 {
                let mut bytes = plain.clone();
                bytes[at] = byte;
                let wildcard = matches!(byte, b'+' | b'#');
                assert_eq!(
                    scan(&bytes),
                    Seen { null: byte == 0, beyond_ascii: byte >= 128, wildcard },
                    "{bytes:?}"
                );
            }
        }
    }
}
