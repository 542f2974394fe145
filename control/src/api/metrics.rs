//! Own metrics and traces: each request is measured, and `/metrics` shows them.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use phoenix_telemetry::prometheus::CONTENT_TYPE;
use phoenix_telemetry::traces::Kind;

use crate::app::App;

/// Counts a request by the route that it takes: paths hold identifiers, of which there is no end.
pub(crate) async fn measure(State(app): State<App>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let (method, route) = (request.method().clone(), request.extensions().get::<MatchedPath>().cloned());
    let tracer = &app.telemetry.tracer;
    let parent = tracer.extract(|name| request.headers().get(name)?.to_str().ok());
    let named = route.as_ref().map_or("none", MatchedPath::as_str);
    let mut span = tracer.span(Kind::Server, parent, || format!("{method} {named}"));
    let response = next.run(request).await;
    if let Some(span) = &mut span {
        span.set("http.request.method", method.as_str());
        span.set("http.route", named);
        span.set("http.response.status_code", u64::from(response.status().as_u16()));
        if response.status().is_server_error() {
            span.fail(response.status().to_string());
        }
    }
    let route = route.as_ref().map(MatchedPath::as_str);
    app.telemetry.answered(&method, route, response.status(), begun.elapsed());
    response
}

/// Own metrics, as Prometheus reads them. They name nobody, and are shown while the database is away, too.
pub(crate) async fn show(State(app): State<App>) -> impl IntoResponse {
    app.telemetry.look(&app.db, Instant::now()).await;
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], app.telemetry.text())
}
