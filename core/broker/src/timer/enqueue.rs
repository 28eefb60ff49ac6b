//! Putting messages of the timer topic into the slots of their times.

use std::sync::atomic::Ordering;

use ferromq_model::filter::MessageFilter;
use ferromq_model::message::{find_property, java_hash, property, push_property};
use ferromq_model::record::Record;
use ferromq_model::{QueueOffset, Timestamp};
use ferromq_store::timer::{Unit, UnitKind};
use ferromq_store::{Read, ReadLimit};

use super::engine::{Stopped, TimerEngine};
use super::metrics::tally;
use crate::copies::{self, CopyKey};
use crate::delivery;

/// Reads of one round, each of as many messages as the store gives at once.
const READS_A_ROUND: u32 = 32;
/// `TIMER_ENQUEUE_MS` of a message that was due before it came to its slot.
const NEVER_ENQUEUED: i64 = i64::MAX;

/// What is to be done with a message.
enum Fate<'a> {
    /// It is put into a slot. With it the topic that it is meant for.
    Waits(Unit, &'a str),
    /// It is due.
    Due,
    /// It is delivered, or put back, already.
    Known(CopyKey),
    /// It marks a message that is due: too late.
    Late,
    /// Nobody can tell what to do with it.
    Broken(&'static str),
}

impl TimerEngine {
    /// Puts some messages into their slots; whether there may be more.
    pub(super) fn enqueue_round(&mut self) -> Result<bool, Stopped> {
        for _ in 0..READS_A_ROUND {
            if !self.enqueue_some()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn enqueue_some(&mut self) -> Result<bool, Stopped> {
        let limit = ReadLimit { messages: u32::MAX, bytes: usize::MAX };
        let records = match self.broker.store().read(&self.queue, self.next, limit, &MessageFilter::All)? {
            Read::Found(found) => found.records,
            Read::NoMatch { next } => {
                tracing::error!(at = %self.next, "a timer message is damaged and is dropped");
                self.next = next;
                return Ok(true);
            }
            Read::Before { min } => {
                self.next = min;
                return Ok(true);
            }
            Read::Beyond { max } => {
                self.next = max;
                return Ok(false);
            }
            Read::AtEnd | Read::Empty => return Ok(false),
        };
        let write = self.write_time();
        self.batch.clear();
        let mut copied = Vec::new();
        let mut put = Vec::new();
        let mut known = Vec::new();
        let mut upto = self.next;
        let mut outcome = Ok(());
        'records: for piece in &records {
            let mut rest = &piece[..];
            while let Ok(record) = Record::decode(rest) {
                rest = &rest[record.len..];
                let at = record.queue_offset;
                while self.listed.front().is_some_and(|listed| *listed < at) {
                    self.listed.pop_front();
                }
                if self.listed.front() == Some(&at) {
                    self.listed.pop_front();
                } else {
                    match self.fate(&record, write) {
                        Fate::Waits(unit, real) => {
                            if let Err(error) = self.put(unit, real) {
                                outcome = Err(error);
                                break 'records;
                            }
                            put.push(at);
                        }
                        Fate::Due => match self.add_due(&record) {
                            Ok(()) => copied.push(at),
                            Err(why) => drop_it(at, why),
                        },
                        Fate::Known(key) => known.push((at, key)),
                        Fate::Late => {}
                        Fate::Broken(why) => drop_it(at, why),
                    }
                }
                upto = at.plus(1);
            }
        }
        self.count_tally();
        if upto == self.next && outcome.is_ok() {
            drop_it(upto, "it is damaged");
            upto = upto.plus(1);
        }
        if !self.batch.is_empty() {
            let appended = self.broker.store().append(&mut self.batch);
            let (done, refused) = delivery::dealt_with(&self.broker, &self.batch, appended);
            self.broker.timers().delivered.fetch_add(done as u64, Ordering::Relaxed);
            if let Some(first) = copied.get(done) {
                // We come back to it, and to all behind it: those that are in their slots must not come there again.
                upto = *first;
                put.iter().rev().filter(|at| **at > upto).for_each(|at| self.listed.push_front(*at));
                known.iter().filter(|(at, _)| *at > upto).for_each(|(_, key)| self.copies.give_back(*key));
            }
            outcome = outcome.and(refused.map_err(Stopped::from));
        }
        self.unsaved |= upto > self.next;
        self.next = upto;
        self.files.write_out()?;
        outcome.map(|()| true)
    }

    fn fate<'a>(&mut self, record: &Record<'a>, write: Timestamp) -> Fate<'a> {
        let out = find_property(record.properties, property::TIMER_OUT_MS).and_then(|out| out.parse().ok());
        let Some(out) = out.map(Timestamp) else { return Fate::Broken("it has no TIMER_OUT_MS") };
        let Some(real) = find_property(record.properties, property::REAL_TOPIC) else {
            return Fate::Broken("it has no REAL_TOPIC");
        };
        if !self.copies.is_empty()
            && let Some(keys) = copies::waiting_in_wheel(record)
            && let Some(key) = keys.into_iter().find(|key| self.copies.take(*key))
        {
            return Fate::Known(key);
        }
        let marks = find_property(record.properties, property::TIMER_DELETE_KEY).is_some();
        let first = self.first_open();
        if out < first && out < write {
            return if marks { Fate::Late } else { Fate::Due };
        }
        // A slot that was read before the clock was set back does not come again: the message waits for the next one.
        let (slot, rolls) = self.slot_of(out.max(first), write);
        let mut kind = UnitKind::MESSAGE;
        kind |= if rolls { UnitKind::ROLL } else { 0 };
        kind |= if marks { UnitKind::MARK } else { 0 };
        let unit = Unit {
            before: None,
            kind: UnitKind(kind),
            enqueued: write,
            slot,
            physical: record.physical_offset,
            len: record.len as u32,
            topic_hash: java_hash(real),
        };
        Fate::Waits(unit, real)
    }

    /// The slot for what is due in `out`, and whether it has to be put back from there because that is too far ahead.
    fn slot_of(&self, out: Timestamp, write: Timestamp) -> (Timestamp, bool) {
        let window = self.window;
        let ahead = out.since(write);
        if ahead < window {
            return (out, false);
        }
        let units = window.0 / self.precision.0;
        // So that what remains behind the slot is long enough to be put back again.
        let early = ahead.0 - window.0 < units / 3 * self.precision.0;
        let step = if early { units / 2 } else { units };
        (write.plus(ferromq_model::Millis(step * self.precision.0)), true)
    }

    fn put(&mut self, unit: Unit, real: &str) -> Result<(), Stopped> {
        self.files.put(unit)?;
        self.next_used = Some(self.next_used.map_or(unit.slot, |used| used.min(unit.slot)));
        self.last_used = self.last_used.max(unit.slot);
        self.broker.timers().enqueued.fetch_add(1, Ordering::Relaxed);
        self.broker.timers().crowd(unit.slot, unit.kind.one());
        tally(&mut self.tally, real, unit.kind.one());
        Ok(())
    }

    fn add_due(&mut self, record: &Record<'_>) -> Result<(), &'static str> {
        let mut added = String::new();
        push_property(&mut added, property::TIMER_ENQUEUE_MS, &NEVER_ENQUEUED.to_string());
        push_property(&mut added, property::TIMER_DEQUEUE_MS, &self.broker.store().now().0.to_string());
        delivery::add_copy(&self.broker, record, &added, &mut self.batch)
    }
}

fn drop_it(at: QueueOffset, why: &str) {
    tracing::error!(%at, why, "a timer message cannot be delivered and is dropped");
}
