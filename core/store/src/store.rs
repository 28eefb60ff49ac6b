//! The store's handle: opening with recovery, appending, reading, closing. What its threads do beside that is in
//! [`background`], how queues are deleted in [`deletion`], the right to the directory in [`lock`].
//!
//! Always true:
//! * one process has the directory: the lock is taken before anything is read;
//! * `abort` exists from the end of opening until a clean close, so that a crash is never taken for a clean stop;
//! * each background thread is owned by the [`Store`] that [`Store::close`] consumes the work of, and is joined there.

mod background;
mod deletion;
mod lock;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use ferromq_model::config::{Applies, Settings as _};
use ferromq_model::delay::DelayLevels;
use ferromq_model::filter::MessageFilter;
use ferromq_model::histogram::Times;
use ferromq_model::record::Record;
use ferromq_model::{PhysicalOffset, QueueId, QueueOffset, Timestamp, TopicName};
use parking_lot::{Mutex, RwLock};

use crate::batch::{Batch, MessageKeys};
use crate::checkpoint::Checkpoint;
use crate::commit_log::{CommitLog, LogParts, Signal};
use crate::config::{FlushMode, StoreConfig};
use crate::error::{AppendError, OpenError, ReadError};
use crate::health::{Full, Health};
use crate::host::{DiskUsage, Host, SystemHost};
use crate::index::{Index, MAX_FOUND, Shape, TopicHash};
use crate::manifest::{self, Deletions, Manifest};
use crate::queue::{Appended, Queue};
use crate::queue_file::QueueEntry;
use crate::queues::Queues;
use crate::recovery::{self, Recovery, RecoveryReport};
use crate::retention;
use background::WRITE_OUT_BACKLOG;
use lock::DirLock;

/// A store. Handles share it; [`Store::close`] ends it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: StoreConfig,
    /// The same with what was changed since.
    pub(crate) live: RwLock<StoreConfig>,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) health: Arc<Health>,
    pub(crate) log: CommitLog,
    pub(crate) queues: Queues,
    pub(crate) index: Mutex<Index>,
    /// Everything below is in the index.
    indexed: AtomicU64,
    checkpoint: Mutex<Checkpoint>,
    noted: Mutex<Noted>,
    report: RecoveryReport,
    stop: AtomicBool,
    queue_writer: Signal,
    indexer: Signal,
    janitor: Signal,
    /// Rounds in which expired log files are deleted whatever the hour.
    pub(crate) rounds_asked_for: AtomicU32,
    threads: Mutex<Vec<JoinHandle<()>>>,
    lock: Mutex<Option<DirLock>>,
}

/// What the manifest says.
struct Noted {
    deleted: Deletions,
    /// How many queues it names, if it was written since the start.
    queues: Option<usize>,
}

/// What a read of a queue found.
#[derive(Debug)]
pub enum Read {
    /// Messages.
    Found(Found),
    /// Entries were looked at and none passed the filter.
    NoMatch {
        /// Where to go on.
        next: QueueOffset,
    },
    /// The offset is one past the newest message.
    AtEnd,
    /// The offset is behind that.
    Beyond {
        /// One past the newest message.
        max: QueueOffset,
    },
    /// The offset's message is gone.
    Before {
        /// The oldest message there is.
        min: QueueOffset,
    },
    /// The queue never had a message.
    Empty,
}

/// Messages that a read found.
#[derive(Debug)]
pub struct Found {
    /// Stored records in queue order, each piece one or several whole ones, without a copy.
    pub records: Vec<Bytes>,
    /// Messages in them.
    pub count: u32,
    /// Bytes in them.
    pub bytes: usize,
    /// Where to go on: behind the last entry looked at.
    pub next: QueueOffset,
}

/// How much a read may answer with.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimit {
    /// Messages; the store's own limit holds as well.
    pub messages: u32,
    /// Bytes; the first message is answered whatever its size.
    pub bytes: usize,
}

