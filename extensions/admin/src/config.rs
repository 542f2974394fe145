use std::net::SocketAddr;

use phoenix_component::{AdminEndpoint, Touch};
use phoenix_config::{Described, Opaque, Problems, Settings};
use phoenix_transport::probe;
use phoenix_transport::settings::Transport;
use serde::Deserialize;

/// Settings of the `admin` extension.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// `unix:///path`, or `host:port` on loopback.
    pub endpoint: String,
    /// What clients must show (`Authorization: Bearer …`); needed on loopback, of no use on a Unix socket.
    pub token: Opaque,
    /// Largest body of a request in bytes: a configuration must fit in.
    pub max_request_body_size: usize,
}

impl Default for AdminConfig {
    fn default() -> AdminConfig {
        AdminConfig {
            endpoint: AdminEndpoint::DEFAULT.to_owned(),
            token: Opaque::default(),
            max_request_body_size: 16 << 20,
        }
    }
}

/// Whether an address that a name resolved to is as local as the name said.
pub(crate) fn is_local(address: Option<SocketAddr>) -> bool {
    address.is_none_or(|address| address.ip().is_loopback())
}

impl AdminConfig {
    /// What a start would reach out to: its listeners.
    pub(crate) fn touches(&self) -> Vec<Touch> {
        let listen = match AdminEndpoint::parse(&self.endpoint) {
            Ok(AdminEndpoint::Unix(path)) => {
                probe::listen("endpoint", Transport::Unix, &path.display().to_string())
            }
            Ok(AdminEndpoint::Loopback(address)) => probe::listen("endpoint", Transport::Tcp, &address),
            // It was refused when it was read.
            Err(_) => return Vec::new(),
        };
        vec![listen]
    }
}

impl Settings for AdminConfig {
    fn validate(&self, problems: &mut Problems) {
        match AdminEndpoint::parse(&self.endpoint) {
            Err(why) => problems.error("endpoint", why),
            Ok(AdminEndpoint::Loopback(_)) if self.token.is_empty() => problems.error_with_help(
                "token",
                "is needed on loopback, which every user of the machine and every container of a pod reaches",
                "set `token: ${env:PHOENIX_ADMIN_TOKEN}`, or listen on a Unix socket",
            ),
            Ok(AdminEndpoint::Unix(_)) if !self.token.is_empty() => {
                problems.warn("token", "has no effect on a Unix socket, where the kernel names the user");
            }
            Ok(_) => {}
        }
        problems.require(
            (1024..=256 << 20).contains(&self.max_request_body_size),
            "max_request_body_size",
            "must be between 1 KiB and 256 MiB",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_endpoints_are_taken() {
        // (settings, fields that the errors name)
        let cases: [(&str, &[&str]); 11] = [
            ("{}", &[]),
            (r#"{"endpoint": "unix:///tmp/x.sock"}"#, &[]),
            (r#"{"endpoint": "unix:/tmp/x.sock"}"#, &[]),
            (r#"{"endpoint": "localhost:13130", "token": "x"}"#, &[]),
            (r#"{"endpoint": "[::1]:13130", "token": "x"}"#, &[]),
            (r#"{"endpoint": "127.0.0.1:13130"}"#, &["token"]),
            (r#"{"endpoint": "0.0.0.0:13130", "token": "x"}"#, &["endpoint"]),
            (r#"{"endpoint": ":13130", "token": "x"}"#, &["endpoint"]),
            (r#"{"endpoint": "10.0.0.1:13130", "token": "x"}"#, &["endpoint"]),
            (r#"{"endpoint": "unix:relative"}"#, &["endpoint"]),
            (
                r#"{"endpoint": "localhost", "max_request_body_size": 1}"#,
                &["endpoint", "max_request_body_size"],
            ),
        ];
        for (settings, fields) in cases {
            let config: AdminConfig = serde_json::from_str(settings).expect(settings);
            assert_eq!(Problems::of(|p| config.validate(p)).keys(), fields, "{settings}");
        }
    }
}
