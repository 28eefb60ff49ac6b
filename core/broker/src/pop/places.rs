//! Where each group stands in each queue that it pops from: one lock a topic, group and queue, held for a look at the
//! queue and an append, never over a wait.
//!
//! ```text
//! committed (offsets table) <= next (here)
//! ```
//! The position here runs ahead of the table that is saved: it is committed once the check points of what was handed out
//! survive a power cut (see [`settle`](super::settle)). Whoever changes the table otherwise (a reset, a pulling member)
//! is noticed, and decides.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ferromq_model::{GroupName, Millis, QueueId, QueueOffset, Timestamp, TopicName};
use foldhash::fast::RandomState;
use parking_lot::{Mutex, MutexGuard, RwLock};
use tokio::sync::Notify;

use super::order::OrderInfo;
use crate::offsets::ConsumerOffsets;

/// Queues that groups pop from, counted for each group. No new ones beyond.
const MAX_PLACES: usize = 1 << 20;
/// A place that was not used for so long is forgotten: the table has all that it knows.
const IDLE: Millis = Millis::mins(10);

/// One queue for one group.
#[derive(Debug)]
pub(super) struct PopQueue {
    pub(super) topic: TopicName,
    pub(super) group: GroupName,
    pub(super) id: QueueId,
    place: Mutex<Place>,
    /// Messages that are handed out since the start and not done; counted only where there is a limit to it.
    out: AtomicU32,
}

/// Where the group stands in it.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The next message to hand out.
    next: Option<QueueOffset>,
    /// What the table said when `next` was last compared with it.
    committed: Option<QueueOffset>,
    /// Whether it is listed as changed.
    listed: bool,
    used: Timestamp,
    /// What is handed out in order.
    pub(super) order: Option<OrderInfo>,
}

impl PopQueue {
    /// Locks it. Nobody holds two of these.
    pub(super) fn lock(&self) -> MutexGuard<'_, Place> {
        self.place.lock()
    }

    /// Messages that are out.
    pub(super) fn out(&self) -> u32 {
        self.out.load(Ordering::Relaxed)
    }

    /// Notes that more are.
    pub(super) fn add_out(&self, messages: u32) {
        self.out.fetch_add(messages, Ordering::Relaxed);
    }

    /// Notes that fewer are; how many there were. Who acknowledges a message twice counts twice.
    pub(super) fn take_out(&self, messages: u32) -> u32 {
        let fewer = |out: u32| Some(out.saturating_sub(messages));
        self.out.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).unwrap_or_else(|out| out)
    }
}

impl Place {
    /// The next message to hand out, if the group stands anywhere.
    pub(super) fn position(&mut self, of: &PopQueue, offsets: &ConsumerOffsets) -> Option<QueueOffset> {
        let committed = offsets.find(of.group.as_str(), of.topic.as_str(), of.id);
        if committed != self.committed {
            (self.next, self.committed) = (committed, committed);
            self.order = None;
        }
        self.next
    }

    /// Commits a position that nothing hangs on: the group's first, or one that the queue corrected.
    pub(super) fn begin_at(&mut self, of: &PopQueue, offsets: &ConsumerOffsets, at: QueueOffset) {
        offsets.commit(of.group.as_str(), of.topic.as_str(), of.id, at);
        (self.next, self.committed) = (Some(at), Some(at));
    }
}

/// All places.
#[derive(Debug, Default)]
pub(super) struct Places {
    table: RwLock<Table>,
    /// Those whose position is ahead of the table, each once.
    changed: Mutex<Vec<Arc<PopQueue>>>,
}

#[derive(Debug, Default)]
struct Table {
    groups: HashMap<GroupName, HashMap<TopicName, Arc<PopTopic>, RandomState>, RandomState>,
    count: usize,
}

/// One topic for one group.
#[derive(Debug)]
pub(super) struct PopTopic {
    queues: RwLock<BTreeMap<QueueId, Arc<PopQueue>>>,
    /// Rung when messages may be had that no arrival tells of: an order's block ended.
    pub(super) freed: Notify,
}

impl Places {
    /// The topic's places for a group, if it has any.
    pub(super) fn topic(&self, group: &str, topic: &str) -> Option<Arc<PopTopic>> {
        self.table.read().groups.get(group)?.get(topic).cloned()
    }

    /// The topic's places for a group.
    pub(super) fn topic_or_new(&self, group: &GroupName, topic: &TopicName) -> Arc<PopTopic> {
        if let Some(found) = self.topic(group.as_str(), topic.as_str()) {
            return found;
        }
        let mut table = self.table.write();
        let topics = table.groups.entry(group.clone()).or_default();
        let new = || Arc::new(PopTopic { queues: RwLock::default(), freed: Notify::new() });
        Arc::clone(topics.entry(topic.clone()).or_insert_with(new))
    }

    /// The place, if it is known.
    pub(super) fn find(&self, group: &str, topic: &str, id: QueueId) -> Option<Arc<PopQueue>> {
        self.topic(group, topic)?.queues.read().get(&id).cloned()
    }

