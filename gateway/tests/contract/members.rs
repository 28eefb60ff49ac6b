//! Membership and order locks.

use ferromq_protocol::code::RequestCode::{
    GetConsumerListByGroup, HeartBeat, LockBatchMq, UnlockBatchMq, UnregisterClient,
};

use super::{Row, row};
use crate::support::heartbeat;

const NO_GROUP: &str = "no consumer for this group, nobody";
const LOCK: &str = r#"{"clientId":"C","consumerGroup":"G","mqSet":[{"brokerName":"b","queueId":0,"topic":"T"}],"onlyThisBroker":false}"#;

pub fn rows() -> Vec<Row> {
    vec![
        row(HeartBeat, "again", &[], 0)
            .with_body(heartbeat("C", "T"))
            .answers(&[("IS_SUPPORT_HEART_BEAT_V2", "true"), ("IS_SUB_CHANGE", "true")]),
        row(HeartBeat, "no body", &[], 29),
        row(
            UnregisterClient,
            "leaves",
            &[("clientID", "C"), ("consumerGroup", "G"), ("producerGroup", "P")],
            0,
        ),
        row(GetConsumerListByGroup, "members", &[("consumerGroup", "G")], 0)
            .contains(r#"{"consumerIdList":["C"]}"#),
        row(GetConsumerListByGroup, "nobody", &[("consumerGroup", "nobody")], 1).remark(NO_GROUP),
        row(LockBatchMq, "free", &[], 0)
            .with_body(LOCK)
            .contains(r#"{"lockOKMQSet":[{"brokerName":"b","queueId":0,"topic":"T"}]}"#),
        row(UnlockBatchMq, "not locked", &[], 0).with_body(LOCK),
    ]
}
