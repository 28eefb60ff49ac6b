//! Frames as a load generator needs them: requests built once and patched in place, answers read just far enough.
//!
//! Everything that is done per message lives here and costs tens of nanoseconds: the generator shares the machine
//! with the server that it measures. Requests have the form that the official Java client 5.3.3 sends.

use std::io::Write as _;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// How request headers are written; answers are understood in either form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Encoding {
    /// The JSON header that official clients send.
    #[default]
    Json,
    /// The binary header (`ROCKETMQ`).
    Binary,
}

/// Requests use opaques from here on, so that all have eight digits and a slot is `opaque - FIRST_OPAQUE`.
pub(crate) const FIRST_OPAQUE: u32 = 10_000_000;
/// Largest frame that an answer may be: what the protocol allows.
pub(crate) const MAX_FRAME_LEN: usize = 16 << 20;
/// Protocol version of the Java client whose form the requests have (5.3.3).
const VERSION: u16 = 479;
/// Where the binary form has its opaque, counted from the frame's first byte.
const BINARY_OPAQUE_AT: usize = 13;

/// Appends one request frame to `out`. Extension keys are written in the order given; the Java client's is alphabetical.
pub(crate) fn encode(
    out: &mut Vec<u8>,
    encoding: Encoding,
    code: u16,
    opaque: u32,
    ext: &[(&str, &str)],
    body: &[u8],
) {
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    match encoding {
        Encoding::Json => {
            let _ = write!(out, "{{\"code\":{code},\"extFields\":{{");
            for (i, (key, value)) in ext.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                json_string(out, key);
                out.push(b':');
                json_string(out, value);
            }
            let _ = write!(
                out,
                "}},\"flag\":0,\"language\":\"JAVA\",\"opaque\":{opaque},\
                 \"serializeTypeCurrentRPC\":\"JSON\",\"version\":{VERSION}}}"
            );
        }
        Encoding::Binary => {
            out.extend_from_slice(&code.to_be_bytes());
            out.push(0);
            out.extend_from_slice(&VERSION.to_be_bytes());
            out.extend_from_slice(&opaque.to_be_bytes());
            out.extend_from_slice(&[0; 8]); // flag, and no remark
            let ext_len: usize = ext.iter().map(|(key, value)| 6 + key.len() + value.len()).sum();
            out.extend_from_slice(&(ext_len as u32).to_be_bytes());
            for (key, value) in ext {
                out.extend_from_slice(&(key.len() as u16).to_be_bytes());
                out.extend_from_slice(key.as_bytes());
                out.extend_from_slice(&(value.len() as u32).to_be_bytes());
                out.extend_from_slice(value.as_bytes());
            }
        }
    }
    let header_len = out.len() - start - 8;
    out.extend_from_slice(body);
    let len = out.len() - start - 4;
    let kind = if encoding == Encoding::Binary { 1 << 24 } else { 0 };
    out[start..start + 4].copy_from_slice(&(len as u32).to_be_bytes());
    out[start + 4..start + 8].copy_from_slice(&(kind | header_len as u32).to_be_bytes());
}

fn json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for &byte in text.as_bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => {
                let _ = write!(out, "\\u{byte:04x}");
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Sixteen hex digits that stand where each message has its own.
pub(crate) const KEY_STAND_IN: &str = "FEEDFACECAFEF00D";
/// Thirteen digits that stand where the born time, in milliseconds, goes.
pub(crate) const BORN_STAND_IN: &str = "8888888888888";
const OPAQUE_STAND_IN: u32 = 87_654_321;

/// A request frame with places that are filled in for each message.
#[derive(Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    encoding: Encoding,
    opaque_at: usize,
    born_at: Option<usize>,
    keys_at: Vec<usize>,
    body_at: usize,
}

impl Template {
    /// Builds the frame and finds its places: [`BORN_STAND_IN`] once, [`KEY_STAND_IN`] as often as it occurs.
    pub(crate) fn new(encoding: Encoding, code: u16, ext: &[(&str, &str)], body: &[u8]) -> Self {
        let mut bytes = Vec::new();
        encode(&mut bytes, encoding, code, OPAQUE_STAND_IN, ext, body);
        let opaque_at = match encoding {
            Encoding::Json => find(&bytes, OPAQUE_STAND_IN.to_string().as_bytes(), 0).expect("just written"),
            Encoding::Binary => BINARY_OPAQUE_AT,
        };
        let mut keys_at = Vec::new();
        while let Some(at) =
            find(&bytes, KEY_STAND_IN.as_bytes(), keys_at.last().map_or(0, |at| at + KEY_STAND_IN.len()))
        {
            keys_at.push(at);
        }
        let born_at = find(&bytes, BORN_STAND_IN.as_bytes(), 0);
        let body_at = bytes.len() - body.len();
        Self { bytes, encoding, opaque_at, born_at, keys_at, body_at }
    }

