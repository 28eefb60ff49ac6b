//! MQTT as who runs the server sees and limits it: limits with their reason codes, `/v1/mqtt`, metrics, kick and purge.

use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use ferromq_tests::http::{Answer, Http};
use ferromq_tests::mqtt::connection::{Connection, PATIENCE};
use ferromq_tests::mqtt::packet::{Connect, PINGREQ, Packet, Publish, Version, Will, frame};
use ferromq_tests::process::wait;
use ferromq_tests::server::{Kind, Launch, Server};
use ferromq_tests::toolchain;
use serde_json::Value;
use tempfile::TempDir;

/// `brokerPermission`s.
const READ_ONLY: u8 = 4;
const READ_WRITE: u8 = 6;

struct Rig {
    server: Server,
    launch: Launch,
    _dir: TempDir,
}

impl Rig {
    fn start(settings: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        // However full the disk of the machine is that tests run on.
        let launch =
            Launch::new(Kind::Ferro, dir.path()).small_files().set("diskSpaceWarningLevelRatio", "100");
        let launch = settings.iter().fold(launch, |launch, (key, value)| launch.set(key, value));
        let server = launch.start();
        Self { server, launch, _dir: dir }
    }

    fn open(&self, version: Version) -> Connection {
        Connection::open(self.launch.mqtt(), version)
    }

    fn connect(&self, connect: &Connect) -> Connection {
        let mut connection = self.open(connect.version);
        connection.connect(connect);
        connection
    }

    fn client(&self, id: &str) -> Connection {
        self.connect(&Connect::clean(Version::V5, id))
    }

    fn ask(&self, method: &str, path: &str) -> Answer {
        let mut http = Http::open(self.server.http()).expect("HTTP is there");
        http.ask(method, path, &[], b"").expect("an answer")
    }

    /// Sets what the broker takes and gives.
    fn set_permission(&self, permission: u8) {
        let mut http = Http::open(self.server.http()).expect("HTTP is there");
        let body = format!("{{\"brokerPermission\": {permission}}}");
        let json = [("content-type", "application/json")];
        let answer = http.ask("PATCH", "/v1/config", &json, body.as_bytes()).expect("an answer");
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path);
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    /// `ferromq admin mqtt`, with its result as JSON.
    fn admin(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(toolchain::ferromq());
        command.args(["admin", "mqtt", "--output", "json", "--timeout", "60"]);
        command.args(["--http", &self.server.http().to_string()]).args(arguments);
        command.output().expect("it runs")
    }

