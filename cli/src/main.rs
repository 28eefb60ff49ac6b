//! `ferromq`, the one binary: what each command is, and how its help is put together.
//!
//! Always true:
//! * a server exits with 0 after a graceful stop, 1 when it could not start or serve, 2 when its command line or
//!   configuration cannot be used, 130 when it was stopped by a second signal;
//! * what can be set is declared by the rooms that honour it; help, printed configuration and reference page are
//!   made from their tables.

mod address;
mod admin;
mod bench;
mod broker;
mod consume;
mod foreign;
mod line;
mod logging;
mod namesrv;
mod plan;
mod ports;
mod produce;
mod reference;
mod serve;
mod servers;
mod settings;
mod standalone;
mod start;
mod stop;
mod suggest;
mod telemetry;
mod top;
mod when;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use settings::Part;

/// RocketMQ's messaging as one small binary
#[derive(Debug, Parser)]
#[command(name = "ferromq", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    logs: logging::LogArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Standalone(standalone::StandaloneArgs),
    Namesrv(namesrv::NamesrvArgs),
    Broker(broker::BrokerArgs),
    Produce(Box<produce::ProduceArgs>),
    Consume(Box<consume::ConsumeArgs>),
    Top(top::TopArgs),
    /// Administer a cluster, this one's or an official RocketMQ's
    Admin(Box<admin::AdminArgs>),
    /// Measure a server that speaks the remoting protocol, this one or another
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Print all settings with their defaults
    Config(reference::ConfigArgs),
    /// Print what a shell needs to complete command lines
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    let args = match admin::translate(std::env::args_os().collect()) {
        Ok(args) => args,
        Err(reason) => {
            eprintln!("ferromq admin: {reason}");
            return ExitCode::from(2);
        }
    };
    let matches = command().get_matches_from(args);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match cli.command {
        Command::Standalone(args) => args.run(&cli.logs),
        Command::Namesrv(args) => args.run(&cli.logs),
        Command::Broker(args) => args.run(&cli.logs),
        Command::Produce(args) => args.run(&cli.logs),
        Command::Consume(args) => args.run(&cli.logs),
        Command::Top(args) => args.run(&cli.logs),
        Command::Admin(args) => args.run(&cli.logs),
        Command::Bench(bench) => bench.run(),
        Command::Config(args) => start::print(&args.text()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command(), "ferromq", &mut script);
            start::print(&String::from_utf8_lossy(&script))
        }
    }
}

/// The command line, with the tables of settings at the end of each server's long help.
fn command() -> clap::Command {
    let settings = |wanted: fn(Part) -> bool| {
        format!("Settings, for the file of -c and for --set:\n\n{}", reference::text(wanted))
    };
    let brief = "Keys for --set: see --help, or `ferromq config`.";
    Cli::command()
        .mut_subcommand("standalone", |command| command.after_help(brief).after_long_help(settings(|_| true)))
        .mut_subcommand("namesrv", |command| {
            command.after_help(brief).after_long_help(settings(|part| part != Part::Broker))
        })
        .mut_subcommand("broker", |command| {
            command.after_help(brief).after_long_help(settings(|part| part != Part::Namesrv))
        })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
