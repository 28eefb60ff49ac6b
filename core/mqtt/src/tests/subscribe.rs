//! SUBSCRIBE, UNSUBSCRIBE and their answers.

use super::*;
use crate::topic::{AnyFilter, FilterFault};

const ID: &[u8] = &[0, 1];

fn no_properties(version: Version) -> &'static [u8] {
    if version == Version::V5 { &[0] } else { &[] }
}

fn subscribed(version: Version, filters: &[(&[u8], u8)]) -> Vec<u8> {
    let filters: Vec<u8> =
        filters.iter().flat_map(|(filter, options)| [counted(filter), vec![*options]].concat()).collect();
    raw(0x82, &[ID, no_properties(version), &filters])
}

fn subscribe(version: Version, bytes: &[u8]) -> Subscribe {
    match one(version, Side::Client, bytes) {
        Ok(Packet::Subscribe(subscribe)) => subscribe,
        other => panic!("not a SUBSCRIBE: {other:?}"),
    }
}

/// 3:3.8.3-3, 5:3.8.3-2, 3:3.10.3-2, 5:3.10.3-2
#[test]
fn there_is_at_least_one_filter() {
    for version in BOTH {
        for first in [0x82, 0xA2] {
            assert_eq!(refusal(version, Side::Client, &raw(first, &[ID, no_properties(version)])), PROTOCOL);
        }
    }
}

/// The statement MQTT-3-8.3-4 of 3.1.1, as it is numbered there.
#[test]
fn in_3_1_1_all_but_the_qos_is_reserved_in_the_options() {
    for options in 0..=255 {
        let bytes = subscribed(Version::V3, &[(b"t", options)]);
        match options {
            0..=2 => assert_eq!(subscribe(Version::V3, &bytes).filters[0].options.qos as u8, options),
            _ => assert_eq!(refusal(Version::V3, Side::Client, &bytes), MALFORMED, "options {options:08b}"),
        }
    }
}

/// 5:3.8.3-5, and the values of 3 that neither QoS nor Retain Handling has
#[test]
fn in_5_0_options_have_two_reserved_bits_and_two_illegal_values() {
    for options in 0..=255_u8 {
        let bytes = subscribed(Version::V5, &[(b"t", options)]);
        if options & 0b1100_0000 != 0 {
            assert_eq!(refusal(Version::V5, Side::Client, &bytes), MALFORMED, "options {options:08b}");
        } else if options & 0b11 == 3 || options >> 4 & 0b11 == 3 {
            assert_eq!(refusal(Version::V5, Side::Client, &bytes), PROTOCOL, "options {options:08b}");
        } else {
            let got = subscribe(Version::V5, &bytes).filters[0].options;
            assert_eq!(got.as_u8(), options);
            assert_eq!((got.no_local, got.retain_as_published), (options & 4 != 0, options & 8 != 0));
            assert_eq!(got.retain_handling as u8, options >> 4);
        }
    }
}

/// 5:3.8.3-4
#[test]
fn no_local_and_a_shared_subscription_do_not_go_together() {
    let bytes = subscribed(Version::V5, &[(b"a", 0b100), (b"$share/g/a", 0b100)]);
    assert_eq!(refusal(Version::V5, Side::Client, &bytes), PROTOCOL);
    assert!(one(Version::V5, Side::Client, &subscribed(Version::V5, &[(b"$share/g/a", 0)])).is_ok());
}

/// 3:3.8.4-5, 5:3.8.4-6: a filter with bad syntax is refused in the answer, so the others must be there with it.
#[test]
fn a_filter_that_is_none_does_not_spoil_the_packet() {
    for version in BOTH {
        let bytes = subscribed(version, &[(b"a/#/b", 1), (b"good", 2), (b"", 0), (b"$share//x", 0)]);
        let got = subscribe(version, &bytes);
        let faults: Vec<_> = got
            .filters
            .iter()
            .map(|wanted| wanted.filter.as_ref().err().map(|invalid| invalid.fault))
            .collect();
        let expected = [Some(FilterFault::NotLast), None, Some(FilterFault::Empty), Some(FilterFault::Group)];
        assert_eq!(faults, expected);
        assert_eq!(written(&Packet::Subscribe(got), version), bytes);
    }
}

