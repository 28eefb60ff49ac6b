//! Messages that consumers see only if something else, usually a database transaction, comes about.
//!
//! ```text
//! begin ──▶ half message stored ──▶ the application's own transaction ──▶ commit: consumers get it
//!                 │                                                  └──▶ rollback: nobody does
//!                 └─ nothing heard for a while: the broker asks any producer of the group, whose checker says
//! ```
//! Always true:
//! * a half message is committed only by somebody who said so: a lost answer, a crash or a dropped [`Transaction`] leave
//!   it open, and the broker asks;
//! * a transaction of which nothing was told to the broker may be ended once more: [`EndError`] has it;
//! * a half message that is not as safe as it should be is rolled back, as official producers do;
//! * so many checks run at once as allowed; further questions wait in a bounded queue, beyond which brokers ask again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferromq_model::message::{SysFlag, property};
use ferromq_model::record::Record;
use ferromq_model::{GroupName, PhysicalOffset, TopicName};
use ferromq_protocol::code::RequestCode;
use ferromq_protocol::frame::HeaderScratch;
use ferromq_protocol::header::{CheckTransactionState, EndTransaction, Header as _};
use futures_util::future::{BoxFuture, FutureExt as _};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tracing::Instrument as _;

use super::deliver::{Aim, Span};
use super::error::{ProducerError, SendError};
use super::outgoing::Outgoing;
use super::receipt::{SendReceipt, SendStatus};
use super::seen::EndedTransaction;
use super::{Producer, ProducerBuilder, Shared};
use crate::client::{Client, Inner};
use crate::error::{CallError, ConfigError, Remedy};
use crate::message::Message;
use crate::queue::MessageQueue;
use crate::received::Received;
use crate::spans::sending;
use crate::wire::{Link, Request};

/// How long telling a broker may take, which waits only while too much waits to be sent to it already.
const TELL_LIMIT: Duration = Duration::from_secs(3);
/// How long closing waits for checks that run.
const CLOSE_LIMIT: Duration = Duration::from_secs(3);

/// What has become of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransactionState {
    /// It came about: consumers get the message.
    Commit,
    /// It did not: nobody gets the message.
    Rollback,
    /// Not known yet: the broker asks later, 15 times unless it is configured otherwise.
    Unknown,
}

impl TransactionState {
    fn decision(self) -> i32 {
        match self {
            Self::Commit => SysFlag::TRANSACTION_COMMIT,
            Self::Rollback => SysFlag::TRANSACTION_ROLLBACK,
            Self::Unknown => 0,
        }
    }
}

/// Why a transaction did not begin, or was not ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TransactionError {
    /// The half message is not known to be stored. If it is, the broker asks, and the checker is to say "rollback".
    #[error(transparent)]
    Send(#[from] SendError),
    /// A transaction's message cannot be delivered later than at its commit.
    #[error("a message in a transaction cannot be delayed")]
    Delayed,
    /// The half message is stored, but not as safely as it should be: it was rolled back.
    #[error("half message not safely stored, and rolled back: {status:?}")]
    NotSafe {
        /// How safe it was.
        status: SendStatus,
    },
    /// The broker could not be told how the transaction ended: it will ask.
    #[error("the broker could not be told how the transaction ended: {0}")]
    NotEnded(#[source] CallError),
    /// It is not known any more where the broker is that has the half message: it will ask.
    #[error("broker {broker}, which has the half message, is in no route any more")]
    NoBroker {
        /// Its name.
        broker: Arc<str>,
    },
}

impl TransactionError {
    /// Who has to act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Send(error) => error.remedy(),
            Self::Delayed => Remedy::FixCall,
            Self::NotSafe { .. } | Self::NoBroker { .. } => Remedy::Retry,
            Self::NotEnded(error) => error.remedy(),
        }
    }
}

/// The broker was told nothing of how the transaction ended: it is still open, to be ended once more. Dropped with this, the
/// broker asks the checker.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct EndError {
    /// The transaction.
    pub transaction: Box<Transaction>,
    /// Why: [`TransactionError::NotEnded`] or [`TransactionError::NoBroker`].
    #[source]
    pub source: TransactionError,
}

