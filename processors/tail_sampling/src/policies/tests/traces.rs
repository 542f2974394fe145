//! Traces for the tests, and a run of one policy over them.

use std::time::Duration;

use phoenix_config::Problems;
use phoenix_pdata::view::{AnyValue, Text};
use phoenix_pdata::write::{put_attribute, put_bytes, put_fixed64, put_message, put_uint};

use crate::config::TailSamplingConfig;
use crate::facts::TraceFacts;
use crate::plan::{Plan, Shared};
use crate::policy::{Moment, Verdict};

/// A trace of equal spans, the first of which is the root.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    pub(super) attributes: Vec<(&'static str, String)>,
    pub(super) name: &'static str,
    pub(super) spans: u64,
    pub(super) micros: u64,
    pub(super) is_error: bool,
    pub(super) exception: Option<(&'static str, &'static str)>,
}

impl Default for Trace {
    fn default() -> Trace {
        Trace {
            attributes: Vec::new(),
            name: "GET /",
            spans: 1,
            micros: 1000,
            is_error: false,
            exception: None,
        }
    }
}

impl Trace {
    pub(super) fn with(key: &'static str, value: &str) -> Trace {
        Trace { attributes: vec![(key, value.to_owned())], ..Trace::default() }
    }

    fn span(&self, id: u128, number: u64) -> Vec<u8> {
        let mut span = Vec::new();
        put_bytes(&mut span, 1, &id.to_be_bytes());
        put_bytes(&mut span, 2, &(number + 1).to_be_bytes());
        if number > 0 {
            put_bytes(&mut span, 4, &1_u64.to_be_bytes());
        }
        put_bytes(&mut span, 5, if number == 0 { self.name } else { "child" }.as_bytes());
        put_fixed64(&mut span, 7, 1_700_000_000_000_000_000);
        put_fixed64(&mut span, 8, 1_700_000_000_000_000_000 + self.micros * 1000);
        for (key, value) in &self.attributes {
            put_attribute(&mut span, 9, key, &AnyValue::String(Text::new(value.as_bytes())));
        }
        if let Some((kind, stack)) = self.exception {
            put_message(&mut span, 11, |event| {
                put_bytes(event, 2, b"exception");
                put_attribute(event, 3, "exception.type", &AnyValue::String(Text::new(kind.as_bytes())));
                put_attribute(
                    event,
                    3,
                    "exception.stacktrace",
                    &AnyValue::String(Text::new(stack.as_bytes())),
                );
            });
        }
        if self.is_error {
            put_message(&mut span, 15, |status| {
                put_bytes(status, 2, b"failed after 17 ms");
                put_uint(status, 3, 2);
            });
        }
        span
    }
}

/// One policy, or several, of one shard.
pub(super) struct Player {
    plan: Plan,
    next: u64,
}

impl Player {
    /// Of a list of policies, in YAML.
    pub(super) fn new(policies: &str) -> Player {
        Player::of(&config(policies).expect("settings"))
    }

    pub(super) fn of(config: &TailSamplingConfig) -> Player {
        let mut problems = Problems::new();
        let plan = Plan::new(config, &mut Shared::default(), &mut problems);
        assert!(!problems.has_errors(), "{problems}");
        Player { plan, next: 1 }
    }

    /// What is known about a trace with chance for an identifier.
    pub(super) fn facts(&mut self, trace: &Trace) -> TraceFacts {
        self.next += 1;
        // SplitMix64 of the number.
        let mut mixed = self.next.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let id = u128::from(self.next) << 64 | u128::from(mixed ^ (mixed >> 31));
        let mut facts = TraceFacts::new(id.to_be_bytes(), Duration::ZERO, 0);
        for number in 0..trace.spans {
            let span = trace.span(id, number);
            facts.bytes += span.len() as u64;
            self.plan.conditions.observe(&span, &mut facts);
        }
        facts
    }

    /// The verdicts of the first policy about traces that are due together.
    pub(super) fn round(&mut self, traces: &[TraceFacts], at: Duration) -> Vec<Verdict> {
        let now = Moment { monotonic: at, unix_nanos: 0 };
        let policy = &mut self.plan.policies[0].policy;
        if policy.wants_preview() {
            traces.iter().for_each(|trace| policy.preview(trace, now));
        }
        let verdicts = traces.iter().map(|trace| policy.decide(trace, now)).collect();
        policy.end_of_round(now);
        verdicts
    }

    /// The verdict about one trace by itself.
    pub(super) fn decide(&mut self, trace: &Trace, at: Duration) -> Verdict {
        let facts = self.facts(trace);
        self.round(&[facts], at)[0]
    }
}

pub(super) fn config(policies: &str) -> Result<TailSamplingConfig, Box<Problems>> {
    phoenix_config::decode_text(&format!("policies:\n{policies}"))
}

/// How many a trace with this verdict stands for.
pub(super) fn stands_for(verdict: &Verdict) -> f64 {
    let threshold = verdict.threshold.filter(|_| verdict.vote.keeps());
    threshold.map_or(0.0, phoenix_sampling::Threshold::adjusted_count)
}
