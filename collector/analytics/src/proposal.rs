//! Rules that would save something.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::metric::MetricState;
use crate::report::{Courses, Label, growth};

/// A metric with fewer series is left alone.
const FEW_SERIES: u64 = 20;
/// A label has to save this share of the series.
const WORTHWHILE: f64 = 0.5;
/// Points that come more often than so many seconds are more than a dashboard shows.
const FREQUENT: f64 = 45.0;
/// To which interval they are proposed to be thinned, and how often the optimizer lets aggregates out.
const INTERVAL: f64 = 60.0;
/// The heartbeat of a dead band, in seconds.
const HEARTBEAT: f64 = 240.0;
/// Exemplars and descriptions have to be this share of the bytes.
const HEAVY: f64 = 0.05;
/// The most metrics that one rule names.
const MAX_NAMES: usize = 50;
/// The most rules.
const MAX_RULES: usize = 20;

/// What a rule would save, of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Saving {
    /// Series.
    pub series: u64,
    /// Data points, of those that were seen.
    pub points: u64,
    /// Bytes, of those that were seen.
    pub bytes: u64,
}

impl Saving {
    fn add(&mut self, other: Saving) {
        self.series += other.series;
        self.points += other.points;
        self.bytes += other.bytes;
    }
}

/// A rule for the `optimizer` processor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Proposal {
    /// The name of the rule.
    pub name: String,
    /// Why.
    pub reason: String,
    /// What it is predicted to save.
    pub saving: Saving,
    /// The rule as YAML: an item of `rules`.
    pub rule: String,
}

/// Metrics that one rule is about.
#[derive(Debug, Default)]
struct Meant {
    names: Vec<String>,
    types: Vec<&'static str>,
    saving: Saving,
    series: u64,
}

impl Meant {
    fn add(&mut self, metric: &MetricState, saving: Saving) {
        if self.names.len() >= MAX_NAMES {
            return;
        }
        if !self.names.contains(&metric.name) {
            self.names.push(metric.name.clone());
        }
        if !self.types.contains(&metric.of.name()) {
            self.types.push(metric.of.name());
        }
        self.series += metric.series.estimate();
        self.saving.add(saving);
    }

    fn rule(&self, name: &str, action: &str) -> String {
        let names: Vec<String> = self.names.iter().map(|name| quoted(&literal(name))).collect();
        format!(
            "- name: {name}\n  mode: shadow\n  match:\n    metrics: [{}]\n    types: [{}]\n  {action}\n",
            names.join(", "),
            self.types.join(", ")
        )
    }
}

