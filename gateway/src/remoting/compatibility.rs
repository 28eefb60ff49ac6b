//! Which of RocketMQ's requests are served: one list for each side, from which `docs/compatibility.md`, the answers to
//! requests that are not served, and the tests that hold the list against the code derive.
//!
//! Always true, because tests fail otherwise:
//! * every request that RocketMQ's side handles is in its list, once, in rising order of codes;
//! * what is listed as served is served, and what is not is answered with `REQUEST_CODE_NOT_SUPPORTED` and the reason;
//! * the test that an entry names exists.

use std::fmt::Write as _;

use ferromq_protocol::code::RequestCode::{self, *};
use ferromq_protocol::code::Side;

/// How a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It is served.
    Since {
        /// The first version that serves it.
        version: &'static str,
        /// A test that shows it: `file::name`, from the workspace's root.
        shown_by: &'static str,
    },
    /// It is not, and why: as the end of a sentence for the one who asked.
    Not(&'static str),
}

/// A request and how it stands.
pub type Entry = (RequestCode, Support);

/// The version of the first release.
const FIRST: &str = "0.1.0";

const fn since(version: &'static str, shown_by: &'static str) -> Support {
    Support::Since { version, shown_by }
}

const OLD_ACL: Support =
    Support::Not("access control of RocketMQ 4 was removed in 5.3.3; there is none here");
const ACL: Support = Support::Not("there are no users and access rules yet");
const COLD_DATA: Support = Support::Not("cold data is not told from hot data here");
const ROCKSDB: Support = Support::Not("nothing is kept in RocksDB here");
const CONTAINER: Support = Support::Not("one process is one broker here");
const REPLICATION: Support = Support::Not("there is no replication yet");

