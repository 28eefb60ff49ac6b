//! Requests that are neither sends nor pulls: membership, offsets, locks, send-back, settings.
//!
//! Each handler fits on a screen: decode, one call into the broker, encode. What may block (files of settings) runs on a
//! thread of its own.

use std::collections::BTreeMap;

use ferromq_broker::locks::LockedQueue;
use ferromq_broker::members::{ClientInfo, Consumer, Heartbeat, MAX_CLIENT_ID_LEN, Peer, Subscription};
use ferromq_broker::retry;
use ferromq_broker::{Broker, Position};
use ferromq_model::filter::{FilterError, MessageFilter};
use ferromq_model::group::SubscriptionGroupConfig;
use ferromq_model::topic::TopicConfig;
use ferromq_model::{GroupName, QueueOffset, Timestamp, TopicName};
use ferromq_protocol::body::{
    self, ConsumerData, ConsumerList, HeartbeatData, LockBatchRequest, LockBatchResponse, MessageQueue,
    SubscriptionData,
};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::frame::Command;
use ferromq_protocol::header::{
    Boundary, DeleteSubscriptionGroup, DeleteTopic, EarliestStoreTimeResponse, GetConsumerList,
    GetEarliestStoreTime, GetMaxOffset, GetMinOffset, GetSubscriptionGroup, GetTopicConfig, Header,
    HeartBeatResponse, OffsetResponse, QueryConsumerOffset, QueryMessage, QueryMessageResponse, SearchOffset,
    SendBack, UnregisterClient, UpdateConsumerOffset, UpdateTopic, ViewMessage,
};

use super::{
    Asker, HONOURS_MAX_RECONSUME, Handled, admin, assignments, codes, consumers, pops, safe, timers,
    transactions,
};
use crate::remoting::compatibility;
use crate::remoting::reply::Reply;

/// Handles one request.
pub(super) fn handle(broker: &Broker, peer: &Peer, request: &Command<'_>, asker: Asker) -> Handled {
    let Some(code) = request.request_code() else {
        return Reply::not_supported(request.code).into();
    };
    let handled: Result<Handled, Reply> = match code {
        RequestCode::HeartBeat => heartbeat(broker, peer, request),
        RequestCode::UnregisterClient => unregister(broker, peer, request),
        RequestCode::GetConsumerListByGroup => consumer_list(broker, request),
        RequestCode::CheckClientConfig => check_client_config(broker, request),
        RequestCode::QueryConsumerOffset => query_offset(broker, request),
        RequestCode::UpdateConsumerOffset => update_offset(broker, request),
        RequestCode::GetMaxOffset => max_offset(broker, request),
        RequestCode::GetMinOffset => min_offset(broker, request),
        RequestCode::SearchOffsetByTimestamp => search_offset(broker, request),
        RequestCode::GetEarliestMsgStoreTime => earliest_time(broker, request),
        RequestCode::LockBatchMq => lock(broker, request),
        RequestCode::UnlockBatchMq => unlock(broker, request),
        RequestCode::ConsumerSendMsgBack => send_back(broker, request, asker),
        RequestCode::RecallMessage => timers::recall(broker, peer, request, asker),
        RequestCode::GetTimerCheckPoint => timers::checkpoint(broker),
        RequestCode::GetTimerMetrics => timers::metrics(broker),
        RequestCode::GetAllDelayOffset => timers::delay_offsets(broker),
        RequestCode::QueryMessage => query_message(broker, request),
        RequestCode::ViewMessageById => view_message(broker, request),
        RequestCode::UpdateAndCreateTopic => update_topic(broker, request, asker),
        RequestCode::DeleteTopicInBroker => delete_topic(broker, request, asker),
        RequestCode::GetTopicConfig => topic_config(broker, request),
        RequestCode::UpdateAndCreateSubscriptionGroup => update_group(broker, request, asker),
        RequestCode::DeleteSubscriptionGroup => delete_group(broker, request, asker),
        RequestCode::GetSubscriptionGroupConfig => group_config(broker, request),
        RequestCode::InvokeBrokerToResetOffset => consumers::reset_offset(broker, request),
        RequestCode::InvokeBrokerToGetConsumerStatus => consumers::consumer_status(broker, request, asker),
        RequestCode::GetConsumerRunningInfo => consumers::running_info(broker, request, asker),
        RequestCode::ConsumeMessageDirectly => consumers::consume_directly(broker, request, asker),
        RequestCode::CloneGroupOffset => consumers::clone_offsets(broker, request),
        RequestCode::QueryCorrectionOffset => consumers::correction_offsets(broker, request),
        RequestCode::PopMessage => pops::pop(broker, request, asker),
        RequestCode::PeekMessage => pops::peek(broker, request),
        RequestCode::BatchAckMessage => pops::ack_batch(broker, request, asker),
        RequestCode::ChangeMessageInvisibleTime => pops::change_invisible(broker, request, asker),
        RequestCode::Notification => pops::notification(broker, request, asker),
        RequestCode::PollingInfo => pops::polling_info(broker, request),
        RequestCode::QueryAssignment => assignments::query(broker, request, asker),
        RequestCode::SetMessageRequestMode => assignments::set_mode(broker, request, asker),
        RequestCode::GetAllMessageRequestMode => assignments::all_modes(broker),
        RequestCode::EndTransaction => transactions::end(broker, request, asker),
        RequestCode::ResumeCheckHalfMessage => transactions::resume_check(broker, request, asker),
        RequestCode::SendReplyMessage | RequestCode::SendReplyMessageV2 => {
            transactions::reply(broker, peer, request, asker)
        }
        _ => admin::handle(broker, code, request, asker).unwrap_or_else(|| {
            Err(match compatibility::why_not_on_broker(code) {
                Some(why) => {
                    let text = format!(" request type {} not supported: {why}", request.code);
                    Reply::error(ResponseCode::RequestCodeNotSupported, text)
                }
                None => Reply::not_supported(request.code),
            })
        }),
    };
    handled.unwrap_or_else(Handled::Now)
}

