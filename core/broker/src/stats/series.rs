//! A counter's past: what it showed at points in time, from which the last minute, hour and day are worked out.
//!
//! ```text
//! minute   | 10 s | 10 s | 10 s | 10 s | 10 s | 10 s |     six steps: seven snapshots
//! hour     | 10 min | 10 min | 10 min | …            |     six steps
//! day      | 1 h | 1 h | 1 h | …                     |     twenty-four steps
//! ```
//! Steps and figures are those of RocketMQ's `BrokerStatsManager`, which tools are made for: a period's sum reaches from
//! its oldest snapshot to its newest, so that it may be one step behind.

use std::collections::VecDeque;

use ferromq_model::{Millis, Timestamp};

/// What a counter shows at one moment. Counters only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Calls that they came or went with.
    pub calls: u64,
}

/// Which of a reading's numbers is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Messages.
    Messages,
    /// Bytes.
    Bytes,
}

/// A span that is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// The last minute.
    Minute,
    /// The last hour.
    Hour,
    /// The last day.
    Day,
}

impl Period {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// How often a snapshot is taken for it.
    #[must_use]
    pub const fn step(self) -> Millis {
        match self {
            Self::Minute => Millis::secs(10),
            Self::Hour => Millis::mins(10),
            Self::Day => Millis::hours(1),
        }
    }

    const fn steps(self) -> usize {
        match self {
            Self::Minute | Self::Hour => 6,
            Self::Day => 24,
        }
    }
}

/// What happened in a period.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// In all.
    pub sum: u64,
    /// On average in a second.
    pub per_second: f64,
    /// On average with one call.
    pub per_call: f64,
}

/// The past of one counter.
#[derive(Clone, Debug, Default)]
pub struct Series {
    periods: [Window; 3],
}

#[derive(Clone, Debug, Default)]
struct Window {
    /// From the oldest on.
    snapshots: VecDeque<(Timestamp, Reading)>,
}

impl Series {
    /// Takes a snapshot for one of the periods.
    pub fn push(&mut self, period: Period, now: Timestamp, reading: Reading) {
        let window = &mut self.periods[period as usize].snapshots;
        // Whatever it shows first has come since the step before, when nobody had asked for it yet.
        if window.is_empty() {
            window.push_back((now.minus(period.step()), Reading::default()));
        }
        window.push_back((now, reading));
        if window.len() > period.steps() + 1 {
            window.pop_front();
        }
    }

    /// What happened in a period.
    #[must_use]
    pub fn figures(&self, period: Period, amount: Amount) -> Figures {
        let window = &self.periods[period as usize].snapshots;
        let (Some((begin, first)), Some((end, last))) = (window.front(), window.back()) else {
            return Figures::default();
        };
        let of = |reading: &Reading| match amount {
            Amount::Messages => reading.messages,
            Amount::Bytes => reading.bytes,
        };
        let sum = of(last).saturating_sub(of(first));
        let ratio = |by: f64| if by > 0.0 { sum as f64 / by } else { 0.0 };
        Figures {
            sum,
            per_second: ratio(end.since(*begin).0 as f64 / 1000.0),
            per_call: ratio(last.calls.saturating_sub(first.calls) as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(messages: u64) -> Reading {
        Reading { messages, bytes: messages * 100, calls: messages / 2 }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp(1_700_000_000_000 + seconds * 1000)
    }

    #[test]
    fn the_first_snapshot_counts_for_one_step() {
        let mut series = Series::default();
        series.push(Period::Minute, at(0), reading(20));
        let figures = series.figures(Period::Minute, Amount::Messages);
        assert_eq!((figures.sum, figures.per_second, figures.per_call), (20, 2.0, 2.0));
        assert_eq!(series.figures(Period::Hour, Amount::Messages), Figures::default());
    }

    #[test]
    fn each_period_forgets_what_is_older_than_itself() {
        for (period, steps) in [(Period::Minute, 6), (Period::Hour, 6), (Period::Day, 24)] {
            let step = period.step().0 as i64 / 1000;
            let mut series = Series::default();
            // 1000 messages in the first step, ten in each one after.
            for n in 0..100 {
                series.push(period, at(n * step), reading(1000 + 10 * n as u64));
                let figures = series.figures(period, Amount::Bytes);
                let whole = n >= steps;
                let expected = if whole { 10 * steps } else { 1000 + 10 * n };
                assert_eq!(figures.sum as i64, 100 * expected, "{period:?} after {n} steps");
                if whole {
                    let per_second = (100 * expected) as f64 / (steps * step) as f64;
                    assert!((figures.per_second - per_second).abs() < 1e-9, "{period:?} {figures:?}");
                    assert!((figures.per_call - 200.0).abs() < 1e-9, "{period:?} {figures:?}");
                }
            }
        }
    }

    #[test]
    fn a_clock_that_steps_back_divides_by_nothing() {
        let mut series = Series::default();
        series.push(Period::Minute, at(0), reading(20));
        series.push(Period::Minute, at(-3600), reading(30));
        let figures = series.figures(Period::Minute, Amount::Messages);
        assert_eq!((figures.sum, figures.per_second), (30, 0.0));
    }
}
