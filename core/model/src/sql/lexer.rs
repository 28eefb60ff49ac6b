//! From text to tokens. The longest token wins, as in the reference's lexer: `5AND` is two tokens, `NOTa` is one.

use std::borrow::Cow;
use std::fmt;

use super::SqlError;

/// Words of the language, in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    And,
    Between,
    Contains,
    EndsWith,
    False,
    In,
    Is,
    Not,
    Null,
    Or,
    StartsWith,
    True,
}

const WORDS: [(&str, Word); 12] = [
    ("AND", Word::And),
    ("BETWEEN", Word::Between),
    ("CONTAINS", Word::Contains),
    ("ENDSWITH", Word::EndsWith),
    ("FALSE", Word::False),
    ("IN", Word::In),
    ("IS", Word::Is),
    ("NOT", Word::Not),
    ("NULL", Word::Null),
    ("OR", Word::Or),
    ("STARTSWITH", Word::StartsWith),
    ("TRUE", Word::True),
];

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    Word(Word),
    Name(&'a str),
    /// Digits, without the `L`.
    Integer(&'a str),
    Float(&'a str),
    Text(Cow<'a, str>),
    /// An operator or a mark.
    Mark(&'static str),
    End,
}

/// As errors name it.
impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// A text may be long, and the error travels in a header.
        const SHOWN: usize = 32;
        let shown = |text: &str| {
            let end = text.char_indices().nth(SHOWN).map(|(at, _)| at);
            end.map_or_else(|| text.to_owned(), |end| format!("{}...", &text[..end]))
        };
        match self {
            Self::Word(word) => {
                let text = WORDS.iter().find(|(_, w)| w == word).map_or("", |(text, _)| text);
                f.write_str(text)
            }
            Self::Name(text) | Self::Integer(text) | Self::Float(text) => write!(f, "\"{}\"", shown(text)),
            Self::Text(text) => write!(f, "the text '{}'", shown(text)),
            Self::Mark(mark) => write!(f, "\"{mark}\""),
            Self::End => f.write_str("the end"),
        }
    }
}

pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The error that something is wrong at the byte `at`.
    pub(super) fn error(&self, at: usize, problem: impl Into<String>) -> SqlError {
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        SqlError {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            problem: problem.into(),
        }
    }

    /// The next token and where it starts.
    pub(super) fn next(&mut self) -> Result<(usize, Token<'a>), SqlError> {
        self.skip_blanks()?;
        let at = self.at;
        let rest = &self.text[at..];
        let Some(first) = rest.chars().next() else { return Ok((at, Token::End)) };
        let (len, token) = match first {
            'a'..='z' | 'A'..='Z' | '_' | '$' => name_or_word(rest),
            '0'..='9' => number(rest),
            '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => number(rest),
            '\'' => text(rest).ok_or_else(|| self.error(at, "this text has no closing \"'\""))?,
            _ => {
                const MARKS: [&str; 10] = ["<>", "<=", ">=", "<", ">", "=", "(", ")", ",", "+"];
                let marks = MARKS.into_iter().chain(["-"]);
                let mark = marks.into_iter().find(|mark| rest.starts_with(mark)).ok_or_else(|| {
                    let hint = if first == '"' { "; texts stand in single quotes" } else { "" };
                    self.error(at, format!("{first:?} has no meaning here{hint}"))
                })?;
                (mark.len(), Token::Mark(mark))
            }
        };
        self.at += len;
        Ok((at, token))
    }

    fn skip_blanks(&mut self) -> Result<(), SqlError> {
        loop {
            let rest = &self.text[self.at..];
            let blank = rest.bytes().take_while(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n' | 0x0c)).count();
            if blank > 0 {
                self.at += blank;
            } else if rest.starts_with("--")
                && let Some(end) = rest.find(['\n', '\r'])
            {
                // Only a line's end makes it a comment: `--5` at the end of a selector is 5, twice negated.
                self.at += end;
            } else if let Some(comment) = rest.strip_prefix("/*") {
                let end = comment.find("*/").map(|end| end + 4);
                self.at += end.ok_or_else(|| self.error(self.at, "this comment has no closing \"*/\""))?;
            } else {
                return Ok(());
            }
        }
    }
}

fn name_or_word(rest: &str) -> (usize, Token<'_>) {
    let is_part = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'$';
    let name = &rest[..rest.as_bytes().iter().take_while(|b| is_part(b)).count()];
    let word = WORDS.iter().find(|(text, _)| text.eq_ignore_ascii_case(name));
    (name.len(), word.map_or(Token::Name(name), |&(_, word)| Token::Word(word)))
}

/// A decimal (`0`, or digits that begin otherwise, with an `L` or without) or a float (`1.5`, `5.`, `.5`, `5E10`).
fn number(rest: &str) -> (usize, Token<'_>) {
    let bytes = rest.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let whole = digits(0);
    let mut len = whole;
    let has_point = bytes.get(len) == Some(&b'.');
    if has_point {
        len += 1 + digits(len + 1);
    }
    let mut has_exponent = false;
    if bytes.get(len).is_some_and(|b| b.eq_ignore_ascii_case(&b'e')) {
        let sign = usize::from(matches!(bytes.get(len + 1), Some(b'+' | b'-')));
        let exponent = digits((len + 1 + sign).min(bytes.len()));
        if exponent > 0 {
            has_exponent = true;
            len += 1 + sign + exponent;
        }
    }
    if has_point || has_exponent {
        return (len, Token::Float(&rest[..len]));
    }
    // Neither `007` nor `0L` is one number.
    if bytes[0] == b'0' {
        return (1, Token::Integer("0"));
    }
    let suffix = usize::from(matches!(bytes.get(whole), Some(b'l' | b'L')));
    (whole + suffix, Token::Integer(&rest[..whole]))
}

/// A text in quotes, where two of them stand for one.
fn text(rest: &str) -> Option<(usize, Token<'_>)> {
    let bytes = rest.as_bytes();
    let mut at = 1;
    let mut doubled = false;
    loop {
        at += bytes[at..].iter().position(|&b| b == b'\'')?;
        if bytes.get(at + 1) != Some(&b'\'') {
            break;
        }
        doubled = true;
        at += 2;
    }
    let inside = &rest[1..at];
    let value = if doubled { Cow::Owned(inside.replace("''", "'")) } else { Cow::Borrowed(inside) };
    Some((at + 1, Token::Text(value)))
}
