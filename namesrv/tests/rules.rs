//! The rules that brokers, clients and tools of RocketMQ rely on, each as a sentence.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ferromq_model::topic::{DataVersion, Permission};
use ferromq_model::{Millis, Timestamp};
use ferromq_namesrv::{
    BrokerId, BrokerIdentity, ChangeError, ChannelId, KnownVersion, ListDisabled, MasterAddrs, NameServer,
    NamesrvConfig, ORDER_NAMESPACE, RegisterError, Registered, Registration, Route, RouteError, TopicOffer,
    UnitTopics,
};

const READ_WRITE: u32 = 6;
const READ: u32 = 4;

/// A NameServer with a clock of its own.
struct Fixture {
    namesrv: NameServer,
    now: Instant,
    _dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut NamesrvConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config =
            NamesrvConfig { kv_path: dir.path().join("kvConfig.json"), ..NamesrvConfig::default() };
        change(&mut config);
        let now = Instant::now();
        Self { namesrv: NameServer::open(config, now).unwrap(), now, _dir: dir }
    }

    fn advance(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn register(&self, registration: Registration) -> Result<Registered, RegisterError> {
        self.namesrv.register(registration, self.now)
    }

    /// Registers where that has to work.
    fn listed(&self, registration: Registration) -> Option<MasterAddrs> {
        match self.register(registration) {
            Ok(Registered::Listed { master }) => master,
            other => panic!("{other:?}"),
        }
    }

    fn route(&self, topic: &str) -> Result<Route, RouteError> {
        self.namesrv.route(topic, None, self.now)
    }

    /// `id=addr` of the topic's brokers, set by set.
    fn addrs(&self, topic: &str) -> String {
        let route = self.route(topic).unwrap();
        let set = |set: &Arc<ferromq_namesrv::BrokerSet>| {
            let members: Vec<_> = set.addrs.iter().map(|(id, addr)| format!("{id}={addr}")).collect();
            format!("{}:{}", set.name, members.join(","))
        };
        route.brokers.iter().map(set).collect::<Vec<_>>().join(" ")
    }

    fn perm(&self, topic: &str, broker: &str) -> u32 {
        let route = self.route(topic).unwrap();
        route.offers.iter().find(|(name, _)| &**name == broker).unwrap().1.perm.0
    }

    fn evicted(&self) -> Vec<String> {
        self.namesrv.scan(self.now).into_iter().map(|gone| gone.broker.addr.to_string()).collect()
    }
}

fn offer(queues: u32, perm: u32) -> TopicOffer {
    TopicOffer {
        read_queues: queues,
        write_queues: queues,
        perm: Permission(perm),
        sys_flag: 0,
        mapping: None,
    }
}

fn version(counter: i64) -> DataVersion {
    DataVersion { counter, state_version: 0, timestamp: Timestamp(1) }
}

/// Broker `name` with number `id` at `addr`, with the topics `A` and `B`, by the channel 1.
fn broker(name: &str, id: u64, addr: &str) -> Registration {
    Registration {
        broker: BrokerIdentity {
            cluster: "C".into(),
            name: name.into(),
            addr: addr.into(),
            id: BrokerId(id),
        },
        ha_addr: format!("{addr}-ha").into(),
        channel: ChannelId(1),
        silence: None,
        acting_master: None,
        zone: None,
        version: version(1),
        topics: vec![("A".into(), offer(4, READ_WRITE)), ("B".into(), offer(4, READ_WRITE))],
        filter_servers: Vec::new(),
    }
}

#[test]
fn a_registered_topic_has_a_route_and_another_has_none() {
    let f = Fixture::new();
    f.listed(broker("a", 0, "h1:1"));
    f.listed(broker("b", 0, "h2:1"));
    let route = f.route("A").unwrap();
    assert_eq!(f.addrs("A"), "a:0=h1:1 b:0=h2:1");
    assert_eq!(route.offers, [("a".into(), offer(4, READ_WRITE)), ("b".into(), offer(4, READ_WRITE))]);
    assert_eq!((route.order, route.filter_servers), (None, vec![]));
    assert_eq!(f.route("X"), Err(RouteError::UnknownTopic));
}

