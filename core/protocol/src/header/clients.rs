//! Headers of what brokers ask of clients, of the admin requests that make them ask, and of transactions, which need both.

use ferromq_model::message::SysFlag;
use ferromq_model::{PhysicalOffset, QueueId, QueueOffset, Timestamp};

use super::headers;

headers! {
    /// Ends a transaction. Clients do not want an answer; one that says "unknown" gets none.
    EndTransaction<'a> [EndTransaction] {
        /// The real topic; older clients leave it out.
        topic: Option<&'a str> = "topic",
        /// The producer's group.
        group: &'a str = "producerGroup",
        /// Which message of the half topic it is.
        half: QueueOffset = "tranStateTableOffset",
        /// Where the half message starts in the log.
        at: PhysicalOffset = "commitLogOffset",
        /// How the transaction ends: 8 commit, 12 roll back, 0 not yet.
        decision: i32 = "commitOrRollback",
        /// Whether it answers the broker's question.
        from_check: bool = "fromTransactionCheck" or false,
        /// The message's id.
        message_id: Option<&'a str> = "msgId",
        /// The client's id of the message.
        transaction_id: Option<&'a str> = "transactionId",
    }

    /// Asks a producer how its transaction ended. It answers with a request of its own.
    CheckTransactionState<'a> [CheckTransactionState] {
        /// The half topic.
        topic: Option<&'a str> = "topic",
        /// Which message of the half topic it is by now.
        half: QueueOffset = "tranStateTableOffset",
        /// Where it starts in the log.
        at: PhysicalOffset = "commitLogOffset",
        /// The client's id of the message.
        message_id: Option<&'a str> = "msgId",
        /// The same.
        transaction_id: Option<&'a str> = "transactionId",
        /// The place of the message, in the form of a message id.
        offset_message_id: Option<&'a str> = "offsetMsgId",
        /// The broker that asks.
        broker: Option<&'a str> = "bname",
    }

    /// Takes a message that was checked too often back among those that are checked.
    ResumeCheckHalfMessage<'a> [ResumeCheckHalfMessage] {
        /// Its topic.
        topic: Option<&'a str> = "topic",
        /// The place of the message, in the form of a message id.
        message_id: Option<&'a str> = "msgId",
    }

    /// Hands a reply to the client that waits for it.
    PushReply<'a> [PushReplyMessageToClient] {
        /// The replier's group.
        group: &'a str = "producerGroup",
        /// The reply topic.
        topic: &'a str = "topic",
        /// The topic whose settings a new topic would inherit.
        default_topic: &'a str = "defaultTopic",
        /// How many queues a new topic would have.
        default_queues: i32 = "defaultTopicQueueNums",
        /// The queue.
        queue: Option<QueueId> = "queueId",
        /// What the message is.
        sys_flag: SysFlag = "sysFlag",
        /// When the replier made it.
        born: Timestamp = "bornTimestamp",
        /// The application's own flag.
        flag: i32 = "flag",
        /// The property string.
        properties: &'a str = "properties" or "",
        /// Redeliveries so far.
        reconsume_times: i32 = "reconsumeTimes" or 0,
        /// Whether a new topic would get the unit flag.
        unit_mode: bool = "unitMode" or false,
        /// The replier, as `ip:port`.
        born_host: &'a str = "bornHost",
        /// The broker, as `ip:port`.
        store_host: &'a str = "storeHost",
        /// When the broker took the reply.
        stored: Timestamp = "storeTimestamp",
    }

    /// Moves a group to another position: of a broker, to where it was at a time; of a client, as the body says.
    ResetOffset<'a> [InvokeBrokerToResetOffset, ResetConsumerClientOffset] {
        /// The topic.
        topic: &'a str = "topic",
        /// The group.
        group: &'a str = "group",
        /// The time; none for the end of the queues.
        time: Option<Timestamp> = "timestamp",
        /// Whether to move the group forward too.
        force: bool = "isForce" or false,
        /// The queue; none for all of them.
        queue: Option<QueueId> = "queueId",
        /// The position, for one queue; none goes by the time.
        offset: Option<QueueOffset> = "offset",
    }

    /// Asks where the members of a group are in each queue: of a broker, and by it of each member.
    ConsumerStatus<'a> [InvokeBrokerToGetConsumerStatus, GetConsumerStatusFromClient] {
        /// The topic.
        topic: &'a str = "topic",
        /// The group.
        group: &'a str = "group",
        /// One member only.
        client: Option<&'a str> = "clientAddr",
    }

    /// Asks what a consumer is doing: of a broker, and by it of the client.
    ConsumerRunningInfo<'a> [GetConsumerRunningInfo] {
        /// The group.
        group: &'a str = "consumerGroup",
        /// The client.
        client: &'a str = "clientId",
        /// Whether to add what its threads are doing.
        stack: bool = "jstackEnable" or false,
    }

    /// Has one client consume one message at once: asked of a broker, and by it of the client.
    ConsumeDirectly<'a> [ConsumeMessageDirectly] {
        /// The group.
        group: &'a str = "consumerGroup",
        /// The client.
        client: Option<&'a str> = "clientId",
        /// The place of the message, in the form of a message id.
        message_id: Option<&'a str> = "msgId",
        /// The broker that has the message.
        broker: Option<&'a str> = "brokerName",
        /// The topic.
        topic: Option<&'a str> = "topic",
        /// The topic's flags.
        topic_sys_flag: Option<i32> = "topicSysFlag",
        /// The group's flags.
        group_sys_flag: Option<i32> = "groupSysFlag",
    }

    /// Gives a group the positions of another one.
    CloneGroupOffset<'a> [CloneGroupOffset] {
        /// The group whose positions are taken.
        from: &'a str = "srcGroup",
        /// The group that gets them.
        to: &'a str = "destGroup",
        /// One topic only.
        topic: Option<&'a str> = "topic",
        /// Whether topics count that no member of the first group subscribes to.
        offline: bool = "offline" or false,
    }

    /// Asks how far all groups of a topic are, next to one of them.
    QueryCorrectionOffset<'a> [QueryCorrectionOffset] {
        /// The topic.
        topic: &'a str = "topic",
        /// The group.
        group: &'a str = "compareGroup",
        /// Groups that do not count, with commas between.
        filtered: Option<&'a str> = "filterGroups",
    }
}
