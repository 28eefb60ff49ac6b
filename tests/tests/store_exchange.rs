//! A store directory goes from our server to the official broker and back, with clients reading and writing on both.
//!
//! What is written and how it is compared is in `tests/interop/java/src/Exchange.java`; each label names one writing.

use std::path::Path;

use ferromq_tests::{Client, Kind, Launch, Server};

/// Level 17 is what waits while the server changes.
const DELAY_LEVELS: &str = "1s 3s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 8s 2s";

fn launch(kind: Kind, dir: &Path) -> Launch {
    Launch::new(kind, dir).small_files().set("messageDelayLevel", DELAY_LEVELS)
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
    goes_there_and_back(Kind::under_test(), Kind::Official);
}

#[test]
fn the_official_brokers_store_is_read_and_continued_by_us() {
    goes_there_and_back(Kind::Official, Kind::under_test());
}

#[test]
fn our_store_after_a_kill_is_recovered_by_the_official_broker() {
    is_recovered_after_a_kill(Kind::under_test(), Kind::Official);
}

#[test]
fn the_official_brokers_store_after_a_kill_is_recovered_by_us() {
    is_recovered_after_a_kill(Kind::Official, Kind::under_test());
}
