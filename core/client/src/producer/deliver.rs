//! Delivering to a broker: which queue, and trying again.
//!
//! Always true:
//! * queues that may be written take turns, from a random one on;
//! * a message goes to another broker after a failure, if there is one, and to the same queue if it is bound to it;
//! * all tries together take no longer than the producer's `send_timeout`.

use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ferromq_model::message::MessageId;
use ferromq_model::name::AUTO_CREATE_TOPIC;
use ferromq_model::{QueueOffset, TopicName};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::frame::HeaderScratch;
use ferromq_protocol::header::{Header as _, SendMessage, SendMessageResponse};
use tokio::time::{Instant, sleep, timeout_at};

use super::Shared;
use super::error::{SendError, is_worth_another_try};
use super::outgoing::Outgoing;
use super::receipt::{SendReceipt, SendStatus};
use crate::error::{CallError, RouteError};
use crate::queue::MessageQueue;
use crate::routes::TopicRoute;
use crate::wire::{Answer, Frame, Link};

/// Before a broker that failed a message gets it again, because there is no other; four times as long at each further try.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a try waits for a route that may have changed.
const REREAD_LIMIT: Duration = Duration::from_millis(500);
/// Topics whose turns are counted apart from each other, most of the time.
const TURNS: usize = 64;

/// Where a message is to go.
#[derive(Clone, Copy)]
pub(super) enum Aim<'a> {
    /// Wherever it may be written.
    Any,
    /// There and nowhere else.
    Queue(&'a MessageQueue),
}

/// When sending began, and how long it may take.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) start: Instant,
    pub(super) limit: Duration,
}

impl Span {
    pub(super) fn from_now(limit: Duration) -> Self {
        Self { start: Instant::now(), limit }
    }

    pub(super) fn end(&self) -> Instant {
        self.start + self.limit
    }

    fn left(&self) -> Duration {
        self.limit.saturating_sub(self.start.elapsed())
    }
}

/// What a broker took.
pub(super) struct Accepted {
    pub(super) status: SendStatus,
    pub(super) queue: MessageQueue,
    /// Of the first message, if it is a batch.
    pub(super) offset: QueueOffset,
    pub(super) place: Option<MessageId>,
    /// Of each message of a batch; empty otherwise.
    pub(super) places: Vec<Option<MessageId>>,
    pub(super) recall_handle: Option<Box<str>>,
    /// Whether the broker lets it be traced, and the region that it was given.
    pub(super) trace: bool,
    pub(super) region: Option<Box<str>>,
}

impl Accepted {
    pub(super) fn receipt(self, out: &Outgoing) -> SendReceipt {
        SendReceipt {
            status: self.status,
            message_id: out.id,
            queue: self.queue,
            offset: self.offset,
            place: self.place,
            recall_handle: self.recall_handle,
        }
    }
}

/// Whose turn it is among the queues of a topic. Two topics may share a count, which costs evenness, no more.
pub(super) struct Turns {
    hasher: foldhash::fast::RandomState,
    counts: [AtomicUsize; TURNS],
}

impl Turns {
    pub(super) fn new() -> Self {
        let hasher = foldhash::fast::RandomState::default();
        let counts = std::array::from_fn(|place| AtomicUsize::new(hasher.hash_one(place) as usize >> 1));
        Self { hasher, counts }
    }

    fn next(&self, topic: &TopicName) -> usize {
        let place = self.hasher.hash_one(topic.as_str()) as usize % TURNS;
        self.counts[place].fetch_add(1, Ordering::Relaxed)
    }
}

