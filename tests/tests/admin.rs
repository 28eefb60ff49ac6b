//! `ferromq admin`, the real binary against a real server: what it prints for scripts, how it exits, and RocketMQ's names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use ferromq_tests::process::wait;
use ferromq_tests::{Kind, Launch, Server, toolchain};
use serde_json::{Value, json};

/// Longer than anything takes here on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Commands without a counterpart here: they are for servers or features that there are none of, or other tools do it.
const WITHOUT_COUNTERPART: [&str; 16] = [
    "addBroker",
    "checkMsgSendRT",
    "cleanBrokerMetadata",
    "clusterRT",
    "dumpCompactionLog",
    "electMaster",
    "exportMetadataInRocksDB",
    "exportPopRecord",
    "getControllerConfig",
    "getControllerMetaData",
    "getSyncStateSet",
    "remappingStaticTopic",
    "removeBroker",
    "resetMasterFlushOffset",
    "sendMsgStatus",
    "updateControllerConfig",
];

fn temporary() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("ferromq-admin-").tempdir().expect("a temporary directory")
}

fn start(dir: &Path) -> Server {
    Launch::new(Kind::Ferro, dir).small_files().set("brokerName", "broker-a").start()
}

/// Runs it; `line` is parted at blanks.
fn run(namesrv: &str, line: &str) -> Output {
    run_args(namesrv, &line.split(' ').collect::<Vec<_>>())
}

