//! Orderly consumption: an ordered queue goes on where its group had committed, in order, under locks that die with
//! the broker.

use std::time::Instant;

use ferromq_model::{QueueId, QueueOffset};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::header::{QueryConsumerOffset, UpdateConsumerOffset};
use ferromq_tests::Random;
use ferromq_tests::random::seed;
use ferromq_tests::remoting::{Connection, pull_header, send_header};

use super::{BROKER, GROUP, Id, KILLS, body_of, id_of, launch, open};

const ORDERED: &str = "CrashOrdered";

fn lock(connection: &mut Connection, client: &str) -> bool {
    let queue = format!(r#"{{"brokerName":"{BROKER}","queueId":0,"topic":"{ORDERED}"}}"#);
    let body = format!(
        r#"{{"clientId":"{client}","consumerGroup":"{GROUP}","mqSet":[{queue}],"onlyThisBroker":false}}"#
    );
    let answer = connection.ask(RequestCode::LockBatchMq, &(), body.as_bytes()).expect("an answer");
    String::from_utf8_lossy(&answer.body).contains(ORDERED)
}

/// Makes the group: nobody's position is kept for one that was never there.
fn make_group(connection: &mut Connection) {
    let body = format!(r#"{{"groupName":"{GROUP}"}}"#);
    let code = RequestCode::UpdateAndCreateSubscriptionGroup;
    let answer = connection.ask(code, &(), body.as_bytes()).expect("an answer");
    assert_eq!(answer.code, ResponseCode::Success.code(), "{answer:?}");
}

fn position(connection: &mut Connection) -> u64 {
    let header =
        QueryConsumerOffset { group: GROUP, topic: ORDERED, queue: QueueId(0), zero_if_unknown: true };
    let answer = connection.ask(RequestCode::QueryConsumerOffset, &header, &[]).expect("an answer");
    if answer.code == ResponseCode::Success.code() { answer.field("offset") } else { 0 }
}

fn orderly_survives(flush: &str) {
    let began = Instant::now();
    let mut random = Random::new(seed(flush));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let launch = launch(flush, dir.path());
    let mut sent: Vec<Id> = Vec::new();
    let (mut repeated, mut consumed) = (0, 0_u64);
    for round in 0..=KILLS {
        let server = launch.start();
        let mut connection = open(server.broker());
        make_group(&mut connection);
        let from = position(&mut connection);
        assert!(from <= consumed, "the group goes on at {from}, and got to {consumed} before");
        repeated += consumed - from;
        assert!(lock(&mut connection, &format!("client-{round}")), "a lock outlives the broker");
        assert!(!lock(&mut connection, "somebody-else"), "two hold the same lock");
        if round < KILLS {
            for count in 0..random.within(50..200) {
                let id = (round, 0, count);
                let header = send_header(ORDERED, 0, "");
                let answer =
                    connection.ask(RequestCode::SendMessageV2, &header, &body_of(id)).expect("an answer");
                assert_eq!(answer.code, ResponseCode::Success.code(), "{answer:?}");
                assert_eq!(answer.field::<usize>("queueOffset"), sent.len());
                sent.push(id);
            }
        }
        // All in the last round, otherwise killed on the way.
        let left = sent.len() as u64 - from;
        let end = if round < KILLS { from + random.within(1..left) } else { sent.len() as u64 };
        let mut next = from;
        while next < end {
            let answer = connection
                .ask(RequestCode::PullMessage, &pull_header(ORDERED, 0, next), &[])
                .expect("an answer");
            for record in answer.records() {
                assert_eq!(id_of(&record), sent[next as usize], "the message at {next}");
                next += 1;
            }
            let offset = Some(QueueOffset(next));
            let header = UpdateConsumerOffset { group: GROUP, topic: ORDERED, queue: QueueId(0), offset };
            let answer = connection.ask(RequestCode::UpdateConsumerOffset, &header, &[]).expect("an answer");
            assert_eq!(answer.code, ResponseCode::Success.code(), "{answer:?}");
            consumed = consumed.max(next);
        }
        server.kill();
    }
    assert_eq!(consumed, sent.len() as u64);
    println!(
        "{flush}: {KILLS} kills, {} messages in order, {repeated} delivered again; {:?}",
        sent.len(),
        began.elapsed()
    );
}

#[test]
fn an_ordered_queue_goes_on_in_order_after_kills_with_async_flush() {
    orderly_survives("ASYNC_FLUSH");
}

#[test]
fn an_ordered_queue_goes_on_in_order_after_kills_with_sync_flush() {
    orderly_survives("SYNC_FLUSH");
}
