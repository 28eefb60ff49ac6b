//! How far each group has consumed: the next offset of each queue, and `consumerOffset.json`.
//!
//! With light queues the file is `lmqConsumerOffset.json` instead, and groups `%LMQ%...` have a table of their own in it,
//! as the reference broker has it. Whichever of the two is newer is read, so that turning light queues on or off loses
//! no position.
//!
//! An offset comes from a peer and is only as good as that: it never exceeds what the queue has, so that a wrong one can
//! repeat messages, and never skips messages that are not there yet.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use ferromq_model::light::{LIGHT_QUEUE, is_light};
use ferromq_model::topic::DataVersion;
use ferromq_model::{QueueId, QueueOffset, Timestamp};
use ferromq_state::{StateError, StateFile};
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Positions that a broker keeps: of groups that clients make up, on all queues there are. No new one is noted beyond.
const MAX_POSITIONS: usize = 8 << 20;
/// Between topic and group in the file's keys; no name contains it.
const SEPARATOR: char = '@';

type ByQueue = BTreeMap<u32, u64>;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Saved {
    data_version: DataVersion,
    /// By `topic@group`. Negative numbers are what others wrote for "none".
    offset_table: BTreeMap<String, BTreeMap<u32, i64>>,
    /// By `topic@group` of groups of light queues, which have one queue each.
    #[serde(skip_serializing_if = "Option::is_none")]
    lmq_offset_table: Option<BTreeMap<String, i64>>,
}

#[derive(Debug, Default)]
struct Table {
    version: DataVersion,
    offsets: HashMap<String, ByQueue, RandomState>,
    /// Positions in `offsets`.
    count: usize,
    /// Where groups were moved to that have not pulled since. A restart forgets them: members start over by then.
    moved: HashMap<String, ByQueue, RandomState>,
    changed: bool,
}

/// Where one group goes on in one topic.
#[derive(Debug)]
pub(crate) struct Positions {
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) queues: Vec<(QueueId, QueueOffset)>,
}

/// Consumer offsets of a broker.
#[derive(Debug)]
pub struct ConsumerOffsets {
    table: Mutex<Table>,
    /// Queues in `Table::moved`, so that a pull need not look while there are none.
    moves: AtomicUsize,
    file: Mutex<StateFile>,
    /// Whether the file is that of a broker with light queues.
    light: bool,
}

impl ConsumerOffsets {
    /// Reads the positions from the files in `dir`.
    pub(crate) fn load(dir: &Path, light: bool) -> Result<Self, StateError> {
        let plain_file = StateFile::new(dir, "consumerOffset.json");
        let light_file = StateFile::new(dir, "lmqConsumerOffset.json");
        let plain: Saved = plain_file.load()?.unwrap_or_default();
        let mut with_light: Saved = light_file.load()?.unwrap_or_default();
        let light_offsets = with_light.lmq_offset_table.take().unwrap_or_default();
        let age = |saved: &Saved| (saved.data_version.timestamp, saved.data_version.counter);
        let mut saved = if age(&with_light) > age(&plain) { with_light } else { plain };
        for (key, next) in light_offsets {
            saved.offset_table.entry(key).or_insert_with(|| BTreeMap::from([(LIGHT_QUEUE.0, next)]));
        }
        let file = if light { light_file } else { plain_file };
        let offsets = saved.offset_table.into_iter().map(|(key, queues)| {
            let valid = queues.into_iter().filter_map(|(id, at)| Some((id, u64::try_from(at).ok()?)));
            (key, valid.collect())
        });
        let offsets: HashMap<_, ByQueue, _> = offsets.collect();
        let count = offsets.values().map(BTreeMap::len).sum();
        let table = Table { version: saved.data_version, offsets, count, ..Table::default() };
        Ok(Self { table: Mutex::new(table), moves: AtomicUsize::new(0), file: Mutex::new(file), light })
    }

    /// The next offset that `group` is to consume, if it ever committed one.
    #[must_use]
    pub fn find(&self, group: &str, topic: &str, queue: QueueId) -> Option<QueueOffset> {
        let table = self.table.lock();
        table.offsets.get(&key(topic, group))?.get(&queue.0).map(|&at| QueueOffset(at))
    }

