//! A network that fails when it is told to: TCP proxies on loopback between clients and a server.
//!
//! ```text
//!            ┌ namesrv: Proxy ── its answers name the other proxy ──▶ NameServer
//! client ───▶│
//!            └ broker: Proxy ───────────────────────────────────────▶ broker's port
//! ```
//! Clients learn a broker's address from the route, and a broker advertises the port that it listens on. So the proxy
//! in front of the NameServer puts the address of the broker's proxy in its place, in every answer: this needs nothing
//! of the server or of the client, so that official ones can be on either side.
//!
//! Always true:
//! * each call returns when what it says is the case;
//! * a connection that was silent once stays silent until it is cut: bytes were lost in it, so that no end may go on
//!   with it; and while it is silent neither end learns that the other has closed;
//! * dropping a proxy cuts its connections and ends its thread.

use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use rustix::net::SocketFlags;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::process::free_port;
use crate::server::Launch;

/// Orders that may be given at once, each by a thread that waits until it is obeyed.
const ORDERS: usize = 16;

/// The proxies in front of one server: what stands between it and the clients that are given [`FaultyNetwork::namesrv`].
#[derive(Debug)]
pub struct FaultyNetwork {
    /// In front of the NameServer.
    pub namesrv: Proxy,
    /// In front of the broker's main port.
    pub broker: Proxy,
}

impl FaultyNetwork {
    /// Around a server that may be started before or after, and as often as the test likes.
    pub fn around(launch: &Launch) -> Self {
        let broker = Proxy::to(launch.broker());
        let namesrv: SocketAddr = launch.namesrv().parse().expect("a NameServer has an address");
        let naming = Naming { real: launch.broker().to_string(), told: broker.address().to_string() };
        assert_eq!(naming.real.len(), naming.told.len(), "frames keep their lengths");
        Self { namesrv: Proxy::start(namesrv, Some(naming)), broker }
    }

    /// The NameServer's address as clients are given it.
    pub fn namesrv(&self) -> String {
        self.namesrv.address().to_string()
    }
}

/// A proxy in front of one address. It passes everything on until it is told otherwise.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    /// Gone while it is dropped: this is what ends the thread.
    orders: Option<mpsc::Sender<(Order, SyncSender<()>)>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy, Debug)]
enum Order {
    Pass,
    Silence,
    Refuse,
    Cut,
}

/// An address in the NameServer's answers, and what clients are told instead, of the same length.
#[derive(Clone, Debug)]
struct Naming {
    real: String,
    told: String,
}

impl Proxy {
    /// A proxy on a free port of 127.0.0.1.
    pub fn to(target: SocketAddr) -> Self {
        Self::start(target, None)
    }

    fn start(target: SocketAddr, naming: Option<Naming>) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port(&[0])));
        let (orders, received) = mpsc::channel(ORDERS);
        let (ready, started) = sync_channel(1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                let listener = TcpListener::bind(address).await.expect("the port is still free");
                ready.send(()).expect("who starts it waits");
                Switch {
                    address,
                    target,
                    naming,
                    listener: Some(listener),
                    silent: watch::Sender::new(false),
                    connections: JoinSet::new(),
                }
                .run(received)
                .await;
            });
        });
        started.recv().expect("the proxy listens");
        Self { address, orders: Some(orders), thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes connections and passes bytes on, except on connections that were silent.
    pub fn pass(&self) {
        self.order(Order::Pass);
    }

    /// Swallows every byte in both directions, on connections that are there and on new ones, and closes none.
    pub fn silence(&self) {
        self.order(Order::Silence);
    }

    /// Cuts all connections and refuses new ones, as a machine does on which no server runs.
    pub fn refuse(&self) {
        self.order(Order::Refuse);
    }

    /// Ends all connections at both ends, and goes on with new ones as before.
    pub fn cut(&self) {
        self.order(Order::Cut);
    }

    fn order(&self, order: Order) {
        let (done, obeyed) = sync_channel(1);
        let orders = self.orders.as_ref().expect("there are orders until it is dropped");
        orders.try_send((order, done)).expect("the proxy's thread runs");
        obeyed.recv().expect("the proxy obeys");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed; another one here would hide what the test has to say.
            let _ = thread.join();
        }
    }
}

/// What the proxy's thread has.
struct Switch {
    address: SocketAddr,
    target: SocketAddr,
    naming: Option<Naming>,
    /// Gone while connections are refused.
    listener: Option<TcpListener>,
    /// Whether the connections of this generation are silent; a generation that is never passes again.
    silent: watch::Sender<bool>,
    connections: JoinSet<()>,
}

