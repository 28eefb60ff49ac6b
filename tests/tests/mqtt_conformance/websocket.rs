//! MQTT over WebSocket, frames by hand.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use ferromq_tests::mqtt::connection::PATIENCE;
use ferromq_tests::mqtt::packet::{self, frame};
use ferromq_tests::mqtt::{BOTH, Connect, Publish, Scene, Version};
use ferromq_tests::mqtt_tests;

mqtt_tests! {
    the_subprotocol_mqtt_is_selected,
    packets_go_in_binary_frames,
    a_text_frame_ends_the_connection,
    frames_and_packets_are_unrelated,
    fragments_are_put_together,
    pings_of_websocket_are_answered,
    a_close_frame_ends_the_connection_and_the_will_goes_out,
}

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8A;

struct WebSocket {
    stream: BufReader<TcpStream>,
    /// Lines of the server's answer to the handshake.
    answer: Vec<String>,
    /// What came in binary frames and was not taken.
    bytes: Vec<u8>,
}

impl WebSocket {
    fn open(scene: &Scene) -> Self {
        let mut stream = TcpStream::connect(scene.server().web_address()).expect("it accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        stream
            .write_all(
                b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                  Sec-WebSocket-Protocol: mqtt\r\n\r\n",
            )
            .expect("it takes bytes");
        let mut stream = BufReader::new(stream);
        let mut answer = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).expect("a line");
            match line.trim_end() {
                "" => break,
                line => answer.push(line.to_ascii_lowercase()),
            }
        }
        assert!(answer[0].starts_with("http/1.1 101"), "{answer:?}");
        Self { stream, answer, bytes: Vec::new() }
    }

    /// A frame of a client: masked, with a mask that changes nothing.
    fn send(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..126 => frame.push(0x80 | length as u8),
            length => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        // That the server has closed is seen by reading.
        let _ = self.stream.get_mut().write_all(&frame);
    }

    /// The next frame; `None` when the server has closed.
    fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.read(&mut head)?;
        let mut length = usize::from(head[1]);
        assert!(length < 0x80, "a server masks nothing");
        if length == 126 {
            let mut two = [0; 2];
            self.read(&mut two)?;
            length = u16::from_be_bytes(two).into();
        }
        assert_ne!(length, 127, "more than any test asks for");
        let mut payload = vec![0; length];
        self.read(&mut payload)?;
        Some((head[0], payload))
    }

    fn read(&mut self, into: &mut [u8]) -> Option<()> {
        match self.stream.read_exact(into) {
            Ok(()) => Some(()),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("expected a frame, but nothing came")
            }
            Err(_) => None,
        }
    }

    /// Bytes of packets.
    fn take(&mut self, length: usize) -> Vec<u8> {
        while self.bytes.len() < length {
            match self.next() {
                Some((BINARY, payload)) => self.bytes.extend(payload),
                other => panic!("expected a binary frame, but came {other:02x?}"),
            }
        }
        self.bytes.drain(..length).collect()
    }

    /// A packet whose length takes one byte.
    fn packet(&mut self) -> Vec<u8> {
        let head = self.take(2);
        let body = self.take(head[1].into());
        [head, body].concat()
    }

    fn connect(&mut self, connect: &Connect) {
        self.send(BINARY, &connect.bytes());
        let ack = self.packet();
        assert_eq!((ack[0], ack[3]), (packet::CONNACK, 0), "{ack:02x?}");
    }
}

fn the_subprotocol_mqtt_is_selected(scene: &Scene) {
    let socket = WebSocket::open(scene);
    let selected = |line: &String| {
        line.split_once(':')
            .is_some_and(|(name, value)| name == "sec-websocket-protocol" && value.trim() == "mqtt")
    };
    assert_eq!(socket.answer.iter().filter(|line| selected(line)).count(), 1, "{:?}", socket.answer);
}

fn packets_go_in_binary_frames(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut socket = WebSocket::open(scene);
        socket.connect(&Connect::clean(version, &scene.id("c")));
        socket.send(
            BINARY,
            &packet::subscribe(version, 1, &ferromq_tests::mqtt::Properties::none(), &[(&topic, 0)]),
        );
        assert_eq!(socket.packet()[0], packet::SUBACK);
        scene.client(version, "s").publish(&topic, "hello", 0);
        assert_eq!(socket.packet(), Publish::new(&topic, "hello", 0, 0).bytes(version));
    }
}

fn a_text_frame_ends_the_connection(scene: &Scene) {
    let mut socket = WebSocket::open(scene);
    socket.connect(&Connect::clean(Version::V5, &scene.id("c")));
    socket.send(TEXT, &frame(packet::PINGREQ, []));
    while let Some((first, payload)) = socket.next() {
        assert_ne!(
            payload,
            frame(packet::PINGRESP, []),
            "expected the end, but came an answer in {first:#04x}"
        );
        if first == CLOSE {
            break;
        }
    }
}

fn frames_and_packets_are_unrelated(scene: &Scene) {
    for version in BOTH {
        let bytes =
            [Connect::clean(version, &scene.id("c")).bytes(), frame(packet::PINGREQ, []).repeat(2)].concat();
        // All in one, and one byte in each.
        for size in [bytes.len(), 1, 3] {
            let mut socket = WebSocket::open(scene);
            bytes.chunks(size).for_each(|part| socket.send(BINARY, part));
            assert_eq!(socket.packet()[0], packet::CONNACK);
            for _ in 0..2 {
                assert_eq!(socket.packet(), frame(packet::PINGRESP, []));
            }
        }
    }
}

fn fragments_are_put_together(scene: &Scene) {
    const MORE: u8 = 0x02;
    const LAST: u8 = 0x80;
    let mut socket = WebSocket::open(scene);
    let bytes = Connect::clean(Version::V5, &scene.id("c")).bytes();
    socket.send(MORE, &bytes[..5]);
    socket.send(LAST, &bytes[5..]);
    assert_eq!(socket.packet()[0], packet::CONNACK);
}

fn pings_of_websocket_are_answered(scene: &Scene) {
    let mut socket = WebSocket::open(scene);
    socket.connect(&Connect::clean(Version::V5, &scene.id("c")));
    socket.send(PING, b"there?");
    assert_eq!(socket.next(), Some((PONG, b"there?".to_vec())));
}

fn a_close_frame_ends_the_connection_and_the_will_goes_out(scene: &Scene) {
    let topic = scene.topic("will");
    let mut watcher = scene.client(Version::V5, "w");
    watcher.subscribe(&topic, 1);
    let mut socket = WebSocket::open(scene);
    let will = ferromq_tests::mqtt::Will::new(&topic, "will");
    socket.connect(&Connect::clean(Version::V5, &scene.id("c")).will(will));
    socket.send(CLOSE, &1000u16.to_be_bytes());
    while socket.next().is_some() {}
    assert_eq!(watcher.receive().text(), "will");
}
