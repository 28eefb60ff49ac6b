//! The files of one consume queue: a fixed-size entry a message, so that the n-th message is found by arithmetic.
//!
//! ```text
//! entry: physical offset 8 | record length 4 | tags code 8        file n starts at entry n × entries-a-file
//! ```
//! Always true:
//! * a file has its full length from the start but is sparse: ten thousand quiet queues cost directories, not disk.
//!   So it is written and read by calls that can fail, never through a map, where a full disk would be a SIGBUS;
//! * everything here can be rebuilt from the commit log: losing it costs time, never messages;
//! * the number of files open at once is bounded by [`OPEN_FILES`], however many queues there are.
//!
//! A filler entry (physical offset 0, length `0x7fffffff`) holds the place of a message that is gone; readers skip it.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferromq_model::message::TagsCode;
use ferromq_model::{PhysicalOffset, QueueOffset};
use parking_lot::Mutex;

use crate::log_file::sync_dir;

/// Bytes of an entry.
pub(crate) const ENTRY_LEN: u64 = 20;
const _: () = assert!(ENTRY_LEN == 8 + 4 + 8, "physical offset, record length, tags code");
/// Queue files that are kept open at once, over all queues.
pub(crate) const OPEN_FILES: usize = 1024;
const FILLER_LEN: u32 = 0x7FFF_FFFF;

/// Where one message of a queue lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueEntry {
    /// Where its record starts.
    pub physical: PhysicalOffset,
    /// Bytes of the record.
    pub len: u32,
    /// What filters go by; for a delayed message when it is due.
    pub tags: TagsCode,
}

impl QueueEntry {
    /// Holds the place of a message that is gone.
    pub(crate) const FILLER: Self =
        Self { physical: PhysicalOffset::ZERO, len: FILLER_LEN, tags: TagsCode(0) };

    pub(crate) fn is_filler(self) -> bool {
        self.len == FILLER_LEN
    }

    fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.physical.0.to_be_bytes());
        out.extend_from_slice(&self.len.to_be_bytes());
        out.extend_from_slice(&self.tags.0.to_be_bytes());
    }

    /// `None` where nothing was written.
    fn decode(bytes: &[u8; ENTRY_LEN as usize]) -> Option<Self> {
        let (physical, rest) = bytes.split_first_chunk::<8>()?;
        let (len, tags) = rest.split_first_chunk::<4>()?;
        let entry = Self {
            physical: PhysicalOffset(u64::from_be_bytes(*physical)),
            len: u32::from_be_bytes(*len),
            tags: TagsCode(i64::from_be_bytes(tags.try_into().ok()?)),
        };
        (entry.len > 0 && entry.len <= FILLER_LEN).then_some(entry)
    }
}

/// What a queue's files hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) min: QueueOffset,
    pub(crate) next: QueueOffset,
    /// Whether every file before the last has its length.
    pub(crate) whole: bool,
}

/// A file as its directory shows it.
struct Listed {
    /// The position in its name.
    start: u64,
    len: u64,
}

/// Open queue files, shared by all queues.
pub(crate) struct OpenFiles {
    files: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    by_path: HashMap<PathBuf, (Arc<File>, u64)>,
    uses: u64,
}

impl OpenFiles {
    pub(crate) fn new() -> Self {
        Self { files: Mutex::new(Open::default()) }
    }

    fn file(&self, path: &Path, create_len: Option<u64>) -> io::Result<Arc<File>> {
        let mut open = self.files.lock();
        open.uses += 1;
        let uses = open.uses;
        if let Some((file, used)) = open.by_path.get_mut(path) {
            *used = uses;
            return Ok(Arc::clone(file));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let file = match (options.open(path), create_len) {
            (Err(error), Some(len)) if error.kind() == io::ErrorKind::NotFound => {
                let dir = path.parent().expect("a queue file has a directory");
                std::fs::create_dir_all(dir)?;
                let file = options.create(true).truncate(false).open(path)?;
                file.set_len(len)?;
                file
            }
            (opened, _) => opened?,
        };
        if open.by_path.len() >= OPEN_FILES {
            // A quarter at once, so that the search for the oldest is rare.
            let mut ages: Vec<u64> = open.by_path.values().map(|(_, used)| *used).collect();
            let (_, &mut limit, _) = ages.select_nth_unstable(OPEN_FILES / 4);
            open.by_path.retain(|_, (_, used)| *used > limit);
        }
        let file = Arc::new(file);
        open.by_path.insert(path.to_owned(), (Arc::clone(&file), uses));
        Ok(file)
    }

    /// Forgets every file below `dir`, before it is deleted.
    pub(crate) fn forget(&self, dir: &Path) {
        self.files.lock().by_path.retain(|path, _| !path.starts_with(dir));
    }
}

/// The files of one queue, by position.
pub(crate) struct QueueFiles {
    dir: PathBuf,
    /// Entries a file holds.
    entries_per_file: u64,
    open: Arc<OpenFiles>,
}

impl QueueFiles {
    pub(crate) fn new(dir: PathBuf, file_len: u64, open: Arc<OpenFiles>) -> Self {
        Self { dir, entries_per_file: file_len.div_ceil(ENTRY_LEN), open }
    }

