//! Operations on topics.

use std::collections::{BTreeMap, BTreeSet};

use ferromq_client::TopicRoute;
use ferromq_client::admin::topics::TopicChange;
use ferromq_model::topic::Permission;
use serde::Serialize;

use super::{Where, given, json, table, within};

table! { admin;
    /// The names of all topics, sorted: those of groups and of brokers included.
    topics {
        /// Those of this cluster; all by default.
        cluster: Option<String>,
    } -> "string[]" = match cluster {
        None => json(&admin.topics().await?),
        Some(cluster) => json(&admin.topics_of_cluster(&cluster).await?),
    };

    /// Where a topic is: its brokers.
    topic_route {
        /// The topic.
        topic: String,
    } -> "RouteRow[]" = json(&rows(&*admin.topic_route(&topic).await?));

    /// What the queues of a topic hold.
    topic_status {
        /// The topic.
        topic: String,
    } -> "Gathered<TopicStatus>" = json(&admin.topic_status(&topic).await?);

    /// How a topic is set on each master that has it. That no broker has it is an error.
    topic_settings {
        /// The topic.
        topic: String,
        /// On these brokers.
        scope: Option<Where>,
    } -> "Gathered<PerBroker<TopicSettings>[]>" = json(&admin.topic_settings(&topic, &within(scope)).await?);

    /// How all topics are set on each master, by name.
    all_topic_settings {
        /// On these brokers.
        scope: Option<Where>,
    } -> "Gathered<PerBroker<Record<string, TopicSettings>>[]>" = json(&admin.all_topic_settings(&within(scope)).await?);

    /// Creates a topic on masters, or changes it there: what is left out stays as it is, or is RocketMQ's default for a
    /// new topic. Answers who failed.
    change_topic {
        /// The topic.
        topic: String,
        /// Queues for reading and writing: 8 for a new topic.
        queues: Option<u32>,
        /// Queues that consumers read, if not as many.
        read_queues: Option<u32>,
        /// Queues that producers write, if not as many.
        write_queues: Option<u32>,
        /// What clients may do, as RocketMQ counts it: 2 write, 4 read, 6 both, which is so for a new topic.
        permission: Option<u32>,
        /// Whether the number of queues is kept fixed for ordering: not for a new topic.
        ordered: Option<bool>,
        /// Bit 0: unit topic; bit 1: has unit subscribers.
        sys_flag: Option<i32>,
        /// Attributes to set, such as `message.type`.
        set: Option<BTreeMap<String, String>>,
        /// Attributes to remove.
        remove: Option<BTreeSet<String>>,
        /// On these brokers.
        scope: Option<Where>,
    } -> "Failure[]" = {
        let change = TopicChange {
            read_queues: read_queues.or(queues),
            write_queues: write_queues.or(queues),
            permission: permission.map(Permission),
            ordered,
            sys_flag,
            set: set.unwrap_or_default(),
            remove: remove.unwrap_or_default(),
        };
        json(&admin.change_topic(&topic, &change, &within(scope)).await?.failures)
    };

    /// Gives a topic these settings, all of them, on masters; makes it where it is not there. Answers who has.
    put_topic {
        /// As `topic_settings` answers them.
        settings: serde_json::Value,
        /// On these brokers.
        scope: Option<Where>,
    } -> "Gathered<BrokerNode[]>" = json(&admin.put_topic(&given(settings)?, &within(scope)).await?);

    /// Deletes a topic with its queues on masters and, unless that is one broker, at the NameServers. Answers who failed.
    delete_topic {
        /// The topic.
        topic: String,
        /// On these brokers.
        scope: Option<Where>,
    } -> "Failure[]" = json(&admin.delete_topic(&topic, &within(scope)).await?.failures);

    /// The groups that read a topic, or have read it.
    groups_of_topic {
        /// The topic.
        topic: String,
    } -> "Gathered<string[]>" = json(&admin.groups_of_topic(&topic).await?);

    /// What goes through a topic and through each group that reads it.
    traffic {
        /// The topic; all that applications made by default.
        topic: Option<String>,
    } -> "Gathered<Traffic[]>" = match topic {
        Some(topic) => json(&admin.traffic(&topic).await?),
        None => json(&admin.all_traffic().await?),
    };

    /// How many queues an ordered topic has on each broker, as NameServers tell clients: `broker-a:4;broker-b:4`.
    order_of {
        /// The topic.
        topic: String,
    } -> "string | null" = json(&admin.order_of(&topic).await?);

    /// Sets that. Answers which NameServers have.
    set_order_of {
        /// The topic.
        topic: String,
        /// `broker-a:4;broker-b:4`; removes it by default.
        order: Option<String>,
    } -> "Gathered<BrokerNode[]>" = json(&admin.set_order_of(&topic, order.as_deref()).await?);
}

/// A broker of a topic's route.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RouteRow<'a> {
    cluster: &'a str,
    broker: &'a str,
    /// By broker id.
    addrs: BTreeMap<u64, &'a str>,
    read_queues: usize,
    write_queues: usize,
}

fn rows(route: &TopicRoute) -> Vec<RouteRow<'_>> {
    let mut rows: Vec<_> = route
        .brokers
        .iter()
        .map(|(broker, addrs)| RouteRow {
            cluster: route.clusters.get(broker).map_or("", |cluster| cluster),
            broker,
            addrs: addrs.iter().map(|(&id, addr)| (id, &**addr)).collect(),
            read_queues: route.readable.iter().filter(|queue| queue.broker == *broker).count(),
            write_queues: route.writable.iter().filter(|queue| queue.broker == *broker).count(),
        })
        .collect();
    rows.sort_by_key(|row| (row.cluster, row.broker));
    rows
}
