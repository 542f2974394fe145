use phoenix_telemetry::{Counter, Description, Metrics};

const ACCEPTED: Description = Description {
    name: "otelcol_receiver_accepted_metric_points",
    unit: "{datapoint}",
    text: "Data points that the pipelines took.",
};
const REFUSED: Description = Description {
    name: "otelcol_receiver_refused_metric_points",
    unit: "{datapoint}",
    text: "Data points that the pipelines did not take; their senders were told.",
};
const SCRAPED: Description = Description {
    name: "otelcol_scraper_scraped_metric_points",
    unit: "{datapoints}",
    text: "Number of metric points successfully scraped.",
};
const ERRORED: Description = Description {
    name: "otelcol_scraper_errored_metric_points",
    unit: "{datapoints}",
    text: "Number of metric points that were unable to be scraped.",
};

/// What a receiver counts.
#[derive(Clone, Debug)]
pub(crate) struct HostMetricsMetrics {
    pub(crate) accepted: Counter,
    pub(crate) refused: Counter,
    /// By scraper, in their order: scraped and failed.
    pub(crate) scrapers: Vec<(Counter, Counter)>,
}

impl HostMetricsMetrics {
    pub(crate) fn new(metrics: &Metrics, id: &str, scrapers: &[&str]) -> HostMetricsMetrics {
        let own = [("receiver", id), ("transport", "")];
        let scraper = |name: &&str| {
            let own = [("receiver", id), ("scraper", *name)];
            (metrics.counter(SCRAPED, &own), metrics.counter(ERRORED, &own))
        };
        HostMetricsMetrics {
            accepted: metrics.counter(ACCEPTED, &own),
            refused: metrics.counter(REFUSED, &own),
            scrapers: scrapers.iter().map(scraper).collect(),
        }
    }
}
