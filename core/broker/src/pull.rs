//! Pulling: messages of one queue from an offset on, and waiting for them when there are none.
//!
//! A pull that finds nothing and may wait becomes a [`HeldPull`]: a future that an append wakes. It looks again on every
//! arrival, steps over messages that its filter refuses, and answers when one passes or its time is over.

use std::sync::Arc;
use std::time::Duration;

use ferromq_model::filter::{FilterError, MessageFilter};
use ferromq_model::group::SubscriptionGroupConfig;
use ferromq_model::subscription::MessageModel;
use ferromq_model::{Millis, QueueId, QueueOffset};
use ferromq_store::{Found, Queue, Read, ReadError, ReadLimit};
use tokio::time::Instant;

use crate::broker::Broker;
use crate::groups::GroupError;
use crate::topics::Topic;

/// The longest that a pull is held, whatever its client asks: a connection is not kept busy for ever.
pub const MAX_HOLD: Millis = Millis::mins(2);

/// Which messages a pull is for.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// As the request says.
    Expression {
        /// The expression; empty or `*` for everything.
        text: &'a str,
        /// `TAG`, or what this broker does not have.
        kind: Option<&'a str>,
    },
    /// As the group's heartbeats say.
    Subscribed {
        /// The version that the client knows.
        version: i64,
    },
}

/// One pull as a front-end decoded it.
#[derive(Clone, Copy, Debug)]
pub struct Pull<'a> {
    /// The group.
    pub group: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// The queue; `None` for a negative number.
    pub queue: Option<QueueId>,
    /// The first message wanted; `None` for a negative number.
    pub from: Option<QueueOffset>,
    /// How many at most.
    pub max: u32,
    /// An offset to commit on the way.
    pub commit: Option<QueueOffset>,
    /// Which messages.
    pub wanted: Wanted<'a>,
    /// How long to wait for one; `None` not at all.
    pub hold: Option<Millis>,
}

/// What a pull found, and where the queue stands.
#[derive(Debug)]
pub struct Pulled {
    /// The outcome.
    pub outcome: Outcome,
    /// The oldest message of the queue.
    pub min: QueueOffset,
    /// One past its newest.
    pub max: QueueOffset,
    /// Flags that tools set on the topic and the group.
    pub topic_flag: i32,
    /// See `topic_flag`.
    pub group_flag: i32,
}

/// The outcome of a pull.
#[derive(Debug)]
pub enum Outcome {
    /// Messages.
    Found(Found),
    /// None passed the filter: go on at `next` at once.
    NoMatch {
        /// Behind what was looked at.
        next: QueueOffset,
    },
    /// Nothing there yet.
    AtEnd {
        /// The same offset again.
        next: QueueOffset,
    },
    /// The offset is none of the queue's: go on at `next`.
    Moved {
        /// An offset that is.
        next: QueueOffset,
    },
}

/// A pull was refused.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The broker, the topic or the group may not be read.
    #[error("{why}")]
    Forbidden {
        /// For people.
        why: String,
        /// Which of them.
        what: Forbidden,
    },
    /// The group does not exist.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The topic does not exist.
    #[error("topic[{0}] not exist, apply first please!")]
    NoTopic(String),
    /// The topic has fewer queues.
    #[error("queueId[{queue}] is illegal, topic:[{topic}] topicConfig.readQueueNums:[{queues}]")]
    NoQueue {
        /// What was asked for.
        queue: i64,
        /// The topic.
        topic: String,
        /// Queues that it has.
        queues: u32,
    },
    /// Nobody consumes for the group, as far as heartbeats say.
    #[error("the consumer's group info not exist")]
    NotSubscribed,
    /// The client knows newer subscriptions than its heartbeats told.
    #[error("the consumer's subscription not latest")]
    SubscriptionOutdated,
    /// The pull's expression is none.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// That of the group's subscription is none.
    #[error(transparent)]
    NoFilter(FilterError),
    /// The files cannot be read.
    #[error(transparent)]
    Store(#[from] ReadError),
}

