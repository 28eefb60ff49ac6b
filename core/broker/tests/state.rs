//! What the broker remembers: topics, groups and offsets, across restarts and crashes.

mod support;

use ferromq_broker::Position;
use ferromq_broker::assignment::{GroupMode, RequestMode, SetModeError};
use ferromq_broker::groups::{GroupError, MAX_GROUP_LEN, MAX_RETRY_QUEUES};
use ferromq_broker::topics::{MAX_QUEUES, TopicError};
use ferromq_model::group::SubscriptionGroupConfig;
use ferromq_model::topic::TopicConfig;
use ferromq_model::{GroupName, QueueId, QueueOffset, TopicName};
use support::{Rig, bodies, heartbeat, message, peer};

const QUEUE: QueueId = QueueId(0);

fn topic(name: &str, queues: u32) -> TopicConfig {
    TopicConfig::new(TopicName::new(name).unwrap(), queues)
}

#[test]
fn offsets_end_with_the_queue_may_go_back_and_survive() {
    let rig = Rig::new();
    for _ in 0..5 {
        rig.sent(&message("T", "x"));
    }
    let commit = |rig: &Rig, at| rig.broker.commit_offset("G", "T", QUEUE, QueueOffset(at));
    let position = |rig: &Rig| rig.broker.position("G", "T", QUEUE, false);
    commit(&rig, 99);
    assert_eq!(position(&rig), Position::At(QueueOffset(5)));
    commit(&rig, 2);
    let rig = rig.restart();
    assert_eq!(position(&rig), Position::At(QueueOffset(2)));
    rig.broker.delete_group("G", true).unwrap();
    assert_eq!(position(&rig), Position::Unknown);
}

#[test]
fn a_group_without_an_offset_begins_at_a_young_queues_start() {
    let rig = Rig::new();
    rig.broker.put_topic(topic("T", 1)).unwrap();
    let position = |young| rig.broker.position("G", "T", QUEUE, young);
    assert_eq!(position(true), Position::At(QueueOffset(0)), "an empty queue is as young as can be");
    rig.sent(&message("T", "x"));
    assert_eq!(position(true), Position::At(QueueOffset(0)));
    assert_eq!(position(false), Position::Unknown);
}

#[test]
fn a_deleted_topic_takes_everything_with_it() {
    let rig = Rig::new();
    rig.sent(&message("T", "x"));
    rig.broker.commit_offset("G", "T", QUEUE, QueueOffset(1));
    let name = TopicName::new("T").unwrap();
    rig.broker.delete_topic(&name).unwrap();
    rig.broker.delete_topic(&name).unwrap();
    let rig = rig.restart();
    assert!(rig.broker.topics().find("T").is_none());
    assert_eq!(rig.broker.offsets().find("G", "T", QUEUE), None);
    rig.sent(&message("T", "y"));
    assert_eq!(bodies(&rig.messages("T", 0)), ["y"]);
    assert_eq!(rig.messages("T", 0)[0].at, QueueOffset(0));
}

/// A topic's messages were deleted at a start when its file had lost the topic.
#[test]
fn a_topic_that_the_file_has_lost_keeps_its_messages() {
    for lost in ["topics.json", "topics.json.bak"] {
        let rig = Rig::new();
        rig.sent(&message("A", "a"));
        rig.sent(&message("T", "x"));
        let rig = rig.restart_after(|dir| {
            let config = dir.join("config");
            if lost == "topics.json" {
                // The backup is older than T.
                std::fs::remove_file(config.join(lost)).unwrap();
            } else {
                std::fs::remove_file(config.join(lost)).unwrap();
                std::fs::remove_file(config.join("topics.json")).unwrap();
            }
        });
        assert_eq!(bodies(&rig.messages("T", 0)), ["x"], "without {lost}");
        assert!(rig.broker.topics().find("T").is_some());
        rig.sent(&message("T", "y"));
        assert_eq!(bodies(&rig.messages("T", 0)), ["x", "y"]);
    }
}

#[test]
fn topics_of_the_broker_cannot_be_changed_or_deleted() {
    let rig = Rig::new();
    for name in [
        "TBW102",
        "SCHEDULE_TOPIC_XXXX",
        "rmq_sys_x",
        "DefaultCluster",
        "broker-a",
        "DefaultCluster_REPLY_TOPIC",
    ] {
        let refused = rig.broker.put_topic(topic(name, 1)).unwrap_err();
        assert_eq!(refused.to_string(), format!("The topic[{name}] is conflict with system topic."));
        assert!(matches!(
            rig.broker.delete_topic(&TopicName::new(name).unwrap()),
            Err(TopicError::System(_))
        ));
    }
    let refused = rig.broker.put_topic(topic("T", MAX_QUEUES + 1));
    assert!(matches!(refused, Err(TopicError::OutOfRange { .. })));
}

#[test]
fn topics_and_groups_that_come_at_once_are_all_there_behind_a_crash() {
    const THREADS: usize = 8;
    let rig = Rig::new();
    let name = |i: usize, kind: &str| format!("{kind}{}", i / 2);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let broker = &rig.broker;
            // Each is made by two threads.
            scope.spawn(move || {
                for i in (thread / 2 * 2..100).step_by(THREADS) {
                    let made =
                        broker.topics().find_or_put(&name(i, "T"), || topic(&name(i, "T"), 3)).unwrap();
                    assert_eq!(made.queue_count(), 3);
                    broker.groups().find_or_create(&name(i, "G")).unwrap();
                }
            });
        }
    });
    let rig = rig.crash();
    for i in (0..100).step_by(2) {
        assert!(rig.broker.topics().find(&name(i, "T")).is_some());
        assert!(rig.broker.groups().find(&name(i, "G")).is_some());
    }
}

