//! The commit log: every message of every topic in arrival order, in files of one fixed size.
//!
//! ```text
//! 00000000000000000000            00000000001073741824
//! | m0 | m1 | m2 | .. | blank |   | m7 | m8 | (zeros)
//!                       └ a record never crosses files: the rest of a file is one blank record
//! ```
//! Always true:
//! * `flushed <= written`, and between two recoveries both only grow;
//! * below `flushed` everything survives a power cut; with sync flush a send is answered `OK` only from there, and
//!   consumers see only what lies below;
//! * whoever holds the append lock is the only one to move the tail; readers never look past `written`;
//! * after a failed flush nothing is written any more: a second fsync would report success for pages that the
//!   kernel has dropped.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferromq_model::histogram::{Histogram, Times};
use ferromq_model::message::TagsCode;
use ferromq_model::record::{self, BLANK_HEADER_LEN, MAGIC_BLANK, MIN_RECORD_LEN};
use ferromq_model::{PhysicalOffset, QueueOffset, Timestamp};
use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::watch;

use crate::batch::{Batch, EntryTag, Placed, Waiting};
use crate::config::FlushMode;
use crate::error::AppendError;
use crate::health::{Full, Health};
use crate::host::Host;
use crate::index_feed::{IndexFeed, Keyed};
use crate::log_file::{LogFile, RUNWAY_STEP};
use crate::queue::{Appended, Queue};
use crate::queue_file::QueueEntry;
use crate::watch::ToTell;

/// How far ahead of the tail the log is zeroed. At 300 MB/s it lasts 50 ms, a hundred times what a step takes.
const RUNWAY: u64 = 16 << 20;
/// With sync flush, how much of the runway may be used before it is extended. Each flush writes the zeros out that came
/// since the one before, so they come in small portions.
const SYNC_PORTION: u64 = 1 << 20;
/// With async flush, a tail shorter than this waits for the thorough interval (RocketMQ: four pages).
const LEAST_FLUSH: u64 = 4 * 4096;

pub(crate) struct CommitLog {
    dir: PathBuf,
    staging: PathBuf,
    file_len: u64,
    flush_mode: FlushMode,
    host: Arc<dyn Host>,
    health: Arc<Health>,
    /// In order of their bases.
    files: RwLock<VecDeque<Arc<LogFile>>>,
    tail: Mutex<Tail>,
    /// The next file, made ahead. Whoever makes a file holds this, so that no two threads make the same one; it is
    /// taken after `tail`, never before.
    next: Mutex<Option<Arc<LogFile>>>,
    written: AtomicU64,
    /// Store time of the newest record; read *before* `written`, it never names a record above it.
    last_stored: AtomicI64,
    /// Start of the newest record.
    last_record: AtomicU64,
    flushed: watch::Sender<Flushed>,
    /// With sync flush: what becomes visible once the log is flushed up to there, in order.
    unpublished: Mutex<VecDeque<Publication>>,
    flusher: Signal,
    preparer: Signal,
    /// Flushes done, for statistics.
    flushes: AtomicU64,
    /// How long they took.
    flush_times: Histogram,
    /// Messages and bytes appended since the start, for statistics. Only the holder of the append lock writes them.
    appended_messages: AtomicU64,
    appended_bytes: AtomicU64,
    /// Queues that got their first entry since they were last written out.
    dirty_queues: Mutex<Vec<Arc<Queue>>>,
    /// Entries that wait for the queue writer.
    unwritten_entries: AtomicU64,
    /// Keys that wait for the indexer; `None` without an index.
    index_feed: Option<IndexFeed>,
}

/// What a log is made of.
pub(crate) struct LogParts {
    /// Where its files are.
    pub(crate) dir: PathBuf,
    /// Where a new file is allocated before it gets its name.
    pub(crate) staging: PathBuf,
    pub(crate) file_len: u64,
    pub(crate) flush_mode: FlushMode,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) health: Arc<Health>,
    /// In order; the last one's `written` is the end of the log.
    pub(crate) files: VecDeque<Arc<LogFile>>,
    /// Below here everything survives a power cut.
    pub(crate) flushed: PhysicalOffset,
    pub(crate) last_stored: Timestamp,
    pub(crate) last_record: PhysicalOffset,
    /// Whether messages are indexed by key.
    pub(crate) index: bool,
}

struct Tail {
    file: Option<Arc<LogFile>>,
    last_stored: Timestamp,
}

