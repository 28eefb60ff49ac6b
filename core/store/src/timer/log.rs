//! The timer log: a unit for each message that was put into a slot, in that order, in files of one fixed size.
//!
//! ```text
//! timerlog/00000000000000000000            timerlog/00000000000104857600
//! | u0 | u1 | u2 | .. | blank |            | u7 | u8 | (zeros)
//!                       └ 16 bytes at least: length of the rest 4, zero 8, magic 4
//! ```
//! Always true:
//! * units are appended to a buffer, and readable once [`TimerLog::write_out`] has put them into a file;
//! * a file is allocated before anything is put into it, so that a full disk refuses a unit before any slot knows of it;
//! * units are in the order of their messages in the timer topic.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ferromq_model::PhysicalOffset;
use ferromq_model::record::MAGIC_BLANK;

use super::unit::{TimerPosition, UNIT_LEN, Unit};
use crate::host::Host;
use crate::log_file::{LogFile, sync_dir};

/// Bytes that each file keeps free for its blank.
const BLANK_LEN: usize = 16;
/// Bytes read at once when a chain of units is followed: its units mostly lie close together.
const WINDOW: usize = 64 << 10;
/// Units in memory that make an append write them out.
const BUFFERED: usize = 4096 * UNIT_LEN;

pub(super) struct TimerLog {
    dir: PathBuf,
    staging: PathBuf,
    file_len: u64,
    /// In order of their bases.
    files: VecDeque<Part>,
    /// Where the buffer's first byte belongs.
    written: u64,
    buffer: Vec<u8>,
    /// What was last read: where it starts, and the bytes.
    window: (u64, Vec<u8>),
}

struct Part {
    base: u64,
    file: File,
    path: PathBuf,
    unsynced: bool,
}

/// What stands at a position.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stands {
    Unit(Unit),
    /// The file's units end here.
    Blank,
    /// Nothing was written here, or not all of it.
    Nothing,
}

