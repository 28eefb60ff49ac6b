//! A producer: every way of sending there is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ferromq_client::{
    Client, Compression, Message, MessageQueue, Outcome, Received, RequestError, SendError, SendStatus,
    TransactionState,
};
use ferromq_model::Timestamp;
use ferromq_tests::suite::Scene;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::consuming::{Heard, PATIENCE, client, from_first, listener, producer, sending};

#[path = "../../../core/client/examples/produce.rs"]
#[allow(dead_code, reason = "an example is a program")]
mod example;

/// Consumes a topic from its first message on.
async fn hear(scene: &Scene, client: &Client, topic: &str) -> (ferromq_client::PushConsumer, Heard) {
    let (handler, heard) = listener();
    let consumer =
        from_first(client, &scene.name("group"), topic).start(handler).await.expect("the consumer starts");
    (consumer, heard)
}

fn message(topic: &str, body: impl Into<Vec<u8>>) -> Message {
    Message::builder(topic).body(body.into()).build().expect("a message")
}

fn text(message: &Received) -> &str {
    std::str::from_utf8(message.body()).expect("text")
}

/// Bytes that no compression makes shorter.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
    .take(len)
    .collect()
}

pub(crate) async fn large_bodies_arrive_whole_however_they_are_compressed(scene: Scene) {
    let client = client(&scene);
    let topic = scene.name("topic");
    let kinds = [None, Some(Compression::Zlib), Some(Compression::Lz4), Some(Compression::Zstd)];
    let mut bodies = BTreeSet::new();
    for (turn, kind) in kinds.into_iter().enumerate() {
        let group = scene.name(&format!("producer-{turn}"));
        let producer = sending(&client, &group).compression(kind).build().expect("a producer");
        for body in [format!("{turn} ").repeat(100_000).into_bytes(), noise(10_000 + turn)] {
            let receipt = producer.send(message(&topic, body.clone())).await.expect("it is stored");
            assert_eq!(receipt.status, SendStatus::Stored);
            bodies.insert(body);
        }
        producer.close().await;
    }
    let (consumer, mut heard) = hear(&scene, &client, &topic).await;
    for _ in 0..8 {
        let body = heard.next().await.body().to_vec();
        assert!(bodies.remove(&body), "a body of {} bytes that nobody sent", body.len());
    }
    consumer.close().await;
    client.close().await;
}

pub(crate) async fn messages_of_a_sharding_key_lie_in_one_queue_in_order(scene: Scene) {
    let client = client(&scene);
    let topic = scene.name("topic");
    let producer = producer(&scene, &client);
    // Who comes first creates the topic; from then on it has its queues.
    producer.send(message(&topic, "first")).await.expect("it is stored");
    let mut queues: BTreeMap<String, BTreeSet<MessageQueue>> = BTreeMap::new();
    for n in 0..5 {
        for key in ["a", "b", "c", "d"] {
            let body = format!("{key} {n}");
            let keyed = Message::builder(&topic).body(body).sharding_key(key).build().expect("a message");
            let receipt = producer.send(keyed).await.expect("it is stored");
            queues.entry(key.to_owned()).or_default().insert(receipt.queue);
        }
    }
    assert!(queues.values().all(|queues| queues.len() == 1), "{queues:?}");
    // The hashes of these keys are 97 to 100.
    let distinct: BTreeSet<_> = queues.values().flatten().collect();
    assert_eq!(distinct.len(), 4);
    let (consumer, mut heard) = hear(&scene, &client, &topic).await;
    let mut offsets: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for _ in 0..21 {
        let message = heard.next().await;
        if let Some((key, n)) = text(&message).split_once(' ') {
            offsets.entry(key.to_owned()).or_default().push((message.queue_offset(), n.to_owned()));
        }
    }
    for placed in offsets.values_mut() {
        placed.sort();
        assert_eq!(placed.iter().map(|(_, n)| n.as_str()).collect::<Vec<_>>(), ["0", "1", "2", "3", "4"]);
    }
    consumer.close().await;
    producer.close().await;
    client.close().await;
}

