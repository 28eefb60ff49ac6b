//! Calling, telling and answering one server; and the task that keeps its connection.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use ferromq_model::QueueId;
use ferromq_net::{Closed, ConnectionLimits, Outbox, serve};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::frame::{
    EncodeFields, FrameLimits, Head, HeaderScratch, Language, Serialization, encode_command,
};
use ferromq_protocol::header::GetMaxOffset;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::answer::{Answer, Frame};
use super::calls::{Calls, MAX_IN_FLIGHT};
use super::dial::{Tls, dial};
use super::session::Session;
use crate::error::CallError;
use crate::signature::{Credentials, Signed};

/// Bytes that may wait to be sent to one server before callers wait themselves.
const MAX_OUTGOING: usize = 4 << 20;
/// Bodies below this are copied beside their header: a piece of its own costs a write more than copying it.
const COPY_BELOW: usize = 4 << 10;
/// The longest header of an answer: one to a large batch lists 33 bytes a message.
const MAX_ANSWER_HEADER: usize = 4 << 20;
/// How exact deadlines are.
const TICK: Duration = Duration::from_millis(100);
/// How long a server may say nothing to calls in flight before it is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(5);
/// How long it may take to answer that.
const PROBE_LIMIT: Duration = Duration::from_secs(3);
/// The number of that question, which no call has.
const PROBE: i32 = i32::MAX;
/// How long a connection without calls is kept. Servers close theirs after this time too.
const IDLE: Duration = Duration::from_secs(120);

/// What all connections of a client have in common.
pub(crate) struct LinkSettings {
    /// How long connecting may take, TLS included.
    pub(crate) connect_limit: Duration,
    /// None leaves connections unencrypted.
    pub(crate) tls: Option<Tls>,
    /// None leaves requests unsigned.
    pub(crate) credentials: Option<Credentials>,
    /// Where requests of servers go.
    pub(crate) inbox: mpsc::Sender<Request>,
    /// Told of each new connection.
    pub(crate) connected: Arc<Notify>,
}

/// One server, connected to or not.
pub(crate) struct Link {
    addr: Arc<str>,
    settings: Arc<LinkSettings>,
    shared: Mutex<Shared>,
    /// Told when there is room for more to send, or for more calls.
    room: Notify,
    /// Told when calls are in flight after none were.
    busy: Notify,
}

pub(super) struct Shared {
    /// Frames that the connection's task has not taken yet.
    pub(super) out: Outbox,
    pub(super) calls: Calls,
    /// The connection's task.
    pub(super) waker: Option<Waker>,
    /// When the server last said anything, or was connected to.
    pub(super) heard: Instant,
    /// When the question whether it is there was asked, if that is open.
    probed: Option<Instant>,
    closed: bool,
}

/// A request of a server.
pub(crate) struct Request {
    link: Arc<Link>,
    frame: Frame,
    opaque: i32,
    serialization: Serialization,
    oneway: bool,
}

impl Request {
    pub(super) fn new(link: &Arc<Link>, frame: Frame, head: (i32, Serialization), oneway: bool) -> Self {
        Self { link: Arc::clone(link), frame, opaque: head.0, serialization: head.1, oneway }
    }

    /// What is asked.
    pub(crate) fn frame(&self) -> &Frame {
        &self.frame
    }

    /// Who asks.
    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Answers, unless nobody wants an answer.
    pub(crate) fn answer(&self, code: ResponseCode, remark: Option<&str>, body: &Bytes) {
        if self.oneway {
            return;
        }
        let head = Head { remark, ..Head::response_to(self.serialization, self.opaque, code) };
        // A server that does not read its answers loses them with the connection, at the latest.
        let mut shared = self.link.shared.lock();
        if shared.out.len() < MAX_OUTGOING {
            let _ = put(&mut shared.out, &with_language(head), &(), body);
            let waker = shared.waker.take();
            drop(shared);
            wake(waker);
        }
    }
}

