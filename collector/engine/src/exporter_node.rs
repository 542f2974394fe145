use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use phoenix_component::{Batch, Exporter, Lost, Refusal, StatusReporter};
use tokio::time::Instant;

use crate::guard;
use crate::meter::Meter;

/// An exporter in the graph.
pub(crate) struct ExporterNode {
    pub(crate) exporter: Arc<dyn Exporter>,
    pub(crate) status: StatusReporter,
    pub(crate) meter: Meter,
    closed: AtomicBool,
}

impl ExporterNode {
    pub(crate) fn new(exporter: Arc<dyn Exporter>, status: StatusReporter, meter: Meter) -> ExporterNode {
        ExporterNode { exporter, status, meter, closed: AtomicBool::new(false) }
    }

    pub(crate) fn owns_accepted(&self) -> bool {
        self.exporter.owns_accepted()
    }

    pub(crate) async fn take(&self, batch: Batch) -> Result<(), Refusal> {
        let items = batch.items;
        if self.closed.load(Ordering::Acquire) {
            return Err(Refusal::retryable("closed", format!("{} was stopped", self.status.key())));
        }
        let outcome = guard::answer(&self.status, self.exporter.export(batch)).await;
        match &outcome {
            Ok(()) => self.meter.accepted(items),
            Err(_) => self.meter.refused(items),
        }
        outcome
    }

    /// Delivers what is held until the deadline; nothing more is taken afterwards.
    pub(crate) async fn drain(&self, deadline: Instant) -> Lost {
        let lost = self.exporter.drain(deadline).await;
        self.closed.store(true, Ordering::Release);
        lost
    }

    /// For data that nobody would send again: counts it as dropped here where the exporter is stopped.
    pub(crate) fn abandon_if_closed(&self, items: u64) -> bool {
        let closed = self.closed.load(Ordering::Acquire);
        if closed {
            self.meter.accepted(items);
            self.meter.dropped("removed", items);
        }
        closed
    }
}
