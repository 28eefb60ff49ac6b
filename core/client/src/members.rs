//! The groups that a client is a member of: what brokers are told of them, and who handles what brokers ask of them.
//!
//! Always true:
//! * a client is a member of each consumer group once, and of each producer group once: brokers could not tell two apart;
//! * requests of brokers wait in a bounded queue of the group that they are for; a group that does not keep up refuses
//!   them, and holds nobody else up.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use ferromq_model::GroupName;
use ferromq_model::message::{find_property, property};
use ferromq_model::record::Record;
use ferromq_protocol::body::{self, ConsumerData, HeartbeatData, ProducerData};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::frame::HeaderScratch;
use ferromq_protocol::header::UnregisterClient;
use futures_util::future::join_all;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{mpsc, oneshot};

use crate::client::Inner;
use crate::wire::Request;

/// Requests of brokers that may wait for one group.
const MAX_REQUESTS: usize = 256;

/// A client cannot be in a group twice.
#[derive(Clone, Debug, thiserror::Error)]
#[error("this client has a {side} of group {group} already: use it, or another client")]
pub struct AlreadyMember {
    /// The group.
    pub group: GroupName,
    /// "producer" or "consumer".
    pub side: &'static str,
}

/// The groups.
#[derive(Default)]
pub(crate) struct Members {
    producers: RwLock<HashMap<GroupName, mpsc::Sender<Request>>>,
    consumers: RwLock<HashMap<GroupName, Consumer>>,
    /// Who waits for the reply to a question, by its correlation id.
    questions: Mutex<HashMap<Box<str>, oneshot::Sender<Request>>>,
}

struct Consumer {
    data: Arc<Mutex<ConsumerData>>,
    requests: mpsc::Sender<Request>,
}

/// A client's place in a group; dropping it takes the group out of heartbeats.
pub(crate) struct Membership {
    inner: Arc<Inner>,
    group: GroupName,
    /// What heartbeats say; none for a producer.
    data: Option<Arc<Mutex<ConsumerData>>>,
}

impl Membership {
    /// Leaves the group, and tells every broker, so that the others take over at once.
    pub(crate) async fn leave(self) {
        let inner = Arc::clone(&self.inner);
        let group = self.group.clone();
        let consumes = self.data.is_some();
        drop(self);
        let header = UnregisterClient {
            client_id: inner.id(),
            producer_group: (!consumes).then(|| group.as_str()),
            consumer_group: consumes.then(|| group.as_str()),
        };
        let inner = &inner;
        let header = &header;
        let leaving = inner.routes.brokers().into_iter().map(|(_, _, addr)| async move {
            let link = inner.link(&addr);
            if let Err(error) = inner.call(&link, RequestCode::UnregisterClient, header, &Bytes::new()).await
            {
                tracing::debug!(%error, "a broker could not be told: it notices by itself");
            }
        });
        join_all(leaving).await;
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let members = &self.inner.members;
        if self.data.is_some() {
            members.consumers.write().remove(&self.group);
        } else {
            members.producers.write().remove(&self.group);
        }
    }
}

impl Inner {
    /// Joins a producer group; brokers hear of it with the next heartbeat. Returns where requests of brokers come.
    pub(crate) fn join_producers(
        self: &Arc<Self>,
        group: &GroupName,
    ) -> Result<(Membership, mpsc::Receiver<Request>), AlreadyMember> {
        let (sender, requests) = mpsc::channel(MAX_REQUESTS);
        let mut producers = self.members.producers.write();
        if producers.contains_key(group) {
            return Err(AlreadyMember { group: group.clone(), side: "producer" });
        }
        producers.insert(group.clone(), sender);
        Ok((Membership { inner: Arc::clone(self), group: group.clone(), data: None }, requests))
    }

    /// Joins a consumer group, as [`Inner::join_producers`].
    pub(crate) fn join_consumers(
        self: &Arc<Self>,
        group: &GroupName,
        data: ConsumerData,
    ) -> Result<(Membership, mpsc::Receiver<Request>), AlreadyMember> {
        let (sender, requests) = mpsc::channel(MAX_REQUESTS);
        let mut consumers = self.members.consumers.write();
        if consumers.contains_key(group) {
            return Err(AlreadyMember { group: group.clone(), side: "consumer" });
        }
        let data = Arc::new(Mutex::new(data));
        consumers.insert(group.clone(), Consumer { data: Arc::clone(&data), requests: sender });
        Ok((Membership { inner: Arc::clone(self), group: group.clone(), data: Some(data) }, requests))
    }

