//! Bad input gets a clear error and costs nobody else anything.
//!
//! Each test has a server of its own, does to it what no client should, and then sees to it that a client that does
//! nothing wrong is served ([`expect_served`]), on a connection that was open all the time where that could matter.
//!
//! | what comes | what happens |
//! |---|---|
//! | a frame that can be read | an answer that says what is wrong; the connection lives on |
//! | what is no frame, or a too large one | the connection is closed, with one line in the log |
//! | nothing, or half a frame | the connection is closed after its time, having cost a few KiB |
//! | more than is read back | nothing more is read from that connection |

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use ferromq_model::batch::{BatchItem, encode_item, items};
use ferromq_model::message::MAX_PROPERTIES_LEN;
use ferromq_model::{Millis, QueueId};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::frame::{EncodeFields, Head, Serialization, encode_with_body};
use ferromq_protocol::header::{GetMaxOffset, PullFlags};
use ferromq_tests::http::Http;
use ferromq_tests::process::wait;
use ferromq_tests::random::seed;
use ferromq_tests::remoting::{Answer, Connection, PATIENCE, pull_header, send_header};
use ferromq_tests::{Kind, Launch, Random, Server};
use rustix::process::{Resource, getrlimit, setrlimit};
use tempfile::TempDir;

/// What a connection's buffers in the kernel may hold of what nobody reads, in both directions.
const IN_SOCKETS: usize = 24 << 20;

/// Fields as names and values.
type Pairs<'a> = &'a [(&'a str, &'a str)];

struct Target {
    server: Server,
    launch: Launch,
    dir: TempDir,
}

fn target(settings: &[(&str, &str)]) -> Target {
    let dir = tempfile::Builder::new().prefix("ferromq-hostile-").tempdir().expect("a temporary directory");
    // Three deep, so that `../../x` would land where the test looks.
    let mut launch = Launch::new(Kind::Ferro, &dir.path().join("a/b/server"))
        .small_files()
        .set("flushDiskType", "ASYNC_FLUSH")
        .set("cleanFileForciblyEnable", "false")
        .set("diskSpaceWarningLevelRatio", "100");
    for (key, value) in settings {
        launch = launch.set(key, value);
    }
    Target { server: launch.start(), launch, dir }
}

impl Target {
    fn open(&self) -> Connection {
        Connection::open(self.server.broker()).expect("the broker accepts")
    }

    fn open_namesrv(&self) -> Connection {
        let address: SocketAddr = self.server.namesrv().parse().expect("an address");
        Connection::open(address).expect("the NameServer accepts")
    }

    /// Lines of the log at this level that contain `what`.
    fn log_lines(&self, level: &str, what: &str) -> usize {
        let log = fs::read_to_string(self.launch.log()).expect("the server logs");
        log.lines().filter(|line| line.contains(level) && line.contains(what)).count()
    }

    /// Memory of the server that is no file's, in bytes.
    fn memory(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.server.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux tells it");
        let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number of KiB");
        kib << 10
    }

    /// Connections, and what it listens on; not the files of its store, which come and go.
    fn sockets(&self) -> usize {
        let files = fs::read_dir(format!("/proc/{}/fd", self.server.pid())).expect("it runs");
        let names = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        names.filter(|name| name.to_string_lossy().starts_with("socket:")).count()
    }

    /// Connections of remoting, as the server counts them.
    fn connections(&self) -> usize {
        let mut http = Http::open(self.server.http()).expect("HTTP is served");
        let answer = http.ask("GET", "/metrics", &[], &[]).expect("an answer");
        let metrics = String::from_utf8(answer.body).expect("text");
        let count =
            metrics.lines().find_map(|line| line.strip_prefix("ferromq_connections{protocol=\"remoting\"} "));
        count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no count in {metrics}"))
    }

    fn max_offset(&self, topic: &str, queue: u32) -> u64 {
        max_offset(&mut self.open(), topic, queue)
    }

    /// Ends the test: nothing in the log that should not be, and a clean stop.
    fn finish(self) {
        for what in ["panicked", "task failed"] {
            assert_eq!(self.log_lines("", what), 0, "{}", self.server.log_tail());
        }
        self.server.stop();
    }
}

fn max_offset(connection: &mut Connection, topic: &str, queue: u32) -> u64 {
    let header = GetMaxOffset { topic, queue: QueueId(queue), committed: true };
    connection.ask(RequestCode::GetMaxOffset, &header, &[]).expect("an answer").field("offset")
}

/// Sends and reads a message as a client does that has nothing to do with all this.
fn expect_served(connection: &mut Connection) {
    let header = send_header("Innocent", 0, "KEYS\u{1}k\u{2}");
    let sent = connection.ask(RequestCode::SendMessageV2, &header, b"hello").expect("an answer");
    assert_eq!(sent.code, 0, "{sent:?}");
    let header = pull_header("Innocent", 0, sent.field("queueOffset"));
    let pulled = connection.ask(RequestCode::PullMessage, &header, &[]).expect("an answer");
    assert_eq!(pulled.records()[0].body, b"hello");
}

#[track_caller]
fn expect_refused(answer: &Answer, code: ResponseCode, words: &[&str]) {
    assert_eq!(answer.code, code.code(), "{answer:?}");
    for word in words {
        assert!(answer.remark.contains(word), "no {word:?} in {answer:?}");
    }
}

/// A frame from its parts, whether or not they fit together.
fn frame(kind: u8, header: &[u8], body: &[u8]) -> Vec<u8> {
    let mut bytes = ((4 + header.len() + body.len()) as u32).to_be_bytes().to_vec();
    bytes.extend((header.len() as u32 | u32::from(kind) << 24).to_be_bytes());
    bytes.extend(header);
    bytes.extend(body);
    bytes
}

fn json_frame(header: &str) -> Vec<u8> {
    frame(0, header.as_bytes(), &[])
}

/// What a TLS client says first: a record of 512 bytes with a greeting.
fn client_hello() -> Vec<u8> {
    let mut bytes = vec![0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03, 0x03];
    bytes.resize(5 + 512, 0x5A);
    bytes
}

