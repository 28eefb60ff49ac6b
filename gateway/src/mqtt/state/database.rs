//! The database under the state: [`fjall`], set up so that it costs little while nothing happens.
//!
//! ```text
//! mqtt/0.jnl       the journal: every batch, in order, with a checksum; a batch counts wholly or not at all
//! mqtt/keyspaces/  sorted tables, written from memory once 4 MiB have gathered
//! ```
//! What fjall promises, and what rests on it:
//! * a batch that `commit` with [`PersistMode::Buffer`] took is in the kernel: it survives the death of this process;
//! * it survives a power cut once `persist` with [`PersistMode::SyncData`] returned. Journal files are created, and made
//!   durable with their directory, by fjall itself;
//! * after a failed write or sync fjall refuses every further one until the database is opened again.
//!
//! Left to itself fjall asks its worker for a new table with every write from the moment that one is due. Those requests
//! fill the worker's own queue, in which it then waits for room for ever. So tables are begun here, once each: the limit
//! that fjall is told is never reached.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fjall::{KeyspaceCreateOptions, PersistMode, Slice};

use super::journal::Rows;
use super::layout::BadRow;
use super::torn::{self, Cut};

/// Bytes of keys and values that gather in memory, and in the journal, before they become a table. In memory they take
/// about three times that.
const TABLE_AT: u64 = 4 << 20;
/// Bytes of tables that are kept in memory for reading. Sessions are loaded once each, so there is little to gain.
const CACHE: u64 = 1 << 20;
/// Files of tables that are kept open.
const OPEN_FILES: usize = 64;
/// Bytes of journals above which fjall makes tables of what keeps the oldest: the least that it allows.
const JOURNALS: u64 = 64 << 20;
/// Tables in the making above which writing waits.
const MAX_UNFINISHED_TABLES: usize = 3;
/// What fjall counts as a part of each row besides its key and value, about.
const ROW_OVERHEAD: u64 = 16;

/// Which keyspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Space {
    /// Everything but retained messages.
    Sessions = 0,
    /// Retained messages, which are large and seldom change.
    Retained = 1,
}

impl Space {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Retained => "retained",
        }
    }
}

/// Why the state could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be read or written, another process has it open, or its files are damaged.
    #[error("cannot open the MQTT state in {}: {source}; moved away, all sessions begin anew", dir.display())]
    Database {
        /// The directory.
        dir: PathBuf,
        /// What fjall says.
        source: fjall::Error,
    },
    /// A row was written by a newer version, or damaged.
    #[error("cannot read the MQTT state in {}: {row}; moved away, all sessions begin anew", dir.display())]
    Row {
        /// The directory.
        dir: PathBuf,
        /// The row.
        row: BadRow,
    },
    /// The thread that writes cannot be started.
    #[error("cannot start a thread for the MQTT state: {0}")]
    Thread(#[from] std::io::Error),
}

fn open(dir: &Path) -> Result<fjall::Database, fjall::Error> {
    fjall::Database::builder(dir)
        .worker_threads(1)
        .cache_size(CACHE)
        .max_cached_files(Some(OPEN_FILES))
        .max_journaling_size(JOURNALS)
        .manual_journal_persist(true)
        .open()
}

/// A key of a keyspace.
pub(super) type RowKey = (Space, Vec<u8>);

/// The open database.
pub(super) struct Database {
    dir: PathBuf,
    fjall: fjall::Database,
    spaces: [fjall::Keyspace; 2],
    /// Bytes in memory that are in no table.
    gathered: [AtomicU64; 2],
    #[cfg(test)]
    pub(super) fail_sync: std::sync::atomic::AtomicBool,
}

