use phoenix_pdata::Signal;
use phoenix_telemetry::{Counter, Description, Metrics};

const TRACES: Description = Description {
    name: "otelcol_processor_probabilistic_sampler_count_traces_sampled",
    unit: "1",
    text: "Count of traces that were sampled or not.",
};
const LOGS: Description = Description {
    name: "otelcol_processor_probabilistic_sampler_count_logs_sampled",
    unit: "1",
    text: "Count of logs that were sampled or not.",
};

/// Where the randomness of a decision was from, or what decided instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    TraceIdHash,
    TraceIdW3c,
    SamplingRandomness,
    SamplingPriority,
    MissingRandomness,
    /// The attribute of log records that is hashed.
    Attribute,
}

impl Policy {
    const ALL: [Policy; 6] = [
        Policy::TraceIdHash,
        Policy::TraceIdW3c,
        Policy::SamplingRandomness,
        Policy::SamplingPriority,
        Policy::MissingRandomness,
        Policy::Attribute,
    ];

    fn name(self, attribute: &str) -> &str {
        match self {
            Policy::TraceIdHash => "trace_id_hash",
            Policy::TraceIdW3c => "trace_id_w3c",
            Policy::SamplingRandomness => "sampling_randomness",
            Policy::SamplingPriority => "sampling_priority",
            Policy::MissingRandomness => "missing_randomness",
            Policy::Attribute => attribute,
        }
    }
}

/// Decisions of one request, by policy and outcome.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counts: [[u64; 2]; Policy::ALL.len()],
    /// What could not be decided about.
    pub(crate) wrong: u64,
}

impl Tally {
    pub(crate) fn count(&mut self, policy: Policy, is_kept: bool) {
        self.counts[policy as usize][usize::from(is_kept)] += 1;
    }
}

/// Counters of decisions, by policy and outcome.
#[derive(Debug)]
pub(crate) struct SamplerMetrics([[Counter; 2]; Policy::ALL.len()]);

impl SamplerMetrics {
    /// `attribute` is the one whose value is hashed.
    pub(crate) fn new(metrics: &Metrics, signal: Signal, attribute: &str) -> SamplerMetrics {
        let description = if signal == Signal::Logs { LOGS } else { TRACES };
        let counter = |policy: Policy, sampled| {
            // Without an attribute there is nothing to count, and no series either.
            match policy.name(attribute) {
                "" => Counter::detached(),
                name => metrics.quiet_counter(description, &[("policy", name), ("sampled", sampled)]),
            }
        };
        SamplerMetrics(Policy::ALL.map(|policy| [counter(policy, "false"), counter(policy, "true")]))
    }

    pub(crate) fn add(&self, tally: &Tally) {
        for (counters, counts) in self.0.iter().zip(tally.counts) {
            for (counter, count) in counters.iter().zip(counts) {
                if count > 0 {
                    counter.add(count);
                }
            }
        }
    }
}
