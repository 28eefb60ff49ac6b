//! What the broker does later, or leaves to its clients, survives being killed: delayed and timed messages, orderly
//! consumption, transactions, pops.
//!
//! Each test kills the broker by SIGKILL several times under its load, starts it on the same store, and in the end
//! waits for everything that was acknowledged. All of it comes at least once; what comes again is counted, printed and
//! bounded. What is promised is told in each subject's file.

mod later;
mod orderly;
mod pops;
mod transactions;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use ferromq_model::QueueId;
use ferromq_model::record::Record;
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::header::GetMaxOffset;
use ferromq_tests::process::wait;
use ferromq_tests::remoting::{Connection, PATIENCE, pull_header};
use ferromq_tests::{Kind, Launch, Random, Server};

const KILLS: u64 = 4;
const CONNECTIONS: u64 = 3;
/// Acknowledgements that wait to be counted: behind them, loads wait.
const UNREAD_ACKS: usize = 64;
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
