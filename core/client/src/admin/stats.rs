//! What brokers count: of topics, groups and clusters, over the last minute, hour and day.

use std::collections::{BTreeMap, BTreeSet};

use ferromq_protocol::body::stats::StatsData;
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::header::admin::ViewStats;
use serde::Serialize;

use super::topics::present;
use super::{Admin, AdminError, BrokerNode, Failure, Gathered, PerBroker, Scope, unless};
use crate::error::{CallError, RouteError};
use ferromq_model::TopicName;

/// What goes through a topic, and through a group that reads it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// The topic.
    pub topic: String,
    /// The group; none for a topic that nobody reads.
    pub group: Option<String>,
    /// Messages stored a second, over the last minute.
    pub puts_per_second: f64,
    /// Messages stored in the last day.
    pub puts_in_day: u64,
    /// Messages that the group got a second, over the last minute.
    pub gets_per_second: f64,
    /// Messages that the group got in the last day.
    pub gets_in_day: u64,
    /// Messages that the group has not consumed.
    pub lag: u64,
}

impl Admin {
    /// Reads one statistic, such as `TOPIC_PUT_NUMS` of a topic, of each master of a scope that has it.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn statistic(
        &self,
        name: &str,
        key: &str,
        scope: &Scope,
    ) -> Result<Gathered<Vec<PerBroker<StatsData>>>, AdminError> {
        let masters = self.masters(scope).await?;
        let said =
            self.each(masters, |node| async move { self.statistic_of(&node, name, key).await }).await?;
        Ok(said.map(present))
    }

    async fn statistic_of(
        &self,
        node: &BrokerNode,
        name: &str,
        key: &str,
    ) -> Result<Option<StatsData>, CallError> {
        let asked = ViewStats { name, key };
        let said = self.read(&node.addr, RequestCode::ViewBrokerStatsData, &asked).await;
        // There is no code of its own for what was never counted.
        unless(said, &[ResponseCode::SystemError])
    }

    /// What goes through a topic, and through each group that reads it.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn traffic(&self, topic: &str) -> Result<Gathered<Vec<Traffic>>, AdminError> {
        let topic = TopicName::new(topic)?;
        let masters = self.masters_of(&topic).await?;
        let mut failures = Vec::new();
        let puts = self.counted(&masters, "TOPIC_PUT_NUMS", topic.as_str(), &mut failures).await?;
        let groups = self.groups_of_topic(topic.as_str()).await?;
        let mut rows = Vec::new();
        for group in groups.value {
            let key = format!("{topic}@{group}");
            let gets = self.counted(&masters, "GROUP_GET_NUMS", &key, &mut failures).await?;
            let progress = self.progress(&group, Some(topic.as_str()), &Scope::All).await?.value;
            // What is sent again is of another topic.
            let own = progress.queues.iter().filter(|at| at.queue.topic == topic);
            rows.push(Traffic {
                topic: topic.to_string(),
                group: Some(group),
                puts_per_second: puts.0,
                puts_in_day: puts.1,
                gets_per_second: gets.0,
                gets_in_day: gets.1,
                lag: own.map(|at| at.lag).sum(),
            });
        }
        if rows.is_empty() {
            rows.push(Traffic {
                topic: topic.to_string(),
                puts_per_second: puts.0,
                puts_in_day: puts.1,
                ..Traffic::default()
            });
        }
        failures.dedup_by(|a, b| a.addr == b.addr);
        Ok(Gathered { value: rows, failures })
    }

    /// The same for all topics that applications made.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn all_traffic(&self) -> Result<Gathered<Vec<Traffic>>, AdminError> {
        let infrastructure: BTreeSet<String> = self
            .clusters()
            .await?
            .into_iter()
            .flat_map(|cluster| {
                let brokers = cluster.brokers.into_iter().map(|node| node.name.to_string());
                brokers.chain([cluster.name]).collect::<Vec<_>>()
            })
            .collect();
        let mut all = Gathered::<Vec<Traffic>>::default();
        for topic in self.topics().await? {
            let applications =
                TopicName::new(&topic).is_ok_and(|name| !name.is_system() && !name.is_derived());
            if !applications || infrastructure.contains(&topic) {
                continue;
            }
            match self.traffic(&topic).await {
                Ok(traffic) => {
                    all.value.extend(traffic.value);
                    all.failures.extend(traffic.failures);
                }
                // It was deleted meanwhile.
                Err(AdminError::Route(RouteError::NoSuchTopic { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        let by_server: BTreeMap<_, Failure> =
            all.failures.into_iter().map(|failure| (failure.addr.clone(), failure)).collect();
        all.failures = by_server.into_values().collect();
        Ok(all)
    }

    /// A second, over the last minute; and in the last day; of all brokers together.
    async fn counted(
        &self,
        nodes: &[BrokerNode],
        name: &str,
        key: &str,
        failures: &mut Vec<Failure>,
    ) -> Result<(f64, u64), AdminError> {
        let said = self
            .each(nodes.to_vec(), |node| async move { self.statistic_of(&node, name, key).await })
            .await?;
        failures.extend(said.failures);
        let mut sum = (0.0, 0);
        for data in said.value.into_iter().filter_map(|of| of.value) {
            sum.0 += data.stats_minute.tps;
            // What was counted in the first hours of a broker is not in the sum of its first day yet.
            sum.1 += data.stats_day.sum.max(data.stats_hour.sum).max(data.stats_minute.sum);
        }
        Ok(sum)
    }
}