/// What a broker is asked.
pub const BROKER: &[Entry] = &[
    (SendMessage, since(FIRST, "tests/tests/interop.rs::send_sync")),
    (PullMessage, since(FIRST, "tests/tests/interop.rs::concurrent")),
    (QueryMessage, since(FIRST, "gateway/tests/contract/offsets.rs::QueryMessage")),
    (QueryConsumerOffset, since(FIRST, "tests/tests/interop.rs::takeover")),
    (UpdateConsumerOffset, since(FIRST, "tests/tests/interop.rs::takeover")),
    (UpdateAndCreateTopic, since(FIRST, "gateway/tests/contract/settings.rs::UpdateAndCreateTopic")),
    (UpdateAndCreateTopicList, since(FIRST, "gateway/tests/contract/admin.rs::UpdateAndCreateTopicList")),
    (GetAllTopicConfig, since(FIRST, "gateway/tests/contract/settings.rs::GetAllTopicConfig")),
    (UpdateBrokerConfig, since(FIRST, "gateway/tests/contract/admin.rs::UpdateBrokerConfig")),
    (GetBrokerConfig, since(FIRST, "gateway/tests/contract/admin.rs::GetBrokerConfig")),
    (GetBrokerRuntimeInfo, since(FIRST, "gateway/tests/contract/admin.rs::GetBrokerRuntimeInfo")),
    (SearchOffsetByTimestamp, since(FIRST, "tests/tests/interop.rs::from_timestamp")),
    (GetMaxOffset, since(FIRST, "tests/tests/interop.rs::queue_bounds")),
    (GetMinOffset, since(FIRST, "tests/tests/interop.rs::queue_bounds")),
    (GetEarliestMsgStoreTime, since(FIRST, "tests/tests/interop.rs::queue_bounds")),
    (ViewMessageById, since(FIRST, "gateway/tests/contract/offsets.rs::ViewMessageById")),
    (HeartBeat, since(FIRST, "tests/tests/interop.rs::shared_group")),
    (UnregisterClient, since(FIRST, "tests/tests/interop.rs::takeover")),
    (ConsumerSendMsgBack, since(FIRST, "tests/tests/interop.rs::retry")),
    (EndTransaction, since(FIRST, "gateway/tests/contract/transactions.rs::EndTransaction")),
    (GetConsumerListByGroup, since(FIRST, "tests/tests/interop.rs::shared_group")),
    (LockBatchMq, since(FIRST, "tests/tests/interop.rs::orderly_handover")),
    (UnlockBatchMq, since(FIRST, "tests/tests/interop.rs::orderly_handover")),
    (GetAllConsumerOffset, since(FIRST, "gateway/tests/contract/admin.rs::GetAllConsumerOffset")),
    (GetAllDelayOffset, since(FIRST, "gateway/tests/contract/timers.rs::GetAllDelayOffset")),
    (CheckClientConfig, since(FIRST, "gateway/tests/contract/filters.rs::CheckClientConfig")),
    (GetTimerCheckPoint, since(FIRST, "gateway/tests/contract/timers.rs::GetTimerCheckPoint")),
    (GetTimerMetrics, since(FIRST, "gateway/tests/contract/timers.rs::GetTimerMetrics")),
    (
        UpdateAndCreateSubscriptionGroup,
        since(FIRST, "gateway/tests/contract/settings.rs::UpdateAndCreateSubscriptionGroup"),
    ),
    (
        GetAllSubscriptionGroupConfig,
        since(FIRST, "gateway/tests/contract/settings.rs::GetAllSubscriptionGroupConfig"),
    ),
    (GetTopicStatsInfo, since(FIRST, "gateway/tests/contract/admin.rs::GetTopicStatsInfo")),
    (GetConsumerConnectionList, since(FIRST, "gateway/tests/contract/admin.rs::GetConsumerConnectionList")),
    (GetProducerConnectionList, since(FIRST, "gateway/tests/contract/admin.rs::GetProducerConnectionList")),
    (DeleteSubscriptionGroup, since(FIRST, "gateway/tests/contract/settings.rs::DeleteSubscriptionGroup")),
    (GetConsumeStats, since(FIRST, "gateway/tests/contract/admin.rs::GetConsumeStats")),
    (DeleteTopicInBroker, since(FIRST, "gateway/tests/contract/settings.rs::DeleteTopicInBroker")),
    (InvokeBrokerToResetOffset, since(FIRST, "gateway/tests/contract/clients.rs::InvokeBrokerToResetOffset")),
    (
        InvokeBrokerToGetConsumerStatus,
        since(FIRST, "gateway/tests/contract/clients.rs::InvokeBrokerToGetConsumerStatus"),
    ),
    (
        UpdateAndCreateSubscriptionGroupList,
        since(FIRST, "gateway/tests/contract/admin.rs::UpdateAndCreateSubscriptionGroupList"),
    ),
    (QueryTopicConsumeByWho, since(FIRST, "gateway/tests/contract/admin.rs::QueryTopicConsumeByWho")),
    (QueryConsumeTimeSpan, since(FIRST, "gateway/tests/contract/admin.rs::QueryConsumeTimeSpan")),
    (
        GetSystemTopicListFromBroker,
        since(FIRST, "gateway/tests/contract/admin.rs::GetSystemTopicListFromBroker"),
    ),
    (CleanExpiredConsumeQueue, since(FIRST, "gateway/tests/contract/admin.rs::CleanExpiredConsumeQueue")),
    (GetConsumerRunningInfo, since(FIRST, "gateway/tests/contract/clients.rs::GetConsumerRunningInfo")),
    (QueryCorrectionOffset, since(FIRST, "gateway/tests/contract/clients.rs::QueryCorrectionOffset")),
    (ConsumeMessageDirectly, since(FIRST, "gateway/tests/contract/clients.rs::ConsumeMessageDirectly")),
    (SendMessageV2, since(FIRST, "tests/tests/interop.rs::send_sync")),
    (CloneGroupOffset, since(FIRST, "gateway/tests/contract/clients.rs::CloneGroupOffset")),
    (ViewBrokerStatsData, since(FIRST, "gateway/tests/contract/admin.rs::ViewBrokerStatsData")),
    (CleanUnusedTopic, since(FIRST, "gateway/tests/contract/admin.rs::CleanUnusedTopic")),
    (GetBrokerConsumeStats, since(FIRST, "gateway/tests/contract/admin.rs::GetBrokerConsumeStats")),
    (SendBatchMessage, since(FIRST, "tests/tests/interop.rs::send_batch")),
    (QueryConsumeQueue, since(FIRST, "gateway/tests/contract/admin.rs::QueryConsumeQueue")),
    (ResumeCheckHalfMessage, since(FIRST, "gateway/tests/contract/transactions.rs::ResumeCheckHalfMessage")),
    (SendReplyMessage, since(FIRST, "gateway/tests/contract/transactions.rs::SendReplyMessage")),
    (SendReplyMessageV2, since(FIRST, "gateway/tests/contract/transactions.rs::SendReplyMessageV2")),
    (GetAllProducerInfo, since(FIRST, "gateway/tests/contract/admin.rs::GetAllProducerInfo")),
    (DeleteExpiredCommitLog, since(FIRST, "gateway/tests/contract/admin.rs::DeleteExpiredCommitLog")),
    (QueryTopicsByConsumer, since(FIRST, "gateway/tests/contract/admin.rs::QueryTopicsByConsumer")),
    (
        QuerySubscriptionByConsumer,
        since(FIRST, "gateway/tests/contract/admin.rs::QuerySubscriptionByConsumer"),
    ),
    (GetTopicConfig, since(FIRST, "gateway/tests/contract/settings.rs::GetTopicConfig")),
    (
        GetSubscriptionGroupConfig,
        since(FIRST, "gateway/tests/contract/settings.rs::GetSubscriptionGroupConfig"),
    ),
    (
        UpdateAndGetGroupForbidden,
        since(FIRST, "gateway/tests/contract/settings.rs::UpdateAndGetGroupForbidden"),
    ),
    (CheckRocksdbCqWriteProgress, ROCKSDB),
    (ExportRocksdbConfigToJson, ROCKSDB),
    (LitePullMessage, since(FIRST, "tests/tests/interop.rs::lite_pull")),
    (RecallMessage, since(FIRST, "gateway/tests/contract/timers.rs::RecallMessage")),
    (QueryAssignment, since(FIRST, "gateway/tests/contract/assignments.rs::QueryAssignment")),
    (SetMessageRequestMode, since(FIRST, "gateway/tests/contract/assignments.rs::SetMessageRequestMode")),
    (
        GetAllMessageRequestMode,
        since(FIRST, "gateway/tests/contract/assignments.rs::GetAllMessageRequestMode"),
    ),
    (UpdateAndCreateStaticTopic, Support::Not("there are no static topics yet")),
    (AddBroker, CONTAINER),
    (RemoveBroker, CONTAINER),
    (NotifyMinBrokerIdChange, REPLICATION),
    (ExchangeBrokerHaInfo, REPLICATION),
    (GetBrokerHaStatus, since(FIRST, "gateway/tests/contract/admin.rs::GetBrokerHaStatus")),
    (ResetMasterFlushOffset, since(FIRST, "gateway/tests/contract/admin.rs::ResetMasterFlushOffset")),
    (GetBrokerEpochCache, REPLICATION),
    (NotifyBrokerRoleChanged, REPLICATION),
    (UpdateColdDataFlowCtrConfig, COLD_DATA),
    (RemoveColdDataFlowCtrConfig, COLD_DATA),
    (GetColdDataFlowCtrInfo, COLD_DATA),
    (SetCommitLogReadMode, COLD_DATA),
    (AuthCreateUser, ACL),
    (AuthUpdateUser, ACL),
    (AuthDeleteUser, ACL),
    (AuthGetUser, ACL),
    (AuthListUser, ACL),
    (AuthCreateAcl, ACL),
    (AuthUpdateAcl, ACL),
    (AuthDeleteAcl, ACL),
    (AuthGetAcl, ACL),
    (AuthListAcl, ACL),
    (PopMessage, since(FIRST, "gateway/tests/contract/pops.rs::PopMessage")),
    (AckMessage, since(FIRST, "gateway/tests/contract/pops.rs::AckMessage")),
    (PeekMessage, since(FIRST, "gateway/tests/contract/pops.rs::PeekMessage")),
    (ChangeMessageInvisibleTime, since(FIRST, "gateway/tests/contract/pops.rs::ChangeMessageInvisibleTime")),
    (Notification, since(FIRST, "gateway/tests/contract/pops.rs::Notification")),
    (PollingInfo, since(FIRST, "gateway/tests/contract/pops.rs::PollingInfo")),
    (PopRollback, since(FIRST, "gateway/tests/contract/admin.rs::PopRollback")),
    (BatchAckMessage, since(FIRST, "gateway/tests/contract/pops.rs::BatchAckMessage")),
];

