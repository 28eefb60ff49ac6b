//! How long a caller may wait for something: as long as it likes, and no clock overflows by it.

use std::time::Duration;

use tokio::time::Instant;

/// Longer than any process lives.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The limit, or what is as good as it where clocks, and brokers' numbers, end before it.
pub(crate) fn bounded(limit: Duration) -> Duration {
    limit.min(LONGEST)
}

/// When a wait ends that begins now.
pub(crate) fn deadline(limit: Duration) -> Instant {
    Instant::now() + bounded(limit)
}
