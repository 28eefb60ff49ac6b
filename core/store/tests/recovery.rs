//! What recovery makes of a store that was stopped, killed, cut, or damaged: everything before the damage and behind
//! it is there, in order and intact, what is dropped is named, and the store goes on from there.

mod support;

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ferromq_model::filter::MessageFilter;
use ferromq_model::record::{MAGIC_V1, Record};
use ferromq_model::{QueueId, QueueOffset, Timestamp};
use ferromq_store::{FlushMode, OpenError, Placed, Read, ReadLimit, Store, StoreConfig};
use support::{
    LOG_FILE, Message, QUEUE_FILE_ENTRIES, append, append_one, config, copy_dir, files_of, flush, open,
    read_all, read_queue, scratch, split, topic, wait_until,
};

type Contents = HashMap<(String, u32), Vec<(QueueOffset, Message)>>;

const BOTH_MODES: [FlushMode; 2] = [FlushMode::Sync, FlushMode::Async];

/// Messages of several queues in turn, some with tags.
fn mixed(from: usize, upto: usize) -> Vec<Message> {
    (from..upto)
        .map(|i| {
            let topic = ["A", "B", "%RETRY%g"][i % 3];
            let message = Message::new(topic, (i % 4) as u32, &format!("m{i}"), 100 + i % 300);
            if i % 2 == 0 { message.tagged("even") } else { message }
        })
        .collect()
}

/// What a store must show that was given exactly these.
fn expected(messages: &[Message]) -> Contents {
    let mut contents = Contents::new();
    for message in messages {
        let queue = contents.entry((message.topic.clone(), message.queue)).or_default();
        queue.push((QueueOffset(queue.len() as u64), message.clone()));
    }
    contents
}

/// A directory like the one that a store leaves which was killed after these messages, and where the last came to lie.
fn killed_store(flush_mode: FlushMode, messages: &[Message]) -> (tempfile::TempDir, Vec<Placed>) {
    let running = tempfile::tempdir().unwrap();
    let store = open(config(running.path(), flush_mode)).unwrap();
    let placed = append_each(&store, messages);
    flush(&store);
    let killed = tempfile::tempdir().unwrap();
    copy_dir(running.path(), killed.path());
    store.close().unwrap();
    (killed, placed)
}

/// As [`killed_store`], but closed in order.
fn closed_store(messages: &[Message]) -> (tempfile::TempDir, Vec<Placed>) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(config(dir.path(), FlushMode::Async)).unwrap();
    let placed = append_each(&store, messages);
    store.close().unwrap();
    (dir, placed)
}

fn append_each(store: &Store, messages: &[Message]) -> Vec<Placed> {
    messages.chunks(7).flat_map(|some| append(store, some).unwrap()).collect()
}

fn reopen(dir: &Path) -> Store {
    open(config(dir, FlushMode::Async)).unwrap()
}

/// A read that asked for two across the end of what the queue's files hold was answered with one.
#[test]
fn a_read_goes_on_from_what_was_there_before_into_what_is_new() {
    let some: Vec<_> = (0..4).map(|i| Message::new("A", 0, &format!("m{i}"), 100)).collect();
    let (dir, _) = closed_store(&some);
    let store = reopen(dir.path());
    append_each(&store, &some);
    let queue = store.queue(&topic("A"), QueueId(0));
    for (from, messages) in [(0, 8), (3, 2), (2, 6), (0, 4), (1, 3), (4, 4)] {
        let limit = ReadLimit { messages, bytes: usize::MAX };
        match store.read(&queue, QueueOffset(from), limit, &MessageFilter::All).unwrap() {
            Read::Found(found) => assert_eq!(found.count, messages, "from {from}"),
            other => panic!("{other:?}"),
        }
    }
    store.close().unwrap();
}

/// Goes on appending, and checks that each new message gets the place after the last.
fn goes_on(store: &Store, before: &[Message]) {
    let more = mixed(10_000, 10_400);
    let mut end = store.stats().log_max;
    for message in &more {
        let next = store.queue(&topic(&message.topic), QueueId(message.queue)).next();
        let placed = append_one(store, message);
        assert_eq!(placed.queue_offset, next);
        let rolled = placed.physical.0.is_multiple_of(LOG_FILE);
        assert!(placed.physical == end || rolled && placed.physical > end, "{placed:?} behind {end}");
        end = placed.end;
    }
    flush(store);
    let all: Vec<_> = before.iter().chain(&more).cloned().collect();
    assert_same(&read_all(store), &expected(&all), "after more messages");
}

