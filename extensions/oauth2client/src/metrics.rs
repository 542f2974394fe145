//! What became of the requests for tokens.

use phoenix_telemetry::{Counter, Description, Metrics};

const TOKEN_REQUESTS: Description = Description {
    name: "phoenix_oauth2client_token_requests",
    unit: "{request}",
    text: "Requests for a token, by what came of them.",
};

/// Requests for tokens, by what came of them.
pub(crate) struct TokenRequests {
    /// A token.
    pub(crate) granted: Counter,
    /// The server has too much to do: 429 or 503.
    pub(crate) throttled: Counter,
    /// Anything else.
    pub(crate) failed: Counter,
}

impl TokenRequests {
    pub(crate) fn new(metrics: &Metrics, extension: &str) -> TokenRequests {
        let counter =
            |outcome| metrics.counter(TOKEN_REQUESTS, &[("extension", extension), ("outcome", outcome)]);
        TokenRequests {
            granted: counter("granted"),
            throttled: counter("throttled"),
            failed: counter("failed"),
        }
    }
}
