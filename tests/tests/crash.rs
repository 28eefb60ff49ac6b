//! Nothing acknowledged is lost: the broker is killed under load, again and again, and read back.
//!
//! ```text
//! round:  8 connections send, pipelined ─▶ SIGKILL after a random number of answers ─▶ start on the same store
//!         ─▶ read every queue from its first message to its last ─▶ next round
//! ```
//! After each start, over all rounds so far:
//! * every acknowledged message is at exactly the queue and offset that its sender was told, with its bytes and
//!   properties;
//! * what was never acknowledged may be there or not, but whole: every record read is one that was sent;
//! * no message is there twice, offsets have no gap, and what one connection sent to one queue is in that order;
//! * a topic that was made by the first send of the killed round is there; a group goes on where it was noted to be.
//!
//! In the end, every acknowledged delayed message has been delivered, at least once.
//!
//! Log files are so small that each round fills several. `FERROMQ_SEED` repeats a run's decisions, though not the
//! moments at which threads and disk act.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use ferromq_model::QueueOffset;
use ferromq_model::batch::{BatchItem, encode_item};
use ferromq_model::message::iter_properties;
use ferromq_model::record::{Record, checksum};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::header::{GetMaxOffset, GetMinOffset, QueryConsumerOffset, UpdateConsumerOffset};
use ferromq_tests::process::wait;
use ferromq_tests::random::seed;
use ferromq_tests::remoting::{Connection, PATIENCE, pull_header, send_header};
use ferromq_tests::{Kind, Launch, Random, Server};

const ROUNDS: u64 = 21;
const CONNECTIONS: u64 = 8;
/// Requests that each connection has under way.
const PIPELINE: usize = 32;
/// Acknowledgements that wait to be counted: behind them, connections wait.
const UNREAD_ACKS: usize = 1 << 10;
/// Queues of each topic: what `TBW102` gives to who asks for so many.
const QUEUES: u32 = 4;
/// Two topics that all rounds share; each round adds one of its own.
const SHARED: [&str; 2] = ["CrashOrders", "CrashEvents"];
const DELAYED: &str = "CrashDelayed";
const GROUP: &str = "crash-group";
/// Short enough to come due within later rounds.
const DELAY_LEVELS: &str = "1s 2s";

/// What a message was sent with, or is read back with.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Content {
    body_len: usize,
    body_sum: u32,
    properties: BTreeMap<String, String>,
    flag: i32,
}

/// Names a message: its round, its connection, and its number among those of the connection.
type Id = (u64, u64, u64);

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct QueueName {
    topic: String,
    queue: u32,
}

/// What is known about all messages so far.
#[derive(Default)]
struct Ledger {
    sent: HashMap<Id, Content>,
    acknowledged: HashMap<QueueName, BTreeMap<u64, Id>>,
    delayed: HashSet<Id>,
}

impl Ledger {
    fn add(&mut self, page: Page) {
        self.sent.extend(page.sent);
        for (queue, offset, id) in page.acknowledged {
            let before = self.acknowledged.entry(queue.clone()).or_default().insert(offset, id);
            assert_eq!(before, None, "{queue:?} gave offset {offset} away twice: also to {id:?}");
        }
        self.delayed.extend(page.delayed);
    }
}

/// What one connection did in one round.
#[derive(Default)]
struct Page {
    sent: Vec<(Id, Content)>,
    acknowledged: Vec<(QueueName, u64, Id)>,
    delayed: Vec<Id>,
}

/// A request under way.
enum Asked {
    Messages { queue: QueueName, ids: Vec<Id> },
    Delayed { id: Id },
}

/// One connection's load: sends until the connection breaks.
struct Load {
    round: u64,
    connection: u64,
    count: u64,
    random: Random,
    topics: Vec<String>,
    page: Page,
    under_way: HashMap<i32, Asked>,
}

impl Load {
    fn new(round: u64, connection: u64, random: Random) -> Self {
        let own = format!("CrashRound{round}");
        let topics = SHARED.map(str::to_owned).into_iter().chain([own]).collect();
        Self { round, connection, count: 0, random, topics, page: Page::default(), under_way: HashMap::new() }
    }

