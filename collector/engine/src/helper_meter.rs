//! What otelcol's processor helper counts for the processors that use it: our transforms.

use phoenix_config::ComponentId;
use phoenix_pdata::Signal;
use phoenix_telemetry::{Counter, Description, Histogram, Level, Measure, Metrics};

const INCOMING: Description = Description {
    name: "otelcol_processor_incoming_items",
    unit: "{item}",
    text: "Number of items passed to the processor.",
};
const OUTGOING: Description = Description {
    name: "otelcol_processor_outgoing_items",
    unit: "{item}",
    text: "Number of items emitted from the processor.",
};
const DURATION: Description = Description {
    name: "otelcol_processor_internal_duration",
    unit: "s",
    text: "Duration of time taken to process a batch of telemetry data through the processor.",
};
/// Those of OpenTelemetry's SDKs, since otelcol gives none.
const BOUNDS: &[f64] =
    &[0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0, 10_000.0];

/// The instruments of one processor and signal; those of all its pipelines are the same.
pub(crate) struct HelperMeter {
    incoming: Counter,
    outgoing: Counter,
    duration: Histogram,
}

impl HelperMeter {
    pub(crate) fn new(metrics: &Metrics, id: &ComponentId, signal: Signal) -> HelperMeter {
        let id = id.to_string();
        let attributes = [("processor", id.as_str()), ("otel.signal", signal.name())];
        let detailed = metrics.at(Level::Detailed);
        HelperMeter {
            incoming: metrics.counter(INCOMING, &attributes),
            outgoing: metrics.counter(OUTGOING, &attributes),
            duration: detailed.histogram(DURATION, &attributes, Measure::Seconds, BOUNDS),
        }
    }

    /// Runs the code of the processor, in which `items` went.
    pub(crate) fn run<T>(&self, items: u64, code: impl FnOnce() -> T) -> T {
        self.incoming.add(items);
        if !self.duration.is_on() {
            return code();
        }
        let began = std::time::Instant::now();
        let outcome = code();
        self.duration.record_time(began.elapsed());
        outcome
    }

    /// So many items go on to the next component, which may refuse them.
    pub(crate) fn outgoing(&self, items: u64) {
        self.outgoing.add(items);
    }
}
