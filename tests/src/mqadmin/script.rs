//! The script: every step that is run against both servers, in order, and what may differ in its answer.
//!
//! `{name}` stands for what is called differently in each run: addresses, message ids, moments.

use super::accepted::{DIFFERENCES, NOT_SUPPORTED};
use super::step::{Layout, Step, admin, mqadmin, world};

/// All steps, in the order that they are run.
pub fn script() -> Vec<Step> {
    [
        at_the_beginning(),
        topics(),
        groups(),
        orders(),
        statistics(),
        messages(),
        queries(),
        consumers(),
        offsets(),
        name_server(),
        broker(),
        exports(),
        what_others_ask(),
        other_roles(),
        access_control(),
        removals(),
    ]
    .concat()
    .into_iter()
    .map(with_what_is_accepted)
    .collect()
}

fn with_what_is_accepted(mut step: Step) -> Step {
    let (line, name) = (step.line, step.name());
    let is_its = |whose: &str| whose == line || whose == name;
    step.differs = DIFFERENCES.iter().filter(|difference| is_its(difference.of)).collect();
    step.unsupported = NOT_SUPPORTED.iter().find(|refusal| is_its(refusal.of));
    step
}

/// Where a server listens.
const PLACE: &[&str] = &["listenPort", "haListenPort"];

/// A version is compared with others of the same server only.
const VERSION: &[&str] = &["dataVersion"];

/// Texts that the exporter and the dashboard take apart: what is in them belongs to the machine and the moment, how they
/// are written does not.
const RUNTIME_SHAPED: &[&str] =
    &["commitLogDirCapacity", "DiskRatio", "AverageSize", "getTotalTps", "putLatency", "runtime"];

/// Machine and moment, which no two servers share.
const RUNTIME_FREE: &[&str] = &[
    "bootTimestamp",
    "commitLogMaxOffset",
    "earliestMessageTimeStamp",
    "getMessageEntireTimeMax",
    "msgGetTotal",
    "msgPutTotal",
    "pageCacheLockTimeMills",
    "putMessage",
    // There one number first, and three after ten minutes.
    "Tps",
    "remainHowManyDataToFlush",
    "ThreadPoolQueueHeadWaitTimeMills",
    "ThreadPoolQueueSize",
    "startAcceptSendRequestTimeStamp",
    "timer",
    "totalMem",
];

fn at_the_beginning() -> Vec<Step> {
    vec![
        world("open"),
        mqadmin("clusterList")
            .free(&[
                "#InTPS(LOAD)",
                "#OutTPS(LOAD)",
                "#Timer(Progress)",
                "#PCWait(ms)",
                "#Hour",
                "#SPACE",
                "#Version",
            ])
            .layout(Layout::Table),
        mqadmin("clusterList -m").layout(Layout::Table).free(&["#InTotalToday", "#OutTotalToday"]),
        mqadmin("clusterList -c nobody"),
        mqadmin("topicList").layout(Layout::Sorted),
        mqadmin("brokerStatus -b {broker}").layout(Layout::Pairs).shaped(RUNTIME_SHAPED).free(RUNTIME_FREE),
        mqadmin("getBrokerConfig -b {broker}").layout(Layout::Pairs).free(PLACE),
        mqadmin("getNamesrvConfig").layout(Layout::Pairs).free(PLACE),
    ]
}

