//! Pops and acknowledgements on a connection, where the disk takes its time: none is answered before it is as safe as the
//! flush mode promises.

mod support;

use ferromq_protocol::code::RequestCode::{
    AckMessage, BatchAckMessage, ChangeMessageInvisibleTime, GetMaxOffset, PopMessage, SendMessageV2,
};
use ferromq_store::FlushMode;
use support::{Answer, Client, NOW, Rig, send_fields};

async fn filled(rig: &Rig, messages: usize) -> Client {
    let mut client = rig.connect();
    for _ in 0..messages {
        assert_eq!(client.ask(SendMessageV2.code(), &send_fields("T", "0", ""), b"x").await.code, 0);
    }
    client
}

fn pop_fields<'a>(born: &'a str, wait: &'a str) -> [(&'a str, &'a str); 8] {
    [
        ("consumerGroup", "G"),
        ("topic", "T"),
        ("queueId", "0"),
        ("maxMsgNums", "32"),
        ("invisibleTime", "60000"),
        ("pollTime", wait),
        ("bornTime", born),
        ("initMode", "0"),
    ]
}

async fn tell_pop(client: &mut Client, wait: &str) -> i32 {
    client.tell(PopMessage.code(), &pop_fields(&NOW.to_string(), wait), b"").await
}

/// The receipt of the first message that was popped.
fn receipt(popped: &Answer) -> String {
    let part = |name| popped.field(name).to_owned();
    format!("0 {} 60000 {} 0 broker-a 0 0", part("popTime"), part("reviveQid"))
}

fn ack_fields<'a>(receipt: &'a str, offset: &'a str) -> [(&'a str, &'a str); 5] {
    [("consumerGroup", "G"), ("topic", "T"), ("queueId", "0"), ("extraInfo", receipt), ("offset", offset)]
}

/// Asks for something that needs no disk: whatever was answered before it would be read first.
async fn pass_by(client: &mut Client) {
    let answer = client.ask(GetMaxOffset.code(), &[("topic", "T"), ("queueId", "0")], b"").await;
    assert_eq!(answer.code, 0);
}

#[tokio::test]
async fn with_sync_flush_a_pop_and_all_that_follows_it_is_answered_once_the_disk_has_it() {
    let rig = Rig::new(FlushMode::Sync);
    let mut client = filled(&rig, 3).await;
    rig.host.close_gate();
    let waiting = tell_pop(&mut client, "0").await;
    pass_by(&mut client).await;
    rig.host.open_gate();
    let popped = client.read().await;
    assert_eq!((popped.opaque, popped.code, popped.field("msgOffsetInfo")), (waiting, 0, "0 0 0,1,2"));

    let receipt = receipt(&popped);
    let batch = format!(
        r#"{{"acks":[{{"b":"BA==","c":"G","it":60000,"pt":{},"q":0,"r":"0","rq":{},"so":0,"t":"T"}}],"brokerName":"broker-a"}}"#,
        popped.field("popTime"),
        popped.field("reviveQid")
    );
    let mut longer = ack_fields(&receipt, "1").to_vec();
    longer.push(("invisibleTime", "90000"));
    for (code, fields, body) in [
        (AckMessage, ack_fields(&receipt, "0").to_vec(), ""),
        (ChangeMessageInvisibleTime, longer, ""),
        (BatchAckMessage, Vec::new(), batch.as_str()),
    ] {
        rig.host.close_gate();
        let waiting = client.tell(code.code(), &fields, body.as_bytes()).await;
        pass_by(&mut client).await;
        rig.host.open_gate();
        let answer = client.read().await;
        assert_eq!((answer.opaque, answer.code), (waiting, 0), "{code}");
    }
    rig.broker.revive();
    assert_eq!(rig.broker.messages_out(), 1, "the one whose time was changed");
}

#[tokio::test]
async fn acknowledgements_that_come_together_are_answered_together_with_those_between_that_are_refused() {
    for flush in [FlushMode::Sync, FlushMode::Async] {
        let rig = Rig::new(flush);
        let mut client = filled(&rig, 3).await;
        tell_pop(&mut client, "0").await;
        let popped = client.read().await;
        let receipt = receipt(&popped);
        let (mut frames, mut numbers) = (Vec::new(), Vec::new());
        for (offset, code) in [("0", 0), ("9", 208), ("1", 0), ("1", 0), ("2", 0)] {
            let (number, frame) = client.frame(AckMessage.code(), &ack_fields(&receipt, offset), b"", false);
            frames.extend(frame);
            numbers.push((number, code));
        }
        // One that nobody may answer, and one that follows it.
        frames.extend(client.frame(AckMessage.code(), &ack_fields(&receipt, "2"), b"", true).1);
        let (number, frame) =
            client.frame(GetMaxOffset.code(), &[("topic", "T"), ("queueId", "0")], b"", false);
        frames.extend(frame);
        numbers.push((number, 0));
        client.write(&frames).await;
        let mut answers = Vec::new();
        for _ in 0..numbers.len() {
            let answer = client.read().await;
            answers.push((answer.opaque, answer.code));
        }
        answers.sort_unstable();
        assert_eq!(answers, numbers);
        rig.broker.revive();
        assert_eq!(rig.broker.messages_out(), 0);
    }
}

#[tokio::test]
async fn a_failed_flush_refuses_pops_and_acknowledgements() {
    let rig = Rig::new(FlushMode::Sync);
    let mut client = filled(&rig, 2).await;
    tell_pop(&mut client, "0").await;
    let receipt = receipt(&client.read().await);
    let mut other = filled(&rig, 1).await;
    rig.host.close_gate();
    let acked = client.tell(AckMessage.code(), &ack_fields(&receipt, "0"), b"").await;
    let popped = tell_pop(&mut other, "0").await;
    pass_by(&mut client).await;
    pass_by(&mut other).await;
    rig.host.fail_syncs();
    rig.host.open_gate();
    let (acked_answer, popped_answer) = (client.read().await, other.read().await);
    for (answer, number) in [(acked_answer, acked), (popped_answer, popped)] {
        assert_eq!((answer.opaque, answer.code), (number, 14), "{answer:?}");
        assert!(answer.body.is_empty(), "nothing was handed out");
    }
    let later = client.ask(AckMessage.code(), &ack_fields(&receipt, "1"), b"").await;
    assert_eq!(later.code, 14);
}

#[tokio::test]
async fn a_pop_that_waited_is_answered_once_the_disk_has_its_check_point() {
    let rig = Rig::new(FlushMode::Sync);
    let mut consumer = filled(&rig, 0).await;
    let mut producer = filled(&rig, 1).await;
    tell_pop(&mut consumer, "0").await;
    assert_eq!(consumer.read().await.code, 0);
    let waiting = tell_pop(&mut consumer, "60000").await;
    pass_by(&mut consumer).await;
    assert_eq!(rig.broker.waiting_pops("G", "T", Some(ferromq_model::QueueId(0))), 1);
    // The gate lets the message through, and closes before what the pop stores.
    rig.host.close_after(1);
    assert_eq!(producer.ask(SendMessageV2.code(), &send_fields("T", "0", ""), b"x").await.code, 0);
    while rig.broker.waiting_pops("G", "T", Some(ferromq_model::QueueId(0))) > 0 {
        tokio::task::yield_now().await;
    }
    pass_by(&mut consumer).await;
    rig.host.open_gate();
    let popped = consumer.read().await;
    assert_eq!((popped.opaque, popped.code, popped.field("msgOffsetInfo")), (waiting, 0, "0 0 1"));
}
