//! The figures of all rounds as Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use ferromq_tests::Kind;

use crate::load::{Figures, Load};
use crate::{Args, JAVA, Side};

/// The figures by load, each with the two sides' values of all rounds.
#[derive(Debug, Default)]
pub(crate) struct Table {
    ours: BTreeMap<Load, Vec<Figures>>,
    java: BTreeMap<Load, Vec<Figures>>,
}

/// What is told of each load: its name, how it follows from a client's figures, and whether a ratio says something.
type Row = (&'static str, fn(&Figures) -> Option<f64>, bool);

const ROWS: [Row; 7] = [
    ("messages/s", |f| Some(f.messages as f64 / f.seconds), true),
    ("messages per CPU second", |f| Some(f.messages as f64 / f.cpu_seconds), true),
    ("CPU µs a message", |f| Some(f.cpu_seconds * 1e6 / f.messages as f64), true),
    ("p50 µs", |f| f.latency.as_ref().map(|l| l.p50), true),
    ("p99 µs", |f| f.latency.as_ref().map(|l| l.p99), true),
    ("allocations a message", |f| f.allocated.as_ref().map(|a| a.allocations), false),
    ("bytes allocated a message", |f| f.allocated.as_ref().map(|a| a.allocated_bytes), false),
];

impl Table {
    /// Adds what one client printed in one round.
    pub(crate) fn add(&mut self, load: Load, side: Side, figures: Figures) {
        let of = match side {
            Side::Ours => &mut self.ours,
            Side::Java => &mut self.java,
        };
        of.entry(load).or_default().push(figures);
    }

    /// The section for docs/benchmarks.md.
    pub(crate) fn markdown(&self, args: &Args) -> String {
        let mut text = String::new();
        let run = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output();
            output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
        };
        let _ = writeln!(
            text,
            "Commit {}, {}, {} cores, Linux {}. Server: {}, bodies of {} bytes. Medians of {} rounds of {} s, in brackets \
             the lowest and the highest.\n",
            run("git", &["rev-parse", "--short", "HEAD"]),
            run("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
            std::thread::available_parallelism().map_or(0, usize::from),
            run("uname", &["-r"]),
            match args.server {
                Kind::Ferro => "FerroMQ".to_owned(),
                Kind::Official(version) => format!("the official one, {version}"),
            },
            args.body,
            args.rounds,
            args.seconds,
        );
        let _ = writeln!(text, "| | FerroMQ client | {JAVA} | ratio |\n|---|---|---|---|");
        for (&load, ours) in &self.ours {
            let java = self.java.get(&load).map_or(&[][..], Vec::as_slice);
            for (name, value, compared) in ROWS {
                let (ours, java) = (Spread::of(ours, value), Spread::of(java, value));
                let Some(ours) = ours else { continue };
                let ratio = match &java {
                    Some(java) if compared && java.median > 0.0 => {
                        format!("{:.2}", ours.median / java.median)
                    }
                    _ => String::new(),
                };
                let java = java.map(|java| java.to_string()).unwrap_or_default();
                let many = load.many(args.messages);
                let what = match load {
                    Load::Sync => format!("sync, {many} callers"),
                    Load::Async => format!("async, {many} in flight"),
                    Load::Consume => "consumption".to_owned(),
                };
                let _ = writeln!(text, "| {what}: {name} | {ours} | {java} | {ratio} |");
            }
        }
        text
    }
}

/// A figure's values in all rounds.
#[derive(Debug)]
struct Spread {
    lowest: f64,
    median: f64,
    highest: f64,
}

impl Spread {
    /// Of a figure that every round has.
    fn of(rounds: &[Figures], value: fn(&Figures) -> Option<f64>) -> Option<Self> {
        let mut values: Vec<f64> = rounds.iter().map(value).collect::<Option<_>>()?;
        values.sort_by(f64::total_cmp);
        let (lowest, highest) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        Some(Self { lowest, median, highest })
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = if self.median < 100.0 { 2 } else { 0 };
        let Self { lowest, median, highest } = self;
        write!(f, "**{median:.digits$}** ({lowest:.digits$} – {highest:.digits$})")
    }
}
