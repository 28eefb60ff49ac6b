//! What may differ between our answers and the official ones, and why.
//!
//! An entry is for one step, by its line, or for all steps of a subcommand or call, by its name.

use super::step::{Difference, Refusal};

/// Differences that are accepted.
pub(super) static DIFFERENCES: &[Difference] = &[
    differs("topicList", "Fixed", NO_STATIC),
    differs("topicList -c", "Orders Orders", NAMED_AS_TOPIC),
    differs("topicList -c", "OFFSET_MOVED_EVENT", NAMED_AS_TOPIC),
    differs("brokerStatus", "ThreadPoolQueueCapacity", NO_QUEUES),
    differs("brokerStatus", "getTransferedTps", OLD_KEY),
    differs("fetchBrokerRuntimeStats", "ThreadPoolQueueCapacity", NO_QUEUES),
    differs("fetchBrokerRuntimeStats", "getTransferedTps", OLD_KEY),
    differs("getBrokerConfig", ", ours nothing", OWN_SETTINGS),
    differs("getBrokerConfig", "official nothing", OWN_SETTINGS),
    differs("getBrokerConfig", "serverWorkerThreads", "one thread per core"),
    differs("getBrokerConfig", "recallMessageEnable", "recall is on by default, there off"),
    differs("show {dir}/export/configs.json", "slaveReadEnable", OWN_SETTINGS),
    differs("show {dir}/export/configs.json", "useTLS", OWN_SETTINGS),
    differs(
        "show {dir}/export/metrics.json",
        "runtimeEnv",
        "the tool takes the number of cores from a setting that is not here",
    ),
    differs("getNamesrvConfig", ", ours nothing", OWN_SETTINGS),
    differs("getNamesrvConfig", "kvConfigPath", "the NameServer keeps its file in the store's directory"),
    differs("getNameServerConfig", ", ours nothing", OWN_SETTINGS),
    differs("getNameServerConfig", "kvConfigPath", "the NameServer keeps its file in the store's directory"),
    differs("updateSubGroup -b {broker} -g not/a/group", "", NAMES),
    differs("updateNamesrvConfig -n {namesrv} -k no.such.key -v 1", "", UNKNOWN_KEYS),
    differs("updateBrokerConfig -b {broker} -k no.such.key -v 1", "", UNKNOWN_KEYS),
    differs("updateBrokerConfig -b {broker} -k fileReservedTime -v soon", "", UNKNOWN_KEYS),
    differs("statsAll", "Orders Orders", NAMED_AS_TOPIC),
    differs("fetchConsumeStatsInBroker", "pullOffset", NO_PULL_POSITIONS),
    differs("fetchConsumeStatsInBroker", "totalInflightDiff", NO_PULL_POSITIONS),
    differs("queryMsgById", "consumerGroup=Orders", NAMED_AS_TOPIC),
    differs("queryMsgByUniqueKey", "consumerGroup=Orders", NAMED_AS_TOPIC),
    differs("queryMsgByOffset", "consumerGroup=Orders", NAMED_AS_TOPIC),
    differs("messageTrackDetail", "Orders.", NAMED_AS_TOPIC),
    differs("queryTopicConsumeByWho Orders", "[Orders]", NAMED_AS_TOPIC),
    differs("examineConsumeStats {broker} archive Orders", "pullOffset", NO_PULL_POSITIONS),
    differs(
        "updateConsumeOffset archive Orders 77 2",
        "",
        "a position in a queue that the topic does not have is refused with 29, there kept",
    ),
    differs(
        "queryCq -t Orders -q 1 -i 0 -c 3 -b {broker} -g billing",
        "eval=",
        "the group's filter is evaluated for every entry, there only for those with a bit map",
    ),
    differs(
        "queryCq -t Orders -q 1 -i 99",
        "",
        "beyond its end a queue still tells its bounds; the tool fails on the official broker's empty answer",
    ),
    differs("remappingStaticTopic", "", NO_STATIC),
    differs(
        "resumeCheckHalfMessage Ledger {id:COMMIT_MESSAGE}",
        "it:",
        "a message that is no half message is refused; there it becomes one",
    ),
];

/// What our server refuses as not supported.
pub(super) static NOT_SUPPORTED: &[Refusal] = &[
    refused("setCommitLogReadAheadMode", NO_COLD),
    refused("getColdDataFlowCtrInfo", NO_COLD),
    refused("updateColdDataFlowCtrGroupConfig", NO_COLD),
    refused("removeColdDataFlowCtrGroupConfig", NO_COLD),
    refused("getBrokerEpoch", NO_REPLICAS),
    refused("rocksDBConfigToJson", NO_ROCKS),
    refused("checkRocksdbCqWriteProgress", NO_ROCKS),
    refused("updateStaticTopic", NO_STATIC),
    refused("createUser", NO_USERS),
    refused("updateUser", NO_USERS),
    refused("deleteUser", NO_USERS),
    refused("getUser", NO_USERS),
    refused("listUser", NO_USERS),
    refused("copyUser", NO_USERS),
    refused("createAcl", NO_USERS),
    refused("updateAcl", NO_USERS),
    refused("deleteAcl", NO_USERS),
    refused("getAcl", NO_USERS),
    refused("listAcl", NO_USERS),
    refused("copyAcl", NO_USERS),
];

const fn differs(of: &'static str, part: &'static str, why: &'static str) -> Difference {
    Difference { of, part, why }
}

const fn refused(of: &'static str, why: &'static str) -> Refusal {
    Refusal { of, why }
}

const NAMED_AS_TOPIC: &str =
    "RocketMQ 5.3.3 lists a subscribed topic among its own groups, by a mistake of its own";
const NO_PULL_POSITIONS: &str =
    "how far members have pulled ahead of what they consumed is known to them alone: nothing is in flight";
const NO_QUEUES: &str = "requests do not queue for threads, so there is no capacity";
const OLD_KEY: &str = "also told by the name that RocketMQ 4 gave it";
const OWN_SETTINGS: &str = "lists the settings that FerroMQ has";
const NAMES: &str = "names of groups are checked, refused with 29";
const UNKNOWN_KEYS: &str = "unknown keys and bad values are refused with 29, there taken and ignored";
const NO_STATIC: &str = "there are no static topics yet";
const NO_COLD: &str = "cold data is not told from hot data";
const NO_REPLICAS: &str = "there is no replication yet";
const NO_ROCKS: &str = "nothing is kept in RocksDB";
const NO_USERS: &str =
    "there are no users and access rules yet; the official broker refuses too until they are configured";
