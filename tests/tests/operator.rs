//! What an operator meets: starts that cannot succeed, stops under load, NameServers that come and go, full disks.
//!
//! Every refusal is looked at the way an operator does: by exit code and by what the log says is wrong and what to do.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::header::{PullFlags, PullMessage};
use ferromq_tests::process::{Process, free_port, wait};
use ferromq_tests::remoting::{Connection, PATIENCE, pull_header, send_header};
use ferromq_tests::{Kind, Launch, toolchain};
use rustix::process::Signal;

const TOPIC: &str = "Operated";

/// Shorter than whatever a stop must not wait for, and long enough for a busy machine's disk.
const PROMPT_STOP: Duration = Duration::from_secs(60);

fn temporary() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("ferromq-operator-").tempdir().expect("a temporary directory")
}

/// A server whose disk may be as full as it likes.
fn launch(dir: &Path) -> Launch {
    Launch::new(Kind::Ferro, dir)
        .small_files()
        .set("cleanFileForciblyEnable", "false")
        .set("diskSpaceWarningLevelRatio", "100")
}

fn read_log(path: &Path) -> String {
    fs::read_to_string(path).expect("the server logs")
}

/// Waits until the log has `what` so many times.
#[track_caller]
fn wait_for_log(log: &Path, what: &str, times: usize) {
    let came = wait(PATIENCE, || read_log(log).matches(what).count() >= times);
    assert!(came, "{what:?} is not there {times} times:\n{}", read_log(log));
}

fn send(connection: &mut Connection, body: &[u8]) -> ferromq_tests::remoting::Answer {
    connection.ask(RequestCode::SendMessageV2, &send_header(TOPIC, 0, ""), body).expect("an answer")
}

/// All bodies of a queue by offset.
fn read_all(broker: SocketAddr, queue: u32) -> BTreeMap<u64, Vec<u8>> {
    let mut connection = Connection::open(broker).expect("the broker accepts");
    let mut found = BTreeMap::new();
    loop {
        let header = pull_header(TOPIC, queue, found.len() as u64);
        let answer = connection.ask(RequestCode::PullMessage, &header, &[]).expect("an answer");
        if answer.code != ResponseCode::Success.code() {
            assert_eq!(answer.code, ResponseCode::PullNotFound.code(), "{answer:?}");
            return found;
        }
        let bodies = answer.records().into_iter().map(|record| (record.queue_offset.0, record.body.to_vec()));
        found.extend(bodies);
    }
}

/// A start that has to fail: its exit code, and what it logged.
fn refused(launch: &Launch) -> (Option<i32>, String) {
    let before = fs::read_to_string(launch.log()).map_or(0, |log| log.len());
    let status = launch.begin().end(PATIENCE);
    (status.code(), read_log(&launch.log())[before..].to_owned())
}

#[test]
fn a_port_that_is_taken_is_named_before_the_store_is_touched() {
    let (dir, other) = (temporary(), temporary());
    let server = launch(dir.path()).start();
    let port = server.broker().port();
    let namesrv_port = server.namesrv().rsplit(':').next().expect("a port").to_owned();
    for (key, value, what, taken) in [
        ("listenPort", port.to_string(), "the broker", port.to_string()),
        // Its fast port, two below, is the other's main port.
        ("listenPort", (port + 2).to_string(), "the broker's fast port", port.to_string()),
        ("namesrvListenPort", namesrv_port.clone(), "the NameServer", namesrv_port),
    ] {
        let second = launch(other.path()).set(key, &value);
        let (code, log) = refused(&second);
        assert_eq!(code, Some(1), "{log}");
        let reason = format!("cannot listen on 127.0.0.1:{taken} for {what}: Address already in use");
        assert!(log.contains(&reason), "no {reason:?} in:\n{log}");
        assert!(!second.store().exists(), "a store was made for nothing");
    }
    server.stop();
}

