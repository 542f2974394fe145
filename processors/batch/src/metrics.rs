use phoenix_telemetry::{Counter, Description, Gauge, Histogram, Level, Measure, Metrics};

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
const SIZE: Description = Description {
    name: "otelcol_processor_batch_batch_send_size",
    unit: "{unit}",
    text: "Number of units in the batch.",
};
const SIZE_BOUNDS: &[f64] = &[
    10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2000.0, 3000.0, 4000.0, 5000.0, 6000.0,
    7000.0, 8000.0, 9000.0, 10_000.0, 20_000.0, 30_000.0, 50_000.0, 100_000.0,
];
const SIZE_BYTES: Description = Description {
    name: "otelcol_processor_batch_batch_send_size_bytes",
    unit: "By",
    text: "Number of bytes in batch that was sent.",
};
const SIZE_BYTES_BOUNDS: &[f64] = &[
    10.0,
    25.0,
    50.0,
    75.0,
    100.0,
    250.0,
    500.0,
    750.0,
    1000.0,
    2000.0,
    3000.0,
    4000.0,
    5000.0,
    6000.0,
    7000.0,
    8000.0,
    9000.0,
    10_000.0,
    20_000.0,
    30_000.0,
    50_000.0,
    100_000.0,
    200_000.0,
    300_000.0,
    400_000.0,
    500_000.0,
    600_000.0,
    700_000.0,
    800_000.0,
    900_000.0,
    1_000_000.0,
    2_000_000.0,
    3_000_000.0,
    4_000_000.0,
    5_000_000.0,
    6_000_000.0,
    7_000_000.0,
    8_000_000.0,
    9_000_000.0,
];
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

/// What a batch processor says of itself, at level normal; bytes at level detailed.
#[derive(Clone, Debug)]
pub(crate) struct BatchMetrics {
    pub(crate) size_trigger: Counter,
    pub(crate) timeout_trigger: Counter,
    pub(crate) wait_trigger: Counter,
    pub(crate) oversized: Counter,
    pub(crate) cardinality: Gauge,
    send_size: Histogram,
    send_size_bytes: Histogram,
}

impl BatchMetrics {
    pub(crate) fn new(metrics: &Metrics, id: &str) -> BatchMetrics {
        let attributes = [("processor", id)];
        let (normal, detailed) = (metrics.at(Level::Normal), metrics.at(Level::Detailed));
        BatchMetrics {
            size_trigger: normal.quiet_counter(SIZE_TRIGGER, &attributes),
            timeout_trigger: normal.quiet_counter(TIMEOUT_TRIGGER, &attributes),
            wait_trigger: normal.quiet_counter(WAIT_TRIGGER, &attributes),
            oversized: normal.quiet_counter(OVERSIZED, &attributes),
            cardinality: normal.up_down_counter(CARDINALITY, &attributes),
            send_size: normal.histogram(SIZE, &attributes, Measure::Count, SIZE_BOUNDS),
            send_size_bytes: detailed.histogram(SIZE_BYTES, &attributes, Measure::Count, SIZE_BYTES_BOUNDS),
        }
    }

    /// A batch is sent.
    pub(crate) fn sent(&self, items: u64, bytes: usize) {
        self.send_size.record(items);
        self.send_size_bytes.record(bytes as u64);
    }
}
