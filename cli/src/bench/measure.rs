//! What a run measures: the window between warm-up and end, latencies, the server's CPU, the disk's flushes.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use hdrhistogram::Histogram;
use serde::Serialize;

use super::wire::Nanos;

/// Longest latency that is told apart, in nanoseconds.
pub(crate) const MAX_LATENCY: u64 = 120_000_000_000;
/// A run whose first answers are all refusals ends early.
const HOPELESS_AFTER: u64 = 1_000;

/// User and system time that a process, with all its threads, has used so far.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| format!("no CPU time of process {pid}"))?;
    // The command name may hold blanks and brackets: the numbers start behind the last bracket, with field 3.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace().collect();
    let ticks = |field: usize| -> Result<u64> {
        fields
            .get(field - 3)
            .and_then(|text| text.parse().ok())
            .with_context(|| format!("{path} is not understood"))
    };
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64((ticks(14)? + ticks(15)?) as f64 / per_second as f64))
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Memory {
    /// What of it is in memory, with the pages of mapped files.
    pub(crate) resident: u64,
    /// The part of it that belongs to no file.
    pub(crate) anonymous: u64,
}

impl Memory {
    /// What a process has now.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/status");
        let status = std::fs::read_to_string(&path).with_context(|| format!("no memory of process {pid}"))?;
        let field = |name: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
            Ok(kib.with_context(|| format!("{path} is not understood"))? * 1024)
        };
        Ok(Self { resident: field("VmRSS:")?, anonymous: field("RssAnon:")? })
    }
}

/// Flush commands that the disk under `path` has completed so far, whoever asked for them.
pub(crate) fn disk_flushes(path: &Path) -> Result<u64> {
    let device =
        std::fs::metadata(path).with_context(|| format!("no disk to watch under {}", path.display()))?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let stat = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
    // A partition does not count flushes, the disk that it is on does.
    for stat in [stat.join("../stat"), stat.join("stat")] {
        if let Ok(text) = std::fs::read_to_string(&stat)
            && let Some(flushes) = text.split_ascii_whitespace().nth(15)
        {
            return flushes.parse().with_context(|| format!("{} is not understood", stat.display()));
        }
    }
    bail!("{} lies on no block device whose flushes are counted", path.display())
}

/// Which phase a run is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Loading, nothing counts yet.
    WarmUp,
    /// Loading, everything counts.
    Measure,
    /// No new requests; what is in flight may still arrive.
    Drain,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::WarmUp => "warming up",
            Self::Measure => "measuring",
            Self::Drain => "ending",
        }
    }
}

/// What is watched beside the answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    /// The server's process.
    pub(crate) server: Option<u32>,
    /// A path on the disk whose flushes are counted.
    pub(crate) disk: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    server: Duration,
    own: Duration,
    flushes: u64,
}

impl Watched {
    fn read(&self) -> Result<Reading> {
        Ok(Reading {
            server: self.server.map(cpu_time).transpose()?.unwrap_or_default(),
            own: cpu_time(std::process::id())?,
            flushes: self.disk.as_deref().map(disk_flushes).transpose()?.unwrap_or_default(),
        })
    }
}

/// The counts of a run and the window they are taken in.
#[derive(Debug)]
pub(crate) struct Run {
    watched: Watched,
    phase: Phase,
    measure_from: Nanos,
    measure_until: Nanos,
    started: (Nanos, Reading),
    ended: (Nanos, Reading),
    latency: Histogram<u64>,
    messages: u64,
    bytes: u64,
    requests: u64,
    errors: u64,
    first_error: Option<String>,
    any_success: bool,
    progress: Progress,
}

impl Run {
    /// Starts now with the warm-up.
    pub(crate) fn new(now: Nanos, warm_up: Duration, duration: Duration, watched: Watched) -> Self {
        let measure_from = now + warm_up.as_nanos() as Nanos;
        Self {
            watched,
            phase: Phase::WarmUp,
            measure_from,
            measure_until: measure_from + duration.as_nanos() as Nanos,
            started: Default::default(),
            ended: Default::default(),
            latency: Histogram::new_with_max(MAX_LATENCY, 3).expect("constant bounds are valid"),
            messages: 0,
            bytes: 0,
            requests: 0,
            errors: 0,
            first_error: None,
            any_success: false,
            progress: Progress::new(now),
        }
    }

