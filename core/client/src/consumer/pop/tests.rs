use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferromq_model::{GroupName, Millis, QueueId, QueueOffset, Timestamp, TopicName};
use ferromq_protocol::body::{BatchAckRequest, decode};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::header::{Header as _, PopMessage, PopMessageResponse};
use parking_lot::Mutex;
use proptest::prelude::{Strategy, any, prop};
use proptest::{prop_assert, prop_assert_eq, proptest};
use serde_json::json;

use super::receipt::{Infos, Origin, Receipt, with_receipts};
use super::{PopConsumer, PopError};
use crate::client::Client;
use crate::consumer::Filter;
use crate::error::Remedy;
use crate::fake::{FakeServer, Reaction, patient, record};
use crate::queue::MessageQueue;
use crate::received::Received;

fn received(queue: u32, offset: u64, properties: &str) -> Received {
    let from =
        MessageQueue { topic: TopicName::new("T1").unwrap(), broker: "broker-a".into(), id: QueueId(0) };
    Received::read(&Bytes::from(record("T1", queue, offset, b"hello", &[properties])), &from).unwrap()
}

fn answer<'a>(starts: &'a str, offsets: &'a str, order_counts: Option<&'a str>) -> PopMessageResponse<'a> {
    PopMessageResponse {
        popped: Timestamp(1_700_000_000_000),
        invisible: Millis(60_000),
        revive_queue: 3,
        rest: 0,
        starts,
        offsets,
        order_counts,
    }
}

/// The receipts that messages get, and how often they were delivered before.
fn receipts(messages: &[Received], answer: &PopMessageResponse<'_>) -> Option<Vec<(String, i32)>> {
    let leases = with_receipts(messages, answer, &"broker-a".into())?;
    Some(leases.iter().map(|(message, receipt)| (receipt.to_string(), message.reconsume_times())).collect())
}

#[test]
fn receipts_are_made_of_what_the_answer_says_of_each_queue() {
    let messages = [received(0, 12, ""), received(0, 13, ""), received(3, 7, "")];
    let made = receipts(&messages, &answer("0 0 12;0 3 7", "0 0 12,13;0 3 7", None)).unwrap();
    let expected = [
        "12 1700000000000 60000 3 0 broker-a 0 12",
        "12 1700000000000 60000 3 0 broker-a 0 13",
        "7 1700000000000 60000 3 0 broker-a 3 7",
    ];
    assert_eq!(made, expected.map(|text| (text.to_owned(), 0)));
}

#[test]
fn what_comes_from_a_retry_topic_brings_its_receipt_along() {
    let carried = "4 1700000000001 60000 5 1 broker-a 0 4";
    let retried = received(0, 4, &format!("POP_CK\u{1}{carried}\u{2}"));
    let messages = [received(0, 4, ""), retried];
    let made = receipts(&messages, &answer("0 0 4;1 0 4", "0 0 4;1 0 4", None)).unwrap();
    assert_eq!(made[0].0, "4 1700000000000 60000 3 0 broker-a 0 4");
    assert_eq!(made[1].0, carried);
    // One without room for it is found by its offset.
    let made = receipts(&[received(0, 9, "")], &answer("0 0 4;2 0 8", "0 0 4;2 0 8,9", None)).unwrap();
    assert_eq!(made[0].0, "8 1700000000000 60000 3 2 broker-a 0 9");
}

#[test]
fn seven_fields_are_a_receipt_too() {
    let retried = received(2, 101, "POP_CK\u{1}100 1700000000000 60000 3 1 broker-a 2\u{2}");
    let made = receipts(&[retried], &answer("", "", None)).unwrap();
    assert_eq!(made[0].0, "100 1700000000000 60000 3 1 broker-a 2 101");
    // An answer without infos: counted from the first message of the queue.
    let made = receipts(&[received(1, 5, ""), received(1, 8, "")], &answer("", "", None)).unwrap();
    assert_eq!(made[1].0, "5 1700000000000 60000 3 0 broker-a 1 8");
    for bad in ["", "1 2 3", "-1 2 3 4 0 b 5", "1 2 3 4 9 b 5", "1 2 3 4 0  5", "1 2 3 4 0 b 5 6 7"] {
        assert_eq!(Receipt::parse(bad, QueueOffset(0)), None, "{bad}");
    }
}

#[test]
fn in_order_the_answer_says_how_often_a_message_was_delivered() {
    let messages = [received(0, 12, ""), received(0, 13, ""), received(3, 7, "")];
    let counts = Some("0 0 1;0 qo0%13 2;0 3 0");
    let made = receipts(&messages, &answer("0 0 12;0 3 7", "0 0 12,13;0 3 7", counts)).unwrap();
    assert_eq!(made.iter().map(|(_, times)| *times).collect::<Vec<_>>(), [1, 2, 0]);
}

