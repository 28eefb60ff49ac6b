//! What a server keeps for a client that is away.

use std::time::Duration;

use ferromq_tests::mqtt::packet::{self, ack, disconnect};
use ferromq_tests::mqtt::properties::{SESSION_EXPIRY, SUBSCRIPTION_ID};
use ferromq_tests::mqtt::{
    BOTH, Connect, Connection, Packet, Properties, Publish, Scene, Setting, Version, let_pass,
};
use ferromq_tests::mqtt_tests;

mqtt_tests! {
    subscriptions_are_resumed,
    options_and_identifiers_of_subscriptions_are_resumed,
    messages_wait_for_a_session,
    an_unacknowledged_message_is_sent_again_on_resume,
    unacknowledged_messages_come_again_in_their_order,
    nothing_is_sent_again_on_a_live_connection,
    a_released_message_is_not_sent_again_but_released_again,
    a_qos_2_identifier_is_remembered_until_its_release,
    a_clean_start_discards_the_old_state,
    a_clean_session_ends_with_its_connection,
    a_clean_start_says_nothing_about_the_end_in_5_0,
    a_session_without_expiry_ends_with_its_connection,
    a_session_is_discarded_when_its_expiry_has_passed,
    the_expiry_begins_anew_with_each_end_of_a_connection,
    disconnect_may_change_the_expiry,
    disconnect_may_not_make_a_session_that_had_no_expiry_outlive,
    a_server_sends_no_expiry_in_disconnect,
    state_lasts_while_the_connection_is_open,
    every_matching_session_gets_a_message_connected_or_not,
    retained_messages_are_no_part_of_a_session,
    sessions_survive_a_restart,
    a_qos_2_identifier_survives_a_restart,
    the_expiry_is_counted_over_a_restart,
}

fn subscriptions_are_resumed(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.resume(version, "c");
        client.subscribe(&topic, 1);
        client.disconnect();
        let mut client = scene.resume(version, "c");
        client.publish(&topic, "x", 1);
        assert_eq!(client.receive().text(), "x");
    }
}

fn options_and_identifiers_of_subscriptions_are_resumed(scene: &Scene) {
    const NO_LOCAL: u8 = 4;
    const AS_PUBLISHED: u8 = 8;
    let topic = scene.topic("a");
    let mut client = scene.resume(Version::V5, "c");
    let id = Properties::none().with(SUBSCRIPTION_ID, 300);
    client.subscribe_to(&id, &[(&topic, 1 | NO_LOCAL | AS_PUBLISHED)]);
    client.disconnect();
    let mut client = scene.resume(Version::V5, "c");
    client.publish(&topic, "own", 1);
    let mut other = scene.client(Version::V5, "other");
    other.publish_all(Publish::new(&topic, "x", 2, 0).retained());
    let got = client.receive();
    assert_eq!((got.text(), got.qos, got.retain), ("x", 1, true));
    assert_eq!(got.properties.numbers(SUBSCRIPTION_ID), [300]);
}

fn messages_wait_for_a_session(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.resume(version, "c");
        client.subscribe(&topic, 2);
        client.disconnect();
        let mut sender = scene.client(version, "s");
        for n in 0..20 {
            sender.publish(&topic, n.to_string(), 1 + n % 2);
        }
        let mut client = scene.resume(version, "c");
        let mut got: Vec<(u8, u8)> = Vec::new();
        for _ in 0..20 {
            let publish = client.receive();
            got.push((publish.text().parse().expect("a number"), publish.qos));
        }
        // Each QoS has an order of its own.
        for qos in [1, 2] {
            let of_qos: Vec<u8> = got.iter().filter(|(_, of)| *of == qos).map(|(n, _)| *n).collect();
            assert_eq!(of_qos, (0..20).filter(|n| 1 + n % 2 == qos).collect::<Vec<_>>());
        }
    }
}

fn an_unacknowledged_message_is_sent_again_on_resume(scene: &Scene) {
    for version in BOTH {
        for qos in [1, 2] {
            let topic = scene.topic("a");
            let name = format!("c{qos}");
            let mut client = scene.resume(version, &name);
            client.subscribe(&topic, qos);
            client.publish(&topic, "x", qos);
            let first = client.take();
            assert!(!first.dup);
            client.cut();
            let mut client = scene.resume(version, &name);
            let again = client.receive();
            assert_eq!(again, Publish { dup: true, ..first });
            client.unsubscribe(&topic);
        }
    }
}

