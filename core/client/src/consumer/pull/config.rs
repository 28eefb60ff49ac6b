//! What a consumer that is asked is built with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ferromq_model::subscription::{ConsumeFromWhere, ConsumeType, MessageModel};
use ferromq_model::{GroupName, NameError, Timestamp, TopicName};
use ferromq_protocol::body::ConsumerData;
use parking_lot::Mutex;
use tokio::sync::{Notify, OnceCell, watch};
use tokio::task::JoinSet;

use super::super::filter::Filter;
use super::super::offsets::Offsets;
use super::super::push::{ConsumeFrom, MAX_TOPICS, StartError, check_filter};
use super::PullConsumer;
use super::fetching::{Ready, Shared};
use super::window::WindowLimits;
use crate::allocate::Strategy;
use crate::client::Client;

/// How often positions are committed without being asked to, as official clients do.
const COMMIT_EVERY: Duration = Duration::from_secs(5);

/// Builds a [`PullConsumer`].
#[derive(Clone, Debug)]
pub struct PullConsumerBuilder {
    client: Client,
    group: Result<GroupName, NameError>,
    topics: BTreeMap<String, Filter>,
    offset_dir: Option<PathBuf>,
    pub(super) settings: Settings,
}

/// How a consumer works.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) from: ConsumeFrom,
    pub(super) strategy: Strategy,
    pub(super) commit_every: Option<Duration>,
    pub(super) batch: u32,
    pub(super) limits: WindowLimits,
    pub(super) max_polled: usize,
}

impl Client {
    /// Begins to build a consumer of `group` that is asked for messages.
    #[must_use]
    pub fn pull_consumer(&self, group: &str) -> PullConsumerBuilder {
        PullConsumerBuilder {
            client: self.clone(),
            group: GroupName::new(group),
            topics: BTreeMap::new(),
            offset_dir: None,
            settings: Settings {
                from: ConsumeFrom::Last,
                strategy: Strategy::default(),
                commit_every: Some(COMMIT_EVERY),
                batch: 32,
                limits: WindowLimits { messages: 1000, bytes: 100 << 20 },
                max_polled: 32,
            },
        }
    }
}

impl PullConsumerBuilder {
    /// Shares the queues of a topic with the other members of the group, which may be consumers of any kind. A second
    /// filter for the same topic replaces the first. Without any topic the application
    /// [assigns](PullConsumer::assign) queues, and the consumer is no member of the group.
    #[must_use]
    pub fn subscribe(mut self, topic: &str, filter: Filter) -> Self {
        self.topics.insert(topic.to_owned(), filter);
        self
    }

    /// Keeps positions in `dir`, one file a group; by default brokers keep them. Each client of a host needs a directory
    /// of its own.
    #[must_use]
    pub fn offsets_in(mut self, dir: impl Into<PathBuf>) -> Self {
        self.offset_dir = Some(dir.into());
        self
    }

    /// Where the group starts in a queue for which it has no position: [`ConsumeFrom::Last`] by default.
    #[must_use]
    pub fn consume_from(mut self, from: ConsumeFrom) -> Self {
        self.settings.from = from;
        self
    }

