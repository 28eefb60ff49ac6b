//! From the command line to serving: what `standalone`, `namesrv` and `broker` have in common.

use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tracing::{error, info, warn};

use crate::logging::LogArgs;
use crate::plan::Plan;
use crate::serve;
use crate::settings::{Effective, Role, Sources};
use crate::stop::{Ended, Signals, StopAsked, stoppable};
use crate::telemetry::Telemetry;

/// The operator's mistake: nothing was started.
pub(crate) const BAD_CONFIGURATION: u8 = 2;
/// Killed by an impatient operator: 128 and the number of SIGINT, as shells say it.
const FORCED: u8 = 130;

/// The options that all servers have.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Read settings from a file in RocketMQ's format (Java .properties)
    #[arg(short = 'c', long = "config", alias = "configFile", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Set one key, whatever the file says; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = assignment)]
    assignments: Vec<(String, String)>,
    /// Print the configuration in effect and where each value came from, then exit
    #[arg(short = 'p', long, alias = "printConfigItem")]
    print_config: bool,
    /// Stop, as after a signal, when standard input ends: with the program that started this one, even if that is killed
    #[arg(long)]
    until_stdin_ends: bool,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it has no \"=\"")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

impl ServeArgs {
    /// What these options say, for a process started as `role`.
    pub(crate) fn sources(&self, role: Role) -> Sources {
        Sources {
            role,
            environment: std::env::var("NAMESRV_ADDR").ok().filter(|servers| !servers.trim().is_empty()),
            file: self.file.clone(),
            namesrvs: None,
            store: None,
            assignments: self.assignments.clone(),
        }
    }
}

/// Serves what `sources` say, or prints it.
pub(crate) fn start(sources: &Sources, args: &ServeArgs, logs: &LogArgs) -> ExitCode {
    let mut effective = match Effective::load(sources) {
        Ok(effective) => effective,
        Err(problems) => {
            for problem in problems {
                eprintln!("error: {problem}");
            }
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    if args.print_config {
        for warning in effective.warnings() {
            eprintln!("warning: {warning}");
        }
        return print(&effective.print());
    }
    let warnings = effective.warnings().to_vec();
    let plan = effective.plan();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(plan.listen.worker_threads as usize)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let opened = {
        let _within = runtime.enter();
        Telemetry::open(plan.broker.as_ref()).and_then(|telemetry| {
            let logging = logs.init_serving(telemetry.traces.as_ref());
            logging.map_err(|error| format!("--log-level or RUST_LOG: {error}")).map(|()| telemetry)
        })
    };
    let telemetry = match opened {
        Ok(telemetry) => telemetry,
        Err(problem) => {
            eprintln!("error: {problem}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    info!(version = env!("CARGO_PKG_VERSION"), "{} starts", sources.role.command());
    for warning in warnings {
        warn!("{warning}");
    }
    serve(&runtime, plan, telemetry, args.until_stdin_ends)
}

/// Serves until the stop, and tells the collector what is left.
async fn run(plan: Plan, telemetry: Telemetry, stop: StopAsked) -> Result<(), serve::StartError> {
    let served = serve::run(plan, telemetry.metrics.clone(), stop.wait()).await;
    telemetry.stop().await;
    served
}

/// Writes to standard output. Whoever closed it early has read enough.
pub(crate) fn print(text: &str) -> ExitCode {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn serve(runtime: &Runtime, plan: Plan, telemetry: Telemetry, until_stdin_ends: bool) -> ExitCode {
    raise_file_limit(plan.listen.max_connections);
    runtime.block_on(async {
        let caught = Signals::catch();
        let caught = if until_stdin_ends { caught.and_then(Signals::with_stdin_end) } else { caught };
        let mut signals = match caught {
            Ok(signals) => signals,
            Err(error) => return failed(&error),
        };
        // Boxed: the future of everything is large, and lives on the main thread's stack otherwise.
        let run = |stop: StopAsked| Box::pin(run(plan, telemetry, stop));
        match stoppable(run, async || signals.next().await).await {
            Ended::Served(Ok(())) => {
                info!("stopped");
                ExitCode::SUCCESS
            }
            Ended::Served(Err(error)) => failed(&error),
            Ended::Forced => {
                error!("stopped before everything was flushed");
                // At once: neither tasks nor destructors are waited for.
                std::process::exit(FORCED.into());
            }
        }
    })
}

fn failed(error: &(dyn Error + 'static)) -> ExitCode {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |&cause| cause.source()) {
        let cause = cause.to_string();
        // Some errors tell their cause themselves.
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    error!("{text}");
    ExitCode::FAILURE
}

/// Asks for as many open files as this process may have: each connection is one, and shells allow few at first.
fn raise_file_limit(connections: u32) {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let raised = setrlimit(Resource::Nofile, limit).is_ok();
    let open = getrlimit(Resource::Nofile).current;
    if !raised || open.is_some_and(|open| open < u64::from(connections)) {
        let open = open.unwrap_or(u64::MAX);
        warn!("this process may open {open} files, fewer than maxConnections {connections}; see ulimit -n");
    }
}
