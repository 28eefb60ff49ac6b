//! Opening timers: making wheel, timer log and check agree with each other and with the commit log.
//!
//! ```text
//! timer log   | units that the wheel knows of        | units since the check     | torn
//!                                                     ^ check                     ^ cut here
//! ```
//! The wheel is at least as old as the check, so the units behind it are shown to the wheel again. Those of messages
//! that the commit log lost are cut off: another message may come to lie there. Messages behind the check that have a
//! unit already are named in [`Recovered::listed`], so that they get no second one.
//!
//! What does not fit together (a file is gone, or damaged, or of another precision, or the clock was far ahead) is
//! dropped and made anew from the timer topic, which has all timers that are not due yet and many that were. Which of
//! them are delivered is then seen in the commit log.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use ferromq_model::name::TIMER_TOPIC;
use ferromq_model::record::Record;
use ferromq_model::{Millis, PhysicalOffset, QueueId, QueueOffset, Timestamp};

use super::checkpoint::TimerCheck;
use super::log::{Stands, TimerLog};
use super::slots::{Found, SLOTS, Slots};
use super::unit::{TimerPosition, Unit};
use super::{TIMER_REACH, TimerFiles, TimerShape, with_unit};
use crate::queue::Queue;
use crate::store::Store;

/// Units that slots may be behind the clock and still be read (RocketMQ's margin before the wheel meets itself).
const MARGIN: u64 = 60;

/// Where timers go on.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The first slot that is not delivered, or not wholly.
    pub read: Timestamp,
    /// The first message of the timer topic that may be in no slot.
    pub next: QueueOffset,
    /// Those from there on that are in one all the same, in order.
    pub listed: VecDeque<QueueOffset>,
    /// Copies of messages that are delivered, and not covered by `read` and `next`, lie in the commit log from here on.
    /// `None` if there are none.
    pub copies_from: Option<PhysicalOffset>,
}

