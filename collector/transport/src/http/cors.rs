//! Cross-origin requests, as the Go library `rs/cors` answers them with otelcol's settings.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};

/// Methods that a preflight may ask for.
const METHODS: [Method; 3] = [Method::GET, Method::POST, Method::HEAD];
/// Headers that may be sent where none are configured.
const DEFAULT_HEADERS: [&str; 3] = ["accept", "content-type", "x-requested-with"];

/// Which origins may do what.
#[derive(Clone, Debug, PartialEq)]
pub struct Cors {
    origins: Vec<String>,
    headers: Vec<String>,
    exposed: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
}

impl Cors {
    /// None where no origin is allowed. `*` within an origin stands for any text, as a header it stands
    /// for any header.
    pub fn new(
        origins: &[String],
        headers: &[String],
        exposed: &[String],
        max_age: Duration,
    ) -> Option<Cors> {
        let lower = |texts: &[String]| texts.iter().map(|text| text.to_ascii_lowercase()).collect();
        let mut headers: Vec<String> = lower(headers);
        if headers.is_empty() {
            headers.extend(DEFAULT_HEADERS.map(str::to_owned));
        }
        (!origins.is_empty()).then(|| Cors {
            origins: lower(origins),
            headers,
            exposed: (!exposed.is_empty()).then(|| HeaderValue::try_from(canonical(exposed)).ok()).flatten(),
            max_age: (max_age.as_secs() > 0).then(|| HeaderValue::from(max_age.as_secs())),
        })
    }

    fn allow_origin(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        let text = origin.to_str().ok()?.to_ascii_lowercase();
        if self.origins.iter().any(|allowed| allowed == "*") {
            return Some(HeaderValue::from_static("*"));
        }
        self.origins.iter().any(|allowed| matches(allowed, &text)).then(|| origin.clone())
    }

    /// The answer to a preflight; none for any other request.
    pub(crate) fn preflight<B>(&self, request: &Request<B>) -> Option<Response<Bytes>> {
        let method = request.headers().get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
        if request.method() != Method::OPTIONS {
            return None;
        }
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let out = response.headers_mut();
        out.insert(
            header::VARY,
            HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
        );
        let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        let allowed = request.headers().get(header::ORIGIN).and_then(|origin| self.allow_origin(origin));
        if let Some(origin) = allowed
            && is_allowed(method.as_bytes())
            && asked.is_none_or(|asked| self.allows_headers(asked))
        {
            out.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            out.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method.clone());
            if let Some(asked) = asked.filter(|asked| !asked.is_empty()) {
                out.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
            }
            out.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            if let Some(age) = &self.max_age {
                out.insert(header::ACCESS_CONTROL_MAX_AGE, age.clone());
            }
        }
        Some(response)
    }

    fn allows_headers(&self, asked: &HeaderValue) -> bool {
        let any = self.headers.iter().any(|allowed| allowed == "*");
        any || asked.to_str().is_ok_and(|asked| {
            asked
                .split(',')
                .map(|name| name.trim().to_ascii_lowercase())
                .all(|name| name.is_empty() || self.headers.contains(&name))
        })
    }

    /// Adds what the answer to a request of `origin`, which is no preflight, needs.
    pub(crate) fn decorate(&self, method: &Method, origin: Option<&HeaderValue>, out: &mut HeaderMap) {
        out.append(header::VARY, HeaderValue::from_static("Origin"));
        let allowed = origin.filter(|_| is_allowed(method.as_str().as_bytes()));
        let Some(allowed) = allowed.and_then(|origin| self.allow_origin(origin)) else { return };
        out.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        out.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        if let Some(exposed) = &self.exposed {
            const EXPOSE: HeaderName = header::ACCESS_CONTROL_EXPOSE_HEADERS;
            out.insert(EXPOSE, exposed.clone());
        }
    }
}

/// Names as Go writes them: each word with a capital.
fn canonical(names: &[String]) -> String {
    let mut starts = true;
    names
        .join(", ")
        .to_ascii_lowercase()
        .chars()
        .map(|letter| {
            let written = if starts { letter.to_ascii_uppercase() } else { letter };
            starts = matches!(letter, '-' | ' ');
            written
        })
        .collect()
}

/// Preflights for OPTIONS itself always pass.
fn is_allowed(method: &[u8]) -> bool {
    METHODS.iter().chain([&Method::OPTIONS]).any(|known| known.as_str().as_bytes() == method)
}

