//! What the store's own threads do: write queue entries out and note how far that is durable, and follow the log with the
//! key index. Flushing and preparing files is the log's own work, deleting them is `retention`'s.

use std::fs::File;
use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ferromq_model::message::SysFlag;
use ferromq_model::record::Record;
use ferromq_model::{PhysicalOffset, Timestamp};

use super::Inner;
use crate::batch::MessageKeys;
use crate::commit_log::is_full;
use crate::health::Full;
use crate::index::TopicHash;
use crate::index_feed::Next;
use crate::recovery;

/// How often written queue entries and the checkpoint are made durable while the store runs. It bounds the part of
/// the log that recovery reads again.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(10);
/// More changed queues than this are flushed by one flush of the whole file system.
const QUEUES_SYNCED_ONE_BY_ONE: usize = 64;
/// Entries in memory, over all queues, that make the queue writer start before its time.
pub(super) const WRITE_OUT_BACKLOG: u64 = 256 << 10;
/// Messages that the indexer takes in one go while it holds the index's lock.
const INDEX_STEP: usize = 4096;

impl Inner {
    /// Writes queue entries out each interval; makes them and the checkpoint durable each longer one.
    pub(super) fn run_queue_writer(&self) {
        let mut last_checkpoint = Instant::now();
        let backlog = || self.log.unwritten_entries() > WRITE_OUT_BACKLOG || self.stopping();
        while !self.stopping() {
            self.queue_writer.wait(self.config.queue_flush_interval.duration(), backlog);
            let outcome = if last_checkpoint.elapsed() >= CHECKPOINT_INTERVAL {
                last_checkpoint = Instant::now();
                self.sync_queues()
            } else {
                self.write_queues()
            };
            if let Err(error) = outcome {
                self.log.poison(error);
                return;
            }
        }
    }

    /// Writes all waiting entries out. What a full disk refuses stays in memory and is tried again; the answer is then
    /// no.
    pub(super) fn write_queues(&self) -> io::Result<bool> {
        let mut full = false;
        for queue in self.log.take_dirty_queues() {
            match queue.write_out() {
                Ok(_) => {}
                Err(error) if is_full(&error) => {
                    full = true;
                    self.log.put_back_dirty_queue(queue);
                }
                Err(_) if queue.is_retired() => {}
                Err(error) => return Err(error),
            }
        }
        let dir = self.queues.root().display();
        self.health.set_full(
            Full::NoQueueSpace,
            full.then(|| {
                format!(
                    "no room for consume queues in {dir}: free disk space there, or lower fileReservedTime"
                )
            }),
        );
        Ok(!full)
    }