/// What the store counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Where the log begins.
    pub log_min: PhysicalOffset,
    /// Where it ends.
    pub log_max: PhysicalOffset,
    /// Up to where it survives a power cut.
    pub flushed: PhysicalOffset,
    /// Flushes of log files since the start.
    pub flushes: u64,
    /// Bytes that the indexer has yet to look at.
    pub index_behind: u64,
}

/// The file systems that a store uses; mostly one and the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreDisks {
    /// That of the commit log.
    pub log: DiskUsage,
    /// That of everything else.
    pub rest: DiskUsage,
}

fn log_dir(config: &StoreConfig) -> PathBuf {
    config.commit_log_dir.clone().unwrap_or_else(|| config.root.join("commitlog"))
}

impl Store {
    /// Opens the store under `config.root`, recovering what a crash left; makes an empty one where there is none.
    ///
    /// # Errors
    /// [`OpenError`]: another process has it, a file does not belong there, or the system refuses.
    pub fn open(config: StoreConfig, levels: &DelayLevels) -> Result<Self, OpenError> {
        Self::open_on(config, levels, Arc::new(SystemHost))
    }

    /// As [`Store::open`], on a machine that tests hand in.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_on(
        config: StoreConfig,
        levels: &DelayLevels,
        host: Arc<dyn Host>,
    ) -> Result<Self, OpenError> {
        let root = config.root.clone();
        std::fs::create_dir_all(root.join("config")).map_err(OpenError::io("cannot create", &root))?;
        let lock = DirLock::take(&root)?;
        let log_dir = log_dir(&config);
        let staging = staging_beside(&root, &log_dir).map_err(OpenError::io("cannot use", &log_dir))?;
        // A crash may have left it half allocated, as large as a log file.
        match std::fs::remove_file(&staging) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(OpenError::io("cannot delete", staging)(error));
            }
            _ => {}
        }
        let mut files = recovery::open_files(&log_dir, config.log_file_size.0)?;
        let most_light = config.max_light_queues as usize;
        let queues = Queues::new(root.join("consumequeue"), config.queue_file_size.0, most_light);
        let checkpoint_path = root.join("checkpoint");
        let mut checkpoint =
            Checkpoint::open(&checkpoint_path).map_err(OpenError::io("cannot open", checkpoint_path))?;
        let manifest_path = manifest::path_in(&root);
        let mut manifest = Manifest::read(&manifest_path)
            .map_err(OpenError::io("cannot read", manifest_path))?
            .unwrap_or_default();
        if !checkpoint.is_ours() {
            checkpoint.times = checkpoint.times.not_after(host.now());
            manifest.queues.clear();
        }
        // A clean stop leaves a checkpoint: without one something else went on here.
        let checkpointed = files.is_empty() || checkpoint.times.log > Timestamp::ZERO;
        let clean = checkpointed && !root.join("abort").exists();
        let recovered = Recovery {
            files: &mut files,
            queues: &queues,
            schedule: levels,
            check_crc: config.check_crc_on_recover,
            clean,
            trusted: checkpoint.times.trusted(),
            manifest: &manifest,
            now: host.now(),
        }
        .run()?;
        let end = recovered.report.end;
        let flushed = if clean { end } else { recovered.report.from };
        if config.flush == FlushMode::Sync && flushed < end {
            // What a crash left in the page cache only is shown to consumers from here on.
            for file in files.iter().filter(|file| file.end() > flushed) {
                host.sync_data(file.file()).map_err(OpenError::io("cannot flush", file.path()))?;
            }
        }
        let shape = Shape { slots: config.index_slots, entries: config.index_entries };
        let index_trust = (!clean).then_some(checkpoint.times.index);
        let index_dir = root.join("index");
        let index = Index::open(&*host, index_dir.clone(), shape, index_trust)
            .map_err(OpenError::io("cannot open the index in", index_dir))?;
        let log_start = files.front().map_or(PhysicalOffset::ZERO, |file| file.base());
        // The message at the index's end is indexed; indexing it again only repeats an entry that lookups merge.
        let indexed =
            index.end().filter(|&end| end >= log_start && end < recovered.report.end).unwrap_or(log_start);
        // A deletion says nothing about positions that are written anew, nor about those that are gone.
        let deleted = manifest.deleted.into_iter().filter(|(_, at)| *at > log_start);
        let deleted = deleted.map(|(topic, at)| (topic, at.min(end))).collect();
        let abort = root.join("abort");
        write_abort(&abort).map_err(OpenError::io("cannot write", abort))?;
        let health = Arc::new(Health::default());
        let log = CommitLog::new(LogParts {
            dir: log_dir,
            staging,
            file_len: config.log_file_size.0,
            flush_mode: config.flush,
            host: Arc::clone(&host),
            health: Arc::clone(&health),
            files,
            flushed: if config.flush == FlushMode::Sync { end } else { flushed },
            last_stored: recovered.last_stored,
            last_record: recovered.last_record,
            index: config.index,
        });
        let inner = Arc::new(Inner {
            live: RwLock::new(config.clone()),
            config,
            host,
            health,
            log,
            queues,
            index: Mutex::new(index),
            indexed: AtomicU64::new(indexed.0),
            checkpoint: Mutex::new(checkpoint),
            noted: Mutex::new(Noted { deleted, queues: None }),
            report: recovered.report,
            stop: AtomicBool::new(false),
            queue_writer: Signal::default(),
            indexer: Signal::default(),
            janitor: Signal::default(),
            rounds_asked_for: AtomicU32::new(0),
            threads: Mutex::default(),
            lock: Mutex::new(Some(lock)),
        });
        let written_by_recovery = inner.queues.all().into_iter().filter(|queue| queue.list_as_dirty());
        written_by_recovery.for_each(|queue| inner.log.put_back_dirty_queue(queue));
        inner.check_disk();
        Inner::start(&inner).map_err(OpenError::io("cannot start a thread for", root))?;
        Ok(Self { inner })
    }

    /// What recovery found when this store was opened.
    #[must_use]
    pub fn recovery(&self) -> &RecoveryReport {
        &self.inner.report
    }

    /// The store's settings as it was opened with.
    #[must_use]
    pub fn config(&self) -> &StoreConfig {
        &self.inner.config
    }

    /// Takes over from `changed` what applies at once; everything else stays as it was opened with.
    pub fn reconfigure(&self, changed: &StoreConfig) {
        let mut live = self.inner.live.write();
        for key in StoreConfig::KEYS.iter().filter(|key| key.applies == Applies::Live) {
            let value = changed.show(key.name).unwrap_or_default();
            live.set(key.name, &value).expect("what is shown can be read back");
        }
    }

    /// The directory of the messages.
    #[must_use]
    pub fn log_dir(&self) -> PathBuf {
        log_dir(&self.inner.config)
    }

    /// The directory where the broker keeps its state beside the messages.
    #[must_use]
    pub fn config_dir(&self) -> PathBuf {
        self.inner.config.root.join("config")
    }

    /// The machine below.
    pub(crate) fn host(&self) -> &Arc<dyn Host> {
        &self.inner.host
    }

    /// The time that stored messages get.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.host.now()
    }

    /// Stores the batch's messages in order. They are visible to consumers from then on, or with sync flush once
    /// they are flushed: see [`Store::flushed_to`].
    ///
    /// # Errors
    /// [`AppendError`]; messages listed in [`Batch::placed`] are stored even so.
    pub fn append(&self, batch: &mut Batch) -> Result<(), AppendError> {
        let outcome = self.inner.log.append(batch);
        if self.inner.log.unwritten_entries() > WRITE_OUT_BACKLOG {
            self.inner.queue_writer.raise();
        }
        outcome
    }

    /// Whether messages are taken now.
    ///
    /// # Errors
    /// Why not.
    pub fn writable(&self) -> Result<(), AppendError> {
        self.inner.health.check()
    }

    /// Whether a send must wait for [`Store::flushed_to`] before it is acknowledged.
    #[must_use]
    pub fn flushes_before_ack(&self) -> bool {
        self.inner.config.flush == FlushMode::Sync
    }

    /// A view of how far the log is flushed, to wait on.
    #[must_use]
    pub fn flush_watch(&self) -> FlushWatch {
        FlushWatch { flushed: self.inner.log.watch_flushed(), inner: Arc::clone(&self.inner) }
    }

    /// Waits until everything below `end` survives a power cut. Cancel safe.
    ///
    /// # Errors
    /// [`AppendError::Poisoned`] or [`AppendError::Closed`] if that will never be known.
    pub async fn flushed_to(&self, end: PhysicalOffset) -> Result<(), AppendError> {
        self.flush_watch().reached(end).await
    }

    /// The queue, which comes into being with this.
    #[must_use]
    pub fn queue(&self, topic: &TopicName, id: QueueId) -> Arc<Queue> {
        self.inner.queues.find_or_make(topic, id)
    }

    /// The light queue of a topic, which comes into being with this; `None` if there are as many as there may be
    /// (`maxLmqConsumeQueueNum`).
    #[must_use]
    pub fn light_queue(&self, topic: &TopicName) -> Option<Arc<Queue>> {
        self.inner.queues.find_or_make_light(topic)
    }

    /// The light queue of a topic that is a topic filter's from now on: it is not counted among those that
    /// `maxLmqConsumeQueueNum` limits, and stays when its messages are gone. Retired if one of the name is just being
    /// deleted.
    #[must_use]
    pub fn filter_queue(&self, topic: &TopicName) -> Arc<Queue> {
        self.inner.queues.find_or_make_of_filter(topic)
    }

    /// Makes a filter's queue one like the others again, for the clients who use it.
    pub fn leave_filter_queue(&self, queue: &Arc<Queue>) {
        self.inner.queues.set_of_filter(queue, false);
    }

    /// Deletes light queues, as [`Store::delete_topic`] does, but all at once.
    ///
    /// # Errors
    /// As for [`Store::delete_topic`].
    pub fn delete_light_queues(&self, topics: &[TopicName]) -> io::Result<()> {
        self.inner.delete_light_queues(topics)
    }

    /// The queue, if it was ever asked for or has messages.
    #[must_use]
    pub fn find_queue(&self, topic: &str, id: QueueId) -> Option<Arc<Queue>> {
        self.inner.queues.find(topic, id)
    }

    /// Queues of a topic, by id.
    #[must_use]
    pub fn queues_of(&self, topic: &str) -> Vec<Arc<Queue>> {
        self.inner.queues.of_topic(topic)
    }

    /// Topics that have queues.
    #[must_use]
    pub fn topics(&self) -> Vec<TopicName> {
        self.inner.queues.topics()
    }

    /// Deletes a topic's queues. Its messages stay in the log until their file is deleted, and are found by nobody.
    ///
    /// # Errors
    /// If the system refuses to note the deletion or to delete a file; the queues are gone all the same, but the topic
    /// takes messages only after the next start.
    pub fn delete_topic(&self, topic: &TopicName) -> io::Result<()> {
        self.inner.delete_topic(topic)
    }

    /// Deletes the queues of topics that `may_go` lets go whose messages are all gone with their log files, and tells
    /// which. They begin anew with their next message, at 0: what points into them must go, too.
    ///
    /// # Errors
    /// As for [`Store::delete_topic`].
    pub fn delete_expired_queues(
        &self,
        may_go: impl Fn(&TopicName) -> bool,
    ) -> io::Result<Vec<(TopicName, QueueId)>> {
        self.inner.delete_expired_queues(&may_go)
    }

    /// Lets log files that are older than `fileReservedTime` go whatever the hour: in the background, some each
    /// `cleanResourceInterval`, for the next twenty of them.
    pub fn delete_expired_log(&self) {
        self.inner.rounds_asked_for.store(retention::ROUNDS_ON_REQUEST, Ordering::Relaxed);
        self.inner.janitor.raise();
    }

    /// Reads visible messages of `queue` from `from` on that pass `filter`.
    ///
    /// # Errors
    /// [`ReadError`] if the queue's files cannot be read.
    pub fn read(
        &self,
        queue: &Queue,
        from: QueueOffset,
        limit: ReadLimit,
        filter: &MessageFilter,
    ) -> Result<Read, ReadError> {
        self.inner.read(queue, from, limit, filter)
    }

    /// The record that starts at `at`, if one does.
    #[must_use]
    pub fn record_at(&self, at: PhysicalOffset) -> Option<Bytes> {
        self.inner.record_at(at)
    }

    /// When the message at `at` was stored; `None` if it is not there.
    #[must_use]
    pub fn stored_time(&self, queue: &Queue, at: QueueOffset) -> Option<Timestamp> {
        let entry = queue.entry(at).ok()??;
        let bytes = self.inner.record_at(entry.physical)?;
        Record::decode(&bytes).ok().map(|record| record.stored)
    }

    /// A position of the log behind which all messages lie that were stored after `time`: the start of a file.
    #[must_use]
    pub fn log_start_before(&self, time: Timestamp) -> PhysicalOffset {
        let mut start = self.inner.log.min();
        while let Some(next) = self.inner.log.next_base(start) {
            let stored =
                self.inner.record_at(next).and_then(|bytes| Some(Record::decode(&bytes).ok()?.stored));
            if stored.is_none_or(|stored| stored > time) {
                break;
            }
            start = next;
        }
        start
    }

    /// Calls `look` for each record of the log from `from` on, up to where it ends now, until it says no.
    pub fn each_record(&self, from: PhysicalOffset, mut look: impl FnMut(&Record<'_>) -> bool) {
        let log = &self.inner.log;
        let end = log.written();
        let mut at = from.max(log.min());
        while at < end {
            let Some((base, region)) = log.region_at(at) else {
                match log.next_base(at) {
                    Some(next) => at = next,
                    None => return,
                }
                continue;
            };
            let upto = region.len().min(end.since(base) as usize);
            let mut inside = at.since(base) as usize;
            while inside < upto {
                inside = match Record::decode(&region[inside..upto]) {
                    Ok(record) if !look(&record) => return,
                    Ok(record) => inside + record.len,
                    // A blank ends the file; damage is stepped over.
                    Err(_) => recovery::next_sound(&region[..upto], base, inside).unwrap_or(upto),
                };
            }
            at = base.plus(region.len() as u64);
        }
    }

    /// Makes everything that is stored by now durable, without waiting for its time. Blocks.
    ///
    /// # Errors
    /// [`AppendError::Poisoned`]: it will never be known to be.
    pub fn flush(&self) -> Result<(), AppendError> {
        self.inner.log.flush().map(drop)
    }

    /// When the oldest message of the log was stored; `None` for an empty log.
    #[must_use]
    pub fn earliest_time(&self) -> Option<Timestamp> {
        let bytes = self.inner.record_at(self.inner.log.min())?;
        Record::decode(&bytes).ok().map(|record| record.stored)
    }

    /// The first visible message of `queue` stored at or after `time`; the queue's end if all are older.
    #[must_use]
    pub fn first_at_or_after(&self, queue: &Queue, time: Timestamp) -> QueueOffset {
        self.inner.halve(queue, |stored| stored >= time)
    }

    /// The last visible message of `queue` stored at or before `time`; the queue's start if all are newer.
    #[must_use]
    pub fn last_at_or_before(&self, queue: &Queue, time: Timestamp) -> QueueOffset {
        let after = self.inner.halve(queue, |stored| stored > time);
        QueueOffset(after.0.saturating_sub(1).max(queue.min().0))
    }

    /// Messages of `topic` that carry `key` (among `KEYS`, or as unique key) and were stored in `[from, upto]`, by
    /// their position; at most `max`, and never more than 64.
    #[must_use]
    pub fn find_by_key(
        &self,
        topic: &str,
        key: &str,
        from: Timestamp,
        upto: Timestamp,
        max: usize,
    ) -> Vec<Bytes> {
        let hash = TopicHash::new(topic).of_key(key);
        let found = self.inner.index.lock().find(hash, from, upto, max.min(MAX_FOUND));
        // The index knows a key's hash and the time to the second: what it finds may be another key, or just outside.
        let carries = |bytes: &Bytes| {
            Record::decode(bytes).is_ok_and(|record| {
                record.topic == topic
                    && (from..=upto).contains(&record.stored)
                    && MessageKeys::of(record.properties).iter().any(|carried| carried == key)
            })
        };
        found.into_iter().filter_map(|at| self.inner.record_at(at)).filter(carries).collect()
    }

    /// How far the index has come.
    #[must_use]
    pub fn indexed(&self) -> PhysicalOffset {
        PhysicalOffset(self.inner.indexed.load(Ordering::Acquire))
    }

    /// What the store counts.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let log = &self.inner.log;
        let log_max = log.written();
        let behind = if self.inner.config.index { log_max.since(self.indexed()) } else { 0 };
        Stats {
            log_min: log.min(),
            log_max,
            flushed: log.flushed(),
            flushes: log.flushes(),
            index_behind: behind,
        }
    }

    /// How long flushes of log files took since the store was opened.
    #[must_use]
    pub fn flush_times(&self) -> Times {
        self.inner.log.flush_times()
    }

    /// What was appended to all queues since the store was opened.
    #[must_use]
    pub fn appended(&self) -> Appended {
        self.inner.log.appended()
    }

    /// How full the file systems of the messages and of the rest are.
    ///
    /// # Errors
    /// As the system call.
    pub fn disk_usage(&self) -> io::Result<StoreDisks> {
        let Inner { config, host, .. } = &*self.inner;
        let rest = host.disk_usage(&config.root)?;
        let log = config.commit_log_dir.as_ref().map_or(Ok(rest), |dir| host.disk_usage(dir))?;
        Ok(StoreDisks { log, rest })
    }

    /// Looks for files to delete and at the disk now, instead of at the next interval.
    pub fn clean_up(&self) {
        self.inner.check_disk();
        retention::run(&self.inner);
    }

    /// Stops taking messages, flushes everything, writes what a clean stop leaves, and lets go of the directory.
    /// Blocks until all of that is on disk. Calling it again does nothing.
    ///
    /// # Errors
    /// What could not be written; the next start then recovers as after a crash.
    pub fn close(&self) -> io::Result<()> {
        self.inner.close()
    }
}

