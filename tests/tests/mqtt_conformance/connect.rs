//! CONNECT and CONNACK.

use ferromq_tests::mqtt::packet::{self, CONNECT, frame, subscribe};
use ferromq_tests::mqtt::properties::{
    ASSIGNED_CLIENT_ID, AUTH_DATA, AUTH_METHOD, MAXIMUM_PACKET_SIZE, MAXIMUM_QOS, REASON, RECEIVE_MAXIMUM,
    REQUEST_PROBLEM, REQUEST_RESPONSE, RESPONSE_INFORMATION, RETAIN_AVAILABLE, SESSION_EXPIRY, USER,
};
use ferromq_tests::mqtt::{
    BOTH, Connect, Connection, Packet, Properties, Publish, Scene, Setting, Version, Will,
};
use ferromq_tests::mqtt_tests;

mqtt_tests! {
    the_first_packet_is_connect,
    a_second_connect_ends_the_connection,
    another_protocol_name_is_refused,
    an_unknown_level_is_refused_by_a_3_1_1_connack,
    an_unknown_level_above_5_is_refused,
    the_reserved_connect_flag_is_0,
    fields_of_the_payload_come_in_their_order,
    user_name_and_password_are_there_when_their_flags_say_so,
    a_password_without_user_name_is_refused_in_3_1_1,
    a_password_without_user_name_is_accepted_in_5_0,
    a_password_is_any_bytes,
    an_empty_user_name_is_a_user_name,
    a_client_identifier_is_always_there,
    client_identifiers_of_1_to_23_letters_and_digits_are_accepted,
    long_client_identifiers_of_any_text_are_accepted,
    an_empty_client_identifier_with_clean_session_gets_a_unique_one,
    an_empty_client_identifier_without_clean_session_is_refused,
    an_empty_client_identifier_is_assigned_and_told_in_5_0,
    an_assigned_client_identifier_can_be_resumed,
    wrong_credentials_are_refused,
    the_same_client_identifier_takes_over,
    the_client_taken_over_is_told_why_in_5_0,
    a_session_moves_with_its_client_identifier,
    nothing_is_processed_after_a_refusal,
    packets_behind_connect_are_processed_in_order,
    the_first_packet_back_is_connack,
    an_accepted_connect_is_answered_with_0,
    a_clean_start_has_no_session_present,
    session_present_says_whether_state_was_there,
    a_refusal_has_no_session_present_and_ends_the_connection,
    qos_2_works_unless_a_maximum_is_announced,
    retained_wills_work_unless_announced_otherwise,
    a_connack_fits_the_clients_maximum_packet_size,
    no_response_information_unless_asked_for,
    no_reason_strings_unless_wanted,
    values_of_connect_properties_have_limits,
    authentication_data_needs_a_method,
    a_malformed_connect_is_not_answered_in_3_1_1,
}

const PROTOCOL_ERROR: &[u8] = &[0x81, 0x82];

fn the_first_packet_is_connect(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let others = [
            frame(packet::PINGREQ, []),
            frame(packet::DISCONNECT, []),
            Publish::new(&topic, "x", 1, 1).bytes(version),
            subscribe(version, 1, &Properties::none(), &[(&topic, 0)]),
            packet::ack(packet::PUBREL, 1),
        ];
        for other in others {
            let mut client = scene.open(version);
            client.send(other);
            client.expect_closed();
        }
    }
}

fn a_second_connect_ends_the_connection(scene: &Scene) {
    for version in BOTH {
        let connect = Connect::clean(version, &scene.id("c"));
        let mut client = scene.connect(&connect);
        client.send(connect.bytes());
        client.expect_error(&[0x82]);
    }
}

fn another_protocol_name_is_refused(scene: &Scene) {
    for version in BOTH {
        let connect = Connect::clean(version, &scene.id("c"));
        for name in [&b"MQTt"[..], b"mqtt", b"MQT", b"MQTTT", b"", b"AMQP"] {
            let mut client = scene.open(version);
            client.send(connect.bytes_as(name, version.level(), connect.flags()));
            client.expect_refused(&[0x81, 0x82, 0x84]);
        }
    }
}

fn an_unknown_level_is_refused_by_a_3_1_1_connack(scene: &Scene) {
    for level in [0, 1, 2, 3] {
        let mut client = scene.open(Version::V3);
        let connect = Connect::clean(Version::V3, &scene.id("c"));
        client.send(connect.bytes_as(b"MQTT", level, connect.flags()));
        client.expect_connack(1);
        client.expect_closed();
    }
}