#[test]
fn a_second_start_on_the_same_store_is_refused_and_disturbs_nobody() {
    let dir = temporary();
    let server = launch(dir.path()).start();
    let mut connection = Connection::open(server.broker()).expect("the broker accepts");
    assert_eq!(send(&mut connection, b"before").code, 0);
    // The same store with other ports.
    let (code, log) = refused(&launch(dir.path()));
    assert_eq!(code, Some(1), "{log}");
    let store = dir.path().join("store");
    let reason = format!("{} is in use by another process: stop it first", store.display());
    assert!(log.contains(&reason), "no {reason:?} in:\n{log}");
    assert_eq!(send(&mut connection, b"after").code, 0);
    assert_eq!(read_all(server.broker(), 0).len(), 2);
    assert!(store.join("abort").exists(), "the first one still runs");
    server.stop();
}

#[test]
fn a_store_that_cannot_be_written_is_named() {
    let dir = temporary();
    // A file where the directory should be.
    let at_file = launch(&dir.path().join("file"));
    fs::create_dir_all(at_file.store().parent().expect("it has one")).expect("a directory");
    fs::write(at_file.store(), "not a directory").expect("a file");
    let (code, log) = refused(&at_file);
    assert_eq!(code, Some(1), "{log}");
    let errors: Vec<&str> = log.lines().filter(|line| line.contains(" ERROR ")).collect();
    assert_eq!(errors.len(), 1, "{log}");
    assert!(errors[0].contains(&at_file.store().display().to_string()), "{log}");
    assert_eq!(errors[0].matches("Not a directory").count(), 1, "{log}");

    // A directory without permission. Root has to give up its own first.
    let store = dir.path().join("forbidden");
    fs::create_dir(&store).expect("a directory");
    fs::set_permissions(&store, fs::Permissions::from_mode(0o555)).expect("a mode");
    let mut command = match rustix::process::geteuid().is_root() {
        true => {
            let mut command = Command::new("setpriv");
            command.args(["--inh-caps=-all", "--bounding-set=-all"]).arg(toolchain::ferromq());
            command
        }
        false => Command::new(toolchain::ferromq()),
    };
    let (namesrv, broker) = (free_port(&[0]), free_port(&[-2, 0]));
    command.arg("standalone").arg("--store").arg(&store);
    command.arg("--set").arg(format!("namesrvListenPort={namesrv}"));
    command.arg("--set").arg(format!("listenPort={broker}")).args([
        "--set",
        "httpPort=0",
        "--set",
        "mqttPort=0",
    ]);
    let log = dir.path().join("forbidden.log");
    let status = Process::spawn("ferromq", command, &log).end(PATIENCE);
    let log = read_log(&log);
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(&store.display().to_string()) && log.contains("Permission denied"), "{log}");
}

#[test]
fn a_bad_value_stops_the_start_and_an_unknown_key_does_not() {
    let dir = temporary();
    let conf = dir.path().join("broker.conf");
    let store = dir.path().join("store");
    let port = free_port(&[-2, 0, 1]);
    let good = format!("listenPort={port}\nhttpPort=0\nmqttPort=0\nstorePathRootDir={}\n", store.display());
    let start = |text: &str, log: &Path| {
        fs::write(&conf, text).expect("a file");
        let mut command = Command::new(toolchain::ferromq());
        command.args(["broker", "-c"]).arg(&conf).env_remove("NAMESRV_ADDR");
        Process::spawn("ferromq", command, log)
    };

    let bad = format!("{good}maxMessageSize=huge\nflushDiskType=SYNC\nlistenPort=70000\n");
    let log = dir.path().join("bad.log");
    let status = start(&bad, &log).end(PATIENCE);
    let path = conf.display();
    let first = good.lines().count() + 1;
    assert_eq!(status.code(), Some(2));
    let log = read_log(&log);
    for reason in [
        format!("{path}:{first}: maxMessageSize: "),
        format!(
            "{path}:{}: flushDiskType: \"SYNC\" is none of the words; allowed: SYNC_FLUSH or ASYNC_FLUSH",
            first + 1
        ),
        format!("{path}:{}: listenPort: 70000 is out of bounds; allowed: 3 to 65535", first + 2),
    ] {
        assert!(log.contains(&reason), "no {reason:?} in:\n{log}");
    }
    assert!(!store.exists(), "a store was made for nothing");

    let log = dir.path().join("odd.log");
    let odd = format!("{good}flushDiskTyp=SYNC_FLUSH\ntransferMsgByHeap=false\n");
    let broker = start(&odd, &log);
    wait_for_log(&log, "ready", 1);
    for (line, warning) in [
        (first, "flushDiskTyp is unknown and has no effect; did you mean flushDiskType?"),
        (first + 1, "transferMsgByHeap is known to RocketMQ, but not honoured by FerroMQ"),
    ] {
        wait_for_log(&log, &format!("{path}:{line}: {warning}"), 1);
    }
    assert!(broker.terminate(PATIENCE).success());
}

