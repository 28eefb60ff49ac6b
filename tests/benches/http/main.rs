//! HTTP beside its floor: `cargo bench -p ferromq-tests --bench http`.
//!
//! | load | what is measured, on the same machine in the same run |
//! |---|---|
//! | post | single messages over 64 connections that are kept alive, by wrk: ours, and a bare axum handler that reads the body and answers as many bytes |
//! | lines | a stream of lines over 4 connections: messages and bytes a second, beside what `ferromq bench send` reaches over remoting |
//! | rate | single messages at a fixed rate: how long each takes from the moment at which it was due |
//!
//! The result is a Markdown section for `docs/benchmarks.md`, on stdout; progress goes to stderr. Needs wrk (Debian's
//! package of that name).

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::serve::ListenerExt as _;
use clap::Parser;
use ferromq_tests::http::Http;
use ferromq_tests::process::{free_port, wait};
use ferromq_tests::{Kind, Launch, Server, toolchain};
use hdrhistogram::Histogram;

/// As many bytes as ours answers with.
const FLOOR_ANSWER: &str = r#"{"messageId":"7F000001234900000000001CC24B0000","offsetMessageId":"7F000001000051AF0000000000000000","queueId":0,"queueOffset":0}"#;
const CONNECTIONS: u32 = 64;
const STREAMS: usize = 4;
/// Bytes that a stream's sender writes at once.
const WRITE: usize = 64 << 10;

/// HTTP beside its floor.
#[derive(Debug, Parser)]
#[command(name = "cargo bench -p ferromq-tests --bench http --")]
struct Args {
    /// How often everything is measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 6)]
    seconds: u32,
    /// Bytes of each body
    #[arg(long, default_value_t = 128)]
    body: usize,
    /// Messages a second at the fixed rate
    #[arg(long, default_value_t = 5_000)]
    rate: u32,
    /// Acknowledge once the disk has it, which no floor does
    #[arg(long)]
    sync: bool,
    /// Serve the floor at this port, and nothing else
    #[arg(long, hide = true)]
    floor: Option<u16>,
    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

/// The values of all rounds.
#[derive(Default)]
struct Values(Vec<f64>);

impl Values {
    fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }

    fn show(&self, digits: usize) -> String {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.0.iter().copied().fold(0.0, f64::max);
        format!("{:.digits$} ({least:.digits$}–{most:.digits$})", self.median())
    }
}

#[derive(Default)]
struct Posts {
    rate: Values,
    cpu: Values,
    p50: Values,
    p99: Values,
}

fn main() {
    let args = Args::parse();
    if let Some(port) = args.floor {
        return floor(port);
    }
    let dir =
        tempfile::Builder::new().prefix("ferromq-bench-http-").tempdir().expect("a temporary directory");
    let mut posts = [Posts::default(), Posts::default()];
    let mut lines: [(Values, Values); 2] = Default::default();
    let mut remoting = Values::default();
    let mut rated = (Values::default(), Values::default());
    for round in 0..args.rounds {
        eprintln!("round {} of {}", round + 1, args.rounds);
        let flush = if args.sync { "SYNC_FLUSH" } else { "ASYNC_FLUSH" };
        let launch =
            Launch::new(Kind::Ferro, &dir.path().join(round.to_string())).set("flushDiskType", flush);
        let server = launch.start();
        let bare = Floor::start();
        let sides = [(server.http(), server.pid()), (bare.address, bare.child.id())];
        let mut order = [0, 1];
        if round % 2 == 1 {
            order.reverse();
        }
        for side in order {
            let (address, pid) = sides[side];
            post(&args, dir.path(), address, pid, &mut posts[side]);
        }
        for (values, body) in lines.iter_mut().zip([args.body, 4096]) {
            let (messages, bytes) = stream(&args, server.http(), body);
            values.0.0.push(messages);
            values.1.0.push(bytes / 1e6);
        }
        remoting.0.push(bench_send(&args, &server));
        let latency = at_rate(&args, server.http());
        rated.0.0.push(latency.value_at_quantile(0.5) as f64);
        rated.1.0.push(latency.value_at_quantile(0.99) as f64);
        drop(bare);
        server.stop();
    }
    let [ours, bare] = &posts;
    let ratio = |ours: &Values, other: &Values| ours.median() / other.median();
    println!(
        "Medians of {} rounds of {} s, in brackets the lowest and the highest.\n",
        args.rounds, args.seconds
    );
    println!(
        "| single POSTs of {} B, {CONNECTIONS} connections | ours | bare axum | ratio |\n|---|---|---|---|",
        args.body
    );
    for (name, ours, bare, digits) in [
        ("requests/s", &ours.rate, &bare.rate, 0),
        ("server's CPU µs a request", &ours.cpu, &bare.cpu, 2),
        ("p50 µs", &ours.p50, &bare.p50, 0),
        ("p99 µs", &ours.p99, &bare.p99, 0),
    ] {
        println!("| {name} | {} | {} | {:.2} |", ours.show(digits), bare.show(digits), ratio(ours, bare));
    }
    println!("\n| lines over {STREAMS} streams | messages/s | MB/s of bodies |\n|---|---|---|");
    for ((messages, bytes), body) in lines.iter().zip([args.body, 4096]) {
        println!("| bodies of {body} B | {} | {} |", messages.show(0), bytes.show(0));
    }
    println!("| `bench send` over remoting, {} B | {} | |", args.body, remoting.show(0));
    let (p50, p99) = &rated;
    println!(
        "\n{} messages/s over {CONNECTIONS} connections: p50 {} µs, p99 {} µs.",
        args.rate,
        p50.show(0),
        p99.show(0)
    );
}

