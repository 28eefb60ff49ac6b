//! One thread, many connections: the loop under every load.
//!
//! Always true:
//! * a turn reads each ready connection once, hands every complete answer to the load, and writes all that the load
//!   said meanwhile with one call: the more answers come at once, the fewer system calls a message costs;
//! * nothing is read from a connection whose last write has not gone out, so buffers stay bounded by what is in flight.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, epoll};
use rustix::fd::OwnedFd;

use super::frame::{Answer, AnswerReader, LIMITS};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Room for what one read brings; grows if a single frame needs more.
const INBOUND_LEN: usize = 1 << 20;

const NANOS_PER_SECOND: Nanos = 1_000_000_000;
/// Waits from this length on, in nanoseconds, may end a millisecond late.
const ROUNDED_WAITS: i64 = 50_000_000;

/// Nanoseconds since the clock was made: the one time line of a run.
pub(crate) type Nanos = u64;

/// The clock of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// Starts at zero.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    pub(crate) fn now(&self) -> Nanos {
        self.0.elapsed().as_nanos() as Nanos
    }
}

/// What the loop does next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Turn {
    /// Waits for answers, at most until then.
    WaitUntil(Nanos),
    /// The run is over.
    Done,
}

/// A way to load a server.
pub(crate) trait Load {
    /// An answer came in on connection `lane`; what is appended to `out` leaves on the same connection.
    fn answered(&mut self, lane: usize, answer: Answer<'_>, now: Nanos, out: &mut Vec<u8>) -> Result<()>;

    /// Before each wait: sends what is due. Not called later than it asked for, but often earlier.
    fn turn(&mut self, now: Nanos, lanes: &mut [Connection]) -> Result<Turn>;
}

/// One connection with what came in and what has to go out.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: TcpStream,
    inbound: Vec<u8>,
    filled: usize,
    reader: AnswerReader,
    /// Frames to send; they leave at the end of the turn.
    pub(crate) outbound: Vec<u8>,
    written: usize,
    waits_to_write: bool,
}

impl Connection {
    /// Connects, or says which server can't be reached.
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)
            .with_context(|| format!("no connection to the broker at {address}"))?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            inbound: vec![0; INBOUND_LEN],
            filled: 0,
            reader: AnswerReader::default(),
            outbound: Vec::new(),
            written: 0,
            waits_to_write: false,
        })
    }

    /// Reads once and hands over every complete answer.
    fn read(&mut self, lane: usize, clock: Clock, load: &mut impl Load) -> Result<()> {
        match self.socket.read(&mut self.inbound[self.filled..]) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(len) => self.filled += len,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(());
            }
            Err(error) => return Err(error).context("reading from the server"),
        }
        let now = clock.now();
        let mut at = 0;
        while let Some((answer, len)) = self.reader.next(&self.inbound[at..self.filled])? {
            at += len;
            if !answer.is_request {
                load.answered(lane, answer, now, &mut self.outbound)?;
            }
        }
        self.inbound.copy_within(at..self.filled, 0);
        self.filled -= at;
        if self.filled == self.inbound.len() {
            // A single frame fills the buffer: let it grow up to the longest one.
            self.inbound.resize((self.filled * 2).min(LIMITS.max_frame), 0);
        }
        Ok(())
    }

    /// Writes what the socket takes; true when nothing is left.
    fn write(&mut self) -> Result<bool> {
        while self.written < self.outbound.len() {
            match self.socket.write(&self.outbound[self.written..]) {
                Ok(len) => self.written += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("writing to the server"),
            }
        }
        self.outbound.clear();
        self.written = 0;
        Ok(true)
    }
}

/// Runs `load` over `lanes` until it says that it is done.
pub(crate) fn run(lanes: &mut [Connection], clock: Clock, load: &mut impl Load) -> Result<()> {
    // A timer may otherwise fire 50 µs late, which is more than some servers take to answer.
    rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1))
        .context("setting the timer slack")?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (lane, connection) in lanes.iter().enumerate() {
        epoll::add(&poll, &connection.socket, epoll::EventData::new_u64(lane as u64), epoll::EventFlags::IN)?;
    }
    let mut events = Vec::with_capacity(lanes.len());
    loop {
        let now = clock.now();
        let Turn::WaitUntil(until) = load.turn(now, lanes)? else { return Ok(()) };
        for (lane, connection) in lanes.iter_mut().enumerate() {
            if !connection.outbound.is_empty() && !connection.waits_to_write {
                flush(&poll, lane, connection)?;
            }
        }
        match wait(&poll, &mut events, until.saturating_sub(clock.now())) {
            Ok(()) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error).context("waiting for the server"),
        }
        for event in events.drain(..) {
            let lane = event.data.u64() as usize;
            let connection = &mut lanes[lane];
            // One that waits to write is polled for that alone, so this event is about writing.
            if !connection.waits_to_write {
                connection.read(lane, clock, load)?;
            }
            if !connection.outbound.is_empty() {
                flush(&poll, lane, connection)?;
            }
        }
    }
}

/// Waits for something to happen, `longest` at most.
fn wait(poll: &OwnedFd, events: &mut Vec<epoll::Event>, longest: Nanos) -> rustix::io::Result<()> {
    let mut longest = Timespec {
        tv_sec: (longest / NANOS_PER_SECOND) as i64,
        tv_nsec: (longest % NANOS_PER_SECOND) as i64,
    };
    if longest.tv_sec == 0 && longest.tv_nsec < ROUNDED_WAITS {
        // `epoll_wait` counts in milliseconds, too coarse for messages that are due every 100 µs. Its successor needs
        // Linux 5.11; `ppoll` of the poll does the same everywhere.
        rustix::event::poll(&mut [PollFd::new(poll, PollFlags::IN)], Some(&longest))?;
        longest = Timespec { tv_sec: 0, tv_nsec: 0 };
    }
    epoll::wait(poll, rustix::buffer::spare_capacity(events), Some(&longest)).map(|_| ())
}

fn flush(poll: &OwnedFd, lane: usize, connection: &mut Connection) -> Result<()> {
    let waits = !connection.write()?;
    if waits != connection.waits_to_write {
        connection.waits_to_write = waits;
        let interest = if waits { epoll::EventFlags::OUT } else { epoll::EventFlags::IN };
        epoll::modify(poll, &connection.socket, epoll::EventData::new_u64(lane as u64), interest)?;
    }
    Ok(())
}
