//! Reading a binary header.
//!
//! ```text
//! code 2 | language 1 | version 2 | opaque 4 | flag 4 | remark length 4, remark | fields length 4, fields
//! a field: name length 2, name | value length 4, value
//! ```
//! A length of 0 stands for null: such a remark, name or value is absent.

use super::{FrameError, HeaderScratch, Language, Members, Piece};

pub(super) fn decode(header: &[u8], scratch: &mut HeaderScratch) -> Result<Members, FrameError> {
    let mut reader = Reader { header, rest: header, checked: false };
    let code = i16::from_be_bytes(reader.array("a code")?);
    let [language] = reader.array("a language")?;
    let version = i16::from_be_bytes(reader.array("a version")?);
    let opaque = i32::from_be_bytes(reader.array("an opaque number")?);
    let flag = i32::from_be_bytes(reader.array("a flag")?);
    let remark_len = u32::from_be_bytes(reader.array("a remark's length")?);
    let remark = reader.text(remark_len, "a remark")?;
    let fields_len = u32::from_be_bytes(reader.array("the length of the fields")?);
    if fields_len as usize != reader.rest.len() {
        return Err(reader.expected("fields up to the header's end"));
    }
    // The lengths in between are ASCII too as long as no text has 128 bytes, so that one look tells of all of them.
    reader.checked = super::is_ascii(reader.rest);
    while !reader.rest.is_empty() {
        let name_len = u16::from_be_bytes(reader.array("a name's length")?);
        let name = reader.text(u32::from(name_len), "a name")?;
        let value_len = u32::from_be_bytes(reader.array("a value's length")?);
        let value = reader.text(value_len, "a value")?;
        if name_len != 0 && value_len != 0 {
            scratch.push(name, value)?;
        }
    }
    Ok(Members {
        code: i32::from(code),
        language: Language::from_byte(language),
        version: i32::from(version),
        opaque,
        flag,
        remark: (remark_len != 0).then_some(remark),
    })
}

struct Reader<'h> {
    header: &'h [u8],
    rest: &'h [u8],
    /// Whether all texts are known to be UTF-8.
    checked: bool,
}

impl Reader<'_> {
    #[inline(always)]
    fn array<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], FrameError> {
        match self.rest.split_first_chunk::<N>() {
            Some((array, rest)) => {
                self.rest = rest;
                Ok(*array)
            }
            None => Err(self.expected(expected)),
        }
    }

    #[inline(always)]
    fn text(&mut self, len: u32, expected: &'static str) -> Result<Piece, FrameError> {
        let Some((text, rest)) = self.rest.split_at_checked(len as usize) else {
            return Err(self.expected(expected));
        };
        if !self.checked && std::str::from_utf8(text).is_err() {
            return Err(FrameError::NotUtf8);
        }
        let start = self.at();
        self.rest = rest;
        Ok(Piece::in_header(start, start + text.len()))
    }

    fn at(&self) -> usize {
        self.header.len() - self.rest.len()
    }

    #[cold]
    fn expected(&self, expected: &'static str) -> FrameError {
        FrameError::Malformed { at: self.at(), expected }
    }
}