pub(crate) async fn a_message_goes_to_the_queue_it_is_sent_to(scene: Scene) {
    let client = client(&scene);
    let topic = scene.name("topic");
    let producer = producer(&scene, &client);
    let chosen =
        producer.send_by(message(&topic, "x"), |queues| queues.len() - 1).await.expect("stored").queue;
    for n in 1..5 {
        let receipt = producer.send_to(&chosen, message(&topic, "x")).await.expect("it is stored");
        assert_eq!((&receipt.queue, receipt.offset.0), (&chosen, n));
    }
    producer.close().await;
    client.close().await;
}

pub(crate) async fn each_message_of_a_batch_is_a_message_of_its_own(scene: Scene) {
    let client = client(&scene);
    let topic = scene.name("topic");
    // Several frames.
    let producer =
        sending(&client, &scene.name("producer")).max_message_size(10_000).build().expect("a producer");
    let numbered = |n: usize| {
        let body = format!("{n} {}", "x".repeat(500));
        Message::builder(&topic).body(body).tag("t").property("n", &n.to_string()).build().expect("a message")
    };
    let receipts = producer.send_batch((0..100).map(numbered).collect()).await.expect("all are stored");
    assert_eq!(receipts.len(), 100);
    let (consumer, mut heard) = hear(&scene, &client, &topic).await;
    let mut seen = BTreeSet::new();
    for _ in 0..100 {
        let message = heard.next().await;
        let n: usize = message.property("n").expect("its number").parse().expect("a number");
        assert_eq!(text(&message).split_once(' ').expect("two parts").0, n.to_string());
        let receipt = &receipts[n];
        assert_eq!((message.queue(), message.queue_offset()), (&receipt.queue, receipt.offset));
        assert_eq!((Some(message.place()), message.tag()), (receipt.place, Some("t")));
        assert_eq!(message.message_id(), receipt.message_id.to_string());
        assert!(seen.insert(n), "{n} came twice");
    }
    consumer.close().await;
    producer.close().await;
    client.close().await;
}

pub(crate) async fn messages_that_linger_have_receipts_of_their_own(scene: Scene) {
    let client = client(&scene);
    let topic = scene.name("topic");
    let producer = sending(&client, &scene.name("producer"))
        .linger(Duration::from_millis(20))
        .linger_bytes(2000)
        .build()
        .expect("a producer");
    let mut sending = tokio::task::JoinSet::new();
    for n in 0..200 {
        let (producer, message) = (producer.clone(), message(&topic, n.to_string()));
        sending.spawn(async move { (n, producer.send(message).await.expect("it is stored")) });
    }
    let receipts: BTreeMap<i32, _> = sending.join_all().await.into_iter().collect();
    let (consumer, mut heard) = hear(&scene, &client, &topic).await;
    for _ in 0..200 {
        let message = heard.next().await;
        let receipt = &receipts[&text(&message).parse().expect("a number")];
        assert_eq!((message.queue(), message.queue_offset()), (&receipt.queue, receipt.offset));
        assert_eq!(message.message_id(), receipt.message_id.to_string());
    }
    consumer.close().await;
    producer.close().await;
    client.close().await;
}

pub(crate) async fn what_is_sent_one_way_arrives(scene: Scene) {
    let client = client(&scene);
    let topic = scene.name("topic");
    let producer = producer(&scene, &client);
    // Creates the topic: what is sent one way to a broker that is still at it may be lost.
    producer.send(message(&topic, "0")).await.expect("it is stored");
    for n in 1..10 {
        producer.send_oneway(message(&topic, n.to_string())).await.expect("it is on its way");
    }
    let (consumer, mut heard) = hear(&scene, &client, &topic).await;
    let mut seen = BTreeSet::new();
    while seen.len() < 10 {
        seen.insert(text(&heard.next().await).to_owned());
    }
    consumer.close().await;
    producer.close().await;
    client.close().await;
}

