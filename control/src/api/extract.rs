//! Requests as handlers take them: every mistake is a problem that names the field.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::MAX_BODY;
use crate::audit::Caller;
use crate::error::{Error, Result};
use crate::etags::{Seen, Tags};
use crate::roles::Permission;
use crate::store::record::Record;

impl Caller {
    /// Refuses who may not.
    pub(crate) fn require(&self, permission: Permission) -> Result<()> {
        if self.role.may(permission) {
            return Ok(());
        }
        let (role, what) = (self.role.name(), format!("{permission:?}").to_lowercase());
        Err(Error::Forbidden(format!("the role {role} does not include the permission to {what}")))
    }

    /// The same for what concerns the whole fleet.
    pub(crate) fn require_everywhere(&self, permission: Permission) -> Result<()> {
        self.require(permission)?;
        match self.scope.is_everybody() {
            true => Ok(()),
            false => Err(Error::Forbidden("this concerns more than the agents of your scope".to_owned())),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller> {
        let caller = parts.extensions.get::<Caller>().cloned();
        caller.ok_or_else(|| Error::Unauthorized("log in, or send an API key".to_owned()))
    }
}

/// A body of JSON.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>> {
        match request.headers().get(header::CONTENT_TYPE) {
            Some(declared) if is_json(declared) => {}
            Some(_) => return Err(Error::MediaType("application/json")),
            None => {
                return Err(Error::BadRequest(
                    "send a body, and `Content-Type: application/json`".to_owned(),
                ));
            }
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(failure)
                if failure.status() == StatusCode::PAYLOAD_TOO_LARGE =>
            {
                Error::TooLarge(MAX_BODY)
            }
            other => Error::BadRequest(other.body_text()),
        })?;
        require_object(&bytes)?;
        let mut reader = serde_json::Deserializer::from_slice(&bytes);
        let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let (path, inner) = (error.path().to_string(), error.into_inner());
            match inner.classify() {
                // The root has no key of its own.
                serde_json::error::Category::Data if path == "." => Error::field("body", inner.to_string()),
                serde_json::error::Category::Data => Error::field(path, inner.to_string()),
                _ => Error::BadRequest(format!("the body is no JSON: {inner}")),
            }
        })?;
        reader.end().map_err(|error| Error::BadRequest(format!("the body is no JSON: {error}")))?;
        Ok(Body(read))
    }
}

/// Refuses JSON that is no object, of which a list would be read as the fields in their order, and texts with a zero byte:
/// databases have none, and what is kept is to be what was sent.
fn require_object(body: &[u8]) -> Result<()> {
    let is_object = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let has_zero = body.windows(6).any(|part| part == b"\\u0000");
    if is_object && !has_zero {
        return Ok(());
    }
    // What is no JSON at all is said elsewhere.
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return Ok(()) };
    if !value.is_object() {
        return Err(Error::field("body", "must be an object"));
    }
    match zero_in(&value, String::new()) {
        Some(key) => Err(Error::field(key, "must not hold a zero byte")),
        None => Ok(()),
    }
}

/// The first key at which a text has a zero byte.
fn zero_in(value: &Value, at: String) -> Option<String> {
    let below = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    match value {
        Value::String(text) => text.contains('\0').then_some(at),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| zero_in(item, below(&index.to_string())))
        }
        Value::Object(fields) => fields.iter().find_map(|(key, value)| match key.contains('\0') {
            true => Some(below(&key.replace('\0', "\\0"))),
            false => zero_in(value, below(key)),
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn is_json(declared: &HeaderValue) -> bool {
    let declared = declared.to_str().unwrap_or_default();
    declared.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// The query of a request.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Query<T>> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(query)) => Ok(Query(query)),
            Err(rejection) => Err(misread(&rejection.body_text())),
        }
    }
}

