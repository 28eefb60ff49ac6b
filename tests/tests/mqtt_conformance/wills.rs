//! What a client leaves behind.

use std::time::{Duration, Instant};

use ferromq_tests::mqtt::packet::{self, counted, disconnect, frame};
use ferromq_tests::mqtt::properties::{
    CONTENT_TYPE, CORRELATION, MESSAGE_EXPIRY, PAYLOAD_FORMAT, RESPONSE_TOPIC, SESSION_EXPIRY, USER,
    WILL_DELAY,
};
use ferromq_tests::mqtt::{
    BOTH, Connect, Connection, Properties, Publish, Scene, Setting, Version, Will, let_pass,
};
use ferromq_tests::mqtt_tests;

mqtt_tests! {
    a_will_goes_out_when_the_connection_breaks,
    a_will_goes_out_after_a_protocol_error,
    a_will_goes_out_when_keep_alive_ends_the_connection,
    a_will_goes_out_on_takeover,
    a_disconnect_deletes_the_will,
    a_disconnect_with_a_reason_publishes_the_will_in_5_0,
    a_will_flag_without_its_fields_is_refused,
    without_will_flag_will_qos_and_will_retain_are_0,
    a_will_of_qos_3_is_refused,
    a_will_is_published_with_its_qos,
    a_retained_will_is_kept,
    a_will_that_is_not_retained_is_not_kept,
    an_empty_will_is_a_will,
    a_will_topic_with_wildcards_is_refused,
    a_will_waits_for_its_delay,
    a_delayed_will_goes_out_when_the_session_ends_before,
    a_delayed_will_of_a_session_without_expiry_goes_out_at_once,
    a_new_connection_cancels_a_delayed_will,
    a_clean_start_publishes_a_delayed_will,
    properties_of_a_will_are_published_with_it,
    a_will_is_published_once,
    a_will_goes_out_when_the_server_is_restarted,
}

/// A subscriber of the will's topic.
fn watcher(scene: &Scene, version: Version, topic: &str) -> Connection {
    let mut watcher = scene.client(version, "watcher");
    watcher.subscribe(topic, 2);
    watcher
}

fn with_will(scene: &Scene, version: Version, topic: &str) -> Connect {
    Connect::clean(version, &scene.id("c")).will(Will::new(topic, "will"))
}

fn a_will_goes_out_when_the_connection_breaks(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("will");
        let mut watcher = watcher(scene, version, &topic);
        scene.connect(&with_will(scene, version, &topic)).cut();
        let got = watcher.receive();
        assert_eq!((&got.topic, got.text(), got.qos, got.retain), (&topic, "will", 1, false));
    }
}

fn a_will_goes_out_after_a_protocol_error(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("will");
        let mut watcher = watcher(scene, version, &topic);
        let mut client = scene.connect(&with_will(scene, version, &topic));
        client.send([0x00, 0x00]);
        client.drain();
        assert_eq!(watcher.receive().text(), "will");
    }
}

fn a_will_goes_out_when_keep_alive_ends_the_connection(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("will");
        let mut watcher = watcher(scene, version, &topic);
        let mut client = scene.connect(&with_will(scene, version, &topic).keep_alive(1));
        client.drain();
        assert_eq!(watcher.receive().text(), "will");
    }
}

fn a_will_goes_out_on_takeover(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("will");
        let mut watcher = watcher(scene, version, &topic);
        let _old = scene.connect(&with_will(scene, version, &topic));
        let _new = scene.client(version, "c");
        assert_eq!(watcher.receive().text(), "will");
    }
}

/// The next message on the will's topic is the marker: there was no will.
fn no_will(watcher: &mut Connection, topic: &str) {
    watcher.publish(topic, "marker", 1);
    assert_eq!(watcher.receive().text(), "marker", "expected no will");
}

fn a_disconnect_deletes_the_will(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("will");
        let mut watcher = watcher(scene, version, &topic);
        scene.connect(&with_will(scene, version, &topic)).disconnect();
        no_will(&mut watcher, &topic);
        // Nor does it come when the session is taken up and lost again.
        scene.client(version, "c").cut();
        no_will(&mut watcher, &topic);
    }
}

fn a_disconnect_with_a_reason_publishes_the_will_in_5_0(scene: &Scene) {
    let topic = scene.topic("will");
    let mut watcher = watcher(scene, Version::V5, &topic);
    for reason in [0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99] {
        let mut client = scene.connect(&with_will(scene, Version::V5, &topic));
        client.send(disconnect(reason, &Properties::none()));
        client.expect_closed();
        watcher.publish(&topic, "marker", 1);
        assert_eq!(watcher.receive().text(), "will", "after reason {reason:#04x}");
        watcher.receive();
    }
}