#[test]
fn what_cannot_be_saved_did_not_happen() {
    let rig = Rig::new();
    rig.broker.put_topic(topic("T", 1)).unwrap();
    rig.broker.groups().find_or_create("G").unwrap();
    let blocks = ["topics.json.new", "subscriptionGroup.json.new"]
        .map(|name| rig.dir.path().join("config").join(name));
    blocks.iter().for_each(|path| std::fs::create_dir(path).unwrap());
    let version = rig.broker.topics().snapshot().0;
    assert!(matches!(rig.broker.put_topic(topic("T", 2)), Err(TopicError::Save(_))));
    assert!(matches!(rig.broker.topics().remove(&TopicName::new("T").unwrap()), Err(TopicError::Save(_))));
    assert!(matches!(rig.broker.groups().find_or_create("H"), Err(GroupError::Save(_))));
    assert_eq!(rig.broker.topics().find("T").unwrap().queue_count(), 1);
    assert_eq!(rig.broker.topics().snapshot().0, version);
    assert!(rig.broker.groups().find("H").is_none());
    blocks.iter().for_each(|path| std::fs::remove_dir(path).unwrap());
    rig.broker.put_topic(topic("T", 2)).unwrap();
    assert_eq!(rig.broker.topics().find("T").unwrap().queue_count(), 2);
}

#[test]
fn group_settings_survive_and_are_bounded() {
    let rig = Rig::new();
    let group = |name: &str| SubscriptionGroupConfig::new(GroupName::new(name).unwrap());
    let mut config = group("G");
    config.retry_max_times = 5;
    rig.broker.groups().put(config).unwrap();
    let mut config = group("G");
    config.retry_queue_nums = MAX_RETRY_QUEUES + 1;
    assert!(matches!(rig.broker.groups().put(config), Err(GroupError::RetryQueues(_))));
    let rig = rig.restart();
    assert_eq!(rig.broker.groups().find("G").unwrap().retry_max_times, 5);
    assert!(rig.broker.groups().find("TOOLS_CONSUMER").is_some());
    rig.broker.delete_group("G", false).unwrap();
    let rig = rig.restart();
    assert!(rig.broker.groups().find("G").is_none());
}

/// The retry topic of a longer name is no valid topic: the next start could not read its own file.
#[test]
fn a_heartbeat_of_a_group_with_too_long_a_name_harms_nobody() {
    let rig = Rig::new();
    for len in [MAX_GROUP_LEN, MAX_GROUP_LEN + 1, 255] {
        rig.broker.heartbeat(&peer(1), heartbeat(&"g".repeat(len), "c", &[("T", "*")]));
    }
    let rig = rig.restart();
    let exists = |len| rig.broker.groups().find(&"g".repeat(len)).is_some();
    assert_eq!((exists(MAX_GROUP_LEN), exists(MAX_GROUP_LEN + 1)), (true, false));
    assert!(rig.broker.topics().find(&format!("%RETRY%{}", "g".repeat(MAX_GROUP_LEN))).is_some());
}

#[test]
fn how_a_group_consumes_survives_and_goes_with_its_topic() {
    let rig = Rig::new();
    rig.broker.put_topic(topic("T", 1)).unwrap();
    rig.broker.put_topic(topic("U", 1)).unwrap();
    rig.join("G", "C", &[("T", "*")]);
    let popping = GroupMode { mode: RequestMode::Pop, pop_share: 2 };
    let pulling = GroupMode { mode: RequestMode::Pull, pop_share: -1 };
    for topic in ["T", "U"] {
        rig.broker.set_request_mode("G", topic, popping).unwrap();
    }
    let rig = rig.restart();
    assert_eq!(rig.broker.request_mode("G", "T"), popping);
    assert_eq!(rig.broker.request_mode("H", "T"), pulling);
    rig.broker.delete_topic(&TopicName::new("T").unwrap()).unwrap();
    let rig = rig.restart();
    assert_eq!(rig.broker.request_mode("G", "T"), pulling);
    assert_eq!(rig.broker.request_mode("G", "U"), popping);
    rig.broker.delete_group("G", false).unwrap();
    assert_eq!(rig.broker.request_mode("G", "U"), pulling);
}

#[test]
fn how_a_group_consumes_can_be_set_before_it_is_there() {
    let popping = GroupMode { mode: RequestMode::Pop, pop_share: 0 };
    let rig = Rig::new();
    rig.broker.put_topic(topic("T", 1)).unwrap();
    rig.broker.set_request_mode("G", "T", popping).unwrap();
    assert!(rig.broker.groups().find("G").is_some());
    let rig = rig.restart();
    assert_eq!(rig.broker.request_mode("G", "T"), popping);

    let closed = Rig::with(|config| config.auto_create_groups = false);
    closed.broker.put_topic(topic("T", 1)).unwrap();
    let refused = closed.broker.set_request_mode("G", "T", popping);
    assert!(matches!(refused, Err(SetModeError::Group(GroupError::Unknown(_)))), "{refused:?}");
}
