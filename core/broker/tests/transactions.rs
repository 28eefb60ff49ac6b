//! Transactions from the half message to its end, whoever ends it, how often they say so, and whatever falls between.

mod support;

use std::sync::Arc;

use ferromq_broker::Broker;
use ferromq_broker::clients::{ClientLink, TransactionCheck};
use ferromq_broker::members::{ChannelId, ClientInfo, Heartbeat, Peer};
use ferromq_broker::send::{Send, SendBatch, SendError};
use ferromq_broker::transaction::{CheckRound, Decision, EndTransaction, EndTransactionError, ResumeError};
use ferromq_model::message::{MessageId, SysFlag};
use ferromq_model::name::{
    HALF_TOPIC, OP_HALF_TOPIC, SCHEDULE_TOPIC, TRANS_CHECK_MAX_TOPIC, TRANSACTION_GROUP,
};
use ferromq_model::record::{NewRecord, Record};
use ferromq_model::{GroupName, Millis, PhysicalOffset, QueueId, QueueOffset, batch};
use ferromq_store::{Batch, EntryTag, Placed};
use parking_lot::Mutex;
use support::{Message, Rig, bodies, message, properties};

const HALF: SysFlag = SysFlag(SysFlag::TRANSACTION_PREPARED);
const QUEUE: QueueId = QueueId(0);

/// A half message's properties, with more.
fn half_properties(key: &str, more: &[(&str, &str)]) -> String {
    properties(&[&[("TRAN_MSG", "true"), ("PGROUP", "P"), ("UNIQ_KEY", key), ("TAGS", "A")], more].concat())
}

fn prepared_with(rig: &Rig, body: &str, more: &[(&str, &str)]) -> Placed {
    let properties = half_properties(body, more);
    rig.sent(&Send { properties: &properties, sys_flag: HALF, ..message("T", body) })
}

fn prepared(rig: &Rig, body: &str) -> Placed {
    prepared_with(rig, body, &[])
}

fn ends(half: &Placed, decision: Decision) -> EndTransaction<'static> {
    EndTransaction { group: "P", half: half.queue_offset, at: half.physical, decision, from_check: false }
}

fn end(rig: &Rig, half: &Placed, decision: Decision) -> Result<Option<PhysicalOffset>, EndTransactionError> {
    rig.broker.end_transaction(&ends(half, decision))
}

fn commit(rig: &Rig, half: &Placed) {
    end(rig, half, Decision::Commit).unwrap();
}

fn delivered(rig: &Rig) -> Vec<String> {
    bodies(&rig.messages("T", 0)).into_iter().map(str::to_owned).collect()
}

fn marks(rig: &Rig) -> Vec<String> {
    rig.messages(OP_HALF_TOPIC, 0).into_iter().map(|mark| mark.body).collect()
}

async fn check(rig: &Rig) -> CheckRound {
    rig.broker.check_transactions().await.unwrap()
}

/// Lets so much time pass, and checks.
async fn check_after(rig: &Rig, seconds: u64) -> CheckRound {
    rig.host.advance(Millis::secs(seconds));
    check(rig).await
}

/// A producer that remembers what it was asked.
#[derive(Default)]
struct Producer(Mutex<Vec<TransactionCheck>>);

impl ClientLink for Producer {
    fn members_changed(&self, _: &GroupName) {}

    fn check_transaction(&self, check: &TransactionCheck) -> bool {
        self.0.lock().push(check.clone());
        true
    }
}

impl Producer {
    fn join(broker: &Broker, id: u64) -> Arc<Self> {
        let producer = Arc::new(Self::default());
        let link: Arc<dyn ClientLink> = producer.clone();
        let peer = Peer { channel: ChannelId(100 + id), address: "10.0.0.9:50000".parse().unwrap(), link };
        let client = ClientInfo { id: format!("producer-{id}"), language: "JAVA".to_owned(), version: 479 };
        let beat = Heartbeat { client, producers: vec![GroupName::new("P").unwrap()], consumers: vec![] };
        broker.heartbeat(&peer, beat);
        producer
    }

