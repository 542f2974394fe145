//! From the bytes of a request to a batch in the pipelines, and the answer back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use phoenix_component::{Batch, ClientInfo, Outlets, Refusal};
use phoenix_pdata::{Counts, InvalidUtf8, Malformed, Payload, Signal};
use phoenix_telemetry::traces::{SpanContext, Tracer};
use tokio::time::Instant;

use crate::metrics::IntakeMetrics;

/// Bodies of at least this size are validated off the I/O runtimes: the scan takes about half a
/// millisecond for each MiB, and other requests of the core wait meanwhile.
const OFFLOAD_BYTES: usize = 1 << 20;

/// Takes the requests of one receiver, whatever the protocol.
#[derive(Clone)]
pub(crate) struct Intake {
    outlets: Outlets,
    invalid_utf8: InvalidUtf8,
    tracer: Tracer,
}

/// A request as its protocol delivered it.
pub(crate) struct Request {
    pub(crate) signal: Signal,
    pub(crate) body: Bytes,
    pub(crate) client: Option<Arc<ClientInfo>>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) trace: Option<SpanContext>,
}

/// Why a request was not taken.
#[derive(Debug)]
pub(crate) enum NotTaken {
    /// The bytes are no OTLP request.
    Malformed(Malformed),
    /// The pipelines refused it.
    Refused(Refusal),
}

impl Intake {
    pub(crate) fn new(outlets: Outlets, invalid_utf8: InvalidUtf8, tracer: Tracer) -> Intake {
        Intake { outlets, invalid_utf8, tracer }
    }

    /// The span of the sender, where own traces are on.
    pub(crate) fn trace(&self, headers: &HeaderMap) -> Option<SpanContext> {
        self.tracer.extract(|name| headers.get(name)?.to_str().ok())
    }

    /// Whether a pipeline takes the signal now.
    pub(crate) fn takes(&self, signal: Signal) -> bool {
        self.outlets.of(signal).is_wired()
    }

    /// Validates a request and sends it into the pipelines; when this returns `Ok` the data is accepted.
    pub(crate) async fn take(&self, request: Request, metrics: &IntakeMetrics) -> Result<(), NotTaken> {
        let (signal, policy) = (request.signal, self.invalid_utf8);
        let validated = if request.body.len() < OFFLOAD_BYTES {
            phoenix_pdata::validate(signal, request.body, policy)
        } else {
            let scan =
                tokio::task::spawn_blocking(move || phoenix_pdata::validate(signal, request.body, policy));
            scan.await
                .map_err(|_| NotTaken::Refused(Refusal::retryable("shutdown", "the collector stops")))?
        };
        let (payload, counts): (Payload, Counts) = validated.map_err(|malformed| {
            metrics.malformed();
            NotTaken::Malformed(malformed)
        })?;
        if counts.items == 0 {
            return Ok(());
        }
        let mut batch = Batch::new(signal, payload, counts.items);
        batch.client = request.client;
        batch.deadline = request.deadline;
        batch.trace = request.trace;
        let outcome = self.outlets.of(signal).send(batch).await;
        match &outcome {
            Ok(()) => metrics.accepted(signal, counts.items),
            Err(_) => metrics.refused(signal, counts.items),
        }
        outcome.map_err(NotTaken::Refused)
    }
}

/// The part of a client's deadline that is kept for the answer's way back.
const ANSWER_MARGIN: Duration = Duration::from_millis(50);

/// The moment by which the pipelines should have answered, so that the client hears it in time.
pub(crate) fn answer_by(deadline: Option<Instant>) -> Option<Instant> {
    deadline.map(|deadline| deadline.checked_sub(ANSWER_MARGIN).unwrap_or(deadline))
}