fn topics() -> Vec<Step> {
    vec![
        mqadmin("updateTopic -c DefaultCluster -t Orders -r 4 -w 4"),
        mqadmin("updateTopic -b {broker} -t Steps -r 1 -w 1"),
        mqadmin("updateTopic -b {broker} -t Ledger -r 1 -w 1 -a +message.type=TRANSACTION"),
        mqadmin("updateTopic -b {broker} -t Later -r 1 -w 1 -a +message.type=DELAY"),
        mqadmin("updateTopic -b {broker} -t Traced -r 1 -w 1"),
        mqadmin("updateTopic -b {broker} -t Spare -r 3 -w 2 -p 4 -u true -s true"),
        mqadmin("updateTopic -b {broker} -t Ranked -r 2 -w 2 -o true"),
        mqadmin("updateTopic -c DefaultCluster -t RankedToo -r 2 -w 2 -o true"),
        mqadmin("updateTopic -b {broker} -t Spare -r 5 -w 5 -p 6 -a +cleanup.policy=COMPACTION"),
        mqadmin("updateTopic -b {broker} -t Spare -r 5 -w 5 -a +message.type=FIFO"),
        mqadmin("updateTopic -b {broker} -t Spare -r 5 -w 5 -a -message.type"),
        mqadmin("updateTopic -b {broker} -t Spare -r 5 -w 5 -a +no.such=attribute"),
        mqadmin("updateTopic -b {broker} -t Spare -r 5 -w 5 -a +message.type=NONSENSE"),
        mqadmin("updateTopic -b {broker} -t not/a/name"),
        mqadmin("updateTopic -b {broker} -t SELF_TEST_TOPIC"),
        mqadmin("updateTopic -c nobody -t Orders"),
        admin("examineTopicConfig Spare"),
        admin("examineTopicConfig Missing"),
        world(
            "write {dir}/topics.json [{\"topicName\":\"ListedA\",\"readQueueNums\":2,\"writeQueueNums\":2,\"perm\":6},{\"topicName\":\"ListedB\",\"readQueueNums\":1,\"writeQueueNums\":1,\"perm\":6}]",
        ),
        world("write {dir}/bad-topics.json [{\"topicName\":\"ListedC\"},{\"topicName\":\"bad/name\"}]"),
        mqadmin("updateTopicList -b {broker} -f {dir}/topics.json"),
        mqadmin("updateTopicList -c DefaultCluster -f {dir}/topics.json"),
        mqadmin("updateTopicList -b {broker} -f {dir}/bad-topics.json"),
        mqadmin("updateTopicPerm -b {broker} -t ListedA -p 4"),
        mqadmin("updateTopicPerm -b {broker} -t ListedA -p 4"),
        mqadmin("updateTopicPerm -c DefaultCluster -t ListedA -p 6"),
        mqadmin("updateTopicPerm -b {broker} -t Missing -p 6"),
        mqadmin("topicList").layout(Layout::Sorted),
        mqadmin("topicRoute -t Orders").layout(Layout::Json),
        mqadmin("topicRoute -t Orders -l"),
        mqadmin("topicRoute -t Spare").layout(Layout::Json),
        mqadmin("topicRoute -t Missing"),
        mqadmin("topicClusterList -t Orders"),
        mqadmin("topicClusterList -t Missing"),
        mqadmin("topicStatus -t Orders"),
        mqadmin("topicStatus -t Orders -c Orders"),
        mqadmin("topicStatus -t Missing"),
        mqadmin("allocateMQ -t Orders -i 10.0.0.1,10.0.0.2,10.0.0.3").layout(Layout::Json),
        mqadmin("updateOrderConf -t Ranked -m get"),
        mqadmin("updateOrderConf -t Ranked -m put -v broker-a:2"),
        mqadmin("updateOrderConf -t Ranked -m get"),
        mqadmin("updateOrderConf -t Ranked -m delete"),
        mqadmin("updateOrderConf -t Ranked -m get"),
        mqadmin("topicRoute -t RankedToo").layout(Layout::Json),
    ]
}

fn groups() -> Vec<Step> {
    vec![
        mqadmin("updateSubGroup -c DefaultCluster -g billing"),
        mqadmin(
            "updateSubGroup -b {broker} -g archive -s true -m true -d false -o false -q 2 -r 5 -i 0 -w 1 -a true",
        ),
        mqadmin(
            "updateSubGroup -b {broker} -g patient -p {\"type\":\"CUSTOMIZED\",\"customizedRetryPolicy\":{\"next\":[1000,5000,10000]}}",
        ),
        mqadmin("updateSubGroup -b {broker} -g marked --attributes +a=b"),
        mqadmin("updateSubGroup -b {broker} -g not/a/group"),
        mqadmin("deleteSubGroup -b {broker} -g not/a/group"),
        world(
            "write {dir}/groups.json [{\"groupName\":\"listed-a\",\"retryMaxTimes\":3},{\"groupName\":\"listed-b\",\"consumeEnable\":false}]",
        ),
        mqadmin("updateSubGroupList -b {broker} -f {dir}/groups.json"),
        mqadmin("updateSubGroupList -c DefaultCluster -f {dir}/groups.json"),
        mqadmin("getConsumerConfig -g archive").layout(Layout::Pairs),
        mqadmin("getConsumerConfig -g patient").layout(Layout::Pairs),
        mqadmin("getConsumerConfig -g listed-b").layout(Layout::Pairs),
        mqadmin("getConsumerConfig -g missing").layout(Layout::Pairs),
        mqadmin("setConsumeMode -b {broker} -t Spare -g listed-a -m POP -q 3"),
        mqadmin("setConsumeMode -c DefaultCluster -t Spare -g listed-a -m PULL"),
    ]
}

