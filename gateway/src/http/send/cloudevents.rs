//! CloudEvents 1.0.2 in the modes of its HTTP binding: binary, structured, and batch.
//!
//! An event is stored in binary mode: its data is the body, its attributes are properties `CE_…`, as the CloudEvents SDK
//! for RocketMQ writes and reads them. Its `id` is a key to find it by, and its `partitionkey` the sharding key.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::value::RawValue;

use super::outgoing::{Outgoing, Properties};
use super::raw;
use crate::http::extract::{self, parse_json};
use crate::http::message::{CE_CONTENT_TYPE, is_json};
use crate::http::problem::{Kind, Problem};

/// The header that says that a request is an event in binary mode.
pub(super) const SPEC_VERSION: HeaderName = HeaderName::from_static("ce-specversion");
/// The content type of an event in structured mode.
pub(super) const STRUCTURED: &str = "application/cloudevents+json";
/// The content type of a batch.
pub(super) const BATCH: &str = "application/cloudevents-batch+json";

const HEADER_PREFIX: &str = "ce-";
const PROPERTY_PREFIX: &str = "CE_";
const REQUIRED: [&str; 4] = ["id", "source", "specversion", "type"];

/// An event whose attributes are headers.
pub(super) fn binary<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<Outgoing<'a>, Problem> {
    let mut attributes = BTreeMap::new();
    for name in headers.keys() {
        if let Some(attribute) = name.as_str().strip_prefix(HEADER_PREFIX) {
            let value = extract::header(headers, name)?.unwrap_or_default();
            attributes.insert(attribute, raw::decode(unquoted(value))?);
        }
    }
    let mut properties = Properties::default();
    let queue = raw::options(headers, &mut properties)?;
    let content_type = extract::header(headers, &header::CONTENT_TYPE)?;
    write(&mut properties, &attributes, content_type)?;
    Ok(Outgoing { body: Cow::Borrowed(body), properties, queue })
}

/// Double quotes around a header's value are not part of it.
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

/// An event that is a JSON object.
pub(super) fn structured(body: &[u8]) -> Result<Outgoing<'_>, Problem> {
    event(parse_json(body)?)
}

/// Events that are an array of JSON objects.
pub(super) fn batch(body: &[u8]) -> Result<Vec<Result<Outgoing<'_>, Problem>>, Problem> {
    let events: Vec<&RawValue> = parse_json(body)?;
    Ok(events.into_iter().map(|event| structured(event.get().as_bytes())).collect())
}

fn event<'a>(mut fields: BTreeMap<String, &'a RawValue>) -> Result<Outgoing<'a>, Problem> {
    let data = fields.remove("data").filter(|data| data.get() != "null");
    let encoded = fields.remove("data_base64").filter(|data| data.get() != "null");
    let mut attributes = BTreeMap::new();
    for (name, value) in &fields {
        if let Some(value) = attribute(name, value.get())? {
            attributes.insert(name.as_str(), value);
        }
    }
    let content_type = attributes.remove("datacontenttype");
    let body = match (data, encoded) {
        (Some(_), Some(_)) => {
            return Err(Kind::InvalidMessage.because("an event has data or data_base64, not both"));
        }
        (Some(data), None) => data_of(data.get(), content_type.as_deref())?,
        (None, Some(encoded)) => {
            let text: Cow<'_, str> = parse_json(encoded.get().as_bytes())?;
            let wrong = |error| Kind::InvalidMessage.because(format!("data_base64: {error}"));
            Cow::Owned(BASE64.decode(text.as_bytes()).map_err(wrong)?)
        }
        (None, None) => Cow::Borrowed(&[][..]),
    };
    let content_type = content_type.as_deref().or(data.map(|_| "application/json"));
    let mut properties = Properties::default();
    write(&mut properties, &attributes, content_type)?;
    Ok(Outgoing { body, properties, queue: None })
}

/// Data of a JSON type is stored as it is written; other text is what the string says.
fn data_of<'a>(data: &'a str, content_type: Option<&str>) -> Result<Cow<'a, [u8]>, Problem> {
    if content_type.is_none_or(is_json) || !data.starts_with('"') {
        return Ok(Cow::Borrowed(data.as_bytes()));
    }
    let text: String = parse_json(data.as_bytes())?;
    Ok(Cow::Owned(text.into_bytes()))
}

