//! `service::telemetry::traces`.

use phoenix_config::{Described, Key, Level, Node, Problems, Section, Settings, Shape, Written};
use phoenix_telemetry::traces::{ParentBased, Propagator, Sampler, TracerOptions};
use serde::Deserialize;

use super::otlp::Processor;

/// The collector's own traces; without processors they are off.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TraceSettings {
    /// `none` turns traces off, whatever else is set.
    level: Option<Level>,
    /// How contexts come in and go out; `tracecontext` where nothing is said.
    propagators: Vec<Propagation>,
    /// Who takes spans: `batch` or `simple`, with an `otlp` exporter.
    pub(super) processors: Vec<Processor>,
    /// Which traces are recorded; all, or as the parent says, where nothing is said.
    sampler: Option<SamplerSettings>,
    /// Limits of spans.
    limits: Limits,
}

/// How contexts travel.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Described)]
#[serde(rename_all = "lowercase")]
enum Propagation {
    /// W3C's `traceparent`.
    TraceContext,
    /// Zipkin's `b3`.
    B3,
}

/// Limits of spans; those of events and links hold by themselves, since there are none.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(default, deny_unknown_fields)]
struct Limits {
    /// Characters of an attribute's text.
    attribute_value_length_limit: Option<usize>,
    /// Attributes of a span; 128 where nothing is said.
    attribute_count_limit: Option<usize>,
    /// Events of a span.
    #[described(no_effect = "own spans have no events and no links")]
    event_count_limit: Option<usize>,
    /// Links of a span.
    #[described(no_effect = "own spans have no events and no links")]
    link_count_limit: Option<usize>,
    /// Attributes of an event.
    #[described(no_effect = "own spans have no events and no links")]
    event_attribute_count_limit: Option<usize>,
    /// Attributes of a link.
    #[described(no_effect = "own spans have no events and no links")]
    link_attribute_count_limit: Option<usize>,
}

/// One of these keys.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(default, deny_unknown_fields)]
struct SamplerSettings {
    /// Every trace.
    always_on: Option<Nothing>,
    /// None.
    always_off: Option<Nothing>,
    /// A part of all traces.
    trace_id_ratio_based: Option<Ratio>,
    /// As the parent was, by the rules here.
    parent_based: Option<Box<ParentSettings>>,
}

/// There is nothing to be set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(default, deny_unknown_fields)]
struct Nothing {}

/// A part of all traces.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(default, deny_unknown_fields)]
struct Ratio {
    /// The part, from 0 to 1.
    #[described(min = 0.0, max = 1.0)]
    ratio: f64,
}

