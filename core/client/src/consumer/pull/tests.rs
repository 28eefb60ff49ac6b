use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ferromq_model::{QueueId, QueueOffset, Timestamp};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::frame::Command;
use ferromq_protocol::header::{
    GetMaxOffset, Header as _, PullFlags, PullMessage, QueryConsumerOffset, UpdateConsumerOffset,
};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::{PullConsumer, PullConsumerBuilder, PullError};
use crate::client::Client;
use crate::consumer::{ConsumeFrom, Filter};
use crate::fake::{FakeServer, PATIENCE, Reaction, patient, record};
use crate::queue::MessageQueue;
use crate::received::Received;

/// How long a client waits for a broker that says nothing.
const SILENCE: Duration = Duration::from_secs(10);
/// Every queue has the offsets from here
const FIRST: u64 = 100;
/// up to below this; odd ones are tagged `odd`, the others `even`.
const END: u64 = 120;

/// A broker with a topic `T` of two queues, and its NameServer.
struct Cluster {
    client: Client,
    committed: Arc<Mutex<HashMap<u32, u64>>>,
    /// What the broker was told and said nothing of, as if it had got lost: queues and offsets.
    unconfirmed: Arc<Mutex<Vec<(u32, u64)>>>,
    is_silent: Arc<AtomicBool>,
    heartbeats: Arc<Mutex<Vec<serde_json::Value>>>,
    _servers: Vec<FakeServer>,
}

fn tagged(queue: u32, offset: u64) -> Vec<u8> {
    let tag = if offset % 2 == 1 { "TAGS\u{1}odd\u{2}" } else { "TAGS\u{1}even\u{2}" };
    record("T", queue, offset, b"hello", &[tag])
}

fn pulled(command: &Command<'_>) -> Reaction {
    let pull = PullMessage::decode(&command.fields).unwrap();
    let from = pull.from.unwrap().0;
    let tells_filter = pull.flags.0 & PullFlags::SUBSCRIPTION != 0;
    let wanted = |offset: &u64| match pull.subscription.filter(|_| tells_filter) {
        Some("odd") => offset % 2 == 1,
        _ => true,
    };
    let (code, offsets, next) = match from {
        ..FIRST => (ResponseCode::PullOffsetMoved, 0..0, FIRST),
        FIRST..END => {
            let next = END.min(from + u64::from(pull.max));
            (ResponseCode::Success, from..next, next)
        }
        END if pull.flags.0 & PullFlags::SUSPEND != 0 => return Reaction::Silence,
        END => (ResponseCode::PullNotFound, 0..0, END),
        _ => (ResponseCode::PullOffsetMoved, 0..0, END),
    };
    let body = offsets.filter(wanted).flat_map(|offset| tagged(pull.queue.0, offset)).collect();
    let fields = vec![
        ("nextBeginOffset", next.to_string()),
        ("minOffset", FIRST.to_string()),
        ("maxOffset", END.to_string()),
        ("suggestWhichBrokerId", "0".to_owned()),
    ];
    Reaction::Answer(code, fields, body)
}

fn offset(offset: u64) -> Reaction {
    Reaction::Answer(ResponseCode::Success, vec![("offset", offset.to_string())], Vec::new())
}

