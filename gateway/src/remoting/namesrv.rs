//! The NameServer's front-end: decodes a request, calls the engine once, encodes the answer.
//!
//! Always true:
//! * every request gets an answer, also one that is unknown or makes no sense; whether it is sent is the connection's
//!   business;
//! * routes are compact JSON in the form that the asker reads: numbers as bare keys for clients before 4.9.4, which is what
//!   the Go client claims to be, standard JSON for later ones;
//! * what a remote hand changed stands in the log with its address.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use ferromq_model::config::Settings as _;
use ferromq_model::topic::DataVersion;
use ferromq_namesrv::{
    BrokerId, BrokerIdentity, BrokerSet, ChangeError, ChannelId, KvError, ListDisabled, NameServer,
    RegisterError, Registered, Registration, Route, RouteError, TopicOffer, UnitTopics,
};
use ferromq_protocol::body::{
    self, BrokerData, BrokerMemberGroup, BrokerMemberGroupBody, ClusterInfo, KvTable, QueueData,
    RegisterBrokerBody, Style, TopicList, TopicRouteData,
};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::frame::Command;
use ferromq_protocol::header::{
    AddWritePermResponse, BrokerHeartbeat, ChangeWritePerm, DeleteKvConfig, DeleteTopicRoute,
    GetBrokerMemberGroup, GetKvConfig, GetKvConfigResponse, GetKvList, GetRoute, GetTopicsByCluster,
    Header as _, PutKvConfig, QueryDataVersion, QueryDataVersionResponse, RegisterBroker,
    RegisterBrokerResponse, RegisterTopic, UnregisterBroker, WipeWritePermResponse,
};
use tracing::{debug, info_span};

use super::reply::Reply;

/// Answers the requests of brokers, clients and tools to one NameServer.
#[derive(Clone, Debug)]
pub struct NamesrvFront {
    /// The engine.
    pub namesrv: NameServer,
}

/// An error is a whole answer as well.
type Answer = Result<Reply, Reply>;

impl NamesrvFront {
    /// Answers `request`, which came from `peer` over `channel`.
    ///
    /// It takes no longer than memory work, except that a change of a key-value pair waits for the disk.
    #[must_use]
    pub fn handle(&self, channel: ChannelId, peer: SocketAddr, request: &Command<'_>) -> Reply {
        self.dispatch(channel, peer, request).unwrap_or_else(|error| error)
    }

    fn dispatch(&self, channel: ChannelId, peer: SocketAddr, request: &Command<'_>) -> Answer {
        let Some(code) = request.request_code() else { return Ok(Reply::not_supported(request.code)) };
        let by = || info_span!("request", %peer).entered();
        match code {
            RequestCode::GetRouteInfoByTopic => self.route(request),

            RequestCode::RegisterBroker => {
                let _by = by();
                self.register(channel, request)
            }
            RequestCode::UnregisterBroker => {
                let _by = by();
                self.unregister(request)
            }
            RequestCode::BrokerHeartbeat => self.heartbeat(request),
            RequestCode::QueryDataVersion => self.query_data_version(request),
            RequestCode::GetBrokerMemberGroup => self.member_group(request),
            RequestCode::RegisterTopicInNamesrv => {
                let _by = by();
                self.register_topic(request)
            }

            RequestCode::GetBrokerClusterInfo => Ok(self.cluster_info()),
            RequestCode::GetAllTopicListFromNameServer => topic_list(self.namesrv.topics()),
            RequestCode::GetTopicsByCluster => {
                let GetTopicsByCluster { cluster } = GetTopicsByCluster::decode(&request.fields)?;
                topic_list(self.namesrv.topics_of_cluster(cluster))
            }
            RequestCode::GetSystemTopicListFromNs => Ok(self.system_topics()),
            RequestCode::GetUnitTopicList => topic_list(self.namesrv.unit_topics(UnitTopics::Unit)),
            RequestCode::GetHasUnitSubTopicList => {
                topic_list(self.namesrv.unit_topics(UnitTopics::UnitSubscribed))
            }
            RequestCode::GetHasUnitSubUnunitTopicList => {
                topic_list(self.namesrv.unit_topics(UnitTopics::UnitSubscribedOnly))
            }

            RequestCode::WipeWritePermOfBroker => {
                let _by = by();
                let ChangeWritePerm { broker } = ChangeWritePerm::decode(&request.fields)?;
                let topics = count(self.namesrv.wipe_write_permission(broker));
                Ok(Reply::success().with_fields(&WipeWritePermResponse { topics }))
            }
            RequestCode::AddWritePermOfBroker => {
                let _by = by();
                let ChangeWritePerm { broker } = ChangeWritePerm::decode(&request.fields)?;
                let topics = count(self.namesrv.add_write_permission(broker));
                Ok(Reply::success().with_fields(&AddWritePermResponse { topics }))
            }
            RequestCode::DeleteTopicInNamesrv => {
                let _by = by();
                let DeleteTopicRoute { topic, cluster } = DeleteTopicRoute::decode(&request.fields)?;
                self.namesrv.delete_topic(topic, cluster);
                Ok(Reply::success())
            }

            RequestCode::PutKvConfig => {
                let _by = by();
                let PutKvConfig { namespace, key, value } = PutKvConfig::decode(&request.fields)?;
                self.namesrv.put_pair(namespace, key, value)?;
                Ok(Reply::success())
            }
            RequestCode::GetKvConfig => self.get_kv(request),
            RequestCode::DeleteKvConfig => {
                let _by = by();
                let DeleteKvConfig { namespace, key } = DeleteKvConfig::decode(&request.fields)?;
                self.namesrv.delete_pair(namespace, key)?;
                Ok(Reply::success())
            }
            RequestCode::GetKvListByNamespace => self.kv_list(request),

            RequestCode::UpdateNamesrvConfig => {
                let _by = by();
                self.change_config(request.body)
            }
            RequestCode::GetNamesrvConfig => Ok(self.config_text()),

            _ => Ok(Reply::not_supported(request.code)),
        }
    }

