//! The state from outside: what is promised, and what a killed process leaves.

mod durability;
mod model;
mod replay;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use ferromq_model::message::{SysFlag, property, push_property};
use ferromq_model::mqtt::{Parts, address, names, stored_under};
use ferromq_model::{QueueId, QueueOffset};
use tempfile::TempDir;
use tokio::time::timeout;

use super::*;

/// A log in memory, of which each record takes 100 bytes.
#[derive(Default)]
struct Log100 {
    records: Mutex<Vec<(String, Vec<u8>)>>,
    /// How often a record was looked at.
    looked_at: Mutex<usize>,
}

const RECORD: u64 = 100;

impl Log100 {
    fn append(&self, properties: &[(&str, &str)], body: &[u8]) -> PhysicalOffset {
        let mut text = String::new();
        let has_topic = properties.iter().any(|(name, _)| *name == property::ORIGIN_MQTT_TOPIC);
        if !has_topic {
            push_property(&mut text, property::ORIGIN_MQTT_TOPIC, "t");
        }
        properties.iter().for_each(|(name, value)| push_property(&mut text, name, value));
        let mut records = self.records.lock();
        records.push((text, body.to_vec()));
        PhysicalOffset((records.len() - 1) as u64 * RECORD)
    }
}

impl Log for Log100 {
    fn end(&self) -> PhysicalOffset {
        PhysicalOffset(self.records.lock().len() as u64 * RECORD)
    }

    fn each_record(&self, from: PhysicalOffset, look: &mut dyn FnMut(&Record<'_>) -> bool) {
        for (i, (properties, body)) in self.records.lock().iter().enumerate() {
            let at = PhysicalOffset(i as u64 * RECORD);
            if at < from {
                continue;
            }
            *self.looked_at.lock() += 1;
            let host = SocketAddr::from(([127, 0, 0, 1], 1));
            let under = stored_under(&address("", &Parts::of(properties, body)));
            let more = look(&Record {
                len: RECORD as usize,
                body_crc: 0,
                queue_id: QueueId(0),
                flag: 0,
                queue_offset: QueueOffset(i as u64),
                physical_offset: at,
                sys_flag: SysFlag(0),
                born: NOON,
                born_host: host,
                stored: NOON,
                store_host: host,
                reconsume_times: 0,
                prepared_offset: PhysicalOffset::ZERO,
                body,
                topic: under.as_str(),
                properties,
            });
            if !more {
                return;
            }
        }
    }
}

/// No limit.
const SESSIONS: usize = usize::MAX;
const RETAIN: RetainLimits = RetainLimits { messages: 100, bytes: 1 << 20 };
const NOON: Timestamp = Timestamp(1_000_000);

fn at(seconds: i64) -> Timestamp {
    Timestamp(NOON.0 + seconds * 1000)
}

type Found = Vec<(SessionNumber, Arc<str>, Subscription)>;

fn open_found(dir: &Path, now: Timestamp) -> (State, Found) {
    open_on(dir, &Arc::default(), now)
}

fn open_on(dir: &Path, log: &Arc<Log100>, now: Timestamp) -> (State, Found) {
    open_with_ends(dir, log, now, None)
}

/// The same, where the queues of all subscriptions end.
fn open_with_ends(dir: &Path, log: &Arc<Log100>, now: Timestamp, end: Option<QueueOffset>) -> (State, Found) {
    let mut found = Vec::new();
    let options =
        Options { dir: dir.to_owned(), flush: FlushMode::Async, sessions: SESSIONS, retain: RETAIN };
    let state = State::open(&options, log.clone(), now, |number, filter, subscription| {
        found.push((number, Arc::clone(filter), *subscription));
        end
    });
    (state.expect("opens"), found)
}

fn open(dir: &Path) -> State {
    open_found(dir, NOON).0
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
            continue;
        }
        let mut bytes = fs::read(entry.path()).unwrap();
        if target.extension().is_some_and(|extension| extension == "jnl") {
            // The hole that follows is 64 MiB.
            bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        }
        fs::write(target, bytes).unwrap();
    }
}

