//! What brokers ask about transactions, for a language that comes and asks what there is to check.
//!
//! ```text
//! broker ──▶ client ──▶ checker ──queue──▶ Checks::next ──▶ Check ──▶ the language's checker
//!                          ◀──────────────── answer ──────────┘
//! ```
//! Always true:
//! * no thread of the client runs code of the language;
//! * a check that is dropped without an answer is answered with "not known": the broker asks again later.

use ferromq_client::{Received, TransactionState};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};

/// Checks that may wait for the language; as many as the client runs at a time wait to wait.
pub const MAX_CHECKS: usize = 16;

/// The queue of what brokers ask.
#[derive(Debug)]
pub struct Checks(AsyncMutex<mpsc::Receiver<Check>>);

impl Checks {
    /// The queue, and the checker that fills it: to be given to
    /// [`transaction_producer`](ferromq_client::Client::transaction_producer).
    pub fn queue()
    -> (Self, impl Fn(Received) -> BoxFuture<'static, TransactionState> + Clone + Send + Sync + 'static) {
        let (asked, checks) = mpsc::channel(MAX_CHECKS);
        let checker = move |message: Received| {
            let asked = asked.clone();
            async move {
                let (answer, answered) = oneshot::channel();
                let check = Check { message, answer: Mutex::new(Some(answer)) };
                if asked.send(check).await.is_err() {
                    return TransactionState::Unknown;
                }
                answered.await.unwrap_or(TransactionState::Unknown)
            }
            .boxed()
        };
        (Self(AsyncMutex::new(checks)), checker)
    }

    /// The next thing that a broker asks; none once the producer is closed. Dropping the future loses nothing.
    pub async fn next(&self) -> Option<Check> {
        self.0.lock().await.recv().await
    }
}

/// A broker asks what has become of a transaction.
#[derive(Debug)]
pub struct Check {
    message: Received,
    answer: Mutex<Option<oneshot::Sender<TransactionState>>>,
}

impl Check {
    /// The message of the transaction.
    #[must_use]
    pub fn message(&self) -> &Received {
        &self.message
    }

    /// Says what: `commit` or `rollback`, and anything else is not known yet. Only the first answer counts.
    pub fn answer(&self, state: &str) {
        let state = match state {
            "commit" => TransactionState::Commit,
            "rollback" => TransactionState::Rollback,
            _ => TransactionState::Unknown,
        };
        if let Some(answer) = self.answer.lock().take() {
            // Nobody waits any more if the producer is closed: the broker asks another one.
            let _ = answer.send(state);
        }
    }
}
