//! Popping: each connection pops and acknowledges, several pops ahead, as official clients do that pop.
//!
//! ```text
//! pop ─▶ up to 32 messages ─▶ an acknowledgement each, or one for all ─▶ all answered ─▶ pop
//! ```
//! A message counts once its acknowledgement is answered; latency is that of the pop. When a group has popped the topic
//! to its end, another one begins at the start, so that the messages sent before last for as long as it takes.

use anyhow::{Context as _, Result, bail};
use ferromq_protocol::body::{BatchAck, BatchAckRequest, encode as encode_body};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::header::{Header as _, PopMessageResponse};

use super::frame::{Answer, Encoding, FIRST_OPAQUE, Place, Places, encode};
use super::measure::{Phase, Report, Run};
use super::pull::{Queue, prefilled, records};
use super::wire::{Clock, Connection, Load, Nanos, Turn, run as drive};
use super::{Common, unix_millis};

/// How long answers may take to come in after the measured time.
const DRAIN: Nanos = 5_000_000_000;
/// The most messages that a pop may ask for.
const MAX_MESSAGES: u32 = 32;
/// Opaques of a slot: its pop's, then those of acknowledgements.
const OPAQUES: u32 = 64;

/// How messages are acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Acks {
    /// One by one, as official remoting clients do.
    #[default]
    Single,
    /// All of a pop with one request.
    Batch,
}

/// `ferromq bench pop`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Messages per pop
    #[arg(long, default_value_t = MAX_MESSAGES, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_MESSAGES)))]
    max: u32,
    /// How messages are acknowledged
    #[arg(long, value_enum, default_value_t)]
    acks: Acks,
    /// Sends that many messages before, unless the topic has as many already
    #[arg(long, default_value_t = 0)]
    prefill: u64,
    /// Bytes of each body that is sent before
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(0..=4_194_304))]
    body_size: u32,
    /// Milliseconds that popped messages stay invisible
    #[arg(long, default_value_t = 60_000)]
    invisible: u32,
    /// Milliseconds that a pop may wait for messages
    #[arg(long, default_value_t = 200)]
    wait: u32,
}

/// Runs the load.
pub(crate) fn run(args: &Args) -> Result<Report> {
    let common = &args.common;
    let mut target = common.prepare(1)?;
    if target.broker.name.is_empty() {
        bail!("receipts hold the broker's name, which only a NameServer tells: use --namesrv");
    }
    let queues = prefilled(common, &mut target, args.prefill, args.body_size)?;
    let mut lanes = common.connect(target.address, common.connections)?;
    let clock = Clock::start();
    let slots = vec![Slot::default(); common.in_flight as usize];
    let mut load = Pop {
        run: common.start(clock),
        topic: common.topic.clone(),
        broker: target.broker.name.clone(),
        encoding: common.serialization,
        acks: args.acks,
        max: args.max.to_string(),
        invisible: args.invisible.to_string(),
        wait: args.wait.to_string(),
        lanes: vec![slots; usize::from(common.connections)],
        in_flight: 0,
        started: false,
        groups: Groups { prefix: format!("ferromq_bench_pop_{}", unix_millis()), round: 0 },
        seen: Seen { queues, rounds: Vec::new(), again: 0 },
        ack_frame: AckFrame::default(),
    };
    drive(&mut lanes, clock, &mut load)?;
    let mut report = load.run.report(format!(
        "pop from {} at {}: {} × {} in flight, {} messages a pop, {}",
        common.topic,
        target.broker.address,
        common.connections,
        common.in_flight,
        args.max,
        if args.acks == Acks::Single { "acknowledged one by one" } else { "acknowledged together" }
    ))?;
    report.again = Some(load.seen.again);
    Ok(report)
}

/// The groups that pop, one after the other.
struct Groups {
    prefix: String,
    round: u32,
}

impl Groups {
    fn name(&self, round: u32) -> String {
        format!("{}_{round}", self.prefix)
    }
}

/// Which messages came, by the group that popped them.
struct Seen {
    queues: Vec<Queue>,
    /// Of each round and queue one bit for each message.
    rounds: Vec<Vec<Vec<u64>>>,
    /// Messages that came another time.
    again: u64,
}

impl Seen {
    fn note(&mut self, round: u32, portion: &Portion<'_>) {
        if portion.origin != "0" {
            self.again += portion.offsets().count() as u64;
            return;
        }
        while self.rounds.len() <= round as usize {
            let words = |queue: &Queue| vec![0; (queue.end - queue.start).div_ceil(64) as usize];
            self.rounds.push(self.queues.iter().map(words).collect());
        }
        let Some(at) = self.queues.iter().position(|queue| queue.id == portion.queue) else { return };
        let (start, bits) = (self.queues[at].start, &mut self.rounds[round as usize][at]);
        for place in portion.offsets().filter_map(|offset| offset.checked_sub(start)) {
            if let Some(word) = bits.get_mut(place as usize / 64) {
                let bit = 1 << (place % 64);
                self.again += u64::from(*word & bit != 0);
                *word |= bit;
            }
        }
    }
}

