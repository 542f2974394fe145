//! Own metrics, under otelcol's names.

use std::sync::OnceLock;

use phoenix_component::{ComponentKey, Refusal, exporter_counts};
use phoenix_pdata::Signal;
use phoenix_telemetry::{Counter, Description, Gauge, Histogram, Level, Measure, Metrics};

use crate::batching::Trigger;
use crate::circuit::Change;
use crate::queue::Made;
use crate::retry::SHUTDOWN;

macro_rules! enqueue_failed {
    ($items:literal, $unit:literal, $words:literal) => {
        Description {
            name: concat!("otelcol_exporter_enqueue_failed_", $items),
            unit: $unit,
            text: concat!("Number of ", $words, " failed to be added to the sending queue."),
        }
    };
}

/// By [`Signal::index`].
const ENQUEUE_FAILED: [Description; 3] = [
    enqueue_failed!("spans", "{span}", "spans"),
    enqueue_failed!("metric_points", "{datapoint}", "metric points"),
    enqueue_failed!("log_records", "{record}", "log records"),
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
const CIRCUIT_OPEN: Description = Description {
    name: "phoenix_exporter_circuit_open",
    unit: "1",
    text: "1 while the destination does not answer and is tried by one attempt at a time.",
};

const CIRCUIT_OPENED: Description = Description {
    name: "phoenix_exporter_circuit_opened",
    unit: "{time}",
    text: "Number of times that the destination was found not to answer.",
};

const BATCHES: Description = Description {
    name: "phoenix_exporter_queue_batches",
    unit: "{batch}",
    text: "Batches made in the sending queue, by what completed them: size, timeout or end.",
};

const OVERSIZED: Description = Description {
    name: "phoenix_exporter_queue_oversized_batches",
    unit: "{batch}",
    text: "Batches made in the sending queue that exceed max_size, since a single record does.",
};

const TAKEN_OVER: Description = Description {
    name: "phoenix_exporter_storage_taken_over",
    unit: "{item}",
    text: "Items of a queue on disk that were found there, less those that were left there.",
};

const DAMAGED: Description = Description {
    name: "phoenix_exporter_storage_damaged_segments",
    unit: "{segment}",
    text: "Segments of a queue on disk that were damaged and set aside.",
};

/// Why items were not delivered, in the terms of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    /// Phoenix's own label.
    pub(crate) reason: &'static str,
    /// otelcol's `error.type`.
    pub(crate) error_type: &'static str,
    /// otelcol's `error.permanent`.
    pub(crate) permanent: bool,
}

impl Cause {
    /// A backend took a batch, but for some of it.
    pub(crate) const REJECTED: Cause =
        Cause { reason: "rejected", error_type: "InvalidArgument", permanent: true };

    /// What was on the disk cannot be read.
    pub(crate) const CORRUPT: Cause = Cause { reason: "corrupt", error_type: "_OTHER", permanent: true };

    /// What a batch was given up with.
    pub(crate) fn of(refusal: &Refusal) -> Cause {
        let error_type = match (refusal.status(), refusal.reason()) {
            (_, SHUTDOWN) => "Shutdown",
            (Some(status), _) => status.code.name(),
            (None, "timeout" | "deadline") => "Deadline_Exceeded",
            (None, "cancelled") => "Canceled",
            (None, _) => "_OTHER",
        };
        Cause { reason: refusal.reason(), error_type, permanent: !refusal.is_retryable() }
    }
}

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
    circuit_open: Gauge,
    circuit_opened: Counter,
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
            sent: metrics.counter(exporter_counts::sent(signal), &of_destination),
            enqueue_failed: OnceLock::new(),
            queue: has_queue.then(|| QueueGauges {
                size: metrics.gauge(QUEUE_SIZE, &of_signal),
                capacity: metrics.gauge(QUEUE_CAPACITY, &of_signal),
                send_size: histogram(SEND_SIZE, SEND_SIZE_BOUNDS),
                send_size_bytes: histogram(SEND_SIZE_BYTES, SEND_SIZE_BYTES_BOUNDS),
            }),
            in_flight: metrics.up_down_counter(IN_FLIGHT, &of_signal),
            circuit_open: metrics.gauge(CIRCUIT_OPEN, &of_signal),
            circuit_opened: metrics.counter(CIRCUIT_OPENED, &of_signal),
            metrics: metrics.clone(),
            signal,
            exporter,
        }
    }

    pub(crate) fn sent(&self, items: u64) {
        self.sent.add(items);
    }

    /// The point where what otelcol says of failures is counted: rare, so the counters are looked up. At level
    /// detailed otelcol also says why.
    pub(crate) fn failed(&self, cause: Cause, items: u64) {
        let exporter = ("exporter", self.exporter.as_str());
        let description = exporter_counts::send_failed(self.signal);
        let permanent = if cause.permanent { "true" } else { "false" };
        let why = [exporter, ("error.type", cause.error_type), ("error.permanent", permanent)];
        let attributes = if self.metrics.allows(Level::Detailed) { &why[..] } else { &why[..1] };
        self.metrics.counter(description, attributes).add(items);
        let attributes = [exporter, ("data_type", self.signal.name()), ("reason", cause.reason)];
        self.metrics.counter(FAILED, &attributes).add(items);
    }

    /// A batch leaves the queue to be sent.
    pub(crate) fn sending(&self, items: u64, bytes: u64) {
        if let Some(queue) = self.queue.as_ref().filter(|queue| queue.send_size.is_on()) {
            queue.send_size.record(items);
            queue.send_size_bytes.record(bytes);
        }
    }

    /// The point where batches that the queue made are counted.
    pub(crate) fn made(&self, batch: &Made) {
        let of_signal = self.of_signal();
        let trigger = match batch.trigger {
            Trigger::Size => "size",
            Trigger::Timeout => "timeout",
            Trigger::End => "end",
        };
        let [exporter, data_type] = of_signal;
        self.metrics.counter(BATCHES, &[exporter, data_type, ("trigger", trigger)]).add(1);
        if batch.oversized {
            self.metrics.counter(OVERSIZED, &of_signal).add(1);
        }
    }

    pub(crate) fn circuit(&self, change: Change) {
        match change {
            Change::None => {}
            Change::Opened => {
                self.circuit_open.add(1);
                self.circuit_opened.add(1);
            }
            Change::Closed => self.circuit_open.add(-1),
        }
    }

    pub(crate) fn enqueue_failed(&self, items: u64) {
        let attributes = [("exporter", self.exporter.as_str())];
        let description = ENQUEUE_FAILED[self.signal.index()];
        self.enqueue_failed.get_or_init(|| self.metrics.counter(description, &attributes)).add(items);
    }

    /// Items that the exporter owns though nobody handed them to it, or (below zero) no longer owns.
    pub(crate) fn taken_over(&self, items: i64) {
        self.metrics.up_down_counter(TAKEN_OVER, &self.of_signal()).add(items);
    }

    pub(crate) fn damaged(&self, segments: u64) {
        self.metrics.counter(DAMAGED, &self.of_signal()).add(segments);
    }

    fn of_signal(&self) -> [(&'static str, &str); 2] {
        [("exporter", self.exporter.as_str()), ("data_type", self.signal.name())]
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