impl Cluster {
    /// The group has these members besides, under these ids.
    async fn start(others: &'static [&'static str]) -> Self {
        Self::with(others, PATIENCE).await
    }

    /// One whose client waits for so long while the broker is silent.
    async fn with(others: &'static [&'static str], call_timeout: Duration) -> Self {
        let committed = Arc::new(Mutex::new(HashMap::new()));
        let heartbeats = Arc::new(Mutex::new(Vec::<serde_json::Value>::new()));
        let (positions, beats) = (Arc::clone(&committed), Arc::clone(&heartbeats));
        let (is_silent, unconfirmed) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (silent, ignored) = (Arc::clone(&is_silent), Arc::clone(&unconfirmed));
        let broker = FakeServer::start(move |command| match command.request_code() {
            Some(RequestCode::PullMessage) => pulled(command),
            Some(RequestCode::GetMinOffset) => offset(FIRST),
            Some(RequestCode::GetMaxOffset) => {
                let asked = GetMaxOffset::decode(&command.fields).unwrap();
                assert_eq!(asked.topic, "T");
                offset(END)
            }
            Some(RequestCode::SearchOffsetByTimestamp) => offset(110),
            Some(RequestCode::QueryConsumerOffset) => {
                let asked = QueryConsumerOffset::decode(&command.fields).unwrap();
                match positions.lock().get(&asked.queue.0) {
                    Some(&stored) => offset(stored),
                    None => Reaction::Answer(ResponseCode::QueryNotFound, Vec::new(), Vec::new()),
                }
            }
            Some(RequestCode::UpdateConsumerOffset) if silent.load(Ordering::SeqCst) => {
                let told = UpdateConsumerOffset::decode(&command.fields).unwrap();
                ignored.lock().push((told.queue.0, told.offset.unwrap().0));
                Reaction::Silence
            }
            Some(RequestCode::UpdateConsumerOffset) => {
                let told = UpdateConsumerOffset::decode(&command.fields).unwrap();
                if told.queue.0 > 1 {
                    return Reaction::Answer(ResponseCode::InvalidParameter, Vec::new(), Vec::new());
                }
                positions.lock().insert(told.queue.0, told.offset.unwrap().0);
                Reaction::ok()
            }
            Some(RequestCode::HeartBeat) => {
                beats.lock().push(serde_json::from_slice(command.body).unwrap());
                Reaction::ok()
            }
            Some(RequestCode::GetConsumerListByGroup) => {
                let beats = beats.lock();
                let own = beats.last().map(|beat| beat["clientID"].as_str().unwrap());
                let members: Vec<_> = own.into_iter().chain(others.iter().copied()).collect();
                let body = json!({ "consumerIdList": members }).to_string().into_bytes();
                Reaction::Answer(ResponseCode::Success, Vec::new(), body)
            }
            _ => Reaction::ok(),
        })
        .await;
        let names = FakeServer::naming(&broker, 2, &["T"]).await;
        let client = patient(&names.address()).call_timeout(call_timeout).build().expect("a valid address");
        let servers = vec![broker, names];
        Self { client, committed, unconfirmed, is_silent, heartbeats, _servers: servers }
    }

    async fn consumer(&self, set: impl FnOnce(PullConsumerBuilder) -> PullConsumerBuilder) -> PullConsumer {
        let builder = self.client.pull_consumer("G").consume_from(ConsumeFrom::First);
        set(builder).start().await.expect("valid settings")
    }
}

/// Polls until `count` messages came; returns queue and offset of each.
async fn poll(consumer: &PullConsumer, count: usize) -> Vec<(u32, u64)> {
    let mut came = Vec::new();
    while came.len() < count {
        let polled = consumer.poll(PATIENCE).await.expect("it is open");
        assert!(!polled.is_empty(), "{came:?} and no more");
        came.extend(polled.iter().map(place));
    }
    came
}

fn place(message: &Received) -> (u32, u64) {
    (message.queue().id.0, message.queue_offset().0)
}

fn of_queue(came: &[(u32, u64)], id: u32) -> Vec<u64> {
    came.iter().filter(|(queue, _)| *queue == id).map(|(_, offset)| *offset).collect()
}

async fn both(consumer: &PullConsumer) -> (MessageQueue, MessageQueue) {
    let queues = consumer.queues("T").await.unwrap();
    let [first, second] = queues.try_into().expect("two queues");
    (first, second)
}

#[tokio::test]
async fn assigned_queues_are_polled_in_order_and_committed_when_told_to() {
    let cluster = Cluster::start(&[]).await;
    let consumer = cluster.consumer(|builder| builder.auto_commit(None).fetch_batch(3).max_buffered(4)).await;
    let (first, second) = both(&consumer).await;
    consumer.assign(vec![first.clone(), second.clone()], &Filter::all()).await.unwrap();
    let came = poll(&consumer, 40).await;
    assert_eq!(of_queue(&came, 0), (FIRST..END).collect::<Vec<_>>());
    assert_eq!(of_queue(&came, 1), (FIRST..END).collect::<Vec<_>>());
    assert_eq!(consumer.committed(&first).await.unwrap(), None);
    consumer.commit().await.unwrap();
    assert_eq!(consumer.committed(&first).await.unwrap(), Some(QueueOffset(END)));
    consumer.commit_at(&second, QueueOffset(105)).await.unwrap();
    assert_eq!(consumer.committed(&second).await.unwrap(), Some(QueueOffset(105)));
    assert!(cluster.heartbeats.lock().is_empty(), "it is no member of the group");
    consumer.close().await;
    assert_eq!(cluster.committed.lock()[&1], 105, "closing commits nothing by itself");
}

