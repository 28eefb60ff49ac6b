//! `ferromq admin topic`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use ferromq_client::Strategy;
use ferromq_client::admin::topics::TopicChange;
use ferromq_client::admin::{Admin, PerBroker, Scope};
use ferromq_model::TopicName;
use ferromq_model::topic::{Permission, TopicConfig};
use serde::Serialize;

use super::ScopeArgs;
use super::output::{Out, Table, each_value, or_dash};
use super::transfer;
use crate::when;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List topics
    #[command(visible_alias = "ls")]
    List {
        /// Those of groups and of brokers, too
        #[arg(long)]
        all: bool,
        /// Only those of this cluster
        #[arg(long, short = 'c', value_name = "NAME")]
        cluster: Option<String>,
    },
    /// Show where a topic is
    Route {
        /// The topic
        topic: String,
    },
    /// Show what a topic's queues hold
    Status {
        /// The topic
        topic: String,
    },
    /// Show how a topic is set, or all topics
    Config {
        /// The topic
        topic: Option<String>,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Create a topic or change it; what is not given stays as it is
    #[command(visible_alias = "create")]
    Update(Update),
    /// Create or change topics as a JSON file lists them, in RocketMQ's form
    UpdateList {
        /// The file: [{"topicName":"T","readQueueNums":8,"writeQueueNums":8,"perm":6},…]
        file: PathBuf,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Delete a topic with its queues
    #[command(visible_alias = "rm")]
    Delete {
        /// The topic
        topic: String,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Show which groups read a topic, or have read it
    Groups {
        /// The topic
        topic: String,
    },
    /// Show what goes through a topic and its groups, or through all topics
    Stats {
        /// The topic
        topic: Option<String>,
    },
    /// Show or set how many queues an ordered topic has on each broker, as NameServers tell clients
    Order {
        /// The topic
        topic: String,
        /// What to do
        #[arg(value_enum, default_value_t)]
        action: OrderAction,
        /// With put: broker-a:4;broker-b:4
        value: Option<String>,
    },
    /// Show which queues each of these clients would get
    Allocate {
        /// The topic
        topic: String,
        /// The clients' ids, with commas between
        #[arg(required = true, value_delimiter = ',')]
        clients: Vec<String>,
        /// AVG, AVG_BY_CIRCLE or CONSISTENT_HASH
        #[arg(long, default_value = "AVG")]
        strategy: Strategy,
    },
    /// Copy a topic's messages to another topic
    Copy(transfer::CopyArgs),
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub(super) enum OrderAction {
    #[default]
    Get,
    Put,
    Delete,
}

#[derive(Debug, clap::Args)]
pub(super) struct Update {
    /// The topic
    topic: String,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Queues, for reading and writing; a new topic has 8
    #[arg(long, short = 'q', value_parser = clap::value_parser!(u32).range(1..=65_536))]
    queues: Option<u32>,
    /// Queues that consumers read
    #[arg(long, short = 'r', value_parser = clap::value_parser!(u32).range(0..=65_536))]
    read_queues: Option<u32>,
    /// Queues that producers write
    #[arg(long, short = 'w', value_parser = clap::value_parser!(u32).range(0..=65_536))]
    write_queues: Option<u32>,
    /// What clients may do: r, w, rw, none, or RocketMQ's 2, 4, 6
    #[arg(long, short = 'p', value_parser = permission)]
    perm: Option<Permission>,
    /// Whether the number of queues is fixed for ordering
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    ordered: Option<bool>,
    /// Whether it is a unit topic
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide = true)]
    unit: Option<bool>,
    /// Whether it has unit subscribers
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide = true)]
    unit_subscribers: Option<bool>,
    /// Attributes to set (+message.type=FIFO) and to remove (-message.type), with commas between
    #[arg(long, short = 'a', value_name = "+KEY=VALUE,-KEY", allow_hyphen_values = true, value_delimiter = ',', value_parser = attribute)]
    attributes: Vec<Attribute>,
}

#[derive(Clone, Debug)]
enum Attribute {
    Set(String, String),
    Remove(String),
}

fn attribute(text: &str) -> Result<Attribute, String> {
    if let Some(key) = text.strip_prefix('-') {
        return Ok(Attribute::Remove(key.to_owned()));
    }
    let (key, value) = super::broker::key_value(text.strip_prefix('+').unwrap_or(text))?;
    Ok(Attribute::Set(key, value))
}

fn permission(text: &str) -> Result<Permission, String> {
    Ok(Permission(match text {
        "none" | "0" => 0,
        "w" | "2" => Permission::WRITE,
        "r" | "4" => Permission::READ,
        "rw" | "wr" | "6" => Permission::READ | Permission::WRITE,
        "7" => Permission::READ | Permission::WRITE | Permission::INHERIT,
        _ => return Err(format!("{text:?} is no permission: r, w, rw, none, 2, 4 or 6")),
    }))
}

