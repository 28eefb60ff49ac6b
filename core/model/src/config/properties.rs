//! Java's `.properties` format, which RocketMQ's configuration files have.
//!
//! A line is `key=value`, `key:value` or `key value`; `#` and `!` begin comments; an odd number of backslashes at
//! its end continues it on the next line, whose leading blanks do not count. `\t`, `\n`, `\r`, `\f` and `\uXXXX`
//! stand for characters, any other `\x` for `x`. The same key may come again: who reads decides that the last one
//! wins, as in Java.

use std::fmt::Write as _;
use std::str::Chars;

/// One entry, with the line that it begins on, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The line.
    pub line: usize,
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// A `\u` without four hexadecimal digits, or a surrogate without its partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed \\uXXXX escape")]
pub struct BadEscape {
    /// The line that the entry begins on, counted from 1.
    pub line: usize,
}

/// Reads all entries, in their order.
///
/// Bytes are UTF-8, or else Latin-1, which is what Java assumes.
///
/// # Errors
/// [`BadEscape`].
pub fn parse(bytes: &[u8]) -> Result<Vec<Entry>, BadEscape> {
    let text = match str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    };
    logical_lines(&text)
        .into_iter()
        .map(|(line, text)| {
            let (key, value) = split(&text);
            let bad = BadEscape { line };
            Ok(Entry { line, key: unescape(key).ok_or(bad)?, value: unescape(value).ok_or(bad)? })
        })
        .collect()
}

/// Joins continued lines and drops comments and blank lines. A comment cannot be continued.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut continued = false;
    let natural = text.replace("\r\n", "\n").replace('\r', "\n");
    for (index, line) in natural.split('\n').enumerate() {
        let line = line.trim_start_matches(BLANKS);
        let (content, more) = match line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 {
            1 => (&line[..line.len() - 1], true),
            _ => (line, false),
        };
        if continued {
            let (_, logical) = lines.last_mut().expect("what is continued has begun");
            logical.push_str(content);
        } else if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        } else {
            lines.push((index + 1, content.to_owned()));
        }
        continued = more;
    }
    lines
}

const BLANKS: [char; 3] = [' ', '\t', '\u{c}'];

/// Splits at the first `=`, `:` or blank that is not escaped; blanks around one `=` or `:` belong to neither side.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line
        .find(|c| {
            let ends = !escaped && (matches!(c, '=' | ':') || BLANKS.contains(&c));
            escaped = !escaped && c == '\\';
            ends
        })
        .unwrap_or(line.len());
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(BLANKS);
    (key, rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(BLANKS))
}

fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some('u') => out.push(unicode(&mut chars)?),
            Some(other) => out.push(other),
            None => {}
        }
    }
    Some(out)
}

/// Reads what follows `\u`: Java's 16-bit units, of which characters beyond the first plane take two.
fn unicode(chars: &mut Chars<'_>) -> Option<char> {
    let first = unit(chars)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first);
    }
    (chars.next()? == '\\' && chars.next()? == 'u').then_some(())?;
    let second = unit(chars).filter(|unit| (0xdc00..0xe000).contains(unit))?;
    char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))
}

fn unit(chars: &mut Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |unit, _| Some(unit << 4 | chars.next()?.to_digit(16)?))
}

/// Writes a value so that this module and Java read it back.
#[must_use]
pub fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            ' ' if out.is_empty() => out.push_str("\\ "),
            c if c.is_ascii() => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(usize, String, String)> {
        parse(text.as_bytes())
            .expect("well-formed")
            .into_iter()
            .map(|entry| (entry.line, entry.key, entry.value))
            .collect()
    }

    fn pair(line: usize, key: &str, value: &str) -> (usize, String, String) {
        (line, key.to_owned(), value.to_owned())
    }

    #[test]
    fn keys_and_values_are_separated_by_an_equals_sign_a_colon_or_blanks() {
        let text = "a=1\nb : 2\n  c 3\nd\ne==5\nf\t=\t6 \n";
        let expected =
            [(1, "a", "1"), (2, "b", "2"), (3, "c", "3"), (4, "d", ""), (5, "e", "=5"), (6, "f", "6 ")];
        assert_eq!(pairs(text), expected.map(|(line, key, value)| pair(line, key, value)));
    }

    #[test]
    fn comments_and_blank_lines_do_not_count_but_their_lines_do() {
        assert_eq!(pairs("# a=1\r\n\r\n  ! b=2 \\\r\nc=3 # kept"), [pair(4, "c", "3 # kept")]);
    }

    #[test]
    fn a_backslash_at_the_end_continues_a_line_unless_it_is_itself_escaped() {
        let text = "names=a:1;\\\n    b:2\npath=C:\\\\\nnext=1\nlast=\\";
        let expected = [(1, "names", "a:1;b:2"), (3, "path", "C:\\"), (4, "next", "1"), (5, "last", "")];
        assert_eq!(pairs(text), expected.map(|(line, key, value)| pair(line, key, value)));
    }

    #[test]
    fn a_continuation_may_look_like_a_comment() {
        assert_eq!(pairs("a=1\\\n#2\nb=3"), [pair(1, "a", "1#2"), pair(3, "b", "3")]);
    }

    #[test]
    fn escapes_stand_for_their_characters() {
        assert_eq!(pairs(r"a\ b\=c=\u00e9\t\q\ud83d\ude00"), [pair(1, "a b=c", "é\tq😀")]);
        assert_eq!(parse(b"a=1\nb=\\u12g4"), Err(BadEscape { line: 2 }));
        assert_eq!(parse(b"b=\\ud83d"), Err(BadEscape { line: 1 }));
    }

    #[test]
    fn what_is_escaped_reads_back() {
        for value in ["", " a=b:c#d", "C:\\new", "é😀", "two\nlines"] {
            assert_eq!(pairs(&format!("k={}", escape(value))), [pair(1, "k", value)]);
        }
    }

    #[test]
    fn what_is_not_utf8_is_latin1_as_in_java() {
        assert_eq!(parse(b"a=\xe9").unwrap()[0].value, "é");
    }
}
