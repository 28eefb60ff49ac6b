use std::collections::BTreeMap;
use std::io::Write as _;

use ferromq_model::subscription::{ConsumeFromWhere, ConsumeType, MessageModel};
use ferromq_model::topic::{DataVersion, Permission, TopicConfig, TopicFilterType};
use ferromq_model::{GroupName, QueueId, Timestamp, TopicName};
use serde::de::DeserializeOwned;

use super::*;

/// Reads what the reference writes, and writes the same bytes.
fn golden<T: Serialize + DeserializeOwned>(json: &str) -> T {
    let body: T = decode(json.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(encode(&body)).unwrap(), json);
    body
}

#[test]
fn a_route_has_the_references_bytes_in_both_styles() {
    let json = r#"{"brokerDatas":[{"brokerAddrs":{0:"10.0.0.1:10911"},"brokerName":"broker-a","cluster":"DefaultCluster","enableActingMaster":false}],"filterServerTable":{},"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":8,"topicSysFlag":0,"writeQueueNums":8}]}"#;
    let route: TopicRouteData = golden(json);
    assert_eq!(route.broker_datas[0].broker_addrs[&0], "10.0.0.1:10911");
    assert_eq!(route.queue_datas[0].perm, Permission::READ_WRITE);
    let standard = encode_as(&route, Style::Standard);
    assert_eq!(String::from_utf8(standard).unwrap(), json.replace("{0:", "{\"0\":"));
    assert_eq!(Style::of_route(317, false), Style::Java);
    assert_eq!(Style::of_route(400, true), Style::Standard);
    assert_eq!(Style::of_route(401, false), Style::Standard);
}

#[test]
fn only_number_keys_lose_their_quotes_and_only_standard_text_is_ascii() {
    let table = BTreeMap::from([
        ("".to_owned(), BTreeMap::from([(7u64, "7".to_owned())])),
        ("12".to_owned(), BTreeMap::from([(0u64, "ä😀\n\"".to_owned())])),
        ("\"中".to_owned(), BTreeMap::new()),
    ]);
    let java = String::from_utf8(encode(&table)).unwrap();
    assert_eq!(java, r#"{"":{7:"7"},"\"中":{},"12":{0:"ä😀\n\""}}"#);
    let standard = String::from_utf8(encode_as(&table, Style::Standard)).unwrap();
    assert_eq!(standard, r#"{"":{"7":"7"},"\"\u4E2D":{},"12":{"0":"\u00E4\uD83D\uDE00\n\""}}"#);
    for text in [java, standard] {
        assert_eq!(decode::<BTreeMap<String, BTreeMap<u64, String>>>(text.as_bytes()).unwrap(), table);
    }
}

#[test]
fn clusters_and_replicas_have_the_references_bytes() {
    let info: ClusterInfo = golden(
        r#"{"brokerAddrTable":{"broker-a":{"brokerAddrs":{0:"ip:port",1:"x"},"brokerName":"broker-a","cluster":"C","enableActingMaster":false}},"clusterAddrTable":{"C":["broker-a"]}}"#,
    );
    assert_eq!(info.broker_addr_table["broker-a"].broker_addrs.len(), 2);
    golden::<BrokerMemberGroupBody>(
        r#"{"brokerMemberGroup":{"brokerAddrs":{0:"…"},"brokerName":"b","cluster":"c"}}"#,
    );
}

const HEARTBEAT: &str = r#"{"clientID":"10.0.0.5@4711#123456789","consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","consumeType":"CONSUME_PASSIVELY","groupName":"CG","messageModel":"CLUSTERING","subscriptionDataSet":[{"classFilterMode":false,"codeSet":[2598919,2598920],"expressionType":"TAG","subString":"TagA || TagB","subVersion":1700000000000,"tagsSet":["TagA","TagB"],"topic":"T1"}],"unitMode":false}],"heartbeatFingerprint":0,"producerDataSet":[{"groupName":"PG"}],"withoutSub":false}"#;

#[test]
fn a_heartbeat_has_the_reference_clients_bytes() {
    let heartbeat: HeartbeatData = golden(HEARTBEAT);
    assert_eq!(heartbeat.producer_data_set[0].group_name, "PG");
    assert_eq!(heartbeat.consumer_data_set[0].subscription_data_set[0].tags_set, ["TagA", "TagB"]);
}

#[test]
fn heartbeats_of_other_languages_are_read_too() {
    let heartbeat: HeartbeatData = decode(
        br#"{"clientID":"go","unknown":{"1":[]},"producerDataSet":null,"consumerDataSet":[
            {"groupName":"a","messageModel":"Broadcasting","consumeType":0,"consumeFromWhere":4,"unitMode":"false",
             "subscriptionDataSet":[{"topic":"T","subString":"*","subVersion":"1700000000000","codeSet":null}]},
            {"groupName":"b","messageModel":"sideways","consumeType":null,"subscriptionDataSet":null},
            {}]}"#,
    )
    .unwrap();
    let [a, b, c] = &heartbeat.consumer_data_set[..] else { panic!("{heartbeat:?}") };
    assert_eq!((a.message_model, a.consume_type), (MessageModel::Broadcasting, ConsumeType::Actively));
    assert_eq!(a.consume_from_where, ConsumeFromWhere::FirstOffset);
    assert_eq!(a.subscription_data_set[0].sub_version, 1_700_000_000_000);
    assert_eq!((b.message_model, b.consume_type), (MessageModel::Clustering, ConsumeType::Passively));
    assert_eq!((&*c.group_name, c.consume_from_where), ("", ConsumeFromWhere::LastOffset));
    assert!(decode::<HeartbeatData>(b"").is_err());
    assert!(decode::<HeartbeatData>(b"7").is_err());
}

