//! What the tests of the broker's front-end share: a broker on a machine that the test holds up, and a client that
//! speaks frames over a pipe in memory.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use ferromq_broker::members::ChannelId;
use ferromq_broker::{Broker, BrokerConfig};
use ferromq_gateway::remoting::broker::BrokerSession;
use ferromq_model::{ByteSize, Millis, Timestamp};
use ferromq_net::{Closed, ConnectionLimits, serve};
use ferromq_protocol::code::RequestCode;
use ferromq_protocol::frame::{
    Command, FrameLimits, Head, HeaderScratch, Language, Serialization, encode_with_body, frame_len,
};
use ferromq_store::host::{DiskUsage, Host};
use ferromq_store::{FlushMode, Store, StoreConfig};
use parking_lot::{Condvar, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Longer than a test keeps a gate closed, or a busy machine keeps a flush waiting.
pub const SYNC_FLUSH_TIMEOUT: Millis = Millis::secs(100);
/// When everything in these tests begins.
pub const NOW: i64 = 1_700_000_000_000;

/// A machine whose clock stands still until it is moved, and whose flushes wait while the gate is closed.
#[derive(Default)]
pub struct TestHost {
    closed: Mutex<bool>,
    /// Flushes that pass before the gate closes by itself.
    passes: Mutex<Option<u32>>,
    opened: Condvar,
    sync_fails: AtomicBool,
    /// Milliseconds since [`NOW`].
    elapsed: AtomicI64,
}

impl TestHost {
    pub fn advance(&self, span: Millis) {
        self.elapsed.fetch_add(span.0 as i64, Ordering::SeqCst);
    }

    pub fn close_gate(&self) {
        *self.closed.lock() = true;
    }

    /// Lets so many flushes pass, and closes the gate behind them.
    pub fn close_after(&self, flushes: u32) {
        *self.passes.lock() = Some(flushes);
    }

    pub fn open_gate(&self) {
        *self.passes.lock() = None;
        *self.closed.lock() = false;
        self.opened.notify_all();
    }

    pub fn fail_syncs(&self) {
        self.sync_fails.store(true, Ordering::SeqCst);
    }
}

impl Host for TestHost {
    fn now(&self) -> Timestamp {
        Timestamp(NOW + self.elapsed.load(Ordering::SeqCst))
    }

    fn disk_usage(&self, _: &Path) -> io::Result<DiskUsage> {
        Ok(DiskUsage { total: 100, available: 90 })
    }

    fn sync_data(&self, _: &File) -> io::Result<()> {
        let mut closed = self.closed.lock();
        match &mut *self.passes.lock() {
            Some(0) => *closed = true,
            Some(left) => *left -= 1,
            None => {}
        }
        while *closed {
            self.opened.wait(&mut closed);
        }
        if self.sync_fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is broken"));
        }
        Ok(())
    }

    fn allocate(&self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }
}

/// A broker under test.
pub struct Rig {
    pub broker: Broker,
    pub host: Arc<TestHost>,
    stop: watch::Sender<bool>,
    channels: AtomicU64,
    _dir: tempfile::TempDir,
}

impl Rig {
    pub fn new(flush: FlushMode) -> Self {
        Self::with(flush, |_| {})
    }

    pub fn with(flush: FlushMode, change: impl FnOnce(&mut BrokerConfig)) -> Self {
        // In memory where the machine has a directory there: nothing here is about disks.
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let host = Arc::new(TestHost::default());
        let store = StoreConfig {
            root: dir.path().to_owned(),
            log_file_size: ByteSize::mib(1),
            queue_file_size: ByteSize(2_000),
            flush,
            sync_flush_timeout: SYNC_FLUSH_TIMEOUT,
            index_slots: 64,
            index_entries: 400,
            ..StoreConfig::default()
        };
        let mut config = BrokerConfig { name: "broker-a".to_owned(), ..BrokerConfig::default() };
        change(&mut config);
        let store = Store::open_on(store, &config.delay_levels, Arc::clone(&host) as _).unwrap();
        let broker = Broker::open(config, store, "10.0.0.2:10911".parse().unwrap()).unwrap();
        Self { broker, host, stop: watch::channel(false).0, channels: AtomicU64::new(1), _dir: dir }
    }

