//! Policies as they are written.

use phoenix_config::{Capability, Described, Foreign, Shape, read_with_foreign};
use phoenix_statements::ErrorMode;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer as _};
use serde::{Deserialize, de};

use super::beyond::{
    BaselineConfig, BudgetConfig, EmaDynamicConfig, EmaThroughputConfig, ErrorFingerprintConfig,
    FairShareConfig, KOfNConfig, LatencyQuantileConfig, MOST_KEYS, NoveltyConfig, OrConfig, PriorityConfig,
    TraceTruncateConfig,
};

/// A policy: a name, a type, and the settings of that type under its name.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(remote = "Self", deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// What it is called in metrics.
    #[described(required)]
    pub name: String,
    /// What kind of policy it is. An extension that offers policies is one too, by its identifier, where its settings stand
    /// below that.
    #[serde(rename = "type")]
    #[described(required, names = Capability::SamplingPolicies)]
    pub kind: PolicyType,
    /// Ask it and count what it says, and decide as if it were not there. Only for policies of the first level.
    pub shadow: bool,
    /// What class of retention a trace has that it keeps: one of `retention_classes`. Only for policies of the first level.
    pub retention_class: String,
    /// For `latency`.
    pub latency: LatencyConfig,
    /// For `numeric_attribute`.
    pub numeric_attribute: NumericAttributeConfig,
    /// For `boolean_attribute`.
    pub boolean_attribute: BooleanAttributeConfig,
    /// For `string_attribute`.
    pub string_attribute: StringAttributeConfig,
    /// For `probabilistic`.
    pub probabilistic: ProbabilisticConfig,
    /// For `status_code`.
    pub status_code: StatusCodeConfig,
    /// For `trace_state`.
    pub trace_state: TraceStateConfig,
    /// For `span_count`.
    pub span_count: SpanCountConfig,
    /// For `rate_limiting`.
    pub rate_limiting: RateLimitingConfig,
    /// For `bytes_limiting`.
    pub bytes_limiting: BytesLimitingConfig,
    /// For `ottl_condition`.
    pub ottl_condition: OttlConditionConfig,
    /// For `and`.
    pub and: AndConfig,
    /// For `not`.
    pub not: NotConfig,
    /// For `drop`.
    pub drop: DropConfig,
    /// For `composite`.
    pub composite: CompositeConfig,
    /// For `or`.
    pub or: OrConfig,
    /// For `k_of_n`.
    pub k_of_n: KOfNConfig,
    /// For `budget`.
    pub budget: BudgetConfig,
    /// For `fair_share`.
    pub fair_share: FairShareConfig,
    /// For `priority`.
    pub priority: PriorityConfig,
    /// For `ema_dynamic`.
    pub ema_dynamic: EmaDynamicConfig,
    /// For `ema_throughput`.
    pub ema_throughput: EmaThroughputConfig,
    /// For `novelty`.
    pub novelty: NoveltyConfig,
    /// For `latency_quantile`.
    pub latency_quantile: LatencyQuantileConfig,
    /// For `error_fingerprint`.
    pub error_fingerprint: ErrorFingerprintConfig,
    /// For `baseline`.
    pub baseline: BaselineConfig,
    /// For `trace_truncate`.
    pub trace_truncate: TraceTruncateConfig,
    /// Of an extension.
    #[serde(skip)]
    pub foreign: Option<Foreign>,
}

impl<'de> Deserialize<'de> for PolicyConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PolicyConfig, D::Error> {
        let (policy, foreign) = read_with_foreign(deserializer, PolicyType::knows, OwnKeys)?;
        Ok(match foreign {
            None => policy,
            some => PolicyConfig { kind: PolicyType::Extension, foreign: some, ..policy },
        })
    }
}

/// Reads a policy with the keys that are known.
struct OwnKeys;

impl<'de> DeserializeSeed<'de> for OwnKeys {
    type Value = PolicyConfig;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<PolicyConfig, D::Error> {
        PolicyConfig::deserialize(deserializer)
    }
}

impl PolicyConfig {
    /// Whether it, or a policy inside of it, chooses by the randomness of consistent sampling whatever `randomness` says.
    pub(crate) fn uses_randomness(&self) -> bool {
        let any = |policies: &[PolicyConfig]| policies.iter().any(PolicyConfig::uses_randomness);
        match self.kind {
            PolicyType::Budget
            | PolicyType::FairShare
            | PolicyType::Priority
            | PolicyType::EmaDynamic
            | PolicyType::EmaThroughput
            | PolicyType::ErrorFingerprint
            | PolicyType::Baseline => true,
            PolicyType::RateLimiting => self.rate_limiting.on_exceed == OnExceed::Probabilistic,
            PolicyType::BytesLimiting => self.bytes_limiting.on_exceed == OnExceed::Probabilistic,
            PolicyType::And => any(&self.and.and_sub_policy),
            PolicyType::Or => any(&self.or.or_sub_policy),
            PolicyType::KOfN => any(&self.k_of_n.k_of_n_sub_policy),
            PolicyType::Not => self.not.not_sub_policy.as_deref().is_some_and(PolicyConfig::uses_randomness),
            PolicyType::Composite => any(&self.composite.composite_sub_policy),
            _ => false,
        }
    }
}

