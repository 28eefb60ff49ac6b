//! The checkpoint: up to which time everything is known to be on disk, so that recovery need not read the whole log.
//!
//! ```text
//! 0 log 8 | 8 queues 8 | 16 index 8 | 24 master flushed offset 8 | 32 confirm offset 8 | 40 our seal 8 | zeros to 4096
//! ```
//! The first three are store times: everything stored at or before them is durable. It is written after the data that
//! it speaks of, never before; zeros are always safe.
//!
//! The seal is a checksum of the rest. RocketMQ keeps the file's length, does not look behind the fifth number, and
//! changes the others while it runs: so a seal that does not fit says that another broker used the store since.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use ferromq_model::record::checksum;
use ferromq_model::{Millis, PhysicalOffset, Timestamp};

const FILE_LEN: u64 = 4096;
const TIMES_LEN: usize = 40;
/// Tells a sealed checkpoint from zeros: `FMQ1`.
const SEAL_MAGIC: u32 = 0x464D_5131;
/// How far recovery goes back behind the checkpoint (RocketMQ's value): records of one millisecond may have been
/// flushed in part.
const MARGIN: Millis = Millis(3000);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) log: Timestamp,
    pub(crate) queues: Timestamp,
    pub(crate) index: Timestamp,
    pub(crate) master_flushed: u64,
    pub(crate) confirm: PhysicalOffset,
}

impl Times {
    /// The time from which on recovery trusts nothing.
    pub(crate) fn trusted(&self) -> Timestamp {
        Timestamp(self.log.min(self.queues).minus(MARGIN).0.max(0))
    }

    /// The times without those later than `newest`: no record can have been stored then.
    pub(crate) fn not_after(self, newest: Timestamp) -> Self {
        let sane = |time: Timestamp| if time > newest { Timestamp::ZERO } else { time };
        Self { log: sane(self.log), queues: sane(self.queues), index: sane(self.index), ..self }
    }

    fn encode(&self) -> [u8; TIMES_LEN] {
        let Self { log, queues, index, master_flushed, confirm } = *self;
        let mut bytes = [0u8; TIMES_LEN];
        for (i, field) in
            [log.0, queues.0, index.0, master_flushed as i64, confirm.0 as i64].into_iter().enumerate()
        {
            bytes[i * 8..i * 8 + 8].copy_from_slice(&field.to_be_bytes());
        }
        bytes
    }
}

pub(crate) struct Checkpoint {
    file: File,
    pub(crate) times: Times,
    is_ours: bool,
}

impl Checkpoint {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        if file.metadata()?.len() < FILE_LEN {
            file.set_len(FILE_LEN)?;
        }
        let mut bytes = [0u8; TIMES_LEN + 8];
        file.read_exact_at(&mut bytes, 0)?;
        let field = |i: usize| {
            let bytes: [u8; 8] = bytes[i * 8..i * 8 + 8].try_into().expect("eight bytes");
            // A negative number is nobody's time; zero is the safe reading.
            i64::from_be_bytes(bytes).max(0)
        };
        let times = Times {
            log: Timestamp(field(0)),
            queues: Timestamp(field(1)),
            index: Timestamp(field(2)),
            master_flushed: field(3) as u64,
            confirm: PhysicalOffset(field(4) as u64),
        };
        let is_ours = bytes[TIMES_LEN..] == seal(&bytes[..TIMES_LEN]);
        Ok(Self { file, times, is_ours })
    }

    /// Whether no other broker used the store since the checkpoint was written.
    pub(crate) fn is_ours(&self) -> bool {
        self.is_ours
    }

    pub(crate) fn write(&self) -> io::Result<()> {
        let times = self.times.encode();
        let mut bytes = [0u8; TIMES_LEN + 8];
        bytes[..TIMES_LEN].copy_from_slice(&times);
        bytes[TIMES_LEN..].copy_from_slice(&seal(&times));
        self.file.write_all_at(&bytes, 0)?;
        self.file.sync_data()
    }
}

fn seal(times: &[u8]) -> [u8; 8] {
    let mut seal = [0; 8];
    seal[..4].copy_from_slice(&SEAL_MAGIC.to_be_bytes());
    seal[4..].copy_from_slice(&checksum(times).to_be_bytes());
    seal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_back_and_a_missing_file_trusts_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint");
        let mut checkpoint = Checkpoint::open(&path).unwrap();
        assert_eq!(checkpoint.times.trusted(), Timestamp::ZERO);
        checkpoint.times.log = Timestamp(10_000);
        checkpoint.times.queues = Timestamp(9_000);
        checkpoint.write().unwrap();
        let again = Checkpoint::open(&path).unwrap();
        assert_eq!((again.times, again.times.trusted()), (checkpoint.times, Timestamp(6_000)));
        assert_eq!(std::fs::metadata(path).unwrap().len(), FILE_LEN);
    }

    #[test]
    fn a_checkpoint_that_another_broker_wrote_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint");
        let mut checkpoint = Checkpoint::open(&path).unwrap();
        assert!(!checkpoint.is_ours());
        checkpoint.times.log = Timestamp(10_000);
        checkpoint.write().unwrap();
        assert!(Checkpoint::open(&path).unwrap().is_ours());
        checkpoint.file.write_all_at(&20_000i64.to_be_bytes(), 0).unwrap();
        assert!(!Checkpoint::open(&path).unwrap().is_ours());
    }

    #[test]
    fn times_that_lie_in_the_future_are_not_trusted() {
        let times = Times { log: Timestamp(5000), queues: Timestamp(9000), ..Times::default() };
        assert_eq!(times.not_after(Timestamp(8000)).trusted(), Timestamp(0));
        assert_eq!(times.not_after(Timestamp(9000)).trusted(), Timestamp(2000));
    }
}