impl Link {
    /// A link that is not connected; [`Link::run`] keeps its connection.
    pub(crate) fn new(addr: Arc<str>, settings: Arc<LinkSettings>) -> Arc<Self> {
        Arc::new(Self {
            addr,
            settings,
            shared: Mutex::new(Shared {
                out: Outbox::default(),
                calls: Calls::default(),
                waker: None,
                heard: Instant::now(),
                probed: None,
                closed: false,
            }),
            room: Notify::new(),
            busy: Notify::new(),
        })
    }

    /// The server's address.
    pub(crate) fn addr(&self) -> &Arc<str> {
        &self.addr
    }

    /// Asks and waits for the answer, whatever it says.
    pub(crate) async fn ask(
        &self,
        code: RequestCode,
        fields: &(impl EncodeFields + ?Sized),
        body: &Bytes,
        limit: Duration,
    ) -> Result<Frame, CallError> {
        match self.start(code, fields, body, false, limit).await?.await? {
            Answer::Frame(frame) => Ok(frame),
            Answer::Stored(_) => Err(self.unreadable("the answer to a send")),
        }
    }

    /// As [`Link::ask`]; any other answer than success is an error.
    pub(crate) async fn call(
        &self,
        code: RequestCode,
        fields: &(impl EncodeFields + ?Sized),
        body: &Bytes,
        limit: Duration,
    ) -> Result<Frame, CallError> {
        let frame = self.ask(code, fields, body, limit).await?;
        match self.refusal(&frame)? {
            None => Ok(frame),
            Some(refused) => Err(refused),
        }
    }

    /// As [`Link::ask`] for a send: the answer of a stored message allocates nothing.
    pub(crate) async fn send(
        &self,
        code: RequestCode,
        fields: &(impl EncodeFields + ?Sized),
        body: &Bytes,
        limit: Duration,
    ) -> Result<Answer, CallError> {
        self.start(code, fields, body, true, limit).await?.await
    }

    /// Tells something that nobody answers. Waits only while too much waits to be sent already.
    pub(crate) async fn tell(
        &self,
        code: RequestCode,
        fields: &(impl EncodeFields + ?Sized),
        body: &Bytes,
        limit: Duration,
    ) -> Result<(), CallError> {
        let head = Head::request(code, 0).oneway();
        let write = |shared: &mut Shared| self.put_request(shared, head, fields, body);
        self.when_room(Instant::now() + limit, limit, write).await
    }

    /// The refusal that `frame` is, if it is one.
    pub(crate) fn refusal(&self, frame: &Frame) -> Result<Option<CallError>, CallError> {
        let mut scratch = HeaderScratch::new();
        let command = frame.command(&mut scratch).map_err(|error| self.unreadable(&error.to_string()))?;
        if command.code == ResponseCode::Success.code() {
            return Ok(None);
        }
        let remark = command.remark.unwrap_or_default().into();
        Ok(Some(CallError::Refused { addr: Arc::clone(&self.addr), code: command.code, remark }))
    }

    /// The error of an answer that is not what it should be.
    pub(crate) fn unreadable(&self, what: &str) -> CallError {
        CallError::Unreadable { addr: Arc::clone(&self.addr), what: what.into() }
    }

