use std::collections::{BTreeMap, BTreeSet};

use phoenix_config::{Described, GoDuration, Problems};
use serde::Deserialize;

use super::{DeadBand, Function};
use crate::glob::Glob;

/// What is aggregated, and how.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// Its name: in own metrics, and by which state is found again after a change of the configuration.
    #[described(required)]
    pub id: String,
    /// Which data points it takes; all without.
    #[serde(rename = "match")]
    pub matches: Match,
    /// How long a window is.
    pub interval: GoDuration,
    /// What kind of windows.
    pub window: WindowKind,
    /// How often a hopping or sliding window is let out; divides `interval`.
    pub every: GoDuration,
    /// Event time without data points after which a session ends.
    pub gap: GoDuration,
    /// The attributes that stay, of resources and data points; all else is aggregated away.
    pub by: Option<Vec<String>>,
    /// The attributes that are aggregated away.
    pub without: Vec<String>,
    /// Levels of a hierarchy, each with attributes that stay; each is made of the same increments, and carries its name in
    /// the attribute `level`.
    pub levels: Vec<Level>,
    /// Changes to attributes before they are grouped.
    pub labels: Vec<LabelRule>,
    /// What is made of the data points. Without any: `sum` for counters, histograms and up-down counters, `last` for gauges
    /// and summaries where no attribute goes.
    pub outputs: Vec<Function>,
    /// What `avg` of gauges is over.
    pub over: Over,
    /// The name of what comes out: `{name}`, `{output}`, `{interval}` and `{rule}` stand for theirs. Without it `{name}` for
    /// `sum`, `increase`, `total` and `last`, and `{name}.{output}` for others and in hopping and sliding windows.
    pub name: String,
    /// How the sums and histograms that come out relate in time.
    pub temporality: TemporalityChoice,
    /// What becomes of increments that come within `watermark::allowed_lateness` after their window was let out.
    pub late: Late,
    /// Whether what is aggregated passes as well.
    pub keep_input: bool,
    /// Longer windows made of these: each is let out as well.
    pub tiers: Vec<Tier>,
    /// The most scale of exponential histograms that come out; lower is coarser.
    pub max_scale: i32,
    /// The most exemplars of each data point of a sum or a histogram; none with 0. Of one bucket one stays, those of traces
    /// before others and the latest first. They keep the attributes that went.
    pub exemplars: usize,
    /// Lets gauges out when they changed by more than a bound, or after so long.
    pub dead_band: Option<DeadBand>,
}

impl Default for Rule {
    fn default() -> Rule {
        Rule {
            id: String::new(),
            matches: Match::default(),
            interval: GoDuration::from_secs(60),
            window: WindowKind::Tumbling,
            every: GoDuration::from_secs(0),
            gap: GoDuration::from_secs(0),
            by: None,
            without: Vec::new(),
            levels: Vec::new(),
            labels: Vec::new(),
            outputs: Vec::new(),
            over: Over::Samples,
            name: String::new(),
            temporality: TemporalityChoice::Preserve,
            late: Late::Fold,
            keep_input: false,
            tiers: Vec::new(),
            max_scale: 20,
            exemplars: 4,
            dead_band: None,
        }
    }
}

/// Which data points a rule takes: those that meet all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// Names of metrics, with `*` for any text and `?` for any character; one of them must match.
    pub names: Vec<String>,
    /// Names that it does not take.
    pub exclude: Vec<String>,
    /// Kinds of metrics; one of them must match.
    pub kinds: Vec<MetricKind>,
    /// Attributes of the data point, or else of its resource; all of them must match.
    pub attributes: Vec<AttributeMatch>,
}

impl Match {
    /// Whether there are data points that both surely take, if such metrics are sent at all.
    fn surely_meets(&self, other: &Match) -> bool {
        let kinds = self.kinds.is_empty()
            || other.kinds.is_empty()
            || self.kinds.iter().any(|kind| other.kinds.contains(kind));
        let attributes =
            self.attributes.is_empty() || other.attributes.is_empty() || self.attributes == other.attributes;
        kinds && attributes && (self == other || self.takes_name_of(other) || other.takes_name_of(self))
    }

