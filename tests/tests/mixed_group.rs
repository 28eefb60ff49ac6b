//! Official Java members and ours in one consumer group: they share the queues, nothing is lost, and nothing comes twice
//! but what a change of shares leaves undecided.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ferromq_client::{
    Client as OurClient, ConsumeFrom, Filter, Message, Outcome, Producer, PushConsumer, Received,
};
use ferromq_tests::{Client, JavaMember, Kind, suite};

/// As long as nothing but a broken member takes, with JVMs that start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(150);
const TOPIC: &str = "Mixed";
const GROUP: &str = "mixed-group";
const QUEUES: u32 = 8;
/// Messages a phase: some for each queue.
const PHASE: u32 = 400;
/// How often a phase is begun in which the shares change by themselves: a machine that stands still for seconds makes
/// members miss each other.
const TRIES: u32 = 5;

/// One of our members, and what came to it.
struct Ours {
    client: OurClient,
    consumer: PushConsumer,
    got: Arc<Mutex<Vec<String>>>,
}

impl Ours {
    async fn join(namesrv: &str) -> Self {
        let client = patient(namesrv);
        let got = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&got);
        let consumer = client
            .push_consumer(GROUP)
            .subscribe(TOPIC, Filter::all())
            .consume_from(ConsumeFrom::First)
            .start(move |message: Received| {
                heard.lock().unwrap().push(String::from_utf8(message.body().to_vec()).expect("text"));
                std::future::ready(Outcome::Done)
            })
            .await
            .expect("it starts");
        Self { client, consumer, got }
    }

    fn owned(&self) -> BTreeSet<u32> {
        let queues = self.consumer.queues().into_iter();
        queues.filter(|queue| queue.topic.as_str() == TOPIC).map(|queue| queue.id.0).collect()
    }

    async fn leave(self) -> Vec<String> {
        self.consumer.close().await;
        self.client.close().await;
        std::mem::take(&mut *self.got.lock().unwrap())
    }
}

fn patient(namesrv: &str) -> OurClient {
    OurClient::builder(namesrv).call_timeout(PATIENCE).connect_timeout(PATIENCE).build().expect("a client")
}

/// The queues that each member has.
fn shares(ours: &[&Ours], java: &[&JavaMember]) -> Vec<BTreeSet<u32>> {
    let ours = ours.iter().map(|member| member.owned());
    ours.chain(java.iter().map(|member| member.owned())).collect()
}

/// Waits until the members have shares of these sizes that do not overlap, and says which.
async fn shared(ours: &[&Ours], java: &[&JavaMember], sizes: &[usize]) -> Vec<BTreeSet<u32>> {
    let began = Instant::now();
    loop {
        let shares = shares(ours, java);
        let mut found: Vec<_> = shares.iter().map(BTreeSet::len).collect();
        found.sort_unstable();
        let all: BTreeSet<u32> = shares.iter().flatten().copied().collect();
        if found == sizes && all.len() == QUEUES as usize {
            return shares;
        }
        assert!(began.elapsed() < PATIENCE, "shares {shares:?}, expected sizes {sizes:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Sends a phase, whose messages are like none that was sent before.
async fn send(producer: &Producer, phase: &str) -> BTreeSet<String> {
    static SENT: AtomicU32 = AtomicU32::new(0);
    let mut sent = BTreeSet::new();
    for _ in 0..PHASE {
        let id = format!("{phase}-{}", SENT.fetch_add(1, Ordering::Relaxed));
        producer.send(Message::new(TOPIC, id.clone()).expect("a message")).await.expect("it is stored");
        sent.insert(id);
    }
    sent
}

/// Waits until all that was sent has come, and says how often each came. `look` is called again and again meanwhile.
async fn came(
    ours: &[&Ours],
    java: &[&JavaMember],
    sent: &BTreeSet<String>,
    mut look: impl FnMut(),
) -> BTreeMap<String, usize> {
    let began = Instant::now();
    loop {
        look();
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        for member in ours {
            for id in member.got.lock().unwrap().iter().filter(|id| sent.contains(*id)) {
                *times.entry(id.clone()).or_default() += 1;
            }
        }
        for member in java {
            for got in member.got().into_iter().filter(|got| sent.contains(&got.body)) {
                *times.entry(got.body).or_default() += 1;
            }
        }
        if times.len() == sent.len() {
            return times;
        }
        let missing = sent.len() - times.len();
        assert!(began.elapsed() < PATIENCE, "{missing} of {} never came", sent.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn each_once(times: &BTreeMap<String, usize>) {
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "came more than once while shares did not change: {twice:?}");
}

/// Sends a phase to members with shares of these sizes: it comes, and each message once while the shares do not change.
async fn phase_comes_once(
    ours: &[&Ours],
    java: &[&JavaMember],
    sizes: &[usize],
    producer: &Producer,
    phase: &str,
) {
    for _ in 0..TRIES {
        let before = shared(ours, java, sizes).await;
        let sent = send(producer, phase).await;
        let mut changed = false;
        let times = came(ours, java, &sent, || changed |= shares(ours, java) != before).await;
        if !changed {
            return each_once(&times);
        }
        println!("the shares {before:?} changed by themselves in {phase}");
    }
    panic!("the shares never stayed as they were in {phase}");
}

fn group_of(java: Client) {
    let dir = tempfile::Builder::new().prefix("ferromq-mixed-").tempdir().expect("a directory");
    let server = suite::launch(Kind::under_test(), dir.path()).start();
    let namesrv = server.namesrv();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let sending = patient(&namesrv);
        // Sent once, so that what comes twice was handed out twice.
        let producer =
            sending.producer("mixed-producer").topic_queues(QUEUES).send_timeout(PATIENCE).retries(0);
        let producer = producer.build().expect("a producer");
        let first = send(&producer, "first").await;

        let one = Ours::join(&namesrv).await;
        shared(&[&one], &[], &[8]).await;
        each_once(&came(&[&one], &[], &first, || ()).await);

        let member = JavaMember::join(java, &namesrv, TOPIC, GROUP, &dir.path().join("java"));
        phase_comes_once(&[&one], &[&member], &[4, 4], &producer, "with java").await;

        let two = Ours::join(&namesrv).await;
        // While shares change some may come twice; nothing may be lost.
        let during = send(&producer, "while two joins").await;
        came(&[&one, &two], &[&member], &during, || ()).await;
        phase_comes_once(&[&one, &two], &[&member], &[2, 3, 3], &producer, "three").await;

        let java_got: BTreeSet<String> = member.leave().into_iter().map(|got| got.body).collect();
        assert!(!java_got.is_empty(), "the Java member was handed nothing");
        phase_comes_once(&[&one, &two], &[], &[4, 4], &producer, "without java").await;

        let last = two.leave().await;
        assert!(!last.is_empty());
        shared(&[&one], &[], &[8]).await;
        one.leave().await;
        sending.close().await;
    });
    server.stop();
}

#[test]
fn java_5_3_3_and_we_share_a_group() {
    group_of(Client::Java("5.3.3"));
}

#[test]
fn java_4_9_8_and_we_share_a_group() {
    group_of(Client::Java("4.9.8"));
}