#[test]
fn a_slave_is_told_its_master_and_a_master_nobody() {
    let f = Fixture::new();
    assert_eq!(f.listed(broker("a", 1, "h2:1")), None);
    assert_eq!(f.listed(broker("a", 0, "h1:1")), None);
    let master = MasterAddrs { addr: "h1:1".into(), ha_addr: "h1:1-ha".into() };
    assert_eq!(f.listed(broker("a", 1, "h2:1")), Some(master));
    assert_eq!(f.addrs("A"), "a:0=h1:1,1=h2:1");
}

#[test]
fn topics_of_a_slave_do_not_count() {
    let f = Fixture::new();
    f.listed(broker("a", 1, "h2:1"));
    assert_eq!(f.route("A"), Err(RouteError::UnknownTopic));
}

#[test]
fn topics_of_the_lowest_slave_count_if_it_knows_about_acting_masters() {
    let f = Fixture::new();
    f.listed(Registration { acting_master: Some(false), ..broker("a", 1, "h2:1") });
    assert_eq!(f.perm("A", "a"), READ_WRITE);
    let topics = vec![("A".into(), offer(4, READ_WRITE)), ("Z".into(), offer(4, READ_WRITE))];
    f.listed(Registration { acting_master: Some(false), topics, ..broker("a", 2, "h3:1") });
    assert_eq!(f.route("Z"), Err(RouteError::UnknownTopic), "2 is not the lowest");
}

#[test]
fn an_acting_master_takes_no_messages() {
    let f = Fixture::new();
    f.listed(Registration { acting_master: Some(true), ..broker("a", 1, "h2:1") });
    assert_eq!(f.perm("A", "a"), READ);
}

#[test]
fn a_set_that_loses_its_master_is_wiped_only_where_it_wants_an_acting_master() {
    for (acting_master, perm) in [(Some(true), READ), (Some(false), READ_WRITE), (None, READ_WRITE)] {
        let f = Fixture::new();
        f.listed(Registration { acting_master, ..broker("a", 0, "h1:1") });
        f.listed(Registration { acting_master, channel: ChannelId(2), ..broker("a", 1, "h2:1") });
        f.namesrv.channel_closed(ChannelId(1));
        assert_eq!((f.addrs("A"), f.perm("A", "a")), ("a:1=h2:1".into(), perm), "{acting_master:?}");
    }
}

#[test]
fn the_lowest_slave_is_published_as_master_only_where_both_sides_want_it() {
    let slaves = |f: &Fixture, acting_master| {
        f.listed(Registration { acting_master, ..broker("a", 0, "h1:1") });
        f.listed(Registration { acting_master, channel: ChannelId(2), ..broker("a", 2, "h3:1") });
        f.listed(Registration { acting_master, channel: ChannelId(2), ..broker("a", 3, "h4:1") });
        f.namesrv.channel_closed(ChannelId(1));
        f.addrs("A")
    };
    let supporting = || Fixture::with(|config| config.acting_master = true);
    assert_eq!(slaves(&supporting(), Some(true)), "a:0=h3:1,3=h4:1");
    assert_eq!(slaves(&supporting(), Some(false)), "a:2=h3:1,3=h4:1");
    assert_eq!(slaves(&Fixture::new(), Some(true)), "a:2=h3:1,3=h4:1");

    let f = supporting();
    let members: Arc<str> = "rmq_sys_SYNC_BROKER_MEMBER_a".into();
    let topics = vec![(members.clone(), offer(1, READ)), ("A".into(), offer(1, READ))];
    f.listed(Registration { acting_master: Some(true), topics, ..broker("a", 2, "h3:1") });
    assert_eq!((f.addrs(&members), f.addrs("A")), ("a:2=h3:1".into(), "a:0=h3:1".into()));
}

