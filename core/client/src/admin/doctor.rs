//! What is wrong with a deployment, as seen from here, and what to do about it.
//!
//! It only looks: nothing is changed, and no message is read or sent.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ferromq_model::Timestamp;
use ferromq_protocol::body::ClusterInfo;
use ferromq_protocol::body::stats::ConsumeStatsList;
use ferromq_protocol::code::RequestCode;
use ferromq_protocol::header::admin::GetBrokerConsumeStats;
use futures_util::future::join_all;
use serde::Serialize;

use super::clusters::BrokerState;
use super::groups::Progress;
use super::{Admin, BrokerNode, nodes_of};
use crate::error::{CallError, Remedy};

/// Clocks may differ by this much: brokers tell theirs to the second, and an answer is on its way for a while.
const SKEW_NOTED: u64 = 5_000;
/// From here on timed messages and resets by time go wrong visibly.
const SKEW_BAD: u64 = 60_000;
/// A group that is so many messages behind is worth a look.
const LAG_NOTED: u64 = 10_000;
/// A disk that is this full is worth a look; brokers begin to delete early at 75 % and refuse messages at 90 %.
const DISK_NOTED: f64 = 0.75;
const DISK_BAD: f64 = 0.90;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth a look.
    Warning,
    /// Clients fail because of it, or will soon.
    Error,
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was looked at: `reachability`, `registration`, `address`, `disk`, `clock`, `lag`.
    pub check: &'static str,
    /// Which server or group.
    pub subject: String,
    /// What was found.
    pub found: String,
    /// What to do; empty if nothing.
    pub advice: String,
}

impl Finding {
    fn ok(check: &'static str, subject: &str, found: impl Into<String>) -> Self {
        Self {
            severity: Severity::Ok,
            check,
            subject: subject.to_owned(),
            found: found.into(),
            advice: String::new(),
        }
    }

    fn bad(
        severity: Severity,
        check: &'static str,
        subject: &str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { severity, check, subject: subject.to_owned(), found: found.into(), advice: advice.into() }
    }
}

impl Admin {
    /// Looks at everything, and tells what it looked at, the worst first.
    pub async fn examine(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let nodes = self.examine_name_servers(&mut findings).await;
        let about_nodes = join_all(nodes.iter().map(|node| self.examine_broker(node))).await;
        findings.extend(about_nodes.into_iter().flatten());
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        findings
    }

    /// Returns every broker that any NameServer names.
    async fn examine_name_servers(&self, findings: &mut Vec<Finding>) -> BTreeSet<BrokerNode> {
        let servers = self.name_server_nodes();
        let asked = join_all(servers.iter().map(|server| async move {
            self.read::<ClusterInfo>(&server.addr, RequestCode::GetBrokerClusterInfo, &()).await
        }));
        let mut views: Vec<(Arc<str>, BTreeSet<BrokerNode>)> = Vec::new();
        for (server, answer) in servers.iter().zip(asked.await) {
            let subject = format!("NameServer {}", server.addr);
            match answer {
                Ok(info) => {
                    let nodes: BTreeSet<_> = nodes_of(&info).into_iter().collect();
                    let found = format!("answers, and knows {} broker(s)", nodes.len());
                    findings.push(Finding::ok("reachability", &subject, found));
                    views.push((Arc::clone(&server.addr), nodes));
                }
                Err(error) => findings.push(unreachable(&subject, &error, "NameServer")),
            }
        }
        let all: BTreeSet<_> = views.iter().flat_map(|(_, nodes)| nodes.iter().cloned()).collect();
        for (server, nodes) in &views {
            for missing in all.difference(nodes) {
                let found = format!("does not know broker {} ({})", missing.name, missing.addr);
                let advice = format!("have {} name every NameServer in its namesrvAddr", missing.name);
                let subject = format!("NameServer {server}");
                findings.push(Finding::bad(Severity::Warning, "registration", &subject, found, advice));
            }
        }
        if all.is_empty() && !views.is_empty() {
            findings.push(Finding::bad(
                Severity::Error,
                "registration",
                "brokers",
                "no broker is registered",
                "start one with namesrvAddr set to these NameServers; if one runs, its log says why it cannot register",
            ));
        }
        let mut by_name: BTreeMap<&Arc<str>, Vec<&BrokerNode>> = BTreeMap::new();
        all.iter().for_each(|node| by_name.entry(&node.name).or_default().push(node));
        for (name, nodes) in by_name.into_iter().filter(|(_, nodes)| nodes.iter().all(|node| node.id != 0)) {
            let found = format!("has {} replica(s) and no master", nodes.len());
            let advice = "start its master again: until then nothing can be sent to it";
            let subject = format!("broker {name}");
            findings.push(Finding::bad(Severity::Error, "registration", &subject, found, advice));
        }
        all
    }

