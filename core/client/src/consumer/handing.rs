//! Handing messages out, concurrently or in order, and what comes of it.
//!
//! ```text
//! fetched ──▶ lane of its queue ──▶ Ready ──▶ handler or stream ──▶ Outcome ──▶ done, sent back, or once more
//!             (in order only: one message of a queue at a time)                     │
//!                                     ▲──────────── Postponed ◀─────────────────────┘
//! ```
//! Always true:
//! * concurrently, a message that failed is sent back to its broker, which delivers it again later and in the end puts it
//!   among the group's dead letters; in order, it is handed out again here until it succeeds or was tried often enough;
//! * a message counts as done only when its handler said so or the broker has taken it back;
//! * what a queue that was given up still has is not handed out any more.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use ferromq_model::Timestamp;
use ferromq_model::message::{property, push_property, without_properties};
use ferromq_protocol::code::RequestCode;
use ferromq_protocol::header::{SendBack, SendMessage};
use futures_util::{FutureExt as _, Stream};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::push::Consumer;
use super::queues::LOCK_AGAIN;
use super::ready::{Item, Taker};
use crate::backoff::redelivery_level;
use crate::error::CallError;
use crate::received::Received;
use crate::spans;
use crate::trace::Handling;
use crate::trace_record::HandlingOutcome;

/// How long a message waits here that could neither be handled nor sent back.
const NOT_SENT_BACK: Duration = Duration::from_secs(5);
/// The group by whose name official clients send messages back as ordinary ones.
const INNER_PRODUCER: &str = "CLIENT_INNER_PRODUCER";

/// What came of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// It failed: deliver it again later, each time a little later, and as a dead letter in the end. In order: again
    /// after the consumer's pause, before any other message of its queue.
    Later,
    /// The same after the time of this delay level of the broker; in order as [`Outcome::Later`].
    AtLevel(u8),
    /// It failed for good: it becomes a dead letter at once.
    DeadLetter,
}

impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Self::Done
    }
}

/// An error counts as [`Outcome::Later`], and is logged.
impl<E: std::fmt::Display> From<Result<(), E>> for Outcome {
    fn from(result: Result<(), E>) -> Self {
        match result {
            Ok(()) => Self::Done,
            Err(error) => {
                tracing::warn!(%error, "a handler failed: its message comes again");
                Self::Later
            }
        }
    }
}

/// What a consumer does with messages. Async functions from [`Received`] to [`Outcome`], `()` or a `Result` are handlers.
///
/// A handler that panics, or takes longer than it may, has failed.
pub trait Handler: Send + Sync + 'static {
    /// Handles one message. Called for many at the same time; in order, for one of each queue.
    fn handle(&self, message: Received) -> impl Future<Output = Outcome> + Send;
}

impl<F, R> Handler for F
where
    F: Fn(Received) -> R + Send + Sync + 'static,
    R: Future<Output: Into<Outcome>> + Send,
{
    async fn handle(&self, message: Received) -> Outcome {
        self(message).await.into()
    }
}

/// What is to be done with messages later.
#[derive(Default)]
pub(super) struct Postponed {
    items: Mutex<BTreeMap<(Instant, u64), (Item, Then)>>,
    count: std::sync::atomic::AtomicU64,
    changed: Notify,
}

/// What is to be done then.
enum Then {
    HandOut,
    Settle(Outcome),
}

impl Postponed {
    fn add(&self, until: Instant, item: Item, then: Then) {
        let turn = self.count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.items.lock().insert((until, turn), (item, then));
        self.changed.notify_one();
    }

    fn due(&self, now: Instant) -> Result<(Item, Then), Option<Instant>> {
        let mut items = self.items.lock();
        match items.first_entry() {
            Some(first) if first.key().0 <= now => Ok(first.remove()),
            Some(first) => Err(Some(first.key().0)),
            None => Err(None),
        }
    }
}