/// A process of its own that serves the floor.
struct Floor {
    child: Child,
    address: SocketAddr,
}

impl Floor {
    fn start() -> Self {
        let port = free_port(&[0]);
        let own = std::env::current_exe().expect("this program");
        let child = Command::new(own).args(["--floor", &port.to_string()]).spawn().expect("it runs");
        let address = (Ipv4Addr::LOCALHOST, port).into();
        assert!(
            wait(Duration::from_secs(30), || TcpStream::connect(address).is_ok()),
            "the floor never listened"
        );
        Self { child, address }
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn floor(port: u16) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let answer = async |body: Bytes| {
            std::hint::black_box(&body);
            (StatusCode::CREATED, [(header::CONTENT_TYPE, "application/json")], FLOOR_ANSWER)
        };
        let router = axum::Router::new().route("/v1/topics/{topic}/messages", axum::routing::post(answer));
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.expect("the port");
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("a TCP connection"));
        axum::serve(listener, router).await.expect("it serves");
    });
}

/// CPU time that a process has used, in microseconds.
fn cpu(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is there");
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
    let ticks: f64 = fields[11..13].iter().map(|ticks| ticks.parse::<f64>().expect("ticks")).sum();
    ticks * 1e6 / rustix::param::clock_ticks_per_second() as f64
}

