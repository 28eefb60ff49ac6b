//! A client of MQTT 3.1.1 that costs next to nothing: prepared frames out, lengths and identifiers in.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::net::{AddressFamily, SocketType};

const CONNACK: u8 = 0x20;
pub(crate) const PUBLISH: u8 = 0x30;
pub(crate) const PUBACK: u8 = 0x40;
pub(crate) const SUBACK: u8 = 0x90;
/// Bytes that are read at once.
const READ: usize = 256 << 10;
/// From each source address so many connections are opened before the next one's turn.
const PER_SOURCE: usize = 5_000;

/// What came: its first byte and what follows its length.
pub(crate) type Packet<'a> = (u8, &'a [u8]);

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    /// The begin of a packet whose end did not come yet.
    rest: Vec<u8>,
    pub(crate) out: Vec<u8>,
}

impl Client {
    /// Connects from one of several loopback addresses, by `number`, and says CONNECT.
    pub(crate) fn open(to: SocketAddr, number: usize, name: &str) -> Self {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        let source = Ipv4Addr::new(127, 0, 1, 1 + (number / PER_SOURCE % 200) as u8);
        rustix::net::bind(&socket, &SocketAddr::from((source, 0))).expect("loopback has all of 127/8");
        rustix::net::connect(&socket, &to).expect("the server accepts");
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true).expect("a TCP connection");
        stream.set_nonblocking(true).expect("a TCP connection");
        let mut client = Self { stream, rest: Vec::new(), out: Vec::new() };
        client.connect_packet(name);
        client.flush();
        client
    }

    fn connect_packet(&mut self, name: &str) {
        let len = 10 + 2 + name.len();
        assert!(len < 128, "a short name");
        self.out.extend([0x10, len as u8, 0, 4, b'M', b'Q', b'T', b'T', 4, 0x02, 0, 0]);
        text(&mut self.out, name);
    }

    /// Asks for a topic with QoS 1.
    pub(crate) fn subscribe(&mut self, topic: &str) {
        let len = 2 + 2 + topic.len() + 1;
        assert!(len < 128, "a short topic");
        self.out.extend([0x82, len as u8, 0, 1]);
        text(&mut self.out, topic);
        self.out.push(1);
        self.flush();
    }

    /// Writes what waits, as far as the socket takes it.
    pub(crate) fn flush(&mut self) {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(written) => drop(self.out.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => panic!("the server hung up: {error}"),
            }
        }
    }

    /// Reads what is there, and hands over each packet with the client's output, to answer it.
    pub(crate) fn read(&mut self, scratch: &mut [u8], mut each: impl FnMut(Packet<'_>, &mut Vec<u8>)) {
        let kept = self.rest.len();
        scratch[..kept].copy_from_slice(&self.rest);
        let read = match self.stream.read(&mut scratch[kept..]) {
            Ok(0) => panic!("the server hung up"),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => panic!("the server hung up: {error}"),
        };
        let mut bytes = &scratch[..kept + read];
        while let Some((packet, rest)) = split(bytes) {
            each(packet, &mut self.out);
            bytes = rest;
        }
        self.rest.clear();
        self.rest.extend_from_slice(bytes);
    }

    /// Says goodbye and closes.
    pub(crate) fn close(mut self) {
        self.out.extend([0xE0, 0]);
        self.flush();
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u16).to_be_bytes());
    out.extend(text.as_bytes());
}

/// The first packet, if all of it is there.
fn split(bytes: &[u8]) -> Option<(Packet<'_>, &[u8])> {
    let mut len = 0;
    for i in 0..4 {
        let byte = *bytes.get(1 + i)?;
        len |= usize::from(byte & 0x7F) << (7 * i);
        if byte < 0x80 {
            let body = bytes.get(2 + i..2 + i + len)?;
            return Some(((bytes[0] & 0xF0, body), &bytes[2 + i + len..]));
        }
    }
    panic!("no length of MQTT");
}

/// The identifier of a message of QoS 1, and what it holds.
pub(crate) fn message(body: &[u8]) -> ([u8; 2], &[u8]) {
    let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
    ([body[2 + topic], body[3 + topic]], &body[4 + topic..])
}

/// A message of QoS 1 whose identifier and first bytes are set before each use.
pub(crate) struct Frame {
    bytes: Vec<u8>,
    id_at: usize,
    next: u16,
}

