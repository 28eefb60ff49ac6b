//! How many timer messages wait for each topic, and `config/timermetrics`.
//!
//! The file names the version of the timers' check that it was written behind. Where that is not the one that is found,
//! it speaks of another moment, and what waits is counted anew.

use std::collections::{BTreeMap, HashMap};
use std::io;

use ferromq_model::Timestamp;
use ferromq_model::topic::DataVersion;
use ferromq_state::{StateError, StateFile};
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// How many more messages wait for which topic, as one round collects it.
pub(super) type Tally = HashMap<String, i64, RandomState>;

/// Notes one topic's.
pub(super) fn tally(tally: &mut Tally, topic: &str, more: i64) {
    match tally.get_mut(topic) {
        Some(count) => *count += more,
        None => {
            tally.insert(topic.to_owned(), more);
        }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Saved {
    data_version: DataVersion,
    timing_count: BTreeMap<String, Metric>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metric {
    /// Messages that wait, less those taken back.
    count: i64,
    /// When that last changed.
    time_stamp: Timestamp,
}

#[derive(Debug)]
pub(super) struct Metrics {
    /// Topics for which nothing waits are not in it.
    counts: Mutex<Saved>,
    file: Mutex<StateFile>,
}

impl Metrics {
    pub(super) fn load(file: StateFile) -> Result<Self, StateError> {
        let saved = file.load()?.unwrap_or_default();
        Ok(Self { counts: Mutex::new(saved), file: Mutex::new(file) })
    }

    /// Which version of the check the counts were saved behind.
    pub(super) fn version(&self) -> DataVersion {
        self.counts.lock().data_version
    }

    pub(super) fn add(&self, topic: &str, more: i64, now: Timestamp) {
        let mut counts = self.counts.lock();
        match counts.timing_count.get_mut(topic) {
            Some(metric) => {
                metric.count += more;
                metric.time_stamp = now;
                if metric.count == 0 {
                    counts.timing_count.remove(topic);
                }
            }
            None => {
                counts.timing_count.insert(topic.to_owned(), Metric { count: more, time_stamp: now });
            }
        }
    }

    /// Adds what a round has collected, and empties that.
    pub(super) fn add_all(&self, tally: &mut Tally, now: Timestamp) {
        tally.drain().for_each(|(topic, more)| self.add(&topic, more, now));
    }

    pub(super) fn clear(&self) {
        self.counts.lock().timing_count.clear();
    }

    pub(super) fn total(&self) -> u64 {
        self.counts.lock().timing_count.values().map(|metric| metric.count.max(0) as u64).sum()
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string(&*self.counts.lock()).expect("a table of numbers is JSON")
    }

    pub(super) fn save(&self, version: DataVersion) -> io::Result<()> {
        let saved = {
            let mut counts = self.counts.lock();
            counts.data_version = version;
            counts.clone()
        };
        self.file.lock().save(&saved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_the_references_shape_and_forgets_topics_for_which_nothing_waits() {
        let dir = tempfile::tempdir().unwrap();
        let file = || StateFile::new(dir.path(), "timermetrics");
        let metrics = Metrics::load(file()).unwrap();
        let now = Timestamp(1_700_000_000_000);
        metrics.add("A", 3, now);
        metrics.add("B", 1, now);
        metrics.add("B", -1, now);
        metrics.save(DataVersion { counter: 1, state_version: 0, timestamp: now }).unwrap();
        let expected = r#"{"dataVersion":{"counter":1,"stateVersion":0,"timestamp":1700000000000},"timingCount":{"A":{"count":3,"timeStamp":1700000000000}}}"#;
        assert_eq!(metrics.json(), expected);
        let again = Metrics::load(file()).unwrap();
        assert_eq!((again.json(), again.total()), (expected.to_owned(), 3));
    }
}
