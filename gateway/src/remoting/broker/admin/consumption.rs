//! How far groups are.

use std::collections::{BTreeMap, BTreeSet};

use ferromq_broker::Broker;
use ferromq_broker::inspect::{QueueAges, QueueProgress};
use ferromq_broker::topics::Topic;
use ferromq_model::Timestamp;
use ferromq_protocol::body::stats::{
    ConsumeQueueEntry, ConsumeQueuePart, ConsumeStats, ConsumeStatsList, ConsumeTimeSpans,
    ConsumerOffsetTable, OffsetWrapper, QueueTimeSpan,
};
use ferromq_protocol::code::ResponseCode;
use ferromq_protocol::frame::Command;
use ferromq_protocol::header::Header;
use ferromq_protocol::header::admin::{
    GetBrokerConsumeStats, GetConsumeStats, QueryConsumeQueue, QueryConsumeTimeSpan,
};
use time::format_description::FormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use super::{Asker, Outcome, json, no_topic, queue_of, subscription, whole};
use crate::remoting::broker::requests::blocking;
use crate::remoting::reply::Reply;

/// Entries of a queue that one answer has at most.
const MAX_ENTRIES: u32 = 10_000;

/// How far a group is in the topics asked for, or in all of its topics.
pub(super) fn of_group(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let header = GetConsumeStats::decode(&request.fields)?;
    let listed = header.topics.unwrap_or_default().split(';').filter(|topic| !topic.is_empty());
    let listed: BTreeSet<String> = listed.map(str::to_owned).collect();
    let topics = if listed.is_empty() {
        broker.topics_to_report(header.group, header.topic.filter(|topic| !topic.trim().is_empty()))
    } else {
        listed
    };
    let (broker, group) = (broker.clone(), header.group.to_owned());
    blocking(asker, move || {
        let mut all = ConsumeStats::default();
        for topic in topics.iter().filter_map(|topic| broker.topics().find(topic)) {
            let stats = stats(&broker, &group, &topic, topic.config().read_queue_nums);
            all.offset_table.0.extend(stats.offset_table.0);
            all.consume_tps += stats.consume_tps;
        }
        whole(&all)
    })
}

/// How far a group is in a topic's first `queues` queues.
fn stats(broker: &Broker, group: &str, topic: &Topic, queues: u32) -> ConsumeStats {
    let one = |queue: QueueProgress| {
        let wrapper = OffsetWrapper {
            broker_offset: queue.end,
            consumer_offset: queue.next,
            last_timestamp: queue.last_stored.unwrap_or(Timestamp::ZERO),
            // Where the next pull starts is known to the client alone.
            pull_offset: queue.next,
        };
        (queue_of(broker, topic, queue.id), wrapper)
    };
    ConsumeStats {
        consume_tps: broker.get_rate(group, topic),
        offset_table: broker.progress(group, topic, queues).into_iter().map(one).collect(),
    }
}

/// How far all groups are in all of their topics.
pub(super) fn of_all(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let header = GetBrokerConsumeStats::decode(&request.fields)?;
    let broker = broker.clone();
    blocking(asker, move || {
        let of_group = |group: String| {
            let topics = broker.topics_to_report(&group, None);
            let topics = topics.iter().filter_map(|topic| broker.topics().find(topic));
            let wanted = topics.filter(|topic| !header.ordered || topic.config().order);
            let of_topics =
                wanted.map(|topic| stats(&broker, &group, &topic, topic.config().write_queue_nums)).collect();
            BTreeMap::from([(group, of_topics)])
        };
        let consume_stats_list: Vec<BTreeMap<String, Vec<ConsumeStats>>> =
            broker.groups().snapshot().groups.into_keys().map(of_group).collect();
        let queues = consume_stats_list
            .iter()
            .flat_map(BTreeMap::values)
            .flatten()
            .flat_map(|stats| stats.offset_table.0.values());
        let total_diff = queues.map(|queue| queue.broker_offset.since(queue.consumer_offset)).sum();
        whole(&ConsumeStatsList {
            broker_addr: broker.store_host().to_string(),
            consume_stats_list,
            total_diff,
            total_inflight_diff: 0,
        })
    })
}

