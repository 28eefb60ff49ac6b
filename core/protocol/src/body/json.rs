//! Writing JSON in either [`Style`].

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, Serializer};

use super::Style;

pub(super) fn encode(body: &impl Serialize, style: Style) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let format = Format { style, key: Key::No };
    body.serialize(&mut Serializer::with_formatter(&mut out, format)).expect("keys are texts or numbers");
    out
}

struct Format {
    style: Style,
    key: Key,
}

/// Where the writer is with a key. The quotes of a number are asked for like those of a text, so the first one waits
/// until it is clear which of both follows.
#[derive(PartialEq)]
enum Key {
    /// In no key.
    No,
    /// Behind a key's comma.
    Begins,
    /// The opening quote was asked for and not written.
    QuoteDue,
    /// In a text that is a key.
    Text,
    /// Behind a number that is a key.
    Number,
}

impl Format {
    fn before_text<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.key == Key::QuoteDue {
            self.key = Key::Text;
            writer.write_all(b"\"")?;
        }
        Ok(())
    }

    fn before_number(&mut self) {
        if self.key == Key::QuoteDue {
            self.key = Key::Number;
        }
    }
}

impl Formatter for Format {
    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if self.style == Style::Java {
            self.key = Key::Begins;
        }
        CompactFormatter.begin_object_key(writer, first)
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.key = Key::No;
        Ok(())
    }

    fn begin_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.key == Key::Begins {
            self.key = Key::QuoteDue;
            return Ok(());
        }
        writer.write_all(b"\"")
    }

    fn end_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.key == Key::Number {
            return Ok(());
        }
        self.before_text(writer)?;
        writer.write_all(b"\"")
    }

    fn write_u32<W: ?Sized + Write>(&mut self, writer: &mut W, value: u32) -> io::Result<()> {
        self.before_number();
        CompactFormatter.write_u32(writer, value)
    }

    fn write_i64<W: ?Sized + Write>(&mut self, writer: &mut W, value: i64) -> io::Result<()> {
        self.before_number();
        CompactFormatter.write_i64(writer, value)
    }

    fn write_u64<W: ?Sized + Write>(&mut self, writer: &mut W, value: u64) -> io::Result<()> {
        self.before_number();
        CompactFormatter.write_u64(writer, value)
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        self.before_text(writer)?;
        if self.style == Style::Java || text.is_ascii() {
            return writer.write_all(text.as_bytes());
        }
        for char in text.chars() {
            if char.is_ascii() {
                writer.write_all(&[char as u8])?;
            } else {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04X}")?;
                }
            }
        }
        Ok(())
    }

    /// Bytes are JSON that is written already: what this serializer has no words for.
    fn write_byte_array<W: ?Sized + Write>(&mut self, writer: &mut W, value: &[u8]) -> io::Result<()> {
        writer.write_all(value)
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        self.before_text(writer)?;
        CompactFormatter.write_char_escape(writer, escape)
    }
}
