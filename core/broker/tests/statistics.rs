//! Statistics on a clock that the test moves: what is counted, and how minutes, hours and days pass.

mod support;

use ferromq_broker::pull::{Accepted, Pull, Wanted};
use ferromq_broker::retry::SendBack;
use ferromq_broker::stats::{Amount, Figures, MAX_GROUPS_OF_TOPIC, Period, Series};
use ferromq_model::group::SubscriptionGroupConfig;
use ferromq_model::topic::TopicConfig;
use ferromq_model::{GroupName, Millis, QueueId, QueueOffset, TopicName};
use support::{Rig, message};

fn rig() -> Rig {
    let rig = Rig::new();
    rig.broker.put_topic(TopicConfig::new(TopicName::new("T").unwrap(), 2)).unwrap();
    rig
}

/// Lets `span` pass, with a sample each second.
fn pass(rig: &Rig, span: Millis) {
    for _ in 0..span.0 / 1000 {
        rig.host.advance(Millis::secs(1));
        rig.broker.sample_stats();
    }
}

fn pull(rig: &Rig, group: &str, from: u64) {
    let ask = Pull {
        group,
        topic: "T",
        queue: Some(QueueId(0)),
        from: Some(QueueOffset(from)),
        max: 32,
        commit: None,
        wanted: Wanted::Expression { text: "*", kind: None },
        hold: None,
    };
    assert!(matches!(rig.broker.pull(&ask), Ok(Accepted::Now(_))));
}

fn puts(rig: &Rig, topic: &str) -> Option<Series> {
    rig.broker.topics().find(topic)?.stats().puts()
}

fn sums(series: &Series) -> [u64; 3] {
    Period::ALL.map(|period| series.figures(period, Amount::Messages).sum)
}

#[test]
fn what_is_put_is_counted_by_topic_queue_and_broker() {
    let rig = rig();
    rig.broker.sample_stats();
    assert!(puts(&rig, "T").is_none(), "nothing was counted yet");
    for queue in [0, 0, 1] {
        rig.sent(&ferromq_broker::send::Send { queue: Some(QueueId(queue)), ..message("T", "0123456789") });
    }
    pass(&rig, Millis::secs(10));
    let topic = rig.broker.topics().find("T").unwrap();
    let series = topic.stats().puts().unwrap();
    let bytes = rig.broker.store().appended().bytes;
    let figures = series.figures(Period::Minute, Amount::Bytes);
    assert_eq!((figures.sum, figures.per_call), (bytes, bytes as f64 / 3.0));
    assert_eq!(series.figures(Period::Minute, Amount::Messages).per_second, 0.3);
    let of_queue = |id| sums(&topic.stats().queue_puts(QueueId(id)).unwrap())[0];
    assert_eq!((of_queue(0), of_queue(1)), (2, 1));
    assert!(topic.stats().queue_puts(QueueId(2)).is_none());
    assert_eq!(sums(&rig.broker.stats().puts().unwrap())[0], 3);
    let totals = rig.broker.totals();
    assert_eq!((totals.put, totals.put_bytes), (3, bytes));
}

#[test]
fn a_minute_an_hour_and_a_day_end_each_in_its_time() {
    let rig = rig();
    rig.broker.sample_stats();
    rig.sent(&message("T", "x"));
    pass(&rig, Millis::secs(10));
    assert_eq!(sums(&puts(&rig, "T").unwrap()), [1, 0, 0], "the hour is looked at every ten minutes");
    pass(&rig, Millis::secs(60));
    assert_eq!(sums(&puts(&rig, "T").unwrap()), [0, 0, 0], "the minute is over");
    pass(&rig, Millis::mins(9));
    assert_eq!(sums(&puts(&rig, "T").unwrap()), [0, 1, 0]);
    pass(&rig, Millis::mins(50));
    assert_eq!(sums(&puts(&rig, "T").unwrap()), [0, 1, 1]);
    pass(&rig, Millis::mins(10));
    assert_eq!(sums(&puts(&rig, "T").unwrap()), [0, 0, 1], "the hour is over");
    pass(&rig, Millis::hours(22));
    assert_eq!(sums(&puts(&rig, "T").unwrap()), [0, 0, 1]);
    pass(&rig, Millis::hours(2));
    assert_eq!(sums(&puts(&rig, "T").unwrap()), [0, 0, 0], "the day is over");
}

