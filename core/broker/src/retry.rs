//! Messages sent back: a consumer could not handle one, so it comes again after a while, or becomes a dead letter when it
//! came too often.

use std::sync::Arc;

use ferromq_model::message::{
    MAX_PROPERTIES_LEN, MessageId, TagsCode, find_property, property, push_property, without_properties,
};
use ferromq_model::name::SCHEDULE_TOPIC;
use ferromq_model::record::{NewRecord, Record};
use ferromq_model::topic::TopicConfig;
use ferromq_model::{GroupName, PhysicalOffset, QueueId, TopicName};
use ferromq_store::{AppendError, Batch, EntryTag};

use crate::broker::Broker;
use crate::groups::GroupError;
use crate::send::SendError;
use crate::topics::Topic;

/// The delay level of the first redelivery; each further one waits a level longer (RocketMQ's rule).
const FIRST_RETRY_LEVEL: i64 = 3;

/// A message that a consumer sends back.
#[derive(Clone, Copy, Debug)]
pub struct SendBack<'a> {
    /// The consumer's group.
    pub group: &'a str,
    /// Where the message lies in the log.
    pub offset: PhysicalOffset,
    /// Below 0: a dead letter at once; 0: the broker decides how long to wait; above: that level.
    pub delay_level: i32,
    /// Redeliveries allowed, if the client says so.
    pub max_reconsume_times: Option<i32>,
}

/// A message could not be sent back; the client keeps it, or sends it anew by itself.
#[derive(Debug, thiserror::Error)]
pub enum SendBackError {
    /// The group does not exist.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The broker takes no messages.
    #[error("{0}")]
    NotWritable(String),
    /// There is no message at that offset.
    #[error("look message by offset failed, {0}")]
    NoMessage(PhysicalOffset),
    /// The retry or dead-letter topic could not be had.
    #[error(transparent)]
    Topic(#[from] SendError),
    /// The store takes no messages.
    #[error(transparent)]
    Store(#[from] AppendError),
}

impl Broker {
    /// Stores a copy of the message that comes again later, in the group's retry topic, or as a dead letter. `None` if
    /// the group wants no retries; otherwise durable up to there, it cannot be lost.
    ///
    /// # Errors
    /// [`SendBackError`]; nothing is stored then.
    pub fn send_back(&self, ask: &SendBack<'_>) -> Result<Option<PhysicalOffset>, SendBackError> {
        let group = self.groups().find_or_create(ask.group)?;
        if !self.live().permission().writable() {
            let why = format!("the broker[{}] sending message is forbidden", self.store_host().ip());
            return Err(SendBackError::NotWritable(why));
        }
        if group.retry_queue_nums == 0 {
            return Ok(None);
        }
        let bytes = self.store().record_at(ask.offset).ok_or(SendBackError::NoMessage(ask.offset))?;
        let record = Record::decode(&bytes).map_err(|_| SendBackError::NoMessage(ask.offset))?;
        let mut properties = without_properties(
            record.properties,
            &[property::DELAY, property::WAIT, property::INNER_MULTI_QUEUE_OFFSET],
        );
        push_property(&mut properties, property::WAIT, "false");
        if find_property(&properties, property::RETRY_TOPIC).is_none() {
            let origin = TopicName::popped_origin(record.topic, ask.group).unwrap_or(record.topic);
            push_property(&mut properties, property::RETRY_TOPIC, origin);
        }
        if find_property(&properties, property::ORIGIN_MESSAGE_ID).is_none() {
            let id = MessageId { host: record.store_host, offset: ask.offset };
            push_property(&mut properties, property::ORIGIN_MESSAGE_ID, &id.to_string());
        }
        let limit = ask.max_reconsume_times.unwrap_or(group.retry_max_times);
        let dead = ask.delay_level < 0 || record.reconsume_times >= limit;
        let (topic, queue_id, tag) = if dead {
            let topic = self.dead_letter_topic(&group.group_name)?;
            push_property(&mut properties, property::DELAY, "0");
            let tags = TagsCode::of(find_property(&properties, property::TAGS));
            (topic, QueueId(0), EntryTag::Tags(tags))
        } else {
            let retry = self.retry_topic(&group.group_name, group.retry_queue_nums)?;
            if !retry.config().perm.writable() {
                let why = format!("the topic[{}] sending message is forbidden", retry.name());
                return Err(SendBackError::NotWritable(why));
            }
            let asked = match ask.delay_level {
                0 => FIRST_RETRY_LEVEL + i64::from(record.reconsume_times),
                level => i64::from(level),
            };
            let level = self.config().delay_levels.resolve(asked).unwrap_or(1);
            // The group's number of queues may have grown since the topic was made: only queues that it has are read.
            let queue = self.next_number() % group.retry_queue_nums.min(retry.queue_count().max(1));
            properties = without_properties(&properties, &[property::REAL_TOPIC, property::REAL_QUEUE_ID]);
            push_property(&mut properties, property::DELAY, &level.to_string());
            push_property(&mut properties, property::REAL_TOPIC, retry.name().as_str());
            push_property(&mut properties, property::REAL_QUEUE_ID, &queue.to_string());
            let schedule = self
                .topics()
                .find(SCHEDULE_TOPIC)
                .ok_or_else(|| SendError::NoTopic(SCHEDULE_TOPIC.into()))?;
            (schedule, QueueId(level - 1), EntryTag::DueAfter(self.config().delay_levels.span(level)))
        };
        if properties.len() > MAX_PROPERTIES_LEN {
            // Left as it is, the message is tried again by its consumer; nobody else can shorten it.
            let len = properties.len();
            let text =
                format!("the message is illegal: its properties take {len} bytes with those of the retry");
            return Err(SendError::Illegal(text).into());
        }
        let Some(queue) = topic.queue(self.store(), queue_id) else {
            let topic_name = topic.name().to_string();
            return Err(SendError::NoQueue {
                queue: queue_id.0,
                topic: topic_name,
                queues: topic.queue_count(),
            }
            .into());
        };
        let pieces = [&*properties];
        let copy = NewRecord {
            store_host: self.store_host(),
            reconsume_times: record.reconsume_times.saturating_add(1),
            prepared_offset: PhysicalOffset::ZERO,
            ..NewRecord::copy_of(&record, topic.name().as_str(), queue_id, &pieces)
        };
        let mut batch = Batch::new();
        batch.push(Arc::clone(queue), &copy, tag);
        self.store().append(&mut batch)?;
        self.count_sent_back(find_property(&properties, property::RETRY_TOPIC), ask.group, dead);
        Ok(batch.placed().first().map(|placed| placed.end))
    }

    /// Counts a message that came back at the topic that it was first sent to.
    pub(crate) fn count_sent_back(&self, topic: Option<&str>, group: &str, dead: bool) {
        if let Some(topic) = topic.and_then(|topic| self.topics().find(topic)) {
            topic.stats().count(group, |stats| {
                stats.sent_back.add(1, 0);
                if dead {
                    stats.dead_letters.add(1, 0);
                }
            });
        }
    }

    /// `%RETRY%<group>`, made when the group first appears: its members look for it at once.
    pub(crate) fn retry_topic(&self, group: &GroupName, queues: u32) -> Result<Arc<Topic>, SendError> {
        let name = TopicName::retry_of(group);
        let text = name.to_string();
        self.topics().find_or_put(&text, || TopicConfig::new(name, queues.max(1))).map_err(SendError::Create)
    }
}
