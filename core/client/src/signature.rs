//! Requests signed for access control, in the same way for both of RocketMQ's generations of it.
//!
//! ```text
//! signature = Base64( HMAC-SHA1( secret key, values of all fields in the order of their names ‖ body ))
//! ```
//! Always true:
//! * a secret key or a security token never appears in what `Debug` prints;
//! * a request without credentials costs nothing here: no copy, no allocation, no field.
//!
//! A request that is sent again is signed again, since its fields may have changed.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ferromq_protocol::frame::{EncodeFields, FieldSink};
use hmac::{Hmac, Mac as _};
use sha1::Sha1;

/// Who a client is, for servers that ask. Cloning shares the texts.
#[derive(Clone)]
pub struct Credentials {
    access_key: Arc<str>,
    security_token: Option<Arc<str>>,
    /// Has taken in the secret key, which is all that is kept of it.
    mac: Hmac<Sha1>,
}

impl Credentials {
    /// The two keys as the server's operator gave them (`accessKey` and `secretKey`, or user name and password).
    #[must_use]
    pub fn new(access_key: &str, secret_key: &str) -> Self {
        let mac = Hmac::new_from_slice(secret_key.as_bytes()).expect("HMAC takes keys of any length");
        Self { access_key: access_key.into(), security_token: None, mac }
    }

    /// The same with a token that was issued for a while.
    #[must_use]
    pub fn with_security_token(mut self, token: &str) -> Self {
        self.security_token = Some(token.into());
        self
    }

    /// Everything that the server reads beside the request's own fields, but for the signature.
    fn encode_identity<S: FieldSink>(&self, sink: &mut S) {
        sink.text("AccessKey", &self.access_key);
        if let Some(token) = &self.security_token {
            sink.text("SecurityToken", token);
        }
    }

    fn sign(&self, fields: &impl EncodeFields, body: &[u8]) -> [u8; SIGNATURE_LEN] {
        let mut values = Values::default();
        fields.encode_fields(&mut values);
        self.encode_identity(&mut values);

        let mut mac = self.mac.clone();
        for value in values.in_order() {
            mac.update(value.as_bytes());
        }
        mac.update(body);
        let mut signature = [0; SIGNATURE_LEN];
        let len = BASE64.encode_slice(mac.finalize().into_bytes(), &mut signature);
        debug_assert_eq!(len, Ok(SIGNATURE_LEN));
        signature
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// 20 bytes as Base64.
const SIGNATURE_LEN: usize = 28;

/// The fields of a request, signed together with its body if there are credentials.
pub(crate) struct Signed<'a, F> {
    pub(crate) fields: F,
    pub(crate) body: &'a [u8],
    pub(crate) credentials: Option<&'a Credentials>,
}

impl<F: EncodeFields> EncodeFields for Signed<'_, F> {
    fn encode_fields<S: FieldSink>(&self, sink: &mut S) {
        self.fields.encode_fields(sink);
        if let Some(credentials) = self.credentials {
            let signature = credentials.sign(&self.fields, self.body);
            credentials.encode_identity(sink);
            sink.text("Signature", str::from_utf8(&signature).expect("Base64 is ASCII"));
        }
    }
}

/// Collects fields in order to go through their values in another order.
#[derive(Default)]
struct Values {
    text: String,
    /// Where each name and each value stands in the text.
    fields: Vec<(Range<usize>, Range<usize>)>,
}

impl Values {
    /// The values in the order of their names. Where a name was given twice the last one counts, as for who receives it.
    fn in_order(&mut self) -> impl Iterator<Item = &str> {
        let Self { text, fields } = self;
        let name = |at: usize| &text[fields[at].0.clone()];
        let mut order: Vec<usize> = (0..fields.len()).collect();
        order.sort_unstable_by_key(|&at| (name(at), std::cmp::Reverse(at)));
        order.dedup_by(|later, earlier| name(*later) == name(*earlier));
        order.into_iter().map(|at| &text[fields[at].1.clone()])
    }

