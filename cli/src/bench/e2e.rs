//! End to end: messages are sent at a fixed rate, and each one's time is read where it arrives.
//!
//! The consumer is one connection with a pull waiting on every queue, as an official push consumer that owns them all.
//! A message carries when it was due, so its latency holds the wait for a free slot, the send, and the way out.

use anyhow::{Result, bail};
use ferromq_model::record::Record;
use ferromq_protocol::code::ResponseCode;

use super::frame::{Answer, Encoding, FIRST_OPAQUE, Template};
use super::measure::{Phase, Report, Run};
use super::pull::{SUBSCRIPTION, SUSPEND, encode_pull, records};
use super::send::Schedule;
use super::wire::{Clock, Connection, Load, Nanos, Turn, run as drive};
use super::{BornTime, Common, Messages, unix_millis};

/// How long messages may take to arrive after the last was sent.
const DRAIN: Nanos = 5_000_000_000;
/// How long a pull may wait at the server: what official push consumers allow.
const SUSPEND_MILLIS: u32 = 15_000;
/// Messages per pull: the official consumers' default.
const PULL_MAX: u32 = 32;
/// Each body begins with the run's mark and the time the message was due, eight bytes each.
const STAMP_LEN: u32 = 16;

/// `ferromq bench e2e`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Messages per second
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    rate: u64,
    /// Bytes of each body
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(i64::from(STAMP_LEN)..=4_194_304))]
    body_size: u32,
}

/// Runs the load.
pub(crate) fn run(args: &Args) -> Result<Report> {
    let common = &args.common;
    let mut target = common.prepare(1)?;
    let templates = Messages::plain(args.body_size).templates(common, &target)?;
    let next: Vec<u64> = (0..common.queues)
        .map(|queue| target.control.max_offset(&common.topic, queue))
        .collect::<Result<_>>()?;
    // The last lane is the consumer's.
    let mut lanes = common.connect(target.address, common.connections + 1)?;
    let clock = Clock::start();
    let mut load = EndToEnd {
        run: common.start(clock),
        mark: (unix_millis() << 16 | u64::from(std::process::id() as u16)).to_be_bytes(),
        body_len: u64::from(args.body_size),
        schedule: Schedule::new(clock.now(), args.rate as f64),
        free: vec![(0..common.in_flight).rev().collect(); usize::from(common.connections)],
        next_lane: 0,
        next_queue: 0,
        templates,
        keys: 0,
        born: BornTime::new(),
        consumer: Consumer { lane: usize::from(common.connections), next, started: false },
        topic: common.topic.clone(),
        encoding: common.serialization,
        in_flight: 0,
        acknowledged: 0,
        arrived: 0,
    };
    drive(&mut lanes, clock, &mut load)?;
    let missing = load.acknowledged.saturating_sub(load.arrived);
    let mut report = load.run.report(format!(
        "end to end through {} at {}: {}/s from {} connections, {} byte bodies",
        common.topic, target.broker.address, args.rate, common.connections, args.body_size
    ))?;
    report.missing = Some(missing);
    Ok(report)
}

struct Consumer {
    lane: usize,
    /// By queue: the offset of the pull that waits there.
    next: Vec<u64>,
    started: bool,
}

struct EndToEnd {
    run: Run,
    /// Tells this run's messages from others that the topic holds.
    mark: [u8; 8],
    body_len: u64,
    schedule: Schedule,
    /// By producer connection: slots without a request in flight.
    free: Vec<Vec<u32>>,
    next_lane: usize,
    next_queue: usize,
    templates: Vec<Template>,
    keys: u64,
    born: BornTime,
    consumer: Consumer,
    topic: String,
    encoding: Encoding,
    in_flight: u64,
    acknowledged: u64,
    arrived: u64,
}

impl EndToEnd {
    fn pull(&self, queue: usize, out: &mut Vec<u8>) {
        let from = self.consumer.next[queue];
        let flags = SUSPEND | SUBSCRIPTION;
        encode_pull(
            out,
            self.encoding,
            queue as u32,
            &self.topic,
            queue as u32,
            from,
            PULL_MAX,
            flags,
            SUSPEND_MILLIS,
        );
    }

