//! Dashboard and alerts ask for metrics that there are, by labels that they have.

use std::collections::BTreeSet;
use std::path::Path;

use ferromq_gateway::metrics::table::{self, Kind};

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Names of metrics that an expression asks for.
fn metrics_of(expression: &str) -> BTreeSet<&str> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| ["ferromq_", "rocketmq_", "process_"].iter().any(|of| word.starts_with(of))).collect()
}

fn exists(name: &str) -> bool {
    table::all().any(|metric| match metric.kind {
        Kind::Histogram => {
            ["_bucket", "_sum", "_count"].iter().any(|end| name == format!("{}{end}", metric.name))
        }
        Kind::Counter | Kind::Gauge => name == metric.name,
    })
}

fn check(what: &str, expressions: &[String]) {
    assert!(expressions.len() >= 10, "{what}: {expressions:?}");
    for expression in expressions {
        let names = metrics_of(expression);
        assert!(!names.is_empty(), "{what}: {expression} asks for nothing of ours");
        for name in names {
            assert!(exists(name), "{what}: {expression} asks for {name}, which there is not");
        }
    }
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let dashboard: serde_json::Value = serde_json::from_str(&read("grafana/ferromq.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let expressions: Vec<_> = targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect();
    check("dashboard", &expressions);
}

#[test]
fn alerts_ask_for_metrics_that_there_are() {
    let rules = read("prometheus/alerts.yaml");
    let expressions: Vec<_> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).map(str::to_owned).collect();
    assert_eq!(expressions.len(), rules.matches("- alert: ").count(), "an expression a line");
    check("alerts", &expressions);
}
