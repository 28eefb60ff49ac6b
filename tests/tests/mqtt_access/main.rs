//! Who may reach MQTT, and how: TLS, certificates of clients, rules, ways to show who one is, and how many at a time.

mod acl;
mod certificates;
mod rate;
mod scram;
mod tls;

use ferromq_tests::mqtt::statements::WITH_OURS_ALONE;

#[test]
fn tests_that_are_listed_as_showing_a_statement_exist() {
    let sources = [("acl", include_str!("acl.rs")), ("scram", include_str!("scram.rs"))];
    for test in WITH_OURS_ALONE.iter().flat_map(|statement| statement.tests) {
        let (module, name) = test.split_once("::").expect("module::name");
        let found = sources.iter().any(|(of, text)| *of == module && text.contains(&format!("fn {name}()")));
        assert!(found, "{test} is no test");
    }
}