/// What is wrong with a query, at its key: the text is `…: limit: invalid digit found in string`.
fn misread(text: &str) -> Error {
    let told = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(text);
    let is_key = |key: &str| !key.is_empty() && !key.contains([' ', '`']);
    match told.split_once(": ").filter(|(key, _)| is_key(key)) {
        Some((key, message)) => Error::field(key, message),
        // Without a key it is about the whole, as where one is missing.
        None => Error::field("query", told),
    }
}

/// A part of the path.
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Path<T>> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(path)) => Ok(Path(path)),
            Err(_) => Err(Error::NotFound("what the path names".to_owned())),
        }
    }
}

/// The states that the client agrees to, as `If-Match` and `If-None-Match` say.
pub(crate) struct IfMatch(Seen);

impl IfMatch {
    /// Where the client must say `If-Match`.
    pub(crate) fn required(self) -> Result<Seen> {
        if self.0.one_of.is_some() { Ok(self.0) } else { Err(Error::PreconditionRequired) }
    }

    /// Where it may.
    pub(crate) fn given(self) -> Seen {
        self.0
    }
}

/// The tags of a header.
pub(super) fn tags(headers: &HeaderMap, header: &HeaderName) -> Result<Option<Tags>> {
    let name = if *header == header::IF_MATCH { "If-Match" } else { "If-None-Match" };
    Tags::read(name, headers.get_all(header).iter().map(HeaderValue::as_bytes))
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<IfMatch> {
        let none_of = match parts.method {
            // What a POST makes is not what its path names; `conditions` looks after that.
            Method::POST => None,
            _ => tags(&parts.headers, &header::IF_NONE_MATCH)?,
        };
        Ok(IfMatch(Seen { one_of: tags(&parts.headers, &header::IF_MATCH)?, none_of }))
    }
}

/// An answer with its ETag.
pub(crate) struct Tagged<T> {
    status: StatusCode,
    revision: i64,
    /// Whether the same ETag means the same answer.
    is_whole: bool,
    body: T,
}

/// What an answer has besides that is told by its ETag: whoever has that need not read it again.
#[derive(Clone, Copy)]
pub(super) struct Whole;

impl<T> Tagged<T> {
    /// What is there, with more than its revision tells.
    pub(crate) fn more(revision: i64, body: T) -> Tagged<T> {
        Tagged { status: StatusCode::OK, revision, is_whole: false, body }
    }
}

impl<T: Record> Tagged<T> {
    fn of(status: StatusCode, record: T) -> Tagged<T> {
        Tagged { status, revision: record.revision(), is_whole: T::IS_TOLD_BY_REVISION, body: record }
    }

    /// What is there.
    pub(crate) fn ok(record: T) -> Tagged<T> {
        Tagged::of(StatusCode::OK, record)
    }

    /// What was made.
    pub(crate) fn created(record: T) -> Tagged<T> {
        Tagged::of(StatusCode::CREATED, record)
    }

    /// What was begun.
    pub(crate) fn accepted(record: T) -> Tagged<T> {
        Tagged::of(StatusCode::ACCEPTED, record)
    }
}

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(self.body)).into_response();
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", self.revision)) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        if self.is_whole {
            response.extensions_mut().insert(Whole);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_an_object_without_zero_bytes() {
        let refused = |body: &str| match require_object(body.as_bytes()) {
            Err(Error::Invalid(problems)) => Some(problems[0].field.clone()),
            _ => None,
        };
        for (body, field) in [
            (r#"{"a": "b"}"#, None),
            (r#" {"a": "\\u0000"}"#, None),
            (r#"{"a": [{"b": "x\u0000"}]}"#, Some("a.0.b")),
            (r#"{"a\u0000": 1}"#, Some("a\\0")),
            ("[]", Some("body")),
            ("null", Some("body")),
            ("7", Some("body")),
            (r#""a""#, Some("body")),
            ("", None),
            ("{", None),
        ] {
            assert_eq!(refused(body).as_deref(), field, "{body}");
        }
    }
}
