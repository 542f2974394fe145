use std::collections::BTreeMap;

use phoenix_attributes::Pattern;
use phoenix_config::{Described, GoDuration, Problems};
use phoenix_ottl::{ConditionGroup, Context, ErrorMode, MatchProgram, sets};
use phoenix_pdata::Signal;
use serde::Deserialize;

use super::{HistogramSettings, LimitSeries};
use crate::pattern::NamePattern;

/// A rule: which series it is about, and what becomes of them.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct RuleConfig {
    /// The name, by which it is counted and replaced.
    #[described(required)]
    pub name: String,
    /// Rules of higher priority come first; then those that name metrics more exactly, then by name.
    pub priority: i32,
    /// Whether it is carried out.
    pub mode: Mode,
    /// From which level of its class on it is carried out; 0 for always. See `control`.
    pub at_level: u8,
    /// The class whose level that is.
    pub class: String,
    /// Which series it is about.
    #[serde(rename = "match")]
    pub matches: MatchSettings,
    /// No later rule touches these series.
    pub keep: bool,
    /// These series end here.
    pub drop: bool,
    /// Labels of points that are aggregated away; `*` stands for anything.
    pub drop_labels: Vec<String>,
    /// The only labels of points that stay; all others are aggregated away.
    pub keep_labels: Option<Vec<String>>,
    /// Attributes of resources that are aggregated away; `*` stands for anything.
    pub drop_resource_labels: Vec<String>,
    /// The only attributes of resources that stay; all others are aggregated away.
    pub keep_resource_labels: Option<Vec<String>>,
    /// How gauges are aggregated, over the latest value of each series; there is no natural way.
    pub gauges: Option<GaugeFunction>,
    /// Values of labels that are made the same.
    pub normalize: Vec<NormalizeSettings>,
    /// Labels whose further values become one.
    pub cap_values: Vec<CapValues>,
    /// Labels whose values become the number of a bucket.
    pub hash_buckets: Vec<HashBuckets>,
    /// The most series, of a metric or of all of them; further ones are added up in one.
    pub limit_series: Option<LimitSeries>,
    /// Only the heaviest keep series of their own.
    pub top_k: Option<TopKSettings>,
    /// At most one point per series in so long; 0 for all of them.
    pub interval: GoDuration,
    /// Gauges that do not move say nothing.
    pub dead_band: Option<DeadBand>,
    /// How histograms are made smaller.
    pub histograms: Option<HistogramSettings>,
    /// Whether exemplars are left out.
    pub drop_exemplars: bool,
    /// Whether descriptions are left out.
    pub drop_description: bool,
    /// Whether the unit is left out, where a name has only one.
    pub drop_unit: bool,
    /// Whether the metadata of metrics is left out.
    pub drop_metadata: bool,
}

/// Whether a rule is carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It is.
    #[default]
    Enforce,
    /// It is only counted what it would do.
    Shadow,
    /// It is not there.
    Off,
}

impl Mode {
    /// The name in settings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Shadow => "shadow",
            Mode::Off => "off",
        }
    }
}

/// Which series a rule is about: those that everything given here holds for.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct MatchSettings {
    /// Names of metrics, of which one has to match: a name, a glob (`http.*`), or a regular expression (`/^http\./`).
    pub metrics: Vec<String>,
    /// Names of metrics that are not meant, in the same form.
    pub exclude_metrics: Vec<String>,
    /// Types, of which the metric has one.
    pub types: Vec<MetricType>,
    /// Units, of which the metric has one.
    pub units: Vec<String>,
    /// The temporality of sums and histograms.
    pub temporality: Option<TemporalityName>,
    /// Attributes of the resource and the pattern of their value, in the form of `metrics`.
    pub resource: BTreeMap<String, String>,
    /// Names of scopes, of which one has to match.
    pub scopes: Vec<String>,
    /// Attributes of the scope and the pattern of their value.
    pub scope_attributes: BTreeMap<String, String>,
    /// Attributes of the point and the pattern of their value.
    pub attributes: BTreeMap<String, String>,
    /// A condition of OTTL for the data point; evaluated once per series, so it should not be about values.
    pub condition: String,
}

/// The types of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum MetricType {
    /// The last value counts.
    Gauge,
    /// Sums that never fall.
    Counter,
    /// Sums that may fall.
    UpDownCounter,
    /// Histograms with explicit bounds.
    Histogram,
    /// Exponential histograms.
    ExponentialHistogram,
    /// Summaries.
    Summary,
}

