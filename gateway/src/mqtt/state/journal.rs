//! The thread that writes: changes of many sessions become one batch and, where the flush mode says so, one sync.
//!
//! ```text
//! commit ──▶ rows that somebody waits for ─┐                      ┌─▶ each Durable resolves
//!                                          ├─▶ batch ─▶ (sync) ───┤
//! later ───▶ rows that may be a second old ┘                      └─▶ the watermark rises
//! ```
//! Always true:
//! * of one key only the newest value waits, in one of the two places: a commit takes what waits to be written later with
//!   it, and what comes later is written behind it;
//! * a batch holds whole commits, so a commit is kept wholly or not at all;
//! * the watermark rises only in a batch with all rows of records below it;
//! * after one failure nothing is written any more, and everybody who waits, or comes, is told.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferromq_model::PhysicalOffset;
use ferromq_model::histogram::{Histogram, Times};
use ferromq_store::FlushMode;
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::Log;
use super::database::{Database, RowKey, Space};
use super::layout::{self, Layout as _, Meta, NOBODY, Table};
use super::values::{Retained, SessionNumber};

/// How old a change may be that nobody waits for; also how long a written row may wait for its sync where nobody waits
/// for that.
const LATER: Duration = Duration::from_secs(1);
/// How many rows, and bytes of rows, wait for that time at most.
const MAX_LATER_ROWS: usize = 64 << 10;
const MAX_LATER_BYTES: usize = 8 << 20;
/// How often the watermark follows a log that holds nothing for us, so that recovery does not read it all.
const FOLLOW_LOG: Duration = Duration::from_secs(5);

/// Why nothing is kept any more: only a restart ends this.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Stopped {
    /// A write or a sync failed, so what the disk holds is unknown.
    #[error("MQTT state stopped after a failed write: {0}")]
    Failed(Arc<fjall::Error>),
    /// It was closed.
    #[error("MQTT state is closed")]
    Closed,
}

#[derive(Clone, Debug, Default)]
struct Progress {
    /// Commits up to this number are as safe as promised.
    done: u64,
    stopped: Option<Stopped>,
}

/// A commit that is being made as safe as the flush mode promises: against the death of this process, or with sync flush
/// against a power cut. What was committed is written whether this is awaited or dropped.
#[must_use = "nothing may be acknowledged before it is safe"]
#[derive(Clone, Debug)]
pub struct Durable {
    number: u64,
    progress: watch::Receiver<Progress>,
}

impl Durable {
    /// Waits until it is safe.
    ///
    /// # Errors
    /// [`Stopped`]: it may or may not be kept, nobody knows.
    pub async fn wait(mut self) -> Result<(), Stopped> {
        let number = self.number;
        match self.progress.wait_for(|at| at.done >= number || at.stopped.is_some()).await {
            Ok(at) if at.done >= number => Ok(()),
            Ok(at) => Err(at.stopped.clone().unwrap_or(Stopped::Closed)),
            Err(_) => Err(Stopped::Closed),
        }
    }

    /// Says that it needs nobody's attention: the next one that is awaited covers it.
    pub fn leave(self) {}
}

/// Rows that wait. None is a row that is to be removed.
pub(super) type Rows = BTreeMap<RowKey, Option<Vec<u8>>>;

/// What one commit, or one change that may wait, consists of.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) rows: Vec<(RowKey, Option<Vec<u8>>)>,
    /// Sessions of which every row but the will goes.
    pub(super) ended: Vec<SessionNumber>,
    /// Packet identifiers that were released, with their records.
    pub(super) released: Vec<(Vec<u8>, PhysicalOffset)>,
}

impl Batch {
    /// A row of the keyspace `sessions`.
    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.rows.push(((Space::Sessions, key), Some(value)));
    }

    pub(super) fn remove(&mut self, key: Vec<u8>) {
        self.rows.push(((Space::Sessions, key), None));
    }

    pub(super) fn retain(&mut self, topic: &str, message: Option<&Retained>) {
        let key = (Space::Retained, topic.as_bytes().to_vec());
        self.rows.push((key, message.map(|message| message.encode())));
    }

    /// The last change of each key.
    pub(super) fn into_rows(self) -> Rows {
        self.rows.into_iter().collect()
    }

    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.ended.is_empty()
    }
}

#[derive(Default)]
struct Pending {
    /// Rows of commits, and the number of the last of these.
    rows: Rows,
    ended: Vec<SessionNumber>,
    last: u64,
    /// Rows that may wait, since when, and how large they are.
    later: Rows,
    later_since: Option<Instant>,
    later_bytes: usize,
    /// What may wait is to be written now.
    hurry: bool,
    /// Released packet identifiers whose rows go once the watermark is beyond their records.
    released: HashMap<Vec<u8>, PhysicalOffset>,
    /// Where the log ended when those began whose records may not have their rows yet.
    floors: BTreeMap<PhysicalOffset, usize>,
    closing: bool,
}

