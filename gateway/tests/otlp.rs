//! What a collector is told: metrics and spans, as OTLP has them, over HTTP.

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferromq_gateway::config::HttpConfig;
use ferromq_gateway::http::{Api, listen};
use ferromq_gateway::metrics::Sources;
use ferromq_gateway::otlp::collector::{Collector, ExportError};
use ferromq_gateway::otlp::config::Endpoint;
use ferromq_gateway::otlp::traces::TracesExport;
use ferromq_gateway::otlp::{Identity, MetricsExport};
use ferromq_gateway::traffic::Traffic;
use ferromq_model::config::ConfigValue as _;
use ferromq_protocol::code::RequestCode::*;
use ferromq_store::FlushMode;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{metric, number_data_point};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use support::{Rig, send_fields};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tracing_subscriber::layer::SubscriberExt as _;

/// How long anything may take on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// One request that a collector got: its head in small letters, and its body.
type Got = (String, Bytes);

/// A collector that answers every request with `answer`, and how to find it.
async fn collector(answer: &'static str) -> (Collector, tokio::sync::mpsc::Receiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (got, all) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            let head = loop {
                stream.read_buf(&mut bytes).await.unwrap();
                if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                    break end + 4;
                }
            };
            let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
            let len = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let end = head + len.parse::<usize>().unwrap();
            while bytes.len() < end {
                stream.read_buf(&mut bytes).await.unwrap();
            }
            let _ = got.send((text, Bytes::copy_from_slice(&bytes[head..end]))).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let endpoint = Endpoint::parse(&format!("http://{address}/base")).unwrap();
    let headers = [("authorization", "Bearer x")]
        .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)));
    (Collector::new(endpoint, headers.into_iter().collect()), all)
}

const FINE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