    /// Connects a client.
    pub fn connect(&self) -> Client {
        self.connect_from("10.0.0.9:50000")
    }

    /// The same from an address.
    pub fn connect_from(&self, address: &str) -> Client {
        let (near, far) = duplex(1 << 20);
        let channel = ChannelId(self.channels.fetch_add(1, Ordering::Relaxed));
        let mut session = BrokerSession::new(self.broker.clone(), channel, address.parse().unwrap());
        let limits =
            ConnectionLimits { frame: FrameLimits::default(), in_flight: 64, idle: Duration::from_secs(120) };
        let stopped = self.stop.subscribe();
        let serving = tokio::spawn(async move { serve(far, &mut session, limits, stopped).await });
        Client {
            stream: near,
            serialization: Serialization::Json,
            version: 479,
            language: Language::Java,
            opaque: 0,
            serving,
        }
    }

    /// Ends connections as a stop of the process does.
    pub fn stop(&self) {
        self.stop.send_replace(true);
        self.broker.stop();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.host.open_gate();
        // A store that the test has broken cannot be closed cleanly.
        let _ = self.broker.store().close();
    }
}

/// One client's end of a connection.
pub struct Client {
    stream: DuplexStream,
    pub serialization: Serialization,
    pub version: i32,
    pub language: Language,
    opaque: i32,
    serving: JoinHandle<Closed>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub serialization: Serialization,
    pub code: i32,
    pub opaque: i32,
    pub flag: i32,
    pub remark: String,
    pub fields: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("(absent)", String::as_str)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// A request's frame and its number.
    pub fn frame(&mut self, code: i32, fields: &[(&str, &str)], body: &[u8], oneway: bool) -> (i32, Vec<u8>) {
        self.opaque += 1;
        let mut frame = Vec::new();
        let head = Head {
            serialization: self.serialization,
            code,
            version: self.version,
            language: self.language,
            flag: if oneway { 2 } else { 0 },
            ..Head::request(RequestCode::HeartBeat, self.opaque)
        };
        encode_with_body(&mut frame, &head, &fields, body).unwrap();
        (self.opaque, frame)
    }

    /// Sends a request; its number.
    pub async fn tell(&mut self, code: i32, fields: &[(&str, &str)], body: &[u8]) -> i32 {
        let (opaque, frame) = self.frame(code, fields, body, false);
        self.write(&frame).await;
        opaque
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends a request and reads its answer, which has to be the next frame.
    pub async fn ask(&mut self, code: i32, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        let opaque = self.tell(code, fields, body).await;
        let answer = self.read().await;
        assert_eq!((answer.opaque, answer.flag), (opaque, 1), "{answer:?}");
        answer
    }

    /// The same as a client that answers what the broker asks it meanwhile, and lets pass what it is told.
    pub async fn ask_and_answer(
        &mut self,
        code: i32,
        fields: &[(&str, impl AsRef<str>)],
        body: &[u8],
    ) -> Answer {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        let opaque = self.tell(code, &fields, body).await;
        loop {
            let frame = self.read().await;
            match frame.flag {
                0 => self.answer(&frame, 0, canned_answer(frame.code).as_bytes()).await,
                1 => {
                    assert_eq!(frame.opaque, opaque, "{frame:?}");
                    return frame;
                }
                _ => {}
            }
        }
    }

    /// Answers a question of the broker.
    pub async fn answer(&mut self, question: &Answer, code: i32, body: &[u8]) {
        let head = Head {
            serialization: self.serialization,
            code,
            version: self.version,
            flag: 1,
            ..Head::request(RequestCode::HeartBeat, question.opaque)
        };
        let mut frame = Vec::new();
        encode_with_body(&mut frame, &head, &(), body).unwrap();
        self.write(&frame).await;
    }

    /// Reads the next frame.
    pub async fn read(&mut self) -> Answer {
        self.try_read().await.expect("the connection ended")
    }

    /// Reads up to the next question of the broker.
    pub async fn question(&mut self) -> Answer {
        loop {
            let frame = self.read().await;
            if frame.flag == 0 {
                return frame;
            }
        }
    }

    /// Reads up to the next thing with this code that the broker tells.
    pub async fn told(&mut self, code: RequestCode) -> Answer {
        loop {
            let frame = self.read().await;
            if (frame.flag, frame.code) == (2, code.code()) {
                return frame;
            }
        }
    }

    /// Reads the next frame, if the connection does not end.
    pub async fn try_read(&mut self) -> Option<Answer> {
        let mut frame = vec![0; 4];
        self.stream.read_exact(&mut frame).await.ok()?;
        let len = u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize;
        frame.resize(4 + len, 0);
        self.stream.read_exact(&mut frame[4..]).await.ok()?;
        assert_eq!(frame_len(&frame, &FrameLimits::default()).unwrap(), Some(frame.len()));
        let mut scratch = HeaderScratch::new();
        let command = Command::decode(&frame, &mut scratch).unwrap();
        let text = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Some(Answer {
            serialization: command.serialization,
            code: command.code,
            opaque: command.opaque,
            flag: command.flag,
            remark: command.remark.unwrap_or_default().to_owned(),
            fields: command.fields.iter().map(text).collect(),
            body: command.body.to_owned(),
        })
    }

    /// Ends the connection; why the other side thinks that it did.
    pub async fn close(self) -> Closed {
        drop(self.stream);
        self.serving.await.unwrap()
    }
}

/// What a client says when the broker asks.
pub fn canned_answer(question: i32) -> &'static str {
    match RequestCode::from_i32(question) {
        Some(RequestCode::GetConsumerStatusFromClient) => {
            r#"{"messageQueueTable":{{"brokerName":"broker-a","queueId":0,"topic":"T"}:7}}"#
        }
        Some(RequestCode::GetConsumerRunningInfo) => r#"{"properties":{"PROP_CONSUMEORDERLY":"false"}}"#,
        Some(RequestCode::ConsumeMessageDirectly) => {
            r#"{"autoCommit":true,"consumeResult":"CR_SUCCESS","order":false,"spentTimeMills":3}"#
        }
        _ => "",
    }
}

