use std::pin::pin;
use std::sync::{Arc, OnceLock};

use phoenix_component::{Adoption, Batch, Exporter, Lost, Refusal, StatusReporter};
use phoenix_telemetry::traces::Tracer;
use tokio::time::Instant;

use crate::guard;
use crate::meter::Meter;
use crate::spans;

/// An exporter in the graph.
pub(crate) struct ExporterNode {
    pub(crate) exporter: Arc<dyn Exporter>,
    pub(crate) status: StatusReporter,
    pub(crate) meter: Meter,
    tracer: Tracer,
    /// Set once this node takes nothing more; the node that took its place, if any, takes what still comes.
    closed: OnceLock<Option<Arc<ExporterNode>>>,
}

impl ExporterNode {
    pub(crate) fn new(
        exporter: Arc<dyn Exporter>,
        status: StatusReporter,
        meter: Meter,
        tracer: Tracer,
    ) -> ExporterNode {
        ExporterNode { exporter, status, meter, tracer, closed: OnceLock::new() }
    }

    pub(crate) fn owns_accepted(&self) -> bool {
        self.exporter.owns_accepted()
    }

    pub(crate) async fn take(&self, mut batch: Batch) -> Result<(), Refusal> {
        let (items, bytes) = (batch.items, batch.payload.len());
        match self.closed.get() {
            None => {}
            Some(Some(successor)) => return Box::pin(successor.take(batch)).await,
            Some(None) => {
                return Err(Refusal::retryable("closed", format!("{} was stopped", self.status.key())));
            }
        }
        let span = spans::exporting(&self.tracer, &self.status, &mut batch);
        let answer = pin!(guard::answer(&self.status, self.exporter.export(batch)));
        let outcome = self.meter.timing.answer(answer).await;
        spans::exported(span, items, &outcome);
        match &outcome {
            Ok(()) => {
                self.meter.accepted(items);
                self.meter.bytes(bytes);
                if !self.exporter.owns_accepted() {
                    self.meter.passed_on(items);
                }
            }
            Err(_) => self.meter.refused(items),
        }
        outcome
    }

    /// Whether another node has taken this one's place, or it is gone.
    pub(crate) fn is_replaced(&self) -> bool {
        self.closed.get().is_some()
    }

    /// The node that takes what comes here now: this one, or the last of its successors; none where that is
    /// gone.
    fn heir(self: &Arc<Self>) -> Option<Arc<ExporterNode>> {
        match self.closed.get() {
            None => Some(self.clone()),
            Some(successor) => successor.as_ref()?.heir(),
        }
    }

    /// Hands what the exporter holds, and whatever still comes by way of the old graph, to the one that
    /// took its place.
    pub(crate) fn hand_over(&self, successor: &Arc<ExporterNode>) -> Adoption {
        let Some(successor) = &successor.heir() else { return Adoption::Rebuilt };
        // Only a graph that ended twice could have set it before, and then to the same end.
        let _ = self.closed.set(Some(successor.clone()));
        successor.exporter.adopt(&*self.exporter)
    }

    /// Delivers what is held until the deadline; nothing more is taken afterwards.
    pub(crate) async fn drain(&self, deadline: Instant) -> Lost {
        let lost = self.exporter.drain(deadline).await;
        let _ = self.closed.set(None);
        lost
    }

    /// For data that nobody would send again: counts it as dropped here where the exporter is gone.
    pub(crate) fn abandon_if_closed(&self, items: u64) -> bool {
        match self.closed.get() {
            None => false,
            Some(Some(successor)) => successor.abandon_if_closed(items),
            Some(None) => {
                self.meter.accepted(items);
                self.meter.dropped("removed", items);
                true
            }
        }
    }
}
