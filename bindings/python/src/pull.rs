//! Consumers that are asked for messages, queue by queue.

use std::collections::HashMap;
use std::sync::Arc;

use ferromq_bindings::{Fault, Open};
use ferromq_client as core;
use ferromq_client::{ConsumeFrom, QueueOffset};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::bridge::{Bridge, run, run_until_cancelled};
use crate::client::Client;
use crate::convert::{Most, Place, Seconds, consuming, limit};
use crate::errors::raise;
use crate::message::{Filter, MessageQueue};
use crate::received::ReceivedMessage;
use crate::runtime::Local;

/// A consumer that is asked for messages.
#[pyclass(frozen, module = "ferromq._ferromq")]
pub(crate) struct PullConsumer(Local<Open<Arc<core::PullConsumer>>>);

impl PullConsumer {
    fn open(&self) -> PyResult<Arc<core::PullConsumer>> {
        self.0.here()?.handle().map_err(raise)
    }
}

fn to_python(messages: Vec<core::Received>) -> Vec<ReceivedMessage> {
    messages.into_iter().map(ReceivedMessage).collect()
}

#[pymethods]
impl PullConsumer {
    /// Starts it.
    #[staticmethod]
    fn start<'py>(
        py: Python<'py>,
        bridge: Option<&Bridge>,
        client: &Client,
        group: &str,
        topics: HashMap<String, Filter>,
        options: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let builder = consuming(client.open()?.pull_consumer(group), topics, options)?;
        run(py, bridge, async move {
            Ok(Self(Local::new(Open::new("consumer", Arc::new(builder.start().await?)))))
        })
    }

    /// The queues of a topic that may be read.
    fn queues<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        topic: String,
    ) -> PyResult<Bound<'py, PyAny>> {
        let consumer = self.open()?;
        run(py, bridge, async move {
            Ok(consumer.queues(&topic).await?.into_iter().map(MessageQueue).collect::<Vec<_>>())
        })
    }

    /// The queues that are fetched from now.
    #[getter]
    fn assigned(&self) -> PyResult<Vec<MessageQueue>> {
        Ok(self.open()?.assigned().into_iter().map(MessageQueue).collect())
    }

    /// Fetches from these queues and no others.
    fn assign<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        queues: Vec<MessageQueue>,
        filter: Filter,
    ) -> PyResult<Bound<'py, PyAny>> {
        let consumer = self.open()?;
        let queues = queues.into_iter().map(|queue| queue.0).collect();
        run(py, bridge, async move { Ok(consumer.assign(queues, &filter.filter).await?) })
    }

    /// Waits until there are messages to take; false if none come in time. What was taken before is done.
    fn wait<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        timeout: Option<Seconds>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let consumer = self.open()?;
        let timeout = limit(timeout);
        run_until_cancelled(py, bridge, async move { Ok(consumer.wait(timeout).await?) })
    }

    /// Messages that are here.
    fn take(&self) -> PyResult<Vec<ReceivedMessage>> {
        Ok(to_python(self.open()?.take()))
    }

    /// Asks for messages of any queue, once.
    #[expect(clippy::too_many_arguments, reason = "as the client has it")]
    fn pull<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        queue: MessageQueue,
        offset: u64,
        most: Most,
        filter: Filter,
        wait: Seconds,
    ) -> PyResult<Bound<'py, PyAny>> {
        let consumer = self.open()?;
        run_until_cancelled(py, bridge, async move {
            let from = QueueOffset(offset);
            let pulled = consumer.pull(&queue.0, &filter.filter, from, most.u32(), wait.0).await?;
            let (next, min, max) = (pulled.next.0, pulled.min.0, pulled.max.0);
            Ok(Pulled { messages: pulled.messages, next_offset: next, min_offset: min, max_offset: max })
        })
    }

    /// Goes on at an offset, or at `"first"`, `"last"` or a time.
    fn seek<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        queue: MessageQueue,
        to: Target,
    ) -> PyResult<Bound<'py, PyAny>> {
        let consumer = self.open()?;
        run(py, bridge, async move {
            let queue = &queue.0;
            match to {
                Target::Offset(offset) => consumer.seek(queue, QueueOffset(offset))?,
                Target::Place(Place(ConsumeFrom::First)) => consumer.seek_to_first(queue).await?,
                Target::Place(Place(ConsumeFrom::Last)) => consumer.seek_to_end(queue).await?,
                Target::Place(Place(ConsumeFrom::Time(time))) => consumer.seek_to_time(queue, time).await?,
            }
            Ok(())
        })
    }

    /// Hands nothing of these queues out.
    #[expect(clippy::needless_pass_by_value, reason = "as they come")]
    fn pause(&self, queues: Vec<MessageQueue>) -> PyResult<()> {
        let queues: Vec<_> = queues.iter().map(|queue| queue.0.clone()).collect();
        self.open()?.pause(&queues).map_err(raise)
    }

    /// Goes on with these queues.
    #[expect(clippy::needless_pass_by_value, reason = "as they come")]
    fn resume(&self, queues: Vec<MessageQueue>) -> PyResult<()> {
        let queues: Vec<_> = queues.iter().map(|queue| queue.0.clone()).collect();
        self.open()?.resume(&queues).map_err(raise)
    }

    /// The offset of the next message of a queue.
    fn position(&self, queue: &MessageQueue) -> PyResult<Option<u64>> {
        let position = self.open()?.position(&queue.0).map_err(raise)?;
        Ok(position.map(|offset| offset.0))
    }

    /// What is committed of a queue.
    fn committed<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        queue: MessageQueue,
    ) -> PyResult<Bound<'py, PyAny>> {
        let consumer = self.open()?;
        run(py, bridge, async move { Ok(consumer.committed(&queue.0).await?.map(|offset| offset.0)) })
    }

    /// Commits what was polled, or a position of one queue.
    #[pyo3(signature = (bridge, queue=None, offset=None))]
    fn commit<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        queue: Option<MessageQueue>,
        offset: Option<u64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let consumer = self.open()?;
        run(py, bridge, async move {
            match (queue, offset) {
                (Some(queue), Some(offset)) => consumer.commit_at(&queue.0, QueueOffset(offset)).await?,
                (None, None) => consumer.commit().await?,
                _ => return Err(Fault::config("commit takes a queue and an offset, or neither")),
            }
            Ok(())
        })
    }

    /// The offset of a queue's oldest message, of its end, or of the first message stored at a time or later.
    fn offset_of<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        queue: MessageQueue,
        place: Place,
    ) -> PyResult<Bound<'py, PyAny>> {
        let consumer = self.open()?;
        run(py, bridge, async move {
            let offset = match place.0 {
                ConsumeFrom::First => consumer.min_offset(&queue.0).await?,
                ConsumeFrom::Last => consumer.max_offset(&queue.0).await?,
                ConsumeFrom::Time(time) => consumer.offset_of(&queue.0, time).await?,
            };
            Ok(offset.0)
        })
    }

    /// Stops, commits and leaves the group.
    fn close<'py>(&self, py: Python<'py>, bridge: Option<&Bridge>) -> PyResult<Bound<'py, PyAny>> {
        let consumer = self.0.here()?.take();
        run(py, bridge, async move {
            if let Some(consumer) = consumer {
                consumer.close().await;
            }
            Ok(())
        })
    }
}

/// Where to go on.
#[derive(FromPyObject)]
enum Target {
    Offset(u64),
    Place(Place),
}

/// What one pull brought.
#[pyclass(frozen, module = "ferromq")]
pub(crate) struct Pulled {
    messages: Vec<core::Received>,
    #[pyo3(get)]
    next_offset: u64,
    #[pyo3(get)]
    min_offset: u64,
    #[pyo3(get)]
    max_offset: u64,
}

#[pymethods]
impl Pulled {
    #[getter]
    fn messages(&self) -> Vec<ReceivedMessage> {
        to_python(self.messages.clone())
    }

    fn __repr__(&self) -> String {
        let (count, next) = (self.messages.len(), self.next_offset);
        format!(
            "Pulled({count} messages, next_offset={next}, min_offset={}, max_offset={})",
            self.min_offset, self.max_offset
        )
    }
}
