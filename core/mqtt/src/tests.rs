//! What packets have to obey, by subject. Tests name the normative statements that they show: `3:x` is [MQTT-x] of 3.1.1,
//! `5:x` of 5.0.

mod any;
mod connect;
mod exchange;
mod fixed_header;
mod identity;
mod properties;
mod publish;
mod reasons;
mod sizes;
mod subscribe;
mod texts;

use bytes::BytesMut;

use crate::*;

/// Decodes bytes that hold one packet exactly.
fn one(version: Version, from: Side, bytes: &[u8]) -> Result<Packet, DecodeError> {
    let mut buffer = BytesMut::from(bytes);
    let packet = decode(&mut buffer, version, &Limits::default(), from)?.expect("a complete packet");
    assert!(buffer.is_empty(), "{} bytes were left", buffer.len());
    Ok(packet)
}

/// Encodes without a limit.
fn written(packet: &Packet, version: Version) -> BytesMut {
    let mut out = BytesMut::new();
    encode(packet, version, u32::MAX, &mut out).expect("a legal packet");
    out
}

/// A packet by hand: its first byte, and what is behind its length.
fn raw(first: u8, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    let mut packet = vec![first];
    let mut length = body.len();
    loop {
        let more = if length >= 128 { 128 } else { 0 };
        packet.push((length % 128) as u8 + more);
        length /= 128;
        if length == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

/// Bytes behind their length of two.
fn counted(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// The code for the error that these bytes are; that 3.1.1 closes in silence is checked too.
fn refusal(version: Version, from: Side, bytes: &[u8]) -> ReasonCode {
    let error = one(version, from, bytes).expect_err("an error");
    assert_eq!(error.answer(Version::V3), None);
    assert_eq!(error.answer(Version::V5).unwrap().reason, error.reason());
    error.reason()
}

const BOTH: [Version; 2] = [Version::V3, Version::V5];
const SIDES: [Side; 2] = [Side::Client, Side::Server];
const MALFORMED: ReasonCode = ReasonCode::MalformedPacket;
const PROTOCOL: ReasonCode = ReasonCode::ProtocolError;
