//! Clusters and brokers: who there is, how they are, how they are set.

use std::collections::BTreeMap;

use bytes::Bytes;
use ferromq_model::Timestamp;
use ferromq_model::config::properties;
use ferromq_protocol::body::KvTable;
use ferromq_protocol::body::stats::HaStatus;
use ferromq_protocol::code::RequestCode;
use serde::Serialize;

use super::{Admin, AdminError, BrokerNode, Gathered, PerBroker, Scope, nodes_of, unreadable};
use crate::error::CallError;

/// A cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Its brokers, masters and replicas.
    pub brokers: Vec<BrokerNode>,
}

/// How a broker is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BrokerState {
    /// Its version, as in `V5_3_3`.
    pub version: String,
    /// When it started.
    pub started: Option<Timestamp>,
    /// Messages stored a second, over the last ten seconds.
    pub puts_per_second: f64,
    /// Messages read a second, over the last ten seconds.
    pub gets_per_second: f64,
    /// Messages stored since midnight.
    pub puts_today: u64,
    /// Messages read since midnight.
    pub gets_today: u64,
    /// The used share of the log's disk, from 0 to 1.
    pub disk_used: Option<f64>,
    /// Bytes of the log.
    pub log_bytes: u64,
    /// When the oldest message was stored.
    pub oldest_message: Option<Timestamp>,
    /// All that it says of itself, by RocketMQ's names.
    pub table: BTreeMap<String, String>,
}

impl BrokerState {
    fn of(table: BTreeMap<String, String>) -> Self {
        let text = |key: &str| table.get(key).map_or("", String::as_str);
        // Rates are three numbers, over ever longer spans; 4.x brokers say one at first.
        let first = |key: &str| text(key).split(' ').next().and_then(|rate| rate.parse().ok());
        let count = |key: &str| text(key).parse::<u64>().unwrap_or(0);
        let time = |key: &str| text(key).parse().ok().filter(|&time| time > 0).map(Timestamp);
        let since_midnight = |what: &str| {
            let now = count(&format!("msg{what}TotalTodayNow"));
            now.saturating_sub(count(&format!("msg{what}TotalTodayMorning")))
        };
        Self {
            version: text("brokerVersionDesc").to_owned(),
            started: time("bootTimestamp"),
            puts_per_second: first("putTps").unwrap_or(0.0),
            gets_per_second: first("getTransferredTps").or_else(|| first("getTransferedTps")).unwrap_or(0.0),
            puts_today: since_midnight("Put"),
            gets_today: since_midnight("Get"),
            disk_used: text("commitLogDiskRatio").parse().ok().filter(|used| *used >= 0.0),
            log_bytes: count("commitLogMaxOffset").saturating_sub(count("commitLogMinOffset")),
            oldest_message: time("earliestMessageTimeStamp"),
            table,
        }
    }

    /// What the broker's clock says, to the second: when it started and how long it has been running.
    #[must_use]
    pub fn clock(&self) -> Option<Timestamp> {
        let started = self.started?;
        let mut words = self.table.get("runtime")?.split(|c: char| !c.is_ascii_alphanumeric());
        let mut total = 0i64;
        while let Some(word) = words.next() {
            let Ok(count) = word.parse::<i64>() else { continue };
            let seconds = match words.next()? {
                "days" => 86_400,
                "hours" => 3600,
                "minutes" => 60,
                "seconds" => 1,
                _ => return None,
            };
            total = total.checked_add(count.checked_mul(seconds)?)?;
        }
        Some(Timestamp(started.0.checked_add(total.checked_mul(1000)?)?))
    }
}

/// What a broker can be told to clear away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleaning {
    /// Files of queues whose messages are all gone from the log.
    ExpiredQueues,
    /// Queues of topics that do not exist.
    UnusedTopics,
    /// Files of the log that are past their time.
    ExpiredLog,
}

