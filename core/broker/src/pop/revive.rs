//! Reading the revive topic, and storing messages again whose time is over.
//!
//! The copy of a message lies in the retry topic, with one redelivery more; the record that ends its check point is part
//! of the same append, so that a crash leaves both or comes before.

use std::sync::Arc;

use ferromq_model::filter::MessageFilter;
use ferromq_model::message::{MAX_PROPERTIES_LEN, TagsCode, find_property, property, push_property};
use ferromq_model::record::{NewRecord, Record};
use ferromq_model::topic::TopicConfig;
use ferromq_model::{Millis, PhysicalOffset, QueueId, QueueOffset, Timestamp, TopicName};
use ferromq_store::{AppendError, Batch, EntryTag, Queue, Read, ReadError, ReadLimit};

use super::index::{Index, Key, MAX_POINTS, Point};
use super::record::{CheckPoint, Entry, Target};
use super::settle::{DONE_GROUP, READ_GROUP, Round};
use super::take::records_of;
use crate::broker::Broker;
use crate::topics::{Topic, TopicError};

/// How long acknowledgements may come behind a check point that came by the timers: the second that a Java broker puts
/// between them, and two steps of the timers.
const BEHIND_TIMERS: Millis = Millis(3000);
/// Bytes that are stored again by one append.
const STORED_TOGETHER: usize = 1 << 20;

/// What is open of the revive topic.
pub(super) struct Revive {
    pub(super) queues: Vec<ReviveQueue>,
    pub(super) index: Index,
    pub(super) round: Option<Round>,
}

/// One queue of the revive topic.
pub(super) struct ReviveQueue {
    queue: Arc<Queue>,
    /// The next record to read.
    pub(super) next: QueueOffset,
}

/// Messages cannot be stored again for now; they stay due.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Topic(#[from] TopicError),
}

impl Revive {
    pub(super) fn new(queues: Vec<Arc<Queue>>) -> Self {
        let queues = queues.into_iter().map(|queue| ReviveQueue { queue, next: QueueOffset::ZERO }).collect();
        Self { queues, index: Index::default(), round: None }
    }

    /// The revive topic.
    pub(super) fn topic(&self) -> &str {
        self.queues[0].queue.topic().as_str()
    }

    /// Whether as many check points are open as may.
    pub(super) fn is_full(&self) -> bool {
        self.index.waiting() >= MAX_POINTS
    }

    pub(super) fn open_messages(&self) -> u64 {
        self.index.open_messages()
    }

    pub(super) fn forget(&mut self, gone: impl Fn(&str, &str) -> bool) {
        self.index.forget(gone);
    }

    /// Reads what a start needs, and raises the positions of groups to what they were when the broker stopped.
    pub(super) fn replay(&mut self, broker: &Broker) {
        let topic = self.topic().to_owned();
        let began = broker.store().now();
        let mut records = 0;
        for id in 0..self.queues.len() {
            let at = |group| broker.offsets().find(group, &topic, QueueId(id as u32));
            let first = at(DONE_GROUP).map_or(QueueOffset::ZERO, |done| done.plus(1));
            let raise_from = at(READ_GROUP).unwrap_or(QueueOffset::ZERO).max(first);
            let queue = &mut self.queues[id];
            queue.next = first.max(queue.queue.min()).min(queue.queue.max());
            let from = queue.next;
            self.read_queue(broker, id, |broker, at, physical, point| {
                if at >= raise_from {
                    raise_position(broker, physical, point);
                }
            });
            records += self.queues[id].next.since(from);
        }
        if records > 0 {
            let took = broker.store().now().since(began);
            let (open, messages) = (self.index.len(), self.index.open_messages());
            tracing::info!(records, open, messages, %took, "read what was popped before the start");
        }
    }

    /// Reads what is new.
    pub(super) fn read_on(&mut self, broker: &Broker) {
        for id in 0..self.queues.len() {
            self.read_queue(broker, id, |_, _, _, _| {});
        }
    }