#[test]
fn unknown_request_codes_are_refused_and_the_connection_lives_on() {
    let target = target(&[]);
    for mut connection in [target.open(), target.open_namesrv()] {
        for code in [9_999, -1, i32::MIN, i32::MAX, 0, RequestCode::UpdateAndCreateStaticTopic.code()] {
            for serialization in [Serialization::Json, Serialization::Binary] {
                let head = Head { code, serialization, ..Head::request(RequestCode::HeartBeat, 77) };
                connection.push_head(&head, &[("topic", "T")], b"whatever");
                connection.flush().expect("it is taken");
                let answer = connection.receive().expect("an answer");
                expect_refused(&answer, ResponseCode::RequestCodeNotSupported, &["not supported"]);
                assert_eq!(answer.opaque, 77);
            }
        }
    }
    expect_served(&mut target.open());
    target.finish();
}

#[test]
fn values_that_cannot_be_read_are_refused_by_the_name_of_their_field() {
    let target = target(&[]);
    let mut connection = target.open();
    expect_served(&mut connection);
    let send: Pairs<'_> = &[
        ("a", "g"),
        ("b", "Innocent"),
        ("c", "TBW102"),
        ("d", "4"),
        ("e", "0"),
        ("f", "0"),
        ("g", "1"),
        ("h", "0"),
        ("i", ""),
    ];
    let long_send: Pairs<'_> = &[
        ("producerGroup", "g"),
        ("topic", "Innocent"),
        ("defaultTopic", "TBW102"),
        ("defaultTopicQueueNums", "4"),
        ("queueId", "0"),
        ("sysFlag", "0"),
        ("bornTimestamp", "1"),
        ("flag", "0"),
    ];
    let pull: Pairs<'_> = &[
        ("consumerGroup", "g"),
        ("topic", "Innocent"),
        ("queueId", "0"),
        ("queueOffset", "0"),
        ("maxMsgNums", "32"),
        ("sysFlag", "4"),
        ("subscription", "*"),
    ];
    let offset: Pairs<'_> =
        &[("consumerGroup", "g"), ("topic", "Innocent"), ("queueId", "0"), ("commitOffset", "1")];
    let topic: Pairs<'_> =
        &[("topic", "Made"), ("readQueueNums", "1"), ("writeQueueNums", "1"), ("perm", "6")];
    let back: Pairs<'_> = &[("offset", "0"), ("group", "g"), ("delayLevel", "0")];
    let cases: &[(RequestCode, Pairs<'_>, &[&str])] = &[
        (RequestCode::SendMessageV2, send, &["d", "e", "f", "g", "h"]),
        (
            RequestCode::SendMessage,
            long_send,
            &["defaultTopicQueueNums", "queueId", "sysFlag", "bornTimestamp", "flag"],
        ),
        (RequestCode::SendBatchMessage, send, &["e", "f"]),
        (RequestCode::PullMessage, pull, &["queueId", "queueOffset", "maxMsgNums", "sysFlag"]),
        (RequestCode::LitePullMessage, pull, &["queueId", "queueOffset"]),
        (RequestCode::UpdateConsumerOffset, offset, &["queueId", "commitOffset"]),
        (RequestCode::QueryConsumerOffset, offset, &["queueId"]),
        (RequestCode::GetMaxOffset, offset, &["queueId"]),
        (RequestCode::GetMinOffset, offset, &["queueId"]),
        (RequestCode::UpdateAndCreateTopic, topic, &["readQueueNums", "writeQueueNums", "perm"]),
        (RequestCode::ConsumerSendMsgBack, back, &["offset", "delayLevel"]),
        (RequestCode::ViewMessageById, back, &["offset"]),
    ];
    for (code, fields, numbers) in cases {
        for (name, _) in *fields {
            let mut bad = fields.to_vec();
            if numbers.contains(name) {
                for value in ["one", "1.5", "99999999999999999999", "0x10", "", " "] {
                    for (field, to) in &mut bad {
                        if field == name {
                            *to = value;
                        }
                    }
                    let answer = connection.ask(*code, &bad[..], b"body").expect("an answer");
                    // Blank is how some clients write "none".
                    if !value.trim().is_empty() {
                        expect_refused(&answer, ResponseCode::InvalidParameter, &[name, value]);
                    }
                }
            }
        }
        let answer = connection.ask(*code, &(), b"body").expect("an answer");
        expect_refused(&answer, ResponseCode::InvalidParameter, &["missing"]);
        for (left_out, _) in *fields {
            let rest: Vec<_> = fields.iter().copied().filter(|(name, _)| name != left_out).collect();
            let answer = connection.ask(*code, &rest[..], b"body").expect("an answer");
            let required = answer.code == ResponseCode::InvalidParameter.code();
            assert!(!required || answer.remark.contains(left_out) || left_out.len() == 1, "{answer:?}");
        }
    }
    // What is no text in JSON is read as one, or refused; it is no reason to hang up.
    for value in ["7", "true", "null", "1e3", "[1]", "{\"a\":1}"] {
        let header = format!(
            "{{\"code\":30,\"opaque\":5,\"flag\":0,\"extFields\":{{\"topic\":\"T\",\"queueId\":{value}}}}}"
        );
        let mut other = target.open();
        other.write(&json_frame(&header)).expect("it is taken");
        match other.receive() {
            Ok(answer) => assert_eq!(answer.opaque, 5),
            Err(error) => assert!(value.starts_with(['[', '{']), "{value}: {error}"),
        }
    }
    expect_served(&mut connection);
    target.finish();
}

