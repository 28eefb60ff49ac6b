//! Pulling: every outcome, what is refused, and pulls that wait.

mod support;

use std::time::Duration;

use ferromq_broker::pull::{
    Accepted, Forbidden, HeldPull, MAX_HOLD, Outcome, Pull, PullError, Pulled, Wanted,
};
use ferromq_model::subscription::MessageModel;
use ferromq_model::topic::{Permission, TopicConfig};
use ferromq_model::{Millis, QueueId, QueueOffset, TopicName};
use support::{Rig, heartbeat, message, peer, properties};
use tokio::time::Instant;

const ALL: Wanted<'_> = Wanted::Expression { text: "*", kind: None };

fn pull(from: u64) -> Pull<'static> {
    Pull {
        group: "G",
        topic: "T",
        queue: Some(QueueId(0)),
        from: Some(QueueOffset(from)),
        max: 32,
        commit: None,
        wanted: ALL,
        hold: None,
    }
}

fn now(accepted: Result<Accepted, PullError>) -> Pulled {
    match accepted.unwrap() {
        Accepted::Now(pulled) => pulled,
        Accepted::Held(held) => panic!("held: {held:?}"),
    }
}

fn held(accepted: Result<Accepted, PullError>) -> HeldPull {
    match accepted.unwrap() {
        Accepted::Held(held) => held,
        Accepted::Now(pulled) => panic!("answered: {pulled:?}"),
    }
}

/// The outcome in short: what it is, and where it says to go on.
fn outcome(pulled: &Pulled) -> (&'static str, u64) {
    match &pulled.outcome {
        Outcome::Found(found) => ("found", found.next.0),
        Outcome::NoMatch { next } => ("no match", next.0),
        Outcome::AtEnd { next } => ("at end", next.0),
        Outcome::Moved { next } => ("moved", next.0),
    }
}

/// A topic with one queue that has messages with these tags.
fn rig(tags: &[&str]) -> Rig {
    let rig = Rig::new();
    rig.broker.put_topic(TopicConfig::new(TopicName::new("T").unwrap(), 1)).unwrap();
    tags.iter().for_each(|tag| send(&rig, tag));
    rig
}

fn send(rig: &Rig, tag: &str) {
    let tags = properties(&[("TAGS", tag)]);
    rig.sent(&ferromq_broker::send::Send { properties: &tags, ..message("T", tag) });
}

#[test]
fn every_offset_has_its_outcome() {
    let empty = rig(&[]);
    assert_eq!(outcome(&now(empty.broker.pull(&pull(0)))), ("at end", 0), "'moved' would repeat for ever");
    assert_eq!(outcome(&now(empty.broker.pull(&pull(5)))), ("moved", 0));

    let rig = rig(&["A", "B", "A"]);
    let pulled = now(rig.broker.pull(&pull(0)));
    assert_eq!((pulled.min, pulled.max), (QueueOffset(0), QueueOffset(3)));
    let ask = |from, text, max| {
        let wanted = Wanted::Expression { text, kind: Some("TAG") };
        outcome(&now(rig.broker.pull(&Pull { wanted, max, ..pull(from) })))
    };
    assert_eq!(ask(0, "*", 2), ("found", 2));
    assert_eq!(ask(0, "", 32), ("found", 3));
    assert_eq!(ask(0, "A || B", 32), ("found", 3));
    assert_eq!(ask(0, "C", 32), ("no match", 3));
    assert_eq!(ask(3, "*", 32), ("at end", 3));
    assert_eq!(ask(4, "*", 32), ("moved", 3));
    let negative = Pull { from: None, ..pull(0) };
    assert_eq!(outcome(&now(rig.broker.pull(&negative))), ("moved", 0));
    let Outcome::Found(found) = now(rig.broker.pull(&pull(0))).outcome else { panic!() };
    assert_eq!(found.count, 3);
}