    /// Notes that everything before `next` is consumed. Smaller than before is legitimate: a reset. `false` while the
    /// group was moved and its members have not heard of it.
    pub(crate) fn commit(&self, group: &str, topic: &str, queue: QueueId, next: QueueOffset) -> bool {
        let mut table = self.table.lock();
        let key = key(topic, group);
        if !table.moved.is_empty() && table.moved.get(&key).is_some_and(|moved| moved.contains_key(&queue.0))
        {
            return false;
        }
        table.put(key, queue, next);
        true
    }

    /// Moves a group: what its members commit does not count until one of them heard of it.
    pub(crate) fn reset(&self, group: &str, topic: &str, queue: QueueId, next: QueueOffset) {
        let mut table = self.table.lock();
        let key = key(topic, group);
        table.put(key.clone(), queue, next);
        table.moved.entry(key).or_default().insert(queue.0, next.0);
        self.count_moves(&table);
    }

    /// Where the group was moved to, once: the pull that asks tells its member.
    pub(crate) fn take_move(&self, group: &str, topic: &str, queue: QueueId) -> Option<QueueOffset> {
        if self.moves.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut table = self.table.lock();
        let key = key(topic, group);
        let queues = table.moved.get_mut(&key)?;
        let next = queues.remove(&queue.0)?;
        if queues.is_empty() {
            table.moved.remove(&key);
        }
        self.count_moves(&table);
        Some(QueueOffset(next))
    }

    fn count_moves(&self, table: &Table) {
        self.moves.store(table.moved.values().map(BTreeMap::len).sum(), Ordering::Relaxed);
    }

    /// Gives a group the positions of another one in a topic, in place of its own.
    pub(crate) fn copy(&self, from: &str, to: &str, topic: &str) {
        let mut table = self.table.lock();
        let Some(positions) = table.offsets.get(&key(topic, from)).cloned() else { return };
        let key = key(topic, to);
        if let Some(before) = table.offsets.remove(&key) {
            table.count -= before.len();
            table.changed = true;
        }
        for (queue, next) in positions {
            table.put(key.clone(), QueueId(queue), QueueOffset(next));
        }
    }

    /// All positions in a topic: the group, the queue, the next offset.
    pub(crate) fn of_topic(&self, topic: &str) -> Vec<(String, QueueId, QueueOffset)> {
        let table = self.table.lock();
        let of_topic = table.offsets.iter().filter_map(|(key, queues)| {
            let (of, group) = key.split_once(SEPARATOR)?;
            (of == topic).then_some((group, queues))
        });
        of_topic
            .flat_map(|(group, queues)| {
                queues.iter().map(|(&id, &next)| (group.to_owned(), QueueId(id), QueueOffset(next)))
            })
            .collect()
    }

    /// Topics that `group` has offsets for.
    #[must_use]
    pub fn topics_of(&self, group: &str) -> Vec<String> {
        let table = self.table.lock();
        let split = |key: &String| key.split_once(SEPARATOR).map(|(t, g)| (t.to_owned(), g.to_owned()));
        table.offsets.keys().filter_map(split).filter(|(_, g)| g == group).map(|(t, _)| t).collect()
    }

    /// Topics that these groups have offsets for, by group.
    pub(crate) fn topics_of_groups(&self, groups: &BTreeSet<String>) -> BTreeMap<String, BTreeSet<String>> {
        let table = self.table.lock();
        let mut topics = BTreeMap::<String, BTreeSet<String>>::new();
        for (topic, group) in table.offsets.keys().filter_map(|key| key.split_once(SEPARATOR)) {
            if groups.contains(group) {
                topics.entry(group.to_owned()).or_default().insert(topic.to_owned());
            }
        }
        topics
    }

    /// Groups that have offsets in these topics, by topic.
    pub(crate) fn groups_of_topics(&self, topics: &BTreeSet<String>) -> BTreeMap<String, BTreeSet<String>> {
        let table = self.table.lock();
        let mut groups = BTreeMap::<String, BTreeSet<String>>::new();
        for (topic, group) in table.offsets.keys().filter_map(|key| key.split_once(SEPARATOR)) {
            if topics.contains(topic) {
                groups.entry(topic.to_owned()).or_default().insert(group.to_owned());
            }
        }
        groups
    }