struct Publication {
    end: PhysicalOffset,
    queue: Arc<Queue>,
    upto: QueueOffset,
}

/// How much of the log is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flushed {
    pub(crate) upto: PhysicalOffset,
    /// Nothing more will be flushed.
    pub(crate) ended: bool,
}

/// Wakes one background thread.
#[derive(Default)]
pub(crate) struct Signal {
    raised: Mutex<bool>,
    bell: Condvar,
    /// Whether the thread waits: raising costs one load while it works.
    idle: AtomicBool,
}

impl Signal {
    /// Wakes the thread if it waits. A thread that works looks again before it waits.
    pub(crate) fn raise(&self) {
        // Pairs with the one in `wait`: either this sees that the thread waits, or the thread's look sees the work.
        fence(Ordering::SeqCst);
        if self.idle.load(Ordering::Relaxed) {
            *self.raised.lock() = true;
            self.bell.notify_one();
        }
    }

    /// Waits until raised or `limit` is over. `look` is asked once more after everybody can see that the thread
    /// waits; when it says that there is work, there is no wait.
    pub(crate) fn wait(&self, limit: Duration, look: impl FnOnce() -> bool) {
        self.idle.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !look() {
            let mut raised = self.raised.lock();
            if !*raised {
                self.bell.wait_for(&mut raised, limit);
            }
            *raised = false;
        }
        self.idle.store(false, Ordering::Relaxed);
    }
}

impl CommitLog {
    /// Takes over what recovery left.
    pub(crate) fn new(parts: LogParts) -> Self {
        let LogParts {
            dir,
            staging,
            file_len,
            flush_mode,
            host,
            health,
            files,
            flushed,
            last_stored,
            last_record,
            index,
        } = parts;
        let end = files.back().map_or(PhysicalOffset::ZERO, |file| file.base().plus(file.written()));
        let file = files.back().cloned();
        Self {
            dir,
            staging,
            file_len,
            flush_mode,
            host,
            health,
            files: RwLock::new(files),
            tail: Mutex::new(Tail { file, last_stored }),
            next: Mutex::default(),
            written: AtomicU64::new(end.0),
            last_stored: AtomicI64::new(last_stored.0),
            last_record: AtomicU64::new(last_record.0),
            flushed: watch::channel(Flushed { upto: flushed.min(end), ended: false }).0,
            unpublished: Mutex::default(),
            flusher: Signal::default(),
            preparer: Signal::default(),
            flushes: AtomicU64::new(0),
            flush_times: Histogram::default(),
            appended_messages: AtomicU64::new(0),
            appended_bytes: AtomicU64::new(0),
            dirty_queues: Mutex::default(),
            unwritten_entries: AtomicU64::new(0),
            index_feed: index.then(|| IndexFeed::new(end)),
        }
    }

    pub(crate) fn min(&self) -> PhysicalOffset {
        self.files.read().front().map_or(PhysicalOffset::ZERO, |file| file.base())
    }

    pub(crate) fn written(&self) -> PhysicalOffset {
        PhysicalOffset(self.written.load(Ordering::Acquire))
    }

    pub(crate) fn flushed(&self) -> PhysicalOffset {
        self.flushed.borrow().upto
    }

    /// The end of the log behind all appends that have begun.
    pub(crate) fn settled_end(&self) -> PhysicalOffset {
        self.between_appends(|| self.written())
    }

    /// Does something quick while nobody appends.
    pub(crate) fn between_appends<T>(&self, work: impl FnOnce() -> T) -> T {
        let _tail = self.tail.lock();
        work()
    }

    pub(crate) fn watch_flushed(&self) -> watch::Receiver<Flushed> {
        self.flushed.subscribe()
    }

