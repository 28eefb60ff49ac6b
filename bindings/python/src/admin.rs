//! Administration. Answers are what the client serializes: Python gets them as dictionaries and lists.

use ferromq_client as core;
use ferromq_client::admin::Scope;
use ferromq_client::admin::groups::GroupChange;
use ferromq_client::admin::offsets::ResetTo;
use ferromq_client::admin::topics::TopicChange;
use ferromq_client::{AdminError, QueueOffset};
use pyo3::intern;
use pyo3::prelude::*;
use serde::Serialize;

use crate::bridge::{Bridge, run};
use crate::client::Client;
use crate::consumer::From;
use crate::errors::Fault;
use crate::received::ReceivedMessage;
use crate::runtime::Local;

/// An answer on its way to Python.
struct Answer(String);

impl Answer {
    fn of(value: &impl Serialize) -> Result<Self, Fault> {
        serde_json::to_string(value).map(Self).map_err(Fault::config)
    }
}

impl<'py> IntoPyObject<'py> for Answer {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import(intern!(py, "json"))?.call_method1(intern!(py, "loads"), (self.0,))
    }
}

/// Asks, and makes the answer one for Python.
fn ask<'py, T: Serialize>(
    py: Python<'py>,
    bridge: Option<&Bridge>,
    asked: impl Future<Output = Result<T, AdminError>> + Send + 'static,
) -> PyResult<Bound<'py, PyAny>> {
    run(py, bridge, async move { Answer::of(&asked.await?) })
}

/// Administration of the servers that a client knows.
#[pyclass(frozen, module = "ferromq._ferromq")]
pub(crate) struct Admin(Local<core::Admin>);

#[pymethods]
impl Admin {
    #[new]
    fn new(client: &Client) -> PyResult<Self> {
        Ok(Self(Local::new(client.open()?.admin())))
    }

    fn topics<'py>(&self, py: Python<'py>, bridge: Option<&Bridge>) -> PyResult<Bound<'py, PyAny>> {
        let admin = self.0.here()?.clone();
        ask(py, bridge, async move { admin.topics().await })
    }

    fn clusters<'py>(&self, py: Python<'py>, bridge: Option<&Bridge>) -> PyResult<Bound<'py, PyAny>> {
        let admin = self.0.here()?.clone();
        ask(py, bridge, async move { admin.clusters().await })
    }

    fn change_topic<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        topic: String,
        queues: Option<u32>,
        ordered: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let admin = self.0.here()?.clone();
        let change = TopicChange { read_queues: queues, write_queues: queues, ordered, ..Default::default() };
        run(py, bridge, async move {
            let changed = admin.change_topic(&topic, &change, &Scope::All).await?;
            Answer::of(&changed.failures)
        })
    }

    fn delete_topic<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        topic: String,
    ) -> PyResult<Bound<'py, PyAny>> {
        let admin = self.0.here()?.clone();
        run(py, bridge, async move {
            admin.delete_topic(&topic, &Scope::All).await?;
            Ok(())
        })
    }

    fn topic_status<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        topic: String,
    ) -> PyResult<Bound<'py, PyAny>> {
        let admin = self.0.here()?.clone();
        ask(py, bridge, async move { admin.topic_status(&topic).await })
    }

    fn groups<'py>(&self, py: Python<'py>, bridge: Option<&Bridge>) -> PyResult<Bound<'py, PyAny>> {
        let admin = self.0.here()?.clone();
        run(py, bridge, async move {
            let groups = admin.groups(&Scope::All).await?.value;
            Ok(groups.iter().map(ToString::to_string).collect::<Vec<_>>())
        })
    }

    fn change_group<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        group: String,
        consume: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let admin = self.0.here()?.clone();
        let change = GroupChange { consume, ..Default::default() };
        run(py, bridge, async move {
            let changed = admin.change_group(&group, &change, &Scope::All).await?;
            Answer::of(&changed.failures)
        })
    }

    fn progress<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        group: String,
        topic: Option<String>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let admin = self.0.here()?.clone();
        ask(py, bridge, async move { admin.progress(&group, topic.as_deref(), &Scope::All).await })
    }

    fn reset_offsets<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        group: String,
        topic: String,
        to: From,
    ) -> PyResult<Bound<'py, PyAny>> {
        let admin = self.0.here()?.clone();
        let to = match to {
            From::First => ResetTo::First,
            From::Last => ResetTo::Last,
            From::Time(time) => ResetTo::Time(time.0),
        };
        ask(py, bridge, async move { admin.reset_offsets(&group, &topic, to, None).await })
    }

    fn reset_queue<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        group: String,
        queue: crate::message::MessageQueue,
        offset: u64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let admin = self.0.here()?.clone();
        ask(py, bridge, async move {
            let (topic, to) = (queue.0.topic.as_str(), ResetTo::Offset(QueueOffset(offset)));
            admin.reset_offsets(&group, topic, to, Some(&queue.0)).await
        })
    }

    fn messages_by_id<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        topic: String,
        id: String,
    ) -> PyResult<Bound<'py, PyAny>> {
        let admin = self.0.here()?.clone();
        run(py, bridge, async move {
            let found = admin.messages_by_id(&topic, &id).await?.value;
            Ok(found.into_iter().map(ReceivedMessage).collect::<Vec<_>>())
        })
    }

    fn message_at<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        place: String,
    ) -> PyResult<Bound<'py, PyAny>> {
        let admin = self.0.here()?.clone();
        run(py, bridge, async move { Ok(ReceivedMessage(admin.message_at(&place).await?)) })
    }

    fn examine<'py>(&self, py: Python<'py>, bridge: Option<&Bridge>) -> PyResult<Bound<'py, PyAny>> {
        let admin = self.0.here()?.clone();
        ask(py, bridge, async move { Ok(admin.examine().await) })
    }
}
