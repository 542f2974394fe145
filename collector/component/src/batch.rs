use std::net::SocketAddr;
use std::sync::Arc;

use phoenix_pdata::{Payload, Signal};
use phoenix_telemetry::traces::SpanContext;
use tokio::time::Instant;

use crate::auth::Identity;

/// A request on its way through a pipeline: the bytes as they came, and a small header.
///
/// The payload was validated on receipt. Cloning shares the bytes, so that a fan-out costs no copy; a
/// component that edits makes a payload of its own.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What it carries.
    pub signal: Signal,
    /// The OTLP export request.
    pub payload: Payload,
    /// Spans, data points or log records in the payload.
    pub items: u64,
    /// Who sent it, where the receiver was asked to pass that on, or somebody was let in.
    pub client: Option<Arc<ClientInfo>>,
    /// When the sender stops waiting. None where nobody waits, for example behind a queue.
    pub deadline: Option<Instant>,
    /// Requests from outside that wait for the outcome: 1 as a receiver makes it, 0 where it was
    /// acknowledged already.
    pub waiting: usize,
    /// Whether the collector owns the data, because it came out of a stage: then nobody upstream would
    /// send it again, and whoever cannot deliver it retries.
    pub owned: bool,
    /// The span under which own traces record what happens to it; none where they are off.
    pub trace: Option<SpanContext>,
}

impl Batch {
    /// A request as a receiver makes it, from nobody in particular and without a deadline.
    pub fn new(signal: Signal, payload: Payload, items: u64) -> Batch {
        Batch { signal, payload, items, client: None, deadline: None, waiting: 1, owned: false, trace: None }
    }
}

/// Who sent a request: what `client.address`, `metadata.*` and `auth.*` refer to in configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// The peer's address, where it has one.
    pub address: Option<SocketAddr>,
    /// Request metadata (gRPC metadata or HTTP headers) in the order received, names in lower case.
    pub metadata: Vec<(String, String)>,
    /// Who it is, where an authenticator has said so.
    pub auth: Option<Arc<Identity>>,
}

impl ClientInfo {
    /// Every value of the metadata entry `name`, whose case does not matter.
    pub fn metadata<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.metadata
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}
