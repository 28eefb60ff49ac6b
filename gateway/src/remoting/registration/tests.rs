use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use ferromq_model::Timestamp;
use ferromq_model::config::ConfigValue as _;
use ferromq_namesrv::{ChannelId, NameServer, NamesrvConfig, RouteError};
use ferromq_protocol::frame::{Command, FrameLimits, HeaderScratch, frame_len};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::remoting::namesrv::NamesrvFront;

/// Long enough that no test waits for it: what happens before was caused by something else.
const NEVER: Duration = Duration::from_secs(3_600);
/// No test should take this long; one that does has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// A NameServer that listens on a port of its own, and counts what it is sent.
struct Server {
    addr: SocketAddr,
    namesrv: NameServer,
    seen: Arc<watch::Sender<Seen>>,
    tasks: JoinSet<()>,
    _dir: tempfile::TempDir,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    connections: u64,
    open: u64,
    /// How many topics each registration had.
    registrations: Vec<usize>,
    goodbyes: u64,
}

impl Server {
    async fn start() -> Self {
        Self::at(([127, 0, 0, 1], 0).into()).await
    }

    async fn at(addr: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = NamesrvConfig { kv_path: dir.path().join("kv.json"), ..NamesrvConfig::default() };
        let namesrv = NameServer::open(config, std::time::Instant::now()).unwrap();
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::new(watch::channel(Seen::default()).0);
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, NamesrvFront { namesrv: namesrv.clone() }, seen.clone()));
        Self { addr, namesrv, seen, tasks, _dir: dir }
    }

    /// Waits until what was seen is as it should be.
    async fn sees(&self, what: &str, wanted: impl Fn(&Seen) -> bool) -> Seen {
        let mut seen = self.seen.subscribe();
        match timeout(PATIENCE, seen.wait_for(&wanted)).await {
            Ok(seen) => seen.unwrap().clone(),
            Err(_) => panic!("waited in vain for {what}: {:?}", self.seen.borrow()),
        }
    }

    async fn registered(&self, times: usize) -> Vec<usize> {
        self.sees(&format!("{times} registrations"), |seen| seen.registrations.len() >= times)
            .await
            .registrations
    }

    fn routes(&self, topic: &str) -> bool {
        match self.namesrv.route(topic, None, std::time::Instant::now()) {
            Ok(route) => {
                assert_eq!(&*route.brokers[0].addrs[&ferromq_namesrv::BrokerId::MASTER], "127.0.0.1:10911");
                true
            }
            Err(RouteError::UnknownTopic) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// Closes the port and all connections, and waits until they are.
    async fn kill(mut self) -> SocketAddr {
        self.tasks.shutdown().await;
        self.addr
    }
}

async fn serve(listener: TcpListener, front: NamesrvFront, seen: Arc<watch::Sender<Seen>>) {
    static CHANNELS: AtomicU64 = AtomicU64::new(1);
    // Connections end with the listener: aborting this task drops them.
    let mut connections = JoinSet::new();
    loop {
        let (stream, peer) = listener.accept().await.unwrap();
        let channel = ChannelId(CHANNELS.fetch_add(1, Ordering::Relaxed));
        let (front, seen) = (front.clone(), seen.clone());
        seen.send_modify(|seen| (seen.connections, seen.open) = (seen.connections + 1, seen.open + 1));
        connections.spawn(async move {
            answer(stream, peer, channel, &front, &seen).await;
            front.namesrv.channel_closed(channel);
            seen.send_modify(|seen| seen.open -= 1);
        });
    }
}

async fn answer(
    mut stream: TcpStream,
    peer: SocketAddr,
    channel: ChannelId,
    front: &NamesrvFront,
    seen: &watch::Sender<Seen>,
) {
    let mut received = BytesMut::new();
    let mut scratch = HeaderScratch::new();
    while stream.read_buf(&mut received).await.is_ok_and(|len| len > 0) {
        while let Some(len) = frame_len(&received, &FrameLimits::default()).unwrap() {
            let frame = received.split_to(len);
            let request = Command::decode(&frame, &mut scratch).unwrap();
            let reply = front.handle(channel, peer, &request);
            let mut out = Vec::new();
            reply.encode(request.serialization, request.opaque, &mut out);
            stream.write_all(&out).await.unwrap();
            seen.send_modify(|seen| match request.request_code() {
                Some(RequestCode::RegisterBroker) => {
                    let body = RegisterBrokerBody::read(request.body, false, request.version).unwrap();
                    let topics = body.topic_config_serialize_wrapper.topic_config_table.len();
                    seen.registrations.push(topics);
                }
                Some(RequestCode::UnregisterBroker) => seen.goodbyes += 1,
                other => panic!("{other:?}"),
            });
        }
    }
}

/// A broker's table of topics.
#[derive(Clone)]
struct Topics(Arc<watch::Sender<(DataVersion, Vec<TopicConfig>)>>, Arc<watch::Sender<DataVersion>>);

impl Topics {
    fn new(names: &[&str]) -> Self {
        let topics = Self(Arc::default(), Arc::default());
        topics.change(|table| table.extend(names.iter().map(|name| topic(name))));
        topics
    }

    fn change(&self, change: impl FnOnce(&mut Vec<TopicConfig>)) {
        self.0.send_modify(|(version, topics)| {
            change(topics);
            version.bump(Timestamp(1));
        });
        self.1.send_replace(self.0.borrow().0);
    }

    fn register_with(&self, servers: &str, period: Duration) -> Registration {
        let advertised = Advertised {
            cluster: "C".into(),
            name: "broker-a".into(),
            id: 0,
            addr: "127.0.0.1:10911".into(),
            ha_addr: "127.0.0.1:10912".into(),
        };
        // Whoever answers late on a busy machine is not asked twice.
        let timing = Timing { period, timeout: NEVER };
        let table = self.0.clone();
        let servers = Servers::parse(servers).unwrap();
        Registration::start(&servers, advertised, timing, move || table.borrow().clone(), &self.1.subscribe())
    }
}

fn topic(name: &str) -> TopicConfig {
    TopicConfig::new(TopicName::new(name).unwrap(), 4)
}

#[tokio::test]
async fn every_name_server_is_told_at_the_start_and_again_every_period() {
    let (a, b) = (Server::start().await, Server::start().await);
    let topics = Topics::new(&["A", "B"]);
    let servers = format!("localhost:{};{}", a.addr.port(), b.addr);
    let registration = topics.register_with(&servers, Duration::from_millis(20));
    assert_eq!(a.registered(3).await[..3], [2, 2, 2]);
    assert_eq!(b.registered(3).await[..3], [2, 2, 2]);
    assert!(a.routes("A") && b.routes("B"));
    assert_eq!(a.seen.borrow().connections, 1);
    registration.stop().await;
}

#[tokio::test]
async fn a_changed_topic_is_told_at_once_and_alone() {
    let server = Server::start().await;
    let topics = Topics::new(&["A", "B"]);
    let registration = topics.register_with(&server.addr.to_string(), NEVER);
    server.registered(1).await;
    topics.change(|table| table.push(topic("C")));
    assert_eq!(server.registered(2).await, [2, 1]);
    assert!(server.routes("C"));
    topics.change(|table| table[0].write_queue_nums = 9);
    assert_eq!(server.registered(3).await, [2, 1, 1]);
    topics.change(|table| {
        table.remove(0);
    });
    assert_eq!(server.registered(4).await, [2, 1, 1, 2], "a deleted topic shows only in all that are left");
    registration.stop().await;
}

#[tokio::test]
async fn a_change_that_a_name_server_refuses_is_told_with_everything() {
    let server = Server::start().await;
    let topics = Topics::new(&["A", "B"]);
    let registration = topics.register_with(&server.addr.to_string(), NEVER);
    server.registered(1).await;
    // It forgot the broker, though the connection stands.
    server.namesrv.scan(std::time::Instant::now() + Duration::from_secs(1_000));
    topics.change(|table| table.push(topic("C")));
    assert_eq!(server.registered(3).await, [2, 1, 3]);
    assert!(server.routes("A") && server.routes("C"));
    registration.stop().await;
}

#[tokio::test]
async fn a_name_server_that_is_down_disturbs_no_other() {
    let server = Server::start().await;
    let down = Server::start().await.kill().await;
    // Accepts and never answers.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let topics = Topics::new(&["A", "B"]);
    let servers = format!("{down};{};no-such-host.invalid:9876;{}", mute.local_addr().unwrap(), server.addr);
    let registration = topics.register_with(&servers, NEVER);
    server.registered(1).await;
    topics.change(|table| table.push(topic("C")));
    assert_eq!(server.registered(2).await, [2, 1]);
    let stopped = timeout(PATIENCE, registration.stop()).await;
    assert!(stopped.is_ok(), "a stop waits for nobody who does not answer");
}

#[tokio::test]
async fn a_name_server_that_restarts_knows_the_broker_long_before_the_next_period() {
    let server = Server::start().await;
    let topics = Topics::new(&["A", "B"]);
    let registration = topics.register_with(&server.addr.to_string(), NEVER);
    let mut known = registration.registered();
    timeout(PATIENCE, known.wait_for(|servers| *servers == 1)).await.unwrap().unwrap();
    let addr = server.kill().await;
    timeout(PATIENCE, known.wait_for(|servers| *servers == 0)).await.unwrap().unwrap();
    let server = Server::at(addr).await;
    assert_eq!(server.registered(1).await, [2]);
    assert!(server.routes("A"));
    registration.stop().await;
}

#[tokio::test]
async fn a_stop_says_goodbye_before_it_closes() {
    let server = Server::start().await;
    let topics = Topics::new(&["A", "B"]);
    let registration = topics.register_with(&server.addr.to_string(), NEVER);
    timeout(PATIENCE, registration.registered().wait_for(|servers| *servers == 1)).await.unwrap().unwrap();
    registration.stop().await;
    let seen = server.sees("the connection to close", |seen| seen.open == 0).await;
    assert_eq!((seen.goodbyes, server.routes("A")), (1, false));
}

#[tokio::test]
async fn without_a_name_server_there_is_nothing_to_wait_for() {
    let registration = Topics::new(&["A"]).register_with("", NEVER);
    timeout(PATIENCE, registration.stop()).await.unwrap();
}

#[test]
fn only_changed_topics_count_as_changed_and_a_deletion_concerns_all() {
    let (a, b) = (topic("A"), topic("B"));
    let wider = TopicConfig { read_queue_nums: 9, ..b.clone() };
    let told = [a.clone(), b.clone()];
    assert_eq!(changed_topics(&told, &[b.clone(), a.clone()]), Some(vec![]));
    assert_eq!(changed_topics(&told, &[a.clone(), wider.clone(), topic("C")]), Some(vec![wider, topic("C")]));
    assert_eq!(changed_topics(&told, &[a]), None);
}