impl Default for Ratio {
    fn default() -> Ratio {
        Ratio { ratio: 1.0 }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ParentSettings {
    root: Option<SamplerSettings>,
    remote_parent_sampled: Option<SamplerSettings>,
    remote_parent_not_sampled: Option<SamplerSettings>,
    local_parent_sampled: Option<SamplerSettings>,
    local_parent_not_sampled: Option<SamplerSettings>,
}

/// Rules within rules are not described any further.
impl Described for ParentSettings {
    fn shape() -> Shape {
        let rule = || {
            let keys = vec![
                Key::new("always_on", <Option<Nothing>>::shape(), &["Every trace."]),
                Key::new("always_off", <Option<Nothing>>::shape(), &["None."]),
                Key::new("trace_id_ratio_based", <Option<Ratio>>::shape(), &["A part of all traces."]),
                Key::new("parent_based", Shape::Map(Box::new(Shape::Any)), &["Rules within these."]),
            ];
            let rule = Section::new("SamplerRule", &["One of these keys."], true, keys);
            Shape::Optional(Box::new(Shape::Section(rule)))
        };
        let keys = vec![
            Key::new("root", rule(), &["For spans without a parent; `always_on` where nothing is said."]),
            Key::new("remote_parent_sampled", rule(), &["Where the sender recorded; `always_on`."]),
            Key::new("remote_parent_not_sampled", rule(), &["Where it did not; `always_off`."]),
            Key::new("local_parent_sampled", rule(), &["Where the collector recorded; `always_on`."]),
            Key::new("local_parent_not_sampled", rule(), &["Where it did not; `always_off`."]),
        ];
        Shape::Section(Section::new("ParentBased", &["Rules by what the parent is."], true, keys))
    }

    fn written(&self) -> Option<Written> {
        None
    }
}

impl Settings for TraceSettings {
    fn validate(&self, problems: &mut Problems) {
        for (index, processor) in self.processors.iter().enumerate() {
            problems.within(&format!("processors::{index}"), |problems| processor.validate(problems));
        }
        if let Some(sampler) = &self.sampler {
            problems.within("sampler", |problems| sampler.validate(problems));
        }
    }
}

impl SamplerSettings {
    fn validate(&self, problems: &mut Problems) {
        let given = [
            self.always_on.is_some(),
            self.always_off.is_some(),
            self.trace_id_ratio_based.is_some(),
            self.parent_based.is_some(),
        ];
        let one = given.into_iter().filter(|given| *given).count() == 1;
        problems.require(
            one,
            "",
            "must be one of `always_on: {}`, `always_off: {}`, `trace_id_ratio_based` and `parent_based`",
        );
        if let Some(rule) = &self.trace_id_ratio_based {
            let fits = (0.0..=1.0).contains(&rule.ratio);
            problems.require(fits, "trace_id_ratio_based::ratio", "must be between 0 and 1");
        }
        if let Some(rules) = &self.parent_based {
            for (key, rule) in rules.all() {
                if let Some(rule) = rule {
                    problems.within(&format!("parent_based::{key}"), |problems| rule.validate(problems));
                }
            }
        }
    }

    fn sampler(&self) -> Sampler {
        if let Some(rules) = &self.parent_based {
            let or = |rule: &Option<SamplerSettings>, default| rule.as_ref().map_or(default, Self::sampler);
            return Sampler::ParentBased(Box::new(ParentBased {
                root: or(&rules.root, Sampler::AlwaysOn),
                remote_sampled: or(&rules.remote_parent_sampled, Sampler::AlwaysOn),
                remote_not_sampled: or(&rules.remote_parent_not_sampled, Sampler::AlwaysOff),
                local_sampled: or(&rules.local_parent_sampled, Sampler::AlwaysOn),
                local_not_sampled: or(&rules.local_parent_not_sampled, Sampler::AlwaysOff),
            }));
        }
        match (&self.trace_id_ratio_based, &self.always_off) {
            (Some(rule), _) => Sampler::Ratio(rule.ratio),
            (None, Some(_)) => Sampler::AlwaysOff,
            (None, None) => Sampler::AlwaysOn,
        }
    }
}

impl ParentSettings {
    fn all(&self) -> [(&'static str, &Option<SamplerSettings>); 5] {
        [
            ("root", &self.root),
            ("remote_parent_sampled", &self.remote_parent_sampled),
            ("remote_parent_not_sampled", &self.remote_parent_not_sampled),
            ("local_parent_sampled", &self.local_parent_sampled),
            ("local_parent_not_sampled", &self.local_parent_not_sampled),
        ]
    }
}

impl TraceSettings {
    pub(super) fn read(node: &Node, problems: &mut Problems) -> TraceSettings {
        phoenix_config::decode_checked(node, problems).unwrap_or_default()
    }

    /// Whether the level says so.
    pub(super) fn is_off(&self) -> bool {
        self.level == Some(Level::None)
    }

    /// The processors that work: none at level `none`.
    pub(super) fn processors(&self) -> &[Processor] {
        if self.is_off() { &[] } else { &self.processors }
    }

    /// How spans are made; who takes them is added by the caller.
    pub(super) fn options(&self) -> TracerOptions {
        let defaults = TracerOptions::default();
        let propagators = self.propagators.iter().map(|propagation| match propagation {
            Propagation::TraceContext => Propagator::TraceContext,
            Propagation::B3 => Propagator::B3,
        });
        TracerOptions {
            sampler: self.sampler.as_ref().map_or(defaults.sampler, SamplerSettings::sampler),
            // Contexts of requests pass on also where nothing is said, as in W3C's recommendation.
            propagators: if self.propagators.is_empty() {
                defaults.propagators
            } else {
                propagators.collect()
            },
            attributes: self.limits.attribute_count_limit.unwrap_or(defaults.attributes),
            attribute_length: self.limits.attribute_value_length_limit.unwrap_or(defaults.attribute_length),
            sink: None,
        }
    }
}
