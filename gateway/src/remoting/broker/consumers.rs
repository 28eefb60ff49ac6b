//! What operators ask about consumers, much of which only the clients themselves can answer: what they are doing, where
//! they are, to consume one message at once. And moving groups to other positions.

use std::collections::BTreeMap;

use bytes::Bytes;
use ferromq_broker::Broker;
use ferromq_broker::clients::{self, AskError, Asked, ClientAnswer, ClientQueue};
use ferromq_broker::members::{ClientInfo, Peer as ClientPeer};
use ferromq_broker::resets::Reset;
use ferromq_model::QueueOffset;
use ferromq_model::message::MessageId;
use ferromq_protocol::body::object_keys::ByQueue;
use ferromq_protocol::body::{self, ConsumerStatusBody, CorrectionOffsets, MessageQueue, ResetOffsetBody};
use ferromq_protocol::code::ResponseCode;
use ferromq_protocol::frame::Command;
use ferromq_protocol::header::{
    CloneGroupOffset, ConsumeDirectly, ConsumerRunningInfo, ConsumerStatus, Header, QueryCorrectionOffset,
    ResetOffset,
};
use futures_util::future::join_all;

use super::requests::Outcome;
use super::{Asker, Handled, codes};
use crate::remoting::reply::Reply;

/// Clients from this version on tell what they are doing (RocketMQ 3.1.8).
const TELLS_RUNNING_INFO: i32 = 62;

pub(super) fn reset_offset(broker: &Broker, request: &Command<'_>) -> Outcome {
    let header = ResetOffset::decode(&request.fields)?;
    let reset = Reset {
        group: header.group,
        topic: header.topic,
        time: header.time,
        force: header.force,
        queue: header.queue,
        offset: header.offset,
    };
    let moved = broker.reset_offsets(&reset).map_err(|error| codes::reset(&error))?;
    let table = moved.into_iter().map(|(queue, next)| (wire_queue(queue), next.0 as i64));
    Ok(Reply::success().with_body(body::encode(&ResetOffsetBody { offset_table: table.collect() })).into())
}

fn wire_queue(queue: ClientQueue) -> MessageQueue {
    MessageQueue { broker_name: queue.broker, queue_id: queue.queue, topic: queue.topic }
}

pub(super) fn consumer_status(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let header = ConsumerStatus::decode(&request.fields)?;
    let wanted = |client: &ClientInfo| header.client.is_none_or(|wanted| wanted == client.id);
    let members = broker.members().consumers(header.group);
    if members.is_empty() {
        let text = format!("No Any Consumer online in the consumer group: [{}]", header.group);
        return Err(Reply::error(ResponseCode::SystemError, text));
    }
    let asked: Vec<_> = members
        .into_iter()
        .filter(|(client, _)| wanted(client))
        .map(|(client, peer)| {
            let status = peer.link.consumer_status(header.group, header.topic);
            async move { (client.id, status.await) }
        })
        .collect();
    Ok(Handled::Later(Box::pin(async move {
        let mut consumer_table = BTreeMap::new();
        for (client, status) in join_all(asked).await {
            match status {
                Ok(status) => {
                    let next = |next: Option<QueueOffset>| next.map_or(-1, |next| next.0 as i64);
                    let queues = status.into_iter().map(|(queue, at)| (wire_queue(queue), next(at)));
                    consumer_table.insert(client, queues.collect::<ByQueue<i64>>());
                }
                // The others' status is of use without it.
                Err(error) => tracing::warn!(client, %error, "a consumer did not tell where it is"),
            }
        }
        let body = ConsumerStatusBody { consumer_table, message_queue_table: ByQueue::default() };
        (asker, Reply::success().with_body(body::encode(&body)))
    })))
}

pub(super) fn running_info(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let header = ConsumerRunningInfo::decode(&request.fields)?;
    let (_, peer) = able_consumer(broker, header.group, header.client)?;
    let asked = peer.link.running_info(header.group, header.client, header.stack);
    Ok(pass_on(asked, header.group, header.client, asker))
}

