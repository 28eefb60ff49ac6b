//! Our client under load, in a process of its own: what ClientSpeed.java is for the official one.
//!
//! ```text
//! warm-up ──▶ measured ──▶ counted: the same once more, with the allocator counting
//! ```
//! Only the measured time is in the rates, and only the counted time in the allocations.

use std::future::ready;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferromq_client::{Client, ConsumeFrom, Filter, Message, Producer, Received};
use ferromq_model::TopicName;
use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::allocations;
use crate::load::{Allocated, Figures, Latency};

/// Longest latency that is told apart, in microseconds.
const MAX_LATENCY: u64 = 60_000_000;

/// What the load is in.
static PHASE: AtomicU8 = AtomicU8::new(WARM_UP);
const WARM_UP: u8 = 0;
const MEASURED: u8 = 1;
const COUNTED: u8 = 2;
const OVER: u8 = 3;

/// Messages by the phase that they ended in.
static MESSAGES: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

/// Runs a load and prints its figures.
pub(crate) fn run(words: &[String]) {
    let [namesrv, topic, load, numbers @ ..] = words else { panic!("seven words, not {words:?}") };
    let numbers: Vec<u64> = numbers.iter().map(|word| word.parse().expect("a number")).collect();
    let [many, body, warm_up, seconds] = numbers[..] else { panic!("four numbers, not {numbers:?}") };
    let warm_up = Duration::from_secs(warm_up);
    // As in any program that says `#[tokio::main]`.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let figures = runtime.block_on(async {
        let client = Client::builder(namesrv).build().expect("a client");
        let figures = match load.as_str() {
            "consume" => consume(&client, topic, many, warm_up).await,
            // Whether somebody waits for an answer is the same to this client: each message in flight has its task.
            _ => send(&client, topic, many, body as usize, warm_up, Duration::from_secs(seconds)).await,
        };
        client.close().await;
        figures
    });
    println!("{}", serde_json::to_string(&figures).expect("figures are JSON"));
}

async fn send(
    client: &Client,
    topic: &str,
    in_flight: u64,
    body: usize,
    warm_up: Duration,
    time: Duration,
) -> Figures {
    let producer = client.producer("speed").build().expect("a producer");
    let topic = TopicName::new(topic).expect("a topic's name");
    let body = Bytes::from(vec![0; body]);
    let mut callers = JoinSet::new();
    for _ in 0..in_flight {
        callers.spawn(call(producer.clone(), topic.clone(), body.clone()));
    }
    sleep(warm_up).await;
    let begin = Reading::now();
    PHASE.store(MEASURED, Relaxed);
    sleep(time).await;
    let end = Reading::now();
    allocations::begin();
    PHASE.store(COUNTED, Relaxed);
    sleep(time).await;
    PHASE.store(OVER, Relaxed);
    let counted = allocations::counted();
    let mut all = latencies();
    while let Some(ended) = callers.join_next().await {
        all.add(ended.expect("a caller does not panic")).expect("the same bounds");
    }
    producer.close().await;
    let messages = |phase: u8| MESSAGES[usize::from(phase)].load(Relaxed);
    let quantile = |share| all.value_at_quantile(share) as f64;
    Figures {
        latency: Some(Latency { p50: quantile(0.5), p99: quantile(0.99), max: all.max() as f64 }),
        allocated: Some(Allocated::per_message(counted, messages(COUNTED))),
        ..end.since(begin, messages(MEASURED))
    }
}

/// Sends one message after the other until the load is over.
async fn call(producer: Producer, topic: TopicName, body: Bytes) -> Histogram<u64> {
    let mut latencies = latencies();
    loop {
        let start = Instant::now();
        let message = Message::builder_of(&topic).body(body.clone()).build().expect("a message");
        producer.send(message).await.expect("a message is stored");
        let phase = PHASE.load(Relaxed);
        MESSAGES[usize::from(phase)].fetch_add(1, Relaxed);
        match phase {
            MEASURED => latencies.saturating_record(start.elapsed().as_micros() as u64),
            OVER => return latencies,
            _ => {}
        }
    }
}

fn latencies() -> Histogram<u64> {
    Histogram::new_with_max(MAX_LATENCY, 3).expect("constant bounds are valid")
}

/// Drains the topic in one group after the other until the warm-up is over, then once measured and once counted.
async fn consume(client: &Client, topic: &str, messages: u64, warm_up: Duration) -> Figures {
    let until = Instant::now() + warm_up;
    let mut round = 0;
    loop {
        drain(client, topic, messages, round).await;
        round += 1;
        if Instant::now() >= until {
            break;
        }
    }
    let figures = drain(client, topic, messages, round).await;
    allocations::begin();
    drain(client, topic, messages, round + 1).await;
    let counted = allocations::counted();
    Figures { allocated: Some(Allocated::per_message(counted, messages)), ..figures }
}

/// Measures from the first message that a new group is handed to the last.
async fn drain(client: &Client, topic: &str, messages: u64, round: u32) -> Figures {
    let drained = Arc::new(Drained::default());
    let handler = {
        let drained = Arc::clone(&drained);
        move |_: Received| {
            drained.note(messages);
            ready(())
        }
    };
    let consumer = client
        .push_consumer(&format!("speed-{}-{round}", std::process::id()))
        .subscribe(topic, Filter::all())
        .consume_from(ConsumeFrom::First)
        .start(handler)
        .await
        .expect("a consumer");
    drained.done.notified().await;
    consumer.close().await;
    let (Some(begin), Some(end)) = (drained.begin.get(), drained.end.get()) else {
        panic!("it is done after the first and the last message");
    };
    end.since(*begin, messages)
}

#[derive(Default)]
struct Drained {
    got: AtomicU64,
    begin: OnceLock<Reading>,
    end: OnceLock<Reading>,
    done: Notify,
}

impl Drained {
    fn note(&self, messages: u64) {
        self.begin.get_or_init(Reading::now);
        if self.got.fetch_add(1, Relaxed) + 1 == messages {
            self.end.get_or_init(Reading::now);
            self.done.notify_one();
        }
    }
}

/// The time, and the CPU time that this process has used.
#[derive(Clone, Copy)]
struct Reading {
    at: Instant,
    cpu: Duration,
}

impl Reading {
    fn now() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Self { at: Instant::now(), cpu: Duration::new(cpu.tv_sec as u64, cpu.tv_nsec as u32) }
    }

    fn since(self, earlier: Self, messages: u64) -> Figures {
        Figures {
            messages,
            seconds: (self.at - earlier.at).as_secs_f64(),
            cpu_seconds: (self.cpu - earlier.cpu).as_secs_f64(),
            latency: None,
            allocated: None,
        }
    }
}
