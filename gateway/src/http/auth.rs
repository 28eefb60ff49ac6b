//! Who may use HTTP: a file of tokens and users, and browsers that have logged in with one of them.
//!
//! Secrets are kept as their SHA-256 only, so that neither a dump of the memory nor the time that a comparison takes tells
//! them. A browser that has logged in shows a cookie that this process signed; it ends with the process.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ferromq_model::Timestamp;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::Api;
use super::problem::{Kind, Problem};

/// The cookie of a browser that has logged in.
const COOKIE: &str = "ferromq-session";
/// How long it holds.
const SESSION: Duration = Duration::from_secs(12 * 3_600);
/// The most lines that a credentials file may have.
const MAX_CREDENTIALS: usize = 10_000;

/// Why a credentials file cannot be used. The operator's to solve.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line of it says nothing that is understood. The line itself is not shown: it may hold a secret.
    #[error("{}:{line}: {why}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// It lets nobody in.
    #[error("{} names nobody: write a line `token NAME SECRET` or `user NAME PASSWORD`", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

type Hash = [u8; 32];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Bearer,
    Basic,
}

/// Who may use HTTP.
pub struct Credentials {
    known: Vec<(Way, String, Hash)>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} credentials", self.known.len())
    }
}

impl Credentials {
    /// Reads a file of lines `token NAME SECRET` and `user NAME PASSWORD`; `sha256:HEX` may stand for a secret, and lines
    /// that are empty or begin with `#` are passed over.
    ///
    /// # Errors
    /// [`CredentialsError`]: it cannot be read, or understood, or names nobody.
    pub fn load(path: &Path) -> Result<Self, CredentialsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| CredentialsError::Read { path: path.to_owned(), source })?;
        let mut known = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |why| CredentialsError::Line { path: path.to_owned(), line: index + 1, why };
            if known.len() == MAX_CREDENTIALS {
                return Err(wrong("more lines than 10,000 are not taken"));
            }
            known.push(parse(line).map_err(wrong)?);
        }
        if known.is_empty() {
            return Err(CredentialsError::Empty { path: path.to_owned() });
        }
        Ok(Self { known })
    }

    /// Who shows this, if it is somebody known. `authorization` is the header's value.
    fn who(&self, authorization: &str) -> Option<&str> {
        let (scheme, shown) = authorization.split_once(' ')?;
        let shown = shown.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return self.find(Way::Bearer, None, shown);
        }
        if scheme.eq_ignore_ascii_case("basic") {
            let pair = String::from_utf8(BASE64.decode(shown).ok()?).ok()?;
            let (name, password) = pair.split_once(':')?;
            return self.find(Way::Basic, Some(name), password);
        }
        None
    }

    /// Whether a user of this name has this password.
    pub(crate) fn knows(&self, user: &str, password: &str) -> bool {
        self.find(Way::Basic, Some(user), password).is_some()
    }

    /// Compares hashes: how far two of them agree says nothing about the secrets.
    fn find(&self, way: Way, name: Option<&str>, secret: &str) -> Option<&str> {
        let hash: Hash = Sha256::digest(secret).into();
        let is_it = |(known_way, known, of): &&(Way, String, Hash)| {
            *known_way == way && name.is_none_or(|name| name == known) && *of == hash
        };
        self.known.iter().find(is_it).map(|(_, name, _)| name.as_str())
    }
}

fn parse(line: &str) -> Result<(Way, String, Hash), &'static str> {
    const FORM: &str = "write `token NAME SECRET` or `user NAME PASSWORD`";
    let mut words = line.splitn(3, char::is_whitespace);
    let way = match words.next() {
        Some("token") => Way::Bearer,
        Some("user") => Way::Basic,
        _ => return Err(FORM),
    };
    let (Some(name), Some(secret)) = (words.next(), words.next().map(str::trim)) else { return Err(FORM) };
    if name.is_empty() || secret.is_empty() || name.contains(':') {
        return Err(FORM);
    }
    let hash = match secret.strip_prefix("sha256:") {
        None => Sha256::digest(secret).into(),
        Some(hex) => from_hex(hex).ok_or("sha256: has 64 hex digits behind it")?,
    };
    Ok((way, name.to_owned(), hash))
}