    /// The place; `None` if there are too many.
    pub(super) fn find_or_new(
        &self,
        of_topic: &PopTopic,
        group: &GroupName,
        topic: &TopicName,
        id: QueueId,
    ) -> Option<Arc<PopQueue>> {
        if let Some(found) = of_topic.queues.read().get(&id) {
            return Some(Arc::clone(found));
        }
        let mut table = self.table.write();
        let mut queues = of_topic.queues.write();
        if let Some(found) = queues.get(&id) {
            return Some(Arc::clone(found));
        }
        if table.count >= MAX_PLACES {
            return None;
        }
        table.count += 1;
        let place = Mutex::default();
        let (topic, group) = (topic.clone(), group.clone());
        let new = Arc::new(PopQueue { topic, group, id, place, out: AtomicU32::new(0) });
        queues.insert(id, Arc::clone(&new));
        Some(new)
    }

    /// Moves the position on, for [`settle`](super::settle) to commit. `place` is that of `of`.
    pub(super) fn advance(&self, of: &Arc<PopQueue>, place: &mut Place, next: QueueOffset, now: Timestamp) {
        place.next = Some(next);
        place.used = now;
        if !std::mem::replace(&mut place.listed, true) {
            self.changed.lock().push(Arc::clone(of));
        }
    }

    /// Those whose position moved since the last call, with the position.
    pub(super) fn take_changed(&self) -> Vec<(Arc<PopQueue>, QueueOffset)> {
        let changed = std::mem::take(&mut *self.changed.lock());
        let position = |queue: Arc<PopQueue>| {
            let next = {
                let mut place = queue.lock();
                place.listed = false;
                place.next
            };
            next.map(|next| (queue, next))
        };
        changed.into_iter().filter_map(position).collect()
    }

    /// Commits a position from [`Places::take_changed`], unless somebody else decided meanwhile.
    pub(super) fn commit(&self, of: &PopQueue, next: QueueOffset, offsets: &ConsumerOffsets) {
        let mut place = of.lock();
        let known = place.committed;
        if place.position(of, offsets).is_some() && place.committed == known && known != Some(next) {
            offsets.commit(of.group.as_str(), of.topic.as_str(), of.id, next);
            place.committed = Some(next);
        }
    }

    /// Every place, with its messages in order.
    pub(super) fn all(&self) -> Vec<Arc<PopQueue>> {
        let table = self.table.read();
        let topics = table.groups.values().flat_map(HashMap::values);
        topics.flat_map(|topic| topic.queues.read().values().cloned().collect::<Vec<_>>()).collect()
    }

    /// Forgets what `gone` says is gone, by topic and group. Whether messages in order were among it.
    pub(super) fn forget(&self, gone: impl Fn(&str, &str) -> bool) -> bool {
        let mut in_order = false;
        self.retain(|place| {
            let is_gone = gone(place.topic.as_str(), place.group.as_str());
            in_order |= is_gone && place.lock().order.is_some();
            !is_gone
        });
        self.changed.lock().retain(|place| !gone(place.topic.as_str(), place.group.as_str()));
        in_order
    }

    /// Forgets what was not used for long.
    pub(super) fn forget_idle(&self, now: Timestamp) {
        self.retain(|queue| {
            let in_use = Arc::strong_count(queue) > 1;
            let place = queue.lock();
            in_use
                || queue.out() > 0
                || place.listed
                || place.order.is_some()
                || now.since(place.used) <= IDLE
        });
    }

    fn retain(&self, mut keep: impl FnMut(&Arc<PopQueue>) -> bool) {
        let mut table = self.table.write();
        let Table { groups, count } = &mut *table;
        groups.retain(|_, topics| {
            topics.retain(|_, topic| {
                let mut queues = topic.queues.write();
                let before = queues.len();
                queues.retain(|_, queue| keep(queue));
                *count -= before - queues.len();
                // Somebody who waits holds it, and would miss what another one of this name is told.
                !queues.is_empty() || Arc::strong_count(topic) > 1
            });
            !topics.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_runs_ahead_of_the_table_until_it_is_committed_and_a_reset_decides() {
        let dir = tempfile::tempdir().unwrap();
        let offsets = ConsumerOffsets::load(dir.path(), false).unwrap();
        let places = Places::default();
        let (group, topic) = (GroupName::new("G").unwrap(), TopicName::new("T").unwrap());
        let of_topic = places.topic_or_new(&group, &topic);
        let queue = places.find_or_new(&of_topic, &group, &topic, QueueId(0)).unwrap();
        drop(of_topic);
        let position = || queue.lock().position(&queue, &offsets);
        assert_eq!(position(), None);
        queue.lock().begin_at(&queue, &offsets, QueueOffset(5));
        places.advance(&queue, &mut queue.lock(), QueueOffset(9), Timestamp(1));
        let committed = || offsets.find("G", "T", QueueId(0));
        assert_eq!((position(), committed()), (Some(QueueOffset(9)), Some(QueueOffset(5))));
        let changed = places.take_changed();
        places.commit(&changed[0].0, changed[0].1, &offsets);
        drop(changed);
        assert_eq!((position(), committed()), (Some(QueueOffset(9)), Some(QueueOffset(9))));
        places.advance(&queue, &mut queue.lock(), QueueOffset(20), Timestamp(1));
        let changed = places.take_changed();
        offsets.commit("G", "T", QueueId(0), QueueOffset(2));
        places.commit(&changed[0].0, changed[0].1, &offsets);
        assert_eq!((position(), committed()), (Some(QueueOffset(2)), Some(QueueOffset(2))));
        drop(changed);
        drop(queue);
        places.forget_idle(Timestamp(1).plus(Millis::mins(11)));
        assert!(places.find("G", "T", QueueId(0)).is_none());
    }
}
