//! Administration as one table of operations, which a language calls by name with arguments and answers in JSON.
//!
//! ```text
//! language ── "change_topic", {"topic": "T", "queues": 4} ──▶ call ──▶ core/client's Admin ──▶ Answer
//! ```
//! Always true:
//! * an argument that no operation has, or that is missing, is a fault of the caller and reaches no server;
//! * arguments are spelled `like_this`, answers `likeThis` as `ferromq admin --output json` prints them, settings as
//!   RocketMQ spells them; times are milliseconds since 1970;
//! * no operation shows a secret or sets a path.
//!
//! | file | operations on |
//! |---|---|
//! | `topics` | topics |
//! | `groups` | consumer groups, their members and producers |
//! | `positions` | positions of groups |
//! | `messages` | messages |
//! | `servers` | clusters, brokers, NameServers |
//!
//! What there is beside them in the client stays out: reading a topic in parts that can be gone on with (`Admin::scan`),
//! for which a consumer does; and finding a queue by its name (`Admin::queue`), which every operation on a queue does itself.
//!
//! # Shapes of answers
//!
//! In TypeScript's notation, for whoever writes types for a language:
//!
//! ```text
//! Gathered<T>     { value: T, failures: Failure[] }                       what the others said, and who could not
//! Failure         { server: string, addr: string, code: number | null, error: string }
//! BrokerNode      { cluster: string, name: string, id: number, addr: string }          id 0: the master
//! PerBroker<T>    { broker: BrokerNode, value: T }
//! Queue           { topic: string, broker: string, queue: number }
//!
//! RouteRow        { cluster: string, broker: string, addrs: Record<string, string>, readQueues: number, writeQueues: number }
//! TopicStatus     { putsPerSecond: number, queues: (Queue & { min: number, max: number, lastStored: number | null })[] }
//! TopicSettings   { topicName: string, readQueueNums: number, writeQueueNums: number, perm: number, order: boolean,
//!                   topicFilterType: string, topicSysFlag: number, attributes: Record<string, string> }
//! Traffic         { topic: string, group: string | null, putsPerSecond: number, putsInDay: number,
//!                   getsPerSecond: number, getsInDay: number, lag: number }
//! GroupSettings   { groupName: string, consumeEnable: boolean, retryMaxTimes: number, … }          as RocketMQ has them
//! Progress        { getsPerSecond: number, lag: number,
//!                   queues: (Queue & { end: number, position: number, lag: number, lastConsumed: number | null })[] }
//! Running         { client: string, properties: Record<string, string>, stack: string | null, rates: Record<string, object>,
//!                   queues: (Queue & { position: number, waiting: number, waitingMib: number, locked: boolean,
//!                                      lastPulled: number, lastConsumed: number })[] }
//! Subscribed      { expression: string, kind: string }
//! ConsumerGroup   { group: string, members: Connected[], consumeType: string, messageModel: string,
//!                   consumeFromWhere: string, subscriptions: Record<string, Subscribed> }
//! Connected       { clientId: string, addr: string, language: string, version: number, heard?: number }
//! Moved           Queue & { before: number | null, after: number }
//! Position        Queue & { position: number }
//! Consumed        { consumeResult: string | number, order: boolean, remark: string | null, spentTimeMills: number }
//! Track           { group: string, consumed: boolean | null, online: boolean }
//! QueueEntries    { queueData: { eval: boolean, physicOffset: number, physicSize: number, tagsCode: number }[] | null, … }
//! Cluster         { name: string, brokers: BrokerNode[] }
//! BrokerState     { version: string, started: number | null, putsPerSecond: number, getsPerSecond: number,
//!                   putsToday: number, getsToday: number, diskUsed: number | null, logBytes: number,
//!                   oldestMessage: number | null, table: Record<string, string> }
//! Replication     { master: boolean, masterCommitLogMaxOffset: number, inSyncSlaveNums: number, haConnectionInfo: object[],
//!                   haClientRuntimeInfo: object }
//! Statistic       { statsMinute: Counted, statsHour: Counted, statsDay: Counted }
//! Counted         { sum: number, tps: number, avgpt: number }
//! Finding         { severity: "ok" | "warning" | "error", check: string, subject: string, found: string, advice: string }
//! ```

mod groups;
mod messages;
mod positions;
mod servers;
mod topics;

use ferromq_client::admin::{Admin, Scope};
use ferromq_client::{MessageQueue, Received};
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// What an operation comes to.
#[derive(Debug)]
pub enum Answer {
    /// A JSON document.
    Json(String),
    /// Messages.
    Messages(Vec<Received>),
    /// The one message that was asked for.
    Message(Box<Received>),
}

/// An operation, for whoever makes types or methods of it.
#[derive(Debug)]
pub struct Operation {
    /// By which it is called.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// What it takes: members of a JSON object.
    pub arguments: &'static [Argument],
    /// What it answers, in TypeScript's notation: see the [module](self). `Message` and `Messages` are no JSON.
    pub answer: &'static str,
    run: Run,
}

/// An argument of an operation.
#[derive(Debug)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// What it is for, its unit and its default.
    pub doc: &'static str,
    /// Its type, in Rust's notation; an `Option` may be left out.
    pub kind: &'static str,
}

