//! Pulling.

use ferromq_protocol::code::RequestCode::{LitePullMessage, PullMessage};

use super::{Row, row};
use crate::support::pull_fields;

pub fn rows() -> Vec<Row> {
    const FOUND: &[(&str, &str)] =
        &[("suggestWhichBrokerId", "0"), ("nextBeginOffset", "3"), ("minOffset", "0"), ("maxOffset", "3")];
    let mut rows = Vec::new();
    for request in [PullMessage, LitePullMessage] {
        rows.extend([
            row(request, "found", &pull_fields("T", "0", "4", "0"), 0).answers(FOUND).contains("UNIQ_KEY"),
            row(request, "by heartbeat", &pull_fields("T", "0", "0", "0"), 0)
                .answers(FOUND)
                .contains("UNIQ_KEY"),
            row(request, "at the end", &pull_fields("T", "3", "4", "0"), 19).answers(FOUND),
            row(request, "held to the end", &pull_fields("T", "3", "6", "20"), 19).answers(FOUND),
            row(request, "beyond the end", &pull_fields("T", "9", "4", "0"), 21).answers(FOUND),
            row(request, "before the start", &pull_fields("T", "-1", "4", "0"), 21).answers(&[
                ("nextBeginOffset", "0"),
                ("minOffset", "0"),
                ("maxOffset", "3"),
            ]),
            row(request, "no topic", &pull_fields("X", "0", "4", "0"), 17).remark("topic[X] not exist"),
        ]);
        let filtered = pull_fields("T", "0", "4", "0")
            .into_iter()
            .map(|(name, value)| (name, if name == "subscription" { "other" } else { value }));
        rows.push(row(request, "filtered out", &filtered.collect::<Vec<_>>(), 20).answers(FOUND));
        rows.push(row(request, "no field", &[], 29).remark("missing"));
    }
    rows
}
