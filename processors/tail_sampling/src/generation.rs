//! The policies of one configuration, and how their votes become a decision.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use phoenix_component::Now;
use phoenix_sampling::{Threshold, Vote as Chance};
use phoenix_telemetry::{Counter, Metrics};

use crate::config::{Evaluation, PolicyType};
use crate::facts::{SamplingState, TraceFacts};
use crate::metrics::{Outcome, PolicyMetrics, TIMED_ONE_IN};
use crate::plan::{Named, Plan};
use crate::policy::{Foreseen, Moment, Verdict, Vote};

/// A decision, and who made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) outcome: Outcome,
    /// The policy that kept or dropped it.
    pub(crate) policy: Option<Arc<str>>,
    /// The part of that policy.
    pub(crate) part: Option<Arc<str>>,
    /// By which threshold traces like this are kept; none where that is not known.
    pub(crate) threshold: Option<Threshold>,
    /// Its class of retention, as an index of [`Plan::classes`].
    pub(crate) class: Option<u16>,
}

impl Decision {
    /// Not kept by anybody.
    pub(crate) fn not_sampled() -> Decision {
        Decision { outcome: Outcome::NotSampled, policy: None, part: None, threshold: None, class: None }
    }
}

/// The policies of one configuration. Traces are decided by those that were in force when they were first seen.
pub(crate) struct Generation {
    pub(crate) number: u32,
    pub(crate) plan: Plan,
    /// Traces that wait for its decision.
    pub(crate) traces: u64,
    first_match: bool,
    metrics: Vec<PolicyMetrics>,
    errors: Counter,
    parts: Vec<Vec<Arc<str>>>,
    wants_preview: bool,
    /// Traces until one is timed.
    until_timed: u32,
    /// The policies are timed for the trace at hand.
    is_timed: bool,
    /// Room to work in.
    votes: Vec<Chance>,
}

/// The generation of a number, if it is there: they follow each other.
pub(crate) fn numbered(generations: &mut VecDeque<Generation>, number: u32) -> Option<&mut Generation> {
    let first = generations.front()?.number;
    generations.get_mut(number.checked_sub(first)? as usize)
}

fn moment(now: Now) -> Moment {
    Moment { monotonic: now.monotonic, unix_nanos: now.unix_nanos }
}

impl Generation {
    pub(crate) fn new(
        plan: Plan,
        first_match: bool,
        metrics: &Metrics,
        id: &str,
        errors: Counter,
    ) -> Generation {
        let of_policy = |named: &Named| PolicyMetrics::new(metrics, id, &named.name);
        let parts = |named: &Named| named.policy.parts().into_iter().map(Arc::from).collect();
        Generation {
            number: 0,
            traces: 0,
            first_match,
            metrics: plan.policies.iter().map(of_policy).collect(),
            errors,
            parts: plan.policies.iter().map(parts).collect(),
            wants_preview: plan.policies.iter().any(|named| named.policy.wants_preview()),
            plan,
            until_timed: 0,
            is_timed: false,
            votes: Vec::new(),
        }
    }

    /// Goes on with the state of the policies of the former configuration that have the same name and type.
    pub(crate) fn adopt(&mut self, old: &mut Generation) {
        for named in &mut self.plan.policies {
            let mut candidates = old.plan.policies.iter_mut();
            if let Some(old) = candidates.find(|old| old.name == named.name && old.kind == named.kind) {
                named.policy.adopt(&mut *old.policy);
            }
        }
    }

    /// The share that stays of what a trace is cut by; none where it is not.
    pub(crate) fn truncation_of(&self, trace: &TraceFacts) -> Option<Threshold> {
        let mut truncations = self.plan.truncations.iter();
        truncations.find(|cut| cut.applies_to(trace.spans(), trace.bytes())).map(|cut| cut.share)
    }

    /// Whether a policy drops traces whatever others say.
    pub(crate) fn has_drops(&self) -> bool {
        self.plan.policies.iter().any(|named| named.kind == PolicyType::Drop)
    }

    /// Memory for what policies of extensions note for a trace.
    pub(crate) fn note_bytes(&self) -> usize {
        const ALLOCATION: usize = 16;
        match self.plan.conditions.observers() {
            0 => 0,
            count => size_of::<SamplingState>() + count * size_of::<u64>() + 2 * ALLOCATION,
        }
    }

    pub(crate) fn wants_preview(&self) -> bool {
        self.wants_preview
    }

    /// Shows a trace to the policies that will be asked about it.
    pub(crate) fn preview(&mut self, trace: &TraceFacts, now: Now) {
        let stops = self.plan.evaluation == Evaluation::FirstMatch;
        for named in &mut self.plan.policies {
            let foreseen = named.policy.foresee(trace);
            if foreseen == Foreseen::Passes {
                continue;
            }
            named.policy.preview(trace, moment(now));
            if stops && foreseen != Foreseen::Unknown && !named.is_shadow {
                break;
            }
        }
    }

    pub(crate) fn end_of_round(&mut self, now: Now) {
        for named in &mut self.plan.policies {
            named.policy.end_of_round(moment(now));
        }
    }

