//! Check points that are not all acknowledged, in memory: found by what an acknowledgement names, and by when they are
//! due. All of it can be read again from the revive topic.
//!
//! Always true:
//! * a check point is here from when its record is read until all of its messages are done;
//! * [`Index::oldest`] of a revive queue is the first record that a restart needs;
//! * acknowledgements that name no check point are kept for a while, for one that a Java broker's timer delivers late.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use ferromq_model::{Millis, PhysicalOffset, QueueId, QueueOffset, Timestamp};
use foldhash::fast::RandomState;

use super::record::{Acks, CheckPoint, MAX_MESSAGES};

/// Check points that are kept at once; no messages are handed out beyond.
pub(super) const MAX_POINTS: usize = 1_000_000;
/// Acknowledgements without a check point that are kept; the oldest go first.
const MAX_STRAYS: usize = 65_536;

/// What a check point is found by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    /// `topic@group`.
    owner: Arc<str>,
    queue: u32,
    start: u64,
    popped: i64,
}

impl Key {
    pub(super) fn topic(&self) -> &str {
        self.owner.split_once('@').expect("made with one").0
    }

    pub(super) fn group(&self) -> &str {
        self.owner.split_once('@').expect("made with one").1
    }

    pub(super) fn queue(&self) -> QueueId {
        QueueId(self.queue)
    }

    pub(super) fn start(&self) -> QueueOffset {
        QueueOffset(self.start)
    }

    pub(super) fn popped(&self) -> Timestamp {
        Timestamp(self.popped)
    }
}

/// A check point.
#[derive(Clone, Debug)]
pub(super) struct Point {
    /// The revive queue of its record.
    pub(super) revive_queue: u32,
    /// The record's place in it.
    at: QueueOffset,
    /// Where the record lies in the log: its messages lie before it.
    pub(super) physical: PhysicalOffset,
    /// When its messages come again.
    pub(super) due: Timestamp,
    /// How far behind the start its messages lie; `None` if they follow one another.
    distances: Option<Box<[u32]>>,
    /// One bit for each message that is not done.
    open: u32,
    /// Its messages were stored again; only the record that says so has not been read.
    revived: bool,
}

impl Point {
    /// The messages that are not done.
    pub(super) fn open(&self, start: QueueOffset) -> impl Iterator<Item = QueueOffset> {
        (0..u32::BITS).filter(|bit| self.open & (1 << bit) != 0).map(move |bit| {
            let distance = self.distances.as_ref().map_or(bit, |list| list[bit as usize]);
            start.plus(u64::from(distance))
        })
    }