    /// Whether it takes a name that the other lists.
    fn takes_name_of(&self, other: &Match) -> bool {
        let matches = |patterns: &[String], name: &str| {
            patterns.iter().any(|pattern| Glob::new(pattern).is_match(name.as_bytes()))
        };
        let takes = |rule: &Match, name: &str| {
            (rule.names.is_empty() || matches(&rule.names, name)) && !matches(&rule.exclude, name)
        };
        let unfiltered = |rule: &Match| rule.names.is_empty() && rule.exclude.is_empty();
        // Of patterns it is only known that somebody who takes everything takes what they match.
        let is_name = |name: &&String| !name.contains(['*', '?']);
        other.names.iter().filter(is_name).any(|name| takes(self, name) && takes(other, name))
            || unfiltered(self) && other.exclude.is_empty()
    }
}

/// An attribute that must be there with one of some values, or match a pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct AttributeMatch {
    /// The key.
    #[described(required)]
    pub key: String,
    /// Its values, with `*` and `?`; one of them must match. None of them: it must be there.
    pub values: Vec<String>,
    /// Whether the opposite must hold.
    pub not: bool,
}

/// Kinds of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// Sums whose increments add up: monotonic ones, and deltas.
    Counter,
    /// Cumulative sums that can fall.
    UpDownCounter,
    /// Gauges.
    Gauge,
    /// Histograms with explicit bounds.
    Histogram,
    /// Exponential histograms.
    ExponentialHistogram,
    /// Summaries.
    Summary,
}

/// Kinds of windows, all on the times of the data points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// One after the other, aligned to the epoch.
    #[default]
    Tumbling,
    /// Of length `interval`, let out every `every`.
    Hopping,
    /// The same, and only let out where there were data points in the last `every`.
    Sliding,
    /// From the first data point to the one after which none comes for `gap`.
    Session,
}

/// A level of a hierarchy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Level {
    /// Its name.
    #[described(required)]
    pub level: String,
    /// The attributes that stay.
    pub by: Vec<String>,
}

/// A change to an attribute.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct LabelRule {
    /// The attribute; of the data point, or else of its resource.
    #[described(required)]
    pub key: String,
    /// What becomes of it.
    pub action: LabelAction,
    /// Its new name, for `rename`.
    pub to: String,
    /// New values by old ones, which may have `*` and `?`, for `map`; in the order of the old ones.
    pub values: BTreeMap<String, String>,
    /// The value of all others, for `map`; without it they stay.
    pub other: Option<String>,
    /// Bounds, growing, for `bucket`: the value becomes `<=10`, `10-100` or `>100`.
    pub bounds: Vec<f64>,
    /// Text for `template`: `{key}` stands for the value of an attribute.
    pub template: String,
}

/// What becomes of an attribute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum LabelAction {
    /// It gets another name.
    #[default]
    Rename,
    /// Its value is replaced.
    Map,
    /// Its number is replaced by the range that it is in.
    Bucket,
    /// It is set to a text made of other attributes.
    Template,
    /// It goes.
    Drop,
}

/// What a mean of gauges is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// All data points: who sends more often counts more.
    #[default]
    Samples,
    /// The last value of each stream.
    Series,
}

/// How what comes out relates in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum TemporalityChoice {
    /// As what came in.
    #[default]
    Preserve,
    /// Since the window before.
    Delta,
    /// Since the series began.
    Cumulative,
}

/// What becomes of increments whose window was let out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum Late {
    /// They go into the open window.
    #[default]
    Fold,
    /// They are let out with the next window as a further delta, with the time that they cover: for who adds deltas up.
    Correct,
}

/// Longer windows made of shorter ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Tier {
    /// How long they are: a multiple of the ones that they are made of.
    #[described(required)]
    pub interval: GoDuration,
    /// The most scale of exponential histograms; none for that of the rule.
    pub max_scale: Option<i32>,
}

impl Rule {
    /// How long a stream must be remembered, in nanoseconds. Tiers are made of windows, not of streams.
    pub(crate) fn longest(&self) -> i64 {
        self.interval.as_nanos().max(self.gap.as_nanos())
    }

    /// Whether gauges go out with their smallest and largest values.
    pub(crate) fn has_envelope(&self) -> bool {
        self.dead_band.as_ref().is_some_and(|band| band.envelope)
    }

