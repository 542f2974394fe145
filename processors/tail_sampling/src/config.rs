mod beyond;
mod policy;
mod spill;

use phoenix_config::{Described, GoDuration, Problems, Settings};
use serde::Deserialize;

use crate::buffer::live_bytes;
use crate::headroom::Shortfall;

pub use beyond::{
    BaselineConfig, BudgetConfig, EmaDynamicConfig, EmaThroughputConfig, ErrorFingerprintConfig,
    FairShareConfig, KOfNConfig, LatencyQuantileConfig, NoveltyConfig, OrConfig, PriorityConfig,
    TraceTruncateConfig, WeightConfig,
};
pub use policy::{
    AllocationConfig, AndConfig, BooleanAttributeConfig, BytesLimitingConfig, CompositeConfig, DropConfig,
    LatencyConfig, NotConfig, NumericAttributeConfig, OnExceed, OttlConditionConfig, PolicyConfig,
    PolicyType, ProbabilisticConfig, RateLimitingConfig, SpanCountConfig, StatusCode, StatusCodeConfig,
    StringAttributeConfig, TraceStateConfig,
};

pub use spill::{OnShutdown, SpillConfig};

/// Settings of the `tail_sampling` processor: otelcol's keys, and Phoenix's own for memory and compatibility.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct TailSamplingConfig {
    /// What decides about traces. Names are unique.
    #[described(required)]
    pub policies: Vec<PolicyConfig>,
    /// How what the policies say becomes a decision.
    pub evaluation: Evaluation,
    /// Classes that `retention_class` of policies may name, the highest first: what is kept carries the highest of the
    /// policies that keep it, in the resource attribute `sampling.retention.class`.
    pub retention_classes: Vec<String>,
    /// When policies look at a trace.
    pub sampling_strategy: SamplingStrategy,
    /// How long a trace waits for its spans, from the first of them on.
    pub decision_wait: GoDuration,
    /// How long it waits once its root was there; never longer than `decision_wait` allows. 0 for no such limit.
    pub decision_wait_after_root_received: GoDuration,
    /// The most traces that wait; more are decided early. Without it memory alone is the limit.
    pub num_traces: Option<u64>,
    /// How many new traces are expected: memory grows as it is needed, and a `decision_wait` that it cannot last for is warned
    /// of.
    pub expected_new_traces_per_sec: u64,
    /// Parts of the processor that work in parallel, each with its share of the traces. Limits are shared, not divided.
    #[described(min = 1, max = 64)]
    pub num_shards: u32,
    /// How many decisions are remembered for spans that come late.
    pub decision_cache: DecisionCacheConfig,
    /// Stop at the first policy that keeps a trace; `drop` policies are asked first in any case.
    pub sample_on_first_match: bool,
    /// At a shutdown traces that wait are dropped, not decided.
    pub drop_pending_traces_on_shutdown: bool,
    /// A trace of more bytes is dropped; 0 for no such limit.
    pub maximum_trace_size_bytes: u64,
    /// With `num_traces` traces waiting, or 50,000 where nothing is said, refuse data until there is room, rather than decide
    /// early.
    pub block_on_overflow: bool,
    /// An extension that holds spans.
    #[described(
        unsupported = "spans are held as they came, in memory that is bounded by `buffer`, and beyond that on the disk of `buffer::spill`"
    )]
    pub tail_storage: Option<String>,
    /// What randomness `probabilistic` policies use.
    pub randomness: Randomness,
    /// Put the policy that decided into the attributes of each scope, as otelcol's gate `recordpolicy` does.
    pub record_policy: bool,
    /// Write into the attribute `SampleRate` of each kept span how many it stands for, as a whole number, as Refinery does. Not where
    /// a limit decided, an opposite, or `probabilistic` with `fnv_compat`: then nobody knows.
    pub record_sample_rate: bool,
    /// Memory for spans that wait.
    pub buffer: BufferConfig,
    /// Where Phoenix differs from otelcol on purpose, and how to have otelcol's way.
    pub compat: CompatConfig,
}

/// How what the policies say becomes a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum Evaluation {
    /// As in otelcol: all are asked, and a trace is kept that one of them wants, unless a `drop` policy drops it.
    #[default]
    Votes,
    /// As in Refinery: in their order, and the first to which a trace is anything decides: also where it leaves the trace
    /// out by chance or for a limit.
    FirstMatch,
}

/// When policies look at a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "kebab-case")]
pub enum SamplingStrategy {
    /// Once it has waited.
    #[default]
    TraceComplete,
    /// Whenever spans come, at these alone; what nothing has kept by `decision_wait` is dropped.
    SpanIngest,
}

/// What `probabilistic` policies compare with their percentage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum Randomness {
    /// A salted hash of the trace identifier, as in otelcol. Nothing is written to `tracestate`.
    #[default]
    FnvCompat,
    /// That of the specification of consistent sampling: `rv` in `tracestate`, else the end of the trace identifier. What is
    /// kept carries its threshold in `tracestate`.
    W3c,
}

/// Decisions that are remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct DecisionCacheConfig {
    /// Kept traces; 0 for `num_traces`, or without that for 100,000 or what an eighth of the buffer has room for.
    pub sampled_cache_size: u64,
    /// Traces that were not kept, at 8 bytes; 0 for `num_traces`, or without that for 1,000,000 or what an eighth of the buffer
    /// has room for.
    pub non_sampled_cache_size: u64,
}

