//! Messages in, messages out.

use std::time::Duration;

use ferromq_tests::mqtt::packet::{self, ack, ack_with, frame};
use ferromq_tests::mqtt::properties::{
    CONTENT_TYPE, CORRELATION, MESSAGE_EXPIRY, PAYLOAD_FORMAT, RESPONSE_TOPIC, SUBSCRIPTION_ID, USER,
};
use ferromq_tests::mqtt::{BOTH, Packet, Publish, Scene, Version, let_pass};
use ferromq_tests::mqtt_tests;

mqtt_tests! {
    qos_3_ends_the_connection,
    qos_0_with_dup_ends_the_connection,
    dup_is_not_passed_on,
    a_topic_with_wildcards_ends_the_connection,
    an_empty_topic_ends_the_connection,
    the_topic_is_passed_on_as_it_came,
    properties_are_passed_on_as_they_came,
    a_response_topic_with_wildcards_ends_the_connection,
    a_subscription_identifier_from_a_client_ends_the_connection,
    a_payload_format_above_1_ends_the_connection,
    payloads_of_any_bytes_are_passed_on,
    an_expired_message_is_not_delivered,
    the_expiry_passed_on_is_what_is_left,
    the_qos_out_is_the_lesser_of_both,
    messages_of_a_client_keep_their_order,
    nobody_listening_is_no_error,
    a_message_is_acknowledged_with_its_qos,
    an_identifier_is_free_again_after_puback,
    an_unknown_puback_does_no_harm,
    a_repeated_qos_2_message_is_acknowledged_again_and_delivered_once,
    an_identifier_is_free_again_after_pubcomp,
    a_pubrel_of_nothing_is_answered,
    a_pubrec_of_nothing_is_answered,
    the_server_releases_after_pubrec_and_ends_after_pubcomp,
    a_pubrec_with_an_error_ends_the_exchange,
    an_exchange_that_began_is_finished_though_it_expired,
    acknowledgements_may_come_out_of_order,
    a_request_is_answered_by_its_response_topic_and_correlation,
}

fn qos_3_ends_the_connection(scene: &Scene) {
    for version in BOTH {
        let mut client = scene.client(version, "c");
        client.send(Publish::new(&scene.topic("a"), "x", 3, 1).bytes(version));
        client.expect_error(&[0x81]);
    }
}

fn qos_0_with_dup_ends_the_connection(scene: &Scene) {
    for version in BOTH {
        let mut client = scene.client(version, "c");
        client.send(Publish::new(&scene.topic("a"), "x", 0, 0).again().bytes(version));
        client.expect_error(&[0x81, 0x82]);
    }
}

fn dup_is_not_passed_on(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.client(version, "c");
        client.subscribe(&topic, 2);
        for qos in [1, 2] {
            client.publish_all(Publish::new(&topic, "x", qos, 0).again());
            assert!(!client.receive().dup);
        }
    }
}

fn a_topic_with_wildcards_ends_the_connection(scene: &Scene) {
    for version in BOTH {
        for wrong in ["#", "+", "a/+/b", "a+", "#a"] {
            let mut client = scene.client(version, "c");
            client.send(Publish::new(&scene.topic(wrong), "x", 0, 0).bytes(version));
            client.expect_error(&[0x81, 0x82, 0x90]);
        }
    }
}

fn an_empty_topic_ends_the_connection(scene: &Scene) {
    for version in BOTH {
        let mut client = scene.client(version, "c");
        client.send(Publish::new("", "x", 0, 0).bytes(version));
        client.expect_error(&[0x81, 0x82, 0x90]);
    }
}

fn the_topic_is_passed_on_as_it_came(scene: &Scene) {
    for version in BOTH {
        let mut client = scene.client(version, "c");
        client.subscribe(&scene.topic("#"), 1);
        for below in ["a", "/a//b/", "A", " a ", "é", "e\u{301}", "a,b|c%25&d", "世界/🦀", "$a"] {
            let topic = scene.topic(below);
            client.publish(&topic, below, 1);
            let got = client.receive();
            assert_eq!((&got.topic, got.text()), (&topic, below));
        }
        let long = scene.topic(&"l".repeat(60_000));
        client.publish(&long, "long", 1);
        assert_eq!(client.receive().topic, long);
    }
}

