//! Python's two distributions, built and looked at: `ferromq`, the client, and `ferromq-server`, the program.
//!
//! [`build`] makes what is published, with the profile `dist`: on Linux zig links it against an old libc, so that it runs
//! wherever there is that one or a newer one. [`by_pip`] makes what `pip install` makes of a checkout: the tests take it.
//!
//! Always true of what either leaves: a client's wheel is one for CPython 3.9 and all newer ones, and smaller than
//! [`CLIENT_LIMIT`].

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::python::Environment;
use crate::{root, run, target_dir};

/// A client's wheel has fewer bytes than this: it is installed in every container of a service.
const CLIENT_LIMIT: u64 = 8_000_000;

/// What wheels are built with.
const TOOLS: [&str; 2] = ["maturin>=1.9.4,<2", "ziglang>=0.14,<0.18"];

/// The oldest libcs that Rust's own library runs with.
const GLIBC: &str = "manylinux_2_17";
const MUSL: &str = "musllinux_1_2";

/// One of the distributions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Package {
    /// `ferromq`, from bindings/python
    Client,
    /// `ferromq-server`, from cli: for Linux only
    Server,
}

impl Package {
    /// Where its pyproject.toml lies.
    fn sources(self) -> PathBuf {
        root().join(match self {
            Self::Client => "bindings/python",
            Self::Server => "cli",
        })
    }

    /// How the names of its files begin.
    fn prefix(self) -> &'static str {
        match self {
            Self::Client => "ferromq-",
            Self::Server => "ferromq_server-",
        }
    }

    /// That a wheel is what it has to be.
    fn check(self, wheel: &Path) -> Result<()> {
        let name = wheel.file_name().unwrap_or_default().to_string_lossy();
        let bytes = fs::metadata(wheel)?.len();
        eprintln!("== {name}: {bytes} bytes");
        if self == Self::Client && !name.contains("-cp39-abi3-") {
            bail!("{name} is not for CPython 3.9 and all newer ones");
        }
        if self == Self::Client && bytes >= CLIENT_LIMIT {
            bail!("{name} has {bytes} bytes, and must have fewer than {CLIENT_LIMIT}");
        }
        Ok(())
    }
}

/// What is built, for where.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to build: both unless given, and the client alone where the server does not run
    #[arg(value_enum)]
    packages: Vec<Package>,
    /// What it is to run on, as Rust calls it: this machine unless given
    #[arg(long, value_name = "TRIPLE")]
    target: Option<String>,
    /// The sources instead, from which pip builds where there is no wheel
    #[arg(long)]
    sdist: bool,
    /// Where to put them
    #[arg(long, value_name = "DIRECTORY", default_value = "target/wheels")]
    out: PathBuf,
}

/// Builds what is published.
pub(crate) fn build(args: &Args) -> Result<()> {
    let host = host()?;
    let target = args.target.as_deref().unwrap_or(&host);
    let packages = match &args.packages[..] {
        [] if target.contains("linux") || args.sdist => &[Package::Client, Package::Server][..],
        [] => &[Package::Client][..],
        named => named,
    };
    let tools = Environment::at(target_dir().join("wheel-tools"))?;
    tools.install("what wheels are built with", &TOOLS)?;
    for package in packages {
        let mut maturin = tools.python();
        maturin.args(["-m", "maturin"]).current_dir(package.sources());
        if args.sdist {
            maturin.arg("sdist");
        } else {
            maturin.args(["build", "--locked", "--profile", "dist", "--target", target]);
        }
        if target.contains("linux") && !args.sdist {
            maturin.args(["--zig", "--compatibility", if target.contains("musl") { MUSL } else { GLIBC }]);
        }
        let out = std::env::current_dir()?.join(&args.out);
        maturin.arg("--out").arg(&out);
        run("a distribution", maturin)?;
        if !args.sdist {
            package.check(&newest(&out, package.prefix())?)?;
        }
    }
    Ok(())
}

/// Has pip build a checkout, as it does to install it, and gives the wheel.
pub(crate) fn by_pip(environment: &Environment, package: Package) -> Result<PathBuf> {
    let out = by_pip_dir();
    let mut pip = environment.python();
    pip.args(["-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--wheel-dir"]);
    pip.arg(&out).arg(package.sources()).env("CARGO_TARGET_DIR", target_dir());
    run("pip wheel", pip)?;
    let wheel = newest(&out, package.prefix())?;
    package.check(&wheel)?;
    Ok(wheel)
}

/// Where [`by_pip`] leaves them.
pub(crate) fn by_pip_dir() -> PathBuf {
    target_dir().join("wheels-by-pip")
}

/// The wheel that was written last. A directory may have those of other versions and platforms too.
fn newest(directory: &Path, prefix: &str) -> Result<PathBuf> {
    let mut wheels = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(prefix) && name.ends_with(".whl") {
            wheels.push((fs::metadata(&path)?.modified()?, path));
        }
    }
    let (_, wheel) = wheels.into_iter().max().context("no wheel was written")?;
    Ok(wheel)
}

/// This machine, as Rust calls it.
fn host() -> Result<String> {
    let rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--print", "host-tuple"])
        .output()
        .context("cannot ask rustc where it runs")?;
    Ok(String::from_utf8(rustc.stdout)?.trim().to_owned())
}
