//! What the store does when the machine below it fails: a flush that fails, a disk that fills up, a clock that steps
//! back.

mod support;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferromq_model::config::{ConfigValue, HourSet, Hours};
use ferromq_model::delay::DelayLevels;
use ferromq_model::filter::MessageFilter;
use ferromq_model::{Millis, QueueId, QueueOffset, Timestamp};
use ferromq_store::host::{DiskUsage, Host};
use ferromq_store::{AppendError, FlushMode, Read, Store, StoreConfig};
use parking_lot::Mutex;
use support::{
    Message, NO_LIMIT, TestHost, append, append_one, block_on, config, read_queue, topic, wait_until,
};

fn open_on(host: &Arc<TestHost>, config: StoreConfig) -> Store {
    Store::open_on(config, &DelayLevels::default(), Arc::clone(host) as _).unwrap()
}

fn message(i: usize) -> Message {
    Message::new("T", 0, &format!("m{i}"), 300)
}

#[test]
fn a_failed_flush_makes_the_store_read_only_and_says_why_in_every_answer() {
    let dir = tempfile::tempdir().unwrap();
    let host = TestHost::new();
    let store = open_on(&host, config(dir.path(), FlushMode::Sync));
    let good = append_one(&store, &message(0));
    block_on(store.flushed_to(good.end)).unwrap();
    host.close_gate();
    let lost = append_one(&store, &message(1));
    host.await_flush_at_gate();
    let behind = append_one(&store, &message(2));
    host.fail_syncs();
    let before = host.syncs();
    host.open_gate();

    for end in [lost.end, behind.end] {
        let error = block_on(store.flushed_to(end)).unwrap_err();
        assert!(matches!(&error, AppendError::Poisoned { at, .. } if *at == good.end), "{error}");
        assert!(error.to_string().contains("the disk is broken"), "{error}");
        assert!(error.to_string().contains("restart"), "{error}");
    }
    for i in 3..6 {
        let error = append(&store, &[message(i)]).unwrap_err();
        assert!(error.to_string().contains("the disk is broken"), "{error}");
    }
    assert!(matches!(store.writable(), Err(AppendError::Poisoned { .. })));
    // Nothing is tried again: the kernel has dropped the pages, and a second fsync would say that all is well.
    assert_eq!(host.syncs(), before);
    assert!(store.close().is_err());
    assert_eq!(host.syncs(), before);
    assert!(dir.path().join("abort").exists(), "the next start must recover");
}

#[test]
fn after_a_failed_flush_what_was_flushed_before_can_still_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let host = TestHost::new();
    let store = open_on(&host, config(dir.path(), FlushMode::Sync));
    let good = append_one(&store, &message(0));
    block_on(store.flushed_to(good.end)).unwrap();
    host.fail_syncs();
    let lost = append_one(&store, &message(1));
    block_on(store.flushed_to(lost.end)).unwrap_err();
    let queue = store.find_queue("T", QueueId(0)).unwrap();
    let seen = read_queue(&store, &queue);
    assert_eq!(seen, [(QueueOffset(0), message(0))], "the message that may be lost is not shown");
}

#[test]
fn with_sync_flush_a_message_is_invisible_until_it_is_flushed() {
    let dir = tempfile::tempdir().unwrap();
    let host = TestHost::new();
    let store = open_on(&host, config(dir.path(), FlushMode::Sync));
    host.close_gate();
    let placed = append_one(&store, &message(0));
    let queue = store.find_queue("T", QueueId(0)).unwrap();
    host.await_flush_at_gate();
    assert!(matches!(store.read(&queue, QueueOffset(0), NO_LIMIT, &MessageFilter::All), Ok(Read::Empty)));
    assert_eq!((queue.max(), queue.next()), (QueueOffset(0), QueueOffset(1)));

    let waiter = Arc::clone(&queue);
    let woken = std::thread::spawn(move || block_on(waiter.wait_beyond(QueueOffset(0))));
    let flushed = store.flush_watch();
    assert!(flushed.upto() < placed.end && !woken.is_finished());
    host.open_gate();
    woken.join().unwrap();
    assert_eq!(queue.max(), QueueOffset(1));
    block_on(store.flushed_to(placed.end)).unwrap();
    assert_eq!(read_queue(&store, &queue), [(QueueOffset(0), message(0))]);
    store.close().unwrap();
}

