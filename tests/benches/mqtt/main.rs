//! MQTT beside mosquitto: `cargo bench -p ferromq-tests --bench mqtt`.
//!
//! | load | what is measured, QoS 1, on the same machine in the same run |
//! |---|---|
//! | pairs | 20 publishers, each with a subscriber of its own, as fast as both are acknowledged |
//! | fan-out | one publisher, 1,000 subscribers of its topic |
//! | rate | the pairs at a fixed rate: how long each message takes from the moment at which it was due |
//! | connects | connections that are opened, accepted by CONNACK and closed again |
//! | idle | what 20,000 connections cost in memory, without and with a subscription each |
//!
//! Always true:
//! * one server runs at a time, on an empty store, and every other round has them in the other order;
//! * the load is one thread of this process that patches prepared frames and reads nothing but lengths and identifiers;
//!   what it takes itself is told beside what the server takes.
//!
//! The result is a Markdown section for `docs/benchmarks.md`, on stdout; progress goes to stderr. Needs Debian's package
//! mosquitto.

mod client;
mod crowd;
mod server;
mod table;
mod traffic;

use std::time::Duration;

use clap::{Parser, ValueEnum};
use ferromq_tests::toolchain;
use rustix::process::{Resource, getrlimit, setrlimit};

use server::{Kind, Running};
use table::Table;

/// MQTT beside mosquitto.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo bench -p ferromq-tests --bench mqtt --")]
struct Args {
    /// What to measure; all of it without this
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Load>,
    /// The servers; all of them without this
    #[arg(long, value_enum, value_delimiter = ',')]
    servers: Vec<Kind>,
    /// How often everything is measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Publishers, and subscribers
    #[arg(long, default_value_t = 20)]
    pairs: usize,
    /// Messages of a publisher that are not acknowledged yet; both servers send a subscriber as many
    #[arg(long, default_value_t = 64)]
    window: usize,
    /// Bytes of each message
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(8..=1_000_000))]
    size: u32,
    /// Messages a second at the fixed rate
    #[arg(long, default_value_t = 10_000)]
    rate: u64,
    /// Subscribers of the one topic
    #[arg(long, default_value_t = 1_000)]
    subscribers: usize,
    /// Connections that do nothing
    #[arg(long, default_value_t = 20_000)]
    idle: usize,
    /// What Cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Load {
    Pairs,
    FanOut,
    Rate,
    Connects,
    Idle,
}

impl Load {
    const ALL: [Self; 5] = [Self::Pairs, Self::FanOut, Self::Rate, Self::Connects, Self::Idle];
}

fn main() {
    let args = Args::parse();
    let most = getrlimit(Resource::Nofile).maximum;
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = most;
    setrlimit(Resource::Nofile, limit).expect("files may be opened up to the hard limit");
    // What is open in a server besides its connections.
    const OTHERS: u64 = 200;
    let idle = args.idle.min(most.map_or(usize::MAX, |most| (most - OTHERS) as usize));
    // Built before anything is measured.
    toolchain::ferromq();
    let dir = tempfile::Builder::new()
        .prefix("mqtt-bench-")
        // Where the build is: a temporary directory may be memory.
        .tempdir_in(std::env::current_exe().expect("a path").parent().expect("in a directory"))
        .expect("a directory beside this program");
    let mut kinds = if args.servers.is_empty() { Kind::ALL.to_vec() } else { args.servers.clone() };
    let mut table = Table::new(&kinds);
    for round in 0..args.rounds {
        for &kind in &kinds {
            for load in Load::ALL {
                if !(args.only.is_empty() || args.only.contains(&load)) || kind.skips(load) {
                    continue;
                }
                eprintln!("round {} of {}: {load:?}, {kind:?}", round + 1, args.rounds);
                let place = dir.path().join(format!("{round}-{kind:?}-{load:?}"));
                std::fs::create_dir_all(&place).expect("a directory for the server");
                let server = kind.start(&place, args.window);
                measure(&args, load, idle, &server, &mut table);
                drop(server);
                std::fs::remove_dir_all(&place).expect("what the server left can be removed");
            }
        }
        kinds.reverse();
    }
    println!(
        "Medians of {} rounds of {} s, in brackets the lowest and the highest. QoS 1, {} B, {} pairs, {} messages in \
         flight each, {} subscribers, {idle} idle connections, {} messages/s at the fixed rate.\n",
        args.rounds, args.seconds, args.size, args.pairs, args.window, args.subscribers, args.rate
    );
    table.print();
}

fn measure(args: &Args, load: Load, idle: usize, server: &Running, table: &mut Table) {
    let span = Duration::from_secs(args.seconds);
    let kind = server.kind();
    let mut put = |name: &'static str, digits: usize, value: f64| table.put(name, digits, kind, value);
    match load {
        Load::Pairs => {
            let seen = traffic::pairs(args, server, None, span);
            put("pairs: messages/s", 0, seen.rate());
            put("pairs: server's CPU µs a message", 2, seen.server_cpu());
            put("pairs: load's CPU µs a message", 2, seen.own_cpu());
            put("pairs: p50 ms", 2, seen.ms(0.5));
            put("pairs: p99 ms", 2, seen.ms(0.99));
        }
        Load::FanOut => {
            let seen = traffic::fan_out(args, server, span);
            put("fan-out: deliveries/s", 0, seen.rate());
            put("fan-out: server's CPU µs a delivery", 2, seen.server_cpu());
            put("fan-out: load's CPU µs a delivery", 2, seen.own_cpu());
            put("fan-out: p99 ms", 2, seen.ms(0.99));
        }
        Load::Rate => {
            let seen = traffic::pairs(args, server, Some(args.rate), span);
            put("fixed rate: p50 ms", 2, seen.ms(0.5));
            put("fixed rate: p99 ms", 2, seen.ms(0.99));
            put("fixed rate: p99.9 ms", 2, seen.ms(0.999));
            put("fixed rate: server's CPU µs a message", 2, seen.server_cpu());
        }
        Load::Connects => {
            let (rate, cpu) = crowd::connects(server, span);
            put("connects/s", 0, rate);
            put("connects: server's CPU µs each", 1, cpu);
        }
        Load::Idle => {
            let (connected, subscribed) = crowd::idle(server, idle);
            put("idle: bytes a connection", 0, connected);
            put("idle: bytes a connection with a subscription", 0, subscribed);
        }
    }
}
