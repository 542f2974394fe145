use std::sync::Arc;

use phoenix_storage::{Client, Damage};
use phoenix_telemetry::{Counter, Description, InstrumentKind, Level, Metrics, Value};

const fn describe(name: &'static str, unit: &'static str, text: &'static str) -> Description {
    Description { name, unit, text }
}

const ON_DISK: Description = describe(
    "phoenix_processor_tail_sampling_spill_disk_bytes",
    "By",
    "Bytes of traces that wait on disk, over all shards, compressed.",
);
const WRITTEN: Description = describe(
    "phoenix_processor_tail_sampling_spilled_bytes",
    "By",
    "Bytes of spans that went to the disk, before they were compressed.",
);
const READS: Description = describe(
    "phoenix_processor_tail_sampling_spill_reads",
    "{segments}",
    "Segments that were read back from the disk for traces that are kept.",
);
const FAILURES: Description = describe(
    "phoenix_processor_tail_sampling_spill_failures",
    "{failures}",
    "What could not be done with the disk: write (spans stayed in memory), full (max_bytes is reached), read.",
);
const LOST: Description = describe(
    "phoenix_processor_tail_sampling_spill_lost_spans",
    "{spans}",
    "Spans on disk that could not be read back.",
);
const RESTORED: Description = describe(
    "phoenix_processor_tail_sampling_spill_restored_spans",
    "{spans}",
    "Spans that an earlier run had left on disk and that wait again.",
);
const DAMAGED: Description = describe(
    "phoenix_processor_tail_sampling_spill_set_aside",
    "{files}",
    "What an earlier run had left and could not be used, by reason: file (damaged, kept under another name), torn (cut off), \
     block (damaged, or of another version).",
);

/// What the disk says of itself.
#[derive(Clone, Debug)]
pub(crate) struct SpillMetrics {
    pub(crate) written: Counter,
    pub(crate) reads: Counter,
    pub(crate) write_failed: Counter,
    pub(crate) full: Counter,
    pub(crate) read_failed: Counter,
    pub(crate) lost: Counter,
    pub(crate) restored: Counter,
    pub(crate) unreadable: Counter,
    files: Counter,
    torn: Counter,
}

impl SpillMetrics {
    pub(crate) fn new(metrics: &Metrics, id: &str, client: &Arc<Client>) -> SpillMetrics {
        let normal = metrics.at(Level::Normal);
        let processor = [("processor", id)];
        let with = |key, value| [("processor", id), (key, value)];
        let client = Arc::downgrade(client);
        normal.observe(ON_DISK, InstrumentKind::Gauge, &processor, move || {
            Some(Value::Int(client.upgrade()?.bytes() as i64))
        });
        SpillMetrics {
            written: normal.quiet_counter(WRITTEN, &processor),
            reads: normal.quiet_counter(READS, &processor),
            write_failed: normal.quiet_counter(FAILURES, &with("operation", "write")),
            full: normal.quiet_counter(FAILURES, &with("operation", "full")),
            read_failed: normal.quiet_counter(FAILURES, &with("operation", "read")),
            lost: normal.quiet_counter(LOST, &processor),
            restored: normal.quiet_counter(RESTORED, &processor),
            unreadable: normal.quiet_counter(DAMAGED, &with("reason", "block")),
            files: normal.quiet_counter(DAMAGED, &with("reason", "file")),
            torn: normal.quiet_counter(DAMAGED, &with("reason", "torn")),
        }
    }

    /// What was found damaged.
    pub(crate) fn damaged(&self, damage: Damage) {
        self.files.add(damage.segments);
        self.torn.add(u64::from(damage.torn_bytes > 0));
    }
}
