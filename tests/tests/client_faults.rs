//! Our client while servers and networks fail: what was acknowledged is consumed, and both sides go on by themselves.
//!
//! Each test sends and consumes all the time, lets something fail, and mends it. It prints how long it took until sends
//! and deliveries went on after that. `FERROMQ_INTEROP_SERVER=official` runs the same against the official servers.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ferromq_client::{Client, ConsumeFrom, Filter, Message, Outcome, PushConsumer, Received};
use ferromq_tests::proxy::FaultyNetwork;
use ferromq_tests::server::{Kind, Server};
use ferromq_tests::suite;
use tokio::task::JoinSet;

/// As long as nothing but a broken client or server takes.
const PATIENCE: Duration = Duration::from_secs(150);
/// How long a send may take where what fails makes sends fail.
const SEND_TIMEOUT: Duration = Duration::from_secs(15);
/// Sends at a time.
const SENDERS: usize = 8;
/// Messages that have to go through before anything fails, and again after it.
const FLOW: usize = 500;

/// What is sent and what comes.
#[derive(Default)]
struct Ledger {
    acknowledged: Vec<String>,
    failures: usize,
    /// How often each message came.
    came: HashMap<String, usize>,
}

/// A producer and a consumer at work.
struct Traffic {
    ledger: Arc<Mutex<Ledger>>,
    stop: Arc<AtomicBool>,
    senders: JoinSet<()>,
    consumer: PushConsumer,
    clients: Vec<Client>,
}

