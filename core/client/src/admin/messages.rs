//! Messages: found by place, id or key; read queue by queue; stored as copies.

use std::sync::Arc;

use bytes::Bytes;
use ferromq_model::message::{MessageId, SysFlag, find_property, property, push_property};
use ferromq_model::record::Record;
use ferromq_model::{GroupName, Millis, QueueOffset, Timestamp, TopicName};
use ferromq_protocol::body;
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::frame::HeaderScratch;
use ferromq_protocol::header::{
    ConsumeDirectly, Header as _, PullFlags, PullMessage, PullMessageResponse, QueryMessage, SendMessage,
    SendMessageResponse, ViewMessage,
};
use serde::{Deserialize, Serialize};

use super::{Admin, AdminError, Gathered, Scope, TOOLS_GROUP, decode, unless};
use crate::error::CallError;
use crate::queue::MessageQueue;
use crate::received::Received;

/// Properties that say how a message came to be where it is: a copy has its own.
const OF_ITS_WAY: &[&str] = &[
    property::DELAY,
    property::REAL_TOPIC,
    property::REAL_QUEUE_ID,
    property::TRANSACTION_PREPARED,
    property::PRODUCER_GROUP,
    property::TRANSACTION_CHECK_TIMES,
    property::PREPARED_QUEUE_OFFSET,
    property::CHECK_IMMUNITY,
    property::RECONSUME_TIME,
    property::MAX_RECONSUME_TIMES,
    property::MSG_REGION,
    property::TRACE_ON,
    property::CLUSTER,
    property::POP_CK,
    property::FIRST_POP_TIME,
    property::INNER_MULTI_DISPATCH,
    property::INNER_MULTI_QUEUE_OFFSET,
    property::INNER_NUM,
    property::CRC32,
    property::TIMER_DELAY_SEC,
    property::TIMER_DELAY_MS,
    property::TIMER_DELIVER_MS,
    property::TIMER_OUT_MS,
    property::TIMER_ENQUEUE_MS,
    property::TIMER_DEQUEUE_MS,
    property::TIMER_ROLL_TIMES,
    property::TIMER_DELETE_KEY,
];
/// The most messages that a broker is asked for at once.
const MAX_PULL: u32 = 32;
/// What brokers answer at most to a query by unique id.
const MAX_BY_ID: u32 = 32;

/// A span of store times, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Its begin.
    pub begin: Timestamp,
    /// Its end.
    pub end: Timestamp,
}

impl Default for Span {
    /// All of time.
    fn default() -> Self {
        Self { begin: Timestamp::ZERO, end: Timestamp(i64::MAX) }
    }
}

impl Span {
    /// Whether a time is in it.
    #[must_use]
    pub fn contains(&self, time: Timestamp) -> bool {
        (self.begin..=self.end).contains(&time)
    }
}

/// A part of a queue.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its messages.
    pub messages: Vec<Received>,
    /// Where the next part begins.
    pub next: QueueOffset,
    /// The queue's oldest message.
    pub min: QueueOffset,
    /// Behind the queue's newest message.
    pub max: QueueOffset,
}

/// A message to be stored as it was elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Its body.
    pub body: Bytes,
    /// The application's number.
    pub flag: i32,
    /// When its producer made it.
    pub born: Timestamp,
    properties: String,
}

impl Copy {
    /// A copy of parts that were written down. What says how the message came to be where it was is left out.
    pub fn new<'p>(
        body: impl Into<Bytes>,
        flag: i32,
        born: Timestamp,
        properties: impl IntoIterator<Item = (&'p str, &'p str)>,
    ) -> Self {
        let mut kept = String::new();
        for (name, value) in properties {
            if !OF_ITS_WAY.contains(&name) && !name.is_empty() && !value.is_empty() {
                push_property(&mut kept, name, value);
            }
        }
        Self { body: body.into(), flag, born, properties: kept }
    }

    /// A copy of a message.
    #[must_use]
    pub fn of(message: &Received) -> Self {
        let properties = message.properties();
        Self::new(message.body().clone(), message.flag(), message.born(), properties)
    }
}

/// How a client fared with a message that it was handed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Consumed {
    /// `CR_SUCCESS`, `CR_LATER`, …; a number from Go clients.
    pub consume_result: serde_json::Value,
    /// Whether it consumes orderly.
    pub order: bool,
    /// What it says of it.
    pub remark: Option<String>,
    /// Milliseconds that it took.
    pub spent_time_mills: i64,
}

/// What became of a message in a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Track {
    /// The group.
    pub group: String,
    /// Whether the group's position is behind the message; none if that cannot be told.
    pub consumed: Option<bool>,
    /// Whether anybody of the group is there.
    pub online: bool,
}

