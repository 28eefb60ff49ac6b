//! Ends of transactions, and replies. The half topic has one message, of the group P; `@half` is where it lies, `@id`
//! the same as a message id.

use ferromq_protocol::code::RequestCode::{
    EndTransaction, ResumeCheckHalfMessage, SendMessageV2, SendReplyMessage, SendReplyMessageV2,
};

use super::{Row, row};
use crate::support::{long_send_fields, send_fields};

const REPLY_TOPIC: &str = "DefaultCluster_REPLY_TOPIC";
const TO_C: &str = "MSG_TYPE\u{1}reply\u{2}CORRELATION_ID\u{1}1\u{2}REPLY_TO_CLIENT\u{1}C\u{2}";
const TO_X: &str = "MSG_TYPE\u{1}reply\u{2}CORRELATION_ID\u{1}1\u{2}REPLY_TO_CLIENT\u{1}X\u{2}";
const HALF: &str = "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}P\u{2}UNIQ_KEY\u{1}H\u{2}";
const TAKEN: &[(&str, &str)] =
    &[("msgId", "*"), ("queueId", "0"), ("queueOffset", "0"), ("MSG_REGION", "DefaultRegion")];

type Fields = Vec<(&'static str, &'static str)>;

fn end(changed: &[(&'static str, &'static str)]) -> Fields {
    let mut fields = vec![
        ("producerGroup", "P"),
        ("tranStateTableOffset", "0"),
        ("commitLogOffset", "@half"),
        ("commitOrRollback", "8"),
        ("fromTransactionCheck", "false"),
        ("msgId", "H"),
        ("transactionId", "H"),
    ];
    for &(name, value) in changed {
        fields.iter_mut().filter(|field| field.0 == name).for_each(|field| field.1 = value);
    }
    fields
}

fn flagged(properties: &'static str) -> Fields {
    let mut fields = send_fields("T", "0", properties);
    fields.iter_mut().filter(|field| field.0 == "f").for_each(|field| field.1 = "4");
    fields
}

pub fn rows() -> Vec<Row> {
    vec![
        row(SendMessageV2, "half", &flagged(HALF), 0).answers(&[
            ("msgId", "*"),
            ("queueId", "0"),
            ("queueOffset", "0"),
            ("transactionId", "H"),
        ]),
        row(SendMessageV2, "half by its flag only", &flagged(""), 13).remark("TRAN_MSG"),
        row(EndTransaction, "committed", &end(&[]), 0),
        row(EndTransaction, "rolled back", &end(&[("commitOrRollback", "12")]), 0),
        row(EndTransaction, "other group", &end(&[("producerGroup", "Q")]), 1)
            .remark("The producer group wrong"),
        row(EndTransaction, "other message", &end(&[("tranStateTableOffset", "7")]), 1)
            .remark("The transaction state table offset wrong"),
        row(EndTransaction, "nothing there", &end(&[("commitLogOffset", "1")]), 1)
            .remark("Find prepared transaction message failed"),
        row(EndTransaction, "no offset", &end(&[("commitLogOffset", "-1")]), 29),
        row(ResumeCheckHalfMessage, "put back", &[("msgId", "@id")], 0),
        row(ResumeCheckHalfMessage, "no half message", &[("msgId", "0A00000200002A9F0000000000000000")], 1)
            .remark("there is no message of RMQ_SYS_TRANS_HALF_TOPIC"),
        row(ResumeCheckHalfMessage, "no id", &[("msgId", "x")], 1).remark("msgId"),
        row(SendReplyMessage, "handed over", &long_send_fields(REPLY_TOPIC, "0", TO_C), 0).answers(TAKEN),
        row(SendReplyMessageV2, "handed over", &send_fields(REPLY_TOPIC, "0", TO_C), 0).answers(TAKEN),
        row(SendReplyMessageV2, "nobody waits", &send_fields(REPLY_TOPIC, "0", TO_X), 1)
            .remark("push reply message fail, channel of <X> not found.")
            .answers(TAKEN),
        row(SendReplyMessageV2, "to nobody", &send_fields(REPLY_TOPIC, "0", ""), 1)
            .remark("reply message properties[REPLY_TO_CLIENT] is null"),
        row(SendReplyMessageV2, "no such queue", &send_fields(REPLY_TOPIC, "9", TO_C), 29),
    ]
}
