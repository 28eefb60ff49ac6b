//! Frames as a load generator needs them: requests built once and patched in place, answers read just far enough.
//!
//! Everything that is done per message lives here and costs tens of nanoseconds: the generator shares the machine
//! with the server that it measures. Requests have the form that the official Java client 5.3.3 sends.

use anyhow::{Context as _, Result};
use ferromq_protocol::code::RequestCode;
use ferromq_protocol::frame::{
    Command, Fields, FrameLimits, Head, HeaderScratch, PREFIX_LEN, Serialization, encode_with_body, frame_len,
};

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
/// What an answer may be: batches of messages are listed in its header.
pub(crate) const LIMITS: FrameLimits = FrameLimits { max_frame: 16 << 20, max_header: 1 << 20 };
/// Where the binary form has its opaque, counted from the frame's first byte.
const BINARY_OPAQUE_AT: usize = PREFIX_LEN + 5;

/// Appends one request frame to `out`. Fields keep their order; the Java client's is alphabetical.
///
/// # Panics
/// If the frame is longer than its length fields can say: bodies are limited where they are made.
pub(crate) fn encode(
    out: &mut Vec<u8>,
    encoding: Encoding,
    code: RequestCode,
    opaque: u32,
    fields: &[(&str, &str)],
    body: &[u8],
) {
    let serialization = match encoding {
        Encoding::Json => Serialization::Json,
        Encoding::Binary => Serialization::Binary,
    };
    let head = Head { serialization, ..Head::request(code, opaque as i32) };
    encode_with_body(out, &head, fields, body).expect("bodies are shorter than frames may be");
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
    pub(crate) fn new(encoding: Encoding, code: RequestCode, fields: &[(&str, &str)], body: &[u8]) -> Self {
        let mut bytes = Vec::new();
        encode(&mut bytes, encoding, code, OPAQUE_STAND_IN, fields, body);
        let opaque_at = opaque_at(&bytes, encoding);
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

    /// Where in the frame a text occurs first.
    pub(crate) fn find(&self, text: &str) -> Option<usize> {
        find(&self.bytes, text.as_bytes(), 0)
    }

    /// Appends one request to `out`. `keys` is counted on for each place that wants one. Returns where in `out` the
    /// body starts.
    pub(crate) fn stamp(&self, out: &mut Vec<u8>, opaque: u32, born: &[u8; 13], keys: &mut u64) -> usize {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let frame = &mut out[start..];
        write_opaque(frame, self.encoding, self.opaque_at, opaque);
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

/// A request frame without a body, in which one text stands in several places.
#[derive(Debug, Default)]
pub(crate) struct Places {
    bytes: Vec<u8>,
    encoding: Encoding,
    opaque_at: usize,
    places: Vec<usize>,
    len: usize,
}

/// A place to fill in.
#[derive(Debug)]
pub(crate) struct Place<'a>(&'a mut [u8]);

impl Place<'_> {
    /// Writes the number's last digits, as many as there is room for.
    pub(crate) fn write_number(self, mut number: u64) {
        for digit in self.0.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
    }
}

impl Places {
    /// Builds the frame and finds where `stand_in` occurs.
    pub(crate) fn find(
        encoding: Encoding,
        code: RequestCode,
        fields: &[(&str, &str)],
        stand_in: &[u8],
    ) -> Self {
        let mut bytes = Vec::new();
        encode(&mut bytes, encoding, code, OPAQUE_STAND_IN, fields, b"");
        let opaque_at = opaque_at(&bytes, encoding);
        let mut places = Vec::new();
        while let Some(at) = find(&bytes, stand_in, places.last().map_or(0, |at| at + stand_in.len())) {
            places.push(at);
        }
        Self { bytes, encoding, opaque_at, places, len: stand_in.len() }
    }

    /// Appends one request to `out`, with each place written by `fill`.
    pub(crate) fn stamp(&self, out: &mut Vec<u8>, opaque: u32, fill: impl Fn(Place<'_>)) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let frame = &mut out[start..];
        write_opaque(frame, self.encoding, self.opaque_at, opaque);
        for &at in &self.places {
            fill(Place(&mut frame[at..at + self.len]));
        }
    }
}

fn opaque_at(bytes: &[u8], encoding: Encoding) -> usize {
    match encoding {
        Encoding::Json => find(bytes, OPAQUE_STAND_IN.to_string().as_bytes(), 0).expect("just written"),
        Encoding::Binary => BINARY_OPAQUE_AT,
    }
}

fn write_opaque(frame: &mut [u8], encoding: Encoding, at: usize, opaque: u32) {
    match encoding {
        Encoding::Json => Place(&mut frame[at..at + 8]).write_number(u64::from(opaque)),
        Encoding::Binary => frame[at..at + 4].copy_from_slice(&opaque.to_be_bytes()),
    }
}

fn find(bytes: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    bytes[from..].windows(wanted.len()).position(|window| window == wanted).map(|at| from + at)
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
    frame: &'a [u8],
    /// What follows the header.
    pub(crate) body: &'a [u8],
}

impl Answer<'_> {
    /// The server's words for a failure.
    pub(crate) fn remark(&self) -> String {
        let mut scratch = HeaderScratch::new();
        let command = Command::decode(self.frame, &mut scratch).ok();
        command.and_then(|command| command.remark).unwrap_or_default().to_owned()
    }

    /// Reads several fields of the answer's header.
    ///
    /// # Errors
    /// If the header is broken.
    pub(crate) fn with_fields<T>(&self, read: impl FnOnce(&Fields<'_>) -> T) -> Result<T> {
        let mut scratch = HeaderScratch::new();
        let command = Command::decode(self.frame, &mut scratch).context("the server sent a broken header")?;
        Ok(read(&command.fields))
    }

    /// A field of the answer's header.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let mut scratch = HeaderScratch::new();
        Command::decode(self.frame, &mut scratch).ok()?.fields.find(name).map(str::to_owned)
    }
}

/// Reads answers. Remembers where the last header had its opaque: a server's answers look alike, so that one
/// comparison replaces a scan. Opaques of the server's own requests are shorter, so those miss the remembered place.
#[derive(Debug, Default)]
pub(crate) struct AnswerReader {
    opaque_from_end: usize,
    is_request: bool,
    scratch: HeaderScratch,
}

const OPAQUE_KEY: &[u8] = b"\"opaque\":";
const CODE_KEY: &[u8] = b"{\"code\":";

impl AnswerReader {
    /// The frame at the start of `bytes` and its length; `None` while it is incomplete.
    pub(crate) fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<(Answer<'a>, usize)>> {
        let len = frame_len(bytes, &LIMITS).context("the server does not speak the remoting protocol")?;
        let Some(len) = len else { return Ok(None) };
        let frame = &bytes[..len];
        let header_len = u32::from_be_bytes([0, frame[5], frame[6], frame[7]]) as usize;
        let (header, body) = frame[PREFIX_LEN..].split_at(header_len);
        let binary = frame[4] == Serialization::Binary.byte();
        let (code, opaque, is_request) = match if binary { fixed(header) } else { self.remembered(header) } {
            Some(found) => found,
            None => self.decode(frame, header)?,
        };
        Ok(Some((Answer { code, opaque, is_request, frame, body }, len)))
    }

    fn remembered(&self, header: &[u8]) -> Option<(i32, u32, bool)> {
        let code = header.strip_prefix(CODE_KEY)?;
        let opaque = header[header.len().checked_sub(self.opaque_from_end)?..].strip_prefix(OPAQUE_KEY)?;
        Some((leading_number(code) as i32, leading_number(opaque), self.is_request))
    }

    fn decode(&mut self, frame: &[u8], header: &[u8]) -> Result<(i32, u32, bool)> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let command = Command::decode(frame, &mut scratch).context("the server sent a broken header")?;
        let (code, opaque, is_request) = (command.code, command.opaque as u32, !command.is_response());
        if opaque >= FIRST_OPAQUE
            && let Some(at) = header.windows(OPAQUE_KEY.len()).rposition(|w| w == OPAQUE_KEY)
        {
            self.opaque_from_end = header.len() - at;
            self.is_request = is_request;
        }
        self.scratch = scratch;
        Ok((code, opaque, is_request))
    }
}

