use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::frame::Command;
use ferromq_protocol::header::{EndTransaction, Header as _, SendMessage};
use parking_lot::Mutex;
use serde_json::json;

use super::{
    Producer, ProducerBuilder, SendError, SendStatus, TransactionError, TransactionProducer, TransactionState,
};
use crate::client::Client;
use crate::error::{CallError, RouteError};
use crate::fake::{FakeServer, Reaction};
use crate::message::Message;

/// As long as nothing but a broken client takes.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Brokers `a`, `b`, … and a NameServer that names them, with a topic `T` of two queues on each.
pub(super) struct Cluster {
    client: Client,
    _servers: Vec<FakeServer>,
    /// What was sent: broker, queue and body.
    seen: Arc<Mutex<Vec<Seen>>>,
    /// How transactions were ended: as the protocol numbers it.
    ended: Arc<Mutex<Vec<i32>>>,
}

type Seen = (char, u32, Vec<u8>);

type Reply = Arc<dyn Fn(char, &SendMessage<'_>, &Command<'_>) -> Reaction + Send + Sync>;

impl Cluster {
    pub(super) async fn start(
        brokers: usize,
        reply: impl Fn(char, &SendMessage<'_>, &Command<'_>) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let reply: Reply = Arc::new(reply);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(Mutex::new(Vec::new()));
        let mut servers = Vec::new();
        let (mut queues, mut members) = (Vec::new(), Vec::new());
        for name in ('a'..).take(brokers) {
            let (reply, seen, ended) = (Arc::clone(&reply), Arc::clone(&seen), Arc::clone(&ended));
            let server = FakeServer::start(move |command| {
                let sends = [
                    RequestCode::SendMessageV2,
                    RequestCode::SendBatchMessage,
                    RequestCode::SendReplyMessageV2,
                ];
                if command.request_code() == Some(RequestCode::EndTransaction) {
                    let end = EndTransaction::decode(&command.fields).expect("a whole header");
                    assert_eq!((end.group, end.half.0, end.at.0, end.from_check), ("G", 17, 0x457, false));
                    ended.lock().push(end.decision);
                }
                if !command.request_code().is_some_and(|code| sends.contains(&code)) {
                    return Reaction::ok();
                }
                let send = SendMessage::decode(&command.fields).expect("a whole header");
                let queue = send.queue.expect("clients choose").0;
                seen.lock().push((name, queue, command.body.to_vec()));
                reply(name, &send, command)
            })
            .await;
            queues.push(json!({"brokerName": name, "readQueueNums": 2, "writeQueueNums": 2, "perm": 6, "topicSysFlag": 0}));
            members
                .push(json!({"cluster": "c", "brokerName": name, "brokerAddrs": {"0": &*server.address()}}));
            servers.push(server);
        }
        let route =
            json!({"queueDatas": queues, "brokerDatas": members, "filterServerTable": {}}).to_string();
        let names = FakeServer::start(move |command| match command.fields.find("topic") {
            Some("T" | "TBW102") => {
                Reaction::Answer(ResponseCode::Success, Vec::new(), route.clone().into_bytes())
            }
            _ => Reaction::Answer(ResponseCode::TopicNotExist, Vec::new(), Vec::new()),
        })
        .await;
        let client = Client::builder(&names.address()).build().expect("a valid address");
        servers.push(names);
        Self { client, _servers: servers, seen, ended }
    }

    fn producer(&self, set: impl FnOnce(ProducerBuilder) -> ProducerBuilder) -> Producer {
        set(self.client.producer("G").send_timeout(PATIENCE)).build().expect("valid settings")
    }

    pub(super) fn name_server(&self) -> Arc<str> {
        Arc::clone(&self.client.inner.routes.name_servers()[0])
    }

    /// Brokers that were sent to, in order.
    fn brokers(&self) -> String {
        self.seen.lock().iter().map(|(broker, ..)| broker).collect()
    }
}

pub(super) fn stored(send: &SendMessage<'_>) -> Reaction {
    let fields = vec![
        ("msgId", "7F00000100002A9F0000000000000457".to_owned()),
        ("queueId", send.queue.expect("clients choose").0.to_string()),
        ("queueOffset", "17".to_owned()),
    ];
    Reaction::Answer(ResponseCode::Success, fields, Vec::new())
}

