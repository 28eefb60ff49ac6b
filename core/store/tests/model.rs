//! Random operations on a store, compared with a model that is nothing but lists.
//!
//! Appends, reads with filters, flushes, kills, clean stops, deletion of old files, expired queues and topics, in any
//! order. A
//! failure names its seed: `FERROMQ_MODEL_SEED=<seed>` runs that one case again, `FERROMQ_MODEL_CASES` more of them.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use ferromq_model::config::Percent;
use ferromq_model::delay::DelayLevels;
use ferromq_model::filter::MessageFilter;
use ferromq_model::record::Record;
use ferromq_model::{Millis, PhysicalOffset, QueueId, QueueOffset, Timestamp};
use ferromq_store::{Batch, FlushMode, Read, ReadLimit, Store, StoreConfig};
use support::{Message, TestHost, block_on, config, copy_dir, flush, scratch, split, topic, wait_until};

/// A small generator, so that a seed means the same case everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize].clone()
    }
}

/// A message as the model knows it.
#[derive(Clone, Debug)]
struct Known {
    message: Message,
    physical: PhysicalOffset,
    stored: Timestamp,
}

#[derive(Default)]
struct Model {
    /// All messages that a queue ever had since its topic was made.
    queues: BTreeMap<(String, u32), Vec<Known>>,
    appended: u64,
}

const TOPICS: [&str; 4] = ["A", "B", "%RETRY%g", "a-topic-with-a-longer-name"];
const TAGS: [&str; 3] = ["x", "y", "z"];

struct Case {
    random: Random,
    dir: tempfile::TempDir,
    host: Arc<TestHost>,
    mode: FlushMode,
    store: Store,
    model: Model,
    log: Vec<String>,
}

impl Case {
    fn settings(root: &std::path::Path, mode: FlushMode) -> StoreConfig {
        StoreConfig { disk_clean_forcibly: Percent(50), ..config(root, mode) }
    }