fn unacknowledged_messages_come_again_in_their_order(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.resume(version, "c");
        client.subscribe(&topic, 1);
        for n in 0..5 {
            client.publish(&topic, n.to_string(), 1);
        }
        let first: Vec<Publish> = (0..5).map(|_| client.take()).collect();
        client.cut();
        let mut client = scene.resume(version, "c");
        for publish in first {
            assert_eq!(client.receive(), Publish { dup: true, ..publish });
        }
    }
}

/// Longer than any server's timer that would repeat a message. The marker comes after what would have been repeated.
fn nothing_is_sent_again_on_a_live_connection(scene: &Scene) {
    let topic = scene.topic("a");
    let mut client = scene.client(Version::V5, "c");
    client.subscribe(&topic, 2);
    client.publish(&topic, "one", 1);
    client.publish(&topic, "two", 2);
    let held = [client.take(), client.take()];
    let_pass(Duration::from_secs(4));
    client.publish(&topic, "marker", 1);
    assert_eq!(client.take().text(), "marker", "nothing before it: {held:?} is under way");
}

fn a_released_message_is_not_sent_again_but_released_again(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.resume(version, "c");
        client.subscribe(&topic, 2);
        client.publish(&topic, "x", 2);
        let got = client.take();
        client.send(ack(packet::PUBREC, got.id));
        client.wait_for_ack(packet::PUBREL, got.id);
        client.cut();
        let mut client = scene.resume(version, "c");
        match client.next_packet() {
            Some(Packet::Ack { first: packet::PUBREL, id, .. }) => assert_eq!(id, got.id),
            other => panic!("expected PUBREL {}, but came {other:?}", got.id),
        }
        client.send(ack(packet::PUBCOMP, got.id));
        client.publish(&topic, "marker", 2);
        assert_eq!(client.receive().text(), "marker");
    }
}

/// Sends PUBLISH of QoS 2 without PUBREL, connects again, sends it again: it must come once.
fn not_doubled(mut open: impl FnMut() -> Connection, mut watcher: Connection, topic: &str) {
    let version = watcher.version();
    watcher.subscribe(topic, 2);
    let publish = Publish::new(topic, "once", 2, 77);
    let mut client = open();
    client.send(publish.bytes(version));
    client.wait_for_ack(packet::PUBREC, 77);
    client.cut();
    let mut client = open();
    client.send(publish.clone().again().bytes(version));
    client.wait_for_ack(packet::PUBREC, 77);
    client.release(77);
    // Free again: a new message.
    client.publish_all(Publish { payload: b"twice".to_vec(), ..publish });
    client.publish(topic, "marker", 2);
    let texts: Vec<String> = watcher.receive_until("marker").iter().map(|p| p.text().to_owned()).collect();
    assert_eq!(texts, ["once", "twice"]);
}

fn a_qos_2_identifier_is_remembered_until_its_release(scene: &Scene) {
    for version in BOTH {
        not_doubled(|| scene.resume(version, "c"), scene.client(version, "w"), &scene.topic("a"));
    }
}

fn a_clean_start_discards_the_old_state(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.resume(version, "c");
        client.subscribe(&topic, 1);
        client.disconnect();
        let mut sender = scene.client(version, "s");
        sender.publish(&topic, "old", 1);
        let clean = Connect { clean: true, ..scene.persistent(version, "c") };
        let mut client = scene.connect(&clean);
        sender.publish(&topic, "unheard", 1);
        client.subscribe(&topic, 1);
        sender.publish(&topic, "marker", 1);
        assert_eq!(client.receive_until("marker"), []);
    }
}

fn a_clean_session_ends_with_its_connection(scene: &Scene) {
    let id = scene.id("c");
    let mut client = scene.connect(&Connect::clean(Version::V3, &id));
    client.subscribe(&scene.topic("a"), 1);
    client.disconnect();
    let (_client, ack) = scene.connect_with(&Connect::persistent(Version::V3, &id));
    assert!(!ack.session_present);
}