/// A view of how far the log is flushed.
#[derive(Clone)]
pub struct FlushWatch {
    flushed: tokio::sync::watch::Receiver<crate::commit_log::Flushed>,
    inner: Arc<Inner>,
}

impl FlushWatch {
    /// How far the log is flushed now.
    #[must_use]
    pub fn upto(&self) -> PhysicalOffset {
        self.flushed.borrow().upto
    }

    /// Waits until everything below `end` is flushed. Cancel safe.
    ///
    /// # Errors
    /// [`AppendError::Poisoned`] or [`AppendError::Closed`] if that will never be known.
    pub async fn reached(&mut self, end: PhysicalOffset) -> Result<(), AppendError> {
        let state = self.flushed.wait_for(|flushed| flushed.upto >= end || flushed.ended).await;
        match state {
            Ok(state) if state.upto >= end => Ok(()),
            _ => Err(self.inner.health.poison().unwrap_or(AppendError::Closed)),
        }
    }
}

impl Inner {
    fn start(this: &Arc<Self>) -> io::Result<()> {
        let spawn = |name: &str, work: fn(&Self)| {
            let inner = Arc::clone(this);
            std::thread::Builder::new().name(name.to_owned()).spawn(move || work(&inner))
        };
        let mut threads = this.threads.lock();
        threads.push(spawn("log-flush", |inner| {
            let config = &inner.config;
            let note = |newest| inner.checkpoint.lock().times.log = newest;
            inner.log.run_flusher(
                config.flush_interval.duration(),
                config.flush_thorough_interval.duration(),
                &inner.stop,
                note,
            );
        })?);
        threads.push(spawn("log-prepare", |inner| inner.log.run_preparer(&inner.stop))?);
        threads.push(spawn("queue-write", Self::run_queue_writer)?);
        threads.push(spawn("store-clean", |inner| {
            let begun = || inner.rounds_asked_for.load(Ordering::Relaxed) < retention::ROUNDS_ON_REQUEST;
            while !inner.stopping() {
                let interval = inner.config.clean_interval.duration();
                inner.janitor.wait(interval, || inner.stopping() || !begun());
                if !inner.stopping() {
                    inner.check_disk();
                    retention::run(inner);
                }
            }
        })?);
        if this.config.index {
            threads.push(spawn("log-index", Self::run_indexer)?);
        }
        Ok(())
    }