/// Sends on several connections, pipelined, until a signal has stopped the server: everything acknowledged is there
/// after a restart, which finds nothing to recover.
fn stops_cleanly_under_load(signal: Signal, flush: &str) {
    const CONNECTIONS: u32 = 4;
    const PIPELINE: usize = 64;
    const ACKS: usize = 3_000;
    let dir = temporary();
    let launch = launch(dir.path()).set("flushDiskType", flush);
    let mut server = launch.start();
    let broker = server.broker();
    let (told, acknowledged) = sync_channel(1 << 10);
    let loads: Vec<_> = (0..CONNECTIONS)
        .map(|queue| {
            let told = told.clone();
            thread::spawn(move || {
                let mut connection = Connection::open(broker).expect("the broker accepts");
                let (mut sent, mut kept) = (BTreeMap::new(), BTreeMap::new());
                let mut refused = 0;
                loop {
                    while sent.len() < PIPELINE {
                        let body = format!("{queue} {}", kept.len() + sent.len()).into_bytes();
                        let header = send_header(TOPIC, queue, "");
                        let opaque = connection.push(RequestCode::SendMessageV2, &header, &body);
                        sent.insert(opaque, body);
                    }
                    let Ok(()) = connection.flush() else { break };
                    let Ok(answer) = connection.receive() else { break };
                    let body = sent.remove(&answer.opaque).expect("an answer to a request");
                    if answer.code == ResponseCode::Success.code() {
                        kept.insert(answer.field("queueOffset"), body);
                    } else {
                        refused += 1;
                    }
                    let _ = told.send(());
                }
                // What the server wrote before it closed is still to be read.
                while let Ok(answer) = connection.receive() {
                    let body = sent.remove(&answer.opaque).expect("an answer to a request");
                    if answer.code == ResponseCode::Success.code() {
                        kept.insert(answer.field("queueOffset"), body);
                    }
                }
                (kept, refused)
            })
        })
        .collect();
    drop(told);
    for seen in 0..ACKS {
        let heard = acknowledged.recv_timeout(PATIENCE);
        assert!(heard.is_ok(), "after {seen} of {ACKS} answers\n{}", server.log_tail());
    }
    server.signal(signal);
    drop(acknowledged);
    let start = Instant::now();
    let status = server.end();
    println!("{signal:?}, {flush}: stopped within {:?}", start.elapsed());
    assert_eq!(status.code(), Some(0), "{}", read_log(&launch.log()));
    assert!(!launch.store().join("abort").exists(), "a clean stop leaves no abort mark");
    let kept: Vec<_> = loads.into_iter().map(|load| load.join().expect("no panic")).collect();

    let server = launch.start();
    let log = read_log(&launch.log());
    assert!(log.contains("the store was closed cleanly"), "{log}");
    assert!(!log.contains("recovered the store"), "{log}");
    for (queue, (kept, refused)) in (0..).zip(kept) {
        assert_eq!(refused, 0, "a stop is no reason to refuse what was read");
        let found = read_all(server.broker(), queue);
        for (offset, body) in kept {
            assert_eq!(found.get(&offset), Some(&body), "queue {queue} lost {offset}");
        }
    }
    server.stop();
}

