//! Redirects, of which those are followed that keep the request as it is (307, 308).
//!
//! After 301, 302 and 303 clients, Go's among them, go on with a GET and without the body: a success of that
//! would lose the data silently. Those answers are given back.

use http::header::LOCATION;
use http::{HeaderMap, StatusCode, Uri};

/// Redirects that are followed in a row, as many as Go's client follows.
pub(super) const MAX_REDIRECTS: usize = 10;

/// Whether the request is to be sent again, elsewhere.
pub(super) fn is_to_be_repeated(status: StatusCode) -> bool {
    matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT)
}

/// The URL where; none where the answer does not say.
pub(super) fn location(from: &Uri, headers: &HeaderMap) -> Option<String> {
    let text = headers.get(LOCATION)?.to_str().ok()?.trim();
    let text = text.split('#').next().filter(|text| !text.is_empty())?;
    if text.contains("://") {
        return Some(text.to_owned());
    }
    let scheme = from.scheme_str()?;
    if let Some(elsewhere) = text.strip_prefix("//") {
        return Some(format!("{scheme}://{elsewhere}"));
    }
    let base = format!("{scheme}://{}", from.authority()?);
    if text.starts_with('/') {
        return Some(format!("{base}{text}"));
    }
    let path = from.path();
    let folder = match text.starts_with('?') {
        true => path,
        false => &path[..=path.rfind('/').unwrap_or_default()],
    };
    Some(format!("{base}{folder}{text}"))
}

/// Whether `host` is not `first`, nor below it: then it does not get to see credentials.
pub(super) fn is_foreign(first: &str, host: &str) -> bool {
    !(host == first || host.strip_suffix(first).is_some_and(|rest| rest.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_resolved_against_the_url() {
        let from: Uri = "https://a.b:1/v1/logs?x=1".parse().unwrap();
        for (text, to) in [
            ("http://c/d", "http://c/d"),
            ("//c/d", "https://c/d"),
            ("/d?y", "https://a.b:1/d?y"),
            ("d#part", "https://a.b:1/v1/d"),
            ("?y", "https://a.b:1/v1/logs?y"),
        ] {
            let headers = HeaderMap::from_iter([(LOCATION, text.parse().unwrap())]);
            assert_eq!(location(&from, &headers).as_deref(), Some(to), "{text}");
        }
        assert_eq!(location(&from, &HeaderMap::new()), None);
        assert!(!is_foreign("a.b", "a.b") && !is_foreign("a.b", "x.a.b"));
        assert!(is_foreign("a.b", "xa.b") && is_foreign("x.a.b", "a.b"));
    }
}
