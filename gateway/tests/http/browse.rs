//! Reading without a group.

use std::time::Duration;

use ferromq_model::Millis;
use serde_json::{Value, json};

use crate::rig::Http;

/// How long the indexer may take on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Messages `0`, `1`, … in turn in two queues, a second apart.
async fn filled(count: usize) -> Http {
    let http = Http::start().await;
    for n in 0..count {
        let message = json!({"text": n.to_string(), "queueId": n % 2, "keys": ["all", format!("k{n}")]});
        assert_eq!(http.post("/v1/topics/T/messages", &message).await.status, 201);
        http.rig.host.advance(Millis::secs(1));
    }
    http
}

fn texts(answer: &Value) -> Vec<&str> {
    answer["messages"].as_array().unwrap().iter().map(|message| message["text"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_queue_is_read_from_an_offset_a_time_or_its_end() {
    let http = filled(10).await;
    let part = http.get("/v1/topics/T/queues/0/messages?offset=1&max=2").await.json();
    assert_eq!(texts(&part), ["2", "4"]);
    assert_eq!(
        (&part["nextOffset"], &part["minOffset"], &part["maxOffset"]),
        (&json!(3), &json!(0), &json!(5))
    );
    let part = http.get("/v1/topics/T/queues/0/messages?max=2").await.json();
    assert_eq!((texts(&part), &part["nextOffset"]), (vec!["6", "8"], &json!(5)));
    let part = http.get("/v1/topics/T/queues/0/messages?time=-5s").await.json();
    assert_eq!(texts(&part), ["6", "8"]);
    let part = http.get("/v1/topics/T/queues/0/messages?offset=99").await.json();
    assert_eq!((texts(&part).len(), &part["nextOffset"]), (0, &json!(5)));
    let unused = http.get("/v1/topics/T/queues/7/messages").await.json();
    assert_eq!(unused, json!({"messages": [], "nextOffset": 0, "minOffset": 0, "maxOffset": 0}));
    http.stop().await;
}

#[tokio::test]
async fn the_newest_messages_of_all_queues_come_first() {
    let http = filled(5).await;
    assert_eq!(texts(&http.get("/v1/topics/T/messages?max=3").await.json()), ["4", "3", "2"]);
    // Sent 5, 4, 3, 2 and 1 seconds ago.
    let between = http.get("/v1/topics/T/messages?from=-4s&to=-2s").await.json();
    assert_eq!(texts(&between), ["3", "2", "1"]);
    let none = http.get("/v1/topics/T/messages?body=none&max=1").await.json();
    assert!(none["messages"][0].get("text").is_none() && none["messages"][0]["size"] == 1, "{none}");
    http.stop().await;
}

#[tokio::test]
async fn messages_are_found_by_key_and_by_both_ids() {
    let http = filled(5).await;
    let store = http.broker().store().clone();
    tokio::time::timeout(PATIENCE, async {
        while store.indexed() < store.stats().log_max {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the index comes along");
    assert_eq!(texts(&http.get("/v1/topics/T/messages?key=k3").await.json()), ["3"]);
    assert_eq!(texts(&http.get("/v1/topics/T/messages?key=all&max=2").await.json())[0], "4");
    assert_eq!(texts(&http.get("/v1/topics/T/messages?key=other").await.json()).len(), 0);
    let found = http.get("/v1/topics/T/messages?key=k3").await.json()["messages"][0].clone();
    let (id, place) = (found["messageId"].as_str().unwrap(), found["offsetMessageId"].as_str().unwrap());
    for path in [
        format!("/v1/topics/T/messages/{id}"),
        format!("/v1/topics/T/messages/{place}"),
        format!("/v1/messages/{place}"),
    ] {
        assert_eq!(http.get(&path).await.json(), found, "{path}");
    }
    http.get(&format!("/v1/messages/{id}")).await.refused("no-message");
    http.json("PUT", "/v1/topics/U", &json!({})).await;
    http.get(&format!("/v1/topics/U/messages/{place}")).await.refused("no-message");
    http.stop().await;
}

/// What lies within a message was written by whoever sent it, and can look like a message.
#[tokio::test]
async fn a_place_within_a_message_is_no_message() {
    let http = filled(1).await;
    let found = http.get("/v1/topics/T/messages").await.json()["messages"][0].clone();
    let id = found["offsetMessageId"].as_str().unwrap();
    let record = http.broker().view(ferromq_model::PhysicalOffset(0)).unwrap();
    let bait = http.ask("POST", "/v1/topics/T/messages", &[("FerroMQ-Queue", "3")], &record).await.json();
    let end = bait["offsetMessageId"].as_str().unwrap();
    let base = u64::from_str_radix(&end[16..], 16).unwrap();
    for inside in 1..200 {
        let id = format!("{}{:016X}", &id[..16], base + inside);
        http.get(&format!("/v1/messages/{id}")).await.refused("no-message");
    }
    http.stop().await;
}

#[tokio::test]
async fn questions_that_make_no_sense_are_refused() {
    let http = filled(1).await;
    let queue = "/v1/topics/T/queues/0/messages";
    for wrong in ["offset=-1", "offset=x", "time=soon", "offset=1&time=-1s", "max=0", "max=257", "body=xml"] {
        http.get(&format!("{queue}?{wrong}")).await.refused("bad-request");
    }
    http.get("/v1/topics/T/messages?from=later").await.refused("bad-request");
    http.get("/v1/topics/T/queues/8/messages").await.refused("no-queue");
    http.get("/v1/topics/T/queues/-1/messages").await.refused("bad-request");
    for unknown in ["/v1/topics/U/queues/0/messages", "/v1/topics/U/messages", "/v1/topics/U/messages/1"] {
        http.get(unknown).await.refused("no-topic");
    }
    http.get("/v1/messages/1").await.refused("no-message");
    http.get("/v1/topics/%25U/queues").await.refused("no-topic");
    http.stop().await;
}
