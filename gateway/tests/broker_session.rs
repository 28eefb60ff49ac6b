//! What a connection to the broker promises beyond single requests: order, waiting, pushes, flushes, and its end.

mod support;

use ferromq_net::Closed;
use ferromq_protocol::code::RequestCode::{self, *};
use ferromq_protocol::frame::Serialization;
use ferromq_store::FlushMode;
use support::{Client, Rig, SYNC_FLUSH_TIMEOUT, heartbeat, pull_fields, send_fields};

/// What is asked for, with which fields and body.
type Request<'a> = (RequestCode, &'a [(&'a str, &'a str)], &'a [u8]);

/// Frames of several requests, to be written at once; their numbers.
fn frames(client: &mut Client, requests: &[Request<'_>]) -> (Vec<i32>, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut numbers = Vec::new();
    for (code, fields, body) in requests {
        let (number, frame) = client.frame(code.code(), fields, body, false);
        numbers.push(number);
        bytes.extend_from_slice(&frame);
    }
    (numbers, bytes)
}

async fn send(client: &mut Client, body: &str) -> support::Answer {
    client.ask(SendMessageV2.code(), &send_fields("T", "0", ""), body.as_bytes()).await
}

#[tokio::test]
async fn a_subscription_that_cannot_be_read_is_complained_of_when_it_is_pulled_for() {
    let rig = Rig::new(FlushMode::Async);
    let mut client = rig.connect();
    send(&mut client, "a").await;
    let beat = heartbeat("C", "T").replace(
        r#""expressionType":"TAG","subString":"*""#,
        r#""expressionType":"SQL92","subString":"a >""#,
    );
    assert_eq!(client.ask(HeartBeat.code(), &[], beat.as_bytes()).await.code, 0);
    assert_eq!(client.read().await.code, NotifyConsumerIdsChanged.code());
    let answer = client.ask(PullMessage.code(), &pull_fields("T", "0", "0", "0"), b"").await;
    assert_eq!(answer.code, 27, "{answer:?}");
    assert!(answer.remark.contains("column 4: expected a property"), "{answer:?}");
}

#[tokio::test]
async fn a_group_that_may_not_read_a_topic_is_told_so_in_the_references_words() {
    let rig = Rig::new(FlushMode::Async);
    let mut client = rig.connect();
    send(&mut client, "a").await;
    let forbid = [("group", "G"), ("topic", "T"), ("readable", "false")];
    assert_eq!(client.ask(UpdateAndGetGroupForbidden.code(), &forbid, b"").await.code, 0);
    let answer = client.ask(PullMessage.code(), &pull_fields("T", "0", "4", "0"), b"").await;
    assert_eq!((answer.code, answer.field("forbiddenType")), (16, "5"));
    assert_eq!(answer.remark, "the consumer group[G] is forbidden for topic[T]");
}

#[tokio::test]
async fn a_pull_sees_the_sends_before_it_and_not_those_behind_it() {
    let rig = Rig::new(FlushMode::Async);
    let mut client = rig.connect();
    send(&mut client, "a").await;
    let fields = send_fields("T", "0", "");
    let (first, second) = (pull_fields("T", "0", "4", "0"), pull_fields("T", "3", "4", "0"));
    let (numbers, bytes) = frames(
        &mut client,
        &[
            (SendMessageV2, &fields, b"b"),
            (SendMessageV2, &fields, b"c"),
            (PullMessage, &first, b""),
            (SendMessageV2, &fields, b"d"),
            (PullMessage, &second, b""),
        ],
    );
    client.write(&bytes).await;
    let mut answers = Vec::new();
    for _ in 0..numbers.len() {
        answers.push(client.read().await);
    }
    answers.sort_by_key(|answer| answer.opaque);
    let offsets: Vec<_> =
        [0, 1, 3].iter().map(|&n: &usize| answers[n].field("queueOffset").to_owned()).collect();
    assert_eq!(offsets, ["1", "2", "3"]);
    assert_eq!((answers[2].field("nextBeginOffset"), answers[2].field("maxOffset")), ("3", "3"));
    assert_eq!((answers[4].code, answers[4].field("nextBeginOffset")), (0, "4"));
}

#[tokio::test]
async fn a_held_pull_holds_nothing_else_up_and_is_answered_by_a_send() {
    for serialization in [Serialization::Json, Serialization::Binary] {
        let rig = Rig::new(FlushMode::Async);
        let (mut consumer, mut producer) = (rig.connect(), rig.connect());
        consumer.serialization = serialization;
        send(&mut producer, "a").await;
        let held = consumer.tell(PullMessage.code(), &pull_fields("T", "1", "6", "15000"), b"").await;
        let max = consumer.ask(GetMaxOffset.code(), &[("topic", "T"), ("queueId", "0")], b"").await;
        assert_eq!(max.field("offset"), "1", "asked later, answered first");
        send(&mut producer, "woken").await;
        let answer = consumer.read().await;
        assert_eq!((answer.opaque, answer.code, answer.serialization), (held, 0, serialization));
        assert!(answer.text().contains("woken"));
        assert_eq!(answer.field("nextBeginOffset"), "2");
    }
}

#[tokio::test]
async fn a_stop_answers_held_pulls() {
    let rig = Rig::new(FlushMode::Async);
    let mut client = rig.connect();
    send(&mut client, "a").await;
    let held = client.tell(PullMessage.code(), &pull_fields("T", "1", "6", "15000"), b"").await;
    // Answered behind the pull, so the pull is held by now.
    client.ask(GetMaxOffset.code(), &[("topic", "T"), ("queueId", "0")], b"").await;
    rig.stop();
    let answer = client.read().await;
    assert_eq!((answer.opaque, answer.code), (held, 19));
    assert_eq!(client.try_read().await, None);
    assert!(matches!(client.close().await, Closed::Stopped));
}

#[tokio::test]
async fn with_sync_flush_a_send_is_answered_once_the_disk_has_it() {
    let rig = Rig::new(FlushMode::Sync);
    let mut client = rig.connect();
    assert_eq!(send(&mut client, "a").await.code, 0);
    rig.host.close_gate();
    let waiting = client.tell(SendMessageV2.code(), &send_fields("T", "0", ""), b"b").await;
    let max = client.ask(GetMaxOffset.code(), &[("topic", "T"), ("queueId", "0")], b"").await;
    assert_eq!(max.field("offset"), "1", "answered meanwhile, and nobody sees what is not flushed");
    // Who does not want to wait does not.
    let hasty = client.ask(SendMessageV2.code(), &send_fields("T", "0", "WAIT\u{1}false\u{2}"), b"c").await;
    assert_eq!((hasty.code, hasty.field("queueOffset")), (0, "2"));
    rig.host.open_gate();
    let answer = client.read().await;
    assert_eq!((answer.opaque, answer.code, answer.field("queueOffset")), (waiting, 0, "1"));
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_takes_too_long_is_told_with_all_that_a_stored_message_has() {
    let rig = Rig::new(FlushMode::Sync);
    let mut client = rig.connect();
    rig.host.close_gate();
    let began = tokio::time::Instant::now();
    let answer = send(&mut client, "a").await;
    assert_eq!((answer.code, began.elapsed()), (10, SYNC_FLUSH_TIMEOUT.duration()));
    for name in ["msgId", "queueId", "queueOffset", "MSG_REGION", "TRACE_ON"] {
        assert_ne!(answer.field(name), "(absent)", "{name}");
    }
    rig.host.open_gate();
}

#[tokio::test]
async fn a_failed_flush_refuses_what_waits_and_what_comes() {
    let rig = Rig::new(FlushMode::Sync);
    let mut client = rig.connect();
    assert_eq!(send(&mut client, "a").await.code, 0);
    rig.host.close_gate();
    let waiting = client.tell(SendMessageV2.code(), &send_fields("T", "0", ""), b"b").await;
    client.ask(GetMaxOffset.code(), &[("topic", "T"), ("queueId", "0")], b"").await;
    rig.host.fail_syncs();
    rig.host.open_gate();
    let answer = client.read().await;
    assert_eq!((answer.opaque, answer.code), (waiting, 14));
    let later = send(&mut client, "c").await;
    let back = [("offset", "0"), ("group", "G"), ("delayLevel", "0")];
    let sent_back = client.ask(ConsumerSendMsgBack.code(), &back, b"").await;
    for refused in [answer, later, sent_back] {
        assert_eq!(refused.code, 14);
        assert!(refused.remark.contains("the disk is broken"), "{}", refused.remark);
    }
    let pulled = client.ask(PullMessage.code(), &pull_fields("T", "0", "4", "0"), b"").await;
    assert_eq!((pulled.code, pulled.field("nextBeginOffset")), (0, "1"), "what is safe is still read");
}

#[tokio::test]
async fn members_are_told_of_each_other_and_leave_with_their_connection() {
    let rig = Rig::new(FlushMode::Async);
    let (mut a, mut b) = (rig.connect(), rig.connect());
    let told = |answer: support::Answer| {
        (answer.code, answer.flag, answer.field("consumerGroup").to_owned())
            == (NotifyConsumerIdsChanged.code(), 2, "G".to_owned())
    };
    assert_eq!(a.ask(HeartBeat.code(), &[], heartbeat("a", "T").as_bytes()).await.code, 0);
    assert!(told(a.read().await));
    assert!(rig.broker.topics().find("%RETRY%G").is_some());
    b.ask(HeartBeat.code(), &[], heartbeat("b", "T").as_bytes()).await;
    assert!(told(b.read().await) && told(a.read().await));
    let members = a.ask(GetConsumerListByGroup.code(), &[("consumerGroup", "G")], b"").await;
    assert_eq!(members.text(), r#"{"consumerIdList":["a","b"]}"#);

    // A connection may not make another one's client leave.
    let leave = [("clientID", "b"), ("consumerGroup", "G")];
    assert_eq!(a.ask(UnregisterClient.code(), &leave, b"").await.code, 0);
    assert_eq!(rig.broker.members().consumer_ids("G"), ["a", "b"]);
    b.close().await;
    assert!(told(a.read().await));
    assert_eq!(rig.broker.members().consumer_ids("G"), ["a"]);
}

#[tokio::test]
async fn short_heartbeats_are_asked_to_be_long_only_when_something_changed() {
    let rig = Rig::new(FlushMode::Async);
    let mut client = rig.connect();
    let long = heartbeat("a", "T").replace("\"heartbeatFingerprint\":0", "\"heartbeatFingerprint\":7");
    let start = long.find("\"subscriptionDataSet\":[").unwrap();
    let end = start + long[start..].find(']').unwrap();
    // The list of subscriptions holds lists of tags: the last of the closing brackets before `unitMode` ends it.
    let end = end + long[end..].find("],\"unitMode\"").unwrap();
    let short = format!("{}\"subscriptionDataSet\":[{}", &long[..start], &long[end..])
        .replace("\"withoutSub\":false", "\"withoutSub\":true");
    let mut changed = async |beat: &str| {
        let number = client.tell(HeartBeat.code(), &[], beat.as_bytes()).await;
        loop {
            let answer = client.read().await;
            if answer.opaque == number && answer.flag == 1 {
                assert_eq!(answer.field("IS_SUPPORT_HEART_BEAT_V2"), "true");
                break answer.field("IS_SUB_CHANGE").to_owned();
            }
        }
    };
    assert_eq!(changed(&short).await, "true", "the broker knows nothing of the group");
    assert_eq!(changed(&long).await, "true", "its subscriptions are new");
    assert_eq!(changed(&long).await, "false");
    assert_eq!(changed(&short).await, "false");
    assert_eq!(rig.broker.members().consumer_group("G").unwrap().subscriptions.len(), 1, "and are kept");
}

#[tokio::test]
async fn an_order_lock_belongs_to_one_client() {
    let rig = Rig::new(FlushMode::Async);
    let mut client = rig.connect();
    let ask = |id: &str| {
        format!(
            r#"{{"clientId":"{id}","consumerGroup":"G","mqSet":[{{"brokerName":"b","queueId":0,"topic":"T"}}]}}"#
        )
    };
    let locked = |answer: support::Answer| answer.text().contains("\"topic\":\"T\"");
    assert!(locked(client.ask(LockBatchMq.code(), &[], ask("a").as_bytes()).await));
    assert!(!locked(client.ask(LockBatchMq.code(), &[], ask("b").as_bytes()).await));
    client.ask(UnlockBatchMq.code(), &[], ask("b").as_bytes()).await;
    assert!(!locked(client.ask(LockBatchMq.code(), &[], ask("b").as_bytes()).await));
    client.ask(UnlockBatchMq.code(), &[], ask("a").as_bytes()).await;
    assert!(locked(client.ask(LockBatchMq.code(), &[], ask("b").as_bytes()).await));
}

#[tokio::test]
async fn what_is_no_frame_ends_its_connection_and_no_other() {
    let rig = Rig::new(FlushMode::Async);
    let (mut bad, mut good) = (rig.connect(), rig.connect());
    send(&mut bad, "a").await;
    // A header that is no JSON.
    bad.write(&[0, 0, 0, 8, 0, 0, 0, 4, b'n', b'o', b'p', b'e']).await;
    assert_eq!(bad.try_read().await, None);
    assert!(matches!(bad.close().await, Closed::Malformed(_)));
    assert_eq!(send(&mut good, "b").await.field("queueOffset"), "1");
}

#[tokio::test]
async fn many_requests_at_once_are_all_answered() {
    let rig = Rig::new(FlushMode::Sync);
    let mut client = rig.connect();
    let fields = send_fields("T", "0", "UNIQ_KEY\u{1}U\u{2}");
    let requests: Vec<_> = (0..500).map(|_| (SendMessageV2, &fields[..], &b"x"[..])).collect();
    let (numbers, bytes) = frames(&mut client, &requests);
    client.write(&bytes).await;
    let mut offsets = Vec::new();
    for number in numbers {
        let answer = client.read().await;
        assert_eq!((answer.opaque, answer.code), (number, 0), "sends are answered in order");
        offsets.push(answer.field("queueOffset").parse::<u64>().unwrap());
    }
    assert_eq!(offsets, (0..500).collect::<Vec<_>>());
}

#[tokio::test]
async fn old_clients_cannot_limit_redeliveries() {
    let rig = Rig::new(FlushMode::Async);
    let mut client = rig.connect();
    for (version, dead) in [(120, 0), (121, 1)] {
        client.version = version;
        let mut fields = send_fields("%RETRY%G", "0", "");
        fields.retain(|(name, _)| *name != "j");
        fields.extend([("j", "5"), ("l", "3")]);
        client.ask(SendMessageV2.code(), &fields, b"x").await;
        let letters = rig.broker.store().find_queue("%DLQ%G", ferromq_model::QueueId(0));
        assert_eq!(letters.map_or(0, |queue| queue.max().0), dead, "version {version}");
    }
}

#[tokio::test]
async fn messages_keep_their_senders_address_in_its_own_family() {
    let rig = Rig::new(FlushMode::Async);
    for (from, kept) in [
        ("10.0.0.9:50000", "10.0.0.9:50000"),
        // An IPv4 client on a socket that listens for both families.
        ("[::ffff:10.0.0.9]:50000", "10.0.0.9:50000"),
        ("[fd00::9]:50000", "[fd00::9]:50000"),
    ] {
        let mut client = rig.connect_from(from);
        let at = send(&mut client, "x").await.field("msgId")[16..].to_owned();
        let at = u64::from_str_radix(&at, 16).unwrap().to_string();
        let stored = client.ask(ViewMessageById.code(), &[("offset", &at)], b"").await;
        let record = ferromq_model::record::Record::decode(&stored.body).unwrap();
        assert_eq!(record.born_host, kept.parse().unwrap(), "from {from}");
    }
}
