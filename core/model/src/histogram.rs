//! Times, counted in classes: how many things took how long, as metrics show it.
//!
//! Always true:
//! * counting is two relaxed additions, on cache lines that few other threads write to, whatever the count;
//! * classes are the same everywhere, so that readings can be added and compared;
//! * readings only grow; one that is taken while others count may have a time in it whose sum is still missing.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Where classes end, in nanoseconds: a time belongs to the first that it does not exceed. One more class is open.
pub const CLASS_ENDS: [u64; 23] = [
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];
/// Classes, the open one included.
pub const CLASSES: usize = CLASS_ENDS.len() + 1;
/// Parts that threads spread over.
const SHARDS: usize = 8;

/// Counts times.
#[derive(Debug, Default)]
pub struct Histogram {
    shards: [Shard; SHARDS],
}

/// Two cache lines apart from the next: some processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    counts: [AtomicU64; CLASSES],
    nanos: AtomicU64,
}

/// The part that the running thread counts in.
fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    MINE.with(|mine| *mine)
}

impl Histogram {
    /// Notes that each of `count` things took so long.
    pub fn took(&self, time: Duration, count: u64) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let shard = &self.shards[shard()];
        let class = CLASS_ENDS.partition_point(|&end| end < nanos);
        shard.counts[class].fetch_add(count, Ordering::Relaxed);
        shard.nanos.fetch_add(nanos.saturating_mul(count), Ordering::Relaxed);
    }

    /// What was counted since the start.
    #[must_use]
    pub fn reading(&self) -> Times {
        let mut all = Times::default();
        for shard in &self.shards {
            for (sum, count) in all.counts.iter_mut().zip(&shard.counts) {
                *sum += count.load(Ordering::Relaxed);
            }
            all.nanos = all.nanos.wrapping_add(shard.nanos.load(Ordering::Relaxed));
        }
        all
    }
}

/// How many things took how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Things in each class.
    pub counts: [u64; CLASSES],
    /// What all of them took together, in nanoseconds.
    pub nanos: u64,
}

impl Times {
    /// Things in all classes.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What was counted after `earlier` was read.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut counts = self.counts;
        for (count, before) in counts.iter_mut().zip(&earlier.counts) {
            *count = count.saturating_sub(*before);
        }
        Self { counts, nanos: self.nanos.saturating_sub(earlier.nanos) }
    }

    /// What the share `share` (0 to 1) of all things did not exceed, taken as spread evenly within a class; `None` for
    /// nothing. Of the open class only its beginning is known.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let all = self.count();
        let wanted = (all as f64 * share).max(1.0);
        let mut before = 0;
        for (class, &count) in self.counts.iter().enumerate() {
            if count > 0 && (before + count) as f64 >= wanted {
                let begin = class.checked_sub(1).map_or(0, |below| CLASS_ENDS[below]);
                let Some(&end) = CLASS_ENDS.get(class) else { return Some(Duration::from_nanos(begin)) };
                let within = (wanted - before as f64) / count as f64;
                return Some(Duration::from_nanos(begin + ((end - begin) as f64 * within) as u64));
            }
            before += count;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_count_into_one_reading() {
        let times = Histogram::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| times.took(Duration::from_micros(1), 3));
            }
        });
        times.took(Duration::from_nanos(1_001), 1);
        times.took(Duration::from_secs(11), 2);
        let reading = times.reading();
        assert_eq!((reading.counts[1], reading.counts[2], reading.counts[CLASSES - 1]), (48, 1, 2));
        assert_eq!(reading.nanos, 48 * 1_000 + 1_001 + 22_000_000_000);
    }

    #[test]
    fn quantiles_lie_within_the_class_that_has_them() {
        assert_eq!(Times::default().quantile(0.5), None);
        let times = Histogram::default();
        times.took(Duration::from_micros(80), 98);
        let before = times.reading();
        assert_eq!(before.quantile(0.5), Some(Duration::from_micros(75)), "half-way from 50 to 100 µs");
        times.took(Duration::from_millis(3), 1);
        times.took(Duration::from_secs(60), 1);
        let all = times.reading();
        assert_eq!(all.quantile(0.99), Some(Duration::from_millis(5)));
        assert_eq!(
            all.quantile(1.0),
            Some(Duration::from_secs(10)),
            "beyond the last class nothing is known"
        );
        assert_eq!(all.since(&before).quantile(0.5), Some(Duration::from_millis(5)));
        assert_eq!(all.since(&before).count(), 2);
    }
}