    fn asked(&self) -> Vec<TransactionCheck> {
        std::mem::take(&mut self.0.lock())
    }

    /// Decides about what it was asked last.
    fn answers(&self, rig: &Rig, decision: Decision) {
        for asked in self.asked() {
            let ask =
                EndTransaction { group: "P", half: asked.half, at: asked.at(), decision, from_check: true };
            rig.broker.end_transaction(&ask).unwrap();
        }
    }
}

#[test]
fn a_message_is_half_until_it_is_committed() {
    let rig = Rig::new();
    let properties = half_properties("K", &[("REAL_TOPIC", "forged"), ("TRAN_PREPARED_QUEUE_OFFSET", "0")]);
    let send = Send { properties: &properties, sys_flag: HALF, queue: Some(QueueId(2)), ..message("T", "a") };
    let (ticket, placed) = rig.send(&send).unwrap();
    assert_eq!(ticket.queue, QueueId(2), "its sender is told the queue that it meant");
    let [half] = &rig.messages(HALF_TOPIC, 0)[..] else { panic!() };
    assert_eq!((half.at, half.physical, half.sys_flag), (placed[0].queue_offset, placed[0].physical, 0));
    for (name, value) in
        [("REAL_TOPIC", "T"), ("REAL_QID", "2"), ("__transactionId__", "K"), ("UNIQ_KEY", "K")]
    {
        assert_eq!(half.property(name), Some(value), "{name}");
    }
    assert_eq!(half.property("TRAN_PREPARED_QUEUE_OFFSET"), None, "a sender is not believed that");
    assert!(rig.messages("T", 2).is_empty());

    let end = end(&rig, &placed[0], Decision::Commit).unwrap().unwrap();
    let [message] = &rig.messages("T", 2)[..] else { panic!() };
    assert!(end > message.physical);
    assert_eq!((&*message.body, message.sys_flag), ("a", SysFlag::TRANSACTION_COMMIT));
    assert_eq!((message.born, message.tags), (half.born, half.tags));
    for name in ["TRAN_MSG", "REAL_TOPIC", "REAL_QID"] {
        assert_eq!(message.property(name), None, "{name}");
    }
    assert_eq!((message.property("UNIQ_KEY"), message.property("PGROUP")), (Some("K"), Some("P")));
    let bytes = rig.broker.view(message.physical).unwrap();
    assert_eq!(Record::decode(&bytes).unwrap().prepared_offset, placed[0].physical);

    rig.broker.mark_ended_transactions().unwrap();
    let [mark] = &rig.messages(OP_HALF_TOPIC, 0)[..] else { panic!() };
    assert_eq!((&*mark.body, mark.property("TAGS")), ("0,", Some("d")));
}

#[tokio::test]
async fn a_rollback_delivers_nothing_and_is_never_asked_about() {
    let rig = Rig::new();
    let producer = Producer::join(&rig.broker, 1);
    let half = prepared(&rig, "a");
    assert_eq!(end(&rig, &half, Decision::Rollback).unwrap(), None);
    // The first decision counts.
    commit(&rig, &half);
    rig.broker.mark_ended_transactions().unwrap();
    assert_eq!((delivered(&rig).len(), marks(&rig)), (0, vec!["0,".to_owned()]));
    assert_eq!(check_after(&rig, 60).await.next, QueueOffset(1));
    assert!(producer.asked().is_empty());
}