#[tokio::test]
async fn a_wait_without_an_end_is_none_too_long() {
    let cluster = Cluster::start(&[]).await;
    let consumer = cluster.consumer(|builder| builder).await;
    let (queue, _) = both(&consumer).await;
    let pulled = consumer.pull(&queue, &Filter::all(), QueueOffset(FIRST), 4, Duration::MAX).await.unwrap();
    assert_eq!(pulled.messages.len(), 4);
    consumer.assign(vec![queue], &Filter::all()).await.unwrap();
    assert!(consumer.wait(Duration::MAX).await.unwrap());
    assert!(!consumer.poll(Duration::MAX).await.unwrap().is_empty());
}

#[tokio::test]
async fn seeking_drops_what_waits_and_pausing_keeps_it() {
    let cluster = Cluster::start(&[]).await;
    let consumer = cluster.consumer(|builder| builder.max_polled(2)).await;
    let (queue, other) = both(&consumer).await;
    assert!(matches!(consumer.seek(&queue, QueueOffset(1)), Err(PullError::NotAssigned { .. })));
    consumer.assign(vec![queue.clone()], &Filter::all()).await.unwrap();
    assert_eq!(poll(&consumer, 2).await, [(0, 100), (0, 101)]);
    assert_eq!(consumer.position(&queue).unwrap(), Some(QueueOffset(102)));
    consumer.seek(&queue, QueueOffset(117)).unwrap();
    assert_eq!(poll(&consumer, 3).await, [(0, 117), (0, 118), (0, 119)]);
    consumer.seek_to_time(&queue, Timestamp(7)).await.unwrap();
    assert_eq!(poll(&consumer, 2).await, [(0, 110), (0, 111)]);
    consumer.pause(std::slice::from_ref(&queue)).unwrap();
    assert!(consumer.poll(Duration::from_millis(20)).await.unwrap().is_empty());
    consumer.resume(std::slice::from_ref(&queue)).unwrap();
    assert_eq!(poll(&consumer, 2).await, [(0, 112), (0, 113)]);
    consumer.seek_to_end(&queue).await.unwrap();
    assert_eq!(consumer.position(&queue).unwrap(), Some(QueueOffset(END)));
    consumer.seek_to_first(&queue).await.unwrap();
    assert_eq!(poll(&consumer, 2).await, [(0, 100), (0, 101)]);
    // Beyond the queue: where it ends; before it: where it begins.
    consumer.seek(&queue, QueueOffset(3)).unwrap();
    assert_eq!(poll(&consumer, 2).await, [(0, 100), (0, 101)]);
    consumer.assign(vec![other.clone()], &Filter::all()).await.unwrap();
    assert_eq!(consumer.assigned(), [other]);
    assert_eq!(poll(&consumer, 2).await, [(1, 100), (1, 101)]);
}

#[tokio::test]
async fn closing_commits_what_was_polled_and_a_lost_queue_what_was_polled_before() {
    let cluster = Cluster::start(&[]).await;
    let consumer = cluster.consumer(|builder| builder.max_polled(5)).await;
    let (first, second) = both(&consumer).await;
    consumer.assign(vec![first.clone()], &Filter::all()).await.unwrap();
    poll(&consumer, 10).await;
    consumer.assign(vec![second], &Filter::all()).await.unwrap();
    // What the last poll returned may not have been handled yet.
    assert_eq!(cluster.committed.lock()[&0], 105);
    poll(&consumer, 5).await;
    consumer.close().await;
    assert_eq!(cluster.committed.lock()[&1], 105);
}

