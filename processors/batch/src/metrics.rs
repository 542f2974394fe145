use phoenix_telemetry::{Counter, Description, Gauge, Metrics};

const SIZE_TRIGGER: Description = Description {
    name: "otelcol_processor_batch_batch_size_trigger_send",
    unit: "{time}",
    text: "Number of times the batch was sent due to a size trigger.",
};
const TIMEOUT_TRIGGER: Description = Description {
    name: "otelcol_processor_batch_timeout_trigger_send",
    unit: "{time}",
    text: "Number of times the batch was sent due to a timeout trigger.",
};
const CARDINALITY: Description = Description {
    name: "otelcol_processor_batch_metadata_cardinality",
    unit: "{combination}",
    text: "Number of distinct metadata value combinations being processed.",
};
const WAIT_TRIGGER: Description = Description {
    name: "phoenix_processor_batch_wait_trigger_send",
    unit: "{time}",
    text: "Number of times the batch was sent since every admitted request waited for its delivery.",
};
const OVERSIZED: Description = Description {
    name: "phoenix_processor_batch_oversized",
    unit: "{batch}",
    text: "Number of batches over send_batch_max_bytes, since a single record is larger than that.",
};

/// What a batch processor says of itself, at level normal.
#[derive(Clone, Debug)]
pub(crate) struct BatchMetrics {
    pub(crate) size_trigger: Counter,
    pub(crate) timeout_trigger: Counter,
    pub(crate) wait_trigger: Counter,
    pub(crate) oversized: Counter,
    pub(crate) cardinality: Gauge,
}

impl BatchMetrics {
    pub(crate) fn new(metrics: &Metrics, id: &str) -> BatchMetrics {
        let attributes = [("processor", id)];
        BatchMetrics {
            size_trigger: metrics.counter(SIZE_TRIGGER, &attributes),
            timeout_trigger: metrics.counter(TIMEOUT_TRIGGER, &attributes),
            wait_trigger: metrics.counter(WAIT_TRIGGER, &attributes),
            oversized: metrics.counter(OVERSIZED, &attributes),
            cardinality: metrics.gauge(CARDINALITY, &attributes),
        }
    }
}
