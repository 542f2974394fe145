//! What there is to say.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::metric::{LabelState, MetricState};
use crate::proposal::{Proposal, propose};
use crate::survey::Survey;

/// A series says something about its course from so many points on.
const COURSE: u32 = 3;
const NANOS: f64 = 1e9;

/// What a stream of metrics costs, and what could be saved.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Of everything.
    pub totals: Totals,
    /// The heaviest metrics, by series and then by bytes.
    pub metrics: Vec<MetricReport>,
    /// Metrics whose series say the same as those of another.
    pub repeated: Vec<Repeated>,
    /// Rules that would save something, the most first.
    pub proposals: Vec<Proposal>,
    /// What was beyond the bounds, and is missing or rough above.
    pub notes: Vec<String>,
}

/// Of everything.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Totals {
    /// Metrics, by name, unit and type.
    pub metrics: u64,
    /// Different series.
    pub series: u64,
    /// Data points.
    pub points: u64,
    /// Bytes of the requests, uncompressed.
    pub bytes: u64,
    /// From the first to the last point.
    pub seconds: f64,
    /// Series that held still, of those with three points and more.
    pub constant_series: u64,
}

/// Of one metric.
#[derive(Clone, Debug, Serialize)]
pub struct MetricReport {
    /// Its name.
    pub name: String,
    /// Its type, as rules name it.
    #[serde(rename = "type")]
    pub of: &'static str,
    /// Different series.
    pub series: u64,
    /// Data points.
    pub points: u64,
    /// Bytes, what is around its points included.
    pub bytes: u64,
    /// The mean time between two points of a series; 0 where none had two.
    pub interval_seconds: f64,
    /// Series an hour that came after its first minute.
    pub new_series_per_hour: f64,
    /// Series that held still, of those with three points and more.
    pub constant_series: u64,
    /// Its labels, those that multiply the most first.
    pub labels: Vec<Label>,
}

/// What a label costs.
#[derive(Clone, Debug, Serialize)]
pub struct Label {
    /// Its key.
    pub key: String,
    /// Whether it is one of the resource.
    pub on_resource: bool,
    /// Different values.
    pub values: u64,
    /// Series that there would be without it.
    pub series_without: u64,
    /// The share of the series that would be saved without it: its marginal cardinality.
    pub saves: f64,
    /// Whether most values look like identifiers.
    pub looks_like_identifiers: bool,
}

/// A metric whose series say the same as those of another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Repeated {
    /// The one.
    pub metric: String,
    /// The other; the same where labels alone tell the series apart.
    pub same_as: String,
    /// How many series.
    pub series: u64,
}

/// What the series with states say of a metric together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Courses {
    pub(crate) constant: u64,
    pub(crate) with_course: u64,
    gaps: u64,
    nanos: u64,
}

impl Courses {
    pub(crate) fn interval_seconds(&self) -> f64 {
        if self.gaps == 0 { 0.0 } else { self.nanos as f64 / NANOS / self.gaps as f64 }
    }
}

/// The share that is saved where `without` are left of `series`.
pub(crate) fn saved(series: u64, without: u64) -> f64 {
    if series == 0 { 0.0 } else { 1.0 - without.min(series) as f64 / series as f64 }
}

/// New series an hour, where the metric was seen for longer than its first minute.
pub(crate) fn growth(metric: &MetricState) -> f64 {
    let settled = metric.last.saturating_sub(metric.first) as f64 / NANOS - 60.0;
    if settled <= 0.0 { 0.0 } else { metric.newcomers as f64 * 3600.0 / settled }
}

impl Label {
    fn of(state: &LabelState, series: u64, noted: u64) -> Label {
        let without = state.without.estimate();
        // Series without the label do not go away with it.
        let left = without.saturating_add(noted.saturating_sub(state.series));
        Label {
            key: String::from_utf8_lossy(&state.key).into_owned(),
            on_resource: state.on_resource,
            values: state.values.estimate(),
            series_without: left.min(series),
            saves: saved(series, left),
            looks_like_identifiers: state.identifiers * 2 > state.series,
        }
    }

