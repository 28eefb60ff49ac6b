//! The two tables of numbers: what a request asks for, and what a response says.
//!
//! Each code is declared once, with RocketMQ's name for it and, for requests, with who serves it; the dispatch of a
//! front-end, its log lines and the page of supported requests derive from here.
//!
//! Always true: an unknown code is no error at this level. Frames carry a plain `i32`, so that an unknown request can
//! be answered with [`ResponseCode::RequestCodeNotSupported`] and an unknown response can be shown with its number.

use std::fmt;

/// Who handles a request of the reference implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// A broker.
    Broker,
    /// A NameServer.
    NameServer,
    /// A client: the server starts the request on the client's connection.
    Client,
    /// A controller, which elects masters.
    Controller,
    /// Only brokers up to 5.3.2 (the first generation of access control).
    OldBroker,
}

/// A table of numbers, and RocketMQ's name for each.
macro_rules! codes {
    (
        $(#[$meta:meta])*
        $name:ident: $($(#[doc = $doc:literal])+ $variant:ident = $code:literal, $text:literal;)*
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i32)]
        pub enum $name {
            $($(#[doc = $doc])+ $variant = $code,)*
        }

        impl $name {
            /// Every known code, in rising order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Reads the number of a frame; `None` when nobody defines it.
            #[must_use]
            pub const fn from_i32(code: i32) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The number that frames carry.
            #[must_use]
            pub const fn code(self) -> i32 {
                self as i32
            }

            /// RocketMQ's name, as in `SEND_MESSAGE` or `PULL_NOT_FOUND`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} ({})", self.name(), self.code())
            }
        }
    };
}

macro_rules! request_codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal, $name:literal, [$($side:ident),*];)*) => {
        codes! {
            /// What a request asks for.
            RequestCode: $($(#[doc = $doc])+ $variant = $code, $name;)*
        }

        impl RequestCode {
            /// Who handles it; empty for codes that are defined and never handled.
            #[must_use]
            pub const fn served_by(self) -> &'static [Side] {
                match self { $(Self::$variant => &[$(Side::$side),*],)* }
            }

            /// What it is for, as one line of Markdown.
            #[must_use]
            pub fn meaning(self) -> String {
                let doc = match self { $(Self::$variant => concat!($($doc, "\n",)+),)* };
                doc.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
            }
        }
    };
}

