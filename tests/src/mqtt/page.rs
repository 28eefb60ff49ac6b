//! The page about statements and tests: docs/mqtt-conformance.md.

use std::fmt::Write as _;

use super::differences::{EXACT, OF_MOSQUITTO, OF_OURS};
use super::statements::{NOT_SHOWN, SECTIONS, Statement, WITH_OURS_ALONE};

/// The page.
pub fn page() -> String {
    let mut page = format!(
        "# MQTT: what is said, and the test that shows it\n\
         \n\
         <!-- Printed from tests/src/mqtt by `cargo xtask docs`; edit that. -->\n\
         \n\
         The statements of MQTT 3.1.1 and 5.0 about servers, in our words. `3:x` is [MQTT-x] of 3.1.1, `5:x` of 5.0; ENG is what\n\
         neither says. The tests are in `tests/tests/mqtt_conformance`; each is run with hand-written bytes, for both versions\n\
         where both say it, and against mosquitto {EXACT} too, which shows that the test is right. One runs by\n\
         `cargo test -p ferromq-tests --test mqtt_conformance NAME`.\n"
    );
    for section in SECTIONS {
        write_statements(&mut page, section.title, section.statements);
    }
    write_statements(&mut page, "With ours alone, in `tests/tests/mqtt_access`", WITH_OURS_ALONE);
    page.push_str("\n## Not shown\n\n| | Why |\n|---|---|\n");
    for (ids, why) in NOT_SHOWN {
        let _ = writeln!(page, "| {ids} | {why} |");
    }
    let _ = write!(
        page,
        "\n## Where mosquitto differs\n\n\
         Its tests must fail as listed. Closing without saying why is allowed: that a server of 5.0 says it is a *should*.\n\n\
         | Test | Mosquitto {EXACT} |\n|---|---|\n"
    );
    for difference in OF_MOSQUITTO {
        let _ = writeln!(page, "| `{}` | {} |", difference.test, difference.why);
    }
    page.push_str("\n## Where ours differs\n\n");
    if OF_OURS.is_empty() {
        page.push_str("Nowhere: every test passes.\n");
    } else {
        page.push_str("Its tests must fail as listed.\n\n| Test | FerroMQ |\n|---|---|\n");
    }
    for difference in OF_OURS {
        let _ = writeln!(page, "| `{}` | {} |", difference.test, difference.why);
    }
    page
}

fn write_statements(page: &mut String, title: &str, statements: &[Statement]) {
    let _ = write!(page, "\n## {title}\n\n| | Statement | Tests |\n|---|---|---|\n");
    for statement in statements {
        let tests: Vec<String> = statement.tests.iter().map(|test| format!("`{test}`")).collect();
        let _ = writeln!(page, "| {} | {} | {} |", statement.ids, statement.says, tests.join("<br>"));
    }
}