fn properties_are_passed_on_as_they_came(scene: &Scene) {
    let topic = scene.topic("a");
    let mut client = scene.client(Version::V5, "c");
    client.subscribe(&topic, 2);
    for qos in 0..=2 {
        let sent = Publish::new(&topic, "x", qos, 0)
            .with(PAYLOAD_FORMAT, 1)
            .with(CONTENT_TYPE, "text/plain; charset=utf-8")
            .with(RESPONSE_TOPIC, "answers/to/me")
            .with(CORRELATION, &[0, 0xFF, 0x80][..])
            .with(USER, ("z", "1"))
            .with(USER, ("a", "2"))
            .with(USER, ("z", "3"))
            .with(USER, ("", ""))
            .with(USER, ("k k", "Grüße,|"));
        client.publish_all(sent.clone());
        let got = client.receive().properties;
        assert_eq!(got.number(PAYLOAD_FORMAT), Some(1));
        for id in [CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION] {
            assert_eq!(got.bytes(id), sent.properties.bytes(id));
        }
        assert_eq!(got.users(), sent.properties.users());
        client.publish(&topic, "plain", qos);
        assert_eq!(client.receive().properties, ferromq_tests::mqtt::Properties::none());
    }
}

fn a_response_topic_with_wildcards_ends_the_connection(scene: &Scene) {
    for wrong in ["a/#", "+/a"] {
        let mut client = scene.client(Version::V5, "c");
        let publish = Publish::new(&scene.topic("a"), "x", 0, 0).with(RESPONSE_TOPIC, wrong);
        client.send(publish.bytes(Version::V5));
        client.expect_error(&[0x81, 0x82, 0x90]);
    }
}

fn a_subscription_identifier_from_a_client_ends_the_connection(scene: &Scene) {
    let mut client = scene.client(Version::V5, "c");
    client.send(Publish::new(&scene.topic("a"), "x", 0, 0).with(SUBSCRIPTION_ID, 1).bytes(Version::V5));
    client.expect_error(&[0x81, 0x82]);
}

fn a_payload_format_above_1_ends_the_connection(scene: &Scene) {
    let mut client = scene.client(Version::V5, "c");
    client.send(Publish::new(&scene.topic("a"), "x", 0, 0).with(PAYLOAD_FORMAT, 2).bytes(Version::V5));
    client.expect_error(&[0x81, 0x82]);
}

fn payloads_of_any_bytes_are_passed_on(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.client(version, "c");
        client.subscribe(&topic, 2);
        for payload in [vec![], vec![0], (0..=255).collect(), vec![0xFF; 100_000]] {
            for qos in 0..=2 {
                client.publish(&topic, &payload, qos);
                assert!(client.receive().payload == payload, "{} bytes, QoS {qos}", payload.len());
            }
        }
    }
}

fn an_expired_message_is_not_delivered(scene: &Scene) {
    let topic = scene.topic("a");
    let mut away = scene.resume(Version::V5, "c");
    away.subscribe(&topic, 1);
    away.disconnect();
    let mut sender = scene.client(Version::V5, "s");
    sender.publish_all(Publish::new(&topic, "short", 1, 0).with(MESSAGE_EXPIRY, 1));
    sender.publish_all(Publish::new(&topic, "long", 1, 0).with(MESSAGE_EXPIRY, 3600));
    let_pass(Duration::from_secs(3));
    let mut back = scene.resume(Version::V5, "c");
    assert_eq!(back.receive().text(), "long");
}

fn the_expiry_passed_on_is_what_is_left(scene: &Scene) {
    let topic = scene.topic("a");
    let mut away = scene.resume(Version::V5, "c");
    away.subscribe(&topic, 1);
    away.disconnect();
    let mut sender = scene.client(Version::V5, "s");
    sender.publish_all(Publish::new(&topic, "x", 1, 0).with(MESSAGE_EXPIRY, 3600));
    let_pass(Duration::from_secs(3));
    let mut back = scene.resume(Version::V5, "c");
    let left = back.receive().properties.number(MESSAGE_EXPIRY).expect("an expiry");
    assert!((3000..=3598).contains(&left), "{left} s are left of 3600 after 3");
}

