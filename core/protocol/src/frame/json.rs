//! Reading a JSON header in one pass.
//!
//! The shape is flat: an object of scalars, one member of which, `extFields`, is an object of scalars again. So there
//! is no tree: members are matched by name as they pass, and of each field only the place is noted. Texts end at a
//! quote or hold a backslash; both are looked for eight bytes at a time, and only texts with a backslash are copied.
//!
//! More is accepted than official clients write: blanks, any order, members with unknown names and any value, numbers
//! and booleans for texts, texts for numbers, nulls for anything, control characters inside of texts.

use super::{FrameError, HeaderScratch, Language, MAX_DEPTH, Members, Piece};

pub(super) fn decode(header: &[u8], scratch: &mut HeaderScratch) -> Result<Members, FrameError> {
    // Checked as a whole, so that every text between two ASCII quotes is UTF-8.
    std::str::from_utf8(header).map_err(|_| FrameError::NotUtf8)?;
    let mut scanner = Scanner { bytes: header, at: 0, scratch };
    let members = scanner.header()?;
    std::str::from_utf8(&scratch.text[..scratch.used]).map_err(|_| FrameError::NotUtf8)?;
    Ok(members)
}

struct Scanner<'h, 's> {
    bytes: &'h [u8],
    at: usize,
    scratch: &'s mut HeaderScratch,
}

/// A value that is no object and no array.
enum Scalar {
    Null,
    Text(Piece),
}

impl Scanner<'_, '_> {
    fn header(&mut self) -> Result<Members, FrameError> {
        let mut members =
            Members { code: 0, language: Language::Java, version: 0, opaque: 0, flag: 0, remark: None };
        self.blanks();
        self.take(b'{', "an object")?;
        let mut more = self.first_member()?;
        while more {
            let name = self.name()?;
            match self.text(name) {
                b"code" => members.code = self.integer()?,
                b"extFields" => self.fields()?,
                b"flag" => members.flag = self.integer()?,
                b"language" => members.language = self.language()?,
                b"opaque" => members.opaque = self.integer()?,
                b"remark" => {
                    members.remark = match self.scalar()? {
                        Scalar::Null => None,
                        Scalar::Text(piece) => Some(piece),
                    };
                }
                b"version" => members.version = self.integer()?,
                _ => {
                    self.value()?;
                }
            }
            more = self.next_member()?;
        }
        self.blanks();
        if self.at != self.bytes.len() {
            return Err(self.expected("the header's end"));
        }
        Ok(members)
    }

    /// The object of fields, each of which is noted.
    fn fields(&mut self) -> Result<(), FrameError> {
        // A second object takes the place of the first.
        self.scratch.entries.clear();
        if self.peek() != Some(b'{') {
            return match self.scalar()? {
                Scalar::Null => Ok(()),
                Scalar::Text(_) => Err(self.expected("an object of fields")),
            };
        }
        self.at += 1;
        let mut more = self.first_member()?;
        while more {
            let name = self.name()?;
            if let Scalar::Text(value) = self.value()? {
                self.scratch.push(name, value)?;
            }
            more = self.next_member()?;
        }
        Ok(())
    }

