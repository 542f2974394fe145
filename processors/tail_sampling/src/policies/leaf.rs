//! Policies that look at what was gathered and nothing else.

use std::any::Any;

use phoenix_ottl::{SpanMatcher, sets};
use phoenix_statements::{ErrorMode, report, sources};

use crate::conditions::{AttributeTest, Condition, TextTest};
use crate::config::{
    BooleanAttributeConfig, InvertDecisions, LatencyConfig, NumericAttributeConfig, OttlConditionConfig,
    SpanCountConfig, StatusCode, StatusCodeConfig, StringAttributeConfig, TraceStateConfig,
};
use crate::facts::{ConditionId, TraceFacts};
use crate::plan::Builder;
use crate::policy::{Foreseen, Moment, Policy, Verdict, Vote};

type Built = Option<Box<dyn Policy>>;

/// Keeps every trace.
pub(crate) struct Always;

impl Policy for Always {
    fn decide(&mut self, _: &TraceFacts, _: Moment) -> Verdict {
        Verdict::certain(Vote::Sampled)
    }

    fn foresee(&self, _: &TraceFacts) -> Foreseen {
        Foreseen::Keeps
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// Keeps traces in which a condition held.
struct Matched {
    condition: ConditionId,
    /// Set where evaluating failed before the condition held.
    failed: Option<ConditionId>,
    invert: Invert,
}

/// What becomes of a match.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Invert {
    No,
    Plain,
    Legacy,
}

impl Invert {
    fn new(invert: bool, decisions: InvertDecisions) -> Invert {
        match (invert, decisions) {
            (false, _) => Invert::No,
            (true, InvertDecisions::Plain) => Invert::Plain,
            (true, InvertDecisions::Legacy) => Invert::Legacy,
        }
    }
}

impl Policy for Matched {
    fn decide(&mut self, trace: &TraceFacts, _: Moment) -> Verdict {
        let matched = trace.matched(self.condition);
        Verdict::certain(match (self.invert, matched) {
            (Invert::No, false) if self.failed.is_some_and(|failed| trace.matched(failed)) => Vote::Error,
            (Invert::No, _) => Vote::keep_if(matched),
            (Invert::Plain, _) => Vote::keep_if(!matched),
            (Invert::Legacy, true) => Vote::InvertNotSampled,
            (Invert::Legacy, false) => Vote::InvertSampled,
        })
    }