    fn file_len(&self) -> u64 {
        self.entries_per_file * ENTRY_LEN
    }

    fn path_of(&self, first_entry: u64) -> PathBuf {
        self.dir.join(format!("{:020}", first_entry * ENTRY_LEN))
    }

    /// Writes `entries` as the messages from `from` on.
    pub(crate) fn write(&self, from: QueueOffset, entries: &[QueueEntry]) -> io::Result<()> {
        let mut from = from.0;
        let mut entries = entries;
        let mut bytes = Vec::with_capacity(entries.len() * ENTRY_LEN as usize);
        while !entries.is_empty() {
            let slot = from % self.entries_per_file;
            let (now, later) = entries.split_at(entries.len().min((self.entries_per_file - slot) as usize));
            bytes.clear();
            now.iter().for_each(|entry| entry.encode(&mut bytes));
            let file = self.open.file(&self.path_of(from - slot), Some(self.file_len()))?;
            file.write_all_at(&bytes, slot * ENTRY_LEN)?;
            from += now.len() as u64;
            entries = later;
        }
        Ok(())
    }

    /// Reads up to `max` entries from `from` on; stops at the first that was never written.
    pub(crate) fn read(&self, from: QueueOffset, max: usize) -> io::Result<Vec<QueueEntry>> {
        let mut entries = Vec::with_capacity(max);
        let mut bytes = vec![0u8; max * ENTRY_LEN as usize];
        let mut at = from.0;
        while entries.len() < max {
            let slot = at % self.entries_per_file;
            let want = (max - entries.len()).min((self.entries_per_file - slot) as usize);
            let file = match self.open.file(&self.path_of(at - slot), None) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(entries),
                Err(error) => return Err(error),
            };
            let bytes = &mut bytes[..want * ENTRY_LEN as usize];
            let got = read_up_to(&file, bytes, slot * ENTRY_LEN)?;
            for chunk in bytes[..got].as_chunks::<{ ENTRY_LEN as usize }>().0 {
                match QueueEntry::decode(chunk) {
                    Some(entry) => entries.push(entry),
                    None => return Ok(entries),
                }
            }
            if got < want * ENTRY_LEN as usize {
                return Ok(entries);
            }
            at += want as u64;
        }
        Ok(entries)
    }

    /// The entry at `at`, if it was written.
    pub(crate) fn entry(&self, at: QueueOffset) -> io::Result<Option<QueueEntry>> {
        Ok(self.read(at, 1)?.pop())
    }

