//! One MQTT connection over TCP, blocking.
//!
//! Packets that come while another is waited for are kept, in order, and are next. Every wait ends within [`PATIENCE`], and
//! a wait that ends so fails the test: what does not come is shown by what comes behind it, never by waiting.

use std::collections::VecDeque;
use std::io::{self, BufReader, Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::packet::{self, ConnAck, Connect, Packet, Publish, Version};
use super::properties::Properties;

/// The longest wait for a packet, or for the end of a connection.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// A server waits so long for CONNECT, or longer: it may close a connection whose client was held up in between.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How many packets may wait to be looked at: more is no test's intention.
const MOST_WAITING: usize = 100_000;

/// A connection, in any state. Dropping it closes it as a network does, without DISCONNECT.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
    opened: Instant,
    version: Version,
    waiting: VecDeque<Packet>,
    last_id: u16,
}

impl Connection {
    /// Connects and says nothing yet.
    ///
    /// # Panics
    /// When the server does not accept.
    pub fn open(address: SocketAddr, version: Version) -> Self {
        Self::try_open(address, version).unwrap_or_else(|e| panic!("{address} does not accept: {e}"))
    }

    /// Connects and says nothing yet.
    ///
    /// # Errors
    /// The server does not accept.
    pub fn try_open(address: SocketAddr, version: Version) -> io::Result<Self> {
        let opened = Instant::now();
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let stream = BufReader::new(stream);
        Ok(Self { stream, address, opened, version, waiting: VecDeque::new(), last_id: 0 })
    }

    /// Waits no longer than this for a packet, in place of [`PATIENCE`].
    ///
    /// # Panics
    /// When it is no time at all.
    pub fn wait_for_at_most(&mut self, limit: Duration) {
        self.stream.get_ref().set_read_timeout(Some(limit)).expect("a limit that is not 0");
    }