fn from_hex(hex: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (byte, digits) in hash.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// Signs and knows again the cookies of browsers that have logged in.
pub(super) struct Sessions {
    key: Hash,
}

impl Sessions {
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        let filled = rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty());
        // Up to 256 bytes come whole, and without an error once the system has started.
        assert_eq!(filled, Ok(key.len()), "the system's random numbers");
        Self { key }
    }

    fn sign(&self, until: Timestamp) -> String {
        format!("{}.{:x}", until.0, self.mac(until).finalize().into_bytes())
    }

    fn is_valid(&self, cookie: &str, now: Timestamp) -> bool {
        let Some((until, signature)) = cookie.split_once('.') else { return false };
        let (Ok(until), Some(signature)) = (until.parse().map(Timestamp), from_hex(signature)) else {
            return false;
        };
        until > now && self.mac(until).verify_slice(&signature).is_ok()
    }

    fn mac(&self, until: Timestamp) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256>>::new_from_slice(&self.key).expect("a key of any length");
        mac.update(&until.0.to_be_bytes());
        mac
    }
}

/// Whether whoever sent these headers may use the API.
pub(super) fn check(api: &Api, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(credentials) = api.credentials() else { return Ok(()) };
    if let Some(shown) = headers.get(header::AUTHORIZATION) {
        let known = shown.to_str().ok().and_then(|shown| credentials.who(shown));
        return match known {
            Some(_) => Ok(()),
            None => Err(Kind::Unauthenticated.because("the header Authorization names nobody known")),
        };
    }
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut of_name =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    let now = Timestamp::now();
    if of_name.any(|(name, value)| name == COOKIE && api.sessions().is_valid(value, now)) {
        return Ok(());
    }
    Err(Kind::Unauthenticated.because("the request has no header Authorization"))
}

/// Paths of the API.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(log_in, log_out))
}

/// Log a browser in
///
/// Answers with a cookie that stands for the header `Authorization`, which a page cannot send with an `EventSource` or a
/// `WebSocket`.
#[utoipa::path(post, path = "/v1/session", tag = "session",
    responses((status = 204, description = "Logged in: the cookie holds for 12 hours.")))]
async fn log_in(State(api): State<Api>) -> Response {
    // Who came here has shown who they are.
    let until = Timestamp(Timestamp::now().0 + SESSION.as_millis() as i64);
    cookie(&api.sessions().sign(until), SESSION)
}

/// Log a browser out
#[utoipa::path(delete, path = "/v1/session", tag = "session",
    responses((status = 204, description = "The browser forgets the cookie.")))]
async fn log_out() -> Response {
    cookie("", Duration::ZERO)
}

fn cookie(value: &str, age: Duration) -> Response {
    let text = format!("{COOKIE}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Strict", age.as_secs());
    let value = HeaderValue::try_from(text).expect("digits and letters");
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, value)]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn tokens_and_users_are_known_by_their_secrets_or_the_hashes_of_them() {
        let hash = "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
        let file = file(&format!("# who may\ntoken ci s3cret\n\nuser ann pass word\nuser bob {hash}\n"));
        let known = Credentials::load(file.path()).unwrap();
        let basic = |pair: &str| format!("Basic {}", BASE64.encode(pair));
        assert_eq!(known.who("Bearer s3cret"), Some("ci"));
        assert_eq!(known.who("bearer s3cret"), Some("ci"));
        assert_eq!(known.who(&basic("ann:pass word")), Some("ann"));
        assert_eq!(known.who(&basic("bob:secret")), Some("bob"));
        let wrong = [basic("ann:secret"), basic("ci:s3cret"), "Bearer pass word".into(), "Basic !".into()];
        for wrong in wrong.iter().map(String::as_str).chain(["", "Bearer", "Bearer ", "Digest s3cret"]) {
            assert_eq!(known.who(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_line_that_is_not_understood_is_named_without_what_it_says() {
        for text in ["token ci", "tokn ci hunter2", "user a:b hunter2", "user a sha256:hunter2"] {
            let file = file(&format!("# first\n{text}\n"));
            let error = Credentials::load(file.path()).unwrap_err().to_string();
            assert!(error.contains(":2: ") && !error.contains("hunter2"), "{error}");
        }
        assert!(matches!(Credentials::load(file("").path()), Err(CredentialsError::Empty { .. })));
    }

    #[test]
    fn a_cookie_holds_until_its_time_and_for_its_process() {
        let sessions = Sessions::new();
        let cookie = sessions.sign(Timestamp(1_000));
        assert!(sessions.is_valid(&cookie, Timestamp(999)));
        assert!(!sessions.is_valid(&cookie, Timestamp(1_000)));
        assert!(!sessions.is_valid(&cookie.replace("1000", "2000"), Timestamp(999)));
        assert!(!Sessions::new().is_valid(&cookie, Timestamp(999)));
    }
}