impl Frame {
    pub(crate) fn new(topic: &str, size: usize) -> Self {
        let len = 2 + topic.len() + 2 + size;
        let mut bytes = vec![PUBLISH | 0x02];
        let mut left = len;
        loop {
            bytes.push((left & 0x7F) as u8 | if left > 0x7F { 0x80 } else { 0 });
            left >>= 7;
            if left == 0 {
                break;
            }
        }
        text(&mut bytes, topic);
        let id_at = bytes.len();
        bytes.extend(vec![b'x'; 2 + size]);
        Self { bytes, id_at, next: 0 }
    }

    /// Adds it to what waits.
    pub(crate) fn put(&mut self, due: u64, out: &mut Vec<u8>) {
        self.next = self.next.checked_add(1).unwrap_or(1);
        self.bytes[self.id_at..][..2].copy_from_slice(&self.next.to_be_bytes());
        self.bytes[self.id_at + 2..][..8].copy_from_slice(&due.to_be_bytes());
        out.extend_from_slice(&self.bytes);
    }
}

/// Many clients, served by one thread.
pub(crate) struct Clients {
    epoll: OwnedFd,
    pub(crate) all: Vec<Option<Client>>,
    events: Vec<epoll::Event>,
    pub(crate) scratch: Box<[u8]>,
}

impl Clients {
    pub(crate) fn new() -> Self {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("epoll");
        Self { epoll, all: Vec::new(), events: Vec::with_capacity(512), scratch: vec![0; READ].into() }
    }

    /// Puts a client at a place; whoever was there is gone.
    pub(crate) fn put(&mut self, at: usize, client: Client) {
        // Writable is told when it becomes so, readable as well: both are then used up.
        let interest = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        epoll::add(&self.epoll, &client.stream, epoll::EventData::new_u64(at as u64), interest)
            .expect("epoll takes it");
        if at >= self.all.len() {
            self.all.resize_with(at + 1, || None);
        }
        self.all[at] = Some(client);
    }

    /// Those that something happened to, within a time.
    pub(crate) fn wait(&mut self, within: Duration, into: &mut Vec<usize>) {
        self.events.clear();
        let within = Timespec { tv_sec: within.as_secs() as i64, tv_nsec: within.subsec_nanos().into() };
        let _ = epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), Some(&within));
        into.clear();
        into.extend(self.events.iter().map(|event| event.data.u64() as usize));
    }

    /// Opens so many, a few at a time, and waits for their CONNACKs.
    pub(crate) fn open(to: SocketAddr, count: usize, name: &str) -> Self {
        /// So many are on their way at a time.
        const AT_ONCE: usize = 100;
        let mut clients = Self::new();
        let mut accepted = 0;
        while accepted < count {
            while clients.all.len() < count && clients.all.len() < accepted + AT_ONCE {
                let number = clients.all.len();
                clients.put(number, Client::open(to, number, &format!("{name}{number}")));
            }
            accepted += clients.answers(CONNACK);
        }
        clients
    }

    /// Subscribes each to its topic, a few at a time, and waits for their SUBACKs.
    pub(crate) fn subscribe(&mut self, topic: impl Fn(usize) -> Option<String>) {
        const AT_ONCE: usize = 100;
        let topics: Vec<_> =
            (0..self.all.len()).filter_map(|number| topic(number).map(|topic| (number, topic))).collect();
        let (mut asked, mut granted) = (0, 0);
        while granted < topics.len() {
            for (number, topic) in &topics[asked..topics.len().min(granted + AT_ONCE)] {
                self.all[*number].as_mut().expect("it is there").subscribe(topic);
                asked += 1;
            }
            granted += self.answers(SUBACK);
        }
    }

    /// How many packets of this type came.
    fn answers(&mut self, wanted: u8) -> usize {
        let mut ready = Vec::new();
        self.wait(Duration::from_secs(30), &mut ready);
        assert!(!ready.is_empty(), "no answer within 30 s");
        let mut found = 0;
        for at in ready {
            let client = self.all[at].as_mut().expect("it is there");
            client.read(&mut self.scratch, |(kind, body), _| {
                let refused = kind == CONNACK && body[1] != 0 || kind == SUBACK && body[2] > 2;
                assert!(!refused, "refused: {kind:x} {body:x?}");
                found += usize::from(kind == wanted);
            });
        }
        found
    }
}
