//! Pops, acknowledgements, and what else consumers ask who pop.

use ferromq_protocol::code::RequestCode::{
    AckMessage, BatchAckMessage, ChangeMessageInvisibleTime, Notification, PeekMessage, PollingInfo,
    PopMessage,
};

use super::{Row, row};

const NOW: &str = "1700000000000";
const RECEIPT: &str = "0 1699999999000 60000 3 0 broker-a 0 1";
const FOUND: &[(&str, &str)] = &[
    ("popTime", NOW),
    ("invisibleTime", "60000"),
    ("reviveQid", "*"),
    ("restNum", "1"),
    ("startOffsetInfo", "0 0 0"),
    ("msgOffsetInfo", "0 0 0,1"),
];
/// What clients read with every code that is none of a failure.
const NOTHING: &[(&str, &str)] =
    &[("popTime", "*"), ("invisibleTime", "*"), ("reviveQid", "*"), ("restNum", "0")];

type Fields = Vec<(&'static str, &'static str)>;

/// `base` with other values for some fields.
fn with(base: &[(&'static str, &'static str)], other: &[(&'static str, &'static str)]) -> Fields {
    let named = |name| other.iter().find(|(known, _)| *known == name);
    let mut fields: Fields =
        base.iter().map(|&(name, value)| (name, named(name).map_or(value, |o| o.1))).collect();
    fields.extend(other.iter().filter(|(name, _)| !base.iter().any(|(known, _)| known == name)));
    fields
}

fn pop(other: &[(&'static str, &'static str)]) -> Fields {
    let base = [
        ("consumerGroup", "G"),
        ("topic", "T"),
        ("queueId", "-1"),
        ("maxMsgNums", "2"),
        ("invisibleTime", "60000"),
        ("pollTime", "0"),
        ("bornTime", NOW),
        ("initMode", "0"),
        ("expType", "TAG"),
        ("exp", "*"),
        ("order", "false"),
    ];
    with(&base, other)
}

fn ack(other: &[(&'static str, &'static str)]) -> Fields {
    let base =
        [("consumerGroup", "G"), ("topic", "T"), ("queueId", "0"), ("extraInfo", RECEIPT), ("offset", "1")];
    with(&base, other)
}

fn batch(topic: &str) -> String {
    format!(
        r#"{{"acks":[{{"b":"Aw==","c":"G","it":60000,"pt":1699999999000,"q":0,"r":"0","rq":3,"so":0,"t":"{topic}"}}],"brokerName":"broker-a"}}"#
    )
}

pub fn rows() -> Vec<Row> {
    let mut rows = pops();
    rows.extend(acks());
    rows.extend(others());
    rows
}

fn pops() -> Vec<Row> {
    const ORDERED: &[(&str, &str)] = &[
        ("reviveQid", "999"),
        ("startOffsetInfo", "0 0 0"),
        ("msgOffsetInfo", "0 0 0,1"),
        ("orderCountInfo", "0 0 0"),
    ];
    vec![
        row(PopMessage, "found", &pop(&[]), 0).answers(FOUND).remark("FOUND").contains("UNIQ_KEY"),
        row(PopMessage, "of one queue", &pop(&[("queueId", "0")]), 0).answers(FOUND).contains("UNIQ_KEY"),
        row(PopMessage, "in order", &pop(&[("order", "true"), ("attemptId", "a")]), 0)
            .answers(ORDERED)
            .contains("UNIQ_KEY"),
        row(PopMessage, "of an empty queue", &pop(&[("queueId", "1")]), 210)
            .answers(NOTHING)
            .remark("NO_MESSAGE_IN_QUEUE"),
        row(PopMessage, "held to the end", &pop(&[("queueId", "1"), ("pollTime", "70")]), 210)
            .answers(NOTHING),
        row(PopMessage, "other tags", &pop(&[("exp", "other")]), 210).answers(NOTHING),
        row(PopMessage, "too late", &pop(&[("bornTime", "1699999999000")]), 210).answers(NOTHING),
        row(PopMessage, "too many", &pop(&[("maxMsgNums", "33")]), 29).remark("greater than 32"),
        row(PopMessage, "for too long", &pop(&[("invisibleTime", "999999999999")]), 29).remark("at most"),
        row(PopMessage, "no topic", &pop(&[("topic", "X")]), 17).remark("topic[X] not exist"),
        row(PopMessage, "no queue", &pop(&[("queueId", "99")]), 29).remark("queueId[99] is illegal"),
        row(PopMessage, "bad group", &pop(&[("consumerGroup", "a b")]), 29).remark("illegal characters"),
        row(PopMessage, "bad expression", &pop(&[("expType", "SQL92"), ("exp", "a >")]), 23)
            .remark("parse the consumer's subscription failed"),
        row(PopMessage, "missing field", &[("topic", "T")], 29).remark("missing"),
    ]
}

