//! `ferromq consume`: messages of a topic go to standard output.
//!
//! ```text
//! no --group   all queues, from where --from says; nobody notices
//! --group G    the queues that the group gives this member; what was written is committed
//! ```
//! Always true:
//! * what is committed was written to standard output, and the write has returned;
//! * a reader that has seen enough (`| head`) is no error.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ferromq_client::{Client, ConsumeFrom, Filter, MessageQueue, PullConsumer, Received};
use ferromq_model::{Timestamp, TopicName};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::line::Printed;
use crate::logging::LogArgs;
use crate::servers::{self, FAILED, Servers};
use crate::stop::Signals;
use crate::when;

/// What is read without a group is read as RocketMQ's tools read it, whose group every broker has from its start.
const NO_GROUP: &str = "TOOLS_CONSUMER";
/// How long to wait for messages before looking around.
const LOOK_AROUND: Duration = Duration::from_secs(1);
/// How often queues are looked for that the topic did not have before.
const QUEUES_EVERY: Duration = Duration::from_secs(10);
/// How often what was written is committed.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

const AFTER_HELP: &str = "\
Examples:
  ferromq consume Hello                                   what comes from now on, until Ctrl-C
  ferromq consume Hello --from first --count 10           the ten oldest messages
  ferromq consume Logs --from -10m --tag 'app || web'     of the last ten minutes, with one of two tags
  ferromq consume Orders --group audit --output json      as a member of a group, which goes on where it was
  ferromq consume Orders --from first --output json --timeout 5s | ferromq produce --json Copy

Exit codes:
  0  stopped at --count, --timeout, Ctrl-C or when nobody reads standard output any more
  1  failed, or fewer than --count messages came in time
  2  wrong arguments
  3  no NameServer could be reached";

/// Write a topic's messages to standard output, one a line
///
/// Without --group nobody is disturbed: all queues are read, and no position is kept. With it, this is a member of the
/// group like any other: it shares the queues with the others, and commits what it has written.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ConsumeArgs {
    #[command(flatten)]
    servers: Servers,
    /// The topic
    topic: String,
    /// Consume as a member of this group
    #[arg(long, short = 'g')]
    group: Option<String>,
    /// Where to start: first, last, a time (2026-11-21T18:30:15Z, milliseconds since 1970) or a span before now (-10m). A
    /// group starts there only in queues where it has no position yet
    #[arg(long, default_value = "last", value_name = "first|last|TIME", value_parser = parse_from, allow_hyphen_values = true)]
    from: ConsumeFrom,
    /// Stop after so many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Bodies alone, or JSON objects that `ferromq produce --json` reads
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Output,
    /// Only messages with one of these tags, as in 'a || b'
    #[arg(long, value_name = "TAGS", conflicts_with = "sql")]
    tag: Option<String>,
    /// Only messages whose properties satisfy this SQL92 expression
    #[arg(long, value_name = "EXPRESSION")]
    sql: Option<String>,
    /// Stop when no message came for so long, as in 500ms, 10s or 5m
    #[arg(long, value_name = "SPAN", value_parser = when::parse_span)]
    timeout: Option<Duration>,
}

/// What a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// The body, as it is.
    #[default]
    Text,
    /// One JSON object a message.
    Json,
}

fn parse_from(text: &str) -> Result<ConsumeFrom, String> {
    match text {
        "first" => Ok(ConsumeFrom::First),
        "last" => Ok(ConsumeFrom::Last),
        _ => match text.strip_prefix('-') {
            Some(span) => {
                let millis = i64::try_from(when::parse_span(span)?.as_millis()).unwrap_or(i64::MAX);
                Ok(ConsumeFrom::Time(Timestamp(Timestamp::now().0.saturating_sub(millis).max(0))))
            }
            None => when::parse(text).map(ConsumeFrom::Time),
        },
    }
}

/// Why no more messages are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Count,
    Silence,
    Signal,
    NobodyReads,
}

impl ConsumeArgs {
    /// Consumes, and says how it went where it did not go well.
    pub(crate) fn run(&self, logs: &LogArgs) -> ExitCode {
        servers::run("consume", logs, self.consume())
    }

    async fn consume(&self) -> Result<ExitCode> {
        let topic = TopicName::new(&self.topic)?;
        let filter = match (&self.tag, &self.sql) {
            (Some(tags), _) => Filter::tags(tags),
            (None, Some(expression)) => Filter::sql(expression)?,
            (None, None) => Filter::all(),
        };
        let mut signals = Signals::catch()?;
        let client = self.servers.builder()?.build()?;
        let work = async {
            // A topic that is not there is told now: the consumer would look for it again and again.
            client.route(&topic).await?;
            let source = self.source(&client, &filter).await?;
            Ok::<_, anyhow::Error>(source)
        };
        let source = tokio::select! {
            source = work => source?,
            () = signals.next() => return Ok(ExitCode::SUCCESS),
        };
        let mut written = 0;
        let end = self.copy(&source, &mut signals, &mut written).await;
        tokio::select! {
            () = source.consumer.close() => {}
            () = signals.next() => servers::end_at_once(),
        }
        client.close().await;
        match (end?, self.count) {
            (End::Silence, Some(count)) => {
                eprintln!("ferromq consume: {written} of {count} messages came");
                Ok(ExitCode::from(FAILED))
            }
            (End::Count | End::Silence | End::Signal | End::NobodyReads, _) => Ok(ExitCode::SUCCESS),
        }
    }

