//! The dashboard's build: its sources are in `dashboard/`, and what the gateway embeds in `gateway/dashboard/`.
//!
//! What is built is checked in, so that `cargo build` needs no npm. [`check`] builds it again and compares: what is
//! embedded is always what the sources say.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{root, run, target_dir};

/// What is checked in.
const BUILT: &str = "gateway/dashboard";

/// Builds the dashboard anew into the place where the gateway embeds it from.
pub(super) fn build() -> Result<()> {
    install()?;
    build_into(&root().join(BUILT))
}

/// That its types are right, and that what is checked in is what its sources give.
pub(super) fn check() -> Result<()> {
    install()?;
    run("the dashboard's types", npm(["run", "--silent", "types"]))?;
    let fresh = target_dir().join("dashboard");
    build_into(&fresh)?;
    let (fresh, kept) = (files(&fresh)?, files(&root().join(BUILT))?);
    if fresh != kept {
        let differs = |name: &&String| fresh.get(*name) != kept.get(*name);
        let names: Vec<_> = fresh.keys().chain(kept.keys()).filter(differs).map(String::as_str).collect();
        bail!("{BUILT} is not what dashboard/ gives ({}): run `cargo xtask dashboard`", names.join(", "));
    }
    Ok(())
}

/// The exact packages of the lock file, from npm's cache where it has them.
fn install() -> Result<()> {
    if npm(["--version"]).output().is_ok_and(|output| output.status.success()) {
        return run("the dashboard's packages", npm(["ci", "--prefer-offline", "--loglevel=error"]));
    }
    bail!("the dashboard needs npm: install Node.js, 20.19 or later (https://nodejs.org)")
}

fn build_into(dir: &Path) -> Result<()> {
    let mut build = npm(["run", "--silent", "build", "--"]);
    build.args(["--logLevel", "warn", "--emptyOutDir", "--outDir"]).arg(dir);
    run("the dashboard", build)
}

fn npm<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new("npm");
    command.args(arguments).current_dir(root().join("dashboard"));
    command
}

/// All files below a directory, by their path in it.
fn files(dir: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(&next).with_context(|| format!("cannot list {}", next.display()))? {
            let path: PathBuf = entry?.path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let name = path.strip_prefix(dir)?.display().to_string();
            found.insert(name, fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
        }
    }
    Ok(found)
}
