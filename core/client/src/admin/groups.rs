//! Consumer groups: how they are set, how far they are, what their members do.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ferromq_model::group::SubscriptionGroupConfig;
use ferromq_model::{GroupName, QueueOffset, Timestamp, TopicName};
use ferromq_protocol::body::running::ConsumerRunningInfo;
use ferromq_protocol::body::stats::{ConsumeStats, GroupForbidden, SubscriptionOfGroup};
use ferromq_protocol::body::{self, SetMessageRequestMode, SubscriptionGroupWrapper, TopicList};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::header::DeleteSubscriptionGroup;
use ferromq_protocol::header::admin::{
    GetAllGroups, GetConsumeStats, GroupForbidden as AskForbidden, QuerySubscription, QueryTopicsByConsumer,
};
use ferromq_protocol::header::clients::ConsumerRunningInfo as AskRunning;
use serde::Serialize;

use super::connections::Subscribed;
use super::topics::present;
use super::{Admin, AdminError, BrokerNode, Gathered, PerBroker, Scope, decode, unless};
use crate::error::{CallError, RouteError};
use crate::queue::MessageQueue;

/// What is to change of a group; what is none stays as it is, and is RocketMQ's default for a new group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupChange {
    /// Whether its members may consume at all: yes by default.
    pub consume: Option<bool>,
    /// Whether they may consume in broadcasting mode: yes by default.
    pub broadcast: Option<bool>,
    /// Whether a group without positions may start at the oldest message: yes by default.
    pub from_min: Option<bool>,
    /// Whether the group consumes orderly, for consumers that leave that to brokers: no by default.
    pub orderly: Option<bool>,
    /// Queues of its retry topic: 1 by default.
    pub retry_queues: Option<u32>,
    /// Redeliveries before a message becomes a dead letter: 16 by default.
    pub retry_max: Option<i32>,
    /// The broker that serves the group: 0, the master, by default.
    pub broker_id: Option<i64>,
    /// The broker that slow readers are sent to: 1 by default.
    pub slow_broker_id: Option<i64>,
    /// Whether members are told of joins and leaves: yes by default.
    pub notify: Option<bool>,
    /// Attributes to set.
    pub set: BTreeMap<String, String>,
}

impl GroupChange {
    fn applied_to(
        &self,
        group: &GroupName,
        known: Option<&SubscriptionGroupConfig>,
    ) -> SubscriptionGroupConfig {
        let mut config = known.cloned().unwrap_or_else(|| SubscriptionGroupConfig::new(group.clone()));
        config.consume_enable = self.consume.unwrap_or(config.consume_enable);
        config.consume_broadcast_enable = self.broadcast.unwrap_or(config.consume_broadcast_enable);
        config.consume_from_min_enable = self.from_min.unwrap_or(config.consume_from_min_enable);
        config.consume_message_orderly = self.orderly.unwrap_or(config.consume_message_orderly);
        config.retry_queue_nums = self.retry_queues.unwrap_or(config.retry_queue_nums);
        config.retry_max_times = self.retry_max.unwrap_or(config.retry_max_times);
        config.broker_id = self.broker_id.unwrap_or(config.broker_id);
        config.which_broker_when_consume_slowly =
            self.slow_broker_id.unwrap_or(config.which_broker_when_consume_slowly);
        config.notify_consumer_ids_changed_enable =
            self.notify.unwrap_or(config.notify_consumer_ids_changed_enable);
        // Brokers take changes of attributes, marked as such.
        config.attributes = self.set.iter().map(|(key, value)| (format!("+{key}"), value.clone())).collect();
        config
    }
}

/// What goes with a group that is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupLeftovers {
    /// Its positions.
    pub offsets: bool,
    /// Its retry topic and its dead letters.
    pub messages: bool,
}

/// How far a group is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Messages got a second.
    pub gets_per_second: f64,
    /// Messages that it has not consumed, retries included.
    pub lag: u64,
    /// Each queue, sorted.
    pub queues: Vec<QueueProgress>,
}

/// How far a group is in a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueProgress {
    /// Which.
    #[serde(flatten)]
    pub queue: MessageQueue,
    /// Behind its newest message.
    pub end: QueueOffset,
    /// Where the group goes on.
    pub position: QueueOffset,
    /// Messages between the two.
    pub lag: u64,
    /// When the last message that it consumed was stored.
    pub last_consumed: Option<Timestamp>,
}

impl Progress {
    pub(super) fn add(&mut self, stats: ConsumeStats) {
        self.gets_per_second += stats.consume_tps;
        for (queue, at) in stats.offset_table.0 {
            // A name that cannot be is no queue of ours.
            let Ok(topic) = TopicName::new(&queue.topic) else { continue };
            let lag = at.broker_offset.since(at.consumer_offset);
            self.lag += lag;
            self.queues.push(QueueProgress {
                queue: MessageQueue { topic, broker: queue.broker_name.into(), id: queue.queue_id },
                end: at.broker_offset,
                position: at.consumer_offset,
                lag,
                last_consumed: Some(at.last_timestamp).filter(|time| time.0 > 0),
            });
        }
        self.queues.sort_by(|a, b| a.queue.cmp(&b.queue));
    }
}

