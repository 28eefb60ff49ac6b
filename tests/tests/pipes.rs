//! `ferromq produce`, `consume` and `top`, the real binary in real pipes: what goes through, when it ends, how it exits.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use ferromq_tests::process::{free_port, wait};
use ferromq_tests::server::OFFICIAL;
use ferromq_tests::{Kind, Launch, Server, toolchain};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{InputModes, LocalModes, OutputModes, Winsize, tcgetattr, tcsetwinsize};
use serde_json::{Value, json};

/// Longer than anything takes here on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

fn temporary() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("ferromq-pipes-").tempdir().expect("a temporary directory")
}

fn start(kind: Kind, dir: &Path) -> Server {
    Launch::new(kind, dir).small_files().start()
}

/// `line` is parted at blanks, its first word is the command.
fn command(namesrv: &str, line: &str) -> Command {
    let mut command = Command::new(toolchain::ferromq());
    command
        .args(line.split(' '))
        .args(["--namesrv", namesrv])
        .env_remove("NAMESRV_ADDR")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null());
    command
}

fn run(namesrv: &str, line: &str) -> Output {
    command(namesrv, line).output().expect("it runs")
}

fn piped(namesrv: &str, line: &str) -> Child {
    let mut command = command(namesrv, line);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it starts")
}

/// Runs it with this input.
fn run_with(namesrv: &str, line: &str, input: &[u8]) -> Output {
    let mut child = piped(namesrv, line);
    // One that ends early closes its input: that shows in how it ends.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    child.wait_with_output().expect("it can be waited for")
}

/// Waits until it has ended by itself, and kills it if it does not.
fn end(mut child: Child) -> (ExitStatus, String) {
    let ended = wait(LIMIT, || child.try_wait().expect("it can be waited for").is_some());
    if !ended {
        child.kill().expect("it can be killed");
    }
    let status = child.wait().expect("it can be waited for");
    let mut told = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut told).expect("text");
    assert!(ended, "it goes on: {told}");
    (status, told)
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).expect("a running child can be signalled");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn expect(output: &Output, code: i32) -> String {
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{stdout}\n{stderr}");
    stdout
}

fn numbers(range: std::ops::RangeInclusive<u32>) -> String {
    range.map(|number| format!("{number}\n")).collect()
}

#[track_caller]
fn produce(namesrv: &str, line: &str, input: &str) {
    expect(&run_with(namesrv, &format!("produce {line}"), input.as_bytes()), 0);
    // Brokers tell NameServers of a topic that they have created when they are done with it.
    let topic = line.split(' ').next().expect("a word");
    let route = format!("admin topic route {topic}");
    assert!(wait(LIMIT, || run(namesrv, &route).status.success()), "no NameServer hears of {topic}");
}

/// The whole topic, as it is printed.
fn consume(namesrv: &str, line: &str) -> String {
    expect(&run(namesrv, &format!("consume {line} --timeout 60s")), 0)
}

/// Messages without where they lie, in an order that does not depend on it.
fn messages(lines: &str) -> BTreeSet<String> {
    let message = |line: &str| {
        let mut message: Value = serde_json::from_str(line).expect("JSON");
        let members = message.as_object_mut().expect("an object");
        for name in ["topic", "broker", "queue", "offset", "id", "born", "stored"] {
            assert!(members.remove(name).is_some(), "{name} is in {line}");
        }
        message.to_string()
    };
    lines.lines().map(message).collect()
}

fn json_goes_through_two_topics_without_a_loss(kind: Kind) {
    let dir = temporary();
    let server = start(kind, dir.path());
    let namesrv = server.namesrv();
    let sent = [
        json!({"body": "plain"}),
        json!({"body": "zwei\nZeilen \u{1F980}", "tag": "A", "keys": ["k1", "k2"], "flag": 7}),
        json!({"bodyBase64": "AP/+AA==", "shardingKey": "s", "properties": {"colour": "blue", "größe": "1 m"}}),
    ];
    let lines: String = sent.iter().map(|message| format!("{message}\n")).collect();
    produce(&namesrv, "First --json", &lines);
    let first = consume(&namesrv, "First --from first --count 3 --output json");
    produce(&namesrv, "Second --json", &first);
    let second = consume(&namesrv, "Second --from first --count 3 --output json");
    assert_eq!(messages(&second), sent.iter().map(Value::to_string).collect());
    assert_eq!(messages(&first), messages(&second));

    assert_eq!(consume(&namesrv, "Second --from first --tag A||B --count 1"), "zwei\nZeilen \u{1F980}\n");
    produce(&namesrv, "Keyed --sharding-key k", &numbers(1..=30));
    assert_eq!(consume(&namesrv, "Keyed --from first --group g --count 10"), numbers(1..=10));
    let mut top = String::new();
    let seen = wait(LIMIT, || {
        top = text(&run(&namesrv, "top --once --output json --interval 200ms").stdout);
        row(&top, "groups", "group", "g")["lag"] == 20
    });
    assert!(seen, "{top}");
}

