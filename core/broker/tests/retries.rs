//! Messages that come again: sent back, delayed, dead, and what a restart makes of those that wait.

mod support;

use ferromq_broker::retry::{SendBack, SendBackError};
use ferromq_broker::send::Send;
use ferromq_model::message::TagsCode;
use ferromq_model::topic::{Permission, TopicConfig};
use ferromq_model::{Millis, PhysicalOffset, QueueId, QueueOffset, TopicName};
use support::{Message, Rig, bodies, message, properties};

fn back(offset: PhysicalOffset) -> SendBack<'static> {
    SendBack { group: "G", offset, delay_level: 0, max_reconsume_times: None }
}

/// The group's settings, changed.
fn set_group(rig: &Rig, change: impl FnOnce(&mut ferromq_model::group::SubscriptionGroupConfig)) {
    let mut config = (*rig.broker.groups().find_or_create("G").unwrap()).clone();
    change(&mut config);
    rig.broker.groups().put(config).unwrap();
}

/// Waits until the queue has so many messages; the clock has to be where they are due.
async fn delivered(rig: &Rig, topic: &str, queue: u32, count: u64) -> Vec<Message> {
    let queue_ = rig.broker.store().queue(&TopicName::new(topic).unwrap(), QueueId(queue));
    queue_.wait_beyond(QueueOffset(count - 1)).await;
    rig.messages(topic, queue)
}

#[tokio::test(start_paused = true)]
async fn a_message_comes_again_later_each_time_until_it_is_a_dead_letter() {
    let rig = Rig::new();
    let broker = rig.broker.clone();
    let tasks = tokio::spawn(async move { broker.run().await });
    set_group(&rig, |config| config.retry_max_times = 3);
    let sent = properties(&[("UNIQ_KEY", "U"), ("TAGS", "A"), ("WAIT", "true")]);
    let first = rig.sent(&Send { properties: &sent, flag: 7, ..message("T", "x") });
    let origin = rig.broker.message_id(first.physical).to_string();
    let mut last = rig.messages("T", 0).remove(0);
    for times in 1..=3u32 {
        rig.broker.send_back(&back(last.physical)).unwrap().unwrap();
        let waiting = rig.messages("SCHEDULE_TOPIC_XXXX", 2 + times - 1);
        let level = (2 + times).to_string();
        assert_eq!(waiting[0].property("DELAY"), Some(level.as_str()), "levels go up from 3");
        let retries = rig.messages("%RETRY%G", 0).len();
        assert_eq!(retries as u32, times - 1, "not before it is due");
        rig.host.advance(rig.broker.config().delay_levels.span(2 + times));
        last = delivered(&rig, "%RETRY%G", 0, u64::from(times)).await.pop().unwrap();
        assert_eq!(
            (last.body.as_str(), last.reconsume_times as u32, last.tags),
            ("x", times, TagsCode::of(Some("A")))
        );
        for (name, value) in [
            ("UNIQ_KEY", "U"),
            ("RETRY_TOPIC", "T"),
            ("ORIGIN_MESSAGE_ID", &*origin),
            ("REAL_TOPIC", "%RETRY%G"),
        ] {
            assert_eq!(last.property(name), Some(value), "{name}");
            assert_eq!(last.properties.matches(name).count(), 1, "{name}");
        }
        assert_eq!(last.property("WAIT"), Some("false"));
        assert_eq!(last.born, rig.messages("T", 0)[0].born);
    }
    rig.broker.send_back(&back(last.physical)).unwrap().unwrap();
    let letter = &rig.messages("%DLQ%G", 0)[0];
    assert_eq!((letter.reconsume_times, letter.property("DELAY")), (4, Some("0")));
    assert_eq!(letter.property("ORIGIN_MESSAGE_ID"), Some(origin.as_str()));
    rig.broker.stop();
    tasks.await.unwrap();
}

#[test]
fn the_consumer_decides_on_the_wait_and_on_the_limit() {
    let rig = Rig::new();
    let sent = rig.sent(&message("T", "x")).physical;
    let waiting = |level: u32| rig.messages("SCHEDULE_TOPIC_XXXX", level - 1).len();
    rig.broker.send_back(&SendBack { delay_level: 5, ..back(sent) }).unwrap();
    rig.broker.send_back(&SendBack { delay_level: 99, ..back(sent) }).unwrap();
    assert_eq!((waiting(5), waiting(18)), (1, 1));
    rig.broker.send_back(&SendBack { delay_level: -1, ..back(sent) }).unwrap();
    rig.broker.send_back(&SendBack { max_reconsume_times: Some(0), ..back(sent) }).unwrap();
    assert_eq!(rig.messages("%DLQ%G", 0).len(), 2);
}

