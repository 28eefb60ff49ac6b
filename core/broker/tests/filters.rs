//! SQL92 filters on pulls: what passes, what is refused, and pulls that wait for a message that passes.

mod support;

use std::time::Duration;

use ferromq_broker::pull::{Accepted, HeldPull, Outcome, Pull, PullError, Pulled, Wanted};
use ferromq_broker::send::Send;
use ferromq_model::filter::{FilterError, SQL92};
use ferromq_model::record::Record;
use ferromq_model::topic::TopicConfig;
use ferromq_model::{Millis, QueueId, QueueOffset, TopicName};
use support::{Rig, heartbeat, message, peer, properties};
use tokio::time::Instant;

const SUBSCRIBED: Wanted<'_> = Wanted::Subscribed { version: 1 };

fn pull<'a>(topic: &'a str, from: u64, wanted: Wanted<'a>) -> Pull<'a> {
    Pull {
        group: "G",
        topic,
        queue: Some(QueueId(0)),
        from: Some(QueueOffset(from)),
        max: 32,
        commit: None,
        wanted,
        hold: None,
    }
}

fn sql(text: &str) -> Wanted<'_> {
    Wanted::Expression { text, kind: Some(SQL92) }
}

/// The bodies that a pull finds, and where it says to go on.
fn found(pulled: &Pulled) -> (String, u64) {
    match &pulled.outcome {
        Outcome::Found(found) => {
            let mut bodies = String::new();
            for piece in &found.records {
                let mut rest = &piece[..];
                while !rest.is_empty() {
                    let record = Record::decode(rest).unwrap();
                    bodies += std::str::from_utf8(record.body).unwrap();
                    rest = &rest[record.len..];
                }
            }
            (bodies, found.next.0)
        }
        Outcome::NoMatch { next } => (String::new(), next.0),
        other => panic!("{other:?}"),
    }
}

fn now(rig: &Rig, ask: &Pull<'_>) -> (String, u64) {
    match rig.broker.pull(ask).unwrap() {
        Accepted::Now(pulled) => found(&pulled),
        Accepted::Held(held) => panic!("held: {held:?}"),
    }
}

fn held(rig: &Rig, ask: &Pull<'_>) -> HeldPull {
    match rig.broker.pull(ask).unwrap() {
        Accepted::Held(held) => held,
        Accepted::Now(pulled) => panic!("answered: {pulled:?}"),
    }
}

fn send(rig: &Rig, topic: &str, body: &str, pairs: &[(&str, &str)]) {
    rig.sent(&Send { properties: &properties(pairs), ..message(topic, body) });
}

/// A topic with messages a, b, c of the prices 5, 15 and none.
fn rig() -> Rig {
    let rig = Rig::new();
    rig.broker.put_topic(TopicConfig::new(TopicName::new("T").unwrap(), 1)).unwrap();
    send(&rig, "T", "a", &[("price", "5"), ("TAGS", "A")]);
    send(&rig, "T", "b", &[("price", "15"), ("TAGS", "B")]);
    send(&rig, "T", "c", &[("TAGS", "A")]);
    rig
}

/// A heartbeat of a subscription to `topic` by a SQL expression.
fn subscribe(rig: &Rig, topic: &str, expression: &str, version: i64) {
    let mut beat = heartbeat("G", "c", &[(topic, expression)]);
    let subscription = &mut beat.consumers[0].subscriptions.as_mut().unwrap()[0];
    subscription.expression_type = SQL92.to_owned();
    subscription.filter = rig.broker.filters().compile(SQL92, expression);
    subscription.version = version;
    rig.broker.heartbeat(&peer(1), beat);
}

#[test]
fn a_pull_finds_what_its_own_expression_is_true_for() {
    let rig = rig();
    for (expression, bodies) in [
        ("price > 10", "b"),
        ("price > 10 OR TAGS = 'A'", "abc"),
        ("TAGS = 'A' AND price IS NULL", "c"),
        ("price <= 5 OR price >= 15", "ab"),
        ("price > 100", ""),
        ("NOT (price > 10)", "a"),
        ("UNIQ_KEY IS NOT NULL", "abc"),
    ] {
        assert_eq!(now(&rig, &pull("T", 0, sql(expression))), (bodies.to_owned(), 3), "{expression}");
    }
    let one = Pull { max: 1, ..pull("T", 0, sql("TAGS = 'A'")) };
    assert_eq!(now(&rig, &one), ("a".to_owned(), 1), "nothing is looked at for the next pull");
}

