//! Frames: how long they are, what their headers say, and how they are written.
//!
//! Reading borrows: a [`Command`] points into the frame, and for the few texts that hold escapes into a
//! [`HeaderScratch`] that each connection keeps, so that nothing is allocated per frame once both are warm.
//! Writing appends length and header; the body follows from wherever it lies, without a copy.
//!
//! Both header serializations have the same content. JSON is what clients use; the binary one holds the code in 16
//! bits, so that codes beyond it (the pop family) exist in JSON only.

mod binary;
mod json;
mod write;

use std::fmt;

use crate::code::{RequestCode, ResponseCode};

pub use write::{Buffer, EncodeError, EncodeFields, FieldSink, encode_command, encode_with_body};

/// The version that our frames carry: RocketMQ 5.3.3. From 401 on clients take a server as modern: they subscribe with
/// SQL expressions only from 232 on, and tools print it.
pub const VERSION: i32 = 479;

/// The most fields that a header may have; the richest official one has 16 beside those of access control.
pub const MAX_FIELDS: usize = 256;

/// The deepest nesting of values that are skipped because nobody knows their names.
pub const MAX_DEPTH: usize = 32;

/// Bytes before the header: length, type, header length.
pub const PREFIX_LEN: usize = 8;

const RESPONSE: i32 = 1;
const ONEWAY: i32 = 2;

/// How large frames may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// Bytes of a frame with its length field; 16 MiB by default, as in the reference.
    pub max_frame: usize,
    /// Bytes of a header; 64 KiB by default, which a message with all the properties that may be stored fits in. The
    /// reference has no limit of its own. Responses to very large batches need more: they list 33 bytes a message.
    pub max_header: usize,
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self { max_frame: 16 << 20, max_header: 64 << 10 }
    }
}

/// Why bytes are no frame. Nothing behind such a frame can be found, so the connection ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// More bytes than allowed, by the frame's own word.
    #[error("frame of {len} bytes, the limit is {limit}")]
    TooLarge {
        /// Bytes with the length field.
        len: usize,
        /// [`FrameLimits::max_frame`].
        limit: usize,
    },
    /// A length that is negative or leaves no room for the header's own length.
    #[error("frame length field of {0}")]
    BadLength(i32),
    /// A header longer than allowed, by the frame's own word.
    #[error("header of {len} bytes, the limit is {limit}")]
    HeaderTooLarge {
        /// Bytes of the header.
        len: usize,
        /// [`FrameLimits::max_header`].
        limit: usize,
    },
    /// A header longer than its frame.
    #[error("header of {header} bytes in a frame that has {room} bytes for it")]
    HeaderBeyondFrame {
        /// Bytes of the header.
        header: usize,
        /// Bytes between the prefix and the frame's end.
        room: usize,
    },
    /// A header that is neither JSON nor binary.
    #[error("unknown header serialization {0}")]
    UnknownSerialization(u8),
    /// [`Command::decode`] was given something other than one whole frame.
    #[error("not exactly one whole frame")]
    NotWhole,
    /// The header breaks the rules of its serialization.
    #[error("header is broken at byte {at}: expected {expected}")]
    Malformed {
        /// Byte of the header.
        at: usize,
        /// What should be there.
        expected: &'static str,
    },
    /// Text that is not UTF-8.
    #[error("header text is not UTF-8")]
    NotUtf8,
    /// More than [`MAX_FIELDS`].
    #[error("header has more than {MAX_FIELDS} fields")]
    TooManyFields,
}

