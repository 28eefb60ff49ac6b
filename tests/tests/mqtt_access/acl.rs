//! Rules of who may publish and subscribe to what, beside mosquitto, which has the same grammar.

use ferromq_tests::mqtt::properties::USER;
use ferromq_tests::mqtt::{
    BOTH, Connect, Connection, MqttServer, Peer, Publish, Setting, Setup, Version, Will,
};
use tempfile::TempDir;

const USERS: &[(&str, &str)] = &[("ann", "a"), ("bob", "b")];
const RULES: &str = "user ann\ntopic plant/#\ntopic deny plant/secret/#\nuser bob\ntopic read plant/1/+\n\
                     pattern write in/%u/%c\n";

fn server(dir: &TempDir, rules: &str) -> MqttServer {
    setup(dir, rules).start()
}

fn setup(dir: &TempDir, rules: &str) -> Setup {
    let file = dir.path().join("rules");
    std::fs::write(&file, rules).expect("a file");
    let settings = [Setting::Users(USERS), Setting::Rules(file)];
    Setup::new(Peer::Ferromq, dir.path(), &settings)
}

fn login(version: Version, client: &str, user: &str) -> Connect {
    Connect::clean(version, client).login(user, &user[..1])
}

fn client(server: &MqttServer, connect: &Connect) -> Connection {
    let mut client = Connection::open(server.address(), connect.version);
    client.connect(connect);
    client
}

#[test]
fn only_what_is_granted_is_published() {
    let dir = TempDir::new().expect("a directory");
    let server = server(&dir, RULES);
    let mut ann = client(&server, &login(Version::V5, "a", "ann"));
    ann.subscribe("plant/#", 2);
    let mut bob = client(&server, &login(Version::V5, "b", "bob"));
    for qos in [1, 2] {
        assert_eq!(bob.publish("plant/1/x", "refused", qos), 0x87);
        assert_eq!(bob.publish("in/bob/other", "refused", qos), 0x87);
        assert_eq!(bob.publish("in/bob/b", "taken", qos), 0);
    }
    bob.publish("plant/1/x", "refused", 0);
    bob.ping();
    let refused = Publish::new("plant/1/x", "refused", 1, 0).retained().with(USER, ("name", "value"));
    assert_eq!(bob.publish_all(refused), 0x87);
    assert_eq!(ann.publish("plant/2/x", "taken", 1), 0);
    assert_eq!(ann.receive().text(), "taken", "nothing else came before it");
    // The identifier of what was refused is free.
    for (topic, reason) in [("plant/secret/x", 0x87), ("plant/2/x", 0)] {
        assert_eq!(ann.publish_all(Publish::new(topic, "new", 2, 77)), reason);
    }
    assert_eq!(ann.receive().text(), "new");
    // 3.1.1 has no word for it.
    let mut old = client(&server, &login(Version::V3, "o", "bob"));
    old.send(Publish::new("plant/1/x", "refused", 1, 1).bytes(Version::V3));
    old.expect_closed();
}

#[test]
fn only_what_is_granted_as_a_whole_is_subscribed_to() {
    let dir = TempDir::new().expect("a directory");
    let server = server(&dir, RULES);
    for version in BOTH {
        let refused = if version == Version::V5 { 0x87 } else { 0x80 };
        let mut bob = client(&server, &login(version, "b", "bob"));
        let filters = [
            ("plant/1/+", 1),
            ("plant/1/x", 0),
            ("$share/g/plant/1/+", 2),
            ("plant/+/x", 1),
            ("plant/#", 1),
            ("#", 1),
            ("$share/g/#", 1),
            ("$SYS/#", 1),
        ];
        let codes: Vec<u8> = filters.iter().map(|(filter, qos)| bob.subscribe(filter, *qos)).collect();
        assert_eq!(codes, [1, 0, 2, refused, refused, refused, refused, refused]);
        let mut ann = client(&server, &login(version, "a", "ann"));
        // Something is taken out of it, which no other member of a group could be given.
        assert_eq!(ann.subscribe("$share/g/plant/#", 1), refused);
        assert_eq!(ann.subscribe("plant/#", 1), 1);
    }
}

#[test]
fn what_is_denied_within_a_subscription_does_not_come() {
    let dir = TempDir::new().expect("a directory");
    let rules = format!("{RULES}user bob\ntopic write plant/#\n");
    let server = server(&dir, &rules);
    let mut bob = client(&server, &login(Version::V5, "b", "bob"));
    bob.publish_all(Publish::new("plant/secret/kept", "secret", 1, 0).retained());
    bob.publish_all(Publish::new("plant/open/kept", "kept", 1, 0).retained());
    let mut ann = client(&server, &login(Version::V5, "a", "ann"));
    ann.subscribe("plant/#", 1);
    assert_eq!(ann.receive().text(), "kept");
    bob.publish("plant/secret/x", "secret", 1);
    bob.publish("plant/open/x", "open", 1);
    assert_eq!(ann.receive().text(), "open");
}

#[test]
fn a_will_needs_the_right_to_publish_it() {
    let dir = TempDir::new().expect("a directory");
    let server = server(&dir, RULES);
    for version in BOTH {
        let mut bob = Connection::open(server.address(), version);
        bob.send(login(version, "b", "bob").will(Will::new("plant/1/x", "gone")).bytes());
        bob.expect_refused(&[0x87, 5]);
        client(&server, &login(version, "b", "bob").will(Will::new("in/bob/b", "gone")));
    }
}

#[test]
fn rules_that_changed_hold_for_sessions_that_were_there_before() {
    let dir = TempDir::new().expect("a directory");
    let setup_before = setup(&dir, RULES);
    let server = setup_before.start();
    let session = Connect::persistent(Version::V5, "s").login("ann", "a");
    let mut ann = client(&server, &session);
    ann.subscribe("plant/#", 1);
    ann.subscribe("$share/g/plant/1/#", 1);
    ann.disconnect();
    let mut sender = client(&server, &login(Version::V5, "x", "ann"));
    sender.publish("plant/2/x", "no longer", 1);
    sender.publish("plant/1/x", "still", 1);
    sender.disconnect();
    server.stop();
    let rules = dir.path().join("rules");
    std::fs::write(rules, "user ann\ntopic read plant/1/x\ntopic write plant/#\n").expect("a file");
    let server = setup_before.start();
    let mut ann = client(&server, &session);
    ann.publish("plant/2/x", "nor this", 1);
    ann.publish("plant/1/x", "and this", 1);
    assert_eq!([ann.receive().text().to_owned(), ann.receive().text().to_owned()], ["still", "and this"]);
    assert_eq!(ann.subscribe("plant/#", 1), 0x87);
    assert_eq!(ann.unsubscribe("$share/g/plant/1/#"), 0x11, "it ended with the right to it");
}

#[test]
fn a_line_that_is_not_understood_stops_the_start() {
    let dir = TempDir::new().expect("a directory");
    let rules = dir.path().join("rules");
    std::fs::write(&rules, "user ann\ntopics plant/#\n").expect("a file");
    let launch = ferromq_tests::Launch::new(ferromq_tests::Kind::Ferro, dir.path()).small_files();
    let process = launch.set("mqttAclFile", &rules.display().to_string()).begin();
    let log = process.log().to_owned();
    assert!(!process.end(std::time::Duration::from_secs(60)).success());
    let said = std::fs::read_to_string(log).expect("a log");
    assert!(said.contains("mqttAclFile") && said.contains("rules:2: "), "{said}");
}
