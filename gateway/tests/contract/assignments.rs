//! Which queues a member gets, and whether it pulls or pops them.

use ferromq_protocol::code::RequestCode::{GetAllMessageRequestMode, QueryAssignment, SetMessageRequestMode};

use super::{Row, row};

fn ask(group: &str, topic: &str, model: &str, strategy: &str) -> String {
    format!(
        r#"{{"clientId":"C","consumerGroup":"{group}","messageModel":"{model}","strategyName":"{strategy}","topic":"{topic}"}}"#
    )
}

fn mode(group: &str, topic: &str, mode: &str) -> String {
    format!(r#"{{"consumerGroup":"{group}","mode":"{mode}","popShareQueueNum":1,"topic":"{topic}"}}"#)
}

pub fn rows() -> Vec<Row> {
    const LAST: &str =
        r#"{"messageQueue":{"brokerName":"broker-a","queueId":3,"topic":"T"},"mode":"PULL"}]}"#;
    const NOTHING: &str = "{}";
    let query = |when, body: String| row(QueryAssignment, when, &[], 0).with_body(body);
    let set = |when, body: String, code| row(SetMessageRequestMode, when, &[], code).with_body(body);
    vec![
        query("the only member", ask("G", "T", "CLUSTERING", "AVG")).contains(LAST),
        query("in turn", ask("G", "T", "CLUSTERING", "AVG_BY_CIRCLE")).contains(LAST),
        query("broadcasting", ask("G", "T", "BROADCASTING", "AVG")).contains(LAST),
        query("of nobody", ask("H", "T", "CLUSTERING", "AVG")).contains(NOTHING),
        query("no topic", ask("G", "X", "CLUSTERING", "AVG")).contains(NOTHING),
        query("no such strategy", ask("G", "T", "CLUSTERING", "BEST")).contains(NOTHING),
        row(QueryAssignment, "no model", &[], 29).with_body("{}").remark("neither CLUSTERING nor"),
        row(QueryAssignment, "no body", &[], 29).remark("body"),
        set("popped", mode("G", "T", "POP"), 0),
        set("of retries", mode("G", "%RETRY%G", "POP"), 16).remark("not allowed"),
        set("no topic", mode("G", "X", "POP"), 17).remark("Topic[X]"),
        set("a new group", mode("new-modes", "T", "POP"), 0),
        set("no such group name", mode("a b", "T", "POP"), 29).remark("a b"),
        set("no such mode", mode("G", "T", "PUSH"), 29).remark("PULL or POP"),
        row(GetAllMessageRequestMode, "asked", &[], 0).contains("messageRequestModeMap"),
    ]
}
