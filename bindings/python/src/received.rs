//! Messages that came, and what may be said of them.
//!
//! ```text
//! ReceivedMessage         of a pull: only read
//! ├─ Delivery, AsyncDelivery   of a stream: ack or nack
//! └─ Lease, AsyncLease         of a pop: ack, nack or extend
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use ferromq_bindings::Unsettled;
use ferromq_client::{Leased, Outcome, Received};
use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::bridge::{Bridge, current, run, run_now};
use crate::convert::{Seconds, datetime, text};
use crate::errors::raise;
use crate::message::MessageQueue;
use crate::runtime::Local;

/// A message that came.
#[pyclass(frozen, subclass, module = "ferromq")]
pub(crate) struct ReceivedMessage(pub(crate) Received);

#[pymethods]
impl ReceivedMessage {
    #[getter]
    fn topic(&self) -> &str {
        self.0.topic()
    }

    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.body())
    }

    /// The body as UTF-8.
    fn text(&self) -> PyResult<&str> {
        text(self.0.body())
    }

    /// The body as JSON.
    fn json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import(intern!(py, "json"))?.call_method1(intern!(py, "loads"), (self.body(py),))
    }

    /// The body as a serializer reads it.
    fn value<'py>(&self, serializer: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = serializer.py();
        serializer.call_method1(intern!(py, "deserialize"), (self.body(py),))
    }

    #[getter]
    fn tag(&self) -> Option<&str> {
        self.0.tag()
    }

    #[getter]
    fn keys(&self) -> Vec<&str> {
        self.0.keys().collect()
    }

    #[getter]
    fn properties(&self) -> HashMap<&str, &str> {
        self.0.properties().collect()
    }

    /// The value of one property.
    fn property(&self, name: &str) -> Option<&str> {
        self.0.property(name)
    }

    #[getter]
    fn message_id(&self) -> String {
        self.0.message_id()
    }

    #[getter]
    fn place(&self) -> String {
        self.0.place().to_string()
    }

    #[getter]
    fn queue(&self) -> MessageQueue {
        MessageQueue(self.0.queue().clone())
    }

    #[getter]
    fn queue_offset(&self) -> u64 {
        self.0.queue_offset().0
    }

    #[getter]
    fn reconsume_times(&self) -> i32 {
        self.0.reconsume_times()
    }

    #[getter]
    fn sharding_key(&self) -> Option<&str> {
        self.0.property("__SHARDINGKEY")
    }

    #[getter]
    fn born_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        datetime(py, self.0.born())
    }

    #[getter]
    fn stored_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        datetime(py, self.0.stored())
    }

    #[getter]
    fn born_host(&self) -> String {
        self.0.born_host().to_string()
    }

    #[getter]
    fn flag(&self) -> i32 {
        self.0.flag()
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let class = slf.get_type().name()?;
        let message = &slf.get().0;
        let tag = message.tag().map_or_else(String::new, |tag| format!(", tag={tag:?}"));
        Ok(format!(
            "{class}(topic={:?}, message_id={:?}, queue={}, offset={}, {} bytes{tag})",
            message.topic(),
            message.message_id(),
            message.queue(),
            message.queue_offset().0,
            message.body().len()
        ))
    }
}

/// What may still be said of a message of a stream. Dropped unsaid, the message is delivered again.
type Open = Local<Unsettled<ferromq_client::Delivery>>;

fn settle<'py>(
    py: Python<'py>,
    bridge: Option<&Bridge>,
    open: &Open,
    outcome: Outcome,
) -> PyResult<Bound<'py, PyAny>> {
    let delivery = open.here()?.settle().map_err(raise)?;
    run_now(py, bridge, async move {
        delivery.settle(outcome).await;
        Ok(())
    })
}

fn failed(delay_level: Option<u8>, dead_letter: bool) -> Outcome {
    match delay_level {
        _ if dead_letter => Outcome::DeadLetter,
        Some(level) => Outcome::AtLevel(level),
        None => Outcome::Later,
    }
}

/// A message of a stream, of the synchronous API.
#[pyclass(frozen, extends = ReceivedMessage, module = "ferromq")]
pub(crate) struct Delivery(Open);

#[pymethods]
impl Delivery {
    /// Whether nobody has said yet what came of it.
    #[getter]
    fn is_open(&self) -> PyResult<bool> {
        Ok(self.0.here()?.is_open())
    }

    /// It is done.
    fn ack<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        settle(py, None, &self.0, Outcome::Done)
    }

    /// It failed.
    #[pyo3(signature = (*, delay_level=None, dead_letter=false))]
    fn nack<'py>(
        &self,
        py: Python<'py>,
        delay_level: Option<u8>,
        dead_letter: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        settle(py, None, &self.0, failed(delay_level, dead_letter))
    }
}

