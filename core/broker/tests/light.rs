//! Light queues: messages that name them are in them, whoever delivers them, and clients pull them like any other queue.

mod support;

use std::time::Duration;

use ferromq_broker::Position;
use ferromq_broker::pull::{Accepted, Outcome, Pull, PullError, Wanted};
use ferromq_broker::retry::SendBack;
use ferromq_broker::send::{Send, SendError};
use ferromq_broker::transaction::{Decision, EndTransaction};
use ferromq_model::light::LIGHT_QUEUE;
use ferromq_model::message::{SysFlag, TagsCode};
use ferromq_model::topic::TopicConfig;
use ferromq_model::{Millis, QueueId, QueueOffset, TopicName};
use support::{Rig, batch_item, bodies, heartbeat, message, peer, properties};

/// A broker with light queues, five at most.
fn rig() -> Rig {
    Rig::with_store(
        |_| {},
        |store| {
            store.light_queues = true;
            store.multi_dispatch = true;
            store.max_light_queues = 5;
        },
    )
}

fn send(rig: &Rig, body: &str, light: &str) {
    let names = properties(&[("TAGS", "A"), ("INNER_MULTI_DISPATCH", light)]);
    rig.sent(&Send { properties: &names, ..message("T", body) });
}

fn pull(topic: &str, from: u64) -> Pull<'_> {
    Pull {
        group: "G",
        topic,
        queue: Some(LIGHT_QUEUE),
        from: Some(QueueOffset(from)),
        max: 32,
        commit: None,
        wanted: Wanted::Expression { text: "A", kind: None },
        hold: None,
    }
}

#[test]
fn a_message_is_in_the_queues_that_it_names() {
    let rig = rig();
    send(&rig, "1", "%LMQ%a,%LMQ%b");
    send(&rig, "2", "%LMQ%b");
    rig.sent(&message("T", "3"));
    assert_eq!(bodies(&rig.messages("T", 0)), ["1", "2", "3"]);
    assert_eq!(bodies(&rig.messages("%LMQ%a", 0)), ["1"]);
    assert_eq!(bodies(&rig.messages("%LMQ%b", 0)), ["1", "2"]);
    let second = &rig.messages("T", 0)[1];
    assert_eq!(second.property("INNER_MULTI_QUEUE_OFFSET"), Some("1"));
    let Ok(Accepted::Now(pulled)) = rig.broker.pull(&pull("%LMQ%b", 0)) else { panic!() };
    let Outcome::Found(found) = &pulled.outcome else { panic!("{pulled:?}") };
    assert_eq!((found.count, pulled.max), (2, QueueOffset(2)));
}

