//! OpenTelemetry: metrics and traces for a collector, by OTLP over HTTP. Off unless a collector is configured.
//!
//! Always true:
//! * without a collector nothing of this runs, and a request's span is one look at a flag;
//! * a collector that is slow or away costs memory within limits and no request its time: metrics of one look at a time,
//!   and spans up to the exporter's queue, beyond which they are dropped;
//! * headers for it may be secrets: they come from a file, and appear nowhere.
//!
//! | file | what it is about |
//! |---|---|
//! | `config` | settings |
//! | `collector` | the way to a collector |
//! | `metrics` | metrics as OTLP has them |
//! | `traces` | spans, from those of [`crate::spans`] |

pub mod collector;
pub mod config;
mod metrics;
pub mod traces;

use std::time::{Duration, SystemTime};

use tokio::time::MissedTickBehavior;

use crate::metrics::{Sources, collect};
use collector::{Collector, ExportError};

/// How long a stop waits for the last metrics to be told.
const FAREWELL: Duration = Duration::from_secs(2);

/// What is said of this process.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The broker's name.
    pub broker: String,
    /// Its cluster.
    pub cluster: String,
}

impl Identity {
    fn attributes(&self) -> [(&'static str, String); 4] {
        [
            ("service.name", "ferromq".to_owned()),
            ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
            ("service.namespace", self.cluster.clone()),
            ("service.instance.id", self.broker.clone()),
        ]
    }
}

/// Tells a collector metrics.
#[derive(Clone, Debug)]
pub struct MetricsExport {
    collector: Collector,
    sources: Sources,
    identity: Identity,
    started: SystemTime,
}

impl MetricsExport {
    /// Metrics of what there is to look at, counted from about now on.
    #[must_use]
    pub fn new(collector: Collector, sources: Sources, identity: Identity) -> Self {
        Self { collector, sources, identity, started: SystemTime::now() }
    }

    /// Tells them once.
    ///
    /// # Errors
    /// [`ExportError`]: the collector has not got them; the next time tells all there is again.
    pub async fn tell(&self) -> Result<(), ExportError> {
        let this = self.clone();
        let encode = move || metrics::encode(&collect(&this.sources), &this.identity, this.started);
        let body = tokio::task::spawn_blocking(encode).await.map_err(|_| ExportError::Stopped)?;
        self.collector.post("metrics", body.into()).await
    }

    /// Tells them each `interval`, until the broker stops and then once more.
    pub async fn run(self, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.sources.broker.stopped() => break,
            }
            // The log tells of it already, and the next time tells all there is.
            let _ = self.tell().await;
        }
        let _ = tokio::time::timeout(FAREWELL, self.tell()).await;
    }
}
