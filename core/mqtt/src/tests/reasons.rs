//! Which reason code may be where: 5.0's table, against the decoder.

use super::*;

/// Each packet with codes, its codes from a client, and those from a server.
fn table() -> Vec<(PacketType, Vec<u8>, Vec<u8>)> {
    use PacketType::*;
    let received = [0x00, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    let and = |codes: &[u8], more: &[u8]| [codes, more].concat();
    let left = [0x00, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
    let by_server =
        [0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2];
    vec![
        (
            ConnAck,
            vec![],
            vec![
                0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95,
                0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
            ],
        ),
        (PubAck, received.to_vec(), and(&received, &[0x10])),
        (PubRec, received.to_vec(), and(&received, &[0x10])),
        (PubRel, vec![0x00, 0x92], vec![0x00, 0x92]),
        (PubComp, vec![0x00, 0x92], vec![0x00, 0x92]),
        (SubAck, vec![], vec![0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2]),
        (UnsubAck, vec![], vec![0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91]),
        (Disconnect, and(&left, &[0x04]), and(&left, &by_server)),
        (Auth, vec![0x18, 0x19], vec![0x00, 0x18]),
    ]
}

fn packet(packet_type: PacketType, code: u8) -> Vec<u8> {
    use PacketType::*;
    let id: &[u8] = &[0, 1];
    match packet_type {
        ConnAck => raw(0x20, &[&[0, code, 0]]),
        PubAck => raw(0x40, &[id, &[code]]),
        PubRec => raw(0x50, &[id, &[code]]),
        PubRel => raw(0x62, &[id, &[code]]),
        PubComp => raw(0x70, &[id, &[code]]),
        SubAck => raw(0x90, &[id, &[0, 0, code]]),
        UnsubAck => raw(0xB0, &[id, &[0, 0, code]]),
        Disconnect => raw(0xE0, &[&[code]]),
        _ => raw(0xF0, &[&[code, 4, 0x15, 0, 1, b'm']]),
    }
}

/// 5:3.2.2-8, 5:3.4.2-1, 5:3.5.2-1, 5:3.6.2-1, 5:3.7.2-1, 5:3.9.3-2, 5:3.11.3-2, 5:3.14.2-1, 5:3.15.2-1
#[test]
fn each_packet_takes_the_codes_of_its_list_from_the_side_that_has_them() {
    for (packet_type, client, server) in table() {
        for (from, codes) in [(Side::Client, client), (Side::Server, server)] {
            if !packet_type.is_from(from) {
                continue;
            }
            for code in 0..=255 {
                let bytes = packet(packet_type, code);
                match one(Version::V5, from, &bytes) {
                    Ok(_) => assert!(
                        codes.contains(&code),
                        "{code:02X} was taken in {packet_type:?} from {from:?}"
                    ),
                    Err(error) => {
                        assert!(
                            !codes.contains(&code),
                            "{code:02X} was refused in {packet_type:?} from {from:?}"
                        );
                        assert_eq!(error.reason(), MALFORMED);
                    }
                }
            }
        }
    }
}

/// The same statements for what is sent.
#[test]
fn a_code_that_is_not_of_the_packet_is_not_written() {
    for (packet_type, client, server) in table() {
        for &reason in ReasonCode::ALL {
            let packet = match packet_type {
                PacketType::ConnAck => Packet::ConnAck(Box::new(ConnAck::refused(reason))),
                PacketType::PubAck => Packet::PubAck(Ack::with_reason(PacketId::FIRST, reason)),
                PacketType::PubRec => Packet::PubRec(Ack::with_reason(PacketId::FIRST, reason)),
                PacketType::PubRel => Packet::PubRel(Ack::with_reason(PacketId::FIRST, reason)),
                PacketType::PubComp => Packet::PubComp(Ack::with_reason(PacketId::FIRST, reason)),
                PacketType::SubAck => Packet::SubAck(SubAck::new(PacketId::FIRST, vec![reason])),
                PacketType::UnsubAck => Packet::UnsubAck(UnsubAck::new(PacketId::FIRST, vec![reason])),
                PacketType::Disconnect => Packet::Disconnect(Disconnect::new(reason)),
                _ => {
                    let mut auth = Auth { reason, ..Auth::default() };
                    auth.properties.authentication_method = Some(Text::from_static("m"));
                    Packet::Auth(auth)
                }
            };
            let legal = client.contains(&reason.code()) || server.contains(&reason.code());
            let mut out = BytesMut::new();
            match encode(&packet, Version::V5, u32::MAX, &mut out) {
                Ok(()) => assert!(legal, "{reason} in {packet_type:?}"),
                Err(error) => {
                    assert_eq!((error, out.len()), (EncodeError::Reason { packet: packet_type, reason }, 0));
                    assert!(!legal, "{reason} in {packet_type:?}");
                }
            }
        }
    }
}

#[test]
fn codes_are_their_numbers_and_failures_start_at_0x80() {
    for &reason in ReasonCode::ALL {
        assert_eq!(ReasonCode::from_u8(reason.code()), Some(reason));
        assert_eq!(reason.is_failure(), reason.code() >= 0x80);
    }
    assert_eq!(ReasonCode::ALL.len(), (0..=255).filter_map(ReasonCode::from_u8).count());
}