#[test]
fn what_may_not_be_read_is_refused_in_the_references_order() {
    let rig = rig(&["A"]);
    let forbidden = |ask: &Pull<'_>| match rig.broker.pull(ask) {
        Err(PullError::Forbidden { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert!(matches!(rig.broker.pull(&Pull { topic: "X", ..pull(0) }), Err(PullError::NoTopic(_))));
    for queue in [None, Some(QueueId(1))] {
        assert!(matches!(rig.broker.pull(&Pull { queue, ..pull(0) }), Err(PullError::NoQueue { .. })));
    }
    let other = Wanted::Expression { text: "a > 1", kind: Some("XPATH") };
    let refused = rig.broker.pull(&Pull { wanted: other, ..pull(0) }).unwrap_err();
    assert_eq!(refused.to_string(), "The broker does not support consumer to filter message by XPATH");

    let mut group = (*rig.broker.groups().find("G").unwrap()).clone();
    group.consume_enable = false;
    rig.broker.groups().put(group.clone()).unwrap();
    assert_eq!(forbidden(&Pull { topic: "X", ..pull(0) }), Forbidden::Group, "before the topic is looked at");
    group.consume_enable = true;
    group.consume_broadcast_enable = false;
    rig.broker.groups().put(group).unwrap();
    let mut beat = heartbeat("G", "c", &[("T", "*")]);
    beat.consumers[0].model = MessageModel::Broadcasting;
    rig.broker.heartbeat(&peer(1), beat);
    let subscribed = Wanted::Subscribed { version: 1 };
    assert_eq!(forbidden(&Pull { wanted: subscribed, ..pull(0) }), Forbidden::Broadcast);
    let unreadable =
        TopicConfig::new(TopicName::new("T").unwrap(), 1).with_perm(Permission(Permission::WRITE));
    rig.broker.put_topic(unreadable).unwrap();
    assert_eq!(forbidden(&pull(0)), Forbidden::Topic);
}

#[test]
fn a_group_that_may_not_come_into_being_pulls_nothing() {
    let rig = Rig::with(|config| config.auto_create_groups = false);
    assert!(matches!(rig.broker.pull(&pull(0)), Err(PullError::Group(_))));
}

#[test]
fn a_pull_without_an_expression_goes_by_the_heartbeats() {
    let rig = rig(&["A", "B"]);
    let ask = |version| rig.broker.pull(&Pull { wanted: Wanted::Subscribed { version }, ..pull(0) });
    assert!(matches!(ask(1), Err(PullError::NotSubscribed)));
    rig.broker.heartbeat(&peer(1), heartbeat("G", "c", &[("other", "*")]));
    assert!(matches!(ask(1), Err(PullError::NotSubscribed)));
    rig.broker.heartbeat(&peer(1), heartbeat("G", "c", &[("T", "B")]));
    assert!(matches!(ask(2), Err(PullError::SubscriptionOutdated)));
    let Outcome::Found(found) = now(ask(1)).outcome else { panic!() };
    assert_eq!((found.count, found.next), (1, QueueOffset(2)));
}

#[test]
fn a_pull_commits_on_the_way() {
    let rig = rig(&["A", "B"]);
    now(rig.broker.pull(&Pull { commit: Some(QueueOffset(1)), ..pull(1) }));
    assert_eq!(rig.broker.offsets().find("G", "T", QueueId(0)), Some(QueueOffset(1)));
}

#[tokio::test(start_paused = true)]
async fn a_held_pull_is_answered_by_the_first_message_that_passes() {
    let rig = rig(&["A"]);
    let wanted = Wanted::Expression { text: "B", kind: None };
    let waiting = held(rig.broker.pull(&Pull { wanted, hold: Some(Millis::secs(15)), ..pull(1) }));
    let began = Instant::now();
    let waiting = tokio::spawn(waiting.answer(rig.broker.clone()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    send(&rig, "A");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished(), "the message did not pass");
    send(&rig, "B");
    let pulled = waiting.await.unwrap().unwrap();
    assert_eq!((outcome(&pulled), pulled.max), (("found", 3), QueueOffset(3)));
    assert_eq!(began.elapsed(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_held_pull_ends_with_its_time() {
    let rig = rig(&["A"]);
    let began = Instant::now();
    let ask = Pull { hold: Some(Millis::secs(15)), ..pull(1) };
    let pulled = held(rig.broker.pull(&ask)).answer(rig.broker.clone()).await.unwrap();
    assert_eq!((outcome(&pulled), began.elapsed()), (("at end", 1), Duration::from_secs(15)));

    // What did not pass meanwhile is behind the client for good.
    let wanted = Wanted::Expression { text: "B", kind: None };
    let waiting = held(rig.broker.pull(&Pull { wanted, ..ask })).answer(rig.broker.clone());
    send(&rig, "A");
    assert_eq!(outcome(&waiting.await.unwrap()), ("no match", 2));

    let began = Instant::now();
    let forever = Pull { hold: Some(Millis(u64::MAX)), ..pull(2) };
    held(rig.broker.pull(&forever)).answer(rig.broker.clone()).await.unwrap();
    assert_eq!(began.elapsed(), MAX_HOLD.duration());
}

#[tokio::test(start_paused = true)]
async fn without_long_polling_a_pull_is_held_shortly() {
    let rig = Rig::with(|config| config.long_polling = false);
    rig.sent(&message("T", "a"));
    let began = Instant::now();
    held(rig.broker.pull(&Pull { hold: Some(Millis::secs(15)), ..pull(1) }))
        .answer(rig.broker.clone())
        .await
        .unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn only_a_pull_at_the_end_is_held() {
    let rig = rig(&["A"]);
    let hold = Some(Millis::secs(15));
    let wanted = Wanted::Expression { text: "B", kind: None };
    assert_eq!(outcome(&now(rig.broker.pull(&Pull { wanted, hold, ..pull(0) }))), ("no match", 1));
    assert_eq!(outcome(&now(rig.broker.pull(&Pull { hold, ..pull(2) }))), ("moved", 1));
    assert_eq!(outcome(&now(rig.broker.pull(&pull(1)))), ("at end", 1));
}

#[tokio::test(start_paused = true)]
async fn held_pulls_end_with_their_topic_and_with_the_broker() {
    let rig = rig(&["A"]);
    let ask = Pull { hold: Some(Millis::secs(15)), ..pull(1) };
    let began = Instant::now();
    let waiting = tokio::spawn(held(rig.broker.pull(&ask)).answer(rig.broker.clone()));
    tokio::task::yield_now().await;
    rig.broker.delete_topic(&TopicName::new("T").unwrap()).unwrap();
    assert_eq!(outcome(&waiting.await.unwrap().unwrap()), ("at end", 1));
    assert!(matches!(rig.broker.pull(&ask), Err(PullError::NoTopic(_))));

    rig.broker.put_topic(TopicConfig::new(TopicName::new("T").unwrap(), 1)).unwrap();
    let waiting = tokio::spawn(
        held(rig.broker.pull(&Pull { from: Some(QueueOffset(0)), ..ask })).answer(rig.broker.clone()),
    );
    tokio::task::yield_now().await;
    rig.broker.stop();
    assert_eq!(outcome(&waiting.await.unwrap().unwrap()), ("at end", 0));
    assert_eq!(began.elapsed(), Duration::ZERO);
}
