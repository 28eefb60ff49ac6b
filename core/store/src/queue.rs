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
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::index::TopicHash;
use crate::manifest::QueueEnd;
use crate::queue_file::{Extent, OpenFiles, QueueEntry, QueueFiles};
use crate::watch::Watchers;

/// A consume queue. Handles share it.
pub struct Queue {
    topic: TopicName,
    id: QueueId,
    min: AtomicU64,
    visible: AtomicU64,
    tail: Mutex<Tail>,
    arrived: Notify,
    pub(crate) watchers: Watchers,
    key_hash: TopicHash,
    /// Set once when the queue is deleted: nothing is appended from then on.
    retired: AtomicBool,
    /// Whether it is a topic filter's.
    of_filter: AtomicBool,
    /// Whether clients put messages into it, or did before it was a filter's.
    of_clients: AtomicBool,
    /// `None` from then on, too: a topic of the same name may have the directory.
    files: RwLock<Option<QueueFiles>>,
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
    appended: Appended,
}

/// What was appended since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Messages.
    pub messages: u64,
    /// Bytes of their records.
    pub bytes: u64,
}

impl Appended {
    /// The sum of both.
    #[must_use]
    pub const fn plus(self, more: Self) -> Self {
        Self { messages: self.messages + more.messages, bytes: self.bytes + more.bytes }
    }
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
            key_hash: TopicHash::new(topic.as_str()),
            topic,
            id,
            min: AtomicU64::new(0),
            visible: AtomicU64::new(0),
            tail: Mutex::default(),
            arrived: Notify::new(),
            watchers: Watchers::default(),
            retired: AtomicBool::new(false),
            of_filter: AtomicBool::new(false),
            of_clients: AtomicBool::new(false),
            files: RwLock::new(Some(QueueFiles::new(dir, file_len, open))),
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