#[test]
fn a_slave_that_becomes_the_master_leaves_its_old_number() {
    let f = Fixture::new();
    f.listed(broker("a", 0, "h1:1"));
    f.listed(Registration { channel: ChannelId(2), ..broker("a", 1, "h2:1") });
    f.namesrv.channel_closed(ChannelId(1));
    f.listed(Registration { channel: ChannelId(2), ..broker("a", 0, "h2:1") });
    assert_eq!(f.addrs("A"), "a:0=h2:1");
}

#[test]
fn a_broker_that_comes_back_under_another_name_leaves_the_old_one() {
    let f = Fixture::new();
    f.listed(broker("a", 0, "h1:1"));
    f.listed(broker("b", 0, "h1:1"));
    assert_eq!(f.addrs("A"), "b:0=h1:1");
}

#[test]
fn a_newer_epoch_keeps_its_number_and_an_older_or_equal_one_gives_it_up() {
    let of_epoch = |addr: &str, state_version, channel| Registration {
        version: DataVersion { state_version, ..version(1) },
        channel: ChannelId(channel),
        ..broker("a", 0, addr)
    };
    let f = Fixture::new();
    f.listed(of_epoch("old:1", 7, 1));
    assert_eq!(f.register(of_epoch("new:1", 6, 2)), Ok(Registered::Superseded { by: "old:1".into() }));
    assert_eq!(f.addrs("A"), "a:0=old:1");
    f.listed(of_epoch("new:1", 7, 2));
    assert_eq!(f.addrs("A"), "a:0=new:1");
    f.namesrv.channel_closed(ChannelId(1));
    assert_eq!(f.addrs("A"), "a:0=new:1", "the one that lost its number has nothing to take with it");
}

#[test]
fn one_topic_of_an_unknown_broker_is_refused_and_of_a_known_one_is_added() {
    let f = Fixture::new();
    let one = || Registration {
        topics: vec![("N".into(), offer(2, READ_WRITE))],
        version: version(2),
        ..broker("a", 0, "h1:1")
    };
    assert!(matches!(f.register(one()), Err(RegisterError::ChangeOfUnknown { .. })));
    assert!(f.namesrv.broker_sets().is_empty(), "a refusal leaves no empty set behind");
    f.listed(broker("a", 0, "h1:1"));
    f.listed(one());
    assert_eq!((f.addrs("N"), f.addrs("A")), ("a:0=h1:1".into(), "a:0=h1:1".into()));
}

#[test]
fn known_topics_are_rewritten_only_with_a_new_version() {
    let f = Fixture::new();
    f.listed(broker("a", 0, "h1:1"));
    let changed = |counter, third: &str| Registration {
        topics: vec![("A".into(), offer(16, READ_WRITE)), (third.into(), offer(16, READ_WRITE))],
        version: version(counter),
        ..broker("a", 0, "h1:1")
    };
    let queues = |topic| f.route(topic).unwrap().offers[0].1.read_queues;
    f.listed(changed(1, "N"));
    assert_eq!((queues("A"), queues("N")), (4, 16), "what was not known yet is taken in any case");
    f.listed(changed(2, "N"));
    assert_eq!(queues("A"), 16);
}

#[test]
fn missing_topics_are_forgotten_only_as_configured_and_never_for_a_single_change() {
    let others = |counter| Registration {
        topics: vec![("A".into(), offer(4, READ_WRITE)), ("C".into(), offer(4, READ_WRITE))],
        version: version(counter),
        ..broker("a", 0, "h1:1")
    };
    for (delete, b_remains) in [(false, true), (true, false)] {
        let f = Fixture::with(|config| config.delete_unregistered_topics = delete);
        f.listed(broker("a", 0, "h1:1"));
        f.listed(broker("b", 0, "h2:1"));
        f.listed(Registration { topics: vec![("A".into(), offer(4, READ_WRITE))], ..others(2) });
        assert_eq!(f.addrs("B"), "a:0=h1:1 b:0=h2:1");
        f.listed(others(3));
        assert_eq!(f.addrs("B"), if b_remains { "a:0=h1:1 b:0=h2:1" } else { "b:0=h2:1" });
    }
}