#[test]
fn with_async_flush_a_message_is_visible_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let host = TestHost::new();
    let store = open_on(&host, config(dir.path(), FlushMode::Async));
    host.close_gate();
    append_one(&store, &message(0));
    let queue = store.find_queue("T", QueueId(0)).unwrap();
    assert_eq!(read_queue(&store, &queue).len(), 1);
    host.open_gate();
    store.close().unwrap();
}

#[test]
fn one_flush_serves_all_who_wait() {
    let dir = tempfile::tempdir().unwrap();
    let host = TestHost::new();
    let store = open_on(&host, config(dir.path(), FlushMode::Sync));
    host.close_gate();
    append_one(&store, &message(0));
    host.await_flush_at_gate();
    let before = host.syncs();
    // So few that nobody prepares the next file meanwhile, which is flushed too.
    let ends: Vec<_> = (1..50).map(|i| append_one(&store, &message(i)).end).collect();
    host.open_gate();
    for end in ends {
        block_on(store.flushed_to(end)).unwrap();
    }
    assert_eq!(host.syncs(), before + 1);
    store.close().unwrap();
}

#[test]
fn a_disk_without_room_for_the_next_file_refuses_with_the_fix_and_recovers_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let host = TestHost::new();
    let store = open_on(&host, config(dir.path(), FlushMode::Async));
    host.set_no_space(true);
    let mut stored = 0;
    let error = loop {
        match append(&store, &[message(stored)]) {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 1000, "two log files are full");
    };
    let text = error.to_string();
    assert!(matches!(error, AppendError::DiskFull(_)), "{text}");
    assert!(text.contains("no room for the next log file") && text.contains("free disk space"), "{text}");
    assert!(matches!(store.writable(), Err(AppendError::DiskFull(_))));
    host.set_no_space(false);
    wait_until("the store takes messages again", || store.writable().is_ok());
    append_one(&store, &message(stored));
    let queue = store.find_queue("T", QueueId(0)).unwrap();
    let seen = read_queue(&store, &queue);
    assert_eq!(seen, (0..=stored).map(|i| (QueueOffset(i as u64), message(i))).collect::<Vec<_>>());
    store.close().unwrap();
}

#[test]
fn a_message_larger_than_the_rest_of_a_full_disk_does_not_stop_the_store_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let host = TestHost::new();
    let store = open_on(&host, config(dir.path(), FlushMode::Async));
    append_one(&store, &message(0));
    host.set_no_space(true);
    // The file is hardly used, so nobody has asked for the next one yet.
    let large = Message::new("T", 0, "large", 65_200);
    assert!(matches!(append(&store, std::slice::from_ref(&large)), Err(AppendError::DiskFull(_))));
    host.set_no_space(false);
    wait_until("the store takes messages again", || store.writable().is_ok());
    append_one(&store, &large);
    store.close().unwrap();
}

#[test]
fn a_message_larger_than_a_log_file_is_the_senders_fault() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_on(&TestHost::new(), config(dir.path(), FlushMode::Async));
    let error = append(&store, &[Message::new("T", 0, "huge", 70_000)]).unwrap_err();
    assert!(matches!(error, AppendError::TooLarge { .. }), "{error}");
    append_one(&store, &message(0));
    store.close().unwrap();
}

#[test]
fn a_disk_above_the_warning_level_refuses_and_takes_again_below_it() {
    let dir = tempfile::tempdir().unwrap();
    let host = TestHost::new();
    let store =
        open_on(&host, StoreConfig { clean_interval: Millis(100), ..config(dir.path(), FlushMode::Async) });
    append_one(&store, &message(0));
    host.set_used_percent(91);
    wait_until("the store refuses", || store.writable().is_err());
    let text = append(&store, &[message(1)]).unwrap_err().to_string();
    assert!(text.contains("91%") && text.contains("diskSpaceWarningLevelRatio"), "{text}");
    host.set_used_percent(89);
    wait_until("the store takes messages again", || store.writable().is_ok());
    append_one(&store, &message(1));
    store.close().unwrap();
}

#[test]
fn a_clock_that_steps_back_does_not_take_stored_times_along() {
    let dir = tempfile::tempdir().unwrap();
    let host = TestHost::new();
    let start = Timestamp::now();
    host.set_clock(start);
    let settings = config(dir.path(), FlushMode::Async);
    let store = open_on(&host, settings.clone());
    let mut stored = vec![append_one(&store, &message(0)).stored];
    host.set_clock(start.minus(Millis::mins(5)));
    stored.push(append_one(&store, &message(1)).stored);
    store.close().unwrap();
    // Nor when the broker is restarted in between.
    let store = open_on(&host, settings);
    stored.push(append_one(&store, &message(2)).stored);
    assert_eq!(stored, [start; 3]);
    host.set_clock(start.plus(Millis(1)));
    assert_eq!(append_one(&store, &message(3)).stored, start.plus(Millis(1)));
    let queue = store.find_queue("T", QueueId(0)).unwrap();
    assert_eq!(store.first_at_or_after(&queue, start.plus(Millis(1))), QueueOffset(3));
    assert_eq!(store.first_at_or_after(&queue, start), QueueOffset(0));
    assert_eq!(store.last_at_or_before(&queue, start), QueueOffset(2));
    store.close().unwrap();
}

