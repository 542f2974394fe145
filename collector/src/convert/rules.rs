//! A Refinery rules file, version 2.

use std::collections::BTreeMap;

use phoenix_config::{GoDuration, Problems, Settings};
use serde::Deserialize;
use serde_json::Value;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Refinery {
    pub(super) rules_version: u32,
    pub(super) samplers: Samplers,
}

impl Settings for Refinery {
    fn validate(&self, problems: &mut Problems) {
        problems.require(self.rules_version == 2, "RulesVersion", "must be 2");
        problems.require(self.samplers.0.contains_key(DEFAULT), "Samplers", "needs the entry __default__");
        for (environment, sampler) in &self.samplers.0 {
            let key = format!("Samplers::{environment}");
            problems.require(
                sampler.count() == 1,
                &key,
                format!("must have one sampler, and has {}", sampler.count()),
            );
            let rules = sampler.rules_based_sampler.iter().flat_map(|rules| rules.rules.iter().enumerate());
            for (index, rule) in rules {
                rule.validate(&format!("{key}::RulesBasedSampler::Rules::{index}"), problems);
            }
        }
    }
}

const DEFAULT: &str = "__default__";

/// Samplers by environment.
#[derive(Debug, Deserialize)]
pub(super) struct Samplers(BTreeMap<String, Sampler>);

impl Samplers {
    /// By name; the default, which has none, is last.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (Option<&str>, &Sampler)> {
        let named = self.0.iter().filter(|(name, _)| *name != DEFAULT);
        let named = named.map(|(name, sampler)| (Some(name.as_str()), sampler));
        named.chain(self.0.get(DEFAULT).map(|sampler| (None, sampler)))
    }
}

/// One of the kinds of samplers.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(super) struct Sampler {
    pub(super) deterministic_sampler: Option<Deterministic>,
    pub(super) dynamic_sampler: Option<Dynamic>,
    #[serde(rename = "EMADynamicSampler")]
    pub(super) ema_dynamic_sampler: Option<Dynamic>,
    #[serde(rename = "EMAThroughputSampler")]
    pub(super) ema_throughput_sampler: Option<Dynamic>,
    pub(super) windowed_throughput_sampler: Option<Dynamic>,
    pub(super) total_throughput_sampler: Option<Dynamic>,
    pub(super) rules_based_sampler: Option<Rules>,
}

impl Sampler {
    fn count(&self) -> usize {
        let dynamic = [
            &self.dynamic_sampler,
            &self.ema_dynamic_sampler,
            &self.ema_throughput_sampler,
            &self.windowed_throughput_sampler,
            &self.total_throughput_sampler,
        ];
        dynamic.iter().filter(|sampler| sampler.is_some()).count()
            + usize::from(self.deterministic_sampler.is_some())
            + usize::from(self.rules_based_sampler.is_some())
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Deterministic {
    pub(super) sample_rate: u64,
}

/// The settings of all samplers that go by keys.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(super) struct Dynamic {
    pub(super) sample_rate: Option<u64>,
    pub(super) goal_sample_rate: Option<u64>,
    pub(super) goal_throughput_per_sec: Option<u64>,
    pub(super) initial_sample_rate: Option<u64>,
    pub(super) adjustment_interval: Option<GoDuration>,
    pub(super) clear_frequency: Option<GoDuration>,
    pub(super) update_frequency: Option<GoDuration>,
    pub(super) lookback_frequency: Option<GoDuration>,
    pub(super) weight: Option<f64>,
    pub(super) age_out_value: Option<f64>,
    pub(super) burst_multiple: Option<f64>,
    pub(super) burst_detection_delay: Option<u64>,
    pub(super) field_list: Vec<String>,
    pub(super) max_keys: Option<u64>,
    pub(super) use_trace_length: bool,
    pub(super) use_cluster_size: bool,
    pub(super) summarize_mode: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(super) struct Rules {
    pub(super) rules: Vec<Rule>,
    pub(super) check_nested_fields: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) sample_rate: u64,
    pub(super) drop: bool,
    pub(super) summarize: bool,
    pub(super) scope: String,
    pub(super) conditions: Vec<Test>,
    pub(super) sampler: Option<Sampler>,
}

impl Rule {
    /// Whether it matches every trace.
    pub(super) fn is_for_all(&self) -> bool {
        self.conditions.is_empty()
    }

    fn validate(&self, key: &str, problems: &mut Problems) {
        let at = |field: &str| format!("{key}::{field}");
        problems.require(
            matches!(self.scope.as_str(), "" | "trace" | "span"),
            &at("Scope"),
            "must be trace or span",
        );
        if let Some(sampler) = &self.sampler {
            let is_one = sampler.count() == 1 && sampler.rules_based_sampler.is_none();
            problems.require(is_one, &at("Sampler"), "must have one sampler, other than RulesBasedSampler");
        }
        for (index, test) in self.conditions.iter().enumerate() {
            let at = |field: &str| format!("{key}::Conditions::{index}::{field}");
            let has_one = test.field.is_empty() != test.fields.is_empty();
            problems.require(
                has_one || test.operator() == "has-root-span",
                &at("Field"),
                "needs either Field or Fields",
            );
            problems.require(
                matches!(test.datatype.as_str(), "" | "string" | "int" | "float" | "bool"),
                &at("Datatype"),
                "must be string, int, float or bool",
            );
        }
    }
}

/// A condition of a rule.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(super) struct Test {
    pub(super) field: String,
    pub(super) fields: Vec<String>,
    pub(super) operator: String,
    pub(super) value: Value,
    pub(super) datatype: String,
}

impl Test {
    /// In lower case.
    pub(super) fn operator(&self) -> String {
        self.operator.to_ascii_lowercase()
    }

    /// The fields that are asked for; the first that is there counts.
    pub(super) fn names(&self) -> Vec<&str> {
        if self.fields.is_empty() {
            vec![self.field.as_str()]
        } else {
            self.fields.iter().map(String::as_str).collect()
        }
    }
}
