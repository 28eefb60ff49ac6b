//! Pops that wait: in lines, one a topic, group and queue asked for. The first of a line watches the queues, and takes
//! what arrives; the others wait for their turn. So one message wakes one consumer, however many wait.
//!
//! What the first watches: arrivals in its queues and those of its retry topics, topics that come into being, the end of
//! a block where messages are popped in order, and its own deadline.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ferromq_model::filter::MessageFilter;
use ferromq_model::{Millis, QueueId, QueueOffset, Timestamp};
use ferromq_store::Queue;
use foldhash::fast::RandomState;
use futures_util::future::select_all;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Pops;
use super::receipt::Origin;
use super::take::{Accepted, Look, Outcome, Pop, PopError, Popped};
use crate::broker::Broker;
use crate::pull::MAX_HOLD;

/// A wait ends this much before its client's, so that the answer is there in time.
const EARLY: Millis = Millis(50);

/// Pops that wait, by what they wait for.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: Mutex<HashMap<LineName, Arc<Line>, RandomState>>,
    total: AtomicUsize,
}

/// Group, topic, and queue if it is one.
type LineName = (String, String, Option<QueueId>);

#[derive(Debug)]
struct Line {
    /// One permit: its holder is the first, who comes next is in the order of arrival.
    first: Semaphore,
    waiting: AtomicUsize,
}

/// A place in a line, given back when dropped.
#[derive(Debug)]
struct InLine {
    broker: Broker,
    name: LineName,
    line: Arc<Line>,
}

impl Lines {
    /// How many wait.
    pub(super) fn waiting(&self, group: &str, topic: &str, queue: Option<QueueId>) -> usize {
        let name = (group.to_owned(), topic.to_owned(), queue);
        self.lines.lock().get(&name).map_or(0, |line| line.waiting.load(Ordering::Relaxed))
    }

    fn join(broker: &Broker, name: LineName) -> Option<InLine> {
        let this = broker.pops().lines();
        let (most, most_here) = (broker.config().max_waiting_pops, broker.config().max_waiting_pops_a_queue);
        let mut lines = this.lines.lock();
        if this.total.load(Ordering::Relaxed) >= most as usize {
            return None;
        }
        let new = || Arc::new(Line { first: Semaphore::new(1), waiting: AtomicUsize::new(0) });
        let line = Arc::clone(lines.entry(name.clone()).or_insert_with(new));
        if line.waiting.load(Ordering::Relaxed) >= most_here as usize {
            return None;
        }
        line.waiting.fetch_add(1, Ordering::Relaxed);
        this.total.fetch_add(1, Ordering::Relaxed);
        Some(InLine { broker: broker.clone(), name, line })
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        let lines = self.broker.pops().lines();
        let mut table = lines.lines.lock();
        lines.total.fetch_sub(1, Ordering::Relaxed);
        if self.line.waiting.fetch_sub(1, Ordering::Relaxed) == 1 {
            table.remove(&self.name);
        }
    }
}

/// A pop whose answer is not there yet.
#[derive(Debug)]
pub struct HeldPop {
    broker: Broker,
    state: State,
}

#[derive(Debug)]
enum State {
    /// It has messages, whose check points the disk does not have yet.
    Found(Popped),
    /// It waits for messages.
    Waiting { look: Look, in_line: InLine, deadline: Instant },
}

impl HeldPop {
    pub(super) fn found(broker: &Broker, popped: Popped) -> Accepted {
        Accepted::Later(Box::new(Self { broker: broker.clone(), state: State::Found(popped) }))
    }

    /// Puts the pop in line, if its client waits until later and there is room.
    pub(super) fn wait(broker: &Broker, look: Look, nothing: Popped, until: Timestamp) -> Accepted {
        let Some(deadline) = deadline(broker, until) else { return Accepted::Now(nothing) };
        let name = (look.group.to_string(), look.topic.to_string(), look.queue);
        match Lines::join(broker, name) {
            Some(in_line) => {
                let state = State::Waiting { look, in_line, deadline };
                Accepted::Later(Box::new(Self { broker: broker.clone(), state }))
            }
            None => Accepted::Now(Popped { outcome: Outcome::Full, ..nothing }),
        }
    }