#[test]
fn json_goes_through_two_topics_of_our_server_without_a_loss() {
    json_goes_through_two_topics_without_a_loss(Kind::Ferro);
}

#[test]
fn json_goes_through_two_topics_of_the_official_server_without_a_loss() {
    json_goes_through_two_topics_without_a_loss(Kind::Official(OFFICIAL));
}

/// The row of a table that `top` printed as JSON; null if there is none, also because it failed.
fn row(top: &str, table: &str, member: &str, name: &str) -> Value {
    let top: Value = serde_json::from_str(top).unwrap_or_default();
    let rows = top[table].as_array().cloned().unwrap_or_default();
    rows.into_iter().find(|row| row[member] == name).unwrap_or_default()
}

#[test]
fn lines_of_a_sharding_key_keep_their_order_and_a_group_goes_on_where_it_was() {
    let dir = temporary();
    let server = start(Kind::Ferro, dir.path());
    let namesrv = server.namesrv();
    produce(&namesrv, "Keyed --sharding-key k", &numbers(1..=2000));
    assert_eq!(consume(&namesrv, "Keyed --from first --count 2000"), numbers(1..=2000));
    assert_eq!(consume(&namesrv, "Keyed --from -1h --count 3"), numbers(1..=3));
    let begun = "2020-01-01T00:00:00Z";
    assert_eq!(consume(&namesrv, &format!("Keyed --from {begun} --count 3")), numbers(1..=3));

    // It fetched more than it wrote each time, also within a batch.
    assert_eq!(consume(&namesrv, "Keyed --group g --from first --count 40"), numbers(1..=40));
    assert_eq!(consume(&namesrv, "Keyed --group g --count 1"), numbers(41..=41));
    assert_eq!(consume(&namesrv, "Keyed --group g --count 1959"), numbers(42..=2000));
}

#[test]
fn a_whole_file_is_a_message_and_options_are_for_every_line() {
    let dir = temporary();
    let server = start(Kind::Ferro, dir.path());
    let namesrv = server.namesrv();
    let file = dir.path().join("file");
    std::fs::write(&file, "two\nlines\n").expect("it can be written");
    produce(
        &namesrv,
        &format!("Whole --file {} --key a --key b --tag T --property p=q=r", file.display()),
        "",
    );
    let printed = consume(&namesrv, "Whole --from first --count 1 --output json");
    let wanted = json!({"body": "two\nlines\n", "keys": ["a", "b"], "tag": "T", "properties": {"p": "q=r"}})
        .to_string();
    assert_eq!(messages(&printed), BTreeSet::from([wanted]));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let dir = temporary();
    let server = start(Kind::Ferro, dir.path());
    let namesrv = server.namesrv();
    // More than a pipe holds, so that something is written behind the end of its reader.
    produce(&namesrv, "Long --sharding-key k", &format!("{}\n", "x".repeat(1000)).repeat(1000));
    let mut child = piped(&namesrv, "consume Long --from first");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line");
    assert_eq!(line.trim_end(), "x".repeat(1000));
    drop(stdout);
    let (status, told) = end(child);
    assert_eq!((status.code(), told.as_str()), (Some(0), ""));
}

