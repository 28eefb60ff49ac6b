//! `cargo xtask bench`: FerroMQ and the official Java broker, measured by the same command in the same run.
//!
//! Always true:
//! * only one server runs at a time, on all cores, together with the load generator;
//! * each repeat starts both servers on empty stores, and every other repeat in the other order;
//! * what is printed is the median of the repeats, with the lowest and the highest.
//!
//! The result is a Markdown section for `docs/benchmarks.md`, on stdout; progress goes to stderr.

mod figures;
mod servers;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{cargo, root, target_dir};
#[allow(clippy::wildcard_imports, reason = "all names of figures")]
use figures::*;
use servers::{Flush, Installed, Kind, OFFICIAL_VERSION, Server};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Sending with asynchronous flush, and the floor.
    Send,
    /// Pulling from the start.
    Pull,
    /// Send to long-polling consumer.
    E2e,
    /// Sending with synchronous flush, and what the disk allows.
    Sync,
    /// Start, restart after a crash, and memory.
    Start,
    /// Popping and acknowledging.
    Pop,
    /// Messages that are due later.
    Timers,
    /// SQL92 filters alone.
    Filter,
}

/// `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to compare; all of it without this
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// How often everything is measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeats: u32,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 8)]
    duration: u32,
    /// Seconds of load before a measurement of the Java broker: its first seconds are several times slower
    #[arg(long, default_value_t = 12)]
    java_warmup: u32,
    /// Seconds of load before a measurement of FerroMQ
    #[arg(long, default_value_t = 3)]
    ferro_warmup: u32,
    /// Messages that are there to pull
    #[arg(long, default_value_t = 2_000_000)]
    prefill: u64,
    /// Timers that are pending at once
    #[arg(long, default_value_t = 1_000_000)]
    timers: u64,
    /// Timers that are due each second
    #[arg(long, default_value_t = 10_000)]
    timer_rate: u64,
    /// The binary to measure; without it the release build is made first
    #[arg(long, value_name = "PATH")]
    ferromq: Option<PathBuf>,
    /// Measure FerroMQ alone
    #[arg(long)]
    without_java: bool,
}

/// Runs the comparison.
pub(crate) fn run(args: &Args) -> Result<()> {
    let ferromq = match &args.ferromq {
        Some(path) => path.canonicalize().with_context(|| format!("no binary at {}", path.display()))?,
        None => build()?,
    };
    let jars = if args.without_java { PathBuf::new() } else { servers::official_jars(root())? };
    let work = target_dir().join(format!("bench-{}", std::process::id()));
    std::fs::create_dir_all(&work)?;
    let mut bench = Bench {
        args,
        installed: Installed { ferromq, jars, work: work.clone() },
        figures: BTreeMap::new(),
        elsewhere: Vec::new(),
    };
    let outcome = bench.all();
    let _ = std::fs::remove_dir_all(&work);
    outcome?;
    print!("{}", bench.markdown());
    Ok(())
}

fn build() -> Result<PathBuf> {
    crate::run("the binary", cargo(["build", "--release", "--locked", "-p", "ferromq"]))?;
    Ok(target_dir().join("release/ferromq"))
}

/// Whose figure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    Ferro,
    Java,
    /// The server that only copies and answers, or the disk alone.
    Floor,
}

impl From<Kind> for Of {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Ferro => Self::Ferro,
            Kind::Java => Self::Java,
        }
    }
}

struct Bench<'a> {
    args: &'a Args,
    installed: Installed,
    figures: BTreeMap<(&'static str, Of), Vec<f64>>,
    /// Percent of the processors that others used before each repeat.
    elsewhere: Vec<f64>,
}

