//! The official `mqadmin` 5.3.3 against our server, beside the official one.
//!
//! The script, and what may differ in its answers, is in `src/mqadmin`. `FERROMQ_INTEROP_SERVER=official` runs
//! it against two official servers: this is how the script is shown to be right before our server is held to it.

use std::path::Path;
use std::thread;
use std::time::Duration;

use ferromq_tests::mqadmin::{Run, compare, drive, page, run_tool, script};
use ferromq_tests::server::OFFICIAL;
use ferromq_tests::{Kind, Launch, Server};

/// Shorter than any time after which the tool or a server does something else.
const STALL: Duration = Duration::from_millis(1_800);
/// How often the script is run at most that fails while a server or this machine stands still.
const TRIES: u32 = 3;

fn start(kind: Kind, dir: &Path) -> Server {
    Launch::new(kind, dir)
        .small_files()
        .set("brokerName", "broker-a")
        .set("brokerClusterName", "DefaultCluster")
        .set("enablePropertyFilter", "true")
        .set("traceTopicEnable", "true")
        .set("transactionCheckInterval", "1000")
        .set("flushDiskType", "ASYNC_FLUSH")
        // Its default, which other tests are not kept to: the settings of both are compared.
        .set("syncFlushTimeout", "5000")
        .start()
}

fn run(kind: Kind, dir: &Path) -> Run {
    let server = start(kind, dir);
    let run = drive(&script(), &server, dir);
    server.kill();
    run
}

#[test]
fn every_subcommand_answers_as_the_official_servers_do() {
    for tries in 1.. {
        let dir =
            tempfile::Builder::new().prefix("ferromq-mqadmin-").tempdir().expect("a temporary directory");
        let (official, ours) = thread::scope(|scope| {
            let official = scope.spawn(|| run(Kind::Official(OFFICIAL), &dir.path().join("official")));
            let ours = run(Kind::under_test(), &dir.path().join("ours"));
            (official.join().expect("the official servers' run"), ours)
        });
        let table = compare(&script(), &official, &ours);
        println!("{table}");
        for accepted in &table.accepted {
            println!("accepted: {accepted}");
        }
        if table.faults.is_empty() {
            return;
        }
        let faults = format!("{} faults:\n{}", table.faults.len(), table.faults.join("\n"));
        let stall = official.stall.max(ours.stall);
        assert!(stall >= STALL && tries < TRIES, "files in {}, {faults}", dir.keep().display());
        println!("begun anew, as nothing went on for {stall:?}: {faults}");
    }
}

#[test]
fn the_tool_as_a_process_prints_and_ends_as_it_does_with_the_official_servers() {
    let dir = tempfile::Builder::new().prefix("ferromq-mqadmin-").tempdir().expect("a temporary directory");
    let server = start(Kind::under_test(), dir.path());
    let namesrv = server.namesrv();

    let (status, printed) =
        run_tool(&["updateTopic", "-n", &namesrv, "-c", "DefaultCluster", "-t", "Orders"], dir.path());
    assert!(status.success() && printed.contains("create topic to"), "{status}\n{printed}");
    let (status, printed) = run_tool(&["topicList", "-n", &namesrv], dir.path());
    assert!(status.success() && printed.lines().any(|line| line == "Orders"), "{status}\n{printed}");
    let (status, printed) = run_tool(&["topicRoute", "-n", &namesrv], dir.path());
    assert_eq!(status.code(), Some(1), "an argument is missing: {printed}");
    server.kill();
}

#[test]
fn the_page_says_what_the_script_accepts() {
    let kept = include_str!("../../docs/mqadmin.md");
    assert_eq!(kept, page(), "print it anew: cargo xtask docs");
}
