//! TLS, with mosquitto's clients, paho and curl as peers.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ferromq_tests::mqtt::connection::PATIENCE;
use ferromq_tests::mqtt::{Connect, Connection, Version};
use ferromq_tests::process::{free_port, wait};
use ferromq_tests::{Kind, Launch, toolchain};
use tempfile::TempDir;

use crate::certificates::Authority;

/// A server to be, with a certificate, and where it serves what.
struct Scene {
    authority: Authority,
    launch: Launch,
    mqtt: u16,
    https: u16,
    /// Dropped last.
    dir: TempDir,
}

impl Scene {
    fn new() -> Self {
        let dir = TempDir::new().expect("a directory");
        let authority = Authority::new(&dir.path().join("certificates"));
        authority.server();
        let (mqtt, https) = (free_port(&[0]), free_port(&[0]));
        let launch = Launch::new(Kind::Ferro, dir.path())
            .small_files()
            .set("tls.server.certPath", &authority.path("server.pem"))
            .set("tls.server.keyPath", &authority.path("server.key"))
            .set("mqttTlsPort", &mqtt.to_string())
            // A busy machine is no client that says nothing.
            .set("tlsHandshakeTimeout", "60000")
            .set("httpTlsPort", &https.to_string());
        Self { authority, launch, mqtt, https, dir }
    }

    fn set(mut self, key: &str, value: &str) -> Self {
        self.launch = self.launch.set(key, value);
        self
    }

    /// Asks clients for certificates of the same authority.
    fn asking(self, how: &str) -> Self {
        let trust = self.authority.path("authority.pem");
        self.set("tls.server.trustCertPath", &trust).set("tls.server.need.client.auth", how)
    }

    /// Opens a connection to MQTT's port for TLS, on which nothing is encrypted.
    fn open(&self) -> TcpStream {
        let stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, self.mqtt)));
        let stream = stream.expect("it accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        stream
    }

    /// One of mosquitto's clients, which trusts this authority.
    fn client(&self, program: &str, authority: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["-h", "127.0.0.1", "-p", &self.mqtt.to_string(), "-V", "5", "--cafile", authority]);
        command
    }

    /// Whether a message can be published.
    fn publishes(&self, more: &[&str]) -> bool {
        let mut command = self.client("mosquitto_pub", &self.authority.path("authority.pem"));
        let output = command.args(["-t", "a/b", "-q", "1", "-m", "hello"]).args(more).output();
        output.expect("Debian has it as apt-get install mosquitto-clients").status.success()
    }
}

/// Waits for the end of a connection, and takes what comes before.
fn expect_end(mut stream: TcpStream) {
    match stream.read_to_end(&mut Vec::new()) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("it stays open"),
        _ => {}
    }
}

