//! Times, texts and options: Python's to the client's and back.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use ferromq_bindings::{Configure, Fault, OptionError, Subscribe, SwitchOrDuration, Value};
use ferromq_client::{self as core, ConsumeFrom, Timestamp};
use pyo3::conversion::FromPyObjectOwned;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyString};
use pyo3::{Borrowed, intern};

use crate::client::{Credentials, Tls};
use crate::errors::raise;
use crate::message::Filter;

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

/// How long to wait: forever, if it is not said.
pub(crate) fn limit(timeout: Option<Seconds>) -> Duration {
    timeout.map_or(Duration::MAX, |timeout| timeout.0)
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
        let millis = (seconds * 1000.0).round();
        if !(i64::MIN as f64..i64::MAX as f64).contains(&millis) {
            return Err(PyValueError::new_err(format!("{seconds} s since 1970 is no time")));
        }
        Ok(Self(Timestamp(millis as i64)))
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

/// `"first"`, `"last"` or a time.
#[derive(Clone, Copy)]
pub(crate) struct Place(pub(crate) ConsumeFrom);

impl<'py> FromPyObject<'_, 'py> for Place {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self(match value.extract::<String>().as_deref() {
            Ok("first") => ConsumeFrom::First,
            Ok("last") => ConsumeFrom::Last,
            Ok(other) => {
                let text = format!("{other:?} is no place in a queue, allowed is first, last or a time");
                return Err(raise(Fault::config(text)));
            }
            Err(_) => ConsumeFrom::Time(value.extract::<Instant>()?.0),
        }))
    }
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
fn of_option(py: Python<'_>, name: &str, error: impl Into<PyErr>) -> PyErr {
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
fn no_option(py: Python<'_>, name: &str, known: &[&str]) -> PyErr {
    let close =
        || py.import("difflib")?.call_method1("get_close_matches", (name, known))?.extract::<Vec<String>>();
    let text = match close() {
        Ok(close) if !close.is_empty() => format!("there is no option {name:?}: did you mean {}?", close[0]),
        _ => format!("there is no option {name:?}: there are {}", known.join(", ")),
    };
    PyTypeError::new_err(text)
}

/// An option that is an argument: what is wrong with it is told with its name.
pub(crate) fn option<'a, 'py, T: FromPyObject<'a, 'py>>(
    name: &str,
    value: Option<&'a Bound<'py, PyAny>>,
) -> PyResult<Option<T>> {
    value.map(|value| value.extract::<T>().map_err(|error| of_option(value.py(), name, error))).transpose()
}

/// How many there may be at most: one at least.
#[derive(Clone, Copy)]
pub(crate) struct Most(pub(crate) usize);

impl Most {
    pub(crate) fn u32(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }
}

impl<'py> FromPyObject<'_, 'py> for Most {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match value.extract::<i64>()? {
            most @ 1.. => Ok(Self(usize::try_from(most).unwrap_or(usize::MAX))),
            less => Err(raise(Fault::config(format!("most is {less}, allowed is 1 and more")))),
        }
    }
}

/// Sets the options of a dictionary. None is as if it were not there.
pub(crate) fn configured<B: Configure>(options: &Bound<'_, PyDict>, builder: B) -> PyResult<B> {
    let py = options.py();
    options.iter().filter(|(_, value)| !value.is_none()).try_fold(builder, |builder, (name, value)| {
        let name = name.extract::<String>()?;
        builder.set(&name, Given(value)).map_err(|error| match error {
            OptionError::Unknown(known) => no_option(py, &name, known),
            OptionError::Value(error) => of_option(py, &name, error),
        })
    })
}

/// A consumer's builder, with topics and options.
pub(crate) fn consuming<B: Configure + Subscribe>(
    builder: B,
    topics: HashMap<String, Filter>,
    options: &Bound<'_, PyDict>,
) -> PyResult<B> {
    let topics = topics.into_iter().map(|(topic, filter)| (topic, filter.filter));
    Ok(configured(options, builder)?.subscribed(topics))
}

/// What is given as an option.
struct Given<'py>(Bound<'py, PyAny>);

impl<'py> Given<'py> {
    fn read<T: FromPyObjectOwned<'py>>(&self) -> PyResult<T> {
        self.0.extract().map_err(Into::into)
    }
}

impl Value for Given<'_> {
    type Error = PyErr;

    fn unfit(fault: Fault) -> PyErr {
        raise(fault)
    }

    fn switch(self) -> PyResult<bool> {
        self.read()
    }

    fn u32(self) -> PyResult<u32> {
        self.read()
    }

    fn u64(self) -> PyResult<u64> {
        self.read()
    }

    fn usize(self) -> PyResult<usize> {
        self.read()
    }

    fn text(self) -> PyResult<String> {
        self.read()
    }

    fn path(self) -> PyResult<PathBuf> {
        self.read()
    }

    fn duration(self) -> PyResult<Duration> {
        Ok(self.read::<Seconds>()?.0)
    }

    fn switch_or_duration(self) -> PyResult<SwitchOrDuration> {
        match self.read::<bool>() {
            Ok(switch) => Ok(SwitchOrDuration::Switch(switch)),
            Err(_) => Ok(SwitchOrDuration::Duration(self.duration()?)),
        }
    }

    fn start(self) -> PyResult<ConsumeFrom> {
        Ok(self.read::<Place>()?.0)
    }

    fn tls(self) -> PyResult<core::Tls> {
        Ok(self.read::<Tls>()?.0)
    }

    fn credentials(self) -> PyResult<core::Credentials> {
        Ok(self.read::<Credentials>()?.0)
    }
}
