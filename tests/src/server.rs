//! A NameServer and a broker as processes: ours in one, the official ones in two JVMs.

use std::env;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use rustix::process::Signal;

use crate::official::{self, Pace, Program, READY_LIMIT};
use crate::process::{Process, free_port, wait};
use crate::toolchain;

/// The official version that our server is compared with.
pub const OFFICIAL: &str = "5.3.3";
/// The last of the line before that whose servers are in Maven's central repository: of 4.9.8 it has the client alone.
pub const OFFICIAL_4: &str = "4.9.7";

/// The official broker waits for its own threads while it stops, and ours for the disk.
const STOP_LIMIT: Duration = Duration::from_secs(120);
/// A disk that is slow, as it is beside other tests, is no reason to answer that a message may not be safe.
const PATIENT_FERRO: [(&str, &str); 1] = [("syncFlushTimeout", "600000")];
/// Nor is a processor that is busy one to refuse a request.
const PATIENT_OFFICIAL: [(&str, &str); 3] = [
    ("waitTimeMillsInSendQueue", "60000"),
    ("waitTimeMillsInPullQueue", "60000"),
    ("osPageCacheBusyTimeOutMills", "60000"),
];

/// Which server is under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `ferromq standalone`.
    Ferro,
    /// The official Java NameServer and broker of this version.
    Official(&'static str),
}

impl Kind {
    /// What the environment says is under test: `FERROMQ_INTEROP_SERVER` is `ferromq`, the default, or `official` or
    /// `official-4`, to show that a test is right before our server is held to it.
    ///
    /// # Panics
    /// When it is anything else.
    pub fn under_test() -> Self {
        match env::var("FERROMQ_INTEROP_SERVER").as_deref() {
            Err(_) | Ok("ferromq") => Kind::Ferro,
            Ok("official") => Kind::Official(OFFICIAL),
            Ok("official-4") => Kind::Official(OFFICIAL_4),
            Ok(other) => {
                panic!("FERROMQ_INTEROP_SERVER is ferromq, official or official-4, not {other}")
            }
        }
    }
}

/// How to start a server: can be started again on the same store and ports after it was stopped or killed.
#[derive(Clone, Debug)]
pub struct Launch {
    kind: Kind,
    dir: PathBuf,
    settings: Vec<(String, String)>,
    namesrv_port: u16,
    listen_port: u16,
    http_port: u16,
    mqtt_port: u16,
    limit: Duration,
    pace: Pace,
}

impl Launch {
    /// A server with its store in `dir/store` and its logs and configuration beside it.
    pub fn new(kind: Kind, dir: &Path) -> Self {
        Self {
            kind,
            dir: dir.to_owned(),
            settings: Vec::new(),
            namesrv_port: free_port(&[0]),
            // The fast port is two below, and one above is for replicas.
            listen_port: free_port(&[-2, 0, 1]),
            http_port: free_port(&[0]),
            mqtt_port: free_port(&[0]),
            limit: READY_LIMIT,
            pace: Pace::Start,
        }
    }

    /// Sets a configuration key, by RocketMQ's name.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// What the official servers' JVMs are to be good at: starting, unless this says otherwise.
    pub fn pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// Files of sizes that fit a test: RocketMQ's defaults would take gigabytes where they are allocated in full.
    pub fn small_files(self) -> Self {
        self.set("mappedFileSizeCommitLog", "8388608")
            .set("mappedFileSizeConsumeQueue", "200000")
            .set("maxHashSlotNum", "10000")
            .set("maxIndexNum", "40000")
    }

    /// Where the store is.
    pub fn store(&self) -> PathBuf {
        self.dir.join("store")
    }

    /// The NameServer's address as clients are given it.
    pub fn namesrv(&self) -> String {
        format!("127.0.0.1:{}", self.namesrv_port)
    }

