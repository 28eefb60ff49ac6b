//! `ferromq admin mqtt`: by the HTTP API of one server, which alone knows its MQTT clients.

use std::time::Duration;

use anyhow::Result;
use hyper::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::http::Server;
use super::output::{Out, Table, pairs};

/// What stays as it is in a path.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// What is asked for at once, at most.
const PAGE: usize = 1_000;

/// Columns of a table: what stands above, and the field.
type Columns = &'static [(&'static str, &'static str)];

const CLIENTS: Columns = &[
    ("CLIENT", "clientId"),
    ("VERSION", "version"),
    ("CONNECTED", "connected"),
    ("ADDRESS", "address"),
    ("USER", "user"),
    ("SINCE", "since"),
    ("EXPIRY S", "expirySeconds"),
];
const SHARED: Columns = &[
    ("GROUP", "group"),
    ("FILTER", "filter"),
    ("MEMBERS", "members"),
    ("AWAY", "membersAway"),
    ("LAG", "lag"),
];
const RETAINED: Columns = &[
    ("TOPIC", "topic"),
    ("QOS", "qos"),
    ("BYTES", "size"),
    ("STORED", "storedAt"),
    ("EXPIRES", "expiresAt"),
];

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show how much there is: clients, subscriptions, messages
    Status,
    /// Show the clients that have a session, with or without a connection
    Clients {
        /// Only those whose identifiers begin so
        #[arg(long, default_value = "")]
        prefix: String,
        /// Only those that are connected, or are not
        #[arg(long)]
        connected: Option<bool>,
        /// How many at most
        #[arg(long, default_value_t = 1_000, value_name = "COUNT")]
        max: usize,
    },
    /// Show a client, its subscriptions and how far they are behind
    Client {
        /// Its identifier
        client: String,
    },
    /// End a client's connection; its session stays, and it may come back
    Disconnect {
        /// Its identifier
        client: String,
    },
    /// End a client's connection and session: its subscriptions, and what waits for it, are gone for good
    Purge {
        /// Its identifier
        client: String,
    },
    /// Show the groups of shared subscriptions
    Shared,
    /// Show the topics that have a retained message
    Retained {
        /// Only those that begin so
        #[arg(long, default_value = "")]
        prefix: String,
        /// How many at most
        #[arg(long, default_value_t = 1_000, value_name = "COUNT")]
        max: usize,
    },
    /// Forget the retained message of a topic
    Forget {
        /// The MQTT topic
        topic: String,
    },
}

impl Args {
    pub(super) async fn run(&self, within: Duration, out: &Out) -> Result<()> {
        let get = async |path: &str| self.server.ask(Method::GET, path, within).await;
        let delete = async |path: &str, what: &str| {
            self.server.ask(Method::DELETE, path, within).await?;
            out.show(&json!({ "done": what }), |_| Table::line(what))
        };
        match &self.command {
            Command::Status => out.show(&get("/v1/mqtt").await?, fields),
            Command::Clients { prefix, connected, max } => {
                let connected = connected.map(|is| format!("&connected={is}")).unwrap_or_default();
                let path = format!("/v1/mqtt/clients?prefix={}{connected}", escaped(prefix));
                out.show(&self.all(&path, "clients", *max, within).await?, |found| rows(found, CLIENTS))
            }
            Command::Client { client } => out.show(&get(&client_path(client)).await?, fields),
            Command::Disconnect { client } => {
                let path = format!("{}/connection", client_path(client));
                delete(&path, &format!("disconnected: {client}")).await
            }
            Command::Purge { client } => delete(&client_path(client), &format!("purged: {client}")).await,
            Command::Shared => {
                let found = self.all("/v1/mqtt/shared?", "groups", usize::MAX, within).await?;
                out.show(&found, |found| rows(found, SHARED))
            }
            Command::Retained { prefix, max } => {
                let path = format!("/v1/mqtt/retained?prefix={}", escaped(prefix));
                out.show(&self.all(&path, "retained", *max, within).await?, |found| rows(found, RETAINED))
            }
            Command::Forget { topic } => {
                delete(&format!("/v1/mqtt/retained/{}", escaped(topic)), &format!("forgotten: {topic}")).await
            }
        }
    }

    /// What the pages of a list have, up to `most`.
    async fn all(&self, path: &str, field: &str, most: usize, within: Duration) -> Result<Value> {
        let mut all = Vec::new();
        let mut after = String::new();
        while all.len() < most {
            let page = format!("{path}&max={}{after}", PAGE.min(most - all.len()));
            let mut found = self.server.ask(Method::GET, &page, within).await?;
            if let Value::Array(items) = found[field].take() {
                all.extend(items);
            }
            match found["next"].as_str() {
                Some(next) => after = format!("&after={}", escaped(next)),
                None => break,
            }
        }
        Ok(Value::Array(all))
    }
}

fn client_path(client: &str) -> String {
    format!("/v1/mqtt/clients/{}", escaped(client))
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

fn rows(found: &Value, columns: Columns) -> Table {
    let mut table = Table::new(&columns.iter().map(|(title, _)| *title).collect::<Vec<_>>());
    for one in found.as_array().into_iter().flatten() {
        table.row(columns.iter().map(|(_, field)| shown(&one[*field])));
    }
    table
}

/// A field a line; those of objects, and of lists of them, below each other.
fn fields(found: &Value) -> Table {
    fn collect(name: &str, value: &Value, all: &mut Vec<(String, String)>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| collect(name, value, all)),
            Value::Array(items) if items.iter().any(Value::is_object) => {
                items.iter().for_each(|item| collect(name, item, all));
            }
            plain => all.push((name.to_owned(), shown(plain))),
        }
    }
    let mut all = Vec::new();
    collect("", found, &mut all);
    pairs(all.iter().map(|(name, value)| (&**name, &**value)))
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
