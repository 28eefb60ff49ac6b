//! Messages that come later: how they are taken, taken back, and told about.

use ferromq_protocol::code::RequestCode::{
    GetAllDelayOffset, GetTimerCheckPoint, GetTimerMetrics, PullMessage, RecallMessage, SendMessageV2,
};

use super::{Row, row};
use crate::support::{pull_fields, send_fields};

/// `v1 T broker-a 1700000060001 U`.
const HANDLE: &str = "djEgVCBicm9rZXItYSAxNzAwMDAwMDYwMDAxIFU=";
/// `v1 X broker-a 1700000060001 U`.
const OTHER_TOPIC: &str = "djEgWCBicm9rZXItYSAxNzAwMDAwMDYwMDAxIFU=";
/// `v1 T broker-b 1700000060001 U`.
const OTHER_BROKER: &str = "djEgVCBicm9rZXItYiAxNzAwMDAwMDYwMDAxIFU=";
/// `v1 T broker-a 1700000000000 U`: it is delivered by now.
const TOO_LATE: &str = "djEgVCBicm9rZXItYSAxNzAwMDAwMDAwMDAwIFU=";

fn recall(when: &'static str, topic: &'static str, handle: &'static str, code: i32) -> Row {
    row(RecallMessage, when, &[("producerGroup", "P"), ("topic", topic), ("recallHandle", handle)], code)
        .answers(&[("MSG_REGION", "DefaultRegion")])
}

pub fn rows() -> Vec<Row> {
    const TIMER: &str = "UNIQ_KEY\u{1}U\u{2}TIMER_DELAY_SEC\u{1}60\u{2}";
    let timer = |when, properties: &'static str, code| {
        row(SendMessageV2, when, &send_fields("T", "0", properties), code).with_body("x")
    };
    vec![
        timer("comes later", TIMER, 0).answers(&[
            ("queueId", "0"),
            ("queueOffset", "0"),
            ("transactionId", "U"),
            // `v1 T broker-a 1700000059001 U`: the slot before a time that is one exactly.
            ("recallHandle", "djEgVCBicm9rZXItYSAxNzAwMDAwMDU5MDAxIFU="),
        ]),
        timer("comes later by level", "UNIQ_KEY\u{1}U\u{2}DELAY\u{1}3\u{2}", 0)
            .answers(&[("queueOffset", "0")]),
        timer("too late to come", "TIMER_DELIVER_MS\u{1}1700000000000\u{2}", 0)
            .answers(&[("queueOffset", "3")]),
        timer("too far ahead", "TIMER_DELAY_SEC\u{1}259201\u{2}", 13).remark("timer message illegal"),
        timer("no time", "TIMER_DELAY_SEC\u{1}soon\u{2}", 13).remark("timer message illegal"),
        row(SendMessageV2, "into the wheel", &send_fields("rmq_sys_wheel_timer", "0", ""), 16)
            .remark("Sending message to topic[rmq_sys_wheel_timer] is forbidden."),
        row(PullMessage, "what waits", &pull_fields("rmq_sys_wheel_timer", "0", "4", "0"), 19)
            .answers(&[("maxOffset", "0")]),
        recall("marked", "T", HANDLE, 0).answers(&[("msgId", "U"), ("MSG_REGION", "DefaultRegion")]),
        recall("no topic", "X", OTHER_TOPIC, 17).remark("recall failed, the topic[X] not exist"),
        recall("no handle", "T", "nonsense", 604).remark("recall handle is invalid"),
        recall("other topic", "T", OTHER_TOPIC, 604).remark("recall failed, topic not match"),
        recall("other broker", "T", OTHER_BROKER, 604).remark("recall failed, broker service not available"),
        recall("too late", "T", TOO_LATE, 604).remark("recall failed, timestamp invalid"),
        row(RecallMessage, "missing field", &[("topic", "T")], 29).remark("missing"),
        row(GetTimerMetrics, "nothing waits", &[], 0).contains(r#""timingCount":{}"#),
        row(GetTimerCheckPoint, "at the start", &[], 0).contains("\0\0\0\0\0\0\0\0"),
        row(GetAllDelayOffset, "nothing waited", &[], 0).contains(r#""offsetTable":{}"#),
    ]
}
