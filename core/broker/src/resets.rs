//! Moving groups to other positions, as an operator asks: to a time, to an offset, to where another group is.
//!
//! Members keep their positions themselves and tell the broker now and then, so a move has to reach them. Either the
//! next pull of each queue is answered with the new position, and nothing that a member commits until then counts; or,
//! as brokers before 5.2 did it, all members are told at once and none may be missing (`useServerSideResetOffset`).

use std::collections::BTreeMap;

use ferromq_model::{GroupName, NameError, QueueId, QueueOffset, Timestamp};

use crate::broker::Broker;
use crate::clients::{ClientQueue, OffsetReset};
use crate::topics::Topic;

/// Where a group is to go on.
#[derive(Clone, Copy, Debug)]
pub struct Reset<'a> {
    /// The group.
    pub group: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// The time; none for the end of the queues.
    pub time: Option<Timestamp>,
    /// Whether to move the group forward too, where members are told at once.
    pub force: bool,
    /// The queue; none for all of them.
    pub queue: Option<QueueId>,
    /// The offset, for one queue; none goes by the time.
    pub offset: Option<QueueOffset>,
}

/// Where a group goes on in one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The queue.
    pub queue: QueueId,
    /// Where it was, if it ever committed.
    pub from: Option<QueueOffset>,
    /// Where it goes on.
    pub to: QueueOffset,
}

/// A group was not moved.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// The topic does not exist.
    #[error("Topic {0} does not exist")]
    NoTopic(String),
    /// The group does not exist.
    #[error("Group {0} does not exist")]
    NoGroup(String),
    /// The topic has no such queue.
    #[error("topic {topic} has no queue {queue}")]
    NoQueue {
        /// The topic.
        topic: String,
        /// What was asked for.
        queue: QueueId,
    },
    /// The offset is none of the queue's.
    #[error("target offset {offset} is not in the range [{min}, {max}] of the queue")]
    OutOfRange {
        /// What was asked for.
        offset: QueueOffset,
        /// The least that is.
        min: QueueOffset,
        /// The most.
        max: QueueOffset,
    },
    /// The group never committed a position of the topic.
    #[error("THe consumer group <{0}> not exist")]
    NeverConsumed(String),
    /// Nobody is there to be told.
    #[error("Consumer not online, so can not reset offset, Group: {group} Topic: {topic}")]
    NotOnline {
        /// The group.
        group: String,
        /// The topic.
        topic: String,
    },
}

impl Broker {
    /// Moves a group. Returns where it goes on, by queue.
    ///
    /// # Errors
    /// [`ResetError`]; the group is where it was.
    pub fn reset_offsets(&self, reset: &Reset<'_>) -> Result<Vec<(ClientQueue, QueueOffset)>, ResetError> {
        let topic =
            self.topics().find(reset.topic).ok_or_else(|| ResetError::NoTopic(reset.topic.to_owned()))?;
        if self.config().server_side_reset {
            self.reset_at_next_pull(reset, &topic)
        } else {
            self.reset_members(reset, &topic)
        }
    }

    /// Moves a group, or with `dry_run` only says where it would be moved, whether or not any member is there.
    ///
    /// # Errors
    /// [`ResetError`]; the group is where it was.
    pub fn move_group(&self, reset: &Reset<'_>, dry_run: bool) -> Result<Vec<Move>, ResetError> {
        let topic =
            self.topics().find(reset.topic).ok_or_else(|| ResetError::NoTopic(reset.topic.to_owned()))?;
        let targets = self.targets(reset, &topic)?;
        let from = |queue| self.offsets().find(reset.group, reset.topic, queue);
        let moves = targets.into_iter().map(|(queue, to)| Move { queue, from: from(queue), to }).collect();
        if !dry_run {
            let is_there = !self.members().consumer_ids(reset.group).is_empty();
            if self.config().server_side_reset || !is_there {
                self.reset_at_next_pull(reset, &topic)?;
            } else {
                self.reset_members(reset, &topic)?;
            }
        }
        Ok(moves)
    }

    fn reset_at_next_pull(
        &self,
        reset: &Reset<'_>,
        topic: &Topic,
    ) -> Result<Vec<(ClientQueue, QueueOffset)>, ResetError> {
        let targets = self.targets(reset, topic)?;
        for &(queue, next) in &targets {
            self.offsets().reset(reset.group, reset.topic, queue, next);
        }
        tracing::info!(group = reset.group, topic = reset.topic, queues = targets.len(), "a group is moved");
        Ok(targets.into_iter().map(|(queue, next)| (self.named(topic, queue), next)).collect())
    }