fn orders() -> Vec<Step> {
    vec![
        world("clock before"),
        world("produce Orders order 12"),
        world("clock between"),
        world("join archive Orders *"),
        world("consumed archive 12"),
        world("leave archive"),
        world("join billing Orders even||odd"),
        world("produce Orders late 8"),
        world("consumed billing 20"),
    ]
}

fn messages() -> Vec<Step> {
    vec![
        world("produce Steps step 3"),
        world("die strict Steps 3"),
        world("counted SNDBCK_PUT_NUMS Steps@strict 3"),
        admin("viewBrokerStatsData SNDBCK_PUT_NUMS Steps@strict").free(&["tps"]),
        world("transact Ledger"),
        world("postpone Later"),
        world("trace Traced"),
        mqadmin("sendMessage -t Steps -p hello -k sent-0 -c even").layout(Layout::Table).free(&["#MsgId"]),
        mqadmin("sendMessage -t Steps -p hello -k sent-1 -b broker-a -i 0")
            .layout(Layout::Table)
            .free(&["#MsgId"]),
        mqadmin("sendMessage -t Steps -p hello -i 0"),
        mqadmin("sendMessage -t Steps -p hello -b broker-a -i 7"),
        mqadmin("sendMsgStatus -b broker-a -s 64 -c 3").layout(Layout::Shape),
        mqadmin("checkMsgSendRT -t Steps -a 4 -s 32").layout(Layout::Table).free(&["#RT", "Avg RT:"]),
        mqadmin("clusterRT -a 3 -s 32 -i 60").until(2).layout(Layout::Table).free(&["#RT"]),
        mqadmin("clusterRT -a 3 -s 32 -i 60 -c DefaultCluster -p true -m here")
            .until(1)
            .layout(Layout::Shape),
        mqadmin("topicStatus -t Orders"),
        mqadmin("topicStatus -t Steps"),
        mqadmin("topicStatus -t %DLQ%strict"),
        mqadmin("topicStatus -t SCHEDULE_TOPIC_XXXX"),
    ]
}

