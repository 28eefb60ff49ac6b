//! A message to be sent.

use bytes::Bytes;
use ferromq_model::message::{
    MAX_PROPERTIES_LEN, NAME_END, PROPERTY_END, find_property, property, push_property,
};
use ferromq_model::{NameError, Timestamp, TopicName};

/// Room that a message's properties have from the start, so that what a producer adds to them allocates nothing.
const TYPICAL_PROPERTIES: usize = 128;
/// The highest delay level that brokers have unless they are configured otherwise: two hours.
const MAX_DELAY_LEVEL: u8 = 18;

/// Why a message cannot be sent: always for the caller to fix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMessage {
    /// The topic's name.
    #[error(transparent)]
    Topic(#[from] NameError),
    /// Brokers keep clients from sending to it.
    #[error("nobody may send to topic {0}")]
    ForbiddenTopic(TopicName),
    /// There is nothing in it.
    #[error("the body is empty")]
    NoBody,
    /// A property without a name or a value, or with a character that ends one.
    #[error("property {name:?} has no name or no value, or holds a byte 1 or 2")]
    Property {
        /// Its name.
        name: String,
    },
    /// A property that has a meaning of its own.
    #[error("property {name} has a meaning of its own and cannot be set like this")]
    Reserved {
        /// Its name.
        name: String,
    },
    /// All properties together.
    #[error("properties of {len} bytes, the limit is {MAX_PROPERTIES_LEN}")]
    PropertiesTooLong {
        /// Bytes that they have.
        len: usize,
    },
    /// A delay level that no broker has.
    #[error("delay level {0}, the levels are 1 to {MAX_DELAY_LEVEL}")]
    DelayLevel(u8),
    /// Two ways of saying when it is to be delivered.
    #[error("a delay level and a time of delivery exclude each other")]
    TwoDelays,
}

/// A message to be sent. Cloning shares the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub(crate) topic: TopicName,
    pub(crate) body: Bytes,
    pub(crate) flag: i32,
    /// As they travel: `name 0x01 value 0x02` repeated.
    pub(crate) properties: String,
}

impl Message {
    /// A message without properties.
    ///
    /// # Errors
    /// [`InvalidMessage`].
    pub fn new(topic: &str, body: impl Into<Bytes>) -> Result<Self, InvalidMessage> {
        Self::builder(topic).body(body).build()
    }

    /// Begins to build a message for `topic`.
    #[must_use]
    pub fn builder(topic: &str) -> MessageBuilder {
        MessageBuilder::new(TopicName::new(topic).map_err(InvalidMessage::from))
    }

    /// The same for a topic whose name was checked before: nothing of it is allocated anew.
    #[must_use]
    pub fn builder_of(topic: &TopicName) -> MessageBuilder {
        MessageBuilder::new(Ok(topic.clone()))
    }

    /// Whether a property of this name has a meaning of its own, so that [`MessageBuilder::property`] refuses it.
    #[must_use]
    pub fn is_reserved(name: &str) -> bool {
        property::RESERVED.contains(&name)
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The value of a property.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&str> {
        find_property(&self.properties, name)
    }

    /// The same message with one more property of the application's own; as it is, if it has that property already.
    ///
    /// # Errors
    /// [`InvalidMessage`], as [`MessageBuilder::property`].
    pub fn with_property(mut self, name: &str, value: &str) -> Result<Self, InvalidMessage> {
        if Self::is_reserved(name) {
            return Err(InvalidMessage::Reserved { name: name.to_owned() });
        }
        let ends = |text: &str| text.bytes().any(|byte| byte == NAME_END || byte == PROPERTY_END);
        if name.is_empty() || value.is_empty() || ends(name) || ends(value) {
            return Err(InvalidMessage::Property { name: name.to_owned() });
        }
        if self.property(name).is_none() {
            self.set(name, value);
        }
        let len = self.properties.len();
        if len > MAX_PROPERTIES_LEN { Err(InvalidMessage::PropertiesTooLong { len }) } else { Ok(self) }
    }

    /// Adds a property that clients set, whatever its name.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        push_property(&mut self.properties, name, value);
    }

    /// Whether it is to be delivered later.
    pub(crate) fn is_delayed(&self) -> bool {
        const DELAYS: [&str; 4] = [
            property::DELAY,
            property::TIMER_DELIVER_MS,
            property::TIMER_DELAY_MS,
            property::TIMER_DELAY_SEC,
        ];
        DELAYS.iter().any(|name| self.property(name).is_some())
    }
}

/// Builds a [`Message`]. What is wrong with it shows when it is built.
#[derive(Clone, Debug)]
pub struct MessageBuilder {
    topic: Result<TopicName, InvalidMessage>,
    body: Bytes,
    flag: i32,
    keys: String,
    properties: String,
    /// The first thing that was wrong.
    wrong: Option<InvalidMessage>,
}

impl MessageBuilder {
    fn new(topic: Result<TopicName, InvalidMessage>) -> Self {
        Self {
            topic,
            body: Bytes::new(),
            flag: 0,
            keys: String::new(),
            properties: String::with_capacity(TYPICAL_PROPERTIES),
            wrong: None,
        }
    }

    /// The body; it must not be empty.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The tag, by which consumers filter.
    #[must_use]
    pub fn tag(self, tag: &str) -> Self {
        self.put(property::TAGS, tag)
    }