    /// Where each queue would be moved to.
    fn targets(&self, reset: &Reset<'_>, topic: &Topic) -> Result<Vec<(QueueId, QueueOffset)>, ResetError> {
        if self.groups().find(reset.group).is_none() {
            return Err(ResetError::NoGroup(reset.group.to_owned()));
        }
        let queues = topic.config().read_queue_nums;
        match reset.queue {
            None => Ok((0..queues)
                .map(|id| (QueueId(id), self.at_time(topic, QueueId(id), reset.time)))
                .collect()),
            Some(queue) if queue.0 >= queues => {
                Err(ResetError::NoQueue { topic: reset.topic.to_owned(), queue })
            }
            Some(queue) => Ok(vec![(queue, self.target(topic, queue, reset)?)]),
        }
    }

    fn target(&self, topic: &Topic, queue: QueueId, reset: &Reset<'_>) -> Result<QueueOffset, ResetError> {
        let Some(offset) = reset.offset else { return Ok(self.at_time(topic, queue, reset.time)) };
        let known = topic.queue(self.store(), queue);
        let (min, max) = known.map_or_else(Default::default, |queue| (queue.min(), queue.max()));
        if (min..=max).contains(&offset) {
            Ok(offset)
        } else {
            Err(ResetError::OutOfRange { offset, min, max })
        }
    }

    fn reset_members(
        &self,
        reset: &Reset<'_>,
        topic: &Topic,
    ) -> Result<Vec<(ClientQueue, QueueOffset)>, ResetError> {
        let mut targets = Vec::new();
        for id in (0..topic.config().write_queue_nums).map(QueueId) {
            let committed = self
                .offsets()
                .find(reset.group, reset.topic, id)
                .ok_or_else(|| ResetError::NeverConsumed(reset.group.to_owned()))?;
            let target = self.at_time(topic, id, reset.time);
            let moves = reset.force || target < committed;
            targets.push((self.named(topic, id), if moves { target } else { committed }));
        }
        let members = self.members().consumers(reset.group);
        if members.is_empty() {
            let (group, topic) = (reset.group.to_owned(), reset.topic.to_owned());
            return Err(ResetError::NotOnline { group, topic });
        }
        for (client, peer) in members {
            let told = peer.link.reset_offsets(&OffsetReset {
                group: reset.group,
                topic: topic.name(),
                time: reset.time,
                force: reset.force,
                offsets: &targets,
                language: &client.language,
            });
            if !told {
                tracing::warn!(group = reset.group, client = client.id, "a member could not be told to move");
            }
        }
        Ok(targets)
    }

    /// The first message stored at `time` or later; without a time, the end of the queue.
    fn at_time(&self, topic: &Topic, id: QueueId, time: Option<Timestamp>) -> QueueOffset {
        let Some(queue) = topic.queue(self.store(), id) else { return QueueOffset::ZERO };
        time.map_or_else(|| queue.max(), |time| self.store().first_at_or_after(queue, time))
    }

    fn named(&self, topic: &Topic, queue: QueueId) -> ClientQueue {
        ClientQueue { broker: self.config().name.clone(), topic: topic.name().to_string(), queue }
    }

    /// Gives the group `to` the positions of the group `from`, of one topic or of all that it has any in. Unless
    /// `offline`, topics that a live group `from` does not subscribe to are left out.
    ///
    /// # Errors
    /// The name of the group that gets them makes no sense.
    pub fn clone_offsets(
        &self,
        from: &str,
        to: &str,
        topic: Option<&str>,
        offline: bool,
    ) -> Result<(), NameError> {
        GroupName::new(to)?;
        let topics = match topic {
            Some(topic) => vec![topic.to_owned()],
            None => self.offsets().topics_of(from),
        };
        for topic in topics {
            // A live group without the subscription is `Ok(None)`; nobody's group is an error.
            let unsubscribed = !offline && matches!(self.members().subscription(from, &topic), Ok(None));
            if unsubscribed || self.topics().find(&topic).is_none() {
                continue;
            }
            self.offsets().copy(from, to, &topic);
        }
        Ok(())
    }

    /// How far all groups of a topic are, by queue: the least offset that any of them goes on at, those `filtered` not
    /// counted. Where `group` is behind all others, that is the highest number there is: it has nothing to correct.
    #[must_use]
    pub fn correction_offsets(
        &self,
        topic: &str,
        group: &str,
        filtered: &[&str],
    ) -> BTreeMap<QueueId, QueueOffset> {
        let min = |id| self.queue(topic, id).map_or(QueueOffset::ZERO, |queue| queue.min());
        let mut least = BTreeMap::<QueueId, QueueOffset>::new();
        for (of, queue, next) in self.offsets().of_topic(topic) {
            if filtered.contains(&of.as_str()) || next < min(queue) {
                continue;
            }
            least.entry(queue).and_modify(|least| *least = next.min(*least)).or_insert(next);
        }
        for (queue, least) in &mut least {
            if self.offsets().find(group, topic, *queue).is_some_and(|own| *least > own) {
                *least = QueueOffset(i64::MAX as u64);
            }
        }
        least
    }
}
