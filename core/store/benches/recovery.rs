//! How long a store takes to open: after a kill with 2 GiB of messages, with all queues lost, and with very many queues.
//!
//! `cargo bench -p ferromq-store --bench recovery [-- GIB QUEUES [DIR]]`; stores are made in DIR, by default below the
//! directory for temporary files. Pages are in the cache, as they are after a kill.

#![allow(clippy::print_stdout, reason = "it reports")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use ferromq_model::delay::DelayLevels;
use ferromq_model::message::{SysFlag, TagsCode};
use ferromq_model::record::NewRecord;
use ferromq_model::{PhysicalOffset, QueueId, Timestamp, TopicName};
use ferromq_store::{Batch, EntryTag, FlushMode, Queue, Store, StoreConfig};

const BODY_LEN: usize = 128;
const PROPERTIES: &str = "UNIQ_KEY\x010A00000100002A9F0000000000000200\x02CLUSTER\x01DefaultCluster\x02WAIT\x01true\x02TAGS\x01TagA\x02";

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let first = args.next().unwrap_or_else(|| "2".to_owned());
    if first == "fill" {
        let mut next = || args.next().expect("an argument");
        return fill(&PathBuf::from(next()), &next(), &next());
    }
    if first == "open" {
        let dir = PathBuf::from(args.next().expect("a directory"));
        let config = StoreConfig { root: dir, flush: FlushMode::Async, ..StoreConfig::default() };
        let before = resident_kib();
        let _store = Store::open(config, &DelayLevels::default()).expect("a store");
        println!("private memory of a process that has just opened it: +{} KiB", resident_kib() - before);
        std::process::exit(0);
    }
    let gib: u64 = first.parse().expect("how many GiB");
    let queues: u32 = args.next().map_or(80_000, |text| text.parse().expect("how many queues"));
    let parent = args.next().map_or_else(std::env::temp_dir, PathBuf::from);

    let dir = tempfile::tempdir_in(&parent).expect("a directory");
    fill_and_die(dir.path(), gib << 30, 8);
    open(dir.path(), "killed, 8 queues");
    std::fs::remove_dir_all(dir.path().join("consumequeue")).expect("queues to delete");
    open(dir.path(), "queues lost");
    open(dir.path(), "clean");
    drop(dir);

    let dir = tempfile::tempdir_in(&parent).expect("a directory");
    // A few messages for each queue.
    fill_and_die(dir.path(), u64::from(queues) * 4 * 330, queues);
    // The first start makes most of the queues' files, the second finds them.
    open_and_die(dir.path());
    open(dir.path(), &format!("killed, {queues} queues"));
    open(dir.path(), &format!("clean, {queues} queues"));
    open_and_die(dir.path());
}

/// Has another process write and end without a stop, which leaves what a kill does.
fn fill_and_die(dir: &Path, bytes: u64, queues: u32) {
    let began = Instant::now();
    let status = Command::new(std::env::current_exe().expect("a program"))
        .arg("fill")
        .arg(dir)
        .args([bytes.to_string(), queues.to_string()])
        .status()
        .expect("it runs");
    assert!(status.success());
    println!("filled {} MiB over {queues} queues in {:.1?}", bytes >> 20, began.elapsed());
}

/// Has another process open the store and end without a stop.
fn open_and_die(dir: &Path) {
    let began = Instant::now();
    let status = Command::new(std::env::current_exe().expect("a program"))
        .arg("open")
        .arg(dir)
        .status()
        .expect("it runs");
    assert!(status.success());
    println!("opened in another process in {:.2?}", began.elapsed());
}

fn open(dir: &Path, what: &str) {
    let began = Instant::now();
    let config = StoreConfig { root: dir.to_owned(), flush: FlushMode::Async, ..StoreConfig::default() };
    let store = Store::open(config, &DelayLevels::default()).expect("a store");
    let took = began.elapsed();
    let report = store.recovery();
    println!(
        "{what}: open after {took:.2?} (recovery {:.2?}), {} records from {} to {}, rebuilt: {}",
        report.took, report.records, report.from, report.end, report.rebuilt_queues,
    );
    assert!(report.dropped.is_empty());
    let began = Instant::now();
    store.close().expect("a clean stop");
    println!("{what}: closed after {:.2?}", began.elapsed());
}

/// Memory of this process that is no file's.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

fn fill(dir: &Path, bytes: &str, queues: &str) {
    let (bytes, queues): (u64, u32) = (bytes.parse().expect("bytes"), queues.parse().expect("queues"));
    let config = StoreConfig { root: dir.to_owned(), flush: FlushMode::Async, ..StoreConfig::default() };
    let store = Store::open(config, &DelayLevels::default()).expect("a store");
    let topics = queues.div_ceil(8);
    let queues: Vec<Arc<Queue>> = (0..queues)
        .map(|i| {
            let topic = TopicName::new(&format!("BenchmarkTest{}", i % topics)).expect("a name");
            store.queue(&topic, QueueId(i / topics))
        })
        .collect();
    let body = [b'x'; BODY_LEN];
    let mut batch = Batch::new();
    let mut turn = queues.iter().cycle();
    while store.stats().log_max.0 < bytes {
        for _ in 0..32 {
            let queue = turn.next().expect("queues");
            let record = NewRecord {
                topic: queue.topic().as_str(),
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
            batch.push(Arc::clone(queue), &record, EntryTag::Tags(TagsCode::of(Some("TagA"))));
        }
        store.append(&mut batch).expect("it is taken");
        batch.clear();
    }
    std::process::exit(0);
}
