//! Administration: every operation by its name, with arguments and answers in JSON. What they are called and take is in
//! the bindings' common table; Python's methods are in `ferromq/_admin.py`.

use ferromq_bindings::admin::{self, Answer};
use ferromq_client as core;
use pyo3::prelude::*;
use pyo3::{IntoPyObjectExt as _, intern};

use crate::bridge::{Bridge, run};
use crate::client::Client;
use crate::received::ReceivedMessage;
use crate::runtime::Local;

/// An answer on its way to Python.
struct ToPython(Answer);

impl<'py> IntoPyObject<'py> for ToPython {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.0 {
            Answer::Json(text) => py.import(intern!(py, "json"))?.call_method1(intern!(py, "loads"), (text,)),
            Answer::Message(message) => ReceivedMessage(*message).into_bound_py_any(py),
            Answer::Messages(messages) => {
                messages.into_iter().map(ReceivedMessage).collect::<Vec<_>>().into_bound_py_any(py)
            }
        }
    }
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

    /// Does what an operation is for.
    fn call<'py>(
        &self,
        py: Python<'py>,
        bridge: Option<&Bridge>,
        operation: String,
        arguments: String,
    ) -> PyResult<Bound<'py, PyAny>> {
        let admin = self.0.here()?.clone();
        run(py, bridge, async move { Ok(ToPython(admin::call(&admin, &operation, &arguments).await?)) })
    }

    /// Each operation with the names of its arguments.
    #[staticmethod]
    fn operations() -> Vec<(&'static str, Vec<&'static str>)> {
        let arguments =
            |operation: &admin::Operation| operation.arguments.iter().map(|argument| argument.name).collect();
        admin::operations().map(|operation| (operation.name, arguments(operation))).collect()
    }
}
