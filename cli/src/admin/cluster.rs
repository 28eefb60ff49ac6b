//! `ferromq admin cluster`.

use anyhow::Result;
use ferromq_client::admin::{Admin, Scope};

use super::ScopeArgs;
use super::output::{Out, Table};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List clusters with their brokers and how these are
    #[command(visible_alias = "ls")]
    List {
        /// Ask NameServers alone, not brokers how they are
        #[arg(long)]
        brief: bool,
        #[command(flatten)]
        scope: ScopeArgs,
    },
}

impl Command {
    pub(super) async fn run(&self, admin: &Admin, out: &Out) -> Result<()> {
        match self {
            Self::List { brief: true, scope } if scope.scope() == Scope::All => {
                let clusters = admin.clusters().await?;
                out.show(&clusters, |clusters| {
                    let mut table = Table::new(&["CLUSTER", "BROKER", "ID", "ADDRESS"]).right(&[2]);
                    for cluster in clusters {
                        for node in &cluster.brokers {
                            table.row([&*cluster.name, &*node.name, &node.id.to_string(), &*node.addr]);
                        }
                    }
                    table
                })
            }
            Self::List { brief: true, scope } => {
                let nodes = admin.brokers(&scope.scope()).await?;
                out.show(&nodes, |nodes| {
                    let mut table = Table::new(&["CLUSTER", "BROKER", "ID", "ADDRESS"]).right(&[2]);
                    for node in nodes {
                        table.row([&*node.cluster, &*node.name, &node.id.to_string(), &*node.addr]);
                    }
                    table
                })
            }
            Self::List { brief: false, scope } => super::broker::states(admin, out, &scope.scope()).await,
        }
    }
}