#[test]
fn what_cannot_be_sent_back_is_refused() {
    let rig = Rig::new();
    let sent = rig.sent(&message("T", "x")).physical;
    for offset in [PhysicalOffset(sent.0 + 1), PhysicalOffset(1 << 40)] {
        let refused = rig.broker.send_back(&back(offset)).unwrap_err();
        assert_eq!(refused.to_string(), format!("look message by offset failed, {offset}"));
    }
    set_group(&rig, |config| config.retry_queue_nums = 0);
    assert_eq!(rig.broker.send_back(&back(sent)).unwrap(), None, "a group without retries wants none");
    set_group(&rig, |config| config.retry_queue_nums = 1);
    let full = format!("k\x01{}\x02", "v".repeat(32_600));
    let full = rig.sent(&Send { properties: &full, ..message("T", "x") }).physical;
    assert!(matches!(rig.broker.send_back(&back(full)), Err(SendBackError::Topic(_))));
    let retry =
        TopicConfig::new(TopicName::new("%RETRY%G").unwrap(), 1).with_perm(Permission(Permission::READ));
    rig.broker.put_topic(retry).unwrap();
    assert!(matches!(rig.broker.send_back(&back(sent)), Err(SendBackError::NotWritable(_))));

    let closed = Rig::with(|config| config.auto_create_groups = false);
    assert!(matches!(closed.broker.send_back(&back(sent)), Err(SendBackError::Group(_))));
}

/// More retry queues than the topic had when it was made: messages went to queues that there are not, and were lost.
#[tokio::test(start_paused = true)]
async fn a_group_that_wants_more_retry_queues_loses_nothing() {
    let rig = Rig::new();
    rig.join("G", "c", &[("T", "*")]);
    set_group(&rig, |config| config.retry_queue_nums = 4);
    let sent = rig.sent(&message("T", "x")).physical;
    for _ in 0..8 {
        rig.broker.send_back(&SendBack { delay_level: 1, ..back(sent) }).unwrap();
    }
    rig.host.advance(Millis::secs(1));
    let broker = rig.broker.clone();
    let tasks = tokio::spawn(async move { broker.run().await });
    assert_eq!(delivered(&rig, "%RETRY%G", 0, 8).await.len(), 8);
    rig.broker.stop();
    tasks.await.unwrap();
}

fn delayed(rig: &Rig, body: &str, level: u32, queue: u32) {
    let text = properties(&[("DELAY", &level.to_string()), ("UNIQ_KEY", body)]);
    rig.sent(&Send { properties: &text, queue: Some(QueueId(queue)), ..message("T", body) });
}