/// The kinds of policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum PolicyType {
    /// Nothing is said.
    #[default]
    #[serde(skip)]
    Unset,
    /// What an extension offers.
    #[serde(skip)]
    Extension,
    /// Keeps every trace.
    AlwaysSample,
    /// Keeps traces by their duration: from the first start to the last end.
    Latency,
    /// Keeps traces with a whole number in an attribute of a resource or span.
    NumericAttribute,
    /// Keeps traces with a boolean in an attribute of a resource or span.
    BooleanAttribute,
    /// Keeps traces with a text in an attribute of a resource or span.
    StringAttribute,
    /// Keeps a share of all traces.
    Probabilistic,
    /// Keeps traces with a span of a status.
    StatusCode,
    /// Keeps traces with a member of `tracestate` in a span.
    TraceState,
    /// Keeps traces with a span whose flag `sampled` is set.
    TraceFlags,
    /// Keeps traces by their number of spans.
    SpanCount,
    /// Keeps traces as long as their spans stay within a rate.
    RateLimiting,
    /// Keeps traces as long as their bytes stay within a rate.
    BytesLimiting,
    /// Keeps traces with a span, or event of one, for which a condition holds.
    OttlCondition,
    /// Keeps traces that every one of some policies keeps.
    And,
    /// Keeps traces that another policy does not keep.
    Not,
    /// Drops traces that every one of some policies keeps, whatever others say.
    Drop,
    /// Shares a rate among policies.
    Composite,
    /// Keeps traces that at least one of some policies keeps.
    Or,
    /// Keeps traces that at least so many of some policies keep.
    KOfN,
    /// Keeps what fits a budget, for each key, chosen by randomness.
    Budget,
    /// Keeps what fits a budget that keys share fairly.
    FairShare,
    /// Keeps what fits a budget, the weightier the likelier.
    Priority,
    /// Keeps a share on average: of rare keys more, of frequent ones less.
    EmaDynamic,
    /// Keeps spans at a rate: of rare keys more, of frequent ones less.
    EmaThroughput,
    /// Keeps the first traces of what was not seen lately.
    Novelty,
    /// Keeps traces that are slow for their kind.
    LatencyQuantile,
    /// Keeps the first traces with errors of a kind, then one in so many.
    ErrorFingerprint,
    /// Keeps a share of everything by the randomness of consistent sampling.
    Baseline,
    /// Keeps nothing: cuts large traces that others keep. Only on the first level.
    TraceTruncate,
}

impl PolicyType {
    /// Whether it is a type of this processor's own.
    fn knows(word: &str) -> bool {
        let word: StrDeserializer<'_, de::value::Error> = word.into_deserializer();
        PolicyType::deserialize(word).is_ok()
    }
}

/// `latency`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct LatencyConfig {
    /// Kept from this duration on, in milliseconds; above it where there is an upper one.
    pub threshold_ms: i64,
    /// Kept up to this duration; 0 for no limit.
    pub upper_threshold_ms: i64,
}

/// `numeric_attribute`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct NumericAttributeConfig {
    /// The attribute.
    pub key: String,
    /// The least value. 0 is none, see `compat`.
    pub min_value: Option<i64>,
    /// The greatest value. 0 is none, see `compat`.
    pub max_value: Option<i64>,
    /// Keep the traces without such an attribute.
    pub invert_match: bool,
}

/// `boolean_attribute`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct BooleanAttributeConfig {
    /// The attribute.
    pub key: String,
    /// Its value. What is no boolean counts as false.
    pub value: bool,
    /// Keep the traces without such an attribute.
    pub invert_match: bool,
}

/// `string_attribute`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct StringAttributeConfig {
    /// The attribute.
    pub key: String,
    /// Its values, or patterns that match a part of one.
    pub values: Vec<String>,
    /// The values are regular expressions.
    pub enabled_regex_matching: bool,
    /// How many values are remembered with whether they match; 0 for 128.
    pub cache_max_size: i64,
    /// Keep the traces without such an attribute.
    pub invert_match: bool,
}

/// `probabilistic`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct ProbabilisticConfig {
    /// The share that is kept, in percent.
    pub sampling_percentage: f64,
    /// What is hashed before the trace identifier; `default-hash-seed` where empty.
    pub hash_salt: String,
}

/// `status_code`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct StatusCodeConfig {
    /// The status that a span has to have.
    pub status_codes: Vec<StatusCode>,
}

