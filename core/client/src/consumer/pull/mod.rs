//! A consumer that is asked: the application says which queues, from where and when.
//!
//! ```text
//! assign or subscribe ─▶ queues ─▶ fetched ahead ─▶ Window of the queue ─▶ poll ─▶ done ─▶ commit
//!                                       ▲                                   │ with the poll after it
//!                                       └────────────── seek ◀──────────────┘
//! ```
//! Always true:
//! * messages of a queue are polled in their order, each once unless the application seeks back, or the queue moves to
//!   another member;
//! * what is committed was polled, and polled again after it, or the application said so;
//! * what is fetched ahead is bounded per queue;
//! * closing ends every call that waits, and the consumer is left as a whole: whoever still holds it can no longer poll.
//!
//! | file | what it is about |
//! |---|---|
//! | `config` | the builder |
//! | `window` | messages of one queue that wait to be polled |
//! | `fetching` | the tasks |
//! | `error` | what can go wrong |

mod config;
mod error;
mod fetching;
#[cfg(test)]
mod tests;
mod window;

use std::sync::Arc;
use std::time::Duration;

use ferromq_model::{GroupName, QueueOffset, Timestamp, TopicName};
use parking_lot::Mutex;
use tokio::sync::{OnceCell, watch};
use tokio::time::{Instant, timeout_at};

pub use self::config::PullConsumerBuilder;
pub use self::error::PullError;
use self::fetching::{Assigned, Shared, as_told};
use super::fetch::{Fetch, FetchedKind};
use super::filter::Filter;
use super::offsets::Point;
use crate::client::Client;
use crate::deadline::{bounded, deadline};
use crate::members::Membership;
use crate::queue::MessageQueue;
use crate::received::Received;

/// The most queues that one consumer fetches from.
const MAX_QUEUES: usize = 1 << 16;

/// A consumer that is asked for messages. Close it to commit what was polled; one that is dropped stops too, and what was
/// polled in its last seconds is delivered again.
///
/// One task polls; the others may say where and whether to go on, and close it.
pub struct PullConsumer {
    shared: Arc<Shared>,
    /// None while the application assigns queues, and once the group is left.
    membership: Mutex<Option<Membership>>,
    stop: watch::Sender<bool>,
    /// Whoever closes it first does so; the others wait for that.
    closed: OnceCell<()>,
    _client: Client,
}

/// What one [`PullConsumer::pull`] brought.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// The messages that the filter lets through. None also if the queue does not have what was asked for, any more or
    /// yet: `next` is then the nearest that it has.
    pub messages: Vec<Received>,
    /// Where to go on.
    pub next: QueueOffset,
    /// The oldest message of the queue.
    pub min: QueueOffset,
    /// Behind its newest message.
    pub max: QueueOffset,
}

impl PullConsumer {
    /// The group.
    #[must_use]
    pub fn group(&self) -> &GroupName {
        &self.shared.group
    }

    /// The queues of a topic that may be read, sorted.
    ///
    /// # Errors
    /// [`PullError::Name`] and [`PullError::Route`].
    pub async fn queues(&self, topic: &str) -> Result<Vec<MessageQueue>, PullError> {
        let topic = TopicName::new(topic)?;
        Ok(self.shared.inner.route(&topic).await?.readable.to_vec())
    }

    /// The queues that are fetched from now, sorted.
    #[must_use]
    pub fn assigned(&self) -> Vec<MessageQueue> {
        let mut queues: Vec<_> = self.shared.queues.lock().keys().cloned().collect();
        queues.sort();
        queues
    }

    /// Fetches from these queues and no others, from where the group is on. Queues that are assigned already, with the
    /// same filter, go on as they were.
    ///
    /// # Errors
    /// [`PullError::Subscribed`], [`PullError::TooManyQueues`] and [`PullError::Closed`].
    pub async fn assign(&self, queues: Vec<MessageQueue>, filter: &Filter) -> Result<(), PullError> {
        if *self.stop.borrow() {
            return Err(PullError::Closed);
        }
        if !self.shared.subscriptions.is_empty() {
            return Err(PullError::Subscribed { group: self.group().clone() });
        }
        if queues.len() > MAX_QUEUES {
            return Err(PullError::TooManyQueues(queues.len()));
        }
        let wanted = queues.into_iter().map(|queue| (queue, filter.clone())).collect();
        self.shared.take_on(&wanted).await;
        Ok(())
    }