/// Whoever speaks a later version can read no version's answer for certain: 3.1.1's, 5.0's and none are all right.
fn an_unknown_level_above_5_is_refused(scene: &Scene) {
    for level in [6, 7, 0x7F, 0xFF] {
        let connect = Connect::clean(Version::V5, &scene.id("c"));
        let bytes = connect.bytes_as(b"MQTT", level, connect.flags());
        let answer = raw_answer(scene, &bytes);
        let refusals: [&[u8]; 3] = [&[], &[0x20, 2, 0, 1], &[0x20, 3, 0, 0x84, 0]];
        assert!(refusals.contains(&&answer[..]), "expected a refusal, but came {answer:02x?}");
    }
}

/// All that comes until the server closes.
fn raw_answer(scene: &Scene, bytes: &[u8]) -> Vec<u8> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(scene.server().address()).expect("it accepts");
    stream.set_read_timeout(Some(ferromq_tests::mqtt::connection::PATIENCE)).expect("a limit");
    stream.write_all(bytes).expect("it takes bytes");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the server closes");
    answer
}

fn the_reserved_connect_flag_is_0(scene: &Scene) {
    for version in BOTH {
        let connect = Connect::clean(version, &scene.id("c"));
        let mut client = scene.open(version);
        client.send(connect.bytes_as(b"MQTT", version.level(), connect.flags() | 0x01));
        client.expect_refused(PROTOCOL_ERROR);
    }
}

/// What the server makes of the fields: the will goes out under its topic, the user may enter.
fn fields_of_the_payload_come_in_their_order(scene: &Scene) {
    let (_dir, server) = scene.own_server(&[Setting::Users(&[("user", "secret")])]);
    for version in BOTH {
        let topic = scene.topic("will");
        let mut watcher = Connection::open(server.address(), version);
        watcher.connect(&Connect::clean(version, "watcher").login("user", "secret"));
        watcher.subscribe(&topic, 1);
        let will = Will::new(&topic, "payload").with(USER, ("a", "b"));
        let mut client = Connection::open(server.address(), version);
        client.connect(&Connect::clean(version, "client").will(will).login("user", "secret"));
        client.cut();
        let got = watcher.receive();
        assert_eq!((&got.topic, got.text()), (&topic, "payload"));
    }
}

fn user_name_and_password_are_there_when_their_flags_say_so(scene: &Scene) {
    for version in BOTH {
        let plain = Connect::clean(version, &scene.id("c"));
        let full = plain.clone().login("user", "secret");
        // Flags without fields, fields without flags.
        let wrong = [
            (&plain, plain.flags() | 0x80),
            (&plain, plain.flags() | 0xC0),
            (&full, plain.flags()),
            (&full, plain.flags() | 0x80),
        ];
        for (connect, flags) in wrong {
            let mut client = scene.open(version);
            client.send(connect.bytes_as(b"MQTT", version.level(), flags));
            client.expect_refused(PROTOCOL_ERROR);
        }
    }
}

fn only_a_password(scene: &Scene, version: Version) -> Connect {
    Connect { password: Some(b"secret".into()), ..Connect::clean(version, &scene.id("c")) }
}

fn a_password_without_user_name_is_refused_in_3_1_1(scene: &Scene) {
    let mut client = scene.open(Version::V3);
    client.send(only_a_password(scene, Version::V3).bytes());
    client.expect_closed();
}

fn a_password_without_user_name_is_accepted_in_5_0(scene: &Scene) {
    scene.connect(&only_a_password(scene, Version::V5));
}

fn a_password_is_any_bytes(scene: &Scene) {
    for version in BOTH {
        let login = Connect::clean(version, &scene.id("c")).login("user", "");
        scene.connect(&Connect { password: Some(vec![0, 0xFF, 0xC0]), ..login });
    }
}

fn an_empty_user_name_is_a_user_name(scene: &Scene) {
    for version in BOTH {
        scene.connect(&Connect::clean(version, &scene.id("c")).login("", ""));
    }
}

fn a_client_identifier_is_always_there(scene: &Scene) {
    for version in BOTH {
        let connect = Connect::clean(version, "");
        let mut body = connect.body_as(b"MQTT", version.level(), connect.flags());
        body.truncate(body.len() - 2);
        let mut client = scene.open(version);
        client.send(frame(CONNECT, body));
        client.expect_refused(PROTOCOL_ERROR);
    }
}