    /// The labels of a metric, those that multiply the most first.
    pub(crate) fn all(metric: &MetricState) -> Vec<Label> {
        let series = metric.series.estimate();
        let mut labels: Vec<Label> =
            metric.labels.iter().map(|label| Label::of(label, series, metric.noted)).collect();
        labels.sort_by(|a, b| b.saves.total_cmp(&a.saves).then_with(|| a.key.cmp(&b.key)));
        labels
    }
}

impl Report {
    pub(crate) fn of(survey: &Survey, top: usize) -> Report {
        let mut courses = vec![Courses::default(); survey.metrics.len()];
        let mut same: HashMap<(u64, u32), (u32, u64)> = HashMap::new();
        let mut repeated: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        for (_, series) in survey.series.iter() {
            let Some(of_metric) = courses.get_mut(series.metric as usize) else { continue };
            of_metric.gaps += u64::from(series.points.saturating_sub(1));
            of_metric.nanos += series.last.saturating_sub(series.first);
            if series.points < COURSE {
                continue;
            }
            of_metric.with_course += 1;
            of_metric.constant += u64::from(series.is_constant);
            if !series.is_constant {
                let first = same.entry((series.course, series.points)).or_insert((series.metric, 0));
                first.1 += 1;
                if first.1 > 1 {
                    *repeated.entry((series.metric, first.0)).or_default() += 1;
                }
            }
        }
        let mut order: Vec<usize> = (0..survey.metrics.len()).collect();
        let weight =
            |index: &usize| survey.metrics.get(*index).map(|metric| (metric.series.estimate(), metric.bytes));
        order.sort_by_cached_key(|index| (std::cmp::Reverse(weight(index)), *index));
        let metrics = order
            .iter()
            .take(top)
            .filter_map(|index| Some(MetricReport::of(survey.metrics.get(*index)?, courses.get(*index)?)));
        let name = |index: u32| {
            survey.metrics.get(index as usize).map_or_else(String::new, |metric| metric.name.clone())
        };
        let mut repeated: Vec<Repeated> = repeated
            .into_iter()
            .map(|((metric, other), series)| Repeated { metric: name(metric), same_as: name(other), series })
            .collect();
        repeated.sort_by_key(|one| std::cmp::Reverse(one.series));
        repeated.truncate(top);
        Report {
            totals: totals(survey, &courses),
            metrics: metrics.collect(),
            repeated,
            proposals: propose(&survey.metrics, &courses, survey.bytes),
            notes: notes(survey),
        }
    }
}

impl MetricReport {
    fn of(metric: &MetricState, courses: &Courses) -> MetricReport {
        MetricReport {
            name: metric.name.clone(),
            of: metric.of.name(),
            series: metric.series.estimate(),
            points: metric.points,
            bytes: metric.bytes,
            interval_seconds: courses.interval_seconds(),
            new_series_per_hour: growth(metric),
            constant_series: courses.constant,
            labels: Label::all(metric),
        }
    }
}

fn totals(survey: &Survey, courses: &[Courses]) -> Totals {
    let first = survey.metrics.iter().map(|metric| metric.first).min().unwrap_or_default();
    let last = survey.metrics.iter().map(|metric| metric.last).max().unwrap_or_default();
    Totals {
        metrics: survey.metrics.len() as u64,
        series: survey.metrics.iter().map(|metric| metric.series.estimate()).sum(),
        points: survey.metrics.iter().map(|metric| metric.points).sum::<u64>() + survey.unknown_points,
        bytes: survey.bytes,
        seconds: last.saturating_sub(first) as f64 / NANOS,
        constant_series: courses.iter().map(|courses| courses.constant).sum(),
    }
}

fn notes(survey: &Survey) -> Vec<String> {
    let mut notes = Vec::new();
    if survey.unknown_points > 0 {
        notes.push(format!(
            "{} points are of metrics beyond the first {}, of which nothing else is said",
            survey.unknown_points, survey.bounds.metrics
        ));
    }
    if survey.untracked_points > 0 {
        notes.push(format!(
            "{} points are of series beyond the first {}: whether those hold still, grow or repeat is not known",
            survey.untracked_points, survey.bounds.series
        ));
    }
    if let Some(metric) = survey.metrics.iter().find(|metric| metric.labels_left_out) {
        notes.push(format!(
            "metrics with more than {} labels, such as {:?}, have only the first of them looked at",
            survey.bounds.labels, metric.name
        ));
    }
    notes
}