impl Admin {
    /// All clusters with their brokers.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn clusters(&self) -> Result<Vec<Cluster>, AdminError> {
        let info = self.cluster_info().await?;
        let nodes = nodes_of(&info);
        let cluster = |(name, brokers): (&String, &std::collections::BTreeSet<String>)| Cluster {
            name: name.clone(),
            brokers: nodes.iter().filter(|node| brokers.contains(&*node.name)).cloned().collect(),
        };
        Ok(info.cluster_addr_table.iter().map(cluster).collect())
    }

    /// The masters and replicas of a scope.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn brokers(&self, scope: &Scope) -> Result<Vec<BrokerNode>, AdminError> {
        self.nodes(scope).await
    }

    /// How brokers are, replicas included.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn broker_states(
        &self,
        scope: &Scope,
    ) -> Result<Gathered<Vec<PerBroker<BrokerState>>>, AdminError> {
        let nodes = self.nodes(scope).await?;
        self.each(nodes, |node| async move { self.broker_state(&node).await }).await
    }

    pub(super) async fn broker_state(&self, node: &BrokerNode) -> Result<BrokerState, CallError> {
        let table: KvTable = self.read(&node.addr, RequestCode::GetBrokerRuntimeInfo, &()).await?;
        Ok(BrokerState::of(table.table))
    }

    /// How brokers are set, replicas included: by key.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn broker_settings(
        &self,
        scope: &Scope,
    ) -> Result<Gathered<Vec<PerBroker<BTreeMap<String, String>>>>, AdminError> {
        let nodes = self.nodes(scope).await?;
        self.each(nodes, |node| async move { self.settings_of(&node, RequestCode::GetBrokerConfig).await })
            .await
    }

    pub(super) async fn settings_of(
        &self,
        node: &BrokerNode,
        code: RequestCode,
    ) -> Result<BTreeMap<String, String>, CallError> {
        let frame = self.call(&node.addr, code, &(), Bytes::new()).await?;
        let entries = properties::parse(&frame.body()).map_err(|error| unreadable(&node.addr, &error))?;
        Ok(entries.into_iter().map(|entry| (entry.key, entry.value)).collect())
    }

    /// Changes settings of running brokers, replicas included. Returns who has changed them.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn change_broker_settings(
        &self,
        scope: &Scope,
        changes: &[(String, String)],
    ) -> Result<Gathered<Vec<BrokerNode>>, AdminError> {
        let body = settings_text(changes);
        let nodes = self.nodes(scope).await?;
        self.each_does(nodes, RequestCode::UpdateBrokerConfig, &(), &body).await
    }

    /// Has brokers clear something away. Returns who has.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn clean(
        &self,
        scope: &Scope,
        what: Cleaning,
    ) -> Result<Gathered<Vec<BrokerNode>>, AdminError> {
        let code = match what {
            Cleaning::ExpiredQueues => RequestCode::CleanExpiredConsumeQueue,
            Cleaning::UnusedTopics => RequestCode::CleanUnusedTopic,
            Cleaning::ExpiredLog => RequestCode::DeleteExpiredCommitLog,
        };
        let nodes = self.nodes(scope).await?;
        self.each_does(nodes, code, &(), &Bytes::new()).await
    }

    /// How replication goes, as masters see it.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn replication(&self, scope: &Scope) -> Result<Gathered<Vec<PerBroker<HaStatus>>>, AdminError> {
        let masters = self.masters(scope).await?;
        self.each_says(masters, RequestCode::GetBrokerHaStatus, &()).await
    }
}

/// Settings as servers take them.
pub(super) fn settings_text(changes: &[(String, String)]) -> Bytes {
    let line = |(key, value): &(String, String)| format!("{key}={}\n", properties::escape(value));
    changes.iter().map(line).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brokers_table_is_read_as_its_words_and_numbers_are() {
        let table = [
            ("brokerVersionDesc", "V5_3_3"),
            ("bootTimestamp", "1700000000000"),
            ("runtime", "[ 1 days, 2 hours, 3 minutes, 4 seconds ]"),
            ("putTps", "1.5 2.0 3.0"),
            ("getTransferedTps", "7.0"),
            ("msgPutTotalTodayNow", "12"),
            ("msgPutTotalTodayMorning", "10"),
            ("commitLogDiskRatio", "-1.0"),
            ("commitLogMinOffset", "-1"),
            ("commitLogMaxOffset", "100"),
            ("earliestMessageTimeStamp", "-1"),
        ];
        let state = BrokerState::of(table.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        assert_eq!((state.puts_per_second, state.gets_per_second, state.puts_today), (1.5, 7.0, 2));
        assert_eq!((state.disk_used, state.oldest_message, state.log_bytes), (None, None, 100));
        assert_eq!(state.clock(), Some(Timestamp(1_700_000_000_000 + 93_784_000)));
    }
}
