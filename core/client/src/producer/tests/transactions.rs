//! Messages in transactions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ferromq_protocol::code::{RequestCode, ResponseCode};
use tokio::sync::watch;
use tokio::time::timeout;

use super::cluster::{Cluster, PATIENCE, message, stored};
use crate::error::Remedy;
use crate::fake::{Reaction, record};
use crate::message::Message;
use crate::producer::{EndError, SendStatus, TransactionError, TransactionProducer, TransactionState};
use crate::received::Received;

/// A producer in transactions whose half messages are as safe as this code says, and whose checker is never asked.
async fn transactions(half: ResponseCode) -> (Cluster, TransactionProducer) {
    let cluster = Cluster::start(1, move |_, send, _| {
        assert_eq!((send.sys_flag.0, send.group), (4, "G"));
        assert!(send.properties.contains("TRAN_MSG\x01true\x02PGROUP\x01G\x02"));
        match stored(send) {
            Reaction::Answer(_, fields, body) => Reaction::Answer(half, fields, body),
            other => other,
        }
    })
    .await;
    let checker = |_| std::future::ready(TransactionState::Unknown);
    let producer = cluster.client.transaction_producer("G", checker).build().unwrap();
    (cluster, producer)
}

impl Cluster {
    /// The decisions of so many transactions, which brokers are told one way.
    async fn decisions(&self, count: usize) -> Vec<(i32, bool)> {
        let told = async {
            while self.ended.lock().len() < count {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, told).await.expect("brokers are told");
        self.ended.lock().clone()
    }
}

#[tokio::test]
async fn a_transaction_ends_as_it_is_told() {
    let (cluster, producer) = transactions(ResponseCode::Success).await;
    producer.begin(message("x")).await.unwrap().commit().await.unwrap();
    producer.begin(message("x")).await.unwrap().rollback().await.unwrap();
    drop(producer.begin(message("x")).await.unwrap());
    for state in [TransactionState::Commit, TransactionState::Rollback, TransactionState::Unknown] {
        let local = |_| std::future::ready(state);
        assert_eq!(producer.send_in_transaction(message("x"), local).await.unwrap().1, state);
    }
    assert_eq!(cluster.decisions(5).await, [8, 12, 8, 12, 0].map(|decision| (decision, false)));
    let delayed = Message::builder("T").body("x").delay_level(1).build().unwrap();
    assert!(matches!(producer.begin(delayed).await, Err(TransactionError::Delayed)));
    producer.close().await;
}

#[tokio::test]
async fn a_transaction_whose_broker_is_told_nothing_may_be_ended_once_more() {
    let (cluster, producer) = transactions(ResponseCode::Success).await;
    let transaction = producer.begin(message("x")).await.unwrap();
    let inner = &cluster.client.inner;
    let here = cluster.route.lock().clone();
    *cluster.route.lock() = here.replace("\"a\"", "\"another\"");
    inner.fetch(&transaction.receipt().queue.topic).await.unwrap();
    let EndError { transaction, source } = transaction.end(TransactionState::Commit).await.unwrap_err();
    assert!(
        matches!(source, TransactionError::NoBroker { .. }) && source.remedy() == Remedy::Retry,
        "{source}"
    );
    *cluster.route.lock() = here;
    inner.fetch(&transaction.receipt().queue.topic).await.unwrap();
    transaction.end(TransactionState::Commit).await.unwrap();
    assert_eq!(cluster.decisions(1).await, [(8, false)]);
    producer.close().await;
}

#[tokio::test]
async fn a_half_message_that_is_not_safe_is_rolled_back() {
    let (cluster, producer) = transactions(ResponseCode::FlushDiskTimeout).await;
    let failed = producer.begin(message("x")).await.unwrap_err();
    assert!(matches!(failed, TransactionError::NotSafe { status: SendStatus::FlushDiskTimeout }), "{failed}");
    let local = async |_| panic!("the message is not safe");
    let (receipt, state) = producer.send_in_transaction(message("x"), local).await.unwrap();
    assert_eq!((receipt.status, state), (SendStatus::FlushDiskTimeout, TransactionState::Rollback));
    assert_eq!(cluster.decisions(2).await, [(12, false); 2]);
    producer.close().await;
}

/// What a broker asks about transactions that were left open, whose messages have these bodies.
fn checks(bodies: &[&str]) -> Reaction {
    let asks = bodies.iter().map(|body| {
        let record = record("T", 0, 0, body.as_bytes(), &["PGROUP\x01G\x02UNIQ_KEY\x01", body, "\x02"]);
        let fields = vec![("tranStateTableOffset", "17".to_owned()), ("commitLogOffset", 0x457.to_string())];
        (RequestCode::CheckTransactionState, fields, record)
    });
    Reaction::Ask(asks.collect())
}

#[tokio::test]
async fn a_broker_that_asks_is_told_what_the_checker_says() {
    let cluster = Cluster::start(1, |_, send, _| stored(send)).await;
    *cluster.asks.lock() = Some(checks(&["came about", "did not", "nobody knows", "wrong"]));
    let checker = async |message: Received| match &**message.body() {
        b"came about" => TransactionState::Commit,
        b"did not" => TransactionState::Rollback,
        b"nobody knows" => TransactionState::Unknown,
        _ => panic!("a checker that fails keeps nobody else from being asked"),
    };
    let checker = move |message| Box::pin(checker(message));
    let producer = cluster.client.transaction_producer("G", checker).build().unwrap();
    producer.producer().send(message("x")).await.unwrap();
    let mut decisions = cluster.decisions(3).await;
    decisions.sort_unstable();
    assert_eq!(decisions, [(0, true), (8, true), (12, true)]);
    producer.close().await;
}

#[tokio::test]
async fn no_more_checks_run_at_once_than_may() {
    let cluster = Cluster::start(1, |_, send, _| stored(send)).await;
    *cluster.asks.lock() = Some(checks(&["a", "b", "c", "d", "e", "f", "g"]));
    let running = Arc::new(AtomicUsize::new(0));
    let (allow, allowed) = watch::channel(false);
    let count = Arc::clone(&running);
    let checker = move |_| {
        let (count, mut allowed) = (Arc::clone(&count), allowed.clone());
        async move {
            let before = count.fetch_add(1, Ordering::SeqCst);
            assert!(before < 3, "{before} run already");
            allowed.wait_for(|allowed| *allowed).await.expect("the test allows it");
            count.fetch_sub(1, Ordering::SeqCst);
            TransactionState::Commit
        }
    };
    let producer = cluster.client.transaction_producer("G", checker).max_checks(3).build().unwrap();
    producer.producer().send(message("x")).await.unwrap();
    while running.load(Ordering::SeqCst) < 3 {
        tokio::task::yield_now().await;
    }
    allow.send_replace(true);
    assert_eq!(cluster.decisions(7).await, [(8, true); 7]);
    producer.close().await;
}
