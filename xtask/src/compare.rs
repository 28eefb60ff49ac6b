//! How fast the packages for other languages are beside others, in one run: `cargo xtask compare python`, or `node`.
//!
//! What measures lies with each package, in `bench/`. Here is what has to be there before: the binary and the package, built
//! for release, the others in an environment of their own below the target directory, and the servers.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::{cargo, node, official, python, root, run, target_dir};

/// Which package, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    package: Package,
    /// Passed on to the comparison, as in `cargo xtask compare python -- --rounds 5`
    #[arg(last = true)]
    arguments: Vec<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Package {
    /// Beside rocketmq-python-client, aiokafka and confluent-kafka
    Python,
    /// Beside rocketmq-client-nodejs and NATS
    Node,
}

/// Compares, and prints a table.
pub(crate) fn compare(args: &Args) -> Result<()> {
    let (name, mut comparison) = match args.package {
        Package::Python => {
            let environment = target_dir().join("compare-python");
            let bench = root().join("bindings/python/bench");
            let requirements = bench.join("requirements.txt").display().to_string();
            let environment = python::environment(&environment, &["--requirement", &requirements])?;
            let mut comparison = official::command(&["--proxy", "--kafka", "--fast", "--"])?;
            comparison.arg(environment.interpreter()).arg(bench.join("compare.py"));
            ("the Python package beside others", comparison)
        }
        Package::Node => {
            node::build()?;
            let bench = node::package().join("bench");
            run("what the Node package is compared with", node::npm_in(&bench, &["ci"]))?;
            let mut comparison = official::command(&["--proxy", "--nats", "--fast", "--"])?;
            comparison.arg("node").arg(bench.join("compare.mjs"));
            ("the Node package beside others", comparison)
        }
    };
    comparison.args(&args.arguments).env("FERROMQ_BIN", server()?);
    run(name, comparison)
}

/// The binary: what `FERROMQ_BIN` names, or this checkout's, built for release.
fn server() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("FERROMQ_BIN") {
        return Ok(given.into());
    }
    let build: Command = cargo(["build", "--release", "--locked", "-p", "ferromq"]);
    run("the binary", build)?;
    Ok(target_dir().join("release/ferromq"))
}
