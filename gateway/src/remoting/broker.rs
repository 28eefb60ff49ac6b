//! The broker's front-end: one [`BrokerSession`] a connection decodes requests, makes one call each, and encodes what
//! comes back.
//!
//! ```text
//! frames of one read:   send send send │ pull │ heartbeat │ send send
//!                       └─ one append ─┘   └ now, or held ┘ └─ one append ─┘
//! ```
//! Always true:
//! * a request that may not be answered (flag one-way) is not, whatever happens to it;
//! * sends that came one after the other are stored by one append, and before any other request that followed them, and so
//!   are acknowledgements;
//! * whatever a session waits for is polled by its connection's task and dropped with it.
//!
//! | file | what it is about |
//! |---|---|
//! | `broker` | the session: dispatch, and answers that are ready later |
//! | `broker/sends` | sends, and their wait for the disk |
//! | `broker/pulls` | pulls |
//! | `broker/pops` | pops, and what goes with them |
//! | `broker/acks` | acknowledgements, one by one |
//! | `broker/assignments` | which member of a group gets which queues |
//! | `broker/calls` | what the broker tells and asks its clients |
//! | `broker/consumers` | what operators ask about consumers |
//! | `broker/admin` | what else operators' tools ask |
//! | `broker/transactions` | ends of transactions, and replies |
//! | `broker/requests` | everything else |
//! | `broker/safe` | answers that wait for the disk |
//! | `broker/codes` | which error is which response code |

mod acks;
mod admin;
mod assignments;
mod calls;
mod codes;
mod consumers;
mod pops;
mod pulls;
mod requests;
mod safe;
mod sends;
mod timers;
mod transactions;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use ferromq_broker::Broker;
use ferromq_broker::members::{ChannelId, Peer};
use ferromq_net::{Outbox, Session};
use ferromq_protocol::code::RequestCode;
use ferromq_protocol::frame::{Command, FrameError, HeaderScratch, Serialization};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tracing::Instrument as _;

use crate::remoting::reply::Reply;
use crate::spans;
use acks::Acks;
use calls::LinkEnd;
use sends::Sends;

/// Clients from this version on mean it when they say how often a message may be redelivered (RocketMQ 3.4.9).
const HONOURS_MAX_RECONSUME: i32 = 121;

/// Whom an answer goes to.
#[derive(Clone, Copy, Debug)]
struct Asker {
    opaque: i32,
    serialization: Serialization,
    /// Nobody may answer.
    oneway: bool,
}

impl Asker {
    fn of(request: &Command<'_>) -> Self {
        Self { opaque: request.opaque, serialization: request.serialization, oneway: request.is_oneway() }
    }

    /// Writes the answer, if one is wanted.
    fn answer(self, reply: Reply, out: &mut Outbox) {
        if self.oneway {
            return;
        }
        for part in reply.encode_head(self.serialization, self.opaque, out.buffer()) {
            out.push(part);
        }
    }
}

type Later = Pin<Box<dyn Future<Output = (Asker, Reply)> + Send>>;

/// One client's connection to the broker.
pub struct BrokerSession {
    broker: Broker,
    peer: Peer,
    scratch: HeaderScratch,
    /// When the frames began to be decoded that are given now; read once for many sends.
    decoding: Option<Instant>,
    sends: Sends,
    acks: Acks,
    /// Requests whose answers are not ready.
    later: FuturesUnordered<Later>,
    /// What the broker wants of this client.
    calls: LinkEnd,
}

impl BrokerSession {
    /// The session of the connection `channel` to `address`.
    #[must_use]
    pub fn new(broker: Broker, channel: ChannelId, address: SocketAddr) -> Self {
        let (link, calls) = calls::link(&broker.config().name);
        // An IPv4 client on an IPv6 socket is an IPv4 client: what is stored of it is four bytes long.
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let peer = Peer { channel, address, link: Arc::new(link) };
        Self {
            decoding: None,
            sends: Sends::new(&broker),
            acks: Acks::default(),
            broker,
            peer,
            scratch: HeaderScratch::new(),
            later: FuturesUnordered::new(),
            calls,
        }
    }

    fn request(&mut self, request: &Command<'_>, out: &mut Outbox) {
        let asker = Asker::of(request);
        let code = request.request_code();
        if let Some(RequestCode::SendMessage | RequestCode::SendMessageV2 | RequestCode::SendBatchMessage) =
            code
        {
            self.acks.commit(&self.broker, out, &mut self.later);
            let since = *self.decoding.get_or_insert_with(Instant::now);
            self.sends.prepare(&self.broker, &self.peer, request, since, out);
            return;
        }
        self.sends.commit(&self.broker, out);
        if code == Some(RequestCode::AckMessage) {
            self.acks.prepare(&self.broker, request, out, &mut self.later);
            return;
        }
        self.acks.commit(&self.broker, out, &mut self.later);
        // What this takes is not part of what a later send takes.
        self.decoding = None;
        let span = spans::request(code.map_or("unknown", RequestCode::name));
        let handled = span.in_scope(|| match code {
            Some(RequestCode::PullMessage | RequestCode::LitePullMessage) => {
                pulls::pull(&self.broker, request, asker)
            }
            _ => requests::handle(&self.broker, &self.peer, request, asker),
        });
        match handled {
            Handled::Now(reply) => asker.answer(reply, out),
            Handled::Later(later) if span.is_disabled() => self.later.push(later),
            Handled::Later(later) => self.later.push(Box::pin(later.instrument(span))),
            Handled::Unanswered => {}
        }
    }
}

/// The connection is gone, however it ended: so are the clients that spoke on it.
impl Drop for BrokerSession {
    fn drop(&mut self) {
        self.broker.members().channel_closed(self.peer.channel);
    }
}

/// What became of a request.
enum Handled {
    /// It has its answer.
    Now(Reply),
    /// Its answer comes.
    Later(Later),
    /// It has none.
    Unanswered,
}

impl From<Reply> for Handled {
    fn from(reply: Reply) -> Self {
        Self::Now(reply)
    }
}

impl Session for BrokerSession {
    fn frame(&mut self, frame: &[u8], out: &mut Outbox) -> Result<(), FrameError> {
        self.decoding.get_or_insert_with(Instant::now);
        let mut scratch = std::mem::take(&mut self.scratch);
        let outcome = Command::decode(frame, &mut scratch).map(|command| {
            if command.is_response() {
                self.calls.answered(&command);
            } else {
                self.request(&command, out);
            }
        });
        self.scratch = scratch;
        outcome
    }

    fn batch_end(&mut self, out: &mut Outbox) {
        self.sends.commit(&self.broker, out);
        self.acks.commit(&self.broker, out, &mut self.later);
        self.decoding = None;
    }

    fn poll_answers(&mut self, cx: &mut Context<'_>, out: &mut Outbox) {
        self.sends.poll(&self.broker, cx, out);
        while let Poll::Ready(Some((asker, reply))) = self.later.poll_next_unpin(cx) {
            asker.answer(reply, out);
        }
        self.calls.poll(cx, out);
    }

    fn written(&mut self, at: tokio::time::Instant) {
        self.sends.written(&self.broker, at.into_std());
    }

    fn in_flight(&self) -> usize {
        self.later.len() + self.sends.in_flight() + self.acks.in_flight()
    }
}
