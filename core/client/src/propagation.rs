//! OpenTelemetry context in properties of messages, with feature `opentelemetry`.
//!
//! The [global propagator](opentelemetry::global::set_text_map_propagator) says which properties: `traceparent` and
//! `tracestate` with the W3C's. A producer writes the context in which it is asked to send, unless the message has one
//! already; a handler runs in the context that came with its message.
//!
//! ```
//! use ferromq_client::{Client, Message, Received};
//! use opentelemetry::global;
//! use opentelemetry::trace::TracerProvider as _;
//! use opentelemetry_sdk::propagation::TraceContextPropagator;
//! use opentelemetry_sdk::trace::SdkTracerProvider;
//! use tracing_subscriber::layer::SubscriberExt as _;
//! use tracing_subscriber::util::SubscriberInitExt as _;
//!
//! // As in any program whose `tracing` spans go to OpenTelemetry:
//! global::set_text_map_propagator(TraceContextPropagator::new());
//! let provider = SdkTracerProvider::builder().build(); // and an exporter
//! let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("orders"));
//! tracing_subscriber::registry().with(layer).init();
//!
//! // Sending within a span: the message carries it.
//! #[tracing::instrument(skip_all)]
//! async fn take_order(producer: ferromq_client::Producer) -> Result<(), Box<dyn std::error::Error>> {
//!     producer.send(Message::new("Orders", "order 1")?).await?;
//!     Ok(())
//! }
//!
//! // Handling: spans in here belong to the trace of `take_order`.
//! #[tracing::instrument(skip_all)]
//! async fn handle(message: Received) {}
//!
//! // Without a handler, by hand:
//! fn polled(message: &Received) {
//!     use tracing_opentelemetry::OpenTelemetrySpanExt as _;
//!     let span = tracing::info_span!("handle order");
//!     let _ = span.set_parent(message.trace_context());
//! }
//! ```

#[cfg(test)]
mod tests;

use ferromq_model::message::{NAME_END, PROPERTY_END, push_property};
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, global};

use crate::message::Message;
use crate::received::Received;

/// Properties of a message to be sent. Empty ones, and such as no message can carry, are left out.
impl Injector for Message {
    fn set(&mut self, key: &str, value: String) {
        let ends = |text: &str| text.bytes().any(|byte| byte == NAME_END || byte == PROPERTY_END);
        if !key.is_empty() && !value.is_empty() && !ends(key) && !ends(&value) && self.property(key).is_none()
        {
            push_property(&mut self.properties, key, &value);
        }
    }
}

/// Properties of a message that came.
impl Extractor for Received {
    fn get(&self, key: &str) -> Option<&str> {
        self.property(key)
    }

    fn keys(&self) -> Vec<&str> {
        self.properties().map(|(name, _)| name).collect()
    }
}

impl Received {
    /// The OpenTelemetry context that came with the message, as the global propagator reads it; the current one if there
    /// is none.
    #[must_use]
    pub fn trace_context(&self) -> Context {
        global::get_text_map_propagator(|propagator| propagator.extract(self))
    }
}

/// Writes the current context into a message.
pub(crate) fn inject(message: &mut Message) {
    let context = Context::current();
    if context.span().span_context().is_valid() {
        global::get_text_map_propagator(|propagator| propagator.inject_context(&context, message));
    }
}
