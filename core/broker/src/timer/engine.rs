//! One run of the timers: what is open, how far it is, and its rounds. Synchronous and on one thread, so that tests can
//! stop it between any two.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ferromq_model::message::{find_property, property};
use ferromq_model::name::TIMER_TOPIC;
use ferromq_model::record::Record;
use ferromq_model::{Millis, PhysicalOffset, QueueId, QueueOffset, Timestamp, TopicName};
use ferromq_store::timer::{TIMER_REACH, TimerFiles, TimerProgress, TimerShape};
use ferromq_store::{AppendError, Batch, Queue, ReadError};

use super::deliver::Reading;
use super::metrics::Tally;
use crate::broker::Broker;
use crate::copies::{self, Copies};

/// Precision units that the wheel keeps free before it meets itself (RocketMQ's number).
const BLANK_SLOTS: u64 = 60;
/// How far the log may grow while no timer is due before progress is noted again: what lies behind that is looked
/// through after a crash.
const LONGEST_WINDOW: u64 = 64 << 20;
/// How often files are looked for that tell of deleted messages, in milliseconds (RocketMQ's number).
const CLEAN_INTERVAL: Millis = Millis::secs(30);
/// How often the counts of waiting messages are saved.
const METRICS_INTERVAL: Millis = Millis::secs(10);