fn code(code: ResponseCode) -> Reaction {
    Reaction::Answer(code, Vec::new(), Vec::new())
}

fn message(body: &str) -> Message {
    Message::new("T", body.to_owned()).expect("a valid message")
}

#[tokio::test]
async fn a_receipt_says_where_the_message_is() {
    let cluster = Cluster::start(1, |_, send, _| stored(send)).await;
    let producer = cluster.producer(|builder| builder);
    let receipt = producer.send(message("hello")).await.unwrap();
    assert_eq!(receipt.status, SendStatus::Stored);
    assert_eq!(receipt.offset.0, 17);
    assert_eq!(receipt.place.unwrap().offset.0, 0x457);
    assert_eq!((receipt.queue.topic.as_str(), &*receipt.queue.broker), ("T", "a"));
    assert_eq!(receipt.recall_handle, None);
    producer.close().await;
}

#[tokio::test]
async fn queues_take_turns() {
    let cluster = Cluster::start(2, |_, send, _| stored(send)).await;
    let producer = cluster.producer(|builder| builder);
    for _ in 0..8 {
        producer.send(message("x")).await.unwrap();
    }
    let mut queues: Vec<_> = cluster.seen.lock().iter().map(|(broker, queue, _)| (*broker, *queue)).collect();
    queues.sort_unstable();
    assert_eq!(queues, [('a', 0), ('a', 0), ('a', 1), ('a', 1), ('b', 0), ('b', 0), ('b', 1), ('b', 1)]);
}

#[tokio::test]
async fn another_broker_gets_what_one_refused_or_was_silent_about() {
    use ResponseCode as Code;
    for refusal in [
        Code::TopicNotExist,
        Code::ServiceNotAvailable,
        Code::SystemError,
        Code::SystemBusy,
        Code::NoPermission,
        Code::NoBuyerId,
        Code::NotInCurrentUnit,
        Code::GoAway,
    ] {
        sends_to_b_what_a_does_not_take(move || code(refusal)).await;
    }
    sends_to_b_what_a_does_not_take(|| Reaction::Close).await;
}

async fn sends_to_b_what_a_does_not_take(refuse: impl Fn() -> Reaction + Send + Sync + 'static) {
    let cluster =
        Cluster::start(2, move |name, send, _| if name == 'a' { refuse() } else { stored(send) }).await;
    let producer = cluster.producer(|builder| builder);
    while !cluster.brokers().contains('a') {
        producer.send(message("x")).await.unwrap();
    }
    assert!(cluster.brokers().ends_with("ab"), "{}", cluster.brokers());
}

#[tokio::test]
async fn what_no_broker_would_take_is_sent_once() {
    for refusal in
        [ResponseCode::MessageIllegal, ResponseCode::InvalidParameter, ResponseCode::VersionNotSupported]
    {
        let cluster = Cluster::start(2, move |_, _, _| code(refusal)).await;
        let producer = cluster.producer(|builder| builder);
        let failed = producer.send(message("x")).await.unwrap_err();
        assert!(
            matches!(&failed, SendError::Failed { tries: 1, last } if last.code() == Some(refusal)),
            "{failed}"
        );
        assert_eq!(cluster.seen.lock().len(), 1);
    }
}

#[tokio::test]
async fn a_message_is_tried_as_often_as_the_producer_is_told() {
    let cluster = Cluster::start(1, |_, _, _| code(ResponseCode::SystemBusy)).await;
    let producer = cluster.producer(|builder| builder.retries(1));
    let failed = producer.send(message("x")).await.unwrap_err();
    assert!(
        matches!(&failed, SendError::Failed { tries: 2, last: CallError::Refused { code: 2, .. } }),
        "{failed}"
    );
}

#[tokio::test]
async fn all_tries_together_take_no_longer_than_the_send_timeout() {
    let cluster = Cluster::start(1, |_, _, _| Reaction::Silence).await;
    let producer = cluster.producer(|builder| builder.send_timeout(Duration::from_millis(300)));
    let failed = producer.send(message("x")).await.unwrap_err();
    assert!(matches!(&failed, SendError::Failed { tries: 1, last: CallError::TimedOut { .. } }), "{failed}");
}

