use std::pin::pin;
use std::sync::Arc;

use phoenix_component::{Batch, ConnectorFlow, Refusal, StatusReporter};

use crate::guard;
use crate::meter::Meter;

/// A stateless connector in the graph; it holds the outlets to the pipelines that it feeds.
pub(crate) struct ConnectorNode {
    pub(crate) flow: Arc<dyn ConnectorFlow>,
    pub(crate) status: StatusReporter,
    pub(crate) meter: Meter,
}

impl ConnectorNode {
    pub(crate) async fn take(&self, batch: Batch) -> Result<(), Refusal> {
        let (items, bytes) = (batch.items, batch.payload.len());
        let answer = pin!(guard::answer(&self.status, self.flow.consume(batch)));
        let outcome = self.meter.timing.answer(answer).await;
        match &outcome {
            Ok(()) => {
                self.meter.accepted(items);
                self.meter.bytes(bytes);
                self.meter.passed_on(items);
            }
            Err(_) => self.meter.refused(items),
        }
        outcome
    }
}
