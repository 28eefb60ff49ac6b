//! Messages with a delivery time of their own: a task takes them from the timer topic, puts each into the slot of its
//! time, and when that has come stores a copy under the topic that it is meant for.
//!
//! ```text
//! rmq_sys_wheel_timer/0   | in a slot, or delivered .. | next, to be put into its slot | ..
//! the wheel               | delivered .. | read: being delivered | .. messages wait .. |
//!                                        ^ a slot is read one precision unit after its time, never before
//! ```
//! Always true:
//! * progress is saved behind a flush of the commit log, so what it covers is durable; what is delivered beyond it is
//!   found in the log after a crash (`copies`), and not delivered again;
//! * a message is passed over only if nothing could ever deliver it; a store that takes no messages is waited for;
//! * memory does not grow with the messages that wait: they are read from the log when they are due.
//!
//! `engine` is the state of one run and its two rounds, `enqueue` and `deliver`; `metrics` counts what waits.

mod deliver;
mod engine;
mod enqueue;
mod metrics;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ferromq_model::name::TIMER_TOPIC;
use ferromq_model::{Millis, QueueId, Timestamp, TopicName};
use ferromq_state::{StateError, StateFile};
use ferromq_store::timer::{TIMER_CHECK_LEN, TimerCheck};
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::broker::Broker;
use crate::deferral::DeferError;
pub use engine::{Ended, TimerEngine};
use metrics::Metrics;

/// The wait after the store refused to be read or written: a full disk does not empty within milliseconds.
const REFUSED_WAIT: Duration = Duration::from_millis(500);
/// How long the task works before it looks whether it is to stop.
const SLICE: Duration = Duration::from_millis(50);
/// The longest sleep while messages wait: a clock that is set is noticed then.
const LONGEST_SLEEP: Millis = Millis(1000);

/// What is known of timers outside of their task.
#[derive(Debug)]
pub struct Timers {
    check: Mutex<TimerCheck>,
    metrics: Metrics,
    /// How many messages wait in which slot; kept only if there is a limit to it.
    crowds: Option<Mutex<HashMap<i64, u64, RandomState>>>,
    limit: u32,
    delivered: AtomicU64,
    enqueued: AtomicU64,
    read: AtomicU64,
    next: AtomicU64,
    rates: Mutex<Rates>,
}

/// Counts of a while ago, and what they grew by since the ones before.
#[derive(Debug, Default)]
struct Rates {
    taken: Option<std::time::Instant>,
    counts: [u64; 2],
    each_second: [f64; 2],
}

impl Rates {
    /// Over how long rates are taken.
    const SPAN: Duration = Duration::from_secs(10);

    /// Takes new rates if the last ones are old.
    fn take(&mut self, counts: [u64; 2]) {
        let now = std::time::Instant::now();
        let span = self.taken.map(|taken| now - taken);
        if span.is_none_or(|span| span >= Self::SPAN) {
            if let Some(span) = span {
                let rate = |i: usize| (counts[i] - self.counts[i]) as f64 / span.as_secs_f64();
                self.each_second = [rate(0), rate(1)];
            }
            (self.taken, self.counts) = (Some(now), counts);
        }
    }
}

/// How timers are doing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TimerStats {
    /// Messages put into slots since the start.
    pub enqueued: u64,
    /// Messages delivered since the start.
    pub delivered: u64,
    /// Messages of the timer topic that are in no slot yet.
    pub unread: u64,
    /// How far delivery is behind the clock.
    pub behind: Millis,
    /// Messages that wait, less those taken back.
    pub waiting: u64,
    /// Messages put into slots each second, lately.
    pub enqueue_rate: f64,
    /// Messages delivered each second, lately.
    pub deliver_rate: f64,
}

impl Timers {
    pub(crate) fn load(file: StateFile, limit: u32) -> Result<Self, StateError> {
        Ok(Self {
            check: Mutex::default(),
            metrics: Metrics::load(file)?,
            crowds: (limit < i32::MAX as u32).then(Mutex::default),
            limit,
            delivered: AtomicU64::new(0),
            enqueued: AtomicU64::new(0),
            read: AtomicU64::new(0),
            next: AtomicU64::new(0),
            rates: Mutex::default(),
        })
    }

    /// How many messages wait for each topic, as RocketMQ exchanges it.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.metrics.json()
    }

    /// What is durable, as brokers exchange it.
    #[must_use]
    pub fn checkpoint(&self) -> [u8; TIMER_CHECK_LEN] {
        self.check.lock().encode()
    }

    /// Keeps the rates of [`TimerStats`] fresh: called now and then.
    fn take_rates(&self) {
        let counts = [&self.enqueued, &self.delivered].map(|count| count.load(Ordering::Relaxed));
        self.rates.lock().take(counts);
    }

    /// Whether one more message may wait in `slot`. `chance` is any number: beyond the limit it decides, so that senders
    /// are slowed down before they are stopped.
    pub(crate) fn admit(&self, slot: Timestamp, chance: u32) -> Result<(), DeferError> {
        let Some(crowds) = &self.crowds else { return Ok(()) };
        let waiting = crowds.lock().get(&slot.0).copied().unwrap_or(0);
        let limit = u64::from(self.limit);
        // From the limit to twice the limit the chance of a refusal grows from none to certainty.
        let refused = waiting > limit && (waiting - limit) * 1000 > u64::from(spread(chance) % 1000) * limit;
        if refused { Err(DeferError::Congested { waiting, limit: self.limit }) } else { Ok(()) }
    }

    /// Notes that so many more messages wait in `slot`.
    fn crowd(&self, slot: Timestamp, more: i64) {
        if let Some(crowds) = &self.crowds {
            let mut crowds = crowds.lock();
            let count = crowds.entry(slot.0).or_default();
            *count = count.saturating_add_signed(more);
        }
    }

    /// Notes that nobody waits in the slot any more.
    fn uncrowd(&self, slot: Timestamp) {
        if let Some(crowds) = &self.crowds {
            crowds.lock().remove(&slot.0);
        }
    }
}

