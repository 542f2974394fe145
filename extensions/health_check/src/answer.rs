//! What is answered to which request, given the state and the time.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Response, StatusCode, header};
use phoenix_config::GoDuration;

use crate::{HealthCheckConfig, rfc3339};

/// Since when the pipelines run: the wall clock's time, and how long that is by a clock that never jumps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Up {
    pub(crate) since: SystemTime,
    pub(crate) time: Duration,
}

/// The answer to a request for `path`; `up` is none while the pipelines do not run.
pub(crate) fn answer(config: &HealthCheckConfig, path: &str, up: Option<Up>) -> Response<Bytes> {
    if !serves(&config.path, path) {
        return respond(StatusCode::NOT_FOUND, TEXT, "404 page not found\n".into());
    }
    let status = if up.is_some() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match (&config.response_body, up) {
        (Some(body), Some(_)) => respond(status, TEXT, body.healthy.clone()),
        (Some(body), None) => respond(status, TEXT, body.unhealthy.clone()),
        (None, up) => respond(status, "application/json", state(up)),
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let value = header::HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, value);
    response
}

/// As Go's mux: a pattern that ends with `/` stands for the whole tree below it.
fn serves(pattern: &str, path: &str) -> bool {
    path == pattern || pattern.ends_with('/') && path.starts_with(pattern)
}

/// The body that otelcol answers with. Before the start it holds Go's zero time.
fn state(up: Option<Up>) -> String {
    let (status, since, uptime) = match up {
        Some(up) => {
            let nanos = i64::try_from(up.time.as_nanos()).unwrap_or(i64::MAX);
            ("Server available", rfc3339::format(up.since), GoDuration::from_nanos(nanos).to_string())
        }
        None => ("Server not available", "0001-01-01T00:00:00Z".to_owned(), String::new()),
    };
    format!(r#"{{"status":"{status}","upSince":"{since}","uptime":"{uptime}"}}"#)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::ResponseBody;

    fn up() -> Option<Up> {
        let since = UNIX_EPOCH + Duration::from_nanos(1_760_000_001_500_000_000);
        Some(Up { since, time: Duration::from_millis(3_723_500) })
    }

    fn text(config: &HealthCheckConfig, path: &str, up: Option<Up>) -> (u16, String, String) {
        let (head, body) = answer(config, path, up).into_parts();
        let content_type = head.headers[header::CONTENT_TYPE].to_str().expect("text").to_owned();
        (head.status.as_u16(), content_type, String::from_utf8(body.to_vec()).expect("UTF-8"))
    }

    #[test]
    fn the_state_is_told_as_otelcol_tells_it() {
        let config = HealthCheckConfig::default();
        let json = "application/json".to_owned();
        assert_eq!(
            text(&config, "/", up()),
            (
                200,
                json.clone(),
                r#"{"status":"Server available","upSince":"2025-10-09T08:53:21.5Z","uptime":"1h2m3.5s"}"#
                    .into()
            )
        );
        assert_eq!(
            text(&config, "/anything", None),
            (
                503,
                json,
                r#"{"status":"Server not available","upSince":"0001-01-01T00:00:00Z","uptime":""}"#.into()
            )
        );
    }

    #[test]
    fn bodies_and_paths_are_as_set() {
        let config = HealthCheckConfig {
            path: "/health".into(),
            response_body: Some(ResponseBody { healthy: "fine".into(), unhealthy: "ill".into() }),
            ..HealthCheckConfig::default()
        };
        assert_eq!(text(&config, "/health", up()), (200, TEXT.into(), "fine".into()));
        assert_eq!(text(&config, "/health", None), (503, TEXT.into(), "ill".into()));
        for path in ["/", "/healthy", "/health/x"] {
            assert_eq!(text(&config, path, up()).0, 404, "{path}");
        }
        assert!(serves("/health/", "/health/x") && !serves("/health/", "/health"));
    }
}
