use phoenix_pdata::Signal;
use phoenix_telemetry::{Counter, Description, Metrics};

const WRITTEN: Description =
    Description { name: "phoenix_exporter_file_written_bytes", unit: "By", text: "Bytes written to files." };
const ROTATIONS: Description = Description {
    name: "phoenix_exporter_file_rotations",
    unit: "{file}",
    text: "Files that were replaced by a new one.",
};
const REFUSALS: Description = Description {
    name: "phoenix_exporter_file_refused_requests",
    unit: "{request}",
    text: "Requests that were refused since a file could not be written, opened or replaced.",
};

/// What the exporter of one signal counts.
#[derive(Clone, Debug)]
pub(crate) struct FileMetrics {
    pub(crate) sent: Counter,
    pub(crate) written_bytes: Counter,
    pub(crate) rotations: Counter,
    pub(crate) refused_requests: Counter,
    metrics: Metrics,
    id: String,
    failed: Description,
}

impl FileMetrics {
    pub(crate) fn new(metrics: &Metrics, id: &str, signal: Signal) -> FileMetrics {
        let (sent, failed) = descriptions(signal);
        let attributes = [("exporter", id)];
        FileMetrics {
            sent: metrics.counter(sent, &attributes),
            written_bytes: metrics.counter(WRITTEN, &attributes),
            rotations: metrics.counter(ROTATIONS, &attributes),
            refused_requests: metrics.counter(REFUSALS, &attributes),
            metrics: metrics.clone(),
            id: id.to_owned(),
            failed,
        }
    }

    /// Rare: the counter comes into being with the first failure, as in otelcol.
    pub(crate) fn failed(&self, items: u64) {
        self.metrics.counter(self.failed, &[("exporter", &self.id)]).add(items);
    }
}

const fn descriptions(signal: Signal) -> (Description, Description) {
    const SENT: &str = "Items that were written.";
    const FAILED: &str = "Items in failed attempts to write them.";
    let (sent, failed, unit) = match signal {
        Signal::Traces => ("otelcol_exporter_sent_spans", "otelcol_exporter_send_failed_spans", "{span}"),
        Signal::Metrics => (
            "otelcol_exporter_sent_metric_points",
            "otelcol_exporter_send_failed_metric_points",
            "{datapoint}",
        ),
        Signal::Logs => {
            ("otelcol_exporter_sent_log_records", "otelcol_exporter_send_failed_log_records", "{record}")
        }
    };
    (Description { name: sent, unit, text: SENT }, Description { name: failed, unit, text: FAILED })
}
