//! Which pages of other sites may use the API from a browser: none, unless `httpCorsOrigins` names them.

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// Whether `origins`, with semicolons between them, has this one.
pub(super) fn is_allowed(origins: &str, origin: &str) -> bool {
    origins
        .split(';')
        .map(str::trim)
        .any(|allowed| allowed == "*" || (!allowed.is_empty() && allowed == origin))
}

/// Tells browsers so; `None` if there are no such pages.
pub(super) fn layer(origins: &str) -> Option<CorsLayer> {
    if origins.trim().is_empty() {
        return None;
    }
    let allowed = origins.to_owned();
    let allow =
        move |origin: &HeaderValue, _: &_| origin.to_str().is_ok_and(|origin| is_allowed(&allowed, origin));
    let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let mut headers = vec![header::AUTHORIZATION, header::CONTENT_TYPE, header::CONTENT_ENCODING];
    headers.extend(super::send::REQUEST_HEADERS);
    let shown = [HeaderName::from_static("x-request-id"), header::RETRY_AFTER];
    Some(
        CorsLayer::new()
            .allow_origin(AllowOrigin::predicate(allow))
            .allow_methods(methods)
            .allow_headers(headers)
            .expose_headers(shown),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_origins_that_are_named_are_allowed() {
        assert!(is_allowed("https://a.example; https://b.example", "https://b.example"));
        assert!(is_allowed("*", "null"));
        assert!(!is_allowed("", ""));
        assert!(!is_allowed("https://a.example", "https://a.example.org"));
        assert!(layer(" ").is_none());
    }
}
