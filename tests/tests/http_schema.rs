//! The HTTP API held to its own description: schemathesis makes requests from `/openapi.json`, sound ones and broken ones,
//! and looks at whether the answers are what the document says.
//!
//! Requests are made in the same way each time, so that what fails fails again. Streams without an end are left out.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ferromq_client::{Client, Message};
use ferromq_tests::process::{run, tail};
use ferromq_tests::server::{Kind, Launch};
use ferromq_tests::toolchain;

/// Some thousand requests on a machine with two busy cores.
const LIMIT: Duration = Duration::from_secs(900);
/// As long as nothing but a broken server takes for one.
const PATIENCE: Duration = Duration::from_secs(120);
/// Requests of each kind that one operation gets.
const EXAMPLES: &str = "12";
/// What answers are held to. That every broken request is refused is not among it: to schemathesis, an undeclared
/// parameter that nobody reads makes a request broken.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";
/// Of statuses above 500, what is switched off here, and what is not there for now; names that exist, so that requests
/// come further than to a refusal.
const CONFIG: &str = r#"
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "501", "503"]
"#;
const NAMES: &str = r#"
[parameters]
"path.topic" = "orders"
"path.group" = "billing"
"path.queue" = 0
"#;

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_one_that_the_description_names() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Launch::new(Kind::Ferro, dir.path()).small_files().start();
    let client = Client::builder(&server.namesrv()).call_timeout(PATIENCE).build().expect("a client");
    let producer = client.producer("shop").send_timeout(PATIENCE).build().expect("a producer");
    let order = Message::builder("orders").body("1").key("k").build().expect("a message");
    producer.send(order).await.expect("it is stored");
    producer.close().await;
    client.close().await;
    let http = format!("http://{}", server.http());
    let work = dir.path().to_owned();
    tokio::task::spawn_blocking(move || {
        schemathesis(&http, &work, "names", &format!("{CONFIG}{NAMES}"));
        schemathesis(&http, &work, "anything", CONFIG);
    })
    .await
    .expect("the answers conform");
    server.stop();
}

fn schemathesis(http: &str, dir: &Path, name: &str, config: &str) {
    let file = dir.join(format!("{name}.toml"));
    fs::write(&file, config).expect("a file");
    let mut command = toolchain::python("schemathesis");
    command
        .args(["-m", "schemathesis.cli", "--config-file"])
        .arg(&file)
        .arg("run")
        .arg(format!("{http}/openapi.json"))
        .args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES])
        .arg("--generation-deterministic")
        // By one thread: Python 3.11 cannot always parse its own sources in two.
        .args(["--workers", "1"])
        .args(["--exclude-path-regex", "/(events|socket)$", "--request-timeout", "120"])
        .args(["--suppress-health-check", "all", "--warnings", "off", "--no-color", "--no-shrink"])
        .current_dir(dir);
    let log = dir.join(format!("{name}.log"));
    let status = run("schemathesis", command, &log, LIMIT);
    assert!(status.success(), "schemathesis ended with {status}\n{}", tail(&log, 200));
}
