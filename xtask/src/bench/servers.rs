//! The servers that are compared: ours and the official one, each started with an empty store of its own.
//!
//! Always true:
//! * a server is stopped, and its directory removed, when its value is dropped;
//! * both get the same store settings and write to the same file system, below the target directory.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// The release that FerroMQ is compared with.
pub(super) const OFFICIAL_VERSION: &str = "5.3.3";
/// How long a server may take to serve.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Without these, Java 17 refuses the official server the buffers it maps.
const JVM_FLAGS: [&str; 6] = [
    "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED",
    "--add-exports=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
];

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// This project's.
    Ferro,
    /// The official Java broker with its NameServer.
    Java,
}

/// When a send is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flush {
    /// After the page cache.
    Async,
    /// After fdatasync.
    Sync,
}

impl Flush {
    fn value(self) -> &'static str {
        match self {
            Self::Async => "ASYNC_FLUSH",
            Self::Sync => "SYNC_FLUSH",
        }
    }
}

/// What servers are started from.
#[derive(Debug)]
pub(super) struct Installed {
    /// Our binary.
    pub(super) ferromq: PathBuf,
    /// The directory with the official server's jars.
    pub(super) jars: PathBuf,
    /// Where stores are made.
    pub(super) work: PathBuf,
}

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    /// The broker's process, whose CPU time and memory count.
    pub(super) broker: Child,
    /// The NameServer, where it is a process of its own.
    namesrv: Option<Child>,
    /// Port of the NameServer.
    pub(super) namesrv_port: u16,
    ports: Ports,
    kind: Kind,
    flush: Flush,
    dir: PathBuf,
    /// From starting the process to the first route.
    pub(super) start_time: Duration,
}

impl Server {
    /// Starts on an empty store and waits until it serves.
    pub(super) fn start(installed: &Installed, kind: Kind, flush: Flush) -> Result<Self> {
        let dir = installed.work.join(format!("{kind:?}-{}", std::process::id()).to_lowercase());
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir_all(&dir)?;
        Self::start_on(installed, kind, flush, dir, Ports::free()?)
    }

    /// Kills the server as a crash would, and starts it again on what it left.
    pub(super) fn crash_and_restart(mut self, installed: &Installed) -> Result<Self> {
        self.kill();
        let (kind, flush, ports) = (self.kind, self.flush, self.ports);
        // The directory belongs to the new value.
        let dir = std::mem::take(&mut self.dir);
        drop(self);
        Self::start_on(installed, kind, flush, dir, ports)
    }

