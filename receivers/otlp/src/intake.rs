//! From the bytes of a request to a batch in the pipelines, and the answer back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use phoenix_component::{Batch, Budget, ClientInfo, Outlets, Refusal, buffers};
use phoenix_pdata::{Codings, Counts, Decode, InvalidUtf8, Payload, Signal, json};
use phoenix_telemetry::traces::{SpanContext, Tracer};
use phoenix_transport::compression::{DecodeAgain, Encoding};
use phoenix_transport::http::Format;
use phoenix_transport::{Charged, EncodedBody, Undecodable};
use tokio::time::Instant;

use crate::metrics::IntakeMetrics;

/// Bodies of at least this size are validated off the I/O runtimes: the scan takes about half a
/// millisecond for each MiB, and other requests of the core wait meanwhile.
const OFFLOAD_BYTES: usize = 1 << 20;
/// The same for JSON, which takes more work.
const OFFLOAD_JSON_BYTES: usize = 256 << 10;

/// The delay that clients hear when the budget has no room for a request in JSON as protobuf.
const OVER_BUDGET_DELAY: Duration = Duration::from_secs(1);

/// Takes the requests of one receiver, whatever the protocol.
#[derive(Clone)]
pub(crate) struct Intake {
    outlets: Outlets,
    invalid_utf8: InvalidUtf8,
    budget: Budget,
    decoder: Arc<dyn Decode>,
    tracer: Tracer,
    /// Set once the receiver was stopped or replaced.
    retired: Arc<AtomicBool>,
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
    pub(crate) format: Format,
    pub(crate) body: Body,
    pub(crate) client: Option<Arc<ClientInfo>>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) trace: Option<SpanContext>,
    pub(crate) charged: Charged,
}

/// Why a request was not taken.
#[derive(Debug)]
pub(crate) enum NotTaken {
    /// The body cannot be decompressed.
    Undecodable(Undecodable),
    /// The bytes are no OTLP request, and why.
    Malformed(String),
    /// The pipelines refused it.
    Refused(Refusal),
}

impl Intake {
    pub(crate) fn new(outlets: Outlets, invalid_utf8: InvalidUtf8, budget: Budget, tracer: Tracer) -> Intake {
        let decoder = Arc::new(DecodeAgain(budget.clone()));
        Intake { outlets, invalid_utf8, budget, decoder, tracer, retired: Arc::default() }
    }

    /// The span of the sender, where own traces are on.
    pub(crate) fn trace(&self, headers: &HeaderMap) -> Option<SpanContext> {
        self.tracer.extract(|name| headers.get(name)?.to_str().ok())
    }

    /// From now on a request that still comes this way is told to come again, not that nobody takes it: the
    /// outlets are about to be cut, and the successor may be a moment away.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    /// Whether a pipeline takes the signal now.
    pub(crate) fn takes(&self, signal: Signal) -> bool {
        self.outlets.of(signal).is_wired() || self.retired.load(Ordering::Relaxed)
    }

    /// Whether somebody behind wants requests of the signal as they came, compressed in `encoding`.
    pub(crate) fn takes_encoded(&self, signal: Signal, encoding: Encoding) -> bool {
        self.outlets.of(signal).forwards().any.and(encoding.codings()) != Codings::NONE
    }

    /// Validates a request and sends it into the pipelines; when this returns `Ok` the data is accepted.
    pub(crate) async fn take(&self, request: Request, metrics: &IntakeMetrics) -> Result<(), NotTaken> {
        let Request { signal, format, body, client, deadline, trace, charged } = request;
        let read = match body {
            Body::Plain(plain) => self.read_anywhere(signal, format, plain).await,
            Body::Encoded(body) => Box::pin(self.read_encoded(signal, format, &body, metrics)).await,
        };
        let (payload, counts) = read.inspect_err(|not_taken| {
            if let NotTaken::Malformed(_) = not_taken {
                metrics.malformed();
            }
        })?;
        if counts.items == 0 {
            return Ok(());
        }
        charged.counted(counts.items);
        let mut batch = Batch::new(signal, payload, counts.items);
        batch.client = client;
        batch.deadline = deadline;
        batch.trace = trace;
        let outcome = self.outlets.of(signal).send(batch).await;
        match &outcome {
            Ok(()) => metrics.accepted(signal, counts.items),
            Err(_) => metrics.refused(signal, counts.items),
        }
        outcome.map_err(NotTaken::Refused)
    }

