//! A consumer that leases messages; brokers of 4.x have no leases, and the client says so.

use std::collections::BTreeSet;
use std::time::Duration;

use ferromq_client::{
    Client, Filter, Leased, Message, PopConsumer, PopConsumerBuilder, PopError, Producer, Remedy,
};
use ferromq_tests::suite::Scene;
use tokio::time::Instant;

use crate::consuming::{PATIENCE, client, number, producer, send_numbered};

#[path = "../../../core/client/examples/pop.rs"]
#[allow(dead_code, reason = "an example is a program")]
mod pop_example;

/// How long receiving waits at a time.
const A_WHILE: Duration = Duration::from_secs(1);
/// Long enough for all that is done while messages are leased, short enough to wait for its end.
const LEASE: Duration = Duration::from_secs(40);

/// A consumer from the oldest message on; none on a server without leases, once it has said so.
async fn start(scene: &Scene, builder: PopConsumerBuilder) -> Option<PopConsumer> {
    let consumer = builder.from_oldest().start().await.expect("it joins");
    if !scene.is_4() {
        return Some(consumer);
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        match consumer.receive(1, A_WHILE).await {
            Err(error @ PopError::NotSupported { .. }) => {
                assert_eq!(error.remedy(), Remedy::AskOperator);
                break;
            }
            // NameServers may hear of the topic a little later.
            Err(PopError::Route(error)) => assert!(Instant::now() < deadline, "{error}"),
            other => panic!("{other:?}"),
        }
    }
    consumer.close().await;
    None
}

/// Receives until `count` messages came.
async fn receive(consumer: &PopConsumer, count: usize) -> Vec<Leased> {
    let deadline = Instant::now() + PATIENCE;
    let mut came = Vec::new();
    while came.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} came", came.len());
        match consumer.receive(32, A_WHILE).await {
            Ok(more) => came.extend(more),
            // NameServers may hear of the topic a little later.
            Err(PopError::Route(error)) => assert!(Instant::now() < deadline, "{error}"),
            Err(error) => panic!("{error}"),
        }
    }
    came
}

fn numbers<'a>(leases: impl IntoIterator<Item = &'a Leased>) -> BTreeSet<u32> {
    leases.into_iter().map(|leased| number(leased.message())).collect()
}

async fn with_messages(scene: &Scene, count: u32) -> (Client, Producer, String) {
    let client = client(scene);
    let topic = scene.name("topic");
    let producer = producer(scene, &client);
    send_numbered(&producer, &topic, count).await;
    (client, producer, topic)
}

pub(crate) async fn a_leased_message_is_nobody_elses_and_an_acknowledged_one_does_not_come_again(
    scene: Scene,
) {
    let (first_client, _producer, topic) = with_messages(&scene, 40).await;
    let second_client = client(&scene);
    let group = scene.name("group");
    let member = |client: &Client| {
        let builder = client.pop_consumer(&group).subscribe(&topic, Filter::all());
        builder.invisible_time(LEASE)
    };
    let Some(first) = start(&scene, member(&first_client)).await else { return };
    let second = start(&scene, member(&second_client)).await.expect("the server has leases");
    let mut came = receive(&first, 10).await;
    if came.len() < 40 {
        let rest = 40 - came.len();
        came.extend(receive(&second, rest).await);
    }
    assert_eq!((numbers(&came), came.len()), ((0..40).collect(), 40));
    for leased in &came {
        assert_eq!(leased.message().topic(), topic);
        assert_eq!(leased.message().reconsume_times(), 0);
    }
    // All but one, some by one and some together. That one comes again.
    came.sort_by_key(|leased| number(leased.message()));
    let mut left = came.remove(0);
    let together = came.split_off(10);
    for leased in &came {
        leased.ack().await.expect("it is done");
    }
    came[0].ack().await.expect("to say so twice does no harm");
    second.ack_all(together).await.expect("they are done");
    // Were the others not done, they would come before it.
    left.change_invisible(LEASE + Duration::from_secs(10)).await.expect("it is leased");
    let again = receive(&second, 1).await;
    assert_eq!((numbers(&again), again.len()), (BTreeSet::from([0]), 1));
    assert_eq!(again[0].message().topic(), topic);
    assert_eq!(again[0].message().message_id(), left.message().message_id());
    assert_eq!(again[0].message().reconsume_times(), 1);
    // What came again is acknowledged in the topic that it came from.
    first.ack_all(again).await.expect("it is done");
    first.close().await;
    assert!(second.receive(32, A_WHILE).await.expect("an answer").is_empty());
    second.close().await;
    second_client.close().await;
    first_client.close().await;
}

