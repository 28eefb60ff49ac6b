//! Transactions: each committed message is delivered, none that is rolled back is ever seen, and whoever left one
//! undecided is asked about it.
//!
//! What becomes of a message follows from its number. Half of them are decided by their sender, the others by whoever
//! is asked, which one connection of each round and one in the end answers.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use ferromq_model::message::SysFlag;
use ferromq_model::record::Record;
use ferromq_model::{PhysicalOffset, QueueId, QueueOffset};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::frame::Head;
use ferromq_protocol::header::{EndTransaction, GetMaxOffset, QueryConsumerOffset, SendMessage};
use ferromq_tests::Random;
use ferromq_tests::random::seed;
use ferromq_tests::remoting::{Answer, Connection, PATIENCE, send_header};

use super::{Id, KILLS, again, body_of, id_of, launch, load_and_kill, open, wait_for_all};

const TOPIC: &str = "CrashTransactions";
const HALF_TOPIC: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
const CHECKS: &str = "CID_RMQ_SYS_TRANS";
const PRODUCERS: &str = "crash-producers";
const COMMIT: i32 = 8;
const ROLL_BACK: i32 = 12;
/// How long whoever is asked waits for a question before it looks whether it is still needed.
const QUESTION: Duration = Duration::from_millis(100);

fn is_committed(id: Id) -> bool {
    id.2.is_multiple_of(2)
}

fn is_decided_by_sender(id: Id) -> bool {
    id.2 % 4 < 2
}

fn decision(id: Id) -> i32 {
    if is_committed(id) { COMMIT } else { ROLL_BACK }
}

#[derive(Default)]
struct Page {
    /// Half messages whose storing was acknowledged.
    stored: Vec<Id>,
    /// What was asked about.
    asked: HashSet<Id>,
}

/// Answers questions on the first connection, and sends on the others.
fn take_part(broker: SocketAddr, round: u64, which: u64, _: Random, told: &SyncSender<()>) -> Page {
    let Ok(mut connection) = Connection::open(broker) else { return Page::default() };
    if which == 0 {
        return Page { asked: answer_questions(&mut connection, || false), ..Page::default() };
    }
    let mut page = Page::default();
    for count in 0.. {
        let id = (round, which, count);
        let Ok(answer) = send_half(&mut connection, id) else { break };
        if answer.code != ResponseCode::Success.code() {
            assert_eq!(answer.code, ResponseCode::FlushDiskTimeout.code(), "{answer:?}");
            continue;
        }
        page.stored.push(id);
        if is_decided_by_sender(id) {
            let message: String = answer.field("msgId");
            let at = u64::from_str_radix(&message[16..], 16).expect("an id ends with the place in the log");
            let half = QueueOffset(answer.field("queueOffset"));
            let end = end(half, PhysicalOffset(at), decision(id), false);
            // It may be under way that whoever was asked ends it, in the same way, if this thread had to wait.
            let expected = [ResponseCode::Success, ResponseCode::SystemBusy].map(ResponseCode::code);
            match connection.ask(RequestCode::EndTransaction, &end, &[]) {
                Ok(answer) => assert!(expected.contains(&answer.code), "{id:?}: {answer:?}"),
                Err(_) => break,
            }
        }
        let _ = told.send(());
    }
    page
}

fn send_half(connection: &mut Connection, id: Id) -> std::io::Result<Answer> {
    let (round, which, count) = id;
    let properties = format!(
        "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}{PRODUCERS}\u{2}UNIQ_KEY\u{1}T{round}.{which}.{count}\u{2}"
    );
    let header = SendMessage {
        group: PRODUCERS,
        sys_flag: SysFlag(SysFlag::TRANSACTION_PREPARED),
        ..send_header(TOPIC, 0, &properties)
    };
    connection.ask(RequestCode::SendMessageV2, &header, &body_of(id))
}

fn end(half: QueueOffset, at: PhysicalOffset, decision: i32, from_check: bool) -> EndTransaction<'static> {
    EndTransaction {
        topic: Some(TOPIC),
        group: PRODUCERS,
        half,
        at,
        decision,
        from_check,
        message_id: None,
        transaction_id: None,
    }
}

