//! Transactions by HTTP.

use serde_json::json;

use crate::rig::Http;

const BEGIN: &str = "/v1/topics/T/transactions?group=P";

#[tokio::test]
async fn a_message_comes_once_its_transaction_is_committed() {
    let http = Http::start().await;
    let begun = http.post(BEGIN, &json!({"text": "hello", "tag": "t"})).await;
    assert_eq!(begun.status, 201, "{}", begun.text());
    let begun = begun.json();
    let id = begun["transactionId"].as_str().unwrap();
    let stored =
        async || http.get("/v1/topics/T/messages").await.json()["messages"].as_array().unwrap().clone();
    assert_eq!(stored().await.len(), 0);
    let pending = http.get("/v1/transactions").await.json();
    let one = &pending["transactions"][0];
    assert_eq!(
        (&one["transactionId"], &one["group"], &one["topic"], &one["messageId"]),
        (&begun["transactionId"], &json!("P"), &json!("T"), &begun["messageId"])
    );
    let commit = format!("/v1/transactions/{id}/commit");
    assert_eq!(http.ask("POST", &commit, &[], b"").await.status, 204);
    let messages = stored().await;
    assert_eq!(messages.len(), 1);
    assert_eq!(
        (&messages[0]["text"], &messages[0]["tag"], &messages[0]["messageId"]),
        (&json!("hello"), &json!("t"), &begun["messageId"])
    );
    assert_eq!(http.get("/v1/transactions").await.json(), json!({"transactions": []}));
    http.ask("POST", &commit, &[], b"").await.refused("conflict");
    http.stop().await;
}

#[tokio::test]
async fn a_message_never_comes_whose_transaction_is_rolled_back() {
    let http = Http::start().await;
    let begun = http.ask("POST", BEGIN, &[("FerroMQ-Queue", "1")], b"raw").await.json();
    let id = begun["transactionId"].as_str().unwrap();
    assert_eq!(begun["queueId"], 1);
    let rollback = format!("/v1/transactions/{id}/rollback");
    assert_eq!(http.ask("POST", &rollback, &[], b"").await.status, 204);
    http.ask("POST", &format!("/v1/transactions/{id}/commit"), &[], b"").await.refused("conflict");
    assert_eq!(http.get("/v1/topics/T/messages").await.json(), json!({"messages": []}));
    http.stop().await;
}

#[tokio::test]
async fn what_is_no_transaction_is_not_ended() {
    let http = Http::start().await;
    http.post("/v1/topics/T/messages", &json!({"text": "1"})).await;
    for id in ["0-0", "x", "-", "0", "ffffffffffffffff-ffffffffffffffff", "0-1"] {
        http.ask("POST", &format!("/v1/transactions/{id}/commit"), &[], b"").await.refused("no-message");
    }
    http.post("/v1/topics/T/transactions?group=a.b", &json!({"text": "1"})).await.refused("invalid-name");
    http.post(BEGIN, &json!({"messages": []})).await.refused("bad-request");
    http.post("/v1/topics/a.b/transactions", &json!({"text": "1"})).await.refused("invalid-name");
    http.get("/v1/transactions?max=0").await.refused("bad-request");
    http.stop().await;
}
