//! Parts of a batch to the pipelines that they are for.

use std::time::Duration;

use futures_util::future::join_all;
use phoenix_component::{Batch, Outlet, Refusal};
use tokio::time::Instant;

/// How long parts are tried again for a sender that named no deadline.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between the first attempt and the second; it grows by half each time.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Sends every part, all at once. Where no pipeline takes its part the refusal goes back; where some do, only the others are
/// asked again, until the sender's deadline, so that a part that was taken is not sent twice. What the collector owns is
/// tried for as long as there is a pipeline.
///
/// # Errors
/// Why some part was not taken.
pub(crate) async fn deliver(parts: Vec<(Outlet, Batch)>) -> Result<(), Refusal> {
    let Some((_, first)) = parts.first() else { return Ok(()) };
    let until = match (first.deadline, first.owned) {
        (Some(deadline), _) => Some(deadline),
        (None, false) => Some(Instant::now() + PATIENCE),
        (None, true) => None,
    };
    let mut pending = parts;
    let mut accepted = false;
    let mut rejected: Option<Refusal> = None;
    let mut wait = FIRST_WAIT;
    loop {
        // The only part goes as it is: nobody would send it again from here.
        let is_last = pending.len() == 1 && !accepted;
        let outcomes = match (is_last, pending.pop()) {
            (true, Some((outlet, batch))) => return joined(rejected, outlet.send(batch).await.err()),
            (_, last) => {
                pending.extend(last);
                join_all(pending.iter().map(|(outlet, batch)| outlet.send(batch.clone()))).await
            }
        };
        let mut refused = None;
        let mut delay = wait;
        let mut outcomes = outcomes.into_iter();
        pending.retain(|(outlet, _)| match outcomes.next() {
            Some(Err(refusal)) if refusal.is_retryable() => {
                delay = delay.max(refusal.delay().unwrap_or_default());
                // The configuration took the pipeline away: it does not come back.
                let stays = outlet.is_wired();
                refused = joined(refused.take(), Some(refusal)).err();
                stays
            }
            Some(Err(refusal)) => {
                rejected = joined(rejected.take(), Some(refusal)).err();
                false
            }
            Some(Ok(())) | None => {
                accepted = true;
                false
            }
        });
        let Some(refusal) = refused else { return joined(rejected, None) };
        let next = Instant::now() + delay.mul_f64(0.5 + rand::random::<f64>());
        if pending.is_empty() || !accepted || until.is_some_and(|until| next >= until) {
            return Err(refusal);
        }
        tokio::time::sleep_until(next).await;
        wait = wait.mul_f64(1.5).min(LONGEST_WAIT);
    }
}

/// One refusal for two: the first, with the texts of both.
fn joined(first: Option<Refusal>, second: Option<Refusal>) -> Result<(), Refusal> {
    match (first, second) {
        (None, None) => Ok(()),
        (Some(refusal), None) | (None, Some(refusal)) => Err(refusal),
        (Some(first), Some(second)) if first.message() == second.message() => Err(first),
        (Some(first), Some(second)) => {
            let text = format!("{}; {}", first.message(), second.message());
            Err(match first.is_retryable() {
                true => Refusal::retryable(first.reason(), text),
                false => Refusal::permanent(first.reason(), text),
            })
        }
    }
}