/// A message of a stream, of the asynchronous API.
#[pyclass(frozen, extends = ReceivedMessage, module = "ferromq")]
pub(crate) struct AsyncDelivery(Open);

#[pymethods]
impl AsyncDelivery {
    /// Whether nobody has said yet what came of it.
    #[getter]
    fn is_open(&self) -> PyResult<bool> {
        Ok(self.0.here()?.is_open())
    }

    /// It is done.
    fn ack<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        settle(py, Some(current(py)?.get()), &self.0, Outcome::Done)
    }

    /// It failed.
    #[pyo3(signature = (*, delay_level=None, dead_letter=false))]
    fn nack<'py>(
        &self,
        py: Python<'py>,
        delay_level: Option<u8>,
        dead_letter: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        settle(py, Some(current(py)?.get()), &self.0, failed(delay_level, dead_letter))
    }
}

/// For Python, a message of a stream.
pub(crate) fn delivered<'py>(
    py: Python<'py>,
    delivery: ferromq_client::Delivery,
    awaited: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let message = PyClassInitializer::from(ReceivedMessage(delivery.message().clone()));
    let open = Local::new(Unsettled::new(delivery));
    Ok(if awaited {
        Bound::new(py, message.add_subclass(AsyncDelivery(open)))?.into_any()
    } else {
        Bound::new(py, message.add_subclass(Delivery(open)))?.into_any()
    })
}

/// A lease, which is another one once it is prolonged.
type Current = Local<Arc<Mutex<Leased>>>;

fn ack_lease<'py>(py: Python<'py>, bridge: Option<&Bridge>, lease: &Current) -> PyResult<Bound<'py, PyAny>> {
    let leased = lease.here()?.lock().clone();
    run(py, bridge, async move { Ok(leased.ack().await?) })
}

fn nack_lease<'py>(py: Python<'py>, bridge: Option<&Bridge>, lease: &Current) -> PyResult<Bound<'py, PyAny>> {
    let leased = lease.here()?.lock().clone();
    run(py, bridge, async move { Ok(leased.give_back().await?) })
}

fn extend<'py>(
    py: Python<'py>,
    bridge: Option<&Bridge>,
    lease: &Current,
    time: Seconds,
) -> PyResult<Bound<'py, PyAny>> {
    let lease = Arc::clone(lease.here()?);
    run(py, bridge, async move {
        let mut leased = lease.lock().clone();
        leased.change_invisible(time.0).await?;
        *lease.lock() = leased;
        Ok(())
    })
}

/// A leased message, of the synchronous API.
#[pyclass(frozen, extends = ReceivedMessage, module = "ferromq")]
pub(crate) struct Lease(Current);

#[pymethods]
impl Lease {
    /// It is done.
    fn ack<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        ack_lease(py, None, &self.0)
    }

    /// It failed: it comes again after a wait that grows.
    fn nack<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        nack_lease(py, None, &self.0)
    }

    /// Lets the lease end so much later than now.
    fn extend<'py>(&self, py: Python<'py>, time: Seconds) -> PyResult<Bound<'py, PyAny>> {
        extend(py, None, &self.0, time)
    }
}

/// A leased message, of the asynchronous API.
#[pyclass(frozen, extends = ReceivedMessage, module = "ferromq")]
pub(crate) struct AsyncLease(Current);

#[pymethods]
impl AsyncLease {
    /// It is done.
    fn ack<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        ack_lease(py, Some(current(py)?.get()), &self.0)
    }

    /// It failed: it comes again after a wait that grows.
    fn nack<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        nack_lease(py, Some(current(py)?.get()), &self.0)
    }

    /// Lets the lease end so much later than now.
    fn extend<'py>(&self, py: Python<'py>, time: Seconds) -> PyResult<Bound<'py, PyAny>> {
        extend(py, Some(current(py)?.get()), &self.0, time)
    }
}

/// A leased message on its way to Python.
pub(crate) struct ToLease {
    pub(crate) leased: Leased,
    pub(crate) awaited: bool,
}

impl<'py> IntoPyObject<'py> for ToLease {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let message = PyClassInitializer::from(ReceivedMessage(self.leased.message().clone()));
        let current = Local::new(Arc::new(Mutex::new(self.leased)));
        Ok(if self.awaited {
            Bound::new(py, message.add_subclass(AsyncLease(current)))?.into_any()
        } else {
            Bound::new(py, message.add_subclass(Lease(current)))?.into_any()
        })
    }
}

/// What a lease in Python is of.
pub(crate) fn leased(lease: &Bound<'_, PyAny>) -> PyResult<Leased> {
    let current = match lease.cast::<AsyncLease>() {
        Ok(lease) => lease.get().0.here()?,
        Err(_) => lease.cast::<Lease>()?.get().0.here()?,
    };
    Ok(current.lock().clone())
}
