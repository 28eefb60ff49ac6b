//! A message that is a request's body, with headers that say the rest of it.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderName, header};
use ferromq_model::{QueueId, Timestamp};

use super::outgoing::{Outgoing, Properties};
use crate::http::extract;
use crate::http::problem::{Kind, Problem};
use crate::http::units::{parse_span, parse_time};

pub(super) const TAG: HeaderName = HeaderName::from_static("ferromq-tag");
pub(super) const KEYS: HeaderName = HeaderName::from_static("ferromq-keys");
pub(super) const PROPERTY: HeaderName = HeaderName::from_static("ferromq-property");
pub(super) const DELAY: HeaderName = HeaderName::from_static("ferromq-delay");
pub(super) const DELIVER_AT: HeaderName = HeaderName::from_static("ferromq-deliver-at");
pub(super) const SHARDING_KEY: HeaderName = HeaderName::from_static("ferromq-sharding-key");
pub(super) const QUEUE: HeaderName = HeaderName::from_static("ferromq-queue");

/// The message.
pub(super) fn message<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<Outgoing<'a>, Problem> {
    let mut properties = Properties::default();
    if let Some(content_type) = extract::header(headers, &header::CONTENT_TYPE)? {
        properties.content_type(content_type)?;
    }
    let queue = options(headers, &mut properties)?;
    Ok(Outgoing { body: Cow::Borrowed(body), properties, queue })
}

/// What the headers `FerroMQ-…` say.
pub(super) fn options(headers: &HeaderMap, properties: &mut Properties) -> Result<Option<QueueId>, Problem> {
    if let Some(tag) = extract::header(headers, &TAG)? {
        properties.tag(tag)?;
    }
    if let Some(keys) = extract::header(headers, &KEYS)? {
        properties.keys(keys)?;
    }
    if let Some(key) = extract::header(headers, &SHARDING_KEY)? {
        properties.sharding_key(key)?;
    }
    for value in headers.get_all(PROPERTY) {
        let wrong = || Kind::BadRequest.because("the header FerroMQ-Property is written name=value");
        let (name, value) = std::str::from_utf8(value.as_bytes())
            .ok()
            .and_then(|text| text.split_once('='))
            .ok_or_else(wrong)?;
        properties.user(&decode(name)?, &decode(value)?)?;
    }
    let named = |name: HeaderName| move |why| Kind::BadRequest.because(format!("the header {name}: {why}"));
    let delay = extract::header(headers, &DELAY)?.map(parse_span).transpose().map_err(named(DELAY))?;
    let at =
        extract::header(headers, &DELIVER_AT)?.map(|text| parse_time(text, Timestamp::now())).transpose();
    properties.when(delay, at.map_err(named(DELIVER_AT))?)?;
    let queue = extract::header(headers, &QUEUE)?.map(|text| text.parse().map(QueueId)).transpose();
    queue.map_err(|_| Kind::BadRequest.because("the header FerroMQ-Queue is no number"))
}

/// What percent-encoded text means.
pub(super) fn decode(text: &str) -> Result<Cow<'_, str>, Problem> {
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| Kind::BadRequest.because(format!("{text:?} is not UTF-8 once it is percent-decoded")))
}
