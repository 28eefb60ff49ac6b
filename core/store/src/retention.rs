//! Retention: deletes the oldest log files by age and by disk use, and then what pointed into them.
//!
//! A file's age is the time since it was last written. It goes when its time is over *and* the hour is one of
//! `deleteWhen` or the disk is above `diskMaxUsedSpaceRatio`; above `diskSpaceCleanForciblyRatio` the oldest go whatever
//! their age, if the operator allows it. The newest file always stays.

use std::time::SystemTime;

use time::OffsetDateTime;

use crate::store::Inner;

/// Files deleted in one round (RocketMQ: `deleteFileBatchMax`): deleting many gigabytes at once stalls the disk.
const MOST_A_ROUND: usize = 10;

/// Runs one round.
pub(crate) fn run(store: &Inner) {
    let config = &store.config;
    let used = match store.host.disk_usage(&config.root) {
        Ok(usage) => u64::from(usage.used_percent()),
        Err(_) => 0,
    };
    let hour = OffsetDateTime::now_local().unwrap_or_else(|_| OffsetDateTime::now_utc()).hour();
    let by_age = config.delete_when.contains(hour) || used >= u64::from(config.disk_clean.0);
    let by_force = config.clean_forcibly && used >= u64::from(config.disk_clean_forcibly.0);
    if !by_age && !by_force {
        return;
    }
    let mut deleted = 0;
    while deleted < MOST_A_ROUND && !store.stopping() {
        let Some(file) = store.log.oldest_file() else { break };
        let age = std::fs::metadata(file.path())
            .and_then(|meta| meta.modified())
            .map(|written| SystemTime::now().duration_since(written).unwrap_or_default());
        let expired = age.is_ok_and(|age| age.as_secs() >= u64::from(config.file_reserved.0) * 3600);
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
