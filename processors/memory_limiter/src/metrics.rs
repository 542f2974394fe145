use phoenix_pdata::Signal;
use phoenix_telemetry::{Counter, Description, Metrics};

/// What a limiter counts for one signal, under otelcol's names (0.155 and later).
#[derive(Clone, Debug)]
pub(crate) struct LimiterMetrics {
    pub(crate) accepted: Counter,
    pub(crate) refused: Counter,
}

impl LimiterMetrics {
    pub(crate) fn new(metrics: &Metrics, id: &str, signal: Signal) -> LimiterMetrics {
        let (accepted, refused) = descriptions(signal);
        let attributes = [("processor", id)];
        LimiterMetrics {
            accepted: metrics.counter(accepted, &attributes),
            refused: metrics.counter(refused, &attributes),
        }
    }
}

const fn descriptions(signal: Signal) -> (Description, Description) {
    const ACCEPTED: &str = "Items that passed on to the next component of the pipeline.";
    const REFUSED: &str = "Items that were refused since memory was short.";
    let (accepted, refused, unit) = match signal {
        Signal::Traces => (
            "otelcol_processor_memory_limiter_accepted_spans",
            "otelcol_processor_memory_limiter_refused_spans",
            "{span}",
        ),
        Signal::Metrics => (
            "otelcol_processor_memory_limiter_accepted_metric_points",
            "otelcol_processor_memory_limiter_refused_metric_points",
            "{datapoint}",
        ),
        Signal::Logs => (
            "otelcol_processor_memory_limiter_accepted_log_records",
            "otelcol_processor_memory_limiter_refused_log_records",
            "{record}",
        ),
    };
    (Description { name: accepted, unit, text: ACCEPTED }, Description { name: refused, unit, text: REFUSED })
}
