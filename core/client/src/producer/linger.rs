//! Messages that wait a moment for others to travel with: fewer frames, at the price of that moment.
//!
//! ```text
//! send ─▶ open frame of its topic ── full, or waited long enough ──▶ one batch ─▶ each sender gets its receipt
//! ```
//! Always true:
//! * messages of a frame have one topic, one queue if they are bound to one, and all wait for the store or none does;
//! * a message waits no longer than the producer's `linger`, and not at all once its frame is full or the producer closes;
//! * what is in a frame counts as in flight until the frame's answer, whether or not its senders still wait;
//! * beyond the frame, which grows by doubling, nothing is allocated for a message.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ferromq_model::{Timestamp, TopicName};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Shared;
use super::batch::{batch, item_len, nth, put_item, waits};
use super::deliver::{Accepted, Aim, Span};
use super::error::SendError;
use super::receipt::SendReceipt;
use super::room::{Place, Taken};
use crate::identity::UniqueId;
use crate::message::Message;
use crate::queue::MessageQueue;

/// The frames that are open, and what sends them.
pub(super) struct Lingering {
    for_at_most: Duration,
    bytes: usize,
    open: Mutex<HashMap<Kind, Arc<Frame>>>,
    tasks: Mutex<JoinSet<()>>,
}

/// What messages of a frame have in common.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Kind {
    topic: TopicName,
    queue: Option<MessageQueue>,
    waits: bool,
}

/// Messages that travel together.
struct Frame {
    filling: Mutex<Filling>,
    /// Told when it is not to wait any longer.
    full: Notify,
    outcome: OnceLock<Result<Accepted, SendError>>,
    /// Told when there is an outcome.
    ended: Notify,
}

#[derive(Default)]
struct Filling {
    body: Vec<u8>,
    count: usize,
    taken: Taken,
    /// Of the first message.
    first: Option<(UniqueId, Timestamp)>,
}

impl Lingering {
    pub(super) fn new(for_at_most: Duration, bytes: usize) -> Self {
        Self { for_at_most, bytes, open: Mutex::default(), tasks: Mutex::default() }
    }

    /// Sends what waits now.
    pub(super) fn flush(&self) {
        self.open.lock().drain().for_each(|(_, frame)| frame.full.notify_one());
    }

    /// Waits until everything is sent.
    pub(super) async fn finish(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        while tasks.join_next().await.is_some() {}
    }
}

impl Shared {
    /// Whether a message may wait for others, and the producer wants it to.
    pub(super) fn lingers(&self, message: &Message) -> Option<&Lingering> {
        self.lingering.as_ref().filter(|lingering| {
            item_len(message) <= lingering.bytes
                && !message.is_delayed()
                && message.topic.retry_group().is_none()
                && self.compression_of(message).is_none()
        })
    }

    /// Sends a message together with others.
    pub(super) async fn linger(
        self: &Arc<Self>,
        lingering: &Lingering,
        place: Place<'_>,
        mut message: Message,
        queue: Option<MessageQueue>,
    ) -> Result<SendReceipt, SendError> {
        let now = Timestamp::now();
        let id = self.label(&mut message, now)?;
        let kind = Kind { topic: message.topic.clone(), queue, waits: waits(&message) };
        let (frame, turn) = self.add(lingering, &kind, place, &message, (id, now));
        // Noted before the look at the outcome, so that one in between is not missed.
        let ended = frame.ended.notified();
        if frame.outcome.get().is_none() {
            ended.await;
        }
        match frame.outcome.get() {
            Some(Ok(accepted)) => Ok(nth(accepted, turn, id)),
            Some(Err(error)) => Err(error.clone()),
            None => Err(SendError::Closed),
        }
    }

    /// Adds a message to the open frame of its kind, or to a new one. Returns the frame, and its place in it.
    fn add(
        self: &Arc<Self>,
        lingering: &Lingering,
        kind: &Kind,
        place: Place<'_>,
        message: &Message,
        first: (UniqueId, Timestamp),
    ) -> (Arc<Frame>, usize) {
        let mut open = lingering.open.lock();
        let fits = |frame: &Frame| frame.filling.lock().body.len() + item_len(message) <= lingering.bytes;
        let frame = match open.get(kind) {
            Some(frame) if fits(frame) => Arc::clone(frame),
            overfull => {
                if let Some(frame) = overfull {
                    frame.full.notify_one();
                }
                let frame = Arc::new(Frame::new());
                open.insert(kind.clone(), Arc::clone(&frame));
                let sending = Arc::clone(self).send_frame(kind.clone(), Arc::clone(&frame));
                let mut tasks = lingering.tasks.lock();
                while tasks.try_join_next().is_some() {}
                tasks.spawn(sending);
                frame
            }
        };
        let mut filling = frame.filling.lock();
        put_item(&mut filling.body, message);
        filling.taken += place.keep();
        filling.first.get_or_insert(first);
        filling.count += 1;
        let turn = filling.count - 1;
        // The next one is likely to be as long; and nothing is to wait while the producer closes.
        if filling.body.len() + item_len(message) > lingering.bytes || self.room.is_shut() {
            open.remove(kind);
            frame.full.notify_one();
        }
        drop(filling);
        (frame, turn)
    }

    /// Waits as long as the frame may, and sends it.
    async fn send_frame(self: Arc<Self>, kind: Kind, frame: Arc<Frame>) {
        let _ending = Ending(&frame);
        let Some(lingering) = &self.lingering else { return };
        tokio::select! {
            () = frame.full.notified() => {}
            () = sleep(lingering.for_at_most) => {}
        }
        {
            let mut open = lingering.open.lock();
            if open.get(&kind).is_some_and(|known| Arc::ptr_eq(known, &frame)) {
                open.remove(&kind);
            }
        }
        let Filling { body, taken, first, .. } = std::mem::take(&mut *frame.filling.lock());
        let _place = self.room.resume(taken);
        let Some((first, born)) = first else { return };
        let out = batch(kind.topic, body, kind.waits, born, first);
        let span = Span::from_now(self.settings.send_timeout);
        let sent = self.deliver(&out, kind.queue.as_ref().map_or(Aim::Any, Aim::Queue), span).await;
        let _ = frame.outcome.set(sent);
    }
}

impl Frame {
    fn new() -> Self {
        Self {
            filling: Mutex::default(),
            full: Notify::new(),
            outcome: OnceLock::new(),
            ended: Notify::new(),
        }
    }
}

/// Tells senders that the frame has ended, however its task ends.
struct Ending<'a>(&'a Frame);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.outcome.get_or_init(|| Err(SendError::Closed));
        self.0.ended.notify_waiters();
    }
}
