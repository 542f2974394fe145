//! What answers `GET /metrics`.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Response, StatusCode, request};
use phoenix_component::Budget;
use phoenix_telemetry::prometheus::{self, CONTENT_TYPE as PROMETHEUS};
use phoenix_telemetry::{Metrics, Resource};
use phoenix_transport::Payload;
use phoenix_transport::compression::{Compressor, Encoding};
use phoenix_transport::http::server::{HttpService, Request};

pub(super) struct Scrape {
    pub(super) metrics: Metrics,
    pub(super) resource: Arc<Resource>,
    /// Of the instrumentation scopes.
    pub(super) version: &'static str,
    pub(super) options: prometheus::Options,
}

impl HttpService for Scrape {
    type Route = ();

    fn route(&self, head: &request::Parts) -> Result<(), Response<Bytes>> {
        if head.uri.path() == "/metrics" {
            return Ok(());
        }
        let mut answer = Response::new(Bytes::from_static(b"404 page not found\n"));
        *answer.status_mut() = StatusCode::NOT_FOUND;
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        Err(answer)
    }

    async fn call(&self, (): (), request: Request) -> Response<Bytes> {
        let text = prometheus::render(&self.metrics.streams(), &self.resource, self.version, &self.options);
        let mut answer = Response::new(Bytes::from(text));
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROMETHEUS));
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        if takes_gzip(&request.head.headers) {
            let gzip = Compressor::new(Encoding::Gzip, 0);
            // Whoever takes gzip takes plain text as well.
            if let Ok(compressed) = gzip.compress(Payload::from(answer.body().clone()), &Budget::unlimited())
            {
                let pieces: Vec<&[u8]> = compressed.pieces().map(|piece| &piece[..]).collect();
                *answer.body_mut() = Bytes::from(pieces.concat());
                answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
        }
        answer
    }
}

/// Whether gzip is named, and not with a weight of zero.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|part| {
        let mut words = part.split(';').map(str::trim);
        let is_gzip = words.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let weight = words.find_map(|word| word.strip_prefix("q=")?.parse::<f32>().ok());
        is_gzip && weight.is_none_or(|weight| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_where_it_is_taken() {
        for (value, taken) in [
            ("gzip", true),
            ("zstd, gzip;q=0.5", true),
            ("identity", false),
            ("gzip;q=0", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            assert_eq!(takes_gzip(&headers), taken, "{value}");
        }
    }
}
