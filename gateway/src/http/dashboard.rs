//! The dashboard: a page, built from `dashboard/` into `gateway/dashboard/` and embedded from there.
//!
//! ```text
//! /              the page; asked for again each time, and answered 304 while it is the same
//! /ui/NAME-HASH  its parts; a name means one content for ever, so that browsers ask for it once
//! ```
//! Always true:
//! * a browser loads nothing from elsewhere, nor runs anything that is not one of these files: [`POLICY`];
//! * it is a client of the API like any other: what it shows needs a login where the API does, these files need none.

use std::io::Write as _;
use std::sync::LazyLock;

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::problem::Kind;

/// What a browser lets the page do: use what this server has, and be shown in no other page.
const POLICY: &str =
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// A file of the page.
struct Asset {
    /// Where it is served.
    path: &'static str,
    content_type: &'static str,
    /// A hash of its content. Weak, because it is served in two encodings.
    etag: &'static str,
    bytes: &'static [u8],
}

/// The files that were built. Their names and this table come from the build.
static ASSETS: &[Asset] = include!("../../dashboard/assets.rs");

/// Each of [`ASSETS`] compressed, once, when somebody first asks for one.
static COMPRESSED: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
    let compress = |asset: &Asset| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder
            .write_all(asset.bytes)
            .and_then(|()| encoder.finish())
            .expect("memory takes all that is written")
    };
    ASSETS.iter().map(|asset| compress(asset).into()).collect()
});

/// Its files, which are no part of the API's description.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/", get(serve)).route("/ui/{file}", get(serve))
}

async fn serve(uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path();
    let Some(index) = ASSETS.iter().position(|asset| asset.path == path) else {
        return Kind::NoRoute
            .because(format!("{path} is no part of the dashboard of this version"))
            .into_response();
    };
    let asset = &ASSETS[index];
    let age = if path == "/" { "no-cache" } else { "public, max-age=31536000, immutable" };
    let common = [
        (header::ETAG, asset.etag),
        (header::CACHE_CONTROL, age),
        (header::VARY, "Accept-Encoding"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    if words(&headers, &header::IF_NONE_MATCH).any(|known| known == asset.etag || known == "*") {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let typed = (common, [(header::CONTENT_TYPE, asset.content_type)]);
    if takes_gzip(&headers) {
        let encoded = [(header::CONTENT_ENCODING, "gzip")];
        return (typed.0, typed.1, encoded, COMPRESSED[index].clone()).into_response();
    }
    (typed.0, typed.1, asset.bytes).into_response()
}

/// Whether gzip is among the encodings that the client names, and not with a weight of nothing.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut of_name = words(headers, &header::ACCEPT_ENCODING).filter_map(|word| {
        let (name, weight) = word.split_once(';').unwrap_or((word, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
        name.trim().eq_ignore_ascii_case("gzip").then_some(weight.is_ok_and(|weight| weight > 0.0))
    });
    of_name.next() == Some(true)
}

/// The values of a header that has a list of them.
fn words<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> impl Iterator<Item = &'a str> {
    let texts = headers.get_all(name).into_iter().filter_map(|text| text.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    async fn ask(path: &'static str, headers: &[(HeaderName, &str)]) -> Response {
        let value =
            |(name, value): &(HeaderName, &str)| (name.clone(), HeaderValue::from_str(value).unwrap());
        serve(Uri::from_static(path), headers.iter().map(value).collect()).await
    }

    async fn body(response: Response) -> Bytes {
        axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap()
    }

    #[test]
    fn the_whole_page_is_below_120_kilobytes_as_it_is_sent() {
        let size: usize = COMPRESSED.iter().map(Bytes::len).sum();
        assert!(size < 120_000, "{size} bytes");
    }

    #[test]
    fn the_page_names_no_part_that_is_not_embedded_and_nothing_elsewhere() {
        let page = std::str::from_utf8(ASSETS.iter().find(|asset| asset.path == "/").unwrap().bytes).unwrap();
        let parts: Vec<_> = page.split('"').filter(|text| text.starts_with("/ui/")).collect();
        assert!(parts.len() >= 3, "{parts:?}");
        for part in parts {
            assert!(ASSETS.iter().any(|asset| asset.path == part), "{part}");
        }
        for unsafe_by_policy in ["http:", "https:", "<style", " style=", " onload="] {
            assert!(!page.contains(unsafe_by_policy), "{unsafe_by_policy}");
        }
    }

    #[tokio::test]
    async fn parts_are_kept_for_ever_and_the_page_is_asked_for_again() {
        for asset in ASSETS {
            let response = ask(asset.path, &[]).await;
            let of = |name| response.headers().get::<HeaderName>(name).unwrap().to_str().unwrap().to_owned();
            let is_immutable = of(header::CACHE_CONTROL).contains("immutable");
            assert_eq!(is_immutable, asset.path != "/", "{}", asset.path);
            assert!(of(header::CONTENT_SECURITY_POLICY).starts_with("default-src 'self';"));
            let etag = of(header::ETAG);
            assert_eq!(body(response).await, asset.bytes);
            let again = ask(asset.path, &[(header::IF_NONE_MATCH, &format!("\"old\", {etag}"))]).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        }
        assert!(ask("/ui/index-old.js", &[]).await.status().is_client_error());
    }

    #[tokio::test]
    async fn it_is_compressed_for_who_takes_that() {
        let accept = |words: &'static str| [(header::ACCEPT_ENCODING, words)];
        for words in ["gzip", "br, GZIP;q=0.5", "deflate, gzip, br, zstd"] {
            let response = ask("/", &accept(words)).await;
            assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip", "{words}");
            let mut plain = Vec::new();
            let sent = body(response).await;
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&sent[..]), &mut plain).unwrap();
            assert_eq!(plain, ASSETS.iter().find(|asset| asset.path == "/").unwrap().bytes);
        }
        for words in ["", "br", "gzip;q=0", "identity", "x-gzip-like"] {
            assert!(
                !ask("/", &accept(words)).await.headers().contains_key(header::CONTENT_ENCODING),
                "{words}"
            );
        }
    }
}
