//! Spans of requests and appends, for whoever collects traces.
//!
//! They have a target of their own at the lowest level, so that no log shows them and nobody pays for them who does not
//! ask: where no collector is set, making one is one load of a number.

use ferromq_model::message::find_property;
use http::Request;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The target of all of them.
pub const TARGET: &str = "ferromq::spans";
/// The property, or header, by which clients say which trace they are in.
pub const TRACE_PARENT: &str = "traceparent";
/// Traces that one append is linked to, of those that its messages are in.
pub const MAX_LINKS: usize = 32;

/// Whether anybody asks for spans.
#[must_use]
pub fn are_wanted() -> bool {
    tracing::enabled!(target: TARGET, tracing::Level::TRACE)
}

/// One remoting request that is called `name`.
pub(crate) fn request(name: &'static str) -> Span {
    tracing::trace_span!(
        target: TARGET,
        "request",
        otel.name = name,
        otel.kind = "server",
        messaging.system = "rocketmq"
    )
}

/// One HTTP request, in the trace that its header names. Its status is recorded as `http.response.status_code`.
pub(crate) fn http<B>(request: &Request<B>) -> Span {
    let span = tracing::trace_span!(
        target: TARGET,
        "http",
        otel.name = request.method().as_str(),
        otel.kind = "server",
        http.request.method = request.method().as_str(),
        http.response.status_code = Empty,
        url.path = request.uri().path()
    );
    if !span.is_disabled()
        && let Some(parent) = request.headers().get(TRACE_PARENT).and_then(|parent| parent.to_str().ok())
    {
        let _ = span.set_parent(context(parent));
    }
    span
}

/// One append of `messages`, which are in the traces that `parents` name.
pub(crate) fn append(messages: usize, parents: &[String]) -> Span {
    let span = tracing::trace_span!(
        target: TARGET,
        "append",
        otel.name = "append",
        otel.kind = "server",
        messaging.system = "rocketmq",
        messaging.batch.message_count = messages
    );
    if let [parent] = parents
        && messages == 1
    {
        // A message alone is part of its client's trace.
        let _ = span.set_parent(context(parent));
    } else {
        for parent in parents {
            span.add_link(context(parent).span().span_context().clone());
        }
    }
    span
}

/// What the properties of a message say of the trace that it is in.
pub(crate) fn parent_of(properties: &str) -> Option<&str> {
    /// Version, trace, span, flags, and room for what may come.
    const MAX_LEN: usize = 128;
    find_property(properties, TRACE_PARENT).filter(|parent| parent.len() <= MAX_LEN)
}

/// What a `traceparent` says.
pub(crate) fn context(parent: &str) -> opentelemetry::Context {
    struct Parent<'a>(&'a str);
    impl Extractor for Parent<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            (key == TRACE_PARENT).then_some(self.0)
        }

        fn keys(&self) -> Vec<&str> {
            vec![TRACE_PARENT]
        }
    }
    TraceContextPropagator::new().extract(&Parent(parent))
}
