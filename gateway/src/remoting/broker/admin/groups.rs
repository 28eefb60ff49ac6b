//! Tables of groups, and who is connected.

use ferromq_broker::Broker;
use ferromq_broker::members;
use ferromq_protocol::body::stats::{Connection, ConsumerConnection, ProducerConnection};
use ferromq_protocol::code::ResponseCode;
use ferromq_protocol::frame::Command;
use ferromq_protocol::header::Header;
use ferromq_protocol::header::admin::{GetConsumerConnections, GetProducerConnections};

use super::{Outcome, json, subscription};
use crate::remoting::reply::Reply;

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