impl Admin {
    /// Reads the message that lies at a place, by the place's hex form: which names the broker's address, too.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn message_at(&self, id: &str) -> Result<Received, AdminError> {
        let place = MessageId::parse(id).ok_or_else(|| AdminError::Invalid {
            what: format!("{id:?} is no place of a message: that is 32 or 56 hexadecimal digits"),
        })?;
        let addr: Arc<str> = place.host.to_string().into();
        let asked = ViewMessage { offset: place.offset, topic: None };
        let frame = self.call(&addr, RequestCode::ViewMessageById, &asked, Bytes::new()).await;
        let not_there = || AdminError::NotFound { what: format!("message {id}") };
        // There is no code of its own for a place without a message.
        let frame = unless(frame, &[ResponseCode::SystemError])?.ok_or_else(not_there)?;
        let name = self.nodes(&Scope::Broker(addr.to_string())).await?.pop().map(|node| node.name);
        records(&frame.body(), &name.unwrap_or(addr)).pop().ok_or_else(not_there)
    }

    /// Finds messages by the id that their producer gave them: several if one was stored again.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn messages_by_id(&self, topic: &str, id: &str) -> Result<Gathered<Vec<Received>>, AdminError> {
        let found = self.query(topic, id, true, MAX_BY_ID, Span::default()).await?;
        Ok(found.map(|found| {
            found.into_iter().filter(|message| message.property(property::UNIQUE_KEY) == Some(id)).collect()
        }))
    }

    /// Finds messages by a key, among those stored in a span of time: at most `max` on each broker, the newest first.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn messages_by_key(
        &self,
        topic: &str,
        key: &str,
        span: Span,
        max: u32,
    ) -> Result<Gathered<Vec<Received>>, AdminError> {
        let found = self.query(topic, key, false, max, span).await?;
        // Brokers find by a hash of the key.
        Ok(found.map(|found| {
            found.into_iter().filter(|message| message.keys().any(|known| known == key)).collect()
        }))
    }

    async fn query(
        &self,
        topic: &str,
        key: &str,
        unique: bool,
        max: u32,
        span: Span,
    ) -> Result<Gathered<Vec<Received>>, AdminError> {
        let topic = TopicName::new(topic)?;
        let asked =
            &QueryMessage { topic: topic.as_str(), key, max, begin: span.begin, end: span.end, unique };
        let masters = self.masters_of(&topic).await?;
        let found = self
            .each(masters, |node| async move {
                let frame = self.call(&node.addr, RequestCode::QueryMessage, asked, Bytes::new()).await;
                let found = unless(frame, &[ResponseCode::QueryNotFound])?;
                Ok(found.map_or_else(Vec::new, |frame| records(&frame.body(), &node.name)))
            })
            .await?;
        Ok(found.map(|found| {
            let mut messages: Vec<_> = found.into_iter().flat_map(|of| of.value).collect();
            messages.sort_by_key(|message| std::cmp::Reverse((message.stored(), message.place().offset)));
            // Brokers of 4.x tell a message twice whose id is among its keys.
            messages.dedup_by_key(|message| message.place());
            messages
        }))
    }

    /// Reads messages of a queue, at most `max` and as many as the broker likes to hand out at once. Nobody's position
    /// is changed.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn read_queue(
        &self,
        queue: &MessageQueue,
        from: QueueOffset,
        max: u32,
    ) -> Result<Part, AdminError> {
        let route = self.client.inner.route(&queue.topic).await?;
        let addr = route.member(&queue.broker, 0).ok_or_else(|| AdminError::NoSuchQueue {
            topic: queue.topic.clone(),
            queue: format!("{}:{}", queue.broker, queue.id),
        })?;
        Ok(self.pull(addr, queue, from, max).await?)
    }

    pub(super) async fn pull(
        &self,
        addr: &Arc<str>,
        queue: &MessageQueue,
        from: QueueOffset,
        max: u32,
    ) -> Result<Part, CallError> {
        let asked = PullMessage {
            group: TOOLS_GROUP,
            topic: queue.topic.as_str(),
            queue: queue.id,
            from: Some(from),
            max: max.clamp(1, MAX_PULL),
            flags: PullFlags(PullFlags::SUBSCRIPTION),
            commit: Some(QueueOffset::ZERO),
            wait: Millis(0),
            subscription: Some("*"),
            subscription_version: 0,
            expression_type: Some("TAG"),
            max_bytes: None,
            source: None,
            proxied_client: None,
        };
        let inner = &self.client.inner;
        let link = inner.link(addr);
        let limit = inner.timing.call;
        let frame = link.ask(RequestCode::PullMessage, &asked, &Bytes::new(), limit).await?;
        use ResponseCode as Code;
        let part = {
            let mut scratch = HeaderScratch::new();
            let command = frame.command(&mut scratch).map_err(|error| super::unreadable(addr, &error))?;
            match command.response_code() {
                Some(
                    Code::Success | Code::PullNotFound | Code::PullRetryImmediately | Code::PullOffsetMoved,
                ) => {
                    let head = PullMessageResponse::decode(&command.fields)
                        .map_err(|error| super::unreadable(addr, &error))?;
                    let found = command.response_code() == Some(Code::Success);
                    Some((
                        found,
                        Part { messages: Vec::new(), next: head.next, min: head.min, max: head.max },
                    ))
                }
                _ => None,
            }
        };
        match part {
            Some((true, part)) => {
                Ok(Part { messages: Received::read_all(&frame.body(), queue).collect(), ..part })
            }
            Some((false, part)) => Ok(part),
            None => Err(link.refusal(&frame)?.unwrap_or_else(|| super::unreadable(addr, "no pull's answer"))),
        }
    }

    /// Stores a copy of a message in a queue. Returns its number there.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn store_copy(&self, queue: &MessageQueue, copy: &Copy) -> Result<QueueOffset, AdminError> {
        let route = self.client.inner.route(&queue.topic).await?;
        let addr = route.master(&queue.broker).ok_or_else(|| AdminError::NoSuchQueue {
            topic: queue.topic.clone(),
            queue: format!("{}:{}", queue.broker, queue.id),
        })?;
        let mut properties = copy.properties.clone();
        if find_property(&properties, property::UNIQUE_KEY).is_none() {
            let id = self.client.inner.unique_ids.next(Timestamp::now());
            push_property(&mut properties, property::UNIQUE_KEY, id.as_str());
        }
        let asked = SendMessage {
            group: TOOLS_GROUP,
            topic: queue.topic.as_str(),
            default_topic: ferromq_model::name::AUTO_CREATE_TOPIC,
            default_queues: 4,
            queue: Some(queue.id),
            sys_flag: SysFlag(0),
            born: copy.born,
            flag: copy.flag,
            properties: &properties,
            reconsume_times: 0,
            unit_mode: false,
            max_reconsume_times: None,
            batch: false,
            broker: Some(&queue.broker),
        };
        let frame = self.call(addr, RequestCode::SendMessageV2, &asked, copy.body.clone()).await?;
        Ok(super::fields(addr, &frame, |fields| Ok(SendMessageResponse::decode(fields)?.offset))?)
    }

    /// Has a member of a group consume the message that lies at a place, now.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn consume_directly(
        &self,
        group: &str,
        client: &str,
        message: &Received,
    ) -> Result<Consumed, AdminError> {
        let group = GroupName::new(group)?;
        let place = message.place();
        let id = place.to_string();
        let addr: Arc<str> = place.host.to_string().into();
        let asked = ConsumeDirectly {
            group: group.as_str(),
            client: Some(client),
            message_id: Some(&id),
            broker: Some(&message.queue().broker),
            topic: Some(message.stored_topic().as_str()),
            topic_sys_flag: None,
            group_sys_flag: None,
        };
        let frame = self.call(&addr, RequestCode::ConsumeMessageDirectly, &asked, Bytes::new()).await?;
        Ok(decode(&addr, &frame)?)
    }

    /// What became of a message in each group that reads its topic.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn track(&self, message: &Received) -> Result<Vec<Track>, AdminError> {
        let topic = message.stored_topic().as_str();
        let mut tracks = Vec::new();
        for group in self.groups_of_topic(topic).await?.value {
            let progress = self.progress(&group, Some(topic), &Scope::All).await?.value;
            let place = progress.queues.iter().find(|at| at.queue == *message.queue());
            tracks.push(Track {
                consumed: place.map(|at| at.position > message.queue_offset()),
                online: self.consumers(&group, &Scope::All).await?.value.is_some(),
                group,
            });
        }
        Ok(tracks)
    }

    /// Entries of a queue as its broker keeps them: where records lie, and what filters go by.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn queue_entries(
        &self,
        queue: &MessageQueue,
        from: QueueOffset,
        max: u32,
    ) -> Result<body::stats::ConsumeQueuePart, AdminError> {
        let route = self.client.inner.route(&queue.topic).await?;
        let addr = route.master(&queue.broker).ok_or_else(|| AdminError::NoSuchQueue {
            topic: queue.topic.clone(),
            queue: format!("{}:{}", queue.broker, queue.id),
        })?;
        let asked = ferromq_protocol::header::admin::QueryConsumeQueue {
            topic: queue.topic.as_str(),
            queue: queue.id,
            from,
            max,
            group: None,
        };
        Ok(self.read(addr, RequestCode::QueryConsumeQueue, &asked).await?)
    }
}

/// Every record of `bytes`, which came from `broker`; each says which topic it is of.
fn records(bytes: &Bytes, broker: &Arc<str>) -> Vec<Received> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(Ok(record)) = bytes.get(at..).map(Record::decode) {
        let Ok(topic) = TopicName::new(record.topic) else { break };
        let queue = MessageQueue { topic, broker: Arc::clone(broker), id: record.queue_id };
        let end = at + record.len;
        found.extend(Received::read(&bytes.slice(at..end), &queue));
        at = end;
    }
    found
}

#[cfg(test)]
mod tests {
    use ferromq_model::message::iter_properties;

    use super::*;

    #[test]
    fn a_copy_keeps_what_its_producer_said_and_not_how_it_travelled() {
        let properties = [("KEYS", "k"), ("DELAY", "3"), ("colour", "blue"), ("POP_CK", "1 2 3"), ("", "x")];
        let copy = Copy::new("body", 7, Timestamp(1), properties);
        let kept: Vec<_> = iter_properties(&copy.properties).collect();
        assert_eq!(kept, [("KEYS", "k"), ("colour", "blue")]);
    }
}
