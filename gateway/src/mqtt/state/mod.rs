//! What MQTT sessions must not forget: who they are, what they subscribed to and how far they read it, what is on its way
//! in either direction under a packet identifier, and their wills; and the retained message of each topic. Bodies of all
//! other messages stay in the commit log.
//!
//! ```text
//! connection ── commit(changes) ──▶ journal ──▶ fjall in <store>/mqtt      awaited before what the client relies on
//!            ── later(changes) ───▶    "                                   at most a second later
//!            ◀─ connect: Loaded ──────────────── "
//! commit log ── replay from the watermark ─▶ identifiers of QoS 2 messages that came in, retained messages, wills that
//!                                           were published: see [`recovery`]
//! ```
//! Always true:
//! * what [`Durable::wait`] said is safe survives the death of this process, and with sync flush a power cut;
//! * a commit is kept wholly or not at all, and never without those made before it;
//! * a session that ends with its connection leaves nothing behind but its will;
//! * a restart counts as the loss of every connection: deadlines and wills run from then on;
//! * after a failed write nothing is kept any more: every wait says so.
//!
//! Who holds a connection keeps the session's state in memory itself, loaded once, and says here what changed. Calls for
//! one client must not overlap: whoever takes a session over waits until the connection before it is gone.

mod database;
mod journal;
mod layout;
mod lifecycle;
mod load;
mod recovery;
mod retained;
mod sessions;
#[cfg(test)]
mod tests;
mod torn;
mod values;

use std::path::PathBuf;
use std::sync::Arc;

use ferromq_model::histogram::Times;
use ferromq_model::record::Record;
use ferromq_model::{PhysicalOffset, QueueOffset, Timestamp};
use ferromq_store::{FlushMode, Store};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use database::{Database, Space};
use journal::{Batch, Journal};
use layout::{Layout as _, NOBODY, Table};
use recovery::Recovered;
use retained::{Outcome, RetainedMessages};
use sessions::Sessions;

pub use database::OpenError;
pub use journal::{Durable, Stopped};
pub use layout::BadRow;
pub use lifecycle::{Connect, ConnectError, Connected, Ended};
pub use load::{LoadError, Loaded};
pub use retained::{RetainError, RetainLimits};
pub use values::{
    Change, Expiry, Inbound, Outbound, Phase, Presence, Retained, Session, SessionNumber, SharedGroup,
    Source, Subscription, Will,
};

