//! Which brokers a producer leaves alone for a while, because they were slow or failed.
//!
//! Users know it as `sendLatencyFaultEnable`, which is off unless they turn it on: without it, a producer only keeps from
//! the broker that failed this very message ([`LatencyFaults::off`]).
//!
//! ```text
//! answer took   .. 550 ms   .. 1.8 s   .. 3 s   .. 5 s   .. 15 s    more    failed
//! left alone            0       2 s      5 s      6 s      10 s     30 s      10 s
//! ```
//! Always true:
//! * a time of being left alone may get longer while it runs, never shorter: one fast answer proves little;
//! * there is always a queue to choose: where all brokers are left alone, the one whose time ends first is taken.
//!
//! While all brokers do well, choosing takes no lock and noting an answer touches nothing that is shared.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ferromq_model::Millis;
use parking_lot::RwLock;

use crate::queue::MessageQueue;

/// From which latency on a broker is left alone, and how long: RocketMQ's `latencyMax` and `notAvailableDuration`.
pub(crate) const DEFAULT_TABLE: [(Millis, Millis); 7] = [
    (Millis(50), Millis(0)),
    (Millis(100), Millis(0)),
    (Millis(550), Millis(2_000)),
    (Millis(1_800), Millis(5_000)),
    (Millis(3_000), Millis(6_000)),
    (Millis(5_000), Millis(10_000)),
    (Millis(15_000), Millis(30_000)),
];

/// The latency that a failure counts as.
const FAILED: Duration = Duration::from_secs(10);

/// The most brokers that are remembered. More are not left alone.
const MAX_BROKERS: usize = 1024;

/// What a producer knows of its brokers, by their names.
#[derive(Debug)]
pub(crate) struct LatencyFaults {
    /// Ascending by latency; empty when this is off.
    table: Box<[(Millis, Millis)]>,
    /// Until when to leave a broker alone. Those that do well are not in it.
    until: RwLock<HashMap<Arc<str>, Instant, foldhash::fast::RandomState>>,
    /// Whether there may be any.
    some: AtomicBool,
}

impl LatencyFaults {
    /// Never leaves a broker alone.
    pub(crate) fn off() -> Self {
        Self::with_table(&[])
    }

    /// Leaves brokers alone by RocketMQ's table.
    pub(crate) fn on() -> Self {
        Self::with_table(&DEFAULT_TABLE)
    }

    /// As [`on`](Self::on) with latencies and times of the user's, in any order.
    pub(crate) fn with_table(table: &[(Millis, Millis)]) -> Self {
        let mut table: Box<[_]> = table.into();
        table.sort_unstable();
        Self { table, until: RwLock::default(), some: AtomicBool::new(false) }
    }

    /// Takes note of an answer of `broker` that took `latency`, or of a failure after that time.
    pub(crate) fn note(&self, broker: &Arc<str>, latency: Duration, failed: bool, now: Instant) {
        let latency = if failed { FAILED } else { latency };
        let reached = |(from, _): &&(Millis, Millis)| latency >= from.duration();
        let Some(&(_, span)) = self.table.iter().rev().find(reached).filter(|(_, span)| span.0 > 0) else {
            return;
        };
        let end = now + span.duration();
        let mut until = self.until.write();
        if until.len() >= MAX_BROKERS && !until.contains_key(broker) {
            until.retain(|_, end| *end > now);
            if until.len() >= MAX_BROKERS {
                return;
            }
        }
        let known = until.entry(broker.clone()).or_insert(end);
        *known = end.max(*known);
        self.some.store(true, Ordering::Relaxed);
        drop(until);
        tracing::debug!(broker = &**broker, ?latency, failed, span = span.0, "left alone for a while");
    }

    /// Whether `broker` is not left alone.
    #[cfg(test)]
    pub(crate) fn is_available(&self, broker: &str, now: Instant) -> bool {
        !self.some.load(Ordering::Relaxed) || self.until.read().get(broker).is_none_or(|end| *end <= now)
    }

    /// The queue to send to at the `turn`-th message: those of available brokers take turns, all the same often. `avoid`
    /// is the broker that just failed this message; it gets it again only if there is no other. Where all brokers are
    /// left alone, the turns are those of the one that comes back first. `None` without queues.
    pub(crate) fn pick<'q>(
        &self,
        queues: &'q [MessageQueue],
        turn: usize,
        avoid: Option<&str>,
        now: Instant,
    ) -> Option<&'q MessageQueue> {
        let avoided = |queue: &MessageQueue| avoid == Some(&*queue.broker);
        if !self.some.load(Ordering::Relaxed) {
            // As nearly always; topics may have a thousand queues.
            let any = || queues.get(turn % queues.len().max(1));
            return if avoid.is_none() { any() } else { at_turn(queues, turn, avoided) };
        }
        let until = self.until.read();
        let left = |queue: &MessageQueue| {
            until.get(&queue.broker).map_or(Duration::ZERO, |end| end.saturating_duration_since(now))
        };
        let chosen = at_turn(queues, turn, |queue| (avoided(queue), left(queue)));
        let over = until.values().all(|end| *end <= now);
        drop(until);
        if over {
            self.forget(now);
        }
        chosen
    }

    /// Back to the way without a lock.
    fn forget(&self, now: Instant) {
        let mut until = self.until.write();
        until.retain(|_, end| *end > now);
        self.some.store(!until.is_empty(), Ordering::Relaxed);
    }
}

