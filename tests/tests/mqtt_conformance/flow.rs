//! How much may be under way, and how large.

use ferromq_tests::mqtt::packet::{self, ack, ack_with, frame};
use ferromq_tests::mqtt::properties::{MAXIMUM_PACKET_SIZE, RECEIVE_MAXIMUM, USER};
use ferromq_tests::mqtt::{BOTH, Connect, Connection, Packet, Publish, Scene, Setting, Version};
use ferromq_tests::mqtt_tests;

mqtt_tests! {
    no_more_than_the_receive_maximum_is_under_way,
    each_end_of_an_exchange_gives_one_place_back,
    qos_0_is_not_held_back,
    a_client_may_use_the_whole_receive_maximum_of_the_server,
    a_client_beyond_the_receive_maximum_is_disconnected,
    messages_under_way_are_limited_in_3_1_1,
    no_packet_is_larger_than_the_client_takes,
    a_message_too_large_for_one_client_reaches_others,
    reasons_are_left_out_of_what_would_be_too_large,
    a_packet_larger_than_the_server_takes_ends_the_connection,
    the_largest_packet_that_the_server_takes_is_taken,
    an_announced_large_packet_is_not_waited_for,
    a_resumed_session_keeps_within_the_new_receive_maximum,
}

fn limited(scene: &Scene, most: u32) -> Connection {
    scene.connect(&Connect::clean(Version::V5, &scene.id("c")).with(RECEIVE_MAXIMUM, most))
}

/// What has come and was not looked at.
fn come(client: &mut Connection) -> Vec<Publish> {
    client.ping();
    let mut got = Vec::new();
    while let Some(packet) = client.next_if_any() {
        match packet {
            Packet::Publish(publish) => got.push(publish),
            other => panic!("expected a message, but came {other:?}"),
        }
    }
    got
}

/// Takes messages until `count` have come, and checks that no more of them come before anything is acknowledged.
fn exactly(client: &mut Connection, count: usize) -> Vec<Publish> {
    let mut got: Vec<Publish> = (0..count).map(|_| client.take()).collect();
    for _ in 0..3 {
        got.extend(come(client));
    }
    assert_eq!(got.len(), count, "expected {count} under way: {got:?}");
    got
}

fn no_more_than_the_receive_maximum_is_under_way(scene: &Scene) {
    for qos in [1, 2] {
        let topic = scene.topic("a");
        let mut client = limited(scene, 3);
        client.subscribe(&topic, qos);
        let mut sender = scene.client(Version::V5, "s");
        for n in 0..10 {
            sender.publish(&topic, n.to_string(), qos);
        }
        exactly(&mut client, 3);
    }
}

fn each_end_of_an_exchange_gives_one_place_back(scene: &Scene) {
    let topic = scene.topic("a");
    let mut client = limited(scene, 1);
    client.subscribe(&topic, 2);
    let mut sender = scene.client(Version::V5, "s");
    for (n, qos) in (0..).zip([1, 2, 2, 1]) {
        sender.publish(&topic, n.to_string(), qos);
    }
    let [first] = &exactly(&mut client, 1)[..] else { unreachable!("one was counted") };
    assert_eq!(first.qos, 1);
    client.send(ack(packet::PUBACK, first.id));
    // PUBREC gives none back, PUBCOMP does.
    let [second] = &exactly(&mut client, 1)[..] else { unreachable!("one was counted") };
    client.send(ack(packet::PUBREC, second.id));
    client.wait_for_ack(packet::PUBREL, second.id);
    exactly(&mut client, 0);
    client.send(ack(packet::PUBCOMP, second.id));
    // PUBREC with an error does.
    let [third] = &exactly(&mut client, 1)[..] else { unreachable!("one was counted") };
    client.send(ack_with(packet::PUBREC, third.id, 0x80));
    let last = client.receive();
    assert_eq!(last.text(), "3");
}

fn qos_0_is_not_held_back(scene: &Scene) {
    let (held, free) = (scene.topic("held"), scene.topic("free"));
    let mut client = limited(scene, 1);
    client.subscribe(&held, 1);
    client.subscribe(&free, 0);
    let mut sender = scene.client(Version::V5, "s");
    for n in 0..3 {
        sender.publish(&held, n.to_string(), 1);
    }
    assert_eq!(client.take().text(), "0");
    sender.publish(&free, "free", 0);
    assert_eq!(client.take().text(), "free");
    assert_eq!(client.subscribe(&scene.topic("other"), 1), 1);
}