    fn route(&self, request: &Command<'_>) -> Answer {
        let ask = GetRoute::decode(&request.fields)?;
        let zone = ask.zone.filter(|_| ask.zone_only);
        let route = self.namesrv.route(ask.topic, zone, Instant::now()).map_err(|error| match error {
            RouteError::UnknownTopic => Reply::error(
                ResponseCode::TopicNotExist,
                format!("No topic route info in name server for the topic: {}", ask.topic),
            ),
            RouteError::NotReady => Reply::error(ResponseCode::SystemError, error.to_string()),
        })?;
        // The reference filters by zone behind its encoder and writes the rest in its own dialect whoever asks.
        let style = match zone {
            Some(_) => Style::Java,
            None => Style::of_route(request.version, ask.standard_json),
        };
        Ok(Reply::success().with_body(body::encode_as(&route_data(&route), style)))
    }

    fn register(&self, channel: ChannelId, request: &Command<'_>) -> Answer {
        let ask = RegisterBroker::decode(&request.fields)?;
        let broker = identity(ask.cluster, ask.broker, ask.addr, ask.broker_id)?;
        if ask.body_crc != 0 && ask.body_crc != body::checksum(request.body) {
            return Err(Reply::error(ResponseCode::SystemError, "crc32 not match"));
        }
        // The reference takes a body that it cannot read for an empty one, and never learns the broker's topics.
        let told = RegisterBrokerBody::read(request.body, ask.compressed, request.version)?;
        let topics = told.topic_config_serialize_wrapper;
        if !topics.unreadable.is_empty() {
            debug!(%broker, topics = ?topics.unreadable, "left out what is no topic");
        }
        let offers = topics.topic_config_table.values().map(|config| {
            let offer = TopicOffer {
                read_queues: config.read_queue_nums,
                write_queues: config.write_queue_nums,
                perm: config.perm,
                sys_flag: config.topic_sys_flag,
                mapping: topics
                    .topic_queue_mapping_info_map
                    .get(config.topic_name.as_str())
                    .map(|mapping| mapping.to_string().into()),
            };
            (config.topic_name.as_str().into(), offer)
        });
        let registration = Registration {
            broker,
            ha_addr: ask.ha_addr.into(),
            channel,
            silence: ask.timeout,
            acting_master: ask.acting_master,
            zone: ask.zone.map(Into::into),
            version: topics.data_version,
            topics: offers.collect(),
            filter_servers: told.filter_server_list,
        };
        let master = match self.namesrv.register(registration, Instant::now())? {
            Registered::Listed { master } => master,
            Registered::Superseded { .. } => None,
        };
        let reply = Reply::success().with_fields(&RegisterBrokerResponse {
            ha_addr: master.as_ref().map(|master| &*master.ha_addr),
            master_addr: master.as_ref().map(|master| &*master.addr),
        });
        Ok(match self.namesrv.order_for_brokers() {
            Some(table) => reply.with_body(body::encode(&KvTable { table })),
            None => reply,
        })
    }

