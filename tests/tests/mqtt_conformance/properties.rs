//! Properties of 5.0, reason codes, topic aliases.

use ferromq_tests::mqtt::packet::{self, ack_with, counted, disconnect, frame, variable};
use ferromq_tests::mqtt::properties::{
    CONTENT_TYPE, MAXIMUM_QOS, MESSAGE_EXPIRY, RECEIVE_MAXIMUM, SERVER_KEEP_ALIVE, SESSION_EXPIRY,
    SUBSCRIPTION_ID, TOPIC_ALIAS, TOPIC_ALIAS_MAXIMUM, USER, WILL_DELAY,
};
use ferromq_tests::mqtt::{Connect, Connection, Properties, Publish, Scene, Version, Will};
use ferromq_tests::mqtt_tests;

mqtt_tests! {
    an_unknown_property_ends_the_connection,
    a_property_of_another_packet_ends_the_connection,
    a_property_twice_ends_the_connection,
    a_property_section_that_is_too_long_ends_the_connection,
    a_property_cut_by_the_end_of_its_section_ends_the_connection,
    properties_of_a_will_are_checked,
    a_reason_code_of_another_packet_ends_the_connection,
    a_client_may_send_every_reason_code_of_its_acknowledgements,
    a_topic_alias_stands_for_its_topic,
    a_topic_alias_can_be_set_anew,
    a_topic_alias_of_0_or_too_large_ends_the_connection,
    an_unknown_topic_alias_ends_the_connection,
    topic_aliases_end_with_the_connection,
    a_server_uses_aliases_only_as_far_as_the_client_takes_them,
    topic_alias_and_subscription_identifier_are_not_passed_on,
    stored_messages_have_their_topic_not_an_alias,
}

const WRONG: &[u8] = &[0x81, 0x82];

/// A PUBLISH whose section of properties is these bytes.
fn publish_with(scene: &Scene, section: &[u8]) -> Vec<u8> {
    let body = [counted(scene.topic("a")), variable(section.len()), section.to_vec(), b"x".to_vec()];
    frame(packet::PUBLISH, body.concat())
}

fn is_refused(scene: &Scene, what: &str, bytes: &[u8]) {
    println!("{what}");
    let mut client = scene.client(Version::V5, "bad");
    client.send(bytes);
    client.expect_error(WRONG);
}

fn an_unknown_property_ends_the_connection(scene: &Scene) {
    for id in [0x00, 0x04, 0x0A, 0x2B, 0x7F] {
        is_refused(scene, "PUBLISH", &publish_with(scene, &[id, 0]));
    }
    is_refused(scene, "DISCONNECT", &frame(packet::DISCONNECT, [0, 2, 0x7F, 0]));
}

fn a_property_of_another_packet_ends_the_connection(scene: &Scene) {
    for section in [
        Properties::none().with(SESSION_EXPIRY, 1),
        Properties::none().with(RECEIVE_MAXIMUM, 1),
        Properties::none().with(WILL_DELAY, 1),
        Properties::none().with(MAXIMUM_QOS, 1),
    ] {
        is_refused(scene, "PUBLISH", &publish_with(scene, &section.section()[1..]));
    }
    let content = Properties::none().with(CONTENT_TYPE, "t");
    is_refused(scene, "SUBSCRIBE", &packet::subscribe(Version::V5, 1, &content, &[("a", 0)]));
    is_refused(scene, "DISCONNECT", &disconnect(0, &Properties::none().with(SERVER_KEEP_ALIVE, 1)));
    let mut client = scene.open(Version::V5);
    client.send(Connect::clean(Version::V5, &scene.id("c")).with(MESSAGE_EXPIRY, 1).bytes());
    client.expect_refused(WRONG);
}

fn a_property_twice_ends_the_connection(scene: &Scene) {
    let once = Properties::none().with(CONTENT_TYPE, "t");
    let twice = once.with(CONTENT_TYPE, "t").section();
    is_refused(scene, "Content Type", &publish_with(scene, &twice[1..]));
    let twice = Properties::none().with(MESSAGE_EXPIRY, 5).with(MESSAGE_EXPIRY, 5).section();
    is_refused(scene, "Message Expiry", &publish_with(scene, &twice[1..]));
}

fn a_property_section_that_is_too_long_ends_the_connection(scene: &Scene) {
    let body = [counted(scene.topic("a")), vec![100], b"x".to_vec()].concat();
    is_refused(scene, "longer than the packet", &frame(packet::PUBLISH, body));
    let body = [counted(scene.topic("a")), vec![0xFF, 0xFF, 0xFF, 0xFF, 0x7F]].concat();
    is_refused(scene, "a length of five bytes", &frame(packet::PUBLISH, body));
}

