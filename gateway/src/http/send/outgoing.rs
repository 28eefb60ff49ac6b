//! A message on its way to the broker, and what its properties may be.

use std::borrow::Cow;
use std::time::Duration;

use ferromq_model::message::{
    NAME_END, PROPERTY_END, find_property, property, push_property, without_properties,
};
use ferromq_model::{QueueId, Timestamp};

use crate::http::message::CONTENT_TYPE;
use crate::http::problem::{Kind, Problem};

/// A message to be stored.
#[derive(Debug)]
pub(super) struct Outgoing<'a> {
    /// The body.
    pub(super) body: Cow<'a, [u8]>,
    /// The properties.
    pub(super) properties: Properties,
    /// The queue, if the sender chooses one.
    pub(super) queue: Option<QueueId>,
}

/// A property string that is being written. What would break it, or is not for senders to set, is refused.
#[derive(Debug, Default)]
pub(super) struct Properties {
    text: String,
}

impl Properties {
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// A property of the user's.
    pub(super) fn user(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        if property::RESERVED.contains(&name) {
            return Err(Kind::InvalidMessage
                .because(format!("the property {name} has a meaning of its own and is not set like this")));
        }
        if name.is_empty() {
            return Err(Kind::InvalidMessage.because("a property has no name"));
        }
        self.push(name, value)
    }

    pub(super) fn tag(&mut self, tag: &str) -> Result<(), Problem> {
        if tag.contains("||") || tag.trim() != tag {
            return Err(Kind::InvalidMessage.because(format!(
                "the tag {tag:?} has blanks around it or || in it, and could not be subscribed to"
            )));
        }
        self.push(property::TAGS, tag)
    }

    /// Keys, with blanks between them.
    pub(super) fn keys(&mut self, keys: &str) -> Result<(), Problem> {
        self.push(property::KEYS, keys)
    }

    /// One more key, that has no blanks.
    pub(super) fn add_key(&mut self, key: &str) {
        let keys = match find_property(&self.text, property::KEYS) {
            Some(keys) => format!("{keys} {key}"),
            None => return push_property(&mut self.text, property::KEYS, key),
        };
        self.text = without_properties(&self.text, &[property::KEYS]);
        push_property(&mut self.text, property::KEYS, &keys);
    }

    pub(super) fn content_type(&mut self, content_type: &str) -> Result<(), Problem> {
        self.push(CONTENT_TYPE, content_type)
    }

    pub(super) fn sharding_key(&mut self, key: &str) -> Result<(), Problem> {
        self.push(property::SHARDING_KEY, key)
    }

    /// Makes it a half message of a transaction of `group`.
    pub(super) fn half(&mut self, group: &str) -> Result<(), Problem> {
        self.push(property::TRANSACTION_PREPARED, "true")?;
        self.push(property::PRODUCER_GROUP, group)
    }

    /// When it is to come, if not at once.
    pub(super) fn when(&mut self, delay: Option<Duration>, at: Option<Timestamp>) -> Result<(), Problem> {
        match (delay, at) {
            (Some(_), Some(_)) => {
                Err(Kind::InvalidMessage.because("a message has a delay or a delivery time, not both"))
            }
            (Some(delay), None) => self.push(property::TIMER_DELAY_MS, &delay.as_millis().to_string()),
            (None, Some(at)) => self.push(property::TIMER_DELIVER_MS, &at.0.to_string()),
            (None, None) => Ok(()),
        }
    }

    fn push(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        let ends = |text: &str| text.bytes().any(|byte| byte == NAME_END || byte == PROPERTY_END);
        if ends(name) || ends(value) {
            return Err(Kind::InvalidMessage.because(format!(
                "the property {name:?} holds one of the characters 1 and 2, which end properties"
            )));
        }
        if !value.is_empty() {
            push_property(&mut self.text, name, value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_the_property_string_is_refused() {
        let mut properties = Properties::default();
        properties.user("a", "1").unwrap();
        properties.tag("t").unwrap();
        properties.keys("k1 k2").unwrap();
        for (name, value) in [("a\x01", "1"), ("a", "\x02"), ("", "1"), ("UNIQ_KEY", "1"), ("DELAY", "3")] {
            assert_eq!(
                properties.user(name, value).unwrap_err().kind,
                Kind::InvalidMessage,
                "{name}={value}"
            );
        }
        assert!(properties.tag("a||b").is_err());
        assert!(properties.when(Some(Duration::ZERO), Some(Timestamp(0))).is_err());
        properties.add_key("k3");
        assert_eq!(properties.as_str(), "a\x011\x02TAGS\x01t\x02KEYS\x01k1 k2 k3\x02");
    }
}
