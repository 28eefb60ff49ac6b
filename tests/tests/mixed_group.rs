//! Official Java members and ours in one consumer group: they share the queues, nothing is lost, and nothing comes twice
//! but what a change of shares leaves undecided.

use std::collections::{BTreeMap, BTreeSet};
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

/// One of our members, and what came to it.
struct Ours {
    client: OurClient,
    consumer: PushConsumer,
    got: Arc<Mutex<Vec<String>>>,
}

impl Ours {
    async fn join(namesrv: &str) -> Self {
        let client = OurClient::builder(namesrv).build().expect("a client");
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

/// Waits until the members have shares of these sizes that do not overlap.
async fn shared(ours: &[&Ours], java: &[&JavaMember], sizes: &[usize]) {
    let began = Instant::now();
    loop {
        let shares: Vec<_> = ours
            .iter()
            .map(|member| member.owned())
            .chain(java.iter().map(|member| member.owned()))
            .collect();
        let mut found: Vec<_> = shares.iter().map(BTreeSet::len).collect();
        found.sort_unstable();
        let all: BTreeSet<u32> = shares.iter().flatten().copied().collect();
        if found == sizes && all.len() == QUEUES as usize {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "shares {shares:?}, expected sizes {sizes:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn send(producer: &Producer, phase: &str) -> BTreeSet<String> {
    let mut sent = BTreeSet::new();
    for n in 0..PHASE {
        let id = format!("{phase}-{n}");
        producer.send(Message::new(TOPIC, id.clone()).expect("a message")).await.expect("it is stored");
        sent.insert(id);
    }
    sent
}

/// Waits until all that was sent has come, and says how often each came.
async fn came(ours: &[&Ours], java: &[&JavaMember], sent: &BTreeSet<String>) -> BTreeMap<String, usize> {
    let began = Instant::now();
    loop {
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
        let sending = OurClient::builder(&namesrv).build().expect("a client");
        let producer = sending.producer("mixed-producer").topic_queues(QUEUES).build().expect("a producer");
        let first = send(&producer, "first").await;

        let one = Ours::join(&namesrv).await;
        shared(&[&one], &[], &[8]).await;
        each_once(&came(&[&one], &[], &first).await);

        let member = JavaMember::join(java, &namesrv, TOPIC, GROUP, &dir.path().join("java"));
        shared(&[&one], &[&member], &[4, 4]).await;
        each_once(&came(&[&one], &[&member], &send(&producer, "with java").await).await);

        let two = Ours::join(&namesrv).await;
        // While shares change some may come twice; nothing may be lost.
        let during = send(&producer, "while two joins").await;
        came(&[&one, &two], &[&member], &during).await;
        shared(&[&one, &two], &[&member], &[2, 3, 3]).await;
        each_once(&came(&[&one, &two], &[&member], &send(&producer, "three").await).await);

        let java_got: BTreeSet<String> = member.leave().into_iter().map(|got| got.body).collect();
        assert!(!java_got.is_empty(), "the Java member was handed nothing");
        shared(&[&one, &two], &[], &[4, 4]).await;
        each_once(&came(&[&one, &two], &[], &send(&producer, "without java").await).await);

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
