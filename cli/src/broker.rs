//! `ferromq broker`: a broker alone, which registers with NameServers that run elsewhere.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::logging::LogArgs;
use crate::settings::{Role, Sources};
use crate::start::{ServeArgs, start};

/// Run a broker
///
/// Takes RocketMQ's configuration files, and opens its store directories.
#[derive(Debug, Args)]
pub(crate) struct BrokerArgs {
    /// NameServers to register with [default: namesrvAddr of the file, or the environment's NAMESRV_ADDR]
    #[arg(short = 'n', long = "namesrv", alias = "namesrvAddr", value_name = "HOST:PORT[;HOST:PORT...]")]
    namesrvs: Option<String>,
    /// Keep everything in this directory [default: storePathRootDir of the file, or ~/store as in RocketMQ]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    #[command(flatten)]
    serve: ServeArgs,
}

impl BrokerArgs {
    pub(crate) fn run(self, logs: &LogArgs) -> ExitCode {
        let sources =
            Sources { namesrvs: self.namesrvs, store: self.store, ..self.serve.sources(Role::Broker) };
        start(&sources, &self.serve, logs)
    }
}