/// What forbids a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// The broker.
    Broker,
    /// The group.
    Group,
    /// The topic.
    Topic,
    /// Broadcasting.
    Broadcast,
    /// An operator, this group and this topic.
    Subscription,
}

/// A pull that was accepted.
#[derive(Debug)]
pub enum Accepted {
    /// It has its answer.
    Now(Pulled),
    /// It waits.
    Held(HeldPull),
}

/// A pull that waits for a message.
#[derive(Debug)]
pub struct HeldPull {
    look: Look,
    deadline: Instant,
}

/// All that a look at the queue needs.
#[derive(Debug)]
struct Look {
    queue: Arc<Queue>,
    from: QueueOffset,
    limit: ReadLimit,
    filter: MessageFilter,
    topic: Arc<Topic>,
    group: Arc<SubscriptionGroupConfig>,
}

impl Broker {
    /// Answers a pull, or accepts it to wait.
    ///
    /// # Errors
    /// [`PullError`].
    pub fn pull(&self, ask: &Pull<'_>) -> Result<Accepted, PullError> {
        if !self.live().permission().readable() {
            let why = format!("the broker[{}] pulling message is forbidden", self.store_host().ip());
            return Err(PullError::Forbidden { why, what: Forbidden::Broker });
        }
        let group = self.groups().find_or_create(ask.group)?;
        if !group.consume_enable {
            let why = format!("subscription group no permission, {}", ask.group);
            return Err(PullError::Forbidden { why, what: Forbidden::Group });
        }
        let topic = self.topics().find(ask.topic).ok_or_else(|| PullError::NoTopic(ask.topic.to_owned()))?;
        if !topic.config().perm.readable() {
            let why = format!("the topic[{}] pulling message is forbidden", ask.topic);
            return Err(PullError::Forbidden { why, what: Forbidden::Topic });
        }
        let queues = topic.config().read_queue_nums;
        let queue = ask
            .queue
            .filter(|queue| queue.0 < queues)
            .and_then(|id| Some((id, topic.queue(self.store(), id)?)));
        let Some((id, queue)) = queue else {
            let queue = ask.queue.map_or(-1, |queue| i64::from(queue.0));
            return Err(PullError::NoQueue { queue, topic: ask.topic.to_owned(), queues });
        };
        let filter = self.wanted(ask, &group)?;
        let moved = self.offsets().take_move(ask.group, ask.topic, id);
        if let (Some(next), None) = (ask.commit, moved) {
            self.commit_offset(ask.group, ask.topic, id, next);
        }
        let look = Look {
            queue: Arc::clone(queue),
            from: ask.from.unwrap_or_default(),
            limit: ReadLimit { messages: ask.max, bytes: usize::MAX },
            filter,
            topic,
            group,
        };
        let pulled = match ask.from {
            _ if let Some(next) = moved => look.answer(Outcome::Moved { next }),
            Some(_) => look.look(self)?,
            None => look.answer(Outcome::Moved { next: look.queue.min() }),
        };
        let hold = match (&pulled.outcome, ask.hold) {
            (Outcome::AtEnd { .. }, Some(hold)) if self.live().long_polling() => hold.min(MAX_HOLD),
            (Outcome::AtEnd { .. }, Some(_)) => self.live().short_polling(),
            _ => return Ok(Accepted::Now(pulled)),
        };
        Ok(Accepted::Held(HeldPull { look, deadline: Instant::now() + Duration::from_millis(hold.0) }))
    }

    /// The filter of a pull: its own, or its group's.
    fn wanted(&self, ask: &Pull<'_>, group: &SubscriptionGroupConfig) -> Result<MessageFilter, PullError> {
        match ask.wanted {
            Wanted::Expression { text, kind } => {
                // The reference lets such pulls pass, which any client can make.
                self.check_may_read(ask)?;
                Ok(self.on_topic(ask, self.filters().compile(kind.unwrap_or_default(), text)?))
            }
            Wanted::Subscribed { version } => {
                let broadcasting = self.members().model_of(ask.group) == Some(MessageModel::Broadcasting);
                if broadcasting && !group.consume_broadcast_enable {
                    let why = format!("the consumer group[{}] can not consume by broadcast way", ask.group);
                    return Err(PullError::Forbidden { why, what: Forbidden::Broadcast });
                }
                self.check_may_read(ask)?;
                let found = self.members().subscription(ask.group, ask.topic);
                let subscription = found.ok().flatten().ok_or(PullError::NotSubscribed)?;
                if subscription.version < version {
                    return Err(PullError::SubscriptionOutdated);
                }
                Ok(self.on_topic(ask, subscription.filter.map_err(PullError::NoFilter)?))
            }
        }
    }

