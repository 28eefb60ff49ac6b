//! `ferromq admin message`.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ferromq_client::admin::messages::{Copy, Span};
use ferromq_client::admin::{Admin, AdminError, Cursor};
use ferromq_client::{MessageQueue, Received};
use ferromq_model::{QueueOffset, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::output::{Out, Table};
use super::{topic, transfer};
use crate::when;

/// Of a body in a table.
const SHOWN: usize = 60;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show a message by its id: the one that its producer gave it, or its place
    Get {
        /// The id
        id: String,
        /// Its topic; without it, the id has to be its place
        #[arg(long, short = 't')]
        topic: Option<String>,
        /// What became of it in each group, too
        #[arg(long)]
        track: bool,
    },
    /// Find messages by a key
    Find {
        /// The topic
        topic: String,
        /// The key
        key: String,
        /// Stored at this time or later
        #[arg(long, value_parser = when::parse, value_name = "TIME")]
        begin: Option<Timestamp>,
        /// Stored at this time or earlier
        #[arg(long, value_parser = when::parse, value_name = "TIME")]
        end: Option<Timestamp>,
        /// The most messages of each broker
        #[arg(long, default_value_t = 64)]
        max: u32,
    },
    /// Read messages: of a queue from an offset, or of all queues
    Read(Read),
    /// Show entries of a queue as its broker keeps them
    Entries {
        /// The topic
        topic: String,
        /// The queue, as in broker-a:0
        #[arg(long, value_name = "BROKER:QUEUE")]
        queue: String,
        /// The first entry
        #[arg(long, default_value_t = 0)]
        offset: u64,
        /// The most entries
        #[arg(long, default_value_t = 10)]
        count: u32,
    },
    /// Send a message
    Send {
        /// The topic
        topic: String,
        /// Its body
        body: String,
        /// A key, by which it can be found
        #[arg(long, short = 'k')]
        key: Option<String>,
        /// Its tag
        #[arg(long)]
        tag: Option<String>,
        /// The queue, as in broker-a:0; any by default
        #[arg(long, value_name = "BROKER:QUEUE")]
        queue: Option<String>,
    },
    /// Have a member of a group consume a message, now
    Consume {
        /// The group
        group: String,
        /// The member, by its client id
        client: String,
        /// The message's topic
        topic: String,
        /// The message's id
        id: String,
    },
    /// Write a topic's messages to a file, one JSON object a line
    Export(transfer::ExportArgs),
    /// Send the messages of such a file
    Import(transfer::ImportArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct Read {
    /// The topic
    topic: String,
    /// Only this queue, as in broker-a:0
    #[arg(long, value_name = "BROKER:QUEUE")]
    queue: Option<String>,
    /// Only this broker's queues, by its name
    #[arg(long, value_name = "NAME", conflicts_with = "queue")]
    of: Option<String>,
    /// From this message of the queue; its oldest by default
    #[arg(long, requires = "queue")]
    offset: Option<u64>,
    /// The most messages
    #[arg(long, default_value_t = 32)]
    count: u64,
    /// Stored at this time or later
    #[arg(long, value_parser = when::parse, value_name = "TIME")]
    begin: Option<Timestamp>,
    /// Stored at this time or earlier
    #[arg(long, value_parser = when::parse, value_name = "TIME")]
    end: Option<Timestamp>,
    /// Only with this tag
    #[arg(long)]
    tag: Option<String>,
}

/// A message as it is printed and exported.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Printed {
    pub(super) topic: String,
    pub(super) broker: String,
    pub(super) queue: u32,
    pub(super) offset: u64,
    /// That its producer gave it.
    pub(super) id: String,
    /// Where it lies.
    pub(super) place: String,
    pub(super) born: Timestamp,
    pub(super) stored: Timestamp,
    pub(super) born_host: String,
    pub(super) reconsume_times: i32,
    pub(super) flag: i32,
    pub(super) properties: BTreeMap<String, String>,
    /// If it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<String>,
    /// If it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) body_base64: Option<String>,
}

impl Printed {
    pub(super) fn of(message: &Received) -> Self {
        let text = std::str::from_utf8(message.body()).ok().map(str::to_owned);
        Self {
            topic: message.queue().topic.to_string(),
            broker: message.queue().broker.to_string(),
            queue: message.queue().id.0,
            offset: message.queue_offset().0,
            id: message.message_id(),
            place: message.place().to_string(),
            born: message.born(),
            stored: message.stored(),
            born_host: message.born_host().to_string(),
            reconsume_times: message.reconsume_times(),
            flag: message.flag(),
            properties: message
                .properties()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body_base64: text.is_none().then(|| BASE64.encode(message.body())),
            body: text,
        }
    }

    /// The message to send.
    pub(super) fn copy(&self) -> Result<Copy> {
        let body = match (&self.body, &self.body_base64) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(text)) => BASE64.decode(text)?,
            (None, None) => anyhow::bail!("a message without body or bodyBase64"),
        };
        let properties = self.properties.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Ok(Copy::new(body, self.flag, self.born, properties))
    }
}

