//! Positions of groups: moved, copied, and as members have them.
//!
//! A group that is there has its positions in its members' memory too. Brokers of 5.2 and later move it by themselves at
//! its next pull; older ones tell every member, of all queues of a topic at once. So one queue alone is moved on older
//! brokers only while nobody is there, rather than moving what was not meant.

use std::collections::BTreeMap;

use bytes::Bytes;
use ferromq_model::{GroupName, QueueId, QueueOffset, Timestamp, TopicName};
use ferromq_protocol::body::{ConsumerStatusBody, ResetOffsetBody};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::header::{
    Boundary, CloneGroupOffset, ConsumerStatus, GetMaxOffset, GetMinOffset, OffsetResponse,
    QueryConsumerOffset, ResetOffset, SearchOffset, UpdateConsumerOffset,
};
use futures_util::future::try_join_all;
use serde::Serialize;

use super::{Admin, AdminError, BrokerNode, Gathered, Scope, header, unless};
use crate::error::CallError;
use crate::queue::MessageQueue;

/// Where a group is moved to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetTo {
    /// The oldest message of each queue.
    First,
    /// The end of each queue: what is there is skipped.
    Last,
    /// The first message stored at this time or later.
    Time(Timestamp),
    /// This message; for one queue only.
    Offset(QueueOffset),
}

/// A move of a group in one queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Which.
    #[serde(flatten)]
    pub queue: MessageQueue,
    /// Where it was; none if it had no position, for which brokers of 4.x say the first of a young queue.
    pub before: Option<QueueOffset>,
    /// Where it is.
    pub after: QueueOffset,
}

/// Where members of a group are, by their own account: by client id.
pub type MemberPositions = BTreeMap<String, Vec<(MessageQueue, i64)>>;

impl Admin {
    /// Moves a group in a topic, or in one queue of it.
    ///
    /// # Errors
    /// [`AdminError`]; what was moved until then stays moved.
    pub async fn reset_offsets(
        &self,
        group: &str,
        topic: &str,
        to: ResetTo,
        queue: Option<&MessageQueue>,
    ) -> Result<Gathered<Vec<Moved>>, AdminError> {
        self.move_group(group, topic, to, queue, true).await
    }

