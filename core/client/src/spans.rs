//! What `tracing` is told of messages on their way, by the names that OpenTelemetry gives these things.
//!
//! | span, level debug | around | kind |
//! |---|---|---|
//! | `send` | sending a message or a batch, until it is stored | producer |
//! | `process` | a handler | consumer |
//!
//! A message that a stream or a poll returns is an event of level debug. Where nobody listens to the level nothing is
//! put together.

use tracing::{Instrument as _, Span, debug_span, field};

use crate::message::Message;
use crate::producer::{SendError, SendReceipt};
use crate::received::Received;

const SYSTEM: &str = "rocketmq";

/// The span of sending; `count` messages, of which this is the first.
pub(crate) fn sending(message: &Message, count: usize) -> Span {
    let topic = message.topic().as_str();
    debug_span!(
        "send",
        otel.name = format_args!("send {topic}"),
        otel.kind = "producer",
        otel.status_code = field::Empty,
        messaging.system = SYSTEM,
        messaging.operation.name = "send",
        messaging.operation.r#type = "send",
        messaging.destination.name = topic,
        messaging.destination.partition.id = field::Empty,
        messaging.message.id = field::Empty,
        messaging.message.body.size = (count == 1).then(|| message.body().len()),
        messaging.batch.message_count = (count != 1).then_some(count),
        messaging.rocketmq.message.tag = message.property("TAGS"),
        messaging.rocketmq.message.keys = message.property("KEYS"),
        error.r#type = field::Empty,
    )
}

/// Sends within a span, and notes there how it ended.
pub(crate) async fn sent(
    span: Span,
    sending: impl Future<Output = Result<SendReceipt, SendError>>,
) -> Result<SendReceipt, SendError> {
    let sent = sending.instrument(span.clone()).await;
    if !span.is_disabled() {
        match &sent {
            Ok(receipt) => {
                span.record("messaging.message.id", receipt.message_id.as_str());
                span.record("messaging.destination.partition.id", receipt.queue.id.0);
            }
            Err(error) => note_failure(&span, error),
        }
    }
    sent
}

/// Notes that sending failed.
pub(crate) fn note_failure(span: &Span, error: &dyn std::fmt::Display) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", field::display(error));
}

/// The span of a handler.
pub(crate) fn processing(group: &str, message: &Received) -> Span {
    let topic = message.topic();
    debug_span!(
        "process",
        otel.name = format_args!("process {topic}"),
        otel.kind = "consumer",
        messaging.system = SYSTEM,
        messaging.operation.name = "process",
        messaging.operation.r#type = "process",
        messaging.destination.name = topic,
        messaging.destination.partition.id = message.queue().id.0,
        messaging.consumer.group.name = group,
        messaging.message.id = message.message_id(),
        messaging.message.body.size = message.body().len(),
        messaging.rocketmq.message.tag = message.tag(),
        messaging.rocketmq.message.keys = message.property("KEYS"),
    )
}

/// A message is handed to whoever asked for it.
pub(crate) fn received(group: &str, message: &Received) {
    tracing::debug!(
        messaging.system = SYSTEM,
        messaging.operation.name = "receive",
        messaging.operation.r#type = "receive",
        messaging.destination.name = message.topic(),
        messaging.destination.partition.id = message.queue().id.0,
        messaging.consumer.group.name = group,
        messaging.message.id = message.message_id(),
        "received"
    );
}

/// Where a handler runs: in its span, and in the OpenTelemetry context that came with the message.
pub(crate) struct Process {
    span: Span,
    #[cfg(feature = "opentelemetry")]
    context: opentelemetry::Context,
}

impl Process {
    pub(crate) fn of(group: &str, message: &Received) -> Self {
        #[cfg(feature = "opentelemetry")]
        let context = message.trace_context();
        // What is current when a span begins becomes its parent.
        #[cfg(feature = "opentelemetry")]
        let _parent = context.clone().attach();
        Self {
            span: processing(group, message),
            #[cfg(feature = "opentelemetry")]
            context,
        }
    }

    pub(crate) fn run<F: Future>(self, handling: F) -> impl Future<Output = F::Output> {
        let handling = handling.instrument(self.span);
        #[cfg(feature = "opentelemetry")]
        let handling = opentelemetry::context::FutureExt::with_context(handling, self.context);
        handling
    }
}
