//! One consume queue: which messages of the log belong to one queue of one topic, in order.
//!
//! ```text
//! files (written)              tail (in memory, written within a second)
//! | e0 | e1 | .. | e99 |       | e100 | e101 | e102 | e103 |
//!   ^ min                        ^ tail.first   ^ visible     ^ next
//! ```
//! Always true:
//! * `min <= visible <= next`, and an entry below `visible` never changes;
//! * consumers see entries below `visible` only. With sync flush it follows the flushed part of the log, so that no
//!   consumer acts on a message that a power cut takes back;
//! * the append lock orders pushes; the queue's own lock is held for a few instructions only.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ferromq_model::message::TagsCode;
use ferromq_model::{PhysicalOffset, QueueId, QueueOffset, TopicName};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::queue_file::{OpenFiles, QueueEntry, QueueFiles};

/// A consume queue. Handles share it.
pub struct Queue {
    topic: TopicName,
    id: QueueId,
    min: AtomicU64,
    visible: AtomicU64,
    tail: Mutex<Tail>,
    arrived: Notify,
    /// Set once when the topic is deleted: nothing is appended from then on.
    retired: AtomicBool,
    files: QueueFiles,
}

/// Entries that are not in the files yet.
#[derive(Default)]
struct Tail {
    first: u64,
    entries: Vec<QueueEntry>,
    /// Whether the writer has been told.
    listed: bool,
    /// Below this, files are flushed.
    synced: u64,
}

impl Tail {
    fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} {}..{}", self.topic, self.id, self.min(), self.max())
    }
}

/// What a push found out.
pub(crate) struct Pushed {
    pub(crate) offset: QueueOffset,
    /// Whether the writer does not know of the queue yet.
    pub(crate) newly_dirty: bool,
}

impl Queue {
    pub(crate) fn new(
        topic: TopicName,
        id: QueueId,
        root: &std::path::Path,
        file_len: u64,
        open: Arc<OpenFiles>,
    ) -> Self {
        let dir = root.join(topic.as_str()).join(id.to_string());
        Self {
            topic,
            id,
            min: AtomicU64::new(0),
            visible: AtomicU64::new(0),
            tail: Mutex::default(),
            arrived: Notify::new(),
            retired: AtomicBool::new(false),
            files: QueueFiles::new(dir, file_len, open),
        }
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// The queue's number within the topic.
    #[must_use]
    pub fn id(&self) -> QueueId {
        self.id
    }

    /// The oldest message there is; equal to [`Queue::max`] when there is none.
    #[must_use]
    pub fn min(&self) -> QueueOffset {
        QueueOffset(self.min.load(Ordering::Acquire))
    }

    /// One past the newest message that consumers may see.
    #[must_use]
    pub fn max(&self) -> QueueOffset {
        QueueOffset(self.visible.load(Ordering::Acquire))
    }

    /// One past the newest message appended, visible or not.
    #[must_use]
    pub fn next(&self) -> QueueOffset {
        QueueOffset(self.tail.lock().next())
    }

    /// Waits until a message at `from` or behind it may be seen. Cancel safe.
    pub async fn wait_beyond(&self, from: QueueOffset) {
        loop {
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            // Enabled before the look, so that an arrival between the look and the wait is not missed.
            arrived.as_mut().enable();
            if self.max() > from || self.is_retired() {
                return;
            }
            arrived.await;
        }
    }

    /// The tags code of the message at `at`; `None` if it is not there.
    #[must_use]
    pub fn tags_code(&self, at: QueueOffset) -> Option<TagsCode> {
        self.message_entry(at).map(|entry| entry.tags)
    }

    /// Where the record of the message at `at` starts; `None` if it is not there.
    #[must_use]
    pub fn physical(&self, at: QueueOffset) -> Option<PhysicalOffset> {
        self.message_entry(at).map(|entry| entry.physical)
    }

    fn message_entry(&self, at: QueueOffset) -> Option<QueueEntry> {
        self.entry(at).ok().flatten().filter(|entry| !entry.is_filler())
    }

    /// Whether the topic was deleted.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        self.arrived.notify_waiters();
    }

    pub(crate) fn files(&self) -> &QueueFiles {
        &self.files
    }

    /// Adds the next entry; the holder of the append lock decides the order.
    pub(crate) fn push(&self, entry: QueueEntry) -> Pushed {
        let mut tail = self.tail.lock();
        let offset = QueueOffset(tail.next());
        tail.entries.push(entry);
        let newly_dirty = !std::mem::replace(&mut tail.listed, true);
        Pushed { offset, newly_dirty }
    }

    /// Lets consumers see everything below `upto`, and wakes who waits.
    pub(crate) fn publish(&self, upto: QueueOffset) {
        self.visible.fetch_max(upto.0, Ordering::AcqRel);
        self.arrived.notify_waiters();
    }

