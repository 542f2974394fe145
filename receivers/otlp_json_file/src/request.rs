//! The requests of a line.

use phoenix_pdata::{InvalidUtf8, Payload, Signal, json};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// A request of one signal.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) signal: Signal,
    pub(crate) payload: Payload,
    pub(crate) items: u64,
}

/// What a line says.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    pub(crate) found: Vec<Request>,
    /// Requests of signals that nobody takes: they are not read.
    pub(crate) unrouted: u64,
}

/// Which signals there are. Looking is cheaper than reading a line as each of them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Outline {
    #[serde(rename = "resourceSpans", alias = "resource_spans")]
    traces: Option<IgnoredAny>,
    #[serde(rename = "resourceMetrics", alias = "resource_metrics")]
    metrics: Option<IgnoredAny>,
    #[serde(rename = "resourceLogs", alias = "resource_logs")]
    logs: Option<IgnoredAny>,
}

/// Reads a line, as far as it is `wanted` (by [`Signal::index`]). As in otelcol, an object of none of the
/// signals is nothing, and no mistake.
///
/// # Errors
/// Why it is no request.
pub(crate) fn requests(line: &[u8], wanted: [bool; 3]) -> Result<Requests, String> {
    let mut requests = Requests::default();
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(requests);
    }
    let outline: Outline = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let present = [
        (Signal::Traces, outline.traces.is_some()),
        (Signal::Metrics, outline.metrics.is_some()),
        (Signal::Logs, outline.logs.is_some()),
    ];
    for (signal, _) in present.into_iter().filter(|(_, is_present)| *is_present) {
        if !wanted[signal.index()] {
            requests.unrouted += 1;
            continue;
        }
        let (payload, counts) =
            json::decode(signal, line, InvalidUtf8::Pass).map_err(|error| error.to_string())?;
        if counts.items > 0 {
            requests.found.push(Request { signal, payload, items: counts.items });
        }
    }
    Ok(requests)
}
