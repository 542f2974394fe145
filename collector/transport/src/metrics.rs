//! What servers count of themselves.

use std::sync::Arc;

use phoenix_telemetry::{Counter, Description, Metrics};

use crate::instrumentation::HttpMetrics;

/// Connections that a listener accepted.
pub const CONNECTIONS: Description = Description {
    name: "phoenix_transport_connections",
    unit: "{connection}",
    text: "Connections accepted.",
};

/// What a listener refused before a receiver saw it.
pub const REFUSED: Description = Description {
    name: "phoenix_transport_refused",
    unit: "{request}",
    text: "Requests and connections refused by the transport, by reason.",
};

const REASONS: [&str; 19] = [
    "connections",
    "evicted",
    "tls",
    "handshake",
    "pings",
    "not_grpc",
    "method",
    "framing",
    "too_large",
    "budget",
    "memory_limit",
    "rate_limit",
    "auth_missing",
    "auth_invalid",
    "auth_expired",
    "auth_unavailable",
    "encoding",
    "timeout",
    "panic",
];

/// The counters of one listener. Cloning shares them.
#[derive(Clone, Debug)]
pub struct ServerMetrics {
    pub(crate) connections: Counter,
    refused: Arc<[Counter; REASONS.len()]>,
    /// Where it serves HTTP.
    pub(crate) http: Option<HttpMetrics>,
}

impl ServerMetrics {
    /// The counters of the listener `receiver` (a component's identifier) for `transport` (`grpc`, `http`).
    pub fn new(metrics: &Metrics, receiver: &str, transport: &str) -> ServerMetrics {
        let listener = [("receiver", receiver), ("transport", transport)];
        ServerMetrics {
            connections: metrics.counter(CONNECTIONS, &listener),
            refused: Arc::new(
                REASONS
                    .map(|reason| metrics.counter(REFUSED, &[listener[0], listener[1], ("reason", reason)])),
            ),
            http: (transport == "http").then(|| HttpMetrics::server(metrics)),
        }
    }

    /// Counters that no registry knows.
    pub fn detached() -> ServerMetrics {
        ServerMetrics {
            connections: Counter::detached(),
            refused: Arc::new(REASONS.map(|_| Counter::detached())),
            http: None,
        }
    }

    /// Counts one refusal; `reason` is one of the table's.
    pub(crate) fn refused(&self, reason: &'static str) {
        let index = REASONS.iter().position(|known| *known == reason);
        debug_assert!(index.is_some(), "{reason} is not in the table");
        if let Some(index) = index {
            self.refused[index].add(1);
        }
    }

    /// How often `reason` was counted; 0 for a reason that does not exist.
    pub fn refusals(&self, reason: &str) -> u64 {
        REASONS.iter().position(|known| *known == reason).map_or(0, |index| self.refused[index].value())
    }
}