/// A copy of what the kernel has of a directory: what a kill at this moment leaves.
fn killed(dir: &Path) -> TempDir {
    let image = tempfile::tempdir().unwrap();
    copy_dir(dir, image.path());
    image
}

/// Connections and their owners run on any thread.
#[test]
fn what_is_awaited_can_be_awaited_anywhere() {
    fn anywhere<T: Send>(_: T) {}
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let session = SessionNumber::new(1, Expiry::Never);
    anywhere(state.connect(hello("one", Expiry::Never), NOON));
    anywhere(state.end(session, NOON));
    anywhere(state.expire(NOON, 1));
    anywhere(state.due_wills(NOON, 1));
    anywhere(state.load(session));
    anywhere(state.groups());
    anywhere(state.flush().wait());
    anywhere(state.publishing());
}

fn hello(client: &str, expiry: Expiry) -> Connect {
    Connect { client_id: client.into(), version: 5, clean_start: false, expiry, will: None }
}

fn will(client: &str, delay: u32) -> Option<Box<Will>> {
    Some(Box::new(Will {
        client_id: client.into(),
        topic: "wills/x".into(),
        payload: Bytes::from_static(b"gone"),
        qos: 1,
        retain: false,
        properties: "".into(),
        delay,
        since: PhysicalOffset::ZERO,
    }))
}

const LEAF: Subscription = Subscription {
    qos: 1,
    no_local: false,
    retain_as_published: false,
    retain_handling: 0,
    identifier: None,
    next: QueueOffset(7),
    since: QueueOffset(2),
};

fn subscribe(session: SessionNumber, filter: &str, next: u64) -> Change {
    let subscription = Subscription { next: QueueOffset(next), ..LEAF };
    Change::Subscription { session, filter: filter.into(), subscription }
}

fn sent(order: u64, offset: u64) -> Outbound {
    let source = Source::Queue { filter: "a/#".into(), offset: QueueOffset(offset) };
    Outbound { order, qos: 2, phase: Phase::Sent, source }
}

#[tokio::test]
async fn what_was_safe_is_there_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let connected = state.connect(hello("one", Expiry::Never), NOON).await.unwrap();
    let session = connected.number;
    assert!(connected.resumed.is_none() && connected.ended.is_none());
    connected.durable.wait().await.unwrap();
    let outbound = Change::Outbound { session, packet_id: 9, outbound: sent(2, 6) };
    let earlier = Change::Outbound { session, packet_id: 300, outbound: sent(1, 5) };
    let inbound = Change::Inbound { session, packet_id: 1, inbound: Inbound::Held(PhysicalOffset::ZERO) };
    state.commit([subscribe(session, "a/#", 7), outbound, earlier, inbound]).wait().await.unwrap();

    let image = killed(dir.path());
    let (state, found) = open_found(image.path(), NOON);
    assert_eq!(found, [(session, "a/#".into(), LEAF)]);
    assert_eq!(state.find("one"), Some(session));
    assert_eq!(state.session(session).unwrap().presence, Presence::Away { since: NOON });
    let resumed = state.connect(hello("one", Expiry::Never), NOON).await.unwrap().resumed.unwrap();
    assert_eq!(resumed.subscriptions, [("a/#".into(), LEAF)]);
    assert_eq!(resumed.outbound, [(300, sent(1, 5)), (9, sent(2, 6))]);
    assert_eq!(resumed.inbound, [(1, PhysicalOffset::ZERO)]);
}

#[tokio::test]
async fn a_session_resumes_with_what_may_still_wait_to_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let session = state.connect(hello("one", Expiry::Never), NOON).await.unwrap().number;
    state.commit([subscribe(session, "a", 1), subscribe(session, "b", 1)]).leave();
    state.later([subscribe(session, "a", 5)]);
    state.commit([Change::Unsubscribed { session, filter: "b".into() }]).leave();
    assert!(!state.disconnected(session, None, true, NOON));
    let loaded = state.connect(hello("one", Expiry::Never), NOON).await.unwrap().resumed.unwrap();
    assert_eq!(loaded.subscriptions, [("a".into(), Subscription { next: QueueOffset(5), ..LEAF })]);
}

