//! What clients are asked through the broker, and groups that are moved. The client C answers what it is asked.

use ferromq_protocol::code::RequestCode::{
    CloneGroupOffset, ConsumeMessageDirectly, GetConsumerRunningInfo, InvokeBrokerToGetConsumerStatus,
    InvokeBrokerToResetOffset, QueryCorrectionOffset,
};

use super::{Row, row};

const MOVED: &str = r#"{"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"T"}:"#;
const STATUS: &str =
    r#"{"consumerTable":{"C":{{"brokerName":"broker-a","queueId":0,"topic":"T"}:7}},"messageQueueTable":{}}"#;
/// The first message of T, by its place.
const FIRST_MESSAGE: &str = "0A00000200002A9F0000000000000000";

pub fn rows() -> Vec<Row> {
    let reset = |topic: &'static str, group: &'static str, more: &[(&'static str, &'static str)]| {
        [&[("topic", topic), ("group", group), ("timestamp", "-1"), ("isForce", "true")], more].concat()
    };
    let of_group = |group: &'static str| vec![("topic", "T"), ("group", group)];
    let client =
        |group: &'static str, client: &'static str| vec![("consumerGroup", group), ("clientId", client)];
    let directly = |message| [client("G", "C"), vec![("msgId", message)]].concat();
    let clone = |to| vec![("srcGroup", "G"), ("destGroup", to), ("topic", "T"), ("offline", "false")];
    vec![
        row(InvokeBrokerToResetOffset, "to the end", &reset("T", "G", &[]), 0).contains(MOVED),
        row(
            InvokeBrokerToResetOffset,
            "one queue to an offset",
            &reset("T", "G", &[("queueId", "0"), ("offset", "1")]),
            0,
        )
        .contains(r#""queueId":0,"topic":"T"}:1}}"#),
        row(
            InvokeBrokerToResetOffset,
            "beyond the queue",
            &reset("T", "G", &[("queueId", "0"), ("offset", "9")]),
            1,
        )
        .remark("not in the range"),
        row(InvokeBrokerToResetOffset, "no such queue", &reset("T", "G", &[("queueId", "9")]), 29),
        row(InvokeBrokerToResetOffset, "no topic", &reset("X", "G", &[]), 17),
        row(InvokeBrokerToResetOffset, "no group", &reset("T", "X", &[]), 26),
        row(InvokeBrokerToGetConsumerStatus, "all members", &of_group("G"), 0).contains(STATUS),
        row(InvokeBrokerToGetConsumerStatus, "nobody", &of_group("X"), 1)
            .remark("No Any Consumer online in the consumer group: [X]"),
        row(GetConsumerRunningInfo, "passed on", &client("G", "C"), 0).contains("PROP_CONSUMEORDERLY"),
        row(GetConsumerRunningInfo, "not there", &client("G", "X"), 1)
            .remark("The Consumer <G> <X> not online"),
        row(ConsumeMessageDirectly, "passed on", &directly(FIRST_MESSAGE), 0).contains("CR_SUCCESS"),
        row(ConsumeMessageDirectly, "no message", &directly("0A00000200002A9F00000000000FFFFF"), 1)
            .remark("can not find message"),
        row(ConsumeMessageDirectly, "not there", &client("X", "C"), 1).remark("not online"),
        row(CloneGroupOffset, "cloned", &clone("H"), 0),
        row(CloneGroupOffset, "no name", &clone("a/b"), 29),
        row(QueryCorrectionOffset, "nobody consumed", &[("topic", "T"), ("compareGroup", "G")], 0)
            .contains(r#"{"correctionOffsets":{}}"#),
    ]
}
