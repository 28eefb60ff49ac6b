//! What the store's tests share: a small store in a directory of its own, a machine that fails on request, and
//! messages that can be told apart and checked.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferromq_model::delay::DelayLevels;
use ferromq_model::filter::MessageFilter;
use ferromq_model::message::{SysFlag, TagsCode};
use ferromq_model::record::{NewRecord, Record};
use ferromq_model::{ByteSize, Millis, PhysicalOffset, QueueId, QueueOffset, Timestamp, TopicName};
use ferromq_store::host::{DiskUsage, Host};
use ferromq_store::{
    AppendError, Batch, EntryTag, FlushMode, OpenError, Placed, Queue, Read, ReadLimit, Store, StoreConfig,
};
use parking_lot::{Condvar, Mutex};

/// Longer than anything takes, however busy machine and disk are.
const PATIENCE: Duration = Duration::from_secs(120);
/// The smallest log file there is: a few hundred test messages fill it.
pub const LOG_FILE: u64 = 64 << 10;
/// Entries of a test queue's file.
pub const QUEUE_FILE_ENTRIES: u64 = 100;

/// A directory in memory where the machine has one: for tests that open a store a thousand times, and do not care
/// about disks.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// Settings of a store whose files are small and whose threads do nothing by themselves for a while.
pub fn config(root: &Path, flush: FlushMode) -> StoreConfig {
    StoreConfig {
        root: root.to_owned(),
        log_file_size: ByteSize(LOG_FILE),
        queue_file_size: ByteSize(QUEUE_FILE_ENTRIES * 20),
        flush,
        flush_interval: Millis(10),
        flush_thorough_interval: Millis(20),
        queue_flush_interval: Millis(10),
        clean_interval: Millis::hours(1),
        max_pull_count: 65_536,
        max_pull_bytes: ByteSize::mib(64),
        index_slots: 64,
        index_entries: 400,
        ..StoreConfig::default()
    }
}

pub fn open(config: StoreConfig) -> Result<Store, OpenError> {
    Store::open(config, &DelayLevels::default())
}

pub fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

/// A message of a test: where it belongs and what it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub queue: u32,
    pub tag: Option<String>,
    pub key: String,
    pub body: Vec<u8>,
}

impl Message {
    /// A message whose body names it and is filled up to `len` bytes that depend on the name.
    pub fn new(topic: &str, queue: u32, name: &str, len: usize) -> Self {
        let mut body = name.as_bytes().to_vec();
        let mut state = name.bytes().fold(7u32, |h, b| h.wrapping_mul(31).wrapping_add(u32::from(b)));
        while body.len() < len {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            body.push((state >> 24) as u8);
        }
        Self { topic: topic.to_owned(), queue, tag: None, key: name.to_owned(), body }
    }

    pub fn tagged(mut self, tag: &str) -> Self {
        self.tag = Some(tag.to_owned());
        self
    }

    pub fn push_to(&self, store: &Store, batch: &mut Batch) -> Arc<Queue> {
        let queue = store.queue(&topic(&self.topic), QueueId(self.queue));
        let tags = self.tag.as_ref().map(|tag| format!("TAGS\x01{tag}\x02")).unwrap_or_default();
        let keys = format!("KEYS\x01{}\x02", self.key);
        let record = NewRecord {
            topic: &self.topic,
            queue_id: QueueId(self.queue),
            flag: 0,
            sys_flag: SysFlag(0),
            born: Timestamp(1_700_000_000_000),
            born_host: "10.0.0.1:50000".parse().unwrap(),
            store_host: "10.0.0.2:10911".parse().unwrap(),
            reconsume_times: 0,
            prepared_offset: PhysicalOffset::ZERO,
            body: &self.body,
            properties: &[&tags, &keys],
        };
        batch.push(Arc::clone(&queue), &record, EntryTag::Tags(TagsCode::of(self.tag.as_deref())));
        queue
    }

    pub fn of_record(record: &Record<'_>) -> Self {
        use ferromq_model::message::{find_property, property};
        Self {
            topic: record.topic.to_owned(),
            queue: record.queue_id.0,
            tag: find_property(record.properties, property::TAGS).map(str::to_owned),
            key: find_property(record.properties, property::KEYS).unwrap_or_default().to_owned(),
            body: record.body.to_vec(),
        }
    }
}

/// Appends and returns where the messages came to lie.
pub fn append(store: &Store, messages: &[Message]) -> Result<Vec<Placed>, AppendError> {
    let mut batch = Batch::new();
    for message in messages {
        message.push_to(store, &mut batch);
    }
    store.append(&mut batch)?;
    Ok(batch.placed().to_vec())
}

/// Appends one message that must be taken.
pub fn append_one(store: &Store, message: &Message) -> Placed {
    append(store, std::slice::from_ref(message)).unwrap()[0]
}

/// Blocks until everything that is written is flushed.
pub fn flush(store: &Store) {
    wait_until("all is flushed", || store.stats().flushed == store.stats().log_max);
}

/// Waits for a condition that another thread brings about. The limit only ends a broken test.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain until {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_micros(100));
    }
}

/// Blocks on a future of the store, which needs no runtime; panics if it takes forever.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("in time") })
}

pub const NO_LIMIT: ReadLimit = ReadLimit { messages: u32::MAX, bytes: usize::MAX };

