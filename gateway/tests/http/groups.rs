//! Groups: settings, members, lag, positions, dead letters.

use ferromq_broker::retry::SendBack;
use ferromq_model::{Millis, PhysicalOffset, QueueId, QueueOffset};
use ferromq_protocol::code::RequestCode;
use serde_json::json;

use crate::rig::Http;

#[tokio::test]
async fn a_group_is_created_changed_listed_and_deleted() {
    let http = Http::start().await;
    http.get("/v1/groups/G").await.refused("no-group");
    let created = http.json("PUT", "/v1/groups/G", &json!({"retryMax": 3})).await;
    assert_eq!((created.status, &created.json()["settings"]["retryMax"]), (201, &json!(3)));
    let changed = http.json("PUT", "/v1/groups/G", &json!({"consumeEnable": false})).await;
    assert_eq!((changed.status, &changed.json()["settings"]["retryMax"]), (200, &json!(3)));
    assert_eq!(changed.json()["settings"]["consumeEnable"], false);
    let listed = http.get("/v1/groups").await.json();
    assert_eq!(listed["groups"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!((&listed["groups"][0]["online"], &listed["groups"][0]["lag"]), (&json!(false), &json!(0)));
    let all = http.get("/v1/groups?system=true").await.json();
    assert!(all["groups"].as_array().unwrap().len() > 1, "{all}");
    assert_eq!(http.ask("DELETE", "/v1/groups/G", &[], b"").await.status, 204);
    http.ask("DELETE", "/v1/groups/G", &[], b"").await.refused("no-group");
    http.stop().await;
}

#[tokio::test]
async fn groups_that_brokers_own_and_settings_that_make_no_sense_are_refused() {
    let http = Http::start().await;
    http.json("PUT", "/v1/groups/TOOLS_CONSUMER", &json!({})).await.refused("forbidden");
    http.ask("DELETE", "/v1/groups/CID_RMQ_SYS_TRANS", &[], b"").await.refused("forbidden");
    http.json("PUT", "/v1/groups/a.b", &json!({})).await.refused("invalid-name");
    for wrong in [json!({"retryQueues": 1025}), json!({"retryMax": -2}), json!({"x": 1}), json!([])] {
        http.json("PUT", "/v1/groups/G", &wrong).await.refused("bad-request");
    }
    for of in ["members", "lag", "rebalances", "dead-letters"] {
        http.get(&format!("/v1/groups/G/{of}")).await.refused("no-group");
    }
    http.get("/v1/groups?max=0").await.refused("bad-request");
    http.stop().await;
}

fn heartbeat(client: &str) -> String {
    json!({
        "clientID": client, "heartbeatFingerprint": 0, "isWithoutSub": false, "producerDataSet": [],
        "consumerDataSet": [{
            "groupName": "G", "consumeType": "CONSUME_PASSIVELY", "messageModel": "CLUSTERING",
            "consumeFromWhere": "CONSUME_FROM_LAST_OFFSET", "unitMode": false,
            "subscriptionDataSet": [{
                "topic": "T", "subString": "a || b", "expressionType": "TAG", "tagsSet": ["a", "b"],
                "codeSet": [97, 98], "subVersion": 1, "classFilterMode": false,
            }],
        }],
    })
    .to_string()
}

#[tokio::test]
async fn members_of_every_protocol_are_shown_with_how_they_came_and_went() {
    let http = Http::start().await;
    let (mut first, mut second) = (http.rig.connect(), http.rig.connect_from("10.0.0.8:1"));
    first.ask(RequestCode::HeartBeat.code(), &[], heartbeat("c1").as_bytes()).await;
    second.ask_and_answer(RequestCode::HeartBeat.code(), &[("", ""); 0], heartbeat("c2").as_bytes()).await;
    let members = http.get("/v1/groups/G/members").await.json();
    let member = &members["members"][1];
    assert_eq!(
        (&member["clientId"], &member["address"], &member["protocol"], &member["language"]),
        (&json!("c2"), &json!("10.0.0.8:1"), &json!("remoting"), &json!("JAVA"))
    );
    assert_eq!(
        member["subscriptions"],
        json!([{"topic": "%RETRY%G", "expression": "*", "type": "TAG"}, {"topic": "T", "expression": "a || b", "type": "TAG"}])
            .as_array()
            .map(|all| json!(all[1..]))
            .unwrap()
    );
    let group = http.get("/v1/groups/G").await.json();
    assert_eq!(
        (&group["online"], &group["members"], &group["consumeType"]),
        (&json!(true), &json!(2), &json!("PUSH"))
    );
    second.close().await;
    let history = http.get("/v1/groups/G/rebalances").await.json();
    let history = history["rebalances"].as_array().unwrap();
    assert_eq!((&history[0]["left"], &history[0]["members"]), (&json!(["c2"]), &json!(["c1"])));
    assert_eq!((&history[1]["joined"], &history[1]["members"]), (&json!(["c2"]), &json!(["c1", "c2"])));
    assert_eq!(history.len(), 3);
    http.stop().await;
}

#[tokio::test]
async fn lag_is_told_in_messages_and_seconds() {
    let http = Http::start().await;
    http.json("PUT", "/v1/topics/T", &json!({"writeQueues": 2})).await;
    http.json("PUT", "/v1/groups/G", &json!({})).await;
    for _ in 0..3 {
        http.post("/v1/topics/T/messages", &json!({"text": "1", "queueId": 1})).await;
        http.rig.host.advance(Millis::secs(10));
    }
    assert!(http.broker().commit_offset("G", "T", QueueId(1), QueueOffset(1)));
    let lag = http.get("/v1/groups/G/lag").await.json();
    assert_eq!((&lag["lag"], &lag["lagSeconds"]), (&json!(2), &json!(20.0)));
    let queue = &lag["topics"][0]["queues"][1];
    assert_eq!(*queue, json!({"queueId": 1, "committed": 1, "end": 3, "lag": 2, "lagSeconds": 20.0}));
    let listed = http.get("/v1/groups").await.json();
    assert_eq!((&listed["groups"][0]["lag"], &listed["groups"][0]["topics"]), (&json!(2), &json!(["T"])));
    http.stop().await;
}

#[tokio::test]
async fn a_group_is_moved_once_what_would_happen_was_shown() {
    let http = Http::start().await;
    http.json("PUT", "/v1/topics/T", &json!({"writeQueues": 2})).await;
    http.json("PUT", "/v1/groups/G", &json!({})).await;
    for _ in 0..4 {
        http.post("/v1/topics/T/messages", &json!({"text": "1", "queueId": 0})).await;
        http.rig.host.advance(Millis::secs(10));
    }
    let path = "/v1/groups/G/offsets/reset";
    let plan = http.post(path, &json!({"topic": "T", "to": "last", "dryRun": true})).await.json();
    let moved = json!({"queues": [{"queueId": 0, "from": 0, "to": 4}, {"queueId": 1, "from": 0, "to": 0}]});
    assert_eq!(plan, moved);
    let at = || http.broker().offsets().find("G", "T", QueueId(0)).map(|at| at.0);
    assert_eq!(at(), None);
    assert_eq!(http.post(path, &json!({"topic": "T", "to": "last"})).await.json(), moved);
    assert_eq!(at(), Some(4));
    http.post(path, &json!({"topic": "T", "to": "-25s"})).await;
    assert_eq!(at(), Some(2));
    http.post(path, &json!({"topic": "T", "to": 1, "queueId": 0})).await;
    assert_eq!(at(), Some(1));
    http.post(path, &json!({"topic": "T", "to": "first"})).await;
    assert_eq!(at(), Some(0));

    http.post(path, &json!({"topic": "T", "to": 1})).await.refused("bad-request");
    http.post(path, &json!({"topic": "T", "to": 9, "queueId": 0})).await.refused("bad-request");
    http.post(path, &json!({"topic": "T", "to": "soon"})).await.refused("bad-request");
    http.post(path, &json!({"topic": "T", "to": "last", "queueId": 2})).await.refused("no-queue");
    http.post(path, &json!({"topic": "U", "to": "last"})).await.refused("no-topic");
    http.post("/v1/groups/H/offsets/reset", &json!({"topic": "T", "to": "last"})).await.refused("no-group");
    assert_eq!(at(), Some(0));
    http.stop().await;
}

#[tokio::test]
async fn a_dead_letter_is_sent_to_its_topic_again_and_stays() {
    let http = Http::start().await;
    let message = json!({"text": "hello", "tag": "t", "keys": ["k"], "properties": {"a": "1"}, "queueId": 0});
    http.post("/v1/topics/T/messages", &message).await;
    let ask = SendBack { group: "G", offset: PhysicalOffset(0), delay_level: -1, max_reconsume_times: None };
    http.broker().send_back(&ask).unwrap();
    let letters = http.get("/v1/groups/G/dead-letters").await.json();
    assert_eq!((&letters["topic"], &letters["messages"][0]["text"]), (&json!("%DLQ%G"), &json!("hello")));
    let again = json!({"messages": [{"queueId": 0, "queueOffset": 0}, {"queueId": 0, "queueOffset": 9}]});
    let answer = http.post("/v1/groups/G/dead-letters/resend", &again).await;
    let results = answer.json()["results"].clone();
    assert!(results[0]["messageId"].is_string(), "{results}");
    assert_eq!(results[1]["error"]["code"], "no-message");
    let newest = http.get("/v1/topics/T/messages").await.json()["messages"][0].clone();
    assert_eq!(newest["messageId"], results[0]["messageId"]);
    assert_eq!(
        (&newest["text"], &newest["tag"], &newest["keys"], &newest["properties"]),
        (&json!("hello"), &json!("t"), &json!(["k"]), &json!({"a": "1"}))
    );
    assert_eq!(http.get("/v1/groups/G/dead-letters").await.json(), letters);

    assert_eq!(http.ask("DELETE", "/v1/topics/T", &[], b"").await.status, 204);
    let gone = http.post("/v1/groups/G/dead-letters/resend", &again).await.json();
    assert_eq!(gone["results"][0]["error"]["code"], "no-topic");
    http.get("/v1/groups/H/dead-letters").await.refused("no-group");
    http.post("/v1/groups/H/dead-letters/resend", &again).await.refused("no-group");
    http.post("/v1/groups/G/dead-letters/resend", &json!({"messages": [1]})).await.refused("bad-request");
    http.stop().await;
}