impl Consumer {
    /// Hands messages to `handler`, until the consumer is closed.
    pub(super) async fn work<H: Handler>(self: Arc<Self>, handler: Arc<H>) {
        let mut ready = Taker::of(&self.ready);
        while let Some(item) = ready.next().await {
            let Some(item) = self.admit(item) else { continue };
            let outcome = self.handle(&*handler, item.message.clone()).await;
            self.settle(item, outcome).await;
        }
    }

    /// Whether a message may be handed out now. Without the lock of its queue it waits until that is ours again.
    fn admit(&self, item: Item) -> Option<Item> {
        if item.from.buffer.is_given_up() {
            return None;
        }
        if self.settings.needs_locks() && !item.from.is_locked() {
            self.postponed.add(Instant::now() + LOCK_AGAIN, item, Then::HandOut);
            return None;
        }
        Some(item)
    }

    /// Runs a handler; one that panics or takes too long has failed.
    pub(super) async fn handle(&self, handler: &impl Handler, message: Received) -> Outcome {
        let limit = self.settings.handling_limit;
        let traced = self.trace_handed(&message);
        let process = spans::Process::of(self.group.as_str(), &message);
        let handling = AssertUnwindSafe(process.run(handler.handle(message))).catch_unwind();
        let (outcome, how) = match within(limit, handling).await {
            Ok(Ok(outcome)) => (outcome, HandlingOutcome::of(outcome)),
            Ok(Err(_)) => {
                tracing::error!(group = %self.group, "a handler panicked: its message comes again");
                (Outcome::Later, HandlingOutcome::Exception)
            }
            Err(TookTooLong) => {
                tracing::warn!(group = %self.group, ?limit, "a handler takes too long: its message comes again");
                (Outcome::Later, HandlingOutcome::Timeout)
            }
        };
        self.trace_handled(traced, how);
        outcome
    }

    /// What a later record of the message needs, if it is traced.
    fn trace_handed(&self, message: &Received) -> Option<Traced> {
        let tracer = self.inner.tracer.as_ref()?;
        let handling = tracer.handed(&self.inner, self.group.as_str(), message)?;
        Some(Traced { message: message.clone(), handling })
    }

    fn trace_handled(&self, traced: Option<Traced>, how: HandlingOutcome) {
        if let (Some(tracer), Some(Traced { message, handling })) = (&self.inner.tracer, traced) {
            tracer.handled(self.group.as_str(), &message, &handling, how);
        }
    }

    /// Does what the outcome asks for.
    pub(super) async fn settle(&self, item: Item, outcome: Outcome) {
        if self.settings.in_order {
            self.settle_in_order(item, outcome).await;
            return;
        }
        let offset = item.message.queue_offset();
        if outcome != Outcome::Done {
            if self.settings.broadcasting {
                tracing::warn!(message = ?item.message, "dropped: nothing comes again where every member gets all");
            } else if let Err(error) = self.send_back(&item.message, outcome).await {
                tracing::warn!(message = ?item.message, %error, "not taken back: trying again here");
                self.postponed.add(Instant::now() + NOT_SENT_BACK, item, Then::HandOut);
                return;
            }
        }
        item.from.buffer.done(offset);
    }

    async fn settle_in_order(&self, mut item: Item, outcome: Outcome) {
        let tried = item.message.reconsume_times() + 1;
        let last = self.settings.max_reconsume_times.is_some_and(|most| tried > most);
        let gone = match outcome {
            Outcome::Done => true,
            Outcome::Later | Outcome::AtLevel(_) if !last => false,
            _ if self.settings.broadcasting => {
                tracing::warn!(message = ?item.message, "dropped: it was tried often enough");
                true
            }
            _ => match self.send_as_new(&item.message, Outcome::DeadLetter).await {
                Ok(()) => true,
                Err(error) => {
                    tracing::warn!(message = ?item.message, %error, "not taken as a dead letter: trying again");
                    false
                }
            },
        };
        if gone {
            item.from.buffer.done(item.message.queue_offset());
            let next = item.from.lane.lock().next();
            let from = item.from;
            match next {
                Some(message) => self.ready.push_all(std::iter::once(Item { message, from })),
                None => from.idle.notify_one(),
            }
        } else {
            item.message.tried_again();
            self.postponed.add(Instant::now() + self.settings.pause, item, Then::HandOut);
        }
    }