#[tokio::test]
async fn of_one_key_the_last_change_counts_whether_it_may_wait_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let session = state.connect(hello("one", Expiry::Never), NOON).await.unwrap().number;
    let outbound = |order| Change::Outbound { session, packet_id: 1, outbound: sent(order, order) };
    state.commit([outbound(1)]).wait().await.unwrap();
    // The identifier is used again before its first use is forgotten.
    state.later([Change::Complete { session, packet_id: 1 }]);
    state.commit([outbound(2)]).wait().await.unwrap();
    state.flush().wait().await.unwrap();
    assert_eq!(state.load(session).await.unwrap().outbound, [(1, sent(2, 2))]);
    // And the other way round: two changes in one commit, then one that may wait.
    state.commit([outbound(3), outbound(4)]).leave();
    state.later([Change::Complete { session, packet_id: 1 }]);
    assert_eq!(state.load(session).await.unwrap(), Loaded::default());
    let image = killed(dir.path());
    assert_eq!(open(image.path()).load(session).await.unwrap(), Loaded::default());
}

#[tokio::test]
async fn a_clean_start_leaves_nothing_of_the_session_before() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let first = state.connect(hello("one", Expiry::Never), NOON).await.unwrap().number;
    state.commit([subscribe(first, "a", 1), subscribe(first, "b", 2)]).leave();
    let clean = Connect { clean_start: true, ..hello("one", Expiry::Never) };
    let connected = state.connect(clean, NOON).await.unwrap();
    let ended = connected.ended.unwrap();
    assert_eq!((ended.number, ended.loaded.subscriptions.len()), (first, 2));
    assert!(connected.resumed.is_none() && connected.number != first);
    connected.durable.wait().await.unwrap();

    let image = killed(dir.path());
    let (state, found) = open_found(image.path(), NOON);
    assert_eq!(found, []);
    assert_eq!((state.session_count(), state.find("one")), (1, Some(connected.number)));
    assert_eq!(state.load(first).await.unwrap(), Loaded::default());
    let third = state.connect(hello("three", Expiry::Never), NOON).await.unwrap().number;
    assert!(third > connected.number, "a number is never given twice");
}

#[tokio::test]
async fn rows_written_behind_the_end_of_their_session_are_cleared_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let session = state.connect(hello("one", Expiry::Never), NOON).await.unwrap().number;
    state.end(session, NOON).await.unwrap().unwrap();
    state.later([subscribe(session, "a", 1)]);
    state.close().unwrap();
    drop(state);
    for _ in 0..2 {
        let (state, found) = open_found(dir.path(), NOON);
        assert_eq!(found, []);
        state.flush().wait().await.unwrap();
        assert_eq!(state.load(session).await.unwrap(), Loaded::default());
    }
}

#[tokio::test]
async fn a_session_that_ends_with_its_connection_leaves_only_its_will() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let connect = Connect { will: will("brief", 60), ..hello("brief", Expiry::AtClose) };
    let connected = state.connect(connect, NOON).await.unwrap();
    connected.durable.wait().await.unwrap();
    state.commit([subscribe(connected.number, "a", 1)]).wait().await.unwrap();
    assert_eq!(state.due_wills(at(60), 9).await.unwrap(), [], "it is connected");

    let image = killed(dir.path());
    let (after, found) = open_found(image.path(), at(1));
    assert_eq!((found, after.session_count()), (vec![], 0));
    let due = after.due_wills(at(1), 9).await.unwrap();
    assert_eq!(due, [(connected.number, *will("brief", 60).unwrap())]);
    after.commit([Change::NoWill { session: connected.number }]).wait().await.unwrap();
    assert_eq!(after.due_wills(at(99), 9).await.unwrap(), []);
    let image = killed(image.path());
    assert_eq!(open(image.path()).due_wills(at(99), 9).await.unwrap(), [], "published once");

    assert!(state.disconnected(connected.number, None, false, NOON), "it ends");
    assert_eq!((state.session_count(), state.next_time()), (0, None));
    assert_eq!(state.due_wills(at(99), 9).await.unwrap(), [], "it said goodbye");
}

