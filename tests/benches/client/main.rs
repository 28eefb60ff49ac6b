//! Our client beside the official Java client against the same server: `cargo bench -p ferromq-tests --bench client`.
//!
//! | load | what both do, each with its defaults |
//! |---|---|
//! | sync | 64 callers, each sends a message and waits for its answer |
//! | async | 256 messages are in flight; who sends does not wait |
//! | consume | a push consumer with a handler is alone in its group and drains a topic of 8 queues |
//!
//! Always true:
//! * one client runs at a time, in a process of its own whose CPU time counts, together with one server, on all cores;
//! * each round has a server of its own on an empty store, and every other round begins with the other client;
//! * what is printed is the median of the rounds, with the lowest and the highest.
//!
//! The result is a Markdown section for `docs/benchmarks.md`, on stdout; progress goes to stderr.

mod allocations;
mod load;
mod ours;
mod table;

use std::process::{Command, Stdio};

use clap::Parser;
use ferromq_tests::server::{OFFICIAL, OFFICIAL_4};
use ferromq_tests::{Client, Kind, Launch, Server, toolchain};

use load::{Figures, Load};
use table::Table;

/// The official client that ours is compared with.
const JAVA: Client = Client::Java("5.3.3");

/// Our client beside the official Java client against the same server.
#[derive(Debug, Parser)]
#[command(name = "cargo bench -p ferromq-tests --bench client --")]
struct Args {
    /// The server: ferromq, official (5.3.3) or official-4
    #[arg(long, default_value = "ferromq", value_parser = server)]
    server: Kind,
    /// What to compare; all of it without this
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Load>,
    /// How often everything is measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds of each measurement of sends
    #[arg(long, default_value_t = 8)]
    seconds: u32,
    /// Messages that are drained
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Bytes of each body
    #[arg(long, default_value_t = 128)]
    body: u32,
    /// Seconds of load before a measurement of the Java client: its first seconds are several times slower
    #[arg(long, default_value_t = 12)]
    java_warm_up: u32,
    /// Seconds of load before a measurement of our client
    #[arg(long, default_value_t = 3)]
    warm_up: u32,
    /// Measure our client alone
    #[arg(long)]
    without_java: bool,
    /// Be our client: NAMESRV TOPIC LOAD MANY BODY_BYTES WARM_UP_SECONDS SECONDS, as for ClientSpeed.java
    #[arg(long, hide = true, num_args = 7, value_name = "ARGUMENT")]
    ours: Option<Vec<String>>,
    /// What Cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn server(name: &str) -> Result<Kind, String> {
    match name {
        "ferromq" => Ok(Kind::Ferro),
        "official" => Ok(Kind::Official(OFFICIAL)),
        "official-4" => Ok(Kind::Official(OFFICIAL_4)),
        _ => Err("it is ferromq, official or official-4".to_owned()),
    }
}

/// Which client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Ours,
    Java,
}

fn main() {
    let args = Args::parse();
    match &args.ours {
        Some(words) => ours::run(words),
        None => compare(&args),
    }
}

fn compare(args: &Args) {
    let mut table = Table::default();
    for round in 0..args.rounds {
        let dir = tempfile::Builder::new()
            .prefix("client-bench-")
            // Where the build is: a temporary directory may be memory.
            .tempdir_in(
                std::env::current_exe().expect("this program has a path").parent().expect("in a directory"),
            )
            .expect("a directory beside this program");
        let launch = Launch::new(args.server, &dir.path().join("server")).set("flushDiskType", "ASYNC_FLUSH");
        let server = launch.start();
        let mut sides = vec![Side::Java, Side::Ours];
        if round % 2 == 1 {
            sides.reverse();
        }
        sides.retain(|&side| side == Side::Ours || !args.without_java);
        for load in [Load::Sync, Load::Async, Load::Consume] {
            if !args.only.is_empty() && !args.only.contains(&load) {
                continue;
            }
            let topic = format!("speed-{load:?}");
            fill(&server, &topic, args.body, if load == Load::Consume { args.messages } else { 0 });
            for &side in &sides {
                eprintln!("round {} of {}: {load:?}, {side:?}", round + 1, args.rounds);
                table.add(load, side, measure(args, &server, side, load, &topic, dir.path()));
            }
        }
        server.kill();
    }
    print!("{}", table.markdown(args));
}

/// Makes the topic with 8 queues, and puts messages into it.
fn fill(server: &Server, topic: &str, body: u32, messages: u64) {
    let (namesrv, body) = (server.namesrv(), body.to_string());
    let mut command = Command::new(toolchain::ferromq());
    command.arg("bench");
    match messages {
        0 => command.args(["send", "--connections", "1", "--in-flight", "1"]),
        count => command.args(["pull", "--prefill", &count.to_string()]),
    };
    command.args([
        "--namesrv",
        &namesrv,
        "--topic",
        topic,
        "--body-size",
        &body,
        "--duration",
        "0.1",
        "--warmup",
        "0",
    ]);
    let status = command.stdout(Stdio::null()).status().expect("ferromq can be started");
    assert!(status.success(), "{topic} cannot be filled: {command:?} ended with {status}");
}

fn measure(
    args: &Args,
    server: &Server,
    side: Side,
    load: Load,
    topic: &str,
    dir: &std::path::Path,
) -> Figures {
    let (mut command, warm_up) = match side {
        Side::Java => {
            let mut command = JAVA.java(&dir.join("client"));
            command.arg("ClientSpeed");
            (command, args.java_warm_up)
        }
        Side::Ours => {
            let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
            command.arg("--ours");
            (command, args.warm_up)
        }
    };
    let seconds = args.seconds;
    command.args([server.namesrv().as_str(), topic, load.name()]);
    command.args(
        [load.many(args.messages), args.body.into(), warm_up.into(), seconds.into()].map(|n| n.to_string()),
    );
    let output = command.stderr(Stdio::inherit()).output().expect("the client can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "the client ended with {}: {text}", output.status);
    // The official client may print something of its own before.
    let line = text.lines().rfind(|line| line.starts_with('{')).expect("a client prints its figures");
    eprintln!("  {line}");
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))
}
