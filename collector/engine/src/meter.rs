//! The books of each component: what came in, what went out, what ended here and why.
//!
//! For every component `in + produced = out + dropped + absorbed + held`. Items count as *in* once they
//! are accepted; what is refused counts as refused and is the sender's again.

use phoenix_component::{ComponentKey, Dropped};
use phoenix_telemetry::{Counter, Description, Level, Metrics};

use crate::timing::Timing;

const IN: Description = describe("phoenix_component_items_in", "Items that a component accepted.");
const OUT: Description = describe("phoenix_component_items_out", "Items that a component passed on.");
const REFUSED: Description = describe(
    "phoenix_component_items_refused",
    "Items that were refused, here or further on, and are the sender's again.",
);
const DROPPED: Description =
    describe("phoenix_component_items_dropped", "Items that ended in a component, by reason.");
const ABSORBED: Description = describe("phoenix_component_items_absorbed", "Items that went into others.");
const PRODUCED: Description =
    describe("phoenix_component_items_produced", "Items that came into being in a component.");

const BYTES: Description = Description {
    name: "phoenix_component_bytes",
    unit: "By",
    text: "Bytes of OTLP that a component accepted; of a receiver, those that the pipelines took from it.",
};

const fn describe(name: &'static str, text: &'static str) -> Description {
    Description { name, unit: "{item}", text }
}

/// Counts for one instance of a component. The counts go on over a hot swap.
#[derive(Clone)]
pub(crate) struct Meter {
    metrics: Metrics,
    attributes: Vec<(&'static str, String)>,
    accepted: Counter,
    passed_on: Counter,
    refused: Counter,
    absorbed: Counter,
    produced: Counter,
    bytes: Counter,
    pub(crate) timing: Timing,
}

impl Meter {
    pub(crate) fn new(metrics: &Metrics, key: &ComponentKey) -> Meter {
        let attributes = vec![
            ("component_kind", key.kind.to_string()),
            ("component_id", key.id.to_string()),
            ("component_scope", key.scope.clone()),
        ];
        let borrowed: Vec<_> = attributes.iter().map(|(key, value)| (*key, value.as_str())).collect();
        Meter {
            accepted: metrics.counter(IN, &borrowed),
            passed_on: metrics.counter(OUT, &borrowed),
            refused: metrics.counter(REFUSED, &borrowed),
            absorbed: metrics.counter(ABSORBED, &borrowed),
            produced: metrics.counter(PRODUCED, &borrowed),
            bytes: metrics.at(Level::Normal).counter(BYTES, &borrowed),
            timing: Timing::new(metrics, &borrowed),
            metrics: metrics.clone(),
            attributes,
        }
    }

    pub(crate) fn accepted(&self, items: u64) {
        self.accepted.add(items);
    }

    pub(crate) fn bytes(&self, bytes: usize) {
        self.bytes.add(bytes as u64);
    }

    pub(crate) fn passed_on(&self, items: u64) {
        self.passed_on.add(items);
    }

    pub(crate) fn refused(&self, items: u64) {
        self.refused.add(items);
    }

    pub(crate) fn absorbed(&self, items: u64) {
        self.absorbed.add(items);
    }

    pub(crate) fn produced(&self, items: u64) {
        self.produced.add(items);
    }

    /// Rare, so the counter is looked up each time.
    pub(crate) fn dropped(&self, reason: &'static str, items: u64) {
        let mut attributes: Vec<_> =
            self.attributes.iter().map(|(key, value)| (*key, value.as_str())).collect();
        attributes.push(("reason", reason));
        self.metrics.counter(DROPPED, &attributes).add(items);
    }

    pub(crate) fn all_dropped(&self, dropped: &mut Dropped) {
        for (reason, items) in dropped.take() {
            self.dropped(reason, items);
        }
        let (absorbed, produced) = dropped.take_transformed();
        self.absorbed(absorbed);
        self.produced(produced);
    }
}

/// What a receiver gave to the pipelines of one signal. Its own counters say how many items those were.
pub(crate) struct ReceiverMeter {
    bytes: Counter,
    pub(crate) timing: Timing,
}

impl ReceiverMeter {
    pub(crate) fn new(metrics: &Metrics, key: &ComponentKey) -> ReceiverMeter {
        let (kind, id) = (key.kind.to_string(), key.id.to_string());
        let attributes =
            [("component_kind", &*kind), ("component_id", &*id), ("component_scope", &*key.scope)];
        ReceiverMeter {
            bytes: metrics.at(Level::Normal).counter(BYTES, &attributes),
            timing: Timing::new(metrics, &attributes),
        }
    }

    pub(crate) fn bytes(&self, bytes: usize) {
        self.bytes.add(bytes as u64);
    }
}
