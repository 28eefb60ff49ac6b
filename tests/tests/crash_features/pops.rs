//! Pops: every message is handed out, again whenever nobody acknowledged it in time, and no more once somebody did.
//!
//! One connection of each round sends, the others pop, and draw for each message whether to acknowledge it, alone or
//! with others, to ask for more time first, or to let it go.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use ferromq_model::{Millis, QueueId, QueueOffset, Timestamp};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::header::{AckMessage, ChangeInvisibleTime, PopMessage};
use ferromq_tests::Random;
use ferromq_tests::random::seed;
use ferromq_tests::remoting::{Answer, Connection, PATIENCE, send_header};

use super::{BROKER, GROUP, Id, KILLS, body_of, id_of, launch, load_and_kill, open};

const TOPIC: &str = "CrashPops";
/// Where v1 of pops has messages come again.
const RETRY_TOPIC: &str = "%RETRY%crash-features_CrashPops";
const QUEUES: u64 = 4;
const LEASE: Millis = Millis(2000);
/// What a lease is prolonged by: long enough to outlast a kill and a start.
const PROLONGED: Millis = Millis(4000);
/// An acknowledgement is only held to what it promises if it was answered so long before the end of its lease: what
/// comes later may find the message on its way to the next.
const IN_TIME: Millis = Millis(700);

/// A message in somebody's hands.
struct Lease {
    id: Id,
    topic: &'static str,
    queue: QueueId,
    offset: QueueOffset,
    /// Where the pop started, when it was, how long it lasts, and the queue of the revive topic.
    start: u64,
    popped: Timestamp,
    lasts: Millis,
    revive_queue: u32,
}

impl Lease {
    fn end(&self) -> Timestamp {
        Timestamp(self.popped.0 + self.lasts.0 as i64)
    }

    fn retry_flag(&self) -> u32 {
        u32::from(self.topic == RETRY_TOPIC)
    }

    fn receipt(&self) -> String {
        let Self { start, popped, lasts, revive_queue, queue, offset, .. } = self;
        let retry = self.retry_flag();
        format!("{start} {popped} {} {revive_queue} {retry} {BROKER} {queue} {offset}", lasts.0)
    }

    /// Reads what a message carries that came from the retry topic.
    fn of_receipt(id: Id, receipt: &str) -> Self {
        let fields: Vec<_> = receipt.split(' ').collect();
        let number = |at: usize| fields[at].parse::<u64>().expect("a receipt's numbers");
        assert_eq!((fields.len(), fields[4], fields[5]), (8, "1", BROKER), "{receipt}");
        Self {
            id,
            topic: RETRY_TOPIC,
            queue: QueueId(number(6) as u32),
            offset: QueueOffset(number(7)),
            start: number(0),
            popped: Timestamp(number(1) as i64),
            lasts: Millis(number(2)),
            revive_queue: number(3) as u32,
        }
    }
}

/// What one connection saw.
#[derive(Default)]
struct Page {
    sent: Vec<Id>,
    seen: Vec<(Timestamp, Id, Seen)>,
}

/// What befell a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    /// It was handed out until then.
    Out(Timestamp),
    /// Its lease lasts until then.
    Prolonged(Timestamp),
    /// It was acknowledged in time.
    Done,
    /// It was acknowledged or prolonged late, or without an answer.
    Unsure,
}

impl Page {
    /// Notes by the broker's clock that a lease began: this thread may have waited for its turn since.
    fn began(&mut self, lease: &Lease, seen: impl FnOnce(Timestamp) -> Seen) {
        self.seen.push((lease.popped, lease.id, seen(lease.end())));
    }

    /// Notes how an acknowledgement was answered, if it was.
    fn answered(&mut self, lease: &Lease, answer: Option<&Answer>) {
        let now = Timestamp::now();
        let in_time = now.0 + IN_TIME.0 as i64 <= lease.end().0;
        let success = answer.is_some_and(|answer| answer.code == ResponseCode::Success.code());
        self.seen.push((now, lease.id, if in_time && success { Seen::Done } else { Seen::Unsure }));
    }
}

