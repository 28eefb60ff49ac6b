//! Delivering the messages of a slot that is due.
//!
//! The wheel knows a slot's newest message, and each knows the one before. So the chain is walked twice: once from its
//! newest to its oldest message, to learn which are taken back and to remember a position each [`SEGMENT`] messages;
//! then segment by segment from the oldest on, which delivers in order and needs memory for one segment only.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::Ordering;

use ferromq_model::message::{find_property, property, push_property, without_properties};
use ferromq_model::name::TIMER_TOPIC;
use ferromq_model::record::Record;
use ferromq_model::{PhysicalOffset, QueueId, Timestamp};
use ferromq_store::timer::{TimerPosition, Unit};

use super::engine::{Stopped, TimerEngine};
use super::metrics::tally;
use crate::copies::{self, CopyKey};
use crate::delivery;

/// Messages of a chain that are in memory at once.
const SEGMENT: usize = 4096;
/// Messages that are delivered with one append.
const DELIVERED_TOGETHER: usize = 512;
/// Bytes that are delivered with one append, but for the last message.
const BYTES_TOGETHER: usize = 1 << 20;
/// Messages of one slot that can be taken back.
const MAX_MARKS: usize = 1 << 20;

/// A slot that is being delivered.
pub(super) struct Reading {
    slot: Timestamp,
    /// Where the log ended before the first message was delivered.
    pub(super) began: PhysicalOffset,
    /// The newest message of each segment, oldest segment last.
    segments: Vec<TimerPosition>,
    /// What is left of the segment that is being delivered, oldest message first.
    units: VecDeque<Unit>,
    /// `<real topic>+<unique key>` of those taken back.
    marks: HashSet<Box<str>>,
}

/// What became of a message that is due.
enum Fate {
    /// It is in the batch.
    Added,
    /// It is delivered, or put back, already.
    Known(CopyKey),
    /// There is nothing to deliver.
    Gone,
}

impl TimerEngine {
    /// Delivers some messages that are due; whether there may be more.
    pub(super) fn deliver_round(&mut self) -> Result<bool, Stopped> {
        let write = self.write_time();
        if self.reading.is_none() {
            match self.next_used {
                Some(slot) if slot < write => {
                    self.read = slot;
                    self.reading = Some(self.begin(slot)?);
                }
                // There are no messages in the slots between.
                other => {
                    self.read = self.read.max(other.map_or(write, |slot| slot.min(write)));
                    return Ok(false);
                }
            }
        }
        let Some(mut reading) = self.reading.take() else { return Ok(false) };
        let outcome = self.deliver_some(&mut reading);
        let is_over = reading.units.is_empty() && reading.segments.is_empty();
        if is_over && outcome.is_ok() {
            self.read = reading.slot.plus(self.precision);
            self.broker.timers().uncrowd(reading.slot);
            self.unsaved = true;
            self.look_for_used()?;
        } else {
            self.reading = Some(reading);
        }
        outcome.map(|()| true)
    }

    /// Walks the slot's chain for the first time.
    fn begin(&mut self, slot: Timestamp) -> Result<Reading, Stopped> {
        let began = self.broker.store().stats().log_max;
        let mut reading =
            Reading { slot, began, segments: Vec::new(), units: VecDeque::new(), marks: HashSet::new() };
        let newest = self.files.next_used(slot, slot.plus(self.precision))?;
        let mut at = newest.map(|(_, at)| at);
        let mut seen = 0;
        while let Some(here) = at {
            let unit = self.unit_of(slot, here)?;
            if seen % SEGMENT == 0 {
                reading.segments.push(here);
            }
            seen += 1;
            if unit.kind.marks() {
                self.mark(&unit, &mut reading);
            }
            at = unit.before;
        }
        Ok(reading)
    }

    /// The unit at `at`, which must be one of the slot and lie behind the one before it: so chains end.
    fn unit_of(&mut self, slot: Timestamp, at: TimerPosition) -> Result<Unit, Stopped> {
        let unit = self.files.unit(at)?.filter(|unit| unit.before.is_none_or(|before| before < at));
        let same =
            |unit: &Unit| unit.slot.0.div_euclid(self.precision.0 as i64) == slot.0 / self.precision.0 as i64;
        unit.filter(same).ok_or(Stopped::Unfit("a slot leads to what is none of its messages"))
    }

    fn mark(&self, unit: &Unit, reading: &mut Reading) {
        let Some(bytes) = self.broker.store().record_at(unit.physical) else { return };
        let Ok(record) = Record::decode(&bytes) else { return };
        let find = |name| find_property(record.properties, name);
        let (Some(real), Some(key)) = (find(property::REAL_TOPIC), find(property::TIMER_DELETE_KEY)) else {
            return;
        };
        if reading.marks.len() >= MAX_MARKS {
            tracing::warn!(key, "too many messages of one moment are taken back: this one comes");
            return;
        }
        // Older clients name the unique key only.
        let whole = key.strip_prefix(real).is_some_and(|rest| rest.starts_with('+'));
        let key = if whole { key.into() } else { format!("{real}+{key}").into() };
        reading.marks.insert(key);
        self.count(&record, 1);
    }

