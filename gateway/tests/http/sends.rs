//! Sending.

use ferromq_model::QueueId;
use ferromq_store::FlushMode;
use serde_json::json;

use crate::rig::{Answer, Http};

const TO_T: &str = "/v1/topics/T/messages";

#[tokio::test]
async fn a_raw_message_keeps_its_bytes_and_what_its_headers_say() {
    let http = Http::start().await;
    let headers = [
        ("Content-Type", "text/plain"),
        ("FerroMQ-Tag", "t"),
        ("FerroMQ-Keys", "k1 k2"),
        ("FerroMQ-Property", "Ab=c%20%C3%A4"),
        ("FerroMQ-Queue", "2"),
    ];
    let answer = http.ask("POST", TO_T, &headers, b"\x00hello\xFF").await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let sent = answer.json();
    assert_eq!((sent["queueId"].as_u64(), sent["queueOffset"].as_u64()), (Some(2), Some(0)));
    let found = http.broker().queue("T", QueueId(2)).unwrap();
    assert_eq!(found.max().0, 1);
    http.stop().await;
}

#[tokio::test]
async fn many_messages_are_answered_one_by_one() {
    let http = Http::start().await;
    let all = http.post(TO_T, &json!({"messages": [{"text": "1"}, {"json": 2}]})).await;
    assert_eq!((all.status, all.json()["results"].as_array().unwrap().len()), (201, 2));
    let some = http
        .post(TO_T, &json!({"messages": [{"text": "1"}, {"text": "2", "queueId": 99}, {"text": "3"}]}))
        .await;
    assert_eq!(some.status, 207);
    let results = some.json()["results"].clone();
    assert_eq!(results[1]["error"]["code"], "no-queue");
    assert!(results[0]["messageId"].is_string() && results[2]["messageId"].is_string());
    http.stop().await;
}

/// A topic, headers, and a body.
type Sending<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [u8]);

/// Without parameters a send goes past the router; with any, through it.
#[tokio::test]
async fn a_send_is_answered_alike_past_the_router_and_through_it() {
    let http = Http::start().await;
    let json = ("Content-Type", "application/json");
    let sends: [Sending<'_>; 8] = [
        ("T", &[("Content-Type", "text/plain"), ("FerroMQ-Queue", "1")], b"raw"),
        ("T", &[json], br#"{"text":"one","queueId":1}"#),
        ("T", &[json], br#"{"messages":[{"text":"1","queueId":1},{"text":"2","queueId":99}]}"#),
        ("T", &[("Content-Type", "application/x-ndjson")], b"{\"text\":\"1\",\"queueId\":1}\n{}\n"),
        ("T", &[json], b"{"),
        ("T", &[("FerroMQ-Queue", "99")], b"raw"),
        ("RMQ_SYS_TRACE_TOPIC_", &[("Idempotency-Key", "")], b"raw"),
        ("T", &[("Content-Encoding", "br")], b"raw"),
    ];
    for (topic, headers, body) in sends {
        let path = format!("/v1/topics/{topic}/messages");
        let direct = http.ask("POST", &path, headers, body).await;
        let routed = http.ask("POST", &format!("{path}?results=all"), headers, body).await;
        let shown = |answer: &Answer| {
            let mut headers: Vec<_> = answer.headers.iter().map(|(name, _)| name.clone()).collect();
            headers.sort_unstable();
            // Ids and places differ from one message to the next, and the id of a request from every other. They have digits.
            let text = answer.text();
            let words = text.split(|c: char| !c.is_ascii_alphanumeric());
            let words: Vec<_> = words.filter(|word| !word.contains(|c: char| c.is_ascii_digit())).collect();
            (answer.status, headers, words.join(" "))
        };
        assert_eq!(shown(&direct), shown(&routed), "{headers:?}");
    }
    http.stop().await;
}

#[tokio::test]
async fn lines_are_answered_in_order_while_they_come() {
    let http = Http::start().await;
    let mut connection = http.connect().await;
    connection.begin("POST", TO_T, &[("Content-Type", "application/x-ndjson")], None).await;
    connection.chunk(b"{\"text\":\"1\",\"queueId\":1}\n{\"te").await;
    assert_eq!(connection.read_head().await.status, 200);
    let first = connection.read_chunk().await.unwrap();
    let first: serde_json::Value = serde_json::from_slice(&first).unwrap();
    assert_eq!((first["queueId"].as_u64(), first["queueOffset"].as_u64()), (Some(1), Some(0)));
    connection.chunk(b"xt\":\"2\",\"queueId\":1}\n\n{\"nope\":1}\n{\"text\":\"3\",\"queueId\":1}").await;
    connection.chunk(b"").await;
    let mut rest = Vec::new();
    while let Some(chunk) = connection.read_chunk().await {
        rest.extend(chunk);
    }
    let rest = String::from_utf8(rest).unwrap();
    let rest: Vec<serde_json::Value> = rest.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rest.len(), 3);
    assert_eq!((rest[0]["queueOffset"].as_u64(), rest[2]["queueOffset"].as_u64()), (Some(1), Some(2)));
    assert_eq!(rest[1]["error"]["code"], "bad-request");
    http.stop().await;
}

#[tokio::test]
async fn a_stream_can_be_answered_with_its_errors_only() {
    let http = Http::start().await;
    let path = format!("{TO_T}?results=errors");
    let lines = b"{\"text\":\"1\"}\n{}\n{\"text\":\"2\"}\n";
    let answer = http.ask("POST", &path, &[("Content-Type", "application/x-ndjson")], lines).await.lines();
    assert_eq!(
        (answer[0]["line"].as_u64(), answer[0]["error"]["code"].as_str()),
        (Some(2), Some("invalid-message"))
    );
    assert_eq!(answer[1], json!({"stored": 2, "refused": 1}));
    http.stop().await;
}

#[tokio::test]
async fn bodies_are_limited_after_decompression_too() {
    let http = Http::with(
        FlushMode::Async,
        |config| {
            config.max_body_size = ferromq_model::ByteSize::kib(1);
            // A body that is not read to its end keeps its connection for so long.
            config.read_timeout = ferromq_model::Millis::secs(2);
        },
        None,
    )
    .await;
    http.ask("POST", TO_T, &[], &[b'x'; 1025]).await.refused("too-large");
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut zipped, &[b'x'; 100_000]).unwrap();
    let zipped = zipped.finish().unwrap();
    assert!(zipped.len() < 1000);
    http.ask("POST", TO_T, &[("Content-Encoding", "gzip")], &zipped).await.refused("too-large");
    let line = [&b"{\"text\":\""[..], &[b'x'; 1025], b"\"}\n"].concat();
    let mut connection = http.connect().await;
    connection.begin("POST", TO_T, &[("Content-Type", "application/x-ndjson")], None).await;
    for piece in line.chunks(500) {
        connection.chunk(piece).await;
    }
    let answer = connection.read().await;
    assert_eq!(answer.lines()[0]["error"]["code"], "too-large");
    drop(connection);
    assert_eq!(http.broker().topics().find("T").map(|_| ()), None, "nothing was stored");
    http.stop().await;
}

