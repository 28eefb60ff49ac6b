use std::io::Write as _;
use std::time::Duration;

use ferromq_namesrv::NamesrvConfig;
use ferromq_protocol::frame::{Head, HeaderScratch, encode_with_body};

use super::*;

/// The version that the Go client sends, whatever its own is.
const GO: i32 = 317;
const JAVA_5: i32 = 479;

struct Fixture {
    front: NamesrvFront,
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
        let namesrv = NameServer::open(config, Instant::now()).unwrap();
        Self { front: NamesrvFront { namesrv }, _dir: dir }
    }

    fn ask(&self, code: i32, version: i32, fields: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut frame = Vec::new();
        let head = Head { code, version, ..Head::request(RequestCode::GetRouteInfoByTopic, 7) };
        encode_with_body(&mut frame, &head, &fields, body).unwrap();
        let mut scratch = HeaderScratch::new();
        let request = Command::decode(&frame, &mut scratch).unwrap();
        self.front.handle(ChannelId(1), ([127, 0, 0, 1], 50_000).into(), &request)
    }

    /// The body of an answer that has to be a success.
    fn text(&self, code: i32, version: i32, fields: &[(&str, &str)]) -> String {
        let reply = self.ask(code, version, fields, b"");
        assert_eq!(reply.code, ResponseCode::Success, "{reply:?}");
        String::from_utf8(reply.body.concat()).unwrap()
    }

    fn register(&self, name: &str, id: u64, addr: &str, body: &[u8]) -> Reply {
        let id = id.to_string();
        let fields = [
            ("brokerName", name),
            ("brokerAddr", addr),
            ("clusterName", "DefaultCluster"),
            ("haServerAddr", "10.0.0.1:10912"),
            ("brokerId", &id),
        ];
        self.ask(103, JAVA_5, &fields, body)
    }

    /// `broker-a` with the topics `T1` and `T2`.
    fn registered() -> Self {
        let f = Self::new();
        assert_eq!(f.register("broker-a", 0, "10.0.0.1:10911", &topics(&["T1", "T2"])), Reply::success());
        f
    }
}

fn topics(names: &[&str]) -> Vec<u8> {
    let topic = |name: &&str| {
        format!(
            r#""{name}":{{"attributes":{{}},"order":false,"perm":6,"readQueueNums":8,"topicFilterType":"SINGLE_TAG","topicName":"{name}","topicSysFlag":0,"writeQueueNums":8}}"#
        )
    };
    let table = names.iter().map(topic).collect::<Vec<_>>().join(",");
    format!(
        r#"{{"filterServerList":[],"topicConfigSerializeWrapper":{{"dataVersion":{{"counter":7,"stateVersion":0,"timestamp":1700000000000}},"mappingDataVersion":{{"counter":0,"stateVersion":0,"timestamp":0}},"topicConfigTable":{{{table}}},"topicQueueMappingDetailMap":{{}},"topicQueueMappingInfoMap":{{}}}}}}"#
    )
    .into_bytes()
}

fn error(reply: &Reply) -> (i32, &str) {
    (reply.code.code(), reply.remark.as_deref().unwrap_or_default())
}

const ROUTE: &str = r#"{"brokerDatas":[{"brokerAddrs":{0:"10.0.0.1:10911"},"brokerName":"broker-a","cluster":"DefaultCluster","enableActingMaster":false}],"filterServerTable":{},"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":8,"topicSysFlag":0,"writeQueueNums":8}]}"#;

#[test]
fn a_route_has_the_form_that_its_asker_reads() {
    let f = Fixture::registered();
    let standard = ROUTE.replace("{0:", "{\"0\":");
    assert_eq!(f.text(105, GO, &[("topic", "T1")]), ROUTE);
    assert_eq!(f.text(105, 400, &[("topic", "T1"), ("acceptStandardJsonOnly", "false")]), ROUTE);
    assert_eq!(f.text(105, 400, &[("topic", "T1"), ("acceptStandardJsonOnly", "true")]), standard);
    assert_eq!(f.text(105, JAVA_5, &[("topic", "T1")]), standard);
}

