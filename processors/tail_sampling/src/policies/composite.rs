//! `composite`: shares a rate of spans among policies.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::CompositeConfig;
use crate::facts::TraceFacts;
use crate::plan::Builder;
use crate::policies::combined::Parts;
use crate::policy::{Moment, Policy, Verdict, Vote};

/// What was kept in the second that runs, by policy. All shards share it.
#[derive(Debug, Default)]
struct Second {
    number: u64,
    spans: Vec<u64>,
}

struct Composite {
    parts: Parts,
    /// The most spans in a second, for each of them and over all that one of them sees.
    allocations: Vec<u64>,
    most: u64,
    /// A trace that finds the part of its policy used up is offered to the next one.
    overflow: bool,
    second: Arc<Mutex<Second>>,
}

impl Policy for Composite {
    fn decide(&mut self, trace: &TraceFacts, now: Moment) -> Verdict {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if second.number != now.monotonic.as_secs() || second.spans.len() != self.allocations.len() {
            *second = Second { number: now.monotonic.as_secs(), spans: vec![0; self.allocations.len()] };
        }
        for (index, policy) in self.parts.iter_mut().enumerate() {
            let verdict = policy.decide(trace, now);
            match verdict.vote {
                Vote::Sampled | Vote::InvertSampled => {
                    let kept = second.spans[index] + trace.spans();
                    if kept <= self.allocations[index] && kept <= self.most {
                        second.spans[index] = kept;
                        return Verdict { part: Some(index as u16), ..Verdict::uncertain(Vote::Sampled) };
                    }
                    if !self.overflow {
                        return Verdict::uncertain(Vote::NotSampled);
                    }
                }
                Vote::NotSampled | Vote::InvertNotSampled | Vote::Dropped => {}
                Vote::Error => return verdict,
            }
        }
        Verdict::uncertain(Vote::NotSampled)
    }

    fn adopt(&mut self, old: &mut dyn Policy) {
        if let Some(old) = old.as_any().downcast_mut::<Composite>() {
            self.parts.adopt(&mut old.parts);
            if self.parts.names().eq(old.parts.names()) {
                self.second = old.second.clone();
            }
        }
    }

    fn parts(&self) -> Vec<String> {
        self.parts.names().map(str::to_owned).collect()
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

pub(crate) fn build(
    builder: &mut Builder<'_>,
    config: &CompositeConfig,
    key: &str,
) -> Option<Box<dyn Policy>> {
    let Ok(most) = u64::try_from(config.max_total_spans_per_second) else {
        builder.problems().error(&format!("{key}::max_total_spans_per_second"), "must not be negative");
        return None;
    };
    let subs = &config.composite_sub_policy;
    let mut is_right = true;
    for (index, allocation) in config.rate_allocation.iter().enumerate() {
        let at = format!("{key}::rate_allocation::{index}");
        let is_known = subs.iter().any(|sub| sub.name == allocation.policy);
        let name = &allocation.policy;
        if !is_known {
            let text = format!("{name:?} is not in composite_sub_policy: this has no effect");
            builder.problems().warn(&format!("{at}::policy"), text);
        }
        let in_range = allocation.percent >= 0;
        builder.problems().require(in_range, &format!("{at}::percent"), "must not be negative");
        is_right &= in_range;
    }
    let parts = Parts::build(builder, subs, &format!("{key}::composite_sub_policy"))?;
    if !is_right {
        return None;
    }
    let equal = most / subs.len() as u64;
    let allocations = subs
        .iter()
        .map(|sub| {
            let mut given = config.rate_allocation.iter().rev();
            let given = given.find(|allocation| allocation.policy == sub.name);
            match given.map_or(0, |allocation| allocation.percent) {
                0 => equal,
                percent => (percent as f64 / 100.0 * most as f64) as u64,
            }
        })
        .collect();
    let second = builder.shared(Mutex::<Second>::default);
    Some(Box::new(Composite { parts, allocations, most, overflow: config.overflow, second }))
}
