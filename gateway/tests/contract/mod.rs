//! The rows of the broker's contract, one file for each area.

#![allow(unreachable_pub, reason = "a module of a test binary")]

mod admin;
mod assignments;
mod clients;
mod filters;
mod members;
mod offsets;
mod pops;
mod pulls;
mod sends;
mod settings;
mod timers;
mod transactions;

use ferromq_protocol::code::RequestCode;

/// One request in a world where the topic T has three messages in queue 0, the first with the key K, and the client C is
/// the only member of the group G.
pub struct Row {
    /// What is asked for.
    pub request: RequestCode,
    /// In which situation.
    pub when: &'static str,
    pub fields: Vec<(&'static str, &'static str)>,
    pub body: String,
    /// The answer's code.
    pub code: i32,
    /// Fields that the answer must have; `*` for any value.
    pub answers: &'static [(&'static str, &'static str)],
    /// What its remark must contain.
    pub remark: &'static str,
    /// What its body must contain; without anything, it must be empty.
    pub contains: Vec<&'static str>,
}

pub fn row(
    request: RequestCode,
    when: &'static str,
    fields: &[(&'static str, &'static str)],
    code: i32,
) -> Row {
    Row {
        request,
        when,
        fields: fields.to_vec(),
        body: String::new(),
        code,
        answers: &[],
        remark: "",
        contains: Vec::new(),
    }
}

impl Row {
    pub fn with_body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    pub fn answers(mut self, fields: &'static [(&'static str, &'static str)]) -> Self {
        self.answers = fields;
        self
    }

    pub fn remark(mut self, text: &'static str) -> Self {
        self.remark = text;
        self
    }

    pub fn contains(mut self, text: &'static str) -> Self {
        self.contains.push(text);
        self
    }
}

/// The topic T's first queue.
pub const QUEUE_0: &[(&str, &str)] = &[("topic", "T"), ("queueId", "0")];
/// A property string with a client's unique key.
pub const UNIQUE: &str = "UNIQ_KEY\u{1}U\u{2}";

/// All of them.
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(admin::rows());
    rows.extend(assignments::rows());
    rows.extend(clients::rows());
    rows.extend(filters::rows());
    rows.extend(members::rows());
    rows.extend(offsets::rows());
    rows.extend(pops::rows());
    rows.extend(pulls::rows());
    rows.extend(sends::rows());
    rows.extend(settings::rows());
    rows.extend(timers::rows());
    rows.extend(transactions::rows());
    rows
}
