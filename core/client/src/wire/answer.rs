//! Answers: that of a send as a small value, any other as its frame.

use bytes::Bytes;
use ferromq_model::message::MessageId;
use ferromq_model::{QueueId, QueueOffset};
use ferromq_protocol::code::ResponseCode;
use ferromq_protocol::frame::{Command, FrameError, HeaderScratch};
use ferromq_protocol::header::{Header, SendMessageResponse};

use crate::trace::DEFAULT_REGION;

/// What came back.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A send's message is stored.
    Stored(Stored),
    /// Anything else.
    Frame(Frame),
}

/// Where a message was stored. Nothing in it is allocated, but the handle of a timed message.
#[derive(Debug)]
pub(crate) struct Stored {
    /// `SUCCESS`, or one of the three codes for "stored, but not yet as safe as asked for".
    pub(crate) code: ResponseCode,
    pub(crate) queue: QueueId,
    pub(crate) offset: QueueOffset,
    /// Where the record lies; none when the server names no place that can be read.
    pub(crate) at: Option<MessageId>,
    pub(crate) recall_handle: Option<Box<str>>,
    /// Whether the broker lets the client trace the message.
    pub(crate) trace: bool,
    /// The region of a broker that was given one.
    pub(crate) region: Option<Box<str>>,
}

impl Stored {
    /// Reads the answer to a send; `None` if the message is not stored, or the answer is not as it should be.
    pub(super) fn read(command: &Command<'_>) -> Option<Self> {
        use ResponseCode as Code;
        let code = command.response_code()?;
        if !matches!(
            code,
            Code::Success | Code::FlushDiskTimeout | Code::FlushSlaveTimeout | Code::SlaveNotAvailable
        ) {
            return None;
        }
        let header = SendMessageResponse::decode(&command.fields).ok()?;
        Some(Self {
            code,
            queue: header.queue,
            offset: header.offset,
            at: MessageId::parse(header.message_id),
            recall_handle: header.recall_handle.map(Into::into),
            trace: header.trace,
            region: (header.region != DEFAULT_REGION).then(|| header.region.into()),
        })
    }
}

/// A whole frame, which answers or asks something.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    bytes: Bytes,
}

impl Frame {
    /// `bytes` are a whole frame that was decoded once already.
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self { bytes: Bytes::copy_from_slice(bytes) }
    }

    /// Reads the frame.
    pub(crate) fn command<'a>(&'a self, scratch: &'a mut HeaderScratch) -> Result<Command<'a>, FrameError> {
        Command::decode(&self.bytes, scratch)
    }

    /// What follows the header, sharing the frame's memory.
    pub(crate) fn body(&self) -> Bytes {
        let [_, _, _, _, _, a, b, c, ..] = self.bytes[..] else { return Bytes::new() };
        let header = u32::from_be_bytes([0, a, b, c]) as usize;
        self.bytes.slice(8 + header..)
    }
}
