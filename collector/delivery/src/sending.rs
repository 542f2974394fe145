//! What becomes of a batch once a send is free for it: attempts, and the waits between them.

use std::pin::pin;

use phoenix_component::{Batch, Refusal};
use tokio::time::Instant;

use crate::circuit::Pass;
use crate::delivery::Inner;
use crate::flight::{Flight, Outcome};
use crate::retry::{Retry, SHUTDOWN, Verdict, interrupted};
use crate::{Delivered, Push};

/// Sends a batch and then what waits, until nothing does.
pub(crate) async fn send_on<P: Push>(first: Flight<P>) {
    let mut flight = Some(first);
    while let Some(mut current) = flight {
        let inner = current.inner().clone();
        let outcome = inner.deliver(&mut current).await;
        flight = current.end(outcome).1;
    }
}

/// How the wait for leave to make an attempt ended.
enum Leave<'a> {
    Granted(Pass<'a>),
    /// The exporter ends.
    Stopped,
    /// The time of the batch is over.
    Expired,
}

impl<P: Push> Inner<P> {
    /// Sends one batch, again and again where that can help.
    pub(crate) async fn deliver(&self, flight: &mut Flight<P>) -> Outcome {
        let deadline = flight.batch().deadline;
        let begin = || Retry::new(&self.retry, Instant::now(), deadline);
        // A sender that waits has its time from the beginning. What the exporter owns is tried at least
        // once, however long that takes.
        let mut retry = flight.is_awaited().then(begin);
        let mut last: Option<Refusal> = None;
        loop {
            let leave = match self.leave_at_once() {
                Some(leave) => leave,
                None => Box::pin(self.leave(retry.as_ref().and_then(Retry::ends_at))).await,
            };
            let pass = match leave {
                Leave::Granted(pass) => pass,
                Leave::Stopped => match &last {
                    Some(last) => return Outcome::CutShort(interrupted(last)),
                    None if self.successor.get().is_some() => return Outcome::CutShort(not_tried()),
                    None => Pass::free(),
                },
                Leave::Expired => {
                    let refusal = last.or_else(|| self.circuit.last_refusal()).unwrap_or_else(not_tried);
                    let refusal = match &retry {
                        Some(retry) => retry.expired(refusal),
                        None => refusal,
                    };
                    return Outcome::Failed(refusal);
                }
            };
            let retry = retry.get_or_insert_with(begin);
            let attempt = tokio::select! {
                biased;
                outcome = self.attempt(flight.batch().clone()) => outcome,
                () = self.cancel.cancelled() => {
                    let text = "interrupted due to shutdown: the attempt was under way at the deadline";
                    return Outcome::CutShort(Refusal::retryable(SHUTDOWN, text));
                }
            };
            let refusal = match attempt {
                Ok(Delivered { rejected, left }) => {
                    self.meter.circuit(self.circuit.answered());
                    match left {
                        None => {
                            self.report.succeeded();
                            return Outcome::Sent { rejected };
                        }
                        Some(left) => flight.narrow(rejected, *left),
                    }
                }
                Err(refusal) => refusal,
            };
            match Box::pin(self.after_failure(refusal, pass, retry)).await {
                Ok(refusal) => last = Some(refusal),
                Err(outcome) => return outcome,
            }
        }
    }

    /// Waits after a failed attempt, where another one may help; gives the failure back then.
    async fn after_failure(
        &self,
        refusal: Refusal,
        pass: Pass<'_>,
        retry: &mut Retry<'_>,
    ) -> Result<Refusal, Outcome> {
        let (now, random) = (Instant::now(), (self.random)());
        let backoff = retry.next_backoff(random);
        if refusal.is_retryable() {
            let change = self.circuit.failed(&refusal, pass.is_probe(), backoff, now, random);
            self.meter.circuit(change);
        } else if refusal.status().is_some() {
            // The backend answers, if only to say no.
            self.meter.circuit(self.circuit.answered());
        }
        drop(pass);
        let is_open = self.circuit.is_open();
        // No status: it was not the backend that answered.
        if (refusal.is_retryable() && refusal.status().is_none()) || is_open {
            self.report_failing(&refusal);
        }
        let last = refusal.clone();
        let wait = match retry.judge(refusal, now, backoff) {
            Verdict::Wait(wait) => wait,
            Verdict::GiveUp(refusal) => {
                self.report_failing(&refusal);
                return Err(Outcome::Failed(refusal));
            }
        };
        if self.stop.is_cancelled() {
            return Err(Outcome::CutShort(interrupted(&last)));
        }
        self.report.retrying(&last, wait);
        if is_open && last.delay().is_none() {
            // The line of the circuit takes the place of a wait of its own.
            return Ok(last);
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Outcome::CutShort(interrupted(&last))),
            () = tokio::time::sleep(wait) => Ok(last),
        }
    }

    /// What is being stopped says nothing of its health: its successor does.
    fn report_failing(&self, refusal: &Refusal) {
        if !self.stop.is_cancelled() {
            self.report.failing(refusal);
        }
    }

    /// As is usual: nothing stops, and nothing holds attempts back.
    fn leave_at_once(&self) -> Option<Leave<'_>> {
        match self.stop.is_cancelled() {
            true => Some(Leave::Stopped),
            false => self.circuit.free_pass().map(Leave::Granted),
        }
    }

    /// Waits until an attempt may go out, at most until `end`.
    async fn leave(&self, end: Option<Instant>) -> Leave<'_> {
        let pass = async {
            match end {
                None => Leave::Granted(self.circuit.pass().await),
                Some(end) => match tokio::time::timeout_at(end, self.circuit.pass()).await {
                    Ok(pass) => Leave::Granted(pass),
                    Err(_) => Leave::Expired,
                },
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Leave::Stopped,
            leave = pass => leave,
        }
    }

    async fn attempt(&self, mut batch: Batch) -> Result<Delivered, Refusal> {
        let limit = self.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        batch.deadline = [batch.deadline, limit].into_iter().flatten().min();
        let Some(deadline) = batch.deadline else { return self.push.push(batch).await };
        // Pinned here, as what is handed over by value is kept twice.
        let push = pin!(self.push.push(batch));
        tokio::time::timeout_at(deadline, push).await.unwrap_or_else(|_| Err(self.push.timed_out()))
    }
}

fn not_tried() -> Refusal {
    Refusal::retryable("unavailable", "the destination does not answer")
}
