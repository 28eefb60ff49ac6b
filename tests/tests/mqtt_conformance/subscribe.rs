//! SUBSCRIBE and UNSUBSCRIBE.

use ferromq_tests::mqtt::packet::{self, ack, subscribe, unsubscribe};
use ferromq_tests::mqtt::properties::SUBSCRIPTION_ID;
use ferromq_tests::mqtt::{BOTH, Connection, Packet, Properties, Publish, Scene, Version};
use ferromq_tests::mqtt_tests;

mqtt_tests! {
    a_subscribe_without_filters_ends_the_connection,
    an_unsubscribe_without_filters_ends_the_connection,
    reserved_bits_of_the_requested_qos_end_a_3_1_1_connection,
    reserved_bits_of_subscription_options_end_the_connection,
    qos_3_and_retain_handling_3_end_the_connection,
    no_local_keeps_a_clients_own_messages_from_it,
    no_local_with_a_shared_subscription_ends_the_connection,
    a_subscription_identifier_of_0_ends_the_connection,
    two_subscription_identifiers_end_the_connection,
    a_subscribe_is_answered_with_a_code_for_each_filter_in_order,
    a_refused_filter_does_not_end_a_5_0_connection,
    filters_of_the_wrong_form_are_refused,
    the_same_filter_again_replaces_the_subscription,
    no_message_is_lost_while_a_subscription_is_replaced,
    a_shared_filter_is_another_one,
    wildcard_subscriptions_are_served,
    overlapping_subscriptions_deliver_at_the_highest_qos,
    a_message_carries_the_identifiers_of_all_matching_subscriptions,
    messages_of_subscriptions_without_identifier_carry_none,
    unsubscribe_compares_byte_by_byte,
    after_unsubscribe_nothing_new_comes,
    exchanges_that_began_are_finished_after_unsubscribe,
    an_unsubscribe_is_always_answered,
    unsuback_has_a_code_for_each_filter_in_order,
    a_subscription_of_each_qos_is_granted,
}

fn is_refused(scene: &Scene, version: Version, bytes: &[u8], codes: &[u8]) {
    let mut client = scene.client(version, "bad");
    client.send(bytes);
    client.expect_error(codes);
}

fn a_subscribe_without_filters_ends_the_connection(scene: &Scene) {
    for version in BOTH {
        is_refused(scene, version, &subscribe(version, 1, &Properties::none(), &[]), &[0x81, 0x82]);
    }
}

fn an_unsubscribe_without_filters_ends_the_connection(scene: &Scene) {
    for version in BOTH {
        is_refused(scene, version, &unsubscribe(version, 1, &[]), &[0x81, 0x82]);
    }
}

fn with_options(scene: &Scene, version: Version, options: u8) -> Vec<u8> {
    subscribe(version, 1, &Properties::none(), &[(&scene.topic("a"), options)])
}

fn reserved_bits_of_the_requested_qos_end_a_3_1_1_connection(scene: &Scene) {
    for options in [0x03, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFF] {
        is_refused(scene, Version::V3, &with_options(scene, Version::V3, options), &[]);
    }
}

fn reserved_bits_of_subscription_options_end_the_connection(scene: &Scene) {
    for options in [0x40, 0x80, 0xC1] {
        is_refused(scene, Version::V5, &with_options(scene, Version::V5, options), &[0x81, 0x82]);
    }
}

fn qos_3_and_retain_handling_3_end_the_connection(scene: &Scene) {
    for options in [0x03, 0x30] {
        is_refused(scene, Version::V5, &with_options(scene, Version::V5, options), &[0x81, 0x82]);
    }
}

const NO_LOCAL: u8 = 4;

fn no_local_keeps_a_clients_own_messages_from_it(scene: &Scene) {
    let topic = scene.topic("a");
    let mut client = scene.resume(Version::V5, "c");
    client.subscribe(&topic, 1 | NO_LOCAL);
    client.publish(&topic, "own", 1);
    client.disconnect();
    // Whatever connection it came by.
    let mut client = scene.resume(Version::V5, "c");
    client.publish(&topic, "own", 1);
    scene.client(Version::V5, "other").publish(&topic, "other's", 1);
    assert_eq!(client.receive().text(), "other's");
}

fn no_local_with_a_shared_subscription_ends_the_connection(scene: &Scene) {
    let filter = format!("$share/g/{}", scene.topic("a"));
    let bytes = subscribe(Version::V5, 1, &Properties::none(), &[(&filter, 1 | NO_LOCAL)]);
    is_refused(scene, Version::V5, &bytes, &[0x82]);
}

fn identified(scene: &Scene, ids: &[u32]) -> Vec<u8> {
    let properties =
        ids.iter().fold(Properties::none(), |properties, id| properties.with(SUBSCRIPTION_ID, *id));
    subscribe(Version::V5, 1, &properties, &[(&scene.topic("a"), 0)])
}

