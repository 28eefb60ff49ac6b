//! What our server makes of its store after it ended, where a test can say exactly what that is.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ferromq_model::message::{property, push_property};
use ferromq_model::mqtt::names;
use ferromq_protocol::code::RequestCode;
use ferromq_tests::http::Http;
use ferromq_tests::mqtt::connection::PATIENCE;
use ferromq_tests::mqtt::properties::RECEIVE_MAXIMUM;
use ferromq_tests::mqtt::{Connect, Connection, MqttServer, Peer, Publish, Setup, Version, Will};
use ferromq_tests::remoting::{self, send_header};
use ferromq_tests::{Kind, Launch};

fn connect(address: std::net::SocketAddr, connect: &Connect) -> Connection {
    let mut connection = Connection::open(address, connect.version);
    connection.connect(connect);
    connection
}

fn client(server: &MqttServer, persistent: &Connect) -> Connection {
    connect(server.address(), persistent)
}

fn again(server: MqttServer) -> MqttServer {
    let setup = server.setup().clone();
    server.kill();
    setup.start()
}

/// Filters that overlap have a queue each: after a restart a copy in the one is still known for the message of the other.
#[test]
fn one_copy_of_a_message_comes_by_overlapping_subscriptions_over_a_restart() {
    // The higher quality is the one that delivers, and may be the first or the second that comes to the message.
    for qualities in [[1, 2], [2, 1]] {
        let dir = tempfile::tempdir().unwrap();
        let server = Setup::new(Peer::Ferromq, dir.path(), &[]).start();
        let one = Connect::persistent(Version::V5, "one").with(RECEIVE_MAXIMUM, 1);
        let mut subscriber = client(&server, &one);
        for (filter, qos) in ["x/#", "x/+"].into_iter().zip(qualities) {
            assert_eq!(subscriber.subscribe(filter, qos), qos);
        }
        let mut publisher = client(&server, &Connect::clean(Version::V5, "two"));
        publisher.publish("x/a", "once", 2);
        // It fills the window, so that a subscription behind it does not come to the message.
        assert_eq!(subscriber.take().text(), "once");
        let server = again(server);

        let mut subscriber = client(&server, &one);
        let mut publisher = client(&server, &Connect::clean(Version::V5, "two"));
        let mut got = Vec::new();
        // Each subscription has had its turn before the second one's.
        for end in ["end", "of all"] {
            publisher.publish("x/a", end, 2);
            got.extend(subscriber.receive_until(end).iter().map(|got| got.text().to_owned()));
        }
        assert_eq!(got, ["once"], "{qualities:?}");
        server.stop();
    }
}

/// A crash cuts connections, so that wills are due; their clients may be back before anything else is done.
#[test]
fn clients_that_are_back_at_once_do_not_revoke_the_wills_of_the_crash() {
    const CLIENTS: usize = 20;
    let dir = tempfile::tempdir().unwrap();
    let server = Setup::new(Peer::Ferromq, dir.path(), &[]).start();
    let watching = Connect::persistent(Version::V5, "watcher");
    client(&server, &watching).subscribe("wills/#", 1);
    let persistent: Vec<_> =
        (0..CLIENTS).map(|number| Connect::persistent(Version::V5, &format!("c{number}"))).collect();
    let with_will =
        |number: usize| persistent[number].clone().will(Will::new(&format!("wills/{number}"), "crashed"));
    let before: Vec<_> = (0..CLIENTS).map(|number| client(&server, &with_will(number))).collect();
    let server = again(server);
    let after: Vec<_> = persistent.iter().map(|persistent| client(&server, persistent)).collect();

    let mut watcher = client(&server, &watching);
    let came: BTreeSet<_> = (0..CLIENTS).map(|_| watcher.receive().topic).collect();
    assert_eq!(came.len(), CLIENTS, "{came:?}");
    drop((before, after));
    server.stop();
}

