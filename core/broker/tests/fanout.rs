//! Topic filters: each has its queue, which gets what matches from whatever sender, and nothing of it is lost to
//! subscribers who come and go, to crashes, or to how many they are.

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ferromq_broker::Broker;
use ferromq_broker::fanout::{AttachError, FilterQueue};
use ferromq_broker::retry::SendBack;
use ferromq_broker::send::{Send, SendBatch};
use ferromq_broker::transaction::{Decision, EndTransaction};
use ferromq_model::filter::MessageFilter;
use ferromq_model::light::LIGHT_QUEUE;
use ferromq_model::message::{MAX_PROPERTIES_LEN, SysFlag};
use ferromq_model::mqtt::light_queue_of;
use ferromq_model::record::Record;
use ferromq_model::{Millis, QueueId, QueueOffset, TopicName};
use ferromq_store::{FlushMode, Read, ReadLimit, StoreConfig};
use support::{Rig, TestHost, batch_item, bodies, broker_at, message, properties};

/// Sends a message of an MQTT topic.
fn publish(rig: &Rig, topic: &str, body: &str) {
    let first = topic.split('/').next().unwrap();
    let says = properties(&[("originMqttTopic", topic)]);
    rig.sent(&Send { properties: &says, ..message(first, body) });
}

/// What a filter's queue has.
fn received(rig: &Rig, filter: &str) -> String {
    let messages = rig.messages(light_queue_of(filter).as_str(), 0);
    bodies(&messages).concat()
}

#[test]
fn a_message_is_in_the_queue_of_each_filter_that_matches() {
    let rig = Rig::new();
    publish(&rig, "a/b", "0");
    for filter in ["a/b", "a/+", "#", "a/b/#", "+/c", "a", "A/b"] {
        rig.broker.fanout().attach(filter).unwrap();
    }
    publish(&rig, "a/b", "1");
    publish(&rig, "a/c", "2");
    rig.sent(&message("a", "3"));
    for (filter, expected) in
        [("a/b", "1"), ("a/+", "12"), ("#", "123"), ("a/b/#", "1"), ("+/c", "2"), ("a", "3"), ("A/b", "")]
    {
        assert_eq!(received(&rig, filter), expected, "{filter}");
    }
    assert_eq!(bodies(&rig.messages("a", 0)), ["0", "1", "2", "3"], "stored once, under its topic");
    let first = &rig.messages("a", 0)[1];
    assert_eq!(first.property("originMqttTopic"), Some("a/b"));
    assert_eq!(first.property("UNIQ_KEY").map(str::len), Some(32));
}

#[test]
fn a_producer_that_names_light_queues_reaches_the_filters_that_it_aims_at() {
    for (light, named) in [(false, ""), (true, "1")] {
        let settings: fn(&mut _) = if light {
            |store: &mut StoreConfig| (store.light_queues, store.multi_dispatch) = (true, true)
        } else {
            |_| {}
        };
        let rig = Rig::with_store(|_| {}, settings);
        rig.broker.fanout().attach("a/+").unwrap();
        rig.broker.fanout().attach("a").unwrap();
        let names = properties(&[("INNER_MULTI_DISPATCH", "%LMQ%a%|2b,%LMQ%a%b%")]);
        rig.sent(&Send { properties: &names, ..message("a", "1") });
        assert_eq!((received(&rig, "a/+"), received(&rig, "a")), ("1".to_owned(), String::new()));
        assert_eq!(
            received(&rig, "a/b/"),
            named,
            "without the settings nobody else's queue comes into being"
        );
        let stored = &rig.messages("a", 0)[0];
        assert_eq!(stored.property("originMqttTopic"), Some("a/b"));
        // Whoever passes the message on does not send it there again.
        rig.sent(&Send { properties: &stored.properties, ..message("c", "2") });
        let passed_on =
            Send { properties: &stored.properties.replace("originMqttTopic", "x"), ..message("d", "3") };
        rig.broker.fanout().attach("d").unwrap();
        rig.sent(&passed_on);
        assert_eq!(received(&rig, "d"), "3");
    }
}

