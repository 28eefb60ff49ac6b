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
mod recovery;
mod retained;
mod sessions;
#[cfg(test)]
mod tests;
mod torn;
mod values;

use std::path::PathBuf;
use std::sync::Arc;

use ferromq_model::record::Record;
use ferromq_model::{PhysicalOffset, Timestamp};
use ferromq_store::{FlushMode, Store};
use parking_lot::{Mutex, RwLock};

use database::{Database, Space};
use journal::{Batch, Journal};
use layout::{Layout as _, NOBODY, Table};
use recovery::Recovered;
use retained::{Outcome, RetainedMessages};
use sessions::{Sessions, WillTimes};

pub use database::OpenError;
pub use journal::{Durable, Stopped};
pub use layout::BadRow;
pub use recovery::marks;
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
    /// How much is retained. What is more than that is not kept at the next start either.
    pub retain: RetainLimits,
}

/// Everything that a session resumes with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Its subscriptions, in the order of their filters.
    pub subscriptions: Vec<(Arc<str>, Subscription)>,
    /// What is on its way to the client, by packet identifier, in the order it was first sent.
    pub outbound: Vec<(u16, Outbound)>,
    /// Packet identifiers of QoS 2 messages from the client that were not released, with their records.
    pub inbound: Vec<(u16, PhysicalOffset)>,
}

/// A session that is no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Which.
    pub number: SessionNumber,
    /// What it was.
    pub session: Session,
    /// What it had.
    pub loaded: Loaded,
}

