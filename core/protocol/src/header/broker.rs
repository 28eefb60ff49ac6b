//! Headers of requests to brokers, of their responses, and of what brokers ask of clients.

use ferromq_model::message::SysFlag;
use ferromq_model::topic::{Permission, TopicFilterType};
use ferromq_model::{Millis, PhysicalOffset, QueueId, QueueOffset, Timestamp};

use super::headers;
use super::values::{Boundary, Forbidden, PullFlags};

/// Writes a header that has one-letter names with its long names, as the older send requests (10 and 324) want it.
#[derive(Clone, Copy, Debug)]
pub struct LongNames<'a, H>(pub &'a H);

/// A letter as the name of a field.
const fn letter_name(letter: u8) -> &'static str {
    const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";
    let (_, rest) = LETTERS.split_at((letter - b'a') as usize);
    rest.split_at(1).0
}

headers! {
    /// Stores the message, the batch or the reply that the body is. Read with either column of names.
    SendMessage<'a> [SendMessage, SendMessageV2, SendBatchMessage, SendReplyMessage, SendReplyMessageV2] {
        /// The producer's group.
        group: &'a str = "producerGroup" / b'a',
        /// The topic.
        topic: &'a str = "topic" / b'b',
        /// The topic whose settings a new topic inherits.
        default_topic: &'a str = "defaultTopic" / b'c',
        /// How many queues a new topic should have.
        default_queues: i32 = "defaultTopicQueueNums" / b'd',
        /// The queue; none leaves the choice to the broker.
        queue: Option<QueueId> = "queueId" / b'e',
        /// What the message is.
        sys_flag: SysFlag = "sysFlag" / b'f',
        /// When the client made the message.
        born: Timestamp = "bornTimestamp" / b'g',
        /// The application's own flag.
        flag: i32 = "flag" / b'h',
        /// The property string; that of the whole batch for a batch.
        properties: &'a str = "properties" / b'i' or "",
        /// Redeliveries so far.
        reconsume_times: i32 = "reconsumeTimes" / b'j' or 0,
        /// Whether a new topic gets the unit flag.
        unit_mode: bool = "unitMode" / b'k' or false,
        /// Redeliveries allowed, for messages that a consumer sends back by a plain send.
        max_reconsume_times: Option<i32> = "maxReconsumeTimes" / b'l',
        /// Whether the body is a batch.
        batch: bool = "batch" / b'm' or false,
        /// The broker that the client means.
        broker: Option<&'a str> = "bname" / b'n',
    }

    /// Where a message was stored. Clients want all of it with each code that means "stored".
    SendMessageResponse<'a> [] {
        /// Its place, in the hex form of a message id; for a batch one for each message, with commas between.
        message_id: &'a str = "msgId",
        /// The queue.
        queue: QueueId = "queueId",
        /// Its number in the queue; that of the first message of a batch.
        offset: QueueOffset = "queueOffset",
        /// The client's id of the message.
        transaction_id: Option<&'a str> = "transactionId",
        /// The id of a batch that is stored as one record.
        batch_id: Option<&'a str> = "batchUniqId",
        /// What takes a timer message back.
        recall_handle: Option<&'a str> = "recallHandle",
        /// The region the broker stands in. Clients read it without looking whether it is there.
        region: &'a str = "MSG_REGION" or "DefaultRegion",
        /// Whether the client may trace the message.
        trace: bool = "TRACE_ON" or true,
    }

    /// Reads messages of one queue.
    PullMessage<'a> [PullMessage, LitePullMessage] {
        /// The consumer's group.
        group: &'a str = "consumerGroup",
        /// The topic.
        topic: &'a str = "topic",
        /// The queue.
        queue: QueueId = "queueId",
        /// The first message wanted; none for a negative number.
        from: Option<QueueOffset> = "queueOffset",
        /// The most messages wanted.
        max: u32 = "maxMsgNums",
        /// How the pull wants to be served.
        flags: PullFlags = "sysFlag",
        /// The group's position, to be stored if the flags say so.
        commit: Option<QueueOffset> = "commitOffset",
        /// How long the pull may wait for messages.
        wait: Millis = "suspendTimeoutMillis" or Millis(0),
        /// The expression, if the flags say that it is here.
        subscription: Option<&'a str> = "subscription",
        /// When the client made its subscription; the newest counts.
        subscription_version: i64 = "subVersion" or 0,
        /// The language of the expression: `TAG`, or `SQL92`.
        expression_type: Option<&'a str> = "expressionType",
        /// The most bytes wanted.
        max_bytes: Option<i32> = "maxMsgBytes",
        /// Which part of a proxy pulls; -1 for a client.
        source: Option<i32> = "requestSource",
        /// The client that a proxy pulls for. The name is spelled like this.
        proxied_client: Option<&'a str> = "proxyFrowardClientId",
    }

    /// How a pull went. Clients want the first four with each of the codes 0, 19, 20 and 21.
    PullMessageResponse [] {
        /// The broker to pull from next; 0 is the master.
        next_broker: u64 = "suggestWhichBrokerId",
        /// Where the next pull starts.
        next: QueueOffset = "nextBeginOffset",
        /// The queue's first message.
        min: QueueOffset = "minOffset",
        /// Behind the queue's last message.
        max: QueueOffset = "maxOffset",
        /// What to add to the offsets of a queue that has moved.
        offset_delta: Option<i64> = "offsetDelta",
        /// The topic's flags.
        topic_sys_flag: Option<i32> = "topicSysFlag",
        /// The group's flags.
        group_sys_flag: Option<i32> = "groupSysFlag",
        /// With `NO_PERMISSION`: who refuses.
        forbidden: Option<Forbidden> = "forbiddenType",
    }

    /// Finds messages by key or by the client's id.
    QueryMessage<'a> [QueryMessage] {
        /// The topic.
        topic: &'a str = "topic",
        /// The key.
        key: &'a str = "key",
        /// The most messages wanted.
        max: u32 = "maxNum",
        /// Stored at this time or later.
        begin: Timestamp = "beginTimestamp",
        /// Stored at this time or earlier.
        end: Timestamp = "endTimestamp",
        /// Whether the key is the client's id of a message.
        unique: bool = "_UNIQUE_KEY_QUERY" or false,
    }

    /// How far the index has come.
    QueryMessageResponse [] {
        /// The store time of the last message that it has.
        indexed_until: Timestamp = "indexLastUpdateTimestamp",
        /// The place of the last message that it has.
        indexed_to: PhysicalOffset = "indexLastUpdatePhyoffset",
    }

    /// Reads one message by its place.
    ViewMessage<'a> [ViewMessageById] {
        /// Where the record starts.
        offset: PhysicalOffset = "offset",
        /// The topic, if the client knows it.
        topic: Option<&'a str> = "topic",
    }

    /// Reads a group's position in one queue.
    QueryConsumerOffset<'a> [QueryConsumerOffset] {
        /// The group.
        group: &'a str = "consumerGroup",
        /// The topic.
        topic: &'a str = "topic",
        /// The queue.
        queue: QueueId = "queueId",
        /// Whether a young queue may be answered with its start when no position is stored.
        zero_if_unknown: bool = "setZeroIfNotFound" or true,
    }

    /// Stores a group's position in one queue.
    UpdateConsumerOffset<'a> [UpdateConsumerOffset] {
        /// The group.
        group: &'a str = "consumerGroup",
        /// The topic.
        topic: &'a str = "topic",
        /// The queue.
        queue: QueueId = "queueId",
        /// The next message to be consumed.
        offset: Option<QueueOffset> = "commitOffset",
    }

    /// Reads the end of one queue.
    GetMaxOffset<'a> [GetMaxOffset] {
        /// The topic.
        topic: &'a str = "topic",
        /// The queue.
        queue: QueueId = "queueId",
        /// Whether only what is safe from failures counts.
        committed: bool = "committed" or true,
    }

    /// Reads the start of one queue.
    GetMinOffset<'a> [GetMinOffset] {
        /// The topic.
        topic: &'a str = "topic",
        /// The queue.
        queue: QueueId = "queueId",
    }

    /// Finds the offset of a store time.
    SearchOffset<'a> [SearchOffsetByTimestamp] {
        /// The topic.
        topic: &'a str = "topic",
        /// The queue.
        queue: QueueId = "queueId",
        /// The time.
        time: Timestamp = "timestamp",
        /// Which message is meant.
        boundary: Boundary = "boundaryType",
    }

    /// Answers the four requests above.
    OffsetResponse [] {
        /// The offset asked for.
        offset: QueueOffset = "offset",
    }

    /// Reads when the first message of one queue was stored.
    GetEarliestStoreTime<'a> [GetEarliestMsgStoreTime] {
        /// The topic.
        topic: &'a str = "topic",
        /// The queue.
        queue: QueueId = "queueId",
    }

    /// When the first message was stored.
    EarliestStoreTimeResponse [] {
        /// The time; none in an empty queue.
        time: Option<Timestamp> = "timestamp",
    }

    /// What a broker says to a heartbeat.
    HeartBeatResponse [] {
        /// Whether heartbeats may leave out what has not changed.
        supports_v2: bool = "IS_SUPPORT_HEART_BEAT_V2" or false,
        /// Whether the next heartbeat has to be complete.
        subscription_changed: bool = "IS_SUB_CHANGE" or true,
    }

    /// A client leaves its groups.
    UnregisterClient<'a> [UnregisterClient] {
        /// The client.
        client_id: &'a str = "clientID",
        /// The producer group that it leaves.
        producer_group: Option<&'a str> = "producerGroup",
        /// The consumer group that it leaves.
        consumer_group: Option<&'a str> = "consumerGroup",
    }

    /// Reads the members of a group.
    GetConsumerList<'a> [GetConsumerListByGroup] {
        /// The group.
        group: &'a str = "consumerGroup",
    }

    /// Tells a member that its group has changed. Nobody answers it.
    NotifyConsumerIdsChanged<'a> [NotifyConsumerIdsChanged] {
        /// The group.
        group: &'a str = "consumerGroup",
    }

    /// Returns a message that could not be handled.
    SendBack<'a> [ConsumerSendMsgBack] {
        /// Where the record starts.
        offset: PhysicalOffset = "offset",
        /// The consumer's group.
        group: &'a str = "group",
        /// When to deliver it again: below 0 never, 0 as the broker thinks, else a delay level.
        delay_level: i32 = "delayLevel",
        /// The message's id.
        message_id: Option<&'a str> = "originMsgId",
        /// The message's topic.
        topic: Option<&'a str> = "originTopic",
        /// Whether a new retry topic gets the unit flag.
        unit_mode: bool = "unitMode" or false,
        /// Redeliveries allowed; otherwise the group's setting counts.
        max_reconsume_times: Option<i32> = "maxReconsumeTimes",
    }

    /// Takes a timer message back that is not delivered yet.
    RecallMessage<'a> [RecallMessage] {
        /// The producer's group.
        group: Option<&'a str> = "producerGroup",
        /// The topic that the message is for.
        topic: &'a str = "topic",
        /// What the answer to its send named.
        handle: &'a str = "recallHandle",
    }

    /// A timer message is taken back.
    RecallMessageResponse<'a> [] {
        /// The client's id of the message.
        message_id: &'a str = "msgId",
        /// The region the broker stands in.
        region: &'a str = "MSG_REGION" or "DefaultRegion",
    }

    /// Creates a topic or changes its settings.
    UpdateTopic<'a> [UpdateAndCreateTopic] {
        /// The topic.
        topic: &'a str = "topic",
        /// The topic to inherit from; not used by brokers.
        default_topic: &'a str = "defaultTopic" or "TBW102",
        /// Queues that consumers read.
        read_queues: u32 = "readQueueNums",
        /// Queues that producers write.
        write_queues: u32 = "writeQueueNums",
        /// What clients may do.
        perm: Permission = "perm",
        /// One tag a message, or several.
        filter_type: TopicFilterType = "topicFilterType" or TopicFilterType::SingleTag,
        /// The topic's flags.
        sys_flag: i32 = "topicSysFlag" or 0,
        /// Whether clients should keep the queue count fixed for ordering.
        order: bool = "order" or false,
        /// Attributes to set (`+k=v`) and to remove (`-k`), with commas between.
        attributes: Option<&'a str> = "attributes",
        /// Whether to change a topic whose queues have moved.
        force: bool = "force" or false,
    }

    /// Deletes a topic from a broker.
    DeleteTopic<'a> [DeleteTopicInBroker] {
        /// The topic.
        topic: &'a str = "topic",
    }

    /// Reads one topic's settings.
    GetTopicConfig<'a> [GetTopicConfig] {
        /// The topic.
        topic: &'a str = "topic",
    }

    /// Reads one group's settings.
    GetSubscriptionGroup<'a> [GetSubscriptionGroupConfig] {
        /// The group.
        group: &'a str = "group",
    }

    /// Deletes a group.
    DeleteSubscriptionGroup<'a> [DeleteSubscriptionGroup] {
        /// The group.
        group: &'a str = "groupName",
        /// Whether its positions go too.
        clean_offsets: bool = "cleanOffset" or false,
    }
}