/// Fills five log files and a bit.
fn fill_five_files(store: &Store) -> usize {
    let mut i = 0;
    while store.stats().log_max.0 < 5 * support::LOG_FILE + 1000 {
        append_one(store, &message(i));
        i += 1;
    }
    i
}

#[test]
fn files_are_deleted_when_their_time_is_over_in_the_hours_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let host = TestHost::new();
    let now = Timestamp::now();
    host.set_clock(now);
    let all_hours: Vec<u8> = (0..24).collect();
    let delete_when = all_hours.iter().map(|h| format!("{h:02}")).collect::<Vec<_>>().join(";");
    let settings = StoreConfig {
        file_reserved: Hours(2),
        delete_when: HourSet::parse(&delete_when).unwrap(),
        ..config(dir.path(), FlushMode::Async)
    };
    let store = open_on(&host, settings);
    let stored = fill_five_files(&store);
    let queue = store.find_queue("T", QueueId(0)).unwrap();
    let mut held = Vec::new();
    while held.len() < stored {
        match store.read(&queue, QueueOffset(held.len() as u64), NO_LIMIT, &MessageFilter::All).unwrap() {
            Read::Found(found) => held.extend(support::split(&found.records)),
            other => panic!("{other:?}"),
        }
    }
    store.clean_up();
    assert_eq!(store.stats().log_min.0, 0, "all are young");
    host.set_clock(now.plus(Millis::hours(3)));
    store.clean_up();
    assert_eq!(store.stats().log_min.0, 5 * support::LOG_FILE, "only the newest file stays");
    assert_eq!(
        support::files_of(&dir.path().join("commitlog"))[0].file_name().unwrap(),
        "00000000000000327680"
    );

    // Whoever holds bytes of a deleted file keeps them.
    for (i, bytes) in held.iter().enumerate() {
        let record = ferromq_model::record::Record::decode(bytes).unwrap();
        record.verify().unwrap();
        assert_eq!(Message::of_record(&record), message(i));
    }
    // The queue starts at its first message that is left.
    let left = read_queue(&store, &queue);
    assert_eq!(left.first().unwrap().0, queue.min());
    assert_eq!(left.last().unwrap().0, QueueOffset(stored as u64 - 1));
    assert!(queue.min().0 > 0);
    assert!(matches!(
        store.read(&queue, QueueOffset(0), NO_LIMIT, &MessageFilter::All),
        Ok(Read::Before { min }) if min == queue.min()
    ));
    store.close().unwrap();
}

#[test]
fn outside_of_the_hours_allowed_files_go_only_when_the_disk_fills_up() {
    let dir = tempfile::tempdir().unwrap();
    let host = TestHost::new();
    let now = Timestamp::now();
    let hour = time::OffsetDateTime::now_local().unwrap_or_else(|_| time::OffsetDateTime::now_utc()).hour();
    let settings = StoreConfig {
        file_reserved: Hours(1),
        delete_when: HourSet::just((hour + 12) % 24),
        ..config(dir.path(), FlushMode::Async)
    };
    let store = open_on(&host, settings);
    fill_five_files(&store);
    host.set_clock(now.plus(Millis::hours(2)));
    store.clean_up();
    assert_eq!(store.stats().log_min.0, 0);
    host.set_used_percent(75);
    store.clean_up();
    assert_eq!(store.stats().log_min.0, 5 * support::LOG_FILE);
    store.close().unwrap();
}

#[test]
fn young_files_are_deleted_by_force_only_if_allowed() {
    for allowed in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let host = TestHost::new();
        let settings = StoreConfig { clean_forcibly: allowed, ..config(dir.path(), FlushMode::Async) };
        let store = open_on(&host, settings);
        fill_five_files(&store);
        host.set_used_percent(85);
        store.clean_up();
        let expected = if allowed { 5 * support::LOG_FILE } else { 0 };
        assert_eq!(store.stats().log_min.0, expected);
        store.close().unwrap();
    }
}