    fn sent(&mut self, lane: usize, slot: u32, answer: Answer<'_>) -> Result<()> {
        self.in_flight -= 1;
        self.free[lane].push(slot);
        if answer.code == 0 {
            self.acknowledged += 1;
            Ok(())
        } else {
            self.run.refused(answer.code, || answer.remark())
        }
    }

    fn pulled(&mut self, queue: usize, answer: Answer<'_>, now: Nanos) -> Result<()> {
        match ResponseCode::from_i32(answer.code) {
            Some(ResponseCode::Success) => {
                let mut came = 0;
                for record in records(answer.body) {
                    self.arrived(&Record::decode(record?)?, now);
                    came += 1;
                }
                self.consumer.next[queue] += came;
            }
            Some(ResponseCode::PullNotFound) => {}
            Some(ResponseCode::PullRetryImmediately | ResponseCode::PullOffsetMoved) => {
                match answer.field("nextBeginOffset").map(|text| text.parse()) {
                    Some(Ok(next)) => self.consumer.next[queue] = next,
                    _ => bail!("the server moves queue {queue} and does not say where to"),
                }
            }
            _ => self.run.refused(answer.code, || answer.remark())?,
        }
        Ok(())
    }

    fn arrived(&mut self, record: &Record<'_>, now: Nanos) {
        let Some((stamp, _)) = record.body.split_first_chunk::<{ STAMP_LEN as usize }>() else { return };
        let (mark, due) = stamp.split_at(8);
        if mark != self.mark {
            return; // another run's
        }
        let due = Nanos::from_be_bytes(due.try_into().expect("eight bytes are left"));
        self.arrived += 1;
        self.run.answered(1, self.body_len);
        if self.run.counts(due) {
            self.run.took(now - due);
        }
    }

    fn send_due(&mut self, now: Nanos, lanes: &mut [Connection]) {
        let mut full = 0;
        while self.schedule.due() <= now && full < self.free.len() {
            let lane = self.next_lane;
            self.next_lane = (lane + 1) % self.free.len();
            let Some(slot) = self.free[lane].pop() else {
                full += 1;
                continue;
            };
            full = 0;
            let out = &mut lanes[lane].outbound;
            let template = &self.templates[self.next_queue];
            self.next_queue = (self.next_queue + 1) % self.templates.len();
            let body_at = template.stamp(out, FIRST_OPAQUE + slot, self.born.digits(now), &mut self.keys);
            out[body_at..body_at + 8].copy_from_slice(&self.mark);
            out[body_at + 8..body_at + 16].copy_from_slice(&self.schedule.due().to_be_bytes());
            self.schedule.advance();
            self.in_flight += 1;
        }
    }
}

impl Load for EndToEnd {
    fn answered(&mut self, lane: usize, answer: Answer<'_>, now: Nanos, out: &mut Vec<u8>) -> Result<()> {
        let slot = answer.opaque.wrapping_sub(FIRST_OPAQUE);
        if lane != self.consumer.lane {
            return self.sent(lane, slot, answer);
        }
        let queue = slot as usize;
        if queue >= self.consumer.next.len() {
            bail!("the server answered request {}, which was not made", answer.opaque);
        }
        self.pulled(queue, answer, now)?;
        self.pull(queue, out);
        Ok(())
    }

    fn turn(&mut self, now: Nanos, lanes: &mut [Connection]) -> Result<Turn> {
        if !self.consumer.started {
            self.consumer.started = true;
            for queue in 0..self.consumer.next.len() {
                self.pull(queue, &mut lanes[self.consumer.lane].outbound);
            }
        }
        if self.run.turn(now)? == Phase::Drain {
            let until = self.run.next_change() + DRAIN;
            let done = self.in_flight == 0 && self.arrived >= self.acknowledged;
            return Ok(if done || now >= until { Turn::Done } else { Turn::WaitUntil(until) });
        }
        self.send_due(now, lanes);
        // What is overdue waits for a free slot, hence for an answer.
        let due = self.schedule.due();
        let wake = if due <= now { self.run.next_change() } else { due };
        Ok(Turn::WaitUntil(wake.min(self.run.next_change())))
    }
}
