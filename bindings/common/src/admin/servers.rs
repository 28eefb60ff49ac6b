//! Operations on clusters, brokers and NameServers.

use std::collections::BTreeMap;

use ferromq_client::admin::clusters::Cleaning;
use ferromq_client::admin::{Gathered, PerBroker};
use ferromq_model::config::is_secret;
use serde::Deserialize;

use super::{Where, json, table, within};
use crate::fault::Fault;

table! { admin;
    /// The clusters, each with its brokers.
    clusters {} -> "Cluster[]" = json(&admin.clusters().await?);

    /// The brokers, masters and replicas.
    brokers {
        /// These.
        scope: Option<Where>,
    } -> "BrokerNode[]" = json(&admin.brokers(&within(scope)).await?);

    /// How brokers are, replicas included.
    broker_states {
        /// Of these.
        scope: Option<Where>,
    } -> "Gathered<PerBroker<BrokerState>[]>" = json(&admin.broker_states(&within(scope)).await?);

    /// How brokers are set, replicas included: by key, without secrets.
    broker_settings {
        /// Of these.
        scope: Option<Where>,
    } -> "Gathered<PerBroker<Record<string, string>>[]>" = {
        json(&without_secrets(admin.broker_settings(&within(scope)).await?))
    };

    /// Changes settings of running brokers, replicas included; none that is a path. Answers who has.
    change_broker_settings {
        /// Values by key.
        changes: BTreeMap<String, String>,
        /// On these.
        scope: Option<Where>,
    } -> "Gathered<BrokerNode[]>" = {
        json(&admin.change_broker_settings(&within(scope), &without_paths(changes)?).await?)
    };

    /// Has brokers clear something away. Answers who has.
    clean {
        /// `expired_queues`: files of queues whose messages are all gone from the log. `unused_topics`: queues of topics
        /// that do not exist. `expired_log`: files of the log that are past their time.
        what: Clean,
        /// On these.
        scope: Option<Where>,
    } -> "Gathered<BrokerNode[]>" = json(&admin.clean(&within(scope), what.into()).await?);

    /// How replication goes, as masters see it.
    replication {
        /// Of these.
        scope: Option<Where>,
    } -> "Gathered<PerBroker<Replication>[]>" = json(&admin.replication(&within(scope)).await?);

    /// One statistic of each master that has it.
    statistic {
        /// What is counted, as RocketMQ calls it: `TOPIC_PUT_NUMS`.
        name: String,
        /// Of what: a topic, or `topic@group`.
        key: String,
        /// Of these.
        scope: Option<Where>,
    } -> "Gathered<PerBroker<Statistic>[]>" = json(&admin.statistic(&name, &key, &within(scope)).await?);

    /// How NameServers are set: by key, without secrets.
    name_server_settings {} -> "Gathered<PerBroker<Record<string, string>>[]>" = {
        json(&without_secrets(admin.name_server_settings().await?))
    };

    /// Changes settings of running NameServers; none that is a path. Answers who has.
    change_name_server_settings {
        /// Values by key.
        changes: BTreeMap<String, String>,
    } -> "Gathered<BrokerNode[]>" = {
        json(&admin.change_name_server_settings(&without_paths(changes)?).await?)
    };

    /// A value of the NameServers' key-value table; nothing if it has none.
    value {
        /// The namespace.
        namespace: String,
        /// The key.
        key: String,
    } -> "string | null" = json(&admin.value(&namespace, &key).await?);

    /// A namespace of the NameServers' key-value table.
    values {
        /// The namespace.
        namespace: String,
    } -> "Record<string, string>" = json(&admin.values(&namespace).await?);

    /// Stores a value in the NameServers' key-value table. Answers which of them have.
    put_value {
        /// The namespace.
        namespace: String,
        /// The key.
        key: String,
        /// The value.
        value: String,
    } -> "Gathered<BrokerNode[]>" = json(&admin.put_value(&namespace, &key, &value).await?);

    /// Removes a value from the NameServers' key-value table. Answers which of them have.
    delete_value {
        /// The namespace.
        namespace: String,
        /// The key.
        key: String,
    } -> "Gathered<BrokerNode[]>" = json(&admin.delete_value(&namespace, &key).await?);

    /// Keeps producers away from a broker before it is stopped, or lets them come again. Answers how many of its topics
    /// each NameServer has changed.
    allow_writes {
        /// The broker's name.
        broker: String,
        /// Whether they may come.
        allow: bool,
    } -> "Gathered<PerBroker<number>[]>" = json(&admin.allow_writes(&broker, allow).await?);

    /// What is wrong with the servers, and what to do about it; the worst first.
    examine {} -> "Finding[]" = json(&admin.examine().await);
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Clean {
    ExpiredQueues,
    UnusedTopics,
    ExpiredLog,
}

impl From<Clean> for Cleaning {
    fn from(what: Clean) -> Self {
        match what {
            Clean::ExpiredQueues => Self::ExpiredQueues,
            Clean::UnusedTopics => Self::UnusedTopics,
            Clean::ExpiredLog => Self::ExpiredLog,
        }
    }
}

type Settings = Gathered<Vec<PerBroker<BTreeMap<String, String>>>>;

fn without_secrets(mut settings: Settings) -> Settings {
    for of in &mut settings.value {
        of.value.retain(|key, _| !is_secret(key));
    }
    settings
}

/// A path that is set from afar lets whoever may set it write elsewhere than the server's operator meant.
fn without_paths(changes: BTreeMap<String, String>) -> Result<Vec<(String, String)>, Fault> {
    if let Some(path) = changes.keys().find(|key| is_path(key)) {
        return Err(Fault::config(format_args!(
            "{path} is a path, and is only set by whoever starts the server"
        )));
    }
    Ok(changes.into_iter().collect())
}

/// Whether a setting of any version of RocketMQ is a path, by its name.
fn is_path(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.contains("path") || ["dir", "home", "file"].iter().any(|end| key.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::is_path;

    #[test]
    fn paths_are_known_by_their_names() {
        for path in
            ["storePathRootDir", "rocketmqHome", "kvConfigPath", "mqttCredentialsFile", "tls.server.certPath"]
        {
            assert!(is_path(path), "{path}");
        }
        for other in ["flushDiskType", "mappedFileSizeCommitLog", "fileReservedTime", "deleteWhen"] {
            assert!(!is_path(other), "{other}");
        }
    }
}
