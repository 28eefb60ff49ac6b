//! Looking at messages without consuming them: by queue and offset, by time, by key, by id.
//!
//! Nothing here moves a group, nor brings a queue into being that was never used. Messages come from the log, which may
//! have to be read from disk: callers are not on an async thread.

use std::collections::BinaryHeap;
use std::sync::Arc;

use bytes::Bytes;
use ferromq_model::message::{MessageId, find_property, property};
use ferromq_model::record::Record;
use ferromq_model::{QueueId, QueueOffset, Timestamp};
use ferromq_store::Queue;

use crate::broker::Broker;
use crate::topics::Topic;

/// How much one look shows.
#[derive(Clone, Copy, Debug)]
pub struct BrowseLimit {
    /// Messages.
    pub messages: usize,
    /// Bytes of stored records; the first message is shown whatever its size.
    pub bytes: usize,
}

/// Where a look at a queue begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrowseFrom {
    /// At this message, or the oldest if that is newer.
    Offset(QueueOffset),
    /// At the first message stored at or after this time.
    Time(Timestamp),
    /// So that the newest message is the last one shown.
    End,
}

/// Stored messages, as they lie in one queue.
#[derive(Debug)]
pub struct Browsed {
    /// The stored records, in queue order.
    pub records: Vec<Bytes>,
    /// Where to go on.
    pub next: QueueOffset,
    /// The oldest message of the queue.
    pub min: QueueOffset,
    /// One past its newest.
    pub max: QueueOffset,
}

/// Messages collected up to a limit.
struct Collected {
    records: Vec<Bytes>,
    limit: BrowseLimit,
    bytes: usize,
}

impl Collected {
    fn new(limit: BrowseLimit) -> Self {
        Self { records: Vec::new(), limit, bytes: 0 }
    }

    /// Whether there was room for it.
    fn take(&mut self, record: Bytes) -> bool {
        let bytes = self.bytes.saturating_add(record.len());
        let fits = self.records.is_empty() || bytes <= self.limit.bytes;
        if self.records.len() >= self.limit.messages || !fits {
            return false;
        }
        self.bytes = bytes;
        self.records.push(record);
        true
    }
}

impl Broker {
    /// Messages of one queue in their order. `None` if the topic has no such queue.
    #[must_use]
    pub fn browse(
        &self,
        topic: &Topic,
        id: QueueId,
        from: BrowseFrom,
        limit: BrowseLimit,
    ) -> Option<Browsed> {
        let empty = QueueOffset::ZERO;
        let Some(queue) = self.store().find_queue(topic.name().as_str(), id) else {
            let nothing = Browsed { records: Vec::new(), next: empty, min: empty, max: empty };
            return (id.0 < topic.queue_count()).then_some(nothing);
        };
        let (min, max) = (queue.min(), queue.max());
        let mut at = match from {
            BrowseFrom::Offset(offset) => offset,
            BrowseFrom::Time(time) => self.store().first_at_or_after(&queue, time),
            BrowseFrom::End => QueueOffset(max.0.saturating_sub(limit.messages as u64)),
        };
        at = at.clamp(min, max);
        let mut collected = Collected::new(limit);
        while at < max && collected.records.len() < limit.messages {
            // What is gone meanwhile, or damaged, is passed over.
            if let Some(record) = self.message_at(&queue, at)
                && !collected.take(record)
            {
                break;
            }
            at = at.plus(1);
        }
        Some(Browsed { records: collected.records, next: at, min, max })
    }

