//! Timers: fills a server with messages that are due later, then takes them as they are delivered.
//!
//! ```text
//! start ── accepting ──▶ all pending ── begins ─────── one due each 1/rate s ───────▶ all delivered
//!          rate, CPU     memory         └ lag of each, CPU, and that each came once
//! ```
//! Neighbours on the wire are due far apart, and neighbours in time lie far apart in the log. The consumer has a pull
//! waiting on every queue from the start.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use ferromq_model::record::Record;
use ferromq_protocol::code::ResponseCode;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::frame::{Answer, Encoding, FIRST_OPAQUE, Template};
use super::measure::{Latency, MAX_LATENCY, Memory, Printed, Progress, cpu_time};
use super::pull::{SUBSCRIPTION, SUSPEND, encode_pull, records};
use super::wire::{Clock, Connection, Load, Nanos, Turn, run as drive};
use super::{BornTime, Common, Messages, unix_millis};

/// How long a pull may wait at the server: what official push consumers allow.
const SUSPEND_MILLIS: u32 = 15_000;
/// Messages per pull: the official consumers' default.
const PULL_MAX: u32 = 32;
/// Each body begins with the run's mark, the message's number and when it is due, eight bytes each.
const STAMP_LEN: usize = 24;
/// Thirteen digits that stand where the delivery time, in milliseconds, goes.
const DUE_STAND_IN: &str = "7777777777777";
/// Spreads messages over the window: a prime, so that with most counts it meets each number once.
const STRIDE: u64 = 7_368_787;
/// How often the server's memory is looked at.
const MEMORY_INTERVAL: Nanos = 500_000_000;
/// How long behind its last answer a server may be busy with accepting. Later it would count what it does anyway.
const SETTLING: Nanos = 5_000_000_000;
const NANOS_PER_MILLI: i64 = 1_000_000;

/// `ferromq bench timers`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Messages that are pending at once
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    count: u64,
    /// Messages that are due each second
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    rate: u64,
    /// Seconds from the start until the first is due: all have to be accepted by then
    #[arg(long, default_value_t = 60.0, value_parser = super::seconds)]
    ahead: f64,
    /// Seconds after the last was due that missing ones are waited for
    #[arg(long, default_value_t = 60.0, value_parser = super::seconds)]
    patience: f64,
    /// Bytes of each body
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(STAMP_LEN as i64..=4_194_304))]
    body_size: u32,
}

/// Runs the load. `--duration` does not matter: count and rate say how long it takes; what is accepted in the time of
/// `--warmup` is not part of the rate of accepting.
pub(crate) fn run(args: &Args) -> Result<TimerReport> {
    let common = &args.common;
    let mut target = common.prepare(1)?;
    let mut messages = Messages::plain(args.body_size);
    messages.properties.push(format!("TIMER_DELIVER_MS={DUE_STAND_IN}"));
    let templates = messages.templates(common, &target)?;
    let due_at = templates.iter().map(|template| template.find(DUE_STAND_IN)).collect::<Option<Vec<_>>>();
    let next: Vec<u64> = (0..common.queues)
        .map(|queue| target.control.max_offset(&common.topic, queue))
        .collect::<Result<_>>()?;
    // The last lane is the consumer's.
    let mut lanes = common.connect(target.address, common.connections + 1)?;
    let clock = Clock::start();
    let begins = (unix_nanos() + (args.ahead * 1e9) as i64) / NANOS_PER_MILLI + 1;
    let mut load = Timers {
        server: common.server_pid,
        plan: Plan { count: args.count, begins, rate: args.rate, stride: stride(args.count) },
        epoch: unix_nanos() - clock.now() as i64,
        mark: (unix_millis() << 16 | u64::from(std::process::id() as u16)).to_be_bytes(),
        stage: Stage::Accepting,
        patience: (args.patience * 1e9) as i64,
        sent_at: vec![vec![(0, 0); common.in_flight as usize]; usize::from(common.connections)],
        unsent: 0,
        accepted: 0,
        accepting: Accepting::new((common.warmup * 1e9) as Nanos)?,
        templates,
        due_at: due_at.context("the delivery time is in no request")?,
        next_template: 0,
        keys: 0,
        born: BornTime::new(),
        topic: common.topic.clone(),
        encoding: common.serialization,
        next,
        came: vec![0; args.count.div_ceil(64) as usize],
        delivered: 0,
        again: 0,
        early: 0,
        lag: histogram()?,
        longest: vec![0; common.queues as usize],
        errors: 0,
        first_error: None,
        watched: Watched::default(),
        progress: Progress::new(clock.now()),
    };
    load.watched.before = load.look()?;
    drive(&mut lanes, clock, &mut load)?;
    // Servers close connections that are silent for minutes: those of the producers have nothing more to say.
    let mut consumer = lanes.split_off(load.sent_at.len());
    load.sent_at.clear();
    drop(lanes);
    drive(&mut consumer, clock, &mut load)?;
    load.report(format!(
        "{} timers through {} at {}: {} × {} in flight, {} byte bodies, due {:.0} s after the start, {}/s",
        args.count,
        common.topic,
        target.broker.address,
        common.connections,
        common.in_flight,
        args.body_size,
        args.ahead,
        args.rate
    ))
}

fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_max(MAX_LATENCY, 3)?)
}

fn unix_nanos() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
}

/// A step that meets each of `count` numbers once.
fn stride(count: u64) -> u64 {
    let common = |mut a: u64, mut b: u64| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    (STRIDE..).find(|&step| common(step, count) == 1).expect("there are more primes than factors of a number")
}

/// When messages are due.
struct Plan {
    count: u64,
    /// Milliseconds since 1970.
    begins: i64,
    rate: u64,
    stride: u64,
}

impl Plan {
    /// When the message that is sent as number `number` is due, in milliseconds since 1970.
    fn due(&self, number: u64) -> i64 {
        let place = (u128::from(number) * u128::from(self.stride) % u128::from(self.count)) as u64;
        self.begins + (place * 1000 / self.rate) as i64
    }

    /// When the last one is due.
    fn ends(&self) -> i64 {
        self.begins + ((self.count - 1) * 1000 / self.rate) as i64
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Messages are sent.
    Accepting,
    /// All are accepted, none is due.
    Pending,
    /// They are due, one after the other.
    Delivering,
}

/// How accepting went.
struct Accepting {
    warm_up: Nanos,
    /// When counting began, and the messages accepted before.
    from: Option<(Nanos, u64)>,
    until: Nanos,
    latency: Histogram<u64>,
}

impl Accepting {
    fn new(warm_up: Nanos) -> Result<Self> {
        Ok(Self { warm_up, from: None, until: 0, latency: histogram()? })
    }
}

/// What the server's process has taken at one time.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    cpu: Duration,
    memory: Memory,
}

#[derive(Debug, Default)]
struct Watched {
    before: Taken,
    /// Some time after the last was accepted.
    settled: Option<Taken>,
    /// When all were accepted and none was due.
    pending: Taken,
    after: Taken,
    most: Memory,
    looked: Nanos,
}

struct Timers {
    server: Option<u32>,
    plan: Plan,
    /// Nanoseconds since 1970 of the clock's zero.
    epoch: i64,
    /// Tells this run's messages from others that the topic holds.
    mark: [u8; 8],
    stage: Stage,
    patience: i64,
    /// By producer connection and slot: which message was sent when.
    sent_at: Vec<Vec<(u64, Nanos)>>,
    unsent: u64,
    accepted: u64,
    accepting: Accepting,
    templates: Vec<Template>,
    /// Where in each of them the delivery time goes.
    due_at: Vec<usize>,
    next_template: usize,
    keys: u64,
    born: BornTime,
    topic: String,
    encoding: Encoding,
    /// By queue: the offset of the pull that waits there.
    next: Vec<u64>,
    /// One bit for each message.
    came: Vec<u64>,
    delivered: u64,
    again: u64,
    early: u64,
    lag: Histogram<u64>,
    /// By queue: the longest lag.
    longest: Vec<i64>,
    errors: u64,
    first_error: Option<String>,
    watched: Watched,
    progress: Progress,
}

impl Timers {
    fn look(&self) -> Result<Taken> {
        let Some(pid) = self.server else { return Ok(Taken::default()) };
        Ok(Taken { cpu: cpu_time(pid)?, memory: Memory::of(pid)? })
    }