#[test]
fn a_body_over_the_limit_is_refused_and_a_frame_over_it_ends_its_connection_only() {
    let target = target(&[("maxMessageSize", "65536"), ("maxFrameSize", "1m")]);
    let (mut innocent, mut sender) = (target.open(), target.open());
    expect_served(&mut innocent);
    let header = send_header("Large", 0, "");
    let largest = sender.ask(RequestCode::SendMessageV2, &header, &[7; 65_536]).expect("an answer");
    assert_eq!(largest.code, 0, "{largest:?}");
    let over = sender.ask(RequestCode::SendMessageV2, &header, &[7; 65_537]).expect("an answer");
    expect_refused(&over, ResponseCode::MessageIllegal, &["65536"]);

    // Announced is enough: nobody waits for the rest.
    sender.write(&(1u32 << 20).to_be_bytes()).expect("it is taken");
    sender.write(&[0; 4]).expect("it is taken");
    assert!(sender.is_closed_within(PATIENCE));
    // It is noted once the connection is gone.
    let lines = || target.log_lines("WARN", "frame of 1048580 bytes, the limit is 1048576");
    assert!(wait(PATIENCE, || lines() == 1), "{}", target.server.log_tail());
    assert_eq!(target.max_offset("Large", 0), 1);
    expect_served(&mut innocent);
    target.finish();
}

#[test]
fn names_that_are_no_names_leave_no_file_behind() {
    let target = target(&[]);
    let long = "x".repeat(300);
    let bad = ["../../x", "a/b", "/etc/x", "..", ".", "", " ", "a\0b", "a b", "тема", "a\nb", &long];
    let outside = |target: &Target| files(target.dir.path(), &target.launch.store());
    let before = outside(&target);
    let mut connection = target.open();
    for name in bad {
        let mut refused = |code, fields: Pairs<'_>, body: &[u8]| {
            let answer = connection.ask(code, fields, body).expect("an answer");
            assert_ne!(answer.code, 0, "{code:?} took the name {name:?}: {answer:?}");
            assert!(!answer.remark.is_empty(), "{answer:?}");
        };
        let send = [("a", "g"), ("b", name), ("c", "TBW102"), ("d", "4"), ("e", "0"), ("f", "0")];
        let send: Vec<_> = send.into_iter().chain([("g", "1"), ("h", "0")]).collect();
        refused(RequestCode::SendMessageV2, &send, b"body");
        refused(RequestCode::SendBatchMessage, &send, b"body");
        let topic = [("topic", name), ("readQueueNums", "1"), ("writeQueueNums", "1"), ("perm", "6")];
        refused(RequestCode::UpdateAndCreateTopic, &topic, &[]);
        refused(RequestCode::DeleteTopicInBroker, &[("topic", name)], &[]);
        let pull = [("consumerGroup", "g"), ("topic", name), ("queueId", "0"), ("queueOffset", "0")];
        let pull: Vec<_> = pull.into_iter().chain([("maxMsgNums", "1"), ("sysFlag", "4")]).collect();
        refused(RequestCode::PullMessage, &pull, &[]);
        let pull = [("consumerGroup", name), ("topic", "TBW102"), ("queueId", "0"), ("queueOffset", "0")];
        let pull: Vec<_> = pull.into_iter().chain([("maxMsgNums", "1"), ("sysFlag", "4")]).collect();
        refused(RequestCode::PullMessage, &pull, &[]);
        let group = serde_json::json!({ "groupName": name }).to_string();
        refused(RequestCode::UpdateAndCreateSubscriptionGroup, &[], group.as_bytes());
        refused(RequestCode::GetSubscriptionGroupConfig, &[("group", name)], &[]);
        let back = [("offset", "0"), ("group", name), ("delayLevel", "0")];
        refused(RequestCode::ConsumerSendMsgBack, &back, &[]);
        // A retry topic is named after a group: it must not be a way around.
        let retry = format!("%RETRY%{name}");
        let send: Vec<_> = send.iter().map(|&(n, v)| (n, if n == "b" { &*retry } else { v })).collect();
        if !name.is_empty() {
            refused(RequestCode::SendMessageV2, &send, b"body");
        }
        // Heartbeats leave such groups out, as the official broker does.
        let beat = serde_json::json!({
            "clientID": "c",
            "consumerDataSet": [{ "groupName": name, "subscriptionDataSet": [{ "topic": name, "subString": "*" }] }],
        });
        connection.ask(RequestCode::HeartBeat, &(), beat.to_string().as_bytes()).expect("an answer");
    }
    expect_served(&mut connection);
    assert_eq!(outside(&target), before);
    for path in files(&target.launch.store(), Path::new("")) {
        let plain = |c: char| c.is_ascii_alphanumeric() || "%|_-./".contains(c);
        assert!(path.chars().all(plain) && !path.contains(".."), "{path:?} in the store");
        assert!(path.len() < 200, "{path:?} in the store");
    }
    target.finish();
}

/// Every path under `dir` but those under `except`, relative to it.
fn files(dir: &Path, except: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        // Files come and go while the server runs.
        for entry in fs::read_dir(&next).into_iter().flatten().filter_map(Result::ok) {
            let path = entry.path();
            if path == except {
                continue;
            }
            if path.is_dir() {
                open.push(path.clone());
            }
            found.insert(path.strip_prefix(dir).expect("below it").to_string_lossy().into_owned());
        }
    }
    found
}

#[test]
fn half_a_frame_and_silence_costs_little_and_ends() {
    const HALVES: usize = 500;
    /// Long enough for all that is done here before silence begins.
    const IDLE_SECS: u64 = 20;
    let target = target(&[
        ("serverChannelMaxIdleTimeSeconds", &IDLE_SECS.to_string()),
        // The broker's own connection to its NameServer would be idle as well.
        ("registerNameServerPeriod", "500"),
    ]);
    // Waiting for an answer is not silence: this pull is held for longer than a connection may be idle.
    let mut waiting = target.open();
    expect_served(&mut waiting);
    let mut header = pull_header("Innocent", 1, 0);
    header.flags = PullFlags(PullFlags::SUBSCRIPTION | PullFlags::SUSPEND);
    header.wait = Millis::secs(IDLE_SECS + 5);
    waiting.push(RequestCode::PullMessage, &header, &[]);
    waiting.flush().expect("it is taken");

    let before = target.memory();
    let mut halves: Vec<Connection> = (0..HALVES).map(|_| target.open()).collect();
    for (n, half) in halves.iter_mut().enumerate() {
        // All that a frame of 15 MiB begins with, and for some a part of it.
        half.write(&(15u32 << 20).to_be_bytes()).expect("it is taken");
        half.write(&vec![0; n * 4]).expect("it is taken");
    }
    expect_served(&mut target.open());
    let cost = target.memory().saturating_sub(before);
    println!("{HALVES} halves of frames of 15 MiB cost {} KiB each", (cost / HALVES) >> 10);
    assert!(cost < HALVES * (32 << 10), "{HALVES} connections cost {cost} bytes");
    for half in &mut halves {
        assert!(half.is_closed_within(PATIENCE));
    }
    let answer = waiting.receive().expect("the held pull is answered");
    expect_refused(&answer, ResponseCode::PullNotFound, &[]);
    assert!(waiting.is_closed_within(PATIENCE), "silence after the last answer");
    assert_eq!(target.log_lines("WARN", "closed"), 0, "silence is no mistake");
    expect_served(&mut target.open());
    target.finish();
}