#[test]
fn each_message_of_a_batch_goes_its_own_way() {
    let rig = Rig::new();
    rig.broker.fanout().attach("T/a").unwrap();
    rig.broker.fanout().attach("T/+").unwrap();
    let item = |body, topic| batch_item(body, &[("originMqttTopic", topic)]);
    let body = [item("1", "T/a"), item("2", "T/b"), item("3", "T")].concat();
    rig.sent(&Send { is_batch: true, body: &body, ..message("T", "") });
    assert_eq!((received(&rig, "T/a"), received(&rig, "T/+")), ("1".to_owned(), "12".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_delayed_message_reaches_filters_when_it_is_due_and_a_retried_one_does_not() {
    let rig = Rig::new();
    let held = rig.broker.fanout().attach("#").unwrap();
    let broker = rig.broker.clone();
    let tasks = tokio::spawn(async move { broker.run().await });
    let late = properties(&[("DELAY", "1"), ("originMqttTopic", "T/late")]);
    rig.sent(&Send { properties: &late, ..message("T", "late") });
    assert_eq!(received(&rig, "#"), "");
    rig.host.advance(Millis::secs(1));
    held.queue().wait_beyond(QueueOffset(0)).await;
    let late = rig.messages(held.queue().topic().as_str(), 0).pop().unwrap();
    assert_eq!((late.topic.as_str(), late.body.as_str()), ("T", "late"));

    let back = SendBack { group: "G", offset: late.physical, delay_level: 1, max_reconsume_times: None };
    rig.broker.send_back(&back).unwrap();
    rig.host.advance(Millis::secs(1));
    let retry = rig.broker.store().queue(&TopicName::new("%RETRY%G").unwrap(), QueueId(0));
    retry.wait_beyond(QueueOffset(0)).await;
    assert_eq!(held.queue().max(), QueueOffset(1));
    rig.broker.stop();
    tasks.await.unwrap();
}

#[test]
fn a_transaction_reaches_filters_when_it_is_committed() {
    let rig = Rig::new();
    rig.broker.fanout().attach("T/#").unwrap();
    let names = properties(&[("TRAN_MSG", "true"), ("PGROUP", "P")]);
    let sys_flag = SysFlag(SysFlag::TRANSACTION_PREPARED);
    let half = rig.sent(&Send { properties: &names, sys_flag, ..message("T", "x") });
    assert_eq!(received(&rig, "T/#"), "");
    let end = EndTransaction {
        group: "P",
        half: half.queue_offset,
        at: half.physical,
        decision: Decision::Commit,
        from_check: false,
    };
    rig.broker.end_transaction(&end).unwrap();
    assert_eq!(received(&rig, "T/#"), "x");
}

#[test]
fn a_filter_is_filled_until_the_last_lets_it_go_and_its_queue_deleted_later() {
    let rig = Rig::new();
    let fanout = rig.broker.fanout();
    let one = fanout.attach("a/+").unwrap();
    let other = fanout.attach("a/+").unwrap();
    assert!(Arc::ptr_eq(&one, &other));
    fanout.detach(&one);
    rig.broker.sweep_filters();
    publish(&rig, "a/b", "1");
    fanout.detach(&other);
    publish(&rig, "a/b", "2");
    assert_eq!((received(&rig, "a/+"), fanout.len()), ("1".to_owned(), 0));
    // It comes again before it is deleted, and goes on.
    let again = fanout.attach("a/+").unwrap();
    rig.broker.sweep_filters();
    assert_eq!(again.queue().next(), QueueOffset(1));
    publish(&rig, "a/b", "3");
    assert_eq!(received(&rig, "a/+"), "13");
    fanout.detach(&again);
    rig.broker.sweep_filters();
    assert!(again.queue().is_retired() && received(&rig, "a/+").is_empty());
    let anew = fanout.attach("a/+").unwrap();
    assert_eq!(anew.queue().next(), QueueOffset(0));
    publish(&rig, "a/b", "4");
    assert_eq!(received(&rig, "a/+"), "4");
    let rig = rig.crash();
    assert_eq!(received(&rig, "a/+"), "4", "what was before stays deleted");
    assert_eq!(bodies(&rig.messages("a", 0)).concat(), "1234");
}

#[test]
fn filters_outlive_a_crash_and_are_filled_before_anybody_asks_for_them() {
    let rig = Rig::new();
    for filter in ["a/+", "gone/#", &format!("a/b/{}", "x".repeat(200))] {
        rig.broker.fanout().attach(filter).unwrap();
    }
    publish(&rig, "a/b", "1");
    publish(&rig, "gone", "1");
    let rig = rig.crash();
    assert_eq!(rig.broker.fanout().len(), 3);
    publish(&rig, "a/b", "2");
    let held = rig.broker.fanout().attach("a/+").unwrap();
    rig.broker.fanout().drop_unheld();
    publish(&rig, "a/b", "3");
    assert_eq!((received(&rig, "a/+"), held.queue().next()), ("123".to_owned(), QueueOffset(3)));
    assert_eq!(rig.broker.fanout().len(), 1);
    rig.broker.sweep_filters();
    assert_eq!(received(&rig, "gone/#"), "");
    let rig = rig.restart_after(|root| std::fs::remove_dir_all(root.join("consumequeue")).unwrap());
    assert_eq!((received(&rig, "a/+"), received(&rig, "gone/#")), ("123".to_owned(), String::new()));
    assert_eq!(rig.broker.fanout().len(), 1);
}

/// Filters that match a topic of so many levels: one for each choice of what is a wildcard.
fn all_filters(topic: &str) -> Vec<String> {
    let levels: Vec<_> = topic.split('/').collect();
    let filter = |choice: usize| {
        let level =
            |(i, level): (usize, &&str)| if choice >> i & 1 == 1 { "+".into() } else { level.to_string() };
        levels.iter().enumerate().map(level).collect::<Vec<String>>().join("/")
    };
    (0..1 << levels.len()).map(filter).collect()
}

#[test]
fn a_message_that_matches_more_filters_than_it_can_name_reaches_all_of_them() {
    let rig = Rig::new();
    let topic = "T/2/3/4/5/6/7/8/9";
    let filters = all_filters(topic);
    for filter in &filters {
        rig.broker.fanout().attach(filter).unwrap();
    }
    publish(&rig, "Other/2", "0");
    let mut sends = SendBatch::new();
    let says = properties(&[("originMqttTopic", topic), ("TAGS", "A")]);
    let first = rig.broker.prepare(&mut sends, &Send { properties: &says, ..message("T", "1") }).unwrap();
    let second = rig.broker.prepare(&mut sends, &message("T", "2")).unwrap();
    assert_eq!(sends.len(), 2);
    rig.broker.commit(&mut sends).unwrap();
    let placed = [first, second].map(|ticket| sends.placed(ticket)[0].queue_offset);
    assert_eq!(placed, [QueueOffset(0), QueueOffset(1)]);
    let end = sends.placed(first)[0].end;
    let check = |rig: &Rig| {
        for filter in &filters {
            let messages = rig.messages(light_queue_of(filter).as_str(), 0);
            assert_eq!(bodies(&messages), ["1"], "{filter}");
            assert_eq!(messages[0].topic, "T");
            assert_eq!(messages[0].property("originMqttTopic"), Some(topic));
            assert_eq!(messages[0].property("TAGS"), Some("A"));
            assert!(messages[0].physical < end, "it is durable once the message is");
        }
    };
    check(&rig);
    assert_eq!(bodies(&rig.messages("T", 0)), ["1", "2"]);
    let rig = rig.crash();
    check(&rig);
    let rig = rig.restart_after(|root| std::fs::remove_dir_all(root.join("consumequeue")).unwrap());
    check(&rig);
    assert_eq!(bodies(&rig.messages("T", 0)), ["1", "2"]);
}

#[test]
fn a_message_without_room_for_one_more_property_reaches_its_filters() {
    let rig = Rig::new();
    rig.broker.fanout().attach("T").unwrap();
    for spare in [110, 150, 200, 250] {
        let long = properties(&[("UNIQ_KEY", "k"), ("x", &"y".repeat(MAX_PROPERTIES_LEN - spare - 60))]);
        rig.sent(&Send { properties: &long, ..message("T", "1") });
    }
    assert_eq!(received(&rig, "T"), "1111");
    assert_eq!(bodies(&rig.messages("T", 0)).len(), 4);
}

#[test]
fn a_filter_that_is_none_or_one_too_many_is_refused() {
    let rig = Rig::with(|config| config.max_topic_filters = 2);
    let fanout = rig.broker.fanout();
    for bad in ["", "a#", "#/a", "a\0", "a/b+"] {
        assert!(matches!(fanout.attach(bad), Err(AttachError::Filter(_))), "{bad:?}");
    }
    let one = fanout.attach("1").unwrap();
    fanout.attach("2").unwrap();
    assert!(matches!(fanout.attach("3"), Err(AttachError::TooMany { most: 2 })));
    fanout.detach(&one);
    rig.broker.sweep_filters();
    fanout.attach("3").unwrap();
}

#[test]
fn a_filters_queue_is_no_operators_nor_retentions_to_delete_and_a_clients_is_no_filters() {
    let rig = Rig::with_store(
        |_| {},
        |store| {
            (store.light_queues, store.multi_dispatch, store.max_light_queues) = (true, true, 1);
        },
    );
    let names = properties(&[("INNER_MULTI_DISPATCH", "%LMQ%a")]);
    rig.sent(&Send { properties: &names, ..message("T", "1") });
    let fanout = rig.broker.fanout();
    let (ours, theirs) = (fanout.attach("b").unwrap(), fanout.attach("a").unwrap());
    let topic = TopicName::new("%LMQ%b").unwrap();
    assert!(rig.broker.delete_topic(&topic).is_err());
    assert_eq!(rig.broker.delete_expired_queues().unwrap(), 0);
    // Filters' queues do not count among the one light queue that there may be.
    rig.sent(&Send { properties: &properties(&[("INNER_MULTI_DISPATCH", "%LMQ%c")]), ..message("T", "2") });
    rig.sent(&message("%LMQ%b", "3"));
    assert_eq!(received(&rig, "b"), "3", "once, though it is sent to the queue and matches");
    [&ours, &theirs].into_iter().for_each(|filter| fanout.detach(filter));
    rig.broker.sweep_filters();
    assert!(!theirs.queue().is_retired());
    assert_eq!(bodies(&rig.messages("%LMQ%a", 0)), ["1"]);
}

/// The numbers in a filter's queue from `from` on.
fn numbers(broker: &Broker, filter: &FilterQueue, mut from: QueueOffset) -> Vec<u64> {
    let mut numbers = Vec::new();
    let limit = ReadLimit { messages: u32::MAX, bytes: usize::MAX };
    while let Read::Found(found) =
        broker.store().read(filter.queue(), from, limit, &MessageFilter::All).unwrap()
    {
        for piece in &found.records {
            let mut rest = &piece[..];
            while !rest.is_empty() {
                let record = Record::decode(rest).unwrap();
                numbers.push(std::str::from_utf8(record.body).unwrap().parse().unwrap());
                rest = &rest[record.len..];
            }
        }
        from = found.next;
    }
    numbers
}

#[test]
fn subscribers_who_come_and_go_miss_nothing_and_fail_no_send() {
    const ROUNDS: u64 = 100;
    let rig = Rig::new();
    let (preparing, stored, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let wait_beyond = |number: u64| {
        while stored.load(Ordering::Acquire) <= number {
            assert!(!stop.load(Ordering::Acquire), "sending failed");
            std::thread::yield_now();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut sends = SendBatch::new();
            for number in 1.. {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                preparing.store(number, Ordering::SeqCst);
                sends.clear();
                let body = number.to_string();
                rig.broker.prepare(&mut sends, &message("T", &body)).unwrap();
                if let Err(error) = rig.broker.commit(&mut sends) {
                    stop.store(true, Ordering::Release);
                    panic!("whoever unsubscribes fails no send: {error}");
                }
                stored.store(number, Ordering::Release);
            }
        });
        scope.spawn(|| {
            while !stop.load(Ordering::Acquire) {
                rig.broker.sweep_filters();
                std::thread::yield_now();
            }
        });
        // In parts of what is to be done, so that a failure ends the other threads.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 0..ROUNDS {
                let filter = rig.broker.fanout().attach(["T", "+", "T/#"][round as usize % 3]).unwrap();
                let from = filter.queue().next();
                let first = preparing.load(Ordering::SeqCst) + 1;
                wait_beyond(first + 5);
                let last = stored.load(Ordering::Acquire);
                let got = numbers(&rig.broker, &filter, from);
                rig.broker.fanout().detach(&filter);
                let gap = got.windows(2).find(|pair| pair[1] != pair[0] + 1);
                assert_eq!(gap, None, "{got:?}");
                assert!(got.first().is_some_and(|&got| got <= first), "{first} is missing: {got:?}");
                assert!(got.last().is_some_and(|&got| got >= last), "{last} is missing: {got:?}");
            }
        }));
        stop.store(true, Ordering::Release);
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    let stored = stored.into_inner();
    assert_eq!(rig.messages("T", 0).len() as u64, stored);
    assert!(rig.broker.store().find_queue("T", LIGHT_QUEUE).is_some());
}