#[test]
fn nobody_ends_what_is_not_theirs_or_not_there() {
    let rig = Rig::new();
    rig.sent(&message("T", "plain"));
    // A message that carries the image of a half message: a peer could name that place.
    let forged = {
        let properties = half_properties("F", &[("REAL_TOPIC", "T"), ("REAL_QID", "0")]);
        let mut bytes = Vec::new();
        let record = NewRecord {
            topic: HALF_TOPIC,
            queue_id: QUEUE,
            flag: 0,
            sys_flag: SysFlag(0),
            born: rig.broker.store().now(),
            born_host: "10.0.0.9:1".parse().unwrap(),
            store_host: "10.0.0.9:1".parse().unwrap(),
            reconsume_times: 0,
            prepared_offset: PhysicalOffset(0),
            body: b"forged",
            properties: &[&properties],
        };
        record.encode(&mut bytes);
        let image = bytes.clone();
        let sent = rig.sent(&Send { body: &image, ..message("T", "") });
        let whole = rig.broker.view(sent.physical).unwrap();
        let inside = whole.windows(image.len()).position(|part| part == image).unwrap();
        sent.physical.plus(inside as u64)
    };
    let half = prepared(&rig, "a");
    let other = prepared(&rig, "b");
    let ask = ends(&half, Decision::Commit);
    let refused = |ask: EndTransaction<'_>| rig.broker.end_transaction(&ask).unwrap_err();
    use EndTransactionError as E;
    assert!(matches!(refused(EndTransaction { group: "Q", ..ask }), E::WrongGroup));
    assert!(matches!(refused(EndTransaction { half: other.queue_offset, ..ask }), E::WrongHalf));
    for at in [PhysicalOffset(0), half.physical.plus(1), PhysicalOffset(u64::MAX), forged] {
        assert!(matches!(refused(EndTransaction { at, ..ask }), E::NotFound), "{at}");
    }
    let images = EndTransaction { at: forged, half: QueueOffset(0), ..ask };
    assert!(matches!(refused(images), E::NotFound));
    assert_eq!(delivered(&rig).len(), 2, "the plain one and the carrier");
}

#[test]
fn what_cannot_be_part_of_a_transaction_is_refused() {
    let rig = Rig::with(|config| config.reject_transactions = true);
    let half = half_properties("K", &[]);
    let refused = rig.send(&Send { properties: &half, sys_flag: HALF, ..message("T", "a") }).unwrap_err();
    assert!(matches!(refused, SendError::NotWritable(_)), "{refused}");

    fn item(properties: &str) -> batch::BatchItem<'_> {
        batch::BatchItem { flag: 0, body: b"one", properties }
    }
    let rig = Rig::new();
    for value in ["true", "TRUE"] {
        let properties = properties(&[("TRAN_MSG", value), ("PGROUP", "P")]);
        let mut body = Vec::new();
        batch::encode_item(&mut body, item(&properties));
        let batch = Send { is_batch: true, body: &body, properties: "", ..message("T", "") };
        assert!(matches!(rig.send(&batch), Err(SendError::Illegal(_))), "{value} in the batch");
        let mut body = Vec::new();
        batch::encode_item(&mut body, item(""));
        let batch = Send { is_batch: true, body: &body, properties: &properties, ..message("T", "") };
        assert!(matches!(rig.send(&batch), Err(SendError::Illegal(_))), "{value} of the batch");
    }
    // What a consumer sends back later is no half message any more, whatever it carries along.
    let again = properties(&[("TRAN_MSG", "true"), ("DELAY", "3")]);
    rig.sent(&Send { properties: &again, reconsume_times: 1, ..message("T", "again") });
    assert!(rig.messages(HALF_TOPIC, 0).is_empty());
}

#[test]
fn properties_leave_room_for_what_checks_add() {
    let rig = Rig::new();
    let mut largest = None;
    for len in 32_000..32_767 {
        let text = half_properties("K", &[("k", &"v".repeat(len))]);
        if let Ok((_, placed)) = rig.send(&Send { properties: &text, sys_flag: HALF, ..message("T", "a") }) {
            largest = Some(placed[0]);
        }
    }
    let largest = largest.expect("some fit");
    rig.host.advance(Millis::secs(60));
    let round =
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(check(&rig));
    assert!(round.checked > 0 && round.next > largest.queue_offset);
}

