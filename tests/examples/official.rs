//! Runs a command beside the official NameServer and broker: `cargo xtask official -- COMMAND`.
//!
//! It is for suites and comparisons in other languages, which so need to know nothing of jars, JVMs and ports. The command
//! finds the servers by its environment:
//!
//! | variable | |
//! |---|---|
//! | `FERROMQ_TEST_SERVER` | the NameServer's `host:port` |
//! | `FERROMQ_TEST_KIND` | `official` |
//! | `ROCKETMQ_PROXY` | with `--proxy`: the gRPC proxy's `host:port` |
//! | `KAFKA_SERVER` | with `--kafka`: that broker's `host:port` |
//! | `NATS_SERVER` | with `--nats`: that server's `host:port` |
//!
//! Always true:
//! * the servers serve before the command is started, and are stopped, and their directory is removed, when it has ended;
//! * the exit code is the command's own; a signal that ends this ends the command first.

use std::ffi::OsString;
use std::io;
use std::process::{Command, ExitCode, ExitStatus};

use clap::Parser;
use ferromq_tests::server::OFFICIAL;
use ferromq_tests::{GrpcProxy, Kafka, Kind, Launch, Nats, Pace};
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

/// Short enough to wait for: retries begin with level 3.
const DELAY_LEVELS: &str = "1s 3s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 8s 2s";

/// Runs a command beside the official NameServer and broker
#[derive(Debug, Parser)]
struct Args {
    /// Start the official gRPC proxy, too
    #[arg(long)]
    proxy: bool,
    /// Start Apache Kafka, too, to compare with
    #[arg(long)]
    kafka: bool,
    /// Start NATS with JetStream, too, to compare with
    #[arg(long)]
    nats: bool,
    /// Give the servers what they need to be fast instead of what they need to start soon
    #[arg(long)]
    fast: bool,
    /// What to run
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let dir = tempfile::Builder::new().prefix("ferromq-official-").tempdir().expect("a temporary directory");
    let pace = if args.fast { Pace::Serve } else { Pace::Start };
    let server = launch(pace, dir.path()).start();
    let proxy = args.proxy.then(|| GrpcProxy::start(&server, dir.path(), pace));
    let kafka = args.kafka.then(|| Kafka::start(dir.path()));
    let nats = args.nats.then(|| Nats::start(dir.path()));
    let mut command = Command::new(&args.command[0]);
    command.args(&args.command[1..]);
    command.env("FERROMQ_TEST_SERVER", server.namesrv()).env("FERROMQ_TEST_KIND", "official");
    if let Some(proxy) = &proxy {
        command.env("ROCKETMQ_PROXY", proxy.address().to_string());
    }
    if let Some(kafka) = &kafka {
        command.env("KAFKA_SERVER", kafka.address().to_string());
    }
    if let Some(nats) = &nats {
        command.env("NATS_SERVER", nats.address().to_string());
    }
    let code = match run(command) {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
        Err(error) => {
            eprintln!("error: {} cannot be run: {error}", args.command[0].display());
            127
        }
    };
    drop((proxy, kafka, nats));
    // Nothing of it is looked at again, so it need not flush.
    server.kill();
    ExitCode::from(code)
}

fn launch(pace: Pace, dir: &std::path::Path) -> Launch {
    let launch = Launch::new(Kind::Official(OFFICIAL), dir)
        .pace(pace)
        .set("messageDelayLevel", DELAY_LEVELS)
        .set("transactionTimeOut", "500")
        .set("transactionCheckInterval", "500")
        // The time that passes before it notes that a transaction is done: it asks about it until then.
        .set("transactionOpBatchInterval", "100")
        // What it does only when it is told to.
        .set("enablePropertyFilter", "true")
        .set("recallMessageEnable", "true")
        // The little that is stored has room on a disk that is nearly full, too.
        .set("cleanFileForciblyEnable", "false")
        .set("diskMaxUsedSpaceRatio", "95")
        // A busy machine is no reason to refuse what a test sends.
        .set("waitTimeMillsInSendQueue", "60000")
        .set("waitTimeMillsInPullQueue", "60000")
        .set("osPageCacheBusyTimeOutMills", "60000");
    if pace == Pace::Serve { launch } else { launch.small_files() }
}

/// Runs a command to its end. A terminal's Ctrl-C reaches it without our help.
fn run(mut command: Command) -> io::Result<ExitStatus> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut terminated = signal(SignalKind::terminate())?;
        let mut child = command.spawn()?;
        let pid = Pid::from_child(&child);
        let mut ended = tokio::task::spawn_blocking(move || child.wait());
        loop {
            tokio::select! {
                status = &mut ended => return status.expect("waiting does not panic"),
                _ = interrupted.recv() => {}
                // It may have ended by itself just now.
                _ = terminated.recv() => drop(kill_process(pid, Signal::TERM)),
            }
        }
    })
}
