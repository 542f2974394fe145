mod dead_band;
mod function;
mod ha;
mod rule;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use phoenix_config::{Capability, ComponentId, Described, GoDuration, Problems, Settings};
use serde::Deserialize;

pub use dead_band::DeadBand;
pub use function::{Function, UnknownFunction};
pub use ha::HighAvailability;
pub use rule::{
    AttributeMatch, LabelAction, LabelRule, Late, Level, Match, MetricKind, Over, Rule, TemporalityChoice,
    Tier, WindowKind,
};

/// The most rules: which of them match a name is kept in one word.
const MAX_RULES: usize = 64;

/// Settings of the `aggregator` processor.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct AggregatorConfig {
    /// What is aggregated, and how. A data point goes to every rule that matches it; what none matches passes.
    #[described(required)]
    pub rules: Vec<Rule>,
    /// Senders that stand in for each other: of the replicas of a cluster one counts at a time.
    pub ha: Option<HighAvailability>,
    /// When a window is complete.
    pub watermark: WatermarkConfig,
    /// The most streams that are followed; points of further ones are dropped and counted.
    pub max_streams: usize,
    /// The most series that are made; further ones go into an overflow series of their metric (sums and histograms) or
    /// are dropped and counted (all else).
    pub max_series: usize,
    /// Event time after which a stream without data points is forgotten, at least the longest interval of a rule.
    pub staleness: GoDuration,
    /// What the first data point of a cumulative stream adds.
    pub first_sample: FirstSample,
    /// What becomes of windows that were not seen whole: the first one after a start, the last one before the end.
    pub partial_windows: PartialWindows,
    /// Whether windows that are open at the end are let out as far as they got; else they go on after a restart with a
    /// `checkpoint`, and are lost without. Unless it is set: yes without `checkpoint`, no with it.
    pub flush_on_shutdown: Option<bool>,
    /// State that lasts over restarts.
    pub checkpoint: CheckpointConfig,
    /// The extension that keeps the state on disk, for example `file_storage`; in the place of `checkpoint::directory`.
    #[described(names = Capability::Storage)]
    pub storage: Option<ComponentId>,
    /// Whether a request is only answered once it is on the disk of `storage`, so that a crash loses nothing of it.
    pub durable: bool,
}

impl Default for AggregatorConfig {
    fn default() -> AggregatorConfig {
        AggregatorConfig {
            rules: Vec::new(),
            ha: None,
            watermark: WatermarkConfig::default(),
            max_streams: 2_000_000,
            max_series: 1_000_000,
            staleness: GoDuration::from_secs(300),
            first_sample: FirstSample::Auto,
            partial_windows: PartialWindows::Mark,
            flush_on_shutdown: None,
            checkpoint: CheckpointConfig::default(),
            storage: None,
            durable: false,
        }
    }
}

/// When a window is complete: once the watermark, which follows the times of the data points, has passed its end.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct WatermarkConfig {
    /// How far the watermark trails the newest data point of the slowest partition: data points that come in any order
    /// within it are put into order.
    pub out_of_order: GoDuration,
    /// Whether `out_of_order` follows what is observed: 1.5 times the lag that 99 % of the data points keep to over ten
    /// minutes, at least `out_of_order` and at most `max_out_of_order`.
    pub adaptive: bool,
    /// The most that `adaptive` makes of it.
    pub max_out_of_order: GoDuration,
    /// How far behind the end of a window that was let out a data point still counts: it goes into the window that is open.
    pub allowed_lateness: GoDuration,
    /// Time without data after which a partition does not hold the watermark; once all are idle it goes on with the clock.
    pub idle_timeout: GoDuration,
    /// How far the time of a data point may be ahead of the clock; what is further ahead is taken to be there. 0 for any.
    pub max_future: GoDuration,
    /// How far behind the newest data point of all a partition can hold the watermark.
    pub max_spread: GoDuration,
    /// What has a clock of its own.
    pub partition: PartitionBy,
}

impl Default for WatermarkConfig {
    fn default() -> WatermarkConfig {
        WatermarkConfig {
            out_of_order: GoDuration::from_secs(10),
            adaptive: false,
            max_out_of_order: GoDuration::from_secs(120),
            allowed_lateness: GoDuration::from_secs(0),
            idle_timeout: GoDuration::from_secs(30),
            max_future: GoDuration::from_secs(10),
            max_spread: GoDuration::from_secs(300),
            partition: PartitionBy::Resource,
        }
    }
}

/// What has a clock of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum PartitionBy {
    /// Each resource.
    #[default]
    Resource,
    /// Nothing: there is one clock for all.
    None,
}