impl Update {
    fn change(&self) -> TopicChange {
        let mut change = TopicChange {
            read_queues: self.read_queues.or(self.queues),
            write_queues: self.write_queues.or(self.queues),
            permission: self.perm,
            ordered: self.ordered,
            sys_flag: (self.unit.is_some() || self.unit_subscribers.is_some()).then(|| {
                i32::from(self.unit == Some(true)) | i32::from(self.unit_subscribers == Some(true)) << 1
            }),
            ..TopicChange::default()
        };
        for attribute in &self.attributes {
            match attribute {
                Attribute::Set(key, value) => drop(change.set.insert(key.clone(), value.clone())),
                Attribute::Remove(key) => drop(change.remove.insert(key.clone())),
            }
        }
        change
    }
}

/// A broker of a topic's route.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RouteRow {
    cluster: String,
    broker: String,
    /// By broker id.
    addrs: std::collections::BTreeMap<u64, String>,
    read_queues: usize,
    write_queues: usize,
}

impl Command {
    pub(super) async fn run(&self, admin: &Admin, out: &Out) -> Result<()> {
        match self {
            Self::List { all, cluster } => {
                let mut topics = match cluster {
                    Some(cluster) => admin.topics_of_cluster(cluster).await?,
                    None => admin.topics().await?,
                };
                if !all {
                    let clusters = admin.clusters().await?;
                    topics.retain(|topic| {
                        let named = clusters.iter().any(|cluster| {
                            topic.strip_suffix("_REPLY_TOPIC").unwrap_or(topic) == cluster.name
                                || cluster.brokers.iter().any(|node| *node.name == **topic)
                        });
                        !named
                            && TopicName::new(topic).is_ok_and(|name| !name.is_system() && !name.is_derived())
                    });
                }
                out.show(&topics, |topics| {
                    let mut table = Table::new(&["TOPIC"]);
                    topics.iter().for_each(|topic| table.row([topic]));
                    table
                })
            }
            Self::Route { topic } => route(admin, out, topic).await,
            Self::Status { topic } => {
                let status = admin.topic_status(topic).await?;
                out.gathered(&status, |status| {
                    let mut table = Table::new(&["BROKER", "QUEUE", "MIN", "MAX", "MESSAGES", "LAST STORED"])
                        .right(&[1, 2, 3, 4]);
                    for of in &status.queues {
                        table.row([
                            of.queue.broker.to_string(),
                            of.queue.id.to_string(),
                            of.min.to_string(),
                            of.max.to_string(),
                            of.max.since(of.min).to_string(),
                            or_dash(of.last_stored.map(when::show)),
                        ]);
                    }
                    table
                })
            }
            Self::Config { topic: Some(topic), scope } => {
                let found = admin.topic_settings(topic, &scope.scope()).await?;
                out.gathered(&found, |found| settings(found))
            }
            Self::Config { topic: None, scope } => {
                let found = admin.all_topic_settings(&scope.scope()).await?;
                out.gathered(&found, |found| settings(&each_value(found)))
            }
            Self::Update(update) => {
                let (change, scope) = (update.change(), update.scope.scope());
                let changed = admin.change_topic(&update.topic, &change, &scope).await?;
                out.gathered(&changed, |changed| settings(changed))
            }
            Self::UpdateList { file, scope } => {
                let configs: Vec<TopicConfig> = read_list(file)?;
                for config in &configs {
                    let done = admin.put_topic(config, &scope.scope()).await?;
                    out.done(&format!("{} changed on", config.topic_name), &done)?;
                }
                Ok(())
            }
            Self::Delete { topic, scope } => {
                out.done("deleted on", &admin.delete_topic(topic, &scope.scope()).await?)
            }
            Self::Groups { topic } => {
                let groups = admin.groups_of_topic(topic).await?;
                out.gathered(&groups, |groups| {
                    let mut table = Table::new(&["GROUP"]);
                    groups.iter().for_each(|group| table.row([group]));
                    table
                })
            }
            Self::Stats { topic } => {
                let traffic = match topic {
                    Some(topic) => admin.traffic(topic).await?,
                    None => admin.all_traffic().await?,
                };
                out.gathered(&traffic, |rows| {
                    let header = ["TOPIC", "GROUP", "LAG", "IN/S", "OUT/S", "IN 24H", "OUT 24H"];
                    let mut table = Table::new(&header).right(&[2, 3, 4, 5, 6]);
                    for row in rows {
                        table.row([
                            row.topic.clone(),
                            or_dash(row.group.clone()),
                            row.lag.to_string(),
                            format!("{:.2}", row.puts_per_second),
                            format!("{:.2}", row.gets_per_second),
                            row.puts_in_day.to_string(),
                            row.gets_in_day.to_string(),
                        ]);
                    }
                    table
                })
            }
            Self::Order { topic, action: OrderAction::Get, .. } => {
                let order = admin.order_of(topic).await?;
                out.show(&order, |order| Table::line(or_dash(order.clone())))
            }
            Self::Order { topic, action: OrderAction::Put, value } => {
                let value = value.as_deref().context("put what? broker-a:4;broker-b:4")?;
                out.done("set on", &admin.set_order_of(topic, Some(value)).await?)
            }
            Self::Order { topic, action: OrderAction::Delete, .. } => {
                out.done("removed on", &admin.set_order_of(topic, None).await?)
            }
            Self::Allocate { topic, clients, strategy } => {
                let route = admin.topic_route(topic).await?;
                let mut clients = clients.clone();
                clients.sort();
                clients.dedup();
                let shares: std::collections::BTreeMap<_, _> = clients
                    .iter()
                    .map(|client| (client, strategy.allocate(&route.readable, &clients, client)))
                    .collect();
                out.show(&shares, |shares| {
                    let mut table = Table::new(&["CLIENT", "BROKER", "QUEUE"]).right(&[2]);
                    for (client, queues) in shares {
                        for queue in queues {
                            table.row([client.as_str(), &queue.broker, &queue.id.to_string()]);
                        }
                    }
                    table
                })
            }
            Self::Copy(copy) => transfer::copy(admin, out, copy).await,
        }
    }
}