/// Every visible message of a queue by its offset, each checked: it lies where it says, its body is what was written.
pub fn read_queue(store: &Store, queue: &Queue) -> Vec<(QueueOffset, Message)> {
    let mut messages = Vec::new();
    let mut from = queue.min();
    loop {
        match store.read(queue, from, NO_LIMIT, &MessageFilter::All).unwrap() {
            Read::Found(found) => {
                let records = split(&found.records);
                assert_eq!(records.len(), found.count as usize);
                for bytes in records {
                    let record = Record::decode(&bytes).unwrap();
                    record.verify().unwrap();
                    assert!(record.queue_offset >= from && record.queue_offset < found.next);
                    messages.push((record.queue_offset, Message::of_record(&record)));
                }
                from = found.next;
            }
            Read::NoMatch { next } => {
                assert!(next > from);
                from = next;
            }
            Read::AtEnd | Read::Empty => return messages,
            Read::Before { min } => from = min,
            Read::Beyond { max } => panic!("{from} is beyond the end {max}"),
        }
    }
}

/// Takes pieces of several records apart.
pub fn split(pieces: &[Bytes]) -> Vec<Bytes> {
    let mut records = Vec::new();
    for piece in pieces {
        let mut rest = piece.clone();
        while !rest.is_empty() {
            let len = Record::decode(&rest).unwrap().len;
            records.push(rest.split_to(len));
        }
    }
    records
}

/// Everything that consumers of a store can see, by topic and queue.
pub fn read_all(store: &Store) -> HashMap<(String, u32), Vec<(QueueOffset, Message)>> {
    let mut all = HashMap::new();
    for topic in store.topics() {
        for queue in store.queues_of(topic.as_str()) {
            let messages = read_queue(store, &queue);
            if !messages.is_empty() {
                all.insert((topic.to_string(), queue.id().0), messages);
            }
        }
    }
    all
}

/// Copies a directory with the times of its files. Taken from an open store nobody appends to, it is what kill -9
/// leaves.
pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let (source, target) = (item.path(), to.join(item.file_name()));
        if item.file_type().unwrap().is_dir() {
            copy_dir(&source, &target);
        } else {
            // A file may vanish while it is copied: the one that is made ahead gets its name.
            let Ok(mut input) = File::open(&source) else { continue };
            let mut output = File::create(&target).unwrap();
            io::copy(&mut input, &mut output).unwrap();
            output.set_modified(input.metadata().unwrap().modified().unwrap()).unwrap();
        }
    }
}

/// The files of a directory in the order of their names.
pub fn files_of(dir: &Path) -> Vec<PathBuf> {
    let Ok(listing) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut files: Vec<_> = listing.map(|item| item.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// A machine whose clock, disk and failures the test decides on.
pub struct TestHost {
    clock: AtomicI64,
    total: AtomicU64,
    available: AtomicU64,
    /// What each look at the disk adds to `available`.
    freed_by_a_look: AtomicU64,
    no_space: AtomicBool,
    sync_fails: AtomicBool,
    syncs: AtomicU64,
    gate: Mutex<Gate>,
    moved: Condvar,
}

#[derive(Default)]
struct Gate {
    closed: bool,
    waiting: usize,
}

impl TestHost {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            clock: AtomicI64::new(Timestamp::now().0),
            total: AtomicU64::new(1000),
            available: AtomicU64::new(900),
            freed_by_a_look: AtomicU64::new(0),
            no_space: AtomicBool::new(false),
            sync_fails: AtomicBool::new(false),
            syncs: AtomicU64::new(0),
            gate: Mutex::default(),
            moved: Condvar::new(),
        })
    }

    pub fn set_clock(&self, now: Timestamp) {
        self.clock.store(now.0, Ordering::SeqCst);
    }

    pub fn set_used_percent(&self, used: u64) {
        self.available.store(1000 - used * 10, Ordering::SeqCst);
    }

    /// Each look at the disk finds one percent more room than the one before.
    pub fn shrink_use_with_each_look(&self) {
        self.freed_by_a_look.store(10, Ordering::SeqCst);
    }

    pub fn set_no_space(&self, none: bool) {
        self.no_space.store(none, Ordering::SeqCst);
    }

    pub fn fail_syncs(&self) {
        self.sync_fails.store(true, Ordering::SeqCst);
    }

    /// Flushes asked for so far.
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::SeqCst)
    }

    /// Flushes wait from now on.
    pub fn close_gate(&self) {
        self.gate.lock().closed = true;
    }

    pub fn open_gate(&self) {
        self.gate.lock().closed = false;
        self.moved.notify_all();
    }

    /// Blocks until a flush waits at the gate.
    pub fn await_flush_at_gate(&self) {
        wait_until("a flush waits at the gate", || self.gate.lock().waiting > 0);
    }
}

impl Host for TestHost {
    fn now(&self) -> Timestamp {
        Timestamp(self.clock.load(Ordering::SeqCst))
    }

    fn disk_usage(&self, _: &Path) -> io::Result<DiskUsage> {
        let freed = self.freed_by_a_look.load(Ordering::SeqCst);
        Ok(DiskUsage {
            total: self.total.load(Ordering::SeqCst),
            available: self.available.fetch_add(freed, Ordering::SeqCst),
        })
    }

    fn sync_data(&self, _: &File) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        let mut gate = self.gate.lock();
        gate.waiting += 1;
        while gate.closed {
            self.moved.wait(&mut gate);
        }
        gate.waiting -= 1;
        drop(gate);
        if self.sync_fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is broken"));
        }
        Ok(())
    }

    fn allocate(&self, file: &File, len: u64) -> io::Result<()> {
        if self.no_space.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.set_len(len)
    }
}