/// The parts of a binary header that have fixed places.
fn fixed(header: &[u8]) -> Option<(i32, u32, bool)> {
    let &[code_high, code_low, _, _, _, a, b, c, d, _, _, _, flag, ..] = header else { return None };
    let code = i32::from(i16::from_be_bytes([code_high, code_low]));
    Some((code, u32::from_be_bytes([a, b, c, d]), flag & 1 == 0))
}

fn leading_number(text: &[u8]) -> u32 {
    text.iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |number: u32, byte| number.wrapping_mul(10).wrapping_add(u32::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use ferromq_protocol::code::ResponseCode;

    use super::*;

    #[test]
    fn a_stamped_request_equals_one_that_was_built_with_its_values() {
        for encoding in [Encoding::Json, Encoding::Binary] {
            let ext = |born: &str, key: &str| {
                let mut frame = Vec::new();
                let properties = format!("UNIQ_KEY\x017F00000100002A13{key}\x02");
                let ext = [("g", born), ("i", properties.as_str())];
                encode(&mut frame, encoding, RequestCode::SendMessageV2, 10_000_017, &ext, b"body");
                frame
            };
            let properties = format!("UNIQ_KEY\x017F00000100002A13{KEY_STAND_IN}\x02");
            let ext_in = [("g", BORN_STAND_IN), ("i", properties.as_str())];
            let template = Template::new(encoding, RequestCode::SendMessageV2, &ext_in, b"body");
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
            assert_eq!(answer.field("queueOffset").as_deref(), Some(offset));
            for cut in 0..bytes.len() {
                assert!(reader.next(&bytes[..cut]).unwrap().is_none());
            }
        }
        for serialization in [Serialization::Json, Serialization::Binary] {
            let head =
                Head::response_to(serialization, 10_000_009, ResponseCode::SystemBusy).with_remark("busy");
            let mut bytes = Vec::new();
            encode_with_body(&mut bytes, &head, &[("queueOffset", "5")], b"xyz").unwrap();
            let (answer, len) = reader.next(&bytes).unwrap().unwrap();
            assert_eq!(
                (answer.code, answer.opaque, answer.is_request, len),
                (2, 10_000_009, false, bytes.len())
            );
            assert_eq!(
                (answer.remark().as_str(), answer.field("queueOffset").as_deref()),
                ("busy", Some("5"))
            );
        }
        let failure = frame(r#"{"opaque":10000004,"code":17,"remark":"no topic","flag":1}"#, b"");
        let (answer, _) = reader.next(&failure).unwrap().unwrap();
        assert_eq!((answer.code, answer.opaque, answer.remark().as_str()), (17, 10_000_004, "no topic"));
        let push = frame(r#"{"code":40,"flag":2,"opaque":3}"#, b"");
        assert!(reader.next(&push).unwrap().unwrap().0.is_request);
    }
}