async fn route(admin: &Admin, out: &Out, topic: &str) -> Result<()> {
    let route = admin.topic_route(topic).await?;
    let mut rows: Vec<_> = route
        .brokers
        .iter()
        .map(|(broker, addrs)| RouteRow {
            cluster: route.clusters.get(broker).map(ToString::to_string).unwrap_or_default(),
            broker: broker.to_string(),
            addrs: addrs.iter().map(|(&id, addr)| (id, addr.to_string())).collect(),
            read_queues: route.readable.iter().filter(|queue| queue.broker == *broker).count(),
            write_queues: route.writable.iter().filter(|queue| queue.broker == *broker).count(),
        })
        .collect();
    rows.sort_by(|a, b| (&a.cluster, &a.broker).cmp(&(&b.cluster, &b.broker)));
    out.show(&rows, |rows| {
        let mut table = Table::new(&["CLUSTER", "BROKER", "ID", "ADDRESS", "READ QUEUES", "WRITE QUEUES"])
            .right(&[2, 4, 5]);
        for row in rows {
            for (id, addr) in &row.addrs {
                let (read, write) = (row.read_queues.to_string(), row.write_queues.to_string());
                table.row([&row.cluster, &row.broker, &id.to_string(), addr, &read, &write]);
            }
        }
        table
    })
}

fn settings(found: &[PerBroker<TopicConfig>]) -> Table {
    let mut table =
        Table::new(&["TOPIC", "BROKER", "READ QUEUES", "WRITE QUEUES", "PERM", "ORDERED", "ATTRIBUTES"])
            .right(&[2, 3]);
    for of in found {
        let config = &of.value;
        let perm = match (config.perm.readable(), config.perm.writable()) {
            (true, true) => "rw",
            (true, false) => "r",
            (false, true) => "w",
            (false, false) => "-",
        };
        let attributes: Vec<_> =
            config.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
        table.row([
            config.topic_name.to_string(),
            of.broker.name.to_string(),
            config.read_queue_nums.to_string(),
            config.write_queue_nums.to_string(),
            perm.to_owned(),
            config.order.to_string(),
            attributes.join(","),
        ]);
    }
    table
}

/// Reads a JSON list of settings.
pub(super) fn read_list<T: serde::de::DeserializeOwned>(file: &PathBuf) -> Result<Vec<T>> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is not a list of settings", file.display()))
}

/// The queue that `broker:number` names.
pub(super) async fn queue(admin: &Admin, topic: &str, text: &str) -> Result<ferromq_client::MessageQueue> {
    let named = text.rsplit_once(':').and_then(|(broker, id)| Some((broker, id.parse().ok()?)));
    if let Some((broker, id)) = named {
        return Ok(admin.queue(topic, broker, id).await?);
    }
    // A topic on one broker: its number will do.
    let nodes = admin.topic_route(topic).await?;
    match (text.parse(), nodes.brokers.keys().next()) {
        (Ok(id), Some(broker)) if nodes.brokers.len() == 1 => Ok(admin.queue(topic, broker, id).await?),
        _ => Err(ferromq_client::AdminError::Invalid {
            what: format!("queue {text:?} is not BROKER:NUMBER, as in broker-a:0"),
        }
        .into()),
    }
}

/// All brokers; spelled out where a command has no options for less.
pub(super) const EVERYWHERE: Scope = Scope::All;