fn queries() -> Vec<Step> {
    vec![
        mqadmin("queryMsgById -t Orders -i {offset-id:order-0}"),
        mqadmin("queryMsgById -t Orders -i {offset-id:order-0},{offset-id:order-1} -f UTF-8"),
        mqadmin("queryMsgById -t Orders -i {id:order-2}"),
        mqadmin("queryMsgById -t Orders -i {offset-id:late-0} -g billing -d 127.0.0.1@billing-1")
            .free(&["spentTimeMills"]),
        mqadmin("queryMsgById -t Orders -i {offset-id:late-0} -g billing -d 127.0.0.1@nobody"),
        mqadmin("queryMsgById -t Steps -i {offset-id:step-0} -s true").layout(Layout::Shape),
        mqadmin("queryMsgByKey -t Orders -k order-3"),
        mqadmin("queryMsgByKey -t Orders -k order-3 -b {before} -e {between} -m 4"),
        mqadmin("queryMsgByKey -t Orders -k order-3 -b {between}"),
        mqadmin("queryMsgByKey -t Orders -k missing"),
        mqadmin("queryMsgByKey -t %DLQ%strict -k step-1").layout(Layout::Table),
        mqadmin("queryMsgByUniqueKey -t Orders -i {id:order-4}"),
        mqadmin("queryMsgByUniqueKey -t Orders -i {id:order-4} -a"),
        mqadmin("queryMsgByUniqueKey -t Orders -i {id:late-1} -g billing -d 127.0.0.1@billing-1")
            .free(&["spentTimeMills"]),
        mqadmin("queryMsgByUniqueKey -t Orders -i {id:late-1} -g billing -d 127.0.0.1@nobody"),
        mqadmin("queryMsgByUniqueKey -t Orders -i 7F0000010001000000000000000000AA"),
        mqadmin("queryMsgByOffset -t Orders -b broker-a -i 1 -o 0"),
        mqadmin("queryMsgByOffset -t Orders -b broker-a -i 1 -o 0 -f UTF-8"),
        mqadmin("queryMsgByOffset -t Orders -b broker-a -i 1 -o 99"),
        mqadmin("queryMsgByOffset -t %DLQ%strict -b broker-a -i 0 -o 0"),
        mqadmin("queryMsgTraceById -i {id:trace-0}").layout(Layout::Table).free(&["#CostTimes"]),
        mqadmin("queryMsgTraceById -i {id:order-0}"),
        mqadmin("printMsg -t Orders").layout(Layout::Sorted),
        mqadmin("printMsg -t Orders -s even -d false").layout(Layout::Sorted),
        mqadmin("printMsg -t Orders -b {before} -e {between}").layout(Layout::Sorted),
        mqadmin("printMsg -t Missing"),
        mqadmin("printMsgByQueue -t Orders -a broker-a -i 2 -p true -d true -f true"),
        mqadmin("printMsgByQueue -t Orders -a broker-a -i 2 -s even -p true -f true"),
        mqadmin("printMsgByQueue -t Orders -a broker-a -i 2 -b {before} -e {between} -p true"),
        mqadmin("consumeMessage -t Orders").layout(Layout::Sorted),
        mqadmin("consumeMessage -t Orders -b broker-a -i 1 -c 3"),
        mqadmin("consumeMessage -t Orders -b broker-a -i 1 -o 2 -c 2"),
        mqadmin("consumeMessage -t Orders -b broker-a -i 1 -o 99"),
        mqadmin("consumeMessage -t Orders -s {before} -e {between}").layout(Layout::Sorted),
        mqadmin("queryCq -t Orders -q 1 -i 0 -c 3"),
        mqadmin("queryCq -t Orders -q 1 -i 0 -c 3 -b {broker} -g billing"),
        mqadmin("queryCq -t Orders -q 1 -i 99"),
        mqadmin("queryCq -t Missing -q 0 -i 0 -b {broker}"),
    ]
}

fn consumers() -> Vec<Step> {
    vec![
        mqadmin("consumerProgress").layout(Layout::Shape),
        mqadmin("consumerProgress -g billing").without("%RETRY%billing").free(&["Consume TPS:"]),
        mqadmin("consumerProgress -g billing -s true").without("%RETRY%billing").free(&["Consume TPS:"]),
        mqadmin("consumerProgress -g archive -t Orders").free(&["Consume TPS:"]),
        mqadmin("consumerProgress -g archive -t Orders -c DefaultCluster").free(&["Consume TPS:"]),
        mqadmin("consumerProgress -g strict").without("%RETRY%strict").free(&["Consume TPS:"]),
        mqadmin("consumerProgress -g missing").free(&["Consume TPS:"]),
        mqadmin("consumerConnection -g billing"),
        mqadmin("consumerConnection -g billing -b {broker}"),
        mqadmin("consumerConnection -g archive"),
        mqadmin("consumerStatus -g billing"),
        mqadmin("consumerStatus -g billing -s"),
        mqadmin("consumerStatus -g billing -b {broker}"),
        mqadmin("consumerStatus -g billing -i 127.0.0.1@billing-1")
            .without("%RETRY%billing")
            .layout(Layout::Shape),
        mqadmin("consumerStatus -g billing -i 127.0.0.1@nobody"),
        mqadmin("consumerStatus -g archive"),
        mqadmin("producerConnection -g shop -t Orders"),
        mqadmin("producerConnection -g missing -t Orders"),
        mqadmin("producer -b {broker}").without("CLIENT_INNER_PRODUCER").layout(Layout::Sorted),
        mqadmin("brokerConsumeStats -b {broker}").without("%RETRY%").layout(Layout::Table),
        mqadmin("brokerConsumeStats -b {broker} -l 2 -t 3000").layout(Layout::Table),
        mqadmin("brokerConsumeStats -b {broker} -o true").layout(Layout::Table),
        mqadmin("startMonitoring"),
    ]
}

