//! The queue in front: exporters' own, which delivers by giving each batch to the levels.

use std::sync::Arc;

use phoenix_component::factory::CreateContext;
use phoenix_component::{Batch, ConnectorFlow as _, Exporter, Refusal};
use phoenix_config::GoDuration;
use phoenix_delivery::{
    Delivered, Delivery, DeliveryContext, DeliverySettings, Push, QueueSettings, RetrySettings,
};
use phoenix_pdata::Signal;

use crate::Failover;

/// One attempt: down the levels until one takes the batch.
struct ByLevels(Failover);

/// A queue before the levels. What no level takes for now waits for as long as that lasts: nobody else has it, and what
/// comes meanwhile is refused once the queue is full.
pub(crate) fn in_front(
    failover: Failover,
    queue: QueueSettings,
    cx: &CreateContext<'_>,
    signal: Signal,
) -> Arc<dyn Exporter> {
    let retry = RetrySettings { max_elapsed_time: GoDuration::from_secs(0), ..RetrySettings::default() };
    // How long an attempt may take, the exporters below know.
    let settings = DeliverySettings { timeout: None, retry, queue: Some(queue) };
    Arc::new(Delivery::new(ByLevels(failover), settings, DeliveryContext::new(cx, signal, &[])))
}

impl Push for ByLevels {
    async fn push(&self, batch: Batch) -> Result<Delivered, Refusal> {
        // To those below the queue is a sender that waits, and tries again.
        let batch = Batch { owned: false, waiting: 1, ..batch };
        self.0.consume(batch).await.map(|()| Delivered::whole())
    }
}
