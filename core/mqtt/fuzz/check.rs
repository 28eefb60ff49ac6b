//! What has to hold for any bytes at all: the body of the fuzz target and of the tests with random input.
//!
//! Always true: it is the same for both, so that what one finds the other can show.

use bytes::BytesMut;

use ferromq_mqtt::{Limits, Packet, Side, Version, decode, decode_connect, encode};

/// Reads bytes as packets in every version and from every side, and checks what was read by writing it and reading it
/// again. Gives how many of these readings found a packet.
///
/// # Panics
/// When something does not hold that the first page of this crate says.
pub(crate) fn packets(bytes: &[u8]) -> usize {
    let limits = Limits { packet: 4096, user_properties: 64, filters: 64 };
    let mut found = 0;
    let mut buffer = BytesMut::from(bytes);
    match decode_connect(&mut buffer, &limits) {
        Ok(Some(connect)) => {
            assert!(buffer.len() < bytes.len(), "nothing was taken");
            let packet = Packet::Connect(Box::new(connect.clone()));
            let mut again = written(&packet, connect.version);
            assert_eq!(decode_connect(&mut again, &unlimited()), Ok(Some(connect)));
            assert!(again.is_empty());
            found += 1;
        }
        Ok(None) => assert_eq!(buffer, bytes, "an incomplete packet stays"),
        Err(error) => {
            if let Some((version, answer)) = error.answer() {
                assert!(answer.reason.is_failure());
                written(&Packet::ConnAck(Box::new(answer)), version);
            }
        }
    }
    for (version, from) in [
        (Version::V3, Side::Client),
        (Version::V3, Side::Server),
        (Version::V5, Side::Client),
        (Version::V5, Side::Server),
    ] {
        found += stream(bytes, version, from, &limits);
    }
    found
}

/// Reads packets one behind the other until there are no more.
fn stream(bytes: &[u8], version: Version, from: Side, limits: &Limits) -> usize {
    let mut buffer = BytesMut::from(bytes);
    let mut found = 0;
    loop {
        let before = buffer.len();
        match decode(&mut buffer, version, limits, from) {
            Ok(Some(packet)) => {
                assert!(buffer.len() < before, "nothing was taken");
                let mut again = written(&packet, version);
                assert!(again.len() <= before - buffer.len(), "what was read can be written as short");
                assert_eq!(decode(&mut again, version, &unlimited(), from), Ok(Some(packet)));
                assert!(again.is_empty());
                found += 1;
            }
            Ok(None) => {
                assert_eq!(buffer.len(), before, "an incomplete packet stays");
                assert!(before <= limits.packet as usize, "no more is waited for than the limit");
                return found;
            }
            Err(error) => {
                if let Some(answer) = error.answer(version) {
                    assert!(answer.reason.is_failure());
                    written(&Packet::Disconnect(answer), version);
                }
                return found;
            }
        }
    }
}

/// What was read is legal, so it can be written.
fn written(packet: &Packet, version: Version) -> BytesMut {
    let mut out = BytesMut::new();
    encode(packet, version, u32::MAX, &mut out).expect("what was read can be written");
    out
}

fn unlimited() -> Limits {
    Limits { packet: u32::MAX, user_properties: usize::MAX, filters: usize::MAX }
}
