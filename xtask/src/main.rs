//! The project's own commands, which README, CI and people share: `cargo xtask check`, `test`, `bench`, `compare`,
//! `official`, `docs`, `dashboard`, `wheel`.
//!
//! Always true:
//! * a command stops at the first step that fails, with the step's own exit code, and says which it was;
//! * it needs the machine's toolchains, and installs nothing but npm's packages in `dashboard/` and `bindings/node/` and
//!   virtual environments for Python's below the target directory; what is skipped for want of a tool is said.

mod bench;
mod compare;
mod dashboard;
mod node;
mod official;
mod python;
mod wheel;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;

/// The project's own commands
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
enum Task {
    /// Everything that is wrong without running it: format, lints, documentation, dependencies
    Check,
    /// Every test, also those that start official clients and servers
    Test {
        /// Passed on to `cargo test`, as in `cargo xtask test -- -p ferromq-store`
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// FerroMQ and the official Java broker, measured in one run: prints a section for docs/benchmarks.md
    Bench(bench::Args),
    /// A package for another language beside others, measured in one run: prints a table
    Compare(compare::Args),
    /// Runs a command beside the official Java servers, as in `cargo xtask official -- pytest`
    Official(official::Args),
    /// Prints the pages of docs/ that derive from tables in the code
    Docs,
    /// Builds the dashboard into the place where the gateway embeds it from
    Dashboard,
    /// Builds Python's packages as they are published
    Wheel(wheel::Args),
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Check => check(),
        Task::Test { arguments } => test(&arguments),
        Task::Bench(args) => bench::run(&args),
        Task::Compare(args) => compare::compare(&args),
        Task::Official(args) => official::exec(&args),
        Task::Docs => docs(),
        Task::Dashboard => dashboard::build(),
        Task::Wheel(args) => wheel::build(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check() -> Result<()> {
    run("format", cargo(["fmt", "--all", "--check"]))?;
    run("lints", cargo(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))?;
    let mut rustdoc = cargo(["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"]);
    rustdoc.env("RUSTDOCFLAGS", "-D warnings");
    run("documentation", rustdoc)?;
    for page in PAGES {
        if printed(page)? != std::fs::read_to_string(path_of(page)).unwrap_or_default() {
            bail!("docs/{page}.md is stale: run `cargo xtask docs`");
        }
    }
    dashboard::check()?;
    if cargo(["deny", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status()?.success() {
        run(
            "dependencies",
            cargo(["deny", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"]),
        )?;
    } else {
        eprintln!(
            "== dependencies: SKIPPED, cargo-deny is not installed (cargo install cargo-deny --locked)"
        );
    }
    Ok(())
}

/// The tests that start a server start the binary that is shipped, so it is built first, optimised; the tests
/// themselves are built with debug assertions. The packages of Python and Node are tested when no tests are named.
/// A failure keeps no other test from running: one red run says all that is red.
fn test(arguments: &[OsString]) -> Result<()> {
    run("the binary", cargo(["build", "--release", "--locked", "-p", "ferromq"]))?;
    let server = target_dir().join("release/ferromq");
    let mut tests = cargo(["test", "--locked", "--no-fail-fast"]);
    if !arguments.iter().any(|argument| argument == "-p" || argument == "--package") {
        tests.arg("--workspace");
    }
    tests.args(arguments).env("FERROMQ_BIN", &server);
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        // They wait for servers and JVMs, and for time to pass, more than they compute.
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        tests.env("RUST_TEST_THREADS", (2 * processors).to_string());
    }
    let rust = run("the tests", tests);
    if !arguments.is_empty() {
        return rust;
    }
    let all = [rust, python::test(&server), node::test(&server)];
    let failures: Vec<_> =
        all.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    if !failures.is_empty() {
        bail!("{}", failures.join("\n"));
    }
    Ok(())
}

/// Pages of docs/ that are printed from tables in the code.
const PAGES: [&str; 5] = ["configuration", "compatibility", "metrics", "mqadmin", "mqtt-conformance"];

fn docs() -> Result<()> {
    for page in PAGES {
        let path = path_of(page);
        std::fs::write(&path, printed(page)?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn printed(page: &str) -> Result<String> {
    let mut print = cargo(["run", "--quiet", "--locked", "-p"]);
    match page {
        // What the comparison with the official tool accepts.
        "mqadmin" => print.args(["ferromq-tests", "--example", "mqadmin_page"]),
        "mqtt-conformance" => print.args(["ferromq-tests", "--example", "mqtt_page"]),
        _ => print.args(["ferromq", "--", "config", "--page", page]),
    };
    let output = print.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("docs/{page}.md cannot be printed: {}", output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn path_of(page: &str) -> PathBuf {
    root().join("docs").join(page).with_extension("md")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

fn target_dir() -> PathBuf {
    // Cargo resolves a relative directory from where it is called.
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => std::env::current_dir().unwrap_or_default().join(dir),
        None => root().join("target"),
    }
}

fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

fn run(step: &str, mut command: Command) -> Result<()> {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words: Vec<_> =
        std::iter::once(program).chain(command.get_args()).map(|word| word.to_string_lossy()).collect();
    eprintln!("== {step}: {}", words.join(" "));
    let begun = Instant::now();
    let status = command.status().with_context(|| format!("cannot run {step}"))?;
    if !status.success() {
        bail!("{step} failed: {status}");
    }
    eprintln!("== {step}: done in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}