    fn check_may_read(&self, ask: &Pull<'_>) -> Result<(), PullError> {
        if self.groups().may_read(ask.group, ask.topic) {
            return Ok(());
        }
        let why = format!("the consumer group[{}] is forbidden for topic[{}]", ask.group, ask.topic);
        Err(PullError::Forbidden { why, what: Forbidden::Subscription })
    }

    fn on_topic(&self, ask: &Pull<'_>, filter: MessageFilter) -> MessageFilter {
        let of_group = || self.members().consumer_group(ask.group).map(|group| group.subscriptions);
        self.filters().on_topic(ask.topic, filter, || of_group().unwrap_or_default())
    }
}

impl Look {
    fn look(&self, broker: &Broker) -> Result<Pulled, PullError> {
        let outcome = match broker.store().read(&self.queue, self.from, self.limit, &self.filter)? {
            Read::Found(found) => Outcome::Found(found),
            Read::NoMatch { next } => Outcome::NoMatch { next },
            Read::AtEnd => Outcome::AtEnd { next: self.from },
            // An empty queue is at its end for whoever starts at 0; "moved" would make that client start over for ever.
            Read::Empty if self.from == QueueOffset::ZERO => Outcome::AtEnd { next: self.from },
            Read::Empty => Outcome::Moved { next: QueueOffset::ZERO },
            Read::Beyond { max } => Outcome::Moved { next: max },
            Read::Before { min } => Outcome::Moved { next: min },
        };
        match &outcome {
            Outcome::Found(found) => {
                let group = self.group.group_name.as_str();
                broker.stats().found(&self.topic, group, u64::from(found.count), found.bytes as u64);
            }
            _ => broker.stats().missed(),
        }
        Ok(self.answer(outcome))
    }

    fn answer(&self, outcome: Outcome) -> Pulled {
        let (min, max) = (self.queue.min(), self.queue.max());
        let (topic_flag, group_flag) = (self.topic.config().topic_sys_flag, self.group.group_sys_flag);
        Pulled { outcome, min, max, topic_flag, group_flag }
    }
}

impl HeldPull {
    /// Waits for a message that passes, or for the end of the pull's time. Cancel safe: nothing is consumed by waiting.
    ///
    /// # Errors
    /// [`PullError::Store`] if the queue cannot be read.
    pub async fn answer(mut self, broker: Broker) -> Result<Pulled, PullError> {
        let began_at = self.look.from;
        loop {
            let arrived = tokio::select! {
                () = self.look.queue.wait_beyond(self.look.from) => !self.look.queue.is_retired(),
                () = tokio::time::sleep_until(self.deadline) => false,
                () = broker.stopped() => false,
            };
            let Look { queue, topic, group, .. } = &self.look;
            let (group, topic) = (group.group_name.as_str(), topic.name().as_str());
            if let Some(next) = broker.offsets().take_move(group, topic, queue.id()) {
                return Ok(self.look.answer(Outcome::Moved { next }));
            }
            if !arrived {
                // Messages that did not pass are behind the client for good.
                let next = self.look.from;
                let moved_on = next > began_at;
                let outcome = if moved_on { Outcome::NoMatch { next } } else { Outcome::AtEnd { next } };
                return Ok(self.look.answer(outcome));
            }
            let pulled = self.look.look(&broker)?;
            match pulled.outcome {
                Outcome::NoMatch { next } => self.look.from = next,
                _ => return Ok(pulled),
            }
        }
    }
}
