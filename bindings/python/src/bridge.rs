//! Awaiting: what is done for one event loop, and how the loop hears of it.
//!
//! ```text
//! task ends ──▶ Queue ── was it empty? one byte down a pipe ──▶ the loop's reader ──▶ drain: all that is done by now
//! ```
//! A future is a plain `asyncio.Future` of the loop, so awaiting costs what asyncio's own futures cost; the wake-up is
//! shared by all that ended since the last. The pipe rather than `call_soon_threadsafe` because writing a byte takes no
//! interpreter lock: tokio's threads never wait for Python. Loops without readers (Windows' default) have a Python thread
//! that waits in [`Bridge::woken`] and calls `call_soon_threadsafe`.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::sync::Arc;

use ferromq_bindings::Fault;
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use pyo3::IntoPyObjectExt as _;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::errors::raise;
use crate::runtime::{Local, here, wait};

/// Completions for one event loop.
#[pyclass(frozen, module = "ferromq._ferromq")]
pub(crate) struct Bridge {
    create_future: Py<PyAny>,
    /// A future that is done: what is done at once needs no other.
    done: Py<PyAny>,
    ends: Local<Ends>,
}

struct Ends {
    queue: Arc<Queue>,
    reader: Option<Mutex<PipeReader>>,
}

/// What tasks push to.
struct Queue {
    state: Mutex<State>,
    wake: Wake,
}

#[derive(Default)]
struct State {
    done: Vec<Completion>,
    /// A wake-up is on its way: there is a byte in the pipe.
    woken: bool,
}

enum Wake {
    Pipe(PipeWriter),
    Notify(Notify),
}

/// How a task ended, to be made Python's by the loop's thread.
type Ended = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

struct Completion {
    future: Py<PyAny>,
    result: Ended,
}

impl Queue {
    fn push(&self, completion: Completion) {
        let mut state = self.state.lock();
        state.done.push(completion);
        if !state.woken {
            state.woken = true;
            match &self.wake {
                // One byte at most is ever in it, so this does not wait; it fails when nobody will ever read again.
                Wake::Pipe(writer) => drop((&mut &*writer).write(&[1])),
                Wake::Notify(notify) => notify.notify_one(),
            }
        }
    }

    fn take(&self, reader: Option<&Mutex<PipeReader>>) -> io::Result<Vec<Completion>> {
        let mut state = self.state.lock();
        if state.woken
            && let Some(reader) = reader
        {
            reader.lock().read_exact(&mut [0])?;
        }
        state.woken = false;
        Ok(std::mem::take(&mut state.done))
    }
}

/// Completes a future, also if its task panics or is dropped: somebody may wait for it.
struct Promise {
    queue: Arc<Queue>,
    future: Option<Py<PyAny>>,
}

impl Promise {
    fn end(mut self, result: impl FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send + 'static) {
        self.complete(Box::new(result));
    }

    fn complete(&mut self, result: Ended) {
        if let Some(future) = self.future.take() {
            self.queue.push(Completion { future, result });
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.complete(Box::new(|_| Err(raise(Fault::closed("the call ended without an answer")))));
    }
}

#[pymethods]
impl Bridge {
    /// Completions for an event loop, told by a pipe if the loop has readers.
    #[new]
    fn new(event_loop: &Bound<'_, PyAny>, by_pipe: bool) -> PyResult<Self> {
        let (reader, wake) = if by_pipe {
            let (reader, writer) = io::pipe()?;
            (Some(Mutex::new(reader)), Wake::Pipe(writer))
        } else {
            (None, Wake::Notify(Notify::new()))
        };
        let create_future = event_loop.getattr("create_future")?;
        let done = create_future.call0()?;
        done.call_method1("set_result", (event_loop.py().None(),))?;
        let queue = Arc::new(Queue { state: Mutex::default(), wake });
        Ok(Self {
            create_future: create_future.unbind(),
            done: done.unbind(),
            ends: Local::new(Ends { queue, reader }),
        })
    }

    /// What the loop is to read from.
    #[cfg(unix)]
    fn fileno(&self) -> PyResult<Option<i32>> {
        use std::os::fd::AsRawFd as _;
        Ok(self.ends.here()?.reader.as_ref().map(|reader| reader.lock().as_raw_fd()))
    }