/// One pop with its acknowledgements.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// When the pop was sent.
    at: Nanos,
    /// Whose group it was.
    round: u32,
    /// Acknowledgements that are not answered.
    unanswered: u32,
    /// Messages that each of them is for.
    messages: u64,
    /// Bytes of each message.
    bytes: u64,
}

struct Pop {
    run: Run,
    topic: String,
    broker: String,
    encoding: Encoding,
    acks: Acks,
    max: String,
    invisible: String,
    wait: String,
    lanes: Vec<Vec<Slot>>,
    in_flight: u64,
    started: bool,
    groups: Groups,
    seen: Seen,
    ack_frame: AckFrame,
}

/// What a pop's answer says of one queue: `origin queue offset,offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Portion<'a> {
    origin: &'a str,
    queue: u32,
    start: u64,
    offsets: &'a str,
}

impl<'a> Portion<'a> {
    fn offsets(&self) -> impl Iterator<Item = u64> + use<'a> {
        self.offsets.split(',').filter_map(|offset| offset.parse().ok())
    }
}

/// The portions of an answer by its two lists.
fn portions<'a>(starts: &'a str, offsets: &'a str) -> Option<Vec<Portion<'a>>> {
    let one = |(start, offsets): (&'a str, &'a str)| {
        let (key, start) = start.rsplit_once(' ')?;
        let (origin, queue) = key.split_once(' ')?;
        let (same, offsets) = offsets.rsplit_once(' ')?;
        let portion = Portion { origin, queue: queue.parse().ok()?, start: start.parse().ok()?, offsets };
        (same == key && portion.offsets().count() == offsets.split(',').count()).then_some(portion)
    };
    starts.split(';').zip(offsets.split(';')).map(one).collect()
}

impl Pop {
    fn pop(&mut self, lane: usize, slot: usize, now: Nanos, out: &mut Vec<u8>) {
        let round = self.groups.round;
        self.lanes[lane][slot] = Slot { at: now, round, ..Slot::default() };
        let (born, group) = (unix_millis().to_string(), self.groups.name(round));
        let fields = [
            ("bname", self.broker.as_str()),
            ("bornTime", born.as_str()),
            ("consumerGroup", group.as_str()),
            ("exp", "*"),
            ("expType", "TAG"),
            ("initMode", "0"),
            ("invisibleTime", self.invisible.as_str()),
            ("maxMsgNums", self.max.as_str()),
            ("order", "false"),
            ("pollTime", self.wait.as_str()),
            ("queueId", "-1"),
            ("topic", self.topic.as_str()),
        ];
        let opaque = FIRST_OPAQUE + slot as u32 * OPAQUES;
        encode(out, self.encoding, RequestCode::PopMessage, opaque, &fields, b"");
        self.in_flight += 1;
    }

    fn popped(
        &mut self,
        lane: usize,
        slot: usize,
        answer: Answer<'_>,
        now: Nanos,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        use ResponseCode::{PollingFull, PollingTimeout, PullNotFound, Success};
        let popped = match ResponseCode::from_i32(answer.code) {
            Some(code @ (Success | PollingFull | PollingTimeout | PullNotFound)) => code,
            _ => {
                self.run.refused(answer.code, || answer.remark())?;
                self.pop(lane, slot, now, out);
                return Ok(());
            }
        };
        if self.run.counts(self.lanes[lane][slot].at) {
            self.run.took(now - self.lanes[lane][slot].at);
        }
        let round = self.lanes[lane][slot].round;
        answer.with_fields(|fields| {
            let header = PopMessageResponse::decode(fields).context("a pop's answer lacks fields")?;
            if header.rest == 0 && round == self.groups.round {
                self.groups.round += 1;
            }
            if popped == Success {
                self.acknowledge(lane, slot, &header, answer.body, out)?;
            }
            anyhow::Ok(())
        })??;
        if self.lanes[lane][slot].unanswered == 0 {
            self.pop(lane, slot, now, out);
        }
        Ok(())
    }