fn offsets() -> Vec<Step> {
    vec![
        mqadmin("cloneGroupOffset -s archive -d never -t Orders"),
        mqadmin("cloneGroupOffset -s archive -d listed-a -t Orders"),
        mqadmin("consumerProgress -g listed-a -t Orders").free(&["Consume TPS:"]),
        mqadmin("cloneGroupOffset -s missing -d listed-a -t Orders"),
        mqadmin("resetOffsetByTime -g archive -t Orders -s {between}").layout(Layout::Table),
        mqadmin("resetOffsetByTime -g archive -t Orders -s now").layout(Layout::Table),
        mqadmin("resetOffsetByTime -g archive -t Orders -s {before} -f false").layout(Layout::Table),
        mqadmin("resetOffsetByTime -g archive -t Orders -s {before} -b {broker} -q 1 -o 2"),
        mqadmin("resetOffsetByTime -g archive -t Orders -s {between} -b {broker} -q 1"),
        mqadmin("resetOffsetByTime -g billing -t Orders -s {between}").layout(Layout::Table),
        mqadmin("resetOffsetByTime -g billing -t Missing -s now"),
        mqadmin("resetOffsetByTime -g missing -t Orders -s now").layout(Layout::Table),
        mqadmin("skipAccumulatedMessage -g archive -t Orders").layout(Layout::Table),
        mqadmin("skipAccumulatedMessage -g billing -t Orders -f true").layout(Layout::Table),
        world("consumed billing 20"),
        mqadmin("consumerProgress -g archive").free(&["Consume TPS:"]),
        mqadmin("consumerProgress -g billing").without("%RETRY%billing").free(&["Consume TPS:"]),
    ]
}

fn name_server() -> Vec<Step> {
    vec![
        mqadmin("updateKvConfig -s shop -k colour -v blue"),
        admin("getKVConfig shop colour"),
        admin("getKVListByNamespace shop"),
        mqadmin("deleteKvConfig -s shop -k colour"),
        mqadmin("deleteKvConfig -s shop -k never"),
        admin("getKVConfig shop colour"),
        admin("getKVListByNamespace shop"),
        mqadmin("wipeWritePerm -b broker-a"),
        mqadmin("topicRoute -t Orders").layout(Layout::Json),
        mqadmin("addWritePerm -b broker-a"),
        mqadmin("topicRoute -t Orders").layout(Layout::Json),
        mqadmin("wipeWritePerm -b nobody"),
        mqadmin("updateNamesrvConfig -n {namesrv} -k orderMessageEnable -v true"),
        mqadmin("updateNamesrvConfig -n {namesrv} -k kvConfigPath -v /nowhere"),
        mqadmin("updateNamesrvConfig -n {namesrv} -k no.such.key -v 1"),
        mqadmin("getNamesrvConfig -n {namesrv}").layout(Layout::Pairs).free(PLACE),
    ]
}