    fn unregister(&self, request: &Command<'_>) -> Answer {
        let ask = UnregisterBroker::decode(&request.fields)?;
        self.namesrv.unregister(&identity(ask.cluster, ask.broker, ask.addr, ask.broker_id)?);
        Ok(Reply::success())
    }

    fn heartbeat(&self, request: &Command<'_>) -> Answer {
        let ask = BrokerHeartbeat::decode(&request.fields)?;
        self.namesrv.heartbeat(ask.addr, Instant::now());
        Ok(Reply::success())
    }

    fn query_data_version(&self, request: &Command<'_>) -> Answer {
        let ask = QueryDataVersion::decode(&request.fields)?;
        let version: DataVersion = body::decode(request.body)?;
        let known = self.namesrv.compare_version(ask.addr, version, Instant::now());
        let reply = Reply::success().with_fields(&QueryDataVersionResponse { changed: known.changed });
        Ok(match known.known {
            Some(version) => reply.with_body(body::encode(&version)),
            None => reply,
        })
    }

    fn member_group(&self, request: &Command<'_>) -> Answer {
        let ask = GetBrokerMemberGroup::decode(&request.fields)?;
        let set = self.namesrv.broker_set(ask.cluster, ask.broker);
        let group = BrokerMemberGroup {
            broker_addrs: set.map(|set| addrs(&set)).unwrap_or_default(),
            broker_name: ask.broker.to_owned(),
            cluster: ask.cluster.to_owned(),
        };
        let group = BrokerMemberGroupBody { broker_member_group: Some(group) };
        Ok(Reply::success().with_body(body::encode(&group)))
    }

    fn register_topic(&self, request: &Command<'_>) -> Answer {
        let RegisterTopic { topic } = RegisterTopic::decode(&request.fields)?;
        let route: TopicRouteData = body::decode(request.body)?;
        let offers = route.queue_datas.into_iter().map(|queues| {
            let offer = TopicOffer {
                read_queues: queues.read_queue_nums,
                write_queues: queues.write_queue_nums,
                perm: queues.perm,
                sys_flag: queues.topic_sys_flag,
                mapping: None,
            };
            (queues.broker_name.into(), offer)
        });
        self.namesrv.add_topic(&topic.into(), offers.collect());
        Ok(Reply::success())
    }

    fn cluster_info(&self) -> Reply {
        let mut info = ClusterInfo::default();
        for set in self.namesrv.broker_sets() {
            info.cluster_addr_table.entry(set.cluster.to_string()).or_default().insert(set.name.to_string());
            info.broker_addr_table.insert(set.name.to_string(), broker_data(&set));
        }
        Reply::success().with_body(body::encode(&info))
    }

    fn system_topics(&self) -> Reply {
        let names = self.namesrv.system_names();
        let list = TopicList {
            broker_addr: names.broker_addr.map(|addr| addr.to_string()),
            topic_list: names.names.iter().map(ToString::to_string).collect(),
        };
        Reply::success().with_body(body::encode(&list))
    }

    fn get_kv(&self, request: &Command<'_>) -> Answer {
        let GetKvConfig { namespace, key } = GetKvConfig::decode(&request.fields)?;
        match self.namesrv.pair(namespace, key) {
            Some(value) => Ok(Reply::success().with_fields(&GetKvConfigResponse { value: Some(&value) })),
            None => Err(Reply::error(
                ResponseCode::QueryNotFound,
                format!("No config item, Namespace: {namespace} Key: {key}"),
            )),
        }
    }

    fn kv_list(&self, request: &Command<'_>) -> Answer {
        let GetKvList { namespace } = GetKvList::decode(&request.fields)?;
        match self.namesrv.pairs(namespace) {
            Some(table) => Ok(Reply::success().with_body(body::encode(&KvTable { table }))),
            None => Err(Reply::error(
                ResponseCode::QueryNotFound,
                format!("No config item, Namespace: {namespace}"),
            )),
        }
    }

