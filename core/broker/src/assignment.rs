//! Which queues a member of a group gets when it leaves that to a broker, and whether it pulls or pops them.
//!
//! Members that rebalance by themselves never ask for this: Java's do with `clientRebalance=false`.
//!
//! ```text
//! the topic's queues on all brokers ──┐
//! members of the group, here ─────────┼──► shares ──► queues of this member, pulled or popped
//! messageRequestMode.json ── modes ───┘
//! ```
//! Every member computes from the same sorted lists, so that each queue goes to one of them; those that pop may share.

mod modes;
mod shares;

use std::pin::Pin;
use std::sync::Arc;

use ferromq_model::name::RETRY_PREFIX;
use ferromq_model::subscription::MessageModel;
use ferromq_model::{GroupName, QueueId, TopicName};

use crate::broker::Broker;
use crate::clients::ClientQueue;
pub(crate) use modes::RequestModes;
pub use modes::{MAX_REQUEST_MODES, RequestMode, SetModeError};
pub use shares::Strategy;

/// How a group consumes a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupMode {
    /// Whether it pulls or pops.
    pub mode: RequestMode,
    /// With [`RequestMode::Pop`], how many of the members behind it each one shares queues with; 0 or less, or as many
    /// as there are others: every member pops all queues.
    pub pop_share: i32,
}

/// The queues that consumers read, in no order; `None` if they cannot be told now.
pub type Readable = Option<Arc<[ClientQueue]>>;

/// Where the queues of a topic are told from, on whatever brokers they are.
pub trait Routes: Send + Sync {
    /// All of them.
    fn readable<'a>(&'a self, topic: &'a str) -> Pin<Box<dyn Future<Output = Readable> + Send + 'a>>;
}

/// What a member asks.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Its group.
    pub group: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// Its client id.
    pub client: &'a str,
    /// Whether the group's members share the messages.
    pub model: MessageModel,
    /// How queues are dealt out; `None` if its name is not known.
    pub strategy: Option<Strategy>,
}

/// A queue that a member gets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Assigned {
    /// The broker.
    pub broker: String,
    /// The queue; `None` for all of the broker's, which is what members pop from that share everything.
    pub queue: Option<QueueId>,
}

impl Broker {
    /// How `group` consumes `topic`: as it was set, or as brokers are set to begin. Retries are always pulled unless
    /// somebody says otherwise.
    #[must_use]
    pub fn request_mode(&self, group: &str, topic: &str) -> GroupMode {
        self.request_modes().find(group, topic).unwrap_or_else(|| {
            if topic.starts_with(RETRY_PREFIX) {
                return GroupMode { mode: RequestMode::Pull, pop_share: 0 };
            }
            let config = self.config();
            GroupMode { mode: config.request_mode, pop_share: config.pop_share }
        })
    }

    /// All modes that were set, as brokers exchange them.
    #[must_use]
    pub fn request_modes_json(&self) -> String {
        self.request_modes().json()
    }

    /// Sets how `group` consumes `topic`. It is durable when this returns. Blocks.
    ///
    /// # Errors
    /// [`SetModeError`].
    pub fn set_request_mode(&self, group: &str, topic: &str, mode: GroupMode) -> Result<(), SetModeError> {
        if topic.starts_with(RETRY_PREFIX) {
            return Err(SetModeError::RetryTopic);
        }
        let known_topic = self.topics().find(topic).is_some();
        let topic = TopicName::new(topic)?;
        if !known_topic {
            return Err(SetModeError::UnknownTopic(topic));
        }
        // Operators say how a group shall consume before it starts.
        self.groups().find_or_create(group)?;
        self.request_modes().set(&GroupName::new(group)?, &topic, mode)
    }

    /// The queues of a member, in order; `None` if they cannot be told, and it is to keep what it has.
    pub async fn assign(&self, ask: Ask<'_>) -> Option<(RequestMode, Vec<Assigned>)> {
        let GroupMode { mode, pop_share } = self.request_mode(ask.group, ask.topic);
        let queues = match self.routes() {
            Some(routes) => routes.readable(ask.topic).await,
            None => self.own_queues(ask.topic),
        }?;
        let mut queues: Vec<_> = queues
            .iter()
            .map(|queue| Assigned { broker: queue.broker.clone(), queue: Some(queue.queue) })
            .collect();
        queues.sort();
        if ask.model == MessageModel::Broadcasting || !self.config().server_load_balancer {
            return Some((mode, queues));
        }
        let mut members = self.members().consumer_ids(ask.group);
        members.sort();
        let strategy = ask.strategy?;
        if members.is_empty() {
            return None;
        }
        let share = match mode {
            RequestMode::Pull => strategy.share(&queues, &members, ask.client),
            RequestMode::Pop => strategy.shared(&queues, &members, ask.client, pop_share),
        };
        Some((mode, share))
    }

    /// The queues of a broker that no NameServer tells of others.
    fn own_queues(&self, topic: &str) -> Readable {
        let config = self.topics().find(topic)?.config().clone();
        if !config.perm.readable() {
            return None;
        }
        let queue =
            |queue| ClientQueue { broker: self.config().name.clone(), topic: topic.to_owned(), queue };
        Some((0..config.read_queue_nums).map(QueueId).map(queue).collect())
    }
}