    /// The newest messages of a topic over all its queues that were stored in `[from, upto]`, newest first.
    #[must_use]
    pub fn newest(&self, topic: &str, from: Timestamp, upto: Timestamp, limit: BrowseLimit) -> Vec<Bytes> {
        struct Cursor {
            queue: Arc<Queue>,
            /// The oldest message that counts.
            least: QueueOffset,
            at: QueueOffset,
            record: Bytes,
        }
        let older = |queue: &Arc<Queue>, least: QueueOffset, end: QueueOffset| {
            let mut end = end;
            while end > least {
                let at = QueueOffset(end.0 - 1);
                if let Some(record) = self.message_at(queue, at)
                    && let Ok(stored) = Record::decode(&record).map(|record| record.stored)
                {
                    return Some((stored, Cursor { queue: Arc::clone(queue), least, at, record }));
                }
                end = at;
            }
            None
        };
        let mut cursors = Vec::new();
        let mut order = BinaryHeap::new();
        for queue in self.store().queues_of(topic) {
            let least = match from {
                Timestamp::ZERO => queue.min(),
                from => self.store().first_at_or_after(&queue, from),
            };
            let end = match upto.0.checked_add(1) {
                Some(after) => self.store().first_at_or_after(&queue, Timestamp(after)),
                None => queue.max(),
            };
            if let Some((stored, cursor)) = older(&queue, least, end) {
                order.push((stored, cursors.len()));
                cursors.push(Some(cursor));
            }
        }
        let mut collected = Collected::new(limit);
        while let Some((_, index)) = order.pop() {
            let Some(cursor) = cursors[index].take() else { continue };
            if !collected.take(cursor.record) {
                break;
            }
            if let Some((stored, next)) = older(&cursor.queue, cursor.least, cursor.at) {
                order.push((stored, index));
                cursors[index] = Some(next);
            }
        }
        collected.records
    }

    /// Messages of a topic that carry `key` and were stored in `[from, upto]`, newest first, as far as the index goes.
    #[must_use]
    pub fn by_key(
        &self,
        topic: &str,
        key: &str,
        from: Timestamp,
        upto: Timestamp,
        limit: BrowseLimit,
    ) -> Vec<Bytes> {
        let mut found = self.store().find_by_key(topic, key, from, upto, limit.messages);
        let place =
            |bytes: &Bytes| Record::decode(bytes).ok().map(|record| (record.stored, record.physical_offset));
        found.sort_by_cached_key(|bytes| std::cmp::Reverse(place(bytes)));
        let mut collected = Collected::new(limit);
        for record in found {
            if !collected.take(record) {
                break;
            }
        }
        collected.records
    }

    /// The message that lies where the id says, if it is this broker's and one does.
    #[must_use]
    pub fn at_place(&self, id: MessageId) -> Option<Bytes> {
        if id.host != self.store_host() {
            return None;
        }
        let bytes = self.store().record_at(id.offset)?;
        let record = Record::decode(&bytes).ok()?;
        // A place within a message may look like one, and then hold whatever its sender wrote there.
        let queue = self.store().find_queue(record.topic, record.queue_id)?;
        (queue.physical(record.queue_offset) == Some(id.offset)).then_some(bytes)
    }

    /// The message of a topic that has this id: that of its place, or the one that its sender gave it.
    #[must_use]
    pub fn by_id(&self, topic: &str, id: &str) -> Option<Bytes> {
        let is_of_topic = |bytes: &Bytes| Record::decode(bytes).is_ok_and(|record| record.topic == topic);
        let placed = MessageId::parse(id).and_then(|id| self.at_place(id)).filter(is_of_topic);
        placed.or_else(|| {
            let has_id = |bytes: &Bytes| {
                Record::decode(bytes)
                    .is_ok_and(|record| find_property(record.properties, property::UNIQUE_KEY) == Some(id))
            };
            let any = (Timestamp::ZERO, Timestamp(i64::MAX));
            let found = self.store().find_by_key(topic, id, any.0, any.1, usize::MAX);
            found.into_iter().find(has_id)
        })
    }

    /// The message at an offset of a queue, if it is there.
    pub(crate) fn message_at(&self, queue: &Queue, at: QueueOffset) -> Option<Bytes> {
        self.store().record_at(queue.physical(at)?)
    }
}