impl Switch {
    async fn run(mut self, mut orders: mpsc::Receiver<(Order, SyncSender<()>)>) {
        loop {
            tokio::select! {
                order = orders.recv() => {
                    let Some((order, done)) = order else { break };
                    // Whoever connected before the order is treated as it was then, however late this thread sees it.
                    while let Some(client) = self.listener.as_ref().and_then(waiting) {
                        self.carry(client);
                    }
                    self.obey(order).await;
                    // A test that has given up waiting needs no answer.
                    let _ = done.send(());
                }
                client = accept(self.listener.as_ref()) => self.carry(client),
                Some(ended) = self.connections.join_next() => ended.expect("a connection's task does not panic"),
            }
        }
        self.connections.shutdown().await;
    }

    fn carry(&mut self, client: TcpStream) {
        self.connections.spawn(carry(client, self.target, self.naming.clone(), self.silent.subscribe()));
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Pass => {
                if *self.silent.borrow() {
                    self.silent = watch::Sender::new(false);
                }
                if self.listener.is_none() {
                    let listener = TcpListener::bind(self.address).await;
                    self.listener = Some(listener.expect("the proxy's port is its own"));
                }
            }
            Order::Silence => {
                self.silent.send_replace(true);
            }
            Order::Refuse => {
                self.listener = None;
                self.connections.shutdown().await;
            }
            Order::Cut => self.connections.shutdown().await,
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    match listener {
        Some(listener) => listener.accept().await.expect("loopback gives connections").0,
        None => pending().await,
    }
}

/// A connection that the system has accepted and nobody has taken. Asks the system itself: what the runtime knows may be
/// older.
fn waiting(listener: &TcpListener) -> Option<TcpStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let client = std::net::TcpStream::from(rustix::net::accept_with(listener, flags).ok()?);
    Some(TcpStream::from_std(client).expect("a socket can be waited for"))
}

/// One connection, to its end.
async fn carry(
    client: TcpStream,
    target: SocketAddr,
    naming: Option<Naming>,
    mut silent: watch::Receiver<bool>,
) {
    let server = tokio::select! {
        biased;
        () = fallen_silent(&mut silent) => pending().await,
        server = TcpStream::connect(target) => server,
    };
    // Without a server, the client's connection ends at once.
    let Ok(server) = server else { return };
    for end in [&client, &server] {
        end.set_nodelay(true).expect("a socket takes the option");
    }
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let upwards = copy(from_client, to_server, None, silent.clone());
    let downwards = copy(from_server, to_client, naming, silent);
    // An end that broke ends the other; an end that has only finished writing may go on reading.
    let _ = tokio::try_join!(upwards, downwards);
}

/// Copies until the end, or swallows for ever from when the connection falls silent.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    naming: Option<Naming>,
    mut silent: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut bytes = vec![0; 64 << 10];
    let mut frames = naming.map(Frames::new);
    let passing = async {
        loop {
            let count = from.read(&mut bytes).await?;
            if count == 0 {
                return to.shutdown().await;
            }
            match &mut frames {
                Some(frames) => to.write_all(&frames.renamed(&bytes[..count])).await?,
                None => to.write_all(&bytes[..count]).await?,
            }
        }
    };
    tokio::select! {
        biased;
        () = fallen_silent(&mut silent) => {}
        passed = passing => return passed,
    }
    // To the end of the stream or of the connection, neither of which the other side may learn of.
    while from.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
    pending().await
}

async fn fallen_silent(silent: &mut watch::Receiver<bool>) {
    if silent.wait_for(|&silent| silent).await.is_err() {
        // Its generation passed until the end, so it will not be told anything any more.
        pending::<()>().await;
    }
}

/// Remoting frames, whose beginnings wait here until the rest is there.
#[derive(Debug)]
struct Frames {
    naming: Naming,
    held: Vec<u8>,
}

impl Frames {
    fn new(naming: Naming) -> Self {
        Self { naming, held: Vec::new() }
    }