    /// How queues are shared: [`Strategy::Sticky`] by default. Every member of a group has to use the same.
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.settings.strategy = strategy;
        self
    }

    /// How often positions are committed without being asked to: every 5 s by default, and on closing. None leaves it
    /// to [`PullConsumer::commit`] alone.
    ///
    /// A message counts as done when the poll after the one that returned it begins.
    #[must_use]
    pub fn auto_commit(mut self, every: Option<Duration>) -> Self {
        self.settings.commit_every = every;
        self
    }

    /// How many messages one request may bring: 32 by default, which is the most that brokers give.
    #[must_use]
    pub fn fetch_batch(mut self, messages: u32) -> Self {
        self.settings.batch = messages;
        self
    }

    /// How many messages of one queue may wait here to be polled: 1,000 by default.
    #[must_use]
    pub fn max_buffered(mut self, messages: usize) -> Self {
        self.settings.limits.messages = messages;
        self
    }

    /// How many bytes of one queue may wait here to be polled: 100 MiB by default.
    #[must_use]
    pub fn max_buffered_bytes(mut self, bytes: usize) -> Self {
        self.settings.limits.bytes = bytes;
        self
    }

    /// The most messages that one [`PullConsumer::poll`] returns: 32 by default.
    #[must_use]
    pub fn max_polled(mut self, messages: usize) -> Self {
        self.settings.max_polled = messages;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// [`StartError`]. A topic or a broker that is not there yet is none: it is looked for again and again.
    pub async fn start(self) -> Result<PullConsumer, StartError> {
        self.check()?;
        let group = self.group?;
        let inner = Arc::clone(&self.client.inner);
        let now = Timestamp::now();
        let mut subscriptions = BTreeMap::new();
        for (topic, filter) in self.topics {
            subscriptions.insert(TopicName::new(&topic)?, filter);
        }
        for (topic, filter) in subscriptions.iter().filter(|(_, filter)| filter.is_sql()) {
            check_filter(&inner, &group, topic, &filter.subscription(topic, now)).await?;
        }
        let offsets = match &self.offset_dir {
            Some(dir) => Offsets::in_file(Arc::clone(&inner), group.as_str(), dir).await?,
            None => Offsets::on_brokers(Arc::clone(&inner), group.as_str()),
        };
        let joined = if subscriptions.is_empty() {
            None
        } else {
            let data = ConsumerData {
                consume_from_where: match self.settings.from {
                    ConsumeFrom::Last => ConsumeFromWhere::LastOffset,
                    ConsumeFrom::First => ConsumeFromWhere::FirstOffset,
                    ConsumeFrom::Time(_) => ConsumeFromWhere::Timestamp,
                },
                consume_type: ConsumeType::Actively,
                group_name: group.to_string(),
                message_model: MessageModel::Clustering,
                subscription_data_set: subscriptions
                    .iter()
                    .map(|(topic, filter)| filter.subscription(topic, now))
                    .collect(),
                unit_mode: false,
            };
            Some(inner.join_consumers(&group, data)?)
        };
        inner.read_routes(subscriptions.keys()).await;
        if joined.is_some() {
            inner.heartbeat().await;
        }
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared {
            inner,
            group,
            settings: self.settings,
            subscriptions,
            subscribed: now,
            offsets,
            queues: Mutex::default(),
            ready: Ready::default(),
            last_polled: Mutex::default(),
            changed: Notify::new(),
            stopped,
            tasks: Mutex::new(JoinSet::new()),
        });
        let membership = joined.map(|(membership, requests)| {
            shared.spawn(Arc::clone(&shared).keep_share());
            shared.spawn(Arc::clone(&shared).answer_requests(requests));
            membership
        });
        if let Some(every) = shared.settings.commit_every {
            shared.tasks.lock().spawn(Arc::clone(&shared).store_positions(every));
        }
        let membership = Mutex::new(membership);
        Ok(PullConsumer { shared, membership, stop, closed: OnceCell::new(), _client: self.client })
    }

    fn check(&self) -> Result<(), StartError> {
        if self.topics.len() > MAX_TOPICS {
            return Err(StartError::Topics(self.topics.len()));
        }
        let settings = &self.settings;
        let commit_every = settings.commit_every.unwrap_or(COMMIT_EVERY).as_millis();
        let commit_every = u64::try_from(commit_every).unwrap_or(u64::MAX);
        let ranges = [
            ("auto_commit", commit_every, 100, 3_600_000, "100 ms to 1 h"),
            ("fetch_batch", u64::from(settings.batch), 1, 1024, "1 to 1024"),
            ("max_buffered", settings.limits.messages as u64, 1, 1 << 16, "1 to 65536"),
            ("max_buffered_bytes", settings.limits.bytes as u64, 1, 1 << 40, "1 B to 1 TiB"),
            ("max_polled", settings.max_polled as u64, 1, 1 << 16, "1 to 65536"),
        ];
        for (key, value, least, most, allowed) in ranges {
            if !(least..=most).contains(&value) {
                return Err(StartError::OutOfRange { key, value, allowed });
            }
        }
        Ok(())
    }
}