impl Shared {
    /// Tries until the message is stored, or there is no use in it any more.
    pub(super) async fn deliver_unseen(
        &self,
        out: &Outgoing,
        aim: Aim<'_>,
        span: Span,
    ) -> Result<Accepted, SendError> {
        let mut tries = 0;
        let mut avoid: Option<Arc<str>> = None;
        // How it ends if there is no other way: stored, but not as safely as it should be; or with the last failure.
        let mut ending: Option<Result<Accepted, SendError>> = None;
        loop {
            let route = self.route(&out.topic, span).await;
            let way = route.as_ref().map_err(Clone::clone).and_then(|route| {
                let queue = self.pick(route, &out.topic, aim, avoid.as_deref())?;
                Ok((queue, self.address(route, queue)?))
            });
            let (queue, addr) = match way {
                Ok(way) => way,
                Err(lost) => return ending.unwrap_or(Err(lost)),
            };
            if avoid.as_deref() == Some(&*queue.broker) {
                sleep((PAUSE * 4u32.saturating_pow(tries - 1)).min(span.left())).await;
            }
            tries += 1;
            let link = self.client.inner.link(&addr);
            let since = self.settings.avoid_slow_brokers.then(Instant::now);
            let tried = self.attempt(&link, out, queue, span).await;
            if let Some(since) = since {
                let now = Instant::now();
                self.faults.note(&queue.broker, now - since, tried.is_err(), now.into_std());
            }
            let again = || tries <= self.settings.retries && !span.left().is_zero();
            match tried {
                Ok(accepted) => {
                    let retry = self.settings.retry_when_not_stored;
                    if accepted.status == SendStatus::Stored || !retry || !again() {
                        return Ok(accepted);
                    }
                    ending = Some(Ok(accepted));
                }
                Err(last) => {
                    tracing::debug!(topic = %out.topic, %queue, tries, error = %last, "not sent");
                    let again = again() && is_worth_another_try(&last);
                    let lost = last.is_silence() || is_wrong_way(&last);
                    if !matches!(ending, Some(Ok(_))) {
                        ending = Some(Err(SendError::Failed { tries, last }));
                    }
                    if let Some(ending) = ending.take_if(|_| !again) {
                        return ending;
                    }
                    if lost {
                        self.reread(&out.topic, span).await;
                    }
                }
            }
            avoid = Some(Arc::clone(&queue.broker));
        }
    }

    /// Has a route read anew that may be wrong. Where no NameServer answers soon, the next try goes by what is known.
    async fn reread(&self, topic: &TopicName, span: Span) {
        let limit = span.end().min(Instant::now() + REREAD_LIMIT);
        let _ = timeout_at(limit, self.client.inner.reread(topic)).await;
    }

    /// Sends once, without an answer.
    pub(super) async fn tell(&self, out: &Outgoing, aim: Aim<'_>, span: Span) -> Result<(), SendError> {
        let route = self.route(&out.topic, span).await?;
        let queue = self.pick(&route, &out.topic, aim, None)?;
        let link = self.client.inner.link(&self.address(&route, queue)?);
        let told = link.tell(out.code, &self.header(out, queue), &out.body, span.left()).await;
        told.map_err(|last| SendError::Failed { tries: 1, last })
    }

    /// Where a topic is, as long as there is time to find out.
    pub(super) async fn route(&self, topic: &TopicName, span: Span) -> Result<Arc<TopicRoute>, SendError> {
        let inner = &self.client.inner;
        if let Some(known) = inner.routes.known(topic.as_str(), true) {
            return Ok(known);
        }
        let found = timeout_at(span.end(), inner.route_for_sending(topic)).await;
        let route =
            found.map_err(|_| SendError::NoRouteInTime { topic: topic.clone(), after: span.limit })??;
        // Its brokers may be new to this client.
        inner.beat.notify_one();
        Ok(route)
    }