request_codes! {
    /// Stores one message, with the long header names.
    SendMessage = 10, "SEND_MESSAGE", [Broker];
    /// Reads messages of one queue; may wait for them.
    PullMessage = 11, "PULL_MESSAGE", [Broker];
    /// Finds messages by key or client id within a span of time.
    QueryMessage = 12, "QUERY_MESSAGE", [Broker];
    /// Never handled.
    QueryBrokerOffset = 13, "QUERY_BROKER_OFFSET", [];
    /// Reads a group's position in one queue.
    QueryConsumerOffset = 14, "QUERY_CONSUMER_OFFSET", [Broker];
    /// Stores a group's position in one queue.
    UpdateConsumerOffset = 15, "UPDATE_CONSUMER_OFFSET", [Broker];
    /// Creates a topic or changes its settings.
    UpdateAndCreateTopic = 17, "UPDATE_AND_CREATE_TOPIC", [Broker];
    /// Creates or changes several topics.
    UpdateAndCreateTopicList = 18, "UPDATE_AND_CREATE_TOPIC_LIST", [Broker];
    /// Reads all topics' settings.
    GetAllTopicConfig = 21, "GET_ALL_TOPIC_CONFIG", [Broker];
    /// Never handled.
    GetTopicConfigList = 22, "GET_TOPIC_CONFIG_LIST", [];
    /// Never handled.
    GetTopicNameList = 23, "GET_TOPIC_NAME_LIST", [];
    /// Changes settings of a running broker.
    UpdateBrokerConfig = 25, "UPDATE_BROKER_CONFIG", [Broker];
    /// Reads a broker's settings.
    GetBrokerConfig = 26, "GET_BROKER_CONFIG", [Broker];
    /// Never handled.
    TriggerDeleteFiles = 27, "TRIGGER_DELETE_FILES", [];
    /// Reads a broker's counters.
    GetBrokerRuntimeInfo = 28, "GET_BROKER_RUNTIME_INFO", [Broker];
    /// Finds the offset of a point in time in one queue.
    SearchOffsetByTimestamp = 29, "SEARCH_OFFSET_BY_TIMESTAMP", [Broker];
    /// Reads the end of one queue.
    GetMaxOffset = 30, "GET_MAX_OFFSET", [Broker];
    /// Reads the oldest offset of one queue.
    GetMinOffset = 31, "GET_MIN_OFFSET", [Broker];
    /// Reads when the oldest message of one queue was stored.
    GetEarliestMsgStoreTime = 32, "GET_EARLIEST_MSG_STORETIME", [Broker];
    /// Reads one message by its place in the log.
    ViewMessageById = 33, "VIEW_MESSAGE_BY_ID", [Broker];
    /// Tells a broker which groups a client belongs to, and what they want.
    HeartBeat = 34, "HEART_BEAT", [Broker];
    /// A client leaves its groups.
    UnregisterClient = 35, "UNREGISTER_CLIENT", [Broker];
    /// Returns a message that could not be handled, to be delivered again later.
    ConsumerSendMsgBack = 36, "CONSUMER_SEND_MSG_BACK", [Broker];
    /// Commits or rolls back a half message.
    EndTransaction = 37, "END_TRANSACTION", [Broker];
    /// Reads the members of a group.
    GetConsumerListByGroup = 38, "GET_CONSUMER_LIST_BY_GROUP", [Broker];
    /// Asks a producer for the outcome of a transaction.
    CheckTransactionState = 39, "CHECK_TRANSACTION_STATE", [Client];
    /// Tells a member that its group has changed.
    NotifyConsumerIdsChanged = 40, "NOTIFY_CONSUMER_IDS_CHANGED", [Client];
    /// Locks queues for orderly consumption.
    LockBatchMq = 41, "LOCK_BATCH_MQ", [Broker];
    /// Gives locks on queues back.
    UnlockBatchMq = 42, "UNLOCK_BATCH_MQ", [Broker];
    /// Reads all groups' positions.
    GetAllConsumerOffset = 43, "GET_ALL_CONSUMER_OFFSET", [Broker];
    /// Reads the delay service's positions.
    GetAllDelayOffset = 45, "GET_ALL_DELAY_OFFSET", [Broker];
    /// Checks whether a subscription can be served.
    CheckClientConfig = 46, "CHECK_CLIENT_CONFIG", [Broker];
    /// Never handled.
    GetClientConfig = 47, "GET_CLIENT_CONFIG", [];
    /// First-generation access control, removed in 5.3.3.
    UpdateAndCreateAclConfig = 50, "UPDATE_AND_CREATE_ACL_CONFIG", [OldBroker];
    /// First-generation access control, removed in 5.3.3.
    DeleteAclConfig = 51, "DELETE_ACL_CONFIG", [OldBroker];
    /// First-generation access control, removed in 5.3.3.
    GetBrokerClusterAclInfo = 52, "GET_BROKER_CLUSTER_ACL_INFO", [OldBroker];
    /// First-generation access control, removed in 5.3.3.
    UpdateGlobalWhiteAddrsConfig = 53, "UPDATE_GLOBAL_WHITE_ADDRS_CONFIG", [OldBroker];
    /// First-generation access control, removed in 5.3.3.
    GetBrokerClusterAclConfig = 54, "GET_BROKER_CLUSTER_ACL_CONFIG", [OldBroker];
    /// Reads the timer store's position.
    GetTimerCheckPoint = 60, "GET_TIMER_CHECK_POINT", [Broker];
    /// Reads the timer store's counters.
    GetTimerMetrics = 61, "GET_TIMER_METRICS", [Broker];
    /// Stores one value of the NameServer's key-value table.
    PutKvConfig = 100, "PUT_KV_CONFIG", [NameServer];
    /// Reads one value of the NameServer's key-value table.
    GetKvConfig = 101, "GET_KV_CONFIG", [NameServer];
    /// Removes one value of the NameServer's key-value table.
    DeleteKvConfig = 102, "DELETE_KV_CONFIG", [NameServer];
    /// A broker tells where it is and which topics it has.
    RegisterBroker = 103, "REGISTER_BROKER", [NameServer];
    /// A broker leaves.
    UnregisterBroker = 104, "UNREGISTER_BROKER", [NameServer];
    /// Asks which brokers have a topic.
    GetRouteInfoByTopic = 105, "GET_ROUTEINFO_BY_TOPIC", [NameServer];
    /// Reads all brokers and clusters.
    GetBrokerClusterInfo = 106, "GET_BROKER_CLUSTER_INFO", [NameServer];
    /// Creates a group or changes its settings.
    UpdateAndCreateSubscriptionGroup = 200, "UPDATE_AND_CREATE_SUBSCRIPTIONGROUP", [Broker];
    /// Reads all groups' settings.
    GetAllSubscriptionGroupConfig = 201, "GET_ALL_SUBSCRIPTIONGROUP_CONFIG", [Broker];
    /// Reads the offsets of a topic's queues.
    GetTopicStatsInfo = 202, "GET_TOPIC_STATS_INFO", [Broker];
    /// Reads the connections of a consumer group.
    GetConsumerConnectionList = 203, "GET_CONSUMER_CONNECTION_LIST", [Broker];
    /// Reads the connections of a producer group.
    GetProducerConnectionList = 204, "GET_PRODUCER_CONNECTION_LIST", [Broker];
    /// Takes a broker out of all routes for producers.
    WipeWritePermOfBroker = 205, "WIPE_WRITE_PERM_OF_BROKER", [NameServer];
    /// Reads all topics that have a route.
    GetAllTopicListFromNameServer = 206, "GET_ALL_TOPIC_LIST_FROM_NAMESERVER", [NameServer];
    /// Deletes a group.
    DeleteSubscriptionGroup = 207, "DELETE_SUBSCRIPTIONGROUP", [Broker];
    /// Reads how far a group is behind.
    GetConsumeStats = 208, "GET_CONSUME_STATS", [Broker];
    /// Never handled.
    SuspendConsumer = 209, "SUSPEND_CONSUMER", [];
    /// Never handled.
    ResumeConsumer = 210, "RESUME_CONSUMER", [];
    /// Never handled.
    ResetConsumerOffsetInConsumer = 211, "RESET_CONSUMER_OFFSET_IN_CONSUMER", [];
    /// Never handled.
    ResetConsumerOffsetInBroker = 212, "RESET_CONSUMER_OFFSET_IN_BROKER", [];
    /// Never handled.
    AdjustConsumerThreadPool = 213, "ADJUST_CONSUMER_THREAD_POOL", [];
    /// Never handled.
    WhoConsumeTheMessage = 214, "WHO_CONSUME_THE_MESSAGE", [];
    /// Deletes a topic with its messages' queues.
    DeleteTopicInBroker = 215, "DELETE_TOPIC_IN_BROKER", [Broker];
    /// Removes a topic from the routes.
    DeleteTopicInNamesrv = 216, "DELETE_TOPIC_IN_NAMESRV", [NameServer];
    /// Adds one topic to the routes of known brokers.
    RegisterTopicInNamesrv = 217, "REGISTER_TOPIC_IN_NAMESRV", [NameServer];
    /// Reads one namespace of the NameServer's key-value table.
    GetKvListByNamespace = 219, "GET_KVLIST_BY_NAMESPACE", [NameServer];
    /// Moves a consumer to other offsets.
    ResetConsumerClientOffset = 220, "RESET_CONSUMER_CLIENT_OFFSET", [Client];
    /// Asks a consumer for its offsets.
    GetConsumerStatusFromClient = 221, "GET_CONSUMER_STATUS_FROM_CLIENT", [Client];
    /// Moves a group to a point in time.
    InvokeBrokerToResetOffset = 222, "INVOKE_BROKER_TO_RESET_OFFSET", [Broker];
    /// Collects the offsets of a group's members.
    InvokeBrokerToGetConsumerStatus = 223, "INVOKE_BROKER_TO_GET_CONSUMER_STATUS", [Broker];
    /// Reads the topics of one cluster.
    GetTopicsByCluster = 224, "GET_TOPICS_BY_CLUSTER", [NameServer];
    /// Creates or changes several groups.
    UpdateAndCreateSubscriptionGroupList = 225, "UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST", [Broker];
    /// Reads the groups that consume a topic.
    QueryTopicConsumeByWho = 300, "QUERY_TOPIC_CONSUME_BY_WHO", [Broker];
    /// Never handled.
    RegisterFilterServer = 301, "REGISTER_FILTER_SERVER", [];
    /// Never handled.
    RegisterMessageFilterClass = 302, "REGISTER_MESSAGE_FILTER_CLASS", [];
    /// Reads the times between which a group has yet to consume.
    QueryConsumeTimeSpan = 303, "QUERY_CONSUME_TIME_SPAN", [Broker];
    /// Reads cluster and broker names, which are topics too.
    GetSystemTopicListFromNs = 304, "GET_SYSTEM_TOPIC_LIST_FROM_NS", [NameServer];
    /// Reads the topics that brokers own.
    GetSystemTopicListFromBroker = 305, "GET_SYSTEM_TOPIC_LIST_FROM_BROKER", [Broker];
    /// Removes files of consume queues that point nowhere any more.
    CleanExpiredConsumeQueue = 306, "CLEAN_EXPIRED_CONSUMEQUEUE", [Broker];
    /// Reads what a consumer is doing, through its broker.
    GetConsumerRunningInfo = 307, "GET_CONSUMER_RUNNING_INFO", [Broker, Client];
    /// Reads the smallest offsets among groups.
    QueryCorrectionOffset = 308, "QUERY_CORRECTION_OFFSET", [Broker];
    /// Hands one message to one consumer, through its broker.
    ConsumeMessageDirectly = 309, "CONSUME_MESSAGE_DIRECTLY", [Broker, Client];
    /// Stores one message, with one-letter header names.
    SendMessageV2 = 310, "SEND_MESSAGE_V2", [Broker];
    /// Reads topics with the unit flag.
    GetUnitTopicList = 311, "GET_UNIT_TOPIC_LIST", [NameServer];
    /// Reads topics with unit subscribers.
    GetHasUnitSubTopicList = 312, "GET_HAS_UNIT_SUB_TOPIC_LIST", [NameServer];
    /// Reads topics with unit subscribers and without the unit flag.
    GetHasUnitSubUnunitTopicList = 313, "GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST", [NameServer];
    /// Copies a group's positions to another group.
    CloneGroupOffset = 314, "CLONE_GROUP_OFFSET", [Broker];
    /// Reads one statistic.
    ViewBrokerStatsData = 315, "VIEW_BROKER_STATS_DATA", [Broker];
    /// Removes queues of topics that no longer exist.
    CleanUnusedTopic = 316, "CLEAN_UNUSED_TOPIC", [Broker];
    /// Reads how far all groups are behind.
    GetBrokerConsumeStats = 317, "GET_BROKER_CONSUME_STATS", [Broker];
    /// Changes settings of a running NameServer.
    UpdateNamesrvConfig = 318, "UPDATE_NAMESRV_CONFIG", [NameServer];
    /// Reads a NameServer's settings.
    GetNamesrvConfig = 319, "GET_NAMESRV_CONFIG", [NameServer];
    /// Stores several messages of one topic.
    SendBatchMessage = 320, "SEND_BATCH_MESSAGE", [Broker];
    /// Reads entries of a consume queue.
    QueryConsumeQueue = 321, "QUERY_CONSUME_QUEUE", [Broker];
    /// Asks whether a broker's topics differ from what is registered.
    QueryDataVersion = 322, "QUERY_DATA_VERSION", [NameServer];
    /// Checks a half message again.
    ResumeCheckHalfMessage = 323, "RESUME_CHECK_HALF_MESSAGE", [Broker];
    /// Stores a reply, with the long header names.
    SendReplyMessage = 324, "SEND_REPLY_MESSAGE", [Broker];
    /// Stores a reply, with one-letter header names.
    SendReplyMessageV2 = 325, "SEND_REPLY_MESSAGE_V2", [Broker];
    /// Hands a reply to the producer that waits for it.
    PushReplyMessageToClient = 326, "PUSH_REPLY_MESSAGE_TO_CLIENT", [Client];
    /// Brings a broker back into all routes for producers.
    AddWritePermOfBroker = 327, "ADD_WRITE_PERM_OF_BROKER", [NameServer];
    /// Reads all producer groups and their connections.
    GetAllProducerInfo = 328, "GET_ALL_PRODUCER_INFO", [Broker];
    /// Removes expired files of the commit log.
    DeleteExpiredCommitLog = 329, "DELETE_EXPIRED_COMMITLOG", [Broker];
    /// Reads the topics that a group has positions in.
    QueryTopicsByConsumer = 343, "QUERY_TOPICS_BY_CONSUMER", [Broker];
    /// Reads a group's subscription to a topic.
    QuerySubscriptionByConsumer = 345, "QUERY_SUBSCRIPTION_BY_CONSUMER", [Broker];
    /// Reads one topic's settings.
    GetTopicConfig = 351, "GET_TOPIC_CONFIG", [Broker];
    /// Reads one group's settings.
    GetSubscriptionGroupConfig = 352, "GET_SUBSCRIPTIONGROUP_CONFIG", [Broker];
    /// Reads or sets whether a group may read a topic.
    UpdateAndGetGroupForbidden = 353, "UPDATE_AND_GET_GROUP_FORBIDDEN", [Broker];
    /// Compares two stores of consume queues.
    CheckRocksdbCqWriteProgress = 354, "CHECK_ROCKSDB_CQ_WRITE_PROGRESS", [Broker];
    /// Writes settings kept in another store to files.
    ExportRocksdbConfigToJson = 355, "EXPORT_ROCKSDB_CONFIG_TO_JSON", [Broker];
    /// As a pull, from a consumer that polls by itself.
    LitePullMessage = 361, "LITE_PULL_MESSAGE", [Broker];
    /// Takes back a message whose time has not come.
    RecallMessage = 370, "RECALL_MESSAGE", [Broker];
    /// Asks which queues a member should read.
    QueryAssignment = 400, "QUERY_ASSIGNMENT", [Broker];
    /// Sets whether a group pulls or pops.
    SetMessageRequestMode = 401, "SET_MESSAGE_REQUEST_MODE", [Broker];
    /// Reads which groups pull and which pop.
    GetAllMessageRequestMode = 402, "GET_ALL_MESSAGE_REQUEST_MODE", [Broker];
    /// Creates a topic whose queues keep their numbers when they move.
    UpdateAndCreateStaticTopic = 513, "UPDATE_AND_CREATE_STATIC_TOPIC", [Broker];
    /// Reads the addresses of one broker's replicas.
    GetBrokerMemberGroup = 901, "GET_BROKER_MEMBER_GROUP", [NameServer];
    /// Starts a broker in a container.
    AddBroker = 902, "ADD_BROKER", [Broker];
    /// Stops a broker in a container.
    RemoveBroker = 903, "REMOVE_BROKER", [Broker];
    /// A broker says that it is still there.
    BrokerHeartbeat = 904, "BROKER_HEARTBEAT", [NameServer, Controller];
    /// Tells replicas that the lowest broker id has changed.
    NotifyMinBrokerIdChange = 905, "NOTIFY_MIN_BROKER_ID_CHANGE", [Broker];
    /// Replicas tell each other their replication addresses.
    ExchangeBrokerHaInfo = 906, "EXCHANGE_BROKER_HA_INFO", [Broker];
    /// Reads the state of replication.
    GetBrokerHaStatus = 907, "GET_BROKER_HA_STATUS", [Broker];
    /// Sets how far the master has flushed.
    ResetMasterFlushOffset = 908, "RESET_MASTER_FLUSH_OFFSET", [Broker];
    /// Controller: changes which replicas are in sync.
    AlterSyncStateSet = 1001, "CONTROLLER_ALTER_SYNC_STATE_SET", [Controller];
    /// Controller: elects a master.
    ElectMaster = 1002, "CONTROLLER_ELECT_MASTER", [Controller];
    /// Controller: registers a replica.
    ControllerRegisterBroker = 1003, "CONTROLLER_REGISTER_BROKER", [Controller];
    /// Controller: reads a replica set.
    ControllerGetReplicaInfo = 1004, "CONTROLLER_GET_REPLICA_INFO", [Controller];
    /// Controller: reads who leads.
    ControllerGetMetadataInfo = 1005, "CONTROLLER_GET_METADATA_INFO", [Controller];
    /// Controller: reads which replicas are in sync.
    ControllerGetSyncStateData = 1006, "CONTROLLER_GET_SYNC_STATE_DATA", [Controller];
    /// Reads a replica's epochs.
    GetBrokerEpochCache = 1007, "GET_BROKER_EPOCH_CACHE", [Broker];
    /// Tells a replica its role.
    NotifyBrokerRoleChanged = 1008, "NOTIFY_BROKER_ROLE_CHANGED", [Broker];
    /// Controller: changes settings.
    UpdateControllerConfig = 1009, "UPDATE_CONTROLLER_CONFIG", [Controller];
    /// Controller: reads settings.
    GetControllerConfig = 1010, "GET_CONTROLLER_CONFIG", [Controller];
    /// Controller: forgets replicas.
    CleanBrokerData = 1011, "CLEAN_BROKER_DATA", [Controller];
    /// Controller: reads the next free broker id.
    ControllerGetNextBrokerId = 1012, "CONTROLLER_GET_NEXT_BROKER_ID", [Controller];
    /// Controller: takes a broker id.
    ControllerApplyBrokerId = 1013, "CONTROLLER_APPLY_BROKER_ID", [Controller];
    /// Sets limits for groups that read old messages.
    UpdateColdDataFlowCtrConfig = 2001, "UPDATE_COLD_DATA_FLOW_CTR_CONFIG", [Broker];
    /// Removes a limit for a group that reads old messages.
    RemoveColdDataFlowCtrConfig = 2002, "REMOVE_COLD_DATA_FLOW_CTR_CONFIG", [Broker];
    /// Reads the limits for groups that read old messages.
    GetColdDataFlowCtrInfo = 2003, "GET_COLD_DATA_FLOW_CTR_INFO", [Broker];
    /// Sets how the commit log is read ahead.
    SetCommitLogReadMode = 2004, "SET_COMMITLOG_READ_MODE", [Broker];
    /// Creates a user.
    AuthCreateUser = 3001, "AUTH_CREATE_USER", [Broker];
    /// Changes a user.
    AuthUpdateUser = 3002, "AUTH_UPDATE_USER", [Broker];
    /// Deletes a user.
    AuthDeleteUser = 3003, "AUTH_DELETE_USER", [Broker];
    /// Reads a user.
    AuthGetUser = 3004, "AUTH_GET_USER", [Broker];
    /// Reads all users.
    AuthListUser = 3005, "AUTH_LIST_USER", [Broker];
    /// Creates an access rule.
    AuthCreateAcl = 3006, "AUTH_CREATE_ACL", [Broker];
    /// Changes an access rule.
    AuthUpdateAcl = 3007, "AUTH_UPDATE_ACL", [Broker];
    /// Deletes an access rule.
    AuthDeleteAcl = 3008, "AUTH_DELETE_ACL", [Broker];
    /// Reads an access rule.
    AuthGetAcl = 3009, "AUTH_GET_ACL", [Broker];
    /// Reads all access rules.
    AuthListAcl = 3010, "AUTH_LIST_ACL", [Broker];
    /// Leases messages.
    PopMessage = 200_050, "POP_MESSAGE", [Broker];
    /// Ends a lease: the message is done.
    AckMessage = 200_051, "ACK_MESSAGE", [Broker];
    /// Reads messages without leasing them.
    PeekMessage = 200_052, "PEEK_MESSAGE", [Broker];
    /// Changes how long a lease lasts.
    ChangeMessageInvisibleTime = 200_053, "CHANGE_MESSAGE_INVISIBLETIME", [Broker];
    /// Waits until there is something to pop.
    Notification = 200_054, "NOTIFICATION", [Broker];
    /// Reads how many pops are waiting.
    PollingInfo = 200_055, "POLLING_INFO", [Broker];
    /// Moves pop records from RocksDB to the log.
    PopRollback = 200_056, "POP_ROLLBACK", [Broker];
    /// Ends several leases.
    BatchAckMessage = 200_151, "BATCH_ACK_MESSAGE", [Broker];
}

