//! Spans for a collector.

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

use super::Identity;
use super::collector::Collector;
use crate::spans;

/// Tells a collector spans, from a thread of its own.
#[derive(Clone, Debug)]
pub struct TracesExport {
    provider: SdkTracerProvider,
}

impl TracesExport {
    /// Spans of `percent` of the traces that begin here, and those of other traces whose beginning says so.
    ///
    /// # Errors
    /// [`ExporterBuildError`]: what the environment says of OTLP (`OTEL_…`) makes no sense.
    pub fn new(collector: Collector, identity: &Identity, percent: u32) -> Result<Self, ExporterBuildError> {
        let address = collector.address("traces");
        let exporter =
            SpanExporter::builder().with_http().with_http_client(collector).with_endpoint(address).build()?;
        let ratio = Sampler::TraceIdRatioBased(f64::from(percent) / 100.0);
        let attributes = identity.attributes().map(|(key, value)| KeyValue::new(key, value));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(ratio)))
            .with_resource(Resource::builder_empty().with_attributes(attributes).build())
            .build();
        Ok(Self { provider })
    }

    /// What takes the spans of [`spans`] in, and nothing else.
    #[must_use]
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let wanted = Targets::new().with_target(spans::TARGET, LevelFilter::TRACE);
        tracing_opentelemetry::layer().with_tracer(self.provider.tracer("ferromq")).with_filter(wanted)
    }

    /// Tells what is left, and ends. Blocks, for some seconds at most; the runtime has to go on meanwhile.
    ///
    /// # Errors
    /// The collector has not got it.
    pub fn stop(&self) -> OTelSdkResult {
        self.provider.shutdown()
    }
}
