//! The four acknowledgements of PUBLISH, DISCONNECT and AUTH.

use super::DecodeError;
use crate::packet::{Ack, Auth, Disconnect, Packet, PacketType};
use crate::properties::{AckProperties, AuthProperties, DisconnectProperties, Property, Section};
use crate::read::Reader;
use crate::reason::ReasonCode;
use crate::values::{PacketId, Side, Version};

fn packet(packet_type: PacketType, ack: Ack) -> Packet {
    match packet_type {
        PacketType::PubAck => Packet::PubAck(ack),
        PacketType::PubRec => Packet::PubRec(ack),
        PacketType::PubRel => Packet::PubRel(ack),
        _ => Packet::PubComp(ack),
    }
}

/// The packets that most often come as short as they can be: acknowledgements that are an identifier alone, and those
/// that are nothing but their type. `None` for all others.
#[inline]
pub(super) fn plain(packet_type: PacketType, body: &[u8]) -> Option<Result<Packet, DecodeError>> {
    match (packet_type, body) {
        (
            PacketType::PubAck | PacketType::PubRec | PacketType::PubRel | PacketType::PubComp,
            &[high, low],
        ) => Some(
            PacketId::new(u16::from_be_bytes([high, low]))
                .map(|id| packet(packet_type, Ack::new(id)))
                .ok_or(DecodeError::Protocol("packet identifier 0")),
        ),
        (PacketType::PingReq, []) => Some(Ok(Packet::PingReq)),
        (PacketType::PingResp, []) => Some(Ok(Packet::PingResp)),
        _ => None,
    }
}

/// An acknowledgement that is not two bytes long.
pub(super) fn acknowledgement(
    packet_type: PacketType,
    reader: &mut Reader<'_>,
    version: Version,
    from: Side,
) -> Result<Packet, DecodeError> {
    let mut ack = Ack::new(reader.packet_id()?);
    if version == Version::V5 {
        ack.reason = reason(reader, packet_type, from)?;
        if !reader.is_empty() {
            ack.properties = AckProperties::read(reader)?;
        }
    }
    Ok(packet(packet_type, ack))
}

/// A reason code that this side may give in this packet.
fn reason(reader: &mut Reader<'_>, packet: PacketType, from: Side) -> Result<ReasonCode, DecodeError> {
    let code = reader.u8()?;
    ReasonCode::from_u8(code)
        .filter(|reason| reason.is_allowed(packet, from))
        .ok_or(DecodeError::Reason { packet, code })
}

/// DISCONNECT; in 3.1.1 it has no body, which the caller checks.
pub(super) fn disconnect(
    reader: &mut Reader<'_>,
    version: Version,
    from: Side,
) -> Result<Packet, DecodeError> {
    let mut disconnect = Disconnect::default();
    if version == Version::V5 && !reader.is_empty() {
        disconnect.reason = reason(reader, PacketType::Disconnect, from)?;
        if !reader.is_empty() {
            disconnect.properties = DisconnectProperties::read(reader)?;
        }
    }
    match from {
        Side::Client if disconnect.properties.server_reference.is_some() => {
            Err(DecodeError::Misplaced(Property::ServerReference))
        }
        Side::Server if disconnect.properties.session_expiry.is_some() => {
            Err(DecodeError::Misplaced(Property::SessionExpiryInterval))
        }
        _ => Ok(Packet::Disconnect(disconnect)),
    }
}

/// AUTH, of 5.0.
pub(super) fn auth(reader: &mut Reader<'_>, from: Side) -> Result<Packet, DecodeError> {
    if reader.is_empty() {
        // Success without more, which only a server can say.
        return match from {
            Side::Server => Ok(Packet::Auth(Auth::default())),
            Side::Client => Err(DecodeError::Reason { packet: PacketType::Auth, code: 0 }),
        };
    }
    let reason = reason(reader, PacketType::Auth, from)?;
    let properties = AuthProperties::read(reader)?;
    if properties.authentication_method.is_none() {
        return Err(DecodeError::Protocol("AUTH without a method"));
    }
    Ok(Packet::Auth(Auth { reason, properties }))
}
