//! Receiving by streams: server-sent events and WebSockets.

use std::collections::BTreeSet;
use std::time::Duration;

use ferromq_model::Millis;
use ferromq_store::FlushMode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::receives::{send, until};
use crate::rig::{Connection, Http};

const OF_G: &str = "/v1/topics/T/groups/G";

/// A stream of events.
struct Events {
    connection: Connection,
    text: String,
}

impl Events {
    async fn open(http: &Http, query: &str) -> Self {
        let mut connection = http.connect().await;
        connection.begin("GET", &format!("{OF_G}/events?{query}"), &[], Some(0)).await;
        let head = connection.read_head().await;
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
        Self { connection, text: String::new() }
    }

    /// The next event's name and data; `None` at the end of the stream.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let lines = block.lines().filter_map(|line| line.strip_prefix(name));
                    lines.collect::<Vec<_>>().join("\n")
                };
                let (event, data) = (field("event: "), field("data: "));
                self.text = rest.to_owned();
                if !event.is_empty() {
                    return Some((event, serde_json::from_str(&data).unwrap()));
                }
            }
            let read = tokio::time::timeout(Duration::from_secs(60), self.connection.read_chunk());
            self.text.push_str(std::str::from_utf8(&read.await.expect("an event")?).unwrap());
        }
    }

    async fn message(&mut self) -> Value {
        let (event, data) = self.next().await.expect("a message");
        assert_eq!(event, "message", "{data}");
        data
    }
}

#[tokio::test]
async fn events_come_as_room_is_made_by_acknowledgements_on_other_connections() {
    let http = Http::start().await;
    send(&http, &["a", "b", "c"]).await;
    let mut events = Events::open(&http, "unacked=1").await;
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        let message = events.message().await;
        seen.insert(message["text"].as_str().unwrap().to_owned());
        // With one out, the others stay where whoever asks gets them: nothing more is taken.
        assert!(events.text.is_empty(), "{}", events.text);
        let acked = http.post(&format!("{OF_G}/acks"), &json!({"receipts": [message["receipt"]]})).await;
        assert_eq!(acked.status, 200);
    }
    assert_eq!(seen.len(), 3);
    http.stop().await;
}

#[tokio::test]
async fn a_lease_that_ends_makes_room_and_the_message_comes_again() {
    let http = Http::start().await;
    send(&http, &["a"]).await;
    let mut events = Events::open(&http, "unacked=1&lease=1s").await;
    let first = events.message().await;
    http.rig.host.advance(Millis::secs(2));
    http.broker().revive();
    let second = events.message().await;
    assert_eq!((&first["messageId"], second["deliveries"].as_u64()), (&second["messageId"], Some(2)));
    http.stop().await;
}