impl Pending {
    /// Takes a commit's rows.
    fn commit(&mut self, batch: Batch) -> u64 {
        self.take_along(&batch.rows);
        self.end(batch.ended);
        for (key, value) in batch.rows {
            self.forget_later(&key);
            self.released.remove(&key.1);
            self.rows.insert(key, value);
        }
        self.released.extend(batch.released);
        self.last += 1;
        self.last
    }

    /// Lets what waits of the same sessions be written with these rows: one of them may say of a message that its own row,
    /// which still waits, has it. A group's row says so of its members' messages, whoever they are.
    fn take_along(&mut self, rows: &[(RowKey, Option<Vec<u8>>)]) {
        let mut sessions: Vec<_> = rows
            .iter()
            .filter(|((space, _), _)| *space == Space::Sessions)
            .map(|((_, key), _)| &key[..8])
            .collect();
        sessions.sort_unstable();
        sessions.dedup();
        if sessions.iter().any(|session| **session == layout::key(NOBODY, Table::Group, b"")[..8]) {
            self.rows.append(&mut self.later);
            self.later_bytes = 0;
            return;
        }
        for session in sessions {
            let from = (Space::Sessions, session.to_vec());
            let waiting = self.later.range((Bound::Included(&from), Bound::Unbounded));
            let own =
                waiting.take_while(|((space, key), _)| *space == Space::Sessions && key[..8] == *session);
            let keys: Vec<_> = own.map(|(key, _)| key.clone()).collect();
            for key in keys {
                if let Some(value) = self.later.remove(&key) {
                    self.later_bytes -= size(&key, value.as_ref());
                    self.rows.insert(key, value);
                }
            }
        }
    }

    fn later(&mut self, batch: Batch) {
        self.end(batch.ended);
        for (key, value) in batch.rows {
            self.forget_later(&key);
            self.released.remove(&key.1);
            self.later_bytes += size(&key, value.as_ref());
            self.later.insert(key, value);
        }
        self.released.extend(batch.released);
        self.later_since.get_or_insert_with(Instant::now);
    }

    fn forget_later(&mut self, key: &RowKey) {
        if let Some(value) = self.later.remove(key) {
            self.later_bytes -= size(key, value.as_ref());
        }
    }

    /// Drops what waits of sessions that end, but for their wills.
    fn end(&mut self, ended: Vec<SessionNumber>) {
        for session in &ended {
            let from = (Space::Sessions, layout::key(*session, Table::Session, b""));
            let own = move |key: &RowKey| key.0 == Space::Sessions && key.1[..8] == from.1[..8];
            let from = (Space::Sessions, layout::key(*session, Table::Session, b""));
            let keys = |rows: &Rows| -> Vec<RowKey> {
                let mut keys: Vec<_> = rows
                    .range((Bound::Included(&from), Bound::Unbounded))
                    .map(|(key, _)| key.clone())
                    .take_while(&own)
                    .collect();
                keys.retain(|key| key.1[8] != Table::Will as u8);
                keys
            };
            for key in keys(&self.later) {
                self.forget_later(&key);
            }
            for key in keys(&self.rows) {
                self.rows.remove(&key);
            }
            self.released.retain(|key, _| key[..8] != from.1[..8]);
        }
        self.ended.extend(ended);
    }

    fn has_commits(&self) -> bool {
        !self.rows.is_empty() || !self.ended.is_empty()
    }

    /// How long what may wait still may; none when nothing waits.
    fn later_in(&self) -> Option<Duration> {
        let since = self.later_since?;
        let full = self.later.len() >= MAX_LATER_ROWS || self.later_bytes >= MAX_LATER_BYTES;
        Some(if full || self.hurry || self.closing {
            Duration::ZERO
        } else {
            LATER.saturating_sub(since.elapsed())
        })
    }

    /// Up to where everything that the log says is among the rows here, or was.
    fn certain(&self, log_end: PhysicalOffset) -> PhysicalOffset {
        self.floors.keys().next().map_or(log_end, |floor| log_end.min(*floor))
    }

    fn has_rows_of(&self, session: SessionNumber) -> bool {
        let from = (Space::Sessions, layout::key(session, Table::Session, b""));
        let first = self.later.range((Bound::Included(&from), Bound::Unbounded)).next();
        first.is_some_and(|(key, _)| key.0 == Space::Sessions && key.1[..8] == from.1[..8])
    }
}

