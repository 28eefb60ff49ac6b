//! What the client logs, for Python's loggers.
//!
//! Events wait in a bounded queue, from which a Python thread takes them: whoever logs waits for nobody. What finds the
//! queue full is counted and not told.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{LazyLock, Once};
use std::time::Duration;

use futures_util::FutureExt as _;
use pyo3::prelude::*;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::runtime::wait;

/// Records that may wait for Python.
const MAX_WAITING: usize = 1024;
/// Records that Python takes at once.
const AT_ONCE: usize = 64;

/// Python's number of a level, the logger's name, the text.
type Record = (u8, String, String);

struct Records {
    put: mpsc::Sender<Record>,
    take: Mutex<mpsc::Receiver<Record>>,
    lost: AtomicU64,
}

static RECORDS: LazyLock<Records> = LazyLock::new(|| {
    let (put, take) = mpsc::channel(MAX_WAITING);
    Records { put, take: Mutex::new(take), lost: AtomicU64::new(0) }
});
/// The least that Python wants to hear of: a warning, until it says otherwise.
static LEVEL: AtomicU8 = AtomicU8::new(30);
static ONCE: Once = Once::new();

fn level(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}

struct ToPython;

impl<S: Subscriber> Layer<S> for ToPython {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.is_event()
            && level(*metadata.level()) >= LEVEL.load(Ordering::Relaxed)
            && metadata.target().starts_with("ferromq")
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let logger = event.metadata().target().replacen("ferromq_", "ferromq.", 1).replace("::", ".");
        if RECORDS.put.try_send((level(*event.metadata().level()), logger, text.0)).is_err() {
            RECORDS.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The message, then its fields.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a string does not fail.
        let _ = if field.name() == "message" {
            let fields = std::mem::take(&mut self.0);
            write!(self.0, "{value:?}{fields}")
        } else {
            write!(self.0, " {}={value:?}", field.name())
        };
    }
}

/// Sets the least that Python wants to hear of, as its `logging` counts.
#[pyfunction]
pub(crate) fn set_log_level(least: u8) {
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::registry().with(ToPython);
        // Nobody else can have set one: the module is a library of its own.
        let _ = tracing::subscriber::set_global_default(subscriber);
    });
    if LEVEL.swap(least, Ordering::Relaxed) != least {
        tracing::callsite::rebuild_interest_cache();
    }
}

/// The next records, and how many were lost since the last; none if none come for a while.
#[pyfunction]
pub(crate) fn next_log_records(py: Python<'_>) -> PyResult<(Vec<Record>, u64)> {
    let next = async {
        let mut records = Vec::new();
        let mut take = RECORDS.take.lock().await;
        let _ = timeout(Duration::from_secs(1), take.recv_many(&mut records, AT_ONCE)).await;
        records
    };
    let records = wait(py, next.boxed())?;
    Ok((records, RECORDS.lost.swap(0, Ordering::Relaxed)))
}