    fn bit_of(&self, distance: u64) -> Option<u32> {
        match &self.distances {
            None => (distance < u64::from(u32::BITS)).then_some(distance as u32),
            Some(list) => list.iter().position(|&known| u64::from(known) == distance).map(|bit| bit as u32),
        }
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Index {
    points: HashMap<Key, Point, RandomState>,
    by_due: BTreeSet<(Timestamp, Key)>,
    /// Places of records by revive queue.
    live: Vec<BTreeSet<QueueOffset>>,
    owners: HashSet<Arc<str>, RandomState>,
    strays: HashMap<Key, Vec<QueueOffset>, RandomState>,
    stray_order: VecDeque<Key>,
    /// Messages in `points` that are not done.
    open: u64,
}

impl Index {
    /// Check points in it.
    pub(super) fn len(&self) -> usize {
        self.points.len()
    }

    /// Those that are to come again, unless they are done before.
    pub(super) fn waiting(&self) -> usize {
        self.by_due.len()
    }

    /// Messages that are handed out and not done.
    pub(super) fn open_messages(&self) -> u64 {
        self.open
    }

    /// The first record of a revive queue that is still needed.
    pub(super) fn oldest(&self, revive_queue: u32) -> Option<QueueOffset> {
        self.live.get(revive_queue as usize)?.first().copied()
    }

    fn key(&mut self, topic: &str, group: &str, queue: u32, start: u64, popped: i64) -> Key {
        let text = format!("{topic}@{group}");
        let owner = match self.owners.get(&*text) {
            Some(known) => Arc::clone(known),
            None => {
                let owner: Arc<str> = text.into();
                self.owners.insert(Arc::clone(&owner));
                owner
            }
        };
        Key { owner, queue, start, popped }
    }

    /// Takes in a check point whose record is the one at `at` of `revive_queue`, at `physical` in the log. It is due when
    /// its time is over, and not before `earliest`.
    pub(super) fn add(
        &mut self,
        revive_queue: u32,
        at: QueueOffset,
        physical: PhysicalOffset,
        read: &CheckPoint<'_>,
        earliest: Timestamp,
    ) {
        let count = read.distances().count();
        let all = if count >= u32::BITS as usize { u32::MAX } else { (1 << count) - 1 };
        let mut open = all & !(read.acked as u32);
        if open == 0 {
            return;
        }
        let key = self.key(&read.topic, &read.group, read.queue, read.start, read.popped);
        let consecutive = read.distances().enumerate().all(|(n, distance)| n as u32 == distance);
        let invisible = Millis(u64::try_from(read.invisible).unwrap_or(0));
        let mut point = Point {
            revive_queue,
            at,
            physical,
            due: Timestamp(read.popped).plus(invisible).max(earliest),
            distances: (!consecutive).then(|| read.distances().collect()),
            open,
            revived: false,
        };
        for offset in self.strays.remove(&key).unwrap_or_default() {
            if let Some(bit) = offset.0.checked_sub(key.start).and_then(|distance| point.bit_of(distance)) {
                open &= !(1 << bit);
            }
        }
        if open == 0 {
            return;
        }
        point.open = open;
        // The same pop twice: a Java broker put it anew. What is open in either comes again.
        if let Some(before) = self.remove(&key) {
            point.open |= before.open & all;
            point.at = point.at.min(before.at);
            point.revive_queue = before.revive_queue;
        }
        let queue = point.revive_queue as usize;
        if self.live.len() <= queue {
            self.live.resize_with(queue + 1, BTreeSet::new);
        }
        self.live[queue].insert(point.at);
        self.by_due.insert((point.due, key.clone()));
        self.open += u64::from(point.open.count_ones());
        self.points.insert(key, point);
    }

    /// Notes that messages are done.
    pub(super) fn ack(&mut self, read: &Acks<'_>) {
        let key = self.key(&read.topic, &read.group, read.queue, read.start, read.popped);
        let Some(point) = self.points.get_mut(&key) else {
            self.keep_stray(key, read.offsets().collect());
            return;
        };
        let before = point.open.count_ones();
        for offset in read.offsets() {
            if let Some(bit) = offset.0.checked_sub(key.start).and_then(|distance| point.bit_of(distance)) {
                point.open &= !(1 << bit);
            }
        }
        self.open -= u64::from(before - point.open.count_ones());
        if point.open == 0 {
            self.remove(&key);
        }
    }

    fn keep_stray(&mut self, key: Key, offsets: Vec<QueueOffset>) {
        if let Some(kept) = self.strays.get_mut(&key) {
            if kept.len() + offsets.len() <= MAX_MESSAGES {
                kept.extend(offsets);
            }
            return;
        }
        while self.stray_order.len() >= MAX_STRAYS
            && let Some(oldest) = self.stray_order.pop_front()
        {
            self.strays.remove(&oldest);
        }
        self.stray_order.push_back(key.clone());
        self.strays.insert(key, offsets);
    }

    /// A check point that is due at `now`, the one that is due for the longest first.
    pub(super) fn first_due(&self, now: Timestamp) -> Option<(Key, Point)> {
        let (due, key) = self.by_due.first()?;
        (*due <= now).then(|| (key.clone(), self.points[key].clone()))
    }

    /// Notes that its messages are stored again: it is not due any more, and gone once the record of that is read.
    pub(super) fn set_revived(&mut self, key: &Key) {
        if let Some(point) = self.points.get_mut(key) {
            point.revived = true;
            self.by_due.remove(&(point.due, key.clone()));
        }
    }

    /// Takes that back: they could not be stored.
    pub(super) fn set_due(&mut self, key: &Key) {
        if let Some(point) = self.points.get_mut(key) {
            point.revived = false;
            self.by_due.insert((point.due, key.clone()));
        }
    }

    /// Forgets a check point.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Point> {
        let point = self.points.remove(key)?;
        if !point.revived {
            self.by_due.remove(&(point.due, key.clone()));
        }
        if let Some(live) = self.live.get_mut(point.revive_queue as usize) {
            live.remove(&point.at);
        }
        self.open -= u64::from(point.open.count_ones());
        if self.owners.len() > 1024 && self.owners.len() > 2 * self.points.len() {
            self.owners.retain(|owner| Arc::strong_count(owner) > 1);
        }
        Some(point)
    }

    /// Forgets all check points that `gone` says are gone, by topic and group.
    pub(super) fn forget(&mut self, gone: impl Fn(&str, &str) -> bool) {
        let keys: Vec<_> = self.points.keys().filter(|key| gone(key.topic(), key.group())).cloned().collect();
        for key in keys {
            self.remove(&key);
        }
        self.strays.retain(|key, _| !gone(key.topic(), key.group()));
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn point(start: u64, popped: i64, diffs: &[u32]) -> CheckPoint<'static> {
        CheckPoint {
            acked: 0,
            broker: Cow::Borrowed("b"),
            group: Cow::Borrowed("G"),
            diffs: diffs.to_vec(),
            invisible: 1000,
            count: diffs.len() as u8,
            popped,
            queue: 0,
            revive_time: popped + 1000,
            revive_offset: 0,
            start,
            topic: Cow::Borrowed("T"),
        }
    }

    fn acks(start: u64, popped: i64, offsets: &[u64]) -> Acks<'static> {
        Acks {
            one: -1,
            list: offsets.to_vec(),
            broker: Cow::Borrowed(""),
            group: Cow::Borrowed("G"),
            popped,
            queue: 0,
            start,
            topic: Cow::Borrowed("T"),
        }
    }

