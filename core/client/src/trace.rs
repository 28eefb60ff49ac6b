//! Telling where messages have been, in messages of the trace topic, for official tools to show.
//!
//! ```text
//! senders, handlers ──record──▶ batch ──full, or old enough──▶ waiting ──▶ dispatcher ──▶ trace topic
//!                                                  no room: lost, and counted
//! ```
//! Always true:
//! * nobody who sends or handles messages waits for it: a record is written into memory, or lost when as much waits as may;
//! * what is about messages of the trace topic itself is not told, nor what a broker or a producer does not want told;
//! * without a [`TraceConfig`] nothing of this exists.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use ferromq_model::message::{SysFlag, property, push_property};
use ferromq_model::name::{AUTO_CREATE_TOPIC, TRACE_TOPIC};
use ferromq_model::{Millis, Timestamp, TopicName};
use ferromq_protocol::code::RequestCode;
use ferromq_protocol::header::SendMessage;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::client::Inner;
use crate::deadline::deadline;
use crate::error::{CallError, RouteError};
use crate::identity::UniqueId;
use crate::queue::MessageQueue;
use crate::received::Received;
use crate::trace_record::{HandlingOutcome, TraceBatch, TraceMessage, TraceRecord, TracedMessage};
use crate::wire::Answer;
use ferromq_protocol::compress::{Compression, compress};

/// The region of a broker that is not told any.
pub(crate) const DEFAULT_REGION: &str = "DefaultRegion";
/// The group that trace messages are sent by.
const GROUP: &str = "_INNER_TRACE_PRODUCER";
/// The most records of one message.
const MAX_RECORDS: usize = 100;
/// Bodies over this are compressed, as those of other messages are.
const COMPRESS_OVER: usize = 4 << 10;
/// How often a message is tried to be sent.
const TRIES: usize = 3;
/// How long closing waits for what is still to be sent.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// How a client tells what its producers send and its consumers handle.
#[derive(Clone, Debug)]
pub struct TraceConfig {
    topic: String,
    linger: Duration,
    max_waiting: usize,
}

impl Default for TraceConfig {
    fn default() -> Self {
        Self { topic: TRACE_TOPIC.to_owned(), linger: Duration::from_millis(500), max_waiting: 64 }
    }
}

impl TraceConfig {
    /// The topic that is told: `RMQ_SYS_TRACE_TOPIC` by default, which brokers have that are configured with
    /// `traceTopicEnable=true`.
    #[must_use]
    pub fn topic(mut self, topic: &str) -> Self {
        self.topic = topic.to_owned();
        self
    }

    /// How long a record may wait for others to travel with: 500 ms by default.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// How many trace messages, of 100 records each and 128,000 bytes at most, may wait to be sent: 64 by default. What
    /// comes on top is [lost](crate::Client::lost_trace_records).
    #[must_use]
    pub fn max_waiting(mut self, messages: usize) -> Self {
        self.max_waiting = messages;
        self
    }
}

/// Gathers records, and sends them.
pub(crate) struct Tracer {
    pub(crate) topic: TopicName,
    linger: Duration,
    max_waiting: usize,
    state: Mutex<State>,
    /// Locked by whoever sends what waits, until it is sent.
    sending: tokio::sync::Mutex<()>,
    /// Told when a record has come after none were there, and when messages wait.
    came: Notify,
    lost: AtomicU64,
    turn: AtomicUsize,
}

#[derive(Default)]
struct State {
    batch: TraceBatch,
    records: usize,
    /// Messages and how many records each has.
    waiting: VecDeque<(TraceMessage, usize)>,
}

impl State {
    /// Closes the batch.
    fn finish(&mut self) {
        if let Some(message) = self.batch.finish() {
            self.waiting.push_back((message, std::mem::take(&mut self.records)));
        }
    }
}

/// Records that count as lost where this is dropped.
struct Unsent<'a> {
    lost: &'a AtomicU64,
    records: usize,
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        self.lost.fetch_add(self.records as u64, Ordering::Relaxed);
    }
}

