//! Streams over HTTP with clients that others wrote: the npm packages `eventsource` and `ws`; and how much of the
//! server's memory streams take that nothing comes for.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use ferromq_tests::{Kind, Server, suite, toolchain};

const COUNT: usize = 20;
/// On a busy machine.
const PATIENCE: Duration = Duration::from_secs(150);

fn send(http: SocketAddr, text: &str) {
    let mut stream = TcpStream::connect(http).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let length = text.len();
    let request = format!(
        "POST /v1/topics/Streams/messages HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{text}"
    );
    stream.write_all(request.as_bytes()).expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

#[test]
fn an_event_source_and_a_web_socket_of_node_receive_and_acknowledge() {
    let dir = tempfile::Builder::new().prefix("ferromq-streams-").tempdir().expect("a directory");
    let server = suite::launch(Kind::under_test(), dir.path()).start();
    let all: BTreeSet<String> = (0..COUNT).map(|n| format!("message-{n}")).collect();
    all.iter().for_each(|text| send(server.http(), text));
    let mut command = Command::new("node");
    command.arg(toolchain::node_clients().join("streams.js")).arg(format!("http://{}", server.http()));
    command.args(["/v1/topics/Streams/groups/events", "/v1/topics/Streams/groups/socket"]);
    command.arg(COUNT.to_string()).stderr(Stdio::inherit());
    let output = command.output().expect("node starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    for way in ["events ", "socket "] {
        let came: Vec<_> =
            text.lines().filter_map(|line| line.strip_prefix(way)).map(str::to_owned).collect();
        assert_eq!(came.len(), COUNT, "each once: {came:?}");
        assert_eq!(came.into_iter().collect::<BTreeSet<_>>(), all);
    }
    server.stop();
}

fn resident_kib(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("the server runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn streams_without_messages_take_little_memory() {
    const STREAMS: usize = 5_000;
    const MOST_KIB_A_STREAM: u64 = 64;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let enough = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, enough)
        .expect("as many files as may be open");
    let dir = tempfile::Builder::new().prefix("ferromq-idle-").tempdir().expect("a directory");
    let server = suite::launch(Kind::under_test(), dir.path()).start();
    send(server.http(), "makes the topic");
    let before = resident_kib(&server);
    let mut open = Vec::with_capacity(STREAMS);
    for n in 0..STREAMS {
        let mut stream = TcpStream::connect(server.http()).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        // Of groups as there are many; the first of each has the message, and then nothing comes.
        let path = format!("/v1/topics/Streams/groups/idle-{}/events", n % 50);
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it is sent");
        let mut status = [0; 12];
        stream.read_exact(&mut status).expect("an answer");
        assert_eq!(&status, b"HTTP/1.1 200", "stream {n}");
        open.push(stream);
    }
    let after = resident_kib(&server);
    let each = (after - before) / STREAMS as u64;
    println!("{STREAMS} streams: {before} KiB before, {after} KiB after, {each} KiB each");
    send(server.http(), "and others are served");
    assert!(each < MOST_KIB_A_STREAM, "{each} KiB a stream");
    drop(open);
    server.stop();
}
