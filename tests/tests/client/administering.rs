//! Administration, of our server and of official ones of both lines.

use std::time::Duration;

use ferromq_client::admin::messages::Span;
use ferromq_client::admin::offsets::ResetTo;
use ferromq_client::admin::topics::TopicChange;
use ferromq_client::admin::{Admin, AdminError, Cursor, Scope};
use ferromq_client::{Client, Message, RouteError};
use ferromq_model::{QueueOffset, Timestamp};
use ferromq_tests::Kind;
use ferromq_tests::suite::Scene;
use tokio::time::{sleep, timeout};

use super::consuming::{PATIENCE, client, from_first, listener, producer};

/// Asks again and again until the answer is as wanted.
async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            match ask().await {
                Some(answer) => return answer,
                None => sleep(Duration::from_millis(100)).await,
            }
        }
    };
    timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("never {what}"))
}

/// Makes a topic, and waits until clients are told of it.
async fn make_topic(admin: &Admin, topic: &str, queues: u32) {
    let change =
        TopicChange { read_queues: Some(queues), write_queues: Some(queues), ..TopicChange::default() };
    let made = admin.change_topic(topic, &change, &Scope::All).await.expect("it is made");
    assert!(made.failures.is_empty(), "{:?}", made.failures);
    until("known to NameServers", || async { admin.topic_route(topic).await.ok() }).await;
}

async fn fill(scene: &Scene, client: &Client, topic: &str, count: u32) {
    let producer = producer(scene, client);
    for n in 0..count {
        let message = Message::builder(topic).body(n.to_string()).key(&format!("key-{n}")).build();
        producer.send(message.expect("a message")).await.expect("it is stored");
    }
    producer.close().await;
    // Official brokers put what is stored into its queue a little later.
    until("in its queues", || async {
        let status = client.admin().topic_status(topic).await.expect("a status").value;
        (status.queues.iter().map(|queue| queue.max.0).sum::<u64>() == u64::from(count)).then_some(())
    })
    .await;
}

pub(crate) async fn an_operator_makes_changes_and_deletes_a_topic(scene: Scene) {
    let client = client(&scene);
    let (admin, topic) = (client.admin(), scene.name("topic"));
    make_topic(&admin, &topic, 3).await;
    assert!(admin.topics().await.expect("a list").contains(&topic));
    let change = TopicChange { read_queues: Some(2), ..TopicChange::default() };
    let changed = admin.change_topic(&topic, &change, &Scope::All).await.expect("it is changed");
    assert_eq!(changed.value.len(), 1);
    let settings = admin.topic_settings(&topic, &Scope::All).await.expect("it is there").value;
    assert_eq!((settings[0].value.read_queue_nums, settings[0].value.write_queue_nums), (2, 3));
    let status = admin.topic_status(&topic).await.expect("a status").value;
    assert_eq!(status.queues.len(), 3);
    assert!(status.queues.iter().all(|queue| queue.max == QueueOffset(0) && queue.last_stored.is_none()));

    let deleted = admin.delete_topic(&topic, &Scope::All).await.expect("it is deleted");
    assert!(deleted.failures.is_empty() && deleted.value.len() == 1, "{deleted:?}");
    // What an official broker told NameServers of the change may reach them behind the deletion.
    until("unknown", || async {
        let again = admin.delete_topic(&topic, &Scope::All).await;
        let unknown = matches!(again, Err(AdminError::Route(RouteError::NoSuchTopic { .. })));
        assert!(unknown || scene.kind() != Kind::Ferro, "{again:?}");
        unknown.then_some(())
    })
    .await;
    client.close().await;
}

pub(crate) async fn an_operator_moves_a_group_that_nobody_is_in(scene: Scene) {
    let client = client(&scene);
    let (admin, topic, group) = (client.admin(), scene.name("topic"), scene.name("group"));
    make_topic(&admin, &topic, 1).await;
    fill(&scene, &client, &topic, 5).await;
    let broker = admin.brokers(&Scope::All).await.expect("brokers")[0].name.to_string();
    let queue = admin.queue(&topic, &broker, 0).await.expect("it has one");
    admin.change_group(&group, &Default::default(), &Scope::All).await.expect("it is made");
    let at = || async {
        let progress = admin.progress(&group, Some(&topic), &Scope::All).await.expect("progress").value;
        progress
            .queues
            .iter()
            .filter(|at| at.queue == queue)
            .map(|at| (at.position.0, at.lag))
            .collect::<Vec<_>>()
    };

    let planned = admin.plan_reset(&group, &topic, ResetTo::Last, None).await.expect("a plan").value;
    // 4.x does not tell a position at the first message from none.
    let before = scene.is_4().then_some(QueueOffset(0));
    assert_eq!((planned[0].before, planned[0].after), (before, QueueOffset(5)));
    admin.reset_offsets(&group, &topic, ResetTo::First, None).await.expect("it is moved");
    assert_eq!(at().await, [(0, 5)]);
    admin.reset_offsets(&group, &topic, ResetTo::Last, None).await.expect("it is moved");
    assert_eq!(at().await, [(5, 0)]);
    let three = ResetTo::Offset(QueueOffset(3));
    let moved = admin.reset_offsets(&group, &topic, three, Some(&queue)).await.expect("it is moved").value;
    assert_eq!((moved[0].before, moved[0].after), (Some(QueueOffset(5)), QueueOffset(3)));
    assert_eq!(at().await, [(3, 2)]);
    let beyond = ResetTo::Offset(QueueOffset(6));
    let refused = admin.reset_offsets(&group, &topic, beyond, Some(&queue)).await;
    assert!(matches!(refused, Err(AdminError::Invalid { .. })), "{refused:?}");
    let soon = ResetTo::Time(Timestamp(Timestamp::now().0 + 60_000));
    admin.reset_offsets(&group, &topic, soon, None).await.expect("it is moved");
    assert_eq!(at().await, [(5, 0)], "behind all that was stored before");
    client.close().await;
}