/// The answer, or one that tells what went wrong.
pub(super) type Outcome = Result<Handled, Reply>;

/// Runs what may block on a thread for it.
pub(super) fn blocking(asker: Asker, work: impl FnOnce() -> Reply + Send + 'static) -> Outcome {
    let work = tokio::task::spawn_blocking(work);
    Ok(Handled::Later(Box::pin(async move {
        let reply = work.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a request's handler failed");
            Reply::error(ResponseCode::SystemError, "internal error, see the broker's log")
        });
        (asker, reply)
    })))
}

fn heartbeat(broker: &Broker, peer: &Peer, request: &Command<'_>) -> Outcome {
    let data: HeartbeatData = body::decode(request.body)?;
    if data.client_id.len() > MAX_CLIENT_ID_LEN {
        let text = format!("the client's id has more than {MAX_CLIENT_ID_LEN} bytes");
        return Err(Reply::error(ResponseCode::InvalidParameter, text));
    }
    let without_subscriptions = data.without_sub;
    // Newer clients give a fingerprint and leave out what did not change, once they are told that nothing did.
    let may_be_short = data.heartbeat_fingerprint != 0;
    let unknown = data
        .consumer_data_set
        .iter()
        .any(|consumer| without_subscriptions && broker.members().model_of(&consumer.group_name).is_none());
    let beat = Heartbeat {
        client: ClientInfo {
            id: data.client_id,
            language: request.language.name().to_owned(),
            version: request.version,
        },
        // Names that make no sense are left out, as the reference does in silence: the rest of the client works.
        producers: data.producer_data_set.iter().filter_map(|p| GroupName::new(&p.group_name).ok()).collect(),
        consumers: data
            .consumer_data_set
            .into_iter()
            .filter_map(|consumer| consumer_of(broker, consumer, without_subscriptions))
            .collect(),
    };
    let changed = broker.heartbeat(peer, beat);
    // A short heartbeat of a group that nobody told us of in full must be followed by a full one.
    let subscription_changed = !may_be_short || changed || unknown;
    Ok(Reply::success().with_fields(&HeartBeatResponse { supports_v2: true, subscription_changed }).into())
}

fn consumer_of(broker: &Broker, data: ConsumerData, without_subscriptions: bool) -> Option<Consumer> {
    Some(Consumer {
        group: GroupName::new(&data.group_name).ok()?,
        consume_type: data.consume_type,
        model: data.message_model,
        from: data.consume_from_where,
        subscriptions: (!without_subscriptions).then(|| {
            data.subscription_data_set.into_iter().filter_map(|d| subscription_of(broker, d)).collect()
        }),
    })
}

