//! `ferromq admin offset`.

use anyhow::Result;
use ferromq_client::admin::offsets::{Moved, ResetTo};
use ferromq_client::admin::{Admin, AdminError};
use ferromq_model::QueueOffset;

use super::output::{Out, Table, or_dash};
use super::topic::EVERYWHERE;
use crate::when;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show where a group is in a topic
    Show {
        /// The group
        group: String,
        /// The topic
        topic: String,
    },
    /// Move a group in a topic
    Reset {
        /// The group
        group: String,
        /// The topic
        topic: String,
        /// first, last, now, or a time: to the first message stored then or later
        #[arg(long, value_parser = target, required_unless_present = "offset")]
        to: Option<ResetTo>,
        /// This message of one queue
        #[arg(long, conflicts_with = "to", requires = "queue")]
        offset: Option<u64>,
        /// Only this queue, as in broker-a:0
        #[arg(long, value_name = "BROKER:QUEUE")]
        queue: Option<String>,
        /// Only say what would be moved
        #[arg(long)]
        dry_run: bool,
    },
    /// Skip what a group has not consumed: moves it to the end
    Skip {
        /// The group
        group: String,
        /// The topic
        topic: String,
        /// Only say what would be skipped
        #[arg(long)]
        dry_run: bool,
    },
    /// Give a group the positions of another one
    Clone {
        /// The group whose positions are taken
        from: String,
        /// The group that gets them
        to: String,
        /// In this topic
        topic: String,
    },
    /// Show where the members of a group are, by their own account
    Members {
        /// The group
        group: String,
        /// The topic
        topic: String,
    },
}

fn target(text: &str) -> Result<ResetTo, String> {
    match text {
        "first" => Ok(ResetTo::First),
        // What mqadmin calls the end.
        "last" | "now" | "-1" => Ok(ResetTo::Last),
        time => when::parse(time).map(ResetTo::Time),
    }
}

impl Command {
    pub(super) async fn run(&self, admin: &Admin, out: &Out) -> Result<()> {
        match self {
            Self::Show { group, topic } => {
                let progress = admin.progress(group, Some(topic), &EVERYWHERE).await?;
                out.gathered(&progress, super::group::queues)
            }
            Self::Reset { group, topic, to, offset, queue, dry_run } => {
                let to = match (to, offset) {
                    (Some(to), _) => *to,
                    (None, Some(offset)) => ResetTo::Offset(QueueOffset(*offset)),
                    (None, None) => {
                        let what = "reset to what? give --to or --offset".to_owned();
                        return Err(AdminError::Invalid { what }.into());
                    }
                };
                reset(admin, out, (group, topic), to, queue.as_deref(), *dry_run).await
            }
            Self::Skip { group, topic, dry_run } => {
                reset(admin, out, (group, topic), ResetTo::Last, None, *dry_run).await
            }
            Self::Clone { from, to, topic } => {
                out.done("copied on", &admin.clone_offsets(from, to, topic).await?)
            }
            Self::Members { group, topic } => {
                let members = admin.member_positions(group, topic).await?;
                out.gathered(&members, |members| {
                    let mut table = Table::new(&["CLIENT", "BROKER", "QUEUE", "POSITION"]).right(&[2, 3]);
                    for (client, queues) in members {
                        for (queue, position) in queues {
                            table.row([client, &*queue.broker, &queue.id.to_string(), &position.to_string()]);
                        }
                    }
                    table
                })
            }
        }
    }
}

async fn reset(
    admin: &Admin,
    out: &Out,
    (group, topic): (&str, &str),
    to: ResetTo,
    queue: Option<&str>,
    dry_run: bool,
) -> Result<()> {
    let queue = match queue {
        Some(queue) => Some(super::topic::queue(admin, topic, queue).await?),
        None => None,
    };
    let bar = out.progress(1, if dry_run { "planning" } else { "moving" });
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    let moved = if dry_run {
        admin.plan_reset(group, topic, to, queue.as_ref()).await
    } else {
        admin.reset_offsets(group, topic, to, queue.as_ref()).await
    };
    bar.finish_and_clear();
    out.gathered(&moved?, |moved| table(moved))
}

fn table(moved: &[Moved]) -> Table {
    let mut table = Table::new(&["BROKER", "QUEUE", "BEFORE", "AFTER"]).right(&[1, 2, 3]);
    for at in moved {
        table.row([
            at.queue.broker.to_string(),
            at.queue.id.to_string(),
            or_dash(at.before),
            at.after.to_string(),
        ]);
    }
    table
}
