//! Receiving the one message of a request.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use phoenix_component::{Budget, Code};
use tokio::time::{Instant, Sleep};

use super::Options;
use crate::grpc::Status;
use crate::http2::{Broken, Exchange, Sink};
use crate::intake::Intake;
use crate::payload::PREFIX_BYTES;

/// Why a message was not taken: the status for the client and the label under which it is counted.
pub(super) type Refused = (Status, &'static str);

/// A message as it came.
pub(super) struct Received {
    pub(super) compressed: bool,
    pub(super) message: Bytes,
}

/// The body of a request as it arrives: the prefix of the message, then the message, into a buffer of its size.
pub(super) struct Body {
    budget: Budget,
    max_message_bytes: usize,
    over_budget_delay: Duration,
    prefix: [u8; PREFIX_BYTES],
    prefix_filled: usize,
    intake: Option<(usize, Intake)>,
    refused: Option<Refused>,
}

impl Body {
    pub(super) fn new(options: &Options, budget: &Budget) -> Body {
        Body {
            budget: budget.clone(),
            max_message_bytes: options.max_message_bytes,
            over_budget_delay: options.over_budget_delay,
            prefix: [0; PREFIX_BYTES],
            prefix_filled: 0,
            intake: None,
            refused: None,
        }
    }

    fn take(&mut self, mut piece: &[u8]) -> Result<(), Refused> {
        if self.prefix_filled < PREFIX_BYTES {
            let (part, rest) = piece.split_at(piece.len().min(PREFIX_BYTES - self.prefix_filled));
            self.prefix[self.prefix_filled..self.prefix_filled + part.len()].copy_from_slice(part);
            self.prefix_filled += part.len();
            piece = rest;
        }
        if self.prefix_filled == PREFIX_BYTES && self.intake.is_none() {
            let [flag, a, b, c, d] = self.prefix;
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            if flag > 1 {
                return Err(framing("grpc: received unexpected payload format"));
            }
            if length > self.max_message_bytes {
                return Err(too_large("", length, self.max_message_bytes));
            }
            self.intake = Some((length, Intake::new(&self.budget, Some(length))));
        }
        if let Some((length, intake)) = &mut self.intake
            && !piece.is_empty()
        {
            if intake.len() + piece.len() > *length {
                return Err(framing("grpc: more than one message in a unary request"));
            }
            intake.push(piece).map_err(|_| over_budget(self.over_budget_delay))?;
        }
        Ok(())
    }

    fn finish(self) -> Result<Received, Refused> {
        match (self.refused, self.intake) {
            (Some(refused), _) => Err(refused),
            (None, Some((length, intake))) if intake.len() == length => {
                Ok(Received { compressed: self.prefix[0] == 1, message: intake.finish() })
            }
            (None, Some(_)) => Err(framing("grpc: the message is cut short")),
            (None, None) => Err(framing("grpc: no complete message in the request")),
        }
    }
}

impl Sink for Body {
    fn push(&mut self, bytes: &[u8]) -> bool {
        if self.refused.is_none()
            && let Err(refused) = self.take(bytes)
        {
            // What has come so far is of no use.
            self.intake = None;
            self.refused = Some(refused);
        }
        self.refused.is_none()
    }

    fn room(&mut self, left: usize) -> Option<&mut Vec<u8>> {
        let (length, intake) = self.intake.as_mut()?;
        // One that brings more than it announced is refused by `push`.
        if intake.len() + left > *length {
            return None;
        }
        intake.room(left).ok()
    }
}

fn framing(message: &str) -> Refused {
    (Status::new(Code::INTERNAL, message), "framing")
}

/// Waits for the message; none where the client itself went away.
pub(super) async fn receive(
    exchange: &mut Exchange<Body>,
    idle_timeout: Duration,
) -> Result<Received, Option<Refused>> {
    let mut timer = StallTimer { timeout: idle_timeout, timer: None, seen: 0 };
    match poll_fn(|cx| timer.poll_body(cx, exchange)).await? {
        Ok(body) | Err(Broken::Refused(body)) => body.finish().map_err(Some),
        Err(Broken::Reset) => Err(None),
    }
}

/// The refusal of a message over the limit, in gRPC-Go's words.
pub(super) fn too_large(after: &str, length: usize, limit: usize) -> Refused {
    let text = format!("grpc: received message {after}larger than max ({length} vs. {limit})");
    (Status::new(Code::RESOURCE_EXHAUSTED, text), "too_large")
}

/// The refusal of a message that the budget has no room for.
pub(super) fn over_budget(delay: Duration) -> Refused {
    let status = Status::new(Code::UNAVAILABLE, "data refused due to high memory usage");
    (status.with_retry_delay(delay), "budget")
}

/// Notices a body that does not go on. The timer is made when the body is first waited for: most bodies
/// are there already.
struct StallTimer {
    timeout: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// Bytes that had come when the timer was set.
    seen: u64,
}

type Outcome = Result<Body, Broken<Body>>;

impl StallTimer {
    fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Exchange<Body>,
    ) -> Poll<Result<Outcome, Option<Refused>>> {
        if let Poll::Ready(outcome) = exchange.poll_body(cx) {
            return Poll::Ready(Ok(outcome));
        }
        let timeout = self.timeout;
        let timer = self.timer.get_or_insert_with(|| {
            self.seen = exchange.received();
            Box::pin(tokio::time::sleep(timeout))
        });
        while timer.as_mut().poll(cx).is_ready() {
            let received = exchange.received();
            if received == self.seen {
                let status = Status::new(Code::DEADLINE_EXCEEDED, "the request body does not go on");
                return Poll::Ready(Err(Some((status, "timeout"))));
            }
            self.seen = received;
            timer.as_mut().reset(Instant::now() + timeout);
        }
        Poll::Pending
    }
}