    /// What [`Admin::reset_offsets`] would do, without doing it.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn plan_reset(
        &self,
        group: &str,
        topic: &str,
        to: ResetTo,
        queue: Option<&MessageQueue>,
    ) -> Result<Gathered<Vec<Moved>>, AdminError> {
        self.move_group(group, topic, to, queue, false).await
    }

    async fn move_group(
        &self,
        group: &str,
        topic: &str,
        to: ResetTo,
        queue: Option<&MessageQueue>,
        act: bool,
    ) -> Result<Gathered<Vec<Moved>>, AdminError> {
        let (group, topic) = (&GroupName::new(group)?, &TopicName::new(topic)?);
        let masters = self.masters_of(topic).await?;
        let readable = self.fresh_route(topic).await?.readable.clone();
        let Some(queue) = queue else {
            if matches!(to, ResetTo::Offset(_)) {
                let what = "an offset is one queue's: name the queue, or a time".to_owned();
                return Err(AdminError::Invalid { what });
            }
            let readable = &readable;
            let moved = self
                .each(masters, |node| async move {
                    let queues = readable.iter().filter(|queue| queue.broker == node.name).cloned();
                    self.move_on(&node, group, queues.collect(), to, act).await
                })
                .await?;
            return Ok(moved.map(|moved| {
                let mut moves: Vec<_> = moved.into_iter().flat_map(|of| of.value).collect();
                moves.sort_by(|a, b| a.queue.cmp(&b.queue));
                moves
            }));
        };
        let node = masters.into_iter().find(|node| node.name == queue.broker);
        let node = node.filter(|_| readable.contains(queue)).ok_or_else(|| AdminError::NoSuchQueue {
            topic: topic.clone(),
            queue: format!("{}:{}", queue.broker, queue.id),
        })?;
        let moved = self.move_in(&node, group, queue, to, act).await?;
        Ok(Gathered { value: vec![moved], failures: Vec::new() })
    }

    /// Moves a group in all queues that one broker has of a topic.
    async fn move_on(
        &self,
        node: &BrokerNode,
        group: &GroupName,
        queues: Vec<MessageQueue>,
        to: ResetTo,
        act: bool,
    ) -> Result<Vec<Moved>, CallError> {
        let Some(topic) = queues.first().map(|queue| queue.topic.clone()) else { return Ok(Vec::new()) };
        let plans = queues.iter().map(|queue| self.plan_move(node, group, queue, to));
        let mut plans = try_join_all(plans).await?;
        if !act {
            return Ok(plans);
        }
        let time = match to {
            ResetTo::First => Some(Timestamp::ZERO),
            ResetTo::Last | ResetTo::Offset(_) => None,
            ResetTo::Time(time) => Some(time),
        };
        let asked = ResetOffset {
            topic: topic.as_str(),
            group: group.as_str(),
            time,
            force: true,
            queue: None,
            offset: None,
        };
        let reset = self.call(&node.addr, RequestCode::InvokeBrokerToResetOffset, &asked, Bytes::new()).await;
        // Nobody is there to be told, or the group never was: positions can be written as they should be.
        let offline = &[
            ResponseCode::ConsumerNotOnline,
            ResponseCode::SystemError,
            ResponseCode::SubscriptionGroupNotExist,
        ];
        match unless(reset, offline)? {
            Some(frame) => {
                let reset: ResetOffsetBody = super::decode(&node.addr, &frame)?;
                for (queue, next) in reset.offset_table.0 {
                    let planned = plans.iter_mut().find(|plan| plan.queue.id == queue.queue_id);
                    if let (Some(planned), Some(next)) = (planned, QueueOffset::from_wire(next)) {
                        planned.after = next;
                    }
                }
            }
            None => {
                for plan in &plans {
                    self.commit(node, group, &plan.queue, plan.after).await?;
                }
            }
        }
        Ok(plans)
    }

    /// Moves a group in one queue.
    async fn move_in(
        &self,
        node: &BrokerNode,
        group: &GroupName,
        queue: &MessageQueue,
        to: ResetTo,
        act: bool,
    ) -> Result<Moved, AdminError> {
        let plan = self.plan_move(node, group, queue, to).await?;
        let (min, max) = self.bounds(node, queue).await?;
        if !(min..=max).contains(&plan.after) {
            let what = format!("{} is outside of queue {queue}, which has {min} to {max}", plan.after);
            return Err(AdminError::Invalid { what });
        }
        if !act {
            return Ok(plan);
        }
        let settings = self.settings_of(node, RequestCode::GetBrokerConfig).await?;
        if settings.get("useServerSideResetOffset").is_some_and(|on| on == "true") {
            let asked = ResetOffset {
                topic: queue.topic.as_str(),
                group: group.as_str(),
                time: None,
                force: true,
                queue: Some(queue.id),
                offset: Some(plan.after),
            };
            let reset =
                self.call(&node.addr, RequestCode::InvokeBrokerToResetOffset, &asked, Bytes::new()).await;
            if unless(reset, &[ResponseCode::SubscriptionGroupNotExist])?.is_some() {
                return Ok(plan);
            }
        } else if self.consumers(group.as_str(), &Scope::Broker(node.name.to_string())).await?.value.is_some()
        {
            let what = format!(
                "{} can move group {group} in all queues of a topic only while it has members: stop them first",
                node.name
            );
            return Err(AdminError::Unsupported { what });
        }
        self.commit(node, group, queue, plan.after).await?;
        Ok(plan)
    }

    async fn plan_move(
        &self,
        node: &BrokerNode,
        group: &GroupName,
        queue: &MessageQueue,
        to: ResetTo,
    ) -> Result<Moved, CallError> {
        let before = self.position(node, group, queue).await?;
        let after = match to {
            ResetTo::First => self.bounds(node, queue).await?.0,
            ResetTo::Last => self.bounds(node, queue).await?.1,
            ResetTo::Time(time) => self.search(node, queue, time).await?,
            ResetTo::Offset(offset) => offset,
        };
        Ok(Moved { queue: queue.clone(), before, after })
    }

    async fn position(
        &self,
        node: &BrokerNode,
        group: &GroupName,
        queue: &MessageQueue,
    ) -> Result<Option<QueueOffset>, CallError> {
        let asked = QueryConsumerOffset {
            group: group.as_str(),
            topic: queue.topic.as_str(),
            queue: queue.id,
            zero_if_unknown: false,
        };
        let frame = self.call(&node.addr, RequestCode::QueryConsumerOffset, &asked, Bytes::new()).await;
        let found = unless(frame, &[ResponseCode::QueryNotFound])?;
        found.map(|frame| Ok(header::<OffsetResponse>(&node.addr, &frame)?.offset)).transpose()
    }

    async fn commit(
        &self,
        node: &BrokerNode,
        group: &GroupName,
        queue: &MessageQueue,
        offset: QueueOffset,
    ) -> Result<(), CallError> {
        let asked = UpdateConsumerOffset {
            group: group.as_str(),
            topic: queue.topic.as_str(),
            queue: queue.id,
            offset: Some(offset),
        };
        self.call(&node.addr, RequestCode::UpdateConsumerOffset, &asked, Bytes::new()).await.map(drop)
    }

    /// Where a queue begins and ends.
    pub(super) async fn bounds(
        &self,
        node: &BrokerNode,
        queue: &MessageQueue,
    ) -> Result<(QueueOffset, QueueOffset), CallError> {
        let (topic, queue) = (queue.topic.as_str(), queue.id);
        let asked = GetMinOffset { topic, queue };
        let min = self.call(&node.addr, RequestCode::GetMinOffset, &asked, Bytes::new()).await?;
        let asked = GetMaxOffset { topic, queue, committed: true };
        let max = self.call(&node.addr, RequestCode::GetMaxOffset, &asked, Bytes::new()).await?;
        let offset = |frame| Ok(header::<OffsetResponse>(&node.addr, frame)?.offset);
        Ok((offset(&min)?, offset(&max)?))
    }

    /// The first message stored at a time or later; the end if there is none.
    pub(super) async fn search(
        &self,
        node: &BrokerNode,
        queue: &MessageQueue,
        time: Timestamp,
    ) -> Result<QueueOffset, CallError> {
        let topic = queue.topic.as_str();
        let asked = SearchOffset { topic, queue: queue.id, time, boundary: Boundary::Lower };
        let frame = self.call(&node.addr, RequestCode::SearchOffsetByTimestamp, &asked, Bytes::new()).await?;
        let found = header::<OffsetResponse>(&node.addr, &frame)?.offset;
        // If every message is older, brokers of 4.x answer with the last one in place of the end.
        let there = self.pull(&node.addr, queue, found, 1).await?;
        let older = there.messages.first().is_some_and(|message| message.stored() < time);
        Ok(if older { found.plus(1) } else { found })
    }

    /// Gives a group the positions of another one in a topic. Nobody of the group that gets them should be there, who
    /// would write over them. Returns who has.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn clone_offsets(
        &self,
        from: &str,
        to: &str,
        topic: &str,
    ) -> Result<Gathered<Vec<BrokerNode>>, AdminError> {
        let (from, to, topic) = (GroupName::new(from)?, GroupName::new(to)?, TopicName::new(topic)?);
        let asked = CloneGroupOffset {
            from: from.as_str(),
            to: to.as_str(),
            topic: Some(topic.as_str()),
            offline: true,
        };
        let masters = self.masters_of(&topic).await?;
        self.each_does(masters, RequestCode::CloneGroupOffset, &asked, &Bytes::new()).await
    }

    /// Where the members of a group are in a topic, by their own account.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn member_positions(
        &self,
        group: &str,
        topic: &str,
    ) -> Result<Gathered<MemberPositions>, AdminError> {
        let (group, topic) = (GroupName::new(group)?, TopicName::new(topic)?);
        let asked = ConsumerStatus { topic: topic.as_str(), group: group.as_str(), client: None };
        let masters = self.masters_of(&topic).await?;
        let code = RequestCode::InvokeBrokerToGetConsumerStatus;
        let said = self.each_says::<ConsumerStatusBody>(masters, code, &asked).await?;
        Ok(said.map(|said| {
            let mut members = MemberPositions::new();
            for (client, queues) in said.into_iter().flat_map(|of| of.value.consumer_table) {
                let known = members.entry(client).or_default();
                for (queue, position) in queues.0 {
                    let Ok(topic) = TopicName::new(&queue.topic) else { continue };
                    let queue = MessageQueue { topic, broker: queue.broker_name.into(), id: queue.queue_id };
                    if !known.iter().any(|(known, _)| *known == queue) {
                        known.push((queue, position));
                    }
                }
            }
            members
        }))
    }

    /// The queue of a topic that a broker has by this number, checked against the topic's route.
    ///
    /// # Errors
    /// [`AdminError::NoSuchQueue`], or no route.
    pub async fn queue(&self, topic: &str, broker: &str, id: u32) -> Result<MessageQueue, AdminError> {
        let topic = TopicName::new(topic)?;
        let route = self.fresh_route(&topic).await?;
        let is_it = |queue: &&MessageQueue| {
            let addressed = || route.master(&queue.broker).is_some_and(|addr| **addr == *broker);
            queue.id == QueueId(id) && (*queue.broker == *broker || addressed())
        };
        let found = route.readable.iter().chain(&*route.writable).find(is_it).cloned();
        found.ok_or_else(|| AdminError::NoSuchQueue { topic, queue: format!("{broker}:{id}") })
    }
}