fn refused(scene: &Scene, connect: &Connect, flags: u8) {
    let mut client = scene.open(connect.version);
    client.send(connect.bytes_as(b"MQTT", connect.version.level(), flags));
    client.expect_refused(&[0x81, 0x82, 0x9B]);
}

fn a_will_flag_without_its_fields_is_refused(scene: &Scene) {
    for version in BOTH {
        let connect = Connect::clean(version, &scene.id("c"));
        refused(scene, &connect, connect.flags() | 0x04);
        // A topic without a payload.
        let mut body = connect.body_as(b"MQTT", version.level(), connect.flags() | 0x04);
        body.extend(version.section(&Properties::none()));
        body.extend(counted(scene.topic("will")));
        let mut client = scene.open(version);
        client.send(frame(packet::CONNECT, body));
        client.expect_refused(&[0x81, 0x82]);
    }
}

fn without_will_flag_will_qos_and_will_retain_are_0(scene: &Scene) {
    for version in BOTH {
        let connect = Connect::clean(version, &scene.id("c"));
        for wrong in [0x08, 0x10, 0x20] {
            refused(scene, &connect, connect.flags() | wrong);
        }
    }
}

fn a_will_of_qos_3_is_refused(scene: &Scene) {
    for version in BOTH {
        let connect = with_will(scene, version, &scene.topic("will"));
        refused(scene, &connect, connect.flags() | 0x18);
    }
}

fn a_will_is_published_with_its_qos(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("will");
        let mut watcher = watcher(scene, version, &topic);
        for qos in 0..=2 {
            let will = Will { qos, ..Will::new(&topic, "will") };
            scene.connect(&Connect::clean(version, &scene.id("c")).will(will)).cut();
            assert_eq!(watcher.receive().qos, qos);
        }
    }
}

/// Whether a will is retained, by a subscription that begins after it.
fn is_kept(scene: &Scene, version: Version, retain: bool) -> bool {
    let topic = scene.topic("will");
    let mut watcher = watcher(scene, version, &topic);
    let will = Will { retain, ..Will::new(&topic, "will") };
    scene.connect(&Connect::clean(version, &scene.id("c")).will(will)).cut();
    assert!(!watcher.receive().retain, "it comes as any message to those who were there");
    let mut late = scene.client(version, "late");
    late.subscribe(&topic, 1);
    late.publish(&topic, "marker", 1);
    let before = late.receive_until("marker");
    // For the next.
    late.publish_all(Publish::new(&topic, "", 1, 0).retained());
    before.iter().any(|publish| publish.retain && publish.text() == "will")
}

fn a_retained_will_is_kept(scene: &Scene) {
    for version in BOTH {
        assert!(is_kept(scene, version, true));
    }
}

fn a_will_that_is_not_retained_is_not_kept(scene: &Scene) {
    for version in BOTH {
        assert!(!is_kept(scene, version, false));
    }
}

fn an_empty_will_is_a_will(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("will");
        let mut watcher = watcher(scene, version, &topic);
        let will = Will::new(&topic, "");
        scene.connect(&Connect::clean(version, &scene.id("c")).will(will)).cut();
        assert_eq!(watcher.receive().payload, b"");
    }
}

fn a_will_topic_with_wildcards_is_refused(scene: &Scene) {
    for version in BOTH {
        for topic in ["a/#", "+/a", "a+", ""] {
            let mut client = scene.open(version);
            client.send(with_will(scene, version, topic).bytes());
            client.expect_refused(&[0x81, 0x82, 0x90]);
        }
    }
}

/// A client of 5.0 whose session outlives it by `expiry` s and whose will waits for `delay` s.
fn delayed(scene: &Scene, topic: &str, expiry: u32, delay: u32) -> Connect {
    let will = Will::new(topic, "will").with(WILL_DELAY, delay);
    let connect = Connect { clean: false, ..Connect::clean(Version::V5, &scene.id("c")) };
    connect.with(SESSION_EXPIRY, expiry).will(will)
}

fn a_will_waits_for_its_delay(scene: &Scene) {
    let topic = scene.topic("will");
    let mut watcher = watcher(scene, Version::V5, &topic);
    let client = scene.connect(&delayed(scene, &topic, 3600, 2));
    let begun = Instant::now();
    client.cut();
    assert_eq!(watcher.receive().text(), "will");
    // Clocks of whole seconds may take one off.
    assert!(begun.elapsed() >= Duration::from_secs(1), "it came after {:?}", begun.elapsed());
}

