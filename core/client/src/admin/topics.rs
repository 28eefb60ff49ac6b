//! Topics: which there are, how they are set, where they are, who reads them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ferromq_model::topic::{Permission, TopicConfig, TopicFilterType};
use ferromq_model::{QueueOffset, Timestamp, TopicName};
use ferromq_protocol::body::stats::{GroupList, TopicStatsTable};
use ferromq_protocol::body::{TopicConfigWrapper, TopicList};
use ferromq_protocol::code::RequestCode;
use ferromq_protocol::header::admin::{GetAllTopics, GetTopicStats, QueryTopicConsumers};
use ferromq_protocol::header::{DeleteTopic, DeleteTopicRoute, GetTopicsByCluster, UpdateTopic};
use serde::Serialize;

use super::{Admin, AdminError, BrokerNode, Gathered, PerBroker, Scope};
use crate::error::{CallError, RouteError};
use crate::queue::MessageQueue;
use crate::routes::TopicRoute;

/// Queues of a topic that nobody says more of, as RocketMQ's tools have it.
pub const DEFAULT_QUEUES: u32 = 8;

/// What is to change of a topic; what is none stays as it is, and is RocketMQ's default for a new topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicChange {
    /// Queues that consumers read: [`DEFAULT_QUEUES`] by default.
    pub read_queues: Option<u32>,
    /// Queues that producers write: [`DEFAULT_QUEUES`] by default.
    pub write_queues: Option<u32>,
    /// What clients may do: read and write by default.
    pub permission: Option<Permission>,
    /// Whether the number of queues is kept fixed for ordering; not by default.
    pub ordered: Option<bool>,
    /// Bit 0: unit topic; bit 1: has unit subscribers. 0 by default.
    pub sys_flag: Option<i32>,
    /// Attributes to set, such as `message.type`.
    pub set: BTreeMap<String, String>,
    /// Attributes to remove.
    pub remove: BTreeSet<String>,
}

impl TopicChange {
    fn applied_to(&self, topic: &TopicName, known: Option<&TopicConfig>) -> TopicConfig {
        let mut config = known.cloned().unwrap_or_else(|| TopicConfig::new(topic.clone(), DEFAULT_QUEUES));
        config.read_queue_nums = self.read_queues.unwrap_or(config.read_queue_nums);
        config.write_queue_nums = self.write_queues.unwrap_or(config.write_queue_nums);
        config.perm = self.permission.unwrap_or(config.perm);
        config.order = self.ordered.unwrap_or(config.order);
        config.topic_sys_flag = self.sys_flag.unwrap_or(config.topic_sys_flag);
        config
    }

    /// `+key=value,-key`; none if no attribute changes.
    fn attributes(&self) -> Option<String> {
        let set = self.set.iter().map(|(key, value)| format!("+{key}={value}"));
        let changes: Vec<_> = set.chain(self.remove.iter().map(|key| format!("-{key}"))).collect();
        (!changes.is_empty()).then(|| changes.join(","))
    }
}

/// What a topic's queues hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicStatus {
    /// Messages stored a second, on all brokers that tell.
    pub puts_per_second: f64,
    /// The queues, sorted.
    pub queues: Vec<QueueStatus>,
}

/// What a queue holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueStatus {
    /// Which.
    #[serde(flatten)]
    pub queue: MessageQueue,
    /// Its oldest message.
    pub min: QueueOffset,
    /// Behind its newest message.
    pub max: QueueOffset,
    /// When its newest message was stored.
    pub last_stored: Option<Timestamp>,
}

