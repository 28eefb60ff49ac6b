//! What MQTT 3.1.1 and 5.0 say a server must do, each statement shown by a test with hand-written bytes.
//!
//! Each test runs against mosquitto, which shows that the test is right, and against our server. Which statement is shown by
//! which test is listed in `tests/src/mqtt/statements.rs`, where a server differs in `tests/src/mqtt/differences.rs`;
//! docs/mqtt-conformance.md is printed from both.

use std::collections::BTreeSet;

use ferromq_tests::mqtt::{differences, statements};

mod auth;
mod connect;
mod flow;
mod format;
mod keep_alive;
mod properties;
mod publish;
mod retained;
mod sessions;
mod shared;
mod subscribe;
mod topics;
mod websocket;
mod wills;

/// The tests of each part.
const TESTS: &[(&str, &[&str])] = &[
    ("auth", auth::TESTS),
    ("connect", connect::TESTS),
    ("flow", flow::TESTS),
    ("format", format::TESTS),
    ("keep_alive", keep_alive::TESTS),
    ("properties", properties::TESTS),
    ("publish", publish::TESTS),
    ("retained", retained::TESTS),
    ("sessions", sessions::TESTS),
    ("shared", shared::TESTS),
    ("subscribe", subscribe::TESTS),
    ("topics", topics::TESTS),
    ("websocket", websocket::TESTS),
    ("wills", wills::TESTS),
];

fn all_tests() -> BTreeSet<String> {
    let of_part = |(part, tests): &(&str, &[&str])| -> Vec<String> {
        tests.iter().map(|test| format!("{part}::{test}")).collect()
    };
    TESTS.iter().flat_map(of_part).collect()
}

#[test]
fn every_statement_has_tests_that_exist_and_every_test_shows_one() {
    let all = statements::SECTIONS.iter().flat_map(|section| section.statements);
    let mut shown = BTreeSet::new();
    for statement in all {
        assert!(!statement.tests.is_empty(), "{} has no test", statement.ids);
        shown.extend(statement.tests.iter().map(|test| (*test).to_owned()));
    }
    let there = all_tests();
    assert_eq!(shown.difference(&there).collect::<Vec<_>>(), [""; 0], "listed, but no tests");
    assert_eq!(there.difference(&shown).collect::<Vec<_>>(), [""; 0], "tests that show no statement");
}

#[test]
fn a_statement_is_listed_once() {
    let mut seen = BTreeSet::new();
    let all = statements::SECTIONS.iter().flat_map(|section| section.statements);
    for id in all.flat_map(|statement| statement.ids.split(' ')).filter(|id| *id != "ENG") {
        assert!(seen.insert(id), "{id} is there twice");
    }
}

#[test]
fn every_difference_is_of_a_test_that_exists() {
    let there = all_tests();
    for difference in differences::OF_MOSQUITTO.iter().chain(differences::OF_OURS) {
        assert!(there.contains(difference.test), "{} is no test", difference.test);
    }
}