/// The `turn`-th, counted around, of the queues that are not worse than any other.
fn at_turn<K: Ord>(
    queues: &[MessageQueue],
    turn: usize,
    badness: impl Fn(&MessageQueue) -> K,
) -> Option<&MessageQueue> {
    let least = queues.iter().map(&badness).min()?;
    let best = || queues.iter().filter(|queue| badness(queue) == least);
    best().nth(turn % best().count())
}

#[cfg(test)]
mod tests {
    use ferromq_model::{QueueId, TopicName};

    use super::*;

    fn queues() -> Vec<MessageQueue> {
        let topic = TopicName::new("T").unwrap();
        ["a", "a", "b", "b", "c", "c"]
            .iter()
            .zip(0..)
            .map(|(&broker, id)| MessageQueue {
                topic: topic.clone(),
                broker: broker.into(),
                id: QueueId(id % 2),
            })
            .collect()
    }

    fn brokers(faults: &LatencyFaults, avoid: Option<&str>, now: Instant) -> String {
        let queues = queues();
        (0..6).map(|turn| &*faults.pick(&queues, turn, avoid, now).unwrap().broker).collect()
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_slow_broker_is_left_alone_as_long_as_rocketmqs_table_says() {
        let start = Instant::now();
        for (latency, span) in [
            (549, 0),
            (550, 2000),
            (1800, 5000),
            (3000, 6000),
            (5000, 10_000),
            (14_999, 10_000),
            (15_000, 30_000),
        ] {
            let faults = LatencyFaults::on();
            faults.note(&"a".into(), latency * MS, false, start);
            let available = |after: u32| faults.is_available("a", start + after * MS);
            assert!(available(span) && (span == 0 || !available(span - 1)), "{latency} ms");
            assert!(faults.is_available("b", start));
        }
        let faults = LatencyFaults::on();
        faults.note(&"a".into(), MS, true, start);
        assert!(
            !faults.is_available("a", start + 9_999 * MS) && faults.is_available("a", start + 10_000 * MS)
        );
    }

    #[test]
    fn a_fast_answer_does_not_end_it_and_a_slower_one_prolongs_it() {
        let (faults, start) = (LatencyFaults::on(), Instant::now());
        for latency in [5000, 1, 550] {
            faults.note(&"a".into(), latency * MS, false, start);
        }
        assert!(!faults.is_available("a", start + 9_999 * MS));
        faults.note(&"a".into(), 550 * MS, false, start + 9_000 * MS);
        assert!(
            !faults.is_available("a", start + 10_999 * MS) && faults.is_available("a", start + 11_000 * MS)
        );
    }

    #[test]
    fn queues_take_turns_and_pass_over_who_is_left_alone_or_just_failed() {
        let (faults, now) = (LatencyFaults::on(), Instant::now());
        assert_eq!(brokers(&faults, None, now), "aabbcc");
        assert_eq!(brokers(&faults, Some("b"), now), "aaccaa");
        faults.note(&"a".into(), 600 * MS, false, now);
        assert_eq!(brokers(&faults, None, now), "bbccbb");
        assert_eq!(brokers(&faults, Some("b"), now), "cccccc");
        assert_eq!(brokers(&faults, None, now + 2000 * MS), "aabbcc");
        assert!(!faults.some.load(Ordering::Relaxed), "and no lock is taken any more");
    }

    #[test]
    fn where_all_are_left_alone_the_first_to_come_back_is_taken_and_who_just_failed_last_of_all() {
        let (faults, now) = (LatencyFaults::on(), Instant::now());
        for (broker, latency) in [("a", 15_000), ("b", 600), ("c", 5000)] {
            faults.note(&broker.into(), latency * MS, false, now);
        }
        assert_eq!(brokers(&faults, None, now), "bbbbbb");
        assert_eq!(brokers(&faults, Some("b"), now), "cccccc");
        let one = &queues()[..1];
        assert_eq!(faults.pick(one, 7, Some("a"), now), one.first());
        assert_eq!(faults.pick(&[], 7, None, now), None);
    }

    #[test]
    fn off_means_that_nothing_is_remembered() {
        let (faults, now) = (LatencyFaults::off(), Instant::now());
        faults.note(&"a".into(), MS, true, now);
        assert!(faults.is_available("a", now));
        assert_eq!(brokers(&faults, Some("a"), now), "bbccbb");
    }

    #[test]
    fn the_table_of_brokers_does_not_grow_beyond_its_limit() {
        let (faults, now) = (LatencyFaults::on(), Instant::now());
        let note = |n: usize, now| faults.note(&n.to_string().into(), MS, true, now);
        (0..MAX_BROKERS + 10).for_each(|n| note(n, now));
        assert_eq!(faults.until.read().len(), MAX_BROKERS);
        note(MAX_BROKERS + 10, now + 10_000 * MS);
        assert_eq!(faults.until.read().len(), 1);
    }
}