    fn acknowledge(
        &mut self,
        lane: usize,
        slot: usize,
        header: &PopMessageResponse<'_>,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let round = self.lanes[lane][slot].round;
        let group = self.groups.name(round);
        let portions = portions(header.starts, header.offsets)
            .with_context(|| format!("what was popped is not understood: {header:?}"))?;
        let opaque = FIRST_OPAQUE + slot as u32 * OPAQUES + 1;
        let mut count = 0;
        let mut batch = Vec::new();
        for portion in &portions {
            self.seen.note(round, portion);
            match self.acks {
                Acks::Single => {
                    self.ack_frame.begin(self.encoding, &self.broker, &self.topic, &group, portion, header);
                    for offset in portion.offsets() {
                        self.ack_frame.stamp(out, opaque + count, offset);
                        count += 1;
                    }
                }
                Acks::Batch => {
                    count += portion.offsets().count() as u32;
                    batch.push(acked_together(&self.topic, &group, portion, header));
                }
            }
        }
        let came = records(body).collect::<Result<Vec<_>>>()?.len();
        if came != count as usize {
            bail!("a pop brought {came} messages and tells of {count}");
        }
        let state = &mut self.lanes[lane][slot];
        state.bytes = body.len() as u64 / u64::from(count.max(1));
        (state.unanswered, state.messages) = match self.acks {
            Acks::Single => (count, 1),
            Acks::Batch => (1, u64::from(count)),
        };
        if self.acks == Acks::Batch {
            let request = BatchAckRequest { acks: batch, broker_name: Some(self.broker.clone()) };
            let body = encode_body(&request);
            encode(out, self.encoding, RequestCode::BatchAckMessage, opaque, &[], &body);
        }
        self.in_flight += u64::from(state.unanswered);
        Ok(())
    }

    fn acked(&mut self, lane: usize, slot: usize, answer: Answer<'_>) -> Result<bool> {
        let state = &mut self.lanes[lane][slot];
        state.unanswered =
            state.unanswered.checked_sub(1).context("the server answered an acknowledgement twice")?;
        if answer.code == 0 {
            self.run.answered(state.messages, state.messages * state.bytes);
        } else {
            self.run.refused(answer.code, || answer.remark())?;
        }
        Ok(state.unanswered == 0)
    }
}

fn acked_together(
    topic: &str,
    group: &str,
    portion: &Portion<'_>,
    header: &PopMessageResponse<'_>,
) -> BatchAck {
    let mut bits = [0; 8];
    for distance in portion.offsets().filter_map(|offset| offset.checked_sub(portion.start)) {
        if let Some(byte) = bits.get_mut(distance as usize / 8) {
            *byte |= 1 << (distance % 8);
        }
    }
    BatchAck {
        bits: base64(&bits),
        group: group.to_owned(),
        invisible: header.invisible.0 as i64,
        popped: header.popped,
        queue: ferromq_model::QueueId(portion.queue),
        retry: portion.origin.to_owned(),
        revive_queue: header.revive_queue,
        start: ferromq_model::QueueOffset(portion.start),
        topic: topic.to_owned(),
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for part in bytes.chunks(3) {
        let number =
            part.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - part.len()));
        for digit in 0..4 {
            let value = number >> (18 - 6 * digit) & 63;
            text.push(if digit > part.len() { '=' } else { DIGITS[value as usize] as char });
        }
    }
    text
}

/// The frame of an acknowledgement: those of one portion differ in the message's offset alone, which stands in two places.
#[derive(Debug, Default)]
struct AckFrame {
    fields: [(&'static str, String); 6],
    encoding: Encoding,
    receipt: String,
    digits: usize,
    frame: Places,
}

impl AckFrame {
    fn begin(
        &mut self,
        encoding: Encoding,
        broker: &str,
        topic: &str,
        group: &str,
        portion: &Portion<'_>,
        header: &PopMessageResponse<'_>,
    ) {
        let Portion { origin, queue, start, .. } = portion;
        let PopMessageResponse { popped, invisible, revive_queue, .. } = header;
        self.receipt = format!("{start} {popped} {} {revive_queue} {origin} {broker} {queue} ", invisible.0);
        let topic = match *origin {
            "1" => format!("%RETRY%{group}_{topic}"),
            "2" => format!("%RETRY%{group}+{topic}"),
            _ => topic.to_owned(),
        };
        let own = str::to_owned;
        self.fields = [
            ("bname", own(broker)),
            ("consumerGroup", own(group)),
            ("extraInfo", String::new()),
            ("offset", String::new()),
            ("queueId", queue.to_string()),
            ("topic", topic),
        ];
        self.encoding = encoding;
        self.digits = 0;
    }

    fn stamp(&mut self, out: &mut Vec<u8>, opaque: u32, offset: u64) {
        let digits = offset.checked_ilog10().unwrap_or(0) as usize + 1;
        if digits != self.digits {
            // A stand-in of the same length: lengths within the frame stay true.
            let stand_in = "#".repeat(digits);
            self.fields[2].1 = format!("{}{stand_in}", self.receipt);
            self.fields[3].1 = stand_in;
            let fields: Vec<_> = self.fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let stand_in = self.fields[3].1.as_bytes();
            self.frame = Places::find(self.encoding, RequestCode::AckMessage, &fields, stand_in);
            self.digits = digits;
        }
        self.frame.stamp(out, opaque, |place: Place<'_>| place.write_number(offset));
    }
}

impl Load for Pop {
    fn answered(&mut self, lane: usize, answer: Answer<'_>, now: Nanos, out: &mut Vec<u8>) -> Result<()> {
        let number = answer.opaque.wrapping_sub(FIRST_OPAQUE);
        let (slot, part) = ((number / OPAQUES) as usize, number % OPAQUES);
        if slot >= self.lanes[lane].len() {
            bail!("the server answered request {}, which was not made", answer.opaque);
        }
        self.in_flight -= 1;
        if self.run.phase() == Phase::Drain {
            return Ok(());
        }
        if part == 0 {
            return self.popped(lane, slot, answer, now, out);
        }
        if self.acked(lane, slot, answer)? {
            self.pop(lane, slot, now, out);
        }
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
                for slot in 0..self.lanes[lane].len() {
                    self.pop(lane, slot, now, &mut connection.outbound);
                }
            }
        }
        Ok(Turn::WaitUntil(self.run.next_change()))
    }
}

#[cfg(test)]
mod tests {
    use ferromq_model::Millis;
    use ferromq_model::Timestamp;

