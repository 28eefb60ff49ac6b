//! Headers of what operators' tools ask of brokers.

use ferromq_model::{QueueId, QueueOffset};

use super::headers;

headers! {
    /// Reads the table of all topics, or a part of it.
    GetAllTopics<'a> [GetAllTopicConfig] {
        /// The first topic wanted; older clients want all.
        from: Option<u32> = "topicSeq",
        /// The version of the table that the parts before came from.
        version: Option<&'a str> = "dataVersion",
        /// The most topics wanted.
        max: Option<u32> = "maxTopicNum",
    }

    /// How many topics there are in all.
    GetAllTopicsResponse [] {
        /// The number.
        total: Option<u32> = "totalTopicNum",
    }

    /// Reads the table of all groups, or a part of it.
    GetAllGroups<'a> [GetAllSubscriptionGroupConfig] {
        /// The first group wanted; older clients want all.
        from: Option<u32> = "groupSeq",
        /// The version of the table that the parts before came from.
        version: Option<&'a str> = "dataVersion",
        /// The most groups wanted.
        max: Option<u32> = "maxGroupNum",
    }

    /// How many groups there are in all.
    GetAllGroupsResponse [] {
        /// The number.
        total: Option<u32> = "totalGroupNum",
    }

    /// Asks whether a group may read a topic, or says so.
    GroupForbidden<'a> [UpdateAndGetGroupForbidden] {
        /// The group.
        group: &'a str = "group",
        /// The topic.
        topic: &'a str = "topic",
        /// What is to be; none only asks.
        readable: Option<bool> = "readable",
    }

    /// Reads where each queue of a topic begins and ends.
    GetTopicStats<'a> [GetTopicStatsInfo] {
        /// The topic.
        topic: &'a str = "topic",
    }

    /// Reads who consumes in a group.
    GetConsumerConnections<'a> [GetConsumerConnectionList] {
        /// The group.
        group: &'a str = "consumerGroup",
    }

    /// Reads who produces in a group.
    GetProducerConnections<'a> [GetProducerConnectionList] {
        /// The group.
        group: &'a str = "producerGroup",
    }

    /// Reads how far a group is.
    GetConsumeStats<'a> [GetConsumeStats] {
        /// The group.
        group: &'a str = "consumerGroup",
        /// Only this topic.
        topic: Option<&'a str> = "topic",
        /// Only these topics, with semicolons between.
        topics: Option<&'a str> = "topicList",
    }

    /// Reads which groups consume a topic.
    QueryTopicConsumers<'a> [QueryTopicConsumeByWho] {
        /// The topic.
        topic: &'a str = "topic",
    }

    /// Reads when a group's messages of a topic were stored.
    QueryConsumeTimeSpan<'a> [QueryConsumeTimeSpan] {
        /// The topic.
        topic: &'a str = "topic",
        /// The group.
        group: &'a str = "group",
    }

    /// Reads how far all groups are.
    GetBrokerConsumeStats [GetBrokerConsumeStats] {
        /// Whether only ordered topics are wanted.
        ordered: bool = "isOrder",
    }

    /// Reads entries of a consume queue.
    QueryConsumeQueue<'a> [QueryConsumeQueue] {
        /// The topic.
        topic: &'a str = "topic",
        /// The queue.
        queue: QueueId = "queueId",
        /// The first entry wanted.
        from: QueueOffset = "index",
        /// The most entries wanted.
        max: u32 = "count",
        /// A group whose filter is tried on each.
        group: Option<&'a str> = "consumerGroup",
    }

    /// Reads which topics a group has positions in.
    QueryTopicsByConsumer<'a> [QueryTopicsByConsumer] {
        /// The group.
        group: &'a str = "group",
    }

    /// Reads what a group wants of a topic.
    QuerySubscription<'a> [QuerySubscriptionByConsumer] {
        /// The group.
        group: &'a str = "group",
        /// The topic.
        topic: &'a str = "topic",
    }

    /// Reads what was counted in the last minute, hour and day.
    ViewStats<'a> [ViewBrokerStatsData] {
        /// What was counted.
        name: &'a str = "statsName",
        /// Of which topic, group or queue.
        key: &'a str = "statsKey",
    }

    /// The version of what is answered.
    VersionResponse<'a> [] {
        /// It, as JSON.
        version: &'a str = "version",
    }
}
