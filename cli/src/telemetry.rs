//! The way to an OpenTelemetry collector, where one is set.

use std::error::Error;

use ferromq_gateway::otlp::Identity;
use ferromq_gateway::otlp::collector::{Collector, read_headers};
use ferromq_gateway::otlp::traces::TracesExport;

use crate::plan::BrokerPlan;

/// What tells a collector.
#[derive(Clone, Debug, Default)]
pub(crate) struct Telemetry {
    /// Whom to tell metrics.
    pub(crate) metrics: Option<Collector>,
    /// What tells spans.
    pub(crate) traces: Option<TracesExport>,
}

impl Telemetry {
    /// Opens what `plan` says, within the runtime that requests are to run in.
    ///
    /// # Errors
    /// What the operator has to change, with its key.
    pub(crate) fn open(plan: Option<&BrokerPlan>) -> Result<Self, String> {
        let Some((plan, endpoint)) = plan.and_then(|plan| Some((plan, plan.otlp.endpoint.clone()?))) else {
            return Ok(Self::default());
        };
        let said = |key: &'static str| move |error: &dyn Error| format!("{key}: {error}");
        let headers = plan.otlp.headers.as_deref().map(read_headers).transpose();
        let headers = headers.map_err(|error| said("otlpHeadersFile")(&error))?.unwrap_or_default();
        let collector = Collector::new(endpoint, headers);
        let traces = plan.otlp.traces.then(|| {
            TracesExport::new(collector.clone(), &identity(plan), plan.otlp.percent)
                .map_err(|error| said("otlpTraces")(&error))
        });
        Ok(Self { traces: traces.transpose()?, metrics: plan.otlp.metrics.then_some(collector) })
    }

    /// Tells what is left.
    pub(crate) async fn stop(self) {
        let Some(traces) = self.traces else { return };
        // It waits for a thread of its own, which needs this runtime.
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || traces.stop()).await {
            tracing::debug!(%error, "the last spans are not told");
        }
    }
}

/// What the collector is told of the broker that `plan` describes.
pub(crate) fn identity(plan: &BrokerPlan) -> Identity {
    Identity { broker: plan.engine.name.clone(), cluster: plan.engine.cluster.clone() }
}