fn run_args(namesrv: &str, args: &[&str]) -> Output {
    Command::new(toolchain::ferromq())
        .args(["admin", "--timeout", "60", "--namesrv", namesrv])
        .args(args)
        .env_remove("NAMESRV_ADDR")
        .output()
        .expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What it prints as JSON.
#[track_caller]
fn json_of(namesrv: &str, line: &str) -> Value {
    let output = run(namesrv, &format!("{line} --output json"));
    assert_eq!(output.status.code(), Some(0), "{line}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// Its exit code, and what it says on standard error.
fn refusal(namesrv: &str, line: &str) -> (Option<i32>, String) {
    let output = run(namesrv, line);
    (output.status.code(), text(&output.stderr))
}

/// Waits until the NameServer knows a topic, or does not any more: brokers tell it in their own time.
#[track_caller]
fn wait_for_topic(namesrv: &str, topic: &str, there: bool) {
    let came = wait(LIMIT, || {
        let output = run(namesrv, "topic list --all --output json");
        let topics: Vec<String> = serde_json::from_slice(&output.stdout).unwrap_or_default();
        topics.iter().any(|known| known == topic) == there
    });
    assert!(came, "{topic} is {} there", if there { "not" } else { "still" });
}

fn create(namesrv: &str, topic: &str, queues: u32) {
    json_of(namesrv, &format!("topic create {topic} --queues {queues}"));
    wait_for_topic(namesrv, topic, true);
}

/// Positions of a group by queue.
fn positions(progress: &Value) -> Vec<(u64, u64, u64)> {
    let number = |value: &Value| value.as_u64().expect("a number");
    let queues = progress["queues"].as_array().expect("queues");
    queues.iter().map(|at| (number(&at["queue"]), number(&at["position"]), number(&at["lag"]))).collect()
}

#[test]
fn a_topic_is_made_changed_and_deleted() {
    let dir = temporary();
    let server = start(dir.path());
    let namesrv = server.namesrv();
    create(&namesrv, "Orders", 4);

    let changed = json_of(&namesrv, "topic update Orders --read-queues 2 --attributes +message.type=FIFO");
    assert_eq!(changed[0]["broker"]["name"], "broker-a");
    let config = &changed[0]["value"];
    assert_eq!(
        (&config["readQueueNums"], &config["writeQueueNums"]),
        (&json!(2), &json!(4)),
        "it keeps the rest"
    );
    let known = json_of(&namesrv, "topic config Orders");
    assert_eq!(known[0]["value"]["attributes"], json!({"message.type": "FIFO"}));
    json_of(&namesrv, "topic update Orders --read-queues 4 --attributes=-message.type");

    let status = json_of(&namesrv, "topic status Orders");
    assert_eq!(status["queues"].as_array().expect("queues").len(), 4);
    assert_eq!(
        status["queues"][3],
        json!({
            "topic": "Orders", "broker": "broker-a", "queue": 3, "min": 0, "max": 0, "lastStored": null,
        })
    );
    assert_eq!(json_of(&namesrv, "topic list"), json!(["Orders"]), "nothing of the broker's own");

    let deleted = json_of(&namesrv, "topic delete Orders");
    assert_eq!(deleted[0]["name"], "broker-a");
    wait_for_topic(&namesrv, "Orders", false);
    let (code, told) = refusal(&namesrv, "topic delete Orders");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("no broker has topic Orders"), "{told}");
    server.stop();
}

#[test]
fn a_group_is_moved_and_told_how_far_it_is() {
    let dir = temporary();
    let server = start(dir.path());
    let namesrv = server.namesrv();
    create(&namesrv, "Orders", 2);
    for body in ["a", "b", "c"] {
        json_of(&namesrv, &format!("message send Orders {body} --queue broker-a:1"));
    }
    let made = json_of(&namesrv, "group create readers --retry-max 3");
    assert_eq!(made[0]["value"]["retryMaxTimes"], 3);
    let groups = json_of(&namesrv, "group list");
    assert!(groups.as_array().expect("names").contains(&json!("readers")), "{groups}");

    let planned = json_of(&namesrv, "offset reset readers Orders --to last --dry-run");
    assert_eq!(
        planned[1],
        json!({
            "topic": "Orders", "broker": "broker-a", "queue": 1, "before": null, "after": 3,
        })
    );
    let again = json_of(&namesrv, "offset reset readers Orders --to last --dry-run");
    assert_eq!(again, planned, "nothing was moved");

    json_of(&namesrv, "offset reset readers Orders --to first");
    assert_eq!(
        positions(&json_of(&namesrv, "group progress readers --topic Orders")),
        [(0, 0, 0), (1, 0, 3)]
    );
    json_of(&namesrv, "offset reset readers Orders --offset 2 --queue 1");
    assert_eq!(positions(&json_of(&namesrv, "offset show readers Orders")), [(0, 0, 0), (1, 2, 1)]);
    let (code, told) = refusal(&namesrv, "offset reset readers Orders --offset 9 --queue 1");
    assert_eq!(code, Some(2), "{told}");

    json_of(&namesrv, "offset clone readers others Orders");
    assert_eq!(positions(&json_of(&namesrv, "offset show others Orders")), [(0, 0, 0), (1, 2, 1)]);
    json_of(&namesrv, "offset skip readers Orders");
    assert_eq!(json_of(&namesrv, "group progress readers")["lag"], 0);

    json_of(&namesrv, "group delete readers --offsets");
    assert_eq!(refusal(&namesrv, "group config readers").0, Some(1));
    server.stop();
}

#[test]
fn messages_are_found_by_each_of_their_ids() {
    let dir = temporary();
    let server = start(dir.path());
    let namesrv = server.namesrv();
    create(&namesrv, "Orders", 1);
    json_of(&namesrv, "message send Orders hello --key order-7 --tag paid");
    json_of(&namesrv, "message send Orders other --key order-8");
    // The index follows the log.
    let came = wait(LIMIT, || {
        json_of(&namesrv, "message find Orders order-7").as_array().is_some_and(|found| found.len() == 1)
    });
    assert!(came, "the key is not found");
    let found = &json_of(&namesrv, "message find Orders order-7")[0];
    assert_eq!(
        (&found["body"], &found["offset"], &found["properties"]["TAGS"]),
        (&json!("hello"), &json!(0), &json!("paid"))
    );
    let (id, place) = (found["id"].as_str().expect("an id"), found["place"].as_str().expect("a place"));
    assert_eq!(&json_of(&namesrv, &format!("message get --topic Orders {id}"))[0], found);
    assert_eq!(&json_of(&namesrv, &format!("message get {place}"))[0], found);

    let read = json_of(&namesrv, "message read Orders --queue 0 --offset 1");
    assert_eq!((&read[0]["body"], read.as_array().map(Vec::len)), (&json!("other"), Some(1)));
    let tagged = json_of(&namesrv, "message read Orders --tag paid");
    assert_eq!(tagged.as_array().map(Vec::len), Some(1));
    assert_eq!(refusal(&namesrv, "message get 7F00000100002A9F00000000000000FF --topic Orders").0, Some(1));
    server.stop();
}

#[test]
fn an_export_goes_on_where_its_cursor_is_and_is_imported_once() {
    let dir = temporary();
    let server = start(dir.path());
    let namesrv = server.namesrv();
    create(&namesrv, "Orders", 2);
    create(&namesrv, "Copies", 2);
    create(&namesrv, "Imported", 1);
    let (file, cursor, done) = (dir.path().join("out"), dir.path().join("cursor"), dir.path().join("done"));
    let (file, cursor, done) =
        (file.to_str().expect("text"), cursor.to_str().expect("text"), done.to_str().expect("text"));
    let export = format!("message export Orders {file} --cursor {cursor}");
    let lines = || {
        let text = fs::read_to_string(file).expect("it is written");
        text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")).collect::<Vec<_>>()
    };
    let bodies = |lines: &[Value]| {
        lines.iter().map(|line| line["body"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    for (number, body) in ["a", "b", "c"].iter().enumerate() {
        json_of(&namesrv, &format!("message send Orders {body} --key k --queue broker-a:{}", number % 2));
    }
    assert_eq!(run(&namesrv, &export).status.code(), Some(0));
    assert_eq!(bodies(&lines()), ["a", "c", "b"], "queue after queue");
    json_of(&namesrv, "message send Orders d --queue broker-a:0");
    assert_eq!(run(&namesrv, &export).status.code(), Some(0));
    assert_eq!(bodies(&lines()), ["a", "c", "b", "d"], "only what is new");

    let import = format!("message import {file} --topic Imported --cursor {done}");
    assert_eq!(json_of(&namesrv, &import), json!({"imported": 4}));
    assert_eq!(json_of(&namesrv, &import), json!({"imported": 0}), "the cursor is behind the last line");
    let imported = json_of(&namesrv, "message read Imported");
    assert_eq!(bodies(imported.as_array().expect("messages")), ["a", "c", "b", "d"]);
    assert_eq!(imported[0]["id"], lines()[0]["id"], "it is the same message");
    assert_eq!(imported[0]["properties"]["KEYS"], "k");

    assert_eq!(json_of(&namesrv, "topic copy Orders Copies"), json!({"copied": 4}));
    let copied = json_of(&namesrv, "message read Copies --queue broker-a:0");
    assert_eq!(bodies(copied.as_array().expect("messages")), ["a", "c", "d"], "queues stay what they are");
    server.stop();
}

#[test]
fn settings_of_brokers_and_name_servers_are_read_and_changed() {
    let dir = temporary();
    let server = start(dir.path());
    let namesrv = server.namesrv();
    let changed = json_of(&namesrv, "broker set fileReservedTime=48 --broker broker-a");
    assert_eq!(changed[0]["name"], "broker-a");
    let settings = json_of(&namesrv, "broker config fileReservedTime");
    assert_eq!(settings[0]["value"], json!({"fileReservedTime": "48"}));
    let (code, told) = refusal(&namesrv, "broker set no.such.key=1");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("broker-a"), "it says who refused: {told}");

    json_of(&namesrv, "namesrv kv put shop colour blue");
    assert_eq!(json_of(&namesrv, "namesrv kv get shop colour"), json!("blue"));
    json_of(&namesrv, "namesrv kv delete shop colour");
    assert_eq!(refusal(&namesrv, "namesrv kv get shop colour").0, Some(1));

    create(&namesrv, "Orders", 2);
    json_of(&namesrv, "namesrv wipe-writes broker-a");
    assert_eq!(json_of(&namesrv, "topic route Orders")[0]["writeQueues"], 0);
    json_of(&namesrv, "namesrv allow-writes broker-a");
    assert_eq!(json_of(&namesrv, "topic route Orders")[0]["writeQueues"], 2);

    let state = &json_of(&namesrv, "cluster list")[0];
    assert_eq!(
        (&state["broker"]["cluster"], &state["value"]["version"]),
        (&json!("DefaultCluster"), &json!("V5_3_3"))
    );
    server.stop();
}

#[test]
fn exit_codes_tell_a_refusal_wrong_arguments_and_silence_apart() {
    let dir = temporary();
    let server = start(dir.path());
    let namesrv = server.namesrv();
    for (line, expected) in [
        ("cluster list", 0),
        ("topic status Missing", 1),
        ("topic delete SELF_TEST_TOPIC", 1),
        ("cluster list --cluster nobody", 1),
        ("topic", 2),
        ("topic status", 2),
        ("topic status not/a/name", 2),
        ("offset reset readers Orders --to soon", 2),
        ("electMaster", 2),
    ] {
        let (code, told) = refusal(&namesrv, line);
        assert_eq!(code, Some(expected), "{line}: {told}");
    }
    assert_eq!(refusal("nowhere", "cluster list").0, Some(2), "that is no address");
    server.stop();
    let (code, told) = refusal(&namesrv, "topic list --output json");
    assert_eq!(code, Some(3), "{told}");
    let told: Value = serde_json::from_str(&told).expect("one JSON object");
    assert_eq!(told["remedy"], "retry");
    let (code, _) = refusal(&namesrv, "topic status Orders");
    assert_eq!(code, Some(3));
}

#[test]
fn the_doctor_finds_nothing_wrong_with_a_healthy_server_and_a_gone_one() {
    let dir = temporary();
    // A disk that is full for reasons of its own is none of this test's business.
    let server = start(dir.path());
    let namesrv = server.namesrv();
    let checks = |findings: &Value| {
        let findings = findings.as_array().expect("findings").clone();
        let bad =
            findings.iter().filter(|finding| finding["severity"] == "error" && finding["check"] != "disk");
        (
            bad.map(|finding| finding["advice"].to_string()).collect::<Vec<_>>(),
            findings
                .iter()
                .map(|finding| finding["check"].as_str().expect("text").to_owned())
                .collect::<BTreeSet<_>>(),
        )
    };
    let output = run(&namesrv, "doctor --output json");
    let (bad, looked_at) = checks(&serde_json::from_slice(&output.stdout).expect("JSON"));
    assert!(bad.is_empty(), "{bad:?}");
    assert!(
        looked_at.iter().map(String::as_str).eq(["address", "clock", "disk", "lag", "reachability"]),
        "{looked_at:?}"
    );
    server.stop();
    let output = run(&namesrv, "doctor --output json");
    assert_eq!(output.status.code(), Some(1));
    let (bad, _) = checks(&serde_json::from_slice(&output.stdout).expect("JSON"));
    assert!(bad.len() == 1 && bad[0].contains("check that the NameServer runs"), "{bad:?}");
}

#[test]
fn rocketmqs_names_and_options_do_the_same() {
    let dir = temporary();
    let server = start(dir.path());
    let namesrv = server.namesrv();
    json_of(&namesrv, "updateTopic -c DefaultCluster -t Orders -r 3 -w 3 -o true");
    wait_for_topic(&namesrv, "Orders", true);
    assert_eq!(json_of(&namesrv, "updateOrderConf -t Orders -m get"), json!("broker-a:3"));
    assert_eq!(json_of(&namesrv, "sendMessage -t Orders -p hello -k k -b broker-a -i 2")["queue"], 2);
    assert_eq!(json_of(&namesrv, "queryMsgByOffset -t Orders -b broker-a -i 2 -o 0")[0]["body"], "hello");
    json_of(&namesrv, &format!("updateSubGroup -b {} -g readers -r 5 -d false", server.broker()));
    let config = &json_of(&namesrv, "getConsumerConfig -g readers")[0]["value"];
    assert_eq!((&config["retryMaxTimes"], &config["consumeBroadcastEnable"]), (&json!(5), &json!(false)));
    json_of(&namesrv, "resetOffsetByTime -g readers -t Orders -s 0 -f true");
    assert_eq!(json_of(&namesrv, "consumerProgress -g readers -t Orders")["lag"], 1);
    json_of(&namesrv, "skipAccumulatedMessage -g readers -t Orders");
    assert_eq!(json_of(&namesrv, "consumerProgress -g readers -t Orders")["lag"], 0);
    assert_eq!(
        json_of(&namesrv, "updateBrokerConfig -c DefaultCluster -k fileReservedTime -v 30")[0]["name"],
        "broker-a"
    );
    json_of(&namesrv, "statsAll -t Orders");
    json_of(&namesrv, "deleteTopic -c DefaultCluster -t Orders");
    server.stop();
}

/// As docs/mqadmin.md lists them: what the server answers as the official one does, or nearly so.
#[test]
fn every_command_of_mqadmin_that_is_served_is_known_by_its_name() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/mqadmin.md");
    let page = fs::read_to_string(page).expect("the page is there");
    let rows = page.split("## ").find(|part| part.starts_with("Subcommands")).expect("its first table");
    let mut without = BTreeSet::new();
    let mut served = 0;
    for row in rows.lines().filter(|row| row.starts_with("| `")) {
        let (name, rest) = row[3..].split_once('`').expect("a name in code");
        if rest.starts_with(" | not supported") {
            continue;
        }
        served += 1;
        let output = run_args("127.0.0.1:1", &[name, "--help"]);
        match output.status.code() {
            Some(0) => assert!(text(&output.stdout).contains("Usage: ferromq admin"), "{name}"),
            Some(2) if text(&output.stderr).contains("has no counterpart") => drop(without.insert(name)),
            code => panic!("{name}: {code:?} {}", text(&output.stderr)),
        }
    }
    assert!(served > 60, "{served}");
    assert!(without.into_iter().eq(WITHOUT_COUNTERPART));
}

#[test]
fn shells_are_told_how_to_complete() {
    for shell in ["bash", "zsh", "fish"] {
        let output =
            Command::new(toolchain::ferromq()).args(["completions", shell]).output().expect("it runs");
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains("namesrv"), "{shell}");
    }
}