fn post(args: &Args, dir: &std::path::Path, address: SocketAddr, pid: u32, into: &mut Posts) {
    let script = dir.join("post.lua");
    let lua = format!(
        "wrk.method = \"POST\"\nwrk.body = string.rep(\"x\", {})\nwrk.headers[\"Content-Type\"] = \"text/plain\"\n",
        args.body
    );
    std::fs::write(&script, lua).expect("the script can be written");
    let run = |seconds: u32| {
        let output = Command::new("wrk")
            .args(["-t2", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}"), "--latency", "-s"])
            .arg(&script)
            .arg(format!("http://{address}/v1/topics/Bench/messages"))
            .output()
            .expect("wrk runs: apt-get install wrk");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    run(2);
    let before = cpu(pid);
    let text = run(args.seconds);
    let used = cpu(pid) - before;
    assert!(!text.contains("Non-2xx"), "{text}");
    let word = |label: &str| {
        let line = text
            .lines()
            .find(|line| line.trim().starts_with(label))
            .unwrap_or_else(|| panic!("{label}: {text}"));
        line.split_whitespace().nth(1).expect("a value").to_owned()
    };
    into.rate.0.push(word("Requests/sec:").parse().expect("a number"));
    let requests = text.lines().find(|line| line.contains(" requests in ")).expect("a count");
    let requests: f64 = requests.split_whitespace().next().expect("a count").parse().expect("a number");
    into.cpu.0.push(used / requests);
    into.p50.0.push(micros(&word("50%")));
    into.p99.0.push(micros(&word("99%")));
}

/// wrk's times, in microseconds.
fn micros(text: &str) -> f64 {
    let (number, factor) = match text {
        text if text.ends_with("us") => (&text[..text.len() - 2], 1.0),
        text if text.ends_with("ms") => (&text[..text.len() - 2], 1e3),
        text => (&text[..text.len() - 1], 1e6),
    };
    number.parse::<f64>().expect("a time") * factor
}

/// Messages a second, and bytes of their bodies.
fn stream(args: &Args, address: SocketAddr, body: usize) -> (f64, f64) {
    let line = format!("{{\"text\":\"{}\"}}\n", "x".repeat(body));
    let piece = line.repeat((WRITE / line.len()).max(1));
    let span = Duration::from_secs(args.seconds.into());
    let began = Instant::now();
    let stored: u64 = thread::scope(|scope| {
        let streams: Vec<_> =
            (0..STREAMS).map(|_| scope.spawn(|| one_stream(address, &piece, span))).collect();
        streams.into_iter().map(|stream| stream.join().expect("a stream")).sum()
    });
    let rate = stored as f64 / began.elapsed().as_secs_f64();
    (rate, rate * body as f64)
}

fn one_stream(address: SocketAddr, piece: &str, span: Duration) -> u64 {
    let mut stream = TcpStream::connect(address).expect("the server accepts");
    let head = "POST /v1/topics/BenchLines/messages?results=errors HTTP/1.1\r\nHost: localhost\r\n\
                Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("a head");
    let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
    let began = Instant::now();
    while began.elapsed() < span {
        stream.write_all(chunk.as_bytes()).expect("a chunk");
    }
    stream.write_all(b"0\r\n\r\n").expect("the end");
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while !line.contains("\"stored\"") {
        line.clear();
        assert!(reader.read_line(&mut line).expect("an answer") > 0, "no count came");
        assert!(!line.contains("\"error\""), "{line}");
    }
    let _ = reader.get_mut().read(&mut [0; 64]);
    let count = line.split([':', ',']).nth(1).expect("a count");
    count.parse().expect("a number")
}

/// Messages a second over remoting.
fn bench_send(args: &Args, server: &Server) -> f64 {
    let output = Command::new(toolchain::ferromq())
        .args(["bench", "send", "--broker", &server.broker().to_string(), "--output", "json"])
        .args(["--body-size", &args.body.to_string(), "--duration", &args.seconds.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .expect("ferromq runs");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stdout)));
    json["messages_per_second"].as_f64().unwrap_or_else(|| panic!("{json}"))
}

/// Microseconds from when each message was due to its answer.
fn at_rate(args: &Args, address: SocketAddr) -> Histogram<u64> {
    let body = "x".repeat(args.body);
    let gap = Duration::from_secs(1) * CONNECTIONS / args.rate;
    let count = args.rate * args.seconds / CONNECTIONS;
    let mut all = Histogram::new(3).expect("a histogram");
    let each: Vec<Histogram<u64>> = thread::scope(|scope| {
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                let body = &body;
                scope.spawn(move || {
                    let mut http = Http::open(address).expect("the server accepts");
                    let mut latency = Histogram::new(3).expect("a histogram");
                    let mut due = Instant::now() + gap * number / CONNECTIONS;
                    for _ in 0..count {
                        thread::sleep(due.saturating_duration_since(Instant::now()));
                        let answer = http.ask("POST", "/v1/topics/BenchRate/messages", &[], body.as_bytes());
                        assert_eq!(answer.expect("an answer").status, 201);
                        latency.record(due.elapsed().as_micros() as u64).expect("within bounds");
                        due += gap;
                    }
                    latency
                })
            })
            .collect();
        senders.into_iter().map(|sender| sender.join().expect("a sender")).collect()
    });
    for latency in each {
        all.add(latency).expect("the same bounds");
    }
    all
}
