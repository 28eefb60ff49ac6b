//! One connection behind its CONNECT: reads packets, stores what they bring, sends what its subscriptions have.
//!
//! ```text
//! socket ─▶ decode all that came ─▶ one append ─▶ answers, held until what they answer is safe ─▶ socket
//! light queues of its filters ─▶ messages, as many as the client's window and the socket take ─▶ socket
//! ```
//! Always true:
//! * an answer leaves when what it says is as safe as the flush mode promises, and answers leave in the order of what they
//!   answer;
//! * nothing is read from the log that the socket does not take soon, and nothing from the socket while too many answers
//!   wait: what a client costs in memory is bounded;
//! * an idle connection has no buffer.

mod deliver;
mod incoming;
mod limit;

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use ferromq_model::PhysicalOffset;
use ferromq_mqtt::topic::Name;
use ferromq_mqtt::{
    DecodeError, Disconnect, Limits, Packet, ReasonCode, SessionExpiry, Side, Text, TopicAlias, Version,
    decode,
};
use ferromq_store::FlushWatch;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::hub::{Call, Seat};
use super::inspect::Report;
use super::mailbox::SubscriptionKey;
use super::out::Out;
use super::server::Server;
use super::session::Session;
use super::state::{Durable, Retained, Stopped};

/// Bytes that are read at once.
const READ: usize = 64 << 10;
/// Bytes that wait for the socket, beyond which no further messages are read for it.
const OUT_ENOUGH: usize = 64 << 10;
/// Bytes that wait for the socket, beyond which no more packets are read from it.
const OUT_FULL: usize = 1 << 20;
/// Groups of answers that wait until they are safe, beyond which no more packets are read.
const MAX_HELD: usize = 64;
/// How long it may take to write why a connection ends, which others wait for.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// How long a connection that is closed may take to read what it is told last.
const LINGER: Duration = Duration::from_secs(2);

thread_local! {
    /// What a read goes to: only what a packet needs is copied from here.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}

/// What a client takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) version: Version,
    /// The largest packet, in bytes.
    pub(super) max_packet: u32,
    /// The highest topic alias.
    pub(super) aliases: u16,
    /// Zero is no keep alive.
    pub(super) keep_alive: Duration,
}

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client said goodbye.
    Goodbye {
        /// Whether its will is published all the same.
        with_will: bool,
        /// What it wants its session's expiry to be from now on.
        expiry: Option<SessionExpiry>,
    },
    /// The socket ended or failed.
    Lost(io::Error),
    /// The client broke a rule.
    Broken(DecodeError),
    /// It is told to go.
    Told(ReasonCode),
    /// It never began.
    Refused,
}

