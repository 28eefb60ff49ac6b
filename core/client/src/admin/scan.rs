//! Reading a whole topic, queue after queue, so that it can be stopped and gone on with.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferromq_model::{QueueOffset, TopicName};
use serde::{Deserialize, Serialize};

use super::messages::Span;
use super::{Admin, AdminError, BrokerNode};
use crate::queue::MessageQueue;
use crate::received::Received;

/// Messages that are asked for at once.
const AT_ONCE: u32 = 32;

/// Where a scan goes on: the next message of each queue, by `broker:queue`. A queue that is not in it is begun at its
/// start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor(BTreeMap<String, u64>);

impl Cursor {
    fn key(queue: &MessageQueue) -> String {
        format!("{}:{}", queue.broker, queue.id)
    }

    /// The next message of a queue, if it is known.
    #[must_use]
    pub fn next_of(&self, queue: &MessageQueue) -> Option<QueueOffset> {
        self.0.get(&Self::key(queue)).copied().map(QueueOffset)
    }

    /// Notes that a queue is read up to `next`.
    pub fn note(&mut self, queue: &MessageQueue, next: QueueOffset) {
        self.0.insert(Self::key(queue), next.0);
    }
}

/// A topic that is being read, as far as it was written when the reading began.
#[derive(Debug)]
pub struct Scan {
    admin: Admin,
    span: Span,
    /// What is left, the next queue last.
    left: Vec<Left>,
    cursor: Cursor,
    total: u64,
}

#[derive(Debug)]
struct Left {
    queue: MessageQueue,
    addr: Arc<str>,
    next: QueueOffset,
    end: QueueOffset,
}

impl Admin {
    /// Begins to read a topic, or goes on where a cursor says: messages stored in a span of time.
    ///
    /// # Errors
    /// [`AdminError`]: every broker of the topic has to say where its queues begin and end.
    pub async fn scan(&self, topic: &str, span: Span, cursor: Cursor) -> Result<Scan, AdminError> {
        let topic = TopicName::new(topic)?;
        let masters = self.masters_of(&topic).await?;
        let readable = self.fresh_route(&topic).await?.readable.clone();
        let mut left = Vec::new();
        for queue in readable.iter().rev() {
            let Some(node) = masters.iter().find(|node| node.name == queue.broker) else { continue };
            let (first, end) = self.span_of(node, queue, span).await?;
            let next = cursor.next_of(queue).map_or(first, |next| next.max(first));
            if next < end {
                left.push(Left { queue: queue.clone(), addr: Arc::clone(&node.addr), next, end });
            }
        }
        let total = left.iter().map(|left| left.end.since(left.next)).sum();
        Ok(Scan { admin: self.clone(), span, left, cursor, total })
    }

    /// The part of a queue that was stored in a span of time: its first message, and behind its last.
    async fn span_of(
        &self,
        node: &BrokerNode,
        queue: &MessageQueue,
        span: Span,
    ) -> Result<(QueueOffset, QueueOffset), AdminError> {
        let (min, max) = self.bounds(node, queue).await?;
        let whole = Span::default();
        let first = match span.begin == whole.begin {
            true => min,
            false => self.search(node, queue, span.begin).await?.max(min),
        };
        let end = match span.end == whole.end {
            true => max,
            // Old brokers only know the first message of a time or later: that of the time behind the span's.
            false => {
                let behind = ferromq_model::Timestamp(span.end.0.saturating_add(1));
                self.search(node, queue, behind).await?.min(max)
            }
        };
        Ok((first, end))
    }
}

impl Scan {
    /// The next messages, all of one queue; none when everything is read.
    ///
    /// # Errors
    /// [`AdminError`]; the same messages are read by the next call.
    pub async fn next(&mut self) -> Result<Option<Vec<Received>>, AdminError> {
        while let Some(left) = self.left.last_mut() {
            let wanted = u32::try_from(left.end.since(left.next)).unwrap_or(AT_ONCE).min(AT_ONCE);
            let part = self.admin.pull(&left.addr, &left.queue, left.next, wanted).await?;
            // A broker that hands out nothing and does not go on either has nothing more.
            let stuck = part.messages.is_empty() && part.next <= left.next;
            left.next = if stuck { left.end } else { part.next };
            self.cursor.note(&left.queue, left.next.min(left.end));
            let end = left.end;
            let messages: Vec<_> = part
                .messages
                .into_iter()
                .filter(|message| message.queue_offset() < end && self.span.contains(message.stored()))
                .collect();
            if left.next >= end {
                self.left.pop();
            }
            if !messages.is_empty() {
                return Ok(Some(messages));
            }
        }
        Ok(None)
    }

    /// Where to go on behind what was read so far.
    #[must_use]
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// How many messages there were to read when the scan began, at most.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many of them are left, at most.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left.iter().map(|left| left.end.since(left.next)).sum()
    }
}
