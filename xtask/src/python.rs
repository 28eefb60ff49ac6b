//! The Python package's tests: installed as its users do, into a virtual environment below the target directory.
//!
//! They run twice: against our server, and against the official one what is not about ours.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::wheel::{self, Package};
use crate::{official, root, run, target_dir};

/// Has pip build the package, tries the wheel out where there is nothing else, runs the package's tests against `server`
/// and the official one, and compares its types with what is there.
pub(crate) fn test(server: &Path) -> Result<()> {
    let package = root().join("bindings/python");
    let requirements = package.join("tests/requirements.txt");
    let tests =
        environment(&target_dir().join("python"), &["--requirement", &requirements.display().to_string()])?;
    let within = |mut command: Command, arguments: &[&str]| {
        command.args(arguments).current_dir(&package).env("FERROMQ_BIN", server);
        command
    };
    let mut alone = within(tests.python(), &["tests/try_wheels.py"]);
    alone.arg(wheel::by_pip_dir());
    run("the wheel, where there is nothing else", alone)?;
    let mut beside_official = official::built(&["--"]);
    beside_official.arg(tests.interpreter());
    let pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider"];
    run("the Python package's tests", within(tests.python(), &pytest))?;
    run("the Python package's tests against the official server", within(beside_official, &pytest))?;
    run("the Python package's types", within(tests.python(), &["-m", "mypy"]))?;
    let stubtest = ["-m", "mypy.stubtest", "ferromq._ferromq"];
    run("what the Python package's types say", within(tests.python(), &stubtest))
}

/// A clean environment at `place` with our package, as pip builds it of this checkout, and what pip's arguments `packages`
/// name.
pub(crate) fn environment(place: &Path, packages: &[&str]) -> Result<Environment> {
    let environment = Environment::clean(place.to_owned())?;
    let wheel = wheel::by_pip(&environment, Package::Client)?;
    environment.install("the Python package", &["--no-index", &wheel.display().to_string()])?;
    environment.install("what the Python package is used with", packages)?;
    Ok(environment)
}

/// A virtual environment of Python's.
pub(crate) struct Environment(PathBuf);

impl Environment {
    /// The one at `directory`, made where there is none.
    pub(crate) fn at(directory: PathBuf) -> Result<Self> {
        if directory.join("pyvenv.cfg").exists() { Ok(Self(directory)) } else { Self::clean(directory) }
    }

    /// One at `directory` with nothing in it but pip.
    fn clean(directory: PathBuf) -> Result<Self> {
        let mut make = Command::new(if cfg!(windows) { "python" } else { "python3" });
        make.args(["-m", "venv", "--clear"]).arg(&directory);
        run("a virtual environment (Python 3.9 or newer, with venv)", make)?;
        Ok(Self(directory))
    }

    /// Its interpreter.
    pub(crate) fn interpreter(&self) -> PathBuf {
        self.programs().join("python")
    }

    /// Its interpreter, for programs that start what is installed in it.
    pub(crate) fn python(&self) -> Command {
        let mut python = Command::new(self.interpreter());
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(self.programs()).chain(std::env::split_paths(&path)));
        python.env("PATH", path.unwrap_or_default());
        python
    }

    fn programs(&self) -> PathBuf {
        self.0.join(if cfg!(windows) { "Scripts" } else { "bin" })
    }

    /// Installs what pip's `arguments` name.
    pub(crate) fn install(&self, what: &str, arguments: &[&str]) -> Result<()> {
        let mut pip = self.python();
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(arguments);
        run(what, pip)
    }
}