/// As `assert_eq`, but names the first difference instead of printing all messages.
fn assert_same(seen: &Contents, expected: &Contents, what: &str) {
    for (queue, messages) in expected {
        let seen = seen.get(queue).map_or(&[][..], Vec::as_slice);
        for (i, pair) in messages.iter().enumerate() {
            assert_eq!(seen.get(i), Some(pair), "{what}: {queue:?}");
        }
        assert_eq!(seen.len(), messages.len(), "{what}: {queue:?}");
    }
    let mut more = seen.keys().filter(|queue| !expected.contains_key(queue));
    assert_eq!(more.next(), None, "{what}");
}

fn log_file_of(dir: &Path, at: u64) -> (File, u64) {
    let path = dir.join(format!("commitlog/{:020}", at - at % LOG_FILE));
    (File::options().read(true).write(true).open(path).unwrap(), at % LOG_FILE)
}

fn read_bytes(dir: &Path, at: u64, len: usize) -> Vec<u8> {
    let (file, inside) = log_file_of(dir, at);
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, inside).unwrap();
    bytes
}

fn write_bytes(dir: &Path, at: u64, bytes: &[u8]) {
    let (file, inside) = log_file_of(dir, at);
    file.write_all_at(bytes, inside).unwrap();
}

/// Nothing but zeros lies behind the end: the reference broker would take old bytes for messages.
fn assert_zeros_behind(dir: &Path, end: u64) {
    for path in files_of(&dir.join("commitlog")) {
        let base: u64 = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, LOG_FILE);
        let from = end.saturating_sub(base).min(LOG_FILE) as usize;
        assert!(bytes[from..].iter().all(|&b| b == 0), "{} behind {from}", path.display());
    }
}

#[test]
fn a_clean_stop_keeps_everything_in_both_flush_modes() {
    for mode in BOTH_MODES {
        let dir = tempfile::tempdir().unwrap();
        let messages = mixed(0, 1000);
        let store = open(config(dir.path(), mode)).unwrap();
        assert!(store.recovery().clean);
        append_each(&store, &messages);
        let end = store.stats().log_max;
        assert!(end.0 > 4 * LOG_FILE, "several log files are full");
        store.close().unwrap();
        assert!(!dir.path().join("abort").exists());
        assert_zeros_behind(dir.path(), end.0);
        let store = open(config(dir.path(), mode)).unwrap();
        let report = store.recovery();
        assert!(report.clean && !report.rebuilt_queues && report.dropped.is_empty(), "{report:?}");
        assert_eq!((report.end, report.records), (end, 1), "only the newest record is read");
        assert_same(&read_all(&store), &expected(&messages), "seen");
        goes_on(&store, &messages);
        store.close().unwrap();
    }
}

#[test]
fn a_kill_loses_nothing_that_was_written_in_both_flush_modes() {
    for mode in BOTH_MODES {
        let messages = mixed(0, 1000);
        let (dir, placed) = killed_store(mode, &messages);
        let store = open(config(dir.path(), mode)).unwrap();
        let report = store.recovery();
        assert!(!report.clean && report.dropped.is_empty(), "{report:?}");
        assert_eq!(report.end, placed.last().unwrap().end);
        assert_same(&read_all(&store), &expected(&messages), "seen");
        goes_on(&store, &messages);
        store.close().unwrap();
    }
}

/// The store that a child process of the test below writes to until it is killed.
const CHILD_STORE: &str = "FERROMQ_STORE_TEST_CHILD";

