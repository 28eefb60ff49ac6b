//! `ferromq admin namesrv`.

use anyhow::Result;
use ferromq_client::admin::{Admin, AdminError};

use super::broker::key_value;
use super::output::{Out, Table, pairs};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show how NameServers are set
    Config {
        /// Only keys with this in their name
        key: Option<String>,
    },
    /// Change settings of running NameServers
    Set {
        /// What to change
        #[arg(required = true, value_name = "KEY=VALUE", value_parser = key_value)]
        changes: Vec<(String, String)>,
    },
    /// Keep producers away from a broker, on every topic: before it is stopped
    WipeWrites {
        /// The broker's name
        broker: String,
    },
    /// Let producers come to a broker again
    AllowWrites {
        /// The broker's name
        broker: String,
    },
    /// The key-value table
    #[command(subcommand)]
    Kv(Kv),
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Kv {
    /// Show a value, or all of a namespace
    Get {
        /// The namespace
        namespace: String,
        /// The key
        key: Option<String>,
    },
    /// Store a value
    Put {
        /// The namespace
        namespace: String,
        /// The key
        key: String,
        /// The value
        value: String,
    },
    /// Remove a value
    Delete {
        /// The namespace
        namespace: String,
        /// The key
        key: String,
    },
}

impl Command {
    pub(super) async fn run(&self, admin: &Admin, out: &Out) -> Result<()> {
        match self {
            Self::Config { key } => {
                let mut settings = admin.name_server_settings().await?;
                if let Some(wanted) = key {
                    let wanted = wanted.to_lowercase();
                    for of in &mut settings.value {
                        of.value.retain(|key, _| key.to_lowercase().contains(&wanted));
                    }
                }
                out.gathered(&settings, |settings| {
                    let mut table = Table::new(&["NAMESERVER", "KEY", "VALUE"]);
                    for of in settings {
                        for (key, value) in &of.value {
                            table.row([&*of.broker.addr, key, value]);
                        }
                    }
                    table
                })
            }
            Self::Set { changes } => {
                out.done("changed on", &admin.change_name_server_settings(changes).await?)
            }
            Self::WipeWrites { broker } => writes(admin, out, broker, false).await,
            Self::AllowWrites { broker } => writes(admin, out, broker, true).await,
            Self::Kv(Kv::Get { namespace, key: Some(key) }) => {
                let value = admin.value(namespace, key).await?.ok_or_else(|| AdminError::NotFound {
                    what: format!("key {key:?} of namespace {namespace:?}"),
                })?;
                out.show(&value, |value| Table::line(value.as_str()))
            }
            Self::Kv(Kv::Get { namespace, key: None }) => {
                let values = admin.values(namespace).await?;
                out.show(&values, |values| pairs(values.iter().map(|(key, value)| (&**key, &**value))))
            }
            Self::Kv(Kv::Put { namespace, key, value }) => {
                out.done("stored on", &admin.put_value(namespace, key, value).await?)
            }
            Self::Kv(Kv::Delete { namespace, key }) => {
                out.done("removed on", &admin.delete_value(namespace, key).await?)
            }
        }
    }
}

async fn writes(admin: &Admin, out: &Out, broker: &str, allow: bool) -> Result<()> {
    let changed = admin.allow_writes(broker, allow).await?;
    out.gathered(&changed, |changed| {
        let mut table = Table::new(&["NAMESERVER", "TOPICS CHANGED"]).right(&[1]);
        changed.iter().for_each(|of| table.row([of.broker.addr.to_string(), of.value.to_string()]));
        table
    })
}
