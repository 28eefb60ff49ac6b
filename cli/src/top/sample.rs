//! What brokers say at a time: how many messages they took and gave, how far queues are, and how far groups.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::Result;
use ferromq_client::admin::{Admin, AdminError, BrokerNode, Gathered, Scope};
use ferromq_client::{MessageQueue, RouteError};
use ferromq_model::TopicName;
use futures_util::stream::{self, StreamExt as _};

/// Topics, and groups, of which more are not looked at.
const MAX_LOOKED_AT: usize = 5000;
/// Topics, or groups, that are asked about at a time.
const AT_ONCE: usize = 16;

/// What brokers say at a time.
#[derive(Debug, Default)]
pub(super) struct Sample {
    pub(super) brokers: BTreeMap<BrokerNode, BrokerSample>,
    pub(super) topics: BTreeMap<String, TopicSample>,
    pub(super) groups: BTreeMap<String, GroupSample>,
    /// Who said nothing, and what was not looked at.
    pub(super) failures: BTreeSet<String>,
}

/// How a broker is.
#[derive(Debug)]
pub(super) struct BrokerSample {
    pub(super) version: String,
    pub(super) disk_used: Option<f64>,
    pub(super) puts: Counted<()>,
    pub(super) gets: Counted<()>,
}

/// What a topic holds.
#[derive(Debug)]
pub(super) struct TopicSample {
    pub(super) ends: Counted<MessageQueue>,
    pub(super) messages: u64,
}

/// How far a group is.
#[derive(Debug)]
pub(super) struct GroupSample {
    pub(super) positions: Counted<MessageQueue>,
    pub(super) lag: u64,
}

/// Numbers that grow with messages, at a time.
#[derive(Debug)]
pub(super) struct Counted<K> {
    pub(super) at: Instant,
    pub(super) counts: BTreeMap<K, u64>,
}

impl<K: Ord> Counted<K> {
    /// Messages a second since `before`, of those that `wanted` picks. What was not counted before, or went back, counts
    /// as if nothing happened.
    pub(super) fn rate_since(&self, before: &Self, wanted: impl Fn(&K) -> bool) -> f64 {
        let grown = |(of, now): (&K, &u64)| Some(now.saturating_sub(*before.counts.get(of)?));
        let messages: u64 = self.counts.iter().filter(|(of, _)| wanted(of)).filter_map(grown).sum();
        let seconds = self.at.saturating_duration_since(before.at).as_secs_f64();
        if seconds > 0.0 { messages as f64 / seconds } else { 0.0 }
    }
}

impl Sample {
    /// Asks everybody. With `all`, topics and groups of brokers too.
    pub(super) async fn take(admin: &Admin, all: bool) -> Result<Self> {
        let mut sample = Self::default();
        let states = admin.broker_states(&Scope::All).await?;
        for state in sample.of(states) {
            let at = Instant::now();
            let count = |key: &str| {
                let count = state.value.table.get(key).and_then(|count| count.parse().ok());
                Counted { at, counts: count.map(|count| ((), count)).into_iter().collect() }
            };
            let of = BrokerSample {
                puts: count("msgPutTotalTodayNow"),
                gets: count("msgGetTotalTodayNow"),
                version: state.value.version.clone(),
                disk_used: state.value.disk_used,
            };
            sample.brokers.insert(state.broker, of);
        }
        sample.take_topics(admin, all).await?;
        sample.take_groups(admin).await?;
        Ok(sample)
    }

    async fn take_topics(&mut self, admin: &Admin, all: bool) -> Result<()> {
        let mut topics = admin.topics().await?;
        topics.retain(|topic| all || !self.is_brokers_own(topic));
        let asked = self.some("topics", topics).map(async |topic| {
            let status = admin.topic_status(&topic).await;
            (topic, status, Instant::now())
        });
        let mut asked = asked.buffer_unordered(AT_ONCE);
        while let Some((topic, status, at)) = asked.next().await {
            let status = match status {
                Ok(status) => self.of(status),
                // It is gone since the list was made.
                Err(AdminError::Route(RouteError::NoSuchTopic { .. })) => continue,
                Err(error) => {
                    self.failures.insert(format!("topic {topic}: {error}"));
                    continue;
                }
            };
            let messages = status.queues.iter().map(|queue| queue.max.since(queue.min)).sum();
            let counts = status.queues.into_iter().map(|queue| (queue.queue, queue.max.0)).collect();
            self.topics.insert(topic, TopicSample { ends: Counted { at, counts }, messages });
        }
        Ok(())
    }

    async fn take_groups(&mut self, admin: &Admin) -> Result<()> {
        let groups = admin.groups(&Scope::All).await?;
        let groups = self.of(groups).into_iter().collect();
        let asked = self.some("groups", groups).map(async |group| {
            let progress = admin.progress(group.as_str(), None, &Scope::All).await;
            (group, progress, Instant::now())
        });
        let mut asked = asked.buffer_unordered(AT_ONCE);
        while let Some((group, progress, at)) = asked.next().await {
            let progress = match progress {
                Ok(progress) => self.of(progress),
                Err(error) => {
                    self.failures.insert(format!("group {group}: {error}"));
                    continue;
                }
            };
            // One that never consumed: brokers have several from their start.
            if progress.queues.is_empty() {
                continue;
            }
            let counts = progress.queues.into_iter().map(|queue| (queue.queue, queue.position.0)).collect();
            let of = GroupSample { positions: Counted { at, counts }, lag: progress.lag };
            self.groups.insert(group.to_string(), of);
        }
        Ok(())
    }

    /// Topics that nobody but brokers made, or whose messages are counted elsewhere: what groups have to retry is in
    /// their lag.
    fn is_brokers_own(&self, topic: &str) -> bool {
        let of_broker = |node: &BrokerNode| {
            *node.name == *topic
                || topic.strip_prefix(&*node.cluster).is_some_and(|rest| ["", "_REPLY_TOPIC"].contains(&rest))
        };
        TopicName::new(topic).is_ok_and(|topic| topic.is_system() || topic.is_derived())
            || self.brokers.keys().any(of_broker)
    }

    /// As many as are looked at.
    fn some<T>(&mut self, what: &str, mut all: Vec<T>) -> stream::Iter<std::vec::IntoIter<T>> {
        if all.len() > MAX_LOOKED_AT {
            let rest = all.len() - MAX_LOOKED_AT;
            self.failures.insert(format!("{rest} more {what} are not looked at"));
            all.truncate(MAX_LOOKED_AT);
        }
        stream::iter(all)
    }

    /// What others said; who did not is noted.
    fn of<T>(&mut self, gathered: Gathered<T>) -> T {
        self.failures.extend(gathered.failures.iter().map(ToString::to_string));
        gathered.value
    }
}
