//! Messages on their way into the log: encoded outside of any lock, placed under the append lock.

use std::sync::Arc;

use ferromq_model::light;
use ferromq_model::message::{SysFlag, TagsCode, iter_properties, property};
use ferromq_model::record::NewRecord;
use ferromq_model::{Millis, PhysicalOffset, QueueOffset, Timestamp, TopicName};

use crate::queue::Queue;
use crate::queue_file::QueueEntry;
use crate::watch::ToTell;

/// What a consume-queue entry says about a message's tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryTag {
    /// The hash of its tag.
    Tags(TagsCode),
    /// When it is due, counted from the time it is stored: entries of the schedule topic carry their delivery time.
    DueAfter(Millis),
}

/// What a message can be found by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageKeys<'a> {
    /// The client's id of it.
    pub unique: Option<&'a str>,
    /// Keys, with blanks between.
    pub keys: Option<&'a str>,
}

impl<'a> MessageKeys<'a> {
    /// What a property string says; the last one counts where a sender gave several.
    #[must_use]
    pub fn of(properties: &'a str) -> Self {
        let mut found = Self::default();
        for (name, value) in iter_properties(properties) {
            match name {
                property::UNIQUE_KEY => found.unique = Some(value),
                property::KEYS => found.keys = Some(value),
                _ => {}
            }
        }
        found
    }

    /// Each of them, the unique key first.
    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        self.unique.into_iter().chain(self.keys.unwrap_or_default().split(' ').filter(|key| !key.is_empty()))
    }
}

/// Messages that are appended together. Reused from append to append, so that its buffers are allocated once.
#[derive(Default)]
pub struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) placed: Vec<Placed>,
    /// The same without records that are no message of their own, if there are such.
    listed: Vec<Placed>,
    unlisted: usize,
    /// Hashes for the index, with the message that each belongs to, in order.
    pub(crate) key_hashes: Vec<(u32, u32)>,
    /// Queues whose watchers are told behind the append.
    pub(crate) arrived: ToTell,
}

pub(crate) struct Waiting {
    /// First byte in `Batch::bytes`; the record ends where the next one starts.
    pub(crate) at: usize,
    pub(crate) queue: Arc<Queue>,
    pub(crate) tag: EntryTag,
    /// What few messages have.
    pub(crate) further: Option<Box<Further>>,
    /// Whether it is no message of its own.
    unlisted: bool,
}

/// Queues that a message is in beside its own.
pub(crate) struct Further {
    pub(crate) queues: Arc<[Arc<Queue>]>,
    /// The first so many must be there for the message to be stored.
    pub(crate) needed: usize,
    /// One past its place in each, once it has one.
    pub(crate) ends: Vec<Option<QueueOffset>>,
}

impl Further {
    /// Gives the message, whose record is to end with room for them, its places. `dirty` hears of queues that the
    /// writer does not know of.
    pub(crate) fn place(&mut self, entry: QueueEntry, record: &mut [u8], mut dirty: impl FnMut(&Arc<Queue>)) {
        self.ends.clear();
        for (i, queue) in self.queues.iter().enumerate() {
            // Who names a queue twice means one place in it.
            let end = match self.queues[..i].iter().position(|before| Arc::ptr_eq(before, queue)) {
                Some(before) => self.ends[before],
                None if queue.is_retired() => None,
                None => {
                    let pushed = queue.push(entry);
                    if pushed.newly_dirty {
                        dirty(queue);
                    }
                    Some(pushed.offset.plus(1))
                }
            };
            self.ends.push(end);
        }
        let room = record.len() - light::reserved_len(self.queues.len());
        light::write_places(&mut record[room..], self.places());
    }

    fn places(&self) -> impl Iterator<Item = Option<QueueOffset>> {
        self.ends.iter().map(|end| end.map(|end| QueueOffset(end.0 - 1)))
    }
}