    fn read_queue(
        &mut self,
        broker: &Broker,
        id: usize,
        check_point: impl Fn(&Broker, QueueOffset, PhysicalOffset, &CheckPoint<'_>),
    ) {
        let limit = ReadLimit { messages: u32::MAX, bytes: usize::MAX };
        // A full index reads no further until some are due: acknowledgements lie behind, but so do check points without end.
        while !self.is_full() {
            let queue = &mut self.queues[id];
            let found = match broker.store().read(&queue.queue, queue.next, limit, &MessageFilter::All) {
                Ok(Read::Found(found)) => found,
                Ok(Read::NoMatch { next }) => {
                    queue.next = next;
                    continue;
                }
                Ok(Read::Before { min }) => {
                    tracing::error!(from = %queue.next, to = %min, queue = id, "log files with check points were deleted: what they hand out is not handed out again");
                    queue.next = min;
                    continue;
                }
                Ok(Read::AtEnd | Read::Empty | Read::Beyond { .. }) => return,
                Err(error) => {
                    tracing::warn!(%error, queue = id, "the revive topic cannot be read for now");
                    return;
                }
            };
            queue.next = found.next;
            for record in records_of(&found.records) {
                let tag = find_property(record.properties, property::TAGS).unwrap_or_default();
                match Entry::decode(tag, record.body) {
                    Some(Ok(Entry::Popped(point))) => {
                        check_point(broker, record.queue_offset, record.physical_offset, &point);
                        let (at, physical) = (record.queue_offset, record.physical_offset);
                        self.index.add(id as u32, at, physical, &point, earliest(&record));
                    }
                    Some(Ok(Entry::Acked(acks))) => self.index.ack(&acks),
                    Some(Err(error)) => {
                        tracing::warn!(at = %record.queue_offset, queue = id, %error, "a record of the revive topic is not readable and is passed over");
                    }
                    None => {}
                }
            }
        }
    }

    /// Stores messages again whose time was over at `now`.
    pub(super) fn store_due(&mut self, broker: &Broker, now: Timestamp) {
        let mut batch = Batch::new();
        // Of each check point: how many records the batch has with its last one.
        let mut ends: Vec<(Key, usize)> = Vec::new();
        while let Some((key, point)) = self.index.first_due(now) {
            match push_copies(broker, &key, &point, &mut batch, now) {
                Ok(true) => {
                    // Out of the way; back if the append fails.
                    self.index.set_revived(&key);
                    note_done(broker, &key, &point);
                    ends.push((key, batch.len()));
                }
                Ok(false) => {
                    self.index.remove(&key);
                    note_done(broker, &key, &point);
                }
                Err(error) => {
                    tracing::warn!(topic = key.topic(), group = key.group(), %error, "messages that were not acknowledged cannot be handed out again for now");
                    break;
                }
            }
            if batch.byte_len() >= STORED_TOGETHER && !self.append(broker, &mut batch, &mut ends) {
                return;
            }
        }
        self.append(broker, &mut batch, &mut ends);
    }

    /// Appends copies. Those that are refused stay due.
    fn append(&mut self, broker: &Broker, batch: &mut Batch, ends: &mut Vec<(Key, usize)>) -> bool {
        if batch.is_empty() {
            return true;
        }
        let outcome = broker.store().append(batch);
        let stored = batch.placed().len();
        for (key, end) in ends.drain(..) {
            if end > stored {
                self.index.set_due(&key);
            }
        }
        batch.clear();
        if let Err(error) = &outcome {
            tracing::warn!(%error, "messages that were not acknowledged cannot be handed out again for now");
        }
        outcome.is_ok()
    }
}

/// Its messages are not out any more.
fn note_done(broker: &Broker, key: &Key, point: &Point) {
    let messages = point.open(key.start()).count() as u32;
    broker.pops().note_done(broker, target_of(key), messages);
}

fn target_of(key: &Key) -> Target<'_> {
    Target {
        group: key.group(),
        topic: key.topic(),
        queue: key.queue(),
        start: key.start(),
        popped: key.popped(),
    }
}