#[test]
fn a_commit_that_is_said_again_delivers_once_whatever_happens_between() {
    for crash in [false, true] {
        for marked in [false, true] {
            let mut rig = Rig::new();
            let (once, late) = (prepared(&rig, "once"), prepared(&rig, "late"));
            commit(&rig, &once);
            commit(&rig, &once);
            if marked {
                rig.broker.mark_ended_transactions().unwrap();
            }
            rig = if crash { rig.crash() } else { rig.restart() };
            while rig.broker.store().indexed() < rig.broker.store().stats().log_max {
                std::thread::yield_now();
            }
            commit(&rig, &once);
            commit(&rig, &late);
            commit(&rig, &late);
            assert_eq!(delivered(&rig), ["once", "late"], "crash {crash}, marked {marked}");
        }
    }
}

#[tokio::test]
async fn nothing_is_lost_wherever_the_broker_is_killed() {
    // After the half message, after its check, after its commit, after the mark.
    for step in 0..=3 {
        let mut rig = Rig::new();
        let mut half = prepared(&rig, "a");
        if step >= 1 {
            let producer = Producer::join(&rig.broker, 1);
            assert_eq!(check_after(&rig, 10).await.asked, 1);
            let asked = &producer.asked()[0];
            half = Placed { queue_offset: asked.half, physical: asked.at(), ..half };
        }
        if step >= 2 {
            commit(&rig, &half);
        }
        if step >= 3 {
            rig.broker.mark_ended_transactions().unwrap();
        }
        rig = rig.crash();
        while rig.broker.store().indexed() < rig.broker.store().stats().log_max {
            tokio::task::yield_now().await;
        }
        let producer = Producer::join(&rig.broker, 1);
        let mut questions = 0;
        // The second round looks at what the first one stored again.
        for _ in 0..2 {
            questions += check_after(&rig, 30).await.asked;
            producer.answers(&rig, Decision::Commit);
        }
        assert_eq!(delivered(&rig), ["a"], "killed after step {step}");
        // A question whose copy is there and whose progress was not saved is asked for both.
        let expected = [1..=1, 1..=2, 0..=0, 0..=0];
        assert!(expected[step].contains(&questions), "asked {questions} times after step {step}");
    }
}

#[tokio::test]
async fn a_producer_is_asked_once_the_message_is_old_enough_and_its_answer_ends_it() {
    let rig = Rig::new();
    let producer = Producer::join(&rig.broker, 1);
    let first = prepared(&rig, "a");
    assert_eq!(check_after(&rig, 4).await, CheckRound::default(), "5 s old: too young");
    let round = check_after(&rig, 1).await;
    assert_eq!((round.checked, round.asked, round.next), (1, 1, QueueOffset(1)));
    let [asked] = &producer.asked()[..] else { panic!() };
    let copies = rig.messages(HALF_TOPIC, 0);
    assert_eq!((asked.half, asked.at()), (copies[1].at, copies[1].physical));
    assert_eq!(asked.unique_key.as_deref(), Some("a"));
    assert_eq!(asked.id.host, rig.broker.store_host());
    let shown = Record::decode(&asked.record).unwrap();
    shown.verify().unwrap();
    assert_eq!((shown.topic, shown.queue_id, shown.body), ("T", QUEUE, &b"a"[..]));
    assert_eq!((shown.queue_offset, shown.physical_offset), (copies[1].at, copies[1].physical));
    let of = |name| ferromq_model::message::find_property(shown.properties, name);
    assert_eq!((of("PGROUP"), of("TRANSACTION_CHECK_TIMES")), (Some("P"), Some("1")));
    assert_eq!(of("TRAN_PREPARED_QUEUE_OFFSET"), Some("0"));

    let answer = EndTransaction {
        group: "P",
        half: asked.half,
        at: asked.at(),
        decision: Decision::Commit,
        from_check: true,
    };
    rig.broker.end_transaction(&answer).unwrap();
    // The decision that the producer made at first comes late, and is the same transaction's.
    commit(&rig, &first);
    assert_eq!(delivered(&rig), ["a"]);
    assert_eq!(check_after(&rig, 30).await.checked, 0);
}

