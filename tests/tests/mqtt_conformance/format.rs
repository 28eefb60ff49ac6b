//! Bytes that make up packets: lengths, flags, strings, identifiers.

use ferromq_tests::mqtt::packet::{self, ack, ack_with, counted, frame, subscribe, unsubscribe};
use ferromq_tests::mqtt::properties::{CONTENT_TYPE, USER};
use ferromq_tests::mqtt::{BOTH, Connect, Connection, Packet, Properties, Publish, Scene, Version};
use ferromq_tests::mqtt_tests;

mqtt_tests! {
    a_length_of_more_than_four_bytes_ends_the_connection,
    an_over_long_variable_byte_integer_ends_the_connection,
    reserved_header_flags_end_the_connection,
    a_subscribe_with_wrong_flags_ends_the_connection,
    an_unsubscribe_with_wrong_flags_ends_the_connection,
    a_pubrel_with_wrong_flags_ends_the_connection,
    a_disconnect_with_wrong_flags_ends_the_connection,
    types_that_do_not_exist_end_the_connection,
    packets_of_servers_end_the_connection,
    acks_of_the_wrong_length_end_a_3_1_1_connection,
    a_ping_with_a_body_ends_the_connection,
    a_disconnect_with_a_body_ends_a_3_1_1_connection_as_an_error,
    bytes_behind_the_last_field_end_the_connection,
    ill_formed_utf_8_ends_the_connection,
    surrogates_in_text_end_the_connection,
    a_nul_in_text_ends_the_connection,
    a_byte_order_mark_is_part_of_the_text,
    text_in_user_properties_obeys_the_same_rules,
    a_packet_identifier_of_0_ends_the_connection,
    identifiers_of_the_two_directions_are_independent,
    the_server_numbers_its_messages_with_free_identifiers,
    acknowledgements_carry_the_identifier_of_what_they_acknowledge,
    a_qos_0_message_has_no_identifier,
    short_forms_of_acknowledgements_are_read,
    a_disconnect_of_a_reason_alone_is_read,
    packets_of_the_server_have_their_property_sections,
    a_body_that_ends_early_ends_the_connection_at_once,
    packets_may_come_in_any_pieces,
    one_bad_connection_touches_no_other,
}

const MALFORMED: &[u8] = &[0x81, 0x82];

/// Sends bytes on a new connection, after CONNECT, and expects that the server ends it for them.
fn is_refused(scene: &Scene, version: Version, what: &str, bytes: &[u8]) {
    println!("{version:?}: {what}");
    let mut client = scene.client(version, "bad");
    client.send(bytes);
    client.expect_error(MALFORMED);
}

/// As [`is_refused`], for what the server may find wrong only after it has answered something: it closes.
fn is_closed(scene: &Scene, version: Version, what: &str, bytes: &[u8]) {
    println!("{version:?}: {what}");
    let mut client = scene.client(version, "bad");
    client.send(bytes);
    client.drain();
}

fn a_length_of_more_than_four_bytes_ends_the_connection(scene: &Scene) {
    for version in BOTH {
        is_closed(scene, version, "five bytes", &[packet::PUBLISH, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]);
        let mut first = scene.open(version);
        first.send([packet::CONNECT, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]);
        first.expect_closed();
    }
}

fn an_over_long_variable_byte_integer_ends_the_connection(scene: &Scene) {
    let topic = counted(scene.topic("a"));
    is_refused(
        scene,
        Version::V5,
        "a property length of 0 in two bytes",
        &frame(packet::PUBLISH, [&topic[..], &[0x80, 0x00], b"x"].concat()),
    );
}

fn reserved_header_flags_end_the_connection(scene: &Scene) {
    for version in BOTH {
        for first in [packet::PUBACK, packet::PUBREC, packet::PUBCOMP] {
            is_refused(scene, version, "an acknowledgement", &ack(first | 0x01, 1));
        }
        is_refused(scene, version, "PINGREQ", &frame(packet::PINGREQ | 0x08, []));
        let mut client = scene.open(version);
        let mut connect = Connect::clean(version, &scene.id("x")).bytes();
        connect[0] |= 0x02;
        client.send(connect);
        client.expect_refused(MALFORMED);
    }
}

