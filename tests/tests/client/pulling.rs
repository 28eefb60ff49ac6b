//! A consumer that asks for messages.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ferromq_client::{ConsumeFrom, Filter, MessageQueue, PullConsumer, Received};
use ferromq_model::{QueueOffset, Timestamp};
use ferromq_tests::suite::Scene;
use tokio::time::{Instant, timeout};

use crate::consuming::{PATIENCE, client, number, producer, send_numbered};

#[path = "../../../core/client/examples/pull.rs"]
#[allow(dead_code, reason = "an example is a program")]
mod pull_example;
#[path = "../../../core/client/examples/push.rs"]
#[allow(dead_code, reason = "an example is a program")]
mod push_example;

/// Polls until `count` messages came.
pub(crate) async fn poll(consumer: &PullConsumer, count: usize) -> Vec<Received> {
    let deadline = Instant::now() + PATIENCE;
    let mut came = Vec::new();
    while came.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} came", came.len());
        came.extend(consumer.poll(Duration::from_secs(1)).await.expect("it is open"));
    }
    came
}

/// The queues of a topic that was just made: NameServers may hear of it a little later.
async fn queues_of(consumer: &PullConsumer, topic: &str) -> Vec<MessageQueue> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match consumer.queues(topic).await {
            Ok(queues) if !queues.is_empty() => return queues,
            known => assert!(Instant::now() < deadline, "{known:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn numbers<'a>(messages: impl IntoIterator<Item = &'a Received>) -> BTreeSet<u32> {
    messages.into_iter().map(number).collect()
}

/// Where the messages of each queue lie.
fn offsets(messages: &[Received]) -> BTreeMap<MessageQueue, Vec<u64>> {
    let mut offsets: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for message in messages {
        offsets.entry(message.queue().clone()).or_default().push(message.queue_offset().0);
    }
    offsets
}

pub(crate) async fn assigned_queues_are_read_in_order_and_go_on_where_they_were_committed(scene: Scene) {
    let client = client(&scene);
    let (topic, group) = (scene.name("topic"), scene.name("group"));
    let producer = producer(&scene, &client);
    send_numbered(&producer, &topic, 40).await;
    let builder = client.pull_consumer(&group).consume_from(ConsumeFrom::First).auto_commit(None);
    let consumer = builder.clone().start().await.expect("it starts");
    let queues = queues_of(&consumer, &topic).await;
    consumer.assign(queues.clone(), &Filter::all()).await.expect("they may be assigned");
    let came = poll(&consumer, 40).await;
    assert_eq!((numbers(&came), came.len()), ((0..40).collect(), 40));
    for (queue, offsets) in offsets(&came) {
        assert!(offsets.is_sorted(), "{queue}: {offsets:?}");
        let max = consumer.max_offset(&queue).await.expect("an offset");
        assert_eq!((consumer.position(&queue).unwrap(), max.0), (Some(max), offsets.len() as u64));
        assert_eq!(consumer.min_offset(&queue).await.expect("an offset"), QueueOffset(0));
        // Brokers of 4.x take a group that they do not know to be at the start of a young queue.
        let committed = consumer.committed(&queue).await.expect("an answer").unwrap_or_default();
        assert_eq!(committed, QueueOffset(0));
    }
    consumer.commit().await.expect("it is stored");
    consumer.close().await;
    send_numbered(&producer, &topic, 5).await;
    let consumer = builder.start().await.expect("it starts");
    consumer.assign(queues.clone(), &Filter::all()).await.expect("they may be assigned");
    let came = poll(&consumer, 5).await;
    assert_eq!((numbers(&came), came.len()), ((0..5).collect(), 5));
    for queue in queues {
        let committed = consumer.committed(&queue).await.expect("an answer").expect("it was committed");
        assert!(committed <= consumer.position(&queue).unwrap().expect("it has begun"));
    }
    client.close().await;
}

pub(crate) async fn the_application_goes_where_it_likes_in_a_queue(scene: Scene) {
    let client = client(&scene);
    let topic = scene.name("topic");
    let producer = producer(&scene, &client);
    send_numbered(&producer, &topic, 1).await;
    let consumer = client.pull_consumer(&scene.name("group")).start().await.expect("it starts");
    let queue = queues_of(&consumer, &topic).await.remove(0);
    let mut messages = Vec::new();
    for n in 0..10 {
        let message = ferromq_client::Message::new(&topic, n.to_string()).expect("a message");
        messages.push(producer.send_to(&queue, message).await.expect("it is stored"));
    }
    let first = messages[0].offset;
    consumer.assign(vec![queue.clone()], &Filter::all()).await.expect("it may be assigned");
    consumer.seek(&queue, first).expect("it is assigned");
    assert_eq!(numbers(&poll(&consumer, 10).await), (0..10).collect());
    consumer.seek(&queue, first.plus(7)).expect("it is assigned");
    assert_eq!(numbers(&poll(&consumer, 3).await), (7..10).collect());
    let stored = {
        consumer.seek(&queue, first.plus(4)).expect("it is assigned");
        poll(&consumer, 6).await[0].stored()
    };
    let found = consumer.offset_of(&queue, stored).await.expect("an offset");
    assert!(found <= first.plus(4), "{found} is behind what was stored then");
    consumer.seek_to_time(&queue, Timestamp(0)).await.expect("it is assigned");
    assert!(poll(&consumer, 10).await[0].queue_offset() <= first);
    consumer.pause(std::slice::from_ref(&queue)).expect("it is assigned");
    consumer.seek_to_first(&queue).await.expect("it is assigned");
    assert!(consumer.poll(Duration::from_millis(500)).await.expect("it is open").is_empty(), "it is paused");
    consumer.resume(std::slice::from_ref(&queue)).expect("it is assigned");
    assert!(poll(&consumer, 10).await[0].queue_offset() <= first);
    consumer.seek_to_end(&queue).await.expect("it is assigned");
    let asked =
        consumer.pull(&queue, &Filter::all(), first.plus(8), 32, Duration::ZERO).await.expect("an answer");
    assert_eq!(numbers(&asked.messages), BTreeSet::from([8, 9]));
    assert_eq!((asked.next, asked.max), (first.plus(10), first.plus(10)));
    let beyond = consumer.pull(&queue, &Filter::all(), first.plus(100), 32, Duration::ZERO).await;
    let beyond = beyond.expect("an answer");
    assert_eq!((beyond.messages.len(), beyond.next), (0, first.plus(10)));
    consumer.close().await;
    client.close().await;
}

pub(crate) async fn a_filter_goes_with_each_request_for_an_assigned_queue(scene: Scene) {
    let client = client(&scene);
    let topic = scene.name("topic");
    send_numbered(&producer(&scene, &client), &topic, 20).await;
    let builder = client.pull_consumer(&scene.name("group")).consume_from(ConsumeFrom::First);
    let consumer = builder.auto_commit(None).start().await.expect("it starts");
    let queues = queues_of(&consumer, &topic).await;
    consumer.assign(queues.clone(), &Filter::tags("odd")).await.expect("they may be assigned");
    let odd: BTreeSet<u32> = (0..20).filter(|n| n % 2 == 1).collect();
    assert_eq!(numbers(&poll(&consumer, 10).await), odd);
    // Another filter begins anew, where the group is: nothing was committed.
    let small = Filter::sql("n < 5").expect("an expression");
    consumer.assign(queues, &small).await.expect("they may be assigned");
    assert_eq!(numbers(&poll(&consumer, 5).await), (0..5).collect());
    consumer.close().await;
    client.close().await;
}

pub(crate) async fn members_that_ask_share_the_queues_and_hand_them_over(scene: Scene) {
    let (first_client, second_client) = (client(&scene), client(&scene));
    let (topic, group) = (scene.name("topic"), scene.name("group"));
    let producer = producer(&scene, &first_client);
    send_numbered(&producer, &topic, 1).await;
    let member = async |client: &ferromq_client::Client| {
        let builder = client.pull_consumer(&group).consume_from(ConsumeFrom::First);
        builder.subscribe(&topic, Filter::all()).start().await.expect("it starts")
    };
    let first = member(&first_client).await;
    let second = member(&second_client).await;
    let all: BTreeSet<_> = queues_of(&first, &topic).await.into_iter().collect();
    let shared = async {
        loop {
            let (ours, theirs) = (first.assigned(), second.assigned());
            let both: BTreeSet<_> = ours.iter().chain(&theirs).cloned().collect();
            if ours.len() + theirs.len() == all.len() && both == all && ours.len() == theirs.len() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, shared).await.expect("they share the queues");
    send_numbered(&producer, &topic, 40).await;
    let mut came = poll(&first, 1).await;
    came.extend(poll(&second, 1).await);
    // What this one polled is committed as it goes, and it takes the rest along.
    second.close().await;
    let rest = async {
        while numbers(&came).len() < 40 || first.assigned().len() < all.len() {
            came.extend(first.poll(Duration::from_secs(1)).await.expect("it is open"));
        }
    };
    timeout(PATIENCE, rest).await.expect("every message and every queue comes");
    first.close().await;
    second_client.close().await;
    first_client.close().await;
}

pub(crate) async fn the_examples_that_consume_run(scene: Scene) {
    let client = client(&scene);
    let topic = scene.name("topic");
    send_numbered(&producer(&scene, &client), &topic, 10).await;
    let consumer = client.pull_consumer(&scene.name("group")).start().await.expect("it starts");
    queues_of(&consumer, &topic).await;
    consumer.close().await;
    assert_eq!(pull_example::pull(&client, &topic).await.expect("it runs to its end"), 10);
    let end = tokio::time::sleep(Duration::from_secs(1));
    push_example::push(&client, &topic, end).await.expect("it runs to its end");
    client.close().await;
}
