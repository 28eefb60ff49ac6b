//! Reading what a request says, with refusals of the one table.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::api::Api;
use super::problem::{Kind, Problem};

/// The parts of a path.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Api> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, api).await {
            Ok(axum::extract::Path(path)) => Ok(Self(path)),
            Err(rejection) => Err(Kind::BadRequest.because(rejection.body_text())),
        }
    }
}

/// The parameters behind a path's question mark.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Api> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        match axum::extract::Query::from_request_parts(parts, api).await {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(Kind::BadRequest.because(rejection.body_text())),
        }
    }
}

/// A body of a JSON object, whatever its content type says: there is no other that these paths take.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Api> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let body = read(request.into_body(), api).await?;
        // Or an array would do for an object with the same fields.
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(Kind::BadRequest.because("the body is no JSON object"));
        }
        parse_json(&body).map(Self)
    }
}

/// Parses JSON.
pub(super) fn parse_json<'a, T: serde::Deserialize<'a>>(text: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(text)
        .map_err(|error| Kind::BadRequest.because(format!("the body's JSON: {error}")))
}

/// Reads a body as far as `httpMaxBodySize` allows, as long as it does not pause beyond `httpReadTimeout`.
pub(super) async fn read(body: Body, api: &Api) -> Result<Bytes, Problem> {
    let limit = api.http().max_body_size;
    let mut body = Limited::new(body, limit.0 as usize);
    // Small bodies come in one piece, which is then not copied.
    let mut first: Option<Bytes> = None;
    let mut rest = Vec::new();
    loop {
        let frame = match tokio::time::timeout(api.http().read_timeout.duration(), body.frame()).await {
            Err(_) => return Err(Kind::RequestTimeout.because("the body stopped coming")),
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) if error.is::<LengthLimitError>() => {
                return Err(Kind::TooLarge.because(format!("the body is above {limit} (httpMaxBodySize)")));
            }
            Ok(Some(Err(error))) => {
                return Err(Kind::BadRequest.because(format!("the body broke off: {error}")));
            }
        };
        let Ok(data) = frame.into_data() else { continue };
        match &first {
            None => first = Some(data),
            Some(first) => {
                if rest.is_empty() {
                    rest.reserve(first.len() + data.len());
                    rest.extend_from_slice(first);
                }
                rest.extend_from_slice(&data);
            }
        }
    }
    Ok(if rest.is_empty() { first.unwrap_or_default() } else { rest.into() })
}

/// A header's text, if it is there.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes());
    text.map(Some).map_err(|_| Kind::BadRequest.because(format!("the header {name} is not UTF-8")))
}
