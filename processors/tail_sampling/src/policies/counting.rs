//! `or` and `k_of_n`: policies that want so many of others to keep a trace.

use std::any::Any;

use phoenix_sampling::Vote as Chance;

use crate::config::{KOfNConfig, OrConfig};
use crate::facts::TraceFacts;
use crate::plan::Builder;
use crate::policies::combined::Parts;
use crate::policy::{Foreseen, Moment, Policy, Verdict, Vote};

/// Keeps what at least `k` of its parts keep. A part that fails keeps nothing.
struct KOf {
    k: usize,
    parts: Parts,
    votes: Vec<Chance>,
}

impl Policy for KOf {
    fn decide(&mut self, trace: &TraceFacts, now: Moment) -> Verdict {
        self.votes.clear();
        let verdicts = self.parts.iter_mut().map(|policy| policy.decide(trace, now));
        self.votes.extend(verdicts.map(|verdict| match verdict.vote {
            Vote::Error => Chance::of(false),
            _ => verdict.chance(),
        }));
        let randomness = trace.randomness();
        Verdict::of(Chance::k_of(self.k, &self.votes, randomness), randomness)
    }

    fn foresee(&self, trace: &TraceFacts) -> Foreseen {
        Foreseen::k_of(self.k, self.parts.iter().map(|policy| policy.foresee(trace)))
    }

    fn wants_preview(&self) -> bool {
        self.parts.wants_preview()
    }

    fn preview(&mut self, trace: &TraceFacts, now: Moment) {
        for policy in self.parts.iter_mut() {
            policy.preview(trace, now);
        }
    }

    fn end_of_round(&mut self, now: Moment) {
        self.parts.end_of_round(now);
    }

    fn adopt(&mut self, old: &mut dyn Policy) {
        if let Some(old) = old.as_any().downcast_mut::<KOf>() {
            self.parts.adopt(&mut old.parts);
        }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

pub(crate) fn or(builder: &mut Builder<'_>, config: &OrConfig, key: &str) -> Option<Box<dyn Policy>> {
    let parts = Parts::build(builder, &config.or_sub_policy, &format!("{key}::or_sub_policy"))?;
    Some(Box::new(KOf { k: 1, parts, votes: Vec::new() }))
}

pub(crate) fn k_of_n(builder: &mut Builder<'_>, config: &KOfNConfig, key: &str) -> Option<Box<dyn Policy>> {
    let all = config.k_of_n_sub_policy.len();
    let k = usize::try_from(config.k).unwrap_or(usize::MAX);
    let parts = Parts::build(builder, &config.k_of_n_sub_policy, &format!("{key}::k_of_n_sub_policy"))?;
    if !(1..=all).contains(&k) {
        builder
            .problems()
            .error(&format!("{key}::k"), format!("must be from 1 to the number of policies, {all}"));
        return None;
    }
    Some(Box::new(KOf { k, parts, votes: Vec::new() }))
}
