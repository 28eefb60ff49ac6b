//! Official clients running the scenarios of `tests/interop`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::process::run;
use crate::server::Server;
use crate::toolchain;

/// All scenarios of one client, on a machine that does other things too.
const LIMIT: Duration = Duration::from_secs(1500);

/// An official client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// `org.apache.rocketmq:rocketmq-client` of this version.
    Java(&'static str),
    /// The same, told to write its headers in the binary form instead of JSON.
    JavaBinaryHeaders(&'static str),
    /// `github.com/apache/rocketmq-client-go/v2`, of the version in `go.mod`.
    Go,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Client::Java(version) => write!(f, "Java client {version}"),
            Client::JavaBinaryHeaders(version) => write!(f, "Java client {version} with binary headers"),
            Client::Go => f.write_str("Go client"),
        }
    }
}

impl Client {
    /// Runs scenarios (`all`, or names with an argument behind a colon) against a server, with the client's own files
    /// in `dir`.
    ///
    /// # Panics
    /// When the client cannot be built or started, or hangs; a scenario that fails is in the report.
    pub fn run(self, server: &Server, scenarios: &[&str], dir: &Path) -> Report {
        let home = dir.join("client");
        fs::create_dir_all(&home).expect("the client's home can be made");
        let mut command = self.command(&home);
        command.arg(server.namesrv()).args(scenarios).env("BROKER", server.broker().to_string());
        let log = home.join("output.log");
        let status = run(&self.to_string(), command, &log, LIMIT);
        let output = String::from_utf8_lossy(&fs::read(&log).expect("the client's output")).into_owned();
        let report = Report::parse(output);
        for remark in &report.remarks {
            // Past the test runner, which shows what a test prints only if it fails.
            let _ = writeln!(io::stderr(), "{self}: {remark}");
        }
        assert!(
            status.success() == report.failed().is_empty(),
            "{self} ended with {status}, which its output does not explain:\n{}",
            report.output
        );
        report
    }

    fn command(self, home: &Path) -> Command {
        match self {
            Client::Java(_) | Client::JavaBinaryHeaders(_) => self.program("Interop", home),
            Client::Go => {
                let mut command = Command::new(toolchain::go_client());
                command.env("HOME", home).env("rocketmq.client.localOffsetStoreDir", home.join("offsets"));
                command
            }
        }
    }

    /// One of the Java programs, small and quick to start, with the client's files in `home`.
    ///
    /// # Panics
    /// When it is not the Java client, or cannot be compiled.
    pub(crate) fn program(self, main: &str, home: &Path) -> Command {
        let mut command = self.java(home);
        command.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", main]);
        command
    }

    /// The JVM with its defaults and the client on its class path, before the name of what it runs.
    ///
    /// # Panics
    /// When it is not the Java client, or cannot be compiled.
    pub fn java(self, home: &Path) -> Command {
        let (Client::Java(version) | Client::JavaBinaryHeaders(version)) = self else {
            panic!("{self} does not run in a JVM");
        };
        let mut command = Command::new(toolchain::java());
        command
            .args(toolchain::JVM_OPENS)
            // It would close a connection on which one answer is late, and send again what others wait for there.
            .arg("-Dcom.rocketmq.remoting.client.closeSocketIfTimeout=false")
            .arg(format!("-Duser.home={}", home.display()))
            .arg(format!("-Drocketmq.client.logRoot={}", home.join("logs").display()))
            .arg(format!("-Drocketmq.client.localOffsetStoreDir={}", home.join("offsets").display()))
            .args(["-cp", &toolchain::java_client(version)]);
        if matches!(self, Client::JavaBinaryHeaders(_)) {
            command.arg("-Drocketmq.serialize.type=ROCKETMQ");
        }
        command
    }
}

/// What a client said about the scenarios that it ran.
#[derive(Debug)]
pub struct Report {
    /// By scenario: `Err` with the reason if it failed.
    verdicts: BTreeMap<String, Result<(), String>>,
    /// What it said of failures that it took for a stall's, in the order in which it said it.
    pub remarks: Vec<String>,
    /// All that it printed.
    pub output: String,
}

impl Report {
    /// Of scenarios that were run here.
    pub(crate) fn new(verdicts: BTreeMap<String, Result<(), String>>, output: String) -> Self {
        Self { verdicts, remarks: Vec::new(), output }
    }

    /// Reads lines `ok NAME 0.8s`, `FAILED NAME 0.8s: REASON`, `begun anew, …` and `nobody watches …`, and skips all
    /// others.
    pub fn parse(output: String) -> Self {
        let (mut verdicts, mut remarks) = (BTreeMap::new(), Vec::new());
        for line in output.lines() {
            if let Some(rest) = line.strip_prefix("ok ") {
                let name = rest.split(' ').next().unwrap_or(rest);
                verdicts.insert(name.to_owned(), Ok(()));
            } else if let Some(rest) = line.strip_prefix("FAILED ") {
                let (name, reason) = rest.split_once(' ').unwrap_or((rest, ""));
                verdicts.insert(name.to_owned(), Err(reason.to_owned()));
            } else if ["begun anew, ", "nobody watches "].iter().any(|said| line.starts_with(said)) {
                remarks.push(line.to_owned());
            }
        }
        Self { verdicts, remarks, output }
    }

    /// The names of the scenarios that ran.
    pub fn ran(&self) -> Vec<&str> {
        self.verdicts.keys().map(String::as_str).collect()
    }

    /// The names of the scenarios that failed.
    pub fn failed(&self) -> Vec<&str> {
        self.verdicts.iter().filter(|(_, verdict)| verdict.is_err()).map(|(name, _)| name.as_str()).collect()
    }

    /// How a scenario ended, if it ran.
    pub fn verdict(&self, name: &str) -> Option<&Result<(), String>> {
        self.verdicts.get(name)
    }

    /// Fails with all that was printed if one of these scenarios failed or did not run.
    ///
    /// # Panics
    /// See above.
    pub fn expect_ok(&self, names: &[&str]) {
        for name in names {
            match self.verdict(name) {
                Some(Ok(())) => {}
                Some(Err(reason)) => panic!("{name}: {reason}\n{}", self.output),
                None => panic!("{name} did not run\n{}", self.output),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_tells_what_ran_and_why_it_failed() {
        let report = Report::parse(
            "noise\nbegun anew, as it stood still: send\nok send 0.1s\nFAILED retry 2.0s: no retry\n\tat Somewhere\n\
             ok a:b 1.0s\n"
                .to_owned(),
        );
        assert_eq!(report.remarks, ["begun anew, as it stood still: send"]);
        assert_eq!(report.ran(), ["a:b", "retry", "send"]);
        assert_eq!(report.failed(), ["retry"]);
        assert_eq!(report.verdict("retry"), Some(&Err("2.0s: no retry".to_owned())));
        assert_eq!(report.verdict("never"), None);
    }
}
