//! Topics: listed, shown, created, changed, deleted.

use serde_json::json;

use crate::rig::Http;

#[tokio::test]
async fn a_topic_is_created_changed_listed_and_deleted() {
    let http = Http::start().await;
    http.get("/v1/topics/T").await.refused("no-topic");
    let created = http.json("PUT", "/v1/topics/T", &json!({"writeQueues": 2})).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let topic = created.json();
    assert_eq!((&topic["readQueues"], &topic["writeQueues"]), (&json!(2), &json!(2)));
    assert_eq!((&topic["permission"], &topic["kind"]), (&json!("rw"), &json!("user")));
    let changed = http.json("PUT", "/v1/topics/T", &json!({"permission": "r", "order": true})).await;
    assert_eq!((changed.status, changed.json()["writeQueues"].as_u64()), (200, Some(2)));
    http.post("/v1/topics/T/messages", &json!({"text": "1"})).await.refused("forbidden");
    http.json("PUT", "/v1/topics/T", &json!({"permission": "rw"})).await;
    assert_eq!(http.post("/v1/topics/T/messages", &json!({"text": "1"})).await.status, 201);
    assert_eq!(http.get("/v1/topics/T").await.json()["messages"], 1);

    let listed = http.get("/v1/topics").await.json();
    assert_eq!(listed["topics"].as_array().unwrap().len(), 1, "{listed}");
    let all = http.get("/v1/topics?system=true").await.json();
    let kinds: Vec<_> = all["topics"].as_array().unwrap().iter().map(|topic| &topic["kind"]).collect();
    assert!(kinds.contains(&&json!("system")), "{all}");
    assert_eq!(http.ask("DELETE", "/v1/topics/T", &[], b"").await.status, 204);
    http.ask("DELETE", "/v1/topics/T", &[], b"").await.refused("no-topic");
    http.stop().await;
}

#[tokio::test]
async fn long_lists_come_in_parts() {
    let http = Http::start().await;
    for name in ["a", "b", "c"] {
        http.json("PUT", &format!("/v1/topics/{name}"), &json!({})).await;
    }
    let first = http.get("/v1/topics?max=2").await.json();
    assert_eq!((first["topics"].as_array().unwrap().len(), first["next"].as_str()), (2, Some("b")));
    let rest = http.get("/v1/topics?max=2&after=b").await.json();
    assert_eq!((rest["topics"][0]["name"].as_str(), rest.get("next")), (Some("c"), None));
    for wrong in ["0", "10001", "-1", "x"] {
        http.get(&format!("/v1/topics?max={wrong}")).await.refused("bad-request");
    }
    http.stop().await;
}

#[tokio::test]
async fn topics_that_brokers_own_and_settings_that_make_no_sense_are_refused() {
    let http = Http::start().await;
    for system in ["SCHEDULE_TOPIC_XXXX", "rmq_sys_wheel_timer", "TBW102"] {
        http.json("PUT", &format!("/v1/topics/{system}"), &json!({})).await.refused("forbidden");
    }
    http.ask("DELETE", "/v1/topics/SCHEDULE_TOPIC_XXXX", &[], b"").await.refused("forbidden");
    http.json("PUT", "/v1/topics/a.b", &json!({})).await.refused("invalid-name");
    http.json("PUT", "/v1/topics/a%2Fb", &json!({})).await.refused("invalid-name");
    http.json("PUT", "/v1/topics/T", &json!({"writeQueues": 65_537})).await.refused("bad-request");
    http.json("PUT", "/v1/topics/T", &json!({"writeQueues": -1})).await.refused("bad-request");
    http.json("PUT", "/v1/topics/T", &json!({"queues": 1})).await.refused("bad-request");
    http.json("PUT", "/v1/topics/T", &json!({"permission": "x"})).await.refused("bad-request");
    http.ask("PUT", "/v1/topics/T", &[], b"{").await.refused("bad-request");
    http.get("/v1/topics/T").await.refused("no-topic");
    http.stop().await;
}

#[tokio::test]
async fn names_with_percent_signs_are_encoded_in_paths() {
    let http = Http::start().await;
    let created = http.json("PUT", "/v1/topics/%25DLQ%25G", &json!({"writeQueues": 1})).await;
    assert_eq!(created.json()["name"], "%DLQ%G");
    assert_eq!(http.get("/v1/topics/%25DLQ%25G").await.json()["kind"], "dlq");
    assert_eq!(http.get("/v1/topics/%25DLQ%25G/queues").await.json()["queues"][0]["queueId"], 0);
    http.stop().await;
}

#[tokio::test]
async fn a_topic_tells_the_groups_that_have_consumed_it() {
    let http = Http::start().await;
    http.post("/v1/topics/T/messages", &json!({"text": "1", "queueId": 0})).await;
    assert!(http.broker().commit_offset("G", "T", ferromq_model::QueueId(0), ferromq_model::QueueOffset(1)));
    assert_eq!(http.get("/v1/topics/T/groups").await.json(), json!({"groups": ["G"]}));
    assert_eq!(http.get("/v1/topics").await.json()["topics"][0]["groups"], 1);
    http.get("/v1/topics/U/groups").await.refused("no-topic");
    http.stop().await;
}
