use std::any::Any;

use phoenix_component::{Batch, BoxFuture, Exporter, Lost, Refusal, exporter_counts};
use phoenix_pdata::Signal;
use phoenix_telemetry::{Counter, Metrics};
use tokio::time::Instant;

/// An exporter that takes everything and sends nothing.
pub struct Nop {
    sent: Counter,
}

impl Nop {
    /// The exporter of one signal, which counts what it takes as sent.
    pub fn new(metrics: &Metrics, id: &str, signal: Signal) -> Nop {
        Nop { sent: metrics.counter(exporter_counts::sent(signal), &[("exporter", id)]) }
    }
}

impl Exporter for Nop {
    fn export(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        self.sent.add(batch.items);
        Box::pin(async { Ok(()) })
    }

    fn drain(&self, _deadline: Instant) -> BoxFuture<'_, Lost> {
        Box::pin(async { Lost::default() })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use phoenix_pdata::Payload;

    use super::*;

    #[test]
    fn takes_everything_and_counts_it() {
        let metrics = Metrics::default();
        let nop = Nop::new(&metrics, "nop/a", Signal::Logs);
        let batch = Batch::new(Signal::Logs, Payload::default(), 7);
        assert_eq!(nop.export(batch.clone()).now_or_never(), Some(Ok(())));
        assert_eq!(nop.export(batch).now_or_never(), Some(Ok(())));
        assert_eq!(metrics.sum("otelcol_exporter_sent_log_records", &[("exporter", "nop/a")]), 14);
    }
}
