//! Silence.

use std::time::{Duration, Instant};

use ferromq_tests::mqtt::packet::{self, frame};
use ferromq_tests::mqtt::properties::{RECEIVE_MAXIMUM, SERVER_KEEP_ALIVE};
use ferromq_tests::mqtt::{BOTH, Connect, Connection, Packet, Scene, Setting, Version, let_pass};
use ferromq_tests::mqtt_tests;

mqtt_tests! {
    a_silent_client_is_disconnected,
    a_silent_client_is_told_why_in_5_0,
    any_packet_breaks_the_silence,
    without_keep_alive_a_client_may_be_silent,
    every_ping_is_answered,
    a_ping_is_answered_while_flow_control_holds_messages_back,
    the_server_may_set_the_keep_alive_and_uses_it,
    without_server_keep_alive_the_clients_value_counts,
}

fn a_silent_client_is_disconnected(scene: &Scene) {
    let open = BOTH.map(|version| {
        let mut client = scene.open(version);
        let begun = Instant::now();
        client.connect(&Connect::clean(version, &scene.id(&format!("{version:?}"))).keep_alive(2));
        (client, begun)
    });
    for (mut client, begun) in open {
        client.drain();
        let passed = begun.elapsed();
        assert!(passed >= Duration::from_secs(2), "the client was given {passed:?} of 2 s and a half more");
    }
}

fn a_silent_client_is_told_why_in_5_0(scene: &Scene) {
    let mut client = scene.connect(&Connect::clean(Version::V5, &scene.id("c")).keep_alive(1));
    assert_eq!(client.expect_disconnect(), 0x8D);
}

/// Six times half of the keep alive. On a machine that stops for seconds the server might be right to end the connection:
/// so the keep alive is long, and packets come in much less.
fn any_packet_breaks_the_silence(scene: &Scene) {
    const KEEP_ALIVE: u16 = 10;
    let topic = scene.topic("a");
    let mut open = BOTH.map(|version| {
        let connect = Connect::clean(version, &scene.id(&format!("{version:?}")));
        scene.connect(&connect.keep_alive(KEEP_ALIVE))
    });
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(u64::from(KEEP_ALIVE) * 1700) {
        let_pass(Duration::from_millis(500));
        open.iter_mut().for_each(|client| assert_eq!(client.publish(&topic, "x", 0), 0));
    }
    open.iter_mut().for_each(Connection::ping);
}

fn without_keep_alive_a_client_may_be_silent(scene: &Scene) {
    for version in BOTH {
        let mut client = scene.client(version, "c");
        let_pass(Duration::from_secs(2));
        client.ping();
    }
}

fn every_ping_is_answered(scene: &Scene) {
    for version in BOTH {
        let mut client = scene.client(version, "c");
        client.send(frame(packet::PINGREQ, []).repeat(100));
        for _ in 0..99 {
            client.wait_for("PINGRESP", |p| matches!(p, Packet::PingResp).then_some(()));
        }
        client.ping();
    }
}

fn a_ping_is_answered_while_flow_control_holds_messages_back(scene: &Scene) {
    let topic = scene.topic("a");
    let mut client = scene.connect(&Connect::clean(Version::V5, &scene.id("c")).with(RECEIVE_MAXIMUM, 1));
    client.subscribe(&topic, 1);
    for n in 0..3 {
        client.publish(&topic, n.to_string(), 1);
    }
    let held = client.take();
    for _ in 0..3 {
        client.ping();
    }
    client.send(packet::ack(packet::PUBACK, held.id));
    assert_eq!(client.receive().text(), "1");
}

/// 10 s is the least that mosquitto can be told.
fn the_server_may_set_the_keep_alive_and_uses_it(scene: &Scene) {
    let (_dir, server) = scene.own_server(&[Setting::MaxKeepAlive(10)]);
    let open = [0, 3600].map(|asked| {
        let mut client = Connection::open(server.address(), Version::V5);
        let connect = Connect::clean(Version::V5, &scene.id(&asked.to_string())).keep_alive(asked);
        let ack = client.connect(&connect);
        assert_eq!(ack.properties.number(SERVER_KEEP_ALIVE), Some(10));
        client
    });
    // Much earlier than the clients asked for.
    open.into_iter().for_each(|mut client| client.drain());
}

fn without_server_keep_alive_the_clients_value_counts(scene: &Scene) {
    let connect = Connect::clean(Version::V5, &scene.id("c")).keep_alive(1);
    let (mut client, ack) = scene.connect_with(&connect);
    assert!(ack.properties.number(SERVER_KEEP_ALIVE).is_none_or(|set| set == 1), "{ack:?}");
    client.drain();
}