/// 3:3.10.4-1, 5:3.10.4-1 compare byte by byte: nothing is normalised on the way.
#[test]
fn filters_arrive_as_they_were_sent() {
    let filters = ["a/", "a", "/a", "a//b", " ", "\u{FEFF}a", "a\u{308}", "ä", "$share/g/a/"];
    for version in BOTH {
        let bodies: Vec<u8> = filters.iter().flat_map(|filter| counted(filter.as_bytes())).collect();
        let packet = one(version, Side::Client, &raw(0xA2, &[ID, no_properties(version), &bodies]));
        let Ok(Packet::Unsubscribe(got)) = packet else { panic!("not an UNSUBSCRIBE") };
        let got: Vec<_> = got.filters.iter().map(|filter| filter.as_ref().unwrap().as_str()).collect();
        assert_eq!(got, filters);
    }
}

#[test]
fn a_shared_filter_is_taken_apart() {
    let got = subscribe(Version::V3, &subscribed(Version::V3, &[(b"$share/group/a/+", 1)]));
    let Ok(AnyFilter::Shared(shared)) = &got.filters[0].filter else { panic!("not shared") };
    assert_eq!(
        (shared.group(), shared.filter().as_str(), shared.as_str()),
        ("group", "a/+", "$share/group/a/+")
    );
}

#[test]
fn a_subscription_identifier_is_one_and_not_zero() {
    let with =
        |properties: &[u8]| raw(0x82, &[ID, &[properties.len() as u8], properties, &counted(b"t"), &[0]]);
    let got = subscribe(Version::V5, &with(&[0x0B, 0xFF, 0xFF, 0xFF, 0x7F]));
    assert_eq!(got.properties.subscription_id, Some(SubscriptionId::MAX));
    assert_eq!(refusal(Version::V5, Side::Client, &with(&[0x0B, 0])), PROTOCOL);
    assert_eq!(refusal(Version::V5, Side::Client, &with(&[0x0B, 1, 0x0B, 2])), PROTOCOL);
    assert_eq!(refusal(Version::V5, Side::Client, &with(&[0x0B, 0x81, 0])), MALFORMED, "5:1.5.5-1");
    assert_eq!(refusal(Version::V5, Side::Client, &with(&[0x0B, 0xFF, 0xFF, 0xFF, 0xFF])), MALFORMED);
}

/// 3:3.9.3-1, 5:3.9.3-1, 5:3.11.3-1, 3:3.8.4-2, 5:3.8.4-2, 3:3.10.4-4, 5:3.10.4-4
#[test]
fn answers_carry_the_identifier_and_the_codes_in_order() {
    use ReasonCode::*;
    let id = PacketId::new(0x0A0B).unwrap();
    let suback = Packet::SubAck(SubAck::new(id, vec![GrantedQoS1, TopicFilterInvalid, Success, GrantedQoS2]));
    assert_eq!(written(&suback, Version::V5), raw(0x90, &[&[0x0A, 0x0B], &[0], &[1, 0x8F, 0, 2]]));
    let unsuback = Packet::UnsubAck(UnsubAck::new(id, vec![Success, NoSubscriptionExisted]));
    assert_eq!(written(&unsuback, Version::V5), raw(0xB0, &[&[0x0A, 0x0B], &[0], &[0, 0x11]]));
}

/// 3:3.9.3-2, 3:3.10.4-5
#[test]
fn in_3_1_1_there_is_one_failure_and_no_code_for_the_end_of_a_subscription() {
    use ReasonCode::*;
    let id = PacketId::FIRST;
    let suback = Packet::SubAck(SubAck::new(id, vec![GrantedQoS1, NotAuthorized, Success, QuotaExceeded]));
    assert_eq!(written(&suback, Version::V3), raw(0x90, &[ID, &[1, 0x80, 0, 0x80]]));
    let unsuback = Packet::UnsubAck(UnsubAck::new(id, vec![NoSubscriptionExisted]));
    assert_eq!(written(&unsuback, Version::V3), raw(0xB0, &[ID]));
    for code in 0..=255 {
        let got = one(Version::V3, Side::Server, &raw(0x90, &[ID, &[code]]));
        assert_eq!(got.is_ok(), matches!(code, 0 | 1 | 2 | 0x80), "code {code:02X}");
    }
}

#[test]
fn granted_qos_is_a_code() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        assert_eq!(ReasonCode::granted(qos).code(), qos as u8);
    }
}

#[test]
fn more_filters_than_the_limit_are_too_many() {
    let limits = Limits { filters: 2, ..Limits::default() };
    let decode = |count| {
        let bytes = subscribed(Version::V5, &vec![(&b"t"[..], 0); count]);
        decode(&mut BytesMut::from(&bytes[..]), Version::V5, &limits, Side::Client)
    };
    assert!(decode(2).is_ok());
    assert_eq!(decode(3).unwrap_err().reason(), ReasonCode::QuotaExceeded);
}
