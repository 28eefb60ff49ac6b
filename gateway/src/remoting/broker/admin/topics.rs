//! Tables of topics, and where their queues end.

use ferromq_broker::Broker;
use ferromq_broker::inspect::QueueExtent;
use ferromq_model::Timestamp;
use ferromq_model::topic::TopicConfig;
use ferromq_protocol::body::stats::{GroupList, TopicOffset, TopicStatsTable};
use ferromq_protocol::body::{self, TopicConfigList, TopicConfigWrapper, TopicList};
use ferromq_protocol::frame::Command;
use ferromq_protocol::header::Header;
use ferromq_protocol::header::admin::{
    GetAllTopics, GetAllTopicsResponse, GetTopicStats, QueryTopicConsumers,
};

use super::{Asker, Outcome, Page, json, no_topic, queue_of, whole};
use crate::remoting::broker::codes;
use crate::remoting::broker::requests::{blocking, change_attributes};
use crate::remoting::reply::Reply;

/// The table of all topics, whole or in parts.
pub(super) fn all(broker: &Broker, request: &Command<'_>) -> Outcome {
    let header = GetAllTopics::decode(&request.fields)?;
    let (data_version, mut topics) = broker.topics().snapshot();
    topics.sort_unstable_by(|a, b| a.topic_name.cmp(&b.topic_name));
    let page = Page::of(header.from, header.max, header.version, &data_version, topics.len());
    let shown = topics.drain(page.range()).map(|topic| (topic.topic_name.clone(), topic));
    let wrapper = TopicConfigWrapper {
        data_version,
        topic_config_table: shown.collect(),
        ..TopicConfigWrapper::default()
    };
    Ok(whole(&wrapper).with_fields(&GetAllTopicsResponse { total: page.total }).into())
}

/// Creates topics or changes their settings: all of them, or none if one may not be changed.
pub(super) fn put_all(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let list: TopicConfigList = body::decode(request.body)?;
    let topics: Vec<TopicConfig> = list
        .topic_config_list
        .into_iter()
        .map(|topic| changed(broker, topic))
        .collect::<Result<_, Reply>>()?;
    let broker = broker.clone();
    blocking(asker, move || match broker.put_topics(topics) {
        Ok(()) => Reply::success(),
        Err(error) => codes::topic(&error),
    })
}

/// The settings with attributes changed as those of the list say, which are named as in a single change: `+name` sets,
/// `-name` removes. A plain name, as tables of topics have it, sets too.
fn changed(broker: &Broker, mut topic: TopicConfig) -> Result<TopicConfig, Reply> {
    let changes = std::mem::take(&mut topic.attributes);
    let changes = changes.into_iter().map(|(name, value)| match name.as_bytes().first() {
        Some(b'-') => name,
        Some(b'+') => format!("{name}={value}"),
        _ => format!("+{name}={value}"),
    });
    if let Some(before) = broker.topics().find(topic.topic_name.as_str()) {
        topic.attributes.clone_from(&before.config().attributes);
    }
    change_attributes(&mut topic.attributes, &changes.collect::<Vec<_>>().join(","))?;
    Ok(topic)
}

/// Topics that the broker owns.
pub(super) fn system(broker: &Broker) -> Outcome {
    json(&TopicList { broker_addr: None, topic_list: broker.topics().reserved().into_iter().collect() })
}

/// Where each queue of a topic begins and ends.
pub(super) fn ends(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let header = GetTopicStats::decode(&request.fields)?;
    let topic = broker.topics().find(header.topic).ok_or_else(|| no_topic(header.topic))?;
    let broker = broker.clone();
    blocking(asker, move || {
        let one = |extent: QueueExtent| {
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