    fn pick<'r>(
        &self,
        route: &'r TopicRoute,
        topic: &TopicName,
        aim: Aim<'r>,
        avoid: Option<&str>,
    ) -> Result<&'r MessageQueue, SendError> {
        match aim {
            Aim::Queue(queue) => Ok(queue),
            Aim::Any => {
                let now = std::time::Instant::now();
                let turn = self.turns.next(topic);
                let picked = self.faults.pick(&route.writable, turn, avoid, now);
                picked.ok_or_else(|| no_queue(topic).into())
            }
        }
    }

    fn address(&self, route: &TopicRoute, queue: &MessageQueue) -> Result<Arc<str>, SendError> {
        let known = route.master(&queue.broker).cloned();
        let known = known.or_else(|| self.client.inner.routes.master(&queue.broker));
        known.ok_or_else(|| no_queue(&queue.topic).into())
    }

    /// One try.
    async fn attempt(
        &self,
        link: &Link,
        out: &Outgoing,
        queue: &MessageQueue,
        span: Span,
    ) -> Result<Accepted, CallError> {
        let header = self.header(out, queue);
        let left = self.settings.try_timeout.map_or(span.left(), |limit| limit.min(span.left()));
        if out.code == RequestCode::SendBatchMessage {
            let frame = link.ask(out.code, &header, &out.body, left).await?;
            return read_batch(link, &frame, queue);
        }
        match link.send(out.code, &header, &out.body, left).await? {
            Answer::Stored(stored) => Ok(Accepted {
                status: SendStatus::of(stored.code).unwrap_or(SendStatus::Stored),
                queue: MessageQueue { id: stored.queue, ..queue.clone() },
                offset: stored.offset,
                place: stored.at,
                places: Vec::new(),
                recall_handle: stored.recall_handle,
                trace: stored.trace,
                region: stored.region,
            }),
            Answer::Frame(frame) => Err(refusal(link, &frame)),
        }
    }

    /// What goes before the body.
    pub(super) fn header<'a>(&'a self, out: &'a Outgoing, queue: &'a MessageQueue) -> SendMessage<'a> {
        SendMessage {
            group: self.group.as_str(),
            topic: out.topic.as_str(),
            default_topic: AUTO_CREATE_TOPIC,
            default_queues: self.settings.topic_queues as i32,
            queue: Some(queue.id),
            sys_flag: out.sys_flag,
            born: out.born,
            flag: out.flag,
            properties: &out.properties,
            reconsume_times: 0,
            unit_mode: false,
            max_reconsume_times: None,
            batch: out.code == RequestCode::SendBatchMessage,
            broker: Some(&queue.broker),
        }
    }
}

/// The answer to a batch, which is one of those that mean "stored" or a refusal.
fn read_batch(link: &Link, frame: &Frame, queue: &MessageQueue) -> Result<Accepted, CallError> {
    let mut scratch = HeaderScratch::new();
    let command = frame.command(&mut scratch).map_err(|error| link.unreadable(&error.to_string()))?;
    let Some(status) = command.response_code().and_then(SendStatus::of) else {
        return Err(refusal(link, frame));
    };
    let header = SendMessageResponse::decode(&command.fields);
    let header = header.map_err(|error| link.unreadable(&error.to_string()))?;
    Ok(Accepted {
        status,
        queue: MessageQueue { id: header.queue, ..queue.clone() },
        offset: header.offset,
        place: None,
        places: header.message_id.split(',').map(MessageId::parse).collect(),
        recall_handle: None,
        trace: header.trace,
        region: Some(header.region.into()),
    })
}

fn refusal(link: &Link, frame: &Frame) -> CallError {
    match link.refusal(frame) {
        Ok(Some(refused)) | Err(refused) => refused,
        Ok(None) => link.unreadable("it does not say where the message is"),
    }
}

fn no_queue(topic: &TopicName) -> RouteError {
    RouteError::NoQueue { topic: topic.clone(), wanted: "writable" }
}

/// Whether a refusal says that this broker has nothing to do with the topic any more.
fn is_wrong_way(error: &CallError) -> bool {
    matches!(
        error.code(),
        Some(ResponseCode::TopicNotExist | ResponseCode::NoPermission | ResponseCode::SlaveNotAvailable)
    )
}