impl Admin {
    /// The names of all topics, sorted: those of groups and of brokers included.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn topics(&self) -> Result<Vec<String>, AdminError> {
        self.topic_list(RequestCode::GetAllTopicListFromNameServer, &()).await
    }

    /// The same for one cluster.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn topics_of_cluster(&self, cluster: &str) -> Result<Vec<String>, AdminError> {
        let known = self.clusters().await?;
        if !known.iter().any(|known| known.name == cluster) {
            let known = known.into_iter().map(|cluster| cluster.name).collect();
            return Err(AdminError::NoSuchCluster { name: cluster.to_owned(), known });
        }
        self.topic_list(RequestCode::GetTopicsByCluster, &GetTopicsByCluster { cluster }).await
    }

    async fn topic_list(
        &self,
        code: RequestCode,
        header: &(impl ferromq_protocol::frame::EncodeFields + Sync),
    ) -> Result<Vec<String>, AdminError> {
        let asked = self.client.inner.ask_name_servers(code, header).await;
        let (frame, addr) = asked.map_err(|last| match last.is_silence() {
            true => AdminError::Route(RouteError::NoNameServer { last }),
            false => AdminError::Call(last),
        })?;
        let mut list: TopicList = super::decode(&addr, &frame)?;
        list.topic_list.sort();
        list.topic_list.dedup();
        Ok(list.topic_list)
    }

    /// Where a topic is, as a NameServer says now.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn topic_route(&self, topic: &str) -> Result<std::sync::Arc<TopicRoute>, AdminError> {
        self.fresh_route(&TopicName::new(topic)?).await
    }

    /// The settings of all topics, by name, on each master of a scope.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn all_topic_settings(
        &self,
        scope: &Scope,
    ) -> Result<Gathered<Vec<PerBroker<BTreeMap<TopicName, TopicConfig>>>>, AdminError> {
        let masters = self.masters(scope).await?;
        self.each(masters, |node| async move { self.topic_table(&node).await }).await
    }

    async fn topic_table(&self, node: &BrokerNode) -> Result<BTreeMap<TopicName, TopicConfig>, CallError> {
        // Nothing is set: the whole table, in the way that every version answers.
        let all = GetAllTopics { from: None, version: None, max: None };
        let table: TopicConfigWrapper = self.read(&node.addr, RequestCode::GetAllTopicConfig, &all).await?;
        Ok(table.topic_config_table)
    }

    /// The settings of a topic on each master that has it.
    ///
    /// # Errors
    /// [`AdminError`]; no broker has it is one.
    pub async fn topic_settings(
        &self,
        topic: &str,
        scope: &Scope,
    ) -> Result<Gathered<Vec<PerBroker<TopicConfig>>>, AdminError> {
        let topic = &TopicName::new(topic)?;
        let masters = self.masters(scope).await?;
        let found = self
            .each(masters, |node| async move { Ok(self.topic_table(&node).await?.remove(topic)) })
            .await?;
        let found = found.map(present);
        if found.value.is_empty() && found.failures.is_empty() {
            return Err(RouteError::NoSuchTopic { topic: topic.clone() }.into());
        }
        Ok(found)
    }

    /// Creates a topic on the masters of a scope, or changes it there. Returns how it is set on each now.
    ///
    /// An ordered topic's numbers of queues are noted at the NameServers, as RocketMQ's tools do.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn change_topic(
        &self,
        topic: &str,
        change: &TopicChange,
        scope: &Scope,
    ) -> Result<Gathered<Vec<PerBroker<TopicConfig>>>, AdminError> {
        let topic = &TopicName::new(topic)?;
        let masters = self.masters(scope).await?;
        let attributes = change.attributes();
        let attributes = attributes.as_deref();
        let changed = self
            .each(masters, |node| async move {
                let known = self.topic_table(&node).await?.remove(topic);
                let mut config = change.applied_to(topic, known.as_ref());
                self.write_topic(&node, &config, attributes).await?;
                change.remove.iter().for_each(|key| drop(config.attributes.remove(key)));
                config.attributes.extend(change.set.clone());
                Ok(config)
            })
            .await?;
        if change.ordered == Some(true) {
            let order = self.order_with(topic, &changed.value).await?;
            self.set_order_of(topic.as_str(), Some(&order)).await?;
        }
        Ok(changed)
    }

    async fn write_topic(
        &self,
        node: &BrokerNode,
        config: &TopicConfig,
        attributes: Option<&str>,
    ) -> Result<(), CallError> {
        let header = UpdateTopic {
            topic: config.topic_name.as_str(),
            default_topic: ferromq_model::name::AUTO_CREATE_TOPIC,
            read_queues: config.read_queue_nums,
            write_queues: config.write_queue_nums,
            perm: config.perm,
            filter_type: TopicFilterType::SingleTag,
            sys_flag: config.topic_sys_flag,
            order: config.order,
            attributes,
            force: false,
        };
        self.call(&node.addr, RequestCode::UpdateAndCreateTopic, &header, Bytes::new()).await.map(drop)
    }

    /// What the NameServers are to know of an ordered topic: what they know, and what has changed.
    async fn order_with(
        &self,
        topic: &TopicName,
        changed: &[PerBroker<TopicConfig>],
    ) -> Result<String, AdminError> {
        let known = self.order_of(topic.as_str()).await?.unwrap_or_default();
        let known = known.split(';').filter_map(|part| part.split_once(':'));
        let mut counts: BTreeMap<String, String> =
            known.map(|(broker, count)| (broker.to_owned(), count.to_owned())).collect();
        let changes =
            changed.iter().map(|of| (of.broker.name.to_string(), of.value.write_queue_nums.to_string()));
        counts.extend(changes);
        let parts = counts.into_iter().map(|(broker, count)| format!("{broker}:{count}"));
        Ok(parts.collect::<Vec<_>>().join(";"))
    }

    /// Gives a topic these settings, all of them, on the masters of a scope; makes it where it is not there.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn put_topic(
        &self,
        config: &TopicConfig,
        scope: &Scope,
    ) -> Result<Gathered<Vec<BrokerNode>>, AdminError> {
        let masters = self.masters(scope).await?;
        let change = TopicChange { set: config.attributes.clone(), ..TopicChange::default() };
        let attributes = change.attributes();
        let attributes = attributes.as_deref();
        let done = self
            .each(masters, |node| async move { self.write_topic(&node, config, attributes).await })
            .await?;
        Ok(done.map(|done| done.into_iter().map(|of| of.broker).collect()))
    }

    /// Deletes a topic with its queues: on the masters of a scope, and if that is all of them or a cluster, at the
    /// NameServers. Returns who has deleted it.
    ///
    /// # Errors
    /// [`AdminError`]; that no broker has it is one.
    pub async fn delete_topic(
        &self,
        topic: &str,
        scope: &Scope,
    ) -> Result<Gathered<Vec<BrokerNode>>, AdminError> {
        let found = self.topic_settings(topic, scope).await?;
        let nodes = found.value.into_iter().map(|of| of.broker).collect();
        let header = DeleteTopic { topic };
        let mut done =
            self.each_does(nodes, RequestCode::DeleteTopicInBroker, &header, &Bytes::new()).await?;
        done.failures.extend(found.failures);
        let cluster = match scope {
            // It may be on others.
            Scope::Broker(_) => return Ok(done),
            Scope::Cluster(cluster) => Some(cluster.as_str()),
            Scope::All => None,
        };
        let header = DeleteTopicRoute { topic, cluster };
        let servers = self.name_server_nodes();
        let forgotten =
            self.each_does(servers, RequestCode::DeleteTopicInNamesrv, &header, &Bytes::new()).await?;
        done.failures.extend(forgotten.failures);
        if cluster.is_none() && self.order_of(topic).await?.is_some() {
            done.failures.extend(self.set_order_of(topic, None).await?.failures);
        }
        Ok(done)
    }

    /// What a topic's queues hold.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn topic_status(&self, topic: &str) -> Result<Gathered<TopicStatus>, AdminError> {
        let topic = TopicName::new(topic)?;
        let header = GetTopicStats { topic: topic.as_str() };
        let masters = self.masters_of(&topic).await?;
        let said =
            self.each_says::<TopicStatsTable>(masters, RequestCode::GetTopicStatsInfo, &header).await?;
        Ok(said.map(|said| {
            let mut status = TopicStatus::default();
            for of in said {
                status.puts_per_second += of.value.topic_put_tps;
                status.queues.extend(of.value.offset_table.0.into_iter().map(|(queue, bounds)| {
                    QueueStatus {
                        queue: MessageQueue {
                            topic: topic.clone(),
                            broker: queue.broker_name.into(),
                            id: queue.queue_id,
                        },
                        min: bounds.min_offset,
                        max: bounds.max_offset,
                        last_stored: Some(bounds.last_update_timestamp).filter(|time| time.0 > 0),
                    }
                }));
            }
            status.queues.sort_by(|a, b| a.queue.cmp(&b.queue));
            status
        }))
    }

    /// The groups that read a topic, or have read it.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn groups_of_topic(&self, topic: &str) -> Result<Gathered<BTreeSet<String>>, AdminError> {
        let topic = TopicName::new(topic)?;
        let header = QueryTopicConsumers { topic: topic.as_str() };
        let masters = self.masters_of(&topic).await?;
        let said = self.each_says::<GroupList>(masters, RequestCode::QueryTopicConsumeByWho, &header).await?;
        Ok(said.map(|said| said.into_iter().flat_map(|of| of.value.group_list).collect()))
    }
}