#[test]
fn acknowledged_messages_survive_a_real_kill_9() {
    use std::io::{BufRead as _, Write as _};
    if let Some(dir) = std::env::var_os(CHILD_STORE) {
        let mode = if dir.to_string_lossy().ends_with("sync") { FlushMode::Sync } else { FlushMode::Async };
        let store = open(config(Path::new(&dir), mode)).unwrap();
        let mut out = std::io::stdout().lock();
        let first = store.queue(&topic("T"), QueueId(0)).next().0;
        for i in first.. {
            let placed = append_one(&store, &Message::new("T", 0, &format!("m{i}"), 300));
            if store.flushes_before_ack() {
                support::block_on(store.flushed_to(placed.end)).unwrap();
            }
            writeln!(out, "acknowledged {i}").unwrap();
            out.flush().unwrap();
        }
    }
    let root = tempfile::tempdir().unwrap();
    for name in ["sync", "async"] {
        let dir = root.path().join(name);
        let mut acknowledged = 0;
        for round in 0..4 {
            let mut child = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["acknowledged_messages_survive_a_real_kill_9", "--exact", "--nocapture"])
                .env(CHILD_STORE, &dir)
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let stop_at = acknowledged + 50 + 37 * round;
            let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
            let number = |line: std::io::Result<String>| {
                let line = line.unwrap();
                line.split_once("acknowledged ").and_then(|(_, number)| number.parse::<u64>().ok())
            };
            while acknowledged < stop_at {
                acknowledged = lines.by_ref().find_map(number).expect("the child goes on") + 1;
            }
            child.kill().unwrap();
            acknowledged = lines.filter_map(number).last().map_or(acknowledged, |last| last + 1);
            child.wait().unwrap();
            let store = reopen(&dir);
            let seen = read_queue(&store, &store.find_queue("T", QueueId(0)).unwrap());
            // The message that the kill interrupted may be there without an acknowledgement.
            assert!((acknowledged..=acknowledged + 1).contains(&(seen.len() as u64)), "{name} {round}");
            for (i, (offset, message)) in seen.iter().enumerate() {
                assert_eq!(
                    (*offset, message),
                    (QueueOffset(i as u64), &Message::new("T", 0, &format!("m{i}"), 300))
                );
            }
            acknowledged = seen.len() as u64;
            store.close().unwrap();
        }
    }
}

#[test]
fn a_log_cut_at_any_byte_of_its_last_record_keeps_all_before() {
    let messages = mixed(0, 30);
    let (image, placed) = killed_store(FlushMode::Sync, &messages);
    let last = placed.last().unwrap();
    let len = last.end.since(last.physical);
    let whole = read_bytes(image.path(), last.physical.0, len as usize);
    for kept in 0..len {
        let dir = scratch();
        copy_dir(image.path(), dir.path());
        write_bytes(dir.path(), last.physical.0 + kept, &vec![0; (len - kept) as usize]);
        let store = reopen(dir.path());
        let report = store.recovery();
        assert_eq!(report.end, last.physical, "{kept} bytes are left");
        let left = whole[..kept as usize].iter().rposition(|&b| b != 0).map_or(0, |at| at as u64 + 1);
        assert_eq!(report.dropped_bytes, left, "{kept} bytes are left");
        assert_eq!(report.dropped.len(), usize::from(left > 0));
        assert!(report.dropped.iter().all(|dropped| dropped.at == last.physical));
        assert_same(&read_all(&store), &expected(&messages[..29]), "seen");
        assert_zeros_behind(dir.path(), last.physical.0);
        let again = append_one(&store, &messages[29]);
        assert_eq!((again.physical, again.queue_offset), (last.physical, last.queue_offset));
        store.close().unwrap();
    }
}

#[test]
fn any_flipped_bit_of_the_last_record_harms_no_other() {
    let messages = mixed(0, 30);
    let (image, placed) = killed_store(FlushMode::Sync, &messages);
    let last = placed.last().unwrap();
    let len = last.end.since(last.physical) as usize;
    let whole = read_bytes(image.path(), last.physical.0, len);
    let body = Record::decode(&whole).unwrap().body.len();
    for (at, &byte) in whole.iter().enumerate() {
        // In the body all bits are alike to a checksum.
        let in_body = (90..88 + body - 2).contains(&at);
        let bits: Vec<u32> = if in_body { vec![at as u32 % 8] } else { (0..8).collect() };
        for bit in bits {
            let dir = scratch();
            copy_dir(image.path(), dir.path());
            write_bytes(dir.path(), last.physical.0 + at as u64, &[byte ^ 1 << bit]);
            let store = reopen(dir.path());
            let report = store.recovery();
            let what = format!("bit {bit} of byte {at}: {report:?}");
            let seen = read_all(&store);
            for (queue, before) in expected(&messages[..29]) {
                assert_eq!(seen[&queue][..before.len()], before, "{what}");
            }
            let intact = seen == expected(&messages);
            // What no checksum covers and nothing need contradict: queue id, flag, system flag, times, hosts,
            // redeliveries, prepared offset, topic, properties.
            let unprotected = matches!(at, 12..20 | 36..84) || at > 88 + body;
            if at == 88 + body {
                assert!(!report.dropped.is_empty(), "length of the topic, {what}");
            } else if !unprotected {
                assert!(!intact || at == 44, "{what}");
                assert_eq!(seen, expected(&messages[..29]), "{what}");
            }
            assert!(intact || unprotected || report.dropped.len() == 1, "{what}");
            if !report.dropped.is_empty() {
                assert_eq!(report.dropped[0].at, last.physical, "{what}");
                assert_eq!(report.end, last.physical, "{what}");
                assert_zeros_behind(dir.path(), last.physical.0);
            }
            let next = append_one(&store, &messages[29]);
            assert_eq!(next.physical, report.end, "{what}");
            store.close().unwrap();
        }
    }
}

