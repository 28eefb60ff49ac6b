//! Brokers and a NameServer that answer as a test says.

use std::sync::Arc;

use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::frame::Command;
use ferromq_protocol::header::{EndTransaction, Header as _, SendMessage};
use parking_lot::Mutex;
use serde_json::json;

use crate::client::Client;
pub(crate) use crate::fake::PATIENCE;
use crate::fake::{FakeServer, Reaction, patient};
use crate::message::Message;
use crate::producer::{Producer, ProducerBuilder};

/// Brokers `a`, `b`, … and a NameServer that names them, with a topic `T` of two queues on each.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    _servers: Vec<FakeServer>,
    /// What the NameServer says of `T`.
    pub(crate) route: Arc<Mutex<String>>,
    /// What the first heartbeat is answered with.
    pub(crate) asks: Arc<Mutex<Option<Reaction>>>,
    /// What was sent: broker, queue and body.
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    /// How transactions were ended, as the protocol numbers it; and whether because a broker asked.
    pub(crate) ended: Arc<Mutex<Vec<(i32, bool)>>>,
}

pub(crate) type Seen = (char, u32, Vec<u8>);

type Reply = Arc<dyn Fn(char, &SendMessage<'_>, &Command<'_>) -> Reaction + Send + Sync>;

impl Cluster {
    pub(crate) async fn start(
        brokers: usize,
        reply: impl Fn(char, &SendMessage<'_>, &Command<'_>) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let reply: Reply = Arc::new(reply);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(Mutex::new(Vec::new()));
        let asks = Arc::new(Mutex::new(None));
        let mut servers = Vec::new();
        let (mut queues, mut members) = (Vec::new(), Vec::new());
        for name in ('a'..).take(brokers) {
            let (reply, seen, ended) = (Arc::clone(&reply), Arc::clone(&seen), Arc::clone(&ended));
            let asked = Arc::clone(&asks);
            let server = FakeServer::start(move |command| {
                let sends = [
                    RequestCode::SendMessageV2,
                    RequestCode::SendBatchMessage,
                    RequestCode::SendReplyMessageV2,
                ];
                if command.request_code() == Some(RequestCode::HeartBeat) {
                    return asked.lock().take().unwrap_or_else(Reaction::ok);
                }
                if command.request_code() == Some(RequestCode::EndTransaction) {
                    let end = EndTransaction::decode(&command.fields).expect("a whole header");
                    assert_eq!((end.group, end.half.0, end.at.0), ("G", 17, 0x457));
                    ended.lock().push((end.decision, end.from_check));
                }
                if !command.request_code().is_some_and(|code| sends.contains(&code)) {
                    return Reaction::ok();
                }
                let send = SendMessage::decode(&command.fields).expect("a whole header");
                let queue = send.queue.expect("clients choose").0;
                seen.lock().push((name, queue, command.body.to_vec()));
                reply(name, &send, command)
            })
            .await;
            queues.push(json!({"brokerName": name, "readQueueNums": 2, "writeQueueNums": 2, "perm": 6, "topicSysFlag": 0}));
            members
                .push(json!({"cluster": "c", "brokerName": name, "brokerAddrs": {"0": &*server.address()}}));
            servers.push(server);
        }
        let route =
            json!({"queueDatas": queues, "brokerDatas": members, "filterServerTable": {}}).to_string();
        let route = Arc::new(Mutex::new(route));
        let said = Arc::clone(&route);
        let names = FakeServer::start(move |command| match command.fields.find("topic") {
            Some("T" | "TBW102") => {
                Reaction::Answer(ResponseCode::Success, Vec::new(), said.lock().clone().into_bytes())
            }
            _ => Reaction::Answer(ResponseCode::TopicNotExist, Vec::new(), Vec::new()),
        })
        .await;
        let client = patient(&names.address()).build().expect("a valid address");
        servers.push(names);
        Self { client, _servers: servers, route, seen, ended, asks }
    }

    pub(crate) fn producer(&self, set: impl FnOnce(ProducerBuilder) -> ProducerBuilder) -> Producer {
        set(self.client.producer("G").send_timeout(PATIENCE)).build().expect("valid settings")
    }

    pub(crate) fn name_server(&self) -> Arc<str> {
        Arc::clone(&self.client.inner.routes.name_servers()[0])
    }

    /// Brokers that were sent to, in order.
    pub(crate) fn brokers(&self) -> String {
        self.seen.lock().iter().map(|(broker, ..)| broker).collect()
    }
}

pub(crate) fn stored(send: &SendMessage<'_>) -> Reaction {
    let fields = vec![
        ("msgId", "7F00000100002A9F0000000000000457".to_owned()),
        ("queueId", send.queue.expect("clients choose").0.to_string()),
        ("queueOffset", "17".to_owned()),
    ];
    Reaction::Answer(ResponseCode::Success, fields, Vec::new())
}

pub(crate) fn code(code: ResponseCode) -> Reaction {
    Reaction::Answer(code, Vec::new(), Vec::new())
}

pub(crate) fn message(body: &str) -> Message {
    Message::new("T", body.to_owned()).expect("a valid message")
}
