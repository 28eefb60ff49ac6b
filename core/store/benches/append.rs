//! What an append costs: nanoseconds of CPU a message on the appending threads and in the whole process, by the
//! messages a batch has, on one thread and on two.
//!
//! `cargo bench -p ferromq-store --bench append [-- MESSAGES [DIR]]`; the store is made in DIR, by default below the
//! directory for temporary files.

#![allow(clippy::print_stdout, reason = "it reports")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use ferromq_model::delay::DelayLevels;
use ferromq_model::message::{SysFlag, TagsCode};
use ferromq_model::record::NewRecord;
use ferromq_model::{PhysicalOffset, QueueId, Timestamp, TopicName};
use ferromq_store::{Batch, EntryTag, FlushMode, Queue, Store, StoreConfig};

const TOPIC: &str = "BenchmarkTest";
const QUEUES: u32 = 8;
/// Makes a record of about 330 bytes, as the reference's clients send it.
const BODY_LEN: usize = 128;
const PROPERTIES: &str = "UNIQ_KEY\x010A00000100002A9F0000000000000200\x02CLUSTER\x01DefaultCluster\x02WAIT\x01true\x02TAGS\x01TagA\x02";

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let messages: u64 = args.next().map_or(4_000_000, |text| text.parse().expect("a number of messages"));
    let parent = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    println!("threads  batch   ns/message (appending)   ns/message (all threads)   messages/s");
    for threads in [1, 2] {
        for size in [1, 4, 16, 32] {
            run(&parent, threads, size, messages);
        }
    }
}

fn run(parent: &Path, threads: u64, size: u64, messages: u64) {
    let dir = tempfile::tempdir_in(parent).expect("a directory");
    let config =
        StoreConfig { root: dir.path().to_owned(), flush: FlushMode::Async, ..StoreConfig::default() };
    let store = Store::open(config, &DelayLevels::default()).expect("a store");
    fill(&store, 0, size, messages / 20);
    let before = process_cpu();
    let began = Instant::now();
    let workers: Vec<_> = (0..threads)
        .map(|worker| {
            let store = store.clone();
            std::thread::spawn(move || fill(&store, worker, size, messages / threads))
        })
        .collect();
    let appending: u64 = workers.into_iter().map(|worker| worker.join().expect("it appends")).sum();
    let took = began.elapsed();
    // Queues and index are written behind.
    while store.stats().index_behind > 0 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let all = process_cpu() - before;
    println!(
        "{threads:>7}  {size:>5}   {:>22}   {:>24}   {:>10.0}",
        appending / messages,
        all.max(appending) / messages,
        messages as f64 / took.as_secs_f64()
    );
    store.close().expect("a clean stop");
}

/// Appends and returns the nanoseconds of CPU that this thread took.
fn fill(store: &Store, worker: u64, size: u64, messages: u64) -> u64 {
    let topic = TopicName::new(TOPIC).expect("a name");
    let queues: Vec<Arc<Queue>> = (0..QUEUES).map(|id| store.queue(&topic, QueueId(id))).collect();
    let body = [b'x'; BODY_LEN];
    let tags = EntryTag::Tags(TagsCode::of(Some("TagA")));
    let mut batch = Batch::new();
    let before = thread_cpu("thread-self");
    for i in 0..messages / size {
        // A client's batch goes to one queue.
        let queue = &queues[((i + worker) % u64::from(QUEUES)) as usize];
        for _ in 0..size {
            let record = NewRecord {
                topic: TOPIC,
                queue_id: queue.id(),
                flag: 0,
                sys_flag: SysFlag(0),
                born: Timestamp(1_700_000_000_000),
                born_host: ([10, 0, 0, 1], 50_000).into(),
                store_host: ([10, 0, 0, 2], 10_911).into(),
                reconsume_times: 0,
                prepared_offset: PhysicalOffset::ZERO,
                body: &body,
                properties: &[PROPERTIES],
            };
            batch.push(Arc::clone(queue), &record, tags);
        }
        store.append(&mut batch).expect("it is taken");
        batch.clear();
    }
    thread_cpu("thread-self") - before
}

/// Nanoseconds of CPU that a thread took so far.
fn thread_cpu(thread: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{thread}/schedstat")).unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

/// Nanoseconds of CPU that all threads alive took so far.
fn process_cpu() -> u64 {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    threads.map(|thread| thread_cpu(&format!("self/task/{}", thread.file_name().display()))).sum()
}
