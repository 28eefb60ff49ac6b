//! How far behind groups are: queue by queue, and summed over a group's topics.
//!
//! A group is told of in topics that it has a position in, and in those that its members subscribe to. Times come from
//! records in the log, which may have to be read from disk: callers are not on an async thread.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ferromq_model::{QueueId, QueueOffset, Timestamp};

use crate::broker::Broker;
use crate::topics::Topic;

/// How far behind a group is in one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLag {
    /// The queue.
    pub id: QueueId,
    /// Where the group goes on; where the queue begins if it never committed.
    pub committed: QueueOffset,
    /// One past the queue's newest message.
    pub end: QueueOffset,
    /// When the oldest message was stored that the group has not consumed.
    pub since: Option<Timestamp>,
}

impl QueueLag {
    /// Messages that the group has not consumed.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.end.since(self.committed)
    }
}

/// How far behind a group is in one topic.
#[derive(Clone, Debug)]
pub struct TopicLag {
    /// The topic.
    pub topic: Arc<Topic>,
    /// Its queues that are read.
    pub queues: Vec<QueueLag>,
}

impl TopicLag {
    /// Messages that the group has not consumed.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.queues.iter().map(QueueLag::messages).sum()
    }

    /// When the oldest of them was stored.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        self.queues.iter().filter_map(|queue| queue.since).min()
    }
}

impl Broker {
    /// Topics that each of these groups has positions in or subscribes to, by name.
    #[must_use]
    pub fn topics_of_groups(&self, groups: &BTreeSet<String>) -> BTreeMap<String, BTreeSet<String>> {
        let mut topics = self.offsets().topics_of_groups(groups);
        for group in groups {
            if let Some(live) = self.members().consumer_group(group) {
                let subscribed = live.subscriptions.iter().map(|wanted| wanted.topic.to_string());
                topics.entry(group.clone()).or_default().extend(subscribed);
            }
        }
        topics
    }

    /// Groups that have positions in each of these topics or subscribe to it, by topic.
    #[must_use]
    pub fn groups_of_topics(&self, topics: &BTreeSet<String>) -> BTreeMap<String, BTreeSet<String>> {
        let mut groups = self.offsets().groups_of_topics(topics);
        for topic in topics {
            let live = self.members().subscribers(topic);
            if !live.is_empty() {
                groups.entry(topic.clone()).or_default().extend(live);
            }
        }
        groups
    }

    /// How far behind a group is in these topics, of those that exist.
    #[must_use]
    pub fn lag_in(&self, group: &str, topics: &BTreeSet<String>) -> Vec<TopicLag> {
        let lag = |topic: &String| {
            let topic = self.topics().find(topic)?;
            let ids = (0..topic.config().read_queue_nums.min(topic.queue_count())).map(QueueId);
            let queues = ids.map(|id| self.queue_lag(group, &topic, id)).collect();
            Some(TopicLag { topic, queues })
        };
        topics.iter().filter_map(lag).collect()
    }

    fn queue_lag(&self, group: &str, topic: &Topic, id: QueueId) -> QueueLag {
        let committed = self.offsets().find(group, topic.name().as_str(), id);
        let Some(queue) = self.store().find_queue(topic.name().as_str(), id) else {
            let committed = committed.unwrap_or_default();
            return QueueLag { id, committed, end: committed, since: None };
        };
        let (min, end) = (queue.min(), queue.max());
        let committed = committed.unwrap_or(min);
        let waits = committed < end;
        let since = if waits { self.store().stored_time(&queue, committed.max(min)) } else { None };
        QueueLag { id, committed, end, since }
    }
}