#[test]
fn a_message_without_a_place_is_left_out_and_infos_that_are_none_refuse_the_answer() {
    let stray = [received(0, 12, ""), received(5, 1, "")];
    assert_eq!(receipts(&stray, &answer("0 0 12", "0 0 12", None)).unwrap().len(), 1);
    for bad in ["0", "0 0", "x 0 1", "0 x 1", "0 0 x", "0 0 1 2", "0 0 -1", "3 0 1"] {
        assert_eq!(Infos::parse(bad, "", ""), None, "{bad}");
        assert_eq!(Infos::parse("", bad, ""), None, "{bad}");
    }
    for bad in ["0 qo1 1", "0 qo1%x 1", "0 0 x"] {
        assert_eq!(Infos::parse("", "", bad), None, "{bad}");
    }
}

#[test]
fn leases_of_retry_topics_end_there() {
    let (group, topic) = (GroupName::new("CG").unwrap(), TopicName::new("T1").unwrap());
    let of = |origin: Origin| origin.topic(&group, &topic).unwrap().to_string();
    assert_eq!(of(Origin::Topic), "T1");
    assert_eq!(of(Origin::Retry), "%RETRY%CG_T1");
    assert_eq!(of(Origin::RetryV2), "%RETRY%CG+T1");
}

proptest! {
    #[test]
    fn every_message_gets_the_receipt_of_its_queue(
        queues in prop::collection::btree_map(0..64u32, (any::<u32>(), 1..40u64), 1..8),
    ) {
        let join = |part: &dyn Fn(u32, u64, u64) -> String| {
            queues.iter().map(|(q, (start, n))| part(*q, u64::from(*start), *n)).collect::<Vec<_>>().join(";")
        };
        let starts = join(&|queue, start, _| format!("0 {queue} {start}"));
        let offsets = join(&|queue, start, n| {
            let list = (start..start + n).map(|offset| offset.to_string()).collect::<Vec<_>>();
            format!("0 {queue} {}", list.join(","))
        });
        let mut messages = Vec::new();
        for (queue, (start, n)) in &queues {
            messages.extend((0..*n).map(|n| received(*queue, u64::from(*start) + n, "")));
        }
        let leases = with_receipts(&messages, &answer(&starts, &offsets, None), &"b".into()).unwrap();
        prop_assert_eq!(leases.len(), messages.len());
        for (message, receipt) in leases {
            prop_assert_eq!((receipt.queue, receipt.offset), (message.queue().id, message.queue_offset()));
            prop_assert_eq!(receipt.start.0, u64::from(queues[&receipt.queue.0].0));
            prop_assert_eq!(Receipt::parse(&receipt.to_string(), QueueOffset(0)), Some(receipt));
        }
    }

    #[test]
    fn no_text_is_too_much(texts in prop::array::uniform3("[012qo%,; -]{0,40}".prop_map(|text: String| text))) {
        let [starts, offsets, counts] = &texts;
        let messages = [received(0, 1, ""), received(1, 0, &format!("POP_CK\u{1}{starts}\u{2}"))];
        let leases = with_receipts(&messages, &answer(starts, offsets, Some(counts)), &"b".into());
        prop_assert!(leases.is_none_or(|leases| leases.len() <= messages.len()));
    }
}

/// What a broker was asked.
type Asked = Arc<Mutex<Vec<(RequestCode, HashMap<String, String>, Vec<u8>)>>>;

/// A consumer of `T1`, which one fake server has that knows pops or not, and what that was asked.
async fn consumer(pops: bool, filter: Filter) -> (Client, PopConsumer, Asked, Vec<FakeServer>) {
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    let popped = Mutex::new(false);
    let broker = FakeServer::start(move |command| {
        let code = command.request_code().unwrap();
        let fields = ["consumeType", "offset", "extraInfo", "initMode", "exp", "queueId"];
        let found = fields.iter().filter_map(|name| {
            let value = command.fields.find(name)?;
            Some(((*name).to_owned(), value.to_owned()))
        });
        seen.lock().push((code, found.collect(), command.body.to_vec()));
        match code {
            RequestCode::PopMessage if !pops => {
                Reaction::Answer(ResponseCode::RequestCodeNotSupported, Vec::new(), Vec::new())
            }
            RequestCode::PopMessage => {
                PopMessage::decode(&command.fields).unwrap();
                let mut fields = vec![
                    ("popTime", "1700000000000".to_owned()),
                    ("invisibleTime", "60000".to_owned()),
                    ("reviveQid", "3".to_owned()),
                    ("restNum", "0".to_owned()),
                ];
                if std::mem::replace(&mut *popped.lock(), true) {
                    return Reaction::Answer(ResponseCode::PollingTimeout, fields, Vec::new());
                }
                fields.push(("startOffsetInfo", "0 0 100".to_owned()));
                fields.push(("msgOffsetInfo", "0 0 100,109".to_owned()));
                let mut records = record("T1", 0, 100, b"hello", &["TAGS\u{1}Aa\u{2}"]);
                records.extend(record("T1", 0, 109, b"hello", &["TAGS\u{1}BB\u{2}"]));
                Reaction::Answer(ResponseCode::Success, fields, records)
            }
            _ => Reaction::ok(),
        }
    })
    .await;
    let broker_addr = broker.address();
    let name_server = FakeServer::start(move |_| {
        let route = json!({
            "queueDatas": [{"brokerName": "broker-a", "perm": 6, "readQueueNums": 1, "writeQueueNums": 1, "topicSysFlag": 0}],
            "brokerDatas": [{"cluster": "c", "brokerName": "broker-a", "brokerAddrs": {"0": &*broker_addr}}],
            "filterServerTable": {},
        });
        Reaction::Answer(ResponseCode::Success, Vec::new(), route.to_string().into_bytes())
    })
    .await;
    let client = patient(&name_server.address()).build().unwrap();
    let consumer = client.pop_consumer("CG").subscribe("T1", filter).start().await.unwrap();
    (client, consumer, asked, vec![broker, name_server])
}

