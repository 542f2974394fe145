//! The policies, by their types.

pub(crate) mod budget;
pub(crate) mod combined;
pub(crate) mod composite;
pub(crate) mod counting;
pub(crate) mod dynamic;
pub(crate) mod extension;
pub(crate) mod key;
pub(crate) mod leaf;
pub(crate) mod learned;
pub(crate) mod limiting;
pub(crate) mod probabilistic;

use crate::config::{PolicyConfig, PolicyType};
use crate::plan::Builder;
use crate::policy::Policy;

/// Builds the policy that stands at `key`; none where something is wrong with it, which is reported.
pub(crate) fn build(builder: &mut Builder<'_>, config: &PolicyConfig, key: &str) -> Option<Box<dyn Policy>> {
    let at = |part: &str| format!("{key}::{part}");
    match config.kind {
        PolicyType::Unset => {
            builder.problems().error(&at("type"), "must name a type of policy");
            None
        }
        PolicyType::Extension => extension::build(builder, &config.name, config.foreign.as_ref()?, key),
        PolicyType::AlwaysSample => Some(Box::new(leaf::Always)),
        PolicyType::Latency => Some(leaf::latency(builder, &config.latency)),
        PolicyType::NumericAttribute => {
            leaf::numeric_attribute(builder, &config.numeric_attribute, &at("numeric_attribute"))
        }
        PolicyType::BooleanAttribute => {
            leaf::boolean_attribute(builder, &config.boolean_attribute, &at("boolean_attribute"))
        }
        PolicyType::StringAttribute => {
            leaf::string_attribute(builder, &config.string_attribute, &at("string_attribute"))
        }
        PolicyType::StatusCode => leaf::status_code(builder, &config.status_code, &at("status_code")),
        PolicyType::TraceState => leaf::trace_state(builder, &config.trace_state, &at("trace_state")),
        PolicyType::TraceFlags => Some(leaf::trace_flags(builder)),
        PolicyType::SpanCount => leaf::span_count(builder, &config.span_count, &at("span_count")),
        PolicyType::OttlCondition => {
            leaf::ottl_condition(builder, &config.ottl_condition, &at("ottl_condition"))
        }
        PolicyType::Probabilistic => {
            probabilistic::build(builder, &config.probabilistic, &at("probabilistic"))
        }
        PolicyType::RateLimiting => limiting::spans(builder, &config.rate_limiting, &at("rate_limiting")),
        PolicyType::BytesLimiting => limiting::bytes(builder, &config.bytes_limiting, &at("bytes_limiting")),
        PolicyType::And => combined::and(builder, &config.and, &at("and")),
        PolicyType::Not => combined::not(builder, &config.not, &at("not")),
        PolicyType::Drop => combined::drop(builder, &config.drop, &at("drop")),
        PolicyType::Composite => composite::build(builder, &config.composite, &at("composite")),
        PolicyType::Or => counting::or(builder, &config.or, &at("or")),
        PolicyType::KOfN => counting::k_of_n(builder, &config.k_of_n, &at("k_of_n")),
        PolicyType::Budget => budget::budget(builder, &config.budget, &at("budget")),
        PolicyType::FairShare => budget::fair_share(builder, &config.fair_share, &at("fair_share")),
        PolicyType::Priority => budget::priority(builder, &config.priority, &at("priority")),
        PolicyType::EmaDynamic => dynamic::ema_dynamic(builder, &config.ema_dynamic, &at("ema_dynamic")),
        PolicyType::EmaThroughput => {
            dynamic::ema_throughput(builder, &config.ema_throughput, &at("ema_throughput"))
        }
        PolicyType::Novelty => learned::novelty(builder, &config.novelty, &at("novelty")),
        PolicyType::LatencyQuantile => {
            learned::latency_quantile(builder, &config.latency_quantile, &at("latency_quantile"))
        }
        PolicyType::ErrorFingerprint => {
            learned::error_fingerprint(builder, &config.error_fingerprint, &at("error_fingerprint"))
        }
        PolicyType::Baseline => learned::baseline(builder, &config.baseline, &at("baseline")),
        PolicyType::TraceTruncate => {
            let text = "keeps nothing, so it stands on the first level, beside those that keep";
            builder.problems().error(&at("type"), text);
            None
        }
    }
}

#[cfg(test)]
mod tests;
