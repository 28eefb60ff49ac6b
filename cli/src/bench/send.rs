//! Sending: each connection keeps its requests in flight, or all of them together a fixed rate.

use std::time::Duration;

use anyhow::Result;

use super::frame::{Answer, FIRST_OPAQUE, Template};
use super::measure::{Phase, Report, Run, Watched};
use super::wire::{Clock, Connection, Load, Nanos, Turn, run as drive};
use super::{BornTime, Common, Messages, Target};

/// How long answers may take to come in after the measured time.
const DRAIN: Nanos = 5_000_000_000;

/// `ferromq bench send`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) messages: Messages,
    /// Messages per second; without it, as fast as answers come. Latency counts from when a message was due
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    rate: Option<u64>,
    /// Topics to spread the messages over, made as NAME_0, NAME_1, …
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    topics: u32,
}

/// Runs the load.
pub(crate) fn run(args: &Args) -> Result<Report> {
    let common = &args.common;
    let target = common.prepare(args.topics)?;
    let templates = args.messages.templates(common, &target)?;
    let mut lanes = common.connect(target.address, common.connections)?;
    let clock = Clock::start();
    let mut load = Send::new(common.start(clock), common, &args.messages, templates);
    if let Some(rate) = args.rate {
        load.schedule = Some(Schedule::new(clock.now(), rate as f64 / f64::from(args.messages.batch)));
    }
    drive(&mut lanes, clock, &mut load)?;
    let pace = args.rate.map_or("as fast as answered".to_owned(), |rate| format!("{rate}/s"));
    load.run.report(format!(
        "send to {}{} at {}: {} × {} in flight, {} byte bodies, batches of {}, {pace}",
        common.topic,
        if args.topics == 1 { String::new() } else { format!("_0 … _{}", args.topics - 1) },
        target.broker.address,
        common.connections,
        common.in_flight,
        args.messages.body_size,
        args.messages.batch
    ))
}

/// Sends `count` messages, as fast as they are answered, and waits for the last answer.
pub(crate) fn fill(common: &Common, messages: &Messages, target: &Target, count: u64) -> Result<()> {
    let templates = messages.templates(common, target)?;
    let mut lanes = common.connect(target.address, common.connections)?;
    let clock = Clock::start();
    // The window never closes: the count ends the load.
    let run = Run::new(clock.now(), Duration::ZERO, Duration::from_secs(86_400), Watched::default());
    let mut load = Send::new(run, common, messages, templates);
    load.unsent = count;
    drive(&mut lanes, clock, &mut load)?;
    load.run.report("fill".into()).map(|_| ())
}

/// When requests are due, at a fixed rate.
#[derive(Debug)]
pub(crate) struct Schedule {
    start: Nanos,
    interval: f64,
    next: u64,
}

impl Schedule {
    /// The first request is due at `start`.
    pub(crate) fn new(start: Nanos, per_second: f64) -> Self {
        Self { start, interval: 1e9 / per_second, next: 0 }
    }

    /// When the next request is due.
    pub(crate) fn due(&self) -> Nanos {
        self.start + (self.next as f64 * self.interval) as Nanos
    }

    /// That request was sent.
    pub(crate) fn advance(&mut self) {
        self.next += 1;
    }
}

struct Lane {
    /// By slot: when the request in it was sent, or at a fixed rate was due.
    due: Vec<Nanos>,
    free: Vec<u32>,
    /// Which template comes next.
    queue: usize,
}

struct Send {
    run: Run,
    batch: u64,
    body_len: u64,
    lanes: Vec<Lane>,
    templates: Vec<Template>,
    keys: u64,
    born: BornTime,
    schedule: Option<Schedule>,
    in_flight: u64,
    next_lane: usize,
    /// Requests that may still be sent.
    unsent: u64,
}