    async fn examine_broker(&self, node: &BrokerNode) -> Vec<Finding> {
        let subject = &format!("broker {} ({})", node.name, node.addr);
        let mut findings: Vec<_> =
            advertised(subject, &node.addr, self.client.inner.routes.name_servers()).into_iter().collect();
        let asked = Timestamp::now();
        let state = match self.broker_state(node).await {
            Ok(state) => state,
            Err(error) => {
                findings.push(unreachable(subject, &error, "broker"));
                return findings;
            }
        };
        findings.push(Finding::ok("reachability", subject, format!("answers, version {}", state.version)));
        findings.push(disk(subject, &state));
        findings.extend(clock(subject, &state, asked, Timestamp::now()));
        if node.id == 0 {
            let asked = GetBrokerConsumeStats { ordered: false };
            match self.read(&node.addr, RequestCode::GetBrokerConsumeStats, &asked).await {
                Ok(stats) => findings.extend(lags(subject, stats)),
                Err(error) => findings.push(unreachable(subject, &error, "broker")),
            }
        }
        findings
    }
}

fn unreachable(subject: &str, error: &CallError, what: &str) -> Finding {
    let advice = match error {
        CallError::Unreachable { .. } => format!(
            "check that the {what} runs, that it listens on this address and not on 127.0.0.1 alone (bindAddress), \
             and that no firewall is between"
        ),
        CallError::TimedOut { .. } | CallError::Lost { .. } => {
            format!(
                "the {what} takes connections and does not answer: look at its log and its load; with TLS on one side only it looks the same"
            )
        }
        CallError::Refused { .. } if error.remedy() == Remedy::AskOperator => {
            format!("the {what} refuses: check the access key, and what it may do")
        }
        _ => format!("look at the {what}'s log"),
    };
    Finding::bad(Severity::Error, "reachability", subject, error.to_string(), advice)
}

/// Whether clients elsewhere can use an address that is advertised.
fn advertised(subject: &str, addr: &str, name_servers: &[Arc<str>]) -> Option<Finding> {
    let loopback = |addr: &str| {
        let host = addr.rsplit_once(':').map_or(addr, |(host, _)| host);
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    };
    let unspecified = addr.parse::<SocketAddr>().is_ok_and(|addr| addr.ip().is_unspecified());
    if unspecified {
        let found = format!("advertises {addr}, where nobody can connect to");
        let advice = "set brokerIP1 to the address that clients reach it at";
        return Some(Finding::bad(Severity::Error, "address", subject, found, advice));
    }
    if !loopback(addr) {
        return Some(Finding::ok("address", subject, format!("advertises {addr}")));
    }
    // Everything on one machine: as in development.
    if name_servers.iter().all(|server| loopback(server)) {
        let found = format!("advertises {addr}: only clients on this machine can use it");
        return Some(Finding::ok("address", subject, found));
    }
    let found = format!("advertises {addr}, which is each client's own machine");
    let advice = "set brokerIP1 to the address that clients reach it at, and bindAddress to 0.0.0.0";
    Some(Finding::bad(Severity::Error, "address", subject, found, advice))
}

fn disk(subject: &str, state: &BrokerState) -> Finding {
    let Some(used) = state.disk_used else {
        let advice = "check that its store directory is there and readable";
        return Finding::bad(Severity::Warning, "disk", subject, "cannot tell how full its disk is", advice);
    };
    let found = format!("disk is {:.0} % full, the log takes {} MiB", used * 100.0, state.log_bytes >> 20);
    let advice = "make room: shorten fileReservedTime, delete old log files (`ferromq admin broker clean --what log`), or \
                  move the store to a larger disk";
    if used >= DISK_BAD {
        Finding::bad(Severity::Error, "disk", subject, found, advice)
    } else if used >= DISK_NOTED {
        Finding::bad(Severity::Warning, "disk", subject, found, advice)
    } else {
        Finding::ok("disk", subject, found)
    }
}