    fn due(index: &Index, now: i64) -> Option<Vec<u64>> {
        let (key, point) = index.first_due(Timestamp(now))?;
        Some(point.open(key.start()).map(|offset| offset.0).collect())
    }

    #[test]
    fn a_check_point_is_due_with_what_is_not_acknowledged_and_gone_once_all_is() {
        let mut index = Index::default();
        index.add(2, QueueOffset(5), PhysicalOffset(0), &point(10, 100, &[0, 3, 4]), Timestamp::ZERO);
        index.add(2, QueueOffset(6), PhysicalOffset(0), &point(20, 50, &[0]), Timestamp::ZERO);
        assert_eq!((index.oldest(2), index.len(), index.open_messages()), (Some(QueueOffset(5)), 2, 4));
        assert_eq!((due(&index, 1049), due(&index, 1050)), (None, Some(vec![20])));
        index.ack(&acks(20, 50, &[20]));
        index.ack(&acks(10, 100, &[13, 11]));
        assert_eq!((due(&index, 1099), due(&index, 1100)), (None, Some(vec![10, 14])));
        index.ack(&acks(10, 100, &[10, 14]));
        assert_eq!((index.oldest(2), index.len(), index.open_messages()), (None, 0, 0));
        assert_eq!(index.waiting(), 0);
    }

    #[test]
    fn a_check_point_of_a_java_brokers_timers_leaves_time_for_its_acknowledgements() {
        let mut index = Index::default();
        index.add(0, QueueOffset(5), PhysicalOffset(0), &point(10, 100, &[0, 1]), Timestamp(5000));
        assert_eq!(due(&index, 4999), None);
        index.ack(&acks(10, 100, &[10]));
        assert_eq!((due(&index, 4999), due(&index, 5000)), (None, Some(vec![11])));
    }

    #[test]
    fn what_was_revived_is_not_due_again_and_needed_until_the_record_of_it_is_read() {
        let mut index = Index::default();
        index.add(0, QueueOffset(5), PhysicalOffset(0), &point(10, 100, &[0]), Timestamp::ZERO);
        let (key, _) = index.first_due(Timestamp(2000)).unwrap();
        index.set_revived(&key);
        assert_eq!((due(&index, 2000), index.oldest(0)), (None, Some(QueueOffset(5))));
        index.ack(&acks(10, 100, &[10]));
        assert_eq!((index.oldest(0), index.len()), (None, 0));
    }

    #[test]
    fn an_acknowledgement_that_comes_before_its_check_point_counts() {
        let mut index = Index::default();
        index.ack(&acks(10, 100, &[11]));
        index.add(0, QueueOffset(1), PhysicalOffset(0), &point(10, 100, &[0, 1]), Timestamp::ZERO);
        assert_eq!(due(&index, 2000), Some(vec![10]));
        for n in 0..MAX_STRAYS as u64 + 10 {
            index.ack(&acks(100 + n, 100, &[100 + n]));
        }
        assert!(index.strays.len() <= MAX_STRAYS && index.stray_order.len() <= MAX_STRAYS);
    }

    #[test]
    fn check_points_of_what_was_deleted_are_forgotten() {
        let mut index = Index::default();
        index.add(0, QueueOffset(1), PhysicalOffset(0), &point(10, 100, &[0]), Timestamp::ZERO);
        index.forget(|topic, group| (topic, group) == ("T", "other"));
        assert_eq!(index.len(), 1);
        index.forget(|topic, _| topic == "T");
        assert_eq!((index.len(), index.waiting(), index.oldest(0)), (0, 0, None));
    }
}
