use std::num::NonZeroUsize;

use phoenix_config::{Described, Problems, Settings};
use serde::Deserialize;

pub use crate::key::KeySource;

/// Settings of the `rate_limiter` extension, which otelcol does not have.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimiterConfig {
    /// What tells clients apart: `client.address`, `metadata.NAME`, `auth.ATTRIBUTE`; all of them together.
    pub key: Vec<KeySource>,
    /// Requests that each client may send a second; 0 is no limit.
    pub requests_per_second: u32,
    /// Requests that it may send at once after a rest; 0 is as many as a second brings.
    pub requests_burst: u32,
    /// Spans, data points and log records that each client may send a second; 0 is no limit.
    pub items_per_second: u64,
    /// Items that it may send at once after a rest; 0 is as many as a second brings.
    pub items_burst: u64,
    /// Bytes of bodies, as they come over the wire, that each client may send a second; 0 is no limit.
    pub bytes_per_second: u64,
    /// Bytes that it may send at once after a rest; 0 is as many as a second brings.
    pub bytes_burst: u64,
    /// Clients that are told apart at a time; the others share one allowance.
    pub max_clients: NonZeroUsize,
}

impl Default for RateLimiterConfig {
    fn default() -> RateLimiterConfig {
        RateLimiterConfig {
            key: vec![KeySource::Address],
            requests_per_second: 0,
            requests_burst: 0,
            items_per_second: 0,
            items_burst: 0,
            bytes_per_second: 0,
            bytes_burst: 0,
            max_clients: NonZeroUsize::new(10_000).unwrap_or(NonZeroUsize::MIN),
        }
    }
}

/// Most clients that may be told apart: about 100 MB of buckets.
const MOST_CLIENTS: usize = 1_000_000;

impl Settings for RateLimiterConfig {
    fn validate(&self, problems: &mut Problems) {
        problems.require(!self.key.is_empty(), "key", "names nothing that tells clients apart");
        if self.requests_per_second == 0 && self.items_per_second == 0 && self.bytes_per_second == 0 {
            let help = "set `requests_per_second`, `items_per_second`, `bytes_per_second` or several of them";
            problems.error_with_help("", "limits nothing", help);
        }
        let bursts = [
            ("requests_burst", u64::from(self.requests_burst), u64::from(self.requests_per_second)),
            ("items_burst", self.items_burst, self.items_per_second),
            ("bytes_burst", self.bytes_burst, self.bytes_per_second),
        ];
        for (key, burst, rate) in bursts {
            problems.require(burst == 0 || rate > 0, key, format!("`{key}` needs its rate beside it"));
        }
        let text = format!("at most {MOST_CLIENTS} clients can be told apart");
        problems.require(self.max_clients.get() <= MOST_CLIENTS, "max_clients", text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_bad_settings_and_names_the_key() {
        // (settings, keys that the errors name)
        let cases: [(&str, &[&str]); 11] = [
            ("{requests_per_second: 10}", &[]),
            ("{bytes_per_second: 1000, bytes_burst: 5000, key: [metadata.x-tenant, auth.subject]}", &[]),
            ("{items_per_second: 1000, items_burst: 5000}", &[]),
            ("{bytes_per_second: 1, items_burst: 5}", &["items_burst"]),
            ("{}", &[""]),
            ("{requests_per_second: 1, bytes_burst: 5}", &["bytes_burst"]),
            ("{requests_per_second: 1, key: []}", &["key"]),
            ("{requests_per_second: 1, key: [tenant]}", &["key::0"]),
            ("{requests_per_second: 1, key: [metadata.]}", &["key::0"]),
            ("{requests_per_second: 1, max_clients: 0}", &["max_clients"]),
            ("{requests_per_second: 1, max_clients: 2000000}", &["max_clients"]),
        ];
        for (settings, keys) in cases {
            let found = match phoenix_config::decode_text::<RateLimiterConfig>(settings) {
                Ok(_) => Vec::new(),
                Err(problems) => problems.errors().map(|problem| problem.path.to_string()).collect(),
            };
            assert_eq!(found, keys, "{settings}");
        }
    }
}
