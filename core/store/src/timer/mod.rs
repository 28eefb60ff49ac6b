//! Timers on disk: messages of the timer topic, sorted by when they are due. The files are RocketMQ's, byte for byte, so
//! that either broker goes on with what the other left.
//!
//! ```text
//! timerwheel           slot ─▶ its newest unit
//! timerlog/            unit ─▶ the message in the commit log, and the unit before it in the same slot
//! config/timercheck    up to where all of that is durable, and delivered
//! ```
//! Always true:
//! * the commit log is the truth: a timer that is lost from these files is still in the timer topic, and all of them are
//!   made anew from there (`recovery`) when they do not fit each other;
//! * the order of a save is commit log, timer log, wheel, check: each speaks of the ones before it only;
//! * one slot is as long as the precision, and one precision unit behind its time all of its messages are due.
//!
//! What is put into which slot, and what is delivered, the broker decides. Where a change belongs: `unit` and `log` are
//! the timer log, `slots` is the wheel, `checkpoint` the check.

mod checkpoint;
mod log;
mod recovery;
mod slots;
mod unit;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ferromq_model::{ByteSize, Millis, PhysicalOffset, QueueOffset, Timestamp};

pub use checkpoint::{TIMER_CHECK_LEN, TimerCheck};
pub use recovery::Recovered;
pub use unit::{TimerPosition, Unit, UnitKind};

use crate::host::Host;
use crate::store::Store;
use log::{Stands, TimerLog};
use slots::{Slot, Slots};

/// Precision units that the wheel reaches ahead.
pub const TIMER_REACH: u64 = slots::REACH;
/// Slots that may have changed since the last save: from then on [`TimerFiles::wants_save`].
const MAX_CHANGED: usize = 65_536;

/// How timers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerShape {
    /// How long a slot is. Another one than the files were made with has them made anew.
    pub precision: Millis,
    /// Bytes of a new timer log's files.
    pub log_file_size: ByteSize,
}

/// How far timers are, by those who put them in and take them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerProgress {
    /// All slots before this one are delivered.
    pub read: Timestamp,
    /// All messages of the timer topic before this one are in a slot, or delivered.
    pub queue: QueueOffset,
    /// What is delivered beyond that lies in the commit log from here on.
    pub copies_from: PhysicalOffset,
}

/// The timers' files. One thread works with them.
pub struct TimerFiles {
    host: Arc<dyn Host>,
    shape: TimerShape,
    slots: Slots,
    log: TimerLog,
    check_path: PathBuf,
    check: TimerCheck,
}

impl TimerFiles {
    /// Opens the timers of `store`, recovering what a crash left, or another broker.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn open(store: &Store, shape: TimerShape) -> io::Result<(Self, Recovered)> {
        recovery::open(store, shape)
    }

    /// As [`TimerFiles::open`], but from the timer topic alone: for files that turned out not to fit.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn make_anew(store: &Store, shape: TimerShape) -> io::Result<(Self, Recovered)> {
        recovery::make_anew(store, shape)
    }

    /// Puts a message into `unit.slot`. Its `before` is found here. Readable after [`TimerFiles::write_out`].
    ///
    /// # Errors
    /// If the disk has no room for it; nothing is changed then.
    pub fn put(&mut self, unit: Unit) -> io::Result<()> {
        let slot = self.slots.find(unit.slot)?;
        let unit = Unit { before: slot.map(|slot| slot.last), ..unit };
        let at = self.log.append(&*self.host, &unit)?;
        self.slots.put(unit.slot, with_unit(slot, at, &unit));
        Ok(())
    }

    /// Makes what was put readable.
    ///
    /// # Errors
    /// If the system refuses: it may be tried again.
    pub fn write_out(&mut self) -> io::Result<()> {
        self.log.write_out()
    }

    /// The first slot in `from..upto` that has messages, and its newest unit.
    ///
    /// # Errors
    /// If the wheel cannot be read.
    pub fn next_used(
        &self,
        from: Timestamp,
        upto: Timestamp,
    ) -> io::Result<Option<(Timestamp, TimerPosition)>> {
        Ok(self.slots.next_used(from, upto)?.map(|(time, slot)| (time, slot.last)))
    }

    /// How many messages wait, less those taken back, in each slot in `from..upto` that has any.
    ///
    /// # Errors
    /// If the wheel cannot be read.
    pub fn counts(&self, from: Timestamp, upto: Timestamp) -> io::Result<Vec<(Timestamp, u64)>> {
        let mut counts = Vec::new();
        self.slots.each_used(from, upto, |time, slot| {
            counts.push((time, slot.count.max(0) as u64));
            true
        })?;
        Ok(counts)
    }

    /// The unit at `at`; `None` if none is there.
    ///
    /// # Errors
    /// If the timer log cannot be read.
    pub fn unit(&mut self, at: TimerPosition) -> io::Result<Option<Unit>> {
        Ok(match self.log.read(at)? {
            Stands::Unit(unit) => Some(unit),
            Stands::Blank | Stands::Nothing => None,
        })
    }

    /// Whether so much has changed that it should be saved before its time.
    #[must_use]
    pub fn wants_save(&self) -> bool {
        self.slots.changed() >= MAX_CHANGED
    }

    /// Makes everything durable and notes how far timers are. What `progress` covers has to be durable in the commit log
    /// before.
    ///
    /// # Errors
    /// If the system refuses: what was noted before still holds.
    pub fn save(&mut self, progress: TimerProgress) -> io::Result<()> {
        self.log.flush(&*self.host)?;
        self.slots.flush(&*self.host)?;
        let mut check = TimerCheck {
            read: progress.read,
            log: self.log.end(),
            queue: progress.queue,
            master_queue: progress.queue,
            copies_from: Some(progress.copies_from),
            precision: Some(self.shape.precision),
            version: self.check.version,
        };
        if (check.read, check.queue) != (self.check.read, self.check.queue) {
            check.version.bump(self.host.now());
        }
        check.write(&self.check_path)?;
        self.check = check;
        Ok(())
    }

    /// What was saved last.
    #[must_use]
    pub fn check(&self) -> TimerCheck {
        self.check
    }

    /// Deletes what tells of messages that are gone from the commit log, which starts at `log_start`.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn delete_below(&mut self, log_start: PhysicalOffset) -> io::Result<()> {
        self.log.delete_below(log_start)
    }
}

/// The slot with one more unit.
fn with_unit(slot: Option<Slot>, at: TimerPosition, unit: &Unit) -> Slot {
    let one = unit.kind.one() as i32;
    let Slot { first, count, .. } = slot.unwrap_or(Slot { first: at, last: at, count: 0 });
    Slot { first, last: at, count: count.saturating_add(one) }
}