#[test]
fn a_silent_broker_is_evicted_after_two_minutes_or_as_it_said() {
    let mut f = Fixture::new();
    f.listed(broker("a", 0, "h1:1"));
    f.listed(Registration { silence: Some(Millis::secs(10)), ..broker("b", 0, "h2:1") });
    f.advance(10);
    assert_eq!(f.evicted(), Vec::<String>::new());
    f.advance(1);
    assert_eq!(f.evicted(), ["h2:1"]);
    f.advance(109);
    assert_eq!(f.evicted(), Vec::<String>::new());
    f.advance(1);
    assert_eq!(f.evicted(), ["h1:1"]);
    assert_eq!(f.route("A"), Err(RouteError::UnknownTopic));
}

#[test]
fn heartbeats_unchanged_versions_and_registrations_keep_a_broker() {
    let mut f = Fixture::new();
    f.listed(broker("a", 0, "h1:1"));
    f.advance(100);
    assert!(f.namesrv.heartbeat("h1:1", f.now));
    f.advance(100);
    let same = f.namesrv.compare_version("h1:1", version(1), f.now);
    assert_eq!(same, KnownVersion { changed: false, known: Some(version(1)) });
    f.advance(100);
    f.listed(broker("a", 0, "h1:1"));
    f.advance(100);
    let differs = f.namesrv.compare_version("h1:1", version(2), f.now);
    assert_eq!(differs, KnownVersion { changed: true, known: Some(version(1)) });
    assert_eq!(f.evicted(), Vec::<String>::new());
    f.advance(30);
    assert_eq!(f.evicted(), ["h1:1"], "a broker whose topics changed has to register");
    assert!(!f.namesrv.heartbeat("h1:1", f.now));
    let unknown = f.namesrv.compare_version("h1:1", version(2), f.now);
    assert_eq!(unknown, KnownVersion { changed: true, known: None });
}

#[test]
fn a_closed_connection_takes_its_brokers_and_no_others() {
    let f = Fixture::new();
    f.listed(broker("a", 0, "h1:1"));
    f.listed(broker("b", 0, "h2:1"));
    f.listed(Registration { channel: ChannelId(2), ..broker("c", 0, "h3:1") });
    f.listed(Registration { channel: ChannelId(3), ..broker("b", 0, "h2:1") });
    f.namesrv.channel_closed(ChannelId(1));
    assert_eq!(f.addrs("A"), "b:0=h2:1 c:0=h3:1", "b had reconnected before its old connection closed");
}

#[test]
fn a_topic_goes_with_its_last_broker() {
    let f = Fixture::new();
    f.listed(broker("a", 0, "h1:1"));
    f.listed(broker("b", 0, "h2:1"));
    f.namesrv.unregister(&broker("a", 0, "h1:1").broker);
    assert_eq!((f.addrs("A"), f.namesrv.topics().unwrap().len()), ("b:0=h2:1".into(), 2));
    f.namesrv.unregister(&broker("b", 0, "h2:1").broker);
    assert_eq!(f.route("A"), Err(RouteError::UnknownTopic));
    assert!(f.namesrv.topics().unwrap().is_empty() && f.namesrv.broker_sets().is_empty());
}

#[test]
fn a_goodbye_under_a_wrong_name_changes_nothing() {
    let f = Fixture::new();
    f.listed(broker("a", 0, "h1:1"));
    f.namesrv.unregister(&broker("other", 0, "h1:1").broker);
    assert_eq!(f.addrs("A"), "a:0=h1:1");
}