    fn send(&mut self, lane: usize, slot: u32, number: u64, now: Nanos, out: &mut Vec<u8>) {
        self.sent_at[lane][slot as usize] = (number, now);
        let (start, due) = (out.len(), self.plan.due(number));
        let (template, due_at) = (&self.templates[self.next_template], self.due_at[self.next_template]);
        self.next_template = (self.next_template + 1) % self.templates.len();
        let body_at = template.stamp(out, FIRST_OPAQUE + slot, self.born.digits(now), &mut self.keys);
        let mut digits = due;
        for digit in out[start + due_at..][..DUE_STAND_IN.len()].iter_mut().rev() {
            *digit = b'0' + (digits % 10) as u8;
            digits /= 10;
        }
        let stamp = [self.mark, number.to_be_bytes(), due.to_be_bytes()];
        out[body_at..body_at + STAMP_LEN].copy_from_slice(stamp.as_flattened());
    }

    /// Sends the next message, if there is one.
    fn send_next(&mut self, lane: usize, slot: u32, now: Nanos, out: &mut Vec<u8>) {
        if self.unsent < self.plan.count {
            self.unsent += 1;
            self.send(lane, slot, self.unsent - 1, now, out);
        }
    }

    fn sent(
        &mut self,
        lane: usize,
        slot: u32,
        answer: Answer<'_>,
        now: Nanos,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let Some(&(number, at)) = self.sent_at[lane].get(slot as usize) else {
            bail!("the server answered request {}, which was not made", answer.opaque);
        };
        if answer.code != 0 {
            self.note_refusal(&answer)?;
            self.send(lane, slot, number, now, out);
            return Ok(());
        }
        self.accepted += 1;
        self.progress.messages += 1;
        if now >= self.accepting.warm_up {
            self.accepting.from.get_or_insert((now, self.accepted));
            self.accepting.latency.saturating_record((now - at).max(1));
        }
        self.accepting.until = now;
        self.send_next(lane, slot, now, out);
        Ok(())
    }

    fn note_refusal(&mut self, answer: &Answer<'_>) -> Result<()> {
        self.errors += 1;
        let words = || format!("code {}: {}", answer.code, answer.remark());
        let first = self.first_error.get_or_insert_with(words);
        if self.accepted == 0 && self.errors >= 1_000 {
            bail!("the server refuses every request, {first}");
        }
        Ok(())
    }

    fn pull(&self, queue: usize, out: &mut Vec<u8>) {
        let (number, from) = (queue as u32, self.next[queue]);
        let flags = SUSPEND | SUBSCRIPTION;
        encode_pull(out, self.encoding, number, &self.topic, number, from, PULL_MAX, flags, SUSPEND_MILLIS);
    }

    fn pulled(&mut self, queue: usize, answer: Answer<'_>) -> Result<()> {
        match ResponseCode::from_i32(answer.code) {
            Some(ResponseCode::Success) => {
                let now = unix_nanos();
                for record in records(answer.body) {
                    self.came(queue, &Record::decode(record?)?, now)?;
                    self.next[queue] += 1;
                }
            }
            Some(ResponseCode::PullNotFound) => {}
            Some(ResponseCode::PullRetryImmediately | ResponseCode::PullOffsetMoved) => {
                match answer.field("nextBeginOffset").map(|text| text.parse()) {
                    Some(Ok(next)) => self.next[queue] = next,
                    _ => bail!("the server moves queue {queue} and does not say where to"),
                }
            }
            _ => self.note_refusal(&answer)?,
        }
        Ok(())
    }

    fn came(&mut self, queue: usize, record: &Record<'_>, now: i64) -> Result<()> {
        let Some((stamp, _)) = record.body.split_first_chunk::<STAMP_LEN>() else { return Ok(()) };
        let [mark, number, due] =
            [0, 8, 16].map(|at| <[u8; 8]>::try_from(&stamp[at..at + 8]).expect("eight bytes"));
        if mark != self.mark {
            return Ok(()); // another run's
        }
        let (number, due) = (u64::from_be_bytes(number), i64::from_be_bytes(due));
        if number >= self.plan.count || due != self.plan.due(number) {
            bail!("message {number}, due at {due}, was changed on its way");
        }
        let (word, bit) = (&mut self.came[number as usize / 64], 1 << (number % 64));
        if *word & bit != 0 {
            self.again += 1;
            return Ok(());
        }
        *word |= bit;
        self.delivered += 1;
        self.progress.messages += 1;
        let lag = now - due * NANOS_PER_MILLI;
        self.early += u64::from(lag < 0);
        self.lag.saturating_record(lag.max(1) as u64);
        self.longest[queue] = self.longest[queue].max(lag);
        Ok(())
    }

