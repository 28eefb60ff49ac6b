//! The Node package's tests: built as it is published, and then run by node's own runner.
//!
//! They run three times: against our server, on this machine's Node.js and on [`NEWEST`]; and against the official one what is
//! not about ours. What is left out there, the runner counts as skipped.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::{official, root, run, target_dir};

/// The oldest Node.js that the tools of the package run with; the package itself asks for less.
const OLDEST: &str = "20.17";

/// The newest Node.js with long-term support, which the package is tried out on, too: what it does when a process ends
/// differs most from one to the next.
const NEWEST: &str = "node@24";

/// Builds the package, its native half optimised, and runs its tests against `server` and the official one.
pub(crate) fn test(server: &Path) -> Result<()> {
    let answers = |program| Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok();
    if !answers("node") || !answers("npm") {
        bail!("the Node package needs node and npm: install Node.js, {OLDEST} or later (https://nodejs.org)");
    }
    build()?;
    let test = ["run", "--silent", "test"];
    let mut ours = npm(&test);
    ours.env("FERROMQ_BIN", server);
    run("the Node package's tests", ours)?;
    let mut newest = npm(&["exec", "--yes", "--loglevel=error", "--package", NEWEST, "--", "npm"]);
    newest.args(test).env("FERROMQ_BIN", server);
    run("the Node package's tests on the newest Node.js", newest)?;
    let mut beside_official = official::built(&["--", "npm"]);
    beside_official.args(test).current_dir(package()).env("FERROMQ_BIN", server);
    run("the Node package's tests against the official server", beside_official)
}

/// Builds the package, its native half optimised.
pub(crate) fn build() -> Result<()> {
    // Not `npm ci`: it fails where a mirror lacks what only other platforms would install. The lock file holds for this too.
    run(
        "what the Node package is built with",
        npm(&["install", "--no-save", "--prefer-offline", "--loglevel=error"]),
    )?;
    run("the Node package's native half", npm(&["run", "--silent", "build:native:release"]))?;
    run("the Node package", npm(&["run", "--silent", "build:lib"]))
}

fn npm(arguments: &[&str]) -> Command {
    npm_in(&package(), arguments)
}

/// `npm` in a directory.
pub(crate) fn npm_in(dir: &Path, arguments: &[&str]) -> Command {
    let mut npm = Command::new("npm");
    npm.args(arguments).current_dir(dir).env("CARGO_TARGET_DIR", target_dir());
    npm
}

/// Where the package lies.
pub(crate) fn package() -> PathBuf {
    root().join("bindings/node")
}
