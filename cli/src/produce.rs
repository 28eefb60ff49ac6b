//! `ferromq produce`: lines of standard input become messages.
//!
//! ```text
//! stdin ─▶ Lines ─▶ message ─▶ Lanes ─▶ in flight ─▶ Tally ─▶ summary, exit code
//! ```
//! Always true:
//! * every line that was read is sent, told to have failed, or told to be empty, before the command ends;
//! * lines of one sharding key are stored in their order;
//! * what is read and not yet stored is bounded by count and by bytes.

mod input;
mod lanes;
mod tally;

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ferromq_client::{
    BatchError, InvalidMessage, Message, MessageBuilder, Producer, RouteError, SendError, SendReceipt,
};
use ferromq_model::TopicName;
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};

use crate::line::Line;
use crate::logging::LogArgs;
use crate::servers::{self, Servers};
use crate::stop::Signals;
use crate::when;

use input::{InputError, InputLine, Lines};
use lanes::{Item, Lanes};
use tally::Tally;

/// Messages that are read and not yet stored; as many lines more as came at once.
const MAX_PENDING: usize = 1024;
/// Bytes of their bodies.
const MAX_PENDING_BYTES: usize = 64 << 20;
/// The largest body: what brokers take unless they are configured otherwise.
const MAX_BODY: usize = 4 << 20;

/// How long sending may take: a broker that is started anew is no reason to lose a line.
const SEND_LIMIT: Duration = Duration::from_secs(30);
const RETRIES: u32 = 10;

const AFTER_HELP: &str = "\
Examples:
  echo hello | ferromq produce Hello
  tail -f app.log | ferromq produce Logs --tag app
  ferromq produce Orders --sharding-key 4711 < events.txt
  ferromq produce Pictures --file cat.jpg --key cat
  ferromq consume Orders --from first --output json --timeout 5s | ferromq produce --json Copy