#[tokio::test]
async fn what_is_stored_but_not_safe_is_returned_or_sent_again() {
    let reply = |name, send: &SendMessage<'_>| match stored(send) {
        Reaction::Answer(_, fields, body) if name == 'a' => {
            Reaction::Answer(ResponseCode::FlushDiskTimeout, fields, body)
        }
        stored => stored,
    };
    let cluster = Cluster::start(2, move |name, send, _| reply(name, send)).await;
    let producer = cluster.producer(|builder| builder);
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(producer.send(message("x")).await.unwrap().status);
    }
    assert!(seen.contains(&SendStatus::FlushDiskTimeout) && seen.contains(&SendStatus::Stored), "{seen:?}");
    producer.close().await;
    let producer = cluster.producer(|builder| builder.retry_another_broker_when_not_stored(true));
    for _ in 0..4 {
        assert_eq!(producer.send(message("x")).await.unwrap().status, SendStatus::Stored);
    }
    producer.close().await;
    let alone = Cluster::start(1, move |name, send, _| reply(name, send)).await;
    let producer = alone.producer(|builder| builder.retry_another_broker_when_not_stored(true));
    assert_eq!(producer.send(message("x")).await.unwrap().status, SendStatus::FlushDiskTimeout);
    assert_eq!(alone.brokers(), "aaa");
}

#[tokio::test]
async fn a_topic_that_does_not_exist_goes_where_topics_are_created() {
    let cluster = Cluster::start(1, |_, send, _| {
        assert_eq!((send.default_topic, send.default_queues), ("TBW102", 4));
        stored(send)
    })
    .await;
    let producer = cluster.producer(|builder| builder);
    let receipt = producer.send(Message::new("New", "x").unwrap()).await.unwrap();
    assert_eq!(receipt.queue.topic.as_str(), "New");
}

#[tokio::test]
async fn without_brokers_the_error_names_the_topic() {
    let names =
        FakeServer::start(|_| Reaction::Answer(ResponseCode::TopicNotExist, Vec::new(), Vec::new())).await;
    let client = Client::builder(&names.address()).build().unwrap();
    let producer = client.producer("G").build().unwrap();
    let failed = producer.send(message("x")).await.unwrap_err();
    assert!(matches!(failed, SendError::Route(RouteError::NoSuchTopic { .. })), "{failed}");
}

#[tokio::test]
async fn large_bodies_are_compressed_and_too_large_ones_refused() {
    let cluster = Cluster::start(1, |_, send, command| {
        assert_eq!(send.sys_flag.0, if command.body.len() == 4096 { 0 } else { 0x301 });
        stored(send)
    })
    .await;
    let producer = cluster.producer(|builder| builder);
    for len in [4096, 4097, 200_000] {
        producer.send(message(&"x".repeat(len))).await.unwrap();
    }
    let lens: Vec<_> = cluster.seen.lock().iter().map(|(.., body)| body.len()).collect();
    assert!(lens[0] == 4096 && lens[1] < 100 && lens[2] < 1000, "{lens:?}");
    let failed = producer.send(message(&"x".repeat((4 << 20) + 1))).await.unwrap_err();
    assert!(matches!(failed, SendError::TooLarge { len: 4_194_305, limit: 4_194_304 }), "{failed}");
}

#[tokio::test]
async fn senders_wait_while_as_much_is_in_flight_as_may_be() {
    let open = Arc::new(AtomicUsize::new(0));
    let held = Arc::clone(&open);
    let cluster =
        Cluster::start(
            1,
            move |_, send, _| {
                if held.load(Ordering::SeqCst) == 0 { Reaction::Silence } else { stored(send) }
            },
        )
        .await;
    let producer = cluster.producer(|builder| builder.max_in_flight(2));
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let producer = producer.clone();
            tokio::spawn(async move { producer.send(message("x")).await })
        })
        .collect();
    while cluster.seen.lock().len() < 2 {
        tokio::task::yield_now().await;
    }
    let mut third = Box::pin(producer.send(message("x")));
    assert!(futures_util::FutureExt::now_or_never(third.as_mut()).is_none());
    open.store(1, Ordering::SeqCst);
    waiting.iter().for_each(|sender| sender.abort());
    third.await.unwrap();
    assert_eq!(cluster.seen.lock().len(), 3);
}

