//! What the engine's tests share: a broker over a small store, on a machine whose clock the test moves.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ferromq_broker::members::{ChannelId, ClientInfo, ClientLink, Consumer, Heartbeat, Peer, Subscription};
use ferromq_broker::send::{Send, SendBatch, SendError, Ticket};
use ferromq_broker::{Broker, BrokerConfig};
use ferromq_model::filter::MessageFilter;
use ferromq_model::light;
use ferromq_model::message::{SysFlag, TagsCode, find_property};
use ferromq_model::record::Record;
use ferromq_model::subscription::{ConsumeFromWhere, ConsumeType, MessageModel};
use ferromq_model::{
    ByteSize, GroupName, Millis, PhysicalOffset, QueueId, QueueOffset, Timestamp, TopicName,
};
use ferromq_store::host::{DiskUsage, Host};
use ferromq_store::{FlushMode, Placed, Read, ReadLimit, Store, StoreConfig};

/// A machine with a clock that stands still until it is moved.
pub struct TestHost {
    clock: AtomicI64,
}

impl TestHost {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { clock: AtomicI64::new(1_700_000_000_000) })
    }

    pub fn advance(&self, span: Millis) {
        self.clock.fetch_add(span.0 as i64, Ordering::SeqCst);
    }
}

impl TestHost {
    pub fn set_back(&self, span: Millis) {
        self.clock.fetch_sub(span.0 as i64, Ordering::SeqCst);
    }
}

impl Host for TestHost {
    fn now(&self) -> Timestamp {
        Timestamp(self.clock.load(Ordering::SeqCst))
    }

    fn disk_usage(&self, _: &Path) -> io::Result<DiskUsage> {
        Ok(DiskUsage { total: 100, available: 90 })
    }

    fn sync_data(&self, _: &File) -> io::Result<()> {
        Ok(())
    }

    fn allocate(&self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }
}

/// A broker under test. Its background tasks run only where a test starts them.
pub struct Rig {
    pub broker: Broker,
    pub host: Arc<TestHost>,
    pub dir: tempfile::TempDir,
    config: BrokerConfig,
    change_store: fn(&mut StoreConfig),
}

impl Rig {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut BrokerConfig)) -> Self {
        Self::with_store(change, |_| {})
    }

    /// With other settings of broker and store.
    pub fn with_store(change: impl FnOnce(&mut BrokerConfig), change_store: fn(&mut StoreConfig)) -> Self {
        let mut config = BrokerConfig { name: "broker-a".to_owned(), ..BrokerConfig::default() };
        change(&mut config);
        let host = TestHost::new();
        let dir = tempfile::tempdir().unwrap();
        Self { broker: open(&config, &host, dir.path(), change_store), host, dir, config, change_store }
    }

    /// Stops the broker and starts it again.
    pub fn restart(self) -> Self {
        self.restart_after(|_| {})
    }

    /// The same with other settings.
    pub fn restart_with(mut self, change: impl FnOnce(&mut BrokerConfig)) -> Self {
        change(&mut self.config);
        self.restart()
    }

    /// The same with something done to the store's directory in between.
    pub fn restart_after(self, change: impl FnOnce(&Path)) -> Self {
        self.broker.stop();
        self.broker.save_progress();
        self.broker.store().close().unwrap();
        let Self { broker, host, dir, config, change_store } = self;
        drop(broker);
        change(dir.path());
        Self { broker: open(&config, &host, dir.path(), change_store), host, dir, config, change_store }
    }

    /// Kills the process, and starts it again: on the files as they are now.
    pub fn crash(self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy(self.dir.path(), dir.path());
        self.broker.stop();
        let Self { broker, host, dir: _before, config, change_store } = self;
        broker.store().close().unwrap();
        Self { broker: open(&config, &host, dir.path(), change_store), host, dir, config, change_store }
    }

    /// Sends one message, or batch, by itself.
    pub fn send(&self, send: &Send<'_>) -> Result<(Ticket, Vec<Placed>), SendError> {
        let mut sends = SendBatch::new();
        let ticket = self.broker.prepare(&mut sends, send)?;
        self.broker.commit(&mut sends)?;
        Ok((ticket, sends.placed(ticket).to_vec()))
    }

    /// Sends a message that must be taken; where it lies.
    pub fn sent(&self, send: &Send<'_>) -> Placed {
        self.send(send).unwrap().1[0]
    }

    /// All messages of a queue.
    pub fn messages(&self, topic: &str, queue: u32) -> Vec<Message> {
        let Some(queue) = self.broker.store().find_queue(topic, QueueId(queue)) else { return Vec::new() };
        let mut messages = Vec::new();
        let mut from = queue.min();
        while from < queue.max() {
            let limit = ReadLimit { messages: u32::MAX, bytes: usize::MAX };
            match self.broker.store().read(&queue, from, limit, &MessageFilter::All).unwrap() {
                Read::Found(found) => {
                    for piece in &found.records {
                        let mut rest = &piece[..];
                        while !rest.is_empty() {
                            let record = Record::decode(rest).unwrap();
                            record.verify().unwrap();
                            rest = &rest[record.len..];
                            // In a light queue the record's own place is not its place there.
                            let entry = (from.0..found.next.0).map(QueueOffset);
                            let entry = entry
                                .filter(|&at| queue.physical(at) == Some(record.physical_offset))
                                .find_map(|at| queue.tags_code(at));
                            let original = light::original(&record).unwrap();
                            messages.push(Message::of(&original, entry.unwrap()));
                        }
                    }
                    from = found.next;
                }
                Read::NoMatch { next } => from = next,
                other => panic!("{other:?}"),
            }
        }
        messages
    }

    /// Lets a consumer of `group` that subscribes to all of `topics` join.
    pub fn join(&self, group: &str, client: &str, topics: &[(&str, &str)]) -> Peer {
        let peer = peer(client.len() as u64);
        self.broker.heartbeat(&peer, heartbeat(group, client, topics));
        peer
    }
}