fn broker() -> Vec<Step> {
    vec![
        mqadmin("updateBrokerConfig -b {broker} -k fileReservedTime -v 48"),
        mqadmin("updateBrokerConfig -c DefaultCluster -k fileReservedTime -v 24"),
        mqadmin("updateBrokerConfig -c DefaultCluster -a true -k fileReservedTime -v 30"),
        mqadmin("updateBrokerConfig -b {broker} -k brokerConfigPath -v /nowhere"),
        mqadmin("updateBrokerConfig -b {broker} -k no.such.key -v 1"),
        mqadmin("updateBrokerConfig -b {broker} -k fileReservedTime -v soon"),
        mqadmin("getBrokerConfig -c DefaultCluster").layout(Layout::Pairs).free(PLACE),
        mqadmin("brokerStatus -b {broker}").layout(Layout::Pairs).shaped(RUNTIME_SHAPED).free(RUNTIME_FREE),
        mqadmin("brokerStatus -c DefaultCluster")
            .layout(Layout::Sorted)
            .shaped(RUNTIME_SHAPED)
            .free(RUNTIME_FREE),
        mqadmin("cleanExpiredCQ -b {broker}"),
        mqadmin("cleanExpiredCQ -c DefaultCluster"),
        mqadmin("cleanUnusedTopic -b {broker}"),
        mqadmin("cleanUnusedTopic"),
        mqadmin("deleteExpiredCommitLog -b {broker}"),
        mqadmin("deleteExpiredCommitLog -c DefaultCluster"),
        mqadmin("setCommitLogReadAheadMode -b {broker} -m 1"),
        mqadmin("setCommitLogReadAheadMode -c DefaultCluster -m 0"),
        mqadmin("setCommitLogReadAheadMode -b {broker} -m 2"),
        mqadmin("getColdDataFlowCtrInfo -b {broker}"),
        mqadmin("getColdDataFlowCtrInfo -c DefaultCluster"),
        mqadmin("updateColdDataFlowCtrGroupConfig -b {broker} -g billing -v 100"),
        mqadmin("updateColdDataFlowCtrGroupConfig -c DefaultCluster -g billing -v 100"),
        mqadmin("removeColdDataFlowCtrGroupConfig -b {broker} -g billing"),
        mqadmin("removeColdDataFlowCtrGroupConfig -c DefaultCluster -g billing"),
        mqadmin("getBrokerEpoch -b broker-a"),
        mqadmin("getBrokerEpoch -c DefaultCluster"),
        mqadmin("haStatus -b {broker}").free(&["#MasterCommitLogMaxOffset"]),
        mqadmin("haStatus -c DefaultCluster").free(&["#MasterCommitLogMaxOffset"]),
        mqadmin("haStatus -b {broker} -i 60").free(&["#MasterCommitLogMaxOffset"]).until(5),
        mqadmin("resetMasterFlushOffset -b {broker} -o 0"),
    ]
}

fn exports() -> Vec<Step> {
    vec![
        mqadmin("exportConfigs -c DefaultCluster -f {dir}/export"),
        world("show {dir}/export/configs.json").layout(Layout::Json),
        mqadmin("exportMetadata -c DefaultCluster -f {dir}/export"),
        world("show {dir}/export/metadata.json").layout(Layout::Json),
        mqadmin("exportMetadata -b {broker} -t -s -f {dir}/export"),
        world("show {dir}/export/topic.json").layout(Layout::Json).free(VERSION),
        mqadmin("exportMetadata -b {broker} -g -f {dir}/export"),
        world("show {dir}/export/subscriptionGroup.json").layout(Layout::Json).free(VERSION),
        mqadmin("exportMetrics -c DefaultCluster -f {dir}/export"),
        world("show {dir}/export/metrics.json").layout(Layout::Json).free(&[
            "tps.",
            "Tps.",
            "DiskRatio",
            "messageAverageSize",
            "OneDay",
        ]),
        mqadmin("exportPopRecord -b {broker}"),
        mqadmin("exportPopRecord -c DefaultCluster"),
        mqadmin("rocksDBConfigToJson -b {broker}"),
        mqadmin("rocksDBConfigToJson -n {namesrv} -c DefaultCluster -t topics"),
        mqadmin("checkRocksdbCqWriteProgress -n {namesrv} -c DefaultCluster -t Orders"),
        // These two read files beside the tool and ask no server.
        mqadmin("exportMetadataInRocksDB -p {dir}/nothing -t topics"),
        mqadmin("dumpCompactionLog -f {dir}/nothing"),
        mqadmin("dumpCompactionLog"),
    ]
}

