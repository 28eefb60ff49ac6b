//! Delayed and timed messages: each that was acknowledged is delivered once, and not before its time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use ferromq_model::Timestamp;
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_tests::Random;
use ferromq_tests::random::seed;
use ferromq_tests::remoting::{Connection, send_header};

use super::{Id, KILLS, again, body_of, id_of, launch, load_and_kill, open, read_queue, wait_for_all};

/// Steps of the broker's timers, in milliseconds: what is delivered may be early by one.
const PRECISION: i64 = 1000;
const LATER: &str = "CrashLater";

fn send_later(
    broker: SocketAddr,
    round: u64,
    which: u64,
    mut random: Random,
    told: &SyncSender<()>,
) -> Vec<(Id, i64)> {
    let mut acknowledged = Vec::new();
    let Ok(mut connection) = Connection::open(broker) else { return acknowledged };
    for count in 0.. {
        let id = (round, which, count);
        let delay = random.within(1..4) as i64 * 1000;
        let due = Timestamp::now().0 + delay;
        let how = match random.within(0..3) {
            0 => format!("DELAY\u{1}{}", delay / 1000),
            1 => format!("TIMER_DELAY_MS\u{1}{delay}"),
            _ => format!("TIMER_DELIVER_MS\u{1}{due}"),
        };
        let properties = format!("KEYS\u{1}k\u{2}UNIQ_KEY\u{1}L{round}.{which}.{count}\u{2}{how}\u{2}");
        let header = send_header(LATER, 0, &properties);
        match connection.ask(RequestCode::SendMessageV2, &header, &body_of(id)) {
            Ok(answer) if answer.code == ResponseCode::Success.code() => acknowledged.push((id, due)),
            Ok(answer) => assert_eq!(answer.code, ResponseCode::FlushDiskTimeout.code(), "{answer:?}"),
            Err(_) => break,
        }
        let _ = told.send(());
    }
    acknowledged
}

fn later_survives(flush: &str) {
    let began = Instant::now();
    let mut random = Random::new(seed(flush));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let launch = launch(flush, dir.path());
    let mut due = BTreeMap::new();
    for round in 0..KILLS {
        let acks = random.within(20..400);
        for page in load_and_kill(launch.start(), round, acks, &mut random, send_later) {
            due.extend(page);
        }
    }
    let server = launch.start();
    let found = wait_for_all(server.broker(), LATER, &due.keys().copied().collect());
    read_queue(&mut open(server.broker()), LATER, 0, |record| {
        if let Some(due) = due.get(&id_of(record)) {
            let early = due - record.stored.0;
            assert!(early <= PRECISION, "{:?} came {early} ms before its time", id_of(record));
        }
    });
    println!(
        "{flush}: {KILLS} kills, {} delayed and timed messages acknowledged, {} delivered again; {:?}",
        due.len(),
        again(&found),
        began.elapsed()
    );
    // What is delivered names what it was, so the log proves it after a crash.
    let mut twice = Vec::new();
    read_queue(&mut open(server.broker()), LATER, 0, |record| {
        if found[&id_of(record)] > 1 {
            twice.push(format!("{:?} at {:?}: {:?}", id_of(record), record.stored, record.properties));
        }
    });
    assert!(twice.is_empty(), "delivered again: {}\n{}", twice.join("\n"), server.log_tail());
    server.stop();
}

#[test]
fn delayed_and_timed_messages_survive_kills_with_async_flush() {
    later_survives("ASYNC_FLUSH");
}

#[test]
fn delayed_and_timed_messages_survive_kills_with_sync_flush() {
    later_survives("SYNC_FLUSH");
}
