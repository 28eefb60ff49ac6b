//! How long to wait before something is tried again.
//!
//! | what | waits |
//! |---|---|
//! | a message that could not be consumed | by level: 10 s, 30 s, 1 min, … 2 h ([`redelivery_level`]) |
//! | the same, popped | 10 s, 30 s, 1 min, … 2 h ([`pop_wait`]) |
//! | an orderly queue whose message failed | what the user says, within [`ORDERLY_WAITS`] |
//! | a call that failed | twice as long each time, up to a cap, spread at random ([`Backoff`]) |
//!
//! The first three are official clients', since users plan with them and groups may be mixed.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::RangeInclusive;
use std::time::Duration;

use ferromq_model::Millis;

/// The delay level of a message's first redelivery. Those below it, 1 s and 5 s, are only for who asks for them.
const FIRST_REDELIVERY_LEVEL: u32 = 3;

/// The delay level at which a message waits that was consumed in vain, after it was redelivered `times` times before.
///
/// Brokers compute the same when asked to take a message back. Levels beyond their table count as its highest.
pub(crate) const fn redelivery_level(times: u32) -> u32 {
    FIRST_REDELIVERY_LEVEL.saturating_add(times)
}

/// How long a popped message stays invisible that was consumed in vain, by how often it was redelivered before.
pub(crate) const POP_WAITS: [Millis; 16] = [
    Millis::secs(10),
    Millis::secs(30),
    Millis::mins(1),
    Millis::mins(2),
    Millis::mins(3),
    Millis::mins(4),
    Millis::mins(5),
    Millis::mins(6),
    Millis::mins(7),
    Millis::mins(8),
    Millis::mins(9),
    Millis::mins(10),
    Millis::mins(20),
    Millis::mins(30),
    Millis::hours(1),
    Millis::hours(2),
];

/// The entry of [`POP_WAITS`] for a message that was redelivered `times` times before; at most the last one.
pub(crate) fn pop_wait(times: u32) -> Millis {
    POP_WAITS[(times as usize).min(POP_WAITS.len() - 1)]
}

/// The waits that a user may choose for an orderly queue whose message failed (`suspendCurrentQueueTimeMillis`).
pub(crate) const ORDERLY_WAITS: RangeInclusive<Millis> = Millis(10)..=Millis::secs(30);
/// The one if the user chooses none.
pub(crate) const DEFAULT_ORDERLY_WAIT: Millis = Millis::secs(1);

/// Waits that double from one to the next.
///
/// Each is cut by up to a half at random, so that the clients of a server that went away do not come back all at once.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    cap: Duration,
    next: Duration,
}

impl Backoff {
    /// From `first` up to `cap`.
    pub(crate) const fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap, next: first }
    }

    /// How long to wait now, after one more failure.
    pub(crate) fn wait(&mut self) -> Duration {
        // The hasher's keys are random, as the standard library promises.
        self.wait_at(RandomState::new().build_hasher().finish())
    }

    /// Something went well: the next failure is a first one.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }

    fn wait_at(&mut self, random: u64) -> Duration {
        let longest = self.next.min(self.cap);
        self.next = longest.saturating_mul(2);
        let half = longest / 2;
        half + half.mul_f64(random as f64 / u64::MAX as f64)
    }
}

#[cfg(test)]
mod tests {
    use ferromq_model::delay::DelayLevels;

    use super::*;

    const WAITS: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

    #[test]
    fn a_message_waits_as_long_as_the_sixteen_times_before_it_is_a_dead_letter() {
        let levels = DelayLevels::default();
        let span = |times| levels.span(levels.resolve(i64::from(redelivery_level(times))).unwrap());
        assert_eq!((span(0), span(1), span(15)), (Millis::secs(10), Millis::secs(30), Millis::hours(2)));
        assert_eq!(span(u32::MAX), Millis::hours(2));
        assert!((0..16).all(|times| span(times) == pop_wait(times)), "popped or not");
        assert_eq!(pop_wait(u32::MAX), Millis::hours(2));
    }

    #[test]
    fn waits_double_up_to_the_cap_and_begin_anew_after_success() {
        let mut backoff = WAITS;
        let longest: Vec<u128> = (0..8).map(|_| backoff.wait_at(u64::MAX).as_millis()).collect();
        assert_eq!(longest, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        backoff.reset();
        assert_eq!(backoff.wait_at(0), Duration::from_millis(50));
    }

    #[test]
    fn clients_do_not_come_back_all_at_once() {
        let waits: std::collections::HashSet<Duration> = (0..100).map(|_| WAITS.clone().wait()).collect();
        assert!(waits.len() > 90);
        assert!(waits.iter().all(|wait| (50..=100).contains(&wait.as_millis())));
    }
}
