//! What goes with the log's oldest files, and what an operator deletes of what is left of it.

mod support;

use std::path::Path;

use ferromq_model::config::{HourSet, Hours, Percent};
use ferromq_model::{Millis, QueueId, QueueOffset};
use ferromq_store::{AppendError, Batch, FlushMode, Store, StoreConfig};
use support::{
    LOG_FILE, Message, QUEUE_FILE_ENTRIES, TestHost, append_one, config, copy_dir, files_of, flush,
    read_queue, scratch, topic, wait_until,
};

/// Settings of a store that deletes its oldest log files when it is told that its disk is half full.
fn settings(root: &Path) -> StoreConfig {
    StoreConfig { disk_clean_forcibly: Percent(50), ..config(root, FlushMode::Async) }
}

fn open(host: &std::sync::Arc<TestHost>, settings: StoreConfig) -> Store {
    Store::open_on(settings, &Default::default(), host.clone()).unwrap()
}

/// Fills log files with messages of the topic `Filler` until all before are in older ones, and lets those be deleted.
fn expire_all(store: &Store, host: &TestHost) {
    let end = store.stats().log_max.0;
    let mut i = 0;
    while store.stats().log_max.0 < end + 2 * LOG_FILE {
        append_one(store, &Message::new("Filler", 0, &format!("filler{i}"), 700));
        i += 1;
    }
    flush(store);
    host.set_used_percent(60);
    store.clean_up();
    host.set_used_percent(10);
    assert!(store.stats().log_min.0 >= end);
}

fn append_some(store: &Store, of: &str, queue: u32, count: u64) {
    for i in 0..count {
        append_one(store, &Message::new(of, queue, &format!("m{i}"), 20));
    }
}

/// The first entries of a queue's files.
fn queue_files(dir: &Path, queue: &str) -> Vec<u64> {
    let files = files_of(&dir.join("consumequeue").join(queue));
    let start =
        |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().parse::<u64>().unwrap();
    files.iter().map(|path| start(path) / 20).collect()
}

#[test]
fn queue_files_go_with_the_last_message_that_they_tell_of() {
    const FILE: u64 = QUEUE_FILE_ENTRIES;
    let dir = scratch();
    let host = TestHost::new();
    let store = open(&host, settings(dir.path()));
    append_some(&store, "T", 0, 2 * FILE + 50);
    let written = |files: &[u64]| {
        wait_until("the queue is written", || queue_files(dir.path(), "T/0") == files);
    };
    written(&[0, FILE, 2 * FILE]);
    expire_all(&store, &host);
    assert_eq!(queue_files(dir.path(), "T/0"), [2 * FILE], "the last one says where the queue stands");
    append_some(&store, "T", 0, FILE);
    written(&[2 * FILE, 3 * FILE]);
    expire_all(&store, &host);
    assert_eq!(queue_files(dir.path(), "T/0"), [3 * FILE]);
    append_some(&store, "T", 0, 80);
    written(&[3 * FILE, 4 * FILE]);
    let queue = store.find_queue("T", QueueId(0)).unwrap();
    assert_eq!((queue.min(), queue.max()), (QueueOffset(3 * FILE + 50), QueueOffset(4 * FILE + 30)));
    store.close().unwrap();
}

#[test]
fn a_file_that_was_the_last_when_its_messages_were_gone_goes_once_another_one_is() {
    const FILE: u64 = QUEUE_FILE_ENTRIES;
    let dir = scratch();
    let host = TestHost::new();
    let store = open(&host, settings(dir.path()));
    append_some(&store, "T", 0, FILE);
    wait_until("the queue is written", || queue_files(dir.path(), "T/0") == [0]);
    expire_all(&store, &host);
    assert_eq!(queue_files(dir.path(), "T/0"), [0]);
    let fill = || {
        let end = store.stats().log_max.0;
        while store.stats().log_max.0 < end + LOG_FILE {
            append_one(&store, &Message::new("Filler", 0, "filler", 700));
        }
    };
    fill();
    let at = append_one(&store, &Message::new("T", 0, "new", 20)).physical;
    wait_until("the queue is written", || queue_files(dir.path(), "T/0") == [0, FILE]);
    fill();
    // Some of what lies before the message goes, and nothing of the queue moves.
    let log_min = store.stats().log_min;
    host.set_used_percent(51);
    host.shrink_use_with_each_look();
    store.clean_up();
    assert!(log_min < store.stats().log_min && store.stats().log_min <= at);
    assert_eq!(queue_files(dir.path(), "T/0"), [FILE]);
    assert_eq!(read_queue(&store, &store.find_queue("T", QueueId(0)).unwrap()).len(), 1);
    store.close().unwrap();
}

