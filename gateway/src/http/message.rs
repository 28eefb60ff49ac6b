//! Messages as JSON, as they are received.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use ferromq_model::message::{MessageId, SysFlag, property};
use ferromq_model::mqtt::Parts;
use ferromq_model::record::Record;
use ferromq_protocol::compress::decompress;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::send::idempotency::PREFIX as MARK;
use super::units::Time;

/// Bytes that a compressed body may hold: what clients take by default.
const MAX_PLAIN_BODY: usize = 64 << 20;
/// The property of a message's content type.
pub(crate) const CONTENT_TYPE: &str = "contentType";
/// The same of a CloudEvent, as the CloudEvents SDK for RocketMQ writes it.
pub(super) const CE_CONTENT_TYPE: &str = "CE_contenttype";
/// Properties that other fields tell, or that the broker adds to every message.
const TOLD_ELSEWHERE: &[&str] = &[
    property::TAGS,
    property::KEYS,
    property::UNIQUE_KEY,
    property::POP_CK,
    property::FIRST_POP_TIME,
    property::MSG_REGION,
    property::TRACE_ON,
    property::CLUSTER,
    CONTENT_TYPE,
];

/// How bodies are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum BodyForm {
    /// As JSON if the content type says so and it is, as text if it is UTF-8, else as base64.
    #[default]
    Auto,
    /// As text where it is UTF-8, else as base64.
    Text,
    /// As JSON where it is, else as text or base64.
    Json,
    /// Always as base64.
    Base64,
    /// Not at all.
    None,
}

/// A message that is received.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Message)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown<'a> {
    /// The id that its sender gave it, or the server where the sender gave none.
    #[schema(value_type = String)]
    pub(super) message_id: String,
    /// Where it lies, as RocketMQ writes it: its address and place in the log.
    offset_message_id: String,
    /// The topic.
    #[schema(value_type = String)]
    pub(super) topic: &'a str,
    /// The queue.
    queue_id: u32,
    /// Which message of the queue it is, from 0.
    queue_offset: u64,
    /// When its sender made it.
    #[schema(value_type = String, format = DateTime)]
    born_at: Time,
    /// The sender's address.
    born_host: String,
    /// When it was stored.
    #[schema(value_type = String, format = DateTime)]
    stored_at: Time,
    /// Bytes of the body.
    size: usize,
    /// The tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    tag: Option<&'a str>,
    /// The keys that it is found by.
    #[schema(value_type = Vec<String>)]
    keys: Vec<&'a str>,
    /// All other properties.
    #[schema(value_type = BTreeMap<String, String>)]
    properties: BTreeMap<&'a str, &'a str>,
    /// The body's content type, if the sender told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    content_type: Option<&'a str>,
    /// The body.
    #[serde(flatten)]
    #[schema(value_type = DescribedBody)]
    body: ShownBody,
    /// How often it was handed out with this, 1 for the first time; only where messages are leased.
    #[serde(skip_serializing_if = "Option::is_none")]
    deliveries: Option<u32>,
    /// By what it is acknowledged; only where messages are leased.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
}

/// For the description only: a body is in one of these fields, or in none if it was not asked for.
#[derive(ToSchema)]
#[schema(as = MessageBody)]
#[expect(dead_code, reason = "a schema")]
pub(super) struct DescribedBody {
    /// The body as text.
    text: Option<String>,
    /// The body as JSON.
    json: Option<serde_json::Value>,
    /// The body in base64.
    base64: Option<String>,
}

/// A body, in one of three fields.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase", untagged)]
pub(super) enum ShownBody {
    Text { text: String },
    Json { json: Box<RawValue> },
    Base64 { base64: String },
    None {},
}