#[test]
fn sigterm_under_load_loses_nothing() {
    stops_cleanly_under_load(Signal::TERM, "SYNC_FLUSH");
}

#[test]
fn ctrl_c_under_load_loses_nothing() {
    stops_cleanly_under_load(Signal::INT, "ASYNC_FLUSH");
}

/// A connection with answers under way that it does not read, so that a stop has to wait for it.
fn stuck(broker: SocketAddr) -> Connection {
    let mut connection = Connection::open(broker).expect("the broker accepts");
    for _ in 0..64 {
        assert_eq!(send(&mut connection, &[7; 8_000]).code, 0);
    }
    for _ in 0..500 {
        connection.push(RequestCode::PullMessage, &pull_header(TOPIC, 0, 0), &[]);
    }
    connection.flush().expect("requests are short");
    connection
}

#[test]
fn a_second_ctrl_c_does_not_wait() {
    let dir = temporary();
    let launch = launch(dir.path()).set("shutdownWaitTimeSeconds", "600");
    let mut server = launch.start();
    let _stuck = stuck(server.broker());
    server.signal(Signal::INT);
    wait_for_log(&launch.log(), "stopping: no more connections", 1);
    let start = Instant::now();
    server.signal(Signal::INT);
    assert_eq!(server.end().code(), Some(130));
    assert!(start.elapsed() < PROMPT_STOP, "it took {:?}", start.elapsed());
    assert!(launch.store().join("abort").exists(), "the next start has to know");
    let server = launch.start();
    assert_eq!(read_all(server.broker(), 0).len(), 64);
    server.stop();
}

#[test]
fn a_stop_waits_for_a_client_that_does_not_read_only_so_long() {
    /// By default it waits for 30 s.
    const WAITED_AS_TOLD: Duration = Duration::from_secs(28);
    let dir = temporary();
    let launch = launch(dir.path()).set("shutdownWaitTimeSeconds", "1");
    let mut server = launch.start();
    let _stuck = stuck(server.broker());
    server.signal(Signal::TERM);
    let start = Instant::now();
    assert_eq!(server.end().code(), Some(0));
    assert!(start.elapsed() < WAITED_AS_TOLD, "it took {:?}", start.elapsed());
    let log = read_log(&launch.log());
    assert!(log.contains("shutdownWaitTimeSeconds"), "{log}");
    assert!(!launch.store().join("abort").exists(), "the store is closed cleanly all the same");
    launch.start().stop();
}

#[test]
fn held_pulls_do_not_hold_up_a_stop() {
    let dir = temporary();
    let launch = launch(dir.path()).set("shutdownWaitTimeSeconds", "600");
    let mut server = launch.start();
    let mut connection = Connection::open(server.broker()).expect("the broker accepts");
    assert_eq!(send(&mut connection, b"one").code, 0);
    let held = PullMessage {
        flags: PullFlags(PullFlags::SUBSCRIPTION | PullFlags::SUSPEND),
        wait: ferromq_model::Millis::mins(2),
        ..pull_header(TOPIC, 0, 1)
    };
    connection.push(RequestCode::PullMessage, &held, &[]);
    connection.flush().expect("it is taken");
    // Answered after the pull was read, so that the pull is held by then.
    assert_eq!(send_to(&mut connection, 1), 0);
    server.signal(Signal::TERM);
    let start = Instant::now();
    assert_eq!(server.end().code(), Some(0));
    assert!(start.elapsed() < PROMPT_STOP, "it took {:?}", start.elapsed());
    let answer = connection.receive().expect("the pull is answered");
    assert_eq!(answer.code, ResponseCode::PullNotFound.code(), "{answer:?}");
}

