//! Sending: which topics come into being, what is refused, and what is stored of a message.

mod support;

use ferromq_broker::locks::LockedQueue;
use ferromq_broker::send::{Send, SendBatch, SendError};
use ferromq_model::batch::{BatchItem, encode_item};
use ferromq_model::message::{MAX_PROPERTIES_LEN, SysFlag, TagsCode};
use ferromq_model::mqtt::names;
use ferromq_model::topic::{Permission, TopicConfig, TopicFilterType};
use ferromq_model::{Millis, QueueId, QueueOffset, Timestamp, TopicName};
use support::{Rig, bodies, message, properties};

fn topic(name: &str, queues: u32) -> TopicConfig {
    TopicConfig::new(TopicName::new(name).unwrap(), queues)
}

#[test]
fn a_send_to_an_unknown_topic_creates_it_after_its_template() {
    let rig = Rig::new();
    rig.sent(&message("four", "a"));
    rig.sent(&Send { default_queues: 100, ..message("most", "a") });
    let rig = rig.restart();
    for (name, queues) in [("four", 4), ("most", 8)] {
        let topic = rig.broker.topics().find(name).unwrap();
        let config = topic.config();
        assert_eq!((config.read_queue_nums, config.write_queue_nums), (queues, queues), "{name}");
        assert_eq!(config.perm, Permission::READ_WRITE);
        assert_eq!(bodies(&rig.messages(name, 0)), ["a"]);
    }
    for default_topic in ["no such topic", "BenchmarkTest"] {
        let refused = rig.send(&Send { default_topic, ..message("new", "a") });
        assert!(matches!(refused, Err(SendError::NoTopic(_))), "{default_topic} lets nobody inherit");
    }
}

#[test]
fn without_automatic_creation_a_topic_has_to_be_there() {
    let rig = Rig::with(|config| config.auto_create_topics = false);
    let refused = rig.send(&message("T", "a")).unwrap_err();
    assert_eq!(refused.to_string(), "topic[T] not exist, apply first please!");
    rig.broker.put_topic(topic("T", 1)).unwrap();
    rig.sent(&message("T", "a"));
}

#[test]
fn names_of_others_and_of_nothing_are_refused() {
    let rig = Rig::new();
    for name in ["../../x", "a b", "", "a/b", &"x".repeat(128)] {
        assert!(matches!(rig.send(&message(name, "a")), Err(SendError::IllegalTopic(_))), "{name:?}");
    }
    for name in
        ["SCHEDULE_TOPIC_XXXX", "RMQ_SYS_TRANS_HALF_TOPIC", "SELF_TEST_TOPIC", "TRANS_CHECK_MAX_TIME_TOPIC"]
    {
        assert!(matches!(rig.send(&message(name, "a")), Err(SendError::ForbiddenTopic(_))), "{name}");
    }
    assert!(matches!(rig.send(&message("rmq_sys_x", "a")), Err(SendError::NoTopic(_))));
    rig.sent(&message("RMQ_SYS_TRACE_TOPIC", "clients that trace create it"));
    let refused = rig.send(&Send { queue: Some(QueueId(4)), ..message("T", "a") }).unwrap_err();
    assert!(refused.to_string().starts_with("request queueId[4] is illegal"), "{refused}");
}

#[test]
fn the_broker_adds_what_it_must_and_removes_what_is_its_own() {
    let rig = Rig::new();
    let sent = properties(&[
        ("KEYS", "k"),
        ("POP_CK", "x"),
        ("MSG_REGION", "elsewhere"),
        ("WAIT", "false"),
        ("TAGS", "A"),
    ]);
    // Clients may leave the last separator out.
    let (ticket, _) =
        rig.send(&Send { properties: sent.trim_end_matches('\x02'), ..message("T", "a") }).unwrap();
    assert!(!ticket.wait);
    let (ticket, _) = rig.send(&message("T", "b")).unwrap();
    assert!(ticket.wait);
    let [a, b] = &rig.messages("T", 0)[..] else { panic!() };
    let unique = a.property("UNIQ_KEY").unwrap();
    assert!(unique.len() == 32 && unique.bytes().all(|b| b.is_ascii_hexdigit()), "{unique}");
    assert_eq!(a.properties.matches("MSG_REGION").count(), 1);
    for (name, value) in [
        ("KEYS", Some("k")),
        ("POP_CK", None),
        ("WAIT", None),
        ("TAGS", Some("A")),
        ("MSG_REGION", Some("DefaultRegion")),
        ("TRACE_ON", Some("true")),
        ("CLUSTER", Some("DefaultCluster")),
    ] {
        assert_eq!(a.property(name), value, "{name}");
    }
    assert_eq!((a.tags, b.tags), (TagsCode::of(Some("A")), TagsCode(0)));
    assert_eq!(b.property("UNIQ_KEY"), Some("0A0000090001"));
}

