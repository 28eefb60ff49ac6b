//! The key index: which messages carry a key, by hash, in files of a fixed number of entries.
//!
//! ```text
//! header 40: begin time 8, end time 8, begin offset 8, end offset 8, used slots 4, entry count 4
//! slots      4 each: the newest entry of the slot, 0 = none
//! entries   20 each: key hash 4, physical offset 8, seconds since begin 4, previous entry of the slot 4
//! ```
//! Always true:
//! * only the indexer writes, and lookups hold the same lock for a chain's length;
//! * an entry is a hint: a lookup re-reads the message and compares its keys, so a collision or a stale entry costs time;
//! * the index can be rebuilt from the log: after a crash every file that is not known to be flushed is deleted, and
//!   the indexer starts again where the last good one ends;
//! * files are allocated before they are mapped, as the log's are.
//!
//! Source: RocketMQ's `IndexFile` and `IndexService`.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use ferromq_model::message::{java_hash, java_hash_continue};
use ferromq_model::{PhysicalOffset, Timestamp};
use memmap2::{MmapMut, MmapOptions};
use time::OffsetDateTime;

use crate::host::Host;

const HEADER_LEN: usize = 40;
const SLOT_LEN: usize = 4;
const ENTRY_LEN: usize = 20;
/// Messages that one lookup finds at most (RocketMQ: `maxMsgsNumBatch`).
pub(crate) const MAX_FOUND: usize = 64;
/// Entries that one lookup follows in a file: a chain of one hash value cannot hold a lookup forever.
const MAX_CHAIN: usize = 100_000;

/// How large index files are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) slots: u32,
    pub(crate) entries: u32,
}

impl Shape {
    fn file_len(self) -> usize {
        HEADER_LEN + self.slots as usize * SLOT_LEN + self.entries as usize * ENTRY_LEN
    }
}

struct IndexFile {
    path: PathBuf,
    shape: Shape,
    map: MmapMut,
}

impl IndexFile {
    fn open(host: &dyn Host, path: PathBuf, shape: Shape) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let len = shape.file_len();
        if let Err(error) = host.allocate(&file, len as u64) {
            if file.metadata()?.len() < len as u64 {
                let _ = std::fs::remove_file(&path);
            }
            return Err(error);
        }
        // SAFETY: the file is the index's own and the store's lock keeps other processes out; nobody shortens it, and
        // it is allocated, so that every page of the map can be touched.
        let map = unsafe { MmapOptions::new().len(len).map_mut(&file)? };
        Ok(Self { path, shape, map })
    }

    fn u32_at(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.map[at..at + 4].try_into().expect("four bytes"))
    }

    fn u64_at(&self, at: usize) -> u64 {
        u64::from_be_bytes(self.map[at..at + 8].try_into().expect("eight bytes"))
    }

    fn put_u32(&mut self, at: usize, value: u32) {
        self.map[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }

    fn put_u64(&mut self, at: usize, value: u64) {
        self.map[at..at + 8].copy_from_slice(&value.to_be_bytes());
    }

    fn begin_time(&self) -> i64 {
        self.u64_at(0) as i64
    }

    fn end_time(&self) -> i64 {
        self.u64_at(8) as i64
    }

    fn end_offset(&self) -> PhysicalOffset {
        PhysicalOffset(self.u64_at(24))
    }

    /// Number of the next entry; entry 0 is never used.
    fn count(&self) -> u32 {
        self.u32_at(36).max(1)
    }

    fn is_full(&self) -> bool {
        self.count() >= self.shape.entries
    }

    fn slot_at(&self, hash: u32) -> usize {
        HEADER_LEN + (hash % self.shape.slots) as usize * SLOT_LEN
    }

    fn entry_at(&self, number: u32) -> usize {
        HEADER_LEN + self.shape.slots as usize * SLOT_LEN + number as usize * ENTRY_LEN
    }

    fn put(&mut self, hash: u32, physical: PhysicalOffset, stored: Timestamp) {
        let count = self.count();
        let slot_at = self.slot_at(hash);
        let previous = Some(self.u32_at(slot_at)).filter(|&n| n < count).unwrap_or(0);
        let begin = self.begin_time();
        let seconds = if begin <= 0 { 0 } else { ((stored.0 - begin) / 1000).clamp(0, i64::from(i32::MAX)) };
        let at = self.entry_at(count);
        let mut entry = [0u8; ENTRY_LEN];
        entry[..4].copy_from_slice(&hash.to_be_bytes());
        entry[4..12].copy_from_slice(&physical.0.to_be_bytes());
        entry[12..16].copy_from_slice(&(seconds as u32).to_be_bytes());
        entry[16..].copy_from_slice(&previous.to_be_bytes());
        self.map[at..at + ENTRY_LEN].copy_from_slice(&entry);
        self.put_u32(slot_at, count);
        if count <= 1 {
            self.put_u64(0, stored.0 as u64);
            self.put_u64(16, physical.0);
        }
        if previous == 0 {
            self.put_u32(32, self.u32_at(32) + 1);
        }
        self.put_u32(36, count + 1);
        self.put_u64(8, stored.0 as u64);
        self.put_u64(24, physical.0);
    }

    /// Offsets of entries with `hash` that were stored in `[from, upto]`, newest first.
    fn find(&self, hash: u32, from: Timestamp, upto: Timestamp, found: &mut Vec<PhysicalOffset>, max: usize) {
        let count = self.count();
        let mut number = self.u32_at(self.slot_at(hash));
        for _ in 0..MAX_CHAIN {
            if number == 0 || number >= count || found.len() >= max {
                return;
            }
            let at = self.entry_at(number);
            let stored = self.begin_time() + i64::from(self.u32_at(at + 12)) * 1000;
            // Stored to the second below: an entry may be up to a second younger than it says.
            if stored + 1000 < from.0 {
                return;
            }
            if self.u32_at(at) == hash && stored <= upto.0 {
                found.push(PhysicalOffset(self.u64_at(at + 4)));
            }
            let previous = self.u32_at(at + 16);
            if previous >= number {
                return;
            }
            number = previous;
        }
    }
}