    /// Moves on to the phase that `now` lies in.
    pub(crate) fn turn(&mut self, now: Nanos) -> Result<Phase> {
        if self.phase == Phase::WarmUp && now >= self.measure_from {
            self.started = (now, self.watched.read()?);
            self.phase = Phase::Measure;
        }
        if self.phase == Phase::Measure && now >= self.measure_until {
            self.end(now)?;
        }
        self.progress.show(now, self.phase.name());
        Ok(self.phase)
    }

    /// Ends the measurement before its time: the load has nothing more to do.
    pub(crate) fn end(&mut self, now: Nanos) -> Result<()> {
        if self.phase == Phase::Measure {
            self.ended = (now, self.watched.read()?);
        }
        self.phase = Phase::Drain;
        Ok(())
    }

    /// The phase as of the last turn.
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// When the next phase begins.
    pub(crate) fn next_change(&self) -> Nanos {
        match self.phase {
            Phase::WarmUp => self.measure_from,
            Phase::Measure | Phase::Drain => self.measure_until,
        }
    }

    /// Whether something that began at `at` counts.
    pub(crate) fn counts(&self, at: Nanos) -> bool {
        (self.measure_from..self.measure_until).contains(&at)
    }

    /// A request was answered with `messages` messages in `bytes` bytes.
    pub(crate) fn answered(&mut self, messages: u64, bytes: u64) {
        self.any_success = true;
        self.progress.messages += messages;
        if self.phase == Phase::Measure {
            self.requests += 1;
            self.messages += messages;
            self.bytes += bytes;
        }
    }

    /// One message or request took so long.
    pub(crate) fn took(&mut self, latency: Nanos) {
        if self.phase != Phase::WarmUp {
            self.latency.saturating_record(latency.max(1));
        }
    }

    /// A request was refused.
    ///
    /// # Errors
    /// When nothing but refusals has come so far.
    pub(crate) fn refused(&mut self, code: i32, remark: impl FnOnce() -> String) -> Result<()> {
        self.errors += 1;
        if self.first_error.is_none() {
            self.first_error = Some(format!("code {code}: {}", remark()));
        }
        if !self.any_success && self.errors >= HOPELESS_AFTER {
            bail!("the server refuses every request, {}", self.first_error.as_deref().unwrap_or_default());
        }
        Ok(())
    }

    /// The result, after the run.
    pub(crate) fn report(self, what: String) -> Result<Report> {
        self.progress.clear();
        if self.messages == 0 {
            match self.first_error {
                Some(error) => bail!("no message went through, {error}"),
                None => bail!("no message went through in the measured time"),
            }
        }
        let ((from, before), (until, after)) = (self.started, self.ended);
        let seconds = (until - from) as f64 / 1e9;
        let messages = self.messages as f64;
        let per_message = |time: Duration| time.as_secs_f64() * 1e6 / messages;
        Ok(Report {
            what,
            seconds,
            messages: self.messages,
            errors: self.errors,
            first_error: self.first_error,
            messages_per_second: messages / seconds,
            mb_per_second: self.bytes as f64 / 1e6 / seconds,
            latency: Latency::of(&self.latency),
            server_cpu_per_message: self.watched.server.map(|_| per_message(after.server - before.server)),
            own_cpu_per_message: per_message(after.own - before.own),
            disk_flushes_per_1000: self
                .watched
                .disk
                .map(|_| (after.flushes - before.flushes) as f64 * 1000.0 / messages),
            missing: None,
            again: None,
        })
    }
}

/// Percentiles in microseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    counted: u64,
    mean: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Latency {
    /// Of nanoseconds.
    pub(crate) fn of(latency: &Histogram<u64>) -> Self {
        let percentile = |p: f64| latency.value_at_quantile(p) as f64 / 1000.0;
        Self {
            counted: latency.len(),
            mean: latency.mean() / 1000.0,
            p50: percentile(0.5),
            p90: percentile(0.9),
            p99: percentile(0.99),
            p999: percentile(0.999),
            max: latency.max() as f64 / 1000.0,
        }
    }
}

/// A result.
pub(crate) trait Printed: Serialize {
    /// The report for people.
    fn text(&self) -> String;
}

/// What a run showed. Times are microseconds, `MB` is a million bytes.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    what: String,
    seconds: f64,
    messages: u64,
    errors: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_error: Option<String>,
    messages_per_second: f64,
    mb_per_second: f64,
    latency: Latency,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_cpu_per_message: Option<f64>,
    own_cpu_per_message: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_flushes_per_1000: Option<f64>,
    /// End to end: messages that were acknowledged and never arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) missing: Option<u64>,
    /// Pops: messages that were handed out more than once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) again: Option<u64>,
}