/// A message without a unique key and with properties just below the limit once broke the encoder.
#[test]
fn properties_of_every_length_near_the_limit_are_taken_or_refused() {
    let rig = Rig::new();
    let mut taken = 0;
    for len in MAX_PROPERTIES_LEN - 200..=MAX_PROPERTIES_LEN + 1 {
        let text = format!("k\x01{}\x02", "v".repeat(len - 3));
        match rig.send(&Send { properties: &text, ..message("T", "a") }) {
            Ok(_) => taken += 1,
            Err(refused) => {
                assert!(refused.to_string().contains("properties length limit 32767B"), "{refused}");
            }
        }
    }
    assert!(taken > 0 && taken < 200);
    let body = "x".repeat((256 << 10) + 1);
    assert!(matches!(rig.send(&message("T", &body)), Err(SendError::Illegal(_))));
    rig.sent(&message("T", &body[1..]));
}

#[test]
fn a_message_that_is_flagged_as_half_and_says_nothing_of_it_is_refused() {
    let rig = Rig::new();
    for flag in [SysFlag::TRANSACTION_PREPARED, SysFlag::TRANSACTION_ROLLBACK] {
        let refused = rig.send(&Send { sys_flag: SysFlag(flag), ..message("T", "a") });
        assert!(matches!(refused, Err(SendError::Illegal(_))), "{flag}");
    }
    rig.sent(&Send { sys_flag: SysFlag(SysFlag::TRANSACTION_COMMIT), ..message("T", "a") });
}

#[test]
fn a_clients_batch_becomes_messages_of_their_own() {
    let rig = Rig::new();
    let mut body = Vec::new();
    let keys: Vec<_> =
        (0..3).map(|n| properties(&[("UNIQ_KEY", &format!("K{n}")), ("TAGS", &format!("T{n}"))])).collect();
    for (n, properties) in keys.iter().enumerate() {
        encode_item(&mut body, BatchItem { flag: n as i32, body: b"x", properties });
    }
    let batch = Send {
        is_batch: true,
        body: &body,
        properties: "UNIQ_KEY\x01K0,K1,K2\x02WAIT\x01true\x02",
        ..message("T", "")
    };
    let (ticket, placed) = rig.send(&batch).unwrap();
    assert_eq!((ticket.count(), placed.len()), (3, 3));
    let stored = rig.messages("T", 0);
    for (n, message) in stored.iter().enumerate() {
        assert_eq!(message.at, QueueOffset(n as u64));
        assert_eq!(message.physical, placed[n].physical);
        assert_eq!(message.property("UNIQ_KEY"), Some(format!("K{n}").as_str()));
        assert_eq!(message.tags, TagsCode::of(Some(&format!("T{n}"))));
    }

    // One bad message: nothing of the batch is stored.
    let mut delayed = body.clone();
    encode_item(&mut delayed, BatchItem { flag: 0, body: b"x", properties: "DELAY\x013\x02" });
    for body in [&delayed[..], &body[..body.len() - 1], b""] {
        assert!(matches!(rig.send(&Send { body, ..batch }), Err(SendError::Illegal(_))));
    }
    assert!(matches!(rig.send(&Send { topic: "%RETRY%G", ..batch }), Err(SendError::Illegal(_))));
    assert_eq!(rig.messages("T", 0).len(), 3);
}