impl<'a> Shown<'a> {
    /// The message of a record.
    pub(super) fn of(record: &Record<'a>, form: BodyForm) -> Self {
        let parts = Parts::of_record(record);
        let offset_message_id =
            MessageId { host: record.store_host, offset: record.physical_offset }.to_string();
        let unique = parts.find(property::UNIQUE_KEY);
        let content_type = parts.find(CONTENT_TYPE);
        let content_type = content_type.or_else(|| parts.find(CE_CONTENT_TYPE));
        let keys = parts.find(property::KEYS).unwrap_or_default();
        let plain = record
            .sys_flag
            .has(SysFlag::COMPRESSED)
            .then(|| decompress(record.sys_flag, Bytes::copy_from_slice(parts.body), MAX_PLAIN_BODY).ok());
        // What cannot be read is shown as it is stored.
        let body = plain.as_ref().and_then(Option::as_deref).unwrap_or(parts.body);
        let is_whole = |(name, value): &(&str, &str)| !name.is_empty() && !value.is_empty();
        let told = |(name, _): &(&str, &str)| !TOLD_ELSEWHERE.contains(name);
        Self {
            message_id: unique.map_or_else(|| offset_message_id.clone(), str::to_owned),
            offset_message_id,
            topic: record.topic,
            queue_id: record.queue_id.0,
            queue_offset: record.queue_offset.0,
            born_at: Time(record.born),
            born_host: record.born_host.to_string(),
            stored_at: Time(record.stored),
            size: body.len(),
            tag: parts.find(property::TAGS),
            keys: keys.split_ascii_whitespace().filter(|key| !key.starts_with(MARK)).collect(),
            properties: parts.entries().filter(is_whole).filter(told).collect(),
            content_type,
            body: ShownBody::of(body, content_type, form),
            deliveries: None,
            receipt: None,
        }
    }

    /// The same, leased.
    pub(super) fn leased(self, deliveries: u32, receipt: String) -> Self {
        Self { deliveries: Some(deliveries), receipt: Some(receipt), ..self }
    }
}

impl ShownBody {
    pub(super) fn of(body: &[u8], content_type: Option<&str>, form: BodyForm) -> Self {
        let text = || std::str::from_utf8(body).ok();
        let may_be_json = match form {
            BodyForm::None => return Self::None {},
            BodyForm::Base64 => return Self::base64(body),
            BodyForm::Text => false,
            BodyForm::Json => true,
            BodyForm::Auto => content_type.is_some_and(is_json),
        };
        if may_be_json
            && let Some(json) = text().and_then(|text| serde_json::from_str::<Box<RawValue>>(text).ok())
        {
            return Self::Json { json };
        }
        text().map_or_else(|| Self::base64(body), |text| Self::Text { text: text.to_owned() })
    }

    fn base64(body: &[u8]) -> Self {
        Self::Base64 { base64: BASE64.encode(body) }
    }
}

/// Whether a content type is one of JSON: `application/json`, `application/…+json`, with or without parameters.
pub(super) fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
        || kind.eq_ignore_ascii_case("text/json")
        || kind.to_ascii_lowercase().ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(body: &[u8], content_type: Option<&str>, form: BodyForm) -> String {
        serde_json::to_string(&ShownBody::of(body, content_type, form)).unwrap()
    }

    #[test]
    fn a_body_is_shown_as_what_it_is() {
        let json = Some("application/json; charset=utf-8");
        assert_eq!(shown(b"{\"a\": 1.0}", json, BodyForm::Auto), r#"{"json":{"a": 1.0}}"#);
        assert_eq!(shown(b"{\"a\"", json, BodyForm::Auto), r#"{"text":"{\"a\""}"#);
        assert_eq!(shown(b"1", None, BodyForm::Auto), r#"{"text":"1"}"#);
        assert_eq!(shown(b"1", None, BodyForm::Json), r#"{"json":1}"#);
        assert_eq!(shown(&[0xFF], json, BodyForm::Auto), r#"{"base64":"/w=="}"#);
        assert_eq!(shown(b"1", json, BodyForm::Base64), r#"{"base64":"MQ=="}"#);
        assert_eq!(shown(b"1", json, BodyForm::None), "{}");
    }
}
