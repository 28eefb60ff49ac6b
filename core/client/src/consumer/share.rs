//! Which queues of its topics are a member's.
//!
//! Always true:
//! * the share follows from the queues of a topic and the members of the group, as brokers tell them, and from nothing
//!   else: every member that knows the same comes to the same result;
//! * a topic about which nobody could be asked keeps the share that it has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferromq_model::{GroupName, TopicName};
use ferromq_protocol::body::{self, ConsumerList};
use ferromq_protocol::code::RequestCode;
use ferromq_protocol::header::GetConsumerList;

use super::fetch::FetchError;
use super::filter::Filter;
use crate::allocate::Strategy;
use crate::client::Inner;
use crate::error::RouteError;
use crate::queue::MessageQueue;
use crate::routes::TopicRoute;

/// How often a group is looked at without a reason.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// The wait before a look at a group that failed is repeated.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Who shares queues, and how.
pub(super) struct Sharing<'a> {
    pub(super) inner: &'a Arc<Inner>,
    pub(super) group: &'a GroupName,
    /// None gives every member every queue.
    pub(super) strategy: Option<&'a Strategy>,
}

/// What is a member's.
pub(super) struct Share {
    pub(super) queues: BTreeMap<MessageQueue, Filter>,
    /// Whether every topic's share is known.
    complete: bool,
}

impl Share {
    /// When to look again.
    pub(super) fn valid_for(&self) -> Duration {
        if self.complete { LOOK_EVERY } else { LOOK_AGAIN }
    }
}

impl Sharing<'_> {
    /// Looks at the group once; `held` are the queues that are this member's so far.
    pub(super) async fn look(
        &self,
        topics: &BTreeMap<TopicName, Filter>,
        held: impl Fn() -> Vec<MessageQueue> + Sync,
    ) -> Share {
        let mut share = Share { queues: BTreeMap::new(), complete: true };
        for (topic, filter) in topics {
            let queues = match self.share_of(topic).await {
                Ok(queues) => queues,
                Err(error) => {
                    tracing::debug!(group = %self.group, %topic, %error, "share of a topic is not known");
                    share.complete = false;
                    held().into_iter().filter(|queue| queue.topic == *topic).collect()
                }
            };
            share.queues.extend(queues.into_iter().map(|queue| (queue, filter.clone())));
        }
        share
    }

    async fn share_of(&self, topic: &TopicName) -> Result<Vec<MessageQueue>, FetchError> {
        let route = self.inner.route(topic).await?;
        let Some(strategy) = self.strategy else { return Ok(route.readable.to_vec()) };
        let members = self.members(topic, &route).await?;
        Ok(strategy.allocate(&route.readable, &members, self.inner.id()))
    }

    /// The members of the group, sorted, as a broker of the topic knows them.
    async fn members(&self, topic: &TopicName, route: &TopicRoute) -> Result<Vec<String>, FetchError> {
        let header = GetConsumerList { group: self.group.as_str() };
        let mut failed = FetchError::Route(RouteError::NoQueue { topic: topic.clone(), wanted: "readable" });
        for broker in route.brokers.keys() {
            let Some(addr) = route.member(broker, 0) else { continue };
            let link = self.inner.link(addr);
            let asked =
                self.inner.call(&link, RequestCode::GetConsumerListByGroup, &header, &Bytes::new()).await;
            match asked {
                Ok(frame) => {
                    let list: ConsumerList =
                        body::decode(&frame.body()).map_err(|error| link.unreadable(&error.to_string()))?;
                    let mut members = list.consumer_id_list;
                    members.sort();
                    members.dedup();
                    if members.iter().any(|member| **member == **self.inner.id()) {
                        return Ok(members);
                    }
                    // The broker has not heard of us yet, or has forgotten us.
                    self.inner.beat.notify_one();
                    failed = link.unreadable("a group without this member").into();
                }
                Err(error) => {
                    self.inner.beat.notify_one();
                    failed = error.into();
                }
            }
        }
        Err(failed)
    }
}
