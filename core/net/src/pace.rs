//! How many connections are accepted in a second: those beyond it wait in the kernel, and lose nothing but time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// A rate of connections, which several listeners may share. What was not used of the last second may come at once.
#[derive(Debug)]
pub struct Pace {
    /// Between two connections; zero is no limit.
    interval: Duration,
    /// When the next connection would be due if all came evenly.
    next: Mutex<Option<Instant>>,
    delayed: AtomicU64,
}

/// What may come at once.
const BURST: Duration = Duration::from_secs(1);

impl Pace {
    /// So many a second; 0 for any number.
    #[must_use]
    pub fn per_second(rate: u32) -> Self {
        let interval = Duration::from_secs(1).checked_div(rate).unwrap_or_default();
        Self { interval, next: Mutex::new(None), delayed: AtomicU64::new(0) }
    }

    /// Waits until another connection may be accepted. It is counted by [`Pace::take`] only.
    pub async fn ready(&self) {
        let mut has_waited = false;
        while let Some(at) = self.full_until() {
            if !std::mem::replace(&mut has_waited, true) {
                self.delayed.fetch_add(1, Ordering::Relaxed);
            }
            sleep_until(at).await;
        }
    }

    /// Counts a connection that was accepted.
    pub fn take(&self) {
        if !self.interval.is_zero() {
            let now = Instant::now();
            let mut next = self.next.lock();
            *next = Some(next.unwrap_or(now).max(now) + self.interval);
        }
    }

    /// Counts a connection if it may be accepted now; whether it may.
    pub fn try_take(&self) -> bool {
        let may = self.full_until().is_none();
        if may {
            self.take();
        } else {
            self.delayed.fetch_add(1, Ordering::Relaxed);
        }
        may
    }

    /// How often connections had to wait.
    pub fn delayed(&self) -> u64 {
        self.delayed.load(Ordering::Relaxed)
    }

    fn full_until(&self) -> Option<Instant> {
        if self.interval.is_zero() {
            return None;
        }
        // One more would be further ahead of its time than a burst.
        let at = (*self.next.lock())? + self.interval;
        let limit = Instant::now() + BURST.max(self.interval);
        (at > limit).then(|| at - BURST.max(self.interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_of_connections_may_come_at_once_and_then_as_many_as_are_due() {
        let pace = Pace::per_second(10);
        assert_eq!((0..20).filter(|_| pace.try_take()).count(), 10);
        let began = Instant::now();
        for _ in 0..20 {
            pace.ready().await;
            pace.take();
        }
        let took = began.elapsed();
        assert!((Duration::from_millis(1_900)..Duration::from_millis(2_100)).contains(&took), "{took:?}");
        assert!(pace.delayed() > 10);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(
            (0..20).filter(|_| pace.try_take()).count(),
            10,
            "what was not used is not saved for long"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_nobody_waits_and_with_one_of_1_one_comes_each_second() {
        let any = Pace::per_second(0);
        assert_eq!((0..1_000).filter(|_| any.try_take()).count(), 1_000);
        let slow = Pace::per_second(1);
        let began = Instant::now();
        for _ in 0..4 {
            slow.ready().await;
            slow.take();
        }
        assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
    }
}