    async fn source(&self, client: &Client, filter: &Filter) -> Result<Source> {
        let group = self.group.as_deref();
        let mut builder =
            client.pull_consumer(group.unwrap_or(NO_GROUP)).consume_from(self.from).auto_commit(None);
        if group.is_some() {
            builder = builder.subscribe(&self.topic, filter.clone()).auto_commit(Some(COMMIT_EVERY));
        }
        let source =
            Source { consumer: builder.start().await?, assigned: group.is_none().then(|| filter.clone()) };
        source.assign(&self.topic, self.from).await?;
        Ok(source)
    }

    /// Writes messages until it is enough.
    async fn copy(&self, source: &Source, signals: &mut Signals, written: &mut u64) -> Result<End> {
        let mut heard = Instant::now();
        let mut looked = Instant::now();
        loop {
            let silence = self.timeout.map(|timeout| timeout.saturating_sub(heard.elapsed()));
            let wait = silence.map_or(LOOK_AROUND, |left| left.min(LOOK_AROUND));
            let mut messages = tokio::select! {
                messages = source.consumer.poll(wait) => messages?,
                () = signals.next() => return Ok(End::Signal),
            };
            if messages.is_empty() {
                if self.timeout.is_some_and(|timeout| heard.elapsed() >= timeout) {
                    return Ok(End::Silence);
                }
            } else {
                heard = Instant::now();
            }
            if looked.elapsed() >= QUEUES_EVERY {
                looked = Instant::now();
                // What the topic did not have before is new from its first message on. If it is not known, next time.
                let _ = source.assign(&self.topic, ConsumeFrom::First).await;
            }
            let wanted = self.count.map_or(u64::MAX, |count| count - *written);
            let enough = messages.len() as u64 >= wanted;
            let rest = messages.split_off(messages.len().min(usize::try_from(wanted).unwrap_or(usize::MAX)));
            let count = messages.len() as u64;
            let writing = self.write(messages.clone());
            let wrote = tokio::select! {
                wrote = writing => wrote?,
                // Nobody reads: what is being written may never be.
                () = signals.next() => {
                    source.go_back(messages.iter().chain(&rest));
                    return Ok(End::Signal);
                }
            };
            match wrote {
                Ok(()) => *written += count,
                Err(error) => {
                    source.go_back(messages.iter().chain(&rest));
                    return match error.kind() {
                        io::ErrorKind::BrokenPipe => Ok(End::NobodyReads),
                        _ => Err(error).context("cannot write"),
                    };
                }
            }
            if enough {
                source.go_back(rest.iter());
                return Ok(End::Count);
            }
        }
    }

    /// Writes them on a thread that may wait for whoever reads.
    async fn write(&self, messages: Vec<Received>) -> Result<io::Result<()>> {
        let output = self.output;
        let written = spawn_blocking(move || {
            let mut lines = Vec::new();
            for message in &messages {
                match output {
                    Output::Text => lines.extend_from_slice(message.body()),
                    Output::Json => serde_json::to_writer(&mut lines, &Printed::of(message))?,
                }
                lines.push(b'\n');
            }
            let mut stdout = io::stdout().lock();
            stdout.write_all(&lines)?;
            stdout.flush()
        });
        written.await.context("the writer failed")
    }
}

/// Where messages come from.
struct Source {
    consumer: PullConsumer,
    /// What is wanted of queues that are assigned here; none if the group gives them.
    assigned: Option<Filter>,
}

impl Source {
    /// Reads the queues that the topic has now, those that are new from here on.
    async fn assign(&self, topic: &str, from: ConsumeFrom) -> Result<()> {
        let Some(filter) = &self.assigned else { return Ok(()) };
        // A queue that is not there for a while goes on where it was.
        let mut queues = self.consumer.assigned();
        let mut fresh = self.consumer.queues(topic).await?;
        fresh.retain(|queue: &MessageQueue| !queues.contains(queue));
        if fresh.is_empty() {
            return Ok(());
        }
        queues.extend(fresh.iter().cloned());
        self.consumer.assign(queues, filter).await?;
        for queue in &fresh {
            match from {
                ConsumeFrom::First => self.consumer.seek_to_first(queue).await?,
                ConsumeFrom::Last => self.consumer.seek_to_end(queue).await?,
                ConsumeFrom::Time(time) => self.consumer.seek_to_time(queue, time).await?,
            }
        }
        Ok(())
    }

    /// These were not written, in this order: they are not to be committed.
    fn go_back<'m>(&self, unwritten: impl DoubleEndedIterator<Item = &'m Received>) {
        for message in unwritten.rev() {
            // A queue that is another member's by now goes on where that one says.
            let _ = self.consumer.seek(message.queue(), message.queue_offset());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_name_a_time_or_a_span_before_now() {
        assert_eq!(parse_from("first"), Ok(ConsumeFrom::First));
        assert_eq!(parse_from("last"), Ok(ConsumeFrom::Last));
        let time = ConsumeFrom::Time(Timestamp(1_700_000_000_000));
        assert_eq!(parse_from("1700000000000"), Ok(time));
        assert_eq!(parse_from("2023-11-14T22:13:20Z"), Ok(time));
        let before = Timestamp::now().0;
        let Ok(ConsumeFrom::Time(found)) = parse_from("-10m") else { panic!("a span before now") };
        assert!((before - 600_000..=Timestamp::now().0 - 600_000).contains(&found.0));
        for wrong in ["", "-", "10m", "-10", "newest"] {
            assert!(parse_from(wrong).is_err(), "{wrong}");
        }
    }
}