    pub(crate) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn read(
        &self,
        queue: &Queue,
        from: QueueOffset,
        limit: ReadLimit,
        filter: &MessageFilter,
    ) -> Result<Read, ReadError> {
        /// Entries that one read looks at when its filter lets nothing through (RocketMQ: `maxFilterMessageSize`).
        const MAX_LOOKED_AT: usize = 800;
        let (min, max) = (queue.min(), queue.max());
        if max == QueueOffset::ZERO {
            return Ok(Read::Empty);
        }
        if from < min {
            return Ok(Read::Before { min });
        }
        if from >= max {
            return Ok(if from == max { Read::AtEnd } else { Read::Beyond { max } });
        }
        let most = limit.messages.min(self.config.max_pull_count).max(1);
        let most_bytes = limit.bytes.min(self.config.max_pull_bytes.0 as usize);
        let scan =
            if *filter == MessageFilter::All { most as usize } else { MAX_LOOKED_AT.max(most as usize) };
        let entries = queue
            .entries(from, scan)
            .map_err(|source| ReadError::Io { topic: format!("{}/{}", queue.topic(), queue.id()), source })?;
        let mut found = Found { records: Vec::new(), count: 0, bytes: 0, next: from };
        let mut region: Option<(PhysicalOffset, Bytes)> = None;
        let mut run: Option<(usize, usize)> = None;
        for entry in entries {
            if entry.is_filler() || !filter.admits_tags(entry.tags) {
                found.next = found.next.plus(1);
                continue;
            }
            let len = entry.len as usize;
            if found.count > 0 && (found.count >= most || found.bytes + len > most_bytes) {
                break;
            }
            let inside = region.as_ref().is_some_and(|(base, bytes)| {
                entry.physical >= *base && entry.physical.since(*base) as usize + len <= bytes.len()
            });
            if !inside {
                if let (Some((start, end)), Some((_, bytes))) = (run.take(), &region) {
                    found.records.push(bytes.slice(start..end));
                }
                region = self.log.region_at(entry.physical);
            }
            let Some((base, bytes)) = &region else {
                // The record's file was deleted between the look at the queue and now.
                if found.count > 0 {
                    break;
                }
                found.next = found.next.plus(1);
                continue;
            };
            let start = entry.physical.since(*base) as usize;
            if start + len > bytes.len() {
                break;
            }
            if filter.reads_records() && !admits(filter, &bytes[start..start + len]) {
                found.next = found.next.plus(1);
                continue;
            }
            // Records that follow each other in the log leave as one piece.
            run = match run {
                Some((first, end)) if end == start => Some((first, start + len)),
                Some((first, end)) => {
                    found.records.push(bytes.slice(first..end));
                    Some((start, start + len))
                }
                None => Some((start, start + len)),
            };
            found.count += 1;
            found.bytes += len;
            found.next = found.next.plus(1);
        }
        if let (Some((start, end)), Some((_, bytes))) = (run, &region) {
            found.records.push(bytes.slice(start..end));
        }
        if found.count > 0 {
            return Ok(Read::Found(found));
        }
        if found.next == from {
            // An entry that should be there is not: step over it rather than stand still.
            return Ok(Read::NoMatch { next: from.plus(1).min(max) });
        }
        Ok(Read::NoMatch { next: found.next })
    }