/// An attribute's text; `None` for null, which is as good as absent.
fn attribute<'a>(name: &str, json: &'a str) -> Result<Option<Cow<'a, str>>, Problem> {
    let wrong = || {
        let why = format!("the attribute {name} is neither text, nor a whole number, nor true or false");
        Err(Kind::InvalidMessage.because(why))
    };
    match serde_json::from_str(json) {
        Ok(serde_json::Value::Null) => Ok(None),
        Ok(serde_json::Value::String(text)) => Ok(Some(Cow::Owned(text))),
        Ok(serde_json::Value::Bool(_)) => Ok(Some(Cow::Borrowed(json))),
        Ok(serde_json::Value::Number(number)) if number.is_i64() => Ok(Some(Cow::Borrowed(json))),
        _ => wrong(),
    }
}

fn write(
    properties: &mut Properties,
    attributes: &BTreeMap<&str, Cow<'_, str>>,
    content_type: Option<&str>,
) -> Result<(), Problem> {
    for name in REQUIRED {
        if attributes.get(name).is_none_or(|value| value.is_empty()) {
            return Err(Kind::InvalidMessage.because(format!("the event has no attribute {name}")));
        }
    }
    let version = &attributes["specversion"];
    if version != "1.0" {
        return Err(Kind::InvalidMessage.because(format!("the event is of CloudEvents {version}, not 1.0")));
    }
    for (name, value) in attributes {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
            let why = format!("the attribute {name:?} has other characters than a-z and 0-9");
            return Err(Kind::InvalidMessage.because(why));
        }
        properties.user(&format!("{PROPERTY_PREFIX}{name}"), value)?;
    }
    if let Some(content_type) = content_type {
        properties.user(CE_CONTENT_TYPE, content_type)?;
    }
    let id = &attributes["id"];
    if !id.contains(char::is_whitespace) {
        properties.add_key(id);
    }
    if let Some(key) = attributes.get("partitionkey") {
        properties.sharding_key(key)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(event: Outgoing<'_>) -> (String, String) {
        let properties = event.properties.as_str().replace('\x01', "=").replace('\x02', ";");
        (String::from_utf8(event.body.into_owned()).unwrap(), properties)
    }

    #[test]
    fn attributes_become_properties_and_data_the_body() {
        let event =
            br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","partitionkey":"p","n":7,"no":null,
            "datacontenttype":"text/plain","data":"a\nb"}"#;
        let (body, properties) = shown(structured(event).unwrap());
        assert_eq!(body, "a\nb");
        assert_eq!(
            properties,
            "CE_id=1;CE_n=7;CE_partitionkey=p;CE_source=/s;CE_specversion=1.0;CE_type=t;CE_contenttype=text/plain;\
             KEYS=1;__SHARDINGKEY=p;"
        );
        let event = br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a": 1.0}}"#;
        let (body, properties) = shown(structured(event).unwrap());
        assert_eq!(body, r#"{"a": 1.0}"#);
        assert!(properties.contains("CE_contenttype=application/json;"), "{properties}");
        let event = br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"YQ=="}"#;
        assert_eq!(shown(structured(event).unwrap()).0, "a");
    }

    #[test]
    fn headers_of_binary_mode_are_percent_encoded() {
        let mut headers = HeaderMap::new();
        let all =
            [("id", "a b"), ("source", "%C3%A4%20%E2%82%AC"), ("specversion", "1.0"), ("type", "\"t\"")];
        for (name, value) in all {
            headers.insert(HeaderName::try_from(format!("ce-{name}")).unwrap(), value.parse().unwrap());
        }
        headers.insert(header::CONTENT_TYPE, "application/xml".parse().unwrap());
        let (body, properties) = shown(binary(&headers, b"<a/>").unwrap());
        assert_eq!(body, "<a/>");
        assert_eq!(
            properties,
            "CE_id=a b;CE_source=ä €;CE_specversion=1.0;CE_type=t;CE_contenttype=application/xml;"
        );
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for wrong in [
            r#"{"specversion":"1.0","id":"1","source":"/s"}"#,
            r#"{"specversion":"0.3","id":"1","source":"/s","type":"t"}"#,
            r#"{"specversion":"1.0","id":"","source":"/s","type":"t"}"#,
            r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","Upper":"x"}"#,
            r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","x":{}}"#,
            r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","x":1.5}"#,
            r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":1,"data_base64":"YQ=="}"#,
        ] {
            assert_eq!(structured(wrong.as_bytes()).unwrap_err().kind, Kind::InvalidMessage, "{wrong}");
        }
        assert_eq!(batch(b"{}").unwrap_err().kind, Kind::BadRequest);
        assert_eq!(batch(b"[]").unwrap().len(), 0);
    }
}
