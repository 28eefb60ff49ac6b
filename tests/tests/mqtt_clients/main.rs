//! MQTT with clients that others wrote, unmodified, first against mosquitto.
//!
//! The programs of `tests/interop` run all of their scenarios in one process, and say of each how it ended; mosquitto's own
//! clients are run from here, each against a connection by hand.

mod rust;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use ferromq_tests::mqtt::connection::PATIENCE;
use ferromq_tests::mqtt::properties::{CORRELATION, RESPONSE_TOPIC, USER};
use ferromq_tests::mqtt::{BOTH, Connection, Publish, Scene, Version};
use ferromq_tests::process::Process;
use ferromq_tests::{Report, mqtt_tests, toolchain};

mqtt_tests! {
    paho_for_python,
    aiomqtt,
    gmqtt,
    npm_mqtt,
    npm_mqtt_in_a_browser,
    paho_for_go,
    rumqttc,
    mosquitto_pub_publishes,
    mosquitto_sub_subscribes,
    mosquitto_sub_resumes_its_session,
    mosquitto_sub_leaves_a_will,
    mosquitto_rr_asks,
}

/// What every program shows, for these kinds of connections.
const ALL: [&str; 4] = ["publish", "retained", "will", "resumed"];

/// Runs a program against the scene's server and expects that these scenarios, and no others, went well.
fn expect_ok(scene: &Scene, mut program: Command, scenarios: &[&str]) {
    let (address, web) = (scene.server().address(), scene.server().web_address());
    program.args([address.ip().to_string(), address.port().to_string(), web.port().to_string()]);
    let output = program.output().expect("the program runs");
    let mut report = Report::parse(String::from_utf8_lossy(&output.stdout).into_owned());
    report.output.push_str(&String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{}", output.status, report.output);
    report.expect_ok(scenarios);
    let ran: BTreeSet<&str> = report.ran().into_iter().collect();
    assert_eq!(ran, scenarios.iter().copied().collect(), "what ran, and what is looked at here");
}

fn python(scene: &Scene, program: &str, scenarios: &[(&str, &[&str])]) {
    let mut command = toolchain::python("mqtt");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/mqtt").join(program));
    let names = named(scenarios);
    expect_ok(scene, command, &names.iter().map(String::as_str).collect::<Vec<_>>());
}

/// The names of scenarios for kinds of connections, which are told behind them.
fn named(scenarios: &[(&str, &[&str])]) -> Vec<String> {
    let of_kind = |(kind, names): &(&str, &[&str])| -> Vec<String> {
        names.iter().map(|name| format!("{name}_{kind}")).collect()
    };
    scenarios.iter().flat_map(of_kind).collect()
}

fn paho_for_python(scene: &Scene) {
    let three: &[&str] = &["publish", "retained", "will", "resumed", "shared"];
    let five: &[&str] = &["publish", "retained", "will", "resumed", "shared", "request", "no_local"];
    python(scene, "paho_client.py", &[("3", three), ("5", five), ("3_web", three), ("5_web", five)]);
}

fn aiomqtt(scene: &Scene) {
    python(scene, "aiomqtt_client.py", &[("3", &ALL), ("5", &ALL)]);
}

fn gmqtt(scene: &Scene) {
    python(scene, "gmqtt_client.py", &[("3", &ALL), ("5", &ALL), ("5", &["request"])]);
}

fn npm_mqtt(scene: &Scene) {
    let mut command = Command::new("node");
    command.arg(toolchain::node_clients().join("mqtt.js"));
    let three: &[&str] = &["publish", "retained", "will", "resumed", "shared"];
    let five: &[&str] = &["publish", "retained", "will", "resumed", "shared", "request"];
    let names = named(&[("3", three), ("5", five), ("3_web", three), ("5_web", five)]);
    expect_ok(scene, command, &names.iter().map(String::as_str).collect::<Vec<_>>());
}

fn paho_for_go(scene: &Scene) {
    let names = named(&[("5", &ALL), ("5", &["request"])]);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    expect_ok(scene, Command::new(toolchain::go_program("go-mqtt")), &names);
}

/// One of mosquitto's clients, told where the server is.
fn mosquitto_client(scene: &Scene, program: &str, version: Version) -> Command {
    let address = scene.server().address();
    let mut command = Command::new(program);
    command.args(["-h", &address.ip().to_string(), "-p", &address.port().to_string(), "-V"]);
    command.arg(if version == Version::V5 { "5" } else { "311" });
    command
}

/// What a program prints, which must end well.
fn output(mut command: Command) -> String {
    let output = command.stderr(Stdio::inherit()).output().unwrap_or_else(|e| {
        panic!("{command:?}: {e}: Debian has it as apt-get install mosquitto-clients");
    });
    assert!(output.status.success(), "{command:?} ended with {}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

fn mosquitto_pub_publishes(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.client(version, "c");
        client.subscribe(&topic, 2);
        for qos in 0..=2 {
            let mut command = mosquitto_client(scene, "mosquitto_pub", version);
            command.args(["-t", &topic, "-q", &qos.to_string(), "-m", "hello"]);
            if version == Version::V5 {
                command.args(["-D", "publish", "user-property", "name", "value"]);
            }
            output(command);
            let got = client.receive();
            assert_eq!((got.text(), got.qos), ("hello", qos));
            let properties = if version == Version::V5 { vec![("name", "value")] } else { vec![] };
            assert_eq!(got.properties.users(), properties);
        }
    }
}

/// A retained message is there when it comes.
fn mosquitto_sub_subscribes(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a/b");
        let mut sender = scene.client(version, "s");
        sender.publish_all(Publish::new(&topic, "kept", 2, 0).retained().with(USER, ("name", "value")));
        let mut command = mosquitto_client(scene, "mosquitto_sub", version);
        command.args(["-t", &scene.topic("+/b"), "-q", "2", "-C", "1", "-F", "%t %q %r %p"]);
        assert_eq!(output(command), format!("{topic} 2 1 kept\n"));
    }
}

fn mosquitto_sub_resumes_its_session(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let id = scene.id(&format!("sub{version:?}"));
        let session = || {
            let mut command = mosquitto_client(scene, "mosquitto_sub", version);
            command.args(["-i", &id, "-c", "-q", "2", "-t", &topic]);
            if version == Version::V5 {
                command.args(["-x", "3600"]);
            }
            command
        };
        let mut begin = session();
        begin.arg("-E");
        output(begin);
        let mut sender = scene.client(version, "s");
        for n in 0..3 {
            sender.publish(&topic, n.to_string(), 2);
        }
        let mut again = session();
        again.args(["-C", "3"]);
        assert_eq!(output(again), "0\n1\n2\n");
    }
}