#[test]
fn mosquittos_clients_publish_and_subscribe_over_tls_and_in_the_clear() {
    let scene = Scene::new();
    let server = scene.launch.start();
    let mut plain = Connection::open(scene.launch.mqtt(), Version::V5);
    plain.connect(&Connect::clean(Version::V5, "plain"));
    plain.subscribe("a/#", 1);
    assert!(scene.publishes(&["-r"]), "{}", server.log_tail());
    assert_eq!(plain.receive().text(), "hello");
    for version in ["--tls-version=tlsv1.2", "--tls-version=tlsv1.3"] {
        let (option, version) = version.split_once('=').expect("two words");
        let mut command = scene.client("mosquitto_sub", &scene.authority.path("authority.pem"));
        let output = command.args(["-t", "a/b", "-C", "1", option, version]).output().expect("it runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "hello\n", "{version}: {output:?}");
    }
    let other = Authority::new(&scene.dir.path().join("other"));
    let mut command = scene.client("mosquitto_pub", &other.path("authority.pem"));
    let output = command.args(["-t", "a/b", "-q", "1", "-m", "x"]).output().expect("it runs");
    assert!(!output.status.success(), "it took a certificate of an authority that it does not know");
}

#[test]
fn http_and_websocket_are_served_over_tls() {
    let scene = Scene::new();
    let server = scene.launch.start();
    let authority = scene.authority.path("authority.pem");
    let url = format!("https://127.0.0.1:{}/healthz", scene.https);
    let output = Command::new("curl").args(["-sS", "--fail", "--cacert", &authority, &url]).output();
    let output = output.expect("curl runs");
    assert!(output.status.success(), "{output:?}\n{}", server.log_tail());
    let mut paho = toolchain::python("mqtt");
    paho.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/mqtt/paho_tls.py"));
    let output = paho.args([&scene.https.to_string(), &scene.mqtt.to_string(), &authority]).output();
    let output = output.expect("python runs");
    assert!(output.status.success(), "{output:?}\n{}", server.log_tail());
}

#[test]
fn who_speaks_no_tls_at_its_port_is_closed_and_so_is_who_says_nothing() {
    let scene = Scene::new().set("tlsHandshakeTimeout", "1000");
    let server = scene.launch.start();
    let mut plain = scene.open();
    plain.write_all(&Connect::clean(Version::V5, "plain").bytes()).expect("it takes bytes");
    expect_end(plain);
    let silent = scene.open();
    let mut half = scene.open();
    // The head of a record of a handshake, and nothing of what it announces.
    half.write_all(&[0x16, 3, 1, 2, 0]).expect("it takes bytes");
    expect_end(silent);
    expect_end(half);
    // Once more where the machine did not shake hands within that second.
    assert!(wait(PATIENCE, || scene.publishes(&[])), "{}", server.log_tail());
}

#[test]
fn handshakes_count_among_connections() {
    let scene = Scene::new().set("mqttMaxConnections", "2");
    let server = scene.launch.start();
    let silent = [scene.open(), scene.open()];
    expect_end(scene.open());
    drop(silent);
    assert!(wait(PATIENCE, || scene.publishes(&[])), "{}", server.log_tail());
}

#[test]
fn a_certificate_stands_for_a_user_and_may_be_demanded() {
    let scene = Scene::new().asking("require").set("mqttCertificateUser", "true");
    let server = scene.launch.start();
    scene.authority.client("device-7");
    let strangers = Authority::new(&scene.dir.path().join("strangers"));
    strangers.client("device-7");
    let show = |of: &Authority| {
        [of.path("device-7.pem"), of.path("device-7.key")].map(|path| path.as_str().to_owned())
    };
    let [certificate, key] = show(&scene.authority);
    assert!(scene.publishes(&["--cert", &certificate, "--key", &key]), "{}", server.log_tail());
    let [certificate, key] = show(&strangers);
    assert!(!scene.publishes(&["--cert", &certificate, "--key", &key]), "another authority's");
    assert!(!scene.publishes(&[]), "none");
    // Where there can be no certificate, nobody is known.
    let mut plain = Connection::open(scene.launch.mqtt(), Version::V5);
    plain.send(Connect::clean(Version::V5, "plain").bytes());
    plain.expect_refused(&[0x87]);
}

#[test]
fn a_password_does_where_a_certificate_is_optional() {
    let scene = Scene::new().asking("optional").set("mqttCertificateUser", "true");
    let users = scene.dir.path().join("users");
    std::fs::write(&users, "user ann s3cret\n").expect("a file");
    let scene = scene.set("mqttCredentialsFile", &users.display().to_string());
    let server = scene.launch.start();
    scene.authority.client("device-7");
    let (certificate, key) = (scene.authority.path("device-7.pem"), scene.authority.path("device-7.key"));
    assert!(scene.publishes(&["--cert", &certificate, "--key", &key]), "{}", server.log_tail());
    assert!(scene.publishes(&["-u", "ann", "-P", "s3cret"]), "{}", server.log_tail());
    assert!(!scene.publishes(&["-u", "ann", "-P", "wrong"]));
    assert!(!scene.publishes(&[]));
}

#[test]
fn a_new_certificate_is_taken_while_the_server_runs() {
    let scene = Scene::new();
    let server = scene.launch.start();
    assert!(scene.publishes(&[]), "{}", server.log_tail());
    // Another authority under the same names of files.
    let renewed = Authority::new(&scene.dir.path().join("certificates"));
    assert!(!scene.publishes(&[]), "the old certificate is of the old authority");
    renewed.server();
    assert!(wait(PATIENCE, || scene.publishes(&[])), "{}", server.log_tail());
}

#[test]
fn a_key_of_another_certificate_stops_the_start() {
    let scene = Scene::new();
    let other = Authority::new(&scene.dir.path().join("other"));
    other.server();
    let scene = scene.set("tls.server.keyPath", &other.path("server.key"));
    let process = scene.launch.begin();
    let log = process.log().to_owned();
    assert!(!process.end(Duration::from_secs(60)).success());
    let said = std::fs::read_to_string(log).expect("a log");
    assert!(said.contains("tls.server.keyPath is not that of"), "{said}");
}
