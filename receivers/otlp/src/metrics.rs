use phoenix_pdata::Signal;
use phoenix_telemetry::{Counter, Description, Metrics};

const ACCEPTED: [Description; 3] = [
    Description {
        name: "otelcol_receiver_accepted_spans",
        unit: "{span}",
        text: "Spans that the pipelines took.",
    },
    Description {
        name: "otelcol_receiver_accepted_metric_points",
        unit: "{datapoint}",
        text: "Data points that the pipelines took.",
    },
    Description {
        name: "otelcol_receiver_accepted_log_records",
        unit: "{record}",
        text: "Log records that the pipelines took.",
    },
];

const REFUSED: [Description; 3] = [
    Description {
        name: "otelcol_receiver_refused_spans",
        unit: "{span}",
        text: "Spans that the pipelines did not take; their senders were told.",
    },
    Description {
        name: "otelcol_receiver_refused_metric_points",
        unit: "{datapoint}",
        text: "Data points that the pipelines did not take; their senders were told.",
    },
    Description {
        name: "otelcol_receiver_refused_log_records",
        unit: "{record}",
        text: "Log records that the pipelines did not take; their senders were told.",
    },
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
        IntakeMetrics {
            accepted: ACCEPTED.map(|description| metrics.counter(description, &attributes)),
            refused: REFUSED.map(|description| metrics.counter(description, &attributes)),
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