#[test]
fn a_zone_sees_its_own_brokers_and_those_without_a_master() {
    let f = Fixture::new();
    let in_zone = |zone: Option<&str>, name, id, addr| Registration {
        zone: zone.map(Arc::from),
        acting_master: Some(false),
        filter_servers: vec![format!("filter-{addr}")],
        ..broker(name, id, addr)
    };
    f.listed(in_zone(Some("East"), "a", 0, "h1:1"));
    f.listed(in_zone(Some("west"), "b", 0, "h2:1"));
    f.listed(in_zone(None, "c", 0, "h3:1"));
    f.listed(in_zone(Some("west"), "d", 1, "h4:1"));
    let route = f.namesrv.route("A", Some("eAST"), f.now).unwrap();
    let names: Vec<_> = route.brokers.iter().map(|set| &*set.name).collect();
    let offers: Vec<_> = route.offers.iter().map(|(name, _)| &**name).collect();
    let filters: Vec<_> = route.filter_servers.iter().map(|(addr, _)| &**addr).collect();
    assert_eq!((names, offers, filters), (vec!["a", "d"], vec!["a", "d"], vec!["h1:1", "h4:1"]));
}

#[test]
fn routes_carry_the_order_configuration_only_as_configured() {
    for (order_routes, order) in [(false, None), (true, Some("a:4".to_owned()))] {
        let f = Fixture::with(|config| config.order_routes = order_routes);
        f.listed(broker("a", 0, "h1:1"));
        f.namesrv.put_pair(ORDER_NAMESPACE, "A", "a:4").unwrap();
        assert_eq!(f.route("A").unwrap().order, order);
        assert_eq!(f.route("B").unwrap().order, None);
    }
}

#[test]
fn brokers_are_told_the_order_configuration_once_there_is_one() {
    let f = Fixture::new();
    assert_eq!(f.namesrv.order_for_brokers(), None);
    f.namesrv.put_pair(ORDER_NAMESPACE, "T", "a:4").unwrap();
    assert_eq!(f.namesrv.order_for_brokers(), Some([("T".to_owned(), "a:4".to_owned())].into()));
    f.namesrv.delete_pair(ORDER_NAMESPACE, "T").unwrap();
    assert_eq!(f.namesrv.order_for_brokers(), None);
}

#[test]
fn a_wiped_permission_outlives_registrations_until_the_topics_change() {
    let f = Fixture::new();
    f.listed(broker("a", 0, "h1:1"));
    f.listed(broker("b", 0, "h2:1"));
    assert_eq!((f.namesrv.wipe_write_permission("a"), f.namesrv.wipe_write_permission("x")), (2, 0));
    f.listed(broker("a", 0, "h1:1"));
    assert_eq!((f.perm("A", "a"), f.perm("A", "b")), (READ, READ_WRITE));
    assert_eq!(f.namesrv.add_write_permission("a"), 2);
    assert_eq!(f.perm("A", "a"), READ_WRITE);
    f.namesrv.wipe_write_permission("a");
    f.listed(Registration { version: version(2), ..broker("a", 0, "h1:1") });
    assert_eq!(f.perm("A", "a"), READ_WRITE);
}

#[test]
fn a_deleted_topic_is_gone_everywhere_or_from_one_cluster() {
    let f = Fixture::new();
    f.listed(broker("a", 0, "h1:1"));
    let mut other = broker("b", 0, "h2:1");
    other.broker.cluster = "D".into();
    f.listed(other);
    f.namesrv.delete_topic("A", Some("D"));
    assert_eq!(f.addrs("A"), "a:0=h1:1");
    f.namesrv.delete_topic("A", Some("C"));
    f.namesrv.delete_topic("B", None);
    f.namesrv.delete_topic("never was", None);
    assert!(f.namesrv.topics().unwrap().is_empty());
}