/// Reads the arguments, and says how to go on.
type Run = fn(Admin, &str) -> Result<BoxFuture<'static, Result<Answer, Fault>>, Fault>;

/// All operations.
pub fn operations() -> impl Iterator<Item = &'static Operation> {
    [topics::OPERATIONS, groups::OPERATIONS, positions::OPERATIONS, messages::OPERATIONS, servers::OPERATIONS]
        .into_iter()
        .flatten()
}

/// Does what an operation is for; `arguments` are a JSON object.
///
/// # Errors
/// [`FaultKind::Config`](crate::FaultKind::Config) of a wrong name or argument, and what the servers make of it.
pub async fn call(admin: &Admin, operation: &str, arguments: &str) -> Result<Answer, Fault> {
    let found = operations()
        .find(|known| known.name == operation)
        .ok_or_else(|| Fault::config(format_args!("there is no operation {operation:?}")))?;
    (found.run)(admin.clone(), arguments)?.await
}

/// Declares operations: how they are documented, what they take and answer, and what they do.
macro_rules! table {
    ($admin:ident; $(
        $(#[doc = $doc:literal])+
        $name:ident {$(
            $(#[doc = $argument_doc:literal])+
            $argument:ident: $kind:ty,
        )*} -> $answer:literal = $run:expr;
    )+) => {
        pub(super) const OPERATIONS: &[$crate::admin::Operation] = &[$($crate::admin::Operation {
            name: stringify!($name),
            doc: concat!($($doc, "\n"),+),
            arguments: &[$($crate::admin::Argument {
                name: stringify!($argument),
                doc: concat!($($argument_doc, "\n"),+),
                kind: stringify!($kind),
            }),*],
            answer: $answer,
            run: |$admin, arguments| {
                #[derive(serde::Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Arguments { $($argument: $kind,)* }
                let Arguments { $($argument),* } = $crate::admin::read(stringify!($name), arguments)?;
                Ok(Box::pin(async move { $run }))
            },
        }),+];
    };
}
use table;

/// Which servers are meant; without one, all that the NameServers know.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Where {
    /// Those of a cluster.
    Cluster(String),
    /// One, by its name or its address.
    Broker(String),
}

fn within(scope: Option<Where>) -> Scope {
    match scope {
        None => Scope::All,
        Some(Where::Cluster(name)) => Scope::Cluster(name),
        Some(Where::Broker(name)) => Scope::Broker(name),
    }
}

/// One queue of a topic.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Queue {
    topic: String,
    /// The broker's name or address.
    broker: String,
    queue: u32,
}

impl Queue {
    /// The queue, as the topic's route knows it.
    async fn find(&self, admin: &Admin) -> Result<MessageQueue, Fault> {
        Ok(admin.queue(&self.topic, &self.broker, self.queue).await?)
    }
}

fn read<T: DeserializeOwned>(operation: &str, arguments: &str) -> Result<T, Fault> {
    serde_json::from_str(arguments).map_err(|error| Fault::config(format_args!("{operation}: {error}")))
}

/// Settings as RocketMQ spells them.
fn given<T: DeserializeOwned>(settings: serde_json::Value) -> Result<T, Fault> {
    serde_json::from_value(settings).map_err(|error| Fault::config(format_args!("settings: {error}")))
}

fn json(answer: &impl Serialize) -> Result<Answer, Fault> {
    serde_json::to_string(answer).map(Answer::Json).map_err(Fault::config)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ferromq_client::Client;

    use super::*;
    use crate::fault::FaultKind;

    #[test]
    fn every_operation_has_a_name_of_its_own_and_says_what_it_is_about() {
        let mut names = BTreeSet::new();
        for operation in operations() {
            assert!(names.insert(operation.name), "{} is there twice", operation.name);
            assert!(!operation.doc.trim().is_empty() && !operation.answer.is_empty(), "{}", operation.name);
        }
        assert!(names.len() > 40, "{names:?}");
    }

    #[tokio::test]
    async fn a_wrong_name_or_argument_reaches_no_server() {
        let admin = Client::builder("127.0.0.1:1").build().expect("an address").admin();
        for (operation, arguments, why) in [
            ("no_such", "{}", "there is no operation \"no_such\""),
            ("topic_status", "{}", "topic_status: missing field `topic`"),
            ("topic_status", r#"{"topic": "T", "tropic": "T"}"#, "topic_status: unknown field `tropic`"),
            ("topic_status", r#"{"topic": 7}"#, "topic_status: invalid type: integer"),
            ("groups", r#"{"scope": {"house": "x"}}"#, "groups: unknown variant `house`"),
            (
                "change_broker_settings",
                r#"{"changes": {"storePathRootDir": "/x"}}"#,
                "storePathRootDir is a path",
            ),
            ("put_topic", r#"{"settings": {"topicName": "T"}}"#, "settings: missing field"),
        ] {
            let fault = call(&admin, operation, arguments).await.expect_err("it is refused");
            assert_eq!(fault.kind, FaultKind::Config, "{}", fault.text);
            assert!(fault.text.starts_with(why), "{}", fault.text);
        }
    }
}