/// Where the process that is killed has its store, and what flushes it.
const KILLED_IN: &str = "FERROMQ_TEST_KILLED_IN";

/// Settings under which a crash has much to find.
fn killed_settings(flush: &str) -> fn(&mut StoreConfig) {
    match flush {
        "sync" => |store| (store.flush, store.queue_flush_interval) = (FlushMode::Sync, Millis(1)),
        _ => |store| store.queue_flush_interval = Millis(1),
    }
}

#[test]
#[ignore = "the process that the next test kills"]
fn sends_and_subscribes_until_it_is_killed() {
    let Ok(place) = std::env::var(KILLED_IN) else { return };
    // Whatever fails, a closed pipe included, ends all of its threads: nobody waits for it then.
    std::panic::set_hook(Box::new(|panic| {
        let _ = writeln!(std::io::stderr(), "{panic}");
        std::process::exit(1);
    }));
    let (flush, root) = place.split_once(':').unwrap();
    let broker = broker_at(Path::new(root), &TestHost::new(), killed_settings(flush));
    let fanout = broker.fanout();
    for filter in ["T/+", "T/#", "#"] {
        fanout.attach(filter).unwrap();
    }
    fanout.drop_unheld();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                let filter = fanout.attach("+/x").unwrap();
                std::thread::sleep(std::time::Duration::from_micros(300));
                fanout.detach(&filter);
                broker.sweep_filters();
            }
        });
        let first = broker.queue("T", QueueId(0)).map_or(0, |queue| queue.next().0);
        let mut sends = SendBatch::new();
        let says = properties(&[("originMqttTopic", "T/x")]);
        for number in first.. {
            sends.clear();
            let body = number.to_string();
            let send = Send { properties: &says, ..message("T", &body) };
            let ticket = broker.prepare(&mut sends, &send).unwrap();
            broker.commit(&mut sends).unwrap();
            if broker.store().flushes_before_ack() {
                runtime.block_on(broker.store().flushed_to(sends.placed(ticket)[0].end)).unwrap();
            }
            // Acknowledged; the place in the line is what tells it from what the test harness prints.
            writeln!(std::io::stdout(), "\nstored {number}").unwrap();
        }
    });
}

