//! What operators' tools ask a broker: `mqadmin`, the dashboard, the Prometheus exporter.
//!
//! Handlers decode, call the broker, and write what it says in the tools' shapes. What reads the log for times, or files
//! of settings, runs on a thread of its own.
//!
//! | file | what it is about |
//! |---|---|
//! | `admin/topics` | tables of topics, where their queues end |
//! | `admin/groups` | tables of groups, who is connected |
//! | `admin/consumption` | how far groups are |
//! | `admin/runtime` | the broker's state and settings |

mod consumption;
mod groups;
mod runtime;
mod topics;

use ferromq_broker::Broker;
use ferromq_broker::members::Subscription;
use ferromq_broker::topics::Topic;
use ferromq_model::QueueId;
use ferromq_model::message::TagsCode;
use ferromq_protocol::body::{self, MessageQueue, SubscriptionData};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::frame::Command;
use serde::Serialize;

use super::Asker;
use super::requests::Outcome;
use crate::remoting::reply::Reply;

/// Handles a request, if it is one of operators' tools.
pub(super) fn handle(
    broker: &Broker,
    code: RequestCode,
    request: &Command<'_>,
    asker: Asker,
) -> Option<Outcome> {
    Some(match code {
        RequestCode::GetTopicStatsInfo => topics::ends(broker, request, asker),
        RequestCode::QueryTopicConsumeByWho => topics::consumers(broker, request),
        RequestCode::GetConsumerConnectionList => groups::consumers(broker, request),
        RequestCode::GetProducerConnectionList => groups::producers(broker, request),
        RequestCode::GetConsumeStats => consumption::of_group(broker, request, asker),
        RequestCode::GetBrokerRuntimeInfo => runtime::state(broker, asker),
        RequestCode::GetBrokerConfig => runtime::settings(broker),
        _ => return None,
    })
}

fn json(body: &impl Serialize) -> Outcome {
    Ok(whole(body).into())
}

fn whole(body: &impl Serialize) -> Reply {
    Reply::success().with_body(body::encode(body))
}

fn queue_of(broker: &Broker, topic: &Topic, id: QueueId) -> MessageQueue {
    MessageQueue { broker_name: broker.config().name.clone(), queue_id: id, topic: topic.name().to_string() }
}

fn no_topic(topic: &str) -> Reply {
    Reply::error(ResponseCode::TopicNotExist, format!("topic[{topic}] not exist"))
}

/// A subscription as its client sent it: what the client computes from the expression is computed again.
fn subscription(of: &Subscription) -> SubscriptionData {
    const EVERYTHING: [&str; 2] = ["", "*"];
    let is_tags = matches!(of.expression_type.as_str(), "" | "TAG");
    let everything = EVERYTHING.contains(&of.expression.trim());
    let tags = of.expression.split("||").map(str::trim).filter(|tag| !tag.is_empty());
    let tags_set: Vec<String> = tags.filter(|_| is_tags && !everything).map(str::to_owned).collect();
    SubscriptionData {
        class_filter_mode: false,
        code_set: tags_set.iter().map(|tag| TagsCode::of(Some(tag)).0 as i32).collect(),
        expression_type: Some(if is_tags { "TAG".to_owned() } else { of.expression_type.clone() }),
        sub_string: of.expression.clone(),
        sub_version: of.version,
        tags_set,
        topic: of.topic.to_string(),
    }
}
