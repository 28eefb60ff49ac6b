//! All sessions in memory: who they belong to, when they end, and when their wills are due. What they subscribed to and
//! what is on its way to them stays in the database.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ferromq_model::{Millis, Timestamp};

use super::values::{Session, SessionNumber};

/// Sessions and wills by all that they are looked up by.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    by_client: HashMap<Arc<str>, SessionNumber>,
    by_number: HashMap<SessionNumber, Entry>,
    /// Sessions without a client that end some time.
    deadlines: BTreeSet<(Timestamp, SessionNumber)>,
    /// Wills that are to be published, also of sessions that ended.
    wills: BTreeSet<(Timestamp, SessionNumber)>,
    /// Of the latter, when they are.
    left: HashMap<SessionNumber, Timestamp>,
}

#[derive(Debug)]
struct Entry {
    session: Session,
    will: Option<WillTimes>,
}

/// When the will of a session is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WillTimes {
    /// How many seconds after the connection's loss.
    pub(super) delay: u32,
    /// Since that loss: the time itself.
    pub(super) due: Option<Timestamp>,
}

impl WillTimes {
    /// Whether it is to be published.
    pub(super) fn is_due(self, now: Timestamp) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// As it is once the session has lost its connection at `now`: due after the delay, or when the session ends.
    pub(super) fn after_loss(self, session: &Session, now: Timestamp) -> Self {
        let delayed = now.plus(Millis::secs(self.delay.into()));
        let due = session.expiry.deadline(now).map_or(delayed, |end| end.min(delayed));
        Self { due: Some(due), ..self }
    }
}

impl Sessions {
    pub(super) fn len(&self) -> usize {
        self.by_number.len()
    }

    pub(super) fn find(&self, client_id: &str) -> Option<SessionNumber> {
        self.by_client.get(client_id).copied()
    }

    pub(super) fn session(&self, number: SessionNumber) -> Option<&Session> {
        self.by_number.get(&number).map(|entry| &entry.session)
    }

    pub(super) fn will(&self, number: SessionNumber) -> Option<WillTimes> {
        self.by_number.get(&number)?.will
    }

    /// Whether there is a will of this session, which may have ended.
    pub(super) fn has_will(&self, number: SessionNumber) -> bool {
        match self.by_number.get(&number) {
            Some(entry) => entry.will.is_some(),
            None => self.left.contains_key(&number),
        }
    }

    pub(super) fn each(&self) -> impl Iterator<Item = (SessionNumber, &Session)> {
        self.by_number.iter().map(|(number, entry)| (*number, &entry.session))
    }

    /// Adds a session, or replaces what is known of it.
    pub(super) fn put(&mut self, number: SessionNumber, mut session: Session) {
        let will = match self.by_number.remove(&number) {
            Some(old) => {
                self.forget_deadline(number, &old.session);
                // One text for both tables.
                session.client_id = old.session.client_id;
                old.will
            }
            None => {
                self.by_client.insert(Arc::clone(&session.client_id), number);
                None
            }
        };
        self.deadlines.extend(session.ends().map(|end| (end, number)));
        self.by_number.insert(number, Entry { session, will });
    }

    /// Removes a session, whose will, if it has one, is due at once.
    pub(super) fn remove(&mut self, number: SessionNumber, now: Timestamp) -> Option<Session> {
        let will = self.will(number);
        self.set_will(number, None);
        let Entry { session, .. } = self.by_number.remove(&number)?;
        self.forget_deadline(number, &session);
        if self.find(&session.client_id) == Some(number) {
            self.by_client.remove(&session.client_id);
        }
        self.set_will(number, will.map(|will| WillTimes { due: Some(now), ..will }));
        Some(session)
    }

    fn forget_deadline(&mut self, number: SessionNumber, session: &Session) {
        if let Some(end) = session.ends() {
            self.deadlines.remove(&(end, number));
        }
    }

    /// Sets or removes a session's will. Of a session that ended only the time is kept.
    pub(super) fn set_will(&mut self, number: SessionNumber, will: Option<WillTimes>) {
        let due = will.and_then(|will| will.due);
        let old = match self.by_number.get_mut(&number) {
            Some(entry) => std::mem::replace(&mut entry.will, will).and_then(|old| old.due),
            None => match due {
                Some(due) => self.left.insert(number, due),
                None => self.left.remove(&number),
            },
        };
        if let Some(old) = old {
            self.wills.remove(&(old, number));
        }
        self.wills.extend(due.map(|due| (due, number)));
    }

    /// Sessions whose time has come, the earliest first.
    pub(super) fn expired(&self, now: Timestamp) -> impl Iterator<Item = SessionNumber> {
        self.deadlines.iter().take_while(move |(at, _)| *at <= now).map(|(_, number)| *number)
    }

    /// Sessions whose wills are to be published, the earliest first.
    pub(super) fn due_wills(&self, now: Timestamp) -> impl Iterator<Item = SessionNumber> {
        self.wills.iter().take_while(move |(at, _)| *at <= now).map(|(_, number)| *number)
    }

    /// When the next session ends or the next will is due.
    pub(super) fn next_time(&self) -> Option<Timestamp> {
        self.deadlines.first().into_iter().chain(self.wills.first()).map(|(at, _)| *at).min()
    }
}