/// What follows is the payload, and not the rest of the property.
fn a_property_cut_by_the_end_of_its_section_ends_the_connection(scene: &Scene) {
    is_refused(scene, "Message Expiry", &publish_with(scene, &[MESSAGE_EXPIRY, 0]));
    is_refused(scene, "User Property", &publish_with(scene, &[USER, 0, 1, b'a', 0]));
    is_refused(scene, "Content Type", &publish_with(scene, &[CONTENT_TYPE, 0, 1]));
}

fn properties_of_a_will_are_checked(scene: &Scene) {
    for will in [
        Will::new(&scene.topic("w"), "x").with(SESSION_EXPIRY, 1),
        Will::new(&scene.topic("w"), "x").with(WILL_DELAY, 1).with(WILL_DELAY, 1),
        Will::new(&scene.topic("w"), "x").with(TOPIC_ALIAS, 1),
    ] {
        let mut client = scene.open(Version::V5);
        client.send(Connect::clean(Version::V5, &scene.id("c")).will(will).bytes());
        client.expect_refused(WRONG);
    }
}

fn a_reason_code_of_another_packet_ends_the_connection(scene: &Scene) {
    for (first, reason) in [
        (packet::PUBACK, 0x92),
        (packet::PUBACK, 0x01),
        (packet::PUBREC, 0x92),
        (packet::PUBREL, 0x80),
        (packet::PUBCOMP, 0x10),
    ] {
        is_refused(scene, &format!("{first:#04x} {reason:#04x}"), &ack_with(first, 1, reason));
    }
    // The will tells whether it was taken for an end without one.
    let topic = scene.topic("w");
    let mut watcher = scene.client(Version::V5, "w");
    watcher.subscribe(&topic, 1);
    for reason in [0x01, 0x8E, 0x05] {
        let connect = Connect::clean(Version::V5, &scene.id("c")).will(Will::new(&topic, "will"));
        let mut client = scene.connect(&connect);
        client.send(disconnect(reason, &Properties::none()));
        client.drain();
        watcher.publish(&topic, "marker", 1);
        assert_eq!(watcher.receive().text(), "will", "DISCONNECT {reason:#04x}");
        watcher.receive();
    }
}

fn a_client_may_send_every_reason_code_of_its_acknowledgements(scene: &Scene) {
    let topic = scene.topic("a");
    let mut client = scene.client(Version::V5, "c");
    client.subscribe(&topic, 2);
    for reason in [0x00, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99] {
        client.publish(&topic, "x", 1);
        let got = client.take();
        client.send(ack_with(packet::PUBACK, got.id, reason));
        client.publish(&topic, "x", 2);
        let got = client.take();
        client.send(ack_with(packet::PUBREC, got.id, reason));
        if reason < 0x80 {
            client.wait_for_ack(packet::PUBREL, got.id);
            client.send(ack_with(packet::PUBCOMP, got.id, 0x92));
        }
    }
    client.ping();
}

/// A client and how many aliases the server takes from it.
fn with_aliases(scene: &Scene) -> (Connection, u32) {
    let (client, ack) = scene.connect_with(&Connect::clean(Version::V5, &scene.id("c")));
    let most = ack.properties.number(TOPIC_ALIAS_MAXIMUM).unwrap_or(0);
    assert!(most > 0, "expected a server that takes aliases: {ack:?}");
    (client, most)
}

fn a_topic_alias_stands_for_its_topic(scene: &Scene) {
    let (mut client, most) = with_aliases(scene);
    let topics = [scene.topic("first"), scene.topic("last")];
    client.subscribe(&scene.topic("+"), 2);
    for (topic, alias) in topics.iter().zip([1, most]) {
        client.publish_all(Publish::new(topic, "named", 1, 0).with(TOPIC_ALIAS, alias));
        assert_eq!(client.receive().topic, *topic);
    }
    for qos in 0..=2 {
        for (topic, alias) in topics.iter().zip([1, most]) {
            client.publish_all(Publish::new("", "aliased", qos, 0).with(TOPIC_ALIAS, alias));
            let got = client.receive();
            assert_eq!((&got.topic, got.text()), (topic, "aliased"));
        }
    }
}

