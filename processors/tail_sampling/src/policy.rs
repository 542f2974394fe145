//! What decides about traces.

use std::any::Any;
use std::time::Duration;

use phoenix_sampling::{Randomness, Threshold, Vote as Chance};

use crate::facts::TraceFacts;

/// What a policy says about a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vote {
    /// Keep it.
    Sampled,
    /// No reason to keep it.
    NotSampled,
    /// Drop it, whatever others say.
    Dropped,
    /// Keep it unless anybody says [`Vote::NotSampled`]; see `compat.invert_decisions`.
    InvertSampled,
    /// Drop it unless anybody says [`Vote::Dropped`], which does the same.
    InvertNotSampled,
    /// The policy could not tell.
    Error,
}

impl Vote {
    /// The vote that says whether to keep.
    pub fn keep_if(keep: bool) -> Vote {
        if keep { Vote::Sampled } else { Vote::NotSampled }
    }

    /// Whether it wants to keep.
    pub fn keeps(self) -> bool {
        matches!(self, Vote::Sampled | Vote::InvertSampled)
    }
}

/// A vote, and what is behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The vote.
    pub vote: Vote,
    /// By which threshold on the trace's randomness a trace like this is kept: [`Threshold::ALWAYS`] where all of them
    /// are, none where the probability is not known.
    pub threshold: Option<Threshold>,
    /// Which part of the policy decided, by its index.
    pub part: Option<u16>,
}

impl Verdict {
    /// The verdict of a rule that treats all such traces alike.
    pub fn certain(vote: Vote) -> Verdict {
        Verdict { vote, threshold: Some(Threshold::ALWAYS), part: None }
    }

    /// The verdict of a sampler that compares the trace's randomness with `threshold`.
    pub fn by_threshold(vote: Vote, threshold: Threshold) -> Verdict {
        Verdict { vote, threshold: Some(threshold), part: None }
    }

    /// The verdict of a sampler with this threshold about a trace of this randomness. Where it keeps none of its kind, that
    /// is certain.
    pub fn by(threshold: Threshold, randomness: Randomness) -> Verdict {
        Verdict::of(Chance::By(threshold), randomness)
    }

    /// The verdict that says what a composition of votes wants.
    pub fn of(chance: Chance, randomness: Randomness) -> Verdict {
        let vote = Vote::keep_if(chance.wants(randomness));
        match chance {
            Chance::By(Threshold::NEVER) => Verdict::certain(vote),
            Chance::By(threshold) => Verdict::by_threshold(vote, threshold),
            Chance::Somehow(_) => Verdict::uncertain(vote),
        }
    }

    /// It as a vote that can be composed.
    pub fn chance(self) -> Chance {
        match self.threshold {
            None => Chance::Somehow(self.vote.keeps()),
            // A rule without a threshold that keeps nothing of the kind.
            Some(Threshold::ALWAYS) => Chance::of(self.vote.keeps()),
            Some(threshold) => Chance::By(threshold),
        }
    }

    /// A verdict that depends on more than the trace, so that its probability is not known.
    pub fn uncertain(vote: Vote) -> Verdict {
        Verdict { vote, threshold: None, part: None }
    }
}

/// What a policy will make of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreseen {
    /// Keep it.
    Keeps,
    /// It is one of those among which it chooses.
    Chooses,
    /// The trace is nothing to it.
    Passes,
    /// That is only known once it is asked.
    Unknown,
}

impl Foreseen {
    /// By a property of the trace.
    pub fn of(is_kept: bool) -> Foreseen {
        if is_kept { Foreseen::Keeps } else { Foreseen::Passes }
    }

    /// The same of the opposite policy.
    pub fn opposite(self) -> Foreseen {
        match self {
            Foreseen::Keeps => Foreseen::Passes,
            Foreseen::Passes => Foreseen::Keeps,
            other => other,
        }
    }

    /// What follows where at least `k` have to keep.
    pub fn k_of(k: usize, all: impl Iterator<Item = Foreseen>) -> Foreseen {
        let (mut keep, mut choose, mut unknown) = (0, 0, 0);
        for foreseen in all {
            match foreseen {
                Foreseen::Keeps => keep += 1,
                Foreseen::Chooses => choose += 1,
                Foreseen::Unknown => unknown += 1,
                Foreseen::Passes => {}
            }
        }
        match () {
            () if keep >= k => Foreseen::Keeps,
            () if keep + choose >= k => Foreseen::Chooses,
            () if keep + choose + unknown >= k => Foreseen::Unknown,
            () => Foreseen::Passes,
        }
    }
}

/// The time of a decision, in monotonic and in Unix time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    /// Monotonic time, as [`TraceFacts::first_seen`].
    pub monotonic: Duration,
    /// Unix time in nanoseconds.
    pub unix_nanos: u64,
}

/// Decides about traces by what is known of them.
///
/// Each shard has policies of its own. What they share lies in [`crate::plan::Builder::shared`].
pub trait Policy: Send {
    /// The verdict about a trace. Called once for each trace, also where another policy has kept it already.
    fn decide(&mut self, trace: &TraceFacts, now: Moment) -> Verdict;

    /// What the policy will make of a trace, as far as the trace's properties say: never by its randomness, nor by what
    /// others were like. So a budget is only shown the traces that it will be asked about.
    fn foresee(&self, _trace: &TraceFacts) -> Foreseen {
        Foreseen::Unknown
    }

    /// Whether [`Policy::preview`] is wanted.
    fn wants_preview(&self) -> bool {
        false
    }

    /// Sees a trace that is about to be decided. All traces that are due together are shown before the first of
    /// them is decided, so that a policy can choose among them.
    fn preview(&mut self, _trace: &TraceFacts, _now: Moment) {}

    /// All traces that are due together were decided.
    fn end_of_round(&mut self, _now: Moment) {}

    /// Goes on with the state of the policy that had this name and type under the former configuration.
    fn adopt(&mut self, _old: &mut dyn Policy) {}

    /// The names of its parts, by the indices in [`Verdict::part`].
    fn parts(&self) -> Vec<String> {
        Vec::new()
    }

    /// For [`Policy::adopt`] of a successor.
    fn as_any(&mut self) -> &mut dyn Any;
}
