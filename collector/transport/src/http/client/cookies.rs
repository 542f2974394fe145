//! Cookies of a client, as far as they matter to one that only posts: load balancers keep a sender at one
//! backend by them. What a host sets goes back to that host alone, whatever domain it names.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};

use super::Destination;

/// Cookies that are kept; the oldest goes first.
const MAX_COOKIES: usize = 64;
/// Longest name and value together.
const MAX_COOKIE_BYTES: usize = 4096;

#[derive(Default)]
pub(super) struct Jar(Mutex<Vec<Cookie>>);

struct Cookie {
    host: String,
    path: String,
    name: String,
    value: String,
    secure: bool,
    expires: Option<SystemTime>,
}

impl Jar {
    fn cookies(&self) -> MutexGuard<'_, Vec<Cookie>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what an answer of `destination` sets.
    pub(super) fn keep(&self, destination: &Destination, headers: &HeaderMap, now: SystemTime) {
        for value in headers.get_all(SET_COOKIE) {
            let Some(cookie) = value.to_str().ok().and_then(|text| Cookie::parse(text, destination, now))
            else {
                continue;
            };
            let mut cookies = self.cookies();
            cookies.retain(|kept| {
                kept.host != cookie.host || kept.path != cookie.path || kept.name != cookie.name
            });
            if cookie.expires.is_none_or(|expires| expires > now) {
                if cookies.len() >= MAX_COOKIES {
                    cookies.remove(0);
                }
                cookies.push(cookie);
            }
        }
    }

    /// The `Cookie` header of a request to `destination`, where there is one.
    pub(super) fn header(&self, destination: &Destination, now: SystemTime) -> Option<HeaderValue> {
        let mut cookies = self.cookies();
        cookies.retain(|cookie| cookie.expires.is_none_or(|expires| expires > now));
        let path = destination.uri.path();
        let pairs: Vec<_> = cookies
            .iter()
            .filter(|cookie| {
                cookie.host == destination.target.host()
                    && (destination.secure || !cookie.secure)
                    && is_below(path, &cookie.path)
            })
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        let mut value = HeaderValue::try_from(pairs.join("; ")).ok().filter(|value| !value.is_empty())?;
        value.set_sensitive(true);
        Some(value)
    }
}

fn is_below(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix(folder);
    rest.is_some_and(|rest| rest.is_empty() || folder.ends_with('/') || rest.starts_with('/'))
}

impl Cookie {
    fn parse(text: &str, destination: &Destination, now: SystemTime) -> Option<Cookie> {
        let mut parts = text.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || name.len() + value.len() > MAX_COOKIE_BYTES {
            return None;
        }
        let folder = destination.uri.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut cookie = Cookie {
            host: destination.target.host().to_owned(),
            path: if folder.is_empty() { "/".to_owned() } else { folder.to_owned() },
            name: name.to_owned(),
            value: value.to_owned(),
            secure: false,
            expires: None,
        };
        let mut max_age = None;
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            match key.trim().to_ascii_lowercase().as_str() {
                "secure" => cookie.secure = true,
                "path" if value.starts_with('/') => cookie.path = value.to_owned(),
                "expires" => cookie.expires = httpdate::parse_http_date(value).ok(),
                "max-age" => max_age = value.parse::<i64>().ok(),
                _ => {}
            }
        }
        if let Some(seconds) = max_age {
            let left = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
            cookie.expires = now.checked_add(left);
        }
        Some(cookie)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::client::read_url;

    #[test]
    fn cookies_go_back_to_where_they_came_from_until_they_expire() {
        let (jar, now) = (Jar::default(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let at = |url: &str| read_url(url, None).unwrap();
        let here = at("https://a/v1/logs");
        let mut headers = HeaderMap::new();
        for cookie in [
            "route=b1; Path=/; Domain=other; HttpOnly",
            "safe = 1 ; Secure; path=/v1; Max-Age=60",
            "old=1; Expires=Tue, 14 Nov 2000 00:00:00 GMT",
            "under=1",
            "nonsense",
            "=x",
        ] {
            headers.append(SET_COOKIE, cookie.parse().unwrap());
        }
        jar.keep(&here, &headers, now);
        let sent = |url: &str, now| jar.header(&at(url), now).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(sent("https://a/v1/logs", now).as_deref(), Some("route=b1; safe=1; under=1"));
        assert_eq!(sent("http://a/v1/logs", now).as_deref(), Some("route=b1; under=1"));
        assert_eq!(sent("https://a/v12", now).as_deref(), Some("route=b1"));
        assert_eq!(sent("https://other/v1/logs", now), None);
        let later = now + Duration::from_secs(60);
        assert_eq!(sent("https://a/v1/logs", later).as_deref(), Some("route=b1; under=1"));
        headers.clear();
        headers.append(SET_COOKIE, "route=; Path=/; Max-Age=0".parse().unwrap());
        headers.append(SET_COOKIE, "under=2".parse().unwrap());
        jar.keep(&here, &headers, later);
        assert_eq!(sent("https://a/v1/logs", later).as_deref(), Some("under=2"));
        for index in 0..2 * MAX_COOKIES {
            headers.append(SET_COOKIE, format!("c{index}=1").parse().unwrap());
        }
        jar.keep(&here, &headers, later);
        assert_eq!(jar.cookies().len(), MAX_COOKIES);
    }
}
