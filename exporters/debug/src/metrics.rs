use phoenix_pdata::Signal;
use phoenix_telemetry::{Counter, Description, Metrics};

/// What the exporter of one signal counts, under otelcol's names.
#[derive(Clone, Debug)]
pub(crate) struct DebugMetrics {
    pub(crate) sent: Counter,
    metrics: Metrics,
    id: String,
    failed: Description,
}

impl DebugMetrics {
    pub(crate) fn new(metrics: &Metrics, id: &str, signal: Signal) -> DebugMetrics {
        let (sent, failed) = descriptions(signal);
        DebugMetrics {
            sent: metrics.counter(sent, &[("exporter", id)]),
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
    const SENT: &str = "Number of items successfully sent to destination.";
    const FAILED: &str = "Number of items in failed attempts to send to destination.";
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
