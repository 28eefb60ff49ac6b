//! The lists of indices are what the official Java client 5.3.3 computed for the same queues and members.

use std::collections::HashMap;

use ferromq_model::{QueueId, TopicName};
use proptest::prelude::ProptestConfig;
use proptest::{prop_assert, prop_assert_eq, proptest};

use super::*;

fn queues(topic: &str, brokers: &[&str], each: u32) -> Vec<MessageQueue> {
    let topic = TopicName::new(topic).unwrap();
    let mut queues: Vec<_> = brokers
        .iter()
        .map(|&broker| Arc::from(broker))
        .flat_map(|broker: Arc<str>| (0..each).map(move |id| (broker.clone(), QueueId(id))))
        .map(|(broker, id)| MessageQueue { topic: topic.clone(), broker, id })
        .collect();
    queues.sort();
    queues
}

fn orders() -> Vec<MessageQueue> {
    queues("Orders", &["broker-a", "broker-b"], 8)
}

fn members(count: usize, suffix: &str) -> Vec<String> {
    (1..=count).map(|n| format!("10.0.0.{n}@4711#81234567890{n}{suffix}")).collect()
}

/// For each member the places of its queues in the list.
fn parts(strategy: &Strategy, queues: &[MessageQueue], members: &[String]) -> Vec<Vec<usize>> {
    let place = |queue: MessageQueue| queues.iter().position(|one| *one == queue).unwrap();
    members
        .iter()
        .map(|own| strategy.allocate(queues, members, own).into_iter().map(place).collect())
        .collect()
}

#[test]
fn averages_are_javas() {
    let of = |name: &str, count| parts(&name.parse().unwrap(), &orders(), &members(count, ""));
    assert_eq!(of("AVG", 3), [vec![0, 1, 2, 3, 4, 5], vec![6, 7, 8, 9, 10], vec![11, 12, 13, 14, 15]]);
    assert_eq!(
        of("AVG_BY_CIRCLE", 3),
        [vec![0, 3, 6, 9, 12, 15], vec![1, 4, 7, 10, 13], vec![2, 5, 8, 11, 14]]
    );
    let few = parts(&Strategy::Average, &orders()[..3], &members(5, ""));
    assert_eq!(few, [vec![0], vec![1], vec![2], vec![], vec![]]);
}

#[test]
fn the_hash_ring_is_javas() {
    let of = |count| parts(&"CONSISTENT_HASH".parse().unwrap(), &orders(), &members(count, ""));
    assert_eq!(of(1), [(0..16).collect::<Vec<_>>()]);
    assert_eq!(of(2), [vec![0, 4, 6, 7, 14, 15], vec![1, 2, 3, 5, 8, 9, 10, 11, 12, 13]]);
    assert_eq!(of(3), [vec![0, 4, 6, 14], vec![1, 2, 3, 5, 8, 9, 10, 12, 13], vec![7, 11, 15]]);
    assert_eq!(of(5), [vec![0, 4], vec![1, 2, 5, 8, 12, 13], vec![7], vec![6, 11, 14, 15], vec![3, 9, 10]]);
}

const ROOMS: [&str; 4] = ["room1@a", "room2@b", "room3@c", "plain"];

#[test]
fn machine_rooms_are_javas() {
    let strategy = Strategy::MachineRoom(["room1".into(), "room3".into()].into());
    let queues = queues("Orders", &ROOMS, 4);
    assert_eq!(parts(&strategy, &queues, &members(3, "")), [vec![4, 5, 14], vec![6, 7, 15], vec![12, 13]]);
    assert_eq!(
        ["r@b", "r@b@", "r@", "@b", "r", "r@b@c"].map(broker_room),
        [Some("r"), Some("r"), None, Some(""), None, None]
    );
}

/// What stands before the first `@`.
#[derive(Debug)]
struct Prefixes;

impl Rooms for Prefixes {
    fn of_queue<'a>(&'a self, queue: &'a MessageQueue) -> Option<&'a str> {
        queue.broker.split('@').next()
    }

    fn of_member<'a>(&'a self, member: &'a str) -> Option<&'a str> {
        member.split_once('@').map(|(room, _)| room)
    }
}

#[test]
fn rooms_nearby_are_javas_and_a_member_without_a_room_shares_the_deserted_ones() {
    let strategy =
        Strategy::MachineRoomNearby { inner: Box::new(Strategy::Average), rooms: Arc::new(Prefixes) };
    assert_eq!(strategy.to_string(), "MACHINE_ROOM_NEARBY-AVG");
    let queues = queues("Orders", &ROOMS, 4);
    let mut members = ["room1@1", "room1@2", "room2@1"].map(str::to_owned).to_vec();
    assert_eq!(
        parts(&strategy, &queues, &members),
        [vec![4, 5, 0, 1, 12, 13], vec![6, 7, 2, 14], vec![8, 9, 10, 11, 3, 15]]
    );
    members.push("somewhere".to_owned());
    assert_eq!(parts(&strategy, &queues, &members)[3], [3, 15]);
}

#[test]
fn a_fixed_list_leaves_the_retry_topic_to_all_members() {
    let strategy = Strategy::Fixed(orders()[2..4].into());
    assert_eq!(parts(&strategy, &orders(), &members(2, "")), [vec![2, 3], vec![2, 3]]);
    let retry = queues("%RETRY%G", &["broker-a"], 2);
    assert_eq!(parts(&strategy, &retry, &members(2, "")), [vec![0], vec![1]]);
    let other = queues("Other", &["broker-a"], 2);
    assert_eq!(strategy.allocate(&other, &members(1, ""), &members(1, "")[0]), []);
}

