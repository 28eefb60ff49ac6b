//! Topics that a group may not read, as operators say.

mod support;

use ferromq_broker::pop::{Pop, PopError, Start};
use ferromq_broker::pull::{Forbidden, Pull, PullError, Wanted};
use ferromq_model::{GroupName, Millis, QueueId, QueueOffset, Timestamp, TopicName};
use support::{Rig, message};

fn may_read(rig: &Rig, group: &str, topic: &str, may: bool) {
    let (group, topic) = (GroupName::new(group).unwrap(), TopicName::new(topic).unwrap());
    rig.broker.groups().set_may_read(&group, &topic, may).unwrap();
}

fn pull(rig: &Rig, group: &str, topic: &str) -> Result<(), Forbidden> {
    let ask = Pull {
        group,
        topic,
        queue: Some(QueueId(0)),
        from: Some(QueueOffset(0)),
        max: 32,
        commit: None,
        wanted: Wanted::Expression { text: "*", kind: None },
        hold: None,
    };
    let subscribed = Pull { wanted: Wanted::Subscribed { version: 1 }, ..ask };
    let [one, other] = [ask, subscribed].map(|ask| match rig.broker.pull(&ask) {
        Ok(_) => Ok(()),
        Err(PullError::Forbidden { what, .. }) => Err(what),
        Err(error) => panic!("{error}"),
    });
    assert_eq!(one, other, "whoever says what is wanted");
    one
}

fn pop(rig: &Rig, group: &str, topic: &str) -> Result<(), Forbidden> {
    let ask = Pop {
        group,
        topic,
        queue: None,
        max: 1,
        invisible: Millis(60_000),
        wait: Millis(0),
        born: Timestamp::ZERO,
        start: Start::Oldest,
        expression: "*",
        expression_kind: "TAG",
        in_order: false,
        attempt: None,
    };
    match rig.broker.pop(&ask) {
        Ok(_) => Ok(()),
        Err(PopError::Forbidden { what, .. }) => Err(what),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_group_neither_pulls_nor_pops_what_it_may_not_read_until_it_may_again() {
    let rig = Rig::new();
    for topic in ["T", "U"] {
        rig.sent(&message(topic, "x"));
    }
    for (group, client) in [("G", "c"), ("H", "cc")] {
        rig.join(group, client, &[("T", "*"), ("U", "*")]);
    }
    let allowed = |rig: &Rig| {
        let mut allowed = Vec::new();
        for (group, topic) in [("G", "T"), ("G", "U"), ("H", "T"), ("H", "U")] {
            let (pulled, popped) = (pull(rig, group, topic), pop(rig, group, topic));
            assert_eq!(pulled, popped);
            assert!(matches!(pulled, Ok(()) | Err(Forbidden::Subscription)));
            allowed.push(pulled.is_ok());
        }
        allowed
    };
    assert_eq!(allowed(&rig), [true; 4]);
    may_read(&rig, "G", "T", false);
    may_read(&rig, "G", "U", false);
    may_read(&rig, "H", "U", false);
    may_read(&rig, "H", "U", false);
    // In the reference this lifts all prohibitions of the group.
    may_read(&rig, "G", "U", true);
    assert_eq!(allowed(&rig), [false, true, true, false]);
    // Behind a crash as well: whoever set it was told that it is so.
    let rig = rig.crash();
    for (group, client) in [("G", "c"), ("H", "cc")] {
        rig.join(group, client, &[("T", "*"), ("U", "*")]);
    }
    assert_eq!(allowed(&rig), [false, true, true, false]);
    rig.broker.delete_group("G", false).unwrap();
    may_read(&rig, "H", "U", true);
    rig.join("G", "c", &[("T", "*"), ("U", "*")]);
    assert_eq!(allowed(&rig), [true; 4]);
}

#[test]
fn prohibitions_have_the_references_shape_and_its_other_bits_are_kept() {
    let rig = Rig::new();
    rig.sent(&message("T", "x"));
    may_read(&rig, "G", "T", false);
    let rig = rig.restart_after(|dir| {
        let path = dir.join("config/subscriptionGroup.json");
        let text = std::fs::read_to_string(&path).unwrap();
        let mut saved: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(saved["forbiddenTable"], serde_json::json!({"G": {"T": 4}}));
        saved["forbiddenTable"] = serde_json::json!({"G": {"T": 2}, "H": {"T": 6}});
        std::fs::write(&path, serde_json::to_vec(&saved).unwrap()).unwrap();
    });
    assert_eq!((pop(&rig, "G", "T"), pop(&rig, "H", "T")), (Ok(()), Err(Forbidden::Subscription)));
    may_read(&rig, "H", "T", true);
    assert_eq!(pop(&rig, "H", "T"), Ok(()));
    let kept = rig.broker.groups().snapshot().forbidden;
    let bits: Vec<_> = kept.iter().map(|(group, topics)| (group.as_str(), topics["T"])).collect();
    assert_eq!(bits, [("G", 2), ("H", 2)]);
}