    fn change_config(&self, properties: &[u8]) -> Answer {
        let text = std::str::from_utf8(properties)
            .map_err(|_| Reply::error(ResponseCode::SystemError, "properties are not UTF-8"))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let changes: Vec<_> = lines
            .map(|line| line.split_once('=').map_or((line, ""), |(key, value)| (key.trim(), value.trim())))
            .collect();
        self.namesrv.change_config(changes)?;
        Ok(Reply::success())
    }

    fn config_text(&self) -> Reply {
        let config = self.namesrv.config();
        let line = |name: &str| format!("{name}={}\n", config.show(name).unwrap_or_default());
        let text: String = config.keys().iter().map(|key| line(key.name)).collect();
        Reply::success().with_body(text)
    }
}

fn identity(cluster: &str, name: &str, addr: &str, id: u64) -> Result<BrokerIdentity, Reply> {
    if [cluster, name, addr].iter().any(|text| text.trim().is_empty()) {
        let remark = "broker with a blank cluster, name or address";
        return Err(Reply::error(ResponseCode::InvalidParameter, remark));
    }
    Ok(BrokerIdentity { cluster: cluster.into(), name: name.into(), addr: addr.into(), id: BrokerId(id) })
}

fn route_data(route: &Route) -> TopicRouteData {
    let queue_data = |(broker, offer): &(Arc<str>, TopicOffer)| QueueData {
        broker_name: broker.to_string(),
        perm: offer.perm,
        read_queue_nums: offer.read_queues,
        topic_sys_flag: offer.sys_flag,
        write_queue_nums: offer.write_queues,
    };
    TopicRouteData {
        broker_datas: route.brokers.iter().map(|set| broker_data(set)).collect(),
        filter_server_table: route
            .filter_servers
            .iter()
            .map(|(addr, servers)| (addr.to_string(), servers.clone()))
            .collect(),
        order_topic_conf: route.order.clone(),
        queue_datas: route.offers.iter().map(queue_data).collect(),
        topic_queue_mapping_by_broker: queue_mappings(route),
    }
}

/// Clients name the queues of a topic differently as soon as this is there: it must not be for ordinary topics.
fn queue_mappings(route: &Route) -> Option<BTreeMap<String, serde_json::Value>> {
    let mappings: BTreeMap<_, _> = route
        .offers
        .iter()
        .filter_map(|(broker, offer)| {
            let mapping = serde_json::from_str(offer.mapping.as_deref()?).ok()?;
            Some((broker.to_string(), mapping))
        })
        .collect();
    (!mappings.is_empty()).then_some(mappings)
}

fn broker_data(set: &BrokerSet) -> BrokerData {
    BrokerData {
        broker_addrs: addrs(set),
        broker_name: set.name.to_string(),
        cluster: set.cluster.to_string(),
        enable_acting_master: set.acting_master,
        zone_name: set.zone.as_deref().map(str::to_owned),
    }
}

fn addrs(set: &BrokerSet) -> BTreeMap<u64, String> {
    set.addrs.iter().map(|(id, addr)| (id.0, addr.to_string())).collect()
}

fn topic_list(topics: Result<Vec<Arc<str>>, ListDisabled>) -> Answer {
    let topic_list = topics?.iter().map(ToString::to_string).collect();
    Ok(Reply::success().with_body(body::encode(&TopicList { broker_addr: None, topic_list })))
}

fn count(topics: usize) -> i32 {
    i32::try_from(topics).unwrap_or(i32::MAX)
}

impl From<RegisterError> for Reply {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::ChangeOfUnknown { .. } => {
                Self::error(ResponseCode::SystemError, format!("register broker failed: {error}"))
            }
        }
    }
}

impl From<ListDisabled> for Reply {
    fn from(disabled: ListDisabled) -> Self {
        Self::error(ResponseCode::SystemError, disabled.to_string())
    }
}

impl From<KvError> for Reply {
    fn from(error: KvError) -> Self {
        let code = match error {
            KvError::Full { .. } => ResponseCode::InvalidParameter,
            KvError::Write { .. } => ResponseCode::SystemError,
        };
        Self::error(code, error.to_string())
    }
}

impl From<ChangeError> for Reply {
    fn from(error: ChangeError) -> Self {
        let code = match error {
            ChangeError::Forbidden { .. } => ResponseCode::NoPermission,
            ChangeError::NotLive { .. } | ChangeError::Invalid { .. } => ResponseCode::InvalidParameter,
        };
        Self::error(code, error.to_string())
    }
}

#[cfg(test)]
mod tests;
