//! A message as a line of JSON: what `ferromq consume --output json` prints and `ferromq produce --json` reads.
//!
//! Always true: what a program gave a message (body, tag, keys, sharding key, flag, properties) is the same behind both.
//! What brokers and clients added to it is not sent again.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ferromq_client::{Message, MessageBuilder, Received};
use ferromq_model::Timestamp;
use ferromq_model::message::property;
use serde::{Deserialize, Serialize};

/// A message as a line of JSON. A member that is not there is as if it were empty; one of another name is an error, since
/// it would be lost without a word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sharding_key: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    flag: i32,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    properties: BTreeMap<String, String>,
    /// If it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// If it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// A message that was read, as it is printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Printed {
    #[serde(flatten)]
    place: Place,
    #[serde(flatten)]
    line: Line,
}

/// Where a message lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Place {
    topic: String,
    broker: String,
    queue: u32,
    offset: u64,
    id: String,
    born: Timestamp,
    stored: Timestamp,
}

/// The names of [`Place`], which a line may have without a meaning for sending.
const OF_PLACE: [&str; 7] = ["topic", "broker", "queue", "offset", "id", "born", "stored"];

fn is_zero(flag: &i32) -> bool {
    *flag == 0
}

/// Why a line is no message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    /// It is not the JSON that it should be.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// The body in base64.
    #[error("bodyBase64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// Two bodies, or none.
    #[error("it needs either a body or a bodyBase64")]
    Body,
}

impl Line {
    /// Reads a line.
    pub(crate) fn read(text: &[u8]) -> Result<Self, LineError> {
        let mut members: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(text)?;
        OF_PLACE.iter().for_each(|name| drop(members.remove(*name)));
        Ok(serde_json::from_value(members.into())?)
    }

    /// Whether it says what its sharding key is.
    pub(crate) fn has_sharding_key(&self) -> bool {
        self.sharding_key.is_some()
    }

    /// Whether it says what its tag is.
    pub(crate) fn has_tag(&self) -> bool {
        self.tag.is_some()
    }

    /// Whether it has a property of this name.
    pub(crate) fn has_property(&self, name: &str) -> bool {
        self.properties.contains_key(name)
    }

    /// Adds it to a message.
    pub(crate) fn put_into(self, mut message: MessageBuilder) -> Result<MessageBuilder, LineError> {
        let body = match (self.body, self.body_base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(text)) => BASE64.decode(text)?,
            _ => return Err(LineError::Body),
        };
        message = message.body(body).flag(self.flag);
        if let Some(tag) = &self.tag {
            message = message.tag(tag);
        }
        if let Some(key) = &self.sharding_key {
            message = message.sharding_key(key);
        }
        message = self.keys.iter().fold(message, |message, key| message.key(key));
        Ok(self.properties.iter().fold(message, |message, (name, value)| message.property(name, value)))
    }
}

impl Printed {
    /// The line of a message.
    pub(crate) fn of(message: &Received) -> Self {
        let text = std::str::from_utf8(message.body()).ok().map(str::to_owned);
        let place = Place {
            topic: message.topic().to_owned(),
            broker: message.queue().broker.to_string(),
            queue: message.queue().id.0,
            offset: message.queue_offset().0,
            id: message.message_id(),
            born: message.born(),
            stored: message.stored(),
        };
        let line = Line {
            tag: message.tag().map(str::to_owned),
            keys: message.keys().map(str::to_owned).collect(),
            sharding_key: message.property(property::SHARDING_KEY).map(str::to_owned),
            flag: message.flag(),
            properties: message
                .properties()
                .filter(|(name, _)| !Message::is_reserved(name))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body_base64: text.is_none().then(|| BASE64.encode(message.body())),
            body: text,
        };
        Self { place, line }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Result<Message, Box<dyn std::error::Error>> {
        Ok(Line::read(text.as_bytes())?.put_into(Message::builder("Orders"))?.build()?)
    }

    #[test]
    fn a_line_says_all_that_a_program_gives_a_message() {
        let read = message(
            r#"{"body":"ü","tag":"A","keys":["k1","k2"],"shardingKey":"s","flag":7,"properties":{"colour":"blue"}}"#,
        )
        .unwrap();
        let built = Message::builder("Orders")
            .body("ü")
            .flag(7)
            .tag("A")
            .sharding_key("s")
            .property("colour", "blue")
            .key("k1 k2");
        assert_eq!(read, built.build().unwrap());
        assert_eq!(message(r#"{"bodyBase64":"AP8="}"#).unwrap().body(), &[0, 255][..]);
    }

    #[test]
    fn where_a_message_was_read_is_nothing_for_sending() {
        let printed =
            r#"{"topic":"Other","broker":"b","queue":3,"offset":9,"id":"x","born":1,"stored":2,"body":"a"}"#;
        assert_eq!(message(printed).unwrap(), Message::new("Orders", "a").unwrap());
    }

    #[test]
    fn what_would_be_lost_is_refused() {
        let refused = |text: &str| message(text).unwrap_err().to_string();
        assert!(refused(r#"{"body":"a","propertis":{}}"#).contains("propertis"));
        assert!(refused(r#"{"tag":"a"}"#).contains("either a body or a bodyBase64"));
        assert!(refused(r#"{"body":"a","bodyBase64":"YQ=="}"#).contains("either"));
        assert!(refused(r#"{"bodyBase64":"!"}"#).contains("bodyBase64"));
        assert!(refused(r#"{"body":"a","properties":{"TAGS":"x"}}"#).contains("TAGS"));
        assert!(refused("hello").contains("line 1"));
    }
}