impl From<DecodeError> for End {
    fn from(error: DecodeError) -> Self {
        Self::Broken(error)
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

impl From<Stopped> for End {
    fn from(error: Stopped) -> Self {
        tracing::error!(%error, "MQTT sessions cannot be kept");
        Self::Told(ReasonCode::ImplementationSpecificError)
    }
}

/// Answers that wait until something is safe.
struct Held {
    answers: BytesMut,
    /// Until the log is flushed up to here.
    log: Option<PhysicalOffset>,
    /// Until this is kept.
    state: Option<Durable>,
}

/// A retained message that a new subscription is sent.
struct ToSend {
    topic: Arc<str>,
    retained: Arc<Retained>,
    subscription: SubscriptionKey,
}

/// A connection.
pub(super) struct Connection<S> {
    server: Arc<Server>,
    stream: S,
    from: SocketAddr,
    peer: Peer,
    session: Session,
    limits: Limits,
    input: BytesMut,
    out: Out,
    held: VecDeque<Held>,
    flushed: FlushWatch,
    /// From the first message of the client on.
    appends: Option<Box<incoming::Appends>>,
    /// Retained messages that are to be sent.
    retained: VecDeque<ToSend>,
    /// Topics by the aliases that the client gave them.
    aliases_in: HashMap<TopicAlias, Name>,
    /// Aliases that the client was told.
    aliases_out: HashMap<Name, TopicAlias>,
    /// QoS 2 messages of the client that it did not release, and QoS 1 messages that are not acknowledged.
    unanswered: usize,
    /// Messages that it was to have and was not sent.
    dropped: u64,
    heard: Instant,
}

/// What happened to a connection.
enum Event {
    Read,
    Wrote,
    Safe,
    Arrival,
    Time,
    Called(Call),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(
        server: Arc<Server>,
        stream: S,
        from: SocketAddr,
        peer: Peer,
        session: Session,
        (input, out): (BytesMut, Out),
    ) -> Self {
        let limits = server.limits();
        let flushed = server.broker().store().flush_watch();
        Self {
            server,
            stream,
            from,
            peer,
            session,
            limits,
            input,
            out,
            held: VecDeque::new(),
            flushed,
            appends: None,
            retained: VecDeque::new(),
            aliases_in: HashMap::new(),
            aliases_out: HashMap::new(),
            unanswered: 0,
            dropped: 0,
            heard: Instant::now(),
        }
    }

    /// Serves it to its end.
    pub(super) async fn serve(&mut self, seat: &Seat) -> End {
        match self.run(seat).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    pub(super) fn from(&self) -> SocketAddr {
        self.from
    }

    pub(super) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Says why it ends, if the client takes it now.
    pub(super) async fn say(&mut self, end: &End) {
        let last_words = match end {
            End::Broken(error) => error.answer(self.peer.version),
            End::Told(reason) => (self.peer.version == Version::V5).then(|| {
                let mut words = Disconnect::new(*reason);
                // In words as well: paho for Python takes a code without them for none.
                words.properties.reason_string = Some(Text::from_static(reason.name()));
                words
            }),
            End::Goodbye { .. } | End::Lost(_) | End::Refused => None,
        };
        if let Some(words) = last_words {
            // What does not fit is not said.
            let _ = self.out.push(&Packet::Disconnect(words), self.peer.version, self.peer.max_packet);
        }
        let (stream, out) = (&mut self.stream, &mut self.out);
        let written = async {
            while !out.is_empty() {
                poll_fn(|cx| out.poll_write(stream, cx)).await?;
            }
            poll_fn(|cx| Pin::new(&mut *stream).poll_flush(cx)).await
        };
        if !matches!(end, End::Lost(_)) {
            // Whether it did shows when it is closed.
            let _ = timeout(LAST_WORDS, written).await;
        }
    }

    /// Closes it, once the client has read what it was told.
    pub(super) async fn close(&mut self, end: &End) {
        if !matches!(end, End::Lost(_)) {
            let _ = linger(&mut self.stream, &mut self.out).await;
        }
    }

    async fn run(&mut self, seat: &Seat) -> Result<std::convert::Infallible, End> {
        // What waited for the client to come back.
        self.limit_queue();
        // What came right behind CONNECT.
        self.take_input().await?;
        loop {
            self.fill().await?;
            let event = {
                let may_read = self.held.len() < MAX_HELD && self.out.len() < OUT_FULL;
                let silent = self.heard + self.peer.keep_alive * 3 / 2;
                let mailbox = Arc::clone(self.session.subscriptions.mailbox());
                let (stream, out, input) = (&mut self.stream, &mut self.out, &mut self.input);
                let (held, flushed) = (&mut self.held, &mut self.flushed);
                tokio::select! {
                    biased;
                    call = seat.call() => Event::Called(call),
                    event = poll_fn(|cx| poll_io(stream, out, input, may_read, cx)) => event?,
                    safe = safe(held.front_mut(), flushed), if !held.is_empty() => {
                        safe?;
                        Event::Safe
                    }
                    () = mailbox.arrival() => Event::Arrival,
                    () = sleep_until(silent), if !self.peer.keep_alive.is_zero() => Event::Time,
                }
            };
            match event {
                Event::Read => {
                    self.heard = Instant::now();
                    self.take_input().await?;
                }
                Event::Safe => self.release(),
                Event::Time if self.heard.elapsed() >= self.peer.keep_alive * 3 / 2 => {
                    return Err(End::Told(ReasonCode::KeepAliveTimeout));
                }
                Event::Called(Call::Go(why)) => return Err(End::Told(why)),
                // Who asked may have left.
                Event::Called(Call::Report(asked)) => drop(asked.send(self.report())),
                Event::Wrote | Event::Arrival | Event::Time => {}
            }
        }
    }

    /// Lets the answers go whose time has come: the first group, and those behind it that wait for nothing more.
    fn release(&mut self) {
        let flushed = self.flushed.upto();
        while let Some(first) = self.held.front_mut() {
            first.log = first.log.filter(|&end| end > flushed);
            if first.log.is_some() || first.state.is_some() {
                break;
            }
            self.out.append(&first.answers);
            self.held.pop_front();
        }
    }

    /// How it stands.
    fn report(&self) -> Report {
        Report {
            subscriptions: self.session.subscriptions.iter().map(|(_, one)| one.into()).collect(),
            sent: self.session.window.len(),
            received: self.unanswered + self.session.held.len(),
            retained: self.retained.len(),
            unwritten: self.out.len(),
            dropped: self.dropped,
        }
    }

    /// Decodes and handles every whole packet that is there.
    async fn take_input(&mut self) -> Result<(), End> {
        let mut batch = incoming::Answers::default();
        let outcome = loop {
            match decode(&mut self.input, self.peer.version, &self.limits, Side::Client) {
                Ok(Some(packet)) => {
                    if let Err(end) = self.handle(packet, &mut batch).await {
                        break Err(end);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(End::Broken(error)),
            }
        };
        // What came before the packet that ends the connection counts.
        self.store(&mut batch);
        let answered = self.answer(batch);
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        outcome.and(answered)
    }
}

/// Waits until the group is safe, and notes it.
async fn safe(held: Option<&mut Held>, flushed: &mut FlushWatch) -> Result<(), End> {
    let Some(held) = held else { return Ok(()) };
    if let Some(end) = held.log {
        if let Err(error) = flushed.reached(end).await {
            tracing::error!(%error, "MQTT messages cannot be made safe");
            return Err(End::Told(ReasonCode::ImplementationSpecificError));
        }
        held.log = None;
    }
    if let Some(state) = &held.state {
        // Boxed, as few have to wait for it.
        Box::pin(state.clone().wait()).await?;
        held.state = None;
    }
    Ok(())
}

/// Writes if there is something, reads if it may.
fn poll_io<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    out: &mut Out,
    input: &mut BytesMut,
    may_read: bool,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Event>> {
    let mut wrote = false;
    while !out.is_empty() {
        match out.poll_write(stream, cx)? {
            Poll::Ready(()) => wrote = true,
            Poll::Pending => break,
        }
    }
    if wrote
        && out.is_empty()
        && let Poll::Ready(flushed) = Pin::new(&mut *stream).poll_flush(cx)
    {
        flushed?;
    }
    if may_read && poll_read(stream, input, cx)?.is_ready() {
        return Poll::Ready(Ok(Event::Read));
    }
    if wrote { Poll::Ready(Ok(Event::Wrote)) } else { Poll::Pending }
}

/// Reads what is there; the end is an error.
pub(super) fn poll_read<S: AsyncRead + Unpin>(
    stream: &mut S,
    input: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let mut buf = ReadBuf::new(scratch);
        ready!(Pin::new(stream).poll_read(cx, &mut buf))?;
        if buf.filled().is_empty() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        input.extend_from_slice(buf.filled());
        Poll::Ready(Ok(()))
    })
}

/// Writes what is left, says that nothing follows, and waits until the peer has seen it: closing with input unread
/// would take the last words back.
pub(super) async fn linger<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    out: &mut Out,
) -> io::Result<()> {
    let deadline = Instant::now() + LINGER;
    let last = async {
        while !out.is_empty() {
            poll_fn(|cx| out.poll_write(stream, cx)).await?;
        }
        poll_fn(|cx| Pin::new(&mut *stream).poll_flush(cx)).await?;
        poll_fn(|cx| Pin::new(&mut *stream).poll_shutdown(cx)).await?;
        let mut unread = BytesMut::new();
        loop {
            poll_fn(|cx| poll_read(stream, &mut unread, cx)).await?;
            unread.clear();
        }
    };
    timeout_at(deadline, last).await.unwrap_or(Ok(()))
}
