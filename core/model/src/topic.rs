//! A topic's settings, in the shape that `topics.json`, registrations and admin tools share.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Timestamp, TopicName};

/// What clients may do with a topic on one broker: RocketMQ's permission bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Permission(pub u32);

impl Permission {
    /// New topics inherit from this one.
    pub const INHERIT: u32 = 1;
    /// Messages may be sent.
    pub const WRITE: u32 = 2;
    /// Messages may be read.
    pub const READ: u32 = 4;
    /// Read and write.
    pub const READ_WRITE: Self = Self(Self::READ | Self::WRITE);
    /// Read, write, and a template for new topics.
    pub const TEMPLATE: Self = Self(Self::READ | Self::WRITE | Self::INHERIT);

    /// Whether messages may be sent.
    #[must_use]
    pub const fn writable(self) -> bool {
        self.0 & Self::WRITE != 0
    }

    /// Whether messages may be read.
    #[must_use]
    pub const fn readable(self) -> bool {
        self.0 & Self::READ != 0
    }

    /// Whether new topics may inherit from it.
    #[must_use]
    pub const fn inheritable(self) -> bool {
        self.0 & Self::INHERIT != 0
    }

    /// The same without `bits`.
    #[must_use]
    pub const fn without(self, bits: u32) -> Self {
        Self(self.0 & !bits)
    }
}

/// Whether the `TAGS` property is one tag or several. Both hash the whole text; the reference keeps the setting only
/// for its clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TopicFilterType {
    /// `SINGLE_TAG`.
    #[default]
    SingleTag,
    /// `MULTI_TAG`.
    MultiTag,
}

impl TopicFilterType {
    /// The name that files and the wire use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SingleTag => "SINGLE_TAG",
            Self::MultiTag => "MULTI_TAG",
        }
    }

    /// Reads the name in any case; anything unknown is `SINGLE_TAG`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text.eq_ignore_ascii_case("MULTI_TAG") { Self::MultiTag } else { Self::SingleTag }
    }
}

impl Serialize for TopicFilterType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for TopicFilterType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // An ordinal is what some writers put in place of the name.
        Ok(match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(name) => Self::parse(&name),
            serde_json::Value::Number(n) if n.as_i64() == Some(1) => Self::MultiTag,
            _ => Self::SingleTag,
        })
    }
}

/// The settings of one topic on one broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicConfig {
    /// `queue.type`, `cleanup.policy`, `message.type`, `reserve.time`, by name and without sign.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Whether clients should keep the queue count fixed for ordering.
    #[serde(default)]
    pub order: bool,
    /// What clients may do.
    pub perm: Permission,
    /// Queues that consumers read.
    pub read_queue_nums: u32,
    /// One tag a message, or several.
    #[serde(default)]
    pub topic_filter_type: TopicFilterType,
    /// The topic.
    pub topic_name: TopicName,
    /// Bit 0: unit topic; bit 1: has unit subscribers.
    #[serde(default)]
    pub topic_sys_flag: i32,
    /// Queues that producers write.
    pub write_queue_nums: u32,
}

impl TopicConfig {
    /// A readable and writable topic with `queues` queues.
    #[must_use]
    pub fn new(topic: TopicName, queues: u32) -> Self {
        Self {
            attributes: BTreeMap::new(),
            order: false,
            perm: Permission::READ_WRITE,
            read_queue_nums: queues,
            topic_filter_type: TopicFilterType::SingleTag,
            topic_name: topic,
            topic_sys_flag: 0,
            write_queue_nums: queues,
        }
    }

    /// The same with other permissions.
    #[must_use]
    pub fn with_perm(mut self, perm: Permission) -> Self {
        self.perm = perm;
        self
    }
}

/// The version of a table of settings: equal only if all three parts are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVersion {
    /// Changes since the table began.
    pub counter: i64,
    /// The controller's epoch; 0 without a controller.
    pub state_version: i64,
    /// When it last changed.
    pub timestamp: Timestamp,
}

impl DataVersion {
    /// Notes one more change, made at `now`.
    pub fn bump(&mut self, now: Timestamp) {
        self.counter += 1;
        self.timestamp = now;
    }
}
