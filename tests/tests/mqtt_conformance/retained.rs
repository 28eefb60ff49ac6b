//! The last message of a topic, for those who come later.

use std::time::Duration;

use ferromq_tests::mqtt::properties::{CONTENT_TYPE, MESSAGE_EXPIRY, USER};
use ferromq_tests::mqtt::{BOTH, Connection, Publish, Scene, Setting, Version, let_pass};
use ferromq_tests::mqtt_tests;

mqtt_tests! {
    the_last_retained_message_comes_with_a_subscription,
    a_retained_message_keeps_its_qos_and_properties,
    an_empty_retained_message_removes_and_is_delivered,
    a_message_that_is_not_retained_leaves_the_retained_one,
    retained_messages_come_with_every_subscription_in_3_1_1,
    wildcards_get_every_matching_retained_message,
    established_subscriptions_get_messages_without_retain,
    retain_handling_0_sends_with_every_subscription,
    retain_handling_1_sends_with_new_subscriptions_only,
    retain_handling_2_sends_none,
    retain_as_published_keeps_the_flag,
    without_retain_as_published_the_flag_is_0,
    retained_messages_have_the_flag_whatever_is_asked,
    shared_subscriptions_get_no_retained_messages,
    retained_qos_0_messages_are_kept,
    a_retained_message_expires,
    a_retained_message_tells_what_is_left_of_its_expiry,
    retained_messages_survive_a_restart,
}

const RETAIN_AS_PUBLISHED: u8 = 8;

fn retain(client: &mut Connection, topic: &str, payload: &str) {
    client.publish_all(Publish::new(topic, payload, 1, 0).retained());
}

/// Payloads of what comes with a subscription, before anything else on its topic.
fn come_with(client: &mut Connection, filter: &str, options: u8, topic: &str) -> Vec<String> {
    client.subscribe(filter, options);
    client.publish(topic, "marker", 1);
    let got = client.receive_until("marker");
    assert!(got.iter().all(|publish| publish.retain), "{got:?}");
    got.iter().map(|publish| publish.text().to_owned()).collect()
}

fn the_last_retained_message_comes_with_a_subscription(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut sender = scene.client(version, "s");
        for payload in ["first", "second", "third"] {
            retain(&mut sender, &topic, payload);
        }
        retain(&mut sender, &scene.topic("b"), "other");
        let mut client = scene.client(version, "c");
        assert_eq!(come_with(&mut client, &topic, 1, &topic), ["third"]);
    }
}

fn a_retained_message_keeps_its_qos_and_properties(scene: &Scene) {
    let topic = scene.topic("a");
    let mut sender = scene.client(Version::V5, "s");
    for qos in 0..=2 {
        let sent =
            Publish::new(&topic, "x", qos, 0).with(CONTENT_TYPE, "t").with(USER, ("a", "b")).retained();
        sender.publish_all(sent);
        // QoS 0 is not acknowledged.
        sender.ping();
        let mut client = scene.client(Version::V5, "c");
        client.subscribe(&topic, 2);
        let got = client.receive();
        assert_eq!((got.qos, got.retain), (qos, true));
        assert_eq!(
            (got.properties.text(CONTENT_TYPE), got.properties.users()),
            (Some("t"), vec![("a", "b")])
        );
    }
}

fn an_empty_retained_message_removes_and_is_delivered(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.client(version, "c");
        retain(&mut client, &topic, "kept");
        client.subscribe(&topic, 1);
        assert_eq!(client.receive().text(), "kept");
        retain(&mut client, &topic, "");
        let got = client.receive();
        assert_eq!((&got.payload[..], got.retain), (&b""[..], false));
        let mut late = scene.client(version, "late");
        assert_eq!(come_with(&mut late, &topic, 1, &topic), [""; 0]);
    }
}

fn a_message_that_is_not_retained_leaves_the_retained_one(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.client(version, "c");
        retain(&mut client, &topic, "kept");
        client.publish(&topic, "passing", 1);
        client.publish(&topic, "", 1);
        assert_eq!(come_with(&mut client, &topic, 1, &topic), ["kept"]);
    }
}

fn retained_messages_come_with_every_subscription_in_3_1_1(scene: &Scene) {
    let topic = scene.topic("a");
    let mut client = scene.client(Version::V3, "c");
    retain(&mut client, &topic, "kept");
    for _ in 0..3 {
        assert_eq!(come_with(&mut client, &topic, 1, &topic), ["kept"]);
    }
}

fn wildcards_get_every_matching_retained_message(scene: &Scene) {
    for version in BOTH {
        let mut client = scene.client(version, "c");
        for below in ["x/1", "x/2", "x/2/y", "z/1", "x"] {
            retain(&mut client, &scene.topic(below), below);
        }
        for (filter, expected) in [("x/+", vec!["x/1", "x/2"]), ("x/#", vec!["x", "x/1", "x/2", "x/2/y"])] {
            let filter = scene.topic(filter);
            let mut got = come_with(&mut client, &filter, 1, &scene.topic("x/marker"));
            got.sort();
            assert_eq!(got, expected);
            client.unsubscribe(&filter);
        }
    }
}

