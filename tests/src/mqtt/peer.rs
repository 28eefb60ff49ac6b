//! MQTT servers as processes: ours, and mosquitto, which shows that a test is right before our server is held to it.
//!
//! What differs between them is how they are started and told their settings. What tests see is an address.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{Process, free_port, wait};
use crate::server::{Kind, Launch, Server};
use crate::toolchain;

const READY_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Which server is under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Debian's `mosquitto`.
    Mosquitto,
    /// `ferromq standalone`.
    Ferromq,
}

impl Peer {
    /// The server of a test's name.
    ///
    /// # Panics
    /// When there is none.
    pub fn named(name: &str) -> Self {
        match name {
            "mosquitto" => Self::Mosquitto,
            "ferromq" => Self::Ferromq,
            _ => panic!("no server is called {name}"),
        }
    }
}

/// What a server is told beyond its defaults. By default anybody may connect, and nothing survives a restart of mosquitto.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Sessions and retained messages survive a restart. Ours always do.
    Persistent,
    /// Only these users, with their passwords, may connect.
    Users(&'static [(&'static str, &'static str)]),
    /// A file of rules of who may publish and subscribe to what.
    Rules(PathBuf),
    /// The longest packet that clients may send, in bytes.
    MaxPacketSize(u32),
    /// The longest keep alive, s.
    MaxKeepAlive(u16),
    /// How many messages of QoS 1 and 2 may be under way to a client.
    MaxInflight(u16),
}

/// How to start a server: can be started again on the same files and ports.
#[derive(Clone, Debug)]
pub struct Setup {
    peer: Peer,
    dir: PathBuf,
    settings: Vec<Setting>,
    port: u16,
    web_port: u16,
    ours: Option<Launch>,
}

impl Setup {
    /// A server with its files in `dir`.
    pub fn new(peer: Peer, dir: &Path, settings: &[Setting]) -> Self {
        let mut setup = Self {
            peer,
            dir: dir.to_owned(),
            settings: settings.to_vec(),
            port: free_port(&[0]),
            web_port: 0,
            ours: None,
        };
        match peer {
            Peer::Mosquitto => setup.web_port = free_port(&[0]),
            Peer::Ferromq => {
                let launch = setup.launch();
                setup.web_port = launch.http().port();
                setup.ours = Some(launch);
            }
        }
        setup
    }

    /// Where MQTT is over TCP.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Starts it and waits until it listens.
    ///
    /// # Panics
    /// When it ends instead, or does not listen in time; the message has its log.
    pub fn start(&self) -> MqttServer {
        let mut running = match self.ours.as_ref() {
            Some(launch) => Running::Ferromq(launch.start()),
            None => Running::Mosquitto(self.spawn_mosquitto()),
        };
        // Mosquitto opens one after the other.
        let addresses = [self.address(), self.web_address()];
        let is_open = || addresses.iter().all(|address| TcpStream::connect(address).is_ok());
        let listens = wait(READY_LIMIT, || running.ended() || is_open());
        assert!(listens && !running.ended(), "{:?} does not listen\n{}", self.peer, running.log_tail());
        MqttServer { setup: self.clone(), running }
    }