/// What the first data point of a cumulative stream adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum FirstSample {
    /// Its value, if the stream started after this did, so that nobody can have counted it before; else nothing.
    #[default]
    Auto,
    /// Its value, if it says when the stream started.
    Count,
    /// Nothing.
    Skip,
}

/// What becomes of windows that were not seen whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum PartialWindows {
    /// They are let out with the times that they cover, and `phoenix.partial` in the metadata of the metric, which is no part
    /// of its identity.
    #[default]
    Mark,
    /// The same, with the attribute `phoenix.partial` on each data point as well.
    Label,
    /// They are dropped and counted. What is cumulative still counts them.
    Drop,
}

/// State that lasts over restarts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointConfig {
    /// The folder of the checkpoints, which must exist; empty for none. See `storage` as well.
    pub directory: String,
    /// How often the state is written; it is at the end as well. A crash loses what came since.
    pub interval: GoDuration,
}

impl Default for CheckpointConfig {
    fn default() -> CheckpointConfig {
        CheckpointConfig { directory: String::new(), interval: GoDuration::from_secs(60) }
    }
}

impl Settings for AggregatorConfig {
    fn validate(&self, problems: &mut Problems) {
        problems.require(!self.rules.is_empty(), "rules", "must list at least one rule");
        problems.require(self.rules.len() <= MAX_RULES, "rules", format!("at most {MAX_RULES} rules"));
        problems.require(self.max_streams > 0, "max_streams", "must be at least 1");
        problems.require(self.max_series > 0, "max_series", "must be at least 1");
        problems.require(self.staleness.is_positive(), "staleness", "must be longer than zero");
        let mut ids = BTreeSet::new();
        for (index, rule) in self.rules.iter().enumerate() {
            problems.within(&format!("rules::{index}"), |problems| {
                problems.require(!rule.id.is_empty(), "id", "must name the rule");
                problems.require(ids.insert(&rule.id), "id", format!("another rule is called {:?}", rule.id));
                rule.validate(problems);
                self.ha.iter().for_each(|ha| ha.check_rule(rule, problems));
                problems.require(
                    rule.late == Late::Fold || self.watermark.allowed_lateness.is_positive(),
                    "late",
                    "needs `watermark::allowed_lateness`, behind which nothing is corrected",
                );
                problems.require(
                    rule.longest() <= self.staleness.as_nanos(),
                    "interval",
                    "must not exceed `staleness`, or streams are forgotten within a window",
                );
            });
        }
        self.check_outputs(problems);
        if let Some(ha) = &self.ha {
            let spread = self.watermark.max_spread;
            problems.within("ha", |problems| ha.validate(spread, self.staleness, problems));
        }
        problems.within("watermark", |problems| self.watermark.validate(problems));
        let checkpoint = &self.checkpoint;
        problems.require(
            self.storage.is_none() || checkpoint.directory.is_empty(),
            "storage",
            "the state is kept in one place: set this or `checkpoint::directory`",
        );
        problems.require(
            !self.durable || self.storage.is_some(),
            "durable",
            "needs a `storage`, which keeps what a request adds",
        );
        problems.require(
            checkpoint.directory.is_empty() && self.storage.is_none()
                || checkpoint.interval.as_nanos() >= 1_000_000_000,
            "checkpoint::interval",
            "must be at least 1s",
        );
    }
}

impl AggregatorConfig {
    /// Two rules that surely meet must not write the same series: a series has one writer.
    fn check_outputs(&self, problems: &mut Problems) {
        for (index, rule) in self.rules.iter().enumerate() {
            let same = self.rules[..index].iter().find(|other| rule.writes_like(other));
            if let Some(other) = same {
                let text = format!(
                    "writes the same series as rule {:?}: match other metrics, or set another `name`",
                    other.id
                );
                problems.error(&format!("rules::{index}"), text);
            }
        }
    }
}

impl WatermarkConfig {
    fn validate(&self, problems: &mut Problems) {
        let durations = [
            ("out_of_order", self.out_of_order),
            ("allowed_lateness", self.allowed_lateness),
            ("max_future", self.max_future),
        ];
        for (key, duration) in durations {
            problems.require(!duration.is_negative(), key, "must not be negative");
        }
        for (key, duration) in [("idle_timeout", self.idle_timeout), ("max_spread", self.max_spread)] {
            problems.require(duration.is_positive(), key, "must be longer than zero");
        }
        problems.require(
            self.max_out_of_order.as_nanos() >= self.out_of_order.as_nanos(),
            "max_out_of_order",
            "must be at least `out_of_order`",
        );
    }
}