/// The length in bytes of the frame that `bytes` starts with, its length field included; `None` while too little has
/// arrived to tell, or to hold it. What is wrong with a frame shows in its first eight bytes at the latest.
///
/// # Errors
/// [`FrameError`], once no later byte can make a frame of it.
pub fn frame_len(bytes: &[u8], limits: &FrameLimits) -> Result<Option<usize>, FrameError> {
    let Some(length) = bytes.first_chunk::<4>() else { return Ok(None) };
    let length = i32::from_be_bytes(*length);
    if length < 4 {
        return Err(FrameError::BadLength(length));
    }
    let len = length as usize + 4;
    if len > limits.max_frame {
        return Err(FrameError::TooLarge { len, limit: limits.max_frame });
    }
    if let Some(&kind) = bytes.get(4) {
        Serialization::from_byte(kind)?;
    }
    let Some(prefix) = bytes.first_chunk::<PREFIX_LEN>() else { return Ok(None) };
    let header = header_len(prefix);
    if header > limits.max_header {
        return Err(FrameError::HeaderTooLarge { len: header, limit: limits.max_header });
    }
    if header > len - PREFIX_LEN {
        return Err(FrameError::HeaderBeyondFrame { header, room: len - PREFIX_LEN });
    }
    Ok((bytes.len() >= len).then_some(len))
}

fn header_len(prefix: &[u8; PREFIX_LEN]) -> usize {
    u32::from_be_bytes([0, prefix[5], prefix[6], prefix[7]]) as usize
}

/// How a header is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Serialization {
    /// A flat JSON object: what every client understands.
    #[default]
    Json,
    /// Fixed fields and counted strings (`ROCKETMQ`).
    Binary,
}

impl Serialization {
    /// Reads the type byte.
    ///
    /// # Errors
    /// [`FrameError::UnknownSerialization`].
    pub const fn from_byte(byte: u8) -> Result<Self, FrameError> {
        match byte {
            0 => Ok(Self::Json),
            1 => Ok(Self::Binary),
            other => Err(FrameError::UnknownSerialization(other)),
        }
    }

    /// The type byte.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Json => 0,
            Self::Binary => 1,
        }
    }
}

macro_rules! languages {
    ($($variant:ident = $byte:literal, $name:literal;)*) => {
        /// What the sender is written in. A missing one reads as `JAVA`, an unknown one as `OTHER`.
        ///
        /// We send `JAVA`, the default of [`Head`]. Java clients of 4.7.1 have no `RUST` yet and read null for it, in
        /// both serializations (4.9.8 and 5.3.3 know it); nothing that a client decides gains from the truth.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "a language is what its name says")]
        pub enum Language {
            $($variant = $byte,)*
        }

        impl Language {
            const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name that JSON headers carry.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            fn from_name(name: &[u8]) -> Self {
                $(if name == $name.as_bytes() {
                    return Self::$variant;
                })*
                Self::Other
            }
        }
    };
}

languages! {
    Java = 0, "JAVA";
    Cpp = 1, "CPP";
    DotNet = 2, "DOTNET";
    Python = 3, "PYTHON";
    Delphi = 4, "DELPHI";
    Erlang = 5, "ERLANG";
    Ruby = 6, "RUBY";
    Other = 7, "OTHER";
    Http = 8, "HTTP";
    Go = 9, "GO";
    Php = 10, "PHP";
    Oms = 11, "OMS";
    Rust = 12, "RUST";
    NodeJs = 13, "NODE_JS";
}

impl Language {
    /// Reads the byte of a binary header.
    #[must_use]
    pub fn from_byte(byte: u8) -> Self {
        Self::ALL.get(usize::from(byte)).copied().unwrap_or(Self::Other)
    }

    /// The byte of a binary header.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self as u8
    }
}

/// A piece of header text: where it lies, in the header as received or in the scratch where its escapes are resolved.
#[derive(Clone, Copy, Debug)]
struct Piece {
    start: u32,
    /// The top bit says "in the scratch".
    len: u32,
}

const IN_SCRATCH: u32 = 1 << 31;

impl Piece {
    fn in_header(start: usize, end: usize) -> Self {
        Self { start: start as u32, len: (end - start) as u32 }
    }

    fn in_scratch(start: usize, end: usize) -> Self {
        Self { start: start as u32, len: (end - start) as u32 | IN_SCRATCH }
    }
}