    /// The frames that are complete with these bytes, renamed.
    fn renamed(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let mut end = 0;
        while let Some(len) = self.held[end..].first_chunk() {
            let frame = 4 + u32::from_be_bytes(*len) as usize;
            if self.held.len() < end + frame {
                break;
            }
            end += frame;
        }
        let mut frames: Vec<u8> = self.held.drain(..end).collect();
        let (real, told) = (self.naming.real.as_bytes(), self.naming.told.as_bytes());
        let mut at = 0;
        while at + real.len() <= frames.len() {
            if frames[at..].starts_with(real) {
                frames[at..at + real.len()].copy_from_slice(told);
                at += real.len();
            } else {
                at += 1;
            }
        }
        frames
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;
    use crate::process::wait;

    /// Longer than anything here takes on a busy machine.
    const LIMIT: Duration = Duration::from_secs(60);

    /// A server that gives back what it gets, until the test's process ends.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                thread::spawn(move || io::copy(&mut &client, &mut &client));
            }
        });
        address
    }

    fn connect(to: &Proxy) -> TcpStream {
        let stream = TcpStream::connect(to.address()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    fn is_echoed(stream: &mut TcpStream) {
        stream.write_all(b"hello").unwrap();
        let mut back = [0; 5];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"hello");
    }

    /// Whether this end is told of an end of the connection.
    fn is_ended(stream: &mut TcpStream) {
        let read = stream.read(&mut [0; 1]);
        assert!(
            matches!(&read, Ok(0))
                || read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset),
            "{read:?}"
        );
    }

    /// Whether nothing comes: looked at for a moment, as there is nothing to wait for.
    fn is_silent(stream: &mut TcpStream) {
        stream.write_all(b"hello").unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let read = stream.read(&mut [0; 1]);
        assert!(
            read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock),
            "{read:?} came out of a silent connection"
        );
        stream.set_read_timeout(Some(LIMIT)).unwrap();
    }

    #[test]
    fn what_is_passed_on_arrives_and_an_end_is_passed_on_too() {
        let proxy = Proxy::to(echo());
        let mut stream = connect(&proxy);
        is_echoed(&mut stream);
        stream.write_all(b"last").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"last");
    }

    #[test]
    fn a_silent_connection_stays_silent_while_new_ones_pass_again() {
        let proxy = Proxy::to(echo());
        let mut before = connect(&proxy);
        is_echoed(&mut before);
        proxy.silence();
        is_silent(&mut before);
        let mut during = connect(&proxy);
        is_silent(&mut during);
        proxy.pass();
        is_echoed(&mut connect(&proxy));
        is_silent(&mut before);
        is_silent(&mut during);
        proxy.cut();
        is_ended(&mut before);
        is_ended(&mut during);
    }

    #[test]
    fn the_server_of_a_silent_connection_does_not_learn_that_its_client_has_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::to(listener.local_addr().unwrap());
        let mut stream = connect(&proxy);
        let (mut accepted, _) = listener.accept().unwrap();
        accepted.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(b"x").unwrap();
        accepted.read_exact(&mut [0; 1]).unwrap();
        proxy.silence();
        drop(stream);
        is_silent(&mut accepted);
    }

    #[test]
    fn who_refuses_ends_what_is_there_and_takes_nothing_until_it_passes_again() {
        let proxy = Proxy::to(echo());
        let mut stream = connect(&proxy);
        is_echoed(&mut stream);
        proxy.refuse();
        is_ended(&mut stream);
        let refused = TcpStream::connect(proxy.address()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        proxy.pass();
        is_echoed(&mut connect(&proxy));
    }

    #[test]
    fn connections_that_were_cut_can_be_made_again() {
        let proxy = Proxy::to(echo());
        let mut stream = connect(&proxy);
        is_echoed(&mut stream);
        proxy.cut();
        is_ended(&mut stream);
        is_echoed(&mut connect(&proxy));
    }

    #[test]
    fn a_connection_to_a_server_that_is_not_there_ends() {
        let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port(&[0])));
        let proxy = Proxy::to(nobody);
        is_ended(&mut connect(&proxy));
    }

    #[test]
    fn a_dropped_proxy_ends_its_connections() {
        let proxy = Proxy::to(echo());
        let address = proxy.address();
        let mut stream = connect(&proxy);
        is_echoed(&mut stream);
        drop(proxy);
        is_ended(&mut stream);
        assert!(wait(LIMIT, || TcpStream::connect(address).is_err()));
    }

    #[test]
    fn an_address_is_renamed_in_whole_frames_however_they_arrive() {
        let mut wire = Vec::new();
        for body in ["{0:\"127.0.0.1:10911\"}", "", "127.0.0.1:10911127.0.0.1:10912"] {
            wire.extend((body.len() as u32).to_be_bytes());
            wire.extend(body.as_bytes());
        }
        let told = String::from_utf8_lossy(&wire).replace("127.0.0.1:10911", "127.0.0.1:20911");
        for piece in 1..wire.len() {
            let naming = Naming { real: "127.0.0.1:10911".into(), told: "127.0.0.1:20911".into() };
            let mut frames = Frames::new(naming);
            let out: Vec<u8> = wire.chunks(piece).flat_map(|bytes| frames.renamed(bytes)).collect();
            assert_eq!(String::from_utf8_lossy(&out), told);
        }
    }
}