impl Database {
    /// Opens or creates the database in `dir`.
    pub(super) fn open(dir: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Database { dir: dir.to_owned(), source };
        let fjall = match open(dir) {
            Err(fjall::Error::JournalRecovery(why)) => {
                // Torn by a power cut? Then it opens without the batch that was not synced.
                match torn::cut_newest(dir).map_err(|error| failed(error.into()))? {
                    Some(Cut { journal, kept, len }) => tracing::warn!(
                        "cut {} to {len} bytes, behind which a batch was written in part; kept as {}",
                        journal.display(),
                        kept.display()
                    ),
                    None => return Err(failed(fjall::Error::JournalRecovery(why))),
                }
                open(dir)
            }
            opened => opened,
        }
        .map_err(failed)?;
        let keyspace = |space: Space| {
            fjall
                .keyspace(space.name(), || KeyspaceCreateOptions::default().max_memtable_size(u64::MAX))
                .map_err(failed)
        };
        let spaces = [keyspace(Space::Sessions)?, keyspace(Space::Retained)?];
        // What a journal brought back is not in tables yet, whichever keyspace it belongs to.
        let brought = fjall.write_buffer_size();
        Ok(Self {
            dir: dir.to_owned(),
            spaces,
            gathered: [brought.into(), brought.into()],
            fjall,
            #[cfg(test)]
            fail_sync: false.into(),
        })
    }

    /// Where it lies.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Every row whose key begins with `prefix`, in the keys' order.
    pub(super) fn rows(
        &self,
        space: Space,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<(Slice, Slice), fjall::Error>> + use<> {
        self.spaces[space as usize].prefix(prefix).map(|row| row.into_inner())
    }

    /// The row of this key.
    pub(super) fn row(&self, space: Space, key: &[u8]) -> Result<Option<Slice>, fjall::Error> {
        self.spaces[space as usize].get(key)
    }

    /// Writes rows, none meaning that there is to be none, as one batch that survives the death of this process. The
    /// keys must differ. Only one thread writes.
    pub(super) fn write(
        &self,
        rows: impl Iterator<Item = (RowKey, Option<Vec<u8>>)>,
    ) -> Result<(), fjall::Error> {
        self.await_room()?;
        let mut batch = self.fjall.batch().durability(Some(PersistMode::Buffer));
        for ((space, key), value) in rows {
            let len = key.len() + value.as_ref().map_or(0, Vec::len);
            self.gathered[space as usize].fetch_add(len as u64 + ROW_OVERHEAD, Ordering::Relaxed);
            match value {
                Some(value) => batch.insert(&self.spaces[space as usize], key, value),
                None => batch.remove(&self.spaces[space as usize], key),
            }
        }
        batch.commit()?;
        for (space, gathered) in self.spaces.iter().zip(&self.gathered) {
            if gathered.load(Ordering::Relaxed) >= TABLE_AT {
                gathered.store(0, Ordering::Relaxed);
                space.rotate_memtable()?;
            }
        }
        Ok(())
    }

    /// Writes what opening found to be different, safe against a power cut.
    pub(super) fn write_at_once(&self, rows: Rows) -> Result<(), OpenError> {
        if rows.is_empty() {
            return Ok(());
        }
        let written = self.write(rows.into_iter()).and_then(|()| self.sync());
        written.map_err(|source| OpenError::Database { dir: self.dir.clone(), source })
    }

    /// Makes everything that was written survive a power cut. An error is final.
    pub(super) fn sync(&self) -> Result<(), fjall::Error> {
        #[cfg(test)]
        if self.fail_sync.load(Ordering::Relaxed) {
            return Err(std::io::Error::from_raw_os_error(5).into());
        }
        self.fjall.persist(PersistMode::SyncData)
    }

    /// Waits while tables are made more slowly than they fill. fjall would wait by itself, but also for a worker that
    /// failed and makes none any more.
    fn await_room(&self) -> Result<(), fjall::Error> {
        while self.spaces.iter().any(|space| space.sealed_memtable_count() >= MAX_UNFINISHED_TABLES) {
            // Fails when the database stopped for good.
            self.fjall.persist(PersistMode::Buffer)?;
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}
