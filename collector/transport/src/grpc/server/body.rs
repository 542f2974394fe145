//! Receiving the one message of a request.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use h2::RecvStream;
use phoenix_component::{Budget, Code};
use tokio::time::{Instant, Sleep};

use crate::grpc::Status;
use crate::intake::Intake;
use crate::payload::PREFIX_BYTES;

/// Why a message was not taken: the status for the client and the label under which it is counted.
/// None where the client itself went away.
pub(super) type Refused = Option<(Status, &'static str)>;

/// A message as it came.
pub(super) struct Received {
    pub(super) compressed: bool,
    pub(super) message: Bytes,
}

pub(super) struct Limits<'a> {
    pub(super) max_message_bytes: usize,
    pub(super) idle_timeout: Duration,
    pub(super) over_budget_delay: Duration,
    pub(super) budget: &'a Budget,
}

fn framing(message: &str) -> Refused {
    Some((Status::new(Code::INTERNAL, message), "framing"))
}

/// Receives the message. Windows open again as its bytes are taken.
pub(super) async fn receive(body: &mut RecvStream, limits: &Limits<'_>) -> Result<Received, Refused> {
    let mut timer = StallTimer { timeout: limits.idle_timeout, timer: None, progressed: false };
    let mut prefix = [0; PREFIX_BYTES];
    let mut prefix_filled = 0;
    let mut intake: Option<(usize, Intake)> = None;
    while let Some(piece) = poll_fn(|cx| timer.poll_piece(cx, body)).await? {
        let taken = piece.len();
        let mut piece = piece;
        if prefix_filled < PREFIX_BYTES {
            let part = piece.len().min(PREFIX_BYTES - prefix_filled);
            piece.copy_to_slice(&mut prefix[prefix_filled..prefix_filled + part]);
            prefix_filled += part;
        }
        if prefix_filled == PREFIX_BYTES && intake.is_none() {
            let [_, a, b, c, d] = prefix;
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            if prefix[0] > 1 {
                return Err(framing("grpc: received unexpected payload format"));
            }
            if length > limits.max_message_bytes {
                return Err(Some(too_large("", length, limits.max_message_bytes)));
            }
            intake = Some((length, Intake::new(limits.budget, Some(length))));
        }
        if let Some((length, intake)) = &mut intake {
            if intake.len() + piece.len() > *length {
                return Err(framing("grpc: more than one message in a unary request"));
            }
            // On refusal the window of this stream stays shut.
            intake.push_bytes(piece).map_err(|_| Some(over_budget(limits.over_budget_delay)))?;
        }
        // Fails only for a stream that is closed, which the next poll reports.
        let _ = body.flow_control().release_capacity(taken);
    }
    match intake {
        Some((length, intake)) if intake.len() == length => {
            Ok(Received { compressed: prefix[0] == 1, message: intake.finish() })
        }
        Some(_) => Err(framing("grpc: the message is cut short")),
        None => Err(framing("grpc: no complete message in the request")),
    }
}

/// The refusal of a message over the limit, in gRPC-Go's words.
pub(super) fn too_large(after: &str, length: usize, limit: usize) -> (Status, &'static str) {
    let text = format!("grpc: received message {after}larger than max ({length} vs. {limit})");
    (Status::new(Code::RESOURCE_EXHAUSTED, text), "too_large")
}

/// The refusal of a message that the budget has no room for.
pub(super) fn over_budget(delay: Duration) -> (Status, &'static str) {
    let status = Status::new(Code::UNAVAILABLE, "data refused due to high memory usage");
    (status.with_retry_delay(delay), "budget")
}

/// Notices a body that does not go on. The timer is made when the body is first waited for: most bodies
/// are there already.
struct StallTimer {
    timeout: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    progressed: bool,
}

impl StallTimer {
    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut RecvStream,
    ) -> Poll<Result<Option<Bytes>, Refused>> {
        if let Poll::Ready(piece) = body.poll_data(cx) {
            self.progressed = true;
            return Poll::Ready(piece.transpose().map_err(|_| None));
        }
        let timeout = self.timeout;
        let timer = self.timer.get_or_insert_with(|| {
            self.progressed = false;
            Box::pin(tokio::time::sleep(timeout))
        });
        while timer.as_mut().poll(cx).is_ready() {
            if !std::mem::take(&mut self.progressed) {
                let status = Status::new(Code::DEADLINE_EXCEEDED, "the request body does not go on");
                return Poll::Ready(Err(Some((status, "timeout"))));
            }
            timer.as_mut().reset(Instant::now() + timeout);
        }
        Poll::Pending
    }
}
