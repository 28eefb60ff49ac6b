//! NameServers: their settings, their key-value table, and which brokers producers are sent to.
//!
//! NameServers do not talk to each other: what is changed is changed on each.

use std::collections::BTreeMap;

use bytes::Bytes;
use ferromq_protocol::body::KvTable;
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::header::{
    AddWritePermResponse, ChangeWritePerm, DeleteKvConfig, GetKvConfig, GetKvConfigResponse, GetKvList,
    Header as _, PutKvConfig, WipeWritePermResponse,
};

use super::clusters::settings_text;
use super::{Admin, AdminError, BrokerNode, Gathered, ORDER_NAMESPACE, PerBroker, fields, header, unless};

impl Admin {
    /// How each NameServer is set: by key. Its address stands for its name.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn name_server_settings(
        &self,
    ) -> Result<Gathered<Vec<PerBroker<BTreeMap<String, String>>>>, AdminError> {
        let nodes = self.name_server_nodes();
        self.each(nodes, |node| async move { self.settings_of(&node, RequestCode::GetNamesrvConfig).await })
            .await
    }

    /// Changes settings of running NameServers. Returns who has changed them.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn change_name_server_settings(
        &self,
        changes: &[(String, String)],
    ) -> Result<Gathered<Vec<BrokerNode>>, AdminError> {
        let body = settings_text(changes);
        self.each_does(self.name_server_nodes(), RequestCode::UpdateNamesrvConfig, &(), &body).await
    }

    /// Stores a value of the key-value table.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn put_value(
        &self,
        namespace: &str,
        key: &str,
        value: &str,
    ) -> Result<Gathered<Vec<BrokerNode>>, AdminError> {
        let header = PutKvConfig { namespace, key, value };
        self.each_does(self.name_server_nodes(), RequestCode::PutKvConfig, &header, &Bytes::new()).await
    }

    /// Removes a value of the key-value table.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn delete_value(
        &self,
        namespace: &str,
        key: &str,
    ) -> Result<Gathered<Vec<BrokerNode>>, AdminError> {
        let header = DeleteKvConfig { namespace, key };
        self.each_does(self.name_server_nodes(), RequestCode::DeleteKvConfig, &header, &Bytes::new()).await
    }

    /// Reads a value of the key-value table, of the first NameServer that answers.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn value(&self, namespace: &str, key: &str) -> Result<Option<String>, AdminError> {
        let header = GetKvConfig { namespace, key };
        let asked = self.client.inner.ask_name_servers(RequestCode::GetKvConfig, &header).await;
        let Some((frame, addr)) = unless(asked, &[ResponseCode::QueryNotFound])? else { return Ok(None) };
        let read = fields(&addr, &frame, |fields| {
            GetKvConfigResponse::decode(fields).map(|header| header.value.map(str::to_owned))
        });
        Ok(read?)
    }

    /// Reads a namespace of the key-value table, of the first NameServer that answers.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn values(&self, namespace: &str) -> Result<BTreeMap<String, String>, AdminError> {
        let header = GetKvList { namespace };
        let asked = self.client.inner.ask_name_servers(RequestCode::GetKvListByNamespace, &header).await;
        let Some((frame, addr)) = unless(asked, &[ResponseCode::QueryNotFound])? else {
            return Ok(BTreeMap::new());
        };
        let table: KvTable = super::decode(&addr, &frame)?;
        Ok(table.table)
    }

    /// How many queues an ordered topic has on each broker: `broker-a:4;broker-b:4`.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn order_of(&self, topic: &str) -> Result<Option<String>, AdminError> {
        self.value(ORDER_NAMESPACE, topic).await
    }

    /// Sets it; none removes it.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn set_order_of(
        &self,
        topic: &str,
        order: Option<&str>,
    ) -> Result<Gathered<Vec<BrokerNode>>, AdminError> {
        match order {
            Some(order) => self.put_value(ORDER_NAMESPACE, topic, order).await,
            None => self.delete_value(ORDER_NAMESPACE, topic).await,
        }
    }

    /// Keeps producers away from a broker, or lets them come again: before it is stopped, and behind its start. Returns
    /// how many of its topics each NameServer has changed.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn allow_writes(
        &self,
        broker: &str,
        allow: bool,
    ) -> Result<Gathered<Vec<PerBroker<u32>>>, AdminError> {
        let asked = &ChangeWritePerm { broker };
        self.each(self.name_server_nodes(), |node| async move {
            let count = if allow {
                let frame =
                    self.call(&node.addr, RequestCode::AddWritePermOfBroker, asked, Bytes::new()).await?;
                header::<AddWritePermResponse>(&node.addr, &frame)?.topics
            } else {
                let frame =
                    self.call(&node.addr, RequestCode::WipeWritePermOfBroker, asked, Bytes::new()).await?;
                header::<WipeWritePermResponse>(&node.addr, &frame)?.topics
            };
            Ok(u32::try_from(count).unwrap_or(0))
        })
        .await
    }
}