    fn record_at(&self, at: PhysicalOffset) -> Option<Bytes> {
        let (base, region) = self.log.region_at(at)?;
        let start = at.since(base) as usize;
        let record = Record::decode(&region[start..]).ok()?;
        // An offset comes from a peer: only the start of a record says that it lies there.
        (record.physical_offset == at).then(|| region.slice(start..start + record.len))
    }

    /// The first visible offset of `queue` whose store time satisfies `is_after`, which must hold for all later ones.
    fn halve(&self, queue: &Queue, is_after: impl Fn(Timestamp) -> bool) -> QueueOffset {
        let (min, max) = (queue.min(), queue.max());
        let stored = |entry: &QueueEntry| {
            let bytes = self.record_at(entry.physical)?;
            Record::decode(&bytes).ok().map(|record| is_after(record.stored))
        };
        queue.first_where(min, max, stored).unwrap_or(max)
    }

    /// How full the disk is in percent; of two, that of the messages and that of the rest, the fuller one.
    pub(crate) fn disk_used(&self) -> io::Result<u8> {
        let root = self.host.disk_usage(&self.config.root)?.used_percent();
        let log = match &self.config.commit_log_dir {
            Some(dir) => self.host.disk_usage(dir)?.used_percent(),
            None => 0,
        };
        Ok(root.max(log))
    }

