//! What became of the lines: told while it goes on, and summed up at the end.

use std::fmt;
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::Instant;

use ferromq_client::{SendReceipt, SendStatus};
use indicatif::{ProgressBar, ProgressStyle};

use crate::servers::FAILED;

/// So many lines with something wrong are told one by one.
const MAX_TOLD: u64 = 20;

/// Counts lines by what became of them.
pub(super) struct Tally {
    begun: Instant,
    stored: u64,
    /// Of those, how many are not known to be as safe as the broker makes messages.
    unsafe_yet: u64,
    failed: u64,
    skipped: u64,
    progress: ProgressBar,
}

impl Tally {
    pub(super) fn new() -> Self {
        // Not while somebody types.
        let shown = io::stderr().is_terminal() && !io::stdin().is_terminal();
        let progress = if shown { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{spinner} {human_pos} sent, {per_sec}")
            .expect("a template that indicatif knows");
        Self {
            begun: Instant::now(),
            stored: 0,
            unsafe_yet: 0,
            failed: 0,
            skipped: 0,
            progress: progress.with_style(style),
        }
    }

    pub(super) fn stored(&mut self, receipts: &[SendReceipt]) {
        self.stored += receipts.len() as u64;
        let unsafe_yet = receipts.iter().filter(|receipt| receipt.status != SendStatus::Stored);
        self.unsafe_yet += unsafe_yet.count() as u64;
        self.progress.set_position(self.stored);
    }

    /// `line` is 0 where there is none.
    pub(super) fn failed(&mut self, line: u64, error: &dyn fmt::Display) {
        self.failed += 1;
        match line {
            0 => self.tell(format_args!("{error}")),
            _ => self.tell(format_args!("line {line}: {error}")),
        }
    }

    pub(super) fn skipped(&mut self, line: u64) {
        self.skipped += 1;
        self.tell(format_args!("line {line} is empty: skipped"));
    }

    fn tell(&self, what: fmt::Arguments<'_>) {
        let told = self.failed + self.skipped;
        self.progress.suspend(|| {
            if told <= MAX_TOLD {
                eprintln!("ferromq produce: {what}");
            }
            if told == MAX_TOLD {
                eprintln!("ferromq produce: more of this is counted, and not told");
            }
        });
    }

    /// Says how it went.
    pub(super) fn end(self) -> ExitCode {
        self.progress.finish_and_clear();
        let seconds = self.begun.elapsed().as_secs_f64();
        let mut summary = format!("sent {}, failed {}", self.stored, self.failed);
        if self.skipped > 0 {
            summary.push_str(&format!(", skipped {} empty", self.skipped));
        }
        summary.push_str(&format!(" in {seconds:.2} s: {:.0} messages/s", self.stored as f64 / seconds));
        eprintln!("{summary}");
        if self.unsafe_yet > 0 {
            eprintln!("{} of them are stored, but not known to be flushed or replicated", self.unsafe_yet);
        }
        if self.failed > 0 { ExitCode::from(FAILED) } else { ExitCode::SUCCESS }
    }
}
