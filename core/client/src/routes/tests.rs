use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ferromq_model::TopicName;
use ferromq_protocol::body::{self, TopicRouteData};
use ferromq_protocol::code::ResponseCode;
use ferromq_protocol::frame::Command;

use super::TopicRoute;
use crate::error::RouteError;
use crate::fake::{FakeServer, Reaction, patient};

fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

const ROUTE: &str = r#"{"brokerDatas":[
    {"brokerAddrs":{"0":"10.0.0.1:10911","1":"10.0.0.2:10911"},"brokerName":"a","cluster":"c"},
    {"brokerAddrs":{"1":"10.0.0.3:10911"},"brokerName":"b","cluster":"c"}],
  "filterServerTable":{},
  "queueDatas":[
    {"brokerName":"b","perm":6,"readQueueNums":2,"topicSysFlag":0,"writeQueueNums":2},
    {"brokerName":"a","perm":6,"readQueueNums":3,"topicSysFlag":0,"writeQueueNums":2},
    {"brokerName":"gone","perm":6,"readQueueNums":9,"topicSysFlag":0,"writeQueueNums":9}]}"#;

fn read(text: &str) -> TopicRoute {
    let data: TopicRouteData = body::decode(text.as_bytes()).unwrap();
    TopicRoute::read(&topic("T"), data)
}

fn shown(queues: &[crate::MessageQueue]) -> String {
    queues.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[test]
fn queues_are_sorted_and_only_masters_are_written_to() {
    let route = read(ROUTE);
    assert_eq!(shown(&route.readable), "T@a:0 T@a:1 T@a:2 T@b:0 T@b:1");
    assert_eq!(shown(&route.writable), "T@a:0 T@a:1");
    assert_eq!(route.member("a", 1).map(|addr| &**addr), Some("10.0.0.2:10911"));
    assert_eq!(route.member("a", 7).map(|addr| &**addr), Some("10.0.0.1:10911"), "the master, failing that");
    assert_eq!(route.member("b", 0).map(|addr| &**addr), Some("10.0.0.3:10911"), "any, failing that");
    assert_eq!(route.master("b"), None);
}

#[test]
fn an_ordered_topic_has_the_queues_that_its_operator_listed() {
    let ordered = ROUTE.replacen('{', r#"{"orderTopicConf":"b:1;a:4;broken;c:x","#, 1);
    assert_eq!(shown(&read(&ordered).writable), "T@a:0 T@a:1 T@a:2 T@a:3 T@b:0");
}

fn knows(command: &Command<'_>, known: &str) -> Reaction {
    if command.fields.find("topic") == Some(known) {
        Reaction::Answer(ResponseCode::Success, vec![], ROUTE.into())
    } else {
        Reaction::Answer(ResponseCode::TopicNotExist, vec![], vec![])
    }
}

#[tokio::test]
async fn a_name_server_that_is_silent_is_passed_over_for_the_next() {
    let gone = FakeServer::start(|_| Reaction::Silence).await.address();
    let broken = FakeServer::start(|_| Reaction::Close).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let there = FakeServer::start(move |command| {
        count.fetch_add(1, Ordering::Relaxed);
        knows(command, "T")
    })
    .await;
    let servers = format!("{gone};{};{}", broken.address(), there.address());
    let client = patient(&servers).build().unwrap();
    for _ in 0..3 {
        assert_eq!(client.route(&topic("T")).await.unwrap().readable.len(), 5);
        let missing = client.route(&topic("Missing")).await;
        assert!(matches!(missing, Err(RouteError::NoSuchTopic { .. })), "{missing:?}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 4, "what is known is not asked for again, what is missing is");
    client.close().await;
}

#[tokio::test]
async fn a_route_outlasts_name_servers_that_forget_it() {
    let known = Arc::new(AtomicUsize::new(1));
    let knows_now = Arc::clone(&known);
    let server = FakeServer::start(move |command| {
        knows(command, if knows_now.load(Ordering::Relaxed) == 1 { "T" } else { "none" })
    })
    .await;
    let client = patient(&server.address()).build().unwrap();
    client.route(&topic("T")).await.unwrap();
    known.store(0, Ordering::Relaxed);
    client.inner.refresh_routes().await;
    assert!(client.route(&topic("T")).await.is_ok());
    drop(server);
    client.inner.refresh_routes().await;
    assert!(client.route(&topic("T")).await.is_ok());
    client.close().await;
}

#[tokio::test]
async fn a_topic_that_is_to_be_created_borrows_queues_for_sending_alone() {
    let server = FakeServer::start(|command| knows(command, "TBW102")).await;
    let client = patient(&server.address()).build().unwrap();
    let lent = client.inner.route_for_sending(&topic("New")).await.unwrap();
    assert_eq!((shown(&lent.writable), lent.readable.len()), ("New@a:0 New@a:1".to_owned(), 0));
    let reading = client.route(&topic("New")).await;
    assert!(matches!(reading, Err(RouteError::NoSuchTopic { .. })), "{reading:?}");

    // A NameServer that goes before the topic is known takes nothing back.
    drop(server);
    tokio::time::pause();
    tokio::time::advance(2 * super::BORROWED).await;
    tokio::time::resume();
    let kept = client.inner.route_for_sending(&topic("New")).await.unwrap();
    assert_eq!(kept.writable, lent.writable);
    client.close().await;
}

#[tokio::test]
async fn many_who_need_the_same_route_ask_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let server = FakeServer::start(move |command| {
        count.fetch_add(1, Ordering::Relaxed);
        knows(command, "T")
    })
    .await;
    let client = patient(&server.address()).build().unwrap();
    let topic = topic("T");
    let all = futures_util::future::join_all((0..64).map(|_| client.route(&topic))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    client.close().await;
}
