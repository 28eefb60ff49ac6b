//! The contract of the broker's front-end: for each request that it serves, what goes in and what must come out, in both
//! serializations. A request that is served and has no row here fails the test, and so does a row that is not served.

mod support;

use std::collections::BTreeSet;

use ferromq_protocol::code::RequestCode::{self, *};
use ferromq_protocol::frame::Serialization;
use ferromq_store::FlushMode;
use support::{Client, Rig, heartbeat, long_send_fields, pull_fields, send_fields};

/// One request in a world where the topic T has three messages in queue 0, the first with the key K, and the client C is
/// the only member of the group G.
struct Row {
    /// What is asked for.
    request: RequestCode,
    /// In which situation.
    when: &'static str,
    fields: Vec<(&'static str, &'static str)>,
    body: String,
    /// The answer's code.
    code: i32,
    /// Fields that the answer must have; `*` for any value.
    answers: &'static [(&'static str, &'static str)],
    /// What its remark must contain.
    remark: &'static str,
    /// What its body must contain; without it, it must be empty.
    contains: Option<&'static str>,
}

fn row(request: RequestCode, when: &'static str, fields: &[(&'static str, &'static str)], code: i32) -> Row {
    Row {
        request,
        when,
        fields: fields.to_vec(),
        body: String::new(),
        code,
        answers: &[],
        remark: "",
        contains: None,
    }
}

impl Row {
    fn with_body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    fn answers(mut self, fields: &'static [(&'static str, &'static str)]) -> Self {
        self.answers = fields;
        self
    }

    fn remark(mut self, text: &'static str) -> Self {
        self.remark = text;
        self
    }

    fn contains(mut self, text: &'static str) -> Self {
        self.contains = Some(text);
        self
    }
}

const STORED: &[(&str, &str)] = &[
    ("msgId", "*"),
    ("queueId", "0"),
    ("queueOffset", "3"),
    ("transactionId", "U"),
    ("MSG_REGION", "DefaultRegion"),
    ("TRACE_ON", "true"),
];
const REFUSED_SEND: &[(&str, &str)] = &[("MSG_REGION", "DefaultRegion"), ("TRACE_ON", "true")];
const UNIQUE: &str = "UNIQ_KEY\u{1}U\u{2}";
const NO_GROUP: &str = "no consumer for this group, nobody";
const QUEUE_0: &[(&str, &str)] = &[("topic", "T"), ("queueId", "0")];
const NO_TOPIC: &[(&str, &str)] = &[("topic", "X"), ("queueId", "0")];
const LOCK: &str = r#"{"clientId":"C","consumerGroup":"G","mqSet":[{"brokerName":"b","queueId":0,"topic":"T"}],"onlyThisBroker":false}"#;

/// A client's batch of two messages.
fn batch() -> String {
    let item = "\0\0\0\u{17}\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\u{1}x\0\0";
    item.repeat(2)
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(send_rows());
    rows.extend(pull_rows());
    rows.extend(member_rows());
    rows.extend(offset_rows());
    rows.extend(settings_rows());
    rows
}

