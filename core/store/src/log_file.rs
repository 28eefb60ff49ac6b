//! One file of the commit log: allocated at its full length, mapped, written once from front to back.
//!
//! Always true:
//! * the file is allocated before it is mapped, so that touching the map can neither run out of disk nor raise SIGBUS;
//! * bytes below `written` never change again; a reader only ever holds a [`Bytes`] that ends there;
//! * one thread at a time writes, and only at `written`;
//! * the map outlives the file's name: a deleted file stays readable for whoever still holds bytes of it.
//!
//! Records are written by system calls and read through the map. Writing through the map as well would cost a page
//! fault a page, and a flush would have to protect the written pages again on every core.
//!
//! The zeroed runway: the first write to a page of a fresh extent makes the file system look its block up, and the flush
//! that follows convert the extent and write its journal. [`LogFile::extend_runway`] does both ahead of the tail, in
//! 64 KiB steps that the kernel handles as one; a larger step would make larger pages in the cache, each of which a
//! flush might have to write whole.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use ferromq_model::PhysicalOffset;
use memmap2::{MmapOptions, MmapRaw};
use parking_lot::Mutex;

use crate::host::Host;

/// Bytes zeroed by one write of the runway.
pub(crate) const RUNWAY_STEP: u64 = 64 << 10;

pub(crate) struct LogFile {
    base: PhysicalOffset,
    len: u64,
    path: PathBuf,
    file: File,
    map: MmapRaw,
    /// Bytes from the front that hold records; grows only.
    written: AtomicU64,
    /// Bytes from the front that belong to the appender: zeroed ahead for it, or claimed by it. It writes only below,
    /// and the runway is only extended above, so that zeros can never land on a record.
    cleared: AtomicU64,
    /// Whoever moves `cleared` holds this, and the runway holds it while it writes zeros.
    clearing: Mutex<()>,
}

impl LogFile {
    /// The file name of the file that starts at `base`.
    pub(crate) fn name(base: PhysicalOffset) -> String {
        format!("{:020}", base.0)
    }

    /// Makes the file that starts at `base`: allocated under `staging` first, so that the log directory never shows
    /// a file of another length, which the reference broker would refuse to start with.
    pub(crate) fn create(
        host: &dyn Host,
        dir: &Path,
        staging: &Path,
        base: PhysicalOffset,
        len: u64,
    ) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(staging)?;
        if let Err(error) = host.allocate(&file, len) {
            drop(file);
            // The half-allocated file takes the very space that is missing.
            let _ = std::fs::remove_file(staging);
            return Err(error);
        }
        let path = dir.join(Self::name(base));
        std::fs::rename(staging, &path)?;
        sync_dir(dir)?;
        Self::map(file, path, base, len, 0)
    }

    /// Opens a file that has its full length; its records are not looked at.
    pub(crate) fn open(path: PathBuf, base: PhysicalOffset, len: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        Self::map(file, path, base, len, len)
    }

    fn map(file: File, path: PathBuf, base: PhysicalOffset, len: u64, written: u64) -> io::Result<Self> {
        let size = usize::try_from(len).map_err(io::Error::other)?;
        let map = MmapOptions::new().len(size).map_raw_read_only(&file)?;
        Ok(Self {
            base,
            len,
            path,
            file,
            map,
            written: AtomicU64::new(written),
            cleared: AtomicU64::new(written),
            clearing: Mutex::new(()),
        })
    }

    pub(crate) fn base(&self) -> PhysicalOffset {
        self.base
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn end(&self) -> PhysicalOffset {
        self.base.plus(self.len)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Writes `bytes` at the tail. Only the holder of the append lock may call this.
    ///
    /// After an error part of the bytes may stand there; `written` did not move.
    ///
    /// # Panics
    /// If they do not fit: the append checks before.
    pub(crate) fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let at = self.written.load(Ordering::Relaxed);
        let end = at + bytes.len() as u64;
        assert!(end <= self.len, "the append checks what fits");
        if end > self.cleared.load(Ordering::Acquire) {
            self.claim(end);
        }
        self.file.write_all_at(bytes, at)?;
        self.written.store(end, Ordering::Release);
        Ok(())
    }

    /// The tail has outrun its runway: takes the next stretch as it is, fresh from allocation and all zeros too, only
    /// slower to write into.
    #[cold]
    fn claim(&self, upto: u64) {
        const STRETCH: u64 = 1 << 20;
        let _clearing = self.clearing.lock();
        let claimed = (upto + STRETCH).next_multiple_of(RUNWAY_STEP).min(self.len);
        self.cleared.fetch_max(claimed, Ordering::AcqRel);
    }

    /// Ends the file: the rest stays unused.
    pub(crate) fn seal(&self) {
        self.written.store(self.len, Ordering::Release);
    }

    /// All that is written, without a copy; it stays readable however long it is kept.
    pub(crate) fn region(self: &Arc<Self>) -> Bytes {
        Bytes::from_owner(Region { len: self.written() as usize, file: Arc::clone(self) })
    }

    /// The first `upto` bytes as they are, for recovery before anything else runs.
    pub(crate) fn raw(&self) -> &[u8] {
        // SAFETY: the pointer and length are the map's own, and it lives as long as `self`. Recovery runs before the
        // first append, so nobody writes while the slice is held; other processes are kept out by the store's lock.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr(), self.len as usize) }
    }

    /// Sets where the records end, after recovery found out, and makes sure that nothing but zeros follows: the
    /// reference broker would take an old record behind the end for a new one.
    pub(crate) fn truncate(&self, written: u64) -> io::Result<()> {
        use rustix::fs::FallocateFlags;
        if written < self.len {
            let flags = FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE;
            if rustix::fs::fallocate(&self.file, flags, written, self.len - written).is_err() {
                // Not every file system can do this; zeros written by hand are the same.
                let zeros = vec![0u8; 1 << 20];
                let mut at = written;
                while at < self.len {
                    let step = (self.len - at).min(zeros.len() as u64);
                    self.file.write_all_at(&zeros[..step as usize], at)?;
                    at += step;
                }
            }
        }
        self.written.store(written, Ordering::Release);
        self.cleared.store(written, Ordering::Release);
        Ok(())
    }

    /// How far the runway reaches beyond the tail.
    pub(crate) fn runway(&self) -> u64 {
        self.cleared.load(Ordering::Acquire).saturating_sub(self.written())
    }

    /// Zeroes one step at the runway's end. `false` once the file's end is reached.
    pub(crate) fn extend_runway(&self) -> io::Result<bool> {
        static ZEROS: [u8; RUNWAY_STEP as usize] = [0; RUNWAY_STEP as usize];
        let _clearing = self.clearing.lock();
        let from = self.cleared.load(Ordering::Acquire);
        let upto = (from + 1).next_multiple_of(RUNWAY_STEP).min(self.len);
        if from >= self.len {
            return Ok(false);
        }
        self.file.write_all_at(&ZEROS[..(upto - from) as usize], from)?;
        self.cleared.store(upto, Ordering::Release);
        Ok(true)
    }
}

/// What a reader's [`Bytes`] owns: the written front of a file.
struct Region {
    file: Arc<LogFile>,
    len: usize,
}

impl AsRef<[u8]> for Region {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `len` was `written` when the region was made, so these bytes are inside of the map, initialized,
        // and never written again; the map lives as long as `file`, which the region holds.
        unsafe { std::slice::from_raw_parts(self.file.map.as_ptr(), self.len) }
    }
}

/// Makes names in a directory survive a power cut.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