fn a_subscription_identifier_of_0_ends_the_connection(scene: &Scene) {
    is_refused(scene, Version::V5, &identified(scene, &[0]), &[0x81, 0x82]);
}

fn two_subscription_identifiers_end_the_connection(scene: &Scene) {
    is_refused(scene, Version::V5, &identified(scene, &[1, 2]), &[0x81, 0x82]);
}

fn a_subscribe_is_answered_with_a_code_for_each_filter_in_order(scene: &Scene) {
    for version in BOTH {
        let mut client = scene.client(version, "c");
        let filters: Vec<(String, u8)> = (0..50u8).map(|n| (scene.topic(&format!("{n}")), n % 3)).collect();
        let asked: Vec<(&str, u8)> = filters.iter().map(|(filter, qos)| (&**filter, *qos)).collect();
        let codes = client.subscribe_to(&Properties::none(), &asked);
        assert_eq!(codes, filters.iter().map(|(_, qos)| *qos).collect::<Vec<_>>());
        client.ping();
        assert_eq!(client.next_if_any(), None, "expected one SUBACK");
    }
}

const WRONG_FILTERS: [&str; 8] = ["a/#/b", "a#", "#a", "a/b#", "a+", "+a", "a/b+/c", "##"];

fn a_refused_filter_does_not_end_a_5_0_connection(scene: &Scene) {
    let mut client = scene.client(Version::V5, "c");
    let (good, also) = (scene.topic("a"), scene.topic("b"));
    let codes = client.subscribe_to(&Properties::none(), &[(&good, 1), (&scene.topic("a#"), 1), (&also, 2)]);
    assert_eq!(codes, [1, 0x8F, 2]);
    client.publish(&also, "x", 2);
    assert_eq!(client.receive().text(), "x");
}

fn filters_of_the_wrong_form_are_refused(scene: &Scene) {
    for version in BOTH {
        for wrong in WRONG_FILTERS.iter().map(|filter| scene.topic(filter)).chain([String::new()]) {
            expect_filter_refused(&mut scene.client(version, "c"), &wrong);
        }
    }
}

/// By the code, or by the end: 0x8F may be in both.
pub(crate) fn expect_filter_refused(client: &mut Connection, wrong: &str) {
    let version = client.version();
    client.send(subscribe(version, 1, &Properties::none(), &[(wrong, 1)]));
    match client.next_packet() {
        Some(Packet::SubAck { codes, .. }) => {
            assert_eq!(codes, [if version == Version::V5 { 0x8F } else { 0x80 }], "{wrong:?}");
        }
        Some(Packet::Disconnect { reason, .. }) => {
            assert!([0x81, 0x82, 0x8F].contains(&reason), "{reason:#04x}");
        }
        None => {}
        other => panic!("expected a refusal of {wrong:?}, but came {other:?}"),
    }
}

fn the_same_filter_again_replaces_the_subscription(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.client(version, "c");
        for qos in [2, 0, 1] {
            assert_eq!(client.subscribe(&topic, qos), qos);
            client.publish(&topic, "x", 2);
            assert_eq!(client.receive().qos, qos);
        }
        client.publish(&topic, "marker", 1);
        assert_eq!(client.receive_until("marker"), []);
        client.unsubscribe(&topic);
        client.publish(&topic, "unheard", 1);
        client.subscribe(&topic, 1);
        client.publish(&topic, "marker", 1);
        assert_eq!(client.receive_until("marker"), []);
    }
}

fn no_message_is_lost_while_a_subscription_is_replaced(scene: &Scene) {
    const COUNT: u16 = 300;
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.client(version, "c");
        client.subscribe(&topic, 1);
        let mut sender = scene.client(version, "s");
        for n in 0..COUNT {
            sender.send(Publish::new(&topic, n.to_string(), 1, n + 1).bytes(version));
            if n % 10 == 0 {
                client.send(subscribe(version, 1000 + n, &Properties::none(), &[(&topic, 1)]));
            }
        }
        for n in 0..COUNT {
            assert_eq!(client.receive().text(), n.to_string());
        }
    }
}

fn a_shared_filter_is_another_one(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.client(version, "c");
        client.subscribe(&topic, 1);
        client.subscribe(&format!("$share/g/{topic}"), 1);
        client.publish(&topic, "x", 1);
        for _ in 0..2 {
            assert_eq!(client.receive().text(), "x");
        }
    }
}

fn wildcard_subscriptions_are_served(scene: &Scene) {
    for version in BOTH {
        let mut client = scene.client(version, "c");
        assert_eq!(client.subscribe(&scene.topic("+/b/#"), 2), 2);
        client.publish(&scene.topic("a/b/c/d"), "x", 2);
        assert_eq!(client.receive().qos, 2);
    }
}

