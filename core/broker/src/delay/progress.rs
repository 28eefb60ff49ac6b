//! How far each delay level is delivered, and `config/delayOffset.json`.
//!
//! The file is RocketMQ's with one number more, which that broker leaves out when it writes: the position of the log from
//! which on copies may lie that the offsets do not cover.

use std::collections::{BTreeMap, BTreeSet};

use ferromq_model::topic::DataVersion;
use ferromq_model::{PhysicalOffset, QueueOffset, Timestamp};
use ferromq_state::{StateError, StateFile};
use ferromq_store::Store;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::copies::{self, Copies, CopyKey};

/// How far the log may grow while nothing is delivered before progress is noted again: what lies behind that is looked
/// through after a crash.
const LONGEST_WINDOW: u64 = 64 << 20;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Saved {
    data_version: DataVersion,
    /// The next offset to deliver, by level.
    offset_table: BTreeMap<u32, i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    copies_from: Option<u64>,
}

#[derive(Debug, Default)]
struct Levels {
    saved: Saved,
    changed: bool,
    /// Levels that are storing copies right now, with where the log ended before.
    storing: BTreeMap<u32, PhysicalOffset>,
    /// Levels that have yet to come past what waited when the broker started.
    behind_start: BTreeSet<u32>,
}

#[derive(Debug)]
pub(crate) struct DelayProgress {
    levels: Mutex<Levels>,
    file: Mutex<StateFile>,
    /// What was found delivered when the broker started, and not compared yet.
    copies: Mutex<Copies>,
}

impl DelayProgress {
    pub(crate) fn load(file: StateFile) -> Result<Self, StateError> {
        let saved = file.load()?.unwrap_or_default();
        let levels = Levels { saved, ..Levels::default() };
        Ok(Self { levels: Mutex::new(levels), file: Mutex::new(file), copies: Mutex::new(Copies::none()) })
    }

    /// Looks for what a crash left delivered and not noted, for each of `levels`. Blocks.
    ///
    /// Where nothing tells from where on to look, after this nothing is delivered yet: that is saved before a level runs,
    /// or a crash before the first saving would find no beginning either.
    pub(super) fn find_copies(&self, store: &Store, levels: u32) -> std::io::Result<()> {
        let from = {
            let mut noted = self.levels.lock();
            noted.behind_start = (1..=levels).collect();
            noted.changed |= noted.saved.copies_from.is_none();
            noted.saved.copies_from.map(PhysicalOffset)
        };
        let found = Copies::find(store, from, copies::copy_from_level);
        if !found.is_empty() {
            tracing::info!(
                found = found.len(),
                "delay levels go on behind a crash: messages found delivered"
            );
        }
        *self.copies.lock() = found;
        if from.is_none() { self.save(store) } else { Ok(()) }
    }

    /// Whether the message is delivered already.
    pub(super) fn take_copy(&self, key: CopyKey) -> bool {
        self.copies.lock().take(key)
    }

    pub(super) fn give_copy_back(&self, key: CopyKey) {
        self.copies.lock().give_back(key);
    }

    /// Notes that the level is past everything that can have been delivered before the start.
    pub(super) fn is_past_start(&self, level: u32) {
        let mut levels = self.levels.lock();
        if levels.behind_start.remove(&level) && levels.behind_start.is_empty() {
            *self.copies.lock() = Copies::none();
        }
    }

    pub(crate) fn next(&self, level: u32) -> QueueOffset {
        let offsets = &self.levels.lock().saved.offset_table;
        offsets.get(&level).and_then(|&at| QueueOffset::from_wire(at)).unwrap_or_default()
    }

    /// Notes that copies of a level are stored from now on, until it is told how far that came.
    pub(super) fn begin(&self, level: u32, log_end: PhysicalOffset) {
        self.levels.lock().storing.insert(level, log_end);
    }

    /// Notes that the level is delivered up to `next`.
    pub(super) fn advance(&self, level: u32, next: QueueOffset) {
        let mut levels = self.levels.lock();
        levels.storing.remove(&level);
        let before = levels.saved.offset_table.insert(level, next.0 as i64);
        levels.changed |= before != Some(next.0 as i64);
    }

    /// The offsets, as brokers exchange them.
    pub(crate) fn json(&self) -> String {
        let saved = Saved { copies_from: None, ..self.levels.lock().saved.clone() };
        serde_json::to_string(&saved).expect("numbers are JSON")
    }

    /// Saves progress behind a flush of the log, so that what it covers is durable. Blocks.
    pub(crate) fn save(&self, store: &Store) -> std::io::Result<()> {
        let file = self.file.lock();
        let saved = {
            let mut levels = self.levels.lock();
            // Under the lock: a level that is not listed has told of everything that it stored below this.
            let log_end = store.stats().log_max;
            let copies_from = levels.storing.values().copied().fold(log_end, PhysicalOffset::min);
            let noted = PhysicalOffset(levels.saved.copies_from.unwrap_or_default());
            let idle_for_long = log_end.since(noted) >= LONGEST_WINDOW;
            if !std::mem::take(&mut levels.changed) && !idle_for_long {
                return Ok(());
            }
            let uncompared = !self.copies.lock().is_empty();
            levels.saved.copies_from = Some(if uncompared { copies_from.min(noted) } else { copies_from }.0);
            levels.saved.data_version.bump(Timestamp::now());
            levels.saved.clone()
        };
        let outcome = store.flush().map_err(std::io::Error::other).and_then(|()| file.save(&saved));
        outcome.inspect_err(|_| self.levels.lock().changed = true)
    }
}