fn send_to(connection: &mut Connection, queue: u32) -> i32 {
    connection.ask(RequestCode::SendMessageV2, &send_header(TOPIC, queue, ""), b"x").expect("an answer").code
}

/// `ferromq namesrv` on a port, with its files in `dir`.
fn start_namesrv(port: u16, dir: &Path) -> Process {
    let mut command = Command::new(toolchain::ferromq());
    command.arg("namesrv").arg("--set").arg(format!("namesrvListenPort={port}"));
    command.arg("--set").arg(format!("kvConfigPath={}", dir.join("kvConfig.json").display()));
    Process::spawn("namesrv", command, &dir.join("namesrv.log"))
}

/// Whether the NameServer sends clients of the topic to the broker.
fn routes_to(namesrv: SocketAddr, broker: SocketAddr) -> bool {
    let Ok(mut connection) = Connection::open(namesrv) else { return false };
    let answer = connection.ask(RequestCode::GetRouteInfoByTopic, &[("topic", TOPIC)], &[]);
    answer.is_ok_and(|answer| {
        answer.code == 0 && String::from_utf8_lossy(&answer.body).contains(&broker.to_string())
    })
}

#[test]
fn a_broker_serves_without_nameservers_and_is_known_as_soon_as_there_is_one() {
    /// Time for several attempts in vain.
    const OUTAGE: Duration = Duration::from_millis(1_500);
    /// The broker registers again by itself only every 60 s.
    const PROMPTLY: Duration = Duration::from_secs(45);
    let dir = temporary();
    let (namesrv_port, port) = (free_port(&[0]), free_port(&[-2, 0, 1]));
    let namesrv: SocketAddr = (Ipv4Addr::LOCALHOST, namesrv_port).into();
    let address: SocketAddr = (Ipv4Addr::LOCALHOST, port).into();
    let mut command = Command::new(toolchain::ferromq());
    command.arg("broker").args(["-n", &namesrv.to_string()]).arg("--store").arg(dir.path().join("store"));
    let port = format!("listenPort={port}");
    let period = "registerNameServerPeriod=60000";
    for set in [&*port, period, "httpPort=0", "mqttPort=0", "mappedFileSizeCommitLog=1m"] {
        command.arg("--set").arg(set);
    }
    let log = dir.path().join("broker.log");
    let broker = Process::spawn("ferromq", command, &log);
    wait_for_log(&log, "ready", 1);
    let mut connection = Connection::open(address).expect("the broker accepts");
    assert_eq!(send(&mut connection, b"served").code, 0);
    assert_eq!(read_all(address, 0).len(), 1);
    let down = "not registered, will keep trying";
    let up = " registered namesrv=";
    wait_for_log(&log, down, 1);

    for round in 1..=3 {
        // It goes on trying, which is worth no further line.
        thread::sleep(OUTAGE);
        assert_eq!(read_log(&log).matches(down).count(), round, "{}", read_log(&log));
        let server = start_namesrv(namesrv_port, dir.path());
        let start = Instant::now();
        assert!(wait(PROMPTLY, || routes_to(namesrv, address)), "{}", read_log(&log));
        println!("known to a NameServer {:?} after its start", start.elapsed());
        wait_for_log(&log, up, round);
        assert_eq!(read_log(&log).matches(up).count(), round, "{}", read_log(&log));
        server.kill();
        wait_for_log(&log, down, round + 1);
        assert_eq!(send(&mut connection, b"still served").code, 0);
    }
    let start = Instant::now();
    assert!(broker.terminate(PATIENCE).success());
    assert!(start.elapsed() < PROMPT_STOP, "a NameServer that is gone held up the stop");
}

