//! A server for tests of this crate: answers frames as the test says, on a port of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ferromq_model::message::SysFlag;
use ferromq_model::record::{NewRecord, patch};
use ferromq_model::{PhysicalOffset, QueueId, QueueOffset, Timestamp};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::frame::{Command, FrameLimits, Head, HeaderScratch, encode_with_body, frame_len};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::client::Client;
use crate::config::ClientBuilder;

/// As long as nothing but a broken client takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A client that takes no busy machine for a broken server.
pub(crate) fn patient(name_servers: &str) -> ClientBuilder {
    Client::builder(name_servers).call_timeout(PATIENCE).connect_timeout(PATIENCE)
}

/// Names and values.
pub(crate) type Fields = Vec<(&'static str, String)>;

/// What the server does with a frame.
pub(crate) enum Reaction {
    /// Answers with this code, these fields and this body.
    Answer(ResponseCode, Fields, Vec<u8>),
    /// Answers success, and asks these things, one way: a code, fields and a body each.
    Ask(Vec<(RequestCode, Fields, Vec<u8>)>),
    /// Says nothing.
    Silence,
    /// Ends the connection.
    Close,
}

impl Reaction {
    /// Success, with nothing else.
    pub(crate) fn ok() -> Self {
        Self::Answer(ResponseCode::Success, Vec::new(), Vec::new())
    }
}

/// A stored message, as brokers hand it out.
pub(crate) fn record(topic: &str, queue: u32, offset: u64, body: &[u8], properties: &[&str]) -> Vec<u8> {
    let host = "127.0.0.1:10911".parse().expect("an address");
    let new = NewRecord {
        topic,
        queue_id: QueueId(queue),
        flag: 0,
        sys_flag: SysFlag(0),
        born: Timestamp(1),
        born_host: host,
        store_host: host,
        reconsume_times: 0,
        prepared_offset: PhysicalOffset(0),
        body,
        properties,
    };
    let mut bytes = Vec::new();
    new.encode(&mut bytes);
    patch(&mut bytes, QueueOffset(offset), PhysicalOffset(offset), Timestamp(2));
    bytes
}

type React = dyn Fn(&Command<'_>) -> Reaction + Send + Sync;

/// Answers until it is dropped.
pub(crate) struct FakeServer {
    pub(crate) addr: SocketAddr,
    _tasks: JoinSet<()>,
}

impl FakeServer {
    /// Listens, and lets `react` say what to do with each frame.
    pub(crate) async fn start(react: impl Fn(&Command<'_>) -> Reaction + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let react: Arc<React> = Arc::new(react);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&react)));
            }
        });
        Self { addr, _tasks: tasks }
    }

    /// A NameServer that knows one broker, `a` at `broker`, with so many queues of every topic in `topics`; of any topic,
    /// without.
    pub(crate) async fn naming(broker: &Self, queues: u32, topics: &'static [&'static str]) -> Self {
        let addr = broker.address();
        let route = json!({
            "queueDatas": [{
                "brokerName": "a", "readQueueNums": queues, "writeQueueNums": queues, "perm": 6, "topicSysFlag": 0,
            }],
            "brokerDatas": [{"cluster": "c", "brokerName": "a", "brokerAddrs": {"0": &*addr}}],
            "filterServerTable": {},
        });
        let route = route.to_string().into_bytes();
        Self::start(move |command| {
            let topic = command.fields.find("topic").unwrap_or_default();
            if topics.is_empty() || topics.contains(&topic) {
                Reaction::Answer(ResponseCode::Success, Vec::new(), route.clone())
            } else {
                Reaction::Answer(ResponseCode::TopicNotExist, Vec::new(), Vec::new())
            }
        })
        .await
    }

    /// The same, encrypted.
    pub(crate) async fn start_tls(
        config: ServerConfig,
        react: impl Fn(&Command<'_>) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let react: Arc<React> = Arc::new(react);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, react) = (acceptor.clone(), Arc::clone(&react));
                connections.spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, react).await;
                    }
                });
            }
        });
        Self { addr, _tasks: tasks }
    }

    /// As clients write it.
    pub(crate) fn address(&self) -> Arc<str> {
        self.addr.to_string().into()
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, react: Arc<React>) {
    let mut received = Vec::new();
    let mut scratch = HeaderScratch::new();
    loop {
        while let Ok(Some(len)) = frame_len(&received, &FrameLimits::default()) {
            let frame: Vec<u8> = received.drain(..len).collect();
            let mut out = Vec::new();
            {
                let command = Command::decode(&frame, &mut scratch).expect("clients write whole frames");
                match react(&command) {
                    Reaction::Answer(code, fields, body) if !command.is_oneway() => {
                        let head = Head::response(&command, code).with_remark("as the test says");
                        encode_with_body(&mut out, &head, &fields[..], &body).expect("it fits");
                    }
                    Reaction::Ask(questions) => {
                        let head = Head::response(&command, ResponseCode::Success);
                        encode_with_body(&mut out, &head, &(), &[]).expect("it fits");
                        for (code, fields, body) in questions {
                            let head = Head::request(code, 0).oneway();
                            encode_with_body(&mut out, &head, &fields[..], &body).expect("it fits");
                        }
                    }
                    Reaction::Answer(..) | Reaction::Silence => {}
                    Reaction::Close => return,
                }
            }
            if stream.write_all(&out).await.is_err() {
                return;
            }
        }
        match stream.read_buf(&mut received).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}