A line for --json: {\"body\": \"hello\", \"tag\": \"a\", \"keys\": [\"k1\"], \"shardingKey\": \"4711\", \"properties\": {\"colour\": \"blue\"}}
with bodyBase64 in place of body for what is no text. Only the body has to be there.

Exit codes:
  0  everything is stored
  1  a message failed: standard error says which line, and why
  2  wrong arguments
  3  no NameServer could be reached";

/// Send lines of standard input as messages
///
/// Each line is a message. Many are in flight at a time; those of one sharding key are stored in the order of their lines.
/// At the end of the input, or at Ctrl-C, it waits for what is in flight and says on standard error how many were sent.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ProduceArgs {
    #[command(flatten)]
    servers: Servers,
    /// The topic
    topic: String,
    /// A key, by which messages can be found; may be repeated
    #[arg(long, short = 'k')]
    key: Vec<String>,
    /// The tag, by which consumers filter
    #[arg(long)]
    tag: Option<String>,
    /// A property; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    property: Vec<(String, String)>,
    /// Messages of one sharding key go to one queue, in order
    #[arg(long, value_name = "KEY")]
    sharding_key: Option<String>,
    /// Deliver so much later, as in 10s, 5m or 2h; needs brokers of 5.0 or later
    #[arg(long, value_name = "SPAN", value_parser = when::parse_span)]
    delay: Option<Duration>,
    /// Lines are JSON objects, as `ferromq consume --output json` prints them; options are for what these leave out
    #[arg(long)]
    json: bool,
    /// Send a whole file as one message; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    file: Option<PathBuf>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it has no \"=\"")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl ProduceArgs {
    /// Sends, and says how it went.
    pub(crate) fn run(&self, logs: &LogArgs) -> ExitCode {
        servers::run("produce", logs, self.produce())
    }

    async fn produce(&self) -> Result<ExitCode> {
        let topic = TopicName::new(&self.topic)?;
        // What is wrong with the options is told before the first line is read.
        self.options(&topic, &Line::default()).body("x").build()?;
        let client = self.servers.builder()?.build()?;
        match client.route(&topic).await {
            // A broker may create it.
            Ok(_) | Err(RouteError::NoSuchTopic { .. } | RouteError::NoQueue { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let producer = client
            .producer("ferromq-produce")
            .max_message_size(MAX_BODY)
            .send_timeout(SEND_LIMIT)
            .retries(RETRIES)
            .build()?;
        let mut sending = Sending::new(producer.clone(), self.delay.is_none());
        match &self.file {
            Some(file) => {
                let body = read_file(file).await?;
                sending.take(0, self.options(&topic, &Line::default()).body(body).build());
            }
            None => self.send_lines(&topic, &mut sending).await?,
        }
        while sending.settle().await {}
        producer.close().await;
        client.close().await;
        Ok(sending.tally.end())
    }

    /// Sends lines until there are no more, or a signal says that it is enough.
    async fn send_lines(&self, topic: &TopicName, sending: &mut Sending) -> Result<()> {
        let mut signals = Signals::catch()?;
        let mut reading = read(Lines::of(File::from(io::stdin().as_fd().try_clone_to_owned()?)));
        loop {
            tokio::select! {
                // The read that is under way is left alone: what it waits for may never come.
                () = signals.next() => break,
                read = &mut reading, if sending.has_room() => {
                    let (lines, came) = read.context("the reader failed")?;
                    match came {
                        Ok(came) if came.is_empty() => return Ok(()),
                        Ok(came) => came.into_iter().for_each(|line| self.take(topic, line, sending)),
                        Err(error) => {
                            sending.tally.failed(0, &error);
                            return Ok(());
                        }
                    }
                    reading = self::read(lines);
                }
                true = sending.settle() => {}
            }
        }
        eprintln!("stopping: waiting for what is in flight");
        tokio::select! {
            () = signals.next() => servers::end_at_once(),
            () = async { while sending.settle().await {} } => Ok(()),
        }
    }

    fn take(&self, topic: &TopicName, line: InputLine, sending: &mut Sending) {
        if line.bytes.is_empty() {
            return sending.tally.skipped(line.number);
        }
        let built = if self.json {
            Line::read(&line.bytes).and_then(|said| {
                let options = self.options(topic, &said);
                said.put_into(options)
            })
        } else {
            Ok(self.options(topic, &Line::default()).body(line.bytes))
        };
        match built {
            Ok(message) => sending.take(line.number, message.build()),
            Err(error) => sending.tally.failed(line.number, &error),
        }
    }

    /// A message with what the options say and the line does not.
    fn options(&self, topic: &TopicName, said: &Line) -> MessageBuilder {
        let mut message = Message::builder_of(topic);
        if let Some(tag) = self.tag.as_ref().filter(|_| !said.has_tag()) {
            message = message.tag(tag);
        }
        if let Some(key) = self.sharding_key.as_ref().filter(|_| !said.has_sharding_key()) {
            message = message.sharding_key(key);
        }
        if let Some(delay) = self.delay {
            message = message.deliver_after(delay);
        }
        for (name, value) in self.property.iter().filter(|(name, _)| !said.has_property(name)) {
            message = message.property(name, value);
        }
        self.key.iter().fold(message, |message, key| message.key(key))
    }
}

/// Lines that came, none at the end, or why there are no more.
type Came = Result<Vec<InputLine>, InputError>;

/// Reads further lines, on a thread that may wait for them.
fn read(mut lines: Lines<File>) -> JoinHandle<(Lines<File>, Came)> {
    spawn_blocking(move || {
        let came = lines.read();
        (lines, came)
    })
}

async fn read_file(path: &Path) -> Result<Vec<u8>> {
    let told = format!("cannot read {}", path.display());
    let path = path.to_owned();
    let read = spawn_blocking(move || {
        let mut bytes = Vec::new();
        // One byte more than a message may have, so that what is too large shows.
        let most = MAX_BODY as u64 + 1;
        match path.as_os_str() == "-" {
            true => io::stdin().lock().take(most).read_to_end(&mut bytes),
            false => File::open(&path)?.take(most).read_to_end(&mut bytes),
        }?;
        io::Result::Ok(bytes)
    });
    let read: io::Result<_> = read.await.context("the reader failed")?;
    read.map_err(|error| anyhow::anyhow!("{told}: {error}"))
}

/// What is read and not yet stored.
struct Sending {
    producer: Producer,
    lanes: Lanes,
    in_flight: JoinSet<Ended>,
    pending: usize,
    pending_bytes: usize,
    tally: Tally,
}

/// What was in flight together: one message, or some of one sharding key.
struct Ended {
    key: Option<String>,
    /// Lines, and the bytes of their bodies.
    lines: Vec<(u64, usize)>,
    /// Of the first of them.
    receipts: Vec<SendReceipt>,
    /// Of the others.
    error: Option<SendError>,
}

impl Sending {
    fn new(producer: Producer, batches: bool) -> Self {
        Self {
            producer,
            lanes: Lanes::new(batches),
            in_flight: JoinSet::new(),
            pending: 0,
            pending_bytes: 0,
            tally: Tally::new(),
        }
    }

    fn has_room(&self) -> bool {
        self.pending < MAX_PENDING && self.pending_bytes < MAX_PENDING_BYTES
    }

    fn take(&mut self, line: u64, message: Result<Message, InvalidMessage>) {
        let message = match message {
            Ok(message) => message,
            Err(error) => return self.tally.failed(line, &error),
        };
        let len = message.body().len();
        if len > MAX_BODY {
            // Alone, before it fails those that it would travel with.
            return self.tally.failed(line, &SendError::TooLarge { len, limit: MAX_BODY });
        }
        self.pending += 1;
        self.pending_bytes += len;
        if let Some(item) = self.lanes.admit(Item { line, message }) {
            self.in_flight.spawn(send(self.producer.clone(), vec![item]));
        }
    }

    /// Waits until something is no longer in flight; returns whether there was anything.
    async fn settle(&mut self) -> bool {
        let Some(ended) = self.in_flight.join_next().await else { return false };
        let ended = ended.expect("sending neither panics nor is it aborted");
        self.pending -= ended.lines.len();
        self.pending_bytes -= ended.lines.iter().map(|(_, len)| len).sum::<usize>();
        self.tally.stored(&ended.receipts);
        if let Some(error) = &ended.error {
            ended.lines[ended.receipts.len()..].iter().for_each(|(line, _)| self.tally.failed(*line, error));
        }
        let next = ended.key.map(|key| self.lanes.next(&key)).unwrap_or_default();
        if !next.is_empty() {
            self.in_flight.spawn(send(self.producer.clone(), next));
        }
        true
    }
}

async fn send(producer: Producer, items: Vec<Item>) -> Ended {
    let key = items.first().and_then(Item::key).map(str::to_owned);
    let lines = items.iter().map(|item| (item.line, item.message.body().len())).collect();
    let mut messages: Vec<_> = items.into_iter().map(|item| item.message).collect();
    let (receipts, error) = if messages.len() > 1 {
        match producer.send_batch(messages).await {
            Ok(receipts) => (receipts, None),
            Err(BatchError { receipts, source }) => (receipts, Some(source)),
        }
    } else {
        match producer.send(messages.swap_remove(0)).await {
            Ok(receipt) => (vec![receipt], None),
            Err(error) => (Vec::new(), Some(error)),
        }
    };
    Ended { key, lines, receipts, error }
}
