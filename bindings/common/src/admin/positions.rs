//! Operations on positions of groups.

use std::collections::BTreeMap;

use ferromq_client::admin::offsets::ResetTo;
use ferromq_client::{QueueOffset, Timestamp};
use serde::Deserialize;
use serde_json::json as object;

use super::{Queue, json, table};

table! { admin;
    /// Moves a group in a topic. Answers the moves.
    reset_offsets {
        /// The group.
        group: String,
        /// The topic.
        topic: String,
        /// `first`, `last`, or milliseconds since 1970: the first message stored then or later.
        to: To,
        /// Only says what would be moved: not by default.
        dry_run: Option<bool>,
    } -> "Gathered<Moved[]>" = if dry_run == Some(true) {
        json(&admin.plan_reset(&group, &topic, to.into(), None).await?)
    } else {
        json(&admin.reset_offsets(&group, &topic, to.into(), None).await?)
    };

    /// Moves a group in one queue. Answers the move.
    reset_queue {
        /// The group.
        group: String,
        /// The queue.
        queue: Queue,
        /// The number of the message in the queue.
        offset: u64,
        /// Only says what would be moved: not by default.
        dry_run: Option<bool>,
    } -> "Gathered<Moved[]>" = {
        let (queue, to) = (queue.find(&admin).await?, ResetTo::Offset(QueueOffset(offset)));
        let topic = queue.topic.as_str();
        if dry_run == Some(true) {
            json(&admin.plan_reset(&group, topic, to, Some(&queue)).await?)
        } else {
            json(&admin.reset_offsets(&group, topic, to, Some(&queue)).await?)
        }
    };

    /// Gives a group the positions of another one in a topic. Nobody of the group that gets them should be there, who
    /// would write over them. Answers who has.
    clone_offsets {
        /// The group whose positions are taken.
        from_group: String,
        /// The group that gets them.
        to_group: String,
        /// The topic.
        topic: String,
    } -> "Gathered<BrokerNode[]>" = json(&admin.clone_offsets(&from_group, &to_group, &topic).await?);

    /// Where the members of a group are in a topic, by their own account: by client id.
    member_positions {
        /// The group.
        group: String,
        /// The topic.
        topic: String,
    } -> "Gathered<Record<string, Position[]>>" = {
        let told = admin.member_positions(&group, &topic).await?;
        let members = told.value.into_iter().map(|(client, queues)| {
            let positions = queues.into_iter().map(|(queue, position)| {
                object!({ "topic": queue.topic, "broker": queue.broker, "queue": queue.id, "position": position })
            });
            (client, positions.collect::<Vec<_>>())
        });
        json(&object!({ "value": members.collect::<BTreeMap<_, _>>(), "failures": told.failures }))
    };
}

/// Where a group is moved to.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "`to` is neither first nor last nor milliseconds since 1970")]
enum To {
    Named(Named),
    Time(Timestamp),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Named {
    First,
    Last,
}

impl From<To> for ResetTo {
    fn from(to: To) -> Self {
        match to {
            To::Named(Named::First) => Self::First,
            To::Named(Named::Last) => Self::Last,
            To::Time(time) => Self::Time(time),
        }
    }
}
