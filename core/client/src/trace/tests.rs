use std::sync::Arc;
use std::time::Duration;

use ferromq_model::message::find_property;
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::header::{Header as _, SendMessage};
use parking_lot::Mutex;

use super::*;
use crate::client::Client;
use crate::fake::{FakeServer, PATIENCE, Reaction, patient};
use crate::message::Message;

/// Topic, `KEYS` and body of what was sent.
type Sent = Arc<Mutex<Vec<(String, String, String)>>>;

/// A broker that stores what is sent to topics `T` and `Traces`, and its NameServer. Messages for `T` get this answer on
/// top.
async fn cluster(on_top: &'static [(&'static str, &'static str)]) -> (Sent, Vec<FakeServer>) {
    let sent = Sent::default();
    let seen = Arc::clone(&sent);
    let broker = FakeServer::start(move |command| {
        let sends = [RequestCode::SendMessageV2, RequestCode::SendBatchMessage];
        if !command.request_code().is_some_and(|code| sends.contains(&code)) {
            return Reaction::ok();
        }
        let send = SendMessage::decode(&command.fields).expect("a whole header");
        let keys = find_property(send.properties, property::KEYS).unwrap_or_default();
        let body = String::from_utf8_lossy(command.body).into_owned();
        seen.lock().push((send.topic.to_owned(), keys.to_owned(), body));
        let place = "7F00000100002A9F0000000000000457";
        let count = if send.batch { 2 } else { 1 };
        let mut fields = vec![
            ("msgId", vec![place; count].join(",")),
            ("queueId", "0".to_owned()),
            ("queueOffset", "17".to_owned()),
        ];
        if send.topic == "T" {
            fields.extend(on_top.iter().map(|(name, value)| (*name, (*value).to_owned())));
        }
        Reaction::Answer(ResponseCode::Success, fields, Vec::new())
    })
    .await;
    let names = FakeServer::naming(&broker, 1, &[]).await;
    (sent, vec![names, broker])
}

fn client(servers: &[FakeServer], config: TraceConfig) -> Client {
    patient(&servers[0].address()).trace(config.topic("Traces")).build().expect("valid settings")
}

/// The fields of every record of the trace topic.
fn records(sent: &Sent) -> Vec<Vec<String>> {
    let sent = sent.lock();
    let bodies = sent.iter().filter(|(topic, ..)| topic == "Traces").map(|(.., body)| body);
    let records = bodies.flat_map(|body| body.split_terminator('\u{2}'));
    records.map(|record| record.split('\u{1}').map(str::to_owned).collect()).collect()
}

#[tokio::test]
async fn what_is_sent_is_told_as_official_producers_tell_it() {
    let (sent, servers) = cluster(&[("MSG_REGION", "north")]).await;
    // Closing sends what still lingers.
    let client = client(&servers, TraceConfig::default().linger(Duration::from_secs(3600)));
    let producer = client.producer("G").send_timeout(PATIENCE).build().unwrap();
    let message = Message::builder("T").body("hello").tag("A").key("k1").key("k2").build().unwrap();
    let receipt = producer.send(message.clone()).await.unwrap();
    let later = Message::builder("T").body("x").delay_level(3).build().unwrap();
    producer.send(later).await.unwrap();
    let batch = producer.send_batch(vec![message.clone(), message]).await.unwrap();
    producer.send(Message::new("Traces", "about itself").unwrap()).await.unwrap();
    assert!(records(&sent).iter().all(|record| record.len() < 2), "nothing is told yet");
    producer.close().await;
    client.close().await;
    let records: Vec<_> = records(&sent).into_iter().filter(|record| record.len() > 1).collect();
    let [first, delayed, both @ ..] = &records[..] else { panic!("{records:?}") };
    let broker = &*servers[1].address();
    let place = "7F00000100002A9F0000000000000457";
    let expected = |id: &str| {
        let fields = ["Pub", "", "north", "G", "T", id, "A", "k1 k2", broker, "5", "", "0", place, "true"];
        fields.map(str::to_owned).to_vec()
    };
    let without_times = |record: &[String]| {
        let mut record = record.to_vec();
        (record[1], record[10]) = (String::new(), String::new());
        record
    };
    assert_eq!(without_times(first), expected(receipt.message_id.as_str()));
    assert_eq!((&*delayed[6], &*delayed[7], &*delayed[11]), ("null", "null", "3"));
    assert_eq!(both.len(), 2);
    for (record, receipt) in both.iter().zip(batch) {
        assert_eq!(without_times(record), expected(receipt.message_id.as_str()));
    }
    let sent = sent.lock();
    let (_, keys, _) = sent.last().expect("the trace");
    assert!(keys.contains(receipt.message_id.as_str()) && keys.contains("k1") && keys.contains("k2"));
}

#[tokio::test]
async fn a_broker_may_forbid_to_tell() {
    let (sent, servers) = cluster(&[("TRACE_ON", "false")]).await;
    let client = client(&servers, TraceConfig::default());
    let producer = client.producer("G").send_timeout(PATIENCE).build().unwrap();
    producer.send(Message::new("T", "hello").unwrap()).await.unwrap();
    client.close().await;
    assert!(records(&sent).is_empty());
}

#[tokio::test]
async fn what_finds_no_room_is_lost_and_counted() {
    let tracer = Tracer::new(&TraceConfig::default().max_waiting(2)).unwrap();
    let message = TracedMessage { topic: "T", id: "M1", tags: None, keys: None };
    let record =
        TraceRecord::Recalled { time: Timestamp(1), region: "r", group: "G", message, success: true };
    // Two messages of a hundred, and nobody who sends them.
    for _ in 0..250 {
        tracer.note(&record);
    }
    assert_eq!(tracer.lost(), 50);
}

#[tokio::test]
async fn records_are_sent_when_they_have_lingered() {
    let (sent, servers) = cluster(&[]).await;
    let client = client(&servers, TraceConfig::default().linger(Duration::from_millis(1)));
    let producer = client.producer("G").send_timeout(PATIENCE).build().unwrap();
    for told in 1..4 {
        producer.send(Message::new("T", "hello").unwrap()).await.unwrap();
        tokio::time::timeout(Duration::from_secs(60), async {
            while records(&sent).len() < told {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("it is told");
    }
}

#[tokio::test]
async fn closing_waits_for_what_is_being_sent() {
    let traces = Arc::new(AtomicUsize::new(0));
    let came = Arc::clone(&traces);
    let broker = FakeServer::start(move |command| match command.fields.find("b") {
        // The first is as good as lost.
        Some("Traces") if came.fetch_add(1, Ordering::SeqCst) == 0 => Reaction::Silence,
        _ => {
            let place = ("msgId", "7F00000100002A9F0000000000000457".to_owned());
            let fields = vec![place, ("queueId", "0".to_owned()), ("queueOffset", "17".to_owned())];
            Reaction::Answer(ResponseCode::Success, fields, Vec::new())
        }
    })
    .await;
    let names = FakeServer::naming(&broker, 1, &[]).await;
    let told = TraceConfig::default().topic("Traces").linger(Duration::from_millis(1));
    let client = patient(&names.address()).call_timeout(Duration::from_secs(2)).trace(told).build();
    let client = client.expect("valid settings");
    let producer = client.producer("G").send_timeout(PATIENCE).build().unwrap();
    producer.send(Message::new("T", "hello").unwrap()).await.unwrap();
    let begun = async {
        while traces.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, begun).await.expect("it is told");
    client.close().await;
    assert!(traces.load(Ordering::SeqCst) > 1, "it is tried again, and not forgotten");
}