fn a_subscribe_with_wrong_flags_ends_the_connection(scene: &Scene) {
    for version in BOTH {
        let mut bytes = subscribe(version, 1, &Properties::none(), &[(&scene.topic("a"), 0)]);
        for flags in [0, 1, 3, 0xA] {
            bytes[0] = packet::SUBSCRIBE & 0xF0 | flags;
            is_refused(scene, version, "SUBSCRIBE", &bytes);
        }
    }
}

fn an_unsubscribe_with_wrong_flags_ends_the_connection(scene: &Scene) {
    for version in BOTH {
        let mut bytes = unsubscribe(version, 1, &[&scene.topic("a")]);
        bytes[0] = packet::UNSUBSCRIBE & 0xF0;
        is_refused(scene, version, "UNSUBSCRIBE", &bytes);
    }
}

fn a_pubrel_with_wrong_flags_ends_the_connection(scene: &Scene) {
    for version in BOTH {
        is_refused(scene, version, "PUBREL", &ack(0x60, 1));
    }
}

fn a_disconnect_with_wrong_flags_ends_the_connection(scene: &Scene) {
    for version in BOTH {
        is_refused(scene, version, "DISCONNECT", &frame(packet::DISCONNECT | 0x01, []));
    }
}

fn types_that_do_not_exist_end_the_connection(scene: &Scene) {
    for version in BOTH {
        is_refused(scene, version, "type 0", &[0x00, 0x00]);
    }
    is_refused(scene, Version::V3, "type 15", &[packet::AUTH, 0x00]);
}

fn packets_of_servers_end_the_connection(scene: &Scene) {
    for version in BOTH {
        let none = version.section(&Properties::none());
        is_refused(scene, version, "CONNACK", &frame(packet::CONNACK, [vec![0, 0], none.clone()].concat()));
        let suback = [vec![0, 1], none.clone(), vec![0]].concat();
        is_refused(scene, version, "SUBACK", &frame(packet::SUBACK, suback));
        let unsuback = [vec![0, 1], none.clone(), vec![0; none.len()]].concat();
        is_refused(scene, version, "UNSUBACK", &frame(packet::UNSUBACK, unsuback));
        is_refused(scene, version, "PINGRESP", &frame(packet::PINGRESP, []));
    }
}

fn acks_of_the_wrong_length_end_a_3_1_1_connection(scene: &Scene) {
    for first in [packet::PUBACK, packet::PUBREC, packet::PUBREL, packet::PUBCOMP] {
        is_refused(scene, Version::V3, "three bytes", &frame(first, [0, 1, 0]));
        is_refused(scene, Version::V3, "one byte", &frame(first, [0]));
    }
}

fn a_ping_with_a_body_ends_the_connection(scene: &Scene) {
    for version in BOTH {
        is_refused(scene, version, "PINGREQ", &frame(packet::PINGREQ, [0]));
    }
}

/// The will tells whether the server took it for a DISCONNECT.
fn a_disconnect_with_a_body_ends_a_3_1_1_connection_as_an_error(scene: &Scene) {
    let topic = scene.topic("will");
    let mut watcher = scene.client(Version::V3, "watcher");
    watcher.subscribe(&topic, 1);
    let will = ferromq_tests::mqtt::Will::new(&topic, "gone");
    let mut client = scene.connect(&Connect::clean(Version::V3, &scene.id("x")).will(will));
    client.send(frame(packet::DISCONNECT, [0]));
    client.expect_closed();
    watcher.publish(&topic, "later", 1);
    assert_eq!(watcher.receive().text(), "gone");
}

fn bytes_behind_the_last_field_end_the_connection(scene: &Scene) {
    for version in BOTH {
        let mut client = scene.open(version);
        let connect = Connect::clean(version, &scene.id("x"));
        let body = [connect.body_as(b"MQTT", version.level(), connect.flags()), vec![0]].concat();
        client.send(frame(packet::CONNECT, body));
        client.expect_refused(MALFORMED);

        let filter = [counted(scene.topic("a")), vec![0, 0]].concat();
        let body = [vec![0, 1], version.section(&Properties::none()), filter].concat();
        is_refused(scene, version, "SUBSCRIBE", &frame(packet::SUBSCRIBE, body));
    }
}

