//! The binary as an operator meets it: exit codes, messages, signals.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

fn ferromq(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferromq"));
    command.args(arguments).env_remove("NAMESRV_ADDR").env_remove("RUST_LOG");
    command
}

fn output(arguments: &[&str]) -> Output {
    ferromq(arguments).output().expect("the binary runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

/// Starts a NameServer that keeps its file in `dir`, and waits until it listens.
fn serving(dir: &Path, more: &[&str]) -> Child {
    let port = format!("namesrvListenPort={}", free_port());
    let pairs = format!("kvConfigPath={}", dir.join("kvConfig.json").display());
    let mut child = ferromq(&["namesrv", "--set", &port, "--set", &pairs])
        .args(more)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut log = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let listens = log.by_ref().find(|line| line.as_ref().is_ok_and(|line| line.contains("listening")));
    assert!(listens.is_some(), "it never listened");
    // Whoever logs to a closed pipe would fail: read on until it ends.
    std::thread::spawn(move || log.for_each(drop));
    child
}

#[test]
fn a_bad_value_stops_the_start_and_names_file_line_key_and_bounds() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), "brokerName=a\nlistenPort=99999\n").expect("it can be written");
    let path = file.path().display().to_string();
    let refused = output(&["broker", "-c", &path]);
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(
        stderr(&refused),
        format!("error: {path}:2: listenPort: 99999 is out of bounds; allowed: 3 to 65535\n")
    );
}

#[test]
fn a_missing_file_stops_the_start() {
    let refused = output(&["broker", "-c", "/no/such/file"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("cannot read /no/such/file"), "{}", stderr(&refused));
}

#[test]
fn the_environments_nameservers_are_taken_by_a_broker_and_named_as_such() {
    let printed = ferromq(&["broker", "-p", "--set", "listnPort=1"])
        .env("NAMESRV_ADDR", "a:9876;b:9876")
        .output()
        .expect("the binary runs");
    let text = String::from_utf8_lossy(&printed.stdout);
    assert!(text.contains("# from: environment NAMESRV_ADDR\nnamesrvAddr=a:9876;b:9876\n"), "{text}");
    assert!(stderr(&printed).contains("did you mean listenPort?"), "{}", stderr(&printed));
    assert_eq!(printed.status.code(), Some(0));
}

#[test]
fn help_lists_the_settings_that_the_command_takes() {
    let help = output(&["namesrv", "--help"]);
    let text = String::from_utf8_lossy(&help.stdout);
    assert!(text.contains("scanNotActiveBrokerInterval") && !text.contains("flushDiskType"), "{text}");
}

#[test]
fn a_signal_stops_it_with_exit_code_0() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for signal in [Signal::TERM, Signal::INT] {
        let mut child = serving(dir.path(), &[]);
        kill_process(Pid::from_child(&child), signal).expect("it runs");
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "{signal:?}");
    }
}

#[test]
fn the_end_of_standard_input_stops_what_is_to_end_with_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut child = serving(dir.path(), &["--until-stdin-ends"]);
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(b"not yet\n").expect("it reads");
    assert_eq!(child.try_wait().expect("it can be asked"), None);
    drop(stdin);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound");
    let refused = output(&["namesrv", "--set", &format!("namesrvListenPort={}", address.port())]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains(&format!("cannot listen on {address}")), "{}", stderr(&refused));
}
