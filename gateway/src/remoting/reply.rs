//! An answer that is whole in memory: what every request gets whose answer is not worth a path of its own.
//!
//! Handlers return one and know nothing of frames; the connection knows whom it answers and encodes it. An answer that
//! no frame can hold turns into an error answer here, so that the asker hears something in any case.

use std::borrow::Cow;

use bytes::Bytes;
use ferromq_protocol::body::BodyError;
use ferromq_protocol::code::ResponseCode;
use ferromq_protocol::frame::{Buffer, EncodeFields, FieldSink, Head, Serialization, encode_command};
use ferromq_protocol::header::HeaderError;

/// The fields of an answer, in the order in which they are written.
pub type ReplyFields = Vec<(Cow<'static, str>, String)>;

/// What is answered to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// How it went.
    pub code: ResponseCode,
    /// What went wrong, in words; clients show it to people.
    pub remark: Option<Cow<'static, str>>,
    /// The typed header, flattened.
    pub fields: ReplyFields,
    /// The body's parts, one behind the other.
    pub body: Vec<Bytes>,
}

impl Reply {
    /// Nothing but the code.
    #[must_use]
    pub const fn new(code: ResponseCode) -> Self {
        Self { code, remark: None, fields: Vec::new(), body: Vec::new() }
    }

    /// It worked, and there is nothing more to say.
    #[must_use]
    pub const fn success() -> Self {
        Self::new(ResponseCode::Success)
    }

    /// It did not work, and why.
    #[must_use]
    pub fn error(code: ResponseCode, remark: impl Into<Cow<'static, str>>) -> Self {
        Self { remark: Some(remark.into()), ..Self::new(code) }
    }

    /// Nobody here handles this request. Clients probe with new requests and fall back on this code.
    #[must_use]
    pub fn not_supported(request: i32) -> Self {
        Self::error(ResponseCode::RequestCodeNotSupported, format!(" request type {request} not supported"))
    }

    /// The same with the fields of a typed header behind those that it has.
    #[must_use]
    pub fn with_fields(mut self, fields: &impl EncodeFields) -> Self {
        fields.encode_fields(&mut Collect(&mut self.fields));
        self
    }

    /// The same with another part of the body.
    #[must_use]
    pub fn with_body(mut self, part: impl Into<Bytes>) -> Self {
        self.body.push(part.into());
        self
    }

    /// Appends the frame's length and header to `out`, for the request that came as `serialization` and has the number
    /// `opaque`. Returns the body's parts, which have to be sent right behind it.
    pub fn encode_head(self, serialization: Serialization, opaque: i32, out: &mut impl Buffer) -> Vec<Bytes> {
        let head =
            Head { remark: self.remark.as_deref(), ..Head::response_to(serialization, opaque, self.code) };
        let len = self.body.iter().map(Bytes::len).sum();
        match encode_command(out, &head, &self.fields.as_slice(), len) {
            Ok(_) => self.body,
            Err(error) => {
                let remark = format!("the answer does not fit into a frame: {error}");
                let head = Head::response_to(serialization, opaque, ResponseCode::SystemError);
                encode_command(out, &head.with_remark(&remark), &(), 0).expect("a short remark fits");
                Vec::new()
            }
        }
    }

    /// Appends the whole frame to `out`, copying the body.
    pub fn encode(self, serialization: Serialization, opaque: i32, out: &mut impl Buffer) {
        for part in self.encode_head(serialization, opaque, out) {
            out.extend_from_slice(&part);
        }
    }
}

/// Whoever wrote the header has to write another one.
impl From<HeaderError> for Reply {
    fn from(error: HeaderError) -> Self {
        Self::error(ResponseCode::InvalidParameter, error.to_string())
    }
}

/// As for headers.
impl From<BodyError> for Reply {
    fn from(error: BodyError) -> Self {
        Self::error(ResponseCode::InvalidParameter, error.to_string())
    }
}

struct Collect<'a>(&'a mut ReplyFields);

impl FieldSink for Collect<'_> {
    fn text(&mut self, name: &'static str, value: &str) {
        self.0.push((name.into(), value.to_owned()));
    }

    fn number(&mut self, name: &'static str, value: i64) {
        self.0.push((name.into(), value.to_string()));
    }

    fn pair(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned().into(), value.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use ferromq_protocol::frame::{Command, HeaderScratch};

    use super::*;

    #[test]
    fn an_answer_reads_back_with_all_its_parts() {
        let fields = [("queueId", "7"), ("msgId", "ä\"")];
        for serialization in [Serialization::Json, Serialization::Binary] {
            let reply = Reply::error(ResponseCode::SystemBusy, "later").with_fields(&fields);
            let mut frame = Vec::new();
            reply.with_body("ab").with_body("c").encode(serialization, -7, &mut frame);
            let mut scratch = HeaderScratch::new();
            let command = Command::decode(&frame, &mut scratch).unwrap();
            assert!(command.is_response());
            assert_eq!((command.serialization, command.opaque, command.code), (serialization, -7, 2));
            assert_eq!((command.remark, command.body), (Some("later"), &b"abc"[..]));
            assert_eq!(command.fields.iter().collect::<Vec<_>>(), fields);
        }
    }

    #[test]
    fn an_answer_that_no_frame_can_hold_becomes_an_error() {
        let mut frame = Vec::new();
        let reply = Reply::success().with_fields(&[("k", "x".repeat(1 << 24))]).with_body("lost");
        reply.encode(Serialization::Json, 1, &mut frame);
        let mut scratch = HeaderScratch::new();
        let command = Command::decode(&frame, &mut scratch).unwrap();
        assert_eq!((command.response_code(), command.body), (Some(ResponseCode::SystemError), &b""[..]));
        assert!(command.remark.unwrap().contains("does not fit"), "{:?}", command.remark);
    }

    #[test]
    fn an_unsupported_request_is_named_as_the_reference_does() {
        assert_eq!(Reply::not_supported(99).remark.as_deref(), Some(" request type 99 not supported"));
    }
}
