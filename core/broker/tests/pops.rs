//! Pops: what is handed out, acknowledged, handed out again, and what of that survives a restart.

mod support;

use ferromq_broker::pop::receipt::{Origin, Receipt};
use ferromq_broker::pop::{
    Accepted, Ack, AckBatch, AckError, AckSome, ChangeInvisible, Outcome, Pop, Popped, Start,
};
use ferromq_model::message::find_property;
use ferromq_model::record::Record;
use ferromq_model::{Millis, QueueId, QueueOffset, Timestamp, TopicName};
use support::{Rig, message};

const INVISIBLE: Millis = Millis(60_000);

fn ask<'a>() -> Pop<'a> {
    Pop {
        group: "G",
        topic: "T",
        queue: None,
        max: 32,
        invisible: INVISIBLE,
        wait: Millis(0),
        born: Timestamp::ZERO,
        start: Start::Oldest,
        expression: "*",
        expression_kind: "TAG",
        in_order: false,
        attempt: None,
    }
}

fn pop(rig: &Rig, ask: &Pop<'_>) -> Popped {
    match rig.broker.pop(ask).unwrap() {
        Accepted::Now(popped) => popped,
        Accepted::Later(held) => panic!("{held:?}"),
    }
}

/// A message as its consumer has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Got {
    body: String,
    topic: String,
    queue: QueueId,
    offset: QueueOffset,
    reconsume_times: i32,
    properties: String,
    receipt: String,
}

fn got(rig: &Rig, popped: &Popped) -> Vec<Got> {
    let mut got = Vec::new();
    let mut portions =
        popped.portions.iter().flat_map(|portion| portion.offsets.iter().map(move |o| (portion, *o)));
    for piece in &popped.records {
        let mut rest = &piece[..];
        while !rest.is_empty() {
            let record = Record::decode(rest).unwrap();
            record.verify().unwrap();
            rest = &rest[record.len..];
            let (portion, offset) = portions.next().unwrap();
            assert_eq!((record.queue_offset, record.queue_id), (offset, portion.queue));
            let retry =
                TopicName::pop_retry_of("G", record.topic, portion.origin == Origin::RetryV2).unwrap();
            let topic = if portion.origin == Origin::Topic { record.topic } else { retry.as_str() };
            let receipt = Receipt {
                start: portion.start,
                popped: popped.at,
                invisible: popped.invisible,
                revive_queue: popped.revive_queue,
                origin: portion.origin,
                broker: &rig.broker.config().name,
                queue: portion.queue,
                offset: Some(offset),
            }
            .to_string();
            if portion.origin != Origin::Topic {
                assert_eq!(find_property(record.properties, "POP_CK"), Some(&*receipt));
            }
            got.push(Got {
                body: String::from_utf8_lossy(record.body).into_owned(),
                topic: topic.to_owned(),
                queue: portion.queue,
                offset,
                reconsume_times: record.reconsume_times,
                properties: record.properties.to_owned(),
                receipt,
            });
        }
    }
    assert_eq!((portions.next(), got.len()), (None, popped.count as usize));
    got
}

fn ack_of(message: &Got) -> Ack<'_> {
    Ack {
        group: "G",
        topic: &message.topic,
        queue: Some(message.queue),
        receipt: &message.receipt,
        offset: Some(message.offset),
    }
}

fn ack(rig: &Rig, message: &Got) {
    rig.broker.ack(&ack_of(message)).unwrap();
}

fn bodies(got: &[Got]) -> Vec<&str> {
    got.iter().map(|message| message.body.as_str()).collect()
}

fn filled(count: usize) -> Rig {
    let rig = Rig::new();
    for n in 0..count {
        rig.sent(&message("T", &n.to_string()));
    }
    rig
}

/// Records of the revive topic.
fn records(rig: &Rig) -> u64 {
    let queues = rig.broker.store().queues_of("rmq_sys_REVIVE_LOG_DefaultCluster");
    queues.iter().map(|queue| queue.max().0).sum()
}

