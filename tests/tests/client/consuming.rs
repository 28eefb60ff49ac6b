//! A consumer that is handed messages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ferromq_client::{
    Client, ClientBuilder, ConsumeFrom, Filter, Message, Outcome, Producer, ProducerBuilder,
    PushConsumerBuilder, Received, SendReceipt,
};
use ferromq_model::Timestamp;
use ferromq_tests::suite::Scene;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// As long as nothing but a broken client takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// More than any scenario sends, so that no handler ever waits for its test.
const ROOM: usize = 10_000;

/// A client that waits as long as it takes: what it tries again after a limit may have been done the first time.
pub(crate) fn builder(scene: &Scene) -> ClientBuilder {
    Client::builder(scene.namesrv()).call_timeout(PATIENCE).connect_timeout(PATIENCE)
}

pub(crate) fn client(scene: &Scene) -> Client {
    builder(scene).build().expect("a client")
}

/// A producer that waits as long as its client.
pub(crate) fn sending(client: &Client, group: &str) -> ProducerBuilder {
    client.producer(group).send_timeout(PATIENCE)
}

pub(crate) fn producer(scene: &Scene, client: &Client) -> Producer {
    sending(client, &scene.name("producer")).build().expect("a producer")
}

async fn send(producer: &Producer, message: Message) -> SendReceipt {
    producer.send(message).await.expect("it is stored")
}

/// Sends `count` messages with their number as their body and as their property `n`.
pub(crate) async fn send_numbered(producer: &Producer, topic: &str, count: u32) -> Vec<SendReceipt> {
    let mut receipts = Vec::new();
    for n in 0..count {
        let text = n.to_string();
        let message = Message::builder(topic)
            .body(text.clone())
            .tag(if n.is_multiple_of(2) { "even" } else { "odd" })
            .key(&format!("key-{n}"))
            .property("n", &text)
            .build()
            .expect("a message");
        receipts.push(send(producer, message).await);
    }
    receipts
}

pub(crate) fn number(message: &Received) -> u32 {
    std::str::from_utf8(message.body()).expect("text").parse().expect("a number")
}

/// What a handler was given.
pub(crate) struct Heard(mpsc::Receiver<Received>);

impl Heard {
    pub(crate) async fn next(&mut self) -> Received {
        timeout(PATIENCE, self.0.recv()).await.expect("in time").expect("the consumer is there")
    }

    /// The numbers of so many messages, as they came.
    async fn numbers(&mut self, count: usize) -> Vec<u32> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            numbers.push(number(&self.next().await));
        }
        numbers
    }
}