type Checker = Arc<dyn Fn(Received) -> BoxFuture<'static, TransactionState> + Send + Sync>;

/// Builds a [`TransactionProducer`].
pub struct TransactionProducerBuilder {
    producer: ProducerBuilder,
    checker: Checker,
    max_checks: usize,
}

impl fmt::Debug for TransactionProducerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionProducerBuilder")
            .field("producer", &self.producer)
            .field("max_checks", &self.max_checks)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Begins to build a producer of messages in transactions. `checker` is asked what has become of the transaction of a
    /// message, which may have been sent by any producer of the group, also one that is gone: it has to find out from the
    /// message, and from what the application keeps.
    #[must_use]
    pub fn transaction_producer<F, C>(&self, group: &str, checker: C) -> TransactionProducerBuilder
    where
        C: Fn(Received) -> F + Send + Sync + 'static,
        F: Future<Output = TransactionState> + Send + 'static,
    {
        TransactionProducerBuilder {
            producer: self.producer(group),
            checker: Arc::new(move |message| checker(message).boxed()),
            max_checks: 16,
        }
    }
}

impl TransactionProducerBuilder {
    /// Sets how messages are sent: see [`ProducerBuilder`].
    #[must_use]
    pub fn with(mut self, set: impl FnOnce(ProducerBuilder) -> ProducerBuilder) -> Self {
        self.producer = set(self.producer);
        self
    }

    /// As [`with`](Self::with), where setting can fail.
    ///
    /// # Errors
    /// What `set` fails with.
    pub fn try_with<E>(
        mut self,
        set: impl FnOnce(ProducerBuilder) -> Result<ProducerBuilder, E>,
    ) -> Result<Self, E> {
        self.producer = set(self.producer)?;
        Ok(self)
    }

    /// How many checks may run at the same time: 16 by default.
    #[must_use]
    pub fn max_checks(mut self, checks: usize) -> Self {
        self.max_checks = checks;
        self
    }

    /// The producer.
    ///
    /// # Errors
    /// [`ProducerError`].
    pub fn build(self) -> Result<TransactionProducer, ProducerError> {
        if !(1..=1024).contains(&self.max_checks) {
            let value = self.max_checks.to_string();
            return Err(ConfigError::OutOfRange { key: "max_checks", value, allowed: "1 to 1024" }.into());
        }
        let (producer, requests) = self.producer.open()?;
        let inner = Arc::clone(&producer.shared.client.inner);
        let checks = Checks { inner, group: producer.group().clone(), checker: self.checker };
        let checking = tokio::spawn(checks.run(requests, self.max_checks));
        Ok(TransactionProducer { producer, checking: Arc::new(Mutex::new(Some(checking))) })
    }
}

/// Sends messages in transactions. Cloning it shares what it is.
#[derive(Clone)]
pub struct TransactionProducer {
    producer: Producer,
    /// Ends when the group is left; who closes awaits it.
    checking: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl fmt::Debug for TransactionProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionProducer").field("producer", &self.producer).finish_non_exhaustive()
    }
}

impl TransactionProducer {
    /// The same producer, for messages that need no transaction.
    #[must_use]
    pub fn producer(&self) -> &Producer {
        &self.producer
    }

    /// Stores a half message, which nobody sees until it is committed. Do what the message is about, then end the
    /// transaction.
    ///
    /// # Errors
    /// [`TransactionError`]: then there is no transaction.
    pub async fn begin(&self, message: Message) -> Result<Transaction, TransactionError> {
        let transaction = self.half(message).await?;
        let status = transaction.receipt.status;
        if status == SendStatus::Stored {
            return Ok(transaction);
        }
        transaction.rollback().await?;
        Err(TransactionError::NotSafe { status })
    }

