//! Own metrics, under otelcol's names.

use std::sync::OnceLock;

use phoenix_component::{ComponentKey, Refusal};
use phoenix_pdata::Signal;
use phoenix_telemetry::{Counter, Description, Gauge, Histogram, Level, Measure, Metrics};

use crate::retry::SHUTDOWN;

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

const SEND_SIZE: Description = Description {
    name: "otelcol_exporter_queue_batch_send_size",
    unit: "{unit}",
    text: "Number of units in the batch.",
};
const SEND_SIZE_BOUNDS: &[f64] = &[
    10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2000.0, 3000.0, 4000.0, 5000.0, 6000.0,
    7000.0, 8000.0, 9000.0, 10_000.0, 20_000.0, 30_000.0, 50_000.0, 100_000.0,
];

const SEND_SIZE_BYTES: Description = Description {
    name: "otelcol_exporter_queue_batch_send_size_bytes",
    unit: "By",
    text: "Number of bytes in batch that was sent.",
};
const SEND_SIZE_BYTES_BOUNDS: &[f64] =
    &[10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2000.0, 3000.0, 4000.0, 5000.0, 6000.0];

/// The instruments of one exporter and signal. An exporter that replaces another of the same name goes on
/// with them, so they move by differences.
pub(crate) struct Meter {
    exporter: String,
    signal: Signal,
    metrics: Metrics,
    sent: Counter,
    enqueue_failed: OnceLock<Counter>,
    queue: Option<QueueGauges>,
    pub(crate) in_flight: Gauge,
}

struct QueueGauges {
    size: Gauge,
    capacity: Gauge,
    send_size: Histogram,
    send_size_bytes: Histogram,
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
        let detailed = metrics.at(Level::Detailed);
        let histogram = |description, bounds: &[f64]| {
            detailed.histogram(description, &[("exporter", exporter.as_str())], Measure::Count, bounds)
        };
        Meter {
            sent: metrics.counter(PER_SIGNAL[signal.index()].sent, &of_destination),
            enqueue_failed: OnceLock::new(),
            queue: has_queue.then(|| QueueGauges {
                size: metrics.gauge(QUEUE_SIZE, &of_signal),
                capacity: metrics.gauge(QUEUE_CAPACITY, &of_signal),
                send_size: histogram(SEND_SIZE, SEND_SIZE_BOUNDS),
                send_size_bytes: histogram(SEND_SIZE_BYTES, SEND_SIZE_BYTES_BOUNDS),
            }),
            in_flight: metrics.up_down_counter(IN_FLIGHT, &of_signal),
            metrics: metrics.clone(),
            signal,
            exporter,
        }
    }

    pub(crate) fn sent(&self, items: u64) {
        self.sent.add(items);
    }

    /// Rare, so the counters are looked up. At level detailed otelcol also says why.
    pub(crate) fn failed(&self, refusal: &Refusal, items: u64) {
        let exporter = ("exporter", self.exporter.as_str());
        let description = PER_SIGNAL[self.signal.index()].send_failed;
        let permanent = if refusal.is_retryable() { "false" } else { "true" };
        let why = [exporter, ("error.type", error_type(refusal)), ("error.permanent", permanent)];
        let attributes = if self.metrics.allows(Level::Detailed) { &why[..] } else { &why[..1] };
        self.metrics.counter(description, attributes).add(items);
        let attributes = [exporter, ("data_type", self.signal.name()), ("reason", refusal.reason())];
        self.metrics.counter(FAILED, &attributes).add(items);
    }

    /// A batch leaves the queue to be sent.
    pub(crate) fn sending(&self, items: u64, bytes: usize) {
        if let Some(queue) = self.queue.as_ref().filter(|queue| queue.send_size.is_on()) {
            queue.send_size.record(items);
            queue.send_size_bytes.record(bytes as u64);
        }
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

/// otelcol's words for why a send failed.
fn error_type(refusal: &Refusal) -> &'static str {
    match refusal.reason() {
        SHUTDOWN => "Shutdown",
        "cancelled" => "Canceled",
        _ if refusal.status().is_some() => refusal.code().name(),
        "timeout" => "Deadline_Exceeded",
        _ => "_OTHER",
    }
}
