//! Filters: what clients ask at their start, and pulls by other expressions than tags.

use ferromq_protocol::code::RequestCode::{CheckClientConfig, HeartBeat, LitePullMessage, PullMessage};

use super::{Row, row};
use crate::support::{heartbeat, pull_fields};

/// The body of a client's question whether an expression is understood.
fn question(kind: &str, expression: &str) -> String {
    format!(
        r#"{{"clientId":"C","group":"G","subscriptionData":{{"topic":"T","subString":"{expression}","expressionType":"{kind}","classFilterMode":false}}}}"#
    )
}

/// A pull with an expression of its own.
fn pull(kind: &'static str, expression: &'static str) -> Vec<(&'static str, &'static str)> {
    let change = |(name, value)| match name {
        "expressionType" => (name, kind),
        "subscription" => (name, expression),
        _ => (name, value),
    };
    pull_fields("T", "0", "4", "0").into_iter().map(change).collect()
}

pub fn rows() -> Vec<Row> {
    const NEXT: &[(&str, &str)] = &[("nextBeginOffset", "3"), ("minOffset", "0"), ("maxOffset", "3")];
    const AT_8: &str = "parse the consumer's subscription failed: line 1, column 8: expected a property";
    let class = question("TAG", "*").replace("false", "true");
    let mut rows = vec![
        row(CheckClientConfig, "tags", &[], 0).with_body(question("TAG", "a || b")),
        row(CheckClientConfig, "no subscription", &[], 0).with_body(r#"{"clientId":"C","group":"G"}"#),
        row(CheckClientConfig, "SQL", &[], 0).with_body(question("SQL92", "price > 10 AND KEYS = 'K'")),
        row(CheckClientConfig, "bad SQL", &[], 23).with_body(question("SQL92", "price >")).remark(AT_8),
        row(CheckClientConfig, "a kind that there is not", &[], 1)
            .with_body(question("XPATH", "//a"))
            .remark("does not support consumer to filter message by XPATH"),
        row(CheckClientConfig, "a class", &[], 1).with_body(class).remark("by a class: use tags or SQL92"),
        // The heartbeat of a client with a bad expression is taken: its other subscriptions work.
        row(HeartBeat, "bad SQL", &[], 0)
            .with_body(heartbeat("C", "T").replace("TAG", "SQL92"))
            .answers(&[("IS_SUB_CHANGE", "true")]),
    ];
    for request in [PullMessage, LitePullMessage] {
        let class = pull_fields("T", "0", "12", "0");
        rows.extend([
            row(request, "SQL", &pull("SQL92", "KEYS = 'K'"), 0).answers(NEXT).contains("UNIQ_KEY\u{1}U0"),
            row(request, "SQL filters all out", &pull("SQL92", "price > 10"), 20).answers(NEXT),
            row(request, "bad SQL", &pull("SQL92", "price >"), 23).remark(AT_8),
            row(request, "a kind that there is not", &pull("XPATH", "//a"), 1).remark("by XPATH"),
            row(request, "a class", &class, 1).remark("by a class: use tags or SQL92"),
        ]);
    }
    rows
}