    /// Whether windows overlap, so that what comes out does not add up.
    pub(crate) fn overlaps(&self) -> bool {
        matches!(self.window, WindowKind::Hopping | WindowKind::Sliding)
    }

    pub(crate) fn validate(&self, problems: &mut Problems) {
        self.validate_windows(problems);
        self.validate_grouping(problems);
        let corrects = self.late == Late::Correct;
        let deltas = self.window == WindowKind::Tumbling
            && self.temporality == TemporalityChoice::Delta
            && !self.outputs.contains(&Function::Total);
        problems.require(
            !corrects || deltas && self.tiers.is_empty(),
            "late",
            "only deltas of tumbling windows without `tiers` can be corrected: set `temporality: delta`",
        );
        for (index, output) in self.outputs.iter().enumerate() {
            let first = self.outputs.iter().position(|other| other == output);
            problems.require(first == Some(index), &format!("outputs::{index}"), "is there already");
        }
        if let Some(band) = &self.dead_band {
            problems.within("dead_band", |problems| band.validate(self.interval.as_nanos(), problems));
            problems.require(
                self.window == WindowKind::Tumbling,
                "dead_band",
                "is for tumbling windows: the others are let out when something is new in them",
            );
        }
        let range = "must be from -10 to 20";
        problems.require((-10..=20).contains(&self.max_scale), "max_scale", range);
        problems.require(self.exemplars <= 64, "exemplars", "must be at most 64");
        for (index, label) in self.labels.iter().enumerate() {
            problems.within(&format!("labels::{index}"), |problems| label.validate(problems));
        }
        if let Some(unknown) = unknown_placeholder(&self.name, &["name", "output", "interval", "rule"]) {
            let text =
                format!("unknown {unknown:?}; there are {{name}}, {{output}}, {{interval}} and {{rule}}");
            problems.error("name", text);
        }
        let renames = !self.name.is_empty() && self.name != "{name}";
        problems.require(
            !self.keep_input || renames,
            "keep_input",
            "needs a `name` other than `{name}`: else what passes and what comes out are one series with two writers",
        );
        let envelope = self.has_envelope();
        let is_value = |output: &Function| {
            use Function::*;
            matches!(output, Last | First | Min | Max | Avg | TimeWeightedAvg | Quantile(_))
        };
        problems.require(
            !envelope || self.outputs.iter().all(is_value),
            "dead_band::envelope",
            "is around values: `outputs` can be last, first, avg, time_weighted_avg, min, max and quantiles",
        );
        let several =
            (self.outputs.len() > 1 || envelope) && !self.name.is_empty() && !self.name.contains("{output}");
        problems.require(!several, "name", "must have {output}, since there are several `outputs`");
    }

    fn validate_windows(&self, problems: &mut Problems) {
        let second = 1_000_000_000;
        let (interval, every) = (self.interval.as_nanos(), self.every.as_nanos());
        problems.require(interval >= second, "interval", "must be at least 1s");
        let (has_every, has_gap) = (!self.every.is_zero(), !self.gap.is_zero());
        problems.require(
            !has_every || self.overlaps(),
            "every",
            "is for `window: hopping` and `window: sliding`",
        );
        if self.overlaps() {
            let divides = every >= second && every <= interval && interval % every.max(1) == 0;
            problems.require(divides, "every", "must be at least 1s and divide `interval`");
            problems.require(
                every < second || interval / every.max(1) <= 1000,
                "every",
                "a window is made of at most 1000 parts",
            );
        }
        let is_session = self.window == WindowKind::Session;
        problems.require(!has_gap || is_session, "gap", "is for `window: session`");
        problems.require(!is_session || self.gap.as_nanos() >= second, "gap", "must be at least 1s");
        let cumulative = self.temporality == TemporalityChoice::Cumulative;
        problems.require(
            self.window == WindowKind::Tumbling || !cumulative,
            "temporality",
            "only tumbling windows give cumulative series",
        );
        let total = self.outputs.iter().position(|output| *output == Function::Total);
        if let Some(index) = total.filter(|_| self.window != WindowKind::Tumbling) {
            problems.error(&format!("outputs::{index}"), "only tumbling windows give cumulative series");
        }
        problems.require(
            self.tiers.is_empty() || self.window == WindowKind::Tumbling,
            "tiers",
            "are made of tumbling windows",
        );
        let by_stream = self.outputs.iter().position(|o| matches!(o, Function::RateSum | Function::RateAvg));
        if let Some(index) = by_stream.filter(|_| is_session) {
            let text = "has no meaning in sessions: what began one grew in the silence before it";
            problems.error(&format!("outputs::{index}"), text);
        }
        problems.require(self.tiers.len() <= 8, "tiers", "at most 8 tiers");
        let mut below = interval;
        for (index, tier) in self.tiers.iter().enumerate() {
            let nanos = tier.interval.as_nanos();
            let key = format!("tiers::{index}::interval");
            let fits = nanos > below && nanos % below.max(1) == 0;
            problems.require(fits, &key, "must be a multiple of the interval below it");
            below = nanos;
            if let Some(scale) = tier.max_scale {
                let key = format!("tiers::{index}::max_scale");
                problems.require((-10..=20).contains(&scale), &key, "must be from -10 to 20");
            }
        }
    }

