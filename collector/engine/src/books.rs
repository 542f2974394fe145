//! The accounting equation over a running graph.

use phoenix_component::{ComponentKey, Held};
use phoenix_pdata::Signal;
use phoenix_telemetry::Metrics;

/// The books of one component at a moment. At a quiet moment
/// `accepted + produced = passed_on + dropped + absorbed + held`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    /// Whose they are.
    pub component: ComponentKey,
    /// Items accepted.
    pub accepted: i64,
    /// Items that came into being.
    pub produced: i64,
    /// Items passed on; for an exporter or a connector with a queue, sent.
    pub passed_on: i64,
    /// Items that ended here, for whatever reason; for an exporter, failed.
    pub dropped: i64,
    /// Items that went into others.
    pub absorbed: i64,
    /// Items inside.
    pub held: i64,
}

impl Book {
    pub(crate) fn read(component: ComponentKey, held: Held, queued: bool, metrics: &Metrics) -> Book {
        let (kind, id) = (component.kind.to_string(), component.id.to_string());
        let own =
            [("component_kind", &*kind), ("component_id", &*id), ("component_scope", &*component.scope)];
        let sum = |name: &str| metrics.sum(name, &own);
        let mut book = Book {
            accepted: sum("phoenix_component_items_in"),
            produced: sum("phoenix_component_items_produced"),
            passed_on: sum("phoenix_component_items_out"),
            dropped: sum("phoenix_component_items_dropped"),
            absorbed: sum("phoenix_component_items_absorbed"),
            held: held.items as i64,
            component,
        };
        if queued {
            // What becomes of data that a queue owns, only the queue knows. A connector's carries what comes in.
            let data_type = book.component.scope.split(' ').next().unwrap_or_default();
            let signal = Signal::from_name(data_type).map_or("", Signal::items_name);
            let exporter = [("exporter", &*id)];
            book.passed_on += metrics.sum(&format!("otelcol_exporter_sent_{signal}"), &exporter);
            book.dropped += metrics.sum(&format!("otelcol_exporter_send_failed_{signal}"), &exporter);
            // What was found on the disk came in under a former process, what was left there is a later one's.
            let queue = [("exporter", &*id), ("data_type", data_type)];
            book.produced += metrics.sum("phoenix_exporter_storage_taken_over", &queue);
        }
        book
    }

    /// Items that appeared (below zero) or vanished (above) without an entry; 0 at a quiet moment.
    pub fn imbalance(&self) -> i64 {
        self.accepted + self.produced - self.passed_on - self.dropped - self.absorbed - self.held
    }
}