    /// Stores a half message, calls `local`, which is to do what the message is about, and ends the transaction as it
    /// says; returns what it said. If the half message is not as safe as it should be, `local` is not called, and the
    /// transaction rolled back.
    ///
    /// # Errors
    /// [`TransactionError`].
    pub async fn send_in_transaction<F>(
        &self,
        message: Message,
        local: impl FnOnce(SendReceipt) -> F,
    ) -> Result<(SendReceipt, TransactionState), TransactionError>
    where
        F: Future<Output = TransactionState>,
    {
        let transaction = self.half(message).await?;
        let receipt = transaction.receipt.clone();
        let state = match receipt.status {
            SendStatus::Stored => local(receipt.clone()).await,
            _ => TransactionState::Rollback,
        };
        transaction.tell(state).await?;
        Ok((receipt, state))
    }

    /// As [`Producer::close`]; then waits for checks that run, for 3 s at most.
    pub async fn close(self) {
        self.producer.close().await;
        let checking = self.checking.lock().take();
        if let Some(mut checking) = checking
            && timeout(CLOSE_LIMIT, &mut checking).await.is_err()
        {
            tracing::warn!("closed with checks of transactions that did not end");
            checking.abort();
        }
    }

    async fn half(&self, message: Message) -> Result<Transaction, TransactionError> {
        let span = sending(&message, 1);
        self.half_unseen(message).instrument(span).await
    }

    async fn half_unseen(&self, mut message: Message) -> Result<Transaction, TransactionError> {
        let shared = &self.producer.shared;
        if message.is_delayed() {
            return Err(TransactionError::Delayed);
        }
        message.set(property::TRANSACTION_PREPARED, "true");
        message.set(property::PRODUCER_GROUP, shared.group.as_str());
        let _place = shared.enter(1, message.body.len()).await?;
        let span = Span::from_now(shared.settings.send_timeout);
        let bound = shared.queue_of_key(&message, span).await?;
        let mut out = shared.prepare(message).await?;
        out.sys_flag.0 |= SysFlag::TRANSACTION_PREPARED;
        let aim = bound.as_ref().map_or(Aim::Any, Aim::Queue);
        let accepted = shared.deliver(&out, aim, span).await?;
        let Some(place) = accepted.place else {
            let what = "it does not say where the half message is".into();
            let last = CallError::Unreadable { addr: Arc::clone(&accepted.queue.broker), what };
            return Err(SendError::Failed { tries: 1, last }.into());
        };
        let receipt = accepted.receipt(&out);
        let Outgoing { topic, properties, .. } = out;
        Ok(Transaction { shared: Arc::clone(shared), topic, properties, at: place.offset, receipt })
    }
}

/// A half message is stored; what becomes of it is open. Dropping this leaves it open: the broker asks the checker.
#[must_use = "dropping a transaction leaves it open until the broker asks"]
pub struct Transaction {
    shared: Arc<Shared>,
    topic: TopicName,
    properties: String,
    at: PhysicalOffset,
    receipt: SendReceipt,
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("receipt", &self.receipt).finish_non_exhaustive()
    }
}

impl Transaction {
    /// The receipt of the half message.
    #[must_use]
    pub fn receipt(&self) -> &SendReceipt {
        &self.receipt
    }

    /// Lets consumers have the message. The broker does not answer: if this gets lost, it asks the checker.
    ///
    /// # Errors
    /// [`TransactionError::NotEnded`] and [`TransactionError::NoBroker`]: the broker asks the checker.
    pub async fn commit(self) -> Result<(), TransactionError> {
        self.tell(TransactionState::Commit).await
    }

    /// Drops the message. The broker does not answer: if this gets lost, it asks the checker.
    ///
    /// # Errors
    /// As [`Transaction::commit`].
    pub async fn rollback(self) -> Result<(), TransactionError> {
        self.tell(TransactionState::Rollback).await
    }

    /// As [`commit`](Self::commit) or [`rollback`](Self::rollback), and gives the transaction back if the broker was told
    /// nothing.
    ///
    /// # Errors
    /// [`EndError`], which has the transaction.
    pub async fn end(self, state: TransactionState) -> Result<(), EndError> {
        match self.tell(state).await {
            Ok(()) => Ok(()),
            Err(source) => Err(EndError { transaction: Box::new(self), source }),
        }
    }

