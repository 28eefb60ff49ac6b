//! Shared subscriptions.

use std::collections::BTreeSet;

use ferromq_tests::mqtt::packet::{self, ack, ack_with};
use ferromq_tests::mqtt::properties::SUBSCRIPTION_ID;
use ferromq_tests::mqtt::{BOTH, Connection, Packet, Properties, Scene, Version};
use ferromq_tests::mqtt_tests;

use crate::subscribe::expect_filter_refused;

mqtt_tests! {
    each_message_goes_to_one_member,
    groups_are_independent,
    a_member_with_a_plain_subscription_gets_both,
    members_of_both_versions_share,
    shared_filters_of_the_wrong_form_are_refused,
    the_qos_is_the_one_granted_to_the_member,
    a_qos_2_exchange_is_completed_with_its_member,
    a_qos_2_message_of_an_ended_session_is_not_sent_to_another,
    a_refused_message_is_not_sent_to_another,
    messages_wait_for_a_group_whose_members_are_away,
    a_member_that_leaves_gets_nothing_more,
    wildcards_may_be_shared,
    identifiers_and_options_are_each_members_own,
}

fn member(scene: &Scene, version: Version, name: &str, filter: &str) -> Connection {
    let mut client = scene.client(version, name);
    assert_eq!(client.subscribe(filter, 2), 2);
    client
}

/// Who got what of `count` messages, all of which somebody must get.
fn spread(scene: &Scene, topic: &str, members: &mut [Connection], count: usize) -> Vec<BTreeSet<usize>> {
    let mut sender = scene.client(Version::V5, "s");
    for n in 0..count {
        sender.publish(topic, n.to_string(), 1);
    }
    let mut got: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); members.len()];
    while got.iter().map(BTreeSet::len).sum::<usize>() < count {
        for (member, got) in members.iter_mut().zip(&mut got) {
            member.ping();
            while let Some(packet) = member.next_if_any() {
                let Packet::Publish(publish) = packet else {
                    panic!("expected a message, but came {packet:?}")
                };
                member.send(ack(packet::PUBACK, publish.id));
                assert!(got.insert(publish.text().parse().expect("a number")), "it came twice: {publish:?}");
            }
        }
    }
    let all: BTreeSet<usize> = got.iter().flatten().copied().collect();
    assert_eq!(all.len(), count, "each came once: {got:?}");
    got
}

/// Sends again until each member has had a part: one that a busy machine holds up misses its turns meanwhile.
fn expect_all_take_part(scene: &Scene, topic: &str, members: &mut [Connection], count: usize) {
    let mut parts = vec![0; members.len()];
    for _ in 0..20 {
        let got = spread(scene, topic, members, count);
        parts.iter_mut().zip(&got).for_each(|(part, got)| *part += got.len());
        if !parts.contains(&0) {
            return;
        }
    }
    panic!("each takes part: {parts:?}");
}

fn each_message_goes_to_one_member(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let filter = format!("$share/group/{topic}");
        let mut members = ["a", "b", "c"].map(|name| member(scene, version, name, &filter));
        expect_all_take_part(scene, &topic, &mut members, 60);
    }
}

fn groups_are_independent(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let mut one = member(scene, version, "one", &format!("$share/one/{topic}"));
        let mut two = member(scene, version, "two", &format!("$share/two/{topic}"));
        let mut plain = member(scene, version, "plain", &topic);
        scene.client(version, "s").publish(&topic, "x", 1);
        for client in [&mut one, &mut two, &mut plain] {
            assert_eq!(client.receive().text(), "x");
        }
    }
}

fn a_member_with_a_plain_subscription_gets_both(scene: &Scene) {
    let topic = scene.topic("a");
    let mut client = member(scene, Version::V5, "c", &topic);
    client.subscribe(&format!("$share/g/{topic}"), 1);
    scene.client(Version::V5, "s").publish(&topic, "x", 1);
    for _ in 0..2 {
        assert_eq!(client.receive().text(), "x");
    }
}

fn members_of_both_versions_share(scene: &Scene) {
    let topic = scene.topic("a");
    let filter = format!("$share/group/{topic}");
    let mut members = BOTH.map(|version| member(scene, version, &format!("{version:?}"), &filter));
    expect_all_take_part(scene, &topic, &mut members, 40);
}

fn shared_filters_of_the_wrong_form_are_refused(scene: &Scene) {
    for version in BOTH {
        for wrong in
            ["$share/g", "$share//a", "$share/g/", "$share/+/a", "$share/#/a", "$share/g+/a", "$share/"]
        {
            expect_filter_refused(&mut scene.client(version, "c"), wrong);
        }
    }
}