#[tokio::test]
async fn a_decision_that_crosses_the_question_ends_all_copies() {
    let rig = Rig::new();
    let producer = Producer::join(&rig.broker, 1);
    let first = prepared(&rig, "a");
    check_after(&rig, 10).await;
    commit(&rig, &first);
    producer.answers(&rig, Decision::Commit);
    let round = check_after(&rig, 30).await;
    assert_eq!((round.checked, round.next), (0, QueueOffset(2)));
    assert_eq!(delivered(&rig), ["a"]);
}

#[tokio::test]
async fn producers_of_a_group_are_asked_in_turn_and_one_that_left_is_not() {
    let rig = Rig::new();
    let producers = [Producer::join(&rig.broker, 1), Producer::join(&rig.broker, 2)];
    for n in 0..10 {
        prepared(&rig, &n.to_string());
    }
    check_after(&rig, 10).await;
    assert_eq!(producers.each_ref().map(|producer| producer.asked().len()), [5, 5]);
    rig.broker.members().channel_closed(ChannelId(101));
    assert_eq!(check_after(&rig, 30).await.asked, 10);
    assert_eq!(producers.each_ref().map(|producer| producer.asked().len()), [0, 10]);
    rig.broker.members().channel_closed(ChannelId(102));
    let round = check_after(&rig, 30).await;
    assert_eq!((round.checked, round.asked), (10, 0), "nobody is there; the messages are kept");
}

#[tokio::test]
async fn what_was_checked_too_often_is_kept_elsewhere_and_can_be_taken_back() {
    let rig = Rig::with(|config| config.transaction_check_max = 3);
    let producer = Producer::join(&rig.broker, 1);
    let first = prepared(&rig, "a");
    for times in 1..=3 {
        assert_eq!(check_after(&rig, 30).await.asked, 1);
        let copies = rig.messages(HALF_TOPIC, 0);
        assert_eq!(copies.last().unwrap().property("TRANSACTION_CHECK_TIMES"), Some(&*times.to_string()));
    }
    let round = check_after(&rig, 30).await;
    assert_eq!((round.checked, round.given_up), (0, 1));
    assert_eq!(check_after(&rig, 30).await.given_up, 0);
    let [kept] = &rig.messages(TRANS_CHECK_MAX_TOPIC, 0)[..] else { panic!() };
    assert_eq!((&*kept.body, kept.property("REAL_TOPIC")), ("a", Some("T")));
    producer.asked();

    let id = |offset| MessageId { host: rig.broker.store_host(), offset };
    let plain = rig.sent(&message("T", "plain"));
    let refused = rig.broker.resume_transaction_check(id(plain.physical));
    assert!(matches!(refused, Err(ResumeError::NotFound)));
    rig.broker.resume_transaction_check(id(kept.physical)).unwrap();
    assert_eq!(check_after(&rig, 30).await.asked, 1, "with its checks counted from 0 on");
    producer.answers(&rig, Decision::Commit);
    commit(&rig, &first);
    assert_eq!(delivered(&rig), ["plain", "a"]);
}

#[tokio::test]
async fn what_is_older_than_the_log_is_kept_is_given_up_unasked() {
    let rig = Rig::new();
    let producer = Producer::join(&rig.broker, 1);
    prepared(&rig, "a");
    assert_eq!(check_after(&rig, 73 * 3600).await.given_up, 1);
    assert!(producer.asked().is_empty());
    assert_eq!(bodies(&rig.messages(TRANS_CHECK_MAX_TOPIC, 0)), ["a"]);
}

