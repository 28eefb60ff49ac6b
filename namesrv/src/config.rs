//! The NameServer engine's settings.
//!
//! Names, defaults and units are RocketMQ's.

use std::path::PathBuf;

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
        "orderMessageEnable" => order_routes: bool = false, Restart;
        /// Whether brokers are told the order configuration when they register.
        "returnOrderTopicConfigToBroker" => order_to_brokers: bool = true, Restart;
        /// Whether the list of all topics is given out.
        "enableAllTopicList" => all_topic_list: bool = true, Restart;
        /// Whether other lists of topics are given out: by cluster, by unit, of the system.
        "enableTopicList" => topic_list: bool = true, Restart;
        /// Whether a topic that a broker no longer registers is removed from its routes.
        "deleteTopicWithBrokerRegistration" => delete_unregistered_topics: bool = false, Restart;
    }
}

fn default_kv_path() -> PathBuf {
    std::env::home_dir().unwrap_or_default().join("namesrv/kvConfig.json")
}