/// Why a trace message was not sent.
#[derive(Debug, thiserror::Error)]
enum NotSent {
    #[error(transparent)]
    Route(#[from] RouteError),
    #[error(transparent)]
    Call(#[from] CallError),
}

/// A message that was handed to a handler, as both of its records know it.
pub(crate) struct Handling {
    request_id: UniqueId,
    began: Timestamp,
    clock: Instant,
}

impl Tracer {
    pub(crate) fn new(config: &TraceConfig) -> Result<Self, ferromq_model::NameError> {
        Ok(Self {
            topic: TopicName::new(&config.topic)?,
            linger: config.linger,
            max_waiting: config.max_waiting,
            state: Mutex::default(),
            sending: tokio::sync::Mutex::default(),
            came: Notify::new(),
            lost: AtomicU64::new(0),
            turn: AtomicUsize::new(0),
        })
    }

    /// How many records were lost.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Adds a record.
    pub(crate) fn note(&self, record: &TraceRecord<'_>) {
        let mut state = self.state.lock();
        if state.waiting.len() >= self.max_waiting {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if let Some(message) = state.batch.push(record) {
            let records = std::mem::take(&mut state.records);
            state.waiting.push_back((message, records));
        }
        state.records += 1;
        if state.records >= MAX_RECORDS {
            state.finish();
        }
        if state.records == 1 || !state.waiting.is_empty() {
            drop(state);
            self.came.notify_one();
        }
    }

    /// A message is handed to a handler.
    pub(crate) fn handed(&self, inner: &Inner, group: &str, message: &Received) -> Option<Handling> {
        if !self.is_wanted(message) {
            return None;
        }
        let began = Timestamp::now();
        let request_id = inner.unique_ids.next(began);
        self.note(&TraceRecord::Handed {
            time: began,
            region: message.property(property::MSG_REGION),
            group,
            request_id: request_id.as_str(),
            message: traced(message, &message.message_id()),
            retries: u32::try_from(message.reconsume_times()).unwrap_or(0),
        });
        Some(Handling { request_id, began, clock: Instant::now() })
    }

    /// The handler has ended.
    pub(crate) fn handled(
        &self,
        group: &str,
        message: &Received,
        handling: &Handling,
        outcome: HandlingOutcome,
    ) {
        self.note(&TraceRecord::Handled {
            time: handling.began,
            group,
            request_id: handling.request_id.as_str(),
            message: traced(message, &message.message_id()),
            cost: Millis(handling.clock.elapsed().as_millis() as u64),
            outcome,
            success: outcome == HandlingOutcome::Success,
        });
    }

    fn is_wanted(&self, message: &Received) -> bool {
        message.topic() != self.topic.as_str() && message.property(property::TRACE_ON) != Some("false")
    }

    /// Sends what comes, until it is stopped.
    pub(crate) async fn run(&self, inner: &Arc<Inner>) {
        loop {
            self.came.notified().await;
            let deadline = deadline(self.linger);
            while self.state.lock().waiting.is_empty()
                && timeout_at(deadline, self.came.notified()).await.is_ok()
            {}
            self.flush(inner).await;
        }
    }

    /// Sends what is there, before everything ends, and waits for what is being sent.
    pub(crate) async fn close(&self, inner: &Arc<Inner>) {
        if tokio::time::timeout(CLOSE_LIMIT, self.flush(inner)).await.is_err() {
            let mut state = self.state.lock();
            state.finish();
            let left = state.waiting.drain(..).map(|(_, records)| records as u64).sum();
            self.lost.fetch_add(left, Ordering::Relaxed);
            tracing::warn!("closed before every trace record was sent");
        }
    }

    async fn flush(&self, inner: &Arc<Inner>) {
        let _alone = self.sending.lock().await;
        self.state.lock().finish();
        loop {
            let next = self.state.lock().waiting.pop_front();
            let Some((message, records)) = next else { return };
            // Whoever stops in the middle has lost them, too.
            let unsent = Unsent { lost: &self.lost, records };
            match self.send(inner, message).await {
                Ok(()) => std::mem::forget(unsent),
                Err(error) => tracing::warn!(%error, records, "trace records are lost"),
            }
        }
    }

    async fn send(&self, inner: &Arc<Inner>, message: TraceMessage) -> Result<(), NotSent> {
        let born = Timestamp::now();
        let mut properties = String::with_capacity(message.keys.len() + 128);
        push_property(&mut properties, property::KEYS, &message.keys);
        push_property(&mut properties, property::UNIQUE_KEY, inner.unique_ids.next(born).as_str());
        push_property(&mut properties, property::WAIT, "true");
        let (mut body, mut sys_flag) = (message.body, SysFlag(0));
        if body.len() > COMPRESS_OVER
            && let Some(small) = compress(Compression::Zlib, 5, &body)
        {
            body = small;
            sys_flag.0 |= Compression::Zlib.bits();
        }
        let mut tries = 0;
        loop {
            tries += 1;
            let route = inner.route_for_sending(&self.topic).await?;
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let queue = route.writable.get(turn % route.writable.len().max(1));
            let addr = queue.and_then(|queue| route.master(&queue.broker));
            let (Some(queue), Some(addr)) = (queue, addr) else {
                return Err(RouteError::NoQueue { topic: self.topic.clone(), wanted: "writable" }.into());
            };
            let header = self.header(queue, &properties, sys_flag, born);
            let link = inner.link(addr);
            let sent = link.send(RequestCode::SendMessageV2, &header, &body, inner.timing.call).await;
            let failed = match sent {
                Ok(Answer::Stored(_)) => return Ok(()),
                Ok(Answer::Frame(frame)) => match link.refusal(&frame) {
                    Ok(Some(refused)) | Err(refused) => refused,
                    Ok(None) => return Ok(()),
                },
                Err(failed) => failed,
            };
            if tries == TRIES {
                return Err(failed.into());
            }
            let _ = inner.reread(&self.topic).await;
        }
    }

    fn header<'a>(
        &'a self,
        queue: &'a MessageQueue,
        properties: &'a str,
        sys_flag: SysFlag,
        born: Timestamp,
    ) -> SendMessage<'a> {
        SendMessage {
            group: GROUP,
            topic: self.topic.as_str(),
            default_topic: AUTO_CREATE_TOPIC,
            default_queues: 4,
            queue: Some(queue.id),
            sys_flag,
            born,
            flag: 0,
            properties,
            reconsume_times: 0,
            unit_mode: false,
            max_reconsume_times: None,
            batch: false,
            broker: Some(&queue.broker),
        }
    }
}

/// A message as records name it.
pub(crate) fn traced<'a>(message: &'a Received, id: &'a str) -> TracedMessage<'a> {
    TracedMessage { topic: message.topic(), id, tags: message.tag(), keys: message.property(property::KEYS) }
}
