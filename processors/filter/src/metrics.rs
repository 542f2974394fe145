use phoenix_pdata::Signal;
use phoenix_telemetry::{Counter, Description, Metrics};

const fn describe(name: &'static str, text: &'static str) -> Description {
    Description { name, unit: "1", text }
}

/// By [`Signal::index`].
const FILTERED: [Description; 3] = [
    describe("otelcol_processor_filter_spans.filtered", "Number of spans dropped by the filter processor"),
    describe(
        "otelcol_processor_filter_datapoints.filtered",
        "Number of metric data points dropped by the filter processor",
    ),
    describe("otelcol_processor_filter_logs.filtered", "Number of logs dropped by the filter processor"),
];

/// The counter of what one filter dropped.
pub(crate) fn filtered(metrics: &Metrics, id: &str, signal: Signal) -> Counter {
    metrics.quiet_counter(FILTERED[signal.index()], &[("filter", id)])
}
