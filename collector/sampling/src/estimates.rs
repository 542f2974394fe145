//! What is kept can be counted up to what there was: over 1,000 random configurations of policies.

use std::collections::HashMap;
use std::time::Duration;

use crate::chance::Chance;
use crate::{Allowance, Closed, Randomness, Rank, Sharing, Slot, Spending, Threshold, Vote, Weight, stated};

const CONFIGURATIONS: u64 = 1000;
const TRACES: usize = 600;

/// What the policies see of a trace.
struct Trace {
    randomness: Randomness,
    /// With which it was sampled before; those that were not are there too.
    incoming: Threshold,
    properties: u64,
    key: u64,
    spans: u64,
}

enum Policy {
    Property(u32),
    Probability(Threshold),
    /// A threshold by key, as dynamic rates give.
    ByKey([Threshold; 4]),
    Budget(Box<Closed>),
    KOf(usize, Vec<Policy>),
    Not(Box<Policy>),
    /// A limit that goes by the order of traces.
    Limit(std::cell::Cell<u64>),
}

fn threshold(chance: &mut Chance) -> Threshold {
    Threshold::of_rate(1.0 + 15.0 * chance.unit())
}

fn policy(chance: &mut Chance, traces: &[Trace], depth: u32) -> Policy {
    match chance.below(if depth == 0 { 5 } else { 8 }) {
        0 => Policy::Property(chance.below(4) as u32),
        1 => Policy::Probability(threshold(chance)),
        2 => Policy::ByKey(std::array::from_fn(|_| threshold(chance))),
        3 => Policy::Limit((1 + chance.below(9)).into()),
        4 => Policy::Budget(Box::new(budget(chance, traces))),
        5 => Policy::Not(Box::new(policy(chance, traces, depth - 1))),
        _ => {
            let children: Vec<Policy> =
                (0..1 + chance.below(4)).map(|_| policy(chance, traces, depth - 1)).collect();
            Policy::KOf(1 + chance.below(children.len() as u64) as usize, children)
        }
    }
}

fn budget(chance: &mut Chance, traces: &[Trace]) -> Closed {
    let sharing = if chance.below(2) == 0 { Sharing::Each } else { Sharing::Fair };
    let (per_second, most_keys) = (200.0 + 2000.0 * chance.unit(), 1 + chance.below(4) as usize);
    let allowance = Allowance { per_second, sharing, most_keys };
    let mut slot = Slot::new(allowance);
    for trace in traces.iter().filter(|trace| trace.incoming.keeps(trace.randomness)) {
        slot.offer(trace.key, Rank::new(Weight::ONE, trace.randomness), trace.spans);
    }
    Spending::new(allowance).close(slot, Duration::ZERO)
}

impl Policy {
    /// What it wants of a trace, whose randomness is taken to be `randomness`.
    fn vote(&self, trace: &Trace, randomness: Randomness) -> Vote {
        match self {
            Policy::Property(bit) => Vote::of(trace.properties >> bit & 1 == 1),
            Policy::Probability(threshold) => Vote::By(*threshold),
            Policy::ByKey(thresholds) => Vote::By(thresholds[trace.key as usize]),
            Policy::Budget(closed) => {
                Vote::By(closed.threshold(trace.key, Weight::ONE).unwrap_or(Threshold::NEVER))
            }
            Policy::Not(policy) => policy.vote(trace, randomness).not(randomness),
            Policy::KOf(k, policies) => {
                let votes: Vec<Vote> = policies.iter().map(|policy| policy.vote(trace, randomness)).collect();
                Vote::k_of(*k, &votes, randomness)
            }
            Policy::Limit(seen) => {
                seen.set(seen.get() + 1);
                Vote::Somehow(seen.get() % 10 < 4)
            }
        }
    }
}

fn traces(chance: &mut Chance) -> Vec<Trace> {
    let mut incoming: HashMap<u64, Threshold> = HashMap::new();
    (0..TRACES)
        .map(|_| {
            let key = chance.below(4);
            let incoming = *incoming.entry(key).or_insert_with(|| {
                if key < 2 { Threshold::ALWAYS } else { Threshold::of_rate(1.0 + 3.0 * chance.unit()) }
            });
            Trace {
                randomness: chance.randomness(),
                incoming,
                properties: chance.next(),
                key,
                spans: 1 + chance.below(20),
            }
        })
        .collect()
}

#[test]
fn totals_from_what_is_kept_are_right_whatever_the_policies() {
    let mut chance = Chance::new(20_26);
    let (mut errors, mut squares, mut compared) = (0.0, 0.0, 0.0);
    let mut worst = 0.0_f64;
    for number in 0..CONFIGURATIONS {
        let traces = traces(&mut chance);
        let policy = policy(&mut chance, &traces, 3);
        let (mut truth, mut estimate, mut variance) = (0.0, 0.0, 0.0);
        for trace in &traces {
            let spans = trace.spans as f64;
            // What has a chance to be kept with a known probability is what can be told about.
            let certain = policy.vote(trace, Randomness::MAX).threshold().filter(|t| *t != Threshold::NEVER);
            if let Some(certain) = certain {
                let stands_for = certain.max(trace.incoming).adjusted_count();
                truth += spans;
                variance += spans * spans * (stands_for - 1.0);
            }
            if !trace.incoming.keeps(trace.randomness) {
                continue;
            }
            let vote = policy.vote(trace, trace.randomness);
            if !vote.wants(trace.randomness) {
                continue;
            }
            if let Some(threshold) = stated(Some(trace.incoming), vote.threshold(), trace.randomness) {
                assert!(threshold >= trace.incoming);
                estimate += spans * threshold.adjusted_count();
            }
        }
        if variance == 0.0 {
            assert_eq!(estimate, truth, "configuration {number} keeps all of a kind, or nothing");
            continue;
        }
        let deviation = (estimate - truth) / f64::sqrt(variance);
        worst = worst.max(deviation.abs());
        assert!(deviation.abs() < 5.5, "configuration {number}: {estimate} for {truth}, {deviation} sigma");
        (errors, squares, compared) = (errors + deviation, squares + deviation * deviation, compared + 1.0);
    }
    let (mean, spread) = (errors / compared, squares / compared);
    assert!(compared > 500.0, "most configurations sample: {compared}");
    assert!(mean.abs() < 4.0 / f64::sqrt(compared), "no bias: {mean} sigma on average");
    assert!((0.7..=1.3).contains(&spread), "the bounds say something: {spread}, worst {worst}");
}