    /// Behind an opening brace: whether a member's text follows; stands behind its quote then.
    #[inline]
    fn first_member(&mut self) -> Result<bool, FrameError> {
        self.blanks();
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                Ok(true)
            }
            Some(b'}') => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.expected("a member or '}'")),
        }
    }

    /// Behind a member: as [`first_member`](Self::first_member).
    #[inline]
    fn next_member(&mut self) -> Result<bool, FrameError> {
        if let Some([b',', b'"']) = self.bytes.get(self.at..self.at + 2) {
            self.at += 2;
            return Ok(true);
        }
        self.blanks();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.blanks();
                self.take(b'"', "a member's name")?;
                Ok(true)
            }
            Some(b'}') => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.expected("',' or '}'")),
        }
    }

    /// A member's name, behind its quote; stands at the value then.
    #[inline]
    fn name(&mut self) -> Result<Piece, FrameError> {
        let name = self.string()?;
        if self.peek() == Some(b':') && self.bytes.get(self.at + 1).is_some_and(|b| *b > b' ') {
            self.at += 1;
            return Ok(name);
        }
        self.blanks();
        self.take(b':', "':'")?;
        self.blanks();
        Ok(name)
    }

    /// Any value. Objects and arrays come as the text that they are.
    #[inline]
    fn value(&mut self) -> Result<Scalar, FrameError> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.string().map(Scalar::Text)
            }
            Some(b'{' | b'[') => {
                let start = self.at;
                self.skip_nested()?;
                Ok(Scalar::Text(Piece::in_header(start, self.at)))
            }
            _ => self.scalar(),
        }
    }

    /// A text, a number, a boolean, or null.
    fn scalar(&mut self) -> Result<Scalar, FrameError> {
        if self.peek() == Some(b'"') {
            self.at += 1;
            return self.string().map(Scalar::Text);
        }
        let start = self.at;
        let token = &self.bytes[start..];
        let len =
            token.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')).count();
        match &token[..len] {
            b"null" => {
                self.at += len;
                Ok(Scalar::Null)
            }
            b"true" | b"false" | [b'0'..=b'9' | b'-', ..] => {
                self.at += len;
                Ok(Scalar::Text(Piece::in_header(start, start + len)))
            }
            _ => Err(self.expected("a value")),
        }
    }

    fn integer(&mut self) -> Result<i32, FrameError> {
        let start = self.at;
        match self.scalar()? {
            Scalar::Null => Ok(0),
            Scalar::Text(piece) => std::str::from_utf8(self.text(piece))
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or(FrameError::Malformed { at: start, expected: "a 32-bit integer" }),
        }
    }

    fn language(&mut self) -> Result<Language, FrameError> {
        Ok(match self.scalar()? {
            Scalar::Null => Language::Java,
            Scalar::Text(piece) => {
                let text = std::str::from_utf8(self.text(piece)).unwrap_or_default();
                match text.parse() {
                    Ok(ordinal) => Language::from_byte(ordinal),
                    Err(_) => Language::from_name(text),
                }
            }
        })
    }

    /// Passes an object or an array with all that is in it. Only brackets and texts are looked at.
    #[cold]
    fn skip_nested(&mut self) -> Result<(), FrameError> {
        let mut open = [0u8; MAX_DEPTH];
        let mut depth = 0;
        loop {
            match self.peek() {
                Some(bracket @ (b'{' | b'[')) => {
                    if depth == MAX_DEPTH {
                        return Err(self.expected("less nesting"));
                    }
                    // In ASCII the closing one of both is two further on.
                    open[depth] = bracket + 2;
                    depth += 1;
                    self.at += 1;
                }
                Some(bracket @ (b'}' | b']')) => {
                    if open[depth - 1] != bracket {
                        return Err(self.expected("the other bracket"));
                    }
                    depth -= 1;
                    self.at += 1;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                Some(b'"') => {
                    self.at += 1;
                    loop {
                        self.at = find_stop(self.bytes, self.at);
                        match self.peek() {
                            Some(b'"') => break,
                            Some(_) => self.at += 2,
                            None => return Err(self.expected("the text's end")),
                        }
                    }
                    self.at += 1;
                }
                Some(_) => self.at += 1,
                None => return Err(self.expected("a closing bracket")),
            }
        }
    }

    /// A text, behind its opening quote; stands behind its closing quote then.
    #[inline]
    fn string(&mut self) -> Result<Piece, FrameError> {
        let start = self.at;
        let stop = find_stop(self.bytes, start);
        match self.bytes.get(stop) {
            Some(b'"') => {
                self.at = stop + 1;
                Ok(Piece::in_header(start, stop))
            }
            _ => self.unescape(start, stop),
        }
    }

    /// Copies a text that starts at `start` and has its first backslash at `stop`.
    #[inline(never)]
    fn unescape(&mut self, start: usize, stop: usize) -> Result<Piece, FrameError> {
        let Self { bytes, scratch, .. } = self;
        // A resolved text is never longer than what it was written as, so this much is enough for the whole header.
        if scratch.text.len() < bytes.len() + CHUNK {
            scratch.text.resize(bytes.len() + CHUNK, 0);
        }
        let text = &mut scratch.text[..bytes.len() + CHUNK];
        let begin = scratch.used;
        let mut out = begin + (stop - start);
        text[begin..out].copy_from_slice(&bytes[start..stop]);
        let mut at = stop;
        loop {
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    let Some((char, len)) = escape(&bytes[at + 1..]) else {
                        return Err(FrameError::Malformed { at, expected: "an escape of JSON" });
                    };
                    at += 1 + len;
                    out += char.encode_utf8(&mut text[out..]).len();
                }
                _ => return Err(FrameError::Malformed { at, expected: "the text's end" }),
            }
            // Copies up to the next stop, and bytes behind it that the next write covers.
            while let (Some(from), Some(to)) = (bytes.get(at..at + CHUNK), text.get_mut(out..out + CHUNK)) {
                to.copy_from_slice(from);
                let len = plain_len(from.try_into().expect("a chunk"));
                at += len;
                out += len;
                if len < CHUNK {
                    break;
                }
            }
            while let Some(&byte) = bytes.get(at).filter(|b| !matches!(b, b'"' | b'\\')) {
                text[out] = byte;
                at += 1;
                out += 1;
            }
        }
        scratch.used = out;
        self.at = at + 1;
        Ok(Piece::in_scratch(begin, out))
    }

    fn text(&self, piece: Piece) -> &[u8] {
        let source = if piece.len & super::IN_SCRATCH == 0 { self.bytes } else { &self.scratch.text };
        let start = piece.start as usize;
        &source[start..start + (piece.len & !super::IN_SCRATCH) as usize]
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    fn take(&mut self, byte: u8, expected: &'static str) -> Result<(), FrameError> {
        if self.peek() != Some(byte) {
            return Err(self.expected(expected));
        }
        self.at += 1;
        Ok(())
    }

    #[cold]
    fn expected(&self, expected: &'static str) -> FrameError {
        FrameError::Malformed { at: self.at, expected }
    }
}

