use phoenix_pdata::Signal;
use phoenix_telemetry::{Counter, Description, Gauge, Metrics};

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
const RETRIES: Description = Description {
    name: "phoenix_receiver_otlp_json_file_retries",
    unit: "{request}",
    text: "Requests that were refused for now, and are sent again.",
};
const UNROUTED: Description = Description {
    name: "phoenix_receiver_otlp_json_file_unrouted_requests",
    unit: "{request}",
    text: "Requests of a signal that no pipeline takes from here.",
};
const UNREADABLE: Description = Description {
    name: "phoenix_receiver_otlp_json_file_read_errors",
    unit: "{error}",
    text: "Failures to open or read a file.",
};
const OPEN: Description =
    Description { name: "otelcol_fileconsumer_open_files", unit: "1", text: "Number of open files." };
const READING: Description = Description {
    name: "otelcol_fileconsumer_reading_files",
    unit: "1",
    text: "Number of open files that are being read.",
};

/// What a receiver counts.
#[derive(Clone, Debug)]
pub(crate) struct FileMetrics {
    accepted: [Counter; 3],
    refused: [Counter; 3],
    pub(crate) malformed: Counter,
    pub(crate) retries: Counter,
    pub(crate) unrouted: Counter,
    pub(crate) unreadable: Counter,
    pub(crate) open: Gauge,
    pub(crate) reading: Gauge,
}

impl FileMetrics {
    pub(crate) fn new(metrics: &Metrics, id: &str) -> FileMetrics {
        let own = [("receiver", id), ("transport", "file")];
        FileMetrics {
            accepted: ACCEPTED.map(|description| metrics.counter(description, &own)),
            refused: REFUSED.map(|description| metrics.counter(description, &own)),
            malformed: metrics.counter(MALFORMED, &own),
            retries: metrics.counter(RETRIES, &own[..1]),
            unrouted: metrics.counter(UNROUTED, &own[..1]),
            unreadable: metrics.counter(UNREADABLE, &own[..1]),
            open: metrics.gauge(OPEN, &own[..1]),
            reading: metrics.gauge(READING, &own[..1]),
        }
    }

    pub(crate) fn accepted(&self, signal: Signal, items: u64) {
        self.accepted[signal.index()].add(items);
    }

    pub(crate) fn refused(&self, signal: Signal, items: u64) {
        self.refused[signal.index()].add(items);
    }
}
