//! What operators' tools ask.

use ferromq_protocol::code::RequestCode::{
    CleanExpiredConsumeQueue, CleanUnusedTopic, DeleteExpiredCommitLog, GetAllConsumerOffset,
    GetAllProducerInfo, GetAllSubscriptionGroupConfig, GetAllTopicConfig, GetBrokerConfig,
    GetBrokerConsumeStats, GetBrokerHaStatus, GetBrokerRuntimeInfo, GetConsumeStats,
    GetConsumerConnectionList, GetProducerConnectionList, GetSystemTopicListFromBroker, GetTopicStatsInfo,
    PopRollback, QueryConsumeQueue, QueryConsumeTimeSpan, QuerySubscriptionByConsumer,
    QueryTopicConsumeByWho, QueryTopicsByConsumer, ResetMasterFlushOffset,
    UpdateAndCreateSubscriptionGroupList, UpdateAndCreateTopicList, UpdateBrokerConfig, ViewBrokerStatsData,
};

use super::{Row, row};

pub fn rows() -> Vec<Row> {
    let mut rows = topic_rows();
    rows.extend(group_rows());
    rows.extend(consumption_rows());
    rows.extend(runtime_rows());
    rows.extend(cleanup_rows());
    rows
}

/// What they delete is tested where it lies: none of them is told anything, and none tells anything.
fn cleanup_rows() -> Vec<Row> {
    vec![
        row(CleanExpiredConsumeQueue, "nothing is", &[], 0),
        row(CleanUnusedTopic, "there is none", &[], 0),
        row(DeleteExpiredCommitLog, "carried out later", &[], 0),
    ]
}