pub(super) fn consume_directly(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let header = ConsumeDirectly::decode(&request.fields)?;
    let client = header.client.unwrap_or_default();
    let (_, peer) = able_consumer(broker, header.group, client)?;
    let record = match header.message_id {
        Some(id) => {
            let found = MessageId::parse(id).and_then(|id| broker.view(id.offset));
            found.ok_or_else(|| {
                Reply::error(ResponseCode::SystemError, format!("can not find message by the id, {id}"))
            })?
        }
        None => Bytes::copy_from_slice(request.body),
    };
    let topic_flag = header.topic.and_then(|topic| broker.topics().find(topic));
    let asked = peer.link.consume_directly(&clients::ConsumeDirectly {
        group: header.group,
        client,
        message_id: header.message_id,
        topic: header.topic,
        topic_flag: topic_flag.map(|topic| topic.config().topic_sys_flag).or(header.topic_sys_flag),
        group_flag: broker.groups().find(header.group).map(|group| group.group_sys_flag),
        broker: &broker.config().name,
        record,
    });
    Ok(pass_on(asked, header.group, client, asker))
}

/// The way to a consumer that is new enough to be asked something.
fn able_consumer(broker: &Broker, group: &str, client: &str) -> Result<(ClientInfo, ClientPeer), Reply> {
    let refuse = |text: String| Reply::error(ResponseCode::SystemError, text);
    let (info, peer) = broker
        .members()
        .consumer(group, client)
        .ok_or_else(|| refuse(format!("The Consumer <{group}> <{client}> not online")))?;
    if info.version < TELLS_RUNNING_INFO {
        return Err(refuse(format!(
            "The Consumer <{client}> Version <{}> too low to finish, please upgrade it to V3_1_8_SNAPSHOT",
            info.version
        )));
    }
    Ok((info, peer))
}

/// Answers with what the client answers.
fn pass_on(asked: Asked<ClientAnswer>, group: &str, client: &str, asker: Asker) -> Handled {
    let who = format!("consumer <{group}> <{client}>");
    Handled::Later(Box::pin(async move {
        let reply = match asked.await {
            Ok(answer) => {
                let code = ResponseCode::from_i32(answer.status).unwrap_or(ResponseCode::SystemError);
                let mut reply = Reply::new(code).with_body(answer.body);
                reply.remark = answer.remark.map(Into::into);
                reply
            }
            Err(error @ AskError::Timeout(_)) => {
                Reply::error(ResponseCode::ConsumeMsgTimeout, format!("{who} Timeout: {error}"))
            }
            Err(
                error @ (AskError::Closed
                | AskError::Busy
                | AskError::Refused(_)
                | AskError::Malformed(_)
                | AskError::Unsupported),
            ) => Reply::error(ResponseCode::SystemError, format!("invoke {who} Exception: {error}")),
        };
        (asker, reply)
    }))
}

pub(super) fn clone_offsets(broker: &Broker, request: &Command<'_>) -> Outcome {
    let header = CloneGroupOffset::decode(&request.fields)?;
    broker
        .clone_offsets(header.from, header.to, header.topic, header.offline)
        .map_err(|error| Reply::error(ResponseCode::InvalidParameter, error.to_string()))?;
    Ok(Reply::success().into())
}

pub(super) fn correction_offsets(broker: &Broker, request: &Command<'_>) -> Outcome {
    let header = QueryCorrectionOffset::decode(&request.fields)?;
    let filtered: Vec<_> = header.filtered.unwrap_or_default().split(',').map(str::trim).collect();
    let least = broker.correction_offsets(header.topic, header.group, &filtered);
    let body = CorrectionOffsets {
        correction_offsets: least.into_iter().map(|(queue, at)| (queue.0, at.0 as i64)).collect(),
    };
    Ok(Reply::success().with_body(body::encode(&body)).into())
}