pub(crate) async fn what_a_broker_refuses_is_told_with_its_reason(scene: Scene) {
    let client = client(&scene);
    let producer = sending(&client, &scene.name("producer"))
        .max_message_size(8 << 20)
        .compression(None)
        .build()
        .expect("a producer");
    let large = message(&scene.name("topic"), noise(5 << 20));
    let failed = producer.send(large).await.expect_err("brokers take 4 MiB");
    // A broker under load may be busy at first, which is worth another try; this is not.
    let SendError::Failed { last, .. } = &failed else { panic!("{failed}") };
    assert_eq!(last.code().map(|code| code.code()), Some(13), "{failed}");
    producer.close().await;
    client.close().await;
}

pub(crate) async fn a_delayed_message_comes_when_it_is_due(scene: Scene) {
    let client = client(&scene);
    let topic = scene.name("topic");
    let producer = producer(&scene, &client);
    let sent = Timestamp::now();
    for (level, body) in [(2, "3 s"), (1, "1 s")] {
        let delayed = Message::builder(&topic).body(body).delay_level(level).build().expect("a message");
        producer.send(delayed).await.expect("it is stored");
    }
    let (consumer, mut heard) = hear(&scene, &client, &topic).await;
    let mut due = BTreeMap::from([("1 s", 1000), ("3 s", 3000)]);
    while !due.is_empty() {
        // They lie in different queues: one that could be read only now may have both.
        let message = heard.next().await;
        let least = due.remove(text(&message)).expect("each comes once");
        let after = message.stored().since(sent).0;
        assert!(after >= least, "{} was there after {after} ms", text(&message));
    }
    consumer.close().await;
    producer.close().await;
    client.close().await;
}

pub(crate) async fn a_timed_message_that_is_taken_back_does_not_come(scene: Scene) {
    if scene.is_4() {
        return;
    }
    let client = client(&scene);
    let producer = producer(&scene, &client);
    // Later the second time, should the first be due before it was taken back.
    let mut spans = [10, 30, 60].into_iter();
    let (topic, right) = loop {
        let seconds = spans.next().expect("it is taken back within a minute");
        let (topic, now) = (scene.name(&format!("topic-{seconds}")), Timestamp::now());
        let timed = |body: &str, seconds: i64| {
            let due = Timestamp(now.0 + seconds * 1000);
            Message::builder(&topic).body(body.to_owned()).deliver_at(due).build().expect("a message")
        };
        let wrong = producer.send(timed("wrong", seconds)).await.expect("it is stored");
        let handle = wrong.recall_handle.as_deref().expect("a handle");
        producer.send(timed("right", seconds + 2)).await.expect("it is stored");
        let recalled = producer.recall(&topic, handle).await;
        if Timestamp::now().0 > now.0 + (seconds - 4) * 1000 {
            continue;
        }
        assert_eq!(recalled.expect("it is taken back"), wrong.message_id.to_string());
        producer.recall("another", handle).await.expect_err("it is of another topic");
        break (topic, now.0 + (seconds + 2) * 1000);
    };
    let (consumer, mut heard) = hear(&scene, &client, &topic).await;
    let message = heard.next().await;
    assert_eq!(text(&message), "right");
    assert!(message.stored().0 >= right - 1000, "a slot earlier at most");
    consumer.close().await;
    producer.close().await;
    client.close().await;
}