impl TimerLog {
    /// Opens what is there; `None` if that is no timer log. Nothing is made before the first unit.
    pub(super) fn open(dir: PathBuf, staging: PathBuf, file_len: u64) -> io::Result<Option<Self>> {
        // A crash may have left it half allocated.
        remove(&staging)?;
        let mut log = Self::none(dir, staging, file_len);
        let listing = match std::fs::read_dir(&log.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(log)),
            other => other?,
        };
        let mut found = Vec::new();
        for item in listing {
            let item = item?;
            let base = item.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
            found.push((base, item.path(), item.metadata()?.len()));
        }
        found.sort();
        // Its files have the size that they were made with, whatever the settings say today.
        log.file_len = found.first().map_or(file_len, |(_, _, len)| *len);
        for (base, path, len) in found {
            let follows = log.files.back().is_none_or(|last| base == Some(last.base + log.file_len));
            let Some(base) = base.filter(|_| follows && len == log.file_len && len >= Self::LEAST) else {
                return Ok(None);
            };
            let file = OpenOptions::new().read(true).write(true).open(&path)?;
            log.files.push_back(Part { base, file, path, unsynced: false });
        }
        Ok(Some(log))
    }

    /// One without files, whatever is in the directory.
    pub(super) fn none(dir: PathBuf, staging: PathBuf, file_len: u64) -> Self {
        let (files, window) = (VecDeque::new(), (0, Vec::new()));
        Self { dir, staging, file_len, files, written: 0, buffer: Vec::new(), window }
    }

    /// Bytes of the smallest file that holds a unit.
    const LEAST: u64 = (UNIT_LEN + BLANK_LEN) as u64;

    /// Deletes everything.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.buffer.clear();
        self.window.1.clear();
        self.files.clear();
        self.written = 0;
        match std::fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) fn file_len(&self) -> u64 {
        self.file_len
    }

    /// Where the first file starts.
    pub(super) fn start(&self) -> TimerPosition {
        TimerPosition(self.files.front().map_or(0, |file| file.base))
    }

    /// Where the next unit goes, unless the file ends before it.
    pub(super) fn end(&self) -> TimerPosition {
        TimerPosition(self.written + self.buffer.len() as u64)
    }

    /// Adds a unit; where it will lie. Nothing is changed if the disk has no room for it.
    pub(super) fn append(&mut self, host: &dyn Host, unit: &Unit) -> io::Result<TimerPosition> {
        let inside = match self.files.back() {
            Some(last) => self.end().0 - last.base,
            None => self.file_len,
        };
        let left = self.file_len - inside;
        if left < Self::LEAST || self.files.is_empty() {
            let end = self.files.back().map_or(self.written, |last| last.base + self.file_len);
            let next = self.make_file(host, end)?;
            let buffered = self.buffer.len();
            if left >= BLANK_LEN as u64 && !self.files.is_empty() {
                let mut blank = [0; BLANK_LEN];
                blank[0..4].copy_from_slice(&(left as u32).to_be_bytes());
                blank[12..16].copy_from_slice(&MAGIC_BLANK.to_be_bytes());
                self.buffer.extend_from_slice(&blank);
            }
            if let Err(error) = self.write_out() {
                self.buffer.truncate(buffered);
                let _ = remove(&next.path);
                return Err(error);
            }
            self.files.push_back(next);
            self.written = end;
        } else if self.buffer.len() >= BUFFERED {
            self.write_out()?;
        }
        let at = self.end();
        self.buffer.extend_from_slice(&unit.encode());
        Ok(at)
    }

    fn make_file(&self, host: &dyn Host, base: u64) -> io::Result<Part> {
        std::fs::create_dir_all(&self.dir)?;
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&self.staging)?;
        if let Err(error) = host.allocate(&file, self.file_len) {
            drop(file);
            let _ = remove(&self.staging);
            return Err(error);
        }
        let path = self.dir.join(LogFile::name(PhysicalOffset(base)));
        std::fs::rename(&self.staging, &path)?;
        sync_dir(&self.dir)?;
        Ok(Part { base, file, path, unsynced: false })
    }

    /// Puts the buffer into its file. After an error it is still there, to be tried again.
    pub(super) fn write_out(&mut self) -> io::Result<()> {
        if let (Some(last), false) = (self.files.back_mut(), self.buffer.is_empty()) {
            last.unsynced = true;
            last.file.write_all_at(&self.buffer, self.written - last.base)?;
            self.written += self.buffer.len() as u64;
            self.buffer.clear();
            self.window.1.clear();
        }
        Ok(())
    }

    /// Makes everything durable.
    pub(super) fn flush(&mut self, host: &dyn Host) -> io::Result<()> {
        self.write_out()?;
        for part in self.files.iter_mut().filter(|part| part.unsynced) {
            host.sync_data(&part.file)?;
            part.unsynced = false;
        }
        Ok(())
    }

    /// What stands at `at`, which was written out.
    pub(super) fn read(&mut self, at: TimerPosition) -> io::Result<Stands> {
        let Some(part) = self.files.iter().rfind(|part| part.base <= at.0) else {
            return Ok(Stands::Nothing);
        };
        let inside = at.0 - part.base;
        if inside + (BLANK_LEN as u64) > self.file_len {
            return Ok(Stands::Nothing);
        }
        let end = (inside + UNIT_LEN as u64).min(self.file_len);
        let (start, bytes) = &self.window;
        if at.0 < *start || part.base + end > start + bytes.len() as u64 {
            // Chains are followed backwards, recovery goes forwards: the window lies around.
            let from = inside.saturating_sub(WINDOW as u64 / 2);
            let upto = (inside + WINDOW as u64 / 2).min(self.file_len);
            let (start, bytes) = &mut self.window;
            bytes.resize((upto - from) as usize, 0);
            part.file.read_exact_at(bytes, from).inspect_err(|_| bytes.clear())?;
            *start = part.base + from;
        }
        let (start, bytes) = &self.window;
        let bytes = &bytes[(at.0 - start) as usize..];
        if bytes[12..16] == MAGIC_BLANK.to_be_bytes() {
            return Ok(Stands::Blank);
        }
        let unit = bytes.first_chunk::<UNIT_LEN>().filter(|_| end - inside == UNIT_LEN as u64);
        Ok(unit.and_then(Unit::decode).map_or(Stands::Nothing, Stands::Unit))
    }

    /// The position behind the unit or blank at `at`.
    pub(super) fn behind(&self, at: TimerPosition, stands: &Stands) -> Option<TimerPosition> {
        match stands {
            Stands::Unit(_) => Some(TimerPosition(at.0 + UNIT_LEN as u64)),
            Stands::Blank => {
                let part = self.files.iter().rfind(|part| part.base <= at.0)?;
                Some(TimerPosition(part.base + self.file_len))
            }
            Stands::Nothing => None,
        }
    }

    /// The unit before `at` in the log, whatever its slot.
    pub(super) fn unit_before(&mut self, at: TimerPosition) -> io::Result<Option<(TimerPosition, Unit)>> {
        let Some(part) = self.files.iter().rfind(|part| part.base < at.0) else { return Ok(None) };
        let inside = at.0 - part.base;
        // Behind a full file the unit is its last one: the blank takes less than another unit would.
        let units = (inside / UNIT_LEN as u64).min((self.file_len - BLANK_LEN as u64) / UNIT_LEN as u64);
        let Some(last) = units.checked_sub(1) else { return Ok(None) };
        let before = TimerPosition(part.base + last * UNIT_LEN as u64);
        match self.read(before)? {
            Stands::Unit(unit) => Ok(Some((before, unit))),
            Stands::Blank | Stands::Nothing => Ok(None),
        }
    }

    /// Cuts the log at `end`, with nothing but zeros behind it.
    pub(super) fn cut(&mut self, end: TimerPosition) -> io::Result<()> {
        while self.files.back().is_some_and(|last| last.base >= end.0 && last.base > self.start().0) {
            if let Some(last) = self.files.pop_back() {
                remove(&last.path)?;
            }
        }
        self.window.1.clear();
        if let Some(last) = self.files.back_mut() {
            let inside = end.0 - last.base;
            let zeros = vec![0; 1 << 20];
            let mut at = inside;
            while at < self.file_len {
                let step = (self.file_len - at).min(zeros.len() as u64);
                last.file.write_all_at(&zeros[..step as usize], at)?;
                at += step;
            }
            last.unsynced = true;
        }
        self.written = end.0;
        Ok(())
    }

    /// Lets the log end at `end`, behind which there is nothing.
    pub(super) fn end_at(&mut self, end: TimerPosition) {
        self.written = end.0;
    }

    /// Deletes files whose messages are all gone from the commit log, which starts at `log_start`.
    pub(super) fn delete_below(&mut self, log_start: PhysicalOffset) -> io::Result<()> {
        while self.files.len() > 1 {
            let second = TimerPosition(self.files[1].base);
            match self.unit_before(second)? {
                Some((_, unit)) if unit.physical < log_start => {}
                _ => return Ok(()),
            }
            if let Some(first) = self.files.pop_front() {
                remove(&first.path)?;
            }
        }
        Ok(())
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use ferromq_model::Timestamp;

    use super::super::unit::UnitKind;
    use super::*;
    use crate::host::SystemHost;

    /// Three units a file, and a blank of 44 bytes.
    const FILE_LEN: u64 = 200;

    fn open(dir: &Path) -> TimerLog {
        TimerLog::open(dir.join("timerlog"), dir.join("next-timer-log"), FILE_LEN).unwrap().unwrap()
    }

    fn unit(n: u64) -> Unit {
        Unit {
            before: None,
            kind: UnitKind(UnitKind::MESSAGE),
            enqueued: Timestamp(1_700_000_000_000),
            slot: Timestamp(1_700_000_005_000),
            physical: PhysicalOffset(n * 100),
            len: 100,
            topic_hash: 7,
        }
    }

    fn filled(dir: &Path, units: u64) -> (TimerLog, Vec<TimerPosition>) {
        let mut log = open(dir);
        let at = (0..units).map(|n| log.append(&SystemHost, &unit(n)).unwrap()).collect();
        log.write_out().unwrap();
        (log, at)
    }

    /// Units from the start on, as recovery reads them.
    fn units(log: &mut TimerLog) -> Vec<u64> {
        let (mut at, mut seen) = (log.start(), Vec::new());
        loop {
            let stands = log.read(at).unwrap();
            if let Stands::Unit(unit) = &stands {
                seen.push(unit.physical.0 / 100);
            }
            let Some(next) = log.behind(at, &stands) else { return seen };
            at = next;
        }
    }

    #[test]
    fn units_fill_files_and_a_blank_ends_each() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, at) = filled(dir.path(), 5);
        assert_eq!(at.iter().map(|at| at.0).collect::<Vec<_>>(), [0, 52, 104, 200, 252]);
        let first = std::fs::read(dir.path().join("timerlog/00000000000000000000")).unwrap();
        assert_eq!(first.len() as u64, FILE_LEN);
        assert_eq!(first[156..172], [0, 0, 0, 44, 0, 0, 0, 0, 0, 0, 0, 0, 0xCB, 0xD4, 0x31, 0x94]);
        assert!(first[172..].iter().all(|&b| b == 0));
        assert!(dir.path().join("timerlog/00000000000000000200").exists());
        assert_eq!(units(&mut log), [0, 1, 2, 3, 4]);
        assert_eq!(units(&mut open(dir.path())), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn the_log_is_read_backwards_across_files() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = filled(dir.path(), 5);
        let (mut at, mut seen) = (log.end(), Vec::new());
        while let Some((before, unit)) = log.unit_before(at).unwrap() {
            seen.push(unit.physical.0 / 100);
            at = before;
        }
        assert_eq!(seen, [4, 3, 2, 1, 0]);
    }

    #[test]
    fn a_cut_log_goes_on_where_it_was_cut() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, at) = filled(dir.path(), 5);
        log.cut(at[1]).unwrap();
        assert_eq!(units(&mut log), [0]);
        assert!(!dir.path().join("timerlog/00000000000000000200").exists());
        assert_eq!(log.append(&SystemHost, &unit(9)).unwrap(), at[1]);
        log.flush(&SystemHost).unwrap();
        assert_eq!(units(&mut open(dir.path())), [0, 9]);
    }

    #[test]
    fn files_go_with_the_messages_that_they_tell_of() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = filled(dir.path(), 7);
        log.delete_below(PhysicalOffset(200)).unwrap();
        assert_eq!(units(&mut log), [0, 1, 2, 3, 4, 5, 6], "unit 2 still has its message");
        log.delete_below(PhysicalOffset(201)).unwrap();
        assert_eq!(units(&mut log), [3, 4, 5, 6]);
        log.delete_below(PhysicalOffset(u64::MAX)).unwrap();
        assert_eq!(units(&mut log), [6], "the last file stays");
        assert_eq!(units(&mut open(dir.path())), [6]);
    }

    #[test]
    fn a_directory_with_other_files_is_no_timer_log() {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path(), 5);
        let again =
            || TimerLog::open(dir.path().join("timerlog"), dir.path().join("next"), FILE_LEN).unwrap();
        assert!(again().is_some());
        std::fs::write(dir.path().join("timerlog/00000000000000000400"), [0; 10]).unwrap();
        assert!(again().is_none(), "a file of another length");
        std::fs::remove_file(dir.path().join("timerlog/00000000000000000400")).unwrap();
        std::fs::remove_file(dir.path().join("timerlog/00000000000000000000")).unwrap();
        assert!(again().is_some(), "old files are deleted");
        std::fs::write(dir.path().join("timerlog/notes"), [0; 200]).unwrap();
        assert!(again().is_none());
    }
}
