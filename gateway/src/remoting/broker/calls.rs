//! Requests that go the other way: what the broker tells and asks a client on the connection that the client opened.
//!
//! ```text
//! engine ─ ClientLink ─▶ Link ─ frame ─▶ session ─▶ client
//! engine ◀── future ──── Link ◀─ answer with the same number ─ session ◀─ client
//! ```
//! Always true:
//! * frames that wait to be written to one client are bounded in number and in bytes, and so are questions that wait
//!   for its answer;
//! * a question is forgotten when it is answered, when its time is over, and when nobody wants to know any more; what a
//!   client answers later, or to a number that nobody asked with, is dropped;
//! * when the connection closes, all questions end at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ferromq_broker::clients::{
    AskError, Asked, ClientAnswer, ClientLink, ClientQueue, ConsumeDirectly, OffsetReset, PushedReply,
    TransactionCheck,
};
use ferromq_model::name::HALF_TOPIC;
use ferromq_model::{GroupName, Millis, QueueOffset};
use ferromq_net::Outbox;
use ferromq_protocol::body::{self, ConsumerStatusBody, MessageQueue, ResetOffsetBody};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::frame::{Command, EncodeFields, Head, Language, encode_with_body};
use ferromq_protocol::header::{
    self, CheckTransactionState, ConsumerRunningInfo, ConsumerStatus, NotifyConsumerIdsChanged, PushReply,
    ResetOffset,
};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Frames that wait to be written to one client. More are dropped: a client that does not read is not waited for.
const MAX_FRAMES: usize = 256;
/// Bytes of such frames, above which no further one is taken.
const MAX_FRAME_BYTES: usize = 16 << 20;
/// Questions that wait for the answer of one client.
const MAX_ASKED: usize = 256;
/// How long a client may take to answer.
const ANSWER_TIMEOUT: Millis = Millis::secs(10);

/// The broker's side of the way to one client.
pub(super) struct Link {
    /// The broker's name, for clients that want to know who asks.
    broker: String,
    frames: mpsc::Sender<Bytes>,
    /// Bytes in `frames`.
    waiting_bytes: Arc<AtomicUsize>,
    asked: Arc<Mutex<Questions>>,
}

/// The connection's end of it.
pub(super) struct LinkEnd {
    frames: mpsc::Receiver<Bytes>,
    waiting_bytes: Arc<AtomicUsize>,
    asked: Arc<Mutex<Questions>>,
}

/// What one client was asked and has not answered.
#[derive(Default)]
struct Questions {
    by_number: HashMap<i32, oneshot::Sender<ClientAnswer>>,
    last_number: i32,
    closed: bool,
}

/// One question. Forgotten when dropped.
struct Question {
    number: i32,
    deadline: Instant,
    answer: oneshot::Receiver<ClientAnswer>,
    asked: Arc<Mutex<Questions>>,
}

/// Both ends of the way to a client.
pub(super) fn link(broker: &str) -> (Link, LinkEnd) {
    let (sender, receiver) = mpsc::channel(MAX_FRAMES);
    let waiting_bytes = Arc::new(AtomicUsize::new(0));
    let asked = Arc::new(Mutex::default());
    let link = Link {
        broker: broker.to_owned(),
        frames: sender,
        waiting_bytes: Arc::clone(&waiting_bytes),
        asked: Arc::clone(&asked),
    };
    (link, LinkEnd { frames: receiver, waiting_bytes, asked })
}

impl LinkEnd {
    /// Moves what waits to `out`, and registers to be woken for more.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, out: &mut Outbox) {
        while let Poll::Ready(Some(frame)) = self.frames.poll_recv(cx) {
            self.waiting_bytes.fetch_sub(frame.len(), Ordering::Relaxed);
            out.push(frame);
        }
    }

    /// Takes a client's answer in.
    pub(super) fn answered(&self, answer: &Command<'_>) {
        let Some(waits) = self.asked.lock().by_number.remove(&answer.opaque) else { return };
        let answer = ClientAnswer {
            status: answer.code,
            remark: answer.remark.map(str::to_owned),
            body: Bytes::copy_from_slice(answer.body),
        };
        // Nobody wants it any more.
        let _ = waits.send(answer);
    }
}

impl Drop for LinkEnd {
    fn drop(&mut self) {
        let mut asked = self.asked.lock();
        asked.closed = true;
        asked.by_number.clear();
    }
}

impl Question {
    async fn answer(mut self) -> Result<ClientAnswer, AskError> {
        match tokio::time::timeout_at(self.deadline, &mut self.answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(AskError::Closed),
            Err(_) => Err(AskError::Timeout(ANSWER_TIMEOUT)),
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.asked.lock().by_number.remove(&self.number);
    }
}

impl Link {
    /// Queues a frame; whether there was room.
    fn push(&self, head: &Head<'_>, fields: &impl EncodeFields, body: &[u8]) -> bool {
        let mut frame = BytesMut::new();
        if self.waiting_bytes.load(Ordering::Relaxed) > MAX_FRAME_BYTES
            || encode_with_body(&mut frame, head, fields, body).is_err()
        {
            return false;
        }
        // Counted before it is there to be taken.
        self.waiting_bytes.fetch_add(frame.len(), Ordering::Relaxed);
        let len = frame.len();
        let pushed = self.frames.try_send(frame.freeze()).is_ok();
        if !pushed {
            self.waiting_bytes.fetch_sub(len, Ordering::Relaxed);
        }
        pushed
    }

    /// Tells something that nobody answers, so that its number never meets one of a question.
    fn tell(&self, code: RequestCode, fields: &impl EncodeFields, body: &[u8]) -> bool {
        self.push(&Head::request(code, 0).oneway(), fields, body)
    }