/// Follows at once what is counted: for its first ten minutes a broker tells the sums of the last minute.
fn statistics() -> Vec<Step> {
    vec![
        world("counted TOPIC_PUT_NUMS Orders 20"),
        world("counted GROUP_GET_NUMS Orders@billing 20"),
        mqadmin("statsAll").layout(Layout::Decimals),
        mqadmin("statsAll -a").layout(Layout::Decimals),
        mqadmin("statsAll -t Orders").layout(Layout::Decimals),
        admin("viewBrokerStatsData TOPIC_PUT_NUMS Orders").free(&["tps"]),
        admin("viewBrokerStatsData TOPIC_PUT_SIZE Orders").free(&["tps"]),
        admin("viewBrokerStatsData GROUP_GET_NUMS Orders@billing").free(&["tps"]),
        admin("viewBrokerStatsData GROUP_GET_SIZE Orders@billing").free(&["tps"]),
        admin("viewBrokerStatsData BROKER_PUT_NUMS DefaultCluster").free(&["stats"]),
        admin("viewBrokerStatsData BROKER_GET_NUMS DefaultCluster").free(&["stats"]),
        admin("viewBrokerStatsData TOPIC_PUT_NUMS Missing").free(&["tps"]),
        admin("viewBrokerStatsData NO_SUCH_STATISTIC Orders").free(&["tps"]),
    ]
}

/// The calls of the official dashboard and of the official exporter that the subcommands above do not make.
fn what_others_ask() -> Vec<Step> {
    vec![
        admin("examineBrokerClusterInfo"),
        admin("fetchAllTopicList"),
        admin("fetchTopicsByCLuster DefaultCluster"),
        admin("fetchBrokerRuntimeStats").shaped(RUNTIME_SHAPED).free(RUNTIME_FREE),
        admin("getBrokerConfig").free(PLACE),
        admin("examineTopicRouteInfo Orders"),
        admin("examineTopicConfig Orders"),
        admin("examineTopicStats Orders"),
        admin("examineTopicStats %RETRY%billing"),
        admin("examineConsumeStats billing").without("%RETRY%billing").free(&["consumeTps"]),
        admin("examineConsumeStats billing Orders").without("%RETRY%billing").free(&["consumeTps"]),
        admin("examineConsumeStats {broker} billing").without("%RETRY%billing").free(&["consumeTps"]),
        admin("examineConsumeStats {broker} archive Orders").free(&["consumeTps"]),
        admin("examineConsumerConnectionInfo billing"),
        admin("examineProducerConnectionInfo shop Orders"),
        admin("getAllProducerInfo").without("CLIENT_INNER_PRODUCER"),
        admin("examineSubscriptionGroupConfig billing"),
        admin("getAllSubscriptionGroup").free(VERSION),
        admin("getUserSubscriptionGroup").free(VERSION),
        admin("getAllTopicConfig").free(VERSION),
        admin("getUserTopicConfig false"),
        admin("getUserTopicConfig true"),
        admin("getConsumerRunningInfo billing 127.0.0.1@billing-1"),
        admin("getConsumeStatus Orders billing 127.0.0.1@billing-1"),
        admin("queryTopicConsumeByWho Orders"),
        admin("queryTopicConsumeByWho Missing"),
        admin("queryTopicsByConsumer billing").without("%RETRY%"),
        admin("querySubscription billing Orders"),
        admin("queryConsumeTimeSpan Orders billing"),
        admin("fetchConsumeStatsInBroker").without("%RETRY%").free(&["consumeTps"]),
        admin("viewMessage Orders {offset-id:order-5}"),
        admin("viewMessage Orders {id:order-5}"),
        admin("queryMessage Orders order-6"),
        admin("queryMessageByUniqKey Orders {id:order-7}"),
        admin("messageTrackDetail Orders {offset-id:late-2}"),
        admin("consumeMessageDirectly billing 127.0.0.1@billing-1 Orders {offset-id:late-3}")
            .free(&["spentTimeMills"]),
        admin("searchOffset Orders 1 {between}"),
        admin("searchLowerBoundaryOffset Orders 1 {between}"),
        admin("searchUpperBoundaryOffset Orders 1 {between}"),
        admin("minOffset Orders 1"),
        admin("maxOffset Orders 1"),
        admin("earliestMsgStoreTime Orders 1"),
        admin("resetOffsetByTimestampOld Orders archive {between}"),
        admin("resetOffsetNew Orders archive {before}"),
        admin("resetOffsetByTimestamp Orders billing {between}"),
        world("consumed billing 20"),
        admin("cloneGroupOffset archive copied-too Orders"),
        admin("updateConsumeOffset archive Orders 1 2"),
        admin("updateConsumeOffset missing Orders 1 2"),
        admin("updateConsumeOffset archive Missing 1 2"),
        admin("updateConsumeOffset archive Orders 77 2"),
        admin("examineConsumeStats {broker} archive Orders").free(&["consumeTps"]),
        admin("getNameServerConfig").free(PLACE),
        admin("getNameServerAddressList"),
        admin("getClusterList Orders"),
        admin("getTopicClusterList Orders"),
        admin("updateBrokerConfig fileReservedTime 31"),
        admin("updateAndGetGroupReadForbidden archive Orders true"),
        admin("updateAndGetGroupReadForbidden archive Orders false"),
        admin("resumeCheckHalfMessage Ledger {id:COMMIT_MESSAGE}"),
        admin("resumeCheckHalfMessage RMQ_SYS_TRANS_HALF_TOPIC {id:COMMIT_MESSAGE}"),
        admin("listUser"),
        admin("listAcl"),
    ]
}

