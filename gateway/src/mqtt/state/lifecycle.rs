//! How sessions begin, lose their connections, resume and end, and what becomes of their wills.

use std::sync::Arc;

use ferromq_model::Timestamp;
use tokio::sync::MutexGuard;

use super::State;
use super::database::Space;
use super::journal::{Batch, Durable};
use super::layout::{self, Layout as _, Table};
use super::load::{LoadError, Loaded, decode};
use super::sessions::{Sessions, WillTimes};
use super::values::{Expiry, Presence, Session, SessionNumber, Will};

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

/// Why a client has no session.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It has none, and there are as many as there may be.
    #[error("there are as many MQTT sessions as mqttMaxSessions allows ({most})")]
    TooMany {
        /// How many.
        most: usize,
    },
    /// Its own cannot be read, and stays as it was.
    #[error(transparent)]
    Load(#[from] LoadError),
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
    /// Whether a will of the session before is still to be published: it was due before the client came.
    pub left_will: bool,
    /// To be awaited before CONNACK.
    pub durable: Durable,
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

impl State {
    /// Begins or resumes the session of a client.
    ///
    /// # Errors
    /// [`ConnectError`]: the client is refused.
    pub async fn connect(&self, connect: Connect, now: Timestamp) -> Result<Connected, ConnectError> {
        let old = match self.find(&connect.client_id) {
            Some(number) if connect.clean_start => Some((number, self.load_to_end(number).await?)),
            Some(number) => Some((number, self.load(number).await?)),
            None => None,
        };
        let old_will = |(number, _): &(SessionNumber, Loaded)| self.inner.sessions.lock().will(*number);
        // Whoever publishes wills may have this one in hand.
        let _turn = match old.as_ref().and_then(old_will) {
            Some(_) => Some(self.will_turn().await),
            None => None,
        };
        let due_will = match &old {
            Some(old @ (number, _)) if old_will(old).is_some_and(|will| will.is_due(now)) => {
                self.will(*number).await?
            }
            _ => None,
        };
        let mut batch = Batch::default();
        let mut sessions = self.inner.sessions.lock();
        // It may have expired meanwhile.
        let old = old.and_then(|(number, loaded)| Some((number, sessions.session(number)?.clone(), loaded)));
        let begin = || SessionNumber::new(self.inner.journal.next_number(), connect.expiry);
        let (number, begun, resumed, ended) = match old {
            // One whose time has come is over, whether or not anybody has looked after it yet.
            Some((number, session, loaded))
                if !connect.clean_start && !number.is_transient() && !session.has_ended(now) =>
            {
                (number, session.begun, Some(loaded), None)
            }
            Some((number, session, loaded)) => {
                end(&mut sessions, &mut batch, number, now);
                (begin(), self.inner.log.end(), None, Some(Ended { number, session, loaded }))
            }
            None if sessions.len() >= self.inner.most => {
                return Err(ConnectError::TooMany { most: self.inner.most });
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
        // That of a session that ended stays by itself. One that is resumed has room for one, and this was due in time.
        let left_will = due_will.filter(|_| resumed.is_some());
        if let Some(will) = &left_will {
            let nobody = SessionNumber::new(self.inner.journal.next_number(), Expiry::AtClose);
            batch.put(layout::key(nobody, Table::Will, b""), will.encode());
            sessions.set_will(nobody, Some(WillTimes { delay: 0, due: Some(now) }));
        }
        let durable = self.inner.journal.commit(batch);
        Ok(Connected { number, resumed, ended, left_will: left_will.is_some(), durable })
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
        let loaded = self.load_to_end(number).await?;
        let mut batch = Batch::default();
        let mut sessions = self.inner.sessions.lock();
        let ended = end(&mut sessions, &mut batch, number, now);
        self.inner.journal.commit(batch).leave();
        Ok(ended.map(|session| Ended { number, session, loaded }))
    }

    /// What a session has that ends: what cannot be read can still be left behind.
    async fn load_to_end(&self, number: SessionNumber) -> Result<Loaded, LoadError> {
        match self.load(number).await {
            Err(LoadError::Row(_)) => Ok(Loaded::default()),
            loaded => loaded,
        }
    }

    /// Ends up to `limit` sessions whose time has come.
    ///
    /// # Errors
    /// [`LoadError`]: some may have ended all the same.
    pub async fn expire(&self, now: Timestamp, limit: usize) -> Result<Vec<Ended>, LoadError> {
        let numbers: Vec<_> = self.inner.sessions.lock().expired(now).take(limit).collect();
        let mut all = Vec::new();
        for number in numbers {
            let loaded = self.load_to_end(number).await?;
            let mut batch = Batch::default();
            let mut sessions = self.inner.sessions.lock();
            // The client may have come back meanwhile.
            if sessions.session(number).is_some_and(|session| session.has_ended(now)) {
                let ended = end(&mut sessions, &mut batch, number, now);
                all.extend(ended.map(|session| Ended { number, session, loaded }));
                self.inner.journal.commit(batch).leave();
            }
        }
        Ok(all)
    }

    /// Held by whoever publishes wills: what is due is so until it is published, and whoever publishes it as well, or puts
    /// another in its place, would do that behind its back.
    pub async fn will_turn(&self) -> MutexGuard<'_, ()> {
        self.inner.wills.lock().await
    }

    /// The will of a session, if it has one that can be read.
    async fn will(&self, number: SessionNumber) -> Result<Option<Will>, LoadError> {
        self.inner.journal.settle(number).wait().await?;
        let key = layout::key(number, Table::Will, b"");
        let row = self.read(move |database| Ok(database.row(Space::Sessions, &key)?.map(|row| (key, row))));
        let Some((key, row)) = row.await? else { return Ok(None) };
        let will = decode(&key, &row);
        Ok(will.inspect_err(|error| tracing::error!(%error, "an MQTT client's will is lost")).ok())
    }

    /// Up to `limit` wills that are to be published. Each is given again until [`Change::NoWill`](super::Change::NoWill) says
    /// that it was. To be called with the [turn](Self::will_turn).
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
            match self.will(number).await? {
                Some(will) => wills.push((number, will)),
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
}

/// Adds or replaces a session here and among the rows.
fn put(sessions: &mut Sessions, batch: &mut Batch, number: SessionNumber, session: Session) {
    if !number.is_transient() {
        batch.put(layout::key(number, Table::Session, b""), session.encode());
    }
    sessions.put(number, session);
}

/// Sets or removes the will of a session here and among the rows.
pub(super) fn set_will(
    sessions: &mut Sessions,
    batch: &mut Batch,
    number: SessionNumber,
    will: Option<&Will>,
) {
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
