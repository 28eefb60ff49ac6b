//! Tables of groups, and who is connected.

use ferromq_broker::{Broker, members};
use ferromq_model::{GroupName, NameError, TopicName};
use ferromq_protocol::body::stats::{
    Connection, ConsumerConnection, GroupForbidden, ProducerConnection, ProducerInfo, ProducerTable,
    SubscriptionOfGroup,
};
use ferromq_protocol::body::{self, GroupConfigList, SubscriptionGroupWrapper, TopicList};
use ferromq_protocol::code::ResponseCode;
use ferromq_protocol::frame::Command;
use ferromq_protocol::header::admin::{
    self as header, GetAllGroups, GetAllGroupsResponse, GetConsumerConnections, GetProducerConnections,
    QuerySubscription, QueryTopicsByConsumer,
};

use super::{Asker, Outcome, Page, json, subscription, whole};
use ferromq_protocol::header::Header;

use crate::remoting::broker::codes;
use crate::remoting::broker::requests::blocking;
use crate::remoting::reply::Reply;

/// The table of all groups, whole or in parts.
pub(super) fn all(broker: &Broker, request: &Command<'_>) -> Outcome {
    let header = GetAllGroups::decode(&request.fields)?;
    let snapshot = broker.groups().snapshot();
    let page = Page::of(header.from, header.max, header.version, &snapshot.version, snapshot.groups.len());
    let range = page.range();
    let shown = snapshot.groups.into_iter().skip(range.start).take(range.len());
    let wrapper = SubscriptionGroupWrapper {
        data_version: snapshot.version,
        forbidden_table: snapshot.forbidden,
        subscription_group_table: shown
            .filter_map(|(name, config)| Some((GroupName::new(&name).ok()?, config)))
            .collect(),
    };
    Ok(whole(&wrapper).with_fields(&GetAllGroupsResponse { total: page.total }).into())
}

/// Creates groups or changes their settings: all of them, or none if one may not be changed.
pub(super) fn put_all(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let list: GroupConfigList = body::decode(request.body)?;
    let broker = broker.clone();
    blocking(asker, move || match broker.groups().put_all(list.group_config_list) {
        Ok(()) => Reply::success(),
        Err(error) => codes::group(&error),
    })
}

/// Says whether a group may read a topic, and lets or forbids it if the request says so.
pub(super) fn may_read(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let header = header::GroupForbidden::decode(&request.fields)?;
    let invalid = |error: NameError| Reply::error(ResponseCode::InvalidParameter, error.to_string());
    let group = GroupName::new(header.group).map_err(invalid)?;
    let topic = TopicName::new(header.topic).map_err(invalid)?;
    let (broker, wanted) = (broker.clone(), header.readable);
    blocking(asker, move || {
        let changed = wanted.map_or(Ok(()), |may| broker.groups().set_may_read(&group, &topic, may));
        if let Err(error) = changed {
            return codes::group(&error);
        }
        let readable = broker.groups().may_read(group.as_str(), topic.as_str());
        whole(&GroupForbidden { group: group.to_string(), readable, topic: topic.to_string() })
    })
}

fn connection(of: members::Connection) -> Connection {
    Connection {
        client_addr: of.address.to_string(),
        client_id: of.client.id,
        language: of.client.language,
        version: of.client.version,
    }
}

/// A consumer group's members, and what they want.
pub(super) fn consumers(broker: &Broker, request: &Command<'_>) -> Outcome {
    let header = GetConsumerConnections::decode(&request.fields)?;
    let Some(group) = broker.members().consumer_group(header.group) else {
        let text = format!("the consumer group[{}] not online", header.group);
        return Err(Reply::error(ResponseCode::ConsumerNotOnline, text));
    };
    let wanted = group.subscriptions.iter();
    json(&ConsumerConnection {
        connection_set: group.members.into_iter().map(connection).collect(),
        consume_from_where: group.from,
        consume_type: group.consume_type,
        message_model: group.model,
        subscription_table: wanted.map(|of| (of.topic.to_string(), subscription(of))).collect(),
    })
}

/// A producer group's members.
pub(super) fn producers(broker: &Broker, request: &Command<'_>) -> Outcome {
    let header = GetProducerConnections::decode(&request.fields)?;
    let members = broker.members().producers(header.group);
    if members.is_empty() {
        let text = format!("the producer group[{}] not exist", header.group);
        return Err(Reply::error(ResponseCode::SystemError, text));
    }
    json(&ProducerConnection { connection_set: members.into_iter().map(connection).collect() })
}

/// All producers by group.
pub(super) fn all_producers(broker: &Broker) -> Outcome {
    let info = |of: members::Connection| ProducerInfo {
        client_id: of.client.id,
        language: of.client.language,
        last_update_timestamp: of.seen,
        remote_ip: format!("/{}", of.address),
        version: of.client.version,
    };
    let groups = broker.members().all_producers().into_iter();
    let data = groups.map(|(group, members)| (group.to_string(), members.into_iter().map(info).collect()));
    json(&ProducerTable { data: data.collect() })
}

/// Topics that a group has positions in.
pub(super) fn topics(broker: &Broker, request: &Command<'_>) -> Outcome {
    let header = QueryTopicsByConsumer::decode(&request.fields)?;
    let mut topic_list = broker.offsets().topics_of(header.group);
    topic_list.sort_unstable();
    json(&TopicList { broker_addr: Some(broker.store_host().to_string()), topic_list })
}

/// What a group wants of a topic.
pub(super) fn subscription_to(broker: &Broker, request: &Command<'_>) -> Outcome {
    let header = QuerySubscription::decode(&request.fields)?;
    json(&SubscriptionOfGroup {
        group: header.group.to_owned(),
        subscription_data: broker.subscription(header.group, header.topic).as_ref().map(subscription),
        topic: header.topic.to_owned(),
    })
}