fn size(key: &RowKey, value: Option<&Vec<u8>>) -> usize {
    key.1.len() + value.map_or(0, Vec::len)
}

/// What the thread and those who commit share.
struct Shared {
    database: Arc<Database>,
    log: Arc<dyn Log>,
    flush: FlushMode,
    pending: Mutex<Pending>,
    wake: Condvar,
    progress: watch::Sender<Progress>,
    next_number: AtomicU64,
    /// How long commits took that somebody may wait for.
    took: Histogram,
}

/// The journal: takes changes, and owns the thread that writes them.
pub(super) struct Journal {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    pub(super) fn start(
        database: Arc<Database>,
        log: Arc<dyn Log>,
        flush: FlushMode,
        meta: Meta,
        released: HashMap<Vec<u8>, PhysicalOffset>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            database,
            log,
            flush,
            pending: Mutex::new(Pending { released, ..Pending::default() }),
            wake: Condvar::new(),
            progress: watch::Sender::new(Progress::default()),
            next_number: meta.next_number.into(),
            took: Histogram::default(),
        });
        let thread = std::thread::Builder::new().name("mqtt-state".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || {
                let _told = TellsOfItsEnd(&shared);
                shared.run(meta);
            }
        })?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// How long commits took.
    pub(super) fn commit_times(&self) -> Times {
        self.shared.took.reading()
    }

    /// A number that no session had.
    pub(super) fn next_number(&self) -> u64 {
        self.shared.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// Writes a batch as soon as possible.
    pub(super) fn commit(&self, batch: Batch) -> Durable {
        if batch.is_empty() {
            return self.durable(0);
        }
        if self.stopped().is_some() {
            return self.durable(u64::MAX);
        }
        let number = self.shared.pending.lock().commit(batch);
        self.shared.wake.notify_one();
        self.durable(number)
    }

    /// Writes a batch within [`LATER`].
    pub(super) fn later(&self, batch: Batch) {
        if batch.is_empty() || self.stopped().is_some() {
            return;
        }
        let mut pending = self.shared.pending.lock();
        let first = pending.later_since.is_none();
        pending.later(batch);
        if first || pending.later_in() == Some(Duration::ZERO) {
            self.shared.wake.notify_one();
        }
    }

    /// Everything that was handed over so far.
    pub(super) fn flush(&self) -> Durable {
        let mut pending = self.shared.pending.lock();
        let number = pending.hurry_up();
        drop(pending);
        self.shared.wake.notify_one();
        self.durable(number)
    }

    /// Everything of one session that was handed over so far, so that its rows can be read.
    pub(super) fn settle(&self, session: SessionNumber) -> Durable {
        let mut pending = self.shared.pending.lock();
        let number = if pending.has_rows_of(session) { pending.hurry_up() } else { pending.last };
        drop(pending);
        self.shared.wake.notify_one();
        self.durable(number)
    }

    fn durable(&self, number: u64) -> Durable {
        Durable { number, progress: self.shared.progress.subscribe() }
    }

    /// Up to where nothing can come any more that the log says.
    pub(super) fn certain(&self) -> PhysicalOffset {
        let end = self.shared.log.end();
        self.shared.pending.lock().certain(end)
    }

    /// Holds the watermark below everything that is appended to the log from now on.
    pub(super) fn hold(&self) -> PhysicalOffset {
        let floor = self.shared.log.end();
        *self.shared.pending.lock().floors.entry(floor).or_default() += 1;
        floor
    }

    /// Ends a [`Journal::hold`]: what it was for is among the rows, or was never appended.
    pub(super) fn release(&self, floor: PhysicalOffset) {
        let mut pending = self.shared.pending.lock();
        if let Some(count) = pending.floors.get_mut(&floor) {
            *count -= 1;
            if *count == 0 {
                pending.floors.remove(&floor);
            }
        }
    }

    /// Why it stopped, if it did.
    pub(super) fn stopped(&self) -> Option<Stopped> {
        self.shared.progress.borrow().stopped.clone()
    }

    /// Writes what waits, syncs, and ends the thread. Blocking.
    pub(super) fn close(&self) -> Result<(), Stopped> {
        self.shared.pending.lock().closing = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            // It does not panic; if it did, nobody was told that all is written.
            let _ = thread.join();
        }
        match self.stopped() {
            Some(Stopped::Closed) => Ok(()),
            Some(failed) => Err(failed),
            None => Err(Stopped::Closed),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

impl Pending {
    fn hurry_up(&mut self) -> u64 {
        if self.later_since.is_some() {
            self.hurry = true;
            self.last += 1;
        }
        self.last
    }
}

/// Tells those who wait that nobody writes any more, also if the thread should panic.
struct TellsOfItsEnd<'a>(&'a Shared);

impl Drop for TellsOfItsEnd<'_> {
    fn drop(&mut self) {
        if self.0.progress.borrow().stopped.is_none() {
            self.0.stop(Stopped::Failed(Arc::new(fjall::Error::Poisoned)));
        }
    }
}