/// The packets that have text, with this text in each of them.
fn with_text(scene: &Scene, version: Version, text: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let none = version.section(&Properties::none());
    let text = [scene.topic("").as_bytes(), text].concat();
    vec![
        ("a topic", frame(packet::PUBLISH, [counted(&text), none.clone(), vec![b'x']].concat())),
        ("a filter", frame(packet::SUBSCRIBE, [vec![0, 1], none.clone(), counted(&text), vec![0]].concat())),
        ("an old filter", frame(packet::UNSUBSCRIBE, [vec![0, 1], none, counted(&text)].concat())),
    ]
}

/// CONNECT with this text in each place that has text.
fn connects_with_text(scene: &Scene, version: Version, text: &[u8]) -> Vec<(&'static str, Connect)> {
    let plain = Connect::clean(version, &scene.id("x"));
    let mut will = ferromq_tests::mqtt::Will::new("", "");
    will.topic = [scene.topic("").as_bytes(), text].concat();
    vec![
        ("a client identifier", Connect { client_id: text.to_vec(), ..plain.clone() }),
        ("a user name", Connect { user: Some(text.to_vec()), ..plain.clone() }),
        ("a will topic", plain.will(will)),
    ]
}

fn text_is_refused(scene: &Scene, text: &[u8]) {
    for version in BOTH {
        for (what, bytes) in with_text(scene, version, text) {
            println!("{version:?}: {text:02x?} in {what}");
            let mut client = scene.client(version, "bad");
            client.send(bytes);
            // A topic may also be wrong as a topic.
            client.expect_error(&[0x81, 0x82, 0x8F, 0x90]);
        }
        for (what, connect) in connects_with_text(scene, version, text) {
            println!("{version:?}: {text:02x?} in {what}");
            let mut client = scene.open(version);
            client.send(connect.bytes());
            client.expect_refused(&[0x81, 0x82, 0x85, 0x86, 0x90]);
        }
    }
}

fn ill_formed_utf_8_ends_the_connection(scene: &Scene) {
    text_is_refused(scene, &[b'a', 0xFF]);
    // '/' in more bytes than it needs.
    text_is_refused(scene, &[0xC0, 0xAF]);
}

fn surrogates_in_text_end_the_connection(scene: &Scene) {
    text_is_refused(scene, &[b'a', 0xED, 0xA0, 0x80]);
}

fn a_nul_in_text_ends_the_connection(scene: &Scene) {
    text_is_refused(scene, b"a\0b");
}

fn a_byte_order_mark_is_part_of_the_text(scene: &Scene) {
    for version in BOTH {
        let mut client = scene.client(version, "c");
        client.subscribe(&scene.topic("#"), 1);
        let (with, without) = (scene.topic("\u{FEFF}a"), scene.topic("a"));
        client.publish(&with, "with", 1);
        client.publish(&without, "without", 1);
        assert_eq!(client.receive().topic, with);
        assert_eq!(client.receive().topic, without);
        let mut exact = scene.client(version, "exact");
        exact.subscribe(&without, 1);
        client.publish(&with, "with", 1);
        client.publish(&without, "without", 1);
        assert_eq!(exact.receive().text(), "without");
    }
}

fn text_in_user_properties_obeys_the_same_rules(scene: &Scene) {
    let topic = counted(scene.topic("a"));
    for (name, value) in [(&b"a\0"[..], &b"b"[..]), (b"a", b"b\0"), (b"\xFF", b"b"), (b"a", b"\xED\xA0\x80")]
    {
        let pair = [vec![USER], counted(name), counted(value)].concat();
        let body = [&topic[..], &packet::variable(pair.len()), &pair, b"x"].concat();
        is_refused(scene, Version::V5, "a user property", &frame(packet::PUBLISH, body));
    }
    let content = [vec![CONTENT_TYPE], counted(b"\xC0\x80")].concat();
    let body = [&topic[..], &packet::variable(content.len()), &content, b"x"].concat();
    is_refused(scene, Version::V5, "a content type", &frame(packet::PUBLISH, body));
}

fn a_packet_identifier_of_0_ends_the_connection(scene: &Scene) {
    let topic = scene.topic("a");
    for version in BOTH {
        for qos in [1, 2] {
            is_refused(scene, version, "PUBLISH", &Publish::new(&topic, "x", qos, 0).bytes(version));
        }
        let none = Properties::none();
        is_refused(scene, version, "SUBSCRIBE", &subscribe(version, 0, &none, &[(&topic, 0)]));
        is_refused(scene, version, "UNSUBSCRIBE", &unsubscribe(version, 0, &[&topic]));
    }
}

