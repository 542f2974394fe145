use phoenix_component::exporter_counts::ExporterCounts;
use phoenix_pdata::Signal;
use phoenix_telemetry::{Counter, Description, Metrics};

const WRITTEN: Description =
    Description { name: "phoenix_exporter_file_written_bytes", unit: "By", text: "Bytes written to files." };
const ROTATIONS: Description = Description {
    name: "phoenix_exporter_file_rotations",
    unit: "{file}",
    text: "Files that were replaced by a new one.",
};
const REFUSALS: Description = Description {
    name: "phoenix_exporter_file_refused_requests",
    unit: "{request}",
    text: "Requests that were refused since a file could not be written, opened or replaced.",
};

/// What the exporter of one signal counts.
#[derive(Clone, Debug)]
pub(crate) struct FileMetrics {
    pub(crate) items: ExporterCounts,
    pub(crate) written_bytes: Counter,
    pub(crate) rotations: Counter,
    pub(crate) refused_requests: Counter,
}

impl FileMetrics {
    pub(crate) fn new(metrics: &Metrics, id: &str, signal: Signal) -> FileMetrics {
        let attributes = [("exporter", id)];
        FileMetrics {
            items: ExporterCounts::new(metrics, id, signal),
            written_bytes: metrics.counter(WRITTEN, &attributes),
            rotations: metrics.counter(ROTATIONS, &attributes),
            refused_requests: metrics.counter(REFUSALS, &attributes),
        }
    }
}