#[test]
fn damage_in_the_middle_takes_only_the_messages_that_it_hits() {
    let messages = mixed(0, 1000);
    let (image, placed) = killed_store(FlushMode::Async, &messages);
    // In the first file, the last record of a file, the first of one, and two neighbours.
    let last_of_file = placed.iter().rposition(|p| p.physical.0 < LOG_FILE).unwrap();
    for hit in [
        vec![3],
        vec![last_of_file],
        vec![last_of_file + 1],
        vec![500, 501],
        vec![last_of_file, last_of_file + 1],
    ] {
        let dir = scratch();
        copy_dir(image.path(), dir.path());
        for &i in &hit {
            write_bytes(dir.path(), placed[i].physical.0 + 20, &[0xEE; 90]);
        }
        let store = reopen(dir.path());
        let report = store.recovery();
        let first = placed[hit[0]].physical;
        assert_eq!(report.dropped[0].at, first, "{report:?}");
        assert_eq!(report.end, placed.last().unwrap().end);
        assert_without(&store, &messages, &hit);
        let next = append_one(&store, &messages[0]);
        assert_eq!(next.physical, placed.last().unwrap().end);
        store.close().unwrap();
        // It stays so, also when the queues are rebuilt once more.
        std::fs::remove_dir_all(dir.path().join("consumequeue")).unwrap();
        let store = reopen(dir.path());
        assert!(store.recovery().rebuilt_queues);
        let more: Vec<_> = messages.iter().chain([&messages[0]]).cloned().collect();
        assert_without(&store, &more, &hit);
        store.close().unwrap();
    }
}

/// The store shows all messages at their offsets but the ones hit.
fn assert_without(store: &Store, messages: &[Message], hit: &[usize]) {
    let mut left = expected(messages);
    for &i in hit {
        let queue = left.get_mut(&(messages[i].topic.clone(), messages[i].queue)).unwrap();
        queue.retain(|(_, message)| *message != messages[i]);
    }
    assert_same(&read_all(store), &left, "without what was hit");
}

#[test]
fn a_damaged_blank_at_a_files_end_does_not_end_the_log() {
    let messages = mixed(0, 1000);
    let (image, placed) = killed_store(FlushMode::Async, &messages);
    let end = placed.iter().rfind(|p| p.physical.0 < LOG_FILE).unwrap().end.0;
    let blank = read_bytes(image.path(), end, 8);
    for at in 0..8 {
        let dir = scratch();
        copy_dir(image.path(), dir.path());
        write_bytes(dir.path(), end + at, &[blank[at as usize] ^ 0x10]);
        let store = reopen(dir.path());
        assert_same(&read_all(&store), &expected(&messages), &format!("byte {at}"));
        assert_eq!(store.recovery().dropped[0].at.0, end);
        assert_eq!(store.recovery().end, placed.last().unwrap().end);
        goes_on(&store, &messages);
        store.close().unwrap();
    }
}

#[test]
fn a_hole_of_zeros_does_not_hide_the_messages_behind_it() {
    let messages = mixed(0, 1000);
    let (killed, placed) = killed_store(FlushMode::Async, &messages);
    let (closed, _) = closed_store(&messages);
    std::fs::remove_dir_all(closed.path().join("consumequeue")).unwrap();
    for dir in [killed, closed] {
        for p in &placed[100..110] {
            write_bytes(dir.path(), p.physical.0, &vec![0; p.end.since(p.physical) as usize]);
        }
        let store = reopen(dir.path());
        assert_eq!(store.recovery().dropped[0].at, placed[100].physical);
        assert_eq!(store.recovery().end, placed.last().unwrap().end);
        assert_without(&store, &messages, &(100..110).collect::<Vec<_>>());
        store.close().unwrap();
    }
}

#[test]
fn a_log_that_ends_with_a_blank_goes_on_in_the_next_file() {
    // Killed between the blank and the next file's first record, with the next file there and without.
    let messages = mixed(0, 400);
    let (image, placed) = killed_store(FlushMode::Async, &messages);
    let first_of_second = placed.iter().position(|p| p.physical.0 >= LOG_FILE).unwrap();
    for keep_next in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(image.path(), dir.path());
        for (i, path) in files_of(&dir.path().join("commitlog")).into_iter().enumerate().skip(1) {
            std::fs::remove_file(&path).unwrap();
            if i == 1 && keep_next {
                File::create(&path).unwrap().set_len(LOG_FILE).unwrap();
            }
        }
        let store = reopen(dir.path());
        assert_eq!(store.recovery().end.0, LOG_FILE);
        assert_same(&read_all(&store), &expected(&messages[..first_of_second]), "seen");
        goes_on(&store, &messages[..first_of_second]);
        store.close().unwrap();
    }
}

