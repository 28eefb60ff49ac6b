//! Many threads on one store: every message once, in order, intact, while files roll, are deleted, flushed and read.

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ferromq_model::config::Percent;
use ferromq_model::delay::DelayLevels;
use ferromq_model::filter::MessageFilter;
use ferromq_model::record::Record;
use ferromq_model::{QueueId, QueueOffset};
use ferromq_store::{AppendError, FlushMode, Read, ReadLimit, Store, StoreConfig};
use support::{Message, append, block_on, config, copy_dir, flush, open, read_queue, scratch, split, topic};

const WRITERS: u64 = 8;
const QUEUES: u32 = 4;

/// The n-th message of a writer; its queue and its length depend on both.
fn message(writer: u64, n: u64) -> Message {
    let queue = ((writer + n) % u64::from(QUEUES)) as u32;
    Message::new("T", queue, &format!("{writer}-{n}"), 20 + (n * 37 + writer * 101) as usize % 700)
}

/// Writer and number of a message.
fn name(message: &Message) -> (u64, u64) {
    let (writer, n) = message.key.split_once('-').unwrap();
    (writer.parse().unwrap(), n.parse().unwrap())
}

/// Reads a queue from its start until all writers are done and nothing is left.
fn follow(store: &Store, id: u32, written: &AtomicBool) -> Vec<Message> {
    let queue = store.queue(&topic("T"), QueueId(id));
    let limit = ReadLimit { messages: 50, bytes: 20_000 };
    let mut seen = Vec::new();
    loop {
        let last_look = written.load(Ordering::SeqCst);
        match store.read(&queue, QueueOffset(seen.len() as u64), limit, &MessageFilter::All).unwrap() {
            Read::Found(found) => {
                for bytes in split(&found.records) {
                    let record = Record::decode(&bytes).unwrap();
                    record.verify().unwrap();
                    assert_eq!(record.queue_offset, QueueOffset(seen.len() as u64));
                    seen.push(Message::of_record(&record));
                }
            }
            Read::AtEnd | Read::Empty if last_look => return seen,
            Read::AtEnd | Read::Empty => std::thread::yield_now(),
            other => panic!("{other:?}"),
        }
    }
}

/// Each writer's messages in their order, each of them once and as it was sent.
fn check(seen: &[Vec<Message>], each: u64) {
    let mut last: HashMap<(u32, u64), u64> = HashMap::new();
    let mut count = 0;
    for (id, messages) in seen.iter().enumerate() {
        for seen in messages {
            let (writer, n) = name(seen);
            assert_eq!(*seen, message(writer, n));
            assert_eq!(seen.queue as usize, id);
            let before = last.insert((seen.queue, writer), n);
            assert!(before.is_none_or(|before| before < n), "{writer} sent {before:?} before {n}");
            count += 1;
        }
    }
    assert_eq!(count, WRITERS * each);
}

#[test]
fn eight_writers_and_four_readers_agree_on_every_message() {
    for mode in [FlushMode::Async, FlushMode::Sync] {
        let each = 1500;
        let dir = scratch();
        let store = open(config(dir.path(), mode)).unwrap();
        let written = AtomicBool::new(false);
        let seen = std::thread::scope(|scope| {
            let readers: Vec<_> = (0..QUEUES)
                .map(|id| {
                    scope.spawn({
                        let (store, written) = (&store, &written);
                        move || follow(store, id, written)
                    })
                })
                .collect();
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let store = &store;
                    scope.spawn(move || {
                        let mut n = 0;
                        while n < each {
                            let size = (1 + (n * 7 + writer) % 19).min(each - n);
                            let messages: Vec<_> = (n..n + size).map(|n| message(writer, n)).collect();
                            let placed = append(store, &messages).unwrap();
                            assert!(placed.windows(2).all(|two| two[0].physical < two[1].physical));
                            if mode == FlushMode::Sync && n % 5 == 0 {
                                let last = placed.last().unwrap();
                                block_on(store.flushed_to(last.end)).unwrap();
                                // Acknowledged is visible: a consumer told of it finds it.
                                let queue = store.queue(&topic("T"), QueueId(messages.last().unwrap().queue));
                                assert!(queue.max() > last.queue_offset);
                            }
                            n += size;
                        }
                    })
                })
                .collect();
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            flush(&store);
            written.store(true, Ordering::SeqCst);
            readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
        });
        check(&seen, each);

        // What a kill would leave is the same, and so is what a clean stop does.
        let killed = scratch();
        copy_dir(dir.path(), killed.path());
        store.close().unwrap();
        for dir in [&killed, &dir] {
            let store = open(config(dir.path(), mode)).unwrap();
            let again: Vec<_> = (0..QUEUES)
                .map(|id| read_queue(&store, &store.find_queue("T", QueueId(id)).unwrap()))
                .map(|messages| messages.into_iter().map(|(_, message)| message).collect::<Vec<_>>())
                .collect();
            assert!(again == seen, "other messages after a restart");
            store.close().unwrap();
        }
    }
}

