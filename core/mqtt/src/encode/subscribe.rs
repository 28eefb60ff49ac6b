//! SUBSCRIBE, UNSUBSCRIBE and their answers.

use bytes::BufMut;

use super::{EncodeError, Output, put_counted};
use crate::packet::{PacketType, RequestedFilter, SubAck, Subscribe, UnsubAck, Unsubscribe};
use crate::reason::ReasonCode;
use crate::topic::AnyFilter;
use crate::values::Version;

/// A wrong filter is written as it is: the server has to refuse it.
fn text(filter: &RequestedFilter) -> &[u8] {
    match filter {
        Ok(filter) => filter.as_str().as_bytes(),
        Err(invalid) => invalid.text.as_bytes(),
    }
}

pub(super) fn subscribe(subscribe: &Subscribe, to: &mut Output<'_>) -> Result<(), EncodeError> {
    if subscribe.filters.is_empty() {
        return Err(EncodeError::Illegal("no filters"));
    }
    let shared_without_local = subscribe
        .filters
        .iter()
        .any(|wanted| wanted.options.no_local && matches!(wanted.filter, Ok(AnyFilter::Shared(_))));
    if to.is_v5() && shared_without_local {
        return Err(EncodeError::Illegal("No Local with a shared subscription"));
    }
    let properties = to.whole(&subscribe.properties);
    let filters: usize = subscribe.filters.iter().map(|wanted| 2 + text(&wanted.filter).len() + 1).sum();
    to.begin(PacketType::Subscribe, 2 + properties.total + filters)?;
    to.out.put_u16(subscribe.id.value());
    to.section(&subscribe.properties, properties);
    for wanted in &subscribe.filters {
        put_counted(to.out, text(&wanted.filter));
        to.out.put_u8(match to.version {
            Version::V3 => wanted.options.qos as u8,
            Version::V5 => wanted.options.as_u8(),
        });
    }
    Ok(())
}

pub(super) fn unsubscribe(unsubscribe: &Unsubscribe, to: &mut Output<'_>) -> Result<(), EncodeError> {
    if unsubscribe.filters.is_empty() {
        return Err(EncodeError::Illegal("no filters"));
    }
    let properties = to.whole(&unsubscribe.properties);
    let filters: usize = unsubscribe.filters.iter().map(|filter| 2 + text(filter).len()).sum();
    to.begin(PacketType::Unsubscribe, 2 + properties.total + filters)?;
    to.out.put_u16(unsubscribe.id.value());
    to.section(&unsubscribe.properties, properties);
    for filter in &unsubscribe.filters {
        put_counted(to.out, text(filter));
    }
    Ok(())
}

fn check(reasons: &[ReasonCode], packet: PacketType) -> Result<(), EncodeError> {
    if reasons.is_empty() {
        return Err(EncodeError::Illegal("no reason codes"));
    }
    match reasons.iter().find(|reason| !reason.is_allowed_in(packet)) {
        Some(&reason) => Err(EncodeError::Reason { packet, reason }),
        None => Ok(()),
    }
}

/// SUBACK. 3.1.1 knows one failure.
pub(super) fn subscribed(answer: &SubAck, to: &mut Output<'_>) -> Result<(), EncodeError> {
    check(&answer.reasons, PacketType::SubAck)?;
    let properties = to.fitting(&answer.properties, 2 + answer.reasons.len());
    to.begin(PacketType::SubAck, 2 + properties.total + answer.reasons.len())?;
    to.out.put_u16(answer.id.value());
    to.section(&answer.properties, properties);
    for reason in &answer.reasons {
        to.out.put_u8(match to.version {
            Version::V3 if reason.is_failure() => ReasonCode::UnspecifiedError.code(),
            _ => reason.code(),
        });
    }
    Ok(())
}

/// UNSUBACK. 3.1.1 has no codes.
pub(super) fn unsubscribed(answer: &UnsubAck, to: &mut Output<'_>) -> Result<(), EncodeError> {
    if !to.is_v5() {
        to.begin(PacketType::UnsubAck, 2)?;
        to.out.put_u16(answer.id.value());
        return Ok(());
    }
    check(&answer.reasons, PacketType::UnsubAck)?;
    let properties = to.fitting(&answer.properties, 2 + answer.reasons.len());
    to.begin(PacketType::UnsubAck, 2 + properties.total + answer.reasons.len())?;
    to.out.put_u16(answer.id.value());
    to.section(&answer.properties, properties);
    for reason in &answer.reasons {
        to.out.put_u8(reason.code());
    }
    Ok(())
}