    /// Fails only if nothing was told: a message that is told twice how it ended would be delivered twice.
    async fn tell(&self, state: TransactionState) -> Result<(), TransactionError> {
        let inner = &self.shared.client.inner;
        let broker = &self.receipt.queue.broker;
        let known =
            inner.routes.known(self.topic.as_str(), true).and_then(|route| route.master(broker).cloned());
        let Some(addr) = known.or_else(|| inner.routes.master(broker)) else {
            return Err(TransactionError::NoBroker { broker: Arc::clone(broker) });
        };
        let header = EndTransaction {
            topic: Some(self.topic.as_str()),
            group: self.shared.group.as_str(),
            half: self.receipt.offset,
            at: self.at,
            decision: state.decision(),
            from_check: false,
            message_id: Some(self.receipt.message_id.as_str()),
            transaction_id: Some(self.receipt.message_id.as_str()),
        };
        tell(&inner.link(&addr), &header).await.map_err(TransactionError::NotEnded)?;
        let ended = EndedTransaction {
            group: self.shared.group.as_str(),
            topic: self.topic.as_str(),
            properties: &self.properties,
            broker: &addr,
            transaction_id: header.transaction_id,
            state,
            from_check: false,
        };
        ended.trace(inner);
        Ok(())
    }
}

async fn tell(link: &Link, header: &EndTransaction<'_>) -> Result<(), CallError> {
    link.tell(RequestCode::EndTransaction, header, &Bytes::new(), TELL_LIMIT).await
}

/// Answers brokers that ask what has become of transactions.
#[derive(Clone)]
struct Checks {
    inner: Arc<Inner>,
    group: GroupName,
    checker: Checker,
}

impl Checks {
    /// Until the group is left.
    async fn run(self, mut requests: mpsc::Receiver<Request>, limit: usize) {
        let mut running = JoinSet::new();
        loop {
            tokio::select! {
                request = requests.recv(), if running.len() < limit => match request {
                    Some(request) => drop(running.spawn(self.clone().check(request))),
                    None => break,
                },
                Some(ended) = running.join_next() => note(ended),
            }
        }
        while let Some(ended) = running.join_next().await {
            note(ended);
        }
    }

    async fn check(self, request: Request) {
        let mut scratch = HeaderScratch::new();
        let asked = request.frame().command(&mut scratch).ok();
        let asked = asked.and_then(|command| {
            let header = CheckTransactionState::decode(&command.fields).ok()?;
            Some((header, half_message(&request, &header, command.body)?))
        });
        let Some((asked, message)) = asked else {
            tracing::warn!(addr = %request.link().addr(), "a question about a transaction cannot be read");
            return;
        };
        let id = message.message_id();
        let half = message.clone();
        let state = (self.checker)(message).await;
        let header = EndTransaction {
            topic: asked.topic,
            group: self.group.as_str(),
            half: asked.half,
            at: asked.at,
            decision: state.decision(),
            from_check: true,
            message_id: Some(&id),
            transaction_id: asked.transaction_id,
        };
        if let Err(error) = tell(request.link(), &header).await {
            tracing::debug!(%error, id, "a broker could not be told of a transaction: it asks again");
            return;
        }
        let ended = EndedTransaction {
            group: self.group.as_str(),
            topic: half.topic(),
            properties: half.property_string(),
            broker: request.link().addr(),
            transaction_id: asked.transaction_id,
            state,
            from_check: true,
        };
        ended.trace(&self.inner);
    }
}

fn half_message(request: &Request, asked: &CheckTransactionState<'_>, record: &[u8]) -> Option<Received> {
    let half = Record::decode(record).ok()?;
    let queue = MessageQueue {
        topic: TopicName::new(half.topic).ok()?,
        broker: asked.broker.unwrap_or_default().into(),
        id: half.queue_id,
    };
    Received::read(&request.frame().body(), &queue)
}

fn note(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a check of a transaction failed: the broker asks again");
    }
}
