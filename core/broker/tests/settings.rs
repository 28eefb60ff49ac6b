//! Settings that change while the broker runs.

mod support;

use ferromq_broker::live::ChangeError;
use ferromq_broker::pull::{Forbidden, Pull, PullError, Wanted};
use ferromq_broker::send::SendError;
use ferromq_model::topic::{Permission, TopicConfig};
use ferromq_model::{QueueId, QueueOffset, TopicName};
use support::{Rig, message};

fn change(rig: &Rig, changes: &[(&str, &str)]) -> Result<(), ChangeError> {
    let changes: Vec<_> = changes.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    rig.broker.change_settings(&changes)
}

fn shown(rig: &Rig, key: &str) -> String {
    let (_, settings) = rig.broker.settings();
    settings.into_iter().find(|(name, _)| *name == key).expect("the key is shown").1
}

#[test]
fn a_broker_whose_permission_is_taken_refuses_and_tells_name_servers() {
    let rig = Rig::new();
    rig.broker.put_topic(TopicConfig::new(TopicName::new("T").unwrap(), 1)).unwrap();
    rig.sent(&message("T", "x"));
    let advertised = |rig: &Rig| {
        let (version, topics) = rig.broker.advertised_topics();
        let perm = |name: &str| topics.iter().find(|topic| topic.topic_name.as_str() == name).unwrap().perm;
        (version, perm("T"), perm("TBW102"))
    };
    let (before, ..) = advertised(&rig);
    change(&rig, &[("brokerPermission", "4")]).unwrap();
    assert!(matches!(rig.send(&message("T", "x")), Err(SendError::NotWritable(_))));
    let (after, of_topic, of_template) = advertised(&rig);
    assert_ne!(before, after, "a registration is due");
    assert_eq!((of_topic, of_template), (Permission(4), Permission(4)));
    change(&rig, &[("brokerPermission", "2")]).unwrap();
    let ask = Pull {
        group: "G",
        topic: "T",
        queue: Some(QueueId(0)),
        from: Some(QueueOffset(0)),
        max: 1,
        commit: None,
        wanted: Wanted::Expression { text: "*", kind: None },
        hold: None,
    };
    let refused = rig.broker.pull(&ask);
    assert!(matches!(refused, Err(PullError::Forbidden { what: Forbidden::Broker, .. })));
    change(&rig, &[("brokerPermission", "6")]).unwrap();
    rig.sent(&message("T", "x"));
    assert_eq!(advertised(&rig).2, Permission::TEMPLATE, "that it is a template is told again");
}

#[test]
fn topics_and_groups_are_created_by_themselves_as_long_as_that_is_allowed() {
    let rig = Rig::with(|config| config.auto_create_topics = false);
    assert!(matches!(rig.send(&message("N", "x")), Err(SendError::NoTopic(_))));
    change(&rig, &[("autoCreateTopicEnable", "true"), ("autoCreateSubscriptionGroup", "false")]).unwrap();
    rig.sent(&message("N", "x"));
    assert!(rig.broker.groups().find_or_create("N").is_err());
    change(&rig, &[("autoCreateTopicEnable", "false"), ("autoCreateSubscriptionGroup", "true")]).unwrap();
    assert!(matches!(rig.send(&message("M", "x")), Err(SendError::NoTopic(_))));
    rig.broker.groups().find_or_create("N").unwrap();
}

#[test]
fn changes_hold_after_a_restart_until_the_key_is_configured_otherwise() {
    let rig = Rig::new();
    change(&rig, &[("brokerPermission", "4"), ("fileReservedTime", "48")]).unwrap();
    let rig = rig.restart();
    assert_eq!((shown(&rig, "brokerPermission"), shown(&rig, "fileReservedTime")), ("4".into(), "48".into()));
    assert!(matches!(rig.send(&message("T", "x")), Err(SendError::NotWritable(_))));
    let rig = rig.restart_with(|config| config.permission = Permission(2));
    assert_eq!(shown(&rig, "brokerPermission"), "2", "the operator spoke after the change");
    assert_eq!(shown(&rig, "fileReservedTime"), "48");
    let rig = rig.restart_with(|config| config.permission = Permission::READ_WRITE);
    assert_eq!(shown(&rig, "brokerPermission"), "6", "and the change is not brought back");
}

#[test]
fn of_a_request_everything_is_changed_or_nothing() {
    let rig = Rig::new();
    let refused = [
        (
            ("storePathRootDir", "/elsewhere"),
            "storePathRootDir applies on restart: set it in the configuration file",
        ),
        (
            ("mappedFileSizeCommitLog", "1m"),
            "mappedFileSizeCommitLog applies in a new store: set it in the configuration file",
        ),
        (("rmqCommand", "sh"), "rmqCommand is no setting of this broker"),
        (("deleteWhen", "25"), "deleteWhen: "),
    ];
    for (bad, why) in refused {
        let error = change(&rig, &[("brokerPermission", "4"), bad]).unwrap_err().to_string();
        assert!(error.starts_with(why), "{error}");
        assert_eq!(shown(&rig, "brokerPermission"), "6");
    }
    let many: Vec<_> = (0..300).map(|_| ("brokerPermission", "4")).collect();
    assert!(matches!(change(&rig, &many), Err(ChangeError::TooMany)));
    let (version, _) = rig.broker.settings();
    assert_eq!(version.counter, 0);
}
