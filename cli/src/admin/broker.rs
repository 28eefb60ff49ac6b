//! `ferromq admin broker`.

use anyhow::Result;
use ferromq_client::admin::clusters::Cleaning;
use ferromq_client::admin::{Admin, Scope};

use super::ScopeArgs;
use super::output::{Out, Table, or_dash, pairs};
use crate::when;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List brokers and how they are
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Show all that brokers tell of themselves
    Status {
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Show how brokers are set
    Config {
        /// Only keys with this in their name
        key: Option<String>,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Change settings of running brokers
    Set {
        /// What to change
        #[arg(required = true, value_name = "KEY=VALUE", value_parser = key_value)]
        changes: Vec<(String, String)>,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Have brokers clear something away now
    Clean {
        /// Files of queues whose messages are gone, queues of topics that do not exist, or log files past their time
        #[arg(long, value_enum)]
        what: What,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Show how replication goes
    Replication {
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Show one statistic, such as TOPIC_PUT_NUMS of a topic
    Stats {
        /// TOPIC_PUT_NUMS, TOPIC_PUT_SIZE, GROUP_GET_NUMS, GROUP_GET_SIZE, BROKER_PUT_NUMS, …
        name: String,
        /// A topic, TOPIC@GROUP or a cluster, as the statistic has it
        key: String,
        #[command(flatten)]
        scope: ScopeArgs,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum What {
    Queues,
    Topics,
    Log,
}

/// Reads `key=value`.
pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not KEY=VALUE")),
    }
}

impl Command {
    pub(super) async fn run(&self, admin: &Admin, out: &Out) -> Result<()> {
        match self {
            Self::List { scope } => states(admin, out, &scope.scope()).await,
            Self::Status { scope } => {
                let states = admin.broker_states(&scope.scope()).await?;
                out.gathered(&states, |states| {
                    let mut table = Table::new(&["BROKER", "KEY", "VALUE"]);
                    for of in states {
                        for (key, value) in &of.value.table {
                            table.row([&*of.broker.name, key, value]);
                        }
                    }
                    table
                })
            }
            Self::Config { key, scope } => {
                let mut settings = admin.broker_settings(&scope.scope()).await?;
                if let Some(wanted) = key {
                    let wanted = wanted.to_lowercase();
                    for of in &mut settings.value {
                        of.value.retain(|key, _| key.to_lowercase().contains(&wanted));
                    }
                }
                out.gathered(&settings, |settings| match &settings[..] {
                    [of] => pairs(of.value.iter().map(|(key, value)| (&**key, &**value))),
                    several => {
                        let mut table = Table::new(&["BROKER", "KEY", "VALUE"]);
                        for of in several {
                            for (key, value) in &of.value {
                                table.row([&*of.broker.name, key, value]);
                            }
                        }
                        table
                    }
                })
            }
            Self::Set { changes, scope } => {
                out.done("changed on", &admin.change_broker_settings(&scope.scope(), changes).await?)
            }
            Self::Clean { what, scope } => {
                let what = match what {
                    What::Queues => Cleaning::ExpiredQueues,
                    What::Topics => Cleaning::UnusedTopics,
                    What::Log => Cleaning::ExpiredLog,
                };
                out.done("cleaned on", &admin.clean(&scope.scope(), what).await?)
            }
            Self::Replication { scope } => {
                let status = admin.replication(&scope.scope()).await?;
                out.gathered(&status, |status| {
                    let mut table =
                        Table::new(&["BROKER", "LOG END", "IN SYNC", "REPLICA", "BEHIND"]).right(&[1, 2, 4]);
                    for of in status {
                        let (end, in_sync) =
                            (of.value.master_commit_log_max_offset, of.value.in_sync_slave_nums);
                        let head = [of.broker.name.to_string(), end.to_string(), in_sync.to_string()];
                        if of.value.ha_connection_info.is_empty() {
                            table.row(head.clone().into_iter().chain(["-".into(), "-".into()]));
                        }
                        for replica in &of.value.ha_connection_info {
                            let tail = [replica.addr.clone(), replica.diff.to_string()];
                            table.row(head.clone().into_iter().chain(tail));
                        }
                    }
                    table
                })
            }
            Self::Stats { name, key, scope } => {
                let stats = admin.statistic(name, key, &scope.scope()).await?;
                out.gathered(&stats, |stats| {
                    let mut table =
                        Table::new(&["BROKER", "SPAN", "SUM", "PER SECOND", "AVERAGE"]).right(&[2, 3, 4]);
                    for of in stats {
                        let spans = [
                            ("minute", of.value.stats_minute),
                            ("hour", of.value.stats_hour),
                            ("day", of.value.stats_day),
                        ];
                        for (span, item) in spans {
                            table.row([
                                of.broker.name.to_string(),
                                span.to_owned(),
                                item.sum.to_string(),
                                format!("{:.2}", item.tps),
                                format!("{:.2}", item.avgpt),
                            ]);
                        }
                    }
                    table
                })
            }
        }
    }
}

/// How brokers are, in brief.
pub(super) async fn states(admin: &Admin, out: &Out, scope: &Scope) -> Result<()> {
    let states = admin.broker_states(scope).await?;
    out.gathered(&states, |states| {
        let header = [
            "CLUSTER",
            "BROKER",
            "ID",
            "ADDRESS",
            "VERSION",
            "IN/S",
            "OUT/S",
            "IN TODAY",
            "OUT TODAY",
            "DISK",
            "OLDEST MESSAGE",
        ];
        let mut table = Table::new(&header).right(&[2, 5, 6, 7, 8, 9]);
        for of in states {
            let (broker, state) = (&of.broker, &of.value);
            table.row([
                broker.cluster.to_string(),
                broker.name.to_string(),
                broker.id.to_string(),
                broker.addr.to_string(),
                state.version.clone(),
                format!("{:.1}", state.puts_per_second),
                format!("{:.1}", state.gets_per_second),
                state.puts_today.to_string(),
                state.gets_today.to_string(),
                or_dash(state.disk_used.map(|used| format!("{:.0} %", used * 100.0))),
                or_dash(state.oldest_message.map(when::show)),
            ]);
        }
        table
    })
}
