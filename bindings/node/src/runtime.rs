//! One tokio runtime a process, for all its JavaScript threads. It is never shut down: the process ends with it running.

use std::io;
use std::sync::LazyLock;

use ferromq_bindings::Fault;
use tokio::runtime::{Builder, Runtime};

/// Threads of the runtime: what a JavaScript program asks of it is little.
const MAX_THREADS: usize = 4;

static RUNTIME: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Builder::new_multi_thread()
        .worker_threads(cores.min(MAX_THREADS))
        .thread_name("ferromq")
        .enable_all()
        .build()
});

/// This process's runtime.
pub(crate) fn runtime() -> Result<&'static Runtime, Fault> {
    RUNTIME.as_ref().map_err(|error| Fault::config(format_args!("no threads for the client: {error}")))
}
