//! Headers of requests to NameServers, and of their responses.

use ferromq_model::Millis;

use super::headers;

headers! {
    /// Asks which brokers have a topic.
    GetRoute<'a> [GetRouteInfoByTopic] {
        /// The topic.
        topic: &'a str = "topic",
        /// Whether the body has to be JSON that every parser reads.
        standard_json: bool = "acceptStandardJsonOnly" or false,
        /// The client's zone.
        zone: Option<&'a str> = "__ZONE_NAME",
        /// Whether only brokers of that zone are wanted.
        zone_only: bool = "__ZONE_MODE" or false,
    }

    /// A broker tells where it is; the body tells which topics it has.
    RegisterBroker<'a> [RegisterBroker] {
        /// The name that a master and its replicas share.
        broker: &'a str = "brokerName",
        /// The address for clients.
        addr: &'a str = "brokerAddr",
        /// The cluster.
        cluster: &'a str = "clusterName",
        /// The address for replicas.
        ha_addr: &'a str = "haServerAddr" or "",
        /// 0: the master.
        broker_id: u64 = "brokerId",
        /// How long the broker may be silent.
        timeout: Option<Millis> = "heartbeatTimeoutMillis",
        /// Whether a replica may stand in for a master; old brokers say nothing.
        acting_master: Option<bool> = "enableActingMaster",
        /// Whether the body is compressed.
        compressed: bool = "compressed" or false,
        /// CRC-32 of the body without its top bit; 0 when there is none.
        body_crc: u32 = "bodyCrc32" or 0,
        /// The broker's zone.
        zone: Option<&'a str> = "__ZONE_NAME",
    }

    /// What a broker learns by registering.
    RegisterBrokerResponse<'a> [] {
        /// For a replica: the master's address for replicas.
        ha_addr: Option<&'a str> = "haServerAddr",
        /// For a replica: the master's address.
        master_addr: Option<&'a str> = "masterAddr",
    }

    /// A broker leaves.
    UnregisterBroker<'a> [UnregisterBroker] {
        /// The name that a master and its replicas share.
        broker: &'a str = "brokerName",
        /// The address for clients.
        addr: &'a str = "brokerAddr",
        /// The cluster.
        cluster: &'a str = "clusterName",
        /// 0: the master.
        broker_id: u64 = "brokerId",
    }

    /// A broker says that it is still there.
    BrokerHeartbeat<'a> [BrokerHeartbeat] {
        /// The cluster.
        cluster: &'a str = "clusterName",
        /// The address for clients.
        addr: &'a str = "brokerAddr",
        /// The name that a master and its replicas share.
        broker: &'a str = "brokerName",
        /// 0: the master.
        broker_id: Option<u64> = "brokerId",
        /// The master's epoch.
        epoch: Option<i32> = "epoch",
        /// Where its log ends.
        max_offset: Option<i64> = "maxOffset",
        /// How far its log is safe.
        confirm_offset: Option<i64> = "confirmOffset",
        /// How long the broker may be silent. The name is spelled like this.
        timeout: Option<Millis> = "heartbeatTimeoutMills",
        /// Who should be elected first: the lowest.
        election_priority: Option<i32> = "electionPriority",
    }

    /// Asks whether a broker's topics differ from what is registered; the body is their version.
    QueryDataVersion<'a> [QueryDataVersion] {
        /// The name that a master and its replicas share.
        broker: &'a str = "brokerName",
        /// The address for clients.
        addr: &'a str = "brokerAddr",
        /// The cluster.
        cluster: &'a str = "clusterName",
        /// 0: the master.
        broker_id: u64 = "brokerId",
    }

    /// Whether the topics differ; the body is the version that is registered.
    QueryDataVersionResponse [] {
        /// True as well when nothing is registered.
        changed: bool = "changed",
    }

    /// Reads the addresses of one broker's replicas.
    GetBrokerMemberGroup<'a> [GetBrokerMemberGroup] {
        /// The cluster.
        cluster: &'a str = "clusterName",
        /// The name that a master and its replicas share.
        broker: &'a str = "brokerName",
    }

    /// Stores one value.
    PutKvConfig<'a> [PutKvConfig] {
        /// The namespace.
        namespace: &'a str = "namespace",
        /// The key.
        key: &'a str = "key",
        /// The value.
        value: &'a str = "value",
    }

    /// Reads one value.
    GetKvConfig<'a> [GetKvConfig] {
        /// The namespace.
        namespace: &'a str = "namespace",
        /// The key.
        key: &'a str = "key",
    }

    /// The value read.
    GetKvConfigResponse<'a> [] {
        /// The value.
        value: Option<&'a str> = "value",
    }

    /// Removes one value.
    DeleteKvConfig<'a> [DeleteKvConfig] {
        /// The namespace.
        namespace: &'a str = "namespace",
        /// The key.
        key: &'a str = "key",
    }

    /// Reads all values of a namespace.
    GetKvList<'a> [GetKvListByNamespace] {
        /// The namespace.
        namespace: &'a str = "namespace",
    }

    /// Takes a broker out of all routes for producers, or brings it back.
    ChangeWritePerm<'a> [WipeWritePermOfBroker, AddWritePermOfBroker] {
        /// The broker.
        broker: &'a str = "brokerName",
    }

    /// How many topics changed.
    WipeWritePermResponse [] {
        /// Topics.
        topics: i32 = "wipeTopicCount",
    }

    /// How many topics changed.
    AddWritePermResponse [] {
        /// Topics.
        topics: i32 = "addTopicCount",
    }

    /// Removes a topic from the routes.
    DeleteTopicRoute<'a> [DeleteTopicInNamesrv] {
        /// The topic.
        topic: &'a str = "topic",
        /// Only on this cluster's brokers.
        cluster: Option<&'a str> = "clusterName",
    }

    /// Adds a topic to the routes of known brokers; the body is a route, of which the queues count.
    RegisterTopic<'a> [RegisterTopicInNamesrv] {
        /// The topic.
        topic: &'a str = "topic",
    }

    /// Reads the topics of one cluster.
    GetTopicsByCluster<'a> [GetTopicsByCluster] {
        /// The cluster.
        cluster: &'a str = "cluster",
    }
}
