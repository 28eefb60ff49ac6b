//! Who is connected: members of groups, as brokers see them.

use std::collections::BTreeMap;

use ferromq_model::GroupName;
use ferromq_model::Timestamp;
use ferromq_model::subscription::{ConsumeFromWhere, ConsumeType, MessageModel};
use ferromq_protocol::body::stats::{ConsumerConnection, ProducerConnection, ProducerTable};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::header::admin::{GetConsumerConnections, GetProducerConnections};
use serde::Serialize;

use super::topics::present;
use super::{Admin, AdminError, Gathered, Scope, unless};

/// A client that is connected.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Connected {
    /// Its id.
    pub client_id: String,
    /// Where it is.
    pub addr: String,
    /// Its language, as in `JAVA`.
    pub language: String,
    /// Its version, as RocketMQ's ordinal.
    pub version: i32,
    /// When it was last heard, for producers of all groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heard: Option<Timestamp>,
}

/// A consumer group that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerGroup {
    /// The group.
    pub group: GroupName,
    /// Its members, each once however many brokers it is connected to.
    pub members: Vec<Connected>,
    /// How they fetch.
    pub consume_type: ConsumeType,
    /// How they share messages.
    pub message_model: MessageModel,
    /// Where the group starts on a queue without a position.
    pub consume_from_where: ConsumeFromWhere,
    /// What they want, by topic.
    pub subscriptions: BTreeMap<String, Subscribed>,
}

/// What a group wants of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscribed {
    /// The expression.
    pub expression: String,
    /// `TAG` or `SQL92`.
    pub kind: String,
}

impl From<ferromq_protocol::body::SubscriptionData> for Subscribed {
    fn from(data: ferromq_protocol::body::SubscriptionData) -> Self {
        let or = |text: String, default: &str| if text.is_empty() { default.to_owned() } else { text };
        Self {
            expression: or(data.sub_string, "*"),
            kind: or(data.expression_type.unwrap_or_default(), "TAG"),
        }
    }
}

impl From<ferromq_protocol::body::stats::Connection> for Connected {
    fn from(connection: ferromq_protocol::body::stats::Connection) -> Self {
        Self {
            client_id: connection.client_id,
            addr: connection.client_addr,
            language: connection.language,
            version: connection.version,
            heard: None,
        }
    }
}

impl Admin {
    /// The members of a consumer group and what they want; none if nobody is there.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn consumers(
        &self,
        group: &str,
        scope: &Scope,
    ) -> Result<Gathered<Option<ConsumerGroup>>, AdminError> {
        let group = GroupName::new(group)?;
        let header = &GetConsumerConnections { group: group.as_str() };
        let masters = self.masters(scope).await?;
        let said = self
            .each(masters, |node| async move {
                let code = RequestCode::GetConsumerConnectionList;
                let asked = self.read::<ConsumerConnection>(&node.addr, code, header).await;
                unless(asked, &[ResponseCode::ConsumerNotOnline])
            })
            .await?;
        Ok(said.map(present).map(|said| {
            let mut whole: Option<ConsumerGroup> = None;
            for of in said {
                let said = of.value;
                let whole = whole.get_or_insert_with(|| ConsumerGroup {
                    group: group.clone(),
                    members: Vec::new(),
                    consume_type: said.consume_type,
                    message_model: said.message_model,
                    consume_from_where: said.consume_from_where,
                    subscriptions: BTreeMap::new(),
                });
                whole.members.extend(said.connection_set.into_iter().map(Connected::from));
                let wanted = said.subscription_table.into_iter();
                whole.subscriptions.extend(wanted.map(|(topic, data)| (topic, data.into())));
            }
            if let Some(whole) = &mut whole {
                once_each(&mut whole.members);
            }
            whole
        }))
    }

    /// The members of a producer group.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn producers(
        &self,
        group: &str,
        scope: &Scope,
    ) -> Result<Gathered<Vec<Connected>>, AdminError> {
        let group = GroupName::new(group)?;
        let header = &GetProducerConnections { group: group.as_str() };
        let masters = self.masters(scope).await?;
        let said = self
            .each(masters, |node| async move {
                let code = RequestCode::GetProducerConnectionList;
                let asked = self.read::<ProducerConnection>(&node.addr, code, header).await;
                // There is no code of its own for a group without members.
                unless(asked, &[ResponseCode::SystemError])
            })
            .await?;
        Ok(said.map(present).map(|said| {
            let mut members: Vec<_> =
                said.into_iter().flat_map(|of| of.value.connection_set).map(Connected::from).collect();
            once_each(&mut members);
            members
        }))
    }

    /// All producers of a scope, by group.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn all_producers(
        &self,
        scope: &Scope,
    ) -> Result<Gathered<BTreeMap<String, Vec<Connected>>>, AdminError> {
        let masters = self.masters(scope).await?;
        let said = self.each_says::<ProducerTable>(masters, RequestCode::GetAllProducerInfo, &()).await?;
        Ok(said.map(|said| {
            let mut groups: BTreeMap<String, Vec<Connected>> = BTreeMap::new();
            for (group, members) in said.into_iter().flat_map(|of| of.value.data) {
                groups.entry(group).or_default().extend(members.into_iter().map(|member| Connected {
                    client_id: member.client_id,
                    addr: member.remote_ip.trim_start_matches('/').to_owned(),
                    language: member.language,
                    version: member.version,
                    heard: Some(member.last_update_timestamp),
                }));
            }
            groups.values_mut().for_each(once_each);
            groups
        }))
    }
}

/// A client has a connection to each broker.
fn once_each(members: &mut Vec<Connected>) {
    members.sort();
    members.dedup_by(|a, b| a.client_id == b.client_id);
}
