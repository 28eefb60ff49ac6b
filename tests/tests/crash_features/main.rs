//! What the broker does later, or leaves to its clients, survives being killed: delayed and timed messages, orderly
//! consumption.
//!
//! Each test kills the broker by SIGKILL several times under its load, starts it on the same store, and in the end
//! waits for everything that was acknowledged:
//! * each acknowledged delayed or timed message is delivered, not before its time;
//! * an ordered queue goes on where its group had committed, in order.
//!
//! All of it at least once: what comes again is counted, printed and bounded.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use ferromq_model::record::Record;
use ferromq_model::{QueueId, QueueOffset, Timestamp};

use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::header::{GetMaxOffset, QueryConsumerOffset, UpdateConsumerOffset};
use ferromq_tests::process::wait;
use ferromq_tests::random::seed;
use ferromq_tests::remoting::{Connection, PATIENCE, pull_header, send_header};
use ferromq_tests::{Kind, Launch, Random, Server};

const KILLS: u64 = 4;
const CONNECTIONS: u64 = 3;
/// Acknowledgements that wait to be counted: behind them, loads wait.
const UNREAD_ACKS: usize = 64;
/// Steps of the broker's timers, in milliseconds: what is delivered may be early by one.
const PRECISION: i64 = 1000;
const GROUP: &str = "crash-features";
const BROKER: &str = "crashing";

/// Names a message: its round, its connection, its number among those of the connection.
type Id = (u64, u64, u64);

fn launch(flush: &str, dir: &std::path::Path) -> Launch {
    Launch::new(Kind::Ferro, dir)
        .small_files()
        .set("mappedFileSizeCommitLog", "1m")
        .set("flushDiskType", flush)
        .set("brokerName", BROKER)
        .set("messageDelayLevel", "1s 2s 3s")
        .set("flushConsumerOffsetInterval", "100")
        .set("flushDelayOffsetInterval", "100")
        .set("transactionTimeOut", "500")
        .set("transactionCheckInterval", "300")
        .set("transactionCheckMax", "1000")
        .set("cleanFileForciblyEnable", "false")
        .set("diskSpaceWarningLevelRatio", "100")
}

/// Runs one round of load on several connections, kills the server after `acks` acknowledgements, and gives back what
/// each connection noted. A load ends when its connection breaks.
fn load_and_kill<Page: Send + 'static>(
    server: Server,
    round: u64,
    acks: u64,
    random: &mut Random,
    load: fn(SocketAddr, u64, u64, Random, &SyncSender<()>) -> Page,
) -> Vec<Page> {
    let broker = server.broker();
    let (told, acknowledged) = sync_channel(UNREAD_ACKS);
    let loads: Vec<_> = (0..CONNECTIONS)
        .map(|connection| {
            let (told, random) = (told.clone(), random.fork());
            thread::spawn(move || load(broker, round, connection, random, &told))
        })
        .collect();
    drop(told);
    for seen in 0..acks {
        if let Err(error) = acknowledged.recv_timeout(PATIENCE) {
            panic!("after {seen} of {acks} acknowledgements: {error}\n{}", server.log_tail());
        }
    }
    server.kill();
    // A load that still waits to be heard goes on to find its connection broken.
    drop(acknowledged);
    loads.into_iter().map(|load| load.join().expect("a load ends without a panic")).collect()
}

fn body_of(id: Id) -> Vec<u8> {
    format!("{}.{}.{} of the load", id.0, id.1, id.2).into_bytes()
}

fn id_of(record: &Record<'_>) -> Id {
    let text = std::str::from_utf8(record.body).expect("a body of ours");
    let id = text.strip_suffix(" of the load").expect("a body of ours");
    let mut parts = id.split('.').map(|part| part.parse().expect("an id is three numbers"));
    let mut part = || parts.next().expect("an id is three numbers");
    (part(), part(), part())
}

fn open(broker: SocketAddr) -> Connection {
    Connection::open(broker).expect("the broker accepts")
}

