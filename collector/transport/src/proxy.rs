//! Proxies: which one a connection goes through, and the tunnel through it.
//!
//! The variables mean what they mean to Go's clients: `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, or the same
//! in lower case. Nothing on this machine (`localhost`, loopback addresses) is reached through the
//! environment's proxies.

use std::fmt;
use std::io;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::endpoint::Target;
use crate::socket::Plain;

#[cfg(test)]
mod tests;

/// Longest head of a proxy's answer that is read.
const MAX_HEAD_BYTES: usize = 8 << 10;

/// A proxy that is no proxy, or none that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid proxy: {0}")]
pub struct ProxyError(String);

/// An HTTP proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    target: Target,
    /// `Proxy-Authorization`.
    authorization: Option<HeaderValue>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.target)
    }
}

impl Proxy {
    /// Reads the URL of a proxy: `http://[user:password@]host[:port]`, of which `http://` may be left out.
    ///
    /// # Errors
    /// What is wrong with it. The text is not repeated: it may hold a password.
    pub fn parse(url: &str) -> Result<Proxy, ProxyError> {
        let wrong = |reason: &str| ProxyError(reason.to_owned());
        let text = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let uri: Uri = text.parse().map_err(|_| wrong("it is no URL"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some(scheme @ ("https" | "socks5" | "socks5h")) => {
                return Err(wrong(&format!("{scheme} proxies are not supported; use one of http://")));
            }
            _ => return Err(wrong("it must begin with http://")),
        }
        let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?.as_str();
        let (user, host) =
            authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        let target = Target::parse_host(host, 80).map_err(|error| wrong(&error.to_string()))?;
        let authorization = user.map(|user| {
            let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(unescaped(user))))
                .map_err(|_| wrong("the user cannot be sent"))?;
            value.set_sensitive(true);
            Ok(value)
        });
        Ok(Proxy { target, authorization: authorization.transpose()? })
    }

    /// Where it is.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Asks the proxy at the other end of `socket` for a tunnel to `authority`.
    ///
    /// # Errors
    /// Those of the socket, and the proxy's refusal.
    pub(crate) async fn tunnel(&self, socket: &mut Plain, authority: &str) -> io::Result<()> {
        let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
        if let Some(authorization) = &self.authorization {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(authorization.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        socket.write_all(&request).await?;
        // Byte by byte: what follows the head belongs to the protocol inside.
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() >= MAX_HEAD_BYTES {
                return Err(io::Error::other(format!("the answer of proxy {} is too long", self.target)));
            }
            head.push(socket.read_u8().await?);
        }
        let line = String::from_utf8_lossy(head.split(|byte| *byte == b'\r').next().unwrap_or_default())
            .into_owned();
        let mut words = line.split(' ');
        let is_http = words.next().is_some_and(|version| version.starts_with("HTTP/1."));
        match words.next().and_then(|status| status.parse::<u16>().ok()) {
            Some(200..=299) if is_http => Ok(()),
            _ => Err(io::Error::other(format!("proxy {} refused the tunnel: {line}", self.target))),
        }
    }
}

/// Percent signs resolved, as far as they make sense.
fn unescaped(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let escape = bytes.get(at + 1..at + 3).filter(|_| *byte == b'%');
        let value = escape.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        at += if value.is_some() { 3 } else { 1 };
        out.push(value.unwrap_or(*byte));
    }
    out
}

/// Which proxy a connection goes through, if any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    exceptions: Vec<Exception>,
    /// Whether loopback addresses are reached through them too.
    local_too: bool,
}

impl Proxies {
    /// One for everything.
    pub fn only(proxy: Proxy) -> Proxies {
        Proxies { http: Some(proxy.clone()), https: Some(proxy), exceptions: Vec::new(), local_too: true }
    }

    /// Those that the environment names.
    ///
    /// # Errors
    /// Where a variable names none that can be used.
    pub fn from_environment() -> Result<Proxies, ProxyError> {
        Proxies::from_variables(|name| std::env::var(name).ok())
    }

    /// Those that `variable` names.
    ///
    /// # Errors
    /// Where a variable names none that can be used.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Proxies, ProxyError> {
        let of = |name: &str| {
            let either = variable(name).filter(|value| !value.is_empty());
            either.or_else(|| variable(&name.to_ascii_lowercase())).filter(|value| !value.is_empty())
        };
        let proxy = |name: &str| {
            let read = |url: String| {
                Proxy::parse(&url).map_err(|ProxyError(reason)| ProxyError(format!("{name}: {reason}")))
            };
            of(name).map(read).transpose()
        };
        let exceptions = of("NO_PROXY").unwrap_or_default();
        Ok(Proxies {
            http: proxy("HTTP_PROXY")?,
            https: proxy("HTTPS_PROXY")?,
            exceptions: exceptions.split(',').filter_map(Exception::parse).collect(),
            local_too: false,
        })
    }

    /// The proxy for connections to `target`, with TLS or without.
    pub fn proxy_for(&self, target: &Target, secure: bool) -> Option<&Proxy> {
        let Target::Host { host, port } = target else { return None };
        let proxy = if secure { self.https.as_ref() } else { self.http.as_ref() }?;
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let address = host.parse::<IpAddr>().ok();
        let is_local = host == "localhost" || address.is_some_and(|address| address.is_loopback());
        if is_local && !self.local_too {
            return None;
        }
        (!self.exceptions.iter().any(|exception| exception.is_met(&host, address, *port))).then_some(proxy)
    }
}

/// An entry of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exception {
    Everything,
    Network { address: IpAddr, prefix: u8 },
    Host { name: String, with_children: bool, itself: bool, port: Option<u16> },
}

impl Exception {
    fn parse(text: &str) -> Option<Exception> {
        let text = text.trim().to_ascii_lowercase();
        if text == "*" {
            return Some(Exception::Everything);
        }
        if let Some((address, prefix)) = text.split_once('/') {
            let address = address.parse::<IpAddr>().ok()?;
            let prefix = prefix.parse::<u8>().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            return (prefix <= most).then_some(Exception::Network { address, prefix });
        }
        let (host, port) = match text.rsplit_once(':') {
            _ if text.parse::<IpAddr>().is_ok() => (text.as_str(), None),
            Some((host, port)) => match port.parse::<u16>() {
                Ok(port) => (host, Some(port)),
                Err(_) => (text.as_str(), None),
            },
            None => (text.as_str(), None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        let (name, itself) = match host.strip_prefix('.') {
            Some(name) => (name, false),
            None => (host, true),
        };
        let with_children = name.parse::<IpAddr>().is_err();
        (!name.is_empty()).then(|| Exception::Host { name: name.to_owned(), with_children, itself, port })
    }

    fn is_met(&self, host: &str, address: Option<IpAddr>, at_port: u16) -> bool {
        match self {
            Exception::Everything => true,
            Exception::Network { address: network, prefix } => {
                address.is_some_and(|address| shares_prefix(address, *network, *prefix))
            }
            Exception::Host { name, with_children, itself, port } => {
                let is_child = || host.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'));
                port.is_none_or(|port| port == at_port)
                    && ((*itself && host == name) || (*with_children && is_child()))
            }
        }
    }
}

fn shares_prefix(a: IpAddr, b: IpAddr, prefix: u8) -> bool {
    let (a, b, width) = match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    (a ^ b).checked_shr(width - u32::from(prefix)).is_none_or(|rest| rest == 0)
}
