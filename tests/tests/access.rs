//! Our client against official servers that check who asks: 4.x by its access list, 5.x by its users.

use std::fs;
use std::time::Duration;

use ferromq_client::{Client, ConsumeFrom, Credentials, Filter, Message, Remedy};
use ferromq_tests::server::{OFFICIAL, OFFICIAL_4};
use ferromq_tests::{Kind, Launch, Server};
use tokio::time::{Instant, sleep};

const NAME: &str = "orders-service";
const SECRET: &str = "orders-secret";
/// As long as nothing but a broken client takes.
const PATIENCE: Duration = Duration::from_secs(120);

fn client(server: &Server, credentials: Option<Credentials>) -> Client {
    let builder = Client::builder(&server.namesrv()).call_timeout(PATIENCE).connect_timeout(PATIENCE);
    let builder = match credentials {
        Some(credentials) => builder.credentials(credentials),
        None => builder,
    };
    builder.build().expect("a client")
}

async fn whoever_is_known_sends_and_consumes(server: &Server) {
    let client = client(server, Some(Credentials::new(NAME, SECRET)));
    let producer = client.producer("access-producer").send_timeout(PATIENCE).build().expect("a producer");
    let message = Message::new("access-topic", "hello").expect("a message");
    let id = producer.send(message).await.expect("it is stored").message_id.to_string();
    let consumer = client
        .pull_consumer("access-group")
        .subscribe("access-topic", Filter::all())
        .consume_from(ConsumeFrom::First)
        .start()
        .await
        .expect("it starts");
    let deadline = Instant::now() + PATIENCE;
    let mut came = false;
    while !came {
        assert!(Instant::now() < deadline, "nothing came");
        let polled = consumer.poll(Duration::from_secs(1)).await.expect("it is open");
        came = polled.iter().any(|message| message.message_id() == id);
    }
    consumer.commit().await.expect("it is stored");
    consumer.close().await;
    client.close().await;
}

async fn whoever_is_not_known_is_told(server: &Server, credentials: Option<Credentials>, words: &str) {
    let client = client(server, credentials);
    let producer = client.producer("access-producer").send_timeout(PATIENCE).build().expect("a producer");
    let refused = producer.send(Message::new("access-topic", "hello").expect("a message")).await;
    let refused = refused.expect_err("it is refused");
    assert!(refused.to_string().contains(words), "{refused}");
    assert_eq!(refused.remedy(), Remedy::AskOperator, "{refused}");
    let asking = client.pull_consumer("access-group").start().await.expect("it starts");
    let deadline = Instant::now() + PATIENCE;
    let queue = loop {
        match asking.queues("access-topic").await {
            Ok(queues) if !queues.is_empty() => break queues[0].clone(),
            known => assert!(Instant::now() < deadline, "{known:?}"),
        }
        sleep(Duration::from_millis(100)).await;
    };
    let refused = asking.max_offset(&queue).await.expect_err("it is refused");
    assert!(refused.to_string().contains(words), "{refused}");
    assert_eq!(refused.remedy(), Remedy::AskOperator, "{refused}");
    asking.close().await;
    client.close().await;
}

fn check(server: Server, nobody: &str, wrong: &str, stranger: &str) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        whoever_is_known_sends_and_consumes(&server).await;
        whoever_is_not_known_is_told(&server, None, nobody).await;
        whoever_is_not_known_is_told(&server, Some(Credentials::new(NAME, "some-secret")), wrong).await;
        whoever_is_not_known_is_told(&server, Some(Credentials::new("stranger", SECRET)), stranger).await;
    });
    server.kill();
}

#[test]
fn an_access_list_of_4_is_satisfied() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let conf = dir.path().join("official/conf");
    fs::create_dir_all(&conf).expect("it can be made");
    let rules = format!(
        "accounts:\n- accessKey: {NAME}\n  secretKey: {SECRET}\n  admin: false\n  \
         defaultTopicPerm: PUB|SUB\n  defaultGroupPerm: SUB\n"
    );
    fs::write(conf.join("plain_acl.yml"), rules).expect("it can be written");
    let server =
        Launch::new(Kind::Official(OFFICIAL_4), dir.path()).small_files().set("aclEnable", "true").start();
    check(server, "No accessKey is configured", "Check signature failed", "No acl config for stranger");
}

#[test]
fn users_of_5_are_who_they_say() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let inner = format!(r#"{{"accessKey":"{NAME}","secretKey":"{SECRET}"}}"#);
    let first = format!(r#"{{"username":"{NAME}","password":"{SECRET}"}}"#);
    let server = Launch::new(Kind::Official(OFFICIAL), dir.path())
        .small_files()
        .set("authenticationEnabled", "true")
        .set(
            "authenticationMetadataProvider",
            "org.apache.rocketmq.auth.authentication.provider.LocalAuthenticationMetadataProvider",
        )
        .set("authConfigPath", &dir.path().join("auth").display().to_string())
        .set("initAuthenticationUser", &first)
        .set("innerClientAuthenticationCredentials", &inner)
        .start();
    check(server, "username cannot be null", "check signature failed", "User:stranger is not found");
}