impl Bench<'_> {
    fn wants(&self, part: Part) -> bool {
        self.args.only.is_empty() || self.args.only.contains(&part)
    }

    fn all(&mut self) -> Result<()> {
        for repeat in 0..self.args.repeats {
            let mut order = vec![Kind::Java, Kind::Ferro];
            if repeat % 2 == 1 {
                order.reverse();
            }
            order.retain(|&kind| kind == Kind::Ferro || !self.args.without_java);
            self.settle()?;
            self.elsewhere.push(busy(Duration::from_secs(2))? * 100.0);
            for kind in order {
                eprintln!("repeat {} of {}: {kind:?}", repeat + 1, self.args.repeats);
                if [Part::Send, Part::Pull, Part::E2e].iter().any(|&part| self.wants(part)) {
                    self.async_flush(kind)?;
                }
                if self.wants(Part::Sync) {
                    self.sync_flush(kind)?;
                }
                if self.wants(Part::Start) {
                    self.start(kind)?;
                }
                if self.wants(Part::Pop) {
                    self.pop(kind)?;
                }
                if self.wants(Part::Timers) {
                    self.timers(kind)?;
                }
            }
            if self.wants(Part::Send) {
                self.floor()?;
            }
            if self.wants(Part::Filter) {
                self.filter()?;
            }
            if self.wants(Part::Sync) {
                self.settle()?;
                self.disk()?;
            }
        }
        Ok(())
    }

    /// Waits until the disk has what servers before left to the page cache, so that it does not count for the next.
    fn settle(&self) -> Result<()> {
        let status = Command::new("sync").arg("--file-system").arg(&self.installed.work).status()?;
        if !status.success() {
            bail!("sync failed: {status}");
        }
        Ok(())
    }

    fn async_flush(&mut self, kind: Kind) -> Result<()> {
        self.settle()?;
        let server = Server::start(&self.installed, kind, Flush::Async)?;
        if self.wants(Part::Send) {
            let report = self.load(&server, &["send"])?;
            self.note(SEND_RATE, kind, &report, "/messages_per_second")?;
            self.note(SEND_CPU, kind, &report, "/server_cpu_per_message")?;
            self.note(SEND_P50, kind, &report, "/latency/p50")?;
            self.note(SEND_P99, kind, &report, "/latency/p99")?;
        }
        if self.wants(Part::Pull) {
            let prefill = self.args.prefill.to_string();
            let report =
                self.load(&server, &["pull", "--topic", "ferromq_bench_pull", "--prefill", &prefill])?;
            self.note(PULL_BYTES, kind, &report, "/mb_per_second")?;
            self.note(PULL_RATE, kind, &report, "/messages_per_second")?;
            self.note(PULL_CPU, kind, &report, "/server_cpu_per_message")?;
        }
        if self.wants(Part::E2e) {
            for (rate, p50, p99) in [("2000", E2E_2K_P50, E2E_2K_P99), ("10000", E2E_10K_P50, E2E_10K_P99)] {
                let report = self.load(&server, &["e2e", "--topic", "ferromq_bench_e2e", "--rate", rate])?;
                self.note(p50, kind, &report, "/latency/p50")?;
                self.note(p99, kind, &report, "/latency/p99")?;
                if report["missing"].as_u64() != Some(0) {
                    bail!("messages did not arrive: {report}");
                }
            }
        }
        Ok(())
    }

    fn sync_flush(&mut self, kind: Kind) -> Result<()> {
        self.settle()?;
        let server = Server::start(&self.installed, kind, Flush::Sync)?;
        let disk = self.installed.work.display().to_string();
        let report = self.load(&server, &["send", "--disk", &disk])?;
        self.note(SYNC_RATE, kind, &report, "/messages_per_second")?;
        self.note(SYNC_CPU, kind, &report, "/server_cpu_per_message")?;
        self.note(SYNC_FLUSHES, kind, &report, "/disk_flushes_per_1000")?;
        let report = self.load(&server, &["send", "--connections", "1", "--in-flight", "1"])?;
        self.note(SYNC_ALONE, kind, &report, "/latency/p50")
    }

    fn start(&mut self, kind: Kind) -> Result<()> {
        const MIB: f64 = 1024.0 * 1024.0;
        let mut server = Server::start(&self.installed, kind, Flush::Async)?;
        self.add(START, kind, server.start_time.as_secs_f64() * 1e3);
        // Memory is that of a server that has nothing to do.
        std::thread::sleep(Duration::from_secs(5));
        let (resident, anonymous) = servers::memory(server.broker.id())?;
        self.add(IDLE_RSS, kind, resident as f64 / MIB);
        self.add(IDLE_ANONYMOUS, kind, anonymous as f64 / MIB);
        if kind == Kind::Java {
            // The rest is asked of FerroMQ alone: 2 GiB and 80,000 queues take the Java broker minutes.
            return Ok(());
        }
        self.load(&server, &["pull", "--topic", "ferromq_bench_large", "--prefill", "6500000"])?;
        let bytes = disk_usage(&server.dir().join("store/commitlog"))?;
        server = server.crash_and_restart(&self.installed)?;
        self.add(RESTART_SIZE, kind, bytes as f64 / MIB);
        self.add(RESTART, kind, server.start_time.as_secs_f64() * 1e3);
        drop(server);
        let server = Server::start(&self.installed, kind, Flush::Async)?;
        let report = self.load(&server, &["send", "--topic", "ferromq_bench_many", "--topics", "10000"])?;
        self.note(MANY_RATE, kind, &report, "/messages_per_second")?;
        let (resident, anonymous) = servers::memory(server.broker.id())?;
        self.add(MANY_RSS, kind, resident as f64 / MIB);
        self.add(MANY_ANONYMOUS, kind, anonymous as f64 / MIB);
        self.add(MANY_DISK, kind, disk_usage(&server.dir().join("store/consumequeue"))? as f64 / MIB);
        Ok(())
    }

    fn pop(&mut self, kind: Kind) -> Result<()> {
        self.settle()?;
        let server = Server::start(&self.installed, kind, Flush::Async)?;
        // Fewer messages for a server that would be popping them for minutes: a group that is through begins anew.
        let prefill = match kind {
            Kind::Ferro => self.args.prefill,
            Kind::Java => self.args.prefill.min(1_000_000),
        }
        .to_string();
        for (acks, rate, cpu, p99) in
            [("single", POP_RATE, POP_CPU, POP_P99), ("batch", POP_BATCH_RATE, POP_BATCH_CPU, POP_BATCH_P99)]
        {
            let command = ["pop", "--in-flight", "4", "--prefill", &prefill, "--acks", acks];
            let report = self.load(&server, &command)?;
            self.note(rate, kind, &report, "/messages_per_second")?;
            self.note(cpu, kind, &report, "/server_cpu_per_message")?;
            self.note(p99, kind, &report, "/latency/p99")?;
            self.note(POP_AGAIN, kind, &report, "/again")?;
        }
        Ok(())
    }

    fn timers(&mut self, kind: Kind) -> Result<()> {
        const KIB: f64 = 1024.0;
        self.settle()?;
        let server = Server::start(&self.installed, kind, Flush::Async)?;
        let (count, rate) = (self.args.timers.to_string(), self.args.timer_rate.to_string());
        // Accepting has to be over by then; what takes longer is an error of the run.
        let (ahead, warm_up) = match kind {
            Kind::Ferro => ("20", 0),
            Kind::Java => ("150", 5),
        };
        let command = ["timers", "--count", &count, "--rate", &rate, "--ahead", ahead, "--patience", "120"];
        let report = self.load_after(&server, &command, warm_up)?;
        self.note(TIMER_RATE, kind, &report, "/accepted_per_second")?;
        self.note(TIMER_ACCEPT_CPU, kind, &report, "/accepting_cpu_per_message")?;
        self.note(TIMER_DELIVER_CPU, kind, &report, "/delivering_cpu_per_message")?;
        for (figure, pointer) in
            [(TIMER_LAG_P50, "/lag/p50"), (TIMER_LAG_P99, "/lag/p99"), (TIMER_LAG_MAX, "/lag/max")]
        {
            self.add(figure, kind, number(&report, pointer)? / 1e3);
        }
        for (figure, pointer) in [
            (TIMER_RSS_BEFORE, "/memory/before/resident"),
            (TIMER_RSS, "/memory/pending/resident"),
            (TIMER_ANONYMOUS_BEFORE, "/memory/before/anonymous"),
            (TIMER_ANONYMOUS, "/memory/pending/anonymous"),
            (TIMER_ANONYMOUS_MOST, "/memory/most/anonymous"),
        ] {
            self.add(figure, kind, number(&report, pointer)? / KIB / KIB);
        }
        self.note(TIMER_MISSING, kind, &report, "/missing")?;
        self.note(TIMER_AGAIN, kind, &report, "/again")?;
        self.note(TIMER_EARLY, kind, &report, "/early")
    }

    fn filter(&mut self) -> Result<()> {
        let output =
            Command::new(&self.installed.ferromq).args(["bench", "filter", "--output", "json"]).output()?;
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let report: Value = serde_json::from_str(line)?;
            let name = report["name"].as_str().unwrap_or_default();
            if let Some(figure) =
                FILTERS.iter().find(|figure| figure.ends_with(&format!("{name}, million/s")))
            {
                self.add(figure, Of::Ferro, number(&report, "/per_second")? / 1e6);
                self.add(figure, Of::Floor, number(&report, "/floor_per_second")? / 1e6);
            }
        }
        Ok(())
    }

    fn floor(&mut self) -> Result<()> {
        let listen = "127.0.0.1:20909";
        let mut floor = Command::new(&self.installed.ferromq)
            .args(["bench", "floor-server", "--listen", listen, "--dir"])
            .arg(&self.installed.work)
            .spawn()?;
        let pid = floor.id().to_string();
        let mut result = Err(anyhow::anyhow!("the floor server does not start"));
        for _ in 0..50 {
            std::thread::sleep(Duration::from_millis(100));
            if std::net::TcpStream::connect(listen).is_ok() {
                let warm_up = self.args.ferro_warmup;
                result = self.measure(&["send", "--broker", listen, "--server-pid", &pid], warm_up);
                break;
            }
        }
        floor.kill()?;
        floor.wait()?;
        let report = result?;
        self.add(SEND_RATE, Of::Floor, number(&report, "/messages_per_second")?);
        self.add(SEND_CPU, Of::Floor, number(&report, "/server_cpu_per_message")?);
        Ok(())
    }

    fn disk(&mut self) -> Result<()> {
        let output = Command::new(&self.installed.ferromq)
            .args(["bench", "fsync", "--output", "json", "--dir"])
            .arg(&self.installed.work)
            .output()?;
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let report: Value = serde_json::from_str(line)?;
            if report["file"] == "written before" {
                self.add(SYNC_RATE, Of::Floor, number(&report, "/messages_per_second")?);
                self.add(SYNC_ALONE, Of::Floor, number(&report, "/p50")?);
            }
        }
        Ok(())
    }

    /// Loads `server` with `ferromq bench` and gives back what that measured.
    fn load(&self, server: &Server, command: &[&str]) -> Result<Value> {
        let warm_up = match server.kind() {
            Kind::Ferro => self.args.ferro_warmup,
            Kind::Java => self.args.java_warmup,
        };
        self.load_after(server, command, warm_up)
    }

    /// The same with a warm-up of its own.
    fn load_after(&self, server: &Server, command: &[&str], warm_up: u32) -> Result<Value> {
        let (namesrv, pid) = (format!("127.0.0.1:{}", server.namesrv_port), server.broker.id().to_string());
        let mut all = command.to_vec();
        all.extend(["--namesrv", &namesrv, "--server-pid", &pid]);
        self.measure(&all, warm_up)
    }

    fn measure(&self, command: &[&str], warm_up: u32) -> Result<Value> {
        let (duration, warm_up) = (self.args.duration.to_string(), warm_up.to_string());
        let output = Command::new(&self.installed.ferromq)
            .arg("bench")
            .args(command)
            .args(["--output", "json", "--duration", &duration, "--warmup", &warm_up])
            .stderr(std::process::Stdio::inherit())
            .output()?;
        if !output.status.success() {
            bail!("ferromq bench {} failed", command.join(" "));
        }
        let report: Value = serde_json::from_slice(&output.stdout)?;
        eprintln!("  {report}");
        if report["errors"].as_u64() > Some(report["messages"].as_u64().unwrap_or(0) / 10) {
            bail!("more than one in ten requests was refused: {report}");
        }
        Ok(report)
    }

    fn note(&mut self, figure: &'static str, kind: Kind, report: &Value, pointer: &str) -> Result<()> {
        self.add(figure, kind, number(report, pointer)?);
        Ok(())
    }

    fn add(&mut self, figure: &'static str, of: impl Into<Of>, value: f64) {
        self.figures.entry((figure, of.into())).or_default().push(value);
    }

    fn markdown(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{}\n", machine());
        let _ = writeln!(
            text,
            "Medians of {} repeats of {} s, in brackets the lowest and the highest. Before the repeats, other work kept \
             the processors busy to {} %.\n",
            self.args.repeats,
            self.args.duration,
            Spread::of(&self.elsewhere)
        );
        let _ =
            writeln!(text, "| | FerroMQ | Java {OFFICIAL_VERSION} | ratio | floor |\n|---|---|---|---|---|");
        for figure in FIGURES {
            let of = |of: Of| self.figures.get(&(*figure, of)).map(|values| Spread::of(values));
            let (ferro, java, floor) = (of(Of::Ferro), of(Of::Java), of(Of::Floor));
            if ferro.is_none() && java.is_none() {
                continue;
            }
            let ratio = match (&ferro, &java) {
                (Some(ferro), Some(java)) if java.median > 0.0 => {
                    format!("{:.3}", ferro.median / java.median)
                }
                _ => String::new(),
            };
            let show = |spread: Option<Spread>| spread.map(|spread| spread.to_string()).unwrap_or_default();
            let _ =
                writeln!(text, "| {figure} | {} | {} | {ratio} | {} |", show(ferro), show(java), show(floor));
        }
        text
    }
}

