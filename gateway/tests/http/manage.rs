//! Settings, definitions, connections, brokers, routes.

use ferromq_protocol::code::RequestCode;
use serde_json::{Value, json};

use crate::rig::Http;

fn setting(answer: &Value, key: &str) -> Value {
    let all = answer["settings"].as_array().unwrap();
    all.iter().find(|setting| setting["key"] == key).unwrap_or_else(|| panic!("no {key}")).clone()
}

#[tokio::test]
async fn settings_that_apply_at_once_are_changed_all_or_none() {
    let http = Http::start().await;
    let before = http.get("/v1/config").await.json();
    assert_eq!(setting(&before, "fileReservedTime")["live"], true);
    assert_eq!(setting(&before, "fileReservedTime")["room"], "store");
    assert_eq!(setting(&before, "brokerName")["live"], false);
    let ask = json!({"fileReservedTime": 24, "longPollingEnable": false, "autoCreateTopicEnable": "false"});
    let after = http.json("PATCH", "/v1/config", &ask).await;
    assert_eq!(after.status, 200, "{}", after.text());
    assert_eq!(setting(&after.json(), "fileReservedTime")["value"], "24");
    http.post("/v1/topics/New/messages", &json!({"text": "1"})).await.refused("no-topic");

    let partly = json!({"fileReservedTime": 48, "brokerName": "x"});
    http.json("PATCH", "/v1/config", &partly).await.refused("conflict");
    http.json("PATCH", "/v1/config", &json!({"fileReservedTime": -1})).await.refused("bad-request");
    http.json("PATCH", "/v1/config", &json!({"fileReservedTime": null})).await.refused("bad-request");
    http.json("PATCH", "/v1/config", &json!({"noSuchKey": "1"})).await.refused("bad-request");
    for path in ["storePathRootDir", "storePathCommitLog"] {
        http.json("PATCH", "/v1/config", &json!({path: "/etc"})).await.refused("forbidden");
    }
    assert_eq!(setting(&http.get("/v1/config").await.json(), "fileReservedTime")["value"], "24");
    http.stop().await;
}

#[tokio::test]
async fn definitions_make_another_server_alike() {
    let (from, to) = (Http::start().await, Http::start().await);
    from.json("PUT", "/v1/topics/T", &json!({"writeQueues": 3, "order": true})).await;
    from.json("PUT", "/v1/groups/G", &json!({"retryMax": 2})).await;
    let document = from.get("/v1/definitions").await.json();
    assert_eq!(
        (document["topics"].as_array().unwrap().len(), document["groups"][0]["name"].as_str()),
        (1, Some("G"))
    );
    to.json("PUT", "/v1/topics/T", &json!({})).await;
    let changes = json!({
        "created": [{"kind": "group", "name": "G"}],
        "changed": [{"kind": "topic", "name": "T"}],
        "unchanged": [],
    });
    assert_eq!(to.post("/v1/definitions?dryRun=true", &document).await.json(), changes);
    to.get("/v1/groups/G").await.refused("no-group");
    assert_eq!(to.post("/v1/definitions", &document).await.json(), changes);
    assert_eq!(to.get("/v1/definitions").await.json(), document);
    let again = to.post("/v1/definitions", &document).await.json();
    assert_eq!(again["unchanged"].as_array().unwrap().len(), 2, "{again}");
    from.stop().await;
    to.stop().await;
}

#[tokio::test]
async fn definitions_of_which_one_is_wrong_change_nothing() {
    let http = Http::start().await;
    let topic = |name: &str| json!({"name": name, "readQueues": 1, "writeQueues": 1, "permission": "rw"});
    for (wrong, code) in [
        (json!({"topics": [topic("A"), topic("a.b")]}), "invalid-name"),
        (json!({"topics": [topic("A"), topic("SCHEDULE_TOPIC_XXXX")]}), "forbidden"),
        (json!({"topics": [topic("A"), topic("A")]}), "bad-request"),
        (json!({"topics": [topic("A")], "groups": [{"name": "TOOLS_CONSUMER"}]}), "forbidden"),
        (
            json!({"topics": [topic("A")], "groups": [{"name": "G", "settings": {"retryMax": -5}}]}),
            "bad-request",
        ),
        (json!({"things": []}), "bad-request"),
    ] {
        for dry_run in ["?dryRun=true", ""] {
            http.post(&format!("/v1/definitions{dry_run}"), &wrong).await.refused(code);
        }
    }
    http.get("/v1/topics/A").await.refused("no-topic");
    http.stop().await;
}

#[tokio::test]
async fn clients_of_every_protocol_are_listed_once() {
    let http = Http::start().await;
    let mut client = http.rig.connect();
    let beat = json!({
        "clientID": "c1", "heartbeatFingerprint": 0, "isWithoutSub": false, "consumerDataSet": [],
        "producerDataSet": [{"groupName": "P"}, {"groupName": "Q"}],
    });
    client.ask(RequestCode::HeartBeat.code(), &[], beat.to_string().as_bytes()).await;
    let all = http.get("/v1/connections").await.json();
    let all = all["connections"].as_array().unwrap();
    let [asker, producer] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((&asker["protocol"], &asker["kind"]), (&json!("http"), &json!("requests")));
    assert_eq!(
        (&producer["clientId"], &producer["groups"], &producer["kind"], &producer["address"]),
        (&json!("c1"), &json!(["P", "Q"]), &json!("producer"), &json!("10.0.0.9:50000"))
    );
    client.close().await;
    assert_eq!(http.get("/v1/connections?max=10").await.json()["connections"].as_array().unwrap().len(), 1);
    http.stop().await;
}

#[tokio::test]
async fn a_broker_without_a_name_server_knows_itself() {
    let http = Http::start().await;
    let brokers = http.get("/v1/brokers").await.json();
    let own = &brokers["brokers"][0];
    assert_eq!(
        (&own["name"], &own["address"], &own["self"]),
        (&json!("broker-a"), &json!("10.0.0.2:10911"), &json!(true))
    );
    http.json("PUT", "/v1/topics/T", &json!({"writeQueues": 2})).await;
    let routes = http.get("/v1/routes").await.json();
    assert!(routes["topics"].as_array().unwrap().contains(&json!("T")), "{routes}");
    let route = http.get("/v1/routes/T").await.json();
    assert_eq!(
        route["queues"],
        json!([{"broker": "broker-a", "readQueues": 2, "writeQueues": 2, "permission": "rw"}])
    );
    assert_eq!(route["brokers"][0]["addresses"], json!({"0": "10.0.0.2:10911"}));
    http.get("/v1/routes/U").await.refused("no-topic");
    http.stop().await;
}
