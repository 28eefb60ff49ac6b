//! Messages out of a topic and into one: exported, imported, copied.
//!
//! ```text
//! topic ── Scan ──▶ lines of JSON + cursor file ──▶ import ──▶ topic
//!            └───────────────── copy ──────────────────▶ topic
//! ```
//! Always true:
//! * the cursor is written behind what it covers: what was cut off in between is repeated, never left out;
//! * messages of one queue keep their order, since they go to one queue; different queues go at the same time.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ferromq_client::MessageQueue;
use ferromq_client::admin::messages::Copy;
use ferromq_client::admin::{Admin, AdminError, Cursor};
use ferromq_model::Timestamp;
use futures_util::future::try_join_all;

use super::message::{Printed, span};
use super::output::{Out, Table};
use crate::when;

/// Lines that are sent before the cursor is written.
const CURSOR_EVERY: usize = 1024;

#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// The topic
    topic: String,
    /// The file; - for standard output
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Keeps where the export is in this file, and goes on from there if it is there already
    #[arg(long, value_name = "FILE")]
    cursor: Option<PathBuf>,
    /// Stored at this time or later
    #[arg(long, value_parser = when::parse, value_name = "TIME")]
    begin: Option<Timestamp>,
    /// Stored at this time or earlier
    #[arg(long, value_parser = when::parse, value_name = "TIME")]
    end: Option<Timestamp>,
}

#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// The file; - for standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    /// The topic; the one that each line names by default
    #[arg(long, short = 't')]
    topic: Option<String>,
    /// Keeps how many lines are sent in this file, and goes on behind them if it is there already
    #[arg(long, value_name = "FILE")]
    cursor: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct CopyArgs {
    /// The topic that is read
    from: String,
    /// The topic that is written; it has to be there
    to: String,
    /// Keeps where the copy is in this file, and goes on from there if it is there already
    #[arg(long, value_name = "FILE")]
    cursor: Option<PathBuf>,
    /// Stored at this time or later
    #[arg(long, value_parser = when::parse, value_name = "TIME")]
    begin: Option<Timestamp>,
    /// Stored at this time or earlier
    #[arg(long, value_parser = when::parse, value_name = "TIME")]
    end: Option<Timestamp>,
}