fn number(report: &Value, pointer: &str) -> Result<f64> {
    report
        .pointer(pointer)
        .and_then(Value::as_f64)
        .with_context(|| format!("{pointer} is missing in {report}"))
}

/// Bytes that files below `dir` take on the disk.
fn disk_usage(dir: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { disk_usage(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}

/// The share of all processors that is in use, watched for so long.
fn busy(time: Duration) -> Result<f64> {
    let read = || -> Result<(u64, u64)> {
        let stat = std::fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().context("/proc/stat is empty")?;
        // user, nice, system, idle, iowait, irq, softirq, steal
        let ticks: Vec<u64> =
            line.split_ascii_whitespace().skip(1).take(8).map(str::parse).collect::<Result<_, _>>()?;
        let idle = ticks.get(3).zip(ticks.get(4)).context("/proc/stat is not understood")?;
        Ok((ticks.iter().sum(), idle.0 + idle.1))
    };
    let before = read()?;
    std::thread::sleep(time);
    let after = read()?;
    let all = (after.0 - before.0).max(1);
    Ok(1.0 - (after.1 - before.1) as f64 / all as f64)
}

/// Commit, processor, memory, kernel and file system, for whoever compares runs.
fn machine() -> String {
    let run = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).current_dir(root()).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let field = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).ok()?;
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let commit = run("git", &["rev-parse", "--short", "HEAD"]).unwrap_or_default();
    let changed =
        run("git", &["status", "--porcelain", "--untracked-files=no"]).is_some_and(|text| !text.is_empty());
    let date = run("date", &["-u", "+%Y-%m-%d %H:%M UTC"]).unwrap_or_default();
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".into());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let target = target_dir().display().to_string();
    let disk = run("df", &["--output=fstype,source", &target])
        .and_then(|text| text.lines().last().map(str::to_owned));
    let java = Command::new("java")
        .arg("-version")
        .output()
        .ok()
        .and_then(|output| String::from_utf8_lossy(&output.stderr).lines().next().map(str::to_owned));
    format!(
        "Commit {commit}{}, {date}. {processor}, {cores} cores, {memory} of memory, Linux {}, {}; {}.",
        if changed { " with changes" } else { "" },
        kernel.trim(),
        disk.unwrap_or_default().split_ascii_whitespace().collect::<Vec<_>>().join(" on "),
        java.unwrap_or_else(|| "no Java".into())
    )
}