/// The commit log, as far as it concerns sessions.
pub trait Log: Send + Sync + 'static {
    /// Where the next record will lie.
    fn end(&self) -> PhysicalOffset;
    /// Looks at each record from `from` on, until `look` says no.
    fn each_record(&self, from: PhysicalOffset, look: &mut dyn FnMut(&Record<'_>) -> bool);
}

impl Log for Store {
    fn end(&self) -> PhysicalOffset {
        self.stats().log_max
    }

    fn each_record(&self, from: PhysicalOffset, look: &mut dyn FnMut(&Record<'_>) -> bool) {
        Store::each_record(self, from, look);
    }
}

/// How the state is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory, made when it does not exist.
    pub dir: PathBuf,
    /// What [`Durable::wait`] waits for: the kernel, or the disk.
    pub flush: FlushMode,
    /// The most sessions there may be.
    pub sessions: usize,
    /// How much is retained. What is more than that is not kept at the next start either.
    pub retain: RetainLimits,
}

/// The state of all sessions: a handle.
#[derive(Clone)]
pub struct State {
    inner: Arc<Inner>,
}

struct Inner {
    database: Arc<Database>,
    log: Arc<dyn Log>,
    journal: Journal,
    sessions: Mutex<Sessions>,
    /// The most of them.
    most: usize,
    /// Whose turn it is: see [`State::will_turn`].
    wills: tokio::sync::Mutex<()>,
    retained: RwLock<RetainedMessages>,
    /// Read by those who are at retaining a message: see [`State::retaining`].
    retaining: RwLock<()>,
}

/// Says that a message is about to be appended which this state is to know of: see [`State::publishing`].
pub struct Publishing {
    inner: Arc<Inner>,
    floor: PhysicalOffset,
}

impl Drop for Publishing {
    fn drop(&mut self) {
        self.inner.journal.release(self.floor);
    }
}

impl State {
    /// Opens what is kept. `found` is told each subscription, and says where its queue ends: positions beyond it are of
    /// messages that a power cut took. Every session counts as having lost its connection at `now`. Blocking.
    ///
    /// # Errors
    /// [`OpenError`]. Nothing was changed that a later try would miss.
    pub fn open(
        options: &Options,
        log: Arc<dyn Log>,
        now: Timestamp,
        mut found: impl FnMut(SessionNumber, &Arc<str>, &Subscription) -> Option<QueueOffset>,
    ) -> Result<Self, OpenError> {
        let database = Arc::new(Database::open(&options.dir)?);
        let Recovered { meta, sessions, retained, released, batch, .. } =
            Recovered::read(&database, &*log, options.retain, now, &mut found)?;
        database.write_at_once(batch.into_rows())?;
        let journal = Journal::start(Arc::clone(&database), Arc::clone(&log), options.flush, meta, released)?;
        let (sessions, retained) = (Mutex::new(sessions), RwLock::new(retained));
        let (most, wills) = (options.sessions, tokio::sync::Mutex::default());
        let retaining = RwLock::default();
        let inner = Inner { database, log, journal, sessions, most, wills, retained, retaining };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Writes what waits, makes it safe, and ends. Blocking.
    ///
    /// # Errors
    /// [`Stopped::Failed`] if a write failed, now or before.
    pub fn close(&self) -> Result<(), Stopped> {
        self.inner.journal.close()
    }

    /// How many sessions there are, with and without a connection.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.inner.sessions.lock().len()
    }

    /// The session of a client.
    #[must_use]
    pub fn find(&self, client_id: &str) -> Option<SessionNumber> {
        self.inner.sessions.lock().find(client_id)
    }

    /// What is known of a session.
    #[must_use]
    pub fn session(&self, number: SessionNumber) -> Option<Session> {
        self.inner.sessions.lock().session(number).cloned()
    }

    /// Looks at every session, in no order. No other session is changed meanwhile.
    pub fn each_session(&self, mut look: impl FnMut(SessionNumber, &Session)) {
        self.inner.sessions.lock().each().for_each(|(number, session)| look(number, session));
    }

    /// Makes changes as one: all of them are kept, or none.
    pub fn commit(&self, changes: impl IntoIterator<Item = Change>) -> Durable {
        self.inner.journal.commit(self.batch(changes))
    }

    /// Makes changes whose loss costs no more than a repetition: they are kept within a second.
    pub fn later(&self, changes: impl IntoIterator<Item = Change>) {
        self.inner.journal.later(self.batch(changes));
    }

    /// Everything that was changed so far.
    pub fn flush(&self) -> Durable {
        self.inner.journal.flush()
    }

    /// To be held from before a message is appended that is of QoS 2, retained, or a will, until what follows from it was
    /// said here: until then recovery will look for its record. Dropped also if it was not appended.
    #[must_use = "recovery looks for the record only while this is held"]
    pub fn publishing(&self) -> Publishing {
        Publishing { inner: Arc::clone(&self.inner), floor: self.inner.journal.hold() }
    }

    /// To be held from before a message that is to be retained is appended until it is retained. A subscriber whose position
    /// lies behind a message that is appended and not yet retained would get it from neither: [`State::retained_matching`]
    /// waits for this.
    #[must_use = "others wait while this is held"]
    pub fn retaining(&self) -> RwLockReadGuard<'_, ()> {
        self.inner.retaining.read()
    }

    /// Retains a message that the log has, in place of the topic's, unless that one lies behind it. The log keeps it until
    /// it is written.
    ///
    /// # Errors
    /// [`RetainError`]: the topic has no retained message any more.
    pub fn retain(&self, topic: &Arc<str>, message: Retained) -> Result<(), RetainError> {
        let mut batch = Batch::default();
        let certain = self.inner.journal.certain();
        let mut retained = self.inner.retained.write();
        let message = Arc::new(message);
        let outcome = retained.put(topic, Arc::clone(&message), certain);
        match outcome {
            Outcome::Kept => batch.retain(topic, Some(&message)),
            Outcome::NoRoom => batch.retain(topic, None),
            Outcome::Late => return Ok(()),
        }
        // Under the lock, so that rows follow each other as the messages do.
        self.inner.journal.later(batch);
        if outcome == Outcome::NoRoom { Err(RetainError(retained.limits())) } else { Ok(()) }
    }

    /// Removes the retained message of a topic because of the empty message at `at`, unless it lies behind that.
    pub fn clear_retained(&self, topic: &Arc<str>, at: PhysicalOffset) {
        let mut batch = Batch::default();
        let certain = self.inner.journal.certain();
        let mut retained = self.inner.retained.write();
        if retained.clear(topic, at, certain) {
            batch.retain(topic, None);
            self.inner.journal.later(batch);
        }
    }

    /// Forgets up to `limit` retained messages that have expired. Says how many it were.
    pub fn expire_retained(&self, now: Timestamp, limit: usize) -> usize {
        let mut batch = Batch::default();
        let mut retained = self.inner.retained.write();
        let expired = retained.expire(now, limit);
        expired.iter().for_each(|topic| batch.retain(topic, None));
        self.inner.journal.later(batch);
        expired.len()
    }

    /// The retained message of a topic.
    #[must_use]
    pub fn retained(&self, topic: &Arc<str>, now: Timestamp) -> Option<Arc<Retained>> {
        self.inner.retained.read().of(topic, now)
    }

    /// The retained messages of all topics that a filter matches, without `$share/…`, in the order of their levels; and
    /// among them every one that was appended before this call.
    #[must_use]
    pub fn retained_matching(&self, filter: &str, now: Timestamp) -> Vec<(Arc<str>, Arc<Retained>)> {
        drop(self.inner.retaining.write());
        self.inner.retained.read().matching(filter, now)
    }

    /// Up to `max` retained messages whose topics begin with `prefix`, in the order of their levels, behind the topic `after`.
    #[must_use]
    pub fn retained_page(
        &self,
        prefix: &str,
        after: Option<&str>,
        now: Timestamp,
        max: usize,
    ) -> Vec<(Arc<str>, Arc<Retained>)> {
        self.inner.retained.read().page(prefix, after, now, max)
    }

    /// How long it took to write commits, with sync flush until the disk had them.
    #[must_use]
    pub fn commit_times(&self) -> Times {
        self.inner.journal.commit_times()
    }

    /// Where the next record of the log will lie.
    #[must_use]
    pub fn log_end(&self) -> PhysicalOffset {
        self.inner.log.end()
    }

    /// How many messages are retained, and how many bytes they take.
    #[must_use]
    pub fn retained_size(&self) -> (usize, usize) {
        let retained = self.inner.retained.read();
        (retained.len(), retained.bytes())
    }

    fn batch(&self, changes: impl IntoIterator<Item = Change>) -> Batch {
        let mut batch = Batch::default();
        for change in changes {
            match change {
                Change::NoWill { session } => {
                    lifecycle::set_will(&mut self.inner.sessions.lock(), &mut batch, session, None);
                }
                Change::Group { filter, group } => {
                    let key = layout::filter_key(NOBODY, Table::Group, &filter);
                    let value = group.map(|group| layout::encode_under(&filter, &group));
                    batch.rows.push(((Space::Sessions, key), value));
                }
                Change::Subscription { session, filter, subscription } if !session.is_transient() => {
                    let key = layout::filter_key(session, Table::Subscription, &filter);
                    batch.put(key, layout::encode_under(&filter, &subscription));
                }
                Change::Unsubscribed { session, filter } if !session.is_transient() => {
                    batch.remove(layout::filter_key(session, Table::Subscription, &filter));
                }
                Change::Outbound { session, packet_id, outbound } if !session.is_transient() => {
                    let key = layout::key(session, Table::Outbound, &packet_id.to_be_bytes());
                    batch.put(key, outbound.encode());
                }
                Change::Complete { session, packet_id } if !session.is_transient() => {
                    batch.remove(layout::key(session, Table::Outbound, &packet_id.to_be_bytes()));
                }
                Change::Inbound { session, packet_id, inbound } if !session.is_transient() => {
                    let key = layout::key(session, Table::Inbound, &packet_id.to_be_bytes());
                    if let Inbound::Released(at) = inbound {
                        batch.released.push((key.clone(), at));
                    }
                    batch.put(key, inbound.encode());
                }
                // The session ends with its connection, and with it all this.
                Change::Subscription { .. }
                | Change::Unsubscribed { .. }
                | Change::Outbound { .. }
                | Change::Complete { .. }
                | Change::Inbound { .. } => {}
            }
        }
        batch
    }
}