#[tokio::test(start_paused = true)]
async fn delayed_messages_are_delivered_when_due_and_in_order() {
    let rig = Rig::new();
    let broker = rig.broker.clone();
    let tasks = tokio::spawn(async move { broker.run().await });
    for n in 0..100 {
        delayed(&rig, &format!("five {n}"), 2, 0);
    }
    delayed(&rig, "one", 1, 0);
    rig.host.advance(Millis(999));
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(rig.messages("T", 0), []);
    rig.host.advance(Millis(1));
    assert_eq!(bodies(&delivered(&rig, "T", 0, 1).await), ["one"]);
    rig.host.advance(Millis::secs(4));
    let all = delivered(&rig, "T", 0, 101).await;
    let expected: Vec<_> = (0..100).map(|n| format!("five {n}")).collect();
    assert_eq!(bodies(&all[1..]), expected);
    assert_eq!(all[1].property("UNIQ_KEY"), Some("five 0"));
    rig.broker.stop();
    tasks.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_restart_delivers_what_waits_and_nothing_twice() {
    let rig = Rig::new();
    let broker = rig.broker.clone();
    let tasks = tokio::spawn(async move { broker.run().await });
    delayed(&rig, "before", 1, 0);
    rig.host.advance(Millis::secs(1));
    delivered(&rig, "T", 0, 1).await;
    delayed(&rig, "across", 1, 0);
    rig.broker.stop();
    tasks.await.unwrap();

    let rig = rig.restart();
    rig.host.advance(Millis::hours(1));
    let broker = rig.broker.clone();
    let tasks = tokio::spawn(async move { broker.run().await });
    delayed(&rig, "after", 1, 0);
    delivered(&rig, "T", 0, 2).await;
    rig.host.advance(Millis::secs(1));
    assert_eq!(bodies(&delivered(&rig, "T", 0, 3).await), ["before", "across", "after"]);
    rig.broker.stop();
    tasks.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_topic_that_changes_goes_where_it_can_be_read() {
    let rig = Rig::new();
    let topic = |queues| TopicConfig::new(TopicName::new("T").unwrap(), queues);
    rig.broker.put_topic(topic(4)).unwrap();
    delayed(&rig, "shrunk", 1, 3);
    rig.broker.put_topic(topic(2)).unwrap();
    let gone = properties(&[("DELAY", "1")]);
    rig.sent(&Send { properties: &gone, ..message("gone", "x") });
    rig.broker.delete_topic(&TopicName::new("gone").unwrap()).unwrap();
    delayed(&rig, "behind", 1, 1);
    rig.host.advance(Millis::secs(1));
    let broker = rig.broker.clone();
    let tasks = tokio::spawn(async move { broker.run().await });
    assert_eq!(bodies(&delivered(&rig, "T", 1, 2).await), ["shrunk", "behind"]);
    assert!(rig.broker.topics().find("gone").is_none());
    rig.broker.stop();
    tasks.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_damaged_message_does_not_hold_up_those_behind_it() {
    use std::os::unix::fs::FileExt as _;
    let rig = Rig::new();
    for body in ["a", "b", "c"] {
        delayed(&rig, body, 1, 0);
    }
    let damaged = rig.messages("SCHEDULE_TOPIC_XXXX", 0)[1].physical;
    let log = rig.dir.path().join("commitlog/00000000000000000000");
    let log = std::fs::OpenOptions::new().write(true).open(log).unwrap();
    // The record's magic.
    log.write_all_at(&[0xFF; 4], damaged.0 + 4).unwrap();
    rig.host.advance(Millis::secs(1));
    let broker = rig.broker.clone();
    let tasks = tokio::spawn(async move { broker.run().await });
    assert_eq!(bodies(&delivered(&rig, "T", 0, 2).await), ["a", "c"]);
    rig.broker.stop();
    tasks.await.unwrap();
}

/// Progress of delay levels is saved now and then: a crash in between used to deliver again what had come since.
#[tokio::test(start_paused = true)]
async fn a_crash_behind_a_delivery_delivers_nothing_twice() {
    let mut rig = Rig::new();
    let delayed = properties(&[("DELAY", "1"), ("UNIQ_KEY", "U")]);
    for round in 0..2u64 {
        let broker = rig.broker.clone();
        let tasks = tokio::spawn(async move { broker.run().await });
        // Two that have everything in common are two, not one and its copy.
        for _ in 0..2 {
            rig.sent(&Send { properties: &delayed, ..message("T", "x") });
        }
        rig.host.advance(Millis::secs(1));
        assert_eq!(delivered(&rig, "T", 0, round * 2 + 2).await.len() as u64, round * 2 + 2);
        if round == 0 {
            rig.broker.save_progress();
        } else {
            let crashed = rig.crash();
            tasks.await.unwrap();
            rig = crashed;
            break;
        }
        rig.broker.stop();
        tasks.await.unwrap();
        rig = rig.restart();
    }
    let broker = rig.broker.clone();
    let tasks = tokio::spawn(async move { broker.run().await });
    rig.sent(&Send { properties: &properties(&[("DELAY", "1"), ("UNIQ_KEY", "V")]), ..message("T", "last") });
    rig.host.advance(Millis::secs(1));
    let all = delivered(&rig, "T", 0, 5).await;
    assert_eq!(bodies(&all), ["x", "x", "x", "x", "last"]);
    rig.broker.stop();
    tasks.await.unwrap();
}

/// Before progress was ever saved, a crash used to deliver again what had come since the broker's first start.
#[tokio::test(start_paused = true)]
async fn a_crash_soon_after_the_first_start_delivers_nothing_twice() {
    let mut rig = Rig::new();
    for round in 1..=2 {
        let broker = rig.broker.clone();
        let tasks = tokio::spawn(async move { broker.run().await });
        delayed(&rig, &format!("message {round}"), 1, 0);
        rig.host.advance(Millis::secs(1));
        delivered(&rig, "T", 0, round).await;
        rig = rig.crash();
        tasks.await.unwrap();
    }
    let broker = rig.broker.clone();
    let tasks = tokio::spawn(async move { broker.run().await });
    delayed(&rig, "last", 1, 0);
    rig.host.advance(Millis::secs(1));
    assert_eq!(bodies(&delivered(&rig, "T", 0, 3).await), ["message 1", "message 2", "last"]);
    rig.broker.stop();
    tasks.await.unwrap();
}