    /// Does what was postponed, until the consumer is closed.
    pub(super) async fn do_postponed(self: Arc<Self>) {
        loop {
            match self.postponed.due(Instant::now()) {
                Ok((item, _)) if item.from.buffer.is_given_up() => item.from.idle.notify_one(),
                Ok((item, Then::HandOut)) => self.ready.push_all(std::iter::once(item)),
                Ok((item, Then::Settle(outcome))) => self.settle(item, outcome).await,
                Err(until) => {
                    let changed = self.postponed.changed.notified();
                    match until {
                        Some(until) => {
                            tokio::select! { () = changed => {}, () = sleep_until(until) => {} }
                        }
                        None => changed.await,
                    }
                }
            }
        }
    }

    /// Gives a message back to its broker, which delivers it again.
    async fn send_back(&self, message: &Received, outcome: Outcome) -> Result<(), CallError> {
        let delay_level = match outcome {
            Outcome::AtLevel(level) => i32::from(level),
            Outcome::DeadLetter => -1,
            Outcome::Done | Outcome::Later => 0,
        };
        let queue = message.queue();
        let Ok(addr) = self.inner.address(&queue.topic, &queue.broker, 0).await else {
            return self.send_as_new(message, outcome).await;
        };
        let id = message.place().to_string();
        let header = SendBack {
            offset: message.place().offset,
            group: self.group.as_str(),
            delay_level,
            message_id: Some(&id),
            topic: Some(message.topic()),
            unit_mode: false,
            max_reconsume_times: self.settings.max_reconsume_times.or(Some(16)),
        };
        let link = self.inner.link(&addr);
        match self.inner.call(&link, RequestCode::ConsumerSendMsgBack, &header, &Bytes::new()).await {
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::debug!(%error, "not taken back: sending it as a new message");
                self.send_as_new(message, outcome).await
            }
        }
    }

    /// Sends a message to the group's retry topic as a new one; the broker that takes it counts as it would have counted.
    async fn send_as_new(&self, message: &Received, outcome: Outcome) -> Result<(), CallError> {
        let topic = ferromq_model::TopicName::retry_of(&self.group);
        let no_way = |what: String| CallError::Unreadable { addr: "route".into(), what: what.into() };
        let route = self.inner.route(&topic).await.map_err(|error| no_way(error.to_string()))?;
        let queue = route.writable.first().ok_or_else(|| no_way("no retry topic".to_owned()))?;
        let addr = route.master(&queue.broker).ok_or_else(|| no_way("no master".to_owned()))?;
        let tried = message.reconsume_times();
        let most = self.settings.max_reconsume_times.unwrap_or(16);
        let (times, most) =
            if outcome == Outcome::DeadLetter { (tried + 1, tried) } else { (tried + 1, most) };
        let origin = message.property(property::ORIGIN_MESSAGE_ID).map(str::to_owned);
        let origin = origin.unwrap_or_else(|| message.message_id());
        let mut properties = without_properties(
            message.property_string(),
            &[
                property::RETRY_TOPIC,
                property::ORIGIN_MESSAGE_ID,
                property::DELAY,
                property::TRANSACTION_PREPARED,
            ],
        );
        push_property(&mut properties, property::RETRY_TOPIC, message.topic());
        push_property(&mut properties, property::ORIGIN_MESSAGE_ID, &origin);
        let later = redelivery_level(u32::try_from(tried).unwrap_or_default());
        let level = if let Outcome::AtLevel(level) = outcome { u32::from(level) } else { later };
        push_property(&mut properties, property::DELAY, &level.to_string());
        let header = SendMessage {
            group: INNER_PRODUCER,
            topic: topic.as_str(),
            default_topic: ferromq_model::name::AUTO_CREATE_TOPIC,
            default_queues: 4,
            queue: Some(queue.id),
            sys_flag: message.sys_flag(),
            born: Timestamp::now(),
            flag: message.flag(),
            properties: &properties,
            reconsume_times: times,
            unit_mode: false,
            max_reconsume_times: Some(most),
            batch: false,
            broker: Some(&queue.broker),
        };
        let link = self.inner.link(addr);
        let body = message.stored_body();
        self.inner.call(&link, RequestCode::SendMessageV2, &header, &body).await.map(|_| ())
    }
}

