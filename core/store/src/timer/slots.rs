//! The timing wheel: which unit of the timer log is the newest of each slot.
//!
//! ```text
//! timerwheel   | slot 0 | slot 1 | …        1 209 600 slots of 32 bytes, whatever the precision
//! slot         0 unit number = time / precision 8 | 8 first unit 8 | 16 last unit 8 | 24 messages 4 | 28 zero 4
//! ```
//! A slot is found by its unit number modulo the slots; one that names another unit number is empty.
//!
//! Always true:
//! * the file is written by [`Slots::flush`] only, and whoever calls that has made the timer log durable before: no slot
//!   in the file points to a unit that a power cut can take;
//! * what changed since is in memory, and read from there first.
//!
//! The file is read slot by slot and not mapped: what the kernel caches of it is not our memory, a full disk is an error
//! and no signal, and nothing reaches the disk before its time. A slot that changes is read once between two flushes.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ferromq_model::{Millis, Timestamp};
use foldhash::fast::RandomState;

use super::unit::TimerPosition;
use crate::host::Host;

/// Slots: twice what the wheel reaches ahead.
pub(super) const SLOTS: u64 = 2 * REACH;
/// Precision units that the wheel reaches ahead, and behind.
pub(super) const REACH: u64 = 7 * 86_400;
const SLOT_LEN: usize = 32;
const FILE_LEN: u64 = SLOTS * SLOT_LEN as u64;
/// Slots read at once when many are looked at.
const RUN: u64 = 2048;

/// A slot that has units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// Its oldest unit.
    pub(super) first: TimerPosition,
    /// Its newest.
    pub(super) last: TimerPosition,
    /// Messages in it, less those taken back.
    pub(super) count: i32,
}

#[derive(Debug)]
pub(super) struct Slots {
    path: PathBuf,
    precision: i64,
    /// `None` until a slot is first written out.
    file: Option<File>,
    /// By index, with the unit number: what is not in the file yet.
    changed: HashMap<u64, (i64, Slot), RandomState>,
}

/// How the file was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// As it must be.
    Whole,
    /// Not there, or empty.
    Nothing,
    /// Of another length: nobody's wheel.
    Foreign,
}

impl Slots {
    pub(super) fn open(path: PathBuf, precision: Millis) -> io::Result<(Self, Found)> {
        let mut slots = Self { path, precision: precision.0 as i64, file: None, changed: HashMap::default() };
        let file = match OpenOptions::new().read(true).write(true).open(&slots.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((slots, Found::Nothing)),
            other => other?,
        };
        match file.metadata()?.len() {
            0 => Ok((slots, Found::Nothing)),
            FILE_LEN => {
                slots.file = Some(file);
                Ok((slots, Found::Whole))
            }
            _ => Ok((slots, Found::Foreign)),
        }
    }

    /// Forgets all slots.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.changed.clear();
        self.file = None;
        remove(&self.path)
    }

    fn number(&self, time: Timestamp) -> i64 {
        time.0.div_euclid(self.precision)
    }

    fn index(number: i64) -> u64 {
        number.rem_euclid(SLOTS as i64) as u64
    }

    /// The slot of `time`, if it has units.
    pub(super) fn find(&self, time: Timestamp) -> io::Result<Option<Slot>> {
        let number = self.number(time);
        let index = Self::index(number);
        if let Some((changed, slot)) = self.changed.get(&index) {
            return Ok((*changed == number).then_some(*slot));
        }
        let Some(file) = &self.file else { return Ok(None) };
        let mut bytes = [0; SLOT_LEN];
        file.read_exact_at(&mut bytes, index * SLOT_LEN as u64)?;
        let (stored, slot) = decode(&bytes);
        Ok(slot.filter(|_| stored == number))
    }

    /// Sets the slot of `time`, in memory for now.
    pub(super) fn put(&mut self, time: Timestamp, slot: Slot) {
        let number = self.number(time);
        self.changed.insert(Self::index(number), (number, slot));
    }

    /// Slots that are in memory only.
    pub(super) fn changed(&self) -> usize {
        self.changed.len()
    }

    /// The first slot in `from..upto` that has units.
    pub(super) fn next_used(
        &self,
        from: Timestamp,
        upto: Timestamp,
    ) -> io::Result<Option<(Timestamp, Slot)>> {
        let mut found = None;
        self.each_used(from, upto, |time, slot| {
            found = Some((time, slot));
            false
        })?;
        Ok(found)
    }

    /// Calls `look` for each slot in `from..upto` that has units, in order, until it says no.
    pub(super) fn each_used(
        &self,
        from: Timestamp,
        upto: Timestamp,
        mut look: impl FnMut(Timestamp, Slot) -> bool,
    ) -> io::Result<()> {
        let (mut number, end) = (self.number(from), self.number(upto));
        let end = end.min(number.saturating_add(SLOTS as i64));
        if self.file.is_none() && self.changed.is_empty() {
            return Ok(());
        }
        let mut bytes = vec![0; SLOT_LEN * RUN.min((end - number).max(0) as u64) as usize];
        while number < end {
            let index = Self::index(number);
            let run = RUN.min((end - number) as u64).min(SLOTS - index);
            let bytes = &mut bytes[..run as usize * SLOT_LEN];
            if let Some(file) = &self.file {
                file.read_exact_at(bytes, index * SLOT_LEN as u64)?;
            }
            for (i, bytes) in bytes.as_chunks::<SLOT_LEN>().0.iter().enumerate() {
                let at = number + i as i64;
                let (stored, slot) = match self.changed.get(&(index + i as u64)) {
                    Some((stored, slot)) => (*stored, Some(*slot)),
                    None => decode(bytes),
                };
                if let Some(slot) = slot.filter(|_| stored == at)
                    && !look(Timestamp(at * self.precision), slot)
                {
                    return Ok(());
                }
            }
            number += run as i64;
        }
        Ok(())
    }

    /// Writes out what changed, and makes it durable. The units that slots point to must be durable already.
    pub(super) fn flush(&mut self, host: &dyn Host) -> io::Result<()> {
        if self.changed.is_empty() {
            return Ok(());
        }
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(create(&self.path, host)?),
        };
        let mut changed: Vec<_> = self.changed.iter().map(|(index, slot)| (*index, *slot)).collect();
        changed.sort_unstable_by_key(|(index, _)| *index);
        // Neighbours are written together.
        for run in changed.chunk_by(|(before, _), (index, _)| *index == before + 1) {
            let bytes: Vec<u8> = run.iter().flat_map(|(_, (number, slot))| encode(*number, *slot)).collect();
            file.write_all_at(&bytes, run[0].0 * SLOT_LEN as u64)?;
        }
        host.sync_data(file)?;
        self.changed.clear();
        self.changed.shrink_to(4096);
        Ok(())
    }
}

