//! Reading rows back while the rest goes on.

use std::sync::Arc;

use ferromq_model::PhysicalOffset;

use super::State;
use super::database::{Database, Space};
use super::journal::Stopped;
use super::layout::{self, BadRow, NOBODY, Table};
use super::values::{Inbound, Outbound, SessionNumber, SharedGroup, Subscription};

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

impl State {
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

    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Database) -> Result<T, LoadError> + Send + 'static,
    ) -> Result<T, LoadError> {
        let database = Arc::clone(&self.inner.database);
        // The runtime ends a task of this kind only when it ends itself.
        tokio::task::spawn_blocking(move || read(&database)).await.unwrap_or(Err(Stopped::Closed.into()))
    }
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

pub(super) fn decode<T: layout::Layout>(key: &[u8], value: &[u8]) -> Result<T, BadRow> {
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