    pub(crate) fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Relaxed)
    }

    pub(crate) fn flush_times(&self) -> Times {
        self.flush_times.reading()
    }

    pub(crate) fn appended(&self) -> Appended {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Appended { messages: read(&self.appended_messages), bytes: read(&self.appended_bytes) }
    }

    pub(crate) fn last_stored(&self) -> Timestamp {
        Timestamp(self.last_stored.load(Ordering::Acquire))
    }

    pub(crate) fn last_record(&self) -> PhysicalOffset {
        PhysicalOffset(self.last_record.load(Ordering::Acquire))
    }

    /// What background readers of the log may look at: with sync flush the flushed part.
    pub(crate) fn readable(&self) -> PhysicalOffset {
        match self.flush_mode {
            FlushMode::Sync => self.flushed(),
            FlushMode::Async => self.written(),
        }
    }

    pub(crate) fn take_dirty_queues(&self) -> Vec<Arc<Queue>> {
        self.unwritten_entries.store(0, Ordering::Relaxed);
        std::mem::take(&mut self.dirty_queues.lock())
    }

    pub(crate) fn put_back_dirty_queue(&self, queue: Arc<Queue>) {
        self.dirty_queues.lock().push(queue);
    }

    pub(crate) fn index_feed(&self) -> Option<&IndexFeed> {
        self.index_feed.as_ref()
    }

    pub(crate) fn unwritten_entries(&self) -> u64 {
        self.unwritten_entries.load(Ordering::Relaxed)
    }

    /// Stores the batch's messages in order and makes them visible as the flush mode says.
    ///
    /// On an error the messages listed in [`Batch::placed`] are stored and the others are not.
    pub(crate) fn append(&self, batch: &mut Batch) -> Result<(), AppendError> {
        self.health.check()?;
        batch.placed.clear();
        batch.list();
        batch.placed.reserve(batch.waiting.len());
        let mut tail = self.tail.lock();
        // Once more: whoever ends writing and then passes this lock knows that nothing is appended any more.
        self.health.check()?;
        let outcome = self.append_locked(&mut tail, batch);
        let runway = tail.file.as_ref().map_or(0, |file| file.runway());
        drop(tail);
        batch.list();
        batch.arrived.tell();
        if runway < self.least_runway() {
            self.preparer.raise();
        }
        if self.flush_mode == FlushMode::Sync {
            self.flusher.raise();
        }
        outcome
    }

    fn append_locked(&self, tail: &mut Tail, batch: &mut Batch) -> Result<(), AppendError> {
        // A clock that steps back must not make stored times do so: searches by time halve on them.
        let stored = self.host.now().max(tail.last_stored);
        let mut first = 0;
        while first < batch.waiting.len() {
            let start = batch.waiting[first].at;
            let room = match &tail.file {
                Some(file) => (file.len() - file.written()).saturating_sub(BLANK_HEADER_LEN as u64) as usize,
                None => 0,
            };
            let mut next = first;
            while next < batch.waiting.len() && batch.end_of(next) - start <= room {
                next += 1;
            }
            if next == first {
                let len = batch.end_of(first) - start;
                let limit = self.file_len - BLANK_HEADER_LEN as u64;
                if len as u64 > limit {
                    return Err(AppendError::TooLarge { len, limit });
                }
                self.roll(tail)?;
                continue;
            }
            let file = tail.file.as_ref().expect("room was found in it");
            let base = file.base().plus(file.written());
            for i in first..next {
                let (at, end) = (batch.waiting[i].at, batch.end_of(i));
                let waiting = &mut batch.waiting[i];
                let further = waiting.further.iter().flat_map(|further| &further.queues[..further.needed]);
                if waiting.queue.is_retired() || further.into_iter().any(|queue| queue.is_retired()) {
                    self.finish_run(file, batch, first, stored)?;
                    tail.last_stored = stored;
                    return Err(AppendError::Deleted);
                }
                let physical = base.plus((at - start) as u64);
                let tags = match waiting.tag {
                    EntryTag::Tags(code) => code,
                    EntryTag::DueAfter(span) => TagsCode(stored.plus(span).0),
                };
                let entry = QueueEntry { physical, len: (end - at) as u32, tags };
                let pushed = waiting.queue.push(entry);
                if pushed.newly_dirty {
                    self.dirty_queues.lock().push(Arc::clone(&waiting.queue));
                }
                record::patch(&mut batch.bytes[at..end], pushed.offset, physical, stored);
                if let Some(further) = &mut waiting.further {
                    let dirty = |queue: &Arc<Queue>| self.dirty_queues.lock().push(Arc::clone(queue));
                    further.place(entry, &mut batch.bytes[at..end], dirty);
                }
                batch.placed.push(Placed {
                    queue_offset: pushed.offset,
                    physical,
                    end: physical.plus((end - at) as u64),
                    stored,
                });
            }
            self.finish_run(file, batch, first, stored)?;
            tail.last_stored = stored;
            first = next;
        }
        Ok(())
    }

    /// Writes a run of completed records, the placed ones from `first` on, at the tail and moves the marks. If that
    /// fails they have no place, and nothing is written any more.
    fn finish_run(
        &self,
        file: &LogFile,
        batch: &mut Batch,
        first: usize,
        stored: Timestamp,
    ) -> Result<(), AppendError> {
        let Some(&last) = batch.placed[first..].last() else { return Ok(()) };
        let run = batch.waiting[first].at..batch.end_of(batch.placed.len() - 1);
        let bytes = run.len() as u64;
        if let Err(error) = file.append(&batch.bytes[run]) {
            batch.placed.truncate(first);
            return Err(self.poison(error));
        }
        let add = |counter: &AtomicU64, more: u64| {
            counter.store(counter.load(Ordering::Relaxed) + more, Ordering::Relaxed);
        };
        add(&self.appended_messages, (batch.placed.len() - first) as u64);
        add(&self.appended_bytes, bytes);
        if let Some(feed) = &self.index_feed {
            let placed = &batch.placed;
            let run = batch.key_hashes.partition_point(|(message, _)| (*message as usize) < first);
            let keys =
                batch.key_hashes[run..].iter().take_while(|(message, _)| (*message as usize) < placed.len());
            let keyed = keys.map(|&(message, hash)| {
                let Placed { physical, stored, .. } = placed[message as usize];
                Keyed { hash, physical, stored }
            });
            feed.extend(keyed, last.end);
        }
        // Before `written` moves: a flush publishes everything below what it saw written, and then has no reason to
        // look again.
        self.publish(batch, first);
        self.last_record.store(last.physical.0, Ordering::Release);
        self.written.store(file.base().0 + file.written(), Ordering::Release);
        self.last_stored.store(stored.0, Ordering::Release);
        Ok(())
    }

    /// Makes the placed messages from `first` on visible, now or when they are flushed. The append lock is held, so
    /// publications of one queue are in order.
    fn publish(&self, batch: &mut Batch, first: usize) {
        self.unwritten_entries.fetch_add((batch.placed.len() - first) as u64, Ordering::Relaxed);
        let mut unpublished = (self.flush_mode == FlushMode::Sync).then(|| self.unpublished.lock());
        let arrived = &mut batch.arrived;
        for (i, placed) in batch.placed.iter().enumerate().skip(first) {
            let mut show = |queue: &Arc<Queue>, upto| match &mut unpublished {
                None => arrived.publish(queue, upto),
                Some(list) => list.push_back(Publication { end: placed.end, queue: Arc::clone(queue), upto }),
            };
            let Waiting { queue, further, .. } = &batch.waiting[i];
            if let Some(further) = further {
                self.unwritten_entries.fetch_add(further.queues.len() as u64, Ordering::Relaxed);
                let placed = further.queues.iter().zip(&further.ends);
                placed.for_each(|(queue, end)| end.iter().for_each(|&end| show(queue, end)));
            }
            let run_goes_on = i + 1 < batch.placed.len()
                && batch.waiting.get(i + 1).is_some_and(|next| Arc::ptr_eq(&next.queue, queue));
            if run_goes_on {
                continue;
            }
            show(queue, placed.queue_offset.plus(1));
        }
    }

    /// Ends the tail's file with a blank record and goes on in the next one.
    fn roll(&self, tail: &mut Tail) -> Result<(), AppendError> {
        let mut prepared = self.next.lock();
        let next = match prepared.take() {
            Some(next) => next,
            None => Arc::new(
                self.create_file(tail.file.as_ref().map_or(PhysicalOffset::ZERO, |file| file.end()))?,
            ),
        };
        if let Some(file) = &tail.file {
            let rest = file.len() - file.written();
            // Less is left only behind a full file that recovery ended the log with.
            if rest >= BLANK_HEADER_LEN as u64 {
                let mut blank = [0u8; BLANK_HEADER_LEN];
                blank[..4].copy_from_slice(&(rest as u32).to_be_bytes());
                blank[4..].copy_from_slice(&MAGIC_BLANK.to_be_bytes());
                file.append(&blank).map_err(|error| self.poison(error))?;
            }
            file.seal();
            self.written.store(file.end().0, Ordering::Release);
        }
        self.files.write().push_back(Arc::clone(&next));
        drop(prepared);
        tail.file = Some(next);
        self.preparer.raise();
        Ok(())
    }

    fn create_file(&self, base: PhysicalOffset) -> Result<LogFile, AppendError> {
        match LogFile::create(&*self.host, &self.dir, &self.staging, base, self.file_len) {
            Ok(file) => {
                self.health.set_full(Full::NoLogSpace, None);
                Ok(file)
            }
            Err(error) if is_full(&error) => {
                let text = no_space(&self.dir, self.file_len);
                self.health.set_full(Full::NoLogSpace, Some(text.clone()));
                Err(AppendError::DiskFull(text.into()))
            }
            Err(error) => Err(self.poison(error)),
        }
    }

    /// After a failed write or flush: read-only, for good.
    pub(crate) fn poison(&self, error: io::Error) -> AppendError {
        let error = AppendError::Poisoned { at: self.flushed(), source: Arc::new(error) };
        self.health.set_poisoned(error.clone());
        self.flushed.send_modify(|flushed| flushed.ended = true);
        error
    }

    /// The bytes of one file from `from` on, up to what is readable there, without a copy. `None` outside of the log.
    pub(crate) fn region_at(&self, from: PhysicalOffset) -> Option<(PhysicalOffset, Bytes)> {
        let files = self.files.read();
        let behind = files.partition_point(|file| file.base() <= from);
        let file = files.get(behind.checked_sub(1)?)?;
        if from >= file.end() {
            return None;
        }
        let file = Arc::clone(file);
        drop(files);
        let region = file.region();
        (from.since(file.base()) < region.len() as u64).then(|| (file.base(), region))
    }

    /// Where the next file behind `at` starts.
    pub(crate) fn next_base(&self, at: PhysicalOffset) -> Option<PhysicalOffset> {
        self.files.read().iter().map(|file| file.base()).find(|base| *base > at)
    }

    /// Files that may be deleted: all but the last, oldest first.
    pub(crate) fn oldest_file(&self) -> Option<Arc<LogFile>> {
        let files = self.files.read();
        (files.len() > 1).then(|| Arc::clone(&files[0]))
    }

    /// Takes the oldest file out of the log and deletes it. Readers that hold bytes of it keep them.
    pub(crate) fn delete_oldest(&self, file: &LogFile) -> io::Result<()> {
        {
            let mut files = self.files.write();
            if files.len() < 2 || files[0].base() != file.base() {
                return Ok(());
            }
            files.pop_front();
        }
        std::fs::remove_file(file.path())
    }

    // The background threads' work.

    /// Flushes until told to stop; with sync flush as soon as there is something, with async flush by the clock.
    pub(crate) fn run_flusher(
        &self,
        interval: Duration,
        thorough: Duration,
        stop: &AtomicBool,
        note: impl Fn(Timestamp),
    ) {
        let mut last_flush = Instant::now();
        while !stop.load(Ordering::Acquire) {
            let sync = self.flush_mode == FlushMode::Sync;
            if sync {
                self.flusher
                    .wait(interval, || self.written() > self.flushed() || stop.load(Ordering::Acquire));
            } else {
                self.flusher.wait(interval, || stop.load(Ordering::Acquire));
            }
            let waiting = self.written().since(self.flushed());
            let due = waiting > 0 && (sync || waiting >= LEAST_FLUSH || last_flush.elapsed() >= thorough);
            if due {
                last_flush = Instant::now();
                match self.flush() {
                    Ok(newest) => note(newest),
                    Err(_) => return,
                }
            }
        }
        if let Ok(newest) = self.flush() {
            note(newest);
        }
    }

    /// Makes everything written durable, then visible; returns the store time of the newest record that is.
    pub(crate) fn flush(&self) -> Result<Timestamp, AppendError> {
        if let Some(error) = self.health.poison() {
            return Err(error);
        }
        let newest = self.last_stored();
        let target = self.written();
        let from = self.flushed();
        if target == from {
            return Ok(newest);
        }
        let files: Vec<_> = self
            .files
            .read()
            .iter()
            .filter(|f| f.end() > from && f.base() < target)
            .map(Arc::clone)
            .collect();
        for file in files {
            let began = Instant::now();
            if let Err(error) = self.host.sync_data(file.file()) {
                return Err(self.poison(error));
            }
            self.flush_times.took(began.elapsed(), 1);
            self.flushes.fetch_add(1, Ordering::Relaxed);
        }
        let mut arrived = ToTell::default();
        {
            let mut unpublished = self.unpublished.lock();
            while unpublished.front().is_some_and(|first| first.end <= target) {
                let Some(ready) = unpublished.pop_front() else { break };
                arrived.publish(&ready.queue, ready.upto);
            }
        }
        // Another flush may have come further meanwhile.
        self.flushed.send_modify(|flushed| flushed.upto = flushed.upto.max(target));
        arrived.tell();
        Ok(newest)
    }

    /// Keeps the zeroed runway ahead of the tail, and the next file ready once half of the current one is used.
    pub(crate) fn run_preparer(&self, stop: &AtomicBool) {
        /// How soon a disk without room for the next file is asked again.
        const RETRY: Duration = Duration::from_secs(1);
        while !stop.load(Ordering::Acquire) {
            let file = self.tail.lock().file.clone();
            let mut worked = false;
            if let Some(file) = &file {
                while file.runway() < RUNWAY && !stop.load(Ordering::Acquire) {
                    match file.extend_runway() {
                        Ok(true) => worked = true,
                        Ok(false) => break,
                        Err(error) => {
                            // The runway is a matter of speed; a disk that cannot take it fails the flush too.
                            tracing::warn!(%error, "cannot zero the log ahead of its tail");
                            break;
                        }
                    }
                }
                self.prepare_next(file);
            } else if self.health.check().is_err() && self.health.poison().is_none() {
                // No file at all and no room for one: ask again, so that the state ends when space returns.
                self.retry_first_file();
            }
            if !worked {
                let behind = || {
                    stop.load(Ordering::Acquire)
                        || file.as_ref().is_some_and(|f| {
                            f.runway() < self.least_runway() && f.len() - f.written() > RUNWAY
                        })
                };
                self.preparer.wait(RETRY, behind);
            }
        }
    }

    fn prepare_next(&self, current: &Arc<LogFile>) {
        // A message that did not fit into a file hardly used may be what asks for the next one.
        let due = current.written() * 2 > current.len() || self.health.lacks_log_space();
        if !due || self.health.poison().is_some() {
            return;
        }
        let mut prepared = self.next.lock();
        // The tail may have rolled meanwhile; it cannot while this lock is held.
        let still_last = self.files.read().back().is_some_and(|last| last.base() == current.base());
        if prepared.is_some() || !still_last {
            return;
        }
        if let Ok(next) = self.create_file(current.end()) {
            let next = Arc::new(next);
            *prepared = Some(Arc::clone(&next));
            drop(prepared);
            match self.flush_mode {
                FlushMode::Async => {
                    while next.runway() < RUNWAY / 4 && matches!(next.extend_runway(), Ok(true)) {}
                }
                FlushMode::Sync => self.zero_ahead_of_use(&next),
            }
        }
    }

    /// Zeroes a file that is not in use yet, and has the disk take the zeros: once it is in use, its flushes write
    /// messages only.
    fn zero_ahead_of_use(&self, next: &LogFile) {
        let in_use = || self.files.read().back().is_some_and(|last| last.base() == next.base());
        while !in_use() && self.health.check().is_ok() {
            for _ in 0..SYNC_PORTION / RUNWAY_STEP {
                if !matches!(next.extend_runway(), Ok(true)) {
                    return;
                }
            }
            // The system tells of a failed write once. Were it ignored here, the flush of a message that comes to lie
            // on such a page could succeed.
            if let Err(error) = self.host.sync_data(next.file()) {
                self.poison(error);
                return;
            }
        }
    }

    /// The runway below which it is extended.
    fn least_runway(&self) -> u64 {
        match self.flush_mode {
            FlushMode::Async => RUNWAY / 2,
            FlushMode::Sync => RUNWAY - SYNC_PORTION,
        }
    }

    fn retry_first_file(&self) {
        let mut prepared = self.next.lock();
        if prepared.is_none() && self.files.read().is_empty() {
            *prepared = self.create_file(PhysicalOffset::ZERO).ok().map(Arc::new);
        }
    }

    /// Wakes the threads so that they see a stop.
    pub(crate) fn wake_threads(&self) {
        self.flusher.raise();
        self.preparer.raise();
    }

    /// Ends the log for good: what waits for a flush is told, and a file made ahead but never used is deleted.
    pub(crate) fn close(&self) -> io::Result<()> {
        self.flushed.send_modify(|flushed| flushed.ended = true);
        match self.next.lock().take() {
            Some(unused) => std::fs::remove_file(unused.path()),
            None => Ok(()),
        }
    }
}

/// Whether an error means that the disk, or the owner's share of it, is used up.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

fn no_space(dir: &Path, len: u64) -> String {
    format!(
        "no room for the next log file of {len} bytes in {}: free disk space there, or lower fileReservedTime",
        dir.display()
    )
}

const _: () = assert!(MIN_RECORD_LEN > BLANK_HEADER_LEN, "a file's rest is a blank or holds a record");
