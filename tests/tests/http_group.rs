//! HTTP beside the official Java client: what one sends the other receives as it was, and both share a group.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use ferromq_tests::{Client, JavaMember, Kind, suite};
use serde_json::{Value, json};

/// As long as nothing but a broken member takes, with JVMs that start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(150);
const JAVA: Client = Client::Java("5.3.3");
const GROUP: &str = "/v1/topics/Shared/groups/shared-group";

/// One request on a connection of its own; status and body.
fn ask(server: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("a whole answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"), body.to_owned())
}

fn post(server: SocketAddr, path: &str, body: &Value) -> Value {
    let (status, answer) = ask(server, "POST", path, &body.to_string());
    assert!(matches!(status, 200 | 201), "{status} {answer}");
    serde_json::from_str(&answer).expect("JSON")
}

/// Receives, acknowledges, and says what came.
fn receive(server: SocketAddr, group: &str, wait: &str) -> Vec<Value> {
    let (status, answer) = ask(server, "GET", &format!("{group}/messages?max=32&wait={wait}&lease=10m"), "");
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    let messages = answer["messages"].as_array().expect("messages").clone();
    if !messages.is_empty() {
        let receipts: Vec<_> = messages.iter().map(|message| message["receipt"].clone()).collect();
        post(server, &format!("{group}/acks"), &json!({"receipts": receipts}));
    }
    messages
}

#[test]
fn http_and_java_members_share_a_group_and_each_message_goes_to_one_of_them() {
    let dir = tempfile::Builder::new().prefix("ferromq-http-group-").tempdir().expect("a directory");
    let server = suite::launch(Kind::under_test(), dir.path()).start();
    let http = server.http();
    let send = |phase: &str, queues: u32| -> BTreeSet<String> {
        let ids: Vec<_> = (0..96).map(|n| format!("{phase}-{n}")).collect();
        for (n, id) in ids.iter().enumerate() {
            let message = json!({"text": id, "queueId": n as u32 % queues});
            post(http, "/v1/topics/Shared/messages", &message);
        }
        ids.into_iter().collect()
    };
    // A topic has as many queues as a new one gets; its group starts at the beginning.
    let first = post(http, "/v1/topics/Shared/messages", &json!({"text": "very first"}));
    assert!(first["messageId"].is_string());
    let (_, queues) = ask(http, "GET", "/v1/topics/Shared", "");
    let queues: Value = serde_json::from_str(&queues).expect("JSON");
    let queues = queues["readQueues"].as_u64().expect("its queues") as u32;
    assert_eq!(receive(http, GROUP, "60s").len(), 1);

    let alone: BTreeSet<String> = send("alone", queues);
    let mut got = BTreeSet::new();
    let began = Instant::now();
    while got.len() < alone.len() {
        assert!(began.elapsed() < PATIENCE, "only {} came", got.len());
        let texts = receive(http, GROUP, "1s").into_iter().map(|m| m["text"].as_str().unwrap().to_owned());
        texts.for_each(|text| assert!(got.insert(text.clone()), "{text} came twice"));
    }

    let java = JavaMember::join(JAVA, &server.namesrv(), "Shared", "shared-group", &dir.path().join("java"));
    let began = Instant::now();
    while java.owned().len() != (queues as usize).div_ceil(2) {
        assert!(began.elapsed() < PATIENCE, "it has {:?}\n{}", java.owned(), java.errors());
        // HTTP stays a member while somebody receives.
        receive(http, GROUP, "100ms");
    }
    let together = send("together", queues);
    let mut by_http = BTreeSet::new();
    let by_java = |java: &JavaMember| -> Vec<String> {
        java.got().into_iter().map(|got| got.body).filter(|body| together.contains(body)).collect()
    };
    let began = Instant::now();
    while by_http.len() + by_java(&java).len() < together.len() {
        assert!(began.elapsed() < PATIENCE, "{} and {} came", by_http.len(), by_java(&java).len());
        let texts = receive(http, GROUP, "1s").into_iter().map(|m| m["text"].as_str().unwrap().to_owned());
        texts.for_each(|text| assert!(by_http.insert(text.clone()), "{text} came twice by HTTP"));
    }
    let by_java: Vec<_> = by_java(&java);
    let distinct: BTreeSet<_> = by_java.iter().cloned().collect();
    assert_eq!(distinct.len(), by_java.len(), "some came twice to Java");
    assert!(!by_http.is_empty() && !distinct.is_empty(), "both got some");
    assert_eq!(by_http.union(&distinct).cloned().collect::<BTreeSet<_>>(), together);
    assert!(by_http.is_disjoint(&distinct), "none came to both");

    java.leave();
    let after = send("after", queues);
    let mut got = BTreeSet::new();
    let began = Instant::now();
    while !after.is_subset(&got) {
        assert!(began.elapsed() < PATIENCE, "{:?} never came", after.difference(&got).collect::<Vec<_>>());
        got.extend(receive(http, GROUP, "1s").into_iter().map(|m| m["text"].as_str().unwrap().to_owned()));
    }
    server.stop();
}

#[test]
fn messages_pass_between_http_and_java_with_everything_that_they_carry() {
    let dir = tempfile::Builder::new().prefix("ferromq-http-java-").tempdir().expect("a directory");
    let server = suite::launch(Kind::under_test(), dir.path()).start();
    let http = server.http();
    let sent = json!({
        "text": "grüße", "tag": "t1", "keys": ["k1", "k2"],
        "properties": {"color": "blue", "with blank": "a b=c"}, "contentType": "text/plain",
    });
    let sent_id =
        post(http, "/v1/topics/ToJava/messages", &sent)["messageId"].as_str().expect("an id").to_owned();
    post(http, "/v1/topics/ToHttp/messages", &json!({"text": "makes the topic"}));
    assert_eq!(receive(http, "/v1/topics/ToHttp/groups/back", "60s").len(), 1);

    let mut command = JAVA.java(dir.path());
    command.args(["HttpPeer", &server.namesrv(), "ToJava", "ToHttp", "http-peer"]).stderr(Stdio::inherit());
    let output = command.output().expect("java starts");
    assert!(output.status.success(), "{output:?}");
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = |name: &str| output.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    assert_eq!(said("body ").as_deref(), Some("grüße"), "{output}");
    assert_eq!(said("tag ").as_deref(), Some("t1"));
    assert_eq!(said("keys ").as_deref(), Some("k1 k2"));
    assert_eq!(said("color ").as_deref(), Some("blue"));
    assert_eq!(said("with blank ").as_deref(), Some("a b=c"));
    assert_eq!(said("id ").as_deref(), Some(sent_id.as_str()));

    let back = receive(http, "/v1/topics/ToHttp/groups/back", "60s");
    let back = back.first().expect("Java's message");
    assert_eq!((&back["text"], &back["tag"]), (&json!("zurück"), &json!("t2")));
    assert_eq!((&back["keys"], &back["properties"]["shape"]), (&json!(["k3"]), &json!("round")));
    assert_eq!(back["messageId"].as_str(), said("sent ").as_deref());
    server.stop();
}
