//! `ferromq namesrv`: a NameServer alone. Any number of them may run; none knows of the others.

use std::process::ExitCode;

use clap::Args;

use crate::logging::LogArgs;
use crate::settings::Role;
use crate::start::{ServeArgs, start};

/// Run a NameServer
///
/// Brokers register with it and clients ask it where topics are. Several may run: none knows of the others, each
/// broker registers with all.
#[derive(Debug, Args)]
pub(crate) struct NamesrvArgs {
    #[command(flatten)]
    serve: ServeArgs,
}

impl NamesrvArgs {
    pub(crate) fn run(self, logs: &LogArgs) -> ExitCode {
        start(&self.serve.sources(Role::Namesrv), &self.serve, logs)
    }
}