    /// Appends one request to `out`. `keys` is counted on for each place that wants one. Returns where in `out` the
    /// body starts.
    pub(crate) fn stamp(&self, out: &mut Vec<u8>, opaque: u32, born: &[u8; 13], keys: &mut u64) -> usize {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let frame = &mut out[start..];
        match self.encoding {
            Encoding::Json => write_digits(&mut frame[self.opaque_at..self.opaque_at + 8], opaque),
            Encoding::Binary => {
                frame[self.opaque_at..self.opaque_at + 4].copy_from_slice(&opaque.to_be_bytes());
            }
        }
        if let Some(at) = self.born_at {
            frame[at..at + born.len()].copy_from_slice(born);
        }
        for &at in &self.keys_at {
            frame[at..at + 16].copy_from_slice(&hex(*keys));
            *keys += 1;
        }
        start + self.body_at
    }
}

fn find(bytes: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    bytes[from..].windows(wanted.len()).position(|window| window == wanted).map(|at| from + at)
}

fn write_digits(place: &mut [u8], mut number: u32) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// All sixteen digits at once: spread the nibbles over two words, then turn each byte below 16 into its digit.
fn hex(number: u64) -> [u8; 16] {
    fn eight(half: u32) -> [u8; 8] {
        let mut x = u64::from(half);
        x = (x | x << 16) & 0x0000_FFFF_0000_FFFF;
        x = (x | x << 8) & 0x00FF_00FF_00FF_00FF;
        x = (x | x << 4) & 0x0F0F_0F0F_0F0F_0F0F;
        let above_nine = ((x + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
        (x + 0x3030_3030_3030_3030 + above_nine * 7).to_be_bytes()
    }
    let mut digits = [0; 16];
    digits[..8].copy_from_slice(&eight((number >> 32) as u32));
    digits[8..].copy_from_slice(&eight(number as u32));
    digits
}

/// One answer, read in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a> {
    /// The response code; 0 is success.
    pub(crate) code: i32,
    /// The request it belongs to.
    pub(crate) opaque: u32,
    /// Whether the peer sent a request of its own instead (a notification): such frames are no answers.
    pub(crate) is_request: bool,
    header: &'a [u8],
    binary: bool,
    /// What follows the header.
    pub(crate) body: &'a [u8],
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct JsonHeader {
    code: i32,
    opaque: u32,
    flag: i32,
    remark: Option<String>,
    #[serde(rename = "extFields")]
    ext: Option<std::collections::HashMap<String, String>>,
}

impl Answer<'_> {
    /// The server's words for a failure.
    pub(crate) fn remark(&self) -> String {
        if self.binary {
            let len =
                self.header.get(13..17).map_or(0, |len| u32::from_be_bytes(len.try_into().expect("4 bytes")));
            let remark = self.header.get(17..17 + len as usize).unwrap_or_default();
            return String::from_utf8_lossy(remark).into_owned();
        }
        serde_json::from_slice::<JsonHeader>(self.header).ok().and_then(|h| h.remark).unwrap_or_default()
    }

    /// A value of the answer's header.
    pub(crate) fn ext(&self, key: &str) -> Option<String> {
        if self.binary {
            let mut rest = self.header.get(17..)?;
            let remark_len = u32::from_be_bytes(self.header[13..17].try_into().ok()?) as usize;
            rest = rest.get(remark_len + 4..)?;
            while let Some((key_len, after)) = rest.split_first_chunk::<2>() {
                let (name, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*key_len)))?;
                let (value_len, after) = after.split_first_chunk::<4>()?;
                let (value, after) = after.split_at_checked(u32::from_be_bytes(*value_len) as usize)?;
                if name == key.as_bytes() {
                    return String::from_utf8(value.to_vec()).ok();
                }
                rest = after;
            }
            return None;
        }
        serde_json::from_slice::<JsonHeader>(self.header).ok()?.ext?.remove(key)
    }
}

/// Reads answers. Remembers where the last header had its opaque: a server's answers look alike, so that one
/// comparison replaces a scan. Opaques of the server's own requests are shorter, so those miss the remembered place.
#[derive(Debug, Default)]
pub(crate) struct AnswerReader {
    opaque_from_end: usize,
    is_request: bool,
}

const OPAQUE_KEY: &[u8] = b"\"opaque\":";
const CODE_KEY: &[u8] = b"{\"code\":";

