//! `and`, `not` and `drop`: policies made of policies.

use std::any::Any;

use phoenix_sampling::Threshold;

use crate::config::{AndConfig, DropConfig, NotConfig, PolicyConfig};
use crate::facts::TraceFacts;
use crate::plan::{Builder, labels};
use crate::policy::{Foreseen, Moment, Policy, Verdict, Vote};

type Built = Option<Box<dyn Policy>>;

/// The policies inside one.
pub(crate) struct Parts(Vec<Part>);

struct Part {
    name: String,
    /// What tells it apart where its name does not.
    label: String,
    policy: Box<dyn Policy>,
}

impl Parts {
    /// Builds the policies that stand at `key`; none where there are none, or something is wrong with one.
    pub(crate) fn build(builder: &mut Builder<'_>, configs: &[PolicyConfig], key: &str) -> Option<Parts> {
        if configs.is_empty() {
            builder.problems().error(key, "must name at least one policy");
            return None;
        }
        let built = builder.list(configs, key).into_iter().collect::<Option<Vec<_>>>()?;
        let names = configs.iter().map(|config| config.name.clone()).zip(labels(configs));
        Some(Parts(names.zip(built).map(|((name, label), policy)| Part { name, label, policy }).collect()))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|part| part.name.as_str())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Box<dyn Policy>> {
        self.0.iter_mut().map(|part| &mut part.policy)
    }

    /// Each goes on with the state of the one of its name.
    pub(crate) fn adopt(&mut self, old: &mut Parts) {
        for part in &mut self.0 {
            if let Some(old) = old.0.iter_mut().find(|other| other.label == part.label) {
                part.policy.adopt(&mut *old.policy);
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Box<dyn Policy>> {
        self.0.iter().map(|part| &part.policy)
    }

    pub(crate) fn wants_preview(&self) -> bool {
        self.0.iter().any(|part| part.policy.wants_preview())
    }

    fn foresee_all(&self, trace: &TraceFacts) -> Foreseen {
        Foreseen::k_of(self.0.len(), self.iter().map(|policy| policy.foresee(trace)))
    }

    /// Shows a trace to each, up to the first that will not keep it: those behind will not be asked.
    fn preview(&mut self, trace: &TraceFacts, now: Moment) {
        for policy in self.iter_mut() {
            if policy.foresee(trace) == Foreseen::Passes {
                break;
            }
            policy.preview(trace, now);
        }
    }

    pub(crate) fn end_of_round(&mut self, now: Moment) {
        self.iter_mut().for_each(|policy| policy.end_of_round(now));
    }

    /// Whether all of them keep a trace: asked one after the other, up to the first that does not, or fails. The
    /// thresholds of all that matter make one: the greatest.
    fn all_keep(&mut self, trace: &TraceFacts, now: Moment) -> Verdict {
        let (mut threshold, mut left_out) = (Some(Threshold::ALWAYS), None);
        for policy in self.iter_mut() {
            let verdict = policy.decide(trace, now);
            match verdict.vote {
                Vote::Sampled | Vote::InvertSampled => {
                    threshold = threshold.zip(verdict.threshold).map(|(a, b)| a.max(b));
                }
                Vote::NotSampled | Vote::InvertNotSampled | Vote::Dropped => {
                    left_out = Some(Verdict { vote: Vote::NotSampled, part: None, ..verdict });
                    break;
                }
                Vote::Error => return verdict,
            }
        }
        match left_out {
            // Left out by chance or a limit, and nothing to those behind anyway.
            Some(_) if self.foresee_all(trace) == Foreseen::Passes => Verdict::certain(Vote::NotSampled),
            Some(verdict) => verdict,
            None => Verdict { vote: Vote::Sampled, threshold, part: None },
        }
    }
}

/// What is made of policies that all keep a trace.
struct All {
    parts: Parts,
    /// The vote where they do.
    vote: Vote,
}

impl Policy for All {
    fn decide(&mut self, trace: &TraceFacts, now: Moment) -> Verdict {
        let verdict = self.parts.all_keep(trace, now);
        match verdict.vote {
            Vote::Sampled => Verdict { vote: self.vote, ..verdict },
            _ => verdict,
        }
    }

    fn foresee(&self, trace: &TraceFacts) -> Foreseen {
        self.parts.foresee_all(trace)
    }

    fn wants_preview(&self) -> bool {
        self.parts.wants_preview()
    }

    fn preview(&mut self, trace: &TraceFacts, now: Moment) {
        self.parts.preview(trace, now);
    }

    fn end_of_round(&mut self, now: Moment) {
        self.parts.end_of_round(now);
    }

    fn adopt(&mut self, old: &mut dyn Policy) {
        if let Some(old) = old.as_any().downcast_mut::<All>() {
            self.parts.adopt(&mut old.parts);
        }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

pub(crate) fn and(builder: &mut Builder<'_>, config: &AndConfig, key: &str) -> Built {
    let parts = Parts::build(builder, &config.and_sub_policy, &format!("{key}::and_sub_policy"))?;
    Some(Box::new(All { parts, vote: Vote::Sampled }))
}

pub(crate) fn drop(builder: &mut Builder<'_>, config: &DropConfig, key: &str) -> Built {
    let parts = Parts::build(builder, &config.drop_sub_policy, &format!("{key}::drop_sub_policy"))?;
    Some(Box::new(All { parts, vote: Vote::Dropped }))
}

/// Keeps what another does not.
struct Not(Box<dyn Policy>);

impl Policy for Not {
    fn decide(&mut self, trace: &TraceFacts, now: Moment) -> Verdict {
        let verdict = self.0.decide(trace, now);
        let vote = match verdict.vote {
            Vote::Sampled => Vote::NotSampled,
            Vote::NotSampled => Vote::Sampled,
            other => other,
        };
        // What a sampler left out was left out by chance, and no threshold says by which.
        let threshold = verdict.threshold.filter(|threshold| *threshold == Threshold::ALWAYS);
        Verdict { vote, threshold, part: None }
    }

    fn foresee(&self, trace: &TraceFacts) -> Foreseen {
        self.0.foresee(trace).opposite()
    }

    fn wants_preview(&self) -> bool {
        self.0.wants_preview()
    }

    fn preview(&mut self, trace: &TraceFacts, now: Moment) {
        self.0.preview(trace, now);
    }

    fn end_of_round(&mut self, now: Moment) {
        self.0.end_of_round(now);
    }

    fn adopt(&mut self, old: &mut dyn Policy) {
        if let Some(old) = old.as_any().downcast_mut::<Not>() {
            self.0.adopt(&mut *old.0);
        }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

pub(crate) fn not(builder: &mut Builder<'_>, config: &NotConfig, key: &str) -> Built {
    let at = format!("{key}::not_sub_policy");
    match &config.not_sub_policy {
        Some(inner) => Some(Box::new(Not(builder.policy(inner, &at)?))),
        None => {
            builder.problems().error(&at, "must be a policy");
            None
        }
    }
}
