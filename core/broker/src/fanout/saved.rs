//! The list of topic filters whose light queues the broker made: what says, after a crash, which queues go on being filled
//! and which may be deleted.
//!
//! ```text
//! ferromq-filters 1\n
//! | '+' | length, 2 bytes | filter | CRC-32 of what stands before, 4 bytes |     there from here on
//! | '-' | ...                                                              |     gone
//! ```
//! Always true:
//! * a filter is in the file before its queue gets a message, and until the queue is deleted, so a killed process leaves
//!   both. The machine may forget what was not synced, and keep a queue that nobody knows of: that costs space, never
//!   messages, because who subscribes is known elsewhere;
//! * what cannot be read ends the list, and is written over.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use ferromq_model::record::checksum;

const NAME: &str = "filterQueues";
const FIRST_LINE: &[u8] = b"ferromq-filters 1\n";
const ADDED: u8 = b'+';
const REMOVED: u8 = b'-';
/// Entries that are no news any more before the file is written anew, beside as many as there are filters.
const MOST_STALE: usize = 4096;

/// The list's file.
#[derive(Debug)]
pub(super) struct Saved {
    path: PathBuf,
    /// `None` until there is something to write.
    file: Option<File>,
    /// Where the next entry starts.
    end: u64,
    entries: usize,
    synced: bool,
}

impl Saved {
    /// Reads the list that `dir` has.
    pub(super) fn open(dir: &Path) -> io::Result<(Self, HashSet<String>)> {
        let path = dir.join(NAME);
        let mut saved = Self { path, file: None, end: 0, entries: 0, synced: true };
        let bytes = match std::fs::read(&saved.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((saved, HashSet::new())),
            Err(error) => return Err(error),
        };
        let (filters, entries, end) = read(&bytes);
        if end < bytes.len() {
            let file = saved.path.display();
            tracing::warn!(%file, at = end, "the list of topic filters is broken from here on");
        }
        saved.file = Some(File::options().write(true).open(&saved.path)?);
        saved.end = end as u64;
        saved.entries = entries;
        Ok((saved, filters))
    }

    /// Notes that a filter is there.
    pub(super) fn add(&mut self, filter: &str) -> io::Result<()> {
        self.append(&[(ADDED, filter)])
    }

    /// Notes that filters are gone.
    pub(super) fn remove<'a>(&mut self, filters: impl Iterator<Item = &'a str>) -> io::Result<()> {
        let gone: Vec<_> = filters.map(|filter| (REMOVED, filter)).collect();
        self.append(&gone)
    }

    fn append(&mut self, entries: &[(u8, &str)]) -> io::Result<()> {
        let mut bytes = Vec::new();
        if self.end == 0 {
            bytes.extend_from_slice(FIRST_LINE);
        }
        entries.iter().for_each(|(mark, filter)| encode(&mut bytes, *mark, filter));
        if self.file.is_none() {
            self.file = Some(File::options().write(true).create(true).truncate(true).open(&self.path)?);
        }
        // At a place of its own: what an error leaves behind it is written over.
        self.file.iter().try_for_each(|file| file.write_all_at(&bytes, self.end))?;
        self.end += bytes.len() as u64;
        self.entries += entries.len();
        self.synced = false;
        Ok(())
    }

    /// Makes the list durable. It is written anew, with `filters` alone, if much in it is no news any more.
    pub(super) fn sync<'a>(
        &mut self,
        count: usize,
        filters: impl Iterator<Item = &'a str>,
    ) -> io::Result<()> {
        let Some(file) = self.file.as_ref().filter(|_| !self.synced) else { return Ok(()) };
        if self.entries <= 2 * count + MOST_STALE {
            file.sync_data()?;
            self.synced = true;
            return Ok(());
        }
        let fresh = self.path.with_extension("new");
        let mut bytes = FIRST_LINE.to_vec();
        filters.for_each(|filter| encode(&mut bytes, ADDED, filter));
        let file = File::create(&fresh)?;
        file.write_all_at(&bytes, 0)?;
        file.sync_all()?;
        std::fs::rename(&fresh, &self.path)?;
        *self = Self {
            path: std::mem::take(&mut self.path),
            file: Some(file),
            end: bytes.len() as u64,
            entries: count,
            synced: true,
        };
        self.path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    }
}