#[test]
fn what_was_acknowledged_is_in_every_filters_queue_however_the_process_is_killed() {
    const ROUNDS: u64 = 8;
    for flush in ["async", "sync"] {
        let dir = tempfile::tempdir().unwrap();
        for round in 0..ROUNDS {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["sends_and_subscribes_until_it_is_killed", "--exact", "--ignored", "--nocapture"])
                .env(KILLED_IN, format!("{flush}:{}", dir.path().display()))
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
            let mut stored = said.filter_map(|line| line.strip_prefix("stored ")?.parse::<u64>().ok());
            let some = stored.by_ref().take(20 + 17 * round as usize).last();
            child.kill().unwrap();
            // What it said before it was killed counts as well.
            let last = stored.last().or(some).expect("it stored something");
            assert!(!child.wait().unwrap().success());

            let broker = broker_at(dir.path(), &TestHost::new(), killed_settings(flush));
            let all = |filter: &str| {
                let filter = broker.fanout().attach(filter).unwrap();
                numbers(&broker, &filter, filter.queue().min())
            };
            let got = all("T/#");
            assert!(got.iter().copied().eq(0..got.len() as u64), "{got:?}");
            assert!(got.len() as u64 > last, "{last} was acknowledged, {} are there", got.len());
            assert_eq!(broker.queue("T", QueueId(0)).unwrap().next().0, got.len() as u64);
            for filter in ["T/+", "#"] {
                assert_eq!(all(filter), got, "{filter}");
            }
            let passing = all("+/x");
            assert!(passing.windows(2).all(|pair| pair[0] < pair[1]), "{passing:?}");
            broker.fanout().drop_unheld();
            broker.sweep_filters();
            broker.stop();
            broker.store().close().unwrap();
        }
    }
}
