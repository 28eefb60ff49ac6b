//! How the last five minutes went, every two seconds: what charts show from the moment that they are opened.

use std::collections::VecDeque;
use std::time::Duration;

use ferromq_model::histogram::Times;
use ferromq_model::{Millis, Timestamp};

use super::Totals;

/// The span that one point tells of.
pub const STEP: Millis = Millis::secs(2);
/// Points kept: five minutes. One takes about sixty bytes.
pub const MAX_POINTS: usize = 150;

/// What happened in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The step's end.
    pub at: Timestamp,
    /// Messages stored a second.
    pub put: f64,
    /// Messages handed out a second.
    pub got: f64,
    /// Bytes of records stored a second.
    pub put_bytes: f64,
    /// Bytes of records handed out a second.
    pub got_bytes: f64,
    /// What half of the messages stored in the step took at most; `None` if there were none.
    pub p50: Option<Duration>,
    /// What 99 % of them took at most.
    pub p99: Option<Duration>,
}

/// The points, and where the running step began.
#[derive(Debug, Default)]
pub(super) struct History {
    begun: Option<(Timestamp, Totals, Times)>,
    points: VecDeque<Point>,
}

impl History {
    /// Ends the running step if it is long enough. `times` is asked for then only.
    pub(super) fn tick(&mut self, now: Timestamp, totals: Totals, times: impl FnOnce() -> Times) {
        let Some((begun, before, times_before)) = &self.begun else {
            self.begun = Some((now, totals, times()));
            return;
        };
        // A tick may come a little early. A clock that was set back begins a new step.
        let span = now.since(*begun);
        if now >= *begun && span.0 + super::TICK.0 / 2 < STEP.0 {
            return;
        }
        let times = times();
        let seconds = span.0 as f64 / 1000.0;
        if seconds > 0.0 {
            let rate = |of: fn(&Totals) -> u64| of(&totals).saturating_sub(of(before)) as f64 / seconds;
            let step = times.since(times_before);
            self.points.push_back(Point {
                at: now,
                put: rate(|totals| totals.put),
                got: rate(|totals| totals.got),
                put_bytes: rate(|totals| totals.put_bytes),
                got_bytes: rate(|totals| totals.got_bytes),
                p50: step.quantile(0.5),
                p99: step.quantile(0.99),
            });
            if self.points.len() > MAX_POINTS {
                self.points.pop_front();
            }
        }
        self.begun = Some((now, totals, times));
    }

    /// From the oldest on.
    pub(super) fn points(&self) -> Vec<Point> {
        self.points.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use ferromq_model::histogram::Histogram;

    use super::*;

    #[test]
    fn a_step_tells_what_happened_in_it_and_the_oldest_is_forgotten() {
        let (mut history, times) = (History::default(), Histogram::default());
        for second in 0..1000u64 {
            let totals = Totals { put: 10 * second, got_bytes: 100 * second, ..Totals::default() };
            times.took(Duration::from_micros(80), 10);
            history.tick(Timestamp(second as i64 * 1000), totals, || times.reading());
        }
        let points = history.points();
        assert_eq!(points.len(), MAX_POINTS);
        let last = points[MAX_POINTS - 1];
        assert_eq!((last.at, last.put, last.got_bytes), (Timestamp(998_000), 10.0, 100.0));
        assert_eq!(last.p50, Some(Duration::from_micros(75)));
        assert_eq!(points[0].at, Timestamp(998_000 - 149 * 2000));
    }

    #[test]
    fn a_clock_that_was_set_back_tells_of_no_step() {
        let mut history = History::default();
        for seconds in [100, 50, 52] {
            let totals = Totals { put: seconds as u64, ..Totals::default() };
            history.tick(Timestamp(seconds * 1000), totals, Times::default);
        }
        let points = history.points();
        assert_eq!((points.len(), points[0].put, points[0].p99), (1, 1.0, None));
    }
}
