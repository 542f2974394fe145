//! What every exporter counts under otelcol's names: items sent, and items in attempts that failed.

use phoenix_pdata::Signal;
use phoenix_telemetry::{Counter, Description, Metrics};

struct PerSignal {
    sent: Description,
    send_failed: Description,
}

macro_rules! per_signal {
    ($items:literal, $unit:literal, $words:literal) => {
        PerSignal {
            sent: Description {
                name: concat!("otelcol_exporter_sent_", $items),
                unit: $unit,
                text: concat!("Number of ", $words, " successfully sent to destination."),
            },
            send_failed: Description {
                name: concat!("otelcol_exporter_send_failed_", $items),
                unit: $unit,
                text: concat!("Number of ", $words, " in failed attempts to send to destination."),
            },
        }
    };
}

/// By [`Signal::index`].
const PER_SIGNAL: [PerSignal; 3] = [
    per_signal!("spans", "{span}", "spans"),
    per_signal!("metric_points", "{datapoint}", "metric points"),
    per_signal!("log_records", "{record}", "log records"),
];

/// The counter of items sent.
pub fn sent(signal: Signal) -> Description {
    PER_SIGNAL[signal.index()].sent
}

/// The counter of items in attempts that failed.
pub fn send_failed(signal: Signal) -> Description {
    PER_SIGNAL[signal.index()].send_failed
}

/// What the exporter of one signal counts, for exporters that deliver by themselves.
#[derive(Clone, Debug)]
pub struct ExporterCounts {
    /// Items sent.
    pub sent: Counter,
    metrics: Metrics,
    id: String,
    signal: Signal,
}

impl ExporterCounts {
    /// The counters of the exporter `id` for a signal.
    pub fn new(metrics: &Metrics, id: &str, signal: Signal) -> ExporterCounts {
        let sent = metrics.counter(sent(signal), &[("exporter", id)]);
        ExporterCounts { sent, metrics: metrics.clone(), id: id.to_owned(), signal }
    }

    /// Counts items that were not sent. Rare: the counter comes into being with the first failure, as in otelcol.
    pub fn failed(&self, items: u64) {
        self.metrics.counter(send_failed(self.signal), &[("exporter", &self.id)]).add(items);
    }
}
