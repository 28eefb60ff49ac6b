//! Retention: deletes the oldest log files by age and by disk use, and then what pointed into them.
//!
//! A file's age is the time since it was last written. It goes when its time is over *and* the hour is one of
//! `deleteWhen`, or the disk is above `diskMaxUsedSpaceRatio`, or somebody asked for it; above `diskSpaceCleanForciblyRatio` the oldest go whatever
//! their age, if the operator allows it. The newest file always stays.

use std::sync::atomic::Ordering;

use ferromq_model::{Millis, Timestamp};
use time::{OffsetDateTime, UtcOffset};

use crate::log_file::LogFile;
use crate::store::Inner;

/// Files deleted in one round (RocketMQ: `deleteFileBatchMax`): deleting many gigabytes at once stalls the disk.
const MOST_A_ROUND: usize = 10;

/// Rounds that an operator's request is good for (RocketMQ: `MAX_MANUAL_DELETE_FILE_TIMES`).
pub(crate) const ROUNDS_ON_REQUEST: u32 = 20;

/// Runs one round.
pub(crate) fn run(store: &Inner) {
    let config = store.live.read().clone();
    let now = store.host.now();
    let one_less = |rounds: u32| rounds.checked_sub(1);
    let asked_for =
        store.rounds_asked_for.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok();
    let in_hours = asked_for || config.delete_when.contains(local_hour(now));
    let mut deleted = 0;
    while deleted < MOST_A_ROUND && !store.stopping() {
        let Some(file) = store.log.oldest_file() else { break };
        // Asked for each file: force must not delete more than it takes.
        let used = store.disk_used().unwrap_or(0);
        let expired = (in_hours || used >= config.disk_clean.0)
            && age_of(&file, now).is_some_and(|age| age >= Millis::hours(u64::from(config.file_reserved.0)));
        let by_force = config.clean_forcibly && used >= config.disk_clean_forcibly.0;
        if !expired && !by_force {
            break;
        }
        if let Err(error) = store.log.delete_oldest(&file) {
            tracing::warn!(file = %file.path().display(), %error, "cannot delete an expired log file");
            break;
        }
        tracing::info!(
            file = %file.path().display(),
            why = if expired { "older than fileReservedTime" } else { "disk above diskSpaceCleanForciblyRatio" },
            "deleted a log file"
        );
        deleted += 1;
    }
    if deleted > 0 {
        let min = store.log.min();
        if let Err(error) = store.queues.trim_below(min) {
            tracing::warn!(%error, "cannot trim consume queues");
        }
        if let Err(error) = store.index.lock().delete_before(min) {
            tracing::warn!(%error, "cannot trim the index");
        }
        store.check_disk();
    }
}

/// The time since `file` was last written; `None` if the system does not tell.
fn age_of(file: &LogFile, now: Timestamp) -> Option<Millis> {
    let modified = std::fs::metadata(file.path()).and_then(|meta| meta.modified()).ok()?;
    let modified = modified.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis() as i64;
    Some(now.since(Timestamp(modified)))
}

/// The hour of the day where this machine stands; where that is not known, in UTC.
fn local_hour(now: Timestamp) -> u8 {
    let utc = OffsetDateTime::from_unix_timestamp(now.0 / 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let offset = UtcOffset::local_offset_at(utc).unwrap_or(UtcOffset::UTC);
    utc.to_offset(offset).hour()
}