/// How the files were found, when they cannot be used as they are.
enum Unfit {
    /// The reason, for the operator.
    Because(&'static str),
    Io(io::Error),
}

impl From<io::Error> for Unfit {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

pub(super) fn open(store: &Store, shape: TimerShape) -> io::Result<(TimerFiles, Recovered)> {
    match recover(store, shape) {
        Ok(opened) => Ok(opened),
        Err(Unfit::Io(error)) => Err(error),
        Err(Unfit::Because(why)) => {
            if timer_queue(store).is_some_and(|queue| queue.min() < queue.max()) {
                tracing::warn!(why, "timers are made anew from the timer topic");
            }
            make_anew(store, shape)
        }
    }
}

/// Drops the files, and begins with the oldest message of the timer topic.
pub(super) fn make_anew(store: &Store, shape: TimerShape) -> io::Result<(TimerFiles, Recovered)> {
    let mut files = parts(store, shape)?.0;
    files.slots.clear()?;
    files.log.clear()?;
    let queue = timer_queue(store);
    let next = queue.as_ref().map(|queue| queue.min()).unwrap_or_default();
    let read = floor(store.now(), shape.precision);
    let copies_from = queue.and_then(|queue| queue.physical(next));
    Ok((files, Recovered { read, next, listed: VecDeque::new(), copies_from }))
}

/// The files as they are, and whether the wheel's and the log's are what they should be.
fn parts(store: &Store, shape: TimerShape) -> io::Result<(TimerFiles, Found, bool, Option<TimerCheck>)> {
    let root = &store.config().root;
    let (slots, found) = Slots::open(root.join("timerwheel"), shape.precision)?;
    let (log_dir, staging) = (root.join("timerlog"), root.join("next-timer-log"));
    let size = shape.log_file_size.0;
    let log = TimerLog::open(log_dir.clone(), staging.clone(), size)?;
    let log_is_sound = log.is_some();
    let check_path = store.config_dir().join("timercheck");
    let check = TimerCheck::read(&check_path)?;
    let files = TimerFiles {
        host: Arc::clone(store.host()),
        shape,
        slots,
        log: match log {
            Some(log) => log,
            None => TimerLog::none(log_dir, staging, size),
        },
        check_path,
        check: check.unwrap_or_default(),
    };
    Ok((files, found, log_is_sound, check))
}

fn recover(store: &Store, shape: TimerShape) -> Result<(TimerFiles, Recovered), Unfit> {
    let (mut files, found, log_is_sound, check) = parts(store, shape)?;
    let check = check.ok_or(Unfit::Because("config/timercheck is missing"))?;
    if check.precision.is_some_and(|precision| precision != shape.precision) {
        return Err(Unfit::Because("timerPrecisionMs has changed"));
    }
    let now = floor(store.now(), shape.precision);
    if check.read > now.plus(Millis(MARGIN * shape.precision.0)) {
        return Err(Unfit::Because("the clock was set back since they were last read"));
    }
    if !log_is_sound {
        return Err(Unfit::Because("timerlog has files that do not belong there"));
    }
    match found {
        Found::Foreign => return Err(Unfit::Because("timerwheel is damaged")),
        Found::Nothing if check.log > TimerPosition(0) => {
            return Err(Unfit::Because("timerwheel is missing"));
        }
        Found::Nothing | Found::Whole => {}
    }
    let back = Millis((TIMER_REACH - MARGIN) * shape.precision.0);
    let read = floor(check.read, shape.precision).max(now.minus(back));
    let end = show_units_again(&mut files, &check, read, store.stats().log_max)?;
    if end < check.log {
        return Err(Unfit::Because("timerlog is shorter than config/timercheck says"));
    }
    let as_saved = end == check.log && check.copies_from.is_some();
    if as_saved {
        files.log.end_at(end);
    } else {
        files.log.cut(end)?;
        let mut beyond = false;
        let turn = read.plus(Millis(SLOTS * shape.precision.0));
        files.slots.each_used(read, turn, |_, slot| {
            beyond = slot.last >= end;
            !beyond
        })?;
        if beyond {
            return Err(Unfit::Because("timerwheel tells of more than timerlog holds"));
        }
    }
    let queue = timer_queue(store);
    let (min, max) = queue.map_or_else(Default::default, |queue| (queue.min(), queue.max()));
    let next = check.queue.min(check.master_queue).clamp(min, max);
    let listed = units_from(&mut files.log, store, next)?;
    let copies_from = match check.copies_from {
        Some(at) => at,
        None => store.log_start_before(check.read),
    };
    Ok((files, Recovered { read, next, listed, copies_from: Some(copies_from) }))
}

/// Shows the wheel all units that it may not know of. Returns the position behind the last one that counts.
fn show_units_again(
    files: &mut TimerFiles,
    check: &TimerCheck,
    read: Timestamp,
    log_end: PhysicalOffset,
) -> io::Result<TimerPosition> {
    let TimerFiles { slots, log, .. } = files;
    // The reference's wheel may be older than its check, though never by as much as a file.
    let known = match check.copies_from {
        Some(_) => check.log.0,
        None => check.log.0.saturating_sub(log.file_len()) / log.file_len() * log.file_len(),
    };
    let mut at = TimerPosition(known.max(log.start().0));
    loop {
        let stands = log.read(at)?;
        if let Stands::Unit(unit) = &stands {
            if unit.physical.plus(u64::from(unit.len)) > log_end {
                return Ok(at);
            }
            if unit.slot >= read {
                show(slots, at, unit)?;
            }
        }
        match log.behind(at, &stands) {
            Some(next) => at = next,
            None => return Ok(at),
        }
    }
}

fn show(slots: &mut Slots, at: TimerPosition, unit: &Unit) -> io::Result<()> {
    let slot = slots.find(unit.slot)?;
    if slot.is_none_or(|slot| slot.last < at) {
        slots.put(unit.slot, with_unit(slot, at, unit));
    }
    Ok(())
}

/// Messages from `next` on that have a unit: they are the last ones of the log.
fn units_from(log: &mut TimerLog, store: &Store, next: QueueOffset) -> io::Result<VecDeque<QueueOffset>> {
    let mut listed = VecDeque::new();
    let mut at = log.end();
    while let Some((before, unit)) = log.unit_before(at)? {
        let Some(bytes) = store.record_at(unit.physical) else { break };
        let Ok(record) = Record::decode(&bytes) else { break };
        if record.topic != TIMER_TOPIC || record.queue_offset < next {
            break;
        }
        listed.push_front(record.queue_offset);
        at = before;
    }
    Ok(listed)
}

fn timer_queue(store: &Store) -> Option<Arc<Queue>> {
    store.find_queue(TIMER_TOPIC, QueueId(0))
}

fn floor(time: Timestamp, precision: Millis) -> Timestamp {
    let unit = precision.0 as i64;
    Timestamp(time.0.div_euclid(unit) * unit)
}
