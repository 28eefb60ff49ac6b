//! What a broker is told of queues on other brokers, by NameServers that listen on real ports.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use ferromq_broker::assignment::Routes as _;
use ferromq_gateway::config::ListenConfig;
use ferromq_gateway::remoting::listen::Listeners;
use ferromq_gateway::remoting::registration::{Advertised, Registration, Timing};
use ferromq_gateway::remoting::routes::Routes;
use ferromq_model::TopicName;
use ferromq_model::config::{ConfigValue as _, Servers};
use ferromq_model::topic::{DataVersion, Permission, TopicConfig};
use ferromq_namesrv::{NameServer, NamesrvConfig};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Duration;

struct Server {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = NamesrvConfig { kv_path: dir.path().join("kv.json"), ..NamesrvConfig::default() };
        let namesrv = NameServer::open(config, Instant::now()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let listeners = Listeners::new(&ListenConfig::default(), stopped);
        let serving = tokio::spawn(async move { listeners.serve_namesrv(listener, namesrv).await });
        Self { addr, stop, serving, _dir: dir }
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        self.serving.await.unwrap();
    }
}

/// Registers a broker that has T, with as many queues, and a topic that nobody may read.
async fn register(server: &Server, name: &str, queues: u32) -> Registration {
    let advertised = Advertised {
        cluster: "c".into(),
        name: name.into(),
        id: 0,
        addr: format!("{name}:10911"),
        ha_addr: format!("{name}:10912"),
    };
    let timing = Timing { period: Duration::from_secs(3600), timeout: Duration::from_secs(3) };
    let version = DataVersion::default();
    let topics = move || {
        let mut hidden = TopicConfig::new(TopicName::new("hidden").unwrap(), 4);
        hidden.perm = Permission(Permission::WRITE);
        (version, vec![TopicConfig::new(TopicName::new("T").unwrap(), queues), hidden])
    };
    let servers = Servers::parse(&server.addr.to_string()).unwrap();
    let registration = Registration::start(&servers, advertised, timing, topics, &watch::channel(version).1);
    registration.registered().wait_for(|&count| count == 1).await.unwrap();
    registration
}

#[tokio::test]
async fn the_queues_of_all_brokers_are_told_and_kept_for_a_while() {
    let server = Server::start().await;
    let (a, b) = (register(&server, "a", 2).await, register(&server, "b", 1).await);
    // The first NameServer is not there.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let routes = Routes::new(&Servers::parse(&format!("{gone};{}", server.addr)).unwrap());
    let told = async |topic: &str| {
        let queues = routes.readable(topic).await?;
        let mut queues: Vec<_> =
            queues.iter().map(|queue| format!("{}:{}", queue.broker, queue.queue)).collect();
        queues.sort();
        Some(queues)
    };
    assert_eq!(told("T").await.unwrap(), ["a:0", "a:1", "b:0"]);
    assert_eq!(told("hidden").await.unwrap(), [""; 0]);
    assert_eq!(told("unknown").await, None);
    a.stop().await;
    b.stop().await;
    server.stop().await;
    assert_eq!(told("T").await.unwrap().len(), 3, "fresh enough");
    assert_eq!(told("other").await, None, "nobody to ask");
}

#[tokio::test]
async fn many_that_ask_at_once_ask_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let routes = Arc::new(Routes::new(&Servers::parse(&listener.local_addr().unwrap().to_string()).unwrap()));
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    // It closes each connection, which is an answer as well.
    let server = tokio::spawn(async move {
        loop {
            let _ = listener.accept().await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    let ask = || {
        let routes = routes.clone();
        async move { routes.readable("T").await }
    };
    let answers = futures_util::future::join_all((0..100).map(|_| ask())).await;
    assert!(answers.iter().all(Option::is_none));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // Nothing is not kept.
    assert_eq!(ask().await, None);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    server.abort();
}