/// Spreads numbers that follow each other.
fn spread(number: u32) -> u32 {
    number.wrapping_mul(0x9E37_79B1) >> 8
}

impl Broker {
    /// How timers are doing.
    #[must_use]
    pub fn timer_stats(&self) -> TimerStats {
        let timers = self.timers();
        let end = self.store().find_queue(TIMER_TOPIC, QueueId(0)).map_or(0, |queue| queue.max().0);
        let read = timers.read.load(Ordering::Relaxed);
        let behind = match read {
            0 => Millis(0),
            read => self.store().now().since(Timestamp(read as i64).plus(self.config().timer_precision())),
        };
        timers.take_rates();
        let [enqueue_rate, deliver_rate] = timers.rates.lock().each_second;
        TimerStats {
            enqueued: timers.enqueued.load(Ordering::Relaxed),
            delivered: timers.delivered.load(Ordering::Relaxed),
            unread: end.saturating_sub(timers.next.load(Ordering::Relaxed)),
            behind,
            waiting: timers.metrics.total(),
            enqueue_rate,
            deliver_rate,
        }
    }
}

/// Puts messages into slots and delivers them until the broker stops.
pub(crate) async fn run(broker: Broker) {
    let topic = TopicName::new(TIMER_TOPIC).expect("a valid name");
    let queue = broker.store().queue(&topic, QueueId(0));
    let Some(mut engine) = open(&broker, false).await else { return };
    let interval = broker.config().timer_flush_interval.duration();
    let mut save_at = Instant::now() + interval;
    while !broker.is_stopping() {
        let due = Instant::now() >= save_at;
        let worker = broker.clone();
        let round = spawn_blocking(move || {
            let started = std::time::Instant::now();
            let ended = engine.work(|| started.elapsed() >= SLICE || worker.is_stopping());
            if due || engine.wants_save() {
                save(&mut engine);
            }
            (engine, ended)
        });
        if due {
            save_at = Instant::now() + interval;
        }
        let ended = match round.await {
            Ok((worked, ended)) => {
                engine = worked;
                ended
            }
            Err(error) => {
                tracing::error!(%error, "a round of timers failed");
                tokio::time::sleep(REFUSED_WAIT).await;
                let Some(opened) = open(&broker, false).await else { return };
                engine = opened;
                continue;
            }
        };
        match ended {
            Ended::More => {}
            Ended::Idle { due } => {
                let now = broker.store().now();
                let wait = due.map_or(LONGEST_SLEEP, |due| due.since(now).min(LONGEST_SLEEP)).duration();
                tokio::select! {
                    () = queue.wait_beyond(engine.next()) => {}
                    () = tokio::time::sleep(wait), if due.is_some() => {}
                    () = tokio::time::sleep_until(save_at), if engine.is_unsaved() => {}
                    () = broker.stopped() => {}
                }
            }
            Ended::Refused(error) => {
                tracing::warn!(error, "cannot deliver timer messages for now");
                tokio::select! {
                    () = tokio::time::sleep(REFUSED_WAIT) => {}
                    () = broker.stopped() => {}
                }
            }
            Ended::Unfit(why) => {
                tracing::error!(
                    why,
                    "the timers' files are damaged: they are made anew from the timer topic"
                );
                let Some(opened) = open(&broker, true).await else { return };
                engine = opened;
            }
        }
    }
    if let Err(error) = spawn_blocking(move || save(&mut engine)).await {
        tracing::error!(%error, "cannot save the progress of timers");
    }
}

fn save(engine: &mut TimerEngine) {
    if let Err(error) = engine.save() {
        tracing::warn!(error, "cannot save the progress of timers for now");
    }
}

/// Opens the timers' files, as often as it takes; `None` if the broker stops before.
async fn open(broker: &Broker, anew: bool) -> Option<TimerEngine> {
    while !broker.is_stopping() {
        let handle = broker.clone();
        match spawn_blocking(move || TimerEngine::open(&handle, anew)).await {
            Ok(Ok(engine)) => return Some(engine),
            Ok(Err(error)) => {
                tracing::error!(%error, "cannot open the timers' files: no timer message is delivered for now");
            }
            Err(error) => tracing::error!(%error, "opening the timers' files failed"),
        }
        tokio::select! {
            () = tokio::time::sleep(REFUSED_WAIT) => {}
            () = broker.stopped() => {}
        }
    }
    None
}