    fn report(self, what: String) -> Result<TimerReport> {
        self.progress.clear();
        let (from, before) =
            self.accepting.from.context("all messages were accepted in the time of --warmup")?;
        let seconds = (self.accepting.until - from) as f64 / 1e9;
        let count = self.plan.count;
        let Watched { before: start, settled, pending, after, most, .. } = self.watched;
        let cpu = |from: Taken, until: Taken, messages: u64| {
            self.server.map(|_| (until.cpu - from.cpu).as_secs_f64() * 1e6 / messages as f64)
        };
        Ok(TimerReport {
            what,
            messages: count,
            errors: self.errors,
            first_error: self.first_error,
            accepted_per_second: (count - before) as f64 / seconds,
            accepting: Latency::of(&self.accepting.latency),
            accepting_cpu_per_message: cpu(start, settled.unwrap_or(pending), count),
            memory: self.server.map(|_| MemoryReport {
                before: start.memory,
                pending: pending.memory,
                most,
                anonymous_bytes_per_message: (pending.memory.anonymous as f64
                    - start.memory.anonymous as f64)
                    / count as f64,
            }),
            lag: Latency::of(&self.lag),
            longest_lag_by_queue: self.longest.iter().map(|lag| *lag as f64 / 1000.0).collect(),
            delivering_cpu_per_message: cpu(pending, after, self.delivered.max(1)),
            early: self.early,
            missing: count - self.delivered,
            again: self.again,
        })
    }
}

impl Load for Timers {
    fn answered(&mut self, lane: usize, answer: Answer<'_>, now: Nanos, out: &mut Vec<u8>) -> Result<()> {
        let slot = answer.opaque.wrapping_sub(FIRST_OPAQUE);
        if lane < self.sent_at.len() {
            return self.sent(lane, slot, answer, now, out);
        }
        let queue = slot as usize;
        if queue >= self.next.len() {
            bail!("the server answered request {}, which was not made", answer.opaque);
        }
        self.pulled(queue, answer)?;
        self.pull(queue, out);
        Ok(())
    }

    fn turn(&mut self, now: Nanos, lanes: &mut [Connection]) -> Result<Turn> {
        if self.unsent == 0 {
            let (consumer, producers) = lanes.split_last_mut().expect("there is the consumer's");
            for queue in 0..self.next.len() {
                self.pull(queue, &mut consumer.outbound);
            }
            for (lane, connection) in producers.iter_mut().enumerate() {
                for slot in 0..self.sent_at[lane].len() {
                    self.send_next(lane, slot as u32, now, &mut connection.outbound);
                }
            }
        }
        let unix = self.epoch + now as i64;
        let begins = self.plan.begins * NANOS_PER_MILLI;
        if self.stage == Stage::Accepting && self.accepted == self.plan.count {
            self.stage = Stage::Pending;
            return Ok(Turn::Done);
        }
        if self.stage == Stage::Accepting && unix >= begins {
            let (accepted, count) = (self.accepted, self.plan.count);
            bail!(
                "{accepted} of {count} messages were accepted when the first was due: --ahead gives more time"
            );
        }
        if self.stage == Stage::Pending
            && self.watched.settled.is_none()
            && now >= self.accepting.until + SETTLING
        {
            self.watched.settled = Some(self.look()?);
        }
        // What is due first is left out of the picture of those that wait.
        if self.stage == Stage::Pending && unix >= begins - 100 * NANOS_PER_MILLI {
            self.watched.pending = self.look()?;
            self.stage = Stage::Delivering;
        }
        self.progress.show(
            now,
            match self.stage {
                Stage::Accepting => "accepting",
                Stage::Pending => "pending",
                Stage::Delivering => "delivering",
            },
        );
        if now >= self.watched.looked + MEMORY_INTERVAL {
            self.watched.looked = now;
            let memory = self.look()?.memory;
            let most = &mut self.watched.most;
            most.resident = most.resident.max(memory.resident);
            most.anonymous = most.anonymous.max(memory.anonymous);
        }
        let over = unix >= self.plan.ends() * NANOS_PER_MILLI + self.patience;
        if self.delivered == self.plan.count || over {
            self.watched.after = self.look()?;
            return Ok(Turn::Done);
        }
        Ok(Turn::WaitUntil(now + MEMORY_INTERVAL / 10))
    }
}