#[test]
fn names_are_the_official_ones_and_read_back() {
    for name in ["STICKY", "AVG", "AVG_BY_CIRCLE", "CONSISTENT_HASH"] {
        assert_eq!(name.parse::<Strategy>().unwrap().to_string(), name);
    }
    for name in ["avg", "", "CONFIG", "MACHINE_ROOM"] {
        assert_eq!(name.parse::<Strategy>().unwrap_err(), UnknownStrategy(name.to_owned()));
    }
    assert_eq!(Strategy::default().to_string(), "STICKY");
}

#[test]
fn one_member_that_does_not_say_sticky_makes_all_share_as_official_clients_do() {
    let mut mixed = members(4, STICKY_SUFFIX);
    assert_ne!(parts(&Strategy::Sticky, &orders(), &mixed), parts(&Strategy::Average, &orders(), &mixed));
    mixed[2] = members(3, "")[2].clone();
    assert_eq!(parts(&Strategy::Sticky, &orders(), &mixed), parts(&Strategy::Average, &orders(), &mixed));
}

/// Clients of different versions share a group.
#[test]
fn sticky_parts_stay_what_they_are_in_every_version() {
    assert_eq!(
        parts(&Strategy::Sticky, &orders(), &members(3, STICKY_SUFFIX)),
        [vec![4, 10, 13, 14, 15], vec![0, 2, 3, 7, 8, 9], vec![1, 5, 6, 11, 12]]
    );
}

#[test]
fn whoever_is_not_in_the_group_gets_nothing_and_no_queues_are_no_trouble() {
    for name in ["STICKY", "AVG", "AVG_BY_CIRCLE", "CONSISTENT_HASH"] {
        let strategy: Strategy = name.parse().unwrap();
        assert_eq!(strategy.allocate(&orders(), &members(2, ""), "stranger"), []);
        assert_eq!(strategy.allocate(&orders(), &[] as &[String], "stranger"), []);
        assert_eq!(parts(&strategy, &[], &members(2, STICKY_SUFFIX)), [vec![], vec![]] as [Vec<usize>; 2]);
    }
}

/// The member that each queue belongs to.
fn owners(queues: &[MessageQueue], members: &[String]) -> HashMap<usize, String> {
    let parts = parts(&Strategy::Sticky, queues, members);
    let of = |(part, own): (Vec<usize>, &String)| {
        part.into_iter().map(|queue| (queue, own.clone())).collect::<Vec<_>>()
    };
    parts.into_iter().zip(members).flat_map(of).collect()
}

#[test]
fn few_sticky_queues_move_when_a_member_leaves() {
    let queues = queues("Orders", &["a", "b", "c", "d"], 32);
    let all = members(9, STICKY_SUFFIX);
    let before = owners(&queues, &all);
    let mut moved = 0;
    for leaving in 0..all.len() {
        let mut left = all.clone();
        left.remove(leaving);
        let after = owners(&queues, &left);
        moved += before.iter().filter(|(queue, owner)| after[*queue] != **owner).count();
    }
    // Each of the 128 queues must move once: when its member leaves. Half as many more may.
    assert!((128..=192).contains(&moved), "{moved} moves");
}

/// The formula of `AllocateMessageQueueAveragely`, in signed numbers as it stands there.
fn java_average(queues: i64, members: i64, index: i64) -> Vec<usize> {
    let rest = queues % members;
    let one_more = rest > 0 && index < rest;
    let average = if queues <= members { 1 } else { queues / members + i64::from(one_more) };
    let start = if one_more { index * average } else { index * average + rest };
    (0..average.min(queues - start)).map(|i| (start + i) as usize).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_queue_has_one_owner_and_counts_are_even(brokers in 1..4_usize, each in 1..20_u32, count in 1..12_usize) {
        let queues = queues("Orders", &["broker-a", "broker-b", "broker-c"][..brokers], each);
        for (suffix, name) in [(STICKY_SUFFIX, "STICKY"), ("", "STICKY"), ("", "AVG"), ("", "AVG_BY_CIRCLE"), ("", "CONSISTENT_HASH")] {
            let mut members = members(count, suffix);
            members.sort();
            let parts = parts(&name.parse().unwrap(), &queues, &members);
            let mut all = parts.concat();
            all.sort_unstable();
            prop_assert!(all.iter().copied().eq(0..queues.len()), "{}: {:?}", name, parts);
            if name != "CONSISTENT_HASH" {
                let counts = || parts.iter().map(Vec::len);
                prop_assert!(counts().max().unwrap() - counts().min().unwrap() <= 1, "{}: {:?}", name, parts);
            }
        }
    }

    #[test]
    fn averages_follow_javas_formula(each in 1..70_u32, count in 1..40_usize) {
        let queues = queues("Orders", &["broker-a"], each);
        let mut members = members(count, "");
        members.sort();
        let javas: Vec<_> =
            (0..count).map(|index| java_average(i64::from(each), count as i64, index as i64)).collect();
        prop_assert_eq!(parts(&Strategy::Average, &queues, &members), javas);
    }
}
