//! One append for the single messages that the connections of a worker bring in one turn of its event loop.
//!
//! ```text
//! request ─▶ prepared into the worker's batch ─▶ lets the others of its turn come ─▶ the first one back stores them all
//! ```
//! Always true: what was taken in is stored by the end of its turn, also when the request that brought it goes away before;
//! nothing waits for company that is not there yet, and hardly ever lets others come where none did of late.

use std::cell::{Cell, RefCell};
use std::mem;
use std::sync::Arc;

use ferromq_broker::Broker;
use ferromq_broker::send::{SendBatch, Ticket};
use ferromq_store::AppendError;
use parking_lot::Mutex;

use crate::http::problem::Problem;

/// Turns of a single message behind each other, after which messages are stored at once.
const LONELY: u32 = 4;
/// Of messages that are stored at once, the share that lets others come all the same, to see whether there are any.
const LOOK_EVERY: u32 = 32;

/// Messages that are appended together.
#[derive(Default)]
struct Turn {
    batch: SendBatch,
    /// Of the append, once it was made.
    outcome: Option<Result<(), AppendError>>,
}

impl Turn {
    fn store(&mut self, broker: &Broker) {
        if self.outcome.is_none() {
            LONE_TURNS.set(if self.batch.len() == 1 { LONE_TURNS.get().wrapping_add(1) } else { 0 });
            self.outcome = Some(broker.commit(&mut self.batch));
        }
    }
}

thread_local! {
    /// The turn that messages join.
    static OPEN: RefCell<Arc<Mutex<Turn>>> = RefCell::default();
    /// Turns of a single message behind each other.
    static LONE_TURNS: Cell<u32> = const { Cell::new(0) };
}

/// A message that waits for the end of its turn.
struct Joined<'a> {
    broker: &'a Broker,
    turn: Arc<Mutex<Turn>>,
}

impl Drop for Joined<'_> {
    fn drop(&mut self) {
        self.turn.lock().store(self.broker);
    }
}

/// Stores what `prepare` adds to a batch, together with what others add in the same turn; `read` is given the batch once it
/// is stored.
pub(super) async fn store<T>(
    broker: &Broker,
    prepare: impl FnOnce(&mut SendBatch) -> Result<Ticket, Problem>,
    read: impl FnOnce(&SendBatch, Ticket, Option<AppendError>) -> T,
) -> Result<T, Problem> {
    let (joined, ticket) = OPEN.with_borrow_mut(|open| {
        let ticket = {
            let mut turn = open.lock();
            if turn.batch.is_full() {
                turn.store(broker);
            }
            if turn.outcome.is_some() {
                drop(turn);
                renew(open);
                turn = open.lock();
            }
            prepare(&mut turn.batch)
        };
        ticket.map(|ticket| (Joined { broker, turn: Arc::clone(open) }, ticket))
    })?;
    let lone = LONE_TURNS.get();
    if lone < LONELY || lone.is_multiple_of(LOOK_EVERY) {
        tokio::task::yield_now().await;
    }
    let mut turn = joined.turn.lock();
    turn.store(broker);
    let refused = turn.outcome.as_ref().and_then(|outcome| outcome.as_ref().err().cloned());
    Ok(read(&turn.batch, ticket, refused))
}

/// Makes room for the next turn: in the same buffers, if everybody has read what became of the last one.
fn renew(open: &mut Arc<Mutex<Turn>>) {
    match Arc::get_mut(open) {
        Some(turn) => {
            let turn = turn.get_mut();
            turn.batch.clear();
            turn.outcome = None;
        }
        None => drop(mem::take(open)),
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use ferromq_broker::BrokerConfig;
    use ferromq_broker::send::Send;
    use ferromq_model::message::SysFlag;
    use ferromq_model::{QueueId, QueueOffset, Timestamp};
    use ferromq_store::{FlushMode, Store, StoreConfig};
    use futures_util::poll;

    use super::*;

    fn broker(dir: &tempfile::TempDir) -> Broker {
        let store =
            StoreConfig { root: dir.path().to_owned(), flush: FlushMode::Async, ..StoreConfig::default() };
        let config = BrokerConfig::default();
        let store = Store::open(store, &config.delay_levels).unwrap();
        Broker::open(config, store, "127.0.0.1:10911".parse().unwrap()).unwrap()
    }

    async fn send(broker: &Broker) -> QueueOffset {
        let prepare = |batch: &mut SendBatch| {
            let send = Send {
                topic: "T",
                default_topic: "TBW102",
                default_queues: 1,
                queue: Some(QueueId(0)),
                sharding_key: None,
                sys_flag: SysFlag(0),
                flag: 0,
                born: Timestamp::now(),
                born_host: ([127, 0, 0, 1], 50_000).into(),
                properties: "",
                reconsume_times: 0,
                max_reconsume_times: None,
                unit_mode: false,
                is_batch: false,
                body: b"x",
            };
            Ok(broker.prepare(batch, &send)?)
        };
        let stored = store(broker, prepare, |batch, ticket, _| batch.placed(ticket)[0].queue_offset);
        stored.await.unwrap()
    }

    #[tokio::test]
    async fn those_of_one_turn_are_stored_together_whoever_comes_back_first() {
        let dir = tempfile::tempdir().unwrap();
        let broker = broker(&dir);
        let (mut first, mut second) = (Box::pin(send(&broker)), Box::pin(send(&broker)));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        assert_eq!(poll!(&mut second), Poll::Ready(QueueOffset(1)));
        let mut third = Box::pin(send(&broker));
        assert!(poll!(&mut third).is_pending(), "it is of the next turn, while the first has not been read");
        assert_eq!(poll!(&mut first), Poll::Ready(QueueOffset(0)));
        assert_eq!(poll!(&mut third), Poll::Ready(QueueOffset(2)));
    }

    #[tokio::test]
    async fn what_was_taken_in_is_stored_though_nobody_waits_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let broker = broker(&dir);
        let mut gone = Box::pin(send(&broker));
        assert!(poll!(&mut gone).is_pending());
        let stored =
            || broker.store().find_queue("T", QueueId(0)).map_or(QueueOffset::ZERO, |queue| queue.next());
        assert_eq!(stored(), QueueOffset(0));
        drop(gone);
        assert_eq!(stored(), QueueOffset(1));
        assert_eq!(send(&broker).await, QueueOffset(1));
    }

    #[tokio::test]
    async fn one_that_is_always_alone_does_not_wait() {
        let dir = tempfile::tempdir().unwrap();
        let broker = broker(&dir);
        let mut waited = 0;
        for _ in 0..LONELY + 2 * LOOK_EVERY {
            let mut alone = Box::pin(send(&broker));
            if poll!(&mut alone).is_pending() {
                waited += 1;
                alone.await;
            }
        }
        assert!((LONELY..LONELY + 4).contains(&waited), "{waited}");
    }
}
