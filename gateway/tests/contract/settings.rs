//! Settings of topics and groups.

use ferromq_protocol::code::RequestCode::{
    DeleteSubscriptionGroup, DeleteTopicInBroker, GetAllSubscriptionGroupConfig, GetAllTopicConfig,
    GetSubscriptionGroupConfig, GetTopicConfig, UpdateAndCreateSubscriptionGroup, UpdateAndCreateTopic,
    UpdateAndGetGroupForbidden,
};

use super::{Row, row};

pub fn rows() -> Vec<Row> {
    let topic = |name: &'static str, more: &[(&'static str, &'static str)]| {
        let fields = [
            ("topic", name),
            ("defaultTopic", "TBW102"),
            ("readQueueNums", "4"),
            ("writeQueueNums", "4"),
            ("perm", "6"),
            ("topicFilterType", "SINGLE_TAG"),
            ("topicSysFlag", "0"),
            ("order", "false"),
        ];
        [&fields[..], more].concat()
    };
    vec![
        row(UpdateAndCreateTopic, "new", &topic("N", &[("attributes", "+message.type=FIFO")]), 0),
        row(UpdateAndCreateTopic, "bad name", &topic("a b", &[]), 29),
        row(UpdateAndCreateTopic, "reserved", &topic("TBW102", &[]), 29)
            .remark("The topic[TBW102] is conflict with system topic."),
        row(UpdateAndCreateTopic, "bad attribute", &topic("N", &[("attributes", "+foo=1")]), 1)
            .remark("unsupported key: foo"),
        row(UpdateAndCreateTopic, "no attribute", &topic("N", &[("attributes", "ü=1")]), 1).remark("neither"),
        row(UpdateAndCreateTopic, "bad value", &topic("N", &[("attributes", "+reserve.time=soon")]), 1)
            .remark("not valid"),
        row(DeleteTopicInBroker, "there", &[("topic", "T")], 0),
        row(DeleteTopicInBroker, "not there", &[("topic", "X")], 0),
        row(DeleteTopicInBroker, "reserved", &[("topic", "TBW102")], 29),
        row(GetTopicConfig, "there", &[("topic", "T")], 0).contains(r#""topicName":"T""#),
        row(GetTopicConfig, "not there", &[("topic", "X")], 17).remark("No topic in this broker. topic: X"),
        row(GetAllTopicConfig, "all", &[], 0).contains(r#""%RETRY%G":{"#),
        row(UpdateAndCreateSubscriptionGroup, "new", &[], 0)
            .with_body(r#"{"groupName":"N","retryMaxTimes":3}"#),
        row(UpdateAndCreateSubscriptionGroup, "bad name", &[], 29).with_body(r#"{"groupName":"a b"}"#),
        row(GetSubscriptionGroupConfig, "there", &[("group", "G")], 0).contains(r#""groupName":"G""#),
        row(GetSubscriptionGroupConfig, "created", &[("group", "N")], 0).contains(r#""retryMaxTimes":16"#),
        row(GetAllSubscriptionGroupConfig, "all", &[], 0).contains(r#""TOOLS_CONSUMER":{"#),
        row(UpdateAndGetGroupForbidden, "asked", &[("group", "G"), ("topic", "T")], 0)
            .contains(r#"{"group":"G","readable":true,"topic":"T"}"#),
        row(
            UpdateAndGetGroupForbidden,
            "forbidden",
            &[("group", "G"), ("topic", "T"), ("readable", "false")],
            0,
        )
        .contains(r#"{"group":"G","readable":false,"topic":"T"}"#),
        row(UpdateAndGetGroupForbidden, "bad name", &[("group", "G"), ("topic", "a b")], 29),
        row(UpdateAndGetGroupForbidden, "no group", &[("topic", "T")], 29).remark("missing"),
        row(DeleteSubscriptionGroup, "there", &[("groupName", "G"), ("cleanOffset", "true")], 0),
    ]
}
