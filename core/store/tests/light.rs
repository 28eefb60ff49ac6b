//! Light queues: a message stored once is in each of them, now, after a clean stop, after a crash, and when queues are
//! rebuilt from the log.

mod support;

use std::path::Path;

use ferromq_model::config::Hours;
use ferromq_model::filter::MessageFilter;
use ferromq_model::light::{LIGHT_QUEUE, reserve};
use ferromq_model::message::{TagsCode, find_property, property, push_property};
use ferromq_model::record::{NewRecord, Record};
use ferromq_model::{PhysicalOffset, QueueId, QueueOffset, Timestamp, message::SysFlag};
use ferromq_store::{AppendError, Batch, EntryTag, FlushMode, Read, Store, StoreConfig};
use support::{
    LOG_FILE, Message, NO_LIMIT, TestHost, append_one, block_on, config, copy_dir, open, split, topic,
};

/// Adds a message of the topic T to `batch`, to be in light queues of these names as well.
fn push(store: &Store, batch: &mut Batch, body: &str, light: &[&str]) {
    push_needing(store, batch, body, light, light.len());
}

/// The same, where only the first `needed` light queues must be there.
fn push_needing(store: &Store, batch: &mut Batch, body: &str, light: &[&str], needed: usize) {
    let mut properties = String::new();
    push_property(&mut properties, property::TAGS, "A");
    let names: Vec<_> = light.iter().map(|name| format!("%LMQ%{name}")).collect();
    push_property(&mut properties, property::INNER_MULTI_DISPATCH, &names.join(","));
    reserve(&mut properties, light.len());
    let queue = store.queue(&topic("T"), QueueId(3));
    let record = NewRecord {
        topic: "T",
        queue_id: QueueId(3),
        flag: 0,
        sys_flag: SysFlag(0),
        born: Timestamp(1_700_000_000_000),
        born_host: "10.0.0.1:50000".parse().unwrap(),
        store_host: "10.0.0.2:10911".parse().unwrap(),
        reconsume_times: 0,
        prepared_offset: PhysicalOffset::ZERO,
        body: body.as_bytes(),
        properties: &[&properties],
    };
    batch.push(queue, &record, EntryTag::Tags(TagsCode::of(Some("A"))));
    let queues: Vec<_> = names.iter().map(|name| store.light_queue(&topic(name)).unwrap()).collect();
    batch.dispatch_last(queues, needed);
}

fn send(store: &Store, body: &str, light: &[&str]) {
    let mut batch = Batch::new();
    push(store, &mut batch, body, light);
    store.append(&mut batch).unwrap();
}

/// The bodies in a light queue from its start on.
fn bodies(store: &Store, light: &str) -> String {
    let Some(queue) = store.find_queue(&format!("%LMQ%{light}"), LIGHT_QUEUE) else { return String::new() };
    let (mut bodies, mut from) = (String::new(), queue.min());
    loop {
        match store.read(&queue, from, NO_LIMIT, &MessageFilter::tags("A")).unwrap() {
            Read::Found(found) => {
                for bytes in split(&found.records) {
                    let record = Record::decode(&bytes).unwrap();
                    assert_eq!(
                        (record.topic, record.queue_id),
                        ("T", QueueId(3)),
                        "stored once, under its topic"
                    );
                    bodies += std::str::from_utf8(record.body).unwrap();
                }
                from = found.next;
            }
            Read::NoMatch { next } => from = next,
            _ => return bodies,
        }
    }
}

/// What the store has in the light queues a, b and c.
fn state(store: &Store) -> [String; 3] {
    ["a", "b", "c"].map(|light| bodies(store, light))
}

/// Messages 1 to 5 in different light queues, among others that are in none.
fn fill(store: &Store) {
    for (body, light) in
        [("1", &["a"][..]), ("2", &["a", "b"]), ("3", &["b"]), ("4", &["c", "a", "b"]), ("5", &["a"])]
    {
        append_one(store, &Message::new("Other", 0, body, 100));
        send(store, body, light);
    }
}

const FULL: [&str; 3] = ["1245", "234", "4"];

fn reopened(config: &StoreConfig) -> Store {
    open(config.clone()).unwrap()
}

#[test]
fn a_message_knows_its_place_in_each_of_its_queues() {
    for flush in [FlushMode::Async, FlushMode::Sync] {
        let dir = support::scratch();
        let store = open(config(dir.path(), flush)).unwrap();
        fill(&store);
        block_on(store.flushed_to(store.stats().log_max)).unwrap();
        assert_eq!(state(&store), FULL);
        let queue = store.find_queue("T", QueueId(3)).unwrap();
        let Read::Found(found) = store.read(&queue, QueueOffset(3), NO_LIMIT, &MessageFilter::All).unwrap()
        else {
            panic!()
        };
        let bytes = &split(&found.records)[0];
        let record = Record::decode(bytes).unwrap();
        assert_eq!(record.queue_offset, QueueOffset(3));
        assert_eq!(find_property(record.properties, property::INNER_MULTI_QUEUE_OFFSET), Some("0,2,2"));
        store.close().unwrap();
    }
}