/// Memory for spans that wait.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct BufferConfig {
    /// The most bytes, over all shards; 0 for half of what the collector may hold.
    pub max_bytes: u64,
    /// Where spans go that memory is too small for; without it what does not fit is decided early, sampled, and at last
    /// refused.
    pub spill: Option<SpillConfig>,
}

/// Where Phoenix differs from otelcol on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct CompatConfig {
    /// What `invert_match` makes of a vote.
    pub invert_decisions: InvertDecisions,
    /// `latency` with an upper threshold is asked after each span, so that a trace counts whose beginning was short enough.
    pub latency_prefix: bool,
    /// A `min_value` or `max_value` of 0 is no bound.
    pub zero_bounds: bool,
}

/// What `invert_match` makes of a vote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum InvertDecisions {
    /// A vote like others.
    #[default]
    Plain,
    /// A vote of its own: one against beats all votes for, one for is beaten by any against.
    Legacy,
}

impl Default for CompatConfig {
    fn default() -> CompatConfig {
        CompatConfig { invert_decisions: InvertDecisions::Plain, latency_prefix: false, zero_bounds: true }
    }
}

impl Default for TailSamplingConfig {
    fn default() -> TailSamplingConfig {
        TailSamplingConfig {
            policies: Vec::new(),
            evaluation: Evaluation::Votes,
            retention_classes: Vec::new(),
            sampling_strategy: SamplingStrategy::TraceComplete,
            decision_wait: GoDuration::from_secs(30),
            decision_wait_after_root_received: GoDuration::ZERO,
            num_traces: None,
            expected_new_traces_per_sec: 0,
            num_shards: 1,
            decision_cache: DecisionCacheConfig::default(),
            sample_on_first_match: false,
            drop_pending_traces_on_shutdown: false,
            maximum_trace_size_bytes: 0,
            block_on_overflow: false,
            tail_storage: None,
            randomness: Randomness::FnvCompat,
            record_policy: false,
            record_sample_rate: false,
            buffer: BufferConfig::default(),
            compat: CompatConfig::default(),
        }
    }
}

/// The longest wait; what has to wait longer needs another design.
const LONGEST_WAIT_SECS: u32 = 24 * 3600;
const MOST_SHARDS: u32 = 64;

impl Settings for TailSamplingConfig {
    fn validate(&self, problems: &mut Problems) {
        for (key, wait) in [
            ("decision_wait", self.decision_wait),
            ("decision_wait_after_root_received", self.decision_wait_after_root_received),
        ] {
            problems.require(!wait.is_negative(), key, "must not be negative");
            problems.require(
                wait <= GoDuration::from_secs(LONGEST_WAIT_SECS),
                key,
                "must be at most 24h: every trace is held in memory for so long",
            );
        }
        problems.require(
            (1..=MOST_SHARDS).contains(&self.num_shards),
            "num_shards",
            format!("must be from 1 to {MOST_SHARDS}"),
        );
        problems.require(self.num_traces != Some(0), "num_traces", "must be at least 1");
        problems.require(
            self.tail_storage.is_none(),
            "tail_storage",
            "is not supported: spans are held as they came, in memory that is bounded by `buffer`, and beyond that on the disk \
             of `buffer::spill`",
        );
        if let Some(spill) = &self.buffer.spill {
            spill.validate(self.drop_pending_traces_on_shutdown, problems);
        }
        problems.require(
            self.policies.iter().any(|policy| policy.kind != PolicyType::TraceTruncate),
            "policies",
            "must name at least one policy that keeps traces",
        );
        problems.require(
            self.evaluation == Evaluation::Votes || self.sampling_strategy == SamplingStrategy::TraceComplete,
            "evaluation",
            "first_match needs sampling_strategy trace-complete: spans that are still to come may match earlier",
        );
        self.warn_of_headroom(problems);
        crate::plan::validate(self, problems);
    }
}

/// What otelcol holds where nothing is said.
const TRACES_OF_OTELCOL: u64 = 50_000;

impl TailSamplingConfig {
    /// The most traces that wait, where their number is limited.
    pub(crate) fn most_traces(&self) -> Option<u64> {
        self.num_traces.or(self.block_on_overflow.then_some(TRACES_OF_OTELCOL))
    }

    /// Bytes that may wait on disk.
    pub(crate) fn spill_bytes(&self) -> u64 {
        self.buffer.spill.as_ref().map_or(0, |spill| spill.max_bytes)
    }

    /// Warns of a wait that memory cannot last for, as far as the settings alone say how much there is.
    fn warn_of_headroom(&self, problems: &mut Problems) {
        let of_memory = match self.buffer.max_bytes {
            0 => None,
            max_bytes => Shortfall::of_memory(self, live_bytes(max_bytes).saturating_add(self.spill_bytes())),
        };
        for shortfall in [of_memory, Shortfall::of_traces(self)].into_iter().flatten() {
            problems.warn_with_help("decision_wait", shortfall.message(), shortfall.help());
        }
    }
}

#[cfg(test)]
mod tests;
