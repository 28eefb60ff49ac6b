//! Which exception a fault is: a class of `ferromq/errors.py`, which has one for each kind.

use ferromq_bindings::{Fault, FaultKind};
use ferromq_client::Remedy;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::message::SendReceipt;

/// The exception to be raised.
pub(crate) fn raise(fault: impl Into<Fault>) -> PyErr {
    Python::attach(|py| made(py, fault.into()).unwrap_or_else(|error| error))
}

fn made(py: Python<'_>, fault: Fault) -> PyResult<PyErr> {
    static ERRORS: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let errors = ERRORS.get_or_try_init(py, || py.import("ferromq.errors").map(Bound::unbind))?;
    let remedy = match fault.remedy {
        Remedy::Retry => "retry",
        Remedy::FixCall => "fix_call",
        Remedy::AskOperator => "ask_operator",
    };
    let receipts = fault.receipts.map(|receipts| receipts.into_iter().map(SendReceipt).collect::<Vec<_>>());
    let make = errors.bind(py).getattr("_make")?;
    Ok(PyErr::from_value(make.call1((fault.kind.name(), fault.text, remedy, fault.code, receipts))?))
}

/// The names of the classes that there have to be.
#[pyfunction]
pub(crate) fn error_names() -> Vec<&'static str> {
    FaultKind::ALL.iter().map(|kind| kind.name()).collect()
}