#[test]
fn deletion_by_force_stops_when_the_disk_has_room_again() {
    let dir = tempfile::tempdir().unwrap();
    let host = TestHost::new();
    let store = open_on(&host, config(dir.path(), FlushMode::Async));
    fill_five_files(&store);
    // Each look at the disk from here on finds it 1 % emptier, as deleting would.
    host.set_used_percent(87);
    host.shrink_use_with_each_look();
    store.clean_up();
    let deleted = store.stats().log_min.0 / support::LOG_FILE;
    assert!((1..=3).contains(&deleted), "deleted {deleted} files");
    store.close().unwrap();
}

#[test]
fn a_closed_store_refuses_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_on(&TestHost::new(), config(dir.path(), FlushMode::Sync));
    store.close().unwrap();
    assert!(matches!(append(&store, &[message(0)]), Err(AppendError::Closed)));
    store.close().unwrap();
}

#[test]
fn messages_of_a_topic_deleted_meanwhile_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_on(&TestHost::new(), config(dir.path(), FlushMode::Async));
    let mut batch = ferromq_store::Batch::new();
    message(0).push_to(&store, &mut batch);
    store.delete_topic(&topic("T")).unwrap();
    assert!(matches!(store.append(&mut batch), Err(AppendError::Deleted)));
    assert!(batch.placed().is_empty());
    append_one(&store, &message(1));
    store.close().unwrap();
}

/// A machine that loses power: of the log, it keeps what each file held when it was flushed last.
struct Unplugged {
    inner: Arc<TestHost>,
    flushed: Mutex<HashMap<PathBuf, Vec<u8>>>,
}

impl Host for Unplugged {
    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn disk_usage(&self, path: &Path) -> io::Result<DiskUsage> {
        self.inner.disk_usage(path)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        self.inner.sync_data(file)?;
        let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        let bytes = std::fs::read(&path)?;
        self.flushed.lock().insert(path, bytes);
        Ok(())
    }

    fn allocate(&self, file: &File, len: u64) -> io::Result<()> {
        self.inner.allocate(file, len)
    }
}

#[test]
fn sync_flush_acknowledgements_survive_a_power_cut() {
    for queues_are_lost in [false, true] {
        let dir = support::scratch();
        let host = Arc::new(Unplugged { inner: TestHost::new(), flushed: Mutex::default() });
        let settings = config(dir.path(), FlushMode::Sync);
        let store = Store::open_on(settings, &DelayLevels::default(), Arc::clone(&host) as _).unwrap();
        let (mut sent, mut acknowledged) = (0, 0);
        for burst in 0..60 {
            let mut end = None;
            for _ in 0..1 + burst % 9 {
                end = Some(append_one(&store, &message(sent)).end);
                sent += 1;
            }
            block_on(store.flushed_to(end.unwrap())).unwrap();
            acknowledged = sent;
        }
        // These are in the page cache, and their queue entries perhaps on disk, when the power goes.
        host.inner.close_gate();
        for _ in 0..20 {
            append_one(&store, &message(sent));
            sent += 1;
        }
        let seen_before = store.find_queue("T", QueueId(0)).unwrap().max().0;
        let cut = support::scratch();
        support::copy_dir(dir.path(), cut.path());
        let root = dir.path().canonicalize().unwrap();
        for path in support::files_of(&cut.path().join("commitlog")) {
            let original = root.join("commitlog").join(path.file_name().unwrap());
            let bytes = host.flushed.lock().get(&original).cloned();
            std::fs::write(&path, bytes.unwrap_or_else(|| vec![0; support::LOG_FILE as usize])).unwrap();
        }
        if queues_are_lost {
            let _ = std::fs::remove_dir_all(cut.path().join("consumequeue"));
        }
        host.inner.open_gate();
        store.close().unwrap();

        let store = open_on(&TestHost::new(), config(cut.path(), FlushMode::Sync));
        let queue = store.find_queue("T", QueueId(0)).unwrap();
        let seen = read_queue(&store, &queue);
        assert!(seen.len() >= acknowledged, "{} of {acknowledged}: {:?}", seen.len(), store.recovery());
        assert!(seen.len() as u64 >= seen_before, "consumers saw what the power cut took");
        for (i, (offset, seen)) in seen.iter().enumerate() {
            assert_eq!((offset.0, seen), (i as u64, &message(i)));
        }
        let next = append_one(&store, &message(seen.len()));
        assert_eq!(next.queue_offset.0, seen.len() as u64);
        store.close().unwrap();
    }
}