#[tokio::test]
async fn with_sync_flush_an_answer_waits_for_the_disk() {
    let http = Http::with(FlushMode::Sync, |_| {}, None).await;
    assert_eq!(http.ask("POST", TO_T, &[], b"first").await.status, 201);
    http.rig.host.close_gate();
    let mut connection = http.connect().await;
    connection.begin("POST", TO_T, &[], Some(1)).await;
    tokio::io::AsyncWriteExt::write_all(connection.0.get_mut(), b"x").await.unwrap();
    let stored = async || {
        while http.broker().totals().put < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), stored()).await.expect("it is stored");
    {
        let answer = std::pin::pin!(connection.read());
        assert!(futures_util::FutureExt::now_or_never(answer).is_none(), "answered before the flush");
    }
    http.rig.host.open_gate();
    assert_eq!(connection.read().await.status, 201);
    http.stop().await;
}

#[tokio::test]
async fn messages_of_one_sharding_key_share_a_queue() {
    let http = Http::start().await;
    let mut queues = std::collections::BTreeSet::new();
    for _ in 0..8 {
        let sent = http.post(TO_T, &json!({"text": "a", "shardingKey": "order-7"})).await.json();
        queues.insert(sent["queueId"].as_u64().unwrap());
    }
    assert_eq!(queues.len(), 1);
    http.stop().await;
}

#[tokio::test]
async fn a_delayed_message_can_be_taken_back() {
    let http = Http::start().await;
    let sent = http.post(TO_T, &json!({"text": "a", "delay": "1h"})).await;
    assert_eq!(sent.status, 201, "{}", sent.text());
    let handle = sent.json()["recallHandle"].as_str().unwrap().to_owned();
    assert_eq!(http.ask("DELETE", &format!("/v1/topics/T/recalls/{handle}"), &[], b"").await.status, 204);
    http.ask("DELETE", "/v1/topics/T/recalls/none", &[], b"").await.refused("bad-request");
    http.stop().await;
}

#[tokio::test]
async fn what_cannot_be_stored_is_refused() {
    let http = Http::start().await;
    http.ask("POST", "/v1/topics/a%20b/messages", &[], b"x").await.refused("invalid-name");
    http.ask("POST", "/v1/topics/SCHEDULE_TOPIC_XXXX/messages", &[], b"x").await.refused("forbidden");
    http.post(TO_T, &json!({"text": "a", "queueId": 99})).await.refused("no-queue");
    http.post(TO_T, &json!({"text": "a", "properties": {"UNIQ_KEY": "x"}})).await.refused("invalid-message");
    http.ask("POST", TO_T, &[("FerroMQ-Delay", "soon")], b"x").await.refused("bad-request");
    http.ask("POST", TO_T, &[("Content-Encoding", "br")], b"x").await.refused("unsupported-media-type");
    http.stop().await;
}