#[test]
fn a_pull_without_one_goes_by_the_groups_subscription() {
    let rig = rig();
    subscribe(&rig, "T", "price > 10", 1);
    assert_eq!(now(&rig, &pull("T", 0, SUBSCRIBED)), ("b".to_owned(), 3));
    subscribe(&rig, "T", "price < 10", 1);
    assert_eq!(now(&rig, &pull("T", 0, SUBSCRIBED)), ("b".to_owned(), 3), "no newer than what is known");
    subscribe(&rig, "T", "price < 10", 2);
    assert_eq!(now(&rig, &pull("T", 0, SUBSCRIBED)), ("a".to_owned(), 3));
}

#[test]
fn a_bad_expression_is_told_from_a_bad_subscription() {
    let rig = rig();
    let error = rig.broker.pull(&pull("T", 0, sql("price >"))).unwrap_err();
    assert!(matches!(error, PullError::Filter(FilterError::Syntax(_))), "{error:?}");
    assert!(error.to_string().contains("line 1, column 8: expected a property"), "{error}");
    subscribe(&rig, "T", "price >", 1);
    let error = rig.broker.pull(&pull("T", 0, SUBSCRIBED)).unwrap_err();
    assert!(matches!(error, PullError::NoFilter(FilterError::Syntax(_))), "{error:?}");
}

#[test]
fn property_filters_can_be_forbidden() {
    let rig = Rig::with(|config| config.property_filter = false);
    send(&rig, "T", "a", &[]);
    let error = rig.broker.pull(&pull("T", 0, sql("price > 10"))).unwrap_err();
    assert_eq!(error.to_string(), "The broker does not support consumer to filter message by SQL92");
}

#[tokio::test(start_paused = true)]
async fn a_held_pull_waits_for_a_message_that_its_expression_is_true_for() {
    let rig = rig();
    let ask = Pull { hold: Some(Millis::secs(15)), ..pull("T", 3, sql("price > 10")) };
    let began = Instant::now();
    let waiting = tokio::spawn(held(&rig, &ask).answer(rig.broker.clone()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    send(&rig, "T", "d", &[("price", "7")]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished(), "the message did not pass");
    send(&rig, "T", "e", &[("price", "70")]);
    assert_eq!(found(&waiting.await.unwrap().unwrap()), ("e".to_owned(), 5));
    assert_eq!(began.elapsed(), Duration::from_secs(2));

    // What did not pass meanwhile is behind the client for good.
    let waiting = held(&rig, &Pull { from: Some(QueueOffset(5)), ..ask }).answer(rig.broker.clone());
    send(&rig, "T", "f", &[("price", "x")]);
    assert_eq!(found(&waiting.await.unwrap()), (String::new(), 6));
}

#[test]
fn retried_messages_are_judged_by_their_topics_expression_if_asked_to() {
    for (judged, bodies) in [(false, "x"), (true, "az")] {
        let rig = Rig::with(|config| config.filter_retries = judged);
        rig.broker.put_topic(TopicConfig::new(TopicName::new("T").unwrap(), 1)).unwrap();
        subscribe(&rig, "T", "price > 10", 1);
        for (body, pairs) in [
            ("a", &[("RETRY_TOPIC", "T"), ("price", "15")][..]),
            ("x", &[("RETRY_TOPIC", "T"), ("price", "1")][..]),
            ("z", &[("RETRY_TOPIC", "U"), ("price", "3")][..]),
        ] {
            send(&rig, "%RETRY%G", body, pairs);
        }
        assert_eq!(now(&rig, &pull("%RETRY%G", 0, sql("price < 2"))).0, bodies);
        let all = Wanted::Expression { text: "*", kind: None };
        assert_eq!(now(&rig, &pull("%RETRY%G", 0, all)).0, "axz", "tags are no concern of this");
    }
}
