//! Official and common clients of what HTTP has standards for, against our server.

use std::process::Stdio;

use ferromq_model::message::{MessageId, find_property};
use ferromq_protocol::code::RequestCode;
use ferromq_protocol::header::ViewMessage;
use ferromq_tests::remoting::Connection;
use ferromq_tests::{Kind, Launch, toolchain};
use serde_json::Value;

/// What was stored is looked at over remoting: a RocketMQ consumer sees these properties and this body.
#[test]
fn events_of_the_official_cloudevents_sdk_are_stored_with_their_attributes_and_data() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Launch::new(Kind::Ferro, dir.path()).small_files().start();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/cloudevents/send.py");
    let output = toolchain::python("cloudevents")
        .arg(script)
        .arg(format!("http://{}/v1/topics/Events/messages", server.http()))
        .stderr(Stdio::inherit())
        .output()
        .expect("python3 runs");
    assert!(output.status.success(), "the SDK's program ended with {}", output.status);
    let mut sent = Vec::new();
    for line in String::from_utf8(output.stdout).expect("text").lines() {
        let answer: Value = serde_json::from_str(line).expect("an answer of JSON");
        match answer["results"].as_array() {
            Some(results) => sent.extend(results.iter().cloned()),
            None => sent.push(answer),
        }
    }
    assert_eq!(sent.len(), 4);
    let mut connection = Connection::open(server.broker()).expect("the broker accepts");
    for (number, sent) in (1..).zip(&sent) {
        let id = sent["offsetMessageId"].as_str().and_then(MessageId::parse).expect("an id");
        let view = ViewMessage { offset: id.offset, topic: None };
        let answer = connection.ask(RequestCode::ViewMessageById, &view, &[]).expect("an answer");
        let records = answer.records();
        let [record] = &records[..] else { panic!("one message: {answer:?}") };
        let data: Value = serde_json::from_slice(record.body).expect("data of JSON");
        assert_eq!(data, serde_json::json!({"number": number, "text": "Grüße"}));
        let event = format!("event-{number}");
        for (name, value) in [
            ("CE_specversion", "1.0"),
            ("CE_id", &event),
            ("CE_source", "/tests/plain"),
            ("CE_type", "org.example.test"),
            ("CE_subject", "a subject with blanks"),
            ("CE_time", "2026-11-21T18:30:15Z"),
            ("KEYS", &event),
        ] {
            assert_eq!(find_property(record.properties, name), Some(value), "{name} of event {number}");
        }
        assert_eq!(
            find_property(record.properties, "CE_contenttype"),
            Some("application/json"),
            "event {number}"
        );
    }
    server.stop();
}