fn take_part(broker: SocketAddr, round: u64, which: u64, mut random: Random, told: &SyncSender<()>) -> Page {
    let mut page = Page::default();
    let Ok(mut connection) = Connection::open(broker) else { return page };
    if which == 0 {
        send(&mut connection, round, &mut page, told);
        return page;
    }
    while let Ok((answer, leases)) = pop(&mut connection, LEASE, Millis(500)) {
        if answer.code == ResponseCode::TopicNotExist.code() {
            continue;
        }
        leases.iter().for_each(|lease| page.began(lease, Seen::Out));
        let mut together = Vec::new();
        for lease in leases {
            match random.within(0..4) {
                0 => together.push(lease),
                1 => {
                    let Ok(()) = acknowledge(&mut connection, &lease, &mut page) else { return page };
                }
                2 => {
                    let Ok(lease) = prolong(&mut connection, lease, &mut page) else { return page };
                    if random.one_in(2) {
                        let Ok(()) = acknowledge(&mut connection, &lease, &mut page) else { return page };
                    }
                }
                _ => {}
            }
        }
        let Ok(()) = acknowledge_together(&mut connection, &together, &mut page) else { return page };
        let _ = told.send(());
    }
    page
}

fn send(connection: &mut Connection, round: u64, page: &mut Page, told: &SyncSender<()>) {
    for count in 0.. {
        let id = (round, 0, count);
        let header = send_header(TOPIC, (count % QUEUES) as u32, "");
        match connection.ask(RequestCode::SendMessageV2, &header, &body_of(id)) {
            Ok(answer) if answer.code == ResponseCode::Success.code() => page.sent.push(id),
            Ok(answer) => assert_eq!(answer.code, ResponseCode::FlushDiskTimeout.code(), "{answer:?}"),
            Err(_) => return,
        }
        let _ = told.send(());
    }
}

fn pop(connection: &mut Connection, lease: Millis, wait: Millis) -> std::io::Result<(Answer, Vec<Lease>)> {
    let header = PopMessage {
        group: GROUP,
        topic: TOPIC,
        queue: None,
        max: 16,
        invisible: lease,
        wait,
        born: Timestamp::now(),
        start: 0,
        expression_kind: "TAG",
        expression: "*",
        order: false,
        attempt: None,
    };
    let answer = connection.ask(RequestCode::PopMessage, &header, &[])?;
    let expected = [ResponseCode::Success, ResponseCode::PollingTimeout, ResponseCode::TopicNotExist];
    assert!(expected.iter().any(|code| code.code() == answer.code), "{answer:?}");
    if answer.code != ResponseCode::Success.code() {
        return Ok((answer, Vec::new()));
    }
    let starts: HashMap<(u32, u32), u64> = answer
        .field::<String>("startOffsetInfo")
        .split(';')
        .map(|part| {
            let mut parts = part.split(' ').map(|part| part.parse::<u64>().expect("a start is numbers"));
            let mut part = || parts.next().expect("a start is three numbers");
            ((part() as u32, part() as u32), part())
        })
        .collect();
    let (popped, lasts) = (Timestamp(answer.field("popTime")), Millis(answer.field("invisibleTime")));
    let revive_queue = answer.field("reviveQid");
    let leases = answer
        .records()
        .iter()
        .map(|record| {
            let id = id_of(record);
            match ferromq_model::message::find_property(record.properties, "POP_CK") {
                Some(receipt) => Lease::of_receipt(id, receipt),
                None => Lease {
                    id,
                    topic: TOPIC,
                    queue: record.queue_id,
                    offset: record.queue_offset,
                    start: starts[&(0, record.queue_id.0)],
                    popped,
                    lasts,
                    revive_queue,
                },
            }
        })
        .collect();
    Ok((answer, leases))
}