impl Traffic {
    async fn begin(namesrv: &str, send_timeout: Duration) -> Self {
        let client = || {
            Client::builder(namesrv)
                .route_refresh(Duration::from_secs(5))
                .call_timeout(Duration::from_secs(2))
                .build()
                .expect("a client")
        };
        let (sending, consuming) = (client(), client());
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let producer = sending.producer("faults-producer").send_timeout(send_timeout);
        let producer = Arc::new(producer.build().expect("a producer"));
        let mut senders = JoinSet::new();
        for sender in 0..SENDERS {
            let (producer, ledger, stop) = (Arc::clone(&producer), Arc::clone(&ledger), Arc::clone(&stop));
            senders.spawn(async move {
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let id = format!("{sender}-{n}");
                    let sent = producer.send(Message::new("Faults", id.clone()).expect("a message")).await;
                    {
                        let mut ledger = ledger.lock().unwrap();
                        match sent {
                            Ok(_) => ledger.acknowledged.push(id),
                            Err(_) => ledger.failures += 1,
                        }
                    }
                    // Some hundred a second do: the ledger is for counting, not for filling the disk.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
        }
        let heard = Arc::clone(&ledger);
        let consumer = consuming
            .push_consumer("faults-group")
            .subscribe("Faults", Filter::all())
            .consume_from(ConsumeFrom::First)
            .start(move |message: Received| {
                let id = String::from_utf8(message.body().to_vec()).expect("text");
                *heard.lock().unwrap().came.entry(id).or_default() += 1;
                std::future::ready(Outcome::Done)
            })
            .await
            .expect("it starts");
        Self { ledger, stop, senders, consumer, clients: vec![sending, consuming] }
    }

    fn counts(&self) -> (usize, usize) {
        let ledger = self.ledger.lock().unwrap();
        (ledger.acknowledged.len(), ledger.came.len())
    }

    /// Waits until so many more messages were sent and so many more came; returns how long the first of each took.
    async fn flows(&self, what: &str) -> (Duration, Duration) {
        let began = Instant::now();
        let (sent, came) = self.counts();
        let (mut first_sent, mut first_came) = (None, None);
        while began.elapsed() < PATIENCE {
            let now = self.counts();
            if now.0 > sent {
                first_sent.get_or_insert_with(|| began.elapsed());
            }
            if now.1 > came {
                first_came.get_or_insert_with(|| began.elapsed());
            }
            if let (Some(first_sent), Some(first_came)) = (first_sent, first_came)
                && now.0 >= sent + FLOW
                && now.1 >= came + FLOW
            {
                return (first_sent, first_came);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{what}: {:?} sent and come after {PATIENCE:?}, {:?} before", self.counts(), (sent, came));
    }

    /// Stops sending, waits for what was acknowledged, and tells what happened.
    async fn end(mut self) -> String {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.senders.join_next().await {
            ended.expect("a sender does not panic");
        }
        let began = Instant::now();
        let missing = || {
            let ledger = self.ledger.lock().unwrap();
            let missing = ledger.acknowledged.iter().filter(|id| !ledger.came.contains_key(*id));
            missing.cloned().collect::<Vec<_>>()
        };
        while !missing().is_empty() {
            assert!(began.elapsed() < PATIENCE, "acknowledged and never delivered: {:?}", missing());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.consumer.close().await;
        for client in self.clients {
            client.close().await;
        }
        let ledger = self.ledger.lock().unwrap();
        let again = ledger.came.values().filter(|times| **times > 1).count();
        format!(
            "{} acknowledged, {} sends failed, {} delivered, {again} of them again",
            ledger.acknowledged.len(),
            ledger.failures,
            ledger.came.len()
        )
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Runs `fail`, which returns how long it took from the mend until sends and deliveries went on.
fn through(
    what: &str,
    send_timeout: Duration,
    fail: impl AsyncFnOnce(&FaultyNetwork, &Traffic, &mut Option<Server>) -> String,
) {
    let dir = tempfile::Builder::new().prefix("ferromq-faults-").tempdir().expect("a directory");
    let launch = suite::launch(Kind::under_test(), dir.path());
    let network = FaultyNetwork::around(&launch);
    let mut server = Some(launch.start());
    runtime().block_on(async {
        let traffic = Traffic::begin(&network.namesrv(), send_timeout).await;
        traffic.flows("before anything fails").await;
        let mut told = fail(&network, &traffic, &mut server).await;
        let _ = write!(told, "; {}", traffic.end().await);
        println!("{what}: {told}");
    });
    if let Some(server) = server {
        server.stop();
    }
}

fn went_on((sends, deliveries): (Duration, Duration)) -> String {
    format!("sends went on after {sends:?}, deliveries after {deliveries:?}")
}

#[test]
fn what_was_acknowledged_survives_a_broker_that_is_killed_and_started_again() {
    through("broker killed", SEND_TIMEOUT, async |_, traffic, server| {
        let mut told = String::new();
        for _ in 0..3 {
            let running = server.take().expect("it runs");
            let launch = running.launch().clone();
            running.kill();
            // Blocks this thread of the runtime; the traffic has another.
            let again = tokio::task::spawn_blocking(move || launch.start()).await.expect("it starts");
            *server = Some(again);
            let _ = write!(told, "{}; ", went_on(traffic.flows("after the start").await));
        }
        told
    });
}

#[test]
fn a_minute_without_a_name_server_is_not_noticed() {
    // Less than a minute: a send that waits for the NameServer's return fails.
    let send_timeout = Duration::from_secs(45);
    through("NameServer gone for a minute", send_timeout, async |network, traffic, _| {
        let failures = || traffic.ledger.lock().unwrap().failures;
        // A NameServer that is slow at first is none of this.
        let before = failures();
        network.namesrv.refuse();
        let gone = Instant::now();
        let mut flows = 0;
        while gone.elapsed() < Duration::from_secs(60) {
            traffic.flows("without a NameServer").await;
            flows += 1;
        }
        assert_eq!(failures(), before, "a send failed that needed no NameServer");
        network.namesrv.pass();
        format!("{flows} times {FLOW} messages meanwhile, {}", went_on(traffic.flows("after").await))
    });
}

#[test]
fn connections_that_are_half_open_are_given_up() {
    through("connections half open for 15 s", SEND_TIMEOUT, async |network, traffic, _| {
        network.broker.silence();
        tokio::time::sleep(Duration::from_secs(15)).await;
        network.broker.pass();
        went_on(traffic.flows("after the silence").await)
    });
}

#[test]
fn connections_that_are_cut_are_made_again() {
    through("connections cut five times", SEND_TIMEOUT, async |network, traffic, _| {
        let mut told = String::new();
        for _ in 0..5 {
            network.broker.cut();
            network.namesrv.cut();
            told = went_on(traffic.flows("after the cut").await);
        }
        told
    });
}