    /// Adds a key, by which the message can be found. A key with blanks counts as several.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        if !self.keys.is_empty() {
            self.keys.push(' ');
        }
        self.keys.push_str(key);
        self
    }

    /// Adds a property of the application's own.
    #[must_use]
    pub fn property(mut self, name: &str, value: &str) -> Self {
        if Message::is_reserved(name) {
            self.wrong.get_or_insert_with(|| InvalidMessage::Reserved { name: name.to_owned() });
            return self;
        }
        self.put(name, value)
    }

    /// Messages with the same key go to the same queue, where they are in the order of their sending.
    #[must_use]
    pub fn sharding_key(self, key: &str) -> Self {
        self.put(property::SHARDING_KEY, key)
    }

    /// Delivers it after the time of a level that brokers have: 1 to 18, one second to two hours unless they are
    /// configured otherwise.
    #[must_use]
    pub fn delay_level(mut self, level: u8) -> Self {
        if !(1..=MAX_DELAY_LEVEL).contains(&level) {
            self.wrong.get_or_insert(InvalidMessage::DelayLevel(level));
            return self;
        }
        let mut digits = [0; 2];
        let text = decimal(level, &mut digits);
        self.put(property::DELAY, text)
    }

    /// Delivers it no earlier than this time; brokers allow three days unless they are configured otherwise. Needs a
    /// broker of 5.0 or later.
    #[must_use]
    pub fn deliver_at(self, time: Timestamp) -> Self {
        self.put(property::TIMER_DELIVER_MS, &time.0.to_string())
    }

    /// Delivers it so much later than the broker got it: as [`MessageBuilder::deliver_at`].
    #[must_use]
    pub fn deliver_after(self, delay: std::time::Duration) -> Self {
        self.put(property::TIMER_DELAY_MS, &delay.as_millis().to_string())
    }

    /// A number that travels with the message and means what the application wants it to; 0 by default.
    #[must_use]
    pub fn flag(mut self, flag: i32) -> Self {
        self.flag = flag;
        self
    }

    /// Lets the broker answer before the message is as safe as the broker is configured to make messages.
    #[must_use]
    pub fn without_waiting_for_store(self) -> Self {
        self.put(property::WAIT, "false")
    }

    /// The message.
    ///
    /// # Errors
    /// [`InvalidMessage`]: the first thing that is wrong.
    pub fn build(mut self) -> Result<Message, InvalidMessage> {
        if !self.keys.is_empty() {
            let keys = std::mem::take(&mut self.keys);
            self = self.put(property::KEYS, &keys);
        }
        let topic = self.topic?;
        if topic.is_send_forbidden() {
            return Err(InvalidMessage::ForbiddenTopic(topic));
        }
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        if self.body.is_empty() {
            return Err(InvalidMessage::NoBody);
        }
        if self.properties.len() > MAX_PROPERTIES_LEN {
            return Err(InvalidMessage::PropertiesTooLong { len: self.properties.len() });
        }
        let message = Message { topic, body: self.body, flag: self.flag, properties: self.properties };
        let timed =
            message.property(property::TIMER_DELIVER_MS).or(message.property(property::TIMER_DELAY_MS));
        if timed.is_some() && message.property(property::DELAY).is_some() {
            return Err(InvalidMessage::TwoDelays);
        }
        Ok(message)
    }

    fn put(mut self, name: &str, value: &str) -> Self {
        let ends = |text: &str| text.bytes().any(|byte| byte == NAME_END || byte == PROPERTY_END);
        if name.is_empty() || value.is_empty() || ends(name) || ends(value) {
            self.wrong.get_or_insert_with(|| InvalidMessage::Property { name: name.to_owned() });
        } else {
            push_property(&mut self.properties, name, value);
        }
        self
    }
}

fn decimal(number: u8, digits: &mut [u8; 2]) -> &str {
    *digits = [b'0' + number / 10, b'0' + number % 10];
    let text = std::str::from_utf8(digits).expect("digits");
    text.strip_prefix('0').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_carries_its_properties_as_they_travel() {
        let message = Message::builder("Orders")
            .body("hello")
            .tag("TagA")
            .key("k1")
            .key("k2")
            .property("colour", "blue")
            .delay_level(3)
            .build()
            .unwrap();
        assert_eq!(message.properties, "TAGS\x01TagA\x02colour\x01blue\x02DELAY\x013\x02KEYS\x01k1 k2\x02");
        assert!(message.is_delayed());
    }

    #[test]
    fn what_no_broker_would_take_is_not_built() {
        let of = |build: fn(MessageBuilder) -> MessageBuilder| {
            build(Message::builder("Orders").body("x")).build().unwrap_err()
        };
        assert_eq!(of(|b| b.body("")), InvalidMessage::NoBody);
        assert_eq!(of(|b| b.delay_level(19)), InvalidMessage::DelayLevel(19));
        assert_eq!(of(|b| b.property("TAGS", "x")), InvalidMessage::Reserved { name: "TAGS".into() });
        assert_eq!(of(|b| b.property("a\x01", "x")), InvalidMessage::Property { name: "a\x01".into() });
        assert_eq!(of(|b| b.tag("")), InvalidMessage::Property { name: "TAGS".into() });
        assert_eq!(of(|b| b.delay_level(1).deliver_at(Timestamp(1))), InvalidMessage::TwoDelays);
        assert!(matches!(
            of(|b| b.property("long", &"x".repeat(40_000))),
            InvalidMessage::PropertiesTooLong { .. }
        ));
        assert!(matches!(Message::new("a b", "x"), Err(InvalidMessage::Topic(_))));
        assert!(matches!(Message::new("SCHEDULE_TOPIC_XXXX", "x"), Err(InvalidMessage::ForbiddenTopic(_))));
    }
}