impl Printed for Report {
    fn text(&self) -> String {
        let Latency { counted: _, mean, p50, p90, p99, p999, max } = self.latency;
        let mut text = String::new();
        let _ = writeln!(text, "{}", self.what);
        let _ = writeln!(
            text,
            "  rate       {:.0} messages/s, {:.1} MB/s ({} messages in {:.1} s)",
            self.messages_per_second, self.mb_per_second, self.messages, self.seconds
        );
        let _ = writeln!(
            text,
            "  latency    p50 {p50:.0} µs, p90 {p90:.0}, p99 {p99:.0}, p99.9 {p999:.0}, max {max:.0}, mean {mean:.0}"
        );
        if let Some(cpu) = self.server_cpu_per_message {
            let _ = writeln!(text, "  server CPU {cpu:.2} µs per message");
        }
        let _ = writeln!(text, "  load CPU   {:.2} µs per message", self.own_cpu_per_message);
        if let Some(flushes) = self.disk_flushes_per_1000 {
            let _ = writeln!(text, "  flushes    {flushes:.2} of the disk per 1000 messages");
        }
        if self.errors > 0 {
            let first = self.first_error.as_deref().unwrap_or_default();
            let _ = writeln!(text, "  refused    {} requests, the first: {first}", self.errors);
        }
        if let Some(missing) = self.missing.filter(|&missing| missing > 0) {
            let _ = writeln!(text, "  MISSING    {missing} messages were acknowledged and did not arrive");
        }
        if let Some(again) = self.again.filter(|&again| again > 0) {
            let _ = writeln!(text, "  AGAIN      {again} messages were handed out more than once");
        }
        text
    }
}

/// One line a second on a terminal's stderr.
#[derive(Debug)]
pub(crate) struct Progress {
    on: bool,
    began: Nanos,
    shown: Nanos,
    shown_messages: u64,
    /// Counted by who has it.
    pub(crate) messages: u64,
}

impl Progress {
    /// A run that began at `now`.
    pub(crate) fn new(now: Nanos) -> Self {
        Self { on: std::io::stderr().is_terminal(), began: now, shown: now, shown_messages: 0, messages: 0 }
    }

    /// Shows how it is going, if it is time to.
    pub(crate) fn show(&mut self, now: Nanos, phase: &str) {
        let since = now - self.shown;
        if !self.on || since < 1_000_000_000 {
            return;
        }
        let rate = (self.messages - self.shown_messages) as f64 * 1e9 / since as f64;
        // Progress is a courtesy: a closed stderr is no reason to stop.
        let _ = write!(
            std::io::stderr(),
            "\r\x1b[K{:4} s  {phase}  {rate:.0} messages/s",
            (now - self.began) / 1_000_000_000
        );
        (self.shown, self.shown_messages) = (now, self.messages);
    }

    /// Takes the line away.
    pub(crate) fn clear(&self) {
        if self.on {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happens_between_warm_up_and_end_counts() {
        let mut run = Run::new(0, Duration::from_secs(1), Duration::from_secs(2), Watched::default());
        run.turn(500).unwrap();
        run.answered(5, 50);
        run.took(1);
        assert_eq!(run.turn(1_000_000_000).unwrap(), Phase::Measure);
        run.answered(4, 40);
        run.took(7_000);
        assert_eq!(run.turn(3_000_000_000).unwrap(), Phase::Drain);
        run.answered(3, 30);
        let report = run.report("test".into()).unwrap();
        assert_eq!((report.messages, report.latency.counted), (4, 1));
        assert!((report.messages_per_second - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_server_that_refuses_everything_ends_the_run_with_its_words() {
        let mut run = Run::new(0, Duration::ZERO, Duration::from_secs(2), Watched::default());
        let error = (0..).find_map(|_| run.refused(17, || "topic[x] not exist".into()).err()).unwrap();
        assert!(error.to_string().contains("code 17: topic[x] not exist"), "{error}");
    }

    #[test]
    fn this_process_has_used_cpu_time() {
        let spin = std::time::Instant::now();
        while spin.elapsed() < Duration::from_millis(30) {}
        assert!(cpu_time(std::process::id()).unwrap() > Duration::ZERO);
    }
}