fn send_rows() -> Vec<Row> {
    vec![
        row(SendMessage, "stored", &long_send_fields("T", "0", UNIQUE), 0).with_body("x").answers(STORED),
        row(SendMessageV2, "stored", &send_fields("T", "0", UNIQUE), 0).with_body("x").answers(STORED),
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
        row(SendMessageV2, "half message", &send_fields("T", "0", "TRAN_MSG\u{1}true\u{2}"), 16)
            .remark("transactional"),
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

fn pull_rows() -> Vec<Row> {
    const FOUND: &[(&str, &str)] =
        &[("suggestWhichBrokerId", "0"), ("nextBeginOffset", "3"), ("minOffset", "0"), ("maxOffset", "3")];
    let mut rows = Vec::new();
    for request in [PullMessage, LitePullMessage] {
        rows.extend([
            row(request, "found", &pull_fields("T", "0", "4", "0"), 0).answers(FOUND).contains("UNIQ_KEY"),
            row(request, "by heartbeat", &pull_fields("T", "0", "0", "0"), 0)
                .answers(FOUND)
                .contains("UNIQ_KEY"),
            row(request, "at the end", &pull_fields("T", "3", "4", "0"), 19).answers(FOUND),
            row(request, "held to the end", &pull_fields("T", "3", "6", "20"), 19).answers(FOUND),
            row(request, "beyond the end", &pull_fields("T", "9", "4", "0"), 21).answers(FOUND),
            row(request, "no topic", &pull_fields("X", "0", "4", "0"), 17).remark("topic[X] not exist"),
        ]);
        let filtered = pull_fields("T", "0", "4", "0")
            .into_iter()
            .map(|(name, value)| (name, if name == "subscription" { "other" } else { value }));
        rows.push(row(request, "filtered out", &filtered.collect::<Vec<_>>(), 20).answers(FOUND));
        let sql = pull_fields("T", "0", "4", "0")
            .into_iter()
            .map(|(name, value)| (name, if name == "expressionType" { "SQL92" } else { value }));
        rows.push(row(request, "SQL", &sql.collect::<Vec<_>>(), 1).remark("by SQL92"));
        rows.push(row(request, "no field", &[], 29).remark("missing"));
    }
    rows
}

fn member_rows() -> Vec<Row> {
    let sql = r#"{"clientId":"C","group":"G","subscriptionData":{"topic":"T","subString":"a > 1","expressionType":"SQL92"}}"#;
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
        row(CheckClientConfig, "tags", &[], 0).with_body(sql.replace("SQL92", "TAG")),
        row(CheckClientConfig, "SQL", &[], 1).with_body(sql).remark("by SQL92"),
        row(LockBatchMq, "free", &[], 0)
            .with_body(LOCK)
            .contains(r#"{"lockOKMQSet":[{"brokerName":"b","queueId":0,"topic":"T"}]}"#),
        row(UnlockBatchMq, "not locked", &[], 0).with_body(LOCK),
    ]
}

fn offset_rows() -> Vec<Row> {
    const G: &[(&str, &str)] = &[("consumerGroup", "G"), ("topic", "T"), ("queueId", "0")];
    let position = |more: &[(&'static str, &'static str)]| [G, more].concat();
    vec![
        row(QueryConsumerOffset, "young queue", G, 0).answers(&[("offset", "0")]),
        row(QueryConsumerOffset, "unknown", &position(&[("setZeroIfNotFound", "false")]), 22)
            .remark("Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first"),
        row(UpdateConsumerOffset, "noted", &position(&[("commitOffset", "2")]), 0),
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

fn settings_rows() -> Vec<Row> {
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
        row(DeleteSubscriptionGroup, "there", &[("groupName", "G"), ("cleanOffset", "true")], 0),
    ]
}

/// The world that the rows speak of.
async fn world() -> (Rig, Client) {
    let rig = Rig::new(FlushMode::Async);
    let mut client = rig.connect();
    for n in 0..3 {
        let properties = if n == 0 { "UNIQ_KEY\u{1}U0\u{2}KEYS\u{1}K\u{2}" } else { UNIQUE };
        let answer = client.ask(SendMessageV2.code(), &send_fields("T", "0", properties), b"x").await;
        assert_eq!(answer.code, 0, "{answer:?}");
    }
    assert_eq!(client.ask(HeartBeat.code(), &[], heartbeat("C", "T").as_bytes()).await.code, 0);
    // Its own join is told to the member, too.
    assert_eq!(client.read().await.code, NotifyConsumerIdsChanged.code());
    (rig, client)
}

#[tokio::test]
async fn every_row_holds_in_both_serializations() {
    for serialization in [Serialization::Json, Serialization::Binary] {
        for row in rows() {
            let (rig, mut client) = world().await;
            client.serialization = serialization;
            if row.request == QueryMessage {
                let store = rig.broker.store();
                while store.indexed() < store.stats().log_max {
                    tokio::task::yield_now().await;
                }
            }
            let what = format!("{} {:?} in {serialization:?}", row.request, row.when);
            let answer = client.ask(row.request.code(), &row.fields, row.body.as_bytes()).await;
            assert_eq!(answer.serialization, serialization, "{what}");
            assert_eq!(answer.code, row.code, "{what}: {answer:?}");
            assert!(answer.remark.contains(row.remark), "{what}: {answer:?}");
            assert!(row.code < 2 || row.remark.is_empty() || !answer.remark.is_empty(), "{what}: {answer:?}");
            for &(name, value) in row.answers {
                let found = answer.field(name);
                assert!(
                    if value == "*" { found != "(absent)" } else { found == value },
                    "{what}: {name} is {found}"
                );
            }
            match row.contains {
                Some(text) => assert!(answer.text().contains(text), "{what}: {}", answer.text()),
                None => assert_eq!(answer.text(), "", "{what}"),
            }
        }
    }
}

#[tokio::test]
async fn what_is_served_has_a_row_and_what_has_none_is_answered_as_unknown() {
    let tested: BTreeSet<i32> =
        rows().iter().filter(|row| row.code == 0).map(|row| row.request.code()).collect();
    let (_rig, mut client) = world().await;
    for &request in RequestCode::ALL {
        // Nothing but the code: what is served at least complains.
        let answer = client.ask(request.code(), &[], b"").await;
        let served = answer.code != 3;
        assert_eq!(
            served,
            tested.contains(&request.code()),
            "{request} is served and has no row, or the reverse"
        );
        if !served {
            assert_eq!(answer.remark, format!(" request type {} not supported", request.code()));
        }
    }
    assert_eq!(client.ask(12_345, &[], b"").await.remark, " request type 12345 not supported");
}

#[tokio::test]
async fn a_one_way_request_is_never_answered() {
    let (_rig, mut client) = world().await;
    for row in rows() {
        let (_, frame) = client.frame(row.request.code(), &row.fields, row.body.as_bytes(), true);
        client.write(&frame).await;
        let last = client.tell(12_345, &[], b"").await;
        let mut answer = client.read().await;
        while answer.code == NotifyConsumerIdsChanged.code() {
            answer = client.read().await;
        }
        assert_eq!((answer.opaque, answer.code), (last, 3), "{} {:?}: {answer:?}", row.request, row.when);
    }
}
