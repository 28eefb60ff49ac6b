//! Sending, and sending back.

use ferromq_protocol::code::RequestCode::{
    ConsumerSendMsgBack, SendBatchMessage, SendMessage, SendMessageV2,
};

use super::{Row, UNIQUE, row};
use crate::support::{long_send_fields, send_fields};

const STORED: &[(&str, &str)] = &[
    ("msgId", "*"),
    ("queueId", "0"),
    ("queueOffset", "3"),
    ("transactionId", "U"),
    ("MSG_REGION", "DefaultRegion"),
    ("TRACE_ON", "true"),
];
const REFUSED_SEND: &[(&str, &str)] = &[("MSG_REGION", "DefaultRegion"), ("TRACE_ON", "true")];

/// A client's batch of two messages.
fn batch() -> String {
    let item = "\0\0\0\u{17}\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\u{1}x\0\0";
    item.repeat(2)
}

pub fn rows() -> Vec<Row> {
    vec![
        row(SendMessage, "stored", &long_send_fields("T", "0", UNIQUE), 0).with_body("x").answers(STORED),
        row(SendMessageV2, "stored", &send_fields("T", "0", UNIQUE), 0).with_body("x").answers(STORED),
        row(SendMessageV2, "without a key", &send_fields("T", "0", ""), 0)
            .with_body("x")
            .answers(&[("transactionId", "*")]),
        row(SendMessageV2, "any queue", &send_fields("T", "-1", UNIQUE), 0)
            .with_body("x")
            .answers(&[("queueId", "*")]),
        row(SendMessageV2, "new topic", &send_fields("N", "0", UNIQUE), 0)
            .with_body("x")
            .answers(&[("queueOffset", "0")]),
        row(SendMessageV2, "bad name", &send_fields("../x", "0", ""), 29)
            .remark("illegal characters")
            .answers(REFUSED_SEND),
        row(SendMessageV2, "forbidden topic", &send_fields("SCHEDULE_TOPIC_XXXX", "0", ""), 16)
            .remark("Sending message to topic[SCHEDULE_TOPIC_XXXX] is forbidden.")
            .answers(REFUSED_SEND),
        row(SendMessageV2, "no such queue", &send_fields("T", "99", ""), 29)
            .remark("request queueId[99] is illegal"),
        row(SendMessageV2, "missing field", &[("b", "T")], 29).remark("missing"),
        row(SendBatchMessage, "stored", &send_fields("T", "0", ""), 0).with_body(batch()).answers(&[
            ("msgId", "*"),
            ("queueOffset", "3"),
            ("MSG_REGION", "DefaultRegion"),
            ("TRACE_ON", "true"),
        ]),
        row(SendBatchMessage, "no batch", &send_fields("T", "0", ""), 13)
            .with_body("x")
            .remark("the message is illegal"),
        row(ConsumerSendMsgBack, "waits", &[("offset", "0"), ("group", "G"), ("delayLevel", "0")], 0),
        row(ConsumerSendMsgBack, "not there", &[("offset", "7"), ("group", "G"), ("delayLevel", "0")], 1)
            .remark("look message by offset failed, 7"),
    ]
}