#[tokio::test]
async fn a_producer_that_asks_for_time_is_left_alone_and_must_then_wait_for_the_question() {
    let rig = Rig::new();
    let producer = Producer::join(&rig.broker, 1);
    let patient = prepared_with(&rig, "patient", &[("CHECK_IMMUNITY_TIME_IN_SECONDS", "100")]);
    prepared(&rig, "plain");
    let round = check_after(&rig, 60).await;
    assert_eq!((round.immune, round.checked), (1, 1), "one that waits holds up no other");
    assert_eq!(producer.asked()[0].unique_key.as_deref(), Some("plain"));
    let copy = &rig.messages(HALF_TOPIC, 0)[2];
    assert_eq!(copy.property("TRAN_PREPARED_QUEUE_OFFSET"), Some("0"));
    assert_eq!(copy.property("TRANSACTION_CHECK_TIMES"), None, "it was not asked");
    assert_eq!(check_after(&rig, 60).await.asked, 2);
    assert!(matches!(end(&rig, &patient, Decision::Commit), Err(EndTransactionError::Late)));
    producer.answers(&rig, Decision::Commit);
    assert_eq!(delivered(&rig).len(), 2);
}

#[tokio::test]
async fn a_patient_producer_that_decides_in_time_ends_the_copies_too() {
    let rig = Rig::new();
    let patient = prepared_with(&rig, "patient", &[("CHECK_IMMUNITY_TIME_IN_SECONDS", "100")]);
    for _ in 0..3 {
        assert_eq!(check_after(&rig, 30).await.immune, 1);
    }
    commit(&rig, &patient);
    let round = check_after(&rig, 30).await;
    assert_eq!((round.immune, round.checked, delivered(&rig)), (0, 0, vec!["patient".to_owned()]));
}

#[test]
fn a_commit_may_be_the_start_of_a_delay() {
    let rig = Rig::new();
    let half = prepared_with(&rig, "later", &[("DELAY", "2")]);
    assert!(rig.messages(SCHEDULE_TOPIC, 1).is_empty(), "it does not wait before it is committed");
    commit(&rig, &half);
    let [waits] = &rig.messages(SCHEDULE_TOPIC, 1)[..] else { panic!() };
    assert_eq!((waits.property("REAL_TOPIC"), waits.property("REAL_QID")), (Some("T"), Some("0")));
    assert_eq!((waits.property("TRAN_MSG"), waits.sys_flag), (None, SysFlag::TRANSACTION_COMMIT));
    assert!(delivered(&rig).is_empty());
}

#[test]
fn a_message_whose_topic_is_gone_stays_half() {
    let rig = Rig::new();
    let half = prepared(&rig, "a");
    rig.broker.delete_topic(&"T".to_owned().try_into().unwrap()).unwrap();
    let refused = end(&rig, &half, Decision::Commit).unwrap_err();
    assert!(matches!(refused, EndTransactionError::Undeliverable(_)), "{refused}");
    rig.sent(&message("T", "there again"));
    commit(&rig, &half);
    assert_eq!(delivered(&rig), ["there again", "a"]);
}

