//! One tokio runtime a process, and what belongs to it.
//!
//! Always true:
//! * a runtime lives as long as its process. A forked child has none of the parent's threads, so it makes one of its own
//!   when it first needs it;
//! * what was made in another process is neither used, which is a `ForkedError`, nor dropped, because a lock in it may be
//!   held by a thread that the child does not have;
//! * `RUNTIME` is locked only while attached to the interpreter, and forks of Python are too: a child never finds it locked;
//! * a thread that waits, detached, attaches again before the interpreter ends: CPython before 3.14 would unwind it
//!   through our frames, which aborts.

use std::io;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ferromq_bindings::Fault;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::errors::raise;

/// How long a waiting thread goes without looking for signals.
const TURN: Duration = Duration::from_millis(50);
/// How long the end of the interpreter waits for threads that wait here.
const LEAVE_LIMIT: Duration = Duration::from_secs(5);
/// Threads of the runtime: what a Python program asks of it is little.
const MAX_THREADS: usize = 4;

static RUNTIME: Mutex<Option<(u32, &'static Here)>> = Mutex::new(None);
/// Threads that wait, or are about to.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// What a process has one of.
pub(crate) struct Here {
    pub(crate) runtime: Runtime,
    leaving: watch::Sender<bool>,
}

/// This process's runtime, made if there is none.
pub(crate) fn here(_attached: Python<'_>) -> PyResult<&'static Here> {
    let mut runtime = RUNTIME.lock();
    let pid = std::process::id();
    match *runtime {
        Some((made_in, here)) if made_in == pid => Ok(here),
        _ => {
            let here: &'static Here = Box::leak(Box::new(Here::new()?));
            // Whoever waited in the parent is not here.
            WAITING.store(0, Ordering::SeqCst);
            *runtime = Some((pid, here));
            Ok(here)
        }
    }
}

impl Here {
    fn new() -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_multi_thread()
            .worker_threads(cores.min(MAX_THREADS))
            .thread_name("ferromq")
            .enable_all()
            .build()?;
        let (leaving, _) = watch::channel(false);
        Ok(Self { runtime, leaving })
    }
}

/// Something that belongs to the process that made it.
pub(crate) struct Local<T> {
    made_in: u32,
    value: ManuallyDrop<T>,
}

impl<T> Local<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { made_in: std::process::id(), value: ManuallyDrop::new(value) }
    }

    /// The value, unless the process has forked since.
    pub(crate) fn here(&self) -> PyResult<&T> {
        if self.made_in == std::process::id() { Ok(&self.value) } else { Err(raise(Fault::forked())) }
    }
}

impl<T> Drop for Local<T> {
    fn drop(&mut self) {
        if self.made_in == std::process::id() {
            // SAFETY: dropped here and nowhere else, and not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.value) }
        }
    }
}

/// Waits for `task` without keeping other threads from running Python code. A signal's handler runs here; if it raises,
/// as that of Ctrl-C does, `task` is dropped.
pub(crate) fn wait<T: Send>(py: Python<'_>, mut task: BoxFuture<'_, T>) -> PyResult<T> {
    let here = here(py)?;
    let _waiting = Waiting::new();
    let mut leaving = here.leaving.subscribe();
    loop {
        enum Turn<T> {
            Done(T),
            Leaving,
            Over,
        }
        let turn = py.detach(|| {
            here.runtime.block_on(async {
                tokio::select! {
                    biased;
                    done = &mut task => Turn::Done(done),
                    _ = leaving.wait_for(|leaving| *leaving) => Turn::Leaving,
                    () = tokio::time::sleep(TURN) => Turn::Over,
                }
            })
        });
        match turn {
            Turn::Done(done) => return Ok(done),
            Turn::Leaving => return Err(raise(Fault::closed("the interpreter is ending"))),
            Turn::Over => py.check_signals()?,
        }
    }
}

struct Waiting;

impl Waiting {
    fn new() -> Self {
        WAITING.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The interpreter is about to end: sends back every thread that waits, and waits until they are.
#[pyfunction]
pub(crate) fn leave(py: Python<'_>) {
    let here = match *RUNTIME.lock() {
        Some((made_in, here)) if made_in == std::process::id() => here,
        _ => return,
    };
    here.leaving.send_replace(true);
    let limit = Instant::now() + LEAVE_LIMIT;
    while WAITING.load(Ordering::SeqCst) > 0 && Instant::now() < limit {
        py.detach(|| std::thread::sleep(Duration::from_millis(1)));
    }
}
