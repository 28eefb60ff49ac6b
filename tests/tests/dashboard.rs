//! The dashboard, in a real browser, against the binary. The tests themselves are in `dashboard/browser/`.
//!
//! What the browser showed is kept as pictures in `dashboard-screenshots` of the target directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ferromq_client::{Client, ConsumeFrom, Filter, Message, Outcome, PushConsumer, Received};
use ferromq_tests::mqtt::connection::Connection;
use ferromq_tests::mqtt::packet::{Connect, Publish, Version};
use ferromq_tests::process::{run, tail};
use ferromq_tests::server::{Kind, Launch};
use ferromq_tests::toolchain;

/// A browser on a machine with two busy cores takes its time.
const LIMIT: Duration = Duration::from_secs(540);
/// And so does a broker.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn its_parts_do_what_they_say() {
    npm("test", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_works_in_a_browser_with_and_without_a_login() {
    let dir = tempfile::tempdir().expect("a directory");
    let credentials = dir.path().join("credentials");
    fs::write(&credentials, "token ci t0ken\nuser ann s3cret\n").expect("a file");
    let launch = |name: &str| Launch::new(Kind::Ferro, &dir.path().join(name)).small_files();
    let open = launch("open").start();
    let closed = launch("closed").set("httpCredentialsFile", &credentials.display().to_string()).start();
    let billing = Billing::start(&open.namesrv()).await;
    // A client that the browser's tests disconnect and purge.
    let mut door = Connection::open(open.launch().mqtt(), Version::V3);
    door.connect(&Connect::persistent(Version::V3, "hall/door"));
    door.subscribe("plant/+/state", 1);
    door.publish_all(Publish::new("plant/1/state", "on", 1, 0).retained());
    let environment = [
        ("FERROMQ_HTTP", format!("http://{}", open.http())),
        ("FERROMQ_HTTP_CLOSED", format!("http://{}", closed.http())),
        ("FERROMQ_SCREENSHOTS", target().join("dashboard-screenshots").display().to_string()),
        ("CHROMIUM", toolchain::chromium().display().to_string()),
    ];
    tokio::task::spawn_blocking(move || npm("browser", &environment))
        .await
        .expect("the browser's tests pass");
    billing.stop().await;
    closed.stop();
    open.stop();
}

/// A member of the group `billing` that reads the topic `orders`, and gives up on a message in it.
struct Billing {
    client: Client,
    consumer: PushConsumer,
}

impl Billing {
    async fn start(namesrv: &str) -> Self {
        const BODY: &[u8] = b"cannot be billed";
        let client = Client::builder(namesrv).call_timeout(PATIENCE).build().expect("a client");
        let producer = client.producer("shop").send_timeout(PATIENCE).build().expect("a producer");
        let order = Message::builder("orders").body(BODY).key("unbillable").build().expect("a message");
        producer.send(order).await.expect("it is stored");
        producer.close().await;
        let consumer = client
            .push_consumer("billing")
            .subscribe("orders", Filter::all())
            .consume_from(ConsumeFrom::First)
            .start(|message: Received| {
                let is_bad = message.body().as_ref() == BODY;
                std::future::ready(if is_bad { Outcome::DeadLetter } else { Outcome::Done })
            })
            .await
            .expect("it starts");
        Self { client, consumer }
    }

    async fn stop(self) {
        self.consumer.close().await;
        self.client.close().await;
    }
}

/// Runs a script of the dashboard's package.
fn npm(script: &str, environment: &[(&str, String)]) {
    let mut command = Command::new("npm");
    command.args(["run", "--silent", script]).current_dir(toolchain::dashboard());
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let log = target().join(format!("dashboard-{script}.log"));
    let status = run("npm", command, &log, LIMIT);
    assert!(status.success(), "npm run {script} ended with {status}\n{}", tail(&log, 120));
}

/// The directory that this test's program was built into: `target`, two above `deps`.
fn target() -> PathBuf {
    let program = std::env::current_exe().expect("a program has a path");
    program.ancestors().nth(3).map(Path::to_owned).expect("cargo builds into target/PROFILE/deps")
}
