//! `ferromq admin`: administration of any RocketMQ cluster, ours or an official one, from the command line.
//!
//! | module | what it holds |
//! |---|---|
//! | [`cluster`], [`broker`], [`namesrv`], [`topic`], [`group`], [`offset`], [`message`], [`connections`] | the commands: parse, one call into the client, print |
//! | [`mqtt`], [`http`] | what goes by a server's HTTP API: its MQTT clients |
//! | [`transfer`] | messages out of a topic and into one, with progress and a cursor |
//! | [`mqadmin`] | RocketMQ's names for the commands, and its options |
//! | [`output`] | tables, JSON, and what went wrong |
//!
//! Always true:
//! * standard output carries the result alone, as a table or as one JSON document; everything else goes to standard error;
//! * with several servers, what some of them said is printed and who failed is told: the exit code is 1 then.

mod broker;
mod cluster;
mod connections;
mod group;
mod http;
mod message;
mod mqadmin;
mod mqtt;
mod namesrv;
mod offset;
mod output;
mod topic;
mod transfer;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;
use ferromq_client::Client;
use ferromq_client::admin::doctor::Severity;
use ferromq_client::admin::{Admin, Scope};
use tokio::runtime;

use crate::servers::Servers;
pub(crate) use mqadmin::translate;
use output::{Format, Out, Table};

/// What `--help` says at its end.
const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  refused or failed, also if only some of several servers did it
  2  wrong arguments
  3  no server could be reached

RocketMQ's names work too, with mqadmin's options: `ferromq admin updateTopic -c DefaultCluster -t Orders`.";

/// Where the servers are, and what to ask of them.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct AdminArgs {
    #[command(flatten)]
    connection: Connection,
    /// A table for people, or one JSON document for scripts
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

/// Which servers, and how to talk to them.
#[derive(Debug, clap::Args)]
struct Connection {
    #[command(flatten)]
    servers: Servers,
    /// Seconds that a server may take for an answer
    #[arg(long, global = true, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Clusters and their brokers
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Brokers: state, settings, cleaning, statistics
    #[command(subcommand)]
    Broker(broker::Command),
    /// NameServers: settings, key-value table, write permission of brokers
    #[command(subcommand)]
    Namesrv(namesrv::Command),
    /// Topics: which there are, how they are set, where they are, who reads them
    #[command(subcommand)]
    Topic(topic::Command),
    /// Consumer groups: settings, progress, what their members do
    #[command(subcommand)]
    Group(group::Command),
    /// Positions of groups: moved, skipped, copied
    #[command(subcommand)]
    Offset(offset::Command),
    /// Messages: found, read, sent, exported, imported
    #[command(subcommand)]
    Message(message::Command),
    /// Who is connected
    #[command(subcommand)]
    Connections(connections::Command),
    /// MQTT: clients and their sessions, shared subscriptions, retained messages
    Mqtt(mqtt::Args),
    /// Look for what is wrong, and say what to do
    ///
    /// Looks whether NameServers and brokers can be reached, whether brokers advertise addresses that clients can use,
    /// how full disks are, whether clocks agree, and which groups are far behind. Nothing is changed. The exit code is 1
    /// if there is an error among the findings.
    Doctor,
}

/// Which brokers.
#[derive(Debug, Default, clap::Args)]
struct ScopeArgs {
    /// Brokers of this cluster; all clusters by default
    #[arg(long, short = 'c', value_name = "NAME")]
    cluster: Option<String>,
    /// This broker: its name, or its address
    #[arg(long, short = 'b', value_name = "NAME|HOST:PORT", conflicts_with = "cluster")]
    broker: Option<String>,
}

impl ScopeArgs {
    fn scope(&self) -> Scope {
        match (&self.cluster, &self.broker) {
            (_, Some(broker)) => Scope::Broker(broker.clone()),
            (Some(cluster), None) => Scope::Cluster(cluster.clone()),
            (None, None) => Scope::All,
        }
    }
}

impl AdminArgs {
    /// Does it, and says how it went.
    pub(crate) fn run(&self, logs: &crate::logging::LogArgs) -> ExitCode {
        // What the client notes by the way is for who asks for it.
        if let Err(error) = logs.init_with("error") {
            eprintln!("ferromq admin: {error}");
            return ExitCode::from(crate::servers::WRONG_ARGUMENTS);
        }
        let out = Out::new(self.output);
        let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return out.end(Err(error.into())),
        };
        out.end(runtime.block_on(self.perform(&out)))
    }

    async fn perform(&self, out: &Out) -> Result<()> {
        // Connects only where it is asked.
        let client = self.connection.client()?;
        let admin = client.admin();
        let done = match &self.command {
            Command::Cluster(command) => command.run(&admin, out).await,
            Command::Broker(command) => command.run(&admin, out).await,
            Command::Namesrv(command) => command.run(&admin, out).await,
            Command::Topic(command) => command.run(&admin, out).await,
            Command::Group(command) => command.run(&admin, out).await,
            Command::Offset(command) => command.run(&admin, out).await,
            Command::Message(command) => command.run(&admin, out).await,
            Command::Connections(command) => command.run(&admin, out).await,
            Command::Doctor => doctor(&admin, out).await,
            Command::Mqtt(args) => args.run(Duration::from_secs(self.connection.timeout), out).await,
        };
        drop(admin);
        client.close().await;
        done
    }
}

impl Connection {
    fn client(&self) -> Result<Client> {
        let builder = self.servers.builder()?.call_timeout(Duration::from_secs(self.timeout)).sticky(false);
        Ok(builder.build()?)
    }
}

async fn doctor(admin: &Admin, out: &Out) -> Result<()> {
    let findings = admin.examine().await;
    out.show(&findings, |findings| {
        let mut table = Table::new(&["", "CHECK", "SUBJECT", "FOUND"]);
        for finding in findings {
            let sign = match finding.severity {
                Severity::Ok => "ok",
                Severity::Warning => "WARNING",
                Severity::Error => "ERROR",
            };
            table.row([sign, finding.check, &finding.subject, &finding.found]);
            if !finding.advice.is_empty() {
                table.row(["", "", "", &format!("-> {}", finding.advice)]);
            }
        }
        table
    })?;
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        out.note_failure();
    }
    Ok(())
}