#[derive(Debug, PartialEq, Eq)]
struct TookTooLong;

/// Ends a future after a time. The time begins when the future first waits for something: most handlers never do, and
/// need no clock.
async fn within<F: Future>(limit: Duration, future: F) -> Result<F::Output, TookTooLong> {
    let mut future = pin!(future);
    let mut over = pin!(None);
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if over.is_none() {
            over.set(Some(sleep(limit)));
        }
        over.as_mut().as_pin_mut().expect("set before").poll(cx).map(|()| Err(TookTooLong))
    })
    .await
}

/// A traced message that was handed out.
struct Traced {
    message: Received,
    handling: Handling,
}

impl HandlingOutcome {
    fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Success,
            Outcome::Later | Outcome::AtLevel(_) | Outcome::DeadLetter => Self::Failed,
        }
    }
}

/// A message of a [`MessageStream`]. Dropping it undecided counts as [`Outcome::Later`].
pub struct Delivery {
    item: Option<Item>,
    consumer: Arc<Consumer>,
    traced: Option<Traced>,
}

impl Delivery {
    /// The message.
    #[must_use]
    pub fn message(&self) -> &Received {
        &self.item.as_ref().expect("taken out only by what consumes it").message
    }

    /// It is done.
    pub async fn done(self) {
        self.settle(Outcome::Done).await;
    }

    /// Says what came of it.
    pub async fn settle(mut self, outcome: Outcome) {
        if let Some(item) = self.item.take() {
            let consumer = Arc::clone(&self.consumer);
            consumer.trace_handled(self.traced.take(), HandlingOutcome::of(outcome));
            consumer.settle(item, outcome).await;
        }
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Delivery").field(self.message()).finish()
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(item) = self.item.take() {
            self.consumer.trace_handled(self.traced.take(), HandlingOutcome::Nothing);
            self.consumer.postponed.add(Instant::now(), item, Then::Settle(Outcome::Later));
        }
    }
}

/// The messages of a consumer, as they become ready; ends when the consumer is closed.
pub struct MessageStream {
    consumer: Arc<Consumer>,
    ready: Taker<Item>,
}

impl MessageStream {
    pub(super) fn of(consumer: &Arc<Consumer>) -> Self {
        Self { consumer: Arc::clone(consumer), ready: Taker::of(&consumer.ready) }
    }

    /// The next message; `None` once the consumer is closed.
    pub async fn next(&mut self) -> Option<Delivery> {
        let waiting = Waiting(self);
        poll_fn(|cx| Pin::new(&mut *waiting.0).poll_next(cx)).await
    }
}

/// Somebody waits for the next message of a stream, until this is dropped.
struct Waiting<'a>(&'a mut MessageStream);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.ready.leave();
    }
}

impl Stream for MessageStream {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        loop {
            match self.ready.poll_next(cx) {
                Poll::Ready(Some(item)) => {
                    let Some(item) = self.consumer.admit(item) else { continue };
                    let consumer = Arc::clone(&self.consumer);
                    spans::received(consumer.group.as_str(), &item.message);
                    let traced = consumer.trace_handed(&item.message);
                    return Poll::Ready(Some(Delivery { item: Some(item), consumer, traced }));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl std::fmt::Debug for MessageStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MessageStream").field("group", &self.consumer.group).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_waits_longer_than_it_may_is_ended() {
        let limit = Duration::from_secs(10);
        let start = Instant::now();
        assert_eq!(within(limit, pending::<()>()).await, Err(TookTooLong));
        assert_eq!(start.elapsed().as_secs(), 10);
        assert_eq!(within(limit, sleep(limit / 2)).await, Ok(()));
        assert_eq!(within(Duration::ZERO, ready(7)).await, Ok(7));
    }
}
