//! Tables of topics, and where their queues end.

use ferromq_broker::Broker;
use ferromq_model::Timestamp;
use ferromq_protocol::body::stats::{GroupList, TopicOffset, TopicStatsTable};
use ferromq_protocol::frame::Command;
use ferromq_protocol::header::Header;
use ferromq_protocol::header::admin::{GetTopicStats, QueryTopicConsumers};

use super::{Asker, Outcome, json, no_topic, queue_of, whole};
use crate::remoting::broker::requests::blocking;

/// Where each queue of a topic begins and ends.
pub(super) fn ends(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let header = GetTopicStats::decode(&request.fields)?;
    let topic = broker.topics().find(header.topic).ok_or_else(|| no_topic(header.topic))?;
    let broker = broker.clone();
    blocking(asker, move || {
        let one = |extent: ferromq_broker::inspect::QueueExtent| {
            let offset = TopicOffset {
                last_update_timestamp: extent.last_stored.unwrap_or(Timestamp::ZERO),
                max_offset: extent.max,
                min_offset: extent.min,
            };
            (queue_of(&broker, &topic, extent.id), offset)
        };
        whole(&TopicStatsTable {
            offset_table: broker.queue_extents(&topic).into_iter().map(one).collect(),
            topic_put_tps: broker.put_rate(&topic),
        })
    })
}

/// Groups that consume a topic, or have consumed it.
pub(super) fn consumers(broker: &Broker, request: &Command<'_>) -> Outcome {
    let header = QueryTopicConsumers::decode(&request.fields)?;
    json(&GroupList { group_list: broker.groups_of(header.topic) })
}
