//! One connection to the NameServer: frames in, the front-end's answers out, all of them at once.

use std::net::SocketAddr;
use std::task::Context;

use ferromq_namesrv::{ChannelId, NameServer};
use ferromq_net::{Outbox, Session};
use ferromq_protocol::frame::{Command, FrameError, HeaderScratch};

use super::namesrv::NamesrvFront;

/// One peer's connection to the NameServer.
pub(crate) struct NamesrvSession {
    front: NamesrvFront,
    channel: ChannelId,
    peer: SocketAddr,
    scratch: HeaderScratch,
}

impl NamesrvSession {
    /// The session of the connection `channel` to `peer`.
    pub(crate) fn new(namesrv: NameServer, channel: u64, peer: SocketAddr) -> Self {
        Self {
            front: NamesrvFront { namesrv },
            channel: ChannelId(channel),
            peer,
            scratch: HeaderScratch::new(),
        }
    }
}

/// The connection is gone, however it ended: so is the broker that registered on it.
impl Drop for NamesrvSession {
    fn drop(&mut self) {
        self.front.namesrv.channel_closed(self.channel);
    }
}

impl Session for NamesrvSession {
    fn frame(&mut self, frame: &[u8], out: &mut Outbox) -> Result<(), FrameError> {
        let command = Command::decode(frame, &mut self.scratch)?;
        if command.is_response() {
            return Ok(());
        }
        let reply = self.front.handle(self.channel, self.peer, &command);
        if !command.is_oneway() {
            for part in reply.encode_head(command.serialization, command.opaque, out.buffer()) {
                out.push(part);
            }
        }
        Ok(())
    }

    fn batch_end(&mut self, _: &mut Outbox) {}

    fn poll_answers(&mut self, _: &mut Context<'_>, _: &mut Outbox) {}

    fn in_flight(&self) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use ferromq_namesrv::NamesrvConfig;
    use ferromq_net::{ConnectionLimits, serve};
    use ferromq_protocol::code::RequestCode;
    use ferromq_protocol::frame::{FrameLimits, Head, Serialization, encode_with_body};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::sync::watch;

    use super::*;

    fn request(serialization: Serialization, opaque: i32, oneway: bool, code: RequestCode) -> Vec<u8> {
        let mut frame = Vec::new();
        let fields = [("topic", "T"), ("brokerName", "b"), ("brokerAddr", "10.0.0.1:10911")];
        let more = [("clusterName", "c"), ("haServerAddr", "10.0.0.1:10912"), ("brokerId", "0")];
        let head = Head { serialization, flag: if oneway { 2 } else { 0 }, ..Head::request(code, opaque) };
        let fields: &[(&str, &str)] = &[&fields[..], &more[..]].concat();
        encode_with_body(&mut frame, &head, &fields, b"").unwrap();
        frame
    }

    /// Numbers, codes and serializations of what is answered to `requests`.
    async fn talk(namesrv: &NameServer, requests: &[u8]) -> Vec<(i32, i32, Serialization)> {
        let (mut near, far) = duplex(1 << 20);
        let mut session = NamesrvSession::new(namesrv.clone(), 1, ([127, 0, 0, 1], 50_000).into());
        let limits =
            ConnectionLimits { frame: FrameLimits::default(), in_flight: 64, idle: Duration::from_secs(120) };
        let (_stop, stopped) = watch::channel(false);
        let client = async {
            near.write_all(requests).await.unwrap();
            near.shutdown().await.unwrap();
            let mut answers = Vec::new();
            near.read_to_end(&mut answers).await.unwrap();
            answers
        };
        let (_, answers) = tokio::join!(serve(far, &mut session, limits, stopped), client);
        let mut rest = &answers[..];
        let mut read = Vec::new();
        while !rest.is_empty() {
            let len = 4 + u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
            let mut scratch = HeaderScratch::new();
            let command = Command::decode(&rest[..len], &mut scratch).unwrap();
            read.push((command.opaque, command.code, command.serialization));
            rest = &rest[len..];
        }
        read
    }

    #[tokio::test]
    async fn a_session_answers_in_kind_but_for_one_way_requests_and_takes_its_broker_along() {
        let dir = tempfile::tempdir().unwrap();
        let config = NamesrvConfig { kv_path: dir.path().join("kvConfig.json"), ..NamesrvConfig::default() };
        let namesrv = NameServer::open(config, Instant::now()).unwrap();
        let (json, binary) = (Serialization::Json, Serialization::Binary);
        let requests = [
            request(json, 1, false, RequestCode::RegisterBroker),
            request(binary, 2, false, RequestCode::GetBrokerClusterInfo),
            request(json, 3, true, RequestCode::GetBrokerClusterInfo),
            request(json, 4, false, RequestCode::GetRouteInfoByTopic),
            request(binary, 5, false, RequestCode::SendMessage),
        ];
        let answers = talk(&namesrv, &requests.concat()).await;
        assert_eq!(answers, [(1, 0, json), (2, 0, binary), (4, 17, json), (5, 3, binary)]);
        assert!(namesrv.broker_sets().is_empty(), "its connection is closed");
    }
}