/// The temporalities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum TemporalityName {
    /// Since the point before.
    Delta,
    /// Since the start.
    Cumulative,
}

/// How gauges are aggregated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum GaugeFunction {
    /// The one with the latest time.
    Last,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// The mean; every series weighs the same.
    Avg,
    /// The sum.
    Sum,
    /// How many series there are.
    Count,
}

/// Values of a label that are made the same.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct NormalizeSettings {
    /// The label of the point.
    #[described(required)]
    pub label: String,
    /// A regular expression, in Go's syntax, whose matches are replaced.
    pub regex: String,
    /// What takes the place of a match; `$1` is its first group.
    pub replacement: String,
    /// Instead: segments of a path that are numbers, UUIDs or long hexadecimal numbers become `{id}`.
    pub ids: bool,
    /// Instead: paths, of which the first that a value fits takes its place. `{name}` stands for one segment, `*` at the end for
    /// all that follow; a value that fits none stays.
    pub templates: Vec<String>,
}

/// A label whose further values become one.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct CapValues {
    /// The label of the point.
    #[described(required)]
    pub label: String,
    /// The most values, per metric; idle ones make room.
    pub limit: usize,
    /// What stands for all others.
    pub other: String,
}

/// A label whose values become the number of a bucket.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct HashBuckets {
    /// The label of the point.
    #[described(required)]
    pub label: String,
    /// How many buckets; the same value is always in the same one.
    pub buckets: u32,
}

/// Only the heaviest keep series of their own.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct TopKSettings {
    /// How many groups keep their series.
    pub k: usize,
    /// The attributes, of points or resources, that make a group.
    #[described(required)]
    pub labels: Vec<String>,
    /// Metrics whose increments (sums) or values (gauges) weigh; of several, the shares in each are added.
    #[described(required)]
    pub rank_by: Vec<String>,
    /// What stands in the labels for all other groups.
    pub other: String,
    /// Attributes, of points or resources, that the series of the others do not have; `*` stands for anything.
    pub drop_for_others: Vec<String>,
    /// How many times heavier a newcomer must be than the lightest group that it takes the place of.
    pub hysteresis: f64,
    /// How long a group stays at least.
    pub dwell: GoDuration,
}

/// Gauges that do not move say nothing.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct DeadBand {
    /// A difference to the last value that was sent that counts as none.
    pub absolute: f64,
    /// The same, as a share of the last value.
    pub relative: f64,
    /// A point is sent at least so often; less than the time after which a backend takes a series for gone.
    pub heartbeat: GoDuration,
}

impl Default for RuleConfig {
    fn default() -> RuleConfig {
        RuleConfig {
            name: String::new(),
            priority: 0,
            mode: Mode::Enforce,
            at_level: 0,
            class: "default".to_owned(),
            matches: MatchSettings::default(),
            keep: false,
            drop: false,
            drop_labels: Vec::new(),
            keep_labels: None,
            drop_resource_labels: Vec::new(),
            keep_resource_labels: None,
            gauges: None,
            normalize: Vec::new(),
            cap_values: Vec::new(),
            hash_buckets: Vec::new(),
            limit_series: None,
            top_k: None,
            interval: GoDuration::from_secs(0),
            dead_band: None,
            histograms: None,
            drop_exemplars: false,
            drop_description: false,
            drop_unit: false,
            drop_metadata: false,
        }
    }
}

impl Default for CapValues {
    fn default() -> CapValues {
        CapValues { label: String::new(), limit: 100, other: "_other_".to_owned() }
    }
}

impl Default for HashBuckets {
    fn default() -> HashBuckets {
        HashBuckets { label: String::new(), buckets: 16 }
    }
}

impl Default for TopKSettings {
    fn default() -> TopKSettings {
        TopKSettings {
            k: 10,
            labels: Vec::new(),
            rank_by: Vec::new(),
            other: "_other_".to_owned(),
            drop_for_others: Vec::new(),
            hysteresis: 1.2,
            dwell: GoDuration::from_secs(120),
        }
    }
}

impl Default for DeadBand {
    fn default() -> DeadBand {
        DeadBand { absolute: 0.0, relative: 0.0, heartbeat: GoDuration::from_secs(240) }
    }
}