    /// Ends when the server is killed; each message that is acknowledged before is also told to `acks`.
    fn run(mut self, broker: SocketAddr, acks: &SyncSender<u64>) -> Page {
        // A server that is killed may refuse, reset or close: all of that is the end of the round.
        if let Ok(mut connection) = Connection::open(broker) {
            while self.step(&mut connection, acks).is_ok() {}
        }
        self.page
    }

    fn step(&mut self, connection: &mut Connection, acks: &SyncSender<u64>) -> io::Result<()> {
        while self.under_way.len() < PIPELINE {
            self.send(connection);
        }
        connection.flush()?;
        // As many answers as come without another wait are not known: one is, since requests are under way.
        let answer = connection.receive()?;
        let asked = self.under_way.remove(&answer.opaque).expect("an answer to a request");
        // Stored, but the disk was too slow to promise anything: not an acknowledgement.
        if answer.code == ResponseCode::FlushDiskTimeout.code() {
            return Ok(());
        }
        assert_eq!(answer.code, ResponseCode::Success.code(), "a send was refused: {answer:?}");
        let offset: u64 = answer.field("queueOffset");
        let count = match asked {
            Asked::Messages { queue, ids } => {
                assert_eq!(answer.field::<u32>("queueId"), queue.queue);
                let count = ids.len() as u64;
                for (n, id) in (0..).zip(ids) {
                    self.page.acknowledged.push((queue.clone(), offset + n, id));
                }
                count
            }
            Asked::Delayed { id } => {
                self.page.delayed.push(id);
                1
            }
        };
        // Nobody listens any more once the server is being killed.
        let _ = acks.send(count);
        Ok(())
    }

    fn send(&mut self, connection: &mut Connection) {
        if self.random.one_in(50) {
            let (id, body, properties) = self.message(512, "DELAY\u{1}1\u{2}");
            let header = send_header(DELAYED, 0, &properties);
            let opaque = connection.push(RequestCode::SendMessageV2, &header, &body);
            self.under_way.insert(opaque, Asked::Delayed { id });
            return;
        }
        // The round's own topic comes first, so that its creation races with the sends of the others.
        let topic = if self.count < 4 { self.topics.len() as u64 - 1 } else { self.random.within(0..3) };
        let queue =
            QueueName { topic: self.topics[topic as usize].clone(), queue: self.random.within(0..4) as u32 };
        if self.random.one_in(20) {
            let mut batch = Vec::new();
            let ids = (0..self.random.within(1..20)).map(|_| {
                let (id, body, properties) = self.message(512, "");
                let flag = id.2 as i32;
                encode_item(&mut batch, BatchItem { flag, body: &body, properties: &properties });
                id
            });
            let ids = ids.collect();
            let header = send_header(&queue.topic, queue.queue, "");
            let opaque = connection.push(RequestCode::SendBatchMessage, &header, &batch);
            self.under_way.insert(opaque, Asked::Messages { queue, ids });
        } else {
            // Now and then so large that few fit into a log file.
            let most = if self.random.one_in(200) { 200 << 10 } else { 1 << 10 };
            let (id, body, properties) = self.message(most, "");
            let mut header = send_header(&queue.topic, queue.queue, &properties);
            header.flag = id.2 as i32;
            let opaque = connection.push(RequestCode::SendMessageV2, &header, &body);
            self.under_way.insert(opaque, Asked::Messages { queue, ids: vec![id] });
        }
    }