/// What a server says, 65 535 if it says nothing. Enough of it to see whether a limit is near.
fn servers_maximum(ack: &ferromq_tests::mqtt::ConnAck) -> u16 {
    ack.properties.number(RECEIVE_MAXIMUM).unwrap_or(65_535) as u16
}

fn a_client_may_use_the_whole_receive_maximum_of_the_server(scene: &Scene) {
    let topic = scene.topic("a");
    let (mut client, ack) = scene.connect_with(&Connect::clean(Version::V5, &scene.id("c")));
    let most = servers_maximum(&ack).min(2000);
    for id in 1..=most {
        client.send(Publish::new(&topic, "x", 2, id).bytes(Version::V5));
    }
    for id in 1..=most {
        client.wait_for_ack(packet::PUBREC, id);
    }
    for id in 1..=most {
        client.release(id);
    }
    client.publish(&topic, "x", 2);
}

fn a_client_beyond_the_receive_maximum_is_disconnected(scene: &Scene) {
    let topic = scene.topic("a");
    let (mut client, ack) = scene.connect_with(&Connect::clean(Version::V5, &scene.id("c")));
    let most = servers_maximum(&ack);
    for id in 1..=most.saturating_add(1) {
        client.send(Publish::new(&topic, "x", 2, id).bytes(Version::V5));
    }
    client.send(frame(packet::PINGREQ, []));
    let end = loop {
        match client.next_packet() {
            Some(Packet::Ack { .. }) => {}
            end => break end,
        }
    };
    match end {
        Some(Packet::Disconnect { reason: 0x93, .. }) => client.expect_closed(),
        // There are no more identifiers than that.
        Some(Packet::PingResp) if most == 65_535 => {}
        other => panic!("expected DISCONNECT 0x93, but came {other:?}"),
    }
}

fn messages_under_way_are_limited_in_3_1_1(scene: &Scene) {
    const MOST: u16 = 5;
    let (_dir, server) = scene.own_server(&[Setting::MaxInflight(MOST)]);
    let mut client = Connection::open(server.address(), Version::V3);
    client.connect(&Connect::clean(Version::V3, "c"));
    client.subscribe("a/b", 1);
    let mut sender = Connection::open(server.address(), Version::V3);
    sender.connect(&Connect::clean(Version::V3, "s"));
    for n in 0..20 {
        sender.publish("a/b", n.to_string(), 1);
    }
    let held = exactly(&mut client, MOST.into());
    held.iter().for_each(|publish| client.send(ack(packet::PUBACK, publish.id)));
    for n in MOST..20 {
        assert_eq!(client.receive().text(), n.to_string());
    }
}

/// The smaller ones come, in their order; the larger ones are as if they had been sent.
fn no_packet_is_larger_than_the_client_takes(scene: &Scene) {
    const MOST: u32 = 100;
    let topic = scene.topic("a");
    let connect = Connect::clean(Version::V5, &scene.id("c"));
    let mut client = scene.connect(&connect.with(MAXIMUM_PACKET_SIZE, MOST).with(RECEIVE_MAXIMUM, 1));
    let mut sender = scene.client(Version::V5, "s");
    for qos in 0..=2 {
        client.subscribe(&topic, qos);
        sender.publish(&topic, [b'x'; 200], qos);
        let largest = Publish::new(&topic, "", qos, 1).bytes(Version::V5).len();
        sender.publish(&topic, vec![b'y'; MOST as usize - largest], qos);
        sender.publish(&topic, vec![b'z'; MOST as usize - largest + 1], qos);
        sender.publish_all(Publish::new(&topic, "x", qos, 0).with(USER, ("name", &*"v".repeat(100))));
        sender.publish(&topic, "marker", qos);
        let got = client.receive_until("marker");
        let [fits] = &got[..] else { panic!("expected one, but came {got:?}") };
        assert!(fits.payload.starts_with(b"y"));
    }
}

