//! Who may use HTTP: whoever the credentials file has, and browsers that have logged in as one of them.
//!
//! A browser that has logged in shows a cookie that this process signed; it ends with the process.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ferromq_model::Timestamp;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::Api;
use super::problem::{Kind, Problem};
use crate::credentials::{Credentials, Hash, from_hex};

/// The cookie of a browser that has logged in.
const COOKIE: &str = "ferromq-session";
/// How long it holds.
const SESSION: Duration = Duration::from_secs(12 * 3_600);
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
        let known = shown.to_str().ok().and_then(|shown| who(credentials, shown));
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

/// Who shows this, if it is somebody known. `authorization` is the header's value.
fn who<'a>(known: &'a Credentials, authorization: &str) -> Option<&'a str> {
    let (scheme, shown) = authorization.split_once(' ')?;
    let shown = shown.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return known.token(shown);
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let pair = String::from_utf8(BASE64.decode(shown).ok()?).ok()?;
        let (name, password) = pair.split_once(':')?;
        return known.user(name, password);
    }
    None
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
        assert_eq!(who(&known, "Bearer s3cret"), Some("ci"));
        assert_eq!(who(&known, "bearer s3cret"), Some("ci"));
        assert_eq!(who(&known, &basic("ann:pass word")), Some("ann"));
        assert_eq!(who(&known, &basic("bob:secret")), Some("bob"));
        let wrong = [basic("ann:secret"), basic("ci:s3cret"), "Bearer pass word".into(), "Basic !".into()];
        for wrong in wrong.iter().map(String::as_str).chain(["", "Bearer", "Bearer ", "Digest s3cret"]) {
            assert_eq!(who(&known, wrong), None, "{wrong}");
        }
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
