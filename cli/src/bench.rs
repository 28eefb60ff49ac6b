//! `ferromq bench`: measures a server that speaks the remoting protocol, ours or another.
//!
//! | module | what it holds |
//! |---|---|
//! | [`send`], [`pull`], [`e2e`], [`pop`], [`timers`] | the loads |
//! | [`filter`] | SQL92 filters alone, without a server |
//! | [`fsync`] | what the disk allows |
//! | [`floor`] | the least that a server can do, to compare with |
//! | [`wire`] | the loop that drives connections |
//! | [`frame`] | requests patched in place, answers read just far enough |
//! | [`measure`] | the measured window, latencies, CPU, the report |
//! | [`control`] | routes, topics and offsets, before a run |
//!
//! Always true:
//! * one thread makes the load, with one write and one read for many messages, so that on a small machine the server
//!   gets the rest; its own CPU per message is reported beside the server's;
//! * with `--rate`, latency counts from when a message was due, not from when it could be sent: a server that stalls
//!   does not hide its stall.

mod control;
mod e2e;
mod filter;
mod floor;
mod frame;
mod fsync;
mod measure;
mod pop;
mod pull;
mod send;
mod timers;
mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use ferromq_protocol::code::RequestCode;

use control::{Broker, Control};
use frame::{BORN_STAND_IN, Encoding, KEY_STAND_IN, Template};
use measure::{Printed, Run, Watched};
use wire::{Clock, Connection};

/// What to measure.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Bench {
    /// Sends messages as fast as the server answers, or at a fixed rate
    Send(send::Args),
    /// Reads a topic's queues from their start, over and over
    Pull(pull::Args),
    /// Sends at a fixed rate and measures until each message arrives at a long-polling consumer
    E2e(e2e::Args),
    /// Pops messages and acknowledges them, group after group
    Pop(pop::Args),
    /// Fills the server with messages that are due later, and takes them as they are delivered
    Timers(timers::Args),
    /// Evaluates SQL92 filters, without a server
    Filter(filter::Args),
    /// Measures how long the disk takes to keep what was written
    Fsync(fsync::Args),
    /// Runs a server that only copies each frame into a mapped file and answers: the floor for `send`
    #[command(hide = true)]
    FloorServer(floor::Args),
}

impl Bench {
    /// Measures, and prints the result to stdout.
    pub(crate) fn run(&self) -> ExitCode {
        match self.measure() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("ferromq bench: {error:#}");
                ExitCode::FAILURE
            }
        }
    }

    fn measure(&self) -> Result<()> {
        match self {
            Self::Send(args) => print(&args.common, &send::run(args)?),
            Self::Pull(args) => print(&args.common, &pull::run(args)?),
            Self::E2e(args) => print(&args.common, &e2e::run(args)?),
            Self::Pop(args) => print(&args.common, &pop::run(args)?),
            Self::Timers(args) => print(&args.common, &timers::run(args)?),
            Self::Filter(args) => filter::run(args),
            Self::Fsync(args) => fsync::run(args),
            Self::FloorServer(args) => floor::run(args),
        }
    }
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

fn print(common: &Common, report: &impl Printed) -> Result<()> {
    match common.output {
        Output::Text => print!("{}", report.text()),
        Output::Json => println!("{}", serde_json::to_string(report)?),
    }
    Ok(())
}

/// The server, the topic, and how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// NameServer that is asked where the topic's broker is
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9876")]
    namesrv: String,
    /// Broker to use without asking a NameServer
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "namesrv")]
    broker: Option<String>,
    /// Topic; made on the broker if it isn't there
    #[arg(long, default_value = "ferromq_bench")]
    topic: String,
    /// Queues of the topic
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    queues: u32,
    /// Connections to the broker
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    connections: u16,
    /// Requests in flight on each connection
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    in_flight: u32,
    /// Seconds that count
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    duration: f64,
    /// Seconds of load before those that count
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    warmup: f64,
    /// How request headers are written
    #[arg(long, value_enum, default_value_t)]
    serialization: Encoding,
    /// Process id of the server: reports its CPU time per message
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// A path on the server's disk: reports the disk's flushes per 1000 messages
    #[arg(long, value_name = "PATH")]
    disk: Option<PathBuf>,
    /// How results are printed
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("not a number of seconds from 0 to 86400".into()),
    }
}

/// A broker that has the topics.
struct Target {
    topics: Vec<String>,
    broker: Broker,
    address: SocketAddr,
    control: Control,
}

impl Common {
    /// Finds the broker and makes the topics there: `self.topic`, or that many numbered ones.
    fn prepare(&self, topics: u32) -> Result<Target> {
        let broker = match &self.broker {
            Some(address) => Broker { address: address.clone(), name: String::new() },
            None => control::find_broker(&self.namesrv, &self.topic)?,
        };
        let mut control = Control::open(&broker.address)?;
        let topics = match topics {
            1 => vec![self.topic.clone()],
            count => (0..count).map(|i| format!("{}_{i}", self.topic)).collect(),
        };
        for topic in &topics {
            control.create_topic(topic, self.queues)?;
        }
        Ok(Target { address: control.address(), topics, broker, control })
    }

