//! What the commands that are clients have in common: which servers they talk to, and how they end.
//!
//! Always true:
//! * standard output carries the result alone; everything else goes to standard error;
//! * the exit code is one of those declared here.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use ferromq_client::admin::AdminError;
use ferromq_client::{
    Client, ClientBuilder, ConfigError, Credentials, InvalidMessage, PullError, RouteError, StartError, Tls,
};
use tokio::runtime;

use crate::logging::LogArgs;

/// Refused or failed, also if that is true of a part only.
pub(crate) const FAILED: u8 = 1;
/// The same command line fails again.
pub(crate) const WRONG_ARGUMENTS: u8 = 2;
/// No server could be reached.
pub(crate) const UNREACHABLE: u8 = 3;
/// A second signal: 128 and the number of SIGINT, as shells say it.
const FORCED: u8 = 130;

/// How long a server may take for an answer: these commands have time.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// Where the servers are, and who asks.
#[derive(Debug, clap::Args)]
pub(crate) struct Servers {
    /// NameServers, with ; between
    #[arg(
        long,
        short = 'n',
        global = true,
        value_name = "HOST:PORT",
        env = "NAMESRV_ADDR",
        default_value = "127.0.0.1:9876"
    )]
    namesrv: String,
    /// Access key, if servers check who asks; the secret comes from the variable ROCKETMQ_SECRET_KEY
    #[arg(long, global = true, env = "ROCKETMQ_ACCESS_KEY")]
    access_key: Option<String>,
    /// Encrypt connections, trusting the authorities of this file (PEM)
    #[arg(long, global = true, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
}

impl Servers {
    /// Begins to build a client of them.
    pub(crate) fn builder(&self) -> Result<ClientBuilder> {
        let mut builder = Client::builder(&self.namesrv).call_timeout(CALL_LIMIT);
        if let Some(access_key) = &self.access_key {
            let secret = std::env::var("ROCKETMQ_SECRET_KEY").unwrap_or_default();
            builder = builder.credentials(Credentials::new(access_key, &secret));
        }
        if let Some(file) = &self.tls_ca {
            builder = builder.tls(Tls::trusting(file)?);
        }
        Ok(builder)
    }
}

/// Runs a command to its end, and says on standard error why it failed.
pub(crate) fn run(command: &str, logs: &LogArgs, work: impl Future<Output = Result<ExitCode>>) -> ExitCode {
    // What the client notes by the way is for who asks for it.
    if let Err(error) = logs.init_with("error") {
        eprintln!("ferromq {command}: {error}");
        return ExitCode::from(WRONG_ARGUMENTS);
    }
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(command, &error.into()),
    };
    let ended = runtime.block_on(Box::pin(work)).unwrap_or_else(|error| failed(command, &error));
    // Whoever still waits for a pipe is not waited for.
    runtime.shutdown_background();
    ended
}

/// Ends the process without waiting for anything.
pub(crate) fn end_at_once() -> ! {
    std::process::exit(FORCED.into());
}

fn failed(command: &str, error: &anyhow::Error) -> ExitCode {
    let closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    if error.downcast_ref::<io::Error>().is_some_and(closed) {
        // Whoever read the result has seen enough.
        return ExitCode::SUCCESS;
    }
    let code = code(error);
    // The client's errors name their causes themselves.
    eprintln!("ferromq {command}: {error}");
    if code == UNREACHABLE {
        eprintln!("`ferromq standalone` starts a server; --namesrv or NAMESRV_ADDR says where others are");
    }
    ExitCode::from(code)
}

fn code(error: &anyhow::Error) -> u8 {
    let route = match error.downcast_ref::<PullError>() {
        Some(PullError::Name(_)) => return WRONG_ARGUMENTS,
        Some(PullError::Route(route)) => Some(route),
        _ => error.downcast_ref::<RouteError>(),
    };
    if matches!(route, Some(RouteError::NoNameServer { .. }))
        || error.downcast_ref::<AdminError>().is_some_and(AdminError::is_unreachable)
    {
        return UNREACHABLE;
    }
    let wrong = error.is::<ConfigError>()
        || error.is::<InvalidMessage>()
        || error.is::<ferromq_model::NameError>()
        || error.is::<ferromq_model::filter::FilterError>()
        || matches!(error.downcast_ref(), Some(StartError::Name(_)));
    if wrong { WRONG_ARGUMENTS } else { FAILED }
}
