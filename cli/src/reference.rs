//! The reference of all settings, printed from the rooms' tables: `docs/configuration.md` and `--help`.

use std::fmt::Write as _;

use clap::Args;
use ferromq_gateway::metrics;
use ferromq_gateway::remoting::compatibility;
use ferromq_model::config::Key;

use crate::foreign;
use crate::settings::{Config, Part};

/// Prints what can be set.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// Print a page of docs/ instead
    #[arg(long, hide = true)]
    page: Option<Page>,
}

/// Pages of docs/ that are printed from tables in the code.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Page {
    Configuration,
    Compatibility,
    Metrics,
}

impl ConfigArgs {
    /// The text that was asked for.
    pub(crate) fn text(&self) -> String {
        match self.page {
            None => text(|_| true),
            Some(Page::Configuration) => markdown(),
            Some(Page::Compatibility) => compatibility::markdown(),
            Some(Page::Metrics) => metrics::table::markdown(),
        }
    }
}

/// All settings of the parts that `wanted` chooses, for a terminal.
pub(crate) fn text(wanted: impl Fn(Part) -> bool) -> String {
    let mut text = String::new();
    for room in Config::default().rooms().into_iter().filter(|room| wanted(room.part)) {
        let _ = writeln!(text, "{}:", room.title);
        for key in room.settings.keys() {
            let default = key.default();
            let default = if default.is_empty() { "not set".to_owned() } else { default };
            let _ = writeln!(text, "  {}  [default: {default}]", key.name);
            wrap(&mut text, &key.meaning(), "      ");
            let _ =
                writeln!(text, "      Allowed: {}. A change applies {}.", allowed(key), key.applies.label());
        }
        text.push('\n');
    }
    text
}

fn allowed(key: &Key) -> String {
    match key.unit {
        Some(unit) if !key.allowed().contains(unit) => {
            format!("{} (a plain number counts {unit})", key.allowed())
        }
        _ => key.allowed(),
    }
}

fn wrap(out: &mut String, text: &str, indent: &str) {
    const WIDTH: usize = 100;
    let mut column = 0;
    for word in text.split_whitespace() {
        if column > 0 && column + 1 + word.len() > WIDTH {
            out.push('\n');
            column = 0;
        }
        out.push_str(if column == 0 { indent } else { " " });
        out.push_str(word);
        column += word.len() + if column == 0 { indent.len() } else { 1 };
    }
    out.push('\n');
}

const INTRODUCTION: &str = "\
# Configuration

<!-- Printed from the tables in the code by `cargo xtask docs`; edit those. -->

Keys have RocketMQ's names, meanings and units. They are set in a file given by `-c`, in Java's `.properties` format,
and by `--set key=value`. A later source wins: defaults, the environment's `NAMESRV_ADDR` (for `ferromq broker`), the
file, `-n` and `--store`, `--set`. `-p` prints the configuration in effect, and where each value came from.

* A **size** is a plain number of bytes, or one with `k`, `m` or `g` (`64KiB`, `512m`), which count in 1024s.
* A **time span** is a plain number in the unit of its key. Where that is milliseconds, `ms`, `s`, `m`, `h` or `d` may
  follow (`10s`).
* `true` and `false`, and words such as `SYNC_FLUSH`, may be written in any case; blanks around a value do not count.
* A value that is not allowed stops the start (exit code 2) with its file, line and key, and with what is allowed.
* A key that nobody knows is a warning which names the nearest one that is known.

Two defaults differ from RocketMQ's on purpose: `flushDiskType` is `SYNC_FLUSH`, so that what was acknowledged survives
a power cut, and `bindAddress` is `127.0.0.1`, so that nothing is reachable from elsewhere by accident.
";

/// The page `docs/configuration.md`.
fn markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    for room in Config::default().rooms() {
        let commands = match room.part {
            Part::Both => "all",
            Part::Namesrv => "`ferromq standalone`, `ferromq namesrv`",
            Part::Broker => "`ferromq standalone`, `ferromq broker`",
        };
        let _ = write!(page, "\n## {}\n\n{} Used by: {commands}.\n\n", room.title, room.settings.about());
        page.push_str("| Key | Meaning | Type | Default | Allowed | A change applies |\n");
        page.push_str("|---|---|---|---|---|---|\n");
        for key in room.settings.keys() {
            let kind = key.unit.map_or_else(|| key.kind.to_owned(), |unit| format!("{}, {unit}", key.kind));
            let (meaning, default, allowed) = (key.meaning(), key.default(), key.allowed());
            let applies = key.applies.label();
            let _ =
                writeln!(page, "| `{}` | {meaning} | {kind} | {default} | {allowed} | {applies} |", key.name);
        }
    }
    page.push_str(
        "\n## Known to RocketMQ, not honoured\n\nThese have no effect. Each that is set is named in a warning at \
         start, in other words than a key that nobody knows.\n",
    );
    for (about, names) in foreign::groups() {
        let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
        let _ = write!(page, "\n**{about}:** {}.\n", names.join(", "));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_page_is_the_one_that_the_tables_give() {
        for (page, text) in [("configuration", markdown()), ("metrics", metrics::table::markdown())] {
            let path = format!("{}/../docs/{page}.md", env!("CARGO_MANIFEST_DIR"));
            let committed = std::fs::read_to_string(path).unwrap_or_default();
            assert!(committed == text, "docs/{page}.md is stale: run `cargo xtask docs`");
        }
    }

    #[test]
    fn no_cell_of_the_page_breaks_its_table() {
        for line in markdown().lines().filter(|line| line.starts_with("| ")) {
            assert_eq!(line.matches('|').count(), 7, "{line}");
        }
    }
}
