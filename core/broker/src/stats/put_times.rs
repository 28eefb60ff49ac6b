//! How long messages took to be stored, as operators are told: how many took how long in the last whole minute.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ferromq_model::histogram::{Histogram, Times};
use parking_lot::Mutex;

/// Ends of the classes that times are counted in, in microseconds; one more class is open. The coarse classes of
/// RocketMQ's report end at some of them.
const ENDS: [u64; 20] = [
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000,
    2_000_000, 3_000_000, 4_000_000, 5_000_000, 10_000_000, 30_000_000,
];
/// The classes of RocketMQ's report: where each ends, in microseconds, and what it is called.
const REPORTED: [(u64, &str); 13] = [
    (1_000, "[<=0ms]"),
    (10_000, "[0~10ms]"),
    (50_000, "[10~50ms]"),
    (100_000, "[50~100ms]"),
    (200_000, "[100~200ms]"),
    (500_000, "[200~500ms]"),
    (1_000_000, "[500ms~1s]"),
    (2_000_000, "[1~2s]"),
    (3_000_000, "[2~3s]"),
    (4_000_000, "[3~4s]"),
    (5_000_000, "[4~5s]"),
    (10_000_000, "[5~10s]"),
    (u64::MAX, "[10s~]"),
];

type Counts = [u64; ENDS.len() + 1];

/// Times of storing messages.
#[derive(Debug, Default)]
pub struct PutTimes {
    running: [AtomicU64; ENDS.len() + 1],
    /// The same in finer classes, since the start.
    all: Histogram,
    longest_micros: AtomicU64,
    failed: AtomicU64,
    last: Mutex<Counts>,
}

impl PutTimes {
    /// Notes that `messages` took so long to be stored.
    pub fn took(&self, time: Duration, messages: u64) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.running[ENDS.partition_point(|&end| end <= micros)].fetch_add(messages, Ordering::Relaxed);
        self.all.took(time, messages);
        // Mostly no new maximum: a load alone keeps the line shared.
        if micros > self.longest_micros.load(Ordering::Relaxed) {
            self.longest_micros.fetch_max(micros, Ordering::Relaxed);
        }
    }

    /// Notes that a message was refused by the store.
    pub fn failed(&self, messages: u64) {
        self.failed.fetch_add(messages, Ordering::Relaxed);
    }

    /// Ends the running minute.
    pub(crate) fn end_minute(&self) {
        let mut last = self.last.lock();
        for (last, running) in last.iter_mut().zip(&self.running) {
            *last = running.swap(0, Ordering::Relaxed);
        }
    }

    /// What was counted since the start.
    #[must_use]
    pub fn reading(&self) -> Times {
        self.all.reading()
    }

    /// Messages that the store refused since the start.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// What operators are told.
    #[must_use]
    pub fn report(&self) -> PutReport {
        let last = *self.last.lock();
        let ended_by = |end: u64| ENDS.partition_point(|&other| other <= end);
        let mut from = 0;
        let classes = REPORTED.map(|(end, name)| {
            let upto = if end == u64::MAX { last.len() } else { ended_by(end) };
            let count = last[from..upto].iter().sum();
            from = upto;
            (name, count)
        });
        PutReport {
            classes,
            p99: below(&last, 0.99),
            p999: below(&last, 0.999),
            longest: Duration::from_micros(self.longest_micros.load(Ordering::Relaxed)),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }
}

/// The end of the class that the given share of all times lies below.
fn below(counts: &Counts, share: f64) -> Duration {
    let all: u64 = counts.iter().sum();
    let wanted = (all as f64 * share).ceil() as u64;
    let mut seen = 0;
    for (class, count) in counts.iter().enumerate() {
        seen += count;
        if seen >= wanted && seen > 0 {
            return Duration::from_micros(ENDS[class.min(ENDS.len() - 1)]);
        }
    }
    Duration::ZERO
}

/// How long messages took to be stored.
#[derive(Clone, Debug)]
pub struct PutReport {
    /// How many of the last whole minute took how long.
    pub classes: [(&'static str, u64); 13],
    /// What 99 % of them stayed below.
    pub p99: Duration,
    /// What 99.9 % of them stayed below.
    pub p999: Duration,
    /// The longest time since the start.
    pub longest: Duration,
    /// Messages that the store refused since the start.
    pub failed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_the_classes_that_are_reported() {
        let times = PutTimes::default();
        for (micros, messages) in
            [(10, 90), (999, 5), (1_000, 1), (9_999, 1), (10_000, 1), (700_000, 1), (60_000_000, 1)]
        {
            times.took(Duration::from_micros(micros), messages);
        }
        assert!(times.report().classes.iter().all(|(_, count)| *count == 0), "the minute is not over");
        times.end_minute();
        let report = times.report();
        let told: Vec<_> = report.classes.iter().filter(|(_, count)| *count > 0).copied().collect();
        assert_eq!(
            told,
            [("[<=0ms]", 95), ("[0~10ms]", 2), ("[10~50ms]", 1), ("[500ms~1s]", 1), ("[10s~]", 1)]
        );
        assert_eq!((report.p99, report.longest), (Duration::from_secs(1), Duration::from_secs(60)));
        times.end_minute();
        assert_eq!(times.report().p99, Duration::ZERO, "nothing was sent in the minute after");
    }
}
