//! The shared blocks of configuration, with otelcol's keys and defaults.
//!
//! Each component's settings embed these; serde's `flatten` would lose the strictness about unknown keys,
//! so a component that adds keys of its own to a block repeats the block's fields through the macros
//! [`grpc_client_settings`](crate::grpc_client_settings) and
//! [`http_client_settings`](crate::http_client_settings).

mod tls;

use phoenix_config::Problems;
use serde::de::IgnoredAny;

pub(crate) use tls::{Material, Source};
pub use tls::{TlsClientSettings, TlsServerSettings};

/// A key that otelcol knows and Phoenix does not offer yet: whatever stands there is refused, with the
/// reason, in [`refuse`]. Null is as good as absent.
pub type NotYet = Option<IgnoredAny>;

/// Reports `key` where it is set.
pub fn refuse(problems: &mut Problems, key: &str, value: &NotYet, reason: &str) {
    problems.require(value.is_none(), key, format!("`{key}` is not supported yet: {reason}"));
}

/// Why authenticators and middlewares are refused.
pub const WITH_EXTENSIONS: &str = "it comes with the extensions of a later version";
