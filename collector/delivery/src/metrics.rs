//! Own metrics, under otelcol's names.

use std::sync::OnceLock;

use phoenix_component::ComponentKey;
use phoenix_pdata::Signal;
use phoenix_telemetry::{Counter, Description, Gauge, Metrics};

/// What otelcol names by what one item of the signal is called.
struct PerSignal {
    sent: Description,
    send_failed: Description,
    enqueue_failed: Description,
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
            enqueue_failed: Description {
                name: concat!("otelcol_exporter_enqueue_failed_", $items),
                unit: $unit,
                text: concat!("Number of ", $words, " failed to be added to the sending queue."),
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

const QUEUE_SIZE: Description = Description {
    name: "otelcol_exporter_queue_size",
    unit: "{batch}",
    text: "Current size of the retry queue, in units of its sizer.",
};

const QUEUE_CAPACITY: Description = Description {
    name: "otelcol_exporter_queue_capacity",
    unit: "{batch}",
    text: "Fixed capacity of the retry queue, in units of its sizer.",
};

const IN_FLIGHT: Description = Description {
    name: "otelcol_exporter_in_flight_requests",
    unit: "{request}",
    text: "Number of requests that are being sent, waits between attempts included.",
};

const FAILED: Description = Description {
    name: "phoenix_exporter_failed_items",
    unit: "{item}",
    text: "Spans, data points or log records that were not delivered, by reason.",
};

/// The instruments of one exporter and signal. An exporter that replaces another of the same name goes on
/// with them, so they move by differences.
pub(crate) struct Meter {
    exporter: String,
    signal: Signal,
    metrics: Metrics,
    sent: Counter,
    send_failed: OnceLock<Counter>,
    enqueue_failed: OnceLock<Counter>,
    queue: Option<QueueGauges>,
    pub(crate) in_flight: Gauge,
}

struct QueueGauges {
    size: Gauge,
    capacity: Gauge,
}

impl Meter {
    /// `attributes` are those of the destination.
    pub(crate) fn new(
        metrics: &Metrics,
        key: &ComponentKey,
        signal: Signal,
        has_queue: bool,
        attributes: &[(&'static str, &str)],
    ) -> Meter {
        let exporter = key.id.to_string();
        let mut of_destination = vec![("exporter", exporter.as_str())];
        of_destination.extend_from_slice(attributes);
        let of_signal = [("exporter", exporter.as_str()), ("data_type", signal.name())];
        Meter {
            sent: metrics.counter(PER_SIGNAL[signal.index()].sent, &of_destination),
            send_failed: OnceLock::new(),
            enqueue_failed: OnceLock::new(),
            queue: has_queue.then(|| QueueGauges {
                size: metrics.gauge(QUEUE_SIZE, &of_signal),
                capacity: metrics.gauge(QUEUE_CAPACITY, &of_signal),
            }),
            in_flight: metrics.gauge(IN_FLIGHT, &of_signal),
            metrics: metrics.clone(),
            signal,
            exporter,
        }
    }

    pub(crate) fn sent(&self, items: u64) {
        self.sent.add(items);
    }

    pub(crate) fn failed(&self, reason: &'static str, items: u64) {
        let attributes = [("exporter", self.exporter.as_str())];
        let description = PER_SIGNAL[self.signal.index()].send_failed;
        self.send_failed.get_or_init(|| self.metrics.counter(description, &attributes)).add(items);
        let attributes =
            [("exporter", self.exporter.as_str()), ("data_type", self.signal.name()), ("reason", reason)];
        self.metrics.counter(FAILED, &attributes).add(items);
    }

    pub(crate) fn enqueue_failed(&self, items: u64) {
        let attributes = [("exporter", self.exporter.as_str())];
        let description = PER_SIGNAL[self.signal.index()].enqueue_failed;
        self.enqueue_failed.get_or_init(|| self.metrics.counter(description, &attributes)).add(items);
    }

    pub(crate) fn queued(&self, difference: i64) {
        if let Some(queue) = &self.queue {
            queue.size.add(difference);
        }
    }

    pub(crate) fn capacity(&self, difference: i64) {
        if let Some(queue) = &self.queue {
            queue.capacity.add(difference);
        }
    }
}