    /// The files there are, in order.
    fn list(&self) -> io::Result<Vec<Listed>> {
        let mut files = Vec::new();
        let listing = match std::fs::read_dir(&self.dir) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
            Err(error) => return Err(error),
        };
        for item in listing {
            let item = item?;
            let name = item.file_name();
            let start = name.to_str().filter(|n| n.len() == 20).and_then(|n| n.parse::<u64>().ok());
            if let Some(start) = start {
                files.push(Listed { start, len: item.metadata()?.len() });
            }
        }
        files.sort_unstable_by_key(|file| file.start);
        Ok(files)
    }

    /// First entries of the files there are, in order.
    fn file_starts(&self) -> io::Result<Vec<u64>> {
        let ours = |file: &Listed| file.start.is_multiple_of(self.file_len());
        Ok(self.list()?.into_iter().filter(ours).map(|file| file.start / ENTRY_LEN).collect())
    }

    /// The last entry, if the files hold all messages from `min` to one before `next`: each file is there and has its
    /// length, and the last entry was written. What stands between is not looked at.
    pub(crate) fn last_if_whole(
        &self,
        min: QueueOffset,
        next: QueueOffset,
    ) -> io::Result<Option<QueueEntry>> {
        let Some(last) = next.0.checked_sub(1) else { return Ok(None) };
        let last_file = last - last % self.entries_per_file;
        let mut start = min.0.min(last) - min.0.min(last) % self.entries_per_file;
        // A clean start asks every queue: nothing is listed, and no file stays open.
        while start < last_file {
            match std::fs::metadata(self.path_of(start)) {
                Ok(meta) if meta.len() == self.file_len() => start += self.entries_per_file,
                Ok(_) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let file = match File::open(self.path_of(last_file)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = [0; ENTRY_LEN as usize];
        if file.metadata()?.len() != self.file_len()
            || read_up_to(&file, &mut bytes, (last - last_file) * ENTRY_LEN)? < bytes.len()
        {
            return Ok(None);
        }
        Ok(QueueEntry::decode(&bytes))
    }

    /// Finds what the files hold of messages below `limit`.
    ///
    /// Above `limit` a crash may have left anything: entries, zeros, or both in turn. Below it the entries were
    /// flushed and have no holes, so the border is found by halving.
    pub(crate) fn extent_below(&self, limit: PhysicalOffset) -> io::Result<Extent> {
        let files = self.list()?;
        let holds = |at: u64| -> io::Result<bool> {
            Ok(self.entry(QueueOffset(at))?.is_some_and(|entry| entry.is_filler() || entry.physical < limit))
        };
        // Files follow one another; after a gap (files lost) only the newest stretch counts.
        let mut extent = Extent { whole: true, ..Extent::default() };
        let mut stretch: Option<(u64, u64)> = None;
        for file in files.iter().rev() {
            if !file.start.is_multiple_of(self.file_len()) || file.len > self.file_len() {
                // Made with another size.
                extent.whole = false;
                continue;
            }
            let start = file.start / ENTRY_LEN;
            match &mut stretch {
                None if holds(start)? => stretch = Some((start, start)),
                None => {}
                Some((first, _)) if start + self.entries_per_file == *first => {
                    *first = start;
                    extent.whole &= file.len == self.file_len();
                }
                Some(_) => break,
            }
        }
        let Some((first, last)) = stretch else { return Ok(extent) };
        let (mut low, mut high) = (last, last + self.entries_per_file);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if holds(middle)? {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(Extent { min: QueueOffset(first), next: QueueOffset(low + 1), ..extent })
    }

    /// Clears whatever stands at `end` and behind it, so that no reader, the reference broker's included, takes it
    /// for entries, and gives files their length.
    pub(crate) fn truncate(&self, end: QueueOffset) -> io::Result<()> {
        for listed in self.list()? {
            let start = listed.start / ENTRY_LEN;
            let ours = listed.start.is_multiple_of(self.file_len());
            let path = self.dir.join(format!("{:020}", listed.start));
            if start > end.0 || !ours {
                self.open.forget(&path);
                std::fs::remove_file(&path)?;
            } else if listed.len != self.file_len() || start + self.entries_per_file > end.0 {
                let file = self.open.file(&path, None)?;
                let kept = (end.0 - start).min(self.entries_per_file) * ENTRY_LEN;
                if listed.len > kept && is_written(&file, kept, listed.len)? {
                    // Shortening and lengthening again leaves a hole, which reads as zeros.
                    file.set_len(kept)?;
                    file.set_len(self.file_len())?;
                } else if listed.len != self.file_len() {
                    file.set_len(self.file_len())?;
                }
            }
        }
        Ok(())
    }

    /// Puts fillers from the start of the file that holds `first` up to it.
    pub(crate) fn fill_before(&self, first: QueueOffset) -> io::Result<()> {
        let slot = first.0 % self.entries_per_file;
        self.write(QueueOffset(first.0 - slot), &vec![QueueEntry::FILLER; slot as usize])
    }

    /// Deletes files that hold only messages before `first`, but never the last file.
    pub(crate) fn delete_before(&self, first: QueueOffset) -> io::Result<usize> {
        let starts = self.file_starts()?;
        let mut deleted = 0;
        for &start in starts.iter().take(starts.len().saturating_sub(1)) {
            if start + self.entries_per_file > first.0 {
                break;
            }
            let path = self.path_of(start);
            self.open.forget(&path);
            std::fs::remove_file(path)?;
            deleted += 1;
        }
        Ok(deleted)
    }

    /// Makes the entries from `from` to before `upto` durable, and the names of files begun with them.
    pub(crate) fn sync(&self, from: QueueOffset, upto: QueueOffset) -> io::Result<()> {
        let mut at = from.0 - from.0 % self.entries_per_file;
        while at < upto.0 {
            match self.open.file(&self.path_of(at), None) {
                Ok(file) => rustix::fs::fdatasync(&*file)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            at += self.entries_per_file;
        }
        if from.0.is_multiple_of(self.entries_per_file) || at > from.0 + self.entries_per_file {
            // Of the queue, its topic, and all topics.
            for dir in self.dir.ancestors().take(3).filter(|dir| dir.exists()) {
                sync_dir(dir)?;
            }
        }
        Ok(())
    }
}

/// Whether anything but zeros stands in `from..upto`. Holes are not read: these files are nothing but holes mostly.
fn is_written(file: &File, mut from: u64, upto: u64) -> io::Result<bool> {
    let mut bytes = [0u8; 8192];
    while from < upto {
        let want = (upto - from).min(bytes.len() as u64) as usize;
        let got = read_up_to(file, &mut bytes[..want], from)?;
        if bytes[..got].iter().any(|&b| b != 0) {
            return Ok(true);
        }
        from = match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(from + want as u64)) {
            Ok(at) => at,
            Err(rustix::io::Errno::NXIO) => upto,
            // A file system that does not tell.
            Err(_) => from + want as u64,
        };
    }
    Ok(false)
}

fn read_up_to(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut got = 0;
    while got < bytes.len() {
        match file.read_at(&mut bytes[got..], at + got as u64) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(i: u64) -> QueueEntry {
        QueueEntry { physical: PhysicalOffset(i * 100), len: 100, tags: TagsCode(i as i64) }
    }

    fn files(dir: &Path) -> QueueFiles {
        QueueFiles::new(dir.join("T/0"), 10 * ENTRY_LEN, Arc::new(OpenFiles::new()))
    }

    #[test]
    fn entries_cross_files_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let queue = files(dir.path());
        let all: Vec<_> = (0..35).map(entry).collect();
        queue.write(QueueOffset(0), &all).unwrap();
        assert_eq!(queue.read(QueueOffset(0), 100).unwrap(), all);
        assert_eq!(queue.read(QueueOffset(8), 5).unwrap(), all[8..13]);
        assert_eq!(queue.file_starts().unwrap(), [0, 10, 20, 30]);
    }

    #[test]
    fn the_durable_border_is_found_whatever_stands_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let queue = files(dir.path());
        queue.write(QueueOffset(0), &(0..35).map(entry).collect::<Vec<_>>()).unwrap();
        for limit in [0u64, 1, 9, 10, 11, 20, 29, 34, 35, 99] {
            let extent = queue.extent_below(PhysicalOffset(limit * 100)).unwrap();
            let expected = Extent { min: QueueOffset(0), next: QueueOffset(limit.min(35)), whole: true };
            assert_eq!(extent, expected, "limit {limit}");
        }
        // A hole behind the border changes nothing.
        queue.truncate(QueueOffset(15)).unwrap();
        queue.write(QueueOffset(18), &[entry(18)]).unwrap();
        let extent = queue.extent_below(PhysicalOffset(1500)).unwrap();
        assert_eq!((extent.min, extent.next), (QueueOffset(0), QueueOffset(15)));
    }

    #[test]
    fn a_file_that_was_cut_or_lost_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let queue = files(dir.path());
        queue.write(QueueOffset(0), &(0..35).map(entry).collect::<Vec<_>>()).unwrap();
        let whole = |min, next| queue.last_if_whole(QueueOffset(min), QueueOffset(next)).unwrap();
        assert_eq!(whole(3, 35), Some(entry(34)));
        assert_eq!(whole(3, 36), None);
        let path = queue.path_of(10);
        File::options().write(true).open(&path).unwrap().set_len(100).unwrap();
        assert!(!queue.extent_below(PhysicalOffset(u64::MAX)).unwrap().whole);
        assert_eq!((whole(3, 35), whole(20, 35)), (None, Some(entry(34))));
        std::fs::remove_file(path).unwrap();
        assert_eq!((whole(3, 35), whole(20, 35)), (None, Some(entry(34))));
        assert_eq!(queue.extent_below(PhysicalOffset(u64::MAX)).unwrap().min, QueueOffset(20));
    }

    #[test]
    fn truncation_leaves_nothing_behind_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let queue = files(dir.path());
        queue.write(QueueOffset(0), &(0..35).map(entry).collect::<Vec<_>>()).unwrap();
        queue.truncate(QueueOffset(12)).unwrap();
        assert_eq!(queue.read(QueueOffset(0), 100).unwrap().len(), 12);
        assert_eq!(queue.file_starts().unwrap(), [0, 10]);
        queue.truncate(QueueOffset(10)).unwrap();
        queue.write(QueueOffset(10), &[entry(10), entry(11)]).unwrap();
        assert_eq!(queue.delete_before(QueueOffset(12)).unwrap(), 1);
        assert_eq!(queue.read(QueueOffset(10), 100).unwrap().len(), 2);
    }

    #[test]
    fn a_thousand_queues_do_not_hold_a_thousand_files() {
        let dir = tempfile::tempdir().unwrap();
        let open = Arc::new(OpenFiles::new());
        for i in 0..OPEN_FILES + 10 {
            let queue = QueueFiles::new(dir.path().join(i.to_string()), 200, Arc::clone(&open));
            queue.write(QueueOffset(0), &[entry(1)]).unwrap();
        }
        assert!(open.files.lock().by_path.len() <= OPEN_FILES);
    }
}
