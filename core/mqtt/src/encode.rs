//! Packets to bytes: [`encode`], and [`encode_publish_head`] for a payload that is written from where it is.
//!
//! Always true:
//! * an error leaves the output as it was;
//! * nothing is written that its receiver must refuse: neither a packet above the maximum that it gave, nor a code or
//!   a state that the version does not have;
//! * what only explains, Reason String first and then User Properties, is left out when the packet would be too large
//!   otherwise; a PUBLISH never loses anything.

mod connect;
mod exchange;
mod publish;
mod subscribe;

use bytes::{BufMut, BytesMut};

pub use publish::encode_publish_head;

use crate::packet::{Packet, PacketType};
use crate::properties::{Keep, Section, Sparse};
use crate::reason::ReasonCode;
use crate::values::Version;

/// The largest number of a variable byte integer, and so the most bytes behind a fixed header.
const MAX_REMAINING: usize = 268_435_455;

/// Why a packet was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The peer does not take it. A message is dropped as if it had been sent.
    #[error("packet of {size} bytes, the peer takes {limit}")]
    TooLarge {
        /// Of the whole packet, in bytes.
        size: usize,
        /// In bytes.
        limit: u32,
    },
    /// 3.1.1 has no packet or code for it: the caller closes the connection instead, or says something else.
    #[error("3.1.1 cannot say this in {}", .0.name())]
    NotInVersion(PacketType),
    /// The protocol has no such code in this packet: the caller's mistake.
    #[error("{reason} is not for {}", .packet.name())]
    Reason {
        /// Which cannot have it.
        packet: PacketType,
        /// The one that it cannot have.
        reason: ReasonCode,
    },
    /// A state that the types allow and the protocol does not: the caller's mistake.
    #[error("illegal packet: {0}")]
    Illegal(&'static str),
}

/// Writes a packet behind what `out` holds.
///
/// In 3.1.1, properties and options that it does not have are left out. `max_packet` is what the receiver takes, in
/// bytes, header included; `u32::MAX` is no limit.
///
/// # Errors
/// When the receiver, the version or the protocol has no place for it.
pub fn encode(
    packet: &Packet,
    version: Version,
    max_packet: u32,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let packet_type = packet.packet_type();
    let to = &mut Output { out, version, max_packet };
    match packet {
        Packet::Connect(connect) => connect::connect(connect, to),
        Packet::ConnAck(answer) => connect::acknowledgement(answer, to),
        Packet::Publish(publish) => {
            encode_publish_head(publish, version, max_packet, to.out)?;
            to.out.extend_from_slice(&publish.payload);
            Ok(())
        }
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            exchange::acknowledgement(packet_type, ack, to)
        }
        Packet::Subscribe(subscribe) => subscribe::subscribe(subscribe, to),
        Packet::SubAck(answer) => subscribe::subscribed(answer, to),
        Packet::Unsubscribe(unsubscribe) => subscribe::unsubscribe(unsubscribe, to),
        Packet::UnsubAck(answer) => subscribe::unsubscribed(answer, to),
        Packet::PingReq | Packet::PingResp => to.begin(packet_type, 0),
        Packet::Disconnect(disconnect) => exchange::disconnect(disconnect, to),
        Packet::Auth(auth) => exchange::auth(auth, to),
    }
}

/// Where a packet goes, and what may go there.
struct Output<'a> {
    out: &'a mut BytesMut,
    version: Version,
    max_packet: u32,
}

impl Output<'_> {
    fn is_v5(&self) -> bool {
        self.version == Version::V5
    }

    /// Writes the fixed header of a packet with this many bytes behind it, all of which have to follow.
    fn begin(&mut self, packet_type: PacketType, remaining: usize) -> Result<(), EncodeError> {
        let first = (packet_type as u8) << 4 | packet_type.flags();
        begin(self.out, first, remaining, 0, self.max_packet)
    }

    /// What of a section fits behind `rest` other bytes, and its size.
    fn fitting(&self, section: &Sparse<impl Section>, rest: usize) -> Properties {
        if !self.is_v5() {
            return Properties { keep: Keep::All, size: 0, total: 0 };
        }
        let mut chosen = Properties::of(section, Keep::All);
        if section.is_absent() {
            return chosen;
        }
        for keep in [Keep::NotReason, Keep::NotReasonNorUser] {
            if packet_size(rest + chosen.total) <= self.max_packet as usize {
                break;
            }
            chosen = Properties::of(section, keep);
        }
        chosen
    }

    /// All of a section, which must fit.
    fn whole(&self, section: &Sparse<impl Section>) -> Properties {
        if self.is_v5() {
            Properties::of(section, Keep::All)
        } else {
            Properties { keep: Keep::All, size: 0, total: 0 }
        }
    }

    /// Writes a section, or nothing in 3.1.1.
    fn section(&mut self, section: &Sparse<impl Section>, properties: Properties) {
        if self.is_v5() {
            put_variable(self.out, properties.size);
            if properties.size != 0 {
                section.write(properties.keep, self.out);
            }
        }
    }
}

/// What of a section is written.
#[derive(Clone, Copy)]
struct Properties {
    keep: Keep,
    /// Without the length's own bytes.
    size: usize,
    /// With them.
    total: usize,
}

impl Properties {
    fn of(section: &Sparse<impl Section>, keep: Keep) -> Self {
        let size = if section.is_absent() { 0 } else { section.size(keep) };
        Self { keep, size, total: variable_size(size) + size }
    }
}

/// Writes a fixed header, and makes room for all but the last `later` of the bytes behind it.
#[inline]
fn begin(
    out: &mut BytesMut,
    first: u8,
    remaining: usize,
    later: usize,
    max_packet: u32,
) -> Result<(), EncodeError> {
    let size = packet_size(remaining);
    if size > max_packet as usize || remaining > MAX_REMAINING {
        let limit = max_packet.min(packet_size(MAX_REMAINING) as u32);
        return Err(EncodeError::TooLarge { size, limit });
    }
    out.reserve(size - later);
    out.put_u8(first);
    put_variable(out, remaining);
    Ok(())
}

/// The bytes of a whole packet.
const fn packet_size(remaining: usize) -> usize {
    1 + variable_size(remaining) + remaining
}

/// The bytes of a variable byte integer.
pub(crate) const fn variable_size(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

/// Writes a variable byte integer of at most [`MAX_REMAINING`].
#[inline]
pub(crate) fn put_variable(out: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Writes bytes behind their length; what is written so has at most 65 535 bytes by its type.
#[inline]
pub(crate) fn put_counted(out: &mut BytesMut, bytes: &[u8]) {
    debug_assert!(bytes.len() <= crate::text::MAX_COUNTED);
    out.put_u16(bytes.len() as u16);
    out.extend_from_slice(bytes);
}
