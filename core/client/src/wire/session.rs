//! Frames that come in from a server: answers, and requests of its own.

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

pub(super) struct Session<'l> {
    link: &'l Arc<Link>,
    inbox: &'l mpsc::Sender<Request>,
    scratch: HeaderScratch,
    /// Answers of the batch that is being read.
    answers: Vec<(i32, Answer)>,
    wakers: Vec<Waker>,
}

impl<'l> Session<'l> {
    pub(super) fn new(link: &'l Arc<Link>, inbox: &'l mpsc::Sender<Request>) -> Self {
        Self { link, inbox, scratch: HeaderScratch::new(), answers: Vec::new(), wakers: Vec::new() }
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
        self.link.finish(&mut self.answers, &mut self.wakers);
    }

    fn poll_answers(&mut self, cx: &mut Context<'_>, out: &mut Outbox) {
        self.link.take_outgoing(cx, out);
    }

    /// Reading never waits for writing: what servers say always has a place.
    fn in_flight(&self) -> usize {
        0
    }
}
