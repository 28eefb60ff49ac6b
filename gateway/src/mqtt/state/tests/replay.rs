//! What the commit log says beyond the rows.

use super::*;

fn qos2(log: &Log100, client: &str, packet_id: u16) -> PhysicalOffset {
    let id = packet_id.to_string();
    log.append(&[(names::CLIENT_ID, client), (names::QOS_LEVEL, "2"), (names::PACKET_ID, &id)], b"x")
}

fn held(session: SessionNumber, packet_id: u16, at: PhysicalOffset) -> Change {
    Change::Inbound { session, packet_id, inbound: Inbound::Held(at) }
}

fn released(session: SessionNumber, packet_id: u16, at: PhysicalOffset) -> Change {
    Change::Inbound { session, packet_id, inbound: Inbound::Released(at) }
}

async fn inbound(state: &State, client: &str) -> Vec<(u16, PhysicalOffset)> {
    state.load(state.find(client).expect("a session")).await.unwrap().inbound
}

#[tokio::test]
async fn the_log_says_which_identifiers_are_held_when_no_row_does() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(Log100::default());
    // Of a session before this one.
    qos2(&log, "one", 7);
    let (state, _) = open_on(dir.path(), &log, NOON);
    let session = state.connect(hello("one", Expiry::Never), NOON).await.unwrap();
    session.durable.wait().await.unwrap();
    let publishing = state.publishing();
    let at = qos2(&log, "one", 9);
    qos2(&log, "stranger", 9);
    // Killed before anything was said of it, though other rows were written.
    state.commit([subscribe(session.number, "a", 1)]).wait().await.unwrap();
    let image = killed(dir.path());
    drop(publishing);

    let (after, _) = open_on(image.path(), &log, NOON);
    assert_eq!(inbound(&after, "one").await, [(9, at)]);
}

#[tokio::test]
async fn a_released_identifier_stays_free_until_it_is_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(Log100::default());
    let (state, _) = open_on(dir.path(), &log, NOON);
    let session = state.connect(hello("one", Expiry::Never), NOON).await.unwrap().number;
    // Somebody else's message holds the watermark all the time.
    let _publishing = state.publishing();
    let first = qos2(&log, "one", 5);
    state.later([held(session, 5, first)]);
    state.commit([released(session, 5, first)]).wait().await.unwrap();
    state.flush().wait().await.unwrap();
    let image = killed(dir.path());
    assert_eq!(inbound(&open_on(image.path(), &log, NOON).0, "one").await, [], "the log does not undo it");

    let again = qos2(&log, "one", 5);
    let image = killed(dir.path());
    assert_eq!(inbound(&open_on(image.path(), &log, NOON).0, "one").await, [(5, again)]);
}

#[tokio::test]
async fn the_watermark_spares_records_and_clears_released_identifiers() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(Log100::default());
    let (state, _) = open_on(dir.path(), &log, NOON);
    let session = state.connect(hello("one", Expiry::Never), NOON).await.unwrap().number;
    let publishing = state.publishing();
    let (first, second) = (qos2(&log, "one", 5), qos2(&log, "one", 6));
    state.commit([held(session, 5, first), held(session, 6, second)]).leave();
    drop(publishing);
    state.commit([released(session, 5, first)]).wait().await.unwrap();
    // Used again at once, while its release is still remembered.
    let publishing = state.publishing();
    let again = qos2(&log, "one", 5);
    state.later([held(session, 5, again)]);
    drop(publishing);
    state.flush().wait().await.unwrap();
    assert_eq!(inbound(&state, "one").await, [(5, again), (6, second)]);
    let looked_at = *log.looked_at.lock();
    state.close().unwrap();
    drop(state);
    let (state, _) = open_on(dir.path(), &log, NOON);
    assert_eq!(*log.looked_at.lock(), looked_at, "all is known");
    assert_eq!(inbound(&state, "one").await, [(5, again), (6, second)]);

    state.commit([released(session, 5, again)]).wait().await.unwrap();
    state.later([subscribe(session, "a", 1)]);
    state.flush().wait().await.unwrap();
    let key = layout::key(session, Table::Inbound, &5_u16.to_be_bytes());
    assert!(state.inner.database.row(Space::Sessions, &key).unwrap().is_none(), "its row is gone");
}