/// Why a piece of work ended.
#[derive(Debug)]
pub enum Ended {
    /// There is more to do.
    More,
    /// There is not, before a message comes, or it is this late.
    Idle {
        /// When the next slot is due.
        due: Option<Timestamp>,
    },
    /// The store takes nothing, or cannot be read, for now.
    Refused(String),
    /// The files do not fit each other any more: they have to be made anew.
    Unfit(&'static str),
}

/// Why a round stopped in the middle. Nothing is passed over for that: what was acknowledged is to arrive.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stopped {
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the timers' files: {0}")]
    Files(#[from] io::Error),
    #[error("{0}")]
    Unfit(&'static str),
}

/// The timers of a broker, at work.
pub struct TimerEngine {
    pub(super) broker: Broker,
    pub(super) files: TimerFiles,
    pub(super) queue: Arc<Queue>,
    pub(super) precision: Millis,
    /// What is due this much later or more is put back on its way.
    pub(super) window: Millis,
    /// The first slot that is not delivered, or not wholly.
    pub(super) read: Timestamp,
    /// The first message that is in no slot yet, but for those listed.
    pub(super) next: QueueOffset,
    pub(super) listed: VecDeque<QueueOffset>,
    /// The slot that is being delivered.
    pub(super) reading: Option<Reading>,
    /// The next slot with messages, as far as known: there is none before it.
    pub(super) next_used: Option<Timestamp>,
    /// The last slot with messages.
    pub(super) last_used: Timestamp,
    pub(super) copies: Copies,
    /// Copies can be of messages before these two only.
    copies_until: (QueueOffset, Timestamp),
    pub(super) batch: Batch,
    /// What the round changes of the counts of waiting messages.
    pub(super) tally: Tally,
    pub(super) unsaved: bool,
    saved_at: PhysicalOffset,
    cleaned: Timestamp,
    metrics_saved: Timestamp,
}

impl TimerEngine {
    /// Opens the timers of a broker; with `anew` from the timer topic alone. Blocks, after a crash for as long as it takes
    /// to look through what was stored since progress was last saved.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn open(broker: &Broker, anew: bool) -> io::Result<Self> {
        let store = broker.store();
        let config = broker.config();
        let precision = config.timer_precision();
        let shape = TimerShape { precision, log_file_size: config.timer_log_file_size };
        let (files, recovered) =
            if anew { TimerFiles::make_anew(store, shape) } else { TimerFiles::open(store, shape) }?;
        let copies = Copies::find(store, recovered.copies_from, copies::copy_from_wheel);
        let name = TopicName::new(TIMER_TOPIC).expect("a valid name");
        let queue = store.queue(&name, QueueId(0));
        let now = store.now();
        if !copies.is_empty() || !recovered.listed.is_empty() {
            let (found, listed) = (copies.len(), recovered.listed.len());
            tracing::info!(
                found,
                listed,
                "timers go on behind a crash: messages found delivered, and in their slots"
            );
        }
        let most = TIMER_REACH - BLANK_SLOTS;
        let window = match u64::from(config.timer_roll_window) {
            slots if (2..=most).contains(&slots) => slots,
            _ => most,
        };
        let mut engine = Self {
            broker: broker.clone(),
            copies_until: (queue.max(), now),
            queue,
            precision,
            window: Millis(window * precision.0),
            read: recovered.read,
            next: recovered.next,
            listed: recovered.listed,
            reading: None,
            next_used: None,
            last_used: recovered.read,
            copies,
            batch: Batch::new(),
            tally: Tally::default(),
            unsaved: false,
            saved_at: recovered.copies_from.unwrap_or_default(),
            cleaned: now,
            metrics_saved: now,
            files,
        };
        engine.count_waiting(anew)?;
        engine.report();
        Ok(engine)
    }

    /// Works until there is nothing to do, or `pause` says so between two rounds.
    pub fn work(&mut self, pause: impl Fn() -> bool) -> Ended {
        loop {
            let outcome = self.step();
            self.report();
            match outcome {
                Ok(true) if pause() => return Ended::More,
                Ok(true) => {}
                Ok(false) => {
                    let due = self.next_used.map(|slot| slot.plus(self.precision));
                    return Ended::Idle { due };
                }
                Err(Stopped::Unfit(why)) => return Ended::Unfit(why),
                Err(stopped) => return Ended::Refused(stopped.to_string()),
            }
        }
    }

    /// One round each of putting messages into slots and of delivering; whether there may be more to do.
    fn step(&mut self) -> Result<bool, Stopped> {
        // What an earlier round could not write.
        self.files.write_out()?;
        let put = self.enqueue_round()?;
        let delivered = self.deliver_round()?;
        if !self.copies.is_empty() && self.next >= self.copies_until.0 && self.read > self.copies_until.1 {
            self.copies = Copies::none();
        }
        Ok(put || delivered)
    }

    /// The first message that is in no slot.
    #[must_use]
    pub fn next(&self) -> QueueOffset {
        self.next
    }

    /// Whether progress was made that is not saved.
    #[must_use]
    pub fn is_unsaved(&self) -> bool {
        self.unsaved
    }

    /// Whether progress should be saved before its time.
    #[must_use]
    pub fn wants_save(&self) -> bool {
        self.files.wants_save()
    }

    /// Makes progress durable, if there was any.
    ///
    /// # Errors
    /// Why not: what was saved before still holds.
    pub fn save(&mut self) -> Result<(), String> {
        self.save_now().map_err(|stopped| stopped.to_string())
    }

    fn save_now(&mut self) -> Result<(), Stopped> {
        let store = self.broker.store();
        let stats = store.stats();
        let idle_for_long =
            self.files.check().read > Timestamp::ZERO && stats.log_max.since(self.saved_at) >= LONGEST_WINDOW;
        if !self.unsaved && !idle_for_long {
            return Ok(());
        }
        let copies_from = self.reading.as_ref().map_or(stats.log_max, |reading| reading.began);
        // Copies of before a crash count until all of what they may be of is behind us.
        let copies_from = if self.copies.is_empty() { copies_from } else { copies_from.min(self.saved_at) };
        store.flush()?;
        let now = store.now();
        if now.since(self.cleaned) >= CLEAN_INTERVAL {
            self.cleaned = now;
            self.files.delete_below(stats.log_min)?;
        }
        self.files.save(TimerProgress { read: self.read, queue: self.next, copies_from })?;
        self.saved_at = copies_from;
        self.unsaved = false;
        *self.broker.timers().check.lock() = self.files.check();
        if now.since(self.metrics_saved) >= METRICS_INTERVAL || self.broker.is_stopping() {
            self.metrics_saved = now;
            self.broker.timers().metrics.save(self.files.check().version)?;
        }
        Ok(())
    }

    /// The time that slots are compared with: what lies before it is due.
    pub(super) fn write_time(&self) -> Timestamp {
        let unit = self.precision.0 as i64;
        Timestamp(self.broker.store().now().0.div_euclid(unit) * unit)
    }

    /// The first slot that takes messages.
    pub(super) fn first_open(&self) -> Timestamp {
        if self.reading.is_some() { self.read.plus(self.precision) } else { self.read }
    }

    /// Finds the next slot with messages from `read` on.
    pub(super) fn look_for_used(&mut self) -> io::Result<()> {
        let upto = self.last_used.plus(self.precision);
        self.next_used = self.files.next_used(self.read, upto)?.map(|(slot, _)| slot);
        Ok(())
    }

    /// Finds out what waits in the wheel that was opened.
    fn count_waiting(&mut self, anew: bool) -> io::Result<()> {
        let counts = self.files.counts(self.read, self.read.plus(Millis(TIMER_REACH * self.precision.0)))?;
        self.next_used = counts.first().map(|(slot, _)| *slot);
        self.last_used = counts.last().map_or(self.read, |(slot, _)| *slot);
        for (slot, count) in &counts {
            self.broker.timers().crowd(*slot, *count as i64);
        }
        let check = self.files.check();
        *self.broker.timers().check.lock() = check;
        if anew || self.broker.timers().metrics.version() != check.version {
            self.broker.timers().metrics.clear();
            for (slot, _) in counts {
                self.count_slot(slot)?;
            }
        }
        Ok(())
    }

    fn count_slot(&mut self, slot: Timestamp) -> io::Result<()> {
        let newest = self.files.next_used(slot, slot.plus(self.precision))?;
        let mut at = newest.map(|(_, at)| at);
        while let Some(unit) = at.map(|at| self.files.unit(at)).transpose()?.flatten() {
            if let Some(bytes) = self.broker.store().record_at(unit.physical)
                && let Ok(record) = Record::decode(&bytes)
            {
                self.count(&record, unit.kind.one());
            }
            at = unit.before.filter(|before| at.is_some_and(|at| *before < at));
        }
        Ok(())
    }

    /// Counts that so many more messages wait for the topic that the record is for.
    pub(super) fn count(&self, record: &Record<'_>, more: i64) {
        if let Some(topic) = find_property(record.properties, property::REAL_TOPIC) {
            self.broker.timers().metrics.add(topic, more, self.broker.store().now());
        }
    }

    /// Counts what the round has collected.
    pub(super) fn count_tally(&mut self) {
        self.broker.timers().metrics.add_all(&mut self.tally, self.broker.store().now());
    }

    fn report(&self) {
        let timers = self.broker.timers();
        timers.take_rates();
        // While nothing waits, nothing is behind.
        let read = if self.reading.is_some() { self.read } else { self.next_used.unwrap_or_default() };
        timers.read.store(read.0 as u64, Ordering::Relaxed);
        timers.next.store(self.next.0, Ordering::Relaxed);
    }
}
