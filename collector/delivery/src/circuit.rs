//! How hard a backend may be pushed that throttles or does not answer.
//!
//! otelcol lets each consumer of a queue find that out for itself. Here they share what they learn:
//!
//! - A delay that the backend asked for holds all attempts, up to the longest interval between retries.
//! - After a few failures in a row the circuit is *open*: batches stand in line, and the first of the line
//!   makes the next attempt, after an interval that grows as that of retries does. Whoever fails goes to the
//!   end of the line. Any success closes the circuit, and the line dissolves.
//!
//! The line is a fair semaphore with one permit, which its holder keeps until its attempt has ended; so a
//! wake-up cannot get lost, and but for the holder nobody waits on a timer of the circuit. A single batch
//! is tried exactly when its own retries would have it tried.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use phoenix_component::Refusal;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::RetrySettings;
use crate::retry::{Backoff, grown, spread};

/// Failures in a row after which attempts go out one by one.
const OPEN_AFTER: u32 = 3;

pub(crate) struct Circuit {
    settings: RetrySettings,
    /// False while there is nothing that attempts or successes need to look at.
    is_minded: AtomicBool,
    state: Mutex<State>,
    line: Semaphore,
    /// Told when the circuit closes, for the first of the line.
    closed: Notify,
}

#[derive(Default)]
struct State {
    failures: u32,
    hold_until: Option<Instant>,
    open: Option<Open>,
}

struct Open {
    probe_at: Instant,
    /// Before it is spread.
    interval: Duration,
    last: Refusal,
}

/// Leave to make one attempt; kept until the attempt has ended.
pub(crate) struct Pass<'a>(Option<SemaphorePermit<'a>>);

impl Pass<'_> {
    /// For an attempt that asks nobody.
    pub(crate) fn free() -> Pass<'static> {
        Pass(None)
    }

    /// Whether the attempt is the only one.
    pub(crate) fn is_probe(&self) -> bool {
        self.0.is_some()
    }
}

/// What an attempt changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    Opened,
    Closed,
}

enum Gate {
    Free,
    Held(Instant),
    Open(Instant),
}

impl Circuit {
    /// A circuit that is closed; it never opens where nothing is retried.
    pub(crate) fn new(settings: RetrySettings) -> Circuit {
        Circuit {
            settings,
            is_minded: AtomicBool::new(false),
            state: Mutex::default(),
            line: Semaphore::new(1),
            closed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gate(&self, now: Instant) -> Gate {
        if !self.is_minded.load(Relaxed) {
            return Gate::Free;
        }
        let mut state = self.state();
        match (state.hold_until, &state.open) {
            (Some(until), _) if until > now => return Gate::Held(until),
            (_, Some(open)) => return Gate::Open(open.probe_at),
            _ => {}
        }
        state.hold_until = None;
        self.is_minded.store(state.failures > 0, Relaxed);
        Gate::Free
    }

    /// Whether attempts stand in line.
    pub(crate) fn is_open(&self) -> bool {
        self.is_minded.load(Relaxed) && self.state().open.is_some()
    }

    /// What the backend answered last, while attempts stand in line.
    pub(crate) fn last_refusal(&self) -> Option<Refusal> {
        self.state().open.as_ref().map(|open| open.last.clone())
    }

    /// Leave for an attempt where none has to wait.
    pub(crate) fn free_pass(&self) -> Option<Pass<'static>> {
        (!self.is_minded.load(Relaxed)).then(Pass::free)
    }

    /// Waits until an attempt may go out.
    pub(crate) async fn pass(&self) -> Pass<'_> {
        loop {
            match self.gate(Instant::now()) {
                Gate::Free => return Pass::free(),
                Gate::Held(until) => tokio::time::sleep_until(until).await,
                // The semaphore is never closed.
                Gate::Open(_) => match self.line.acquire().await {
                    Ok(first) => return self.pass_as_first(first).await,
                    Err(_) => return Pass::free(),
                },
            }
        }
    }

    async fn pass_as_first<'a>(&'a self, first: SemaphorePermit<'a>) -> Pass<'a> {
        loop {
            // Listens before it looks, so that no close falls in between.
            let mut closed = pin!(self.closed.notified());
            closed.as_mut().enable();
            let now = Instant::now();
            match self.gate(now) {
                Gate::Free => return Pass::free(),
                Gate::Held(until) => tokio::time::sleep_until(until).await,
                Gate::Open(probe_at) if probe_at <= now => return Pass(Some(first)),
                // Whichever it was, the loop looks again.
                Gate::Open(probe_at) => drop(tokio::time::timeout_at(probe_at, closed).await),
            }
        }
    }

    /// The backend took a batch, or said why it never will.
    pub(crate) fn answered(&self) -> Change {
        if !self.is_minded.load(Relaxed) {
            return Change::None;
        }
        let mut state = self.state();
        state.failures = 0;
        let closes = state.open.take().is_some();
        self.is_minded.store(state.hold_until.is_some(), Relaxed);
        drop(state);
        if closes {
            self.closed.notify_one();
            return Change::Closed;
        }
        Change::None
    }

    /// An attempt failed at `now`, and would be repeated after `backoff`; `random` is uniform in `0.0..1.0`.
    pub(crate) fn failed(
        &self,
        refusal: &Refusal,
        was_probe: bool,
        backoff: Backoff,
        now: Instant,
        random: f64,
    ) -> Change {
        if !self.settings.enabled {
            return Change::None;
        }
        let mut state = self.state();
        self.is_minded.store(true, Relaxed);
        let longest = self.settings.max_interval.as_duration();
        if let Some(until) = refusal.delay().and_then(|delay| now.checked_add(delay.min(longest))) {
            state.hold_until = state.hold_until.max(Some(until));
        }
        state.failures = state.failures.saturating_add(1);
        let failures = state.failures;
        let later = |wait: Duration| now.checked_add(wait).unwrap_or(now);
        match &mut state.open {
            Some(open) => {
                if was_probe {
                    open.interval = grown(open.interval, &self.settings).max(backoff.interval);
                    open.probe_at = later(spread(open.interval, &self.settings, random));
                }
                open.last = refusal.clone();
                Change::None
            }
            None if failures < OPEN_AFTER => Change::None,
            None => {
                let Backoff { interval, wait } = backoff;
                state.open = Some(Open { probe_at: later(wait), interval, last: refusal.clone() });
                Change::Opened
            }
        }
    }
}
