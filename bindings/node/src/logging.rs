//! What the client logs, for loggers of JavaScript.
//!
//! Each JavaScript thread that listens has a bounded queue, from which it takes many records at once: whoever logs waits for
//! nobody. What finds a queue full is counted and not told.

use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Once, Weak};

use napi_derive::napi;
use parking_lot::RwLock;
use tokio::sync::{Mutex, mpsc};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::batch::Batch;
use crate::bridge::{Answer, Bridge};
use crate::packed::Writer;

/// Records that may wait for one JavaScript thread.
const MAX_WAITING: usize = 1024;
/// Records that it takes at once.
const AT_ONCE: usize = 64;

static QUEUES: RwLock<Vec<Weak<Records>>> = RwLock::new(Vec::new());
/// The least that anybody wants to hear of: nothing is above 5, an error.
static LEAST: AtomicU8 = AtomicU8::new(u8::MAX);
static ONCE: Once = Once::new();

#[derive(Clone)]
struct Record {
    level: u8,
    logger: String,
    text: String,
}

struct Records {
    least: u8,
    put: mpsc::Sender<Record>,
    take: Mutex<mpsc::Receiver<Record>>,
    lost: AtomicU64,
}

fn level(level: Level) -> u8 {
    match level {
        Level::ERROR => 5,
        Level::WARN => 4,
        Level::INFO => 3,
        Level::DEBUG => 2,
        Level::TRACE => 1,
    }
}

struct ToJavaScript;

impl<S: Subscriber> Layer<S> for ToJavaScript {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.is_event()
            && level(*metadata.level()) >= LEAST.load(Ordering::Relaxed)
            && metadata.target().starts_with("ferromq")
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let logger = event.metadata().target().replacen("ferromq_", "ferromq.", 1).replace("::", ".");
        let record = Record { level: level(*event.metadata().level()), logger, text: text.0 };
        for records in QUEUES.read().iter().filter_map(Weak::upgrade) {
            if record.level >= records.least && records.put.try_send(record.clone()).is_err() {
                records.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// The message, then its fields.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string does not fail.
        let _ = if field.name() == "message" {
            let fields = std::mem::take(&mut self.0);
            write!(self.0, "{value:?}{fields}")
        } else {
            write!(self.0, " {}={value:?}", field.name())
        };
    }
}

/// What is logged from now on, until it is dropped.
#[napi]
pub struct Logs(Arc<Records>);

#[napi]
impl Logs {
    /// From this level on: 1 for everything, 5 for errors.
    #[napi(constructor)]
    pub fn new(least: u8) -> Self {
        let (put, take) = mpsc::channel(MAX_WAITING);
        let records = Arc::new(Records { least, put, take: Mutex::new(take), lost: AtomicU64::new(0) });
        QUEUES.write().push(Arc::downgrade(&records));
        ONCE.call_once(|| {
            let subscriber = tracing_subscriber::registry().with(ToJavaScript);
            // Nobody else can have set one: the module is a library of its own.
            let _ = tracing::subscriber::set_global_default(subscriber);
        });
        listen();
        Self(records)
    }

    /// The next records, with how many were lost since the last.
    #[napi]
    pub fn next(&self, bridge: &Bridge, id: u32) {
        let records = Arc::clone(&self.0);
        bridge.run_until_aborted(id, async move {
            let mut taken = Vec::new();
            records.take.lock().await.recv_many(&mut taken, AT_ONCE).await;
            Ok(Taken { records: taken, lost: records.lost.swap(0, Ordering::Relaxed) })
        });
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        let gone = Arc::as_ptr(&self.0);
        QUEUES.write().retain(|queue| queue.as_ptr() != gone);
        listen();
    }
}

/// Has the client log as much as anybody wants to hear of.
fn listen() {
    let queues = QUEUES.read();
    let least = queues.iter().filter_map(Weak::upgrade).map(|records| records.least).min();
    drop(queues);
    LEAST.store(least.unwrap_or(u8::MAX), Ordering::Relaxed);
    tracing::callsite::rebuild_interest_cache();
}

struct Taken {
    records: Vec<Record>,
    lost: u64,
}

impl Answer for Taken {
    fn write(self, to: &mut Writer, _: &mut Vec<Batch>) {
        to.number(self.lost as f64);
        to.u32(self.records.len() as u32);
        for record in self.records {
            to.u8(record.level);
            to.text(&record.logger);
            to.text(&record.text);
        }
    }
}
