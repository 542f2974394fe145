//! Requests as handlers take them: every mistake is a problem that names the field.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::MAX_BODY;
use crate::audit::Caller;
use crate::error::{Error, Result};
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
        // A list would be read as the fields in their order.
        if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            return Err(Error::field("body", "must be an object"));
        }
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

/// The state that the client has seen.
pub(crate) struct IfMatch(Option<i64>);

impl IfMatch {
    /// Where the client must say.
    pub(crate) fn required(self) -> Result<i64> {
        self.0.ok_or(Error::PreconditionRequired)
    }

    /// Where it may.
    pub(crate) fn given(self) -> Option<i64> {
        self.0
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<IfMatch> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else { return Ok(IfMatch(None)) };
        let text = value.to_str().unwrap_or_default().trim();
        let revision = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        match revision.and_then(|revision| revision.parse().ok()) {
            Some(revision) => Ok(IfMatch(Some(revision))),
            // Some other ETag is surely not the one that is there.
            None => Ok(IfMatch(Some(-1))),
        }
    }
}

/// An answer with its ETag.
pub(crate) struct Tagged<T>(pub(crate) StatusCode, pub(crate) i64, pub(crate) T);

impl<T: Record> Tagged<T> {
    /// What is there.
    pub(crate) fn ok(record: T) -> Tagged<T> {
        Tagged(StatusCode::OK, record.revision(), record)
    }

    /// What was made.
    pub(crate) fn created(record: T) -> Tagged<T> {
        Tagged(StatusCode::CREATED, record.revision(), record)
    }

    /// What was begun.
    pub(crate) fn accepted(record: T) -> Tagged<T> {
        Tagged(StatusCode::ACCEPTED, record.revision(), record)
    }
}

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let mut response = (self.0, axum::Json(self.2)).into_response();
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", self.1)) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}
