//! Reading a JSON header in one pass.
//!
//! The shape is flat: an object of scalars, one member of which, `extFields`, is an object of scalars again. So there
//! is no tree: members are matched by name as they pass, and of each field only the place is noted. Texts end at a
//! quote or hold a backslash; [`Stops`] finds both, 64 bytes at a time, and only texts with a backslash are copied.
//!
//! More is accepted than official clients write: blanks, any order, members with unknown names and any value, numbers
//! and booleans for texts, texts for numbers, nulls for anything, control characters inside of texts.

use super::{FrameError, HeaderScratch, Language, MAX_DEPTH, Members, Piece};

pub(super) fn decode(header: &[u8], scratch: &mut HeaderScratch) -> Result<Members, FrameError> {
    // Checked as a whole, so that every text between two ASCII quotes is UTF-8.
    if !super::is_ascii(header) {
        std::str::from_utf8(header).map_err(|_| FrameError::NotUtf8)?;
    }
    let mut scanner = Scanner { bytes: header, at: 0, stops: Stops::new(header), scratch };
    let members = scanner.header()?;
    debug_assert!(std::str::from_utf8(&scratch.text[..scratch.used]).is_ok());
    Ok(members)
}

struct Scanner<'h, 's> {
    bytes: &'h [u8],
    at: usize,
    stops: Stops,
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
            self.plain_fields()?;
            let name = self.name()?;
            if let Scalar::Text(value) = self.value()? {
                self.scratch.push(name, value)?;
            }
            more = self.next_member()?;
        }
        Ok(())
    }

    /// Passes fields as long as they are what official clients write, `"name":"value","` without an escape or a blank.
    /// Stands behind the quote of a name before and after. This is where decoding spends its time, so the state is kept
    /// in local variables, and three bytes are compared at once.
    #[inline(always)]
    fn plain_fields(&mut self) -> Result<(), FrameError> {
        let (bytes, mut at, mut stops) = (self.bytes, self.at, self.stops);
        loop {
            let name_end = stops.first_from(bytes, at);
            if bytes.get(name_end..name_end + 3) != Some(b"\":\"") {
                break;
            }
            let value = name_end + 3;
            let value_end = stops.first_from(bytes, value);
            if bytes.get(value_end..value_end + 3) != Some(b"\",\"") {
                break;
            }
            self.scratch.push(Piece::in_header(at, name_end), Piece::in_header(value, value_end))?;
            at = value_end + 3;
        }
        (self.at, self.stops) = (at, stops);
        Ok(())
    }

    /// Behind an opening brace: whether a member's text follows; stands behind its quote then.
    #[inline(always)]
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
    #[inline(always)]
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
    #[inline(always)]
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
    #[inline(always)]
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

    #[inline(always)]
    fn integer(&mut self) -> Result<i32, FrameError> {
        // Nine digits cannot overflow; all else is rare enough to go the long way.
        let (mut at, mut value) = (self.at, 0);
        while let Some(digit @ b'0'..=b'9') = self.bytes.get(at) {
            value = value * 10 + u64::from(digit - b'0');
            at += 1;
            if at - self.at > 9 {
                break;
            }
        }
        if let (1..=9, Some(b',' | b'}')) = (at - self.at, self.bytes.get(at)) {
            self.at = at;
            return Ok(value as i32);
        }
        self.any_integer()
    }

    #[inline(never)]
    fn any_integer(&mut self) -> Result<i32, FrameError> {
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
                let text = self.text(piece);
                match std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()) {
                    Some(ordinal) if text[0].is_ascii_digit() => Language::from_byte(ordinal),
                    _ => Language::from_name(text),
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
                        self.at = self.stops.first_from(self.bytes, self.at);
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
    #[inline(always)]
    fn string(&mut self) -> Result<Piece, FrameError> {
        let start = self.at;
        let stop = self.stops.first_from(self.bytes, start);
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
        let Self { bytes, mut stops, .. } = *self;
        let scratch = &mut *self.scratch;
        // A resolved text is never longer than what it was written as, so this much is enough for the whole header.
        let room = bytes.len() + COPY;
        if scratch.text.len() < room {
            scratch.text.resize(room, 0);
        }
        let text = &mut scratch.text[..room];
        let begin = scratch.used;
        let mut out = begin;
        let mut at = start;
        let mut stop = stop;
        loop {
            // Copies up to the stop, and bytes behind it that the next write covers.
            let end = out + (stop - at);
            while out < end {
                match (bytes.get(at..at + COPY), text.get_mut(out..out + COPY)) {
                    (Some(from), Some(to)) => to.copy_from_slice(from),
                    _ => text[out..end].copy_from_slice(&bytes[at..stop]),
                }
                at += COPY;
                out += COPY;
            }
            (at, out) = (stop, end);
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    // What separates properties, in every message.
                    if let Some([b'u', b'0', b'0', b'0', digit @ b'0'..=b'7']) = bytes.get(at + 1..at + 6) {
                        text[out] = digit - b'0';
                        at += 6;
                        out += 1;
                        stop = stops.first_from(bytes, at);
                        continue;
                    }
                    let Some((char, len)) = escape(&bytes[at + 1..]) else {
                        return Err(FrameError::Malformed { at, expected: "an escape of JSON" });
                    };
                    at += 1 + len;
                    out += char.encode_utf8(&mut text[out..]).len();
                }
                _ => return Err(FrameError::Malformed { at, expected: "the text's end" }),
            }
            stop = stops.first_from(bytes, at);
        }
        scratch.used = out;
        (self.at, self.stops) = (at + 1, stops);
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

    #[inline(always)]
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