/// Bytes that are looked at in one step.
const CHUNK: usize = 8;

/// How many bytes of a chunk come before its first quote or backslash; all of them when it has neither.
#[inline]
fn plain_len(chunk: [u8; CHUNK]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([0x01; CHUNK]);
    const TOPS: u64 = u64::from_ne_bytes([0x80; CHUNK]);
    let word = u64::from_le_bytes(chunk);
    // A byte that is zero borrows from its top bit. Bytes above a zero may show a false top bit, the lowest one never.
    let quote = word ^ (ONES * b'"' as u64);
    let slash = word ^ (ONES * b'\\' as u64);
    let found = ((quote.wrapping_sub(ONES) & !quote) | (slash.wrapping_sub(ONES) & !slash)) & TOPS;
    (found.trailing_zeros() / 8) as usize
}

/// The position of the first quote or backslash at or behind `at`, or the end.
#[inline]
fn find_stop(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..at + CHUNK) {
        let len = plain_len(chunk.try_into().expect("a chunk"));
        at += len;
        if len < CHUNK {
            return at;
        }
    }
    while bytes.get(at).is_some_and(|b| !matches!(b, b'"' | b'\\')) {
        at += 1;
    }
    at
}

/// Resolves what follows a backslash: the character, and how many bytes it was written with. Halves of surrogate pairs
/// that stand alone become U+FFFD, as they have no UTF-8.
#[inline]
fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let char = match bytes.first()? {
        b'u' => {
            let first = hex4(bytes.get(1..5)?)?;
            return Some(match first {
                0xD800..0xDC00 => match bytes.get(5..11) {
                    Some([b'\\', b'u', low @ ..]) => match hex4(low)? {
                        low @ 0xDC00..0xE000 => {
                            let code = 0x1_0000 + ((first - 0xD800) << 10) + (low - 0xDC00);
                            (char::from_u32(code)?, 11)
                        }
                        _ => (char::REPLACEMENT_CHARACTER, 5),
                    },
                    _ => (char::REPLACEMENT_CHARACTER, 5),
                },
                _ => (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 5),
            });
        }
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        _ => return None,
    };
    Some((char, 1))
}

#[inline]
fn hex4(digits: &[u8]) -> Option<u32> {
    let mut value = 0;
    for &digit in digits {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            b'A'..=b'F' => digit - b'A' + 10,
            _ => return None,
        };
        value = value << 4 | u32::from(digit);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_are_found_at_every_place_of_a_chunk() {
        for len in 0..40 {
            for stop in [b'"', b'\\'] {
                for at in 0..len {
                    let mut bytes = vec![b'!'; len];
                    bytes[at] = stop;
                    assert_eq!(find_stop(&bytes, 0), at);
                    // One above and one below a stop must not count, nor a byte with the top bit set.
                    let mut bytes = vec![stop ^ 0x80; len];
                    bytes[at] = stop + 1;
                    assert_eq!(find_stop(&bytes, 0), len);
                }
            }
        }
    }
}