#[tokio::test]
async fn a_message_at_a_position_that_the_log_lost_is_not_taken_for_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(Log100::default());
    let (state, _) = open_on(dir.path(), &log, NOON);
    let session = state.connect(hello("one", Expiry::Never), NOON).await.unwrap().number;
    let retained = |at, payload| Retained {
        at,
        stored: NOON,
        expires: None,
        qos: 0,
        properties: "".into(),
        payload: Bytes::from_static(payload),
    };
    let lost = qos2(&log, "one", 5);
    qos2(&log, "one", 6);
    state.retain(&"t".into(), retained(lost.plus(RECORD), b"lost")).unwrap();
    state.commit([held(session, 5, lost), held(session, 6, lost.plus(RECORD))]).leave();
    state.commit([released(session, 6, lost.plus(RECORD))]).leave();
    state.flush().wait().await.unwrap();
    let image = killed(dir.path());

    // A power cut took both records from the log, and others came in their place.
    let shorter = Arc::new(Log100::default());
    let (state, _) = open_on(image.path(), &shorter, NOON);
    assert_eq!(inbound(&state, "one").await, [(5, lost)], "the client was told that it is held");
    assert_eq!(state.retained(&"t".into(), NOON).unwrap().payload, "lost");
    let at = shorter.append(&[(property::ORIGIN_MQTT_TOPIC, "t"), (names::RETAIN, "1")], b"new");
    let again = qos2(&shorter, "one", 6);
    let image = killed(image.path());
    let (state, _) = open_on(image.path(), &shorter, NOON);
    assert_eq!(state.retained(&"t".into(), NOON).unwrap().at, at);
    assert_eq!(inbound(&state, "one").await, [(5, lost), (6, again)]);
}

#[tokio::test]
async fn retained_messages_come_back_from_rows_and_from_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(Log100::default());
    let (state, _) = open_on(dir.path(), &log, NOON);
    let publish = |topic, body: &[u8]| {
        let empty: &[_] = if body == b"\0" { &[(names::IS_EMPTY, "true")] } else { &[] };
        let own = [(property::ORIGIN_MQTT_TOPIC, topic), (names::RETAIN, "1"), (names::QOS_LEVEL, "1")];
        log.append(&[&own, empty].concat(), body)
    };
    let keep = |state: &State, topic: &'static str, body: &'static [u8]| {
        let publishing = state.publishing();
        let at = publish(topic, body);
        let properties = log.records.lock().last().unwrap().0.as_str().into();
        let payload = Bytes::from_static(body);
        state
            .retain(&topic.into(), Retained { at, stored: NOON, expires: None, qos: 1, properties, payload })
            .unwrap();
        drop(publishing);
    };
    keep(&state, "kept", b"1");
    keep(&state, "cleared", b"1");
    keep(&state, "replaced", b"1");
    state.flush().wait().await.unwrap();
    // Nothing is said of these: the process dies first.
    publish("cleared", b"\0");
    publish("replaced", b"2");
    publish("new/topic", b"3");
    publish("brief", b"4");
    publish("brief", b"\0");
    let image = killed(dir.path());

    for _ in 0..2 {
        let (state, _) = open_on(image.path(), &log, NOON);
        let all: Vec<_> = state.retained_matching("#", NOON);
        let all: Vec<_> =
            all.iter().map(|(topic, message)| (&**topic, &*message.payload, message.qos)).collect();
        assert_eq!(all, [("kept", &b"1"[..], 1), ("new/topic", b"3", 1), ("replaced", b"2", 1)]);
        state.flush().wait().await.unwrap();
        state.close().unwrap();
    }
}

#[tokio::test]
async fn a_retained_message_that_expired_is_forgotten_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let message = |expires| Retained {
        at: PhysicalOffset::ZERO,
        stored: NOON,
        expires,
        qos: 0,
        properties: "".into(),
        payload: Bytes::from_static(b"x"),
    };
    state.retain(&"soon".into(), message(Some(at(5)))).unwrap();
    state.retain(&"never".into(), message(None)).unwrap();
    assert_eq!(state.expire_retained(at(4), 9), 0);
    assert_eq!(state.expire_retained(at(5), 9), 1);
    state.flush().wait().await.unwrap();
    let image = killed(dir.path());
    let state = open(image.path());
    assert_eq!(state.retained_size(), (1, 6));
    assert!(state.retained(&"never".into(), at(1_000_000)).is_some());
}

