//! The shared blocks of configuration, with otelcol's keys and defaults.
//!
//! Serde's `flatten` would lose the strictness about unknown keys, so a component that adds keys of its
//! own to a block declares its settings through [`grpc_client_settings`](crate::grpc_client_settings),
//! [`http_client_settings`](crate::http_client_settings) or
//! [`http_server_settings`](crate::http_server_settings), which repeat the block's fields.

mod auth;
mod compression;
mod grpc;
mod http;
mod keepalive;
mod middleware;
mod net;
#[cfg(test)]
// The macros declare public items, as a component's settings are.
#[allow(unreachable_pub)]
mod tests;
mod tls;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use phoenix_config::{OpaqueMap, Problems};
use serde::de::IgnoredAny;

pub use auth::{AuthSettings, GrpcAuthSettings, HttpAuthSettings};
pub use compression::{Compression, CompressionParams};
pub use grpc::{Dialer, GrpcClientBlock, GrpcServerSettings, validate_grpc_client};
pub use http::{Cookies, Cors, HttpClientBlock, HttpServerSettings, validate_http_client};
pub use keepalive::{ClientKeepalive, EnforcementPolicy, ServerKeepalive, ServerParameters};
pub use middleware::Middleware;
pub use net::Transport;
pub(crate) use tls::{Material, Source};
pub use tls::{TlsClientSettings, TlsServerSettings};

/// A key that otelcol knows and Phoenix does not offer yet: whatever stands there is refused, with the
/// reason, by [`refuse`]. Null is as good as absent.
pub type NotYet = Option<IgnoredAny>;

/// Reports `key` where it is set.
pub fn refuse(problems: &mut Problems, key: &str, value: &NotYet, reason: &str) {
    problems.require(value.is_none(), key, format!("`{key}` is not supported yet: {reason}"));
}

/// Reports the list `key` where there is something in it.
pub fn refuse_any(problems: &mut Problems, key: &str, list: &[IgnoredAny], reason: &str) {
    problems.require(list.is_empty(), key, format!("`{key}` is not supported yet: {reason}"));
}

/// Refuses the `middlewares` of a listener that no data comes by.
pub fn refuse_limiters(problems: &mut Problems, middlewares: &[IgnoredAny]) {
    let text = || format!("`middlewares` is not supported here: {NO_LIMITER}");
    if !middlewares.is_empty() {
        problems.error_with_help("middlewares", text(), "name the limiter at the listeners of receivers");
    }
}

/// Why a listener that no data comes by asks no limiter.
pub const NO_LIMITER: &str = "this listener has to answer when memory is short, too";

/// Why the middlewares of clients are refused.
pub const WITH_EXTENSIONS: &str = "it comes with the extensions of a later version";

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let parsed = HeaderName::try_from(name).map_err(|_| format!("{name:?} is no header name"))?;
    let mut value =
        HeaderValue::from_str(value).map_err(|_| format!("the value of {name:?} cannot be sent"))?;
    // What is configured may be a secret.
    value.set_sensitive(true);
    Ok((parsed, value))
}

/// Headers of requests as they are configured; those that cannot be sent are left out, since `validate` refuses them.
pub fn header_map(headers: &OpaqueMap) -> HeaderMap {
    headers.iter().filter_map(|(name, value)| header(name, value.reveal()).ok()).collect()
}

fn validate_headers(headers: &OpaqueMap, problems: &mut Problems) {
    problems.within("headers", |problems| validate_names(headers, problems));
}

fn validate_names(headers: &OpaqueMap, problems: &mut Problems) {
    for (name, value) in headers.iter() {
        if let Err(message) = header(name, value.reveal()) {
            problems.error(name, message);
        }
    }
}