#[test]
fn a_queue_whose_messages_are_all_gone_is_deleted_on_request_and_missed_by_nobody() {
    let dir = scratch();
    let host = TestHost::new();
    let store = open(&host, settings(dir.path()));
    append_some(&store, "T", 0, 150);
    append_some(&store, "T", 1, 5);
    append_some(&store, "Kept", 0, 5);
    // So that queues are written: one whose entries and messages are both lost starts at zero again.
    store.close().unwrap();
    let store = open(&host, settings(dir.path()));
    let unused = store.queue(&topic("T"), QueueId(2));
    expire_all(&store, &host);
    append_some(&store, "T", 1, 1);
    let mut held = Batch::new();
    let late = Message::new("T", 0, "late", 10).push_to(&store, &mut held);
    let deleted = || store.delete_expired_queues(|topic| topic.as_str() != "Kept").unwrap();
    assert_eq!(deleted(), [(topic("T"), QueueId(0))]);
    assert_eq!(deleted(), [], "the others have messages, never had any, or are to stay");
    assert!(late.is_retired() && !unused.is_retired());
    assert!(matches!(store.append(&mut held), Err(AppendError::Deleted)));
    assert!(!dir.path().join("consumequeue/T/0").exists());

    let killed = scratch();
    copy_dir(dir.path(), killed.path());
    assert_eq!(append_one(&store, &Message::new("T", 0, "new", 20)).queue_offset, QueueOffset(0));
    let killed_later = scratch();
    copy_dir(dir.path(), killed_later.path());
    store.close().unwrap();
    for (dir, left) in [(&killed, 0), (&killed_later, 1), (&dir, 1)] {
        let store = open(&host, settings(dir.path()));
        let report = store.recovery();
        assert!(report.dropped.is_empty() && report.clean != report.rebuilt_queues, "{report:?}");
        let ends =
            |name: &str, id| store.find_queue(name, QueueId(id)).map(|queue| (queue.min().0, queue.max().0));
        assert_eq!(ends("T", 0).unwrap_or_default(), (0, left));
        assert_eq!(ends("T", 1), Some((5, 6)));
        assert_eq!(ends("Kept", 0), Some((5, 5)), "what was not deleted keeps its place");
        store.close().unwrap();
    }
}

#[test]
fn a_topic_without_queues_leaves_no_directory_and_can_have_some_again() {
    let dir = scratch();
    let host = TestHost::new();
    let store = open(&host, settings(dir.path()));
    append_some(&store, "T", 0, 1);
    append_some(&store, "T", 1, 1);
    expire_all(&store, &host);
    assert_eq!(store.delete_expired_queues(|_| true).unwrap().len(), 2);
    assert!(!dir.path().join("consumequeue/T").exists());
    assert!(!store.topics().contains(&topic("T")));
    append_some(&store, "T", 1, 3);
    assert_eq!(read_queue(&store, &store.find_queue("T", QueueId(1)).unwrap()).len(), 3);
    store.close().unwrap();
}

#[test]
fn old_log_files_go_at_any_hour_if_somebody_asks() {
    let dir = scratch();
    let host = TestHost::new();
    let now = host_time(&host);
    let hour = time::OffsetDateTime::now_local().unwrap_or_else(|_| time::OffsetDateTime::now_utc()).hour();
    let other_hour = HourSet::just((hour + 12) % 24);
    let store =
        open(&host, StoreConfig { file_reserved: Hours(1), delete_when: other_hour, ..settings(dir.path()) });
    while store.stats().log_max.0 < 15 * LOG_FILE {
        append_some(&store, "T", 0, 50);
    }
    store.delete_expired_log();
    store.clean_up();
    assert_eq!(store.stats().log_min.0, 0, "all are young");
    host.set_clock(now.plus(Millis::hours(2)));
    store.clean_up();
    assert!(store.stats().log_min.0 >= 10 * LOG_FILE, "so many in one round");
    // The request is good for some rounds, not for ever.
    for _ in 0..20 {
        store.clean_up();
    }
    host.set_clock(now);
    let before = store.stats();
    while store.stats().log_max.0 < before.log_max.0 + 3 * LOG_FILE {
        append_some(&store, "T", 0, 50);
    }
    host.set_clock(now.plus(Millis::hours(2)));
    store.clean_up();
    assert_eq!(store.stats().log_min, before.log_min);
    store.delete_expired_log();
    wait_until("it is carried out at once", || store.stats().log_min > before.log_min);
    store.close().unwrap();
}

fn host_time(host: &TestHost) -> ferromq_model::Timestamp {
    ferromq_store::host::Host::now(host)
}