/// Where a message of a batch came to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Which message of its queue it is.
    pub queue_offset: QueueOffset,
    /// Where its record starts in the log.
    pub physical: PhysicalOffset,
    /// Where its record ends: flushed up to here, it is safe.
    pub end: PhysicalOffset,
    /// When it was stored.
    pub stored: Timestamp,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one message for `queue`; `record` names the same topic and queue id.
    pub fn push(&mut self, queue: Arc<Queue>, record: &NewRecord<'_>, tag: EntryTag) {
        let mut keys = MessageKeys::default();
        // Pieces hold whole properties.
        for piece in record.properties {
            let more = MessageKeys::of(piece);
            keys = MessageKeys { unique: more.unique.or(keys.unique), keys: more.keys.or(keys.keys) };
        }
        self.push_with_keys(queue, record, tag, keys);
    }

    /// Makes the message added last one of `queues` as well. Its properties must end with what [`light::reserve`] makes for
    /// so many. If one of the first `needed` is deleted by the time of the append, the message is not stored; of the
    /// others, it is in those that are left.
    pub fn dispatch_last(&mut self, queues: impl Into<Arc<[Arc<Queue>]>>, needed: usize) {
        let queues = queues.into();
        debug_assert!(!queues.is_empty() && queues.len() <= light::MAX_FURTHER_QUEUES);
        if let Some(last) = self.waiting.last_mut() {
            last.further = Some(Box::new(Further { queues, needed, ends: Vec::new() }));
        }
    }

    /// As [`Batch::push`], for who knows the keys that the properties hold.
    pub fn push_with_keys(
        &mut self,
        queue: Arc<Queue>,
        record: &NewRecord<'_>,
        tag: EntryTag,
        keys: MessageKeys<'_>,
    ) {
        debug_assert!(record.topic == queue.topic().as_str() && record.queue_id == queue.id());
        if record.sys_flag.0 & SysFlag::TRANSACTION_MASK != SysFlag::TRANSACTION_ROLLBACK {
            let message = self.waiting.len() as u32;
            let mut add = |key| self.key_hashes.push((message, queue.key_hash().of_key(key)));
            keys.unique.into_iter().for_each(&mut add);
            if let Some(keys) = keys.keys {
                keys.split(' ').filter(|key| !key.is_empty()).for_each(add);
            }
        }
        self.waiting.push(Waiting { at: self.bytes.len(), queue, tag, further: None, unlisted: false });
        record.encode(&mut self.bytes);
    }

    /// Adds a record that is no message of its own but goes along with the one that is added next: it is stored, and
    /// neither counted nor listed. It cannot be found by keys.
    pub fn push_unlisted(&mut self, queue: Arc<Queue>, record: &NewRecord<'_>, tag: EntryTag) {
        self.push_with_keys(queue, record, tag, MessageKeys::default());
        self.waiting.iter_mut().last().into_iter().for_each(|last| last.unlisted = true);
        self.unlisted += 1;
    }

    /// Messages in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len() - self.unlisted
    }

    /// Whether it has no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Bytes that its records take.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Where its messages lie, in their order, after an append. Shorter than the batch if the append failed: what is
    /// listed is stored, the rest is not.
    #[must_use]
    pub fn placed(&self) -> &[Placed] {
        if self.unlisted == 0 { &self.placed } else { &self.listed }
    }

    /// Lists what an append placed.
    pub(crate) fn list(&mut self) {
        if self.unlisted > 0 {
            let all = self.waiting.iter().zip(&self.placed);
            self.listed = all.filter(|(waiting, _)| !waiting.unlisted).map(|(_, placed)| *placed).collect();
        }
    }

    /// The topic of a message of it, counted from 0.
    #[must_use]
    pub fn topic_of(&self, message: usize) -> Option<&TopicName> {
        let mut listed = self.waiting.iter().filter(|waiting| !waiting.unlisted);
        listed.nth(message).map(|waiting| waiting.queue.topic())
    }

    /// Empties it for the next messages.
    pub fn clear(&mut self) {
        /// A buffer that one large batch blew up is given back.
        const KEPT: usize = 1 << 20;
        self.waiting.clear();
        self.placed.clear();
        self.listed.clear();
        self.unlisted = 0;
        self.key_hashes.clear();
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
    }

    /// Where record `i` ends in `bytes`.
    pub(crate) fn end_of(&self, i: usize) -> usize {
        self.waiting.get(i + 1).map_or(self.bytes.len(), |next| next.at)
    }
}
