//! Messages in transactions. What brokers ask about them waits in a queue, from which JavaScript takes it.

use std::sync::Arc;

use ferromq_bindings::{self as bindings, Checks as Queue, Fault, Open};
use ferromq_client as core;
use ferromq_client::TransactionState;
use napi_derive::napi;
use parking_lot::Mutex;

use crate::batch::Batch;
use crate::bridge::{Answer, Bridge};
use crate::client::Client;
use crate::errors::thrown;
use crate::message::Outgoing;
use crate::options::configured;
use crate::packed::Writer;
use crate::producer::Producer;

/// Sends messages in transactions.
#[napi]
pub struct TransactionProducer {
    producer: Open<core::TransactionProducer>,
    plain: core::Producer,
    checks: Arc<Queue>,
}

#[napi]
impl TransactionProducer {
    #[napi(constructor)]
    pub fn new(bridge: &Bridge, client: &Client, group: String, options: String) -> napi::Result<Self> {
        let build = || {
            let (checks, checker) = Queue::queue();
            let builder = configured(&options, client.open()?.transaction_producer(&group, checker))?;
            let _context = bridge.runtime().enter();
            let producer = builder.build()?;
            let plain = producer.producer().clone();
            let producer = Open::new("producer", producer);
            Ok::<_, Fault>(Self { producer, plain, checks: Arc::new(checks) })
        };
        build().map_err(thrown)
    }

    /// The same producer, for messages that need no transaction.
    #[napi]
    pub fn producer(&self) -> Producer {
        Producer::of(self.plain.clone())
    }

    /// What brokers ask.
    #[napi]
    pub fn checks(&self) -> Checks {
        Checks(Arc::clone(&self.checks))
    }

    /// Stores a half message, and opens `transaction` with it.
    #[napi]
    pub fn begin(&self, bridge: &Bridge, id: u32, packed: &[u8], transaction: &Transaction) {
        let sent = self.producer.handle().and_then(|it| Ok((it, Outgoing::copy_of(packed).one()?)));
        let transaction = Arc::clone(&transaction.0);
        bridge.run(id, async move {
            let (producer, message) = sent?;
            let begun = producer.begin(message).await?;
            let receipt = begun.receipt().clone();
            *transaction.lock() = Some(begun);
            Ok(receipt)
        });
    }

    /// Waits for what is in flight and for checks that run, and leaves the group.
    #[napi]
    pub fn close(&self, bridge: &Bridge, id: u32) {
        let producer = self.producer.take();
        bridge.run(id, async move {
            if let Some(producer) = producer {
                producer.close().await;
            }
            Ok(())
        });
    }
}

/// A half message is stored; what becomes of it is open. Dropped, the broker asks.
#[napi]
pub struct Transaction(Arc<Mutex<Option<core::Transaction>>>);

#[napi]
impl Transaction {
    /// One that is not begun.
    #[napi(constructor)]
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// Whether nobody has said yet how it ended.
    #[napi(getter)]
    pub fn is_open(&self) -> bool {
        self.0.lock().is_some()
    }

    /// Ends it. It is open again if the broker could not be told.
    #[napi]
    pub fn end(&self, bridge: &Bridge, id: u32, commit: bool) {
        let open = Arc::clone(&self.0);
        let transaction = open.lock().take().ok_or_else(Fault::settled);
        let state = if commit { TransactionState::Commit } else { TransactionState::Rollback };
        bridge.run(id, async move {
            transaction?.end(state).await.map_err(|error| {
                *open.lock() = Some(*error.transaction);
                error.source.into()
            })
        });
    }
}

/// What brokers ask about transactions. It keeps no producer alive, so that a forgotten one is dropped.
#[napi]
pub struct Checks(Arc<Queue>);

#[napi]
impl Checks {
    /// The next thing that a broker asks, put into `check`; none once the producer is closed.
    #[napi]
    pub fn next(&self, bridge: &Bridge, id: u32, check: &Check) {
        let (checks, check) = (Arc::clone(&self.0), Arc::clone(&check.0));
        bridge.run(id, async move {
            let Some(asked) = checks.next().await else { return Ok(None) };
            let message = Batch::of_messages(vec![asked.message().clone()]);
            *check.lock() = Some(asked);
            Ok(Some(message))
        });
    }
}

/// A broker asks what has become of a transaction. Dropped without an answer, it asks again later.
#[napi]
pub struct Check(Arc<Mutex<Option<bindings::Check>>>);

#[napi]
impl Check {
    /// Nothing is asked yet.
    #[napi(constructor)]
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// Says what: `commit`, `rollback`, or anything else for not known yet.
    #[napi]
    pub fn answer(&self, state: String) {
        if let Some(asked) = self.0.lock().take() {
            asked.answer(&state);
        }
    }
}

impl Answer for Option<Batch> {
    fn write(self, to: &mut Writer, batches: &mut Vec<Batch>) {
        to.u8(u8::from(self.is_some()));
        batches.extend(self);
    }
}