    fn open(root: &std::path::Path, mode: FlushMode, host: &Arc<TestHost>) -> Store {
        Store::open_on(Self::settings(root, mode), &DelayLevels::default(), Arc::clone(host) as _).unwrap()
    }

    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let mode = if random.below(2) == 0 { FlushMode::Sync } else { FlushMode::Async };
        let dir = scratch();
        let host = TestHost::new();
        let store = Self::open(dir.path(), mode, &host);
        Self { random, dir, host, mode, store, model: Model::default(), log: Vec::new() }
    }

    fn run(&mut self) {
        let steps = 10 + self.random.below(40);
        for _ in 0..steps {
            match self.random.below(100) {
                0..50 => self.append(),
                50..75 => self.read(),
                75..80 => self.step_clock(),
                80..84 => self.search_by_time(),
                84..89 => self.restart_clean(),
                89..94 => self.kill(),
                94..97 => self.expire(),
                _ => self.delete_topic(),
            }
        }
        self.check_all();
        self.restart_clean();
        self.check_all();
        self.kill();
        self.check_all();
        self.store.close().unwrap();
    }

    fn note(&mut self, what: String) {
        self.log.push(what);
    }

    fn append(&mut self) {
        let batches = 1 + self.random.below(6);
        for _ in 0..batches {
            let mut batch = Batch::new();
            let mut messages = Vec::new();
            for _ in 0..=self.random.below(20) {
                let name = format!("m{}", self.model.appended + messages.len() as u64);
                let len = match self.random.below(20) {
                    0 => 0,
                    1 => self.random.below(20_000),
                    _ => self.random.below(900),
                };
                let mut message =
                    Message::new(self.random.pick(&TOPICS), self.random.below(3) as u32, &name, len as usize);
                if self.random.below(3) > 0 {
                    message = message.tagged(self.random.pick(&TAGS));
                }
                message.push_to(&self.store, &mut batch);
                messages.push(message);
            }
            self.store.append(&mut batch).unwrap();
            let placed = batch.placed().to_vec();
            assert_eq!(placed.len(), messages.len());
            self.model.appended += messages.len() as u64;
            for (message, placed) in messages.into_iter().zip(&placed) {
                let queue = self.model.queues.entry((message.topic.clone(), message.queue)).or_default();
                assert_eq!(placed.queue_offset, QueueOffset(queue.len() as u64), "{message:?}");
                queue.push(Known { message, physical: placed.physical, stored: placed.stored });
            }
            if self.mode == FlushMode::Sync {
                block_on(self.store.flushed_to(placed.last().unwrap().end)).unwrap();
            }
        }
        self.note(format!("appended up to {}", self.model.appended));
    }

    /// The offset of the first message that the log still has.
    fn min_of(&self, key: &(String, u32)) -> u64 {
        let min = self.store.stats().log_min;
        self.model.queues[key].partition_point(|known| known.physical < min) as u64
    }

    fn read(&mut self) {
        let Some(key) = self.any_queue() else { return };
        let known = &self.model.queues[&key];
        let min = self.min_of(&key);
        let from = self.random.below(known.len() as u64 + 3);
        let limit = ReadLimit {
            messages: 1 + self.random.below(40) as u32,
            bytes: 1 + self.random.below(9000) as usize,
        };
        let tag = if self.random.below(2) == 0 { None } else { Some(self.random.pick(&TAGS)) };
        let filter = tag.map_or(MessageFilter::All, MessageFilter::tags);
        let queue = self.store.find_queue(&key.0, QueueId(key.1)).unwrap();
        let what = format!("read {key:?} from {from} {limit:?} {tag:?}, {min}..{}", known.len());
        let passes = |known: &Known| tag.is_none() || known.message.tag.as_deref() == tag;
        match self.store.read(&queue, QueueOffset(from), limit, &filter).unwrap() {
            Read::Empty => assert!(known.is_empty(), "{what}"),
            Read::AtEnd => assert_eq!(from, known.len() as u64, "{what}"),
            Read::Beyond { max } => {
                assert!(from > known.len() as u64 && max.0 == known.len() as u64, "{what}");
            }
            Read::Before { min: at } => assert!(from < min && at.0 == min, "{what}: {at}"),
            Read::NoMatch { next } => {
                assert!(from >= min && next.0 > from && next.0 <= known.len() as u64, "{what}");
                assert!(!known[from as usize..next.0 as usize].iter().any(passes), "{what}");
            }
            Read::Found(found) => {
                assert!(from >= min, "{what}");
                let records = split(&found.records);
                assert_eq!(records.len(), found.count as usize);
                assert_eq!(records.iter().map(bytes::Bytes::len).sum::<usize>(), found.bytes);
                assert!(
                    found.count == 1 || found.bytes <= limit.bytes && found.count <= limit.messages,
                    "{what}"
                );
                let looked_at = &known[from as usize..found.next.0 as usize];
                let expected: Vec<_> = looked_at.iter().filter(|known| passes(known)).collect();
                assert_eq!(expected.len(), records.len(), "{what}");
                for (known, bytes) in expected.iter().zip(&records) {
                    check_record(known, bytes, &what);
                }
            }
        }
        self.note(what);
    }

    fn any_queue(&mut self) -> Option<(String, u32)> {
        let keys: Vec<_> = self.model.queues.keys().cloned().collect();
        (!keys.is_empty()).then(|| self.random.pick(&keys))
    }

    fn step_clock(&mut self) {
        let step = self.random.below(20_000) as i64 - 5000;
        let now = Timestamp(self.store.now().0 + step);
        self.host.set_clock(now);
        self.note(format!("clock steps by {step} ms"));
    }

    fn search_by_time(&mut self) {
        let Some(key) = self.any_queue() else { return };
        let known = &self.model.queues[&key];
        let min = self.min_of(&key);
        let time = match known.get(self.random.below(known.len() as u64) as usize) {
            Some(known) => known.stored.plus(Millis(self.random.below(3))).minus(Millis(1)),
            None => return,
        };
        let queue = self.store.find_queue(&key.0, QueueId(key.1)).unwrap();
        let first = known.partition_point(|known| known.stored < time) as u64;
        assert_eq!(self.store.first_at_or_after(&queue, time).0, first.max(min), "{key:?} {time:?}");
        let behind = known.partition_point(|known| known.stored <= time) as u64;
        assert_eq!(
            self.store.last_at_or_before(&queue, time).0,
            behind.saturating_sub(1).max(min),
            "{key:?}"
        );
        self.note(format!("searched {key:?} by time"));
    }

    fn restart_clean(&mut self) {
        let end = self.store.stats().log_max;
        self.store.close().unwrap();
        self.change_mode();
        self.store = Self::open(self.dir.path(), self.mode, &self.host);
        let report = self.store.recovery().clone();
        assert!(report.dropped.is_empty() && report.end == end, "{report:?}");
        self.note(format!("stopped and started: {report:?}"));
    }

    fn change_mode(&mut self) {
        if self.random.below(4) == 0 {
            self.mode = if self.mode == FlushMode::Sync { FlushMode::Async } else { FlushMode::Sync };
        }
    }

    fn kill(&mut self) {
        let end = self.store.stats().log_max;
        let copy = scratch();
        copy_dir(self.dir.path(), copy.path());
        self.store.close().unwrap();
        // Once messages are deleted the log alone does not tell where an empty queue stands.
        if self.random.below(6) == 0 && self.store.stats().log_min == PhysicalOffset::ZERO {
            let _ = std::fs::remove_dir_all(copy.path().join("consumequeue"));
        }
        self.dir = copy;
        self.change_mode();
        self.store = Self::open(self.dir.path(), self.mode, &self.host);
        let report = self.store.recovery().clone();
        assert!(report.dropped.is_empty() && report.end == end, "{report:?}");
        self.note(format!("killed and started: {report:?}"));
    }

    fn expire(&mut self) {
        // So that queues are written: a queue whose entries and messages are both gone starts at zero again.
        self.restart_clean();
        // Deleted by force, oldest first, until the disk is found below half.
        self.host.set_used_percent(51);
        self.host.shrink_use_with_each_look();
        self.store.clean_up();
        self.note(format!("deleted up to {}", self.store.stats().log_min));
        if self.random.below(2) == 0 {
            self.delete_expired_queues();
        }
    }

    fn delete_expired_queues(&mut self) {
        let spared = self.random.pick(&TOPICS);
        let may_go = |topic: &str| topic != spared;
        let queues = self.model.queues.keys().cloned();
        let is_expired = |key: &(String, u32)| self.min_of(key) == self.model.queues[key].len() as u64;
        let expected: Vec<_> = queues.filter(|key| may_go(&key.0) && is_expired(key)).collect();
        let gone = self.store.delete_expired_queues(|topic| may_go(topic.as_str())).unwrap();
        let mut gone: Vec<_> = gone.into_iter().map(|(topic, id)| (topic.to_string(), id.0)).collect();
        gone.sort();
        assert_eq!(gone, expected);
        self.model.queues.retain(|key, _| !gone.contains(key));
        self.note(format!("deleted the expired queues {gone:?}"));
    }

    fn delete_topic(&mut self) {
        let name = self.random.pick(&TOPICS);
        self.store.delete_topic(&topic(name)).unwrap();
        self.model.queues.retain(|(topic, _), _| topic != name);
        self.note(format!("deleted topic {name}"));
    }

    fn check_all(&mut self) {
        flush(&self.store);
        let seen = support::read_all(&self.store);
        let mut left = seen.keys().filter(|key| !self.model.queues.contains_key(key));
        assert_eq!(left.next(), None, "a queue that should not be");
        for (key, known) in &self.model.queues {
            let min = self.min_of(key);
            let queue = self.store.find_queue(&key.0, QueueId(key.1)).unwrap();
            assert_eq!((queue.min().0, queue.max().0), (min, known.len() as u64), "{key:?}");
            let seen = seen.get(key).map_or(&[][..], Vec::as_slice);
            assert_eq!(seen.len() as u64, known.len() as u64 - min, "{key:?}");
            for (offset, message) in seen {
                assert_eq!(*message, known[offset.0 as usize].message, "{key:?} {offset}");
            }
        }
        wait_until("the index has come to the end", || self.store.stats().index_behind == 0);
        if let Some(key) = self.any_queue() {
            let known = &self.model.queues[&key];
            let min = self.min_of(&key) as usize;
            for known in known[min..].iter().rev().take(20) {
                let Message { topic, key, .. } = &known.message;
                let found = self.store.find_by_key(topic, key, Timestamp(0), Timestamp(i64::MAX), 10);
                assert_eq!(found.len(), 1, "{topic} {key}");
                check_record(known, &found[0], "found by key");
            }
        }
    }
}

fn check_record(known: &Known, bytes: &[u8], what: &str) {
    let record = Record::decode(bytes).unwrap();
    record.verify().unwrap();
    assert_eq!(Message::of_record(&record), known.message, "{what}");
    assert_eq!((record.physical_offset, record.stored), (known.physical, known.stored), "{what}");
}

#[test]
fn the_store_agrees_with_a_plain_list_whatever_happens() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds: Vec<u64> = match number("FERROMQ_MODEL_SEED") {
        Some(seed) => vec![seed],
        None => {
            let first = Timestamp::now().0 as u64 * 1000;
            (first..first + number("FERROMQ_MODEL_CASES").unwrap_or(150)).collect()
        }
    };
    for seed in seeds {
        let mut case = Case::new(seed);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case.run()));
        if let Err(panic) = outcome {
            for what in &case.log {
                eprintln!("{what}");
            }
            eprintln!("failed with FERROMQ_MODEL_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