#[tokio::test]
async fn a_closed_producer_sends_nothing_and_its_group_is_free_again() {
    let cluster = Cluster::start(1, |_, send, _| stored(send)).await;
    let producer = cluster.producer(|builder| builder);
    assert!(cluster.client.producer("G").build().is_err(), "there is one already");
    let other = producer.clone();
    producer.close().await;
    assert!(matches!(other.send(message("x")).await, Err(SendError::Closed)));
    cluster.client.producer("G").build().unwrap();
}

#[tokio::test]
async fn a_sharding_key_keeps_its_queue_also_after_a_failure() {
    let failed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&failed);
    let cluster = Cluster::start(2, move |_, send, _| {
        if count.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            code(ResponseCode::SystemBusy)
        } else {
            stored(send)
        }
    })
    .await;
    let producer = cluster.producer(|builder| builder);
    for _ in 0..4 {
        let keyed = Message::builder("T").body("x").sharding_key("order-17").build().unwrap();
        let receipt = producer.send(keyed).await.unwrap();
        // Place 1 of a:0, a:1, b:0, b:1.
        assert_eq!((&*receipt.queue.broker, receipt.queue.id.0), ("a", 1));
    }
    assert!(cluster.seen.lock().iter().all(|(broker, queue, _)| (*broker, *queue) == ('a', 1)));
}

#[tokio::test]
async fn a_message_goes_to_the_queue_it_is_sent_to() {
    let cluster = Cluster::start(2, |_, send, _| stored(send)).await;
    let producer = cluster.producer(|builder| builder);
    let queue = producer.send_by(message("x"), |queues| queues.len() - 1).await.unwrap().queue;
    assert_eq!((&*queue.broker, queue.id.0), ("b", 1));
    producer.send_to(&queue, message("x")).await.unwrap();
    assert_eq!(cluster.brokers(), "bb");
    let failed = producer.send_by(message("x"), |_| 4).await.unwrap_err();
    assert!(matches!(failed, SendError::NoSuchQueue { chosen: 4, count: 4 }), "{failed}");
    let failed = producer.send_to(&queue, Message::new("U", "x").unwrap()).await.unwrap_err();
    assert!(matches!(failed, SendError::OtherTopic { .. }), "{failed}");
}

#[tokio::test]
async fn a_message_sent_one_way_wants_no_answer() {
    let cluster = Cluster::start(1, |_, _, command| {
        assert!(command.is_oneway());
        Reaction::Silence
    })
    .await;
    let producer = cluster.producer(|builder| builder);
    producer.send_oneway(message("x")).await.unwrap();
    while cluster.seen.lock().is_empty() {
        tokio::task::yield_now().await;
    }
}

/// Answers as brokers do: an id for each message.
fn stored_batch(send: &SendMessage<'_>, command: &Command<'_>) -> Reaction {
    assert_eq!((command.request_code(), send.batch), (Some(RequestCode::SendBatchMessage), true));
    let count = ferromq_model::batch::items(command.body).filter(|item| item.is_ok()).count();
    let ids: Vec<_> = (0..count).map(|n| format!("7F00000100002A9F{n:016X}")).collect();
    let fields = vec![
        ("msgId", ids.join(",")),
        ("queueId", send.queue.expect("clients choose").0.to_string()),
        ("queueOffset", "100".to_owned()),
    ];
    Reaction::Answer(ResponseCode::Success, fields, Vec::new())
}

#[tokio::test]
async fn a_batch_travels_in_as_few_frames_as_fit() {
    let cluster = Cluster::start(1, stored_batch_of).await;
    let producer = cluster.producer(|builder| builder.max_message_size(1000).retries(0));
    let receipts = producer.send_batch((0..20).map(|_| message(&"x".repeat(100))).collect()).await.unwrap();
    assert_eq!(receipts.len(), 20);
    let frames: Vec<_> = cluster.seen.lock().iter().map(|(.., body)| body.len()).collect();
    assert_eq!(frames.iter().sum::<usize>(), 20 * (22 + 100 + 52));
    assert_eq!((frames.len(), frames[0]), (4, 5 * 174));
    for (turn, receipt) in receipts.iter().enumerate() {
        let turn = turn as u64 % 5;
        assert_eq!((receipt.offset.0, receipt.place.unwrap().offset.0), (100 + turn, turn));
    }
    let ids: std::collections::HashSet<_> = receipts.iter().map(|receipt| receipt.message_id).collect();
    assert_eq!(ids.len(), 20);
}