#[test]
fn a_queue_named_twice_has_the_message_once() {
    let dir = support::scratch();
    let store = open(config(dir.path(), FlushMode::Async)).unwrap();
    send(&store, "1", &["a", "a"]);
    send(&store, "2", &["a"]);
    assert_eq!(bodies(&store, "a"), "12");
    let crashed = support::scratch();
    copy_dir(dir.path(), crashed.path());
    store.close().unwrap();
    let store = reopened(&config(crashed.path(), FlushMode::Async));
    assert_eq!(bodies(&store, "a"), "12");
    store.close().unwrap();
}

#[test]
fn who_waits_on_a_light_queue_is_woken() {
    let dir = support::scratch();
    let store = open(config(dir.path(), FlushMode::Sync)).unwrap();
    let queue = store.light_queue(&topic("%LMQ%a")).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| block_on(queue.wait_beyond(QueueOffset::ZERO)));
        send(&store, "1", &["a"]);
    });
    assert_eq!(bodies(&store, "a"), "1");
    store.close().unwrap();
}

#[test]
fn light_queues_survive_clean_stops_and_crashes_and_go_on_where_they_were() {
    for flush in [FlushMode::Async, FlushMode::Sync] {
        let dir = support::scratch();
        let settings = config(dir.path(), flush);
        let store = open(settings.clone()).unwrap();
        fill(&store);
        block_on(store.flushed_to(store.stats().log_max)).unwrap();
        let crashed = support::scratch();
        copy_dir(dir.path(), crashed.path());
        store.close().unwrap();
        for root in [dir.path(), crashed.path()] {
            let store = reopened(&StoreConfig { root: root.to_owned(), ..settings.clone() });
            assert_eq!(state(&store), FULL);
            send(&store, "6", &["b", "d"]);
            block_on(store.flushed_to(store.stats().log_max)).unwrap();
            assert_eq!((bodies(&store, "b"), bodies(&store, "d")), ("2346".to_owned(), "6".to_owned()));
            store.close().unwrap();
        }
    }
}

#[test]
fn light_queues_whose_files_are_lost_are_rebuilt_from_the_log() {
    let lose_all = |root: &Path| std::fs::remove_dir_all(root.join("consumequeue")).unwrap();
    let lose_one = |root: &Path| std::fs::remove_dir_all(root.join("consumequeue/%LMQ%b")).unwrap();
    for lose in [&lose_all as &dyn Fn(&Path), &lose_one] {
        let dir = support::scratch();
        let settings = config(dir.path(), FlushMode::Async);
        let store = open(settings.clone()).unwrap();
        fill(&store);
        store.close().unwrap();
        lose(dir.path());
        let store = reopened(&settings);
        assert!(store.recovery().rebuilt_queues);
        assert_eq!(state(&store), FULL);
        store.close().unwrap();
    }
}

#[test]
fn a_deleted_light_queue_stays_deleted_and_the_topics_messages_stay() {
    let dir = support::scratch();
    let settings = config(dir.path(), FlushMode::Async);
    let store = open(settings.clone()).unwrap();
    fill(&store);
    store.delete_topic(&topic("%LMQ%a")).unwrap();
    send(&store, "6", &["a"]);
    assert_eq!(bodies(&store, "a"), "6");
    store.close().unwrap();
    std::fs::remove_dir_all(dir.path().join("consumequeue")).unwrap();
    let store = reopened(&settings);
    assert_eq!(state(&store), ["6", "234", "4"]);
    assert_eq!(store.find_queue("T", QueueId(3)).unwrap().max(), QueueOffset(6));
    // The other way round: the topic goes, its messages stay where light queues have them.
    store.delete_topic(&topic("T")).unwrap();
    store.close().unwrap();
    std::fs::remove_dir_all(dir.path().join("consumequeue")).unwrap();
    let store = reopened(&settings);
    assert_eq!(state(&store), ["6", "234", "4"]);
    assert!(store.find_queue("T", QueueId(3)).is_none_or(|queue| queue.max() == QueueOffset::ZERO));
    store.close().unwrap();
}

