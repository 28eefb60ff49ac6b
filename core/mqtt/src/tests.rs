//! What packets have to obey, by subject. Tests name the normative statements that they show: `3:x` is [MQTT-x] of 3.1.1,
//! `5:x` of 5.0.

mod any;
mod identity;

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