/// After a crash a broker believes what they say.
#[test]
fn only_a_front_end_that_says_so_sets_the_marks_of_mqtt() {
    let rig = Rig::new();
    let mut pairs = names::MARKS.map(|name| (name, "1")).to_vec();
    pairs.push(("mqttExpiresAt", "7"));
    let marked = properties(&pairs);
    rig.sent(&Send { properties: &marked, ..message("T", "alone") });
    let mut body = Vec::new();
    encode_item(&mut body, BatchItem { flag: 0, body: b"of a batch", properties: &marked });
    rig.sent(&Send { body: &body, is_batch: true, ..message("T", "") });
    let mut sends = SendBatch::with_marks();
    rig.broker.prepare(&mut sends, &Send { properties: &marked, ..message("T", "its own") }).unwrap();
    rig.broker.commit(&mut sends).unwrap();

    let messages = rig.messages("T", 0);
    assert_eq!(bodies(&messages), ["alone", "of a batch", "its own"]);
    for (message, is_kept) in messages.iter().zip([false, false, true]) {
        for name in names::MARKS {
            assert_eq!(message.property(name).is_some(), is_kept, "{name} of {message:?}");
        }
        assert_eq!(message.property("mqttExpiresAt"), Some("7"), "what is no mark stays");
    }
}

#[test]
fn sends_that_come_together_are_stored_in_order_and_refused_one_by_one() {
    let rig = Rig::new();
    let mut sends = SendBatch::new();
    let first = rig.broker.prepare(&mut sends, &message("T", "a")).unwrap();
    assert!(rig.broker.prepare(&mut sends, &message("a b", "x")).is_err());
    let last = rig.broker.prepare(&mut sends, &message("T", "b")).unwrap();
    rig.broker.commit(&mut sends).unwrap();
    assert_eq!(bodies(&rig.messages("T", 0)), ["a", "b"]);
    let offset = |ticket| sends.placed(ticket)[0].queue_offset;
    assert_eq!((offset(first), offset(last)), (QueueOffset(0), QueueOffset(1)));
}

/// Connections remember the topic that they sent to last.
#[test]
fn a_topic_that_changes_is_looked_up_again() {
    let rig = Rig::with(|config| config.auto_create_topics = false);
    let mut sends = SendBatch::new();
    rig.broker.put_topic(topic("T", 1)).unwrap();
    rig.broker.prepare(&mut sends, &message("T", "a")).unwrap();
    rig.broker.put_topic(topic("T", 2)).unwrap();
    rig.broker.prepare(&mut sends, &Send { queue: Some(QueueId(1)), ..message("T", "a") }).unwrap();
    rig.broker.put_topic(topic("T", 2).with_perm(Permission(Permission::READ))).unwrap();
    assert!(matches!(rig.broker.prepare(&mut sends, &message("T", "a")), Err(SendError::NotWritable(_))));
    rig.broker.delete_topic(&TopicName::new("T").unwrap()).unwrap();
    assert!(matches!(rig.broker.prepare(&mut sends, &message("T", "a")), Err(SendError::NoTopic(_))));
    rig.broker.put_topic(topic("T", 1)).unwrap();
    sends.clear();
    let ticket = rig.broker.prepare(&mut sends, &message("T", "b")).unwrap();
    rig.broker.commit(&mut sends).unwrap();
    assert_eq!(sends.placed(ticket).len(), 1);
    assert_eq!(bodies(&rig.messages("T", 0)), ["b"]);
}

