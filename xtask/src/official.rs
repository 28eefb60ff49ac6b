//! The official servers for what is not written in Rust: suites and comparisons of the Python and the Node package.
//!
//! What starts them is shared with the tests of `ferromq-tests`, which xtask is too small to depend on: an example there.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;

use crate::{cargo, run, target_dir};

/// Runs a command beside the official servers.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Start the official gRPC proxy, too: ROCKETMQ_PROXY tells its address
    #[arg(long)]
    proxy: bool,
    /// Start Apache Kafka, too, to compare with: KAFKA_SERVER tells its address
    #[arg(long)]
    kafka: bool,
    /// Start NATS with JetStream, too, to compare with: NATS_SERVER tells its address
    #[arg(long)]
    nats: bool,
    /// Give the servers what they need to be fast instead of what they need to start soon
    #[arg(long)]
    fast: bool,
    /// What to run: FERROMQ_TEST_SERVER tells it the NameServer's address
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Does so, and ends with the command's own exit code.
pub(crate) fn exec(args: &Args) -> Result<()> {
    let flags =
        [(args.proxy, "--proxy"), (args.kafka, "--kafka"), (args.nats, "--nats"), (args.fast, "--fast")];
    let mut options: Vec<&str> = flags.iter().filter(|(wanted, _)| *wanted).map(|(_, flag)| *flag).collect();
    options.push("--");
    let status = command(&options)?.args(&args.command).status()?;
    std::process::exit(status.code().unwrap_or(1));
}

/// A command that takes the rest of its arguments as one to run beside the official servers.
pub(crate) fn command(options: &[&str]) -> Result<Command> {
    let build = ["build", "--quiet", "--locked", "-p", "ferromq-tests", "--example", "official"];
    run("what starts the official servers", cargo(build))?;
    Ok(built(options))
}

/// The same where `cargo test` has built what it needs.
pub(crate) fn built(options: &[&str]) -> Command {
    let mut command = Command::new(target_dir().join("debug/examples/official"));
    command.args(options);
    command
}