fn stored_batch_of(_: char, send: &SendMessage<'_>, command: &Command<'_>) -> Reaction {
    stored_batch(send, command)
}

#[tokio::test]
async fn a_batch_that_fails_on_its_way_says_what_is_stored() {
    let frames = Arc::new(AtomicUsize::new(0));
    let cluster = Cluster::start(1, move |_, send, command| {
        if frames.fetch_add(1, Ordering::SeqCst) < 2 {
            stored_batch(send, command)
        } else {
            code(ResponseCode::MessageIllegal)
        }
    })
    .await;
    let producer = cluster.producer(|builder| builder.max_message_size(1000));
    let failed = producer.send_batch((0..20).map(|_| message(&"x".repeat(100))).collect()).await.unwrap_err();
    assert_eq!(failed.receipts.len(), 10);
    assert!(matches!(failed.source, SendError::Failed { tries: 1, .. }), "{failed}");
}

#[tokio::test]
async fn messages_that_linger_travel_together_and_have_receipts_of_their_own() {
    let cluster = Cluster::start(1, stored_batch_of).await;
    let lens = 10 * (22 + 1 + 52);
    let producer = cluster.producer(|builder| builder.linger(Duration::from_secs(10)).linger_bytes(lens));
    let started = tokio::time::Instant::now();
    let receipts = futures_util::future::try_join_all((0..20).map(|_| producer.send(message("x")))).await;
    assert!(started.elapsed() < Duration::from_secs(10), "full frames do not wait");
    let mut places: Vec<_> = receipts.unwrap().iter().map(|receipt| receipt.offset.0).collect();
    places.sort_unstable();
    assert_eq!(places, (100..110).flat_map(|offset| [offset; 2]).collect::<Vec<_>>());
    assert_eq!(cluster.seen.lock().len(), 2);
}

#[tokio::test]
async fn a_message_waits_no_longer_than_it_may() {
    let cluster = Cluster::start(1, stored_batch_of).await;
    let producer = cluster.producer(|builder| builder.linger(Duration::from_millis(5)));
    producer.send(message("x")).await.unwrap();
    assert_eq!(cluster.seen.lock().len(), 1);
}