fn established_subscriptions_get_messages_without_retain(scene: &Scene) {
    let topic = scene.topic("a");
    let mut client = scene.client(Version::V3, "c");
    client.subscribe(&topic, 1);
    retain(&mut client, &topic, "x");
    assert!(!client.receive().retain);
}

/// What comes with a first and with a second subscription of these options.
fn twice(scene: &Scene, options: u8) -> [Vec<String>; 2] {
    let topic = scene.topic("a");
    let mut client = scene.client(Version::V5, "c");
    retain(&mut client, &topic, "kept");
    [(); 2].map(|()| come_with(&mut client, &topic, options, &topic))
}

fn retain_handling_0_sends_with_every_subscription(scene: &Scene) {
    assert_eq!(twice(scene, 1), [["kept"], ["kept"]]);
}

fn retain_handling_1_sends_with_new_subscriptions_only(scene: &Scene) {
    assert_eq!(twice(scene, 1 | 1 << 4), [vec!["kept".to_owned()], vec![]]);
}

fn retain_handling_2_sends_none(scene: &Scene) {
    assert_eq!(twice(scene, 1 | 2 << 4), [[""; 0]; 2]);
}

fn retain_as_published_keeps_the_flag(scene: &Scene) {
    let topic = scene.topic("a");
    let mut client = scene.client(Version::V5, "c");
    client.subscribe(&topic, 1 | RETAIN_AS_PUBLISHED);
    retain(&mut client, &topic, "retained");
    assert!(client.receive().retain);
    client.publish(&topic, "not", 1);
    assert!(!client.receive().retain);
}

fn without_retain_as_published_the_flag_is_0(scene: &Scene) {
    let topic = scene.topic("a");
    let mut client = scene.client(Version::V5, "c");
    client.subscribe(&topic, 1);
    retain(&mut client, &topic, "retained");
    assert!(!client.receive().retain);
}

fn retained_messages_have_the_flag_whatever_is_asked(scene: &Scene) {
    let topic = scene.topic("a");
    let mut client = scene.client(Version::V5, "c");
    retain(&mut client, &topic, "kept");
    for options in [1, 1 | RETAIN_AS_PUBLISHED] {
        client.subscribe(&topic, options);
        assert!(client.receive().retain);
    }
}

fn shared_subscriptions_get_no_retained_messages(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.client(version, "c");
        retain(&mut client, &topic, "kept");
        assert_eq!(come_with(&mut client, &format!("$share/g/{topic}"), 1, &topic), [""; 0]);
    }
}

fn retained_qos_0_messages_are_kept(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.client(version, "c");
        client.publish_all(Publish::new(&topic, "kept", 0, 0).retained());
        assert_eq!(come_with(&mut client, &topic, 1, &topic), ["kept"]);
    }
}

fn a_retained_message_expires(scene: &Scene) {
    let topic = scene.topic("a");
    let mut client = scene.client(Version::V5, "c");
    client.publish_all(Publish::new(&topic, "short", 1, 0).with(MESSAGE_EXPIRY, 1).retained());
    let_pass(Duration::from_secs(3));
    assert_eq!(come_with(&mut client, &topic, 1, &topic), [""; 0]);
}

fn a_retained_message_tells_what_is_left_of_its_expiry(scene: &Scene) {
    let topic = scene.topic("a");
    let mut client = scene.client(Version::V5, "c");
    client.publish_all(Publish::new(&topic, "long", 1, 0).with(MESSAGE_EXPIRY, 3600).retained());
    let_pass(Duration::from_secs(3));
    client.subscribe(&topic, 1);
    let left = client.receive().properties.number(MESSAGE_EXPIRY).expect("an expiry");
    assert!((3000..=3598).contains(&left), "{left} s are left of 3600 after 3");
}

fn retained_messages_survive_a_restart(scene: &Scene) {
    use ferromq_tests::mqtt::Connect;
    let (_dir, server) = scene.own_server(&[Setting::Persistent]);
    let setup = server.setup().clone();
    let topic = scene.topic("a");
    let open = || {
        let mut client = Connection::open(setup.address(), Version::V5);
        client.connect(&Connect::clean(Version::V5, "c"));
        client
    };
    let sent = Publish::new(&topic, "kept", 2, 0).with(CONTENT_TYPE, "t").with(USER, ("a", "b")).retained();
    let mut client = open();
    client.publish_all(sent);
    retain(&mut client, &scene.topic("gone"), "x");
    retain(&mut client, &scene.topic("gone"), "");
    server.stop();
    let server = setup.start();
    let mut client = open();
    client.subscribe(&scene.topic("#"), 2);
    client.publish(&topic, "marker", 2);
    let got = client.receive_until("marker");
    let [kept] = &got[..] else { panic!("expected one message, but came {got:?}") };
    assert_eq!((&kept.topic, kept.text(), kept.qos, kept.retain), (&topic, "kept", 2, true));
    assert_eq!((kept.properties.text(CONTENT_TYPE), kept.properties.users()), (Some("t"), vec![("a", "b")]));
    server.stop();
}