#[test]
fn a_broker_that_is_killed_or_stopped_is_gone_from_routes_at_once() {
    let dir = temporary();
    let (namesrv_port, port) = (free_port(&[0]), free_port(&[-2, 0, 1]));
    let namesrv: SocketAddr = (Ipv4Addr::LOCALHOST, namesrv_port).into();
    let address: SocketAddr = (Ipv4Addr::LOCALHOST, port).into();
    let server = start_namesrv(namesrv_port, dir.path());
    let start = || {
        let mut command = Command::new(toolchain::ferromq());
        command.arg("broker").args(["-n", &namesrv.to_string()]).arg("--store").arg(dir.path().join("store"));
        command.arg("--set").arg(format!("listenPort={port}"));
        command.args(["--set", "httpPort=0", "--set", "mqttPort=0", "--set", "mappedFileSizeCommitLog=1m"]);
        let broker = Process::spawn("ferromq", command, &dir.path().join("broker.log"));
        assert!(wait(PATIENCE, || Connection::open(address).is_ok()), "{}", broker.log_tail());
        let mut connection = Connection::open(address).expect("the broker accepts");
        assert_eq!(send(&mut connection, b"x").code, 0);
        assert!(wait(PATIENCE, || routes_to(namesrv, address)), "{}", broker.log_tail());
        broker
    };
    let gone_after = |end: &dyn Fn(Process), broker| {
        let began = Instant::now();
        end(broker);
        assert!(wait(PATIENCE, || !routes_to(namesrv, address)), "{}", server.log_tail());
        // A broker that is silent is forgotten after two minutes.
        assert!(began.elapsed() < Duration::from_secs(60), "it took {:?}", began.elapsed());
    };
    gone_after(&Process::kill, start());
    gone_after(&|broker| assert!(broker.terminate(PATIENCE).success()), start());
    assert!(server.terminate(PATIENCE).success());
}

/// A standalone server whose store is a file system of its own, of a few MiB.
struct SmallDisk {
    process: Process,
    broker: SocketAddr,
    /// Where the store is as seen from outside of the server's mount namespace.
    store: PathBuf,
    log: PathBuf,
}

impl SmallDisk {
    /// Starts it, with a file of `filler` bytes already there.
    fn start(dir: &Path, mib: u32, filler: usize, settings: &[&str]) -> Self {
        let mount = dir.join("disk");
        fs::create_dir(&mount).expect("a directory");
        let (namesrv, port) = (free_port(&[0]), free_port(&[-2, 0, 1]));
        // Only this process sees the file system, which is gone with it.
        let mut command = Command::new("unshare");
        match rustix::process::geteuid().is_root() {
            true => command.arg("--mount"),
            false => command.args(["--map-root-user", "--mount"]),
        };
        let script = "mount -t tmpfs -o size=\"$1\"m none \"$2\" && head -c \"$3\" /dev/zero > \"$2/filler\" \
                      && shift 3 && exec \"$@\"";
        command.args(["sh", "-c", script, "sh", &mib.to_string()]).arg(&mount).arg(filler.to_string());
        command.arg(toolchain::ferromq()).arg("standalone").arg("--store").arg(mount.join("store"));
        let own = [
            format!("namesrvListenPort={namesrv}"),
            format!("listenPort={port}"),
            "httpPort=0".to_owned(),
            "mqttPort=0".to_owned(),
            "mappedFileSizeCommitLog=1m".to_owned(),
            "mappedFileSizeConsumeQueue=20000".to_owned(),
            "maxHashSlotNum=100".to_owned(),
            "maxIndexNum=1000".to_owned(),
            "cleanFileForciblyEnable=false".to_owned(),
            "cleanResourceInterval=100".to_owned(),
        ];
        for set in own.iter().map(String::as_str).chain(settings.iter().copied()) {
            command.arg("--set").arg(set);
        }
        let log = dir.join("small.log");
        let mut process = Process::spawn("ferromq on a small disk", command, &log);
        let mut ended: Option<ExitStatus> = None;
        let ready = wait(PATIENCE, || {
            ended = process.ended();
            ended.is_some() || read_log(&log).contains(" ready")
        });
        assert!(
            ready && ended.is_none(),
            "this test mounts a tmpfs by `unshare --mount`, as root or where users may have namespaces; {ended:?}\n{}",
            process.log_tail()
        );
        let inside = mount.strip_prefix("/").expect("an absolute path");
        let store = Path::new("/proc").join(process.pid().to_string()).join("root").join(inside);
        Self { process, broker: (Ipv4Addr::LOCALHOST, port).into(), store, log }
    }