/// What a broker of RocketMQ 4 was asked beside that.
pub const OLD_BROKER: &[Entry] = &[
    (UpdateAndCreateAclConfig, OLD_ACL),
    (DeleteAclConfig, OLD_ACL),
    (GetBrokerClusterAclInfo, OLD_ACL),
    (UpdateGlobalWhiteAddrsConfig, OLD_ACL),
    (GetBrokerClusterAclConfig, OLD_ACL),
];

/// What a NameServer is asked.
pub const NAMESRV: &[Entry] = &[
    (
        PutKvConfig,
        since(FIRST, "gateway/src/remoting/namesrv/tests.rs::key_value_pairs_are_kept_read_and_deleted"),
    ),
    (
        GetKvConfig,
        since(FIRST, "gateway/src/remoting/namesrv/tests.rs::key_value_pairs_are_kept_read_and_deleted"),
    ),
    (
        DeleteKvConfig,
        since(FIRST, "gateway/src/remoting/namesrv/tests.rs::key_value_pairs_are_kept_read_and_deleted"),
    ),
    (
        RegisterBroker,
        since(FIRST, "gateway/src/remoting/namesrv/tests.rs::a_route_has_the_form_that_its_asker_reads"),
    ),
    (
        UnregisterBroker,
        since(
            FIRST,
            "gateway/src/remoting/namesrv/tests.rs::a_broker_that_leaves_or_whose_connection_closes_is_gone",
        ),
    ),
    (
        GetRouteInfoByTopic,
        since(FIRST, "gateway/src/remoting/namesrv/tests.rs::a_route_has_the_form_that_its_asker_reads"),
    ),
    (
        GetBrokerClusterInfo,
        since(FIRST, "gateway/src/remoting/namesrv/tests.rs::the_cluster_is_told_in_the_references_bytes"),
    ),
    (
        WipeWritePermOfBroker,
        since(FIRST, "gateway/src/remoting/namesrv/tests.rs::write_permission_is_wiped_and_brought_back"),
    ),
    (
        GetAllTopicListFromNameServer,
        since(FIRST, "gateway/src/remoting/namesrv/tests.rs::topic_lists_are_the_references"),
    ),
    (
        DeleteTopicInNamesrv,
        since(FIRST, "gateway/src/remoting/namesrv/tests.rs::topics_come_and_go_by_request"),
    ),
    (
        RegisterTopicInNamesrv,
        since(FIRST, "gateway/src/remoting/namesrv/tests.rs::topics_come_and_go_by_request"),
    ),
    (
        GetKvListByNamespace,
        since(FIRST, "gateway/src/remoting/namesrv/tests.rs::key_value_pairs_are_kept_read_and_deleted"),
    ),
    (
        GetTopicsByCluster,
        since(FIRST, "gateway/src/remoting/namesrv/tests.rs::topic_lists_are_the_references"),
    ),
    (
        GetSystemTopicListFromNs,
        since(FIRST, "gateway/src/remoting/namesrv/tests.rs::topic_lists_are_the_references"),
    ),
    (GetUnitTopicList, since(FIRST, "gateway/src/remoting/namesrv/tests.rs::topic_lists_are_the_references")),
    (
        GetHasUnitSubTopicList,
        since(FIRST, "gateway/src/remoting/namesrv/tests.rs::topic_lists_are_the_references"),
    ),
    (
        GetHasUnitSubUnunitTopicList,
        since(FIRST, "gateway/src/remoting/namesrv/tests.rs::topic_lists_are_the_references"),
    ),
    (
        UpdateNamesrvConfig,
        since(
            FIRST,
            "gateway/src/remoting/namesrv/tests.rs::settings_can_be_read_and_those_that_apply_at_once_changed",
        ),
    ),
    (
        GetNamesrvConfig,
        since(
            FIRST,
            "gateway/src/remoting/namesrv/tests.rs::settings_can_be_read_and_those_that_apply_at_once_changed",
        ),
    ),
    (
        QueryDataVersion,
        since(
            FIRST,
            "gateway/src/remoting/namesrv/tests.rs::a_broker_can_ask_first_whether_it_has_to_register",
        ),
    ),
    (
        AddWritePermOfBroker,
        since(FIRST, "gateway/src/remoting/namesrv/tests.rs::write_permission_is_wiped_and_brought_back"),
    ),
    (
        GetBrokerMemberGroup,
        since(
            FIRST,
            "gateway/src/remoting/namesrv/tests.rs::a_slave_learns_its_master_and_a_broker_the_order_configuration",
        ),
    ),
    (BrokerHeartbeat, since(FIRST, "gateway/src/remoting/namesrv/tests.rs::no_request_is_beyond_an_answer")),
];

