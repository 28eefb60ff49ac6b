//! How far groups are.

use std::collections::BTreeSet;

use ferromq_broker::Broker;
use ferromq_broker::inspect::QueueProgress;
use ferromq_broker::topics::Topic;
use ferromq_model::Timestamp;
use ferromq_protocol::body::stats::{ConsumeStats, OffsetWrapper};
use ferromq_protocol::frame::Command;
use ferromq_protocol::header::Header;
use ferromq_protocol::header::admin::GetConsumeStats;

use super::{Asker, Outcome, queue_of, whole};
use crate::remoting::broker::requests::blocking;

/// How far a group is in the topics asked for, or in all of its topics.
pub(super) fn of_group(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let header = GetConsumeStats::decode(&request.fields)?;
    let listed: BTreeSet<String> = header
        .topics
        .unwrap_or_default()
        .split(';')
        .filter(|topic| !topic.is_empty())
        .map(str::to_owned)
        .collect();
    let topics = if listed.is_empty() {
        broker.topics_to_report(header.group, header.topic.filter(|topic| !topic.trim().is_empty()))
    } else {
        listed
    };
    let (broker, group) = (broker.clone(), header.group.to_owned());
    blocking(asker, move || {
        let mut stats = ConsumeStats::default();
        for topic in topics.iter().filter_map(|topic| broker.topics().find(topic)) {
            stats.offset_table.0.extend(offsets(&broker, &group, &topic, topic.config().read_queue_nums));
            stats.consume_tps += broker.get_rate(&group, &topic);
        }
        whole(&stats)
    })
}

fn offsets(
    broker: &Broker,
    group: &str,
    topic: &Topic,
    queues: u32,
) -> impl Iterator<Item = (ferromq_protocol::body::MessageQueue, OffsetWrapper)> {
    let one = move |queue: QueueProgress| {
        let wrapper = OffsetWrapper {
            broker_offset: queue.end,
            consumer_offset: queue.next,
            last_timestamp: queue.last_stored.unwrap_or(Timestamp::ZERO),
            pull_offset: queue.next,
        };
        (queue_of(broker, topic, queue.id), wrapper)
    };
    broker.progress(group, topic, queues).into_iter().map(one)
}