/// Bytes that are copied in one step.
const COPY: usize = 16;

/// Bytes that are looked at in one step.
const BLOCK: usize = 64;

/// Where quotes and backslashes are: a bit for each byte of the block that was looked at last. Headers are read
/// forwards, so each block is looked at once.
#[derive(Clone, Copy)]
struct Stops {
    start: usize,
    bits: u64,
}

impl Stops {
    #[inline]
    fn new(bytes: &[u8]) -> Self {
        Self { start: 0, bits: stops_of_block(bytes, 0) }
    }

    /// The position of the first quote or backslash at or behind `at`, or the end.
    #[inline(always)]
    fn first_from(&mut self, bytes: &[u8], at: usize) -> usize {
        let skip = at.wrapping_sub(self.start);
        if skip < BLOCK && self.bits >> skip != 0 {
            return at + (self.bits >> skip).trailing_zeros() as usize;
        }
        let from = if skip < BLOCK { self.start + BLOCK } else { at & !(BLOCK - 1) };
        let (start, bits) = search(bytes, from, at);
        if bits == 0 {
            return bytes.len();
        }
        *self = Self { start, bits };
        start + bits.trailing_zeros() as usize
    }
}

/// The first block from `start` on that has a stop at or behind `at`, and these stops; 0 when there is none. In and out
/// of registers, so that callers keep their state there.
#[inline(never)]
fn search(bytes: &[u8], mut start: usize, at: usize) -> (usize, u64) {
    while start < bytes.len() {
        // Only the first block can begin before `at`.
        let bits = stops_of_block(bytes, start) & (!0 << at.saturating_sub(start));
        if bits != 0 {
            return (start, bits);
        }
        start += BLOCK;
    }
    (start, 0)
}

/// The stops among the 64 bytes from `start` on, which is at most the end.
#[inline]
fn stops_of_block(bytes: &[u8], start: usize) -> u64 {
    if let Some(block) = bytes[start..].first_chunk() {
        return stops(block);
    }
    let rest = bytes.len() - start;
    match bytes.last_chunk() {
        // The last block that is whole holds the rest at its end.
        Some(block) if rest > 0 => stops(block) >> (BLOCK - rest),
        _ => {
            let mut block = [0; BLOCK];
            block[..rest].copy_from_slice(&bytes[start..]);
            stops(&block)
        }
    }
}

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
#[inline]
fn stops(block: &[u8; BLOCK]) -> u64 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };
    let mut bits = 0;
    for (at, part) in block.as_chunks::<16>().0.iter().enumerate() {
        // SAFETY: this is compiled for processors with SSE2 only, and an unaligned load of 16 bytes is of a part that
        // has 16 bytes.
        let found = unsafe {
            let part = _mm_loadu_si128(part.as_ptr().cast());
            let quotes = _mm_cmpeq_epi8(part, _mm_set1_epi8(b'"' as i8));
            let slashes = _mm_cmpeq_epi8(part, _mm_set1_epi8(b'\\' as i8));
            _mm_movemask_epi8(_mm_or_si128(quotes, slashes))
        };
        bits |= u64::from(found as u16) << (16 * at);
    }
    bits
}

#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
#[inline]
fn stops(block: &[u8; BLOCK]) -> u64 {
    portable_stops(block)
}

#[cfg(any(test, not(all(target_arch = "x86_64", target_feature = "sse2"))))]
fn portable_stops(block: &[u8; BLOCK]) -> u64 {
    const LOWS: u64 = u64::from_ne_bytes([0x7F; 8]);
    // The top bit of each byte that is zero. Adding the low seven bits cannot carry into the next byte.
    let zeros = |word: u64| !(((word & LOWS) + LOWS) | word | LOWS);
    let mut bits = 0;
    for (at, word) in block.as_chunks::<8>().0.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quotes = zeros(word ^ u64::from_ne_bytes([b'"'; 8]));
        let slashes = zeros(word ^ u64::from_ne_bytes([b'\\'; 8]));
        // Moves the top bits of eight bytes next to each other.
        let found = ((quotes | slashes) >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits |= found << (8 * at);
    }
    bits
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
    fn stops_are_found_at_every_place() {
        for len in (0..200).chain([256, 257]) {
            for at in 0..=len {
                for stop in [b'"', b'\\'] {
                    // One above and one below a stop must not count, nor one with the top bit set.
                    let mut bytes: Vec<u8> =
                        [stop - 1, stop + 1, stop ^ 0x80].into_iter().cycle().take(len).collect();
                    if at < len {
                        bytes[at] = stop;
                    }
                    let mut stops = Stops::new(&bytes);
                    assert_eq!(stops.first_from(&bytes, 0), at, "len {len}");
                    assert_eq!(Stops::new(&bytes).first_from(&bytes, at), at, "len {len}");
                    assert_eq!(stops.first_from(&bytes, at + 1), len, "len {len}, at {at}");
                    if let Some(block) = bytes.first_chunk() {
                        assert_eq!(super::stops(block), portable_stops(block));
                    }
                }
            }
        }
    }
}
