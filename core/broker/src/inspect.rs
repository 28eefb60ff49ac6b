//! What operators look at: where queues begin and end, how far groups are, who consumes what.
//!
//! Nothing here changes anything, nor brings a queue into being that was never used. Times come from records in the log,
//! which may have to be read from disk: callers are not on an async thread.

use std::collections::BTreeSet;
use std::sync::Arc;

use ferromq_model::name::SCHEDULE_TOPIC;
use ferromq_model::{QueueId, QueueOffset, Timestamp};
use ferromq_store::Queue;

use crate::broker::Broker;
use crate::members::Subscription;
use crate::offsets::Positions;
use crate::stats::{Amount, Period};
use crate::topics::Topic;

/// Where a queue begins and ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueExtent {
    /// The queue.
    pub id: QueueId,
    /// Its oldest message.
    pub min: QueueOffset,
    /// One past its newest.
    pub max: QueueOffset,
    /// When the newest was stored, if there is one.
    pub last_stored: Option<Timestamp>,
}

/// How far a group is in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueProgress {
    /// The queue.
    pub id: QueueId,
    /// One past its newest message.
    pub end: QueueOffset,
    /// Where the group goes on; 0 if it never committed.
    pub next: QueueOffset,
    /// When the last message was stored that the group consumed, if that is known.
    pub last_stored: Option<Timestamp>,
}

/// When a queue's messages were stored, as a group sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueAges {
    /// The queue.
    pub id: QueueId,
    /// The oldest message, if there is one.
    pub oldest: Option<Timestamp>,
    /// The newest.
    pub newest: Option<Timestamp>,
    /// The last one that the group consumed; the oldest if it never did.
    pub consumed: Option<Timestamp>,
    /// The first one that it did not.
    pub waiting: Option<Timestamp>,
}

/// How far a delay level is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelProgress {
    /// The level, from 1 on.
    pub level: u32,
    /// The next message to deliver.
    pub next: QueueOffset,
    /// One past the newest that waits.
    pub end: QueueOffset,
}

/// How far behind one group is in one topic, over all queues that it has consumed of.
#[derive(Clone, Debug)]
pub struct Lag {
    /// The topic.
    pub topic: Arc<Topic>,
    /// The group.
    pub group: String,
    /// The sum of where it goes on.
    pub next: u64,
    /// Messages that it has not consumed.
    pub messages: u64,
    /// When the oldest of them was stored.
    pub since: Option<Timestamp>,
}

impl Broker {
    /// How far behind groups are, of up to `most` pairs of a topic and a group, by name; and how many pairs there are
    /// besides.
    #[must_use]
    pub fn lags(&self, most: usize) -> (Vec<Lag>, usize) {
        let (positions, left) = self.offsets().some(most);
        let lag = |positions: Positions| {
            let topic = self.topics().find(&positions.topic)?;
            let mut lag = Lag { topic, group: positions.group, next: 0, messages: 0, since: None };
            for (id, next) in positions.queues {
                let Some(queue) = self.used_queue(&lag.topic, id) else { continue };
                let end = queue.max();
                lag.next += next.0;
                lag.messages += end.since(next);
                if next < end {
                    let stored = self.store().stored_time(&queue, next.max(queue.min()));
                    lag.since = lag.since.into_iter().chain(stored).min();
                }
            }
            Some(lag)
        };
        let mut lags: Vec<_> = positions.into_iter().filter_map(lag).collect();
        lags.sort_by(|a, b| (a.topic.name(), &a.group).cmp(&(b.topic.name(), &b.group)));
        (lags, left)
    }

    /// Messages that groups have not consumed, together; of the first ten thousand pairs of a topic and a group, however
    /// many there are.
    #[must_use]
    pub fn total_lag(&self) -> u64 {
        const MAX_PAIRS: usize = 10_000;
        let (positions, _) = self.offsets().some(MAX_PAIRS);
        let lag = |of: &Positions| -> Option<u64> {
            let topic = self.topics().find(&of.topic)?;
            let queue = |id| self.used_queue(&topic, id);
            Some(of.queues.iter().filter_map(|&(id, next)| Some(queue(id)?.max().since(next))).sum())
        };
        positions.iter().filter_map(lag).sum()
    }

    /// Where each queue of a topic begins and ends.
    #[must_use]
    pub fn queue_extents(&self, topic: &Topic) -> Vec<QueueExtent> {
        let extent = |id| {
            let Some(queue) = self.used_queue(topic, id) else {
                return QueueExtent { id, ..Default::default() };
            };
            let (min, max) = (queue.min(), queue.max());
            QueueExtent { id, min, max, last_stored: self.stored_before(&queue, max) }
        };
        (0..topic.queue_count()).map(QueueId).map(extent).collect()
    }