/// The reason that a broker gives for not serving `request`; `None` if it serves it, or if it is none of a broker's.
#[must_use]
pub fn why_not_on_broker(request: RequestCode) -> Option<&'static str> {
    BROKER.iter().chain(OLD_BROKER).find_map(|&(listed, support)| match support {
        Support::Not(why) if listed == request => Some(why),
        _ => None,
    })
}

const INTRODUCTION: &str = "\
# Compatibility

<!-- Printed from the lists in the code by `cargo xtask docs`; edit those. -->

Every request of RocketMQ's remoting protocol (5.3.3), whether FerroMQ serves it, since which version, and a test that
shows it. What is not served is answered with code 3, `REQUEST_CODE_NOT_SUPPORTED`, and the reason.

Not listed: requests that RocketMQ defines and nobody handles, and those of its controller, which FerroMQ does not
have. Class filters, which RocketMQ 4 ran on filter servers and RocketMQ 5 dropped, are not served: use SQL92
expressions.
";

/// The page `docs/compatibility.md`.
#[must_use]
pub fn markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (title, list) in [
        ("Asked of a broker", BROKER),
        ("Asked of a broker of RocketMQ 4", OLD_BROKER),
        ("Asked of a NameServer", NAMESRV),
    ] {
        let _ = write!(
            page,
            "\n## {title}\n\n| Code | Request | What it does | Served since | Shown by, or why not |\n|---|---|---|---|---|\n"
        );
        for &(request, support) in list {
            let (code, name, meaning) = (request.code(), request.name(), request.meaning());
            let _ = match support {
                Support::Since { version, shown_by } => {
                    writeln!(page, "| {code} | {name} | {meaning} | {version} | `{shown_by}` |")
                }
                Support::Not(why) => writeln!(page, "| {code} | {name} | {meaning} | no | {why} |"),
            };
        }
    }
    let _ = write!(
        page,
        "\n## Asked of a client\n\nWhat a broker starts by itself, on a client's connection.\n\n| Code | Request | What it does |\n|---|---|---|\n"
    );
    for request in RequestCode::ALL.iter().filter(|request| request.served_by().contains(&Side::Client)) {
        let _ = writeln!(page, "| {} | {} | {} |", request.code(), request.name(), request.meaning());
    }
    page
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_request_of_a_side_is_listed_once_in_rising_order() {
        for (side, list) in
            [(Side::Broker, BROKER), (Side::OldBroker, OLD_BROKER), (Side::NameServer, NAMESRV)]
        {
            let expected: Vec<_> =
                RequestCode::ALL.iter().copied().filter(|code| code.served_by().contains(&side)).collect();
            assert_eq!(list.iter().map(|&(code, _)| code).collect::<Vec<_>>(), expected, "{side:?}");
        }
    }

    #[test]
    fn the_test_that_an_entry_names_exists() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
        for (request, support) in BROKER.iter().chain(OLD_BROKER).chain(NAMESRV) {
            let Support::Since { shown_by, .. } = support else { continue };
            let (file, name) = shown_by.split_once("::").expect("file::name");
            let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
            let found = text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name);
            assert!(found, "{request}: there is no {name} in {file}");
        }
    }

    #[test]
    fn the_committed_page_is_the_one_that_the_lists_give() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/compatibility.md");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == markdown(), "docs/compatibility.md is stale: run `cargo xtask docs`");
    }
}