/// A handler that passes everything on.
pub(crate) fn listener() -> (impl Fn(Received) -> std::future::Ready<Outcome> + Send + Sync + 'static, Heard)
{
    let (sender, heard) = mpsc::channel(ROOM);
    let handler = move |message| {
        sender.try_send(message).expect("there is room");
        std::future::ready(Outcome::Done)
    };
    (handler, Heard(heard))
}

pub(crate) fn from_first(client: &Client, group: &str, topic: &str) -> PushConsumerBuilder {
    client.push_consumer(group).subscribe(topic, Filter::all()).consume_from(ConsumeFrom::First)
}

pub(crate) async fn a_group_gets_each_message_once_and_whole(scene: Scene) {
    let client = client(&scene);
    let topic = scene.name("topic");
    let receipts = send_numbered(&producer(&scene, &client), &topic, 100).await;
    let (handler, mut heard) = listener();
    let consumer = from_first(&client, &scene.name("group"), &topic).start(handler).await.expect("it starts");
    let mut seen = BTreeSet::new();
    for _ in 0..100 {
        let message = heard.next().await;
        let n = number(&message);
        let receipt = &receipts[n as usize];
        assert_eq!(message.topic(), topic);
        assert_eq!(message.message_id(), receipt.message_id.to_string());
        assert_eq!((message.queue(), message.queue_offset()), (&receipt.queue, receipt.offset));
        assert_eq!(Some(message.place()), receipt.place);
        assert_eq!(message.tag(), Some(if n.is_multiple_of(2) { "even" } else { "odd" }));
        assert_eq!(message.keys().collect::<Vec<_>>(), [format!("key-{n}")]);
        assert_eq!(message.property("n"), Some(n.to_string().as_str()));
        assert_eq!(message.reconsume_times(), 0);
        assert!(seen.insert(n), "{n} came twice");
    }
    consumer.close().await;
    assert!(heard.0.recv().await.is_none(), "more came than was sent");
    client.close().await;
}

pub(crate) async fn a_filter_by_tags_lets_through_what_has_them(scene: Scene) {
    let client = client(&scene);
    let topic = scene.name("topic");
    send_numbered(&producer(&scene, &client), &topic, 20).await;
    let (handler, mut heard) = listener();
    let consumer = client
        .push_consumer(&scene.name("group"))
        .subscribe(&topic, Filter::tags("odd || other"))
        .consume_from(ConsumeFrom::First)
        .start(handler)
        .await
        .expect("it starts");
    let numbers: BTreeSet<u32> = heard.numbers(10).await.into_iter().collect();
    assert_eq!(numbers, (0..20).filter(|n| n % 2 == 1).collect());
    consumer.close().await;
    assert!(heard.0.recv().await.is_none(), "what has other tags came");
}

pub(crate) async fn a_filter_by_expression_lets_through_what_it_admits(scene: Scene) {
    let client = client(&scene);
    let topic = scene.name("topic");
    send_numbered(&producer(&scene, &client), &topic, 20).await;
    let (handler, mut heard) = listener();
    let consumer = client
        .push_consumer(&scene.name("group"))
        .subscribe(&topic, Filter::sql("n > 11 AND TAGS = 'even'").expect("an expression"))
        .consume_from(ConsumeFrom::First)
        .start(handler)
        .await
        .expect("it starts");
    let numbers: BTreeSet<u32> = heard.numbers(4).await.into_iter().collect();
    assert_eq!(numbers, BTreeSet::from([12, 14, 16, 18]));
    consumer.close().await;
    assert!(heard.0.recv().await.is_none(), "what is not admitted came");
}

pub(crate) async fn a_message_that_failed_comes_again(scene: Scene) {
    let client = client(&scene);
    let topic = scene.name("topic");
    let receipt = send_numbered(&producer(&scene, &client), &topic, 1).await.remove(0);
    let (sender, heard) = mpsc::channel(ROOM);
    let consumer = from_first(&client, &scene.name("group"), &topic)
        .start(move |message: Received| {
            let times = message.reconsume_times();
            sender.try_send(message).expect("there is room");
            // An error, then a panic, then success.
            async move {
                match times {
                    0 => Err("not yet"),
                    1 => panic!("a handler that panics"),
                    _ => Ok(()),
                }
            }
        })
        .await
        .expect("it starts");
    let mut heard = Heard(heard);
    for times in 0..3 {
        let message = heard.next().await;
        assert_eq!((message.reconsume_times(), number(&message)), (times, 0));
        assert_eq!(message.topic(), topic, "the topic is the one it was sent to");
        assert_eq!(message.message_id(), receipt.message_id.to_string());
    }
    consumer.close().await;
    assert!(heard.0.recv().await.is_none(), "it came after it was done");
}

pub(crate) async fn a_dead_letter_is_what_failed_too_often(scene: Scene) {
    let client = client(&scene);
    let (topic, group) = (scene.name("topic"), scene.name("group"));
    send_numbered(&producer(&scene, &client), &topic, 2).await;
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let failing = from_first(&client, &group, &topic)
        .max_reconsume_times(1)
        .start(move |message: Received| {
            let outcome = if number(&message) == 0 {
                counted.fetch_add(1, Ordering::Relaxed);
                Outcome::Later
            } else {
                // Without a second try.
                Outcome::DeadLetter
            };
            async move { outcome }
        })
        .await
        .expect("it starts");
    let (handler, mut heard) = listener();
    let dead = from_first(&client, &scene.name("undertaker"), &format!("%DLQ%{group}"))
        .start(handler)
        .await
        .expect("it starts");
    let numbers: BTreeSet<u32> = heard.numbers(2).await.into_iter().collect();
    assert_eq!(numbers, BTreeSet::from([0, 1]));
    assert_eq!(tries.load(Ordering::Relaxed), 2, "once, and once again");
    failing.close().await;
    dead.close().await;
}

pub(crate) async fn in_order_nothing_passes_a_message_that_failed(scene: Scene) {
    let client = client(&scene);
    let topic = scene.name("topic");
    let receipts = send_numbered(&producer(&scene, &client), &topic, 60).await;
    let (sender, heard) = mpsc::channel(ROOM);
    let consumer = from_first(&client, &scene.name("group"), &topic)
        .in_order()
        .pause_after_failure(Duration::from_millis(100))
        .start(move |message: Received| {
            // Each fifth fails twice.
            let fails = number(&message).is_multiple_of(5) && message.reconsume_times() < 2;
            sender.try_send(message).expect("there is room");
            async move { if fails { Outcome::Later } else { Outcome::Done } }
        })
        .await
        .expect("it starts");
    let mut heard = Heard(heard);
    let mut came: BTreeMap<_, Vec<u32>> = BTreeMap::new();
    for _ in 0..60 + 2 * 12 {
        let message = heard.next().await;
        came.entry(message.queue().clone()).or_default().push(number(&message));
    }
    let mut expected: BTreeMap<_, Vec<u32>> = BTreeMap::new();
    for (n, receipt) in (0u32..).zip(&receipts) {
        let times = if n.is_multiple_of(5) { 3 } else { 1 };
        expected.entry(receipt.queue.clone()).or_default().extend(std::iter::repeat_n(n, times));
    }
    assert_eq!(came, expected);
    consumer.close().await;
}

pub(crate) async fn a_group_goes_on_where_it_was_closed(scene: Scene) {
    let client = client(&scene);
    let (topic, group) = (scene.name("topic"), scene.name("group"));
    let producer = producer(&scene, &client);
    send_numbered(&producer, &topic, 30).await;
    for round in 0..2 {
        let (handler, mut heard) = listener();
        let consumer = from_first(&client, &group, &topic).start(handler).await.expect("it starts");
        let numbers: BTreeSet<u32> = heard.numbers(30).await.into_iter().collect();
        assert_eq!(numbers, (0..30).collect());
        consumer.close().await;
        assert!(heard.0.recv().await.is_none(), "round {round}: what was done came again");
        send_numbered(&producer, &topic, 30).await;
    }
}

pub(crate) async fn a_group_begins_at_the_time_it_is_told(scene: Scene) {
    let client = client(&scene);
    let topic = scene.name("topic");
    let producer = producer(&scene, &client);
    send_numbered(&producer, &topic, 10).await;
    // Past the last store time of those, which is to the millisecond.
    let last = Timestamp::now();
    let between = loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = Timestamp::now();
        if now.0 > last.0 + 10 {
            break now;
        }
    };
    let later = Message::new(&topic, "77").expect("a message");
    send(&producer, later).await;
    let (handler, mut heard) = listener();
    let consumer = client
        .push_consumer(&scene.name("group"))
        .subscribe(&topic, Filter::all())
        .consume_from(ConsumeFrom::Time(between))
        .start(handler)
        .await
        .expect("it starts");
    // A young queue that its broker holds in memory is read from its start all the same: official brokers say that the
    // group's position there is 0. So what came before may come; what came after must.
    while number(&heard.next().await) != 77 {}
    consumer.close().await;
}

