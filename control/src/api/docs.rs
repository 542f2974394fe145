use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse as _, Response};

/// Reads the OpenAPI document and shows it; needs nothing from elsewhere.
const PAGE: &str = include_str!("docs.html");
/// Nothing but this page's own style and script, and the document.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";

/// The API for people.
pub(crate) async fn page() -> Response {
    let mut response = Html(PAGE).into_response();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}
