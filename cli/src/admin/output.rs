//! Results for people and for scripts, and what went wrong.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use comfy_table::{CellAlignment, presets};
use ferromq_client::admin::{AdminError, BrokerNode, Failure, Gathered, PerBroker};
use ferromq_client::{ConfigError, Remedy};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::http::ApiError;
use crate::servers::{FAILED, UNREACHABLE, WRONG_ARGUMENTS};

/// Every value of every broker's table, with its broker: a row each.
pub(super) fn each_value<K, V: Clone>(found: &[PerBroker<BTreeMap<K, V>>]) -> Vec<PerBroker<V>> {
    let of_broker = |of: &PerBroker<BTreeMap<K, V>>| {
        let broker = of.broker.clone();
        of.value
            .values()
            .cloned()
            .map(move |value| PerBroker { broker: broker.clone(), value })
            .collect::<Vec<_>>()
    };
    found.iter().flat_map(of_broker).collect()
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Table,
    /// For scripts.
    Json,
}

/// Where results go.
pub(super) struct Out {
    format: Format,
    failed: Cell<bool>,
}

impl Out {
    pub(super) fn new(format: Format) -> Self {
        Self { format, failed: Cell::new(false) }
    }

    /// Prints a result.
    pub(super) fn show<T: Serialize>(&self, value: &T, table: impl FnOnce(&T) -> Table) -> Result<()> {
        let mut stdout = io::stdout().lock();
        match self.format {
            Format::Table => write!(stdout, "{}", table(value).text())?,
            Format::Json => writeln!(stdout, "{}", serde_json::to_string_pretty(value)?)?,
        }
        Ok(())
    }

    /// Prints what was put together of several servers, and who failed.
    pub(super) fn gathered<T: Serialize>(
        &self,
        gathered: &Gathered<T>,
        table: impl FnOnce(&T) -> Table,
    ) -> Result<()> {
        self.show(&gathered.value, table)?;
        self.failures(&gathered.failures);
        Ok(())
    }

    /// Says what was done, and by whom.
    pub(super) fn done(&self, what: &str, done: &Gathered<Vec<BrokerNode>>) -> Result<()> {
        self.gathered(done, |nodes| {
            let names: Vec<_> = nodes.iter().map(|node| node.name.to_string()).collect();
            Table::line(format!("{what}: {}", names.join(", ")))
        })
    }

    /// Tells which servers failed.
    pub(super) fn failures(&self, failures: &[Failure]) {
        for failure in failures {
            self.note_failure();
            match self.format {
                Format::Table => eprintln!("ferromq admin: {failure}"),
                Format::Json => {
                    eprintln!("{}", serde_json::to_string(failure).expect("texts and numbers"));
                }
            }
        }
    }

    /// The exit code is not to say that everything was done.
    pub(super) fn note_failure(&self) {
        self.failed.set(true);
    }

    /// A bar for work of so many steps: on a terminal only.
    pub(super) fn progress(&self, steps: u64, what: &'static str) -> ProgressBar {
        if !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}")
            .expect("a template that indicatif knows");
        ProgressBar::new(steps).with_style(style).with_message(what)
    }

    /// The exit code, with the reason on standard error.
    pub(super) fn end(&self, result: Result<()>) -> ExitCode {
        let Err(error) = result else {
            return if self.failed.get() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS };
        };
        // Whoever read the result has seen enough.
        let closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        if error.downcast_ref::<io::Error>().is_some_and(closed) {
            return ExitCode::SUCCESS;
        }
        let admin = error.downcast_ref::<AdminError>();
        // The client's errors name their causes themselves.
        let told = admin.map_or_else(|| format!("{error:#}"), ToString::to_string);
        match self.format {
            Format::Table => eprintln!("ferromq admin: {told}"),
            Format::Json => {
                let remedy = admin.map(|error| match error.remedy() {
                    Remedy::Retry => "retry",
                    Remedy::FixCall => "fix the call",
                    Remedy::AskOperator => "ask the operator",
                });
                let failures = match admin {
                    Some(AdminError::Everywhere { failures }) => failures.as_slice(),
                    _ => &[],
                };
                eprintln!("{}", serde_json::json!({"error": told, "remedy": remedy, "failures": failures}));
            }
        }
        ExitCode::from(match admin {
            Some(error) if error.is_unreachable() => UNREACHABLE,
            Some(AdminError::Invalid { .. } | AdminError::Name(_)) => WRONG_ARGUMENTS,
            Some(_) => FAILED,
            None if error.is::<ConfigError>() => WRONG_ARGUMENTS,
            None if matches!(error.downcast_ref(), Some(ApiError::Unreachable { .. })) => UNREACHABLE,
            None => FAILED,
        })
    }
}

/// A table without lines: columns are told apart by blanks, so that `awk` can read it, too.
pub(super) struct Table {
    inner: comfy_table::Table,
    right: &'static [usize],
    /// Text in place of a table.
    line: Option<String>,
}

impl Table {
    pub(super) fn new(header: &[&str]) -> Self {
        let mut inner = comfy_table::Table::new();
        inner.load_style(presets::NOTHING).set_header(header.iter().copied());
        Self { inner, right: &[], line: None }
    }

    /// These columns are numbers.
    pub(super) fn right(mut self, columns: &'static [usize]) -> Self {
        self.right = columns;
        self
    }

    /// No table at all, but a line.
    pub(super) fn line(text: impl Into<String>) -> Self {
        Self { line: Some(text.into()), ..Self::new(&[]) }
    }

    pub(super) fn row<T: ToString>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.inner.add_row(cells.into_iter().map(|cell| cell.to_string()).collect::<Vec<_>>());
    }

    fn text(mut self) -> String {
        if let Some(mut line) = self.line {
            line.push('\n');
            return line;
        }
        for (index, column) in self.inner.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if self.right.contains(&index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut text = self.inner.trim_fmt();
        text.push('\n');
        text
    }
}

/// Names and values, one a line.
pub(super) fn pairs<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> Table {
    let mut table = Table::new(&["KEY", "VALUE"]);
    pairs.into_iter().for_each(|(key, value)| table.row([key, value]));
    table
}

/// Something that may not be there.
pub(super) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
