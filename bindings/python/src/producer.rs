//! Producers.

use std::collections::HashMap;

use ferromq_bindings::Open;
use ferromq_client as core;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::bridge::{Bridge, run, run_until_cancelled};
use crate::client::Client;
use crate::convert::{Body, Seconds, configured, datetime, text};
use crate::errors::raise;
use crate::message::{Message, MessageQueue, SendReceipt};
use crate::received::ReceivedMessage;
use crate::runtime::{Local, here};

/// Sends messages.
#[pyclass(frozen, module = "ferromq._ferromq")]
pub(crate) struct Producer {
    producer: Local<Open<core::Producer>>,
}

impl Producer {
    pub(crate) fn of(producer: core::Producer) -> Self {
        Self { producer: Local::new(Open::new("producer", producer)) }
    }

    pub(crate) fn open(&self) -> PyResult<core::Producer> {
        self.producer.here()?.handle().map_err(raise)
    }
}

#[pymethods]
impl Producer {
    #[new]
    fn new(py: Python<'_>, client: &Client, group: &str, options: &Bound<'_, PyDict>) -> PyResult<Self> {
        let builder = configured(options, client.open()?.producer(group))?;
        let _context = here(py)?.runtime.enter();
        Ok(Self::of(builder.build().map_err(raise)?))
    }

    /// Sends a message, to one queue or whichever.
    #[pyo3(signature = (bridge, message, queue=None))]
    fn send<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        message: &Message,
        queue: Option<MessageQueue>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (producer, message) = (self.open()?, message.message.clone());
        run(py, bridge, async move {
            let sent = match queue {
                Some(queue) => producer.send_to(&queue.0, message).await,
                None => producer.send(message).await,
            };
            Ok(SendReceipt(sent?))
        })
    }

    /// Sends messages of one topic together.
    fn send_many<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        messages: &Bound<'py, PyList>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let producer = self.open()?;
        let mut batch = Vec::with_capacity(messages.len());
        for message in messages {
            batch.push(message.cast::<Message>()?.get().message.clone());
        }
        run(py, bridge, async move {
            let receipts = producer.send_batch(batch).await?;
            Ok(receipts.into_iter().map(SendReceipt).collect::<Vec<_>>())
        })
    }

    /// Sends a message and does not wait for an answer.
    fn send_oneway<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        message: &Message,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (producer, message) = (self.open()?, message.message.clone());
        run(py, bridge, async move { Ok(producer.send_oneway(message).await?) })
    }

    /// Takes back a timed message.
    fn recall<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        topic: String,
        handle: String,
    ) -> PyResult<Bound<'py, PyAny>> {
        let producer = self.open()?;
        run(py, bridge, async move { Ok(producer.recall(&topic, &handle).await?) })
    }

    /// Sends a question and waits for the reply.
    fn request<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        question: &Message,
        timeout: Seconds,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (producer, question) = (self.open()?, question.message.clone());
        run_until_cancelled(
            py,
            bridge,
            async move { Ok(Reply(producer.request(question, timeout.0).await?)) },
        )
    }

    /// Replies to a question.
    fn reply<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        question: &ReceivedMessage,
        body: Body,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (producer, question) = (self.open()?, question.0.clone());
        run(py, bridge, async move { Ok(SendReceipt(producer.reply(&question, body.0).await?)) })
    }

    /// Waits for what is in flight, and leaves the group.
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

/// What somebody replied.
#[pyclass(frozen, module = "ferromq")]
pub(crate) struct Reply(core::Reply);

#[pymethods]
impl Reply {
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

    #[getter]
    fn properties(&self) -> HashMap<&str, &str> {
        self.0.properties().collect()
    }

    #[getter]
    fn born_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        datetime(py, self.0.born())
    }

    fn __repr__(&self) -> String {
        format!("Reply({} bytes)", self.0.body().len())
    }
}