#[tokio::test]
async fn what_is_retained_beyond_the_limit_is_refused_and_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(Log100::default());
    let options = Options {
        dir: dir.path().to_owned(),
        flush: FlushMode::Async,
        sessions: SESSIONS,
        retain: RetainLimits { messages: 1, bytes: 100 },
    };
    let open = || State::open(&options, log.clone(), NOON, |_, _, _| None).unwrap();
    let state = open();
    let at = log.append(&[(property::ORIGIN_MQTT_TOPIC, "one"), (names::RETAIN, "1")], b"x");
    let message = Retained {
        at,
        stored: NOON,
        expires: None,
        qos: 0,
        properties: "".into(),
        payload: Bytes::from_static(b"x"),
    };
    state.retain(&"one".into(), message.clone()).unwrap();
    let refused = state.retain(&"two".into(), message).unwrap_err();
    assert_eq!(refused.to_string(), "no more than 1 messages and 100 bytes are retained");
    drop(state);
    log.append(&[(property::ORIGIN_MQTT_TOPIC, "three"), (names::RETAIN, "1")], b"x");
    assert_eq!(open().retained_size().0, 1);
}

#[tokio::test]
async fn a_will_that_the_log_has_is_not_published_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(Log100::default());
    let (state, _) = open_on(dir.path(), &log, NOON);
    let connect = || Connect { will: will("x", 0), ..hello("x", Expiry::Never) };
    let session = state.connect(connect(), NOON).await.unwrap();
    session.durable.wait().await.unwrap();
    let publishing = state.publishing();
    log.append(&[(names::WILL, &session.number.mark())], b"gone");
    let image = killed(dir.path());
    assert_eq!(open_on(image.path(), &log, NOON).0.due_wills(at(1), 9).await.unwrap(), []);

    // The same client's next will is another one.
    state.commit([Change::NoWill { session: session.number }]).leave();
    state.disconnected(session.number, None, true, NOON);
    state.connect(connect(), NOON).await.unwrap().durable.wait().await.unwrap();
    let image = killed(dir.path());
    assert_eq!(open_on(image.path(), &log, NOON).0.due_wills(at(1), 9).await.unwrap().len(), 1);
    drop(publishing);
}

#[tokio::test]
async fn positions_that_the_log_lost_are_not_waited_for_nor_taken_for_those_of_other_messages() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(Log100::default());
    let (state, _) = open_on(dir.path(), &log, NOON);
    let session = state.connect(hello("one", Expiry::Never), NOON).await.unwrap().number;
    let sent = |packet_id, offset, phase| {
        let source = Source::Queue { filter: "a".into(), offset: QueueOffset(offset) };
        Change::Outbound { session, packet_id, outbound: Outbound { order: offset, qos: 2, phase, source } }
    };
    let changes = [
        subscribe(session, "a", 10),
        sent(1, 4, Phase::Sent),
        sent(2, 5, Phase::Sent),
        sent(3, 6, Phase::Released),
    ];
    state.commit(changes).wait().await.unwrap();
    let image = killed(dir.path());

    let (state, _) = open_with_ends(image.path(), &log, NOON, Some(QueueOffset(5)));
    let check = async |state: &State| {
        let loaded = state.load(session).await.unwrap();
        assert_eq!(loaded.subscriptions, [("a".into(), Subscription { next: QueueOffset(5), ..LEAF })]);
        let left: Vec<_> = loaded.outbound.iter().map(|(id, outbound)| (*id, outbound.phase)).collect();
        assert_eq!(left, [(1, Phase::Sent), (3, Phase::Released)]);
    };
    check(&state).await;
    drop(state);
    // Also when the queue has more by then.
    let image = killed(image.path());
    check(&open_with_ends(image.path(), &log, NOON, Some(QueueOffset(20))).0).await;
}