#[test]
fn a_topic_can_be_added_to_known_brokers_only() {
    let f = Fixture::new();
    f.listed(broker("a", 0, "h1:1"));
    let offers = |name: &str| vec![(Arc::from(name), offer(3, READ_WRITE))];
    f.namesrv.add_topic(&"N".into(), offers("stranger"));
    assert_eq!(f.route("N"), Err(RouteError::UnknownTopic));
    f.namesrv.add_topic(&"N".into(), offers("a"));
    assert_eq!(f.addrs("N"), "a:0=h1:1");
}

#[test]
fn lists_are_sorted_and_can_be_switched_off() {
    let f = Fixture::new();
    f.listed(broker("b", 0, "h2:1"));
    let mut other = broker("a", 1, "h1:1");
    other.broker.cluster = "D".into();
    other.acting_master = Some(false);
    other.topics = [("U", 1), ("US", 3), ("S", 2)]
        .map(|(topic, sys_flag)| (topic.into(), TopicOffer { sys_flag, ..offer(1, READ_WRITE) }))
        .into();
    f.listed(other);
    let text = |topics: Result<Vec<Arc<str>>, ListDisabled>| topics.unwrap().join(" ");
    assert_eq!(text(f.namesrv.topics()), "A B S U US");
    assert_eq!(text(f.namesrv.topics_of_cluster("D")), "S U US");
    assert_eq!(text(f.namesrv.topics_of_cluster("E")), "");
    assert_eq!(text(f.namesrv.unit_topics(UnitTopics::Unit)), "U US");
    assert_eq!(text(f.namesrv.unit_topics(UnitTopics::UnitSubscribed)), "S US");
    assert_eq!(text(f.namesrv.unit_topics(UnitTopics::UnitSubscribedOnly)), "S");
    let names = f.namesrv.system_names();
    assert_eq!((names.names.join(" "), names.broker_addr.as_deref()), ("C D a b".into(), Some("h1:1")));

    f.namesrv.change_config([("enableAllTopicList", "false"), ("enableTopicList", "false")]).unwrap();
    assert_eq!(f.namesrv.topics(), Err(ListDisabled));
    assert_eq!(f.namesrv.topics_of_cluster("D"), Err(ListDisabled));
    assert_eq!(f.namesrv.unit_topics(UnitTopics::Unit), Err(ListDisabled));
}

#[test]
fn settings_change_together_or_not_at_all() {
    let f = Fixture::new();
    let live = ("enableTopicList", "false");
    let refused = |key: &str, value: &str| f.namesrv.change_config([live, (key, value)]).unwrap_err();
    assert!(matches!(refused("kvConfigPath", "/etc/passwd"), ChangeError::Forbidden { .. }));
    assert!(matches!(refused("scanNotActiveBrokerInterval", "100"), ChangeError::NotLive { .. }));
    assert!(matches!(refused("enableAllTopicList", "perhaps"), ChangeError::Invalid { .. }));
    assert!(matches!(refused("noSuchKey", "1"), ChangeError::Invalid { .. }));
    assert!(f.namesrv.config().topic_list);
    f.namesrv.change_config([live, ("scanNotActiveBrokerInterval", "5000")]).unwrap();
    assert!(!f.namesrv.config().topic_list, "naming a setting with the value that it has is no change");
}

#[test]
fn routes_are_held_back_after_a_start_only_as_configured() {
    let mut f = Fixture::with(|config| config.wait_for_service = true);
    f.listed(broker("a", 0, "h1:1"));
    f.advance(44);
    assert_eq!(f.route("A"), Err(RouteError::NotReady));
    f.advance(1);
    assert!(f.route("A").is_ok());
}

#[test]
fn a_route_that_was_handed_out_does_not_change() {
    let f = Fixture::new();
    f.listed(broker("a", 0, "h1:1"));
    let before = f.route("A").unwrap();
    f.listed(broker("a", 1, "h2:1"));
    assert_eq!(before.brokers[0].addrs.len(), 1);
    assert_eq!(f.route("A").unwrap().brokers[0].addrs.len(), 2);
}