#[test]
fn old_bytes_behind_the_end_are_cleared() {
    let messages = mixed(0, 30);
    let (dir, placed) = killed_store(FlushMode::Async, &messages);
    let end = placed.last().unwrap().end.0;
    write_bytes(dir.path(), end + 200, b"left by somebody");
    let store = reopen(dir.path());
    assert_eq!(store.recovery().dropped_bytes, 216);
    assert_same(&read_all(&store), &expected(&messages), "seen");
    assert_zeros_behind(dir.path(), end);
    goes_on(&store, &messages);
    store.close().unwrap();
}

#[test]
fn a_damaged_place_in_the_queue_does_not_take_later_messages_along() {
    // The queue offset of one message in the middle says something else, lower and higher.
    let messages: Vec<_> = (0..300).map(|i| Message::new("T", 0, &format!("m{i}"), 200)).collect();
    let (image, placed) = killed_store(FlushMode::Async, &messages);
    for wrong in [0u64, 7, 149, 152, 151 + 8, 1 << 20, 1 << 60] {
        let dir = scratch();
        copy_dir(image.path(), dir.path());
        write_bytes(dir.path(), placed[150].physical.0 + 20, &wrong.to_be_bytes());
        let store = reopen(dir.path());
        let report = store.recovery();
        assert_eq!(report.dropped.len(), 1, "{wrong}: {report:?}");
        assert_eq!(report.dropped[0].at, placed[150].physical);
        assert_without(&store, &messages, &[150]);
        store.close().unwrap();
    }
}

fn queue_dir(dir: &Path, name: &str, id: u32) -> PathBuf {
    dir.join(format!("consumequeue/{name}/{id}"))
}

/// Takes files away from a store.
type Lose = fn(&Path);

#[test]
fn lost_queue_files_are_rebuilt_after_a_clean_stop_and_after_a_kill() {
    let messages = mixed(0, 2000);
    let (killed, _) = killed_store(FlushMode::Async, &messages);
    let (closed, _) = closed_store(&messages);
    let losses: [(&str, Lose); 8] = [
        ("all queues", |dir| std::fs::remove_dir_all(dir.join("consumequeue")).unwrap()),
        ("one topic", |dir| std::fs::remove_dir_all(dir.join("consumequeue/A")).unwrap()),
        ("one queue", |dir| std::fs::remove_dir_all(queue_dir(dir, "B", 1)).unwrap()),
        ("a queue's first file", |dir| std::fs::remove_file(&files_of(&queue_dir(dir, "A", 0))[0]).unwrap()),
        ("a queue's last file", |dir| {
            std::fs::remove_file(files_of(&queue_dir(dir, "A", 0)).last().unwrap()).unwrap();
        }),
        ("the end of a queue's last file", |dir| {
            let path = files_of(&queue_dir(dir, "A", 0)).pop().unwrap();
            File::options().write(true).open(path).unwrap().set_len(30).unwrap();
        }),
        ("the end of a queue's first file", |dir| {
            let path = &files_of(&queue_dir(dir, "A", 0))[0];
            File::options().write(true).open(path).unwrap().set_len(1001).unwrap();
        }),
        ("the contents of a queue's last file", |dir| {
            let path = files_of(&queue_dir(dir, "A", 0)).pop().unwrap();
            let file = File::options().write(true).open(path).unwrap();
            file.set_len(0).unwrap();
            file.set_len(QUEUE_FILE_ENTRIES * 20).unwrap();
        }),
    ];
    for (image, how) in [(&closed, "closed"), (&killed, "killed")] {
        for (what, lose) in losses {
            let dir = scratch();
            copy_dir(image.path(), dir.path());
            lose(dir.path());
            let store = reopen(dir.path());
            assert!(store.recovery().rebuilt_queues, "{what}, {how}");
            assert_same(&read_all(&store), &expected(&messages), &format!("{what}, {how}"));
            goes_on(&store, &messages);
            store.close().unwrap();
            for (name, id) in [("A", 0), ("B", 1)] {
                for path in files_of(&queue_dir(dir.path(), name, id)) {
                    assert_eq!(path.metadata().unwrap().len(), QUEUE_FILE_ENTRIES * 20, "{what}, {how}");
                }
            }
        }
    }
}