fn a_clean_start_says_nothing_about_the_end_in_5_0(scene: &Scene) {
    let topic = scene.topic("a");
    let clean = Connect { clean: true, ..scene.persistent(Version::V5, "c") };
    let mut client = scene.connect(&clean);
    client.subscribe(&topic, 1);
    client.disconnect();
    scene.client(Version::V5, "s").publish(&topic, "x", 1);
    let (mut client, ack) = scene.connect_with(&scene.persistent(Version::V5, "c"));
    assert!(ack.session_present);
    assert_eq!(client.receive().text(), "x");
}

fn with_expiry(scene: &Scene, seconds: u32) -> Connect {
    let connect = Connect { clean: false, ..Connect::clean(Version::V5, &scene.id("c")) };
    connect.with(SESSION_EXPIRY, seconds)
}

fn a_session_without_expiry_ends_with_its_connection(scene: &Scene) {
    let plain = Connect { clean: false, ..Connect::clean(Version::V5, &scene.id("c")) };
    for connect in [plain, with_expiry(scene, 0)] {
        for _ in 0..2 {
            let (client, ack) = scene.connect_with(&connect);
            assert!(!ack.session_present);
            client.disconnect();
        }
    }
}

fn a_session_is_discarded_when_its_expiry_has_passed(scene: &Scene) {
    let topic = scene.topic("a");
    let mut client = scene.connect(&with_expiry(scene, 1));
    client.subscribe(&topic, 1);
    client.disconnect();
    let_pass(Duration::from_secs(3));
    let (mut client, ack) = scene.connect_with(&with_expiry(scene, 1));
    assert!(!ack.session_present);
    client.publish(&topic, "unheard", 1);
    client.subscribe(&topic, 1);
    client.publish(&topic, "marker", 1);
    assert_eq!(client.receive_until("marker"), []);
}

/// What the session was told last counts, from the end of the last connection on.
fn the_expiry_begins_anew_with_each_end_of_a_connection(scene: &Scene) {
    scene.connect(&with_expiry(scene, 1)).disconnect();
    scene.connect(&with_expiry(scene, 3600)).disconnect();
    let_pass(Duration::from_secs(3));
    let (_client, ack) = scene.connect_with(&with_expiry(scene, 3600));
    assert!(ack.session_present);
}

fn disconnect_may_change_the_expiry(scene: &Scene) {
    for (seconds, present) in [(0, false), (3600, true)] {
        let mut client = scene.connect(&with_expiry(scene, 60));
        client.send(disconnect(0, &Properties::none().with(SESSION_EXPIRY, seconds)));
        client.expect_closed();
        let (_client, ack) = scene.connect_with(&with_expiry(scene, 60));
        assert_eq!(ack.session_present, present);
    }
}

fn disconnect_may_not_make_a_session_that_had_no_expiry_outlive(scene: &Scene) {
    let mut client = scene.connect(&with_expiry(scene, 0));
    client.send(disconnect(0, &Properties::none().with(SESSION_EXPIRY, 60)));
    client.expect_error(&[0x82]);
    let (_client, ack) = scene.connect_with(&with_expiry(scene, 0));
    assert!(!ack.session_present);
}

/// Reading fails on the property; here is a DISCONNECT for it to look at, where the server sends one.
fn a_server_sends_no_expiry_in_disconnect(scene: &Scene) {
    let mut client = scene.connect(&with_expiry(scene, 60));
    client.send([0x00, 0x00]);
    client.drain();
}

/// Other clients come and go, and the session of a connected client with an expiry of 1 s lasts longer.
fn state_lasts_while_the_connection_is_open(scene: &Scene) {
    let topic = scene.topic("a");
    let mut client = scene.connect(&with_expiry(scene, 1));
    client.subscribe(&topic, 1);
    let mut clean = scene.client(Version::V3, "clean");
    clean.subscribe(&topic, 1);
    let_pass(Duration::from_secs(3));
    scene.client(Version::V5, "s").publish(&topic, "x", 1);
    assert_eq!(client.receive().text(), "x");
    assert_eq!(clean.receive().text(), "x");
}

fn every_matching_session_gets_a_message_connected_or_not(scene: &Scene) {
    let topic = scene.topic("a");
    for version in BOTH {
        let mut away = scene.resume(version, "away");
        away.subscribe(&topic, 1);
        away.disconnect();
    }
    let mut here = BOTH.map(|version| scene.resume(version, "here"));
    here.iter_mut().for_each(|client| assert_eq!(client.subscribe(&topic, 1), 1));
    scene.client(Version::V5, "s").publish(&topic, "x", 1);
    let back = BOTH.map(|version| scene.resume(version, "away"));
    for mut client in here.into_iter().chain(back) {
        assert_eq!(client.receive().text(), "x");
    }
}

