//! Which topics a filter matches.

use ferromq_tests::mqtt::packet::{counted, frame};
use ferromq_tests::mqtt::{BOTH, Connection, Properties, Publish, Scene, Version};
use ferromq_tests::mqtt_tests;

mqtt_tests! {
    a_number_sign_matches_the_parent_and_everything_below,
    a_plus_matches_one_level,
    wildcards_are_whole_levels,
    wildcards_at_the_root_match_all_topics,
    wildcards_at_the_root_do_not_match_topics_with_a_dollar,
    a_filter_with_its_dollar_matches,
    topics_are_case_sensitive,
    empty_levels_are_levels,
    topics_are_not_normalised,
    topics_may_have_spaces_and_any_letters,
    the_longest_topic_is_served,
    nul_is_in_no_topic,
}

/// Publishes to topics (below the scene's own) and says which of them the filter (below it too) was matched by.
fn matches<'a>(scene: &Scene, version: Version, filter: &str, topics: &[&'a str]) -> Vec<&'a str> {
    let prefix = scene.topic("");
    let mut client = scene.client(version, "c");
    assert_eq!(client.subscribe(&format!("{prefix}{filter}"), 1), 1);
    let mut got = Vec::new();
    let mut sender = scene.client(version, "s");
    for topic in topics {
        sender.publish(&format!("{prefix}{topic}"), *topic, 1);
    }
    // What surely matches: the filter with names for its wildcards. It comes behind all that the same filter was matched by.
    let end = format!("{prefix}{}", filter.replace(['#', '+'], "end"));
    sender.publish(&end, "end of the test", 1);
    for publish in client.receive_until("end of the test") {
        assert_eq!(publish.topic, format!("{prefix}{}", publish.text()));
        got.push(*topics.iter().find(|topic| **topic == publish.text()).expect("one of ours"));
    }
    got
}

fn a_number_sign_matches_the_parent_and_everything_below(scene: &Scene) {
    for version in BOTH {
        let topics = ["a", "a/", "a/b", "a/b/c", "a//", "b", "ab", "ab/c", "", "/a"];
        assert_eq!(matches(scene, version, "a/#", &topics), ["a", "a/", "a/b", "a/b/c", "a//"]);
        assert_eq!(matches(scene, version, "a/b/#", &topics), ["a/b", "a/b/c"]);
        assert_eq!(matches(scene, version, "#", &topics), topics);
    }
}

fn a_plus_matches_one_level(scene: &Scene) {
    for version in BOTH {
        let topics = ["a", "a/", "a/b", "a/b/c", "/b", "b/b", "/", "a//c", "b/b/c"];
        assert_eq!(matches(scene, version, "a/+", &topics), ["a/", "a/b"]);
        assert_eq!(matches(scene, version, "+/b", &topics), ["a/b", "/b", "b/b"]);
        assert_eq!(matches(scene, version, "a/+/c", &topics), ["a/b/c", "a//c"]);
        assert_eq!(matches(scene, version, "+", &topics), ["a"]);
        assert_eq!(matches(scene, version, "+/+", &topics), ["a/", "a/b", "/b", "b/b", "/"]);
        assert_eq!(matches(scene, version, "/+", &topics), ["/b", "/"]);
        assert_eq!(matches(scene, version, "+/b/#", &topics), ["a/b", "a/b/c", "/b", "b/b", "b/b/c"]);
    }
}

fn wildcards_are_whole_levels(scene: &Scene) {
    for version in BOTH {
        for wrong in ["a#", "a/#/b", "a/b#", "a+/b", "+b", "a/+b/c", "#/a"] {
            let mut client = scene.client(version, "c");
            let body =
                [vec![0, 1], version.section(&Properties::none()), counted(scene.topic(wrong)), vec![0]];
            client.send(frame(0x82, body.concat()));
            match client.next_packet() {
                None | Some(ferromq_tests::mqtt::Packet::Disconnect { .. }) => {}
                Some(ferromq_tests::mqtt::Packet::SubAck { codes, .. }) if codes[0] >= 0x80 => {}
                other => panic!("expected a refusal of {wrong}, but came {other:?}"),
            }
        }
    }
}

/// The messages of this test among those of others, until the one with `last`.
fn ours(client: &mut Connection, scene: &Scene, last: &str) -> Vec<String> {
    let own = scene.topic("");
    let own = own.trim_end_matches('/');
    let mut got = Vec::new();
    loop {
        let publish = client.receive();
        if !publish.text().ends_with(own) {
            continue;
        }
        if publish.text().starts_with(last) {
            return got;
        }
        got.push(publish.topic);
    }
}

/// Publishes to topics that others may use too: the payload says who it was.
fn publish(sender: &mut Connection, scene: &Scene, topic: &str, what: &str) {
    let own = scene.topic("");
    sender.publish(topic, format!("{what} {}", own.trim_end_matches('/')), 1);
}