/// Makes a store that was killed long after a checkpoint: recovery starts behind the first files.
fn killed_behind_a_checkpoint() -> (tempfile::TempDir, Vec<Message>, Vec<Placed>) {
    let host = support::TestHost::new();
    let start = Timestamp::now().minus(ferromq_model::Millis::hours(1));
    let dir = tempfile::tempdir().unwrap();
    let open_on = || {
        let levels = ferromq_model::delay::DelayLevels::default();
        Store::open_on(config(dir.path(), FlushMode::Async), &levels, std::sync::Arc::clone(&host) as _)
            .unwrap()
    };
    let store = open_on();
    let mut messages = vec![Message::new("Rare", 0, "rare", 100)];
    messages.extend(mixed(0, 1500));
    let mut placed = Vec::new();
    let give = |store: &Store, from: usize, upto: usize, placed: &mut Vec<Placed>| {
        for (i, message) in messages.iter().enumerate().take(upto).skip(from) {
            host.set_clock(start.plus(ferromq_model::Millis(i as u64 * 100)));
            placed.push(append_one(store, message));
        }
    };
    give(&store, 0, 1000, &mut placed);
    store.close().unwrap();
    let store = open_on();
    give(&store, 1000, 1501, &mut placed);
    let killed = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), killed.path());
    store.close().unwrap();
    (killed, messages, placed)
}

#[test]
fn recovery_starts_at_the_checkpoint_and_clears_what_queues_say_above_it() {
    let (image, messages, placed) = killed_behind_a_checkpoint();
    let store = {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(image.path(), dir.path());
        reopen(dir.path())
    };
    let report = store.recovery();
    assert!(report.from.0 >= LOG_FILE && !report.rebuilt_queues, "{report:?}");
    assert_same(&read_all(&store), &expected(&messages), "seen");
    store.close().ok();

    // Behind the checkpoint a power cut leaves anything: entries, holes, and entries of what never came to be.
    let dir = tempfile::tempdir().unwrap();
    copy_dir(image.path(), dir.path());
    let last = placed.last().unwrap();
    let beyond = (last.end.0 + 5000).to_be_bytes();
    for id in 0..4 {
        let queue = queue_dir(dir.path(), "A", id);
        let Some(path) = files_of(&queue).pop() else { continue };
        let file = File::options().write(true).open(path).unwrap();
        let mut entry = [0u8; 20];
        entry[..8].copy_from_slice(&beyond);
        entry[8..12].copy_from_slice(&300u32.to_be_bytes());
        for slot in [QUEUE_FILE_ENTRIES - 1, QUEUE_FILE_ENTRIES - 3, QUEUE_FILE_ENTRIES - 4] {
            file.write_all_at(&entry, slot * 20).unwrap();
        }
    }
    let store = reopen(dir.path());
    assert!(!store.recovery().rebuilt_queues);
    assert_same(&read_all(&store), &expected(&messages), "seen");
    goes_on(&store, &messages);
    store.close().unwrap();
}

#[test]
fn a_queue_lost_below_the_checkpoint_is_noticed_after_a_kill() {
    let (dir, messages, _) = killed_behind_a_checkpoint();
    // Its only message lies before the place where recovery starts.
    std::fs::remove_dir_all(dir.path().join("consumequeue/Rare")).unwrap();
    let store = reopen(dir.path());
    assert!(store.recovery().rebuilt_queues);
    assert_same(&read_all(&store), &expected(&messages), "seen");
    store.close().unwrap();
}

#[test]
fn a_missing_or_damaged_side_file_costs_time_at_most() {
    let messages = mixed(0, 700);
    let (killed, _) = killed_store(FlushMode::Async, &messages);
    let (closed, _) = closed_store(&messages);
    for image in [&killed, &closed] {
        for name in ["checkpoint", "lock", "ferromq-queues", "index", "abort"] {
            for damaged in [false, true] {
                let dir = scratch();
                copy_dir(image.path(), dir.path());
                let path = dir.path().join(name);
                if path.is_dir() {
                    for file in files_of(&path) {
                        std::fs::remove_file(&file).unwrap();
                        if damaged {
                            std::fs::write(&file, b"damaged").unwrap();
                        }
                    }
                } else if damaged {
                    std::fs::write(&path, [0x5A; 100]).unwrap();
                } else {
                    let _ = std::fs::remove_file(&path);
                }
                let store = reopen(dir.path());
                assert_same(&read_all(&store), &expected(&messages), name);
                wait_until("the index has come to the end", || store.stats().index_behind == 0);
                for (i, message) in messages.iter().enumerate() {
                    let found = store.find_by_key(
                        &message.topic,
                        &message.key,
                        Timestamp(0),
                        Timestamp(i64::MAX),
                        10,
                    );
                    assert_eq!(found.len(), 1, "{name} {i}");
                    assert_eq!(Message::of_record(&Record::decode(&found[0]).unwrap()), *message);
                }
                goes_on(&store, &messages);
                store.close().unwrap();
            }
        }
    }
}

