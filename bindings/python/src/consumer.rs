//! Consumers that are handed messages: a stream, of which Python takes what is there and waits for more.
//!
//! Waiting and taking are two things: [`StreamConsumer::fill`] brings messages into a buffer and returns none,
//! [`StreamConsumer::take`] does not wait. So whoever is cancelled while waiting loses nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ferromq_bindings::Open;
use ferromq_client as core;
use ferromq_client::{MessageStream, PushConsumer};
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use tokio::sync::Mutex as AsyncMutex;

use crate::bridge::{Bridge, run, run_until_cancelled};
use crate::client::Client;
use crate::convert::{Most, Seconds, consuming, limit};
use crate::message::{Filter, MessageQueue};
use crate::received::delivered;
use crate::runtime::Local;

/// A consumer that is handed messages.
#[pyclass(frozen, module = "ferromq._ferromq")]
pub(crate) struct StreamConsumer(Local<Arc<Shared>>);

struct Shared {
    consumer: Open<PushConsumer>,
    /// Filled by one at a time.
    stream: AsyncMutex<MessageStream>,
    buffer: Mutex<VecDeque<core::Delivery>>,
}

impl Shared {
    /// Waits until something is in the buffer, and fills it up to `most` with what is there by then. False at the end.
    async fn fill(&self, most: usize) -> bool {
        let mut stream = self.stream.lock().await;
        if self.buffer.lock().is_empty() {
            // Nothing is taken from the stream and lost if this is dropped: it is put where it belongs before the next await.
            let Some(first) = stream.next().await else { return false };
            self.buffer.lock().push_back(first);
        }
        while self.buffer.lock().len() < most
            && let Some(Some(next)) = stream.next().now_or_never()
        {
            self.buffer.lock().push_back(next);
        }
        true
    }
}

#[pymethods]
impl StreamConsumer {
    /// Starts consuming.
    #[staticmethod]
    fn start<'py>(
        py: Python<'py>,
        bridge: Option<&Bridge>,
        client: &Client,
        group: &str,
        topics: HashMap<String, Filter>,
        options: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let builder = consuming(client.open()?.push_consumer(group), topics, options)?;
        run(py, bridge, async move {
            let (consumer, stream) = builder.stream().await?;
            let shared = Shared {
                consumer: Open::new("consumer", consumer),
                stream: AsyncMutex::new(stream),
                buffer: Mutex::default(),
            };
            Ok(Self(Local::new(Arc::new(shared))))
        })
    }

    /// Waits for messages: true if there are some to take, false if there will be none any more, none if time is over.
    fn fill<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        most: Most,
        timeout: Option<Seconds>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let shared = Arc::clone(self.0.here()?);
        let limit = limit(timeout);
        run_until_cancelled(py, bridge, async move {
            Ok(tokio::time::timeout(limit, shared.fill(most.0)).await.ok())
        })
    }

    /// Takes messages that are there.
    fn take<'py>(&self, py: Python<'py>, most: Most, awaited: bool) -> PyResult<Bound<'py, PyList>> {
        let taken: Vec<_> = {
            let mut buffer = self.0.here()?.buffer.lock();
            let count = buffer.len().min(most.0);
            buffer.drain(..count).collect()
        };
        let messages = PyList::empty(py);
        for delivery in taken {
            messages.append(delivered(py, delivery, awaited)?)?;
        }
        Ok(messages)
    }

    /// Takes a message, if there is one.
    fn take_one<'py>(&self, py: Python<'py>, awaited: bool) -> PyResult<Option<Bound<'py, PyAny>>> {
        let taken = self.0.here()?.buffer.lock().pop_front();
        taken.map(|delivery| delivered(py, delivery, awaited)).transpose()
    }

    /// The queues that are this member's now.
    #[getter]
    fn queues(&self) -> PyResult<Vec<MessageQueue>> {
        let queues = self.0.here()?.consumer.look(PushConsumer::queues).unwrap_or_default();
        Ok(queues.into_iter().map(MessageQueue).collect())
    }

    /// Stops fetching, stores positions and leaves the group. What was not taken comes again.
    fn close<'py>(&self, py: Python<'py>, bridge: Option<&Bridge>) -> PyResult<Bound<'py, PyAny>> {
        let shared = Arc::clone(self.0.here()?);
        let consumer = shared.consumer.take();
        run(py, bridge, async move {
            if let Some(consumer) = consumer {
                consumer.close().await;
            }
            shared.buffer.lock().clear();
            Ok(())
        })
    }
}