pub(crate) async fn a_lease_that_is_prolonged_lasts(scene: Scene) {
    let (client, _producer, topic) = with_messages(&scene, 8).await;
    let builder = client.pop_consumer(&scene.name("group")).subscribe(&topic, Filter::all());
    let Some(consumer) = start(&scene, builder.invisible_time(LEASE)).await else { return };
    let mut came = receive(&consumer, 8).await;
    assert_eq!((numbers(&came), came.len()), ((0..8).collect(), 8));
    came.sort_by_key(|leased| number(leased.message()));
    for leased in &mut came[..4] {
        let before = leased.receipt().clone();
        leased.change_invisible(Duration::from_secs(600)).await.expect("it is leased");
        assert_ne!(*leased.receipt(), before);
        assert_eq!(leased.receipt().lasts().0, 600_000);
    }
    // The others end; these are still the application's then.
    let again = receive(&consumer, 4).await;
    assert_eq!((numbers(&again), again.len()), ((4..8).collect(), 4));
    consumer.ack_all(again).await.expect("they are done");
    consumer.ack_all(came.drain(..4).collect()).await.expect("their new receipts count");
    consumer.close().await;
    client.close().await;
}

pub(crate) async fn a_filter_goes_with_each_lease(scene: Scene) {
    let (client, _producer, topic) = with_messages(&scene, 20).await;
    let odd = client.pop_consumer(&scene.name("odd")).subscribe(&topic, Filter::tags("odd || other"));
    let Some(odd) = start(&scene, odd).await else { return };
    let came = receive(&odd, 10).await;
    assert_eq!((numbers(&came), came.len()), ((0..20).filter(|n| n % 2 == 1).collect(), 10));
    odd.ack_all(came).await.expect("they are done");
    let filter = Filter::sql("n < 5").expect("an expression");
    let small = client.pop_consumer(&scene.name("small")).subscribe(&topic, filter);
    let small = start(&scene, small).await.expect("the server has leases");
    let came = receive(&small, 5).await;
    assert_eq!((numbers(&came), came.len()), ((0..5).collect(), 5));
    small.ack_all(came).await.expect("they are done");
    odd.close().await;
    small.close().await;
    client.close().await;
}

pub(crate) async fn leased_in_order_nothing_passes_a_message_that_is_out(scene: Scene) {
    let client = client(&scene);
    let topic = scene.name("topic");
    let producer = producer(&scene, &client);
    let mut queue = None;
    for n in 0..6u32 {
        let message = Message::new(&topic, n.to_string()).expect("a message");
        let receipt = match &queue {
            None => producer.send(message).await,
            Some(queue) => producer.send_to(queue, message).await,
        };
        queue = Some(receipt.expect("it is stored").queue);
    }
    let builder = client.pop_consumer(&scene.name("group")).subscribe(&topic, Filter::all()).in_order();
    let Some(consumer) = start(&scene, builder.invisible_time(Duration::from_secs(300))).await else {
        return;
    };
    let deadline = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    while seen.len() < 6 {
        assert!(Instant::now() < deadline, "{seen:?} came");
        let came = consumer.receive(2, A_WHILE).await.expect("an answer");
        if !came.is_empty() {
            let others = consumer.receive(2, Duration::from_millis(200)).await.expect("an answer");
            assert!(others.is_empty(), "{others:?} passed {came:?}");
        }
        seen.extend(came.iter().map(|leased| number(leased.message())));
        consumer.ack_all(came).await.expect("they are done");
    }
    assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
    consumer.close().await;
    client.close().await;
}

pub(crate) async fn the_example_that_leases_runs(scene: Scene) {
    let (client, _producer, topic) = with_messages(&scene, 10).await;
    // Until the NameServer knows the topic, which it may hear of a little later.
    let knowing = client.pop_consumer(&scene.name("group")).subscribe(&topic, Filter::all());
    let Some(knowing) = start(&scene, knowing).await else { return };
    let known = receive(&knowing, 10).await;
    knowing.ack_all(known).await.expect("they are done");
    knowing.close().await;
    // It ends when nothing comes for a second, which a busy broker may need before it answers.
    let (deadline, mut done) = (Instant::now() + PATIENCE, 0);
    while done < 10 && Instant::now() < deadline {
        done += pop_example::pop(&client, &topic).await.expect("it runs to its end");
    }
    assert_eq!(done, 10);
    client.close().await;
}
