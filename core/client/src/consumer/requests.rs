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

use super::filter::Filter;
use super::handing::{Handler, Outcome};
use super::push::Consumer;
use crate::client::Inner;
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
                request.answer(ResponseCode::Success, None, &self.running_info());
            }
            _ => request.answer(ResponseCode::RequestCodeNotSupported, None, &Bytes::new()),
        }
    }

    /// Goes on where the group was moved to: what is buffered is dropped, and the queues are begun anew.
    async fn reset(&self, request: &Request) {
        for (queue, offset) in moved_to(request) {
            let moved = self.queues.lock().get(&queue).cloned();
            if let Some(moved) = moved {
                self.begin_anew(&moved, offset).await;
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

    fn running_info(&self) -> Bytes {
        let queues = self.queues.lock();
        let states = queues.values().map(|assigned| {
            let (messages, bytes) = assigned.buffer.held();
            QueueState {
                queue: &assigned.buffer.queue,
                messages,
                bytes,
                position: assigned.buffer.position().unwrap_or_default(),
                next: assigned.buffer.next(),
                given_up: assigned.buffer.is_given_up(),
                locked: assigned.is_locked(),
            }
        });
        let about = [
            ("PROP_CONSUMEORDERLY", self.settings.in_order.to_string()),
            ("PROP_CONSUME_TYPE", "CONSUME_PASSIVELY".to_owned()),
        ];
        running_info(&self.inner, about, &self.subscriptions.read(), self.subscribed, states)
    }

    async fn consume_directly(&self, request: &Request, handler: &impl Handler) {
        let broker = with_command(request, |command| command.fields.find("brokerName").map(str::to_owned));
        let body = request.frame().body();
        let topic = ferromq_model::record::Record::decode(&body)
            .ok()
            .and_then(|record| Some((TopicName::new(record.topic).ok()?, record.queue_id)));
        let message = topic.and_then(|(topic, id)| {
            let queue = MessageQueue { topic, broker: broker.flatten()?.into(), id };
            Received::read(&body, &queue)
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

pub(super) fn code(request: &Request) -> Option<RequestCode> {
    with_command(request, |command| command.request_code()).flatten()
}

pub(super) fn with_command<T>(request: &Request, read: impl FnOnce(&Command<'_>) -> T) -> Option<T> {
    let mut scratch = HeaderScratch::new();
    let command = request.frame().command(&mut scratch).ok()?;
    Some(read(&command))
}

/// Where a request moves the group to.
pub(super) fn moved_to(request: &Request) -> Vec<(MessageQueue, QueueOffset)> {
    let table = match body::decode::<ResetOffsetBody>(&request.frame().body()) {
        Ok(body) => body.offset_table.0,
        Err(error) => {
            tracing::warn!(%error, "a reset of offsets cannot be read");
            return Vec::new();
        }
    };
    let known = table.into_iter().filter_map(|(queue, offset)| {
        let topic = TopicName::new(&queue.topic).ok()?;
        let queue = MessageQueue { topic, broker: queue.broker_name.into(), id: queue.queue_id };
        Some((queue, QueueOffset::from_wire(offset)?))
    });
    known.collect()
}

/// What a consumer tells of one of its queues.
pub(super) struct QueueState<'a> {
    pub(super) queue: &'a MessageQueue,
    /// Messages that are here, and their bytes.
    pub(super) messages: usize,
    pub(super) bytes: usize,
    /// Where the group is.
    pub(super) position: QueueOffset,
    /// Where fetching goes on.
    pub(super) next: QueueOffset,
    pub(super) given_up: bool,
    pub(super) locked: bool,
}

/// What a consumer is doing, as a body. `about` are properties that only consumers of its kind have.
pub(super) fn running_info<'a>(
    inner: &Inner,
    about: impl IntoIterator<Item = (&'static str, String)>,
    subscriptions: &BTreeMap<TopicName, Filter>,
    subscribed: Timestamp,
    queues: impl Iterator<Item = QueueState<'a>>,
) -> Bytes {
    let now = Timestamp::now().0;
    let mq_table = queues.map(|state| {
        let (least, most) =
            if state.messages == 0 { (0, 0) } else { (state.position.0, state.next.0.saturating_sub(1)) };
        let info = QueueInfo {
            cached_msg_count: state.messages,
            cached_msg_max_offset: most,
            cached_msg_min_offset: least,
            cached_msg_size_in_mi_b: state.bytes >> 20,
            commit_offset: state.position.0,
            droped: state.given_up,
            last_consume_timestamp: now,
            last_lock_timestamp: now,
            last_pull_timestamp: now,
            locked: state.locked,
            transaction_msg_count: 0,
            transaction_msg_max_offset: 0,
            transaction_msg_min_offset: 0,
            try_unlock_times: 0,
        };
        (state.queue.to_body(), info)
    });
    let mut properties = BTreeMap::from([
        ("PROP_CLIENT_VERSION", VERSION.to_string()),
        ("PROP_CONSUMER_START_TIMESTAMP", subscribed.0.to_string()),
        ("PROP_NAMESERVER_ADDR", inner.routes.name_servers().join(";")),
    ]);
    properties.extend(about);
    let info = RunningInfo {
        mq_table: mq_table.collect(),
        properties,
        status_table: BTreeMap::new(),
        subscription_set: subscriptions
            .iter()
            .map(|(topic, filter)| filter.subscription(topic, subscribed))
            .collect(),
    };
    body::encode(&info).into()
}
