//! `ferromq top`: who sends and reads how much, and who is behind.
//!
//! | module | what it holds |
//! |---|---|
//! | [`sample`] | what brokers say at a time |
//! | [`view`] | rates of two samples, as tables, text and JSON |
//! | [`screen`] | the terminal |
//!
//! Always true: rates are differences of what two samples count, so that they are right for any server, however it
//! averages its own.

mod sample;
mod screen;
mod view;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use ferromq_client::admin::Admin;
use tokio::time::sleep;

use crate::logging::LogArgs;
use crate::servers::{self, Servers};
use crate::stop::Signals;
use crate::when;

use sample::Sample;
use view::{Sort, View};

/// What asks brokers more often would itself be what they are busy with.
const LEAST_INTERVAL: Duration = Duration::from_millis(200);

const AFTER_HELP: &str = "\
Keys:
  r  sort by rate        l  sort by lag, topics by size        n  sort by name        q  quit

IN/S and OUT/S are messages a second over the last interval. A broker's OUT/S is what it handed out, that of a topic or a
group what was committed: many consumers commit every 5 s, so that a longer --interval shows a steadier rate.

Examples:
  ferromq top
  ferromq top --once --interval 10s
  ferromq top --once --output json | jq '.groups[] | select(.lag > 1000)'

Exit codes: 0, or 1 if it failed, 2 for wrong arguments, 3 if no NameServer could be reached.";

/// Watch rates and lag of brokers, topics and groups
///
/// On a terminal it goes on until q or Ctrl-C. With --once, or when standard output is no terminal, it measures over one
/// interval, prints that, and ends.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    servers: Servers,
    /// How long to measure, as in 500ms, 2s or 1m
    #[arg(long, default_value = "2s", value_name = "SPAN", value_parser = interval)]
    interval: Duration,
    /// Measure once, print and end
    #[arg(long)]
    once: bool,
    /// Tables for people, or one JSON object, which is printed as with --once
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Output,
    /// Topics and groups of brokers, too
    #[arg(long)]
    all: bool,
}

/// How a measurement is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Table,
    /// For scripts.
    Json,
}

fn interval(text: &str) -> Result<Duration, String> {
    let span = when::parse_span(text)?;
    if span < LEAST_INTERVAL || span > Duration::from_secs(3600) {
        return Err("allowed is 200ms to 1h".to_owned());
    }
    Ok(span)
}

impl TopArgs {
    /// Measures, and shows it.
    pub(crate) fn run(&self, logs: &LogArgs) -> ExitCode {
        servers::run("top", logs, self.watch())
    }

    async fn watch(&self) -> Result<ExitCode> {
        let mut signals = Signals::catch()?;
        let client = self.servers.builder()?.build()?;
        let admin = client.admin();
        let live = !self.once && self.output == Output::Table && io::stdout().is_terminal();
        let shown = async {
            if live { screen::watch(&admin, self.interval, self.all).await } else { self.print(&admin).await }
        };
        // Whatever is asked is not waited for: nothing is changed by it.
        let done = tokio::select! {
            done = shown => done,
            () = signals.next() => Ok(()),
        };
        drop(admin);
        client.close().await;
        done.map(|()| ExitCode::SUCCESS)
    }

    async fn print(&self, admin: &Admin) -> Result<()> {
        let before = Sample::take(admin, self.all).await?;
        sleep(self.interval).await;
        let now = Sample::take(admin, self.all).await?;
        let view = View::between(&before, &now, Sort::default());
        let mut stdout = io::stdout().lock();
        match self.output {
            Output::Table => stdout.write_all(view.text().as_bytes())?,
            Output::Json => writeln!(stdout, "{}", serde_json::to_string(&view)?)?,
        }
        Ok(())
    }
}