fn a_message_too_large_for_one_client_reaches_others(scene: &Scene) {
    let topic = scene.topic("a");
    let connect = Connect::clean(Version::V5, &scene.id("small"));
    let mut small = scene.connect(&connect.with(MAXIMUM_PACKET_SIZE, 50));
    small.subscribe(&topic, 1);
    let mut others = BOTH.map(|version| scene.client(version, &format!("{version:?}")));
    others.iter_mut().for_each(|client| assert_eq!(client.subscribe(&topic, 1), 1));
    others[0].publish(&topic, [b'x'; 100], 1);
    for client in &mut others {
        assert_eq!(client.receive().payload.len(), 100);
    }
}

/// No packet of a session full of reasons to explain is larger than the client takes.
fn reasons_are_left_out_of_what_would_be_too_large(scene: &Scene) {
    const MOST: u32 = 20;
    let connect = Connect::clean(Version::V5, &scene.id("c"));
    let mut client = scene.connect(&connect.with(MAXIMUM_PACKET_SIZE, MOST));
    client.publish(&scene.topic("nobody"), "x", 1);
    client.publish(&scene.topic("nobody"), "x", 2);
    client.unsubscribe(&scene.topic("nothing"));
    client.send(ack(packet::PUBREL, 4242));
    client.wait_for("PUBCOMP", |packet| match packet {
        Packet::Ack { first: packet::PUBCOMP, id: 4242, properties, .. } => {
            assert!(properties.section().len() <= MOST as usize - 5);
            Some(())
        }
        _ => None,
    });
    client.send([0x00, 0x00]);
    match client.next_packet() {
        None => {}
        Some(Packet::Disconnect { properties, .. }) => {
            assert!(properties.section().len() <= MOST as usize - 3);
        }
        other => panic!("expected the end, but came {other:?}"),
    }
}

const SERVERS_MOST: u32 = 2000;

fn a_packet_larger_than_the_server_takes_ends_the_connection(scene: &Scene) {
    let (_dir, server) = scene.own_server(&[Setting::MaxPacketSize(SERVERS_MOST)]);
    for version in BOTH {
        let mut client = Connection::open(server.address(), version);
        let ack = client.connect(&Connect::clean(version, "c"));
        if version == Version::V5 {
            assert_eq!(ack.properties.number(MAXIMUM_PACKET_SIZE), Some(SERVERS_MOST));
        }
        client.send(Publish::new("a/b", vec![0; SERVERS_MOST as usize], 1, 1).bytes(version));
        client.expect_error(&[0x95]);
    }
}

fn the_largest_packet_that_the_server_takes_is_taken(scene: &Scene) {
    let (_dir, server) = scene.own_server(&[Setting::MaxPacketSize(SERVERS_MOST)]);
    for version in BOTH {
        let mut client = Connection::open(server.address(), version);
        client.connect(&Connect::clean(version, "c"));
        let rest = Publish::new("a/b", "", 1, 1).bytes(version).len() + 1;
        client.publish("a/b", vec![0; SERVERS_MOST as usize - rest], 1);
    }
}

/// It is refused by its length, before its body has come.
fn an_announced_large_packet_is_not_waited_for(scene: &Scene) {
    let (_dir, server) = scene.own_server(&[Setting::MaxPacketSize(SERVERS_MOST)]);
    for version in BOTH {
        let mut client = Connection::open(server.address(), version);
        client.connect(&Connect::clean(version, "c"));
        client.send([&[packet::PUBLISH][..], &packet::variable(268_435_455), b"\0\x03a/b"].concat());
        client.drain();
        // Nor does a first packet wait that no CONNECT can be.
        let mut client = Connection::open(server.address(), version);
        client.send([&[packet::CONNECT][..], &packet::variable(268_435_455)].concat());
        client.drain();
    }
}

fn a_resumed_session_keeps_within_the_new_receive_maximum(scene: &Scene) {
    let topic = scene.topic("a");
    let mut client = scene.resume(Version::V5, "c");
    client.subscribe(&topic, 1);
    for n in 0..5 {
        client.publish(&topic, n.to_string(), 1);
    }
    (0..5).for_each(|_| drop(client.take()));
    client.cut();
    let mut client = scene.connect(&scene.persistent(Version::V5, "c").with(RECEIVE_MAXIMUM, 2));
    for publish in exactly(&mut client, 2) {
        client.send(ack(packet::PUBACK, publish.id));
    }
    exactly(&mut client, 2);
}
