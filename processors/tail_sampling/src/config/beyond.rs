//! Policies that otelcol does not have, as they are written.

use phoenix_config::{Described, GoDuration};
use serde::Deserialize;

use super::policy::{PolicyConfig, policies};

/// `or`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct OrConfig {
    /// The policies, of any kind.
    #[described(shape = policies())]
    pub or_sub_policy: Vec<PolicyConfig>,
}

/// `k_of_n`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct KOfNConfig {
    /// How many of the policies have to keep a trace.
    #[described(required, min = 1)]
    pub k: u64,
    /// The policies, of any kind.
    #[described(shape = policies())]
    pub k_of_n_sub_policy: Vec<PolicyConfig>,
}

/// `budget`. One of the three rates.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetConfig {
    /// Spans of kept traces in a second.
    pub spans_per_second: u64,
    /// Bytes of kept traces in a second.
    pub bytes_per_second: u64,
    /// Kept traces in a second.
    pub traces_per_second: u64,
    /// Attributes whose values tell apart who has a budget: each combination has one for itself. Without them all
    /// traces have one.
    pub key_fields: Vec<String>,
    /// Combinations that are told apart; later ones have one budget together.
    #[described(min = 1)]
    pub max_keys: u64,
}

/// `fair_share`. One of the three rates.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct FairShareConfig {
    /// Spans of kept traces in a second, over all keys.
    pub spans_per_second: u64,
    /// Bytes of kept traces in a second, over all keys.
    pub bytes_per_second: u64,
    /// Kept traces in a second, over all keys.
    pub traces_per_second: u64,
    /// Attributes whose values tell apart who has a share.
    #[described(required)]
    pub key_fields: Vec<String>,
    /// Combinations that are told apart; later ones have one share together.
    #[described(min = 1)]
    pub max_keys: u64,
}

/// `priority`. One of the three rates.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct PriorityConfig {
    /// Spans of kept traces in a second.
    pub spans_per_second: u64,
    /// Bytes of kept traces in a second.
    pub bytes_per_second: u64,
    /// Kept traces in a second.
    pub traces_per_second: u64,
    /// How much traces weigh: the first entry that holds for a trace says it.
    pub weights: Vec<WeightConfig>,
    /// How much all other traces weigh.
    #[described(min = 0, max = 65535)]
    pub default_weight: f64,
}

/// An entry of `weights`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct WeightConfig {
    /// A trace of twice the weight is kept twice as often.
    #[described(required, min = 0, max = 65535)]
    pub weight: f64,
    /// Which traces: a policy that looks at a trace alone, without limits or memory.
    #[described(shape = phoenix_config::Shape::Any)]
    pub when: Option<Box<PolicyConfig>>,
}

/// `ema_dynamic`.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct EmaDynamicConfig {
    /// The share that is kept on average, in percent.
    pub goal_sampling_percentage: f64,
    /// Attributes whose values make the key of a trace.
    #[described(required)]
    pub key_fields: Vec<String>,
    /// How often rates are set.
    pub adjustment_interval: GoDuration,
    /// What the last interval counts against those before it.
    #[described(min = 0, max = 1)]
    pub weight: f64,
    /// A key whose average falls below this is forgotten; the weight where it is not set.
    pub age_out_value: Option<f64>,
    /// This many times an average interval sets rates at once; 0 never.
    pub burst_multiple: f64,
    /// Only after so many intervals.
    pub burst_detection_delay: u32,
    /// Keys in an interval; further ones are one together.
    #[described(min = 1)]
    pub max_keys: u64,
    /// Traces of different numbers of spans have different keys.
    pub use_trace_length: bool,
}

/// `ema_throughput`.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct EmaThroughputConfig {
    /// Spans of kept traces in a second.
    pub goal_throughput_per_sec: f64,
    /// One in so many is kept until the first interval is over.
    #[described(min = 1)]
    pub initial_sampling_rate: u64,
    /// Attributes whose values make the key of a trace.
    #[described(required)]
    pub key_fields: Vec<String>,
    /// How often rates are set.
    pub adjustment_interval: GoDuration,
    /// What the last interval counts against those before it.
    #[described(min = 0, max = 1)]
    pub weight: f64,
    /// A key whose average falls below this is forgotten; the weight where it is not set.
    pub age_out_value: Option<f64>,
    /// This many times an average interval sets rates at once; 0 never.
    pub burst_multiple: f64,
    /// Only after so many intervals.
    pub burst_detection_delay: u32,
    /// Keys in an interval; further ones are one together.
    #[described(min = 1)]
    pub max_keys: u64,
    /// Traces of different numbers of spans have different keys.
    pub use_trace_length: bool,
}

