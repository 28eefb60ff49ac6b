//! What opening makes of the rows: all sessions, with the loss of every connection that the last run had.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use ferromq_model::{PhysicalOffset, Timestamp};

use super::database::{Database, OpenError, Space};
use super::journal::Batch;
use super::layout::{self, BadRow, Layout as _, Meta, NOBODY, Problem, Table};
use super::sessions::{Sessions, WillTimes};
use super::values::{Inbound, Presence, Session, SessionNumber, Subscription, Will};

/// What was found, and what is to be written because of that.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    pub(super) meta: Meta,
    pub(super) sessions: Sessions,
    /// Released packet identifiers that the log may contradict, with their records.
    pub(super) released: HashMap<Vec<u8>, PhysicalOffset>,
    pub(super) batch: Batch,
}

impl Recovered {
    /// Reads every row. `found` is told each subscription.
    pub(super) fn read(
        database: &Database,
        now: Timestamp,
        found: &mut impl FnMut(SessionNumber, &Arc<str>, &Subscription),
    ) -> Result<Self, OpenError> {
        let dir = database.dir();
        let mut recovered = Self { meta: Meta { next_number: 1, ..Meta::default() }, ..Self::default() };
        for row in database.rows(Space::Sessions, b"") {
            let (key, value) = row.map_err(|source| OpenError::Database { dir: dir.to_owned(), source })?;
            recovered.take(&key, &value, now, found).map_err(|problem| bad_row(dir, &key, problem))?;
        }
        Ok(recovered)
    }

    fn take(
        &mut self,
        key: &[u8],
        value: &[u8],
        now: Timestamp,
        found: &mut impl FnMut(SessionNumber, &Arc<str>, &Subscription),
    ) -> Result<(), Problem> {
        let (number, table, rest) = layout::split_key(key)?;
        self.meta.next_number = self.meta.next_number.max(number.counted() + 1);
        match table {
            Table::Session => {
                let mut session = Session::decode(value)?;
                if session.presence == Presence::Connected {
                    session.presence = Presence::Away { since: now };
                    self.batch.put(key.to_vec(), session.encode());
                }
                self.sessions.put(number, session);
            }
            Table::Will => {
                let Will { delay, .. } = Will::decode(value)?;
                let will = WillTimes { delay, due: Some(now) };
                // The session's row came before this one. A session that has none ended.
                let will = match self.sessions.session(number) {
                    Some(session) => match session.presence {
                        Presence::Away { since } => will.after_loss(session, since),
                        Presence::Connected => will,
                    },
                    None => will,
                };
                self.sessions.set_will(number, Some(will));
            }
            Table::Meta => {
                let meta = Meta::decode(value)?;
                self.meta.watermark = meta.watermark;
                self.meta.next_number = self.meta.next_number.max(meta.next_number);
            }
            Table::Group => {}
            _ if number != NOBODY && self.sessions.session(number).is_none() => {
                // Written behind the end of its session.
                self.batch.remove(key.to_vec());
            }
            Table::Subscription => {
                found(number, &layout::key_text(rest)?, &Subscription::decode(value)?);
            }
            Table::Outbound => {}
            Table::Inbound => {
                if let Inbound::Released(at) = Inbound::decode(value)? {
                    self.released.insert(key.to_vec(), at);
                }
            }
        }
        Ok(())
    }
}

fn bad_row(dir: &Path, key: &[u8], problem: Problem) -> OpenError {
    OpenError::Row { dir: dir.to_owned(), row: BadRow::new(Space::Sessions.name(), key, problem) }
}
