//! The four acknowledgements of PUBLISH, DISCONNECT and AUTH.

use bytes::BufMut;

use super::{EncodeError, Output};
use crate::packet::{Ack, Auth, Disconnect, PacketType};
use crate::reason::ReasonCode;
use crate::values::Version;

/// In 3.1.1, PUBACK and PUBREC say that the server has the message: with a failure nothing is written. PUBREL and
/// PUBCOMP for an unknown identifier are as any other there.
pub(super) fn acknowledgement(
    packet_type: PacketType,
    ack: &Ack,
    to: &mut Output<'_>,
) -> Result<(), EncodeError> {
    check(ack.reason, packet_type)?;
    let is_refusal =
        ack.reason.is_failure() && matches!(packet_type, PacketType::PubAck | PacketType::PubRec);
    if to.version == Version::V3 && is_refusal {
        return Err(EncodeError::NotInVersion(packet_type));
    }
    let properties = to.fitting(&ack.properties, 2 + 1);
    let (has_reason, has_properties) = match to.version {
        Version::V3 => (false, false),
        Version::V5 => (properties.size != 0 || ack.reason != ReasonCode::Success, properties.size != 0),
    };
    let section = if has_properties { properties.total } else { 0 };
    to.begin(packet_type, 2 + usize::from(has_reason) + section)?;
    to.out.put_u16(ack.id.value());
    if has_reason {
        to.out.put_u8(ack.reason.code());
    }
    if has_properties {
        to.section(&ack.properties, properties);
    }
    Ok(())
}

fn check(reason: ReasonCode, packet: PacketType) -> Result<(), EncodeError> {
    if reason.is_allowed_in(packet) { Ok(()) } else { Err(EncodeError::Reason { packet, reason }) }
}

/// In 3.1.1 only a client that leaves as planned says so.
pub(super) fn disconnect(disconnect: &Disconnect, to: &mut Output<'_>) -> Result<(), EncodeError> {
    check(disconnect.reason, PacketType::Disconnect)?;
    if to.version == Version::V3 {
        if disconnect.reason != ReasonCode::Success {
            return Err(EncodeError::NotInVersion(PacketType::Disconnect));
        }
        return to.begin(PacketType::Disconnect, 0);
    }
    let properties = to.fitting(&disconnect.properties, 1);
    if properties.size != 0 {
        to.begin(PacketType::Disconnect, 1 + properties.total)?;
        to.out.put_u8(disconnect.reason.code());
        to.section(&disconnect.properties, properties);
    } else if disconnect.reason != ReasonCode::Success {
        to.begin(PacketType::Disconnect, 1)?;
        to.out.put_u8(disconnect.reason.code());
    } else {
        to.begin(PacketType::Disconnect, 0)?;
    }
    Ok(())
}

/// AUTH, of 5.0.
pub(super) fn auth(auth: &Auth, to: &mut Output<'_>) -> Result<(), EncodeError> {
    check(auth.reason, PacketType::Auth)?;
    if to.version == Version::V3 {
        return Err(EncodeError::NotInVersion(PacketType::Auth));
    }
    if *auth == Auth::default() {
        return to.begin(PacketType::Auth, 0);
    }
    if auth.properties.authentication_method.is_none() {
        return Err(EncodeError::Illegal("AUTH without a method"));
    }
    let properties = to.fitting(&auth.properties, 1);
    to.begin(PacketType::Auth, 1 + properties.total)?;
    to.out.put_u8(auth.reason.code());
    to.section(&auth.properties, properties);
    Ok(())
}
