//! The page about `mqadmin`: docs/mqadmin.md.

use std::fmt::Write as _;

use super::compare::Table;
use super::script::script;
use super::step::Kind;

/// The page, from the script and what it accepts.
pub fn page() -> String {
    let script = script();
    let table = Table::of(&script);
    let mut page = String::from(
        "# `mqadmin` and the admin API\n\
         \n\
         <!-- Printed from tests/src/mqadmin by `cargo xtask docs`; edit that. -->\n\
         \n\
         The official tool, 5.3.3, is run against FerroMQ and against the official NameServer and broker, the same\n\
         script against both, and the answers are compared field by field (`tests/tests/mqadmin.rs`). *Same* means that\n\
         every field has the same value, but for times, addresses, generated ids, the machine's figures and the wording\n\
         of refusals, whose codes are compared. A difference that is not in these tables fails the test.\n",
    );
    let parts = [
        (Kind::Mqadmin, "Subcommands", "Subcommand"),
        (Kind::Admin, "Calls of the official dashboard and exporter", "Call of `MQAdminExt`"),
    ];
    for (kind, title, column) in parts {
        let (same, different, not_supported) = table.totals(kind);
        let _ = write!(
            page,
            "\n## {title}\n\n{same} same, {different} different, {not_supported} not supported.\n\n\
             | {column} | | Why |\n|---|---|---|\n"
        );
        for (name, verdict, why) in table.rows(kind) {
            let _ = writeln!(page, "| `{name}` | {verdict} | {why} |");
        }
    }
    page
}
