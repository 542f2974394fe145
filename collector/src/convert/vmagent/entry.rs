//! A file for stream aggregation.

use std::collections::HashSet;

use phoenix_config::{Problems, Settings};
use serde::Deserialize;
use serde_json::Value;

use super::{outputs, selector};

/// The file.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Entries(pub(super) Vec<Entry>);

impl Settings for Entries {
    fn validate(&self, problems: &mut Problems) {
        problems.require(!self.0.is_empty(), "", "must list at least one entry");
        for (index, entry) in self.0.iter().enumerate() {
            problems.within(&index.to_string(), |problems| entry.validate(problems));
        }
    }
}

/// What is aggregated, and how.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default, rename = "match")]
    pub(super) matches: OneOrMore,
    pub(super) interval: Given,
    pub(super) dedup_interval: Option<Given>,
    pub(super) staleness_interval: Option<Given>,
    pub(super) ignore_first_sample_interval: Option<Given>,
    // Windows always follow the times of data points.
    #[serde(default, rename = "enable_windows")]
    _enable_windows: Option<bool>,
    #[serde(default)]
    pub(super) no_align_flush_to_interval: bool,
    #[serde(default)]
    pub(super) flush_on_shutdown: bool,
    #[serde(default)]
    pub(super) by: Vec<String>,
    #[serde(default)]
    pub(super) without: Vec<String>,
    pub(super) outputs: Vec<String>,
    #[serde(default)]
    pub(super) keep_metric_names: bool,
    #[serde(default)]
    pub(super) ignore_old_samples: Option<bool>,
    #[serde(default)]
    pub(super) ignore_first_intervals: Option<u64>,
    #[serde(default)]
    pub(super) drop_input_labels: Vec<String>,
    #[serde(default)]
    pub(super) input_relabel_configs: Vec<Value>,
    #[serde(default)]
    pub(super) output_relabel_configs: Vec<Value>,
}

impl Entry {
    fn validate(&self, problems: &mut Problems) {
        problems.require(self.interval.duration >= Duration(1000), "interval", "must be at least 1s");
        let exclude = self.by.is_empty() || self.without.is_empty();
        problems.require(exclude, "without", "`by` and `without` exclude each other");
        problems.require(!self.outputs.is_empty(), "outputs", "must list at least one output");
        let mut seen = HashSet::new();
        for (index, output) in self.outputs.iter().enumerate() {
            let key = format!("outputs::{index}");
            problems.require(outputs::is_known(output), &key, format!("unknown output {output:?}"));
            problems.require(seen.insert(output), &key, "is there already");
        }
        for (index, text) in self.matches.as_slice().iter().enumerate() {
            if let Err(error) = selector::parse(text) {
                let key = if self.matches.is_list() { format!("match::{index}") } else { "match".into() };
                problems.error(&key, error);
            }
        }
    }
}

/// A text, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl Default for OneOrMore {
    fn default() -> OneOrMore {
        OneOrMore::More(Vec::new())
    }
}

impl OneOrMore {
    pub(super) fn as_slice(&self) -> &[String] {
        match self {
            OneOrMore::One(one) => std::slice::from_ref(one),
            OneOrMore::More(more) => more,
        }
    }

    fn is_list(&self) -> bool {
        matches!(self, OneOrMore::More(_))
    }
}

/// A duration as it is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Given {
    pub(super) duration: Duration,
    /// As it is written, which is part of names.
    pub(super) text: String,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Duration(pub(super) u64);

impl Duration {
    pub(super) const FIVE_MINUTES: Duration = Duration(300_000);

    /// As the collector reads it, in the largest unit that is whole.
    pub(super) fn written(self) -> String {
        let units = [(3_600_000, "h"), (60_000, "m"), (1000, "s")];
        let fits = units.iter().find(|(millis, _)| self.0 > 0 && self.0.is_multiple_of(*millis));
        fits.map_or_else(|| format!("{}ms", self.0), |(millis, unit)| format!("{}{unit}", self.0 / millis))
    }
}

impl TryFrom<String> for Given {
    type Error = String;

    /// Numbers with units, `1h30m` or `1.5d`. Years have 365 days.
    fn try_from(text: String) -> Result<Given, String> {
        let wrong = || format!("{text:?} is no duration such as 1m, 1h30m or 1d");
        let mut rest = text.as_str();
        let mut millis = 0.0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
            let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = &rest[digits..];
            let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let unit = match &rest[..letters] {
                "ms" => 1.0,
                "s" => 1e3,
                "m" => 60e3,
                "h" => 3600e3,
                "d" => 86_400e3,
                "w" => 7.0 * 86_400e3,
                "y" => 365.0 * 86_400e3,
                _ => return Err(wrong()),
            };
            millis += number * unit;
            rest = &rest[letters..];
        }
        // A hundred years: beyond it nobody means it.
        let range = 1.0..=100.0 * 365.0 * 86_400e3;
        if !range.contains(&millis) {
            return Err(wrong());
        }
        Ok(Given { duration: Duration(millis.round() as u64), text })
    }
}