/// What the thread takes in one go.
struct Taken {
    rows: Rows,
    ended: Vec<SessionNumber>,
    last: u64,
    /// Up to where the log is certain, if what may wait was taken too.
    certain: Option<PhysicalOffset>,
    closing: bool,
}

impl Shared {
    /// Writes until it is closed or something fails.
    fn run(&self, mut meta: Meta) {
        let mut unsynced: Option<Instant> = None;
        loop {
            let taken = self.take(meta.watermark, unsynced);
            let closing = taken.closing;
            if let Err(error) = self.write(taken, &mut meta, &mut unsynced) {
                tracing::error!(dir = %self.database.dir().display(), %error, "MQTT state stopped");
                self.stop(Stopped::Failed(Arc::new(error)));
                return;
            }
            if closing {
                self.stop(Stopped::Closed);
                return;
            }
        }
    }

    fn stop(&self, why: Stopped) {
        self.progress.send_modify(|at| at.stopped = Some(why));
    }

    /// Waits until there is something to write or to sync, and takes it.
    fn take(&self, watermark: PhysicalOffset, unsynced: Option<Instant>) -> Taken {
        let mut pending = self.pending.lock();
        loop {
            let later_in = pending.later_in();
            let sync_in = unsynced.map(|since| LATER.saturating_sub(since.elapsed()));
            let due = |span: Option<Duration>| span == Some(Duration::ZERO);
            if pending.has_commits() || pending.closing || due(later_in) || due(sync_in) {
                break;
            }
            let wait = later_in.into_iter().chain(sync_in).min().unwrap_or(FOLLOW_LOG);
            let timed_out = self.wake.wait_for(&mut pending, wait).timed_out();
            if timed_out && later_in.is_none() && sync_in.is_none() && self.log.end() != watermark {
                break;
            }
        }
        // The log's end is read before the floors: a record below it was appended before, and so held the watermark
        // before, or has its row here.
        let due = pending.later_in().is_none_or(|left| left == Duration::ZERO);
        let certain = (due || pending.closing).then(|| pending.certain(self.log.end()));
        let mut rows = std::mem::take(&mut pending.rows);
        if certain.is_some() {
            rows.append(&mut pending.later);
            (pending.later_since, pending.later_bytes, pending.hurry) = (None, 0, false);
        }
        if let Some(certain) = certain {
            let gone: Vec<_> = pending.released.extract_if(|_, at| *at < certain).collect();
            for (key, _) in gone {
                rows.insert((Space::Sessions, key), None);
            }
        }
        let ended = std::mem::take(&mut pending.ended);
        Taken { rows, ended, last: pending.last, certain, closing: pending.closing }
    }

    fn write(
        &self,
        taken: Taken,
        meta: &mut Meta,
        unsynced: &mut Option<Instant>,
    ) -> Result<(), fjall::Error> {
        let Taken { mut rows, ended, last, certain, closing } = taken;
        for session in ended {
            let prefix = layout::key(session, Table::Session, b"");
            for row in self.database.rows(Space::Sessions, &prefix[..8]) {
                let (key, _) = row?;
                if key[8] != Table::Will as u8 {
                    rows.insert((Space::Sessions, key.to_vec()), None);
                }
            }
        }
        let began = Instant::now();
        let is_empty = rows.is_empty();
        let now = Meta {
            watermark: certain.map_or(meta.watermark, |at| at.max(meta.watermark)),
            next_number: self.next_number.load(Ordering::Relaxed),
        };
        if now != *meta {
            rows.insert((Space::Sessions, layout::key(NOBODY, Table::Meta, b"")), Some(now.encode()));
        }
        if !rows.is_empty() {
            self.database.write(rows.into_iter())?;
            *meta = now;
            unsynced.get_or_insert_with(Instant::now);
        }
        let waited_for = !is_empty && self.progress.borrow().done < last;
        let overdue = unsynced.is_some_and(|since| since.elapsed() >= LATER);
        if unsynced.is_some() && (closing || overdue || (waited_for && self.flush == FlushMode::Sync)) {
            self.database.sync()?;
            *unsynced = None;
        }
        if waited_for {
            self.took.took(began.elapsed(), 1);
        }
        self.progress.send_if_modified(|at| std::mem::replace(&mut at.done, last) != last);
        Ok(())
    }
}