#[test]
fn a_batch_and_a_direct_send_reach_light_queues() {
    let rig = rig();
    let item = |body, names| batch_item(body, &[("INNER_MULTI_DISPATCH", names)]);
    let body = [item("1", "%LMQ%a"), item("2", "%LMQ%a,%LMQ%b")].concat();
    rig.sent(&Send { is_batch: true, body: &body, ..message("T", "") });
    rig.sent(&message("%LMQ%a", "3"));
    assert_eq!(bodies(&rig.messages("%LMQ%a", 0)), ["1", "2", "3"]);
    assert_eq!(bodies(&rig.messages("%LMQ%b", 0)), ["2"]);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_message_joins_its_light_queues_when_it_is_due_and_a_retried_one_does_not() {
    let rig = rig();
    let broker = rig.broker.clone();
    let tasks = tokio::spawn(async move { broker.run().await });
    let names = properties(&[("DELAY", "1"), ("INNER_MULTI_DISPATCH", "%LMQ%a")]);
    rig.sent(&Send { properties: &names, ..message("T", "late") });
    send(&rig, "now", "%LMQ%a");
    assert_eq!(bodies(&rig.messages("%LMQ%a", 0)), ["now"]);
    rig.host.advance(Millis::secs(1));
    let queue = rig.broker.store().light_queue(&TopicName::new("%LMQ%a").unwrap()).unwrap();
    queue.wait_beyond(QueueOffset(1)).await;
    let late = rig.messages("%LMQ%a", 0).pop().unwrap();
    assert_eq!((late.topic.as_str(), late.body.as_str()), ("T", "late"));
    assert_eq!(late.property("INNER_MULTI_QUEUE_OFFSET"), Some("1"));

    let back = SendBack { group: "G", offset: late.physical, delay_level: 1, max_reconsume_times: None };
    rig.broker.send_back(&back).unwrap();
    rig.host.advance(Millis::secs(1));
    let retry = rig.broker.store().queue(&TopicName::new("%RETRY%G").unwrap(), QueueId(0));
    retry.wait_beyond(QueueOffset(0)).await;
    assert_eq!(rig.messages("%RETRY%G", 0)[0].property("INNER_MULTI_QUEUE_OFFSET"), None);
    assert_eq!(queue.max(), QueueOffset(2));
    rig.broker.stop();
    tasks.await.unwrap();
}

#[test]
fn a_transaction_joins_its_light_queues_when_it_is_committed() {
    let rig = rig();
    let names = properties(&[("TRAN_MSG", "true"), ("PGROUP", "P"), ("INNER_MULTI_DISPATCH", "%LMQ%a")]);
    let sys_flag = SysFlag(SysFlag::TRANSACTION_PREPARED);
    let half = rig.sent(&Send { properties: &names, sys_flag, ..message("T", "x") });
    send(&rig, "y", "%LMQ%a");
    assert_eq!(bodies(&rig.messages("%LMQ%a", 0)), ["y"]);
    let end = EndTransaction {
        group: "P",
        half: half.queue_offset,
        at: half.physical,
        decision: Decision::Commit,
        from_check: false,
    };
    rig.broker.end_transaction(&end).unwrap();
    assert_eq!(bodies(&rig.messages("%LMQ%a", 0)), ["y", "x"]);
    assert_eq!(rig.messages("T", 0)[1].property("INNER_MULTI_QUEUE_OFFSET"), Some("1"));
}

#[test]
fn what_cannot_be_is_refused_and_nothing_of_it_is_stored() {
    let rig = rig();
    let refused = |light: &str| {
        let names = properties(&[("INNER_MULTI_DISPATCH", light)]);
        rig.send(&Send { properties: &names, ..message("T", "x") }).unwrap_err()
    };
    for light in ["Other", "%LMQ%a,T", "%LMQ%../../x", &vec!["%LMQ%a"; 257].join(",")] {
        assert!(matches!(refused(light), SendError::Light(_)), "{light}");
    }
    send(&rig, "1", "%LMQ%a,%LMQ%b,%LMQ%c,%LMQ%d,%LMQ%e");
    let error = refused("%LMQ%f").to_string();
    assert!(error.starts_with("[LMQ_CONSUME_QUEUE_NUM_EXCEEDED]"), "{error}");
    assert_eq!(bodies(&rig.messages("T", 0)), ["1"]);
    assert_eq!(bodies(&rig.messages("%LMQ%a", 0)), ["1"]);
}

#[test]
fn without_the_settings_the_property_means_nothing_and_no_such_topic_exists() {
    let rig = Rig::new();
    let names = properties(&[("INNER_MULTI_DISPATCH", "%LMQ%a"), ("INNER_MULTI_QUEUE_OFFSET", "7")]);
    rig.sent(&Send { properties: &names, ..message("T", "x") });
    assert!(rig.messages("%LMQ%a", 0).is_empty());
    assert_eq!(rig.messages("T", 0)[0].property("INNER_MULTI_QUEUE_OFFSET"), None, "only brokers set it");
    assert!(matches!(rig.broker.pull(&pull("%LMQ%a", 0)), Err(PullError::NoTopic(_))));
}

#[tokio::test(start_paused = true)]
async fn a_pull_waits_on_a_light_queue_that_has_no_message_yet() {
    let rig = rig();
    let ask = Pull { hold: Some(Millis::secs(15)), ..pull("%LMQ%a", 0) };
    let Accepted::Held(held) = rig.broker.pull(&ask).unwrap() else { panic!() };
    let waiting = tokio::spawn(held.answer(rig.broker.clone()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    send(&rig, "1", "%LMQ%a");
    let pulled = waiting.await.unwrap().unwrap();
    assert!(matches!(pulled.outcome, Outcome::Found(_)), "{pulled:?}");
}

#[test]
fn light_topics_and_groups_leave_no_settings_behind() {
    let rig = rig();
    send(&rig, "1", "%LMQ%a");
    let group = "%LMQ%client";
    rig.broker.heartbeat(&peer(1), heartbeat(group, "c", &[("%LMQ%a", "*")]));
    assert!(rig.broker.commit_offset(group, "%LMQ%a", LIGHT_QUEUE, QueueOffset(1)));
    assert!(matches!(rig.broker.pull(&Pull { group, ..pull("%LMQ%b", 0) }), Ok(Accepted::Now(_))));
    let create = TopicConfig::new(TopicName::new("%LMQ%x").unwrap(), 8);
    assert!(rig.broker.put_topic(create).is_err());
    let rig = rig.restart();
    let light = |name: &str| name.contains("%LMQ%");
    assert!(!rig.broker.topics().snapshot().1.iter().any(|topic| light(topic.topic_name.as_str())));
    assert!(!rig.broker.groups().snapshot().groups.keys().any(|name| light(name)));
    assert_eq!(rig.broker.position(group, "%LMQ%a", LIGHT_QUEUE, false), Position::At(QueueOffset(1)));
    assert_eq!(rig.messages("%LMQ%a", 0)[0].tags, TagsCode::of(Some("A")));

    rig.broker.delete_topic(&TopicName::new("%LMQ%a").unwrap()).unwrap();
    assert_eq!(rig.broker.position(group, "%LMQ%a", LIGHT_QUEUE, false), Position::Unknown);
    assert!(rig.broker.queue("%LMQ%a", LIGHT_QUEUE).is_none());
    assert_eq!(bodies(&rig.messages("T", 0)), ["1"]);
}