    /// Waits until there is something to drain: for loops without readers.
    fn woken(&self, py: Python<'_>) -> PyResult<()> {
        let queue = Arc::clone(&self.ends.here()?.queue);
        let woken = async move {
            if let Wake::Notify(notify) = &queue.wake {
                notify.notified().await;
            }
        };
        wait(py, woken.boxed())
    }

    /// Ends the futures of everything that is done. To be called by the loop.
    fn drain(&self, py: Python<'_>) -> PyResult<()> {
        let ends = self.ends.here()?;
        for Completion { future, result } in ends.queue.take(ends.reader.as_ref())? {
            let future = future.bind(py);
            // Cancelled in the meantime.
            if future.call_method0(intern!(py, "done"))?.is_truthy()? {
                continue;
            }
            match result(py) {
                Ok(value) => future.call_method1(intern!(py, "set_result"), (value,))?,
                Err(error) => future.call_method1(intern!(py, "set_exception"), (error.into_value(py),))?,
            };
        }
        Ok(())
    }
}

/// Runs `task`: to its end without a bridge, and else as a future of the bridge's loop. Cancelling the future leaves the
/// task to itself.
pub(crate) fn run<'py, T>(
    py: Python<'py>,
    bridge: Option<&Bridge>,
    task: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> PyResult<Bound<'py, PyAny>>
where
    T: for<'a> IntoPyObject<'a> + Send + 'static,
{
    match bridge {
        None => wait(py, task.boxed())?.map_err(raise)?.into_bound_py_any(py),
        Some(bridge) => Ok(spawn(py, bridge, task)?.0),
    }
}

/// As [`run`]; cancelling the future drops the task, which has to be fine with that.
pub(crate) fn run_until_cancelled<'py, T>(
    py: Python<'py>,
    bridge: Option<&Bridge>,
    task: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> PyResult<Bound<'py, PyAny>>
where
    T: for<'a> IntoPyObject<'a> + Send + 'static,
{
    let Some(bridge) = bridge else { return run(py, None, task) };
    let (future, handle) = spawn(py, bridge, task)?;
    future.call_method1(intern!(py, "add_done_callback"), (Abort(handle),))?;
    Ok(future)
}

/// As [`run`], for what is mostly done at once.
pub(crate) fn run_now<'py>(
    py: Python<'py>,
    bridge: Option<&Bridge>,
    task: impl Future<Output = Result<(), Fault>> + Send + 'static,
) -> PyResult<Bound<'py, PyAny>> {
    let mut task = task.boxed();
    let polled = {
        let _context = here(py)?.runtime.enter();
        (&mut task).now_or_never()
    };
    match (polled, bridge) {
        (None, bridge) => run(py, bridge, task),
        (Some(Ok(())), Some(bridge)) => Ok(bridge.done.bind(py).clone()),
        (Some(Ok(())), None) => Ok(py.None().into_bound(py)),
        (Some(Err(fault)), None) => Err(raise(fault)),
        (Some(Err(fault)), bridge) => run::<()>(py, bridge, async move { Err(fault) }),
    }
}

fn spawn<'py, T>(
    py: Python<'py>,
    bridge: &Bridge,
    task: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> PyResult<(Bound<'py, PyAny>, AbortHandle)>
where
    T: for<'a> IntoPyObject<'a> + Send + 'static,
{
    let queue = Arc::clone(&bridge.ends.here()?.queue);
    let future = bridge.create_future.bind(py).call0()?;
    let promise = Promise { queue, future: Some(future.clone().unbind()) };
    let task = here(py)?.runtime.spawn(async move {
        let ended = task.await;
        promise.end(move |py| match ended {
            Ok(value) => value.into_py_any(py),
            Err(fault) => Err(raise(fault)),
        });
    });
    Ok((future, task.abort_handle()))
}

/// Called with a future that is done: drops its task if it was cancelled.
#[pyclass(frozen)]
struct Abort(AbortHandle);

#[pymethods]
impl Abort {
    fn __call__(&self, future: &Bound<'_, PyAny>) -> PyResult<()> {
        if future.call_method0(intern!(future.py(), "cancelled"))?.is_truthy()? {
            self.0.abort();
        }
        Ok(())
    }
}

/// The bridge of the loop that runs in this thread.
pub(crate) fn current(py: Python<'_>) -> PyResult<Bound<'_, Bridge>> {
    static BRIDGE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let bridge = BRIDGE.import(py, "ferromq._bridge", "bridge")?.call0()?;
    Ok(bridge.cast_into::<Bridge>()?)
}
