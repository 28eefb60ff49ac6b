//! The servers, each as a process on an empty directory, and what it takes of CPU and memory.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use clap::ValueEnum;
use ferromq_tests::process::{Process, free_port, wait};
use ferromq_tests::{Launch, Server, toolchain};

use crate::Load;

/// A server, with what it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Kind {
    /// Ours, which acknowledges what the page cache has.
    Async,
    /// Ours, which acknowledges what the disk has.
    Sync,
    /// Mosquitto, which keeps everything in memory.
    Mosquitto,
    /// Mosquitto, which writes its memory to a file now and then.
    MosquittoPersistent,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Async, Self::Mosquitto, Self::Sync, Self::MosquittoPersistent];

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Async => "FerroMQ, async flush",
            Self::Sync => "FerroMQ, sync flush",
            Self::Mosquitto => "mosquitto",
            Self::MosquittoPersistent => "mosquitto, persistence",
        }
    }

    /// What flushing and persistence have no part in is measured once.
    pub(crate) fn skips(self, load: Load) -> bool {
        matches!(self, Self::Sync | Self::MosquittoPersistent) && matches!(load, Load::Connects | Load::Idle)
    }

    /// Starts it; `window` messages may be on their way to a subscriber.
    pub(crate) fn start(self, dir: &Path, window: usize) -> Running {
        match self {
            Self::Async | Self::Sync => {
                let flush = if self == Self::Sync { "SYNC_FLUSH" } else { "ASYNC_FLUSH" };
                let launch = Launch::new(ferromq_tests::Kind::Ferro, dir)
                    .set("flushDiskType", flush)
                    .set("mqttAllowAnonymous", "true")
                    .set("mqttMaxInflight", &window.to_string())
                    .set("diskSpaceWarningLevelRatio", "100");
                let address = launch.mqtt();
                let server = launch.start();
                Running { kind: self, pid: server.pid(), address, _process: Either::Ours(server) }
            }
            Self::Mosquitto | Self::MosquittoPersistent => {
                let port = free_port(&[0]);
                let mut conf = format!(
                    "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\nset_tcp_nodelay true\n\
                     max_inflight_messages {window}\nmax_queued_messages 0\nlog_type error\n"
                );
                if self == Self::MosquittoPersistent {
                    // It writes all that it has, every second.
                    conf += &format!(
                        "persistence true\npersistence_location {}/\nautosave_interval 1\n",
                        dir.display()
                    );
                }
                let path = dir.join("mosquitto.conf");
                fs::write(&path, conf).expect("the configuration can be written");
                let mut command = Command::new(toolchain::mosquitto());
                command.arg("-c").arg(path);
                let process = Process::spawn("mosquitto", command, &dir.join("mosquitto.log"));
                let address = (Ipv4Addr::LOCALHOST, port).into();
                let listens = wait(Duration::from_secs(30), || TcpStream::connect(address).is_ok());
                assert!(listens, "mosquitto does not listen\n{}", process.log_tail());
                Running { kind: self, pid: process.pid(), address, _process: Either::Mosquitto(process) }
            }
        }
    }
}

/// What ends with the value.
enum Either {
    Ours(#[expect(dead_code, reason = "held for its end")] Server),
    Mosquitto(#[expect(dead_code, reason = "held for its end")] Process),
}

/// A server that listens. Dropping it kills it.
pub(crate) struct Running {
    kind: Kind,
    pid: u32,
    address: SocketAddr,
    _process: Either,
}

impl Running {
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// CPU time that it has used, in microseconds.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).expect("the server runs");
        let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
        let ticks: f64 = fields[11..13].iter().map(|ticks| ticks.parse::<f64>().expect("ticks")).sum();
        ticks * 1e6 / rustix::param::clock_ticks_per_second() as f64
    }

    /// Memory that is its own, in bytes: without what it maps of files, and without what the kernel holds for sockets.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux says it");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib << 10
    }
}