/// Buffers that decoding reuses: one for each frame that is looked at at a time, so usually one a connection. Empty
/// until needed; never grows beyond the longest header that was decoded with it.
#[derive(Debug, Default)]
pub struct HeaderScratch {
    /// Texts with their escapes resolved. Only its first `used` bytes mean something.
    text: Vec<u8>,
    used: usize,
    entries: Vec<(Piece, Piece)>,
}

impl HeaderScratch {
    /// Empty buffers.
    #[must_use]
    pub const fn new() -> Self {
        Self { text: Vec::new(), used: 0, entries: Vec::new() }
    }

    fn clear(&mut self) {
        self.used = 0;
        self.entries.clear();
    }

    fn push(&mut self, name: Piece, value: Piece) -> Result<(), FrameError> {
        if self.entries.len() == MAX_FIELDS {
            return Err(FrameError::TooManyFields);
        }
        self.entries.push((name, value));
        Ok(())
    }
}

/// As the method of slices, which looks at the last bytes one by one.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    let (blocks, rest) = bytes.as_chunks::<16>();
    let Some(last) = bytes.last_chunk::<16>() else { return rest.is_ascii() };
    let or = |all: [u8; 16], block: &[u8; 16]| std::array::from_fn(|i| all[i] | block[i]);
    blocks.iter().fold(*last, or).is_ascii()
}

/// What both serializations say beside the fields.
struct Members {
    code: i32,
    language: Language,
    version: i32,
    opaque: i32,
    flag: i32,
    remark: Option<Piece>,
}

/// The named texts of a header. Where a sender gave a name twice, the last one counts, as in Java's map.
#[derive(Clone, Copy)]
pub struct Fields<'a> {
    header: &'a [u8],
    text: &'a [u8],
    entries: &'a [(Piece, Piece)],
}

impl<'a> Fields<'a> {
    /// No fields.
    pub const NONE: Fields<'static> = Fields { header: &[], text: &[], entries: &[] };

    /// The value of `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'a str> {
        self.entries
            .iter()
            .rev()
            .find(|(key, _)| self.bytes(*key) == name.as_bytes())
            .map(|(_, value)| self.str(*value))
    }

    /// Every name and value, in the order of the header.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a str)> + use<'a> {
        let fields = *self;
        self.entries.iter().map(move |&(name, value)| (fields.str(name), fields.str(value)))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn bytes(&self, piece: Piece) -> &'a [u8] {
        let source = if piece.len & IN_SCRATCH == 0 { self.header } else { self.text };
        let start = piece.start as usize;
        &source[start..start + (piece.len & !IN_SCRATCH) as usize]
    }

    fn str(&self, piece: Piece) -> &'a str {
        // SAFETY: pieces are made by the two decoders only, for the very header and scratch that they are kept with,
        // and `Fields` borrows both. `json::decode` validates the whole header and the whole used scratch as UTF-8 and
        // cuts pieces next to ASCII bytes only; `binary::decode` validates each piece, or all of them at once.
        unsafe { std::str::from_utf8_unchecked(self.bytes(piece)) }
    }
}

impl fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl PartialEq for Fields<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

/// A decoded frame: a request or a response.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Command<'a> {
    /// How the header is written.
    pub serialization: Serialization,
    /// What is asked for, or how it went: see [`RequestCode`] and [`ResponseCode`].
    pub code: i32,
    /// What the sender is written in.
    pub language: Language,
    /// The sender's version as RocketMQ's ordinal.
    pub version: i32,
    /// The number that a request and its response share.
    pub opaque: i32,
    /// See [`Command::is_response`] and [`Command::is_oneway`].
    pub flag: i32,
    /// What went wrong, in words.
    pub remark: Option<&'a str>,
    /// The header's named texts.
    pub fields: Fields<'a>,
    /// What follows the header.
    pub body: &'a [u8],
}

