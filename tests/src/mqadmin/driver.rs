//! The JVM that runs the script: `tests/interop/mqadmin`.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use super::answer::Answer;
use super::step::Step;
use crate::process::{run, tail};
use crate::server::{OFFICIAL, Server};
use crate::toolchain;

/// The whole script on a machine that does other things too.
const LIMIT: Duration = Duration::from_secs(900);

/// What one server answered.
#[derive(Debug)]
pub struct Run {
    /// What the tool registers.
    pub subcommands: Vec<String>,
    /// By step of the script.
    pub answers: Vec<Answer>,
}

/// Runs the script against a server, with the tool's own files in `dir`.
///
/// # Panics
/// When the driver cannot be built or does not get to the end; a step that fails is in its answer.
pub fn drive(script: &[Step], server: &Server, dir: &Path) -> Run {
    let results = dir.join("results");
    let home = dir.join("tool");
    for made in [&results, &home.join("tmp")] {
        fs::create_dir_all(made).expect("the driver's directories can be made");
    }
    let lines: Vec<String> = script.iter().map(Step::encode).collect();
    let script_file = dir.join("script");
    fs::write(&script_file, lines.join("\n") + "\n").expect("the script can be written");

    let mut command = tool(&home);
    command
        .args(["-cp", &toolchain::mqadmin_driver(OFFICIAL), "Mqadmin"])
        .arg(&script_file)
        .arg(&results)
        .args([server.namesrv(), server.broker().to_string()]);
    let log = home.join("driver.log");
    let status = run("the mqadmin driver", command, &log, LIMIT);
    assert!(status.success(), "the mqadmin driver ended with {status}:\n{}", tail(&log, 40));

    let list = |name: &str| {
        let text = fs::read_to_string(results.join(name)).expect("the driver's lists");
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut names: Vec<(String, String)> = list("names")
        .iter()
        .map(|line| {
            let (name, value) = line.split_once('\t').expect("a name and a value");
            (name.to_owned(), value.to_owned())
        })
        .collect();
    names.push(("home".to_owned(), dir.display().to_string()));
    let answers = (0..script.len()).map(|index| Answer::read(&results, index, &names)).collect();
    Run { subcommands: list("subcommands"), answers }
}

/// Runs the tool once as its launcher does, in a process of its own, and returns its end and what it printed.
///
/// # Panics
/// When it cannot be started or hangs.
pub fn run_tool(arguments: &[&str], dir: &Path) -> (ExitStatus, String) {
    let home = dir.join("tool");
    fs::create_dir_all(home.join("tmp")).expect("the tool's directory can be made");
    let jars = toolchain::maven_jars("servers", OFFICIAL);
    let mut command = tool(&home);
    command
        .args(["-cp", &format!("{}/*", jars.display()), "org.apache.rocketmq.tools.command.MQAdminStartup"])
        .args(arguments);
    let log = home.join("tool.log");
    let status = run("mqadmin", command, &log, Duration::from_secs(60));
    (status, fs::read_to_string(&log).expect("what the tool printed"))
}

/// A JVM that keeps its files in `home`.
fn tool(home: &Path) -> Command {
    let mut command = Command::new(toolchain::java());
    command
        .args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
        .arg(format!("-Duser.home={}", home.display()))
        .arg(format!("-Djava.io.tmpdir={}", home.join("tmp").display()))
        .arg(format!("-Drocketmq.client.logRoot={}", home.join("logs").display()))
        .current_dir(home)
        .env_remove("NAMESRV_ADDR");
    command
}
