//! Half messages: how a message is made one, what one says of itself, and the message that it becomes.

use std::sync::Arc;

use ferromq_model::message::{
    SysFlag, TagsCode, find_property, iter_properties, property, push_property, without_properties,
};
use ferromq_model::record::{NewRecord, Record, patch};
use ferromq_model::topic::TopicFilterType;
use ferromq_model::{Millis, QueueId, QueueOffset, TopicName};
use ferromq_store::{EntryTag, Placed};

use super::Undeliverable;
use crate::broker::Broker;
use crate::topics::Topic;

/// Properties that only brokers put on half messages: a sender's are not believed.
const OWN: [&str; 5] = [
    property::REAL_TOPIC,
    property::REAL_QUEUE_ID,
    property::TRANSACTION_ID,
    property::TRANSACTION_CHECK_TIMES,
    property::PREPARED_QUEUE_OFFSET,
];
/// Bytes that a half message's properties may grow by while it is checked: two numbers with names and separators.
pub(crate) const GROWTH_WHILE_CHECKED: usize = 2 * (26 + 20 + 2);

/// Whether a message is to become a half message. One that a consumer sends back later is not, whatever it carries along.
pub(crate) fn is_asked_for(properties: &str, reconsume_times: i32) -> bool {
    let is_true = |value: &str| value.eq_ignore_ascii_case("true");
    let later = || {
        let level =
            find_property(properties, property::DELAY).and_then(|level| level.trim().parse::<i64>().ok());
        reconsume_times > 0 && level.is_some_and(|level| level > 0)
    };
    find_property(properties, property::TRANSACTION_PREPARED).is_some_and(is_true) && !later()
}

/// The properties of a half message for `queue` of `topic`.
pub(crate) fn properties(properties: &str, topic: &TopicName, queue: QueueId) -> String {
    let mut kept = without_properties(properties, &OWN);
    push_property(&mut kept, property::REAL_TOPIC, topic.as_str());
    push_property(&mut kept, property::REAL_QUEUE_ID, &queue.to_string());
    if let Some(key) = find_property(properties, property::UNIQUE_KEY) {
        push_property(&mut kept, property::TRANSACTION_ID, key);
    }
    kept
}

/// A half message that was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Half<'a> {
    pub(super) record: Record<'a>,
    pub(super) group: &'a str,
    /// The half message that the client sent: each check stores another one, and all of them are one transaction.
    pub(super) first: QueueOffset,
    /// How often the producer was asked.
    pub(super) checks: u32,
    /// How long the producer wants not to be asked.
    pub(super) immunity: Option<Millis>,
    pub(super) unique_key: Option<&'a str>,
    real_topic: &'a str,
    real_queue: QueueId,
}

impl<'a> Half<'a> {
    /// What a record of the half topic says; `None` if it is no half message.
    pub(super) fn of(record: Record<'a>) -> Option<Self> {
        let mut half = Self {
            record,
            group: "",
            first: record.queue_offset,
            checks: 0,
            immunity: None,
            unique_key: None,
            real_topic: "",
            real_queue: QueueId(0),
        };
        let mut has_queue = false;
        for (name, value) in iter_properties(record.properties) {
            match name {
                property::PRODUCER_GROUP => half.group = value,
                property::REAL_TOPIC => half.real_topic = value,
                property::REAL_QUEUE_ID => {
                    half.real_queue = QueueId(value.parse().ok()?);
                    has_queue = true;
                }
                property::UNIQUE_KEY => half.unique_key = Some(value),
                property::TRANSACTION_CHECK_TIMES => half.checks = value.parse().unwrap_or(0),
                property::PREPARED_QUEUE_OFFSET => {
                    // Behind itself there is nothing that it could be a copy of.
                    let first = value.parse().ok().filter(|&first| first <= record.queue_offset.0);
                    half.first = first.map_or(half.first, QueueOffset);
                }
                property::CHECK_IMMUNITY => {
                    half.immunity =
                        value.parse().ok().map(|seconds: u64| Millis(seconds.saturating_mul(1000)));
                }
                _ => {}
            }
        }
        (!half.real_topic.is_empty() && has_queue).then_some(half)
    }

