//! What goes with a topic, with a group, and by operators' clean-ups.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ferromq_broker::Position;
use ferromq_broker::pop::{Accepted, Pop, Start};
use ferromq_broker::pull::{self, Outcome, Pull, Wanted};
use ferromq_broker::send::Send;
use ferromq_model::config::Hours;
use ferromq_model::topic::TopicConfig;
use ferromq_model::{Millis, QueueId, QueueOffset, Timestamp, TopicName};
use support::{Rig, bodies, message, properties};

const QUEUE: QueueId = QueueId(0);

fn name(topic: &str) -> TopicName {
    TopicName::new(topic).unwrap()
}

/// A broker whose log files go when somebody asks, however young they are.
fn rig() -> Rig {
    Rig::with_store(
        |_| {},
        |store| {
            store.file_reserved = Hours(0);
            store.light_queues = true;
        },
    )
}

/// Lets the log file of all messages so far be deleted.
fn expire_all(rig: &Rig) {
    let body = "x".repeat(200 << 10);
    let end = rig.broker.store().stats().log_max;
    while rig.broker.store().stats().log_max.since(end) < 2 << 20 {
        rig.sent(&message("Filler", &body));
    }
    rig.broker.store().delete_expired_log();
    rig.broker.store().clean_up();
    assert!(rig.broker.store().stats().log_min >= end);
}

fn popped(rig: &Rig, in_order: bool) -> u32 {
    let ask = Pop {
        group: "G",
        topic: "T",
        queue: None,
        max: 32,
        invisible: Millis(60_000),
        wait: Millis(0),
        born: Timestamp::ZERO,
        start: Start::Oldest,
        expression: "*",
        expression_kind: "TAG",
        in_order,
        attempt: None,
    };
    let Ok(Accepted::Now(popped)) = rig.broker.pop(&ask) else { panic!() };
    popped.count
}

fn pull(rig: &Rig, group: &str, from: u64) -> Outcome {
    let ask = Pull {
        group,
        topic: "T",
        queue: Some(QUEUE),
        from: Some(QueueOffset(from)),
        max: 32,
        commit: None,
        wanted: Wanted::Expression { text: "*", kind: None },
        hold: None,
    };
    let Ok(pull::Accepted::Now(pulled)) = rig.broker.pull(&ask) else { panic!() };
    pulled.outcome
}

#[test]
fn nothing_of_a_deleted_topic_is_taken_for_one_of_its_name_whatever_happens_then() {
    for in_order in [false, true] {
        let rig = Rig::new();
        for _ in 0..3 {
            rig.sent(&message("T", "old"));
        }
        rig.broker.commit_offset("Puller", "T", QUEUE, QueueOffset(3));
        assert!(popped(&rig, in_order) > 0);
        rig.broker.revive();
        rig.broker.save_progress();
        rig.broker.delete_topic(&name("T")).unwrap();
        let rig = rig.crash();
        assert!(rig.broker.topics().find("T").is_none());
        assert_eq!(rig.broker.position("Puller", "T", QUEUE, false), Position::Unknown);
        rig.sent(&message("T", "new"));
        assert_eq!(rig.messages("T", 0)[0].at, QueueOffset(0));
        assert_eq!(popped(&rig, in_order), 1, "nothing is out, and it begins at the beginning");
        rig.host.advance(Millis(60_000));
        rig.broker.revive();
        let again = rig.messages("%RETRY%G_T", 0);
        assert!(bodies(&again).iter().all(|&body| body == "new"), "{again:?}");
    }
}

#[test]
fn a_producer_that_goes_on_while_its_topic_is_deleted_has_a_topic_that_works() {
    let rig = Rig::new();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let producer = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // Some of these come just when the topic goes.
                let _ = rig.send(&message("T", "x"));
            }
        });
        for round in 0..200 {
            rig.broker.delete_topic(&name("T")).unwrap();
            if let Err(error) = rig.send(&message("T", "y")) {
                stop.store(true, Ordering::Relaxed);
                panic!("round {round}: {error}");
            }
        }
        stop.store(true, Ordering::Relaxed);
        producer.join().unwrap();
    });
}

