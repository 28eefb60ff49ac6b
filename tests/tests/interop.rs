//! Official clients, unmodified, against a running server: one test per scenario and client.
//!
//! The scenarios of a client run in one process of it, a few at a time, when the first of its tests asks; each test
//! then looks at its own scenario's verdict. Each client has a server and a store of its own. Tests are ordered by
//! scenario first, so that threads of the test runner begin with different clients. What a scenario is about is told
//! where it is written, in `tests/interop`.
//!
//! `FERROMQ_INTEROP_SERVER=official` runs the same against the official NameServer and broker: this is how a scenario
//! is shown to be right before our server is held to it.

use std::any::Any;
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::sync::OnceLock;

use ferromq_tests::{Client, Kind, Launch, Report};

/// Short enough to wait for: levels 1 and 2 differ, retries use 3 and up, 17 outlasts a restart, 18 is the last.
const DELAY_LEVELS: &str = "1s 3s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 8s 2s";

/// Runs all scenarios of a client; an error is what kept it from running them.
fn run_all(client: Client) -> Result<Report, String> {
    panic::catch_unwind(AssertUnwindSafe(|| {
        let dir =
            tempfile::Builder::new().prefix("ferromq-interop-").tempdir().expect("a temporary directory");
        let launch = Launch::new(Kind::under_test(), dir.path())
            .small_files()
            .set("messageDelayLevel", DELAY_LEVELS)
            // Asked about when it is 2 s old, then every second, four times in all.
            .set("transactionTimeOut", "2000")
            .set("transactionCheckInterval", "1000")
            .set("transactionCheckMax", "4")
            // What the official server does only when it is told to, and the time it lets pass before it notes that
            // a transaction is done: it asks about it until then.
            .set("enablePropertyFilter", "true")
            .set("recallMessageEnable", "true")
            .set("enableLmq", "true")
            .set("enableMultiDispatch", "true")
            // The Go client sends traces to a topic that exists only.
            .set("traceTopicEnable", "true")
            .set("transactionOpBatchInterval", "100");

        // Some scenarios need topics that have lost their oldest messages to retention.
        let server = launch.start();
        let writer = Client::Java("5.3.3");
        writer.run(&server, &["age"], dir.path()).expect_ok(&["age"]);
        server.stop();
        fs::remove_file(launch.store().join("commitlog/00000000000000000000"))
            .expect("a first commit log file");

        let server = launch.start();
        let mut report = client.run(&server, &["all"], dir.path());
        if !report.failed().is_empty() {
            report.output.push_str(&server.log_tail());
            // Kept for whoever looks into it.
            report.output.push_str(&format!("\n--- files in {}\n", dir.keep().display()));
        }
        server.stop();
        report
    }))
    .map_err(|payload| message(payload.as_ref()))
}

fn message(payload: &(dyn Any + Send)) -> String {
    match (payload.downcast_ref::<String>(), payload.downcast_ref::<&str>()) {
        (Some(text), _) => text.clone(),
        (_, Some(text)) => (*text).to_owned(),
        _ => "a panic without a message".to_owned(),
    }
}

/// The clients, each with its report, made when it is first asked for.
macro_rules! clients {
    ($($name:ident = $client:expr),* $(,)?) => {
        mod clients {
            use super::*;

            $(pub(super) fn $name() -> &'static Report {
                static REPORT: OnceLock<Result<Report, String>> = OnceLock::new();
                match REPORT.get_or_init(|| run_all($client)) {
                    Ok(report) => report,
                    Err(reason) => panic!("{} could not be run: {reason}", $client),
                }
            })*
        }

        mod every_scenario_it_has_is_looked_at_here {
            use super::*;

            $(#[test]
            fn $name() {
                let of_it = |(clients, _): &&(&[&str], _)| clients.contains(&stringify!($name));
                let mut looked_at: Vec<_> =
                    SCENARIOS.iter().filter(of_it).flat_map(|(_, scenarios)| *scenarios).copied().collect();
                looked_at.sort_unstable();
                assert_eq!(clients::$name().ran(), looked_at);
            })*
        }
    };
}

clients! {
    go = Client::Go,
    java_4_7_1 = Client::Java("4.7.1"),
    java_4_9_8 = Client::Java("4.9.8"),
    java_5_3_3 = Client::Java("5.3.3"),
    java_5_3_3_with_binary_headers = Client::JavaBinaryHeaders("5.3.3"),
}

/// Scenarios with the clients that have them.
macro_rules! scenarios {
    ($($clients:tt: $($scenario:ident),* $(,)?;)*) => {
        /// Clients, and the scenarios that each of them has.
        const SCENARIOS: &[(&[&str], &[&str])] =
            &[$((scenarios!(@names $clients), &[$(stringify!($scenario)),*])),*];

        $($(scenarios! { @tests $scenario $clients })*)*
    };
    (@names [$($client:ident),*]) => {
        &[$(stringify!($client)),*]
    };
    (@tests $scenario:ident [$($client:ident),*]) => {
        mod $scenario {
            $(#[test]
            fn $client() {
                super::clients::$client().expect_ok(&[stringify!($scenario)]);
            })*
        }
    };
}

scenarios! {
    [go, java_4_7_1, java_4_9_8, java_5_3_3, java_5_3_3_with_binary_headers]:
        auto_create,
        broadcasting,
        compressed,
        concurrent,
        delay_level,
        dlq,
        from_first,
        from_last,
        from_timestamp,
        long_poll,
        orderly,
        orderly_lock_expiry,
        request_async,
        request_timeout,
        retry,
        send_async,
        send_batch,
        send_oneway,
        send_sync,
        shared_group,
        sql_push,
        tags,
        takeover,
        timed,
        timed_refused,
        trace,
        transaction_commit,
        young_topic;

    [java_4_7_1, java_4_9_8, java_5_3_3, java_5_3_3_with_binary_headers]:
        clone_offsets,
        deleted_topic,
        expired_offset,
        fast_port,
        light_queues,
        lite_pull,
        orderly_dlq,
        orderly_handover,
        query_by_id,
        query_by_key,
        queue_bounds,
        replay,
        reset_offline,
        reset_online,
        send_refused,
        sql_expressions,
        sql_refused,
        timed_past,
        transaction_check_commits,
        transaction_check_limit,
        transaction_check_other_producer,
        transaction_check_rolls_back,
        transaction_rollback;

    [java_5_3_3, java_5_3_3_with_binary_headers]:
        compression_kinds,
        recall;

    // The codes of pops do not fit into binary headers.
    [java_5_3_3]:
        pop,
        pop_members,
        pop_retry,
        pop_unacknowledged;

    // In 5.3.3 a synchronous request waits for no reply: its client counts its latch down when the send is answered.
    [go, java_4_7_1, java_4_9_8]:
        request_sync;

    [go]:
        transaction_check;
}
