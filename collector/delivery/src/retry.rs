//! When a failed attempt is repeated, and what is said when it is not. No clock, no task.

use std::time::Duration;

use phoenix_component::Refusal;
use phoenix_config::GoDuration;
use tokio::time::Instant;

use crate::RetrySettings;

/// What to do after a failed attempt.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Try again after this time.
    Wait(Duration),
    /// Stop, for this reason.
    GiveUp(Refusal),
}

/// A wait between attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    /// Before it was spread.
    pub(crate) interval: Duration,
    /// After that.
    pub(crate) wait: Duration,
}

/// The attempts of one batch.
pub(crate) struct Retry<'a> {
    settings: &'a RetrySettings,
    /// The next wait, before it is spread.
    interval: Duration,
    give_up_at: Option<Instant>,
    deadline: Option<Instant>,
}

impl<'a> Retry<'a> {
    /// For a batch whose first attempt began at `started` and whose sender waits until `deadline`.
    pub(crate) fn new(settings: &'a RetrySettings, started: Instant, deadline: Option<Instant>) -> Retry<'a> {
        let longest = settings.max_elapsed_time;
        let give_up_at = longest.is_positive().then(|| started + longest.as_duration());
        Retry { settings, interval: settings.initial_interval.as_duration(), give_up_at, deadline }
    }

    /// Judges a failure at `now`, after which `backoff` would be waited.
    pub(crate) fn judge(&self, refusal: Refusal, now: Instant, backoff: Backoff) -> Verdict {
        if !self.settings.enabled {
            return Verdict::GiveUp(refusal);
        }
        if !refusal.is_retryable() {
            return Verdict::GiveUp(because("not retryable error: Permanent error", refusal));
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            return Verdict::GiveUp(because("request is cancelled or timed out", refusal));
        }
        let delay = backoff.wait.max(refusal.delay().unwrap_or_default());
        // Beyond what a clock can tell is beyond any limit.
        let next = now.checked_add(delay);
        let passes = |limit: Option<Instant>| limit.is_some_and(|limit| next.is_none_or(|next| limit < next));
        if next.is_none() || passes(self.give_up_at) {
            return Verdict::GiveUp(because("no more retries left", refusal));
        }
        if passes(self.deadline) {
            return Verdict::GiveUp(because("request will be cancelled before next retry", refusal));
        }
        Verdict::Wait(delay)
    }

    /// When the batch is given up, whatever it waits for.
    pub(crate) fn ends_at(&self) -> Option<Instant> {
        [self.give_up_at, self.deadline].into_iter().flatten().min()
    }

    /// What the batch is given up with at that time, after `refusal`.
    pub(crate) fn expired(&self, refusal: Refusal) -> Refusal {
        match self.deadline.is_some() && self.deadline == self.ends_at() {
            true => because("request is cancelled or timed out", refusal),
            false => because("no more retries left", refusal),
        }
    }

    /// The wait after the failure that has just been seen. `random` is uniform in `0.0..1.0`.
    pub(crate) fn next_backoff(&mut self, random: f64) -> Backoff {
        let interval = self.interval;
        self.interval = grown(interval, self.settings);
        Backoff { interval, wait: spread(interval, self.settings, random) }
    }
}

/// The interval after `interval`.
pub(crate) fn grown(interval: Duration, settings: &RetrySettings) -> Duration {
    let longest = settings.max_interval.as_duration();
    let grown = interval.as_secs_f64() * settings.multiplier;
    Duration::try_from_secs_f64(grown).unwrap_or(longest).min(longest)
}

/// The wait of an interval; `random` is uniform in `0.0..1.0`.
pub(crate) fn spread(interval: Duration, settings: &RetrySettings, random: f64) -> Duration {
    let factor = settings.randomization_factor;
    interval.mul_f64(1.0 - factor + 2.0 * factor * random)
}

/// The same refusal with the reason for giving up before its text.
pub(crate) fn because(why: &str, refusal: Refusal) -> Refusal {
    let text = format!("{why}: {}", described(&refusal));
    rebuilt(&refusal, refusal.reason(), text)
}

/// The same refusal counted under another reason, retryable, with the reason for giving up before its text.
pub(crate) fn interrupted(refusal: &Refusal) -> Refusal {
    rebuilt(refusal, SHUTDOWN, format!("interrupted due to shutdown: {}", described(refusal)))
}

/// The label of what could not be delivered before the end.
pub(crate) const SHUTDOWN: &str = "shutdown";

fn rebuilt(refusal: &Refusal, reason: &'static str, text: String) -> Refusal {
    let mut rebuilt = match refusal.is_retryable() {
        true => Refusal::retryable(reason, text),
        false => Refusal::permanent(reason, text),
    };
    if let Some(delay) = refusal.delay() {
        rebuilt = rebuilt.after(delay);
    }
    match refusal.status() {
        Some(status) => rebuilt.with_status(status.code, status.details.clone()),
        None => rebuilt,
    }
}

/// The text of a refusal, with the delay that the backend asked for.
pub(crate) fn described(refusal: &Refusal) -> String {
    match refusal.delay() {
        Some(delay) => format!("Throttle ({}), error: {}", in_words(delay), refusal.message()),
        None => refusal.message().to_owned(),
    }
}

/// A duration as Go prints it.
pub(crate) fn in_words(duration: Duration) -> String {
    GoDuration::from_nanos(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use phoenix_component::Code;

    const BUSY: fn() -> Refusal = || Refusal::retryable("unavailable", "busy");

    fn given_up(verdict: Verdict) -> String {
        match verdict {
            Verdict::GiveUp(refusal) => refusal.message().to_owned(),
            Verdict::Wait(_) => panic!("goes on"),
        }
    }

    fn wait(verdict: Verdict) -> Duration {
        match verdict {
            Verdict::Wait(wait) => wait,
            Verdict::GiveUp(refusal) => panic!("gave up: {refusal}"),
        }
    }

    impl Retry<'_> {
        fn after(&mut self, refusal: Refusal, now: Instant, random: f64) -> Verdict {
            let backoff = self.next_backoff(random);
            self.judge(refusal, now, backoff)
        }
    }

    #[test]
    fn waits_grow_are_spread_and_end() {
        let settings = RetrySettings::default();
        let start = Instant::now();
        let mut retry = Retry::new(&settings, start, None);
        let seconds = Duration::from_secs_f64;
        assert_eq!(wait(retry.after(BUSY(), start, 0.5)), seconds(5.0));
        assert_eq!(wait(retry.after(BUSY(), start, 0.0)), seconds(3.75));
        assert_eq!(wait(retry.after(BUSY(), start, 1.0)), seconds(11.25 * 1.5));
        (0..9).for_each(|_| drop(retry.after(BUSY(), start, 0.0)));
        assert_eq!(wait(retry.after(BUSY(), start, 0.5)), seconds(30.0));
        assert_eq!(wait(retry.after(BUSY(), start + seconds(270.0), 0.5)), seconds(30.0));
        let last = retry.after(BUSY(), start + seconds(270.1), 0.5);
        assert_eq!(given_up(last), "no more retries left: busy");
    }

    #[test]
    fn a_backend_that_asks_for_time_gets_it() {
        let settings = RetrySettings::default();
        let start = Instant::now();
        let mut retry = Retry::new(&settings, start, None);
        let throttled = |delay| BUSY().after(Duration::from_secs(delay));
        assert_eq!(wait(retry.after(throttled(60), start, 0.5)), Duration::from_secs(60));
        assert_eq!(wait(retry.after(throttled(1), start, 0.5)), Duration::from_millis(7500));
        let text = given_up(retry.after(throttled(301), start, 0.5));
        assert_eq!(text, "no more retries left: Throttle (5m1s), error: busy");
        let text = given_up(retry.after(BUSY().after(Duration::MAX), start, 0.5));
        assert!(text.starts_with("no more retries left: Throttle"), "{text}");
    }

    #[test]
    fn it_stops_where_waiting_cannot_help_and_keeps_what_the_backend_said() {
        let settings = RetrySettings::default();
        let start = Instant::now();
        let deadline = Some(start + Duration::from_secs(4));
        let mut retry = Retry::new(&settings, start, deadline);
        let bad = Refusal::permanent("invalid", "bad").with_status(Code::INVALID_ARGUMENT, vec![1].into());
        let Verdict::GiveUp(refusal) = retry.after(bad, start, 0.5) else { panic!("goes on") };
        assert_eq!(refusal.message(), "not retryable error: Permanent error: bad");
        assert_eq!(refusal.status().map(|status| &status.details[..]), Some(&[1][..]));
        assert!(!refusal.is_retryable());
        let late = retry.after(BUSY(), start, 0.5);
        assert_eq!(given_up(late), "request will be cancelled before next retry: busy");
        let over = retry.after(BUSY(), start + Duration::from_secs(4), 0.5);
        assert_eq!(given_up(over), "request is cancelled or timed out: busy");
        let off = RetrySettings { enabled: false, ..settings };
        assert_eq!(given_up(Retry::new(&off, start, None).after(BUSY(), start, 0.5)), "busy");
    }
}