fn identity() -> Identity {
    Identity { broker: "broker-a".to_owned(), cluster: "C".to_owned() }
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let value = attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?;
    match value.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

fn sources(rig: &Rig) -> Sources {
    let (broker, traffic) = (rig.broker.clone(), Arc::new(Traffic::default()));
    Sources { broker, mqtt: None, traffic, registered: tokio::sync::watch::channel(1).1, nameservers: 1 }
}

#[tokio::test]
async fn metrics_reach_the_collector_with_their_labels() {
    let rig = Rig::new(FlushMode::Async);
    let mut client = rig.connect();
    client.ask(SendMessageV2.code(), &send_fields("T", "0", ""), b"a").await;
    let (collector, mut got) = collector(FINE).await;
    MetricsExport::new(collector, sources(&rig), identity()).tell().await.unwrap();
    let (head, body) = got.recv().await.unwrap();
    assert!(head.starts_with("post /base/v1/metrics http/1.1"), "{head}");
    assert!(
        head.contains("content-type: application/x-protobuf") && head.contains("authorization: bearer x")
    );
    let told = ExportMetricsServiceRequest::decode(body).unwrap();
    let resource = &told.resource_metrics[0];
    let about = &resource.resource.as_ref().unwrap().attributes;
    assert_eq!(text(about, "service.instance.id"), Some("broker-a"));
    let metrics = &resource.scope_metrics[0].metrics;
    let find = |name: &str| metrics.iter().find(|metric| metric.name == name);
    let Some(metric::Data::Sum(sum)) = &find("rocketmq_messages_in_total").unwrap().data else {
        panic!("a counter is a sum")
    };
    let point = sum.data_points.iter().find(|point| text(&point.attributes, "topic") == Some("T")).unwrap();
    assert_eq!(point.value, Some(number_data_point::Value::AsDouble(1.0)));
    assert!(sum.is_monotonic && sum.aggregation_temporality == 2 && point.time_unix_nano > 0);
    let Some(metric::Data::Histogram(histogram)) = &find("ferromq_put_seconds").unwrap().data else {
        panic!("times are a histogram")
    };
    let point = &histogram.data_points[0];
    assert_eq!((point.count, point.bucket_counts.len()), (1, point.explicit_bounds.len() + 1));
    assert!(find("rocketmq_producer_tps").is_none(), "what the exporter calls it stays with Prometheus");
}

#[tokio::test]
async fn a_collector_that_refuses_is_an_error_that_says_how() {
    let rig = Rig::new(FlushMode::Async);
    let (refusing, _got) = collector("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").await;
    let refused = MetricsExport::new(refusing, sources(&rig), identity()).tell().await.unwrap_err();
    assert!(matches!(refused, ExportError::Refused(status) if status == 503), "{refused}");
    // Nothing listens there any more.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let endpoint = Endpoint::parse(&format!("http://{gone}")).unwrap();
    let away = Collector::new(endpoint, http::HeaderMap::new());
    let refused = MetricsExport::new(away, sources(&rig), identity()).tell().await.unwrap_err();
    assert!(matches!(refused, ExportError::Connect(_)), "{refused}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Ends the export; all spans that the collector got.
async fn told(export: &TracesExport, got: &mut tokio::sync::mpsc::Receiver<Got>) -> Vec<Span> {
    let stopping = export.clone();
    tokio::task::spawn_blocking(move || stopping.stop()).await.unwrap().unwrap();

    let mut spans: Vec<Span> = Vec::new();
    while let Ok(Some((head, body))) =
        tokio::time::timeout(if spans.is_empty() { PATIENCE } else { Duration::ZERO }, got.recv()).await
    {
        assert!(head.starts_with("post /base/v1/traces http/1.1"), "{head}");
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        let about = &request.resource_spans[0].resource.as_ref().unwrap().attributes;
        assert_eq!(text(about, "service.name"), Some("ferromq"));
        spans
            .extend(request.resource_spans.into_iter().flat_map(|of| of.scope_spans).flat_map(|of| of.spans));
    }
    spans
}

/// Spans are made on this thread, so that the subscriber can be this thread's.
#[tokio::test]
async fn spans_reach_the_collector_and_are_linked_to_clients_traces() {
    let (collector, mut got) = collector(FINE).await;
    let export = TracesExport::new(collector, &identity(), 100).unwrap();
    let subscriber = tracing_subscriber::registry().with(export.layer());
    let rig = Rig::new(FlushMode::Async);
    let guard = tracing::subscriber::set_default(subscriber);
    let mut client = rig.connect();
    let parent = format!("traceparent\u{1}00-{TRACE}-00f067aa0ba902b7-01\u{2}");
    client.ask(SendMessageV2.code(), &send_fields("T", "0", &parent), b"a").await;
    let mut bytes = Vec::new();
    for _ in 0..2 {
        bytes.extend(client.frame(SendMessageV2.code(), &send_fields("T", "0", &parent), b"b", false).1);
    }
    client.write(&bytes).await;
    client.read().await;
    client.read().await;
    client.ask(GetMaxOffset.code(), &[("topic", "T"), ("queueId", "0")], b"").await;
    drop(guard);
    let spans = told(&export, &mut got).await;
    let appends: Vec<_> = spans.iter().filter(|span| span.name == "append").collect();
    assert_eq!(appends.len(), 2, "{spans:?}");
    assert_eq!(hex(&appends[0].trace_id), TRACE, "a message alone is part of its client's trace");
    assert_ne!(hex(&appends[1].trace_id), TRACE);
    let links: Vec<_> = appends[1].links.iter().map(|link| hex(&link.trace_id)).collect();
    assert_eq!(links, [TRACE, TRACE], "of a batch each message is linked");
    assert!(spans.iter().any(|span| span.name == "GET_MAX_OFFSET"), "{spans:?}");
}

#[tokio::test]
async fn an_http_request_is_a_span_in_its_clients_trace() {
    let (collector, mut got) = collector(FINE).await;
    // Nothing that begins here is told, but what clients say is.
    let export = TracesExport::new(collector, &identity(), 0).unwrap();
    let rig = Rig::new(FlushMode::Async);
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(export.layer()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let api = Api::new(sources(&rig), HttpConfig::default(), None);
    let serving = tokio::spawn(listen::serve(listener, api, stopped));
    for (path, parent) in [("/healthz", "x"), ("/nothing", &format!("00-{TRACE}-00f067aa0ba902b7-01"))] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let ask = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\ntraceparent: {parent}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    }
    stop.send_replace(true);
    serving.await.unwrap();
    drop(guard);
    let spans = told(&export, &mut got).await;
    let [span] = &spans[..] else { panic!("one request is in a trace: {spans:?}") };
    assert_eq!((span.name.as_str(), hex(&span.trace_id).as_str()), ("GET", TRACE));
    assert_eq!(text(&span.attributes, "url.path"), Some("/nothing"));
    assert!(span.attributes.iter().any(|attribute| attribute.key == "http.response.status_code"));
}
