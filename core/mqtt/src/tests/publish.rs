//! PUBLISH.

use super::*;
use crate::properties::PublishProperties;
use crate::topic::Name;

fn publish(version: Version, from: Side, bytes: &[u8]) -> Publish {
    match one(version, from, bytes) {
        Ok(Packet::Publish(publish)) => publish,
        other => panic!("not a PUBLISH: {other:?}"),
    }
}

/// 3:3.3.1-4, 5:3.3.1-4
#[test]
fn qos_3_is_malformed() {
    for version in BOTH {
        for first in [0x36, 0x37, 0x3E, 0x3F] {
            assert_eq!(refusal(version, Side::Client, &raw(first, &[&counted(b"t"), &[0, 1, 0]])), MALFORMED);
        }
    }
}

/// 3:3.3.1-2, 5:3.3.1-2
#[test]
fn dup_with_qos_0_is_malformed() {
    for version in BOTH {
        for first in [0x38, 0x39] {
            assert_eq!(refusal(version, Side::Client, &raw(first, &[&counted(b"t"), &[0]])), MALFORMED);
        }
    }
}

/// 3:2.3.1-5, 5:2.2.1-2: with QoS 0 the payload follows where an identifier would be.
#[test]
fn flags_and_identifier_are_those_of_the_first_byte() {
    let id = PacketId::new(0x0102).unwrap();
    for retain in [false, true] {
        let first = 0x30 | u8::from(retain);
        let got = publish(Version::V3, Side::Client, &raw(first, &[&counted(b"t"), &[1, 2]]));
        assert_eq!((got.delivery, got.retain, &got.payload[..]), (Delivery::AtMostOnce, retain, &[1, 2][..]));
        for dup in [false, true] {
            let first = first | u8::from(dup) << 3;
            let got = publish(Version::V3, Side::Client, &raw(first | 2, &[&counted(b"t"), &[1, 2], b"p"]));
            assert_eq!((got.delivery, got.retain), (Delivery::AtLeastOnce { id, dup }, retain));
            let got = publish(Version::V3, Side::Client, &raw(first | 4, &[&counted(b"t"), &[1, 2], b"p"]));
            assert_eq!((got.delivery, &got.payload[..]), (Delivery::ExactlyOnce { id, dup }, &b"p"[..]));
        }
    }
}

/// 3:3.3.2-1, 3:3.3.2-2, 5:3.3.2-1, 5:3.3.2-2, 3:4.7.1-1, 5:4.7.0-1
#[test]
fn a_topic_name_with_a_wildcard_is_refused() {
    for version in BOTH {
        for topic in [&b"#"[..], b"+", b"a/#", b"a/+/b", b"a+", b"a#b", b"\xC3\xA4/+"] {
            let reason = refusal(version, Side::Client, &raw(0x30, &[&counted(topic), &[0]]));
            assert_eq!(reason, ReasonCode::TopicNameInvalid);
        }
    }
}

/// 3:4.7.3-1, 5:4.7.3-1
#[test]
fn an_empty_topic_is_for_5_0_with_an_alias_only() {
    assert_eq!(refusal(Version::V3, Side::Client, &raw(0x30, &[&[0, 0], b"p"])), MALFORMED);
    assert_eq!(refusal(Version::V5, Side::Client, &raw(0x30, &[&[0, 0], &[0], b"p"])), PROTOCOL);
    let got = publish(Version::V5, Side::Client, &raw(0x30, &[&[0, 0], &[3, 0x23, 0, 9], b"p"]));
    assert_eq!(got.topic, PublishTopic::Alias(TopicAlias::new(9).unwrap()));
    let got = publish(Version::V5, Side::Client, &raw(0x30, &[&counted(b"t"), &[3, 0x23, 0, 9], b"p"]));
    assert_eq!(got.topic, PublishTopic::Define(Name::from_static("t"), TopicAlias::new(9).unwrap()));
}

/// 5:3.3.2-8
#[test]
fn alias_zero_has_a_code_of_its_own_and_two_aliases_are_one_too_many() {
    let zero = raw(0x30, &[&counted(b"t"), &[3, 0x23, 0, 0]]);
    assert_eq!(refusal(Version::V5, Side::Client, &zero), ReasonCode::TopicAliasInvalid);
    let two = raw(0x30, &[&counted(b"t"), &[6, 0x23, 0, 1, 0x23, 0, 1]]);
    assert_eq!(refusal(Version::V5, Side::Client, &two), PROTOCOL);
}

/// 5:3.3.2-13, 5:3.3.2-14
#[test]
fn a_response_topic_is_a_topic_name() {
    for topic in [&b"a/#"[..], b"+", b""] {
        let property = [&[0x08][..], &counted(topic)].concat();
        let packet = raw(0x30, &[&counted(b"t"), &[property.len() as u8], &property]);
        assert_eq!(refusal(Version::V5, Side::Client, &packet), PROTOCOL);
    }
    let property = [&[0x08][..], &counted(b"\xFF")].concat();
    assert_eq!(
        refusal(Version::V5, Side::Client, &raw(0x30, &[&counted(b"t"), &[property.len() as u8], &property])),
        MALFORMED
    );
}

