//! Writing frames.
//!
//! JSON comes out byte for byte as Java writes it: compact, members in alphabetical order, absent ones left out, numbers
//! among the fields as texts. Fields keep the order in which their header lists them.

use bytes::BytesMut;

use super::{Fields, Head, PREFIX_LEN, Serialization};

/// The frame has more bytes than its length fields can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("frame with a header of {header} bytes and a body of {body} bytes, more than length fields hold")]
pub struct EncodeError {
    /// Bytes of the header.
    pub header: usize,
    /// Bytes of the body.
    pub body: usize,
}

/// The longest header that its 24-bit length can say.
const MAX_HEADER_LEN: usize = (1 << 24) - 1;

/// What frames are appended to: `Vec<u8>` or [`BytesMut`].
pub trait Buffer: AsMut<[u8]> {
    /// Bytes so far.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Appends zeros up to `len`, or cuts at it.
    fn resize(&mut self, len: usize);
    /// Appends `bytes`.
    fn extend_from_slice(&mut self, bytes: &[u8]);
}

impl Buffer for Vec<u8> {
    fn len(&self) -> usize {
        Vec::len(self)
    }
    fn resize(&mut self, len: usize) {
        Vec::resize(self, len, 0);
    }
    fn extend_from_slice(&mut self, bytes: &[u8]) {
        Vec::extend_from_slice(self, bytes);
    }
}

impl Buffer for BytesMut {
    fn len(&self) -> usize {
        BytesMut::len(self)
    }
    fn resize(&mut self, len: usize) {
        BytesMut::resize(self, len, 0);
    }
    fn extend_from_slice(&mut self, bytes: &[u8]) {
        BytesMut::extend_from_slice(self, bytes);
    }
}

/// Takes the fields of a header, one by one.
pub trait FieldSink {
    /// A text. `name` is plain: nothing in it needs an escape in JSON.
    fn text(&mut self, name: &'static str, value: &str);
    /// A number, written as text.
    fn number(&mut self, name: &'static str, value: i64);
    /// A text whose name came from elsewhere.
    fn pair(&mut self, name: &str, value: &str);

    /// `true` or `false`.
    fn boolean(&mut self, name: &'static str, value: bool) {
        self.text(name, if value { "true" } else { "false" });
    }
}

/// Something that a header's fields are written from: every typed header, and what else has names and values.
pub trait EncodeFields {
    /// Hands all fields to `sink`.
    fn encode_fields<S: FieldSink>(&self, sink: &mut S);
}

/// No fields.
impl EncodeFields for () {
    fn encode_fields<S: FieldSink>(&self, _: &mut S) {}
}

impl<T: EncodeFields + ?Sized> EncodeFields for &T {
    fn encode_fields<S: FieldSink>(&self, sink: &mut S) {
        (**self).encode_fields(sink);
    }
}

impl<T: EncodeFields> EncodeFields for Option<T> {
    fn encode_fields<S: FieldSink>(&self, sink: &mut S) {
        if let Some(fields) = self {
            fields.encode_fields(sink);
        }
    }
}

/// One after the other.
impl<A: EncodeFields, B: EncodeFields> EncodeFields for (A, B) {
    fn encode_fields<S: FieldSink>(&self, sink: &mut S) {
        self.0.encode_fields(sink);
        self.1.encode_fields(sink);
    }
}

impl EncodeFields for Fields<'_> {
    fn encode_fields<S: FieldSink>(&self, sink: &mut S) {
        for (name, value) in self.iter() {
            sink.pair(name, value);
        }
    }
}

impl<N: AsRef<str>, V: AsRef<str>> EncodeFields for [(N, V)] {
    fn encode_fields<S: FieldSink>(&self, sink: &mut S) {
        for (name, value) in self {
            sink.pair(name.as_ref(), value.as_ref());
        }
    }
}

impl<N: AsRef<str>, V: AsRef<str>, const L: usize> EncodeFields for [(N, V); L] {
    fn encode_fields<S: FieldSink>(&self, sink: &mut S) {
        self[..].encode_fields(sink);
    }
}

/// Appends a frame's length and header to `out`, for a body of `body_len` bytes that the caller sends next, and returns
/// how many bytes that were.
///
/// # Errors
/// [`EncodeError`] when the frame is too large to be one; `out` is as it was then.
pub fn encode_command<B: Buffer>(
    out: &mut B,
    head: &Head<'_>,
    fields: &(impl EncodeFields + ?Sized),
    body_len: usize,
) -> Result<usize, EncodeError> {
    let start = out.len();
    let binary = head.serialization == Serialization::Binary && i16::try_from(head.code).is_ok();
    let serialization = if binary { Serialization::Binary } else { Serialization::Json };
    out.resize(start + TYPICAL_LEN);
    let mut writer = Writer { at: start + PREFIX_LEN, out };
    if binary {
        write_binary(&mut writer, head, fields);
    } else {
        write_json(&mut writer, head, fields);
    }
    let end = writer.at;
    let header = end - start - PREFIX_LEN;
    let length = (4 + header).checked_add(body_len).and_then(|len| i32::try_from(len).ok());
    let Some(length) = length.filter(|_| header <= MAX_HEADER_LEN) else {
        out.resize(start);
        return Err(EncodeError { header, body: body_len });
    };
    let prefix = &mut out.as_mut()[start..start + PREFIX_LEN];
    prefix[..4].copy_from_slice(&length.to_be_bytes());
    prefix[4..].copy_from_slice(&(header as u32).to_be_bytes());
    prefix[4] = serialization.byte();
    out.resize(end);
    Ok(end - start)
}

/// Appends a whole frame to `out`, and returns its length.
///
/// # Errors
/// As [`encode_command`].
pub fn encode_with_body<B: Buffer>(
    out: &mut B,
    head: &Head<'_>,
    fields: &(impl EncodeFields + ?Sized),
    body: &[u8],
) -> Result<usize, EncodeError> {
    let len = encode_command(out, head, fields, body.len())?;
    out.extend_from_slice(body);
    Ok(len + body.len())
}

/// Room that is taken at once: most headers fit.
const TYPICAL_LEN: usize = 384;

/// Writes at `at`, which may lie before the end of `out`: what is behind it is room.
struct Writer<'b, B> {
    out: &'b mut B,
    at: usize,
}