/// Reads a queue from its first message to its last.
fn read_queue(connection: &mut Connection, topic: &str, queue: u32, mut each: impl FnMut(&Record<'_>)) {
    let header = GetMaxOffset { topic, queue: QueueId(queue), committed: true };
    let max: u64 =
        connection.ask(RequestCode::GetMaxOffset, &header, &[]).expect("an answer").field("offset");
    let mut next = 0;
    while next < max {
        let answer = connection
            .ask(RequestCode::PullMessage, &pull_header(topic, queue, next), &[])
            .expect("an answer");
        assert_eq!(answer.code, ResponseCode::Success.code(), "{topic} {queue} at {next}: {answer:?}");
        for record in answer.records() {
            each(&record);
            next += 1;
        }
    }
}

/// Waits until all of `expected` are in queue 0 of a topic; returns how often each message is there.
fn wait_for_all(broker: SocketAddr, topic: &str, expected: &HashSet<Id>) -> HashMap<Id, u64> {
    let mut connection = open(broker);
    let mut found: HashMap<Id, u64> = HashMap::new();
    let all = wait(PATIENCE, || {
        found.clear();
        read_queue(&mut connection, topic, 0, |record| *found.entry(id_of(record)).or_default() += 1);
        expected.iter().all(|id| found.contains_key(id))
    });
    let missing: Vec<_> = expected.iter().filter(|id| !found.contains_key(id)).collect();
    assert!(all, "{} of {} acknowledged messages never came: {missing:?}", missing.len(), expected.len());
    found
}

fn again(found: &HashMap<Id, u64>) -> u64 {
    found.values().map(|times| times - 1).sum()
}

// Delayed and timed.

const LATER: &str = "CrashLater";

fn send_later(
    broker: SocketAddr,
    round: u64,
    which: u64,
    mut random: Random,
    told: &SyncSender<()>,
) -> Vec<(Id, i64)> {
    let mut acknowledged = Vec::new();
    let Ok(mut connection) = Connection::open(broker) else { return acknowledged };
    for count in 0.. {
        let id = (round, which, count);
        let delay = random.within(1..4) as i64 * 1000;
        let due = Timestamp::now().0 + delay;
        let how = match random.within(0..3) {
            0 => format!("DELAY\u{1}{}", delay / 1000),
            1 => format!("TIMER_DELAY_MS\u{1}{delay}"),
            _ => format!("TIMER_DELIVER_MS\u{1}{due}"),
        };
        let properties = format!("KEYS\u{1}k\u{2}UNIQ_KEY\u{1}L{round}.{which}.{count}\u{2}{how}\u{2}");
        let header = send_header(LATER, 0, &properties);
        match connection.ask(RequestCode::SendMessageV2, &header, &body_of(id)) {
            Ok(answer) if answer.code == ResponseCode::Success.code() => acknowledged.push((id, due)),
            Ok(answer) => assert_eq!(answer.code, ResponseCode::FlushDiskTimeout.code(), "{answer:?}"),
            Err(_) => break,
        }
        let _ = told.send(());
    }
    acknowledged
}

fn later_survives(flush: &str) {
    let began = Instant::now();
    let mut random = Random::new(seed(flush));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let launch = launch(flush, dir.path());
    let mut due = BTreeMap::new();
    for round in 0..KILLS {
        let acks = random.within(20..400);
        for page in load_and_kill(launch.start(), round, acks, &mut random, send_later) {
            due.extend(page);
        }
    }
    let server = launch.start();
    let found = wait_for_all(server.broker(), LATER, &due.keys().copied().collect());
    read_queue(&mut open(server.broker()), LATER, 0, |record| {
        if let Some(due) = due.get(&id_of(record)) {
            let early = due - record.stored.0;
            assert!(early <= PRECISION, "{:?} came {early} ms before its time", id_of(record));
        }
    });
    println!(
        "{flush}: {KILLS} kills, {} delayed and timed messages acknowledged, {} delivered again; {:?}",
        due.len(),
        again(&found),
        began.elapsed()
    );
    // What is delivered names what it was, so the log proves it after a crash.
    let mut twice = Vec::new();
    read_queue(&mut open(server.broker()), LATER, 0, |record| {
        if found[&id_of(record)] > 1 {
            twice.push(format!("{:?} at {:?}: {:?}", id_of(record), record.stored, record.properties));
        }
    });
    assert!(twice.is_empty(), "delivered again: {}\n{}", twice.join("\n"), server.log_tail());
    server.stop();
}

#[test]
fn delayed_and_timed_messages_survive_kills_with_async_flush() {
    later_survives("ASYNC_FLUSH");
}

#[test]
fn delayed_and_timed_messages_survive_kills_with_sync_flush() {
    later_survives("SYNC_FLUSH");
}

// Orderly.

const ORDERED: &str = "CrashOrdered";

fn lock(connection: &mut Connection, client: &str) -> bool {
    let queue = format!(r#"{{"brokerName":"{BROKER}","queueId":0,"topic":"{ORDERED}"}}"#);
    let body = format!(
        r#"{{"clientId":"{client}","consumerGroup":"{GROUP}","mqSet":[{queue}],"onlyThisBroker":false}}"#
    );
    let answer = connection.ask(RequestCode::LockBatchMq, &(), body.as_bytes()).expect("an answer");
    String::from_utf8_lossy(&answer.body).contains(ORDERED)
}

fn position(connection: &mut Connection) -> u64 {
    let header =
        QueryConsumerOffset { group: GROUP, topic: ORDERED, queue: QueueId(0), zero_if_unknown: true };
    let answer = connection.ask(RequestCode::QueryConsumerOffset, &header, &[]).expect("an answer");
    if answer.code == ResponseCode::Success.code() { answer.field("offset") } else { 0 }
}

fn orderly_survives(flush: &str) {
    let began = Instant::now();
    let mut random = Random::new(seed(flush));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let launch = launch(flush, dir.path());
    let mut sent: Vec<Id> = Vec::new();
    let (mut repeated, mut consumed) = (0, 0_u64);
    for round in 0..=KILLS {
        let server = launch.start();
        let mut connection = open(server.broker());
        let from = position(&mut connection);
        assert!(from <= consumed, "the group goes on at {from}, and got to {consumed} before");
        repeated += consumed - from;
        assert!(lock(&mut connection, &format!("client-{round}")), "a lock outlives the broker");
        assert!(!lock(&mut connection, "somebody-else"), "two hold the same lock");
        if round < KILLS {
            for count in 0..random.within(50..200) {
                let id = (round, 0, count);
                let header = send_header(ORDERED, 0, "");
                let answer =
                    connection.ask(RequestCode::SendMessageV2, &header, &body_of(id)).expect("an answer");
                assert_eq!(answer.code, ResponseCode::Success.code(), "{answer:?}");
                assert_eq!(answer.field::<usize>("queueOffset"), sent.len());
                sent.push(id);
            }
        }
        // All in the last round, otherwise killed on the way.
        let left = sent.len() as u64 - from;
        let end = if round < KILLS { from + random.within(1..left) } else { sent.len() as u64 };
        let mut next = from;
        while next < end {
            let answer = connection
                .ask(RequestCode::PullMessage, &pull_header(ORDERED, 0, next), &[])
                .expect("an answer");
            for record in answer.records() {
                assert_eq!(id_of(&record), sent[next as usize], "the message at {next}");
                next += 1;
            }
            let offset = Some(QueueOffset(next));
            let header = UpdateConsumerOffset { group: GROUP, topic: ORDERED, queue: QueueId(0), offset };
            let answer = connection.ask(RequestCode::UpdateConsumerOffset, &header, &[]).expect("an answer");
            assert_eq!(answer.code, ResponseCode::Success.code(), "{answer:?}");
            consumed = consumed.max(next);
        }
        server.kill();
    }
    assert_eq!(consumed, sent.len() as u64);
    println!(
        "{flush}: {KILLS} kills, {} messages in order, {repeated} delivered again; {:?}",
        sent.len(),
        began.elapsed()
    );
}

#[test]
fn an_ordered_queue_goes_on_in_order_after_kills_with_async_flush() {
    orderly_survives("ASYNC_FLUSH");
}

#[test]
fn an_ordered_queue_goes_on_in_order_after_kills_with_sync_flush() {
    orderly_survives("SYNC_FLUSH");
}
