//! `ferromq standalone`: NameServer and broker in one process, with nothing to write first.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::logging::LogArgs;
use crate::settings::{Role, Sources};
use crate::start::{ServeArgs, start};

/// Run a NameServer and a broker in one process
///
/// Listens on 127.0.0.1, at ports 9876 (NameServer) and 10911 (broker), and needs no file to be written first.
#[derive(Debug, Args)]
pub(crate) struct StandaloneArgs {
    /// Keep everything in this directory [default: ferromq-data, in the current directory]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    #[command(flatten)]
    serve: ServeArgs,
}

impl StandaloneArgs {
    pub(crate) fn run(self, logs: &LogArgs) -> ExitCode {
        let sources = Sources { store: self.store, ..self.serve.sources(Role::Standalone) };
        start(&sources, &self.serve, logs)
    }
}