/// Reads a cursor; that of a file that is not there is at the begin.
fn read_cursor<T: serde::de::DeserializeOwned + Default>(file: Option<&Path>) -> Result<T> {
    let Some(file) = file else { return Ok(T::default()) };
    match fs::read(file) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).with_context(|| format!("{} is no cursor", file.display()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

/// Writes a cursor; whoever reads it sees the old one or the new one.
fn write_cursor(file: Option<&Path>, cursor: &impl serde::Serialize) -> Result<()> {
    let Some(file) = file else { return Ok(()) };
    let mut name = file.as_os_str().to_owned();
    name.push(".tmp");
    let fresh = PathBuf::from(name);
    fs::write(&fresh, serde_json::to_vec(cursor)?)
        .and_then(|()| fs::rename(&fresh, file))
        .with_context(|| format!("cannot write {}", file.display()))
}

fn is_standard(file: &Path) -> bool {
    file.as_os_str() == "-"
}

pub(super) async fn export(admin: &Admin, out: &Out, args: &ExportArgs) -> Result<()> {
    let cursor: Cursor = read_cursor(args.cursor.as_deref())?;
    let goes_on = cursor != Cursor::default();
    let mut scan = admin.scan(&args.topic, span(args.begin, args.end), cursor).await?;
    let mut file: Box<dyn Write> = if is_standard(&args.file) {
        Box::new(io::stdout())
    } else {
        let opened =
            OpenOptions::new().create(true).write(true).append(goes_on).truncate(!goes_on).open(&args.file);
        Box::new(opened.with_context(|| format!("cannot write {}", args.file.display()))?)
    };
    let bar = out.progress(scan.total(), "exporting");
    let (total, mut exported) = (scan.total(), 0u64);
    let mut lines = BufWriter::new(&mut file);
    while let Some(messages) = scan.next().await? {
        for message in &messages {
            serde_json::to_writer(&mut lines, &Printed::of(message))?;
            lines.write_all(b"\n")?;
        }
        exported += messages.len() as u64;
        if args.cursor.is_some() {
            lines.flush()?;
            write_cursor(args.cursor.as_deref(), scan.cursor())?;
        }
        bar.set_position(total - scan.left());
    }
    lines.flush()?;
    write_cursor(args.cursor.as_deref(), scan.cursor())?;
    bar.finish_and_clear();
    // Standard output may be the export.
    eprintln!("exported {exported} messages of {}", args.topic);
    Ok(())
}

pub(super) async fn import(admin: &Admin, out: &Out, args: &ImportArgs) -> Result<()> {
    let done: u64 = read_cursor(args.cursor.as_deref())?;
    let (input, size): (Box<dyn BufRead>, u64) = if is_standard(&args.file) {
        (Box::new(io::stdin().lock()), 0)
    } else {
        let file = File::open(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
        let size = file.metadata()?.len();
        (Box::new(BufReader::new(file)), size)
    };
    let bar = out.progress(size, "importing");
    let mut targets = Targets::default();
    let (mut line, mut waiting, mut read) = (0u64, Lanes::default(), 0u64);
    for text in input.lines() {
        let text = text?;
        line += 1;
        read += text.len() as u64 + 1;
        if line <= done || text.trim().is_empty() {
            continue;
        }
        let message: Printed =
            serde_json::from_str(&text).with_context(|| format!("line {line} is no message"))?;
        let copy = message.copy().with_context(|| format!("line {line}"))?;
        let topic = args.topic.as_deref().unwrap_or(&message.topic);
        let queue = targets.queue(admin, topic, &message.broker, message.queue).await?;
        waiting.push(queue, copy);
        if waiting.len >= CURSOR_EVERY {
            waiting.send(admin).await?;
            write_cursor(args.cursor.as_deref(), &line)?;
            bar.set_position(read.min(size));
        }
    }
    waiting.send(admin).await?;
    write_cursor(args.cursor.as_deref(), &line.max(done))?;
    bar.finish_and_clear();
    let imported = waiting.sent;
    out.show(&serde_json::json!({"imported": imported}), |_| {
        Table::line(format!("imported {imported} messages"))
    })
}

pub(super) async fn copy(admin: &Admin, out: &Out, args: &CopyArgs) -> Result<()> {
    let cursor: Cursor = read_cursor(args.cursor.as_deref())?;
    let mut scan = admin.scan(&args.from, span(args.begin, args.end), cursor).await?;
    let bar = out.progress(scan.total(), "copying");
    let total = scan.total();
    let mut targets = Targets::default();
    let mut waiting = Lanes::default();
    while let Some(messages) = scan.next().await? {
        for message in &messages {
            let from = message.queue();
            let queue = targets.queue(admin, &args.to, &from.broker, from.id.0).await?;
            waiting.push(queue, Copy::of(message));
        }
        if args.cursor.is_some() || waiting.len >= CURSOR_EVERY {
            waiting.send(admin).await?;
            write_cursor(args.cursor.as_deref(), scan.cursor())?;
        }
        bar.set_position(total - scan.left());
    }
    waiting.send(admin).await?;
    write_cursor(args.cursor.as_deref(), scan.cursor())?;
    bar.finish_and_clear();
    let copied = waiting.sent;
    out.show(&serde_json::json!({"copied": copied}), |_| Table::line(format!("copied {copied} messages")))
}

/// Messages that wait to be sent, by queue.
#[derive(Default)]
struct Lanes {
    by_queue: BTreeMap<MessageQueue, Vec<Copy>>,
    len: usize,
    sent: u64,
}

impl Lanes {
    fn push(&mut self, queue: MessageQueue, copy: Copy) {
        self.by_queue.entry(queue).or_default().push(copy);
        self.len += 1;
    }

    /// Sends them, each queue's one behind the other.
    async fn send(&mut self, admin: &Admin) -> Result<(), AdminError> {
        let lanes = std::mem::take(&mut self.by_queue);
        try_join_all(lanes.iter().map(|(queue, copies)| async move {
            for copy in copies {
                admin.store_copy(queue, copy).await?;
            }
            Ok::<_, AdminError>(())
        }))
        .await?;
        self.sent += std::mem::take(&mut self.len) as u64;
        Ok(())
    }
}

/// Which queue messages of a queue elsewhere go to: always the same.
#[derive(Default)]
struct Targets {
    by_topic: BTreeMap<String, Vec<MessageQueue>>,
}

impl Targets {
    async fn queue(
        &mut self,
        admin: &Admin,
        topic: &str,
        broker: &str,
        number: u32,
    ) -> Result<MessageQueue, AdminError> {
        if !self.by_topic.contains_key(topic) {
            let writable = admin.topic_route(topic).await?.writable.to_vec();
            self.by_topic.insert(topic.to_owned(), writable);
        }
        let queues = &self.by_topic[topic];
        let same = queues.iter().find(|queue| *queue.broker == *broker && queue.id.0 == number);
        let other = || queues.get(number as usize % queues.len().max(1));
        same.or_else(other).cloned().ok_or_else(|| AdminError::Unsupported {
            what: format!("topic {topic} has no queue that can be written"),
        })
    }
}