impl From<ResponseCode> for i32 {
    fn from(code: ResponseCode) -> Self {
        code.code()
    }
}

codes! {
    /// What a response says. The remark says it in words.
    ResponseCode:
    /// Done.
    Success = 0, "SUCCESS";
    /// Failed for a reason that has no code of its own.
    SystemError = 1, "SYSTEM_ERROR";
    /// Refused for now: try another broker or later.
    SystemBusy = 2, "SYSTEM_BUSY";
    /// Nobody here handles this request.
    RequestCodeNotSupported = 3, "REQUEST_CODE_NOT_SUPPORTED";
    /// A transaction could not be ended.
    TransactionFailed = 4, "TRANSACTION_FAILED";
    /// Stored, the flush not confirmed in time. Clients count it as sent.
    FlushDiskTimeout = 10, "FLUSH_DISK_TIMEOUT";
    /// Stored, no replica in reach. Clients count it as sent.
    SlaveNotAvailable = 11, "SLAVE_NOT_AVAILABLE";
    /// Stored, replication not confirmed in time. Clients count it as sent.
    FlushSlaveTimeout = 12, "FLUSH_SLAVE_TIMEOUT";
    /// The message breaks a rule on its size or content.
    MessageIllegal = 13, "MESSAGE_ILLEGAL";
    /// The store takes no writes.
    ServiceNotAvailable = 14, "SERVICE_NOT_AVAILABLE";
    /// The peer's version cannot be served.
    VersionNotSupported = 15, "VERSION_NOT_SUPPORTED";
    /// Forbidden by a permission or a setting.
    NoPermission = 16, "NO_PERMISSION";
    /// There is no such topic here.
    TopicNotExist = 17, "TOPIC_NOT_EXIST";
    /// The topic exists already.
    TopicExistAlready = 18, "TOPIC_EXIST_ALREADY";
    /// Nothing to read yet at the asked offset.
    PullNotFound = 19, "PULL_NOT_FOUND";
    /// Nothing matched so far: ask again from the next offset at once.
    PullRetryImmediately = 20, "PULL_RETRY_IMMEDIATELY";
    /// The asked offset is outside of the queue: drop what is buffered and restart at the next offset.
    PullOffsetMoved = 21, "PULL_OFFSET_MOVED";
    /// What was asked for is not stored.
    QueryNotFound = 22, "QUERY_NOT_FOUND";
    /// A subscription's expression cannot be read.
    SubscriptionParseFailed = 23, "SUBSCRIPTION_PARSE_FAILED";
    /// The group has no subscription here yet.
    SubscriptionNotExist = 24, "SUBSCRIPTION_NOT_EXIST";
    /// The broker knows only an older subscription.
    SubscriptionNotLatest = 25, "SUBSCRIPTION_NOT_LATEST";
    /// There is no such group here.
    SubscriptionGroupNotExist = 26, "SUBSCRIPTION_GROUP_NOT_EXIST";
    /// The broker has no compiled filter for the group.
    FilterDataNotExist = 27, "FILTER_DATA_NOT_EXIST";
    /// The broker has only an older compiled filter for the group.
    FilterDataNotLatest = 28, "FILTER_DATA_NOT_LATEST";
    /// A field of the request has an unusable value.
    InvalidParameter = 29, "INVALID_PARAMETER";
    /// A transaction's check says: commit.
    TransactionShouldCommit = 200, "TRANSACTION_SHOULD_COMMIT";
    /// A transaction's check says: roll back.
    TransactionShouldRollback = 201, "TRANSACTION_SHOULD_ROLLBACK";
    /// A transaction's check does not know.
    TransactionStateUnknown = 202, "TRANSACTION_STATE_UNKNOW";
    /// A transaction belongs to another group.
    TransactionStateGroupWrong = 203, "TRANSACTION_STATE_GROUP_WRONG";
    /// Historical.
    NoBuyerId = 204, "NO_BUYER_ID";
    /// Historical.
    NotInCurrentUnit = 205, "NOT_IN_CURRENT_UNIT";
    /// The group has no consumer online.
    ConsumerNotOnline = 206, "CONSUMER_NOT_ONLINE";
    /// A consumer did not answer in time.
    ConsumeMsgTimeout = 207, "CONSUME_MSG_TIMEOUT";
    /// There is no such message.
    NoMessage = 208, "NO_MESSAGE";
    /// Too many waiting pops.
    PollingFull = 209, "POLLING_FULL";
    /// Nothing to pop within the time asked for.
    PollingTimeout = 210, "POLLING_TIMEOUT";
    /// There is no such broker.
    BrokerNotExist = 211, "BROKER_NOT_EXIST";
    /// Messages are stored that no queue lists yet.
    BrokerDispatchNotComplete = 212, "BROKER_DISPATCH_NOT_COMPLETE";
    /// The group consumes in broadcasting mode.
    BroadcastConsumption = 213, "BROADCAST_CONSUMPTION";
    /// A limit on rates was reached.
    FlowControl = 215, "FLOW_CONTROL";
    /// The queue has another leader.
    NotLeaderForQueue = 501, "NOT_LEADER_FOR_QUEUE";
    /// The operation is not allowed in this state.
    IllegalOperation = 604, "ILLEGAL_OPERATION";
    /// The server stops: use another connection. Only for clients newer than 5.3.1.
    GoAway = 1500, "GO_AWAY";
    /// There is no such user.
    UserNotExist = 3001, "USER_NOT_EXIST";
    /// There is no such access rule.
    PolicyNotExist = 3002, "POLICY_NOT_EXIST";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_number_and_the_tables_rise() {
        for code in RequestCode::ALL {
            assert_eq!(RequestCode::from_i32(code.code()), Some(*code));
            assert!(!code.meaning().is_empty());
        }
        for code in ResponseCode::ALL {
            assert_eq!(ResponseCode::from_i32(code.code()), Some(*code));
        }
        assert!(RequestCode::ALL.is_sorted_by(|a, b| a.code() < b.code()));
        assert!(ResponseCode::ALL.is_sorted_by(|a, b| a.code() < b.code()));
        assert_eq!(RequestCode::from_i32(-1), None);
        assert_eq!(RequestCode::SendMessageV2.to_string(), "SEND_MESSAGE_V2 (310)");
    }
}
