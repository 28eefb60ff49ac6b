//! MQTT over crashes: ours is killed by SIGKILL under traffic, again and again, and a ledger is kept of what it acknowledged.
//!
//! Publishers of QoS 1 and 2 and subscribers, all with sessions that persist, do what clients must: what was not acknowledged is
//! sent again with DUP and its identifier, a message of QoS 2 that was received is released and not sent again. Then:
//! * every message that was acknowledged comes to every subscriber;
//! * no message of QoS 2 comes twice where it is delivered with QoS 2;
//! * messages come in the order in which their publisher sent them, but for repetitions of QoS 1;
//! * every session is present after every start;
//! * the last retained message that was acknowledged, or a later one, is there after every start;
//! * the will of a client whose connection a crash cut comes.
//!
//! Mosquitto would lose what it acknowledged, as it writes its state when it ends and now and then; it also sends messages
//! again under other identifiers after a restart. So it runs on, and the network in front of it breaks in place of it: this
//! shows that the ledger is right. Now and then it hands messages of QoS 1 to a subscriber of QoS 2 out of order when that is
//! back, so the order is asked of ours alone.

mod recovery;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use ferromq_tests::mqtt::connection::PATIENCE;
use ferromq_tests::mqtt::packet::{PUBACK, PUBCOMP, PUBREC, PUBREL, ack};
use ferromq_tests::mqtt::properties::WILL_DELAY;
use ferromq_tests::mqtt::{
    BOTH, Connect, Connection, MqttServer, Packet, Peer, Publish, Scene, Setting, Version, Will,
};
use ferromq_tests::random::seed;
use ferromq_tests::{Proxy, Random, mqtt_tests};

mqtt_tests! {
    nothing_acknowledged_is_lost_and_no_qos_2_message_doubled_over_crashes,
}

const ROUNDS: u64 = 20;
/// Acknowledgements that wait to be counted: behind them, publishers wait.
const UNREAD_ACKS: usize = 1 << 10;
const WILLS: &str = "crash-wills/w";

/// Connects; `None` when the server is not there any more.
fn connect(address: SocketAddr, connect: &Connect, is_first: bool) -> Option<Connection> {
    loop {
        let mut connection = Connection::try_open(address, connect.version).ok()?;
        connection.send(connect.bytes());
        let is_late = connection.is_late();
        match connection.next_packet() {
            Some(Packet::ConnAck(ack)) => {
                assert_eq!((ack.code, ack.session_present), (0, !is_first), "the session of {connect:?}");
                return Some(connection);
            }
            // It was held up, and the server did not wait for it.
            None if is_late => {}
            None => return None,
            other => panic!("expected CONNACK, but came {other:?}"),
        }
    }
}

/// Sends one message after the other, over all rounds.
struct Publisher {
    version: Version,
    qos: u8,
    /// The message under way.
    number: u64,
    /// Whether it was sent before.
    again: bool,
    /// Whether PUBREC has come for it.
    received: bool,
}

impl Publisher {
    fn name(&self) -> String {
        format!("p{}q{}", self.version.level(), self.qos)
    }

    fn persistent(&self) -> Connect {
        Connect::persistent(self.version, &self.name())
    }

    fn begin(&self, address: SocketAddr) {
        connect(address, &self.persistent(), true).expect("the server runs").disconnect();
    }

    /// Every seventh is retained too.
    fn message(&self) -> Publish {
        let id = 1 + (self.number % 1000) as u16;
        let topic = format!("crash/{}", self.name());
        let mut publish = Publish::new(&topic, self.number.to_string(), self.qos, id);
        publish.retain = self.number.is_multiple_of(7);
        publish.dup = self.again;
        publish
    }

    /// Sends until the connection breaks, or all before `end` is acknowledged.
    fn run(&mut self, address: SocketAddr, end: Option<u64>, acks: &SyncSender<()>) {
        let Some(mut connection) = connect(address, &self.persistent(), false) else { return };
        while end.is_none_or(|end| self.number < end) {
            let message = self.message();
            if !self.received {
                connection.send(message.bytes(self.version));
                self.again = true;
                match connection.next_packet() {
                    None => return,
                    Some(Packet::Ack { first: PUBACK, id, reason, .. }) if self.qos == 1 => {
                        assert!(id == message.id && reason < 0x80);
                    }
                    Some(Packet::Ack { first: PUBREC, id, reason, .. }) if self.qos == 2 => {
                        assert!(id == message.id && reason < 0x80);
                        self.received = true;
                    }
                    other => panic!("expected an acknowledgement, but came {other:?}"),
                }
            }
            if self.received {
                connection.send(ack(PUBREL, message.id));
                match connection.next_packet() {
                    None => return,
                    Some(Packet::Ack { first: PUBCOMP, id, .. }) => assert_eq!(id, message.id),
                    other => panic!("expected PUBCOMP, but came {other:?}"),
                }
            }
            self.number += 1;
            self.again = false;
            self.received = false;
            // Nobody listens any more once the server is being ended.
            let _ = acks.send(());
        }
        connection.disconnect();
    }
}

