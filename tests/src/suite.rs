//! Scenarios of our own client: each a name and an async function, the same list against every server.
//!
//! ```text
//! suite! { send, retry, … }  ──▶  one `#[test]` for each scenario and server: send::ferromq, send::official_5, …
//!                                  └ the first of a server's starts it and runs the whole list, a few at a time;
//!                                    each then looks at its own verdict
//! ```
//! Starting a JVM costs more than most scenarios, so that all of a list share one server: what they do on it must be
//! told apart by [`Scene::name`].

use std::any::Any;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::Report;
use crate::server::{Kind, Launch, Server};

/// How many scenarios run at once: most of their time is spent waiting for a delay or a retry.
const AT_ONCE: usize = 6;
/// Longer than any scenario needs on a busy machine, several waits of two minutes included; one that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(420);
/// Short enough to wait for: levels 1 and 2 differ, retries use 3 and up.
const DELAY_LEVELS: &str = "1s 3s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 2s 2s";

/// One scenario: returns when everything it expects has happened, panics with what did not.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name in reports.
    pub name: &'static str,
    /// Begins it.
    pub run: fn(Scene) -> Running,
}

/// A scenario that has begun.
pub type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a scenario is handed.
#[derive(Clone, Debug)]
pub struct Scene {
    scenario: &'static str,
    kind: Kind,
    namesrv: String,
    broker: SocketAddr,
}

impl Scene {
    /// A name for a topic, a group or a client that no other scenario uses.
    pub fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.scenario)
    }

    /// Which server it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The NameServer's address.
    pub fn namesrv(&self) -> &str {
        &self.namesrv
    }

    /// The broker's main address.
    pub fn broker(&self) -> SocketAddr {
        self.broker
    }

    /// Whether the server is of 4.x: it has no timed messages, no recall and no pops that a client could rely on.
    pub fn is_4(&self) -> bool {
        matches!(self.kind, Kind::Official(version) if version.starts_with("4."))
    }
}

/// A server with the settings that scenarios need, which is not started yet.
pub fn launch(kind: Kind, dir: &std::path::Path) -> Launch {
    Launch::new(kind, dir)
        .small_files()
        .set("messageDelayLevel", DELAY_LEVELS)
        // Asked about when it is 2 s old, then every second, until somebody says: on a busy machine that takes long.
        .set("transactionTimeOut", "2000")
        .set("transactionCheckInterval", "1000")
        .set("transactionCheckMax", "1000")
        // The time that passes before the official server notes that a transaction is done: it asks about it until then.
        .set("transactionOpBatchInterval", "100")
        // What the official server does only when it is told to.
        .set("enablePropertyFilter", "true")
        .set("recallMessageEnable", "true")
        .set("traceTopicEnable", "true")
}

/// Starts a server, runs the scenarios on it and stops it; an error is what kept it from running them.
///
/// # Errors
/// The words of the panic.
pub fn run(kind: Kind, scenarios: &[Scenario]) -> Result<Report, String> {
    panic::catch_unwind(AssertUnwindSafe(|| {
        let dir = tempfile::Builder::new().prefix("ferromq-suite-").tempdir().expect("a temporary directory");
        let server = launch(kind, dir.path()).start();
        let verdicts = run_on(&server, kind, scenarios);
        let mut output = String::new();
        if verdicts.values().any(Result::is_err) {
            output = server.log_tail();
            // Kept for whoever looks into it.
            output.push_str(&format!("\n--- files in {}\n", dir.keep().display()));
        }
        server.stop();
        Report::new(verdicts, output)
    }))
    .map_err(|payload| message(payload.as_ref()))
}

fn run_on(server: &Server, kind: Kind, scenarios: &[Scenario]) -> BTreeMap<String, Result<(), String>> {
    let scene = |scenario| Scene { scenario, kind, namesrv: server.namesrv(), broker: server.broker() };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let running = scenarios.iter().map(|scenario| (scenario.name, (scenario.run)(scene(scenario.name))));
    runtime.block_on(all(running.collect()))
}

/// Runs them a few at a time and gathers how they ended.
async fn all(scenarios: Vec<(&'static str, Running)>) -> BTreeMap<String, Result<(), String>> {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut watching = JoinSet::new();
    for (name, scenario) in scenarios {
        let places = Arc::clone(&places);
        watching.spawn(async move {
            let _place = places.acquire().await.expect("nobody closes it");
            // A task of its own, so that its panic ends nothing else.
            let mut running = JoinSet::new();
            running.spawn(timeout(LIMIT, scenario));
            let verdict = match running.join_next().await.expect("there is one") {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(format!("no end after {LIMIT:?}")),
                Err(failed) => Err(message(failed.into_panic().as_ref())),
            };
            (name.to_owned(), verdict)
        });
    }
    let mut verdicts = BTreeMap::new();
    while let Some(watched) = watching.join_next().await {
        let (name, verdict) = watched.expect("it catches panics");
        verdicts.insert(name, verdict);
    }
    verdicts
}

pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    match (payload.downcast_ref::<String>(), payload.downcast_ref::<&str>()) {
        (Some(text), _) => text.clone(),
        (_, Some(text)) => (*text).to_owned(),
        _ => "a panic without a message".to_owned(),
    }
}

/// Tests of scenarios, which are functions of these names in scope: `async fn(Scene)`.
#[macro_export]
macro_rules! suite {
    ($($scenario:ident),* $(,)?) => {
        mod servers {
            use std::sync::OnceLock;

            use $crate::suite::{Scenario, run};
            use $crate::{Kind, Report, server};

            const SCENARIOS: &[Scenario] = &[$(Scenario {
                name: stringify!($scenario),
                run: |scene| Box::pin(super::$scenario(scene)),
            }),*];

            fn report(
                of: &'static OnceLock<Result<Report, String>>,
                kind: Kind,
            ) -> &'static Report {
                of.get_or_init(|| run(kind, SCENARIOS)).as_ref().expect("the scenarios ran")
            }

            pub(super) fn ferromq() -> &'static Report {
                static REPORT: OnceLock<Result<Report, String>> = OnceLock::new();
                report(&REPORT, Kind::Ferro)
            }

            pub(super) fn official_5() -> &'static Report {
                static REPORT: OnceLock<Result<Report, String>> = OnceLock::new();
                report(&REPORT, Kind::Official(server::OFFICIAL))
            }

            pub(super) fn official_4() -> &'static Report {
                static REPORT: OnceLock<Result<Report, String>> = OnceLock::new();
                report(&REPORT, Kind::Official(server::OFFICIAL_4))
            }
        }

        /// One module for each scenario, with one test for each server.
        mod on {
            $(mod $scenario {
                #[test]
                fn ferromq() {
                    super::super::servers::ferromq().expect_ok(&[stringify!($scenario)]);
                }

                #[test]
                fn official_5() {
                    super::super::servers::official_5().expect_ok(&[stringify!($scenario)]);
                }

                #[test]
                fn official_4() {
                    super::super::servers::official_4().expect_ok(&[stringify!($scenario)]);
                }
            })*
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_scenario_that_fails_tells_why_and_stops_no_other() {
        let verdicts =
            all(vec![("wrong", Box::pin(async { panic!("2 is not {}", 1) })), ("right", Box::pin(async {}))])
                .await;
        assert_eq!(verdicts["right"], Ok(()));
        assert_eq!(verdicts["wrong"], Err("2 is not 1".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_scenario_that_hangs_fails() {
        let verdicts = all(vec![("endless", Box::pin(std::future::pending()))]).await;
        assert_eq!(verdicts["endless"], Err("no end after 420s".to_owned()));
    }
}
