//! What brokers ask of a consumer: to look at its group again, to go elsewhere, and to say what it does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use ferromq_model::{QueueOffset, Timestamp, TopicName};
use ferromq_protocol::body::{self, ByQueue, ConsumerStatusBody, ResetOffsetBody, SubscriptionData};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::frame::{Command, HeaderScratch, VERSION};
use serde::Serialize;
use tokio::sync::mpsc;

use super::handing::{Handler, Outcome};
use super::push::Consumer;
use crate::queue::MessageQueue;
use crate::received::Received;
use crate::wire::Request;

/// What a consumer is doing, as tools are shown it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunningInfo {
    mq_table: ByQueue<QueueInfo>,
    properties: BTreeMap<&'static str, String>,
    status_table: BTreeMap<String, ()>,
    subscription_set: Vec<SubscriptionData>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QueueInfo {
    cached_msg_count: usize,
    cached_msg_max_offset: u64,
    cached_msg_min_offset: u64,
    cached_msg_size_in_mi_b: usize,
    commit_offset: u64,
    droped: bool,
    last_consume_timestamp: i64,
    last_lock_timestamp: i64,
    last_pull_timestamp: i64,
    locked: bool,
    transaction_msg_count: u32,
    transaction_msg_max_offset: u64,
    transaction_msg_min_offset: u64,
    try_unlock_times: u32,
}

/// How one message was consumed that a tool handed over.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConsumedDirectly {
    auto_commit: bool,
    consume_result: &'static str,
    order: bool,
    spent_time_mills: u64,
}

impl Consumer {
    /// Answers what brokers ask, until the consumer is closed.
    pub(super) async fn answer_requests<H: Handler>(
        self: Arc<Self>,
        mut requests: mpsc::Receiver<Request>,
        handler: Arc<H>,
    ) {
        while let Some(request) = requests.recv().await {
            match code(&request) {
                Some(RequestCode::ConsumeMessageDirectly) => self.consume_directly(&request, &*handler).await,
                code => self.answer(&request, code).await,
            }
        }
    }

    /// The same for a consumer whose messages leave by a stream.
    pub(super) async fn answer_requests_without_handler(
        self: Arc<Self>,
        mut requests: mpsc::Receiver<Request>,
    ) {
        while let Some(request) = requests.recv().await {
            match code(&request) {
                Some(RequestCode::ConsumeMessageDirectly) => {
                    let why = "the consumer is read as a stream: it cannot be handed a single message";
                    request.answer(ResponseCode::SystemError, Some(why), &Bytes::new());
                }
                code => self.answer(&request, code).await,
            }
        }
    }

    async fn answer(&self, request: &Request, code: Option<RequestCode>) {
        match code {
            Some(RequestCode::NotifyConsumerIdsChanged) => self.changed.notify_one(),
            Some(RequestCode::ResetConsumerClientOffset) => self.reset(request).await,
            Some(RequestCode::GetConsumerStatusFromClient) => {
                let topic = with_command(request, |command| command.fields.find("topic").map(str::to_owned));
                let status = self.status(topic.flatten().as_deref());
                request.answer(ResponseCode::Success, None, &body::encode(&status).into());
            }
            Some(RequestCode::GetConsumerRunningInfo) => {
                request.answer(ResponseCode::Success, None, &body::encode(&self.running_info()).into());
            }
            _ => request.answer(ResponseCode::RequestCodeNotSupported, None, &Bytes::new()),
        }
    }

    /// Goes on where the group was moved to: what is buffered is dropped, and the queues are begun anew.
    async fn reset(&self, request: &Request) {
        let Ok(table) = body::decode::<ResetOffsetBody>(&request.frame().body()) else {
            tracing::warn!(group = %self.group, "a reset of offsets cannot be read");
            return;
        };
        for (queue, offset) in table.offset_table.0 {
            let (Ok(topic), Ok(offset)) = (TopicName::new(&queue.topic), u64::try_from(offset)) else {
                continue;
            };
            let queue = MessageQueue { topic, broker: queue.broker_name.into(), id: queue.queue_id };
            let moved = self.queues.lock().get(&queue).cloned();
            if let Some(moved) = moved {
                self.begin_anew(&moved, QueueOffset(offset)).await;
            }
        }
    }

