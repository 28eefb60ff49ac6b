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
//! | `admin/stats` | what was counted |
//! | `admin/cleanup` | what is deleted by request |

mod cleanup;
mod consumption;
mod groups;
mod runtime;
mod stats;
mod topics;

use std::ops::Range;

use ferromq_broker::Broker;
use ferromq_broker::members::Subscription;
use ferromq_broker::topics::Topic;
use ferromq_model::QueueId;
use ferromq_model::message::TagsCode;
use ferromq_model::topic::DataVersion;
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
        RequestCode::UpdateAndCreateTopicList => topics::put_all(broker, request, asker),
        RequestCode::GetAllTopicConfig => topics::all(broker, request),
        RequestCode::GetSystemTopicListFromBroker => topics::system(broker),
        RequestCode::UpdateAndCreateSubscriptionGroupList => groups::put_all(broker, request, asker),
        RequestCode::GetAllSubscriptionGroupConfig => groups::all(broker, request),
        RequestCode::UpdateAndGetGroupForbidden => groups::may_read(broker, request, asker),
        RequestCode::GetAllProducerInfo => groups::all_producers(broker),
        RequestCode::QueryTopicsByConsumer => groups::topics(broker, request),
        RequestCode::QuerySubscriptionByConsumer => groups::subscription_to(broker, request),
        RequestCode::GetBrokerConsumeStats => consumption::of_all(broker, request, asker),
        RequestCode::QueryConsumeTimeSpan => consumption::time_spans(broker, request, asker),
        RequestCode::QueryConsumeQueue => consumption::entries(broker, request, asker),
        RequestCode::GetAllConsumerOffset => consumption::all_offsets(broker),
        // Only a replica keeps such an offset: a master does nothing, as in the reference.
        RequestCode::ResetMasterFlushOffset => Ok(Reply::success().into()),
        RequestCode::UpdateBrokerConfig => runtime::change_settings(broker, request, asker),
        RequestCode::GetBrokerHaStatus => runtime::replication(broker),
        RequestCode::CleanExpiredConsumeQueue => cleanup::expired_queues(broker, asker),
        RequestCode::CleanUnusedTopic => cleanup::unknown_topics(broker, asker),
        RequestCode::DeleteExpiredCommitLog => cleanup::expired_log(broker),
        // They are in the log, always.
        RequestCode::PopRollback => Ok(Reply::success().into()),
        RequestCode::ViewBrokerStatsData => stats::view(broker, request),
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

/// A part of a table that is shown in the order of its names.
struct Page {
    from: usize,
    end: usize,
    /// Rows of the table, for those who asked for a part.
    total: Option<u32>,
}

impl Page {
    /// The most rows of one part.
    const MOST: usize = 20_000;

    /// The part from row `from` on, or all if nobody asked for a part. It begins anew if the table is another one than
    /// that of the parts before.
    fn of(
        from: Option<u32>,
        max: Option<u32>,
        version: Option<&str>,
        now: &DataVersion,
        total: usize,
    ) -> Self {
        if from.is_none() && max.is_none() && version.is_none() {
            return Self { from: 0, end: total, total: None };
        }
        let known = version.and_then(|text| serde_json::from_str::<DataVersion>(text).ok());
        let from = from.filter(|_| known.as_ref() == Some(now)).unwrap_or(0) as usize;
        let from = from.min(total);
        let max = max.map_or(Self::MOST, |max| (max as usize).clamp(1, Self::MOST));
        let mut end = total.min(from + max);
        // Tools stop asking when one row is left.
        if end + 1 == total {
            end = total;
        }
        Self { from, end, total: Some(total as u32) }
    }

    fn range(&self) -> Range<usize> {
        self.from..self.end
    }
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
