//! What topic filters cost: nanoseconds of CPU a message to prepare a send with so many of them attached, to store it,
//! and to wake those who watch a queue; and what a filter takes of time and memory.
//!
//! `cargo bench -p ferromq-broker --bench fanout [-- MESSAGES [DIR]]`; the store is made in DIR, by default below the
//! directory for temporary files.

#![allow(clippy::print_stdout, reason = "it reports")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use ferromq_broker::send::{Send, SendBatch};
use ferromq_broker::{Broker, BrokerConfig};
use ferromq_model::message::SysFlag;
use ferromq_model::{QueueId, Timestamp};
use ferromq_store::{FlushMode, Queue, Store, StoreConfig, Watcher};

/// Sends that are prepared before they are committed, as a busy connection has them.
const BATCH: u64 = 32;
const BODY: [u8; 256] = [b'x'; 256];
/// Topics that senders take turns in where no look is like the one before.
const TOPICS: usize = 64;

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let messages: u64 = args.next().map_or(1_000_000, |text| text.parse().expect("a number of messages"));
    let parent = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    println!("ns of CPU a message                          prepare   commit");
    for filters in [0, 1, 1_000, 100_000] {
        sends(&parent, filters, messages);
    }
    watchers(&parent, messages / 1_000);
}

fn open(dir: &Path) -> Broker {
    let config = StoreConfig { root: dir.to_owned(), flush: FlushMode::Async, ..StoreConfig::default() };
    let broker = BrokerConfig { name: "bench".to_owned(), ..BrokerConfig::default() };
    let store = Store::open(config, &broker.delay_levels).expect("a store");
    Broker::open(broker, store, ([10, 0, 0, 2], 10_911).into()).expect("a broker")
}

/// The properties of a message of an MQTT topic, as a front-end makes them.
fn properties(topic: &str) -> String {
    [
        ("originMqttTopic", topic),
        ("qosLevel", "1"),
        ("clientId", "client-1"),
        ("UNIQ_KEY", "0A00000100002A9F0000000000000200"),
        ("TAGS", "MQTT_COMMON"),
    ]
    .map(|(name, value)| format!("{name}\x01{value}\x02"))
    .concat()
}

fn sends(parent: &Path, filters: usize, messages: u64) {
    let dir = tempfile::tempdir_in(parent).expect("a directory");
    let broker = open(dir.path());
    let (memory, began) = (resident(), cpu());
    for i in 0..filters {
        let filter = if i % 2 == 0 { format!("plant/{i}/state") } else { format!("plant/{i}/+/#") };
        broker.fanout().attach(&filter).expect("a filter");
    }
    if filters > 1 {
        let (count, took) = (filters as u64, cpu() - began);
        let bytes = resident().saturating_sub(memory) / count;
        println!("{filters:>7} filters: {} ns and {bytes} bytes of memory each to attach", took / count);
    }
    // Filters with even numbers, and topics that none matches.
    let there: Vec<_> = (0..TOPICS).map(|i| properties(&format!("plant/{}/state", 2 * i))).collect();
    let absent: Vec<_> = (0..TOPICS).map(|i| properties(&format!("plant/{}/other", 2 * i))).collect();
    let mut cases = vec![("no filter matches, one topic", &absent[..1])];
    if filters > 0 {
        cases.push(("one filter matches, one topic", &there[..1]));
    }
    if filters > TOPICS {
        cases.push(("no filter matches, many topics", &absent));
        cases.push(("one filter matches, many topics", &there));
    }
    for (name, topics) in cases {
        run(&broker, topics, messages / 20);
        let [prepare, commit] = run(&broker, topics, messages).map(|ns| ns as f64 / messages as f64);
        println!("{filters:>7} filters, {name:<32} {prepare:>6.0} {commit:>8.0}");
    }
    broker.store().close().expect("a clean stop");
}

/// Sends so many messages, with these properties in turn; the CPU time of preparing and of committing.
fn run(broker: &Broker, properties: &[String], messages: u64) -> [u64; 2] {
    let mut sends = SendBatch::new();
    let mut took = [0; 2];
    let mut next = 0;
    for _ in 0..messages / BATCH {
        let began = cpu();
        for _ in 0..BATCH {
            let send = message(&properties[next % properties.len()]);
            black_box(broker.prepare(&mut sends, &send).expect("it is taken"));
            next += 1;
        }
        let prepared = cpu();
        broker.commit(&mut sends).expect("it is stored");
        sends.clear();
        took = [took[0] + (prepared - began), took[1] + (cpu() - prepared)];
    }
    took
}

fn message(properties: &str) -> Send<'_> {
    Send {
        topic: "plant",
        default_topic: "TBW102",
        default_queues: 4,
        queue: Some(QueueId(0)),
        sharding_key: None,
        sys_flag: SysFlag(0),
        flag: 0,
        born: Timestamp(1_700_000_000_000),
        born_host: ([10, 0, 0, 1], 50_000).into(),
        properties,
        reconsume_times: 0,
        max_reconsume_times: None,
        unit_mode: false,
        is_batch: false,
        body: &BODY,
    }
}

/// Counts how often it is told.
#[derive(Default)]
struct Count(AtomicU64);

impl Watcher for Count {
    fn arrived(&self, _: &Arc<Queue>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn watchers(parent: &Path, messages: u64) {
    const WATCHERS: usize = 1_000;
    let dir = tempfile::tempdir_in(parent).expect("a directory");
    let broker = open(dir.path());
    let filter = broker.fanout().attach("plant/0/state").expect("a filter");
    let watchers: Vec<Arc<Count>> = (0..WATCHERS).map(|_| Arc::default()).collect();
    let properties = properties("plant/0/state");
    let mut sends = SendBatch::new();
    let mut took = [0; 3];
    for watched in [true, false] {
        for _ in 0..messages {
            let began = cpu();
            for watcher in watchers.iter().filter(|_| watched) {
                let watcher: Weak<Count> = Arc::downgrade(watcher);
                assert!(filter.queue().watch(filter.queue().max(), watcher));
            }
            let asked = cpu();
            broker.prepare(&mut sends, &message(&properties)).expect("it is taken");
            broker.commit(&mut sends).expect("it is stored");
            sends.clear();
            if watched {
                took = [took[0] + (asked - began), took[1] + (cpu() - asked), took[2]];
            } else {
                took[2] += cpu() - asked;
            }
        }
    }
    let told: u64 = watchers.iter().map(|watcher| watcher.0.load(Ordering::Relaxed)).sum();
    assert_eq!(told, messages * WATCHERS as u64);
    let [ask, tell, alone] = took.map(|took| took / messages);
    println!(
        "{WATCHERS} watchers of one queue: a send takes {tell} ns, {alone} without them, and asking anew {ask}"
    );
    broker.store().close().expect("a clean stop");
}

/// Nanoseconds of CPU that this thread took so far.
fn cpu() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Bytes of anonymous memory that the process has.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}
