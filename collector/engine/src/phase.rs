//! Some branches of a fan-out, asked at once and each again for as long as that helps.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use phoenix_component::{Batch, BoxFuture, Refusal};
use phoenix_telemetry::Counter;
use tokio::time::{Instant, Sleep};

use crate::backoff::Backoff;
use crate::fan_out::Branch;

/// How long branches are retried for a sender that named no deadline.
const PATIENCE: Duration = Duration::from_secs(5);

/// What became of a batch over all phases. Dropped before its end, as by a sender that goes away, it counts
/// what some branches have taken and will see again.
pub(crate) struct Tally<'a> {
    partial: &'a Counter,
    items: u64,
    accepted: usize,
    rejected: Option<Refusal>,
    has_ended: bool,
}

impl<'a> Tally<'a> {
    pub(crate) fn new(partial: &'a Counter, items: u64) -> Tally<'a> {
        Tally { partial, items, accepted: 0, rejected: None, has_ended: false }
    }

    /// Every branch has taken the batch, or rejected it for good.
    pub(crate) fn end(mut self) -> Result<(), Refusal> {
        self.has_ended = true;
        self.rejected.take().map_or(Ok(()), Err)
    }
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        if !self.has_ended && self.accepted > 0 {
            self.partial.add(self.items);
        }
    }
}

/// Branches of one kind, and where each of them stands.
pub(crate) struct Phase<'a> {
    batch: &'a Batch,
    turns: Vec<Turn<'a>>,
    /// When retries end.
    retry_until: Option<Instant>,
    /// When the sender stops waiting.
    deadline: Option<Pin<Box<Sleep>>>,
}

struct Turn<'a> {
    branch: &'a Branch,
    backoff: Backoff,
    state: State<'a>,
}

enum State<'a> {
    Asked(BoxFuture<'a, Result<(), Refusal>>),
    /// Refused for now; whether that is tried again depends on whether another branch takes the batch.
    Refused(Refusal),
    /// To be asked again.
    Waits(Pin<Box<Sleep>>, Refusal),
    /// Refused, and there is no time to ask again.
    GaveUp(Refusal),
    /// It has taken the batch, or will never take it.
    Done,
}

impl<'a> Phase<'a> {
    pub(crate) fn new(branches: &'a [Branch], batch: &'a Batch) -> Phase<'a> {
        let turn = |branch: &'a Branch| Turn {
            branch,
            backoff: Backoff::new(),
            state: State::Asked(branch.take(batch.clone())),
        };
        let retry_until = match (batch.deadline, batch.owned) {
            (Some(deadline), _) => Some(deadline),
            (None, false) => Some(Instant::now() + PATIENCE),
            (None, true) => None,
        };
        Phase { batch, turns: branches.iter().map(turn).collect(), retry_until, deadline: None }
    }

    /// Asks until each branch has taken the batch or rejected it for good.
    ///
    /// # Errors
    /// Why some branch has not, although it may later.
    pub(crate) async fn run(mut self, tally: &mut Tally<'_>) -> Result<(), Refusal> {
        poll_fn(|cx| self.poll(cx, tally)).await;
        let left = self.turns.into_iter().filter_map(|turn| match turn.state {
            State::Done => None,
            State::Refused(refusal) | State::Waits(_, refusal) | State::GaveUp(refusal) => Some(refusal),
            State::Asked(_) => {
                let text = "a branch did not answer before the sender's deadline";
                Some(Refusal::retryable("deadline", text))
            }
        });
        let Some(refusal) = joined(left) else { return Ok(()) };
        // Nothing is decided for good while a branch may take the batch yet.
        tally.rejected = None;
        Err(refusal)
    }

    fn poll(&mut self, cx: &mut Context<'_>, tally: &mut Tally<'_>) -> Poll<()> {
        loop {
            let mut is_pending = false;
            for turn in &mut self.turns {
                is_pending |= turn.poll(cx, self.batch, tally);
            }
            let mut asks_again = false;
            if tally.accepted > 0 {
                for turn in &mut self.turns {
                    asks_again |= turn.retry(self.retry_until);
                }
            }
            if asks_again {
                // Their timers have to be polled once.
                continue;
            }
            if !is_pending {
                return Poll::Ready(());
            }
            return self.poll_deadline(cx);
        }
    }

    /// Ready once the sender stops waiting.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.batch.deadline else { return Poll::Pending };
        self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at))).as_mut().poll(cx)
    }
}

impl Turn<'_> {
    /// Whether something is under way.
    fn poll(&mut self, cx: &mut Context<'_>, batch: &Batch, tally: &mut Tally<'_>) -> bool {
        if let State::Waits(timer, _) = &mut self.state {
            if timer.as_mut().poll(cx).is_pending() {
                return true;
            }
            self.state = State::Asked(self.branch.take(batch.clone()));
        }
        let State::Asked(asked) = &mut self.state else { return false };
        let Poll::Ready(outcome) = asked.as_mut().poll(cx) else { return true };
        self.state = match outcome {
            Ok(()) => {
                tally.accepted += 1;
                State::Done
            }
            Err(refusal) if !refusal.is_retryable() => {
                tally.rejected = joined(tally.rejected.take().into_iter().chain([refusal]));
                State::Done
            }
            Err(_) if batch.owned && self.branch.abandon_if_closed(batch.items) => State::Done,
            Err(refusal) => State::Refused(refusal),
        };
        false
    }

    /// Whether a branch that refused is to be asked again, now that another has taken the batch.
    fn retry(&mut self, until: Option<Instant>) -> bool {
        let State::Refused(refusal) = &self.state else { return false };
        let next = Instant::now() + self.backoff.wait(refusal.delay(), rand::random());
        let State::Refused(refusal) = std::mem::replace(&mut self.state, State::Done) else { return false };
        let is_late = until.is_some_and(|until| next >= until);
        self.state = match is_late {
            true => State::GaveUp(refusal),
            false => State::Waits(Box::pin(tokio::time::sleep_until(next)), refusal),
        };
        !is_late
    }
}

/// One refusal for several: the first with the texts of all, and with the longest delay. What a backend
/// answered is kept.
fn joined(refusals: impl Iterator<Item = Refusal>) -> Option<Refusal> {
    refusals.reduce(|first, other| {
        if first.message() == other.message() {
            return first;
        }
        let text = format!("{}; {}", first.message(), other.message());
        let mut joined = match first.is_retryable() {
            true => Refusal::retryable(first.reason(), text),
            false => Refusal::permanent(first.reason(), text),
        };
        if let Some(delay) = first.delay().max(other.delay()) {
            joined = joined.after(delay);
        }
        match first.status().or(other.status()) {
            Some(status) => joined.with_status(status.code, status.details.clone()),
            None => joined,
        }
    })
}