/// Those that there are.
pub(super) fn present<T>(found: Vec<PerBroker<Option<T>>>) -> Vec<PerBroker<T>> {
    let there = |of: PerBroker<Option<T>>| Some(PerBroker { broker: of.broker, value: of.value? });
    found.into_iter().filter_map(there).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_stays_as_it_is() {
        let topic = TopicName::new("T").unwrap();
        let known = TopicConfig { order: true, ..TopicConfig::new(topic.clone(), 3) };
        let change = TopicChange { read_queues: Some(5), ..TopicChange::default() };
        let config = change.applied_to(&topic, Some(&known));
        assert_eq!((config.read_queue_nums, config.write_queue_nums, config.order), (5, 3, true));
        let made = change.applied_to(&topic, None);
        assert_eq!((made.read_queue_nums, made.write_queue_nums, made.order), (5, DEFAULT_QUEUES, false));
        assert_eq!(change.attributes(), None);
    }

    #[test]
    fn attributes_are_set_and_removed_by_their_signs() {
        let change = TopicChange {
            set: BTreeMap::from([("message.type".to_owned(), "FIFO".to_owned())]),
            remove: BTreeSet::from(["cleanup.policy".to_owned()]),
            ..TopicChange::default()
        };
        assert_eq!(change.attributes().as_deref(), Some("+message.type=FIFO,-cleanup.policy"));
    }
}