impl Send {
    fn new(run: Run, common: &Common, messages: &Messages, templates: Vec<Template>) -> Self {
        Self {
            run,
            batch: u64::from(messages.batch),
            body_len: u64::from(messages.body_size),
            lanes: (0..common.connections)
                .map(|lane| Lane {
                    due: vec![0; common.in_flight as usize],
                    free: (0..common.in_flight).rev().collect(),
                    queue: usize::from(lane) * templates.len() / usize::from(common.connections),
                })
                .collect(),
            templates,
            keys: 0,
            born: BornTime::new(),
            schedule: None,
            in_flight: 0,
            next_lane: 0,
            unsent: u64::MAX,
        }
    }

    fn send(&mut self, lane: usize, slot: u32, due: Nanos, now: Nanos, out: &mut Vec<u8>) {
        let lane = &mut self.lanes[lane];
        lane.due[slot as usize] = due;
        let template = &self.templates[lane.queue];
        lane.queue += 1;
        if lane.queue == self.templates.len() {
            lane.queue = 0;
        }
        template.stamp(out, FIRST_OPAQUE + slot, self.born.digits(now), &mut self.keys);
        self.in_flight += 1;
        self.unsent -= 1;
    }

    /// Sends what is due, as far as connections have room for it.
    fn send_due(&mut self, now: Nanos, lanes: &mut [Connection]) {
        let mut full = 0;
        while let Some(due) = self.schedule.as_ref().map(Schedule::due).filter(|&due| due <= now)
            && full < lanes.len()
        {
            let lane = self.next_lane;
            self.next_lane = (lane + 1) % lanes.len();
            match self.lanes[lane].free.pop() {
                Some(slot) => {
                    self.send(lane, slot, due, now, &mut lanes[lane].outbound);
                    self.schedule.as_mut().expect("it was due").advance();
                    full = 0;
                }
                None => full += 1,
            }
        }
    }
}

impl Load for Send {
    fn answered(&mut self, lane: usize, answer: Answer<'_>, now: Nanos, out: &mut Vec<u8>) -> Result<()> {
        let slot = answer.opaque.wrapping_sub(FIRST_OPAQUE);
        let Some(&due) = self.lanes[lane].due.get(slot as usize) else {
            anyhow::bail!("the server answered request {}, which was not made", answer.opaque);
        };
        self.in_flight -= 1;
        if answer.code == 0 {
            self.run.answered(self.batch, self.batch * self.body_len);
            if self.schedule.is_none() || self.run.counts(due) {
                self.run.took(now - due);
            }
        } else {
            self.run.refused(answer.code, || answer.remark())?;
        }
        if self.schedule.is_none() && self.run.phase() != Phase::Drain && self.unsent > 0 {
            self.send(lane, slot, now, now, out);
        } else {
            self.lanes[lane].free.push(slot);
        }
        Ok(())
    }

    fn turn(&mut self, now: Nanos, lanes: &mut [Connection]) -> Result<Turn> {
        let phase = self.run.turn(now)?;
        if phase == Phase::Drain {
            let until = self.run.next_change() + DRAIN;
            return Ok(if self.in_flight == 0 || now >= until { Turn::Done } else { Turn::WaitUntil(until) });
        }
        if let Some(schedule) = &self.schedule {
            if schedule.due() <= now {
                self.send_due(now, lanes);
            }
            let due = self.schedule.as_ref().expect("just used").due();
            // What is overdue waits for a free slot, hence for an answer.
            let wake = if due <= now { self.run.next_change() } else { due };
            return Ok(Turn::WaitUntil(wake.min(self.run.next_change())));
        }
        if self.unsent == 0 && self.in_flight == 0 {
            return Ok(Turn::Done);
        }
        if self.keys == 0 {
            // The first turn: from here on each answer sends the next request.
            for (lane, connection) in lanes.iter_mut().enumerate() {
                while self.unsent > 0
                    && let Some(slot) = self.lanes[lane].free.pop()
                {
                    self.send(lane, slot, now, now, &mut connection.outbound);
                }
            }
        }
        Ok(Turn::WaitUntil(self.run.next_change()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_does_not_drift() {
        let mut schedule = Schedule::new(7, 3.0);
        for _ in 0..3_000_000 {
            schedule.advance();
        }
        assert_eq!(schedule.due(), 7 + 1_000_000_000_000_000);
    }
}