/// The hash of `topic#key`, as entries keep it.
pub(crate) struct TopicHash(i32);

impl TopicHash {
    pub(crate) fn new(topic: &str) -> Self {
        Self(java_hash_continue(java_hash(topic), "#"))
    }

    pub(crate) fn of_key(&self, key: &str) -> u32 {
        // Java's absolute value of the smallest number is itself; the reference makes that 0.
        java_hash_continue(self.0, key).checked_abs().unwrap_or(0) as u32
    }
}

/// All index files, oldest first.
pub(crate) struct Index {
    dir: PathBuf,
    shape: Shape,
    files: Vec<IndexFile>,
    /// Store time up to which every entry is in a flushed file.
    durable: Timestamp,
}

impl Index {
    /// Opens the files there are. With `trusted`, files that go beyond that time are deleted: a crash may have left
    /// them in any state.
    pub(crate) fn open(
        host: &dyn Host,
        dir: PathBuf,
        shape: Shape,
        trusted: Option<Timestamp>,
    ) -> io::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        let mut names: Vec<PathBuf> = std::fs::read_dir(&dir)?
            .filter_map(|item| {
                let path = item.ok()?.path();
                let name = path.file_name()?.to_str()?;
                (name.len() == 17 && name.bytes().all(|b| b.is_ascii_digit())).then_some(path)
            })
            .collect();
        names.sort();
        let mut index = Self { dir, shape, files: Vec::new(), durable: Timestamp::ZERO };
        for path in names {
            let short = std::fs::metadata(&path)?.len() < shape.file_len() as u64;
            let file = if short { None } else { Some(IndexFile::open(host, path.clone(), shape)?) };
            let unsure = file.as_ref().is_none_or(|file| trusted.is_some_and(|t| file.end_time() > t.0));
            if unsure {
                // What follows an unsure file would leave a gap behind it, so it is built anew as well.
                tracing::info!(file = %path.display(), "index file is rebuilt from the log");
                std::fs::remove_file(&path)?;
                for later in index.later_than(&path)? {
                    std::fs::remove_file(later)?;
                }
                break;
            }
            index.files.extend(file);
        }
        index.durable = index.files.last().map_or(Timestamp::ZERO, |file| Timestamp(file.end_time()));
        Ok(index)
    }

    fn later_than(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let all = std::fs::read_dir(&self.dir)?.filter_map(|item| Some(item.ok()?.path()));
        Ok(all.filter(|other| other.as_path() > path).collect())
    }

    /// The last message that is in the index, if any is.
    pub(crate) fn end(&self) -> Option<PhysicalOffset> {
        self.files.iter().rev().find(|file| file.count() > 1).map(IndexFile::end_offset)
    }

    pub(crate) fn durable(&self) -> Timestamp {
        self.durable
    }

    /// Adds one key of a message.
    ///
    /// # Errors
    /// If the next file cannot be made; the index stays as it was.
    pub(crate) fn put(
        &mut self,
        host: &dyn Host,
        hash: u32,
        physical: PhysicalOffset,
        stored: Timestamp,
    ) -> io::Result<()> {
        if self.files.last().is_none_or(IndexFile::is_full) {
            self.roll(host)?;
        }
        let file = self.files.last_mut().expect("roll made one");
        file.put(hash, physical, stored);
        Ok(())
    }

    fn roll(&mut self, host: &dyn Host) -> io::Result<()> {
        if let Some(full) = self.files.last() {
            full.map.flush()?;
            self.durable = Timestamp(full.end_time());
        }
        let now = OffsetDateTime::now_local().unwrap_or_else(|_| OffsetDateTime::now_utc());
        let path = loop_name(&self.dir, now, self.files.last().map(|file| file.path.as_path()));
        let mut file = IndexFile::open(host, path, self.shape)?;
        if let Some(full) = self.files.last() {
            let (time, offset) = (full.u64_at(8), full.u64_at(24));
            file.put_u64(0, time);
            file.put_u64(8, time);
            file.put_u64(16, offset);
            file.put_u64(24, offset);
        }
        self.files.push(file);
        Ok(())
    }

    /// Positions of up to `max` messages that may carry the key, ascending.
    pub(crate) fn find(
        &self,
        hash: u32,
        from: Timestamp,
        upto: Timestamp,
        max: usize,
    ) -> Vec<PhysicalOffset> {
        let mut found = Vec::new();
        for file in self.files.iter().rev() {
            if found.len() >= max {
                break;
            }
            if file.end_time() + 1000 < from.0 || file.begin_time() > upto.0 || file.count() <= 1 {
                continue;
            }
            file.find(hash, from, upto, &mut found, max);
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Deletes files that only know messages below `min`, but never the last one.
    pub(crate) fn delete_before(&mut self, min: PhysicalOffset) -> io::Result<()> {
        while self.files.len() > 1 && self.files[0].end_offset() < min {
            std::fs::remove_file(&self.files[0].path)?;
            self.files.remove(0);
        }
        Ok(())
    }

    /// Makes everything durable.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if let Some(last) = self.files.last() {
            last.map.flush()?;
            self.durable = Timestamp(last.end_time());
        }
        Ok(())
    }
}