fn subscription_of(broker: &Broker, data: SubscriptionData) -> Option<Subscription> {
    let filter = filter_of(broker, &data);
    let expression_type = data.expression_type.unwrap_or_default();
    Some(Subscription {
        topic: TopicName::new(&data.topic).ok()?,
        filter,
        expression: data.sub_string,
        expression_type,
        version: data.sub_version,
    })
}

fn filter_of(broker: &Broker, data: &SubscriptionData) -> Result<MessageFilter, FilterError> {
    if data.class_filter_mode {
        return Err(FilterError::Class);
    }
    broker.filters().compile(data.expression_type.as_deref().unwrap_or_default(), &data.sub_string)
}

fn unregister(broker: &Broker, peer: &Peer, request: &Command<'_>) -> Outcome {
    let header = UnregisterClient::decode(&request.fields)?;
    broker.unregister(peer, header.client_id, header.producer_group, header.consumer_group);
    Ok(Reply::success().into())
}

fn consumer_list(broker: &Broker, request: &Command<'_>) -> Outcome {
    let header = GetConsumerList::decode(&request.fields)?;
    let members = broker.members().consumer_ids(header.group);
    if members.is_empty() {
        let text = format!("no consumer for this group, {}", header.group);
        return Err(Reply::error(ResponseCode::SystemError, text));
    }
    Ok(Reply::success().with_body(body::encode(&ConsumerList { consumer_id_list: members })).into())
}

/// Clients ask at their start whether an expression is understood.
fn check_client_config(broker: &Broker, request: &Command<'_>) -> Outcome {
    #[derive(serde::Deserialize)]
    struct Ask {
        #[serde(rename = "subscriptionData")]
        subscription: Option<SubscriptionData>,
    }
    let ask: Ask = body::decode(request.body)?;
    if let Some(subscription) = ask.subscription {
        filter_of(broker, &subscription).map_err(|error| codes::filter(&error))?;
    }
    Ok(Reply::success().into())
}

fn query_offset(broker: &Broker, request: &Command<'_>) -> Outcome {
    let header = QueryConsumerOffset::decode(&request.fields)?;
    match broker.position(header.group, header.topic, header.queue, header.zero_if_unknown) {
        Position::At(offset) => Ok(Reply::success().with_fields(&OffsetResponse { offset }).into()),
        Position::Unknown => {
            let text = "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first";
            Err(Reply::error(ResponseCode::QueryNotFound, text))
        }
    }
}

fn update_offset(broker: &Broker, request: &Command<'_>) -> Outcome {
    let header = UpdateConsumerOffset::decode(&request.fields)?;
    if broker.groups().find(header.group).is_none() {
        let text = format!("Group {} not exist!", header.group);
        return Err(Reply::error(ResponseCode::SubscriptionGroupNotExist, text));
    }
    let Some(topic) = broker.topics().find(header.topic) else {
        let text = format!("Topic {} not exist!", header.topic);
        return Err(Reply::error(ResponseCode::TopicNotExist, text));
    };
    if header.queue.0 >= topic.queue_count() {
        let text = format!("request queueId[{}] is illegal, topic[{}]", header.queue, header.topic);
        return Err(Reply::error(ResponseCode::InvalidParameter, text));
    }
    // A negative number is how clients say "none": there is nothing to note.
    let noted = header
        .offset
        .is_none_or(|offset| broker.commit_offset(header.group, header.topic, header.queue, offset));
    let mut reply = Reply::success();
    if !noted {
        reply.remark = Some("Offset has been previously reset".into());
    }
    Ok(reply.into())
}

fn offset_reply(offset: QueueOffset) -> Outcome {
    Ok(Reply::success().with_fields(&OffsetResponse { offset }).into())
}

fn max_offset(broker: &Broker, request: &Command<'_>) -> Outcome {
    let header = GetMaxOffset::decode(&request.fields)?;
    let queue = broker.queue(header.topic, header.queue);
    // What a failure could take back is offered to nobody, so there is only one maximum to tell.
    offset_reply(queue.map_or(QueueOffset::ZERO, |queue| queue.max()))
}

fn min_offset(broker: &Broker, request: &Command<'_>) -> Outcome {
    let header = GetMinOffset::decode(&request.fields)?;
    offset_reply(broker.queue(header.topic, header.queue).map_or(QueueOffset::ZERO, |queue| queue.min()))
}