fn mosquitto_sub_leaves_a_will(scene: &Scene) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for version in BOTH {
        let (topic, will) = (scene.topic("a"), scene.topic("will"));
        let mut watcher = scene.client(version, "w");
        watcher.subscribe(&will, 1);
        watcher.publish_all(Publish::new(&topic, "it is there", 1, 0).retained());
        let mut command = mosquitto_client(scene, "mosquitto_sub", version);
        command.args(["-t", &topic, "--will-topic", &will, "--will-payload", "gone", "--will-qos", "1"]);
        let log = dir.path().join(format!("{version:?}"));
        let process = Process::spawn("mosquitto_sub", command, &log);
        let has_come = || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("it is there"));
        assert!(ferromq_tests::process::wait(PATIENCE, has_come), "{}", process.log_tail());
        process.kill();
        assert_eq!(watcher.receive().text(), "gone");
    }
}

/// The answer goes where the question says.
fn mosquitto_rr_asks(scene: &Scene) {
    let (ask, answer) = (scene.topic("ask"), scene.topic("answer"));
    let mut answerer: Connection = scene.client(Version::V5, "answerer");
    answerer.subscribe(&ask, 1);
    let mut command = mosquitto_client(scene, "mosquitto_rr", Version::V5);
    command.args(["-t", &ask, "-e", &answer, "-q", "1", "-m", "2+2"]);
    command.args(["-D", "publish", "correlation-data", "number 1"]);
    let asking = std::thread::spawn(move || output(command));
    let asked = answerer.receive();
    assert_eq!((asked.text(), asked.properties.text(RESPONSE_TOPIC)), ("2+2", Some(&*answer)));
    let which = asked.properties.bytes(CORRELATION).expect("correlation data");
    answerer.publish_all(Publish::new(&answer, "4", 1, 0).with(CORRELATION, which));
    assert_eq!(asking.join().expect("it ends well"), "4\n");
}

fn rumqttc(scene: &Scene) {
    rust::run(scene);
}

/// The build of the npm package for pages, in one that Chromium shows.
fn npm_mqtt_in_a_browser(scene: &Scene) {
    let mut command = Command::new("node");
    command.arg(toolchain::node_clients().join("browser.js")).env("CHROMIUM", toolchain::chromium());
    let three: &[&str] = &["publish", "retained", "will", "resumed"];
    let names = named(&[("3", three), ("5", three), ("5", &["request"])]);
    expect_ok(scene, command, &names.iter().map(String::as_str).collect::<Vec<_>>());
}