    /// Takes note of a disk that is fuller than allowed, and of one that no longer is.
    pub(crate) fn check_disk(&self) {
        let limit = self.live.read().disk_full.0;
        let root = &self.config.root;
        match self.disk_used() {
            Ok(used) => {
                let text = (used >= limit).then(|| {
                    format!(
                        "disk of {} is {used}% full, messages are refused from {limit}% on \
                         (diskSpaceWarningLevelRatio): free disk space there, or lower fileReservedTime",
                        root.display()
                    )
                });
                self.health.set_full(Full::AboveLimit, text);
            }
            Err(error) => tracing::warn!(%error, "cannot tell how full the disk is"),
        }
    }

    fn close(&self) -> io::Result<()> {
        let Some(lock) = self.lock.lock().take() else { return Ok(()) };
        self.health.set_closed();
        self.stop.store(true, Ordering::Release);
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            // A thread may be about to wait: ring until it is gone.
            while !thread.is_finished() {
                self.log.wake_threads();
                [&self.queue_writer, &self.indexer, &self.janitor].into_iter().for_each(Signal::raise);
                std::thread::park_timeout(Duration::from_micros(200));
            }
            if thread.join().is_err() {
                tracing::error!("a store thread panicked");
            }
        }
        let poison = self.health.poison();
        if let Some(error) = poison {
            return Err(io::Error::other(error));
        }
        let newest = self.log.flush().map_err(io::Error::other)?;
        if self.config.index {
            while self.index_step()? {}
            self.index.lock().flush()?;
        }
        self.checkpoint.lock().times.log = newest;
        if !self.sync_queues()? {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no room for consume queues"));
        }
        self.log.close()?;
        std::fs::remove_file(self.config.root.join("abort"))?;
        drop(lock);
        Ok(())
    }
}

/// Whether the record's properties pass. What is no record passes nowhere: its reader could not tell what it is.
fn admits(filter: &MessageFilter, record: &[u8]) -> bool {
    Record::decode(record).is_ok_and(|record| filter.admits_properties(record.properties))
}

/// Where new log files are allocated before they get their name: not in the log's directory, whose files the reference
/// broker counts, but on the same file system, or else they could not be moved there.
fn staging_beside(root: &Path, log_dir: &Path) -> io::Result<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    const NAME: &str = "next-log-file";
    std::fs::create_dir_all(log_dir)?;
    let device = std::fs::metadata(log_dir)?.dev();
    let is_near = |dir: &&Path| std::fs::metadata(dir).is_ok_and(|meta| meta.dev() == device);
    let near = [Some(root), log_dir.parent()].into_iter().flatten().find(is_near);
    // A file system of its own: what a crash leaves there for a moment, the next start removes.
    Ok(near.unwrap_or(log_dir).join(NAME))
}

fn write_abort(path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    write!(file, "{}", std::process::id())?;
    file.sync_all()
}
