//! Own metrics, under otelcol's names.

use phoenix_component::ComponentKey;
use phoenix_pdata::Signal;
use phoenix_telemetry::{Counter, Description, Gauge, Histogram, Measure, Metrics};

const BACKENDS: Description = Description {
    name: "otelcol_loadbalancer_num_backends",
    unit: "{backends}",
    text: "Current number of backends in use.",
};
const UPDATES: Description = Description {
    name: "otelcol_loadbalancer_num_backend_updates",
    unit: "{updates}",
    text: "Number of times the list of backends was updated.",
};
const RESOLUTIONS: Description = Description {
    name: "otelcol_loadbalancer_num_resolutions",
    unit: "{resolutions}",
    text: "Number of times the resolver has triggered new resolutions.",
};
const LATENCY: Description = Description {
    name: "otelcol_loadbalancer_backend_latency",
    unit: "ms",
    text: "Response latency in ms for the backends.",
};
const LATENCY_BOUNDS: &[f64] = &[5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0];
const OUTCOME: Description = Description {
    name: "otelcol_loadbalancer_backend_outcome",
    unit: "{outcomes}",
    text: "Number of successes and failures for each endpoint.",
};
const REROUTED: Description = Description {
    name: "phoenix_loadbalancer_rerouted_items",
    unit: "{item}",
    text: "Spans, data points or log records that a backend did not take and another one was asked to.",
};
const FAILING: Description = Description {
    name: "phoenix_loadbalancer_backends_failing",
    unit: "{backends}",
    text: "Backends that are avoided now, since they do not answer.",
};

/// What a resolver counts.
pub(crate) struct ResolverMeter {
    backends: Gauge,
    updates: Counter,
    succeeded: Counter,
    failed: Counter,
}

impl ResolverMeter {
    /// `resolver` is its name in the settings.
    pub(crate) fn new(metrics: &Metrics, resolver: &'static str) -> ResolverMeter {
        let of_resolver = [("resolver", resolver)];
        let resolutions =
            |success| metrics.quiet_counter(RESOLUTIONS, &[("resolver", resolver), ("success", success)]);
        ResolverMeter {
            backends: metrics.gauge(BACKENDS, &of_resolver),
            updates: metrics.quiet_counter(UPDATES, &of_resolver),
            succeeded: resolutions("true"),
            failed: resolutions("false"),
        }
    }

    /// The list was asked for.
    pub(crate) fn resolved(&self, success: bool) {
        if success { &self.succeeded } else { &self.failed }.add(1);
    }

    /// The list is another one, of `count` backends.
    pub(crate) fn updated(&self, count: usize) {
        self.backends.set(i64::try_from(count).unwrap_or(i64::MAX));
        self.updates.add(1);
    }
}

/// What is counted for a backend.
pub(crate) struct BackendMeter {
    latency: Histogram,
    succeeded: Counter,
    failed: Counter,
}

impl BackendMeter {
    pub(crate) fn new(metrics: &Metrics, endpoint: &str) -> BackendMeter {
        let outcome =
            |success| metrics.quiet_counter(OUTCOME, &[("endpoint", endpoint), ("success", success)]);
        let of_backend = [("endpoint", endpoint)];
        BackendMeter {
            latency: metrics.histogram(LATENCY, &of_backend, Measure::Count, LATENCY_BOUNDS),
            succeeded: outcome("true"),
            failed: outcome("false"),
        }
    }

    /// A request ended after so many milliseconds.
    pub(crate) fn ended(&self, millis: u64, success: bool) {
        self.latency.record(millis);
        if success { &self.succeeded } else { &self.failed }.add(1);
    }
}

/// What is counted for the exporter of one signal.
pub(crate) struct RouterMeter {
    pub(crate) rerouted: Counter,
    pub(crate) failing: Gauge,
}

impl RouterMeter {
    pub(crate) fn new(metrics: &Metrics, key: &ComponentKey, signal: Signal) -> RouterMeter {
        let exporter = key.id.to_string();
        let attributes = [("exporter", exporter.as_str()), ("data_type", signal.name())];
        RouterMeter {
            rerouted: metrics.quiet_counter(REROUTED, &attributes),
            failing: metrics.up_down_counter(FAILING, &attributes),
        }
    }
}