/// A power cut may take the end of the log, and leave what sessions were read to.
#[test]
fn a_session_gets_what_comes_after_the_end_of_the_log_was_lost() {
    let dir = tempfile::tempdir().unwrap();
    let server = Setup::new(Peer::Ferromq, dir.path(), &[]).start();
    let setup = server.setup().clone();
    let one = Connect::persistent(Version::V5, "one");
    let publish = |server: &MqttServer, payloads: &[&str]| {
        let mut publisher = client(server, &Connect::clean(Version::V5, "two"));
        payloads.iter().for_each(|payload| assert_eq!(publisher.publish("x/a", payload, 1), 0));
    };
    let mut subscriber = client(&server, &one);
    subscriber.subscribe("x/#", 1);
    subscriber.disconnect();
    publish(&server, &["1"]);
    server.stop();
    let (store, saved) = (dir.path().join("store"), dir.path().join("saved"));
    copy(&store, &saved);

    let server = setup.start();
    publish(&server, &["lost 1", "lost 2", "lost 3"]);
    let mut subscriber = client(&server, &one);
    assert_eq!(subscriber.receive_until("lost 3").len(), 3);
    subscriber.disconnect();
    server.stop();

    fs::remove_dir_all(saved.join("mqtt")).unwrap();
    fs::rename(store.join("mqtt"), saved.join("mqtt")).unwrap();
    fs::remove_dir_all(&store).unwrap();
    fs::rename(&saved, &store).unwrap();
    let server = setup.start();
    publish(&server, &["new 1", "new 2", "new 3", "new 4", "new 5"]);
    let got = client(&server, &one).receive_until("new 5");
    let got: Vec<_> = got.iter().map(|got| got.text().to_owned()).collect();
    assert_eq!(got, ["new 1", "new 2", "new 3", "new 4"]);
    server.stop();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).unwrap();
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(path, target).unwrap();
        }
    }
}

/// A message that says of itself that it is retained, a client's of QoS 2, and the will of every session.
fn forged(mqtt_topic: &str, will: u64) -> Vec<(&'static str, String)> {
    vec![
        (property::ORIGIN_MQTT_TOPIC, mqtt_topic.to_owned()),
        (names::RETAIN, "1".to_owned()),
        (names::CLIENT_ID, "victim".to_owned()),
        (names::PACKET_ID, "7".to_owned()),
        (names::WILL, will.to_string()),
    ]
}

/// What clients of other protocols say is no word of MQTT's sessions, which a crash has believed.
#[test]
fn nobody_else_speaks_for_an_mqtt_client() {
    const SESSIONS: u64 = 10;
    let dir = tempfile::tempdir().unwrap();
    let launch = Launch::new(Kind::Ferro, dir.path())
        .small_files()
        .set("mqttAllowAnonymous", "true")
        // A slow disk is no failure.
        .set("syncFlushTimeout", &PATIENCE.as_millis().to_string())
        // However full the disk of the machine is that tests run on.
        .set("cleanFileForciblyEnable", "false")
        .set("diskSpaceWarningLevelRatio", "100");
    let server = launch.start();
    let mqtt = launch.mqtt();
    let heir = Connect::persistent(Version::V5, "heir");
    let mut before = connect(mqtt, &heir);
    before.subscribe("will", 1);
    before.disconnect();
    let victim = Connect::persistent(Version::V5, "victim");
    let _victim = connect(mqtt, &victim.clone().will(Will::new("will", "true")));

    let mut native = remoting::Connection::open(launch.broker()).unwrap();
    let mut http = Http::open(launch.http()).unwrap();
    for will in 0..SESSIONS {
        let mut properties = String::new();
        for (name, value) in forged("forged/native", will) {
            push_property(&mut properties, name, &value);
        }
        let header = send_header("forged", 0, &properties);
        let answer = native.ask(RequestCode::SendMessage, &header, b"native").unwrap();
        assert_eq!(answer.code, 0, "{answer:?}");
        let properties: serde_json::Map<_, _> = forged("forged/http", will)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        let body = serde_json::json!({"text": "http", "properties": properties}).to_string();
        let headers = [("Content-Type", "application/json")];
        let answer = http.ask("POST", "/v1/topics/forged/messages", &headers, body.as_bytes()).unwrap();
        assert!(answer.status < 300, "{}", String::from_utf8_lossy(&answer.body));
    }
    server.kill();
    let server = launch.start();

    let mut reader = connect(mqtt, &Connect::clean(Version::V5, "reader"));
    reader.subscribe("forged/#", 1);
    let mut victim = connect(mqtt, &victim);
    let mut publish = Publish::new("forged/true", "true", 2, 7);
    publish.dup = false;
    assert_eq!(victim.publish_all(publish), 0);
    victim.publish("forged/true", "end", 1);
    let got = reader.receive_until("end");
    let got: Vec<_> = got.iter().map(|got| (got.topic.as_str(), got.text())).collect();
    assert_eq!(got, [("forged/true", "true")]);
    assert_eq!(connect(mqtt, &heir).receive().text(), "true", "the will");
    server.stop();
}
