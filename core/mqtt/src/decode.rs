//! Bytes to packets: [`decode_connect`] for the first packet of a connection, [`decode`] for all others.
//!
//! Always true:
//! * `Ok(None)` means that the packet is incomplete and may become one; the buffer is as it was;
//! * a packet is refused by its first byte, and by its length, as soon as these are there;
//! * after an error the connection is of no more use: what is left in the buffer is not looked at again.

mod connect;
mod error;
mod exchange;
mod publish;
mod subscribe;

use bytes::{Buf, BytesMut};

pub use connect::decode_connect;
pub use error::{ConnectError, DecodeError};

use crate::packet::{Packet, PacketType};
use crate::read::{Reader, Variable, variable};
use crate::values::{Side, Version};

/// What bounds the memory that one packet takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest packet, in bytes, header included. Default 1 MiB.
    pub packet: u32,
    /// The most user properties of one packet (and as many again of its will). Default 1024.
    pub user_properties: usize,
    /// The most filters of one SUBSCRIBE or UNSUBSCRIBE. Default 8192.
    pub filters: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { packet: 1 << 20, user_properties: 1024, filters: 8192 }
    }
}

/// The length of the fixed header and of the whole packet, in bytes.
#[derive(Clone, Copy)]
struct Frame {
    header: usize,
    total: usize,
    /// Whether the remaining length has as few bytes as it needs, which 5.0 demands.
    minimal: bool,
}

impl Frame {
    /// Reads the remaining length behind the first byte; `None` while it is incomplete.
    #[inline]
    fn read(buffer: &[u8]) -> Result<Option<Self>, DecodeError> {
        Ok(variable(&buffer[1..])?.map(|Variable { value, size, minimal }| Self {
            header: 1 + size,
            total: 1 + size + value as usize,
            minimal,
        }))
    }

    #[inline]
    fn check_size(self, limits: &Limits) -> Result<(), DecodeError> {
        if self.total > limits.packet as usize {
            return Err(DecodeError::TooLarge { size: self.total, limit: limits.packet });
        }
        Ok(())
    }
}

/// Takes one packet off the front of a buffer, when the connection is past its CONNECT.
///
/// A second CONNECT is a protocol error. Whether other packets come at a time when they may is the session's to judge.
///
/// # Errors
/// When the packet breaks a rule or a limit. What the peer is told is [`DecodeError::answer`].
pub fn decode(
    buffer: &mut BytesMut,
    version: Version,
    limits: &Limits,
    from: Side,
) -> Result<Option<Packet>, DecodeError> {
    let Some(&first) = buffer.first() else { return Ok(None) };
    let packet_type = packet_type(first, version, from)?;
    let Some(frame) = Frame::read(buffer)? else { return Ok(None) };
    if !frame.minimal && version == Version::V5 {
        return Err(DecodeError::Malformed("length in more bytes than it needs"));
    }
    frame.check_size(limits)?;
    if buffer.len() < frame.total {
        return Ok(None);
    }
    if packet_type == PacketType::Publish {
        let packet = buffer.split_to(frame.total).freeze();
        return publish::decode(packet, first, frame.header, version, limits, from);
    }
    if let Some(decoded) = exchange::plain(packet_type, &buffer[frame.header..frame.total]) {
        // The most frequent packets next to PUBLISH: nothing of them needs the buffer.
        buffer.advance(frame.total);
        return decoded.map(Some);
    }
    let packet = buffer.split_to(frame.total).freeze();
    let reader = &mut Reader::new(&packet, frame.header, limits);
    let decoded = match packet_type {
        PacketType::ConnAck => connect::acknowledgement(reader, version)?,
        PacketType::PubAck | PacketType::PubRec | PacketType::PubRel | PacketType::PubComp => {
            exchange::acknowledgement(packet_type, reader, version, from)?
        }
        PacketType::Subscribe => subscribe::subscribe(reader, version)?,
        PacketType::SubAck => subscribe::subscribed(reader, version)?,
        PacketType::Unsubscribe => subscribe::unsubscribe(reader, version)?,
        PacketType::UnsubAck => subscribe::unsubscribed(reader, version)?,
        PacketType::PingReq => Packet::PingReq,
        PacketType::PingResp => Packet::PingResp,
        PacketType::Disconnect => exchange::disconnect(reader, version, from)?,
        PacketType::Auth => exchange::auth(reader, from)?,
        PacketType::Connect | PacketType::Publish => unreachable!("refused and decoded above"),
    };
    reader.finish()?;
    Ok(Some(decoded))
}

/// What the first byte says: the type, if this side may send it in this version with these flags.
#[inline]
fn packet_type(first: u8, version: Version, from: Side) -> Result<PacketType, DecodeError> {
    let Some(packet_type) = PacketType::from_u8(first >> 4) else {
        return Err(DecodeError::Malformed("packet type 0"));
    };
    match packet_type {
        PacketType::Publish if first & 0b0110 == 0b0110 => return Err(DecodeError::Malformed("QoS 3")),
        PacketType::Publish if first & 0b1110 == 0b1000 => {
            return Err(DecodeError::Malformed("DUP with QoS 0"));
        }
        PacketType::Publish => {}
        PacketType::Connect if from == Side::Client => return Err(DecodeError::Protocol("a second CONNECT")),
        PacketType::Auth if version == Version::V3 => return Err(DecodeError::Malformed("packet type 15")),
        PacketType::Disconnect if version == Version::V3 && from == Side::Server => {
            return Err(DecodeError::Protocol("DISCONNECT from a server"));
        }
        _ if !packet_type.is_from(from) => return Err(DecodeError::Protocol("a packet of the other side")),
        _ if first & 0x0F != packet_type.flags() => return Err(DecodeError::Malformed("reserved flags")),
        _ => {}
    }
    Ok(packet_type)
}
