//! Administration: what operators ask of NameServers and brokers, as typed calls.
//!
//! ```text
//! scope ── NameServers' cluster table, or a topic's route ──▶ nodes ── one request each ──▶ Gathered { value, failures }
//! ```
//! Always true:
//! * a fact that is spread over brokers is asked of all of them at once; who fails is named with the reason beside what
//!   the others said, and a call fails as a whole only if everybody did;
//! * what is changed is changed on masters; a change that only some made says so, and may be made again;
//! * where a topic is, is read anew for each call;
//! * results can be written as JSON: the same that `ferromq admin --output json` prints.
//!
//! | file | what it is about |
//! |---|---|
//! | [`clusters`] | clusters, brokers: their state and settings |
//! | [`name_servers`] | settings, key-value table, write permission |
//! | [`topics`] | topics: settings, queues, who reads them |
//! | [`groups`] | groups: settings, progress, what their members do |
//! | [`offsets`] | positions: told, moved, copied |
//! | [`messages`] | messages: found, read queue by queue, copied |
//! | [`connections`] | who is connected |
//! | [`stats`] | what brokers count |
//! | [`doctor`] | what is wrong, and what to do |

pub mod clusters;
pub mod connections;
pub mod doctor;
mod error;
pub mod groups;
pub mod messages;
pub mod name_servers;
pub mod offsets;
mod scan;
pub mod stats;
#[cfg(test)]
mod tests;
pub mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use ferromq_model::TopicName;
use ferromq_protocol::body::{self, ClusterInfo};
use ferromq_protocol::code::RequestCode;
use ferromq_protocol::frame::{EncodeFields, HeaderScratch};
use ferromq_protocol::header::Header;
use futures_util::future::join_all;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::error::{CallError, RouteError};
use crate::routes::TopicRoute;
use crate::wire::Frame;

pub use error::{AdminError, Failure};
pub use scan::{Cursor, Scan};

/// Servers that are asked at the same time.
const AT_ONCE: usize = 32;
/// Where NameServers keep how many queues an ordered topic has on each broker.
const ORDER_NAMESPACE: &str = "ORDER_TOPIC_CONFIG";
/// The group that RocketMQ's tools read messages as; brokers have it from their start.
const TOOLS_GROUP: &str = "TOOLS_CONSUMER";

/// Administration, by a client's connections. Cheap to make and to clone; nothing has to be closed but the client.
#[derive(Clone, Debug)]
pub struct Admin {
    client: Client,
}

impl Client {
    /// Administration of the servers that this client knows.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin { client: self.clone() }
    }
}

/// Which brokers are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All that the NameServers know.
    #[default]
    All,
    /// Those of a cluster.
    Cluster(String),
    /// One, by its name or its address. An address is used as it is, also one that no NameServer knows.
    Broker(String),
}

/// One broker process: a master or a replica.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct BrokerNode {
    /// Its cluster; empty if no NameServer knows it.
    pub cluster: Arc<str>,
    /// The name that a master and its replicas share.
    pub name: Arc<str>,
    /// 0 for the master.
    pub id: u64,
    /// Where it is.
    pub addr: Arc<str>,
}

/// What was put together of several servers' answers, and who of them has none.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Gathered<T> {
    /// What the others said.
    pub value: T,
    /// Who failed.
    pub failures: Vec<Failure>,
}

impl<T> Gathered<T> {
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Gathered<U> {
        Gathered { value: change(self.value), failures: self.failures }
    }
}

/// What one of several brokers said.
#[derive(Clone, Debug, Serialize)]
pub struct PerBroker<T> {
    /// Who.
    pub broker: BrokerNode,
    /// What.
    pub value: T,
}

impl Admin {
    /// Asks one server.
    async fn call(
        &self,
        addr: &Arc<str>,
        code: RequestCode,
        header: &(impl EncodeFields + Sync),
        body: Bytes,
    ) -> Result<Frame, CallError> {
        let link = self.client.inner.link(addr);
        self.client.inner.call(&link, code, header, &body).await
    }

