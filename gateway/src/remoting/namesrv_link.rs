//! A broker's connection to a NameServer: one request at a time, for as long as it holds.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::frame::{
    Command, EncodeError, EncodeFields, FrameError, FrameLimits, Head, HeaderScratch, encode_with_body,
    frame_len,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a NameServer may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Why a NameServer did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("cannot be reached: {0}")]
    Connect(io::Error),
    #[error("took longer than {} ms", .0.as_millis())]
    Timeout(Duration),
    #[error("connection closed")]
    Closed,
    #[error("connection failed: {0}")]
    Io(#[from] io::Error),
    #[error("sent something else than the protocol: {0}")]
    NotTheProtocol(#[from] FrameError),
    #[error("answered nonsense: {0}")]
    Nonsense(String),
    #[error("too much to tell: {0}")]
    TooLarge(#[from] EncodeError),
    #[error("refused with code {code}: {remark}")]
    Refused { code: i32, remark: String },
}

/// A connection to a NameServer, with one request at a time.
pub(super) struct Link {
    stream: TcpStream,
    received: BytesMut,
    scratch: HeaderScratch,
    /// The number of the last request.
    opaque: i32,
}

impl Link {
    /// Looks the name up anew each time: a NameServer may have moved.
    pub(super) async fn connect(server: &str) -> Result<Self, Failure> {
        let stream = match timeout(CONNECT_TIMEOUT, TcpStream::connect(server)).await {
            Ok(connected) => connected.map_err(Failure::Connect)?,
            Err(_) => return Err(Failure::Timeout(CONNECT_TIMEOUT)),
        };
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: BytesMut::new(), scratch: HeaderScratch::new(), opaque: 0 })
    }

    /// Sends one request and waits for its answer; returns the answer's body. Cancelling it leaves the link useless.
    pub(super) async fn call(
        &mut self,
        code: RequestCode,
        fields: &impl EncodeFields,
        body: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        self.opaque = self.opaque.wrapping_add(1);
        let mut frame = Vec::new();
        encode_with_body(&mut frame, &Head::request(code, self.opaque), fields, body)?;
        self.stream.write_all(&frame).await?;
        loop {
            // What is no answer is a notice, which nobody waits for here.
            while let Some(answer) = self.next_frame()? {
                let answer = Command::decode(&answer, &mut self.scratch)?;
                if answer.is_response() && answer.opaque == self.opaque {
                    return match answer.response_code() {
                        Some(ResponseCode::Success) => Ok(answer.body.to_vec()),
                        _ => Err(Failure::Refused {
                            code: answer.code,
                            remark: answer.remark.unwrap_or_default().to_owned(),
                        }),
                    };
                }
            }
            self.receive().await?;
        }
    }

    /// Waits until the connection is no longer good, and says why. May be cancelled.
    pub(super) async fn closed(&mut self) -> Failure {
        loop {
            match self.next_frame() {
                Ok(Some(_)) => {}
                Ok(None) => {
                    if let Err(failure) = self.receive().await {
                        return failure;
                    }
                }
                Err(failure) => return failure,
            }
        }
    }

    fn next_frame(&mut self) -> Result<Option<BytesMut>, Failure> {
        let len = frame_len(&self.received, &FrameLimits::default())?;
        Ok(len.map(|len| self.received.split_to(len)))
    }

    async fn receive(&mut self) -> Result<(), Failure> {
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err(Failure::Closed),
            _ => Ok(()),
        }
    }
}