/// A broker of its own over the store in `root`.
pub fn broker_at(root: &Path, host: &Arc<TestHost>, change_store: fn(&mut StoreConfig)) -> Broker {
    let config = BrokerConfig { name: "broker-a".to_owned(), ..BrokerConfig::default() };
    open(&config, host, root, change_store)
}

fn open(
    config: &BrokerConfig,
    host: &Arc<TestHost>,
    root: &Path,
    change_store: fn(&mut StoreConfig),
) -> Broker {
    let mut store = StoreConfig {
        root: root.to_owned(),
        log_file_size: ByteSize::mib(1),
        queue_file_size: ByteSize(2_000),
        flush: FlushMode::Async,
        flush_interval: Millis(1),
        flush_thorough_interval: Millis(1),
        max_message_size: ByteSize::kib(256),
        index_slots: 64,
        index_entries: 400,
        ..StoreConfig::default()
    };
    change_store(&mut store);
    let store = Store::open_on(store, &config.delay_levels, Arc::clone(host) as _).unwrap();
    Broker::open(config.clone(), store, "10.0.0.2:10911".parse().unwrap()).unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        // The store's threads make and rename files meanwhile.
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else if let Err(error) = std::fs::copy(entry.path(), target) {
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
        }
    }
}

struct Deaf;

impl ClientLink for Deaf {
    fn members_changed(&self, _: &GroupName) {}
}

pub fn peer(channel: u64) -> Peer {
    let link: Arc<dyn ClientLink> = Arc::new(Deaf);
    Peer { channel: ChannelId(channel), address: "10.0.0.9:50000".parse().unwrap(), link }
}

pub fn heartbeat(group: &str, client: &str, topics: &[(&str, &str)]) -> Heartbeat {
    let subscription = |&(topic, expression): &(&str, &str)| Subscription {
        topic: TopicName::new(topic).unwrap(),
        expression: expression.to_owned(),
        expression_type: "TAG".to_owned(),
        filter: Ok(MessageFilter::tags(expression)),
        version: 1,
    };
    Heartbeat {
        client: ClientInfo { id: client.to_owned(), language: "JAVA".to_owned(), version: 479 },
        producers: vec![],
        consumers: vec![Consumer {
            group: GroupName::new(group).unwrap(),
            consume_type: ConsumeType::Passively,
            model: MessageModel::Clustering,
            from: ConsumeFromWhere::LastOffset,
            subscriptions: Some(topics.iter().map(subscription).collect()),
        }],
    }
}

/// A plain message for queue 0.
pub fn message<'a>(topic: &'a str, body: &'a str) -> Send<'a> {
    Send {
        topic,
        default_topic: "TBW102",
        default_queues: 4,
        queue: Some(QueueId(0)),
        sharding_key: None,
        sys_flag: SysFlag(0),
        flag: 0,
        born: Timestamp(1_699_999_999_000),
        born_host: "10.0.0.9:50000".parse().unwrap(),
        properties: "UNIQ_KEY\x010A0000090001\x02",
        reconsume_times: 0,
        max_reconsume_times: None,
        unit_mode: false,
        is_batch: false,
        body: body.as_bytes(),
    }
}

/// A property string.
pub fn properties(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}\x01{value}\x02")).collect()
}

/// One message of a batch, as the body of a batch has it.
pub fn batch_item(body: &str, pairs: &[(&str, &str)]) -> Vec<u8> {
    let properties = properties(pairs);
    let len = 22 + body.len() + properties.len();
    let mut item = (len as u32).to_be_bytes().to_vec();
    item.extend_from_slice(&[0; 12]); // magic, checksum and flag, which brokers fill in
    item.extend_from_slice(&(body.len() as u32).to_be_bytes());
    item.extend_from_slice(body.as_bytes());
    item.extend_from_slice(&(properties.len() as u16).to_be_bytes());
    item.extend_from_slice(properties.as_bytes());
    item
}

/// A stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub queue: u32,
    pub at: QueueOffset,
    pub physical: PhysicalOffset,
    pub body: String,
    pub properties: String,
    pub sys_flag: i32,
    pub reconsume_times: i32,
    pub born: Timestamp,
    pub tags: TagsCode,
}

impl Message {
    fn of(record: &Record<'_>, tags: TagsCode) -> Self {
        Self {
            topic: record.topic.to_owned(),
            queue: record.queue_id.0,
            at: record.queue_offset,
            physical: record.physical_offset,
            body: String::from_utf8_lossy(record.body).into_owned(),
            properties: record.properties.to_owned(),
            sys_flag: record.sys_flag.0,
            reconsume_times: record.reconsume_times,
            born: record.born,
            tags,
        }
    }

    pub fn property(&self, name: &str) -> Option<&str> {
        find_property(&self.properties, name)
    }
}

/// What the messages say.
pub fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body.as_str()).collect()
}