impl<'a> Command<'a> {
    /// Decodes one whole frame, of the length that [`frame_len`] gave.
    ///
    /// # Errors
    /// [`FrameError`] when the header cannot be read.
    pub fn decode(frame: &'a [u8], scratch: &'a mut HeaderScratch) -> Result<Self, FrameError> {
        let (prefix, rest) = frame.split_first_chunk::<PREFIX_LEN>().ok_or(FrameError::NotWhole)?;
        let [a, b, c, d, kind, ..] = *prefix;
        if u32::from_be_bytes([a, b, c, d]) as usize != frame.len() - 4 {
            return Err(FrameError::NotWhole);
        }
        let header_len = header_len(prefix);
        let Some((header, body)) = rest.split_at_checked(header_len) else {
            return Err(FrameError::HeaderBeyondFrame { header: header_len, room: rest.len() });
        };
        let serialization = Serialization::from_byte(kind)?;
        scratch.clear();
        let members = match serialization {
            Serialization::Json => json::decode(header, scratch)?,
            Serialization::Binary => binary::decode(header, scratch)?,
        };
        let fields = Fields { header, text: &scratch.text[..scratch.used], entries: &scratch.entries };
        Ok(Self {
            serialization,
            code: members.code,
            language: members.language,
            version: members.version,
            opaque: members.opaque,
            flag: members.flag,
            remark: members.remark.map(|piece| fields.str(piece)),
            fields,
            body,
        })
    }

    /// Whether this answers a request of ours.
    #[must_use]
    pub const fn is_response(&self) -> bool {
        self.flag & RESPONSE != 0
    }

    /// Whether nobody waits for an answer, so that none may be sent, not even an error.
    #[must_use]
    pub const fn is_oneway(&self) -> bool {
        self.flag & ONEWAY != 0
    }

    /// What is asked for, if this is a request and its code is known.
    #[must_use]
    pub const fn request_code(&self) -> Option<RequestCode> {
        if self.is_response() { None } else { RequestCode::from_i32(self.code) }
    }

    /// How it went, if this is a response and its code is known.
    #[must_use]
    pub const fn response_code(&self) -> Option<ResponseCode> {
        if self.is_response() { ResponseCode::from_i32(self.code) } else { None }
    }
}

/// What a frame to be written says beside its fields and its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// How the header is written. Codes that do not fit the binary form are written as JSON, whatever stands here.
    pub serialization: Serialization,
    /// What is asked for, or how it went.
    pub code: i32,
    /// What the sender claims to be written in: see [`Language`] for why this is `JAVA`.
    pub language: Language,
    /// The sender's version.
    pub version: i32,
    /// The number that a request and its response share.
    pub opaque: i32,
    /// 1: a response; 2: nobody may answer.
    pub flag: i32,
    /// What went wrong, in words.
    pub remark: Option<&'a str>,
}

impl<'a> Head<'a> {
    /// A request in JSON, numbered `opaque`, that wants an answer.
    #[must_use]
    pub const fn request(code: RequestCode, opaque: i32) -> Self {
        Self {
            serialization: Serialization::Json,
            code: code.code(),
            language: Language::Java,
            version: VERSION,
            opaque,
            flag: 0,
            remark: None,
        }
    }

    /// The answer to `request`, in the serialization that it came in.
    #[must_use]
    pub const fn response(request: &Command<'_>, code: ResponseCode) -> Self {
        Self::response_to(request.serialization, request.opaque, code)
    }

    /// The answer to a request that is gone by now, of which this much was kept.
    #[must_use]
    pub const fn response_to(serialization: Serialization, opaque: i32, code: ResponseCode) -> Self {
        Self {
            serialization,
            code: code.code(),
            language: Language::Java,
            version: VERSION,
            opaque,
            flag: RESPONSE,
            remark: None,
        }
    }

    /// The same, answered by nobody.
    #[must_use]
    pub const fn oneway(mut self) -> Self {
        self.flag |= ONEWAY;
        self
    }

    /// The same with words.
    #[must_use]
    pub const fn with_remark(mut self, remark: &'a str) -> Self {
        self.remark = Some(remark);
        self
    }
}

#[cfg(test)]
mod tests;