#[test]
fn ends_are_written_down_together_in_messages_of_the_configured_size() {
    let rig = Rig::with(|config| config.transaction_op_size = ferromq_model::ByteSize(100));
    let halves: Vec<_> = (0..60).map(|n| prepared(&rig, &n.to_string())).collect();
    halves.iter().for_each(|half| commit(&rig, half));
    assert!(marks(&rig).is_empty());
    rig.broker.mark_ended_transactions().unwrap();
    let marks = marks(&rig);
    assert!(marks[..marks.len() - 1].iter().all(|mark| (100..103).contains(&mark.len())), "{marks:?}");
    let told: Vec<u64> =
        marks.iter().flat_map(|mark| mark.split_terminator(',')).map(|n| n.parse().unwrap()).collect();
    assert_eq!(told, (0..60).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn the_running_broker_marks_and_checks_by_itself() {
    let rig = Rig::new();
    let producer = Producer::join(&rig.broker, 1);
    let (ended, _open) = (prepared(&rig, "ended"), prepared(&rig, "open"));
    rig.host.advance(Millis::secs(60));
    commit(&rig, &ended);
    let broker = rig.broker.clone();
    let running = tokio::spawn(async move { broker.run().await });
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    assert_eq!(marks(&rig), ["0,"]);
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    assert_eq!(producer.asked().len(), 1);
    commit(&rig, &rig.placed_half(2));
    rig.broker.stop();
    running.await.unwrap();
    assert_eq!(marks(&rig), ["0,", "2,1,"], "what was not written yet is written at the stop");
}

#[tokio::test]
async fn marks_of_other_brokers_are_understood() {
    let rig = Rig::new();
    for n in 0..5 {
        prepared(&rig, &n.to_string());
    }
    let rig = rig.restart();
    // As older brokers write them, as newer do, and something else.
    for (body, tag) in [("0", "d"), ("2,3,", "d"), ("4,", "x"), ("nonsense", "d")] {
        let properties = properties(&[("TAGS", tag)]);
        let record = NewRecord {
            topic: OP_HALF_TOPIC,
            queue_id: QUEUE,
            flag: 0,
            sys_flag: SysFlag(0),
            born: rig.broker.store().now(),
            born_host: rig.broker.store_host(),
            store_host: rig.broker.store_host(),
            reconsume_times: 0,
            prepared_offset: PhysicalOffset(0),
            body: body.as_bytes(),
            properties: &[&properties],
        };
        let mut batch = Batch::new();
        let queue = rig.broker.queue(OP_HALF_TOPIC, QUEUE).unwrap();
        batch.push(queue, &record, EntryTag::Tags(ferromq_model::message::TagsCode(0)));
        rig.broker.store().append(&mut batch).unwrap();
    }
    let rig = rig.restart();
    assert_eq!(check_after(&rig, 30).await.checked, 2, "1 and 4");
}

#[tokio::test]
async fn progress_is_noted_and_nobody_else_may_move_it() {
    let rig = Rig::new();
    let halves: Vec<_> = (0..100).map(|n| prepared(&rig, &n.to_string())).collect();
    halves[..90].iter().for_each(|half| commit(&rig, half));
    rig.broker.mark_ended_transactions().unwrap();
    let round = check_after(&rig, 30).await;
    assert_eq!((round.checked, round.next), (10, QueueOffset(100)));
    let at = |rig: &Rig, topic| rig.broker.offsets().find(TRANSACTION_GROUP, topic, QUEUE).unwrap();
    assert_eq!((at(&rig, HALF_TOPIC), at(&rig, OP_HALF_TOPIC)), (QueueOffset(100), QueueOffset(1)));
    rig.broker.commit_offset(TRANSACTION_GROUP, HALF_TOPIC, QUEUE, QueueOffset(110));
    assert_eq!(at(&rig, HALF_TOPIC), QueueOffset(100));
    let rig = rig.restart();
    assert_eq!(check_after(&rig, 30).await.checked, 10, "what was asked about is asked about again");
}

#[tokio::test]
async fn thousands_of_undecided_transactions_are_looked_after_in_one_round() {
    let rig = Rig::new();
    let mut sends = SendBatch::new();
    for n in 0..3000 {
        let properties = half_properties(&n.to_string(), &[]);
        let send = Send { properties: &properties, sys_flag: HALF, ..message("T", "x") };
        rig.broker.prepare(&mut sends, &send).unwrap();
    }
    rig.broker.commit(&mut sends).unwrap();
    let producer = Producer::join(&rig.broker, 1);
    let round = check_after(&rig, 30).await;
    assert_eq!((round.asked, round.next), (3000, QueueOffset(3000)));
    producer.answers(&rig, Decision::Commit);
    assert_eq!(delivered(&rig).len(), 3000);
    let round = check_after(&rig, 30).await;
    assert_eq!((round.checked, round.next), (0, QueueOffset(6000)));
}

impl Rig {
    /// Where a half message lies.
    fn placed_half(&self, at: usize) -> Placed {
        let Message { at, physical, .. } = self.messages(HALF_TOPIC, 0).swap_remove(at);
        Placed { queue_offset: at, physical, end: physical, stored: self.broker.store().now() }
    }
}