fn client_identifiers_of_1_to_23_letters_and_digits_are_accepted(scene: &Scene) {
    const ALL: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for version in BOTH {
        for id in [&ALL[..1], &ALL[..23], &ALL[23..46], &ALL[39..], &scene.id("x")] {
            scene.connect(&Connect::clean(version, id)).disconnect();
        }
    }
}

fn long_client_identifiers_of_any_text_are_accepted(scene: &Scene) {
    for version in BOTH {
        let long = scene.id(&"x".repeat(256));
        for id in [&long, &scene.id("Grüße, 世界 🦀"), &scene.id("a/b+#$ \"'{}")] {
            let (client, _) = scene.connect_with(&Connect::clean(version, id));
            client.disconnect();
        }
    }
}

fn an_empty_client_identifier_with_clean_session_gets_a_unique_one(scene: &Scene) {
    let topic = scene.topic("a");
    let mut both = [0, 1].map(|_| scene.connect(&Connect::clean(Version::V3, "")));
    for client in &mut both {
        client.subscribe(&topic, 0);
    }
    // Had the second taken the first one's place, this would fail.
    both[0].publish(&topic, "x", 0);
    for client in &mut both {
        assert_eq!(client.receive().text(), "x");
    }
}

fn an_empty_client_identifier_without_clean_session_is_refused(scene: &Scene) {
    let mut client = scene.open(Version::V3);
    client.send(Connect::persistent(Version::V3, "").bytes());
    assert!(!client.expect_connack(2).session_present);
    client.expect_closed();
}

fn an_empty_client_identifier_is_assigned_and_told_in_5_0(scene: &Scene) {
    let mut ids = Vec::new();
    let mut open = Vec::new();
    for connect in [Connect::clean(Version::V5, ""), Connect::persistent(Version::V5, "")] {
        for _ in 0..2 {
            let (client, ack) = scene.connect_with(&connect);
            ids.push(ack.properties.text(ASSIGNED_CLIENT_ID).expect("an assigned identifier").to_owned());
            open.push(client);
        }
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4, "each is unique: {ids:?}");
    open.iter_mut().for_each(Connection::ping);
    let (_client, ack) = scene.connect_with(&Connect::clean(Version::V5, &scene.id("named")));
    assert!(!ack.properties.has(ASSIGNED_CLIENT_ID), "expected none for a client that has one: {ack:?}");
}

fn an_assigned_client_identifier_can_be_resumed(scene: &Scene) {
    let (client, ack) = scene.connect_with(&Connect::persistent(Version::V5, ""));
    let id = ack.properties.text(ASSIGNED_CLIENT_ID).expect("an assigned identifier").to_owned();
    client.disconnect();
    let (_client, ack) = scene.connect_with(&Connect::persistent(Version::V5, &id));
    assert!(ack.session_present);
}

fn wrong_credentials_are_refused(scene: &Scene) {
    let (_dir, server) = scene.own_server(&[Setting::Users(&[("user", "secret")])]);
    for version in BOTH {
        let plain = Connect::clean(version, "client");
        let user = plain.clone().login("user", "secret");
        let wrong = [
            plain.clone(),
            plain.clone().login("user", "wrong"),
            plain.login("nobody", "secret"),
            Connect { password: None, ..user.clone() },
        ];
        for connect in wrong {
            let mut client = Connection::open(server.address(), version);
            client.send(connect.bytes());
            let codes: &[u8] = match version {
                Version::V3 => &[4, 5],
                Version::V5 => &[0x86, 0x87],
            };
            client.expect_refused(codes);
        }
        Connection::open(server.address(), version).connect(&user);
    }
}

fn the_same_client_identifier_takes_over(scene: &Scene) {
    for (old, new) in [(BOTH[0], BOTH[0]), (BOTH[0], BOTH[1]), (BOTH[1], BOTH[0]), (BOTH[1], BOTH[1])] {
        let mut first = scene.client(old, "c");
        let mut second = scene.client(new, "c");
        first.drain();
        second.ping();
    }
}

fn the_client_taken_over_is_told_why_in_5_0(scene: &Scene) {
    let mut first = scene.client(Version::V5, "c");
    let _second = scene.client(Version::V5, "c");
    assert_eq!(first.expect_disconnect(), 0x8E);
}

fn a_session_moves_with_its_client_identifier(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut first = scene.resume(version, "c");
        first.subscribe(&topic, 1);
        let (mut second, ack) = scene.connect_with(&scene.persistent(version, "c"));
        assert!(ack.session_present);
        second.publish(&topic, "x", 1);
        assert_eq!(second.receive().text(), "x");
    }
}