#[tokio::test]
async fn a_session_ends_when_its_time_has_come_also_across_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let stays = state.connect(hello("stays", Expiry::Never), NOON).await.unwrap().number;
    let ends = state.connect(hello("ends", Expiry::After(30)), NOON).await.unwrap().number;
    state.commit([subscribe(ends, "a", 1)]).leave();
    assert_eq!(state.expire(at(1_000_000), 9).await.unwrap(), [], "both are connected");
    assert!(!state.disconnected(stays, None, true, NOON));
    assert!(!state.disconnected(ends, None, true, NOON));
    assert_eq!(state.next_time(), Some(at(30)));
    state.flush().wait().await.unwrap();

    // The time runs from the connection's loss, not from the restart.
    let image = killed(dir.path());
    let (state, _) = open_found(image.path(), at(20));
    assert_eq!(state.expire(at(29), 9).await.unwrap(), []);
    let ended = state.expire(at(30), 9).await.unwrap();
    assert_eq!(ended.iter().map(|ended| ended.number).collect::<Vec<_>>(), [ends]);
    assert_eq!(ended[0].loaded.subscriptions.len(), 1);
    assert_eq!((state.session_count(), state.find("stays")), (1, Some(stays)));
    assert!(state.connect(hello("ends", Expiry::Never), NOON).await.unwrap().resumed.is_none());
}

#[tokio::test]
async fn a_session_whose_time_has_come_is_not_resumed_before_anybody_looked_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let number = state.connect(hello("x", Expiry::After(30)), NOON).await.unwrap().number;
    state.commit([subscribe(number, "a", 1)]).leave();
    assert!(!state.disconnected(number, None, true, NOON));
    let back = state.connect(hello("x", Expiry::After(30)), at(29)).await.unwrap();
    assert!(back.resumed.is_some_and(|loaded| loaded.subscriptions.len() == 1), "it is back in time");
    assert!(!state.disconnected(number, None, true, at(40)));
    let late = state.connect(hello("x", Expiry::After(30)), at(70)).await.unwrap();
    assert!(late.resumed.is_none(), "it comes too late");
    assert_eq!(late.ended.map(|ended| ended.number), Some(number));
    assert_ne!(late.number, number);
}

/// A client with a delay of 10 s comes back; what is due then, and with a last will of 20 s at the next loss.
#[tokio::test]
async fn only_a_connection_in_time_revokes_a_will() {
    for (back_after, is_left) in [(9, false), (10, true)] {
        let dir = tempfile::tempdir().unwrap();
        let state = open(dir.path());
        let with_will = |delay| Connect { will: will("x", delay), ..hello("x", Expiry::After(60)) };
        let number = state.connect(with_will(10), NOON).await.unwrap().number;
        assert!(!state.disconnected(number, None, true, NOON));
        let back = state.connect(with_will(20), at(back_after)).await.unwrap();
        assert_eq!((back.number, back.left_will), (number, is_left));
        assert!(back.resumed.is_some());
        back.durable.wait().await.unwrap();

        let due = state.due_wills(at(10), 9).await.unwrap();
        assert_eq!(
            due.iter().map(|(_, will)| will.delay).collect::<Vec<_>>(),
            vec![10; usize::from(is_left)]
        );
        assert!(due.iter().all(|(left, _)| *left != number), "the session has another one by now");
        // A crash leaves both, and the connection lost.
        let image = killed(dir.path());
        let (after, _) = open_found(image.path(), at(30));
        assert_eq!(after.due_wills(at(30), 9).await.unwrap(), due);
        assert_eq!(after.due_wills(at(50), 9).await.unwrap().len(), 1 + usize::from(is_left));

        state.commit(due.iter().map(|(left, _)| Change::NoWill { session: *left })).wait().await.unwrap();
        assert!(!state.disconnected(number, None, true, at(40)));
        let due = state.due_wills(at(60), 9).await.unwrap();
        assert_eq!(
            due.iter().map(|(number, will)| (*number, will.delay)).collect::<Vec<_>>(),
            [(number, 20)]
        );
    }
}

