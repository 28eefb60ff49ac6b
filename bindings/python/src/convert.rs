//! Times and texts: Python's to the client's and back.

use std::time::Duration;

use bytes::Bytes;
use ferromq_client::Timestamp;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyByteArray, PyBytes, PyString};
use pyo3::{Borrowed, intern};

/// A `timedelta`, or seconds.
#[derive(Clone, Copy)]
pub(crate) struct Seconds(pub(crate) Duration);

impl<'py> FromPyObject<'_, 'py> for Seconds {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let py = value.py();
        let seconds = match value.extract::<f64>() {
            Ok(seconds) => seconds,
            Err(_) => value.call_method0(intern!(py, "total_seconds"))?.extract()?,
        };
        let duration = Duration::try_from_secs_f64(seconds);
        duration.map(Self).map_err(|_| PyValueError::new_err(format!("{seconds} s is no duration")))
    }
}

/// A `datetime`, or seconds since 1970.
#[derive(Clone, Copy)]
pub(crate) struct Instant(pub(crate) Timestamp);

impl<'py> FromPyObject<'_, 'py> for Instant {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let py = value.py();
        let seconds = match value.extract::<f64>() {
            Ok(seconds) => seconds,
            Err(_) => value.call_method0(intern!(py, "timestamp"))?.extract()?,
        };
        Ok(Self(Timestamp((seconds * 1000.0).round() as i64)))
    }
}

/// A `datetime` in UTC.
pub(crate) fn datetime(py: Python<'_>, time: Timestamp) -> PyResult<Bound<'_, PyAny>> {
    static FROM: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static UTC: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let utc = UTC.get_or_try_init(py, || -> PyResult<_> {
        Ok(py.import("datetime")?.getattr("timezone")?.getattr("utc")?.unbind())
    })?;
    let from = FROM.get_or_try_init(py, || -> PyResult<_> {
        Ok(py.import("datetime")?.getattr("datetime")?.getattr("fromtimestamp")?.unbind())
    })?;
    from.bind(py).call1((time.0 as f64 / 1000.0, utc))
}

/// A body: a copy of bytes or of whatever else is a buffer, texts as UTF-8. A copy, so that nothing in flight belongs to
/// the interpreter.
pub(crate) struct Body(pub(crate) Bytes);

impl<'py> FromPyObject<'_, 'py> for Body {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let py = value.py();
        if let Ok(bytes) = value.cast::<PyBytes>() {
            return Ok(Self(Bytes::copy_from_slice(bytes.as_bytes())));
        }
        if let Ok(text) = value.cast::<PyString>() {
            return Ok(Self(Bytes::copy_from_slice(text.to_cow()?.as_bytes())));
        }
        let is_buffer = value.is_instance_of::<PyByteArray>() || value.hasattr(intern!(py, "nbytes"))?;
        if is_buffer {
            let bytes = py.get_type::<PyBytes>().call1((value,))?;
            return Ok(Self(Bytes::copy_from_slice(bytes.cast::<PyBytes>()?.as_bytes())));
        }
        let kind = value.get_type().name()?;
        Err(PyTypeError::new_err(format!("a body is bytes or str, not {kind}: give a serializer")))
    }
}

/// A body as UTF-8.
pub(crate) fn text(body: &[u8]) -> PyResult<&str> {
    std::str::from_utf8(body).map_err(|error| PyValueError::new_err(format!("the body is no UTF-8: {error}")))
}

/// A member of an enum of `ferromq/enums.py`.
pub(crate) fn member<'py>(py: Python<'py>, class: &str, value: &str) -> PyResult<Bound<'py, PyAny>> {
    static ENUMS: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let enums = ENUMS.get_or_try_init(py, || py.import("ferromq.enums").map(Bound::unbind))?;
    enums.bind(py).getattr(class)?.call1((value,))
}

/// What is wrong with the value of an option, with the option's name in front.
pub(crate) fn of_option(py: Python<'_>, name: &str, error: impl Into<PyErr>) -> PyErr {
    let error = error.into();
    let kind = error.get_type(py);
    let plain =
        [py.get_type::<PyTypeError>(), py.get_type::<PyValueError>(), py.get_type::<PyOverflowError>()];
    // One of ours says more than a text, and its text names the option.
    if !plain.iter().any(|plain| kind.is(plain)) {
        return error;
    }
    let text = format!("{name}: {}", error.value(py));
    PyErr::from_type(kind, text)
}

/// That there is no such option, with the one that may be meant.
pub(crate) fn no_option(py: Python<'_>, name: &str, known: &[&str]) -> PyErr {
    let close =
        || py.import("difflib")?.call_method1("get_close_matches", (name, known))?.extract::<Vec<String>>();
    let text = match close() {
        Ok(close) if !close.is_empty() => format!("there is no option {name:?}: did you mean {}?", close[0]),
        _ => format!("there is no option {name:?}: there are {}", known.join(", ")),
    };
    PyTypeError::new_err(text)
}

/// A struct of keywords, read from a dictionary: what is not there is none, and what is not known is refused.
macro_rules! options {
    ($(#[$doc:meta])* $name:ident { $($key:ident: $kind:ty,)+ }) => {
        $(#[$doc])*
        #[derive(Default)]
        pub(crate) struct $name { $($key: Option<$kind>,)+ }

        impl<'py> pyo3::FromPyObject<'_, 'py> for $name {
            type Error = pyo3::PyErr;

            fn extract(value: pyo3::Borrowed<'_, 'py, pyo3::PyAny>) -> pyo3::PyResult<Self> {
                let mut options = Self::default();
                for (key, value) in value.cast::<pyo3::types::PyDict>()?.iter() {
                    match key.extract::<String>()?.as_str() {
                        $(stringify!($key) => {
                            let read = value.extract::<Option<$kind>>();
                            let wrong = |error| $crate::convert::of_option(value.py(), stringify!($key), error);
                            options.$key = read.map_err(wrong)?;
                        })+
                        other => return Err($crate::convert::no_option(value.py(), other, &[$(stringify!($key)),+])),
                    }
                }
                Ok(options)
            }
        }
    };
}
pub(crate) use options;