impl RuleConfig {
    /// Whether series become others: labels go or change, or only the heaviest stay.
    pub(crate) fn aggregates(&self) -> bool {
        !self.drop_labels.is_empty()
            || self.keep_labels.is_some()
            || !self.drop_resource_labels.is_empty()
            || self.keep_resource_labels.is_some()
            || !self.normalize.is_empty()
            || !self.cap_values.is_empty()
            || !self.hash_buckets.is_empty()
            || self.top_k.is_some()
    }

    /// Whether anything is to be done at all.
    fn acts(&self) -> bool {
        self.keep
            || self.drop
            || self.aggregates()
            || self.limit_series.is_some()
            || self.interval.is_positive()
            || self.dead_band.is_some()
            || self.histograms.is_some()
            || self.drop_exemplars
            || self.drop_description
            || self.drop_unit
            || self.drop_metadata
    }

    /// Whether the types that are matched leave room for one.
    pub(crate) fn may_match(&self, kind: MetricType) -> bool {
        self.matches.types.is_empty() || self.matches.types.contains(&kind)
    }

    /// The condition, compiled; none where there is none.
    pub(crate) fn condition(&self) -> Result<Option<MatchProgram>, String> {
        if self.matches.condition.is_empty() {
            return Ok(None);
        }
        let group = ConditionGroup {
            context: Some(Context::DataPoint),
            error_mode: ErrorMode::Ignore,
            conditions: vec![self.matches.condition.clone()],
        };
        let compiled = MatchProgram::compile(Signal::Metrics, sets::CONDITIONS, &group);
        compiled.map(Some).map_err(|found| match found.0.first() {
            Some(diagnostic) => format!("column {}: {}", diagnostic.column(), diagnostic.message),
            None => "is no condition".to_owned(),
        })
    }

    pub(crate) fn validate(&self, problems: &mut Problems) {
        problems.require(!self.name.is_empty(), "name", "must not be empty");
        problems.require(self.acts(), "name", "the rule does nothing: give it an action");
        problems.require(
            self.at_level <= super::MAX_LEVEL,
            "at_level",
            format!("must be at most {}", super::MAX_LEVEL),
        );
        let alone = self.aggregates() || self.limit_series.is_some() || self.interval.is_positive();
        let alone = alone || self.dead_band.is_some() || self.histograms.is_some();
        problems.require(!(self.drop && self.keep), "drop", "cannot be used together with `keep`");
        problems.require(!(self.drop && alone), "drop", "what is dropped cannot be changed as well");
        problems.require(!(self.keep && alone), "keep", "what is kept cannot be changed as well");
        problems.require(
            self.keep_labels.is_none() || self.drop_labels.is_empty(),
            "keep_labels",
            "cannot be used together with `drop_labels`",
        );
        problems.require(
            self.keep_resource_labels.is_none() || self.drop_resource_labels.is_empty(),
            "keep_resource_labels",
            "cannot be used together with `drop_resource_labels`",
        );
        if self.aggregates() && self.may_match(MetricType::Gauge) && self.gauges.is_none() {
            problems.error_with_help(
                "gauges",
                "is needed: series become one, and gauges have no natural sum",
                "one of last, min, max, avg, sum, count; or leave gauges out by `match::types`",
            );
        }
        // What a rule does to a metric itself cannot depend on a point.
        let looks_at_points = !self.matches.attributes.is_empty() || !self.matches.condition.is_empty();
        let whole = [
            ("drop_description", self.drop_description),
            ("drop_unit", self.drop_unit),
            ("drop_metadata", self.drop_metadata),
            (
                "histograms::to_exponential",
                self.histograms.as_ref().is_some_and(|settings| settings.to_exponential),
            ),
        ];
        for (key, _) in whole.iter().filter(|(_, is_set)| *is_set && looks_at_points) {
            problems
                .error(key, "is about whole metrics: leave out `match::attributes` and `match::condition`");
        }
        problems.require(!self.interval.is_negative(), "interval", "must not be negative");
        let second = GoDuration::from_secs(1);
        problems.require(
            self.interval.is_zero() || self.interval >= second,
            "interval",
            "must be at least 1s, or 0 for every point",
        );
        self.validate_match(problems);
        self.validate_labels(problems);
        if let Some(limit) = &self.limit_series {
            problems.within("limit_series", |problems| limit.validate(problems));
        }
        if let Some(top_k) = &self.top_k {
            problems.within("top_k", |problems| top_k.validate(problems));
        }
        if let Some(band) = &self.dead_band {
            problems.within("dead_band", |problems| band.validate(problems));
        }
        if let Some(histograms) = &self.histograms {
            problems.within("histograms", |problems| histograms.validate(problems));
        }
    }

