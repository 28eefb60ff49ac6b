use ferromq_model::Timestamp;
use ferromq_protocol::code::ResponseCode;
use ferromq_protocol::frame::Command;

use super::doctor::Severity;
use super::*;
use crate::fake::{FakeServer, Reaction, patient};

fn body(text: &str) -> Reaction {
    Reaction::Answer(ResponseCode::Success, Vec::new(), text.as_bytes().to_vec())
}

/// A NameServer that knows these brokers, each a master of its own name.
async fn name_server(brokers: &[(&str, &str)]) -> FakeServer {
    let table: Vec<_> = brokers
        .iter()
        .map(|(name, addr)| {
            format!(
                r#""{name}":{{"brokerAddrs":{{0:"{addr}"}},"brokerName":"{name}","cluster":"C","enableActingMaster":false}}"#
            )
        })
        .collect();
    let names: Vec<_> = brokers.iter().map(|(name, _)| format!("{name:?}")).collect();
    let info = format!(
        r#"{{"brokerAddrTable":{{{}}},"clusterAddrTable":{{"C":[{}]}}}}"#,
        table.join(","),
        names.join(",")
    );
    FakeServer::start(move |command: &Command<'_>| match command.request_code() {
        Some(RequestCode::GetBrokerClusterInfo) => body(&info),
        _ => Reaction::Answer(ResponseCode::TopicNotExist, Vec::new(), Vec::new()),
    })
    .await
}

/// A broker that knows how far group G is, and when it was started.
async fn broker(name: &str, position: u64) -> FakeServer {
    let stats = format!(
        r#"{{"consumeTps":1.5,"offsetTable":{{{{"brokerName":"{name}","queueId":0,"topic":"T"}}:{{"brokerOffset":100,"consumerOffset":{position},"lastTimestamp":7}}}}}}"#
    );
    FakeServer::start(move |command: &Command<'_>| match command.request_code() {
        Some(RequestCode::GetConsumeStats) => body(&stats),
        Some(RequestCode::GetBrokerRuntimeInfo) => {
            body(r#"{"table":{"brokerVersionDesc":"V5_3_3","commitLogDiskRatio":"0.95"}}"#)
        }
        Some(RequestCode::GetBrokerConsumeStats) => {
            body(r#"{"brokerAddr":"x","consumeStatsList":[],"totalDiff":0}"#)
        }
        _ => Reaction::Answer(ResponseCode::RequestCodeNotSupported, Vec::new(), Vec::new()),
    })
    .await
}

fn admin(name_server: &FakeServer) -> Admin {
    let client = patient(&name_server.address()).build().unwrap();
    client.admin()
}

#[tokio::test]
async fn progress_is_put_together_of_what_all_brokers_say() {
    let (a, b) = (broker("a", 90).await, broker("b", 40).await);
    let server = name_server(&[("a", &a.address()), ("b", &b.address())]).await;
    let progress = admin(&server).progress("G", None, &Scope::All).await.unwrap();
    assert!(progress.failures.is_empty(), "{:?}", progress.failures);
    let progress = progress.value;
    assert_eq!((progress.lag, progress.queues.len(), progress.gets_per_second), (70, 2, 3.0));
    assert_eq!((&*progress.queues[1].queue.broker, progress.queues[1].lag), ("b", 60));
    assert_eq!(progress.queues[0].last_consumed, Some(Timestamp(7)));
}

#[tokio::test]
async fn a_broker_that_fails_is_named_beside_what_the_others_say() {
    let a = broker("a", 90).await;
    let silent = FakeServer::start(|_| Reaction::Close).await;
    let server = name_server(&[("a", &a.address()), ("b", &silent.address())]).await;
    let progress = admin(&server).progress("G", None, &Scope::All).await.unwrap();
    assert_eq!(progress.value.lag, 10);
    assert_eq!(progress.failures.len(), 1);
    assert_eq!(&*progress.failures[0].server, "b");
    assert!(progress.failures[0].error.is_silence());
}

#[tokio::test]
async fn a_call_fails_as_a_whole_only_if_everybody_failed() {
    let silent = FakeServer::start(|_| Reaction::Close).await;
    let server = name_server(&[("a", &silent.address())]).await;
    let failed = admin(&server).progress("G", None, &Scope::All).await.unwrap_err();
    assert!(matches!(&failed, AdminError::Everywhere { failures } if failures.len() == 1), "{failed}");
    assert!(failed.is_unreachable());
}

#[tokio::test]
async fn who_is_not_there_is_told_with_who_is() {
    let server = name_server(&[("a", "127.0.0.1:1")]).await;
    let admin = admin(&server);
    let cluster = admin.brokers(&Scope::Cluster("D".into())).await.unwrap_err();
    assert_eq!(cluster.to_string(), r#"no cluster is called "D"; there is C"#);
    let broker = admin.brokers(&Scope::Broker("b".into())).await.unwrap_err();
    assert_eq!(broker.to_string(), r#"no broker is called "b"; there is a"#);
    let unknown = admin.brokers(&Scope::Broker("10.0.0.1:10911".into())).await.unwrap();
    assert_eq!(&*unknown[0].addr, "10.0.0.1:10911", "an address is used as it is");
}

#[tokio::test]
async fn the_doctor_names_the_worst_first_and_what_to_do() {
    let a = broker("a", 90).await;
    let gone = {
        let server = FakeServer::start(|_| Reaction::Close).await;
        server.address()
    };
    let server = name_server(&[("a", &a.address()), ("b", &gone)]).await;
    let findings = admin(&server).examine().await;
    let bad: Vec<_> = findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    assert_eq!(bad.len(), 2, "{findings:#?}");
    assert!(bad.iter().any(|finding| finding.check == "disk" && finding.subject.contains("broker a")));
    assert!(
        bad.iter().any(|finding| finding.check == "reachability" && finding.subject.contains("broker b"))
    );
    assert!(bad.iter().all(|finding| !finding.advice.is_empty()));
    assert!(findings.is_sorted_by(|a, b| a.severity >= b.severity));
}

#[test]
fn calls_can_be_made_by_any_task() {
    fn sendable<T: Send>(_: &T) {}
    #[allow(unused, reason = "it is looked at, not run")]
    fn look(admin: &Admin) {
        sendable(&admin.progress("G", None, &Scope::All));
        sendable(&admin.reset_offsets("G", "T", offsets::ResetTo::First, None));
        sendable(&admin.examine());
        sendable(&admin.all_traffic());
    }
}