/// A name of local wall time, `yyyyMMddHHmmssSSS`, that sorts behind the newest file whatever the clock did.
fn loop_name(dir: &Path, now: OffsetDateTime, newest: Option<&Path>) -> PathBuf {
    let (year, month, day) = now.to_calendar_date();
    let (hour, minute, second, milli) = now.to_hms_milli();
    let name: u64 =
        format!("{year:04}{:02}{day:02}{hour:02}{minute:02}{second:02}{milli:03}", u8::from(month))
            .parse()
            .expect("digits");
    let newest = newest.and_then(|path| path.file_name()?.to_str()?.parse::<u64>().ok()).unwrap_or(0);
    dir.join(format!("{:017}", name.max(newest + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::SystemHost;

    const SMALL: Shape = Shape { slots: 8, entries: 100 };

    #[test]
    fn keys_are_found_across_files_and_by_time() {
        let dir = tempfile::tempdir().unwrap();
        let mut index = Index::open(&SystemHost, dir.path().into(), SMALL, None).unwrap();
        let topic = TopicHash::new("T");
        for i in 0..250u64 {
            let hash = topic.of_key(&format!("k{}", i % 50));
            index
                .put(&SystemHost, hash, PhysicalOffset(i * 10), Timestamp(1_000_000 + i as i64 * 1000))
                .unwrap();
        }
        assert_eq!(index.files.len(), 3);
        let hash = topic.of_key("k7");
        let all: Vec<_> = index.find(hash, Timestamp(0), Timestamp(i64::MAX), 64);
        assert_eq!(all, [70, 570, 1070, 1570, 2070].map(PhysicalOffset));
        let some = index.find(hash, Timestamp(1_050_000), Timestamp(1_110_000), 64);
        assert_eq!(some, [570, 1070].map(PhysicalOffset));
        index.delete_before(PhysicalOffset(1200)).unwrap();
        assert_eq!(index.files.len(), 2);
        index.flush().unwrap();
        let again = Index::open(&SystemHost, dir.path().into(), SMALL, None).unwrap();
        assert_eq!(again.end(), Some(PhysicalOffset(2490)));
    }

    #[test]
    fn after_a_crash_unsure_files_are_built_anew() {
        let dir = tempfile::tempdir().unwrap();
        let mut index = Index::open(&SystemHost, dir.path().into(), SMALL, None).unwrap();
        for i in 0..150u64 {
            index.put(&SystemHost, i as u32, PhysicalOffset(i), Timestamp(1000 + i as i64)).unwrap();
        }
        let durable = index.durable();
        assert_eq!(durable, Timestamp(1098));
        drop(index);
        let index = Index::open(&SystemHost, dir.path().into(), SMALL, Some(durable)).unwrap();
        assert_eq!((index.files.len(), index.end()), (1, Some(PhysicalOffset(98))));
    }
}