fn search_offset(broker: &Broker, request: &Command<'_>) -> Outcome {
    let header = SearchOffset::decode(&request.fields)?;
    let Some(queue) = broker.queue(header.topic, header.queue) else {
        return offset_reply(QueueOffset::ZERO);
    };
    offset_reply(match header.boundary {
        Boundary::Lower => broker.store().first_at_or_after(&queue, header.time),
        Boundary::Upper => broker.store().last_at_or_before(&queue, header.time),
    })
}

fn earliest_time(broker: &Broker, request: &Command<'_>) -> Outcome {
    let header = GetEarliestStoreTime::decode(&request.fields)?;
    let time = broker.earliest_store_time(header.topic, header.queue);
    // Without a message the field says -1, which the table writes for "none".
    Ok(Reply::success().with_fields(&EarliestStoreTimeResponse { time }).into())
}

fn locked_queues(queues: Vec<MessageQueue>) -> Vec<LockedQueue> {
    let one = |queue: MessageQueue| LockedQueue {
        broker: queue.broker_name,
        topic: queue.topic,
        queue: queue.queue_id,
    };
    queues.into_iter().map(one).collect()
}

fn lock(broker: &Broker, request: &Command<'_>) -> Outcome {
    let ask: LockBatchRequest = body::decode(request.body)?;
    let now = broker.store().now();
    let locked = broker.locks().lock(&ask.consumer_group, &ask.client_id, locked_queues(ask.mq_set), now);
    let back = |queue: LockedQueue| MessageQueue {
        broker_name: queue.broker,
        queue_id: queue.queue,
        topic: queue.topic,
    };
    let answer = LockBatchResponse { locked: locked.into_iter().map(back).collect() };
    Ok(Reply::success().with_body(body::encode(&answer)).into())
}

fn unlock(broker: &Broker, request: &Command<'_>) -> Outcome {
    let ask: LockBatchRequest = body::decode(request.body)?;
    broker.locks().unlock(&ask.consumer_group, &ask.client_id, &locked_queues(ask.mq_set));
    Ok(Reply::success().into())
}

fn send_back(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let header = SendBack::decode(&request.fields)?;
    let ask = retry::SendBack {
        group: header.group,
        offset: header.offset,
        delay_level: header.delay_level,
        max_reconsume_times: header
            .max_reconsume_times
            .filter(|&n| n >= 0 && request.version >= HONOURS_MAX_RECONSUME),
    };
    let end = broker.send_back(&ask).map_err(|error| codes::send_back(&error))?;
    // The client forgets the message with this answer.
    Ok(safe::answer(broker, asker, end.unwrap_or_default(), Reply::success()))
}

fn query_message(broker: &Broker, request: &Command<'_>) -> Outcome {
    /// What the reference asks for when a client looks for one id (`defaultQueryMaxNum`).
    const MAX_FOR_ID: usize = 32;
    let header = QueryMessage::decode(&request.fields)?;
    let max = if header.unique { MAX_FOR_ID } else { header.max as usize };
    let found = broker.store().find_by_key(header.topic, header.key, header.begin, header.end, max);
    let fields =
        QueryMessageResponse { indexed_until: Timestamp::now(), indexed_to: broker.store().indexed() };
    if found.is_empty() {
        let text = "can not find message, maybe time range not correct";
        return Err(Reply::error(ResponseCode::QueryNotFound, text).with_fields(&fields));
    }
    let mut reply = Reply::success().with_fields(&fields);
    reply.body = found;
    Ok(reply.into())
}

fn view_message(broker: &Broker, request: &Command<'_>) -> Outcome {
    let header = ViewMessage::decode(&request.fields)?;
    match broker.view(header.offset) {
        Some(record) => Ok(Reply::success().with_body(record).into()),
        None => {
            let text = format!("can not find message by the offset, {}", header.offset);
            Err(Reply::error(ResponseCode::SystemError, text))
        }
    }
}

