//! Sending: which broker, how often, how much at once.

mod batches;
pub(super) mod cluster;
mod transactions;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::header::{Header as _, SendMessage};
use parking_lot::Mutex;

use self::cluster::{Cluster, PATIENCE, code, message, stored};
use super::{RequestError, SendError, SendStatus};
use crate::error::{CallError, RouteError};
use crate::fake::{FakeServer, Reaction, patient};
use crate::message::Message;

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
async fn a_question_may_wait_without_an_end() {
    let cluster = Cluster::start(1, |_, _, _| code(ResponseCode::MessageIllegal)).await;
    let producer = cluster.producer(|builder| builder);
    let failed = producer.request(message("why?"), Duration::MAX).await.unwrap_err();
    assert!(matches!(failed, RequestError::Send(SendError::Failed { .. })), "{failed}");
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
    let cluster =
        Cluster::start(1, |_, send, _| if send.group == "H" { stored(send) } else { Reaction::Silence })
            .await;
    // Finding the broker takes nothing of the time.
    let other = cluster.client.producer("H").send_timeout(PATIENCE).build().unwrap();
    other.send(message("x")).await.unwrap();
    let producer = cluster.producer(|builder| builder.send_timeout(Duration::from_millis(300)));
    let failed = producer.send(message("x")).await.unwrap_err();
    assert!(matches!(&failed, SendError::Failed { tries: 1, last: CallError::TimedOut { .. } }), "{failed}");
}

#[tokio::test]
async fn a_silent_broker_leaves_time_for_another_if_a_try_has_a_limit_of_its_own() {
    let cluster =
        Cluster::start(2, |name, send, _| if name == 'a' { Reaction::Silence } else { stored(send) }).await;
    let producer = cluster.producer(|builder| builder.retries(16).try_timeout(Duration::from_millis(200)));
    while !cluster.brokers().contains('a') {
        assert_eq!(&*producer.send(message("x")).await.unwrap().queue.broker, "b");
    }
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
    let client = patient(&names.address()).build().unwrap();
    let producer = client.producer("G").send_timeout(PATIENCE).build().unwrap();
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

#[tokio::test]
async fn a_route_that_nobody_waited_for_to_its_end_is_asked_for_anew() {
    let given_up = Arc::new(AtomicBool::new(false));
    let answers = Arc::clone(&given_up);
    let names = FakeServer::start(move |_| {
        // No question is answered until the hasty send has given up.
        if answers.load(Ordering::SeqCst) { code(ResponseCode::TopicNotExist) } else { Reaction::Silence }
    })
    .await;
    let client = patient(&names.address()).build().unwrap();
    let hasty = client.producer("G").send_timeout(Duration::from_millis(50)).build().unwrap();
    let failed = hasty.send(message("x")).await.unwrap_err();
    assert!(matches!(failed, SendError::NoRouteInTime { .. }), "{failed}");
    given_up.store(true, Ordering::SeqCst);
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
    let names = FakeServer::naming(&broker, 1, &[]).await;
    let client = patient(&names.address()).heartbeat(Duration::from_secs(3600)).build().unwrap();
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