fn identifiers_of_the_two_directions_are_independent(scene: &Scene) {
    for version in BOTH {
        let (mine, other) = (scene.topic("mine"), scene.topic("other"));
        let mut client = scene.client(version, "c");
        client.subscribe(&mine, 1);
        let mut sender = scene.client(version, "s");
        sender.publish(&mine, "down", 1);
        let down = client.take();
        // Not acknowledged yet, and the same number goes the other way.
        let up = Publish { id: down.id, ..Publish::new(&other, "up", 2, 0) };
        assert_eq!(client.publish_all(up) & 0x80, 0);
        client.send(ack(packet::PUBACK, down.id));
        sender.publish(&mine, "next", 1);
        assert_eq!(client.receive().text(), "next");
    }
}

fn the_server_numbers_its_messages_with_free_identifiers(scene: &Scene) {
    const COUNT: usize = 10;
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.client(version, "c");
        client.subscribe(&topic, 2);
        let mut sender = scene.client(version, "s");
        for n in 0..COUNT {
            sender.publish(&topic, n.to_string(), 1 + (n % 2) as u8);
        }
        let mut ids: Vec<u16> = (0..COUNT).map(|_| client.take().id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), COUNT, "unacknowledged messages have identifiers of their own: {ids:?}");
        assert!(!ids.contains(&0));
    }
}

fn acknowledgements_carry_the_identifier_of_what_they_acknowledge(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.client(version, "c");
        client.send(Publish::new(&topic, "x", 1, 0x1234).bytes(version));
        client.send(Publish::new(&topic, "x", 2, 0xFFFF).bytes(version));
        client.send(subscribe(version, 0xABCD, &Properties::none(), &[(&topic, 0)]));
        client.send(unsubscribe(version, 0x8001, &[&topic]));
        client.wait_for_ack(packet::PUBACK, 0x1234);
        client.wait_for_ack(packet::PUBREC, 0xFFFF);
        assert_eq!(client.release(0xFFFF), 0);
        client.wait_for("SUBACK", |p| matches!(p, Packet::SubAck { id: 0xABCD, .. }).then_some(()));
        client.wait_for("UNSUBACK", |p| matches!(p, Packet::UnsubAck { id: 0x8001, .. }).then_some(()));
    }
}

/// If the server took the first bytes of the payload for an identifier, they would be missing.
fn a_qos_0_message_has_no_identifier(scene: &Scene) {
    for version in BOTH {
        let mut client = scene.client(version, "c");
        let topic = scene.topic("a");
        client.subscribe(&topic, 0);
        client.publish(&topic, "12345", 0);
        let got = client.receive();
        assert_eq!((got.text(), got.qos, got.id), ("12345", 0, 0));
    }
}

fn short_forms_of_acknowledgements_are_read(scene: &Scene) {
    let topic = scene.topic("a");
    let mut client = scene.client(Version::V5, "c");
    client.subscribe(&topic, 2);
    let with_section = |first, id: u16| {
        let [high, low] = id.to_be_bytes();
        frame(first, [high, low, 0, 0])
    };
    // Two bytes, three, four.
    for form in [&ack as &dyn Fn(u8, u16) -> Vec<u8>, &|first, id| ack_with(first, id, 0), &with_section] {
        client.send(Publish::new(&topic, "x", 2, 7).bytes(Version::V5));
        client.wait_for_ack(packet::PUBREC, 7);
        client.send(form(packet::PUBREL, 7));
        assert_eq!(client.wait_for_ack(packet::PUBCOMP, 7), 0);
        let got = client.take();
        client.send(form(packet::PUBREC, got.id));
        client.wait_for_ack(packet::PUBREL, got.id);
        client.send(form(packet::PUBCOMP, got.id));
        client.publish(&topic, "x", 1);
        let got = client.take();
        client.send(form(packet::PUBACK, got.id));
    }
    client.ping();
}