    fn status(&self, topic: Option<&str>) -> ConsumerStatusBody {
        let queues = self.queues.lock();
        let wanted = queues
            .values()
            .filter(|assigned| topic.is_none_or(|topic| assigned.buffer.queue.topic.as_str() == topic));
        let positions = wanted.filter_map(|assigned| {
            Some((assigned.buffer.queue.to_body(), assigned.buffer.position()?.0 as i64))
        });
        ConsumerStatusBody { message_queue_table: positions.collect(), ..ConsumerStatusBody::default() }
    }

    fn running_info(&self) -> RunningInfo {
        let queues = self.queues.lock();
        let mq_table = queues.values().map(|assigned| {
            let (count, bytes) = assigned.buffer.held();
            let position = assigned.buffer.position().unwrap_or_default();
            let last = assigned.buffer.next().0.saturating_sub(1);
            let (least, most) = if count == 0 { (0, 0) } else { (position.0, last) };
            let info = QueueInfo {
                cached_msg_count: count,
                cached_msg_max_offset: most,
                cached_msg_min_offset: least,
                cached_msg_size_in_mi_b: bytes >> 20,
                commit_offset: position.0,
                droped: assigned.buffer.is_given_up(),
                last_consume_timestamp: Timestamp::now().0,
                last_lock_timestamp: Timestamp::now().0,
                last_pull_timestamp: Timestamp::now().0,
                locked: assigned.is_locked(),
                transaction_msg_count: 0,
                transaction_msg_max_offset: 0,
                transaction_msg_min_offset: 0,
                try_unlock_times: 0,
            };
            (assigned.buffer.queue.to_body(), info)
        });
        let subscriptions = self.subscriptions.read();
        RunningInfo {
            mq_table: mq_table.collect(),
            properties: BTreeMap::from([
                ("PROP_CLIENT_VERSION", VERSION.to_string()),
                ("PROP_CONSUMEORDERLY", self.settings.in_order.to_string()),
                ("PROP_CONSUMER_START_TIMESTAMP", self.subscribed.0.to_string()),
                ("PROP_CONSUME_TYPE", "CONSUME_PASSIVELY".to_owned()),
                ("PROP_NAMESERVER_ADDR", self.inner.routes.name_servers().join(";")),
            ]),
            status_table: BTreeMap::new(),
            subscription_set: subscriptions
                .iter()
                .map(|(topic, filter)| filter.subscription(topic, self.subscribed))
                .collect(),
        }
    }

    async fn consume_directly(&self, request: &Request, handler: &impl Handler) {
        let broker = with_command(request, |command| command.fields.find("brokerName").map(str::to_owned));
        let body = request.frame().body();
        let topic = ferromq_model::record::Record::decode(&body)
            .ok()
            .and_then(|record| Some((TopicName::new(record.topic).ok()?, record.queue_id)));
        let message = topic.and_then(|(topic, id)| {
            let queue = MessageQueue { topic, broker: broker.flatten()?.into(), id };
            Received::read(&body, 0, &queue).map(|(message, _)| message)
        });
        let Some(message) = message else {
            let why = "the message cannot be read";
            request.answer(ResponseCode::SystemError, Some(why), &Bytes::new());
            return;
        };
        let began = Instant::now();
        let outcome = self.handle(handler, message).await;
        let consumed = ConsumedDirectly {
            auto_commit: true,
            consume_result: if outcome == Outcome::Done { "CR_SUCCESS" } else { "CR_LATER" },
            order: self.settings.in_order,
            spent_time_mills: began.elapsed().as_millis() as u64,
        };
        request.answer(ResponseCode::Success, None, &body::encode(&consumed).into());
    }
}

fn code(request: &Request) -> Option<RequestCode> {
    with_command(request, |command| command.request_code()).flatten()
}

fn with_command<T>(request: &Request, read: impl FnOnce(&Command<'_>) -> T) -> Option<T> {
    let mut scratch = HeaderScratch::new();
    let command = request.frame().command(&mut scratch).ok()?;
    Some(read(&command))
}