#[tokio::test]
async fn closing_sends_what_lingers_at_once() {
    let cluster = Cluster::start(1, stored_batch_of).await;
    let producer = cluster.producer(|builder| builder.linger(Duration::from_secs(10)));
    let sending = producer.clone();
    let started = tokio::time::Instant::now();
    let mut sent = Box::pin(sending.send(message("x")));
    assert!(futures_util::FutureExt::now_or_never(sent.as_mut()).is_none(), "it waits for others");
    let (receipt, ()) = tokio::join!(sent, producer.close());
    receipt.unwrap();
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn what_lingers_fails_together() {
    let cluster = Cluster::start(1, |_, _, _| code(ResponseCode::MessageIllegal)).await;
    let producer = cluster.producer(|builder| builder.linger(Duration::from_millis(5)));
    for failed in futures_util::future::join_all((0..3).map(|_| producer.send(message("x")))).await {
        assert!(matches!(failed, Err(SendError::Failed { tries: 1, .. })), "{failed:?}");
    }
    assert_eq!(cluster.seen.lock().len(), 1);
}

/// A producer in transactions whose half messages are as safe as this code says, and whose checker is never asked.
async fn transactions(half: ResponseCode) -> (Cluster, TransactionProducer) {
    let cluster = Cluster::start(1, move |_, send, _| {
        assert_eq!((send.sys_flag.0, send.group), (4, "G"));
        assert!(send.properties.contains("TRAN_MSG\x01true\x02PGROUP\x01G\x02"));
        match stored(send) {
            Reaction::Answer(_, fields, body) => Reaction::Answer(half, fields, body),
            other => other,
        }
    })
    .await;
    let checker = |_| std::future::ready(TransactionState::Unknown);
    let producer = cluster.client.transaction_producer("G", checker).build().unwrap();
    (cluster, producer)
}

impl Cluster {
    /// The decisions of so many transactions, which brokers are told one way.
    async fn decisions(&self, count: usize) -> Vec<i32> {
        while self.ended.lock().len() < count {
            tokio::task::yield_now().await;
        }
        self.ended.lock().clone()
    }
}

#[tokio::test]
async fn a_transaction_ends_as_it_is_told() {
    let (cluster, producer) = transactions(ResponseCode::Success).await;
    producer.begin(message("x")).await.unwrap().commit().await.unwrap();
    producer.begin(message("x")).await.unwrap().rollback().await.unwrap();
    drop(producer.begin(message("x")).await.unwrap());
    for state in [TransactionState::Commit, TransactionState::Rollback, TransactionState::Unknown] {
        let local = |_| std::future::ready(state);
        assert_eq!(producer.send_in_transaction(message("x"), local).await.unwrap().1, state);
    }
    assert_eq!(cluster.decisions(5).await, [8, 12, 8, 12, 0]);
    let delayed = Message::builder("T").body("x").delay_level(1).build().unwrap();
    assert!(matches!(producer.begin(delayed).await, Err(TransactionError::Delayed)));
    producer.close().await;
}

#[tokio::test]
async fn a_half_message_that_is_not_safe_is_rolled_back() {
    let (cluster, producer) = transactions(ResponseCode::FlushDiskTimeout).await;
    let failed = producer.begin(message("x")).await.unwrap_err();
    assert!(matches!(failed, TransactionError::NotSafe { status: SendStatus::FlushDiskTimeout }), "{failed}");
    let local = async |_| panic!("the message is not safe");
    let (receipt, state) = producer.send_in_transaction(message("x"), local).await.unwrap();
    assert_eq!((receipt.status, state), (SendStatus::FlushDiskTimeout, TransactionState::Rollback));
    assert_eq!(cluster.decisions(2).await, [12, 12]);
    producer.close().await;
}

#[tokio::test]
async fn a_route_that_nobody_waited_for_to_its_end_is_asked_for_anew() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let names = FakeServer::start(move |_| {
        // The first question stays open, the second is answered.
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => Reaction::Silence,
            _ => code(ResponseCode::TopicNotExist),
        }
    })
    .await;
    let client = Client::builder(&names.address()).call_timeout(PATIENCE).build().unwrap();
    let hasty = client.producer("G").send_timeout(Duration::from_millis(50)).build().unwrap();
    let failed = hasty.send(message("x")).await.unwrap_err();
    assert!(matches!(failed, SendError::NoRouteInTime { .. }), "{failed}");
    let patient = client.producer("H").send_timeout(PATIENCE).build().unwrap();
    let failed = patient.send(message("x")).await.unwrap_err();
    assert!(matches!(failed, SendError::Route(RouteError::NoSuchTopic { .. })), "{failed}");
}

#[tokio::test]
async fn a_broker_that_lost_the_connection_is_told_of_the_group_again() {
    let happened = Arc::new(Mutex::new(Vec::new()));
    let events = Arc::clone(&happened);
    let broker = FakeServer::start(move |command| {
        events.lock().push(command.request_code().expect("known"));
        match SendMessage::decode(&command.fields) {
            Ok(_) if command.body == b"close" => Reaction::Close,
            Ok(send) => stored(&send),
            Err(_) => Reaction::ok(),
        }
    })
    .await;
    let route = json!({
        "queueDatas": [{"brokerName": "a", "readQueueNums": 1, "writeQueueNums": 1, "perm": 6, "topicSysFlag": 0}],
        "brokerDatas": [{"cluster": "c", "brokerName": "a", "brokerAddrs": {"0": &*broker.address()}}],
        "filterServerTable": {},
    });
    let names = FakeServer::start(move |_| {
        Reaction::Answer(ResponseCode::Success, Vec::new(), route.to_string().into_bytes())
    })
    .await;
    let client = Client::builder(&names.address()).heartbeat(Duration::from_secs(3600)).build().unwrap();
    let producer = client.producer("G").retries(0).send_timeout(PATIENCE).build().unwrap();
    let heard = async || {
        let heard = async {
            while !happened.lock().contains(&RequestCode::HeartBeat) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.expect("a heartbeat");
    };
    producer.send(message("x")).await.unwrap();
    heard().await;
    producer.send(message("close")).await.unwrap_err();
    happened.lock().clear();
    producer.send(message("x")).await.unwrap();
    heard().await;
}