fn nothing_is_processed_after_a_refusal(scene: &Scene) {
    let topic = scene.topic("a");
    let refused = [
        Connect::persistent(Version::V3, ""),
        Connect::clean(Version::V5, &scene.id("c")).with(AUTH_METHOD, "no such method"),
    ];
    for connect in refused {
        let version = connect.version;
        let mut client = scene.open(version);
        client.send([connect.bytes(), Publish::new(&topic, "x", 0, 0).retained().bytes(version)].concat());
        client.expect_refused(&[2, 0x8C, 0x87]);
        let mut reader = scene.client(version, "reader");
        reader.subscribe(&topic, 1);
        reader.publish(&topic, "marker", 1);
        assert_eq!(reader.receive_until("marker"), []);
    }
}

fn packets_behind_connect_are_processed_in_order(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.open(version);
        client.send(
            [
                Connect::clean(version, &scene.id("c")).bytes(),
                Publish::new(&topic, "too early", 1, 1).bytes(version),
                subscribe(version, 2, &Properties::none(), &[(&topic, 1)]),
                Publish::new(&topic, "heard", 1, 3).bytes(version),
            ]
            .concat(),
        );
        client.expect_connack(0);
        assert_eq!(client.receive().text(), "heard");
    }
}

/// Also where messages wait for the session.
fn the_first_packet_back_is_connack(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.resume(version, "c");
        client.subscribe(&topic, 1);
        client.disconnect();
        scene.client(version, "s").publish(&topic, "x", 1);
        let mut client = scene.open(version);
        client.send(scene.persistent(version, "c").bytes());
        assert!(client.expect_connack(0).session_present);
        assert_eq!(client.receive().text(), "x");
        client.ping();
        assert_eq!(client.next_if_any(), None, "expected one CONNACK only");
    }
}

fn an_accepted_connect_is_answered_with_0(scene: &Scene) {
    for version in BOTH {
        let mut client = scene.open(version);
        client.send(Connect::clean(version, &scene.id("c")).bytes());
        client.expect_connack(0);
    }
}

fn a_clean_start_has_no_session_present(scene: &Scene) {
    for version in BOTH {
        scene.resume(version, "c").disconnect();
        let clean = Connect { clean: true, ..scene.persistent(version, "c") };
        let (_client, ack) = scene.connect_with(&clean);
        assert!(!ack.session_present);
    }
}

fn session_present_says_whether_state_was_there(scene: &Scene) {
    for version in BOTH {
        let connect = scene.persistent(version, "c");
        for present in [false, true, true] {
            let (client, ack) = scene.connect_with(&connect);
            assert_eq!(ack.session_present, present);
            client.disconnect();
        }
    }
}

fn a_refusal_has_no_session_present_and_ends_the_connection(scene: &Scene) {
    let (_dir, server) = scene.own_server(&[Setting::Users(&[("user", "secret")])]);
    for version in BOTH {
        let connect = Connect::persistent(version, "client").login("user", "secret");
        let mut client = Connection::open(server.address(), version);
        client.connect(&connect);
        client.disconnect();
        let mut client = Connection::open(server.address(), version);
        client.send(connect.login("user", "wrong").bytes());
        let Some(Packet::ConnAck(ack)) = client.next_packet() else { panic!("expected CONNACK") };
        assert!(!ack.session_present && ack.code != 0, "expected a refusal, but came {ack:?}");
        client.expect_closed();
    }
}

fn qos_2_works_unless_a_maximum_is_announced(scene: &Scene) {
    let topic = scene.topic("a");
    let mut will = Will::new(&topic, "will");
    will.qos = 2;
    let connect = Connect::clean(Version::V5, &scene.id("c")).will(will);
    let mut client = scene.open(Version::V5);
    client.send(connect.bytes());
    let Some(Packet::ConnAck(ack)) = client.next_packet() else { panic!("expected CONNACK") };
    // A server without QoS 2 says so, refuses such a will, and still takes the subscription.
    let most = ack.properties.number(MAXIMUM_QOS);
    assert!(most.is_none_or(|most| most < 2), "expected 0 or 1: {ack:?}");
    if most.is_some() {
        assert_eq!(ack.code, 0x9B);
        return;
    }
    assert_eq!(client.subscribe(&topic, 2), 2);
    assert_eq!(client.publish(&topic, "x", 2), 0);
    assert_eq!(client.receive().qos, 2);
}