    fn deliver_some(&mut self, reading: &mut Reading) -> Result<(), Stopped> {
        if reading.units.is_empty() && !self.next_segment(reading)? {
            return Ok(());
        }
        self.batch.clear();
        // How many units are dealt with once each message of the batch is.
        let mut behind = Vec::new();
        let mut known = Vec::new();
        let mut looked_at = 0;
        for unit in &reading.units {
            looked_at += 1;
            match self.add(unit, &reading.marks) {
                Fate::Added => behind.push(looked_at),
                Fate::Known(key) => known.push((looked_at, key)),
                Fate::Gone => {}
            }
            if self.batch.len() >= DELIVERED_TOGETHER || self.batch.byte_len() >= BYTES_TOGETHER {
                break;
            }
        }
        let mut outcome = Ok(());
        let mut cut = false;
        if !self.batch.is_empty() {
            let appended = self.broker.store().append(&mut self.batch);
            let (done, refused) = delivery::dealt_with(&self.broker, &self.batch, appended);
            self.broker.timers().delivered.fetch_add(done as u64, Ordering::Relaxed);
            if done < behind.len() {
                // We come back to the one behind, and to all that follow.
                cut = true;
                looked_at = done.checked_sub(1).map_or(0, |last| behind[last]);
                known
                    .iter()
                    .filter(|(at, _)| *at > looked_at)
                    .for_each(|(_, key)| self.copies.give_back(*key));
            }
            outcome = refused;
        }
        if cut {
            self.tally.clear();
            reading.units.iter().take(looked_at).for_each(|unit| self.count_done(unit));
        } else {
            self.count_tally();
        }
        reading.units.drain(..looked_at);
        self.unsaved |= looked_at > 0;
        Ok(outcome?)
    }

    /// Reads the next segment into memory; `false` if there is none.
    fn next_segment(&mut self, reading: &mut Reading) -> Result<bool, Stopped> {
        let Some(newest) = reading.segments.pop() else { return Ok(false) };
        let mut at = Some(newest);
        while let Some(here) = at.filter(|_| reading.units.len() < SEGMENT) {
            let unit = match self.unit_of(reading.slot, here) {
                Ok(unit) => unit,
                Err(error) => {
                    reading.units.clear();
                    reading.segments.push(newest);
                    return Err(error);
                }
            };
            reading.units.push_front(unit);
            at = unit.before;
        }
        Ok(true)
    }

    fn add(&mut self, unit: &Unit, marks: &HashSet<Box<str>>) -> Fate {
        if unit.kind.marks() {
            return Fate::Gone;
        }
        let gone = |why: &str| {
            tracing::error!(at = %unit.physical, why, "a timer message cannot be delivered and is dropped");
            Fate::Gone
        };
        let Some(bytes) = self.broker.store().record_at(unit.physical) else {
            return gone("it is not in the log any more");
        };
        let record = match Record::decode(&bytes) {
            Ok(record) if record.topic == TIMER_TOPIC => record,
            _ => return gone("another message lies where it lay"),
        };
        let real = find_property(record.properties, property::REAL_TOPIC);
        if let Some(real) = real {
            tally(&mut self.tally, real, -unit.kind.one());
        }
        if !marks.is_empty()
            && let Some(real) = real
            && let Some(key) = find_property(record.properties, property::UNIQUE_KEY)
            && marks.contains(&*format!("{real}+{key}"))
        {
            return Fate::Gone;
        }
        if !self.copies.is_empty()
            && let Some([delivered, rolled]) = copies::waiting_in_wheel(&record)
        {
            let key = if unit.kind.rolls() { rolled } else { delivered };
            if self.copies.take(key) {
                return Fate::Known(key);
            }
        }
        let added =
            if unit.kind.rolls() { self.add_rolled(unit, &record) } else { self.add_due_of(unit, &record) };
        added.map_or_else(gone, |()| Fate::Added)
    }

    fn way_taken(&self, unit: &Unit) -> String {
        let mut added = String::with_capacity(64);
        push_property(&mut added, property::TIMER_ENQUEUE_MS, &unit.enqueued.0.to_string());
        push_property(&mut added, property::TIMER_DEQUEUE_MS, &self.broker.store().now().0.to_string());
        added
    }

    fn add_due_of(&mut self, unit: &Unit, record: &Record<'_>) -> Result<(), &'static str> {
        let added = self.way_taken(unit);
        if copies::rolls(record) == 0 {
            return delivery::add_copy(&self.broker, record, &added, &mut self.batch);
        }
        // It came this way before.
        let properties = without_way(record.properties, &[]);
        let record = Record { properties: &properties, ..*record };
        delivery::add_copy(&self.broker, &record, &added, &mut self.batch)
    }

    fn add_rolled(&mut self, unit: &Unit, record: &Record<'_>) -> Result<(), &'static str> {
        let mut added = self.way_taken(unit);
        let times = copies::rolls(record).saturating_add(1);
        push_property(&mut added, property::TIMER_ROLL_TIMES, &times.to_string());
        let properties = without_way(record.properties, &[property::TIMER_ROLL_TIMES]);
        let properties = [&*properties, &*added];
        delivery::add_to(&self.broker, record, TIMER_TOPIC, QueueId(0), &properties, &mut self.batch)
    }

    fn count_done(&self, unit: &Unit) {
        let Some(bytes) = self.broker.store().record_at(unit.physical) else { return };
        if let Ok(record) = Record::decode(&bytes)
            && !unit.kind.marks()
        {
            self.count(&record, -unit.kind.one());
        }
    }
}

/// The properties without those that tell of an earlier turn, and without `more`.
fn without_way(properties: &str, more: &[&str]) -> String {
    let mut names = vec![property::TIMER_ENQUEUE_MS, property::TIMER_DEQUEUE_MS];
    names.extend_from_slice(more);
    without_properties(properties, &names)
}