#[test]
fn a_log_file_of_another_length_or_name_is_refused_and_left_alone() {
    let messages = mixed(0, 700);
    let (image, _) = closed_store(&messages);
    let wrongs: [fn(&Path); 3] = [
        |dir| {
            let path = files_of(&dir.join("commitlog")).pop().unwrap();
            File::options().write(true).open(path).unwrap().set_len(LOG_FILE - 1).unwrap();
        },
        |dir| std::fs::write(dir.join("commitlog/00000000000000000001"), vec![0; LOG_FILE as usize]).unwrap(),
        |dir| std::fs::write(dir.join("commitlog/notes.txt"), b"mine").unwrap(),
    ];
    for wrong in wrongs {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(image.path(), dir.path());
        wrong(dir.path());
        let before = files_of(&dir.path().join("commitlog"));
        let Err(error) = open(config(dir.path(), FlushMode::Async)) else { panic!("it must be refused") };
        assert!(matches!(error, OpenError::ForeignFile { .. }), "{error}");
        assert!(error.to_string().contains("mappedFileSizeCommitLog"), "{error}");
        assert_eq!(files_of(&dir.path().join("commitlog")), before);
    }
    // An empty last file is what a crash leaves that came before its allocation.
    let next = files_of(&image.path().join("commitlog")).len() as u64 * LOG_FILE;
    File::create(image.path().join(format!("commitlog/{next:020}"))).unwrap();
    let store = reopen(image.path());
    assert_same(&read_all(&store), &expected(&messages), "seen");
    store.close().unwrap();
}

#[test]
fn a_second_open_of_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = reopen(dir.path());
    let Err(error) = open(config(dir.path(), FlushMode::Async)) else { panic!("it must be refused") };
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("in use by another process"), "{error}");
    store.close().unwrap();
    reopen(dir.path()).close().unwrap();
}

#[test]
fn a_queue_whose_messages_are_all_deleted_keeps_its_place_through_a_rebuild() {
    let dir = tempfile::tempdir().unwrap();
    let settings = || StoreConfig {
        disk_clean_forcibly: ferromq_model::config::Percent(10),
        ..config(dir.path(), FlushMode::Async)
    };
    let host = support::TestHost::new();
    let levels = ferromq_model::delay::DelayLevels::default();
    let store = Store::open_on(settings(), &levels, std::sync::Arc::clone(&host) as _).unwrap();
    for i in 0..10 {
        append_one(&store, &Message::new("Old", 0, &format!("o{i}"), 100));
    }
    let new: Vec<_> = (0..800).map(|i| Message::new("New", 0, &format!("n{i}"), 300)).collect();
    append_each(&store, &new);
    host.set_used_percent(50);
    store.clean_up();
    assert!(store.stats().log_min.0 > 0);
    let min = store.find_queue("New", QueueId(0)).unwrap().min();
    store.close().unwrap();
    for lose in ["", "consumequeue/New", "consumequeue/Old", "consumequeue"] {
        if !lose.is_empty() {
            std::fs::remove_dir_all(dir.path().join(lose)).unwrap();
        }
        let store = reopen(dir.path());
        assert_eq!(store.recovery().rebuilt_queues, !lose.is_empty());
        let old = store.find_queue("Old", QueueId(0)).unwrap();
        assert_eq!((old.min(), old.max()), (QueueOffset(10), QueueOffset(10)), "{lose}");
        let queue = store.find_queue("New", QueueId(0)).unwrap();
        assert_eq!((queue.min(), queue.max()), (min, QueueOffset(800)), "{lose}");
        let seen = read_queue(&store, &queue);
        assert_eq!(seen.first().map(|(offset, _)| *offset), Some(min));
        assert!(seen.iter().all(|(offset, message)| *message == new[offset.0 as usize]));
        store.close().unwrap();
    }
}

