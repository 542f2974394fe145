//! What a request holds, in numbers.

use std::fmt;

use phoenix_pdata::{Payload, Signal, count_items};

/// The counts of a request, under the names that otelcol gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summary {
    /// Of a request for traces.
    Traces {
        /// Entries.
        resource_spans: usize,
        /// Items.
        spans: u64,
    },
    /// Of a request for metrics.
    Metrics {
        /// Entries.
        resource_metrics: usize,
        /// Metrics.
        metrics: usize,
        /// Items.
        data_points: u64,
    },
    /// Of a request for logs.
    Logs {
        /// Entries.
        resource_logs: usize,
        /// Items.
        log_records: u64,
    },
}

impl Summary {
    /// Counts; looks into no record.
    pub fn of(signal: Signal, payload: &Payload) -> Summary {
        let items = count_items(signal, payload);
        match signal {
            Signal::Traces => {
                Summary::Traces { resource_spans: payload.resource_spans().count(), spans: items }
            }
            Signal::Metrics => Summary::Metrics {
                resource_metrics: payload.resource_metrics().count(),
                metrics: payload
                    .resource_metrics()
                    .flat_map(|entry| entry.scopes())
                    .map(|scope| scope.records().count())
                    .sum(),
                data_points: items,
            },
            Signal::Logs => {
                Summary::Logs { resource_logs: payload.resource_logs().count(), log_records: items }
            }
        }
    }
}

/// As zap's console encoder prints the record.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Summary::Traces { resource_spans, spans } => {
                write!(f, "Traces\t{{\"resource spans\": {resource_spans}, \"spans\": {spans}}}")
            }
            Summary::Metrics { resource_metrics, metrics, data_points } => write!(
                f,
                "Metrics\t{{\"resource metrics\": {resource_metrics}, \"metrics\": {metrics}, \"data points\": {data_points}}}"
            ),
            Summary::Logs { resource_logs, log_records } => {
                write!(f, "Logs\t{{\"resource logs\": {resource_logs}, \"log records\": {log_records}}}")
            }
        }
    }
}
