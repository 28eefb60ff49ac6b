use std::sync::Arc;

use bytes::Bytes;
use ferromq_model::message::{find_property, property};
use ferromq_model::{QueueId, TopicName};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::header::{Header as _, SendMessage};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use parking_lot::Mutex;
use tracing::Instrument as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;
use crate::fake::{FakeServer, PATIENCE, Reaction, patient, record};
use crate::queue::MessageQueue;
use crate::spans::Process;

/// A message with these properties, as it comes from a broker.
fn received(properties: &str) -> Received {
    let bytes = record("T", 0, 0, b"hello", &[properties]);
    let queue = MessageQueue { topic: TopicName::new("T").unwrap(), broker: "a".into(), id: QueueId(0) };
    Received::read(&Bytes::from(bytes), &queue).expect("a whole record")
}

/// Sends a message to a broker that stores it, and returns its properties.
async fn sent(message: Message) -> String {
    let sent = Arc::new(Mutex::new(String::new()));
    let seen = Arc::clone(&sent);
    let broker = FakeServer::start(move |command| {
        if command.request_code() == Some(RequestCode::SendMessageV2) {
            *seen.lock() = SendMessage::decode(&command.fields).unwrap().properties.to_owned();
        }
        let fields = [("msgId", "7F00000100002A9F0000000000000457"), ("queueId", "0"), ("queueOffset", "17")];
        let fields = fields.map(|(name, value)| (name, value.to_owned())).to_vec();
        Reaction::Answer(ResponseCode::Success, fields, Vec::new())
    })
    .await;
    let names = FakeServer::naming(&broker, 1, &[]).await;
    let client = patient(&names.address()).build().unwrap();
    client.producer("G").send_timeout(PATIENCE).build().unwrap().send(message).await.unwrap();
    sent.lock().clone()
}

fn message() -> Message {
    Message::new("T", "hello").unwrap()
}

/// In one test, as propagators are global.
#[tokio::test]
async fn a_trace_goes_on_where_the_message_is_handled() {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let provider = SdkTracerProvider::builder().build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let subscriber = tracing_subscriber::registry().with(LevelFilter::DEBUG).with(layer);
    let _listening = tracing::subscriber::set_default(subscriber);

    let request = tracing::info_span!("request");
    let trace = request.context().span().span_context().trace_id();
    let properties = sent(message()).instrument(request.clone()).await;
    let parent = find_property(&properties, "traceparent").expect("it is injected");
    assert!(parent.starts_with(&format!("00-{trace}-")), "{parent}");
    assert!(find_property(&properties, property::UNIQUE_KEY).is_some());

    let came = received(&properties);
    assert_eq!(came.trace_context().span().span_context().trace_id(), trace);
    let handled = Process::of("G", &came).run(async {
        let within = tracing::info_span!("handle");
        (tracing::Span::current().metadata().map(|span| span.name()), within.context(), Context::current())
    });
    let (name, within, current) = handled.await;
    assert_eq!(name, Some("process"));
    assert_eq!(within.span().span_context().trace_id(), trace);
    assert_eq!(current.span().span_context().trace_id(), trace);

    // What the application has written itself is left alone.
    let mut own = message();
    own.set("traceparent", "mine");
    let properties = sent(own).instrument(request).await;
    assert_eq!(find_property(&properties, "traceparent"), Some("mine"));
}

#[test]
fn what_no_message_can_carry_is_left_out() {
    let mut message = message();
    for (name, value) in [("", "x"), ("tracestate", ""), ("a\u{1}", "x"), ("a", "x\u{2}"), ("kept", "x")] {
        Injector::set(&mut message, name, value.to_owned());
    }
    assert_eq!(message.properties, "kept\u{1}x\u{2}");
}
