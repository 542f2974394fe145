use phoenix_telemetry::{Counter, Description, Metrics};

const DROPPED: Description = Description {
    name: "phoenix_exporter_prometheus_dropped_points",
    unit: "{datapoint}",
    text: "Data points that are not shown: `late`, of the wrong type (`type_conflict`), or beyond `max_series`.",
};

/// Data points that the store did not take, by reason.
#[derive(Clone, Debug)]
pub(crate) struct Dropped {
    pub(crate) late: Counter,
    pub(crate) conflict: Counter,
    pub(crate) full: Counter,
}

impl Dropped {
    pub(crate) fn new(metrics: &Metrics, id: &str) -> Dropped {
        let of = |reason| metrics.counter(DROPPED, &[("exporter", id), ("reason", reason)]);
        Dropped { late: of("late"), conflict: of("type_conflict"), full: of("max_series") }
    }
}