    /// Tells every broker of every known route which groups this client is in. Returns how many brokers heard it.
    pub(crate) async fn heartbeat(self: &Arc<Self>) -> usize {
        let Some((body, consumes)) = self.members.heartbeat(self.id()) else { return 0 };
        let brokers = self.routes.brokers();
        // Producers have no business with replicas.
        let told: HashSet<Arc<str>> =
            brokers.into_iter().filter(|(_, id, _)| consumes || *id == 0).map(|(_, _, addr)| addr).collect();
        let body = &body;
        let beats = told.iter().map(|addr| async move {
            let link = self.link(addr);
            let told = self.call(&link, RequestCode::HeartBeat, &(), body).await;
            if let Err(error) = &told {
                tracing::debug!(%error, "no heartbeat");
            }
            told.is_ok()
        });
        join_all(beats).await.into_iter().filter(|heard| *heard).count()
    }
}

impl Members {
    /// The body of a heartbeat, and whether this client consumes; `None` while it is in no group.
    fn heartbeat(&self, id: &str) -> Option<(Bytes, bool)> {
        let group_names = self.producers.read().keys().map(GroupName::to_string).collect::<Vec<_>>();
        let consumers: Vec<_> =
            self.consumers.read().values().map(|consumer| consumer.data.lock().clone()).collect();
        if group_names.is_empty() && consumers.is_empty() {
            return None;
        }
        let consumes = !consumers.is_empty();
        let data = HeartbeatData {
            client_id: id.to_owned(),
            consumer_data_set: consumers,
            producer_data_set: group_names
                .into_iter()
                .map(|group_name| ProducerData { group_name })
                .collect(),
            ..HeartbeatData::default()
        };
        Some((body::encode(&data).into(), consumes))
    }

    /// Notes that somebody waits for the reply to a question; [`Members::forget_question`] has to follow.
    pub(crate) fn await_reply(&self, correlation_id: &str) -> oneshot::Receiver<Request> {
        let (sender, reply) = oneshot::channel();
        self.questions.lock().insert(correlation_id.into(), sender);
        reply
    }

    /// Nobody waits for it any more.
    pub(crate) fn forget_question(&self, correlation_id: &str) {
        self.questions.lock().remove(correlation_id);
    }

    /// Hands a broker's request to the group that it is for.
    pub(crate) fn hand_on(&self, request: Request) {
        let target = {
            let mut scratch = HeaderScratch::new();
            let Ok(command) = request.frame().command(&mut scratch) else { return };
            match command.request_code() {
                Some(RequestCode::CheckTransactionState) => {
                    let group = Record::decode(command.body)
                        .ok()
                        .and_then(|half| find_property(half.properties, property::PRODUCER_GROUP));
                    group.and_then(|group| self.producers.read().get(group).cloned())
                }
                Some(RequestCode::PushReplyMessageToClient) => {
                    // It says which client asked, not which producer: any of them may.
                    let properties = command.fields.find("properties").unwrap_or_default();
                    let question = find_property(properties, property::CORRELATION_ID).unwrap_or_default();
                    let asked = self.questions.lock().remove(question);
                    match asked {
                        // Whoever gave up waiting has gone.
                        Some(asked) => drop(asked.send(request)),
                        None => request.answer(ResponseCode::Success, None, &Bytes::new()),
                    }
                    return;
                }
                Some(
                    RequestCode::NotifyConsumerIdsChanged
                    | RequestCode::ResetConsumerClientOffset
                    | RequestCode::GetConsumerStatusFromClient
                    | RequestCode::GetConsumerRunningInfo
                    | RequestCode::ConsumeMessageDirectly,
                ) => {
                    let fields = &command.fields;
                    let group = fields.find("consumerGroup").or_else(|| fields.find("group"));
                    let consumers = self.consumers.read();
                    group.and_then(|group| consumers.get(group)).map(|consumer| consumer.requests.clone())
                }
                _ => {
                    request.answer(
                        ResponseCode::RequestCodeNotSupported,
                        Some("no request that a client handles"),
                        &Bytes::new(),
                    );
                    return;
                }
            }
        };
        match target {
            Some(target) => {
                if let Err(refused) = target.try_send(request) {
                    let request = refused.into_inner();
                    request.answer(ResponseCode::SystemBusy, Some("the group is busy"), &Bytes::new());
                }
            }
            None => request.answer(
                ResponseCode::SystemError,
                Some("this client is no member of the group"),
                &Bytes::new(),
            ),
        }
    }
}