/// Whether `text` fits `pattern`, in which `*` stands for any run of characters.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an answer says of `Access-Control-*`, by the end of the names, and of `Vary`.
    fn said(headers: &HeaderMap) -> Vec<String> {
        let mut said: Vec<_> = headers
            .iter()
            .map(|(name, value)| {
                let name = name.as_str().trim_start_matches("access-control-");
                format!("{name}: {}", value.to_str().unwrap())
            })
            .collect();
        said.sort();
        said
    }

    fn cors(origins: &[&str], headers: &[&str], exposed: &[&str], max_age: u64) -> Cors {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Cors::new(&owned(origins), &owned(headers), &owned(exposed), Duration::from_secs(max_age)).unwrap()
    }

    #[test]
    fn preflights_are_answered_as_rs_cors_does() {
        const VARY: &str = "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
        let some = cors(&["https://*.example.com", "http://Local"], &["X-Token"], &[], 7200);
        let any = cors(&["*"], &["*"], &[], 0);
        let plain = cors(&["*"], &[], &[], 0);
        let granted = |origin: &str, method: &str| {
            vec![
                "allow-credentials: true".to_owned(),
                format!("allow-methods: {method}"),
                format!("allow-origin: {origin}"),
            ]
        };
        let with = |mut said: Vec<String>, more: &[&str]| {
            said.extend(more.iter().map(|text| (*text).to_owned()));
            said.sort();
            said
        };
        for (case, cors, origin, method, headers, expected) in [
            (
                "origin, method and header allowed",
                &some,
                "https://a.example.com",
                "POST",
                Some("x-token"),
                with(granted("https://a.example.com", "POST"), &["allow-headers: x-token", "max-age: 7200"]),
            ),
            (
                "case of origins does not matter",
                &some,
                "http://LOCAL",
                "POST",
                None,
                with(granted("http://LOCAL", "POST"), &["max-age: 7200"]),
            ),
            ("another origin", &some, "https://example.com", "POST", None, vec![]),
            ("no origin", &some, "", "POST", None, vec![]),
            ("another method", &some, "http://local", "PUT", None, vec![]),
            ("another header", &some, "http://local", "POST", Some("x-token, x-other"), vec![]),
            (
                "any header",
                &any,
                "http://x",
                "GET",
                Some("a,b , c"),
                with(granted("*", "GET"), &["allow-headers: a,b , c"]),
            ),
            ("no header", &any, "http://x", "OPTIONS", Some(""), granted("*", "OPTIONS")),
            (
                "headers by default",
                &plain,
                "http://x",
                "POST",
                Some("content-type,x-requested-with"),
                with(granted("*", "POST"), &["allow-headers: content-type,x-requested-with"]),
            ),
            ("none but those", &plain, "http://x", "POST", Some("x-token"), vec![]),
        ] {
            let mut request =
                Request::builder().method("OPTIONS").header("access-control-request-method", method);
            if !origin.is_empty() {
                request = request.header("origin", origin);
            }
            if let Some(headers) = headers {
                request = request.header("access-control-request-headers", headers);
            }
            let answer = cors.preflight(&request.body(()).unwrap()).expect(case);
            assert_eq!(answer.status(), 204, "{case}");
            assert_eq!(said(answer.headers()), with(expected, &[VARY]), "{case}");
        }
        for (method, header) in [("POST", "access-control-request-method"), ("OPTIONS", "x")] {
            let request = Request::builder().method(method).header(header, "POST").body(()).unwrap();
            assert!(any.preflight(&request).is_none(), "{method} {header} is no preflight");
        }
    }

    #[test]
    fn other_answers_say_who_may_read_them() {
        let some = cors(&["http://local"], &[], &["x-request-id", "etag"], 0);
        for (case, origin, method, expected) in [
            (
                "allowed",
                Some("http://local"),
                "POST",
                &[
                    "allow-credentials: true",
                    "allow-origin: http://local",
                    "expose-headers: X-Request-Id, Etag",
                    "vary: Origin",
                ][..],
            ),
            ("another origin", Some("http://other"), "POST", &["vary: Origin"]),
            ("no origin", None, "POST", &["vary: Origin"]),
            ("another method", Some("http://local"), "DELETE", &["vary: Origin"]),
        ] {
            let (mut headers, origin) = (HeaderMap::new(), origin.map(HeaderValue::from_static));
            some.decorate(&method.parse().unwrap(), origin.as_ref(), &mut headers);
            assert_eq!(said(&headers), expected, "{case}");
        }
        assert!(Cors::new(&[], &["x".to_owned()], &[], Duration::ZERO).is_none(), "off without origins");
    }

    #[test]
    fn stars_stand_for_any_run() {
        for (pattern, text, fits) in [
            ("https://*.example.com", "https://a.b.example.com", true),
            ("https://*.example.com", "https://example.com", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c", false),
            ("a", "ab", false),
            ("ab*bc", "abc", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
