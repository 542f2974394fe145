//! What a replay found, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use phoenix_component::TraceDecision;
use serde_json::{Value, json};

use super::player::hex;
use crate::cli::Sample;

/// A trace of the input.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) spans: u64,
    pub(super) bytes: u64,
    pub(super) kept_spans: u64,
    pub(super) kept_bytes: u64,
    pub(super) decision: Option<TraceDecision>,
}

/// How a policy voted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tried {
    pub(super) policy: String,
    pub(super) sampled: u64,
    pub(super) not_sampled: u64,
    pub(super) dropped: u64,
}

/// What became of all traces in one sampler.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) processor: String,
    pub(super) traces: BTreeMap<[u8; 16], Trace>,
    pub(super) policies: Vec<Tried>,
}

/// Sums over all traces.
#[derive(Debug, Default)]
struct Sums {
    traces: u64,
    spans: u64,
    bytes: u64,
    kept_traces: u64,
    kept_spans: u64,
    kept_bytes: u64,
    /// What the kept traces stand for, and how many of them do not say.
    estimated: f64,
    unknown: u64,
}

const GIB: f64 = (1_u64 << 30) as f64;

impl Report {
    fn sums(&self) -> Sums {
        let mut sums = Sums { traces: self.traces.len() as u64, ..Sums::default() };
        for trace in self.traces.values() {
            sums.spans += trace.spans;
            sums.bytes += trace.bytes;
            if trace.kept_spans > 0 {
                sums.kept_traces += 1;
                sums.kept_spans += trace.kept_spans;
                sums.kept_bytes += trace.kept_bytes;
                match trace.decision.as_ref().and_then(|decision| decision.adjusted_count) {
                    Some(count) => sums.estimated += count,
                    None => sums.unknown += 1,
                }
            }
        }
        sums
    }

    /// Traces that a policy decided.
    fn decided(&self, policy: &str) -> u64 {
        let by = |trace: &&Trace| {
            trace.decision.as_ref().and_then(|decision| decision.policy.as_deref()) == Some(policy)
        };
        self.traces.values().filter(by).count() as u64
    }

    /// For programs.
    pub(super) fn to_json(&self, asked: &Sample) -> Value {
        let sums = self.sums();
        let policies: Vec<Value> = self
            .policies
            .iter()
            .map(|tried| {
                json!({
                    "policy": tried.policy, "sampled": tried.sampled, "not_sampled": tried.not_sampled,
                    "dropped": tried.dropped, "decided": self.decided(&tried.policy),
                })
            })
            .collect();
        let mut report = json!({
            "processor": self.processor,
            "traces": sums.traces, "spans": sums.spans, "bytes": sums.bytes,
            "kept_traces": sums.kept_traces, "kept_spans": sums.kept_spans, "kept_bytes": sums.kept_bytes,
            "kept_share": share(sums.kept_traces, sums.traces),
            "estimated_traces": sums.estimated, "kept_without_probability": sums.unknown,
            "policies": policies,
        });
        if let Some(price) = asked.price_per_gib {
            report["cost"] = (sums.kept_bytes as f64 / GIB * price).into();
            report["cost_of_all"] = (sums.bytes as f64 / GIB * price).into();
        }
        if asked.traces {
            let traces = self.traces.iter().map(|(id, trace)| {
                json!({"trace_id": hex(id), "kept": trace.kept_spans > 0, "decision": trace.decision})
            });
            report["decisions"] = traces.collect();
        }
        report
    }

    /// For people.
    pub(super) fn text(&self, asked: &Sample) -> String {
        let sums = self.sums();
        let mut out = format!(
            "{}: {} of {} traces kept ({:.1} %), {} of {} spans, {} of {} bytes ({:.1} %)\n",
            self.processor,
            sums.kept_traces,
            sums.traces,
            100.0 * share(sums.kept_traces, sums.traces),
            sums.kept_spans,
            sums.spans,
            sums.kept_bytes,
            sums.bytes,
            100.0 * share(sums.kept_bytes, sums.bytes),
        );
        let width = self.policies.iter().map(|tried| tried.policy.chars().count()).max().unwrap_or(0).max(6);
        let _ = writeln!(
            out,
            "  {:width$}  {:>8}  {:>11}  {:>7}  {:>7}",
            "policy", "sampled", "not sampled", "dropped", "decided"
        );
        for tried in &self.policies {
            let Tried { policy, sampled, not_sampled, dropped } = tried;
            let decided = self.decided(policy);
            let _ = writeln!(
                out,
                "  {policy:width$}  {sampled:>8}  {not_sampled:>11}  {dropped:>7}  {decided:>7}"
            );
        }
        let _ = write!(out, "  estimated from what is kept: {:.0} traces", sums.estimated);
        if sums.unknown > 0 {
            let _ = write!(out, "; {} kept without a known probability", sums.unknown);
        }
        out.push('\n');
        if let Some(price) = asked.price_per_gib {
            let cost = |bytes: u64| bytes as f64 / GIB * price;
            let _ = writeln!(out, "  cost: {:.6} of {:.6}", cost(sums.kept_bytes), cost(sums.bytes));
        }
        if asked.traces {
            for (id, trace) in &self.traces {
                let kept = if trace.kept_spans > 0 { "kept" } else { "not kept" };
                let by = trace.decision.as_ref().and_then(|decision| decision.policy.as_deref());
                let by = by.map(|policy| format!(" by {policy}")).unwrap_or_default();
                let _ = writeln!(out, "  {} {kept}{by}", hex(id));
            }
        }
        out
    }
}

fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}