impl<B: Buffer> Writer<'_, B> {
    #[inline]
    fn reserve(&mut self, len: usize) {
        if self.out.len() - self.at < len {
            self.grow(len);
        }
    }

    #[cold]
    fn grow(&mut self, len: usize) {
        self.out.resize(self.at + len + TYPICAL_LEN);
    }

    #[inline(always)]
    fn put(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.out.as_mut()[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    /// As several [`put`](Self::put)s, with one look at the room.
    #[inline(always)]
    fn put_all<const N: usize>(&mut self, parts: [&[u8]; N]) {
        let len = parts.iter().map(|part| part.len()).sum();
        self.reserve(len);
        let mut room = &mut self.out.as_mut()[self.at..self.at + len];
        for part in parts {
            let (to, rest) = room.split_at_mut(part.len());
            copy(to, part);
            room = rest;
        }
        self.at += len;
    }

    #[inline(always)]
    fn put_number(&mut self, value: i64) {
        let mut digits = [0; MAX_DIGITS];
        let digits = decimal(value, &mut digits);
        self.put_all([digits]);
    }

    /// The inside of a JSON text.
    fn put_text(&mut self, text: &str) {
        if is_plain_text(text) {
            self.put(text.as_bytes());
        } else {
            self.put_escaped(text);
        }
    }

    fn put_escaped(&mut self, text: &str) {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        let bytes = text.as_bytes();
        let mut copied = 0;
        for (at, &byte) in bytes.iter().enumerate() {
            if is_plain(byte) {
                continue;
            }
            self.put(&bytes[copied..at]);
            copied = at + 1;
            let short = match byte {
                b'"' | b'\\' => byte,
                0x08 => b'b',
                0x0C => b'f',
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                _ => {
                    let high = HEX[usize::from(byte >> 4)];
                    let low = HEX[usize::from(byte & 15)];
                    self.put(&[b'\\', b'u', b'0', b'0', high, low]);
                    continue;
                }
            };
            self.put(&[b'\\', short]);
        }
        self.put(&bytes[copied..]);
    }
}

/// Copies what is mostly short, without a call for it.
#[inline(always)]
fn copy(to: &mut [u8], from: &[u8]) {
    // Two copies that overlap do for every length between a half and the whole of both.
    if let (Some(first), Some(last)) = (from.first_chunk::<16>(), from.last_chunk::<16>()) {
        if from.len() <= 32 {
            *to.first_chunk_mut().expect("as long as `from`") = *first;
            *to.last_chunk_mut().expect("as long as `from`") = *last;
        } else {
            to.copy_from_slice(from);
        }
    } else if let (Some(first), Some(last)) = (from.first_chunk::<8>(), from.last_chunk::<8>()) {
        *to.first_chunk_mut().expect("as long as `from`") = *first;
        *to.last_chunk_mut().expect("as long as `from`") = *last;
    } else if let (Some(first), Some(last)) = (from.first_chunk::<4>(), from.last_chunk::<4>()) {
        *to.first_chunk_mut().expect("as long as `from`") = *first;
        *to.last_chunk_mut().expect("as long as `from`") = *last;
    } else {
        for (to, from) in to.iter_mut().zip(from) {
            *to = *from;
        }
    }
}

/// Whether nothing in it needs an escape. Looking at all of it costs less than stopping early: compilers do that 16
/// bytes at a time.
#[inline]
fn is_plain_text(text: &str) -> bool {
    text.bytes().fold(true, |plain, byte| plain & is_plain(byte))
}

#[inline]
const fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

fn write_json<B: Buffer>(writer: &mut Writer<'_, B>, head: &Head<'_>, fields: &(impl EncodeFields + ?Sized)) {
    writer.put(b"{\"code\":");
    writer.put_number(i64::from(head.code));
    let mut sink = JsonFields { writer, any: false };
    fields.encode_fields(&mut sink);
    if sink.any {
        writer.put(b"\"},\"flag\":");
    } else {
        writer.put(b",\"flag\":");
    }
    writer.put_number(i64::from(head.flag));
    writer.put_all([b",\"language\":\"", head.language.name().as_bytes(), b"\",\"opaque\":"]);
    writer.put_number(i64::from(head.opaque));
    if let Some(remark) = head.remark {
        writer.put(b",\"remark\":\"");
        writer.put_text(remark);
        writer.put(b"\"");
    }
    writer.put(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":");
    writer.put_number(i64::from(head.version));
    writer.put(b"}");
}

/// Writes fields, each without the quote behind it, which begins what follows.
struct JsonFields<'w, 'b, B> {
    writer: &'w mut Writer<'b, B>,
    any: bool,
}

impl<B: Buffer> JsonFields<'_, '_, B> {
    /// What stands before a name.
    #[inline(always)]
    fn separator(&mut self) -> &'static [u8] {
        if std::mem::replace(&mut self.any, true) { b"\",\"" } else { b",\"extFields\":{\"" }
    }
}

