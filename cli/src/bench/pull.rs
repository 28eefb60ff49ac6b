//! Pulling: each connection reads its queues from their start, with several pulls ahead, and begins again at the end.

use anyhow::{Result, bail};
use ferromq_model::record::Record;
use ferromq_protocol::code::RequestCode;

use super::frame::{Answer, Encoding, FIRST_OPAQUE, encode};
use super::measure::{Phase, Report, Run};
use super::wire::{Clock, Connection, Load, Nanos, Turn, run as drive};
use super::{Common, Messages, Target, send};

/// How long answers may take to come in after the measured time.
const DRAIN: Nanos = 5_000_000_000;
/// `sysFlag`: the request may wait at the server until there is something.
pub(crate) const SUSPEND: u32 = 2;
/// `sysFlag`: the request says what it wants, so that no consumer needs to be registered.
pub(crate) const SUBSCRIPTION: u32 = 4;

/// `ferromq bench pull`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Messages per pull
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max: u32,
    /// Sends that many messages before, unless the topic has as many already
    #[arg(long, default_value_t = 0)]
    prefill: u64,
    /// Bytes of each body that is sent before
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(0..=4_194_304))]
    body_size: u32,
    /// Decodes every record and compares its checksum
    #[arg(long)]
    verify: bool,
}

/// Runs the load.
pub(crate) fn run(args: &Args) -> Result<Report> {
    let common = &args.common;
    let mut target = common.prepare(1)?;
    let queues = prefilled(common, &mut target, args.prefill, args.body_size)?;
    let mut lanes = common.connect(target.address, common.connections)?;
    let clock = Clock::start();
    let connections = usize::from(common.connections);
    let mut load = Pull {
        run: common.start(clock),
        topic: common.topic.clone(),
        encoding: common.serialization,
        max: args.max,
        verify: args.verify,
        lanes: (0..connections)
            .map(|lane| {
                // Queues are dealt out; with fewer queues than connections some are read by several.
                let mut own: Vec<Queue> =
                    queues.iter().skip(lane % queues.len()).step_by(connections).cloned().collect();
                own.iter_mut().for_each(|queue| queue.next = queue.start);
                Lane { queues: own, turn: 0, asked: vec![Asked::default(); common.in_flight as usize] }
            })
            .collect(),
        in_flight: 0,
        started: false,
    };
    drive(&mut lanes, clock, &mut load)?;
    load.run.report(format!(
        "pull from {} at {}: {} × {} in flight, {} messages a pull",
        common.topic, target.broker.address, common.connections, common.in_flight, args.max
    ))
}

/// The queues that hold messages, once there are as many as wanted.
///
/// # Errors
/// If there are none, or the server takes none.
pub(crate) fn prefilled(
    common: &Common,
    target: &mut Target,
    wanted: u64,
    body_size: u32,
) -> Result<Vec<Queue>> {
    let mut queues = ranges(target, common)?;
    let there: u64 = queues.iter().map(|queue| queue.end - queue.start).sum();
    if there < wanted {
        send::fill(common, &Messages::plain(body_size), target, wanted - there)?;
        queues = ranges(target, common)?;
    }
    queues.retain(|queue| queue.end > queue.start);
    if queues.is_empty() {
        bail!("topic {} holds no messages: --prefill sends some", common.topic);
    }
    Ok(queues)
}

fn ranges(target: &mut Target, common: &Common) -> Result<Vec<Queue>> {
    (0..common.queues)
        .map(|id| {
            let start = target.control.min_offset(&common.topic, id)?;
            let end = target.control.max_offset(&common.topic, id)?;
            Ok(Queue { id, start, end, next: start })
        })
        .collect()
}

/// A queue with its messages.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    /// Its number.
    pub(crate) id: u32,
    /// Its first message.
    pub(crate) start: u64,
    /// One past its last.
    pub(crate) end: u64,
    /// The next to read.
    pub(crate) next: u64,
}

/// What the pull in a slot asked for, and when.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    queue: u32,
    from: u64,
    count: u32,
    at: Nanos,
}

struct Lane {
    queues: Vec<Queue>,
    turn: usize,
    asked: Vec<Asked>,
}

impl Lane {
    /// The next messages, queue after queue, from the start again at the end.
    fn next(&mut self, max: u32) -> Asked {
        let turn = self.turn;
        self.turn = (turn + 1) % self.queues.len();
        let queue = &mut self.queues[turn];
        if queue.next == queue.end {
            queue.next = queue.start;
        }
        let count = u64::from(max).min(queue.end - queue.next) as u32;
        let from = queue.next;
        queue.next += u64::from(count);
        Asked { queue: queue.id, from, count, at: 0 }
    }
}

struct Pull {
    run: Run,
    topic: String,
    encoding: Encoding,
    max: u32,
    verify: bool,
    lanes: Vec<Lane>,
    in_flight: u64,
    started: bool,
}

impl Pull {
    fn ask(&mut self, lane: usize, slot: u32, asked: Asked, out: &mut Vec<u8>) {
        self.lanes[lane].asked[slot as usize] = asked;
        encode_pull(
            out,
            self.encoding,
            slot,
            &self.topic,
            asked.queue,
            asked.from,
            asked.count,
            SUBSCRIPTION,
            0,
        );
        self.in_flight += 1;
    }
}

