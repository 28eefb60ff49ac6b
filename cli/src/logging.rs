//! Logs go to standard error, as text or JSON; standard output carries only what was asked for.

use clap::{Args, ValueEnum};
use ferromq_gateway::otlp::traces::TracesExport;
use std::io::IsTerminal as _;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

/// What is logged, and how.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// One line of text or one JSON object for each event
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", help_heading = "Logs")]
    log_format: LogFormat,
    /// error, warn, info, debug or trace, also for one module as in info,ferromq_store=debug [default: RUST_LOG, or
    /// info]
    #[arg(long, global = true, value_name = "LEVEL", help_heading = "Logs")]
    log_level: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// What servers log by default: of the database that MQTT sessions are kept in, trouble only.
const LEVELS: &str = "info,fjall=warn,lsm_tree=warn";

impl LogArgs {
    /// Begins to log.
    ///
    /// # Errors
    /// When the operator's level cannot be read.
    pub(crate) fn init(&self) -> Result<(), ParseError> {
        self.init_with(LEVELS)
    }

    /// The same, and gives spans to `traces` where there is a collector for them.
    ///
    /// # Errors
    /// As [`LogArgs::init`].
    pub(crate) fn init_serving(&self, traces: Option<&TracesExport>) -> Result<(), ParseError> {
        // Without one, nothing is asked whether it wants a span.
        let Some(traces) = traces else { return self.init() };
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let lines = match self.log_format {
            LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        let lines = lines.with_filter(self.filter(LEVELS)?);
        tracing_subscriber::registry().with(lines).with(traces.layer()).init();
        Ok(())
    }

    fn filter(&self, default: &str) -> Result<EnvFilter, ParseError> {
        let levels = self.log_level.clone().or_else(|| std::env::var("RUST_LOG").ok());
        EnvFilter::try_new(levels.as_deref().unwrap_or(default))
    }

    /// The same with another level where the operator names none.
    ///
    /// # Errors
    /// As [`LogArgs::init`].
    pub(crate) fn init_with(&self, default: &str) -> Result<(), ParseError> {
        let filter = self.filter(default)?;
        let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        match self.log_format {
            LogFormat::Text => subscriber.with_ansi(std::io::stderr().is_terminal()).init(),
            LogFormat::Json => subscriber.json().flatten_event(true).init(),
        }
        Ok(())
    }
}