#[tokio::test]
async fn a_position_that_was_told_and_not_confirmed_is_told_again_on_closing() {
    let cluster = Cluster::with(&[], SILENCE).await;
    cluster.is_silent.store(true, Ordering::SeqCst);
    let often = Some(Duration::from_millis(100));
    let consumer = cluster.consumer(|builder| builder.auto_commit(often)).await;
    let (queue, _) = both(&consumer).await;
    consumer.assign(vec![queue], &Filter::all()).await.unwrap();
    poll(&consumer, 20).await;
    // Whoever asks for more is done with what came.
    assert!(consumer.poll(Duration::from_millis(1)).await.unwrap().is_empty());
    let told = async {
        while !cluster.unconfirmed.lock().contains(&(0, END)) {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, told).await.expect("the broker is told from time to time");
    cluster.is_silent.store(false, Ordering::SeqCst);
    consumer.close().await;
    assert_eq!(cluster.committed.lock().get(&0), Some(&END));
}

#[tokio::test]
async fn the_first_position_is_told_alone_and_no_other_before_it_is_confirmed() {
    let cluster = Cluster::with(&[], SILENCE).await;
    let consumer = cluster.consumer(|builder| builder.auto_commit(None)).await;
    let (first, second) = both(&consumer).await;
    consumer.assign(vec![first, second], &Filter::all()).await.unwrap();
    poll(&consumer, 40).await;
    cluster.is_silent.store(true, Ordering::SeqCst);
    consumer.commit().await.expect_err("the broker is silent");
    let told = cluster.unconfirmed.lock().clone();
    assert!(told.len() == 1, "side by side an official broker may lose one of {told:?}");
    cluster.is_silent.store(false, Ordering::SeqCst);
    consumer.commit().await.unwrap();
    assert_eq!(*cluster.committed.lock(), HashMap::from([(0, END), (1, END)]));
}

#[tokio::test]
async fn a_position_that_is_refused_keeps_no_other_from_being_told() {
    let cluster = Cluster::start(&[]).await;
    let consumer = cluster.consumer(|builder| builder.auto_commit(None)).await;
    let (first, second) = both(&consumer).await;
    let unknown = MessageQueue { id: QueueId(9), ..first.clone() };
    consumer.commit_at(&unknown, QueueOffset(1)).await.expect_err("there is no such queue");
    consumer.assign(vec![first, second], &Filter::all()).await.unwrap();
    poll(&consumer, 40).await;
    consumer.commit().await.expect_err("one is refused");
    assert_eq!(*cluster.committed.lock(), HashMap::from([(0, END), (1, END)]));
}

#[tokio::test]
async fn a_queues_position_is_told_by_one_at_a_time() {
    let cluster = Cluster::with(&[], SILENCE).await;
    let consumer = cluster.consumer(|builder| builder.auto_commit(None)).await;
    let (queue, _) = both(&consumer).await;
    consumer.commit_at(&queue, QueueOffset(101)).await.unwrap();
    cluster.is_silent.store(true, Ordering::SeqCst);
    let one = async {
        consumer.commit_at(&queue, QueueOffset(102)).await.expect_err("the broker is silent");
        cluster.is_silent.store(false, Ordering::SeqCst);
        cluster.unconfirmed.lock().clone()
    };
    let (told, two) = tokio::join!(one, consumer.commit_at(&queue, QueueOffset(103)));
    two.unwrap();
    assert_eq!(told.len(), 1, "side by side an official broker may note the last before the first: {told:?}");
    assert_eq!(cluster.committed.lock()[&0], 103);
}

#[tokio::test]
async fn assigned_queues_are_filtered_by_what_goes_with_each_request() {
    let cluster = Cluster::start(&[]).await;
    let consumer = cluster.consumer(|builder| builder).await;
    let (queue, _) = both(&consumer).await;
    let odd = Filter::tags("odd");
    consumer.assign(vec![queue.clone()], &odd).await.unwrap();
    let came = poll(&consumer, 10).await;
    assert!(came.iter().all(|(_, offset)| offset % 2 == 1), "{came:?}");
    let asked = consumer.pull(&queue, &odd, QueueOffset(110), 4, Duration::ZERO).await.unwrap();
    assert_eq!(asked.messages.iter().map(place).collect::<Vec<_>>(), [(0, 111), (0, 113)]);
    assert_eq!((asked.next.0, asked.min.0, asked.max.0), (114, FIRST, END));
    let moved = consumer.pull(&queue, &odd, QueueOffset(999), 4, Duration::ZERO).await.unwrap();
    assert_eq!((moved.messages.len(), moved.next.0), (0, END));
}

#[tokio::test]
async fn members_of_a_group_share_the_queues() {
    // The other member sorts before any address.
    let cluster = Cluster::start(&["!"]).await;
    let consumer = cluster.consumer(|builder| builder.subscribe("T", Filter::tags("odd"))).await;
    let came = poll(&consumer, 10).await;
    assert_eq!(
        came,
        (FIRST..END).filter(|offset| offset % 2 == 1).map(|offset| (1, offset)).collect::<Vec<_>>()
    );
    assert_eq!(consumer.assigned().len(), 1);
    let beat = cluster.heartbeats.lock()[0]["consumerDataSet"][0].clone();
    assert_eq!((&beat["groupName"], &beat["consumeType"]), (&json!("G"), &json!("CONSUME_ACTIVELY")));
    assert_eq!(beat["subscriptionDataSet"][0]["subString"], json!("odd"));
    let refused = consumer.assign(Vec::new(), &Filter::all()).await;
    assert!(matches!(refused, Err(PullError::Subscribed { .. })));
    consumer.close().await;
    assert_eq!(cluster.committed.lock()[&1], END, "what the filter leaves out is done, too");
}

#[tokio::test]
async fn positions_may_be_kept_in_a_file() {
    let dir = std::env::temp_dir().join(format!("ferromq-pull-{}", std::process::id()));
    let cluster = Cluster::start(&[]).await;
    for expected in [100, 107] {
        let consumer = cluster.consumer(|builder| builder.offsets_in(&dir).max_polled(7)).await;
        let (queue, _) = both(&consumer).await;
        consumer.assign(vec![queue.clone()], &Filter::all()).await.unwrap();
        assert_eq!(poll(&consumer, 7).await[0], (0, expected));
        consumer.commit().await.unwrap();
        assert_eq!(consumer.committed(&queue).await.unwrap(), Some(QueueOffset(expected + 7)));
        consumer.close().await;
    }
    assert!(cluster.committed.lock().is_empty());
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn closing_ends_the_polls_that_wait_commits_and_leaves_the_group() {
    let cluster = Cluster::start(&[]).await;
    let consumer = cluster.consumer(|builder| builder.subscribe("T", Filter::all())).await;
    let consumer = Arc::new(consumer);
    poll(&consumer, 40).await;
    let waiting = tokio::spawn({
        let consumer = Arc::clone(&consumer);
        async move { consumer.poll(PATIENCE).await }
    });
    let (first, second) = tokio::join!(consumer.close(), consumer.close());
    assert_eq!((first, second), ((), ()), "the second waits for the first");
    assert!(matches!(waiting.await.unwrap(), Err(PullError::Closed)));
    assert_eq!(*cluster.committed.lock(), HashMap::from([(0, END), (1, END)]));
    assert!(matches!(consumer.poll(PATIENCE).await, Err(PullError::Closed)));
    let again = cluster.client.pull_consumer("G").subscribe("T", Filter::all()).start().await;
    assert!(again.is_ok(), "the group is left, although somebody holds the consumer");
}

#[tokio::test]
async fn whoever_is_stopped_between_waiting_and_taking_loses_nothing() {
    let cluster = Cluster::start(&[]).await;
    let consumer = cluster.consumer(|builder| builder.max_polled(5)).await;
    let (queue, _) = both(&consumer).await;
    consumer.assign(vec![queue], &Filter::all()).await.unwrap();
    assert!(consumer.wait(PATIENCE).await.unwrap());
    // Nobody took it: it is still there for the next.
    assert!(consumer.wait(PATIENCE).await.unwrap());
    assert_eq!(
        consumer.take().iter().map(place).collect::<Vec<_>>(),
        (100..105).map(|n| (0, n)).collect::<Vec<_>>()
    );
    consumer.close().await;
    assert_eq!(cluster.committed.lock()[&0], 105);
    assert!(consumer.take().is_empty());
}
