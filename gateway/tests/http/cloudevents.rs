//! CloudEvents over HTTP: what becomes of them in the store.

use ferromq_model::message::{MessageId, find_property};
use ferromq_model::record::Record;
use serde_json::json;

use crate::rig::{Answer, Http};

const TO_T: &str = "/v1/topics/T/messages";

/// Body and properties of the message that was answered for.
fn stored(http: &Http, sent: &serde_json::Value) -> (Vec<u8>, String) {
    let id = MessageId::parse(sent["offsetMessageId"].as_str().unwrap()).unwrap();
    let bytes = http.broker().view(id.offset).unwrap();
    let record = Record::decode(&bytes).unwrap();
    (record.body.to_vec(), record.properties.to_owned())
}

fn check(http: &Http, answer: &Answer) {
    assert_eq!(answer.status, 201, "{}", answer.text());
    let (body, properties) = stored(http, &answer.json());
    assert_eq!(body, b"{\"a\":1}");
    for (name, value) in [("CE_id", "e1"), ("CE_source", "/s"), ("CE_type", "t"), ("CE_specversion", "1.0")] {
        assert_eq!(find_property(&properties, name), Some(value));
    }
    assert_eq!(find_property(&properties, "CE_contenttype"), Some("application/json"));
    assert_eq!(find_property(&properties, "KEYS"), Some("e1"));
}

#[tokio::test]
async fn all_three_modes_store_the_same_message() {
    let http = Http::start().await;
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "e1"),
        ("ce-source", "/s"),
        ("ce-type", "t"),
        ("Content-Type", "application/json"),
    ];
    check(&http, &http.ask("POST", TO_T, &headers, b"{\"a\":1}").await);
    let event = json!({"specversion": "1.0", "id": "e1", "source": "/s", "type": "t", "data": {"a": 1}});
    let kind = [("Content-Type", "application/cloudevents+json; charset=utf-8")];
    check(&http, &http.ask("POST", TO_T, &kind, event.to_string().as_bytes()).await);
    let kind = [("Content-Type", "application/cloudevents-batch+json")];
    let batch = http.ask("POST", TO_T, &kind, json!([event, {"id": "e2"}]).to_string().as_bytes()).await;
    assert_eq!(batch.status, 207);
    let results = batch.json()["results"].clone();
    assert_eq!(stored(&http, &results[0]).0, b"{\"a\":1}");
    assert_eq!(results[1]["error"]["code"], "invalid-message");
    http.stop().await;
}
