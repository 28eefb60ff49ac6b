//! PUBLISH: topic and payload stay where they were read.

use bytes::{Buf, Bytes};

use super::{DecodeError, Limits};
use crate::packet::{Delivery, Packet, Publish, PublishTopic};
use crate::properties::{Property, PublishProperties, Section, Sparse};
use crate::read::Reader;
use crate::topic::NameError;
use crate::values::{Side, TopicAlias, Version};

/// The first byte was checked.
#[inline(always)]
pub(super) fn decode(
    mut packet: Bytes,
    first: u8,
    header: usize,
    version: Version,
    limits: &Limits,
    from: Side,
) -> Result<Option<Packet>, DecodeError> {
    let mut reader = Reader::new(&packet, header, limits);
    let name = reader.name_or_nothing()?;
    let delivery = match first >> 1 & 0b11 {
        0 => Delivery::AtMostOnce,
        1 => Delivery::AtLeastOnce { id: reader.packet_id()?, dup: first & 0b1000 != 0 },
        _ => Delivery::ExactlyOnce { id: reader.packet_id()?, dup: first & 0b1000 != 0 },
    };
    let mut properties = Sparse::default();
    let mut alias = None;
    if version == Version::V5 {
        properties = PublishProperties::read_with(&mut reader, |property, reader| {
            if property != Property::TopicAlias {
                return Ok(false);
            }
            if alias.is_some() {
                return Err(DecodeError::Repeated(property));
            }
            alias = Some(TopicAlias::new(reader.u16()?).ok_or(DecodeError::TopicAlias)?);
            Ok(true)
        })?;
        if from == Side::Client && !properties.subscription_ids.is_empty() {
            return Err(DecodeError::Misplaced(Property::SubscriptionIdentifier));
        }
    }
    if name.is_empty() && alias.is_none() {
        return Err(match version {
            Version::V5 => DecodeError::Protocol("neither topic nor alias"),
            Version::V3 => NameError::Empty.into(),
        });
    }
    let payload_at = reader.at();
    let topic = match alias {
        None => PublishTopic::Name(reader.name_at(name)),
        Some(alias) if name.is_empty() => PublishTopic::Alias(alias),
        Some(alias) => PublishTopic::Define(reader.name_at(name), alias),
    };
    packet.advance(payload_at);
    Ok(Some(Packet::Publish(Publish {
        topic,
        delivery,
        retain: first & 1 != 0,
        properties,
        payload: packet,
    })))
}