    /// The version that it speaks.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Sends bytes. That the server has closed meanwhile is seen by reading.
    ///
    /// # Panics
    /// When the server takes nothing for long.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        match self.stream.get_mut().write_all(bytes.as_ref()) {
            Err(e) if !is_closed(&e) => panic!("the server takes nothing: {e}"),
            _ => {}
        }
    }

    /// The next packet; `None` when the server has closed.
    ///
    /// # Panics
    /// When nothing comes, or what comes is wrong in itself.
    pub fn next_packet(&mut self) -> Option<Packet> {
        self.waiting.pop_front().or_else(|| self.read())
    }

    /// The next packet, not from those that wait.
    fn read(&mut self) -> Option<Packet> {
        match self.try_read() {
            Ok(packet) => Some(packet),
            Err(e) if is_closed(&e) => None,
            Err(e) => panic!("expected a packet, but nothing came: {e}"),
        }
    }

    fn try_read(&mut self) -> io::Result<Packet> {
        let mut one = [0];
        self.stream.read_exact(&mut one)?;
        let [first] = one;
        let (mut length, mut shift) = (0, 0);
        loop {
            self.stream.read_exact(&mut one)?;
            length |= usize::from(one[0] & 0x7F) << shift;
            shift += 7;
            if one[0] < 0x80 {
                break;
            }
            assert!(shift < 28, "a length of more than four bytes");
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Packet::read(first, &body, self.version)
            .unwrap_or_else(|why| panic!("the server sent a wrong packet: {why}")))
    }

    /// The first packet that `wanted` finds something in; those before it are kept.
    ///
    /// # Panics
    /// When the server closes instead.
    pub fn wait_for<T>(&mut self, what: &str, wanted: impl Fn(&Packet) -> Option<T>) -> T {
        if let Some(place) = self.waiting.iter().position(|packet| wanted(packet).is_some()) {
            let packet = self.waiting.remove(place).expect("it was there");
            return wanted(&packet).expect("it was found");
        }
        loop {
            let Some(packet) = self.read() else { panic!("expected {what}, but the server closed") };
            if let Some(found) = wanted(&packet) {
                return found;
            }
            if let Packet::Disconnect { reason, .. } = packet {
                panic!("expected {what}, but came DISCONNECT {reason:#04x}");
            }
            assert!(self.waiting.len() < MOST_WAITING, "expected {what}, but all else comes");
            self.waiting.push_back(packet);
        }
    }

    // Connecting.

    /// Sends CONNECT and takes the CONNACK that accepts it; on another connection if this one has waited too long for it.
    ///
    /// # Panics
    /// When it is refused.
    pub fn connect(&mut self, connect: &Connect) -> ConnAck {
        loop {
            self.send(connect.bytes());
            let is_late = self.is_late();
            match self.next_packet() {
                Some(Packet::ConnAck(ack)) if ack.code == 0 => return ack,
                None if is_late => {
                    let limit = self.stream.get_ref().read_timeout().expect("a socket has one");
                    *self = Self::open(self.address, self.version);
                    self.wait_for_at_most(limit.expect("it was set"));
                }
                other => panic!("expected CONNACK 0x00, but came {}", shown(other.as_ref())),
            }
        }
    }

    /// Whether it is so old that a server may have given up waiting for its CONNECT.
    pub fn is_late(&self) -> bool {
        self.opened.elapsed() >= CONNECT_WITHIN
    }

    /// The next packet, which is CONNACK with this code.
    ///
    /// # Panics
    /// When it is not.
    pub fn expect_connack(&mut self, code: u8) -> ConnAck {
        match self.next_packet() {
            Some(Packet::ConnAck(ack)) if ack.code == code => ack,
            other => panic!("expected CONNACK {code:#04x}, but came {}", shown(other.as_ref())),
        }
    }

    /// CONNACK with one of these codes, then the end; or the end at once.
    ///
    /// # Panics
    /// When something else comes.
    pub fn expect_refused(&mut self, codes: &[u8]) {
        match self.next_packet() {
            None => {}
            Some(Packet::ConnAck(ack)) if codes.contains(&ack.code) => {
                assert!(!ack.session_present, "expected no session present in a refusal: {ack:?}");
                self.expect_closed();
            }
            other => panic!("expected a refusal of {codes:02x?}, but came {}", shown(other.as_ref())),
        }
    }

    // The end.

    /// The server has closed, with nothing before it.
    ///
    /// # Panics
    /// When something comes.
    pub fn expect_closed(&mut self) {
        if let Some(packet) = self.next_packet() {
            panic!("expected the end, but came {packet:?}");
        }
    }

    /// What the server does to a client that breaks the protocol: it closes, and in 5.0 it says one of these codes first.
    ///
    /// # Panics
    /// When it does something else: so that going on is seen at once, it is asked for a PINGRESP.
    pub fn expect_error(&mut self, codes: &[u8]) {
        self.send(packet::frame(packet::PINGREQ, []));
        match self.version {
            Version::V3 => self.expect_closed(),
            Version::V5 => {
                let reason = self.expect_disconnect();
                assert!(
                    codes.contains(&reason),
                    "expected DISCONNECT of {codes:02x?}, but came {reason:#04x}"
                );
            }
        }
    }

    /// DISCONNECT, then the end: its reason.
    ///
    /// # Panics
    /// When something else comes.
    pub fn expect_disconnect(&mut self) -> u8 {
        match self.next_packet() {
            Some(Packet::Disconnect { reason, .. }) => {
                self.expect_closed();
                reason
            }
            other => panic!("expected DISCONNECT, but came {}", shown(other.as_ref())),
        }
    }

    /// Ends the session's connection as a client does that has no more to say.
    ///
    /// # Panics
    /// When the server does not close.
    pub fn disconnect(mut self) {
        self.send(packet::frame(packet::DISCONNECT, []));
        self.drain();
    }

    /// Reads until the server has closed, whatever comes.
    ///
    /// # Panics
    /// When it does not.
    pub fn drain(&mut self) {
        while self.next_packet().is_some() {}
    }

    /// Closes as a network does. What the server sent and was not read is lost.
    pub fn cut(self) {
        // Whether the server was faster does not matter.
        let _ = self.stream.get_ref().shutdown(Shutdown::Both);
    }

    // Subscribing.

    /// A packet identifier that was not used on this connection.
    pub fn new_id(&mut self) -> u16 {
        self.last_id += 1;
        self.last_id
    }

    /// Subscribes to one filter: its code.
    pub fn subscribe(&mut self, filter: &str, options: u8) -> u8 {
        self.subscribe_to(&Properties::none(), &[(filter, options)])[0]
    }

    /// Subscribes to filters: their codes.
    ///
    /// # Panics
    /// When there are not as many as filters.
    pub fn subscribe_to(&mut self, properties: &Properties, filters: &[(&str, u8)]) -> Vec<u8> {
        let id = self.new_id();
        self.send(packet::subscribe(self.version, id, properties, filters));
        let codes = self.wait_for("SUBACK", |packet| match packet {
            Packet::SubAck { id: of, codes, .. } if *of == id => Some(codes.clone()),
            _ => None,
        });
        assert_eq!(codes.len(), filters.len(), "expected one code for each filter");
        codes
    }

    /// Ends a subscription: its code, 0 in 3.1.1.
    ///
    /// # Panics
    /// When there are more codes than one.
    pub fn unsubscribe(&mut self, filter: &str) -> u8 {
        let id = self.new_id();
        self.send(packet::unsubscribe(self.version, id, &[filter]));
        let codes = self.wait_for("UNSUBACK", |packet| match packet {
            Packet::UnsubAck { id: of, codes } if *of == id => Some(codes.clone()),
            _ => None,
        });
        match (self.version, &codes[..]) {
            (Version::V3, []) => 0,
            (Version::V5, [code]) => *code,
            _ => panic!("expected one code, but came {codes:02x?}"),
        }
    }

    // Sending.

    /// Publishes with this QoS, to the end of its exchange: the reason in PUBACK or PUBREC, 0 with QoS 0.
    pub fn publish(&mut self, topic: &str, payload: impl AsRef<[u8]>, qos: u8) -> u8 {
        self.publish_all(Publish::new(topic, payload, qos, 0))
    }

    /// Publishes, to the end of its exchange, with a new identifier unless it has one.
    pub fn publish_all(&mut self, mut publish: Publish) -> u8 {
        if publish.qos > 0 && publish.id == 0 {
            publish.id = self.new_id();
        }
        self.send(publish.bytes(self.version));
        match publish.qos {
            0 => 0,
            1 => self.wait_for_ack(packet::PUBACK, publish.id),
            _ => {
                let reason = self.wait_for_ack(packet::PUBREC, publish.id);
                if reason < 0x80 {
                    self.release(publish.id);
                }
                reason
            }
        }
    }

    /// Sends PUBREL and waits for PUBCOMP: its reason.
    pub fn release(&mut self, id: u16) -> u8 {
        self.send(packet::ack(packet::PUBREL, id));
        self.wait_for_ack(packet::PUBCOMP, id)
    }

    /// Waits for an acknowledgement: its reason.
    pub fn wait_for_ack(&mut self, wanted: u8, id: u16) -> u8 {
        self.wait_for(&format!("an acknowledgement {wanted:#04x} of {id}"), |packet| match packet {
            Packet::Ack { first, id: of, reason, .. } if *first == wanted && *of == id => Some(*reason),
            _ => None,
        })
    }

    // Receiving.

    /// The next message, not acknowledged.
    pub fn take(&mut self) -> Publish {
        self.wait_for("a message", |packet| match packet {
            Packet::Publish(publish) => Some(publish.clone()),
            _ => None,
        })
    }

    /// The next message, acknowledged to the end of its exchange.
    pub fn receive(&mut self) -> Publish {
        let publish = self.take();
        match publish.qos {
            0 => {}
            1 => self.send(packet::ack(packet::PUBACK, publish.id)),
            _ => {
                self.send(packet::ack(packet::PUBREC, publish.id));
                self.wait_for_ack(packet::PUBREL, publish.id);
                self.send(packet::ack(packet::PUBCOMP, publish.id));
            }
        }
        publish
    }

    /// The messages before the one of this payload, which is taken too; all acknowledged.
    pub fn receive_until(&mut self, marker: &str) -> Vec<Publish> {
        let mut before = Vec::new();
        loop {
            let publish = self.receive();
            if publish.payload == marker.as_bytes() {
                return before;
            }
            before.push(publish);
        }
    }

    /// Asks PINGREQ, and has taken in all that came before its PINGRESP.
    pub fn ping(&mut self) {
        self.send(packet::frame(packet::PINGREQ, []));
        self.wait_for("PINGRESP", |packet| matches!(packet, Packet::PingResp).then_some(()));
    }

    /// The next packet of those that have come while others were waited for.
    pub fn next_if_any(&mut self) -> Option<Packet> {
        self.waiting.pop_front()
    }
}

/// Whether an error says that the other side has closed.
fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

fn shown(packet: Option<&Packet>) -> String {
    packet.map_or("the end".to_owned(), |packet| format!("{packet:?}"))
}
