//! Apache Kafka as one process, for comparisons of speed: a broker that is its own controller.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::official::READY_LIMIT;
use crate::process::{Process, free_port, run, tail, wait};
use crate::toolchain;

/// Any will do that is 16 bytes in Base64.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qk";
const FORMAT_LIMIT: Duration = Duration::from_secs(120);

/// A broker that serves. Dropping it kills it.
#[derive(Debug)]
pub struct Kafka {
    process: Process,
    address: SocketAddr,
}

impl Kafka {
    /// Starts one with its files in `dir/kafka`, and waits until it accepts connections.
    ///
    /// # Panics
    /// When it ends instead, or is not ready in time; the message has its log.
    pub fn start(dir: &Path) -> Self {
        let home = dir.join("kafka");
        fs::create_dir_all(&home).expect("Kafka's directory can be made");
        let (port, controller) = (free_port(&[0]), free_port(&[0]));
        let conf = home.join("server.properties");
        let settings = format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             controller.listener.names=CONTROLLER\n\
             log.dirs={}\n\
             num.partitions=8\n\
             offsets.topic.replication.factor=1\n\
             transaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\n\
             group.initial.rebalance.delay.ms=0\n",
            home.join("logs").display()
        );
        fs::write(&conf, settings).expect("Kafka's configuration can be written");

        let mut format = java("256m");
        format.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]).arg(&conf);
        let log = home.join("format.log");
        let formatted = run("Kafka's storage tool", format, &log, FORMAT_LIMIT);
        assert!(formatted.success(), "Kafka's storage cannot be formatted:\n{}", tail(&log, 60));

        let mut serve = java("1g");
        serve.arg("-XX:+UseG1GC").arg("kafka.Kafka").arg(&conf);
        let mut process = Process::spawn("Kafka", serve, &home.join("server.log"));
        let address = (Ipv4Addr::LOCALHOST, port).into();
        let ready = wait(READY_LIMIT, || process.ended().is_some() || TcpStream::connect(address).is_ok());
        if let Some(status) = process.ended() {
            panic!("Kafka ended with {status} while it started\n{}", process.log_tail());
        }
        assert!(ready, "Kafka is not ready after {READY_LIMIT:?}\n{}", process.log_tail());
        Self { process, address }
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }
}

/// A `java` that finds Kafka's jars, without a class to run.
fn java(heap: &str) -> Command {
    let mut command = Command::new(toolchain::java());
    command.arg(format!("-Xmx{heap}")).arg("-cp");
    command.arg(format!("{}/*", toolchain::pinned_jars("kafka").display()));
    command
}