    fn validate_match(&self, problems: &mut Problems) {
        let mut pattern = |key: String, text: &str| {
            if let Err(error) = NamePattern::new(text) {
                problems.error(&key, error);
            }
        };
        let matches = &self.matches;
        let lists = [
            ("match::metrics", &matches.metrics),
            ("match::exclude_metrics", &matches.exclude_metrics),
            ("match::scopes", &matches.scopes),
        ];
        for (key, patterns) in lists {
            for (index, text) in patterns.iter().enumerate() {
                pattern(format!("{key}::{index}"), text);
            }
        }
        let maps = [
            ("match::resource", &matches.resource),
            ("match::scope_attributes", &matches.scope_attributes),
            ("match::attributes", &matches.attributes),
        ];
        for (key, patterns) in maps {
            for (name, text) in patterns {
                pattern(format!("{key}::{name}"), text);
            }
        }
        if let Err(error) = self.condition() {
            problems.error("match::condition", error);
        }
    }

    fn validate_labels(&self, problems: &mut Problems) {
        let lists = [
            ("drop_labels", Some(&self.drop_labels)),
            ("keep_labels", self.keep_labels.as_ref()),
            ("drop_resource_labels", Some(&self.drop_resource_labels)),
            ("keep_resource_labels", self.keep_resource_labels.as_ref()),
        ];
        for (key, labels) in lists {
            for (index, label) in labels.into_iter().flatten().enumerate() {
                let key = format!("{key}::{index}");
                problems.require(!label.is_empty(), &key, "must not be empty");
                if let Err(error) = NamePattern::new(label) {
                    problems.error(&key, error);
                }
            }
        }
        for (index, settings) in self.normalize.iter().enumerate() {
            let key = format!("normalize::{index}");
            problems.require(!settings.label.is_empty(), &format!("{key}::label"), "must not be empty");
            let ways = [settings.ids, !settings.regex.is_empty(), !settings.templates.is_empty()];
            problems.require(
                ways.iter().filter(|is_given| **is_given).count() == 1,
                &format!("{key}::regex"),
                "give either a regular expression, `ids: true` or `templates`",
            );
            if let Err(error) = Pattern::new(&settings.regex) {
                problems.error(&format!("{key}::regex"), error.to_string());
            }
        }
        for (index, cap) in self.cap_values.iter().enumerate() {
            let key = format!("cap_values::{index}");
            problems.require(!cap.label.is_empty(), &format!("{key}::label"), "must not be empty");
            problems.require(cap.limit > 0, &format!("{key}::limit"), "must be at least 1");
        }
        for (index, buckets) in self.hash_buckets.iter().enumerate() {
            let key = format!("hash_buckets::{index}");
            problems.require(!buckets.label.is_empty(), &format!("{key}::label"), "must not be empty");
            problems.require(buckets.buckets > 0, &format!("{key}::buckets"), "must be at least 1");
        }
    }
}

impl TopKSettings {
    /// Whether both rank the same groups, however many of them stay.
    pub(crate) fn ranks_like(&self, other: &TopKSettings) -> bool {
        TopKSettings { k: other.k, ..self.clone() } == *other
    }

    fn validate(&self, problems: &mut Problems) {
        problems.require(self.k > 0, "k", "must be at least 1");
        problems.require(self.k <= 100_000, "k", "must be at most 100000");
        problems.require(!self.labels.is_empty(), "labels", "must name what makes a group");
        problems.require(!self.rank_by.is_empty(), "rank_by", "must name metrics that weigh");
        let holds = self.hysteresis.is_finite() && self.hysteresis >= 1.0;
        problems.require(holds, "hysteresis", "must be at least 1");
        problems.require(!self.dwell.is_negative(), "dwell", "must not be negative");
        for (index, label) in self.drop_for_others.iter().enumerate() {
            if let Err(error) = NamePattern::new(label) {
                problems.error(&format!("drop_for_others::{index}"), error);
            }
        }
    }
}

impl DeadBand {
    fn validate(&self, problems: &mut Problems) {
        for (key, value) in [("absolute", self.absolute), ("relative", self.relative)] {
            problems.require(value.is_finite() && value >= 0.0, key, "must be 0 or more");
        }
        problems.require(self.heartbeat.is_positive(), "heartbeat", "must be longer than zero");
    }
}
