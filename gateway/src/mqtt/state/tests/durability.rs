//! What a disk that fails, and random kills, leave of the promises.

use super::*;

#[tokio::test]
async fn after_a_failed_sync_nothing_is_called_safe_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        Options { dir: dir.path().to_owned(), flush: FlushMode::Sync, sessions: SESSIONS, retain: RETAIN };
    let state = State::open(&options, Arc::new(Log100::default()), NOON, |_, _, _| None).unwrap();
    let session = state.connect(hello("one", Expiry::Never), NOON).await.unwrap().number;
    state.commit([subscribe(session, "a", 1)]).wait().await.unwrap();
    state.inner.database.fail_sync.store(true, Ordering::Relaxed);
    let failed = state.commit([subscribe(session, "b", 1)]).wait().await;
    assert!(matches!(failed, Err(Stopped::Failed(_))), "{failed:?}");
    // The disk recovers, the state does not.
    state.inner.database.fail_sync.store(false, Ordering::Relaxed);
    state.later([subscribe(session, "c", 1)]);
    assert!(state.commit([subscribe(session, "c", 1)]).wait().await.is_err());
    assert!(state.load(session).await.is_err());
    assert!(state.flush().wait().await.is_err());
    assert!(matches!(state.close(), Err(Stopped::Failed(_))));
}

/// The image of a state to which `commits` pairs of subscriptions were added, each by one commit.
async fn pairs(commits: usize) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let session = state.connect(hello("one", Expiry::Never), NOON).await.unwrap().number;
    for n in 0..commits {
        let pair = [subscribe(session, &format!("a{n:02}"), 1), subscribe(session, &format!("b{n:02}"), 1)];
        state.commit(pair).wait().await.unwrap();
    }
    killed(dir.path())
}

/// Which pairs there are; none may be half there, nor one without those before it.
fn whole_pairs(found: &Found) -> usize {
    let filters: Vec<_> = found.iter().map(|(_, filter, _)| filter.to_string()).collect();
    let expected = |count: usize| {
        let of = |letter| (0..count).map(move |n| format!("{letter}{n:02}"));
        of('a').chain(of('b')).collect::<Vec<_>>()
    };
    assert_eq!(filters, expected(filters.len() / 2));
    filters.len() / 2
}

#[tokio::test]
async fn a_journal_that_ends_anywhere_opens_with_whole_commits() {
    let image = pairs(6).await;
    let path = image.path().join("0.jnl");
    let journal = fs::read(&path).unwrap();
    let mut most = 0;
    for cut in (0..=journal.len()).rev().step_by(53) {
        let state = killed(image.path());
        fs::write(state.path().join("0.jnl"), &journal[..cut]).unwrap();
        most = most.max(whole_pairs(&open_found(state.path(), NOON).1));
    }
    assert_eq!(most, 6);
}

#[tokio::test]
async fn a_page_that_a_power_cut_took_from_the_last_batch_costs_that_batch() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let session = state.connect(hello("one", Expiry::Never), NOON).await.unwrap().number;
    state.commit([subscribe(session, "a00", 1), subscribe(session, "b00", 1)]).wait().await.unwrap();
    let before = fs::read(killed(dir.path()).path().join("0.jnl")).unwrap().len();
    // A row over several pages, between two small ones.
    let large: Arc<str> = format!("b01{}", "x".repeat(30_000)).into();
    state.commit([subscribe(session, "a01", 1), subscribe(session, &large, 1)]).wait().await.unwrap();
    let image = killed(dir.path());
    let journal = fs::read(image.path().join("0.jnl")).unwrap();
    for page in (before.next_multiple_of(4096)..journal.len() - 4096).step_by(4096) {
        let image = killed(image.path());
        let mut torn = journal.clone();
        torn[page..page + 4096].fill(0);
        fs::write(image.path().join("0.jnl"), &torn).unwrap();
        let (state, found) = open_found(image.path(), NOON);
        assert_eq!(whole_pairs(&found), 1, "without the page at {page}");
        // It is of use again, and what was there can be looked at.
        state.commit([subscribe(session, "c", 1)]).wait().await.unwrap();
        assert_eq!(open_found(killed(image.path()).path(), NOON).1.len(), 3);
        assert_eq!(fs::read(image.path().join("0.jnl.torn")).unwrap(), torn);
    }
}

/// A subscription's position says of the messages below it that they are complete or on their way; the rows of those that
/// are on their way may have waited when it was committed.
#[tokio::test]
async fn what_waits_of_a_session_is_kept_with_its_next_commit() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let session = state.connect(hello("one", Expiry::Never), NOON).await.unwrap().number;
    let on_its_way = |order: u64| Change::Outbound {
        session,
        packet_id: order as u16 + 1,
        outbound: Outbound {
            order,
            qos: 1,
            phase: Phase::Sent,
            source: Source::Queue { filter: "a".into(), offset: QueueOffset(order) },
        },
    };
    state.commit([subscribe(session, "a", 0)]).wait().await.unwrap();
    let group = |next| Change::Group {
        filter: "$share/g/a".into(),
        group: Some(SharedGroup { next: QueueOffset(next), returned: Vec::new() }),
    };
    let other = state.connect(hello("two", Expiry::Never), NOON).await.unwrap().number;
    for round in 0..2 {
        state.later([on_its_way(2 * round), subscribe(session, "a", 2 * round + 1)]);
        // Of the session itself, and of a group that it may be a member of.
        let committed = match round {
            0 => state.commit([on_its_way(1), subscribe(session, "a", 2)]),
            _ => state.commit([group(9), subscribe(other, "b", 1)]),
        };
        committed.wait().await.unwrap();
        let (state, _) = open_found(killed(dir.path()).path(), NOON);
        let found = state.load(session).await.unwrap().outbound.len();
        assert_eq!(found, if round == 0 { 2 } else { 3 });
    }
}
