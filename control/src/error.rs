//! What can go wrong, as clients hear it: RFC 9457.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request was not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing by that name, or nothing that the client may see.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The request is wrong, each mistake at its field.
    #[error("the request is not valid")]
    Invalid(Vec<FieldProblem>),
    /// It cannot be read at all.
    #[error("{0}")]
    BadRequest(String),
    /// Its path does not do that.
    #[error("this path has no such method; the header `Allow` names those that it has")]
    Method,
    /// It is written in a way that is not read here.
    #[error("send `Content-Type: {0}`")]
    MediaType(&'static str),
    /// It does not fit what is there.
    #[error("{0}")]
    Conflict(String),
    /// What is there is not what the client agrees to: it has changed since.
    #[error("{0}")]
    Precondition(String),
    /// The client must say which state it has seen.
    #[error("send `If-Match` with the ETag that was read")]
    PreconditionRequired,
    /// Nobody is known by these credentials.
    #[error("{0}")]
    Unauthorized(String),
    /// Somebody is, who may not.
    #[error("{0}")]
    Forbidden(String),
    /// Too much at once; seconds until it makes sense again.
    #[error("too many requests")]
    TooMany(u64),
    /// A body is longer than allowed.
    #[error("the body is longer than {0} bytes")]
    TooLarge(usize),
    /// Not now.
    #[error("{0}")]
    Unavailable(String),
    /// Something that should not happen; the text is for the log alone.
    #[error("internal error: {0}")]
    Internal(String),
}

/// The result of whatever may be refused.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldProblem {
    /// Where: a key of the body, or of the configuration.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The line in the text, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The column in that line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// `error` or `warning`.
    pub severity: &'static str,
}

impl FieldProblem {
    /// An error at a field of the request.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> FieldProblem {
        let (field, message) = (field.into(), message.into());
        FieldProblem { field, message, help: None, line: None, column: None, severity: "error" }
    }
}

/// An error as it is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// The kind: `urn:phoenix:problem:` and a word.
    pub r#type: String,
    /// The kind, for people.
    pub title: &'static str,
    /// The status of the answer.
    pub status: u16,
    /// What is wrong with this request.
    pub detail: String,
    /// Each mistake, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
}

impl Error {
    /// A single field that is wrong.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Error {
        Error::Invalid(vec![FieldProblem::new(field, message)])
    }

    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Error::NotFound(_) => (StatusCode::NOT_FOUND, "not-found", "Not found"),
            Error::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Invalid request"),
            Error::BadRequest(_) => (StatusCode::BAD_REQUEST, "bad-request", "Bad request"),
            Error::Method => (StatusCode::METHOD_NOT_ALLOWED, "method", "Method not allowed"),
            Error::MediaType(_) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "Unsupported media type")
            }
            Error::Conflict(_) => (StatusCode::CONFLICT, "conflict", "Conflict"),
            Error::Precondition(_) => (StatusCode::PRECONDITION_FAILED, "changed", "Changed meanwhile"),
            Error::PreconditionRequired => {
                (StatusCode::PRECONDITION_REQUIRED, "if-match-required", "If-Match required")
            }
            Error::Unauthorized(_) => (StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized"),
            Error::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden", "Forbidden"),
            Error::TooMany(_) => (StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests"),
            Error::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large"),
            Error::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Unavailable"),
            Error::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
        }
    }

    /// As it is answered. What is internal stays so.
    pub fn problem(&self) -> Problem {
        let (status, kind, title) = self.kind();
        let errors = if let Error::Invalid(errors) = self { errors.clone() } else { Vec::new() };
        let detail = match self {
            Error::Internal(_) => "something went wrong; the log of the service says what".to_owned(),
            other => other.to_string(),
        };
        Problem {
            r#type: format!("urn:phoenix:problem:{kind}"),
            title,
            status: status.as_u16(),
            detail,
            errors,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if let Error::Internal(cause) = &self {
            tracing::error!(cause, "a request failed");
        }
        let mut response = (self.kind().0, Json(self.problem())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self {
            Error::Unauthorized(_) => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Error::TooMany(seconds) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            Error::Unavailable(_) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        response
    }
}