fn retained_messages_are_no_part_of_a_session(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.client(version, "c");
        client.publish_all(Publish::new(&topic, "kept", 1, 0).retained());
        client.disconnect();
        let mut client = scene.client(version, "c");
        client.subscribe(&topic, 1);
        assert_eq!(client.receive().text(), "kept");
        client.publish_all(Publish::new(&topic, "", 1, 0).retained());
    }
}

fn connect_to(address: std::net::SocketAddr, connect: &Connect) -> Connection {
    let mut client = Connection::open(address, connect.version);
    client.connect(connect);
    client
}

/// Subscriptions, what waits, what was not acknowledged; retained messages and a will of one whose connection the restart cut.
fn sessions_survive_a_restart(scene: &Scene) {
    let (_dir, server) = scene.own_server(&[Setting::Persistent]);
    let setup = server.setup().clone();
    let topic = scene.topic("a");
    let mut unacknowledged = Vec::new();
    for version in BOTH {
        let mut client = connect_to(server.address(), &scene.persistent(version, "c"));
        client.subscribe(&topic, 1);
        client.publish(&topic, format!("to {version:?}"), 1);
        unacknowledged.push(client.take());
        client.cut();
    }
    let mut sender = connect_to(server.address(), &Connect::clean(Version::V5, "s"));
    sender.publish(&topic, "waits", 1);
    sender.publish_all(Publish::new(&scene.topic("kept"), "kept", 1, 0).retained());
    server.stop();
    let server = setup.start();
    for version in BOTH {
        let mut client = Connection::open(server.address(), version);
        assert!(client.connect(&scene.persistent(version, "c")).session_present);
        let mut got = client.receive_until("waits");
        assert!(!got.is_empty(), "what was not acknowledged comes again");
        got.retain(|publish| publish.dup);
        assert_eq!(got[0].text(), format!("to {version:?}"));
        client.subscribe(&scene.topic("kept"), 1);
        assert_eq!(client.receive().text(), "kept");
    }
    server.stop();
}

fn a_qos_2_identifier_survives_a_restart(scene: &Scene) {
    let (_dir, server) = scene.own_server(&[Setting::Persistent]);
    let setup = server.setup().clone();
    let mut server = Some(server);
    for version in BOTH {
        let topic = scene.topic("a");
        let persistent = scene.persistent(version, "c");
        let mut watcher = connect_to(setup.address(), &scene.persistent(version, "w"));
        watcher.subscribe(&topic, 2);
        let mut client = connect_to(setup.address(), &persistent);
        let publish = Publish::new(&topic, "once", 2, 77);
        client.send(publish.bytes(version));
        client.wait_for_ack(packet::PUBREC, 77);
        server.take().expect("it runs").stop();
        server = Some(setup.start());
        let mut client = connect_to(setup.address(), &persistent);
        client.send(publish.again().bytes(version));
        client.wait_for_ack(packet::PUBREC, 77);
        client.release(77);
        client.publish(&topic, "marker", 2);
        let mut watcher = connect_to(setup.address(), &scene.persistent(version, "w"));
        assert_eq!(watcher.receive_until("marker").len(), 1, "it was sent twice and is one message");
    }
}

fn the_expiry_is_counted_over_a_restart(scene: &Scene) {
    let (_dir, server) = scene.own_server(&[Setting::Persistent]);
    let setup = server.setup().clone();
    let short = Connect {
        properties: Properties::none().with(SESSION_EXPIRY, 1),
        ..scene.persistent(Version::V5, "short")
    };
    let long = scene.persistent(Version::V5, "long");
    for connect in [&short, &long] {
        connect_to(server.address(), connect).disconnect();
    }
    server.stop();
    let_pass(Duration::from_secs(3));
    let server = setup.start();
    for (connect, present) in [(&short, false), (&long, true)] {
        let mut client = Connection::open(server.address(), Version::V5);
        assert_eq!(client.connect(connect).session_present, present);
    }
    server.stop();
}
