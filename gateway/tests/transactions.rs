//! Transactions on the wire: the question that a producer is asked, and what an answer means with sync flush.

mod support;

use ferromq_model::Millis;
use ferromq_model::record::Record;
use ferromq_protocol::code::RequestCode::{
    CheckTransactionState, EndTransaction, GetMaxOffset, HeartBeat, SendMessageV2,
};
use ferromq_protocol::frame::Serialization;
use ferromq_store::FlushMode;
use support::{Client, Rig, send_fields};

const HALF: &str = "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}P\u{2}UNIQ_KEY\u{1}U\u{2}";
const PRODUCER: &str = r#"{"clientID":"C","producerDataSet":[{"groupName":"P"}]}"#;

fn half_fields() -> Vec<(&'static str, &'static str)> {
    let mut fields = send_fields("T", "1", HALF);
    fields.iter_mut().filter(|field| field.0 == "f").for_each(|field| field.1 = "4");
    fields
}

/// How the producer ends the transaction whose half message the log has at `half`
fn end_fields<'a>(half: &'a str, at: &'a str, decision: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("producerGroup", "P"),
        ("tranStateTableOffset", at),
        ("commitLogOffset", half),
        ("commitOrRollback", decision),
        ("msgId", "U"),
    ]
}

async fn max_offset(client: &mut Client) -> String {
    let answer = client.ask(GetMaxOffset.code(), &[("topic", "T"), ("queueId", "1")], b"").await;
    answer.field("offset").to_owned()
}

#[tokio::test]
async fn with_sync_flush_each_step_is_answered_once_the_disk_has_it() {
    let rig = Rig::new(FlushMode::Sync);
    let mut client = rig.connect();
    client.ask(SendMessageV2.code(), &send_fields("T", "1", ""), b"first").await;
    rig.host.close_gate();
    let waiting = client.tell(SendMessageV2.code(), &half_fields(), b"half").await;
    assert_eq!(max_offset(&mut client).await, "1");
    rig.host.open_gate();
    let half = client.read().await;
    assert_eq!((half.opaque, half.code, half.field("transactionId")), (waiting, 0, "U"));
    // The second half of a message id is where the message lies.
    let at = u64::from_str_radix(&half.field("msgId")[16..], 16).unwrap().to_string();

    rig.host.close_gate();
    let waiting = client.tell(EndTransaction.code(), &end_fields(&at, "0", "8"), b"").await;
    assert_eq!(max_offset(&mut client).await, "1", "nobody sees what a power cut takes back");
    rig.host.open_gate();
    let ended = client.read().await;
    assert_eq!((ended.opaque, ended.code), (waiting, 0));
    assert_eq!(max_offset(&mut client).await, "2");
}

#[tokio::test]
async fn a_failed_flush_refuses_the_end_of_a_transaction() {
    let rig = Rig::new(FlushMode::Sync);
    let mut client = rig.connect();
    let half = client.ask(SendMessageV2.code(), &half_fields(), b"half").await;
    let at = u64::from_str_radix(&half.field("msgId")[16..], 16).unwrap().to_string();
    rig.host.close_gate();
    let waiting = client.tell(EndTransaction.code(), &end_fields(&at, "0", "8"), b"").await;
    max_offset(&mut client).await;
    rig.host.fail_syncs();
    rig.host.open_gate();
    let refused = client.read().await;
    assert_eq!((refused.opaque, refused.code), (waiting, 14));
    assert_eq!(max_offset(&mut client).await, "0");
}

#[tokio::test]
async fn a_producer_is_asked_how_its_transaction_ended_and_its_answer_ends_it() {
    for serialization in [Serialization::Json, Serialization::Binary] {
        let rig = Rig::with(FlushMode::Async, |config| {
            config.transaction_timeout = Millis(0);
            config.transaction_check_interval = Millis(100);
        });
        let broker = rig.broker.clone();
        let tasks = tokio::spawn(async move { broker.run().await });
        let mut client = rig.connect();
        client.serialization = serialization;
        // Somebody else of the group: whoever sent it is gone.
        let mut sender = rig.connect();
        sender.ask(SendMessageV2.code(), &half_fields(), b"half").await;
        sender.close().await;
        rig.host.advance(Millis(1));
        // The question may come before the answer to this.
        client.tell(HeartBeat.code(), &[], PRODUCER.as_bytes()).await;
        let question = client.told(CheckTransactionState).await;
        for (name, value) in [
            ("topic", "RMQ_SYS_TRANS_HALF_TOPIC"),
            ("msgId", "U"),
            ("transactionId", "U"),
            ("bname", "broker-a"),
        ] {
            assert_eq!(question.field(name), value, "{name}");
        }
        // It speaks of a copy of the half message, which counts how often that was asked for.
        let record = Record::decode(&question.body).unwrap();
        assert_eq!(record.body, b"half");
        let (physical, at) = (record.physical_offset.to_string(), record.queue_offset.to_string());
        assert_eq!(question.field("commitLogOffset"), physical);
        assert_eq!(question.field("tranStateTableOffset"), at);

        let fields = end_fields(&physical, &at, "8");
        let fields = [&fields[..], &[("fromTransactionCheck", "true")]].concat();
        assert_eq!(client.ask_and_answer(EndTransaction.code(), &fields, b"").await.code, 0);
        let queue = [("topic", "T"), ("queueId", "1")];
        let max = client.ask_and_answer(GetMaxOffset.code(), &queue, b"").await;
        assert_eq!(max.field("offset"), "1");
        rig.broker.stop();
        tasks.await.unwrap();
    }
}
