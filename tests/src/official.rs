//! The official servers as processes: JVMs that run what Maven provides.
//!
//! ```text
//! clients of remoting ───────────────────▶ NameServer, broker     started by a `Launch`
//! clients of gRPC ──▶ GrpcProxy ─────────▶     the same           RocketMQ's own for Python and Node are of this kind
//! ```

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{Process, free_port, wait};
use crate::server::{OFFICIAL, Server};
use crate::toolchain;

/// A JVM needs seconds for this, and many more when two cores are busy with other tests and other JVMs.
pub(crate) const READY_LIMIT: Duration = Duration::from_secs(180);
/// What the official servers of 4.x log: warnings, to their output.
const QUIET_LOGBACK: &str = r#"<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d %p %t - %m%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="out"/></root>
</configuration>
"#;
/// What the proxy needs beyond the others: it makes itself a certificate.
const PROXY_OPENS: [&str; 2] = [
    "--add-exports=java.base/sun.security.x509=ALL-UNNAMED",
    "--add-opens=java.base/sun.security.x509=ALL-UNNAMED",
];

/// What a JVM is to be good at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Starting soon, with little memory: for tests.
    Start,
    /// Serving fast after it is warm, with RocketMQ's collector and memory for it: for measuring.
    Serve,
}

/// One of the official programs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Program {
    Namesrv,
    Broker,
}

impl Program {
    fn main(self) -> &'static str {
        match self {
            Self::Namesrv => "org.apache.rocketmq.namesrv.NamesrvStartup",
            Self::Broker => "org.apache.rocketmq.broker.BrokerStartup",
        }
    }

    fn heap(self, pace: Pace) -> &'static str {
        match (self, pace) {
            (Self::Namesrv, _) => "128m",
            (Self::Broker, Pace::Start) => "512m",
            (Self::Broker, Pace::Serve) => "2g",
        }
    }
}

/// Starts the NameServer or the broker of a version with this configuration, its log beside that.
pub(crate) fn spawn(program: Program, version: &str, pace: Pace, conf: &Path) -> Process {
    let home = home(conf.parent().expect("a configuration lies in a directory"));
    if version.starts_with("4.") {
        // They read it before anything else and end when it is not there; 5.x has it in a jar.
        for of in ["namesrv", "broker"] {
            fs::write(home.join(format!("conf/logback_{of}.xml")), QUIET_LOGBACK)
                .expect("the logging configuration can be written");
        }
    }
    let jars = toolchain::maven_jars("servers", version);
    let mut command = jvm(&home, &jars, pace, program.heap(pace));
    command.arg(program.main()).arg("-c").arg(conf);
    Process::spawn(program.main(), command, &conf.with_extension("log"))
}

/// The official gRPC proxy in front of an official broker. Dropping it kills it.
#[derive(Debug)]
pub struct GrpcProxy {
    process: Process,
    address: SocketAddr,
}

impl GrpcProxy {
    /// Starts it with its files in `dir`, and waits until it accepts connections.
    ///
    /// # Panics
    /// When it ends instead, or is not ready in time; the message has its log.
    pub fn start(server: &Server, dir: &Path, pace: Pace) -> Self {
        let home = home(dir);
        let (grpc, remoting) = (free_port(&[0]), free_port(&[0]));
        let conf = home.join("conf/rmq-proxy.json");
        let settings = serde_json::json!({
            "rocketMQClusterName": "DefaultCluster",
            "namesrvAddr": server.namesrv(),
            "proxyMode": "CLUSTER",
            "grpcServerPort": grpc,
            "remotingListenPort": remoting,
        });
        fs::write(&conf, settings.to_string()).expect("the proxy's configuration can be written");
        let heap = if pace == Pace::Serve { "1g" } else { "384m" };
        let mut command = jvm(&home, &toolchain::maven_jars("proxy", OFFICIAL), pace, heap);
        command.args(PROXY_OPENS).arg("org.apache.rocketmq.proxy.ProxyStartup").arg("-pc").arg(&conf);
        let mut process = Process::spawn("the official proxy", command, &dir.join("proxy.log"));
        let address = (Ipv4Addr::LOCALHOST, grpc).into();
        let ready = wait(READY_LIMIT, || process.ended().is_some() || TcpStream::connect(address).is_ok());
        if let Some(status) = process.ended() {
            panic!("the proxy ended with {status} while it started\n{}", process.log_tail());
        }
        assert!(ready, "the proxy is not ready after {READY_LIMIT:?}\n{}", process.log_tail());
        Self { process, address }
    }

    /// Where it speaks gRPC.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }
}

/// A home for official servers, where they also put what they log.
fn home(dir: &Path) -> PathBuf {
    let home = dir.join("official");
    fs::create_dir_all(home.join("conf")).expect("the official servers' home can be made");
    home
}

/// A `java` that finds the jars, without a class to run.
fn jvm(home: &Path, jars: &Path, pace: Pace, heap: &str) -> Command {
    let mut command = Command::new(toolchain::java());
    command.args(toolchain::JVM_OPENS).arg(format!("-Xmx{heap}"));
    match pace {
        Pace::Start => {
            command.args(["-XX:MaxDirectMemorySize=512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
        }
        Pace::Serve => command.arg(format!("-Xms{heap}")).args(["-XX:+UseG1GC", "-XX:+AlwaysPreTouch"]),
    };
    command
        .arg(format!("-Duser.home={}", home.display()))
        .arg("-cp")
        .arg(format!("{}/*", jars.display()))
        .env("ROCKETMQ_HOME", home)
        .env_remove("NAMESRV_ADDR");
    command
}
