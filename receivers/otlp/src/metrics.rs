use phoenix_pdata::Signal;
use phoenix_telemetry::{Counter, Description, Metrics};

/// What otelcol names by what one item of the signal is called.
struct PerSignal {
    accepted: Description,
    refused: Description,
    failed: Description,
}

macro_rules! per_signal {
    ($items:literal, $unit:literal, $words:literal) => {
        PerSignal {
            accepted: Description {
                name: concat!("otelcol_receiver_accepted_", $items),
                unit: $unit,
                text: concat!("Number of ", $words, " successfully pushed into the pipeline."),
            },
            refused: Description {
                name: concat!("otelcol_receiver_refused_", $items),
                unit: $unit,
                text: concat!("Number of ", $words, " that could not be pushed into the pipeline."),
            },
            failed: Description {
                name: concat!("otelcol_receiver_failed_", $items),
                unit: $unit,
                text: concat!(
                    "Number of ",
                    $words,
                    " that failed to be processed by the receiver due to internal errors."
                ),
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

const MALFORMED: Description = Description {
    name: "phoenix_receiver_malformed_requests",
    unit: "{request}",
    text: "Requests whose bytes are no OTLP request.",
};

const STILL_COMPRESSED: Description = Description {
    name: "phoenix_receiver_still_compressed_requests",
    unit: "{request}",
    text: "Requests that go on as they came compressed, because nobody behind looks inside.",
};

/// What one protocol of one receiver counts.
#[derive(Clone)]
pub(crate) struct IntakeMetrics {
    accepted: [Counter; 3],
    refused: [Counter; 3],
    malformed: Counter,
    still_compressed: Counter,
}

impl IntakeMetrics {
    pub(crate) fn new(metrics: &Metrics, receiver: &str, transport: &str) -> IntakeMetrics {
        let attributes = [("receiver", receiver), ("transport", transport)];
        // What is refused counts as refused, whoever did it, as in otelcol: these stay zero.
        for of in &PER_SIGNAL {
            metrics.counter(of.failed, &attributes);
        }
        IntakeMetrics {
            accepted: PER_SIGNAL.map(|of| metrics.counter(of.accepted, &attributes)),
            refused: PER_SIGNAL.map(|of| metrics.counter(of.refused, &attributes)),
            malformed: metrics.counter(MALFORMED, &attributes),
            still_compressed: metrics.counter(STILL_COMPRESSED, &attributes),
        }
    }

    pub(crate) fn accepted(&self, signal: Signal, items: u64) {
        self.accepted[signal.index()].add(items);
    }

    pub(crate) fn refused(&self, signal: Signal, items: u64) {
        self.refused[signal.index()].add(items);
    }

    pub(crate) fn malformed(&self) {
        self.malformed.add(1);
    }

    pub(crate) fn still_compressed(&self) {
        self.still_compressed.add(1);
    }
}