impl Admin {
    /// The settings of all groups, by name, on each master of a scope.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn all_group_settings(
        &self,
        scope: &Scope,
    ) -> Result<Gathered<Vec<PerBroker<BTreeMap<GroupName, SubscriptionGroupConfig>>>>, AdminError> {
        let masters = self.masters(scope).await?;
        self.each(masters, |node| async move { self.group_table(&node).await }).await
    }

    async fn group_table(
        &self,
        node: &BrokerNode,
    ) -> Result<BTreeMap<GroupName, SubscriptionGroupConfig>, CallError> {
        let all = GetAllGroups { from: None, version: None, max: None };
        let code = RequestCode::GetAllSubscriptionGroupConfig;
        let table: SubscriptionGroupWrapper = self.read(&node.addr, code, &all).await?;
        Ok(table.subscription_group_table)
    }

    /// The names of all groups that any broker of a scope has settings of.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn groups(&self, scope: &Scope) -> Result<Gathered<BTreeSet<GroupName>>, AdminError> {
        let tables = self.all_group_settings(scope).await?;
        Ok(tables.map(|tables| tables.into_iter().flat_map(|of| of.value.into_keys()).collect()))
    }

    /// The settings of a group on each master that has any.
    ///
    /// # Errors
    /// [`AdminError`]; that no broker has any is one.
    pub async fn group_settings(
        &self,
        group: &str,
        scope: &Scope,
    ) -> Result<Gathered<Vec<PerBroker<SubscriptionGroupConfig>>>, AdminError> {
        let group = &GroupName::new(group)?;
        let masters = self.masters(scope).await?;
        let found = self
            .each(masters, |node| async move { Ok(self.group_table(&node).await?.remove(group)) })
            .await?
            .map(present);
        if found.value.is_empty() && found.failures.is_empty() {
            return Err(AdminError::NoSuchGroup { group: group.to_string() });
        }
        Ok(found)
    }

    /// Creates a group on the masters of a scope, or changes it there. Returns how it is set on each now.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn change_group(
        &self,
        group: &str,
        change: &GroupChange,
        scope: &Scope,
    ) -> Result<Gathered<Vec<PerBroker<SubscriptionGroupConfig>>>, AdminError> {
        let group = &GroupName::new(group)?;
        let masters = self.masters(scope).await?;
        self.each(masters, |node| async move {
            let known = self.group_table(&node).await?.remove(group);
            let mut config = change.applied_to(group, known.as_ref());
            self.write_group(&node, &config).await?;
            config.attributes = known.map(|known| known.attributes).unwrap_or_default();
            config.attributes.extend(change.set.clone());
            Ok(config)
        })
        .await
    }

    async fn write_group(
        &self,
        node: &BrokerNode,
        config: &SubscriptionGroupConfig,
    ) -> Result<(), CallError> {
        let body = body::encode(config).into();
        let code = RequestCode::UpdateAndCreateSubscriptionGroup;
        self.call(&node.addr, code, &(), body).await.map(drop)
    }

    /// Gives a group these settings, all of them, on the masters of a scope; makes it where it is not there.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn put_group(
        &self,
        config: &SubscriptionGroupConfig,
        scope: &Scope,
    ) -> Result<Gathered<Vec<BrokerNode>>, AdminError> {
        let attributes = config.attributes.iter().map(|(key, value)| (format!("+{key}"), value.clone()));
        let config = &SubscriptionGroupConfig { attributes: attributes.collect(), ..config.clone() };
        let masters = self.masters(scope).await?;
        let done = self.each(masters, |node| async move { self.write_group(&node, config).await }).await?;
        Ok(done.map(|done| done.into_iter().map(|of| of.broker).collect()))
    }

    /// Deletes a group's settings on the masters that have them, and what else is said. Returns who has.
    ///
    /// # Errors
    /// [`AdminError`]; that no broker has any is one.
    pub async fn delete_group(
        &self,
        group: &str,
        leftovers: GroupLeftovers,
        scope: &Scope,
    ) -> Result<Gathered<Vec<BrokerNode>>, AdminError> {
        let found = self.group_settings(group, scope).await?;
        let nodes = found.value.into_iter().map(|of| of.broker).collect();
        let header = DeleteSubscriptionGroup { group, clean_offsets: leftovers.offsets };
        let code = RequestCode::DeleteSubscriptionGroup;
        let mut done = self.each_does(nodes, code, &header, &Bytes::new()).await?;
        done.failures.extend(found.failures);
        if leftovers.messages {
            let group = GroupName::new(group)?;
            for topic in [TopicName::retry_of(&group), TopicName::dead_letters_of(&group)] {
                match self.delete_topic(topic.as_str(), scope).await {
                    Ok(deleted) => done.failures.extend(deleted.failures),
                    Err(AdminError::Route(RouteError::NoSuchTopic { .. })) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(done)
    }

    /// How far a group is, in all its topics or in one: what all brokers of a scope know.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn progress(
        &self,
        group: &str,
        topic: Option<&str>,
        scope: &Scope,
    ) -> Result<Gathered<Progress>, AdminError> {
        let group = GroupName::new(group)?;
        let header = &GetConsumeStats { group: group.as_str(), topic, topics: None };
        let masters = self.masters(scope).await?;
        let said = self
            .each(masters, |node| async move {
                let asked = self.read(&node.addr, RequestCode::GetConsumeStats, header).await;
                // A broker that never saw the group, or does not have the topic.
                unless(asked, &[ResponseCode::SubscriptionGroupNotExist, ResponseCode::TopicNotExist])
            })
            .await?;
        Ok(said.map(present).map(|said| {
            let mut progress = Progress::default();
            said.into_iter().for_each(|of| progress.add(of.value));
            progress
        }))
    }

    /// What a member of a group is doing. With `stack`, what its threads do too, if it can tell.
    ///
    /// # Errors
    /// [`AdminError`]; that no broker has such a member is one.
    pub async fn running_info(
        &self,
        group: &str,
        client: &str,
        stack: bool,
    ) -> Result<ConsumerRunningInfo, AdminError> {
        let header = AskRunning { group, client, stack };
        let mut failures = Vec::new();
        // Any broker that it is connected to will do.
        for node in self.masters(&Scope::All).await? {
            let frame =
                self.call(&node.addr, RequestCode::GetConsumerRunningInfo, &header, Bytes::new()).await;
            match frame.and_then(|frame| decode(&node.addr, &frame)) {
                Ok(info) => return Ok(info),
                Err(error) => {
                    failures.push(super::Failure { server: node.name, addr: node.addr, error });
                }
            }
        }
        Err(AdminError::Everywhere { failures })
    }

    /// The topics that a group has positions in.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn topics_of_group(&self, group: &str) -> Result<Gathered<BTreeSet<String>>, AdminError> {
        let group = GroupName::new(group)?;
        let header = QueryTopicsByConsumer { group: group.as_str() };
        let masters = self.masters(&Scope::All).await?;
        let said = self.each_says::<TopicList>(masters, RequestCode::QueryTopicsByConsumer, &header).await?;
        Ok(said.map(|said| said.into_iter().flat_map(|of| of.value.topic_list).collect()))
    }

    /// What a group that is there wants of a topic.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn subscription(
        &self,
        group: &str,
        topic: &str,
    ) -> Result<Gathered<Option<Subscribed>>, AdminError> {
        let topic = TopicName::new(topic)?;
        let group = GroupName::new(group)?;
        let header = QuerySubscription { group: group.as_str(), topic: topic.as_str() };
        let header = &header;
        let masters = self.masters_of(&topic).await?;
        let said = self
            .each(masters, |node| async move {
                let code = RequestCode::QuerySubscriptionByConsumer;
                let asked = self.read::<SubscriptionOfGroup>(&node.addr, code, header).await;
                unless(asked, &[ResponseCode::RequestCodeNotSupported])
            })
            .await?;
        if said.value.iter().any(|of| of.value.is_none()) {
            // A broker of 4.x: what its members want, it tells with who they are.
            let there = self.consumers(group.as_str(), &Scope::All).await?;
            return Ok(there.map(|there| there?.subscriptions.remove(topic.as_str())));
        }
        Ok(said
            .map(present)
            .map(|said| said.into_iter().find_map(|of| of.value.subscription_data).map(Subscribed::from)))
    }

    /// Sets whether a group pulls or pops a topic, for consumers that leave that to brokers: `shared` is with how many
    /// further members each shares its queues while popping, 0 for all. Returns who has.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn set_mode(
        &self,
        group: &str,
        topic: &str,
        pop: bool,
        shared: i32,
        scope: &Scope,
    ) -> Result<Gathered<Vec<BrokerNode>>, AdminError> {
        let body = body::encode(&SetMessageRequestMode {
            topic: TopicName::new(topic)?.to_string(),
            consumer_group: GroupName::new(group)?.to_string(),
            mode: if pop { "POP" } else { "PULL" }.to_owned(),
            pop_share_queue_num: shared,
        });
        let masters = self.masters(scope).await?;
        self.each_does(masters, RequestCode::SetMessageRequestMode, &(), &body.into()).await
    }

    /// Whether a group may read a topic on each master of it; changes it first if `readable` says so.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn readable(
        &self,
        group: &str,
        topic: &str,
        readable: Option<bool>,
    ) -> Result<Gathered<Vec<PerBroker<bool>>>, AdminError> {
        let (group, topic) = (GroupName::new(group)?, TopicName::new(topic)?);
        let header = &AskForbidden { group: group.as_str(), topic: topic.as_str(), readable };
        let masters = self.masters_of(&topic).await?;
        self.each(masters, |node| async move {
            let code = RequestCode::UpdateAndGetGroupForbidden;
            Ok(self.read::<GroupForbidden>(&node.addr, code, header).await?.readable)
        })
        .await
    }
}