    async fn start(
        &self,
        code: RequestCode,
        fields: &(impl EncodeFields + ?Sized),
        body: &Bytes,
        send: bool,
        limit: Duration,
    ) -> Result<Pending<'_>, CallError> {
        let since = Instant::now();
        let deadline = since + limit;
        let opaque = self
            .when_room(deadline, limit, |shared| {
                let first = shared.calls.len() == 0;
                let Some(opaque) = shared.calls.start(send, since, deadline) else { return Ok(None) };
                let written = self.put_request(shared, Head::request(code, opaque), fields, body);
                if let Err(error) = written {
                    shared.calls.abandon(opaque);
                    return Err(error);
                }
                if first {
                    self.busy.notify_one();
                }
                Ok(Some(opaque))
            })
            .await?;
        Ok(Pending { link: self, opaque, open: true })
    }

    fn put_request(
        &self,
        shared: &mut Shared,
        head: Head<'_>,
        fields: &(impl EncodeFields + ?Sized),
        body: &Bytes,
    ) -> Result<Option<()>, CallError> {
        let credentials = self.settings.credentials.as_ref();
        put(&mut shared.out, &with_language(head), &Signed { fields, body, credentials }, body)
    }

    /// Writes as soon as there is room, and wakes the connection's task.
    async fn when_room<T>(
        &self,
        deadline: Instant,
        limit: Duration,
        mut write: impl FnMut(&mut Shared) -> Result<Option<T>, CallError>,
    ) -> Result<T, CallError> {
        let mut room = None;
        loop {
            {
                let mut shared = self.shared.lock();
                if shared.closed {
                    return Err(CallError::Closed);
                }
                if shared.out.len() < MAX_OUTGOING
                    && let Some(written) = write(&mut shared)?
                {
                    let waker = shared.waker.take();
                    drop(shared);
                    wake(waker);
                    return Ok(written);
                }
            }
            // Who waits is noted before the second look, so that room made in between is not missed.
            match room.take() {
                None => {
                    let mut waiting = Box::pin(self.room.notified());
                    waiting.as_mut().enable();
                    room = Some(waiting);
                }
                Some(waiting) => {
                    if timeout_at(deadline, waiting).await.is_err() {
                        return Err(self.timed_out(limit));
                    }
                }
            }
        }
    }

    fn timed_out(&self, after: Duration) -> CallError {
        CallError::TimedOut { addr: Arc::clone(&self.addr), after }
    }

    /// Connects when there is something to send, again and again, until `stop` turns true. Calls in flight then fail.
    pub(crate) async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = self.wanted() => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
            tokio::select! {
                ended = self.connection(stop.clone()) => {
                    tracing::debug!(addr = %self.addr, reason = %ended, "connection ended");
                    self.fail_all(&ended);
                }
                dead = self.keep_time() => {
                    tracing::warn!(addr = %self.addr, reason = dead, "connection given up");
                    self.fail_all(&CallError::Lost { addr: Arc::clone(&self.addr), reason: dead.into() });
                }
            }
            if *stop.borrow() {
                break;
            }
        }
        self.shared.lock().closed = true;
        self.fail_all(&CallError::Closed);
        self.room.notify_waiters();
    }

    /// One connection, from first to last; returns why it ended, as calls in flight are told.
    async fn connection(self: &Arc<Self>, stop: watch::Receiver<bool>) -> CallError {
        let addr = Arc::clone(&self.addr);
        let io = match dial(&addr, self.settings.tls.as_ref(), self.settings.connect_limit).await {
            Ok(io) => io,
            Err(source) => return CallError::Unreachable { addr, source: Arc::new(source) },
        };
        self.shared.lock().heard = Instant::now();
        self.settings.connected.notify_one();
        let limits = ConnectionLimits {
            frame: FrameLimits { max_header: MAX_ANSWER_HEADER, ..FrameLimits::default() },
            in_flight: usize::MAX,
            idle: IDLE,
        };
        let mut session = Session::new(self, &self.settings.inbox);
        match serve(io, &mut session, limits, stop).await {
            Closed::Stopped => CallError::Closed,
            closed => CallError::Lost { addr, reason: closed.to_string().into() },
        }
    }

    /// Waits until there is something to send.
    fn wanted(&self) -> impl Future<Output = ()> {
        poll_fn(|cx| {
            let mut shared = self.shared.lock();
            if !shared.out.is_empty() {
                return Poll::Ready(());
            }
            shared.waker = Some(cx.waker().clone());
            Poll::Pending
        })
    }

    /// Ends calls at their deadlines; returns when the server does not even say that it is there.
    async fn keep_time(&self) -> &'static str {
        loop {
            if !self.shared.lock().calls.any_waiting() {
                self.busy.notified().await;
            }
            sleep(TICK).await;
            if self.tick(Instant::now()) {
                return "the server does not answer any more";
            }
        }
    }

    /// Whether the server is to be given up.
    fn tick(&self, now: Instant) -> bool {
        let mut wakers = Vec::new();
        let mut shared = self.shared.lock();
        let shared = &mut *shared;
        shared
            .calls
            .fail(&mut wakers, |since, deadline| (deadline <= now).then(|| self.timed_out(now - since)));
        let quiet = now.saturating_duration_since(shared.heard);
        let dead = match shared.probed {
            Some(asked) if shared.heard >= asked => {
                shared.probed = None;
                false
            }
            Some(asked) => now - asked >= PROBE_LIMIT,
            None if quiet >= SILENCE && shared.calls.any_waiting() => {
                // Any server answers it, and it changes nothing anywhere.
                let question = GetMaxOffset { topic: "TBW102", queue: QueueId(0), committed: true };
                let head = Head::request(RequestCode::GetMaxOffset, PROBE);
                let _ = self.put_request(shared, head, &question, &Bytes::new());
                shared.probed = Some(now);
                wakers.extend(shared.waker.take());
                false
            }
            None => false,
        };
        wakers.into_iter().for_each(Waker::wake);
        dead
    }

    fn fail_all(&self, failure: &CallError) {
        let mut wakers = Vec::new();
        {
            let mut shared = self.shared.lock();
            shared.out = Outbox::default();
            shared.probed = None;
            shared.waker = None;
            shared.calls.fail(&mut wakers, |_, _| Some(failure.clone()));
        }
        wakers.into_iter().for_each(Waker::wake);
        self.room.notify_waiters();
    }

    /// What came in: hands answers to their callers. `wakers` is empty, and is left empty.
    pub(super) fn finish(&self, answers: &mut Vec<(i32, Answer)>, wakers: &mut Vec<Waker>) {
        {
            let mut shared = self.shared.lock();
            shared.heard = Instant::now();
            for (opaque, answer) in answers.drain(..) {
                wakers.extend(shared.calls.finish(opaque, Ok(answer)));
            }
        }
        wakers.drain(..).for_each(Waker::wake);
    }

    /// Whether anything waits to be sent.
    pub(super) fn has_outgoing(&self) -> bool {
        !self.shared.lock().out.is_empty()
    }

    /// Moves what waits to be sent to `out`, and notes whom to wake for the next.
    pub(super) fn take_outgoing(&self, cx: &Context<'_>, out: &mut Outbox) {
        let full = {
            let mut shared = self.shared.lock();
            if !shared.waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                shared.waker = Some(cx.waker().clone());
            }
            let full = shared.out.len() >= MAX_OUTGOING;
            out.append(&mut shared.out);
            full
        };
        if full {
            self.room.notify_waiters();
        }
    }
}