pub(crate) async fn a_transaction_delivers_what_is_committed_and_nothing_else(scene: Scene) {
    let client = client(&scene);
    let topic = scene.name("topic");
    // What brokers ask about is what was left open, or what they had not noted as ended yet.
    let checker = |message: Received| async move {
        match text(&message) {
            "rolled back" | "failed" => TransactionState::Rollback,
            _ => TransactionState::Commit,
        }
    };
    let producer = client
        .transaction_producer(&scene.name("producer"), checker)
        .with(|producer| producer.send_timeout(PATIENCE))
        .build()
        .expect("a producer");
    let begin = async |body: &str| producer.begin(message(&topic, body)).await.expect("it begins");
    begin("rolled back").await.rollback().await.expect("it is told");
    drop(begin("left open").await);
    begin("committed").await.commit().await.expect("it is told");
    let ended = async |body: &str, state| {
        let local = |_| async move { state };
        let (receipt, said) =
            producer.send_in_transaction(message(&topic, body), local).await.expect("it is stored");
        assert_eq!((receipt.status, said), (SendStatus::Stored, state));
    };
    ended("failed", TransactionState::Rollback).await;
    ended("done", TransactionState::Commit).await;
    ended("not known yet", TransactionState::Unknown).await;
    let (consumer, mut heard) = hear(&scene, &client, &topic).await;
    let mut seen = BTreeSet::new();
    while seen.len() < 4 {
        let message = heard.next().await;
        assert_eq!(message.topic(), topic);
        // Official brokers may deliver one twice that they were still asking about.
        seen.insert(text(&message).to_owned());
    }
    assert_eq!(seen.iter().collect::<Vec<_>>(), ["committed", "done", "left open", "not known yet"]);
    consumer.close().await;
    producer.close().await;
    client.close().await;
}

pub(crate) async fn a_question_gets_its_reply(scene: Scene) {
    let (asking, answering) = (client(&scene), client(&scene));
    let topic = scene.name("topic");
    let replier = sending(&answering, &scene.name("replier")).build().expect("a producer");
    let (questions, mut asked) = mpsc::channel::<Received>(16);
    let handler = move |message| {
        questions.try_send(message).expect("there is room");
        std::future::ready(Outcome::Done)
    };
    let consumer =
        from_first(&answering, &scene.name("group"), &topic).start(handler).await.expect("it starts");
    let replying = tokio::spawn(async move {
        while let Some(question) = asked.recv().await {
            if text(&question) != "who does not answer?" {
                let body = format!("{} indeed", text(&question));
                replier.reply(&question, body).await.expect("whoever asked is there");
            }
        }
        replier.close().await;
    });
    let producer = producer(&scene, &asking);
    for n in 0..3 {
        let question = message(&topic, format!("question {n}"));
        let reply =
            timeout(PATIENCE, producer.request(question, PATIENCE)).await.expect("in time").expect("a reply");
        assert_eq!(reply.body(), &format!("question {n} indeed"));
    }
    // Its time is for sending, too: more of it if there was none left for waiting.
    for limit in [2, 20, 100].map(Duration::from_secs) {
        let unanswered = message(&topic, "who does not answer?");
        let began = Instant::now();
        let failed = producer.request(unanswered, limit).await.expect_err("nobody replies");
        match failed {
            RequestError::NoReply { .. } => break,
            failed => assert!(began.elapsed() >= limit && limit.as_secs() < 100, "{failed}"),
        }
    }
    consumer.close().await;
    replying.await.expect("all replies were taken");
    producer.close().await;
    asking.close().await;
    answering.close().await;
}

pub(crate) async fn the_example_runs(scene: Scene) {
    let deadline = Instant::now() + PATIENCE;
    let run = async |topic: String| {
        example::produce(scene.namesrv(), &topic).await.map_err(|error| error.to_string())
    };
    // Its calls have the three seconds that they have by default, and a busy broker may need more once.
    for turn in 0.. {
        let began = Instant::now();
        match run(scene.name(&format!("topic-{turn}"))).await {
            Ok(()) => return,
            Err(error) => {
                let late = began.elapsed() >= Duration::from_secs(3);
                assert!(late && Instant::now() < deadline, "{error}");
            }
        }
    }
}
