use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ferromq_protocol::code::{RequestCode, ResponseCode};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use super::{Link, LinkSettings, Request};
use crate::error::CallError;
use crate::fake::{FakeServer, Reaction};

/// As long as nothing but a broken client takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Connected {
    link: Arc<Link>,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
    _inbox: mpsc::Receiver<Request>,
}

fn connect(addr: Arc<str>) -> Connected {
    let (inbox, requests) = mpsc::channel(1);
    let connect_limit = PATIENCE;
    let connected = Arc::new(Notify::new());
    let settings = LinkSettings { connect_limit, tls: None, credentials: None, inbox, connected };
    let settings = Arc::new(settings);
    let link = Link::new(addr, settings);
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(Arc::clone(&link).run(stopped));
    Connected { link, stop, running, _inbox: requests }
}

async fn call(link: &Link, body: &[u8], limit: Duration) -> Result<Bytes, CallError> {
    let body = Bytes::copy_from_slice(body);
    link.call(RequestCode::HeartBeat, &(), &body, limit).await.map(|frame| frame.body())
}

#[tokio::test]
async fn each_of_many_calls_gets_its_own_answer() {
    let server =
        FakeServer::start(|command| Reaction::Answer(ResponseCode::Success, vec![], command.body.to_vec()))
            .await;
    let connected = connect(server.address());
    let calls = (0..1000u32).map(|n| {
        let link = Arc::clone(&connected.link);
        async move { (n, call(&link, &vec![n as u8; n as usize * 10], PATIENCE).await.unwrap()) }
    });
    for (n, answer) in futures_util::future::join_all(calls).await {
        assert_eq!(answer, vec![n as u8; n as usize * 10]);
    }
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_and_its_late_answer_reaches_nobody() {
    let waits = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&waits);
    let server = FakeServer::start(move |command| {
        if command.body == b"wait" {
            count.fetch_add(1, Ordering::Relaxed);
            return Reaction::Silence;
        }
        Reaction::ok()
    })
    .await;
    let connected = connect(server.address());
    // Longer if the deadline has passed before anything was sent.
    for limit in [200, 2_000, 20_000].map(Duration::from_millis) {
        let waited = call(&connected.link, b"wait", limit).await;
        assert!(matches!(waited, Err(CallError::TimedOut { .. })), "{waited:?}");
        call(&connected.link, b"", PATIENCE).await.unwrap();
        if waits.load(Ordering::Relaxed) > 0 {
            return;
        }
    }
    panic!("nothing was sent");
}

#[tokio::test]
async fn a_lost_connection_fails_its_calls_and_the_next_call_connects_again() {
    let server =
        FakeServer::start(|command| if command.body == b"end" { Reaction::Close } else { Reaction::ok() })
            .await;
    let connected = connect(server.address());
    for _ in 0..3 {
        call(&connected.link, b"", PATIENCE).await.unwrap();
        let ended = call(&connected.link, b"end", PATIENCE).await;
        assert!(matches!(ended, Err(CallError::Lost { .. })), "{ended:?}");
    }
}

#[tokio::test]
async fn nobody_there_and_a_refusal_are_told_apart() {
    let server = FakeServer::start(|_| Reaction::Answer(ResponseCode::NoPermission, vec![], vec![])).await;
    let refused = call(&connect(server.address()).link, b"", PATIENCE).await.unwrap_err();
    assert_eq!(refused.code(), Some(ResponseCode::NoPermission));
    assert!(refused.to_string().contains("NO_PERMISSION (16): as the test says"), "{refused}");
    let addr = server.address();
    drop(server);
    let nobody = call(&connect(addr).link, b"", PATIENCE).await.unwrap_err();
    assert!(matches!(nobody, CallError::Unreachable { .. }), "{nobody}");
}

#[tokio::test]
async fn what_is_told_before_a_stop_is_sent() {
    let (told, mut heard) = mpsc::channel(1);
    let server = FakeServer::start(move |command| {
        if command.is_oneway() {
            told.try_send(command.body.to_vec()).expect("the test listens");
        }
        Reaction::ok()
    })
    .await;
    let Connected { link, stop, running, _inbox } = connect(server.address());
    // After many answers what is told does not leave at once.
    futures_util::future::join_all((0..1000).map(|_| call(&link, b"", PATIENCE))).await;
    link.tell(RequestCode::HeartBeat, &(), &Bytes::from_static(b"last"), PATIENCE).await.unwrap();
    stop.send_replace(true);
    tokio::time::timeout(PATIENCE, running).await.expect("it ends").unwrap();
    let last = tokio::time::timeout(PATIENCE, heard.recv()).await.expect("it is heard");
    assert_eq!(last.as_deref(), Some(&b"last"[..]));
}

#[tokio::test]
async fn a_stop_ends_the_task_and_calls_after_it_say_so() {
    let server = FakeServer::start(|_| Reaction::Silence).await;
    let Connected { link, stop, running, .. } = connect(server.address());
    let waiting = {
        let link = Arc::clone(&link);
        tokio::spawn(async move { call(&link, b"", PATIENCE).await })
    };
    stop.send_replace(true);
    tokio::time::timeout(PATIENCE, running).await.expect("it ends").unwrap();
    assert!(matches!(waiting.await.unwrap(), Err(CallError::Closed)));
    assert!(matches!(call(&link, b"", PATIENCE).await, Err(CallError::Closed)));
}
