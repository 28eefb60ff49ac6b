//! What the broker counts of its traffic: per topic, queue and group for the last minute, hour and day, and for itself
//! since the start.
//!
//! ```text
//! append ─▶ the store's own counters of each queue ┐
//! pull   ─▶ the counters of the group at the topic ├─▶ sampled every 10 s, 10 min, 1 h ─▶ asked for by tools
//! retry  ─▶ ditto                                  ┘
//! ```
//! Always true:
//! * counting is a few relaxed additions for each answer, whatever it carries; sending counts nothing that the store does
//!   not know by itself;
//! * one task samples, and it alone makes series;
//! * a counter lives in the topic that it is about and goes with it; series there are at most [`MAX_SERIES`].

pub mod history;
mod put_times;
mod series;
mod stages;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ferromq_model::{Millis, QueueId, Timestamp};
use ferromq_store::Appended;
use foldhash::fast::RandomState;
use parking_lot::{Mutex, RwLock};
use time::{OffsetDateTime, UtcOffset};

pub use put_times::{PutReport, PutTimes};
pub use series::{Amount, Figures, Period, Reading, Series};
pub use stages::{Stage, Stages};

use crate::topics::{Topic, Topics};
use history::{History, Point};

/// The most series that are kept; what comes beyond is counted, but has no past. One takes about a kilobyte.
pub const MAX_SERIES: usize = 65_536;
/// Groups that are counted apart at one topic.
pub const MAX_GROUPS_OF_TOPIC: usize = 1_024;
/// How often [`Stats::tick`] is called.
pub(crate) const TICK: Millis = Millis::secs(1);
/// Ticks that rates of the whole broker reach back: ten minutes.
const RATE_TICKS: usize = 600;

/// A counter that a series may be kept of.
#[derive(Debug, Default)]
pub struct Counter {
    messages: AtomicU64,
    bytes: AtomicU64,
    calls: AtomicU64,
    past: Mutex<Past>,
}

type Past = Option<Box<Series>>;

impl Counter {
    /// Counts messages that came or went with one call.
    pub fn add(&self, messages: u64, bytes: u64) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// What it shows now.
    #[must_use]
    pub fn reading(&self) -> Reading {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Reading { messages: read(&self.messages), bytes: read(&self.bytes), calls: read(&self.calls) }
    }

    /// Its past; `None` until it was sampled with something in it.
    #[must_use]
    pub fn series(&self) -> Option<Series> {
        self.past.lock().as_deref().cloned()
    }
}

/// What one group did with one topic.
#[derive(Debug, Default)]
pub struct GroupStats {
    /// Messages handed out.
    pub got: Counter,
    /// Messages sent back to come again.
    pub sent_back: Counter,
    /// Messages given up on.
    pub dead_letters: Counter,
    /// Acknowledgements of popped messages.
    pub acked: Counter,
    /// Check points of pops.
    pub checkpoints: Counter,
}

impl GroupStats {
    fn counters(&self) -> [&Counter; 5] {
        [&self.got, &self.sent_back, &self.dead_letters, &self.acked, &self.checkpoints]
    }
}

/// Counters of one topic.
#[derive(Debug, Default)]
pub struct TopicStats {
    groups: RwLock<HashMap<String, Arc<GroupStats>, RandomState>>,
    puts: Mutex<Past>,
    queue_puts: Mutex<Vec<Past>>,
}

impl TopicStats {
    /// Counts for `group` at this topic.
    pub fn count(&self, group: &str, count: impl FnOnce(&GroupStats)) {
        if let Some(stats) = self.groups.read().get(group) {
            return count(stats);
        }
        let mut groups = self.groups.write();
        if groups.len() < MAX_GROUPS_OF_TOPIC || groups.contains_key(group) {
            count(groups.entry(group.to_owned()).or_default());
        }
    }

    /// The counters of a group at this topic, if it did anything.
    #[must_use]
    pub fn group(&self, group: &str) -> Option<Arc<GroupStats>> {
        self.groups.read().get(group).cloned()
    }