/// A Java broker that goes on with our check points comes to none in a queue where no record says when it was due: what
/// was popped before it took over was then stuck until it popped into the same queue itself.
#[test]
fn a_check_point_says_when_it_was_made_for_a_java_broker_that_goes_on_with_it() {
    let rig = filled(1);
    let popped = pop(&rig, &ask());
    let queues = rig.broker.store().queues_of("rmq_sys_REVIVE_LOG_DefaultCluster");
    let at = queues.iter().find_map(|queue| queue.physical(QueueOffset(0))).unwrap();
    let bytes = rig.broker.view(at).unwrap();
    let record = Record::decode(&bytes).unwrap();
    let made = find_property(record.properties, "TIMER_DELIVER_MS");
    assert_eq!(made, Some(&*popped.at.to_string()));
    ack(&rig, &got(&rig, &popped)[0]);
    assert_eq!(records(&rig), 2);
}

#[tokio::test(start_paused = true)]
async fn a_group_with_too_many_messages_of_a_queue_gets_no_more_until_some_are_done() {
    let rig = Rig::with(|config| {
        config.limit_pops = true;
        config.pop_limit = 2;
    });
    for n in 0..12 {
        rig.sent(&ferromq_broker::send::Send { queue: Some(QueueId(0)), ..message("T", &n.to_string()) });
    }
    let three = Pop { queue: Some(QueueId(0)), max: 3, ..ask() };
    let first = got(&rig, &pop(&rig, &three));
    let refused = pop(&rig, &three);
    assert_eq!((refused.outcome, refused.rest), (Outcome::Nothing, 9));
    assert_eq!(pop(&rig, &Pop { group: "H", ..three }).outcome, Outcome::Found, "others are not concerned");
    let waiting = match rig.broker.pop(&Pop { wait: Millis(600_000), ..three }).unwrap() {
        Accepted::Later(held) => tokio::spawn(held.answer()),
        Accepted::Now(popped) => panic!("{popped:?}"),
    };
    while rig.broker.waiting_pops("G", "T", Some(QueueId(0))) == 0 {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    ack(&rig, &first[0]);
    let second = got(&rig, &waiting.await.unwrap().unwrap());
    assert_eq!(bodies(&second), ["3", "4", "5"]);
    // What comes again is not out any more.
    assert_eq!(pop(&rig, &three).outcome, Outcome::Nothing);
    rig.host.advance(Millis(60_001));
    rig.broker.revive();
    assert_eq!(pop(&rig, &three).outcome, Outcome::Found);
}

#[test]
fn acknowledgements_that_follow_each_other_become_one_record_a_pop() {
    let rig = filled(40);
    let first = got(&rig, &pop(&rig, &ask()));
    let second = got(&rig, &pop(&rig, &ask()));
    let before = records(&rig);
    let mut batch = AckBatch::new();
    let mut tickets = Vec::new();
    let unknown = Ack { offset: Some(QueueOffset(1_000)), ..ack_of(&first[0]) };
    for message in first.iter().chain(&second).chain(&first[..1]) {
        tickets.push(rig.broker.prepare_ack(&mut batch, &ack_of(message)).unwrap());
        assert!(rig.broker.prepare_ack(&mut batch, &unknown).is_err(), "and nothing else is touched");
    }
    assert!(tickets.iter().all(|ticket| batch.end(*ticket).is_none()), "none is stored yet");
    rig.broker.commit_acks(&mut batch).unwrap();
    let ends: Vec<_> = tickets.iter().map(|ticket| batch.end(*ticket).unwrap()).collect();
    assert!(ends.is_sorted() && ends[0] > ferromq_model::PhysicalOffset::ZERO);
    let queues_popped = 2 * 4; // four queues, of which each pop took a part
    assert!(records(&rig) - before <= queues_popped + 1, "{}", records(&rig) - before);
    rig.broker.revive();
    assert_eq!(rig.broker.messages_out(), 0);
}

#[test]
fn pops_and_acknowledgements_count_for_their_group() {
    let rig = filled(3);
    let messages = got(&rig, &pop(&rig, &Pop { queue: Some(QueueId(0)), ..ask() }));
    messages.iter().for_each(|message| ack(&rig, message));
    assert_eq!(pop(&rig, &Pop { queue: Some(QueueId(0)), ..ask() }).outcome, Outcome::Nothing);
    let stats = rig.broker.topics().find("T").unwrap().stats().group("G").unwrap();
    let count = messages.len() as u64;
    assert!(count > 0);
    let read = |counter: &ferromq_broker::stats::Counter| counter.reading().messages;
    assert_eq!((read(&stats.got), read(&stats.acked), read(&stats.checkpoints)), (count, count, 1));
    let totals = rig.broker.totals();
    assert_eq!((totals.got, totals.found, totals.missed), (count, 1, 1));
}

#[test]
fn what_is_not_acknowledged_comes_again_from_the_retry_topic() {
    let rig = filled(5);
    let first = got(&rig, &pop(&rig, &Pop { max: 3, ..ask() }));
    assert_eq!(bodies(&first), ["0", "1", "2"]);
    let rest = pop(&rig, &ask());
    assert_eq!((bodies(&got(&rig, &rest)), rest.rest), (vec!["3", "4"], 0));
    ack(&rig, &first[0]);
    ack(&rig, &first[2]);
    for message in got(&rig, &rest) {
        ack(&rig, &message);
        ack(&rig, &message);
    }
    assert_eq!(pop(&rig, &ask()).outcome, Outcome::Nothing);
    rig.host.advance(Millis(INVISIBLE.0 - 1));
    rig.broker.revive();
    assert_eq!((pop(&rig, &ask()).outcome, rig.broker.messages_out()), (Outcome::Nothing, 1));
    rig.host.advance(Millis(1));
    rig.broker.revive();
    let again = got(&rig, &pop(&rig, &ask()));
    assert_eq!((bodies(&again), again[0].reconsume_times), (vec!["1"], 1));
    assert_eq!(find_property(&again[0].properties, "1ST_POP_TIME"), Some("1700000000000"));
    // And once more from there: into the same topic.
    rig.host.advance(INVISIBLE);
    rig.broker.revive();
    let third = got(&rig, &pop(&rig, &ask()));
    assert_eq!((bodies(&third), third[0].reconsume_times), (vec!["1"], 2));
    ack(&rig, &third[0]);
    rig.host.advance(INVISIBLE);
    rig.broker.revive();
    assert_eq!((pop(&rig, &ask()).outcome, rig.broker.messages_out()), (Outcome::Nothing, 0));
    assert_eq!(rig.messages("%RETRY%G_T", 0).len(), 2);
}

#[test]
fn a_batch_of_acknowledgements_counts_for_each_of_its_messages() {
    let rig = filled(4);
    let popped = pop(&rig, &ask());
    let portion = &popped.portions[0];
    let part = |offsets: &[u64], queue| AckSome {
        group: "G",
        topic: "T",
        origin: Origin::Topic,
        queue: QueueId(queue),
        start: portion.start,
        popped: popped.at,
        revive_queue: popped.revive_queue,
        offsets: offsets.iter().map(|&offset| QueueOffset(offset)).collect(),
    };
    rig.broker.ack_some(&[part(&[0, 1, 900], 0), part(&[0], 77), part(&[3], 0)]).unwrap();
    assert!(matches!(rig.broker.ack_some(&[part(&[0], 77)]), Err(AckError::NoQueue { .. })));
    rig.host.advance(INVISIBLE);
    rig.broker.revive();
    assert_eq!(bodies(&got(&rig, &pop(&rig, &ask()))), ["2"]);
}

#[test]
fn a_message_whose_time_is_changed_comes_again_when_that_is_over() {
    let rig = filled(2);
    let both = got(&rig, &pop(&rig, &ask()));
    let change = |of: &Got, span| {
        let changed =
            rig.broker.change_invisible(&ChangeInvisible { of: ack_of(of), invisible: Millis(span) });
        let changed = changed.unwrap();
        let receipt = Receipt {
            start: of.offset,
            popped: changed.popped,
            invisible: changed.invisible,
            revive_queue: changed.revive_queue,
            ..Receipt::parse(&of.receipt).unwrap()
        };
        Got { receipt: receipt.to_string(), ..of.clone() }
    };
    // Within the millisecond of the pop, and twice.
    let first = change(&change(&both[0], 5_000), 100_000);
    change(&both[1], 1_000);
    rig.host.advance(INVISIBLE);
    rig.broker.revive();
    assert_eq!(bodies(&got(&rig, &pop(&rig, &ask()))), ["1"]);
    rig.host.advance(Millis(40_001));
    rig.broker.revive();
    let again = got(&rig, &pop(&rig, &ask()));
    assert_eq!(bodies(&again), ["0"]);
    assert_ne!(again[0].receipt, first.receipt);
}

/// All messages that come again once everything that is out is due.
fn all_again(rig: &Rig) -> Vec<String> {
    rig.host.advance(INVISIBLE);
    rig.broker.revive();
    let mut again = Vec::new();
    loop {
        let popped = pop(rig, &ask());
        if popped.outcome != Outcome::Found {
            again.sort_unstable();
            return again;
        }
        again.extend(got(rig, &popped).into_iter().map(|message| message.body));
    }
}

#[test]
fn a_crash_repeats_what_was_not_acknowledged_and_nothing_else() {
    // With what was noted at different moments: never, before the acknowledgements, and behind all.
    for noted in 0..3 {
        let rig = filled(10);
        let half = got(&rig, &pop(&rig, &Pop { max: 4, ..ask() }));
        let all = got(&rig, &pop(&rig, &Pop { max: 3, ..ask() }));
        if noted == 1 {
            rig.broker.save_progress();
        }
        ack(&rig, &half[1]);
        ack(&rig, &half[2]);
        all.iter().for_each(|message| ack(&rig, message));
        if noted == 2 {
            rig.broker.save_progress();
        }
        let rig = rig.crash();
        rig.broker.revive();
        assert_eq!(rig.broker.messages_out(), 2, "noted: {noted}");
        assert_eq!(bodies(&got(&rig, &pop(&rig, &ask()))), ["7", "8", "9"], "noted: {noted}");
        assert_eq!(all_again(&rig), ["0", "3", "7", "8", "9"], "noted: {noted}");
    }
}

#[test]
fn messages_that_came_again_before_a_crash_do_not_do_so_twice() {
    let rig = filled(3);
    pop(&rig, &ask());
    rig.host.advance(INVISIBLE);
    rig.broker.revive();
    let rig = rig.crash();
    rig.broker.revive();
    assert_eq!((rig.broker.messages_out(), rig.messages("%RETRY%G_T", 0).len()), (0, 3));
    let again = got(&rig, &pop(&rig, &ask()));
    again.iter().for_each(|message| ack(&rig, message));
    let rig = rig.restart();
    assert_eq!(all_again(&rig), [""; 0]);
}

/// A Java broker that goes on with the store takes positions from the table of offsets alone.
#[test]
fn a_stop_leaves_the_positions_of_pops_among_the_offsets() {
    let rig = filled(3);
    got(&rig, &pop(&rig, &ask())).iter().for_each(|message| ack(&rig, message));
    rig.broker.save_progress();
    assert_eq!(rig.broker.offsets().find("G", "T", QueueId(0)), Some(QueueOffset(3)));
    let rig = rig.restart();
    assert_eq!(rig.broker.messages_out(), 0);
}

#[test]
fn a_reset_before_a_crash_is_not_undone_by_what_was_popped_before_it() {
    let rig = filled(5);
    got(&rig, &pop(&rig, &ask())).iter().for_each(|message| ack(&rig, message));
    rig.broker.save_progress();
    rig.broker.commit_offset("G", "T", QueueId(0), QueueOffset(1));
    rig.broker.save_progress();
    let rig = rig.crash();
    assert_eq!(bodies(&got(&rig, &pop(&rig, &ask()))), ["1", "2", "3", "4"]);
}

#[test]
fn what_was_popped_of_a_deleted_topic_is_not_of_one_with_its_name() {
    let rig = filled(5);
    pop(&rig, &ask());
    rig.host.advance(INVISIBLE);
    rig.broker.revive();
    pop(&rig, &ask());
    let topic = TopicName::new("T").unwrap();
    rig.broker.delete_topic(&topic).unwrap();
    assert!(rig.broker.topics().find("%RETRY%G_T").is_none());
    rig.sent(&message("T", "new"));
    rig.host.advance(INVISIBLE);
    rig.broker.revive();
    assert_eq!(bodies(&got(&rig, &pop(&rig, &ask()))), ["new"]);
    // Also where the check points are read again.
    let rig = filled(5);
    pop(&rig, &ask());
    rig.broker.delete_topic(&topic).unwrap();
    for n in 5..8 {
        rig.sent(&message("T", &n.to_string()));
    }
    let rig = rig.crash();
    assert_eq!(bodies(&got(&rig, &pop(&rig, &ask()))), ["5", "6", "7"]);
    assert_eq!(all_again(&rig), ["5", "6", "7"]);
}

#[test]
fn what_is_handed_out_to_a_deleted_group_does_not_come_again() {
    let rig = filled(3);
    pop(&rig, &ask());
    rig.host.advance(INVISIBLE);
    rig.broker.revive();
    pop(&rig, &ask());
    rig.broker.delete_group("G", true).unwrap();
    assert!(rig.broker.topics().find("%RETRY%G_T").is_none());
    rig.host.advance(INVISIBLE);
    rig.broker.revive();
    assert!(rig.broker.topics().find("%RETRY%G_T").is_none());
    assert_eq!(bodies(&got(&rig, &pop(&rig, &ask()))), ["0", "1", "2"], "a new group begins at the start");
}

#[test]
fn a_queue_that_is_popped_in_order_gives_out_nothing_else_before_that_is_done() {
    let rig = filled(5);
    let in_order = |attempt| Pop { in_order: true, max: 2, attempt, ..ask() };
    let first = pop(&rig, &in_order(Some("a")));
    assert_eq!((first.revive_queue, bodies(&got(&rig, &first))), (999, vec!["0", "1"]));
    assert_eq!(pop(&rig, &in_order(Some("b"))).outcome, Outcome::Nothing);
    // The same attempt has the same messages again, and is told so.
    let again = pop(&rig, &in_order(Some("a")));
    assert_eq!(again.portions[0].counts.as_ref().map(|counts| counts.least), Some(1));
    let again = got(&rig, &again);
    assert_eq!(bodies(&again), ["0", "1"]);
    ack(&rig, &again[1]);
    assert_eq!(pop(&rig, &in_order(Some("b"))).outcome, Outcome::Nothing);
    ack(&rig, &again[0]);
    let next = got(&rig, &pop(&rig, &in_order(Some("b"))));
    assert_eq!(bodies(&next), ["2", "3"]);
    ack(&rig, &next[0]);
    // What is done stays so, and what is out is out, whatever happens.
    rig.broker.save_progress();
    let rig = rig.crash();
    rig.broker.revive();
    rig.host.advance(INVISIBLE);
    let third = got(&rig, &pop(&rig, &in_order(Some("c"))));
    assert_eq!(bodies(&third), ["3", "4"]);
    rig.broker.ack(&ack_of(&Got { offset: QueueOffset(0), ..third[0].clone() })).unwrap();
    assert!(rig.messages("%RETRY%G_T", 0).is_empty());
}

/// A pop that waits.
fn held(rig: &Rig, ask: &Pop<'_>) -> tokio::task::JoinHandle<Popped> {
    match rig.broker.pop(ask).unwrap() {
        Accepted::Later(held) => tokio::spawn(async move { held.answer().await.unwrap() }),
        Accepted::Now(popped) => panic!("{popped:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_wakes_one_of_those_that_wait_and_each_has_its_turn() {
    let rig = filled(1);
    ack(&rig, &got(&rig, &pop(&rig, &ask()))[0]);
    let waiting: Vec<_> = (0..3).map(|_| held(&rig, &Pop { wait: Millis(10_000), ..ask() })).collect();
    tokio::task::yield_now().await;
    assert_eq!(rig.broker.waiting_pops("G", "T", None), 3);
    for (n, waiting) in waiting.into_iter().enumerate() {
        let body = format!("new {n}");
        rig.sent(&message("T", &body));
        assert_eq!(bodies(&got(&rig, &waiting.await.unwrap())), [body]);
    }
    assert_eq!(rig.broker.waiting_pops("G", "T", None), 0);
    // Nobody comes: the answer is there before the client gives up.
    let began = tokio::time::Instant::now();
    let last = held(&rig, &Pop { wait: Millis(10_000), ..ask() }).await.unwrap();
    assert_eq!((last.outcome, began.elapsed()), (Outcome::Nothing, std::time::Duration::from_millis(9_950)));
}

#[tokio::test(start_paused = true)]
async fn messages_that_come_again_wake_who_waits() {
    let rig = filled(1);
    pop(&rig, &ask());
    let waiting = held(&rig, &Pop { wait: Millis(100_000), ..ask() });
    tokio::task::yield_now().await;
    rig.host.advance(INVISIBLE);
    rig.broker.revive();
    assert_eq!(got(&rig, &waiting.await.unwrap())[0].reconsume_times, 1);
    // In order, an acknowledgement frees the queue.
    let rig = filled(2);
    let in_order = Pop { in_order: true, max: 1, ..ask() };
    let first = got(&rig, &pop(&rig, &in_order));
    let waiting = held(&rig, &Pop { wait: Millis(50_000), ..in_order });
    tokio::task::yield_now().await;
    ack(&rig, &first[0]);
    assert_eq!(bodies(&got(&rig, &waiting.await.unwrap())), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn no_more_wait_than_may() {
    let rig = Rig::with(|config| {
        config.max_waiting_pops = 2;
        config.max_waiting_pops_a_queue = 1;
    });
    rig.sent(&message("T", "x"));
    pop(&rig, &ask());
    let wait = Pop { wait: Millis(10_000), ..ask() };
    let waiting = [held(&rig, &wait), held(&rig, &Pop { queue: Some(QueueId(0)), ..wait })];
    assert_eq!(pop(&rig, &wait).outcome, Outcome::Full);
    assert_eq!(pop(&rig, &Pop { queue: Some(QueueId(1)), ..wait }).outcome, Outcome::Full);
    rig.broker.stop();
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap().outcome, Outcome::Nothing);
    }
}

/// Random pops, acknowledgements, changes and crashes on a clock that only the test moves.
#[test]
fn every_message_is_done_once_it_is_acknowledged_and_never_out_twice_at_a_time() {
    for seed in 1..=6u64 {
        model(seed);
    }
}

fn model(seed: u64) {
    const MESSAGES: usize = 120;
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut rig = Rig::with(|config| config.retry_topic_v2 = seed.is_multiple_of(2));
    let mut done = std::collections::BTreeSet::new();
    // Body, receipt holder, and until when nobody else may have it.
    let mut out: Vec<(Got, Timestamp)> = Vec::new();
    rig.sent(&message("T", "0"));
    let (mut sent, mut steps) = (1, 0);
    let now = |rig: &Rig| rig.broker.store().now();
    while done.len() < MESSAGES {
        steps += 1;
        assert!(steps < 20_000, "seed {seed}: {} of {MESSAGES} are done", done.len());
        match random(20) {
            0..=3 if sent < MESSAGES => {
                for _ in 0..=random(4) {
                    if sent < MESSAGES {
                        let body = sent.to_string();
                        let send = message("T", &body);
                        rig.sent(&ferromq_broker::send::Send {
                            queue: Some(QueueId(sent as u32 % 4)),
                            ..send
                        });
                        sent += 1;
                    }
                }
            }
            4..=9 => {
                let invisible = Millis(500 + random(5_000));
                let max = 1 + random(32) as u32;
                let popped = pop(&rig, &Pop { max, invisible, ..ask() });
                for message in got(&rig, &popped) {
                    assert!(!done.contains(&message.body), "seed {seed}: {} is done and out", message.body);
                    let other = out.iter().find(|(other, _)| other.body == message.body);
                    if let Some((_, until)) = other {
                        assert!(*until <= now(&rig), "seed {seed}: {} is out twice", message.body);
                    }
                    out.retain(|(other, _)| other.body != message.body);
                    out.push((message, now(&rig).plus(invisible)));
                }
            }
            10..=14 if !out.is_empty() => {
                let at = random(out.len() as u64) as usize;
                // One that comes too late may count or not.
                if out[at].1 > now(&rig) {
                    let (message, _) = out.swap_remove(at);
                    ack(&rig, &message);
                    done.insert(message.body);
                }
            }
            15 if !out.is_empty() => {
                let at = random(out.len() as u64) as usize;
                let (message, until) = &out[at];
                if *until > now(&rig) {
                    let invisible = Millis(random(5_000) + 1);
                    let ask = ChangeInvisible { of: ack_of(message), invisible };
                    let changed = rig.broker.change_invisible(&ask).unwrap();
                    let receipt = Receipt {
                        start: message.offset,
                        popped: changed.popped,
                        invisible: changed.invisible,
                        ..Receipt::parse(&message.receipt).unwrap()
                    };
                    let message = Got { receipt: receipt.to_string(), ..message.clone() };
                    out[at] = (message, changed.popped.plus(invisible));
                }
            }
            16 => rig.broker.revive(),
            17 => rig.broker.save_progress(),
            18 if random(8) == 0 => rig = rig.crash(),
            _ => rig.host.advance(Millis(random(1_500))),
        }
    }
    rig.host.advance(Millis::mins(5));
    rig.broker.revive();
    rig.broker.revive();
    let rest = pop(&rig, &ask());
    assert_eq!((rest.outcome, rig.broker.messages_out()), (Outcome::Nothing, 0), "seed {seed}");
}