#[test]
fn an_interrupt_ends_both_while_their_pipes_stay_open() {
    let dir = temporary();
    let server = start(Kind::Ferro, dir.path());
    let namesrv = server.namesrv();
    produce(&namesrv, "Open --sharding-key k", "first\n");

    let mut consumer = piped(&namesrv, "consume Open --from first");
    let mut received = BufReader::new(consumer.stdout.take().expect("a pipe")).lines();
    let mut next = || received.next().expect("a line").expect("text");
    assert_eq!(next(), "first");

    let mut producer = piped(&namesrv, "produce Open --sharding-key k");
    let mut input = producer.stdin.take().expect("a pipe");
    input.write_all(b"second\nthird\n").expect("it reads");
    assert_eq!([next(), next()], ["second", "third"]);

    interrupt(&producer);
    let (status, told) = end(producer);
    assert_eq!(status.code(), Some(0), "{told}");
    assert!(told.contains("sent 2, failed 0"), "{told}");
    drop(input);

    interrupt(&consumer);
    let (status, told) = end(consumer);
    assert_eq!((status.code(), told.as_str()), (Some(0), ""));
}

#[test]
fn exit_codes_and_messages_say_what_to_do() {
    let nobody = format!("127.0.0.1:{}", free_port(&[0]));
    for line in ["produce Nowhere", "consume Nowhere", "top --once"] {
        let output = run(&nobody, line);
        expect(&output, 3);
        let told = text(&output.stderr);
        assert!(told.contains(&nobody) && told.contains("`ferromq standalone` starts a server"), "{told}");
    }

    let dir = temporary();
    let server = start(Kind::Ferro, dir.path());
    let namesrv = server.namesrv();
    let lines = b"{\"body\":\"a\"}\nno JSON\n\n{\"body\":\"b\"}\n{\"body\":\"\"}\n";
    let output = run_with(&namesrv, "produce Codes --json", lines);
    expect(&output, 1);
    let told = text(&output.stderr);
    for what in
        ["line 2: ", "line 3 is empty", "line 5: the body is empty", "sent 2, failed 2, skipped 1 empty"]
    {
        assert!(told.contains(what), "{what:?} is in {told}");
    }

    for (line, code, what) in [
        ("produce not/a/topic", 2, "not/a/topic"),
        ("produce T --property x", 2, "it has no \"=\""),
        ("produce T --property TAGS=x", 2, "TAGS"),
        ("produce T --file /nowhere", 1, "cannot read /nowhere"),
        ("consume T --from yesterday", 2, "yesterday"),
        ("consume T --sql a=", 2, "line 1, column 3"),
        ("consume NeverMade", 1, "no broker has topic NeverMade"),
        ("consume Codes --from first --count 3 --timeout 2s", 1, " of 3 messages came"),
        ("top --interval 1ms", 2, "200ms to 1h"),
    ] {
        let output = run(&namesrv, line);
        expect(&output, code);
        assert!(text(&output.stderr).contains(what), "{line}: {}", text(&output.stderr));
    }
}