    /// The broker's main address.
    pub fn broker(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.listen_port).into()
    }

    /// Where our server answers HTTP.
    pub fn http(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.http_port).into()
    }

    /// Where our server speaks MQTT.
    pub fn mqtt(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.mqtt_port).into()
    }

    /// Where the output of our server goes.
    pub fn log(&self) -> PathBuf {
        self.dir.join("ferromq.log")
    }

    /// Starts our server and does not wait for anything.
    ///
    /// # Panics
    /// When it cannot be started, or is not ours.
    pub fn begin(&self) -> Process {
        assert_eq!(self.kind, Kind::Ferro, "only ours is started without waiting");
        fs::create_dir_all(&self.dir).expect("the test's directory can be made");
        self.spawn_ferro()
    }

    /// Starts it and waits until the NameServer names the broker and the broker accepts connections.
    ///
    /// # Panics
    /// When it ends instead, or is not ready in time; the message has its log.
    pub fn start(&self) -> Server {
        fs::create_dir_all(&self.dir).expect("the test's directory can be made");
        let mut server = Server { launch: self.clone(), processes: Vec::new() };
        match self.kind {
            Kind::Ferro => server.processes.push(self.spawn_ferro()),
            Kind::Official(version) => {
                server.processes.push(self.spawn_official_namesrv(version));
                // A broker that finds no NameServer tries again after 30 s only.
                server.wait_for("NameServer", || ask_cluster(self.namesrv_port).is_ok());
                server.processes.push(self.spawn_official_broker(version));
            }
        }
        let broker = self.broker().to_string();
        server.wait_for("broker", || {
            ask_cluster(self.namesrv_port).is_ok_and(|cluster| cluster.contains(&broker))
                && TcpStream::connect(self.broker()).is_ok()
        });
        server
    }

    fn spawn_ferro(&self) -> Process {
        let mut command = Command::new(toolchain::ferromq());
        command.arg("standalone").arg("--store").arg(self.store());
        let own = [
            ("namesrvListenPort", self.namesrv_port.to_string()),
            ("listenPort", self.listen_port.to_string()),
            ("haListenPort", (self.listen_port + 1).to_string()),
            ("brokerIP1", "127.0.0.1".to_owned()),
            ("httpPort", self.http_port.to_string()),
            ("mqttPort", self.mqtt_port.to_string()),
        ];
        for (key, value) in own {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        for (key, value) in PATIENT_FERRO {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        for (key, value) in &self.settings {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        Process::spawn("ferromq", command, &self.log())
    }

    fn spawn_official_namesrv(&self, version: &str) -> Process {
        let conf =
            self.write_conf("namesrv.conf", &[("listenPort".to_owned(), self.namesrv_port.to_string())]);
        official::spawn(Program::Namesrv, version, self.pace, &conf)
    }

    fn spawn_official_broker(&self, version: &str) -> Process {
        let store = self.store();
        let mut lines = vec![
            ("brokerIP1".to_owned(), "127.0.0.1".to_owned()),
            ("listenPort".to_owned(), self.listen_port.to_string()),
            ("haListenPort".to_owned(), (self.listen_port + 1).to_string()),
            ("namesrvAddr".to_owned(), self.namesrv()),
            ("storePathRootDir".to_owned(), store.display().to_string()),
            ("storePathCommitLog".to_owned(), store.join("commitlog").display().to_string()),
        ];
        // What is measured keeps its defaults.
        if self.pace == Pace::Start {
            lines.extend(PATIENT_OFFICIAL.map(|(key, value)| (key.to_owned(), value.to_owned())));
        }
        lines.extend(self.settings.iter().cloned());
        let conf = self.write_conf("broker.conf", &lines);
        official::spawn(Program::Broker, version, self.pace, &conf)
    }

    fn write_conf(&self, name: &str, lines: &[(String, String)]) -> PathBuf {
        let path = self.dir.join(name);
        let text: String = lines.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        fs::write(&path, text).expect("the configuration can be written");
        path
    }
}

/// A server that is ready. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    launch: Launch,
    /// In the order of their starts; the broker is the last.
    processes: Vec<Process>,
}

impl Server {
    /// How it was started, and can be again.
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// The NameServer's address as clients are given it.
    pub fn namesrv(&self) -> String {
        self.launch.namesrv()
    }

    /// The broker's main address.
    pub fn broker(&self) -> SocketAddr {
        self.launch.broker()
    }

    /// Where our server answers HTTP.
    pub fn http(&self) -> SocketAddr {
        self.launch.http()
    }

    /// The process that the broker is in.
    pub fn pid(&self) -> u32 {
        self.processes.last().expect("a server has a process").pid()
    }

    /// Stops the broker by SIGTERM. The official NameServer, which keeps nothing, is killed after that.
    ///
    /// # Panics
    /// When it takes longer than two minutes, or when ours ends with anything but 0.
    pub fn stop(mut self) {
        let process = self.processes.pop().expect("a server has a process");
        let log = process.log_tail();
        let status = process.terminate(STOP_LIMIT);
        // A JVM that ends by SIGTERM reports 143, having run its hooks.
        assert!(
            self.launch.kind != Kind::Ferro || status.success(),
            "ferromq ended with {status} on SIGTERM\n{log}"
        );
    }

    /// Sends a signal to the process that the broker is in.
    pub fn signal(&mut self, signal: Signal) {
        self.processes.last_mut().expect("a server has a process").signal(signal);
    }

    /// Waits until the process that the broker is in has ended.
    ///
    /// # Panics
    /// When it takes longer than two minutes.
    pub fn end(mut self) -> ExitStatus {
        self.processes.pop().expect("a server has a process").end(STOP_LIMIT)
    }

    /// Kills it by SIGKILL, the broker first.
    pub fn kill(mut self) {
        while let Some(process) = self.processes.pop() {
            process.kill();
        }
    }

    /// The last lines of its logs.
    pub fn log_tail(&self) -> String {
        self.processes.iter().map(Process::log_tail).collect::<Vec<_>>().join("\n")
    }

    fn wait_for(&mut self, what: &str, mut ready: impl FnMut() -> bool) {
        let limit = self.launch.limit;
        let mut ended = None;
        let in_time = wait(limit, || {
            ended = self.processes.iter_mut().find_map(Process::ended);
            ended.is_some() || ready()
        });
        if let Some(status) = ended {
            panic!("the server ended with {status} while it started\n{}", self.log_tail());
        }
        assert!(in_time, "{what} not ready after {limit:?}\n{}", self.log_tail());
    }
}

/// Asks a NameServer for its cluster table, by hand: what is under test must not be what tests it.
///
/// The answer's body is searched, not parsed, as its JSON has numbers for keys.
fn ask_cluster(port: u16) -> io::Result<String> {
    const GET_BROKER_CLUSTER_INFO: u32 = 106;
    let header = format!(
        r#"{{"code":{GET_BROKER_CLUSTER_INFO},"flag":0,"language":"JAVA","opaque":1,"serializeTypeCurrentRPC":"JSON","version":401}}"#
    );
    let limit = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), limit)?;
    stream.set_read_timeout(Some(limit))?;
    let mut frame = Vec::new();
    frame.extend((4 + header.len() as u32).to_be_bytes());
    frame.extend((header.len() as u32).to_be_bytes());
    frame.extend(header.as_bytes());
    stream.write_all(&frame)?;
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let mut answer = vec![0; u32::from_be_bytes(len) as usize];
    stream.read_exact(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
