//! A store directory goes from our server to the official broker and back, with clients reading and writing on both.
//!
//! What is written and how it is compared is in `Exchange.java` and `Unfinished.java` of `tests/interop/java`; each label
//! names one writing.

use std::path::Path;

use ferromq_tests::server::OFFICIAL;
use ferromq_tests::{Client, Kind, Launch, Server};

/// Level 17 is what waits while the server changes.
const DELAY_LEVELS: &str = "1s 3s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 8s 2s";

fn launch(kind: Kind, dir: &Path) -> Launch {
    Launch::new(kind, dir)
        .small_files()
        .set("messageDelayLevel", DELAY_LEVELS)
        .set("recallMessageEnable", "true")
        // Asked about when it is 2 s old, then every second, for as long as the test may take.
        .set("transactionTimeOut", "2000")
        .set("transactionCheckInterval", "1000")
        .set("transactionCheckMax", "1000")
        // Until it notes that a transaction is done, the official broker asks about it.
        .set("transactionOpBatchInterval", "100")
        // It would drop a decision or an acknowledgement that has waited for 3 s, as on a busy machine.
        .set("brokerFastFailureEnable", "false")
}

fn run(server: &Server, dir: &Path, scenarios: &[&str]) {
    Client::Java("5.3.3").run(server, scenarios, dir).expect_ok(scenarios);
}

/// One server writes, the other reads that and writes on in the same queues, the first reads both.
fn goes_there_and_back(first: Kind, second: Kind) {
    let dir = tempfile::Builder::new().prefix("ferromq-exchange-").tempdir().expect("a temporary directory");
    let first = launch(first, dir.path());
    let second = launch(second, dir.path());

    let server = first.start();
    run(&server, dir.path(), &["exchange_write:one"]);
    server.stop();

    let server = second.start();
    run(&server, dir.path(), &["exchange_read:one", "exchange_write:two"]);
    server.stop();

    let server = first.start();
    run(&server, dir.path(), &["exchange_read:two", "exchange_reread:one"]);
    server.stop();
}

/// One server writes and is killed, the other recovers what it left.
fn is_recovered_after_a_kill(first: Kind, second: Kind) {
    let dir = tempfile::Builder::new().prefix("ferromq-exchange-").tempdir().expect("a temporary directory");
    let first = launch(first, dir.path());
    let second = launch(second, dir.path());

    let server = first.start();
    run(&server, dir.path(), &["exchange_write:one"]);
    server.kill();

    let server = second.start();
    run(&server, dir.path(), &["exchange_reread:one", "exchange_write:two", "exchange_reread:two"]);
    // Nothing reads this store again, and the official broker takes its time to stop.
    server.kill();
}

#[test]
fn our_store_is_read_and_continued_by_the_official_broker() {
    goes_there_and_back(Kind::under_test(), Kind::Official(OFFICIAL));
}

#[test]
fn the_official_brokers_store_is_read_and_continued_by_us() {
    goes_there_and_back(Kind::Official(OFFICIAL), Kind::under_test());
}

#[test]
fn our_store_after_a_kill_is_recovered_by_the_official_broker() {
    is_recovered_after_a_kill(Kind::under_test(), Kind::Official(OFFICIAL));
}

#[test]
fn the_official_brokers_store_after_a_kill_is_recovered_by_us() {
    is_recovered_after_a_kill(Kind::Official(OFFICIAL), Kind::under_test());
}

/// One server leaves timers, transactions and pops open, the other ends them by the scenario `read`.
fn what_is_open_is_ended(first: Kind, second: Kind, end: fn(Server), read: &str) {
    let dir = tempfile::Builder::new().prefix("ferromq-exchange-").tempdir().expect("a temporary directory");
    let first = launch(first, dir.path());
    let second = launch(second, dir.path());

    let server = first.start();
    run(&server, dir.path(), &["unfinished_write:one"]);
    end(server);

    let server = second.start();
    run(&server, dir.path(), &[read]);
    server.kill();
}

#[test]
fn what_we_leave_open_is_ended_by_the_official_broker() {
    what_is_open_is_ended(Kind::under_test(), Kind::Official(OFFICIAL), Server::stop, "unfinished_read:one");
}

#[test]
fn what_the_official_broker_leaves_open_is_ended_by_us() {
    what_is_open_is_ended(Kind::Official(OFFICIAL), Kind::under_test(), Server::stop, "unfinished_read:one");
}

#[test]
fn what_we_leave_open_when_killed_is_ended_by_the_official_broker() {
    what_is_open_is_ended(
        Kind::under_test(),
        Kind::Official(OFFICIAL),
        Server::kill,
        "unfinished_reread:one",
    );
}

#[test]
fn what_the_official_broker_leaves_open_when_killed_is_ended_by_us() {
    what_is_open_is_ended(
        Kind::Official(OFFICIAL),
        Kind::under_test(),
        Server::kill,
        "unfinished_reread:one",
    );
}