#[test]
fn light_queues_follow_the_logs_retention() {
    let dir = support::scratch();
    let host = TestHost::new();
    let settings = StoreConfig { file_reserved: Hours(0), ..config(dir.path(), FlushMode::Async) };
    let store = Store::open_on(settings.clone(), &Default::default(), host.clone()).unwrap();
    fill(&store);
    let filler = Message::new("Other", 0, "filler", 1000);
    while store.stats().log_max.0 < 2 * LOG_FILE {
        append_one(&store, &filler);
    }
    send(&store, "6", &["a", "b"]);
    host.set_used_percent(80);
    store.clean_up();
    assert!(store.stats().log_min > PhysicalOffset::ZERO);
    assert_eq!(state(&store), ["6", "6", ""]);
    store.close().unwrap();
    std::fs::remove_dir_all(dir.path().join("consumequeue")).unwrap();
    let store = reopened(&settings);
    assert_eq!(state(&store), ["6", "6", ""]);
    let queue = store.find_queue("%LMQ%a", LIGHT_QUEUE).unwrap();
    assert_eq!((queue.min(), queue.max()), (QueueOffset(4), QueueOffset(5)), "places are not counted anew");
    store.close().unwrap();
}

#[test]
fn there_are_only_so_many_light_queues() {
    let dir = support::scratch();
    let settings = StoreConfig { max_light_queues: 3, ..config(dir.path(), FlushMode::Async) };
    let store = open(settings.clone()).unwrap();
    let light = |name: &str| store.light_queue(&topic(&format!("%LMQ%{name}")));
    send(&store, "1", &["a", "b"]);
    let held = light("held").unwrap();
    assert!(light("d").is_none());
    assert!(light("a").is_some(), "one that there is");
    drop(held);
    assert!(light("d").is_some(), "nobody used the other, and it never had a message");
    store.delete_topic(&topic("%LMQ%a")).unwrap();
    assert!(light("e").is_some());
    store.close().unwrap();
}

#[test]
fn a_message_for_a_queue_that_was_just_deleted_is_not_stored() {
    let dir = support::scratch();
    let store = open(config(dir.path(), FlushMode::Async)).unwrap();
    let mut batch = Batch::new();
    push(&store, &mut batch, "1", &["a", "b"]);
    store.delete_topic(&topic("%LMQ%b")).unwrap();
    assert!(matches!(store.append(&mut batch), Err(AppendError::Deleted)));
    assert_eq!(bodies(&store, "a"), "");
    assert_eq!(store.queue(&topic("T"), QueueId(3)).max(), QueueOffset::ZERO);
    store.close().unwrap();
}

#[test]
fn a_message_goes_without_the_queues_that_it_does_not_need() {
    let dir = support::scratch();
    let settings = config(dir.path(), FlushMode::Async);
    let store = open(settings.clone()).unwrap();
    fill(&store);
    let mut batch = Batch::new();
    push_needing(&store, &mut batch, "6", &["a", "b", "c"], 1);
    store.delete_light_queues(&[topic("%LMQ%b"), topic("%LMQ%never-used")]).unwrap();
    store.append(&mut batch).unwrap();
    send(&store, "7", &["b"]);
    let expected = ["12456", "7", "46"];
    assert_eq!(state(&store), expected);
    let crashed = support::scratch();
    copy_dir(dir.path(), crashed.path());
    store.close().unwrap();
    for root in [dir.path(), crashed.path()] {
        let settings = StoreConfig { root: root.to_owned(), ..settings.clone() };
        let store = reopened(&settings);
        assert_eq!(state(&store), expected);
        store.close().unwrap();
        std::fs::remove_dir_all(root.join("consumequeue")).unwrap();
        let store = reopened(&settings);
        assert_eq!(state(&store), expected, "rebuilt");
        store.close().unwrap();
    }
}

#[test]
fn queues_of_filters_are_not_counted_and_stay_when_they_are_empty() {
    let dir = support::scratch();
    let settings = StoreConfig { max_light_queues: 1, ..config(dir.path(), FlushMode::Async) };
    let store = open(settings).unwrap();
    let light = |name: &str| store.light_queue(&topic(&format!("%LMQ%{name}")));
    let filters: Vec<_> = (0..3).map(|i| store.filter_queue(&topic(&format!("%LMQ%f{i}")))).collect();
    send(&store, "1", &["a"]);
    assert!(light("b").is_none());
    // A client's that is a filter's as well, and then a client's again.
    let both = store.filter_queue(&topic("%LMQ%a"));
    let _b = light("b").expect("there is room for another");
    store.leave_filter_queue(&both);
    assert!(light("c").is_none());
    store.delete_light_queues(&[topic("%LMQ%f0"), topic("%LMQ%b")]).unwrap();
    assert!(filters[0].is_retired() && !filters[1].is_retired() && light("c").is_none());
    store.delete_topic(&topic("%LMQ%a")).unwrap();
    assert!(light("c").is_some());
    store.close().unwrap();
}