    /// The counters of all groups that did anything at this topic, by name.
    #[must_use]
    pub fn groups(&self) -> BTreeMap<String, Arc<GroupStats>> {
        self.groups.read().iter().map(|(name, stats)| (name.clone(), Arc::clone(stats))).collect()
    }

    /// The past of what was put into the topic.
    #[must_use]
    pub fn puts(&self) -> Option<Series> {
        self.puts.lock().as_deref().cloned()
    }

    /// The past of what was put into one of its queues.
    #[must_use]
    pub fn queue_puts(&self, queue: QueueId) -> Option<Series> {
        self.queue_puts.lock().get(queue.0 as usize)?.as_deref().cloned()
    }

    pub(crate) fn forget_group(&self, group: &str) {
        self.groups.write().remove(group);
    }

    fn sample(&self, topic: &Topic, sampling: &mut Sampling) {
        let mut all = Reading::default();
        let mut queues = self.queue_puts.lock();
        for (id, appended) in topic.appended() {
            let reading = Reading::from(appended);
            all = Reading {
                messages: all.messages + reading.messages,
                bytes: all.bytes + reading.bytes,
                calls: all.calls + reading.calls,
            };
            let index = id.0 as usize;
            if reading.messages > 0 && queues.len() <= index {
                queues.resize_with(index + 1, Past::default);
            }
            if let Some(past) = queues.get_mut(index) {
                sampling.push(past, reading);
            }
        }
        sampling.push(&mut self.puts.lock(), all);
        for group in self.groups.read().values() {
            for counter in group.counters() {
                sampling.push(&mut counter.past.lock(), counter.reading());
            }
        }
    }
}

/// The store knows each message that it was given, and not with how many others it came.
impl From<Appended> for Reading {
    fn from(appended: Appended) -> Self {
        Self { messages: appended.messages, bytes: appended.bytes, calls: appended.messages }
    }
}

/// One pass over all counters.
struct Sampling {
    now: Timestamp,
    due: [bool; 3],
    /// Series that were seen.
    seen: usize,
    /// Series that may be made.
    left: usize,
}

impl Sampling {
    fn push(&mut self, past: &mut Past, reading: Reading) {
        if past.is_none() {
            if reading == Reading::default() || self.left == 0 {
                return;
            }
            self.left -= 1;
        }
        self.seen += 1;
        let series = past.get_or_insert_default();
        for period in Period::ALL {
            if self.due[period as usize] {
                series.push(period, self.now, reading);
            }
        }
    }
}

/// Counters of the whole broker.
#[derive(Debug, Default)]
pub struct Stats {
    /// Messages handed out, whoever asked.
    pub got: Counter,
    found: AtomicU64,
    missed: AtomicU64,
    /// How long messages took to be stored.
    pub put_times: PutTimes,
    /// How long each stage of that took.
    pub stages: Stages,
    puts: Mutex<Past>,
    past: Mutex<BrokerPast>,
}

#[derive(Debug, Default)]
struct BrokerPast {
    /// When each period was last sampled.
    sampled: [Option<Timestamp>; 3],
    put_minute: Option<Timestamp>,
    /// Series that the last pass saw.
    series: usize,
    /// One a tick, from the oldest on.
    totals: VecDeque<(Timestamp, Totals)>,
    history: History,
    day: Option<i32>,
    mornings: Mornings,
}

/// What the broker counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages stored.
    pub put: u64,
    /// Bytes of their records.
    pub put_bytes: u64,
    /// Messages handed out.
    pub got: u64,
    /// Bytes of their records.
    pub got_bytes: u64,
    /// Reads that found messages.
    pub found: u64,
    /// Reads that found none.
    pub missed: u64,
}

/// [`Totals`] as they were at midnight, where the machine stands; zero for a day in which the broker was not yet running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mornings {
    /// This morning.
    pub today: Totals,
    /// The morning before.
    pub yesterday: Totals,
}

/// Events a second of the whole broker.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Messages stored.
    pub put: f64,
    /// Messages handed out.
    pub got: f64,
    /// Reads that found messages.
    pub found: f64,
    /// Reads that found none.
    pub missed: f64,
}

