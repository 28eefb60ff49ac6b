//! The Python package's tests: installed as its users do, into a virtual environment below the target directory.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::{root, run, target_dir};

/// What its tests need beside it.
const TOOLS: [&str; 2] = ["pytest>=8,<10", "mypy>=1.14,<3"];

/// Installs the package with pip, runs its tests against `server`, and compares its types with what is there.
pub(crate) fn test(server: &Path) -> Result<()> {
    let package = root().join("bindings/python");
    let environment = target_dir().join("python");
    let python = environment.join("bin/python");
    if !python.exists() {
        let mut make = Command::new("python3");
        make.args(["-m", "venv", "--clear"]).arg(&environment);
        run("Python's virtual environment (Python 3.9 or newer, with venv)", make)?;
    }
    let pip = || {
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        pip
    };
    let mut tools = pip();
    tools.args(TOOLS);
    run("what the Python package is tested with", tools)?;
    let mut install = pip();
    // The version stays the same while the package changes.
    install.arg("--force-reinstall").arg(&package).env("CARGO_TARGET_DIR", target_dir());
    run("pip install ./bindings/python", install)?;
    let within = |module: &[&str]| {
        let mut command = Command::new(&python);
        command.arg("-m").args(module).current_dir(&package).env("FERROMQ_BIN", server);
        command
    };
    run("the Python package's tests", within(&["pytest", "-q", "-p", "no:cacheprovider"]))?;
    run("the Python package's types", within(&["mypy"]))?;
    run("what the Python package's types say", within(&["mypy.stubtest", "ferromq._ferromq"]))
}