    /// What it prints when it does it.
    fn told(&self, arguments: &[&str]) -> Value {
        let output = self.admin(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    fn metric(&self, line: &str) -> bool {
        let body = self.ask("GET", "/metrics").body;
        String::from_utf8(body).expect("text").lines().any(|found| found == line)
    }

    /// Asks until the answer is right: what a connection's end does is done a moment after its client sees it.
    fn until(&self, path: &str, right: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..1_200 {
            let answer = self.get(path);
            if right(&answer) {
                return answer;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("{path} is still {}", self.get(path));
    }
}

#[test]
fn a_client_beyond_mqtt_max_sessions_is_refused_and_one_that_has_a_session_is_not() {
    let rig = Rig::start(&[("mqttMaxSessions", "2")]);
    let kept = Connect::persistent(Version::V5, "kept");
    rig.connect(&kept).disconnect();
    let _one = rig.client("one");
    let mut five = rig.open(Version::V5);
    five.send(Connect::clean(Version::V5, "more").bytes());
    five.expect_refused(&[0x97]);
    let mut three = rig.open(Version::V3);
    three.send(Connect::clean(Version::V3, "more").bytes());
    three.expect_refused(&[3]);
    rig.connect(&kept).disconnect();
    assert!(rig.metric("ferromq_mqtt_connects_refused_total{reason=\"quota exceeded\"} 2"));
    rig.server.stop();
}

#[test]
fn limits_of_subscriptions_and_levels_are_told_by_their_reasons_and_end_nothing() {
    let rig = Rig::start(&[("mqttMaxSubscriptions", "2"), ("mqttMaxTopicLevels", "3")]);
    let mut client = rig.client("c");
    assert_eq!(client.subscribe("a", 0), 0);
    assert_eq!(client.subscribe("b/c/d/e", 0), 0x8F);
    assert_eq!(client.subscribe("b", 0), 0);
    assert_eq!(client.subscribe("c", 0), 0x97);
    assert_eq!(client.subscribe("b", 1), 1, "one that is there may change");
    assert_eq!(client.publish("a/b/c/d", "x", 1), 0x90);
    assert_eq!(client.publish("b", "x", 1), 0);
    assert_eq!(client.receive().text(), "x");
    client.disconnect();
    rig.server.stop();
}

#[test]
fn the_oldest_that_waits_is_dropped_beyond_mqtt_max_queued_messages_and_counted() {
    let rig = Rig::start(&[("mqttMaxQueuedMessages", "4")]);
    let kept = Connect::persistent(Version::V5, "slow");
    let mut slow = rig.connect(&kept);
    slow.subscribe("q", 1);
    slow.disconnect();
    let mut sender = rig.client("sender");
    for n in 0..10 {
        assert_eq!(sender.publish("q", n.to_string(), 1), 0);
    }
    // What is not read waits in the log.
    rig.until("/v1/mqtt/clients/slow", |slow| slow["connected"] == false && slow["session"]["queued"] == 10);
    let mut slow = rig.connect(&kept);
    let got: Vec<_> = (6..10).map(|_| slow.receive().text().to_owned()).collect();
    assert_eq!(got, ["6", "7", "8", "9"]);
    let here = rig.until("/v1/mqtt/clients/slow", |here| here["session"]["queued"] == 0);
    assert_eq!(here["session"]["dropped"], 6, "{here}");
    assert!(rig.metric("ferromq_mqtt_messages_dropped_total{reason=\"queue_full\"} 6"));
    rig.server.stop();
}

#[test]
fn a_client_that_is_too_slow_is_disconnected_where_that_is_the_policy_and_others_are_not_held_up() {
    let policy =
        [("mqttMaxQueuedMessages", "4"), ("mqttQueueFullPolicy", "disconnect"), ("mqttMaxInflight", "1")];
    let rig = Rig::start(&policy);
    let mut slow = rig.client("slow");
    let mut quick = rig.client("quick");
    assert_eq!((slow.subscribe("q", 1), quick.subscribe("q", 1)), (1, 1));
    let mut sender = rig.client("sender");
    for n in 0..8 {
        assert_eq!(sender.publish("q", n.to_string(), 1), 0);
        // The other takes the first, and does not acknowledge it.
        assert_eq!(quick.receive().text(), n.to_string());
    }
    // PINGRESP comes first, unless too much waited already when "0" was sent: then that ended the connection.
    slow.send(frame(PINGREQ, []));
    assert_eq!(slow.take().text(), "0");
    let end = match slow.next_packet() {
        Some(Packet::PingResp) => slow.next_packet(),
        end => end,
    };
    assert!(matches!(end, Some(Packet::Disconnect { reason: 0x97, .. })), "{end:?}");
    rig.server.stop();
}

#[test]
fn wills_wait_while_the_broker_takes_no_messages_also_if_their_client_is_back_before() {
    let rig = Rig::start(&[]);
    let mut watcher = rig.client("watcher");
    watcher.subscribe("gone", 1);
    let lost = |will| Connect::persistent(Version::V5, "lost").will(Will::new("gone", will));
    let client = rig.connect(&lost("first"));
    rig.set_permission(READ_ONLY);
    client.cut();
    let log = || std::fs::read_to_string(rig.launch.log()).unwrap_or_default();
    assert!(wait(PATIENCE, || log().contains("MQTT wills wait")), "{}", log());
    let back = rig.connect(&lost("second"));
    rig.set_permission(READ_WRITE);
    assert_eq!(watcher.receive().text(), "first");
    back.cut();
    assert_eq!(watcher.receive().text(), "second");
    rig.server.stop();
}

#[test]
fn a_client_is_listed_shown_kicked_and_purged_whatever_its_name() {
    let rig = Rig::start(&[]);
    let name = "haus/flur %41 ?#ü+";
    let path = "/v1/mqtt/clients/haus%2Fflur%20%2541%20%3F%23%C3%BC%2B";
    let connect =
        Connect::persistent(Version::V5, name).login("ann", "s3cret").will(Will::new("gone", "bye"));
    let mut watcher = rig.client("watcher");
    watcher.subscribe("gone", 1);
    let mut client = rig.connect(&connect);
    client.subscribe("a/+", 1);
    client.subscribe("$share/g/b", 1);
    // A connection that is held up does not say how it stands.
    let shown = rig.until(path, |shown| shown["session"].is_object());
    assert_eq!(shown["clientId"], name);
    assert_eq!((&shown["version"], &shown["user"]), (&"5.0".into(), &"ann".into()), "{shown}");
    assert_eq!((&shown["connected"], &shown["expirySeconds"]), (&true.into(), &3600.into()));
    assert!(!shown.to_string().contains("s3cret"), "{shown}");
    assert_eq!(shown["session"]["subscriptions"][1]["filter"], "a/+");
    let listed = rig.get("/v1/mqtt/clients?prefix=haus&connected=true");
    assert_eq!(listed["clients"][0]["clientId"], name);
    assert_eq!(listed["clients"].as_array().expect("a list").len(), 1);
    let page = rig.get("/v1/mqtt/clients?max=1");
    assert_eq!(page["next"], name);
    let rest = rig.get("/v1/mqtt/clients?max=1&after=haus%2Fflur%20%2541%20%3F%23%C3%BC%2B");
    assert_eq!((&rest["clients"][0]["clientId"], &rest["next"]), (&"watcher".into(), &Value::Null));
    let shared = rig.get("/v1/mqtt/shared");
    assert_eq!(
        (&shared["groups"][0]["group"], &shared["groups"][0]["members"][0]),
        (&"g".into(), &name.into())
    );

    assert_eq!(rig.ask("DELETE", &format!("{path}/connection")).status, 204);
    assert_eq!(client.expect_disconnect(), 0x98);
    assert_eq!(watcher.receive().text(), "bye");
    let mut sender = rig.client("sender");
    assert_eq!(sender.publish("a/b", "waits", 1), 0);
    rig.until(path, |away| away["connected"] == false && away["session"]["queued"] == 1);
    assert_eq!(rig.ask("DELETE", &format!("{path}/connection")).status, 404);
    assert!(rig.metric("ferromq_mqtt_sessions{state=\"kept\"} 1"));

    let (mut client, ack) = {
        let mut client = rig.open(Version::V5);
        let ack = client.connect(&connect);
        (client, ack)
    };
    assert!(ack.session_present);
    assert_eq!(rig.ask("DELETE", path).status, 204);
    assert_eq!(client.take().text(), "waits");
    assert_eq!(client.expect_disconnect(), 0x98);
    assert_eq!(rig.ask("GET", path).json()["code"], "no-client");
    assert_eq!(rig.ask("DELETE", path).status, 404);
    let mut again = rig.open(Version::V5);
    assert!(!again.connect(&connect).session_present);
    rig.server.stop();
}

#[test]
fn retained_messages_are_listed_shown_and_forgotten_for_good() {
    let rig = Rig::start(&[]);
    let mut client = rig.client("c");
    for topic in ["a/b", "a/c", "b"] {
        assert_eq!(client.publish_all(Publish::new(topic, topic, 1, 0).retained()), 0);
    }
    let listed = rig.get("/v1/mqtt/retained?prefix=a&max=1");
    assert_eq!((&listed["retained"][0]["topic"], &listed["next"]), (&"a/b".into(), &"a/b".into()));
    let one = rig.get("/v1/mqtt/retained/a%2Fc");
    assert_eq!((&one["text"], &one["qos"]), (&"a/c".into(), &1.into()), "{one}");
    assert_eq!(rig.ask("DELETE", "/v1/mqtt/retained/a%2Fc").status, 204);
    assert_eq!(rig.ask("DELETE", "/v1/mqtt/retained/a%2Fc").status, 404);
    assert!(rig.metric("ferromq_mqtt_retained_messages 2"));
    let Rig { server, launch, _dir } = rig;
    server.kill();
    let rig = Rig { server: launch.start(), launch, _dir };
    let listed = rig.get("/v1/mqtt/retained");
    assert_eq!(listed["retained"].as_array().expect("a list").len(), 2, "{listed}");
    rig.server.stop();
}

#[test]
fn what_goes_through_is_counted_by_quality_of_service() {
    let rig = Rig::start(&[]);
    let mut client = rig.client("c");
    client.subscribe("t", 2);
    for (qos, payload) in [(0, "abc"), (1, "abcd"), (2, "abcde")] {
        client.publish("t", payload, qos);
        assert_eq!(client.receive().text(), payload);
    }
    client.send(frame(PINGREQ, []));
    for line in [
        "ferromq_mqtt_messages_received_total{qos=\"0\"} 1",
        "ferromq_mqtt_bytes_received_total{qos=\"1\"} 4",
        "ferromq_mqtt_messages_sent_total{qos=\"2\"} 1",
        "ferromq_mqtt_bytes_sent_total{qos=\"2\"} 5",
        "ferromq_mqtt_sessions{state=\"connected\"} 1",
        "ferromq_mqtt_subscriptions 1",
        "ferromq_mqtt_filters 1",
    ] {
        assert!(rig.metric(line), "{line}");
    }
    let overview = rig.get("/v1/mqtt");
    assert_eq!((&overview["received"], &overview["sent"]), (&3.into(), &3.into()), "{overview}");
    rig.server.stop();
}

#[test]
fn ferromq_admin_shows_clients_and_ends_them() {
    let rig = Rig::start(&[]);
    let names = ["hall/door 1", "hall/door 2", "gate"];
    let mut doors = names.map(|name| rig.connect(&Connect::persistent(Version::V5, name)));
    doors[0].subscribe("plant/+/state", 1);
    doors[0].subscribe("$share/all/plant/#", 1);
    doors[1].publish_all(Publish::new("plant/ä/state", "on", 1, 0).retained());
    let ids = |arguments: &[&str]| -> Vec<String> {
        let found = rig.told(arguments);
        let clients = found.as_array().expect("a list").iter();
        clients.map(|client| client["clientId"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(ids(&["clients", "--prefix", "hall/"]), &names[..2]);
    assert_eq!(ids(&["clients", "--max", "2"]).len(), 2);
    let subscriptions =
        || rig.told(&["client", names[0]])["session"]["subscriptions"].as_array().map(Vec::len);
    assert!(wait(PATIENCE, || subscriptions() == Some(2)), "{:?}", subscriptions());
    assert_eq!(rig.told(&["shared"])[0]["filter"], "plant/#");
    assert_eq!(rig.told(&["retained", "--prefix", "plant/"])[0]["topic"], "plant/ä/state");
    assert_eq!(rig.told(&["status"])["retained"], 1);
    rig.told(&["forget", "plant/ä/state"]);
    assert_eq!(rig.told(&["retained"]), Value::Array(Vec::new()));
    rig.told(&["disconnect", names[0]]);
    rig.until("/v1/mqtt/clients?connected=false", |found| found["clients"][0]["clientId"] == names[0]);
    rig.told(&["purge", names[0]]);
    rig.told(&["purge", names[1]]);
    assert_eq!(ids(&["clients"]), ["gate"]);
    let gone = rig.admin(&["client", names[0]]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("has no session"), "{gone:?}");
    rig.server.stop();
}

#[test]
fn ferromq_admin_says_where_it_looked_for_a_server_that_is_not_there() {
    let mut command = Command::new(toolchain::ferromq());
    let output =
        command.args(["admin", "mqtt", "--http", "127.0.0.1:1", "status"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no answer from 127.0.0.1:1"), "{output:?}");
}
