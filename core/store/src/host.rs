//! What the store needs from the machine: a clock, the disk's fill level, and a flush that can be made to fail.
//!
//! Everything else is plain files under one directory. Tests hand in a [`Host`] of their own; nobody else does.

use std::fs::File;
use std::io;
use std::path::Path;

use ferromq_model::Timestamp;

/// How full the file system below a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskUsage {
    /// Bytes that the file system holds in all.
    pub total: u64,
    /// Bytes that an ordinary process may still take.
    pub available: u64,
}

impl DiskUsage {
    /// The used share in percent, rounded down, counted as `df` does.
    #[must_use]
    pub fn used_percent(self) -> u8 {
        let used = self.total.saturating_sub(self.available);
        (used.saturating_mul(100)).checked_div(self.total).unwrap_or(0).min(100) as u8
    }
}

/// The machine below the store.
pub trait Host: Send + Sync + 'static {
    /// The wall clock. It may step back; the store never lets a stored time do so.
    fn now(&self) -> Timestamp;

    /// How full the file system is that holds `path`.
    ///
    /// # Errors
    /// As the system call.
    fn disk_usage(&self, path: &Path) -> io::Result<DiskUsage>;

    /// Makes what was written to `file` survive a power cut. An error is final: what the disk holds is unknown from
    /// then on.
    ///
    /// # Errors
    /// As the system call.
    fn sync_data(&self, file: &File) -> io::Result<()>;

    /// Takes `len` bytes of disk for `file`, so that writing into them cannot run out of space.
    ///
    /// # Errors
    /// As the system call; `StorageFull` when the disk is.
    fn allocate(&self, file: &File, len: u64) -> io::Result<()>;
}

/// The real machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemHost;

impl Host for SystemHost {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn disk_usage(&self, path: &Path) -> io::Result<DiskUsage> {
        let stat = rustix::fs::statvfs(path)?;
        // As df: space reserved for root counts neither as used nor as available.
        let used = (stat.f_blocks - stat.f_bfree) * stat.f_frsize;
        let available = stat.f_bavail * stat.f_frsize;
        Ok(DiskUsage { total: used + available, available })
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(file)?)
    }

    fn allocate(&self, file: &File, len: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, len)?)
    }
}