impl AnswerReader {
    /// The frame at the start of `bytes` and its length; `None` while it is incomplete.
    pub(crate) fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<(Answer<'a>, usize)>> {
        let Some((len, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
        let len = u32::from_be_bytes(*len) as usize;
        if !(4..MAX_FRAME_LEN).contains(&len) {
            bail!("the server sent a frame of {len} bytes: it does not speak the remoting protocol");
        }
        let Some(frame) = rest.get(..len) else { return Ok(None) };
        let binary = frame[0] == 1;
        let header_len = u32::from_be_bytes([0, frame[1], frame[2], frame[3]]) as usize;
        let Some((header, body)) = frame[4..].split_at_checked(header_len) else {
            bail!("the server sent a header that is longer than its frame");
        };
        let (code, opaque, is_request) = if binary {
            let fixed = header
                .first_chunk::<13>()
                .context("the server sent a binary header of less than 13 bytes")?;
            (
                i32::from(u16::from_be_bytes([fixed[0], fixed[1]])),
                u32::from_be_bytes(fixed[5..9].try_into().expect("4 bytes")),
                fixed[12] & 1 == 0,
            )
        } else {
            self.json(header)?
        };
        Ok(Some((Answer { code, opaque, is_request, header, binary, body }, 4 + len)))
    }

    fn json(&mut self, header: &[u8]) -> Result<(i32, u32, bool)> {
        if let Some(code) = header.strip_prefix(CODE_KEY)
            && let Some(tail) = header.len().checked_sub(self.opaque_from_end)
            && let Some(opaque) = header[tail..].strip_prefix(OPAQUE_KEY)
        {
            return Ok((leading_number(code) as i32, leading_number(opaque), self.is_request));
        }
        let parsed: JsonHeader =
            serde_json::from_slice(header).context("the server sent a header that is no JSON")?;
        let is_request = parsed.flag & 1 == 0;
        if let Some(at) = header.windows(OPAQUE_KEY.len()).rposition(|w| w == OPAQUE_KEY)
            && parsed.opaque >= FIRST_OPAQUE
        {
            self.opaque_from_end = header.len() - at;
            self.is_request = is_request;
        }
        Ok((parsed.code, parsed.opaque, is_request))
    }
}

fn leading_number(text: &[u8]) -> u32 {
    text.iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |number: u32, byte| number.wrapping_mul(10).wrapping_add(u32::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_request_has_the_reference_bytes_but_for_language_and_version() {
        let mut frame = Vec::new();
        encode(&mut frame, Encoding::Binary, 30, 7, &[("topic", "T1"), ("queueId", "0")], b"");
        let text: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            text,
            "0000003401000030001e0001df0000000700000000000000000000001b0005746f7069630000000254310007717565756549640000000130"
        );
    }

    #[test]
    fn a_stamped_request_equals_one_that_was_built_with_its_values() {
        for encoding in [Encoding::Json, Encoding::Binary] {
            let ext = |born: &str, key: &str| {
                let mut frame = Vec::new();
                let properties = format!("UNIQ_KEY\x017F00000100002A13{key}\x02");
                let ext = [("g", born), ("i", properties.as_str())];
                encode(&mut frame, encoding, 310, 10_000_017, &ext, b"body");
                frame
            };
            let properties = format!("UNIQ_KEY\x017F00000100002A13{KEY_STAND_IN}\x02");
            let ext_in = [("g", BORN_STAND_IN), ("i", properties.as_str())];
            let template = Template::new(encoding, 310, &ext_in, b"body");
            let (mut out, mut keys) = (Vec::new(), 0xAB_0123_4567_89EF);
            let body_at = template.stamp(&mut out, 10_000_017, b"1700000000001", &mut keys);
            assert_eq!(out, ext("1700000000001", "00AB0123456789EF"));
            assert_eq!((&out[body_at..], keys), (&b"body"[..], 0xAB_0123_4567_89F0));
        }
    }

    #[test]
    fn answers_are_read_the_same_by_the_first_scan_and_by_the_remembered_place() {
        let frame = |header: &str, body: &[u8]| {
            let mut frame = ((4 + header.len() + body.len()) as u32).to_be_bytes().to_vec();
            frame.extend_from_slice(&(header.len() as u32).to_be_bytes());
            frame.extend_from_slice(header.as_bytes());
            frame.extend_from_slice(body);
            frame
        };
        let mut reader = AnswerReader::default();
        for (opaque, offset) in [(10_000_001, "9"), (10_000_002, "10"), (10_000_003, "111111")] {
            let header = format!(
                r#"{{"code":0,"extFields":{{"queueOffset":"{offset}"}},"flag":1,"opaque":{opaque},"version":479}}"#
            );
            let bytes = frame(&header, b"xyz");
            let (answer, len) = reader.next(&bytes).unwrap().unwrap();
            assert_eq!((answer.code, answer.opaque, answer.is_request), (0, opaque, false));
            assert_eq!((len, answer.body), (bytes.len(), &b"xyz"[..]));
            assert_eq!(answer.ext("queueOffset").as_deref(), Some(offset));
            for cut in 0..bytes.len() {
                assert!(reader.next(&bytes[..cut]).unwrap().is_none());
            }
        }
        let failure = frame(r#"{"opaque":10000004,"code":17,"remark":"no topic","flag":1}"#, b"");
        let (answer, _) = reader.next(&failure).unwrap().unwrap();
        assert_eq!((answer.code, answer.opaque, answer.remark().as_str()), (17, 10_000_004, "no topic"));
        let push = frame(r#"{"code":40,"flag":2,"opaque":3}"#, b"");
        assert!(reader.next(&push).unwrap().unwrap().0.is_request);
    }
}