/// Answers what the broker asks until it is gone or `enough` of it, and gives back what was asked about.
fn answer_questions(connection: &mut Connection, mut enough: impl FnMut() -> bool) -> HashSet<Id> {
    let heartbeat = format!(
        r#"{{"clientID":"who-knows","consumerDataSet":[],"producerDataSet":[{{"groupName":"{PRODUCERS}"}}]}}"#
    );
    let mut asked = HashSet::new();
    // The first question may come before the answer to this.
    connection.push(RequestCode::HeartBeat, &(), heartbeat.as_bytes());
    if connection.flush().is_err() || connection.stream().set_read_timeout(Some(QUESTION)).is_err() {
        return asked;
    }
    while !enough() {
        let question = match connection.receive() {
            Ok(question) => question,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => break,
        };
        if question.code != RequestCode::CheckTransactionState.code() || question.flag & 1 == 1 {
            continue;
        }
        let record = Record::decode(&question.body).expect("a question has the message");
        assert_eq!((record.topic, record.queue_id), (TOPIC, QueueId(0)));
        let id = id_of(&record);
        asked.insert(id);
        let half = QueueOffset(question.field("tranStateTableOffset"));
        let at = PhysicalOffset(question.field("commitLogOffset"));
        let head = Head::request(RequestCode::EndTransaction, 0).oneway();
        connection.push_head(&head, &end(half, at, decision(id), true), &[]);
        if connection.flush().is_err() {
            break;
        }
    }
    asked
}

/// Whether all half messages are decided.
fn is_all_decided(connection: &mut Connection) -> bool {
    let queue = QueueId(0);
    let position = QueryConsumerOffset { group: CHECKS, topic: HALF_TOPIC, queue, zero_if_unknown: false };
    let position = connection.ask(RequestCode::QueryConsumerOffset, &position, &[]).expect("an answer");
    let max = GetMaxOffset { topic: HALF_TOPIC, queue, committed: true };
    let max = connection.ask(RequestCode::GetMaxOffset, &max, &[]).expect("an answer");
    position.code == ResponseCode::Success.code()
        && position.field::<u64>("offset") == max.field::<u64>("offset")
}

fn transactions_survive(flush: &str) {
    let began = Instant::now();
    let mut random = Random::new(seed(flush));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let launch = launch(flush, dir.path());
    let (mut stored, mut asked) = (HashSet::new(), HashSet::new());
    for round in 0..KILLS {
        let acks = random.within(20..400);
        for page in load_and_kill(launch.start(), round, acks, &mut random, take_part) {
            stored.extend(page.stored);
            asked.extend(page.asked);
        }
    }
    let server = launch.start();
    let broker = server.broker();
    let mut looking = open(broker);
    let until = Instant::now() + PATIENCE;
    asked.extend(answer_questions(&mut open(broker), || {
        assert!(Instant::now() < until, "transactions stay undecided\n{}", server.log_tail());
        is_all_decided(&mut looking)
    }));

    let committed: HashSet<Id> = stored.iter().copied().filter(|&id| is_committed(id)).collect();
    let found = wait_for_all(broker, TOPIC, &committed);
    let seen = found.keys().find(|&&id| !is_committed(id));
    assert!(seen.is_none(), "{seen:?} was rolled back, and is delivered");
    let forgotten: Vec<_> =
        stored.iter().filter(|&&id| !is_decided_by_sender(id) && !asked.contains(&id)).collect();
    assert!(forgotten.is_empty(), "nobody decided {forgotten:?}, and nobody was asked");
    println!(
        "{flush}: {KILLS} kills, {} half messages stored, {} asked about, {} committed, {} delivered again; {:?}",
        stored.len(),
        asked.len(),
        committed.len(),
        again(&found),
        began.elapsed()
    );
    // A commit names its half message, so the log proves it after a crash.
    assert_eq!(again(&found), 0, "messages were delivered twice");
    server.stop();
}

#[test]
fn transactions_survive_kills_with_async_flush() {
    transactions_survive("ASYNC_FLUSH");
}

#[test]
fn transactions_survive_kills_with_sync_flush() {
    transactions_survive("SYNC_FLUSH");
}
