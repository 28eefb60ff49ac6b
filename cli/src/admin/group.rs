//! `ferromq admin group`.

use std::path::PathBuf;

use anyhow::Result;
use ferromq_client::admin::groups::{GroupChange, GroupLeftovers, Progress};
use ferromq_client::admin::{Admin, PerBroker};
use ferromq_model::group::SubscriptionGroupConfig;
use serde::Serialize;

use super::ScopeArgs;
use super::output::{Out, Table, each_value, or_dash};
use super::topic::EVERYWHERE;
use crate::when;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List groups
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Show how a group is set, or all groups
    Config {
        /// The group
        group: Option<String>,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Create a group or change it; what is not given stays as it is
    #[command(visible_alias = "create")]
    Update(Update),
    /// Create or change groups as a JSON file lists them, in RocketMQ's form
    UpdateList {
        /// The file: [{"groupName":"G","retryMaxTimes":3},…]
        file: PathBuf,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Delete a group's settings
    #[command(visible_alias = "rm")]
    Delete {
        /// The group
        group: String,
        /// Its positions, too
        #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_name = "BOOL")]
        offsets: bool,
        /// Its retry topic and its dead letters, too
        #[arg(long)]
        messages: bool,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Show how far a group is behind in each queue, or how far all groups are
    Progress {
        /// The group
        group: Option<String>,
        /// Only in this topic
        #[arg(long, short = 't')]
        topic: Option<String>,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Show what the members of a group are doing
    Running {
        /// The group
        group: String,
        /// Only this member, by its client id
        #[arg(long, short = 'i', value_name = "ID")]
        client: Option<String>,
        /// What its threads do, too
        #[arg(long, short = 's')]
        stack: bool,
    },
    /// Show what a group wants of a topic
    Subscription {
        /// The group
        group: String,
        /// The topic
        topic: String,
    },
    /// Show which topics a group has positions in
    Topics {
        /// The group
        group: String,
    },
    /// Set whether a group pulls or pops a topic, for consumers that leave it to brokers
    Mode {
        /// The group
        group: String,
        /// The topic
        topic: String,
        /// How
        #[arg(value_enum, ignore_case = true)]
        mode: Mode,
        /// With pop: with how many further members each shares its queues; 0 for all
        #[arg(long, default_value_t = 0)]
        shared: i32,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Show or set whether a group may read a topic
    Readable {
        /// The group
        group: String,
        /// The topic
        topic: String,
        /// What is to be; none only asks
        readable: Option<bool>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Mode {
    Pull,
    Pop,
}

#[derive(Debug, clap::Args)]
pub(super) struct Update {
    /// The group
    group: String,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Whether its members may consume at all
    #[arg(long, value_name = "BOOL")]
    consume: Option<bool>,
    /// Whether they may consume in broadcasting mode
    #[arg(long, value_name = "BOOL")]
    broadcast: Option<bool>,
    /// Whether a group without positions may start at the oldest message
    #[arg(long, value_name = "BOOL")]
    from_min: Option<bool>,
    /// Whether it consumes orderly, for consumers that leave that to brokers
    #[arg(long, value_name = "BOOL")]
    orderly: Option<bool>,
    /// Queues of its retry topic
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=65_536))]
    retry_queues: Option<u32>,
    /// Redeliveries before a message becomes a dead letter
    #[arg(long, allow_hyphen_values = true)]
    retry_max: Option<i32>,
    /// The broker that serves it: 0 for the master
    #[arg(long)]
    broker_id: Option<i64>,
    /// The broker that slow readers are sent to
    #[arg(long)]
    slow_broker_id: Option<i64>,
    /// Whether members are told of joins and leaves
    #[arg(long, value_name = "BOOL")]
    notify: Option<bool>,
    /// Attributes to set
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = |text: &str| super::broker::key_value(text.trim_start_matches('+')))]
    attributes: Vec<(String, String)>,
}

impl Update {
    fn change(&self) -> GroupChange {
        GroupChange {
            consume: self.consume,
            broadcast: self.broadcast,
            from_min: self.from_min,
            orderly: self.orderly,
            retry_queues: self.retry_queues,
            retry_max: self.retry_max,
            broker_id: self.broker_id,
            slow_broker_id: self.slow_broker_id,
            notify: self.notify,
            set: self.attributes.iter().cloned().collect(),
        }
    }
}

/// One group in brief.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Brief {
    group: String,
    members: usize,
    lag: u64,
    gets_per_second: f64,
}