/// Takes all messages, over all rounds.
struct Subscriber {
    version: Version,
    qos: u8,
    /// By topic, with the QoS of each, in the order in which they came.
    got: BTreeMap<String, Vec<(u64, u8)>>,
    /// Identifiers of QoS 2 that are not released.
    held: BTreeSet<u16>,
}

impl Subscriber {
    fn persistent(&self) -> Connect {
        Connect::persistent(self.version, &format!("s{}q{}", self.version.level(), self.qos))
    }

    fn begin(&self, address: SocketAddr) {
        let mut connection = connect(address, &self.persistent(), true).expect("the server runs");
        assert_eq!(connection.subscribe("crash/+", self.qos), self.qos);
        connection.disconnect();
    }

    /// Takes until the connection breaks, or the last messages have come.
    fn run(&mut self, address: SocketAddr, last: Option<&BTreeMap<String, u64>>) {
        let Some(mut connection) = connect(address, &self.persistent(), false) else { return };
        let is_done = |got: &BTreeMap<String, Vec<(u64, u8)>>, held: &BTreeSet<u16>| {
            last.is_some_and(|last| {
                held.is_empty()
                    && last.iter().all(|(topic, last)| {
                        got.get(topic).is_some_and(|got| got.iter().any(|(number, _)| number == last))
                    })
            })
        };
        while !is_done(&self.got, &self.held) {
            match connection.next_packet() {
                None => return,
                Some(Packet::Publish(publish)) => {
                    let number = publish.text().parse().expect("a number");
                    // A repetition of QoS 2 that was received already is acknowledged only.
                    if publish.qos < 2 || self.held.insert(publish.id) {
                        self.got.entry(publish.topic).or_default().push((number, publish.qos));
                    }
                    connection.send(ack(if publish.qos == 2 { PUBREC } else { PUBACK }, publish.id));
                }
                Some(Packet::Ack { first: PUBREL, id, .. }) => {
                    self.held.remove(&id);
                    connection.send(ack(PUBCOMP, id));
                }
                other => panic!("expected a message, but came {other:?}"),
            }
        }
        connection.disconnect();
    }

    /// What has come of these topics, against what was acknowledged.
    fn check(&self, last: &BTreeMap<String, u64>, is_ordered: bool) {
        for (topic, last) in last {
            let got = &self.got[topic];
            let mut firsts = Vec::new();
            let mut seen = BTreeSet::new();
            for (number, qos) in got {
                if seen.insert(*number) {
                    firsts.push(*number);
                } else {
                    assert_eq!(*qos, 1, "{topic}: {number} came twice with QoS {qos}");
                }
            }
            let lost: Vec<u64> = (0..=*last).filter(|number| !seen.contains(number)).collect();
            assert_eq!(lost, [0; 0], "{topic} to QoS {}: acknowledged and lost", self.qos);
            if is_ordered {
                let turned = firsts.windows(2).find(|pair| pair[0] > pair[1]);
                assert_eq!(turned, None, "{topic} to QoS {}: out of order", self.qos);
            }
        }
    }
}

/// The retained message of each publisher is the last acknowledged one, or a later one that may not be acknowledged yet.
fn check_retained(address: SocketAddr, publishers: &[Publisher]) {
    let mut connection = connect(address, &Connect::clean(Version::V5, "retained"), true).expect("it runs");
    for publisher in publishers.iter().filter(|publisher| publisher.number > 0) {
        let topic = publisher.message().topic;
        connection.subscribe(&topic, 1);
        // A message that the crash overtook may come too, on this topic or on the one before.
        let kept = connection.wait_for("a retained message", |packet| match packet {
            Packet::Publish(publish) if publish.retain && publish.topic == topic => Some(publish.clone()),
            _ => None,
        });
        connection.send(ack(PUBACK, kept.id));
        let kept: u64 = kept.text().parse().expect("a number");
        let acknowledged = (publisher.number - 1) / 7 * 7;
        assert!(
            kept >= acknowledged && kept <= publisher.number,
            "{} is kept of {}, which had {acknowledged} acknowledged",
            kept,
            publisher.name()
        );
    }
    connection.disconnect();
}