    /// Asks one server, and reads the body of its answer.
    async fn read<T: DeserializeOwned>(
        &self,
        addr: &Arc<str>,
        code: RequestCode,
        header: &(impl EncodeFields + Sync),
    ) -> Result<T, CallError> {
        let frame = self.call(addr, code, header, Bytes::new()).await?;
        decode(addr, &frame)
    }

    /// Asks each node for itself, many at a time.
    async fn each<T, F>(
        &self,
        nodes: Vec<BrokerNode>,
        ask: impl Fn(BrokerNode) -> F,
    ) -> Result<Gathered<Vec<PerBroker<T>>>, AdminError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let mut gathered = Gathered { value: Vec::with_capacity(nodes.len()), failures: Vec::new() };
        for some in nodes.chunks(AT_ONCE) {
            let answers = join_all(some.iter().map(|node| ask(node.clone()))).await;
            for (broker, answer) in some.iter().cloned().zip(answers) {
                match answer {
                    Ok(value) => gathered.value.push(PerBroker { broker, value }),
                    Err(error) => {
                        gathered.failures.push(Failure { server: broker.name, addr: broker.addr, error });
                    }
                }
            }
        }
        if gathered.value.is_empty() && !gathered.failures.is_empty() {
            return Err(AdminError::Everywhere { failures: gathered.failures });
        }
        Ok(gathered)
    }

    /// Has each node do something that has no answer but that it is done.
    async fn each_does(
        &self,
        nodes: Vec<BrokerNode>,
        code: RequestCode,
        header: &(impl EncodeFields + Sync),
        body: &Bytes,
    ) -> Result<Gathered<Vec<BrokerNode>>, AdminError> {
        let done =
            self.each(nodes, |node| async move {
                self.call(&node.addr, code, header, body.clone()).await.map(drop)
            })
            .await?;
        Ok(done.map(|done| done.into_iter().map(|of| of.broker).collect()))
    }

    /// Reads something of each node.
    async fn each_says<T: DeserializeOwned>(
        &self,
        nodes: Vec<BrokerNode>,
        code: RequestCode,
        header: &(impl EncodeFields + Sync),
    ) -> Result<Gathered<Vec<PerBroker<T>>>, AdminError> {
        self.each(nodes, |node| async move { self.read(&node.addr, code, header).await }).await
    }

    async fn cluster_info(&self) -> Result<ClusterInfo, AdminError> {
        let inner = &self.client.inner;
        let asked = inner.ask_name_servers(RequestCode::GetBrokerClusterInfo, &()).await;
        let (frame, addr) = asked.map_err(|last| match last.is_silence() {
            true => AdminError::Route(RouteError::NoNameServer { last }),
            false => AdminError::Call(last),
        })?;
        Ok(decode(&addr, &frame)?)
    }

    /// Every node of a scope, sorted.
    async fn nodes(&self, scope: &Scope) -> Result<Vec<BrokerNode>, AdminError> {
        let info = match (self.cluster_info().await, scope) {
            (Ok(info), _) => info,
            // Its operator may be looking for the reason that no NameServer answers.
            (Err(_), Scope::Broker(name)) if is_address(name) => ClusterInfo::default(),
            (Err(error), _) => return Err(error),
        };
        let all = nodes_of(&info);
        let known = |names: &mut dyn Iterator<Item = &String>| names.cloned().collect::<Vec<_>>();
        match scope {
            Scope::All if all.is_empty() => Err(AdminError::NoBrokers),
            Scope::All => Ok(all),
            Scope::Cluster(name) => {
                let Some(brokers) = info.cluster_addr_table.get(name) else {
                    let known = known(&mut info.cluster_addr_table.keys());
                    return Err(AdminError::NoSuchCluster { name: name.clone(), known });
                };
                Ok(all.into_iter().filter(|node| brokers.contains(&*node.name)).collect())
            }
            Scope::Broker(name) => {
                let is_it = |node: &&BrokerNode| *node.name == **name || *node.addr == **name;
                let named: Vec<_> = all.iter().filter(is_it).cloned().collect();
                if !named.is_empty() {
                    return Ok(named);
                }
                if is_address(name) {
                    let addr: Arc<str> = name.as_str().into();
                    return Ok(vec![BrokerNode { cluster: "".into(), name: Arc::clone(&addr), id: 0, addr }]);
                }
                let known = known(&mut info.broker_addr_table.keys());
                Err(AdminError::NoSuchBroker { name: name.clone(), known })
            }
        }
    }

    /// The masters of a scope; where there is none, who stands in for it. A replica that is named by its address is
    /// itself meant.
    async fn masters(&self, scope: &Scope) -> Result<Vec<BrokerNode>, AdminError> {
        let nodes = self.nodes(scope).await?;
        Ok(leads(nodes))
    }

    /// Where a topic is, as a NameServer says now.
    async fn fresh_route(&self, topic: &TopicName) -> Result<Arc<TopicRoute>, AdminError> {
        Ok(self.client.inner.fetch(topic).await?)
    }

    /// The masters that have a topic.
    async fn masters_of(&self, topic: &TopicName) -> Result<Vec<BrokerNode>, AdminError> {
        let route = self.fresh_route(topic).await?;
        let mut nodes: Vec<_> = route
            .brokers
            .iter()
            .flat_map(|(name, members)| {
                let cluster = route.clusters.get(name).cloned().unwrap_or_else(|| "".into());
                members.iter().map(move |(&id, addr)| BrokerNode {
                    cluster: Arc::clone(&cluster),
                    name: Arc::clone(name),
                    id,
                    addr: Arc::clone(addr),
                })
            })
            .collect();
        nodes.sort();
        Ok(leads(nodes))
    }

    /// The NameServers, as nodes that are called as their addresses.
    fn name_server_nodes(&self) -> Vec<BrokerNode> {
        let node = |addr: &Arc<str>| BrokerNode {
            cluster: "".into(),
            name: Arc::clone(addr),
            id: 0,
            addr: Arc::clone(addr),
        };
        self.client.inner.routes.name_servers().iter().map(node).collect()
    }
}

