//! Receiving by requests: leases, acknowledgements, filters, and sharing a group.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ferromq_broker::clients::ClientLink;
use ferromq_broker::members::{ChannelId, ClientInfo, Consumer, Heartbeat, Peer, Subscription};
use ferromq_model::filter::MessageFilter;
use ferromq_model::subscription::{ConsumeFromWhere, ConsumeType, MessageModel};
use ferromq_model::{GroupName, Millis, TopicName};
use ferromq_store::FlushMode;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::rig::{Answer, Http};

const OF_G: &str = "/v1/topics/T/groups/G";

/// Waits for what takes as long as it takes on a busy machine, and fails only when it never comes.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

pub(crate) async fn send(http: &Http, texts: &[&str]) {
    let messages: Vec<_> =
        texts.iter().map(|text| json!({"text": text, "tag": text, "properties": {"n": text}})).collect();
    let sent = http.post("/v1/topics/T/messages", &json!({"messages": messages})).await;
    assert_eq!(sent.status, 201, "{}", sent.text());
}

async fn receive(http: &Http, query: &str) -> Vec<Value> {
    let answer = http.get(&format!("{OF_G}/messages?wait=0s&max=32&{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["messages"].as_array().unwrap().clone()
}

fn texts(messages: &[Value]) -> BTreeSet<&str> {
    messages.iter().map(|message| message["text"].as_str().unwrap()).collect()
}

fn receipts(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["receipt"].as_str().unwrap()).collect()
}

async fn settle(http: &Http, how: &str, body: Value) -> Answer {
    http.post(&format!("{OF_G}/{how}"), &body).await
}

/// Lets time pass and due messages come again.
fn pass(http: &Http, span: Millis) {
    http.rig.host.advance(span);
    http.broker().revive();
}

#[tokio::test]
async fn a_new_group_starts_at_the_beginning_and_what_it_acknowledges_is_gone() {
    let http = Http::start().await;
    send(&http, &["a", "b", "c"]).await;
    let messages = receive(&http, "lease=10s").await;
    assert_eq!(texts(&messages), ["a", "b", "c"].into());
    let one = &messages[0];
    assert_eq!((one["deliveries"].as_u64(), one["topic"].as_str()), (Some(1), Some("T")));
    assert_eq!(one["properties"]["n"], one["text"]);
    assert!(receive(&http, "").await.is_empty(), "they are leased");
    let acked = settle(&http, "acks", json!({"receipts": receipts(&messages)})).await;
    assert_eq!((acked.status, acked.json()["results"].as_array().unwrap().len()), (200, 3));
    let again = settle(&http, "acks", json!({"receipts": receipts(&messages)})).await;
    assert_eq!(again.status, 200, "twice is no error");
    pass(&http, Millis::secs(11));
    assert!(receive(&http, "").await.is_empty());
    http.stop().await;
}

#[tokio::test]
async fn what_is_given_back_comes_again_at_once_or_after_its_delay() {
    let http = Http::start().await;
    send(&http, &["a"]).await;
    let first = receive(&http, "").await;
    assert_eq!(settle(&http, "nacks", json!({"receipts": receipts(&first)})).await.status, 200);
    pass(&http, Millis(1));
    let second = receive(&http, "").await;
    assert_eq!((texts(&second), second[0]["deliveries"].as_u64()), (["a"].into(), Some(2)));
    assert_eq!((second[0]["topic"].as_str(), &second[0]["properties"]), (Some("T"), &first[0]["properties"]));
    let delayed = json!({"receipts": receipts(&second), "delay": "5s"});
    assert_eq!(settle(&http, "nacks", delayed).await.status, 200);
    pass(&http, Millis::secs(4));
    assert!(receive(&http, "").await.is_empty());
    pass(&http, Millis::secs(2));
    let third = receive(&http, "").await;
    assert_eq!(third[0]["deliveries"].as_u64(), Some(3));
    assert_eq!(settle(&http, "acks", json!({"receipts": receipts(&third)})).await.status, 200);
    pass(&http, Millis::secs(60));
    assert!(receive(&http, "").await.is_empty());
    http.stop().await;
}

#[tokio::test]
async fn a_message_that_came_as_often_as_its_group_allows_becomes_a_dead_letter() {
    let http = Http::start().await;
    send(&http, &["a"]).await;
    assert!(http.json("PUT", "/v1/groups/G", &json!({"retryMax": 1})).await.status < 300);
    for deliveries in 1..=2 {
        let messages = receive(&http, "").await;
        assert_eq!(messages[0]["deliveries"].as_u64(), Some(deliveries));
        assert_eq!(settle(&http, "nacks", json!({"receipts": receipts(&messages)})).await.status, 200);
        pass(&http, Millis(1));
    }
    assert!(receive(&http, "").await.is_empty());
    pass(&http, Millis::secs(60));
    assert!(receive(&http, "").await.is_empty(), "its lease is over, too");
    let dead = http.get("/v1/groups/G/dead-letters").await.json();
    let dead = dead["messages"].as_array().unwrap();
    assert_eq!((dead.len(), &dead[0]["text"]), (1, &json!("a")));
    let place = json!({"messages": [{"queueId": dead[0]["queueId"], "queueOffset": dead[0]["queueOffset"]}]});
    assert_eq!(http.post("/v1/groups/G/dead-letters/resend", &place).await.status, 200);
    let again = receive(&http, "").await;
    assert_eq!((texts(&again), again[0]["topic"].as_str()), (["a"].into(), Some("T")));
    http.stop().await;
}

#[tokio::test]
async fn a_lease_that_is_extended_holds_under_its_new_receipt() {
    let http = Http::start().await;
    send(&http, &["a"]).await;
    let messages = receive(&http, "lease=10s").await;
    pass(&http, Millis::secs(9));
    let extended = settle(&http, "extend", json!({"receipts": receipts(&messages), "lease": "30s"})).await;
    assert_eq!(extended.status, 200, "{}", extended.text());
    pass(&http, Millis::secs(20));
    assert!(receive(&http, "").await.is_empty(), "it is out still");
    let late = settle(&http, "acks", json!({"receipts": receipts(&messages)})).await;
    assert_eq!((late.status, &late.json()["results"][0]["error"]["code"]), (207, &json!("lease-expired")));
    let new = &extended.json()["results"][0]["receipt"];
    assert_eq!(settle(&http, "acks", json!({"receipts": [new]})).await.status, 200);
    pass(&http, Millis::secs(60));
    assert!(receive(&http, "").await.is_empty());
    http.stop().await;
}

#[tokio::test]
async fn a_lease_that_ends_hands_the_message_to_the_next() {
    let http = Http::start().await;
    send(&http, &["a"]).await;
    receive(&http, "lease=10s").await;
    pass(&http, Millis::secs(10));
    assert_eq!(texts(&receive(&http, "").await), ["a"].into());
    http.stop().await;
}

#[tokio::test]
async fn receipts_are_those_of_their_topic_and_group_and_bounded() {
    let http = Http::start().await;
    send(&http, &["a"]).await;
    let messages = receive(&http, "").await;
    let receipts = receipts(&messages);
    http.get("/v1/topics/T/groups/H/messages?wait=0s&max=1").await;
    let other = http.post("/v1/topics/T/groups/H/acks", &json!({"receipts": receipts})).await;
    assert_eq!(
        (other.status, &other.json()["results"][0]["error"]["code"]),
        (207, &json!("invalid-receipt"))
    );
    for bad in ["", "x", &"A".repeat(100_000)] {
        let answer = settle(&http, "acks", json!({"receipts": [bad]})).await;
        assert_eq!(answer.json()["results"][0]["error"]["code"], "invalid-receipt", "{}", answer.text());
    }
    settle(&http, "acks", json!({"receipts": []})).await.refused("bad-request");
    settle(&http, "acks", json!({"receipts": vec!["x"; 1001]})).await.refused("bad-request");
    settle(&http, "extend", json!({"receipts": receipts, "lease": "0s"})).await.refused("bad-request");
    http.post("/v1/topics/No/groups/G/acks", &json!({"receipts": receipts})).await.refused("no-topic");
    http.post("/v1/topics/T/groups/No/acks", &json!({"receipts": receipts})).await.refused("no-group");
    http.stop().await;
}

#[tokio::test]
async fn only_what_passes_the_filter_is_received() {
    let http = Http::start().await;
    send(&http, &["a", "b", "c"]).await;
    assert_eq!(texts(&receive(&http, "tag=a%7C%7Cc").await), ["a", "c"].into());
    let by_sql = http.get("/v1/topics/T/groups/S/messages?wait=0s&sql=n%3D%27b%27").await.json();
    assert_eq!(texts(by_sql["messages"].as_array().unwrap()), ["b"].into());
    let get = async |query: &str| http.get(&format!("{OF_G}/messages?wait=0s&{query}")).await;
    get("sql=n%3D").await.refused("bad-request");
    get("tag=a&sql=n%3D1").await.refused("bad-request");
    get("max=33").await.refused("bad-request");
    get("max=0").await.refused("bad-request");
    get("wait=3m").await.refused("bad-request");
    get("lease=0s").await.refused("bad-request");
    get("lease=9d").await.refused("bad-request");
    get("leese=9s").await.refused("bad-request");
    http.get("/v1/topics/No/groups/G/messages").await.refused("no-topic");
    http.get("/v1/topics/T/groups/a%20b/messages").await.refused("invalid-name");
    http.stop().await;
}

#[tokio::test]
async fn who_waits_is_answered_when_a_message_comes() {
    let http = Http::start().await;
    send(&http, &["a"]).await;
    assert_eq!(receive(&http, "").await.len(), 1);
    let mut waiting = http.connect().await;
    waiting.begin("GET", &format!("{OF_G}/messages?wait=60s"), &[], None).await;
    until("it waits", || http.broker().waiting_pops("G", "T", None) == 1).await;
    send(&http, &["b"]).await;
    let answer = waiting.read().await;
    assert_eq!(texts(answer.json()["messages"].as_array().unwrap()), ["b"].into());
    http.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_while_it_waits_takes_nothing_with_it() {
    let http = Http::start().await;
    send(&http, &["a"]).await;
    assert_eq!(receive(&http, "").await.len(), 1);
    let mut waiting = http.connect().await;
    waiting.begin("GET", &format!("{OF_G}/messages?wait=60s"), &[], Some(0)).await;
    until("it waits", || http.broker().waiting_pops("G", "T", None) == 1).await;
    drop(waiting);
    until("its wait ends", || http.broker().waiting_pops("G", "T", None) == 0).await;
    send(&http, &["b"]).await;
    assert_eq!(texts(&receive(&http, "").await), ["b"].into());
    http.stop().await;
}

#[tokio::test]
async fn a_stop_answers_who_waits() {
    let http = Http::start().await;
    send(&http, &["a"]).await;
    assert_eq!(receive(&http, "").await.len(), 1);
    let mut waiting = http.connect().await;
    waiting.begin("GET", &format!("{OF_G}/messages?wait=60s"), &[], Some(0)).await;
    until("it waits", || http.broker().waiting_pops("G", "T", None) == 1).await;
    let answer = tokio::join!(http.stop(), waiting.read()).1;
    assert_eq!(answer.json(), json!({"messages": []}));
}

#[tokio::test]
async fn with_sync_flush_messages_and_acknowledgements_wait_for_the_disk() {
    let http = Http::with(FlushMode::Sync, |_| {}, None).await;
    send(&http, &["a"]).await;
    http.rig.host.close_gate();
    let mut waiting = http.connect().await;
    waiting.begin("GET", &format!("{OF_G}/messages?wait=60s"), &[], Some(0)).await;
    let leased =
        || http.broker().topics().find("T").is_some_and(|_| http.broker().waiting_pops("G", "T", None) == 0);
    until("it is taken", leased).await;
    {
        let answer = std::pin::pin!(waiting.read());
        assert!(futures_util::FutureExt::now_or_never(answer).is_none(), "answered before the flush");
    }
    http.rig.host.open_gate();
    let messages = waiting.read().await.json()["messages"].as_array().unwrap().clone();
    let acked = settle(&http, "acks", json!({"receipts": receipts(&messages)})).await;
    assert_eq!(acked.status, 200);
    http.stop().await;
}

#[tokio::test]
async fn a_body_that_stops_coming_is_refused_and_holds_nobody_up() {
    let http = Http::with(FlushMode::Async, |config| config.read_timeout = Millis::secs(5), None).await;
    send(&http, &["a"]).await;
    let messages = receive(&http, "").await;
    let mut half = http.connect().await;
    half.begin("POST", &format!("{OF_G}/acks"), &[], Some(1000)).await;
    half.0.get_mut().write_all(b"{\"receipts\":[").await.unwrap();
    assert_eq!(settle(&http, "acks", json!({"receipts": receipts(&messages)})).await.status, 200);
    half.read().await.refused("request-timeout");
    drop(half);
    http.stop().await;
}

struct Deaf;

impl ClientLink for Deaf {
    fn members_changed(&self, _: &GroupName) {}
}

/// Another member of the group, which pulls these topics.
fn pulls(http: &Http, id: &str, topics: &[&str]) -> Peer {
    let channel = ChannelId(id.bytes().map(u64::from).sum());
    let peer = Peer { channel, address: ([127, 0, 0, 1], 1).into(), link: Arc::new(Deaf) };
    let subscription = |topic: &&str| Subscription {
        topic: TopicName::new(topic).unwrap(),
        expression: "*".into(),
        expression_type: "TAG".into(),
        filter: Ok(MessageFilter::All),
        version: 2,
    };
    let consumer = Consumer {
        group: GroupName::new("G").unwrap(),
        consume_type: ConsumeType::Passively,
        model: MessageModel::Clustering,
        from: ConsumeFromWhere::FirstOffset,
        subscriptions: Some(topics.iter().map(subscription).collect()),
    };
    let client = ClientInfo { id: id.into(), language: "JAVA".into(), version: 1 };
    http.broker().heartbeat(&peer, Heartbeat { client, producers: vec![], consumers: vec![consumer] });
    peer
}

#[tokio::test]
async fn members_that_pull_keep_their_queues_to_themselves() {
    let http = Http::start().await;
    for queue in 0..4 {
        let body = json!({"text": queue.to_string(), "queueId": queue});
        assert_eq!(http.post("/v1/topics/T/messages", &body).await.status, 201);
    }
    let queues = http.broker().topics().find("T").unwrap().config().read_queue_nums;
    assert!(queues >= 4, "{queues}");
    let java = pulls(&http, "java", &["T", "%RETRY%G"]);
    let mine = receive(&http, "").await;
    let list = http.broker().members().consumer_ids("G");
    assert_eq!(list.len(), 2, "{list:?}");
    assert!(
        mine.iter().all(|message| message["queueId"].as_u64() >= Some(u64::from(queues) / 2)),
        "{mine:?}"
    );
    http.broker().unregister(&java, "java", None, Some("G"));
    let rest = receive(&http, "").await;
    assert_eq!(texts(&mine).len() + texts(&rest).len(), 4);
    http.stop().await;
}

#[tokio::test]
async fn who_waits_is_told_of_a_member_that_pulls_and_leaves_it_its_queues() {
    let http = Http::start().await;
    send(&http, &["a"]).await;
    assert_eq!(receive(&http, "").await.len(), 1);
    let mut waiting = http.connect().await;
    waiting.begin("GET", &format!("{OF_G}/messages?wait=60s"), &[], Some(0)).await;
    until("it waits for any queue", || http.broker().waiting_pops("G", "T", None) == 1).await;
    pulls(&http, "java", &["T", "%RETRY%G"]);
    until("it waits for all of them no more", || http.broker().waiting_pops("G", "T", None) == 0).await;
    let queues = http.broker().topics().find("T").unwrap().config().read_queue_nums;
    let send_to = async |queue: u32| {
        let body = json!({"text": queue.to_string(), "queueId": queue});
        assert_eq!(http.post("/v1/topics/T/messages", &body).await.status, 201);
    };
    send_to(0).await;
    send_to(queues - 1).await;
    let last = (queues - 1).to_string();
    let answer = waiting.read().await.json();
    assert_eq!(texts(answer["messages"].as_array().unwrap()), [last.as_str()].into());
    http.stop().await;
}

#[tokio::test]
async fn a_group_whose_members_pull_other_topics_is_not_shared() {
    let http = Http::start().await;
    send(&http, &["a"]).await;
    pulls(&http, "java", &["T", "U", "%RETRY%G"]);
    let refused = http.get(&format!("{OF_G}/messages?wait=0s")).await.refused("conflict");
    assert!(refused.contains('U'), "{refused}");
    assert_eq!(http.broker().members().consumer_ids("G"), ["java"], "nothing is left to HTTP");
    http.stop().await;
}