pub(crate) async fn an_operator_sees_who_consumes_and_sends_them_back(scene: Scene) {
    let client = client(&scene);
    let (admin, topic, group) = (client.admin(), scene.name("topic"), scene.name("group"));
    make_topic(&admin, &topic, 2).await;
    fill(&scene, &client, &topic, 4).await;
    assert!(admin.consumers(&group, &Scope::All).await.expect("an answer").value.is_none());
    let (handler, mut heard) = listener();
    let consumer = from_first(&client, &group, &topic).start(handler).await.expect("it starts");
    for _ in 0..4 {
        heard.next().await;
    }
    let there = admin.consumers(&group, &Scope::All).await.expect("an answer").value.expect("somebody");
    assert_eq!(there.members.len(), 1);
    assert_eq!(there.members[0].client_id, client.id());
    assert_eq!(there.subscriptions[&topic].expression, "*");
    let info = admin.running_info(&group, client.id(), false).await.expect("it answers");
    assert_eq!(info.mq_table.0.keys().filter(|queue| queue.topic == topic).count(), 2);
    let positions = admin.member_positions(&group, &topic).await.expect("positions").value;
    assert_eq!(positions[client.id()].len(), 2);
    // Official brokers of 5.x tell it once they know a position of the group.
    until("known to read the topic", || async {
        admin.groups_of_topic(&topic).await.expect("groups").value.contains(&group).then_some(())
    })
    .await;
    let wants = admin.subscription(&group, &topic).await.expect("an answer").value.expect("a subscription");
    assert_eq!((wants.expression.as_str(), wants.kind.as_str()), ("*", "TAG"));
    until("consumed", || async {
        let progress = admin.progress(&group, Some(&topic), &Scope::All).await.expect("progress").value;
        (progress.queues.len() == 2 && progress.lag == 0).then_some(())
    })
    .await;

    admin.reset_offsets(&group, &topic, ResetTo::First, None).await.expect("it is moved");
    for _ in 0..4 {
        heard.next().await;
    }
    consumer.close().await;
    client.close().await;
}

pub(crate) async fn an_operator_finds_messages_and_reads_all(scene: Scene) {
    let client = client(&scene);
    let (admin, topic) = (client.admin(), scene.name("topic"));
    make_topic(&admin, &topic, 2).await;
    fill(&scene, &client, &topic, 40).await;
    let found = until("indexed", || async {
        let found = admin.messages_by_key(&topic, "key-7", Span::default(), 10).await.expect("an answer");
        found.value.first().cloned()
    })
    .await;
    assert_eq!(&found.body()[..], b"7");
    let id = found.message_id();
    let by_id = admin.messages_by_id(&topic, &id).await.expect("an answer").value;
    assert_eq!(by_id.iter().map(|message| message.place()).collect::<Vec<_>>(), [found.place()]);
    let by_place = admin.message_at(&found.place().to_string()).await.expect("it is there");
    assert_eq!((by_place.message_id(), by_place.queue()), (id, found.queue()));

    let mut scan = admin.scan(&topic, Span::default(), Cursor::default()).await.expect("it begins");
    assert_eq!(scan.total(), 40);
    let first = scan.next().await.expect("an answer").expect("messages");
    // What is left is read by another one, from where the first was.
    let mut rest = admin.scan(&topic, Span::default(), scan.cursor().clone()).await.expect("it goes on");
    let mut bodies: Vec<_> = first.iter().map(|message| message.body().clone()).collect();
    while let Some(messages) = rest.next().await.expect("an answer") {
        bodies.extend(messages.iter().map(|message| message.body().clone()));
    }
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 40, "nothing twice, nothing left out");
    let later = Span { begin: Timestamp(Timestamp::now().0 + 60_000), ..Span::default() };
    assert_eq!(admin.scan(&topic, later, Cursor::default()).await.expect("it begins").total(), 0);
    client.close().await;
}

pub(crate) async fn an_operator_sees_how_brokers_are(scene: Scene) {
    let client = client(&scene);
    let admin = client.admin();
    let clusters = admin.clusters().await.expect("clusters");
    assert_eq!(clusters.len(), 1);
    assert_eq!(clusters[0].brokers[0].addr.parse(), Ok(scene.broker()));
    // 4.x cannot tell in its first seconds.
    let states =
        until("telling how it is", || async { admin.broker_states(&Scope::All).await.ok() }).await.value;
    assert!(states[0].value.version.starts_with('V'), "{:?}", states[0].value.version);
    let clock = states[0].value.clock().expect("it tells");
    assert!(clock.0.abs_diff(Timestamp::now().0) < 60_000, "{clock}");
    let settings = admin.broker_settings(&Scope::All).await.expect("settings").value;
    assert_eq!(settings[0].value["messageDelayLevel"].split(' ').next(), Some("1s"));
    let found = admin.name_server_settings().await.expect("settings").value;
    assert!(!found[0].value.is_empty());
    admin.put_value("shop", "colour", "blue").await.expect("it is stored");
    assert_eq!(admin.value("shop", "colour").await.expect("an answer").as_deref(), Some("blue"));
    admin.delete_value("shop", "colour").await.expect("it is removed");
    assert_eq!(admin.value("shop", "colour").await.expect("an answer"), None);
    let findings = admin.examine().await;
    let silent: Vec<_> = findings.iter().filter(|finding| finding.check == "reachability").collect();
    assert!(silent.iter().all(|finding| finding.advice.is_empty()), "{silent:?}");
    client.close().await;
}