fn update_topic(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let header = UpdateTopic::decode(&request.fields)?;
    let name = TopicName::new(header.topic).map_err(|error| codes::topic(&error.into()))?;
    let mut attributes =
        broker.topics().find(header.topic).map_or_else(BTreeMap::new, |t| t.config().attributes.clone());
    change_attributes(&mut attributes, header.attributes.unwrap_or_default())?;
    let config = TopicConfig {
        attributes,
        order: header.order,
        perm: header.perm,
        read_queue_nums: header.read_queues,
        topic_filter_type: header.filter_type,
        topic_name: name,
        topic_sys_flag: header.sys_flag,
        write_queue_nums: header.write_queues,
    };
    let broker = broker.clone();
    blocking(asker, move || match broker.put_topic(config) {
        Ok(()) => Reply::success(),
        Err(error) => codes::topic(&error),
    })
}

/// Applies `+name=value,-name` to a topic's attributes.
pub(super) fn change_attributes(
    attributes: &mut BTreeMap<String, String>,
    changes: &str,
) -> Result<(), Reply> {
    /// Attributes that this broker keeps and hands to clients; queues of a batch kind are not among what it stores.
    const KNOWN: [&str; 4] = ["queue.type", "cleanup.policy", "message.type", "reserve.time"];
    let refuse = |text: String| Err(Reply::error(ResponseCode::SystemError, text));
    for change in changes.split(',').map(str::trim).filter(|change| !change.is_empty()) {
        let set = change.strip_prefix('+').and_then(|set| set.split_once('='));
        let removed = change.strip_prefix('-').filter(|name| !name.contains('='));
        let (name, value) = match (set, removed) {
            (Some((name, value)), _) => (name, Some(value)),
            (None, Some(name)) => (name, None),
            (None, None) => {
                return refuse(format!("attribute change \"{change}\" is neither +name=value nor -name"));
            }
        };
        if !KNOWN.contains(&name) {
            return refuse(format!("unsupported key: {name}"));
        }
        match (name, value) {
            (_, None) => {
                attributes.remove(name);
            }
            ("queue.type", Some("BatchCQ")) | ("cleanup.policy", Some("COMPACTION")) => {
                return refuse(format!("this broker does not support {change}"));
            }
            (_, Some(value)) if is_attribute_value(name, value) => {
                attributes.insert(name.to_owned(), value.to_owned());
            }
            (_, Some(value)) => return refuse(format!("value is not valid: {name}={value}")),
        }
    }
    Ok(())
}

fn is_attribute_value(name: &str, value: &str) -> bool {
    match name {
        "queue.type" => value == "SimpleCQ",
        "cleanup.policy" => value == "DELETE",
        "message.type" => ["UNSPECIFIED", "NORMAL", "FIFO", "DELAY", "TRANSACTION", "MIXED"].contains(&value),
        _ => value.parse::<i64>().is_ok_and(|time| time >= -1),
    }
}

fn delete_topic(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let header = DeleteTopic::decode(&request.fields)?;
    let name = TopicName::new(header.topic).map_err(|error| codes::topic(&error.into()))?;
    let broker = broker.clone();
    blocking(asker, move || match broker.delete_topic(&name) {
        Ok(()) => Reply::success(),
        Err(error) => codes::topic(&error),
    })
}

fn topic_config(broker: &Broker, request: &Command<'_>) -> Outcome {
    let header = GetTopicConfig::decode(&request.fields)?;
    match broker.topics().find(header.topic) {
        Some(topic) => Ok(Reply::success().with_body(body::encode(topic.config())).into()),
        None => {
            let text = format!("No topic in this broker. topic: {}", header.topic);
            Err(Reply::error(ResponseCode::TopicNotExist, text))
        }
    }
}

fn update_group(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let config: SubscriptionGroupConfig = body::decode(request.body)?;
    let broker = broker.clone();
    blocking(asker, move || match broker.groups().put(config) {
        Ok(_) => Reply::success(),
        Err(error) => codes::group(&error),
    })
}

fn delete_group(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let header = DeleteSubscriptionGroup::decode(&request.fields)?;
    let (broker, group, clean) = (broker.clone(), header.group.to_owned(), header.clean_offsets);
    blocking(asker, move || match broker.delete_group(&group, clean) {
        Ok(()) => Reply::success(),
        Err(error) => codes::group(&error),
    })
}

fn group_config(broker: &Broker, request: &Command<'_>) -> Outcome {
    let header = GetSubscriptionGroup::decode(&request.fields)?;
    let config = broker.groups().find_or_create(header.group).map_err(|error| codes::group(&error))?;
    Ok(Reply::success().with_body(body::encode(&*config)).into())
}