    /// The topic that it was sent to.
    pub(super) fn real_topic(&self) -> &'a str {
        self.real_topic
    }

    /// The queue of it.
    pub(super) fn real_queue(&self) -> QueueId {
        self.real_queue
    }

    /// The properties of the next copy, of which the producer was asked `checks` times.
    pub(super) fn next_properties(&self, checks: u32) -> String {
        let replaced = [property::TRANSACTION_CHECK_TIMES, property::PREPARED_QUEUE_OFFSET];
        let mut kept = without_properties(self.record.properties, &replaced);
        if checks > 0 {
            push_property(&mut kept, property::TRANSACTION_CHECK_TIMES, &checks.to_string());
        }
        push_property(&mut kept, property::PREPARED_QUEUE_OFFSET, &self.first.0.to_string());
        kept
    }

    /// The same message for another topic of the broker's own, with these properties.
    pub(super) fn copy<'b>(&'b self, topic: &'b str, properties: &'b [&'b str]) -> NewRecord<'b> {
        NewRecord::copy_of(&self.record, topic, QueueId(0), properties)
    }

    /// What the queue entry of each copy says.
    pub(super) fn tag(&self) -> EntryTag {
        EntryTag::Tags(TagsCode::of(find_property(self.record.properties, property::TAGS)))
    }

    /// The copy with these properties that lies at `placed`, as if it were in its real topic: what a producer is shown.
    pub(super) fn shown(&self, properties: &str, placed: &Placed) -> Vec<u8> {
        let properties = [properties];
        let mut record = self.copy(self.real_topic, &properties);
        record.queue_id = self.real_queue;
        let mut bytes = Vec::with_capacity(record.encoded_len());
        record.encode(&mut bytes);
        patch(&mut bytes, placed.queue_offset, placed.physical, placed.stored);
        bytes
    }
}

/// The message that a half message becomes.
pub(super) struct Final {
    pub(super) topic: Arc<Topic>,
    pub(super) queue: QueueId,
    sys_flag: SysFlag,
    properties: String,
    pub(super) tag: EntryTag,
}

impl Final {
    /// Decides where the message goes: its topic may have changed, and its commit may be the start of its delay.
    pub(super) fn of(broker: &Broker, half: &Half<'_>) -> Result<Self, Undeliverable> {
        let topic = broker.topics().find(half.real_topic);
        let topic = topic.ok_or_else(|| Undeliverable::NoTopic(half.real_topic.to_owned()))?;
        let removed = [property::TRANSACTION_PREPARED, property::REAL_TOPIC, property::REAL_QUEUE_ID];
        let properties = without_properties(half.record.properties, &removed);
        let mut sys_flag = committed(half.record.sys_flag);
        if topic.config().topic_filter_type == TopicFilterType::MultiTag {
            sys_flag.0 |= SysFlag::MULTI_TAGS;
        }
        // The topic may have fewer queues now: the message goes where it is read, rather than nowhere.
        let queue = QueueId(half.real_queue.0 % topic.queue_count().max(1));
        Ok(match broker.defer(topic.name(), queue, &properties)? {
            Some(deferred) => Self {
                topic: deferred.topic,
                queue: deferred.queue,
                sys_flag,
                properties: deferred.properties,
                tag: deferred.tag,
            },
            None => Self { topic, queue, sys_flag, properties, tag: half.tag() },
        })
    }

    pub(super) fn record<'a>(
        &'a self,
        half: &'a Half<'_>,
        properties: &'a [&'a str],
        broker: &Broker,
    ) -> NewRecord<'a> {
        NewRecord {
            queue_id: self.queue,
            sys_flag: self.sys_flag,
            store_host: broker.store_host(),
            prepared_offset: half.record.physical_offset,
            ..half.copy(self.topic.name().as_str(), properties)
        }
    }

    pub(super) fn properties(&self) -> &str {
        &self.properties
    }
}

/// The flags of a half message once it is committed.
fn committed(flag: SysFlag) -> SysFlag {
    SysFlag(flag.0 & !SysFlag::TRANSACTION_MASK | SysFlag::TRANSACTION_COMMIT)
}

/// Whether a message was half and is committed.
pub(super) fn is_committed(flag: SysFlag) -> bool {
    flag.0 & SysFlag::TRANSACTION_MASK == SysFlag::TRANSACTION_COMMIT
}