    /// Waits for messages, or for the end of the pop's time; then until the check points of what was found are as safe
    /// as the flush mode promises. Messages of an answer that nobody hears any more come again like others that are not
    /// acknowledged.
    ///
    /// # Errors
    /// [`PopError::Read`] or [`PopError::Store`].
    pub async fn answer(self) -> Result<Popped, PopError> {
        let broker = self.broker.clone();
        let popped = self.taken().await?;
        popped.safe(&broker).await?;
        Ok(popped)
    }

    /// The same without the wait for the disk, which has to follow: see [`Popped::safe`]. Cancel safe: whoever gives up
    /// waiting for messages has taken none.
    ///
    /// # Errors
    /// [`PopError::Read`] or [`PopError::Store`].
    pub async fn taken(self) -> Result<Popped, PopError> {
        match self.state {
            State::Found(popped) => Ok(popped),
            // Its place in line ends here: nobody waits behind a pop that waits for the disk.
            State::Waiting { look, in_line, deadline } => {
                wait_in_line(&self.broker, &look, &in_line, deadline).await
            }
        }
    }
}

impl Popped {
    /// Waits until the check points are as safe as the flush mode promises: the messages may be handed out then.
    ///
    /// # Errors
    /// [`PopError::Store`].
    pub async fn safe(&self, broker: &Broker) -> Result<(), PopError> {
        let store = broker.store();
        if self.outcome == Outcome::Found && store.flushes_before_ack() {
            store.flushed_to(self.end).await?;
        }
        Ok(())
    }
}

fn deadline(broker: &Broker, until: Timestamp) -> Option<Instant> {
    let left = Millis(until.since(broker.store().now()).0.saturating_sub(EARLY.0)).min(MAX_HOLD);
    (left > Millis(0)).then(|| Instant::now() + Duration::from_millis(left.0))
}

async fn wait_in_line(
    broker: &Broker,
    look: &Look,
    in_line: &InLine,
    deadline: Instant,
) -> Result<Popped, PopError> {
    let _first = tokio::select! {
        turn = in_line.line.first.acquire() => turn.expect("nobody closes it"),
        () = tokio::time::sleep_until(deadline) => return Ok(look.nothing(broker, Outcome::Nothing)),
        () = broker.stopped() => return Ok(look.nothing(broker, Outcome::Nothing)),
    };
    keep_looking(broker, look, deadline, || look.take(broker)).await
}

/// Looks at once, and again whenever something may have changed, until there is something or the time is over.
async fn keep_looking(
    broker: &Broker,
    look: &Look,
    deadline: Instant,
    what_is_there: impl Fn() -> Result<Popped, PopError>,
) -> Result<Popped, PopError> {
    loop {
        let mut topics = broker.topics().changes();
        let of_topic = broker.pops().places().topic_or_new(&look.group, &look.topic);
        let freed = of_topic.freed.notified();
        tokio::pin!(freed);
        // Before the look, so that nothing that happens behind it is missed.
        freed.as_mut().enable();
        let popped = what_is_there()?;
        if popped.outcome == Outcome::Found {
            return Ok(popped);
        }
        let unblocked = popped
            .blocked_until
            .map(|until| Instant::now() + Duration::from_millis(until.since(broker.store().now()).0.max(1)));
        tokio::select! {
            () = arrival(watched(broker, look)) => {}
            _ = topics.changed() => {}
            () = &mut freed => {}
            () = tokio::time::sleep_until(unblocked.unwrap_or(deadline)), if unblocked.is_some() => {}
            () = tokio::time::sleep_until(deadline) => return Ok(popped),
            () = broker.stopped() => return Ok(popped),
        }
    }
}