#[test]
fn totals_of_this_and_the_last_morning_are_those_of_midnight() {
    let rig = rig();
    rig.broker.sample_stats();
    let mornings = || rig.broker.stats().mornings();
    assert_eq!((mornings().today.put, mornings().yesterday.put), (0, 0));
    // Whatever zone the machine is in, each of these spans crosses midnight once.
    for (sent, expected) in [(5, (5, 0)), (2, (7, 5)), (0, (7, 7))] {
        for _ in 0..sent {
            rig.sent(&message("T", "x"));
        }
        rig.broker.sample_stats();
        rig.host.advance(Millis::hours(24));
        rig.broker.sample_stats();
        assert_eq!((mornings().today.put, mornings().yesterday.put), expected);
    }
}

#[test]
fn reads_are_counted_by_group_with_what_they_found() {
    let rig = rig();
    rig.broker.sample_stats();
    for _ in 0..4 {
        rig.sent(&message("T", "x"));
    }
    pull(&rig, "G", 0);
    pull(&rig, "G", 2);
    pull(&rig, "G", 4);
    pull(&rig, "H", 3);
    pass(&rig, Millis::secs(10));
    let topic = rig.broker.topics().find("T").unwrap();
    let of_group = |group: &str| {
        let series = topic.stats().group(group).unwrap().got.series().unwrap();
        series.figures(Period::Minute, Amount::Messages)
    };
    let Figures { sum, per_second, per_call } = of_group("G");
    assert_eq!((sum, per_second, per_call), (6, 0.6, 3.0));
    assert_eq!(of_group("H").sum, 1);
    assert_eq!(rig.broker.get_rate("G", &topic), 0.6);
    let totals = rig.broker.totals();
    assert_eq!((totals.got, totals.found, totals.missed), (7, 3, 1));
    let rates = rig.broker.stats().rates(10);
    assert_eq!((rates.got, rates.found, rates.missed, rates.put), (0.7, 0.3, 0.1, 0.4));
}

#[test]
fn messages_sent_back_are_counted_where_they_came_from() {
    let rig = rig();
    let mut group = SubscriptionGroupConfig::new(GroupName::new("G").unwrap());
    group.retry_max_times = 1;
    rig.broker.groups().put(group).unwrap();
    let offset = rig.sent(&message("T", "x")).physical;
    for delay_level in [0, -1] {
        let ask = SendBack { group: "G", offset, delay_level, max_reconsume_times: None };
        rig.broker.send_back(&ask).unwrap();
    }
    let stats = rig.broker.topics().find("T").unwrap().stats().group("G").unwrap();
    assert_eq!((stats.sent_back.reading().messages, stats.dead_letters.reading().messages), (2, 1));
}

#[test]
fn counting_goes_on_when_a_topic_changes_and_ends_with_topic_or_group() {
    let rig = rig();
    rig.broker.sample_stats();
    rig.sent(&message("T", "x"));
    pull(&rig, "G", 0);
    rig.broker.put_topic(TopicConfig::new(TopicName::new("T").unwrap(), 8)).unwrap();
    rig.sent(&message("T", "x"));
    pass(&rig, Millis::secs(10));
    assert_eq!(sums(&puts(&rig, "T").unwrap())[0], 2);
    rig.broker.delete_group("G", true).unwrap();
    let topic = rig.broker.topics().find("T").unwrap();
    assert!(topic.stats().group("G").is_none());
    rig.broker.delete_topic(topic.name()).unwrap();
    rig.broker.put_topic(TopicConfig::new(TopicName::new("T").unwrap(), 1)).unwrap();
    pass(&rig, Millis::secs(10));
    assert!(puts(&rig, "T").is_none(), "a topic of the same name begins anew");
}

#[test]
fn a_topic_tells_only_so_many_groups_apart() {
    let rig = rig();
    rig.sent(&message("T", "x"));
    let topic = rig.broker.topics().find("T").unwrap();
    for n in 0..MAX_GROUPS_OF_TOPIC + 10 {
        rig.broker.stats().found(&topic, &format!("G{n}"), 1, 100);
    }
    assert!(topic.stats().group("G0").is_some());
    assert!(topic.stats().group(&format!("G{}", MAX_GROUPS_OF_TOPIC + 9)).is_none());
    assert_eq!(
        rig.broker.totals().got,
        MAX_GROUPS_OF_TOPIC as u64 + 10,
        "the broker's own counters miss none"
    );
}