/// Requests for servers of other kinds, and for topics whose queues are mapped.
fn other_roles() -> Vec<Step> {
    vec![
        mqadmin("addBroker -c {broker} -b /nowhere/broker.conf"),
        mqadmin("removeBroker -c {broker} -b DefaultCluster:broker-a:0"),
        mqadmin("getControllerConfig -a {namesrv}"),
        mqadmin("getControllerMetaData -a {namesrv}"),
        mqadmin("getSyncStateSet -a {namesrv} -b broker-a"),
        mqadmin("getSyncStateSet -a {namesrv} -c DefaultCluster"),
        mqadmin("updateControllerConfig -a {namesrv} -k key -v value"),
        mqadmin("electMaster -a {namesrv} -b 1 -bn broker-a -c DefaultCluster"),
        mqadmin("cleanBrokerMetadata -a {namesrv} -bn broker-a -c DefaultCluster"),
        mqadmin("updateStaticTopic -b broker-a -t Fixed -qn 2"),
        mqadmin("updateStaticTopic -c DefaultCluster -t Fixed -qn 4"),
        mqadmin("remappingStaticTopic -b broker-a -t Fixed"),
    ]
}

fn access_control() -> Vec<Step> {
    vec![
        mqadmin("createUser -b {broker} -u alice -p secret -t Normal"),
        mqadmin("updateUser -b {broker} -u alice -p changed"),
        mqadmin("getUser -b {broker} -u alice"),
        mqadmin("listUser -b {broker}"),
        mqadmin("copyUser -f {broker} -t {broker} -u alice"),
        mqadmin("createAcl -b {broker} -s User:alice -r Topic:Orders -a Pub,Sub -d Allow"),
        mqadmin("updateAcl -b {broker} -s User:alice -r Topic:Orders -a Pub -d Deny"),
        mqadmin("getAcl -b {broker} -s User:alice"),
        mqadmin("listAcl -b {broker}"),
        mqadmin("copyAcl -f {broker} -t {broker} -s User:alice"),
        mqadmin("deleteAcl -b {broker} -s User:alice"),
        mqadmin("deleteUser -b {broker} -u alice"),
    ]
}

fn removals() -> Vec<Step> {
    vec![
        mqadmin("consumerConnection -g __MONITOR_CONSUMER"),
        mqadmin("deleteSubGroup -b {broker} -g archive -r true"),
        mqadmin("consumerProgress -g archive -t Orders").free(&["Consume TPS:"]),
        mqadmin("deleteSubGroup -c DefaultCluster -g strict"),
        mqadmin("getConsumerConfig -g strict").layout(Layout::Pairs),
        mqadmin("deleteSubGroup -b {broker} -g missing"),
        mqadmin("deleteTopic -c DefaultCluster -t Steps"),
        mqadmin("topicStatus -t Steps"),
        mqadmin("deleteTopic -c DefaultCluster -t Missing"),
        mqadmin("deleteTopic -c DefaultCluster -t SELF_TEST_TOPIC"),
        mqadmin("deleteTopic -c nobody -t Orders"),
        mqadmin("topicList").layout(Layout::Sorted),
        mqadmin("topicList -c").layout(Layout::Table),
    ]
}
