//! A child process that has a log file and does not outlive its owner.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How often a condition is looked at while waiting for it.
const LOOK: Duration = Duration::from_millis(10);

/// A running child, killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with no input, its output appended to `log`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> Self {
        let output = OpenOptions::new().create(true).append(true).open(log).expect("the log file opens");
        let errors = output.try_clone().expect("the log file can be shared");
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|e| panic!("{name} does not start: {e} ({command:?})"));
        Self { child, name: name.to_owned(), log: log.to_owned() }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Sends a signal, unless it has ended by itself: then there is nobody to signal.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            kill_process(Pid::from_child(&self.child), signal).expect("a running child can be signalled");
        }
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Panics
    /// When it takes longer than `limit`.
    pub fn terminate(mut self, limit: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        self.end(limit)
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// When it takes longer than `limit`.
    pub fn end(mut self, limit: Duration) -> ExitStatus {
        let mut status = None;
        let in_time = wait(limit, || {
            status = self.ended();
            status.is_some()
        });
        assert!(in_time, "{} runs on after {limit:?}\n{}", self.name, self.log_tail());
        status.expect("there is a status when the wait ends")
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        format!("--- last lines of {}\n{}", self.log.display(), tail(&self.log, 60))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail when it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks at `condition` until it holds, and says whether it did within `limit`.
pub fn wait(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() > limit {
            return false;
        }
        thread::sleep(LOOK);
    }
}

/// The last `lines` lines of a file, or why it cannot be read.
pub fn tail(path: &Path, lines: usize) -> String {
    match fs::read(path) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let all: Vec<&str> = text.lines().collect();
            all[all.len().saturating_sub(lines)..].join("\n")
        }
        Err(e) => format!("({}: {e})", path.display()),
    }
}

/// A port `p` such that all of `p + offset` are free on 127.0.0.1 now.
///
/// Taken from below the range that the system gives to outgoing connections, at a place that follows from the process
/// id: so that neither a client's connection nor another test process takes it before the server has it.
///
/// # Panics
/// When no such port is found.
pub fn free_port(offsets: &[i32]) -> u16 {
    const FIRST: u16 = 10_000;
    const SPAN: u16 = 22_000;
    const STEP: u16 = 8;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..SPAN / STEP {
        let start = (std::process::id() as u16).wrapping_mul(97);
        let port = FIRST + start.wrapping_add(NEXT.fetch_add(STEP, Ordering::Relaxed)) % SPAN;
        let all: io::Result<Vec<TcpListener>> = offsets
            .iter()
            .map(|offset| TcpListener::bind(("127.0.0.1", (i32::from(port) + offset) as u16)))
            .collect();
        if all.is_ok() {
            return port;
        }
    }
    panic!("no port with {offsets:?} free below {}", FIRST + SPAN);
}

/// Runs a command to its end with its output in a file.
///
/// # Panics
/// When it does not start or takes longer than `limit`.
pub fn run(name: &str, command: Command, log: &Path, limit: Duration) -> ExitStatus {
    File::create(log).unwrap_or_else(|e| panic!("{}: {e}", log.display()));
    Process::spawn(name, command, log).end(limit)
}
