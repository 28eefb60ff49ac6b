//! The figures of a comparison: what each is called, in which order they are printed, and how repeats of one are shown.

pub(super) const SEND_RATE: &str = "send, messages/s";
pub(super) const SEND_CPU: &str = "send, server CPU µs a message";
pub(super) const SEND_P50: &str = "send, p50 µs";
pub(super) const SEND_P99: &str = "send, p99 µs";
pub(super) const PULL_BYTES: &str = "pull, MB/s";
pub(super) const PULL_RATE: &str = "pull, messages/s";
pub(super) const PULL_CPU: &str = "pull, server CPU µs a message";
pub(super) const E2E_2K_P50: &str = "end to end at 2,000/s, p50 µs";
pub(super) const E2E_2K_P99: &str = "end to end at 2,000/s, p99 µs";
pub(super) const E2E_10K_P50: &str = "end to end at 10,000/s, p50 µs";
pub(super) const E2E_10K_P99: &str = "end to end at 10,000/s, p99 µs";
pub(super) const SYNC_RATE: &str = "sync flush, 256 in flight, messages/s";
pub(super) const SYNC_CPU: &str = "sync flush, server CPU µs a message";
pub(super) const SYNC_FLUSHES: &str = "sync flush, disk flushes per 1,000 messages";
pub(super) const SYNC_ALONE: &str = "sync flush, one caller, p50 µs";
pub(super) const START: &str = "start on an empty store, ms";
pub(super) const RESTART: &str = "restart after SIGKILL, ms";
pub(super) const RESTART_SIZE: &str = "… on a commit log of MiB";
pub(super) const IDLE_RSS: &str = "idle, resident MiB";
pub(super) const IDLE_ANONYMOUS: &str = "idle, of it anonymous MiB";
pub(super) const MANY_RATE: &str = "10,000 topics × 8 queues, messages/s";
pub(super) const MANY_RSS: &str = "10,000 topics × 8 queues, resident MiB";
pub(super) const MANY_ANONYMOUS: &str = "10,000 topics × 8 queues, of it anonymous MiB";
pub(super) const MANY_DISK: &str = "10,000 topics × 8 queues, MiB of consume queues on disk";

pub(super) const POP_RATE: &str = "pop, single acks, messages/s";
pub(super) const POP_CPU: &str = "pop, single acks, server CPU µs a message";
pub(super) const POP_P99: &str = "pop, single acks, p99 µs of a pop";
pub(super) const POP_BATCH_RATE: &str = "pop, batch acks, messages/s";
pub(super) const POP_BATCH_CPU: &str = "pop, batch acks, server CPU µs a message";
pub(super) const POP_BATCH_P99: &str = "pop, batch acks, p99 µs of a pop";
pub(super) const POP_AGAIN: &str = "pop, messages handed out twice, both runs";
pub(super) const TIMER_RATE: &str = "timers, accepted messages/s";
pub(super) const TIMER_ACCEPT_CPU: &str = "timers, server CPU µs to accept a message";
pub(super) const TIMER_DELIVER_CPU: &str = "timers, server CPU µs to deliver a message";
pub(super) const TIMER_LAG_P50: &str = "timers, lag p50 ms";
pub(super) const TIMER_LAG_P99: &str = "timers, lag p99 ms";
pub(super) const TIMER_LAG_MAX: &str = "timers, lag max ms";
pub(super) const TIMER_RSS_BEFORE: &str = "timers, resident MiB before";
pub(super) const TIMER_RSS: &str = "timers, resident MiB with all pending";
pub(super) const TIMER_ANONYMOUS_BEFORE: &str = "timers, anonymous MiB before";
pub(super) const TIMER_ANONYMOUS: &str = "timers, anonymous MiB with all pending";
pub(super) const TIMER_ANONYMOUS_MOST: &str = "timers, anonymous MiB at most";
pub(super) const TIMER_MISSING: &str = "timers, messages that did not come";
pub(super) const TIMER_AGAIN: &str = "timers, messages that came twice";
pub(super) const TIMER_EARLY: &str = "timers, messages that came early";
/// By the names that `ferromq bench filter` gives.
pub(super) const FILTERS: [&str; 4] = [
    "SQL92 filter, one comparison, million/s",
    "SQL92 filter, a range and a text, million/s",
    "SQL92 filter, a list or a tag, million/s",
    "SQL92 filter, nested with a missing property, million/s",
];

/// In the order they are printed.
pub(super) const FIGURES: &[&str] = &[
    SEND_RATE,
    SEND_CPU,
    SEND_P50,
    SEND_P99,
    PULL_BYTES,
    PULL_RATE,
    PULL_CPU,
    E2E_2K_P50,
    E2E_2K_P99,
    E2E_10K_P50,
    E2E_10K_P99,
    SYNC_RATE,
    SYNC_CPU,
    SYNC_FLUSHES,
    SYNC_ALONE,
    START,
    RESTART,
    RESTART_SIZE,
    IDLE_RSS,
    IDLE_ANONYMOUS,
    MANY_RATE,
    MANY_RSS,
    MANY_ANONYMOUS,
    MANY_DISK,
    POP_RATE,
    POP_CPU,
    POP_P99,
    POP_BATCH_RATE,
    POP_BATCH_CPU,
    POP_BATCH_P99,
    POP_AGAIN,
    TIMER_RATE,
    TIMER_ACCEPT_CPU,
    TIMER_DELIVER_CPU,
    TIMER_LAG_P50,
    TIMER_LAG_P99,
    TIMER_LAG_MAX,
    TIMER_RSS_BEFORE,
    TIMER_RSS,
    TIMER_ANONYMOUS_BEFORE,
    TIMER_ANONYMOUS,
    TIMER_ANONYMOUS_MOST,
    TIMER_MISSING,
    TIMER_AGAIN,
    TIMER_EARLY,
    FILTERS[0],
    FILTERS[1],
    FILTERS[2],
    FILTERS[3],
];

/// What repeats of one figure gave.
#[derive(Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    low: f64,
    high: f64,
}

impl Spread {
    /// Of at least one value.
    pub(super) fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
        Self { median, low: sorted[0], high: sorted[sorted.len() - 1] }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "**{}** ({} – {})", figure(self.median), figure(self.low), figure(self.high))
    }
}

/// Three digits that matter, thousands set apart.
fn figure(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.*}", if value < 10.0 { 2 } else { 1 });
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_median_lowest_and_highest() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Spread { median: 2.0, low: 1.0, high: 3.0 });
        assert_eq!(Spread::of(&[4.0, 1.0]).median, 2.5);
    }

    #[test]
    fn figures_keep_three_digits_that_matter() {
        assert_eq!([1.234, 12.34, 123.4, 1_234_567.0].map(figure), ["1.23", "12.3", "123", "1,234,567"]);
    }
}