#[test]
fn ten_thousand_connections_that_say_nothing_cost_little() {
    const CONNECTIONS: usize = 10_000;
    let limit = getrlimit(Resource::Nofile);
    let mut raised = limit;
    raised.current = limit.maximum;
    setrlimit(Resource::Nofile, raised).expect("files may be opened up to the hard limit");
    assert!(
        limit.maximum.is_none_or(|most| most > CONNECTIONS as u64 + 200),
        "this test and the server each need {CONNECTIONS} open files: raise the hard limit (ulimit -Hn)"
    );
    // None of them is closed for its silence before the last one is there.
    let target = target(&[("serverChannelMaxIdleTimeSeconds", "3600")]);
    let mut innocent = target.open();
    expect_served(&mut innocent);
    let (before, sockets_before) = (target.memory(), target.sockets());
    let start = Instant::now();
    let mut silent = Vec::with_capacity(CONNECTIONS);
    for n in 0..CONNECTIONS {
        let source = Ipv4Addr::new(127, 0, 0, 2 + (n % 8) as u8);
        let connection = Connection::open_from(source, target.server.broker());
        silent
            .push(connection.unwrap_or_else(|e| panic!("connection {n}: {e}\n{}", target.server.log_tail())));
        // Fewer at a time than wait to be accepted: what the kernel drops it may never bring again.
        if silent.len() % 500 == 0 {
            let accepted = || target.sockets().saturating_sub(sockets_before);
            assert!(
                wait(PATIENCE, || accepted() >= silent.len()),
                "{} of {} are accepted\n{}",
                accepted(),
                silent.len(),
                target.server.log_tail()
            );
        }
    }
    let took = start.elapsed();
    let cost = target.memory().saturating_sub(before);
    println!(
        "{CONNECTIONS} silent connections: accepted in {took:?}, {} bytes of memory each, {} MiB in all",
        cost / CONNECTIONS,
        target.memory() >> 20
    );
    assert!(cost < CONNECTIONS * (16 << 10), "{CONNECTIONS} silent connections cost {cost} bytes");
    expect_served(&mut innocent);
    let start = Instant::now();
    expect_served(&mut target.open());
    assert!(start.elapsed() < Duration::from_secs(60), "a new client waited {:?}", start.elapsed());
    drop(silent);
    assert!(wait(PATIENCE, || target.sockets() <= sockets_before + 2), "connections are not given back");
    target.finish();
}

#[test]
fn connections_beyond_the_limit_are_closed_until_there_is_room() {
    const PLACES: usize = 30;
    let target = target(&[("maxConnections", &PLACES.to_string())]);
    let mut innocent = target.open();
    expect_served(&mut innocent);
    // The broker's own connection to the NameServer has a place, too. Those that asked whether the server is ready give
    // theirs back, which must not happen between two refusals.
    assert!(wait(PATIENCE, || target.connections() == 2), "{} connections", target.connections());
    let mut open: Vec<Connection> = (0..PLACES * 2).map(|_| target.open()).collect();
    let refused = |target: &Target| target.log_lines("WARN", "maxConnections") == 1;
    assert!(wait(PATIENCE, || refused(&target)), "{}", target.server.log_tail());
    expect_served(&mut innocent);
    let closed =
        open.iter_mut().rev().take(PLACES).filter_map(|c| c.is_closed_within(PATIENCE).then_some(()));
    assert_eq!(closed.count(), PLACES, "the last ones to come are closed");
    assert!(refused(&target), "one line for all of them");
    open.clear();
    let mut served = || {
        let header = send_header("Innocent", 0, "");
        let mut connection = target.open();
        connection.ask(RequestCode::SendMessageV2, &header, b"x").is_ok_and(|answer| answer.code == 0)
    };
    assert!(wait(PATIENCE, &mut served), "places are not given back");
    target.finish();
}