/// The queues whose arrivals matter, each with the offset from which on.
fn watched(broker: &Broker, look: &Look) -> Vec<(Arc<Queue>, QueueOffset)> {
    let own = std::iter::once((Origin::Topic, &look.topic, look.queue));
    let retries = look.retries.iter().map(|(origin, name)| (*origin, name, None));
    let mut watched = Vec::new();
    for (_, name, only) in own.chain(retries) {
        let Some(topic) = broker.topics().find(name.as_str()) else { continue };
        let ids = only.map_or(0..topic.config().read_queue_nums, |only| only.0..only.0 + 1);
        for id in ids.map(QueueId) {
            let Some(queue) = topic.queue(broker.store(), id).filter(|queue| !queue.is_retired()) else {
                continue;
            };
            let place = broker.pops().places().find(look.group.as_str(), name.as_str(), id);
            let from = place.and_then(|at| {
                let mut place = at.lock();
                let position = place.position(&at, broker.offsets());
                let now = broker.store().now();
                let saturated = !look.in_order && Pops::is_saturated(broker, &at);
                let others = place.order.as_ref().filter(|order| {
                    look.in_order
                        && !order.is_of(look.attempt.as_deref())
                        && order.blocked_until(now).is_some()
                });
                // What is there already is not to be had before the block ends.
                if others.is_some() || saturated {
                    Some(queue.max().max(position.unwrap_or_default()))
                } else {
                    position
                }
            });
            watched.push((Arc::clone(queue), from.unwrap_or_else(|| queue.max())));
        }
    }
    watched
}

/// Waits until one of the queues has a message from its offset on.
async fn arrival(watched: Vec<(Arc<Queue>, QueueOffset)>) {
    if watched.is_empty() {
        return std::future::pending().await;
    }
    let waits =
        watched.into_iter().map(|(queue, from)| Box::pin(async move { queue.wait_beyond(from).await }));
    select_all(waits).await;
}

/// What somebody is told who asked to hear of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// There are messages to pop.
    Messages,
    /// There were none in the time.
    None,
    /// As many wait as may.
    Full,
}

/// Somebody who waits to hear of messages.
#[derive(Debug)]
pub struct HeldNotice {
    look: Look,
    in_line: InLine,
    deadline: Instant,
}

/// What became of an ask for a notice.
#[derive(Debug)]
pub enum Notified {
    /// It has its answer.
    Now(Notice),
    /// It waits.
    Later(Box<HeldNotice>),
}

impl Broker {
    /// Tells whether there is anything to pop, or accepts to tell later. Its expression does not
    /// count: a pop finds out.
    ///
    /// # Errors
    /// [`PopError`].
    pub fn notify(&self, ask: &Pop<'_>) -> Result<Notified, PopError> {
        let mut look = self.pop_look(ask)?;
        look.filter = MessageFilter::All;
        if look.peek(self)?.outcome == Outcome::Found {
            return Ok(Notified::Now(Notice::Messages));
        }
        let born = if ask.born <= Timestamp::ZERO { self.store().now() } else { ask.born };
        let Some(deadline) = deadline(self, born.plus(ask.wait)) else {
            return Ok(Notified::Now(Notice::None));
        };
        // A line of their own: a notice takes nothing away from those who pop.
        let name = (format!("{}@", look.group), look.topic.to_string(), look.queue);
        match Lines::join(self, name) {
            Some(in_line) => Ok(Notified::Later(Box::new(HeldNotice { look, in_line, deadline }))),
            None => Ok(Notified::Now(Notice::Full)),
        }
    }

    /// How many pops of a group wait on a queue, or on any if it is `None`.
    #[must_use]
    pub fn waiting_pops(&self, group: &str, topic: &str, queue: Option<QueueId>) -> usize {
        self.pops().lines().waiting(group, topic, queue)
    }
}

impl HeldNotice {
    /// Waits for messages, or for the end of the time.
    ///
    /// # Errors
    /// [`PopError::Read`].
    pub async fn answer(self) -> Result<Notice, PopError> {
        let Self { look, in_line, deadline } = self;
        let broker = &in_line.broker;
        let peeked = keep_looking(broker, &look, deadline, || look.peek(broker)).await?;
        Ok(if peeked.outcome == Outcome::Found { Notice::Messages } else { Notice::None })
    }
}