/// Adds copies of a check point's open messages to the batch, and the record that ends it. No if there is nothing that
/// could come again.
fn push_copies(
    broker: &Broker,
    key: &Key,
    point: &Point,
    batch: &mut Batch,
    now: Timestamp,
) -> Result<bool, Refused> {
    let Some(topic) = broker.topics().find(key.topic()) else { return Ok(false) };
    if broker.groups().find(key.group()).is_none() {
        return Ok(false);
    }
    let Some(queue) = topic.queue(broker.store(), key.queue()) else { return Ok(false) };
    let mut pushed = Vec::new();
    let mut retry: Option<Arc<Topic>> = None;
    for offset in point.open(key.start()) {
        let limit = ReadLimit { messages: 1, bytes: usize::MAX };
        let found = match broker.store().read(queue, offset, limit, &MessageFilter::All)? {
            Read::Found(found) => found,
            // Deleted with its log file.
            Read::NoMatch { .. } | Read::Before { .. } | Read::AtEnd | Read::Beyond { .. } | Read::Empty => {
                continue;
            }
        };
        let Some(record) = records_of(&found.records).next() else { continue };
        // What was stored behind the check point is another message: the topic was deleted and made anew.
        if record.queue_offset != offset || record.physical_offset >= point.physical {
            continue;
        }
        let retry = match &retry {
            Some(retry) => retry,
            None => retry.insert(retry_topic(broker, key)?),
        };
        push_copy(broker, retry, key, &record, batch);
        pushed.push(offset);
    }
    if pushed.is_empty() {
        return Ok(false);
    }
    // All of them: what is not there any more is done, too.
    let done: Vec<_> = point.open(key.start()).collect();
    let queue = broker.pops().queue(point.revive_queue);
    target_of(key).acked(broker, &done).push(broker, queue, batch, now);
    Ok(true)
}

/// The topic that the messages come again in.
fn retry_topic(broker: &Broker, key: &Key) -> Result<Arc<Topic>, TopicError> {
    let name = TopicName::new(key.topic()).and_then(|name| match name.retry_group() {
        Some(_) => Ok(name),
        None => TopicName::pop_retry_of(key.group(), key.topic(), broker.config().retry_topic_v2),
    })?;
    let text = name.to_string();
    if let Some(topic) = broker.topics().find(&text) {
        return Ok(topic);
    }
    tracing::info!(topic = text, "creating the topic where popped messages come again");
    broker.topics().find_or_put(&text, || TopicConfig::new(name, 1))
}

fn push_copy(broker: &Broker, retry: &Topic, key: &Key, record: &Record<'_>, batch: &mut Batch) {
    // Also where an operator took the topic's queues away: nobody reads it then, but it is there.
    let queue = broker.store().queue(retry.name(), QueueId(0));
    let mut properties = record.properties.to_owned();
    if find_property(&properties, property::FIRST_POP_TIME).is_none() {
        push_property(&mut properties, property::FIRST_POP_TIME, &key.popped().to_string());
    }
    let fits = properties.len() <= MAX_PROPERTIES_LEN;
    let properties = [if fits { &*properties } else { record.properties }];
    let copy = NewRecord {
        born_host: broker.store_host(),
        store_host: broker.store_host(),
        reconsume_times: record.reconsume_times.saturating_add(1),
        prepared_offset: PhysicalOffset::ZERO,
        ..NewRecord::copy_of(record, retry.name().as_str(), QueueId(0), &properties)
    };
    let tags = TagsCode::of(find_property(record.properties, property::TAGS));
    batch.push(queue, &copy, EntryTag::Tags(tags));
}

/// When a check point may be due: one that a Java broker left to the timers comes a second before its acknowledgements,
/// and both may have been waiting for us to start.
fn earliest(record: &Record<'_>) -> Timestamp {
    match find_property(record.properties, property::TIMER_OUT_MS) {
        Some(_) => record.stored.plus(BEHIND_TIMERS),
        None => Timestamp::ZERO,
    }
}

/// Moves a group's position behind what a check point hands out, if it hands out messages of this very queue: a topic of
/// the same name may have been deleted since.
fn raise_position(broker: &Broker, physical: PhysicalOffset, point: &CheckPoint<'_>) {
    let id = QueueId(point.queue);
    let next = point.next();
    let Some(queue) = broker.queue(&point.topic, id) else { return };
    let Some(last) = next.0.checked_sub(1).map(QueueOffset) else { return };
    if broker.groups().find(&point.group).is_none()
        || queue.physical(last).is_none_or(|message| message >= physical)
    {
        return;
    }
    let offsets = broker.offsets();
    if offsets.find(&point.group, &point.topic, id).is_none_or(|known| known < next) {
        offsets.commit(&point.group, &point.topic, id, next);
    }
}

impl Broker {
    /// Reads what was popped before the start. Nothing may be popped before.
    pub(crate) fn replay_pops(&self) {
        self.pops().revive.lock().replay(self);
    }
}
