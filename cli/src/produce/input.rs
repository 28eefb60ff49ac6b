//! Lines of standard input.
//!
//! Always true: what is read at a time is what has come, and at least a line, so that a line that is typed is sent at once.

use std::io::{self, BufRead, BufReader, Read};

/// The longest line: more than any broker takes as a message.
const MAX_LINE: usize = 16 << 20;
/// Bytes that are read at a time.
const BUFFER: usize = 64 << 10;

/// A line, counted from 1, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InputLine {
    pub(super) number: u64,
    pub(super) bytes: Vec<u8>,
}

/// Why there are no more lines.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputError {
    #[error("cannot read: {0}")]
    Read(#[from] io::Error),
    #[error("line {number} is longer than {MAX_LINE} bytes: nothing after it is read")]
    TooLong { number: u64 },
}

/// Reads lines.
pub(super) struct Lines<R> {
    from: BufReader<R>,
    number: u64,
}

impl<R: Read> Lines<R> {
    pub(super) fn of(from: R) -> Self {
        Self { from: BufReader::with_capacity(BUFFER, from), number: 0 }
    }

    /// The next lines: none at the end.
    pub(super) fn read(&mut self) -> Result<Vec<InputLine>, InputError> {
        let mut lines = Vec::new();
        while let Some(line) = self.read_line()? {
            lines.push(line);
            if !self.from.buffer().contains(&b'\n') {
                break;
            }
        }
        Ok(lines)
    }

    fn read_line(&mut self) -> Result<Option<InputLine>, InputError> {
        let mut bytes = Vec::new();
        self.from.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut bytes)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        if bytes.len() > MAX_LINE {
            return Err(InputError::TooLong { number: self.number });
        }
        if bytes.pop_if(|last| *last == b'\n').is_some() {
            bytes.pop_if(|last| *last == b'\r');
        }
        Ok(Some(InputLine { number: self.number, bytes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one piece at a time, as pipes do.
    struct Pieces(Vec<&'static [u8]>);

    impl Read for Pieces {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0);
            into[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    #[test]
    fn lines_that_have_come_are_read_together_and_none_waits_for_the_next() {
        let mut lines = Lines::of(Pieces(vec![b"a\nb\r\n", b"\nc", b"c\nd"]));
        let mut read = || {
            let lines = lines.read().unwrap();
            lines
                .into_iter()
                .map(|line| (line.number, String::from_utf8(line.bytes).unwrap()))
                .collect::<Vec<_>>()
        };
        assert_eq!(read(), [(1, "a".to_owned()), (2, "b".to_owned())]);
        assert_eq!(read(), [(3, String::new())]);
        assert_eq!(read(), [(4, "cc".to_owned())]);
        assert_eq!(read(), [(5, "d".to_owned())]);
        assert_eq!(read(), []);
    }

    #[test]
    fn a_line_without_an_end_in_sight_is_refused() {
        let mut lines = Lines::of(io::repeat(b'x'));
        assert!(matches!(lines.read(), Err(InputError::TooLong { number: 1 })));
    }
}