/// Compares a broker's clock, which was asked between two times of ours.
fn clock(subject: &str, state: &BrokerState, before: Timestamp, after: Timestamp) -> Option<Finding> {
    let theirs = state.clock()?;
    let (ahead, behind) = (theirs.since(after).0, before.since(theirs).0);
    let (skew, direction) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    let found = format!("its clock is about {} s {direction} this machine's", skew / 1000);
    let advice = "synchronise both clocks (NTP): delivery times, offsets by time and retention go by them";
    Some(match skew {
        SKEW_BAD.. => Finding::bad(Severity::Error, "clock", subject, found, advice),
        SKEW_NOTED.. => Finding::bad(Severity::Warning, "clock", subject, found, advice),
        _ => Finding::ok("clock", subject, "its clock agrees with this machine's"),
    })
}

fn lags(subject: &str, stats: ConsumeStatsList) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut groups = 0;
    for (group, tables) in stats.consume_stats_list.into_iter().flatten() {
        let mut progress = Progress::default();
        tables.into_iter().for_each(|table| progress.add(table));
        groups += 1;
        if progress.lag < LAG_NOTED {
            continue;
        }
        let topics: BTreeSet<_> =
            progress.queues.iter().filter(|at| at.lag > 0).map(|at| at.queue.topic.as_str()).collect();
        let topics = topics.into_iter().collect::<Vec<_>>().join(", ");
        let found = format!("is {} messages behind in {topics} on {subject}", progress.lag);
        let advice = format!(
            "see whether its consumers run (`ferromq admin connections consumer {group}`) and which queues stand still \
             (`ferromq admin group progress {group}`); add consumers or queues, or skip with `ferromq admin offset skip`"
        );
        let group = format!("group {group}");
        findings.push(Finding::bad(Severity::Warning, "lag", &group, found, advice));
    }
    if findings.is_empty() {
        let found = format!("{groups} group(s), none {LAG_NOTED} messages behind or more");
        findings.push(Finding::ok("lag", subject, found));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(entries: &[(&str, &str)]) -> BrokerState {
        let table: BTreeMap<_, _> =
            entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        BrokerState {
            version: String::new(),
            started: table.get("bootTimestamp").and_then(|time| time.parse().ok()).map(Timestamp),
            puts_per_second: 0.0,
            gets_per_second: 0.0,
            puts_today: 0,
            gets_today: 0,
            disk_used: table.get("commitLogDiskRatio").and_then(|used| used.parse().ok()),
            log_bytes: 0,
            oldest_message: None,
            table,
        }
    }

    #[test]
    fn a_loopback_address_is_wrong_only_where_name_servers_are_elsewhere() {
        let (here, there): (Vec<Arc<str>>, Vec<Arc<str>>) =
            (vec!["127.0.0.1:9876".into()], vec!["10.0.0.1:9876".into()]);
        let severity = |addr: &str, servers: &[Arc<str>]| advertised("b", addr, servers).unwrap().severity;
        assert_eq!(severity("127.0.0.1:10911", &here), Severity::Ok);
        assert_eq!(severity("localhost:10911", &there), Severity::Error);
        assert_eq!(severity("0.0.0.0:10911", &here), Severity::Error);
        assert_eq!(severity("10.0.0.2:10911", &there), Severity::Ok);
    }

    #[test]
    fn a_disk_is_judged_by_where_brokers_begin_to_refuse() {
        let severity = |used: &str| disk("b", &state(&[("commitLogDiskRatio", used)])).severity;
        assert_eq!((severity("0.5"), severity("0.8")), (Severity::Ok, Severity::Warning));
        assert_eq!((severity("0.95"), disk("b", &state(&[])).severity), (Severity::Error, Severity::Warning));
    }

    #[test]
    fn a_clock_may_differ_by_what_cannot_be_told() {
        let state =
            state(&[("bootTimestamp", "1000000"), ("runtime", "[ 0 days, 0 hours, 1 minutes, 0 seconds ]")]);
        let severity = |before, after| {
            clock("b", &state, Timestamp(before), Timestamp(after)).map(|finding| finding.severity)
        };
        assert_eq!(severity(1_059_000, 1_061_000), Some(Severity::Ok));
        assert_eq!(severity(1_040_000, 1_041_000), Some(Severity::Warning), "19 s ahead");
        assert_eq!(severity(2_000_000, 2_000_100), Some(Severity::Error), "940 s behind");
    }
}