impl Stats {
    /// Counts a read that found messages of `topic` for `group`.
    pub fn found(&self, topic: &Topic, group: &str, messages: u64, bytes: u64) {
        self.found.fetch_add(1, Ordering::Relaxed);
        self.got.add(messages, bytes);
        topic.stats().count(group, |stats| stats.got.add(messages, bytes));
    }

    /// Counts a read that found nothing.
    pub fn missed(&self) {
        self.missed.fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted since the start: by the store, and here.
    pub(crate) fn totals(&self, appended: Appended) -> Totals {
        let got = self.got.reading();
        Totals {
            put: appended.messages,
            put_bytes: appended.bytes,
            got: got.messages,
            got_bytes: got.bytes,
            found: self.found.load(Ordering::Relaxed),
            missed: self.missed.load(Ordering::Relaxed),
        }
    }

    /// What [`Totals`] were at the last two midnights.
    #[must_use]
    pub fn mornings(&self) -> Mornings {
        self.past.lock().mornings
    }

    /// How the last five minutes went, from the oldest step on.
    #[must_use]
    pub fn history(&self) -> Vec<Point> {
        self.past.lock().history.points()
    }

    /// Rates over the last `ticks` seconds, or as far as is known.
    #[must_use]
    pub fn rates(&self, ticks: usize) -> Rates {
        let past = self.past.lock();
        let first = past.totals.len().saturating_sub(ticks + 1);
        let (Some((begin, first)), Some((end, last))) = (past.totals.get(first), past.totals.back()) else {
            return Rates::default();
        };
        let seconds = end.since(*begin).0 as f64 / 1000.0;
        let rate = |of: fn(&Totals) -> u64| {
            if seconds > 0.0 { of(last).saturating_sub(of(first)) as f64 / seconds } else { 0.0 }
        };
        Rates {
            put: rate(|totals| totals.put),
            got: rate(|totals| totals.got),
            found: rate(|totals| totals.found),
            missed: rate(|totals| totals.missed),
        }
    }

    /// The past of all that was put.
    #[must_use]
    pub fn puts(&self) -> Option<Series> {
        self.puts.lock().as_deref().cloned()
    }

    /// Takes note of where all counters stand, for what is due at `now`.
    pub(crate) fn tick(&self, topics: &Topics, totals: Totals, now: Timestamp) {
        let mut past = self.past.lock();
        past.totals.push_back((now, totals));
        if past.totals.len() > RATE_TICKS + 1 {
            past.totals.pop_front();
        }
        past.history.tick(now, totals, || self.put_times.reading());
        let today = local_day(now);
        if past.day.replace(today).is_some_and(|day| day != today) {
            past.mornings = Mornings { today: totals, yesterday: past.mornings.today };
        }
        if is_due(&mut past.put_minute, Millis::mins(1), now) {
            self.put_times.end_minute();
        }
        let due = Period::ALL.map(|period| is_due(&mut past.sampled[period as usize], period.step(), now));
        if due == [false; 3] {
            return;
        }
        let mut sampling = Sampling { now, due, seen: 0, left: MAX_SERIES.saturating_sub(past.series) };
        let puts = Appended { messages: totals.put, bytes: totals.put_bytes };
        sampling.push(&mut self.puts.lock(), Reading::from(puts));
        sampling.push(&mut self.got.past.lock(), self.got.reading());
        for topic in topics.all() {
            topic.stats().sample(&topic, &mut sampling);
        }
        past.series = sampling.seen;
    }
}

/// Whether `step` has passed since `last`, which is then. A clock that was set back does not hold anything up.
fn is_due(last: &mut Option<Timestamp>, step: Millis, now: Timestamp) -> bool {
    // A tick may come a little early.
    let due = last.is_none_or(|last| now < last || now.since(last).0 + TICK.0 / 2 >= step.0);
    if due {
        *last = Some(now);
    }
    due
}

/// The number of the day where this machine stands; where that is not known, in UTC.
fn local_day(now: Timestamp) -> i32 {
    let utc =
        OffsetDateTime::from_unix_timestamp(now.0.div_euclid(1000)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let offset = UtcOffset::local_offset_at(utc).unwrap_or(UtcOffset::UTC);
    utc.to_offset(offset).to_julian_day()
}