    /// The positions of up to `most` pairs of a topic and a group, which ones is left open; and how many pairs there are
    /// besides. Groups of light queues are not among them.
    pub(crate) fn some(&self, most: usize) -> (Vec<Positions>, usize) {
        let table = self.table.lock();
        let positions = |(key, queues): (&String, &ByQueue)| {
            let (topic, group) = key.split_once(SEPARATOR)?;
            (!is_light(group) && !is_light(topic)).then(|| Positions {
                topic: topic.to_owned(),
                group: group.to_owned(),
                queues: queues.iter().map(|(&id, &next)| (QueueId(id), QueueOffset(next))).collect(),
            })
        };
        let some: Vec<_> = table.offsets.iter().filter_map(positions).take(most).collect();
        let left = if some.len() < most { 0 } else { table.offsets.len() - some.len() };
        (some, left)
    }

    /// Groups that have offsets in `topic`.
    #[must_use]
    pub fn groups_of(&self, topic: &str) -> BTreeSet<String> {
        let table = self.table.lock();
        let of_topic =
            |key: &String| key.split_once(SEPARATOR).filter(|(t, _)| *t == topic).map(|(_, g)| g.to_owned());
        table.offsets.keys().filter_map(of_topic).collect()
    }

    /// All offsets by `topic@group` and queue, and the version of the table.
    #[must_use]
    pub fn snapshot(&self) -> (DataVersion, BTreeMap<String, BTreeMap<u32, i64>>) {
        let table = self.table.lock();
        (table.version, table.offsets.iter().map(|(key, queues)| (key.clone(), wire(queues))).collect())
    }

    /// Forgets all offsets in a topic. Whether there were any.
    pub(crate) fn forget_topic(&self, topic: &str) -> bool {
        self.retain(|of, _, _| of != topic)
    }

    /// Forgets all offsets in such queues. Whether there were any.
    pub(crate) fn forget_queues(&self, gone: &BTreeMap<&str, BTreeSet<QueueId>>) -> bool {
        self.retain(|topic, _, id| !gone.get(topic).is_some_and(|ids| ids.contains(&id)))
    }

    /// Forgets all offsets of a group. Whether there were any.
    pub(crate) fn forget_group(&self, group: &str) -> bool {
        self.retain(|_, of, _| of != group)
    }

    /// Keeps the offsets that `keep` says are to stay, by topic, group and queue. Whether any was not.
    fn retain(&self, keep: impl Fn(&str, &str, QueueId) -> bool) -> bool {
        let retained = |offsets: &mut HashMap<String, ByQueue, RandomState>| {
            offsets.retain(|key, queues| {
                if let Some((topic, group)) = key.split_once(SEPARATOR) {
                    queues.retain(|&id, _| keep(topic, group, QueueId(id)));
                }
                !queues.is_empty()
            });
            offsets.values().map(BTreeMap::len).sum()
        };
        let mut table = self.table.lock();
        let left = retained(&mut table.offsets);
        let forgotten = left != table.count;
        table.count = left;
        table.changed |= forgotten;
        retained(&mut table.moved);
        self.count_moves(&table);
        forgotten
    }

    /// Writes the file if anything changed since it was last written.
    pub(crate) fn save(&self) -> io::Result<()> {
        // Taken first, so that two saves cannot overtake each other.
        let file = self.file.lock();
        let saved = {
            let mut table = self.table.lock();
            if !std::mem::take(&mut table.changed) {
                return Ok(());
            }
            table.version.bump(Timestamp::now());
            let group = |key: &str| key.split_once(SEPARATOR).is_some_and(|(_, group)| is_light(group));
            let mut saved = Saved { data_version: table.version, ..Saved::default() };
            for (key, queues) in &table.offsets {
                if self.light && group(key) {
                    let next = queues.get(&LIGHT_QUEUE.0).map(|&at| (key.clone(), at as i64));
                    saved.lmq_offset_table.get_or_insert_default().extend(next);
                } else {
                    saved.offset_table.insert(key.clone(), wire(queues));
                }
            }
            saved
        };
        file.save(&saved).inspect_err(|_| self.table.lock().changed = true)
    }
}

