//! What operators' tools ask.

use ferromq_protocol::code::RequestCode::{
    GetBrokerConfig, GetBrokerRuntimeInfo, GetConsumeStats, GetConsumerConnectionList,
    GetProducerConnectionList, GetTopicStatsInfo, QueryTopicConsumeByWho,
};

use super::{Row, row};

pub fn rows() -> Vec<Row> {
    vec![
        row(GetTopicStatsInfo, "ends of queues", &[("topic", "T")], 0)
            .contains(r#"{"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"T"}:{"lastUpdateTimestamp":1700000000000,"maxOffset":3,"minOffset":0},{"#)
            .contains(r#""queueId":3,"topic":"T"}:{"lastUpdateTimestamp":0,"maxOffset":0,"minOffset":0}},"topicPutTps":0.0}"#),
        row(GetTopicStatsInfo, "no topic", &[("topic", "X")], 17).remark("topic[X] not exist"),
        row(QueryTopicConsumeByWho, "subscribers", &[("topic", "T")], 0).contains(r#"{"groupList":["G"]}"#),
        row(QueryTopicConsumeByWho, "nobody", &[("topic", "X")], 0).contains(r#"{"groupList":[]}"#),
        row(GetConsumerConnectionList, "members", &[("consumerGroup", "G")], 0)
            .contains(r#"{"connectionSet":[{"clientAddr":"10.0.0.9:50000","clientId":"C","language":"JAVA","version":479}],"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","subscriptionTable":{"T":{"classFilterMode":false,"codeSet":[],"expressionType":"TAG","subString":"*","subVersion":1,"tagsSet":[],"topic":"T"}}}"#),
        row(GetConsumerConnectionList, "nobody", &[("consumerGroup", "X")], 206)
            .remark("the consumer group[X] not online"),
        row(GetProducerConnectionList, "members", &[("producerGroup", "P")], 0).contains(
            r#"{"connectionSet":[{"clientAddr":"10.0.0.9:50000","clientId":"C","language":"JAVA","version":479}]}"#,
        ),
        row(GetProducerConnectionList, "nobody", &[("producerGroup", "X")], 1)
            .remark("the producer group[X] not exist"),
        row(GetConsumeStats, "one topic", &[("consumerGroup", "G"), ("topic", "T")], 0)
            .contains(r#"{"consumeTps":0.0,"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"T"}:{"brokerOffset":3,"consumerOffset":0,"lastTimestamp":0,"pullOffset":0},"#),
        row(GetConsumeStats, "listed topics", &[("consumerGroup", "G"), ("topicList", "X;T;")], 0)
            .contains(r#""brokerOffset":3"#),
        row(GetConsumeStats, "not subscribed", &[("consumerGroup", "G"), ("topic", "TBW102")], 0)
            .contains(r#"{"consumeTps":0.0,"offsetTable":{}}"#),
        row(GetBrokerRuntimeInfo, "state", &[], 0)
            .contains(r#"{"table":{"#)
            .contains(r#""msgPutTotalTodayNow":"3""#)
            .contains(r#""commitLogDiskRatio":"0.1""#)
            .contains(r#""brokerVersionDesc":"V5_3_3""#)
            .contains(r#""getTransferedTps":"0.0 0.0 0.0""#)
            .contains(r#""earliestMessageTimeStamp":"1700000000000""#),
        row(GetBrokerConfig, "all", &[], 0)
            .answers(&[("version", r#"{"counter":0,"stateVersion":0,"timestamp":0}"#)])
            .contains("brokerName=broker-a\n")
            .contains("brokerPermission=6\n")
            .contains("fileReservedTime=72\n"),
    ]
}
