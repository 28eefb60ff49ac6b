//! What a client tells of messages on their way.

use std::collections::BTreeMap;
use std::time::Duration;

use ferromq_client::{ConsumeFrom, Filter, Message, TraceConfig};
use ferromq_model::name::TRACE_TOPIC;
use ferromq_tests::suite::Scene;
use tokio::time::{Instant, timeout};

use crate::consuming::{PATIENCE, builder, client, from_first, listener, producer};

/// Longer than this, closing a client waits for the last of its records no more.
const CLOSED_IN_TIME: Duration = Duration::from_secs(4);

pub(crate) async fn the_trace_of_a_message_tells_its_way(scene: Scene) {
    // Once more if records may have been lost because the broker was too slow.
    let mut turns = 0..4;
    let (topic, group, id) = loop {
        let turn = turns.next().expect("a broker takes records in time");
        let traced = builder(&scene).trace(TraceConfig::default()).build().expect("a client");
        let (topic, group) = (scene.name(&format!("topic-{turn}")), scene.name(&format!("group-{turn}")));
        let producer = producer(&scene, &traced);
        let message = Message::builder(&topic).body("hello").tag("A").key("k1").build().expect("a message");
        let id = producer.send(message).await.expect("it is stored").message_id.to_string();
        let (handler, mut heard) = listener();
        let consumer = from_first(&traced, &group, &topic).start(handler).await.expect("it starts");
        heard.next().await;
        consumer.close().await;
        let closing = Instant::now();
        traced.close().await;
        if closing.elapsed() < CLOSED_IN_TIME {
            break (topic, group, id);
        }
    };

    let reader = client(&scene);
    let records = reader.pull_consumer(&scene.name("reader")).consume_from(ConsumeFrom::First);
    let records = records.start().await.expect("it starts");
    let queues = records.queues(TRACE_TOPIC).await.expect("the broker has the trace topic");
    records.assign(queues, &Filter::all()).await.expect("they may be assigned");
    let mut found = BTreeMap::new();
    let reading = async {
        while found.len() < 3 {
            for message in records.poll(Duration::from_secs(1)).await.expect("it is open") {
                let body = std::str::from_utf8(message.body()).expect("text");
                for record in body.split_terminator('\u{2}') {
                    let fields: Vec<_> = record.split('\u{1}').map(str::to_owned).collect();
                    if fields.contains(&id) {
                        assert!(message.keys().any(|key| key == id), "a query by the id finds the record");
                        found.insert(fields[0].clone(), fields);
                    }
                }
            }
        }
    };
    timeout(PATIENCE, reading).await.expect("everything is told");
    let (sent, before, after) = (&found["Pub"], &found["SubBefore"], &found["SubAfter"]);
    assert_eq!((&sent[4], &*sent[6], &*sent[7], &*sent[13]), (&topic, "A", "k1", "true"));
    assert_eq!(sent[8], scene.broker().to_string());
    assert_eq!((&before[3], &before[4]), (&group, &after[1]));
    assert_eq!((&*after[4], &*after[6]), ("true", "0"));
    reader.close().await;
}
