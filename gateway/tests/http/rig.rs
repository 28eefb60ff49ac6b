//! A broker that answers HTTP on a free port, and a client that writes requests by hand: what is under test must not be
//! what tests it.

#![allow(dead_code, unreachable_pub, reason = "each file uses a part of it")]

use std::net::SocketAddr;
use std::sync::Arc;

use ferromq_broker::Broker;
use ferromq_gateway::config::HttpConfig;
use ferromq_gateway::credentials::Credentials;
use ferromq_gateway::http::{Api, listen};
use ferromq_gateway::metrics::Sources;
use ferromq_store::FlushMode;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::Rig;

/// A served API.
pub struct Http {
    pub rig: Rig,
    pub address: SocketAddr,
    /// How many NameServers know the broker.
    pub registered: watch::Sender<usize>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

fn sources(rig: &Rig, registered: &watch::Sender<usize>, nameservers: usize) -> Sources {
    let (broker, registered) = (rig.broker.clone(), registered.subscribe());
    Sources { broker, mqtt: None, traffic: Arc::default(), registered, nameservers }
}

impl Http {
    /// One with default settings.
    pub async fn start() -> Self {
        Self::with(FlushMode::Async, |_| {}, None).await
    }

    pub async fn with(
        flush: FlushMode,
        change: impl FnOnce(&mut HttpConfig),
        credentials: Option<Credentials>,
    ) -> Self {
        Self::among(0, flush, change, credentials).await
    }

    /// One of a broker that so many NameServers are to know.
    pub async fn among(
        nameservers: usize,
        flush: FlushMode,
        change: impl FnOnce(&mut HttpConfig),
        credentials: Option<Credentials>,
    ) -> Self {
        let rig = Rig::new(flush);
        let mut config = HttpConfig::default();
        change(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let registered = watch::channel(0).0;
        let api = Api::new(sources(&rig, &registered, nameservers), config, credentials);
        let serving = tokio::spawn(listen::serve(listener, api, stopped));
        Self { rig, address, registered, stop, serving }
    }

    pub fn broker(&self) -> &Broker {
        &self.rig.broker
    }

    /// Serves the same broker anew, as another process would: what the API kept in memory is gone.
    pub async fn restart(mut self) -> Self {
        self.stop.send_replace(true);
        self.serving.await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let api = Api::new(sources(&self.rig, &self.registered, 0), HttpConfig::default(), None);
        self.serving = tokio::spawn(listen::serve(listener, api, stopped));
        self.stop = stop;
        self
    }

    pub async fn connect(&self) -> Connection {
        Connection(BufReader::new(TcpStream::connect(self.address).await.unwrap()))
    }

    /// One request on a connection of its own.
    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.connect().await.ask(method, path, headers, body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"").await
    }

    /// Sends JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.json("POST", path, body).await
    }

    pub async fn json(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.ask(method, path, &[("Content-Type", "application/json")], body.to_string().as_bytes()).await
    }

    /// Says stop, and waits until every connection has ended.
    pub async fn stop(self) {
        self.rig.stop();
        self.stop.send_replace(true);
        self.serving.await.unwrap();
    }
}

/// One connection.
pub struct Connection(pub BufReader<TcpStream>);

impl Connection {
    pub async fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.begin(method, path, headers, Some(body.len())).await;
        self.0.get_mut().write_all(body).await.unwrap();
        self.read().await
    }

    /// Writes a request's head. Without a length, its body comes in chunks.
    pub async fn begin(&mut self, method: &str, path: &str, headers: &[(&str, &str)], length: Option<usize>) {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str("Host: localhost\r\n");
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match length {
            Some(length) => head.push_str(&format!("Content-Length: {length}\r\n\r\n")),
            None => head.push_str("Transfer-Encoding: chunked\r\n\r\n"),
        }
        self.0.get_mut().write_all(head.as_bytes()).await.unwrap();
    }

    /// Writes one chunk of a body; an empty one ends it.
    pub async fn chunk(&mut self, data: &[u8]) {
        let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
        chunk.extend_from_slice(data);
        chunk.extend_from_slice(b"\r\n");
        self.0.get_mut().write_all(&chunk).await.unwrap();
    }

    /// Reads one whole answer.
    pub async fn read(&mut self) -> Answer {
        let mut answer = self.read_head().await;
        if let Some(length) = answer.header("content-length") {
            answer.body = vec![0; length.parse().unwrap()];
            self.0.read_exact(&mut answer.body).await.unwrap();
        } else if answer.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.read_chunk().await {
                answer.body.extend(chunk);
            }
        }
        answer
    }

    pub async fn read_head(&mut self) -> Answer {
        let status = self.line().await;
        let status =
            status.split(' ').nth(1).unwrap_or_else(|| panic!("no status: {status:?}")).parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line().await;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Answer { status, headers, body: Vec::new() }
    }

    /// The next chunk of a body; `None` at its end.
    pub async fn read_chunk(&mut self) -> Option<Vec<u8>> {
        let length = usize::from_str_radix(&self.line().await, 16).unwrap();
        let mut chunk = vec![0; length + 2];
        self.0.read_exact(&mut chunk).await.unwrap();
        chunk.truncate(length);
        (length > 0).then_some(chunk)
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// A body of lines, each JSON.
    pub fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Checks that this is a refusal of this code, and returns its detail.
    pub fn refused(&self, code: &str) -> String {
        let problem = self.json();
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(
            (problem["code"].as_str(), problem["status"].as_u64()),
            (Some(code), Some(self.status.into()))
        );
        assert_eq!(problem["requestId"].as_str(), self.header("x-request-id"));
        assert!(!problem["action"].as_str().unwrap().is_empty());
        problem["detail"].as_str().unwrap().to_owned()
    }
}