#[test]
fn zeros_written_ahead_never_land_on_a_record() {
    // One writer of large batches outruns the zeroing again and again, and each record is looked at at once.
    let dir = tempfile::tempdir().unwrap();
    let settings = StoreConfig {
        log_file_size: ferromq_model::ByteSize::mib(4),
        index: false,
        ..config(dir.path(), FlushMode::Async)
    };
    let store = open(settings).unwrap();
    let mut all = Vec::new();
    for n in 0..400u64 {
        let messages: Vec<_> = (0..20)
            .map(|i| Message::new("T", 0, &format!("{n}-{i}"), 1 + (n as usize * 13) % 9000))
            .collect();
        for (placed, message) in append(&store, &messages).unwrap().into_iter().zip(messages) {
            all.push((placed, message));
        }
        let (placed, message) = &all[all.len() * 7 / 8];
        let bytes = store.record_at(placed.physical).unwrap();
        assert_eq!(Message::of_record(&Record::decode(&bytes).unwrap()), *message);
    }
    for (placed, message) in &all {
        let bytes = store.record_at(placed.physical).unwrap();
        let record = Record::decode(&bytes).unwrap();
        record.verify().unwrap();
        assert_eq!(
            (Message::of_record(&record), record.queue_offset),
            (message.clone(), placed.queue_offset)
        );
    }
    store.close().unwrap();
}

#[test]
fn readers_and_writers_go_on_while_old_files_are_deleted() {
    let dir = scratch();
    let host = support::TestHost::new();
    let settings = StoreConfig { disk_clean_forcibly: Percent(50), ..config(dir.path(), FlushMode::Async) };
    let store = Store::open_on(settings, &DelayLevels::default(), Arc::clone(&host) as _).unwrap();
    host.set_used_percent(60);
    let written = AtomicBool::new(false);
    let total = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..4000 {
                append(&store, &[Message::new("T", 0, &format!("0-{n}"), 300)]).unwrap();
                total.fetch_add(1, Ordering::SeqCst);
            }
            written.store(true, Ordering::SeqCst);
        });
        scope.spawn(|| {
            while !written.load(Ordering::SeqCst) {
                store.clean_up();
                std::thread::yield_now();
            }
        });
        scope.spawn(|| {
            let queue = store.queue(&topic("T"), QueueId(0));
            let mut from = QueueOffset(0);
            loop {
                let last_look = written.load(Ordering::SeqCst);
                let limit = ReadLimit { messages: 32, bytes: 1 << 20 };
                match store.read(&queue, from, limit, &MessageFilter::All).unwrap() {
                    Read::Found(found) => {
                        for bytes in split(&found.records) {
                            let record = Record::decode(&bytes).unwrap();
                            assert!(record.queue_offset >= from);
                            let expected = Message::new("T", 0, &format!("0-{}", record.queue_offset), 300);
                            assert_eq!(Message::of_record(&record), expected);
                        }
                        from = found.next;
                    }
                    Read::NoMatch { next } => from = next,
                    Read::Before { min } => from = min,
                    Read::AtEnd | Read::Empty if last_look => break,
                    Read::AtEnd | Read::Empty => std::thread::yield_now(),
                    Read::Beyond { max } => panic!("{from} is beyond {max}"),
                }
            }
            assert_eq!(from.0, total.load(Ordering::SeqCst));
        });
    });
    assert!(store.stats().log_min.0 > 0);
    store.close().unwrap();
}

#[test]
fn a_topic_deleted_under_load_leaves_nothing_behind() {
    let dir = scratch();
    let store = open(config(dir.path(), FlushMode::Async)).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..3u64 {
            let (store, stop) = (&store, &stop);
            scope.spawn(move || {
                for n in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    match append(store, &[message(writer, n)]) {
                        Ok(_) | Err(AppendError::Deleted) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        for _ in 0..30 {
            store.delete_topic(&topic("T")).unwrap();
            std::thread::yield_now();
        }
        stop.store(true, Ordering::SeqCst);
    });
    // The last incarnation starts at zero and has no gap, now, after a kill and after a clean stop.
    let contents = |store: &Store| -> Vec<_> {
        (0..QUEUES).filter_map(|id| Some(read_queue(store, &*store.find_queue("T", QueueId(id))?))).collect()
    };
    let seen = contents(&store);
    for messages in &seen {
        assert!(messages.iter().enumerate().all(|(i, (offset, _))| offset.0 == i as u64));
    }
    let killed = scratch();
    copy_dir(dir.path(), killed.path());
    store.close().unwrap();
    for dir in [&killed, &dir] {
        let store = open(config(dir.path(), FlushMode::Async)).unwrap();
        let again: Vec<_> = contents(&store).into_iter().filter(|messages| !messages.is_empty()).collect();
        let before: Vec<_> = seen.iter().filter(|messages| !messages.is_empty()).cloned().collect();
        assert!(again == before, "{:?}", store.recovery());
        store.close().unwrap();
    }
}