fn with_language(head: Head<'_>) -> Head<'_> {
    Head { language: Language::Rust, ..head }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Appends a frame.
fn put(
    out: &mut Outbox,
    head: &Head<'_>,
    fields: &(impl EncodeFields + ?Sized),
    body: &Bytes,
) -> Result<Option<()>, CallError> {
    let limit = FrameLimits::default().max_frame;
    if body.len() >= limit || encode_command(out.buffer(), head, fields, body.len()).is_err() {
        return Err(CallError::TooLarge { len: body.len(), limit });
    }
    if body.len() < COPY_BELOW {
        out.buffer().extend_from_slice(body);
    } else {
        out.push(body.clone());
    }
    Ok(Some(()))
}

/// A call in flight. Dropping it leaves the call.
struct Pending<'l> {
    link: &'l Link,
    opaque: i32,
    open: bool,
}

impl Future for Pending<'_> {
    type Output = Result<Answer, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.link.shared.lock().calls.poll(self.opaque, cx.waker());
        match polled {
            Some(answer) => {
                self.open = false;
                Poll::Ready(answer)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let full = {
            let mut shared = self.link.shared.lock();
            if self.open {
                shared.calls.abandon(self.opaque);
            }
            shared.calls.len() + 1 == MAX_IN_FLIGHT
        };
        if full {
            self.link.room.notify_waiters();
        }
    }
}
