//! The four acknowledgements, DISCONNECT and AUTH.

use super::*;
use crate::properties::Sparse;

const ID: &[u8] = &[0x12, 0x34];

fn ack_of(packet: Packet) -> Ack {
    match packet {
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => ack,
        other => panic!("no acknowledgement: {other:?}"),
    }
}

/// The three lengths of 5.0; 3.1.1 has one.
#[test]
fn an_acknowledgement_may_leave_out_properties_and_success() {
    for first in [0x40, 0x50, 0x62, 0x70] {
        for from in SIDES {
            for version in BOTH {
                let ack = ack_of(one(version, from, &raw(first, &[ID])).unwrap());
                assert_eq!(ack, Ack::new(PacketId::new(0x1234).unwrap()));
            }
            let failure = if first >= 0x60 { 0x92 } else { 0x97 };
            let ack = ack_of(one(Version::V5, from, &raw(first, &[ID, &[failure]])).unwrap());
            assert_eq!(ack.reason.code(), failure);
            let ack = ack_of(one(Version::V5, from, &raw(first, &[ID, &[failure, 0]])).unwrap());
            assert_eq!((ack.reason.code(), ack.properties), (failure, Sparse::default()));
            let ack = ack_of(one(Version::V5, from, &raw(first, &[ID, &[0, 4, 0x1F, 0, 1, b'!']])).unwrap());
            assert_eq!(ack.properties.reason_string.as_deref(), Some("!"));
            for more in [&[0][..], &[0, 0], &[0x92]] {
                assert_eq!(refusal(Version::V3, from, &raw(first, &[ID, more])), MALFORMED);
            }
            assert_eq!(refusal(Version::V5, from, &raw(first, &[ID, &[0, 1]])), MALFORMED);
        }
    }
}

#[test]
fn an_acknowledgement_is_written_as_short_as_it_can_be() {
    let mut ack = Ack::new(PacketId::new(0x1234).unwrap());
    assert_eq!(written(&Packet::PubAck(ack.clone()), Version::V5), raw(0x40, &[ID]));
    ack.reason = ReasonCode::NoMatchingSubscribers;
    assert_eq!(written(&Packet::PubRec(ack.clone()), Version::V5), raw(0x50, &[ID, &[0x10]]));
    ack.properties.reason_string = Some(Text::from_static("!"));
    assert_eq!(
        written(&Packet::PubAck(ack.clone()), Version::V5),
        raw(0x40, &[ID, &[0x10, 4, 0x1F, 0, 1, b'!']])
    );
    assert_eq!(written(&Packet::PubAck(ack), Version::V3), raw(0x40, &[ID]));
}

/// Never acknowledge what is not stored: 3.1.1 has no way to say no.
#[test]
fn in_3_1_1_a_failure_is_not_written_as_success() {
    let id = PacketId::FIRST;
    for packet in [Packet::PubAck, Packet::PubRec] {
        let refused = packet(Ack::with_reason(id, ReasonCode::QuotaExceeded));
        let mut out = BytesMut::new();
        let error = encode(&refused, Version::V3, u32::MAX, &mut out);
        assert_eq!((error, out.len()), (Err(EncodeError::NotInVersion(refused.packet_type())), 0));
    }
    // For an identifier that nobody knows there is the plain answer.
    let unknown = Ack::with_reason(id, ReasonCode::PacketIdentifierNotFound);
    assert_eq!(written(&Packet::PubRel(unknown.clone()), Version::V3)[..], [0x62, 2, 0, 1]);
    assert_eq!(written(&Packet::PubComp(unknown), Version::V3)[..], [0x70, 2, 0, 1]);
}

#[test]
fn disconnect_may_be_empty_or_a_reason_alone() {
    let left = |bytes: &[u8]| match one(Version::V5, Side::Client, bytes) {
        Ok(Packet::Disconnect(disconnect)) => disconnect,
        other => panic!("not a DISCONNECT: {other:?}"),
    };
    assert_eq!(left(&raw(0xE0, &[])), Disconnect::default());
    assert_eq!(left(&raw(0xE0, &[&[0x04]])), Disconnect::new(ReasonCode::DisconnectWithWill));
    assert_eq!(left(&raw(0xE0, &[&[0x04, 0]])), Disconnect::new(ReasonCode::DisconnectWithWill));
    let with_expiry = left(&raw(0xE0, &[&[0, 5, 0x11, 0, 0, 0, 9]]));
    assert_eq!(with_expiry.properties.session_expiry, Some(SessionExpiry::Seconds(9)));
    assert_eq!(
        written(&Packet::Disconnect(Disconnect::new(ReasonCode::SessionTakenOver)), Version::V5)[..],
        [0xE0, 1, 0x8E]
    );
    assert_eq!(written(&Packet::Disconnect(Disconnect::default()), Version::V5)[..], [0xE0, 0]);
}

#[test]
fn in_3_1_1_disconnect_is_empty_and_a_clients() {
    assert_eq!(one(Version::V3, Side::Client, &[0xE0, 0]), Ok(Packet::Disconnect(Disconnect::default())));
    assert_eq!(refusal(Version::V3, Side::Client, &[0xE0, 1, 0]), MALFORMED);
    assert_eq!(refusal(Version::V3, Side::Server, &[0xE0, 0]), PROTOCOL);
    let taken_over = Packet::Disconnect(Disconnect::new(ReasonCode::SessionTakenOver));
    let error = encode(&taken_over, Version::V3, u32::MAX, &mut BytesMut::new());
    assert_eq!(error, Err(EncodeError::NotInVersion(PacketType::Disconnect)));
}

/// 5:3.14.2-2
#[test]
fn a_server_says_nothing_of_the_sessions_expiry_when_it_closes() {
    assert_eq!(refusal(Version::V5, Side::Server, &raw(0xE0, &[&[0, 5, 0x11, 0, 0, 0, 9]])), PROTOCOL);
}

#[test]
fn the_pings_are_empty() {
    for version in BOTH {
        assert_eq!(one(version, Side::Client, &[0xC0, 0]), Ok(Packet::PingReq));
        assert_eq!(one(version, Side::Server, &[0xD0, 0]), Ok(Packet::PingResp));
        assert_eq!(refusal(version, Side::Client, &[0xC0, 1, 0]), MALFORMED);
        assert_eq!(refusal(version, Side::Server, &[0xD0, 1, 0]), MALFORMED);
    }
}

#[test]
fn auth_names_its_method() {
    let method: &[u8] = &[4, 0x15, 0, 1, b'm'];
    for (from, code) in [(Side::Client, 0x18), (Side::Client, 0x19), (Side::Server, 0x18), (Side::Server, 0)]
    {
        let Ok(Packet::Auth(auth)) = one(Version::V5, from, &raw(0xF0, &[&[code], method])) else {
            panic!("no AUTH")
        };
        assert_eq!((auth.reason.code(), auth.properties.authentication_method.as_deref()), (code, Some("m")));
        assert_eq!(refusal(Version::V5, from, &raw(0xF0, &[&[code, 0]])), PROTOCOL);
        assert_eq!(refusal(Version::V5, from, &raw(0xF0, &[&[code]])), MALFORMED);
    }
    assert_eq!(one(Version::V5, Side::Server, &[0xF0, 0]), Ok(Packet::Auth(Auth::default())));
    assert_eq!(refusal(Version::V5, Side::Client, &[0xF0, 0]), MALFORMED, "a client has no success to tell");
}
