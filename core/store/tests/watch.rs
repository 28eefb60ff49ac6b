//! Watching queues: who asks is told once, misses nothing, and holds up nobody's lock.

mod support;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

use ferromq_model::{QueueId, QueueOffset, TopicName};
use ferromq_store::{FlushMode, Queue, Store, Watcher};
use support::{Message, append, append_one, config, open, topic};

/// Longer than any arrival takes, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(120);

/// Passes on what it is told.
struct Bell(SyncSender<TopicName>);

impl Watcher for Bell {
    fn arrived(&self, queue: &Arc<Queue>) {
        let _ = self.0.send(queue.topic().clone());
    }
}

fn bell() -> (Arc<Bell>, Receiver<TopicName>) {
    let (rings, heard) = sync_channel(64);
    (Arc::new(Bell(rings)), heard)
}

fn weak<W: Watcher + 'static>(watcher: &Arc<W>) -> Weak<dyn Watcher> {
    let weak: Weak<W> = Arc::downgrade(watcher);
    weak
}

fn small(name: &str) -> Message {
    Message::new("T", 0, name, 10)
}

#[test]
fn a_watcher_is_told_once_and_asks_anew() {
    for flush in [FlushMode::Async, FlushMode::Sync] {
        let dir = support::scratch();
        let store = open(config(dir.path(), flush)).unwrap();
        let queue = store.queue(&topic("T"), QueueId(0));
        let (bell, heard) = bell();
        assert!(queue.watch(QueueOffset(0), weak(&bell)));
        append_one(&store, &Message::new("Other", 0, "x", 10));
        append(&store, &[small("1"), small("2")]).unwrap();
        assert_eq!(heard.recv_timeout(PATIENCE).unwrap().as_str(), "T");
        append_one(&store, &small("3"));
        store.flush().unwrap();
        assert!(heard.try_recv().is_err(), "it did not ask again");
        assert_eq!(queue.max(), QueueOffset(3));
        assert!(!queue.watch(QueueOffset(2), weak(&bell)), "what it waits for is there");
        assert!(queue.watch(QueueOffset(3), weak(&bell)));
        append_one(&store, &small("4"));
        assert!(heard.recv_timeout(PATIENCE).is_ok());
        store.close().unwrap();
    }
}

#[test]
fn the_deletion_of_a_queue_is_told_of() {
    let dir = support::scratch();
    let store = open(config(dir.path(), FlushMode::Async)).unwrap();
    let queue = store.queue(&topic("T"), QueueId(0));
    let (bell, heard) = bell();
    assert!(queue.watch(QueueOffset(0), weak(&bell)));
    store.delete_topic(&topic("T")).unwrap();
    assert!(heard.try_recv().is_ok() && queue.is_retired());
    assert!(!queue.watch(QueueOffset(0), weak(&bell)), "nothing will ever arrive");
    store.close().unwrap();
}

/// Stores an answer to whatever arrives, from within.
struct Answering(Store);

impl Watcher for Answering {
    fn arrived(&self, _: &Arc<Queue>) {
        append_one(&self.0, &Message::new("Answers", 0, "answer", 10));
    }
}

#[test]
fn no_lock_is_held_while_watchers_are_told() {
    for flush in [FlushMode::Async, FlushMode::Sync] {
        let dir = support::scratch();
        let store = open(config(dir.path(), flush)).unwrap();
        let (answers, heard) = bell();
        assert!(store.queue(&topic("Answers"), QueueId(0)).watch(QueueOffset(0), weak(&answers)));
        let answering = Arc::new(Answering(store.clone()));
        assert!(store.queue(&topic("T"), QueueId(0)).watch(QueueOffset(0), weak(&answering)));
        append_one(&store, &small("1"));
        assert!(heard.recv_timeout(PATIENCE).is_ok());
        store.close().unwrap();
    }
}

#[test]
fn no_arrival_hides_between_a_look_and_the_wish_to_be_told() {
    const MESSAGES: u64 = 20_000;
    let dir = support::scratch();
    let store = open(config(dir.path(), FlushMode::Async)).unwrap();
    let queue = store.queue(&topic("T"), QueueId(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..MESSAGES {
                append_one(&store, &small("m"));
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                let (bell, heard) = bell();
                let mut seen = queue.max();
                while seen < QueueOffset(MESSAGES) {
                    if queue.watch(seen, weak(&bell)) {
                        heard.recv_timeout(PATIENCE).expect("it is told");
                    }
                    // It may be the same: of what it saw just now, it may be told a moment later.
                    seen = queue.max();
                }
            });
        }
    });
    store.close().unwrap();
}
