//! Messages in transactions. What brokers ask about them waits in a queue, from which Python takes it.

use std::sync::Arc;

use ferromq_client as core;
use ferromq_client::{Received, TransactionState};
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use pyo3::prelude::*;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};

use crate::bridge::{Bridge, run, run_until_cancelled};
use crate::client::Client;
use crate::errors::Fault;
use crate::message::{Message, SendReceipt};
use crate::producer::{Options, Producer};
use crate::received::ReceivedMessage;
use crate::runtime::{Local, here};

/// Checks that may wait for Python; as many as the client runs at a time wait to wait.
const MAX_CHECKS: usize = 16;

type Asked = (Received, oneshot::Sender<TransactionState>);

/// Sends messages in transactions.
#[pyclass(frozen, module = "ferromq._ferromq")]
pub(crate) struct TransactionProducer {
    producer: Local<Mutex<Option<core::TransactionProducer>>>,
    plain: Py<Producer>,
    checks: Local<Arc<AsyncMutex<mpsc::Receiver<Asked>>>>,
}

impl TransactionProducer {
    fn open(&self) -> PyResult<core::TransactionProducer> {
        self.producer.here()?.lock().clone().ok_or_else(|| Fault::closed("the producer is closed").raise())
    }
}

#[pymethods]
impl TransactionProducer {
    #[new]
    fn new(py: Python<'_>, client: &Client, group: &str, options: Options) -> PyResult<Self> {
        let (asked, checks) = mpsc::channel::<Asked>(MAX_CHECKS);
        let checker = move |message: Received| {
            let asked = asked.clone();
            async move {
                let (answer, answered) = oneshot::channel();
                if asked.send((message, answer)).await.is_err() {
                    return TransactionState::Unknown;
                }
                answered.await.unwrap_or(TransactionState::Unknown)
            }
        };
        let mut wrong = None;
        let builder = client.open()?.transaction_producer(group, checker).with(|builder| {
            let unchanged = builder.clone();
            options.apply(builder).unwrap_or_else(|error| {
                wrong = Some(error);
                unchanged
            })
        });
        if let Some(error) = wrong {
            return Err(error);
        }
        let _context = here(py)?.runtime.enter();
        let producer = builder.build().map_err(|error| Fault::from(error).raise())?;
        Ok(Self {
            plain: Py::new(py, Producer::of(producer.producer().clone()))?,
            producer: Local::new(Mutex::new(Some(producer))),
            checks: Local::new(Arc::new(AsyncMutex::new(checks))),
        })
    }

    /// The same producer, for messages that need no transaction.
    #[getter]
    fn producer(&self, py: Python<'_>) -> Py<Producer> {
        self.plain.clone_ref(py)
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
            Ok(Transaction { transaction: Local::new(Mutex::new(Some(transaction))), receipt })
        })
    }

    /// The next thing that a broker asks; none once the producer is closed.
    fn next_check<'py>(&self, py: Python<'py>, bridge: Option<&Bridge>) -> PyResult<Bound<'py, PyAny>> {
        let checks = Arc::clone(self.checks.here()?);
        run_until_cancelled(py, bridge, async move {
            let asked = checks.lock().await.recv().await;
            Ok(asked.map(|(message, answer)| Check { message, answer: Mutex::new(Some(answer)) }))
        })
    }

    /// Waits for what is in flight and for checks that run, and leaves the group.
    fn close<'py>(&self, py: Python<'py>, bridge: Option<&Bridge>) -> PyResult<Bound<'py, PyAny>> {
        let producer = self.producer.here()?.lock().take();
        run(py, bridge, async move {
            if let Some(producer) = producer {
                producer.close().await;
            }
            Ok(())
        })
    }
}

/// A half message is stored; what becomes of it is open.
#[pyclass(frozen, module = "ferromq._ferromq")]
pub(crate) struct Transaction {
    transaction: Local<Mutex<Option<core::Transaction>>>,
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
        Ok(self.transaction.here()?.lock().is_some())
    }

    /// Ends it.
    fn end<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        commit: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let transaction = self.transaction.here()?.lock().take().ok_or_else(|| Fault::settled().raise())?;
        run(py, bridge, async move {
            Ok(if commit { transaction.commit().boxed() } else { transaction.rollback().boxed() }.await?)
        })
    }
}

/// A broker asks what has become of a transaction. Dropped without an answer, it asks again later.
#[pyclass(frozen, module = "ferromq._ferromq")]
pub(crate) struct Check {
    message: Received,
    answer: Mutex<Option<oneshot::Sender<TransactionState>>>,
}

#[pymethods]
impl Check {
    #[getter]
    fn message(&self) -> ReceivedMessage {
        ReceivedMessage(self.message.clone())
    }

    /// Says what: `commit`, `rollback` or `unknown`.
    fn answer(&self, state: &str) {
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
