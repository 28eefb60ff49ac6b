//! Consumers that lease messages.

use std::collections::HashMap;
use std::sync::Arc;

use ferromq_bindings::Open;
use ferromq_client as core;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::bridge::{Bridge, run, run_until_cancelled};
use crate::client::Client;
use crate::convert::{Most, Seconds, consuming};
use crate::errors::raise;
use crate::message::Filter;
use crate::received::{ToLease, leased};
use crate::runtime::Local;

/// A consumer that leases messages.
#[pyclass(frozen, module = "ferromq._ferromq")]
pub(crate) struct PopConsumer(Local<Open<Arc<core::PopConsumer>>>);

impl PopConsumer {
    fn open(&self) -> PyResult<Arc<core::PopConsumer>> {
        self.0.here()?.handle().map_err(raise)
    }
}

#[pymethods]
impl PopConsumer {
    /// Joins the group.
    #[staticmethod]
    fn start<'py>(
        py: Python<'py>,
        bridge: Option<&Bridge>,
        client: &Client,
        group: &str,
        topics: HashMap<String, Filter>,
        options: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let builder = consuming(client.open()?.pop_consumer(group), topics, options)?;
        run(py, bridge, async move {
            Ok(Self(Local::new(Open::new("consumer", Arc::new(builder.start().await?)))))
        })
    }

    /// Leases messages.
    fn receive<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        most: Most,
        wait: Seconds,
    ) -> PyResult<Bound<'py, PyAny>> {
        let consumer = self.open()?;
        let awaited = bridge.is_some();
        run_until_cancelled(py, bridge, async move {
            let leases = consumer.receive(most.u32(), wait.0).await?;
            Ok(leases.into_iter().map(|leased| ToLease { leased, awaited }).collect::<Vec<_>>())
        })
    }

    /// Acknowledges many messages with few requests.
    #[expect(clippy::needless_pass_by_value, reason = "as they come")]
    fn ack_many<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        leases: Vec<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let consumer = self.open()?;
        let leases = leases.iter().map(leased).collect::<PyResult<Vec<_>>>()?;
        run(py, bridge, async move { Ok(consumer.ack_all(leases).await?) })
    }

    /// Leaves the group.
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