    fn web_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.web_port).into()
    }

    fn launch(&self) -> Launch {
        let mut launch = Launch::new(Kind::Ferro, &self.dir)
            .small_files()
            .set("mqttPort", &self.port.to_string())
            // As mosquitto: a page may come from anywhere.
            .set("httpCorsOrigins", "*")
            // However full the disk of the machine is that tests run on.
            .set("cleanFileForciblyEnable", "false")
            .set("diskSpaceWarningLevelRatio", "100");
        let mut anonymous = "true";
        for setting in &self.settings {
            launch = match setting {
                Setting::Persistent => launch,
                Setting::Users(users) => {
                    anonymous = "false";
                    let file = self.dir.join("mqtt-users");
                    let lines: String =
                        users.iter().map(|(user, password)| format!("user {user} {password}\n")).collect();
                    fs::write(&file, lines).expect("the file of users can be written");
                    launch.set("mqttCredentialsFile", &file.display().to_string())
                }
                Setting::Rules(file) => launch.set("mqttAclFile", &file.display().to_string()),
                Setting::MaxPacketSize(bytes) => launch.set("mqttMaxPacketSize", &bytes.to_string()),
                Setting::MaxKeepAlive(seconds) => launch.set("mqttMaxKeepAlive", &seconds.to_string()),
                Setting::MaxInflight(count) => launch.set("mqttMaxInflight", &count.to_string()),
            };
        }
        launch.set("mqttAllowAnonymous", anonymous)
    }

    fn spawn_mosquitto(&self) -> Process {
        let mut conf = format!(
            "per_listener_settings false\nlistener {} 127.0.0.1\nlistener {} 127.0.0.1\nprotocol websockets\n",
            self.port, self.web_port
        );
        // Otherwise it becomes the user `mosquitto`, who cannot write into the test's directory.
        conf.push_str("user root\nlog_type all\n");
        let mut anonymous = true;
        let mut line = |text: std::fmt::Arguments<'_>| conf.write_fmt(text).expect("text can be written");
        for setting in &self.settings {
            match setting {
                Setting::Persistent => {
                    // By default it drops what waits for a session beyond a thousand messages.
                    let dir = self.dir.display();
                    line(format_args!(
                        "persistence true\npersistence_location {dir}/\nmax_queued_messages 0\n"
                    ));
                }
                Setting::Users(users) => {
                    anonymous = false;
                    line(format_args!("password_file {}\n", self.mosquitto_users(users).display()));
                }
                Setting::Rules(file) => line(format_args!("acl_file {}\n", file.display())),
                Setting::MaxPacketSize(bytes) => line(format_args!("max_packet_size {bytes}\n")),
                Setting::MaxKeepAlive(seconds) => line(format_args!("max_keepalive {seconds}\n")),
                Setting::MaxInflight(count) => line(format_args!("max_inflight_messages {count}\n")),
            }
        }
        line(format_args!("allow_anonymous {anonymous}\n"));
        let path = self.dir.join("mosquitto.conf");
        fs::write(&path, conf).expect("the configuration can be written");
        let mut command = Command::new(toolchain::mosquitto());
        command.arg("-c").arg(path);
        Process::spawn("mosquitto", command, &self.dir.join("mosquitto.log"))
    }

    fn mosquitto_users(&self, users: &[(&str, &str)]) -> PathBuf {
        let file = self.dir.join("users");
        fs::write(&file, "").expect("the file of users can be written");
        for (user, password) in users {
            let mut command = Command::new("mosquitto_passwd");
            let status = command.arg("-b").arg(&file).args([user, password]).status();
            assert!(status.is_ok_and(|status| status.success()), "mosquitto_passwd does not run");
        }
        file
    }
}

#[derive(Debug)]
enum Running {
    Mosquitto(Process),
    Ferromq(Server),
}

impl Running {
    fn ended(&mut self) -> bool {
        match self {
            Self::Mosquitto(process) => process.ended().is_some(),
            // It was ready, and its own checks look at its end.
            Self::Ferromq(_) => false,
        }
    }

    fn log_tail(&self) -> String {
        match self {
            Self::Mosquitto(process) => process.log_tail(),
            Self::Ferromq(server) => server.log_tail(),
        }
    }
}

/// A server that listens. Dropping it kills it.
#[derive(Debug)]
pub struct MqttServer {
    setup: Setup,
    running: Running,
}

impl MqttServer {
    /// How it was started, and can be again.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Which server it is.
    pub fn peer(&self) -> Peer {
        self.setup.peer
    }

    /// Where MQTT is over TCP.
    pub fn address(&self) -> SocketAddr {
        self.setup.address()
    }

    /// Where MQTT is over WebSocket, at the path `/mqtt`.
    pub fn web_address(&self) -> SocketAddr {
        self.setup.web_address()
    }

    /// Stops it in its own way: it keeps what it is told to keep.
    ///
    /// # Panics
    /// When it does not end well.
    pub fn stop(self) {
        match self.running {
            Running::Mosquitto(process) => {
                let status = process.terminate(STOP_LIMIT);
                assert!(status.success(), "mosquitto ended with {status}");
            }
            Running::Ferromq(server) => server.stop(),
        }
    }

    /// Kills it by SIGKILL. Mosquitto loses what it has not written since its start.
    pub fn kill(self) {
        match self.running {
            Running::Mosquitto(process) => process.kill(),
            Running::Ferromq(server) => server.kill(),
        }
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        self.running.log_tail()
    }
}
