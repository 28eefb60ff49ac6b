//! What the log shows to be delivered: after a crash, messages that wait are compared with the copies that were stored
//! since progress was last saved, so that none is delivered twice.
//!
//! Saved progress names a position of the log with it: each copy that it does not cover lies behind. A copy is told by
//! what it has in common with the message that waited; of messages that have all of it in common, as many are delivered
//! as were sent.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::LazyLock;

use ferromq_model::PhysicalOffset;
use ferromq_model::message::{find_property, property};
use ferromq_model::name::TIMER_TOPIC;
use ferromq_model::record::Record;
use ferromq_store::Store;
use foldhash::quality::RandomState;

/// Copies that are remembered at most; the ones behind them are delivered again. 8 million are what a minute delivers at
/// most, and take 200 MB until they are compared.
const MAX_COPIES: usize = 8 << 20;

/// Nobody can send a message that is taken for another one's copy.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// Which message a copy is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CopyKey(u64);

/// Copies that were found and not compared yet, with how many there are of each.
#[derive(Debug)]
pub(crate) struct Copies {
    found: HashMap<CopyKey, u32, RandomState>,
}

impl Copies {
    /// Those in the log from `from` on that `key_of` tells.
    pub(crate) fn find(
        store: &Store,
        from: Option<PhysicalOffset>,
        key_of: impl Fn(&Record<'_>) -> Option<CopyKey>,
    ) -> Self {
        let mut found: HashMap<_, u32, _> = HashMap::default();
        let Some(from) = from else { return Self { found } };
        store.each_record(from, |record| {
            if let Some(key) = key_of(record) {
                *found.entry(key).or_default() += 1;
            }
            if found.len() >= MAX_COPIES {
                tracing::warn!(at = %record.physical_offset, "too many messages were delivered since progress was last saved: those from here on may come twice");
                return false;
            }
            true
        });
        Self { found }
    }

    pub(crate) fn none() -> Self {
        Self { found: HashMap::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Takes one copy of the message out, if there is one: it is delivered already.
    pub(crate) fn take(&mut self, key: CopyKey) -> bool {
        let Some(count) = self.found.get_mut(&key) else { return false };
        *count -= 1;
        if *count == 0 {
            self.found.remove(&key);
        }
        true
    }

    /// Takes back that a copy was taken.
    pub(crate) fn give_back(&mut self, key: CopyKey) {
        *self.found.entry(key).or_default() += 1;
    }
}

/// Everything that tells messages apart, except where they lie.
fn key(record: &Record<'_>, real_topic: &str, way: impl Hash) -> CopyKey {
    let unique = find_property(record.properties, property::UNIQUE_KEY);
    let sent = (record.born.0, record.body_crc, record.body.len(), record.flag);
    CopyKey(HASHER.hash_one((real_topic, unique, sent, way)))
}

/// How a message waits.
#[derive(Hash)]
enum Way<'a> {
    Level {
        level: &'a str,
        reconsume_times: i32,
    },
    Slot {
        out: &'a str,
    },
    /// Back into the wheel, for the n-th time.
    Roll {
        out: &'a str,
        times: u32,
    },
}

/// The key of a message that waits for its delay level.
pub(crate) fn waiting_for_level(record: &Record<'_>) -> Option<CopyKey> {
    let real = find_property(record.properties, property::REAL_TOPIC)?;
    let level = find_property(record.properties, property::DELAY)?;
    Some(key(record, real, Way::Level { level, reconsume_times: record.reconsume_times }))
}

/// The key of a record if it may be the copy of a message that waited for its delay level.
pub(crate) fn copy_from_level(record: &Record<'_>) -> Option<CopyKey> {
    let real = find_property(record.properties, property::REAL_TOPIC)?;
    (real == record.topic).then(|| waiting_for_level(record)).flatten()
}

/// How often a timer message was put back.
pub(crate) fn rolls(record: &Record<'_>) -> u32 {
    find_property(record.properties, property::TIMER_ROLL_TIMES).and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// The keys of the copies that a timer message may have: the one that is delivered, and the one that is put back.
pub(crate) fn waiting_in_wheel(record: &Record<'_>) -> Option<[CopyKey; 2]> {
    let real = find_property(record.properties, property::REAL_TOPIC)?;
    let out = find_property(record.properties, property::TIMER_OUT_MS)?;
    let times = rolls(record).saturating_add(1);
    Some([key(record, real, Way::Slot { out }), key(record, real, Way::Roll { out, times })])
}

/// The key of a record if it may be the copy of a timer message.
pub(crate) fn copy_from_wheel(record: &Record<'_>) -> Option<CopyKey> {
    let out = find_property(record.properties, property::TIMER_OUT_MS)?;
    let real = find_property(record.properties, property::REAL_TOPIC)?;
    if record.topic == TIMER_TOPIC {
        let times = rolls(record);
        return (times > 0).then(|| key(record, real, Way::Roll { out, times }));
    }
    (real == record.topic).then(|| key(record, real, Way::Slot { out }))
}