impl<B: Buffer> FieldSink for JsonFields<'_, '_, B> {
    #[inline]
    fn text(&mut self, name: &'static str, value: &str) {
        let separator = self.separator();
        if is_plain_text(value) {
            self.writer.put_all([separator, name.as_bytes(), b"\":\"", value.as_bytes()]);
        } else {
            self.writer.put_all([separator, name.as_bytes(), b"\":\""]);
            self.writer.put_escaped(value);
        }
    }

    #[inline]
    fn number(&mut self, name: &'static str, value: i64) {
        let mut digits = [0; MAX_DIGITS];
        let digits = decimal(value, &mut digits);
        let separator = self.separator();
        self.writer.put_all([separator, name.as_bytes(), b"\":\"", digits]);
    }

    fn pair(&mut self, name: &str, value: &str) {
        let separator = self.separator();
        self.writer.put(separator);
        self.writer.put_text(name);
        self.writer.put(b"\":\"");
        self.writer.put_text(value);
    }
}

fn write_binary<B: Buffer>(
    writer: &mut Writer<'_, B>,
    head: &Head<'_>,
    fields: &(impl EncodeFields + ?Sized),
) {
    writer.put(&(head.code as i16).to_be_bytes());
    writer.put(&[head.language.byte()]);
    // Ordinals beyond 16 bits do not exist.
    writer.put(&(head.version as i16).to_be_bytes());
    writer.put(&head.opaque.to_be_bytes());
    writer.put(&head.flag.to_be_bytes());
    let remark = head.remark.unwrap_or_default();
    writer.put(&(remark.len() as u32).to_be_bytes());
    writer.put(remark.as_bytes());
    let len_at = writer.at;
    writer.put(&[0; 4]);
    fields.encode_fields(&mut BinaryFields { writer });
    let len = (writer.at - len_at - 4) as u32;
    writer.out.as_mut()[len_at..len_at + 4].copy_from_slice(&len.to_be_bytes());
}