/// Ends all connections as a crash does, and brings back a server. No connection gets through to it yet.
fn crash(server: MqttServer, network: &Proxy) -> MqttServer {
    match server.peer() {
        Peer::Mosquitto => {
            network.refuse();
            server
        }
        Peer::Ferromq => {
            let setup = server.setup().clone();
            server.kill();
            network.refuse();
            setup.start()
        }
    }
}

fn nothing_acknowledged_is_lost_and_no_qos_2_message_doubled_over_crashes(scene: &Scene) {
    let mut random = Random::new(seed("mqtt"));
    let (_dir, mut server) = scene.own_server(&[Setting::Persistent]);
    let network = Proxy::to(server.address());
    let address = network.address();
    let kinds = || BOTH.into_iter().flat_map(|version| [1, 2].map(|qos| (version, qos)));
    let publisher = |(version, qos)| Publisher { version, qos, number: 0, again: false, received: false };
    let subscriber =
        |(version, qos)| Subscriber { version, qos, got: BTreeMap::new(), held: BTreeSet::new() };
    let mut publishers: Vec<Publisher> = kinds().map(publisher).collect();
    let mut subscribers: Vec<Subscriber> = kinds().map(subscriber).collect();
    publishers.iter().for_each(|publisher| publisher.begin(address));
    subscribers.iter().for_each(|subscriber| subscriber.begin(address));
    let heir = Connect::persistent(Version::V5, "heir");
    connect(address, &heir, true).expect("it runs").subscribe(WILLS, 1);

    for round in 0..ROUNDS {
        let wanted = if random.one_in(3) { random.within(1..20) } else { random.within(1..1000) };
        let will = Will::new(WILLS, &round.to_string()).with(WILL_DELAY, 1);
        let testator = Connect::persistent(Version::V5, &format!("testator{round}")).will(will);
        let _testator = connect(address, &testator, true).expect("it runs");
        let (told, acknowledged) = sync_channel(UNREAD_ACKS);
        server = thread::scope(|scope| {
            for publisher in &mut publishers {
                let told = told.clone();
                scope.spawn(move || publisher.run(address, None, &told));
            }
            for subscriber in &mut subscribers {
                scope.spawn(move || subscriber.run(address, None));
            }
            drop(told);
            for seen in 0..wanted {
                if let Err(error) = acknowledged.recv_timeout(PATIENCE) {
                    panic!("after {seen} of {wanted} acknowledgements: {error}\n{}", server.log_tail());
                }
            }
            let server = crash(server, &network);
            drop(acknowledged);
            server
        });
        network.pass();
        check_retained(address, &publishers);
    }

    // Everything under way is finished, and one message more behind it.
    let ends: Vec<u64> = publishers.iter().map(|publisher| publisher.number + 2).collect();
    let last: BTreeMap<String, u64> =
        publishers.iter().zip(&ends).map(|(publisher, end)| (publisher.message().topic, end - 1)).collect();
    let (told, _acknowledged) = sync_channel(UNREAD_ACKS);
    thread::scope(|scope| {
        for (publisher, end) in publishers.iter_mut().zip(&ends) {
            let told = told.clone();
            scope.spawn(move || publisher.run(address, Some(*end), &told));
        }
        for subscriber in &mut subscribers {
            let last = &last;
            scope.spawn(move || subscriber.run(address, Some(last)));
        }
    });
    for subscriber in &subscribers {
        subscriber.check(&last, server.peer() == Peer::Ferromq);
    }
    let mut heir = connect(address, &heir, false).expect("it runs");
    let wills: BTreeSet<String> = (0..ROUNDS).map(|_| heir.receive().text().to_owned()).collect();
    assert_eq!(wills, (0..ROUNDS).map(|round| round.to_string()).collect(), "each will once");
    let acknowledged: u64 = ends.iter().sum();
    println!("{acknowledged} messages over {ROUNDS} crashes, each to {} sessions", subscribers.len());
    server.stop();
}