fn encode(bytes: &mut Vec<u8>, mark: u8, filter: &str) {
    let start = bytes.len();
    bytes.push(mark);
    bytes.extend_from_slice(&(filter.len() as u16).to_be_bytes());
    bytes.extend_from_slice(filter.as_bytes());
    let sum = checksum(&bytes[start..]);
    bytes.extend_from_slice(&sum.to_be_bytes());
}

/// The filters that there are, how many entries say so, and where they end.
fn read(bytes: &[u8]) -> (HashSet<String>, usize, usize) {
    let mut filters = HashSet::new();
    let Some(mut rest) = bytes.strip_prefix(FIRST_LINE) else { return (filters, 0, 0) };
    let mut entries = 0;
    while let Some((mark, filter, behind)) = read_one(rest) {
        if mark == ADDED {
            filters.insert(filter.to_owned());
        } else {
            filters.remove(filter);
        }
        entries += 1;
        rest = behind;
    }
    (filters, entries, bytes.len() - rest.len())
}

fn read_one(bytes: &[u8]) -> Option<(u8, &str, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<3>()?;
    let len = usize::from(u16::from_be_bytes([head[1], head[2]]));
    let (filter, rest) = rest.split_at_checked(len)?;
    let (sum, behind) = rest.split_first_chunk::<4>()?;
    let whole = checksum(&bytes[..3 + len]) == u32::from_be_bytes(*sum);
    let known = head[0] == ADDED || head[0] == REMOVED;
    let filter = std::str::from_utf8(filter).ok().filter(|_| whole && known)?;
    Some((head[0], filter, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(dir: &Path) -> Vec<String> {
        let mut filters: Vec<_> = Saved::open(dir).unwrap().1.into_iter().collect();
        filters.sort();
        filters
    }

    #[test]
    fn a_list_is_read_back_however_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        assert!(listed(dir.path()).is_empty());
        let (mut saved, _) = Saved::open(dir.path()).unwrap();
        assert!(!dir.path().join(NAME).exists(), "who has no filter has no file");
        for filter in ["a/b", "#", "ü\n+", &"x".repeat(65_535)] {
            saved.add(filter).unwrap();
        }
        saved.remove(["#"].into_iter()).unwrap();
        let all = ["a/b".to_owned(), "x".repeat(65_535), "ü\n+".to_owned()];
        assert_eq!(listed(dir.path()), all);
        let bytes = std::fs::read(dir.path().join(NAME)).unwrap();
        let second = FIRST_LINE.len() + 10;
        for (cut, expected) in [(0, &[][..]), (5, &[]), (second, &["a/b"]), (second + 7, &["a/b"])] {
            std::fs::write(dir.path().join(NAME), &bytes[..cut]).unwrap();
            assert_eq!(listed(dir.path()), expected, "cut at {cut}");
            let (mut saved, _) = Saved::open(dir.path()).unwrap();
            saved.add("new").unwrap();
            assert!(listed(dir.path()).contains(&"new".to_owned()), "cut at {cut}");
        }
        let mut broken = bytes;
        broken[second + 1] ^= 1;
        std::fs::write(dir.path().join(NAME), &broken).unwrap();
        assert_eq!(listed(dir.path()), ["a/b"]);
    }

    #[test]
    fn filters_that_come_and_go_do_not_fill_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let (mut saved, _) = Saved::open(dir.path()).unwrap();
        saved.add("stays").unwrap();
        for i in 0..3 * MOST_STALE {
            let filter = format!("reply/{i}");
            saved.add(&filter).unwrap();
            saved.remove([&*filter].into_iter()).unwrap();
            if i % 100 == 0 {
                saved.sync(1, ["stays"].into_iter()).unwrap();
            }
        }
        let len = std::fs::metadata(dir.path().join(NAME)).unwrap().len();
        assert!(len < 2 * 20 * MOST_STALE as u64, "{len}");
        saved.add("too").unwrap();
        assert_eq!(listed(dir.path()), ["stays", "too"]);
    }
}