/// When a group's messages of a topic were stored.
pub(super) fn time_spans(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let header = QueryConsumeTimeSpan::decode(&request.fields)?;
    let topic = broker.topics().find(header.topic).ok_or_else(|| no_topic(header.topic))?;
    let (broker, group) = (broker.clone(), header.group.to_owned());
    blocking(asker, move || {
        let now = broker.store().now();
        let one = |ages: QueueAges| {
            let millis = |time: Option<Timestamp>| time.map_or(-1, |time| time.0);
            let [oldest, newest, consumed] = [ages.oldest, ages.newest, ages.consumed].map(millis);
            QueueTimeSpan {
                consume_time_stamp: consumed,
                consume_time_stamp_str: in_words(consumed),
                delay_time: ages.waiting.map_or(0, |time| now.since(time).0 as i64),
                max_time_stamp: newest,
                max_time_stamp_str: in_words(newest),
                message_queue: queue_of(&broker, &topic, ages.id),
                min_time_stamp: oldest,
                min_time_stamp_str: in_words(oldest),
            }
        };
        let spans = broker.ages(&group, &topic).into_iter().map(one).collect();
        whole(&ConsumeTimeSpans { consume_time_span_set: spans })
    })
}

/// A time as RocketMQ's tools write it, where this machine stands.
fn in_words(millis: i64) -> String {
    const FORMAT: &[FormatItem<'_>] =
        format_description!("[year]-[month]-[day]#[hour]:[minute]:[second]:[subsecond digits:3]");
    let utc = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let offset = UtcOffset::local_offset_at(utc).unwrap_or(UtcOffset::UTC);
    utc.to_offset(offset).format(FORMAT).unwrap_or_default()
}

/// Entries of a consume queue, and which of them a group's filter lets pass.
pub(super) fn entries(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let header = QueryConsumeQueue::decode(&request.fields)?;
    let Some(queue) = broker.store().find_queue(header.topic, header.queue) else {
        let text = format!("{}@{} is not exist!", header.queue, header.topic);
        return Err(Reply::error(ResponseCode::SystemError, text));
    };
    let wanted = header.group.and_then(|group| broker.subscription(group, header.topic));
    let filter_data = match (header.group, &wanted) {
        (None, _) => None,
        (Some(group), None) => Some(format!("{group}@{} is not online!", header.topic)),
        // What the reference says without a compiled expression.
        (Some(_), Some(_)) => Some("null".to_owned()),
    };
    let (from, max) = (header.from, header.max.min(MAX_ENTRIES));
    blocking(asker, move || {
        let entries = match queue.entries(from, max as usize) {
            Ok(entries) => entries,
            Err(error) => return Reply::error(ResponseCode::SystemError, error.to_string()),
        };
        let filter = wanted.as_ref().and_then(|wanted| wanted.filter.as_ref().ok());
        let one = |entry: ferromq_store::QueueEntry| ConsumeQueueEntry {
            eval: filter.is_some_and(|filter| filter.admits_tags(entry.tags)),
            physic_offset: entry.physical.0,
            physic_size: entry.len,
            tags_code: entry.tags.0,
        };
        whole(&ConsumeQueuePart {
            filter_data,
            max_queue_index: queue.max(),
            min_queue_index: queue.min(),
            queue_data: Some(entries.into_iter().map(one).collect()),
            subscription_data: wanted.as_ref().map(subscription),
        })
    })
}

/// All positions of all groups.
pub(super) fn all_offsets(broker: &Broker) -> Outcome {
    let (data_version, offset_table) = broker.offsets().snapshot();
    json(&ConsumerOffsetTable { data_version, group_topic_map: BTreeMap::new(), offset_table })
}
