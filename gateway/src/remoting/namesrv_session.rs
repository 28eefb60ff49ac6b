//! One connection to the NameServer: frames in, the front-end's answers out, all of them at once.

use std::net::SocketAddr;
use std::task::Context;

use ferromq_namesrv::{ChannelId, NameServer};
use ferromq_net::{Outbox, Session};
use ferromq_protocol::frame::{Command, FrameError, HeaderScratch};

use super::namesrv::NamesrvFront;

/// One peer's connection to the NameServer.
pub(crate) struct NamesrvSession {
    front: NamesrvFront,
    channel: ChannelId,
    peer: SocketAddr,
    scratch: HeaderScratch,
}

impl NamesrvSession {
    /// The session of the connection `channel` to `peer`.
    pub(crate) fn new(namesrv: NameServer, channel: u64, peer: SocketAddr) -> Self {
        Self {
            front: NamesrvFront { namesrv },
            channel: ChannelId(channel),
            peer,
            scratch: HeaderScratch::new(),
        }
    }
}

/// The connection is gone, however it ended: so is the broker that registered on it.
impl Drop for NamesrvSession {
    fn drop(&mut self) {
        self.front.namesrv.channel_closed(self.channel);
    }
}

impl Session for NamesrvSession {
    fn frame(&mut self, frame: &[u8], out: &mut Outbox) -> Result<(), FrameError> {
        let command = Command::decode(frame, &mut self.scratch)?;
        if command.is_response() {
            return Ok(());
        }
        let reply = self.front.handle(self.channel, self.peer, &command);
        if !command.is_oneway() {
            for part in reply.encode_head(command.serialization, command.opaque, out.buffer()) {
                out.push(part);
            }
        }
        Ok(())
    }

    fn batch_end(&mut self, _: &mut Outbox) {}

    fn poll_answers(&mut self, _: &mut Context<'_>, _: &mut Outbox) {}

    fn in_flight(&self) -> usize {
        0
    }
}
