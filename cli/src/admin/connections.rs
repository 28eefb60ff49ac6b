//! `ferromq admin connections`.

use anyhow::Result;
use ferromq_client::admin::Admin;
use ferromq_client::admin::connections::Connected;

use super::ScopeArgs;
use super::output::{Out, Table, or_dash};
use crate::when;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show who consumes in a group, and what they want
    Consumer {
        /// The group
        group: String,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Show who produces: in a group, or in all
    Producer {
        /// The group
        group: Option<String>,
        #[command(flatten)]
        scope: ScopeArgs,
    },
}

impl Command {
    pub(super) async fn run(&self, admin: &Admin, out: &Out) -> Result<()> {
        match self {
            Self::Consumer { group, scope } => {
                let found = admin.consumers(group, &scope.scope()).await?;
                if found.value.is_none() && found.failures.is_empty() {
                    out.note_failure();
                    eprintln!("ferromq admin: nobody of group {group} is there");
                }
                out.gathered(&found, |found| {
                    let mut table =
                        Table::new(&["CLIENT", "ADDRESS", "LANGUAGE", "VERSION", "TOPIC", "WANTS"]);
                    let Some(found) = found else { return table };
                    let mut wanted = found.subscriptions.iter();
                    for member in &found.members {
                        let (topic, wants) = wanted.next().map_or(("", String::new()), told);
                        table.row([
                            &*member.client_id,
                            &*member.addr,
                            &*member.language,
                            &member.version.to_string(),
                            topic,
                            &wants,
                        ]);
                    }
                    for (topic, wants) in wanted.map(told) {
                        table.row(["", "", "", "", topic, &wants]);
                    }
                    table
                })
            }
            Self::Producer { group: Some(group), scope } => {
                let found = admin.producers(group, &scope.scope()).await?;
                if found.value.is_empty() && found.failures.is_empty() {
                    out.note_failure();
                    eprintln!("ferromq admin: nobody of producer group {group} is there");
                }
                out.gathered(&found, |members| {
                    let mut table = Table::new(&["CLIENT", "ADDRESS", "LANGUAGE", "VERSION"]);
                    members.iter().for_each(|member| table.row(cells(member)));
                    table
                })
            }
            Self::Producer { group: None, scope } => {
                let found = admin.all_producers(&scope.scope()).await?;
                out.gathered(&found, |groups| {
                    let mut table =
                        Table::new(&["GROUP", "CLIENT", "ADDRESS", "LANGUAGE", "VERSION", "HEARD"]);
                    for (group, members) in groups {
                        for member in members {
                            let heard = or_dash(member.heard.map(when::show));
                            table.row([group.clone()].into_iter().chain(cells(member)).chain([heard]));
                        }
                    }
                    table
                })
            }
        }
    }
}

fn told<'s>(
    (topic, wants): (&'s String, &ferromq_client::admin::connections::Subscribed),
) -> (&'s str, String) {
    (topic.as_str(), format!("{} {}", wants.kind, wants.expression))
}

fn cells(member: &Connected) -> [String; 4] {
    [member.client_id.clone(), member.addr.clone(), member.language.clone(), member.version.to_string()]
}