#[tokio::test]
async fn streams_of_a_group_share_its_messages() {
    let http = Http::start().await;
    send(&http, &["first"]).await;
    let mut streams = [Events::open(&http, "unacked=1").await, Events::open(&http, "unacked=1").await];
    let names: Vec<_> = (0..2).map(|n| n.to_string()).collect();
    send(&http, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut seen = Vec::new();
    let [one, other] = &mut streams;
    for _ in 0..3 {
        let message = tokio::select! {
            message = one.message() => message,
            message = other.message() => message,
        };
        http.post(&format!("{OF_G}/acks"), &json!({"receipts": [message["receipt"]]})).await;
        seen.push(message["text"].as_str().unwrap().to_owned());
    }
    seen.sort();
    assert_eq!(seen, ["0", "1", "first"]);
    http.stop().await;
}

#[tokio::test]
async fn there_are_only_so_many_streams_and_a_client_that_goes_frees_its_place() {
    let http = Http::with(FlushMode::Async, |config| config.max_streams = 1, None).await;
    send(&http, &["a"]).await;
    let first = Events::open(&http, "").await;
    let detail = http.get(&format!("{OF_G}/events")).await.refused("too-many");
    assert!(detail.contains("httpMaxStreams"), "{detail}");
    drop(first);
    let free = async {
        loop {
            let mut connection = http.connect().await;
            connection.begin("GET", &format!("{OF_G}/events"), &[], Some(0)).await;
            if connection.read_head().await.status == 200 {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), free).await.expect("a place");
    http.stop().await;
}

#[tokio::test]
async fn a_stop_ends_streams() {
    let http = Http::start().await;
    send(&http, &["a"]).await;
    let mut events = Events::open(&http, "").await;
    events.message().await;
    let ended = async {
        assert_eq!(events.next().await, None);
    };
    tokio::join!(http.stop(), ended);
}

#[tokio::test]
async fn a_stream_that_cannot_be_is_refused_before_it_begins() {
    let http = Http::start().await;
    send(&http, &["a"]).await;
    http.get("/v1/topics/No/groups/G/events").await.refused("no-topic");
    http.get(&format!("{OF_G}/events?unacked=0")).await.refused("bad-request");
    http.get(&format!("{OF_G}/events?sql=n%3D")).await.refused("bad-request");
    http.get(&format!("{OF_G}/socket")).await.refused("bad-request");
    http.stop().await;
}

/// What a client that never reads holds up is itself: no more is taken for it than its socket's buffers hold.
#[tokio::test]
async fn nothing_is_taken_for_a_stream_that_is_not_read() {
    let http = Http::start().await;
    let body = "x".repeat(60_000);
    for _ in 0..40 {
        let messages: Vec<_> = (0..25).map(|_| json!({"text": body})).collect();
        assert_eq!(http.post("/v1/topics/T/messages", &json!({"messages": messages})).await.status, 201);
    }
    let slow = Events::open(&http, "unacked=10000").await;
    let mut taken = 0;
    let drain = async {
        // Others get the rest at once, while the slow one sits there.
        loop {
            let answer = http.get(&format!("{OF_G}/messages?wait=0s&max=32&body=none")).await.json();
            let count = answer["messages"].as_array().unwrap().len();
            if count == 0 {
                break;
            }
            taken += count;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), drain).await.expect("the rest");
    assert!(taken > 500, "only {taken} of 1000 were left");
    drop(slow);
    http.stop().await;
}

/// A WebSocket by hand.
struct Socket(Connection);

impl Socket {
    async fn open(http: &Http, query: &str) -> Self {
        let mut connection = http.connect().await;
        let headers = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        connection.begin("GET", &format!("{OF_G}/socket?{query}"), &headers, Some(0)).await;
        let head = connection.read_head().await;
        assert_eq!(
            (head.status, head.header("sec-websocket-accept")),
            (101, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
        );
        Self(connection)
    }

    async fn say(&mut self, frame: Value) {
        self.say_text(&frame.to_string()).await;
    }

    async fn say_text(&mut self, text: &str) {
        let mut frame = vec![0x81];
        match text.len() {
            short @ 0..126 => frame.push(0x80 | short as u8),
            long => {
                frame.push(0x80 | 126);
                frame.extend((long as u16).to_be_bytes());
            }
        }
        // A mask of zeros changes nothing.
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        self.0.0.get_mut().write_all(&frame).await.unwrap();
    }

    /// The next frame of JSON; `Err` with the code of a close.
    async fn hear(&mut self) -> Result<Value, u16> {
        loop {
            let (kind, payload) =
                tokio::time::timeout(Duration::from_secs(60), self.frame()).await.expect("a frame");
            match kind {
                1 => return Ok(serde_json::from_slice(&payload).unwrap()),
                8 => return Err(u16::from_be_bytes([payload[0], payload[1]])),
                _ => {}
            }
        }
    }

    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let kind = self.0.0.read_u8().await.unwrap() & 0x0F;
        let length = match self.0.0.read_u8().await.unwrap() {
            126 => self.0.0.read_u16().await.unwrap().into(),
            127 => self.0.0.read_u64().await.unwrap(),
            short => short.into(),
        };
        let mut payload = vec![0; length as usize];
        self.0.0.read_exact(&mut payload).await.unwrap();
        (kind, payload)
    }

    /// Messages until there are so many.
    async fn messages(&mut self, count: usize) -> Vec<Value> {
        let mut all = Vec::new();
        while all.len() < count {
            all.extend(self.hear().await.unwrap()["messages"].as_array().unwrap().clone());
        }
        all
    }
}

#[tokio::test]
async fn a_socket_sends_what_it_has_credit_for_and_settles() {
    let http = Http::start().await;
    send(&http, &["a", "b", "c"]).await;
    let mut socket = Socket::open(&http, "").await;
    socket.say(json!({"credit": 2})).await;
    let two = socket.messages(2).await;
    socket.say(json!({"ack": [two[0]["receipt"]]})).await;
    let results = socket.hear().await.unwrap();
    assert_eq!(results["results"][0]["receipt"], two[0]["receipt"], "nothing came without credit: {results}");
    socket.say(json!({"extend": [two[1]["receipt"]], "lease": "50s"})).await;
    let new = socket.hear().await.unwrap()["results"][0]["receipt"].clone();
    socket.say(json!({"nack": [new], "delay": "5s"})).await;
    assert_eq!(socket.hear().await.unwrap()["results"][0]["receipt"], new);
    socket.say(json!({"credit": 5})).await;
    socket.messages(1).await;
    http.rig.host.advance(Millis::secs(6));
    http.broker().revive();
    let again = socket.messages(1).await;
    assert_eq!((&again[0]["messageId"], again[0]["deliveries"].as_u64()), (&two[1]["messageId"], Some(2)));
    http.stop().await;
}

#[tokio::test]
async fn a_frame_that_says_nothing_is_answered_and_the_socket_goes_on() {
    let http = Http::start().await;
    send(&http, &["a"]).await;
    let mut socket = Socket::open(&http, "").await;
    for bad in [
        "",
        "nonsense",
        "{}",
        "{\"credit\":-1}",
        "{\"ack\":\"x\"}",
        "{\"credit\":1,\"ack\":[]}",
        "{\"ack\":[]}",
    ] {
        socket.say_text(bad).await;
        assert_eq!(socket.hear().await.unwrap()["error"]["code"], "bad-request", "{bad}");
    }
    socket.say(json!({"ack": ["x"]})).await;
    assert_eq!(socket.hear().await.unwrap()["results"][0]["error"]["code"], "invalid-receipt");
    socket.say(json!({"credit": 1})).await;
    socket.messages(1).await;
    http.stop().await;
}

#[tokio::test]
async fn what_a_socket_leaves_behind_comes_again_at_once() {
    let http = Http::start().await;
    send(&http, &["a"]).await;
    let mut socket = Socket::open(&http, "lease=1h").await;
    socket.say(json!({"credit": 1})).await;
    socket.messages(1).await;
    drop(socket);
    let given_back = async {
        loop {
            http.rig.host.advance(Millis(1));
            http.broker().revive();
            let answer = http.get(&format!("{OF_G}/messages?wait=0s")).await.json();
            if !answer["messages"].as_array().unwrap().is_empty() {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), given_back).await.expect("it comes again");
    until("nobody waits", || http.broker().waiting_pops("G", "T", None) == 0).await;
    http.stop().await;
}

#[tokio::test]
async fn a_stop_closes_sockets() {
    let http = Http::start().await;
    send(&http, &["a"]).await;
    let mut socket = Socket::open(&http, "").await;
    let closed = async {
        assert_eq!(socket.hear().await, Err(1001), "going away");
        drop(socket);
    };
    tokio::join!(http.stop(), closed);
}