/// Why a session could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Nothing is kept any more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The database cannot be read.
    #[error("cannot read MQTT state: {0}")]
    Database(#[from] fjall::Error),
    /// What is kept of it is damaged. The session can be ended, not resumed.
    #[error("cannot read MQTT state: {0}")]
    Row(#[from] BadRow),
}

/// What a CONNECT says about its session.
#[derive(Clone, Debug)]
pub struct Connect {
    /// Whose.
    pub client_id: Arc<str>,
    /// The protocol level, 4 or 5.
    pub version: u8,
    /// Whether it begins anew.
    pub clean_start: bool,
    /// How long it is to outlive the connection.
    pub expiry: Expiry,
    /// The will, not yet due.
    pub will: Option<Box<Will>>,
}

/// A session with a connection.
#[derive(Debug)]
pub struct Connected {
    /// Its number.
    pub number: SessionNumber,
    /// What it resumes with; none when it begins: Session Present 0.
    pub resumed: Option<Loaded>,
    /// The session of this client that ended for it.
    pub ended: Option<Ended>,
    /// To be awaited before CONNACK.
    pub durable: Durable,
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
    retained: RwLock<RetainedMessages>,
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
    /// Opens what is kept, and tells each subscription and shared group of it. Every session counts as having lost its
    /// connection at `now`. Blocking.
    ///
    /// # Errors
    /// [`OpenError`]. Nothing was changed that a later try would miss.
    pub fn open(
        options: &Options,
        log: Arc<dyn Log>,
        now: Timestamp,
        mut found: impl FnMut(SessionNumber, &Arc<str>, &Subscription),
    ) -> Result<Self, OpenError> {
        let database = Arc::new(Database::open(&options.dir)?);
        let Recovered { meta, sessions, retained, released, batch, .. } =
            Recovered::read(&database, &*log, options.retain, now, &mut found)?;
        database.write_at_once(batch.into_rows())?;
        let journal = Journal::start(Arc::clone(&database), Arc::clone(&log), options.flush, meta, released)?;
        let (sessions, retained) = (Mutex::new(sessions), RwLock::new(retained));
        Ok(Self { inner: Arc::new(Inner { database, log, journal, sessions, retained }) })
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

    /// Begins or resumes the session of a client.
    ///
    /// # Errors
    /// [`LoadError`]: the client is refused, and its session stays as it was.
    pub async fn connect(&self, connect: Connect, now: Timestamp) -> Result<Connected, LoadError> {
        let old = match self.find(&connect.client_id) {
            Some(number) => match self.load(number).await {
                // What cannot be read can still be left behind.
                Err(LoadError::Row(_)) if connect.clean_start => Some((number, Loaded::default())),
                loaded => Some((number, loaded?)),
            },
            None => None,
        };
        let mut batch = Batch::default();
        let mut sessions = self.inner.sessions.lock();
        // It may have expired meanwhile.
        let old = old.and_then(|(number, loaded)| Some((number, sessions.session(number)?.clone(), loaded)));
        let begin = || SessionNumber::new(self.inner.journal.next_number(), connect.expiry);
        let (number, begun, resumed, ended) = match old {
            Some((number, session, loaded)) if !connect.clean_start && !number.is_transient() => {
                (number, session.begun, Some(loaded), None)
            }
            Some((number, session, loaded)) => {
                end(&mut sessions, &mut batch, number, now);
                (begin(), self.inner.log.end(), None, Some(Ended { number, session, loaded }))
            }
            None => (begin(), self.inner.log.end(), None, None),
        };
        let session = Session {
            client_id: connect.client_id,
            version: connect.version,
            expiry: connect.expiry,
            presence: Presence::Connected,
            begun,
        };
        put(&mut sessions, &mut batch, number, session);
        let since = self.inner.log.end();
        let will = connect.will.map(|will| Will { since, ..*will });
        set_will(&mut sessions, &mut batch, number, will.as_ref());
        let durable = self.inner.journal.commit(batch);
        Ok(Connected { number, resumed, ended, durable })
    }

    /// The connection of a session is gone. `expiry` is what a DISCONNECT changed it to; the will is dropped if the client
    /// said goodbye. Says whether the session ended with it.
    ///
    /// Nobody needs to wait for this: a restart before it is written counts as this loss.
    pub fn disconnected(
        &self,
        number: SessionNumber,
        expiry: Option<Expiry>,
        keep_will: bool,
        now: Timestamp,
    ) -> bool {
        let mut batch = Batch::default();
        let mut sessions = self.inner.sessions.lock();
        let Some(mut session) = sessions.session(number).cloned() else { return false };
        if !keep_will {
            set_will(&mut sessions, &mut batch, number, None);
        }
        session.expiry = expiry.unwrap_or(session.expiry);
        session.presence = Presence::Away { since: now };
        let ends = session.expiry == Expiry::AtClose || number.is_transient();
        if ends {
            end(&mut sessions, &mut batch, number, now);
        } else {
            let will = sessions.will(number).map(|will| will.after_loss(&session, now));
            put(&mut sessions, &mut batch, number, session);
            sessions.set_will(number, will);
        }
        self.inner.journal.commit(batch).leave();
        ends
    }

    /// Ends a session, whether its time has come or not. Its connection, if it has one, is to be closed before.
    ///
    /// # Errors
    /// [`LoadError`]: it stays as it was.
    pub async fn end(&self, number: SessionNumber, now: Timestamp) -> Result<Option<Ended>, LoadError> {
        let loaded = self.load(number).await?;
        let mut batch = Batch::default();
        let mut sessions = self.inner.sessions.lock();
        let ended = end(&mut sessions, &mut batch, number, now);
        self.inner.journal.commit(batch).leave();
        Ok(ended.map(|session| Ended { number, session, loaded }))
    }

    /// Ends up to `limit` sessions whose time has come.
    ///
    /// # Errors
    /// [`LoadError`]: some may have ended all the same.
    pub async fn expire(&self, now: Timestamp, limit: usize) -> Result<Vec<Ended>, LoadError> {
        let numbers: Vec<_> = self.inner.sessions.lock().expired(now).take(limit).collect();
        let mut all = Vec::new();
        for number in numbers {
            let loaded = match self.load(number).await {
                Err(LoadError::Row(_)) => Loaded::default(),
                loaded => loaded?,
            };
            let mut batch = Batch::default();
            let mut sessions = self.inner.sessions.lock();
            // The client may have come back meanwhile.
            if sessions.session(number).and_then(Session::ends).is_some_and(|end| end <= now) {
                let ended = end(&mut sessions, &mut batch, number, now);
                all.extend(ended.map(|session| Ended { number, session, loaded }));
                self.inner.journal.commit(batch).leave();
            }
        }
        Ok(all)
    }

    /// Up to `limit` wills that are to be published. Each is given again until [`Change::NoWill`] says that it was.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn due_wills(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<(SessionNumber, Will)>, LoadError> {
        let numbers: Vec<_> = self.inner.sessions.lock().due_wills(now).take(limit).collect();
        let mut wills = Vec::new();
        for number in numbers {
            self.inner.journal.settle(number).wait().await?;
            let key = layout::key(number, Table::Will, b"");
            let row =
                self.read(move |database| Ok(database.row(Space::Sessions, &key)?.map(|row| (key, row))));
            match row.await? {
                Some((key, row)) => wills.push((number, decode::<Will>(&key, &row)?)),
                None => self.inner.sessions.lock().set_will(number, None),
            }
        }
        Ok(wills)
    }

    /// When the next session ends or the next will is due.
    #[must_use]
    pub fn next_time(&self) -> Option<Timestamp> {
        self.inner.sessions.lock().next_time()
    }

    /// Everything that is kept of a session.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn load(&self, number: SessionNumber) -> Result<Loaded, LoadError> {
        if number.is_transient() {
            return Ok(Loaded::default());
        }
        self.inner.journal.settle(number).wait().await?;
        self.read(move |database| Loaded::read(database, number)).await
    }

    /// The groups of shared subscriptions, by their whole filters.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn groups(&self) -> Result<Vec<(Arc<str>, SharedGroup)>, LoadError> {
        self.inner.journal.settle(NOBODY).wait().await?;
        self.read(|database| {
            let mut groups = Vec::new();
            for row in database.rows(Space::Sessions, &layout::key(NOBODY, Table::Group, b"")) {
                let (key, value) = row?;
                groups.push(decode_under(&key, &value)?);
            }
            Ok(groups)
        })
        .await
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Database) -> Result<T, LoadError> + Send + 'static,
    ) -> Result<T, LoadError> {
        let database = Arc::clone(&self.inner.database);
        // The runtime ends a task of this kind only when it ends itself.
        tokio::task::spawn_blocking(move || read(&database)).await.unwrap_or(Err(Stopped::Closed.into()))
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

    /// The retained messages of all topics that a filter matches, without `$share/…`, in the order of their levels.
    #[must_use]
    pub fn retained_matching(&self, filter: &str, now: Timestamp) -> Vec<(Arc<str>, Arc<Retained>)> {
        self.inner.retained.read().matching(filter, now)
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
                    set_will(&mut self.inner.sessions.lock(), &mut batch, session, None);
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

/// Adds or replaces a session here and among the rows.
fn put(sessions: &mut Sessions, batch: &mut Batch, number: SessionNumber, session: Session) {
    if !number.is_transient() {
        batch.put(layout::key(number, Table::Session, b""), session.encode());
    }
    sessions.put(number, session);
}

/// Sets or removes the will of a session here and among the rows.
fn set_will(sessions: &mut Sessions, batch: &mut Batch, number: SessionNumber, will: Option<&Will>) {
    let key = layout::key(number, Table::Will, b"");
    match will {
        Some(will) => batch.put(key, will.encode()),
        None if sessions.has_will(number) => batch.remove(key),
        None => {}
    }
    sessions.set_will(number, will.map(|will| WillTimes { delay: will.delay, due: None }));
}

/// Ends a session here and among the rows. Its will stays, and is due.
fn end(sessions: &mut Sessions, batch: &mut Batch, number: SessionNumber, now: Timestamp) -> Option<Session> {
    let session = sessions.remove(number, now)?;
    if !number.is_transient() {
        batch.ended.push(number);
    }
    Some(session)
}

fn decode<T: layout::Layout>(key: &[u8], value: &[u8]) -> Result<T, BadRow> {
    T::decode(value).map_err(|problem| BadRow::new(Space::Sessions.name(), key, problem))
}

/// A filter and what is kept under it.
fn decode_under<T: layout::Layout>(key: &[u8], value: &[u8]) -> Result<(Arc<str>, T), BadRow> {
    let row = layout::split_key(key).and_then(|(_, _, rest)| layout::decode_under(rest, value));
    row.map_err(|problem| BadRow::new(Space::Sessions.name(), key, problem))
}

fn key_packet_id(key: &[u8]) -> Result<u16, BadRow> {
    let id = layout::split_key(key).and_then(|(_, _, rest)| layout::key_packet_id(rest));
    id.map_err(|problem| BadRow::new(Space::Sessions.name(), key, problem))
}

impl Loaded {
    fn read(database: &Database, number: SessionNumber) -> Result<Self, LoadError> {
        let mut loaded = Self::default();
        let prefix = layout::key(number, Table::Session, b"");
        for row in database.rows(Space::Sessions, &prefix[..8]) {
            let (key, value) = row?;
            let (_, table, _) = layout::split_key(&key)
                .map_err(|problem| BadRow::new(Space::Sessions.name(), &key, problem))?;
            match table {
                Table::Subscription => loaded.subscriptions.push(decode_under(&key, &value)?),
                Table::Outbound => loaded.outbound.push((key_packet_id(&key)?, decode(&key, &value)?)),
                Table::Inbound => {
                    if let Inbound::Held(at) = decode(&key, &value)? {
                        loaded.inbound.push((key_packet_id(&key)?, at));
                    }
                }
                Table::Session | Table::Will | Table::Group | Table::Meta => {}
            }
        }
        loaded.outbound.sort_by_key(|(_, outbound)| outbound.order);
        Ok(loaded)
    }
}
