//! Messages as JSON.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ferromq_model::QueueId;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::outgoing::{Outgoing, Properties};
use crate::http::extract::parse_json;
use crate::http::problem::{Kind, Problem};
use crate::http::units::{Span, Time};

/// A body of JSON: one message, or `{"messages": […]}`.
#[derive(Debug)]
pub(super) enum Body<'a> {
    /// One.
    One(Box<Message<'a>>),
    /// Many, stored in this order.
    Many(Vec<Message<'a>>),
}

/// Many messages.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewMessages)]
#[serde(deny_unknown_fields)]
pub(super) struct Many<'a> {
    /// They are stored in this order.
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
}

/// For the description only: what a body may be.
#[derive(ToSchema)]
#[schema(as = MessageOrMessages)]
#[serde(untagged)]
#[expect(dead_code, reason = "a schema")]
pub(super) enum Either<'a> {
    /// One.
    One(Message<'a>),
    /// Many.
    Many(Many<'a>),
}

impl<'a> Body<'a> {
    /// Parses it. Many is an object of one field, so what the object begins with says which it is, and nothing is parsed
    /// twice.
    pub(super) fn parse(text: &'a [u8]) -> Result<Self, Problem> {
        let inside = text.trim_ascii_start().strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
        if inside.is_some_and(|inside| inside.starts_with(b"\"messages\"")) {
            return parse_json(text).map(|many: Many<'_>| Self::Many(many.messages));
        }
        parse_json(text).map(|one| Self::One(Box::new(one)))
    }
}

/// A message to be sent. Exactly one of `text`, `json` and `base64` is there.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewMessage)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Message<'a> {
    /// The body as text.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    text: Option<Text<'a>>,
    /// The body as JSON; it is stored as it is written here.
    #[serde(borrow)]
    #[schema(value_type = Option<serde_json::Value>)]
    json: Option<&'a RawValue>,
    /// The body in base64.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    base64: Option<Text<'a>>,
    /// What the body is; of `json`, `application/json` unless this says otherwise.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    content_type: Option<Text<'a>>,
    /// The tag.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    tag: Option<Text<'a>>,
    /// What it can be found by.
    #[serde(borrow, default)]
    #[schema(value_type = Vec<String>, required = false)]
    keys: Vec<Text<'a>>,
    /// Whatever else is to come with it.
    #[serde(borrow, default)]
    #[schema(value_type = std::collections::BTreeMap<String, String>, required = false)]
    properties: Pairs<'a>,
    /// It comes after this span, such as `10s`.
    #[schema(value_type = Option<String>, example = "10s")]
    delay: Option<Span>,
    /// It comes at this time.
    #[schema(value_type = Option<String>, format = DateTime)]
    deliver_at: Option<Time>,
    /// Messages of the same key are in the same queue, in order.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    sharding_key: Option<Text<'a>>,
    /// The queue that it is for.
    queue_id: Option<u32>,
}

impl<'a> Message<'a> {
    /// The message.
    pub(super) fn outgoing(self) -> Result<Outgoing<'a>, Problem> {
        let mut properties = Properties::default();
        let is_json = self.json.is_some();
        let body = match (self.text, self.json, self.base64) {
            (Some(text), None, None) => match text.0 {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            },
            (None, Some(json), None) => Cow::Borrowed(json.get().as_bytes()),
            (None, None, Some(base64)) => {
                let body = BASE64.decode(base64.0.as_bytes());
                Cow::Owned(body.map_err(|error| Kind::InvalidMessage.because(format!("base64: {error}")))?)
            }
            _ => {
                let why = "a message has exactly one of the fields text, json and base64";
                return Err(Kind::InvalidMessage.because(why));
            }
        };
        match &self.content_type {
            Some(content_type) => properties.content_type(&content_type.0)?,
            None if is_json => properties.content_type("application/json")?,
            None => {}
        }
        if let Some(tag) = &self.tag {
            properties.tag(&tag.0)?;
        }
        match &self.keys[..] {
            [] => {}
            [key] => properties.keys(&key.0)?,
            keys => properties.keys(&keys.iter().map(|key| &*key.0).collect::<Vec<_>>().join(" "))?,
        }
        if let Some(key) = &self.sharding_key {
            properties.sharding_key(&key.0)?;
        }
        for (name, value) in &self.properties.0 {
            properties.user(&name.0, &value.0)?;
        }
        properties.when(self.delay.map(|span| span.0), self.deliver_at.map(|time| time.0))?;
        Ok(Outgoing { body, properties, queue: self.queue_id.map(QueueId) })
    }
}

/// Text that is borrowed from the JSON where nothing in it is escaped, which `Option<Cow<str>>` would not be.
#[derive(Debug)]
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Cow<'de, str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text))
            }
        }
        deserializer.deserialize_str(Reader).map(Self)
    }
}

/// An object of texts, in its order.
#[derive(Debug, Default)]
struct Pairs<'a>(Vec<(Text<'a>, Text<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Reader<'a> {
            type Value = Vec<(Text<'a>, Text<'a>)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }
        deserializer.deserialize_map(Reader(std::marker::PhantomData)).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<(String, String), Problem> {
        let Body::One(message) = Body::parse(text.as_bytes())? else { panic!("{text} is one") };
        let message = message.outgoing()?;
        let properties = message.properties.as_str().replace('\x01', "=").replace('\x02', ";");
        Ok((String::from_utf8(message.body.into_owned()).unwrap(), properties))
    }

    #[test]
    fn a_body_is_text_json_or_base64() {
        let of = |body: &str, properties: &str| Ok((body.to_owned(), properties.to_owned()));
        assert_eq!(one(r#"{"text":"a\n"}"#), of("a\n", ""));
        assert_eq!(one(r#"{"json":{"b": [1.0]}}"#), of(r#"{"b": [1.0]}"#, "contentType=application/json;"));
        assert_eq!(
            one(r#"{"base64":"YQ==","contentType":"text/plain"}"#),
            of("a", "contentType=text/plain;")
        );
        for wrong in ["{}", r#"{"text":"a","base64":"YQ=="}"#, r#"{"base64":"?"}"#] {
            assert_eq!(one(wrong).unwrap_err().kind, Kind::InvalidMessage, "{wrong}");
        }
        for wrong in ["", "[]", r#"{"text":1}"#, r#"{"txt":"a"}"#, r#"{"text":"a","delay":"soon"}"#] {
            assert_eq!(one(wrong).unwrap_err().kind, Kind::BadRequest, "{wrong}");
        }
    }

    #[test]
    fn everything_that_is_said_of_a_message_becomes_a_property() {
        let (_, properties) = one(
            r#"{"text":"a","tag":"t","keys":["k1","k2"],"shardingKey":"s","properties":{"b":"2","a":"1"},"delay":"2s"}"#,
        )
        .unwrap();
        assert_eq!(properties, "TAGS=t;KEYS=k1 k2;__SHARDINGKEY=s;b=2;a=1;TIMER_DELAY_MS=2000;");
    }

    #[test]
    fn many_messages_are_an_object_of_their_own() {
        let Body::Many(many) =
            Body::parse(b" {\n \"messages\" : [{\"text\":\"a\"},{\"text\":\"b\"}]}").unwrap()
        else {
            panic!("many")
        };
        assert_eq!(many.len(), 2);
    }
}
