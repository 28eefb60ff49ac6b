//! What is sent, what is got for it, where it goes and which of it is wanted.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use ferromq_bindings::Fault;
use ferromq_client as core;
use ferromq_client::{QueueId, SendStatus, TopicName};
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::{Body, Instant, Seconds, member, option};
use crate::errors::raise;

/// A message to be sent. Immutable.
#[pyclass(frozen, eq, module = "ferromq")]
#[derive(Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) message: core::Message,
    flag: i32,
    properties: Option<HashMap<String, String>>,
}

#[pymethods]
impl Message {
    #[new]
    #[pyo3(signature = (topic, body, *, tag=None, keys=None, properties=None, sharding_key=None, delay_level=None,
        deliver_at=None, deliver_after=None, flag=0, wait_for_store=true, serializer=None))]
    #[expect(clippy::too_many_arguments, reason = "keywords")]
    #[expect(clippy::needless_pass_by_value, reason = "as they come")]
    fn new(
        topic: &str,
        body: &Bound<'_, PyAny>,
        tag: Option<&str>,
        keys: Option<Keys>,
        properties: Option<HashMap<String, String>>,
        sharding_key: Option<&str>,
        delay_level: Option<u8>,
        deliver_at: Option<&Bound<'_, PyAny>>,
        deliver_after: Option<&Bound<'_, PyAny>>,
        flag: i32,
        wait_for_store: bool,
        serializer: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let body: Body = match serializer {
            Some(serializer) => {
                serializer.call_method1(intern!(body.py(), "serialize"), (body,))?.extract()?
            }
            None => body.extract()?,
        };
        let mut builder = core::Message::builder(topic).body(body.0).flag(flag);
        builder = tag.into_iter().fold(builder, core::MessageBuilder::tag);
        builder = match &keys {
            None => builder,
            Some(Keys::One(key)) => builder.key(key),
            Some(Keys::Many(keys)) => keys.iter().fold(builder, |builder, key| builder.key(key)),
        };
        for (name, value) in properties.iter().flatten() {
            builder = builder.property(name, value);
        }
        builder = sharding_key.into_iter().fold(builder, core::MessageBuilder::sharding_key);
        builder = delay_level.into_iter().fold(builder, core::MessageBuilder::delay_level);
        if let Some(Instant(time)) = option("deliver_at", deliver_at)? {
            builder = builder.deliver_at(time);
        }
        if let Some(Seconds(time)) = option("deliver_after", deliver_after)? {
            builder = builder.deliver_after(time);
        }
        if !wait_for_store {
            builder = builder.without_waiting_for_store();
        }
        let message = builder.build().map_err(raise)?;
        Ok(Self { message, flag, properties })
    }

    #[getter]
    fn topic(&self) -> &str {
        self.message.topic().as_str()
    }

    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.message.body())
    }

    #[getter]
    fn tag(&self) -> Option<&str> {
        self.message.property("TAGS")
    }

    #[getter]
    fn keys(&self) -> Vec<&str> {
        self.message.property("KEYS").unwrap_or_default().split_ascii_whitespace().collect()
    }

    #[getter]
    fn sharding_key(&self) -> Option<&str> {
        self.message.property("__SHARDINGKEY")
    }

    #[getter]
    fn flag(&self) -> i32 {
        self.flag
    }

    #[getter]
    fn properties(&self) -> HashMap<String, String> {
        self.properties.clone().unwrap_or_default()
    }

    /// The same message with further properties; those that it has stay as they are.
    fn with_properties(&self, properties: HashMap<String, String>) -> PyResult<Self> {
        let mut same = self.clone();
        for (name, value) in &properties {
            same.message = same.message.with_property(name, value).map_err(raise)?;
        }
        for (name, value) in properties {
            same.properties.get_or_insert_default().entry(name).or_insert(value);
        }
        Ok(same)
    }

    fn __repr__(&self) -> String {
        let mut text = format!("Message(topic={:?}, {} bytes", self.topic(), self.message.body().len());
        let shown = [("tag", self.tag()), ("sharding_key", self.sharding_key())];
        for (name, value) in shown {
            if let Some(value) = value {
                text += &format!(", {name}={value:?}");
            }
        }
        let keys = self.keys();
        if !keys.is_empty() {
            text += &format!(", keys={keys:?}");
        }
        text + ")"
    }
}

/// One key or several.
#[derive(FromPyObject)]
enum Keys {
    One(String),
    Many(Vec<String>),
}

/// One queue of a topic on a broker.
#[pyclass(frozen, eq, ord, module = "ferromq", from_py_object)]
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MessageQueue(pub(crate) core::MessageQueue);

#[pymethods]
impl MessageQueue {
    #[new]
    fn new(topic: &str, broker: &str, id: u32) -> PyResult<Self> {
        let topic = TopicName::new(topic).map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Self(core::MessageQueue { topic, broker: broker.into(), id: QueueId(id) }))
    }

    #[getter]
    fn topic(&self) -> &str {
        self.0.topic.as_str()
    }

    #[getter]
    fn broker(&self) -> &str {
        &self.0.broker
    }

    #[getter]
    fn id(&self) -> u32 {
        self.0.id.0
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("MessageQueue({:?}, {:?}, {})", self.topic(), self.broker(), self.id())
    }
}

/// A message is stored.
#[pyclass(frozen, eq, module = "ferromq")]
#[derive(PartialEq, Eq)]
pub(crate) struct SendReceipt(pub(crate) core::SendReceipt);

#[pymethods]
impl SendReceipt {
    #[getter]
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        member(py, "SendStatus", self.status_name())
    }

    #[getter]
    fn message_id(&self) -> &str {
        self.0.message_id.as_str()
    }

    #[getter]
    fn queue(&self) -> MessageQueue {
        MessageQueue(self.0.queue.clone())
    }

    #[getter]
    fn offset(&self) -> u64 {
        self.0.offset.0
    }

    /// Where the record lies, as administration names it.
    #[getter]
    fn place(&self) -> Option<String> {
        self.0.place.map(|place| place.to_string())
    }

    #[getter]
    fn recall_handle(&self) -> Option<&str> {
        self.0.recall_handle.as_deref()
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.message_id().hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> String {
        format!(
            "SendReceipt(message_id={:?}, queue={}, offset={}, status={})",
            self.message_id(),
            self.0.queue,
            self.0.offset.0,
            self.status_name()
        )
    }
}

impl SendReceipt {
    fn status_name(&self) -> &'static str {
        match self.0.status {
            SendStatus::Stored => "stored",
            SendStatus::FlushDiskTimeout => "flush_disk_timeout",
            SendStatus::FlushSlaveTimeout => "flush_slave_timeout",
            SendStatus::SlaveNotAvailable => "slave_not_available",
        }
    }
}

/// Which messages of a topic are wanted.
#[pyclass(frozen, eq, module = "ferromq", from_py_object)]
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) filter: core::Filter,
    text: String,
}

#[pymethods]
impl Filter {
    #[staticmethod]
    fn all() -> Self {
        Self { filter: core::Filter::all(), text: "Filter.all()".to_owned() }
    }

    #[staticmethod]
    fn tags(expression: &str) -> Self {
        Self { filter: core::Filter::tags(expression), text: format!("Filter.tags({expression:?})") }
    }

    #[staticmethod]
    fn sql(expression: &str) -> PyResult<Self> {
        let filter = core::Filter::sql(expression).map_err(|error| raise(Fault::config(error)))?;
        Ok(Self { filter, text: format!("Filter.sql({expression:?})") })
    }

    fn __repr__(&self) -> &str {
        &self.text
    }
}
