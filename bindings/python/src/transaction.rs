//! Messages in transactions. What brokers ask about them waits in a queue, from which Python takes it.

use std::sync::Arc;

use ferromq_bindings::{self as common, Checks as Queue, Open, Unsettled};
use ferromq_client as core;
use ferromq_client::TransactionState;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::bridge::{Bridge, run, run_until_cancelled};
use crate::client::Client;
use crate::convert::configured;
use crate::errors::raise;
use crate::message::{Message, SendReceipt};
use crate::producer::Producer;
use crate::received::ReceivedMessage;
use crate::runtime::{Local, here};

/// Sends messages in transactions.
#[pyclass(frozen, module = "ferromq._ferromq")]
pub(crate) struct TransactionProducer {
    producer: Local<Open<core::TransactionProducer>>,
    plain: Py<Producer>,
    checks: Local<Arc<Queue>>,
}

impl TransactionProducer {
    fn open(&self) -> PyResult<core::TransactionProducer> {
        self.producer.here()?.handle().map_err(raise)
    }
}

#[pymethods]
impl TransactionProducer {
    #[new]
    fn new(py: Python<'_>, client: &Client, group: &str, options: &Bound<'_, PyDict>) -> PyResult<Self> {
        let (checks, checker) = Queue::queue();
        let builder = configured(options, client.open()?.transaction_producer(group, checker))?;
        let _context = here(py)?.runtime.enter();
        let producer = builder.build().map_err(raise)?;
        Ok(Self {
            plain: Py::new(py, Producer::of(producer.producer().clone()))?,
            producer: Local::new(Open::new("producer", producer)),
            checks: Local::new(Arc::new(checks)),
        })
    }

    /// The same producer, for messages that need no transaction.
    #[getter]
    fn producer(&self, py: Python<'_>) -> Py<Producer> {
        self.plain.clone_ref(py)
    }

    /// What brokers ask.
    #[getter]
    fn checks(&self) -> PyResult<Checks> {
        Ok(Checks(Local::new(Arc::clone(self.checks.here()?))))
    }

    /// Stores a half message.
    fn begin<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        message: &Message,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (producer, message) = (self.open()?, message.message.clone());
        run(py, bridge, async move {
            let transaction = producer.begin(message).await?;
            let receipt = transaction.receipt().clone();
            Ok(Transaction { transaction: Local::new(Arc::new(Unsettled::new(transaction))), receipt })
        })
    }

    /// Waits for what is in flight and for checks that run, and leaves the group.
    fn close<'py>(&self, py: Python<'py>, bridge: Option<&Bridge>) -> PyResult<Bound<'py, PyAny>> {
        let producer = self.producer.here()?.take();
        run(py, bridge, async move {
            if let Some(producer) = producer {
                producer.close().await;
            }
            Ok(())
        })
    }
}

/// What brokers ask about transactions. It keeps no producer alive, so that a forgotten one is dropped.
#[pyclass(frozen, module = "ferromq._ferromq")]
pub(crate) struct Checks(Local<Arc<Queue>>);

#[pymethods]
impl Checks {
    /// The next thing that a broker asks; none once the producer is closed or forgotten.
    fn next<'py>(&self, py: Python<'py>, bridge: Option<&Bridge>) -> PyResult<Bound<'py, PyAny>> {
        let checks = Arc::clone(self.0.here()?);
        run_until_cancelled(py, bridge, async move { Ok(checks.next().await.map(Check)) })
    }
}

/// A half message is stored; what becomes of it is open.
#[pyclass(frozen, module = "ferromq._ferromq")]
pub(crate) struct Transaction {
    transaction: Local<Arc<Unsettled<core::Transaction>>>,
    receipt: core::SendReceipt,
}

#[pymethods]
impl Transaction {
    #[getter]
    fn receipt(&self) -> SendReceipt {
        SendReceipt(self.receipt.clone())
    }

    /// Whether nobody has said yet how it ended.
    #[getter]
    fn is_open(&self) -> PyResult<bool> {
        Ok(self.transaction.here()?.is_open())
    }

    /// Ends it. It is open again if the broker could not be told.
    fn end<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        commit: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let open = Arc::clone(self.transaction.here()?);
        let transaction = open.settle().map_err(raise)?;
        let state = if commit { TransactionState::Commit } else { TransactionState::Rollback };
        run(py, bridge, async move { open.end(transaction, state).await })
    }
}

/// A broker asks what has become of a transaction. Dropped without an answer, it asks again later.
#[pyclass(frozen, module = "ferromq._ferromq")]
pub(crate) struct Check(common::Check);

#[pymethods]
impl Check {
    #[getter]
    fn message(&self) -> ReceivedMessage {
        ReceivedMessage(self.0.message().clone())
    }

    /// Says what: `commit`, `rollback` or `unknown`.
    fn answer(&self, state: &str) {
        self.0.answer(state);
    }
}
