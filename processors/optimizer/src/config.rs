//! Settings.

mod control;
mod histogram;
mod limit;
mod rule;
#[cfg(test)]
mod tests;

use phoenix_config::{Described, GoDuration, Problems, Settings};
use serde::Deserialize;

pub use control::{AimdSettings, ClassSettings, ControlSettings, LawName, PiSettings, TargetSettings};
pub(crate) use control::{MAX_LEVEL, MAX_PROTECTED};
pub use histogram::{BoundsBudget, ChooseBounds, HistogramSettings, PlacementName};
pub use limit::{LimitScope, LimitSeries, TenantShare};
pub use rule::{
    CapValues, DeadBand, GaugeFunction, HashBuckets, MatchSettings, MetricType, Mode, NormalizeSettings,
    RuleConfig, TemporalityName, TopKSettings,
};

use crate::origins::Origins;

/// The most rules, those of presets and catalogs included.
pub(crate) const MAX_RULES: usize = 4096;

/// Settings of the `optimizer` processor.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// How often series that are aggregated are let out, and top-k is ranked anew.
    pub interval: GoDuration,
    /// A series without points for so long is forgotten.
    pub idle: GoDuration,
    /// The most series of which a state is kept.
    pub max_series: usize,
    /// How many cumulative streams are remembered, where they stood, after they were forgotten: one that comes back counts what it
    /// missed, and is no baseline. 0 for none.
    pub tombstones: usize,
    /// The most memory for states; 0 for half of the collector's budget.
    pub max_bytes: u64,
    /// Whether the first point that is seen of a cumulative stream counts.
    pub initial_value: InitialValue,
    /// Targets, and how rules with `at_level` are carried out to keep to them.
    pub control: Option<ControlSettings>,
    /// Rules that come with Phoenix: a later rule of the same name takes the place of an earlier one.
    pub presets: Vec<Preset>,
    /// Files of rules, `rules: [...]` each: a later file takes the place of earlier rules of the same name.
    pub catalogs: Vec<String>,
    /// Rules, which take the place of those of the same name in presets and catalogs.
    pub rules: Vec<RuleConfig>,
}

/// Whether the first point that is seen of a cumulative stream counts; as in otelcol's `cumulativetodelta`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum InitialValue {
    /// If the stream started since data first came to the processor.
    #[default]
    Auto,
    /// If its start time is known.
    Keep,
    /// Never.
    Drop,
}

/// Rules that come with Phoenix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Metrics of a host, as the `hostmetrics` receiver names them: gauges that hold still, cores folded into one.
    Host,
    /// Metrics of processes: the ten heaviest programs, the rest as one, totals exact.
    Processes,
    /// Labels that tell one instance from the next, dropped from HTTP and RPC server metrics.
    Http,
    /// What costs and is seldom looked at: descriptions and exemplars.
    Metadata,
}

impl Preset {
    /// As settings have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Preset::Host => "host",
            Preset::Processes => "processes",
            Preset::Http => "http",
            Preset::Metadata => "metadata",
        }
    }
}

impl Default for OptimizerConfig {
    fn default() -> OptimizerConfig {
        OptimizerConfig {
            interval: GoDuration::from_secs(60),
            idle: GoDuration::from_secs(600),
            max_series: 1_000_000,
            tombstones: 0,
            max_bytes: 0,
            initial_value: InitialValue::Auto,
            control: None,
            presets: Vec::new(),
            catalogs: Vec::new(),
            rules: Vec::new(),
        }
    }
}

/// A catalog: rules in a file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Catalog {
    /// The rules.
    pub rules: Vec<RuleConfig>,
}

impl Settings for Catalog {
    fn validate(&self, problems: &mut Problems) {
        if self.rules.len() > MAX_RULES {
            return problems.error("rules", format!("more than {MAX_RULES} rules"));
        }
        for (index, rule) in self.rules.iter().enumerate() {
            let key = format!("rules::{index}");
            problems.within(&key, |problems| rule.validate(problems));
            let repeated = self.rules[..index].iter().any(|other| other.name == rule.name);
            problems.require(!repeated, &format!("{key}::name"), repeats(&rule.name));
        }
    }
}

/// What is said of a name that two rules of one list have.
fn repeats(name: &str) -> String {
    format!("there is another rule {name:?}")
}

impl OptimizerConfig {
    /// The rules of the presets, then those of the files, then the processor's own; of those with one name only the last.
    pub(crate) fn merged(&self, catalogs: &[Catalog]) -> Vec<RuleConfig> {
        let catalogs: Vec<&Catalog> = catalogs.iter().collect();
        Origins::of(&self.presets, &catalogs, &self.rules).into_rules()
    }

    /// What is wrong with a rule for the processor that it is part of.
    pub(crate) fn validate_in_processor(&self, rule: &RuleConfig, key: &str, problems: &mut Problems) {
        let longest = GoDuration::from_nanos(self.idle.as_nanos() / 2);
        problems.require(
            rule.interval <= longest,
            &format!("{key}::interval"),
            "must be at most half of the processor's `idle`",
        );
    }
}

impl Settings for OptimizerConfig {
    fn validate(&self, problems: &mut Problems) {
        let second = GoDuration::from_secs(1);
        problems.require(self.interval >= second, "interval", "must be at least 1s");
        let least = self.interval.as_nanos().saturating_mul(2);
        problems.require(self.idle.as_nanos() >= least, "idle", "must be at least twice the `interval`");
        problems.require(self.max_series > 0, "max_series", "must be at least 1");
        problems.require(self.max_series <= 1 << 31, "max_series", "must be at most 2147483648");
        problems.require(self.tombstones <= 1 << 31, "tombstones", "must be at most 2147483648");
        problems.require(self.rules.len() <= MAX_RULES, "rules", format!("more than {MAX_RULES} rules"));
        for (index, rule) in self.rules.iter().enumerate() {
            let key = format!("rules::{index}");
            problems.within(&key, |problems| rule.validate(problems));
            let repeated = self.rules[..index].iter().any(|other| other.name == rule.name);
            problems.require(!repeated, &format!("{key}::name"), repeats(&rule.name));
            self.validate_in_processor(rule, &key, problems);
        }
        if let Some(control) = &self.control {
            problems.within("control", |problems| control.validate(problems, self.interval, self.idle));
        }
        // Of files nothing is known here: they may replace rules of presets, and not those of the processor.
        if !problems.has_errors() {
            let with_presets = self.catalogs.is_empty();
            Origins::of(if with_presets { &self.presets } else { &[] }, &[], &self.rules)
                .report(self.control.as_ref(), problems);
        }
    }
}