fn topic_rows() -> Vec<Row> {
    const TOPIC: &str = r#"{"attributes":{"+message.type":"FIFO"},"order":false,"perm":6,"readQueueNums":4,"topicFilterType":"SINGLE_TAG","topicName":"N","topicSysFlag":0,"writeQueueNums":4}"#;
    let list = |topics: &str| format!(r#"{{"topicConfigList":[{topics}]}}"#);
    vec![
        row(UpdateAndCreateTopicList, "new", &[], 0).with_body(list(TOPIC)),
        row(UpdateAndCreateTopicList, "bad attribute", &[], 1)
            .with_body(list(&TOPIC.replace("+message.type", "+foo")))
            .remark("unsupported key: foo"),
        row(UpdateAndCreateTopicList, "reserved", &[], 29)
            .with_body(list(&TOPIC.replace(r#""topicName":"N""#, r#""topicName":"TBW102""#)))
            .remark("The topic[TBW102] is conflict with system topic."),
        row(UpdateAndCreateTopicList, "no body", &[], 29),
        row(GetAllTopicConfig, "a part", &[("topicSeq", "0"), ("dataVersion", ""), ("maxTopicNum", "2")], 0)
            .answers(&[("totalTopicNum", "*")])
            .contains(r#""topicConfigTable":{"%RETRY%G":{"#)
            .contains(r#""BenchmarkTest":{"#),
        row(GetSystemTopicListFromBroker, "all", &[], 0)
            .contains(r#"{"topicList":["BenchmarkTest","#)
            .contains(r#""SCHEDULE_TOPIC_XXXX""#),
        row(GetTopicStatsInfo, "ends of queues", &[("topic", "T")], 0)
            .contains(r#"{"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"T"}:{"lastUpdateTimestamp":1700000000000,"maxOffset":3,"minOffset":0},{"#)
            .contains(r#""queueId":3,"topic":"T"}:{"lastUpdateTimestamp":0,"maxOffset":0,"minOffset":0}},"topicPutTps":0.3}"#),
        row(GetTopicStatsInfo, "no topic", &[("topic", "X")], 17).remark("topic[X] not exist"),
        row(QueryTopicConsumeByWho, "subscribers", &[("topic", "T")], 0).contains(r#"{"groupList":["G"]}"#),
        row(QueryTopicConsumeByWho, "nobody", &[("topic", "X")], 0).contains(r#"{"groupList":[]}"#),
    ]
}

fn group_rows() -> Vec<Row> {
    const CONNECTION: &str = r#"{"connectionSet":[{"clientAddr":"10.0.0.9:50000","clientId":"C","language":"JAVA","version":479}]"#;
    const SUBSCRIPTION: &str = r#"{"classFilterMode":false,"codeSet":[],"expressionType":"TAG","subString":"*","subVersion":1,"tagsSet":[],"topic":"T"}"#;
    vec![
        row(UpdateAndCreateSubscriptionGroupList, "new", &[], 0)
            .with_body(r#"{"groupConfigList":[{"groupName":"N"},{"groupName":"M","retryMaxTimes":3}]}"#),
        row(UpdateAndCreateSubscriptionGroupList, "attribute", &[], 1)
            .with_body(r#"{"groupConfigList":[{"groupName":"N","attributes":{"+a":"b"}}]}"#)
            .remark("unsupported key: a"),
        row(UpdateAndCreateSubscriptionGroupList, "too many queues", &[], 29)
            .with_body(r#"{"groupConfigList":[{"groupName":"N","retryQueueNums":99999}]}"#),
        row(
            GetAllSubscriptionGroupConfig,
            "a part",
            &[("groupSeq", "0"), ("dataVersion", ""), ("maxGroupNum", "2")],
            0,
        )
        .answers(&[("totalGroupNum", "9")])
        .contains(r#""CID_ONS-HTTP-PROXY""#),
        row(GetConsumerConnectionList, "members", &[("consumerGroup", "G")], 0)
            .contains(CONNECTION)
            .contains(r#","consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","subscriptionTable":{"T":{"#)
            .contains(SUBSCRIPTION),
        row(GetConsumerConnectionList, "nobody", &[("consumerGroup", "X")], 206)
            .remark("the consumer group[X] not online"),
        row(GetProducerConnectionList, "members", &[("producerGroup", "P")], 0).contains(CONNECTION),
        row(GetProducerConnectionList, "nobody", &[("producerGroup", "X")], 1)
            .remark("the producer group[X] not exist"),
        row(GetAllProducerInfo, "all", &[], 0).contains(
            r#"{"data":{"P":[{"clientId":"C","language":"JAVA","lastUpdateTimestamp":1700000000000,"remoteIP":"/10.0.0.9:50000","version":479}]}}"#,
        ),
        row(QueryTopicsByConsumer, "none yet", &[("group", "G")], 0)
            .contains(r#"{"brokerAddr":"10.0.0.2:10911","topicList":[]}"#),
        row(QuerySubscriptionByConsumer, "subscribed", &[("group", "G"), ("topic", "T")], 0)
            .contains(r#"{"group":"G","subscriptionData":{"#)
            .contains(SUBSCRIPTION),
        row(QuerySubscriptionByConsumer, "not subscribed", &[("group", "G"), ("topic", "X")], 0)
            .contains(r#"{"group":"G","topic":"X"}"#),
    ]
}

fn consumption_rows() -> Vec<Row> {
    const POSITION: &str = r#"{"consumeTps":0.0,"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"T"}:{"brokerOffset":3,"consumerOffset":0,"lastTimestamp":0,"pullOffset":0},"#;
    let entries = [("topic", "T"), ("queueId", "0"), ("index", "1"), ("count", "1")];
    vec![
        row(GetConsumeStats, "one topic", &[("consumerGroup", "G"), ("topic", "T")], 0).contains(POSITION),
        row(GetConsumeStats, "listed topics", &[("consumerGroup", "G"), ("topicList", "X;T;")], 0)
            .contains(POSITION),
        row(GetConsumeStats, "not subscribed", &[("consumerGroup", "G"), ("topic", "TBW102")], 0)
            .contains(r#"{"consumeTps":0.0,"offsetTable":{}}"#),
        row(GetBrokerConsumeStats, "all groups", &[("isOrder", "false")], 0)
            .contains(r#"{"brokerAddr":"10.0.0.2:10911","consumeStatsList":[{"CID_ONS-HTTP-PROXY":[]},"#)
            .contains(r#"{"G":[]}"#)
            .contains(r#"],"totalDiff":0,"totalInflightDiff":0}"#),
        row(QueryConsumeTimeSpan, "stored", &[("topic", "T"), ("group", "G")], 0)
            .contains(r#"{"consumeTimeSpanSet":[{"consumeTimeStamp":1700000000000,"consumeTimeStampStr":"2023-11-1"#)
            .contains(r#"20:000","delayTime":0,"maxTimeStamp":1700000000000,"#)
            .contains(r#""messageQueue":{"brokerName":"broker-a","queueId":3,"topic":"T"},"minTimeStamp":-1,"#),
        row(QueryConsumeTimeSpan, "no topic", &[("topic", "X"), ("group", "G")], 17)
            .remark("topic[X] not exist"),
        row(QueryConsumeQueue, "one entry", &entries, 0)
            .contains(r#"{"maxQueueIndex":3,"minQueueIndex":0,"queueData":[{"eval":false,"physicOffset":"#)
            .contains(r#""tagsCode":0}]}"#),
        row(QueryConsumeQueue, "with a filter", &[&entries[..], &[("consumerGroup", "G")]].concat(), 0)
            .contains(r#"{"filterData":"null","maxQueueIndex":3,"#)
            .contains(r#""queueData":[{"eval":true,"#),
        row(QueryConsumeQueue, "offline group", &[&entries[..], &[("consumerGroup", "X")]].concat(), 0)
            .contains(r#"{"filterData":"X@T is not online!","#),
        row(
            QueryConsumeQueue,
            "no queue",
            &[("topic", "X"), ("queueId", "0"), ("index", "0"), ("count", "1")],
            1,
        )
        .remark("0@X is not exist!"),
        row(GetAllConsumerOffset, "all", &[], 0)
            .contains(r#"{"dataVersion":{"#)
            .contains(r#""groupTopicMap":{},"offsetTable":{}}"#),
    ]
}

fn runtime_rows() -> Vec<Row> {
    vec![
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
        row(UpdateBrokerConfig, "at once", &[], 0).with_body("brokerPermission=4\nfileReservedTime=48\n"),
        row(UpdateBrokerConfig, "nothing", &[], 0),
        row(UpdateBrokerConfig, "only at a start", &[], 16)
            .with_body("storePathRootDir=/tmp\n")
            .remark("storePathRootDir applies on restart: set it in the configuration file"),
        row(UpdateBrokerConfig, "unknown", &[], 29)
            .with_body("filePermission=1\n")
            .remark("filePermission is no setting of this broker"),
        row(UpdateBrokerConfig, "bad value", &[], 29)
            .with_body("brokerPermission=4\nfileReservedTime=soon\n")
            .remark("fileReservedTime: "),
        row(UpdateBrokerConfig, "bad escape", &[], 1).with_body("a=\\u00").remark("line 1: malformed"),
        row(PopRollback, "nothing to move", &[], 0),
        row(ResetMasterFlushOffset, "a master", &[("masterFlushOffset", "0")], 0),
        row(GetBrokerHaStatus, "a master alone", &[], 0)
            .contains(r#"{"haClientRuntimeInfo":{"activated":false,"#)
            .contains(
                r#""haConnectionInfo":[],"inSyncSlaveNums":0,"master":true,"masterCommitLogMaxOffset":"#,
            ),
        row(ViewBrokerStatsData, "counted", &[("statsName", "TOPIC_PUT_NUMS"), ("statsKey", "T")], 0)
            .contains(r#"{"statsDay":{"avgpt":1.0,"sum":3,"tps":"#)
            .contains(r#""statsMinute":{"avgpt":1.0,"sum":3,"tps":0.3}}"#),
        row(ViewBrokerStatsData, "never", &[("statsName", "TOPIC_PUT_NUMS"), ("statsKey", "X")], 1)
            .remark("The stats <TOPIC_PUT_NUMS> <X> not exist"),
        row(ViewBrokerStatsData, "no such kind", &[("statsName", "NUMS"), ("statsKey", "T")], 1)
            .remark("The stats <NUMS> <T> not exist"),
    ]
}
