//! What watches the broker: metrics, whether it is well, and the page that a dashboard opens with.

use ferromq_broker::stats::Stage;
use ferromq_gateway::credentials::Credentials;
use ferromq_model::Millis;
use ferromq_protocol::code::RequestCode::*;
use ferromq_store::FlushMode;
use serde_json::json;

use crate::rig::Http;
use crate::support::{pull_fields, send_fields};

#[tokio::test]
async fn metrics_are_prometheuss_text_and_count_http_itself() {
    let http = Http::start().await;
    let mut client = http.rig.connect();
    client.ask(SendMessageV2.code(), &send_fields("T", "0", ""), b"a").await;
    let answer = http.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = answer.text();
    for line in ["ferromq_messages_put_total 1", "ferromq_connections{protocol=\"http\"} 1"] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
    http.stop().await;
}

#[tokio::test]
async fn who_may_not_use_it_may_still_ask_whether_it_is_well() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "token t secret\n").unwrap();
    let credentials = Credentials::load(file.path()).unwrap();
    let http = Http::with(FlushMode::Async, |_| {}, Some(credentials)).await;
    assert_eq!(http.get("/healthz").await.json(), json!({"status": "ok"}));
    assert_eq!(http.get("/readyz").await.status, 200);
    http.get("/metrics").await.refused("unauthenticated");
    http.get("/v1/overview").await.refused("unauthenticated");
    http.stop().await;
}

#[tokio::test]
async fn a_broker_is_ready_once_a_nameserver_knows_it_and_until_it_takes_no_messages() {
    let http = Http::among(2, FlushMode::Sync, |_| {}, None).await;
    let codes = async || {
        let answer = http.get("/readyz").await;
        let body = answer.json();
        assert_eq!(body["ready"], answer.status == 200, "{body}");
        let reasons = body["reasons"].as_array().unwrap().iter();
        reasons.map(|reason| reason["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(codes().await, ["nameservers"]);
    http.registered.send_replace(1);
    assert!(codes().await.is_empty());
    http.rig.host.fail_syncs();
    let mut client = http.rig.connect();
    client.ask(SendMessageV2.code(), &send_fields("T", "0", ""), b"a").await;
    assert_eq!(codes().await, ["store"]);
    assert_eq!(http.get("/healthz").await.status, 200, "it lives all the same");
    http.broker().stop();
    assert_eq!(codes().await, ["stopping", "store"]);
    http.stop().await;
}

#[tokio::test]
async fn the_overview_tells_what_goes_on_and_what_went_on() {
    let http = Http::start().await;
    let mut client = http.rig.connect();
    http.broker().sample_stats();
    for body in ["a", "b", "c", "d"] {
        client.ask(SendMessageV2.code(), &send_fields("T", "0", ""), body.as_bytes()).await;
    }
    client.ask(PullMessage.code(), &pull_fields("T", "0", "4", "0"), b"").await;
    let commit = [("consumerGroup", "G"), ("topic", "T"), ("queueId", "0"), ("commitOffset", "1")];
    client.ask(UpdateConsumerOffset.code(), &commit, b"").await;
    for _ in 0..2 {
        http.rig.host.advance(Millis::secs(1));
        http.broker().sample_stats();
    }
    let overview = http.get("/v1/overview").await.json();
    assert_eq!(overview["name"], "broker-a");
    assert_eq!(
        (&overview["topics"], &overview["groups"], &overview["lag"]),
        (&json!(1), &json!(1), &json!(3))
    );
    assert_eq!(overview["flush"], "async");
    assert_eq!(overview["rates"]["putPerSecond"], 2.0);
    assert_eq!(overview["rates"]["getPerSecond"], 2.0);
    assert!(overview["latency"]["put"]["p99"].as_f64().unwrap() > 0.0, "{overview}");
    assert!(overview["rates"]["putBytesPerSecond"].as_f64().unwrap() > 100.0, "{overview}");
    assert!(overview["disk"]["log"].as_u64().unwrap() > 400, "{overview}");
    assert!(overview["disk"]["total"].as_u64().unwrap() > 0, "{overview}");
    assert_eq!(overview["connections"]["http"], 1);
    let history = overview["history"].as_array().unwrap();
    assert_eq!((history.len(), &history[0]["put"], &history[0]["get"]), (1, &json!(2.0), &json!(2.0)));
    assert_eq!(history[0]["at"], overview["now"]);
    http.stop().await;
}

#[tokio::test]
async fn what_comes_by_http_counts_in_every_stage_that_it_goes_through() {
    let http = Http::with(FlushMode::Sync, |_| {}, None).await;
    let lines = "{\"text\":\"a\"}\n{\"text\":\"b\"}\n";
    let headers = [("Content-Type", "application/x-ndjson")];
    http.ask("POST", "/v1/topics/T/messages", &headers, lines.as_bytes()).await;
    http.post("/v1/topics/T/messages", &json!({"text": "c"})).await;
    let count = |stage: Stage| http.broker().stats().stages.reading(stage).count();
    assert_eq!([Stage::Decode, Stage::Queue, Stage::Append, Stage::Flush].map(count), [3, 3, 3, 3]);
    assert_eq!(http.broker().stats().put_times.reading().count(), 3);
    http.stop().await;
}
