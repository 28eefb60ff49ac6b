//! Frames that come in from a server: answers, and requests of its own; and when what callers ask is written.
//!
//! The first caller that asks wakes the connection's task, which would write one frame and find the next a moment later.
//! So after a read that brought many answers it lets those have their turn who were waiting for them: what they ask next
//! leaves by one write. A caller alone waits for nobody.

use std::sync::Arc;
use std::task::{Context, Waker};

use bytes::Bytes;
use ferromq_net::Outbox;
use ferromq_protocol::code::ResponseCode;
use ferromq_protocol::frame::{Command, FrameError, HeaderScratch};
use tokio::sync::mpsc;

use super::answer::{Answer, Frame, Stored};
use super::calls::is_send;
use super::link::{Link, Request};

/// So many answers by one read are many.
const CROWD: usize = 4;

pub(super) struct Session<'l> {
    link: &'l Arc<Link>,
    inbox: &'l mpsc::Sender<Request>,
    scratch: HeaderScratch,
    /// Answers of the batch that is being read.
    answers: Vec<(i32, Answer)>,
    wakers: Vec<Waker>,
    /// Whether the last read brought many answers.
    crowded: bool,
    /// Whether something waits to be sent, until callers that are ready had their turn.
    gathering: bool,
}

impl<'l> Session<'l> {
    pub(super) fn new(link: &'l Arc<Link>, inbox: &'l mpsc::Sender<Request>) -> Self {
        Self {
            link,
            inbox,
            scratch: HeaderScratch::new(),
            answers: Vec::new(),
            wakers: Vec::new(),
            crowded: false,
            gathering: false,
        }
    }
}

impl ferromq_net::Session for Session<'_> {
    fn frame(&mut self, frame: &[u8], _: &mut Outbox) -> Result<(), FrameError> {
        let command = Command::decode(frame, &mut self.scratch)?;
        if command.is_response() {
            let stored = if is_send(command.opaque) { Stored::read(&command) } else { None };
            let answer = stored.map_or_else(|| Answer::Frame(Frame::new(frame)), Answer::Stored);
            self.answers.push((command.opaque, answer));
            return Ok(());
        }
        let head = (command.opaque, command.serialization);
        let request = Request::new(self.link, Frame::new(frame), head, command.is_oneway());
        if let Err(refused) = self.inbox.try_send(request) {
            let (mpsc::error::TrySendError::Full(request) | mpsc::error::TrySendError::Closed(request)) =
                refused;
            tracing::warn!(addr = %self.link.addr(), code = command.code, "too many requests of servers: refusing one");
            request.answer(ResponseCode::SystemBusy, Some("the client is busy"), &Bytes::new());
        }
        Ok(())
    }

    fn batch_end(&mut self, _: &mut Outbox) {
        self.crowded = self.answers.len() >= CROWD;
        self.link.finish(&mut self.answers, &mut self.wakers);
    }

    fn poll_answers(&mut self, cx: &mut Context<'_>, out: &mut Outbox) {
        if !self.gathering && self.crowded && self.link.has_outgoing() {
            self.gathering = true;
            // Behind everything that this thread is to run.
            cx.waker().wake_by_ref();
            return;
        }
        self.gathering = false;
        self.link.take_outgoing(cx, out);
    }

    /// Reading never waits for writing: what servers say always has a place. A stop waits for what is to be sent.
    fn in_flight(&self) -> usize {
        usize::from(self.gathering)
    }
}
