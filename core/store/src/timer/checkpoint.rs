//! `config/timercheck`: up to where the timers' files are durable and messages are delivered.
//!
//! ```text
//! 0 slots read up to 8 | 8 timer log 8 | 16 queue 8 | 24 master's queue 8
//! 32 version: state 8 | 40 time 8 | 48 counter 8
//! 56 log position 8 | 64 precision 4 | 68 our magic 4 | 72 checksum of all before 4 | zeros to 4096
//! ```
//! RocketMQ looks at the first 56 bytes only, and changes them while it runs: so a checksum that does not fit says that
//! another broker used the store since. What follows them is ours: where in the commit log copies of messages may lie
//! that were delivered after this was written.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use ferromq_model::record::checksum;
use ferromq_model::topic::DataVersion;
use ferromq_model::{Millis, PhysicalOffset, QueueOffset, Timestamp};

use super::unit::TimerPosition;

/// Bytes of the part that the reference knows, which is also what it exchanges.
pub const TIMER_CHECK_LEN: usize = 56;
const FILE_LEN: u64 = 4096;
const SEALED_LEN: usize = 76;
/// `FMQT`.
const SEAL_MAGIC: u32 = 0x464D_5154;

/// How far timers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimerCheck {
    /// All slots before this one are delivered.
    pub read: Timestamp,
    /// The timer log is durable up to here, and the wheel knows of it.
    pub log: TimerPosition,
    /// All messages of the timer topic before this one are in the wheel, or delivered.
    pub queue: QueueOffset,
    /// The same on the broker that delivers.
    pub master_queue: QueueOffset,
    /// Moves when the others do.
    pub version: DataVersion,
    /// What is delivered and not covered by the others lies in the commit log from here on; `None` if that is not known.
    pub copies_from: Option<PhysicalOffset>,
    /// The precision that the wheel was written with, if it is known.
    pub precision: Option<Millis>,
}

impl TimerCheck {
    /// The part that brokers exchange.
    #[must_use]
    pub fn encode(&self) -> [u8; TIMER_CHECK_LEN] {
        let mut bytes = [0; TIMER_CHECK_LEN];
        let DataVersion { state_version, timestamp, counter } = self.version;
        let fields = [
            self.read.0,
            self.log.0 as i64,
            self.queue.0 as i64,
            self.master_queue.0 as i64,
            state_version,
            timestamp.0,
            counter,
        ];
        for (bytes, field) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(fields) {
            *bytes = field.to_be_bytes();
        }
        bytes
    }

    /// What a file says; `None` if it says nothing.
    pub(super) fn read(path: &Path) -> io::Result<Option<Self>> {
        let bytes = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let Some(bytes) = bytes.first_chunk::<SEALED_LEN>() else { return Ok(None) };
        let long = |i: usize| i64::from_be_bytes(bytes[i * 8..i * 8 + 8].try_into().expect("eight bytes"));
        let int = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        // A negative number is nobody's; zero is the safe reading.
        let offset = |i: usize| long(i).max(0) as u64;
        let sealed = int(68) == SEAL_MAGIC && int(72) == checksum(&bytes[..72]);
        let check = Self {
            read: Timestamp(long(0).max(0)),
            log: TimerPosition(offset(1)),
            queue: QueueOffset(offset(2)),
            master_queue: QueueOffset(offset(3)),
            version: DataVersion { state_version: long(4), timestamp: Timestamp(long(5)), counter: long(6) },
            copies_from: sealed.then_some(PhysicalOffset(offset(7))),
            precision: sealed.then(|| Millis(u64::from(int(64)))),
        };
        Ok((check.read > Timestamp::ZERO).then_some(check))
    }

    /// Makes the file say this.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        let is_new = file.metadata()?.len() < FILE_LEN;
        if is_new {
            file.set_len(FILE_LEN)?;
        }
        let mut bytes = [0; SEALED_LEN];
        bytes[..TIMER_CHECK_LEN].copy_from_slice(&self.encode());
        let copies_from = self.copies_from.unwrap_or_default();
        bytes[56..64].copy_from_slice(&copies_from.0.to_be_bytes());
        bytes[64..68].copy_from_slice(&(self.precision.unwrap_or_default().0 as u32).to_be_bytes());
        bytes[68..72].copy_from_slice(&SEAL_MAGIC.to_be_bytes());
        let seal = checksum(&bytes[..72]);
        bytes[72..76].copy_from_slice(&seal.to_be_bytes());
        file.write_all_at(&bytes, 0)?;
        file.sync_data()?;
        match path.parent() {
            Some(dir) if is_new => File::open(dir)?.sync_all(),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check() -> TimerCheck {
        TimerCheck {
            read: Timestamp(1_700_000_000_000),
            log: TimerPosition(104),
            queue: QueueOffset(2),
            master_queue: QueueOffset(3),
            version: DataVersion { state_version: 0, timestamp: Timestamp(5), counter: 6 },
            copies_from: Some(PhysicalOffset(7)),
            precision: Some(Millis(200)),
        }
    }

    #[test]
    fn the_part_that_brokers_exchange_has_the_references_bytes() {
        let hex: String = check().encode().iter().map(|b| format!("{b:02x}")).collect();
        let expected = "0000018bcfe56800000000000000006800000000000000020000000000000003000000000000000000000000000000050000000000000006";
        assert_eq!(hex, expected);
    }

    #[test]
    fn a_check_that_another_broker_wrote_says_nothing_of_copies() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("timercheck");
        assert_eq!(TimerCheck::read(&path).unwrap(), None);
        check().write(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 4096);
        assert_eq!(TimerCheck::read(&path).unwrap(), Some(check()));
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&9i64.to_be_bytes(), 16).unwrap();
        let expected = TimerCheck { queue: QueueOffset(9), copies_from: None, precision: None, ..check() };
        assert_eq!(TimerCheck::read(&path).unwrap(), Some(expected));
        file.write_all_at(&[0; 76], 0).unwrap();
        assert_eq!(TimerCheck::read(&path).unwrap(), None, "a fresh file of the reference");
    }
}
