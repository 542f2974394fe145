//! Cross-origin requests, as the Go library `rs/cors` answers them with otelcol's settings.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode, request};

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
            exposed: (!exposed.is_empty()).then(|| HeaderValue::try_from(exposed.join(", ")).ok()).flatten(),
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
    pub(crate) fn preflight(&self, head: &request::Parts) -> Option<Response<Bytes>> {
        let method = head.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
        if head.method != Method::OPTIONS {
            return None;
        }
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let out = response.headers_mut();
        out.insert(
            header::VARY,
            HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
        );
        let asked = head.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        let allowed = head.headers.get(header::ORIGIN).and_then(|origin| self.allow_origin(origin));
        if let Some(origin) = allowed
            && METHODS.iter().any(|known| known.as_str().as_bytes() == method.as_bytes())
            && asked.is_none_or(|asked| self.allows_headers(asked))
        {
            out.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            out.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method.clone());
            if let Some(asked) = asked {
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

    /// Adds what the answer to a request of `origin` needs.
    pub(crate) fn decorate(&self, origin: Option<&HeaderValue>, out: &mut HeaderMap) {
        out.append(header::VARY, HeaderValue::from_static("Origin"));
        let Some(allowed) = origin.and_then(|origin| self.allow_origin(origin)) else { return };
        out.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        out.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        if let Some(exposed) = &self.exposed {
            const EXPOSE: HeaderName = header::ACCESS_CONTROL_EXPOSE_HEADERS;
            out.insert(EXPOSE, exposed.clone());
        }
    }
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