#[test]
fn a_route_of_two_sets_with_slaves_and_an_order_is_the_references() {
    let f = Fixture::with(|config| config.order_routes = true);
    f.register("broker-a", 0, "10.0.0.1:10911", &topics(&["T1", "T2"]));
    f.register("broker-b", 0, "10.0.0.3:10911", &topics(&["T1", "T2"]));
    f.register("broker-b", 1, "10.0.0.4:10911", &topics(&["T1", "T2"]));
    f.ask(100, GO, &[("namespace", "ORDER_TOPIC_CONFIG"), ("key", "T1"), ("value", "broker-a:4")], b"");
    assert_eq!(
        f.text(105, GO, &[("topic", "T1")]),
        r#"{"brokerDatas":[{"brokerAddrs":{0:"10.0.0.1:10911"},"brokerName":"broker-a","cluster":"DefaultCluster","enableActingMaster":false},{"brokerAddrs":{0:"10.0.0.3:10911",1:"10.0.0.4:10911"},"brokerName":"broker-b","cluster":"DefaultCluster","enableActingMaster":false}],"filterServerTable":{},"orderTopicConf":"broker-a:4","queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":8,"topicSysFlag":0,"writeQueueNums":8},{"brokerName":"broker-b","perm":6,"readQueueNums":8,"topicSysFlag":0,"writeQueueNums":8}]}"#
    );
}