/// 5:3.3.4-6. To a client there may be several: 5:3.3.4-3, 5:3.3.4-4
#[test]
fn subscription_identifiers_come_from_the_server_only() {
    let packet = raw(0x30, &[&counted(b"t"), &[5, 0x0B, 1, 0x0B, 0x80, 1]]);
    assert_eq!(refusal(Version::V5, Side::Client, &packet), PROTOCOL);
    let got = publish(Version::V5, Side::Server, &packet);
    assert_eq!(got.properties.subscription_ids, [1, 128].map(|id| SubscriptionId::new(id).unwrap()));
    assert_eq!(written(&Packet::Publish(got), Version::V5), packet);
}

/// 5:3.3.2-4, 5:3.3.2-15 to 5:3.3.2-18, 5:3.3.2-20: what came in can go out unaltered, user properties in their order.
#[test]
fn the_properties_of_a_message_survive_reading_and_writing() {
    let user = |name: &[u8], value: &[u8]| [&[0x26][..], &counted(name), &counted(value)].concat();
    let properties = [
        &user(b"b", b"1")[..],
        &[0x01, 1],
        &user(b"a", b"2"),
        &[0x02, 0, 0, 0, 9],
        &[0x03],
        &counted(b"text/plain"),
        &user(b"b", b"3"),
        &[0x08],
        &counted(b"answers"),
        &[0x09],
        &counted(b"\x00\xFF"),
    ]
    .concat();
    let packet = raw(0x30, &[&counted(b"t"), &[properties.len() as u8], &properties, "ä".as_bytes()]);
    let got = publish(Version::V5, Side::Client, &packet);
    let names: Vec<_> =
        got.properties.user.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(names, [("b", "1"), ("a", "2"), ("b", "3")]);
    assert_eq!(got.properties.payload_format, Some(PayloadFormat::Utf8));
    assert_eq!(got.properties.message_expiry, Some(9));
    assert_eq!(got.properties.content_type.as_deref(), Some("text/plain"));
    assert_eq!(got.properties.response_topic.as_deref(), Some("answers"));
    assert_eq!(got.properties.correlation_data.as_deref(), Some(&b"\x00\xFF"[..]));
    let again = written(&Packet::Publish(got.clone()), Version::V5);
    assert_eq!(publish(Version::V5, Side::Server, &again), got);
}

#[test]
fn a_payload_may_be_checked_against_the_format_that_it_says() {
    let with = |format, payload: &'static [u8]| Publish {
        properties: PublishProperties { payload_format: format, ..PublishProperties::default() }.into(),
        ..Publish::new(Name::from_static("t"), payload.into())
    };
    assert!(with(Some(PayloadFormat::Utf8), "ä".as_bytes()).has_the_format_it_says());
    assert!(!with(Some(PayloadFormat::Utf8), b"\xFF").has_the_format_it_says());
    assert!(with(Some(PayloadFormat::Bytes), b"\xFF").has_the_format_it_says());
    assert!(with(None, b"\xFF").has_the_format_it_says());
}

#[test]
fn payload_and_long_topic_are_slices_of_what_was_read_and_a_short_topic_is_not() {
    for (length, is_slice) in [(32, false), (33, true)] {
        let mut buffer = BytesMut::from(&raw(0x30, &[&counted(&vec![b't'; length]), &[0], b"payload"])[..]);
        let range = buffer.as_ptr_range();
        let packet = decode(&mut buffer, Version::V5, &Limits::default(), Side::Client);
        let Ok(Some(Packet::Publish(publish))) = packet else { panic!("not a PUBLISH") };
        assert!(range.contains(&publish.payload.as_ptr()));
        assert_eq!(range.contains(&publish.topic.name().unwrap().as_ptr()), is_slice);
    }
}

#[test]
fn a_head_with_its_payload_behind_is_the_packet() {
    let mut message = Publish::new(Name::from_static("a/b"), vec![7; 300].into());
    message.delivery = Delivery::AtLeastOnce { id: PacketId::FIRST, dup: true };
    for version in BOTH {
        let mut head = BytesMut::new();
        encode_publish_head(&message, version, u32::MAX, &mut head).unwrap();
        head.extend_from_slice(&message.payload);
        assert_eq!(head, written(&Packet::Publish(message.clone()), version));
    }
}

#[test]
fn an_alias_is_for_5_0() {
    let alias = TopicAlias::new(1).unwrap();
    let name = Name::from_static("t");
    let mut message = Publish::new(name.clone(), "p".into());
    message.topic = PublishTopic::Define(name, alias);
    assert_eq!(written(&Packet::Publish(message.clone()), Version::V3), b"\x30\x04\x00\x01tp"[..]);
    message.topic = PublishTopic::Alias(alias);
    let mut out = BytesMut::from(&b"before"[..]);
    let error = encode(&Packet::Publish(message), Version::V3, u32::MAX, &mut out);
    assert_eq!(error, Err(EncodeError::NotInVersion(PacketType::Publish)));
    assert_eq!(out, b"before"[..]);
}

/// They are moved from hand to hand: what is rare belongs behind a pointer.
#[test]
fn packets_are_small() {
    assert!(size_of::<Publish>() <= 104, "{}", size_of::<Publish>());
    assert!(size_of::<Packet>() <= 104, "{}", size_of::<Packet>());
}