fn retained_wills_work_unless_announced_otherwise(scene: &Scene) {
    let topic = scene.topic("a");
    let mut will = Will::new(&topic, "will");
    will.retain = true;
    let mut client = scene.open(Version::V5);
    client.send(Connect::clean(Version::V5, &scene.id("c")).will(will).bytes());
    let Some(Packet::ConnAck(ack)) = client.next_packet() else { panic!("expected CONNACK") };
    let refused = ack.properties.number(RETAIN_AVAILABLE) == Some(0);
    assert_eq!(ack.code, if refused { 0x9A } else { 0 });
}

fn a_connack_fits_the_clients_maximum_packet_size(scene: &Scene) {
    let mut client = scene.open(Version::V5);
    let connect = Connect::clean(Version::V5, &scene.id("c")).with(MAXIMUM_PACKET_SIZE, 40);
    client.send(connect.with(AUTH_METHOD, "no such method").bytes());
    match client.next_packet() {
        None => {}
        Some(Packet::ConnAck(ack)) => {
            let length = 1 + 1 + 2 + ack.properties.section().len();
            assert!(length <= 40, "{length} bytes: {ack:?}");
        }
        other => panic!("expected CONNACK, but came {other:?}"),
    }
}

fn no_response_information_unless_asked_for(scene: &Scene) {
    let connect = Connect::clean(Version::V5, &scene.id("c"));
    for connect in [connect.clone(), connect.with(REQUEST_RESPONSE, 0)] {
        let (_client, ack) = scene.connect_with(&connect);
        assert!(!ack.properties.has(RESPONSE_INFORMATION), "expected none: {ack:?}");
    }
}

fn no_reason_strings_unless_wanted(scene: &Scene) {
    let topic = scene.topic("a");
    let mut client = scene.connect(&Connect::clean(Version::V5, &scene.id("c")).with(REQUEST_PROBLEM, 0));
    let bare = |properties: &Properties| !properties.has(REASON) && properties.users().is_empty();
    // What is likely to be explained: no subscribers, no such identifier, a bad filter.
    client.send(Publish::new(&topic, "x", 1, 1).bytes(Version::V5));
    client.send(packet::ack(packet::PUBREL, 99));
    client.send(subscribe(Version::V5, 2, &Properties::none(), &[("$share/x", 0)]));
    client.send(frame(packet::PINGREQ, []));
    loop {
        match client.next_packet() {
            Some(Packet::Ack { properties, .. } | Packet::SubAck { properties, .. }) => {
                assert!(bare(&properties), "expected no explanation, but came {properties:?}");
            }
            // These may have one.
            Some(Packet::PingResp | Packet::Disconnect { .. }) | None => break,
            Some(_) => {}
        }
    }
}

fn values_of_connect_properties_have_limits(scene: &Scene) {
    let wrong = [
        Properties::none().with(RECEIVE_MAXIMUM, 0),
        Properties::none().with(MAXIMUM_PACKET_SIZE, 0),
        Properties::none().with(REQUEST_PROBLEM, 2),
        Properties::none().with(REQUEST_RESPONSE, 2),
        Properties::none().with(RECEIVE_MAXIMUM, 5).with(RECEIVE_MAXIMUM, 5),
        Properties::none().with(SESSION_EXPIRY, 5).with(SESSION_EXPIRY, 5),
    ];
    for properties in wrong {
        println!("{properties:?}");
        let mut client = scene.open(Version::V5);
        client.send(Connect { properties, ..Connect::clean(Version::V5, &scene.id("c")) }.bytes());
        client.expect_refused(PROTOCOL_ERROR);
    }
}

fn authentication_data_needs_a_method(scene: &Scene) {
    let mut client = scene.open(Version::V5);
    client.send(Connect::clean(Version::V5, &scene.id("c")).with(AUTH_DATA, "data").bytes());
    client.expect_refused(PROTOCOL_ERROR);
}

fn a_malformed_connect_is_not_answered_in_3_1_1(scene: &Scene) {
    let connect = Connect::clean(Version::V3, &scene.id("c"));
    let body = connect.body_as(b"MQTT", 4, connect.flags());
    for cut in [1, 5, 7, 9, 11, body.len() - 1] {
        let mut client = scene.open(Version::V3);
        client.send(frame(CONNECT, &body[..cut]));
        client.expect_closed();
    }
}