    /// A new message, noted as sent: its id, body and properties.
    fn message(&mut self, most: u64, extra: &str) -> (Id, Vec<u8>, String) {
        let id = (self.round, self.connection, self.count);
        self.count += 1;
        let text = format!("{}.{}.{}", id.0, id.1, id.2);
        let mut body = Vec::with_capacity(most as usize);
        body.extend_from_slice(text.as_bytes());
        body.push(b' ');
        let filler = self.random.number().to_le_bytes();
        body.extend(filler.iter().cycle().take(self.random.within(0..most) as usize));
        let tag = self.random.within(0..5);
        let properties = format!(
            "KEYS\u{1}{text}\u{2}TAGS\u{1}t{tag}\u{2}UNIQ_KEY\u{1}U{text}\u{2}größe\u{1}{most}\u{2}{extra}"
        );
        let content = Content {
            body_len: body.len(),
            body_sum: checksum(&body),
            properties: properties_of(&properties),
            flag: if extra.is_empty() { id.2 as i32 } else { 0 },
        };
        self.page.sent.push((id, content));
        (id, body, properties)
    }
}

/// What the sender gave; brokers add names of their own.
fn properties_of(text: &str) -> BTreeMap<String, String> {
    const BROKERS: [&str; 6] = ["MSG_REGION", "TRACE_ON", "CLUSTER", "DELAY", "REAL_TOPIC", "REAL_QID"];
    let own = iter_properties(text).filter(|(name, _)| !BROKERS.contains(name));
    own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn content_of(record: &Record<'_>) -> Content {
    Content {
        body_len: record.body.len(),
        body_sum: checksum(record.body),
        properties: properties_of(record.properties),
        flag: record.flag,
    }
}

fn id_of(body: &[u8]) -> Id {
    let text = body.split(|&byte| byte == b' ').next().unwrap_or_default();
    let text = std::str::from_utf8(text).expect("a body starts with an id");
    let mut parts = text.split('.').map(|part| part.parse().expect("an id is three numbers"));
    let mut part = || parts.next().expect("an id is three numbers");
    (part(), part(), part())
}

/// Sends from all connections until a random number of messages is acknowledged, then kills.
fn load_and_kill(server: Server, round: u64, acks: u64, random: &mut Random) -> Vec<Page> {
    let broker = server.broker();
    let (told, acknowledged) = sync_channel(UNREAD_ACKS);
    let loads: Vec<_> = (0..CONNECTIONS)
        .map(|connection| {
            let load = Load::new(round, connection, random.fork());
            let told = told.clone();
            thread::spawn(move || load.run(broker, &told))
        })
        .collect();
    drop(told);
    let mut seen = 0;
    while seen < acks {
        match acknowledged.recv_timeout(PATIENCE) {
            Ok(count) => seen += count,
            Err(error) => panic!("after {seen} of {acks} acknowledgements: {error}\n{}", server.log_tail()),
        }
    }
    server.kill();
    // A load that still waits to be heard goes on to find its connection broken.
    drop(acknowledged);
    loads.into_iter().map(|load| load.join().expect("a load ends without a panic")).collect()
}

/// Reads a queue from its first message to its last.
fn read_queue(connection: &mut Connection, queue: &QueueName, mut each: impl FnMut(u64, &Record<'_>)) -> u64 {
    let (topic, id) = (&*queue.topic, ferromq_model::QueueId(queue.queue));
    let min = connection.ask(RequestCode::GetMinOffset, &GetMinOffset { topic, queue: id }, &[]);
    assert_eq!(min.expect("an answer").field::<u64>("offset"), 0, "{queue:?} lost its start");
    let header = GetMaxOffset { topic, queue: id, committed: true };
    let max: u64 =
        connection.ask(RequestCode::GetMaxOffset, &header, &[]).expect("an answer").field("offset");
    let mut next = 0;
    while next < max {
        let header = pull_header(topic, queue.queue, next);
        let answer = connection.ask(RequestCode::PullMessage, &header, &[]).expect("an answer");
        assert_eq!(answer.code, ResponseCode::Success.code(), "{queue:?} at {next} of {max}: {answer:?}");
        for record in answer.records() {
            assert_eq!(record.queue_offset, QueueOffset(next), "{queue:?} has a gap");
            assert_eq!((record.topic, record.queue_id), (topic, id));
            each(next, &record);
            next += 1;
        }
        assert_eq!(answer.field::<u64>("nextBeginOffset"), next);
    }
    max
}

/// Reads everything back and compares it with the ledger; returns how many messages there are.
fn check(broker: SocketAddr, ledger: &Ledger, rounds: u64) -> u64 {
    let topics = SHARED.map(str::to_owned).into_iter().chain((0..rounds).map(|n| format!("CrashRound{n}")));
    let queues: Vec<QueueName> = topics
        .flat_map(|topic| (0..QUEUES).map(move |queue| QueueName { topic: topic.clone(), queue }))
        .collect();
    let mut connection = Connection::open(broker).expect("the broker accepts");
    let mut seen: HashSet<Id> = HashSet::new();
    let mut total = 0;
    for queue in &queues {
        let none = BTreeMap::new();
        let acknowledged = ledger.acknowledged.get(queue).unwrap_or(&none);
        let mut found = 0;
        let mut last_of: HashMap<(u64, u64), u64> = HashMap::new();
        total += read_queue(&mut connection, queue, |offset, record| {
            let id = id_of(record.body);
            let sent =
                ledger.sent.get(&id).unwrap_or_else(|| panic!("{queue:?} {offset}: {id:?} was never sent"));
            assert_eq!(&content_of(record), sent, "{queue:?} {offset}: {id:?} is not what was sent");
            assert!(seen.insert(id), "{queue:?} {offset}: {id:?} is there twice");
            if let Some(expected) = acknowledged.get(&offset) {
                assert_eq!(&id, expected, "{queue:?} {offset} has another message than was acknowledged");
                found += 1;
            }
            if let Some(before) = last_of.insert((id.0, id.1), id.2) {
                assert!(before < id.2, "{queue:?} {offset}: {id:?} stands behind {before} of its connection");
            }
        });
        let lost = acknowledged.len() - found;
        assert_eq!(lost, 0, "{queue:?} lost {lost} of {} acknowledged messages", acknowledged.len());
    }
    assert!(
        ledger.acknowledged.keys().all(|queue| queues.contains(queue)),
        "a message was acknowledged for a queue that nobody sent to"
    );
    total
}

fn position(connection: &mut Connection) -> u64 {
    let header = QueryConsumerOffset {
        group: GROUP,
        topic: SHARED[0],
        queue: ferromq_model::QueueId(0),
        zero_if_unknown: false,
    };
    connection.ask(RequestCode::QueryConsumerOffset, &header, &[]).expect("an answer").field("offset")
}

/// Commits the end of a queue as a group's position, and waits until the broker has noted it in its file.
fn commit_position(broker: SocketAddr, store: &Path) -> u64 {
    let mut connection = Connection::open(broker).expect("the broker accepts");
    let queue = ferromq_model::QueueId(0);
    let header = GetMaxOffset { topic: SHARED[0], queue, committed: true };
    let end: u64 =
        connection.ask(RequestCode::GetMaxOffset, &header, &[]).expect("an answer").field("offset");
    // Asking for a group's settings makes the group, where that is allowed.
    let group = &[("group", GROUP)][..];
    let answer = connection.ask(RequestCode::GetSubscriptionGroupConfig, &group, &[]).expect("an answer");
    assert_eq!(answer.code, ResponseCode::Success.code(), "{answer:?}");
    let offset = Some(QueueOffset(end));
    let header = UpdateConsumerOffset { group: GROUP, topic: SHARED[0], queue, offset };
    let answer = connection.ask(RequestCode::UpdateConsumerOffset, &header, &[]).expect("an answer");
    assert_eq!(answer.code, ResponseCode::Success.code(), "{answer:?}");
    let file = store.join("config/consumerOffset.json");
    let noted = || {
        let text = fs::read(&file).ok()?;
        let json: serde_json::Value = serde_json::from_slice(&text).ok()?;
        json["offsetTable"][format!("{}@{GROUP}", SHARED[0])]["0"].as_u64()
    };
    assert!(wait(PATIENCE, || noted() == Some(end)), "{} does not say {end}", file.display());
    end
}

/// Waits until every acknowledged delayed message was delivered; returns how many were delivered again.
fn wait_for_delayed(broker: SocketAddr, ledger: &Ledger) -> u64 {
    let queue = QueueName { topic: DELAYED.to_owned(), queue: 0 };
    let mut connection = Connection::open(broker).expect("the broker accepts");
    let mut missing = ledger.delayed.clone();
    let mut again = 0;
    let came = wait(PATIENCE, || {
        missing.clone_from(&ledger.delayed);
        let mut delivered = HashSet::new();
        again = 0;
        read_queue(&mut connection, &queue, |offset, record| {
            let id = id_of(record.body);
            let sent = ledger.sent.get(&id).unwrap_or_else(|| panic!("{id:?} was never sent"));
            assert_eq!(&content_of(record), sent, "delayed message {id:?} at {offset} is not what was sent");
            missing.remove(&id);
            again += u64::from(!delivered.insert(id));
        });
        missing.is_empty()
    });
    assert!(came, "{} of {} delayed messages were never delivered", missing.len(), ledger.delayed.len());
    again
}

fn survives_kills(flush: &str, most_acks: u64) {
    let began = Instant::now();
    let mut random = Random::new(seed(flush));
    let dir = tempfile::Builder::new().prefix("ferromq-crash-").tempdir().expect("a temporary directory");
    let launch = Launch::new(Kind::Ferro, dir.path())
        .small_files()
        .set("mappedFileSizeCommitLog", "1m")
        .set("flushDiskType", flush)
        .set("messageDelayLevel", DELAY_LEVELS)
        .set("flushConsumerOffsetInterval", "100")
        .set("flushDelayOffsetInterval", "100")
        // However full the disk of the machine is that tests run on.
        .set("cleanFileForciblyEnable", "false")
        .set("diskSpaceWarningLevelRatio", "100");

    let mut ledger = Ledger::default();
    let mut restarts = Duration::ZERO;
    let mut total = 0;
    let mut server = launch.start();
    for round in 0..ROUNDS {
        // Often so early that the round's own topic is being made.
        let acks = if random.one_in(3) { random.within(1..32) } else { random.within(1..most_acks) };
        // A first round of few acknowledgements can end before the topic was made.
        let has_topic = ledger.acknowledged.keys().any(|queue| queue.topic == SHARED[0]);
        let noted = has_topic.then(|| commit_position(server.broker(), &launch.store()));
        for page in load_and_kill(server, round, acks, &mut random) {
            ledger.add(page);
        }
        if random.one_in(4) {
            // A crash within the recovery from a crash.
            let logged = opened(&launch);
            let starting = launch.begin();
            assert!(wait(PATIENCE, || opened(&launch) > logged), "{}", starting.log_tail());
            starting.kill();
        }
        let start = Instant::now();
        server = launch.start();
        restarts += start.elapsed();
        total = check(server.broker(), &ledger, round + 1);
        if let Some(noted) = noted {
            let mut connection = Connection::open(server.broker()).expect("the broker accepts");
            assert_eq!(position(&mut connection), noted, "the group goes on elsewhere");
        }
    }
    let again = wait_for_delayed(server.broker(), &ledger);
    server.stop();
    let server = launch.start();
    assert_eq!(check(server.broker(), &ledger, ROUNDS), total, "a clean stop changed what is there");
    server.stop();
    let acknowledged: usize = ledger.acknowledged.values().map(BTreeMap::len).sum();
    println!(
        "{flush}: {ROUNDS} kills, {acknowledged} messages acknowledged, {total} found; {} delayed, {again} delivered \
         again; a start took {:?}; {:?} in all",
        ledger.delayed.len(),
        restarts / ROUNDS as u32,
        began.elapsed()
    );
}

/// How often the server has begun to open its store.
fn opened(launch: &Launch) -> usize {
    let log = fs::read_to_string(launch.log()).expect("the server logs");
    log.matches("opening the store").count()
}

#[test]
fn what_async_flush_acknowledged_survives_kills() {
    survives_kills("ASYNC_FLUSH", 6_000);
}

#[test]
fn what_sync_flush_acknowledged_survives_kills() {
    survives_kills("SYNC_FLUSH", 2_000);
}