fn a_topic_alias_can_be_set_anew(scene: &Scene) {
    let (mut client, _) = with_aliases(scene);
    client.subscribe(&scene.topic("+"), 1);
    for below in ["a", "b"] {
        let topic = scene.topic(below);
        client.publish_all(Publish::new(&topic, "named", 1, 0).with(TOPIC_ALIAS, 1));
        client.receive();
        client.publish_all(Publish::new("", "aliased", 1, 0).with(TOPIC_ALIAS, 1));
        assert_eq!(client.receive().topic, topic);
    }
}

fn a_topic_alias_of_0_or_too_large_ends_the_connection(scene: &Scene) {
    let (_client, most) = with_aliases(scene);
    for alias in [0, most + 1, 65_535] {
        let mut client = scene.client(Version::V5, "bad");
        client.send(Publish::new(&scene.topic("a"), "x", 0, 0).with(TOPIC_ALIAS, alias).bytes(Version::V5));
        client.expect_error(&[0x94]);
    }
}

fn an_unknown_topic_alias_ends_the_connection(scene: &Scene) {
    let mut client = scene.client(Version::V5, "c");
    client.send(Publish::new("", "x", 0, 0).with(TOPIC_ALIAS, 1).bytes(Version::V5));
    client.expect_error(&[0x82, 0x94]);
}

fn topic_aliases_end_with_the_connection(scene: &Scene) {
    let connect = scene.persistent(Version::V5, "c");
    let mut client = scene.connect(&connect);
    client.publish_all(Publish::new(&scene.topic("a"), "x", 1, 0).with(TOPIC_ALIAS, 1));
    client.disconnect();
    let mut client = scene.connect(&connect);
    client.send(Publish::new("", "x", 0, 0).with(TOPIC_ALIAS, 1).bytes(Version::V5));
    client.expect_error(&[0x82, 0x94]);
}

fn a_server_uses_aliases_only_as_far_as_the_client_takes_them(scene: &Scene) {
    for most in [None, Some(0), Some(2)] {
        let mut connect = Connect::clean(Version::V5, &scene.id("c"));
        if let Some(most) = most {
            connect = connect.with(TOPIC_ALIAS_MAXIMUM, most);
        }
        let mut client = scene.connect(&connect);
        client.subscribe(&scene.topic("+"), 1);
        let mut known = std::collections::BTreeMap::new();
        for n in 0..12 {
            let expected = scene.topic(&format!("{}", n % 4));
            client.publish(&expected, "x", 1);
            let got = client.receive();
            let topic = match got.properties.number(TOPIC_ALIAS) {
                None => got.topic,
                Some(alias) => {
                    assert!(alias > 0 && alias <= most.unwrap_or(0), "alias {alias} of {most:?}");
                    if !got.topic.is_empty() {
                        known.insert(alias, got.topic);
                    }
                    known.get(&alias).expect("the first use has the topic").clone()
                }
            };
            assert_eq!(topic, expected);
        }
    }
}

fn topic_alias_and_subscription_identifier_are_not_passed_on(scene: &Scene) {
    let topic = scene.topic("a");
    let mut client = scene.client(Version::V5, "reader");
    client.subscribe(&topic, 1);
    let mut other = scene.client(Version::V5, "other");
    other.subscribe_to(&Properties::none().with(SUBSCRIPTION_ID, 9), &[(&topic, 1)]);
    let (mut sender, _) = with_aliases(scene);
    sender.publish_all(Publish::new(&topic, "x", 1, 0).with(TOPIC_ALIAS, 1));
    assert_eq!(client.receive().properties, Properties::none());
    assert_eq!(other.receive().properties, Properties::none().with(SUBSCRIPTION_ID, 9));
}

fn stored_messages_have_their_topic_not_an_alias(scene: &Scene) {
    let topic = scene.topic("a");
    let mut away = scene.resume(Version::V5, "away");
    away.subscribe(&topic, 1);
    away.disconnect();
    let (mut sender, _) = with_aliases(scene);
    sender.publish_all(Publish::new(&topic, "x", 1, 0).with(TOPIC_ALIAS, 1));
    sender.publish_all(Publish::new("", "kept", 1, 0).with(TOPIC_ALIAS, 1).retained());
    sender.disconnect();
    let mut back = scene.resume(Version::V5, "away");
    for _ in 0..2 {
        assert_eq!(back.receive().topic, topic);
    }
    let mut late = scene.client(Version::V5, "late");
    late.subscribe(&topic, 1);
    assert_eq!(late.receive().topic, topic);
}
