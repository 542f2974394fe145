//! Where a client connects to.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};

use crate::socket::Plain;

/// Least time that an attempt to connect gets, as in gRPC.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// A place to connect to, as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A name or an address, and a port.
    Host {
        /// Name or address, without brackets.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

/// Reads a URL of HTTP, with a host.
///
/// # Errors
/// What is wrong with it, in words.
pub fn http_url(text: &str) -> Result<http::Uri, String> {
    let url: http::Uri = text.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
    match url.scheme_str() {
        Some("http" | "https") if url.host().is_some_and(|host| !host.is_empty()) => Ok(url),
        Some(scheme @ ("http" | "https")) => Err(format!("there is no host after {scheme}://")),
        Some(other) => Err(format!("unsupported protocol scheme {other:?}")),
        None => Err("it must begin with http:// or https://".to_owned()),
    }
}

/// What a scheme says of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Nothing: the TLS settings decide.
    None,
    /// `http://`.
    Http,
    /// `https://`.
    Https,
}

/// Why an endpoint cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Nothing there.
    #[error("requires a non-empty \"endpoint\"")]
    Empty,
    /// The part after the last colon is no port.
    #[error("invalid port {0:?}")]
    Port(String),
    /// `unix://` and nothing else.
    #[error("unix socket path cannot be empty")]
    UnixPath,
    /// No host before the port.
    #[error("the endpoint {0:?} has no host")]
    Host(String),
}

/// The port of gRPC targets that name none.
const DEFAULT_PORT: u16 = 443;

impl Target {
    /// Reads a gRPC target: `host:port`, with `http://`, `https://`, `dns://authority/` or `passthrough:///`
    /// before it, or `unix://path`.
    ///
    /// # Errors
    /// See [`EndpointError`].
    pub fn parse_grpc(text: &str) -> Result<(Scheme, Target), EndpointError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(EndpointError::Empty);
        }
        if let Some(path) = text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:")) {
            return match path {
                "" => Err(EndpointError::UnixPath),
                path => Ok((Scheme::None, Target::Unix(path.into()))),
            };
        }
        let (scheme, rest) = if let Some(rest) = text.strip_prefix("http://") {
            (Scheme::Http, rest)
        } else if let Some(rest) = text.strip_prefix("https://") {
            (Scheme::Https, rest)
        } else if let Some(rest) = text.strip_prefix("dns://").or_else(|| text.strip_prefix("passthrough://"))
        {
            // An authority names the server to ask; the system's resolver is asked in any case.
            (Scheme::None, rest.split_once('/').map_or(rest, |(_, name)| name))
        } else {
            (Scheme::None, text.strip_prefix("dns:").unwrap_or(text))
        };
        let host_and_port = rest.split('/').next().unwrap_or_default();
        Target::parse_host(host_and_port, DEFAULT_PORT).map(|target| (scheme, target))
    }

    /// Reads `host:port` or `host`; addresses of IPv6 stand in brackets where a port follows.
    ///
    /// # Errors
    /// Where the port is no port or there is no host.
    pub fn parse_host(text: &str, default_port: u16) -> Result<Target, EndpointError> {
        let (host, port) = match text.rsplit_once(':') {
            _ if text.parse::<std::net::Ipv6Addr>().is_ok() => (text, None),
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let port = match port {
            None => default_port,
            Some(port) => port.parse().map_err(|_| EndpointError::Port(port.to_owned()))?,
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(EndpointError::Host(text.to_owned()));
        }
        Ok(Target::Host { host: host.to_owned(), port })
    }

    /// The name for TLS and `:authority`.
    pub fn host(&self) -> &str {
        match self {
            Target::Host { host, .. } => host,
            Target::Unix(_) => "localhost",
        }
    }

    /// The authority of requests.
    pub fn authority(&self) -> String {
        match self {
            Target::Host { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Target::Host { host, port } => format!("{host}:{port}"),
            Target::Unix(_) => "localhost".to_owned(),
        }
    }

    /// The addresses, where no resolver is needed for them.
    pub(crate) fn fixed(&self) -> Option<Address> {
        match self {
            Target::Host { host, port } => {
                host.parse::<IpAddr>().ok().map(|ip| Address::Tcp(SocketAddr::new(ip, *port)))
            }
            Target::Unix(path) => Some(Address::Unix(path.clone())),
        }
    }

    /// Asks the system for the addresses.
    pub(crate) async fn resolve(&self) -> io::Result<Vec<Address>> {
        if let Some(fixed) = self.fixed() {
            return Ok(vec![fixed]);
        }
        let Target::Host { host, port } = self else { return Ok(Vec::new()) };
        let mut found: Vec<_> =
            tokio::net::lookup_host((host.as_str(), *port)).await?.map(Address::Tcp).collect();
        found.dedup();
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address")));
        }
        Ok(found)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Host { .. } => f.write_str(&self.authority()),
            Target::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// One address to dial.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

impl Address {
    pub(crate) async fn dial(&self, timeout: Duration) -> io::Result<Plain> {
        let dial = async {
            Ok(match self {
                Address::Tcp(address) => {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    Plain::Tcp(stream)
                }
                Address::Unix(path) => Plain::Unix(UnixStream::connect(path).await?),
            })
        };
        tokio::time::timeout(timeout, dial).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_targets_in_all_their_forms() {
        let host = |host: &str, port| Target::Host { host: host.to_owned(), port };
        for (text, scheme, target) in [
            ("localhost:4317", Scheme::None, host("localhost", 4317)),
            ("http://a.b:1", Scheme::Http, host("a.b", 1)),
            ("https://a.b", Scheme::Https, host("a.b", 443)),
            ("https://a.b:8443/", Scheme::Https, host("a.b", 8443)),
            ("dns:///svc.ns:4317", Scheme::None, host("svc.ns", 4317)),
            ("dns://8.8.8.8/svc:4317", Scheme::None, host("svc", 4317)),
            ("[::1]:4317", Scheme::None, host("::1", 4317)),
            ("::1", Scheme::None, host("::1", 443)),
            ("unix:///run/x.sock", Scheme::None, Target::Unix("/run/x.sock".into())),
            ("unix:x.sock", Scheme::None, Target::Unix("x.sock".into())),
        ] {
            assert_eq!(Target::parse_grpc(text), Ok((scheme, target)), "{text}");
        }
        assert_eq!(Target::parse_grpc(""), Err(EndpointError::Empty));
        assert_eq!(Target::parse_grpc("a:port"), Err(EndpointError::Port("port".into())));
        assert_eq!(Target::parse_grpc("unix://"), Err(EndpointError::UnixPath));
        assert_eq!(Target::parse_grpc(":4317"), Err(EndpointError::Host(":4317".into())));
        assert_eq!(host("::1", 5).authority(), "[::1]:5");
    }
}