    /// The next messages, as soon as there are any; none if none come within `timeout`. What earlier polls returned
    /// counts as done from now on.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`PullError::Closed`], also if it is closed meanwhile.
    pub async fn poll(&self, timeout: Duration) -> Result<Vec<Received>, PullError> {
        let deadline = deadline(timeout);
        while self.wait_until(deadline).await? {
            let polled = self.take();
            if !polled.is_empty() {
                return Ok(polled);
            }
        }
        Ok(Vec::new())
    }

    /// The first half of a [`poll`](Self::poll), for whoever may be stopped between its end and looking at what it says:
    /// waits until there is something to [`take`](Self::take); false if nothing comes within `timeout`. What was taken
    /// before counts as done from now on.
    ///
    /// # Errors
    /// As [`PullConsumer::poll`].
    pub async fn wait(&self, timeout: Duration) -> Result<bool, PullError> {
        self.wait_until(deadline(timeout)).await
    }

    /// The second half of a [`poll`](Self::poll): messages that are here. None if there are none, or it is closed.
    #[must_use]
    pub fn take(&self) -> Vec<Received> {
        if *self.stop.borrow() { Vec::new() } else { self.shared.take(self.shared.settings.max_polled) }
    }

    async fn wait_until(&self, deadline: Instant) -> Result<bool, PullError> {
        self.shared.confirm();
        let came = async {
            while !self.shared.ready.has_some() {
                self.shared.ready.came().await;
            }
        };
        Ok(self.until_closed(timeout_at(deadline, came)).await?.is_ok())
    }