#[test]
fn what_is_no_frame_ends_its_connection_with_one_line_and_nothing_else() {
    let target = target(&[]);
    let mut innocent = target.open();
    expect_served(&mut innocent);
    let mut random = Random::new(seed("garbage"));
    let mut noise: Vec<u8> = (0..4096).map(|_| random.number() as u8).collect();
    noise[0] |= 0x40;
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        json_frame(&format!("{{\"code\":10,\"x\":{open}{close}}}"))
    };
    let fields: String = (0..300).map(|n| format!("\"f{n}\":\"v\",")).collect();
    let mut cut = json_frame("{\"code\":10,\"flag\":0,\"opaque\":1}");
    cut[7] += 1;
    let garbage: Vec<(&str, Vec<u8>)> = vec![
        ("noise", noise),
        ("a TLS greeting", client_hello()),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("a length of 0", vec![0; 8]),
        ("a length of 3", vec![0, 0, 0, 3, 0, 0, 0, 0]),
        ("a negative length", vec![0xFF; 8]),
        ("a header longer than its frame", vec![0, 0, 0, 8, 0, 0, 0, 100, 1, 2, 3, 4]),
        ("an unknown serialization", frame(9, b"{}", &[])),
        ("a header that ends within its frame", cut),
        ("no JSON", json_frame("hello")),
        ("JSON that is no object", json_frame("[1,2,3]")),
        ("JSON that ends", json_frame("{\"code\":10,\"flag\":")),
        ("a code that is no number", json_frame("{\"code\":\"ten\",\"opaque\":1}")),
        ("a number that no integer holds", json_frame("{\"code\":10,\"opaque\":99999999999}")),
        ("JSON nested 100 deep", nested(100)),
        ("JSON nested 30,000 deep", nested(30_000)),
        ("300 fields", json_frame(&format!("{{\"code\":10,\"extFields\":{{{fields}\"z\":\"\"}}}}"))),
        ("JSON that is not UTF-8", frame(0, b"{\"code\":10,\"extFields\":{\"topic\":\"\xFF\xFE\"}}", &[])),
        ("a binary header of nothing", frame(1, &[], &[])),
        ("a binary header with a remark of 4 GiB", frame(1, &[[0; 13].as_slice(), &[0xFF; 8]].concat(), &[])),
        ("a binary header with text that is not UTF-8", {
            let field = [&[0, 1, b't', 0, 0, 0, 2][..], &[0xFF, 0xFE]].concat();
            let len = (field.len() as u32).to_be_bytes();
            frame(1, &[&[0; 13][..], &[0; 4], &len, &field].concat(), &[])
        }),
        ("a header of 100 KiB", frame(0, &vec![b' '; 100 << 10], &[])),
    ];
    for (n, (what, bytes)) in garbage.iter().enumerate() {
        for mut connection in [target.open(), target.open_namesrv()] {
            // A server that hangs up early may refuse the rest.
            let _ = connection.write(bytes);
            assert!(connection.is_closed_within(PATIENCE), "{what}: the connection stays");
        }
        let lines = || target.log_lines("WARN", "malformed frame");
        assert!(wait(PATIENCE, || lines() == 2 * (n + 1)), "{what}: {} lines for {}", lines(), 2 * (n + 1));
        expect_served(&mut innocent);
    }
    target.finish();
}

#[test]
fn a_client_that_does_not_read_is_not_read_from() {
    const REQUESTS: usize = 100_000;
    let target = target(&[]);
    let mut innocent = target.open();
    expect_served(&mut innocent);
    let mut connection = target.open();
    let mut frames = Vec::new();
    let mut ends = Vec::with_capacity(REQUESTS);
    for opaque in 0..REQUESTS as i32 {
        let header = GetMaxOffset { topic: "Innocent", queue: QueueId(0), committed: true };
        let head = Head::request(RequestCode::GetMaxOffset, opaque);
        encode_with_body(&mut frames, &head, &header, &[]).expect("it fits");
        ends.push(frames.len());
    }
    let before = target.memory();
    let written = write_until_stuck(&mut connection, &frames);
    let cost = target.memory().saturating_sub(before);
    let (whole, most) = (ends.partition_point(|&end| end <= written), frames.len());
    println!("{whole} of {REQUESTS} requests were taken, {written} of {most} bytes, for {} KiB", cost >> 10);
    assert!(cost < 16 << 20, "unread answers cost {cost} bytes");
    expect_served(&mut innocent);

    // Once it reads, it gets all that it asked for.
    connection.stream().set_nonblocking(false).expect("it can block");
    let mut other_half = connection.stream().try_clone().expect("a socket can be shared");
    let rest = frames.split_off(written);
    let writer = std::thread::spawn(move || other_half.write_all(&rest));
    let mut answered: Vec<bool> = vec![false; REQUESTS];
    for _ in 0..REQUESTS {
        let answer = connection.receive().expect("an answer to each request");
        assert!(
            !std::mem::replace(&mut answered[answer.opaque as usize], true),
            "answered twice: {answer:?}"
        );
    }
    writer.join().expect("no panic").expect("the rest is taken");
    target.finish();
}

#[test]
fn large_answers_that_nobody_reads_are_not_made_in_advance() {
    let target = target(&[]);
    let mut innocent = target.open();
    expect_served(&mut innocent);
    let topic = |name: &str| {
        let queues = [("readQueueNums", "1"), ("writeQueueNums", "1"), ("perm", "6")];
        [("topic", name)]
            .into_iter()
            .chain(queues)
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .collect::<Vec<_>>()
    };
    for n in 0..300 {
        let made = innocent.ask(RequestCode::UpdateAndCreateTopic, &topic(&format!("T{n}"))[..], &[]);
        assert_eq!(made.expect("an answer").code, 0);
    }
    for _ in 0..64 {
        let header = send_header("Innocent", 0, "");
        assert_eq!(innocent.ask(RequestCode::SendMessageV2, &header, &[1; 8000]).expect("an answer").code, 0);
    }
    let pull = pull_header("Innocent", 0, 0);
    let nothing: Pairs<'_> = &[];
    let before = target.memory();
    for (what, head, fields) in [
        ("pulls", RequestCode::PullMessage, Wire::of(&pull)),
        ("topic lists", RequestCode::GetAllTopicConfig, Wire::of(nothing)),
    ] {
        let mut connection = target.open();
        let mut frames = Vec::new();
        for opaque in 0..20_000 {
            let head = Head::request(head, opaque);
            encode_with_body(&mut frames, &head, &fields.0[..], &[]).expect("it fits");
        }
        let written = write_until_stuck(&mut connection, &frames);
        let cost = target.memory().saturating_sub(before);
        println!("{what}: {written} bytes of requests were taken, for {} KiB", cost >> 10);
        assert!(cost < 48 << 20, "unread {what} cost {cost} bytes");
        expect_served(&mut innocent);
    }
    target.finish();
}

/// Fields as names and values.
struct Wire(Vec<(String, String)>);