struct BinaryFields<'w, 'b, B> {
    writer: &'w mut Writer<'b, B>,
}

impl<B: Buffer> FieldSink for BinaryFields<'_, '_, B> {
    #[inline]
    fn text(&mut self, name: &'static str, value: &str) {
        self.pair(name, value);
    }

    #[inline]
    fn number(&mut self, name: &'static str, value: i64) {
        let mut digits = [0; MAX_DIGITS];
        let digits = decimal(value, &mut digits);
        let (name_len, len) = ((name.len() as u16).to_be_bytes(), (digits.len() as u32).to_be_bytes());
        self.writer.put_all([&name_len, name.as_bytes(), &len, digits]);
    }

    #[inline]
    fn pair(&mut self, name: &str, value: &str) {
        // A name that its length cannot say is left out, rather than making the rest unreadable.
        let Ok(name_len) = u16::try_from(name.len()) else { return };
        let (name_len, len) = (name_len.to_be_bytes(), (value.len() as u32).to_be_bytes());
        self.writer.put_all([&name_len, name.as_bytes(), &len, value.as_bytes()]);
    }
}

/// Digits and sign of the longest 64-bit number.
const MAX_DIGITS: usize = 20;

/// The decimal digits of `value`, at the end of `buffer`.
#[inline]
fn decimal(value: i64, buffer: &mut [u8; MAX_DIGITS]) -> &[u8] {
    const PAIRS: [[u8; 2]; 100] = {
        let mut pairs = [[0; 2]; 100];
        let mut at = 0;
        while at < 100 {
            pairs[at] = [b'0' + (at / 10) as u8, b'0' + (at % 10) as u8];
            at += 1;
        }
        pairs
    };
    let mut rest = value.unsigned_abs();
    let mut at = MAX_DIGITS;
    while rest >= 10 {
        at -= 2;
        buffer[at..at + 2].copy_from_slice(&PAIRS[(rest % 100) as usize]);
        rest /= 100;
    }
    // What is left is one digit, or nothing behind a pair.
    if rest != 0 || at == MAX_DIGITS {
        at -= 1;
        buffer[at] = b'0' + rest as u8;
    }
    if value < 0 {
        at -= 1;
        buffer[at] = b'-';
    }
    &buffer[at..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length_are_written_as_decimals() {
        let powers = (0..19).map(|n| 10_i64.pow(n));
        for value in powers.flat_map(|p| [p - 1, p, p + 1, 5 * (p / 3)]).chain([i64::MAX]) {
            for value in [value, -value, i64::MIN] {
                let mut digits = [0; MAX_DIGITS];
                assert_eq!(decimal(value, &mut digits), value.to_string().as_bytes());
            }
        }
    }

    #[test]
    fn copies_of_every_length_are_whole() {
        let from: Vec<u8> = (0..100).collect();
        for len in 0..100 {
            let mut to = vec![0xFF; len];
            copy(&mut to, &from[..len]);
            assert_eq!(to, from[..len]);
        }
    }
}