    fn foresee(&self, trace: &TraceFacts) -> Foreseen {
        Foreseen::of(trace.matched(self.condition) == (self.invert == Invert::No))
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

fn matched(builder: &mut Builder<'_>, condition: Condition, invert: bool) -> Built {
    let invert = Invert::new(invert, builder.compat.invert_decisions);
    Some(Box::new(Matched { condition: builder.condition(condition), failed: None, invert }))
}

/// Keeps traces by their duration.
struct Latency {
    /// Milliseconds.
    from: i64,
    /// Where it is set, `from` is excluded.
    to: Option<i64>,
}

/// Whether a duration in milliseconds is within thresholds, as otelcol reads them.
pub(crate) fn is_within(millis: i64, from: i64, to: Option<i64>) -> bool {
    match to {
        None => millis >= from,
        Some(to) => from < millis && millis <= to,
    }
}

impl Policy for Latency {
    fn decide(&mut self, trace: &TraceFacts, _: Moment) -> Verdict {
        Verdict::certain(Vote::keep_if(is_within(trace.duration_millis(), self.from, self.to)))
    }

    fn foresee(&self, trace: &TraceFacts) -> Foreseen {
        Foreseen::of(is_within(trace.duration_millis(), self.from, self.to))
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

pub(crate) fn latency(builder: &mut Builder<'_>, config: &LatencyConfig) -> Box<dyn Policy> {
    let (from, to) = (config.threshold_ms, Some(config.upper_threshold_ms).filter(|upper| *upper != 0));
    match to {
        Some(to) if builder.compat.latency_prefix => {
            let condition = builder.condition(Condition::PrefixLatency { from, to: Some(to) });
            Box::new(Matched { condition, failed: None, invert: Invert::No })
        }
        _ => Box::new(Latency { from, to }),
    }
}

/// Keeps traces by their number of spans.
struct SpanCount {
    least: u64,
    most: u64,
}

impl Policy for SpanCount {
    fn decide(&mut self, trace: &TraceFacts, _: Moment) -> Verdict {
        Verdict::certain(Vote::keep_if((self.least..=self.most).contains(&trace.spans())))
    }

    fn foresee(&self, trace: &TraceFacts) -> Foreseen {
        Foreseen::of((self.least..=self.most).contains(&trace.spans()))
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

pub(crate) fn span_count(builder: &mut Builder<'_>, config: &SpanCountConfig, key: &str) -> Built {
    let (least, most) = (u64::try_from(config.min_spans), u64::try_from(config.max_spans));
    let (Ok(least), Ok(most)) = (least, most) else {
        builder.problems().error(key, "min_spans and max_spans must not be negative");
        return None;
    };
    let most = if most == 0 { u64::MAX } else { most };
    if least > most {
        builder.problems().warn(key, "min_spans is above max_spans: it keeps nothing");
    }
    Some(Box::new(SpanCount { least, most }))
}

/// Whether the key of an attribute policy is there.
fn has_key(builder: &mut Builder<'_>, attribute: &str, key: &str) -> bool {
    builder.problems().require(!attribute.is_empty(), &format!("{key}::key"), "must name an attribute");
    !attribute.is_empty()
}

pub(crate) fn numeric_attribute(
    builder: &mut Builder<'_>,
    config: &NumericAttributeConfig,
    key: &str,
) -> Built {
    let zero_is_none = builder.compat.zero_bounds;
    let bound = |value: Option<i64>| value.filter(|value| !(zero_is_none && *value == 0));
    let (least, most) = (bound(config.min_value), bound(config.max_value));
    if least.is_none() && most.is_none() {
        builder.problems().error(key, "needs a min_value or max_value that is not 0");
        return None;
    }
    if !has_key(builder, &config.key, key) {
        return None;
    }
    if least.zip(most).is_some_and(|(least, most)| least > most) {
        builder.problems().warn(key, "min_value is above max_value: no value matches");
    }
    let test = AttributeTest::Whole { least, most };
    matched(builder, Condition::Attribute { key: config.key.clone(), test }, config.invert_match)
}

pub(crate) fn boolean_attribute(
    builder: &mut Builder<'_>,
    config: &BooleanAttributeConfig,
    key: &str,
) -> Built {
    if !has_key(builder, &config.key, key) {
        return None;
    }
    let test = AttributeTest::Boolean(config.value);
    matched(builder, Condition::Attribute { key: config.key.clone(), test }, config.invert_match)
}

pub(crate) fn string_attribute(
    builder: &mut Builder<'_>,
    config: &StringAttributeConfig,
    key: &str,
) -> Built {
    if !has_key(builder, &config.key, key) {
        return None;
    }
    let text = if config.enabled_regex_matching {
        let remembered = usize::try_from(config.cache_max_size).unwrap_or(0);
        match TextTest::patterns(&config.values, remembered) {
            Ok(test) => test,
            Err(error) => {
                builder.problems().error(&format!("{key}::values"), error);
                return None;
            }
        }
    } else {
        TextTest::any_of(&config.values)
    };
    let test = AttributeTest::Text(text);
    matched(builder, Condition::Attribute { key: config.key.clone(), test }, config.invert_match)
}

pub(crate) fn status_code(builder: &mut Builder<'_>, config: &StatusCodeConfig, key: &str) -> Built {
    if config.status_codes.is_empty() {
        builder.problems().error(&format!("{key}::status_codes"), "must name at least one status");
        return None;
    }
    let bit = |code: &StatusCode| match code {
        StatusCode::Unset => 1,
        StatusCode::Ok => 2,
        StatusCode::Error => 4,
    };
    let codes = config.status_codes.iter().map(bit).fold(0, |mask, bit| mask | bit);
    matched(builder, Condition::Status { codes }, false)
}

pub(crate) fn trace_state(builder: &mut Builder<'_>, config: &TraceStateConfig, key: &str) -> Built {
    // A member has no more bytes, and otelcol does not look for one that has.
    const MOST_BYTES: usize = 256;
    let fits = |value: &&String| !value.is_empty() && config.key.len() + value.len() < MOST_BYTES;
    let values: Vec<String> = config.values.iter().filter(fits).cloned().collect();
    if config.key.is_empty() {
        builder.problems().error(&format!("{key}::key"), "must name a member of tracestate");
        return None;
    }
    if values.is_empty() {
        builder
            .problems()
            .warn(&format!("{key}::values"), "has no value that a member can have: it keeps nothing");
    }
    matched(builder, Condition::TraceState { key: config.key.clone(), values }, false)
}

pub(crate) fn trace_flags(builder: &mut Builder<'_>) -> Box<dyn Policy> {
    let condition = builder.condition(Condition::SampledFlag);
    Box::new(Matched { condition, failed: None, invert: Invert::No })
}

pub(crate) fn ottl_condition(builder: &mut Builder<'_>, config: &OttlConditionConfig, key: &str) -> Built {
    if config.span.is_empty() && config.spanevent.is_empty() {
        builder.problems().error(key, "needs at least one condition under span or spanevent");
        return None;
    }
    match SpanMatcher::compile(sets::CONDITIONS, &config.span, &config.spanevent, config.error_mode.into()) {
        Ok(matcher) => {
            let name = format!("{:?} {:?} {:?}", config.error_mode, config.span, config.spanevent);
            let propagates = config.error_mode == ErrorMode::Propagate;
            let (condition, failed) = builder.conditions.add_ottl(name, matcher);
            let failed = propagates.then_some(failed);
            Some(Box::new(Matched { condition, failed, invert: Invert::No }))
        }
        Err(found) => {
            let mut places = sources(&format!("{key}::span"), &config.span);
            places.extend(sources(&format!("{key}::spanevent"), &config.spanevent));
            report(&found, &places, key, builder.problems());
            None
        }
    }
}