    /// Makes all queue entries durable and says so in the checkpoint; where a full disk refused some, it says nothing
    /// and the answer is no.
    pub(super) fn sync_queues(&self) -> io::Result<bool> {
        // Everything stored up to this time has its entry in memory or in a file, and the rest is written below.
        let newest = self.log.last_stored();
        if !self.write_queues()? {
            return Ok(false);
        }
        // Asked of the queues themselves, so that those which recovery wrote are among them.
        let unsynced: Vec<_> = self
            .queues
            .all()
            .into_iter()
            .filter_map(|queue| queue.unsynced().map(|upto| (queue, upto)))
            .collect();
        if unsynced.len() > QUEUES_SYNCED_ONE_BY_ONE {
            rustix::fs::syncfs(File::open(self.queues.root())?)?;
            unsynced.iter().for_each(|(queue, upto)| queue.note_synced(*upto));
        } else {
            for (queue, _) in &unsynced {
                queue.sync()?;
            }
        }
        match self.note_progress(newest) {
            Ok(()) => Ok(true),
            // What is noted already stays true: recovery has a little more to read.
            Err(error) if is_full(&error) => {
                tracing::warn!(%error, "no room to note how far the store has come");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Says in checkpoint and manifest that all messages stored up to `newest` have durable queue entries.
    fn note_progress(&self, newest: Timestamp) -> io::Result<()> {
        {
            let mut checkpoint = self.checkpoint.lock();
            checkpoint.times.queues = newest;
            checkpoint.times.index = self.index.lock().durable();
            checkpoint.times.confirm = self.log.last_record();
            checkpoint.write()?;
        }
        let mut noted = self.noted.lock();
        if self.stopping() || noted.queues != Some(self.queues.count_with_messages()) {
            self.write_manifest(&mut noted)?;
        }
        Ok(())
    }

    /// Follows the log and puts the keys of its messages into the index.
    pub(super) fn run_indexer(&self) {
        /// How often the indexer looks at a log that grows slowly: lookups are not that urgent.
        const INTERVAL: Duration = Duration::from_millis(20);
        while !self.stopping() {
            match self.index_step() {
                Ok(true) => {}
                Ok(false) => self.indexer.wait(INTERVAL, || self.stopping()),
                Err(error) => {
                    if is_full(&error) {
                        tracing::warn!(%error, "no room for the next index file: messages are not found by key for now");
                    } else {
                        tracing::error!(%error, "cannot write the index: messages are not found by key for now");
                    }
                    self.indexer.wait(CHECKPOINT_INTERVAL, || self.stopping());
                }
            }
        }
    }

    /// Indexes some messages; `false` when there are none left.
    pub(super) fn index_step(&self) -> io::Result<bool> {
        let Some(feed) = self.log.index_feed() else { return Ok(false) };
        let indexed = self.indexed.load(Ordering::Acquire).max(self.log.min().0);
        let readable = self.log.readable();
        if indexed >= readable.0 {
            return Ok(false);
        }
        match feed.next(PhysicalOffset(indexed), readable) {
            Next::ReadUpTo(upto) => self.index_from_log(indexed, upto.0),
            Next::Put(keys, upto) => {
                let mut index = self.index.lock();
                for (i, key) in keys.iter().enumerate() {
                    if let Err(error) = index.put(&*self.host, key.hash, key.physical, key.stored) {
                        // The rest is read from the log again, from this message on.
                        feed.give_up(upto);
                        self.indexed.store(keys[i].physical.0, Ordering::Release);
                        return Err(error);
                    }
                }
                self.indexed.store(upto.0, Ordering::Release);
                Ok(true)
            }
        }
    }

    /// Indexes some messages of `at..upto` by reading them.
    fn index_from_log(&self, mut at: u64, upto: u64) -> io::Result<bool> {
        let Some((base, region)) = self.log.region_at(PhysicalOffset(at)) else {
            // Files are missing there.
            let Some(next) = self.log.next_base(PhysicalOffset(at)) else { return Ok(false) };
            self.indexed.store(next.0, Ordering::Release);
            return Ok(true);
        };
        let end = region.len().min((upto - base.0) as usize);
        let mut topic = (String::new(), TopicHash::new(""));
        let mut index = self.index.lock();
        let mut inside = (at - base.0) as usize;
        for _ in 0..INDEX_STEP {
            if inside >= end {
                break;
            }
            let record = match Record::decode(&region[inside..end]) {
                Ok(record) => record,
                Err(_) => {
                    // A blank ends the file; damage was reported by recovery.
                    inside = recovery::next_sound(&region[..end], base, inside).unwrap_or(end);
                    continue;
                }
            };
            if record.sys_flag.0 & SysFlag::TRANSACTION_MASK != SysFlag::TRANSACTION_ROLLBACK {
                if topic.0 != record.topic {
                    topic = (record.topic.to_owned(), TopicHash::new(record.topic));
                }
                for key in MessageKeys::of(record.properties).iter() {
                    index.put(&*self.host, topic.1.of_key(key), record.physical_offset, record.stored)?;
                }
            }
            inside += record.len;
            at = base.0 + inside as u64;
            self.indexed.store(at, Ordering::Release);
        }
        self.indexed.store(base.0 + inside as u64, Ordering::Release);
        Ok(true)
    }
}
