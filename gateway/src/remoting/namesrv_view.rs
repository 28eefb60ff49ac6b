//! What NameServers tell whoever asks: the brokers that they know, their topics, and where those are.

use std::time::Duration;

use ferromq_model::config::Servers;
use ferromq_protocol::body::{self, ClusterInfo, TopicList, TopicRouteData};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::frame::EncodeFields;
use ferromq_protocol::header::GetRoute;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::namesrv_link::{Failure, Link};

/// How long one NameServer may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// The NameServers that are asked: the first that answers is believed.
#[derive(Clone, Debug)]
pub struct NamesrvView {
    servers: Vec<String>,
}

/// No NameServer answered.
#[derive(Debug, thiserror::Error)]
#[error("no NameServer answers: {last}")]
pub struct NoAnswer {
    /// What the last one said, or why it did not.
    last: String,
}

impl NamesrvView {
    /// What `servers` tell.
    #[must_use]
    pub fn new(servers: &Servers) -> Self {
        Self { servers: servers.addresses().to_vec() }
    }

    /// All brokers.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn brokers(&self) -> Result<ClusterInfo, NoAnswer> {
        self.ask(RequestCode::GetBrokerClusterInfo, &()).await.map(Option::unwrap_or_default)
    }

    /// The names of all topics.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn topics(&self) -> Result<Vec<String>, NoAnswer> {
        let list: Option<TopicList> = self.ask(RequestCode::GetAllTopicListFromNameServer, &()).await?;
        Ok(list.map_or_else(Vec::new, |list| list.topic_list))
    }

    /// Where a topic is; `None` if no broker has it.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn route(&self, topic: &str) -> Result<Option<TopicRouteData>, NoAnswer> {
        let header = GetRoute { topic, standard_json: true, zone: None, zone_only: false };
        self.ask(RequestCode::GetRouteInfoByTopic, &header).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        code: RequestCode,
        fields: &impl EncodeFields,
    ) -> Result<Option<T>, NoAnswer> {
        let mut last = "none is set (namesrvAddr)".to_owned();
        for server in &self.servers {
            let failure = match timeout(PATIENCE, ask_one(server, code, fields)).await {
                Ok(Ok(answer)) => return Ok(Some(answer)),
                Ok(Err(Failure::Refused { code, .. })) if code == ResponseCode::TopicNotExist.code() => {
                    return Ok(None);
                }
                Ok(Err(failure)) => failure,
                Err(_) => Failure::Timeout(PATIENCE),
            };
            last = format!("{server} {failure}");
        }
        Err(NoAnswer { last })
    }
}

async fn ask_one<T: DeserializeOwned>(
    server: &str,
    code: RequestCode,
    fields: &impl EncodeFields,
) -> Result<T, Failure> {
    let answer = Link::connect(server).await?.call(code, fields, &[]).await?;
    body::decode(&answer).map_err(|error| Failure::Nonsense(error.to_string()))
}