    /// How far a group is in each of a topic's first `queues` queues.
    #[must_use]
    pub fn progress(&self, group: &str, topic: &Topic, queues: u32) -> Vec<QueueProgress> {
        let progress = |id| {
            let next = self.offsets().find(group, topic.name().as_str(), id).unwrap_or_default();
            let queue = self.used_queue(topic, id);
            QueueProgress {
                id,
                end: queue.as_ref().map_or(QueueOffset::ZERO, |queue| queue.max()),
                next,
                last_stored: queue.and_then(|queue| self.stored_before(&queue, next)),
            }
        };
        (0..queues).map(QueueId).map(progress).collect()
    }

    /// When the messages of each queue that is written were stored, as a group sees them.
    #[must_use]
    pub fn ages(&self, group: &str, topic: &Topic) -> Vec<QueueAges> {
        let ages = |id| {
            let Some(queue) = self.used_queue(topic, id) else {
                return QueueAges { id, ..Default::default() };
            };
            let next = self.offsets().find(group, topic.name().as_str(), id).unwrap_or_default();
            let oldest = self.store().stored_time(&queue, queue.min());
            QueueAges {
                id,
                oldest,
                newest: self.stored_before(&queue, queue.max()),
                consumed: if next == QueueOffset::ZERO { oldest } else { self.stored_before(&queue, next) },
                waiting: if next < queue.max() {
                    self.store().stored_time(&queue, next.max(queue.min()))
                } else {
                    None
                },
            }
        };
        (0..topic.config().write_queue_nums).map(QueueId).map(ages).collect()
    }

    /// Topics that a report on a group is about: those that it has offsets in, or the one asked for; without those that
    /// its members, if it has any, do not subscribe to.
    #[must_use]
    pub fn topics_to_report(&self, group: &str, asked: Option<&str>) -> BTreeSet<String> {
        let topics = match asked {
            Some(topic) => vec![topic.to_owned()],
            None => self.offsets().topics_of(group),
        };
        let is_wanted = |topic: &String| match self.members().subscription(group, topic) {
            Ok(subscription) => subscription.is_some(),
            Err(()) => true,
        };
        topics.into_iter().filter(is_wanted).collect()
    }

    /// Groups that subscribe to a topic now, or have offsets in it.
    #[must_use]
    pub fn groups_of(&self, topic: &str) -> BTreeSet<String> {
        let mut groups = self.offsets().groups_of(topic);
        groups.extend(self.members().subscribers(topic));
        groups
    }

    /// What a live group wants of a topic, if it subscribes.
    #[must_use]
    pub fn subscription(&self, group: &str, topic: &str) -> Option<Subscription> {
        self.members().subscription(group, topic).ok().flatten()
    }

    /// Messages a second that a group got of a topic in the last minute.
    #[must_use]
    pub fn get_rate(&self, group: &str, topic: &Topic) -> f64 {
        let series = topic.stats().group(group).and_then(|stats| stats.got.series());
        series.map_or(0.0, |series| series.figures(Period::Minute, Amount::Messages).per_second)
    }

    /// Messages a second that were put into a topic in the last minute.
    #[must_use]
    pub fn put_rate(&self, topic: &Topic) -> f64 {
        let series = topic.stats().puts();
        series.map_or(0.0, |series| series.figures(Period::Minute, Amount::Messages).per_second)
    }

    /// How far each delay level is that was ever used.
    #[must_use]
    pub fn delay_levels_used(&self) -> Vec<LevelProgress> {
        let progress = |level: u32| {
            let queue = self.store().find_queue(SCHEDULE_TOPIC, QueueId(level - 1))?;
            let (next, end) = (self.delay_progress().next(level).max(queue.min()), queue.max());
            (end > QueueOffset::ZERO).then_some(LevelProgress { level, next, end })
        };
        (1..=self.config().delay_levels.count()).filter_map(progress).collect()
    }

    fn used_queue(&self, topic: &Topic, id: QueueId) -> Option<Arc<Queue>> {
        self.store().find_queue(topic.name().as_str(), id)
    }

    /// When the message before `end` was stored, if it is there.
    fn stored_before(&self, queue: &Queue, end: QueueOffset) -> Option<Timestamp> {
        self.store().stored_time(queue, QueueOffset(end.0.checked_sub(1)?))
    }
}