#[test]
fn a_queue_whose_messages_are_all_gone_begins_anew_for_its_consumers() {
    let rig = rig();
    rig.broker.put_topic(TopicConfig::new(name("T"), 2)).unwrap();
    for _ in 0..3 {
        rig.sent(&message("T", "old"));
    }
    rig.sent(&message("%LMQ%x", "old"));
    rig.broker.commit_offset("G", "T", QUEUE, QueueOffset(3));
    rig.broker.commit_offset("G", "T", QueueId(1), QueueOffset(0));
    rig.broker.commit_offset("G", "Filler", QUEUE, QueueOffset(1));
    // So that queues are written.
    let rig = rig.restart();
    let half = rig.broker.store().queues_of("RMQ_SYS_TRANS_HALF_TOPIC").len();
    expire_all(&rig);
    assert_eq!(rig.broker.delete_expired_queues().unwrap(), 2);
    assert_eq!(rig.broker.delete_expired_queues().unwrap(), 0);
    assert!(rig.broker.store().find_queue("T", QUEUE).is_none());
    assert!(rig.broker.store().find_queue("%LMQ%x", QUEUE).is_none());
    assert_eq!(rig.broker.store().queues_of("RMQ_SYS_TRANS_HALF_TOPIC").len(), half);
    // A member goes on where it was, and is told.
    assert!(matches!(pull(&rig, "G", 3), Outcome::Moved { next: QueueOffset(0) }));
    rig.sent(&message("T", "new"));
    assert_eq!(bodies(&rig.messages("T", 0)), ["new"]);
    let rig = rig.crash();
    assert_eq!(rig.broker.position("G", "T", QUEUE, true), Position::At(QueueOffset(0)));
    assert_eq!(rig.broker.position("G", "Filler", QUEUE, false), Position::At(QueueOffset(1)));
    assert!(matches!(pull(&rig, "G", 0), Outcome::Found(_)));
}

#[test]
fn queues_of_topics_that_do_not_exist_are_found_and_deleted() {
    let rig = rig();
    rig.sent(&message("T", "x"));
    rig.sent(&message("Gone", "x"));
    rig.sent(&message("%LMQ%x", "x"));
    rig.broker.commit_offset("G", "Gone", QUEUE, QueueOffset(1));
    // A deletion that got half-way.
    rig.broker.topics().remove(&name("Gone")).unwrap();
    assert_eq!(rig.broker.delete_unknown_topics().unwrap(), 1);
    assert_eq!(rig.broker.delete_unknown_topics().unwrap(), 0);
    assert_eq!(rig.broker.position("G", "Gone", QUEUE, false), Position::Unknown);
    let rig = rig.restart();
    assert!(rig.broker.topics().find("Gone").is_none());
    assert_eq!(bodies(&rig.messages("T", 0)), ["x"]);
    assert_eq!(bodies(&rig.messages("%LMQ%x", 0)), ["x"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_due_while_its_queue_is_deleted_comes_once_there_is_another() {
    for timed in [false, true] {
        let rig = Rig::new();
        let broker = rig.broker.clone();
        let tasks = tokio::spawn(async move { broker.run().await });
        rig.sent(&message("T", "old"));
        let later = if timed { [("TIMER_DELAY_SEC", "1")] } else { [("DELAY", "1")] };
        let later = properties(&later);
        rig.sent(&Send { properties: &later, ..message("T", "late") });
        // What a clean-up does to a queue, before it has told the topic.
        rig.broker.store().delete_topic(&name("T")).unwrap();
        rig.host.advance(Millis::secs(2));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(rig.messages("T", 0).is_empty());
        rig.broker.put_topic(TopicConfig::new(name("T"), 9)).unwrap();
        let queue = rig.broker.store().queue(&name("T"), QUEUE);
        tokio::time::timeout(Duration::from_secs(60), queue.wait_beyond(QueueOffset(0))).await.unwrap();
        assert_eq!(bodies(&rig.messages("T", 0)), ["late"]);
        rig.broker.stop();
        tasks.await.unwrap();
    }
}