fn table(messages: &[Printed]) -> Table {
    let header = ["TOPIC", "BROKER", "QUEUE", "OFFSET", "ID", "STORED", "TAG", "KEYS", "BODY"];
    let mut table = Table::new(&header).right(&[2, 3]);
    for message in messages {
        let property = |name: &str| message.properties.get(name).cloned().unwrap_or_default();
        let body = match &message.body {
            Some(text) => {
                let shown: String =
                    text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
                if shown.len() < text.len() { format!("{shown}…") } else { shown }
            }
            None => format!("({} characters of base64)", message.body_base64.as_ref().map_or(0, String::len)),
        };
        table.row([
            message.topic.clone(),
            message.broker.clone(),
            message.queue.to_string(),
            message.offset.to_string(),
            message.id.clone(),
            when::show(message.stored),
            property("TAGS"),
            property("KEYS"),
            body,
        ]);
    }
    table
}

/// Messages by an id of either kind.
async fn by_id(admin: &Admin, out: &Out, topic: Option<&str>, id: &str) -> Result<Vec<Received>> {
    if let Some(topic) = topic {
        let found = admin.messages_by_id(topic, id).await?;
        out.failures(&found.failures);
        if !found.value.is_empty() {
            return Ok(found.value);
        }
    }
    match admin.message_at(id).await {
        Ok(message) => Ok(vec![message]),
        // A producer's id names an address, too, where no broker is.
        Err(error) if topic.is_some() => {
            let what = format!("message {id}");
            Err(if error.is_unreachable() { AdminError::NotFound { what } } else { error }.into())
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) fn span(begin: Option<Timestamp>, end: Option<Timestamp>) -> Span {
    let whole = Span::default();
    Span { begin: begin.unwrap_or(whole.begin), end: end.unwrap_or(whole.end) }
}

impl Command {
    pub(super) async fn run(&self, admin: &Admin, out: &Out) -> Result<()> {
        match self {
            Self::Get { id, topic, track } => {
                let found = by_id(admin, out, topic.as_deref(), id).await?;
                let printed: Vec<_> = found.iter().map(Printed::of).collect();
                if !track {
                    return out.show(&printed, |printed| table(printed));
                }
                let mut tracked = Vec::new();
                for message in &found {
                    tracked.push(serde_json::json!({
                        "message": Printed::of(message), "groups": admin.track(message).await?,
                    }));
                }
                out.show(&tracked, |tracked| {
                    let mut table = Table::new(&["ID", "GROUP", "CONSUMED", "ONLINE"]);
                    for one in tracked {
                        for group in one["groups"].as_array().into_iter().flatten() {
                            let id = one["message"]["id"].as_str().unwrap_or_default().to_owned();
                            let name = group["group"].as_str().unwrap_or_default().to_owned();
                            table.row([id, name, group["consumed"].to_string(), group["online"].to_string()]);
                        }
                    }
                    table
                })
            }
            Self::Find { topic, key, begin, end, max } => {
                let found = admin.messages_by_key(topic, key, span(*begin, *end), *max).await?;
                let printed: Vec<_> = found.value.iter().map(Printed::of).collect();
                out.show(&printed, |printed| table(printed))?;
                out.failures(&found.failures);
                Ok(())
            }
            Self::Read(read) => read.run(admin, out).await,
            Self::Entries { topic, queue, offset, count } => {
                let queue = topic::queue(admin, topic, queue).await?;
                let part = admin.queue_entries(&queue, QueueOffset(*offset), *count).await?;
                out.show(&part, |part| {
                    let mut table =
                        Table::new(&["OFFSET", "PLACE", "BYTES", "TAG CODE"]).right(&[0, 1, 2, 3]);
                    for (at, entry) in (*offset..).zip(part.queue_data.iter().flatten()) {
                        let (place, size) = (entry.physic_offset, u64::from(entry.physic_size));
                        table.row([
                            at.to_string(),
                            place.to_string(),
                            size.to_string(),
                            entry.tags_code.to_string(),
                        ]);
                    }
                    table
                })
            }
            Self::Send { topic, body, key, tag, queue } => {
                let queue = match queue {
                    Some(queue) => topic::queue(admin, topic, queue).await?,
                    None => any_queue(admin, topic).await?,
                };
                let properties = [("KEYS", key), ("TAGS", tag)];
                let properties =
                    properties.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
                let copy = Copy::new(body.clone(), 0, Timestamp::now(), properties);
                let offset = admin.store_copy(&queue, &copy).await?;
                out.show(&serde_json::json!({"topic": topic, "broker": queue.broker, "queue": queue.id, "offset": offset}), |_| {
                    Table::line(format!("sent to {queue} as number {offset}"))
                })
            }
            Self::Consume { group, client, topic, id } => {
                let found = by_id(admin, out, Some(topic), id).await?;
                let Some(message) = found.first() else { return Ok(()) };
                let consumed = admin.consume_directly(group, client, message).await?;
                out.show(&consumed, |consumed| {
                    let remark = consumed.remark.as_deref().unwrap_or_default();
                    Table::line(format!(
                        "{} after {} ms {remark}",
                        consumed.consume_result, consumed.spent_time_mills
                    ))
                })
            }
            Self::Export(export) => transfer::export(admin, out, export).await,
            Self::Import(import) => transfer::import(admin, out, import).await,
        }
    }
}

/// A queue that takes messages: one by the clock, so that messages spread.
pub(super) async fn any_queue(admin: &Admin, topic: &str) -> Result<MessageQueue> {
    let route = admin.topic_route(topic).await?;
    let turn = usize::try_from(Timestamp::now().0).unwrap_or(0) % route.writable.len().max(1);
    route.writable.get(turn).cloned().ok_or_else(|| {
        AdminError::Unsupported { what: format!("topic {topic} has no queue that can be written") }.into()
    })
}

impl Read {
    async fn run(&self, admin: &Admin, out: &Out) -> Result<()> {
        let wanted = usize::try_from(self.count).unwrap_or(usize::MAX);
        let span = span(self.begin, self.end);
        let fits = |message: &Received| {
            span.contains(message.stored())
                && self.tag.as_deref().is_none_or(|tag| message.tag() == Some(tag))
                && self.of.as_deref().is_none_or(|broker| *message.queue().broker == *broker)
        };
        let mut printed = Vec::new();
        if let Some(queue) = &self.queue {
            let queue = topic::queue(admin, &self.topic, queue).await?;
            let mut next = QueueOffset(self.offset.unwrap_or(0));
            while printed.len() < wanted {
                let part = admin.read_queue(&queue, next, 32).await?;
                let done = part.messages.is_empty() && part.next <= next;
                next = part.next;
                printed.extend(part.messages.iter().filter(|message| fits(message)).map(Printed::of));
                if done || next >= part.max {
                    break;
                }
            }
        } else {
            let mut scan = admin.scan(&self.topic, span, Cursor::default()).await?;
            while printed.len() < wanted
                && let Some(messages) = scan.next().await?
            {
                printed.extend(messages.iter().filter(|message| fits(message)).map(Printed::of));
            }
        }
        printed.truncate(wanted);
        out.show(&printed, |printed| table(printed))
    }
}
