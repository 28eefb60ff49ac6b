//! The NameServer engine's settings.
//!
//! Names, defaults and units are RocketMQ's.

use std::path::PathBuf;

use ferromq_model::config::Secs;
use ferromq_model::{Millis, config_keys};

config_keys! {
    /// The NameServer: what it tells, and when a broker that falls silent is forgotten.
    pub struct NamesrvConfig {
        /// How often brokers are looked at for having been silent too long.
        "scanNotActiveBrokerInterval" => scan_interval: Millis = Millis::secs(5), Restart,
            in Millis(100)..=Millis::mins(10);
        /// The file that holds the key-value pairs set by admin tools. `ferromq standalone` uses
        /// `namesrv/kvConfig.json` in the store's directory when nothing is set.
        "kvConfigPath" => kv_path: PathBuf = default_kv_path() => "$HOME/namesrv/kvConfig.json", Restart;
        /// Whether routes carry the order configuration of ordered topics.
        "orderMessageEnable" => order_routes: bool = false, Live;
        /// Whether brokers are told the order configuration when they register.
        "returnOrderTopicConfigToBroker" => order_to_brokers: bool = true, Live;
        /// Whether the list of all topics is given out.
        "enableAllTopicList" => all_topic_list: bool = true, Live;
        /// Whether other lists of topics are given out: by cluster and by unit.
        "enableTopicList" => topic_list: bool = true, Live;
        /// Whether a topic that a broker no longer registers is removed from its routes.
        "deleteTopicWithBrokerRegistration" => delete_unregistered_topics: bool = false, Live;
        /// Whether the lowest-numbered slave of a broker set without a master is published in its place, to be read from.
        /// The brokers of the set have to ask for it as well (`enableSlaveActingMaster`).
        "supportActingMaster" => acting_master: bool = false, Live;
        /// Whether no routes are given out for the first `waitSecondsForService` after a start, while brokers still
        /// register: a client then keeps the route it has rather than taking a partial one.
        "needWaitForService" => wait_for_service: bool = false, Restart;
        /// For how long routes are held back after a start when `needWaitForService` is set.
        "waitSecondsForService" => wait_span: Secs = Secs(45), Restart, in Secs(0)..=Secs(3_600);
    }
}

fn default_kv_path() -> PathBuf {
    std::env::home_dir().unwrap_or_default().join("namesrv/kvConfig.json")
}
