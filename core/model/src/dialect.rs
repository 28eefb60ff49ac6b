//! Reading and writing the JSON dialect that Java brokers and clients use for maps whose keys are no strings:
//!
//! ```text
//! {0:"10.0.0.1:10911"}                                          a number as key, unquoted
//! {{"brokerName":"b","queueId":0,"topic":"T"}:5}                an object as key
//! ```
//! [`normalize`] turns both into JSON that every parser reads, by quoting the key; anything else passes unchanged.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

/// The deepest nesting that is followed: a key inside a key inside a key would be nonsense, and input is a peer's.
const MAX_DEPTH: usize = 64;

/// Parses text of the dialect.
///
/// # Errors
/// As `serde_json`, about the normalized text.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(&normalize(bytes))
}

/// Quotes unquoted number keys and object keys; borrows when there is nothing to do. What is not JSON in other ways
/// stays so, for the parser to refuse.
#[must_use]
pub fn normalize(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Vec::new();
    // How far `bytes` is already copied to `out`.
    let mut copied = 0;
    let mut at = 0;
    let mut stack: Vec<u8> = Vec::new();
    let mut key_follows = false;
    while at < bytes.len() {
        let byte = bytes[at];
        match byte {
            b'"' => {
                at = string_end(bytes, at);
                key_follows = false;
                continue;
            }
            b'{' if key_follows => {
                let Some(end) = object_end(bytes, at) else { break };
                out.extend_from_slice(&bytes[copied..at]);
                let key = String::from_utf8_lossy(&bytes[at..end]).into_owned();
                out.extend_from_slice(serde_json::Value::String(key).to_string().as_bytes());
                copied = end;
                at = end;
                key_follows = false;
                continue;
            }
            b'{' | b'[' => {
                if stack.len() == MAX_DEPTH {
                    break;
                }
                stack.push(byte);
                key_follows = byte == b'{';
            }
            b'}' | b']' => {
                stack.pop();
                key_follows = false;
            }
            b',' => key_follows = stack.last() == Some(&b'{'),
            b'-' | b'0'..=b'9' if key_follows => {
                let digits = bytes[at..].iter().take_while(|b| b.is_ascii_digit() || **b == b'-').count();
                out.extend_from_slice(&bytes[copied..at]);
                out.push(b'"');
                out.extend_from_slice(&bytes[at..at + digits]);
                out.push(b'"');
                at += digits;
                copied = at;
                key_follows = false;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    if copied == 0 {
        return Cow::Borrowed(bytes);
    }
    out.extend_from_slice(&bytes[copied..]);
    Cow::Owned(out)
}

/// The position behind the string that starts at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The position behind the object that starts at `start`.
fn object_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Removes the quotes of number keys again (`{"0":…}` becomes `{0:…}`) in what `serde_json` wrote without blanks.
/// Some readers, old Java brokers' files among them, are only known to meet this form.
#[must_use]
pub fn unquote_number_keys(json: &str) -> String {
    let bytes = json.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'"' {
            let end = string_end(bytes, at);
            let inner = &bytes[at + 1..end.saturating_sub(1).max(at + 1)];
            let numeric = !inner.is_empty() && inner.iter().all(u8::is_ascii_digit);
            let is_key = bytes.get(end) == Some(&b':');
            out.extend_from_slice(if numeric && is_key { inner } else { &bytes[at..end] });
            at = end;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(out).expect("only ASCII quotes were removed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_keys_are_read() {
        let text = r#"{"a":{0:"x:1",12:[1,2]},"t":{{"brokerName":"b\"}","queueId":0,"topic":"T"}:5,{"q":1}:6},"n":[{1:2}]}"#;
        let value: serde_json::Value = from_slice(text.as_bytes()).unwrap();
        assert_eq!(value["a"]["12"], serde_json::json!([1, 2]));
        assert_eq!(value["n"][0]["1"], 2);
        let keys: Vec<_> = value["t"].as_object().unwrap().keys().cloned().collect();
        assert!(keys.contains(&r#"{"brokerName":"b\"}","queueId":0,"topic":"T"}"#.to_owned()), "{keys:?}");
    }

    #[test]
    fn plain_json_is_borrowed_and_garbage_never_panics() {
        assert!(matches!(normalize(br#"{"a":[1,{"b":"{1:2}"}]}"#), Cow::Borrowed(_)));
        for garbage in [&b"{{{{"[..], b"{1", b"{\"", b"\"\\", b"}}]]", b"{-", &[b'{'; 1000]] {
            let _ = normalize(garbage);
        }
    }

    #[test]
    fn number_keys_lose_their_quotes_and_nothing_else_does() {
        assert_eq!(unquote_number_keys(r#"{"0":"1","a":{"12":"\"7\":"}}"#), r#"{0:"1","a":{12:"\"7\":"}}"#);
    }
}
