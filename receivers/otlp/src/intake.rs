//! From the bytes of a request to a batch in the pipelines, and the answer back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use phoenix_component::{Batch, Budget, ClientInfo, Outlets, Refusal};
use phoenix_pdata::{Codings, Counts, Decode, InvalidUtf8, Malformed, Payload, Signal};
use phoenix_transport::compression::{DecodeAgain, Encoding};
use phoenix_transport::{EncodedBody, Undecodable};
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
    decoder: Arc<dyn Decode>,
}

/// The bytes of a request.
pub(crate) enum Body {
    Plain(Bytes),
    /// Compressed, as they came.
    Encoded(EncodedBody),
}

impl Body {
    pub(crate) fn new(plain: Bytes, encoded: Option<EncodedBody>) -> Body {
        encoded.map_or(Body::Plain(plain), Body::Encoded)
    }
}

/// A request as its protocol delivered it.
pub(crate) struct Request {
    pub(crate) signal: Signal,
    pub(crate) body: Body,
    pub(crate) client: Option<Arc<ClientInfo>>,
    pub(crate) deadline: Option<Instant>,
}

/// Why a request was not taken.
#[derive(Debug)]
pub(crate) enum NotTaken {
    /// The body cannot be decompressed.
    Undecodable(Undecodable),
    /// The bytes are no OTLP request.
    Malformed(Malformed),
    /// The pipelines refused it.
    Refused(Refusal),
}

impl Intake {
    pub(crate) fn new(outlets: Outlets, invalid_utf8: InvalidUtf8, budget: &Budget) -> Intake {
        Intake { outlets, invalid_utf8, decoder: Arc::new(DecodeAgain(budget.clone())) }
    }

    /// Whether a pipeline takes the signal now.
    pub(crate) fn takes(&self, signal: Signal) -> bool {
        self.outlets.of(signal).is_wired()
    }

    /// Whether somebody behind wants requests of the signal as they came, compressed in `encoding`.
    pub(crate) fn takes_encoded(&self, signal: Signal, encoding: Encoding) -> bool {
        self.outlets.of(signal).forwards().any.and(encoding.codings()) != Codings::NONE
    }

    /// Validates a request and sends it into the pipelines; when this returns `Ok` the data is accepted.
    pub(crate) async fn take(&self, request: Request, metrics: &IntakeMetrics) -> Result<(), NotTaken> {
        let signal = request.signal;
        let validated = match request.body {
            Body::Plain(plain) => self.validate(signal, plain).await,
            Body::Encoded(body) => self.validate_encoded(signal, &body).await,
        };
        if let Err(NotTaken::Malformed(_)) = &validated {
            metrics.malformed();
        }
        let (payload, counts) = validated?;
        if counts.items == 0 {
            return Ok(());
        }
        let mut batch = Batch::new(signal, payload, counts.items);
        batch.client = request.client;
        batch.deadline = request.deadline;
        let outcome = self.outlets.of(signal).send(batch).await;
        match &outcome {
            Ok(()) => metrics.accepted(signal, counts.items),
            Err(_) => metrics.refused(signal, counts.items),
        }
        outcome.map_err(NotTaken::Refused)
    }
}

impl Intake {
    async fn validate(&self, signal: Signal, plain: Bytes) -> Result<(Payload, Counts), NotTaken> {
        let policy = self.invalid_utf8;
        let validated = if plain.len() < OFFLOAD_BYTES {
            phoenix_pdata::validate(signal, plain, policy)
        } else {
            tokio::task::spawn_blocking(move || phoenix_pdata::validate(signal, plain, policy))
                .await
                .map_err(|_| NotTaken::Refused(Refusal::retryable("shutdown", "the collector stops")))?
        };
        validated.map_err(NotTaken::Malformed)
    }

    /// Where nobody behind looks inside, only the bytes as they came are kept, and the plain ones are gone
    /// once they are validated; where some look, both. What has to be rewritten is plain from then on.
    async fn validate_encoded(
        &self,
        signal: Signal,
        body: &EncodedBody,
    ) -> Result<(Payload, Counts), NotTaken> {
        let (forwards, policy) = (self.outlets.of(signal).forwards(), self.invalid_utf8);
        if body.encoding().coding().is_some_and(|coding| forwards.whole(coding)) {
            let look = move |plain: &[u8]| (phoenix_pdata::check(signal, plain, policy), plain.len());
            let ((checked, len), coding) = body.look(look).await.map_err(NotTaken::Undecodable)?;
            let counts = checked.map_err(NotTaken::Malformed)?;
            if let (Some(counts), Some(coding)) = (counts, coding.filter(|coding| forwards.whole(*coding))) {
                let decoder = self.decoder.clone();
                return Ok((Payload::still_encoded(coding, body.bytes().clone(), len, decoder), counts));
            }
        }
        let (plain, coding) = body.decode().await.map_err(NotTaken::Undecodable)?;
        let before = plain.clone();
        let (payload, counts) = self.validate(signal, plain).await?;
        let is_as_it_came = counts.bytes == before.len() as u64
            && payload.pieces().next().is_some_and(|piece| piece.as_ptr() == before.as_ptr());
        let coding = coding.filter(|coding| is_as_it_came && forwards.any.contains(*coding));
        let payload = match coding {
            Some(coding) => Payload::beside_encoded(before, coding, body.bytes().clone()),
            None => payload,
        };
        Ok((payload, counts))
    }
}

/// The part of a client's deadline that is kept for the answer's way back.
const ANSWER_MARGIN: Duration = Duration::from_millis(50);

/// The moment by which the pipelines should have answered, so that the client hears it in time.
pub(crate) fn answer_by(deadline: Option<Instant>) -> Option<Instant> {
    deadline.map(|deadline| deadline.checked_sub(ANSWER_MARGIN).unwrap_or(deadline))
}