fn the_qos_out_is_the_lesser_of_both(scene: &Scene) {
    for version in BOTH {
        for granted in 0..=2 {
            let topic = scene.topic(&format!("{granted}"));
            let mut client = scene.client(version, "c");
            assert_eq!(client.subscribe(&topic, granted), granted);
            for qos in 0..=2 {
                client.publish(&topic, "x", qos);
                assert_eq!(client.receive().qos, qos.min(granted));
            }
        }
    }
}

fn messages_of_a_client_keep_their_order(scene: &Scene) {
    const COUNT: u16 = 200;
    for version in BOTH {
        for qos in 0..=2 {
            let topic = scene.topic("a");
            let mut client = scene.client(version, "c");
            client.subscribe(&topic, qos);
            let mut sender = scene.client(version, "s");
            for n in 0..COUNT {
                sender.publish(&topic, n.to_string(), qos);
            }
            for n in 0..COUNT {
                assert_eq!(client.receive().text(), n.to_string(), "QoS {qos}");
            }
        }
    }
}

fn nobody_listening_is_no_error(scene: &Scene) {
    for version in BOTH {
        let mut client = scene.client(version, "c");
        for qos in 0..=2 {
            let reason = client.publish(&scene.topic("nobody"), "x", qos);
            assert!([0, 0x10].contains(&reason), "{reason:#04x}");
        }
    }
}

fn a_message_is_acknowledged_with_its_qos(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.client(version, "c");
        client.send(Publish::new(&topic, "x", 0, 0).bytes(version));
        client.send(Publish::new(&topic, "x", 1, 7).bytes(version));
        client.send(Publish::new(&topic, "x", 2, 8).bytes(version));
        let mut acks = Vec::new();
        for _ in 0..2 {
            match client.next_packet() {
                Some(Packet::Ack { first, id, .. }) => acks.push((first, id)),
                other => panic!("expected an acknowledgement, but came {other:?}"),
            }
        }
        acks.sort_unstable();
        assert_eq!(acks, [(packet::PUBACK, 7), (packet::PUBREC, 8)]);
        client.release(8);
        client.ping();
        assert_eq!(client.next_if_any(), None);
    }
}

fn an_identifier_is_free_again_after_puback(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.client(version, "c");
        client.subscribe(&topic, 1);
        // DUP too: whether the first try was lost is known to the sender only.
        for publish in [Publish::new(&topic, "x", 1, 7), Publish::new(&topic, "x", 1, 7).again()] {
            client.publish_all(publish);
            assert_eq!(client.receive().text(), "x");
        }
    }
}

fn an_unknown_puback_does_no_harm(scene: &Scene) {
    let topic = scene.topic("a");
    let mut other = scene.client(Version::V3, "other");
    other.subscribe(&topic, 1);
    for version in BOTH {
        let mut client = scene.client(version, "c");
        client.send(ack(packet::PUBACK, 999));
        client.send(frame(packet::DISCONNECT, []));
        // In 5.0 it may end with an error.
        client.drain();
        other.publish(&topic, "x", 1);
        assert_eq!(other.receive().text(), "x");
    }
}

fn a_repeated_qos_2_message_is_acknowledged_again_and_delivered_once(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut watcher = scene.client(version, "w");
        watcher.subscribe(&topic, 2);
        let mut client = scene.client(version, "c");
        let publish = Publish::new(&topic, "once", 2, 7);
        for publish in [publish.clone(), publish.clone().again(), publish.again()] {
            client.send(publish.bytes(version));
            client.wait_for_ack(packet::PUBREC, 7);
        }
        assert_eq!(client.release(7), 0);
        client.publish(&topic, "marker", 2);
        assert_eq!(watcher.receive_until("marker").len(), 1);
    }
}

fn an_identifier_is_free_again_after_pubcomp(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.client(version, "c");
        client.subscribe(&topic, 2);
        for publish in [Publish::new(&topic, "x", 2, 7), Publish::new(&topic, "x", 2, 7).again()] {
            client.publish_all(publish);
            assert_eq!(client.receive().text(), "x");
        }
    }
}

fn a_pubrel_of_nothing_is_answered(scene: &Scene) {
    for version in BOTH {
        let mut client = scene.client(version, "c");
        let reason = client.release(4242);
        assert_eq!(reason, if version == Version::V5 { 0x92 } else { 0 });
    }
}

