//! Who may ask.

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{Response, StatusCode, request};
use phoenix_component::auth::same_secret;
use phoenix_config::Opaque;
use phoenix_transport::Peer;

use crate::service::refusal;

/// Decides over each request.
pub(crate) struct Guard {
    /// The collector's own user.
    pub(crate) own_uid: Option<u32>,
    pub(crate) token: Opaque,
}

/// The user that this process runs as, as others see it.
pub(crate) fn own_uid() -> Option<u32> {
    let (one, _other) = tokio::net::UnixStream::pair().ok()?;
    Some(one.peer_cred().ok()?.uid())
}

impl Guard {
    /// Lets its own user and root in over a Unix socket, and over loopback who shows the token and is no
    /// browser: a page must not reach it by way of one, whatever name it gave to the address.
    // One answer for each request is moved once.
    #[allow(clippy::result_large_err)]
    pub(crate) fn admit(&self, head: &request::Parts, peer: Peer) -> Result<(), Response<Bytes>> {
        match peer {
            Peer::Unix { uid: Some(uid) } if uid == 0 || Some(uid) == self.own_uid => Ok(()),
            Peer::Unix { .. } => Err(refusal(
                StatusCode::FORBIDDEN,
                "forbidden",
                "only the user that the collector runs as, and root, may use its administration",
            )),
            Peer::Tcp(_) => self.admit_over_tcp(head),
        }
    }

    #[allow(clippy::result_large_err)]
    fn admit_over_tcp(&self, head: &request::Parts) -> Result<(), Response<Bytes>> {
        let from_a_page = head.headers.contains_key(ORIGIN);
        let named = head.headers.get(HOST).and_then(|host| host.to_str().ok());
        let authority = head.uri.authority().map(http::uri::Authority::as_str);
        if from_a_page || !named.or(authority).is_some_and(is_local_name) {
            return Err(refusal(
                StatusCode::FORBIDDEN,
                "forbidden",
                "requests of web pages, and under names other than localhost, are refused",
            ));
        }
        let shown = head.headers.get(AUTHORIZATION).map_or(&[][..], |value| value.as_bytes());
        let shown = shown.strip_prefix(b"Bearer ").unwrap_or_default();
        if same_secret(shown, self.token.reveal().as_bytes()) && !self.token.is_empty() {
            return Ok(());
        }
        let mut refused = refusal(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "show the extension's `token` as `Authorization: Bearer …`",
        );
        let challenge = http::HeaderValue::from_static("Bearer");
        refused.headers_mut().insert(http::header::WWW_AUTHENTICATE, challenge);
        Err(refused)
    }
}

fn is_local_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(guard: &Guard, peer: Peer, headers: &[(&str, &str)]) -> u16 {
        let mut request = http::Request::get("/v1/status");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let head = request.body(()).expect("a request").into_parts().0;
        guard.admit(&head, peer).map_or_else(|refusal| refusal.status().as_u16(), |()| 200)
    }

    #[tokio::test]
    async fn others_are_refused() {
        let guard = Guard { own_uid: Some(1000), token: Opaque::new("secret") };
        for (uid, expected) in [(Some(1000), 200), (Some(0), 200), (Some(1001), 403), (None, 403)] {
            assert_eq!(status(&guard, Peer::Unix { uid }, &[]), expected, "{uid:?}");
        }
        let tcp = Peer::Tcp("127.0.0.1:5".parse().expect("an address"));
        let bearer = ("authorization", "Bearer secret");
        for (headers, expected) in [
            (&[("host", "localhost:1"), bearer][..], 200),
            (&[("host", "127.0.0.1"), bearer], 200),
            (&[("host", "[::1]:5"), bearer], 200),
            (&[("host", "localhost:1")], 401),
            (&[("host", "localhost:1"), ("authorization", "Bearer secreT")], 401),
            (&[("host", "localhost:1"), ("authorization", "Bearer ")], 401),
            (&[("host", "evil.example:1"), bearer], 403),
            (&[("host", "localhost:1"), ("origin", "http://localhost:1"), bearer], 403),
            (&[bearer], 403),
        ] {
            assert_eq!(status(&guard, tcp, headers), expected, "{headers:?}");
        }
        let open = Guard { own_uid: None, token: Opaque::default() };
        assert_eq!(status(&open, tcp, &[("host", "localhost"), ("authorization", "Bearer ")]), 401);
        assert!(own_uid().is_some());
    }
}