    /// Asks the policies, and decides.
    pub(crate) fn decide(&mut self, trace: &TraceFacts, now: Now) -> Decision {
        self.is_timed = self.until_timed == 0;
        self.until_timed = self.until_timed.checked_sub(1).unwrap_or(TIMED_ONE_IN - 1);
        match self.plan.evaluation {
            Evaluation::Votes => self.decide_by_votes(trace, moment(now)),
            Evaluation::FirstMatch => self.decide_by_first(trace, moment(now)),
        }
    }

    /// What one policy says, counted; none where it failed, or is not to be heard.
    fn ask(&mut self, index: usize, trace: &TraceFacts, now: Moment) -> Option<Verdict> {
        let named = &mut self.plan.policies[index];
        // What is measured decides nothing: the policies only know the time that is handed in.
        let began = self.is_timed.then(Instant::now);
        let verdict = named.policy.decide(trace, now);
        if let Some(began) = began {
            self.metrics[index].timed(began.elapsed());
        }
        let outcome = match verdict.vote {
            Vote::Sampled | Vote::InvertSampled => Outcome::Sampled,
            Vote::NotSampled | Vote::InvertNotSampled => Outcome::NotSampled,
            Vote::Dropped => Outcome::Dropped,
            Vote::Error => {
                self.errors.add(1);
                self.metrics[index].failed();
                return None;
            }
        };
        let is_heard = !named.is_shadow;
        self.metrics[index].count(outcome, trace.spans());
        Some(verdict).filter(|_| is_heard)
    }

    /// 1. dropped, if a policy says so;
    /// 2. not sampled, if an inverted policy says so;
    /// 3. sampled, if a policy says so: the first of them is named;
    /// 4. sampled, if an inverted policy says so and none says the contrary;
    /// 5. else not sampled.
    ///
    /// What a policy that failed would have said does not count.
    fn decide_by_votes(&mut self, trace: &TraceFacts, now: Moment) -> Decision {
        let mut sampled: Option<(usize, Verdict)> = None;
        let mut inverted: Option<(usize, Verdict)> = None;
        let (mut is_vetoed, mut is_opposed) = (false, false);
        let mut class: Option<u16> = None;
        self.votes.clear();
        for index in 0..self.plan.policies.len() {
            let Some(verdict) = self.ask(index, trace, now) else { continue };
            match verdict.vote {
                Vote::Dropped => return self.decision(Outcome::Dropped, index, verdict, None),
                Vote::Sampled => {
                    self.votes.push(verdict.chance());
                    class = higher(class, self.plan.policies[index].class);
                    sampled.get_or_insert((index, verdict));
                    if self.first_match {
                        break;
                    }
                }
                Vote::InvertSampled => {
                    inverted.get_or_insert((index, verdict));
                }
                Vote::InvertNotSampled => is_vetoed = true,
                Vote::NotSampled => is_opposed = true,
                Vote::Error => {}
            }
        }
        match (is_vetoed, sampled, inverted) {
            (false, Some((index, verdict)), _) => {
                let threshold = Chance::k_of(1, &self.votes, trace.randomness()).threshold();
                Decision { class, ..self.decision(Outcome::Sampled, index, verdict, threshold) }
            }
            (false, None, Some((index, verdict))) if !is_opposed => {
                let class = self.plan.policies[index].class;
                Decision { class, ..self.decision(Outcome::Sampled, index, verdict, verdict.threshold) }
            }
            _ => Decision::not_sampled(),
        }
    }

    /// The first policy to which the trace is anything decides. Which one that is depends on what the trace is and not on its
    /// randomness, so what it keeps has its threshold.
    fn decide_by_first(&mut self, trace: &TraceFacts, now: Moment) -> Decision {
        for index in 0..self.plan.policies.len() {
            let Some(verdict) = self.ask(index, trace, now) else { continue };
            let outcome = match verdict.vote {
                Vote::Sampled | Vote::InvertSampled => Outcome::Sampled,
                Vote::Dropped => Outcome::Dropped,
                _ if verdict.threshold == Some(Threshold::ALWAYS) => continue,
                _ => Outcome::NotSampled,
            };
            let class = self.plan.policies[index].class;
            return Decision { class, ..self.decision(outcome, index, verdict, verdict.threshold) };
        }
        Decision::not_sampled()
    }

    fn decision(
        &self,
        outcome: Outcome,
        index: usize,
        verdict: Verdict,
        threshold: Option<Threshold>,
    ) -> Decision {
        let part = verdict.part.and_then(|part| self.parts[index].get(usize::from(part)).cloned());
        Decision {
            outcome,
            policy: Some(self.plan.policies[index].name.clone()),
            part,
            threshold,
            class: None,
        }
    }

    pub(crate) fn settle(&mut self) {
        self.metrics.iter_mut().for_each(PolicyMetrics::settle);
    }
}

/// The higher class of retention: the one with the lower index.
fn higher(one: Option<u16>, other: Option<u16>) -> Option<u16> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