    fn ask(&self, code: RequestCode, fields: &impl EncodeFields, body: &[u8]) -> Result<Question, AskError> {
        let question = {
            let mut asked = self.asked.lock();
            if asked.closed {
                return Err(AskError::Closed);
            }
            if asked.by_number.len() >= MAX_ASKED {
                return Err(AskError::Busy);
            }
            // From 1 on; a number comes again long after its question ended.
            asked.last_number = asked.last_number.checked_add(1).unwrap_or(1);
            let (sender, answer) = oneshot::channel();
            let number = asked.last_number;
            asked.by_number.insert(number, sender);
            let deadline = Instant::now() + Duration::from_millis(ANSWER_TIMEOUT.0);
            Question { number, deadline, answer, asked: Arc::clone(&self.asked) }
        };
        if self.push(&Head::request(code, question.number), fields, body) {
            Ok(question)
        } else {
            Err(AskError::Busy)
        }
    }
}

/// What comes of a question whose answer is passed on as it is.
fn passed_on(question: Result<Question, AskError>) -> Asked<ClientAnswer> {
    Box::pin(async move { question?.answer().await })
}

/// The same for one that has to say yes.
async fn accepted(question: Result<Question, AskError>) -> Result<ClientAnswer, AskError> {
    let answer = question?.answer().await?;
    if answer.status == ResponseCode::Success.code() {
        return Ok(answer);
    }
    let remark = answer.remark.unwrap_or_default();
    Err(AskError::Refused(format!("code {}: {remark}", answer.status)))
}

impl ClientLink for Link {
    fn members_changed(&self, group: &GroupName) {
        let fields = NotifyConsumerIdsChanged { group: group.as_str() };
        self.tell(RequestCode::NotifyConsumerIdsChanged, &fields, &[]);
    }

    fn check_transaction(&self, check: &TransactionCheck) -> bool {
        let fields = CheckTransactionState {
            topic: Some(HALF_TOPIC),
            half: check.half,
            at: check.at(),
            message_id: check.unique_key.as_deref(),
            transaction_id: check.unique_key.as_deref(),
            offset_message_id: Some(&check.id.to_string()),
            broker: Some(&self.broker),
        };
        self.tell(RequestCode::CheckTransactionState, &fields, &check.record)
    }

    fn reset_offsets(&self, reset: &OffsetReset<'_>) -> bool {
        let fields = ResetOffset {
            topic: reset.topic.as_str(),
            group: reset.group,
            time: reset.time,
            force: reset.force,
            queue: None,
            offset: None,
        };
        let entry = |(queue, next): &(ClientQueue, QueueOffset)| (wire_queue(queue), next.0 as i64);
        let table = ResetOffsetBody { offset_table: reset.offsets.iter().map(entry).collect() };
        // C++ clients know no objects as keys; all others know nothing else.
        let body = if reset.language == Language::Cpp.name() {
            body::encode(&table.into_list())
        } else {
            body::encode(&table)
        };
        self.tell(RequestCode::ResetConsumerClientOffset, &fields, &body)
    }

    fn consumer_status(&self, group: &str, topic: &str) -> Asked<Vec<(ClientQueue, Option<QueueOffset>)>> {
        let fields = ConsumerStatus { topic, group, client: None };
        let question = self.ask(RequestCode::GetConsumerStatusFromClient, &fields, &[]);
        Box::pin(async move {
            let answer = accepted(question).await?;
            let status: ConsumerStatusBody =
                body::decode(&answer.body).map_err(|error| AskError::Malformed(error.to_string()))?;
            let entry = |(queue, next): (MessageQueue, i64)| {
                let MessageQueue { broker_name: broker, queue_id: queue, topic } = queue;
                (ClientQueue { broker, topic, queue }, QueueOffset::from_wire(next))
            };
            Ok(status.message_queue_table.0.into_iter().map(entry).collect())
        })
    }

    fn running_info(&self, group: &str, client: &str, stack: bool) -> Asked<ClientAnswer> {
        let fields = ConsumerRunningInfo { group, client, stack };
        passed_on(self.ask(RequestCode::GetConsumerRunningInfo, &fields, &[]))
    }

    fn consume_directly(&self, ask: &ConsumeDirectly<'_>) -> Asked<ClientAnswer> {
        let fields = header::ConsumeDirectly {
            group: ask.group,
            client: Some(ask.client),
            message_id: ask.message_id,
            broker: Some(ask.broker),
            topic: ask.topic,
            topic_sys_flag: ask.topic_flag,
            group_sys_flag: ask.group_flag,
        };
        passed_on(self.ask(RequestCode::ConsumeMessageDirectly, &fields, &ask.record))
    }

    fn push_reply(&self, reply: &PushedReply<'_>) -> Asked<()> {
        let fields = PushReply {
            group: reply.group,
            topic: reply.topic,
            default_topic: reply.default_topic,
            default_queues: reply.default_queues,
            queue: Some(reply.queue),
            sys_flag: reply.sys_flag,
            born: reply.born,
            flag: reply.flag,
            properties: reply.properties,
            reconsume_times: reply.reconsume_times,
            unit_mode: reply.unit_mode,
            born_host: &reply.born_host.to_string(),
            store_host: &reply.store_host.to_string(),
            stored: reply.stored,
        };
        let question = self.ask(RequestCode::PushReplyMessageToClient, &fields, reply.body);
        Box::pin(async move { accepted(question).await.map(drop) })
    }
}

fn wire_queue(queue: &ClientQueue) -> MessageQueue {
    MessageQueue { broker_name: queue.broker.clone(), queue_id: queue.queue, topic: queue.topic.clone() }
}