/// Whoever publishes a will has it in hand: what the client sets when it comes back would be published in its place, or be
/// taken for published with it.
#[tokio::test]
async fn a_client_that_is_back_waits_until_its_will_is_published() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let with_will = || Connect { will: will("x", 10), ..hello("x", Expiry::After(60)) };
    let number = state.connect(with_will(), NOON).await.unwrap().number;
    assert!(!state.disconnected(number, None, true, NOON));
    let turn = state.will_turn().await;
    let due = state.due_wills(at(10), 9).await.unwrap();
    // Its clock is behind.
    let mut back = pin!(state.connect(with_will(), at(9)));
    assert!(timeout(Duration::from_millis(50), &mut back).await.is_err(), "it has to wait");
    state.commit(due.iter().map(|(number, _)| Change::NoWill { session: *number })).wait().await.unwrap();
    drop(turn);
    let back = back.await.unwrap();
    assert!(!back.left_will, "it is published");
    assert!(!state.disconnected(back.number, None, true, at(11)));
    assert_eq!(state.due_wills(at(21), 9).await.unwrap().len(), 1, "its next one is as it was set");
}

#[tokio::test]
async fn a_restart_is_the_loss_of_every_connection() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let connect = Connect { will: will("x", 10), ..hello("x", Expiry::After(60)) };
    let connected = state.connect(connect, NOON).await.unwrap();
    connected.durable.wait().await.unwrap();

    let image = killed(dir.path());
    let (state, _) = open_found(image.path(), at(100));
    assert_eq!(state.next_time(), Some(at(110)));
    assert_eq!(state.due_wills(at(109), 9).await.unwrap(), []);
    assert_eq!(state.due_wills(at(110), 9).await.unwrap().len(), 1);
    state.flush().wait().await.unwrap();
    // A second restart does not lengthen its life.
    let image = killed(image.path());
    let (state, _) = open_found(image.path(), at(150));
    let ended = state.expire(at(160), 9).await.unwrap();
    assert_eq!(ended.len(), 1);
}

#[tokio::test]
async fn a_will_waits_for_its_delay_or_the_sessions_end_unless_the_client_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let connect = |delay, expiry| Connect { will: will("x", delay), ..hello("x", expiry) };
    let session = state.connect(connect(10, Expiry::After(60)), NOON).await.unwrap().number;
    state.disconnected(session, None, true, NOON);
    assert_eq!(state.due_wills(at(9), 9).await.unwrap(), []);
    assert_eq!(state.due_wills(at(10), 9).await.unwrap().len(), 1);
    // It comes back with another will.
    state.connect(connect(100, Expiry::After(60)), at(9)).await.unwrap().durable.leave();
    assert_eq!(state.due_wills(at(1000), 9).await.unwrap(), []);
    state.disconnected(session, None, true, at(20));
    assert_eq!(state.due_wills(at(79), 9).await.unwrap(), []);
    assert_eq!(state.due_wills(at(80), 9).await.unwrap().len(), 1, "the session ends before the delay");
    assert_eq!(state.expire(at(80), 9).await.unwrap().len(), 1);
    assert_eq!(state.due_wills(at(80), 9).await.unwrap().len(), 1, "it outlives the session");
    state.commit([Change::NoWill { session }]).wait().await.unwrap();
    assert_eq!((state.due_wills(at(80), 9).await.unwrap(), state.next_time()), (vec![], None));

    // A clean start ends the session before, whose will goes out at once; so does an expiry that DISCONNECT set to 0.
    let session = state.connect(connect(100, Expiry::Never), NOON).await.unwrap().number;
    state.disconnected(session, None, true, NOON);
    let clean = Connect { clean_start: true, ..hello("x", Expiry::Never) };
    let next = state.connect(clean, at(1)).await.unwrap().number;
    assert_eq!(state.due_wills(at(1), 9).await.unwrap()[0].0, session);
    assert!(state.disconnected(next, Some(Expiry::AtClose), true, at(2)));
    assert_eq!(state.find("x"), None);
}

