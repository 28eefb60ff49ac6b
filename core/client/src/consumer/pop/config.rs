//! What a consumer that leases messages is built with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use ferromq_model::subscription::{ConsumeFromWhere, ConsumeType, MessageModel};
use ferromq_model::{GroupName, Millis, NameError, Timestamp, TopicName};
use ferromq_protocol::body::ConsumerData;
use parking_lot::Mutex;
use tokio::sync::{OnceCell, watch};
use tokio::task::JoinSet;

use super::super::filter::Filter;
use super::super::push::{MAX_TOPICS, StartError, check_filter, until};
use super::{PopConsumer, Shared};
use crate::client::Client;

/// How long a lease may last.
const LEASES: std::ops::RangeInclusive<u64> = 10_000..=300_000;

/// Builds a [`PopConsumer`].
#[derive(Clone, Debug)]
pub struct PopConsumerBuilder {
    client: Client,
    group: Result<GroupName, NameError>,
    topics: BTreeMap<String, Filter>,
    invisible: Duration,
    from_oldest: bool,
    in_order: bool,
}

impl Client {
    /// Begins to build a consumer of `group` that leases messages.
    #[must_use]
    pub fn pop_consumer(&self, group: &str) -> PopConsumerBuilder {
        PopConsumerBuilder {
            client: self.clone(),
            group: GroupName::new(group),
            topics: BTreeMap::new(),
            invisible: Duration::from_secs(60),
            from_oldest: false,
            in_order: false,
        }
    }
}

impl PopConsumerBuilder {
    /// Subscribes to a topic. A second filter for the same topic replaces the first.
    #[must_use]
    pub fn subscribe(mut self, topic: &str, filter: Filter) -> Self {
        self.topics.insert(topic.to_owned(), filter);
        self
    }

    /// How long a message is leased: 60 s by default, 10 s to 5 min as with official clients. One that is not
    /// acknowledged by then comes again.
    #[must_use]
    pub fn invisible_time(mut self, time: Duration) -> Self {
        self.invisible = time;
        self
    }

    /// A group that is new to a queue starts at its oldest message; by default at its newest.
    #[must_use]
    pub fn from_oldest(mut self) -> Self {
        self.from_oldest = true;
        self
    }

    /// Leases the messages of each queue in their order: none while others of the queue are leased. By default they are
    /// leased in any order.
    #[must_use]
    pub fn in_order(mut self) -> Self {
        self.in_order = true;
        self
    }

    /// Joins the group.
    ///
    /// # Errors
    /// [`StartError`]. A topic or a broker that is not there yet is none: it is looked for again and again.
    pub async fn start(self) -> Result<PopConsumer, StartError> {
        if self.topics.is_empty() || self.topics.len() > MAX_TOPICS {
            return Err(StartError::Topics(self.topics.len()));
        }
        let invisible = Millis(u64::try_from(self.invisible.as_millis()).unwrap_or(u64::MAX));
        if !LEASES.contains(&invisible.0) {
            let (key, value) = ("invisible_time", invisible.0);
            return Err(StartError::OutOfRange { key, value, allowed: "10000 ms to 300000 ms" });
        }
        let group = self.group?;
        let inner = &self.client.inner;
        let now = Timestamp::now();
        let mut subscriptions = BTreeMap::new();
        for (topic, filter) in self.topics {
            subscriptions.insert(TopicName::new(&topic)?, filter);
        }
        let mut told = Vec::new();
        for (topic, filter) in &subscriptions {
            let subscription = filter.subscription(topic, now);
            if filter.is_sql() {
                check_filter(inner, &group, topic, &subscription).await?;
            }
            told.push(subscription);
        }
        let data = ConsumerData {
            consume_from_where: if self.from_oldest {
                ConsumeFromWhere::FirstOffset
            } else {
                ConsumeFromWhere::LastOffset
            },
            consume_type: ConsumeType::Pop,
            group_name: group.to_string(),
            message_model: MessageModel::Clustering,
            subscription_data_set: told.into_iter().collect(),
            unit_mode: false,
        };
        let (membership, requests) = inner.join_consumers(&group, data)?;
        inner.read_routes(subscriptions.keys()).await;
        inner.heartbeat().await;
        let shared = Arc::new(Shared {
            client: self.client,
            group,
            subscriptions,
            subscribed: now,
            invisible,
            from_oldest: self.from_oldest,
            in_order: self.in_order,
            turn: AtomicUsize::new(0),
        });
        let (stop, _) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(until(&stop, Arc::clone(&shared).answer_requests(requests)));
        let (membership, tasks) = (Mutex::new(Some(membership)), Mutex::new(tasks));
        Ok(PopConsumer { shared, membership, stop, tasks, closed: OnceCell::new() })
    }
}
