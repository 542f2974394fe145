//! The head of a request: which headers it has, and how they are written in either version of HTTP.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderValue, PROXY_AUTHORIZATION,
};
use http::{HeaderName, Method, Request};

use super::{Destination, Shared};

/// What the head of a usual request takes.
const USUAL_BYTES: usize = 512;

/// A request to `destination`.
pub(super) struct RequestHead<'a> {
    pub(super) shared: &'a Shared,
    pub(super) destination: &'a Destination,
    pub(super) headers: Headers<'a>,
    pub(super) verb: Verb,
}

/// What is asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
}

/// The headers of one request.
#[derive(Clone, Copy)]
pub(super) struct Headers<'a> {
    /// Those that are added to the client's own, which win.
    pub(super) added: &'a HeaderMap,
    /// All of them with credentials, instead; not for other hosts.
    pub(super) authorized: Option<&'a HeaderMap>,
}

impl RequestHead<'_> {
    /// Hands on every header but `Host`.
    fn visit(&self, mut field: impl FnMut(&HeaderName, &HeaderValue)) {
        let own = &self.shared.headers;
        let is_secret = |name: &HeaderName| *name == AUTHORIZATION || *name == COOKIE;
        let is_sent = |name: &HeaderName| *name != HOST && !(self.destination.is_foreign && is_secret(name));
        match self.headers.authorized.filter(|_| !self.destination.is_foreign) {
            Some(all) => all.iter().filter(|(name, _)| is_sent(name)).for_each(|(n, v)| field(n, v)),
            None => {
                own.iter().filter(|(name, _)| is_sent(name)).for_each(|(name, value)| field(name, value));
                let added = self.headers.added.iter();
                let added = added.filter(|(name, _)| is_sent(name) && !own.contains_key(*name));
                added.for_each(|(name, value)| field(name, value));
            }
        }
        let jar = self.shared.cookies.as_ref();
        if let Some(cookies) = jar.and_then(|jar| jar.header(self.destination, SystemTime::now())) {
            field(&COOKIE, &cookies);
        }
    }

    /// As it goes over HTTP/1.1, up to and with the empty line.
    pub(super) fn http1(&self, body_bytes: usize) -> Bytes {
        let Destination { uri, proxy, secure, host, .. } = self.destination;
        let proxy = proxy.as_ref().filter(|_| !secure);
        let mut head = Vec::with_capacity(USUAL_BYTES);
        head.extend_from_slice(match self.verb {
            Verb::Get => b"GET ",
            Verb::Post => b"POST ",
        });
        match (proxy, uri.path_and_query()) {
            (Some(_), _) => head.extend_from_slice(uri.to_string().as_bytes()),
            (None, Some(path)) => head.extend_from_slice(path.as_str().as_bytes()),
            (None, None) => head.push(b'/'),
        }
        head.extend_from_slice(b" HTTP/1.1\r\n");
        let mut field = |name: &HeaderName, value: &[u8]| {
            for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
                head.extend_from_slice(part);
            }
        };
        field(&HOST, host.as_bytes());
        self.visit(|name, value| field(name, value.as_bytes()));
        if let Some(authorization) = proxy.and_then(|proxy| proxy.authorization()) {
            field(&PROXY_AUTHORIZATION, authorization.as_bytes());
        }
        if self.verb == Verb::Post {
            field(&CONTENT_LENGTH, body_bytes.to_string().as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        head.into()
    }

    /// As HTTP/2 has it: the URL names the host.
    pub(super) fn http2(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = match self.verb {
            Verb::Get => Method::GET,
            Verb::Post => Method::POST,
        };
        *request.uri_mut() = self.destination.uri.clone();
        let headers = request.headers_mut();
        self.visit(|name, value| {
            headers.append(name.clone(), value.clone());
        });
        request
    }
}