fn message_at(at: PhysicalOffset) -> Retained {
    let payload = Bytes::from_static(b"x");
    Retained { at, stored: NOON, expires: None, qos: 0, properties: "".into(), payload }
}

#[tokio::test]
async fn the_longest_filters_and_topics_are_kept_like_others() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let session = state.connect(hello("one", Expiry::Never), NOON).await.unwrap().number;
    let longest = |last: &str| -> Arc<str> { format!("{}{last}", "x".repeat(65_534)).into() };
    let group = Some(SharedGroup::default());
    let changes = [
        subscribe(session, &longest("a"), 1),
        subscribe(session, &longest("b"), 2),
        subscribe(session, &longest("c"), 3),
        Change::Group { filter: longest("d"), group },
    ];
    state.commit(changes).leave();
    state.commit([Change::Unsubscribed { session, filter: longest("b") }]).leave();
    state.retain(&longest("e"), message_at(PhysicalOffset::ZERO)).unwrap();
    state.flush().wait().await.unwrap();
    let image = killed(dir.path());
    let (state, mut found) = open_found(image.path(), NOON);
    found.sort_by_key(|(_, _, subscription)| subscription.next);
    let filters: Vec<_> = found.iter().map(|(_, filter, _)| Arc::clone(filter)).collect();
    assert_eq!(filters, [longest("a"), longest("c")]);
    assert_eq!(state.load(session).await.unwrap().subscriptions.len(), 2);
    assert_eq!(state.groups().await.unwrap()[0].0, longest("d"));
    assert!(state.retained(&longest("e"), NOON).is_some());
}

#[test]
fn whoever_looks_for_retained_messages_waits_for_those_that_are_on_their_way() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let (found, look) = std::sync::mpsc::sync_channel(1);
    let retaining = state.retaining();
    std::thread::scope(|scope| {
        scope.spawn(|| found.send(state.retained_matching("#", NOON)).unwrap());
        // Too short a time shows less, and fails nothing.
        let early = look.recv_timeout(Duration::from_millis(50));
        state.retain(&"t".into(), message_at(PhysicalOffset::ZERO)).unwrap();
        drop(retaining);
        assert_eq!(early.or_else(|_| look.recv()).unwrap().len(), 1);
    });
}

#[tokio::test]
async fn shared_groups_are_kept_beside_the_sessions() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let group = SharedGroup { next: QueueOffset(4), returned: vec![QueueOffset(1)] };
    let put = |group| Change::Group { filter: "$share/g/a".into(), group };
    state.later([put(Some(group.clone()))]);
    assert_eq!(state.groups().await.unwrap(), [("$share/g/a".into(), group)]);
    let image = killed(dir.path());
    assert_eq!(open(image.path()).groups().await.unwrap().len(), 1);
    state.commit([put(None)]).leave();
    assert_eq!(state.groups().await.unwrap(), []);
}

#[tokio::test]
async fn a_damaged_row_is_named_and_refuses_only_its_session() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let session = state.connect(hello("one", Expiry::Never), NOON).await.unwrap().number;
    let mut batch = Batch::default();
    batch.put(layout::key(session, Table::Outbound, &[0, 1]), vec![1, 2, 3]);
    state.inner.journal.commit(batch).wait().await.unwrap();
    let refused = state.connect(hello("one", Expiry::Never), NOON).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "cannot read MQTT state: row 0000000000000001030001 of sessions holds a value that does not exist"
    );
    // A client that begins anew gets rid of it.
    let clean = Connect { clean_start: true, ..hello("one", Expiry::Never) };
    state.connect(clean, NOON).await.unwrap().durable.wait().await.unwrap();
    let image = killed(dir.path());
    assert_eq!(open(image.path()).session_count(), 1);
}

#[test]
fn a_directory_that_is_in_use_is_refused_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let _state = open(dir.path());
    let options =
        Options { dir: dir.path().to_owned(), flush: FlushMode::Async, sessions: SESSIONS, retain: RETAIN };
    let refused = State::open(&options, Arc::new(Log100::default()), NOON, |_, _, _| None).err().unwrap();
    assert!(refused.to_string().contains(&dir.path().display().to_string()), "{refused}");
}