pub(crate) async fn a_member_that_leaves_hands_its_queues_over(scene: Scene) {
    let (first, second) = (client(&scene), client(&scene));
    let (topic, group) = (scene.name("topic"), scene.name("group"));
    let producer = producer(&scene, &first);
    send_numbered(&producer, &topic, 40).await;
    let (handler, mut heard_first) = listener();
    let one = from_first(&first, &group, &topic).start(handler).await.expect("it starts");
    let all: BTreeSet<u32> = heard_first.numbers(40).await.into_iter().collect();
    assert_eq!(all, (0..40).collect());
    let whole = one.queues().into_iter().filter(|queue| queue.topic.as_str() == topic).count();
    let (handler, mut heard_second) = listener();
    let two = from_first(&second, &group, &topic).start(handler).await.expect("it starts");
    let share = |consumer: &ferromq_client::PushConsumer| {
        consumer.queues().into_iter().filter(|queue| queue.topic.as_str() == topic).collect::<BTreeSet<_>>()
    };
    until(|| {
        let (ones, twos) = (share(&one), share(&two));
        ones.len() == whole / 2 && twos.len() == whole / 2 && ones.is_disjoint(&twos)
    })
    .await;
    send_numbered(&producer, &topic, 40).await;
    let mut came = BTreeSet::new();
    while came.len() < 40 {
        let message = tokio::select! {
            message = heard_first.next() => message,
            message = heard_second.next() => message,
        };
        came.insert(number(&message));
    }
    one.close().await;
    // Told by the broker, long before it would look by itself.
    until(|| share(&two).len() == whole).await;
    send_numbered(&producer, &topic, 40).await;
    let mut came = BTreeSet::new();
    while came.len() < 40 {
        came.insert(number(&heard_second.next().await));
    }
    two.close().await;
}

pub(crate) async fn every_member_of_a_broadcast_gets_all(scene: Scene) {
    let (topic, group) = (scene.name("topic"), scene.name("group"));
    let dirs = [tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory")];
    let sending = client(&scene);
    let producer = producer(&scene, &sending);
    for round in 0..2u32 {
        send_numbered(&producer, &topic, 10).await;
        for dir in &dirs {
            let client = client(&scene);
            let (handler, mut heard) = listener();
            let consumer = from_first(&client, &group, &topic)
                .broadcasting(dir.path())
                .start(handler)
                .await
                .expect("it starts");
            let numbers: BTreeSet<u32> = heard.numbers(10).await.into_iter().collect();
            assert_eq!(numbers, (0..10).collect(), "round {round}");
            consumer.close().await;
            assert!(heard.0.recv().await.is_none(), "round {round}: more than was new came");
            client.close().await;
        }
    }
}

pub(crate) async fn a_stream_gives_messages_and_settles_them(scene: Scene) {
    let client = client(&scene);
    let topic = scene.name("topic");
    send_numbered(&producer(&scene, &client), &topic, 10).await;
    let (consumer, mut stream) =
        from_first(&client, &scene.name("group"), &topic).stream().await.expect("it starts");
    let mut done = BTreeSet::new();
    let mut dropped = false;
    while done.len() < 10 {
        let delivery = timeout(PATIENCE, stream.next()).await.expect("in time").expect("the stream goes on");
        let n = number(delivery.message());
        if n == 3 && !dropped {
            // Undecided: it comes again.
            dropped = true;
            drop(delivery);
            continue;
        }
        assert!(done.insert(n), "{n} came twice");
        assert_eq!(delivery.message().reconsume_times(), i32::from(n == 3));
        delivery.done().await;
    }
    consumer.close().await;
    assert!(stream.next().await.is_none(), "the stream goes on after the end");
}

/// Waits until it is so.
async fn until(mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("in time");
}
