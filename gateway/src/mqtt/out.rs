//! What is on its way to a client and not written yet: heads of packets, and payloads where they are.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use ferromq_mqtt::{EncodeError, Packet, Publish, Version, encode, encode_publish_head};
use tokio::io::AsyncWrite;

/// A payload of at least so many bytes is written from where it is; a smaller one is copied.
const COPY_BELOW: usize = 2 << 10;
/// Pieces that one write call takes.
const PIECES: usize = 32;

/// Packets that wait to be written, in order.
#[derive(Debug, Default)]
pub(super) struct Out {
    pieces: VecDeque<Bytes>,
    /// The last piece, which is added to.
    last: BytesMut,
    len: usize,
}

impl Out {
    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a packet.
    pub(super) fn push(&mut self, packet: &Packet, version: Version, most: u32) -> Result<(), EncodeError> {
        let before = self.last.len();
        encode(packet, version, most, &mut self.last)?;
        self.len += self.last.len() - before;
        Ok(())
    }

    /// Adds a message.
    pub(super) fn publish(
        &mut self,
        publish: &Publish,
        version: Version,
        most: u32,
    ) -> Result<(), EncodeError> {
        let before = self.last.len();
        encode_publish_head(publish, version, most, &mut self.last)?;
        if publish.payload.len() < COPY_BELOW {
            self.last.extend_from_slice(&publish.payload);
            self.len += self.last.len() - before;
        } else {
            self.len += self.last.len() - before + publish.payload.len();
            self.pieces.push_back(self.last.split().freeze());
            self.pieces.push_back(publish.payload.clone());
        }
        Ok(())
    }

    /// Adds packets that are encoded.
    pub(super) fn append(&mut self, packets: &[u8]) {
        self.last.extend_from_slice(packets);
        self.len += packets.len();
    }

    /// Writes some of it; there is something.
    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut slices = [IoSlice::new(&[]); PIECES];
        let mut count = 0;
        for piece in self.pieces.iter().take(PIECES - 1) {
            slices[count] = IoSlice::new(piece);
            count += 1;
        }
        if count == self.pieces.len() {
            slices[count] = IoSlice::new(&self.last);
            count += 1;
        }
        let written = ready!(Pin::new(stream).poll_write_vectored(cx, &slices[..count]))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(written);
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        self.len -= written;
        while let Some(piece) = self.pieces.front_mut() {
            if written < piece.len() {
                piece.advance(written);
                return;
            }
            written -= piece.len();
            self.pieces.pop_front();
        }
        self.last.advance(written);
        if self.is_empty() {
            // An idle connection keeps no memory.
            *self = Self::default();
        }
    }
}