#[test]
fn where_queues_moved_to_is_passed_on_as_it_came() {
    let f = Fixture::new();
    let info = r#""topicQueueMappingInfoMap":{"T1":{"bname":"broker-a","currIdMap":{0:0,1:1},"dirty":false,"epoch":1,"scope":"__global__","topic":"T1","totalQueues":8}}"#;
    let body = String::from_utf8(topics(&["T1", "T2"])).unwrap();
    f.register(
        "broker-a",
        0,
        "10.0.0.1:10911",
        body.replace(r#""topicQueueMappingInfoMap":{}"#, info).as_bytes(),
    );
    let mapping = r#","topicQueueMappingByBroker":{"broker-a":{"bname":"broker-a","currIdMap":{"0":0,"1":1},"dirty":false,"epoch":1,"scope":"__global__","topic":"T1","totalQueues":8}}}"#;
    assert_eq!(f.text(105, GO, &[("topic", "T1")]), format!("{}{mapping}", &ROUTE[..ROUTE.len() - 1]));
    assert_eq!(f.text(105, GO, &[("topic", "T2")]), ROUTE);
}

#[test]
fn a_zone_filters_only_in_its_mode_and_in_the_references_own_dialect() {
    let f = Fixture::registered();
    let ask = |mode| f.text(105, JAVA_5, &[("topic", "T1"), ("__ZONE_NAME", "z"), ("__ZONE_MODE", mode)]);
    assert_eq!(ask("false"), ROUTE.replace("{0:", "{\"0\":"));
    assert_eq!(ask("true"), r#"{"brokerDatas":[],"filterServerTable":{},"queueDatas":[]}"#);
}

#[test]
fn an_unknown_topic_is_told_from_all_other_failures() {
    let f = Fixture::registered();
    let reply = f.ask(105, GO, &[("topic", "X")], b"");
    assert_eq!(error(&reply), (17, "No topic route info in name server for the topic: X"));
    let waiting = Fixture::with(|config| config.wait_for_service = true);
    let reply = waiting.ask(105, GO, &[("topic", "X")], b"");
    assert_eq!(error(&reply), (1, "name server not ready"));
    assert_eq!(error(&f.ask(105, GO, &[], b"")), (29, "header field topic is missing"));
}

#[test]
fn the_cluster_is_told_in_the_references_bytes() {
    let f = Fixture::registered();
    f.register("broker-a", 1, "10.0.0.2:10911", &topics(&["T1", "T2"]));
    assert_eq!(
        f.text(106, JAVA_5, &[]),
        r#"{"brokerAddrTable":{"broker-a":{"brokerAddrs":{0:"10.0.0.1:10911",1:"10.0.0.2:10911"},"brokerName":"broker-a","cluster":"DefaultCluster","enableActingMaster":false}},"clusterAddrTable":{"DefaultCluster":["broker-a"]}}"#
    );
    let group = |name| f.text(901, JAVA_5, &[("clusterName", "DefaultCluster"), ("brokerName", name)]);
    assert_eq!(
        group("broker-a"),
        r#"{"brokerMemberGroup":{"brokerAddrs":{0:"10.0.0.1:10911",1:"10.0.0.2:10911"},"brokerName":"broker-a","cluster":"DefaultCluster"}}"#
    );
    assert_eq!(
        group("x"),
        r#"{"brokerMemberGroup":{"brokerAddrs":{},"brokerName":"x","cluster":"DefaultCluster"}}"#
    );
}

#[test]
fn topic_lists_are_the_references() {
    let f = Fixture::registered();
    assert_eq!(f.text(206, GO, &[]), r#"{"topicList":["T1","T2"]}"#);
    assert_eq!(f.text(224, GO, &[("cluster", "DefaultCluster")]), r#"{"topicList":["T1","T2"]}"#);
    assert_eq!(
        f.text(304, GO, &[]),
        r#"{"brokerAddr":"10.0.0.1:10911","topicList":["DefaultCluster","broker-a"]}"#
    );
    for code in [311, 312, 313] {
        assert_eq!(f.text(code, GO, &[]), r#"{"topicList":[]}"#);
    }
    let silent = Fixture::with(|config| (config.all_topic_list, config.topic_list) = (false, false));
    for code in [206, 311, 312, 313] {
        assert_eq!(error(&silent.ask(code, GO, &[], b"")), (1, "disable"));
    }
}

#[test]
fn a_slave_learns_its_master_and_a_broker_the_order_configuration() {
    let f = Fixture::registered();
    f.ask(100, GO, &[("namespace", "ORDER_TOPIC_CONFIG"), ("key", "T1"), ("value", "broker-a:4")], b"");
    let reply = f.register("broker-a", 1, "10.0.0.2:10911", &topics(&["T1", "T2"]));
    let expected = Reply::success()
        .with_fields(&[("haServerAddr", "10.0.0.1:10912"), ("masterAddr", "10.0.0.1:10911")])
        .with_body(r#"{"table":{"T1":"broker-a:4"}}"#);
    assert_eq!(reply, expected);
}

#[test]
fn registrations_that_make_no_sense_are_refused_and_say_why() {
    let f = Fixture::new();
    let reply = f.register("broker-a", 0, "10.0.0.1:10911", &topics(&["T1"]));
    let (code, remark) = error(&reply);
    assert!(code == 1 && remark.starts_with("register broker failed"), "{remark}");
    let reply = f.register("broker-a", 0, "10.0.0.1:10911", b"{\"topic");
    assert_eq!(reply.code, ResponseCode::InvalidParameter);
    let reply = f.register("broker-a", 0, " ", &topics(&["T1", "T2"]));
    assert_eq!(error(&reply), (29, "broker with a blank cluster, name or address"));
    assert_eq!(f.text(106, GO, &[]), r#"{"brokerAddrTable":{},"clusterAddrTable":{}}"#);
}

#[test]
fn the_checksum_of_a_registration_is_held_against_it() {
    let f = Fixture::new();
    let body = topics(&["T1", "T2"]);
    let register = |crc: u32| {
        let crc = crc.to_string();
        let fields = [
            ("brokerName", "b"),
            ("brokerAddr", "h:1"),
            ("clusterName", "C"),
            ("haServerAddr", "h:2"),
            ("brokerId", "0"),
            ("bodyCrc32", &crc),
        ];
        f.ask(103, JAVA_5, &fields, &body)
    };
    assert_eq!(error(&register(12)), (1, "crc32 not match"));
    assert_eq!(register(body::checksum(&body)), Reply::success());
    assert_eq!(register(0), Reply::success());
}

#[test]
fn a_compressed_registration_is_as_good() {
    let mut parts = Vec::new();
    let mut part = |text: &str| {
        parts.extend_from_slice(&(text.len() as u32).to_be_bytes());
        parts.extend_from_slice(text.as_bytes());
    };
    part(r#"{"counter":7,"stateVersion":0,"timestamp":1700000000000}"#);
    parts.extend_from_slice(&2u32.to_be_bytes());
    let mut part = |text: &str| {
        parts.extend_from_slice(&(text.len() as u32).to_be_bytes());
        parts.extend_from_slice(text.as_bytes());
    };
    part("T1 8 8 6 SINGLE_TAG");
    part("T2 8 8 6 SINGLE_TAG {}");
    part("[]");
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    zlib.write_all(&parts).unwrap();
    let f = Fixture::new();
    let fields = [
        ("brokerName", "broker-a"),
        ("brokerAddr", "10.0.0.1:10911"),
        ("clusterName", "DefaultCluster"),
        ("haServerAddr", "h:2"),
        ("brokerId", "0"),
        ("compressed", "true"),
    ];
    assert_eq!(f.ask(103, 355, &fields, &zlib.finish().unwrap()), Reply::success());
    assert_eq!(f.text(105, GO, &[("topic", "T1")]), ROUTE);
}

#[test]
fn a_broker_can_ask_first_whether_it_has_to_register() {
    let f = Fixture::registered();
    let ask = |addr, body: &[u8]| {
        let fields =
            [("brokerName", "broker-a"), ("brokerAddr", addr), ("clusterName", "C"), ("brokerId", "0")];
        f.ask(322, JAVA_5, &fields, body)
    };
    let known = r#"{"counter":7,"stateVersion":0,"timestamp":1700000000000}"#;
    let reply = |changed| Reply::success().with_fields(&[("changed", changed)]);
    assert_eq!(ask("10.0.0.1:10911", known.as_bytes()), reply("false").with_body(known));
    assert_eq!(ask("10.0.0.1:10911", b"{\"counter\":8}"), reply("true").with_body(known));
    assert_eq!(ask("10.0.0.9:10911", known.as_bytes()), reply("true"));
}

#[test]
fn a_broker_that_leaves_or_whose_connection_closes_is_gone() {
    let f = Fixture::registered();
    let fields = [
        ("brokerName", "broker-a"),
        ("brokerAddr", "10.0.0.1:10911"),
        ("clusterName", "DefaultCluster"),
        ("brokerId", "0"),
    ];
    assert_eq!(f.ask(904, JAVA_5, &fields, b""), Reply::success());
    assert_eq!(f.ask(104, JAVA_5, &fields, b""), Reply::success());
    assert_eq!(f.ask(105, GO, &[("topic", "T1")], b"").code, ResponseCode::TopicNotExist);

    f.register("broker-a", 0, "10.0.0.1:10911", &topics(&["T1", "T2"]));
    f.front.namesrv.channel_closed(ChannelId(1));
    assert_eq!(f.ask(105, GO, &[("topic", "T1")], b"").code, ResponseCode::TopicNotExist);
    assert!(f.front.namesrv.scan(Instant::now() + Duration::from_secs(1_000)).is_empty());
}

#[test]
fn write_permission_is_wiped_and_brought_back() {
    let f = Fixture::registered();
    let reply = |field, count| Reply::success().with_fields(&[(field, count)]);
    assert_eq!(f.ask(205, GO, &[("brokerName", "broker-a")], b""), reply("wipeTopicCount", "2"));
    assert_eq!(f.text(105, GO, &[("topic", "T1")]), ROUTE.replace("\"perm\":6", "\"perm\":4"));
    assert_eq!(f.ask(327, GO, &[("brokerName", "broker-a")], b""), reply("addTopicCount", "2"));
    assert_eq!(f.text(105, GO, &[("topic", "T1")]), ROUTE);
    assert_eq!(f.ask(205, GO, &[("brokerName", "x")], b""), reply("wipeTopicCount", "0"));
}

#[test]
fn topics_come_and_go_by_request() {
    let f = Fixture::registered();
    let reply = f.ask(217, JAVA_5, &[("topic", "New")], ROUTE.as_bytes());
    assert_eq!(reply, Reply::success());
    assert_eq!(f.text(105, GO, &[("topic", "New")]), ROUTE);
    f.ask(216, GO, &[("topic", "New"), ("clusterName", "Other")], b"");
    assert_eq!(f.text(105, GO, &[("topic", "New")]), ROUTE);
    f.ask(216, GO, &[("topic", "New")], b"");
    assert_eq!(f.ask(105, GO, &[("topic", "New")], b"").code, ResponseCode::TopicNotExist);
}

#[test]
fn key_value_pairs_are_kept_read_and_deleted() {
    let f = Fixture::new();
    let key = [("namespace", "N"), ("key", "k")];
    assert_eq!(error(&f.ask(101, GO, &key, b"")), (22, "No config item, Namespace: N Key: k"));
    assert_eq!(f.ask(219, GO, &key[..1], b"").code, ResponseCode::QueryNotFound);
    assert_eq!(f.ask(100, GO, &[key[0], key[1], ("value", "v")], b""), Reply::success());
    assert_eq!(f.ask(101, GO, &key, b""), Reply::success().with_fields(&[("value", "v")]));
    assert_eq!(f.text(219, GO, &key[..1]), r#"{"table":{"k":"v"}}"#);
    assert_eq!(f.ask(102, GO, &key, b""), Reply::success());
    assert_eq!(f.ask(101, GO, &key, b"").code, ResponseCode::QueryNotFound);
}

#[test]
fn settings_can_be_read_and_those_that_apply_at_once_changed() {
    let f = Fixture::new();
    assert!(f.text(319, GO, &[]).contains("\nenableTopicList=true\n"));
    assert_eq!(f.ask(318, GO, &[], b"enableTopicList=false\n"), Reply::success());
    assert!(f.text(319, GO, &[]).contains("\nenableTopicList=false\n"));
    assert_eq!(error(&f.ask(311, GO, &[], b"")), (1, "disable"));
    let change = |text: &[u8]| f.ask(318, GO, &[], text);
    assert_eq!(error(&change(b"kvConfigPath=/x")), (16, "Can not update config in black list."));
    assert_eq!(change(b"scanNotActiveBrokerInterval=1000").code, ResponseCode::InvalidParameter);
    assert_eq!(change(b"noSuchKey=1").code, ResponseCode::InvalidParameter);
    assert_eq!(change(b"\xff").code, ResponseCode::SystemError);
}

#[test]
fn requests_that_no_name_server_serves_are_answered_as_such() {
    let f = Fixture::new();
    for code in [10, 11, -1, 99_999] {
        let remark = format!(" request type {code} not supported");
        assert_eq!(error(&f.ask(code, GO, &[], b"")), (3, &*remark));
    }
}

/// A peer may write anything: each request that a NameServer serves is answered, whatever its fields and body.
#[test]
fn no_request_is_beyond_an_answer() {
    let f = Fixture::registered();
    for code in RequestCode::ALL {
        for fields in [&[][..], &[("topic", ""), ("brokerName", "\u{0}"), ("brokerId", "-1")]] {
            for body in [&b""[..], b"{", b"\xff\xff", b"{\"queueDatas\":[null]}"] {
                let _ = f.ask(code.code(), 36, fields, body);
            }
        }
    }
    assert_eq!(f.text(105, GO, &[("topic", "T1")]), ROUTE);
}