/// Appends a pull as a subscriber to everything makes it.
#[expect(clippy::too_many_arguments, reason = "a pull has that many parts")]
pub(crate) fn encode_pull(
    out: &mut Vec<u8>,
    encoding: Encoding,
    slot: u32,
    topic: &str,
    queue: u32,
    from: u64,
    max: u32,
    flags: u32,
    wait_millis: u32,
) {
    let (queue, from, max) = (queue.to_string(), from.to_string(), max.to_string());
    let (flags, wait) = (flags.to_string(), wait_millis.to_string());
    let fields = [
        ("commitOffset", "0"),
        ("consumerGroup", "ferromq_bench_consumer"),
        ("expressionType", "TAG"),
        ("maxMsgNums", max.as_str()),
        ("queueId", queue.as_str()),
        ("queueOffset", from.as_str()),
        ("subVersion", "0"),
        ("subscription", "*"),
        ("suspendTimeoutMillis", wait.as_str()),
        ("sysFlag", flags.as_str()),
        ("topic", topic),
    ];
    encode(out, encoding, RequestCode::PullMessage, FIRST_OPAQUE + slot, &fields, b"");
}

/// The records of a pull's answer, by their length fields.
pub(crate) fn records(mut body: &[u8]) -> impl Iterator<Item = Result<&[u8]>> {
    std::iter::from_fn(move || {
        let (len, _) = body.split_first_chunk::<4>()?;
        let Some((record, rest)) = body.split_at_checked(u32::from_be_bytes(*len).max(4) as usize) else {
            body = &[];
            return Some(Err(anyhow::anyhow!("the server sent a record that is cut off")));
        };
        body = rest;
        Some(Ok(record))
    })
}

impl Load for Pull {
    fn answered(&mut self, lane: usize, answer: Answer<'_>, now: Nanos, out: &mut Vec<u8>) -> Result<()> {
        let slot = answer.opaque.wrapping_sub(FIRST_OPAQUE);
        let Some(&asked) = self.lanes[lane].asked.get(slot as usize) else {
            bail!("the server answered request {}, which was not made", answer.opaque);
        };
        self.in_flight -= 1;
        let mut came = 0;
        if answer.code == 0 {
            for record in records(answer.body) {
                let record = record?;
                if self.verify {
                    let record = Record::decode(record)?;
                    record.verify()?;
                    let expected = asked.from + came;
                    if record.queue_offset.0 != expected || record.topic != self.topic {
                        bail!("message {expected} of queue {} is another: {record:?}", asked.queue);
                    }
                }
                came += 1;
            }
            self.run.answered(came, answer.body.len() as u64);
            self.run.took(now - asked.at);
        } else {
            self.run.refused(answer.code, || answer.remark())?;
        }
        if self.run.phase() == Phase::Drain {
            return Ok(());
        }
        // A server may give fewer than were asked for: the rest is asked for again, so that none is skipped.
        let next = if came > 0 && came < u64::from(asked.count) {
            Asked { from: asked.from + came, count: asked.count - came as u32, at: now, ..asked }
        } else {
            Asked { at: now, ..self.lanes[lane].next(self.max) }
        };
        self.ask(lane, slot, next, out);
        Ok(())
    }

    fn turn(&mut self, now: Nanos, lanes: &mut [Connection]) -> Result<Turn> {
        if self.run.turn(now)? == Phase::Drain {
            let until = self.run.next_change() + DRAIN;
            return Ok(if self.in_flight == 0 || now >= until { Turn::Done } else { Turn::WaitUntil(until) });
        }
        if !self.started {
            self.started = true;
            for (lane, connection) in lanes.iter_mut().enumerate() {
                for slot in 0..self.lanes[lane].asked.len() {
                    let asked = Asked { at: now, ..self.lanes[lane].next(self.max) };
                    self.ask(lane, slot as u32, asked, &mut connection.outbound);
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
    fn a_lane_reads_every_message_once_and_then_begins_again() {
        let queue = |id, start, end| Queue { id, start, end, next: start };
        let mut lane = Lane { queues: vec![queue(0, 0, 40), queue(3, 5, 6)], turn: 0, asked: Vec::new() };
        let asked: Vec<_> = (0..6)
            .map(|_| {
                let asked = lane.next(32);
                (asked.queue, asked.from, asked.count)
            })
            .collect();
        assert_eq!(asked, [(0, 0, 32), (3, 5, 1), (0, 32, 8), (3, 5, 1), (0, 0, 32), (3, 5, 1)]);
    }

    #[test]
    fn records_are_told_apart_by_their_lengths() {
        let body = [0, 0, 0, 5, 1, 0, 0, 0, 6, 2, 2];
        let lens: Vec<_> = records(&body).map(|record| record.unwrap().len()).collect();
        assert_eq!(lens, [5, 6]);
        assert!(records(&body[..9]).any(|record| record.is_err()));
    }
}
