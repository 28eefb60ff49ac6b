//! The dashboard. The tests themselves are in `dashboard/test/`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ferromq_tests::process::{run, tail};
use ferromq_tests::toolchain;

/// A browser on a machine with two busy cores takes its time.
const LIMIT: Duration = Duration::from_secs(540);

#[test]
fn its_parts_do_what_they_say() {
    npm("test", &[]);
}

/// Runs a script of the dashboard's package.
fn npm(script: &str, environment: &[(&str, String)]) {
    let mut command = Command::new("npm");
    command.args(["run", "--silent", script]).current_dir(toolchain::dashboard());
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let log = target().join(format!("dashboard-{script}.log"));
    let status = run("npm", command, &log, LIMIT);
    assert!(status.success(), "npm run {script} ended with {status}\n{}", tail(&log, 120));
}

/// The directory that this test's program was built into: `target`, two above `deps`.
fn target() -> PathBuf {
    let program = std::env::current_exe().expect("a program has a path");
    program.ancestors().nth(3).map(Path::to_owned).expect("cargo builds into target/PROFILE/deps")
}