    fn filler(&self) -> PathBuf {
        self.store.join("filler")
    }

    /// Makes room.
    fn free(&self) {
        fs::remove_file(self.filler()).expect("there is a filler");
    }

    /// Sends until it is refused; returns the bodies that were taken, and why no more were.
    fn fill(&self, connection: &mut Connection) -> (Vec<Vec<u8>>, String) {
        let mut taken = Vec::new();
        loop {
            let mut body = format!("message {} ", taken.len()).into_bytes();
            body.resize(20_000, b'x');
            let answer = send(connection, &body);
            if answer.code != 0 {
                assert_eq!(answer.code, ResponseCode::ServiceNotAvailable.code(), "{answer:?}");
                return (taken, answer.remark);
            }
            taken.push(body);
            assert!(taken.len() < 10_000, "this disk never fills");
        }
    }

    /// Everything taken can be read, now that nothing can be written.
    fn expect_readable(&self, taken: &[Vec<u8>]) {
        let found: Vec<Vec<u8>> = read_all(self.broker, 0).into_values().collect();
        assert!(found == taken, "{} of {} messages are read", found.len(), taken.len());
    }
}

#[test]
fn a_full_disk_refuses_sends_with_cause_and_cure_until_there_is_room() {
    /// A store notes every 10 s how far it has come, which it cannot while the disk is full.
    const NOTED_WITHIN: Duration = Duration::from_secs(12);
    let dir = temporary();
    let disk = SmallDisk::start(dir.path(), 12, 4 << 20, &["diskSpaceWarningLevelRatio=100"]);
    let mut connection = Connection::open(disk.broker).expect("the broker accepts");
    let (mut taken, why) = disk.fill(&mut connection);
    println!("after {} messages: {why}", taken.len());
    for words in ["no room for the next log file", "store/commitlog", "free disk space there"] {
        assert!(why.contains(words), "no {words:?} in {why:?}");
    }
    // One cause, told to everybody and noted once.
    for _ in 0..20 {
        assert_eq!(send(&mut connection, b"again").remark, why);
    }
    assert_eq!(read_log(&disk.log).matches("no room for the next log file").count(), 1);
    disk.expect_readable(&taken);

    // Then nothing at all is left, until past the time at which the store notes how far it has come.
    let entries = disk.store.join("store/consumequeue").join(TOPIC).join("0/00000000000000000000");
    let last = 20 * (taken.len() - 1)..20 * taken.len();
    let written = || fs::read(&entries).is_ok_and(|bytes| bytes[last.clone()].iter().any(|&byte| byte != 0));
    assert!(wait(PATIENCE, written), "queue entries are not written out");
    let mut filler = fs::OpenOptions::new().append(true).open(disk.filler()).expect("there is a filler");
    while filler.write(&[0; 4096]).is_ok_and(|count| count > 0) {}
    // Open, it would keep its room after it is removed.
    drop(filler);
    let full_since = Instant::now();
    while full_since.elapsed() < NOTED_WITHIN {
        assert_eq!(send(&mut connection, b"again").remark, why, "{}", disk.process.log_tail());
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(send(&mut connection, b"again").remark, why, "{}", disk.process.log_tail());
    // A new topic cannot be noted, which is told as well.
    let made =
        connection.ask(RequestCode::SendMessageV2, &send_header("New", 0, ""), b"x").expect("an answer");
    assert_ne!(made.code, 0);
    disk.expect_readable(&taken);

    disk.free();
    let start = Instant::now();
    let again = wait(PATIENCE, || send(&mut connection, b"room").code == 0);
    assert!(again, "{}", disk.process.log_tail());
    println!("messages are taken {:?} after there is room", start.elapsed());
    taken.push(b"room".to_vec());
    wait_for_log(&disk.log, "disk has room again", 1);
    disk.expect_readable(&taken);
    let log = disk.log.clone();
    assert!(disk.process.terminate(PATIENCE).success(), "{}", read_log(&log));
}

#[test]
fn a_disk_above_its_limit_refuses_sends_with_cause_and_cure_until_there_is_room() {
    let dir = temporary();
    let disk = SmallDisk::start(dir.path(), 64, 32 << 20, &["diskSpaceWarningLevelRatio=80"]);
    let mut connection = Connection::open(disk.broker).expect("the broker accepts");
    let mut taken = vec![b"before".to_vec()];
    assert_eq!(send(&mut connection, &taken[0]).code, 0);
    let mut filler = fs::OpenOptions::new().append(true).open(disk.filler()).expect("there is a filler");
    filler.write_all(&vec![0; 20 << 20]).expect("there is room for it");
    // Open, it would keep its room after it is removed.
    drop(filler);
    wait_for_log(&disk.log, "diskSpaceWarningLevelRatio", 1);
    // It is noted before it is so.
    let mut refused = send(&mut connection, b"late");
    let came = wait(PATIENCE, || {
        let taken_late = refused.code == 0;
        if taken_late {
            taken.push(b"late".to_vec());
            refused = send(&mut connection, b"late");
        }
        !taken_late
    });
    assert!(came, "{}", disk.process.log_tail());
    assert_eq!(refused.code, ResponseCode::ServiceNotAvailable.code(), "{refused:?}");
    let why = refused.remark;
    println!("{why}");
    for words in ["% full", "from 80% on", "diskSpaceWarningLevelRatio", "free disk space there"] {
        assert!(why.contains(words), "no {words:?} in {why:?}");
    }
    disk.expect_readable(&taken);
    disk.free();
    let again = wait(PATIENCE, || send(&mut connection, b"room").code == 0);
    assert!(again, "{}", disk.process.log_tail());
    taken.push(b"room".to_vec());
    wait_for_log(&disk.log, "disk has room again", 1);
    disk.expect_readable(&taken);
    let log = disk.log.clone();
    assert!(disk.process.terminate(PATIENCE).success(), "{}", read_log(&log));
}

#[test]
fn an_empty_store_is_served_right_after_the_start() {
    /// The aim is 200 ms; a machine that runs other tests gets more, and may be busy for a while.
    const LIMIT: Duration = Duration::from_secs(2);
    let mut all = Vec::new();
    while all.len() < 30 && all.last().is_none_or(|took| *took >= LIMIT) {
        let dir = temporary();
        // Files as large as an operator has them.
        let launch = Launch::new(Kind::Ferro, dir.path());
        toolchain::ferromq();
        let start = Instant::now();
        let server = launch.begin();
        let mut sent = None;
        while sent != Some(0) {
            assert!(start.elapsed() < PATIENCE, "{}", server.log_tail());
            sent = Connection::open(launch.broker()).ok().and_then(|mut connection| {
                let header = send_header(TOPIC, 0, "");
                Some(connection.ask(RequestCode::SendMessageV2, &header, b"x").ok()?.code)
            });
        }
        let took = start.elapsed();
        assert!(server.terminate(PATIENCE).success());
        all.push(took);
    }
    println!("from the start to the first message stored: {all:?}");
    assert!(all.last().is_some_and(|took| *took < LIMIT), "it took {all:?}");
}
