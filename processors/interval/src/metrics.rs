use phoenix_telemetry::{Counter, Description, Gauge, Level, Metrics};

const STREAMS: Description = Description {
    name: "phoenix_processor_interval_streams",
    unit: "{stream}",
    text: "Streams whose newest data point is held.",
};
const OVERFLOW: Description = Description {
    name: "phoenix_processor_interval_overflow",
    unit: "{datapoint}",
    text: "Data points that passed at once, since there was no room for their streams.",
};

/// What an `interval` processor says of itself.
#[derive(Clone, Debug)]
pub(crate) struct IntervalMetrics {
    pub(crate) streams: Gauge,
    pub(crate) overflow: Counter,
}

impl IntervalMetrics {
    pub(crate) fn new(metrics: &Metrics, id: &str) -> IntervalMetrics {
        let metrics = metrics.at(Level::Normal);
        IntervalMetrics {
            streams: metrics.gauge(STREAMS, &[("processor", id)]),
            overflow: metrics.quiet_counter(OVERFLOW, &[("processor", id)]),
        }
    }
}