/// The status of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "UPPERCASE")]
pub enum StatusCode {
    /// Nothing is said.
    Unset,
    /// It went well.
    Ok,
    /// It did not.
    Error,
}

/// `trace_state`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct TraceStateConfig {
    /// The member of `tracestate`.
    pub key: String,
    /// Its values.
    pub values: Vec<String>,
}

/// `span_count`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct SpanCountConfig {
    /// The fewest spans.
    pub min_spans: i32,
    /// The most spans; 0 for no limit.
    pub max_spans: i32,
}

/// `rate_limiting`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimitingConfig {
    /// Spans of kept traces in a second.
    pub spans_per_second: i64,
    /// Spans at once; 0 for twice the rate.
    pub burst_capacity: i64,
    /// What becomes of a trace that exceeds it.
    pub on_exceed: OnExceed,
    /// Attributes whose values tell apart who has such a rate: each combination has one for itself. Without them all
    /// traces have one.
    pub key_fields: Vec<String>,
    /// Combinations that are told apart; further ones have one rate together.
    #[described(min = 1)]
    pub max_keys: u64,
}

/// `bytes_limiting`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct BytesLimitingConfig {
    /// Bytes of kept traces in a second.
    pub bytes_per_second: i64,
    /// Bytes at once; 0 for twice the rate.
    pub burst_capacity: i64,
    /// What becomes of a trace that exceeds it.
    pub on_exceed: OnExceed,
    /// Attributes whose values tell apart who has such a rate: each combination has one for itself. Without them all
    /// traces have one.
    pub key_fields: Vec<String>,
    /// Combinations that are told apart; further ones have one rate together.
    #[described(min = 1)]
    pub max_keys: u64,
}

/// What becomes of a trace that exceeds a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum OnExceed {
    /// The policy does not keep it; with `evaluation: first_match` that is the decision.
    #[default]
    Drop,
    /// It is nothing to the policy; with `evaluation: first_match` the next one is asked.
    Next,
    /// A share of such traces is kept, chosen by randomness, so that what is kept has a threshold: the limit holds on average.
    Probabilistic,
}

impl Default for RateLimitingConfig {
    fn default() -> RateLimitingConfig {
        RateLimitingConfig {
            spans_per_second: 0,
            burst_capacity: 0,
            on_exceed: OnExceed::Drop,
            key_fields: Vec::new(),
            max_keys: MOST_KEYS,
        }
    }
}

impl Default for BytesLimitingConfig {
    fn default() -> BytesLimitingConfig {
        BytesLimitingConfig {
            bytes_per_second: 0,
            burst_capacity: 0,
            on_exceed: OnExceed::Drop,
            key_fields: Vec::new(),
            max_keys: MOST_KEYS,
        }
    }
}

/// `ottl_condition`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct OttlConditionConfig {
    /// What becomes of errors. Without it they are passed over, as in otelcol.
    pub error_mode: ErrorMode,
    /// Conditions about spans.
    pub span: Vec<String>,
    /// Conditions about events of spans.
    pub spanevent: Vec<String>,
}

impl Default for OttlConditionConfig {
    fn default() -> OttlConditionConfig {
        OttlConditionConfig { error_mode: ErrorMode::Silent, span: Vec::new(), spanevent: Vec::new() }
    }
}

/// `and`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct AndConfig {
    /// The policies, of any kind.
    #[described(shape = policies())]
    pub and_sub_policy: Vec<PolicyConfig>,
}

/// `not`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct NotConfig {
    /// The policy, of any kind.
    #[described(shape = Shape::Any)]
    pub not_sub_policy: Option<Box<PolicyConfig>>,
}

/// `drop`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct DropConfig {
    /// The policies, of any kind.
    #[described(shape = policies())]
    pub drop_sub_policy: Vec<PolicyConfig>,
}

/// `composite`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct CompositeConfig {
    /// Spans of kept traces in a second, over all policies.
    pub max_total_spans_per_second: i64,
    /// The order of the policies.
    #[described(no_effect = "as in otelcol, policies are asked in the order of composite_sub_policy")]
    pub policy_order: Vec<String>,
    /// The policies, of any kind.
    #[described(shape = policies())]
    pub composite_sub_policy: Vec<PolicyConfig>,
    /// What part of the rate each of them has; the others have an equal share.
    pub rate_allocation: Vec<AllocationConfig>,
    /// A trace that exceeds the part of its policy is offered to the next one.
    pub overflow: bool,
}

/// An entry of `rate_allocation`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct AllocationConfig {
    /// The policy.
    pub policy: String,
    /// Its part in percent; 0 for an equal share.
    pub percent: i64,
}

/// A type that contains itself has no finite shape: what is inside is as outside.
pub(super) fn policies() -> Shape {
    Shape::List(Box::new(Shape::Any))
}