fn wildcards_at_the_root_match_all_topics(scene: &Scene) {
    let (_dir, server) = scene.own_server(&[]);
    for version in BOTH {
        let first = scene.topic("");
        let first = first.trim_end_matches('/');
        let topics = [first, &format!("/{first}"), &format!("{first}/"), &format!("{first}/a/b"), "/", "//"];
        let expected: [(&str, &[usize]); 5] = [
            ("#", &[0, 1, 2, 3, 4, 5]),
            ("+", &[0]),
            ("/+", &[1, 4]),
            ("+/+", &[1, 2, 4]),
            ("+/#", &[0, 1, 2, 3, 4, 5]),
        ];
        for (filter, places) in expected {
            let mut client = Connection::open(server.address(), version);
            client.connect(&ferromq_tests::mqtt::Connect::clean(version, "c"));
            client.subscribe(filter, 1);
            topics.iter().for_each(|topic| publish(&mut client, scene, topic, "x"));
            publish(&mut client, scene, &filter.replace(['#', '+'], "end"), "last");
            let got = ours(&mut client, scene, "last");
            assert_eq!(got, places.iter().map(|place| topics[*place]).collect::<Vec<_>>(), "{filter}");
        }
    }
}

/// A server may refuse a client's message to such a topic; then it reaches nobody at all.
fn wildcards_at_the_root_do_not_match_topics_with_a_dollar(scene: &Scene) {
    let (_dir, server) = scene.own_server(&[]);
    for version in BOTH {
        for filter in ["#", "+/a", "+/#"] {
            let mut client = Connection::open(server.address(), version);
            client.connect(&ferromq_tests::mqtt::Connect::clean(version, "c"));
            client.subscribe(filter, 1);
            let mut sender = Connection::open(server.address(), version);
            sender.connect(&ferromq_tests::mqtt::Connect::clean(version, "s"));
            sender.send(Publish::new("$dollar/a", "x", 0, 0).bytes(version));
            sender.disconnect();
            publish(&mut client, scene, "end/a", "last");
            assert_eq!(ours(&mut client, scene, "last"), [""; 0], "{filter}");
        }
    }
}

/// `$SYS` is there without anybody publishing to it.
fn a_filter_with_its_dollar_matches(scene: &Scene) {
    for version in BOTH {
        let mut client = scene.client(version, "c");
        assert!(client.subscribe("$SYS/#", 0) < 3);
        assert!(client.receive().topic.starts_with("$SYS/"));
    }
}

fn topics_are_case_sensitive(scene: &Scene) {
    for version in BOTH {
        assert_eq!(matches(scene, version, "a/B/+", &["A/B/c", "a/b/c", "a/B/c"]), ["a/B/c"]);
    }
}

fn empty_levels_are_levels(scene: &Scene) {
    for version in BOTH {
        let topics = ["a/b", "/a/b", "a/b/", "a//b", "//a/b"];
        for filter in topics {
            // Exactly itself: the end is told apart by its payload.
            assert_eq!(matches(scene, version, filter, &topics), [filter]);
        }
    }
}

fn topics_are_not_normalised(scene: &Scene) {
    for version in BOTH {
        // One letter, and a letter with an accent that follows it.
        let topics = ["\u{e9}/x", "e\u{301}/x", "\u{FF21}/x", "A/x", "%41/x", "a /x", "a/x", " a/x"];
        for filter in ["\u{e9}/+", "e\u{301}/+", "A/+", "a/+"] {
            let exact = filter.replace('+', "x");
            assert_eq!(matches(scene, version, filter, &topics), [exact]);
        }
    }
}

fn topics_may_have_spaces_and_any_letters(scene: &Scene) {
    for version in BOTH {
        let topics = [" ", "a b/c d", "世界/🦀", "\u{FEFF}", "%LMQ%", "|", "a\\b", "\"'", "RETRY", "$x/y"];
        assert_eq!(matches(scene, version, "#", &topics), topics);
    }
}

fn the_longest_topic_is_served(scene: &Scene) {
    for version in BOTH {
        let prefix = scene.topic("");
        let longest = format!("{prefix}{}", "x".repeat(65_535 - prefix.len()));
        let mut client = scene.client(version, "c");
        client.subscribe(&longest, 1);
        client.publish(&longest, "x", 1);
        assert_eq!(client.receive().topic, longest);
        client.subscribe(&scene.topic("+"), 1);
    }
}

fn nul_is_in_no_topic(scene: &Scene) {
    for version in BOTH {
        let mut client = scene.client(version, "c");
        client.send(Publish::new(&scene.topic("a\0b"), "x", 0, 0).bytes(version));
        client.expect_error(&[0x81, 0x82, 0x90]);
    }
}