/// One copy at the highest QoS, or a copy for each subscription at its own: either way the highest is among them.
fn overlapping_subscriptions_deliver_at_the_highest_qos(scene: &Scene) {
    for version in BOTH {
        let mut client = scene.client(version, "c");
        let filters = [("a/b", 0), ("a/+", 2), ("#", 1)];
        for (filter, qos) in filters {
            client.subscribe(&scene.topic(filter), qos);
        }
        client.publish(&scene.topic("a/b"), "x", 2);
        assert!(filters.iter().any(|_| client.receive().qos == 2));
    }
}

fn a_message_carries_the_identifiers_of_all_matching_subscriptions(scene: &Scene) {
    let topic = scene.topic("a/b");
    let mut client = scene.client(Version::V5, "c");
    for (filter, id) in [("a/b", 1), ("a/+", 268_435_455), ("x/#", 3)] {
        let id = Properties::none().with(SUBSCRIPTION_ID, id);
        assert_eq!(client.subscribe_to(&id, &[(&scene.topic(filter), 1)]), [1]);
    }
    client.publish(&topic, "x", 1);
    let mut ids = client.receive().properties.numbers(SUBSCRIPTION_ID);
    if ids.len() == 1 {
        // A copy for each.
        ids.extend(client.receive().properties.numbers(SUBSCRIPTION_ID));
    }
    ids.sort_unstable();
    assert_eq!(ids, [1, 268_435_455]);
}

fn messages_of_subscriptions_without_identifier_carry_none(scene: &Scene) {
    let topic = scene.topic("a");
    let mut client = scene.client(Version::V5, "c");
    let id = Properties::none().with(SUBSCRIPTION_ID, 5);
    client.subscribe_to(&id, &[(&topic, 1)]);
    client.publish(&topic, "x", 1);
    assert_eq!(client.receive().properties.numbers(SUBSCRIPTION_ID), [5]);
    // Replaced by one without.
    client.subscribe(&topic, 1);
    client.publish(&topic, "x", 1);
    assert_eq!(client.receive().properties.numbers(SUBSCRIPTION_ID), [0; 0]);
}

fn unsubscribe_compares_byte_by_byte(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a/b");
        let mut client = scene.client(version, "c");
        client.subscribe(&topic, 1);
        for other in ["a/+", "a/#", "#", "A/b", "a/b/", "/a/b", "a"] {
            client.unsubscribe(&scene.topic(other));
        }
        client.publish(&topic, "heard", 1);
        assert_eq!(client.receive().text(), "heard");
    }
}

fn after_unsubscribe_nothing_new_comes(scene: &Scene) {
    for version in BOTH {
        let (topic, other) = (scene.topic("a/b"), scene.topic("a/+"));
        let mut client = scene.client(version, "c");
        client.subscribe(&topic, 1);
        client.unsubscribe(&topic);
        client.publish(&topic, "unheard", 1);
        client.subscribe(&other, 1);
        client.publish(&topic, "marker", 1);
        assert_eq!(client.receive_until("marker"), []);
    }
}

fn exchanges_that_began_are_finished_after_unsubscribe(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut client = scene.client(version, "c");
        client.subscribe(&topic, 2);
        client.publish(&topic, "x", 2);
        let got = client.take();
        client.unsubscribe(&topic);
        client.send(ack(packet::PUBREC, got.id));
        client.wait_for_ack(packet::PUBREL, got.id);
        client.send(ack(packet::PUBCOMP, got.id));
        client.ping();
    }
}

fn an_unsubscribe_is_always_answered(scene: &Scene) {
    for version in BOTH {
        let mut client: Connection = scene.client(version, "c");
        client.unsubscribe(&scene.topic("nothing"));
        client.unsubscribe(&scene.topic("nothing"));
    }
}

fn unsuback_has_a_code_for_each_filter_in_order(scene: &Scene) {
    let mut client = scene.client(Version::V5, "c");
    let (there, also, missing) = (scene.topic("a"), scene.topic("b"), scene.topic("c"));
    client.subscribe_to(&Properties::none(), &[(&there, 1), (&also, 1)]);
    client.send(unsubscribe(Version::V5, 77, &[&there, &missing, &also]));
    let codes = client.wait_for("UNSUBACK", |packet| match packet {
        Packet::UnsubAck { id: 77, codes } => Some(codes.clone()),
        _ => None,
    });
    assert_eq!(codes, [0, 0x11, 0]);
}

fn a_subscription_of_each_qos_is_granted(scene: &Scene) {
    for version in BOTH {
        let mut client = scene.client(version, "c");
        for qos in 0..=2 {
            assert_eq!(client.subscribe(&scene.topic("a"), qos), qos);
        }
    }
}