fn a_disconnect_of_a_reason_alone_is_read(scene: &Scene) {
    let topic = scene.topic("will");
    let mut watcher = scene.client(Version::V5, "watcher");
    watcher.subscribe(&topic, 1);
    for (body, goes_out) in [(&[][..], false), (&[0x00], false), (&[0x04], true), (&[0x04, 0x00], true)] {
        let will = ferromq_tests::mqtt::Will::new(&topic, "will");
        let mut client = scene.connect(&Connect::clean(Version::V5, &scene.id("x")).will(will));
        client.send(frame(packet::DISCONNECT, body));
        client.expect_closed();
        watcher.publish(&topic, "later", 1);
        if goes_out {
            assert_eq!(watcher.receive().text(), "will", "after {body:02x?}");
        }
        assert_eq!(watcher.receive().text(), "later", "after {body:02x?}");
    }
}

/// Reading is strict: it fails on a packet without its section, with an over-long length, or with a property or a code
/// that it may not have. So this asks for one packet of each kind.
fn packets_of_the_server_have_their_property_sections(scene: &Scene) {
    let topic = scene.topic("a");
    let (mut client, _) = scene.connect_with(&scene.persistent(Version::V5, "c"));
    client.subscribe(&topic, 2);
    for qos in 0..=2 {
        client.publish(&topic, "x", qos);
        client.receive();
    }
    client.ping();
    client.unsubscribe(&topic);
    let mut other = scene.open(Version::V5);
    other.connect(&scene.persistent(Version::V5, "c"));
    client.drain();
}

/// The frame is whole, so there is nothing to wait for.
fn a_body_that_ends_early_ends_the_connection_at_once(scene: &Scene) {
    for version in BOTH {
        let none = version.section(&Properties::none());
        is_refused(scene, version, "PUBLISH", &frame(packet::PUBLISH, [0, 9, b'a']));
        is_refused(
            scene,
            version,
            "PUBLISH without identifier",
            &frame(packet::PUBLISH | 2, [0, 1, b'a', 0]),
        );
        let body = [vec![0, 1], none.clone(), vec![0, 9, b'a']].concat();
        is_refused(scene, version, "SUBSCRIBE", &frame(packet::SUBSCRIBE, body));
        let body = [vec![0, 1], none, vec![0, 9, b'a']].concat();
        is_refused(scene, version, "UNSUBSCRIBE", &frame(packet::UNSUBSCRIBE, body));
        let mut client = scene.open(version);
        let whole = Connect::clean(version, &scene.id("x"));
        let mut body = whole.body_as(b"MQTT", version.level(), whole.flags());
        body.pop();
        client.send(frame(packet::CONNECT, body));
        client.expect_refused(MALFORMED);
    }
    let body = [counted(scene.topic("a")), vec![9, USER, 0, 1, b'a']].concat();
    is_refused(scene, Version::V5, "a property section that ends early", &frame(packet::PUBLISH, body));
}

fn packets_may_come_in_any_pieces(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut bytes = Connect::clean(version, &scene.id("c")).bytes();
        bytes.extend(subscribe(version, 1, &Properties::none(), &[(&topic, 1)]));
        for n in 0..3 {
            bytes.extend(Publish::new(&topic, format!("{n}"), 1, 2 + n).bytes(version));
        }
        let mut at_once = scene.open(version);
        at_once.send(&bytes);
        let expect_all = |client: &mut Connection| {
            client.expect_connack(0);
            for n in 0..3 {
                assert_eq!(client.receive().text(), n.to_string());
            }
        };
        expect_all(&mut at_once);
        at_once.disconnect();
        let mut one_by_one = scene.open(version);
        bytes.iter().for_each(|byte| one_by_one.send([*byte]));
        expect_all(&mut one_by_one);
    }
}

fn one_bad_connection_touches_no_other(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut good = scene.client(version, "good");
        good.subscribe(&topic, 1);
        let rubbish: [&[u8]; 6] = [
            b"GET / HTTP/1.1\r\n\r\n",
            &[0xFF; 64],
            &[0; 64],
            &[packet::CONNECT, 0x00],
            &[packet::CONNECT, 0x04, 0xFF, 0xFF, 0xFF, 0xFF],
            &[packet::PUBLISH, 0xFF, 0xFF, 0xFF, 0x7F],
        ];
        for bytes in rubbish {
            let mut bad = scene.open(version);
            bad.send(bytes);
            let mut bad_later = scene.client(version, "bad");
            bad_later.send(bytes);
            good.publish(&topic, "still here", 1);
            assert_eq!(good.receive().text(), "still here");
        }
    }
}