/// A pattern that means this name and nothing else.
fn literal(name: &str) -> String {
    let is_plain = !name.contains(['*', '?', '[', ']']) && !name.starts_with('/');
    if is_plain {
        return name.to_owned();
    }
    let mut pattern = String::from("/^");
    for letter in name.chars() {
        if letter.is_ascii_punctuation() {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern + "$/"
}

/// As YAML, which takes all of JSON's strings.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

fn share(of: u64, saved: f64) -> u64 {
    (of as f64 * saved.clamp(0.0, 1.0)).round() as u64
}

/// Whether a label of a resource tells an instance, and nothing that is asked for.
fn tells_an_instance(label: &Label) -> bool {
    let ends = ["instance.id", ".uid", "pod.name", "container.id", "process.pid", "container.name"];
    !label.on_resource || ends.iter().any(|end| label.key.ends_with(end))
}

/// What dropping labels would save of a metric: series that are left are let out at the optimizer's interval.
fn without(metric: &MetricState, courses: &Courses, label: &Label) -> Saving {
    let interval = courses.interval_seconds();
    let thinned = if interval > 0.0 { (interval / INTERVAL).min(1.0) } else { 1.0 };
    let left = (1.0 - label.saves) * thinned;
    Saving {
        series: metric.series.estimate().saturating_sub(label.series_without),
        points: share(metric.points, 1.0 - left),
        bytes: share(metric.bytes, 1.0 - left),
    }
}

/// The rules that would save the most; each metric is in one of those that change its series or its points.
pub(crate) fn propose(metrics: &[MetricState], courses: &[Courses], bytes: u64) -> Vec<Proposal> {
    let mut labels: BTreeMap<(String, bool), Meant> = BTreeMap::new();
    let (mut still, mut frequent) = (Meant::default(), Meant::default());
    let mut proposals = Vec::new();
    for (metric, courses) in metrics.iter().zip(courses) {
        let series = metric.series.estimate();
        let all = Label::all(metric);
        let best = all.iter().find(|label| {
            label.saves >= WORTHWHILE && label.key != "service.name" && tells_an_instance(label)
        });
        let interval = courses.interval_seconds();
        let is_frequent = interval > 0.0 && interval < FREQUENT;
        let hold_still = metric.of.name() == "gauge" && courses.with_course >= FEW_SERIES.min(5);
        if let Some(label) = best
            && metric.of.adds_up()
            && series >= FEW_SERIES
        {
            let meant = labels.entry((label.key.clone(), label.on_resource)).or_default();
            meant.add(metric, without(metric, courses, label));
        } else if hold_still && courses.constant * 10 >= courses.with_course * 9 && interval < HEARTBEAT {
            let saved = courses.constant as f64 / courses.with_course as f64 * (1.0 - interval / HEARTBEAT);
            let saving =
                Saving { series: 0, points: share(metric.points, saved), bytes: share(metric.bytes, saved) };
            still.add(metric, saving);
        } else if is_frequent && metric.of.name() != "summary" {
            let saved = 1.0 - interval / INTERVAL;
            let saving =
                Saving { series: 0, points: share(metric.points, saved), bytes: share(metric.bytes, saved) };
            frequent.add(metric, saving);
        }
        let grows = growth(metric);
        if series >= 100 && grows > series as f64 / 10.0 {
            let limit = (series.saturating_mul(2)).next_power_of_two();
            let mut meant = Meant::default();
            meant.add(metric, Saving::default());
            let name = quoted(&format!("ceiling-{}", metric.name));
            let gauges = if metric.of.name() == "gauge" { "\n  gauges: avg" } else { "" };
            proposals.push(Proposal {
                rule: meant.rule(&name, &format!("limit_series: {{limit: {limit}}}{gauges}")),
                name: format!("ceiling-{}", metric.name),
                reason: format!("{series} series, and {grows:.0} new ones an hour: a ceiling keeps that from becoming a bill"),
                saving: Saving::default(),
            });
        }
    }
    for ((key, on_resource), meant) in labels {
        let name = format!("without-{key}");
        let which = if on_resource { "drop_resource_labels" } else { "drop_labels" };
        proposals.push(Proposal {
            rule: meant.rule(&quoted(&name), &format!("{which}: [{}]", quoted(&key))),
            reason: format!("{} of {} series differ by {key:?} alone", meant.saving.series, meant.series),
            saving: meant.saving,
            name,
        });
    }
    if !still.names.is_empty() {
        proposals.push(Proposal {
            name: "still-gauges".to_owned(),
            reason: "gauges that hold still need a point every few minutes only".to_owned(),
            saving: still.saving,
            rule: still.rule("still-gauges", "dead_band: {heartbeat: 4m}"),
        });
    }
    if !frequent.names.is_empty() {
        proposals.push(Proposal {
            name: "a-point-a-minute".to_owned(),
            reason: format!("points come more often than every {FREQUENT:.0} s"),
            saving: frequent.saving,
            rule: frequent.rule("a-point-a-minute", "interval: 60s"),
        });
    }
    let decoration: u64 = metrics.iter().map(|metric| metric.exemplar_bytes + metric.description_bytes).sum();
    if bytes > 0 && decoration as f64 > HEAVY * bytes as f64 {
        proposals.push(Proposal {
            name: "no-decoration".to_owned(),
            reason: "exemplars and descriptions are a part of the bytes that few look at".to_owned(),
            saving: Saving { bytes: decoration, ..Saving::default() },
            rule: "- name: no-decoration\n  mode: shadow\n  drop_description: true\n  drop_exemplars: true\n"
                .to_owned(),
        });
    }
    let order = |one: &Proposal| std::cmp::Reverse((one.saving.series, one.saving.points, one.saving.bytes));
    proposals.sort_by_key(order);
    proposals.truncate(MAX_RULES);
    proposals
}

/// The rules as a file that the setting `catalogs` of the optimizer takes, or to be pasted into its settings.
pub fn yaml(proposals: &[Proposal]) -> String {
    if proposals.is_empty() {
        return "rules: []\n".to_owned();
    }
    let mut out = "rules:\n".to_owned();
    for Proposal { reason, saving: Saving { series, points, bytes }, rule, .. } in proposals {
        let _ = writeln!(
            out,
            "  # {reason}; saves {series} series, {points} points, {bytes} bytes of those seen"
        );
        for line in rule.lines() {
            let _ = writeln!(out, "  {line}");
        }
    }
    out
}