    fn push(&mut self, name: &str, value: fmt::Arguments<'_>) {
        let start = self.text.len();
        self.text.push_str(name);
        let middle = self.text.len();
        fmt::Write::write_fmt(&mut self.text, value).expect("a String takes all");
        self.fields.push((start..middle, middle..self.text.len()));
    }
}

impl FieldSink for Values {
    fn text(&mut self, name: &'static str, value: &str) {
        self.push(name, format_args!("{value}"));
    }

    fn number(&mut self, name: &'static str, value: i64) {
        self.push(name, format_args!("{value}"));
    }

    fn pair(&mut self, name: &str, value: &str) {
        self.push(name, format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use ferromq_protocol::code::RequestCode;
    use ferromq_protocol::frame::{Command, Head, HeaderScratch, encode_with_body};

    use super::*;

    fn credentials() -> Credentials {
        Credentials::new("rocketmq2", "12345678")
    }

    /// The fields that a server gets, sorted.
    fn sent(
        fields: &[(&str, &str)],
        body: &[u8],
        credentials: Option<&Credentials>,
    ) -> Vec<(String, String)> {
        let mut frame = Vec::new();
        let head = Head::request(RequestCode::SendMessageV2, 7);
        encode_with_body(&mut frame, &head, &Signed { fields, body, credentials }, body).unwrap();
        let mut scratch = HeaderScratch::new();
        let command = Command::decode(&frame, &mut scratch).unwrap();
        let mut fields: Vec<_> = command.fields.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        fields.sort();
        fields
    }

    fn signature(fields: &[(&str, &str)], body: &[u8], credentials: &Credentials) -> String {
        let sent = sent(fields, body, Some(credentials));
        sent.into_iter().find(|(name, _)| name == "Signature").unwrap().1
    }

    const FIELDS: [(&str, &str); 4] =
        [("topic", "T1"), ("queueId", "0"), ("bname", "größe"), ("Zone", "z\u{1}")];

    /// What `AclClientRPCHook` of the official Java client 5.3.3 adds to the same requests.
    #[test]
    fn signatures_are_javas() {
        assert_eq!(signature(&FIELDS[..2], b"xyz", &credentials()), "BNJrX+8qB9QeLPZTLSV4cL3IKAw=");
        assert_eq!(signature(&FIELDS[..2], b"", &credentials()), "rB7Cahcr7EjlmkQCsvDN4gR6fHs=");
        assert_eq!(signature(&FIELDS, b"xyz", &credentials()), "gmuGeZtMLmFaglDZtnVkQbHjhwg=");
        let token = credentials().with_security_token("token-1");
        assert_eq!(signature(&FIELDS, b"xyz", &token), "Aq/krkbzdmTcGxdzjVnyF1rM8/8=");
    }

    #[test]
    fn who_sends_is_told_beside_the_signature_and_nothing_without_credentials() {
        let token = credentials().with_security_token("token-1");
        let names: Vec<_> = sent(&FIELDS[..1], b"", Some(&token))
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(names[..2], ["AccessKey=rocketmq2", "SecurityToken=token-1"]);
        assert_eq!((names.len(), &*names[3]), (4, "topic=T1"));
        assert_eq!(sent(&FIELDS[..1], b"", None), [("topic".to_owned(), "T1".to_owned())]);
    }

    #[test]
    fn numbers_are_signed_as_the_texts_that_are_sent_and_of_equal_names_the_last_counts() {
        struct Mixed;
        impl EncodeFields for Mixed {
            fn encode_fields<S: FieldSink>(&self, sink: &mut S) {
                sink.pair("topic", "other");
                sink.text("topic", "T1");
                sink.number("queueId", 0);
            }
        }
        assert_eq!(&credentials().sign(&Mixed, b"xyz"), b"BNJrX+8qB9QeLPZTLSV4cL3IKAw=");
    }

    #[test]
    fn secrets_are_not_printed() {
        let text = format!("{:?}", Credentials::new("who", "s3cret").with_security_token("t0ken"));
        assert_eq!(text, "Credentials { access_key: \"who\", .. }");
    }
}
