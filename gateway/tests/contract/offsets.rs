//! Positions, times, and messages by place and key.

use ferromq_protocol::code::RequestCode::{
    GetEarliestMsgStoreTime, GetMaxOffset, GetMinOffset, QueryConsumerOffset, QueryMessage,
    SearchOffsetByTimestamp, UpdateConsumerOffset, ViewMessageById,
};

use super::{QUEUE_0, Row, row};

const NO_TOPIC: &[(&str, &str)] = &[("topic", "X"), ("queueId", "0")];

pub fn rows() -> Vec<Row> {
    const G: &[(&str, &str)] = &[("consumerGroup", "G"), ("topic", "T"), ("queueId", "0")];
    let position = |more: &[(&'static str, &'static str)]| [G, more].concat();
    vec![
        row(QueryConsumerOffset, "young queue", G, 0).answers(&[("offset", "0")]),
        row(QueryConsumerOffset, "unknown", &position(&[("setZeroIfNotFound", "false")]), 22)
            .remark("Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first"),
        row(UpdateConsumerOffset, "noted", &position(&[("commitOffset", "2")]), 0),
        row(
            UpdateConsumerOffset,
            "no group",
            &[("consumerGroup", "X"), ("topic", "T"), ("queueId", "0"), ("commitOffset", "2")],
            26,
        )
        .remark("Group X not exist!"),
        row(
            UpdateConsumerOffset,
            "no topic",
            &[("consumerGroup", "G"), ("topic", "X"), ("queueId", "0"), ("commitOffset", "2")],
            17,
        ),
        row(
            UpdateConsumerOffset,
            "no queue",
            &[("consumerGroup", "G"), ("topic", "T"), ("queueId", "9"), ("commitOffset", "2")],
            29,
        ),
        row(GetMaxOffset, "end", QUEUE_0, 0).answers(&[("offset", "3")]),
        row(GetMaxOffset, "no topic", NO_TOPIC, 0).answers(&[("offset", "0")]),
        row(GetMinOffset, "start", QUEUE_0, 0).answers(&[("offset", "0")]),
        row(GetMinOffset, "no topic", NO_TOPIC, 0).answers(&[("offset", "0")]),
        row(
            SearchOffsetByTimestamp,
            "before all",
            &[("topic", "T"), ("queueId", "0"), ("timestamp", "1")],
            0,
        )
        .answers(&[("offset", "0")]),
        row(
            SearchOffsetByTimestamp,
            "behind all",
            &[("topic", "T"), ("queueId", "0"), ("timestamp", "1700000000001")],
            0,
        )
        .answers(&[("offset", "3")]),
        row(
            SearchOffsetByTimestamp,
            "upper",
            &[("topic", "T"), ("queueId", "0"), ("timestamp", "1700000000001"), ("boundaryType", "upper")],
            0,
        )
        .answers(&[("offset", "2")]),
        row(SearchOffsetByTimestamp, "no topic", &[("topic", "X"), ("queueId", "0"), ("timestamp", "1")], 0)
            .answers(&[("offset", "0")]),
        row(GetEarliestMsgStoreTime, "stored", QUEUE_0, 0).answers(&[("timestamp", "1700000000000")]),
        row(GetEarliestMsgStoreTime, "none", NO_TOPIC, 0).answers(&[("timestamp", "-1")]),
        row(ViewMessageById, "there", &[("offset", "0")], 0).contains("UNIQ_KEY"),
        row(ViewMessageById, "not there", &[("offset", "7")], 1)
            .remark("can not find message by the offset, 7"),
        row(
            QueryMessage,
            "by key",
            &[
                ("topic", "T"),
                ("key", "K"),
                ("maxNum", "10"),
                ("beginTimestamp", "0"),
                ("endTimestamp", "1700000000000"),
            ],
            0,
        )
        .answers(&[("indexLastUpdateTimestamp", "*"), ("indexLastUpdatePhyoffset", "*")])
        .contains("KEYS\u{1}K"),
        row(
            QueryMessage,
            "none",
            &[
                ("topic", "T"),
                ("key", "nobody"),
                ("maxNum", "10"),
                ("beginTimestamp", "0"),
                ("endTimestamp", "1700000000000"),
            ],
            22,
        )
        .remark("can not find message, maybe time range not correct"),
    ]
}