impl Table {
    fn put(&mut self, key: String, queue: QueueId, next: QueueOffset) {
        if let Some(known) = self.offsets.get_mut(&key).and_then(|queues| queues.get_mut(&queue.0)) {
            self.changed |= *known != next.0;
            *known = next.0;
            return;
        }
        if self.count >= MAX_POSITIONS {
            tracing::warn!(key, "there are {MAX_POSITIONS} consumer offsets: a new one is not noted");
            return;
        }
        self.offsets.entry(key).or_default().insert(queue.0, next.0);
        self.count += 1;
        self.changed = true;
    }
}

fn wire(queues: &ByQueue) -> BTreeMap<u32, i64> {
    queues.iter().map(|(&id, &at)| (id, at as i64)).collect()
}

fn key(topic: &str, group: &str) -> String {
    let mut key = String::with_capacity(topic.len() + 1 + group.len());
    key.push_str(topic);
    key.push(SEPARATOR);
    key.push_str(group);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_survive_in_the_reference_brokers_shape() {
        let dir = tempfile::tempdir().unwrap();
        // As a Java broker writes it: number keys without quotes.
        let text = "{\"dataVersion\":{\"counter\":1,\"stateVersion\":0,\"timestamp\":2},\"groupTopicMap\":{},\
                    \"offsetTable\":{\"T@G\":{0:12,1:-1},\"%RETRY%G@G\":{0:3}}}";
        std::fs::write(dir.path().join("consumerOffset.json"), text).unwrap();
        let open = || ConsumerOffsets::load(dir.path(), false).unwrap();
        let offsets = open();
        assert_eq!(offsets.find("G", "T", QueueId(0)), Some(QueueOffset(12)));
        assert_eq!(offsets.find("G", "T", QueueId(1)), None);
        offsets.commit("G", "T", QueueId(1), QueueOffset(7));
        offsets.save().unwrap();
        let offsets = open();
        assert_eq!(offsets.find("G", "T", QueueId(1)), Some(QueueOffset(7)));
        offsets.forget_topic("T");
        assert_eq!(offsets.topics_of("G"), ["%RETRY%G"]);
    }

    #[test]
    fn light_queues_have_a_file_of_their_own_and_turning_them_on_or_off_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let open = |light| ConsumerOffsets::load(dir.path(), light).unwrap();
        let find = |offsets: &ConsumerOffsets| {
            let at = |group, topic| offsets.find(group, topic, QueueId(0)).map(|at| at.0);
            (at("G", "T"), at("G", "%LMQ%x"), at("%LMQ%g", "%LMQ%x"))
        };
        let offsets = open(false);
        offsets.commit("G", "T", QueueId(0), QueueOffset(1));
        offsets.save().unwrap();
        let offsets = open(true);
        assert_eq!(find(&offsets), (Some(1), None, None));
        offsets.commit("G", "T", QueueId(0), QueueOffset(2));
        offsets.commit("G", "%LMQ%x", QueueId(0), QueueOffset(3));
        offsets.commit("%LMQ%g", "%LMQ%x", QueueId(0), QueueOffset(5));
        // A version has the time of its change, and both changes may fall into one millisecond.
        offsets.save().unwrap();
        let text = std::fs::read_to_string(dir.path().join("lmqConsumerOffset.json")).unwrap();
        let saved: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(saved["lmqOffsetTable"], serde_json::json!({"%LMQ%x@%LMQ%g": 5}));
        assert_eq!(saved["offsetTable"]["%LMQ%x@G"]["0"], 3);
        assert_eq!(find(&open(true)), (Some(2), Some(3), Some(5)));
        let offsets = open(false);
        assert_eq!(find(&offsets), (Some(2), Some(3), Some(5)));
        offsets.commit("G", "T", QueueId(0), QueueOffset(9));
        offsets.save().unwrap();
        assert_eq!(find(&open(true)), (Some(9), Some(3), Some(5)));
    }
}
