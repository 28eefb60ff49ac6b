//! SUBSCRIBE, UNSUBSCRIBE and their answers. A filter that is none refuses itself, not the packet.

use super::DecodeError;
use crate::packet::{
    Packet, PacketType, RequestedFilter, SubAck, Subscribe, Subscription, SubscriptionOptions, UnsubAck,
    Unsubscribe,
};
use crate::properties::{AckProperties, SubscribeProperties, UnsubscribeProperties};
use crate::properties::{Section, Sparse};
use crate::read::Reader;
use crate::reason::ReasonCode;
use crate::topic::AnyFilter;
use crate::values::{QoS, Side, Version};

/// Reads until the packet ends; at least once, and not beyond the limit.
fn filters<T>(
    reader: &mut Reader<'_>,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let limit = reader.limits().filters;
    let mut filters = Vec::with_capacity(1);
    while !reader.is_empty() {
        if filters.len() >= limit {
            return Err(DecodeError::TooMany { what: "filters", limit });
        }
        filters.push(read(reader)?);
    }
    if filters.is_empty() { Err(DecodeError::Protocol("no filters")) } else { Ok(filters) }
}

fn filter(reader: &mut Reader<'_>) -> Result<RequestedFilter, DecodeError> {
    Ok(AnyFilter::new(reader.text()?))
}

pub(super) fn subscribe(reader: &mut Reader<'_>, version: Version) -> Result<Packet, DecodeError> {
    let id = reader.packet_id()?;
    let mut properties = Sparse::default();
    if version == Version::V5 {
        properties = SubscribeProperties::read(reader)?;
    }
    let filters = filters(reader, |reader| {
        let filter = filter(reader)?;
        let options = options(reader.u8()?, version)?;
        if options.no_local && matches!(filter, Ok(AnyFilter::Shared(_))) {
            return Err(DecodeError::Protocol("No Local with a shared subscription"));
        }
        Ok(Subscription { filter, options })
    })?;
    Ok(Packet::Subscribe(Subscribe { id, filters, properties }))
}

fn options(byte: u8, version: Version) -> Result<SubscriptionOptions, DecodeError> {
    let reserved = match version {
        Version::V3 => 0b1111_1100,
        Version::V5 => 0b1100_0000,
    };
    if byte & reserved != 0 {
        return Err(DecodeError::Malformed("reserved subscription options"));
    }
    SubscriptionOptions::from_u8(byte).ok_or(match version {
        Version::V3 => DecodeError::Malformed("QoS 3"),
        Version::V5 if QoS::from_u8(byte & 0b11).is_none() => DecodeError::Protocol("QoS 3"),
        Version::V5 => DecodeError::Protocol("Retain Handling 3"),
    })
}

pub(super) fn unsubscribe(reader: &mut Reader<'_>, version: Version) -> Result<Packet, DecodeError> {
    let id = reader.packet_id()?;
    let mut properties = Sparse::default();
    if version == Version::V5 {
        properties = UnsubscribeProperties::read(reader)?;
    }
    Ok(Packet::Unsubscribe(Unsubscribe { id, filters: filters(reader, filter)?, properties }))
}

/// The codes of an answer, up to the packet's end.
fn reasons(
    reader: &mut Reader<'_>,
    version: Version,
    packet: PacketType,
) -> Result<Vec<ReasonCode>, DecodeError> {
    let mut reasons = Vec::with_capacity(reader.len());
    while !reader.is_empty() {
        let code = reader.u8()?;
        let reason = ReasonCode::from_u8(code).filter(|reason| match version {
            Version::V3 => matches!(code, 0..=2 | 0x80),
            Version::V5 => reason.is_allowed(packet, Side::Server),
        });
        reasons.push(reason.ok_or(DecodeError::Reason { packet, code })?);
    }
    if reasons.is_empty() { Err(DecodeError::Malformed("no reason codes")) } else { Ok(reasons) }
}

/// SUBACK.
pub(super) fn subscribed(reader: &mut Reader<'_>, version: Version) -> Result<Packet, DecodeError> {
    let id = reader.packet_id()?;
    let mut properties = Sparse::default();
    if version == Version::V5 {
        properties = AckProperties::read(reader)?;
    }
    Ok(Packet::SubAck(SubAck { id, reasons: reasons(reader, version, PacketType::SubAck)?, properties }))
}

/// UNSUBACK.
pub(super) fn unsubscribed(reader: &mut Reader<'_>, version: Version) -> Result<Packet, DecodeError> {
    let mut answer = UnsubAck::new(reader.packet_id()?, Vec::new());
    if version == Version::V5 {
        answer.properties = AckProperties::read(reader)?;
        answer.reasons = reasons(reader, version, PacketType::UnsubAck)?;
    }
    Ok(Packet::UnsubAck(answer))
}
