//! The receiver's maximum packet size.

use super::*;
use crate::topic::Name;

/// 5:3.1.2-24, 5:3.1.2-25
#[test]
fn a_packet_above_the_receivers_maximum_is_not_written() {
    let message = Packet::Publish(Publish::new(Name::from_static("t"), vec![0; 90].into()));
    for version in BOTH {
        let whole = written(&message, version).len() as u32;
        let mut out = BytesMut::from(&b"before"[..]);
        let error = encode(&message, version, whole - 1, &mut out);
        assert_eq!(error, Err(EncodeError::TooLarge { size: whole as usize, limit: whole - 1 }));
        assert_eq!(out, b"before"[..], "an error leaves the output as it was");
        assert_eq!(encode(&message, version, whole, &mut out), Ok(()));
        assert_eq!(out.len(), 6 + whole as usize);
    }
}

/// 5:3.2.2-19, 5:3.2.2-20, 5:3.4.2-2, 5:3.4.2-3, 5:3.5.2-2, 5:3.5.2-3, 5:3.6.2-2, 5:3.6.2-3, 5:3.7.2-2, 5:3.7.2-3,
/// 5:3.9.2-1, 5:3.9.2-2, 5:3.11.2-1, 5:3.11.2-2, 5:3.14.2-3, 5:3.14.2-4, 5:3.15.2-2, 5:3.15.2-3
#[test]
fn explanations_are_left_out_where_they_do_not_fit_the_reason_first() {
    let reason = Some(Text::try_from("r".repeat(100)).unwrap());
    let user = vec![(Text::from_static("name"), Text::try_from("v".repeat(50)).unwrap())];
    let id = PacketId::FIRST;
    let method = Some(Text::from_static("m"));
    let mut connack = ConnAck::default();
    (connack.properties.reason_string, connack.properties.user) = (reason.clone(), user.clone());
    let mut ack = Ack::with_reason(id, ReasonCode::Success);
    (ack.properties.reason_string, ack.properties.user) = (reason.clone(), user.clone());
    let mut suback = SubAck::new(id, vec![ReasonCode::Success]);
    suback.properties = ack.properties.clone();
    let mut unsuback = UnsubAck::new(id, vec![ReasonCode::Success]);
    unsuback.properties = ack.properties.clone();
    let mut disconnect = Disconnect::new(ReasonCode::QuotaExceeded);
    (disconnect.properties.reason_string, disconnect.properties.user) = (reason.clone(), user.clone());
    let mut auth = Auth { reason: ReasonCode::ContinueAuthentication, ..Auth::default() };
    (auth.properties.reason_string, auth.properties.user) = (reason, user);
    auth.properties.authentication_method = method;
    for packet in [
        Packet::ConnAck(Box::new(connack)),
        Packet::PubAck(ack.clone()),
        Packet::PubRec(ack.clone()),
        Packet::PubRel(ack.clone()),
        Packet::PubComp(ack),
        Packet::SubAck(suback),
        Packet::UnsubAck(unsuback),
        Packet::Disconnect(disconnect),
        Packet::Auth(auth),
    ] {
        let has = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
        let (all, mut seen) = (written(&packet, Version::V5).len() as u32, [false; 4]);
        for limit in 0..=all {
            let mut out = BytesMut::new();
            let (fits, reason, user) = match encode(&packet, Version::V5, limit, &mut out) {
                Ok(()) => (true, has(&out, b"rrr"), has(&out, b"vvv")),
                Err(EncodeError::TooLarge { .. }) => (false, false, false),
                Err(other) => panic!("{other}"),
            };
            assert!(out.len() <= limit as usize);
            if fits {
                assert!(one(Version::V5, Side::Server, &out).is_ok(), "{packet:?} in {limit} bytes");
            }
            let step = match (fits, reason, user) {
                (false, ..) => 0,
                (true, false, false) => 1,
                (true, false, true) => 2,
                (true, true, true) => 3,
                (true, true, false) => panic!("the reason was kept, the user properties were not"),
            };
            assert!(seen[step + 1..].iter().all(|later| !later), "more room, fewer properties");
            seen[step] = true;
        }
        assert_eq!(seen, [true; 4], "{packet:?}");
    }
}

/// 5:3.3.2-17: what a publisher said goes with its message or not at all.
#[test]
fn a_message_keeps_its_user_properties_or_is_not_written() {
    let mut message = Publish::new(Name::from_static("t"), "p".into());
    message.properties.user = vec![(Text::from_static("name"), Text::try_from("v".repeat(50)).unwrap())];
    let error = encode(&Packet::Publish(message), Version::V5, 40, &mut BytesMut::new());
    assert!(matches!(error, Err(EncodeError::TooLarge { .. })));
}

#[test]
fn no_packet_is_longer_than_its_length_can_say() {
    let payload = bytes::Bytes::from(vec![0; 268_435_456]);
    let message = Publish::new(Name::from_static("t"), payload.slice(..268_435_452));
    let mut head = BytesMut::new();
    assert_eq!(encode_publish_head(&message, Version::V3, u32::MAX, &mut head), Ok(()));
    assert_eq!(head[..5], [0x30, 0xFF, 0xFF, 0xFF, 0x7F]);
    let message = Publish { payload: payload.slice(..268_435_453), ..message };
    let error = encode_publish_head(&message, Version::V3, u32::MAX, &mut BytesMut::new());
    assert_eq!(error, Err(EncodeError::TooLarge { size: 268_435_461, limit: 268_435_460 }));
}