/// Allocated in full: a wheel of another length keeps the reference broker from starting.
fn create(path: &Path, host: &dyn Host) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    if let Err(error) = host.allocate(&file, FILE_LEN) {
        drop(file);
        let _ = remove(path);
        return Err(error);
    }
    Ok(file)
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn encode(number: i64, slot: Slot) -> [u8; SLOT_LEN] {
    let mut bytes = [0; SLOT_LEN];
    bytes[0..8].copy_from_slice(&number.to_be_bytes());
    bytes[8..16].copy_from_slice(&slot.first.0.to_be_bytes());
    bytes[16..24].copy_from_slice(&slot.last.0.to_be_bytes());
    bytes[24..28].copy_from_slice(&slot.count.to_be_bytes());
    bytes
}

/// The unit number, and the slot if it has units.
fn decode(bytes: &[u8; SLOT_LEN]) -> (i64, Option<Slot>) {
    let long = |at: usize| i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let count = i32::from_be_bytes(bytes[24..28].try_into().expect("four bytes"));
    let position = |at: usize| u64::try_from(long(at)).ok().map(TimerPosition);
    let slot = position(16).map(|last| Slot { first: position(8).unwrap_or(last), last, count });
    // A fresh file is all zeros: the slot of the epoch is nobody's.
    (long(0), slot.filter(|_| long(0) != 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::SystemHost;

    fn slot(last: u64) -> Slot {
        Slot { first: TimerPosition(52), last: TimerPosition(last), count: 3 }
    }

    #[test]
    fn the_file_has_the_references_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("timerwheel");
        let (mut slots, found) = Slots::open(path.clone(), Millis::secs(1)).unwrap();
        assert_eq!(found, Found::Nothing);
        slots.put(Timestamp(1_700_000_005_000), slot(104));
        assert!(!path.exists(), "a broker without timers needs no wheel");
        slots.flush(&SystemHost).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 38_707_200);
        let at = (1_700_000_005 % 1_209_600) * 32;
        let expected = "000000006553f105000000000000003400000000000000680000000300000000";
        let written: String = bytes[at..at + 32].iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(written, expected);
        assert!(bytes[..at].iter().chain(&bytes[at + 32..]).all(|&b| b == 0));
        assert_eq!(Slots::open(path.clone(), Millis::secs(1)).unwrap().1, Found::Whole);
        std::fs::write(&path, [0; 31]).unwrap();
        assert_eq!(Slots::open(path, Millis::secs(1)).unwrap().1, Found::Foreign);
    }

    #[test]
    fn a_slot_of_another_turn_of_the_wheel_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("timerwheel");
        let (mut slots, _) = Slots::open(path.clone(), Millis(200)).unwrap();
        let time = Timestamp(1_700_000_005_200);
        slots.put(time, slot(104));
        for _ in 0..2 {
            assert_eq!(slots.find(time).unwrap(), Some(slot(104)));
            assert_eq!(slots.find(Timestamp(time.0 + 199)).unwrap(), Some(slot(104)), "one unit");
            assert_eq!(slots.find(Timestamp(time.0 + 200)).unwrap(), None);
            assert_eq!(slots.find(Timestamp(time.0 + 200 * SLOTS as i64)).unwrap(), None);
            slots.flush(&SystemHost).unwrap();
            slots = Slots::open(path.clone(), Millis(200)).unwrap().0;
        }
    }

    #[test]
    fn used_slots_are_found_in_order_across_the_files_end_and_before_they_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let (mut slots, _) = Slots::open(dir.path().join("timerwheel"), Millis::secs(1)).unwrap();
        let turn = SLOTS as i64 * 1000;
        let times = [turn - 9_000, turn + 1000, turn + 5_000_000].map(Timestamp);
        assert_eq!(slots.next_used(Timestamp(0), Timestamp(turn)).unwrap(), None);
        for (i, time) in times.into_iter().enumerate() {
            slots.put(time, slot(i as u64));
            if i == 1 {
                slots.flush(&SystemHost).unwrap();
            }
        }
        let mut seen = Vec::new();
        let range = (Timestamp(turn - 20_000), Timestamp(2 * turn - 20_000));
        slots
            .each_used(range.0, range.1, |time, _| {
                seen.push(time);
                true
            })
            .unwrap();
        assert_eq!(seen, times);
        assert_eq!(slots.next_used(Timestamp(turn), range.1).unwrap().unwrap().0, times[1]);
        assert_eq!(slots.next_used(range.0, times[0]).unwrap(), None, "the end is not among them");
    }
}