fn acknowledge(connection: &mut Connection, lease: &Lease, page: &mut Page) -> std::io::Result<()> {
    let receipt = lease.receipt();
    let header = AckMessage {
        group: GROUP,
        topic: lease.topic,
        queue: Some(lease.queue),
        receipt: &receipt,
        offset: Some(lease.offset),
    };
    let answer = connection.ask(RequestCode::AckMessage, &header, &[]);
    page.answered(lease, answer.as_ref().ok());
    answer.map(|_| ())
}

fn acknowledge_together(
    connection: &mut Connection,
    leases: &[Lease],
    page: &mut Page,
) -> std::io::Result<()> {
    if leases.is_empty() {
        return Ok(());
    }
    let acks: Vec<String> = leases
        .iter()
        .map(|lease| {
            let bits = base64_of_bit(lease.offset.0 - lease.start);
            let Lease { start, popped, lasts: Millis(lasts), revive_queue, queue, .. } = lease;
            let retry = lease.retry_flag();
            format!(
                r#"{{"b":"{bits}","c":"{GROUP}","it":{lasts},"pt":{popped},"q":{queue},"r":"{retry}","rq":{revive_queue},"so":{start},"t":"{TOPIC}"}}"#
            )
        })
        .collect();
    let body = format!(r#"{{"acks":[{}],"brokerName":"{BROKER}"}}"#, acks.join(","));
    let answer = connection.ask(RequestCode::BatchAckMessage, &(), body.as_bytes());
    for lease in leases {
        page.answered(lease, answer.as_ref().ok());
    }
    answer.map(|_| ())
}

/// A bit set with one bit, as Java writes it.
fn base64_of_bit(bit: u64) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = vec![0_u8; bit as usize / 8 + 1];
    bytes[bit as usize / 8] = 1 << (bit % 8);
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let byte = |at| three.get(at).copied().map_or(0, u32::from);
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..=three.len() {
            text.push(DIGITS[(word >> (18 - 6 * digit)) as usize & 63].into());
        }
        text.extend(std::iter::repeat_n('=', 3 - three.len()));
    }
    text
}

fn prolong(connection: &mut Connection, lease: Lease, page: &mut Page) -> std::io::Result<Lease> {
    let receipt = lease.receipt();
    let header = ChangeInvisibleTime {
        group: GROUP,
        topic: lease.topic,
        queue: Some(lease.queue),
        receipt: &receipt,
        offset: Some(lease.offset),
        invisible: PROLONGED,
    };
    let answer = connection.ask(RequestCode::ChangeMessageInvisibleTime, &header, &[]);
    let Ok(answer) = answer else {
        page.seen.push((Timestamp::now(), lease.id, Seen::Unsure));
        return answer.map(|_| lease);
    };
    assert_eq!(answer.code, ResponseCode::Success.code(), "{answer:?}");
    let in_time = Timestamp::now().0 + IN_TIME.0 as i64 <= lease.end().0;
    let lease = Lease {
        start: lease.offset.0,
        popped: Timestamp(answer.field("popTime")),
        lasts: Millis(answer.field("invisibleTime")),
        revive_queue: answer.field("reviveQid"),
        ..lease
    };
    page.began(&lease, |end| if in_time { Seen::Prolonged(end) } else { Seen::Unsure });
    Ok(lease)
}