/// The fields of a send, with their letters.
pub fn send_fields<'a>(topic: &'a str, queue: &'a str, properties: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("a", "P"),
        ("b", topic),
        ("c", "TBW102"),
        ("d", "4"),
        ("e", queue),
        ("f", "0"),
        ("g", "1699999999000"),
        ("h", "0"),
        ("i", properties),
        ("j", "0"),
        ("k", "false"),
        ("m", "false"),
    ]
}

/// The same with the names of the older request.
pub fn long_send_fields<'a>(topic: &'a str, queue: &'a str, properties: &'a str) -> Vec<(&'a str, &'a str)> {
    let long = |letter| match letter {
        "a" => "producerGroup",
        "b" => "topic",
        "c" => "defaultTopic",
        "d" => "defaultTopicQueueNums",
        "e" => "queueId",
        "f" => "sysFlag",
        "g" => "bornTimestamp",
        "h" => "flag",
        "i" => "properties",
        "j" => "reconsumeTimes",
        "k" => "unitMode",
        _ => "batch",
    };
    send_fields(topic, queue, properties).into_iter().map(|(name, value)| (long(name), value)).collect()
}

/// The fields of a pull that brings its expression.
pub fn pull_fields<'a>(
    topic: &'a str,
    from: &'a str,
    flags: &'a str,
    wait: &'a str,
) -> Vec<(&'a str, &'a str)> {
    vec![
        ("consumerGroup", "G"),
        ("topic", topic),
        ("queueId", "0"),
        ("queueOffset", from),
        ("maxMsgNums", "32"),
        ("sysFlag", flags),
        ("commitOffset", "0"),
        ("suspendTimeoutMillis", wait),
        ("subscription", "*"),
        ("subVersion", "1"),
        ("expressionType", "TAG"),
    ]
}

/// A heartbeat of a client that consumes `topic` in the group G.
pub fn heartbeat(client: &str, topic: &str) -> String {
    format!(
        r#"{{"clientID":"{client}","consumerDataSet":[{{"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","consumeType":"CONSUME_PASSIVELY","groupName":"G","messageModel":"CLUSTERING","subscriptionDataSet":[{{"classFilterMode":false,"codeSet":[],"expressionType":"TAG","subString":"*","subVersion":1,"tagsSet":[],"topic":"{topic}"}}],"unitMode":false}}],"heartbeatFingerprint":0,"producerDataSet":[{{"groupName":"P"}}],"withoutSub":false}}"#
    )
}