fn a_pubrec_of_nothing_is_answered(scene: &Scene) {
    for version in BOTH {
        let mut client = scene.client(version, "c");
        client.send(ack(packet::PUBREC, 4242));
        client.ping();
        match client.next_if_any() {
            Some(Packet::Ack { first: packet::PUBREL, id: 4242, reason, .. }) => {
                assert_eq!(reason, if version == Version::V5 { 0x92 } else { 0 });
            }
            other => panic!("expected PUBREL 4242, but came {other:?}"),
        }
    }
}

fn the_server_releases_after_pubrec_and_ends_after_pubcomp(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.client(version, "c");
        client.subscribe(&topic, 2);
        client.publish(&topic, "x", 2);
        let got = client.take();
        client.ping();
        assert_eq!(client.next_if_any(), None, "expected nothing before PUBREC");
        client.send(ack(packet::PUBREC, got.id));
        client.wait_for_ack(packet::PUBREL, got.id);
        client.ping();
        assert_eq!(client.next_if_any(), None, "expected nothing more after PUBREL");
        client.send(ack(packet::PUBCOMP, got.id));
        client.publish(&topic, "next", 2);
        assert_eq!(client.receive().text(), "next");
    }
}

fn a_pubrec_with_an_error_ends_the_exchange(scene: &Scene) {
    let topic = scene.topic("a");
    let mut client = scene.resume(Version::V5, "c");
    client.subscribe(&topic, 2);
    client.publish(&topic, "refused", 2);
    let got = client.take();
    client.send(ack_with(packet::PUBREC, got.id, 0x80));
    client.ping();
    assert_eq!(client.next_if_any(), None, "expected no PUBREL");
    client.cut();
    let mut client = scene.resume(Version::V5, "c");
    client.publish(&topic, "next", 2);
    assert_eq!(client.receive().text(), "next", "expected the refused one never again");
}

fn an_exchange_that_began_is_finished_though_it_expired(scene: &Scene) {
    let topic = scene.topic("a");
    let mut client = scene.resume(Version::V5, "c");
    client.subscribe(&topic, 2);
    let got = loop {
        client.publish_all(Publish::new(&topic, "x", 2, 0).with(MESSAGE_EXPIRY, 2));
        client.publish(&topic, "marker", 0);
        // Where the machine stopped for so long, it may have expired before it could come.
        match client.take() {
            got if got.text() == "x" => break got,
            _ => {}
        }
    };
    let_pass(Duration::from_secs(4));
    client.send(ack(packet::PUBREC, got.id));
    client.wait_for_ack(packet::PUBREL, got.id);
    client.send(ack(packet::PUBCOMP, got.id));
    client.ping();
}

fn acknowledgements_may_come_out_of_order(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.client(version, "c");
        client.subscribe(&topic, 1);
        for n in 0..5 {
            client.publish(&topic, n.to_string(), 1);
        }
        let held: Vec<Publish> = (0..5).map(|_| client.take()).collect();
        for publish in held.iter().rev() {
            client.send(ack(packet::PUBACK, publish.id));
        }
        client.publish(&topic, "next", 1);
        assert_eq!(client.receive().text(), "next");
    }
}

fn a_request_is_answered_by_its_response_topic_and_correlation(scene: &Scene) {
    let (ask, answers) = (scene.topic("ask"), scene.topic("answers"));
    let mut server = scene.client(Version::V5, "server");
    server.subscribe(&ask, 1);
    let mut client = scene.client(Version::V5, "client");
    client.subscribe(&answers, 1);
    let request =
        Publish::new(&ask, "2+2", 1, 0).with(RESPONSE_TOPIC, &*answers).with(CORRELATION, &b"\0id"[..]);
    client.publish_all(request);
    let asked = server.receive();
    let to = asked.properties.text(RESPONSE_TOPIC).expect("a response topic").to_owned();
    let which = asked.properties.bytes(CORRELATION).expect("correlation data").to_vec();
    server.publish_all(Publish::new(&to, "4", 1, 0).with(CORRELATION, &which[..]));
    let got = client.receive();
    assert_eq!((got.text(), got.properties.bytes(CORRELATION)), ("4", Some(&b"\0id"[..])));
}