impl Wire {
    fn of(fields: &(impl EncodeFields + ?Sized)) -> Self {
        struct Sink(Vec<(String, String)>);
        impl ferromq_protocol::frame::FieldSink for Sink {
            fn text(&mut self, name: &'static str, value: &str) {
                self.pair(name, value);
            }
            fn number(&mut self, name: &'static str, value: i64) {
                self.pair(name, &value.to_string());
            }
            fn pair(&mut self, name: &str, value: &str) {
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
        let mut sink = Sink(Vec::new());
        fields.encode_fields(&mut sink);
        Self(sink.0)
    }
}

/// Writes until the server takes no more for a while; returns how many bytes it took.
fn write_until_stuck(connection: &mut Connection, bytes: &[u8]) -> usize {
    const STUCK: Duration = Duration::from_millis(700);
    let stream = connection.stream();
    stream.set_nonblocking(true).expect("it can");
    let mut written = 0;
    wait(PATIENCE, || {
        let began = Instant::now();
        while written < bytes.len() && began.elapsed() < STUCK {
            match stream.write(&bytes[written..]) {
                Ok(count) => {
                    written += count;
                    return false;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => panic!("the server hung up: {error}"),
            }
        }
        true
    });
    assert!(written < bytes.len() || written < IN_SOCKETS, "everything was taken: {written} bytes");
    written
}

#[test]
fn a_one_way_request_is_never_answered_not_even_with_an_error() {
    let target = target(&[]);
    let mut connection = target.open();
    expect_served(&mut connection);
    let end = max_offset(&mut connection, "Innocent", 0);
    for (n, serialization) in (1..).zip([Serialization::Json, Serialization::Binary]) {
        let head = |code: RequestCode| Head { serialization, ..Head::request(code, 9_000).oneway() };
        let unknown = Head { code: 9_999, ..head(RequestCode::HeartBeat) };
        connection.push_head(&unknown, &(), &[]);
        connection.push_head(&head(RequestCode::SendMessageV2), &send_header("../x", 0, ""), b"bad name");
        connection.push_head(&head(RequestCode::SendMessageV2), &[("a", "g")], b"bad header");
        connection.push_head(&head(RequestCode::SendMessageV2), &send_header("Innocent", 0, ""), b"good");
        connection.push_head(&head(RequestCode::PullMessage), &pull_header("Innocent", 0, 0), &[]);
        connection.push_head(&head(RequestCode::HeartBeat), &(), b"no JSON");
        let fields = [("topic", "Made"), ("readQueueNums", "1"), ("writeQueueNums", "1"), ("perm", "6")];
        connection.push_head(&head(RequestCode::UpdateAndCreateTopic), &fields, &[]);
        // Only this one is: `ask` would take any other answer for its own.
        assert_eq!(max_offset(&mut connection, "Innocent", 0), end + n, "the good one-way send is stored");
    }
    connection.stream().set_read_timeout(Some(Duration::from_millis(300))).expect("it may have one");
    let error = connection.receive().expect_err("nothing more comes");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    target.finish();
}

#[test]
fn requests_with_the_same_number_are_each_answered() {
    let target = target(&[]);
    let mut connection = target.open();
    for _ in 0..100 {
        let header = send_header("Same", 0, "");
        connection.push_head(&Head::request(RequestCode::SendMessageV2, 7), &header, b"x");
    }
    for opaque in [i32::MIN, -1, 0, i32::MAX] {
        let header = send_header("Same", 0, "");
        connection.push_head(&Head::request(RequestCode::SendMessageV2, opaque), &header, b"x");
    }
    connection.flush().expect("it is taken");
    let mut offsets: HashMap<i32, Vec<u64>> = HashMap::new();
    for _ in 0..104 {
        let answer = connection.receive().expect("an answer");
        assert_eq!(answer.code, 0, "{answer:?}");
        offsets.entry(answer.opaque).or_default().push(answer.field("queueOffset"));
    }
    assert_eq!(offsets[&7], (0..100).collect::<Vec<u64>>());
    assert_eq!([i32::MIN, -1, 0, i32::MAX].map(|opaque| offsets[&opaque][0]), [100, 101, 102, 103]);
    target.finish();
}

#[test]
fn numbers_out_of_any_range_are_answered() {
    let target = target(&[]);
    let mut connection = target.open();
    for _ in 0..40 {
        expect_served(&mut connection);
    }
    let ranges = ["-1", "-2147483648", "2147483647", "4", "-9223372036854775808", "9223372036854775807"];
    // Fields that a pull has twice: the last one counts.
    let pull = Wire::of(&pull_header("Innocent", 0, 0)).0;
    for queue in ranges {
        let fields = (&pull[..], &[("queueId", queue)][..]);
        let answer = connection.ask(RequestCode::PullMessage, &fields, &[]).expect("an answer");
        expect_refused(&answer, ResponseCode::InvalidParameter, &["queueId"]);
        for code in [RequestCode::GetMaxOffset, RequestCode::GetMinOffset, RequestCode::QueryConsumerOffset] {
            let fields = [("consumerGroup", "g"), ("topic", "Innocent"), ("queueId", queue)];
            connection.ask(code, &fields, &[]).expect("an answer");
        }
        let fields = [
            ("consumerGroup", "tests-consumer"),
            ("topic", "Innocent"),
            ("queueId", queue),
            ("commitOffset", "1"),
        ];
        let answer = connection.ask(RequestCode::UpdateConsumerOffset, &fields, &[]).expect("an answer");
        assert_ne!(answer.code, 0, "{answer:?}");
    }
    let fields = (&pull[..], &[("queueOffset", "9223372036854775808")][..]);
    let answer = connection.ask(RequestCode::PullMessage, &fields, &[]).expect("an answer");
    expect_refused(&answer, ResponseCode::InvalidParameter, &["queueOffset", "9223372036854775808"]);
    for (from, next) in [("-1", 0), ("-9223372036854775808", 0), ("41", 40), ("9223372036854775807", 40)] {
        let fields = (&pull[..], &[("queueOffset", from)][..]);
        let answer = connection.ask(RequestCode::PullMessage, &fields, &[]).expect("an answer");
        expect_refused(&answer, ResponseCode::PullOffsetMoved, &[]);
        assert_eq!(answer.field::<u64>("nextBeginOffset"), next);
    }
    let fields = (&pull[..], &[("maxMsgNums", "2147483647")][..]);
    let answer = connection.ask(RequestCode::PullMessage, &fields, &[]).expect("an answer");
    assert_eq!((answer.code, answer.records().len()), (0, 32), "no more than the server's own limit");
    for count in ["0", "-1", "-2147483648"] {
        let fields = (&pull[..], &[("maxMsgNums", count)][..]);
        let answer = connection.ask(RequestCode::PullMessage, &fields, &[]).expect("an answer");
        assert!(answer.code != 0 || answer.records().len() <= 32, "{answer:?}");
    }
    // A position beyond the end counts as the end.
    let commit = |offset| {
        [
            ("consumerGroup", "tests-consumer"),
            ("topic", "Innocent"),
            ("queueId", "0"),
            ("commitOffset", offset),
        ]
    };
    for (offset, position) in [("9223372036854775807", 40), ("-1", 40), ("0", 0), ("7", 7)] {
        connection.ask(RequestCode::UpdateConsumerOffset, &commit(offset), &[]).expect("an answer");
        let answer = connection.ask(RequestCode::QueryConsumerOffset, &commit("0"), &[]).expect("an answer");
        assert_eq!(answer.field::<u64>("offset"), position, "after {offset}");
    }
    for offset in 0..300 {
        let offset = offset.to_string();
        let answer = connection.ask(RequestCode::ViewMessageById, &[("offset", &*offset)], &[]);
        let answer = answer.expect("an answer");
        assert!(answer.code != 0 || answer.records().len() == 1, "{answer:?}");
    }
    for offset in ["-1", "9223372036854775807", "8388600", "8388608"] {
        let answer = connection.ask(RequestCode::ViewMessageById, &[("offset", offset)], &[]);
        assert_ne!(answer.expect("an answer").code, 0);
        let fields = [("offset", offset), ("group", "g"), ("delayLevel", "2147483647")];
        let answer = connection.ask(RequestCode::ConsumerSendMsgBack, &fields, &[]);
        assert_ne!(answer.expect("an answer").code, 0);
    }
    for time in ["-1", "0", "-9223372036854775808", "9223372036854775807"] {
        let fields = [("topic", "Innocent"), ("queueId", "0"), ("timestamp", time)];
        let answer = connection.ask(RequestCode::SearchOffsetByTimestamp, &fields, &[]).expect("an answer");
        assert!(answer.code == 0 && answer.field::<u64>("offset") <= 40, "{time}: {answer:?}");
    }
    for queues in ["-1", "2147483647", "4294967295"] {
        let fields = [("topic", "Made"), ("readQueueNums", queues), ("writeQueueNums", "1"), ("perm", "6")];
        let answer = connection.ask(RequestCode::UpdateAndCreateTopic, &fields, &[]).expect("an answer");
        expect_refused(&answer, ResponseCode::InvalidParameter, &["readQueueNums"]);
    }
    expect_served(&mut connection);
    target.finish();
}

#[test]
fn a_batch_that_is_broken_anywhere_is_refused_as_a_whole() {
    let target = target(&[]);
    let mut connection = target.open();
    let mut batch = Vec::new();
    for (n, body) in (0..).zip([&b"first"[..], b"", b"the third"]) {
        encode_item(&mut batch, BatchItem { flag: n, body, properties: "KEYS\u{1}k\u{2}" });
    }
    let mut broken: Vec<Vec<u8>> = (0..batch.len()).map(|cut| batch[..cut].to_vec()).collect();
    for at in 0..batch.len() {
        for flip in [0x01, 0x80, 0xFF] {
            let mut bytes = batch.clone();
            bytes[at] ^= flip;
            broken.push(bytes);
        }
    }
    for chunk in broken.chunks(100) {
        let asked: Vec<(i32, &Vec<u8>)> = chunk
            .iter()
            .map(|bytes| {
                let header = send_header("Batches", 0, "");
                (connection.push(RequestCode::SendBatchMessage, &header, bytes), bytes)
            })
            .collect();
        connection.flush().expect("it is taken");
        // Refusals need not wait for what is stored.
        let answers = asked.iter().map(|_| connection.receive().expect("an answer"));
        let answers: HashMap<i32, Answer> = answers.map(|answer| (answer.opaque, answer)).collect();
        let mut end = None;
        for (opaque, bytes) in asked {
            let answer = &answers[&opaque];
            // What is a batch by the rules is one, whatever its messages say.
            match items(bytes).collect::<Result<Vec<_>, _>>() {
                Ok(items) if !items.is_empty() && answer.code == 0 => {
                    let offset: u64 = answer.field("queueOffset");
                    assert!(end.is_none_or(|end| end == offset), "a refused batch left something behind");
                    end = Some(offset + items.len() as u64);
                }
                _ => expect_refused(answer, ResponseCode::MessageIllegal, &["illegal"]),
            }
        }
        if let Some(end) = end {
            assert_eq!(max_offset(&mut connection, "Batches", 0), end);
        }
    }
    assert!(max_offset(&mut connection, "Batches", 0) > 0, "whole messages are taken");
    target.finish();
}

#[test]
fn properties_that_no_record_can_hold_are_refused() {
    let target = target(&[]);
    let mut connection = target.open();
    for len in [MAX_PROPERTIES_LEN - 1, MAX_PROPERTIES_LEN, MAX_PROPERTIES_LEN + 1, 40_000, 60_000] {
        let properties = format!("k\u{1}{}\u{2}", "v".repeat(len - 3));
        let answer = connection.ask(RequestCode::SendMessageV2, &send_header("Props", 0, &properties), b"x");
        expect_refused(&answer.expect("an answer"), ResponseCode::MessageIllegal, &["properties length"]);
        let mut batch = Vec::new();
        encode_item(&mut batch, BatchItem { flag: 0, body: b"fine", properties: "" });
        encode_item(&mut batch, BatchItem { flag: 0, body: b"x", properties: &properties });
        let answer = connection.ask(RequestCode::SendBatchMessage, &send_header("Props", 0, ""), &batch);
        expect_refused(&answer.expect("an answer"), ResponseCode::MessageIllegal, &["properties length"]);
    }
    assert_eq!(target.max_offset("Props", 0), 0);
    // Nothing but separators, names without values, values without names: kept or dropped, never a reason to fail.
    for properties in
        ["\u{1}", "\u{2}\u{2}\u{2}", "\u{1}\u{2}", "k", "k\u{1}", "\u{1}v", "k\u{1}v\u{1}w\u{2}"]
    {
        let answer = connection.ask(RequestCode::SendMessageV2, &send_header("Props", 0, properties), b"x");
        assert_eq!(answer.expect("an answer").code, 0);
    }
    let pulled = connection.ask(RequestCode::PullMessage, &pull_header("Props", 0, 0), &[]);
    assert_eq!(pulled.expect("an answer").records().len(), 7);
    expect_served(&mut connection);
    target.finish();
}

#[test]
fn answers_that_nobody_asked_for_are_skipped() {
    let target = target(&[]);
    for mut connection in [target.open(), target.open_namesrv()] {
        for code in [ResponseCode::Success, ResponseCode::SystemError] {
            for serialization in [Serialization::Json, Serialization::Binary] {
                let head = Head::response_to(serialization, 1, code);
                connection.push_head(&head, &[("queueOffset", "1")], b"an answer");
            }
        }
        let head = Head { code: 9_999, ..Head::request(RequestCode::HeartBeat, 42) };
        connection.push_head(&head, &(), &[]);
        connection.flush().expect("it is taken");
        let answer = connection.receive().expect("an answer");
        assert_eq!((answer.opaque, answer.code), (42, ResponseCode::RequestCodeNotSupported.code()));
    }
    target.finish();
}

#[test]
fn bodies_that_cannot_be_read_are_refused_and_the_connection_lives_on() {
    let target = target(&[]);
    let mut connection = target.open();
    let deep = format!("{{\"clientID\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let objects = "{\"consumerDataSet\":".repeat(50_000);
    let bodies: [(&str, &[u8]); 8] = [
        ("nothing", b""),
        ("text", b"hello"),
        ("a number", b"1"),
        ("half", b"{\"clientID\":\"c\",\"consumerDataSet\":["),
        ("the wrong type", b"{\"clientID\":\"c\",\"consumerDataSet\":7,\"mqSet\":7}"),
        ("not UTF-8", b"{\"clientID\":\"\xFF\xFE\",\"consumerGroup\":\"\xC3\"}"),
        ("deep arrays", deep.as_bytes()),
        ("deep objects", objects.as_bytes()),
    ];
    for (what, body) in bodies {
        for code in [
            RequestCode::HeartBeat,
            RequestCode::LockBatchMq,
            RequestCode::UnlockBatchMq,
            RequestCode::UpdateAndCreateSubscriptionGroup,
            RequestCode::CheckClientConfig,
        ] {
            let answer = connection.ask(code, &(), body).unwrap_or_else(|e| panic!("{what}: {code:?}: {e}"));
            // A member that is not one of the request's may hold anything.
            if answer.code != 0 {
                expect_refused(&answer, ResponseCode::InvalidParameter, &["body"]);
            }
            let unreadable = !["the wrong type", "not UTF-8", "deep arrays"].contains(&what);
            assert!(!unreadable || answer.code != 0, "{what} was read by {code:?}: {answer:?}");
        }
    }
    let mut namesrv = target.open_namesrv();
    let register = [
        ("brokerName", "b"),
        ("brokerAddr", "127.0.0.1:1"),
        ("clusterName", "c"),
        ("haServerAddr", "127.0.0.1:2"),
        ("brokerId", "0"),
    ];
    for compressed in ["false", "true"] {
        for (what, body) in bodies.into_iter().skip(1) {
            let fields = (&register[..], &[("compressed", compressed)][..]);
            let answer = namesrv.ask(RequestCode::RegisterBroker, &fields, body).expect("an answer");
            let may_be_read = ["the wrong type", "not UTF-8", "deep arrays"].contains(&what);
            assert!(answer.code != 0 || may_be_read, "{what}: {answer:?}");
        }
    }
    expect_served(&mut connection);
    target.finish();
}

#[test]
fn what_makes_no_sense_or_is_the_brokers_own_is_refused_in_so_many_words() {
    let target = target(&[]);
    let mut connection = target.open();
    expect_served(&mut connection);
    let end = max_offset(&mut connection, "Innocent", 0);

    let mut sql = pull_header("Innocent", 0, 0);
    sql.expression_type = Some("SQL92");
    sql.subscription = Some("a >");
    let answer = connection.ask(RequestCode::PullMessage, &sql, &[]).expect("an answer");
    expect_refused(&answer, ResponseCode::SubscriptionParseFailed, &["parse"]);
    let check = br#"{"clientId":"c","group":"g","subscriptionData":{"expressionType":"SQL92","subString":"a >","topic":"Innocent"}}"#;
    let answer = connection.ask(RequestCode::CheckClientConfig, &(), check).expect("an answer");
    expect_refused(&answer, ResponseCode::SubscriptionParseFailed, &[]);
    for timer in ["TIMER_DELAY_SEC\u{1}soon\u{2}", "TIMER_DELAY_SEC\u{1}999999999\u{2}"] {
        let answer = connection.ask(RequestCode::SendMessageV2, &send_header("Innocent", 0, timer), b"x");
        assert_ne!(answer.expect("an answer").code, ResponseCode::Success.code(), "{timer}");
    }
    for topic in ["SCHEDULE_TOPIC_XXXX", "RMQ_SYS_TRANS_HALF_TOPIC", "OFFSET_MOVED_EVENT"] {
        let answer = connection.ask(RequestCode::SendMessageV2, &send_header(topic, 0, ""), b"x");
        expect_refused(&answer.expect("an answer"), ResponseCode::NoPermission, &[topic, "forbidden"]);
        let fields = [("topic", topic), ("readQueueNums", "1"), ("writeQueueNums", "1"), ("perm", "6")];
        let answer = connection.ask(RequestCode::UpdateAndCreateTopic, &fields, &[]).expect("an answer");
        expect_refused(&answer, ResponseCode::InvalidParameter, &[topic]);
        let answer = connection.ask(RequestCode::DeleteTopicInBroker, &[("topic", topic)], &[]);
        expect_refused(&answer.expect("an answer"), ResponseCode::InvalidParameter, &[topic]);
    }
    assert_eq!(max_offset(&mut connection, "Innocent", 0), end, "nothing of it is stored");
    target.finish();
}