    fn connect(&self, address: SocketAddr, count: u16) -> Result<Vec<Connection>> {
        (0..count).map(|_| Connection::open(address)).collect()
    }

    fn start(&self, clock: Clock) -> Run {
        let watched = Watched { server: self.server_pid, disk: self.disk.clone() };
        let (warm_up, duration) = (self.warmup, self.duration.max(0.1));
        Run::new(clock.now(), Duration::from_secs_f64(warm_up), Duration::from_secs_f64(duration), watched)
    }
}

/// What messages look like.
#[derive(Debug, clap::Args)]
pub(crate) struct Messages {
    /// Bytes of each body
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(0..=4_194_304))]
    body_size: u32,
    /// Gives each message a key of its own, which the server has to index
    #[arg(long)]
    keys: bool,
    /// Tag of every message
    #[arg(long)]
    tag: Option<String>,
    /// Further property of every message; may be repeated
    #[arg(long = "property", value_name = "NAME=VALUE")]
    properties: Vec<String>,
    /// Messages per request: above 1 they travel as batches
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
}

impl Messages {
    /// Nothing but bodies of that size.
    fn plain(body_size: u32) -> Self {
        Self { body_size, keys: false, tag: None, properties: Vec::new(), batch: 1 }
    }

    /// One template for each queue of each topic.
    fn templates(&self, common: &Common, target: &Target) -> Result<Vec<Template>> {
        let body: Vec<u8> = (b'a'..=b'z').cycle().take(self.body_size as usize).collect();
        let properties = self.property_string()?;
        let (code, body, properties) = if self.batch == 1 {
            (RequestCode::SendMessageV2, body, properties)
        } else {
            (
                RequestCode::SendBatchMessage,
                batch_body(&body, &properties, self.batch)?,
                "WAIT\x01true\x02".to_owned(),
            )
        };
        let batch = if self.batch == 1 { "false" } else { "true" };
        let mut templates = Vec::with_capacity(target.topics.len() * common.queues as usize);
        for topic in &target.topics {
            for queue in 0..common.queues {
                let queue = queue.to_string();
                let mut fields = vec![
                    ("a", "ferromq_bench_producer"),
                    ("b", topic.as_str()),
                    ("c", "TBW102"),
                    ("d", "4"),
                    ("e", queue.as_str()),
                    ("f", "0"),
                    ("g", BORN_STAND_IN),
                    ("h", "0"),
                    ("i", properties.as_str()),
                    ("j", "0"),
                    ("k", "false"),
                    ("m", batch),
                ];
                if !target.broker.name.is_empty() {
                    fields.push(("n", target.broker.name.as_str()));
                }
                templates.push(Template::new(common.serialization, code, &fields, &body));
            }
        }
        Ok(templates)
    }

    fn property_string(&self) -> Result<String> {
        let mut text = String::new();
        for property in &self.properties {
            match property.split_once('=') {
                Some((name, value)) if !name.is_empty() && !value.is_empty() => {
                    text.push_str(&format!("{name}\x01{value}\x02"));
                }
                _ => bail!("--property wants NAME=VALUE, not {property:?}"),
            }
        }
        if let Some(tag) = &self.tag {
            text.push_str(&format!("TAGS\x01{tag}\x02"));
        }
        if self.keys {
            text.push_str(&format!("KEYS\x01K{KEY_STAND_IN}\x02"));
        }
        // The first half of a message's id tells runs apart, as address, process and time do in the Java client's.
        let run = u64::from(std::process::id()) << 32 | u64::from(unix_millis() as u32);
        text.push_str(&format!("UNIQ_KEY\x01{run:016X}{KEY_STAND_IN}\x02WAIT\x01true\x02"));
        Ok(text)
    }
}

fn batch_body(body: &[u8], properties: &str, messages: u32) -> Result<Vec<u8>> {
    let len = 22 + body.len() + properties.len();
    if len * messages as usize > 4 << 20 {
        bail!("a batch of {messages} messages is {} bytes, brokers take 4 MiB", len * messages as usize);
    }
    let mut out = Vec::with_capacity(len * messages as usize);
    for _ in 0..messages {
        out.extend_from_slice(&(len as u32).to_be_bytes());
        out.extend_from_slice(&[0; 12]); // magic, checksum and flag, which brokers fill in
        out.extend_from_slice(&(body.len() as u32).to_be_bytes());
        out.extend_from_slice(body);
        out.extend_from_slice(&(properties.len() as u16).to_be_bytes());
        out.extend_from_slice(properties.as_bytes());
    }
    Ok(out)
}

fn unix_millis() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// The born time of messages, written out once a millisecond at most.
#[derive(Debug)]
struct BornTime {
    digits: [u8; 13],
    made: Option<wire::Nanos>,
}

impl BornTime {
    fn new() -> Self {
        Self { digits: *b"0000000000000", made: None }
    }

    fn digits(&mut self, now: wire::Nanos) -> &[u8; 13] {
        if self.made.is_none_or(|made| now - made >= 1_000_000) {
            self.made = Some(now);
            let mut millis = unix_millis();
            for digit in self.digits.iter_mut().rev() {
                *digit = b'0' + (millis % 10) as u8;
                millis /= 10;
            }
        }
        &self.digits
    }
}