    fn validate_grouping(&self, problems: &mut Problems) {
        let has_by = self.by.is_some();
        problems.require(
            !has_by || self.without.is_empty(),
            "without",
            "`by` and `without` exclude each other",
        );
        problems.require(
            self.levels.is_empty() || !has_by && self.without.is_empty(),
            "levels",
            "each level has a `by` of its own: neither `by` nor `without` can be beside it",
        );
        problems.require(self.levels.len() <= 8, "levels", "at most 8 levels");
        let mut names = BTreeSet::new();
        for (index, level) in self.levels.iter().enumerate() {
            let key = format!("levels::{index}::level");
            problems.require(!level.level.is_empty(), &key, "must name the level");
            problems.require(names.insert(&level.level), &key, "is there already");
        }
    }

    /// Whether what both let out meets: the same data points grouped alike under the same name.
    pub(crate) fn writes_like(&self, other: &Rule) -> bool {
        let natural = |rule: &Rule| {
            rule.outputs.is_empty()
                || rule.outputs.iter().any(|output| {
                    matches!(output, Function::Sum | Function::Increase | Function::Total | Function::Last)
                })
        };
        // Then only what both have has one name.
        let told_apart =
            self.name.contains("{output}") && !self.outputs.is_empty() && !other.outputs.is_empty();
        let outputs = self.outputs == other.outputs
            || self.outputs.iter().any(|output| other.outputs.contains(output))
            || natural(self) && natural(other) && !told_apart;
        self.matches.surely_meets(&other.matches)
            && (&self.by, &self.without, &self.levels, &self.labels)
                == (&other.by, &other.without, &other.levels, &other.labels)
            && self.name == other.name
            && !self.name.contains("{rule}")
            && !(self.name.contains("{interval}") && self.interval != other.interval)
            && outputs
    }
}

impl LabelRule {
    fn validate(&self, problems: &mut Problems) {
        problems.require(!self.key.is_empty(), "key", "must name an attribute");
        let is = |action| self.action == action;
        problems.require(
            is(LabelAction::Rename) != self.to.is_empty(),
            "to",
            "is the new name, for `rename` only",
        );
        let maps = !self.values.is_empty() || self.other.is_some();
        problems.require(is(LabelAction::Map) == maps, "values", "are the new values, for `map` only");
        let buckets = !self.bounds.is_empty();
        problems.require(is(LabelAction::Bucket) == buckets, "bounds", "are for `bucket` only");
        let grow = self.bounds.windows(2).all(|pair| pair[0] < pair[1]);
        problems.require(grow && self.bounds.iter().all(|bound| bound.is_finite()), "bounds", "must grow");
        let template = !self.template.is_empty();
        problems.require(is(LabelAction::Template) == template, "template", "is for `template` only");
    }
}

/// The first `{…}` of a template that is none of these.
fn unknown_placeholder<'t>(template: &'t str, known: &[&str]) -> Option<&'t str> {
    let mut rest = template;
    while let Some((_, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else { return Some(after) };
        if !known.contains(&name) {
            return Some(name);
        }
        rest = after;
    }
    None
}