#[test]
fn top_shows_the_rates_of_a_load_and_how_far_groups_are_behind() {
    let dir = temporary();
    let server = start(Kind::Ferro, dir.path());
    let namesrv = server.namesrv();
    produce(&namesrv, "Quiet --sharding-key k", &numbers(1..=300));
    consume(&namesrv, "Quiet --from first --group behind --count 100");
    produce(&namesrv, "Busy", &numbers(1..=10));

    let mut consumer = piped(&namesrv, "consume Busy --from first --group busy");
    let stdout = consumer.stdout.take().expect("a pipe");
    let read = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&read);
    let reading = thread::spawn(move || {
        for _ in BufReader::new(stdout).lines() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut producer = piped(&namesrv, "produce Busy");
    let mut input = producer.stdin.take().expect("a pipe");
    let enough = AtomicBool::new(false);
    let broker = server.broker().to_string();
    let top = thread::scope(|scope| {
        // A load that lasts: a line every few milliseconds until it was seen.
        scope.spawn(|| {
            while !enough.load(Ordering::Relaxed) && input.write_all(b"line\n").is_ok() {
                thread::sleep(Duration::from_millis(5));
            }
        });
        let mut top = String::new();
        let seen = wait(LIMIT, || {
            top = text(&run(&namesrv, "top --once --output json --interval 2s").stdout);
            let whole = serde_json::from_str(&top).is_ok_and(|top: Value| top["failures"] == json!([]));
            let rate = |table, member, name, rate: &str| {
                row(&top, table, member, name)[rate].as_f64().is_some_and(|rate| rate > 0.0 && rate <= 200.0)
            };
            whole
                && rate("brokers", "addr", &broker, "inPerSecond")
                && rate("topics", "topic", "Busy", "inPerSecond")
                && rate("topics", "topic", "Busy", "outPerSecond")
                && rate("groups", "group", "busy", "outPerSecond")
        });
        enough.store(true, Ordering::Relaxed);
        assert!(seen, "{top}");
        top
    });
    drop(input);
    assert_eq!(end(producer).0.code(), Some(0));
    assert!(wait(LIMIT, || read.load(Ordering::Relaxed) > 10), "{read:?} lines are written");
    interrupt(&consumer);
    assert_eq!(end(consumer).0.code(), Some(0));
    reading.join().expect("it reads");

    let behind = row(&top, "groups", "group", "behind");
    assert_eq!((&behind["lag"], &behind["outPerSecond"]), (&json!(200), &json!(0.0)), "{top}");
    assert_eq!(behind["topics"], json!(["Quiet"]));
    let quiet = row(&top, "topics", "topic", "Quiet");
    assert_eq!((&quiet["messages"], &quiet["inPerSecond"]), (&json!(300), &json!(0.0)), "{top}");
    let all: Value = serde_json::from_str(&top).expect("JSON");
    assert_eq!(all["topics"][0]["topic"], "Busy", "the busiest is first");
}

/// A terminal for a program to be shown in.
struct Terminal {
    /// What is typed goes in here.
    keyboard: File,
    /// The program's end.
    screen: File,
    /// Everything that was drawn.
    drawn: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn open() -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&keyboard).expect("a terminal");
        unlockpt(&keyboard).expect("a terminal");
        let name = ptsname(&keyboard, Vec::new()).expect("a name");
        let name = name.into_string().expect("text");
        let screen =
            rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("a terminal");
        let size = Winsize { ws_row: 40, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&screen, size).expect("a terminal");
        let keyboard = File::from(keyboard);
        let mut from = keyboard.try_clone().expect("a terminal");
        let drawn = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&drawn);
        // Ends when nobody has the program's end open any more.
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                kept.lock().expect("nobody panics with it").extend_from_slice(&bytes[..count]);
            }
        });
        Self { keyboard, screen: screen.into(), drawn }
    }

    fn run(&self, namesrv: &str, line: &str) -> Child {
        let end = || self.screen.try_clone().expect("a terminal");
        command(namesrv, line).stdin(end()).stdout(end()).stderr(Stdio::piped()).spawn().expect("it starts")
    }

    #[track_caller]
    fn wait_for(&self, what: &str) {
        let drawn = || text(&self.drawn.lock().expect("nobody panics with it"));
        assert!(wait(LIMIT, || drawn().contains(what)), "{what:?} is not drawn: {:?}", drawn());
    }

    /// Whether programs get whole lines, and what is typed is shown.
    fn modes(&self) -> (LocalModes, InputModes, OutputModes) {
        let modes = tcgetattr(&self.screen).expect("a terminal");
        (modes.local_modes, modes.input_modes, modes.output_modes)
    }
}

#[test]
fn however_top_ends_the_terminal_is_as_it_was() {
    let dir = temporary();
    let server = start(Kind::Ferro, dir.path());
    let namesrv = server.namesrv();
    produce(&namesrv, "Watched", &numbers(1..=10));
    let control_c = "\u{3}";
    for way in ["q", control_c, "SIGTERM"] {
        let mut terminal = Terminal::open();
        let before = terminal.modes();
        let child = terminal.run(&namesrv, "top --interval 200ms");
        terminal.wait_for("Watched");
        assert!(!terminal.modes().0.contains(LocalModes::ICANON), "it reads keys");
        match way {
            "SIGTERM" => kill_process(Pid::from_child(&child), Signal::TERM).expect("it can be signalled"),
            keys => terminal.keyboard.write_all(keys.as_bytes()).expect("it can be typed"),
        }
        let (status, told) = end(child);
        assert_eq!((status.code(), told.as_str()), (Some(0), ""), "{way:?}");
        assert_eq!(terminal.modes(), before, "{way:?}");
        // The other screen is left, and the cursor is there again.
        terminal.wait_for("\u{1b}[?1049l");
        terminal.wait_for("\u{1b}[?25h");
    }
}
