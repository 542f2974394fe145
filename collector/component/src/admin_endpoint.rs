//! Where a collector is administered: what the extension that serves it and the command line agree on.

use std::net::IpAddr;
use std::path::PathBuf;

/// An endpoint of a collector's administration: a Unix socket, or loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminEndpoint {
    /// The path of a Unix socket.
    Unix(PathBuf),
    /// `host:port` on loopback.
    Loopback(String),
}

impl AdminEndpoint {
    /// Where the administration listens, and its clients look, unless they are told otherwise.
    pub const DEFAULT: &str = "unix:///run/phoenix-collector/admin.sock";

    /// Reads `unix:///path`, `unix:/path` or `host:port`.
    ///
    /// # Errors
    /// Why that is none, or not allowed.
    pub fn parse(text: &str) -> Result<AdminEndpoint, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.starts_with('/') || path.len() < 2 {
                return Err(format!("{text:?} has no absolute path: write `unix:///run/x/admin.sock`"));
            }
            // The size of `sun_path`, with the zero at its end.
            if path.len() > 107 {
                return Err(format!(
                    "the path of a Unix socket has at most 107 bytes, this one {}",
                    path.len()
                ));
            }
            return Ok(AdminEndpoint::Unix(path.into()));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(format!("{text:?} is neither `unix:///path` nor `host:port`"));
        };
        if port.parse::<u16>().is_err() {
            return Err(format!("{port:?} is no port"));
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_loopback = host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if !is_loopback {
            return Err(format!(
                "{host:?} is not loopback: whoever reaches this endpoint rules the collector, so it listens on a Unix socket, `localhost`, `127.0.0.1` or `[::1]` only"
            ));
        }
        Ok(AdminEndpoint::Loopback(text.to_owned()))
    }
}