    use super::*;

    const HEADER: PopMessageResponse<'static> = PopMessageResponse {
        popped: Timestamp(1_700_000_000_000),
        invisible: Millis(60_000),
        revive_queue: 3,
        rest: 0,
        starts: "0 2 9;1 0 5",
        offsets: "0 2 9,10;1 0 5",
        order_counts: None,
    };

    #[test]
    fn the_lists_of_an_answer_are_read_together() {
        let read = portions(HEADER.starts, HEADER.offsets).unwrap();
        let offsets: Vec<Vec<u64>> = read.iter().map(|portion| portion.offsets().collect()).collect();
        assert_eq!(offsets, [vec![9, 10], vec![5]]);
        assert_eq!((read[0].queue, read[0].start, read[1].origin), (2, 9, "1"));
        for (starts, offsets) in [("0 2 9", "0 3 9"), ("0 2", "0 2 9"), ("0 2 9", "0 2 9,x"), ("", "")] {
            assert_eq!(portions(starts, offsets), None, "{starts} {offsets}");
        }
    }

    #[test]
    fn a_stamped_acknowledgement_equals_one_that_was_built_with_its_values() {
        let read = portions(HEADER.starts, HEADER.offsets).unwrap();
        let mut frame = AckFrame::default();
        frame.begin(Encoding::Json, "b", "T", "G", &read[0], &HEADER);
        for (opaque, offset) in [(10_000_001, 9), (10_000_002, 10)] {
            let mut out = Vec::new();
            frame.stamp(&mut out, opaque, offset);
            let (receipt, offset) = (format!("9 1700000000000 60000 3 0 b 2 {offset}"), offset.to_string());
            let fields = [
                ("bname", "b"),
                ("consumerGroup", "G"),
                ("extraInfo", receipt.as_str()),
                ("offset", offset.as_str()),
                ("queueId", "2"),
                ("topic", "T"),
            ];
            let mut expected = Vec::new();
            encode(&mut expected, Encoding::Json, RequestCode::AckMessage, opaque, &fields, b"");
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn messages_acknowledged_together_are_bits_behind_the_start() {
        let read = portions("0 2 9", "0 2 9,18").unwrap();
        let ack = acked_together("T", "G", &read[0], &HEADER);
        let offsets: Vec<_> = ack.offsets(64).unwrap().iter().map(|offset| offset.0).collect();
        assert_eq!((offsets, ack.bits.len()), (vec![9, 18], 12));
    }

    #[test]
    fn a_message_that_comes_another_time_is_told() {
        let queue = Queue { id: 2, start: 5, end: 200, next: 5 };
        let mut seen = Seen { queues: vec![queue], rounds: Vec::new(), again: 0 };
        let list = portions("0 2 9;1 0 5", "0 2 9,10;1 0 5").unwrap();
        seen.note(1, &list[0]);
        assert_eq!(seen.again, 0);
        seen.note(0, &list[0]);
        assert_eq!(seen.again, 0);
        seen.note(1, &list[0]);
        assert_eq!(seen.again, 2);
        seen.note(1, &list[1]);
        assert_eq!(seen.again, 3);
    }
}