/// `novelty`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct NoveltyConfig {
    /// Attributes whose values make the key of a trace. `root.name` is the name of the root span.
    pub key_fields: Vec<String>,
    /// The first so many traces of a key are kept.
    #[described(min = 1)]
    pub first: u32,
    /// A key that was not seen for this long, up to twice as long, is new again.
    pub forget_after: GoDuration,
    /// Keys that are remembered.
    #[described(min = 1)]
    pub max_keys: u64,
    /// The most traces that are kept as new in a second, over all keys.
    #[described(min = 1)]
    pub traces_per_second: u64,
}

/// `latency_quantile`.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct LatencyQuantileConfig {
    /// Traces that took longer than this quantile of their key are kept; from 0 to 1.
    #[described(min = 0, max = 1)]
    pub quantile: f64,
    /// Attributes whose values make the key of a trace. `root.name` is the name of the root span.
    pub key_fields: Vec<String>,
    /// What is normal is learned from the last one to two windows.
    pub window: GoDuration,
    /// Traces of a key before any is slow.
    pub min_traces: u64,
    /// Keys that are remembered.
    #[described(min = 1)]
    pub max_keys: u64,
}

/// `error_fingerprint`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct ErrorFingerprintConfig {
    /// The first so many traces with a kind of error are kept.
    pub first: u32,
    /// Of the others one in so many.
    #[described(min = 1)]
    pub then_one_in: u64,
    /// A kind of error that was not seen for this long, up to twice as long, is new again.
    pub forget_after: GoDuration,
    /// Kinds of errors that are remembered.
    #[described(min = 1)]
    pub max_fingerprints: u64,
}

/// `baseline`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct BaselineConfig {
    /// The share of all traces that is kept, in percent.
    pub sampling_percentage: f64,
}

/// `trace_truncate`. One of the two sizes, or both: then either of them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct TraceTruncateConfig {
    /// Traces of so many spans are cut.
    pub min_spans: u64,
    /// Traces of so many encoded bytes are cut.
    pub min_bytes: u64,
    /// The share that stays of spans that are neither roots, nor failed or callers of such, nor on the critical path, in percent.
    #[described(min = 0, max = 100)]
    pub sampling_percentage: f64,
}

/// Keys that policies tell apart where nothing else is said.
pub(super) const MOST_KEYS: u64 = 1000;

impl Default for BudgetConfig {
    fn default() -> BudgetConfig {
        BudgetConfig {
            spans_per_second: 0,
            bytes_per_second: 0,
            traces_per_second: 0,
            key_fields: Vec::new(),
            max_keys: MOST_KEYS,
        }
    }
}

impl Default for FairShareConfig {
    fn default() -> FairShareConfig {
        FairShareConfig {
            spans_per_second: 0,
            bytes_per_second: 0,
            traces_per_second: 0,
            key_fields: Vec::new(),
            max_keys: MOST_KEYS,
        }
    }
}

impl Default for PriorityConfig {
    fn default() -> PriorityConfig {
        PriorityConfig {
            spans_per_second: 0,
            bytes_per_second: 0,
            traces_per_second: 0,
            weights: Vec::new(),
            default_weight: 1.0,
        }
    }
}

impl Default for EmaDynamicConfig {
    fn default() -> EmaDynamicConfig {
        EmaDynamicConfig {
            goal_sampling_percentage: 10.0,
            key_fields: Vec::new(),
            adjustment_interval: GoDuration::from_secs(15),
            weight: 0.5,
            age_out_value: None,
            burst_multiple: 2.0,
            burst_detection_delay: 3,
            max_keys: 500,
            use_trace_length: false,
        }
    }
}

impl Default for EmaThroughputConfig {
    fn default() -> EmaThroughputConfig {
        EmaThroughputConfig {
            goal_throughput_per_sec: 100.0,
            initial_sampling_rate: 10,
            key_fields: Vec::new(),
            adjustment_interval: GoDuration::from_secs(15),
            weight: 0.5,
            age_out_value: None,
            burst_multiple: 2.0,
            burst_detection_delay: 3,
            max_keys: 500,
            use_trace_length: false,
        }
    }
}

impl Default for NoveltyConfig {
    fn default() -> NoveltyConfig {
        NoveltyConfig {
            key_fields: vec!["service.name".to_owned(), "root.name".to_owned()],
            first: 5,
            forget_after: GoDuration::from_secs(24 * 3600),
            max_keys: 100_000,
            traces_per_second: 10,
        }
    }
}

impl Default for LatencyQuantileConfig {
    fn default() -> LatencyQuantileConfig {
        LatencyQuantileConfig {
            quantile: 0.99,
            key_fields: vec!["root.name".to_owned()],
            window: GoDuration::from_secs(600),
            min_traces: 100,
            max_keys: MOST_KEYS,
        }
    }
}

impl Default for ErrorFingerprintConfig {
    fn default() -> ErrorFingerprintConfig {
        ErrorFingerprintConfig {
            first: 5,
            then_one_in: 100,
            forget_after: GoDuration::from_secs(3600),
            max_fingerprints: 100_000,
        }
    }
}