/// Of each name the node with the lowest id, of sorted ones.
fn leads(nodes: Vec<BrokerNode>) -> Vec<BrokerNode> {
    let mut leads: BTreeMap<Arc<str>, BrokerNode> = BTreeMap::new();
    for node in nodes {
        leads.entry(Arc::clone(&node.name)).or_insert(node);
    }
    leads.into_values().collect()
}

fn nodes_of(info: &ClusterInfo) -> Vec<BrokerNode> {
    let mut nodes: Vec<_> = info
        .broker_addr_table
        .values()
        .flat_map(|broker| {
            broker.broker_addrs.iter().map(|(&id, addr)| BrokerNode {
                cluster: broker.cluster.as_str().into(),
                name: broker.broker_name.as_str().into(),
                id,
                addr: addr.as_str().into(),
            })
        })
        .collect();
    nodes.sort();
    nodes
}

/// Whether a text is `host:port`.
fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn unreadable(addr: &Arc<str>, what: &(impl ToString + ?Sized)) -> CallError {
    CallError::Unreadable { addr: Arc::clone(addr), what: what.to_string().into() }
}

fn decode<T: DeserializeOwned>(addr: &Arc<str>, frame: &Frame) -> Result<T, CallError> {
    body::decode(&frame.body()).map_err(|error| unreadable(addr, &error))
}

/// Reads the header of an answer, and makes something of it.
fn fields<T>(
    addr: &Arc<str>,
    frame: &Frame,
    read: impl FnOnce(&ferromq_protocol::frame::Fields<'_>) -> Result<T, ferromq_protocol::header::HeaderError>,
) -> Result<T, CallError> {
    let mut scratch = HeaderScratch::new();
    let command = frame.command(&mut scratch).map_err(|error| unreadable(addr, &error))?;
    read(&command.fields).map_err(|error| unreadable(addr, &error))
}

/// Reads a header that owns all it has.
fn header<T: for<'a> Header<'a>>(addr: &Arc<str>, frame: &Frame) -> Result<T, CallError> {
    fields(addr, frame, |fields| T::decode(fields))
}

/// A refusal with one of these codes is no failure: there is nothing.
fn unless<T>(
    answer: Result<T, CallError>,
    absent: &[ferromq_protocol::code::ResponseCode],
) -> Result<Option<T>, CallError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.code().is_some_and(|code| absent.contains(&code)) => Ok(None),
        Err(error) => Err(error),
    }
}
