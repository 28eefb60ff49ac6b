//! The JVM that runs the script: `tests/interop/mqadmin`.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ferromq_protocol::code::RequestCode;

use super::answer::Answer;
use super::step::Step;
use crate::process::{run, tail};
use crate::remoting::Connection;
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
    /// For how long at most a small request was not answered meanwhile, which takes milliseconds while the server and
    /// this process run: the tool gives up after five seconds, and some of its requests after three.
    pub stall: Duration,
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
    let done = AtomicBool::new(false);
    let (status, stall) = thread::scope(|scope| {
        let watch = scope.spawn(|| watch(server, &done));
        // The scope waits for the watch, also when this panics.
        let ran = Done(&done);
        let status = run("the mqadmin driver", command, &log, LIMIT);
        drop(ran);
        (status, watch.join().expect("the watch does not panic"))
    });
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
    Run { subcommands: list("subcommands"), answers, stall }
}

/// Sets the flag when it is dropped.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Asks both servers something small, again and again, and says how long it took at most.
fn watch(server: &Server, done: &AtomicBool) -> Duration {
    let namesrv: SocketAddr = server.namesrv().parse().expect("an address");
    let mut asked = [
        (namesrv, RequestCode::GetBrokerClusterInfo, None),
        (server.broker(), RequestCode::GetBrokerConfig, None),
    ];
    let mut longest = Duration::ZERO;
    while !done.load(Ordering::Relaxed) {
        let began = Instant::now();
        for (address, code, connection) in &mut asked {
            // One that fails is opened anew; what counts is the time.
            let _ = ask(*address, *code, connection);
        }
        thread::sleep(Duration::from_millis(100));
        longest = longest.max(began.elapsed());
    }
    longest
}

fn ask(address: SocketAddr, code: RequestCode, connection: &mut Option<Connection>) -> io::Result<()> {
    let mut open = match connection.take() {
        Some(open) => open,
        None => Connection::open(address)?,
    };
    open.ask(code, &(), &[])?;
    *connection = Some(open);
    Ok(())
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
    let status = run("mqadmin", command, &log, Duration::from_secs(300));
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
