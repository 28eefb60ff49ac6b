//! Many messages at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::frame::Command;
use ferromq_protocol::header::SendMessage;

use tokio::time::Instant;

use super::cluster::{Cluster, code, message};
use crate::fake::Reaction;
use crate::producer::SendError;

/// The longest that a message may linger.
const LONG: Duration = Duration::from_secs(10);

/// Answers as brokers do: an id for each message.
fn stored_batch(send: &SendMessage<'_>, command: &Command<'_>) -> Reaction {
    assert_eq!((command.request_code(), send.batch), (Some(RequestCode::SendBatchMessage), true));
    let count = ferromq_model::batch::items(command.body).filter(|item| item.is_ok()).count();
    let ids: Vec<_> = (0..count).map(|n| format!("7F00000100002A9F{n:016X}")).collect();
    let fields = vec![
        ("msgId", ids.join(",")),
        ("queueId", send.queue.expect("clients choose").0.to_string()),
        ("queueOffset", "100".to_owned()),
    ];
    Reaction::Answer(ResponseCode::Success, fields, Vec::new())
}

#[tokio::test]
async fn a_batch_travels_in_as_few_frames_as_fit() {
    let cluster = Cluster::start(1, stored_batch_of).await;
    let producer = cluster.producer(|builder| builder.max_message_size(1000).retries(0));
    let receipts = producer.send_batch((0..20).map(|_| message(&"x".repeat(100))).collect()).await.unwrap();
    assert_eq!(receipts.len(), 20);
    let frames: Vec<_> = cluster.seen.lock().iter().map(|(.., body)| body.len()).collect();
    assert_eq!(frames.iter().sum::<usize>(), 20 * (22 + 100 + 52));
    assert_eq!((frames.len(), frames[0]), (4, 5 * 174));
    for (turn, receipt) in receipts.iter().enumerate() {
        let turn = turn as u64 % 5;
        assert_eq!((receipt.offset.0, receipt.place.unwrap().offset.0), (100 + turn, turn));
    }
    let ids: std::collections::HashSet<_> = receipts.iter().map(|receipt| receipt.message_id).collect();
    assert_eq!(ids.len(), 20);
}

fn stored_batch_of(_: char, send: &SendMessage<'_>, command: &Command<'_>) -> Reaction {
    stored_batch(send, command)
}

#[tokio::test]
async fn a_batch_that_fails_on_its_way_says_what_is_stored() {
    let frames = Arc::new(AtomicUsize::new(0));
    let cluster = Cluster::start(1, move |_, send, command| {
        if frames.fetch_add(1, Ordering::SeqCst) < 2 {
            stored_batch(send, command)
        } else {
            code(ResponseCode::MessageIllegal)
        }
    })
    .await;
    let producer = cluster.producer(|builder| builder.max_message_size(1000));
    let failed = producer.send_batch((0..20).map(|_| message(&"x".repeat(100))).collect()).await.unwrap_err();
    assert_eq!(failed.receipts.len(), 10);
    assert!(matches!(failed.source, SendError::Failed { tries: 1, .. }), "{failed}");
}

#[tokio::test]
async fn messages_that_linger_travel_together_and_have_receipts_of_their_own() {
    let lens = 10 * (22 + 1 + 52);
    does_not_linger(async || {
        let cluster = Cluster::start(1, stored_batch_of).await;
        let producer = cluster.producer(|builder| builder.linger(LONG).linger_bytes(lens));
        let started = Instant::now();
        let receipts = futures_util::future::try_join_all((0..20).map(|_| producer.send(message("x")))).await;
        let took = started.elapsed();
        let mut places: Vec<_> = receipts.unwrap().iter().map(|receipt| receipt.offset.0).collect();
        places.sort_unstable();
        assert_eq!(places, (100..110).flat_map(|offset| [offset; 2]).collect::<Vec<_>>());
        assert_eq!(cluster.seen.lock().len(), 2);
        took
    })
    .await;
}

/// Whether what would linger for [`LONG`] takes less once: a machine may be busy for as long.
async fn does_not_linger(send: impl AsyncFn() -> Duration) {
    let mut times = Vec::new();
    while times.len() < 6 && times.last().is_none_or(|took| *took >= LONG) {
        times.push(send().await);
    }
    assert!(times.last().is_some_and(|took| *took < LONG), "it waits: {times:?}");
}

#[tokio::test]
async fn a_message_waits_no_longer_than_it_may() {
    let cluster = Cluster::start(1, stored_batch_of).await;
    let producer = cluster.producer(|builder| builder.linger(Duration::from_millis(5)));
    producer.send(message("x")).await.unwrap();
    assert_eq!(cluster.seen.lock().len(), 1);
}

#[tokio::test]
async fn closing_sends_what_lingers_at_once() {
    does_not_linger(async || {
        let cluster = Cluster::start(1, stored_batch_of).await;
        let producer = cluster.producer(|builder| builder.linger(LONG));
        let sending = producer.clone();
        let started = Instant::now();
        let mut sent = Box::pin(sending.send(message("x")));
        assert!(futures_util::FutureExt::now_or_never(sent.as_mut()).is_none(), "it waits for others");
        let (receipt, ()) = tokio::join!(sent, producer.close());
        receipt.unwrap();
        started.elapsed()
    })
    .await;
}

#[tokio::test]
async fn what_lingers_fails_together() {
    let cluster = Cluster::start(1, |_, _, _| code(ResponseCode::MessageIllegal)).await;
    let producer = cluster.producer(|builder| builder.linger(Duration::from_millis(5)));
    for failed in futures_util::future::join_all((0..3).map(|_| producer.send(message("x")))).await {
        assert!(matches!(failed, Err(SendError::Failed { tries: 1, .. })), "{failed:?}");
    }
    assert_eq!(cluster.seen.lock().len(), 1);
}