fn the_qos_is_the_one_granted_to_the_member(scene: &Scene) {
    for version in BOTH {
        for qos in 0..=2 {
            let topic = scene.topic("a");
            let mut client = scene.client(version, "c");
            client.subscribe(&format!("$share/g/{topic}"), qos);
            client.publish(&topic, "x", 2);
            assert_eq!(client.receive().qos, qos);
        }
    }
}

/// A member that has a message of QoS 2, not acknowledged, and is gone; another is there.
fn half_done(scene: &Scene, topic: &str) -> (u16, Connection) {
    let filter = format!("$share/group/{topic}");
    let mut first = scene.resume(Version::V5, "first");
    first.subscribe(&filter, 2);
    scene.client(Version::V5, "s").publish(topic, "x", 2);
    let got = first.take();
    let other = member(scene, Version::V5, "other", &filter);
    // By an error, so that the server has seen the end when it is over.
    first.send([0x00, 0x00]);
    first.drain();
    (got.id, other)
}

/// The other member gets the markers only, of which a server may keep some for the one that is away.
fn expect_nothing(scene: &Scene, topic: &str, mut other: Connection) {
    let mut sender = scene.client(Version::V5, "s");
    for _ in 0..4 {
        sender.publish(topic, "marker", 2);
    }
    let got = other.receive();
    assert_eq!(got.text(), "marker", "expected it not to be sent to another: {got:?}");
}

fn a_qos_2_exchange_is_completed_with_its_member(scene: &Scene) {
    let topic = scene.topic("a");
    let (id, other) = half_done(scene, &topic);
    expect_nothing(scene, &topic, other);
    let mut first = scene.resume(Version::V5, "first");
    let again = first.receive();
    assert_eq!((again.text(), again.id, again.dup), ("x", id, true));
}

fn a_qos_2_message_of_an_ended_session_is_not_sent_to_another(scene: &Scene) {
    let topic = scene.topic("a");
    let (_, other) = half_done(scene, &topic);
    let clean = ferromq_tests::mqtt::Connect { clean: true, ..scene.persistent(Version::V5, "first") };
    let _first = scene.connect(&clean);
    expect_nothing(scene, &topic, other);
}

fn a_refused_message_is_not_sent_to_another(scene: &Scene) {
    let topic = scene.topic("a");
    let filter = format!("$share/group/{topic}");
    for (qos, answer) in [(1, packet::PUBACK), (2, packet::PUBREC)] {
        let mut first = scene.client(Version::V5, "first");
        first.subscribe(&filter, qos);
        scene.client(Version::V5, "s").publish(&topic, "x", qos);
        let got = first.take();
        let other = member(scene, Version::V5, "other", &filter);
        first.send(ack_with(answer, got.id, 0x80));
        first.ping();
        first.unsubscribe(&filter);
        expect_nothing(scene, &topic, other);
    }
}

fn messages_wait_for_a_group_whose_members_are_away(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic(&format!("{version:?}"));
        let mut client = scene.resume(version, "c");
        client.subscribe(&format!("$share/group/{topic}"), 1);
        client.disconnect();
        let mut sender = scene.client(version, "s");
        for n in 0..5 {
            sender.publish(&topic, n.to_string(), 1);
        }
        let mut client = scene.resume(version, "c");
        for n in 0..5 {
            assert_eq!(client.receive().text(), n.to_string());
        }
    }
}

fn a_member_that_leaves_gets_nothing_more(scene: &Scene) {
    for version in BOTH {
        let topic = scene.topic("a");
        let filter = format!("$share/group/{topic}");
        let mut members = ["a", "b"].map(|name| member(scene, version, name, &filter));
        // The filter without its share is another subscription.
        members[0].unsubscribe(&topic);
        members[0].unsubscribe(&filter);
        let got = spread(scene, &topic, &mut members, 10);
        assert!(got[0].is_empty(), "{got:?}");
    }
}

fn wildcards_may_be_shared(scene: &Scene) {
    for version in BOTH {
        let filter = format!("$share/group/{}", scene.topic("+/#"));
        let mut client = member(scene, version, "c", &filter);
        client.publish(&scene.topic("a/b/c"), "x", 1);
        assert_eq!(client.receive().text(), "x");
    }
}

fn identifiers_and_options_are_each_members_own(scene: &Scene) {
    const RETAIN_AS_PUBLISHED: u8 = 8;
    let topic = scene.topic("a");
    let filter = format!("$share/group/{topic}");
    let mut client = scene.client(Version::V5, "c");
    let id = Properties::none().with(SUBSCRIPTION_ID, 7);
    client.subscribe_to(&id, &[(&filter, 1 | RETAIN_AS_PUBLISHED)]);
    let kept = ferromq_tests::mqtt::Publish::new(&topic, "x", 1, 0).retained();
    client.publish_all(kept);
    let got = client.receive();
    assert_eq!((got.properties.numbers(SUBSCRIPTION_ID), got.retain), (vec![7], true));
}