/// As rocketmq-client-go 2.1.2 writes it: the hashes are texts. A heartbeat refused for that left its group unknown, and
/// consumers with a tag got nothing.
#[test]
fn tag_hashes_may_be_texts() {
    let heartbeat: HeartbeatData = decode(
        br#"{"clientID":"go","consumerDataSet":[{"groupName":"a","subscriptionDataSet":[
            {"topic":"T","subString":"Aa || TagA","codeSet":["2112","2598919",7,"x"],"tagsSet":["Aa","TagA"]}]}]}"#,
    )
    .unwrap();
    assert_eq!(heartbeat.consumer_data_set[0].subscription_data_set[0].code_set, [2112, 2_598_919, 7]);
}

#[test]
fn lists_locks_and_tables_have_the_references_bytes() {
    golden::<ConsumerList>(r#"{"consumerIdList":["id1","id2"]}"#);
    let lock: LockBatchRequest = golden(
        r#"{"clientId":"c","consumerGroup":"CG","mqSet":[{"brokerName":"b","queueId":0,"topic":"T"}],"onlyThisBroker":false}"#,
    );
    assert_eq!(lock.mq_set[0].queue_id, QueueId(0));
    golden::<LockBatchResponse>(r#"{"lockOKMQSet":[{"brokerName":"b","queueId":0,"topic":"T"}]}"#);
    golden::<KvTable>(r#"{"table":{"k":"v"}}"#);
    golden::<TopicList>(r#"{"topicList":["T1"]}"#);
    golden::<TopicList>(r#"{"brokerAddr":"ip:port","topicList":[]}"#);
    let groups: SubscriptionGroupWrapper = golden(
        r#"{"dataVersion":{"counter":1,"stateVersion":0,"timestamp":5},"forbiddenTable":{},"subscriptionGroupTable":{"G":{"attributes":{},"brokerId":0,"consumeBroadcastEnable":true,"consumeEnable":true,"consumeFromMinEnable":true,"consumeMessageOrderly":false,"consumeTimeoutMinute":15,"groupName":"G","groupRetryPolicy":{"type":"CUSTOMIZED"},"groupSysFlag":0,"notifyConsumerIdsChangedEnable":true,"retryMaxTimes":16,"retryQueueNums":1,"whichBrokerWhenConsumeSlowly":1}}}"#,
    );
    let group = GroupName::new("G").unwrap();
    assert_eq!(groups.subscription_group_table[&group].retry_max_times, 16);
    golden::<TopicConfigList>(
        r#"{"topicConfigList":[{"attributes":{},"order":false,"perm":6,"readQueueNums":4,"topicFilterType":"SINGLE_TAG","topicName":"T1","topicSysFlag":0,"writeQueueNums":4}]}"#,
    );
}

const REGISTER: &str = r#"{"filterServerList":[],"topicConfigSerializeWrapper":{"dataVersion":{"counter":7,"stateVersion":0,"timestamp":1700000000000},"mappingDataVersion":{"counter":0,"stateVersion":0,"timestamp":1700000000000},"topicConfigTable":{"T1":{"attributes":{},"order":false,"perm":6,"readQueueNums":4,"topicFilterType":"SINGLE_TAG","topicName":"T1","topicSysFlag":0,"writeQueueNums":4}},"topicQueueMappingDetailMap":{},"topicQueueMappingInfoMap":{}}}"#;

#[test]
fn a_registration_has_the_references_bytes_and_old_brokers_send_less() {
    let body: RegisterBrokerBody = golden(REGISTER);
    assert_eq!(RegisterBrokerBody::read(REGISTER.as_bytes(), false, 479).unwrap(), body);
    let wrapper = encode(&body.topic_config_serialize_wrapper);
    assert_eq!(RegisterBrokerBody::read(&wrapper, false, 36).unwrap(), body);
    assert_eq!(RegisterBrokerBody::read(b"", false, 479).unwrap(), RegisterBrokerBody::default());
    let body = RegisterBrokerBody::read(br#"{"topicConfigSerializeWrapper":{"topicConfigTable":{"T":{"readQueueNums":1,"perm":6,"writeQueueNums":2,"attributes":null}}}}"#, false, 355).unwrap();
    let topic = TopicName::new("T").unwrap();
    assert_eq!(body.topic_config_serialize_wrapper.topic_config_table[&topic].write_queue_nums, 2);
}

#[test]
fn a_topic_that_makes_no_sense_costs_the_others_nothing() {
    let body = REGISTER
        .replace(r#""topicConfigTable":{"#, r#""topicConfigTable":{"../x":{"perm":6,"readQueueNums":1,"writeQueueNums":1},"n":null,"q":{"perm":6,"readQueueNums":-1,"writeQueueNums":1},"#);
    let wrapper =
        RegisterBrokerBody::read(body.as_bytes(), false, 479).unwrap().topic_config_serialize_wrapper;
    assert_eq!(wrapper.unreadable, ["../x", "n", "q"]);
    assert_eq!(wrapper.topic_config_table.len(), 1);
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn compressed_sample() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut part = |text: &str| {
        bytes.extend((text.len() as u32).to_be_bytes());
        bytes.extend(text.as_bytes());
    };
    part(r#"{"counter":7,"stateVersion":0,"timestamp":5}"#);
    bytes.extend(3u32.to_be_bytes());
    let mut part = |text: &str| {
        bytes.extend((text.len() as u32).to_be_bytes());
        bytes.extend(text.as_bytes());
    };
    part("T1 4 8 6 SINGLE_TAG");
    part(r#"T2 1 1 4 MULTI_TAG {"message.type":"FIFO","k":"a b"}"#);
    part("not a topic");
    part(r#"["f:1"]"#);
    bytes.extend(1u32.to_be_bytes());
    let mapping = r#"{"topic":"T1","currIdMap":{0:0}}"#;
    bytes.extend((mapping.len() as u32).to_be_bytes());
    bytes.extend(mapping.as_bytes());
    bytes
}

#[test]
fn a_compressed_registration_is_read() {
    let bytes = compressed_sample();
    let body = RegisterBrokerBody::read(&deflate(&bytes), true, 413).unwrap();
    let wrapper = &body.topic_config_serialize_wrapper;
    assert_eq!(wrapper.data_version, DataVersion { counter: 7, state_version: 0, timestamp: Timestamp(5) });
    assert_eq!(body.filter_server_list, ["f:1"]);
    let topics: Vec<&TopicConfig> = wrapper.topic_config_table.values().collect();
    assert_eq!((topics[0].read_queue_nums, topics[0].write_queue_nums), (4, 8));
    assert_eq!((topics[1].perm, topics[1].topic_filter_type), (Permission(4), TopicFilterType::MultiTag));
    assert_eq!(topics[1].attributes["k"], "a b");
    assert_eq!(wrapper.unreadable, ["not a topic"]);
    assert_eq!(wrapper.topic_queue_mapping_info_map["T1"]["currIdMap"]["0"], 0);
    // A broker of 4.x writes nothing behind the filter servers.
    let body = RegisterBrokerBody::read(&deflate(&bytes), true, 409).unwrap();
    assert!(body.topic_config_serialize_wrapper.topic_queue_mapping_info_map.is_empty());
}

/// The same two topics as 4.7.1 and 4.9.8 (first), and as 5.3.3 compress them.
const RECORDED_COMPRESSED: [(&str, i32); 2] = [
    (
        "78da63606050af564ace2fcd2b492d52b232d7512ac9cc4d2d2e49cc2d50b232343740805a060606262096540d720d098a544d573004423385604f3f771fd7f8104777a0a47088a182898205ba3053742c0039e317b3",
        409,
    ),
    (
        "78da636060b0a8564ace2fcd2b492d52b232d7512a2e492c490d4b2d2acecccf53b232d0512ac9cc4d050ae6162859199a1b20402d0303031310cba806b9860445aaa62b1802a19942b0a79fbb8f6b7c88a3bb4235488d5888a1828982051619a6e85820c9000019fa1fdb",
        479,
    ),
];

#[test]
fn recorded_registrations_are_read_compressed_or_not() {
    let plain = r#"{"filterServerList":[],"topicConfigSerializeWrapper":{"dataVersion":{"counter":7,"timestamp":1700000000000},"topicConfigTable":{"%RETRY%g":{"order":false,"perm":6,"readQueueNums":1,"topicFilterType":"SINGLE_TAG","topicName":"%RETRY%g","topicSysFlag":0,"writeQueueNums":1},"T1":{"order":false,"perm":6,"readQueueNums":4,"topicFilterType":"SINGLE_TAG","topicName":"T1","topicSysFlag":0,"writeQueueNums":8}}}}"#;
    let plain = RegisterBrokerBody::read(plain.as_bytes(), false, 355).unwrap();
    let wrapper = &plain.topic_config_serialize_wrapper;
    assert_eq!((wrapper.topic_config_table.len(), wrapper.data_version.counter), (2, 7));
    for (hex, version) in RECORDED_COMPRESSED {
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
        assert_eq!(RegisterBrokerBody::read(&bytes, true, version).unwrap(), plain);
    }
}

#[test]
fn a_compressed_registration_that_is_broken_or_a_bomb_is_refused() {
    let bytes = compressed_sample();
    for cut in 0..bytes.len() {
        assert!(RegisterBrokerBody::read(&deflate(&bytes[..cut]), true, 413).is_err(), "cut at {cut}");
    }
    let whole = deflate(&bytes);
    for cut in 1..whole.len() {
        assert!(RegisterBrokerBody::read(&whole[..cut], true, 413).is_err(), "cut at {cut}");
    }
    let zeros = deflate(&[0; 100_001]);
    assert!(matches!(register::inflate(&zeros, 100_000), Err(BodyError::TooLarge { limit: 100_000 })));
    assert_eq!(register::inflate(&zeros, 100_001).unwrap().len(), 100_001);
}

#[test]
fn the_checksum_has_no_top_bit() {
    // The plain CRC-32 of this text is 0xCBF43926.
    assert_eq!(checksum(b"123456789"), 0x4BF4_3926);
}

#[test]
fn positions_have_the_references_bytes() {
    let queue = r#"{"brokerName":"b","queueId":0,"topic":"T"}"#;
    let reset: ResetOffsetBody = golden(&format!(r#"{{"offsetTable":{{{queue}:5}}}}"#));
    let list = String::from_utf8(encode(&reset.into_list())).unwrap();
    assert_eq!(list, r#"{"offsetTable":[{"brokerName":"b","offset":5,"queueId":0,"topic":"T"}]}"#);
    golden::<ConsumerStatusBody>(&format!(
        r#"{{"consumerTable":{{"client":{{{queue}:7}}}},"messageQueueTable":{{}}}}"#
    ));
    let of_client = format!(r#"{{"messageQueueTable":{{{queue}:-1}}}}"#);
    assert_eq!(decode::<ConsumerStatusBody>(of_client.as_bytes()).unwrap().message_queue_table.0.len(), 1);
    golden::<CorrectionOffsets>(r#"{"correctionOffsets":{0:100}}"#);
}