fn pops_survive(flush: &str) {
    let began = Instant::now();
    let mut random = Random::new(seed(flush));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let launch = launch(flush, dir.path());
    let mut pages = Vec::new();
    for round in 0..KILLS {
        let acks = random.within(20..400);
        pages.extend(load_and_kill(launch.start(), round, acks, &mut random, take_part));
    }
    // From now on all is acknowledged, until a pop that waits for longer than any lease finds nothing, and nothing is
    // missing: a broker that is slow hands out again later than that.
    let server = launch.start();
    let mut connection = open(server.broker());
    let mut last = Page::default();
    let ends = |seen| matches!(seen, Seen::Done | Seen::Unsure);
    let mut missing: HashSet<Id> = pages.iter().flat_map(|page| &page.sent).copied().collect();
    for (_, id, _) in pages.iter().flat_map(|page| &page.seen).filter(|(_, _, seen)| ends(*seen)) {
        missing.remove(id);
    }
    let until = Instant::now() + 2 * PATIENCE;
    loop {
        let (_, leases) =
            pop(&mut connection, Millis(20_000), Millis(PROLONGED.0 + 4000)).expect("an answer");
        let in_time = Instant::now() < until;
        if leases.is_empty() && (missing.is_empty() || !in_time) {
            break;
        }
        for lease in &leases {
            last.began(lease, Seen::Out);
            acknowledge(&mut connection, lease, &mut last).expect("an answer");
            missing.remove(&lease.id);
        }
        assert!(in_time || leases.is_empty(), "pops find messages for ever\n{}", server.log_tail());
    }
    pages.push(last);

    let mut stories: BTreeMap<Id, Vec<(Timestamp, Seen)>> = BTreeMap::new();
    for (at, id, seen) in pages.iter().flat_map(|page| &page.seen) {
        stories.entry(*id).or_default().push((*at, *seen));
    }
    stories.values_mut().for_each(|story| story.sort_unstable());
    let tally: Tally = stories.values().map(|story| Tally::of(story)).sum();
    let sent: Vec<Id> = pages.iter().flat_map(|page| &page.sent).copied().collect();
    println!("{flush}: {KILLS} kills, {} messages sent; {tally:?}; {:?}", sent.len(), began.elapsed());
    // The last to whom a message was handed acknowledged it: one that is let go, and not handed out again, is lost.
    let is_ended = |id: &&Id| stories.get(*id).is_some_and(|story| story.iter().any(|&(_, seen)| ends(seen)));
    let lost: Vec<_> = sent.iter().filter(|id| !is_ended(id)).collect();
    assert!(lost.is_empty(), "{} of {} were never acknowledged: {lost:?}", lost.len(), sent.len());
    // What is handed out lies behind its check point, and what is acknowledged behind the record of that.
    let too_often: Vec<_> = stories.iter().filter(|(_, story)| !Tally::of(story).is_promised()).collect();
    assert!(too_often.is_empty(), "handed out too often: {too_often:?}\n{}", server.log_tail());
    server.stop();
}

/// How often messages were handed out.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    first: u64,
    /// Again, when their lease was over.
    again: u64,
    /// Again, after an acknowledgement or prolongation that came late or was not answered.
    unsure: u64,
    /// Again before their lease was over.
    early: u64,
    /// Again after they were acknowledged in time.
    after_done: u64,
}

impl Tally {
    /// Counts what befell one message, in order.
    fn of(story: &[(Timestamp, Seen)]) -> Self {
        let mut tally = Self::default();
        let (mut is_done, mut is_unsure, mut end) = (false, false, None);
        for &(at, seen) in story {
            match seen {
                Seen::Done => is_done = true,
                Seen::Unsure => is_unsure = true,
                Seen::Prolonged(until) => end = Some(until),
                Seen::Out(until) => {
                    match end {
                        None => tally.first += 1,
                        _ if is_unsure => tally.unsure += 1,
                        _ if is_done => tally.after_done += 1,
                        Some(end) if at < end => tally.early += 1,
                        Some(_) => tally.again += 1,
                    }
                    end = Some(until);
                }
            }
        }
        tally
    }

    fn is_promised(&self) -> bool {
        self.early == 0 && self.after_done == 0
    }
}

impl std::iter::Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self {
            first: a.first + b.first,
            again: a.again + b.again,
            unsure: a.unsure + b.unsure,
            early: a.early + b.early,
            after_done: a.after_done + b.after_done,
        })
    }
}

#[test]
fn pops_survive_kills_with_async_flush() {
    pops_survive("ASYNC_FLUSH");
}

#[test]
fn pops_survive_kills_with_sync_flush() {
    pops_survive("SYNC_FLUSH");
}