    /// Makes a payload of plain bytes, off the I/O runtimes where that takes long.
    async fn read_anywhere(
        &self,
        signal: Signal,
        format: Format,
        plain: Bytes,
    ) -> Result<(Payload, Counts), NotTaken> {
        let offload = match format {
            Format::Protobuf => OFFLOAD_BYTES,
            Format::Json => OFFLOAD_JSON_BYTES,
        };
        if plain.len() < offload {
            return self.read(signal, format, plain);
        }
        let intake = self.clone();
        tokio::task::spawn_blocking(move || intake.read(signal, format, plain))
            .await
            .map_err(|_| NotTaken::Refused(Refusal::retryable("shutdown", "the collector stops")))?
    }

    /// Its future is large, and what comes compressed costs more than an allocation: callers box it.
    ///
    /// Where nobody behind looks inside, only the bytes as they came are kept, and the plain ones are gone
    /// once they are validated; where some look, both. What has to be rewritten is plain from then on.
    async fn read_encoded(
        &self,
        signal: Signal,
        format: Format,
        body: &EncodedBody,
        metrics: &IntakeMetrics,
    ) -> Result<(Payload, Counts), NotTaken> {
        let (forwards, policy) = (self.outlets.of(signal).forwards(), self.invalid_utf8);
        let may_stay = body.encoding().codings().and(forwards.all).and(forwards.any) != Codings::NONE;
        if may_stay && format == Format::Protobuf {
            let look = move |plain: &[u8]| (phoenix_pdata::check(signal, plain, policy), plain.len());
            let ((checked, len), coding) = body.look(look).await.map_err(NotTaken::Undecodable)?;
            let counts = checked.map_err(|malformed| NotTaken::Malformed(malformed.to_string()))?;
            if let (Some(counts), Some(coding)) = (counts, coding.filter(|coding| forwards.whole(*coding))) {
                let decoder = self.decoder.clone();
                metrics.still_compressed();
                return Ok((Payload::still_encoded(coding, body.bytes().clone(), len, decoder), counts));
            }
        }
        let (plain, coding) = body.decode().await.map_err(NotTaken::Undecodable)?;
        let before = plain.clone();
        let (payload, counts) = self.read_anywhere(signal, format, plain).await?;
        let is_as_it_came = payload
            .pieces()
            .next()
            .is_some_and(|piece| (piece.as_ptr(), payload.len()) == (before.as_ptr(), before.len()));
        let coding = coding.filter(|coding| is_as_it_came && forwards.any.contains(*coding));
        let payload = match coding {
            Some(coding) => Payload::beside_encoded(before, coding, body.bytes().clone()),
            None => payload,
        };
        Ok((payload, counts))
    }

    /// Makes a payload of the bytes that came.
    fn read(&self, signal: Signal, format: Format, body: Bytes) -> Result<(Payload, Counts), NotTaken> {
        match format {
            Format::Protobuf => phoenix_pdata::validate(signal, body, self.invalid_utf8)
                .map_err(|malformed| NotTaken::Malformed(malformed.to_string())),
            Format::Json => self.read_json(signal, &body),
        }
    }

    /// Rewrites JSON as protobuf. Both are charged as long as both are there.
    fn read_json(&self, signal: Signal, json: &[u8]) -> Result<(Payload, Counts), NotTaken> {
        let over_budget = || {
            let refusal = Refusal::retryable("budget", "data refused due to high memory usage");
            NotTaken::Refused(refusal.after(OVER_BUDGET_DELAY))
        };
        let expected = json::expected_len(json);
        let mut charge = self.budget.try_charge(expected).ok_or_else(over_budget)?;
        let buffer = buffers::take(expected).unwrap_or_else(|| Vec::with_capacity(expected));
        let (mut protobuf, counts) = json::decode_into(signal, json, self.invalid_utf8, buffer)
            .map_err(|error| NotTaken::Malformed(error.to_string()))?;
        // A buffer that is kept for the next request should stay as large as that needs it.
        if protobuf.capacity() - protobuf.len() > protobuf.len() / 2 {
            protobuf.shrink_to_fit();
        }
        let more = protobuf.capacity().saturating_sub(charge.bytes());
        if !charge.try_grow(more) {
            return Err(over_budget());
        }
        charge.shrink(charge.bytes() - protobuf.capacity());
        Ok((Payload::from(charge.attach(protobuf)), counts))
    }
}

/// The part of a client's deadline that is kept for the answer's way back.
const ANSWER_MARGIN: Duration = Duration::from_millis(50);

/// The moment by which the pipelines should have answered, so that the client hears it in time.
pub(crate) fn answer_by(deadline: Option<Instant>) -> Option<Instant> {
    deadline.map(|deadline| deadline.checked_sub(ANSWER_MARGIN).unwrap_or(deadline))
}