    fn start_on(installed: &Installed, kind: Kind, flush: Flush, dir: PathBuf, ports: Ports) -> Result<Self> {
        let log = File::options().create(true).append(true).open(dir.join("server.log"))?;
        let began = Instant::now();
        let (broker, namesrv) = match kind {
            Kind::Ferro => (ferro(installed, flush, &dir, ports, log)?, None),
            Kind::Java => {
                let namesrv = java(installed, &dir, log.try_clone()?, "256m", "namesrv.NamesrvStartup")
                    .args([
                        "-c",
                        &settings(&dir, "namesrv.conf", &[format!("listenPort={}", ports.namesrv)])?,
                    ])
                    .spawn()
                    .context("java could not be started")?;
                (java_broker(installed, flush, &dir, ports, log)?, Some(namesrv))
            }
        };
        let mut server = Self {
            broker,
            namesrv,
            namesrv_port: ports.namesrv,
            ports,
            kind,
            flush,
            dir,
            start_time: Duration::ZERO,
        };
        while !routes(ports.namesrv) {
            if let Some(status) = server.broker.try_wait()? {
                bail!("the {kind:?} broker ended with {status}:\n{}", server.last_words());
            }
            if began.elapsed() > START_TIMEOUT {
                bail!("the {kind:?} broker does not serve:\n{}", server.last_words());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        server.start_time = began.elapsed();
        Ok(server)
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.dir.join("server.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Which server it is.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The directory that holds its `store`.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    fn kill(&mut self) {
        for child in std::iter::once(&mut self.broker).chain(&mut self.namesrv) {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if !self.dir.as_os_str().is_empty() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

fn ferro(installed: &Installed, flush: Flush, dir: &Path, ports: Ports, log: File) -> Result<Child> {
    let mut command = Command::new(&installed.ferromq);
    command.args(["--log-level", "warn", "standalone", "--store"]).arg(dir.join("store"));
    for setting in [
        format!("listenPort={}", ports.broker),
        format!("namesrvListenPort={}", ports.namesrv),
        format!("haListenPort={}", ports.broker + 1),
        "httpPort=0".to_owned(),
        "mqttPort=0".to_owned(),
        format!("flushDiskType={}", flush.value()),
    ] {
        command.args(["--set", &setting]);
    }
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().with_context(|| format!("{} could not be started", installed.ferromq.display()))
}

fn java_broker(installed: &Installed, flush: Flush, dir: &Path, ports: Ports, log: File) -> Result<Child> {
    let conf = settings(
        dir,
        "broker.conf",
        &[
            "brokerIP1=127.0.0.1".to_owned(),
            format!("listenPort={}", ports.broker),
            format!("haListenPort={}", ports.broker + 1),
            format!("namesrvAddr=127.0.0.1:{}", ports.namesrv),
            format!("storePathRootDir={}", dir.join("store").display()),
            format!("storePathCommitLog={}", dir.join("store/commitlog").display()),
            format!("flushDiskType={}", flush.value()),
        ],
    )?;
    java(installed, dir, log, "4g", "broker.BrokerStartup")
        .args(["-c", &conf])
        .spawn()
        .context("java could not be started")
}

fn java(installed: &Installed, dir: &Path, log: File, heap: &str, class: &str) -> Command {
    let mut command = Command::new("java");
    command.args(JVM_FLAGS).args([format!("-Xms{heap}"), format!("-Xmx{heap}")]);
    command.args(["-XX:+UseG1GC", "-XX:+AlwaysPreTouch"]).arg(format!("-Duser.home={}", dir.display()));
    command.arg("-cp").arg(installed.jars.join("*")).arg(format!("org.apache.rocketmq.{class}"));
    command.env("ROCKETMQ_HOME", dir).stdin(Stdio::null()).stderr(Stdio::null()).stdout(log);
    command
}

fn settings(dir: &Path, name: &str, lines: &[String]) -> Result<String> {
    let path = dir.join(name);
    fs::write(&path, lines.join("\n"))?;
    Ok(path.to_str().context("the target directory's path is no text")?.to_owned())
}

/// Ports that were free a moment ago: the broker's, with the one below by two and the one above, and the NameServer's.
#[derive(Clone, Copy, Debug)]
struct Ports {
    broker: u16,
    namesrv: u16,
}

impl Ports {
    fn free() -> Result<Self> {
        for broker in (20_911..32_000).step_by(10) {
            let (fast, ha, namesrv) = (broker - 2, broker + 1, broker + 3);
            let all = [broker, fast, ha, namesrv].map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
            if all.iter().all(Result::is_ok) {
                return Ok(Self { broker, namesrv });
            }
        }
        bail!("no free ports from 20911 to 32000");
    }
}

/// Whether the NameServer there routes to a broker.
fn routes(namesrv: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, namesrv))?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        let header = br#"{"code":105,"extFields":{"topic":"TBW102"},"flag":0,"language":"JAVA","opaque":1,"serializeTypeCurrentRPC":"JSON","version":479}"#;
        let mut frame = ((header.len() + 4) as u32).to_be_bytes().to_vec();
        frame.extend_from_slice(&(header.len() as u32).to_be_bytes());
        frame.extend_from_slice(header);
        socket.write_all(&frame)?;
        let mut answer = [0; 64];
        let len = socket.read(&mut answer)?;
        Ok(answer[..len].windows(9).any(|part| part == b"\"code\":0,"))
    };
    ask().unwrap_or(false)
}

/// The official server's jars: from the cache, or by Maven into it.
pub(super) fn official_jars(root: &Path) -> Result<PathBuf> {
    let cache = match std::env::var_os("FERROMQ_TEST_CACHE") {
        Some(dir) => PathBuf::from(dir),
        None => {
            PathBuf::from(std::env::var_os("HOME").context("neither FERROMQ_TEST_CACHE nor HOME is set")?)
                .join(".cache/ferromq-tests")
        }
    };
    let jars = cache.join(format!("servers-{OFFICIAL_VERSION}/lib"));
    if jars.join(format!("rocketmq-broker-{OFFICIAL_VERSION}.jar")).exists() {
        return Ok(jars);
    }
    eprintln!("resolving the official server {OFFICIAL_VERSION} with Maven");
    let pom = root.join("tests/interop/servers/pom.xml");
    let status = Command::new("mvn")
        .args(["-q", "-B", "-f"])
        .arg(&pom)
        .arg(format!("-Drocketmq.version={OFFICIAL_VERSION}"))
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", jars.display()))
        .status()
        .context("mvn could not be started: the comparison needs a JDK and Maven")?;
    if !status.success() {
        bail!("mvn could not resolve {}", pom.display());
    }
    Ok(jars)
}

/// Memory of a process, in bytes: resident, and the part of it that belongs to no file.
pub(super) fn memory(pid: u32) -> Result<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| -> Result<u64> {
        let line =
            status.lines().find(|line| line.starts_with(name)).context("memory of a process is not told")?;
        let kib: u64 =
            line.split_ascii_whitespace().nth(1).context("memory of a process is not told")?.parse()?;
        Ok(kib * 1024)
    };
    Ok((field("VmRSS:")?, field("RssAnon:")?))
}