fn a_delayed_will_goes_out_when_the_session_ends_before(scene: &Scene) {
    let topic = scene.topic("will");
    let mut watcher = watcher(scene, Version::V5, &topic);
    scene.connect(&delayed(scene, &topic, 1, 3600)).cut();
    assert_eq!(watcher.receive().text(), "will");
}

fn a_delayed_will_of_a_session_without_expiry_goes_out_at_once(scene: &Scene) {
    let topic = scene.topic("will");
    let mut watcher = watcher(scene, Version::V5, &topic);
    scene.connect(&delayed(scene, &topic, 0, 3600)).cut();
    assert_eq!(watcher.receive().text(), "will");
}

fn a_new_connection_cancels_a_delayed_will(scene: &Scene) {
    const DELAY: u32 = 3;
    // Where the machine stopped for as long as the delay, the will may be right to go out: then once more.
    for attempt in 0..20 {
        let topic = scene.topic(&format!("will{attempt}"));
        let mut watcher = watcher(scene, Version::V5, &topic);
        let mut old = scene.connect(&delayed(scene, &topic, 3600, DELAY));
        let begun = Instant::now();
        old.send([0x00, 0x00]);
        // The server has seen the end before the new connection comes.
        old.drain();
        let _new = scene.connect(&Connect { will: None, ..delayed(scene, &topic, 3600, 0) });
        if begun.elapsed() < Duration::from_secs(u64::from(DELAY) - 1) {
            let_pass(Duration::from_secs(u64::from(DELAY) + 2));
            return no_will(&mut watcher, &topic);
        }
    }
    panic!("no new connection came within {DELAY} s");
}

fn a_clean_start_publishes_a_delayed_will(scene: &Scene) {
    let topic = scene.topic("will");
    let mut watcher = watcher(scene, Version::V5, &topic);
    let mut old = scene.connect(&delayed(scene, &topic, 3600, 3600));
    old.send([0x00, 0x00]);
    old.drain();
    let _new = scene.client(Version::V5, "c");
    watcher.publish(&topic, "marker", 1);
    assert_eq!(watcher.receive().text(), "will");
}

fn properties_of_a_will_are_published_with_it(scene: &Scene) {
    let topic = scene.topic("will");
    let mut watcher = watcher(scene, Version::V5, &topic);
    let will = Will::new(&topic, "will")
        .with(PAYLOAD_FORMAT, 1)
        .with(MESSAGE_EXPIRY, 3600)
        .with(CONTENT_TYPE, "text/plain")
        .with(RESPONSE_TOPIC, "answers/here")
        .with(CORRELATION, &[0, 1, 0xFF][..])
        .with(USER, ("b", "1"))
        .with(USER, ("a", "2"))
        .with(USER, ("b", "1"));
    scene.connect(&Connect::clean(Version::V5, &scene.id("c")).will(will)).cut();
    let got = watcher.receive().properties;
    assert_eq!(got.number(PAYLOAD_FORMAT), Some(1));
    assert!(got.number(MESSAGE_EXPIRY).is_some_and(|left| (3000..=3600).contains(&left)), "{got:?}");
    assert_eq!(got.text(CONTENT_TYPE), Some("text/plain"));
    assert_eq!(got.text(RESPONSE_TOPIC), Some("answers/here"));
    assert_eq!(got.bytes(CORRELATION), Some(&[0, 1, 0xFF][..]));
    assert_eq!(got.users(), [("b", "1"), ("a", "2"), ("b", "1")]);
    assert!(!got.has(WILL_DELAY));
}

fn a_will_is_published_once(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("will");
        let mut watcher = watcher(scene, version, &topic);
        let will = Will::new(&topic, "will");
        scene.connect(&scene.persistent(version, "c").will(will)).cut();
        assert_eq!(watcher.receive().text(), "will");
        scene.resume(version, "c").cut();
        no_will(&mut watcher, &topic);
    }
}

/// The restart is a loss of the connection. A delay of the will leaves time for the watcher to be there.
fn a_will_goes_out_when_the_server_is_restarted(scene: &Scene) {
    let (_dir, server) = scene.own_server(&[Setting::Persistent]);
    let setup = server.setup().clone();
    let topic = scene.topic("will");
    let mut watcher = Connection::open(server.address(), Version::V5);
    watcher.connect(&scene.persistent(Version::V5, "watcher"));
    watcher.subscribe(&topic, 1);
    let mut client = Connection::open(server.address(), Version::V5);
    client.connect(&delayed(scene, &topic, 3600, 1));
    server.stop();
    let server = setup.start();
    let mut watcher = Connection::open(server.address(), Version::V5);
    watcher.connect(&scene.persistent(Version::V5, "watcher"));
    assert_eq!(watcher.receive().text(), "will");
    server.stop();
}