    /// What was appended since the store was opened.
    #[must_use]
    pub fn appended(&self) -> Appended {
        self.tail.lock().appended
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

    /// Whether it was deleted, with its topic or because its messages were all gone.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// Whether it is the light queue of a topic filter.
    #[must_use]
    pub fn is_of_filter(&self) -> bool {
        self.of_filter.load(Ordering::Acquire)
    }

    /// Makes it one, or no longer one. `true` if it was otherwise before.
    pub(crate) fn set_of_filter(&self, is: bool) -> bool {
        self.of_filter.swap(is, Ordering::AcqRel) != is
    }

    /// Whether clients use a filter's queue by its name, too: it is not the filter's to delete.
    #[must_use]
    pub fn is_of_clients(&self) -> bool {
        self.of_clients.load(Ordering::Acquire)
    }

    /// Takes note that they do.
    pub fn note_clients(&self) {
        if !self.of_clients.load(Ordering::Relaxed) {
            self.of_clients.store(true, Ordering::Release);
        }
    }

    /// Begins the hash of each key of the topic.
    pub(crate) fn key_hash(&self) -> &TopicHash {
        &self.key_hash
    }

    /// Lets no more be appended; [`Queue::retire`] is to follow. `false` if that was so before.
    pub(crate) fn begin_retiring(&self) -> bool {
        !self.retired.swap(true, Ordering::AcqRel)
    }

    /// Ends the queue: once this returns nobody touches its files any more.
    pub(crate) fn retire(self: &Arc<Self>) {
        self.begin_retiring();
        *self.files.write() = None;
        self.arrived.notify_waiters();
        self.tell();
    }

    /// Works on the files; `None` once there are none.
    fn on_files<T>(&self, work: impl FnOnce(&QueueFiles) -> io::Result<T>) -> io::Result<Option<T>> {
        self.files.read().as_ref().map(work).transpose()
    }

    /// Adds the next entry; the holder of the append lock decides the order.
    pub(crate) fn push(&self, entry: QueueEntry) -> Pushed {
        let mut tail = self.tail.lock();
        let offset = QueueOffset(tail.next());
        tail.entries.push(entry);
        tail.appended = tail.appended.plus(Appended { messages: 1, bytes: u64::from(entry.len) });
        let newly_dirty = !std::mem::replace(&mut tail.listed, true);
        Pushed { offset, newly_dirty }
    }

    /// Lets consumers see everything below `upto`, and wakes who waits. Whether there are watchers to be told.
    pub(crate) fn publish(&self, upto: QueueOffset) -> bool {
        self.visible.fetch_max(upto.0, Ordering::SeqCst);
        self.arrived.notify_waiters();
        self.watchers.any()
    }

    pub(crate) fn set_min(&self, min: QueueOffset) {
        self.min.fetch_max(min.0, Ordering::AcqRel);
    }

    /// Up to `max` visible entries from `from` on. Fewer only at the end, or where files were lost.
    ///
    /// # Errors
    /// If the queue's files cannot be read.
    pub fn entries(&self, from: QueueOffset, max: usize) -> io::Result<Vec<QueueEntry>> {
        let visible = self.visible.load(Ordering::Acquire);
        let max = max.min(visible.saturating_sub(from.0) as usize);
        let (written, rest) = {
            let tail = self.tail.lock();
            if from.0 >= tail.first {
                let start = (from.0 - tail.first) as usize;
                let end = (start + max).min(tail.entries.len());
                return Ok(tail.entries.get(start..end).unwrap_or_default().to_vec());
            }
            let written = (tail.first - from.0) as usize;
            let rest = max.saturating_sub(written).min(tail.entries.len());
            (written.min(max), tail.entries[..rest].to_vec())
        };
        // Entries below the tail are in the files: it moves only after they were written.
        let mut entries = self.on_files(|files| files.read(from, written))?.unwrap_or_default();
        if entries.len() == written {
            entries.extend(rest);
        }
        Ok(entries)
    }

    /// The entry at `at`, visible or not.
    pub(crate) fn entry(&self, at: QueueOffset) -> io::Result<Option<QueueEntry>> {
        let in_memory = {
            let tail = self.tail.lock();
            (at.0 >= tail.first).then(|| tail.entries.get((at.0 - tail.first) as usize).copied())
        };
        match in_memory {
            Some(entry) => Ok(entry),
            None => Ok(self.on_files(|files| files.entry(at))?.flatten()),
        }
    }

    /// Writes the tail to the files and drops it from memory; returns how many entries that were.
    pub(crate) fn write_out(&self) -> io::Result<usize> {
        let (first, entries) = {
            let mut tail = self.tail.lock();
            tail.listed = false;
            (tail.first, tail.entries.clone())
        };
        if entries.is_empty() {
            return Ok(0);
        }
        match self.on_files(|files| files.write(QueueOffset(first), &entries)) {
            Ok(Some(())) => {}
            Ok(None) => return Ok(0),
            Err(error) => {
                self.tail.lock().listed = true;
                return Err(error);
            }
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

    /// What is durable of the queue; `None` if it is nothing.
    pub(crate) fn durable_end(&self) -> Option<QueueEnd> {
        let next = QueueOffset(self.tail.lock().synced);
        (next > QueueOffset::ZERO && !self.is_retired()).then(|| QueueEnd {
            topic: self.topic.clone(),
            id: self.id,
            min: self.min().min(next),
            next,
        })
    }

    pub(crate) fn note_synced(&self, upto: QueueOffset) {
        let mut tail = self.tail.lock();
        tail.synced = tail.synced.max(upto.0);
    }

    /// Makes written entries durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        if let Some(upto) = self.unsynced() {
            let from = QueueOffset(self.tail.lock().synced);
            self.on_files(|files| files.sync(from, upto))?;
            self.note_synced(upto);
        }
        Ok(())
    }

    /// The first visible offset in `[low, high)` whose message `is_after` holds for, which must then hold for all
    /// later ones; `high` if there is none. Places without a message are passed over, as are those for which the
    /// answer is not known.
    pub(crate) fn first_where(
        &self,
        low: QueueOffset,
        high: QueueOffset,
        is_after: impl Fn(&QueueEntry) -> Option<bool>,
    ) -> io::Result<QueueOffset> {
        /// Entries read at once where there are no messages: usually none, after damage a few.
        const STEP: usize = 64;
        // The first place at or behind `at` that has an answer.
        let known_from = |mut at: u64, high: u64| -> io::Result<Option<(u64, bool)>> {
            let mut step = 1;
            while at < high {
                let entries = self.entries(QueueOffset(at), step.min((high - at) as usize))?;
                for entry in entries.iter() {
                    if let Some(after) = (!entry.is_filler()).then(|| is_after(entry)).flatten() {
                        return Ok(Some((at, after)));
                    }
                    at += 1;
                }
                if entries.is_empty() {
                    at += 1;
                }
                step = STEP;
            }
            Ok(None)
        };
        let (mut from, mut upto) = (low.0, high.0);
        while from < upto {
            let middle = from + (upto - from) / 2;
            match known_from(middle, upto)? {
                Some((at, false)) => from = at + 1,
                Some((_, true)) | None => upto = middle,
            }
        }
        Ok(known_from(from, high.0)?.map_or(high, |(at, _)| QueueOffset(at)))
    }

    /// Moves the start to the first message at or behind `log_start`, and deletes files that hold only older ones.
    pub(crate) fn trim_below(&self, log_start: PhysicalOffset) -> io::Result<()> {
        let (min, max) = (self.min(), self.max());
        if min >= max {
            return Ok(());
        }
        let mut first = min;
        // The usual case by far: nothing is too old.
        if !self.entry(min)?.is_some_and(|entry| !entry.is_filler() && entry.physical >= log_start) {
            first = self.first_where(min, max, |entry| Some(entry.physical >= log_start))?;
            self.set_min(first);
        }
        // Also where nothing moved: the file that was the last when all its messages were gone is so no more.
        self.on_files(|files| files.delete_before(first))?;
        Ok(())
    }

    // For recovery, before anything is appended.

    /// Sets where the queue stands.
    pub(crate) fn restore(&self, min: QueueOffset, next: QueueOffset) {
        let mut tail = self.tail.lock();
        *tail = Tail { first: next.0, synced: next.0, ..Tail::default() };
        self.min.store(min.0, Ordering::Release);
        self.visible.store(next.0, Ordering::Release);
    }

    /// Takes over what the files hold of messages below `limit`.
    pub(crate) fn restore_below(&self, limit: PhysicalOffset) -> io::Result<Extent> {
        let nothing = Extent { whole: true, ..Extent::default() };
        let extent = match limit {
            PhysicalOffset::ZERO => None,
            limit => self.on_files(|files| files.extent_below(limit))?,
        };
        let extent = extent.unwrap_or(nothing);
        self.restore(extent.min, extent.next);
        Ok(extent)
    }

    /// Deletes the files if their first message lies below `end`: they are what a deletion left.
    pub(crate) fn clear_if_begun_below(&self, end: PhysicalOffset) -> io::Result<()> {
        let min = self.restore_below(PhysicalOffset(u64::MAX))?.min;
        if self.entry(min)?.is_some_and(|first| first.physical < end) {
            self.restore(QueueOffset::ZERO, QueueOffset::ZERO);
            self.truncate()?;
        }
        Ok(())
    }

    /// As [`Queue::restore`], if the files hold all of it; the last entry then.
    pub(crate) fn restore_whole(
        &self,
        min: QueueOffset,
        next: QueueOffset,
    ) -> io::Result<Option<QueueEntry>> {
        let last = self.on_files(|files| files.last_if_whole(min, next))?.flatten();
        if last.is_some() {
            self.restore(min, next);
        }
        Ok(last)
    }

    /// Clears what the files hold behind the queue's end.
    pub(crate) fn truncate(&self) -> io::Result<()> {
        let next = self.next();
        self.on_files(|files| files.truncate(next)).map(drop)
    }

    /// Adds the message `at` if it is the next one; otherwise the answer is which one that is.
    pub(crate) fn push_next(&self, at: QueueOffset, entry: QueueEntry) -> Result<(), QueueOffset> {
        let mut tail = self.tail.lock();
        let next = tail.next();
        if at.0 != next {
            return Err(QueueOffset(next));
        }
        tail.entries.push(entry);
        self.visible.store(next + 1, Ordering::Release);
        Ok(())
    }

    /// Whether entries wait for the queue writer, who is told of the queue if they do.
    pub(crate) fn list_as_dirty(&self) -> bool {
        let mut tail = self.tail.lock();
        tail.listed = !tail.entries.is_empty();
        tail.listed
    }

    /// Starts the queue anew at `first`: the entries before it in its file are filled up, and never delivered.
    pub(crate) fn begin_at(&self, first: QueueOffset) -> io::Result<()> {
        self.restore(first, first);
        self.on_files(|files| {
            files.truncate(QueueOffset::ZERO)?;
            files.fill_before(first)
        })?;
        Ok(())
    }

    /// Puts fillers up to `upto`.
    pub(crate) fn fill_upto(&self, upto: QueueOffset) {
        let mut tail = self.tail.lock();
        let missing = upto.0.saturating_sub(tail.next()) as usize;
        tail.entries.extend(std::iter::repeat_n(QueueEntry::FILLER, missing));
        self.visible.store(tail.next(), Ordering::Release);
    }
}
