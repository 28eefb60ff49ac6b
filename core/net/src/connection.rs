//! One connection's loop.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ferromq_protocol::frame::{FrameError, FrameLimits};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use crate::input::Input;
use crate::outbox::{MAX_SLICES, Outbox};

/// Bytes of unsent answers above which nothing more is read or answered.
const HIGH_WATER: usize = 1 << 20;

/// What one connection may take.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Sizes of frames.
    pub frame: FrameLimits,
    /// Requests that may be unanswered.
    pub in_flight: usize,
    /// How long nothing may move.
    pub idle: Duration,
}

/// What serves the frames of one connection.
pub trait Session {
    /// Takes one frame. Answers go to `out`, now or from [`Session::poll_answers`].
    ///
    /// # Errors
    /// The frame cannot be read, which ends the connection.
    fn frame(&mut self, frame: &[u8], out: &mut Outbox) -> Result<(), FrameError>;

    /// All frames that came together were given: what was collected over them is to be done now.
    fn batch_end(&mut self, out: &mut Outbox);

    /// Moves answers that are ready by now to `out`, and registers to be woken for the rest.
    fn poll_answers(&mut self, cx: &mut Context<'_>, out: &mut Outbox);

    /// All answers so far were given to the system, at `at`.
    fn written(&mut self, at: Instant) {
        let _ = at;
    }

    /// Requests that are not answered yet, collected ones included.
    fn in_flight(&self) -> usize;
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum Closed {
    /// The peer closed it.
    #[error("closed by the peer")]
    ByPeer,
    /// The peer closed it within a frame.
    #[error("closed by the peer within a frame")]
    WithinFrame,
    /// Nothing moved for too long.
    #[error("idle for {0:?}")]
    Idle(Duration),
    /// The peer does not speak the protocol, or exceeds a limit.
    #[error("malformed frame: {0}")]
    Malformed(#[from] FrameError),
    /// The connection broke.
    #[error("{0}")]
    Broken(#[from] io::Error),
    /// This side stops.
    #[error("stopped")]
    Stopped,
}

/// Serves one connection until it ends or `stop` turns true; returns why it ended.
pub async fn serve<I, S>(
    io: I,
    session: &mut S,
    limits: ConnectionLimits,
    mut stop: watch::Receiver<bool>,
) -> Closed
where
    I: AsyncRead + AsyncWrite + Unpin,
    S: Session,
{
    let mut connection = Connection {
        io,
        input: Input::new(),
        out: Outbox::default(),
        limits,
        moved: Instant::now(),
        flushed: true,
        stopping: false,
    };
    let mut idle = pin!(tokio::time::sleep(limits.idle));
    let mut stopping = pin!(async move {
        // A sender that is gone counts as a stop.
        let _ = stop.wait_for(|stop| *stop).await;
    });
    let mut stop_seen = false;
    let closed = poll_fn(|cx| {
        if !stop_seen && stopping.as_mut().poll(cx).is_ready() {
            stop_seen = true;
            connection.stopping = true;
        }
        if let Poll::Ready(closed) = connection.poll(session, cx) {
            return Poll::Ready(closed);
        }
        connection.poll_idle(session, idle.as_mut(), cx)
    })
    .await;
    // The peer sees an end, not a reset, and has what was written before.
    let _ = connection.io.shutdown().await;
    closed
}

struct Connection<I> {
    io: I,
    input: Input,
    out: Outbox,
    limits: ConnectionLimits,
    /// When something was last read or written.
    moved: Instant,
    /// Whether all that was written has left.
    flushed: bool,
    stopping: bool,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Connection<I> {
    fn poll<S: Session>(&mut self, session: &mut S, cx: &mut Context<'_>) -> Poll<Closed> {
        loop {
            if self.out.len() < HIGH_WATER {
                session.poll_answers(cx, &mut self.out);
            }
            let had_answers = !self.out.is_empty();
            let drained = match self.poll_write(cx) {
                Poll::Ready(Ok(())) => {
                    if had_answers {
                        session.written(self.moved);
                    }
                    true
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Closed::Broken(error)),
                Poll::Pending => false,
            };
            if self.stopping {
                let done = drained && session.in_flight() == 0;
                return if done { Poll::Ready(Closed::Stopped) } else { Poll::Pending };
            }
            if self.out.len() >= HIGH_WATER || session.in_flight() >= self.limits.in_flight {
                return Poll::Pending;
            }
            // Frames that were left in the buffer come before a read; a read comes when there are none.
            match self.give_frames(session) {
                Err(closed) => return Poll::Ready(closed),
                Ok(true) => {}
                Ok(false) => {
                    if let Err(closed) = ready!(self.poll_read(cx)) {
                        return Poll::Ready(closed);
                    }
                }
            }
        }
    }

    /// Writes all that waits; pending while the peer does not take it.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let written = {
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let count = self.out.slices(&mut slices);
                ready!(Pin::new(&mut self.io).poll_write_vectored(cx, &slices[..count]))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.advance(written);
            self.moved = Instant::now();
            self.flushed = false;
        }
        // What encrypts holds some back until it is told that this was all.
        if !self.flushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        let mut room = ReadBuf::new(self.input.room());
        if let Err(error) = ready!(Pin::new(&mut self.io).poll_read(cx, &mut room)) {
            return Poll::Ready(Err(Closed::Broken(error)));
        }
        let count = room.filled().len();
        if count == 0 {
            let closed = if self.input.is_inside_frame() { Closed::WithinFrame } else { Closed::ByPeer };
            return Poll::Ready(Err(closed));
        }
        self.input.filled(count);
        self.moved = Instant::now();
        Poll::Ready(Ok(()))
    }

    /// Gives the session whole frames from the buffer, as many as may be in flight and until enough answers wait to be
    /// written; whether there was any.
    fn give_frames<S: Session>(&mut self, session: &mut S) -> Result<bool, Closed> {
        let mut any = false;
        let outcome = loop {
            if any && (session.in_flight() >= self.limits.in_flight || self.out.len() >= HIGH_WATER) {
                break Ok(());
            }
            match self.input.next_frame(&self.limits.frame) {
                Ok(Some(frame)) => {
                    any = true;
                    if let Err(error) = session.frame(frame, &mut self.out) {
                        break Err(Closed::Malformed(error));
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(Closed::Malformed(error)),
            }
        };
        if any {
            // Also before a close: what came whole before the broken frame is done and not left half-way.
            session.batch_end(&mut self.out);
        }
        outcome.map(|()| any)
    }

    fn poll_idle<S: Session>(
        &mut self,
        session: &S,
        mut idle: Pin<&mut Sleep>,
        cx: &mut Context<'_>,
    ) -> Poll<Closed> {
        while idle.as_mut().poll(cx).is_ready() {
            let over = self.moved + self.limits.idle;
            // A peer that waits for us is not idle: a held pull may take longer than it.
            let waits_for_us =
                session.in_flight() > 0 && !self.input.is_inside_frame() && self.out.is_empty();
            if Instant::now() >= over && !waits_for_us {
                return Poll::Ready(Closed::Idle(self.limits.idle));
            }
            self.input.shrink();
            self.out.shrink();
            idle.as_mut().reset(if waits_for_us { Instant::now() + self.limits.idle } else { over });
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use ferromq_protocol::code::{RequestCode, ResponseCode};
    use ferromq_protocol::frame::{Command, Head, HeaderScratch, encode_with_body};
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    const LIMITS: ConnectionLimits = ConnectionLimits {
        frame: FrameLimits { max_frame: 1 << 20, max_header: 1 << 16 },
        in_flight: 4,
        idle: Duration::from_secs(120),
    };

    const MUCH: &[u8] = &[7; 100 << 10];

    /// Echoes bodies, `much` with `MUCH`; a body of `wait` is answered when `release` turns true.
    struct Echo {
        scratch: HeaderScratch,
        waiting: VecDeque<i32>,
        release: watch::Receiver<bool>,
        batches: usize,
        most_in_flight: usize,
    }

    impl Session for Echo {
        fn frame(&mut self, frame: &[u8], out: &mut Outbox) -> Result<(), FrameError> {
            let command = Command::decode(frame, &mut self.scratch)?;
            if command.body == b"wait" {
                self.waiting.push_back(command.opaque);
            } else {
                let body = if command.body == b"much" { MUCH } else { command.body };
                let head = Head::response(&command, ResponseCode::Success);
                encode_with_body(out.buffer(), &head, &(), body).unwrap();
            }
            Ok(())
        }

        fn batch_end(&mut self, _: &mut Outbox) {
            self.batches += 1;
            self.most_in_flight = self.most_in_flight.max(self.waiting.len());
        }

        fn poll_answers(&mut self, cx: &mut Context<'_>, out: &mut Outbox) {
            if self.waiting.is_empty() {
                return;
            }
            let mut release = self.release.clone();
            let released = pin!(async move { release.wait_for(|r| *r).await.is_ok() });
            if released.poll(cx).is_ready() {
                for opaque in self.waiting.drain(..) {
                    let head = Head::response_to(
                        ferromq_protocol::frame::Serialization::Json,
                        opaque,
                        ResponseCode::Success,
                    );
                    encode_with_body(out.buffer(), &head, &(), b"late").unwrap();
                }
            } else {
                cx.waker().wake_by_ref();
            }
        }

        fn in_flight(&self) -> usize {
            self.waiting.len()
        }
    }

    fn echo() -> (Echo, watch::Sender<bool>) {
        let (release, released) = watch::channel(false);
        let echo = Echo {
            scratch: HeaderScratch::new(),
            waiting: VecDeque::new(),
            release: released,
            batches: 0,
            most_in_flight: 0,
        };
        (echo, release)
    }

    fn request(opaque: i32, body: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        encode_with_body(&mut frame, &Head::request(RequestCode::HeartBeat, opaque), &(), body).unwrap();
        frame
    }

    #[tokio::test]
    async fn a_peer_that_closes_gets_its_answers_first() {
        let (client, server) = duplex(1 << 16);
        let (mut session, _release) = echo();
        let (_stop, stopped) = watch::channel(false);
        let (mut read, mut write) = tokio::io::split(client);
        let talk = async {
            write.write_all(&[request(1, b"a"), request(2, b"b")].concat()).await.unwrap();
            write.shutdown().await.unwrap();
            let mut answers = Vec::new();
            read.read_to_end(&mut answers).await.unwrap();
            answers
        };
        let (closed, answers) = tokio::join!(serve(server, &mut session, LIMITS, stopped), talk);
        assert!(matches!(closed, Closed::ByPeer), "{closed}");
        assert!(answers.ends_with(b"b") && session.batches == 1);
    }

    #[tokio::test]
    async fn a_malformed_frame_ends_the_connection_after_what_came_before_it() {
        let (mut client, server) = duplex(1 << 16);
        let (mut session, _release) = echo();
        let (_stop, stopped) = watch::channel(false);
        let mut bytes = request(1, b"fine");
        bytes.extend_from_slice(&[0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1]);
        client.write_all(&bytes).await.unwrap();
        let closed = serve(server, &mut session, LIMITS, stopped).await;
        assert!(matches!(closed, Closed::Malformed(_)), "{closed}");
        assert_eq!(session.batches, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_frame_and_silence_is_closed_in_the_end() {
        let (mut client, server) = duplex(1 << 16);
        let (mut session, _release) = echo();
        let (_stop, stopped) = watch::channel(false);
        client.write_all(&request(1, b"x")[..20]).await.unwrap();
        let began = Instant::now();
        let closed = serve(server, &mut session, LIMITS, stopped).await;
        assert!(matches!(closed, Closed::Idle(_)), "{closed}");
        assert!(began.elapsed() >= LIMITS.idle && began.elapsed() < LIMITS.idle * 2);
    }

    #[tokio::test]
    async fn a_stop_answers_what_is_in_flight() {
        let (mut client, server) = duplex(1 << 16);
        let (mut session, release) = echo();
        let (stop, stopped) = watch::channel(false);
        client.write_all(&request(1, b"wait")).await.unwrap();
        let talk = async {
            // The stop is told only once the request is in flight, which the echo of a second one shows.
            client.write_all(&request(2, b"seen")).await.unwrap();
            let mut first = vec![0; 16];
            client.read_exact(&mut first).await.unwrap();
            stop.send_replace(true);
            release.send_replace(true);
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).await.unwrap();
            rest
        };
        let (closed, rest) = tokio::join!(serve(server, &mut session, LIMITS, stopped), talk);
        assert!(matches!(closed, Closed::Stopped), "{closed}");
        assert!(rest.ends_with(b"late"));
    }

    #[tokio::test]
    async fn answers_wait_up_to_a_limit_however_many_requests_came_at_once() {
        let (mut client, server) = duplex(1 << 16);
        let (mut session, _release) = echo();
        let requests: Vec<u8> = (0..100).flat_map(|opaque| request(opaque, b"much")).collect();
        client.write_all(&requests).await.unwrap();
        let mut connection = Connection {
            io: Unwritable(server),
            input: Input::new(),
            out: Outbox::default(),
            limits: LIMITS,
            moved: Instant::now(),
            flushed: true,
            stopping: false,
        };
        for _ in 0..10 {
            let polled = poll_fn(|cx| Poll::Ready(connection.poll(&mut session, cx))).await;
            assert!(polled.is_pending());
        }
        assert!(connection.out.len() < HIGH_WATER + MUCH.len() + 1000, "{}", connection.out.len());
    }

    /// Takes nothing.
    struct Unwritable<I>(I);

    impl<I: AsyncRead + Unpin> AsyncRead for Unwritable<I> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            room: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(cx, room)
        }
    }

    impl<I: Unpin> AsyncWrite for Unwritable<I> {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn no_more_is_taken_in_than_may_be_in_flight() {
        let (mut client, server) = duplex(1 << 16);
        let (mut session, release) = echo();
        let (_stop, stopped) = watch::channel(false);
        let requests: Vec<u8> = (0..20).flat_map(|opaque| request(opaque, b"wait")).collect();
        let talk = async {
            client.write_all(&requests).await.unwrap();
            release.send_replace(true);
            client.shutdown().await.unwrap();
            let mut answers = Vec::new();
            client.read_to_end(&mut answers).await.unwrap();
            answers.windows(4).filter(|bytes| bytes == b"late").count()
        };
        let (_, answers) = tokio::join!(serve(server, &mut session, LIMITS, stopped), talk);
        assert_eq!((answers, session.most_in_flight), (20, 4));
    }
}