impl Command {
    pub(super) async fn run(&self, admin: &Admin, out: &Out) -> Result<()> {
        match self {
            Self::List { scope } => {
                let groups = admin.groups(&scope.scope()).await?;
                out.gathered(&groups, |groups| {
                    let mut table = Table::new(&["GROUP"]);
                    groups.iter().for_each(|group| table.row([group]));
                    table
                })
            }
            Self::Config { group: Some(group), scope } => {
                let found = admin.group_settings(group, &scope.scope()).await?;
                out.gathered(&found, |found| settings(found))
            }
            Self::Config { group: None, scope } => {
                let found = admin.all_group_settings(&scope.scope()).await?;
                out.gathered(&found, |found| settings(&each_value(found)))
            }
            Self::Update(update) => {
                let changed =
                    admin.change_group(&update.group, &update.change(), &update.scope.scope()).await?;
                out.gathered(&changed, |changed| settings(changed))
            }
            Self::UpdateList { file, scope } => {
                let configs: Vec<SubscriptionGroupConfig> = super::topic::read_list(file)?;
                for config in &configs {
                    let done = admin.put_group(config, &scope.scope()).await?;
                    out.done(&format!("{} changed on", config.group_name), &done)?;
                }
                Ok(())
            }
            Self::Delete { group, offsets, messages, scope } => {
                let leftovers = GroupLeftovers { offsets: *offsets, messages: *messages };
                out.done("deleted on", &admin.delete_group(group, leftovers, &scope.scope()).await?)
            }
            Self::Progress { group: Some(group), topic, scope } => {
                let progress = admin.progress(group, topic.as_deref(), &scope.scope()).await?;
                out.gathered(&progress, queues)
            }
            Self::Progress { group: None, topic, scope } => {
                let scope = scope.scope();
                let mut briefs = Vec::new();
                let groups = admin.groups(&scope).await?;
                out.failures(&groups.failures);
                for group in groups.value {
                    let progress = admin.progress(group.as_str(), topic.as_deref(), &scope).await?.value;
                    let members = admin.consumers(group.as_str(), &scope).await?.value;
                    briefs.push(Brief {
                        group: group.to_string(),
                        members: members.map_or(0, |group| group.members.len()),
                        lag: progress.lag,
                        gets_per_second: progress.gets_per_second,
                    });
                }
                out.show(&briefs, |briefs| {
                    let mut table = Table::new(&["GROUP", "MEMBERS", "LAG", "OUT/S"]).right(&[1, 2, 3]);
                    for brief in briefs {
                        let rate = format!("{:.2}", brief.gets_per_second);
                        table.row([&brief.group, &brief.members.to_string(), &brief.lag.to_string(), &rate]);
                    }
                    table
                })
            }
            Self::Running { group, client, stack } => {
                running(admin, out, group, client.as_deref(), *stack).await
            }
            Self::Subscription { group, topic } => {
                let wanted = admin.subscription(group, topic).await?;
                out.gathered(&wanted, |wanted| {
                    Table::line(
                        wanted.as_ref().map_or("-".to_owned(), |w| format!("{} {}", w.kind, w.expression)),
                    )
                })
            }
            Self::Topics { group } => {
                let topics = admin.topics_of_group(group).await?;
                out.gathered(&topics, |topics| {
                    let mut table = Table::new(&["TOPIC"]);
                    topics.iter().for_each(|topic| table.row([topic]));
                    table
                })
            }
            Self::Mode { group, topic, mode, shared, scope } => {
                let pop = *mode == Mode::Pop;
                out.done("set on", &admin.set_mode(group, topic, pop, *shared, &scope.scope()).await?)
            }
            Self::Readable { group, topic, readable } => {
                let told = admin.readable(group, topic, *readable).await?;
                out.gathered(&told, |told| {
                    let mut table = Table::new(&["BROKER", "READABLE"]);
                    told.iter().for_each(|of| table.row([of.broker.name.to_string(), of.value.to_string()]));
                    table
                })
            }
        }
    }
}