#[test]
fn a_deleted_topic_stays_deleted_and_its_name_can_be_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = reopen(dir.path());
    append_each(&store, &mixed(0, 300));
    store.delete_topic(&topic("A")).unwrap();
    let new: Vec<_> = (0..5).map(|i| Message::new("A", 0, &format!("new{i}"), 100)).collect();
    append_each(&store, &new);
    let killed = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), killed.path());
    store.close().unwrap();
    let mut left = expected(&mixed(0, 300));
    left.retain(|(topic, _), _| topic != "A");
    left.extend(expected(&new));
    for (dir, lose) in [(&dir, false), (&killed, false), (&dir, true), (&killed, true)] {
        if lose {
            std::fs::remove_dir_all(dir.path().join("consumequeue")).unwrap();
        }
        let store = reopen(dir.path());
        assert_same(&read_all(&store), &left, "without the topic");
        store.close().unwrap();
    }
}

#[test]
fn a_topic_that_another_broker_deleted_and_began_anew_shows_its_new_messages() {
    // RocketMQ notes no deletion: its log has two runs of the same queue offsets.
    let dir = tempfile::tempdir().unwrap();
    let store = reopen(dir.path());
    append_each(&store, &mixed(0, 300));
    store.delete_topic(&topic("A")).unwrap();
    let new: Vec<_> = (0..5).map(|i| Message::new("A", 0, &format!("new{i}"), 100)).collect();
    append_each(&store, &new);
    store.close().unwrap();
    std::fs::remove_file(dir.path().join("ferromq-queues")).unwrap();
    std::fs::remove_dir_all(dir.path().join("consumequeue")).unwrap();
    let store = reopen(dir.path());
    assert_eq!(
        read_queue(&store, &store.find_queue("A", QueueId(0)).unwrap()),
        expected(&new)[&("A".to_owned(), 0)]
    );
    store.close().unwrap();
}

#[test]
fn searches_by_time_pass_over_messages_that_are_gone() {
    let host = support::TestHost::new();
    let levels = ferromq_model::delay::DelayLevels::default();
    let dir = tempfile::tempdir().unwrap();
    let open_on = || {
        Store::open_on(config(dir.path(), FlushMode::Async), &levels, std::sync::Arc::clone(&host) as _)
            .unwrap()
    };
    let store = open_on();
    let start = Timestamp::now().minus(ferromq_model::Millis::hours(1));
    let mut placed = Vec::new();
    for i in 0..60u64 {
        host.set_clock(start.plus(ferromq_model::Millis(i * 1000)));
        placed.push(append_one(&store, &Message::new("T", 0, &format!("m{i}"), 200)));
    }
    store.close().unwrap();
    for p in &placed[20..41] {
        write_bytes(dir.path(), p.physical.0 + 100, &[0xEE; 50]);
    }
    std::fs::remove_dir_all(dir.path().join("consumequeue")).unwrap();
    let store = open_on();
    let queue = store.find_queue("T", QueueId(0)).unwrap();
    let gone = 20..41;
    assert_eq!(read_queue(&store, &queue).len(), 60 - (gone.end - gone.start) as usize);
    for i in 0..60u64 {
        let time = start.plus(ferromq_model::Millis(i * 1000));
        let expected = if gone.contains(&i) { 41 } else { i };
        assert_eq!(store.first_at_or_after(&queue, time), QueueOffset(expected), "{i}");
    }
    store.close().unwrap();
}

#[test]
fn records_are_found_by_their_magic_as_the_reference_writes_it() {
    let (dir, placed) = killed_store(FlushMode::Async, &mixed(0, 3));
    let bytes = read_bytes(dir.path(), placed[0].physical.0, placed[0].end.0 as usize);
    assert_eq!(bytes[4..8], MAGIC_V1.to_be_bytes());
    let store = reopen(dir.path());
    let record = store.record_at(placed[1].physical).unwrap();
    assert_eq!(split(std::slice::from_ref(&record)).len(), 1);
    assert!(store.record_at(placed[1].physical.plus(1)).is_none(), "only a record's start is one");
    store.close().unwrap();
}

#[test]
fn a_log_on_another_file_system_gets_its_files_there() {
    let memory = scratch();
    let dir = tempfile::tempdir().unwrap();
    let settings = || StoreConfig {
        commit_log_dir: Some(memory.path().join("log/commitlog")),
        ..config(dir.path(), FlushMode::Async)
    };
    let messages = mixed(0, 700);
    let store = open(settings()).unwrap();
    append_each(&store, &messages);
    store.close().unwrap();
    assert!(files_of(&memory.path().join("log/commitlog")).len() > 2);
    std::fs::write(memory.path().join("log/next-log-file"), b"left by a crash").unwrap();
    let store = open(settings()).unwrap();
    assert_same(&read_all(&store), &expected(&messages), "on two file systems");
    assert!(!memory.path().join("log/next-log-file").exists());
    store.close().unwrap();
}
