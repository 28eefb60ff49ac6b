//! What a disk that fails, and random kills, leave of the promises.

use super::*;

#[tokio::test]
async fn after_a_failed_sync_nothing_is_called_safe_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { dir: dir.path().to_owned(), flush: FlushMode::Sync, retain: RETAIN };
    let state = State::open(&options, Arc::new(Log100::default()), NOON, |_, _, _| {}).unwrap();
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