fn of(asked: &Asked, code: RequestCode) -> Vec<(HashMap<String, String>, Vec<u8>)> {
    let asked = asked.lock();
    asked.iter().filter(|ask| ask.0 == code).map(|ask| (ask.1.clone(), ask.2.clone())).collect()
}

#[tokio::test]
async fn a_broker_without_leases_is_an_error_that_says_so() {
    let (client, consumer, _, _servers) = consumer(false, Filter::all()).await;
    let refused = consumer.receive(32, Duration::from_secs(60)).await.unwrap_err();
    assert!(matches!(refused, PopError::NotSupported { .. }), "{refused:?}");
    assert_eq!(refused.remedy(), Remedy::AskOperator);
    let refused = consumer.receive(33, Duration::ZERO).await.unwrap_err();
    assert_eq!(refused.remedy(), Remedy::FixCall);
    consumer.close().await;
    client.close().await;
}

#[tokio::test]
async fn what_only_has_the_hash_of_a_wanted_tag_is_acknowledged_and_not_handed_out() {
    let (client, consumer, asked, _servers) = consumer(true, Filter::tags("Aa")).await;
    let heard = of(&asked, RequestCode::HeartBeat);
    assert!(String::from_utf8_lossy(&heard[0].1).contains("CONSUME_POP"));
    let came = consumer.receive(32, Duration::from_secs(60)).await.unwrap();
    assert_eq!(came.iter().map(|l| l.message().queue_offset().0).collect::<Vec<_>>(), [100]);
    let popped = &of(&asked, RequestCode::PopMessage)[0].0;
    assert_eq!([&popped["queueId"], &popped["initMode"], &popped["exp"]], ["-1", "1", "Aa"]);
    let acked = &of(&asked, RequestCode::AckMessage)[0].0;
    assert_eq!(acked["offset"], "109");
    assert_eq!(acked["extraInfo"], "100 1700000000000 60000 3 0 broker-a 0 109");
    assert!(consumer.receive(32, Duration::ZERO).await.unwrap().is_empty());
    consumer.close().await;
    assert_eq!(of(&asked, RequestCode::UnregisterClient).len(), 1);
    client.close().await;
}

#[tokio::test]
async fn messages_of_one_pop_are_acknowledged_with_one_request() {
    let (client, consumer, asked, _servers) = consumer(true, Filter::all()).await;
    let came = consumer.receive(32, Duration::from_secs(60)).await.unwrap();
    consumer.ack_all(came).await.unwrap();
    assert!(of(&asked, RequestCode::AckMessage).is_empty());
    let batches = of(&asked, RequestCode::BatchAckMessage);
    let expected = r#"{"acks":[{"b":"AQI=","c":"CG","it":60000,"pt":1700000000000,"q":0,"r":"0","rq":3,"so":100,"t":"T1"}],"brokerName":"broker-a"}"#;
    assert_eq!(
        decode::<BatchAckRequest>(&batches[0].1).unwrap(),
        decode::<BatchAckRequest>(expected.as_bytes()).unwrap()
    );
    consumer.close().await;
    client.close().await;
}

#[tokio::test]
async fn closing_ends_the_receives_that_wait_and_leaves_the_group() {
    let (client, consumer, asked, _servers) = consumer(true, Filter::all()).await;
    let leased = consumer.receive(32, Duration::from_secs(60)).await.unwrap();
    let consumer = Arc::new(consumer);
    let waiting = tokio::spawn({
        let consumer = Arc::clone(&consumer);
        async move { consumer.receive(32, Duration::from_secs(60)).await }
    });
    tokio::join!(consumer.close(), consumer.close());
    assert!(matches!(waiting.await.unwrap(), Err(PopError::Closed)));
    assert_eq!(of(&asked, RequestCode::UnregisterClient).len(), 1);
    assert!(matches!(consumer.receive(32, Duration::ZERO).await, Err(PopError::Closed)));
    leased[0].ack().await.expect("what is leased may still be acknowledged");
    client.close().await;
}
