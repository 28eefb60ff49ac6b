//! The body of a client's batch: messages of one topic and queue, one after the other.
//!
//! ```text
//! total 4 | magic 4 (0) | crc 4 (0) | flag 4 | body length 4, body | properties length 2, properties
//! ```
//! Source: RocketMQ's `MessageDecoder.encodeMessages`.

/// One message of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchItem<'a> {
    /// The sender's own flag.
    pub flag: i32,
    /// The body.
    pub body: &'a [u8],
    /// The property string.
    pub properties: &'a str,
}

/// The bytes are no batch: `at` is where the first broken message starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the batch is broken at byte {at}")]
pub struct BatchError {
    /// Byte in the batch.
    pub at: usize,
}

/// Reads the messages of a batch in order; after an error it ends.
pub fn items(bytes: &[u8]) -> impl Iterator<Item = Result<BatchItem<'_>, BatchError>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= bytes.len() {
            return None;
        }
        match item(&bytes[at..]) {
            Some((item, len)) => {
                at += len;
                Some(Ok(item))
            }
            None => {
                let broken = BatchError { at };
                at = bytes.len();
                Some(Err(broken))
            }
        }
    })
}

fn item(bytes: &[u8]) -> Option<(BatchItem<'_>, usize)> {
    let int = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let total = int(0)? as usize;
    let flag = int(12)? as i32;
    let body_end = 20usize.checked_add(int(16)? as usize)?;
    let body = bytes.get(20..body_end)?;
    let properties_len = u16::from_be_bytes(bytes.get(body_end..body_end + 2)?.try_into().ok()?);
    let end = body_end + 2 + usize::from(properties_len);
    let properties = std::str::from_utf8(bytes.get(body_end + 2..end)?).ok()?;
    (total == end).then_some((BatchItem { flag, body, properties }, end))
}

/// Appends one message in the batch form, as clients do.
///
/// # Panics
/// If the property string is longer than 65,535 bytes.
pub fn encode_item(out: &mut Vec<u8>, item: BatchItem<'_>) {
    let properties_len = u16::try_from(item.properties.len()).expect("checked by whoever built the string");
    let total = 22 + item.body.len() + item.properties.len();
    out.extend_from_slice(&(total as u32).to_be_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&item.flag.to_be_bytes());
    out.extend_from_slice(&(item.body.len() as u32).to_be_bytes());
    out.extend_from_slice(item.body);
    out.extend_from_slice(&properties_len.to_be_bytes());
    out.extend_from_slice(item.properties.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_round_trips_and_a_broken_one_ends() {
        let mut bytes = Vec::new();
        let first = BatchItem { flag: 1, body: b"hello", properties: "KEYS\x01k1\x02" };
        let second = BatchItem { flag: 0, body: b"", properties: "" };
        encode_item(&mut bytes, first);
        encode_item(&mut bytes, second);
        assert_eq!(items(&bytes).collect::<Result<Vec<_>, _>>().unwrap(), [first, second]);
        for cut in 1..bytes.len() {
            let read: Vec<_> = items(&bytes[..cut]).collect();
            let whole = usize::from(cut >= 22 + 5 + 8);
            assert_eq!(read.len(), whole + usize::from(cut != 22 + 5 + 8));
            assert!(cut == 35 || read.last().unwrap().is_err(), "cut at {cut}");
        }
    }
}