/// Memory of the server, in bytes.
#[derive(Debug, Serialize)]
struct MemoryReport {
    before: Memory,
    pending: Memory,
    /// At any time until the end.
    most: Memory,
    /// What grew of the memory that belongs to no file.
    anonymous_bytes_per_message: f64,
}

/// What a run showed. Latency, lag and CPU are microseconds.
#[derive(Debug, Serialize)]
pub(crate) struct TimerReport {
    what: String,
    messages: u64,
    errors: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_error: Option<String>,
    accepted_per_second: f64,
    accepting: Latency,
    /// Until a while after the last answer: it holds what is done with messages behind their answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepting_cpu_per_message: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<MemoryReport>,
    /// From when a message was due to when its consumer had it.
    lag: Latency,
    /// Tells a queue that stood still from a delivery that did.
    longest_lag_by_queue: Vec<f64>,
    /// It holds the pulls.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivering_cpu_per_message: Option<f64>,
    /// Delivered before they were due.
    early: u64,
    missing: u64,
    again: u64,
}

impl Printed for TimerReport {
    fn text(&self) -> String {
        let mut text = format!("{}\n", self.what);
        let _ = writeln!(
            text,
            "  accepting  {:.0} messages/s, p99 {:.0} µs",
            self.accepted_per_second, self.accepting.p99
        );
        let Latency { p50, p90, p99, p999, max, .. } = self.lag;
        let [p50, p90, p99, p999, max] = [p50, p90, p99, p999, max].map(|micros| micros / 1e3);
        let _ = writeln!(
            text,
            "  lag        p50 {p50:.0} ms, p90 {p90:.0}, p99 {p99:.0}, p99.9 {p999:.0}, max {max:.0}"
        );
        if let (Some(accepting), Some(delivering)) =
            (self.accepting_cpu_per_message, self.delivering_cpu_per_message)
        {
            let _ = writeln!(
                text,
                "  server CPU {accepting:.2} µs to accept a message, {delivering:.2} to deliver it"
            );
        }
        if let Some(MemoryReport { before, pending, most, anonymous_bytes_per_message }) = &self.memory {
            for (what, memory) in [("before", before), ("pending", pending), ("at most", most)] {
                let [resident, anonymous] =
                    [memory.resident, memory.anonymous].map(|bytes| bytes as f64 / f64::from(1 << 20));
                let _ = writeln!(
                    text,
                    "  memory     {what}: {resident:.1} MiB resident, of it {anonymous:.1} anonymous"
                );
            }
            let _ = writeln!(
                text,
                "  memory     {anonymous_bytes_per_message:.1} anonymous bytes a pending message"
            );
        }
        if self.errors > 0 {
            let first = self.first_error.as_deref().unwrap_or_default();
            let _ = writeln!(text, "  refused    {} requests, the first: {first}", self.errors);
        }
        for (count, what) in [
            (self.early, "EARLY      {} messages came before they were due"),
            (self.missing, "MISSING    {} messages were accepted and did not come"),
            (self.again, "AGAIN      {} messages came more than once"),
        ] {
            if count > 0 {
                let _ = writeln!(text, "  {}", what.replace("{}", &count.to_string()));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_of_the_window_is_taken_once_whatever_the_count() {
        for count in [1, 2, 1_000, STRIDE] {
            let plan =
                Plan { count: count.min(5_000), begins: 7, rate: 1000, stride: stride(count.min(5_000)) };
            let mut due: Vec<_> = (0..plan.count).map(|number| plan.due(number)).collect();
            due.sort_unstable();
            assert!(due.iter().copied().eq(7..7 + plan.count as i64), "{count}");
            assert_eq!(plan.ends(), due[due.len() - 1]);
        }
        assert_ne!(stride(STRIDE), STRIDE);
    }
}
