//! What a run does once, before it loads the server: find the broker, make the topic, ask for offsets.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use serde::Deserialize;

use super::frame::{AnswerReader, Encoding, FIRST_OPAQUE, encode};

/// How long a server may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a NameServer may take to hear of its first broker.
const BROKER_TIMEOUT: Duration = Duration::from_secs(10);

/// An answer that outlives the buffer it came in.
#[derive(Debug)]
struct Reply {
    code: i32,
    remark: String,
    offset: Option<String>,
    body: Vec<u8>,
}

/// A connection for a few requests, one after the other.
#[derive(Debug)]
pub(crate) struct Control {
    socket: TcpStream,
    address: SocketAddr,
}

impl Control {
    /// Connects to `host:port`.
    pub(crate) fn open(server: &str) -> Result<Self> {
        let address = resolve(server)?;
        let socket = TcpStream::connect_timeout(&address, Duration::from_secs(3))
            .with_context(|| format!("no server answers at {server}"))?;
        socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, address })
    }

    /// The address that `host:port` stands for.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn call(&mut self, code: RequestCode, fields: &[(&str, &str)]) -> Result<Reply> {
        let mut out = Vec::new();
        encode(&mut out, Encoding::Json, code, FIRST_OPAQUE, fields, b"");
        self.socket.write_all(&out)?;
        let (mut bytes, mut reader) = (Vec::new(), AnswerReader::default());
        let mut part = [0; 4096];
        loop {
            if let Some((answer, len)) = reader.next(&bytes)? {
                if !answer.is_request {
                    return Ok(Reply {
                        code: answer.code,
                        remark: answer.remark(),
                        offset: answer.field("offset"),
                        body: answer.body.to_vec(),
                    });
                }
                bytes.drain(..len);
                continue;
            }
            let len = self
                .socket
                .read(&mut part)
                .with_context(|| format!("{} does not answer {code}", self.address))?;
            if len == 0 {
                bail!("{} closed the connection on {code}", self.address);
            }
            bytes.extend_from_slice(&part[..len]);
        }
    }

    /// Makes `topic` with that many queues, or gives it that many.
    pub(crate) fn create_topic(&mut self, topic: &str, queues: u32) -> Result<()> {
        let queues = queues.to_string();
        let ext = [
            ("defaultTopic", "TBW102"),
            ("order", "false"),
            ("perm", "6"),
            ("readQueueNums", queues.as_str()),
            ("topic", topic),
            ("topicFilterType", "SINGLE_TAG"),
            ("topicSysFlag", "0"),
            ("writeQueueNums", queues.as_str()),
        ];
        let reply = self.call(RequestCode::UpdateAndCreateTopic, &ext)?;
        if reply.code != 0 {
            bail!("the broker does not make topic {topic}: code {} {}", reply.code, reply.remark);
        }
        Ok(())
    }

    /// Where a queue ends: the offset of its next message.
    pub(crate) fn max_offset(&mut self, topic: &str, queue: u32) -> Result<u64> {
        self.offset(RequestCode::GetMaxOffset, topic, queue)
    }

    /// Where a queue begins.
    pub(crate) fn min_offset(&mut self, topic: &str, queue: u32) -> Result<u64> {
        self.offset(RequestCode::GetMinOffset, topic, queue)
    }

    fn offset(&mut self, code: RequestCode, topic: &str, queue: u32) -> Result<u64> {
        let reply = self.call(code, &[("queueId", &queue.to_string()), ("topic", topic)])?;
        match reply.offset.as_deref().map(str::parse::<i64>) {
            Some(Ok(offset)) if reply.code == 0 => Ok(offset.max(0) as u64),
            _ => bail!("the broker tells no offset of {topic} {queue}: code {} {}", reply.code, reply.remark),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Route {
    broker_datas: Vec<BrokerData>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BrokerData {
    broker_name: String,
    broker_addrs: std::collections::BTreeMap<String, String>,
}

/// A broker as a route names it.
#[derive(Clone, Debug)]
pub(crate) struct Broker {
    /// `host:port`.
    pub(crate) address: String,
    /// Its name; empty when it was given by address.
    pub(crate) name: String,
}

/// Asks the NameServer for a master that serves `topic`, or any that would make it.
pub(crate) fn find_broker(namesrv: &str, topic: &str) -> Result<Broker> {
    let mut control = Control::open(namesrv)?;
    let began = Instant::now();
    loop {
        for wanted in [topic, "TBW102"] {
            let reply = control.call(RequestCode::GetRouteInfoByTopic, &[("topic", wanted)])?;
            if reply.code == ResponseCode::TopicNotExist.code() {
                continue;
            }
            if reply.code != 0 {
                bail!("the NameServer at {namesrv} gives no route: code {} {}", reply.code, reply.remark);
            }
            let route: Route = serde_json::from_slice(&reply.body).with_context(|| {
                format!("the NameServer at {namesrv} gave a route that is not understood")
            })?;
            let master = route.broker_datas.into_iter().find_map(|mut broker| {
                Some(Broker { address: broker.broker_addrs.remove("0")?, name: broker.broker_name })
            });
            return master.with_context(|| format!("{topic} has no master broker"));
        }
        if began.elapsed() > BROKER_TIMEOUT {
            bail!(
                "the NameServer at {namesrv} knows no broker that serves {topic} or makes topics on demand"
            );
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn resolve(server: &str) -> Result<SocketAddr> {
    server
        .to_socket_addrs()
        .with_context(|| format!("{server:?} is no host:port"))?
        .next()
        .with_context(|| format!("{server} has no address"))
}