#[test]
fn a_delay_level_sends_a_message_to_wait_with_its_destination() {
    let rig = Rig::new();
    for (asked, level) in [("3", 3), ("99", 18)] {
        let delayed = properties(&[("DELAY", asked), ("TAGS", "A"), ("TIMER_DELAY_SEC", "5")]);
        let send = Send { properties: &delayed, queue: Some(QueueId(2)), ..message("T", "later") };
        let (ticket, placed) = rig.send(&send).unwrap();
        assert_eq!(ticket.queue, QueueId(2), "the sender is told its own queue");
        let [waiting] = &rig.messages("SCHEDULE_TOPIC_XXXX", level - 1)[..] else { panic!() };
        let due = placed[0].stored.plus(rig.broker.config().delay_levels.span(level));
        assert_eq!(waiting.tags, TagsCode(due.0), "the entry says when it is due");
        assert_eq!(waiting.property("REAL_TOPIC"), Some("T"));
        assert_eq!(waiting.property("REAL_QID"), Some("2"));
        assert_eq!(waiting.property("DELAY"), Some(level.to_string().as_str()));
        assert_eq!(waiting.property("TIMER_DELAY_SEC"), None, "a level wins");
    }
    for not_delayed in ["0", "-1", "soon"] {
        let text = properties(&[("DELAY", not_delayed)]);
        rig.sent(&Send { properties: &text, ..message("now", not_delayed) });
    }
    assert_eq!(bodies(&rig.messages("now", 0)), ["0", "-1", "soon"]);
}

#[test]
fn a_retry_that_was_tried_too_often_is_a_dead_letter() {
    let rig = Rig::new();
    let delayed = properties(&[("DELAY", "4"), ("RETRY_TOPIC", "T")]);
    let retry = |times, max| Send {
        properties: &delayed,
        reconsume_times: times,
        max_reconsume_times: max,
        ..message("%RETRY%G", "x")
    };
    let dead = || rig.messages("%DLQ%G", 0).len();
    rig.sent(&retry(16, None));
    rig.sent(&retry(3, Some(3)));
    assert_eq!((rig.messages("SCHEDULE_TOPIC_XXXX", 3).len(), dead()), (2, 0), "the limit itself is allowed");
    rig.sent(&retry(17, None));
    rig.sent(&retry(4, Some(3)));
    assert_eq!(dead(), 2);
    let letter = &rig.messages("%DLQ%G", 0)[0];
    assert_eq!((letter.property("DELAY"), letter.property("RETRY_TOPIC")), (Some("-1"), Some("T")));

    // Members that consume in order retry by themselves: what they send is given up, while they hold a lock.
    let queue = LockedQueue { broker: "broker-a".into(), topic: "T".into(), queue: QueueId(0) };
    rig.broker.locks().lock("G", "client", vec![queue], rig.broker.store().now());
    rig.sent(&retry(1, None));
    assert_eq!(dead(), 3);
    rig.host.advance(Millis(60_001));
    rig.sent(&retry(1, None));
    assert_eq!(dead(), 3);
    let dlq = rig.broker.topics().find("%DLQ%G").unwrap();
    assert_eq!((dlq.queue_count(), dlq.config().perm), (1, Permission::READ_WRITE));
}

#[test]
fn retries_of_groups_that_may_not_come_into_being_are_refused() {
    let rig = Rig::with(|config| config.auto_create_groups = false);
    assert!(matches!(rig.send(&message("%RETRY%G", "x")), Err(SendError::Group(_))));
}

#[test]
fn a_topic_with_several_tags_marks_its_messages() {
    let rig = Rig::new();
    let mut config = topic("T", 1);
    config.topic_filter_type = TopicFilterType::MultiTag;
    rig.broker.put_topic(config).unwrap();
    rig.sent(&message("T", "a"));
    assert_eq!(rig.messages("T", 0)[0].sys_flag, SysFlag::MULTI_TAGS);
    assert_eq!(rig.messages("T", 0)[0].born, Timestamp(1_699_999_999_000));
}

#[test]
fn a_sender_is_told_the_key_that_the_broker_made() {
    let rig = Rig::new();
    let mut sends = SendBatch::new();
    let ticket = |sends: &mut SendBatch, properties: &str| {
        rig.broker.prepare(sends, &Send { properties, ..message("T", "x") }).unwrap()
    };
    let tickets = ["", "UNIQ_KEY\x01K\x02", "TAGS\x01A\x02"].map(|properties| ticket(&mut sends, properties));
    rig.broker.commit(&mut sends).unwrap();
    let stored = rig.messages("T", 0);
    let made = tickets.map(|ticket| sends.made_key(ticket));
    assert_eq!(made, [stored[0].property("UNIQ_KEY"), None, stored[2].property("UNIQ_KEY")]);
    assert!(made[0] != made[2] && made[0].is_some_and(|key| key.len() == 32));
}
