use phoenix_pdata::Signal;
use phoenix_telemetry::{Counter, Description, Metrics};

/// What a limiter counts for one signal, under both names that otelcol has for each (see the README).
#[derive(Clone, Debug)]
pub(crate) struct LimiterMetrics {
    pub(crate) accepted: Counter,
    pub(crate) refused: Counter,
}

/// The names up to 0.154, and since.
struct Named {
    accepted: [Description; 2],
    refused: [Description; 2],
}

macro_rules! named {
    ($items:literal, $unit:literal, $words:literal) => {{
        const ACCEPTED: &str =
            concat!("Number of ", $words, " successfully pushed into the next component in the pipeline.");
        const REFUSED: &str =
            concat!("Number of ", $words, " that were rejected by the next component in the pipeline.");
        const fn describe(name: &'static str, text: &'static str) -> Description {
            Description { name, unit: $unit, text }
        }
        Named {
            accepted: [
                describe(concat!("otelcol_processor_accepted_", $items), ACCEPTED),
                describe(concat!("otelcol_processor_memory_limiter_accepted_", $items), ACCEPTED),
            ],
            refused: [
                describe(concat!("otelcol_processor_refused_", $items), REFUSED),
                describe(concat!("otelcol_processor_memory_limiter_refused_", $items), REFUSED),
            ],
        }
    }};
}

/// By [`Signal::index`].
const NAMED: [Named; 3] = [
    named!("spans", "{span}", "spans"),
    named!("metric_points", "{datapoint}", "metric points"),
    named!("log_records", "{record}", "log records"),
];

impl LimiterMetrics {
    pub(crate) fn new(metrics: &Metrics, id: &str, signal: Signal) -> LimiterMetrics {
        let named = &NAMED[signal.index()];
        let attributes = [("processor", id)];
        let accepted = metrics.counter(named.accepted[0], &attributes);
        metrics.alias(&accepted, named.accepted[1], &attributes);
        let refused = metrics.quiet_counter(named.refused[0], &attributes);
        metrics.alias(&refused, named.refused[1], &attributes);
        LimiterMetrics { accepted, refused }
    }
}
