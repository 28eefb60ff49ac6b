//! The store's settings: where its files are, when they are flushed, and when they are deleted.
//!
//! Names, defaults and units are RocketMQ's, but for one default: [`FlushMode::Sync`].

use std::path::PathBuf;

use ferromq_model::config::{HourSet, Hours, Percent};
use ferromq_model::{ByteSize, Millis, config_enum, config_keys};

config_enum! {
    /// When a send is acknowledged.
    pub enum FlushMode {
        /// After the disk confirmed it: survives a power cut.
        Sync = "SYNC_FLUSH",
        /// After the page cache took it: survives a crash of the process, not of the machine.
        Async = "ASYNC_FLUSH",
    }
}

config_keys! {
    /// The store: where its files are, when they are flushed, and when they are deleted.
    pub struct StoreConfig {
        /// The store's directory. `ferromq standalone` uses `./ferromq-data` when nothing is set.
        "storePathRootDir" => root: PathBuf = default_root() => "$HOME/store", Restart;
        /// The directory of the commit log, if it is to lie elsewhere than in `commitlog` of the store's
        /// directory. One only: RocketMQ's list of several is not supported.
        "storePathCommitLog" => commit_log_dir: Option<PathBuf> = None, Restart;
        /// Bytes per commit-log file.
        "mappedFileSizeCommitLog" => log_file_size: ByteSize = ByteSize::gib(1), NewStore,
            in ByteSize::kib(64)..=ByteSize::mib(2047);
        /// Bytes per consume-queue file, rounded up to whole entries of 20 bytes.
        "mappedFileSizeConsumeQueue" => queue_file_size: ByteSize = ByteSize(6_000_000), NewStore,
            in ByteSize(2_000)..=ByteSize::mib(2047);

        /// When a send is acknowledged: with `SYNC_FLUSH` once the disk has it, with `ASYNC_FLUSH` once the page
        /// cache has it. RocketMQ's default is `ASYNC_FLUSH`.
        "flushDiskType" => flush: FlushMode = FlushMode::Sync, Restart;
        /// How long a send waits for the disk before it is answered "stored, but not flushed in time".
        "syncFlushTimeout" => sync_flush_timeout: Millis = Millis::secs(5), Restart,
            in Millis(1)..=Millis::mins(10);
        /// With `ASYNC_FLUSH`, how often the commit log is flushed.
        "flushIntervalCommitLog" => flush_interval: Millis = Millis(500), Restart,
            in Millis(1)..=Millis::mins(10);
        /// With `ASYNC_FLUSH`, after which time even a nearly empty page is flushed.
        "flushCommitLogThoroughInterval" => flush_thorough_interval: Millis = Millis::secs(10), Restart,
            in Millis(1)..=Millis::mins(10);
        /// How often consume queues are flushed. They are rebuilt from the commit log, so this bounds the time
        /// that recovery takes, not what can be lost.
        "flushIntervalConsumeQueue" => queue_flush_interval: Millis = Millis::secs(1), Restart,
            in Millis(1)..=Millis::mins(10);

        /// The hours of the day in which commit-log files older than `fileReservedTime` are deleted.
        "deleteWhen" => delete_when: HourSet = HourSet::just(4), Live;
        /// How long a commit-log file is kept after the last write to it.
        "fileReservedTime" => file_reserved: Hours = Hours(72), Live, in Hours(0)..=Hours(876_000);
        /// Disk use above which files older than `fileReservedTime` are deleted at any hour.
        "diskMaxUsedSpaceRatio" => disk_clean: Percent = Percent(75), Live, in Percent(10)..=Percent(100);
        /// Disk use above which the oldest files are deleted whatever their age, if `cleanFileForciblyEnable`.
        "diskSpaceCleanForciblyRatio" => disk_clean_forcibly: Percent = Percent(85), Live,
            in Percent(10)..=Percent(100);
        /// Disk use above which sends are refused, until space returns.
        "diskSpaceWarningLevelRatio" => disk_full: Percent = Percent(90), Live, in Percent(10)..=Percent(100);
        /// Whether files may be deleted before their time to keep the disk from filling up.
        "cleanFileForciblyEnable" => clean_forcibly: bool = true, Live;
        /// How often disk use and file ages are looked at.
        "cleanResourceInterval" => clean_interval: Millis = Millis::secs(10), Restart,
            in Millis(100)..=Millis::hours(1);

        /// The largest message body. `maxFrameSize` has to be larger.
        "maxMessageSize" => max_message_size: ByteSize = ByteSize::mib(4), Restart,
            in ByteSize(1)..=ByteSize::mib(64);
        /// The most bytes that one pull is answered with; the first message is sent whatever its size.
        "maxTransferBytesOnMessageInMemory" => max_pull_bytes: ByteSize = ByteSize::kib(256), Restart,
            in ByteSize::kib(1)..=ByteSize::mib(64);
        /// The most messages that one pull is answered with.
        "maxTransferCountOnMessageInMemory" => max_pull_count: u32 = 32, Restart, in 1..=65_536;

        /// Whether topics `%LMQ%...` exist without being created, each with one light queue.
        "enableLmq" => light_queues: bool = false, Restart;
        /// Whether a message is put into the light queues that its property `INNER_MULTI_DISPATCH` names, if
        /// `enableLmq`.
        "enableMultiDispatch" => multi_dispatch: bool = false, Restart;
        /// The most light queues.
        "maxLmqConsumeQueueNum" => max_light_queues: u32 = 20_000, Restart, in 1..=10_000_000;

        /// Whether messages can be found by key.
        "messageIndexEnable" => index: bool = true, Restart;
        /// Hash slots per index file.
        "maxHashSlotNum" => index_slots: u32 = 5_000_000, NewStore, in 1..=50_000_000;
        /// Entries per index file.
        "maxIndexNum" => index_entries: u32 = 20_000_000, NewStore, in 2..=90_000_000;

        /// Whether recovery verifies the checksum of message bodies, not only the shape of records.
        "checkCRCOnRecover" => check_crc_on_recover: bool = true, Restart;
    }
}

/// RocketMQ's place, so that `ferromq broker` with an existing configuration opens the existing store.
fn default_root() -> PathBuf {
    std::env::home_dir().unwrap_or_default().join("store")
}