/// How far a group is, queue by queue.
pub(super) fn queues(progress: &Progress) -> Table {
    let header = ["TOPIC", "BROKER", "QUEUE", "END", "POSITION", "LAG", "LAST CONSUMED"];
    let mut table = Table::new(&header).right(&[2, 3, 4, 5]);
    for at in &progress.queues {
        table.row([
            at.queue.topic.to_string(),
            at.queue.broker.to_string(),
            at.queue.id.to_string(),
            at.end.to_string(),
            at.position.to_string(),
            at.lag.to_string(),
            or_dash(at.last_consumed.map(when::show)),
        ]);
    }
    table.row(["TOTAL", "", "", "", "", &progress.lag.to_string(), ""]);
    table
}

async fn running(admin: &Admin, out: &Out, group: &str, client: Option<&str>, stack: bool) -> Result<()> {
    let clients = match client {
        Some(client) => vec![client.to_owned()],
        None => {
            let found = admin.consumers(group, &EVERYWHERE).await?;
            out.failures(&found.failures);
            found.value.map_or_else(Vec::new, |group| {
                group.members.into_iter().map(|member| member.client_id).collect()
            })
        }
    };
    if clients.is_empty() {
        out.note_failure();
        eprintln!("ferromq admin: nobody of group {group} is there");
    }
    // The queues' map has keys that JSON has not: they are told as a list.
    let mut infos = Vec::new();
    for client in clients {
        let info = admin.running_info(group, &client, stack).await?;
        let queues: Vec<_> = info
            .mq_table
            .0
            .iter()
            .map(|(queue, at)| {
                serde_json::json!({
                    "topic": queue.topic, "broker": queue.broker_name, "queue": queue.queue_id,
                    "position": at.commit_offset, "waiting": at.cached_msg_count,
                    "waitingMib": at.cached_msg_size_in_mi_b, "locked": at.locked,
                    "lastPulled": at.last_pull_timestamp, "lastConsumed": at.last_consume_timestamp,
                })
            })
            .collect();
        infos.push(serde_json::json!({
            "client": client, "properties": info.properties, "queues": queues, "rates": info.status_table,
            "stack": info.jstack,
        }));
    }
    out.show(&infos, |infos| {
        let header = ["CLIENT", "TOPIC", "BROKER", "QUEUE", "POSITION", "WAITING", "LOCKED"];
        let mut table = Table::new(&header).right(&[3, 4, 5]);
        let text =
            |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        for info in infos {
            for queue in info["queues"].as_array().into_iter().flatten() {
                let names = ["topic", "broker", "queue", "position", "waiting", "locked"];
                table.row([text(&info["client"])].into_iter().chain(names.map(|name| text(&queue[name]))));
            }
            if let Some(stack) = info["stack"].as_str() {
                table.row(stack.lines());
            }
        }
        table
    })
}

fn settings(found: &[PerBroker<SubscriptionGroupConfig>]) -> Table {
    let header = [
        "GROUP",
        "BROKER",
        "CONSUME",
        "BROADCAST",
        "ORDERLY",
        "RETRY MAX",
        "RETRY QUEUES",
        "NOTIFY",
        "ATTRIBUTES",
    ];
    let mut table = Table::new(&header).right(&[5, 6]);
    for of in found {
        let config = &of.value;
        let attributes: Vec<_> =
            config.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
        table.row([
            config.group_name.to_string(),
            of.broker.name.to_string(),
            config.consume_enable.to_string(),
            config.consume_broadcast_enable.to_string(),
            config.consume_message_orderly.to_string(),
            config.retry_max_times.to_string(),
            config.retry_queue_nums.to_string(),
            config.notify_consumer_ids_changed_enable.to_string(),
            attributes.join(","),
        ]);
    }
    table
}
