//! Requests that are repeated with the same `Idempotency-Key`.

use std::time::Duration;

use ferromq_model::Millis;
use ferromq_store::FlushMode;
use serde_json::json;

use crate::rig::{Answer, Http};

const TO_T: &str = "/v1/topics/T/messages";

async fn send(http: &Http, key: &str, body: &str) -> Answer {
    http.ask("POST", TO_T, &[("Idempotency-Key", key)], body.as_bytes()).await
}

/// Waits until the index has everything, as it has milliseconds later.
async fn indexed(http: &Http) {
    let whole = async {
        while http.broker().store().stats().index_behind > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), whole).await.expect("the index comes along");
}

#[tokio::test]
async fn a_repeated_request_is_answered_with_the_first_result() {
    let http = Http::start().await;
    let first = send(&http, "a", "x").await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (201, None));
    let again = send(&http, "a", "x").await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, Some("true")));
    assert_eq!(again.json(), first.json());
    assert_ne!(send(&http, "b", "x").await.json(), first.json());
    assert_eq!(http.broker().totals().put, 2);
    send(&http, "a", "y").await.refused("idempotency-key-reused");
    send(&http, "", "y").await.refused("bad-request");
    http.stop().await;
}

#[tokio::test]
async fn the_window_survives_a_restart() {
    let http = Http::start().await;
    let first = send(&http, "a", "x").await.json();
    let delayed = json!({"text": "later", "delay": "1h"});
    let key = [("Idempotency-Key", "d"), ("Content-Type", "application/json")];
    let later = http.ask("POST", TO_T, &key, delayed.to_string().as_bytes()).await.json();
    assert!(later["recallHandle"].is_string());
    indexed(&http).await;
    let http = http.restart().await;
    let again = send(&http, "a", "x").await;
    assert_eq!((again.json(), again.header("idempotency-replayed")), (first, Some("true")));
    let again = http.ask("POST", TO_T, &key, delayed.to_string().as_bytes()).await.json();
    assert_eq!((&again["messageId"], &again["queueId"]), (&later["messageId"], &later["queueId"]));
    assert_eq!(again["recallHandle"], later["recallHandle"]);
    send(&http, "a", "y").await.refused("idempotency-key-reused");
    http.stop().await;
}

#[tokio::test]
async fn a_key_is_free_again_after_the_window() {
    let http =
        Http::with(FlushMode::Async, |config| config.idempotency_window = Millis::secs(10), None).await;
    let first = send(&http, "a", "x").await.json();
    http.rig.host.advance(Millis::secs(11));
    assert_ne!(send(&http, "a", "x").await.json(), first);
    http.stop().await;
}

#[tokio::test]
async fn of_many_messages_only_those_are_stored_that_are_new() {
    let http = Http::start().await;
    let ask = async |texts: &[&str]| {
        let messages: Vec<_> = texts.iter().map(|text| json!({"text": text})).collect();
        let headers = [("Idempotency-Key", "m"), ("Content-Type", "application/json")];
        let body = json!({"messages": messages}).to_string();
        http.ask("POST", TO_T, &headers, body.as_bytes()).await.json()["results"].clone()
    };
    let two = ask(&["1", "2"]).await;
    let three = ask(&["1", "2", "3"]).await;
    assert_eq!((&three[0], &three[1]), (&two[0], &two[1]));
    assert!(three[2]["messageId"].is_string());
    assert_eq!(http.broker().totals().put, 3);
    http.stop().await;
}

#[tokio::test]
async fn two_requests_at_once_with_one_key_store_one_message() {
    let http = Http::with(FlushMode::Sync, |_| {}, None).await;
    let (one, other) = tokio::join!(send(&http, "a", "x"), send(&http, "a", "x"));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert!(statuses == [201, 409] || statuses == [201, 201], "{statuses:?}");
    assert_eq!(http.broker().totals().put, 1);
    http.stop().await;
}

#[tokio::test]
async fn a_key_of_a_refused_request_is_free() {
    let http = Http::start().await;
    let refused = [("Idempotency-Key", "a"), ("FerroMQ-Queue", "99")];
    http.ask("POST", TO_T, &refused, b"x").await.refused("no-queue");
    let sent = send(&http, "a", "x").await;
    assert_eq!((sent.status, sent.header("idempotency-replayed")), (201, None));
    http.stop().await;
}
