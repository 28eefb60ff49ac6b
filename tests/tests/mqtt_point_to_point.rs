//! Messages that are one MQTT client's alone, from every protocol: `{first}/p2p/{client}`.

use ferromq_client::{Client, Message};
use ferromq_tests::http::Http;
use ferromq_tests::mqtt::connection::{Connection, PATIENCE};
use ferromq_tests::mqtt::packet::{Connect, Publish, Version};
use ferromq_tests::server::{Kind, Launch};

const ORIGIN: &str = "originMqttTopic";

fn connect(launch: &Launch, connect: &Connect) -> Connection {
    let mut connection = Connection::open(launch.mqtt(), connect.version);
    connection.connect(connect);
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_has_its_own_messages_without_a_subscription_and_nobody_else_has_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let launch = Launch::new(Kind::Ferro, dir.path())
        .small_files()
        .set("mqttPointToPoint", "true")
        // As long as the test waits: a slow disk is no failure, and a message that is sent again may come twice.
        .set("syncFlushTimeout", &PATIENCE.as_millis().to_string())
        // However full the disk of the machine is that tests run on.
        .set("diskSpaceWarningLevelRatio", "100");
    let server = launch.start();
    let kept = Connect::persistent(Version::V5, "robot/7");
    let mut robot = connect(&launch, &kept);
    assert_eq!(robot.subscribe("plant/#", 1), 1, "its own come once all the same");
    let mut spy = connect(&launch, &Connect::clean(Version::V5, "spy"));
    for filter in ["#", "+/p2p/+/+", "plant/p2p/robot/7", "$share/g/plant/#"] {
        assert!(spy.subscribe(filter, 1) <= 2, "{filter}");
    }
    for filter in ["$p2p/robot/7", "$p2p/#", "$share/g/$p2p/robot/7"] {
        assert_eq!(spy.subscribe(filter, 1), 0x87, "{filter}");
    }
    assert_eq!(robot.unsubscribe("$p2p/robot/7"), 0x87);
    // By MQTT, connected; what is retained would be everybody's.
    assert_eq!(spy.publish("$p2p/robot/7", "x", 1), 0x87);
    let secret = Publish::new("plant/p2p/robot/7", "by MQTT", 2, 0).retained();
    assert_eq!(spy.publish_all(secret), 0);
    let got = robot.receive();
    assert_eq!((got.text(), got.topic.as_str(), got.qos), ("by MQTT", "plant/p2p/robot/7", 2));
    robot.disconnect();

    // By HTTP and remoting, while it is away, and the server is killed.
    let body = format!(r#"{{"text": "by HTTP", "properties": {{"{ORIGIN}": "plant/p2p/robot/7"}}}}"#);
    let json = [("Content-Type", "application/json")];
    let mut http = Http::open(server.http()).expect("HTTP is there");
    let answer = http.ask("POST", "/v1/topics/plant/messages", &json, body.as_bytes()).expect("an answer");
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    let client = Client::builder(&server.namesrv()).connect_timeout(PATIENCE).call_timeout(PATIENCE);
    let client = client.build().expect("a client");
    let producer = client.producer("shop").send_timeout(PATIENCE).build().expect("a producer");
    // As Apache's gateway has it.
    let message = Message::builder("plant").body("by remoting");
    let message = message.property("INNER_MULTI_DISPATCH", "%LMQ%%p2p%robot%7%").build().expect("a message");
    producer.send(message).await.expect("it is stored");
    producer.close().await;
    client.close().await;
    server.kill();
    let server = launch.start();

    let mut robot = connect(&launch, &kept);
    assert_eq!([robot.receive().text(), robot.receive().text()], ["by HTTP", "by remoting"]);
    let mut spy = connect(&launch, &Connect::clean(Version::V5, "spy"));
    assert_eq!(spy.subscribe("#", 1), 1);
    assert_eq!(spy.publish("plant/p2p/robot/7", "last", 1), 0);
    assert_eq!(robot.receive().text(), "last");
    assert_eq!(spy.publish("end", "end", 1), 0);
    assert_eq!(spy.receive().text(), "end", "nothing of it came to who subscribes to everything");
    server.stop();
}