fn acks() -> Vec<Row> {
    const CHANGED: &[(&str, &str)] = &[("popTime", NOW), ("invisibleTime", "10"), ("reviveQid", "3")];
    let change = |other: &[(&'static str, &'static str)]| with(&ack(&[("invisibleTime", "10")]), other);
    let in_order = "0 1699999999000 60000 999 0 broker-a 0 1";
    let mut rows = vec![
        row(AckMessage, "noted", &ack(&[]), 0),
        row(AckMessage, "not out in order", &ack(&[("extraInfo", in_order)]), 13).remark("in order"),
        row(BatchAckMessage, "noted", &[], 0).with_body(batch("T")),
        row(BatchAckMessage, "no topic", &[], 17).with_body(batch("X")),
        row(BatchAckMessage, "bad bits", &[], 13).with_body(batch("T").replace("Aw==", "*")),
        row(BatchAckMessage, "no body", &[], 29),
        row(ChangeMessageInvisibleTime, "noted", &change(&[]), 0).answers(CHANGED),
        row(ChangeMessageInvisibleTime, "for too long", &change(&[("invisibleTime", "999999999999")]), 29)
            .remark("at most"),
    ];
    for request in [AckMessage, ChangeMessageInvisibleTime] {
        rows.extend([
            row(request, "no topic", &change(&[("topic", "X")]), 17).remark("topic[X] not exist"),
            row(request, "no queue", &change(&[("queueId", "99")]), 13).remark("queueId is illegal"),
            row(request, "no message", &change(&[("offset", "4")]), 208).remark("offset is illegal"),
            row(request, "bad receipt", &change(&[("extraInfo", "1 2")]), 13).remark("not readable: 1 2"),
            row(request, "missing field", &[("topic", "T")], 29).remark("missing"),
        ]);
    }
    rows
}

fn others() -> Vec<Row> {
    const QUEUE: &[(&str, &str)] = &[("consumerGroup", "G"), ("topic", "T"), ("queueId", "0")];
    const ASKED: &[(&str, &str)] = &[("pollTime", "70"), ("bornTime", NOW), ("maxMsgNums", "2")];
    let fields = |other: &[(&'static str, &'static str)]| with(&with(QUEUE, ASKED), other);
    let peeked = &[("startOffsetInfo", "0 0 0"), ("msgOffsetInfo", "0 0 0,1"), ("restNum", "1")];
    let mut rows = vec![
        row(PeekMessage, "found", &fields(&[]), 0).answers(peeked).contains("UNIQ_KEY"),
        row(PeekMessage, "none", &fields(&[("queueId", "1")]), 19).answers(NOTHING),
        row(Notification, "there are", &fields(&[]), 0)
            .answers(&[("hasMsg", "true"), ("pollingFull", "false")]),
        row(Notification, "there are none", &fields(&[("queueId", "1")]), 0).answers(&[("hasMsg", "false")]),
        row(PollingInfo, "nobody waits", QUEUE, 0).answers(&[("pollingNum", "0")]),
    ];
    for request in [PeekMessage, Notification, PollingInfo] {
        rows.extend([
            row(request, "no topic", &fields(&[("topic", "X")]), 17).remark("topic[X] not exist"),
            row(request, "no queue", &fields(&[("queueId", "99")]), 29).remark("queueId[99] is illegal"),
            row(request, "missing field", &[("topic", "T")], 29).remark("missing"),
        ]);
    }
    rows
}