    pub(crate) fn set_min(&self, min: QueueOffset) {
        self.min.fetch_max(min.0, Ordering::AcqRel);
    }

    /// Sets where the queue stands, before anything is appended.
    pub(crate) fn restore(&self, min: QueueOffset, next: QueueOffset) {
        let mut tail = self.tail.lock();
        *tail = Tail { first: next.0, synced: next.0, ..Tail::default() };
        self.min.store(min.0, Ordering::Release);
        self.visible.store(next.0, Ordering::Release);
    }

    /// Up to `max` visible entries from `from` on. Fewer only at the end, or where files were lost.
    pub(crate) fn entries(&self, from: QueueOffset, max: usize) -> io::Result<Vec<QueueEntry>> {
        let visible = self.visible.load(Ordering::Acquire);
        let max = max.min(visible.saturating_sub(from.0) as usize);
        let first_in_memory = {
            let tail = self.tail.lock();
            if from.0 >= tail.first {
                let start = (from.0 - tail.first) as usize;
                let end = (start + max).min(tail.entries.len());
                return Ok(tail.entries.get(start..end).unwrap_or_default().to_vec());
            }
            tail.first
        };
        // Entries below `first_in_memory` are in the files: it moves only after they were written.
        self.files.read(from, max.min((first_in_memory - from.0) as usize))
    }

    /// The entry at `at`, visible or not.
    pub(crate) fn entry(&self, at: QueueOffset) -> io::Result<Option<QueueEntry>> {
        let in_memory = {
            let tail = self.tail.lock();
            (at.0 >= tail.first).then(|| tail.entries.get((at.0 - tail.first) as usize).copied())
        };
        match in_memory {
            Some(entry) => Ok(entry),
            None => self.files.entry(at),
        }
    }

    /// Writes the tail to the files and drops it from memory; returns how many entries that were.
    pub(crate) fn write_out(&self) -> io::Result<usize> {
        let (first, entries) = {
            let mut tail = self.tail.lock();
            tail.listed = false;
            (tail.first, tail.entries.clone())
        };
        if entries.is_empty() || self.is_retired() {
            return Ok(0);
        }
        if let Err(error) = self.files.write(QueueOffset(first), &entries) {
            self.tail.lock().listed = true;
            return Err(error);
        }
        let mut tail = self.tail.lock();
        let written = entries.len();
        if tail.entries.len() == written {
            // Keeps the buffer, so that a busy queue does not grow it anew each second; gives a large one back.
            tail.entries = std::mem::take(&mut tail.entries);
            tail.entries.clear();
            if tail.entries.capacity() > 4096 {
                tail.entries = Vec::with_capacity(written / 2);
            } else if written < 16 {
                tail.entries = Vec::new();
            }
        } else {
            tail.entries.drain(..written);
        }
        tail.first = first + written as u64;
        Ok(written)
    }

    /// Up to where entries are written but not known to be durable; `None` if all are.
    pub(crate) fn unsynced(&self) -> Option<QueueOffset> {
        let tail = self.tail.lock();
        (tail.synced < tail.first && !self.is_retired()).then_some(QueueOffset(tail.first))
    }

    pub(crate) fn note_synced(&self, upto: QueueOffset) {
        let mut tail = self.tail.lock();
        tail.synced = tail.synced.max(upto.0);
    }

    /// Makes written entries durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        if let Some(upto) = self.unsynced() {
            let from = QueueOffset(self.tail.lock().synced);
            self.files.sync(from, upto)?;
            self.note_synced(upto);
        }
        Ok(())
    }

    /// Starts an empty queue at `first`: the entries before it in its file are filled up, and never delivered.
    pub(crate) fn begin_at(&self, first: QueueOffset) -> io::Result<()> {
        self.files.fill_before(first)?;
        self.restore(first, first);
        Ok(())
    }

    /// Moves the start to the first message at or behind `log_start`, and deletes files that hold only older ones.
    pub(crate) fn trim_below(&self, log_start: PhysicalOffset) -> io::Result<()> {
        let (min, next) = (self.min(), self.next());
        if min >= next {
            return Ok(());
        }
        // The usual case by far: nothing is too old.
        if self.entry(min)?.is_some_and(|entry| !entry.is_filler() && entry.physical >= log_start) {
            return Ok(());
        }
        let in_files = QueueOffset(self.tail.lock().first).max(min);
        let mut first = self.files.partition(min, in_files, |entry| Ok(entry.physical >= log_start))?;
        while first >= in_files && first < next {
            match self.entry(first)? {
                Some(entry) if !entry.is_filler() && entry.physical >= log_start => break,
                _ => first = first.plus(1),
            }
        }
        self.set_min(first.min(self.max()));
        self.files.delete_before(first)?;
        Ok(())
    }
}