    /// What `task` comes to, unless the consumer is closed before.
    async fn until_closed<T>(&self, task: impl Future<Output = T>) -> Result<T, PullError> {
        let mut stopped = self.stop.subscribe();
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => Err(PullError::Closed),
            done = task => Ok(done),
        }
    }

    /// Asks for up to `max` messages of any queue, from any offset on, once. The broker may hold the request for `wait`
    /// while there are none. Neither needs the queue to be assigned nor changes any position.
    ///
    /// # Errors
    /// [`PullError::Route`], [`PullError::Call`] and, also if it is closed meanwhile, [`PullError::Closed`].
    pub async fn pull(
        &self,
        queue: &MessageQueue,
        filter: &Filter,
        from: QueueOffset,
        max: u32,
        wait: Duration,
    ) -> Result<Pulled, PullError> {
        let told = filter.subscription(&queue.topic, self.shared.subscribed);
        let fetch = Fetch {
            group: self.group().as_str(),
            queue,
            from,
            max,
            wait: bounded(wait),
            filter: Some(as_told(&told)),
            broker_id: 0,
        };
        let fetched = self.until_closed(self.shared.inner.fetch_messages(&fetch)).await??;
        let messages = match fetched.kind {
            FetchedKind::Found(records) => {
                Received::read_all(&records, queue).filter(|message| filter.wants(message)).collect()
            }
            FetchedKind::Nothing | FetchedKind::Moved => Vec::new(),
        };
        Ok(Pulled { messages, next: fetched.next, min: fetched.min, max: fetched.max })
    }

    /// Goes on at `offset`: what waits to be polled of the queue is dropped. An offset that the queue does not have is
    /// replaced by the nearest that it has.
    ///
    /// # Errors
    /// [`PullError::NotAssigned`].
    pub fn seek(&self, queue: &MessageQueue, offset: QueueOffset) -> Result<(), PullError> {
        self.of(queue)?.window.seek(offset);
        Ok(())
    }

    /// Goes on at the oldest message of the queue.
    ///
    /// # Errors
    /// [`PullError::NotAssigned`], [`PullError::Route`] and [`PullError::Call`].
    pub async fn seek_to_first(&self, queue: &MessageQueue) -> Result<(), PullError> {
        self.seek_to(queue, Point::First).await
    }

    /// Goes on behind the newest message of the queue.
    ///
    /// # Errors
    /// As [`PullConsumer::seek_to_first`].
    pub async fn seek_to_end(&self, queue: &MessageQueue) -> Result<(), PullError> {
        self.seek_to(queue, Point::End).await
    }

    /// Goes on at the first message that was stored at this time or later.
    ///
    /// # Errors
    /// As [`PullConsumer::seek_to_first`].
    pub async fn seek_to_time(&self, queue: &MessageQueue, time: Timestamp) -> Result<(), PullError> {
        self.seek_to(queue, Point::Time(time)).await
    }

    async fn seek_to(&self, queue: &MessageQueue, point: Point) -> Result<(), PullError> {
        self.of(queue)?;
        let offset = self.shared.inner.offset_of(queue, point).await?;
        self.seek(queue, offset)
    }

    /// Hands nothing of these queues out until they are [resumed](Self::resume); at most one batch more is fetched.
    ///
    /// # Errors
    /// [`PullError::NotAssigned`]: those before it are paused.
    pub fn pause(&self, queues: &[MessageQueue]) -> Result<(), PullError> {
        queues.iter().try_for_each(|queue| {
            self.of(queue)?.window.pause();
            Ok(())
        })
    }

    /// Goes on with these queues. Nothing happens to those that are not paused.
    ///
    /// # Errors
    /// [`PullError::NotAssigned`]: those before it are resumed.
    pub fn resume(&self, queues: &[MessageQueue]) -> Result<(), PullError> {
        queues.iter().try_for_each(|queue| {
            let assigned = self.of(queue)?;
            if assigned.window.resume() {
                self.shared.ready.list(assigned);
            }
            Ok(())
        })
    }

    /// The offset of the next message of a queue that is polled. `None` as long as it is not known where the group is.
    ///
    /// # Errors
    /// [`PullError::NotAssigned`].
    pub fn position(&self, queue: &MessageQueue) -> Result<Option<QueueOffset>, PullError> {
        Ok(self.of(queue)?.window.position())
    }

    /// What is committed of a queue, assigned or not; `None` if nothing is.
    ///
    /// # Errors
    /// [`PullError::Route`] and [`PullError::Call`].
    pub async fn committed(&self, queue: &MessageQueue) -> Result<Option<QueueOffset>, PullError> {
        Ok(self.shared.offsets.stored(queue).await?)
    }

    /// Commits what was polled so far, and waits until it is stored.
    ///
    /// # Errors
    /// [`PullError::Route`], [`PullError::Call`] and [`PullError::File`]: what could not be stored is with the next
    /// commit.
    pub async fn commit(&self) -> Result<(), PullError> {
        self.shared.confirm();
        self.shared.note_positions();
        Ok(self.shared.offsets.store().await?)
    }

    /// Commits a position of one queue, assigned or not: messages below `offset` are done. It is replaced by the next
    /// [`commit`](Self::commit), if the queue is assigned.
    ///
    /// # Errors
    /// As [`PullConsumer::commit`].
    pub async fn commit_at(&self, queue: &MessageQueue, offset: QueueOffset) -> Result<(), PullError> {
        Ok(self.shared.offsets.store_one(queue, offset).await?)
    }

    /// The offset of a queue's oldest message.
    ///
    /// # Errors
    /// [`PullError::Route`] and [`PullError::Call`].
    pub async fn min_offset(&self, queue: &MessageQueue) -> Result<QueueOffset, PullError> {
        Ok(self.shared.inner.offset_of(queue, Point::First).await?)
    }

    /// The offset behind a queue's newest message.
    ///
    /// # Errors
    /// As [`PullConsumer::min_offset`].
    pub async fn max_offset(&self, queue: &MessageQueue) -> Result<QueueOffset, PullError> {
        Ok(self.shared.inner.offset_of(queue, Point::End).await?)
    }

    /// The offset of a queue's first message that was stored at this time or later.
    ///
    /// # Errors
    /// As [`PullConsumer::min_offset`].
    pub async fn offset_of(&self, queue: &MessageQueue, time: Timestamp) -> Result<QueueOffset, PullError> {
        Ok(self.shared.inner.offset_of(queue, Point::Time(time)).await?)
    }

    /// Stops fetching, commits what was polled unless that is left to [`commit`](Self::commit), and leaves the group, so
    /// that the other members take over at once. Calls that wait for messages end with [`PullError::Closed`]. A second
    /// call waits for the first.
    pub async fn close(&self) {
        self.closed.get_or_init(|| self.end()).await;
    }

    async fn end(&self) {
        self.stop.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.shared.tasks.lock());
        while tasks.join_next().await.is_some() {}
        if self.shared.settings.commit_every.is_some()
            && let Err(error) = self.commit().await
        {
            tracing::warn!(group = %self.group(), %error, "not every position could be stored");
        }
        let membership = self.membership.lock().take();
        if let Some(membership) = membership {
            membership.leave().await;
        }
    }

    fn of(&self, queue: &MessageQueue) -> Result<Arc<Assigned>, PullError> {
        let assigned = self.shared.queues.lock().get(queue).cloned();
        assigned.ok_or_else(|| PullError::NotAssigned { queue: queue.clone() })
    }
}

impl std::fmt::Debug for PullConsumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PullConsumer").field("group", self.group()).finish_non_exhaustive()
    }
}
