//! Operations on consumer groups, their members, and producers.

use std::collections::BTreeMap;

use ferromq_client::admin::groups::{GroupChange, GroupLeftovers};
use serde_json::json as object;

use super::{Where, given, json, table, within};

table! { admin;
    /// The names of all consumer groups that brokers have settings of, sorted.
    groups {
        /// Of these brokers.
        scope: Option<Where>,
    } -> "string[]" = json(&admin.groups(&within(scope)).await?.value);

    /// How a group is set on each master that knows it. That no broker does is an error.
    group_settings {
        /// The group.
        group: String,
        /// On these brokers.
        scope: Option<Where>,
    } -> "Gathered<PerBroker<GroupSettings>[]>" = json(&admin.group_settings(&group, &within(scope)).await?);

    /// How all groups are set on each master, by name.
    all_group_settings {
        /// On these brokers.
        scope: Option<Where>,
    } -> "Gathered<PerBroker<Record<string, GroupSettings>>[]>" = {
        json(&admin.all_group_settings(&within(scope)).await?)
    };

    /// Creates a consumer group on masters, or changes it there: what is left out stays as it is, or is RocketMQ's default
    /// for a new group. Answers who failed.
    change_group {
        /// The group.
        group: String,
        /// Whether its members may consume at all: yes for a new group.
        consume: Option<bool>,
        /// Whether they may consume in broadcasting mode: yes for a new group.
        broadcast: Option<bool>,
        /// Whether a group without positions may start at the oldest message: yes for a new group.
        from_min: Option<bool>,
        /// Whether it consumes orderly, for consumers that leave that to brokers: not for a new group.
        orderly: Option<bool>,
        /// Queues of its retry topic: 1 for a new group.
        retry_queues: Option<u32>,
        /// Redeliveries before a message becomes a dead letter: 16 for a new group.
        retry_max: Option<i32>,
        /// The broker that serves it: 0, the master, for a new group.
        broker_id: Option<i64>,
        /// The broker that slow readers are sent to: 1 for a new group.
        slow_broker_id: Option<i64>,
        /// Whether members are told of joins and leaves: yes for a new group.
        notify: Option<bool>,
        /// Attributes to set.
        set: Option<BTreeMap<String, String>>,
        /// On these brokers.
        scope: Option<Where>,
    } -> "Failure[]" = {
        let change = GroupChange {
            consume,
            broadcast,
            from_min,
            orderly,
            retry_queues,
            retry_max,
            broker_id,
            slow_broker_id,
            notify,
            set: set.unwrap_or_default(),
        };
        json(&admin.change_group(&group, &change, &within(scope)).await?.failures)
    };

    /// Gives a group these settings, all of them, on masters; makes it where it is not there. Answers who has.
    put_group {
        /// As `group_settings` answers them.
        settings: serde_json::Value,
        /// On these brokers.
        scope: Option<Where>,
    } -> "Gathered<BrokerNode[]>" = json(&admin.put_group(&given(settings)?, &within(scope)).await?);

    /// Deletes a group's settings on the masters that have them. Answers who has.
    delete_group {
        /// The group.
        group: String,
        /// Its positions, too: not by default.
        offsets: Option<bool>,
        /// Its retry topic and its dead letters, too: not by default.
        messages: Option<bool>,
        /// On these brokers.
        scope: Option<Where>,
    } -> "Gathered<BrokerNode[]>" = {
        let leftovers = GroupLeftovers {
            offsets: offsets.unwrap_or_default(),
            messages: messages.unwrap_or_default(),
        };
        json(&admin.delete_group(&group, leftovers, &within(scope)).await?)
    };

    /// How far a group is, queue by queue, and its lag.
    progress {
        /// The group.
        group: String,
        /// In this topic; in all of its by default.
        topic: Option<String>,
        /// On these brokers.
        scope: Option<Where>,
    } -> "Gathered<Progress>" = json(&admin.progress(&group, topic.as_deref(), &within(scope)).await?);

    /// The topics that a group has positions in.
    topics_of_group {
        /// The group.
        group: String,
    } -> "Gathered<string[]>" = json(&admin.topics_of_group(&group).await?);

    /// What a group that is there wants of a topic; nothing if it does not read it.
    subscription {
        /// The group.
        group: String,
        /// The topic.
        topic: String,
    } -> "Gathered<Subscribed | null>" = json(&admin.subscription(&group, &topic).await?);

    /// Sets whether a group pulls or pops a topic, for consumers that leave that to brokers. Answers who has.
    set_mode {
        /// The group.
        group: String,
        /// The topic.
        topic: String,
        /// Whether it pops.
        pop: bool,
        /// With how many further members each shares its queues while popping: 0, which is the default, for all.
        shared: Option<i32>,
        /// On these brokers.
        scope: Option<Where>,
    } -> "Gathered<BrokerNode[]>" = {
        json(&admin.set_mode(&group, &topic, pop, shared.unwrap_or_default(), &within(scope)).await?)
    };

    /// Whether a group may read a topic on each master of it, which is changed first if that is asked for.
    readable {
        /// The group.
        group: String,
        /// The topic.
        topic: String,
        /// What is to be; only asks by default.
        change: Option<bool>,
    } -> "Gathered<PerBroker<boolean>[]>" = json(&admin.readable(&group, &topic, change).await?);

    /// The members of a consumer group and what they want; nothing if nobody is there.
    consumers {
        /// The group.
        group: String,
        /// As these brokers see them.
        scope: Option<Where>,
    } -> "Gathered<ConsumerGroup | null>" = json(&admin.consumers(&group, &within(scope)).await?);

    /// The members of a producer group.
    producers {
        /// The group.
        group: String,
        /// As these brokers see them.
        scope: Option<Where>,
    } -> "Gathered<Connected[]>" = json(&admin.producers(&group, &within(scope)).await?);

    /// All producers, by group.
    all_producers {
        /// As these brokers see them.
        scope: Option<Where>,
    } -> "Gathered<Record<string, Connected[]>>" = json(&admin.all_producers(&within(scope)).await?);

    /// What a member of a consumer group is doing, by its own account.
    running_info {
        /// The group.
        group: String,
        /// The member's client id, as `consumers` has it.
        client: String,
        /// What its threads do, too, if it can tell: not by default.
        stack: Option<bool>,
    } -> "Running" = {
        let info = admin.running_info(&group, &client, stack.unwrap_or_default()).await?;
        // The queues' map has keys that JSON has not: they are told as a list.
        let queues = info.mq_table.0.iter().map(|(queue, at)| {
            object!({
                "topic": queue.topic, "broker": queue.broker_name, "queue": queue.queue_id,
                "position": at.commit_offset, "waiting": at.cached_msg_count,
                "waitingMib": at.cached_msg_size_in_mi_b, "locked": at.locked,
                "lastPulled": at.last_pull_timestamp, "lastConsumed": at.last_consume_timestamp,
            })
        });
        json(&object!({
            "client": client, "properties": info.properties, "queues": queues.collect::<Vec<_>>(),
            "rates": info.status_table, "stack": info.jstack,
        }))
    };
}
